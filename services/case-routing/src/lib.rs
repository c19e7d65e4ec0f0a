//! Case routing: one request from the window to closed, rated and measured. It owns cases, tasks, clocks and the
//! catalogue; no other service moves a case. Names, phones and texts never leave it by an event, a log or a metric.

mod app;
mod atlas;
mod calendars;
mod codes;
mod config;
mod consumer;
mod digest;
mod docket;
pub mod domain;
mod duty;
mod duty_sweeper;
mod events;
mod filing;
mod listing;
mod mediation_events;
mod mediation_sweeper;
pub mod notice;
mod numbers;
mod reach;
mod record;
mod recount;
mod redact;
mod registers;
mod rpc;
pub mod seed;
mod store;
mod sweeper;
mod verb;

pub use app::App;
