//! Staffing: posts, workers and shifts; who is asked to do a signed task, and what became of it. It never decides about
//! a case: the organisation hands its task in itself.

pub mod app;
pub mod config;
pub mod consumer;
pub mod desk;
pub mod digest;
pub mod domain;
pub mod duty;
pub mod emit;
pub mod roster;
pub mod rpc;
pub mod seed;
pub mod store;
pub mod sweeper;
pub mod workforce;
pub mod working_days;

use std::process::ExitCode;

pub use self::app::App;

/// The service as a process of its own. The whole `main` of its binary.
pub fn run() -> ExitCode {
    chassis::run::<App>()
}
