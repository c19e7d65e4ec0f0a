//! Transfers: the table, state by verb and by answer; the day, the deadline, who assesses, approves and denies, and what was under
//! way before transfers were assessed.

use super::*;

#[test]
fn every_verb_in_every_state_of_a_transfer_does_what_the_table_says() {
    use TransferState as S;
    type Verb = fn(DutyTransfer) -> Result<DutyTransfer>;
    type Row<'a> = (&'a str, Verb, &'a [(S, S)]);
    let given_up = [(S::Applied, S::RolledBack), (S::Proposed, S::RolledBack)];
    let table: [Row<'_>; 9] = [
        (
            "opine",
            |t| t.opine(Heard::Street, opinion(), at(4)).map(|c| c.transfer),
            &[(S::Applied, S::Applied)],
        ),
        (
            "assess",
            |t| t.assess(&dispatcher(), found(), at(4)).map(|c| c.transfer),
            &[(S::Applied, S::Proposed)],
        ),
        ("approve", |t| t.approve(&arbiter(), at(4)).map(|c| c.transfer), &[(S::Proposed, S::Proposed)]),
        ("deny", |t| t.deny(&arbiter(), "r", at(4)).map(|c| c.transfer), &given_up),
        ("withdraw", |t| t.withdraw("r", at(4)).map(|c| c.transfer), &given_up),
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
            &given_up,
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
                S::Applied | S::Ended | S::RolledBack => {
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
        // Given back while it crossed with the day, or a post fell vacant: it resumes only when the leg is there again.
        let suspended = in_state(S::Effective).leg(kind, &refused(), at(300)).unwrap().transfer;
        assert_eq!(code(suspended.clone().resume(&arbiter(), at(301)).unwrap_err()), "legs_missing");
        let mut whole = suspended.leg(kind, &confirmed("ref-2"), at(302)).unwrap().transfer;
        if kind == LegKind::Staff {
            // Others than those who were trained are on the posts.
            assert_eq!(code(whole.clone().resume(&arbiter(), at(303)).unwrap_err()), "legs_missing");
            whole = whole.leg(LegKind::Training, &confirmed("ref"), at(303)).unwrap().transfer;
        }
        assert_eq!(
            whole.resume(&arbiter(), at(303)).unwrap().told,
            Some(DutyEvent::Effective { resumed: true })
        );
    }
}

#[test]
fn it_takes_effect_on_its_day_with_every_leg_and_an_approval_in_time() {
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

    let unapproved = with_legs(proposed());
    assert_eq!(code(unapproved.clone().approve(&arbiter(), at(100)).unwrap_err()), "too_late");
    let back = unapproved.tick(at(100)).unwrap();
    assert_eq!(back.told, Some(DutyEvent::RolledBack { reason_code: "deadline".into() }));

    // The last answer comes with the deadline: too late.
    let mut late = proposed().approve(&arbiter(), at(3)).unwrap().transfer;
    late = late.leg(LegKind::Authority, &confirmed("a"), at(4)).unwrap().transfer;
    late = late.leg(LegKind::Funds, &confirmed("f"), at(99)).unwrap().transfer;
    late = late.leg(LegKind::Staff, &confirmed(""), at(99)).unwrap().transfer;
    let late = late.leg(LegKind::Training, &confirmed("record"), at(100)).unwrap();
    assert_eq!(late.told, Some(DutyEvent::RolledBack { reason_code: "deadline".into() }));
}

#[test]
fn it_waits_for_training_only_where_it_has_courses() {
    let courses = proposed();
    let all_but_training = |mut transfer: DutyTransfer| {
        for kind in [LegKind::Authority, LegKind::Funds, LegKind::Staff] {
            transfer = transfer.leg(kind, &confirmed("ref"), at(2)).unwrap().transfer;
        }
        transfer.approve(&arbiter(), at(3)).unwrap().transfer
    };
    let untrained = all_but_training(courses.clone());
    assert_eq!((untrained.is_ready(), untrained.next_due()), (false, Some(at(100))));
    let back = untrained.tick(at(100)).unwrap();
    assert_eq!(back.told, Some(DutyEvent::RolledBack { reason_code: "deadline".into() }));

    let none = all_but_training(DutyTransfer { training_codes: vec![], ..courses });
    assert_eq!((none.is_ready(), none.next_due()), (true, Some(at(200))));
    assert_eq!(none.clone().leg(LegKind::Training, &confirmed("ref"), at(4)), None, "nobody asked for it");
    assert_eq!(none.tick(at(200)).unwrap().transfer.state, TransferState::Effective);
}

#[test]
fn nobody_hears_of_it_before_it_is_assessed() {
    let heard = heard_by_all(applied());
    assert_eq!(heard.next_due(), Some(at(100)));
    let told = |change: Change| (change.transfer.state, change.told);
    let untold = (TransferState::RolledBack, None);
    assert_eq!(told(heard.clone().withdraw("r", at(4)).unwrap()), untold);
    assert_eq!(told(heard.clone().deny(&arbiter(), "r", at(4)).unwrap()), untold);
    assert_eq!(told(heard.clone().tick(at(100)).unwrap()), untold);
    let assessed = heard.assess(&dispatcher(), found(), at(4)).unwrap();
    assert_eq!(assessed.transfer.assessment, Some(found()));
    assert_eq!(told(assessed), (TransferState::Proposed, Some(DutyEvent::Proposed)));
    let denied = proposed().deny(&arbiter(), "no_need", at(4)).unwrap();
    assert_eq!(denied.told, Some(DutyEvent::RolledBack { reason_code: "no_need".into() }));
}

#[test]
fn nobody_assesses_alone_unheard_too_late_or_for_their_own_department() {
    let guard = |transfer: DutyTransfer, by: &Signer, hour: i64| {
        code(transfer.assess(by, found(), at(hour)).unwrap_err())
    };
    assert_eq!(guard(applied(), &dispatcher(), 3), "not_heard");
    let street_only = applied().opine(Heard::Street, opinion(), at(1)).unwrap().transfer;
    assert_eq!(guard(street_only.clone(), &dispatcher(), 3), "not_heard");
    let to_street = DutyTransfer { to_kind: OrgKind::StreetOffice, ..street_only };
    assert!(to_street.assess(&dispatcher(), found(), at(3)).is_ok(), "no community is concerned");
    let own = Signer::new("p-other", vec![DEPARTMENT]);
    assert_eq!(guard(heard_by_all(applied()), &own, 3), "own_request");
    let same = Signer::new("p-leader", vec![]);
    assert_eq!(guard(heard_by_all(applied()), &same, 3), "two_persons");
    assert_eq!(guard(heard_by_all(applied()), &dispatcher(), 100), "too_late");
}

#[test]
fn who_approves_or_denies_has_neither_proposed_nor_assessed_it_and_is_not_of_the_department() {
    let own = Signer::new("p-other", vec![DEPARTMENT]);
    let same = Signer::new("p-leader", vec![]);
    for (by, expected) in [(own, "own_request"), (same, "two_persons"), (dispatcher(), "two_persons")] {
        assert_eq!(code(proposed().approve(&by, at(3)).unwrap_err()), expected);
        assert_eq!(code(proposed().deny(&by, "r", at(3)).unwrap_err()), expected);
    }
    let approved = proposed().approve(&arbiter(), at(3)).unwrap().transfer;
    assert_eq!(code(approved.clone().approve(&arbiter(), at(4)).unwrap_err()), "already_approved");
    assert_eq!(code(approved.deny(&arbiter(), "r", at(4)).unwrap_err()), "already_approved");
}

/// As it was stored before transfers were assessed and had courses.
fn earlier() -> DutyTransfer {
    let now = DutyTransfer { state: TransferState::Proposed, training_codes: vec![], ..applied() };
    let mut stored = serde_json::to_value(now).unwrap();
    for field in ["assessment", "training_codes"] {
        stored.as_object_mut().unwrap().remove(field).unwrap();
    }
    stored["legs"].as_object_mut().unwrap().remove("training").unwrap();
    serde_json::from_value(stored).unwrap()
}

#[test]
fn what_was_proposed_before_transfers_were_assessed_is_heard_meanwhile_and_takes_effect() {
    assert_eq!(code(earlier().assess(&dispatcher(), found(), at(2)).unwrap_err()), "transfer_state");
    assert_eq!(code(earlier().approve(&arbiter(), at(2)).unwrap_err()), "not_heard");
    let mut transfer = heard_by_all(earlier());
    for kind in [LegKind::Authority, LegKind::Funds, LegKind::Staff] {
        transfer = transfer.leg(kind, &confirmed("ref"), at(2)).unwrap().transfer;
    }
    let approved = transfer.approve(&arbiter(), at(3)).unwrap().transfer;
    let late = approved.clone().opine(Heard::Street, opinion(), at(4)).unwrap_err();
    assert_eq!(code(late), "already_approved");
    assert_eq!(approved.tick(at(200)).unwrap().told, Some(DutyEvent::Effective { resumed: false }));
    let over = earlier().withdraw("changed", at(2)).unwrap();
    assert_eq!(over.told, Some(DutyEvent::RolledBack { reason_code: "changed".into() }), "it was asked for");
}
