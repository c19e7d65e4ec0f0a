//! The one layer in front of every RPC: load limits, deadline, admission, span, metric, and the last stand against a
//! panic. It must stay cheap: with telemetry off a call pays for a table lookup, a remembered token and a timer.

use std::{
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use opentelemetry::{KeyValue, metrics::Histogram};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty};

use super::waiting::Granted;
use crate::{
    auth::Gate,
    config::ServiceConfig,
    db::Abandonable,
    error::Error,
    pressure::{ATTEMPTS_HEADER, Pressure},
    telemetry::{self, SPAN},
};

/// Upper bounds of the duration histogram in seconds (semantic conventions of RPC).
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// How long a refused caller is asked to wait.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Makes [`Guard`]s.
#[derive(Clone)]
pub struct GuardLayer(Arc<Shared>);

struct Shared {
    service: String,
    gate: Gate,
    limit: Duration,
    max_in_flight: usize,
    /// Calls in hand: those that work, and those that wait for something to happen.
    working: Arc<AtomicUsize>,
    waiting: Arc<AtomicUsize>,
    pressure: Arc<Pressure>,
    duration: Option<Histogram<f64>>,
}

impl std::fmt::Debug for GuardLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GuardLayer").field("service", &self.0.service).finish_non_exhaustive()
    }
}

impl GuardLayer {
    /// For a service, behind a gate. Metrics are recorded when an OTLP endpoint is configured.
    pub fn new(config: &ServiceConfig, gate: Gate, pressure: Arc<Pressure>) -> Self {
        let duration = config.telemetry.otlp_endpoint.as_ref().map(|_| {
            opentelemetry::global::meter("jianghan")
                .f64_histogram("rpc.server.call.duration")
                .with_unit("s")
                .with_description("Duration of calls as the server sees them")
                .with_boundaries(BOUNDS.to_vec())
                .build()
        });
        Self(Arc::new(Shared {
            service: config.service.clone(),
            gate,
            limit: Duration::from_millis(config.grpc.request_timeout_ms),
            max_in_flight: config.grpc.max_in_flight,
            working: Arc::default(),
            waiting: Arc::default(),
            pressure,
            duration,
        }))
    }

    /// Calls in hand.
    pub fn in_flight(&self) -> usize {
        self.0.working.load(Ordering::Acquire) + self.0.waiting.load(Ordering::Acquire)
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, shared: self.0.clone() }
    }
}

/// A service behind the layer.
#[derive(Clone)]
pub struct Guard<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> std::fmt::Debug for Guard<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("service", &self.shared.service).finish_non_exhaustive()
    }
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let next = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, next); // the one that was polled ready
        let shared = self.shared.clone();
        Box::pin(async move {
            let span = shared.span(&request);
            let response = Shared::handle(&shared, inner, request, &span).instrument(span.clone()).await;
            Ok(response)
        })
    }
}

impl Shared {
    async fn handle<S>(
        shared: &Arc<Self>,
        mut inner: S,
        mut request: Request<Body>,
        span: &Span,
    ) -> Response<Body>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send,
        S::Future: Send,
    {
        let start = Instant::now();
        let path = request.uri().path().to_owned();
        let policy = shared.gate.policies().get(&path);
        let waits = policy.is_some_and(|policy| policy.waits);
        let in_hand = InHand::new(if waits { &shared.waiting } else { &shared.working });
        let deadline = deadline(request_timeout(&request), shared.limit);
        if waits {
            request.extensions_mut().insert(Granted(deadline));
        }
        let work = async {
            if in_hand.number > shared.max_in_flight {
                return Err(Error::Exhausted { retry_after: RETRY_AFTER }.into());
            }
            if policy.is_some_and(|policy| policy.begins_work) {
                // Before the token is looked at: a refusal must cost next to nothing.
                let back = request.headers().contains_key(ATTEMPTS_HEADER);
                shared.pressure.admit(in_hand.number, back).map_err(Status::from)?;
            }
            if let Some(caller) = shared.gate.admit(&path, request.headers()).await.map_err(Status::from)? {
                request.extensions_mut().insert(caller);
            }
            match inner.call(request).await {
                Ok(response) => Ok(response),
            }
        };
        let outcome =
            match tokio::time::timeout(deadline, AssertUnwindSafe(Abandonable::new(work)).catch_unwind())
                .await
            {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_panic)) => {
                    // The panic hook has logged where; what it said may hold data and stays out of the log.
                    tracing::error!(rpc.method = %path, "a handler panicked");
                    Err(Error::internal("a handler panicked").into())
                }
                Err(_late) => Err(Status::deadline_exceeded("the deadline of the call has passed")),
            };
        let response = outcome.unwrap_or_else(Status::into_http);
        shared.record(&path, code_of(response.headers()), start.elapsed(), span);
        response
    }

    /// The server span; disabled, and so nearly free, unless it is collected.
    fn span(&self, request: &Request<Body>) -> Span {
        let path = request.uri().path();
        let method = path.strip_prefix('/').unwrap_or(path);
        let span = tracing::info_span!(
            target: SPAN,
            "rpc",
            otel.name = method,
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = Empty,
            jianghan.service = self.service.as_str(),
        );
        if !span.is_disabled()
            && let Some(parent) = request.headers().get("traceparent").and_then(|v| v.to_str().ok())
        {
            telemetry::set_parent_from(&span, parent);
        }
        span
    }

    fn record(&self, path: &str, code: Code, took: Duration, span: &Span) {
        let server_fault = matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        if !span.is_disabled() {
            span.record("rpc.response.status_code", name_of(code));
            if server_fault {
                span.record("otel.status_code", "ERROR");
            }
        }
        if let Some(duration) = &self.duration {
            // Only methods of ours become a label: a caller must not be able to invent series.
            let method = match self.gate.policies().get(path) {
                Some(_) => path.strip_prefix('/').unwrap_or(path).to_owned(),
                None => "_OTHER".to_owned(),
            };
            let labels = [
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", method),
                KeyValue::new("rpc.response.status_code", name_of(code)),
                KeyValue::new("jianghan.service", self.service.clone()),
            ];
            duration.record(took.as_secs_f64(), &labels);
        }
        tracing::debug!(rpc.method = %path, rpc.status = name_of(code), duration_ms = took.as_millis() as u64, "call");
    }
}

/// Counts a call while it is in hand, also when it is cancelled.
struct InHand {
    calls: Arc<AtomicUsize>,
    number: usize,
}

impl InHand {
    fn new(calls: &Arc<AtomicUsize>) -> Self {
        let number = calls.fetch_add(1, Ordering::AcqRel) + 1;
        Self { calls: calls.clone(), number }
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

fn request_timeout(request: &Request<Body>) -> Option<Duration> {
    request.headers().get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse_timeout)
}

/// The caller's deadline, but never a longer one than ours.
fn deadline(asked: Option<Duration>, limit: Duration) -> Duration {
    asked.map_or(limit, |asked| asked.min(limit))
}

/// `grpc-timeout`: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(n * 3600)),
        'M' => Some(Duration::from_secs(n * 60)),
        'S' => Some(Duration::from_secs(n)),
        'm' => Some(Duration::from_millis(n)),
        'u' => Some(Duration::from_micros(n)),
        'n' => Some(Duration::from_nanos(n)),
        _ => None,
    }
}

/// The status as far as the headers tell; a unary success has it in the trailers.
fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

/// Name of a code as the semantic conventions spell it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
