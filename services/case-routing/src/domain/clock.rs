//! The clocks of a case: what runs, what stands still, when it is due, warned of and breached.
//! Due times are computed by the crate `calendar`; a clock keeps the result and what it came from.

use calendar::{Due, Interval, Limit, TimeUnit, local_day};
use chrono::TimeDelta;
use chrono::serde::{ts_microseconds, ts_microseconds_option};
use serde::{Deserialize, Serialize};

use super::codes::ClockKind;
use super::event::Timestamp;
use super::ids::TaskId;
use super::rules::Rules;

/// The parts of a limit, in percent, at which a reminder is due (domain.md F4).
pub const WARNINGS: [u8; 2] = [50, 80];

/// A limit that runs, stands still or has stopped. Half of a stored case are clocks, so they are written briefly: what is
/// not set is left out, and instants are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    pub kind: ClockKind,
    /// Set for the clocks of a task: sign, objection, contact, assist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    pub limit: Limit,
    #[serde(with = "ts_microseconds")]
    pub started_at: Timestamp,
    /// Periods it stood still, closed ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<Interval>,
    /// Set while it stands still.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub paused_at: Option<Timestamp>,
    /// While it stands still: what was due before the pause.
    #[serde(with = "ts_microseconds")]
    pub due_at: Timestamp,
    /// Set where another system promised until when, before any pause: then that counts instead of the limit.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub promised_at: Option<Timestamp>,
    pub calendar_version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub provisional: bool,
    /// When [`WARNINGS`] fall; none for kinds that are not warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<[Timestamp; 2]>,
    /// Set of a case that came from another system: what was to be warned of before is not warned of here.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub quiet_until: Option<Timestamp>,
    /// The highest warning that was given, in percent; 0 if none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warned: u8,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub breached_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub stopped_at: Option<Timestamp>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start(
        kind: ClockKind,
        task_id: Option<TaskId>,
        limit: Limit,
        at: Timestamp,
        rules: &Rules,
    ) -> Self {
        let mut clock = Self {
            kind,
            task_id,
            limit,
            started_at: at,
            pauses: Vec::new(),
            paused_at: None,
            due_at: at,
            promised_at: None,
            calendar_version: 0,
            provisional: false,
            warn_at: None,
            quiet_until: None,
            warned: 0,
            breached_at: None,
            stopped_at: None,
        };
        clock.settle(rules);
        clock
    }

    /// A clock that ran elsewhere and has stopped; due when it was due there, or by its limit.
    pub(super) fn past(
        kind: ClockKind,
        limit: Limit,
        (started_at, stopped_at): (Timestamp, Timestamp),
        due_at: Option<Timestamp>,
        rules: &Rules,
    ) -> Self {
        let due = rules.calendar.add_paused(limit, started_at, &[], &rules.profile);
        Self {
            kind,
            task_id: None,
            limit,
            started_at,
            pauses: Vec::new(),
            paused_at: None,
            due_at: due_at.unwrap_or(due.at),
            // It has stopped: nobody counts it again.
            promised_at: None,
            calendar_version: due.calendar_version,
            provisional: false,
            warn_at: None,
            quiet_until: None,
            warned: 0,
            breached_at: None,
            stopped_at: Some(stopped_at),
        }
    }

    /// What was promised elsewhere holds, also when it is counted again.
    pub(super) fn promise(&mut self, due_at: Timestamp, rules: &Rules) {
        self.promised_at = Some(due_at);
        let due = Due { at: due_at, provisional: false, calendar_version: self.calendar_version };
        self.take(due, rules);
    }

    /// What was promised elsewhere, moved on by the pauses: hours by the paused time, days by the days that the pauses took
    /// away (as the calendar counts them), to a working day.
    fn promised(&self, rules: &Rules) -> Option<Timestamp> {
        let promised = self.promised_at?;
        if matches!(self.limit.unit, TimeUnit::CalHour | TimeUnit::WorkHour) {
            let paused: TimeDelta = self.pauses.iter().map(|pause| pause.to - pause.from).sum();
            return Some(promised + paused);
        }
        let works = |day| rules.profile.is_work_day(&rules.calendar, day);
        let working = self.limit.unit == TimeUnit::WorkDay;
        let days = self.pauses.iter().flat_map(|pause| {
            let last = local_day(pause.to);
            local_day(pause.from).iter_days().skip(1).take_while(move |day| *day <= last)
        });
        let lost = days.filter(|day| !working || works(*day)).count();
        let Some(most) = lost.checked_sub(1) else { return Some(promised) };
        let last = local_day(promised);
        let moved = last.iter_days().skip(1).filter(|day| !working || works(*day)).nth(most);
        let moved = moved.and_then(|day| day.iter_days().find(|day| works(*day)));
        Some(promised + (moved.unwrap_or(last) - last))
    }

    /// Warnings that were due by then count as given, also those of another limit later.
    pub(super) fn forgo_warnings(&mut self, by: Timestamp) {
        let Some(warn_at) = self.warn_at.filter(|_| self.is_open()) else { return };
        self.quiet_until = Some(by);
        let passed = warn_at.into_iter().zip(WARNINGS).filter(|(at, _)| *at <= by);
        self.warned = passed.map(|(_, percent)| percent).max().unwrap_or(0).max(self.warned);
    }

    /// Neither stopped nor standing still.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.stopped_at.is_none() && self.paused_at.is_none()
    }

    /// Not stopped, though it may stand still.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.stopped_at.is_none()
    }

    /// Whether what it measures happened, or may still happen, in time at that instant.
    #[must_use]
    pub fn in_time(&self, at: Timestamp) -> bool {
        self.breached_at.is_none() && at <= self.due_at
    }

    pub(super) fn pause(&mut self, at: Timestamp) {
        if self.is_running() {
            self.paused_at = Some(at);
        }
    }

    pub(super) fn resume(&mut self, at: Timestamp, rules: &Rules) {
        if let Some(from) = self.paused_at.take() {
            self.pauses.push(Interval { from, to: at.max(from) });
            // Pauses only add time; a calendar that changed meanwhile takes none away.
            self.count_again(rules);
        }
    }

    /// Stops, closing a pause that is open. Its due time is that of a clock resumed then.
    pub(super) fn stop(&mut self, at: Timestamp, rules: &Rules) {
        if self.is_open() {
            self.resume(at, rules);
            self.stopped_at = Some(at);
        }
    }

    /// Another limit, counted from the same start: triage named the item, or an extension was approved.
    /// More time never ends earlier, whatever became of the calendar; a shorter limit is a new promise, but never ends before
    /// what was promised elsewhere.
    pub(super) fn change_limit(&mut self, limit: Limit, rules: &Rules) {
        let more = limit.unit == self.limit.unit && limit.n >= self.limit.n;
        let promised = self.promised(rules).filter(|_| limit != self.limit);
        self.limit = limit;
        self.warned = 0;
        if let Some(promised) = promised {
            let due = rules.calendar.add_paused(limit, self.started_at, &self.pauses, &rules.profile);
            if due.at >= promised {
                // The limit asks for no less: from now on it counts.
                self.promised_at = None;
            }
        }
        if more || self.promised_at.is_some() {
            self.count_again(rules);
        } else {
            self.settle(rules);
        }
        if let Some(by) = self.quiet_until {
            self.forgo_warnings(by);
        }
    }

    /// Whether it runs and was counted with an older calendar or profile than these.
    #[must_use]
    pub fn is_behind(&self, rules: &Rules) -> bool {
        self.is_running()
            && self.breached_at.is_none()
            && self.calendar_version < rules.calendar.version_with(&rules.profile)
    }

    /// Recomputes the due time of a clock that [is behind](Self::is_behind); never earlier than promised.
    /// Gives the due time before, if it moved.
    pub fn recompute(&mut self, rules: &Rules) -> Option<Timestamp> {
        if !self.is_behind(rules) {
            return None;
        }
        let before = self.due_at;
        self.count_again(rules);
        (self.due_at > before).then_some(before)
    }

    fn count_again(&mut self, rules: &Rules) {
        if let Some(promised) = self.promised(rules) {
            let calendar_version = rules.calendar.version_with(&rules.profile);
            let due = Due { at: promised.max(self.due_at), provisional: false, calendar_version };
            self.take(due, rules);
            return;
        }
        let promised =
            Due { at: self.due_at, provisional: self.provisional, calendar_version: self.calendar_version };
        let due =
            rules.calendar.recompute(promised, self.limit, self.started_at, &self.pauses, &rules.profile);
        self.take(due, rules);
    }

    /// Seconds that ran until `at`, pauses left out, in the clock's own kind of time.
    #[must_use]
    pub fn elapsed_seconds(&self, at: Timestamp, rules: &Rules) -> i64 {
        let until = self.paused_at.unwrap_or(at);
        let (unit, from) = (self.limit.unit, self.started_at);
        rules.calendar.elapsed(unit, from, until, &self.pauses, &rules.profile).num_seconds()
    }

    /// The next instant at which something falls due: a warning, else the end.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        if !self.is_running() || self.breached_at.is_some() {
            return None;
        }
        Some(self.next_warning().map_or(self.due_at, |(at, _)| at.min(self.due_at)))
    }

    /// The next warning that was not given yet.
    #[must_use]
    pub fn next_warning(&self) -> Option<(Timestamp, u8)> {
        let [half, most] = self.warn_at?;
        match self.warned {
            0 => Some((half, WARNINGS[0])),
            50 => Some((most, WARNINGS[1])),
            _ => None,
        }
    }

    fn settle(&mut self, rules: &Rules) {
        let due = rules.calendar.add_paused(self.limit, self.started_at, &self.pauses, &rules.profile);
        self.take(due, rules);
    }

    fn take(&mut self, due: Due, rules: &Rules) {
        self.due_at = due.at;
        self.provisional = due.provisional;
        self.calendar_version = due.calendar_version;
        let warned_of = matches!(
            self.kind,
            ClockKind::Resolve | ClockKind::Rework | ClockKind::Assist | ClockKind::Verify | ClockKind::Stage
        );
        self.warn_at = warned_of.then(|| {
            WARNINGS.map(|percent| {
                let span = (self.started_at, self.due_at);
                rules.calendar.at_percent(self.limit.unit, percent, span, &self.pauses, &rules.profile)
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("{text}+08:00").parse().unwrap()
    }

    fn clock() -> (Clock, Rules) {
        let rules = Rules::default();
        let limit = Limit::new(TimeUnit::CalHour, 10);
        (Clock::start(ClockKind::Resolve, None, limit, at("2026-06-08T09:00:00"), &rules), rules)
    }

    #[test]
    fn a_clock_warns_at_half_and_four_fifths_and_then_ends() {
        let (mut clock, _) = clock();
        assert_eq!(clock.next_at(), Some(at("2026-06-08T14:00:00")));
        clock.warned = 50;
        assert_eq!(clock.next_at(), Some(at("2026-06-08T17:00:00")));
        clock.warned = 80;
        assert_eq!(clock.next_at(), Some(at("2026-06-08T19:00:00")));
        clock.breached_at = Some(clock.due_at);
        assert_eq!(clock.next_at(), None);
        assert!(!clock.in_time(clock.started_at));
    }

    #[test]
    fn a_pause_moves_what_is_due_and_hides_it_meanwhile() {
        let (mut clock, rules) = clock();
        clock.pause(at("2026-06-08T10:00:00"));
        assert_eq!(clock.next_at(), None);
        assert_eq!(clock.elapsed_seconds(at("2026-06-08T20:00:00"), &rules), 3600);
        clock.resume(at("2026-06-09T10:00:00"), &rules);
        assert_eq!(clock.due_at, at("2026-06-09T19:00:00"));
        assert_eq!(clock.next_at(), Some(at("2026-06-09T14:00:00")));
        clock.pause(at("2026-06-09T11:00:00"));
        clock.stop(at("2026-06-09T12:00:00"), &rules);
        assert_eq!(clock.due_at, at("2026-06-09T20:00:00"));
        assert_eq!(clock.elapsed_seconds(at("2026-06-09T12:00:00"), &rules), 2 * 3600);
        clock.stop(at("2026-06-10T12:00:00"), &rules);
        assert_eq!(clock.stopped_at, Some(at("2026-06-09T12:00:00")), "a stopped clock stays as it is");
    }

    #[test]
    fn a_published_holiday_moves_a_running_clock_later_only() {
        let rules = Rules::default();
        let limit = Limit::new(TimeUnit::WorkDay, 5);
        let mut clock = Clock::start(ClockKind::Resolve, None, limit, at("2026-12-28T10:00:00"), &rules);
        assert!(clock.provisional);
        let before = clock.due_at;
        let notice = calendar::YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![calendar::HolidayGroup {
                name: "元旦".into(),
                off: vec!["2027-01-01/2027-01-03".into()],
                work: vec![],
            }],
        };
        let published = Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules };
        assert_eq!(clock.recompute(&published), Some(before));
        assert_eq!(clock.due_at, before + TimeDelta::days(1));
        assert!(!clock.provisional);
        let (counted, once) = (clock.clone(), clock.recompute(&published));
        assert_eq!((once, &clock), (None, &counted), "a second time nothing changes");
        assert_eq!(clock.recompute(&Rules::default()), None, "an older calendar takes nothing back");
        assert_eq!(clock, counted);
    }

    /// Rules in which 1–3 January 2027 are worked, the weekend among them: every due time after comes out earlier.
    fn more_work(rules: &Rules) -> Rules {
        let notice = calendar::YearNotice {
            title_year: 2027,
            papers: vec![],
            holidays: vec![calendar::HolidayGroup {
                name: "元旦".into(),
                off: vec!["2027-01-29".into()],
                work: vec!["2027-01-02/2027-01-03".into()],
            }],
        };
        Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules.clone() }
    }

    #[test]
    fn a_pause_or_an_extension_under_another_calendar_takes_nothing_back() {
        let rules = Rules::default();
        let (limit, start) = (Limit::new(TimeUnit::WorkDay, 5), at("2026-12-28T10:00:00"));
        let begun = Clock::start(ClockKind::Resolve, None, limit, start, &rules);
        let fresh = Clock::start(ClockKind::Resolve, None, limit, start, &more_work(&rules));
        assert!(fresh.due_at < begun.due_at, "the premise");
        let mut paused = begun.clone();
        paused.pause(at("2026-12-28T11:00:00"));
        assert!(!paused.is_behind(&more_work(&rules)), "it is counted again when it runs");
        paused.resume(at("2026-12-28T12:00:00"), &more_work(&rules));
        assert_eq!(paused.due_at, begun.due_at);
        let mut extended = begun.clone();
        extended.change_limit(Limit::new(TimeUnit::WorkDay, 6), &more_work(&rules));
        assert_eq!(extended.due_at, begun.due_at);
        extended.change_limit(Limit::new(TimeUnit::WorkDay, 1), &more_work(&rules));
        assert_eq!(extended.due_at, at("2026-12-29T17:00:00"), "a shorter limit is a new promise");
    }

    #[test]
    fn what_was_promised_elsewhere_holds_through_pauses_recounts_and_other_limits() {
        let rules = Rules::default();
        let (limit, start) = (Limit::new(TimeUnit::WorkDay, 5), at("2026-06-08T10:00:00"));
        let begun = Clock::start(ClockKind::Resolve, None, limit, start, &rules);
        // Before and after what the limit would give.
        for promised in [at("2026-06-11T17:00:00"), at("2026-06-24T17:00:00")] {
            let mut clock = begun.clone();
            clock.promise(promised, &rules);
            let mut counted = clock.clone();
            counted.change_limit(limit, &rules);
            assert_eq!(counted.due_at, promised, "the same limit changes nothing");
            assert_eq!(counted.recompute(&more_work(&rules)), None);
            assert!(!counted.is_behind(&more_work(&rules)));
            assert_eq!(counted.due_at, promised, "another calendar neither");
            // Over two nights, Tuesday to Thursday: two working days; then within a day, which costs none.
            clock.pause(at("2026-06-09T10:00:00"));
            clock.resume(at("2026-06-11T10:00:00"), &rules);
            clock.pause(at("2026-06-11T11:00:00"));
            clock.resume(at("2026-06-11T12:00:00"), &rules);
            let moved =
                if promised < begun.due_at { at("2026-06-15T17:00:00") } else { at("2026-06-26T17:00:00") };
            assert_eq!(clock.due_at, moved);
            let mut shorter = clock.clone();
            shorter.change_limit(Limit::new(TimeUnit::WorkDay, 1), &rules);
            assert_eq!(shorter.due_at, moved, "a shorter limit does not end earlier");
            let mut longer = clock.clone();
            longer.change_limit(Limit::new(TimeUnit::WorkDay, 60), &rules);
            assert!(longer.due_at > moved && longer.promised_at.is_none());
        }
        let mut clock = Clock::start(
            ClockKind::Resolve,
            None,
            Limit::new(TimeUnit::CalHour, 10),
            at("2026-06-08T09:00:00"),
            &rules,
        );
        clock.promise(at("2026-06-09T09:00:00"), &rules);
        clock.pause(at("2026-06-08T10:00:00"));
        clock.stop(at("2026-06-08T13:00:00"), &rules);
        assert_eq!(clock.due_at, at("2026-06-09T12:00:00"), "hours by the paused time");
        let stored = serde_json::to_string(&clock).unwrap();
        assert_eq!(serde_json::from_str::<Clock>(&stored).unwrap(), clock);
        assert!(!serde_json::to_string(&begun).unwrap().contains("promised_at"), "written where it is set");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_recount_never_moves_a_clock_earlier_and_is_done_once(
            unit in proptest::sample::select(TimeUnit::ALL.to_vec()), n in 0_u16..60, hours in 0_i64..1_000,
            off in 0_u64..60, length in 0_u64..12, work in 0_u64..60,
        ) {
            let rules = Rules::default();
            let start = at("2026-12-01T10:00:00") + TimeDelta::hours(hours);
            let mut clock = Clock::start(ClockKind::Resolve, None, Limit::new(unit, n), start, &rules);
            let day = |number: u64| chrono::NaiveDate::from_ymd_opt(2027, 1, 1).unwrap() + chrono::Days::new(number);
            let notice = calendar::YearNotice {
                title_year: 2027,
                papers: vec![],
                holidays: vec![calendar::HolidayGroup {
                    name: "x".into(),
                    off: vec![format!("{}/{}", day(off), day(off + length))],
                    work: (work < off || work > off + length).then(|| day(work).to_string()).into_iter().collect(),
                }],
            };
            let published = Rules { calendar: rules.calendar.amended(&notice).unwrap(), ..rules };
            let before = clock.clone();
            let moved = clock.recompute(&published);
            proptest::prop_assert!(clock.due_at >= before.due_at);
            proptest::prop_assert_eq!(moved, (clock.due_at > before.due_at).then_some(before.due_at));
            proptest::prop_assert!(!clock.is_behind(&published));
            let counted = clock.clone();
            proptest::prop_assert_eq!(clock.recompute(&published), None);
            proptest::prop_assert_eq!(clock, counted);
        }
    }
}
