//! Settings of identity's own, section `[services.identity]`.

use serde::Deserialize;

/// Settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Password hashes computed at once; 0 means one per core. Each takes 19 MiB.
    pub hashing_threads: usize,
    /// Sign-ins that may wait for a turn; more are refused with `RESOURCE_EXHAUSTED`.
    pub hashing_queue: usize,
    /// A session that is not refreshed for so long ends, in minutes.
    pub session_idle_minutes: i64,
    /// The longest session, in hours.
    pub session_max_hours: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hashing_threads: 0,
            hashing_queue: 512,
            session_idle_minutes: 12 * 60,
            session_max_hours: 7 * 24,
        }
    }
}

impl Config {
    /// How many hashes at once.
    pub fn threads(&self) -> usize {
        match self.hashing_threads {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n,
        }
    }
}
