//! The name by which decisions cite a version of the responsibility list. It tells the catalogue in force as well, so that it
//! may change while the list stays the same.

use std::sync::Arc;

use super::event::Timestamp;

/// What a version of the list is cited as, by instant.
#[derive(Debug, Clone, Default)]
pub struct Citation {
    /// Before all others.
    first: Arc<str>,
    /// Each from its instant on, in their order.
    later: Vec<(Timestamp, Arc<str>)>,
}

impl Citation {
    /// Names with the instants from which they hold, in their order; the first one holds before as well.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = (Timestamp, String)>) -> Self {
        let later: Vec<(Timestamp, Arc<str>)> =
            names.into_iter().map(|(from, name)| (from, name.into())).collect();
        let first = later.first().map(|(_, name)| name.clone()).unwrap_or_default();
        Self { first, later }
    }

    /// The name for a decision of that instant.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> &Arc<str> {
        let known = self.later.iter().rev().find(|(from, _)| *from <= at);
        known.map_or(&self.first, |(_, name)| name)
    }
}

/// The same name always.
impl From<&str> for Citation {
    fn from(name: &str) -> Self {
        Self { first: name.into(), later: Vec::new() }
    }
}
