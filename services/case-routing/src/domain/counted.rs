//! Due times that are no clocks: they neither stand still nor warn, but follow the calendar as clocks do. Each is kept with
//! what it was counted from, and with which calendar.

use calendar::{Due, Limit};
use chrono::serde::ts_microseconds;
use serde::{Deserialize, Serialize};

use super::event::Timestamp;
use super::rules::Rules;

/// What a due time was counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    pub limit: Limit,
    #[serde(with = "ts_microseconds")]
    pub from: Timestamp,
    pub calendar_version: u32,
}

impl Counted {
    /// Counts a limit from an instant. Gives when it is due, too.
    #[must_use]
    pub fn begin(limit: Limit, from: Timestamp, rules: &Rules) -> (Self, Timestamp) {
        let due = rules.calendar.add(limit.unit, limit.n, from, &rules.profile);
        (Self { limit, from, calendar_version: due.calendar_version }, due.at)
    }

    /// Whether it was counted with an older calendar or profile than these.
    #[must_use]
    pub fn is_behind(&self, rules: &Rules) -> bool {
        self.calendar_version < rules.calendar.version_with(&rules.profile)
    }

    /// Counts it again. Gives when it is due: later than was promised if it comes out later, never earlier.
    pub(super) fn recount(&mut self, promised: Timestamp, rules: &Rules) -> Timestamp {
        let known = Due { at: promised, provisional: false, calendar_version: self.calendar_version };
        let due = rules.calendar.recompute(known, self.limit, self.from, &[], &rules.profile);
        self.calendar_version = due.calendar_version;
        due.at
    }
}

#[cfg(test)]
mod tests {
    use calendar::{HolidayGroup, TimeUnit, YearNotice};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}+08:00").parse().unwrap()
    }

    /// Rules once a notice for 2027 makes these days of January rest days, and this one of February a working day.
    fn published(rules: &Rules, off: (u32, u32), work: &[&str]) -> Rules {
        let notice = YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![HolidayGroup {
                name: "x".into(),
                off: vec![format!("2027-01-{:02}/2027-01-{:02}", off.0, off.1)],
                work: work.iter().map(|day| (*day).to_owned()).collect(),
            }],
        };
        Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules.clone() }
    }

    #[test]
    fn days_off_before_it_is_due_move_it_later_once_and_days_worked_never_earlier() {
        let rules = Rules::default();
        let from = at("2026-12-30T09:00:00");
        let (mut counted, due) = Counted::begin(Limit::new(TimeUnit::WorkDay, 3), from, &rules);
        assert_eq!(due, at("2027-01-04T17:00:00"));
        assert!(!counted.is_behind(&rules));
        let longer = published(&rules, (1, 3), &[]);
        assert!(counted.is_behind(&longer));
        let later = counted.recount(due, &longer);
        assert_eq!(later, at("2027-01-05T17:00:00"));
        assert_eq!(counted.calendar_version, longer.calendar.version_with(&longer.profile));
        assert!(!counted.is_behind(&longer));
        let known = counted;
        assert_eq!(counted.recount(later, &longer), later);
        assert_eq!(counted, known);
        // Taken back, and the weekend worked.
        let shorter = published(&longer, (20, 20), &["2027-01-02", "2027-01-03"]);
        assert_eq!(counted.recount(later, &shorter), later, "promised");
        assert!(!counted.is_behind(&shorter), "counted all the same");
    }

    #[test]
    fn days_of_the_calendar_move_where_their_last_day_becomes_a_rest_day_and_no_further() {
        let rules = Rules::default();
        let from = at("2026-12-29T15:00:00");
        let (mut counted, due) = Counted::begin(Limit::new(TimeUnit::CalDay, 7), from, &rules);
        let last = |day: u32| at(&format!("2027-01-{day:02}T23:59:59.999999"));
        assert_eq!(due, last(5));
        let before = published(&rules, (1, 4), &[]);
        assert_eq!(counted.recount(due, &before), due, "rest days in between count");
        let over = published(&before, (4, 6), &[]);
        assert_eq!(counted.recount(due, &over), last(7));
    }

    #[test]
    fn it_is_kept_with_its_calendar() {
        let (counted, _) =
            Counted::begin(Limit::new(TimeUnit::WorkDay, 1), at("2026-06-08T09:00:00"), &Rules::default());
        let text = serde_json::to_string(&counted).unwrap();
        assert_eq!(serde_json::from_str::<Counted>(&text).unwrap(), counted);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn whatever_is_published_nothing_moves_earlier_and_a_second_count_changes_nothing(
            unit in proptest::sample::select(TimeUnit::ALL.to_vec()), n in 0_u16..40, hours in 0_i64..1_000,
            off in 1_u32..20, length in 0_u32..10,
        ) {
            let rules = Rules::default();
            let from = at("2026-12-01T10:00:00") + chrono::TimeDelta::hours(hours);
            let (mut counted, due) = Counted::begin(Limit::new(unit, n), from, &rules);
            let new = published(&rules, (off, off + length), &[]);
            let later = counted.recount(due, &new);
            prop_assert!(later >= due && !counted.is_behind(&new));
            let known = counted;
            prop_assert_eq!(counted.recount(later, &new), later);
            prop_assert_eq!(counted, known);
        }
    }
}
