//! What the router knows: catalogue, responsibility lists ([`super::lists`]), units, organisations and
//! authority edges, indexed so that a decision looks only at the units above the place.
//! A table never changes; a new one is built when something in it does.

use std::sync::Arc;

use calendar::{Calendar, Profile};
use rustc_hash::FxHashMap;

use super::case::Place;
use super::citation::Citation;
use super::codes::{DispatchMode, EdgeKind, OrgKind, UnitKind};
use super::event::Timestamp;
use super::hours::Hours;
use super::ids::{OrgId, UnitId};
use super::item::{ResponsibilityEntry, ServiceItem};
use super::lists::{EntryList, Schedule};
use super::seats::Seats;

/// A unit with its path root → leaf, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitNode {
    pub id: UnitId,
    pub kind: UnitKind,
    pub path: Arc<[UnitId]>,
}

/// An organisation that may take part in cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgNode {
    pub id: OrgId,
    pub kind: OrgKind,
    pub unit: UnitId,
    pub line: Option<String>,
    pub valid_from: Timestamp,
    pub valid_to: Option<Timestamp>,
}

impl OrgNode {
    /// Whether it can take part at an instant. A table outlives instants: what begins or ends is asked, not remembered.
    #[must_use]
    pub fn in_force(&self, at: Timestamp) -> bool {
        self.valid_from <= at && self.valid_to.is_none_or(|to| at < to)
    }
}

/// Open tasks by organisation; breaks ties. Organisations without any may be left out.
pub type Load = FxHashMap<OrgId, u32>;

/// An authority edge between two organisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    pub from: OrgId,
    pub to: OrgId,
    pub kind: EdgeKind,
    /// Unset: for every line.
    pub line: Option<String>,
    pub valid_from: Timestamp,
    pub valid_to: Option<Timestamp>,
}

impl Edge {
    fn carries(&self, line: Option<&str>, at: Timestamp) -> bool {
        let in_force = self.valid_from <= at && self.valid_to.is_none_or(|to| at < to);
        in_force && self.line.as_deref().is_none_or(|own| Some(own) == line)
    }
}

/// The parts a table is built from.
#[derive(Debug, Default)]
pub struct TableParts {
    /// Version of the list, stored with each decision.
    pub version: String,
    /// Version of the units, organisations and edges, stored with each decision.
    pub topology_version: i64,
    pub items: Vec<ServiceItem>,
    pub entries: Vec<ResponsibilityEntry>,
    pub units: Vec<UnitNode>,
    /// Units that were merged, each with the one that it became part of.
    pub merged: Vec<(UnitId, UnitId)>,
    pub orgs: Vec<OrgNode>,
    pub edges: Vec<Edge>,
    /// Takes what nobody is competent for (兜底).
    pub fallback: Option<OrgId>,
    /// Organisations that verify and call back, in the order they are asked.
    pub verifiers: Vec<OrgId>,
    /// Rules where the parties have no common superior but themselves (C-7).
    pub joint_body: Option<OrgId>,
    /// What conditions take for working time; the calendar of the release and usual office hours where unset.
    pub hours: Option<(Calendar, Hours)>,
}

/// Everything the router decides from. Cheap to clone.
#[derive(Debug, Default, Clone)]
pub struct RoutingTable {
    pub(super) fixed: Arc<Fixed>,
    lists: Arc<Schedule>,
    load: Arc<Load>,
}

/// What changes only with the catalogue and the topology.
#[derive(Debug, Default, Clone)]
pub(super) struct Fixed {
    topology_version: i64,
    /// The versions of each item in the order in which they come into force, and every version by code and number.
    items: FxHashMap<String, Vec<Arc<ServiceItem>>>,
    versions: FxHashMap<(String, u32), Arc<ServiceItem>>,
    units: FxHashMap<UnitId, UnitNode>,
    merged: FxHashMap<UnitId, UnitId>,
    orgs: FxHashMap<OrgId, OrgNode>,
    by_unit: FxHashMap<UnitId, Vec<OrgId>>,
    edges_to: FxHashMap<OrgId, Vec<Edge>>,
    pub(super) fallback: Option<OrgId>,
    verifiers: Vec<OrgId>,
    joint_body: Option<OrgId>,
    hours: Option<(Calendar, Hours)>,
}

impl RoutingTable {
    /// Builds the indexes. The entries are in force everywhere, until another schedule is set.
    #[must_use]
    pub fn new(parts: TableParts) -> Self {
        let orgs: FxHashMap<OrgId, OrgNode> = parts.orgs.into_iter().map(|org| (org.id, org)).collect();
        let by_unit = by_unit(&orgs);
        let mut items: FxHashMap<String, Vec<Arc<ServiceItem>>> = FxHashMap::default();
        let mut versions = FxHashMap::default();
        for item in parts.items {
            let item = Arc::new(item);
            versions.insert((item.code.clone(), item.version), item.clone());
            items.entry(item.code.clone()).or_default().push(item);
        }
        items.values_mut().for_each(|known| known.sort_by_key(|item| (item.valid_from, item.version)));
        let mut edges_to: FxHashMap<OrgId, Vec<Edge>> = FxHashMap::default();
        // Society is never ordered, even if the data say so.
        let ordered = |edge: &Edge| {
            let society = orgs.get(&edge.to).is_some_and(|org| org.kind.is_society());
            society && matches!(edge.kind, EdgeKind::Leads | EdgeKind::Coordinates)
        };
        for edge in parts.edges.into_iter().filter(|edge| !ordered(edge)) {
            edges_to.entry(edge.to).or_default().push(edge);
        }
        let fixed = Fixed {
            topology_version: parts.topology_version,
            items,
            versions,
            units: parts.units.into_iter().map(|unit| (unit.id, unit)).collect(),
            merged: parts.merged.into_iter().collect(),
            orgs,
            by_unit,
            edges_to,
            fallback: parts.fallback,
            verifiers: parts.verifiers,
            joint_body: parts.joint_body,
            hours: parts.hours,
        };
        let table = Self { fixed: Arc::new(fixed), ..Self::default() };
        let list = table.index(parts.version.as_str(), parts.entries);
        table.under(list)
    }

    /// A version of the list as this table's topology places its entries.
    #[must_use]
    pub fn index(&self, cited: impl Into<Citation>, entries: Vec<ResponsibilityEntry>) -> Arc<EntryList> {
        Arc::new(EntryList::new(cited.into(), entries, |org| self.org(org).map(|org| org.unit)))
    }

    /// The same table with one version of the list in force everywhere and always.
    #[must_use]
    pub fn under(&self, list: Arc<EntryList>) -> Self {
        self.with_schedule(Schedule::always(list))
    }

    /// The same table with other versions of the list in force: a canary's also where its unit was merged into.
    #[must_use]
    pub fn with_schedule(&self, schedule: Schedule) -> Self {
        Self { lists: Arc::new(schedule.going_on(|unit| self.open_at(unit))), ..self.clone() }
    }

    /// The same table as organisations sat, and their units lay, when a decision about a place was made. Nothing is copied where
    /// all of that is still so.
    #[must_use]
    pub(super) fn seated(&self, seats: &Seats, place: &[UnitId], at: Timestamp) -> Self {
        // The place tells where the units above it lay, unless another path was kept.
        let above = (1..=place.len()).map(|depth| &place[..depth]);
        let paths: Vec<&[UnitId]> = above.chain(seats.paths.iter().map(Vec::as_slice)).collect();
        let known = |path: &[UnitId]| path.last().and_then(|unit| self.unit(*unit));
        let as_it_lay = paths.iter().all(|&path| known(path).is_none_or(|unit| *unit.path == *path));
        let mut sat = seats.each();
        if as_it_lay && sat.all(|(unit, org)| self.org(org).is_none_or(|known| known.unit == unit)) {
            return self.clone();
        }
        let mut fixed = Fixed::clone(&self.fixed);
        for path in paths {
            if let Some(unit) = path.last().and_then(|id| fixed.units.get_mut(id)) {
                unit.path = Arc::from(path);
            }
        }
        for (unit, id) in seats.each() {
            if let Some(org) = fixed.orgs.get_mut(&id) {
                org.unit = unit;
            }
        }
        fixed.by_unit = by_unit(&fixed.orgs);
        let list = self.list_at(place, at).placed(|org| fixed.orgs.get(&org).map(|org| org.unit));
        let seated = Self { fixed: Arc::new(fixed), ..self.clone() };
        seated.under(Arc::new(list))
    }

    /// The same table with other loads.
    #[must_use]
    pub fn with_load(&self, load: Arc<Load>) -> Self {
        Self { load, ..self.clone() }
    }

    /// The version of the list that decides about a place (root → leaf) at an instant.
    #[must_use]
    pub fn list_at(&self, place: &[UnitId], at: Timestamp) -> &Arc<EntryList> {
        self.lists.at(place, at)
    }

    /// Its number, whether or not the list is at hand.
    #[must_use]
    pub fn list_version(&self, place: &[UnitId], at: Timestamp) -> Option<i32> {
        self.lists.version(place, at)
    }

    /// Version of the units, organisations and edges.
    #[must_use]
    pub fn topology_version(&self) -> i64 {
        self.fixed.topology_version
    }

    /// Open tasks of an organisation when they were counted last.
    #[must_use]
    pub fn load(&self, org: OrgId) -> u32 {
        self.load.get(&org).copied().unwrap_or_default()
    }

    /// The version of an item that new cases are of at an instant; none before its first day and after its last.
    #[must_use]
    pub fn item(&self, code: &str, at: Timestamp) -> Option<&Arc<ServiceItem>> {
        self.fixed.items.get(code)?.iter().rev().find(|item| item.in_force(at))
    }

    /// One version of an item, whether or not it is in force, or the newest if that one is not kept.
    #[must_use]
    pub fn item_version(&self, code: &str, version: u32) -> Option<&Arc<ServiceItem>> {
        self.fixed.versions.get(&(code.to_owned(), version)).or_else(|| self.fixed.items.get(code)?.last())
    }

    /// Whether something of the catalogue in force belongs to this emergency line (110, 119, 120, 122 …).
    #[must_use]
    pub fn is_emergency_line(&self, line: &str, at: Timestamp) -> bool {
        let mut versions = self.fixed.items.values().flatten();
        versions.any(|item| item.in_force(at) && item.emergency_line.as_deref() == Some(line))
    }

    /// An organisation.
    #[must_use]
    pub fn org(&self, id: OrgId) -> Option<&OrgNode> {
        self.fixed.orgs.get(&id)
    }

    /// A unit.
    #[must_use]
    pub fn unit(&self, id: UnitId) -> Option<&UnitNode> {
        self.fixed.units.get(&id)
    }

    /// Where a place lies now, root → leaf: its unit may have been put under another one, or merged, since it was written down.
    /// What holds in a unit, such as its working hours, is asked of there.
    #[must_use]
    pub fn path_now<'p>(&'p self, place: &'p Place) -> &'p [UnitId] {
        self.present_path(place.unit).unwrap_or(&place.path)
    }

    /// Where a unit goes on, root → leaf.
    fn present_path(&self, unit: UnitId) -> Option<&[UnitId]> {
        let known = self.unit(self.present(unit)).or_else(|| self.unit(unit))?;
        Some(&*known.path)
    }

    /// The unit in which what comes into a unit now is: what that was merged into, as far as it is known.
    #[must_use]
    pub fn open_at(&self, unit: UnitId) -> UnitId {
        self.present_path(unit).and_then(|path| path.last().copied()).unwrap_or(unit)
    }

    /// The unit in which a place goes on that was written down with this unit and path; none where it still lies there. Nor
    /// while a unit above it is not known: it is told by an event of its own, which may come later.
    #[must_use]
    pub fn goes_on_at(&self, unit: UnitId, path: &[UnitId]) -> Option<UnitId> {
        let now = self.present_path(unit)?;
        let elsewhere = now != path && now.first() == path.first();
        now.last().copied().filter(|_| elsewhere)
    }

    /// Where a unit goes on: itself, or what it was merged into, however often.
    #[must_use]
    pub fn present(&self, unit: UnitId) -> UnitId {
        let merged = &self.fixed.merged;
        // No way is longer than there are mergers, unless it leads in a circle.
        let way = std::iter::successors(Some(unit), |at| merged.get(at).copied());
        way.take(merged.len() + 1).last().unwrap_or(unit)
    }

    /// The nearest unit of a kind on a path root → leaf.
    #[must_use]
    pub fn on_path(&self, path: &[UnitId], kind: UnitKind) -> Option<UnitId> {
        path.iter().rev().copied().find(|id| self.unit(*id).is_some_and(|unit| unit.kind == kind))
    }

    /// Organisations that sit at a unit at an instant, in a fixed order.
    pub fn orgs_at(&self, unit: UnitId, at: Timestamp) -> impl Iterator<Item = &OrgNode> {
        let known = self.fixed.by_unit.get(&unit).into_iter().flatten().filter_map(|id| self.org(*id));
        known.filter(move |org| org.in_force(at))
    }

    /// The nearest window above a place, root → leaf: a station, else a street office, else a government.
    #[must_use]
    pub fn window_above(&self, place: &[UnitId], at: Timestamp) -> Option<OrgId> {
        let windows = [OrgKind::ServiceStation, OrgKind::StreetOffice, OrgKind::Government];
        let window_at = |unit: &UnitId| {
            let found = windows.iter().find_map(|kind| self.orgs_at(*unit, at).find(|org| org.kind == *kind));
            found.map(|org| org.id)
        };
        place.iter().rev().find_map(window_at)
    }

    /// Whether an instant is within the working time of a place, root → leaf.
    #[must_use]
    pub fn is_working_time(&self, place: &[UnitId], at: Timestamp) -> bool {
        let usual;
        let (calendar, profile) = match &self.fixed.hours {
            Some((calendar, hours)) => (calendar, hours.at(place)),
            None => {
                usual = Profile::office();
                (Calendar::builtin(), &usual)
            }
        };
        let next = at + chrono::TimeDelta::seconds(1);
        calendar.elapsed(calendar::TimeUnit::WorkHour, at, next, &[], profile) > chrono::TimeDelta::zero()
    }

    /// The kind of the edge between two organisations for a line; the strongest if there are several.
    #[must_use]
    pub fn edge(&self, from: OrgId, to: OrgId, line: Option<&str>, at: Timestamp) -> Option<EdgeKind> {
        let edges = self.fixed.edges_to.get(&to)?;
        edges.iter().filter(|edge| edge.from == from && edge.carries(line, at)).map(|edge| edge.kind).min()
    }

    /// The organisations that lead one (领导), on its own line or the one given; of a community's organisation also those that
    /// guide it (指导), for nobody orders a residents' committee about.
    #[must_use]
    pub fn leaders_of(&self, org: OrgId, line: Option<&str>, at: Timestamp) -> Vec<OrgId> {
        let own = self.org(org).and_then(|org| org.line.as_deref()).or(line);
        let edges = self.fixed.edges_to.get(&org).map_or(&[][..], Vec::as_slice);
        let community = self.org(org).is_some_and(|org| org.kind.is_community_level());
        let above = |kind: EdgeKind| kind == EdgeKind::Leads || (community && kind == EdgeKind::Guides);
        let leads = edges.iter().filter(|edge| above(edge.kind) && edge.carries(own, at));
        let in_force = |from: &OrgId| self.org(*from).is_some_and(|org| org.in_force(at));
        leads.map(|edge| edge.from).filter(in_force).collect()
    }

    /// The sender of a dispatch: the nearest superior organisation that holds an edge to the receiver
    /// (domain.md §2.0.3) — on the receiver's own path, else on the place's path. The fallback takes a case by its own
    /// order: a superior that it may have is outside the cell, where nobody acts on a single case.
    #[must_use]
    pub fn sender_to(
        &self,
        receiver: OrgId,
        place: &[UnitId],
        line: Option<&str>,
        at: Timestamp,
    ) -> Option<(OrgId, DispatchMode)> {
        let own = self.unit(self.org(receiver)?.unit).map_or(&[][..], |unit| &unit.path);
        if self.fixed.fallback == Some(receiver) {
            return Some((receiver, DispatchMode::Order));
        }
        let edges = self.fixed.edges_to.get(&receiver).map_or(&[][..], Vec::as_slice);
        let nearest = |path: &[UnitId]| {
            let ranked = edges.iter().filter(|edge| edge.carries(line, at)).filter_map(|edge| {
                let sender = self.org(edge.from).filter(|org| org.in_force(at))?;
                let depth = path.iter().position(|unit| *unit == sender.unit)?;
                Some((std::cmp::Reverse(depth), edge.kind, edge.from))
            });
            ranked.min().map(|(_, kind, from)| (from, kind.mode()))
        };
        nearest(own).or_else(|| nearest(place))
    }

    /// Whoever may send something to an organisation: holds an edge to it, and sits on its own path or on that of the place.
    pub(super) fn senders<'t>(
        &'t self,
        receiver: &OrgNode,
        place: &'t [UnitId],
        line: Option<&'t str>,
        at: Timestamp,
    ) -> impl Iterator<Item = &'t OrgNode> {
        let own = self.unit(receiver.unit).map_or(&[][..], |unit| &unit.path);
        let edges = self.fixed.edges_to.get(&receiver.id).map_or(&[][..], Vec::as_slice);
        let carrying = edges.iter().filter(move |edge| edge.carries(line, at));
        let known = carrying.filter_map(move |edge| self.org(edge.from));
        known.filter(move |org| own.contains(&org.unit) || place.contains(&org.unit))
    }

    /// Who decides over an objection against an order that an organisation gave itself: whoever received the case first, else
    /// the joint body, else the lowest superior; never the organisation itself.
    #[must_use]
    pub fn decides_over_own_order(
        &self,
        objector: OrgId,
        first_receiver: OrgId,
        at: Timestamp,
    ) -> Option<OrgId> {
        if first_receiver != objector {
            return Some(first_receiver);
        }
        let apart = |id: &OrgId| *id != objector && self.org(*id).is_some_and(|org| org.in_force(at));
        self.fixed.joint_body.filter(apart).or_else(|| self.common_superior(&[objector], at))
    }

    /// Who verifies a case that these organisations handled: the first verifier that is none of them (C-4).
    #[must_use]
    pub fn verifier_for(&self, handling: &[OrgId], at: Timestamp) -> Option<OrgId> {
        let mut verifiers = self.fixed.verifiers.iter().copied();
        verifiers.find(|id| !handling.contains(id) && self.org(*id).is_some_and(|org| org.in_force(at)))
    }

    /// The lowest common superior of parties, itself none of them (C-7); without one, the designated joint body, else the
    /// fallback, where that is no party.
    #[must_use]
    pub fn common_superior(&self, parties: &[OrgId], at: Timestamp) -> Option<OrgId> {
        self.superior_apart(parties, None, at)
    }

    /// The same, but whoever steps aside is passed over, though it is no party.
    #[must_use]
    pub fn superior_apart(&self, parties: &[OrgId], aside: Option<OrgId>, at: Timestamp) -> Option<OrgId> {
        let mut paths = parties.iter().filter_map(|id| self.unit(self.org(*id)?.unit)).map(|unit| &unit.path);
        let mut common: Vec<UnitId> = paths.next()?.to_vec();
        for path in paths {
            let shared = common.iter().zip(path.iter()).take_while(|(a, b)| a == b).count();
            common.truncate(shared);
        }
        let barred = |id: &OrgId| parties.contains(id) || aside == Some(*id);
        let governs = |org: &&OrgNode| {
            matches!(org.kind, OrgKind::Government | OrgKind::StreetOffice) && !barred(&org.id)
        };
        let superior =
            common.iter().rev().find_map(|unit| self.orgs_at(*unit, at).find(governs)).map(|org| org.id);
        let apart = |id: &OrgId| !barred(id) && self.org(*id).is_some_and(|org| org.in_force(at));
        superior.or(self.fixed.joint_body.filter(apart)).or(self.fixed.fallback.filter(apart))
    }
}

/// The organisations of each unit, in a fixed order.
fn by_unit(orgs: &FxHashMap<OrgId, OrgNode>) -> FxHashMap<UnitId, Vec<OrgId>> {
    let mut by_unit: FxHashMap<UnitId, Vec<OrgId>> = FxHashMap::default();
    for org in orgs.values() {
        by_unit.entry(org.unit).or_default().push(org.id);
    }
    by_unit.values_mut().for_each(|orgs| orgs.sort_unstable());
    by_unit
}
