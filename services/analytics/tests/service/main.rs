//! Analytics alone: real gRPC, a real database, events delivered by hand.

mod board;
mod hotspots;
mod imported;
mod indicators;
mod processes;
mod recount;
mod replay;
mod support;
