//! The outbox: events are rows written in the same transaction as the change they tell of. One relay per database
//! publishes them in order and removes a row only when the bus has confirmed it.

mod config;
mod deadline;
mod flight;
mod gate;
mod handed;
mod reading;
mod relay;
mod state;
pub(crate) mod store;
mod vacuum;

pub use self::{
    config::RelayConfig,
    gate::{Gate, GateConfig},
    relay::Relay,
    state::OutboxState,
};
