//! The gRPC server: health, reflection, limits and an orderly stop that nobody can hold up. Handlers come in as ready
//! routes; messages above tonic's 4 MiB are refused by the codec.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::Context;
use futures::{Stream, StreamExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{GuardLayer, RoutesBuilder, reflection::reflection};
use crate::config::GrpcConfig;

/// How long nothing is accepted after what could not be.
const PAUSE: Duration = Duration::from_millis(100);

/// What is served from the start to the end: for whoever would restart a process that does not answer, which one that is not ready
/// does.
const LIVE: &str = "live";

/// Readiness as `grpc.health.v1` tells it: for the empty name, which is the whole process, and for each service of it. The name
/// `live` is served always.
#[derive(Clone, Debug)]
pub struct Health {
    reporter: HealthReporter,
    names: Vec<&'static str>,
}

impl Health {
    /// Says whether calls are welcome.
    pub async fn set_ready(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in &self.names {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Binds the address, so that port 0 is known before anything else starts.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn bind(listen: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let addr = listener.local_addr().context("the address listened on")?;
    Ok((listener, addr))
}

/// The health service, not ready yet, added to the routes together with reflection.
///
/// # Errors
/// When the descriptors cannot be read, which the build rules out.
pub async fn with_health_and_reflection(routes: RoutesBuilder) -> anyhow::Result<(Routes, Health)> {
    let (routes, mut names) = routes.into_parts();
    names.push("");
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_service_status(LIVE, ServingStatus::Serving).await;
    let reflection = reflection().context("reflection over the descriptors")?;
    let health_state = Health { reporter, names };
    health_state.set_ready(false).await;
    Ok((routes.add_service(health).add_service(reflection), health_state))
}

/// Serves until `stop`, then finishes the calls in hand, for at most the configured time: a client that stalls must
/// not hold the process. `true` when every connection ended in time.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    layer: GuardLayer,
    config: &GrpcConfig,
    stop: CancellationToken,
) -> anyhow::Result<bool> {
    let incoming =
        TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(Duration::from_secs(60)));
    let serving = Server::builder()
        .max_concurrent_streams(config.max_streams)
        .max_connection_age(Duration::from_secs(config.max_connection_age_s))
        .max_connection_age_grace(Duration::from_millis(config.request_timeout_ms))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(10)))
        .http2_max_header_list_size(32 << 10)
        .layer(layer.clone())
        .add_routes(routes)
        .serve_with_incoming_shutdown(unhurried(incoming), stop.clone().cancelled_owned());
    let limit = Duration::from_millis(config.stop_timeout_ms);
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(limit).await;
    };
    tokio::select! {
        served = serving => {
            served.context("the gRPC server failed")?;
            Ok(true)
        }
        () = overdue => {
            tracing::warn!(calls = layer.in_flight(), "connections did not end in time and are cut");
            Ok(false)
        }
    }
}

/// Connections as they come, with a pause after one that could not be accepted: tonic asks again at once, and a process without
/// free descriptors would do nothing else.
fn unhurried<C>(incoming: impl Stream<Item = io::Result<C>>) -> impl Stream<Item = io::Result<C>> {
    incoming.then(|accepted| async move {
        if let Err(error) = &accepted {
            tracing::warn!(%error, "no connection was accepted");
            tokio::time::sleep(PAUSE).await;
        }
        accepted
    })
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        future::{Ready, ready},
        sync::Arc,
        task::{Context, Poll},
    };

    use http::{Request, Response};
    use tokio::io::AsyncWriteExt;
    use tonic::{
        Code,
        body::Body,
        server::NamedService,
        transport::{Channel, Endpoint},
    };
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    use tower::Service;

    use super::*;
    use crate::{
        auth::{Gate, KeySource, Verifier},
        clock::Clock,
        config::ServiceConfig,
    };

    /// A service that answers nothing.
    #[derive(Clone)]
    struct Silent;

    impl NamedService for Silent {
        const NAME: &'static str = "jianghan.test.v1.SilentService";
    }

    impl Service<Request<Body>> for Silent {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Request<Body>) -> Self::Future {
            ready(Ok(Response::new(Body::empty())))
        }
    }

    async fn start(
        stop_timeout_ms: u64,
    ) -> (SocketAddr, Health, CancellationToken, tokio::task::JoinHandle<anyhow::Result<bool>>) {
        let mut config = ServiceConfig::for_service("test");
        config.grpc.stop_timeout_ms = stop_timeout_ms;
        let verifier = Verifier::new(KeySource::local(), Clock::system(), &config.auth);
        let layer = GuardLayer::new(&config, Gate::new(verifier, Arc::default()), Arc::default());
        let (listener, addr) = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let mut routes = RoutesBuilder::default();
        routes.add_service(Silent);
        let (routes, health) = with_health_and_reflection(routes).await.unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, routes, layer, &config.grpc, stop).await }
        });
        (addr, health, stop, serving)
    }

    async fn connected(addr: SocketAddr) -> Channel {
        Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap()
    }

    #[tokio::test]
    async fn reflection_lists_the_services_without_a_token() {
        let (addr, _health, stop, serving) = start(5_000).await;
        let mut client = ServerReflectionClient::new(connected(addr).await);
        let asked = ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let answers = client.server_reflection_info(futures::stream::iter([asked])).await;
        let answer = answers.unwrap().into_inner().message().await.unwrap().expect("an answer");
        let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
            panic!("no list of services")
        };
        let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
        for name in ["jianghan.ops.v1.OpsService", "grpc.health.v1.Health"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        drop(client);
        stop.cancel();
        assert!(serving.await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn a_message_above_the_limit_is_refused_before_it_reaches_a_handler() {
        let (addr, _health, stop, serving) = start(5_000).await;
        let mut client = HealthClient::new(connected(addr).await);
        // A handler that is reached knows no service of such a name.
        for (mebibytes, code) in [(3, Code::NotFound), (5, Code::OutOfRange), (3, Code::NotFound)] {
            let asked = HealthCheckRequest { service: "x".repeat(mebibytes << 20) };
            let refused = client.check(asked).await.unwrap_err();
            assert_eq!(refused.code(), code, "{mebibytes} MiB: {}", refused.message());
        }
        drop(client);
        stop.cancel();
        assert!(serving.await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn health_follows_readiness_without_a_token() {
        let (addr, health, stop, serving) = start(5_000).await;
        let mut client = HealthClient::new(connected(addr).await);
        let status =
            |answer: tonic::Response<tonic_health::pb::HealthCheckResponse>| answer.into_inner().status;
        let ask = |name: &str| HealthCheckRequest { service: name.to_owned() };
        // Not ready, ready, and not ready again when the service stops: as a whole and by the name of what it serves.
        for (ready, told) in [(false, 2), (true, 1), (false, 2)] {
            health.set_ready(ready).await;
            for name in ["", Silent::NAME] {
                assert_eq!(status(client.check(ask(name)).await.unwrap()), told, "{name:?}");
            }
            assert_eq!(status(client.check(ask(LIVE)).await.unwrap()), 1, "it answers");
        }
        let unknown = client.check(ask("jianghan.test.v1.OtherService")).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
        drop(client);
        stop.cancel();
        assert!(serving.await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn a_stalled_client_does_not_hold_the_stop() {
        let (addr, _health, stop, serving) = start(200).await;
        // Half an HTTP/2 preface, then silence.
        let mut stalled = tokio::net::TcpStream::connect(addr).await.unwrap();
        stalled.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
        stop.cancel();
        let ended = tokio::time::timeout(Duration::from_secs(5), serving).await;
        ended.expect("the stop has a hard deadline").unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_cannot_be_accepted_is_followed_by_a_pause_and_then_by_the_next() {
        let no_descriptors = || Err(io::Error::from_raw_os_error(24));
        let incoming = futures::stream::iter([no_descriptors(), no_descriptors(), Ok("a connection")]);
        let start = tokio::time::Instant::now();
        let accepted: Vec<io::Result<&str>> = unhurried(incoming).collect().await;
        assert!(matches!(accepted[..], [Err(_), Err(_), Ok("a connection")]), "{accepted:?}");
        assert!(start.elapsed() >= 2 * PAUSE, "{:?}", start.elapsed());
    }
}
