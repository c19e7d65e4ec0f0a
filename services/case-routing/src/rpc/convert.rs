//! Cases and what belongs to them as callers see them. Ids as text; what is not set is empty.

use calendar::Limit;
use chassis::{Timestamp, clock::to_proto, proto::case_routing::v1 as pb};

use super::supplements::supplement;
use crate::{
    atlas::World,
    codes::{
        application_state, assignment_status, callback_outcome, case_state, channel, clock_kind, closed_code,
        delivery_mode, dispatch_mode, limit_unit, nature, origin, resolution, task_part, task_state, urgency,
    },
    domain::{
        AssignmentView, CallbackAttempt, CallbackOutcome, Candidate, Case, Clock, Language, Objection,
        ObjectionState, Offer, Point, Position, Rating, Reason, RoutingDecision, Stage, Suggestion,
        Supervision, Suspension, Task, TaskState, TimelineEntry, TriageDecision, Urgency, Verification,
        WhistleScore,
    },
    editions::Edition,
    record::CaseRecord,
    seed,
    store::{Listed, remarks::Remark},
};

/// Most merged cases that one case names.
const MOST_MERGED: usize = 100;

pub(super) fn text<T: ToString>(id: Option<T>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub(super) fn at(instant: Timestamp) -> Option<prost_types::Timestamp> {
    Some(to_proto(instant))
}

pub(super) fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A case at an instant.
pub fn case(record: &CaseRecord, world: &World, now: Timestamp) -> pb::Case {
    let case = &record.case;
    let item_code = case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default();
    let (name_zh, name_en) = world.names_of(case.item.as_ref());
    let (remark_count, remarked_at) = case.remarks();
    pb::Case {
        case_id: case.id.to_string(),
        case_no: case.case_no.clone(),
        etag: case.version.to_string(),
        state: case_state(case.state).into(),
        item_name_zh: name_zh.to_owned(),
        item_name_en: name_en.to_owned(),
        item_code,
        category: case.item.as_ref().map(|item| item.category.clone()).unwrap_or_default(),
        nature: nature(case.nature).into(),
        line: case.item.as_ref().and_then(|item| item.line.clone()).unwrap_or_default(),
        urgency: urgency(case.urgency).into(),
        claimed_urgency: claimed(case.claimed_urgency),
        channel: channel(case.channel).into(),
        origin: origin(case.origin).into(),
        anonymous: case.anonymous,
        vulnerable: case.vulnerable,
        place_unit_id: case.place.unit.to_string(),
        text_redacted: case.text_redacted.clone(),
        first_receiver_org_id: case.first_receiver.to_string(),
        lead_org_id: text(case.lead_org),
        lead_unit_id: text(case.lead_unit),
        delivery_mode: case.delivery_mode.map_or(0, |mode| delivery_mode(mode).into()),
        closed_code: case.closed_code.map_or(0, |code| closed_code(code).into()),
        tasks: case.tasks.iter().map(task).collect(),
        clocks: case.clocks.iter().map(clock).collect(),
        offer: shown_offer(case).map(offer),
        routing: record.latest_decision().map(decision),
        verification: case.verification.as_ref().map(verification),
        rating: case.rating.as_ref().map(|given| rating(given, case.anonymous)),
        merged_into_case_id: text(case.merged_into),
        rework_count: count(case.rework_count),
        reopen_count: count(case.reopen_count),
        registered_time: at(case.registered_at),
        update_time: at(case.updated_at),
        closed_time: case.closed_at.and_then(at),
        resolve_due_time: case.resolve_clock().and_then(|clock| at(clock.due_at)),
        overdue: case.is_overdue(now),
        objection: case.objection.as_ref().map(objection),
        street_unit_id: text(case.place.street),
        original: None,
        application_state: case.application.as_ref().map_or(0, |face| application_state(face.state).into()),
        supervisions: case.supervisions.iter().map(|known| supervision(case, known)).collect(),
        lead_change_count: count(case.lead_change_count),
        objection_count: count(case.objection_count),
        mediation: None,
        stages: stages(case, world),
        triage: case.triage.as_ref().map(triage),
        external_tickets: Vec::new(),
        parent_case_id: text(case.parent_case),
        solved_on_spot: case.solved_on_spot,
        supplement: case.supplement.as_ref().map(|known| supplement(case, known)),
        suspension: case.suspension.as_ref().map(suspension),
        remark_count: count(remark_count),
        remarked_time: remarked_at.and_then(at),
        remarks: Vec::new(),
        grid_code: case.place.grid.clone().unwrap_or_default(),
        point: case.place.point.map(point),
        later_calls: case.later_calls.iter().map(attempt).collect(),
        evidence: Vec::new(),
        merged_case_ids: Vec::new(),
        merged_count: 0,
    }
}

/// A case with those that were merged into it, for who may know of them.
pub fn with_merged(shown: pb::Case, case: &Case) -> pb::Case {
    let latest = case.merged.iter().rev().take(MOST_MERGED);
    pb::Case {
        merged_case_ids: latest.map(ToString::to_string).collect(),
        merged_count: i32::try_from(case.merged.len()).unwrap_or(i32::MAX),
        ..shown
    }
}

fn claimed(said: Option<Urgency>) -> i32 {
    said.map_or(0, |said| urgency(said).into())
}

/// As a list of whole cases shows it: without grid and point.
pub fn in_brief(record: &CaseRecord, world: &World, now: Timestamp) -> pb::Case {
    pb::Case { grid_code: String::new(), point: None, ..case(record, world, now) }
}

fn point(point: Point) -> pb::GeoPoint {
    pb::GeoPoint { longitude_e6: Some(point.longitude_e6()), latitude_e6: Some(point.latitude_e6()) }
}

fn suspension(suspension: &Suspension) -> pb::Suspension {
    pb::Suspension {
        cause_code: suspension.cause_code.clone(),
        told_ref: suspension.told_ref.clone(),
        start_time: at(suspension.since),
        resume_time: suspension.resume_at.and_then(at),
    }
}

/// Words that were added, as all readers see them.
pub fn remark(remark: &Remark) -> pb::CaseRemark {
    pb::CaseRemark {
        case_version: remark.case_version,
        kind: remark.kind.clone(),
        actor_ref: remark.actor_ref.clone(),
        org_id: text(remark.org_id),
        remark_time: at(remark.at),
        text_redacted: remark.redacted.clone(),
    }
}

/// How an item was settled.
fn triage(decision: &TriageDecision) -> pb::TriageDecision {
    let Suggestion { model, items, permille } = &decision.suggestion;
    pb::TriageDecision {
        decided_by: if decision.by_human { "human" } else { "system" }.to_owned(),
        suggested_item_codes: items.clone(),
        probability: f64::from(*permille) / 1_000.0,
        model_version: *model,
        decided_time: at(decision.at),
    }
}

/// The stages of the work, those to come included.
fn stages(case: &Case, world: &World) -> Vec<pb::CaseStage> {
    let Some(item) = &case.item else { return Vec::new() };
    let Some(item) = world.routes.item_version(&item.code, item.version) else { return Vec::new() };
    let stage = |stage: &Stage| {
        let run = case.stages.iter().find(|run| run.code == stage.code);
        pb::CaseStage {
            stage_code: stage.code.clone(),
            name_zh: stage.name_zh.clone(),
            name_en: stage.name_en.clone(),
            limit: Some(limit(stage.limit)),
            start_time: run.and_then(|run| at(run.started_at)),
            done_time: run.and_then(|run| run.done_at).and_then(at),
            in_time: run.is_some_and(|run| run.in_time),
        }
    };
    item.stages.iter().map(stage).collect()
}

/// What a list shows of a case at an instant.
pub fn listed(case: Listed, world: &World, now: Timestamp) -> pb::Case {
    let resolve_due_time = case.resolve_clock().and_then(|clock| at(clock.due_at));
    let overdue = case.is_overdue(now);
    let (name_zh, name_en) = world.names_of(case.item.as_ref());
    let (remark_count, remarked_at) = case.remarks();
    let item = case.item.unwrap_or_default();
    pb::Case {
        case_id: case.id.to_string(),
        case_no: case.case_no,
        etag: case.version.to_string(),
        state: case_state(case.state).into(),
        item_name_zh: name_zh.to_owned(),
        item_name_en: name_en.to_owned(),
        item_code: item.code,
        category: item.category,
        nature: nature(case.nature).into(),
        line: item.line.unwrap_or_default(),
        urgency: urgency(case.urgency).into(),
        claimed_urgency: claimed(case.claimed_urgency),
        channel: channel(case.channel).into(),
        origin: origin(case.origin).into(),
        anonymous: case.anonymous,
        vulnerable: case.vulnerable,
        place_unit_id: case.place.unit.to_string(),
        street_unit_id: text(case.place.street),
        text_redacted: case.text_redacted,
        first_receiver_org_id: case.first_receiver.to_string(),
        lead_org_id: text(case.lead_org),
        lead_unit_id: text(case.lead_unit),
        delivery_mode: case.delivery_mode.map_or(0, |mode| delivery_mode(mode).into()),
        closed_code: case.closed_code.map_or(0, |code| closed_code(code).into()),
        rating: case.rating.as_ref().map(|given| rating(given, case.anonymous)),
        merged_into_case_id: text(case.merged_into),
        rework_count: count(case.rework_count),
        reopen_count: count(case.reopen_count),
        registered_time: at(case.registered_at),
        update_time: at(case.updated_at),
        closed_time: case.closed_at.and_then(at),
        resolve_due_time,
        overdue,
        application_state: case.application.as_ref().map_or(0, |face| application_state(face.state).into()),
        // GetCase has these.
        later_calls: Vec::new(),
        evidence: Vec::new(),
        merged_case_ids: Vec::new(),
        merged_count: 0,
        tasks: Vec::new(),
        clocks: Vec::new(),
        offer: None,
        routing: None,
        verification: None,
        objection: None,
        original: None,
        supervisions: Vec::new(),
        lead_change_count: count(case.lead_change_count),
        objection_count: count(case.objection_count),
        mediation: None,
        stages: Vec::new(),
        triage: None,
        external_tickets: Vec::new(),
        parent_case_id: text(case.parent_case),
        solved_on_spot: case.solved_on_spot,
        supplement: None,
        suspension: None,
        remark_count: count(remark_count),
        remarked_time: remarked_at.and_then(at),
        remarks: Vec::new(),
        grid_code: String::new(),
        point: None,
    }
}

/// How the case stands that another was merged into; nothing of what its requester said.
pub fn original(case: &Case) -> pb::OriginalCase {
    pb::OriginalCase {
        state: case_state(case.state).into(),
        lead_org_id: text(case.lead_org),
        resolve_due_time: case.resolve_clock().and_then(|clock| at(clock.due_at)),
        closed_time: case.closed_at.and_then(at),
        closed_code: case.closed_code.map_or(0, |code| closed_code(code).into()),
    }
}

/// The offer that is open or was confirmed.
fn shown_offer(case: &Case) -> Option<&Offer> {
    case.offer
        .as_ref()
        .filter(|offer| offer.is_open() || (offer.confirmed_at.is_some() && offer.ended_at.is_none()))
}

/// A task.
pub fn task(task: &Task) -> pb::Task {
    let shown = task.assignment.as_ref();
    pb::Task {
        task_id: task.id.to_string(),
        task_no: task.no.clone(),
        org_id: task.org.to_string(),
        unit_id: task.unit.to_string(),
        sender_org_id: task.sender.to_string(),
        part: task_part(task.part).into(),
        mode: dispatch_mode(task.mode).into(),
        state: task_state(task.state).into(),
        due_time: task.due_at.and_then(at),
        assignment: shown.map_or(0, |shown| assignment_status(shown.status).into()),
        assignment_id: text(shown.and_then(|shown| shown.assignment_id)),
        worker_ref: text(shown.and_then(|shown| shown.worker.as_ref())),
        mandatory: task.mandatory,
        issued_time: at(task.issued_at),
        signed_time: task.signed_at.filter(|_| task.state != TaskState::Issued).and_then(at),
        submitted_time: task.submitted_at.and_then(at),
        whistle: task.whistle.map(whistle),
        workers_wanted: i32::from(task.workers_wanted),
        workers: task.crew.iter().map(task_worker).collect(),
    }
}

fn task_worker(view: &AssignmentView) -> pb::TaskWorker {
    pb::TaskWorker {
        assignment_id: text(view.assignment_id),
        assignment: assignment_status(view.status).into(),
        worker_ref: text(view.worker.as_ref()),
    }
}

fn whistle(score: WhistleScore) -> pb::WhistleScore {
    pb::WhistleScore {
        reported: score.reported_in_time.is_some(),
        reported_in_time: score.reported_in_time.unwrap_or_default(),
        solved_judged: score.solved.is_some(),
        solved: score.solved.unwrap_or_default(),
        needed_judged: score.needed.is_some(),
        needed: score.needed.unwrap_or_default(),
    }
}

fn supervision(case: &Case, supervision: &Supervision) -> pb::Supervision {
    pb::Supervision {
        supervision_id: supervision.id.to_string(),
        level: i32::from(supervision.level),
        reason_code: supervision.reason_code.clone(),
        state: supervision.state.to_string(),
        org_id: case.supervised(supervision).to_string(),
        task_id: text(supervision.task),
        clock: supervision.clock.map_or(0, |kind| clock_kind(kind).into()),
        issued_time: at(supervision.issued_at),
        due_time: at(supervision.due_at),
        answered_time: supervision.answered_at.and_then(at),
        answer_code: supervision.answer_code.clone(),
        rise_time: case.rises_at(supervision).and_then(at),
        calendar_version: text(supervision.counted.map(|counted| counted.calendar_version)),
        issued_by_org_id: text(supervision.issued_by),
    }
}

fn clock(clock: &Clock) -> pb::Clock {
    pb::Clock {
        kind: clock_kind(clock.kind).into(),
        limit: Some(limit(clock.limit)),
        start_time: at(clock.started_at),
        due_time: at(clock.due_at),
        stop_time: clock.stopped_at.and_then(at),
        breach_time: clock.breached_at.and_then(at),
        paused: clock.paused_at.is_some(),
        provisional: clock.provisional,
        calendar_version: clock.calendar_version.to_string(),
        task_id: text(clock.task_id),
        statutory_due_time: clock.statutory_due_at.and_then(at),
    }
}

/// A limit.
pub fn limit(limit: Limit) -> pb::Limit {
    pb::Limit { amount: i32::from(limit.n), unit: limit_unit(limit.unit).into() }
}

fn offer(offer: &Offer) -> pb::Offer {
    pb::Offer {
        offer_id: offer.id.to_string(),
        partner_org_id: offer.partner.to_string(),
        due_time: at(offer.due_at),
        confirmed: offer.confirmed_at.is_some(),
    }
}

/// A routing decision, with its reasons rendered.
pub fn decision(decision: &RoutingDecision) -> pb::RoutingDecision {
    pb::RoutingDecision {
        decision_id: decision.id.to_string(),
        kind: decision.kind.to_string(),
        lead_org_id: text(decision.lead),
        sender_org_id: text(decision.sender),
        mode: decision.mode.map_or(0, |mode| dispatch_mode(mode).into()),
        rule_ids: decision.rule_ids.clone(),
        candidates: decision.candidates.iter().map(candidate).collect(),
        reasons: decision.reasons.iter().map(reason).collect(),
        decided_by: if decision.by_human { "human" } else { "system" }.to_owned(),
        decided_time: at(decision.at),
        list_version: decision.list_version.clone(),
        rules_version: decision.rules_version.clone(),
        assist_org_ids: decision.assists.iter().map(ToString::to_string).collect(),
        confidence: i32::from(decision.confidence),
    }
}

fn candidate(candidate: &Candidate) -> pb::RoutingCandidate {
    pb::RoutingCandidate {
        org_id: candidate.org.to_string(),
        unit_id: text(candidate.unit),
        rule_id: candidate.rule_id.clone().unwrap_or_default(),
        chosen: candidate.rejected_because.is_none(),
        rejected: candidate.rejected_because.as_ref().map(reason),
    }
}

/// A reason in both languages.
pub fn reason(reason: &Reason) -> pb::Reason {
    pb::Reason {
        code: reason.code.clone(),
        arguments: reason.args.clone(),
        text_zh: reason.render_with(Language::Chinese, seed::meaning),
        text_en: reason.render_with(Language::English, seed::meaning),
    }
}

fn verification(verification: &Verification) -> pb::Verification {
    let callback = verification.callback.as_ref();
    pb::Verification {
        verifier_org_id: verification.verifier.to_string(),
        resolution: verification.resolution.map_or(0, |found| resolution(found).into()),
        callback: callback.map_or(0, |callback| callback_outcome(callback.outcome).into()),
        callback_grade: callback.and_then(|callback| callback.grade).map_or(0, i32::from),
        callback_attempts: i32::from(verification.attempts),
        verified_time: verification.verified_at.and_then(at),
        attempts: verification.calls.iter().map(attempt).collect(),
        evidence_refs: verification.evidence_refs.clone(),
        method: text(verification.method),
    }
}

fn attempt(call: &CallbackAttempt) -> pb::CallbackAttempt {
    let outcome = if call.reached { CallbackOutcome::Reached } else { CallbackOutcome::Unreached };
    pb::CallbackAttempt { attempt_time: at(call.at), outcome: callback_outcome(outcome).into() }
}

fn rating(rating: &Rating, anonymous: bool) -> pb::Rating {
    pb::Rating {
        grade: i32::from(rating.grade),
        rated_time: at(rating.at),
        judged: rating.valid.is_some(),
        judged_valid: rating.valid.unwrap_or(false),
        judge_reason_code: rating.judge_reason.clone().unwrap_or_default(),
        on_behalf: rating.on_behalf,
        callback: rating.callback.map_or(0, |outcome| callback_outcome(outcome).into()),
        channel: rating.channel.map_or(0, |way| channel(way).into()),
        anonymous,
    }
}

fn objection(objection: &Objection) -> pb::Objection {
    let state = match objection.state {
        ObjectionState::Open => "open",
        ObjectionState::Rejected => "rejected",
        ObjectionState::InArbitration => "in_arbitration",
        ObjectionState::Accepted | ObjectionState::Agreed => "agreed",
        ObjectionState::Ruled => "ruled",
        ObjectionState::InReview => "in_review",
        ObjectionState::Final => "final",
        ObjectionState::Lapsed => "lapsed",
    };
    let (interim, ruling) = (objection.interim.as_ref(), objection.ruling.as_ref());
    let definition = ruling.and_then(|ruling| ruling.definition.as_ref());
    let position = |known: &Position| pb::Position {
        party_org_id: known.party.to_string(),
        lead_org_id: known.lead.to_string(),
    };
    pb::Objection {
        task_id: objection.task.to_string(),
        objector_org_id: objection.objector.to_string(),
        ground_code: objection.ground_code.clone(),
        suggested_org_id: text(objection.suggested),
        objected_time: at(objection.raised_at),
        state: state.to_owned(),
        arbiter_org_id: text(objection.arbiter),
        party_org_ids: objection.parties.iter().map(ToString::to_string).collect(),
        positions: objection.positions.iter().map(position).collect(),
        ruled_lead_org_id: text(ruling.map(|ruling| ruling.lead)),
        basis_code: ruling.map(|ruling| ruling.basis_code.clone()).unwrap_or_default(),
        precedent_from: text(ruling.and_then(|ruling| ruling.precedent)),
        evidence_refs: objection.evidence_refs.clone(),
        interim_org_id: text(interim.map(|interim| interim.org)),
        interim_measure_code: interim.map(|interim| interim.measure_code.clone()).unwrap_or_default(),
        definition_org_id: text(definition.map(|definition| definition.org)),
        definition_code: definition.map(|definition| definition.code.clone()).unwrap_or_default(),
    }
}

/// A step of a timeline.
pub fn step(entry: &TimelineEntry) -> pb::TimelineEntry {
    pb::TimelineEntry {
        case_version: entry.case_version,
        event: entry.event.clone(),
        state: case_state(entry.state).into(),
        actor_ref: entry.actor.to_string(),
        org_id: text(entry.org),
        event_time: at(entry.at),
        reason: entry.reason.as_ref().map(reason),
        task_id: text(entry.task_id),
    }
}

/// A task in a list, with what the list shows of its case.
pub fn listed_task(record: &CaseRecord, task_id: uuid::Uuid, world: &World) -> Option<pb::TaskListItem> {
    let case = &record.case;
    let found = case.tasks.iter().find(|task| task.id.0 == task_id)?;
    let (name_zh, name_en) = world.names_of(case.item.as_ref());
    Some(pb::TaskListItem {
        task: Some(task(found)),
        case_id: case.id.to_string(),
        case_no: case.case_no.clone(),
        case_state: case_state(case.state).into(),
        item_name_zh: name_zh.to_owned(),
        item_name_en: name_en.to_owned(),
        urgency: urgency(case.urgency).into(),
        place_unit_id: case.place.unit.to_string(),
        remarked_time: case.remarks().1.and_then(at),
    })
}

/// An item of the catalogue.
pub fn item(edition: &Edition) -> pb::ServiceItem {
    let item = &edition.item;
    let stage = |stage: &seed::SeedStage| pb::ItemStage {
        stage_code: stage.code.clone(),
        name_zh: stage.name_zh.clone(),
        name_en: stage.name_en.clone(),
        limit: Some(limit(stage.limit.into())),
    };
    pb::ServiceItem {
        item_code: item.item_code.clone(),
        version: count(item.version),
        name_zh: item.name_zh.clone(),
        name_en: item.name_en.clone(),
        category: item.category.clone(),
        nature: nature(item.nature).into(),
        line: item.lines.first().cloned().unwrap_or_default(),
        statutory_limit: item.statutory_limit.map(|set| limit(set.into())),
        promised_limit: Some(limit(item.promised_limit.into())),
        urgency: urgency(item.urgency).into(),
        self_solvable: item.self_solvable,
        material_codes: item.materials.clone(),
        skill_codes: item.required_skills.clone(),
        accepts_anonymous: item.accepts_anonymous,
        channels: item.channels.iter().map(|way| channel(*way).into()).collect(),
        guide_zh: item.open_condition.clone(),
        public_notice_days: i32::from(item.public_notice_days),
        field_checkers: i32::from(item.field_checkers),
        urgent_max_fen: item.urgent_max_fen,
        close_condition_zh: item.close_condition.clone(),
        stages: item.stages.iter().map(stage).collect(),
        valid_from_time: at(edition.from),
        retention_days: count(item.retention_days),
        benefit_tag_code: item.benefit_tag.clone(),
        review_months: i32::from(item.review_months),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::CaseId;

    #[test]
    fn of_an_anonymous_case_the_rating_is_anonymous() {
        let given = Rating::given(5, DateTime::UNIX_EPOCH, false);
        assert_eq!([true, false].map(|anonymous| rating(&given, anonymous).anonymous), [true, false]);
    }

    #[test]
    fn of_many_merged_cases_those_that_came_last_are_named_and_all_are_counted() {
        let id = |n: usize| CaseId(uuid::Uuid::from_u128(n as u128));
        let mut case = crate::domain::tests::world::World::new().registered();
        case.merged = (0..150).map(id).collect();
        let shown = with_merged(pb::Case::default(), &case);
        assert_eq!((shown.merged_case_ids.len(), shown.merged_count), (100, 150));
        assert_eq!(shown.merged_case_ids[0], id(149).to_string(), "the last one first");
    }
}
