//! Reminders and supervision (催办, 督办; domain.md F4): issued by a leader or a clock, answered by the organisation, one level
//! up when it does not answer, and when what it answered for stays overdue past the time that it promised.

use super::application::PAPERS_OVERDUE;
use super::case::{Case, Objection, Supervision};
use super::clock::Clock;
use super::codes::{CaseState, ClockKind, DispatchMode, ObjectionState, SupervisionState, TaskState};
use super::counted::Counted;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::exchange::SAID_AFTER_END;
use super::follow::told;
use super::ids::*;
use super::mediation::DAY_PASSED;
use super::reason::Reason;
use super::work::{Act, Decision, Work, check_code};

impl Supervision {
    /// Whether it is about what is owed whatever becomes of the work: papers of an urgent grant, or what the parties of a
    /// mediation agreed on.
    pub(super) fn outlives_the_work(&self) -> bool {
        self.reason_code == PAPERS_OVERDUE || self.reason_code == DAY_PASSED
    }

    /// Whether it is about words that came when the case was over: for whoever it names, and no longer than the case is over.
    pub(super) fn is_about_words(&self) -> bool {
        self.reason_code == SAID_AFTER_END
    }

    /// The same, as long as nobody says that they were read.
    pub(super) fn waits_for_reader(&self) -> bool {
        self.is_about_words()
            && matches!(self.state, SupervisionState::Issued | SupervisionState::Acknowledged)
    }

    /// Whether it is about the case as a whole and stands: it is for whoever leads, as long as somebody does.
    fn goes_with_the_lead(&self) -> bool {
        let whole = self.clock.is_none() && self.task.is_none();
        let for_the_named = self.reason_code == DAY_PASSED || self.is_about_words();
        whole && self.state != SupervisionState::Cleared && !for_the_named
    }
}

/// The highest level: the city, or a leader.
pub const TOP_LEVEL: u8 = 3;

impl Case {
    /// A supervisor reminds (level 0) or supervises (1–3) the organisation that has the case or a task.
    ///
    /// # Errors
    /// `NotEntitled` for a machine; `Guard` `case_finished`, `only_invited` for whoever was invited and has not signed; `Invalid`
    /// level, code or task.
    pub fn supervise(
        self,
        level: u8,
        reason_code: &str,
        task: Option<TaskId>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let by = work.human_official()?;
        check_code("reason_code", reason_code)?;
        if level > TOP_LEVEL {
            return Err(DomainError::invalid("level", "0 is a reminder, 1–3 are supervision"));
        }
        if let Some(task) = task {
            work.case.task(task)?;
        }
        if work.case.state.is_finished() {
            return Err(DomainError::guard("case_finished", "a finished case is not supervised"));
        }
        if work.case.is_only_invited(task.or(work.case.lead_task)) {
            let message = "whoever was only invited, and has not signed, owes nothing";
            return Err(DomainError::guard("only_invited", message));
        }
        work.supervise(level, reason_code, None, task);
        if let Some(issued) = work.case.supervisions.last_mut() {
            issued.issued_by = Some(by);
        }
        Ok(work.finish())
    }

    /// The supervised organisation answers, and may promise a time. Until then, or as long again as there is to answer, what it
    /// is about is to be done; else it goes one level up by itself.
    ///
    /// # Errors
    /// `Invalid` id, code or time; `NotEntitled` for another organisation; `Guard(supervision_settled)`.
    pub fn answer_supervision(
        self,
        id: SupervisionId,
        answer_code: &str,
        promised_at: Option<Timestamp>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        check_code("answer_code", answer_code)?;
        let supervision = work.case.supervision(id)?.clone();
        work.acts_for(work.case.supervised(&supervision), "supervised_org")?;
        if matches!(supervision.state, SupervisionState::Answered | SupervisionState::Cleared) {
            return Err(DomainError::guard("supervision_settled", "it was answered or cleared already"));
        }
        let now = work.now;
        let in_time = supervision.answered_in_time.unwrap_or(now <= supervision.due_at);
        let (counted, rises_at) = work.to_be_done_by(promised_at)?;
        let found = work.case.supervisions.iter_mut().filter(|supervision| supervision.id == id);
        found.for_each(|supervision| {
            supervision.state = SupervisionState::Answered;
            supervision.answered_at = Some(now);
            supervision.answered_in_time = Some(in_time);
            supervision.rises_at = Some(rises_at);
            supervision.counted = counted;
            answer_code.clone_into(&mut supervision.answer_code);
        });
        let event = DomainEvent::SupervisionAnswered { supervision_id: id, in_time };
        work.emit(event, Some(Reason::new(answer_code)), supervision.task);
        Ok(work.finish())
    }

    /// The supervised organisation has seen it. Its time to answer runs on.
    ///
    /// # Errors
    /// `Invalid` id; `NotEntitled` for another organisation; `Guard(supervision_settled)`.
    pub fn acknowledge_supervision(self, id: SupervisionId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let supervision = work.case.supervision(id)?.clone();
        work.acts_for(work.case.supervised(&supervision), "supervised_org")?;
        if supervision.state != SupervisionState::Issued {
            return Err(DomainError::guard("supervision_settled", "it was acknowledged already"));
        }
        let found = work.case.supervisions.iter_mut().filter(|supervision| supervision.id == id);
        found.for_each(|supervision| supervision.state = SupervisionState::Acknowledged);
        let event = DomainEvent::SupervisionAcknowledged { supervision_id: id };
        work.emit(event, None, supervision.task);
        Ok(work.finish())
    }

    /// Somebody reports it one level up before its time: the answer does not do, or the organisation refuses.
    ///
    /// # Errors
    /// `Invalid` id or code; `NotEntitled` for a machine or the supervised organisation; `Guard` `supervision_settled`,
    /// `top_level`.
    pub fn escalate_supervision(
        self,
        id: SupervisionId,
        reason_code: &str,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let by = work.human_official()?;
        check_code("reason_code", reason_code)?;
        let supervision = work.case.supervision(id)?.clone();
        if work.case.supervised(&supervision) == by {
            return Err(DomainError::NotEntitled { code: "supervised_org" });
        }
        if supervision.state == SupervisionState::Cleared {
            return Err(DomainError::guard("supervision_settled", "it was cleared already"));
        }
        if supervision.level >= TOP_LEVEL {
            return Err(DomainError::guard("top_level", "there is no level above"));
        }
        work.escalate(id, reason_code);
        Ok(work.finish())
    }

    /// Who has to answer a supervision: who it names beside a task, else whose task it is about, or who has to do what its clock measures, else who leads.
    #[must_use]
    pub fn supervised(&self, supervision: &Supervision) -> OrgId {
        // A reminder about another's task.
        let named = supervision.org.filter(|_| supervision.task.is_some());
        let lead = self.lead_org.filter(|_| supervision.goes_with_the_lead());
        named
            .or(lead)
            .unwrap_or_else(|| self.has_to_act(supervision.clock, supervision.task, supervision.org))
    }

    /// Whether an organisation was invited to a part and has not signed for it: it never promised anything.
    pub(super) fn is_only_invited(&self, task: Option<TaskId>) -> bool {
        let task = task.and_then(|task| self.task(task).ok());
        task.is_some_and(|task| task.mode == DispatchMode::Invitation && task.state == TaskState::Issued)
    }

    /// Whose task it is, else who has to do what the clock measures, else who is named, else who leads or received it first. Over
    /// the objection of an assist somebody decides who is named.
    fn has_to_act(&self, clock: Option<ClockKind>, task: Option<TaskId>, named: Option<OrgId>) -> OrgId {
        let decides = clock == Some(ClockKind::Dispatch) && task.is_some();
        let of_task = task.filter(|_| !decides).and_then(|task| self.task(task).ok()).map(|task| task.org);
        let of_clock = clock.filter(|_| !decides).and_then(|clock| self.acts_against(clock));
        of_task.or(of_clock).or(named).or(self.lead_org).unwrap_or(self.first_receiver)
    }

    /// Who has to do what a clock of the case measures, as far as that is said: of what the requester was promised also whoever
    /// leads, before anybody who is named for the time in which nobody does.
    fn acts_against(&self, clock: ClockKind) -> Option<OrgId> {
        let verifier = || self.verification.as_ref().map(|verification| verification.verifier);
        match clock {
            ClockKind::Verify => verifier(),
            ClockKind::Judge => self.rating.as_ref().and_then(|rating| rating.judge).or_else(verifier),
            ClockKind::Ruling => self.objection.as_ref().and_then(|objection| objection.arbiter),
            ClockKind::Dispatch => self.decides_objection(),
            ClockKind::Resolve | ClockKind::Rework => {
                // Whose objection waits can do nothing until somebody has decided over it.
                let waited_for = self.waited_for().map(|task| task.decided_by().unwrap_or(task.org));
                waited_for.or(self.lead_org)
            }
            _ => None,
        }
    }

    fn open_objection(&self) -> Option<&Objection> {
        self.objection.as_ref().filter(|objection| objection.state == ObjectionState::Open)
    }

    /// Whoever sent the task that is objected to; where that is the objector itself, the first receiver. Where that is the
    /// objector, too, or complained of, the case does not tell ([`Work::sees_to`]).
    fn decides_objection(&self) -> Option<OrgId> {
        let open = self.open_objection()?;
        let sender = self.task(open.task).ok()?.sender;
        let decides = [sender, self.first_receiver].into_iter().find(|org| *org != open.objector);
        decides.filter(|org| self.complained_of != Some(*org))
    }

    /// Since when that is overdue which a supervision is about, while it is: a clock of it has run out and measures on, or
    /// papers have not come.
    fn overdue_since(&self, supervision: &Supervision) -> Option<Timestamp> {
        if supervision.reason_code == PAPERS_OVERDUE {
            return Some(supervision.issued_at);
        }
        let run_out = |clock: &&Clock| clock.is_running() && clock.breached_at.is_some();
        let Some(kind) = supervision.clock else {
            return self.meant_by_hand(supervision).filter(run_out).map(|clock| clock.due_at).min();
        };
        let clock = self.clock(kind, supervision.task).or_else(|| self.clock(kind, None));
        clock.filter(run_out).map(|clock| clock.due_at)
    }

    /// What a supervision that a person issued is about: the clocks of its task, by which that has to act, and not who decides over
    /// its objection; for the lead's, for one that has none, and without a task, what the requester was promised. Nothing, while it
    /// waits for who decides.
    fn meant_by_hand(&self, supervision: &Supervision) -> impl Iterator<Item = &Clock> {
        let task = supervision.task;
        let acts = move |clock: &&Clock| {
            let own = task.is_some() && clock.task_id == task;
            own && clock.is_open() && !matches!(clock.kind, ClockKind::Objection | ClockKind::Dispatch)
        };
        let of_task = self.clocks.iter().filter(acts);
        let waits = task.and_then(|id| self.task(id).ok()).is_some_and(|task| task.decided_by().is_some());
        let promised = !waits && (task == self.lead_task || of_task.clone().next().is_none());
        of_task.chain(self.resolve_clock().filter(|_| promised))
    }

    /// Whether nobody has to answer it for now: nobody works on a case that was merged into another. A rating of the other's
    /// result is judged there all the same.
    pub(super) fn rests(&self, supervision: &Supervision) -> bool {
        self.state == CaseState::Merged && supervision.clock != Some(ClockKind::Judge)
    }

    /// When an answered supervision goes one level up by itself: what it is about is overdue still, the answer's time is over.
    #[must_use]
    pub fn rises_at(&self, supervision: &Supervision) -> Option<Timestamp> {
        let rises_at = supervision.rises_at.filter(|_| supervision.state == SupervisionState::Answered)?;
        let since = self.overdue_since(supervision)?;
        (1..TOP_LEVEL).contains(&supervision.level).then(|| rises_at.max(since))
    }

    /// The supervisor is content. What a level issued, or what was raised to it, is for that level and those above to clear;
    /// `highest` is the one that the acting person's grants reach.
    ///
    /// # Errors
    /// `Invalid` id; `NotEntitled` for a machine, below the level of the supervision, and for whoever is supervised above level 1
    /// or while what it is about is overdue; `Guard` `recused` for the organisation complained of, unless
    /// [nobody stands above it](Self::nobody_above_subject), `supervision_settled`.
    pub fn clear_supervision(self, id: SupervisionId, highest: u8, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let by = work.human_official()?;
        work.not_decided_by_subject()?;
        let supervision = work.case.supervision(id)?.clone();
        if supervision.level > highest {
            return Err(DomainError::NotEntitled { code: "supervision_level" });
        }
        // Its own supervisor may be content with what it issued; what was raised above is for those above.
        let overdue = work.case.overdue_since(&supervision).is_some();
        if (supervision.level > 1 || overdue) && work.case.supervised(&supervision) == by {
            return Err(DomainError::NotEntitled { code: "supervised_org" });
        }
        if supervision.state == SupervisionState::Cleared {
            return Err(DomainError::guard("supervision_settled", "it was cleared already"));
        }
        work.clear_supervisions(|supervision| supervision.id == id);
        Ok(work.finish())
    }

    fn supervision(&self, id: SupervisionId) -> Result<&Supervision> {
        let found = self.supervisions.iter().find(|supervision| supervision.id == id);
        found.ok_or_else(|| DomainError::invalid("supervision_id", "not a supervision of this case"))
    }
}

impl Work<'_> {
    /// Who sees to what nobody has taken: to a verification, the lowest that stands above all who handled the case; to an
    /// objection, whoever decides over it; to a dispatch, and while nobody leads to what was promised, another than whoever received
    /// the case, where that is complained of. What else is about a task is its organisation's.
    pub(super) fn sees_to(&self, clock: Option<ClockKind>, task: Option<TaskId>) -> Option<OrgId> {
        if let Some(task) = task {
            let task = self.case.task(task).ok().filter(|_| clock == Some(ClockKind::Dispatch))?;
            return self.case.sees_to_assist(task, self.routes, self.now);
        }
        match clock {
            Some(ClockKind::Verify) if self.case.verification.is_none() => {
                let aside = self.case.complained_of;
                self.routes.superior_apart(&self.case.handling_orgs(), aside, self.now)
            }
            Some(ClockKind::Dispatch) => match self.case.open_objection() {
                Some(open) => self.sees_to_objection(open),
                None => self.dispatches_instead(),
            },
            // Whoever leads, now or later, comes before the one named.
            Some(ClockKind::Resolve | ClockKind::Rework) => self.dispatches_instead(),
            None if self.case.lead_org.is_none() => self.dispatches_instead(),
            _ => None,
        }
    }

    /// Who is reminded of a clock that runs, and of which unit that is: whoever is supervised for it when it has run out.
    pub(super) fn reminded(&self, clock: ClockKind, task: Option<TaskId>) -> (OrgId, Option<UnitId>) {
        let org = self.case.has_to_act(Some(clock), task, self.sees_to(Some(clock), task));
        let of_task = task.and_then(|task| self.case.task(task).ok()).filter(|task| task.org == org);
        (org, of_task.map(|task| task.unit).or_else(|| self.routes.org(org).map(|org| org.unit)))
    }

    /// Until when that is to be done which was answered for: as promised, which is no longer than there is for rework, else as
    /// long again as there is to answer. What was promised is counted by no calendar.
    fn to_be_done_by(&self, promised_at: Option<Timestamp>) -> Result<(Option<Counted>, Timestamp)> {
        let within = |limit| Counted::begin(limit, self.now, self.rules);
        let Some(at) = promised_at else {
            let (counted, at) = within(self.rules.supervision_answer);
            return Ok((Some(counted), at));
        };
        if at <= self.now || at > within(self.sla().rework).1 {
            let message = "must lie ahead, and no further than there is time for rework";
            return Err(DomainError::invalid("promised_time", message));
        }
        Ok((None, at))
    }

    /// The case rested since then and goes on: what was still to be answered, or to be done after an answer, gets its time anew.
    pub(super) fn renew_supervisions(&mut self, rested_from: Option<Timestamp>) {
        let (counted, due_at) = Counted::begin(self.rules.supervision_answer, self.now, self.rules);
        let mut renewed = Vec::new();
        for supervision in &mut self.case.supervisions {
            let due = match supervision.state {
                SupervisionState::Cleared => None,
                SupervisionState::Answered => supervision.rises_at.as_mut(),
                SupervisionState::Issued | SupervisionState::Acknowledged => Some(&mut supervision.due_at),
            };
            let ran = due.filter(|due| rested_from.is_none_or(|from| **due > from) && **due < due_at);
            let Some(due) = ran else { continue };
            let due_before_at = std::mem::replace(due, due_at);
            supervision.counted = Some(counted);
            let rises = supervision.state == SupervisionState::Answered;
            renewed.push((supervision.id, supervision.task, rises, due_before_at));
        }
        let calendar_version = counted.calendar_version;
        for (supervision_id, task, rises, due_before_at) in renewed {
            let code = if rises { "supervision_rise_renewed" } else { "supervision_renewed" };
            let reason = Reason::new(code).with("from", told(due_before_at)).with("to", told(due_at));
            let event = DomainEvent::SupervisionMoved {
                supervision_id,
                rises,
                due_before_at,
                due_at,
                calendar_version,
            };
            self.emit(event, Some(reason), task);
        }
    }

    /// One level up, to be seen and answered anew, with a new time for that. Whoever let the first one pass has not answered in
    /// time, whatever they answer then.
    pub(super) fn escalate(&mut self, id: SupervisionId, why: &str) {
        let (counted, due_at) = Counted::begin(self.rules.supervision_answer, self.now, self.rules);
        let unanswered = |known: &Supervision| {
            known.answered_at.is_none() && known.due_at <= self.now && !self.case.rests(known)
        };
        let missed = self.case.supervision(id).is_ok_and(unanswered);
        let mut told = None;
        for supervision in self.case.supervisions.iter_mut().filter(|supervision| supervision.id == id) {
            if missed {
                supervision.answered_in_time.get_or_insert(false);
            }
            supervision.state = SupervisionState::Issued;
            supervision.level = (supervision.level + 1).min(TOP_LEVEL);
            supervision.due_at = due_at;
            supervision.rises_at = None;
            supervision.counted = Some(counted);
            told = Some((supervision.level, supervision.task));
        }
        if let Some((level, task)) = told {
            let event = DomainEvent::SupervisionEscalated { supervision_id: id, level };
            self.emit(event, Some(Reason::new(why)), task);
        }
    }
}
