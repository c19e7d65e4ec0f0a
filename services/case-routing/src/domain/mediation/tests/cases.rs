//! What becomes of the case: settled by an agreement, given back when the talks end, left alone when nobody has it in
//! hand.

use super::*;
use crate::record::{CaseRecord, OfferState};

fn open(world: &mut World, case: Case) -> (Case, MediationId) {
    let id = MediationId(world.fresh());
    (follow(world, case, id, CaseMove::Open).unwrap().case, id)
}

fn follow(world: &mut World, case: Case, id: MediationId, case_move: CaseMove) -> Option<Decision> {
    let decision = case.follow_mediation(id, case_move, &world.act(mediator())).unwrap();
    if let Some(decision) = &decision {
        assert_eq!(violations(&decision.case), Vec::<&str>::new());
    }
    decision
}

fn link(id: MediationId, open: bool) -> Option<MediationLink> {
    Some(MediationLink { id, open, overdue: false, mediator: None })
}

const SETTLED: CaseMove =
    CaseMove::Settle { org: COMMITTEE, delivery_mode: Some(DeliveryMode::SelfGovernance) };
const FAILED: CaseMove = CaseMove::Return { talked: true };

#[test]
fn an_agreement_completes_a_case_in_progress_as_mediated() {
    let mut world = World::new();
    let case = world.in_progress("quarrel");
    assert_eq!(case.lead_org, Some(COMMITTEE));
    let (case, id) = open(&mut world, case);
    let waits = case.clone().complete(done(), &world.official(COMMITTEE));
    assert_eq!(guard(waits), "mediation_open");
    let other = case.clone().admits_mediation().unwrap_err();
    assert!(matches!(other, DomainError::Guard { code: "mediation_open", .. }));
    let settled = follow(&mut world, case, id, SETTLED).unwrap();
    assert!(names(&settled).starts_with(&["TaskSubmitted", "CaseCompleted", "VerificationStarted"]));
    let case = settled.case;
    assert_eq!(case.closed_code, Some(ClosedCode::Mediated));
    assert_eq!(case.delivery_mode, Some(DeliveryMode::SelfGovernance));
    assert_eq!(case.evidence.last().unwrap().reference, format!("mediation:{id}"));
    assert_eq!(case.mediation, link(id, false));
    assert!(follow(&mut world, case.clone(), id, FAILED).is_none(), "it is over for the case");
    // The third organisation verifies it like any other.
    let verified = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let closed = verified.rate(5, &world.resident()).unwrap().case;
    assert_eq!((closed.state, closed.closed_code), (CaseState::Closed, Some(ClosedCode::Mediated)));
}

#[test]
fn whose_mediator_settled_a_case_neither_verifies_nor_judges_it() {
    let mut world = World::new();
    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    let settled = CaseMove::Settle { org: VERIFIER, delivery_mode: None };
    let case = follow(&mut world, case, id, settled).unwrap().case;
    assert!(case.handling_orgs().contains(&VERIFIER), "without a task of its own");
    assert_eq!((case.state, case.verification.clone()), (CaseState::Completed, None), "no other verifies");
    assert_eq!(guard(case.clone().start_verification(&world.official(VERIFIER))), "verifier_is_handler");
    let case = case.start_verification(&world.official(GOVERNMENT)).unwrap().case;
    let case = case.verify(&found_good(), &world.official(GOVERNMENT)).unwrap().case;
    let rated = case.rate(1, &world.resident()).unwrap().case;
    assert_eq!(guard(rated.judge_rating(true, "", &world.official(VERIFIER))), "rating_judge");
}

#[test]
fn a_suspended_case_goes_on_before_it_is_settled() {
    let mut world = World::new();
    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    let case = case.suspend("await_requester", "doc:told", None, &world.official(COMMITTEE)).unwrap().case;
    let settle = CaseMove::Settle { org: COMMITTEE, delivery_mode: None };
    let settled = follow(&mut world, case, id, settle).unwrap();
    assert_eq!(names(&settled)[0], "CaseResumed");
    assert_eq!(settled.case.state, CaseState::Verifying);
}

#[test]
fn a_case_whose_talks_ended_goes_back_to_the_public_service() {
    let mut world = World::new();
    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    let back = follow(&mut world, case, id, FAILED).unwrap();
    assert_eq!(names(&back)[..2], ["TaskCancelled", "CaseTriaged"]);
    assert_eq!(back.events[1].facts.state, CaseState::Triaged);
    assert_eq!((back.case.state, back.case.lead_org), (CaseState::Dispatched, Some(STREET_OFFICE)));
    assert!(back.case.left_society && back.case.excluded_orgs.contains(&COMMITTEE));
    assert_eq!(back.timeline[1].reason.as_ref().unwrap().code, "mediation_failed");

    // Nobody is competent: it waits, triaged, for a human, with a clock that runs.
    let mut nobody = parts();
    nobody.entries.retain(|entry| entry.rule_id != "r-quarrel-street");
    let mut world = World::of(TableParts { fallback: None, ..nobody });
    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    let back = follow(&mut world, case, id, FAILED).unwrap().case;
    assert_eq!(back.state, CaseState::Triaged);
    assert!(back.clock(ClockKind::Dispatch, None).is_some_and(Clock::is_running));
}

#[test]
fn an_agreement_completes_what_a_partner_leads_without_its_word() {
    let mut world = World::new();
    let mut case = world.with_partner();
    case.nature = Nature::Dispute;
    let (case, id) = open(&mut world, case);
    let offer = case.offer.clone().unwrap().id;
    let settled = follow(&mut world, case, id, SETTLED).unwrap();
    assert!(names(&settled).starts_with(&["TaskSubmitted", "CaseCompleted", "VerificationStarted"]));
    let DomainEvent::CaseCompleted { offer_id, .. } = settled.events[1].event else { panic!() };
    assert_eq!((offer_id, settled.case.closed_code), (Some(offer), Some(ClosedCode::Mediated)));
    let (record, _) = CaseRecord::after(None, settled.clone());
    assert_eq!(record.pending.offers[&offer].1, OfferState::Settled);
    // Sent back it is the partner's again.
    let reworked = settled.case.order_rework("not_done", &world.official(VERIFIER)).unwrap();
    let (record, _) = CaseRecord::after(Some(&record), reworked.clone());
    assert_eq!(record.pending.offers[&offer].1, OfferState::Confirmed);
    // By its own word this time.
    let done = reworked.case.social_completed(offer, &[], &world.system()).unwrap().unwrap();
    let (record, _) = CaseRecord::after(Some(&record), done);
    assert_eq!(record.pending.offers[&offer].1, OfferState::Completed);
}

#[test]
fn a_partner_is_told_when_the_talks_it_led_came_to_nothing() {
    let mut world = World::new();
    let mut case = world.with_partner();
    case.nature = Nature::Dispute;
    let (case, id) = open(&mut world, case);
    let back = follow(&mut world, case, id, FAILED).unwrap();
    assert!(names(&back).contains(&"CaseReturnedFromSociety"));
    assert_eq!(back.case.state, CaseState::Dispatched);
}

#[test]
fn talks_that_fail_take_nothing_from_a_partner_that_is_done() {
    let mut world = World::new();
    let case = world.with_partner();
    let command = WhistleCase { orgs: vec![URBAN], report_within: None, reason_code: "joint_work".into() };
    let mut case = case.whistle(&command, &world.official(STREET_OFFICE)).unwrap().case;
    case.nature = Nature::Dispute;
    let (case, id) = open(&mut world, case);
    let (offer, partner) = (case.offer.clone().unwrap().id, case.lead_org);
    let case = case.social_completed(offer, &["record:1".into()], &world.system()).unwrap().unwrap().case;
    assert!(case.partner_is_done());
    for talked in [true, false] {
        let followed = follow(&mut world, case.clone(), id, CaseMove::Return { talked }).unwrap();
        assert!(followed.events.is_empty());
        assert!(followed.case.partner_is_done(), "it waits for the department alone");
        assert_eq!((followed.case.state, followed.case.lead_org), (CaseState::InProgress, partner));
        assert_eq!(followed.case.mediation, link(id, false));
    }
}

#[test]
fn a_case_that_nobody_has_in_hand_stays_where_it_is() {
    for case_move in [SETTLED, FAILED] {
        let mut world = World::new();
        let case = world.dispatched("quarrel");
        let (case, id) = open(&mut world, case);
        let followed = follow(&mut world, case, id, case_move).unwrap();
        assert!(followed.events.is_empty());
        assert_eq!(followed.case.state, CaseState::Dispatched);
        assert_eq!(followed.case.mediation, link(id, false));
    }
}

#[test]
fn a_mediation_that_goes_on_gives_the_case_another_version_and_changes_nothing_else() {
    let mut world = World::new();
    for case in [world.dispatched("quarrel"), world.in_progress("quarrel"), world.resolved("quarrel")] {
        let went_on = case.clone().mediation_went_on(&world.act(mediator()));
        assert!(went_on.events.is_empty() && went_on.timeline.is_empty());
        let (version, updated_at) = (case.version + 1, went_on.case.updated_at);
        assert_eq!(went_on.case, Case { version, updated_at, ..case });
    }
}

#[test]
fn only_a_dispute_that_is_handled_is_mediated() {
    let mut world = World::new();
    let code = |case: &Case| match case.admits_mediation() {
        Err(DomainError::Guard { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(&world.in_progress("stairs")), "not_a_dispute");
    assert_eq!(code(&world.resolved("quarrel")), "case_state");
    for case in [world.triaged("quarrel"), world.dispatched("quarrel"), world.signed("quarrel")] {
        case.admits_mediation().unwrap();
    }
}

#[test]
fn talks_begun_anew_hold_the_case_once_it_is_back_in_hand() {
    let mut world = World::new();
    let case = world.completed("quarrel");
    let (case, id) = open(&mut world, case);
    assert_eq!(case.mediation, link(id, true));
    let case = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert_eq!(case.state, CaseState::InProgress);
    assert_eq!(guard(case.clone().complete(done(), &world.official(COMMITTEE))), "mediation_open");
    let second = case.admits_mediation().unwrap_err();
    assert!(matches!(second, DomainError::Guard { code: "mediation_open", .. }));
    let settled = follow(&mut world, case, id, SETTLED).unwrap().case;
    assert_eq!((settled.state, settled.closed_code), (CaseState::Verifying, Some(ClosedCode::Mediated)));
}

#[test]
fn the_lead_does_not_wait_for_parties_whose_day_has_gone_by() {
    let mut world = World::new();
    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    assert_eq!(guard(case.clone().complete(done(), &world.official(COMMITTEE))), "mediation_open");
    let foreign = MediationId(world.fresh());
    assert!(follow(&mut world, case.clone(), foreign, CaseMove::Overdue).is_none(), "another one");
    let overdue = follow(&mut world, case, id, CaseMove::Overdue).unwrap();
    assert!(overdue.events.is_empty());
    assert_eq!(overdue.timeline.last().unwrap().event, "MediationOverdue");
    let case = overdue.case;
    assert!(case.admits_mediation().is_err(), "they may still agree in this one");
    let settled = follow(&mut world, case.clone(), id, SETTLED).unwrap().case;
    assert_eq!(settled.closed_code, Some(ClosedCode::Mediated));
    let completed = case.complete(done(), &world.official(COMMITTEE)).unwrap().case;
    // What they agree on afterwards moves nothing.
    let late = follow(&mut world, completed.clone(), id, SETTLED).unwrap();
    assert_eq!((late.case.state, late.case.closed_code), (completed.state, completed.closed_code));
    // Talks begun anew have days of their own.
    let (anew, _) = open(&mut world, late.case);
    assert!(anew.mediation.is_some_and(MediationLink::is_waited_for));
}

#[test]
fn a_department_works_on_when_nobody_has_talked_yet() {
    let mut world = World::new();
    let mut case = world.in_progress("stairs");
    case.nature = Nature::Dispute;
    let (case, id) = open(&mut world, case);
    let refused = follow(&mut world, case.clone(), id, CaseMove::Return { talked: false }).unwrap();
    assert!(refused.events.is_empty());
    assert_eq!((refused.case.state, &refused.case.tasks), (CaseState::InProgress, &case.tasks));
    assert_eq!(refused.case.mediation, link(id, false));
    let failed = follow(&mut world, case, id, FAILED).unwrap();
    assert!(names(&failed).contains(&"CaseTriaged"));
    // Society is relieved of it either way.
    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    let back = follow(&mut world, case, id, CaseMove::Return { talked: false }).unwrap().case;
    assert_eq!(back.lead_org, Some(STREET_OFFICE));
}

#[test]
fn nobody_refuses_for_the_other_side() {
    let mut world = World::new();
    let new = opened(&mut world, MediationOrigin::Application);
    let taken = taken(&mut world);
    let mut refuse = |mediation: &Mediation, number, own, of_place, org| {
        mediation.clone().refuse(number, own, of_place, "refused", &world.official(org))
    };
    // The place's committee takes it down while nobody mediates, afterwards only who does.
    refuse(&new, 2, None, true, COMMITTEE).unwrap();
    assert_eq!(refusal(refuse(&new, 2, None, false, COMMITTEE)), "own_party");
    assert_eq!(refusal(refuse(&taken, 2, None, true, STREET_OFFICE)), "mediator");
    refuse(&taken, 2, None, false, COMMITTEE).unwrap();
    // A party speaks for itself, whatever office it holds.
    for mediation in [&new, &taken] {
        refuse(mediation, 3, None, false, CONTRACTOR).unwrap();
        refusal(refuse(mediation, 2, None, true, CONTRACTOR));
        refuse(mediation, 1, Some(NEIGHBOUR), true, COMMITTEE).unwrap();
        assert_eq!(refusal(refuse(mediation, 2, Some(NEIGHBOUR), true, COMMITTEE)), "own_party");
    }
}

#[test]
fn what_is_open_ends_with_a_case_that_is_not_handled() {
    let mut world = World::new();
    let mediation = in_session(&mut world);
    let ended = mediation.end_with_case(&world.system()).unwrap();
    assert_eq!(ended.mediation.state, MediationState::ToldOfChannels);
    assert!(ended.mediation.remedy.is_some());
    let [(_, MediationEvent::MediationFailed { outcome, reason_code, .. })] = ended.events.as_slice() else {
        panic!("{:?}", ended.events)
    };
    assert_eq!((*outcome, reason_code.as_str()), (MediationState::Failed, "case_ended"));
    let stands = effective(&mut world);
    assert_eq!(refusal(stands.end_with_case(&world.system())), "mediation_state");

    let case = world.in_progress("quarrel");
    let (case, id) = open(&mut world, case);
    let case = case.withdraw("not_needed", None, &world.resident()).unwrap().case;
    assert!(case.state.leaves_nothing_to_mediate());
    let followed = follow(&mut world, case, id, FAILED).unwrap();
    assert!(followed.events.is_empty());
    assert_eq!(followed.case.mediation, link(id, false));
}

#[test]
fn the_first_session_waits_until_the_lead_has_taken_the_case_up() {
    let mut world = World::new();
    let mediation = consented(&mut world);
    let early = mediation.clone().hold_session(false, None, &world.act(mediator()));
    assert_eq!(refusal(early), "case_not_taken_up");
    let other = mediation.hold_session(true, None, &world.official(STREET_OFFICE));
    assert_eq!(refusal(other), "mediator");
}

#[test]
fn who_is_a_party_does_not_mediate() {
    let mut world = World::new();
    let mediation = opened(&mut world, MediationOrigin::Application);
    let concerned = mediation.clone().take(Some(NEIGHBOUR), false, &world.act(mediator()));
    assert_eq!(refusal(concerned), "is_party");
    assert_eq!(refusal(mediation.clone().take(None, false, &world.official(CONTRACTOR))), "is_party");
    assert_eq!(refusal(mediation.consent(1, Some(NEIGHBOUR), &world.resident())), "no_mediator");
}

#[test]
fn an_oral_agreement_is_in_effect_at_once_and_says_where_it_was_reached() {
    let mut world = World::new();
    let mediation = in_session(&mut world);
    let reached = mediation.agree(terms(AgreementKind::Oral, None), &world.act(mediator())).unwrap();
    assert_eq!(reached.mediation.state, MediationState::Effective);
    let MediationEvent::MediationAgreed { within_community, mediator_unit, .. } = &reached.events[0].1 else {
        panic!("{:?}", reached.events)
    };
    assert_eq!((*within_community, *mediator_unit), (true, Some(COMMUNITY)));
    assert_eq!(reached.case_move, Some(SETTLED));
}
