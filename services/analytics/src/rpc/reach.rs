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

use crate::{mergers, store::query::Selection};

/// A unit the caller reaches, with the lines that may be counted.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The unit.
    pub unit: Arc<Unit>,
    /// Only these lines; `None` for all.
    pub lines: Option<Vec<String>>,
}

impl Reached {
    /// The cells below the unit, and those of what became part of it: their past is its own.
    pub fn selection(&self, topology: &Topology, item_code: Option<String>) -> Selection {
        let units = mergers::within(topology, self.unit.id);
        Selection { units, lines: self.lines.clone(), item_code }
    }
}

/// The unit named in a request. One that was merged is reached where it goes on, too: the grants over it went there.
pub fn unit(caller: &Caller, topology: &Topology, field: &str, text: &str) -> Result<Reached> {
    let id = Uuid::try_parse(text).map_err(|_| Error::invalid(field, "must be a UUID"))?;
    let unit = topology.unit(id).ok_or_else(|| Error::not_found("unit", id))?;
    let next = || topology.unit(topology.goes_on_at(id));
    let lines = lines(caller, &unit).or_else(|| next().and_then(|next| lines(caller, &next)));
    let lines = lines.ok_or_else(|| Error::not_found("unit", id))?;
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

#[cfg(test)]
mod tests {
    use chassis::{
        auth::{Role, Scope},
        topology::{Changes, UnitState},
    };
    use proptest::prelude::*;

    use super::super::hotspots::comparable;
    use super::*;

    const ROLES: [Role; 5] = [
        Role::DeptOfficer,
        Role::DeptLeader,
        Role::StreetSupervisor,
        Role::DistrictDispatcher,
        Role::Resident,
    ];
    const LINES: [&str; 3] = ["housing", "urban", "civil_affairs"];

    type Checked = std::result::Result<(), TestCaseError>;
    /// Role, unit and line of a grant, by number.
    type Grant = (usize, usize, Option<usize>);

    fn id(n: usize) -> Uuid {
        Uuid::from_u128(0x100 + n as u128)
    }

    /// A city and what lies below it: above which earlier unit each comes to lie, and how many levels lower.
    fn tree(nodes: &[(usize, i32)]) -> Topology {
        let lowest = UnitKind::Doorway as i32;
        let mut levels = vec![UnitKind::City as i32];
        let mut parents: Vec<Option<usize>> = vec![None];
        for (pick, jump) in nodes {
            let above: Vec<usize> = (0..levels.len()).filter(|n| levels[*n] < lowest).collect();
            let parent = above[*pick % above.len()];
            levels.push((levels[parent] + *jump).min(lowest));
            parents.push(Some(parent));
        }
        let units = levels.iter().zip(&parents).enumerate().map(|(n, (level, parent))| Unit {
            id: id(n),
            code: format!("{n:03}"),
            code_system: "test".into(),
            code_year: 2026,
            kind: UnitKind::try_from(*level).unwrap(),
            name_zh: format!("{n}"),
            name_en: format!("{n}"),
            parent_id: parent.map(id),
            state: UnitState::Active,
            valid_from: None,
            valid_to: None,
            version: 1,
            successor_id: None,
            moved: false,
            path: Arc::from([id(n)]),
        });
        Topology::build(Changes { units: units.collect(), ..Changes::default() }, 1)
    }

    fn caller(grants: &[Grant], units: usize) -> Caller {
        let scopes: Vec<Scope> = grants
            .iter()
            .map(|(role, unit, line)| Scope {
                role: ROLES[*role],
                unit_id: id(*unit % units),
                line: line.map(|line| LINES[line].to_owned()),
                org_id: None,
            })
            .collect();
        let roles = scopes.iter().map(|scope| scope.role).collect();
        Caller { scopes, roles, kind: CallerKind::Person, ..Caller::system("test") }
    }

    /// A community or what lies below it.
    fn is_small(kind: UnitKind) -> bool {
        kind as i32 >= UnitKind::Community as i32
    }

    /// What somebody gets who reaches by line only: figures of streets and above, of the granted lines, and no list that
    /// tells communities apart.
    fn appraises_no_community(caller: &Caller, topology: &Topology, reached: &Reached) -> Checked {
        prop_assert!(!is_small(reached.unit.kind), "{:?}", reached.unit.kind);
        let Some(lines) = &reached.lines else { return Err(TestCaseError::fail("every line is counted")) };
        prop_assert!(!lines.is_empty());
        for line in lines {
            let granted = caller
                .scopes
                .iter()
                .any(|scope| scope.line.as_ref() == Some(line) && reached.unit.path.contains(&scope.unit_id));
            prop_assert!(granted, "{line} was not granted");
        }
        prop_assert!(
            below(topology, reached).iter().all(|unit| !is_small(unit.kind)),
            "a board of communities"
        );
        let compared = comparable(topology, reached);
        let small = |id: &Uuid| topology.unit(*id).is_none_or(|unit| is_small(unit.kind));
        prop_assert!(!compared.iter().any(small), "hot spots of communities");
        Ok(())
    }

    fn nodes() -> impl Strategy<Value = Vec<(usize, i32)>> {
        proptest::collection::vec((0_usize..100, 1_i32..3), 0..40)
    }

    fn grants(line: impl Strategy<Value = Option<usize>>) -> impl Strategy<Value = Vec<Grant>> {
        proptest::collection::vec((0..ROLES.len(), 0_usize..100, line), 0..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        /// C-11, over scopes and units: no scoreboard of communities can be had by line.
        #[test]
        fn who_reaches_by_line_only_gets_no_figure_of_a_community(
            nodes in nodes(), grants in grants((0..LINES.len()).prop_map(Some)),
        ) {
            let topology = tree(&nodes);
            let caller = caller(&grants, nodes.len() + 1);
            for n in 0..=nodes.len() {
                match unit(&caller, &topology, "unit_id", &id(n).to_string()) {
                    Ok(reached) => appraises_no_community(&caller, &topology, &reached)?,
                    Err(error) => prop_assert!(matches!(error, Error::NotFound { .. }), "{error}"),
                }
            }
            if let Ok(reached) = home(&caller, &topology) {
                appraises_no_community(&caller, &topology, &reached)?;
            }
        }

        /// Whoever it is: a community is counted as a whole or not at all, and only for who was granted all of it; what else is
        /// held elsewhere, or by line, adds nothing.
        #[test]
        fn a_community_is_counted_only_for_who_was_granted_every_line_of_it(
            nodes in nodes(), grants in grants(proptest::option::of(0..LINES.len())),
        ) {
            let topology = tree(&nodes);
            let caller = caller(&grants, nodes.len() + 1);
            for n in 0..=nodes.len() {
                let path = topology.path(id(n)).unwrap();
                let whole = caller.scopes.iter().any(|scope| {
                    scope.role != Role::Resident && scope.line.is_none() && path.contains(&scope.unit_id)
                });
                let reached = unit(&caller, &topology, "unit_id", &id(n).to_string()).ok();
                if whole {
                    prop_assert!(reached.is_some_and(|reached| reached.lines.is_none()));
                } else if let Some(reached) = reached {
                    appraises_no_community(&caller, &topology, &reached)?;
                }
            }
        }
    }
}
