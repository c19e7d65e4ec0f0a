//! Events that arrived one after the other. Who hands them over, who handles them and what they cause share them: nothing is copied.

use std::{
    ops::{Deref, Range},
    sync::Arc,
};

use super::Event;

/// All or some of the events of a batch, in a row.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    all: Arc<Vec<Event>>,
    range: Range<usize>,
}

impl Stretch {
    /// How many of the batch come before it.
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    /// Its first half and its second, which has one more where the number is odd.
    pub(crate) fn halves(&self) -> (Self, Self) {
        let middle = self.range.start + self.len() / 2;
        let part = |range| Self { all: self.all.clone(), range };
        (part(self.range.start..middle), part(middle..self.range.end))
    }
}

impl From<Vec<Event>> for Stretch {
    fn from(events: Vec<Event>) -> Self {
        let range = 0..events.len();
        Self { all: Arc::new(events), range }
    }
}

impl Deref for Stretch {
    type Target = [Event];

    fn deref(&self) -> &[Event] {
        &self.all[self.range.clone()]
    }
}
