//! Random histories: whatever people try in whatever order, a mediation is voluntary at every step and free (C-10), moves
//! along its table only, and tells who is left without an agreement which way is open.

use std::collections::HashSet;

use proptest::prelude::*;

use super::table::rows;
use super::*;

/// One attempt: which verb, by whom, about which party, after how many hours.
#[derive(Debug, Clone)]
struct Attempt {
    verb: usize,
    by: usize,
    pick: usize,
    wait: i64,
}

const VERBS: usize = 20;

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let wait = prop_oneof![6 => 0_i64..20, 1 => 20_i64..1_000];
    let attempt = (0_usize..VERBS, 0_usize..10, 0_usize..8, wait);
    prop::collection::vec(attempt.prop_map(|(verb, by, pick, wait)| Attempt { verb, by, pick, wait }), 1..50)
}

fn attempt(world: &mut World, mediation: Mediation, attempt: &Attempt) -> Result<MediationDecision> {
    let number = u32::try_from(attempt.pick % 4).unwrap();
    let own = (attempt.by == 0).then_some(NEIGHBOUR);
    let by = match attempt.by {
        0 => Party { actor: PersonRef("n-1".into()), org: None, standing: Standing::Requester },
        1 => official(STREET_OFFICE),
        2 => official(CONTRACTOR),
        _ => mediator(),
    };
    let kind = if attempt.pick > 3 { AgreementKind::Oral } else { AgreementKind::Written };
    let due_at = attempt.pick.is_multiple_of(2).then_some(world.now + TimeDelta::days(10));
    let answer = CourtAnswer::ALL[attempt.pick % CourtAnswer::ALL.len()];
    let missing = |mediation: &Mediation| {
        let unset = |party: &&MediationParty| party.consented_at.is_none();
        let index = mediation.parties.iter().position(|party| unset(&party));
        u32::try_from(index.unwrap_or(0) + 1).unwrap()
    };
    let next = missing(&mediation);
    let act = &world.act(by);
    match attempt.verb {
        0 | 1 => mediation.take(own.or(Some(MEDIATOR)), attempt.pick > 5, act),
        2 => mediation.consent(number, own, act),
        3..=6 => mediation.consent(next, own, act),
        7 => mediation.refuse(number, own, attempt.pick > 3, "refused", act),
        8..=10 => mediation.hold_session(attempt.pick > 0, None, act),
        11 => mediation.agree(terms(kind, due_at), act),
        12 => mediation.sign(&Signatures { parties: vec![number], sealed: attempt.pick > 3 }, act),
        13 => mediation.sign(&Signatures { parties: vec![1, 2, 3], sealed: true }, act),
        14 => mediation.perform(seen(), act),
        15 => mediation.breach(if attempt.pick > 5 { "refused_to_perform" } else { "not_paid" }, act),
        16 if attempt.pick > 2 => mediation.request_confirmation(None, act),
        16 => mediation.fail("no_agreement", act),
        17 => mediation.report_escalation("violence", act),
        18 => mediation.court_answers(answered(answer), act),
        _ => mediation.remediate(act),
    }
}

/// What must hold of every decision.
fn check(before: &Mediation, decision: &MediationDecision) {
    use MediationState as S;
    let after = &decision.mediation;
    let new = &after.steps[before.steps.len()..];
    assert_eq!(after.version, before.version + i64::try_from(new.len()).unwrap());
    assert!(after.steps.windows(2).all(|pair| pair[0].at <= pair[1].at && pair[0].version < pair[1].version));
    for row in rows(after) {
        assert!(MEDIATION_TRANSITIONS.contains(&row), "{row:?} is not in the table");
    }
    // Once a party has refused, nothing happens but that the police may be told.
    if matches!(before.state, S::Refused | S::TerminatedByParty) {
        assert!(new.iter().all(|step| step.step == "report_escalation"), "{new:?}");
        assert_eq!(decision.case_move, None);
    }
    // No sitting without the consent of every party to the mediator who holds it.
    if after.sessions.len() > before.sessions.len() {
        assert!(before.mediator.is_some());
        assert!(before.parties.iter().all(|party| party.consented_at.is_some()), "{before:?}");
    }
    if before.mediator != after.mediator {
        let stands = matches!(before.state, S::Effective | S::Performed | S::ToldOfCourt);
        assert!(stands || after.parties.iter().all(|party| party.consented_at.is_none()));
        let mut reasons = new.iter().filter_map(|step| step.reason.as_ref());
        let recused = reasons.any(|reason| reason.code == "mediator_recused");
        let not_begun = matches!(before.state, S::Applied | S::Initiated | S::Consented);
        assert!(recused || not_begun, "nobody else's talks are taken over");
    }
    // Who is left without an agreement, or with a broken one, is told what is open.
    let told = matches!(after.state, S::Refused | S::TerminatedByParty | S::ToldOfChannels | S::ToldOfCourt);
    assert!(!told || after.remedy.is_some(), "{}", after.state);
    assert_eq!(after.closed_at.is_some(), after.state.is_end());
    assert!(!after.state.is_end() || after.state != before.state || after.closed_at == before.closed_at);
    let settled = new.iter().any(|step| step.step == "take_effect");
    assert_eq!(matches!(decision.case_move, Some(CaseMove::Settle { .. })), settled);
    let over = matches!(after.state, S::Refused | S::TerminatedByParty | S::ToldOfChannels);
    let talked = !before.sessions.is_empty();
    let returned = (over && after.state != before.state).then_some(CaseMove::Return { talked });
    assert_eq!(decision.case_move.filter(|it| matches!(it, CaseMove::Return { .. })), returned);
    for (earlier, later) in before.deadlines.iter().zip(&after.deadlines) {
        assert!(later.due_at >= earlier.due_at, "{} moved to an earlier day", later.kind);
    }
    for (version, event) in &decision.events {
        assert!(*version > before.version && *version <= after.version);
        by_the_present_agreement(before, after, event);
    }
    let json = serde_json::to_value(after).unwrap();
    assert_eq!(&serde_json::from_value::<Mediation>(json.clone()).unwrap(), after);
    free(&json);
}

/// Whether it was performed in time, and whether it may be called broken, goes by the day of the agreement that stands.
fn by_the_present_agreement(before: &Mediation, after: &Mediation, event: &MediationEvent) {
    let agreement = before.agreement.as_ref();
    let due_at = agreement.and_then(|agreement| agreement.performance_due_at.max(agreement.effective_at));
    let due_at = due_at.filter(|_| agreement.is_some_and(|agreement| agreement.performance_due_at.is_some()));
    let now = after.updated_at;
    match event {
        // At the very instant it may have been noted already that the day went by.
        MediationEvent::MediationPerformed { in_time, .. } if due_at != Some(now) => {
            let before_it = due_at.is_none_or(|due_at| now < due_at);
            assert_eq!(*in_time, before_it, "round {}: {due_at:?}", after.round);
        }
        MediationEvent::MediationBreached { reason_code, .. } => {
            let due_yet = due_at.is_none_or(|due_at| now >= due_at);
            assert!(due_yet || reason_code == "refused_to_perform", "round {}: {due_at:?}", after.round);
        }
        _ => {}
    }
}

/// C-10: there is no place for a price.
fn free(value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                let priced = ["fee", "price", "charge", "amount", "fen", "cost", "paid"];
                assert!(!priced.iter().any(|word| name.split('_').any(|part| part == *word)), "{name}");
                free(value);
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(free),
        _ => {}
    }
}

/// C-10: whoever is a party can end the talks at any moment; nobody else can keep them going.
fn any_party_can_stop_it(world: &mut World, mediation: &Mediation) {
    if !mediation.state.is_open() {
        return;
    }
    for number in 1..=3 {
        let own = (number == 1).then_some(NEIGHBOUR);
        let by = match own {
            Some(_) => Party { actor: PersonRef("n-1".into()), org: None, standing: Standing::Requester },
            None if number == 3 => official(CONTRACTOR),
            None => mediation.mediator.as_ref().map_or_else(mediator, |mediator| official(mediator.org)),
        };
        let stopped =
            mediation.clone().refuse(number, own, true, "refused", &world.act(by)).unwrap().mediation;
        assert!(stopped.state.is_end() && stopped.remedy.is_some());
        assert_eq!(stopped.next_timer_at(), None, "nothing is waited for any more");
    }
    let act = world.act(Party { actor: PersonRef("x".into()), org: None, standing: Standing::Requester });
    let foreign = mediation.clone().refuse(2, Some(NEIGHBOUR), true, "refused", &act);
    assert_eq!(refusal(foreign), "own_party", "nobody speaks for another");
}

fn live(mut world: World, history: Vec<Attempt>) -> Mediation {
    let origin = MediationOrigin::ALL[history[0].pick % MediationOrigin::ALL.len()];
    let mediation = opened(&mut world, origin);
    live_on(world, mediation, history)
}

/// After an agreement with a day that the court did not confirm: the talks of the second round.
fn live_anew(mut world: World, history: Vec<Attempt>) -> Mediation {
    let first = not_confirmed(&mut world);
    let anew = step(&mut world, first, |mediation, act| mediation.remediate(act));
    let anew = to_talks(&mut world, anew);
    live_on(world, anew, history)
}

fn live_on(mut world: World, mut mediation: Mediation, history: Vec<Attempt>) -> Mediation {
    for next in history {
        world.wait(TimeDelta::hours(next.wait));
        if next.by != 9
            && let Some(decision) = mediation.clone().tick(&world.system())
        {
            check(&mediation, &decision);
            mediation = decision.mediation;
            assert!(mediation.next_timer_at().is_none_or(|at| at > world.now), "everything due was noted");
        }
        any_party_can_stop_it(&mut world, &mediation);
        if let Ok(decision) = attempt(&mut world, mediation.clone(), &next) {
            check(&mediation, &decision);
            mediation = decision.mediation;
        }
    }
    mediation
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_history_is_voluntary_and_free(history in attempts()) {
        live(World::new(), history);
    }

    #[test]
    fn every_history_of_a_later_round_goes_by_its_own_agreement(history in attempts()) {
        live_anew(World::new(), history);
    }
}

#[test]
fn random_histories_reach_every_state() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = HashSet::new();
    for _ in 0..1_500 {
        let history = attempts().new_tree(&mut runner).unwrap().current();
        seen.extend(live(World::new(), history).steps.iter().map(|step| step.state));
        if seen.len() == MediationState::ALL.len() {
            break;
        }
    }
    let missing: Vec<_> = MediationState::ALL.iter().filter(|state| !seen.contains(state)).collect();
    assert!(missing.is_empty(), "never reached {missing:?}");
}
