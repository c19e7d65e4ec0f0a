//! Analytics: the event log, one fact per case and task, rollups per place, item and day, and the indicators made of
//! them. It only ever learns from events and knows no person.

pub mod consumer;
pub mod domain;
pub mod rebuild;
pub mod store;
