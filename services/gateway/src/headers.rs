//! What every answer of the edge carries: security headers, one span and one log line. Paths in logs are templates
//! without ids, and queries are never logged.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, header};
use tracing::Instrument;

use crate::App;

/// Nothing is loaded from elsewhere, nothing is framed, scripts and styles come from here as files.
const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                   form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Sets the security headers.
pub async fn secure(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Not `no-referrer`: browsers then send `Origin: null` with our own forms, and those would be refused.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers
        .insert("permissions-policy", HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if app.config.is_https() {
        let hsts = HeaderValue::from_static("max-age=31536000; includeSubDomains");
        headers.insert(header::STRICT_TRANSPORT_SECURITY, hsts);
    }
    response
}

/// The template a request matched, put into the answer by who knows it: paths carry ids, templates do not.
#[derive(Clone, Debug)]
pub struct Route(pub String);

/// Opens the request's span, under the caller's trace when it brings one, and logs how it ended.
pub async fn observe(request: Request, next: Next) -> Response {
    let span = tracing::info_span!(
        target: chassis::telemetry::SPAN,
        "http.request",
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
    );
    if let Some(parent) = request.headers().get("traceparent").and_then(|value| value.to_str().ok()) {
        chassis::telemetry::set_parent_from(&span, parent);
    }
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let started = tokio::time::Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    let route =
        response.extensions().get::<Route>().map(|route| route.0.clone()).or(matched).unwrap_or_default();
    span.record("http.route", route.as_str());
    span.record("http.response.status_code", status);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if response.status().is_server_error() {
        tracing::warn!(http.request.method = %method, http.route = route, http.response.status_code = status, duration_ms);
    } else {
        tracing::debug!(http.request.method = %method, http.route = route, http.response.status_code = status, duration_ms);
    }
    response
}
