//! What sums by process version mean: means and shares of one side, and two sides beside one another. A side without cases has no
//! means; a small one is flagged, and the comparison says so in words.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use super::{
    process::{Measure, Measures},
    value::SMALL_SAMPLE,
    vocabulary,
};

/// A share with what it is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Above the line.
    pub numerator: i64,
    /// Below the line.
    pub denominator: i64,
    /// Four decimals; unset on an empty denominator.
    pub value: Option<f64>,
}

/// Work of one delivery mode.
#[derive(Debug, Clone, PartialEq)]
pub struct ModeFigures {
    /// Such as `gov_direct`.
    pub mode: String,
    /// Closed cases.
    pub cases: i64,
    /// Of these, with confirmed minutes.
    pub with_minutes: i64,
    /// Minutes of those.
    pub minutes_per_case: Option<f64>,
}

/// One side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Side(Measures);

impl Side {
    /// Adds what was counted somewhere.
    pub fn add(&mut self, measures: &Measures) {
        self.0.add(measures, 1);
    }

    /// Closed cases.
    pub const fn cases(&self) -> i64 {
        self.0.get(Measure::Closed)
    }

    /// Fewer cases than a mean needs.
    pub const fn is_small(&self) -> bool {
        self.cases() < SMALL_SAMPLE
    }

    /// Mean of the sum of some measures, per closed case.
    pub fn per_case(&self, measures: &[Measure]) -> Option<f64> {
        let sum: i64 = measures.iter().map(|measure| self.0.get(*measure)).sum();
        rounded(sum, self.cases())
    }

    /// Completed within the promised limit, and never too late before it was sent back, of those with one.
    pub fn on_time(&self) -> Share {
        self.share(Measure::OnTime, Measure::Due)
    }

    /// Sent back at least once.
    pub fn rework(&self) -> Share {
        self.share(Measure::Reworked, Measure::Closed)
    }

    /// Neither reworked nor reopened soon.
    pub fn one_time(&self) -> Share {
        self.share(Measure::OnceResolved, Measure::Closed)
    }

    fn share(&self, part: Measure, of: Measure) -> Share {
        let (numerator, denominator) = (self.0.get(part), self.0.get(of));
        Share { numerator, denominator, value: rounded(numerator, denominator) }
    }

    /// Mean seconds in each state in which time passed, in the order of the states.
    pub fn state_times(&self) -> Vec<(String, f64)> {
        let names = (1_i16..=19).map(vocabulary::state_name);
        let passed = names.filter_map(|name| {
            let seconds = self.0.get(Measure::of("seconds", &name)?);
            (seconds > 0).then(|| rounded(seconds, self.cases())).flatten().map(|mean| (name, mean))
        });
        passed.collect()
    }

    /// Who did the work, in the order of the modes; those of no case are left out.
    pub fn modes(&self) -> Vec<ModeFigures> {
        let names = (1_i16..=5).map(vocabulary::delivery_mode_name);
        let number =
            |prefix: &str, name: &str| Measure::of(prefix, name).map_or(0, |measure| self.0.get(measure));
        let figures = names.map(|mode| {
            let (cases, with_minutes) = (number("cases", &mode), number("minuted", &mode));
            let minutes_per_case = rounded(number("minutes", &mode), with_minutes);
            ModeFigures { mode, cases, with_minutes, minutes_per_case }
        });
        figures.filter(|figures| figures.cases > 0).collect()
    }
}

/// Four decimals, half away from zero.
fn rounded(numerator: i64, denominator: i64) -> Option<f64> {
    (denominator > 0).then(|| (numerator as f64 / denominator as f64 * 10_000.0).round() / 10_000.0)
}

/// What two sides are compared over. `None`: all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Row {
    /// The item.
    pub item: Option<String>,
    /// The street.
    pub street: Option<Uuid>,
}

impl Row {
    /// By what it stands among the others: rows of items, of streets, of both; then by which. No case that is closed moves it.
    pub fn place(&self) -> (bool, bool, &Self) {
        (self.item.is_some() && self.street.is_some(), self.street.is_some(), self)
    }
}

/// Both sides of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// What is compared with.
    pub base: Side,
    /// The other one.
    pub other: Side,
}

impl Comparison {
    /// What to bear in mind, in Chinese and English; empty where there is nothing.
    pub const fn note(&self) -> (&'static str, &'static str) {
        match (self.base.cases(), self.other.cases()) {
            (0, 0) => ("没有办结的工单", "no case was closed"),
            (0, _) | (_, 0) => {
                ("只有一侧有办结的工单，不能比较", "only one side has closed cases: nothing to compare")
            }
            _ if self.base.is_small() || self.other.is_small() => (
                "至少一侧不足30件，差异可能出于偶然",
                "fewer than 30 cases on a side: a difference may be chance",
            ),
            _ => ("", ""),
        }
    }
}

/// Sums by leaf unit and item.
pub type Sums = HashMap<(Uuid, String), Measures>;

/// All rows of two sides: everything first, then by item, by street and by both, in the order of [`Row::place`].
pub fn compare(
    base: &Sums,
    other: &Sums,
    street_of: impl Fn(Uuid) -> Option<Uuid>,
) -> (Comparison, Vec<(Row, Comparison)>) {
    let mut rows: BTreeMap<Row, Comparison> = BTreeMap::new();
    for (sums, is_base) in [(base, true), (other, false)] {
        for ((leaf, item), measures) in sums {
            let item = Some(item.clone()).filter(|item| !item.is_empty());
            let street = street_of(*leaf);
            // A set: without an item or a street some of these are the same row.
            let concerned = BTreeSet::from([
                Row::default(),
                Row { item: item.clone(), street: None },
                Row { item: None, street },
                Row { item, street },
            ]);
            for row in concerned {
                let comparison = rows.entry(row).or_default();
                if is_base { comparison.base.add(measures) } else { comparison.other.add(measures) }
            }
        }
    }
    let overall = rows.remove(&Row::default()).unwrap_or_default();
    let mut rows: Vec<(Row, Comparison)> = rows
        .into_iter()
        // What was only decided so far is compared once it is closed.
        .filter(|(_, both)| both.base.cases() + both.other.cases() > 0)
        .collect();
    rows.sort_by(|(a, _), (b, _)| a.place().cmp(&b.place()));
    (overall, rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures(pairs: &[(Measure, i64)]) -> Measures {
        let mut measures = Measures::default();
        pairs.iter().for_each(|(measure, number)| measures.0[*measure as usize] += number);
        measures
    }

    #[test]
    fn means_are_per_closed_case_and_there_are_none_without_one() {
        let mut side = Side::default();
        assert_eq!((side.per_case(&[Measure::Steps]), side.on_time().value), (None, None));
        assert!(side.state_times().is_empty() && side.modes().is_empty());
        side.add(&measures(&[
            (Measure::Closed, 3),
            (Measure::Steps, 40),
            (Measure::Dispatches, 4),
            (Measure::Returns, 1),
            (Measure::Due, 2),
            (Measure::OnTime, 1),
            (Measure::SecondsSigned, 90),
            (Measure::CasesVolunteer, 3),
            (Measure::MinutedVolunteer, 2),
            (Measure::MinutesVolunteer, 75),
        ]));
        assert_eq!(side.per_case(&[Measure::Steps]), Some(13.3333));
        assert_eq!(
            side.per_case(&[Measure::Dispatches, Measure::Objections, Measure::Returns]),
            Some(1.6667)
        );
        assert_eq!(side.on_time(), Share { numerator: 1, denominator: 2, value: Some(0.5) });
        assert_eq!(side.rework(), Share { numerator: 0, denominator: 3, value: Some(0.0) });
        assert_eq!(side.state_times(), [("signed".to_owned(), 30.0)]);
        let modes = side.modes();
        assert_eq!(
            (modes.len(), modes[0].mode.as_str(), modes[0].minutes_per_case),
            (1, "volunteer", Some(37.5))
        );
        assert!(side.is_small());
    }

    #[test]
    fn rows_are_everything_items_streets_and_both() {
        let [street, leaf, nowhere] = [1, 2, 3].map(Uuid::from_u128);
        let closed = |n| measures(&[(Measure::Closed, n)]);
        let base = Sums::from([((leaf, "A".into()), closed(40)), ((nowhere, "B".into()), closed(1))]);
        let other = Sums::from([((leaf, "A".into()), closed(50)), ((leaf, String::new()), closed(2))]);
        let (overall, rows) = compare(&base, &other, |unit| (unit == leaf).then_some(street));
        assert_eq!((overall.base.cases(), overall.other.cases()), (41, 52));
        assert_eq!(overall.note(), ("", ""));
        let told: Vec<_> = rows
            .iter()
            .map(|(row, both)| (row.item.as_deref(), row.street, both.base.cases(), both.other.cases()))
            .collect();
        assert_eq!(
            told,
            [
                (Some("A"), None, 40, 50),
                (Some("B"), None, 1, 0),
                (None, Some(street), 40, 52),
                (Some("A"), Some(street), 40, 50),
            ]
        );
        assert!(rows[1].1.note().1.contains("only one side"));
        let (nothing, rows) = compare(&Sums::new(), &Sums::new(), |_| None);
        assert!(rows.is_empty() && nothing.note().1 == "no case was closed");
    }
}
