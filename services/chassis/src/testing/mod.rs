//! For tests of services: a fresh migrated database, tokens of any role, a small identity, and a whole service over real gRPC
//! with a clock that stands still. Nothing here is reached from a service path.

mod cost;
mod database;
mod http;
mod identity;
mod keys;
mod service;

pub use self::{
    cost::{RowsRead, rows_read},
    database::TestDb,
    http::{Received, Reply, TestHttp},
    identity::TestIdentity,
    keys::{Persona, TestKeys},
    service::{Builder, TestService},
};

#[cfg(test)]
mod tests;
