//! Staffing alone: real gRPC, a real database, events delivered by hand.

mod commands;
mod events;
mod rework;
mod together;
mod workforce;
mod world;
