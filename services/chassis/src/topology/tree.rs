//! The topology in memory: an immutable whole, made anew on each change, so that readers never wait and never see a
//! half-moved tree.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::model::{Edge, EdgeKind, Organization, Unit};
use crate::clock::Timestamp;

/// The longest path taken; a longer one is a cycle.
const MAX_DEPTH: usize = 32;

/// Units, organisations and edges with the look-ups that services need.
#[derive(Debug, Default)]
pub struct Topology {
    units: HashMap<Uuid, Arc<Unit>>,
    units_by_code: HashMap<String, Arc<Unit>>,
    children: HashMap<Uuid, Vec<Arc<Unit>>>,
    /// What was merged into a unit, by code.
    pub(super) merged_into: HashMap<Uuid, Vec<Uuid>>,
    orgs: HashMap<Uuid, Arc<Organization>>,
    orgs_by_code: HashMap<String, Arc<Organization>>,
    orgs_at: HashMap<Uuid, Vec<Arc<Organization>>>,
    edges: HashMap<Uuid, Arc<Edge>>,
    edges_from: HashMap<Uuid, Vec<Arc<Edge>>>,
    edges_to: HashMap<Uuid, Vec<Arc<Edge>>>,
    version: i64,
}

/// What has changed, or everything there is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Units; their paths are not looked at.
    pub units: Vec<Unit>,
    /// Organisations.
    pub orgs: Vec<Organization>,
    /// Edges.
    pub edges: Vec<Edge>,
}

impl Changes {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty() && self.orgs.is_empty() && self.edges.is_empty()
    }

    /// Keeps the newest of each thing.
    pub(super) fn newest(mut self) -> Self {
        newest(&mut self.units, |u| (u.id, u.version));
        newest(&mut self.orgs, |o| (o.id, o.version));
        newest(&mut self.edges, |e| (e.id, e.version));
        self
    }
}

fn newest<T>(items: &mut Vec<T>, key: impl Fn(&T) -> (Uuid, i64)) {
    items.sort_by_key(|item| std::cmp::Reverse(key(item)));
    items.dedup_by_key(|item| key(item).0);
    items.reverse(); // by id, for a fixed lock order
}

impl Topology {
    /// Everything from a list, at a version of the database.
    pub fn build(all: Changes, version: i64) -> Self {
        Self::default().with(all, version)
    }

    /// With changes applied; of two versions of a thing the newer wins.
    pub fn with(&self, changes: Changes, version: i64) -> Self {
        let mut units: HashMap<Uuid, Unit> = self.units.iter().map(|(id, u)| (*id, Unit::clone(u))).collect();
        let mut orgs = self.orgs.clone();
        let mut edges = self.edges.clone();
        for unit in changes.units {
            let old = units.get(&unit.id);
            if old.is_none_or(|old| old.gives_way_to(&unit)) {
                let moves = |old: &Unit| old.moved || old.parent_id != unit.parent_id;
                let moved = unit.moved || old.is_some_and(moves);
                units.insert(unit.id, Unit { moved, ..unit });
            }
        }
        for org in changes.orgs {
            if orgs.get(&org.id).is_none_or(|old| old.version < org.version) {
                orgs.insert(org.id, Arc::new(org));
            }
        }
        for edge in changes.edges {
            if edges.get(&edge.id).is_none_or(|old| old.version < edge.version) {
                edges.insert(edge.id, Arc::new(edge));
            }
        }
        Self::index(units, orgs, edges, version)
    }

    /// Of a list, what is not known here, or only as it was before.
    pub(super) fn lacks(&self, mut all: Changes) -> Changes {
        all.units.retain(|unit| self.units.get(&unit.id).is_none_or(|old| old.gives_way_to(unit)));
        all.orgs.retain(|org| self.orgs.get(&org.id).is_none_or(|old| old.version < org.version));
        all.edges.retain(|edge| self.edges.get(&edge.id).is_none_or(|old| old.version < edge.version));
        all
    }

    fn index(
        units: HashMap<Uuid, Unit>,
        orgs: HashMap<Uuid, Arc<Organization>>,
        edges: HashMap<Uuid, Arc<Edge>>,
        version: i64,
    ) -> Self {
        let paths: HashMap<Uuid, Arc<[Uuid]>> = units.keys().map(|id| (*id, path_of(&units, *id))).collect();
        let units: HashMap<Uuid, Arc<Unit>> = units
            .into_iter()
            .map(|(id, unit)| (id, Arc::new(Unit { path: paths[&id].clone(), ..unit })))
            .collect();
        let mut topology = Self { version, ..Self::default() };
        for unit in sorted(&units, |u| u.code.as_str()) {
            by_code(&mut topology.units_by_code, &unit.code, &unit, |u| u.valid_to);
            if let Some(parent) = unit.parent_id {
                topology.children.entry(parent).or_default().push(unit.clone());
            }
            if let Some(successor) = unit.successor_id {
                topology.merged_into.entry(successor).or_default().push(unit.id);
            }
        }
        for org in sorted(&orgs, |o| o.code.as_str()) {
            by_code(&mut topology.orgs_by_code, &org.code, &org, |o| o.valid_to);
            topology.orgs_at.entry(org.unit_id).or_default().push(org.clone());
        }
        let mut all: Vec<_> = edges.values().cloned().collect();
        all.sort_by_key(|edge| edge.id);
        for edge in all {
            topology.edges_from.entry(edge.from_org_id).or_default().push(edge.clone());
            topology.edges_to.entry(edge.to_org_id).or_default().push(edge);
        }
        topology.units = units;
        topology.orgs = orgs;
        topology.edges = edges;
        topology
    }

    /// Whether nothing is known yet.
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Version of the database with which any of it changed last.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Ids from the root to a unit.
    pub fn path(&self, unit_id: Uuid) -> Option<Arc<[Uuid]>> {
        self.units.get(&unit_id).map(|unit| unit.path.clone())
    }

    /// A unit, also one that has ended.
    pub fn unit(&self, id: Uuid) -> Option<Arc<Unit>> {
        self.units.get(&id).cloned()
    }

    /// The unit of a code; of several over time the one that has not ended.
    pub fn unit_by_code(&self, code: &str) -> Option<Arc<Unit>> {
        self.units_by_code.get(code).cloned()
    }

    /// Every unit, in no order.
    pub fn units(&self) -> impl Iterator<Item = &Arc<Unit>> {
        self.units.values()
    }

    /// Units right below one, by code.
    pub fn children(&self, unit_id: Uuid) -> &[Arc<Unit>] {
        self.children.get(&unit_id).map_or(&[], Vec::as_slice)
    }

    /// Whether `unit` is `root` or lies below it.
    pub fn is_within(&self, unit: Uuid, root: Uuid) -> bool {
        self.units.get(&unit).is_some_and(|unit| unit.path.contains(&root))
    }

    /// The unit of a kind on the path to a unit (itself included), such as its street.
    pub fn ancestor(&self, unit_id: Uuid, kind: super::UnitKind) -> Option<Arc<Unit>> {
        let path = self.path(unit_id)?;
        path.iter().rev().filter_map(|id| self.units.get(id)).find(|unit| unit.kind == kind).cloned()
    }

    /// Whether a unit may have lain under another parent before, so that what happened there stands under that one. Of a unit that
    /// this copy learnt of only after a change, its parent tells: units come under another one when their own becomes part of it.
    pub fn has_moved(&self, unit_id: Uuid) -> bool {
        let moves = |unit: &Arc<Unit>| {
            let merged = unit.parent_id.is_some_and(|parent| self.merged_into.contains_key(&parent));
            unit.moved || (unit.version > 1 && merged)
        };
        self.units.get(&unit_id).is_none_or(moves)
    }

    /// An organisation, also one that has ended.
    pub fn org(&self, id: Uuid) -> Option<Arc<Organization>> {
        self.orgs.get(&id).cloned()
    }

    /// The organisation of a code; of several over time the one that has not ended.
    pub fn org_by_code(&self, code: &str) -> Option<Arc<Organization>> {
        self.orgs_by_code.get(code).cloned()
    }

    /// Every organisation, in no order.
    pub fn orgs(&self) -> impl Iterator<Item = &Arc<Organization>> {
        self.orgs.values()
    }

    /// Organisations that sit at a unit, by code.
    pub fn orgs_at(&self, unit_id: Uuid) -> &[Arc<Organization>] {
        self.orgs_at.get(&unit_id).map_or(&[], Vec::as_slice)
    }

    /// Kind of the edge between two organisations that has not ended; of several the strongest (`leads` first).
    pub fn edge(&self, from_org: Uuid, to_org: Uuid) -> Option<EdgeKind> {
        let open = self.edges_from(from_org).iter().filter(|e| e.to_org_id == to_org && e.valid_to.is_none());
        open.map(|edge| edge.kind).min_by_key(|kind| *kind as i32)
    }

    /// Edges that start at an organisation, also ended ones.
    pub fn edges_from(&self, org: Uuid) -> &[Arc<Edge>] {
        self.edges_from.get(&org).map_or(&[], Vec::as_slice)
    }

    /// Edges that end at an organisation, also ended ones.
    pub fn edges_to(&self, org: Uuid) -> &[Arc<Edge>] {
        self.edges_to.get(&org).map_or(&[], Vec::as_slice)
    }
}

fn sorted<T>(items: &HashMap<Uuid, Arc<T>>, code: impl Fn(&T) -> &str) -> Vec<Arc<T>> {
    let mut all: Vec<_> = items.iter().collect();
    all.sort_by(|(a, x), (b, y)| code(x).cmp(code(y)).then(a.cmp(b)));
    all.into_iter().map(|(_, item)| item.clone()).collect()
}

/// Keeps, for a code, what has not ended, or else what ended last.
fn by_code<T>(
    map: &mut HashMap<String, Arc<T>>,
    code: &str,
    item: &Arc<T>,
    ended: impl Fn(&T) -> Option<Timestamp>,
) {
    let later = |end: Option<Timestamp>| end.unwrap_or(Timestamp::MAX_UTC);
    match map.get(code) {
        Some(old) if later(ended(old)) >= later(ended(item)) => {}
        _ => {
            map.insert(code.to_owned(), item.clone());
        }
    }
}

/// Root → leaf. Until a parent is known the path starts below it, which reaches less, never more.
fn path_of(units: &HashMap<Uuid, Unit>, id: Uuid) -> Arc<[Uuid]> {
    let mut path = vec![id];
    let mut at = units.get(&id).and_then(|unit| unit.parent_id);
    while let Some(parent) = at.filter(|parent| path.len() < MAX_DEPTH && !path.contains(parent)) {
        let Some(unit) = units.get(&parent) else { break };
        path.push(parent);
        at = unit.parent_id;
    }
    path.reverse();
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Clock, topology::*};

    fn unit(id: u128, parent: u128, kind: UnitKind, version: i64) -> Unit {
        Unit {
            id: Uuid::from_u128(id),
            code: format!("u{id}"),
            code_system: String::new(),
            code_year: 0,
            kind,
            name_zh: format!("单元{id}"),
            name_en: String::new(),
            parent_id: (parent > 0).then(|| Uuid::from_u128(parent)),
            state: UnitState::Active,
            valid_from: None,
            valid_to: None,
            version,
            successor_id: None,
            moved: false,
            path: Arc::from([]),
        }
    }

    fn edge(id: u128, kind: EdgeKind, line: Option<&str>, valid_to: Option<Timestamp>) -> Edge {
        Edge {
            id: Uuid::from_u128(id),
            from_org_id: Uuid::from_u128(100),
            to_org_id: Uuid::from_u128(200),
            kind,
            line: line.map(str::to_owned),
            valid_from: None,
            valid_to,
            version: 1,
        }
    }

    fn ids(path: &[Uuid]) -> Vec<u128> {
        path.iter().map(|id| id.as_u128()).collect()
    }

    #[test]
    fn paths_go_from_the_root_to_the_leaf_whatever_the_order_of_arrival() {
        let (district, street, community) = (
            unit(1, 0, UnitKind::District, 1),
            unit(2, 1, UnitKind::Street, 1),
            unit(3, 2, UnitKind::Community, 1),
        );
        let first = Topology::build(Changes { units: vec![community], ..Changes::default() }, 1);
        assert_eq!(ids(&first.path(Uuid::from_u128(3)).unwrap()), [3]);
        let second = first.with(Changes { units: vec![street], ..Changes::default() }, 2);
        assert_eq!(ids(&second.path(Uuid::from_u128(3)).unwrap()), [2, 3]);
        let third = second.with(Changes { units: vec![district], ..Changes::default() }, 3);
        assert_eq!(ids(&third.path(Uuid::from_u128(3)).unwrap()), [1, 2, 3]);
        assert_eq!(third.ancestor(Uuid::from_u128(3), UnitKind::Street).unwrap().id.as_u128(), 2);
        assert!(third.is_within(Uuid::from_u128(3), Uuid::from_u128(1)));
        assert!(!third.is_within(Uuid::from_u128(1), Uuid::from_u128(3)));
        assert_eq!(third.children(Uuid::from_u128(1)).len(), 1);
    }

    #[test]
    fn a_move_changes_the_paths_below_and_an_older_version_changes_nothing() {
        let all = Changes {
            units: vec![
                unit(1, 0, UnitKind::District, 1),
                unit(2, 1, UnitKind::Street, 1),
                unit(3, 1, UnitKind::Street, 1),
                unit(4, 2, UnitKind::Community, 5),
                unit(5, 4, UnitKind::Courtyard, 1),
            ],
            ..Changes::default()
        };
        let topology = Topology::build(all, 1);
        let moved = topology
            .with(Changes { units: vec![unit(4, 3, UnitKind::Community, 6)], ..Changes::default() }, 2);
        assert_eq!(ids(&moved.path(Uuid::from_u128(5)).unwrap()), [1, 3, 4, 5]);
        let late =
            moved.with(Changes { units: vec![unit(4, 2, UnitKind::Community, 5)], ..Changes::default() }, 3);
        assert_eq!(ids(&late.path(Uuid::from_u128(5)).unwrap()), [1, 3, 4, 5]);
    }

    #[test]
    fn a_unit_has_moved_once_it_came_under_another_parent_and_not_by_another_name() {
        let renamed = Unit { name_zh: "新名".to_owned(), ..unit(4, 2, UnitKind::Community, 2) };
        let all = vec![
            unit(1, 0, UnitKind::District, 1),
            unit(2, 1, UnitKind::Street, 1),
            unit(3, 1, UnitKind::Street, 3),
            unit(4, 2, UnitKind::Community, 1),
        ];
        let change = |topology: &Topology, unit| {
            topology.with(Changes { units: vec![unit], ..Changes::default() }, topology.version() + 1)
        };
        let moved = |topology: &Topology, id| topology.has_moved(Uuid::from_u128(id));
        let topology = Topology::build(Changes { units: all, ..Changes::default() }, 1);
        let known = change(&topology, renamed.clone());
        assert!(![1, 2, 3, 4].into_iter().any(|id| moved(&known, id)), "names and codes do not count");
        let away = change(&known, unit(4, 3, UnitKind::Community, 3));
        assert!(moved(&away, 4));
        let back = change(&away, Unit { version: 4, ..renamed });
        assert!(moved(&back, 4), "and that stays");
        assert!(moved(&back, 9), "of what is not known nothing is said");
    }

    #[test]
    fn of_a_unit_learnt_of_late_its_parent_tells_whether_it_has_moved() {
        let merged = Unit { successor_id: Some(Uuid::from_u128(3)), ..unit(2, 1, UnitKind::Street, 2) };
        let units = vec![
            unit(1, 0, UnitKind::District, 1),
            merged,
            unit(3, 1, UnitKind::Street, 1),
            unit(4, 3, UnitKind::Community, 2),
            unit(5, 3, UnitKind::Community, 1),
        ];
        let topology = Topology::build(Changes { units, ..Changes::default() }, 1);
        let moved: Vec<u128> = (1..=5).filter(|id| topology.has_moved(Uuid::from_u128(*id))).collect();
        assert_eq!(moved, [4], "one came with its street, the other was founded later");
    }

    #[test]
    fn what_became_part_of_a_unit_is_known_over_several_mergers_and_not_where_they_lead_in_a_circle() {
        let merged = |id: u128, into: u128| Unit {
            successor_id: Some(Uuid::from_u128(into)),
            ..unit(id, 1, UnitKind::Street, 2)
        };
        let units = vec![
            unit(1, 0, UnitKind::District, 1),
            merged(2, 4),
            merged(3, 4),
            merged(4, 5),
            unit(5, 1, UnitKind::Street, 1),
            merged(6, 7),
            merged(7, 6),
        ];
        let topology = Topology::build(Changes { units, ..Changes::default() }, 1);
        let parts = |id| ids(&topology.parts_of(Uuid::from_u128(id)));
        assert_eq!([parts(5), parts(4), parts(6)], [vec![4, 2, 3], vec![2, 3], vec![7]]);
        assert!(parts(1).is_empty() && parts(2).is_empty() && parts(9).is_empty());
    }

    #[test]
    fn of_a_list_only_what_is_newer_is_lacking() {
        let merged = |version| Unit {
            successor_id: Some(Uuid::from_u128(9)),
            ..unit(3, 1, UnitKind::Street, version)
        };
        let known = Changes {
            units: vec![
                unit(1, 0, UnitKind::District, 2),
                unit(2, 1, UnitKind::Street, 2),
                unit(3, 1, UnitKind::Street, 2),
            ],
            edges: vec![edge(1, EdgeKind::Leads, None, None)],
            ..Changes::default()
        };
        let topology = Topology::build(known.clone(), 1);
        assert!(topology.lacks(known).is_empty());
        let told = Changes {
            units: vec![
                unit(1, 0, UnitKind::District, 1),
                unit(2, 1, UnitKind::Street, 3),
                merged(2),
                unit(4, 1, UnitKind::Street, 1),
            ],
            edges: vec![
                edge(1, EdgeKind::Leads, None, None),
                Edge { version: 2, ..edge(1, EdgeKind::Leads, None, None) },
            ],
            ..Changes::default()
        };
        let news = topology.lacks(told);
        assert_eq!(news.units.iter().map(|unit| unit.id.as_u128()).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(news.edges.iter().map(|edge| edge.version).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_cycle_ends() {
        let all = Changes {
            units: vec![unit(1, 2, UnitKind::Street, 1), unit(2, 1, UnitKind::Street, 1)],
            ..Changes::default()
        };
        assert_eq!(ids(&Topology::build(all, 1).path(Uuid::from_u128(1)).unwrap()), [2, 1]);
    }

    #[test]
    fn a_code_names_what_has_not_ended() {
        let now = Clock::system().now();
        let ended = Unit { valid_to: Some(now), code: "x".to_owned(), ..unit(1, 0, UnitKind::Street, 1) };
        let open = Unit { valid_from: Some(now), code: "x".to_owned(), ..unit(2, 0, UnitKind::Street, 1) };
        for units in [vec![ended.clone(), open.clone()], vec![open, ended]] {
            let topology = Topology::build(Changes { units, ..Changes::default() }, 1);
            assert_eq!(topology.unit_by_code("x").unwrap().id.as_u128(), 2);
            assert!(topology.unit(Uuid::from_u128(1)).is_some());
        }
    }

    #[test]
    fn edges_are_found_by_their_ends_and_the_strongest_that_has_not_ended_counts() {
        let now = Clock::system().now();
        let all = Changes {
            edges: vec![
                edge(1, EdgeKind::Guides, None, None),
                edge(2, EdgeKind::Coordinates, Some("housing"), None),
                edge(3, EdgeKind::Leads, None, Some(now)),
            ],
            ..Changes::default()
        };
        let topology = Topology::build(all, 1);
        let (from, to) = (Uuid::from_u128(100), Uuid::from_u128(200));
        assert_eq!(topology.edge(from, to), Some(EdgeKind::Coordinates));
        assert_eq!(topology.edge(to, from), None);
        assert_eq!(topology.edges_to(to).len(), 3);
    }
}
