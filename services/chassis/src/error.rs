//! The one error of the house. It has exactly two translations: to `tonic::Status` for RPCs, and [`Error::retryable`]
//! for consumers. It must never carry SQL, a path or a stack to a caller, and never personal data anywhere.

use std::{collections::HashMap, time::Duration};

use diesel::result::DatabaseErrorKind;
use tokio::task::JoinError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Result with the house's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Result of an RPC handler.
pub type RpcResult<T> = std::result::Result<tonic::Response<T>, Status>;

/// Source of an [`Error::Internal`]: logged with its chain, never sent.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Domain of `google.rpc.ErrorInfo`, by which clients recognise our reasons.
pub const ERROR_DOMAIN: &str = "jianghan";

/// What a failure that passes says to the caller where a statement waited too long for what others hold, or took too long itself:
/// whoever wants something else need not care.
const HELD: &str = "others are at work on this just now";

/// The same of a transaction that gave way to another one in a circle of waits.
const DEADLOCK: &str = "others did the same just then, try again";

/// The same where the statement met others in some other way: it may succeed at once.
const DISTURBED: &str = "the database is not available just now";

/// The same where no statement would succeed.
const UNREACHABLE: &str = "the database is not reachable";

/// What can go wrong in a command, a query or the handling of an event.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request is not acceptable. `field` is its proto path, such as `tasks[2].unit_id`.
    #[error("{field}: {message}")]
    Invalid {
        /// Proto path of the field.
        field: String,
        /// What is wrong, without repeating the value.
        message: String,
    },
    /// There is no such thing within the caller's reach.
    #[error("{kind} {id} was not found")]
    NotFound {
        /// Kind of the thing, such as `case`.
        kind: &'static str,
        /// Its id as the caller sent it.
        id: String,
    },
    /// The thing exists already.
    #[error("{kind} {id} exists already")]
    AlreadyExists {
        /// Kind of the thing.
        kind: &'static str,
        /// Its id or key.
        id: String,
    },
    /// The thing is in a state that does not allow this.
    #[error("{kind} {id}: {message}")]
    WrongState {
        /// Kind of the thing.
        kind: &'static str,
        /// Its id.
        id: String,
        /// Which state it is in and which would be needed.
        message: String,
        /// Which of the refusals it is that the description of a call names, such as `recused`.
        code: Option<String>,
    },
    /// The thing was changed by somebody else since the caller read it.
    #[error("{kind} {id} has changed meanwhile")]
    Stale {
        /// Kind of the thing.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// No valid credential.
    #[error("a valid token is needed")]
    Unauthenticated,
    /// The caller is known but may not do this at all.
    #[error("not permitted")]
    Forbidden,
    /// A limit was reached; try again after the given time.
    #[error("too much at once, try again later")]
    Exhausted {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something this needs is not reachable just now. The message is sent to the caller: fixed text only.
    #[error("{message}")]
    Unavailable {
        /// Which part is missing, in fixed words.
        message: String,
    },
    /// A defect or a broken environment. The caller sees fixed text; the chain is logged once.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl Error {
    /// A field of the request is not acceptable.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), message: message.into() }
    }

    /// There is no such thing within reach.
    pub fn not_found(kind: &'static str, id: impl ToString) -> Self {
        Self::NotFound { kind, id: id.to_string() }
    }

    /// The thing exists already.
    pub fn already_exists(kind: &'static str, id: impl ToString) -> Self {
        Self::AlreadyExists { kind, id: id.to_string() }
    }

    /// The thing's state does not allow this.
    pub fn wrong_state(kind: &'static str, id: impl ToString, message: impl Into<String>) -> Self {
        Self::WrongState { kind, id: id.to_string(), message: message.into(), code: None }
    }

    /// The same, as a refusal that the description of the call names by a code.
    pub fn barred(
        kind: &'static str,
        id: impl ToString,
        code: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self::WrongState { kind, id: id.to_string(), message: message.into(), code: Some(code.into()) }
    }

    /// The thing was changed by somebody else.
    pub fn stale(kind: &'static str, id: impl ToString) -> Self {
        Self::Stale { kind, id: id.to_string() }
    }

    /// Something needed is not reachable; fixed words only.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into() }
    }

    /// A defect or a broken environment. Takes an error or a text.
    pub fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal(source.into())
    }

    /// A task that did not come to its end. What a panic said may hold data and goes no further; the log has
    /// [where](crate::telemetry::log_panics) it was.
    pub fn task(lost: JoinError) -> Self {
        Self::internal(if lost.is_panic() { "a task panicked" } else { "a task was cancelled" })
    }

    /// Whether the same act may succeed later without anybody changing anything. Consumers retry what is
    /// retryable for as long as it takes, and count attempts for the rest.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Stale { .. } | Self::Exhausted { .. } | Self::Unavailable { .. } => true,
            Self::Invalid { .. }
            | Self::NotFound { .. }
            | Self::AlreadyExists { .. }
            | Self::WrongState { .. }
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::Internal(_) => false,
        }
    }

    /// Whether a statement waited too long: for what others hold, or for its own end.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::Unavailable { message } if message == HELD)
    }

    /// Whether it may come of what was attempted, or of whoever holds that: something else may succeed, and need not wait for it.
    pub fn is_particular(&self) -> bool {
        !self.retryable() || self.is_held()
    }

    /// Whether something is missing that everything else needs as well.
    pub(crate) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { message } if ![HELD, DEADLOCK, DISTURBED].contains(&message.as_str()))
    }

    /// Whether transactions waited for each other in a circle and this one gave way: nothing of it was carried out, and at once it
    /// may succeed.
    pub fn is_deadlock(&self) -> bool {
        matches!(self, Self::Unavailable { message } if message == DEADLOCK)
    }

    /// Stable code of the kind: `ErrorInfo.reason` in lower case, cause of a parked event, metric attribute.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "invalid",
            Self::NotFound { .. } => "not_found",
            Self::AlreadyExists { .. } => "already_exists",
            Self::WrongState { .. } => "wrong_state",
            Self::Stale { .. } => "stale",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Exhausted { .. } => "exhausted",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The error with its whole chain in one line: for logs and parked events only.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// What another service's answer means here. A peer's refusal of our own credential or its defect is our defect
    /// or an outage, not the caller's fault.
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let metadata = details.error_info().map(|info| info.metadata.clone()).unwrap_or_default();
        let id = metadata.get("id").cloned().unwrap_or_default();
        const KIND: &str = "resource";
        match status.code() {
            Code::InvalidArgument => {
                let violation = details.bad_request().and_then(|b| b.field_violations.first());
                match violation {
                    Some(v) => Self::invalid(v.field.clone(), v.description.clone()),
                    None => Self::invalid("request", status.message()),
                }
            }
            Code::NotFound => Self::NotFound { kind: KIND, id },
            Code::AlreadyExists => Self::AlreadyExists { kind: KIND, id },
            Code::FailedPrecondition => {
                let (message, code) = (status.message().to_owned(), metadata.get("code").cloned());
                Self::WrongState { kind: KIND, id, message, code }
            }
            Code::Aborted => Self::Stale { kind: KIND, id },
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::Forbidden,
            Code::ResourceExhausted => {
                let delay = details.retry_info().and_then(|r| r.retry_delay);
                Self::Exhausted { retry_after: delay.unwrap_or(Duration::from_secs(1)) }
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                Self::unavailable("another service is not reachable")
            }
            Code::Ok
            | Code::Unknown
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss => {
                Self::internal(format!("a peer answered {:?}: {}", status.code(), status.message()))
            }
        }
    }

    fn grpc_code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::InvalidArgument,
            Self::NotFound { .. } => Code::NotFound,
            Self::AlreadyExists { .. } => Code::AlreadyExists,
            Self::WrongState { .. } => Code::FailedPrecondition,
            Self::Stale { .. } => Code::Aborted,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Forbidden => Code::PermissionDenied,
            Self::Exhausted { .. } => Code::ResourceExhausted,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::Internal(_) = error {
            tracing::error!(error = %error.chain(), "internal error");
        }
        let mut metadata = HashMap::new();
        match &error {
            Error::NotFound { kind, id }
            | Error::AlreadyExists { kind, id }
            | Error::WrongState { kind, id, .. }
            | Error::Stale { kind, id } => {
                metadata.insert("kind".to_owned(), (*kind).to_owned());
                metadata.insert("id".to_owned(), id.clone());
            }
            _ => {}
        }
        if let Error::WrongState { code: Some(code), .. } = &error {
            metadata.insert("code".to_owned(), code.clone());
        }
        let mut details = ErrorDetails::with_error_info(error.code().to_uppercase(), ERROR_DOMAIN, metadata);
        match &error {
            Error::Invalid { field, message } => {
                details.add_bad_request_violation(field.clone(), message.clone());
            }
            Error::Exhausted { retry_after } => {
                details.set_retry_info(Some(*retry_after));
            }
            _ => {}
        }
        Status::with_error_details(error.grpc_code(), error.to_string(), details)
    }
}

impl From<diesel::result::Error> for Error {
    /// `NotFound` of diesel is no domain answer: stores ask with `.optional()`, so it is a defect here.
    fn from(error: diesel::result::Error) -> Self {
        if let Some(message) = passing(&error) {
            tracing::warn!(error = %error, "the database did not carry the statement out");
            return Self::unavailable(message);
        }
        Self::internal(error)
    }
}

/// Failures that pass, with what the caller is told: lost connections, restarts, deadlocks, serialization failures, a full disk, and
/// statements that took too long. diesel names only some of them and keeps the SQLSTATE to itself; the server's fixed English
/// messages (`db/language.rs` sees to that) tell the rest.
fn passing(error: &diesel::result::Error) -> Option<&'static str> {
    const MESSAGES: [(&str, &str); 11] = [
        // 55P03, the second asked for with NOWAIT, and 57014.
        ("canceling statement due to lock timeout", HELD),
        ("could not obtain lock on", HELD),
        ("canceling statement due to statement timeout", HELD),
        // By an administrator, or a standby's recovery.
        ("canceling statement due to", DISTURBED),
        ("deadlock detected", DEADLOCK),
        // Told of a statement that another joined with it made fail; tried again, that one tells.
        ("current transaction is aborted", DISTURBED),
        ("terminating connection", UNREACHABLE),
        ("the database system is", UNREACHABLE),
        ("too many clients", UNREACHABLE),
        ("remaining connection slots are reserved", UNREACHABLE),
        // 53100: until somebody makes room.
        ("No space left on device", UNREACHABLE),
    ];
    match error {
        diesel::result::Error::DatabaseError(kind, info) => match kind {
            DatabaseErrorKind::SerializationFailure => Some(DISTURBED),
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction => Some(UNREACHABLE),
            DatabaseErrorKind::Unknown => {
                let message = info.message();
                MESSAGES.iter().find(|(text, _)| message.contains(text)).map(|(_, told)| *told)
            }
            _ => None,
        },
        diesel::result::Error::BrokenTransactionManager | diesel::result::Error::AlreadyInTransaction => {
            Some(UNREACHABLE)
        }
        _ => None,
    }
}

impl From<diesel_async::pooled_connection::PoolError> for Error {
    fn from(error: diesel_async::pooled_connection::PoolError) -> Self {
        tracing::warn!(error = %error, "no database connection");
        Self::unavailable(UNREACHABLE)
    }
}

impl From<diesel_async::pooled_connection::bb8::RunError> for Error {
    fn from(error: diesel_async::pooled_connection::bb8::RunError) -> Self {
        tracing::warn!(error = %error, "no database connection");
        Self::unavailable(UNREACHABLE)
    }
}

impl From<prost::DecodeError> for Error {
    fn from(error: prost::DecodeError) -> Self {
        Self::internal(error)
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
