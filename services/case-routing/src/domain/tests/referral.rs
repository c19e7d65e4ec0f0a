//! Cases that were referred to another system, and come back from there.

use chrono::TimeDelta;

use super::super::exchange::Reported;
use super::super::*;
use super::world::*;

fn referred(world: &mut World, case: Case) -> Case {
    let case = case.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap().case;
    world.wait(TimeDelta::hours(1));
    case
}

fn said(world: &World, returned: bool) -> Reported {
    Reported { status: "退回".into(), state: CaseState::NotAccepted, returned, at: world.now }
}

#[test]
fn what_another_system_sends_back_goes_on_with_its_promise_and_another_way() {
    let mut world = World::new();
    let case = world.triaged("stairs");
    let promised = case.resolve_clock().unwrap().due_at;
    let case = referred(&mut world, case);
    let report = said(&world, true);
    let back = case.referral_reported("hotline", &report, true, &world.system()).unwrap();
    assert_eq!(names(&back), ["CaseReturnedFromReferral"]);
    let reason = back.timeline[0].reason.clone().unwrap();
    assert_eq!(
        reason.render(Language::Chinese),
        "对方系统 hotline 退回（退回），不再转 12345，由本级继续办理"
    );
    let case = back.case;
    assert_eq!((case.state, case.closed_code, case.closed_at), (CaseState::Triaged, None, None));
    let resolve = case.resolve_clock().unwrap();
    assert!(resolve.is_running() && resolve.due_at == promised, "as if it had never been away");
    let dispatch = case.clock(ClockKind::Dispatch, None).unwrap();
    assert_eq!((dispatch.is_running(), dispatch.started_at), (true, world.now), "counted anew");
    assert_eq!(violations(&case), Vec::<&str>::new());

    let again = case.clone().hand_off("12345", Elsewhere::Taken, &world.official(STATION));
    assert_eq!(guard(again), "returned_before");
    let elsewhere = case.clone().hand_off("12328", Elsewhere::Taken, &world.official(STATION)).unwrap().case;
    assert_eq!(elsewhere.state, CaseState::HandedOff);
    let case = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.state, CaseState::Dispatched);
    // Said again, it is nothing but said.
    let report = said(&world, true);
    let heard = case.referral_reported("hotline", &report, true, &world.system()).unwrap();
    assert_eq!(heard.timeline[0].event, "ReferralReported");
    assert_eq!(heard.case.state, CaseState::Dispatched);
}

#[test]
fn what_was_never_taken_in_comes_back_accepted_since_it_left() {
    let mut world = World::new();
    let case = world.registered();
    let left_at = world.now;
    let case = referred(&mut world, case);
    let back = case.return_from_referral("hotline", "退回", &world.system()).unwrap().case;
    assert_eq!((back.state, back.accepted_at), (CaseState::Accepted, Some(left_at)));
    assert_eq!(back.resolve_clock().unwrap().started_at, left_at);
    assert_eq!(violations(&back), Vec::<&str>::new());
}

#[test]
fn nothing_comes_back_while_somebody_keeps_it_nor_an_emergency() {
    let mut world = World::new();
    let case = world.accepted();
    let case = referred(&mut world, case);
    let fire = world.registered().hand_off("119", Elsewhere::Nobody, &world.official(STATION)).unwrap().case;
    assert_eq!(guard(fire.clone().return_from_referral("fire", "退回", &world.system())), "emergency_line");
    let kept = [(case.clone(), true, false), (case, false, true), (fire, true, true)];
    for (case, returned, all_returned) in kept {
        let report = said(&world, returned);
        let heard = case.referral_reported("hotline", &report, all_returned, &world.system()).unwrap();
        assert!(heard.events.is_empty());
        assert_eq!(heard.timeline[0].event, "ReferralReported");
        assert_eq!(heard.case.state, CaseState::HandedOff);
    }
}

#[test]
fn what_is_said_of_a_referral_that_was_taken_back_is_noted_in_words_of_its_own() {
    let mut world = World::new();
    let case = world.triaged("stairs");
    let case = referred(&mut world, case);
    let case = case.take_back("by_mistake", &world.official(STATION)).unwrap().case;
    let report = said(&world, true);
    let heard = case.clone().taken_back_reported("hotline", &report, &world.system()).unwrap();
    assert!(heard.events.is_empty());
    assert_eq!(heard.timeline[0].event, "ReferralReported");
    let reason = heard.timeline[0].reason.clone().unwrap().render(Language::Chinese);
    assert_eq!(reason, "本件已收回，对方系统 hotline 仍反馈：退回，不影响本级办理");
    assert_eq!((heard.case.state, heard.case.returned_lines), (case.state, case.returned_lines));
}

#[test]
fn whoever_received_a_case_is_reminded_of_its_referral_that_does_not_get_through_until_it_does() {
    for (complained_of, reminded) in [(None, STATION), (Some(STATION), STREET_OFFICE)] {
        let mut world = World::new();
        let case = world.triaged("stairs");
        let case = Case { complained_of, ..referred(&mut world, case) };
        assert_eq!(case.asked_orgs(), [], "it is elsewhere");
        let told = case.referral_undelivered("hotline", false, &world.system()).unwrap();
        assert_eq!(names(&told), ["SupervisionIssued"]);
        let steps: Vec<&str> = told.timeline.iter().map(|step| step.event.as_str()).collect();
        assert_eq!(steps, ["SupervisionIssued", "ReferralUndelivered"]);
        for step in &told.timeline {
            let reason = step.reason.as_ref().unwrap();
            let texts = [Language::Chinese, Language::English].map(|language| reason.render(language));
            assert!(texts[0] != texts[1] && !texts[0].contains('{'), "{texts:?}");
        }
        let case = told.case;
        let known = case.supervisions.last().unwrap();
        assert_eq!((known.level, case.supervised(known), known.clock), (0, reminded, None));
        assert_eq!((case.state, case.asked_orgs()), (CaseState::HandedOff, vec![reminded]));
        assert!(case.is_party(reminded) && case.next_timer_at().is_none(), "nothing happens by itself");
        assert_eq!(violations(&case), Vec::<&str>::new());

        // Given up once more after it was retried: read again, and nobody is reminded twice.
        let again = case.clone().referral_undelivered("hotline", false, &world.official(STATION)).unwrap();
        assert_eq!((names(&again), again.timeline.len()), (vec![], 1));
        assert_eq!(again.timeline[0].actor, PersonRef::system(), "whoever looks");
        let waits = again.case.clone().referral_undelivered("hotline", true, &world.system()).unwrap();
        let reason = waits.timeline[0].reason.as_ref().unwrap();
        assert_eq!(reason.render(Language::Chinese), "转出件或其补充迟迟未被对方系统 hotline 接收，仍在等候");

        let arrived = again.case.clone().referral_arrived(&world.system()).unwrap();
        assert_eq!(names(&arrived), ["SupervisionCleared"]);
        assert_eq!((arrived.case.is_undelivered(), arrived.case.asked_orgs()), (false, vec![]));
        assert_eq!((again.case.was_undelivered(), arrived.case.was_undelivered()), (false, true));
        let nothing = arrived.case.clone().referral_arrived(&world.system()).unwrap();
        assert_eq!((nothing.case, nothing.timeline.len()), (arrived.case, 0));
        let by = if complained_of.is_some() { STREET_OFFICE } else { STATION };
        let back = again.case.take_back("not_taken_there", &world.official(by)).unwrap();
        assert_eq!(names(&back), ["CaseReturnedFromReferral", "SupervisionCleared"]);
        assert_eq!(violations(&back.case), Vec::<&str>::new());
    }
}

#[test]
fn nobody_is_reminded_of_a_referral_once_its_case_is_here_again() {
    let mut world = World::new();
    let case = world.triaged("stairs");
    let case = referred(&mut world, case).take_back("by_mistake", &world.official(STATION)).unwrap().case;
    let told = case.referral_undelivered("hotline", false, &world.system()).unwrap();
    assert_eq!((names(&told), told.case.is_undelivered()), (vec![], false));
}
