//! Journeys through the suite in one process, on the in-process bus in its fault mode: deliveries are duplicated,
//! delayed and reordered across keys. One world serves them all.

mod bad_input;
mod board;
mod commands;
mod denied;
mod denied_ids;
mod denied_rest;
mod disputes;
mod exchange;
mod f1;
mod f2;
mod f5;
mod f8;
mod golden_trace;
mod idempotency;
mod imports;
mod in_force;
mod poisoned_event;
mod revocation;
mod scenarios;
mod traces;
mod up;
