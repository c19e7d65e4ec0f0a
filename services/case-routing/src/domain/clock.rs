//! The clocks of a case: what runs, what stands still, when it is due, warned of and breached.
//! Due times are computed by the crate `calendar`; a clock keeps the result and what it came from.

use calendar::{Due, Interval, Limit, TimeUnit};
use chrono::TimeDelta;
use chrono::serde::{ts_microseconds, ts_microseconds_option};
use serde::{Deserialize, Serialize};

use super::codes::ClockKind;
use super::event::Timestamp;
use super::ids::TaskId;
use super::instant;
use super::rules::Rules;

/// The parts of a limit, in percent, at which a reminder is due where the rules say nothing else (domain.md F4).
pub const WARNINGS: [u8; 2] = [50, 80];

/// What comes later than this before the next reminder, or before the end, is left out: nobody could act on it in between.
const LEAST_NOTICE: TimeDelta = TimeDelta::minutes(1);

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
    /// Of the time that an item promises: what the law sets, from the same start (法定时限). It is never due later (C-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statutory_limit: Option<Limit>,
    /// Until when the law leaves time, where it sets any.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub statutory_due_at: Option<Timestamp>,
    pub calendar_version: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub provisional: bool,
    /// When warnings fall; none of a window, nor of a clock that has stopped.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "instant::write_both_if_set")]
    pub warn_at: Option<[Timestamp; 2]>,
    /// Set of a case that came from another system: what was to be warned of before is not warned of here.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub quiet_until: Option<Timestamp>,
    /// Of which parts of the limit, in percent, they warn.
    #[serde(default = "usual_warnings", skip_serializing_if = "are_usual_warnings")]
    pub warn_percent: [u8; 2],
    /// The highest warning that was given, in percent; 0 if none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub warned: u8,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub breached_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "ts_microseconds_option")]
    pub stopped_at: Option<Timestamp>,
}

const fn usual_warnings() -> [u8; 2] {
    WARNINGS
}

fn are_usual_warnings(percent: &[u8; 2]) -> bool {
    *percent == WARNINGS
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
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
            statutory_limit: None,
            statutory_due_at: None,
            calendar_version: 0,
            provisional: false,
            warn_at: None,
            quiet_until: None,
            warn_percent: rules.warn_percent,
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
            statutory_limit: None,
            statutory_due_at: None,
            calendar_version: due.calendar_version,
            provisional: false,
            warn_at: None,
            quiet_until: None,
            warn_percent: WARNINGS,
            warned: 0,
            breached_at: None,
            stopped_at: Some(stopped_at),
        }
    }

    /// What it counts is the promise of an item of which the law says how long it may take, if it says so: from the same
    /// start, over a long holiday, the law may end first.
    pub(super) fn bind(&mut self, law: Option<Limit>, rules: &Rules) {
        if self.statutory_limit != law {
            self.statutory_limit = law;
            self.statutory_due_at = None;
        }
        let (at, provisional, calendar_version) = (self.due_at, self.provisional, self.calendar_version);
        self.take(Due { at, provisional, calendar_version }, rules);
        if let Some(by) = self.quiet_until {
            self.forgo_warnings(by);
        }
    }

    /// What was promised elsewhere holds, also when it is counted again, and past the law: whoever promised it answers for it.
    pub(super) fn promise(&mut self, due_at: Timestamp, rules: &Rules) {
        self.promised_at = Some(due_at);
        let due = Due { at: due_at, provisional: false, calendar_version: self.calendar_version };
        self.take(due, rules);
    }

    /// What was promised elsewhere, moved on by the pauses.
    fn promised(&self, rules: &Rules) -> Option<Timestamp> {
        self.promised_at.map(|promised| moved_on(self.limit.unit, promised, &self.pauses, rules))
    }

    /// Warnings that were due by then count as given, also those of another limit later.
    pub(super) fn forgo_warnings(&mut self, by: Timestamp) {
        if self.warn_at.is_some() && self.is_open() {
            self.quiet_until = Some(by);
            self.pass_warnings(by);
        }
    }

    /// What was to be warned of by then counts as given: where the marks are new, nobody is reminded of what lies behind.
    pub(super) fn pass_warnings(&mut self, by: Timestamp) {
        let marks = self.warn_at.into_iter().flatten().zip(self.warn_percent);
        let passed = marks.filter(|(at, _)| *at <= by).map(|(_, percent)| percent).max();
        self.warned = self.warned.max(passed.unwrap_or(0));
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
            let pause = Interval { from, to: at.max(from) };
            self.move_kept(pause, rules);
            self.pauses.push(pause);
            let first = self.warn_at.is_none();
            // Pauses only add time; a calendar that changed meanwhile takes none away.
            self.count_again(rules);
            if first {
                self.pass_warnings(at); // it came from a build that warned of no such limit
            }
        }
    }

    /// What was kept because another calendar or other hours would end it earlier moves on by a pause as well: counted from its
    /// start alone the pause would be lost in what was kept.
    fn move_kept(&mut self, pause: Interval, rules: &Rules) {
        let counted =
            |limit| rules.calendar.add_paused(limit, self.started_at, &self.pauses, &rules.profile).at;
        let moved = |unit, kept| moved_on(unit, kept, &[pause], rules);
        let due_at = self.promised(rules).unwrap_or_else(|| counted(self.limit));
        let kept = Some(self.due_at).filter(|kept| *kept > due_at).map(|kept| moved(self.limit.unit, kept));
        let law = self.statutory_limit.zip(self.statutory_due_at);
        let law = law.filter(|(law, kept)| *kept > counted(*law)).map(|(law, kept)| moved(law.unit, kept));
        self.due_at = kept.unwrap_or(self.due_at);
        self.statutory_due_at = law.or(self.statutory_due_at);
    }

    /// When it is due if it stands still from then to then.
    pub(super) fn due_after(&self, from: Timestamp, to: Timestamp, rules: &Rules) -> Timestamp {
        let mut clock = self.clone();
        clock.pause(from);
        clock.resume(to, rules);
        clock.due_at
    }

    /// Stops, closing a pause that is open. Its due time is that of a clock resumed then.
    pub(super) fn stop(&mut self, at: Timestamp, rules: &Rules) {
        if self.is_open() {
            self.resume(at, rules);
            self.stopped_at = Some(at);
            // Of no use any more, and cases are kept for years.
            self.warn_at = None;
        }
    }

    /// Runs on as if it had never stopped.
    pub(super) fn run_on(&mut self, rules: &Rules) {
        self.stopped_at = None;
        self.count_warnings(rules);
    }

    /// Another limit, counted from the same start: triage named the item, or an extension was approved.
    /// More time never ends earlier, whatever became of the calendar; a shorter limit is a new promise, but never ends before
    /// what was promised elsewhere. Another limit has its own warnings, those ahead of `now`.
    pub(super) fn change_limit(&mut self, limit: Limit, now: Timestamp, rules: &Rules) {
        let more = limit.unit == self.limit.unit && limit.n >= self.limit.n;
        let another = limit != self.limit;
        let promised = self.promised(rules).filter(|_| another);
        if another {
            self.warned = 0;
        }
        self.limit = limit;
        if let Some(promised) = promised {
            let until =
                |limit| rules.calendar.add_paused(limit, self.started_at, &self.pauses, &rules.profile).at;
            if until(limit) >= promised && self.statutory_limit.is_none_or(|law| until(law) >= promised) {
                // The limit asks for no less: from now on it counts.
                self.promised_at = None;
            }
        }
        if more || self.promised_at.is_some() {
            self.count_again(rules);
        } else {
            self.settle(rules);
        }
        if another {
            self.pass_warnings(self.paused_at.unwrap_or(now));
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
        if self.is_behind(rules) { self.recount(rules) } else { None }
    }

    /// Counts it by the hours of another place, if it runs; never earlier than promised. Gives the due time before, if it
    /// moved.
    pub(super) fn recount(&mut self, rules: &Rules) -> Option<Timestamp> {
        if !self.is_running() || self.breached_at.is_some() {
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
        self.elapsed_in(self.limit.unit, at, rules)
    }

    /// The same in another kind of time; of a clock that has stopped until it did.
    pub(super) fn elapsed_in(&self, unit: TimeUnit, at: Timestamp, rules: &Rules) -> i64 {
        let (from, until) = (self.started_at, self.paused_at.or(self.stopped_at).unwrap_or(at));
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

    /// The next warning that was not given yet, of those that leave time to act on them.
    #[must_use]
    pub fn next_warning(&self) -> Option<(Timestamp, u8)> {
        let ([first, second], [half, most]) = (self.warn_at?, self.warn_percent);
        let second = Some((second, most)).filter(|(at, _)| self.due_at - *at >= LEAST_NOTICE);
        let next = second.map_or(self.due_at, |(at, _)| at);
        let first = Some((first, half)).filter(|(at, _)| next - *at >= LEAST_NOTICE);
        first.into_iter().chain(second).find(|(_, percent)| *percent > self.warned)
    }

    fn settle(&mut self, rules: &Rules) {
        let due = rules.calendar.add_paused(self.limit, self.started_at, &self.pauses, &rules.profile);
        self.take(due, rules);
    }

    /// Not past what the law leaves, which no calendar that changed takes back either.
    fn within_law(&mut self, due: Due, rules: &Rules) -> Due {
        let Some(law) = self.statutory_limit else { return due };
        let counted = rules.calendar.add_paused(law, self.started_at, &self.pauses, &rules.profile);
        let at = self.statutory_due_at.map_or(counted.at, |known| known.max(counted.at));
        self.statutory_due_at = Some(at);
        if self.promised_at.is_none() && at < due.at { Due { at, ..counted } } else { due }
    }

    fn take(&mut self, due: Due, rules: &Rules) {
        let due = self.within_law(due, rules);
        self.due_at = due.at;
        self.provisional = due.provisional;
        self.calendar_version = due.calendar_version;
        self.count_warnings(rules);
    }

    /// When it warns. A window has nobody who would be late by it.
    fn count_warnings(&mut self, rules: &Rules) {
        let warns = !self.kind.is_window();
        self.warn_percent = if warns { rules.warn_percent } else { WARNINGS };
        self.warn_at = warns.then(|| {
            rules.warn_percent.map(|percent| {
                let span = (self.started_at, self.due_at);
                rules.calendar.at_percent(self.limit.unit, percent, span, &self.pauses, &rules.profile)
            })
        });
    }
}

/// What was promised until an instant, moved on by pauses: hours by the paused time, days as the calendar moves them on. A pause
/// that begins when it was over moves nothing: late stays late.
fn moved_on(unit: TimeUnit, promised: Timestamp, pauses: &[Interval], rules: &Rules) -> Timestamp {
    if matches!(unit, TimeUnit::CalHour | TimeUnit::WorkHour) {
        let moved = |due: Timestamp, pause: &Interval| {
            if pause.from < due { due + (pause.to - pause.from) } else { due }
        };
        return pauses.iter().fold(promised, moved);
    }
    rules.calendar.promise_paused(unit, promised, pauses, &rules.profile)
}

#[cfg(test)]
#[path = "clock_tests.rs"]
mod tests;
