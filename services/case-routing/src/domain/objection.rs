//! Objection and arbitration (退单, 职责裁定; domain.md F3). The requester's clock runs on all the while.

use super::case::{Case, Evidence, Objection};
use super::codes::*;
use super::dispatch::{ManualRoute, RouteChoice};
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::ids::*;
use super::reason::Reason;
use super::router::RoutingOutcome;
use super::state::Trigger;
use super::work::{Act, Decision, Work, check_code};

/// A lead says the task is not its duty.
#[derive(Debug, Clone)]
pub struct ObjectTask {
    pub task_id: TaskId,
    pub ground_code: String,
    /// The document it relies on.
    pub basis_ref: String,
    pub suggested: Option<OrgId>,
}

impl Case {
    /// The lead objects, in time, once per task, with grounds and a basis.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled`; `Guard` `objection_too_late`, `objected_before`, `not_the_lead`,
    /// `ruling_is_final`.
    pub fn object(self, command: ObjectTask, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Object)?;
        check_code("ground_code", &command.ground_code)?;
        if command.basis_ref.is_empty() {
            return Err(DomainError::invalid("basis_ref", "an objection names what it relies on"));
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
            return Err(DomainError::guard("objected_before", "a task is objected to once"));
        }
        let ruled = |objection: &Objection| {
            matches!(objection.state, ObjectionState::Ruled | ObjectionState::Agreed | ObjectionState::Final)
        };
        if work.case.objection.as_ref().is_some_and(ruled) {
            return Err(DomainError::guard("ruling_is_final", "who leads was ruled or agreed on"));
        }
        let clock = work.case.clock(ClockKind::Objection, Some(id));
        if !clock.is_some_and(|clock| clock.is_open() && clock.in_time(work.now)) {
            return Err(DomainError::guard("objection_too_late", "the time to object is over"));
        }
        work.move_task(id, TaskState::Objected)?;
        work.task_mut(id)?.objected = true;
        work.stop_task_clocks(id);
        work.clear_supervisions(|supervision| supervision.task == Some(id));
        let (kind, reference) = (EvidenceKind::Document, command.basis_ref);
        work.case.evidence.push(Evidence { kind, reference, at: work.now });
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
        });
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
    /// `WrongState`; `NotEntitled` for the objector; `Guard(in_arbitration)`.
    pub fn reject_objection(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RejectObjection)?;
        check_code("reason_code", reason_code)?;
        let objection = work.objection(ObjectionState::Open)?;
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

    /// The dispatcher agrees and sends the case elsewhere.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for the objector; `Guard` `in_arbitration`, `no_route`, `needs_human`.
    pub fn redispatch(self, choice: &RouteChoice, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Redispatch)?;
        let objection = work.objection(ObjectionState::Open)?;
        work.decides_over(&objection)?;
        work.exclude(objection.objector);
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
            RouteChoice::Manual(manual) => (work.manual(manual, "chosen_by_dispatcher")?, true),
        };
        work.end_dispatch();
        work.settle(ObjectionState::Accepted);
        work.replace_lead(&objection, &outcome, by_human, Trigger::Redispatch)?;
        Ok(work.finish())
    }

    /// The dispatcher opens an arbitration between the organisations that may be meant.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for the objector; `Guard` `in_arbitration`, `no_arbiter`.
    pub fn open_arbitration(self, claimed: &[OrgId], act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::OpenArbitration)?;
        let mut objection = work.objection(ObjectionState::Open)?;
        work.decides_over(&objection)?;
        let mut parties: Vec<OrgId> = vec![objection.objector];
        for org in objection.suggested.iter().chain(claimed) {
            if work.routes.org(*org).is_none() {
                return Err(DomainError::invalid("party_org_ids", "no such organisation"));
            }
            if !parties.contains(org) {
                parties.push(*org);
            }
        }
        let arbiter = work.routes.common_superior(&parties, work.now);
        let arbiter =
            arbiter.ok_or_else(|| DomainError::guard("no_arbiter", "the parties have no common superior"))?;
        work.end_dispatch();
        let arbitration_id: ArbitrationId = work.ids.draw();
        objection.state = ObjectionState::InArbitration;
        objection.arbitration_id = Some(arbitration_id);
        objection.arbiter = Some(arbiter);
        objection.parties.clone_from(&parties);
        work.case.objection = Some(objection.clone());
        work.enter(CaseState::Objected, Trigger::OpenArbitration)?;
        let event = DomainEvent::ArbitrationOpened {
            task_id: objection.task,
            arbitration_id,
            arbiter_org_id: arbiter,
            party_org_ids: parties,
            ground_code: objection.ground_code,
        };
        work.emit(event, None, Some(objection.task));
        Ok(work.finish())
    }

    /// The parties agreed which of them leads.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the arbiter's; `Guard(not_in_arbitration)`; `Invalid` lead.
    pub fn agree_arbitration(self, lead: OrgId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::AgreeArbitration)?;
        let (objection, arbitration_id) = work.arbitration()?;
        if !objection.parties.contains(&lead) {
            return Err(DomainError::invalid("lead_org_id", "the lead is one of the parties"));
        }
        work.settle(ObjectionState::Agreed);
        let task_id = objection.task;
        let event = DomainEvent::ArbitrationAgreed { task_id, arbitration_id, lead_org_id: lead };
        work.emit(event, None, Some(task_id));
        work.follow_ruling(&objection, lead, "chosen_by_agreement", Trigger::AgreeArbitration)?;
        Ok(work.finish())
    }

    /// The arbiter rules which organisation leads, a party or another; as a precedent if it changes the lists.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the arbiter (C-7); `Guard(not_in_arbitration)`; `Invalid` lead.
    pub fn rule_objection(self, lead: OrgId, precedent: bool, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RuleArbitration)?;
        let (objection, arbitration_id) = work.arbitration()?;
        work.human_official()?;
        work.settle(ObjectionState::Ruled);
        let event = DomainEvent::ArbitrationRuled {
            task_id: objection.task,
            arbitration_id,
            lead_org_id: lead,
            objection_upheld: lead != objection.objector,
            precedent,
        };
        work.emit(event, None, Some(objection.task));
        work.follow_ruling(&objection, lead, "chosen_by_arbiter", Trigger::RuleArbitration)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    fn objection(&self, state: ObjectionState) -> Result<Objection> {
        let found = self.case.objection.as_ref().filter(|objection| objection.state == state);
        found.cloned().ok_or_else(|| match state {
            ObjectionState::InArbitration => {
                DomainError::guard("not_in_arbitration", "no arbitration is open on this case")
            }
            _ => DomainError::guard("in_arbitration", "the objection is in arbitration"),
        })
    }

    /// Whoever decides over an objection is an official and not of the objector.
    fn decides_over(&self, objection: &Objection) -> Result<()> {
        let org = self.human_official()?;
        if org == objection.objector { Err(DomainError::NotEntitled { code: "objector" }) } else { Ok(()) }
    }

    fn arbitration(&self) -> Result<(Objection, ArbitrationId)> {
        let objection = self.objection(ObjectionState::InArbitration)?;
        let (Some(id), Some(arbiter)) = (objection.arbitration_id, objection.arbiter) else {
            return Err(DomainError::guard("not_in_arbitration", "no arbitration is open on this case"));
        };
        self.acts_for(arbiter, "arbiter")?;
        Ok((objection, id))
    }

    fn settle(&mut self, state: ObjectionState) {
        if let Some(objection) = &mut self.case.objection {
            objection.state = state;
        }
    }

    /// The same task is issued again; it cannot be objected to a second time.
    fn keep_lead(&mut self, task: TaskId) -> Result<()> {
        self.move_task(task, TaskState::Issued)?;
        self.task_mut(task)?.signed_at = None;
        self.start_clock(ClockKind::Sign, Some(task), self.sla().sign);
        Ok(())
    }

    fn follow_ruling(
        &mut self,
        objection: &Objection,
        lead: OrgId,
        why: &str,
        trigger: Trigger,
    ) -> Result<()> {
        if lead == objection.objector {
            self.keep_lead(objection.task)?;
            self.enter(CaseState::Dispatched, trigger)?;
            let task = self.case.task(objection.task)?;
            let event = DomainEvent::CaseRedispatched {
                task_id: task.id,
                lead_org_id: task.org,
                sender_org_id: task.sender,
                mode: task.mode,
                lead_changed: false,
            };
            self.emit(event, Some(Reason::new(why)), Some(objection.task));
            return Ok(());
        }
        self.exclude(objection.objector);
        let manual = ManualRoute {
            lead,
            sender: None,
            assists: Vec::new(),
            reason_code: objection.ground_code.clone(),
        };
        let outcome = self.manual(&manual, why)?;
        self.replace_lead(objection, &outcome, true, trigger)
    }

    /// Another lead; assists go on, unless one of them leads now.
    fn replace_lead(
        &mut self,
        objection: &Objection,
        outcome: &RoutingOutcome,
        by_human: bool,
        trigger: Trigger,
    ) -> Result<()> {
        let Some(lead) = &outcome.lead else {
            return Err(DomainError::guard("no_route", "no organisation can take the case; choose one"));
        };
        self.record_routing(outcome, by_human);
        self.enter(CaseState::Dispatched, trigger)?;
        self.cancel_task(objection.task, "objection_accepted")?;
        let assisting = self.case.tasks.iter().find(|task| task.org == lead.org && task.state.is_live());
        if let Some(task) = assisting.map(|task| task.id) {
            self.cancel_task(task, "lead_changed")?;
        }
        let (task_id, issued) = self.make_task(TaskPart::Lead, lead, false);
        let event = DomainEvent::CaseRedispatched {
            task_id,
            lead_org_id: lead.org,
            sender_org_id: lead.sender,
            mode: lead.mode,
            lead_changed: lead.org != objection.objector,
        };
        self.emit(event, outcome.reasons.first().cloned(), Some(task_id));
        self.emit(issued, None, Some(task_id));
        self.issue_assists(&outcome.assists);
        Ok(())
    }

    /// The lead signs after a ruling or agreement: it complies, and the matter is final.
    pub(super) fn comply_with_ruling(&mut self, task_id: TaskId) {
        let settled =
            self.case.objection.as_mut().filter(|objection| {
                matches!(objection.state, ObjectionState::Ruled | ObjectionState::Agreed)
            });
        let Some(objection) = settled else { return };
        objection.state = ObjectionState::Final;
        if let Some(arbitration_id) = objection.arbitration_id {
            self.emit(DomainEvent::ArbitrationFinal { task_id, arbitration_id }, None, Some(task_id));
        }
    }
}
