//! Random histories of the saga with its three participants, who answer in any order, twice, late, or change their mind.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

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
