//! Objection (退单; domain.md F3) and what the dispatcher makes of it; arbitration is in [`super::arbitration`]. The
//! requester's clock runs on all the while.

use super::case::{Case, Evidence, Objection};
use super::codes::*;
use super::dispatch::RouteChoice;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::router::RoutingOutcome;
use super::settled::ruling_is_final;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work, check_code};

/// The step of the timeline by which an objection ends with its case, undecided. No event tells of it: the case's end is told.
const LAPSED: &str = "ObjectionLapsed";

/// A lead says the task is not its duty.
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
    /// objection was rejected, is not objected to again.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled`; `Guard` `objection_too_late`, `objected_before`, `not_the_lead`,
    /// `ruling_is_final`.
    pub fn object(self, command: ObjectTask, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Object)?;
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
        if work.case.lead_task != Some(id) {
            return Err(DomainError::guard("not_the_lead", "only the lead's task is objected to"));
        }
        if task.objected {
            return Err(DomainError::guard("objected_before", "an organisation objects to a matter once"));
        }
        if work.case.objection.as_ref().is_some_and(|objection| work.case.is_settled_by(objection, &task)) {
            return Err(ruling_is_final());
        }
        let clock = work.case.clock(ClockKind::Objection, Some(id));
        if !clock.is_some_and(|clock| clock.is_open() && clock.in_time(work.now)) {
            return Err(DomainError::guard("objection_too_late", "the time to object is over"));
        }
        work.move_task(id, TaskState::Objected)?;
        work.task_mut(id)?.objected = true;
        work.stop_task_clocks(id);
        work.clear_supervisions(|supervision| supervision.task == Some(id));
        let (kind, at) = (EvidenceKind::Document, work.now);
        let evidence = |reference: &String| Evidence { kind, reference: reference.clone(), at };
        work.case.evidence.extend(command.basis_refs.iter().map(evidence));
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
            evidence_refs: command.basis_refs,
            positions: Vec::new(),
            interim: None,
            ruling: None,
        });
        work.case.objection_count += 1;
        work.enter(CaseState::Objected, Trigger::Object)?;
        // The dispatcher has to decide within the dispatch limit.
        work.start_clock(ClockKind::Dispatch, None, work.sla().dispatch);
        let reason = Reason::new(&command.ground_code);
        let event = DomainEvent::TaskObjected {
            task_id: id,
            org_id: task.org,
            ground_code: command.ground_code,
            suggested_org_id: command.suggested,
        };
        work.emit(event, Some(reason), Some(id));
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
        work.keep_lead(objection.task)?;
        work.enter(CaseState::Dispatched, Trigger::RejectObjection)?;
        let event = DomainEvent::TaskObjectionRejected {
            task_id: objection.task,
            org_id: objection.objector,
            reason_code: reason_code.to_owned(),
        };
        work.emit(event, Some(Reason::new(reason_code)), Some(objection.task));
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

    /// Whether the objection is to an order that its objector gave itself, of a case that it received itself: only those above it
    /// decide over that.
    #[must_use]
    pub fn objects_to_own_order(&self) -> bool {
        self.objection.as_ref().is_some_and(|objection| {
            let sender = self.task(objection.task).ok().map(|task| task.sender);
            sender == Some(objection.objector) && self.first_receiver == objection.objector
        })
    }

    /// For whom an objection is to decide over, or for those above: who sent the task, unless that is the objector itself.
    pub(super) fn decider_of(
        &self,
        objection: &Objection,
        routes: &RoutingTable,
        at: Timestamp,
    ) -> Option<OrgId> {
        let (sender, objector) = (self.task(objection.task).ok()?.sender, objection.objector);
        if sender == objector {
            routes.decides_over_own_order(objector, self.first_receiver, at)
        } else {
            Some(sender)
        }
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
        if self.human_official()? == objection.objector {
            return Err(DomainError::NotEntitled { code: "objector" });
        }
        let decider = self.case.decider_of(objection, self.routes, self.now);
        self.decides_for(decider.ok_or(DomainError::NotEntitled { code: "sender" })?)
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
    /// case in hand, and checks nothing of it (C-4).
    pub(super) fn keep_lead(&mut self, task: TaskId) -> Result<()> {
        self.move_task(task, TaskState::Issued)?;
        self.start_clock(ClockKind::Sign, Some(task), self.sla().sign);
        let called = self.case.task(task)?.whistle;
        if called.is_some_and(|score| score.reported_in_time.is_none()) {
            self.start_clock(ClockKind::Report, Some(task), self.rules.report_in);
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
