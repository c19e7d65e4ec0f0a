//! Transfers: the table, state by verb and by answer; the day, the deadline, and who approves.

use super::*;

#[test]
fn every_verb_in_every_state_of_a_transfer_does_what_the_table_says() {
    use TransferState as S;
    type Verb = fn(DutyTransfer) -> Result<DutyTransfer>;
    type Row<'a> = (&'a str, Verb, &'a [(S, S)]);
    let table: [Row<'_>; 7] = [
        (
            "opine",
            |t| t.opine(Heard::Street, opinion(), at(4)).map(|c| c.transfer),
            &[(S::Proposed, S::Proposed)],
        ),
        ("approve", |t| t.approve(&arbiter(), at(4)).map(|c| c.transfer), &[(S::Proposed, S::Proposed)]),
        ("withdraw", |t| t.withdraw("r", at(4)).map(|c| c.transfer), &[(S::Proposed, S::RolledBack)]),
        ("suspend", |t| t.suspend("r", at(300)).map(|c| c.transfer), &[(S::Effective, S::Suspended)]),
        ("resume", |t| t.resume(&arbiter(), at(300)).map(|c| c.transfer), &[(S::Suspended, S::Effective)]),
        (
            "end",
            |t| t.end("r", at(300)).map(|c| c.transfer),
            &[(S::Effective, S::Ended), (S::Suspended, S::Ended)],
        ),
        (
            "tick",
            |t| {
                let over = DomainError::guard("transfer_state", "nothing is due");
                t.tick(at(300)).map(|c| c.transfer).ok_or(over)
            },
            &[(S::Proposed, S::RolledBack)],
        ),
    ];
    for (name, verb, rows) in table {
        for state in S::ALL {
            let before = in_state(state);
            let row = rows.iter().find(|(from, _)| *from == state);
            match (verb(before.clone()), row) {
                (Ok(after), Some((_, to))) => {
                    assert_eq!(after.state, *to, "{name} in {state:?}");
                    assert_eq!(after.version, before.version + 1);
                }
                (Err(error), None) => assert_eq!(code(error), "transfer_state", "{name} in {state:?}"),
                (found, _) => panic!("{name} in {state:?}: {found:?}"),
            }
        }
    }
}

#[test]
fn every_answer_in_every_state_of_a_transfer_does_what_the_table_says() {
    use TransferState as S;
    for kind in LegKind::ALL {
        for state in S::ALL {
            let (to, told) = match state {
                S::Proposed => (S::RolledBack, true),
                S::Effective => (S::Suspended, true),
                S::Suspended => (S::Suspended, false),
                S::Ended | S::RolledBack => {
                    assert_eq!(in_state(state).leg(kind, &refused(), at(5)), None, "{kind:?} in {state:?}");
                    assert_eq!(in_state(state).leg(kind, &confirmed("new"), at(5)), None);
                    continue;
                }
            };
            let change = in_state(state).leg(kind, &refused(), at(300)).unwrap();
            assert_eq!((change.transfer.state, change.told.is_some()), (to, told), "{kind:?} in {state:?}");
            assert!(change.transfer.leg(kind, &refused(), at(301)).is_none(), "told twice");
        }
        let again = in_state(S::Effective).leg(kind, &confirmed("ref"), at(300));
        assert_eq!(again, None, "a duplicate changes nothing");
        // Given back while it crossed with the day: it resumes only when the leg is there again.
        let suspended = in_state(S::Effective).leg(kind, &refused(), at(300)).unwrap().transfer;
        assert_eq!(code(suspended.clone().resume(&arbiter(), at(301)).unwrap_err()), "legs_missing");
        let whole = suspended.leg(kind, &confirmed("ref-2"), at(302)).unwrap().transfer;
        assert_eq!(
            whole.resume(&arbiter(), at(303)).unwrap().told,
            Some(DutyEvent::Effective { resumed: true })
        );
    }
}

#[test]
fn it_takes_effect_on_its_day_with_all_three_and_an_approval_in_time() {
    assert!(ready().tick(at(199)).is_none());
    let change = ready().tick(at(200)).unwrap();
    assert_eq!(change.told, Some(DutyEvent::Effective { resumed: false }));
    let listed = change.transfer.standing().unwrap();
    assert!(listed.authority_granted && listed.leads);
    assert_eq!(listed.fund_line.as_deref(), Some("ref"));
    assert_ne!(listed.drafted_by, listed.approved_by);
    assert!(listed.rule_id("CJ-0103").len() <= 64);
    // A sweep that comes late finds the day and the deadline passed at once.
    assert_eq!(ready().tick(at(900)).unwrap().transfer.state, TransferState::Effective);

    let unapproved = with_legs(heard_by_all(proposed()));
    assert_eq!(code(unapproved.clone().approve(&arbiter(), at(100)).unwrap_err()), "too_late");
    let back = unapproved.tick(at(100)).unwrap();
    assert_eq!(back.told, Some(DutyEvent::RolledBack { reason_code: "deadline".into() }));

    // The last answer comes with the deadline: too late.
    let mut late = heard_by_all(proposed()).approve(&arbiter(), at(3)).unwrap().transfer;
    late = late.leg(LegKind::Authority, &confirmed("a"), at(4)).unwrap().transfer;
    late = late.leg(LegKind::Funds, &confirmed("f"), at(99)).unwrap().transfer;
    let late = late.leg(LegKind::Staff, &confirmed(""), at(100)).unwrap();
    assert_eq!(late.told, Some(DutyEvent::RolledBack { reason_code: "deadline".into() }));
}

#[test]
fn nobody_approves_alone_unheard_or_for_their_own_department() {
    let guard = |transfer: DutyTransfer, by: &Signer| code(transfer.approve(by, at(3)).unwrap_err());
    assert_eq!(guard(proposed(), &arbiter()), "not_heard");
    let street_only = proposed().opine(Heard::Street, opinion(), at(1)).unwrap().transfer;
    assert_eq!(guard(street_only.clone(), &arbiter()), "not_heard");
    let to_street = DutyTransfer { to_kind: OrgKind::StreetOffice, ..street_only };
    assert!(to_street.approve(&arbiter(), at(3)).is_ok(), "no community is concerned");
    let own = Signer::new("p-other", vec![DEPARTMENT]);
    assert_eq!(guard(heard_by_all(proposed()), &own), "own_request");
    let same = Signer::new("p-leader", vec![]);
    assert_eq!(guard(heard_by_all(proposed()), &same), "two_persons");
    let approved = heard_by_all(proposed()).approve(&arbiter(), at(3)).unwrap().transfer;
    assert_eq!(guard(approved.clone(), &arbiter()), "already_approved");
    assert_eq!(code(approved.opine(Heard::Street, opinion(), at(4)).unwrap_err()), "already_approved");
}
