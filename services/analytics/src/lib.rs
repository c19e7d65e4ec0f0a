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

pub use app::App;
