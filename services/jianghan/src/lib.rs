//! What the operator's binary is made of: launching the suite in either shape, playing requests against a running
//! one, comparing what its services hold, and measuring it. It reaches services over gRPC only, except to start them.

pub mod bench;
pub mod commands;
pub mod import;
pub mod launch;
pub mod out;
pub mod part;
pub mod patience;
pub mod reconcile;
pub mod scenario;
pub mod simulate;
pub mod suite;
pub mod table;
mod times;
