//! Posting to other systems: where may be posted to, signed how, and the one request itself. Endpoints are set by the operator
//! only; each is still treated as hostile: no redirects, no addresses inside, bounded time and size.

mod client;
mod network;
mod sign;

pub use self::{
    client::Poster,
    network::Networks,
    sign::{Secret, secret_text, signature},
};

use serde::Deserialize;

use crate::domain::exchange::Backoff;

/// `[services.case-routing.webhook]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Whether endpoints on this machine, also without TLS, may be used: for trials and tests.
    pub loopback: bool,
    /// Networks that are not public and may be called all the same, such as `10.20.0.0/16`.
    pub networks: Vec<String>,
    /// PEM file of certificate authorities trusted besides the system's. Empty: none.
    pub ca_file: String,
    /// Real time between two looks for what is due, in milliseconds.
    pub poll_ms: u64,
    /// Longest time of one delivery, in milliseconds.
    pub timeout_ms: u64,
    /// Time after the longest delivery in which its outcome is to be noted, in milliseconds: then the next sender takes the ticket up.
    pub noting_ms: u64,
    /// Wait after the first failure, in milliseconds; it doubles, less a random part.
    pub retry_first_ms: i64,
    /// Longest wait, in milliseconds.
    pub retry_max_ms: i64,
    /// Failures in a row after which a ticket is given up until an operator says otherwise.
    pub attempts: i32,
    /// Hours after which a referral, or words to it, count as given up that the system does not fetch, or that wait because it is paused.
    pub untaken_hours: u16,
    /// Days that delivered changes are kept.
    pub keep_days: u16,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            loopback: false,
            networks: Vec::new(),
            ca_file: String::new(),
            poll_ms: 1_000,
            timeout_ms: 10_000,
            noting_ms: 20_000,
            retry_first_ms: 5_000,
            retry_max_ms: 3_600_000,
            attempts: 12,
            untaken_hours: 24,
            keep_days: 90,
        }
    }
}

impl WebhookConfig {
    /// When deliveries are tried again.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            first_ms: self.retry_first_ms.max(1),
            most_ms: self.retry_max_ms.max(1),
            attempts: self.attempts.max(1),
        }
    }
}
