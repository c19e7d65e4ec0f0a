//! Identity: the unit tree, organisations and authority edges; people with sealed personal fields; grants; signing in
//! and the tokens every other service trusts. It is the only owner of personal data and must never put it into an event,
//! a log or an error.

mod app;
pub mod config;
mod consumer;
mod digest;
pub mod domain;
pub mod keyring;
mod password;
mod rpc;
pub mod seed;
mod sign_in;
pub mod store;

use std::process::ExitCode;

pub use app::App;

/// The service as a process of its own. The whole `main` of its binary.
pub fn run() -> ExitCode {
    chassis::run::<App>()
}
