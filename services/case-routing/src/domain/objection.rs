//! Objection (退单; domain.md F3) and what the dispatcher makes of it; arbitration is in [`super::arbitration`]. The
//! requester's clock runs on all the while. Whoever is ordered or called by a whistle to assist objects as well (§2.0.3): that is
//! about its own part, and holds up nobody else.

use super::case::{Case, Objection, Task};
use super::clock::Clock;
use super::codes::*;
use super::dispatch::RouteChoice;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::router::RoutingOutcome;
use super::settled::{BY_ARBITER, ruling_is_final};
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work, check_code};

/// The step of the timeline by which an objection ends with its case, undecided. No event tells of it: the case's end is told.
const LAPSED: &str = "ObjectionLapsed";

/// An organisation says the task is not its duty: a lead, or whoever is ordered or called to assist.
#[derive(Debug, Clone)]
pub struct ObjectTask {
    pub task_id: TaskId,
    pub ground_code: String,
    /// The documents it relies on; at least one.
    pub basis_refs: Vec<String>,
    pub suggested: Option<OrgId>,
}

impl Case {
    /// The lead objects, in time, once, with grounds and a basis: a task that it gets later, by a ruling or because its
    /// objection was rejected, is not objected to again. An assist objects to its order or whistle, once and in the same time,
    /// counted from when it was issued, and the case goes on.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled`; `Guard` `objection_too_late`, `objected_before`, `not_the_lead` for a task that led before,
    /// `may_decline` for an assist that is neither an order nor a whistle, `ruling_is_final` also for whom a ruling names to
    /// help, `task_state` once work has begun.
    pub fn object(self, command: ObjectTask, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::ObjectAssist).map_err(|_| work.wrong_state(Trigger::Object))?;
        check_code("ground_code", &command.ground_code)?;
        if command.basis_refs.is_empty() || command.basis_refs.iter().any(String::is_empty) {
            return Err(DomainError::invalid("basis_refs", "an objection names what it relies on"));
        }
        if command.suggested.is_some_and(|org| work.routes.org(org).is_none()) {
            return Err(DomainError::invalid("suggested_org_id", "no such organisation"));
        }
        let id = command.task_id;
        let task = work.case.task(id)?.clone();
        work.acts_for(task.org, "task_org")?;
        if task.part == TaskPart::Assist {
            work.object_to_assisting(&task, command)?;
            return Ok(work.finish());
        }
        work.permit(Trigger::Object)?;
        if work.case.lead_task != Some(id) {
            return Err(DomainError::guard("not_the_lead", "another leads the case since then"));
        }
        if task.objected {
            return Err(objected_before());
        }
        if work.case.objection.as_ref().is_some_and(|objection| work.case.is_settled_by(objection, &task)) {
            return Err(ruling_is_final());
        }
        let clock = work.case.clock(ClockKind::Objection, Some(id));
        if !clock.is_some_and(|clock| clock.is_open() && clock.in_time(work.now)) {
            return Err(objection_too_late());
        }
        work.contest(&command)?;
        work.case.objection = Some(Objection {
            task: id,
            objector: task.org,
            ground_code: command.ground_code.clone(),
            suggested: command.suggested,
            raised_at: work.now,
            state: ObjectionState::Open,
            arbitration_id: None,
            arbiter: None,
            parties: Vec::new(),
            evidence_refs: command.basis_refs.clone(),
            positions: Vec::new(),
            interim: None,
            ruling: None,
        });
        work.case.objection_count += 1;
        work.enter(CaseState::Objected, Trigger::Object)?;
        // The dispatcher has to decide within the dispatch limit.
        work.start_clock(ClockKind::Dispatch, None, work.sla().dispatch);
        work.tell_objection(task.org, command);
        Ok(work.finish())
    }

    /// Who sent an assist its task, or stands above who did, decides over its objection; of a whistle whoever leads the street that
    /// blew it. Rejected, the task is issued again with the time for it anew; accepted, it ends, the case goes on without, and its
    /// organisation is not called to it again.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for the objector and for everybody else; `Guard` `not_objected` where no assist objects to that
    /// task, `recused` for the organisation complained of, unless [nobody stands above it](Self::nobody_above_subject).
    pub fn decide_assist_objection(
        self,
        task_id: TaskId,
        accepted: bool,
        reason_code: &str,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::DecideAssistObjection)?;
        check_code("reason_code", reason_code)?;
        let task = work.case.task(task_id)?.clone();
        if task.part == TaskPart::Lead || task.state != TaskState::Objected {
            return Err(DomainError::guard("not_objected", "no assist objects to this task"));
        }
        work.not_decided_by_subject()?;
        work.decides_over_task(&task)?;
        if accepted {
            work.task_mut(task_id)?.relieved = true;
            work.cancel_task_for(task_id, Reason::new("assist_relieved").with("reason", reason_code))?;
            work.complete_for_partner()?;
        } else {
            work.keep_assisting(&task, reason_code)?;
        }
        Ok(work.finish())
    }

    /// The dispatcher keeps the task where it is.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for the objector and for who neither sent it nor stands above who did;
    /// `Guard` `in_arbitration`, `recused` for the organisation complained of, unless it [alone](Self::subject_may_resolve) can.
    pub fn reject_objection(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RejectObjection)?;
        check_code("reason_code", reason_code)?;
        let objection = work.objection(ObjectionState::Open)?;
        work.not_resolved_by_subject()?;
        work.decides_over(&objection)?;
        work.end_dispatch();
        work.settle(ObjectionState::Rejected);
        work.issue_again(objection.task)?;
        work.enter(CaseState::Dispatched, Trigger::RejectObjection)?;
        let task = work.case.task(objection.task)?.clone();
        work.tell_rejected(&task, reason_code);
        Ok(work.finish())
    }

    /// The dispatcher agrees and sends the case elsewhere, to nobody who was relieved of it: to keep it where it is, the
    /// objection is rejected.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` as for rejecting it, and as for a dispatch by hand; `Guard` `in_arbitration`, `no_route`,
    /// `needs_human`, `objected_before`, `recused` as for a dispatch.
    pub fn redispatch(self, choice: &RouteChoice, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Redispatch)?;
        let objection = work.objection(ObjectionState::Open)?;
        work.decides_over(&objection)?;
        work.not_sent_by_subject(choice, act)?;
        work.relieve(objection.objector);
        work.case.left_society = true;
        let (outcome, by_human) = match choice {
            RouteChoice::Auto | RouteChoice::PublicService => {
                let outcome = work.ask_router();
                let outcome = outcome.held_to(work.rules.min_confidence);
                if outcome.kind == RoutingKind::Proposed {
                    let message = "the router is not sure enough; name the new lead";
                    return Err(DomainError::guard("needs_human", message));
                }
                (outcome, false)
            }
            RouteChoice::Confirmed(_) => {
                return Err(DomainError::guard("not_proposed", "a case that is objected to has no proposal"));
            }
            RouteChoice::Manual(manual, chooser) => (work.chosen_by_dispatcher(manual, *chooser)?, true),
        };
        work.end_dispatch();
        work.settle(ObjectionState::Accepted);
        work.replace_lead(objection.task, &outcome, by_human, Trigger::Redispatch)?;
        Ok(work.finish())
    }

    /// Whether a task is an order that its organisation gave itself, of a case that it received itself: only those above it decide
    /// over its objection to that.
    #[must_use]
    pub fn is_own_order(&self, task: TaskId) -> bool {
        self.task(task).is_ok_and(|task| task.sender == task.org && self.first_receiver == task.org)
    }

    /// For whom an objection is to decide over, or for those above.
    pub(super) fn decider_of(
        &self,
        objection: &Objection,
        routes: &RoutingTable,
        at: Timestamp,
    ) -> Option<OrgId> {
        self.decider_over(self.task(objection.task).ok()?, routes, at)
    }

    /// The same of an objection to a task: who sent it, unless that is the objector itself. Who is called by a whistle to assist
    /// objects to whoever leads the street that blew it (§2.0.3): a street judges whether its own whistle was right only where
    /// nobody leads it.
    pub(super) fn decider_over(&self, task: &Task, routes: &RoutingTable, at: Timestamp) -> Option<OrgId> {
        if task.sender == task.org {
            return routes.decides_over_own_order(task.org, self.first_receiver, at);
        }
        let called = task.part == TaskPart::Assist && task.mode == DispatchMode::Whistle;
        let line = self.item.as_ref().and_then(|item| item.line.as_deref());
        let above = if called { routes.leaders_of(task.sender, line, at) } else { Vec::new() };
        above.into_iter().filter(|org| *org != task.org).min().or(Some(task.sender))
    }
}

impl Work<'_> {
    pub(super) fn objection(&self, state: ObjectionState) -> Result<Objection> {
        let found = self.case.objection.as_ref().filter(|objection| objection.state == state);
        found.cloned().ok_or_else(|| DomainError::guard("in_arbitration", "the objection is in arbitration"))
    }

    /// Who sent the task, or stands above who did, decides over the objection; never the objector. What the fallback has by
    /// its own order was sent by nobody else ([`RoutingTable::decides_over_own_order`]).
    pub(super) fn decides_over(&self, objection: &Objection) -> Result<()> {
        self.decides_over_task(self.case.task(objection.task)?)
    }

    fn decides_over_task(&self, task: &Task) -> Result<()> {
        if self.human_official()? == task.org {
            return Err(DomainError::NotEntitled { code: "objector" });
        }
        let decider = self.case.decider_over(task, self.routes, self.now);
        self.decides_for(decider.ok_or(DomainError::NotEntitled { code: "sender" })?)
    }

    /// Whoever is ordered or called to assist objects: its report-in and its work wait for who decides, the others and the
    /// requester's time do not.
    fn object_to_assisting(&mut self, task: &Task, command: ObjectTask) -> Result<()> {
        if !matches!(task.mode, DispatchMode::Order | DispatchMode::Whistle) {
            let message =
                "what is neither an order nor a whistle is declined instead, a work order only out of scope";
            return Err(DomainError::guard("may_decline", message));
        }
        if task.objected {
            return Err(objected_before());
        }
        if self.case.is_ruled_to_help(task.org, &task.item) {
            return Err(ruling_is_final());
        }
        let limit = self.sla().objection;
        let window = Clock::start(ClockKind::Objection, Some(task.id), limit, task.issued_at, self.rules);
        if !window.in_time(self.now) {
            return Err(objection_too_late());
        }
        self.contest(&command)?;
        self.stay(Trigger::ObjectAssist)?;
        let decider = self.case.sees_to_assist(task, self.routes, self.now);
        self.task_mut(task.id)?.decider = decider;
        // Whoever decides has to do so within the dispatch limit.
        self.start_clock(ClockKind::Dispatch, Some(task.id), self.sla().dispatch);
        self.tell_objection(task.org, command);
        Ok(())
    }

    /// An assist's objection fails: its task is issued again, with the time for it anew.
    fn keep_assisting(&mut self, task: &Task, reason_code: &str) -> Result<()> {
        self.stop_task_clocks(task.id);
        self.clear_supervisions(|supervision| supervision.task == Some(task.id));
        self.issue_again(task.id)?;
        let due_at = self.start_clock(ClockKind::Assist, Some(task.id), self.sla().assist);
        self.task_mut(task.id)?.due_at = Some(due_at);
        self.tell_rejected(task, reason_code);
        Ok(())
    }

    /// Whom a ruling names to help does so, though its objection waits: nobody else decides over that any more.
    pub(super) fn hold_to_help(&mut self, named: &[OrgId]) -> Result<()> {
        let objects = |task: &&Task| task.decided_by().is_some() && named.contains(&task.org);
        let objecting: Vec<Task> = self.case.tasks.iter().filter(objects).cloned().collect();
        objecting.iter().try_for_each(|task| self.keep_assisting(task, BY_ARBITER))
    }

    /// Its organisation objects to a task, which rests until somebody has decided.
    fn contest(&mut self, command: &ObjectTask) -> Result<()> {
        let id = command.task_id;
        self.move_task(id, TaskState::Objected)?;
        self.task_mut(id)?.objected = true;
        self.stop_task_clocks(id);
        self.clear_supervisions(|supervision| supervision.task == Some(id));
        let org = self.case.task(id)?.org;
        let basis = command.basis_refs.iter().map(|reference| (EvidenceKind::Document, reference.clone()));
        self.keep_evidence(basis, Some(id), Some(org));
        Ok(())
    }

    fn tell_objection(&mut self, org_id: OrgId, command: ObjectTask) {
        let ObjectTask { task_id, ground_code, suggested: suggested_org_id, .. } = command;
        let reason = Reason::new(&ground_code);
        let event = DomainEvent::TaskObjected { task_id, org_id, ground_code, suggested_org_id };
        self.emit(event, Some(reason), Some(task_id));
    }

    fn tell_rejected(&mut self, task: &Task, reason_code: &str) {
        let (task_id, org_id, reason_code) = (task.id, task.org, reason_code.to_owned());
        let reason = Reason::new(&reason_code);
        let event = DomainEvent::TaskObjectionRejected { task_id, org_id, reason_code };
        self.emit(event, Some(reason), Some(task_id));
    }

    pub(super) fn settle(&mut self, state: ObjectionState) {
        if let Some(objection) = &mut self.case.objection {
            objection.state = state;
        }
    }

    /// The case has ended before anybody decided over the objection, or ruled or reviewed: nobody does any more.
    pub(super) fn lapse_objection(&mut self) {
        use ObjectionState::{InArbitration, InReview, Lapsed, Open};
        let open = |objection: &Objection| matches!(objection.state, Open | InArbitration | InReview);
        if self.case.objection.as_ref().is_some_and(open) {
            self.settle(Lapsed);
            self.note(LAPSED, Reason::new("objection_lapsed"));
        }
    }

    /// The same task is issued again; it cannot be objected to a second time. Who had signed for it stays known: it had the
    /// case in hand, and checks nothing of it (C-4). Whoever was called has as long to report in as the whistle said.
    pub(super) fn issue_again(&mut self, task: TaskId) -> Result<()> {
        self.move_task(task, TaskState::Issued)?;
        self.start_clock(ClockKind::Sign, Some(task), self.sla().sign);
        let called = self.case.task(task)?.whistle;
        if called.is_some_and(|score| score.reported_in_time.is_none()) {
            let first = self.case.clock(ClockKind::Report, Some(task));
            let limit = first.map_or(self.rules.report_in, |clock| clock.limit);
            self.start_clock(ClockKind::Report, Some(task), limit);
        }
        Ok(())
    }

    /// Another lead; assists go on, unless one of them leads now. What that one has handed in stands.
    pub(super) fn replace_lead(
        &mut self,
        task: TaskId,
        outcome: &RoutingOutcome,
        by_human: bool,
        trigger: Trigger,
    ) -> Result<()> {
        let Some(lead) = &outcome.lead else {
            return Err(DomainError::guard("no_route", "no organisation can take the case; choose one"));
        };
        self.record_routing(outcome, by_human);
        self.enter(CaseState::Dispatched, trigger)?;
        let before = self.case.task(task)?.org;
        self.cancel_task(task, "objection_accepted")?;
        let assisting = self.case.tasks.iter().find(|task| task.org == lead.org && task.state.is_open());
        if let Some(task) = assisting.map(|task| task.id) {
            self.cancel_task(task, "lead_changed")?;
        }
        let (task_id, issued) = self.make_task(TaskPart::Lead, lead, false);
        let event = DomainEvent::CaseRedispatched {
            task_id,
            lead_org_id: lead.org,
            sender_org_id: lead.sender,
            mode: lead.mode,
            lead_changed: lead.org != before,
        };
        self.emit(event, outcome.reasons.first().cloned(), Some(task_id));
        self.emit(issued, None, Some(task_id));
        self.issue_assists(&outcome.assists);
        Ok(())
    }
}

fn objected_before() -> DomainError {
    DomainError::guard("objected_before", "an organisation objects to a matter once")
}

fn objection_too_late() -> DomainError {
    DomainError::guard("objection_too_late", "the time to object is over")
}
