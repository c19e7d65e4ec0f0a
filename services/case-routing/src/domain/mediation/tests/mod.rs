//! Tests of mediations: the state tables pair by pair, random histories for C-10, days, and what becomes of the case.

mod cases;
mod days;
mod follow;
mod history;
mod overdue;
mod recused;
mod reminded;
mod table;

use chrono::TimeDelta;
use uuid::Uuid;

use super::super::case::Evidence;
use super::super::tests::world::*;
use super::super::*;

/// A party that is registered.
pub const NEIGHBOUR: Uuid = Uuid::from_u128(0x3001);
/// A mediator who is not.
pub const MEDIATOR: Uuid = Uuid::from_u128(0x3002);

pub fn parties() -> Vec<PartyNamed> {
    let party = |kind, person, org| PartyNamed { kind, person, org, text_id: None };
    vec![
        party(PartyKind::Person, Some(NEIGHBOUR), None),
        party(PartyKind::Person, None, None),
        party(PartyKind::Organization, None, Some(CONTRACTOR)),
    ]
}

pub fn opening(world: &mut World, case_id: CaseId, origin: MediationOrigin) -> OpenMediation {
    OpenMediation { mediation_id: MediationId(world.fresh()), case_id, origin, parties: parties() }
}

pub fn mediator() -> Party {
    official(COMMITTEE)
}

pub fn opened(world: &mut World, origin: MediationOrigin) -> Mediation {
    let command = opening(world, CaseId(CITY.0), origin);
    Mediation::open(command, true, &world.act(mediator())).unwrap().mediation
}

pub fn terms(kind: AgreementKind, performance_due_at: Option<Timestamp>) -> AgreementReached {
    AgreementReached { kind, text_id: Uuid::from_u128(0x3003), performance_due_at }
}

pub fn seen() -> Vec<(EvidenceKind, String)> {
    vec![(EvidenceKind::WorkReport, "visit:1".into())]
}

pub fn answered(answer: CourtAnswer) -> CourtAnswered {
    CourtAnswered { answer, court_ref: None }
}

/// One step further, by the mediator.
pub fn step(
    world: &mut World,
    mediation: Mediation,
    verb: impl FnOnce(Mediation, &Act<'_>) -> Result<MediationDecision>,
) -> Mediation {
    verb(mediation, &world.act(mediator())).unwrap().mediation
}

pub fn taken(world: &mut World) -> Mediation {
    let mediation = opened(world, MediationOrigin::Application);
    step(world, mediation, |mediation, act| mediation.take(Some(MEDIATOR), false, act))
}

pub fn consented(world: &mut World) -> Mediation {
    let mut mediation = taken(world);
    for number in 1..=3 {
        mediation = step(world, mediation, |mediation, act| mediation.consent(number, None, act));
    }
    mediation
}

/// Consented to by every party, and a session held.
pub fn to_talks(world: &mut World, mut mediation: Mediation) -> Mediation {
    for number in 1..=3 {
        mediation = step(world, mediation, |mediation, act| mediation.consent(number, None, act));
    }
    step(world, mediation, |mediation, act| mediation.hold_session(true, None, act))
}

pub fn in_session(world: &mut World) -> Mediation {
    let mediation = taken(world);
    to_talks(world, mediation)
}

pub fn agreed(world: &mut World) -> Mediation {
    let mediation = in_session(world);
    let due_at = world.now + TimeDelta::days(20);
    step(world, mediation, |mediation, act| mediation.agree(terms(AgreementKind::Written, Some(due_at)), act))
}

pub fn effective(world: &mut World) -> Mediation {
    let mediation = agreed(world);
    let all = Signatures { parties: vec![1, 2, 3], sealed: true };
    step(world, mediation, |mediation, act| mediation.sign(&all, act))
}

pub fn not_confirmed(world: &mut World) -> Mediation {
    let mediation = effective(world);
    let mediation = step(world, mediation, |mediation, act| mediation.request_confirmation(None, act));
    let mediation = step(world, mediation, |mediation, act| {
        mediation.court_answers(answered(CourtAnswer::Accepted), act)
    });
    step(world, mediation, |mediation, act| mediation.court_answers(answered(CourtAnswer::NotConfirmed), act))
}

/// The code of a refusal, or the field it names.
pub fn refusal(result: Result<MediationDecision>) -> &'static str {
    match result {
        Err(DomainError::Guard { code, .. } | DomainError::NotEntitled { code }) => code,
        Err(DomainError::Invalid { field, .. }) => field,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn evidence_is_kept_and_parties_must_be_several_and_different() {
    let mut world = World::new();
    let mediation = effective(&mut world);
    let done = step(&mut world, mediation, |mediation, act| mediation.perform(seen(), act));
    let kept: Vec<&Evidence> = done.evidence.iter().collect();
    assert_eq!(kept[0].reference, "visit:1");
    let mut one = opening(&mut world, CaseId(CITY.0), MediationOrigin::Application);
    one.parties.truncate(1);
    assert_eq!(refusal(Mediation::open(one, true, &world.act(mediator()))), "parties");
    let mut twice = opening(&mut world, CaseId(CITY.0), MediationOrigin::Application);
    twice.parties.push(twice.parties[0].clone());
    assert_eq!(refusal(Mediation::open(twice, true, &world.act(mediator()))), "parties");
    let offered = opening(&mut world, CaseId(CITY.0), MediationOrigin::Police);
    assert_eq!(refusal(Mediation::open(offered, false, &world.act(mediator()))), "origin");
}
