//! A case of another system becomes one of ours. An open one goes through the verbs at its own times, so that its clocks are
//! those it would have had here, as far as triage or its lead; what was done beyond that elsewhere is not made up. What time
//! would have brought here before it came is noted with it: silence has accepted, warnings count as given. An open one of an
//! emergency line goes to that line with the import, for nothing was done here yet. One that has ended is written down as it
//! stands, complete by the rules of a closed record (C-6).

use std::sync::Arc;

use calendar::TimeUnit;
use chrono::{DateTime, TimeDelta};

use super::by_hand::{ManualRoute, ordered};
use super::case::{Case, Evidence, ItemRef, Place, Rating, RoutingDecision, Task};
use super::clock::Clock;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, TimelineEntry, Timestamp};
use super::ids::*;
use super::intake::{RegisterCase, TriageCase, new_case, place_of};
use super::item::ServiceItem;
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Party, Work};

/// Why the first step of a case that came from another system stands there.
pub const IMPORTED: &str = "imported";
/// Older than any system a case could come from: 1990-01-01 UTC.
const OLDEST_SECONDS: i64 = 631_152_000;
/// Days after its registration when a case can be due at the latest: old systems write the year 9999 for never.
const MOST_DAYS: i64 = 3_653;

/// A case as another system has it. `register` is what a registration would say; its channel and texts are those of then.
#[derive(Debug, Clone)]
pub struct ImportCase {
    pub register: RegisterCase,
    /// Code of the system it comes from.
    pub source: String,
    /// Where its record there is found.
    pub record: String,
    pub state: CaseState,
    pub registered_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    pub resolve_due_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub lead: Option<OrgId>,
    pub delivery_mode: Option<DeliveryMode>,
    pub closed_code: Option<ClosedCode>,
    pub grade: Option<u8>,
    pub rated_at: Option<Timestamp>,
}

/// What an import makes: the case, its whole timeline, and what figures need besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    pub case: Case,
    pub timeline: Vec<TimelineEntry>,
    /// The intake decision came within its limit.
    pub intake_in_time: bool,
    /// From acceptance to completion, in the kind of time of the limit; 0 of a case that is not completed.
    pub elapsed_seconds: i64,
    /// The unit of that limit; unset of a case that is not completed.
    pub elapsed_unit: Option<TimeUnit>,
    /// The emergency line that it was handed off by with the import; unset of what another system did with it.
    pub handed_off: Option<String>,
}

impl Case {
    /// Takes a case over from another system. `act.by` does it; the steps before were the other system's.
    ///
    /// # Errors
    /// `Invalid` naming the field; what routing refuses when a dispatched case goes to its lead.
    pub fn import(command: ImportCase, act: &Act<'_>) -> Result<Imported> {
        command.check(act)?;
        let (importer, source) = (act.by.actor.clone(), command.source.clone());
        let theirs = Act { by: Party::system(), ..act.clone() };
        let imported =
            if command.state.is_finished() { ended(command, &theirs)? } else { open(command, &theirs)? };
        Ok(imported.taken_over(importer, &source, act.now))
    }
}

impl ImportCase {
    fn check(&self, act: &Act<'_>) -> Result<()> {
        use CaseState::{
            Accepted, Archived, Closed, Dispatched, HandedOff, NotAccepted, Registered, Triaged, Withdrawn,
        };
        let refuse = |field, message: &str| Err(DomainError::invalid(field, message));
        let (state, ended) = (self.state, self.state.is_finished());
        let closed = matches!(state, Closed | Archived);
        if !matches!(
            state,
            Registered
                | Accepted
                | Triaged
                | Dispatched
                | Closed
                | Archived
                | Withdrawn
                | NotAccepted
                | HandedOff
        ) {
            return refuse("state", "is not one that a case can be imported in");
        }
        if self.registered_at.timestamp() < OLDEST_SECONDS {
            return refuse("registered_time", "lies before 1990");
        }
        let times = [
            ("registered_time", Some(self.registered_at)),
            ("accepted_time", self.accepted_at),
            ("completed_time", self.completed_at),
            ("closed_time", self.closed_at),
        ];
        let mut before = self.registered_at;
        for (field, at) in times.into_iter().filter_map(|(field, at)| Some((field, at?))) {
            if at < before {
                return refuse(field, "lies before the step before");
            }
            if at > act.now {
                return refuse(field, "lies ahead");
            }
            before = at;
        }
        if self.rated_at.is_some_and(|at| at < self.registered_at || at > act.now) {
            return refuse("rated_time", "lies before the registration, or ahead");
        }
        if self.resolve_due_at.is_some_and(|due| due < self.registered_at) {
            return refuse("resolve_due_time", "lies before the registration");
        }
        let latest = self.registered_at + TimeDelta::days(MOST_DAYS);
        if self.resolve_due_at.is_some_and(|due| due > latest) {
            return refuse("resolve_due_time", "lies more than ten years after the registration");
        }
        if state == Registered && self.accepted_at.is_some() {
            return refuse("accepted_time", "a registered case is not accepted yet");
        }
        if state == Registered && self.resolve_due_at.is_some() {
            return refuse("resolve_due_time", "only of a case that was accepted");
        }
        match (ended, self.closed_at) {
            (true, None) => return refuse("closed_time", "says when it ended; required of a case that has"),
            (false, Some(_)) => return refuse("closed_time", "an open case has not ended"),
            _ => {}
        }
        if self.completed_at.is_some() && !closed {
            return refuse("completed_time", "only of a closed case");
        }
        if self.grade.is_some() && !closed {
            return refuse("grade", "only of a closed case");
        }
        if self.grade.is_none() && self.rated_at.is_some() {
            return refuse("rated_time", "only with a grade");
        }
        if self.delivery_mode.is_some() && !closed {
            return refuse("delivery_mode", "only of a closed case");
        }
        if self.closed_code.is_some_and(|code| !state.ends_as(code)) {
            return refuse("closed_code", "does not fit the state");
        }
        self.check_item(act, ended)?;
        match (state, self.lead) {
            (Dispatched, None) => refuse("lead_org_id", "is required for a dispatched case"),
            (Dispatched | Closed | Archived, Some(lead)) if act.routes.org(lead).is_none() => {
                refuse("lead_org_id", "no such organisation")
            }
            (Dispatched | Closed | Archived, _) | (_, None) => Ok(()),
            (_, Some(_)) => refuse("lead_org_id", "a case in this state has no lead"),
        }
    }

    fn check_item(&self, act: &Act<'_>, ended: bool) -> Result<()> {
        let Some(code) = &self.register.item_code else {
            let needless = matches!(
                self.state,
                CaseState::Registered
                    | CaseState::Accepted
                    | CaseState::Withdrawn
                    | CaseState::NotAccepted
                    | CaseState::HandedOff
            );
            let required = || DomainError::invalid("item_code", "is required in this state");
            return if needless { Ok(()) } else { Err(required()) };
        };
        let item = item_of(code, ended, act);
        let item = item.ok_or_else(|| DomainError::invalid("item_code", "no such item in the catalogue"))?;
        if !ended && item.nature == Nature::Application {
            let message = "an application that is open is filed as one, with its papers";
            return Err(DomainError::invalid("item_code", message));
        }
        if self.state == CaseState::Dispatched && item.emergency_line.is_some() {
            let message = "an emergency is in the hands of its own line, and has no lead here";
            return Err(DomainError::invalid("state", message));
        }
        Ok(())
    }
}

/// The item that new cases are of; what has ended may be about one that is no more.
fn item_of<'a>(code: &str, ended: bool, act: &Act<'a>) -> Option<&'a Arc<ServiceItem>> {
    let newest = || act.routes.item_version(code, u32::MAX).filter(|_| ended);
    act.routes.item(code, act.now).or_else(newest)
}

/// The only way in which a case of this state can have ended.
const fn own_code(state: CaseState) -> Option<ClosedCode> {
    match state {
        CaseState::Withdrawn => Some(ClosedCode::Withdrawn),
        CaseState::NotAccepted => Some(ClosedCode::Declined),
        CaseState::HandedOff => Some(ClosedCode::HandedOff),
        _ => None,
    }
}

fn open(command: ImportCase, act: &Act<'_>) -> Result<Imported> {
    let (state, registered_at) = (command.state, command.registered_at);
    let accepted_at = command.accepted_at.unwrap_or(registered_at);
    let ImportCase { register, lead, resolve_due_at, .. } = command;
    let place = place_of(act.routes.open_at(register.place_unit), act.routes)?;
    let item_code = register.item_code.clone();
    let mut work = Work::begin(new_case(register, place, registered_at), act);
    work.now = registered_at;
    work.come_in(CaseState::Registered, Trigger::Register)?;
    if let Some(code) = &item_code {
        // Of the version that cases are of today: the one of its own time may be unknown here.
        work.now = act.now;
        work.set_item(code)?;
        work.now = registered_at;
    }
    if work.case.anonymous && !work.case.nature.may_be_anonymous() {
        return Err(DomainError::invalid("anonymous", "a request of this nature needs a requester"));
    }
    let accept_due_at = work.start_clock(ClockKind::Accept, None, work.sla().accept);
    work.emit(DomainEvent::CaseRegistered { accept_due_at }, None, None);
    let is_emergency = work.item().is_some_and(|item| item.emergency_line.is_some());
    let mut intake_in_time = false;
    if state == CaseState::Registered && is_emergency {
        intake_in_time = act.now <= accept_due_at;
    } else if state == CaseState::Registered {
        if accept_due_at <= act.now {
            // Nobody decided: it was accepted by silence then. The accept clock is its only one yet.
            work.now = accept_due_at;
            work.breach(0)?;
        }
    } else {
        work.now = accepted_at;
        intake_in_time = accepted_at <= accept_due_at;
        work.accept(false)?;
    }
    if matches!(state, CaseState::Triaged | CaseState::Dispatched) {
        work.triage(&TriageCase::default())?;
    }
    let rules = work.rules;
    if let Some(due_at) = resolve_due_at {
        let resolve = work.case.clocks.iter_mut().filter(|clock| clock.kind == ClockKind::Resolve);
        resolve.for_each(|clock| clock.promise(due_at, rules));
    }
    if let Some(lead) = lead.filter(|_| state == CaseState::Dispatched) {
        // Its lead gets it here and now: the time to sign for it begins, the resident's goes on.
        work.now = act.now;
        let manual = ManualRoute { lead, assists: Vec::new(), reason_code: "imported".to_owned() };
        let outcome = ordered(work.manual(&manual, "chosen_by_dispatcher", |_| None)?)?;
        work.dispatch_to(&outcome, true)?;
    }
    work.now = act.now;
    // Its line takes an emergency here and now, however far it had come there.
    work.hand_off_emergency()?;
    // Reminders of what lies behind would come all at once. That a limit has passed is told all the same, once; who is asked why
    // is asked now, not in a past in which nobody here could answer.
    work.case.clocks.iter_mut().for_each(|clock| clock.forgo_warnings(act.now));
    let decision = work.finish();
    let handed_off = decision.events.into_iter().find_map(|told| match told.event {
        DomainEvent::CaseHandedOff { line_code, .. } => Some(line_code),
        _ => None,
    });
    Ok(Imported {
        case: decision.case,
        timeline: decision.timeline,
        intake_in_time,
        elapsed_seconds: 0,
        elapsed_unit: None,
        handed_off,
    })
}

fn ended(command: ImportCase, act: &Act<'_>) -> Result<Imported> {
    let place = place_of(command.register.place_unit, act.routes)?;
    let rules = act.rules.at(&place.path);
    let item = command.register.item_code.as_deref().and_then(|code| item_of(code, true, act));
    let closed_at = command.closed_at.unwrap_or(command.registered_at);
    let mut past = Past::begin(&command, place, item.map(std::convert::AsRef::as_ref), act);
    let (accepted_at, done) = (past.case.accepted_at, past.case.completed_at);
    past.note("CaseRegistered", CaseState::Registered, command.registered_at);
    let (mut elapsed_seconds, mut elapsed_unit) = (0, None);
    if let Some(accepted_at) = accepted_at {
        past.note("CaseAccepted", CaseState::Accepted, accepted_at);
        let limit = item.map_or(rules.resolve, |item| item.promised_limit);
        let span = (accepted_at, done.unwrap_or(closed_at));
        let clock = Clock::past(ClockKind::Resolve, limit, span, command.resolve_due_at, rules);
        if done.is_some() {
            elapsed_seconds = clock.elapsed_seconds(span.1, rules);
            elapsed_unit = Some(limit.unit);
        }
        past.case.clocks.push(clock);
    }
    let told = match command.state {
        CaseState::Withdrawn => "CaseWithdrawn",
        CaseState::NotAccepted => "CaseDeclined",
        CaseState::HandedOff => "CaseHandedOff",
        _ => {
            past.work_done(&command, item.map(std::convert::AsRef::as_ref), act);
            "CaseClosed"
        }
    };
    past.note(told, past.case.state, closed_at);
    past.case.closed_at = Some(closed_at);
    let decision = past.decision(act);
    past.case.routing.push(decision);
    let sla = rules.sla_for(item.map(std::convert::AsRef::as_ref), past.case.urgency);
    let decided_at = accepted_at.unwrap_or(closed_at);
    let limit = rules.calendar.add_paused(sla.accept, command.registered_at, &[], &rules.profile);
    past.case.updated_at = act.now;
    let decided = accepted_at.is_some() || command.state != CaseState::Withdrawn;
    let intake_in_time = decided && decided_at <= limit.at;
    Ok(Imported {
        case: past.case,
        timeline: past.timeline,
        intake_in_time,
        elapsed_seconds,
        elapsed_unit,
        handed_off: None,
    })
}

/// A case that has ended, while it is written down.
struct Past {
    case: Case,
    timeline: Vec<TimelineEntry>,
    ids: Ids,
}

impl Past {
    fn begin(command: &ImportCase, place: Place, item: Option<&ServiceItem>, act: &Act<'_>) -> Self {
        let mut case = new_case(command.register.clone(), place, command.registered_at);
        case.state = command.state;
        case.closed_code = own_code(command.state);
        if let Some(item) = item {
            case.nature = item.nature;
            case.urgency = case.urgency.max(item.urgency);
            case.item = Some(ItemRef {
                code: item.code.clone(),
                version: item.version,
                category: item.category.clone(),
                line: item.line().map(str::to_owned),
            });
        }
        let closed = matches!(command.state, CaseState::Closed | CaseState::Archived);
        case.accepted_at = command.accepted_at.or(closed.then_some(command.registered_at));
        case.completed_at = command.completed_at.or(command.closed_at).filter(|_| closed);
        Self { case, timeline: Vec::new(), ids: act.ids.clone() }
    }

    fn note(&mut self, event: &str, state: CaseState, at: Timestamp) {
        self.case.version += 1;
        self.timeline.push(TimelineEntry {
            case_version: self.case.version,
            event: event.to_owned(),
            state,
            actor: PersonRef::system(),
            org: None,
            at,
            reason: None,
            task_id: None,
        });
    }

    /// Who did the work, how it ended, what the requester said, and until when it is kept.
    fn work_done(&mut self, command: &ImportCase, item: Option<&ServiceItem>, act: &Act<'_>) {
        let closed_at = command.closed_at.unwrap_or(command.registered_at);
        let lead = command.lead.and_then(|id| act.routes.org(id));
        let mode = lead.map_or(DispatchMode::Order, |org| mode_of(org.kind));
        let by_kind = lead.map_or(DeliveryMode::GovDirect, |org| DeliveryMode::of(mode, org.kind));
        self.case.delivery_mode = command.delivery_mode.or(Some(by_kind));
        self.case.closed_code = command.closed_code.or(Some(ClosedCode::Resolved));
        let record = command.record.clone();
        self.case.evidence.push(Evidence {
            kind: EvidenceKind::Document,
            reference: record,
            at: closed_at,
            task_id: None,
            org_id: command.lead.or(Some(self.case.first_receiver)),
        });
        if let Some(org) = lead {
            let accepted_at = self.case.accepted_at.unwrap_or(command.registered_at);
            let id: TaskId = self.ids.draw();
            self.case.tasks.push(Task {
                id,
                no: format!("{}-1", self.case.case_no),
                org: org.id,
                unit: org.unit,
                sender: self.case.first_receiver,
                part: TaskPart::Lead,
                mode,
                state: TaskState::Approved,
                mandatory: false,
                issued_at: accepted_at,
                signed_at: Some(accepted_at),
                submitted_at: self.case.completed_at,
                due_at: self.case.resolve_clock().map(|clock| clock.due_at),
                objected: false,
                item: self.case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default(),
                returned_count: 0,
                assignment: None,
                workers_wanted: 1,
                crew: Vec::new(),
                whistle: None,
                decider: None,
                relieved: false,
            });
            (self.case.lead_task, self.case.lead_org, self.case.lead_unit) =
                (Some(id), Some(org.id), Some(org.unit));
            self.case.dispatched_at = Some(accepted_at);
        }
        if let Some(grade) = command.grade {
            let at = command.rated_at.unwrap_or(closed_at);
            // A bad one was dealt with, or not, where it was given.
            let valid = (grade <= 2).then_some(true);
            let late = at > closed_at;
            self.case.rating = Some(Rating { valid, ..Rating::given(grade, at, late) });
            self.note("RatingReceived", self.case.state, at);
        }
        let retention = item.and_then(|item| item.retention_days).unwrap_or(act.rules.retention_days);
        let until = closed_at + TimeDelta::days(i64::from(retention));
        let kept = self.case.state == CaseState::Closed && until > act.now;
        self.case.state = if kept { CaseState::Closed } else { CaseState::Archived };
        self.case.archive_at = kept.then_some(until);
    }

    fn decision(&mut self, act: &Act<'_>) -> RoutingDecision {
        let kind = match (self.case.state, self.case.lead_org) {
            (CaseState::HandedOff, _) => RoutingKind::HandedOff,
            (CaseState::Withdrawn | CaseState::NotAccepted, _) => RoutingKind::Ended,
            (_, Some(_)) => RoutingKind::Manual,
            (_, None) => RoutingKind::AnsweredAtWindow,
        };
        RoutingDecision {
            id: self.ids.draw(),
            kind,
            lead: self.case.lead_org,
            sender: None,
            mode: None,
            assists: Vec::new(),
            candidates: Vec::new(),
            rule_ids: Vec::new(),
            reasons: Vec::new(),
            confidence: 100,
            rules_version: String::new(),
            // People decided, elsewhere: no machine of ours refused it (C-5).
            by_human: true,
            list_version: act.routes.list_at(&self.case.place.path, act.now).cited(act.now).to_string(),
            inputs: None,
            at: self.case.closed_at.unwrap_or(DateTime::UNIX_EPOCH),
        }
    }
}

/// How work came to an organisation of that kind, where nobody says so.
const fn mode_of(kind: OrgKind) -> DispatchMode {
    match kind {
        OrgKind::SocialOrg | OrgKind::SelfGovGroup | OrgKind::Enterprise | OrgKind::PropertyCompany => {
            DispatchMode::Invitation
        }
        OrgKind::Committee => DispatchMode::AssistRequest,
        _ => DispatchMode::Order,
    }
}

impl Imported {
    /// Its first step says whence it comes and who brought it.
    fn taken_over(mut self, by: PersonRef, source: &str, now: Timestamp) -> Self {
        if let Some(first) = self.timeline.first_mut() {
            first.actor = by;
            first.reason =
                Some(Reason::new(IMPORTED).with("source", source).with("on", calendar::local_day(now)));
        }
        self
    }
}
