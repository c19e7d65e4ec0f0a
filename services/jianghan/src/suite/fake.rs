//! Suites for tests: one that is not there, and one whose identity lets nobody in.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http::{Request, Response};
use tokio::net::TcpListener;
use tonic::{
    Status,
    body::Body,
    server::NamedService,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tower::Service;

use super::{Account, Addresses, Session, Suite};

/// Nobody listens there.
pub const NOWHERE: &str = "http://127.0.0.1:1";

/// A suite that is not there, and its operator.
pub fn nobody() -> (Suite, Arc<Session>) {
    let suite = Suite::new(&Addresses::all_at(NOWHERE)).expect("addresses");
    let operator = Session::new(&suite, Account::stranger("it_operator"));
    (suite, operator)
}

/// Answers every sign-in with the same refusal.
#[derive(Clone)]
pub struct Door {
    /// Where it is.
    pub address: String,
    refusal: Status,
    knocks: Arc<AtomicUsize>,
}

impl Door {
    /// How often somebody tried.
    pub fn knocks(&self) -> usize {
        self.knocks.load(Ordering::Relaxed)
    }
}

/// Where these services listen from now on.
pub async fn served(routes: Routes) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("its address"));
    tokio::spawn(Server::builder().add_routes(routes).serve_with_incoming(TcpIncoming::from(listener)));
    address
}

/// A suite that lets nobody in, and says why.
pub async fn refusing(refusal: Status) -> (Suite, Door) {
    let mut door = Door { address: String::new(), refusal, knocks: Arc::default() };
    door.address = served(Routes::new(door.clone())).await;
    (Suite::new(&Addresses::all_at(&door.address)).expect("addresses"), door)
}

impl NamedService for Door {
    const NAME: &'static str = "jianghan.identity.v1.AuthService";
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        self.knocks.fetch_add(1, Ordering::Relaxed);
        ready(Ok(self.refusal.clone().into_http()))
    }
}
