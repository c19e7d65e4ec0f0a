//! 回避: whoever mediates and turns out to be complained of makes way for another mediator, in whatever state.

use super::*;

/// The street's mediator takes it over from the committee's; `recused`: the committee is complained of.
fn taken_over(world: &mut World, mediation: &Mediation, recused: bool) -> Result<MediationDecision> {
    mediation.clone().take(None, recused, &world.official(STREET_OFFICE))
}

#[test]
fn talks_go_on_before_another_mediator_with_consents_of_their_own_and_the_same_days() {
    let mut world = World::new();
    for mediation in [in_session(&mut world), agreed(&mut world)] {
        assert_eq!(refusal(taken_over(&mut world, &mediation, false)), "mediation_state");
        let decision = taken_over(&mut world, &mediation, true).unwrap();
        assert_eq!((decision.case_move, decision.events.len()), (None, 0));
        let mut over = decision.mediation;
        assert_eq!((over.state, over.sessions.len()), (MediationState::Applied, 1));
        assert_eq!(over.agreement, None, "what was not signed by all binds nobody");
        let mut parties = over.parties.iter();
        assert!(parties.all(|party| party.consented_at.is_none() && party.signed_at.is_none()));
        assert_eq!(over.deadlines, mediation.deadlines, "they run on");
        let step = over.steps.last().unwrap();
        assert_eq!((step.step.as_str(), step.org), ("take", Some(STREET_OFFICE)));
        assert!(step.reason.as_ref().unwrap().render(Language::Chinese).contains("回避"));

        assert_eq!(refusal(over.clone().fail("no_agreement", &world.act(mediator()))), "mediator");
        for number in 1..=3 {
            over = over.consent(number, None, &world.official(STREET_OFFICE)).unwrap().mediation;
        }
        // Whoever leads the case had it in hand when they began.
        let held = over.hold_session(false, None, &world.official(STREET_OFFICE)).unwrap().mediation;
        assert_eq!(held.state, MediationState::InSession);
        let failed = held.fail("no_agreement", &world.official(STREET_OFFICE)).unwrap();
        assert_eq!(failed.mediation.state, MediationState::ToldOfChannels);
        assert_eq!(failed.case_move, Some(CaseMove::Return { talked: true }));
    }
}

#[test]
fn an_agreement_in_effect_stands_and_is_followed_up_by_another_mediator() {
    let mut world = World::new();
    let mediation = effective(&mut world);
    assert_eq!(refusal(taken_over(&mut world, &mediation, false)), "mediation_state");
    let over = taken_over(&mut world, &mediation, true).unwrap().mediation;
    assert_eq!((over.state, &over.agreement), (MediationState::Effective, &mediation.agreement));
    assert_eq!((&over.parties, &over.deadlines), (&mediation.parties, &mediation.deadlines));
    assert_eq!(refusal(over.clone().perform(seen(), &world.act(mediator()))), "mediator");
    let done = over.perform(seen(), &world.official(STREET_OFFICE)).unwrap().mediation;
    assert_eq!(done.state, MediationState::Performed);

    // One that has ended only as long as the court is to answer.
    let performed = step(&mut world, mediation.clone(), |mediation, act| mediation.perform(seen(), act));
    assert_eq!(refusal(taken_over(&mut world, &performed, true)), "mediation_state");
    let asked = step(&mut world, mediation, |mediation, act| mediation.request_confirmation(None, act));
    let asked = step(&mut world, asked, |mediation, act| mediation.perform(seen(), act));
    let over = taken_over(&mut world, &asked, true).unwrap().mediation;
    assert_eq!((over.state, over.closed_at), (MediationState::Performed, asked.closed_at));
    let answer = answered(CourtAnswer::NotAccepted);
    let known = over.court_answers(answer, &world.official(STREET_OFFICE)).unwrap().mediation;
    let again = known.take(Some(MEDIATOR), true, &world.act(mediator()));
    assert_eq!(refusal(again), "mediation_state");
}

#[test]
fn whoever_stands_above_hears_of_a_day_that_a_mediator_who_steps_aside_lets_go_by() {
    let mut world = World::new();
    let case = world.completed("quarrel");
    let case = case.remind_of_mediation(Some(COMMITTEE), true, true, &world.system()).unwrap().case;
    let case = Case { complained_of: Some(COMMITTEE), ..case };
    let case = case.remind_of_mediation(Some(COMMITTEE), true, true, &world.system()).unwrap().case;
    let asked: Vec<OrgId> = case.supervisions.iter().map(|known| case.supervised(known)).collect();
    assert_eq!(asked, [COMMITTEE, STREET_OFFICE]);
    assert_eq!(case.remind_of_mediation(Some(COMMITTEE), true, true, &world.system()), None, "once");
}
