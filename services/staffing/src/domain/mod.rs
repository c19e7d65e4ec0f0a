//! The rules of staffing: who is asked, and what may become of it. No I/O, no clock, no randomness.

pub mod assignment;
pub mod crew;
pub mod duty;
mod ids;
pub mod picker;
pub mod roster;
mod task;
pub mod terms;
#[cfg(test)]
pub mod testing;
mod worker;

pub use self::{
    assignment::{Assignment, AssignmentState, Fact, Step, Verb},
    ids::{AssignmentId, CaseId, GrantId, OrgId, PersonId, PostId, ShiftId, TaskId, UnitId, WorkerId},
    picker::{Candidate, Level, Need, Ranked},
    task::{Task, TaskState},
    worker::{Post, PostKind, PostState, Worker},
};
