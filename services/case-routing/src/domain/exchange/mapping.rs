//! The words of another system and ours. A version is checked whole, so that whoever drafts it sees everything that is wrong
//! at once, and never changes afterwards.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::domain::{CaseState, ClosedCode};

/// Their code and ours.
pub type Row = (String, String);

/// State here, status there. With a way of closing it is the status of those cases in the state that ended so, and goes before the
/// one without. Earlier versions have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status(
    pub CaseState,
    pub String,
    #[serde(default, skip_serializing_if = "Option::is_none")] pub Option<ClosedCode>,
);

/// One version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Class there, item here.
    pub classes: Vec<Row>,
    /// Area there, code of the unit here.
    pub areas: Vec<Row>,
    pub statuses: Vec<Status>,
    /// Way of closing here, code there.
    pub closed_codes: Vec<(ClosedCode, String)>,
    /// Statuses there by which a case that was referred is sent back. Earlier versions have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub return_statuses: Vec<String>,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its place, such as `classes[3].item_code`.
    pub field: String,
    pub code: &'static str,
}

/// What a mapping is checked against.
pub struct Known<'a> {
    /// Whether an item is in the catalogue, and whether it is applied for with papers.
    pub item: &'a dyn Fn(&str) -> Option<bool>,
    /// Whether a unit is in force.
    pub unit: &'a dyn Fn(&str) -> bool,
}

impl Mapping {
    /// Everything that is wrong, in the order of the entries.
    #[must_use]
    pub fn problems(&self, known: &Known<'_>) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut add = |list: &str, number: usize, field: &str, code| {
            found.push(Problem { field: format!("{list}[{number}].{field}"), code });
        };
        let mut seen = HashSet::new();
        for (number, (theirs, ours)) in self.classes.iter().enumerate() {
            if theirs.is_empty() {
                add("classes", number, "class_code", "empty");
            } else if !seen.insert(theirs) {
                add("classes", number, "class_code", "duplicate");
            }
            match (known.item)(ours) {
                None => add("classes", number, "item_code", "unknown_item"),
                // An application needs papers, which no push brings.
                Some(true) => add("classes", number, "item_code", "application_item"),
                Some(false) => {}
            }
        }
        seen.clear();
        for (number, (theirs, ours)) in self.areas.iter().enumerate() {
            if theirs.is_empty() {
                add("areas", number, "area_code", "empty");
            } else if !seen.insert(theirs) {
                add("areas", number, "area_code", "duplicate");
            }
            if !(known.unit)(ours) {
                add("areas", number, "unit_code", "unknown_unit");
            }
        }
        let mut states = HashSet::new();
        for (number, Status(state, theirs, ended)) in self.statuses.iter().enumerate() {
            if !states.insert((state, ended)) {
                add("statuses", number, "state", "duplicate");
            }
            if ended.is_some_and(|code| !state.ends_as(code)) {
                add("statuses", number, "closed_code", "does_not_fit");
            }
            if theirs.is_empty() {
                add("statuses", number, "external_status", "empty");
            }
        }
        let mut codes = HashSet::new();
        for (number, (code, theirs)) in self.closed_codes.iter().enumerate() {
            if !codes.insert(code) {
                add("closed_codes", number, "closed_code", "duplicate");
            }
            if theirs.is_empty() {
                add("closed_codes", number, "external_code", "empty");
            }
        }
        let mut words = HashSet::new();
        for (number, theirs) in self.return_statuses.iter().enumerate() {
            let code = match theirs {
                word if word.is_empty() => "empty",
                word if !words.insert(word) => "duplicate",
                _ => continue,
            };
            found.push(Problem { field: format!("return_statuses[{number}]"), code });
        }
        found
    }

    /// The item of a class.
    #[must_use]
    pub fn item(&self, class: &str) -> Option<&str> {
        forward(&self.classes, class)
    }

    /// The code of the unit of an area.
    #[must_use]
    pub fn unit(&self, area: &str) -> Option<&str> {
        forward(&self.areas, area)
    }

    /// The first class of an item.
    #[must_use]
    pub fn class(&self, item: &str) -> Option<&str> {
        back(&self.classes, item)
    }

    /// The first area of a unit.
    #[must_use]
    pub fn area(&self, unit: &str) -> Option<&str> {
        back(&self.areas, unit)
    }

    /// Their word for a state: of a case that ended so, or is about to, the one for that, where they have one.
    #[must_use]
    pub fn status(&self, state: CaseState, ended: Option<ClosedCode>) -> Option<&str> {
        let word = |ended: Option<ClosedCode>| {
            let found = self.statuses.iter().find(|row| row.0 == state && row.2 == ended);
            found.map(|row| row.1.as_str())
        };
        ended.and_then(|code| word(Some(code))).or_else(|| word(None))
    }

    /// The first state that they call so. What only says that a referral is sent back is a refusal.
    #[must_use]
    pub fn state(&self, status: &str) -> Option<CaseState> {
        let named = self.statuses.iter().find(|row| row.1 == status).map(|row| row.0);
        named.or_else(|| self.returns(status).then_some(CaseState::NotAccepted))
    }

    /// Whether they call so that a referral is sent back.
    #[must_use]
    pub fn returns(&self, status: &str) -> bool {
        self.return_statuses.iter().any(|word| word == status)
    }

    /// Their code for a way of closing.
    #[must_use]
    pub fn closed(&self, code: ClosedCode) -> Option<&str> {
        let found = self.closed_codes.iter().find(|(ours, _)| *ours == code);
        found.map(|(_, theirs)| theirs.as_str())
    }
}

fn forward<'a>(rows: &'a [Row], theirs: &str) -> Option<&'a str> {
    rows.iter().find(|(code, _)| code == theirs).map(|(_, ours)| ours.as_str())
}

fn back<'a>(rows: &'a [Row], ours: &str) -> Option<&'a str> {
    rows.iter().find(|(_, code)| code == ours).map(|(theirs, _)| theirs.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(theirs: &str, ours: &str) -> Row {
        (theirs.to_owned(), ours.to_owned())
    }

    fn problems(mapping: &Mapping) -> Vec<String> {
        let known = Known {
            item: &|code| match code {
                "CJ-1" => Some(false),
                "CJ-9" => Some(true),
                _ => None,
            },
            unit: &|code| code == "420103005001",
        };
        let found = mapping.problems(&known);
        found.iter().map(|problem| format!("{} {}", problem.field, problem.code)).collect()
    }

    #[test]
    fn everything_wrong_is_told_at_once_by_its_place() {
        let mapping = Mapping {
            classes: vec![row("A", "CJ-1"), row("A", "CJ-2"), row("", "CJ-9")],
            areas: vec![row("x", "1"), row("x", "420103005001")],
            statuses: vec![
                Status(CaseState::Closed, "办结".into(), None),
                Status(CaseState::Closed, "部分办结".into(), Some(ClosedCode::PartlyResolved)),
                Status(CaseState::Closed, "结案".into(), None),
                Status(CaseState::Signed, String::new(), None),
                Status(CaseState::Closed, "不实".into(), Some(ClosedCode::PartlyResolved)),
                Status(CaseState::Signed, "不实".into(), Some(ClosedCode::Unfounded)),
                Status(CaseState::Withdrawn, "办结".into(), Some(ClosedCode::Resolved)),
            ],
            closed_codes: vec![(ClosedCode::Resolved, "1".into()), (ClosedCode::Resolved, String::new())],
            return_statuses: vec!["退回".into(), String::new(), "退回".into(), "办结".into()],
        };
        assert_eq!(
            problems(&mapping),
            [
                "classes[1].class_code duplicate",
                "classes[1].item_code unknown_item",
                "classes[2].class_code empty",
                "classes[2].item_code application_item",
                "areas[0].unit_code unknown_unit",
                "areas[1].area_code duplicate",
                "statuses[2].state duplicate",
                "statuses[3].external_status empty",
                "statuses[4].state duplicate",
                "statuses[5].closed_code does_not_fit",
                "statuses[6].closed_code does_not_fit",
                "closed_codes[1].closed_code duplicate",
                "closed_codes[1].external_code empty",
                "return_statuses[1] empty",
                "return_statuses[2] duplicate",
            ]
        );
    }

    #[test]
    fn codes_are_found_both_ways() {
        let mapping = Mapping {
            classes: vec![row("A", "CJ-1"), row("B", "CJ-1")],
            areas: vec![row("x", "420103005001")],
            statuses: vec![
                Status(CaseState::Closed, "办结".into(), None),
                Status(CaseState::Archived, "办结".into(), None),
            ],
            closed_codes: vec![(ClosedCode::Resolved, "1".into())],
            ..Mapping::default()
        };
        assert!(problems(&mapping).is_empty());
        assert_eq!(
            (mapping.item("B"), mapping.item("C"), mapping.class("CJ-1")),
            (Some("CJ-1"), None, Some("A"))
        );
        assert_eq!((mapping.unit("x"), mapping.area("420103005001")), (Some("420103005001"), Some("x")));
        assert_eq!(
            (mapping.status(CaseState::Closed, None), mapping.status(CaseState::Signed, None)),
            (Some("办结"), None)
        );
        assert_eq!((mapping.state("办结"), mapping.state("转办")), (Some(CaseState::Closed), None));
        assert_eq!(mapping.closed(ClosedCode::Resolved), Some("1"));
    }
    #[test]
    fn how_a_case_ended_has_a_word_of_its_own_or_that_of_its_state() {
        use ClosedCode::{Explained, PartlyResolved, Resolved};
        let mapping = Mapping {
            statuses: vec![
                Status(CaseState::Closed, "部分办结".into(), Some(PartlyResolved)),
                Status(CaseState::Closed, "办结".into(), None),
                Status(CaseState::Completed, "已解释".into(), Some(Explained)),
            ],
            ..Mapping::default()
        };
        assert!(problems(&mapping).is_empty());
        let words = [
            (CaseState::Closed, Some(PartlyResolved), Some("部分办结")),
            (CaseState::Closed, Some(Resolved), Some("办结")),
            (CaseState::Closed, None, Some("办结")),
            (CaseState::Completed, Some(Explained), Some("已解释")),
            // Neither for another way nor for another state.
            (CaseState::Completed, Some(PartlyResolved), None),
            (CaseState::Completed, None, None),
            (CaseState::Verifying, Some(Explained), None),
        ];
        for (state, ended, word) in words {
            assert_eq!(mapping.status(state, ended), word, "{state} {ended:?}");
        }
        let back = |word: &str| mapping.state(word);
        assert_eq!((back("部分办结"), back("已解释")), (Some(CaseState::Closed), Some(CaseState::Completed)));
    }

    #[test]
    fn a_word_for_sending_back_is_understood_and_never_told() {
        let mapping = Mapping {
            statuses: vec![Status(CaseState::Withdrawn, "撤单".into(), None)],
            return_statuses: vec!["退回".into(), "撤单".into()],
            ..Mapping::default()
        };
        assert!(problems(&mapping).is_empty());
        assert!(mapping.returns("退回") && mapping.returns("撤单") && !mapping.returns("办结"));
        assert_eq!(mapping.state("退回"), Some(CaseState::NotAccepted));
        assert_eq!(mapping.state("撤单"), Some(CaseState::Withdrawn), "as they call it otherwise");
        assert_eq!(mapping.status(CaseState::NotAccepted, None), None);
        let written = serde_json::to_string(&mapping).unwrap();
        assert_eq!(serde_json::from_str::<Mapping>(&written).unwrap(), mapping);
    }

    #[test]
    fn a_version_of_before_is_read_and_one_without_words_for_endings_is_written_like_it() {
        let kept =
            r#"{"classes":[],"areas":[],"statuses":[["closed","办结"]],"closed_codes":[["resolved","1"]]}"#;
        let mut mapping: Mapping = serde_json::from_str(kept).unwrap();
        assert_eq!(mapping.statuses, [Status(CaseState::Closed, "办结".into(), None)]);
        assert_eq!(serde_json::to_string(&mapping).unwrap(), kept);
        mapping.statuses.push(Status(CaseState::Closed, "不实".into(), Some(ClosedCode::Unfounded)));
        let written = serde_json::to_string(&mapping).unwrap();
        assert!(written.contains(r#"["closed","不实","unfounded"]"#), "{written}");
        assert_eq!(serde_json::from_str::<Mapping>(&written).unwrap(), mapping);
    }
}
