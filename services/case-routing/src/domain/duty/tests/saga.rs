//! Random histories of the saga with its participants, who answer in any order, twice, late, or change their mind.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// One of them: what it was told, what it holds, what it has said that has not arrived.
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

    /// What was there is lost, also when the transfer took effect long ago.
    fn loses(&mut self) {
        if self.holds && !self.closed {
            self.holds = false;
            self.outbox.push_back(refused());
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Grant(usize),
    Refuse(usize),
    /// Somebody leaves a post.
    Leave,
    /// The next thing that the saga told arrives, perhaps twice.
    Tell(usize, bool),
    /// The next answer arrives, perhaps twice.
    Answer(usize, bool),
    Opine,
    Assess,
    Approve,
    Deny,
    Withdraw,
    Suspend,
    Resume,
    End,
    Wait(i64),
    Tick,
}

/// How many there are.
const BEGINNINGS: usize = 5;
/// Where staff and training are among the participants.
const STAFF: usize = 2;
const TRAINING: usize = 3;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0_usize..4).prop_map(Step::Grant),
        1 => (0_usize..4).prop_map(Step::Refuse),
        1 => Just(Step::Leave),
        10 => (0_usize..4, any::<bool>()).prop_map(|(i, twice)| Step::Tell(i, twice)),
        10 => (0_usize..4, any::<bool>()).prop_map(|(i, twice)| Step::Answer(i, twice)),
        3 => Just(Step::Opine),
        3 => Just(Step::Assess),
        3 => Just(Step::Approve),
        1 => Just(Step::Deny),
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
    /// Authority, funds, staff, training.
    four: [Participant; 4],
    hour: i64,
}

impl Saga {
    /// From one of the beginnings: applied for or assessed, each with courses and without, or in effect with all of them.
    fn new(beginning: usize) -> Self {
        let bare = |transfer: DutyTransfer| DutyTransfer { training_codes: vec![], ..transfer };
        let (transfer, told, hour) = match beginning {
            0 => (applied(), None, 0),
            1 => (bare(applied()), None, 0),
            2 => (proposed(), Some(DutyEvent::Proposed), 1),
            3 => (bare(proposed()), Some(DutyEvent::Proposed), 1),
            _ => (in_state(TransferState::Effective), Some(DutyEvent::Effective { resumed: false }), 200),
        };
        let mut saga = Self { transfer, four: Default::default(), hour };
        if beginning == BEGINNINGS - 1 {
            saga.four.iter_mut().for_each(|one| (one.asked, one.holds) = (true, true));
        }
        saga.tell(told);
        saga
    }

    fn tell(&mut self, told: Option<DutyEvent>) {
        if let Some(event) = told {
            self.four.iter_mut().for_each(|one| one.inbox.push_back(event.clone()));
        }
    }

    /// How many hold something, of how many that the transfer waits for.
    fn holding(&self) -> (usize, usize) {
        let held = self.four.iter().filter(|one| one.holds).count();
        (held, LegKind::ALL.into_iter().filter(|kind| self.transfer.needs(*kind)).count())
    }

    fn follow(&mut self, change: Option<Change>) {
        let Some(change) = change else { return };
        assert_eq!(change.transfer.version, self.transfer.version + 1);
        self.transfer = change.transfer;
        self.tell(change.told);
        // C-12, at every instant.
        let listed = self.transfer.standing().is_some();
        assert!(!listed || (self.transfer.legs_confirmed() && self.transfer.approved_by.is_some()));
        assert_eq!(listed, self.transfer.state == TransferState::Effective);
        assert!(!listed || at(200) <= at(self.hour), "not before its day");
        assert!(!listed || self.transfer.assessment.is_some(), "nor unassessed");
        let unasked = self.four.iter().all(|one| one.inbox.is_empty() && !one.asked);
        assert!(unasked || self.transfer.assessment.is_some(), "nobody is asked before");
    }

    /// Only those on the posts are trained, and whoever comes after them anew; staffing says both, in order.
    fn refuse(&mut self, one: usize) {
        if one == TRAINING && !self.transfer.needs(LegKind::Training) {
            return;
        }
        self.four[one].refuses();
        if one != TRAINING {
            self.forgets_training();
        }
    }

    fn leave(&mut self) {
        self.four[STAFF].loses();
        self.forgets_training();
    }

    fn forgets_training(&mut self) {
        if !self.four[STAFF].holds {
            self.four[TRAINING].holds = false;
            self.four[TRAINING].outbox.clear();
        }
    }

    fn grant(&mut self, one: usize) {
        let asked = one != TRAINING || (self.transfer.needs(LegKind::Training) && self.four[STAFF].holds);
        if asked {
            self.four[one].grants();
        }
    }

    fn step(&mut self, step: &Step) {
        let (now, transfer) = (at(self.hour), self.transfer.clone());
        match step {
            Step::Grant(one) => self.grant(*one),
            Step::Refuse(one) => self.refuse(*one),
            Step::Leave => self.leave(),
            Step::Tell(one, twice) => {
                let Some(event) = self.four[*one].inbox.pop_front() else { return };
                (0..=usize::from(*twice)).for_each(|_| self.four[*one].hears(&event));
            }
            Step::Answer(one, twice) => {
                let Some(news) = self.four[*one].outbox.pop_front() else { return };
                for _ in 0..=usize::from(*twice) {
                    self.follow(self.transfer.clone().leg(LegKind::ALL[*one], &news, now));
                }
            }
            Step::Opine => {
                self.follow(transfer.opine(Heard::Street, opinion(), now).ok());
                self.follow(self.transfer.clone().opine(Heard::Community, opinion(), now).ok());
            }
            Step::Assess => self.follow(transfer.assess(&dispatcher(), found(), now).ok()),
            Step::Approve => self.follow(transfer.approve(&arbiter(), now).ok()),
            Step::Deny => self.follow(transfer.deny(&arbiter(), "d", now).ok()),
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
        while self.four.iter().any(|one| !one.inbox.is_empty() || !one.outbox.is_empty()) {
            for one in 0..4 {
                self.step(&Step::Answer(one, false));
                self.step(&Step::Tell(one, false));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn whatever_happens_a_duty_goes_with_all_of_them_or_leaves_nothing_behind(
        beginning in 0..BEGINNINGS,
        steps in steps(),
    ) {
        let mut saga = Saga::new(beginning);
        steps.iter().for_each(|step| saga.step(step));
        saga.comes_to_rest();
        let (held, needed) = saga.holding();
        match saga.transfer.state {
            TransferState::Applied | TransferState::Proposed => {
                prop_assert!(false, "it neither took effect nor was rolled back");
            }
            TransferState::Effective => prop_assert_eq!(held, needed),
            TransferState::Suspended => {}
            TransferState::RolledBack | TransferState::Ended => prop_assert_eq!(held, 0),
        }
    }
}

#[test]
fn the_random_histories_reach_every_end() {
    use TransferState::{Effective, Ended, RolledBack, Suspended};
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut unreached = vec![Effective, Suspended, RolledBack, Ended];
    for number in 0..3_000 {
        let mut saga = Saga::new(number % BEGINNINGS);
        steps().new_tree(&mut runner).unwrap().current().iter().for_each(|step| saga.step(step));
        saga.comes_to_rest();
        unreached.retain(|state| *state != saga.transfer.state);
        if unreached.is_empty() {
            break;
        }
    }
    assert!(unreached.is_empty(), "never reached {unreached:?}");
}
