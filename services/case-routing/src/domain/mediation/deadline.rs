//! What a mediation waits for until a day. Periods of the law are counted by the calendar, never earlier than promised.

use calendar::{Due, Limit, TimeUnit};
use serde::{Deserialize, Serialize};

use super::super::event::Timestamp;
use super::super::rules::Rules;
use super::codes::DeadlineKind;

/// Joint request for confirmation, from the day of effect (人民调解法 art. 33).
pub const REQUEST_CONFIRMATION: Limit = Limit::new(TimeUnit::CalDay, 30);
/// The court takes the request or not (司法确认程序规定 art. 4).
pub const COURT_ACCEPTS: Limit = Limit::new(TimeUnit::CalDay, 3);
/// The court decides (art. 5).
pub const COURT_DECIDES: Limit = Limit::new(TimeUnit::CalDay, 15);
/// The court decides, when it extended its time.
pub const COURT_DECIDES_EXTENDED: Limit = Limit::new(TimeUnit::CalDay, 25);

/// A day by which something has to happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    pub kind: DeadlineKind,
    /// Unset for a day that the parties agreed on.
    pub limit: Option<Limit>,
    pub started_at: Timestamp,
    /// The last instant that is in time.
    pub due_at: Timestamp,
    /// It crosses into a year whose holidays are not published yet.
    pub provisional: bool,
    pub calendar_version: u32,
    /// It happened, in time or not; or does not matter any more.
    pub met_at: Option<Timestamp>,
    /// The day went by without it.
    pub passed_at: Option<Timestamp>,
}

impl Deadline {
    /// Counted from an instant.
    #[must_use]
    pub fn counted(kind: DeadlineKind, limit: Limit, from: Timestamp, rules: &Rules) -> Self {
        let due = rules.calendar.add(limit.unit, limit.n, from, &rules.profile);
        let mut deadline = Self::on(kind, from, due.at);
        deadline.limit = Some(limit);
        deadline.take(due);
        deadline
    }

    /// A day that is given.
    #[must_use]
    pub const fn on(kind: DeadlineKind, from: Timestamp, due_at: Timestamp) -> Self {
        Self {
            kind,
            limit: None,
            started_at: from,
            due_at,
            provisional: false,
            calendar_version: 0,
            met_at: None,
            passed_at: None,
        }
    }

    /// Neither met nor passed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.met_at.is_none() && self.passed_at.is_none()
    }

    /// Whether it may still happen in time.
    #[must_use]
    pub fn in_time(&self, at: Timestamp) -> bool {
        self.passed_at.is_none() && at <= self.due_at
    }

    /// The calendar that it was counted with, while it is waited for. `None` also for a day that the parties agreed on.
    #[must_use]
    pub fn counted_with(&self) -> Option<u32> {
        self.limit.filter(|_| self.is_open()).map(|_| self.calendar_version)
    }

    /// Whether it is waited for, and was counted with an older calendar or profile than these.
    #[must_use]
    pub fn is_behind(&self, rules: &Rules) -> bool {
        self.counted_with().is_some_and(|version| version < rules.calendar.version_with(&rules.profile))
    }

    /// By the calendar that is in force now: later if it comes out later, never earlier. Gives the day before, if it moved.
    pub(super) fn follow(&mut self, rules: &Rules) -> Option<Timestamp> {
        let limit = self.limit.filter(|_| self.is_behind(rules))?;
        let before = self.due_at;
        let promised =
            Due { at: before, provisional: self.provisional, calendar_version: self.calendar_version };
        self.take(rules.calendar.recompute(promised, limit, self.started_at, &[], &rules.profile));
        (self.due_at > before).then_some(before)
    }

    /// More time from the same beginning.
    pub(super) fn extend(&mut self, limit: Limit, rules: &Rules) {
        let due = rules.calendar.add(limit.unit, limit.n, self.started_at, &rules.profile);
        self.limit = Some(limit);
        self.take(Due { at: due.at.max(self.due_at), ..due });
    }

    const fn take(&mut self, due: Due) {
        self.due_at = due.at;
        self.provisional = due.provisional;
        self.calendar_version = due.calendar_version;
    }
}
