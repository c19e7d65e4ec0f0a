//! The invariants of a case (domain.md §2.2.4) as checks. They hold after every decision; tests and the
//! reconciliation of a running suite look for violations.

use super::case::Case;
use super::codes::*;

/// The names of the invariants that a case violates; empty for every case the verbs can make.
#[must_use]
pub fn violations(case: &Case) -> Vec<&'static str> {
    let checks = [
        (one_live_lead(case), "C-1: exactly one live lead from Dispatched to Resolved"),
        (lead_is_consistent(case), "C-1: lead organisation and lead task agree"),
        (promised_within_law(case), "C-2: what an item promises ends no later than the law says"),
        (clocks_pause_where_listed(case), "C-3: clocks stand still only in NeedSupplement and Suspended"),
        (verifier_is_third(case), "C-4: the verifier handled no part of the case, nor is complained of"),
        (refused_by_human(case), "C-5: refused by a human only"),
        (closed_record_is_complete(case), "C-6: a closed case has decision, evidence and delivery mode"),
        (finished_cases_rest(case), "nothing runs in a finished case"),
        (ended_with_a_code(case), "a finished case says how it ended"),
        (arbiter_is_no_party(case), "C-7: the arbiter belongs to no party, nor is complained of"),
        (open_objections_hold_it_up(case), "an objection is open only while the case waits for it"),
        (arbitration_is_watched(case), "an arbitration runs against a clock, and nothing else does"),
        (bad_ratings_are_watched(case), "a bad rating is checked against a clock, and nothing else is"),
        (stages_are_watched(case), "a stage is in hand, against its clock, only while work goes on"),
        (only_merged_cases_belong_to_others(case), "only a merged case belongs to another"),
        (one_open_clock_per_kind(case), "one open clock per kind and task"),
    ];
    checks.into_iter().filter_map(|(holds, name)| (!holds).then_some(name)).collect()
}

fn one_live_lead(case: &Case) -> bool {
    use CaseState::{Completed, Dispatched, InProgress, Objected, Resolved, Signed, Suspended, Verifying};
    let live = case.tasks.iter().filter(|task| task.part == TaskPart::Lead && task.state.is_live()).count();
    let alone = [RoutingKind::AnsweredAtWindow, RoutingKind::SolvedOnSpot];
    let answered = case.routing.last().is_some_and(|decision| alone.contains(&decision.kind));
    match case.state {
        Dispatched | Objected | Signed | InProgress | Suspended => live == 1,
        Completed | Verifying => live == usize::from(!answered),
        Resolved => {
            live == 0 && (answered || case.lead().is_some_and(|task| task.state == TaskState::Approved))
        }
        _ => live == 0,
    }
}

fn lead_is_consistent(case: &Case) -> bool {
    case.lead_org == case.lead().map(|task| task.org)
}

fn promised_within_law(case: &Case) -> bool {
    let mut own = case.clocks.iter().filter(|clock| clock.promised_at.is_none());
    own.all(|clock| clock.statutory_due_at.is_none_or(|last| clock.due_at <= last))
}

fn clocks_pause_where_listed(case: &Case) -> bool {
    let waits = matches!(case.state, CaseState::NeedSupplement | CaseState::Suspended);
    case.clocks.iter().all(|clock| {
        let pausable = matches!(
            clock.kind,
            ClockKind::Accept | ClockKind::Resolve | ClockKind::Rework | ClockKind::Stage
        );
        clock.paused_at.is_none() || (waits && pausable)
    })
}

fn verifier_is_third(case: &Case) -> bool {
    case.verification
        .as_ref()
        .is_none_or(|verification| !case.kept_from_checks().contains(&verification.verifier))
}

fn refused_by_human(case: &Case) -> bool {
    case.state != CaseState::NotAccepted || case.routing.last().is_some_and(|decision| decision.by_human)
}

fn closed_record_is_complete(case: &Case) -> bool {
    !matches!(case.state, CaseState::Closed | CaseState::Archived)
        || (!case.routing.is_empty() && !case.evidence.is_empty() && case.delivery_mode.is_some())
}

fn finished_cases_rest(case: &Case) -> bool {
    // A late bad rating is checked within a limit, though the case has ended.
    let rests = |clock: &super::clock::Clock| !clock.is_open() || clock.kind == ClockKind::Judge;
    let resting = case.clocks.iter().all(rests)
        && case.tasks.iter().all(|task| !task.state.is_open())
        && !case.offer.as_ref().is_some_and(super::case::Offer::is_open);
    !case.state.is_finished() || resting
}

fn ended_with_a_code(case: &Case) -> bool {
    !case.state.is_finished() || case.closed_code.is_some()
}

fn arbiter_is_no_party(case: &Case) -> bool {
    let Some(objection) = &case.objection else { return true };
    // Whoever ruled before it was complained of did so for good.
    let open = matches!(objection.state, ObjectionState::InArbitration | ObjectionState::InReview);
    objection.arbiter.is_none_or(|arbiter| {
        !(objection.parties.contains(&arbiter) || open && case.complained_of == Some(arbiter))
    })
}

fn open_objections_hold_it_up(case: &Case) -> bool {
    use ObjectionState::{InArbitration, InReview, Open};
    let state = case.objection.as_ref().map(|objection| objection.state);
    let open = matches!(state, Some(Open | InArbitration | InReview));
    open == (case.state == CaseState::Objected)
}

fn arbitration_is_watched(case: &Case) -> bool {
    let open = |kind| case.clocks.iter().any(|clock| clock.kind == kind && clock.is_open());
    let state = case.objection.as_ref().map(|objection| objection.state);
    let state = state.filter(|_| case.state == CaseState::Objected);
    match state {
        Some(ObjectionState::InArbitration) => open(ClockKind::Consult) != open(ClockKind::Ruling),
        Some(ObjectionState::InReview) => open(ClockKind::Ruling) && !open(ClockKind::Consult),
        _ => !open(ClockKind::Ruling) && !open(ClockKind::Consult),
    }
}

fn bad_ratings_are_watched(case: &Case) -> bool {
    let open = case.clocks.iter().any(|clock| clock.kind == ClockKind::Judge && clock.is_open());
    let awaited = case.rating.as_ref().is_some_and(super::case::Rating::awaits_judgement);
    // Whoever withdraws ends the check with the case.
    open == (awaited && case.state != CaseState::Withdrawn)
}

fn stages_are_watched(case: &Case) -> bool {
    let in_hand = case.stages.iter().filter(|run| run.done_at.is_none()).count();
    let open = case.clocks.iter().any(|clock| clock.kind == ClockKind::Stage && clock.is_open());
    let works = matches!(case.state, CaseState::InProgress | CaseState::Suspended);
    in_hand == usize::from(open) && (works || !open)
}

fn only_merged_cases_belong_to_others(case: &Case) -> bool {
    case.state == CaseState::Merged || (case.merged_into.is_none() && case.merged_through.is_empty())
}

fn one_open_clock_per_kind(case: &Case) -> bool {
    let mut open: Vec<_> =
        case.clocks.iter().filter(|clock| clock.is_open()).map(|clock| (clock.kind, clock.task_id)).collect();
    let all = open.len();
    open.sort_unstable();
    open.dedup();
    open.len() == all
}
