//! The gRPC edge of staffing: thin handlers, requests parsed in one place, reach asked of the topology.

mod again;
mod assign;
mod assignment;
mod convert;
mod duty;
mod duty_forms;
mod duty_training;
mod reach;
mod shifts;
mod verbs;
mod workforce;

pub use self::{assignment::AssignmentRpc, duty::DutyRpc, workforce::WorkforceRpc};
