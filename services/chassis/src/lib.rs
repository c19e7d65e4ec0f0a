//! What every service of the house shares: configuration, telemetry, lifecycle, gRPC, authentication, database,
//! command executor, event spine, topology and operations. It knows nothing of cases or people's affairs, and it
//! must never depend on a service.

pub mod auth;
pub mod bus;
pub mod clock;
pub mod command;
pub mod config;
pub mod crash;
pub mod crypto;
pub mod db;
pub mod embedded;
pub mod error;
pub mod event;
pub mod files;
pub mod grpc;
pub mod inbox;
pub mod lifecycle;
pub mod network;
pub mod ops;
pub mod outbox;
pub mod page;
pub mod pressure;
pub mod put_off;
pub mod telemetry;
pub mod testing;
pub mod topology;
pub mod update;

pub use clock::{Clock, Timestamp};
pub use error::{Error, Result, RpcResult};
pub use grpc::RoutesBuilder;
pub use lifecycle::{Built, Context, Running, Service, Wiring, run, start};

pub use proto;
