//! Operations that every service answers alike: figures, parked events, domain time and reconcile digests. For the
//! operator only; no business content passes through here, digests being opaque.

mod gauges;
pub(crate) mod metrics;
mod service;

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

pub(crate) use self::gauges::tell;
pub use self::service::Ops;
use crate::error::{Error, Result};

/// What is counted for a list takes several calls where there is much of it; once nobody has asked for it again for so long, it is given
/// up: it may be true no more.
pub const ABANDONED: Duration = Duration::from_secs(60);

/// The answer while a list is still being counted: ask again soon.
pub const fn ask_again() -> Error {
    Error::Exhausted { retry_after: Duration::from_millis(100) }
}

/// The answer about a subject that a service does not hold: an empty list would be equal to that of another who does not either.
pub fn not_held() -> Error {
    Error::invalid("subject", "is none that this service holds")
}

/// The id that a list by ids goes on behind; nil at its start.
///
/// # Errors
/// `Invalid` for what is no key of such a list.
pub fn after_id(after: Option<&str>) -> Result<Uuid> {
    let id = after.map_or(Ok(Uuid::nil()), Uuid::parse_str);
    id.map_err(|_| Error::invalid("page_token", "is not a token of this list"))
}

/// What a service holds about one thing, as a text that is equal exactly when the holdings agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Id of the thing.
    pub key: String,
    /// What is held.
    pub value: String,
}

impl Digest {
    /// Of a key and a value.
    pub fn new(key: impl ToString, value: impl Into<String>) -> Self {
        Self { key: key.to_string(), value: value.into() }
    }
}

/// Gives the digests of a service, for `jianghan reconcile`.
#[async_trait]
pub trait DigestSource: Send + Sync + 'static {
    /// At most `limit` digests of a subject (`case`, `task`, `unit`, …; `ListDigestsRequest` has them all), ordered by key,
    /// after the key `after`; fewer only where there are no more.
    ///
    /// # Errors
    /// [`not_held`] for a subject that the service does not hold.
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>>;
}

/// Of a service that has nothing to compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDigests;

#[async_trait]
impl DigestSource for NoDigests {
    async fn digests(&self, _subject: &str, _after: Option<String>, _limit: i64) -> Result<Vec<Digest>> {
        Err(not_held())
    }
}
