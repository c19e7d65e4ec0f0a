//! One decision being made: the case under change, the events and timeline it yields, and the moves that
//! several verbs share. A decision is all or nothing: an error drops the whole of it.

use calendar::Limit;

use super::case::{Case, Place, RoutingDecision, Supervision, Task};
use super::clock::Clock;
use super::codes::*;
use super::counted::Counted;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Emitted, TimelineEntry, Timestamp};
use super::ids::*;
use super::item::ServiceItem;
use super::noted::NOTED;
use super::reason::Reason;
use super::replay::RoutingInputs;
use super::router::{Choice, RoutingOutcome};
use super::rules::{Rules, SlaProfile};
use super::state::{TASK_TRANSITIONS, Trigger, allows, allows_move};
use super::table::RoutingTable;
use super::whistle::WhistleScore;

/// In what standing somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Timers, consumers, the router.
    System,
    /// The resident whose request it is.
    Requester,
    /// Somebody acting for an organisation.
    Official,
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    /// Pseudonym.
    pub actor: PersonRef,
    /// The organisation the actor acts for.
    pub org: Option<OrgId>,
    pub standing: Standing,
}

impl Party {
    /// A timer or consumer.
    #[must_use]
    pub fn system() -> Self {
        Self { actor: PersonRef::system(), org: None, standing: Standing::System }
    }
}

/// What a decision is made with besides the case and the command.
#[derive(Debug, Clone)]
pub struct Act<'a> {
    pub by: Party,
    pub now: Timestamp,
    /// From one fresh id that came with the command.
    pub ids: Ids,
    pub rules: &'a Rules,
    pub routes: &'a RoutingTable,
}

/// A decided command: the new case, its events in order, and what people will read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub case: Case,
    pub events: Vec<Emitted>,
    pub timeline: Vec<TimelineEntry>,
}

pub(super) struct Work<'a> {
    pub case: Case,
    pub by: Party,
    pub now: Timestamp,
    pub ids: Ids,
    /// With the hours of the case's place.
    pub rules: &'a Rules,
    /// For whatever place.
    house: &'a Rules,
    pub routes: &'a RoutingTable,
    /// The application itself acts; otherwise its case does nothing past it.
    pub by_application: bool,
    events: Vec<Emitted>,
    timeline: Vec<TimelineEntry>,
    #[cfg(test)]
    rows: Vec<super::state::trail::Row>,
    #[cfg(test)]
    task_rows: Vec<super::state::trail::TaskRow>,
}

impl<'a> Work<'a> {
    /// The case as it stands, counted by the calendar that is in force.
    pub fn begin(case: Case, act: &Act<'a>) -> Self {
        let rules = act.rules.at(act.routes.path_now(&case.place));
        let mut work = Self {
            // Instants of a case never run backwards, whatever the callers' clocks do.
            now: act.now.max(case.updated_at),
            case,
            by: act.by.clone(),
            ids: act.ids.clone(),
            rules,
            house: act.rules,
            routes: act.routes,
            by_application: false,
            events: Vec::new(),
            timeline: Vec::new(),
            #[cfg(test)]
            rows: Vec::new(),
            #[cfg(test)]
            task_rows: Vec::new(),
        };
        work.follow_calendar();
        work
    }

    /// The case is somewhere else from now on. Gives whether that place has other hours than it had where it was, or was written
    /// down to be.
    pub fn move_to(&mut self, place: Place) -> bool {
        let (before, written) = (self.rules, self.house.at(&self.case.place.path));
        self.rules = self.house.at(&place.path);
        self.case.place = place;
        !std::ptr::eq(before, self.rules) || !std::ptr::eq(written, self.rules)
    }

    /// Whether something was told already.
    pub fn has_told(&self) -> bool {
        !self.events.is_empty()
    }

    pub fn finish(mut self) -> Decision {
        if self.events.is_empty() {
            self.case.version += 1;
        }
        self.case.updated_at = self.now;
        #[cfg(test)]
        super::state::trail::note(self.rows, self.task_rows);
        Decision { case: self.case, events: self.events, timeline: self.timeline }
    }

    /// Finishes with a step that people read and nobody is told of, under a version of its own: the timeline is paged by them.
    pub fn finish_with(mut self, step: &str, reason: Option<Reason>) -> Decision {
        debug_assert!(NOTED.contains(&step), "{step} is not in the list that the board goes by");
        let (actor, org) = (self.by.actor.clone(), self.by.org);
        if self.has_told() {
            self.case.version += 1;
        }
        let mut decision = self.finish();
        decision.timeline.push(TimelineEntry {
            case_version: decision.case.version,
            event: step.to_owned(),
            state: decision.case.state,
            actor,
            org,
            at: decision.case.updated_at,
            reason,
            task_id: None,
        });
        decision
    }

    // --- the state tables

    /// The state allows the verb at all.
    pub fn permit(&self, verb: Trigger) -> Result<()> {
        let state = self.case.state;
        if !allows(Some(state), verb) {
            return Err(DomainError::WrongState { state, verb });
        }
        self.not_past_application(verb)
    }

    /// Moves the case along a row of the table.
    pub fn enter(&mut self, to: CaseState, verb: Trigger) -> Result<()> {
        self.follow_row(Some(self.case.state), to, verb)
    }

    /// The case stays where it is, along a row of the table that says so.
    pub fn stay(&mut self, verb: Trigger) -> Result<()> {
        self.enter(self.case.state, verb)
    }

    /// A new case comes into the table.
    pub fn come_in(&mut self, to: CaseState, verb: Trigger) -> Result<()> {
        self.follow_row(None, to, verb)
    }

    fn follow_row(&mut self, from: Option<CaseState>, to: CaseState, verb: Trigger) -> Result<()> {
        if !allows_move(from, to, verb) {
            return Err(DomainError::WrongState { state: self.case.state, verb });
        }
        self.not_past_application(verb)?;
        self.case.state = to;
        #[cfg(test)]
        self.rows.push((from, to, verb));
        self.keep_stages(from, to);
        Ok(())
    }

    /// Moves a task along a row of its table.
    pub fn move_task(&mut self, id: TaskId, to: TaskState) -> Result<()> {
        let task = self.task_mut(id)?;
        if !TASK_TRANSITIONS.contains(&(task.state, to)) {
            let message = format!("a task that is {} cannot become {to}", task.state);
            return Err(DomainError::guard("task_state", message));
        }
        #[cfg(test)]
        let from = task.state;
        task.state = to;
        #[cfg(test)]
        self.task_rows.push((from, to));
        Ok(())
    }

    pub fn task_mut(&mut self, id: TaskId) -> Result<&mut Task> {
        let found = self.case.tasks.iter_mut().find(|task| task.id == id);
        found.ok_or_else(|| DomainError::invalid("task_id", "not a task of this case"))
    }

    // --- who may

    /// The acting organisation is that one; timers and consumers pass.
    pub fn acts_for(&self, org: OrgId, code: &'static str) -> Result<()> {
        let entitled = self.by.standing == Standing::System || self.by.org == Some(org);
        if entitled { Ok(()) } else { Err(DomainError::NotEntitled { code }) }
    }

    /// Somebody, not a machine, acts for an organisation (C-5).
    pub fn human_official(&self) -> Result<OrgId> {
        match (self.by.standing, self.by.org) {
            (Standing::Official, Some(org)) => Ok(org),
            _ => Err(DomainError::NotEntitled { code: "human_official" }),
        }
    }

    // --- telling

    pub fn emit(&mut self, event: DomainEvent, reason: Option<Reason>, task_id: Option<TaskId>) {
        self.case.version += 1;
        self.timeline.push(TimelineEntry {
            case_version: self.case.version,
            event: event.name().to_owned(),
            state: self.case.state,
            actor: self.by.actor.clone(),
            org: self.by.org,
            at: self.now,
            reason,
            task_id,
        });
        let facts = self.case.facts();
        self.events.push(Emitted { case_id: self.case.id, version: self.case.version, facts, event });
    }

    /// A step that people read and nobody is told of, under a version of its own. Nobody's doing.
    pub fn note(&mut self, step: &str, reason: Reason) {
        debug_assert!(NOTED.contains(&step), "{step} is not in the list that the board goes by");
        self.case.version += 1;
        self.timeline.push(TimelineEntry {
            case_version: self.case.version,
            event: step.to_owned(),
            state: self.case.state,
            actor: PersonRef::system(),
            org: None,
            at: self.now,
            reason: Some(reason),
            task_id: None,
        });
    }

    // --- clocks

    pub fn start_clock(&mut self, kind: ClockKind, task: Option<TaskId>, limit: Limit) -> Timestamp {
        let clock = Clock::start(kind, task, limit, self.now, self.rules);
        let due_at = clock.due_at;
        self.case.clocks.push(clock);
        due_at
    }

    /// Stops the open clock of a kind and says whether it was in time; `None` if none was open.
    pub fn stop_clock(&mut self, kind: ClockKind, task: Option<TaskId>) -> Option<bool> {
        let (now, rules) = (self.now, self.rules);
        let clocks = self.case.clocks.iter_mut();
        let mut open = clocks.filter(|clock| clock.kind == kind && clock.task_id == task && clock.is_open());
        let clock = open.next_back()?;
        clock.stop(now, rules);
        Some(clock.in_time(now))
    }

    pub fn stop_all_clocks(&mut self) {
        let (now, rules) = (self.now, self.rules);
        self.case.clocks.iter_mut().for_each(|clock| clock.stop(now, rules));
    }

    pub fn stop_task_clocks(&mut self, task: TaskId) {
        let (now, rules) = (self.now, self.rules);
        let clocks = self.case.clocks.iter_mut().filter(|clock| clock.task_id == Some(task));
        clocks.for_each(|clock| clock.stop(now, rules));
    }

    // --- the item

    /// The catalogue item of the case, in the version triage set.
    pub fn item(&self) -> Option<&'a ServiceItem> {
        let item = self.case.item.as_ref()?;
        self.routes.item_version(&item.code, item.version).map(std::convert::AsRef::as_ref)
    }

    /// The limits that hold for the case.
    pub fn sla(&self) -> &'a SlaProfile {
        self.rules.sla_for(self.item(), self.case.urgency)
    }

    pub fn skill_codes(&self) -> Vec<String> {
        self.item().map(|item| item.skill_codes.clone()).unwrap_or_default()
    }

    // --- tasks

    /// Makes a task and starts its clocks; the event that tells of it is for the caller to emit.
    /// A partner's task is accepted by the offer, so it is not signed.
    pub fn make_task(&mut self, part: TaskPart, choice: &Choice, by_offer: bool) -> (TaskId, DomainEvent) {
        self.make_called(part, choice, by_offer, self.rules.report_in)
    }

    /// The same. Whoever is called by a whistle, to assist or to lead, has so long to report in (domain.md §2.0.3).
    pub fn make_called(
        &mut self,
        part: TaskPart,
        choice: &Choice,
        by_offer: bool,
        report_in: Limit,
    ) -> (TaskId, DomainEvent) {
        let id: TaskId = self.ids.draw();
        let mut sign_due_at = None;
        if !by_offer {
            sign_due_at = Some(self.start_clock(ClockKind::Sign, Some(id), self.sla().sign));
        }
        let due_at = match part {
            TaskPart::Lead if by_offer => self.partner_due(),
            TaskPart::Lead => {
                self.start_clock(ClockKind::Objection, Some(id), self.sla().objection);
                self.case.resolve_clock().map(|clock| clock.due_at)
            }
            TaskPart::Assist => Some(self.start_clock(ClockKind::Assist, Some(id), self.sla().assist)),
        };
        let whistle = (choice.mode == DispatchMode::Whistle).then(WhistleScore::default);
        if whistle.is_some() {
            self.start_clock(ClockKind::Report, Some(id), report_in);
        }
        let item = self.item_code().to_owned();
        let objected = part == TaskPart::Lead && self.has_objected(choice.org);
        self.case.tasks.push(Task {
            id,
            no: format!("{}-{}", self.case.case_no, self.case.tasks.len() + 1),
            org: choice.org,
            unit: choice.unit,
            sender: choice.sender,
            part,
            mode: choice.mode,
            state: TaskState::Issued,
            mandatory: choice.mandatory,
            item,
            issued_at: self.now,
            signed_at: None,
            submitted_at: None,
            due_at,
            objected,
            returned_count: 0,
            assignment: None,
            workers_wanted: 1,
            crew: Vec::new(),
            whistle,
            decider: None,
            relieved: false,
        });
        if part == TaskPart::Lead {
            self.take_lead(id, choice);
        }
        let (mode, org_id, unit_id) = (choice.mode, choice.org, choice.unit);
        (id, DomainEvent::TaskIssued { task_id: id, part, mode, org_id, unit_id, sign_due_at, due_at })
    }

    fn take_lead(&mut self, id: TaskId, choice: &Choice) {
        let before = self.case.tasks.iter().rev().find(|task| task.part == TaskPart::Lead && task.id != id);
        if self.case.dispatched_at.is_some() && before.is_some_and(|task| task.org != choice.org) {
            self.case.lead_change_count += 1;
        }
        self.forget_ruling_for_another(choice.org);
        self.case.lead_task = Some(id);
        self.case.lead_org = Some(choice.org);
        self.case.lead_unit = Some(choice.unit);
        let kind = self.routes.org(choice.org).map_or(OrgKind::Department, |org| org.kind);
        self.case.delivery_mode = Some(DeliveryMode::of(choice.mode, kind));
    }

    /// A partner works within a part of the time the requester was promised, so that the public service can
    /// still take over in time.
    pub fn partner_due(&self) -> Option<Timestamp> {
        let clock = self.case.resolve_clock()?;
        let (unit, percent) = (clock.limit.unit, self.rules.partner_share_percent);
        let span = (self.now, clock.due_at.max(self.now));
        Some(self.rules.calendar.at_percent(unit, percent, span, &[], &self.rules.profile))
    }

    pub fn cancel_task(&mut self, id: TaskId, reason_code: &str) -> Result<()> {
        self.cancel_task_for(id, Reason::new(reason_code))
    }

    /// The same, for a reason of which the timeline tells more than the event does.
    pub fn cancel_task_for(&mut self, id: TaskId, reason: Reason) -> Result<()> {
        self.move_task(id, TaskState::Cancelled)?;
        self.stop_task_clocks(id);
        self.clear_supervisions(|supervision| supervision.task == Some(id));
        let org_id = self.case.task(id)?.org;
        let event = DomainEvent::TaskCancelled { task_id: id, org_id, reason_code: reason.code.clone() };
        self.emit(event, Some(reason), Some(id));
        Ok(())
    }

    /// Cancels every task that still stands.
    pub fn cancel_live_tasks(&mut self, reason_code: &str) -> Result<()> {
        self.cancel_tasks(reason_code, |task| task.state.is_live())
    }

    /// The lead goes, and with it whoever still had something to do for it. What an assist has handed in stands: it is verified
    /// with the rest, or sent back by whoever leads next.
    pub fn cancel_with_lead(&mut self, reason_code: &str) -> Result<()> {
        let goes = |task: &Task| task.part == TaskPart::Lead && task.state.is_live();
        self.cancel_tasks(reason_code, |task| goes(task) || task.state.is_open())
    }

    /// Cancels those tasks.
    pub fn cancel_tasks(&mut self, reason_code: &str, which: impl Fn(&Task) -> bool) -> Result<()> {
        let ended: Vec<TaskId> =
            self.case.tasks.iter().filter(|task| which(task)).map(|task| task.id).collect();
        ended.into_iter().try_for_each(|id| self.cancel_task(id, reason_code))
    }

    /// Nobody leads for the moment; the first receiver still owns the case. What was ruled or agreed on stands until somebody leads.
    pub fn release_lead(&mut self) {
        self.case.lead_task = None;
        self.case.lead_org = None;
        self.case.lead_unit = None;
        self.case.delivery_mode = None;
    }

    // --- routing

    /// What the router says of the case as it is now, with all that it looked at.
    pub fn ask_router(&self) -> RoutingOutcome {
        let query = self.case.route_query(self.routes, self.now);
        let mut outcome = self.routes.route(&query);
        outcome.inputs = Some(Box::new(RoutingInputs::of(&query, &outcome, self.routes)));
        outcome
    }

    pub fn record_routing(&mut self, outcome: &RoutingOutcome, by_human: bool) {
        let decision = RoutingDecision {
            rules_version: self.rules.version.to_string(),
            ..RoutingDecision::of(outcome, self.ids.draw(), by_human, self.now)
        };
        self.case.routing.push(decision);
    }

    /// The process that the latest decision was made in, as events tell it.
    pub fn process(&self) -> String {
        let list_version = self.case.routing.last().map_or("", |decision| &decision.list_version);
        format!("{list_version}.{}", self.rules.version)
    }

    /// A decision that chose no organisation, such as an answer at the window.
    pub fn record_plain_routing(&mut self, kind: RoutingKind, reason: Reason) {
        let list = self.routes.list_at(&self.case.place.path, self.now);
        let mut outcome = RoutingOutcome::of(kind, list, self.now);
        outcome.reasons.push(reason);
        self.record_routing(&outcome, self.by.standing == Standing::Official);
    }

    // --- supervision

    pub fn supervise(
        &mut self,
        level: u8,
        reason_code: &str,
        clock: Option<ClockKind>,
        task: Option<TaskId>,
    ) {
        let org = self.sees_to(clock, task);
        self.supervise_org(level, reason_code, clock, task, org);
    }

    /// Of an organisation, where it is not the one that the task, the clock or the case tells of.
    pub fn supervise_org(
        &mut self,
        level: u8,
        reason_code: &str,
        clock: Option<ClockKind>,
        task: Option<TaskId>,
        org: Option<OrgId>,
    ) {
        let id: SupervisionId = self.ids.draw();
        let (counted, due_at) = Counted::begin(self.rules.supervision_answer, self.now, self.rules);
        self.case.supervisions.push(Supervision {
            id,
            clock,
            task,
            level,
            reason_code: reason_code.to_owned(),
            state: SupervisionState::Issued,
            issued_at: self.now,
            due_at,
            answered_at: None,
            answered_in_time: None,
            answer_code: String::new(),
            rises_at: None,
            counted: Some(counted),
            org,
            issued_by: None,
        });
        let event = DomainEvent::SupervisionIssued {
            supervision_id: id,
            task_id: task,
            level,
            reason_code: reason_code.to_owned(),
            due_at,
        };
        self.emit(event, Some(Reason::new(reason_code)), task);
    }

    pub fn clear_supervisions(&mut self, of: impl Fn(&Supervision) -> bool) {
        let matching = |supervision: &&mut Supervision| {
            supervision.state != SupervisionState::Cleared && of(supervision)
        };
        let cleared: Vec<SupervisionId> = self
            .case
            .supervisions
            .iter_mut()
            .filter(matching)
            .map(|supervision| {
                supervision.state = SupervisionState::Cleared;
                supervision.id
            })
            .collect();
        for supervision_id in cleared {
            self.emit(DomainEvent::SupervisionCleared { supervision_id }, None, None);
        }
    }
}

/// Checks a code that a caller chose freely: short, of safe characters, so that it can stand in events.
pub(super) fn check_code(field: &'static str, code: &str) -> Result<()> {
    let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.' | '-');
    if code.is_empty() || code.len() > 64 || !code.chars().all(safe) {
        return Err(DomainError::invalid(field, "must be a code of 1–64 characters a–z, 0–9, '_', '.', '-'"));
    }
    Ok(())
}
