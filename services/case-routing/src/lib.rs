//! Case routing: one request from the window to closed, rated and measured. It owns cases, tasks, clocks and the
//! catalogue; no other service moves a case. Names, phones and texts never leave it by an event, a log or a metric.

mod app;
mod atlas;
mod benefit_events;
mod benefit_sweeper;
mod calendars;
mod cataloguing;
mod codes;
mod config;
mod consumer;
pub mod digest;
mod docket;
pub mod domain;
mod duty;
mod duty_sweeper;
mod editions;
mod events;
mod exchange;
mod filing;
mod importing;
mod indexer;
mod listing;
mod lull;
mod mediation_events;
mod mediation_sweeper;
mod models;
pub mod notice;
mod numbers;
mod process;
mod reach;
mod record;
mod recount;
mod redact;
mod registers;
mod remark;
mod rpc;
pub mod seed;
mod store;
mod sweep;
mod sweeper;
pub mod tables;
mod verb;
mod webhook;

use std::process::ExitCode;

pub use app::App;

/// The service as a process of its own. The whole `main` of its binary.
pub fn run() -> ExitCode {
    chassis::run::<App>()
}
