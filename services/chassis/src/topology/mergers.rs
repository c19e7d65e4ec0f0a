//! Mergers of units (合并): what a unit became part of.

use std::sync::Arc;

use uuid::Uuid;

use super::{Topology, Unit};

/// More mergers in a row than units can have, unless they lead in a circle.
const MOST: usize = 64;

impl Topology {
    /// A unit, and one after the other what it became part of, as far as that is known. Nothing of an unknown one.
    pub fn became(&self, unit: Uuid) -> impl Iterator<Item = Arc<Unit>> {
        let successor = move |unit: &Arc<Unit>| self.unit(unit.successor_id?);
        std::iter::successors(self.unit(unit), successor).take(MOST)
    }

    /// The unit in which the matters of a unit go on: itself, or what it was merged into, however often.
    pub fn goes_on_at(&self, unit: Uuid) -> Uuid {
        self.became(unit).last().map_or(unit, |last| last.id)
    }

    /// What became part of a unit, by one merger or several, without the unit itself: what had ended there by then stands there still.
    pub fn parts_of(&self, unit: Uuid) -> Vec<Uuid> {
        let merged = |into: Uuid| self.merged_into.get(&into).into_iter().flatten().copied();
        let mut parts: Vec<Uuid> = merged(unit).collect();
        let mut looked_at = 0;
        while let Some(part) = parts.get(looked_at).copied() {
            let further: Vec<Uuid> = merged(part).filter(|id| *id != unit && !parts.contains(id)).collect();
            parts.extend(further);
            looked_at += 1;
        }
        parts
    }
}
