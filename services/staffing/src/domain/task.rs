//! A signed task as staffing needs it to find a worker. Its life is case-routing's; here it only tells whether a worker
//! is still wanted.

use chassis::Timestamp;

use super::{CaseId, OrgId, TaskId, UnitId};

/// Whether workers are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskState {
    /// Workers are wanted or at work.
    Open = 1,
    /// Nobody was found, or not as many as are wanted; told once per round.
    Unfilled = 2,
    /// The organisation handed its result in.
    Submitted = 3,
    /// The organisation says it is not its duty.
    Objected = 4,
    /// Over.
    Ended = 5,
}

impl TaskState {
    /// Of its number in the database.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Open, Self::Unfilled, Self::Submitted, Self::Objected, Self::Ended]
            .into_iter()
            .find(|state| *state as i16 == number)
    }
}

/// A signed task.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Id.
    pub id: TaskId,
    /// Its case.
    pub case_id: CaseId,
    /// The organisation that signed.
    pub org_id: OrgId,
    /// Its unit.
    pub unit_id: UnitId,
    /// Line of the item.
    pub line: Option<String>,
    /// Service item.
    pub item_code: String,
    /// Deepest known unit of the place.
    pub place_unit_id: Option<UnitId>,
    /// Skills the item asks for.
    pub skills: Vec<String>,
    /// Workload in minutes.
    pub weight: i32,
    /// Version of the weights.
    pub weight_version: i32,
    /// Urgent or an emergency: the offer's time is short.
    pub urgent: bool,
    /// The handling ends in a decision (S-2).
    pub decision: bool,
    /// How many different workers it needs, as for a field check that several people make together.
    pub workers_wanted: i32,
    /// When the task is due.
    pub due_at: Option<Timestamp>,
    /// Whether a worker is wanted.
    pub state: TaskState,
    /// It was told that there are not as many workers as are wanted, and they have not been found since.
    pub lack_told: bool,
    /// Grows whenever the work starts over.
    pub round: i32,
    /// Version of its case in the last event that was carried out.
    pub case_version: i64,
    /// Grows with every change.
    pub version: i64,
}

impl Task {
    /// How many workers have it in hand when nobody is missing.
    pub fn wanted(&self) -> usize {
        usize::try_from(self.workers_wanted).unwrap_or(1).max(1)
    }

    /// Whether an event of its case is news: later than the last one that was carried out, which it is from now on. Each event of
    /// a case has a version of its own, so one that was told before is known by it, whatever id it comes under.
    pub fn learns(&mut self, case_version: i64) -> bool {
        let later = case_version > self.case_version;
        self.case_version = self.case_version.max(case_version);
        later
    }

    /// In another state.
    pub fn enter(&mut self, state: TaskState) {
        if self.state != state {
            self.state = state;
            self.version += 1;
        }
    }

    /// The work starts over: everybody may be asked again.
    pub fn start_over(&mut self) {
        self.state = TaskState::Open;
        self.lack_told = false;
        self.round += 1;
        self.version += 1;
    }
}
