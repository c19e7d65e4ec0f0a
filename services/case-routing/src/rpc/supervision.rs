//! How far a caller supervises.

use chassis::{auth::Caller, topology::UnitKind};

use crate::{atlas::World, domain::Case, reach};

/// The highest level of supervision that the caller's grants which reach the case give: a street's 1, a district's 2, a city's 3.
/// The grants are those that the RPC's policy names: one for something else, whatever it is over, is not among them.
pub fn highest_level(caller: &Caller, world: &World, case: &Case) -> u8 {
    let level = |kind| match kind {
        UnitKind::City => 3,
        UnitKind::District => 2,
        UnitKind::Street => 1,
        _ => 0,
    };
    let scopes = reach::place_scopes(caller).filter(|scope| reach::within(case, scope));
    let units = scopes.filter_map(|scope| world.topology.unit(scope.unit_id));
    units.map(|unit| level(unit.kind)).max().unwrap_or_default()
}
