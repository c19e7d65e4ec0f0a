//! An assignment and its states: Offered → {Accepted → OnSite → Done → Confirmed | Declined | TimedOut | Cancelled}.
//! Pure; an assignment never changes a case by itself.

use chassis::{Error, Result, Timestamp};

use super::{AssignmentId, CaseId, OrgId, PersonId, Task, TaskId, UnitId, Worker, WorkerId};

/// Name of the kind in errors.
pub const KIND: &str = "assignment";

/// State of an assignment; the numbers are those of the proto and of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AssignmentState {
    /// The worker was asked.
    Offered = 1,
    /// The worker said yes.
    Accepted = 2,
    /// The worker is there.
    OnSite = 3,
    /// The worker has finished; the result is not approved yet.
    Done = 4,
    /// The task's result stands.
    Confirmed = 5,
    /// The worker said no.
    Declined = 6,
    /// The worker did not answer in time.
    TimedOut = 7,
    /// The task, or the worker's part in it, ended before.
    Cancelled = 8,
}

/// What may happen to an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// The worker accepts.
    Accept,
    /// The worker declines.
    Decline,
    /// The offer's time is over.
    TimeOut,
    /// The worker arrives.
    Arrive,
    /// The worker finishes.
    Finish,
    /// The task is approved.
    Confirm,
    /// The task ends otherwise, or somebody else takes over.
    Cancel,
}

use AssignmentState::{Accepted, Cancelled, Confirmed, Declined, Done, Offered, OnSite, TimedOut};

/// Every allowed transition; what is not here is forbidden.
pub const TRANSITIONS: [(AssignmentState, Verb, AssignmentState); 10] = [
    (Offered, Verb::Accept, Accepted),
    (Offered, Verb::Decline, Declined),
    (Offered, Verb::TimeOut, TimedOut),
    (Offered, Verb::Cancel, Cancelled),
    (Accepted, Verb::Arrive, OnSite),
    (Accepted, Verb::Cancel, Cancelled),
    (OnSite, Verb::Finish, Done),
    (OnSite, Verb::Cancel, Cancelled),
    (Done, Verb::Confirm, Confirmed),
    (Done, Verb::Cancel, Cancelled),
];

impl AssignmentState {
    /// All states.
    pub const ALL: [Self; 8] = [Offered, Accepted, OnSite, Done, Confirmed, Declined, TimedOut, Cancelled];

    /// Where a verb leads; `None` when it is forbidden here.
    pub fn after(self, verb: Verb) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, by, _)| *from == self && *by == verb).map(|(_, _, to)| *to)
    }

    /// The task is in this worker's hands, alone or with the others of its crew.
    pub fn is_active(self) -> bool {
        matches!(self, Offered | Accepted | OnSite | Done)
    }

    /// It counts for the worker's load.
    pub fn is_load(self) -> bool {
        matches!(self, Offered | Accepted | OnSite)
    }

    /// Of its number.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i16 == number)
    }
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 7] =
        [Self::Accept, Self::Decline, Self::TimeOut, Self::Arrive, Self::Finish, Self::Confirm, Self::Cancel];
}

/// A task given to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Id; later ones are greater.
    pub id: AssignmentId,
    /// The task.
    pub task_id: TaskId,
    /// Its case.
    pub case_id: CaseId,
    /// The organisation that signed.
    pub org_id: OrgId,
    /// Its unit.
    pub unit_id: UnitId,
    /// Line of the item.
    pub line: Option<String>,
    /// The worker.
    pub worker_id: WorkerId,
    /// The person behind the worker.
    pub person_id: PersonId,
    /// The person's pseudonym.
    pub worker_ref: String,
    /// What the task is about.
    pub item_code: String,
    /// Where.
    pub place_unit_id: Option<UnitId>,
    /// Workload in minutes.
    pub weight: i32,
    /// Round of the task.
    pub round: i32,
    /// Which of the workers wanted: 1 up to as many as are. No two active assignments of a task have the same.
    pub slot: i16,
    /// State.
    pub state: AssignmentState,
    /// When it was offered.
    pub offered_at: Timestamp,
    /// Last instant at which it may be accepted.
    pub offer_due_at: Timestamp,
    /// When the task is due.
    pub due_at: Option<Timestamp>,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When the worker arrived.
    pub on_site_at: Option<Timestamp>,
    /// When the worker finished.
    pub done_at: Option<Timestamp>,
    /// When it ended: confirmed, declined, timed out or cancelled.
    pub ended_at: Option<Timestamp>,
    /// Minutes worked, as the worker says.
    pub minutes: i32,
    /// References to evidence.
    pub evidence: Vec<String>,
    /// Why this worker: codes with values.
    pub reasons: Vec<String>,
    /// Why it ended; a code.
    pub end_reason: String,
    /// Grows with every change.
    pub version: i64,
}

/// What is told of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A worker was asked.
    Offered,
    /// The worker accepted.
    Accepted,
    /// The worker declined or did not answer.
    Declined {
        /// Did not answer.
        timed_out: bool,
    },
    /// The worker arrived.
    OnSite,
    /// The worker finished.
    Done,
    /// It ended before its time.
    Cancelled,
    /// The result stands.
    Confirmed,
}

/// An assignment after a verb, and what is told of it.
pub type Step = (Assignment, Fact);

impl Assignment {
    /// Offers a slot of a task to a worker.
    pub fn offer(
        id: AssignmentId,
        task: &Task,
        worker: &Worker,
        slot: i16,
        reasons: Vec<String>,
        now: Timestamp,
        offer_due_at: Timestamp,
    ) -> Step {
        let assignment = Self {
            id,
            task_id: task.id,
            case_id: task.case_id,
            org_id: task.org_id,
            unit_id: task.unit_id,
            line: task.line.clone(),
            worker_id: worker.id,
            person_id: worker.person_id,
            worker_ref: worker.worker_ref.clone(),
            item_code: task.item_code.clone(),
            place_unit_id: task.place_unit_id,
            weight: task.weight,
            round: task.round,
            slot,
            state: Offered,
            offered_at: now,
            offer_due_at,
            due_at: task.due_at,
            accepted_at: None,
            on_site_at: None,
            done_at: None,
            ended_at: None,
            minutes: 0,
            evidence: Vec::new(),
            reasons,
            end_reason: String::new(),
            version: 1,
        };
        (assignment, Fact::Offered)
    }

    /// The worker accepts, in time.
    pub fn accept(&self, now: Timestamp) -> Result<Step> {
        let mut next = self.moved(Verb::Accept)?;
        if now > self.offer_due_at {
            return Err(Error::wrong_state(KIND, self.id, "the time to accept is over"));
        }
        next.accepted_at = Some(now);
        Ok((next, Fact::Accepted))
    }

    /// The worker declines.
    pub fn decline(&self, reason_code: &str, now: Timestamp) -> Result<Step> {
        let next = self.moved(Verb::Decline)?.ended(reason_code, now);
        Ok((next, Fact::Declined { timed_out: false }))
    }

    /// Nobody answered in time.
    pub fn time_out(&self, now: Timestamp) -> Result<Step> {
        if now <= self.offer_due_at {
            return Err(Error::wrong_state(KIND, self.id, "the time to accept is not over"));
        }
        Ok((self.moved(Verb::TimeOut)?.ended("timed_out", now), Fact::Declined { timed_out: true }))
    }

    /// The worker arrives.
    pub fn arrive(&self, now: Timestamp) -> Result<Step> {
        let mut next = self.moved(Verb::Arrive)?;
        next.on_site_at = Some(now);
        Ok((next, Fact::OnSite))
    }

    /// The worker finishes.
    pub fn finish(&self, minutes: i32, evidence: &[String], now: Timestamp) -> Result<Step> {
        let mut next = self.moved(Verb::Finish)?;
        next.done_at = Some(now);
        next.minutes = minutes;
        next.evidence = evidence.to_vec();
        Ok((next, Fact::Done))
    }

    /// The task's result stands.
    pub fn confirm(&self, now: Timestamp) -> Result<Step> {
        Ok((self.moved(Verb::Confirm)?.ended("", now), Fact::Confirmed))
    }

    /// It ends before its time; minutes already worked stay on record.
    pub fn cancel(&self, reason_code: &str, now: Timestamp) -> Result<Step> {
        Ok((self.moved(Verb::Cancel)?.ended(reason_code, now), Fact::Cancelled))
    }

    /// The task is due at another time, or at none; nothing is told of it.
    pub fn fall_due(&mut self, due_at: Option<Timestamp>) {
        if self.due_at != due_at {
            self.due_at = due_at;
            self.version += 1;
        }
    }

    fn moved(&self, verb: Verb) -> Result<Self> {
        let state = self.state.after(verb).ok_or_else(|| {
            Error::wrong_state(KIND, self.id, format!("cannot {verb:?} when {:?}", self.state).to_lowercase())
        })?;
        Ok(Self { state, version: self.version + 1, ..self.clone() })
    }

    fn ended(self, reason_code: &str, now: Timestamp) -> Self {
        Self { end_reason: reason_code.to_owned(), ended_at: Some(now), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing;

    /// The table once more, written out by hand: rows are states, columns verbs in the order of `Verb::ALL`.
    const EXPECTED: [(AssignmentState, [Option<AssignmentState>; 7]); 8] = [
        (Offered, [Some(Accepted), Some(Declined), Some(TimedOut), None, None, None, Some(Cancelled)]),
        (Accepted, [None, None, None, Some(OnSite), None, None, Some(Cancelled)]),
        (OnSite, [None, None, None, None, Some(Done), None, Some(Cancelled)]),
        (Done, [None, None, None, None, None, Some(Confirmed), Some(Cancelled)]),
        (Confirmed, [None; 7]),
        (Declined, [None; 7]),
        (TimedOut, [None; 7]),
        (Cancelled, [None; 7]),
    ];

    fn act(assignment: &Assignment, verb: Verb) -> Result<Step> {
        let now = assignment.offered_at;
        match verb {
            Verb::Accept => assignment.accept(now),
            Verb::Decline => assignment.decline("elsewhere", now),
            Verb::TimeOut => {
                assignment.time_out(assignment.offer_due_at + chrono::TimeDelta::microseconds(1))
            }
            Verb::Arrive => assignment.arrive(now),
            Verb::Finish => assignment.finish(30, &["photo:after".to_owned()], now),
            Verb::Confirm => assignment.confirm(now),
            Verb::Cancel => assignment.cancel("task_cancelled", now),
        }
    }

    #[test]
    fn every_pair_of_state_and_verb_is_as_the_table_says() {
        for (state, expected) in EXPECTED {
            for (verb, expected) in Verb::ALL.into_iter().zip(expected) {
                let before = Assignment { state, ..testing::assignment() };
                match (act(&before, verb), expected) {
                    (Ok((after, fact)), Some(expected)) => {
                        assert_eq!(after.state, expected, "{state:?} {verb:?}");
                        assert_eq!(after.version, before.version + 1);
                        assert_eq!(after.ended_at.is_some(), !expected.is_active(), "{state:?} {verb:?}");
                        assert_ne!(fact, Fact::Offered);
                    }
                    (Err(error), None) => assert_eq!(error.code(), "wrong_state", "{state:?} {verb:?}"),
                    (outcome, expected) => panic!("{state:?} {verb:?}: {outcome:?}, expected {expected:?}"),
                }
            }
        }
    }

    #[test]
    fn an_offer_is_accepted_until_it_is_due_and_times_out_after() {
        let offered = testing::assignment();
        let late = offered.offer_due_at + chrono::TimeDelta::microseconds(1);
        assert!(offered.accept(offered.offer_due_at).is_ok());
        assert_eq!(offered.accept(late).unwrap_err().code(), "wrong_state");
        assert_eq!(offered.time_out(offered.offer_due_at).unwrap_err().code(), "wrong_state");
        assert_eq!(offered.time_out(late).unwrap().1, Fact::Declined { timed_out: true });
    }

    #[test]
    fn numbers_name_states() {
        for state in AssignmentState::ALL {
            assert_eq!(AssignmentState::from_number(state as i16), Some(state));
        }
        assert_eq!(AssignmentState::from_number(0), None);
    }
}
