//! What failed by itself, and is left alone for a while: the longest due is taken first, so it would keep everything else waiting.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

/// How long it is left alone. What was to blame may be gone then; until somebody sees to it, it is told of in the log as often.
const REST: Duration = Duration::from_secs(60);

/// What is left alone, and until when. Only in memory: another process, or the next one, fails at each once, which changes nothing.
#[derive(Debug, Default)]
pub struct PutOff(HashMap<Uuid, Instant>);

impl PutOff {
    /// Leaves it alone for a minute.
    pub fn add(&mut self, id: Uuid) {
        self.0.insert(id, Instant::now() + REST);
    }

    /// What is left alone now.
    pub fn ids(&mut self) -> Vec<Uuid> {
        let now = Instant::now();
        self.0.retain(|_, until| *until > now);
        self.0.keys().copied().collect()
    }
}
