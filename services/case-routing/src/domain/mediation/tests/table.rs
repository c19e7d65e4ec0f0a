//! Every state × every verb: what the table allows succeeds along one of its rows, everything else is refused for the
//! state and nothing else; and every row is taken by somebody.

use std::collections::HashSet;

use super::*;

/// A mediation in each state in which one can be found, made by the verbs themselves.
fn in_state(world: &mut World, state: MediationState) -> Option<Mediation> {
    use MediationState as S;
    let mediation = match state {
        S::Applied => taken(world),
        S::Initiated => {
            let mediation = opened(world, MediationOrigin::Committee);
            step(world, mediation, |mediation, act| mediation.take(Some(MEDIATOR), false, act))
        }
        S::Consented => consented(world),
        S::InSession => in_session(world),
        S::Agreed => agreed(world),
        S::Effective => effective(world),
        S::Performed => {
            let mediation = effective(world);
            step(world, mediation, |mediation, act| mediation.perform(seen(), act))
        }
        S::ToldOfCourt => {
            let mediation = effective(world);
            step(world, mediation, |mediation, act| mediation.breach("refused_to_perform", act))
        }
        S::Refused => {
            let mediation = taken(world);
            step(world, mediation, |mediation, act| mediation.refuse(2, None, false, "refused", act))
        }
        S::ToldOfChannels => {
            let mediation = in_session(world);
            step(world, mediation, |mediation, act| mediation.fail("no_agreement", act))
        }
        S::TerminatedByParty => {
            let mediation = in_session(world);
            step(world, mediation, |mediation, act| mediation.refuse(1, None, false, "refused", act))
        }
        // Passed through in one step.
        S::Breached | S::Failed => return None,
    };
    assert_eq!(mediation.state, state);
    Some(mediation)
}

/// Where a verb needs more than the state, the mediation is prepared for it.
fn prepared(world: &mut World, state: MediationState, verb: MediationVerb) -> Option<Mediation> {
    use MediationState as S;
    let mediation = match (state, verb) {
        (S::Effective, MediationVerb::Remediate | MediationVerb::Fail) => return Some(not_confirmed(world)),
        (S::Effective | S::Performed | S::ToldOfCourt, MediationVerb::CourtAnswer)
        | (S::Performed | S::ToldOfCourt, MediationVerb::Take) => {
            let mediation = effective(world);
            step(world, mediation, |mediation, act| mediation.request_confirmation(None, act))
        }
        _ => return in_state(world, state),
    };
    Some(match state {
        S::Performed => step(world, mediation, |mediation, act| mediation.perform(seen(), act)),
        S::ToldOfCourt => {
            step(world, mediation, |mediation, act| mediation.breach("refused_to_perform", act))
        }
        _ => mediation,
    })
}

fn attempt(world: &mut World, mediation: Mediation, verb: MediationVerb) -> Result<MediationDecision> {
    use MediationVerb as V;
    let soon = world.now + TimeDelta::days(3);
    let act = &world.act(mediator());
    match verb {
        // Part of another verb: never by themselves.
        V::Open | V::TellCourt | V::TellChannels => {
            Err(DomainError::guard("mediation_state", format!("nobody can {verb}")))
        }
        V::Take => mediation.take(Some(MEDIATOR), true, &Act { by: official(STREET_OFFICE), ..act.clone() }),
        V::Consent => mediation.consent(1, None, act),
        V::Refuse | V::Terminate => {
            let decision = mediation.refuse(1, None, false, "refused", act)?;
            match decision.mediation.steps.last() {
                Some(step) if step.step == verb.as_str() => Ok(decision),
                _ => Err(DomainError::guard("mediation_state", "the other word for it")),
            }
        }
        V::HoldSession => mediation.hold_session(true, None, act),
        V::Agree => mediation.agree(terms(AgreementKind::Written, Some(soon)), act),
        V::Sign => mediation.sign(&Signatures { parties: vec![1], sealed: false }, act),
        V::TakeEffect => mediation.sign(&Signatures { parties: vec![1, 2, 3], sealed: true }, act),
        V::Perform => mediation.perform(seen(), act),
        V::Breach => mediation.breach("refused_to_perform", act),
        V::Fail => mediation.fail("no_agreement", act),
        V::ReportEscalation => mediation.report_escalation("violence", act),
        V::RequestConfirmation => mediation.request_confirmation(None, act),
        V::CourtAnswer => mediation.court_answers(answered(CourtAnswer::Accepted), act),
        V::Remediate => mediation.remediate(act),
    }
}

/// The rows that the steps of a mediation took.
pub fn rows(mediation: &Mediation) -> Vec<(Option<MediationState>, MediationState, MediationVerb)> {
    let by_itself = |step: &str| matches!(step, "deadline_passed" | "deadline_moved");
    let steps = mediation.steps.iter().filter(|step| !by_itself(&step.step));
    let mut from = None;
    steps
        .map(|step| {
            let row = (from, step.state, step.step.parse().expect("a verb"));
            from = Some(step.state);
            row
        })
        .collect()
}

#[test]
fn every_verb_in_every_state_does_what_the_table_says() {
    let (mut taken_rows, mut allowed, mut forbidden) = (HashSet::new(), 0, 0);
    for state in MediationState::ALL {
        for verb in MediationVerb::ALL {
            let mut world = World::new();
            let Some(mediation) = prepared(&mut world, *state, *verb) else { continue };
            let row = |row: &&(Option<MediationState>, MediationState, MediationVerb)| {
                row.0 == Some(*state) && row.2 == *verb
            };
            let within = matches!(verb, MediationVerb::TellCourt | MediationVerb::TellChannels);
            let may = MEDIATION_TRANSITIONS.iter().any(|known| row(&known)) && !within;
            match attempt(&mut world, mediation, *verb) {
                Ok(decision) => {
                    assert!(may, "{state} × {verb} was allowed");
                    taken_rows.extend(rows(&decision.mediation));
                    allowed += 1;
                }
                Err(refused) => {
                    assert!(!may, "{state} × {verb}: {refused}");
                    assert!(
                        matches!(refused, DomainError::Guard { code: "mediation_state", .. }),
                        "{refused}"
                    );
                    forbidden += 1;
                }
            }
        }
    }
    assert!(allowed > 35 && forbidden > 100, "{allowed} allowed, {forbidden} forbidden");
    // What one state and verb cannot show in both ways.
    let mut world = World::new();
    let offered = opened(&mut world, MediationOrigin::Court);
    let mut offered = step(&mut world, offered, |mediation, act| mediation.take(None, false, act));
    for number in 1..=3 {
        offered = step(&mut world, offered, |mediation, act| mediation.consent(number, None, act));
    }
    let other = Act { by: official(STREET_OFFICE), ..world.act(mediator()) };
    taken_rows.extend(rows(&offered.take(None, false, &other).unwrap().mediation));
    let talks = opened(&mut world, MediationOrigin::Court);
    let talks = step(&mut world, talks, |mediation, act| mediation.take(None, false, act));
    let talks = to_talks(&mut world, talks);
    let written = terms(AgreementKind::Written, None);
    let written = step(&mut world, talks.clone(), |mediation, act| mediation.agree(written, act));
    for mediation in [talks, written] {
        let over = mediation.take(None, true, &world.official(STREET_OFFICE)).unwrap().mediation;
        taken_rows.extend(rows(&over));
    }
    let mut offered = not_confirmed(&mut world);
    offered.origin = MediationOrigin::Committee;
    let anew = step(&mut world, offered, |mediation, act| mediation.remediate(act));
    taken_rows.extend(rows(&anew));
    let missing: Vec<_> = MEDIATION_TRANSITIONS.iter().filter(|row| !taken_rows.contains(*row)).collect();
    assert!(missing.is_empty(), "nobody takes {missing:?}");
    let unknown: Vec<_> = taken_rows.iter().filter(|row| !MEDIATION_TRANSITIONS.contains(row)).collect();
    assert!(unknown.is_empty(), "the table does not have {unknown:?}");
}

#[test]
fn the_table_has_no_row_twice_and_every_end_is_reached_and_left_by_nothing() {
    let distinct: HashSet<_> = MEDIATION_TRANSITIONS.iter().collect();
    assert_eq!(distinct.len(), MEDIATION_TRANSITIONS.len());
    for state in MediationState::ALL {
        assert!(MEDIATION_TRANSITIONS.iter().any(|(_, to, _)| to == state), "{state} is never reached");
        let left = MEDIATION_TRANSITIONS.iter().any(|(from, to, _)| *from == Some(*state) && to != state);
        assert_eq!(left, !state.is_end(), "{state}");
        assert!(!(state.is_end() && state.is_open()), "{state}");
    }
    for verb in MediationVerb::ALL {
        assert!(MEDIATION_TRANSITIONS.iter().any(|(_, _, by)| by == verb), "{verb} is unused");
    }
}

#[test]
fn the_court_answers_along_its_own_table() {
    use ConfirmationState as C;
    let answers = CourtAnswer::ALL;
    let mut world = World::new();
    let asked = effective(&mut world);
    let asked = step(&mut world, asked, |mediation, act| mediation.request_confirmation(None, act));
    let accepted = step(&mut world, asked.clone(), |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Accepted), act)
    });
    let extended = step(&mut world, accepted.clone(), |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Extended), act)
    });
    let ended = [CourtAnswer::Confirmed, CourtAnswer::NotConfirmed].map(|answer| {
        step(&mut world, accepted.clone(), |mediation, act| mediation.court_answers(answered(answer), act))
    });
    let may = |from: &Mediation, answer: CourtAnswer| match from.confirmation.as_ref().map(|c| c.state) {
        Some(C::Requested) => matches!(answer, CourtAnswer::Accepted | CourtAnswer::NotAccepted),
        Some(C::Accepted) => match answer {
            CourtAnswer::Extended => !from.confirmation.as_ref().unwrap().extended,
            CourtAnswer::Confirmed | CourtAnswer::NotConfirmed => true,
            CourtAnswer::Accepted | CourtAnswer::NotAccepted => false,
        },
        _ => false,
    };
    for from in [asked, accepted, extended].iter().chain(&ended) {
        for answer in answers {
            let result = from.clone().court_answers(answered(*answer), &world.act(mediator()));
            assert_eq!(result.is_ok(), may(from, *answer), "{:?} × {answer}", from.confirmation);
        }
    }
    let none = effective(&mut world);
    assert_eq!(
        refusal(none.court_answers(answered(CourtAnswer::Accepted), &world.act(mediator()))),
        "confirmation_state"
    );
}
