//! Intake and triage: from the request at the window to a case that can be routed, and the ways in which
//! intake ends a case. Nothing here refuses a case without a human (C-5).

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::case::{Case, ItemRef, Place};
use super::clock::{Clock, is_default};
use super::codes::*;
use super::dispatch::RouteChoice;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::point::Point;
use super::reason::Reason;
use super::recusal::{SUBJECT_CLEARED, is_known};
use super::state::Trigger;
use super::suggestion::Suggestion;
use super::work::{Act, Decision, Standing, Work};

/// A request comes in.
#[derive(Debug, Clone)]
pub struct RegisterCase {
    pub case_id: CaseId,
    pub case_no: String,
    pub channel: Channel,
    pub origin: Origin,
    /// Of the item, where one is given.
    pub nature: Nature,
    /// The matter, if it is known already; triage confirms or changes it.
    pub item_code: Option<String>,
    /// Of a requester's own word it is kept as what they say ([`Case::claimed_urgency`]): a human's triage finds how urgent it is.
    pub urgency: Urgency,
    pub anonymous: bool,
    pub vulnerable: bool,
    /// Pseudonym of the requester; none when anonymous.
    pub requester: Option<PersonRef>,
    pub place_unit: UnitId,
    pub grid: Option<String>,
    pub point: Option<Point>,
    /// The organisation that received it: the first receiver.
    pub receiver: OrgId,
    pub text_redacted: String,
    pub text_ref: Option<Uuid>,
    pub complained_of: Option<OrgId>,
    pub society_agreed: bool,
}

/// Sets what the case is about.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TriageCase {
    /// Unset: the item given at registration.
    pub item_code: Option<String>,
    pub urgency: Option<Urgency>,
    /// A better place than the one registered.
    pub place_unit: Option<UnitId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
    pub complained_of: Option<OrgId>,
    /// It complains of nobody after all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clears_subject: bool,
    /// Whether the requester agrees to be helped by society first; unchanged where unset.
    pub society_agreed: Option<bool>,
    pub vulnerable: Option<bool>,
    /// What the classifier suggests for a case that has no item yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
}

/// What a window worker does with an ordinary case, in one go: register, accept, triage, and offer or dispatch.
#[derive(Debug, Clone)]
pub struct IntakeCase {
    pub register: RegisterCase,
    pub triage: TriageCase,
    pub route: RouteChoice,
}

impl Case {
    /// A new case. The accept clock starts; what is of an emergency line is handed over at once.
    ///
    /// # Errors
    /// `Invalid` for a wrong place, number or organisation, or an anonymous request of a nature that needs a requester.
    pub fn register(command: RegisterCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = registered(command, act)?;
        work.hand_off_emergency()?;
        Ok(work.finish())
    }

    /// Registers, accepts, triages and routes an ordinary case; hands an emergency over at once, and answers
    /// what belongs to a statutory channel.
    ///
    /// # Errors
    /// As for the single steps.
    pub fn intake(command: IntakeCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = registered(command.register, act)?;
        work.accept(false)?;
        work.triage(&command.triage)?;
        work.route(&command.route)?;
        Ok(work.finish())
    }

    /// Takes the case in; the resolve clock starts.
    ///
    /// # Errors
    /// `WrongState`.
    pub fn accept(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Accept)?;
        work.accept(false)?;
        Ok(work.finish())
    }

    /// Sets item, place and urgency; the resolve clock takes the item's promised limit, the dispatch clock that of its urgency
    /// or profile where it ends earlier. Until it is dispatched, what was set can be set otherwise. What turns out to be of an
    /// emergency line is handed over at once.
    ///
    /// # Errors
    /// `WrongState`; `Guard` `recused` for the organisation complained of, also to name another one, `another_subject` and
    /// `others_complain` while cases that were merged into it complain; `Invalid` item, place or organisation.
    pub fn triage(self, command: &TriageCase, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Triage)?;
        work.not_complained_of()?;
        let cleared = command.clears_subject && work.clear_subject()?;
        work.triage(command)?;
        work.hand_off_emergency()?;
        if cleared {
            return Ok(work.finish_with(SUBJECT_CLEARED, Some(Reason::new("subject_cleared"))));
        }
        Ok(work.finish())
    }
}

/// The place of a unit, with its street and community; without grid and point.
pub(super) fn place_of(unit: UnitId, work_routes: &super::table::RoutingTable) -> Result<Place> {
    let node = work_routes.unit(unit).ok_or_else(|| DomainError::invalid("place_unit_id", "no such unit"))?;
    let path = node.path.to_vec();
    let street = work_routes.on_path(&path, UnitKind::Street);
    let community = work_routes.on_path(&path, UnitKind::Community);
    Ok(Place { unit, path, street, community, grid: None, point: None })
}

pub(super) fn registered<'a>(command: RegisterCase, act: &Act<'a>) -> Result<Work<'a>> {
    registered_as(command, None, act)
}

/// As [`registered`]; where a version of its item is given, the case is of that one, whether or not it is in force.
pub(super) fn registered_as<'a>(
    command: RegisterCase,
    version: Option<ItemRef>,
    act: &Act<'a>,
) -> Result<Work<'a>> {
    let place = place_of(act.routes.open_at(command.place_unit), act.routes)?;
    if command.case_no.is_empty() {
        return Err(DomainError::invalid("case_no", "must not be empty"));
    }
    if act.routes.org(command.receiver).is_none() {
        return Err(DomainError::invalid("receiver_org_id", "no such organisation"));
    }
    is_known(command.complained_of, act.routes)?;
    if command.anonymous && command.item_code.is_none() && !command.nature.may_be_anonymous() {
        return Err(DomainError::invalid("anonymous", "a request of this nature needs a requester"));
    }
    if command.anonymous && command.requester.is_some() {
        return Err(DomainError::invalid("requester", "an anonymous request has no requester"));
    }
    if !command.anonymous && command.requester.is_none() && command.origin == Origin::BottomUp {
        return Err(DomainError::invalid("requester", "say who asks, or that the request is anonymous"));
    }
    let item_code = command.item_code.clone();
    let claims = act.by.standing == Standing::Requester && command.urgency > Urgency::Normal;
    let mut case = new_case(command, place, act.now);
    if claims {
        case.claimed_urgency = Some(std::mem::replace(&mut case.urgency, Urgency::Normal));
    }
    let mut work = Work::begin(case, act);
    work.come_in(CaseState::Registered, Trigger::Register)?;
    if let Some(code) = item_code {
        work.case.item = version;
        work.set_item(&code)?;
        if work.case.anonymous && !work.case.nature.may_be_anonymous() {
            return Err(DomainError::invalid("anonymous", "a request of this nature needs a requester"));
        }
    }
    let accept_due_at = work.start_clock(ClockKind::Accept, None, work.sla().accept);
    let claimed = work.case.claimed_urgency;
    let claimed = claimed.map(|urgency| Reason::new("urgency_claimed").with("urgency", urgency));
    work.emit(DomainEvent::CaseRegistered { accept_due_at }, claimed, None);
    Ok(work)
}

pub(super) fn new_case(command: RegisterCase, place: Place, now: Timestamp) -> Case {
    Case {
        id: command.case_id,
        case_no: command.case_no,
        version: 0,
        state: CaseState::Registered,
        channel: command.channel,
        origin: command.origin,
        nature: command.nature,
        urgency: command.urgency,
        claimed_urgency: None,
        vulnerable: command.vulnerable,
        anonymous: command.anonymous,
        requester: command.requester,
        place: Place { grid: command.grid, point: command.point, ..place },
        text_redacted: command.text_redacted,
        text_ref: command.text_ref,
        item: None,
        first_receiver: command.receiver,
        lead_org: None,
        lead_unit: None,
        lead_task: None,
        tasks: Vec::new(),
        clocks: Vec::new(),
        society_agreed: command.society_agreed,
        left_society: false,
        offer: None,
        tried_partners: Vec::new(),
        complained_of: command.complained_of,
        complained_through: Vec::new(),
        complains_itself: false,
        excluded_orgs: Vec::new(),
        relieved: Vec::new(),
        routing: Vec::new(),
        objection: None,
        suspension: None,
        waited: Vec::new(),
        supervisions: Vec::new(),
        verification: None,
        rating: None,
        later_calls: Vec::new(),
        rectified: None,
        answered_by: Vec::new(),
        evidence: Vec::new(),
        stages: Vec::new(),
        delivery_mode: None,
        closed_code: None,
        merged_into: None,
        mediation: None,
        merged: Vec::new(),
        merged_unnamed: Vec::new(),
        merged_through: Vec::new(),
        parent_case: None,
        solved_on_spot: false,
        repeats: None,
        remark_count: 0,
        remarked_at: None,
        joined_words: Vec::new(),
        rework_count: 0,
        reopen_count: 0,
        lead_change_count: 0,
        objection_count: 0,
        extension_count: 0,
        registered_at: now,
        accepted_at: None,
        dispatched_at: None,
        completed_at: None,
        closed_at: None,
        archive_at: None,
        updated_at: now,
        application: None,
        triage: None,
        external: Vec::new(),
        returned_lines: Vec::new(),
        supplement: None,
    }
}

impl Work<'_> {
    /// Any intake decision stops the accept clock; whether it came in time.
    pub(super) fn end_accept(&mut self) -> bool {
        let stopped = self.stop_clock(ClockKind::Accept, None);
        let earlier =
            || self.case.clock(ClockKind::Accept, None).is_some_and(|clock| clock.breached_at.is_none());
        stopped.unwrap_or_else(earlier)
    }

    pub(super) fn accept(&mut self, by_silence: bool) -> Result<()> {
        let trigger = if by_silence { Trigger::AcceptBySilence } else { Trigger::Accept };
        let in_time = self.end_accept() && !by_silence;
        self.enter(CaseState::Accepted, trigger)?;
        self.accepted(in_time, by_silence)
    }

    /// The intake limit passed without a decision.
    pub(super) fn accept_by_silence(&mut self) -> Result<()> {
        self.accept(true)
    }

    /// What entering Accepted means, whichever way it came.
    pub(super) fn accepted(&mut self, in_time: bool, by_silence: bool) -> Result<()> {
        self.start_service(self.now);
        let reason = by_silence.then(|| Reason::new("accepted_by_silence"));
        self.emit(DomainEvent::CaseAccepted { in_time, by_silence }, reason, None);
        self.application_accepted(in_time, by_silence)
    }

    /// The requester's clock and the dispatcher's start.
    pub(super) fn start_service(&mut self, since: Timestamp) {
        let now = std::mem::replace(&mut self.now, since);
        self.case.accepted_at = Some(since);
        self.start_resolve();
        self.start_clock(ClockKind::Dispatch, None, self.sla().dispatch);
        self.now = now;
    }

    pub(super) fn triage(&mut self, command: &TriageCase) -> Result<()> {
        let had_item = self.case.item.is_some();
        match (&command.item_code, &self.case.item) {
            (Some(code), _) => {
                self.keeps_to_application(code)?;
                self.set_item(code)?;
            }
            (None, Some(_)) => {}
            (None, None) => return Err(DomainError::invalid("item_code", "triage names the item")),
        }
        let mut other_hours = false;
        if let Some(unit) = command.place_unit.filter(|unit| *unit != self.case.place.unit) {
            // Nobody asked for a re-check, wherever it is.
            if !self.case.is_recheck() {
                self.case.repeats = None;
            }
            other_hours = self.move_to(self.place_from(place_of(self.routes.open_at(unit), self.routes)?));
        }
        if command.grid.is_some() {
            self.case.place.grid.clone_from(&command.grid);
        }
        self.case.place.point = command.point.or(self.case.place.point);
        self.case.urgency = command.urgency.unwrap_or(self.case.urgency);
        self.case.society_agreed = command.society_agreed.unwrap_or(self.case.society_agreed);
        self.case.vulnerable = command.vulnerable.unwrap_or(self.case.vulnerable);
        self.names_subject(command.complained_of)?;
        let (rules, limit, law) = (self.rules, self.resolve_limit(), self.statutory_limit());
        let now = self.now;
        let promised = had_item || self.case.state == CaseState::Triaged;
        let clocks = self.case.clocks.iter_mut();
        for clock in clocks.filter(|clock| clock.kind == ClockKind::Resolve && clock.is_open()) {
            let mut changed = clock.clone();
            changed.bind(law, rules);
            changed.change_limit(limit, now, rules);
            // What an item promised already, or the house to a case that comes back without one, does not end earlier because it is
            // another one, unless that one's law does.
            if !promised || changed.due_at >= clock.due_at {
                *clock = changed;
            } else {
                clock.bind(law, rules);
            }
        }
        self.hasten_dispatch();
        self.enter(CaseState::Triaged, Trigger::Triage)?;
        let reason = self.note_suggestion(had_item, command.suggestion.as_ref());
        self.emit(DomainEvent::CaseTriaged { decision: self.case.triage.clone() }, reason, None);
        if other_hours {
            self.follow_place();
        }
        Ok(())
    }

    /// Until the matter was known the dispatcher had the usual time; what is urgent leaves less of it, from the same start. More
    /// it never becomes.
    fn hasten_dispatch(&mut self) {
        let (rules, limit, now) = (self.rules, self.sla().dispatch, self.now);
        let runs = |clock: &&mut Clock| {
            clock.kind == ClockKind::Dispatch && clock.is_running() && clock.breached_at.is_none()
        };
        for clock in self.case.clocks.iter_mut().filter(runs).filter(|clock| clock.limit != limit) {
            let mut changed = clock.clone();
            changed.change_limit(limit, now, rules);
            if changed.due_at < clock.due_at {
                *clock = changed;
            }
        }
    }

    /// Another place for the case. Its point is where it was, for the unit alone was wrong; a grid lies in one community.
    pub(super) fn place_from(&self, place: Place) -> Place {
        let known = &self.case.place;
        let same = place.community.is_some() && place.community == known.community;
        Place { grid: known.grid.clone().filter(|_| same), point: known.point, ..place }
    }

    /// The requester's clock starts.
    pub(super) fn start_resolve(&mut self) {
        let mut clock = Clock::start(ClockKind::Resolve, None, self.resolve_limit(), self.now, self.rules);
        clock.bind(self.statutory_limit(), self.rules);
        self.case.clocks.push(clock);
    }

    fn statutory_limit(&self) -> Option<calendar::Limit> {
        self.item().and_then(|item| item.statutory_limit)
    }

    /// The item promises the limit; until it is known the cell's rule holds.
    pub(super) fn resolve_limit(&self) -> calendar::Limit {
        self.item().map_or(self.rules.resolve, |item| item.promised_limit)
    }

    pub(super) fn set_item(&mut self, code: &str) -> Result<()> {
        // A case keeps the version of the item that it was opened with.
        let kept = self.case.item.as_ref().filter(|known| known.code == code);
        let kept = kept.and_then(|known| self.routes.item_version(code, known.version));
        let item = kept.or_else(|| self.routes.item(code, self.now));
        let item = item.ok_or_else(|| DomainError::invalid("item_code", "no such item in the catalogue"))?;
        let another = self.case.item.as_ref().is_none_or(|known| known.code != item.code);
        if another {
            // What was done of another matter is nothing of this one, nor what was asked of it.
            self.case.stages.clear();
            self.case.repeats = None;
            self.cancel_live_tasks("item_changed")?;
            self.take_back_relieved();
        }
        self.case.item = Some(ItemRef {
            code: item.code.clone(),
            version: item.version,
            category: item.category.clone(),
            line: item.line().map(str::to_owned),
        });
        if another {
            self.leave_out_relieved();
        }
        self.case.nature = item.nature;
        self.case.urgency = self.case.urgency.max(item.urgency);
        Ok(())
    }

    pub(super) fn pause_clocks(&mut self, kinds: &[ClockKind]) {
        let now = self.now;
        self.case
            .clocks
            .iter_mut()
            .filter(|clock| kinds.contains(&clock.kind))
            .for_each(|clock| clock.pause(now));
    }

    pub(super) fn resume_clocks(&mut self) {
        let (now, rules) = (self.now, self.rules);
        self.case.clocks.iter_mut().for_each(|clock| clock.resume(now, rules));
    }

    /// Whether the acting party may speak for the requester.
    pub(super) fn is_requester(&self) -> bool {
        self.by.standing == Standing::Requester && self.case.requester.as_ref() == Some(&self.by.actor)
    }
}
