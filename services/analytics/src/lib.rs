//! Analytics: the event log, one fact per case and task, rollups per place, item and day, and the indicators made of
//! them. It only ever learns from events and knows no person.

mod app;
pub mod consumer;
pub mod digest;
pub mod domain;
mod hotspots;
mod keeping;
mod mergers;
pub mod rebuild;
mod rpc;
pub mod store;

use std::process::ExitCode;

pub use app::App;

/// The service as a process of its own. The whole `main` of its binary.
pub fn run() -> ExitCode {
    chassis::run::<App>()
}
