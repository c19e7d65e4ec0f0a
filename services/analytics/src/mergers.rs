//! Mergers of units (合并): whose past the figures of a unit hold. Closed cases stay where they were, open ones move with all that they
//! count; so what a unit was made of counts with it, and its figures say so.

use std::collections::HashMap;

use chassis::{
    Timestamp,
    topology::{Topology, Unit},
};
use uuid::Uuid;

/// The units at a unit and below it, in order: ended ones too, for their history stays, and those that became part of one there,
/// wherever they lay.
pub fn within(topology: &Topology, root: Uuid) -> Vec<Uuid> {
    let joined = |unit: Uuid| topology.became(unit).any(|next| next.path.contains(&root));
    let mut units: Vec<Uuid> = topology
        .units()
        .filter(|unit| unit.path.contains(&root) || (unit.successor_id.is_some() && joined(unit.id)))
        .map(|unit| unit.id)
        .collect();
    units.sort_unstable();
    units
}

/// What units were merged into, each with the end of the last of them.
#[derive(Debug)]
pub struct Successors(HashMap<Uuid, Timestamp>);

impl Successors {
    /// Of all mergers that are known.
    pub fn of(topology: &Topology) -> Self {
        let mut ends = HashMap::new();
        for unit in topology.units() {
            let Some(next) = unit.successor_id else { continue };
            let end = unit.valid_to.unwrap_or(Timestamp::MAX_UTC);
            let last = ends.entry(next).or_insert(end);
            *last = end.max(*last);
        }
        Self(ends)
    }

    /// Up to when a unit's past was counted on other boundaries: that of what it was made of. A unit that was merged itself has
    /// lost what was open then, on whichever day it counts. `None`: the boundaries were always these.
    pub fn rebased_before(&self, unit: &Unit) -> Option<Timestamp> {
        let merged = unit.successor_id.map(|_| Timestamp::MAX_UTC);
        merged.or_else(|| self.0.get(&unit.id).copied())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chassis::topology::{Changes, UnitKind, UnitState};

    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000 + seconds, 0).unwrap()
    }

    fn unit(n: u128, parent: u128, kind: UnitKind) -> Unit {
        Unit {
            id: id(n),
            code: n.to_string(),
            code_system: "test".into(),
            code_year: 2026,
            kind,
            name_zh: n.to_string(),
            name_en: String::new(),
            parent_id: (parent > 0).then(|| id(parent)),
            state: UnitState::Active,
            valid_from: None,
            valid_to: None,
            version: 1,
            moved: false,
            successor_id: None,
            path: Arc::from([]),
        }
    }

    fn merged(unit: Unit, next: u128, end: i64) -> Unit {
        Unit { state: UnitState::Merged, valid_to: Some(at(end)), successor_id: Some(id(next)), ..unit }
    }

    /// Communities 4 and 5 of street 2 became 6. Then streets 2 and 3 became 9, and 6, 7 and 8 lie there.
    fn district() -> Topology {
        use UnitKind::{Community, District, Street};
        let units = vec![
            unit(1, 0, District),
            merged(unit(2, 1, Street), 9, 20),
            merged(unit(3, 1, Street), 9, 20),
            merged(unit(4, 2, Community), 6, 10),
            merged(unit(5, 2, Community), 6, 10),
            unit(6, 9, Community),
            unit(7, 9, Community),
            unit(8, 9, Community),
            unit(9, 1, Street),
        ];
        Topology::build(Changes { units, ..Changes::default() }, 1)
    }

    #[test]
    fn what_a_unit_was_made_of_counts_with_it_however_often_it_was_merged() {
        let topology = district();
        let within = |root| within(&topology, id(root)).iter().map(Uuid::as_u128).collect::<Vec<_>>();
        assert_eq!(within(6), [4, 5, 6]);
        assert_eq!(within(9), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(within(1), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!((within(7), within(4), within(2)), (vec![7], vec![4], vec![2, 4, 5]));
        assert_eq!((topology.goes_on_at(id(2)), topology.goes_on_at(id(4))), (id(9), id(6)));
        assert_eq!(topology.goes_on_at(id(99)), id(99), "an unknown one stays by itself");
    }

    #[test]
    fn figures_are_on_other_boundaries_up_to_the_merger_and_of_what_was_merged_always() {
        let topology = district();
        let successors = Successors::of(&topology);
        let before = |n| successors.rebased_before(&topology.unit(id(n)).unwrap());
        assert_eq!((before(6), before(9)), (Some(at(10)), Some(at(20))));
        assert_eq!((before(2), before(4)), (Some(Timestamp::MAX_UTC), Some(Timestamp::MAX_UTC)));
        assert_eq!((before(1), before(7)), (None, None), "all of it lay there before");
    }

    #[test]
    fn mergers_in_a_circle_end() {
        let units = vec![
            merged(unit(1, 0, UnitKind::District), 2, 0),
            merged(unit(2, 0, UnitKind::District), 1, 0),
            unit(3, 0, UnitKind::District),
        ];
        let topology = Topology::build(Changes { units, ..Changes::default() }, 1);
        assert_eq!(within(&topology, id(3)), [id(3)]);
        assert_eq!(within(&topology, id(1)), [id(1), id(2)]);
    }
}
