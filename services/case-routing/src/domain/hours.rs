//! By which working hours a place is counted: those of the nearest unit that has its own, without the days on which that
//! unit or one above it is closed.

use std::collections::HashMap;

use calendar::Profile;

use super::ids::UnitId;

/// Working hours and closures by unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// Where no unit of the path has its own.
    pub usual: Profile,
    /// What holds in a unit that has its own, with what holds of those above it. All are of one version with the usual
    /// ones, which grows with every change of any.
    pub of_units: HashMap<UnitId, Profile>,
}

impl Hours {
    /// The same hours everywhere.
    #[must_use]
    pub fn everywhere(usual: Profile) -> Self {
        Self { usual, of_units: HashMap::new() }
    }

    /// What holds at a place, root → leaf.
    #[must_use]
    pub fn at(&self, place: &[UnitId]) -> &Profile {
        nearest(&self.of_units, place).unwrap_or(&self.usual)
    }
}

/// What the deepest unit of a path, root → leaf, has of its own.
pub(super) fn nearest<'m, T>(own: &'m HashMap<UnitId, T>, place: &[UnitId]) -> Option<&'m T> {
    if own.is_empty() {
        return None;
    }
    place.iter().rev().find_map(|unit| own.get(unit))
}
