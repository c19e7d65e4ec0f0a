//! The event spine against real servers: commands, outbox, both buses, inbox. Every test has a database of its own.

mod alarm;
mod bus;
mod command;
mod common;
mod connections;
mod crash;
mod inbox;
mod links;
mod migrate;
mod parked;
mod reach;
mod relay;
