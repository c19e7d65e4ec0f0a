//! The work itself: first contact, extensions, assists' results. For waiting see [`super::suspending`], for completion
//! [`super::completion`].

use calendar::Limit;

use super::case::{Case, Task};
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::rules::Rules;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Standing, Work, check_code};

impl Case {
    /// The handler spoke with the requester for the first time; work begins.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the lead; `Guard(contacted_before)`.
    pub fn contact(self, method: ContactMethod, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.contact(Some(method))?;
        Ok(work.finish())
    }

    /// The case goes on.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless of an organisation that [answers for it](Self::responsible_orgs), or a timer.
    pub fn resume(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Resume)?;
        work.lead()?;
        work.answers_for_case()?;
        work.resume(None)?;
        Ok(work.finish())
    }

    /// More time, approved before the clock is due and by whoever may, told to the requester in writing, and never beyond the
    /// day that the law sets (C-2).
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless of an [organisation that approves](Self::extension_approvers), never a machine;
    /// `Guard` `extension_too_late`, `extensions_used_up`, `beyond_statutory_limit`; `Invalid` units, and without the writing.
    pub fn extend(self, extra: Limit, reason_code: &str, told_ref: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::Extend)?;
        let (id, _) = work.lead()?;
        work.approves_extension()?;
        check_code("reason_code", reason_code)?;
        written(told_ref)?;
        if extra.n == 0 || extra.n > 366 {
            return Err(DomainError::invalid("extension", "between 1 and 366 units"));
        }
        let (now, rules) = (work.now, work.rules);
        let law = work.item().and_then(|item| item.statutory_limit);
        let rework = work.case.clock(ClockKind::Rework, None).is_some_and(|clock| clock.is_open());
        let kind = if rework { ClockKind::Rework } else { ClockKind::Resolve };
        let mut clocks = work.case.clocks.iter_mut().rev();
        let running = clocks.find(|clock| clock.kind == kind && clock.is_running() && clock.in_time(now));
        let too_late = || DomainError::guard("extension_too_late", "only before the limit has passed");
        let clock = running.ok_or_else(too_late)?;
        let mut limit = clock.limit;
        if limit.unit != extra.unit {
            return Err(DomainError::invalid("extension", format!("this limit counts in {}", limit.unit)));
        }
        limit.n = limit.n.saturating_add(extra.n);
        clock.change_limit(limit, now, rules);
        let resolve_due_at = clock.due_at;
        let until =
            |limit| rules.calendar.add_paused(limit, clock.started_at, &clock.pauses, &rules.profile).at;
        // What the law cuts off was asked for all the same.
        let asked = resolve_due_at.max(until(limit));
        let last = clock.statutory_due_at.or(law.map(until));
        if let Some(last) = last.filter(|last| asked > *last) {
            let message = format!("the statutory limit ends on {}", calendar::local_day(last));
            return Err(DomainError::guard("beyond_statutory_limit", message));
        }
        work.case.extension_count += 1;
        // A partner has its part of the time, which grows with it.
        let partner = work.case.confirmed_offer().is_some();
        let due_at = if partner { work.partner_due() } else { Some(resolve_due_at) };
        let lead = work.task_mut(id)?;
        lead.due_at = if partner { due_at.max(lead.due_at) } else { due_at };
        let event = DomainEvent::CaseExtended { reason_code: reason_code.to_owned(), resolve_due_at };
        work.emit(event, Some(Reason::new(reason_code).with("told_ref", told_ref)), Some(id));
        Ok(work.finish())
    }

    /// The organisations whose leader may approve more time now: whoever [answers for the case](Self::responsible_orgs) the
    /// usual number of times, beyond that only the level above them (domain.md §2.0.6).
    #[must_use]
    pub fn extension_approvers(&self, routes: &RoutingTable, rules: &Rules, at: Timestamp) -> Vec<OrgId> {
        let item = self.item.as_ref().and_then(|item| routes.item_version(&item.code, item.version));
        let usual = rules.sla_for(item.map(std::convert::AsRef::as_ref), self.urgency).max_extensions;
        if self.extension_count < usual {
            return self.responsible_orgs(routes, at);
        }
        self.level_above(routes, at)
    }

    /// The organisations one level above those that [answer for the case](Self::responsible_orgs), and none of these.
    pub(super) fn level_above(&self, routes: &RoutingTable, at: Timestamp) -> Vec<OrgId> {
        let own = self.responsible_orgs(routes, at);
        let line = self.item.as_ref().and_then(|item| item.line.as_deref());
        let above = own.iter().flat_map(|org| routes.leaders_of(*org, line, at));
        above.filter(|org| !own.contains(org)).collect()
    }

    /// The organisations whose leaders answer for the case towards its requester: whoever leads it; for a community's
    /// organisation also who leads or guides it; and for a partner, which nobody leads, who sent it the case: the public
    /// organisation, or the one above where that is a community's.
    #[must_use]
    pub fn responsible_orgs(&self, routes: &RoutingTable, at: Timestamp) -> Vec<OrgId> {
        let Some(lead) = self.lead_org else { return Vec::new() };
        let line = self.item.as_ref().and_then(|item| item.line.as_deref());
        let kind = |id: OrgId| routes.org(id).map(|org| org.kind);
        let by_community = |id: OrgId| kind(id).is_some_and(OrgKind::is_community_level);
        let mut own = vec![lead];
        if by_community(lead) {
            own.extend(routes.leaders_of(lead, line, at));
        }
        let agreed = |task: &&Task| matches!(task.mode, DispatchMode::Invitation | DispatchMode::WorkOrder);
        if let Some(sender) = self.lead().filter(agreed).map(|task| task.sender) {
            if kind(sender).is_some_and(|kind| !kind.is_society()) {
                own.push(sender);
            }
            if by_community(sender) {
                own.extend(routes.leaders_of(sender, line, at));
            }
        }
        own
    }

    /// An assisting organisation hands its result in. If it is the last that a partner's completion waited for, the case is
    /// completed.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled`; `Guard` `task_state`, `lead_completes`; `Invalid` without evidence.
    pub fn submit_task(
        self,
        task_id: TaskId,
        evidence: Vec<(EvidenceKind, String)>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::SubmitTask)?;
        let task = work.case.task(task_id)?.clone();
        work.acts_for(task.org, "task_org")?;
        if task.part == TaskPart::Lead {
            return Err(DomainError::guard("lead_completes", "the lead completes the case instead"));
        }
        work.add_evidence(evidence, Some(task_id))?;
        work.reported(task_id)?;
        let in_time = work.stop_clock(ClockKind::Assist, Some(task_id)).unwrap_or(true);
        work.submit(task_id, in_time)?;
        work.clear_supervisions(|supervision| supervision.task == Some(task_id));
        work.complete_for_partner()?;
        Ok(work.finish())
    }

    /// The lead sends an assist's result back, also an approved one while the work is done again: its limit runs anew, and the
    /// case waits for it as before it was handed in.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` unless the lead; `Guard` `lead_completes`, `recused`, `takes_part` where its organisation has another task
    /// in hand, or leads now, `task_state` for what was not handed in, or was approved before the case was opened again.
    pub fn return_task(self, task_id: TaskId, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.stay(Trigger::ReturnTask)?;
        check_code("reason_code", reason_code)?;
        let (_, org) = work.lead()?;
        work.acts_for(org, "lead_org")?;
        let task = work.case.task(task_id)?;
        // Also one that led before the case was opened again: what was approved of it stays so.
        if task.part == TaskPart::Lead {
            return Err(DomainError::guard("lead_completes", "a lead's result is sent back by its verifier"));
        }
        if work.case.complained_of == Some(task.org) {
            return Err(DomainError::guard("recused", "the organisation complained of steps aside"));
        }
        let another = |known: &Task| known.id != task_id && known.org == task.org && known.state.is_live();
        if work.case.tasks.iter().any(another) {
            return Err(DomainError::guard("takes_part", "the organisation holds another task of the case"));
        }
        let opened_at = work.case.clock(ClockKind::Resolve, None).map(|clock| clock.started_at);
        if task.state == TaskState::Approved && task.submitted_at < opened_at {
            let message = "what was approved before the case was opened again stays so";
            return Err(DomainError::guard("task_state", message));
        }
        work.move_task(task_id, TaskState::Returned)?;
        work.task_mut(task_id)?.mandatory = true; // what is sent back is waited for
        let due_at = work.start_clock(ClockKind::Assist, Some(task_id), work.sla().assist);
        work.returned(task_id, Some(due_at), reason_code)?;
        Ok(work.finish())
    }
}

impl Work<'_> {
    /// A human of an organisation that may approve more time now.
    fn approves_extension(&self) -> Result<()> {
        let by = self.human_official()?;
        if self.case.extension_approvers(self.routes, self.rules, self.now).contains(&by) {
            return Ok(());
        }
        if self.case.responsible_orgs(self.routes, self.now).contains(&by) {
            let message = "beyond the usual number the level above approves";
            return Err(DomainError::guard("extensions_used_up", message));
        }
        Err(DomainError::NotEntitled { code: "extension_approver" })
    }

    /// Somebody acts for an organisation that answers for the case; timers pass.
    fn answers_for_case(&self) -> Result<()> {
        let answers = |org: OrgId| self.case.responsible_orgs(self.routes, self.now).contains(&org);
        let entitled = self.by.standing == Standing::System || self.by.org.is_some_and(answers);
        if entitled { Ok(()) } else { Err(DomainError::NotEntitled { code: "lead_org" }) }
    }

    /// The handler's first contact with the requester; without a method where other work implies it.
    pub(super) fn contact(&mut self, method: Option<ContactMethod>) -> Result<()> {
        self.permit(Trigger::Contact)?;
        let (id, org) = self.lead()?;
        self.acts_for(org, "lead_org")?;
        if self.case.state == CaseState::Signed {
            self.move_task(id, TaskState::Working)?;
            self.enter(CaseState::InProgress, Trigger::Contact)?;
        } else if self.case.clock(ClockKind::Contact, Some(id)).is_some() {
            return Err(DomainError::guard("contacted_before", "the first contact is on record"));
        } else {
            // A partner's case has no contact limit; the clock only records the contact.
            self.stay(Trigger::Contact)?;
            self.start_clock(ClockKind::Contact, Some(id), self.sla().contact);
        }
        let in_time = self.stop_clock(ClockKind::Contact, Some(id)).unwrap_or(true);
        let reason = method.map(|method| Reason::new(format!("contacted_by_{method}")));
        self.emit(DomainEvent::CaseContacted { in_time }, reason, Some(id));
        // Whoever was called to lead has answered the call.
        self.reported(id)
    }

    /// Assists that are not done: what is decided without them needs them no more.
    pub(super) fn outstanding_assists(&self) -> Vec<TaskId> {
        let assists = self.case.tasks.iter().filter(|task| task.part == TaskPart::Assist);
        assists.filter(|task| task.state.is_open()).map(|task| task.id).collect()
    }

    /// The lead task that stands, and its organisation.
    pub(super) fn lead(&self) -> Result<(TaskId, OrgId)> {
        let lead = self.case.lead().filter(|task| task.state.is_live());
        lead.map(|task| (task.id, task.org))
            .ok_or_else(|| DomainError::guard("no_lead", "nobody leads this case"))
    }

    /// Hands a task in, through the states in between.
    pub(super) fn submit(&mut self, id: TaskId, in_time: bool) -> Result<()> {
        if matches!(self.case.task(id)?.state, TaskState::Signed | TaskState::Returned) {
            self.move_task(id, TaskState::Working)?;
        }
        self.move_task(id, TaskState::Submitted)?;
        let now = self.now;
        let task = self.task_mut(id)?;
        task.submitted_at = Some(now);
        let (part, org_id) = (task.part, task.org);
        self.emit(DomainEvent::TaskSubmitted { task_id: id, part, org_id, in_time }, None, Some(id));
        Ok(())
    }

    pub(super) fn returned(
        &mut self,
        id: TaskId,
        due_at: Option<Timestamp>,
        reason_code: &str,
    ) -> Result<()> {
        let task = self.task_mut(id)?;
        task.returned_count += 1;
        task.due_at = due_at;
        let org_id = task.org;
        let reason = Reason::new(reason_code);
        let reason_code = reason_code.to_owned();
        self.emit(
            DomainEvent::TaskReturned { task_id: id, org_id, reason_code, due_at },
            Some(reason),
            Some(id),
        );
        Ok(())
    }

    pub(super) fn resume(&mut self, reason: Option<Reason>) -> Result<()> {
        self.end_suspension();
        self.enter(CaseState::InProgress, Trigger::Resume)?;
        let due_at = self.case.resolve_clock().map(|clock| clock.due_at);
        let due_at = if self.case.confirmed_offer().is_some() { self.partner_due() } else { due_at };
        let lead = self.lead()?.0;
        self.task_mut(lead)?.due_at = due_at;
        self.emit(DomainEvent::CaseResumed {}, reason, None);
        Ok(())
    }
}

/// What moves the requester's time is told to them in writing.
pub(super) fn written(told_ref: &str) -> Result<()> {
    if told_ref.is_empty() {
        return Err(DomainError::invalid("told_ref", "the writing by which the requester was told"));
    }
    Ok(())
}
