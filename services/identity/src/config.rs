//! Settings of identity's own, section `[services.identity]`.

use serde::Deserialize;

/// Hashes at once where no number is set: a machine of many cores must not take what its pod may not.
const MOST_THREADS: usize = 4;

/// Settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Password hashes computed at once; 0 means one per core, but not more than four. Each takes 19 MiB.
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
        self.threads_of(std::thread::available_parallelism().map_or(2, usize::from))
    }

    fn threads_of(&self, cores: usize) -> usize {
        match self.hashing_threads {
            0 => cores.min(MOST_THREADS),
            n => n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_machine_hashes_no_more_at_once_unless_it_is_told_to() {
        let threads = |set, cores| Config { hashing_threads: set, ..Config::default() }.threads_of(cores);
        assert_eq!([1, 2, 4, 64].map(|cores| threads(0, cores)), [1, 2, 4, 4]);
        assert_eq!((threads(1, 64), threads(12, 2)), (1, 12));
        assert!((1..=MOST_THREADS).contains(&Config::default().threads()));
    }
}
