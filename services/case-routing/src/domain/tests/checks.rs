//! Nobody checks their own work, and nothing is called resolved that its requester does not find so.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

fn answer() -> AnswerCase {
    AnswerCase { explanation_ref: "kb-7".into(), closed_code: ClosedCode::BeyondAuthority }
}

#[test]
fn who_is_complained_of_does_not_settle_the_complaint() {
    let mut world = World::new();
    let register = RegisterCase { complained_of: Some(STATION), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let other = CaseId(world.fresh());
    let accepted = case.clone().accept(&world.official(STATION)).unwrap().case;
    for (own, refused) in [(STATION, true), (STREET_OFFICE, false)] {
        let declined = case.clone().decline("out_of_scope", "petition", &world.official(own));
        let asked = case.clone().request_supplement(vec!["photo".into()], &world.official(own));
        let merged = case.clone().merge(other, &world.official(own));
        let answered = accepted.clone().answer(answer(), &world.official(own));
        let triaged = accepted.clone().triage(&triage("stairs"), &world.official(own));
        let handed_off = case.clone().hand_off("119", Elsewhere::Nobody, &world.official(own));
        for result in [declined, asked, merged, answered, triaged, handed_off] {
            if refused {
                assert_eq!(guard(result), "recused");
            } else {
                assert_eq!(violations(&result.unwrap().case), Vec::<&str>::new());
            }
        }
    }
}

#[test]
fn who_answers_a_case_handled_it_and_does_not_check_it() {
    let mut world = World::new();
    let case = world.triaged("stairs");
    assert_eq!(case.first_receiver, STATION);
    let own = case.clone().answer(answer(), &world.official(VERIFIER)).unwrap().case;
    assert_eq!((own.state, own.handling_orgs()), (CaseState::Completed, vec![VERIFIER]), "no other verifies");
    assert_eq!(guard(own.start_verification(&world.official(VERIFIER))), "verifier_is_handler");

    let case = case.answer(answer(), &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.handling_orgs(), [STREET_OFFICE]);
    assert_eq!(case.verification.as_ref().unwrap().verifier, VERIFIER);
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    assert_eq!(guard(case.clone().rate(5, &world.official(STREET_OFFICE))), "requester");
    let rated = case.rate(1, &world.resident()).unwrap().case;
    let by_handler = rated.clone().judge_rating(true, "", &world.official(STREET_OFFICE));
    assert_eq!(guard(by_handler), "rating_judge");
    // Done again by another, it stays known who had it before.
    let again = rated.judge_rating(true, "", &world.official(VERIFIER)).unwrap().case;
    assert!(again.handling_orgs().contains(&STREET_OFFICE));
}

#[test]
fn who_only_helped_does_not_judge_what_its_requester_thinks_of_it() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let task = case.tasks.iter().find(|task| task.org == URBAN).unwrap().id;
    let case = case.sign(task, &world.official(URBAN)).unwrap().case;
    let result = vec![(EvidenceKind::Photo, "photo-2".to_owned())];
    let case = case.submit_task(task, result, &world.official(URBAN)).unwrap().case;
    let case = world.complete(case);
    assert_eq!((case.lead_org, case.state), (Some(STREET_OFFICE), CaseState::Verifying));
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let rated = case.rate(1, &world.resident()).unwrap().case;
    for handler in [URBAN, STREET_OFFICE] {
        let judged = rated.clone().judge_rating(true, "", &world.official(handler));
        assert_eq!(guard(judged), "rating_judge", "{handler}");
    }
    assert!(rated.judge_rating(true, "", &world.official(VERIFIER)).is_ok());
}

#[test]
fn who_signed_checks_nothing_though_it_objected_had_to_keep_it_and_was_relieved_later() {
    let mut world = World::new();
    let signed = world.signed("street_light");
    let command = objection(&signed);
    let objected = signed.object(command, &world.official(STREET_OFFICE)).unwrap().case;
    let kept = objected.reject_objection("duty_is_clear", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(kept.lead().unwrap().state, TaskState::Issued, "to be signed for anew");
    let recalled = kept.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let sent = recalled.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!((sent.lead_org, sent.handling_orgs()), (Some(URBAN), vec![URBAN, STREET_OFFICE]));
}

#[test]
fn what_is_told_by_the_list_is_the_windows_whoever_asks_the_router() {
    let mut world = World::new();
    let case = world.intake("court_matter").case;
    assert_eq!((case.state, case.answered_by.clone()), (CaseState::Verifying, vec![STATION]));
    let again = case.order_rework("wrong_channel", &world.official(VERIFIER)).unwrap().case;
    // Sent back it is not answered once more by itself.
    assert_eq!((again.state, again.completed_at), (CaseState::Triaged, None));
    for kind in [ClockKind::Rework, ClockKind::Dispatch] {
        assert!(again.clock(kind, None).unwrap().is_running(), "{kind}");
    }
    assert_eq!(violations(&again), Vec::<&str>::new());
    let told = again.clone().dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!((told.state, told.answered_by.clone()), (CaseState::Verifying, vec![STATION]));
    assert_eq!(told.verification.as_ref().unwrap().verifier, VERIFIER);
    let other = again.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    let sent = other.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!((sent.state, sent.lead_org), (CaseState::Dispatched, Some(STATION)));
    let found = Case { origin: Origin::Patrol, ..world.triaged("street_light") };
    let solved = found.solve_on_spot(&on_the_spot(true), &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(solved.handling_orgs(), [STREET_OFFICE], "the finder, not who received it");
}

#[test]
fn what_its_requester_does_not_find_resolved_closes_apart_from_what_is() {
    use ClosedCode::{PartlyResolved, Resolved, Unfounded};
    for (said, outcome, expected) in [
        (Resolution::Resolved, None, Resolved),
        (Resolution::PartlyResolved, None, PartlyResolved),
        (Resolution::NotResolved, None, PartlyResolved),
        (Resolution::NotResolved, Some(Unfounded), Unfounded),
    ] {
        let mut world = World::new();
        let case = world.in_progress("stairs");
        let completed = CompleteCase { closed_code: outcome, ..done() };
        let case = case.complete(completed, &world.official(STATION)).unwrap().case;
        let said = CallbackReport::Reached { resolution: said, grade: Some(2), contact_confirmed: true };
        let finding = VerifyCase {
            callback: Some(said),
            partly_reason_code: Some("seen_on_site".into()),
            ..found_good()
        };
        let case = case.verify(&finding, &world.official(VERIFIER)).unwrap().case;
        world.wait(TimeDelta::days(12));
        let closed = world.tick(case).case;
        assert_eq!((closed.state, closed.closed_code), (CaseState::Closed, Some(expected)));
    }
}

#[test]
fn an_official_writes_a_rating_down_only_of_whom_a_call_back_reached() {
    let mut world = World::new();
    let mut case = world.completed("stairs");
    for _ in 0..3 {
        world.wait(TimeDelta::hours(2));
        case = case.record_callback(&CallbackReport::NoAnswer, &world.official(VERIFIER)).unwrap().case;
    }
    let unasked = VerifyCase { callback: None, ..found_good() };
    let unreached = case.verify(&unasked, &world.official(VERIFIER)).unwrap().case;
    let refused = unreached.clone().rate(5, &world.official(VERIFIER));
    assert_eq!(guard(refused), "requester_not_reached");
    assert!(unreached.rate(5, &world.resident()).is_ok(), "the requester's own word needs no call");

    let reached = world.resolved("stairs");
    assert_eq!(guard(reached.clone().rate(5, &world.official(STATION))), "requester", "a handler never");
    let on_behalf = |decision: &Decision| {
        let DomainEvent::RatingReceived { on_behalf, .. } = decision.events[0].event else { panic!() };
        (on_behalf, decision.case.rating.as_ref().unwrap().on_behalf)
    };
    let written = reached.clone().rate(5, &world.official(VERIFIER)).unwrap();
    assert_eq!(on_behalf(&written), (true, true));
    assert_eq!(written.timeline[0].reason.as_ref().unwrap().code, "rated_on_behalf");
    let own = reached.clone().rate(5, &world.resident()).unwrap();
    assert_eq!((on_behalf(&own), own.timeline[0].reason.is_none()), ((false, false), true));

    // What was said about the result before the rework does not count for the next one.
    let bad = reached.rate(1, &world.resident()).unwrap().case;
    let again = bad.judge_rating(true, "", &world.official(VERIFIER)).unwrap().case;
    let mut again = world.complete(again);
    for _ in 0..3 {
        world.wait(TimeDelta::hours(2));
        again = again.record_callback(&CallbackReport::NoAnswer, &world.official(VERIFIER)).unwrap().case;
    }
    let again = again.verify(&unasked, &world.official(VERIFIER)).unwrap().case;
    assert_eq!(guard(again.rate(5, &world.official(VERIFIER))), "requester_not_reached");
}
