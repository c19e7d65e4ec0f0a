//! Case routing: one request from the window to closed, rated and measured.

pub mod domain;
