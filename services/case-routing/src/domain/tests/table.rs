//! Every state × every verb: what the table that was agreed on allows succeeds along one of its rows, everything else is
//! `WrongState` and nothing but `WrongState`; and every row is taken by somebody.

use std::collections::HashSet;

use chrono::TimeDelta;

use super::super::state::trail;
use super::super::*;
use super::agreed;
use super::other_outcomes::other_outcomes;
use super::world::*;

/// A case in each state, made by the verbs themselves.
pub(super) fn in_state(world: &mut World, state: CaseState) -> Case {
    let case = match state {
        CaseState::Registered => world.registered(),
        CaseState::NeedSupplement => {
            // Of what has no item yet silence is no withdrawal.
            let register = RegisterCase { item_code: Some("stairs".into()), ..world.register() };
            let case = Case::register(register, &world.official(STATION)).unwrap().case;
            case.request_supplement(vec!["id_copy".into()], &world.official(STATION)).unwrap().case
        }
        CaseState::NotAccepted => {
            let case = world.registered();
            case.decline("out_of_scope", "petition", &world.official(STATION)).unwrap().case
        }
        CaseState::HandedOff => {
            let case = world.registered();
            case.hand_off("119", Elsewhere::Nobody, &world.official(STATION)).unwrap().case
        }
        CaseState::Merged => {
            let case = world.accepted();
            let other = CaseId(world.fresh());
            case.merge(other, &world.official(STATION)).unwrap().case
        }
        CaseState::Accepted => world.accepted(),
        CaseState::Triaged => world.triaged("shopping_help"),
        CaseState::OfferedToSociety => world.dispatched("shopping_help"),
        CaseState::Dispatched => world.dispatched("street_light"),
        CaseState::Objected => world.objected("street_light"),
        CaseState::Signed => world.signed("street_light"),
        CaseState::InProgress => world.in_progress("street_light"),
        CaseState::Suspended => {
            let case = world.in_progress("street_light");
            case.suspend("season_condition", "doc:told", None, &world.official(STREET_OFFICE)).unwrap().case
        }
        CaseState::Completed => World::without_verifier().completed("stairs"),
        CaseState::Verifying => world.completed("stairs"),
        CaseState::Resolved => world.resolved("stairs"),
        CaseState::Closed => world.closed("stairs"),
        CaseState::Archived => {
            let case = world.closed("stairs");
            world.wait(TimeDelta::days(101));
            case.archive(&world.system()).unwrap().case
        }
        CaseState::Withdrawn => {
            let case = world.accepted();
            case.withdraw("no_longer_needed", None, &world.resident()).unwrap().case
        }
    };
    assert_eq!(case.state, state);
    case
}

/// Where a verb needs more than the state, the case is prepared for it.
fn prepared(world: &mut World, state: CaseState, verb: Trigger) -> Case {
    match (state, verb) {
        (CaseState::OfferedToSociety, Trigger::Offer) => {
            // The first partner has just been told that the case moved on to the next.
            in_state(world, state)
        }
        (CaseState::HandedOff, Trigger::ReturnFromReferral) => {
            let case = world.triaged("stairs");
            case.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap().case
        }
        (CaseState::InProgress, Trigger::Contact) => world.with_partner(),
        (CaseState::InProgress, Trigger::ReturnFromSociety) => world.with_partner(),
        (CaseState::Suspended, Trigger::ReturnFromSociety) => {
            let case = world.with_partner();
            case.suspend("season_condition", "doc:told", None, &world.official(GROUP)).unwrap().case
        }
        (CaseState::InProgress, Trigger::Complete) => world.in_progress("stairs"),
        (CaseState::InProgress, Trigger::CompleteStage) => world.in_progress("burst_pipe"),
        (CaseState::Triaged, Trigger::SolveOnSpot) => {
            Case { origin: Origin::Patrol, ..world.triaged("street_light") }
        }
        (CaseState::Triaged, Trigger::Dispatch) => world.triaged("street_light"),
        (CaseState::Dispatched, Trigger::DeclineTask) => {
            let case = world.triaged("committee_matter");
            case.dispatch(&manual(COMMITTEE), &world.official(STREET_OFFICE)).unwrap().case
        }
        (_, Trigger::DeclineAssist) => with_committee_assisting(in_state(world, state)),
        (_, Trigger::DecideAssistObjection) => {
            let case = in_state(world, state);
            assist_objects(world, case)
        }
        (_, Trigger::RefuseUnadmitted) => unadmitted(in_state(world, state), TaskPart::Lead),
        (_, Trigger::RefuseUnadmittedAssist) => unadmitted(in_state(world, state), TaskPart::Assist),
        (_, Trigger::SubmitTask | Trigger::ReturnTask) => {
            let case = in_state(world, state);
            let Some(assist) = assist_of(&case) else { return case };
            let case =
                case.sign(assist.id, &world.official(assist.org)).map(|decision| decision.case).unwrap();
            if verb == Trigger::SubmitTask || !matches!(state, CaseState::Signed | CaseState::InProgress) {
                return case;
            }
            let evidence = vec![(EvidenceKind::Document, "d-1".to_owned())];
            case.submit_task(assist.id, evidence, &world.official(assist.org)).unwrap().case
        }
        (CaseState::Objected, Trigger::TakePosition) => in_arbitration(world),
        (CaseState::Objected, Trigger::AgreeArbitration) => {
            let case = in_arbitration(world);
            case.take_position(URBAN, &world.official(STREET_OFFICE)).unwrap().case
        }
        (CaseState::Objected, Trigger::RuleArbitration) => {
            let case = in_arbitration(world);
            world.wait(TimeDelta::days(3));
            world.tick(case).case
        }
        (CaseState::Dispatched, Trigger::RequestReview) => ruled(world),
        (CaseState::Objected, Trigger::RuleReview) => {
            let case = ruled(world);
            case.request_review("wrong_item", &world.official(HOUSING)).unwrap().case
        }
        (_, Trigger::ReportIn) => with_whistle(world, state),
        (CaseState::Resolved | CaseState::Closed, Trigger::JudgeRating | Trigger::RecordCallback)
        | (CaseState::Resolved, Trigger::OrderRework) => {
            let resolved = world.resolved("stairs");
            if state == CaseState::Resolved {
                return resolved.rate(1, &world.resident()).unwrap().case;
            }
            let case = closed_unrated(world, resolved);
            case.rate(1, &world.resident()).unwrap().case
        }
        (CaseState::Merged, Trigger::JudgeMerged) => {
            let case = in_state(world, state);
            let original = resolved_original(case.merged_into.unwrap());
            case.rate_merged(1, &original, &world.resident()).unwrap().case
        }
        (CaseState::Closed, Trigger::Rate) => {
            let resolved = world.resolved("stairs");
            closed_unrated(world, resolved)
        }
        (CaseState::Resolved, Trigger::Close) => {
            // Closing is the rating window's doing; see `attempt`.
            world.resolved("stairs")
        }
        (CaseState::Verifying, Trigger::Verify) => world.completed("stairs"),
        (CaseState::Closed, Trigger::Archive) => {
            let case = in_state(world, state);
            world.wait(TimeDelta::days(101));
            case
        }
        _ => in_state(world, state),
    }
}

/// Between the street, which objected, and the department it named.
pub(super) fn in_arbitration(world: &mut World) -> Case {
    let case = in_state(world, CaseState::Objected);
    case.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case
}

pub(super) fn ruling(lead: OrgId) -> RuleObjection {
    RuleObjection {
        lead,
        assists: vec![],
        basis_code: "responsibility_list".into(),
        precedent: None,
        interim: None,
        definition: None,
    }
}

/// For a department that was no party.
pub(super) fn ruled(world: &mut World) -> Case {
    let case = in_arbitration(world);
    world.wait(TimeDelta::days(3));
    let case = world.tick(case).case;
    case.rule_objection(&ruling(HOUSING), &world.official(GOVERNMENT)).unwrap().case
}

/// A case in the state, to which a department was called that has signed.
pub(super) fn with_whistle(world: &mut World, state: CaseState) -> Case {
    let whistled = matches!(state, CaseState::Dispatched | CaseState::Signed | CaseState::InProgress);
    let case = match state {
        CaseState::Dispatched => world.dispatched("stairs"),
        CaseState::Signed => world.signed("stairs"),
        CaseState::InProgress | CaseState::Suspended => world.in_progress("stairs"),
        CaseState::Objected => world.dispatched("stairs"),
        _ => return in_state(world, state),
    };
    let command = WhistleCase { orgs: vec![URBAN], report_within: None, reason_code: "joint_work".into() };
    let case = case.whistle(&command, &world.official(STREET_OFFICE)).unwrap().case;
    let called = case.tasks.iter().find(|task| task.mode == DispatchMode::Whistle).unwrap().id;
    let case = case.sign(called, &world.official(URBAN)).unwrap().case;
    match state {
        _ if whistled => case,
        CaseState::Suspended => {
            case.suspend("season_condition", "doc:told", None, &world.official(STATION)).unwrap().case
        }
        _ => {
            let command = objection(&case);
            case.object(command, &world.official(STATION)).unwrap().case
        }
    }
}

/// Whoever is ordered or called to assist objects.
pub(super) fn assist_objects(world: &mut World, case: Case) -> Case {
    let ordered = |task: &&Task| matches!(task.mode, DispatchMode::Order | DispatchMode::Whistle);
    let mut assists = case.tasks.iter().filter(|task| task.part == TaskPart::Assist);
    let task = assists.find(ordered).unwrap().clone();
    let command = ObjectTask { task_id: task.id, ..objection(&case) };
    case.object(command, &world.official(task.org)).unwrap().case
}

fn resolved_original(id: CaseId) -> Original {
    Original {
        id,
        state: CaseState::Resolved,
        lead: Some(STATION),
        handlers: vec![STATION],
        completed_at: None,
        reopenable_until: None,
        results: Vec::new(),
    }
}

fn closed_unrated(world: &mut World, resolved: Case) -> Case {
    world.wait(TimeDelta::days(12));
    let case = world.tick(resolved).case;
    assert_eq!(case.state, CaseState::Closed);
    case
}

fn assist_of(case: &Case) -> Option<Task> {
    case.tasks.iter().find(|task| task.part == TaskPart::Assist && task.state.is_live()).cloned()
}

/// The committee of the community is asked to assist, which it may refuse.
fn with_committee_assisting(mut case: Case) -> Case {
    if let Some(assist) = case.tasks.iter_mut().find(|task| task.part == TaskPart::Assist) {
        assist.org = COMMITTEE;
        assist.mode = DispatchMode::AssistRequest;
    }
    case
}

/// The station got a part in a department's item that no list gives it.
fn unadmitted(mut case: Case, part: TaskPart) -> Case {
    let demolition = ItemRef { code: "demolition".into(), ..case.item.clone().unwrap() };
    case.item = Some(demolition);
    if let Some(task) = case.tasks.iter_mut().find(|task| task.part == part && task.state.is_live()) {
        task.org = STATION;
    }
    case
}

fn attempt(world: &mut World, case: Case, verb: Trigger) -> Result<Decision> {
    let nothing = TaskId(world.fresh());
    let lead = case.lead_task.unwrap_or(nothing);
    let lead_org = case.lead_org.unwrap_or(STATION);
    let assist = assist_of(&case);
    let assist_id = assist.as_ref().map_or(nothing, |task| task.id);
    let assist_org = assist.as_ref().map_or(STATION, |task| task.org);
    let offer = case.offer.as_ref().map_or(OfferId(nothing.0), |offer| offer.id);
    let partner = case.offer.as_ref().map_or(GROUP, |offer| offer.partner);
    let evidence = vec![(EvidenceKind::Document, "d-1".to_owned())];
    let merged_into = case.merged_into.unwrap_or(CaseId(nothing.0));
    let wrong_state = |state| DomainError::WrongState { state, verb };
    let state = case.state;
    match verb {
        Trigger::Register => Err(wrong_state(state)),
        Trigger::Accept => case.accept(&world.official(STATION)),
        Trigger::AcceptBySilence | Trigger::SupplementExpired => {
            // Timers have no verb to call: in any other state, time passing must not do it.
            world.wait(TimeDelta::days(30));
            let by_timer = |emitted: &Emitted| match &emitted.event {
                DomainEvent::CaseAccepted { by_silence, .. } => {
                    verb == Trigger::AcceptBySilence && *by_silence
                }
                DomainEvent::CaseWithdrawn { .. } => verb == Trigger::SupplementExpired,
                _ => false,
            };
            match case.tick(&world.system())? {
                Some(decision) if decision.events.iter().any(by_timer) => Ok(decision),
                _ => Err(wrong_state(state)),
            }
        }
        Trigger::RequestSupplement => {
            case.request_supplement(vec!["id_copy".into()], &world.official(STATION))
        }
        Trigger::Supplement => case.supplement(materials(&["id_copy"]), &world.resident()),
        Trigger::Decline => case.decline("out_of_scope", "petition", &world.official(STATION)),
        Trigger::HandOff => case.hand_off("12345", Elsewhere::Taken, &world.official(STATION)),
        Trigger::ReturnFromReferral => case.return_from_referral("hotline", "退回", &world.system()),
        Trigger::Merge => case.merge(CaseId(nothing.0), &world.official(STATION)),
        Trigger::Unmerge => case.unmerge(&world.official(STATION)),
        Trigger::Answer => {
            let closed_code = ClosedCode::BeyondAuthority;
            let command = AnswerCase { explanation_ref: "kb-7".into(), closed_code };
            case.answer(command, &world.official(STATION))
        }
        Trigger::Triage => case.triage(&triage("street_light"), &world.official(STATION)),
        Trigger::SolveOnSpot => case.solve_on_spot(&on_the_spot(true), &world.official(STATION)),
        Trigger::Offer => case.offer(&world.official(STREET_OFFICE)),
        Trigger::ConfirmOffer => case.confirm_offer(offer, &world.official(partner)),
        Trigger::LapseOffer => case.decline_offer(offer, &world.official(partner)),
        Trigger::Dispatch => case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)),
        Trigger::Sign => case.sign(lead, &world.official(lead_org)),
        Trigger::SignAssist => case.sign(assist_id, &world.official(assist_org)),
        Trigger::Object => {
            let command = ObjectTask {
                task_id: lead,
                ground_code: "not_my_duty".into(),
                basis_refs: vec!["art. 3".into()],
                suggested: None,
            };
            case.object(command, &world.official(lead_org))
        }
        Trigger::ObjectAssist => {
            let command = ObjectTask {
                task_id: assist_id,
                ground_code: "not_my_duty".into(),
                basis_refs: vec!["art. 3".into()],
                suggested: None,
            };
            case.object(command, &world.official(assist_org))
        }
        Trigger::DecideAssistObjection => {
            case.decide_assist_objection(assist_id, false, "duty_is_clear", &world.official(GOVERNMENT))
        }
        Trigger::RejectObjection => case.reject_objection("duty_is_clear", &world.official(GOVERNMENT)),
        Trigger::Redispatch => case.redispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)),
        Trigger::OpenArbitration => case.open_arbitration(&[], None, &world.official(GOVERNMENT)),
        Trigger::TakePosition => case.take_position(STREET_OFFICE, &world.official(STREET_OFFICE)),
        Trigger::AgreeArbitration => case
            .take_position(URBAN, &world.official(URBAN))
            // The trigger follows from the last position; where that is not possible, it is not either.
            .map_err(|error| match error {
                DomainError::WrongState { state, .. } => wrong_state(state),
                other => other,
            }),
        Trigger::RuleArbitration => case.rule_objection(&ruling(URBAN), &world.official(GOVERNMENT)),
        Trigger::RequestReview => case.request_review("wrong_item", &world.official(lead_org)),
        Trigger::RuleReview => {
            let by = Party { actor: PersonRef("o-review".into()), ..official(GOVERNMENT) };
            case.rule_review(&ruling(URBAN), &world.act(by))
        }
        Trigger::Whistle => {
            let orgs = vec![if case.tasks.iter().any(|task| task.org == URBAN) { COURTS } else { URBAN }];
            let command = WhistleCase { orgs, report_within: None, reason_code: "joint_work".into() };
            case.whistle(&command, &world.official(STREET_OFFICE))
        }
        Trigger::ReportIn => {
            let called = case.tasks.iter().find(|task| task.mode == DispatchMode::Whistle);
            let called = called.map_or(nothing, |task| task.id);
            case.report_in(called, &world.official(URBAN))
        }
        Trigger::DeclineTask => case.decline_task(lead, "not_admitted", false, &world.official(lead_org)),
        Trigger::DeclineAssist => {
            case.decline_task(assist_id, "not_admitted", false, &world.official(assist_org))
        }
        Trigger::RefuseUnadmitted => {
            let org = case.task(lead).map_or(STATION, |task| task.org);
            case.refuse_unadmitted(lead, "not_admitted", &world.official(org))
        }
        Trigger::RefuseUnadmittedAssist => {
            case.refuse_unadmitted(assist_id, "not_admitted", &world.official(assist_org))
        }
        Trigger::Recall => case.recall("mis_dispatch", &world.official(GOVERNMENT)),
        Trigger::Contact => case.contact(ContactMethod::Visit, &world.official(lead_org)),
        Trigger::Suspend => case.suspend("season_condition", "doc:told", None, &world.official(lead_org)),
        Trigger::Resume => case.resume(&world.official(lead_org)),
        Trigger::Extend => case.extend(
            calendar::Limit::new(calendar::TimeUnit::WorkDay, 2),
            "complex",
            "doc:told",
            &world.official(lead_org),
        ),
        Trigger::SubmitTask => case.submit_task(assist_id, evidence, &world.official(assist_org)),
        Trigger::ReturnTask => case.return_task(assist_id, "unclear", &world.official(lead_org)),
        Trigger::CompleteStage => case.complete_stage("secure", evidence, &world.official(lead_org)),
        Trigger::Complete => case.complete(done(), &world.official(lead_org)),
        Trigger::ReturnFromSociety => case.return_from_society("gave_up", &world.official(partner)),
        Trigger::ReturnFromMediation => case.return_from_mediation(&world.system()),
        Trigger::StartVerification => case.start_verification(&world.official(VERIFIER)),
        Trigger::RecordCallback => case.record_callback(&reached(4), &world.official(VERIFIER)),
        Trigger::Verify => case.verify(&found_good(), &world.official(VERIFIER)),
        Trigger::OrderRework => case.order_rework("not_done", &world.official(VERIFIER)),
        Trigger::RateMerged => case.rate_merged(2, &resolved_original(merged_into), &world.resident()),
        Trigger::JudgeMerged => {
            case.judge_merged(true, "", &resolved_original(merged_into), &world.official(VERIFIER))
        }
        Trigger::CallMerged => {
            case.call_merged(&reached(2), &resolved_original(merged_into), &world.official(VERIFIER))
        }
        Trigger::Rate => case.rate(2, &world.resident()),
        Trigger::JudgeRating => case.judge_rating(true, "", &world.official(VERIFIER)),
        Trigger::Close if state == CaseState::Resolved => {
            world.wait(TimeDelta::days(12));
            Ok(world.tick(case))
        }
        Trigger::Close => case.close(&world.system()),
        Trigger::Reopen => case.reopen("new_facts", &world.resident()),
        Trigger::Withdraw => case.withdraw("no_longer_needed", None, &world.resident()),
        Trigger::Archive => case.archive(&world.system()),
    }
}

#[test]
fn every_verb_in_every_state_does_what_the_table_says() {
    let table = agreed::moves();
    let (mut allowed, mut forbidden) = (0, 0);
    trail::take();
    World::new().registered();
    other_outcomes();
    let mut taken = trail::take();
    for state in CaseState::ALL {
        for verb in Trigger::ALL {
            let mut world = World::new();
            let may = table.iter().any(|(from, _, by)| *from == Some(*state) && by == verb);
            let case = if may { prepared(&mut world, *state, *verb) } else { in_state(&mut world, *state) };
            let before = case.version;
            trail::take();
            let result = attempt(&mut world, case, *verb);
            if !may {
                let expected = DomainError::WrongState { state: *state, verb: *verb };
                // A verb on a task says which of its two forms is wrong here.
                let found = result.expect_err(&format!("{verb} in {state}"));
                let twin = match verb {
                    Trigger::SignAssist => Trigger::Sign,
                    Trigger::DeclineAssist => Trigger::DeclineTask,
                    Trigger::ObjectAssist => Trigger::Object,
                    Trigger::RefuseUnadmittedAssist => Trigger::RefuseUnadmitted,
                    verb => *verb,
                };
                let other = DomainError::WrongState { state: *state, verb: twin };
                assert!(found == expected || found == other, "{verb} in {state}: {found}");
                forbidden += 1;
            } else {
                let decision = result.unwrap_or_else(|error| panic!("{verb} in {state}: {error}"));
                // What follows by itself (routing, verification, closing) takes further rows.
                let now = trail::take();
                let by_verb = |row: &&trail::Row| row.0 == Some(*state) && row.2 == *verb;
                assert!(now.iter().any(|row| by_verb(&row)), "{verb} in {state}: {now:?}");
                taken.extend(now);
                assert!(decision.case.version > before, "{verb} in {state}");
                assert_eq!(violations(&decision.case), Vec::<&str>::new(), "{verb} in {state}");
                allowed += 1;
            }
        }
    }
    let pairs: HashSet<_> =
        table.iter().filter(|row| row.0.is_some()).map(|(from, _, by)| (*from, *by)).collect();
    assert_eq!(allowed, pairs.len());
    assert_eq!(allowed + forbidden, CaseState::ALL.len() * Trigger::ALL.len());
    let untried: Vec<_> = table.difference(&taken).collect();
    assert!(untried.is_empty(), "no decision takes {untried:?}");
    assert_eq!(taken, table);
}

#[test]
fn a_task_moves_only_along_its_table() {
    let table = agreed::task_moves();
    for from in TaskState::ALL {
        for to in TaskState::ALL {
            let mut world = World::new();
            let mut case = world.in_progress("stairs");
            let id = case.lead_task.unwrap();
            case.tasks.iter_mut().filter(|task| task.id == id).for_each(|task| task.state = *from);
            let act = world.system();
            let mut work = super::super::work::Work::begin(case, &act);
            let allowed = table.contains(&(*from, *to));
            assert_eq!(work.move_task(id, *to).is_ok(), allowed, "{from} → {to}");
        }
    }
}
