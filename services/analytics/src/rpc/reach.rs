//! What a caller may see: whole subtrees, or only some lines of them. A unit out of reach is the same as none.
//!
//! C-11: a department does not appraise communities by its own figures. Who reaches by line only asks about streets and what
//! lies above them; there is no board of communities, and no indicator of one, for such a caller.

use chassis::{
    Error, Result,
    auth::{Caller, CallerKind},
    topology::{Topology, Unit, UnitKind},
};
use std::{collections::BTreeSet, sync::Arc};
use uuid::Uuid;

use crate::store::query::Selection;

/// A unit the caller reaches, with the lines that may be counted.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The unit.
    pub unit: Arc<Unit>,
    /// Only these lines; `None` for all.
    pub lines: Option<Vec<String>>,
}

impl Reached {
    /// The cells below the unit, ended units included: their history stays.
    pub fn selection(&self, topology: &Topology, item_code: Option<String>) -> Selection {
        let root = self.unit.id;
        let mut units: Vec<Uuid> =
            topology.units().filter(|unit| unit.path.contains(&root)).map(|unit| unit.id).collect();
        units.sort_unstable();
        Selection { units, lines: self.lines.clone(), item_code }
    }
}

/// The unit named in a request.
pub fn unit(caller: &Caller, topology: &Topology, field: &str, text: &str) -> Result<Reached> {
    let id = Uuid::try_parse(text).map_err(|_| Error::invalid(field, "must be a UUID"))?;
    let unit = topology.unit(id).ok_or_else(|| Error::not_found("unit", id))?;
    let lines = lines(caller, &unit).ok_or_else(|| Error::not_found("unit", id))?;
    Ok(Reached { unit, lines })
}

/// Lines the caller may count at a unit: `Some(None)` for all, `None` for none at all.
#[expect(clippy::option_option, reason = "out of reach and without limit are different things")]
fn lines(caller: &Caller, unit: &Unit) -> Option<Option<Vec<String>>> {
    if caller.reaches(&unit.path, None) {
        return Some(None);
    }
    if is_communitys(unit.kind) {
        return None;
    }
    let lines: BTreeSet<&String> = caller
        .scopes
        .iter()
        .filter_map(|scope| scope.line.as_ref())
        .filter(|line| caller.reaches(&unit.path, Some(line.as_str())))
        .collect();
    if lines.is_empty() { None } else { Some(Some(lines.into_iter().cloned().collect())) }
}

/// A community, or part of one.
const fn is_communitys(kind: UnitKind) -> bool {
    matches!(kind, UnitKind::Community | UnitKind::Courtyard | UnitKind::Doorway)
}

/// The caller's own unit, for a request that names none: the highest one granted; for a city with one district, that.
pub fn home(caller: &Caller, topology: &Topology) -> Result<Reached> {
    let granted: Vec<Arc<Unit>> = match caller.kind {
        CallerKind::Person => caller.scopes.iter().filter_map(|scope| topology.unit(scope.unit_id)).collect(),
        CallerKind::Service | CallerKind::System => {
            topology.units().filter(|unit| unit.parent_id.is_none()).cloned().collect()
        }
    };
    let highest = granted.into_iter().min_by(|a, b| (a.path.len(), &a.code).cmp(&(b.path.len(), &b.code)));
    let mut unit = highest.ok_or_else(|| Error::invalid("unit_id", "is needed"))?;
    if unit.kind == UnitKind::City
        && let [district] = topology.children(unit.id)
    {
        unit = district.clone();
    }
    let lines = lines(caller, &unit).ok_or_else(|| Error::not_found("unit", unit.id))?;
    Ok(Reached { unit, lines })
}

/// The units a board lists below one: its streets, or what is right below a street, unless that is nobody's to compare who
/// reaches by line only.
pub fn below(topology: &Topology, reached: &Reached) -> Vec<Arc<Unit>> {
    let root = &reached.unit;
    let mut streets: Vec<Arc<Unit>> = topology
        .units()
        .filter(|unit| unit.kind == UnitKind::Street && unit.id != root.id && unit.path.contains(&root.id))
        .cloned()
        .collect();
    if streets.is_empty() {
        streets = topology.children(root.id).to_vec();
        streets.retain(|unit| reached.lines.is_none() || !is_communitys(unit.kind));
    }
    streets.sort_by(|a, b| a.code.cmp(&b.code));
    streets
}
