//! Identity: the unit tree, organisations and authority edges; people with sealed personal fields; grants; signing in
//! and the tokens every other service trusts. It is the only owner of personal data and must never put it into an event,
//! a log or an error.

pub mod config;
pub mod domain;
pub mod keyring;
pub mod password;
pub mod sign_in;
pub mod store;
