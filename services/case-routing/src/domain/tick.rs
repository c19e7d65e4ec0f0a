//! What time brings by itself: warnings, breaches, acceptance by silence, lapsed offers, escalations,
//! closure, archiving. A sweep may come late or twice: each thing happens once, at the instant it was due.

use super::case::{Case, Rating};
use super::codes::*;
use super::error::Result;
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::society::OVERDUE;
use super::state::Trigger;
use super::supervision::TOP_LEVEL;
use super::work::{Act, Decision, Party, Work};

/// Why whoever leads is reminded of an assist.
pub(super) const ASSIST_OVERDUE: &str = "assist_overdue";

/// One thing that falls due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// A clock, by its place in the list: its next warning, or its end.
    Clock(usize),
    /// A partner's part of the time is used up.
    PartnerOverdue,
    Resume,
    Escalate(SupervisionId),
    /// What an answer promised did not come.
    Rise(SupervisionId),
    Archive,
    /// The last day of an application's public notice is over.
    NoticeOver,
    /// The papers of an urgent grant did not come.
    PapersOverdue,
}

/// More than one case can ever have due at once; a guard against a loop, not a limit.
const MOST_STEPS: usize = 1_000;

impl Case {
    /// The next instant at which [`Case::tick`] has something to do; a sweeper indexes cases by it.
    #[must_use]
    pub fn next_timer_at(&self) -> Option<Timestamp> {
        self.next_timer().map(|(at, _)| at)
    }

    /// Does everything that is due at `act.now`, in the order it fell due. `None`: nothing was.
    ///
    /// # Errors
    /// None in practice: every step follows the state table.
    pub fn tick(self, act: &Act<'_>) -> Result<Option<Decision>> {
        if self.next_timer_at().is_none_or(|at| at > act.now) {
            return Ok(None);
        }
        let started = self.updated_at;
        let mut work = Work::begin(self, act);
        work.by = Party::system();
        if !work.has_told() {
            work.now = started;
        }
        for _ in 0..MOST_STEPS {
            match work.case.next_timer().filter(|(at, _)| *at <= act.now) {
                Some((at, timer)) => {
                    work.now = work.now.max(at);
                    work.fire(timer, at, act.now)?;
                }
                None => break,
            }
        }
        Ok(Some(work.finish()))
    }

    fn next_timer(&self) -> Option<(Timestamp, Timer)> {
        let clocks = self.clocks.iter().enumerate();
        let clocks = clocks.filter_map(|(number, clock)| Some((clock.next_at()?, Timer::Clock(number))));
        let supervisions = self.supervisions.iter().filter(|supervision| {
            let waits =
                matches!(supervision.state, SupervisionState::Issued | SupervisionState::Acknowledged);
            waits && (1..TOP_LEVEL).contains(&supervision.level) && !self.rests(supervision)
        });
        let supervisions =
            supervisions.map(|supervision| (supervision.due_at, Timer::Escalate(supervision.id)));
        let answered = self.supervisions.iter();
        let answered = answered
            .filter_map(|supervision| Some((self.rises_at(supervision)?, Timer::Rise(supervision.id))));
        let others = [
            self.partner_due_at().map(|at| (at, Timer::PartnerOverdue)),
            self.suspension.as_ref().and_then(|suspension| Some((suspension.resume_at?, Timer::Resume))),
            self.archive_at.filter(|_| !self.rating_awaits_judgement()).map(|at| (at, Timer::Archive)),
            self.application
                .as_ref()
                .and_then(|face| Some((face.notice.as_ref()?.over_at, Timer::NoticeOver))),
            self.application.as_ref().and_then(|face| Some((face.papers_due_at?, Timer::PapersOverdue))),
        ];
        let others = others.into_iter().flatten();
        clocks.chain(supervisions).chain(answered).chain(others).min_by_key(|(at, _)| *at)
    }

    fn rating_awaits_judgement(&self) -> bool {
        self.rating.as_ref().is_some_and(Rating::awaits_judgement)
    }

    fn partner_due_at(&self) -> Option<Timestamp> {
        self.confirmed_offer().filter(|_| self.state == CaseState::InProgress)?;
        self.lead().filter(|task| task.state.is_open())?.due_at
    }
}

impl Work<'_> {
    /// What fell due at `at`, seen at `seen`.
    fn fire(&mut self, timer: Timer, at: Timestamp, seen: Timestamp) -> Result<()> {
        match timer {
            Timer::Clock(number) => {
                let clock = &self.case.clocks[number];
                match clock.next_warning().filter(|(warn_at, _)| *warn_at <= at && at < clock.due_at) {
                    Some((_, percent)) => self.warn(number, percent, seen),
                    None => self.breach(number)?,
                }
            }
            Timer::PartnerOverdue => self.return_from_society(OVERDUE)?,
            Timer::Resume => self.resume(Some(Reason::new("resume_date_reached")))?,
            Timer::Escalate(id) => self.escalate(id, "no_answer"),
            Timer::Rise(id) => self.escalate(id, "still_overdue"),
            Timer::Archive => self.archive()?,
            Timer::NoticeOver => self.end_notice(),
            Timer::PapersOverdue => self.papers_overdue(),
        }
        Ok(())
    }

    /// Not where the next warning, or the end, has come as well by the time this is seen: then that is told instead.
    fn warn(&mut self, number: usize, percent: u8, seen: Timestamp) {
        let clock = &mut self.case.clocks[number];
        clock.warned = percent;
        if clock.next_at().is_some_and(|next| next <= seen) {
            return;
        }
        let (kind, task_id, due_at) = (clock.kind, clock.task_id, clock.due_at);
        let (org_id, unit_id) = self.reminded(kind, task_id);
        let reason = Reason::new("clock_reminder").with("clock", kind).with("percent", percent);
        let reason = reason.with("org", org_id);
        let event = DomainEvent::ClockWarned { clock: kind, task_id, org_id, unit_id, percent, due_at };
        self.emit(event, Some(reason), task_id);
    }

    /// The end of a clock, by the table of domain.md §2.2.2.
    pub(super) fn breach(&mut self, number: usize) -> Result<()> {
        let clock = &mut self.case.clocks[number];
        clock.breached_at = Some(clock.due_at);
        let (kind, task_id, due_at) = (clock.kind, clock.task_id, clock.due_at);
        if kind.is_window() {
            self.stop_clock(kind, task_id);
        } else {
            let reason = Reason::new("clock_breached").with("clock", kind);
            self.emit(DomainEvent::ClockBreached { clock: kind, task_id, due_at }, Some(reason), task_id);
        }
        match kind {
            ClockKind::Accept => self.accept_by_silence(),
            ClockKind::Supplement => self.supplement_expired(),
            ClockKind::Offer => self.lapse_offer("timed_out"),
            ClockKind::RatingWindow if !self.case.rating_awaits_judgement() => {
                self.close("rating_window_over")
            }
            ClockKind::Resolve if self.is_with_partner() => {
                self.overdue(1, kind, task_id);
                self.return_from_society(OVERDUE)
            }
            ClockKind::Consult => {
                self.end_consultation();
                Ok(())
            }
            ClockKind::Sign if self.case.is_only_invited(task_id) => self.invitation_unanswered(task_id),
            ClockKind::Dispatch
            | ClockKind::Sign
            | ClockKind::Resolve
            | ClockKind::Verify
            | ClockKind::Judge
            | ClockKind::Stage => {
                self.overdue(1, kind, task_id);
                Ok(())
            }
            ClockKind::Rework | ClockKind::Ruling => {
                self.overdue(2, kind, task_id);
                Ok(())
            }
            // Who does not come is reported to the district.
            ClockKind::Report => {
                self.supervise(2, "did_not_report", Some(kind), task_id);
                Ok(())
            }
            ClockKind::Assist => {
                if !self.case.is_only_invited(task_id) {
                    self.overdue(0, kind, task_id);
                }
                self.remind_lead(kind, task_id);
                Ok(())
            }
            ClockKind::Objection | ClockKind::Contact | ClockKind::RatingWindow => Ok(()),
        }
    }

    fn overdue(&mut self, level: u8, kind: ClockKind, task_id: Option<TaskId>) {
        self.supervise(level, "overdue", Some(kind), task_id);
    }

    /// Nobody asks a partner why it was silent. Whoever leads hears that it does not help yet; of a lead, which only an earlier
    /// release invited without an offer, silence is a no.
    fn invitation_unanswered(&mut self, task_id: Option<TaskId>) -> Result<()> {
        match self.case.lead_task.filter(|lead| Some(*lead) == task_id) {
            Some(lead) => self.task_declined(lead, "timed_out"),
            None => {
                self.remind_lead(ClockKind::Sign, task_id);
                Ok(())
            }
        }
    }

    /// Whoever leads hears of an assist that is late, too: the case waits for it.
    fn remind_lead(&mut self, kind: ClockKind, task_id: Option<TaskId>) {
        let late = task_id.and_then(|id| self.case.task(id).ok()).map(|task| task.org);
        if let Some(lead) = self.case.lead_org.filter(|lead| Some(*lead) != late) {
            self.supervise_org(0, ASSIST_OVERDUE, Some(kind), task_id, Some(lead));
        }
    }

    /// A partner works on it. What one has done stays done, whoever else is late.
    fn is_with_partner(&self) -> bool {
        let leads = self.case.confirmed_offer().is_some() && !self.case.partner_is_done();
        leads && self.case.state == CaseState::InProgress
    }

    /// What silence means to the item, as far as it may mean a withdrawal: not of what nobody knows yet or the requester could
    /// not withdraw either, not while others wait for the case, nor where nobody could have answered.
    fn silence(&self) -> Silence {
        let unheard = self.case.requester.is_none() && self.case.external.is_empty();
        match self.item() {
            Some(item) if !self.concerns_others() && self.case.merged.is_empty() && !unheard => item.silence,
            _ => Silence::Accepted,
        }
    }

    fn supplement_expired(&mut self) -> Result<()> {
        let silence = self.silence();
        self.resume_clocks();
        match silence {
            Silence::Accepted => {
                self.end_accept();
                self.enter(CaseState::Accepted, Trigger::SupplementExpired)?;
                self.accepted(false, true)
            }
            Silence::Withdrawn => {
                let told = Reason::new("supplement_not_sent");
                self.withdraw("supplement_not_sent", told, Trigger::SupplementExpired)
            }
        }
    }
}
