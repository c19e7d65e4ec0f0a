//! RFC 9457 problems: how the edge refuses. The text comes from the services' own errors and never tells internals.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// `application/problem+json`.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// Kind of the problem: a name that stays the same, in the form of a path. Nothing is served there.
    #[serde(rename = "type")]
    pub kind: String,
    /// Short text of the kind.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// What was wrong this time.
    pub detail: String,
    /// The gRPC code, such as `INVALID_ARGUMENT`.
    pub code: &'static str,
    /// Fields that were wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Advised wait before a retry, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", rename = "retryAfterMs")]
    pub retry_after_ms: Option<u64>,
    /// Which of the refusals it is that the description of the call names, such as `recused`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The verbs the path takes, for the `Allow` header.
    #[serde(skip)]
    allow: String,
}

/// One field that was wrong.
#[derive(Clone, Debug, Serialize)]
pub struct FieldError {
    /// Name of the field as JSON spells it, with its path: `place.unitId`, `states[0]`.
    pub field: String,
    /// What was wrong with it.
    pub message: String,
}

impl Problem {
    fn new(code: Code, detail: &str) -> Box<Self> {
        let (status, name, title) = describe(code);
        Box::new(Self {
            kind: format!("/problems/{}", name.to_ascii_lowercase().replace('_', "-")),
            title,
            status: status.as_u16(),
            detail: detail.to_owned(),
            code: name,
            errors: Vec::new(),
            retry_after_ms: None,
            reason: None,
            allow: String::new(),
        })
    }

    /// A field the caller sent does not fit.
    pub fn invalid(field: &str, message: &str) -> Box<Self> {
        let field = json_name(field);
        let mut problem = Self::new(Code::InvalidArgument, &format!("{field}: {message}"));
        problem.errors.push(FieldError { field, message: message.to_owned() });
        problem
    }

    /// No RPC is bound to the path.
    pub fn no_route() -> Box<Self> {
        Self::new(Code::NotFound, "no method is bound to this path; see /openapi.json")
    }

    /// The path is bound, to these other verbs.
    pub fn wrong_verb(allowed: &[Method]) -> Box<Self> {
        let mut problem = Self::new(Code::Unimplemented, "this path takes other HTTP methods");
        problem.status = StatusCode::METHOD_NOT_ALLOWED.as_u16();
        problem.allow = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        problem
    }

    /// The body is larger than the edge takes: more than so many bytes.
    pub fn too_large(most: usize) -> Box<Self> {
        let mut problem = Self::invalid("body", &format!("has at most {} MiB", most >> 20));
        problem.status = StatusCode::PAYLOAD_TOO_LARGE.as_u16();
        problem
    }

    /// The request was not in, or not answered, in time.
    pub fn too_slow() -> Box<Self> {
        Self::new(Code::DeadlineExceeded, "there was no answer in time")
    }

    /// Something failed here that the caller can do nothing about.
    pub fn internal() -> Box<Self> {
        Self::new(Code::Internal, "the request could not be completed")
    }
}

impl From<Status> for Box<Problem> {
    fn from(status: Status) -> Self {
        let mut problem = Problem::new(status.code(), status.message());
        let details = status.get_error_details();
        if let Some(bad) = details.bad_request() {
            problem.errors = bad
                .field_violations
                .iter()
                .map(|violation| FieldError {
                    field: json_name(&violation.field),
                    message: violation.description.clone(),
                })
                .collect();
            let told: Vec<_> = problem.errors.iter().map(|e| format!("{}: {}", e.field, e.message)).collect();
            if !told.is_empty() {
                problem.detail = told.join("; "); // the services' own sentence spells fields as the protos do
            }
        }
        problem.reason = details.error_info().and_then(|info| info.metadata.get("code").cloned());
        if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
            problem.retry_after_ms = Some(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is made of strings and numbers: it always has a JSON form.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let set = |headers: &mut http::HeaderMap, name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(headers, header::CONTENT_TYPE, "application/problem+json");
        if let Some(ms) = self.retry_after_ms {
            set(headers, header::RETRY_AFTER, &ms.div_ceil(1000).max(1).to_string());
        }
        if !self.allow.is_empty() {
            set(headers, header::ALLOW, &self.allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            set(headers, header::WWW_AUTHENTICATE, "Bearer");
        }
        response
    }
}

/// `place_unit_id` → `placeUnitId`, also inside a path such as `points[0].unit_id`.
fn json_name(path: &str) -> String {
    let mut name = String::with_capacity(path.len());
    let mut upper = false;
    for c in path.chars() {
        if c == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            name.extend(c.to_uppercase());
        } else {
            name.push(c);
        }
    }
    name
}

fn describe(code: Code) -> (StatusCode, &'static str, &'static str) {
    match code {
        Code::InvalidArgument => (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "The request is not valid"),
        Code::OutOfRange => (StatusCode::BAD_REQUEST, "OUT_OF_RANGE", "The request is not valid"),
        Code::FailedPrecondition => {
            (StatusCode::CONFLICT, "FAILED_PRECONDITION", "Not possible in this state")
        }
        Code::Unauthenticated => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "Sign in first"),
        Code::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED", "Not permitted"),
        Code::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND", "Not found"),
        Code::AlreadyExists => (StatusCode::CONFLICT, "ALREADY_EXISTS", "Exists already"),
        Code::Aborted => (StatusCode::CONFLICT, "ABORTED", "Changed meanwhile"),
        Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", "Too much at once"),
        Code::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "Not available now"),
        Code::DeadlineExceeded => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED", "Took too long"),
        Code::Unimplemented => (StatusCode::NOT_IMPLEMENTED, "UNIMPLEMENTED", "Not offered"),
        Code::Cancelled => (StatusCode::REQUEST_TIMEOUT, "CANCELLED", "Cancelled"),
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => {
            (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "Failed here")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_details_keeps_its_fields_and_its_wait() {
        let mut details = tonic_types::ErrorDetails::new();
        details.add_bad_request_violation("place_unit_id", "no such unit");
        details.set_retry_info(Some(std::time::Duration::from_millis(250)));
        let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
        let problem = Box::<Problem>::from(status);
        assert_eq!(problem.status, 429);
        assert_eq!(problem.errors[0].field, "placeUnitId");
        assert_eq!(problem.detail, "placeUnitId: no such unit");
        assert_eq!(problem.retry_after_ms, Some(250));
        let response = problem.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_refusal_that_the_call_names_is_told_by_its_code() {
        let barred = chassis::Error::barred("case", "c1", "recused", "recused: it steps aside");
        let problem = Box::<Problem>::from(Status::from(barred));
        assert_eq!((problem.status, problem.detail.as_str()), (409, "case c1: recused: it steps aside"));
        let told = serde_json::to_value(&problem).expect("JSON");
        assert_eq!((&told["code"], &told["reason"]), (&"FAILED_PRECONDITION".into(), &"recused".into()));
        let other = Box::<Problem>::from(Status::from(chassis::Error::wrong_state("case", "c1", "closed")));
        assert!(serde_json::to_value(&other).expect("JSON").get("reason").is_none());
    }

    #[test]
    fn an_internal_status_has_one_kind_and_no_fields() {
        let problem = Box::<Problem>::from(Status::internal("the request could not be completed"));
        assert_eq!((problem.status, problem.kind.as_str()), (500, "/problems/internal"));
        assert!(problem.errors.is_empty());
    }
}
