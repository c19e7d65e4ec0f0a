//! What two services hold of the same things, laid side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Result, ensure};
use serde::Serialize;

/// Who is compared with whom on what.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// What is compared.
    pub subject: &'static str,
    /// The service that holds what is expected, and under which subject.
    pub expected: (&'static str, &'static str),
    /// The service that is compared with it, and under which subject.
    pub found: (&'static str, &'static str),
}

/// One thing on which two services disagree, or one of them with itself.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// `case`, `task`, `offer`, `due`; the recounts `rollup`, `outcome`, `state`, `open_due`, `cell`; what a thing counts
    /// (`case_counts`, `task_counts`, `mediation_counts`); what services keep copies of (`unit`, `organization`, `edge`).
    pub subject: &'static str,
    /// The service that was compared.
    pub service: &'static str,
    /// Id of the thing, or place, table, line, day and item of the cell.
    pub key: String,
    /// `missing` (the other service lacks it), `extra` (only it has it) or `differing`.
    pub kind: &'static str,
    /// What case-routing holds; of a cell, what the facts count; of a copy, the version that identity has.
    pub expected: String,
    /// What the other service holds; of a cell, what the rollups have.
    pub found: String,
}

/// A comparison that could not be made to its end.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What was to be compared.
    pub subject: &'static str,
    /// The service that was to be compared.
    pub service: &'static str,
    /// Why it could not.
    pub error: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {}: {}", self.subject, self.service, self.error)
    }
}

/// The outcome of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reconciliation {
    /// How many things were compared, by subject.
    pub compared: BTreeMap<&'static str, u64>,
    /// Everything that differs.
    pub differences: Vec<Difference>,
    /// What could not be compared, or not to its end, and why.
    pub failures: Vec<Failure>,
    /// Active assignments beyond those that a task needs + extra records + extra facts + facts that count too much + how far
    /// figures are from their recount.
    pub duplicated_effects: u64,
    /// Services that could not be asked.
    #[serde(skip)]
    pub(super) away: BTreeSet<String>,
    /// Analytics lacks a fact: what it makes anew of its facts is too low then.
    #[serde(skip)]
    facts_lost: bool,
}

/// Subjects that are figures beside a recount: what is too low is as wrong as what is too high.
const FIGURES: [&str; 5] = ["rollup", "outcome", "state", "open_due", "cell"];

/// Subjects that are what one fact counts: one that says too much is one effect, however much it says.
const FACTS: [&str; 3] = ["case_counts", "task_counts", "mediation_counts"];

/// What identity owns and every other service keeps a copy of, by version. One that is behind or ahead, or held by one side alone, is no
/// effect that happened twice.
pub(super) const COPIED: [&str; 3] = ["unit", "organization", "edge"];

impl Reconciliation {
    /// Whether a service is worth asking: one that could not be asked is not waited for again.
    ///
    /// # Errors
    /// Tells that it could not.
    pub fn worth_asking(&self, service: &str) -> Result<()> {
        ensure!(!self.away.contains(service), "{service} could not be asked before, and was not asked again");
        Ok(())
    }

    /// Whether every comparison was made to its end.
    ///
    /// # Errors
    /// Tells which were not, and why.
    pub fn all_made(&self) -> Result<()> {
        let failed: Vec<String> = self.failures.iter().map(ToString::to_string).collect();
        ensure!(failed.is_empty(), "not everything could be compared: {}", failed.join("; "));
        Ok(())
    }

    /// Whether everything was compared and nothing differs.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty() && self.failures.is_empty()
    }

    /// Compares what is held of one thing; unset where a side does not know it.
    pub(super) fn weigh(
        &mut self,
        comparison: &Comparison,
        key: &str,
        expected: Option<&str>,
        found: Option<&str>,
    ) {
        let (want, have) = (expected.unwrap_or_default(), found.unwrap_or_default());
        let kind = match (expected, found) {
            (Some(_), Some(_)) if !agree(want, have) => "differing",
            (Some(_), None) if !empty_effect(want) => "missing",
            (None, Some(_)) if !empty_effect(have) => "extra",
            _ => return,
        };
        self.facts_lost |= kind == "missing" && comparison.subject.ends_with("_counts");
        // A figure beside a recount that lacks facts did not happen twice for that; it is told as a difference.
        if comparison.subject != "cell" || !self.facts_lost {
            self.duplicated_effects += duplicated(comparison.subject, want, have);
        }
        self.differences.push(Difference {
            subject: comparison.subject,
            service: comparison.found.0,
            key: key.to_owned(),
            kind,
            expected: want.to_owned(),
            found: have.to_owned(),
        });
    }
}

/// What a part of a value is about: `closed` of `closed@2026-03-02=1`.
fn name(part: &str) -> &str {
    part.split(['=', '@']).next().unwrap_or_default()
}

/// Names of what whoever holds it cannot tell any more: `rated` of `rated=?`.
fn unknown(value: &str) -> Vec<&str> {
    value.split(';').filter_map(|part| part.strip_suffix("=?")).collect()
}

/// Whether both say the same, but for what is expected of neither.
fn agree(expected: &str, found: &str) -> bool {
    let unknown = unknown(expected);
    let known = |part: &&str| !unknown.contains(&name(part));
    expected == found
        || (!unknown.is_empty() && expected.split(';').filter(known).eq(found.split(';').filter(known)))
}

/// A value that says "nothing here" need not be held by the other side.
fn empty_effect(value: &str) -> bool {
    !value.is_empty() && value.split(';').all(|part| part.ends_with("=0"))
}

/// Whether a number of a figure counts something, and is no sum of times or grades.
fn is_count(name: &str) -> bool {
    let times = name.starts_with("seconds") || name.starts_with("minutes_") || name.ends_with("_days");
    !times && !name.ends_with("_grades")
}

/// How far a figure is from its recount: what it counts too much and what it counts too little, added up.
fn apart(want: &BTreeMap<String, i64>, have: &BTreeMap<String, i64>) -> u64 {
    let names: BTreeSet<&String> = want.keys().chain(have.keys()).collect();
    let of = |numbers: &BTreeMap<String, i64>, name: &str| numbers.get(name).copied().unwrap_or(0);
    names.into_iter().filter(|name| is_count(name)).map(|name| of(want, name).abs_diff(of(have, name))).sum()
}

/// How often an effect stands that should not: how far a figure is off, numbers above what is expected (of a fact: once, if any
/// is), or a thing too many.
fn duplicated(subject: &str, expected: &str, found: &str) -> u64 {
    if COPIED.contains(&subject) {
        return 0;
    }
    let unknown = unknown(expected);
    let numbers = |value: &str| -> BTreeMap<String, i64> {
        value
            .split(';')
            .filter(|part| !unknown.contains(&name(part)))
            .filter_map(|part| part.split_once('='))
            .filter_map(|(name, number)| Some((name.to_owned(), number.parse().ok()?)))
            .collect()
    };
    let (want, have) = (numbers(expected), numbers(found));
    if FIGURES.contains(&subject) {
        return apart(&want, &have);
    }
    if have.is_empty() {
        return u64::from(expected.is_empty() && !found.is_empty());
    }
    // Only what is too much.
    let over: u64 =
        have.iter().map(|(name, n)| (n - want.get(name).copied().unwrap_or(0)).max(0).unsigned_abs()).sum();
    if FACTS.contains(&subject) { over.min(1) } else { over }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: &'static str) -> Comparison {
        Comparison { subject, expected: ("case-routing", subject), found: ("analytics", subject) }
    }

    fn outcome(subject: &'static str, expected: &[(&str, &str)], found: &[(&str, &str)]) -> Reconciliation {
        let comparison = of(subject);
        let mut outcome = Reconciliation::default();
        let value = |held: &[(&str, &str)], key: &str| -> Option<String> {
            held.iter().find(|(known, _)| *known == key).map(|(_, value)| (*value).to_owned())
        };
        for (key, want) in expected {
            outcome.weigh(&comparison, key, Some(want), value(found, key).as_deref());
        }
        for (key, have) in found.iter().filter(|(key, _)| value(expected, key).is_none()) {
            outcome.weigh(&comparison, key, None, Some(have));
        }
        outcome
    }

    #[test]
    fn what_could_not_be_compared_is_told_beside_what_was() {
        let mut outcome = outcome("case", &[("a", "closed|9")], &[("a", "closed|9")]);
        assert!(outcome.is_clean() && outcome.all_made().is_ok());
        let error = "analytics does not list its digests of `cell`".to_owned();
        outcome.failures.push(Failure { subject: "cell", service: "analytics", error });
        assert!(!outcome.is_clean());
        let told = outcome.all_made().expect_err("one failed").to_string();
        assert!(told.contains("`cell` of analytics: analytics does not list"), "{told}");
    }

    #[test]
    fn a_copy_that_is_behind_or_ahead_differs_and_did_not_happen_twice() {
        let told = outcome(
            "unit",
            &[("a", "3"), ("b", "1"), ("c", "2"), ("e", "1")],
            &[("a", "2"), ("b", "1"), ("d", "1"), ("e", "2")],
        );
        let told_of: Vec<_> = told
            .differences
            .iter()
            .map(|one| (one.key.as_str(), one.kind, one.expected.as_str(), one.found.as_str()))
            .collect();
        let expected = [
            ("a", "differing", "3", "2"),
            ("c", "missing", "2", ""),
            ("e", "differing", "1", "2"),
            ("d", "extra", "", "1"),
        ];
        assert_eq!((told_of.as_slice(), told.duplicated_effects), (expected.as_slice(), 0));
    }

    #[test]
    fn equal_sides_differ_in_nothing() {
        let same = outcome("case", &[("a", "closed|9")], &[("a", "closed|9")]);
        assert!(same.differences.is_empty());
        assert_eq!(same.duplicated_effects, 0);
    }

    #[test]
    fn a_second_active_assignment_is_a_duplicated_effect() {
        let two = outcome("task", &[("t", "known;active=1")], &[("t", "known;active=2")]);
        assert_eq!(two.duplicated_effects, 1);
        assert_eq!(two.differences[0].kind, "differing");
    }

    #[test]
    fn of_a_task_that_needs_several_only_those_beyond_are_duplicated_effects() {
        let needed = outcome("task", &[("t", "known;active=2")], &[("t", "known;active=2")]);
        assert!(needed.differences.is_empty(), "{needed:?}");
        let three = outcome("task", &[("t", "known;active=2")], &[("t", "known;active=3")]);
        assert_eq!((three.differences[0].kind, three.duplicated_effects), ("differing", 1));
        let lost = outcome("task", &[("t", "known;active=2")], &[("t", "known;active=1")]);
        assert_eq!((lost.differences[0].kind, lost.duplicated_effects), ("differing", 0));
    }

    #[test]
    fn a_missing_fact_is_lost_but_not_duplicated() {
        let lost = outcome("case", &[("a", "closed|9")], &[]);
        assert_eq!(lost.differences[0].kind, "missing");
        assert_eq!(lost.duplicated_effects, 0);
    }

    #[test]
    fn a_task_that_was_signed_and_is_absent_in_staffing_is_missing() {
        let lost = outcome("task", &[("t", "known;active=0")], &[]);
        assert_eq!(lost.differences[0].kind, "missing");
        assert_eq!(lost.duplicated_effects, 0);
        let unheard = outcome("task", &[], &[("t", "known;active=0")]);
        assert_eq!(unheard.differences[0].kind, "extra");
    }

    #[test]
    fn a_rollup_counts_by_how_far_it_is_from_its_recount_whether_too_high_or_too_low() {
        let off = |expected: &str, found: &str| {
            let told = outcome("rollup", &[("u|i|d", expected)], &[("u|i|d", found)]);
            (told.differences.len(), told.duplicated_effects)
        };
        assert_eq!(off("registered=5;closed=3", "registered=4;closed=5"), (1, 3));
        assert_eq!(off("registered=5", "registered=3"), (1, 2));
        assert_eq!(off("registered=5", "registered=9"), (1, 4));
        assert_eq!(off("registered=5;closed=3", "registered=4"), (1, 4), "what it lacks is zero");
        let gone = outcome("rollup", &[("u|i|d", "registered=5;closed=3")], &[]);
        assert_eq!((gone.differences[0].kind, gone.duplicated_effects), ("missing", 8));
    }

    #[test]
    fn outcomes_states_and_due_times_by_the_hour_count_so_too() {
        let ended = outcome(
            "outcome",
            &[("u|i", "ended_resolved=2;mode_volunteer=2")],
            &[("u|i", "ended_resolved=3;mode_gov_direct=2")],
        );
        assert_eq!(ended.duplicated_effects, 5);
        let moved = outcome("state", &[("u|l|closed", "count=2")], &[("u|l|signed", "count=2")]);
        assert_eq!(moved.differences.iter().map(|d| d.kind).collect::<Vec<_>>(), ["missing", "extra"]);
        assert_eq!(moved.duplicated_effects, 4, "where it is now and where it is missing");
        let hour = outcome("open_due", &[("u|l|h", "count=2")], &[("u|l|h", "count=1")]);
        assert_eq!(hour.duplicated_effects, 1);
        let due = outcome("due", &[("c", "2026-03-02T09:00:00.000000Z")], &[]);
        assert_eq!((due.differences[0].kind, due.duplicated_effects), ("missing", 0));
    }

    #[test]
    fn nothing_and_zero_are_the_same() {
        assert!(outcome("rollup", &[("u|i|d", "registered=0")], &[]).differences.is_empty());
        assert!(outcome("rollup", &[], &[("u|i|d", "registered=0")]).differences.is_empty());
    }

    #[test]
    fn a_cell_counts_by_how_far_it_is_from_what_the_facts_count_but_for_times_and_grades() {
        let twice = outcome(
            "cell",
            &[("u|counter|l|2026-03-02|i", "callback_valid=1;due=1")],
            &[("u|counter|l|2026-03-02|i", "callback_valid=2;due=1"), ("u|state|l|closed", "count=1")],
        );
        assert_eq!(twice.differences.iter().map(|one| one.kind).collect::<Vec<_>>(), ["differing", "extra"]);
        assert_eq!(twice.duplicated_effects, 2);
        let key = "u|duration|l|2026-03-02|i|work_day|46";
        let (one, two) = ("count=1;seconds=60", "count=2;seconds=86460");
        for (expected, found) in [(one, two), (two, one)] {
            let off = outcome("cell", &[(key, expected)], &[(key, found)]);
            assert_eq!((off.differences.len(), off.duplicated_effects), (1, 1), "seconds are no effects");
        }
        let sums = [
            ("callback_graded=1;callback_grades=5", "callback_graded=2;callback_grades=9"),
            ("overdue_in=1;overdue_in_days=20", "overdue_in=2;overdue_in_days=42"),
            ("minuted_volunteer=1;minutes_volunteer=30", "minuted_volunteer=2;minutes_volunteer=90"),
            ("closed=1;seconds_signed=30", "closed=2;seconds_signed=90"),
        ];
        for (expected, found) in sums {
            let off = outcome("cell", &[(key, expected)], &[(key, found)]);
            assert_eq!(off.duplicated_effects, 1, "{expected} beside {found}");
        }
    }

    #[test]
    fn figures_above_a_recount_that_lacks_a_fact_did_not_happen_twice() {
        let mut outcome = Reconciliation::default();
        outcome.weigh(&of("case_counts"), "c", Some("closed@2026-03-02=1"), None);
        outcome.weigh(&of("cell"), "u|state|l|closed", Some("count=1"), Some("count=2"));
        outcome.weigh(&of("cell"), "u|state|l|signed", None, Some("count=1"));
        assert_eq!((outcome.differences.len(), outcome.duplicated_effects), (3, 0));
        outcome.weigh(&of("state"), "u|l|closed", Some("count=1"), Some("count=2"));
        assert_eq!(outcome.duplicated_effects, 1, "case-routing knows better");
    }

    #[test]
    fn what_a_case_counts_too_much_is_duplicated_and_what_it_lacks_is_not() {
        let held = "callback_due@2026-03-02=1;callback_valid@2026-03-02=1";
        let told = held.replace("valid@2026-03-02=1", "valid@2026-03-02=2");
        let twice = outcome("case_counts", &[("c", held)], &[("c", &told)]);
        assert_eq!((twice.differences.len(), twice.duplicated_effects), (1, 1));
        let lost = outcome("case_counts", &[("c", held)], &[("c", "callback_due@2026-03-02=1")]);
        assert_eq!((lost.differences.len(), lost.duplicated_effects), (1, 0));
        let (one, other) = ("closed@2026-03-02=1", "closed@2026-03-03=1");
        let other_day = outcome("case_counts", &[("c", one)], &[("c", other)]);
        assert_eq!((other_day.differences.len(), other_day.duplicated_effects), (1, 1));
    }

    #[test]
    fn what_is_not_held_any_more_is_not_compared() {
        let held = "closed@2026-03-02=1;intake_in_time=?;rated=?;rated_good=1";
        let told = "closed@2026-03-02=1;intake_in_time@2026-02-01=1;rated=2;rated_good=1";
        assert!(outcome("case_counts", &[("c", held)], &[("c", told)]).differences.is_empty());
        let told = told.replace("rated_good=1", "rated_good=2");
        let differs = outcome("case_counts", &[("c", held)], &[("c", &told)]);
        assert_eq!((differs.differences.len(), differs.duplicated_effects), (1, 1));
    }

    #[test]
    fn hours_that_a_partner_may_have_added_are_not_compared() {
        let settled = [("o", "completed;records=?")];
        for found in ["completed;records=0", "completed;records=1"] {
            assert!(outcome("offer", &settled, &[("o", found)]).differences.is_empty());
        }
        let differs = outcome("offer", &settled, &[("o", "confirmed;records=0")]);
        assert_eq!((differs.differences.len(), differs.duplicated_effects), (1, 0));
    }

    #[test]
    fn what_counts_nothing_need_not_be_known() {
        assert!(outcome("task_counts", &[("t", "counted=0")], &[]).differences.is_empty());
    }
}
