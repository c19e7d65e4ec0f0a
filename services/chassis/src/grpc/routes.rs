//! The gRPC services of a process, with their names: health answers for each of them.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::{body::Body, server::NamedService, service::Routes};
use tower::Service;

/// Takes the gRPC services one by one.
#[derive(Clone, Debug, Default)]
pub struct RoutesBuilder {
    routes: Routes,
    names: Vec<&'static str>,
}

impl RoutesBuilder {
    /// Adds a service.
    pub fn add_service<S>(&mut self, service: S) -> &mut Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.routes = std::mem::take(&mut self.routes).add_service(service);
        self.names.push(S::NAME);
        self
    }

    /// The routes, and the full names of the services they lead to.
    pub(super) fn into_parts(self) -> (Routes, Vec<&'static str>) {
        (self.routes, self.names)
    }
}
