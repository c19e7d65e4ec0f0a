//! Admissions: the table, state by verb, and who signs.

use super::*;
use crate::domain::ids::AdmissionId;

fn applied() -> TaskAdmission {
    TaskAdmission {
        id: AdmissionId(Uuid::from_u128(8)),
        version: 1,
        state: AdmissionState::Applied,
        from: DEPARTMENT,
        to: STATION,
        to_kind: OrgKind::Committee,
        to_code: "committee:1".into(),
        to_unit: UnitId(Uuid::from_u128(3)),
        line: Some("housing".into()),
        item: "X-1".into(),
        basis_ref: "doc:1".into(),
        fund_fen: 0,
        posts: vec![],
        training_codes: vec![],
        valid_from: at(100),
        valid_to: at(200),
        opinions: [(Heard::Street, opinion()), (Heard::Community, opinion())].into(),
        assessment: None,
        applied_by: PersonRef("p-leader".into()),
        applied_at: at(0),
        approved_by: None,
        approved_at: None,
        reason_code: None,
        updated_at: at(0),
    }
}

pub(super) fn admission_in(state: AdmissionState) -> TaskAdmission {
    use AdmissionState as S;
    let assessed = || applied().assess(&dispatcher(), found(), at(1)).unwrap().admission;
    let approved = || assessed().approve(&arbiter(), at(2)).unwrap().admission;
    let admission = match state {
        S::Applied => applied(),
        S::Assessed => assessed(),
        S::Approved => approved(),
        S::InForce => approved().tick(at(100)).unwrap().admission,
        S::Expired => approved().tick(at(200)).unwrap().admission,
        S::Withdrawn => applied().withdraw("r", at(2)).unwrap().admission,
        S::Denied => assessed().deny(&arbiter(), "r", at(2)).unwrap().admission,
    };
    assert_eq!(admission.state, state);
    admission
}

#[test]
fn every_verb_in_every_state_of_an_admission_does_what_the_table_says() {
    use AdmissionState as S;
    type Verb = fn(TaskAdmission) -> Result<Admission>;
    type Row<'a> = (&'a str, Verb, &'a [(S, S)]);
    let open = [S::Applied, S::Assessed, S::Approved, S::InForce];
    let withdrawn: Vec<(S, S)> = open.iter().map(|state| (*state, S::Withdrawn)).collect();
    let table: [Row<'_>; 6] = [
        ("opine", |a| a.opine(Heard::Street, opinion(), at(3)), &[(S::Applied, S::Applied)]),
        ("assess", |a| a.assess(&dispatcher(), found(), at(3)), &[(S::Applied, S::Assessed)]),
        ("approve", |a| a.approve(&arbiter(), at(3)), &[(S::Assessed, S::Approved)]),
        ("deny", |a| a.deny(&arbiter(), "r", at(3)), &[(S::Assessed, S::Denied)]),
        ("withdraw", |a| a.withdraw("r", at(3)), &withdrawn),
        (
            "tick",
            |a| a.tick(at(150)).ok_or(DomainError::guard("admission_state", "nothing is due")),
            &[(S::Approved, S::InForce)],
        ),
    ];
    for (name, verb, rows) in table {
        for state in S::ALL {
            let row = rows.iter().find(|(from, _)| *from == state);
            match (verb(admission_in(state)), row) {
                (Ok(after), Some((_, to))) => {
                    assert_eq!(after.admission.state, *to, "{name} in {state:?}");
                    assert_eq!(after.admission.standing().is_some(), *to == S::InForce);
                }
                (Err(error), None) => assert_eq!(code(error), "admission_state", "{name} in {state:?}"),
                (found, _) => panic!("{name} in {state:?}: {found:?}"),
            }
        }
    }
    let over = admission_in(S::InForce).tick(at(200)).unwrap();
    assert_eq!(over.told, Some(AdmissionEvent::Ended { reason_code: "expired".into() }));
}

#[test]
fn an_admission_takes_two_persons_and_a_hearing() {
    let unheard = TaskAdmission { opinions: Opinions::new(), ..applied() };
    assert_eq!(code(unheard.assess(&dispatcher(), found(), at(1)).unwrap_err()), "not_heard");
    let own = Signer::new("p-x", vec![DEPARTMENT]);
    assert_eq!(code(applied().assess(&own, found(), at(1)).unwrap_err()), "own_request");
    let assessed = || admission_in(AdmissionState::Assessed);
    assert_eq!(code(assessed().approve(&dispatcher(), at(2)).unwrap_err()), "two_persons");
    assert_eq!(code(assessed().deny(&dispatcher(), "r", at(2)).unwrap_err()), "two_persons");
    assert_eq!(code(assessed().approve(&arbiter(), at(200)).unwrap_err()), "too_late");
}
