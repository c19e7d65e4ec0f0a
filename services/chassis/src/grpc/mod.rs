//! The gRPC edge: one server builder and one client book for all services. Handlers see a request only after the
//! layer here has admitted it; no handler sets deadlines, spans, metrics or health of its own.

mod layer;
mod peers;
mod reflection;
mod routes;
mod server;
mod waiting;

pub use self::{
    layer::{Guard, GuardLayer},
    peers::{Credential, PeerChannel, Peers},
    routes::RoutesBuilder,
    server::{Health, bind, serve, with_health_and_reflection},
    waiting::longest_wait,
};
