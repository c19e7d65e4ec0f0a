//! The tables of transfers and admissions, state by verb; and random histories of the saga in which the three answer in any
//! order, twice, late, or change their mind.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::ids::{AdmissionId, DutyTransferId, UnitId};

const DEPARTMENT: OrgId = OrgId(Uuid::from_u128(1));
const STATION: OrgId = OrgId(Uuid::from_u128(2));

fn at(hours: i64) -> Timestamp {
    DateTime::from_timestamp(1_772_413_200, 0).unwrap() + TimeDelta::hours(hours)
}

fn opinion() -> Opinion {
    Opinion { supports: true, reason_code: "agreed".into(), by: PersonRef("p-heard".into()), at: at(0) }
}

fn arbiter() -> Signer {
    Signer::new("p-arbiter", vec![OrgId(Uuid::from_u128(9))])
}

/// Due by hour 100, effective from hour 200.
fn proposed() -> DutyTransfer {
    DutyTransfer {
        id: DutyTransferId(Uuid::from_u128(7)),
        version: 1,
        state: TransferState::Proposed,
        from: DEPARTMENT,
        to: STATION,
        to_kind: OrgKind::ServiceStation,
        to_code: "station:1".into(),
        to_unit: UnitId(Uuid::from_u128(3)),
        line: Some("housing".into()),
        items: vec!["X-1".into(), "X-2".into()],
        basis_ref: "doc:1".into(),
        fund_fen: 100,
        posts: vec![PostNeed { kind: "service_worker".into(), count: 1 }],
        effective_at: at(200),
        deadline: at(100),
        legs: Legs::default(),
        opinions: Opinions::new(),
        proposed_by: PersonRef("p-leader".into()),
        proposed_at: at(0),
        approved_by: None,
        approved_at: None,
        reason_code: None,
        updated_at: at(0),
    }
}

fn confirmed(text: &str) -> LegNews {
    LegNews::Confirmed { reference: text.into() }
}

fn refused() -> LegNews {
    LegNews::Refused { reason_code: "no".into() }
}

fn heard_by_all(transfer: DutyTransfer) -> DutyTransfer {
    let transfer = transfer.opine(Heard::Street, opinion(), at(1)).unwrap().transfer;
    transfer.opine(Heard::Community, opinion(), at(1)).unwrap().transfer
}

fn with_legs(mut transfer: DutyTransfer) -> DutyTransfer {
    for kind in LegKind::ALL {
        transfer = transfer.leg(kind, &confirmed("ref"), at(2)).unwrap().transfer;
    }
    transfer
}

fn ready() -> DutyTransfer {
    with_legs(heard_by_all(proposed())).approve(&arbiter(), at(3)).unwrap().transfer
}

pub(super) fn in_state(state: TransferState) -> DutyTransfer {
    let effective = || ready().tick(at(200)).unwrap().transfer;
    let transfer = match state {
        TransferState::Proposed => heard_by_all(proposed()),
        TransferState::Effective => effective(),
        TransferState::Suspended => effective().suspend("pause", at(201)).unwrap().transfer,
        TransferState::Ended => effective().end("over", at(201)).unwrap().transfer,
        TransferState::RolledBack => proposed().withdraw("changed", at(3)).unwrap().transfer,
    };
    assert_eq!(transfer.state, state);
    transfer
}

pub(super) fn code(error: DomainError) -> String {
    match error {
        DomainError::Guard { code, .. } => code.to_owned(),
        other => panic!("{other}"),
    }
}

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

// --- admissions

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

fn found() -> Assessment {
    let code = || "checked".to_owned();
    let by = PersonRef("p-dispatcher".into());
    Assessment { law: code(), need: code(), load: code(), alternative: code(), by, at: at(1) }
}

fn dispatcher() -> Signer {
    Signer::new("p-dispatcher", vec![])
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

// --- the saga with its three participants

/// One of the three: what it was told, what it holds, what it has said that has not arrived.
#[derive(Debug, Default)]
struct Participant {
    inbox: VecDeque<DutyEvent>,
    outbox: VecDeque<LegNews>,
    asked: bool,
    effective: bool,
    closed: bool,
    holds: bool,
    documents: u32,
}

impl Participant {
    fn hears(&mut self, event: &DutyEvent) {
        match event {
            DutyEvent::Proposed => self.asked = true,
            DutyEvent::Effective { .. } => self.effective = true,
            DutyEvent::RolledBack { .. } | DutyEvent::Ended { .. } => {
                (self.closed, self.holds) = (true, false)
            }
            DutyEvent::Suspended { .. } => {}
        }
    }

    fn grants(&mut self) {
        if self.asked && !self.closed && !self.holds {
            self.holds = true;
            self.documents += 1;
            self.outbox.push_back(confirmed(&format!("doc-{}", self.documents)));
        }
    }

    fn refuses(&mut self) {
        if self.asked && !self.closed && !self.effective {
            self.holds = false;
            self.outbox.push_back(refused());
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Grant(usize),
    Refuse(usize),
    /// The next thing that the saga told arrives, perhaps twice.
    Tell(usize, bool),
    /// The next answer arrives, perhaps twice.
    Answer(usize, bool),
    Opine,
    Approve,
    Withdraw,
    Suspend,
    Resume,
    End,
    Wait(i64),
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..3).prop_map(Step::Grant),
        1 => (0_usize..3).prop_map(Step::Refuse),
        8 => (0_usize..3, any::<bool>()).prop_map(|(i, twice)| Step::Tell(i, twice)),
        8 => (0_usize..3, any::<bool>()).prop_map(|(i, twice)| Step::Answer(i, twice)),
        3 => Just(Step::Opine),
        3 => Just(Step::Approve),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Suspend),
        1 => Just(Step::Resume),
        1 => Just(Step::End),
        3 => (1_i64..60).prop_map(Step::Wait),
        2 => Just(Step::Tick),
    ];
    prop::collection::vec(step, 1..120)
}

struct Saga {
    transfer: DutyTransfer,
    three: [Participant; 3],
    hour: i64,
}

impl Saga {
    fn new() -> Self {
        let mut saga = Self { transfer: proposed(), three: Default::default(), hour: 0 };
        saga.tell(Some(DutyEvent::Proposed));
        saga
    }

    fn tell(&mut self, told: Option<DutyEvent>) {
        if let Some(event) = told {
            self.three.iter_mut().for_each(|one| one.inbox.push_back(event.clone()));
        }
    }

    fn follow(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        assert_eq!(change.transfer.version, self.transfer.version + 1);
        self.transfer = change.transfer;
        self.tell(change.told);
        // C-12, at every instant.
        let listed = self.transfer.standing().is_some();
        assert!(!listed || (self.transfer.legs.all_confirmed() && self.transfer.approved_by.is_some()));
        assert_eq!(listed, self.transfer.state == TransferState::Effective);
        assert!(!listed || at(200) <= at(self.hour), "not before its day");
    }

    fn step(&mut self, step: &Step) {
        let (now, transfer) = (at(self.hour), self.transfer.clone());
        match step {
            Step::Grant(one) => self.three[*one].grants(),
            Step::Refuse(one) => self.three[*one].refuses(),
            Step::Tell(one, twice) => {
                let Some(event) = self.three[*one].inbox.pop_front() else { return };
                (0..=usize::from(*twice)).for_each(|_| self.three[*one].hears(&event));
            }
            Step::Answer(one, twice) => {
                let Some(news) = self.three[*one].outbox.pop_front() else { return };
                for _ in 0..=usize::from(*twice) {
                    self.follow(self.transfer.clone().leg(LegKind::ALL[*one], &news, now));
                }
            }
            Step::Opine => {
                self.follow(transfer.opine(Heard::Street, opinion(), now).ok());
                self.follow(self.transfer.clone().opine(Heard::Community, opinion(), now).ok());
            }
            Step::Approve => self.follow(transfer.approve(&arbiter(), now).ok()),
            Step::Withdraw => self.follow(transfer.withdraw("w", now).ok()),
            Step::Suspend => self.follow(transfer.suspend("s", now).ok()),
            Step::Resume => self.follow(transfer.resume(&arbiter(), now).ok()),
            Step::End => self.follow(transfer.end("e", now).ok()),
            Step::Wait(hours) => self.hour += hours,
            Step::Tick => self.follow(transfer.tick(now)),
        }
    }

    /// Everything arrives, and time goes on until nothing is due.
    fn comes_to_rest(&mut self) {
        self.hour = self.hour.max(1_000);
        self.step(&Step::Tick);
        while self.three.iter().any(|one| !one.inbox.is_empty() || !one.outbox.is_empty()) {
            for one in 0..3 {
                self.step(&Step::Answer(one, false));
                self.step(&Step::Tell(one, false));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn whatever_happens_a_duty_goes_with_all_three_or_leaves_nothing_behind(steps in steps()) {
        let mut saga = Saga::new();
        steps.iter().for_each(|step| saga.step(step));
        saga.comes_to_rest();
        let holding = saga.three.iter().filter(|one| one.holds).count();
        match saga.transfer.state {
            TransferState::Proposed => prop_assert!(false, "it neither took effect nor was rolled back"),
            TransferState::Effective => prop_assert_eq!(holding, 3),
            TransferState::Suspended => {}
            TransferState::RolledBack | TransferState::Ended => prop_assert_eq!(holding, 0),
        }
    }
}

#[test]
fn the_random_histories_reach_every_end() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut reached = std::collections::HashSet::new();
    for _ in 0..3_000 {
        let mut saga = Saga::new();
        steps().new_tree(&mut runner).unwrap().current().iter().for_each(|step| saga.step(step));
        saga.comes_to_rest();
        reached.insert(saga.transfer.state);
    }
    assert_eq!(reached.len(), 4, "{reached:?}");
}
