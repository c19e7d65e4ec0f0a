//! How alike two cases are: by meaning, place and time, and whether the same person asks about the same item. Of meaning
//! speak the words in common, other words for the same ([`Told`]), and the item that somebody, or the classifier, found. Of
//! place speak the points where both have one, else the units. It only ranks candidates with reasons; that two cases are one
//! matter is decided by a human (MergeCase).

use std::collections::HashMap;

use super::event::Timestamp;
use super::ids::{PersonRef, UnitId};
use super::point::{NEAR, Point, about};
use super::reason::Reason;
use super::synonyms::Told;

/// What of a case is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Matter {
    /// Pairs of characters of the redacted text, sorted, each once ([`super::pairs`]).
    pub pairs: Vec<i32>,
    /// Root → leaf.
    pub path: Vec<UnitId>,
    pub point: Option<Point>,
    pub at: Timestamp,
    pub requester: Option<PersonRef>,
    pub item_code: Option<String>,
    /// What the classifier in force takes a case without an item for.
    pub suggested_item: Option<String>,
}

/// How alike two cases are, 0 to 1, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Likeness {
    pub score: f64,
    pub reasons: Vec<Reason>,
}

// What each likeness counts; together 1. Without a likeness of meaning nothing counts: neighbours have many matters.
const MEANING: f64 = 0.6;
const PLACE: f64 = 0.2;
const TIME: f64 = 0.1;
const REQUESTER: f64 = 0.05;
const ITEM: f64 = 0.05;
/// Likeness of meaning from which the rest counts in full.
const MEANT: f64 = 0.2;
/// What is less alike is no candidate.
pub const LEAST_ALIKE: f64 = 0.35;
/// What other words for the same count at most; half where the items are known to be others.
const OTHER_WORDS: f64 = 0.4;
/// What the same item counts by itself: together with place and time just enough for neighbours.
const BY_ITEM: f64 = 0.2;
/// Days after which the likeness of time is half.
const HALF_DAYS: f64 = 14.0;
/// Metres after which the likeness of place is half.
const HALF_METRES: f64 = 100.0;

/// Texts of which it can be told what is common; where there are fewer, each pair tells as much as among so many.
const FEW: f64 = 50.0;

/// How much each pair of characters tells: what most texts have tells little.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    texts: f64,
    having: HashMap<i32, f64>,
}

impl Weights {
    /// Of the texts that are compared.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a [i32]>) -> Self {
        let mut weights = Self::default();
        for text in texts {
            weights.texts += 1.0;
            for pair in text {
                *weights.having.entry(*pair).or_default() += 1.0;
            }
        }
        weights
    }

    fn of_pair(&self, pair: i32) -> f64 {
        let having = self.having.get(&pair).copied().unwrap_or(0.0).max(1.0);
        let told = (1.0 + self.texts.max(FEW) / having).ln();
        told * told
    }

    /// What both texts have, of what either has; 0 where one has nothing.
    fn meaning(&self, one: &[i32], other: &[i32]) -> f64 {
        let weight = |pairs: &mut dyn Iterator<Item = i32>| pairs.map(|pair| self.of_pair(pair)).sum::<f64>();
        let common = weight(&mut one.iter().copied().filter(|pair| other.binary_search(pair).is_ok()));
        let all = weight(&mut one.iter().copied()) + weight(&mut other.iter().copied()) - common;
        if all > 0.0 { (common / all).clamp(0.0, 1.0) } else { 0.0 }
    }
}

impl Matter {
    /// How alike the two are; the same whichever comes first.
    #[must_use]
    pub fn likeness(&self, other: &Self, weights: &Weights) -> Likeness {
        let words = weights.meaning(&self.pairs, &other.pairs);
        let (own, others) = (Told::of(&self.pairs), Told::of(&other.pairs));
        let subject = own.likeness(&others);
        let other_item = self.item_code.is_some() && other.item_code.is_some() && !self.same_item(other);
        let other_words = OTHER_WORDS * subject * if other_item { 0.5 } else { 1.0 };
        // Many things are of one item, such as of the one for everything else.
        let item = self.item().filter(|item| other.item() == Some(*item) && !own.differs(&others));
        let meaning = words.max(other_words).max(if item.is_some() { BY_ITEM } else { 0.0 });
        let (steps, same_place) = self.steps_to(other);
        let metres = self.metres_to(other);
        // What is known to the metre counts so, whatever borders lie between.
        let place = metres.map_or(1.0 / (1.0 + steps), |metres| 1.0 / (1.0 + metres / HALF_METRES));
        // What is not near is another matter, however alike it is told: less and less of it counts.
        let near = metres.map_or(1.0, |metres| (NEAR / metres).min(1.0));
        let seconds = (self.at - other.at).num_seconds().unsigned_abs();
        let days = seconds / 86_400;
        let time = 1.0 / (1.0 + seconds as f64 / 86_400.0 / HALF_DAYS);
        let same_requester = self.requester.is_some() && self.requester == other.requester;
        let same_item = self.same_item(other);
        let yes = |is: bool| f64::from(u8::from(is));
        let rest = PLACE * place + TIME * time + REQUESTER * yes(same_requester) + ITEM * yes(same_item);
        let score = near * (MEANING * meaning + rest * (meaning / MEANT).min(1.0));
        let percent = |share: f64| (share * 100.0).round();
        let mut reasons = Vec::new();
        if words > 0.0 || meaning <= 0.0 {
            reasons.push(Reason::new("similar_text").with("percent", percent(words)));
        }
        if other_words > words {
            reasons.push(Reason::new("same_subject").with("percent", percent(subject)));
        }
        reasons.push(Reason::new("days_apart").with("days", days));
        reasons.extend(metres.map(|metres| Reason::new("metres_apart").with("metres", about(metres))));
        reasons.extend(same_place);
        if same_requester {
            reasons.push(Reason::new("same_requester"));
        }
        if same_item {
            let code = self.item_code.as_deref().unwrap_or_default();
            reasons.push(Reason::new("same_item").with("item", code));
        } else if let Some(item) = item {
            reasons.push(Reason::new("suggested_item").with("item", item));
        }
        Likeness { score: score.clamp(0.0, 1.0), reasons }
    }

    /// The item it is of, or else may be of.
    #[must_use]
    pub fn item(&self) -> Option<&str> {
        self.item_code.as_deref().or(self.suggested_item.as_deref())
    }

    fn same_item(&self, other: &Self) -> bool {
        self.item_code.is_some() && self.item_code == other.item_code
    }

    /// How far apart the two are, where both say where they are.
    fn metres_to(&self, other: &Self) -> Option<f64> {
        Some(self.point?.metres_to(other.point?))
    }

    /// Steps through the tree of units from one place to the other, and what they share.
    fn steps_to(&self, other: &Self) -> (f64, Option<Reason>) {
        let shared = self.path.iter().zip(&other.path).take_while(|(one, other)| one == other).count();
        let steps = (self.path.len() - shared) + (other.path.len() - shared);
        let unit = shared.checked_sub(1).and_then(|last| self.path.get(last));
        let code = if steps == 0 { "same_place" } else { "near_place" };
        (steps as f64, unit.map(|unit| Reason::new(code).with("unit", unit)))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::domain::pairs;

    fn matter(text: &str, path: &[u128], day: i64) -> Matter {
        Matter {
            pairs: pairs(text),
            path: path.iter().map(|unit| UnitId(Uuid::from_u128(*unit))).collect(),
            point: None,
            at: DateTime::UNIX_EPOCH + TimeDelta::days(20_000 + day),
            requester: None,
            item_code: None,
            suggested_item: None,
        }
    }

    fn of_item(item: &str, text: &str, path: &[u128], day: i64) -> Matter {
        Matter { item_code: Some(item.into()), ..matter(text, path, day) }
    }

    fn codes(likeness: &Likeness) -> Vec<&str> {
        likeness.reasons.iter().map(|reason| reason.code.as_str()).collect()
    }

    fn weights(matters: &[Matter]) -> Weights {
        Weights::of(matters.iter().map(|matter| matter.pairs.as_slice()))
    }

    #[test]
    fn the_same_text_at_the_same_place_now_is_most_alike_and_another_matter_least() {
        let case = matter("小区北门路灯不亮已经三天", &[1, 2, 3, 4], 0);
        let others = [
            matter("小区北门路灯不亮已经三天", &[1, 2, 3, 4], 0),
            matter("北门的路灯坏了三天不亮", &[1, 2, 3, 4], 1),
            matter("小区北门路灯不亮已经三天", &[1, 2, 3, 4], 60),
            matter("北门的路灯坏了三天不亮", &[1, 2, 9, 8], 60),
            matter("小区里广场舞噪音扰民", &[1, 2, 3, 4], 0),
        ];
        let weights = weights(&others);
        let scores: Vec<f64> = others.iter().map(|other| case.likeness(other, &weights).score).collect();
        assert!(scores[0] >= 0.9, "{scores:?}");
        assert!(scores[0] > scores[2] && scores[2] > scores[1] && scores[1] > scores[3], "{scores:?}");
        assert!(scores[3] > scores[4] && scores[4] < 0.15, "{scores:?}");
    }

    #[test]
    fn what_every_text_has_tells_less_than_what_few_have() {
        let case = matter("请帮忙处理井盖", &[1], 0);
        let same_rare = matter("井盖松动危险", &[1], 0);
        let same_common = matter("请帮忙处理噪音", &[1], 0);
        let mut all = vec![same_rare.clone(), same_common.clone()];
        all.extend((0..200).map(|n| matter(&format!("请帮忙处理某事{n}"), &[1], 0)));
        let damped = weights(&all);
        let by = |other: &Matter, weights: &Weights| case.likeness(other, weights).score;
        let plain = Weights::default();
        assert!(by(&same_common, &plain) > by(&same_rare, &plain));
        assert!(by(&same_rare, &damped) > by(&same_common, &damped));
    }

    #[test]
    fn a_turn_of_phrase_that_many_use_does_not_make_another_matter_alike() {
        let said =
            |what: &str| matter(&format!("我们楼下一直有人说起{what}，老人孩子都受影响"), &[1, 2, 3], 0);
        let whats = ["物业不作为", "行驶证", "噪音", "代买", "路灯", "井盖", "漏水", "低保", "停车", "电梯"];
        let mut all: Vec<Matter> = whats.iter().map(|what| said(what)).collect();
        all.extend((0..90).map(|n| matter(&format!("门口第{n}棵树倒了，老人孩子走不了"), &[1, 2, 3], 0)));
        let weights = weights(&all);
        let by = |other: &Matter| all[0].likeness(other, &weights).score;
        assert!(by(&said("物业不作为")) > 0.85);
        let again = matter("物业不作为，楼下一直没人管", &[1, 2, 3], 0);
        assert!(by(&again) > by(&said("行驶证")), "{} {}", by(&again), by(&said("行驶证")));
    }

    #[test]
    fn the_same_in_other_words_at_the_same_place_is_a_candidate() {
        let same = [
            ("路灯坏了", "楼下照明不亮"),
            ("窨井松动", "井盖有危险"),
            ("下水道堵了", "门口积水，管子不通"),
            ("家里没水", "整栋停水"),
            ("广场舞吵闹", "音响声音大，睡不着"),
        ];
        for (one, other) in same {
            let case = matter(one, &[1, 2, 3], 0);
            let likeness = case.likeness(&matter(other, &[1, 2, 3], 0), &Weights::default());
            assert!(likeness.score >= LEAST_ALIKE, "{one}: {}", likeness.score);
            assert_eq!(codes(&likeness), ["same_subject", "days_apart", "same_place"], "{one}");
            let far = matter(other, &[1, 8, 9], 50);
            assert!(case.likeness(&far, &Weights::default()).score < LEAST_ALIKE, "{one}: far and late");
        }
    }

    #[test]
    fn the_same_item_next_door_is_a_candidate_and_another_matter_there_is_none() {
        let case = of_item("CJ-0143", "上楼看不见路", &[1, 2, 3, 4], 0);
        let by = |other: &Matter| case.likeness(other, &Weights::default());
        let same = by(&of_item("CJ-0143", "夜里回家怕摔", &[1, 2, 3, 4], 1));
        assert!(same.score >= LEAST_ALIKE, "{}", same.score);
        assert_eq!(codes(&same), ["days_apart", "same_place", "same_item"]);
        assert!(by(&of_item("CJ-0143", "夜里回家怕摔", &[1, 2, 3], 0)).score >= LEAST_ALIKE);
        assert!(by(&of_item("CJ-0143", "夜里回家怕摔", &[1, 2, 8, 9], 0)).score < LEAST_ALIKE, "elsewhere");
        assert!(
            by(&of_item("CJ-0112", "夜里回家怕摔", &[1, 2, 3, 4], 0)).score < LEAST_ALIKE,
            "another item"
        );
        // The item for everything else: what the two are about is known, and not the same.
        let (one, other) = ("路灯坏了", "电梯困人");
        let (one, other) = (of_item("CJ-9901", one, &[1, 2], 0), of_item("CJ-9901", other, &[1, 2], 0));
        assert!(one.likeness(&other, &Weights::default()).score < LEAST_ALIKE);
    }

    #[test]
    fn unrelated_texts_of_another_item_at_the_same_place_stay_below_the_threshold() {
        let case = of_item("CJ-0103", "路灯坏了", &[1, 2, 3], 0);
        for (item, text) in [
            ("CJ-0112", "垃圾成堆没人清扫"),
            ("HB-0102", "广场舞噪音扰民"),
            ("SM-0108", "电梯停在三楼"),
            ("CJ-0132", "物业费收得不合理"),
        ] {
            let likeness = case.likeness(&of_item(item, text, &[1, 2, 3], 0), &Weights::default());
            assert!(likeness.score < LEAST_ALIKE, "{text}: {}", likeness.score);
        }
    }

    #[test]
    fn what_the_classifier_takes_a_case_for_counts_as_its_item_and_is_told_apart() {
        let asked =
            Matter { suggested_item: Some("CJ-0143".into()), ..matter("上楼看不见路", &[1, 2], 0) };
        let known = of_item("CJ-0143", "夜里回家怕摔", &[1, 2], 0);
        let likeness = asked.likeness(&known, &Weights::default());
        assert!(likeness.score >= LEAST_ALIKE, "{}", likeness.score);
        assert_eq!(codes(&likeness), ["days_apart", "same_place", "suggested_item"]);
        let decided = Matter { suggested_item: None, ..asked };
        assert!(decided.likeness(&known, &Weights::default()).score < LEAST_ALIKE);
    }

    /// So many metres north of a point in Wuhan.
    fn north(metres: f64, matter: Matter) -> Matter {
        let latitude = 30_600_000 + (metres / 0.111_195).round() as i32;
        Matter { point: Some(Point::new(114_270_000, latitude).unwrap()), ..matter }
    }

    #[test]
    fn nearer_is_more_alike_across_borders_and_the_same_words_far_away_are_another_matter() {
        let said = |metres, path: &[u128]| north(metres, matter("北门路灯不亮，晚上很黑", path, 0));
        let case = said(0.0, &[1, 2, 3, 4]);
        let by = |other: &Matter| case.likeness(other, &Weights::default()).score;
        let away = [0.0, 20.0, 60.0, 150.0, 290.0, 400.0].map(|metres| by(&said(metres, &[1, 2, 3, 4])));
        assert!(away.windows(2).all(|two| two[0] > two[1]) && away[4] > LEAST_ALIKE, "{away:?}");
        // Borders do not count, neither between nor around.
        assert!((by(&said(60.0, &[1, 2, 8, 9])) - away[2]).abs() < 1e-9);
        assert!(by(&said(5_000.0, &[1, 2, 3, 4])) < LEAST_ALIKE, "the same words, 5 km away");
        // Where one of the two has no point, the units tell.
        let nowhere = matter("北门路灯不亮，晚上很黑", &[1, 2, 3, 4], 0);
        assert!((by(&nowhere) - away[0]).abs() < 1e-9);
        // By the item alone, next door and no further.
        let of = |metres| north(metres, of_item("CJ-0143", "夜里回家怕摔", &[1, 2, 8, 9], 0));
        let case = north(0.0, of_item("CJ-0143", "上楼看不见路", &[1, 2, 3, 4], 0));
        let by = |other: &Matter| case.likeness(other, &Weights::default()).score;
        assert!(by(&of(50.0)) >= LEAST_ALIKE && by(&of(250.0)) < LEAST_ALIKE);
        // Another matter at the very place.
        let other = north(0.0, matter("垃圾成堆没人清扫", &[1, 2, 3, 4], 0));
        assert!(said(0.0, &[1, 2, 3, 4]).likeness(&other, &Weights::default()).score < LEAST_ALIKE);
    }

    #[test]
    fn how_far_apart_two_are_is_told_in_round_metres() {
        let (one, other) = (matter("路灯不亮", &[1, 2], 0), matter("路灯不亮", &[1, 3], 0));
        let likeness = north(0.0, one.clone()).likeness(&north(52.0, other), &Weights::default());
        assert_eq!(codes(&likeness), ["similar_text", "days_apart", "metres_apart", "near_place"]);
        let told = &likeness.reasons[2];
        assert_eq!(told.render(crate::domain::Language::Chinese), "相距约 50 米");
        assert_eq!(told.render(crate::domain::Language::English), "about 50 m apart");
        let half_known = one.likeness(&north(0.0, one.clone()), &Weights::default());
        assert_eq!(codes(&half_known), ["similar_text", "days_apart", "same_place"]);
    }

    #[test]
    fn the_reasons_say_what_is_alike_in_both_languages() {
        use crate::domain::Language::{Chinese, English};
        let same = Matter {
            requester: Some(PersonRef("p".into())),
            item_code: Some("CJ-0142".into()),
            ..matter("路灯不亮", &[1, 2], 0)
        };
        let likeness = same.likeness(&same, &Weights::default());
        assert!((likeness.score - 1.0).abs() < 1e-9);
        let codes: Vec<&str> = likeness.reasons.iter().map(|reason| reason.code.as_str()).collect();
        assert_eq!(codes, ["similar_text", "days_apart", "same_place", "same_requester", "same_item"]);
        for reason in &likeness.reasons {
            assert_ne!(reason.render(Chinese), reason.render(English), "{}", reason.code);
            assert!(!reason.render(English).contains('{'), "{}", reason.render(English));
        }
        let far = same.likeness(&matter("路灯不亮", &[1, 3], 5), &Weights::default());
        assert_eq!(far.reasons[1].args["days"], "5");
        assert_eq!(far.reasons[2].code, "near_place");
        // Nobody knows who asks anonymously, so they are not the same.
        let hidden = matter("路灯不亮", &[1], 0);
        assert!(
            hidden.likeness(&hidden, &Weights::default()).reasons.iter().all(|r| r.code != "same_requester")
        );
    }

    prop_compose! {
        fn any_matter()(
            text in "[路灯不亮井盖噪音请帮忙]{0,12}",
            path in proptest::collection::vec(0_u128..3, 0..5),
            day in 0_i64..400,
            requester in proptest::option::of("[ab]"),
            item_code in proptest::option::of("[AB]"),
            suggested_item in proptest::option::of("[AB]"),
            metres in proptest::option::of(0.0..2_000.0),
        ) -> Matter {
            let matter = matter(&text, &path, day);
            let matter = Matter { requester: requester.map(PersonRef), item_code, suggested_item, ..matter };
            match metres {
                Some(metres) => north(metres, matter),
                None => matter,
            }
        }
    }

    proptest! {
        #[test]
        fn likeness_is_symmetric_bounded_and_greatest_with_itself(
            one in any_matter(), other in any_matter(), rest in proptest::collection::vec(any_matter(), 0..5),
        ) {
            let weights = weights(&rest);
            let (there, back) = (one.likeness(&other, &weights), other.likeness(&one, &weights));
            prop_assert!((there.score - back.score).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&there.score));
            prop_assert!(there.score <= one.likeness(&one, &weights).score + 1e-9 || one.pairs.is_empty());
        }
    }
}
