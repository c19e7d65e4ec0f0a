//! The words of another system and ours. A version is checked whole, so that whoever drafts it sees everything that is wrong
//! at once, and never changes afterwards.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::domain::{CaseState, ClosedCode};

/// Their code and ours.
pub type Row = (String, String);

/// One version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Class there, item here.
    pub classes: Vec<Row>,
    /// Area there, code of the unit here.
    pub areas: Vec<Row>,
    /// State here, status there.
    pub statuses: Vec<(CaseState, String)>,
    /// Way of closing here, code there.
    pub closed_codes: Vec<(ClosedCode, String)>,
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
        for (number, (state, theirs)) in self.statuses.iter().enumerate() {
            if !states.insert(state) {
                add("statuses", number, "state", "duplicate");
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

    /// Their word for a state.
    #[must_use]
    pub fn status(&self, state: CaseState) -> Option<&str> {
        let found = self.statuses.iter().find(|(ours, _)| *ours == state);
        found.map(|(_, theirs)| theirs.as_str())
    }

    /// The first state that they call so.
    #[must_use]
    pub fn state(&self, status: &str) -> Option<CaseState> {
        self.statuses.iter().find(|(_, theirs)| theirs == status).map(|(ours, _)| *ours)
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
                (CaseState::Closed, "办结".into()),
                (CaseState::Closed, "结案".into()),
                (CaseState::Signed, String::new()),
            ],
            closed_codes: vec![(ClosedCode::Resolved, "1".into()), (ClosedCode::Resolved, String::new())],
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
                "statuses[1].state duplicate",
                "statuses[2].external_status empty",
                "closed_codes[1].closed_code duplicate",
                "closed_codes[1].external_code empty",
            ]
        );
    }

    #[test]
    fn codes_are_found_both_ways() {
        let mapping = Mapping {
            classes: vec![row("A", "CJ-1"), row("B", "CJ-1")],
            areas: vec![row("x", "420103005001")],
            statuses: vec![(CaseState::Closed, "办结".into()), (CaseState::Archived, "办结".into())],
            closed_codes: vec![(ClosedCode::Resolved, "1".into())],
        };
        assert!(problems(&mapping).is_empty());
        assert_eq!(
            (mapping.item("B"), mapping.item("C"), mapping.class("CJ-1")),
            (Some("CJ-1"), None, Some("A"))
        );
        assert_eq!((mapping.unit("x"), mapping.area("420103005001")), (Some("420103005001"), Some("x")));
        assert_eq!(
            (mapping.status(CaseState::Closed), mapping.status(CaseState::Signed)),
            (Some("办结"), None)
        );
        assert_eq!((mapping.state("办结"), mapping.state("转办")), (Some(CaseState::Closed), None));
        assert_eq!(mapping.closed(ClosedCode::Resolved), Some("1"));
    }
}
