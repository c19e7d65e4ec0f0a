//! A channel that outlives outages: a call that met no server, a broken connection, `UNAVAILABLE`, or
//! `RESOURCE_EXHAUSTED` with its RetryInfo is sent again, byte for byte, so under the same `request_id`, until it is
//! answered or the patience ends; the header that gRPC has for it tells how often it was sent before. It must never repeat a call that the service has answered otherwise.

use std::{
    error::Error,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::pressure::ATTEMPTS_HEADER;
use http::{Request, Response, request};
use http_body_util::{BodyExt, Full};
use tonic::{Code, Status, body::Body, transport::Channel};
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

/// First wait before a call is sent again; it doubles.
const FIRST: Duration = Duration::from_millis(50);
/// Longest wait, unless the service advises another.
const LONGEST: Duration = Duration::from_millis(800);

type BoxError = Box<dyn Error + Send + Sync>;

/// A channel with a patience; without any it is the plain channel.
#[derive(Clone, Debug)]
pub struct Patient {
    channel: Channel,
    patience: Duration,
}

impl Patient {
    /// Repeats for at most `patience`.
    pub fn new(channel: Channel, patience: Duration) -> Self {
        Self { channel, patience }
    }
}

impl Service<Request<Body>> for Patient {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(())) // each try waits for the channel itself
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { mut channel, patience } = self.clone();
        if patience.is_zero() {
            return Box::pin(async move { Ok(channel.ready().await?.call(request).await?) });
        }
        Box::pin(persist(channel, patience, request))
    }
}

async fn persist(
    channel: Channel,
    patience: Duration,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let deadline = Instant::now() + patience;
    let mut delay = FIRST;
    let mut before = 0_u32;
    loop {
        let mut parts = parts.clone();
        if before > 0 {
            parts.headers.insert(ATTEMPTS_HEADER, before.into());
        }
        before += 1;
        let outcome = attempt(channel.clone(), parts, body.clone()).await;
        let advised = match &outcome {
            Ok((_, status)) => match wait_after(status.as_ref()) {
                Some(advised) => advised,
                None => return outcome.map(|(response, _)| response),
            },
            Err(_) => Duration::ZERO,
        };
        let wait = advised.max(delay);
        if Instant::now() + wait > deadline {
            return outcome.map(|(response, _)| response);
        }
        tokio::time::sleep(wait).await;
        delay = (delay * 2).min(LONGEST);
    }
}

/// One try, with the whole answer: a connection may break between its head and its status.
async fn attempt(
    mut channel: Channel,
    parts: request::Parts,
    body: Bytes,
) -> Result<(Response<Body>, Option<Status>), BoxError> {
    let request = Request::from_parts(parts, Body::new(Full::new(body)));
    let (head, body) = channel.ready().await?.call(request).await?.into_parts();
    let body = body.collect().await?;
    let status =
        Status::from_header_map(&head.headers).or_else(|| body.trailers().and_then(Status::from_header_map));
    Ok((Response::from_parts(head, Body::new(body.map_err(|never| match never {}))), status))
}

/// How long to wait at least before the call is sent again; `None` if this answer stands.
fn wait_after(status: Option<&Status>) -> Option<Duration> {
    match status?.code() {
        Code::Unavailable => Some(Duration::ZERO),
        Code::ResourceExhausted => status?.get_details_retry_info()?.retry_delay,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tonic::transport::server::TcpIncoming;
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_answers_that_ask_for_it_are_repeated() {
        let advised = ErrorDetails::with_retry_info(Some(Duration::from_secs(2)));
        let full = Status::with_error_details(Code::ResourceExhausted, "full", advised);
        assert_eq!(wait_after(Some(&full)), Some(Duration::from_secs(2)));
        assert_eq!(wait_after(Some(&Status::unavailable("away"))), Some(Duration::ZERO));
        assert_eq!(wait_after(Some(&Status::resource_exhausted("no advice"))), None);
        assert_eq!(wait_after(Some(&Status::failed_precondition("no"))), None);
        assert_eq!(wait_after(None), None, "no status in the answer: it stands");
    }

    #[tokio::test]
    async fn a_server_that_comes_late_is_reached_and_the_call_arrives_whole() {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.bind((std::net::Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let at = socket.local_addr().expect("its address"); // where nobody listens for now
        let channel = Channel::from_shared(format!("http://{at}")).expect("an address").connect_lazy();
        let mut health = tonic_health::pb::health_client::HealthClient::new(Patient::new(
            channel,
            Duration::from_secs(30),
        ));
        let asked = tokio::spawn(async move {
            health.check(tonic_health::pb::HealthCheckRequest { service: "late".into() }).await
        });
        let (reporter, server) = tonic_health::server::health_reporter();
        reporter.set_service_status("late", tonic_health::ServingStatus::Serving).await;
        let listener = socket.listen(16).expect("a listener");
        drop(listener.accept().await.expect("a connection")); // if none was refused, then one breaks
        let listens = TcpIncoming::from(listener);
        let server = tonic::transport::Server::builder().add_service(server).serve_with_incoming(listens);
        let server = tokio::spawn(server);
        let answer = asked.await.expect("asked").expect("answered in the end").into_inner();
        assert_eq!(answer.status(), tonic_health::pb::health_check_response::ServingStatus::Serving);
        server.abort();
    }
}
