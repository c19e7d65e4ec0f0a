//! The days of a mediation: 30 for the joint request, 3 and 15 (+10) for the court, and the one agreed on.

use super::*;

fn due(mediation: &Mediation, kind: DeadlineKind) -> Timestamp {
    mediation.deadlines.iter().rfind(|deadline| deadline.kind == kind).expect("it runs").due_at
}

fn end_of(day: &str) -> Timestamp {
    at(&format!("{day}T23:59:59.999999"))
}

#[test]
fn the_days_of_the_court_are_those_of_the_law_and_roll_over_rest_days() {
    let mut world = World::new(); // Monday 2026-06-08
    let mediation = effective(&mut world);
    assert_eq!(due(&mediation, DeadlineKind::RequestConfirmation), end_of("2026-07-08"));
    let mediation = step(&mut world, mediation, |mediation, act| mediation.request_confirmation(None, act));
    assert_eq!(due(&mediation, DeadlineKind::CourtAccepts), end_of("2026-06-11"));
    world.wait(TimeDelta::days(1));
    let mediation = step(&mut world, mediation, |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Accepted), act)
    });
    assert_eq!(due(&mediation, DeadlineKind::CourtDecides), end_of("2026-06-24"));
    let mediation = step(&mut world, mediation, |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Extended), act)
    });
    // 2026-07-04 is a Saturday.
    assert_eq!(due(&mediation, DeadlineKind::CourtDecides), end_of("2026-07-06"));
    let again = mediation.court_answers(answered(CourtAnswer::Extended), &world.act(mediator()));
    assert_eq!(refusal(again), "extended_before");
}

#[test]
fn talks_have_their_days_and_go_on_after_them_without_holding_the_case() {
    let mut world = World::new(); // Monday 2026-06-08
    let new = opened(&mut world, MediationOrigin::Application);
    assert_eq!(due(&new, DeadlineKind::Talks), end_of("2026-07-08"));
    let kept = effective(&mut world);
    let talks = |mediation: &Mediation| {
        mediation.deadlines.iter().find(|day| day.kind == DeadlineKind::Talks).cloned()
    };
    assert!(talks(&kept).is_some_and(|day| day.met_at.is_some() && day.passed_at.is_none()));
    let held = in_session(&mut world);
    world.now = end_of("2026-07-08") + TimeDelta::seconds(1);
    let late = held.tick(&world.system()).unwrap();
    assert!(late.events.is_empty());
    assert_eq!((late.case_move, late.mediation.state), (Some(CaseMove::Overdue), MediationState::InSession));
    assert_eq!(late.mediation.steps.last().unwrap().step, "deadline_passed");
    assert_eq!(late.mediation.next_timer_at(), None, "once");
    let by_word = terms(AgreementKind::Oral, None);
    let agreed = late.mediation.agree(by_word, &world.act(mediator())).unwrap();
    assert!(matches!(agreed.case_move, Some(CaseMove::Settle { .. })));
    assert!(talks(&agreed.mediation).is_some_and(|day| day.met_at.is_some() && day.passed_at.is_some()));
}

#[test]
fn a_joint_request_after_thirty_days_is_too_late() {
    let mut world = World::new();
    let mediation = effective(&mut world);
    world.now = end_of("2026-07-08");
    assert!(mediation.clone().request_confirmation(None, &world.act(mediator())).is_ok());
    world.wait(TimeDelta::seconds(1));
    let late = mediation.clone().request_confirmation(None, &world.act(mediator()));
    assert_eq!(refusal(late), "confirmation_too_late");
    let noted = mediation.tick(&world.system()).unwrap().mediation;
    assert_eq!(
        noted.steps.iter().filter(|step| step.step == "deadline_passed").count(),
        2,
        "the request's and the performance's"
    );
    let late = noted.request_confirmation(None, &world.act(mediator()));
    assert_eq!(refusal(late), "confirmation_too_late");
}

#[test]
fn a_day_that_goes_by_is_noted_once_and_moves_nothing() {
    let mut world = World::new();
    let mediation = effective(&mut world);
    let due_at = due(&mediation, DeadlineKind::Performance);
    assert_eq!(mediation.next_timer_at(), Some(due_at));
    world.now = due_at - TimeDelta::seconds(1);
    assert!(mediation.clone().tick(&world.system()).is_none());
    let early = mediation.clone().breach("not_paid", &world.act(mediator()));
    assert_eq!(refusal(early), "not_due_yet");
    world.now = due_at + TimeDelta::seconds(1);
    let noted = mediation.tick(&world.system()).unwrap();
    assert_eq!(noted.mediation.state, MediationState::Effective);
    assert!(noted.events.is_empty() && noted.case_move.is_none());
    let noted = noted.mediation;
    assert!(noted.clone().tick(&world.system()).is_none(), "once");
    let late = noted.clone().perform(seen(), &world.act(mediator())).unwrap();
    assert!(matches!(late.events[0].1, MediationEvent::MediationPerformed { in_time: false, days: 20 }));
    let broken = noted.breach("not_paid", &world.act(mediator())).unwrap();
    assert_eq!(broken.mediation.state, MediationState::ToldOfCourt);
    assert_eq!(broken.mediation.remedy.unwrap().code, "mediation_court");
    assert!(matches!(&broken.events[0].1, MediationEvent::MediationBreached { confirmed: false, .. }));
}

#[test]
fn an_agreement_of_a_later_round_is_judged_by_its_own_day() {
    let mut world = World::new();
    let first = not_confirmed(&mut world);
    let old = first.deadlines.clone();
    let first_day = due(&first, DeadlineKind::Performance);
    let anew = step(&mut world, first, |mediation, act| mediation.remediate(act));
    let gone = anew.deadlines.iter().all(|day| day.kind != DeadlineKind::Performance);
    assert!(gone, "it went with its agreement");
    let anew = to_talks(&mut world, anew);
    world.wait(TimeDelta::days(1));
    // At once: no day is agreed on.
    let at_once = terms(AgreementKind::Oral, None);
    let second = step(&mut world, anew, |mediation, act| mediation.agree(at_once, act));
    // As earlier releases left it, with the days of the first round.
    let kept = Mediation { deadlines: [old, second.deadlines.clone()].concat(), ..second.clone() };
    let agreed_at = world.now;
    for mediation in [second, kept] {
        world.now = agreed_at;
        let broken = mediation.clone().breach("not_paid", &world.act(mediator())).unwrap();
        assert_eq!(broken.mediation.state, MediationState::ToldOfCourt);
        world.now = first_day + TimeDelta::days(1);
        let done = mediation.perform(seen(), &world.act(mediator())).unwrap();
        assert!(matches!(done.events[0].1, MediationEvent::MediationPerformed { in_time: true, .. }));
    }
}

#[test]
fn what_the_court_confirmed_can_be_enforced_and_what_it_did_not_is_mediated_anew() {
    let mut world = World::new();
    let mediation = effective(&mut world);
    let mediation = step(&mut world, mediation, |mediation, act| mediation.request_confirmation(None, act));
    let mediation = step(&mut world, mediation, |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Accepted), act)
    });
    let confirmed = step(&mut world, mediation, |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Confirmed), act)
    });
    let stands = confirmed.clone().fail("no_agreement", &world.act(mediator()));
    assert_eq!(refusal(stands), "agreement_stands");
    let broken = confirmed.breach("refused_to_perform", &world.act(mediator())).unwrap().mediation;
    assert_eq!(broken.remedy.unwrap().code, "mediation_enforcement");

    let refused = not_confirmed(&mut world);
    assert_eq!(refused.remedy.as_ref().unwrap().code, "confirmation_refused");
    let anew = refused.remediate(&world.act(mediator())).unwrap();
    assert_eq!((anew.mediation.state, anew.mediation.round), (MediationState::Applied, 2));
    assert_eq!(anew.case_move, Some(CaseMove::Open));
    assert!(anew.mediation.parties.iter().all(|party| party.consented_at.is_none()));
    assert_eq!(anew.mediation.next_timer_at(), Some(due(&anew.mediation, DeadlineKind::Talks)));
}
