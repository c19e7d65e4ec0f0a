//! Dispatch to an organisation, and the organisation's first answers: sign, decline; and calling it back.

use serde::{Deserialize, Serialize};

use super::by_hand::{Chooser, ManualRoute};
use super::case::{AssignmentView, Case, Offer, Task};
use super::codes::*;
use super::endings::AnswerCase;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::router::{Choice, RoutingOutcome};
use super::settled::ruling_is_final;
use super::state::Trigger;
use super::work::{Act, Decision, Party, Work, check_code};

/// Where a case is to go.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteChoice {
    /// Where the router says; society may be asked first.
    Auto,
    /// Where the router says, without asking society.
    PublicService,
    /// Where the router proposed to send it; a human confirms.
    Confirmed(DecisionId),
    /// Where a human says, as what they may choose.
    Manual(ManualRoute, Chooser),
}

/// News of a worker's assignment, from staffing.
#[derive(Debug, Clone)]
pub struct AssignmentChanged {
    pub task_id: TaskId,
    pub assignment_id: Option<AssignmentId>,
    pub status: AssignmentStatus,
    /// Pseudonym of the worker.
    pub worker: Option<PersonRef>,
    pub at: Timestamp,
    /// Of the assignment, or of the task for which nobody is found.
    pub version: i64,
}

impl Case {
    /// Sends the case to an organisation; an open offer ends. The router may still choose to offer it first. A triaged case
    /// of whose lead it is not sure enough stays so, with the proposal on record, until a human confirms or chooses. What was ruled
    /// or agreed on goes to that lead again ([`Case::bound_lead`]), whoever sends it.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` when a machine confirms, `lead_org_id` and `assist_org_ids` for whom the acting organisation
    /// may not send it to; `Guard` `no_route`, `no_authority_edge` or a hard exclusion of the router, `only_by_offer` for a partner
    /// who may not be asked, `objected_before` for who was relieved of the case, `ruling_is_final` for another lead than was ruled
    /// or agreed on, `needs_human` out of an offer, `not_proposed` and `proposal_changed` for a confirmation, `recused` for the
    /// organisation complained of, unless it [leaves it to the router](Self::subject_may_send).
    pub fn dispatch(self, choice: &RouteChoice, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Dispatch)?;
        work.not_sent_by_subject(choice, act)?;
        if work.case.is_recheck() {
            work.follow_merger();
        }
        if work.case.state == CaseState::OfferedToSociety {
            work.end_open_offer("case_moved_on");
            work.case.left_society = true;
        }
        let decisions = work.case.routing.len();
        work.route(choice)?;
        // Nobody was found: a case that is back from society without an offer would wait for nothing.
        let stranded = match work.case.state {
            CaseState::Triaged => work.case.routing.len() == decisions,
            CaseState::OfferedToSociety => !work.case.offer.as_ref().is_some_and(Offer::is_open),
            _ => false,
        };
        if stranded {
            return Err(DomainError::guard("no_route", "no organisation can take the case; choose one"));
        }
        Ok(work.finish())
    }

    /// The organisation signs for its task. The lead moves the case and the contact clock starts.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for another organisation; `Guard(task_state)`.
    pub fn sign(self, task_id: TaskId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.sign(task_id)?;
        Ok(work.finish())
    }

    /// An organisation that may refuse does, before it signs: a lead's case is routed afresh without it. Whoever was invited may
    /// leave until work begins, for nobody is made to help.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled`; `Guard` `may_not_decline` for orders, whistles and work orders within their scope,
    /// `task_state` for what was signed for.
    pub fn decline_task(
        self,
        task_id: TaskId,
        reason_code: &str,
        out_of_scope: bool,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::DeclineAssist).map_err(|_| work.wrong_state(Trigger::DeclineTask))?;
        check_code("reason_code", reason_code)?;
        let task = work.case.task(task_id)?.clone();
        work.acts_for(task.org, "task_org")?;
        if task.part == TaskPart::Lead {
            work.permit(Trigger::DeclineTask)?;
        }
        if !task.mode.may_decline(out_of_scope) {
            return Err(DomainError::guard(
                "may_not_decline",
                "an order or whistle is objected to instead, and a work order within its scope is not declined",
            ));
        }
        if task.state != TaskState::Issued && task.mode != DispatchMode::Invitation {
            return Err(DomainError::guard("task_state", "whoever has signed for a task has taken it on"));
        }
        work.task_declined(task_id, reason_code)?;
        Ok(work.finish())
    }

    /// Who sent the case to its lead, or stands above who did, calls a mis-dispatch back before work began; its tasks are
    /// cancelled, but for what an assist has handed in. A ruling or an agreement stands, unless the item turns out to be another
    /// one.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for everybody else; `Guard(recused)` for the organisation complained of, unless
    /// [nobody stands above it](Self::nobody_above_subject).
    pub fn recall(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Recall)?;
        work.not_decided_by_subject()?;
        let (task, _) = work.lead()?;
        work.decides_for(work.case.task(task)?.sender)?;
        check_code("reason_code", reason_code)?;
        work.enter(CaseState::Triaged, Trigger::Recall)?;
        work.cancel_with_lead("recalled")?;
        work.release_lead();
        work.start_clock(ClockKind::Dispatch, None, work.sla().dispatch);
        let reason = Reason::new(reason_code);
        work.emit(DomainEvent::CaseRecalled { reason_code: reason_code.to_owned() }, Some(reason), None);
        Ok(work.finish())
    }

    /// Shows a worker's assignment on its task. It never moves a task or a case; where nobody is found a reminder is
    /// raised. News of an assignment of which a later version is known changes nothing.
    ///
    /// # Errors
    /// `Invalid` when the case has no such task.
    pub fn assignment_changed(self, news: AssignmentChanged, act: &Act<'_>) -> Result<Decision> {
        let task_id = news.task_id;
        if self.task(task_id)?.knows_later(news.assignment_id, news.version) {
            return Ok(Decision { case: self, events: Vec::new(), timeline: Vec::new() });
        }
        let mut work = Work::begin(self, act);
        let task = work.task_mut(task_id)?;
        let open = task.state.is_open();
        let AssignmentChanged { assignment_id, status, worker, at, version, .. } = news;
        task.hear_of_worker(AssignmentView { assignment_id, status, worker, at, version });
        if open && status == AssignmentStatus::Unfilled {
            work.supervise(0, "assignment_unfilled", None, Some(task_id));
        }
        Ok(work.finish())
    }
}

impl Work<'_> {
    pub(super) const fn wrong_state(&self, verb: Trigger) -> DomainError {
        DomainError::WrongState { state: self.case.state, verb }
    }

    /// An organisation that may refuse does, or never answered: a lead's case is routed afresh without it.
    pub(super) fn task_declined(&mut self, task_id: TaskId, reason_code: &str) -> Result<()> {
        self.move_task(task_id, TaskState::Declined)?;
        self.stop_task_clocks(task_id);
        self.clear_supervisions(|supervision| supervision.task == Some(task_id));
        let task = self.case.task(task_id)?;
        let (org_id, part) = (task.org, task.part);
        let told = DomainEvent::TaskDeclined { task_id, org_id, reason_code: reason_code.to_owned() };
        let reason = Some(Reason::new(reason_code));
        if part == TaskPart::Assist {
            self.stay(Trigger::DeclineAssist)?;
            self.emit(told, reason, Some(task_id));
            return self.complete_for_partner();
        }
        self.exclude(org_id);
        self.release_lead();
        self.enter(CaseState::Triaged, Trigger::DeclineTask)?;
        self.emit(told, reason, Some(task_id));
        self.cancel_with_lead("lead_declined")?;
        self.reroute()
    }

    /// The organisation signs for its task.
    pub(super) fn sign(&mut self, task_id: TaskId) -> Result<()> {
        self.permit(Trigger::SignAssist).map_err(|_| self.wrong_state(Trigger::Sign))?;
        let task = self.case.task(task_id)?.clone();
        self.acts_for(task.org, "task_org")?;
        if task.part == TaskPart::Lead {
            self.permit(Trigger::Sign)?;
        }
        self.move_task(task_id, TaskState::Signed)?;
        let (now, workers_wanted) = (self.now, self.workers_for(&task));
        let signed = self.task_mut(task_id)?;
        (signed.signed_at, signed.workers_wanted) = (Some(now), workers_wanted);
        let in_time = self.stop_clock(ClockKind::Sign, Some(task_id)).unwrap_or(true);
        self.clear_supervisions(|supervision| {
            supervision.task == Some(task_id) && supervision.clock == Some(ClockKind::Sign)
        });
        if task.part == TaskPart::Lead {
            self.enter(CaseState::Signed, Trigger::Sign)?;
            self.start_clock(ClockKind::Contact, Some(task_id), self.sla().contact);
        } else {
            self.stay(Trigger::SignAssist)?;
        }
        let event = DomainEvent::TaskSigned {
            task_id,
            part: task.part,
            mode: task.mode,
            org_id: task.org,
            unit_id: task.unit,
            skill_codes: self.skill_codes(),
            due_at: task.due_at,
            in_time,
            urgency: self.case.urgency,
            workers_wanted,
        };
        self.emit(event, None, Some(task_id));
        if task.part == TaskPart::Lead {
            self.comply_with_ruling(task_id);
        }
        Ok(())
    }

    /// Sends the case where the choice says; stays where it is if the router finds nobody.
    pub(super) fn route(&mut self, choice: &RouteChoice) -> Result<()> {
        self.case.left_society |= matches!(choice, RouteChoice::PublicService);
        match choice {
            RouteChoice::Auto | RouteChoice::PublicService => {
                let outcome = self.where_to()?;
                self.follow(&outcome, false)
            }
            RouteChoice::Confirmed(proposal) => {
                let outcome = self.confirmed(*proposal)?;
                self.follow(&outcome, true)
            }
            RouteChoice::Manual(manual, chooser) => {
                let outcome = self.chosen_by_dispatcher(manual, *chooser)?;
                self.follow(&outcome, true)
            }
        }
    }

    /// Routes a case that came back, with a new dispatch clock. Nobody found: it waits for a dispatcher. What was sent back or
    /// opened again is not answered once more by itself, which nobody would have worked for: it waits, too, for an answer, another
    /// item or whoever sends it.
    pub(super) fn reroute(&mut self) -> Result<()> {
        self.start_clock(ClockKind::Dispatch, None, self.sla().dispatch);
        let outcome = self.where_to()?;
        let done_before = self.case.rework_count > 0 || self.case.reopen_count > 0;
        if done_before && outcome.kind == RoutingKind::AnsweredAtWindow {
            return Ok(());
        }
        self.follow(&outcome, false)
    }

    /// What is of an emergency line goes there at once, by the first step of the router, whoever brought it in and how: time
    /// must not accept it instead.
    pub(super) fn hand_off_emergency(&mut self) -> Result<()> {
        if self.item().is_none_or(|item| item.emergency_line.is_none()) {
            return Ok(());
        }
        let outcome = self.ask_router();
        let by = std::mem::replace(&mut self.by, Party::system());
        self.follow(&outcome, false)?;
        self.by = by;
        Ok(())
    }

    /// Does what was decided. `confirmed`: a human chose, or took the router's word; who leads by a ruling was decided by humans,
    /// too.
    fn follow(&mut self, outcome: &RoutingOutcome, confirmed: bool) -> Result<()> {
        let channel = outcome.channel_code.clone().unwrap_or_default();
        match outcome.kind {
            RoutingKind::HandedOff => self.hand_off(&channel),
            RoutingKind::AnsweredAtWindow => {
                let closed_code = ClosedCode::BeyondAuthority;
                let reason =
                    outcome.reasons.first().cloned().unwrap_or_else(|| Reason::new("statutory_channel"));
                // By the list, whoever asks the router: it is told at the window that received the case.
                let by = self.case.first_receiver;
                let command = AnswerCase { explanation_ref: format!("channel:{channel}"), closed_code };
                self.answer(command, reason, by)
            }
            RoutingKind::Offered => self.offer_to(outcome, confirmed),
            RoutingKind::Proposed => self.propose(outcome),
            kind if outcome.lead.is_some() => {
                self.dispatch_to(outcome, confirmed || kind == RoutingKind::Manual)
            }
            _ => Ok(()),
        }
    }

    /// Records where the router would send a triaged case; it waits there for a human.
    pub(super) fn propose(&mut self, outcome: &RoutingOutcome) -> Result<()> {
        if self.case.state != CaseState::Triaged {
            return Err(DomainError::guard("needs_human", "the router is not sure enough; choose the lead"));
        }
        self.record_routing(outcome, false);
        Ok(())
    }

    /// The proposal that waits, decided anew: what is confirmed is what was seen, or nothing.
    fn confirmed(&self, proposal: DecisionId) -> Result<RoutingOutcome> {
        self.human_official()?;
        let latest = self.case.routing.last();
        let waiting = latest.filter(|known| known.id == proposal && known.kind == RoutingKind::Proposed);
        let waiting = waiting.ok_or_else(|| {
            DomainError::guard("not_proposed", "no such decision waits for confirmation; read the case again")
        })?;
        let mut outcome = self.ask_router();
        let lead = outcome.lead.as_ref().map(|lead| lead.org);
        if lead != waiting.lead {
            return Err(DomainError::guard("proposal_changed", "the router would decide otherwise now"));
        }
        if self.case.bound_lead(self.routes, self.now).is_some_and(|bound| Some(bound) != lead) {
            return Err(ruling_is_final());
        }
        outcome.reasons.push(Reason::new("confirmed_by_human"));
        Ok(outcome)
    }

    /// Issues the tasks of a routing outcome that has a lead.
    pub(super) fn dispatch_to(&mut self, outcome: &RoutingOutcome, by_human: bool) -> Result<()> {
        let Some(lead) = &outcome.lead else {
            return Err(DomainError::guard("no_route", "no organisation can take the case; choose one"));
        };
        let in_time = self.end_dispatch();
        self.record_routing(outcome, by_human);
        self.enter(CaseState::Dispatched, Trigger::Dispatch)?;
        let first = self.case.dispatched_at.is_none();
        let (task_id, issued) = self.make_task(TaskPart::Lead, lead, false);
        self.case.dispatched_at.get_or_insert(self.now);
        let (lead_org_id, sender_org_id, mode) = (lead.org, lead.sender, lead.mode);
        let process = self.process();
        let event = DomainEvent::CaseDispatched {
            task_id,
            lead_org_id,
            sender_org_id,
            mode,
            first,
            in_time,
            process,
        };
        self.emit(event, outcome.reasons.first().cloned(), Some(task_id));
        self.emit(issued, None, Some(task_id));
        self.issue_assists(&outcome.assists);
        if self.case.is_recheck() {
            self.ask_first_receiver();
        }
        Ok(())
    }

    /// Issues assist tasks to organisations that do not hold a live task yet, and were not relieved of helping.
    pub(super) fn issue_assists(&mut self, assists: &[Choice]) {
        for assist in assists {
            let holds_one = |task: &Task| task.org == assist.org && task.state.is_live();
            if !self.case.tasks.iter().any(holds_one) && !self.need_not_help(assist.org) {
                let (task_id, issued) = self.make_task(TaskPart::Assist, assist, false);
                self.emit(issued, None, Some(task_id));
            }
        }
    }

    /// A dispatch or offer stops the dispatcher's clock; whether it came in time.
    pub(super) fn end_dispatch(&mut self) -> bool {
        let in_time = self.stop_clock(ClockKind::Dispatch, None).unwrap_or(true);
        self.clear_supervisions(|supervision| {
            supervision.clock == Some(ClockKind::Dispatch) && supervision.task.is_none()
        });
        in_time
    }
}
