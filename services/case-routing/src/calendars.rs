//! The calendar in force: the facts of the release, and over them the imported notices, each of which makes the next
//! version; and the working hours in force: the shipped ones, and over them the imported orders about units, each of which does
//! the same, as does a unit that is put under another one where other hours hold. Every replica with the same release, notices,
//! orders and topology counts with the same version.

use std::collections::{BTreeMap, BTreeSet};

use calendar::{Calendar, Closure, HoursOrder, Notice, Profile};
use chassis::{
    Timestamp,
    topology::{Changes, Topology, Unit},
};
use uuid::Uuid;

use crate::domain::{Hours, UnitId};

/// A notice that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// From one, in the order of import.
    pub seq: i64,
    pub notice: Notice,
    pub imported_at: Timestamp,
}

/// An order that was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// From one, in the order of import.
    pub seq: i64,
    /// The unit whose code it names; codes change, units stay.
    pub unit: Uuid,
    pub order: HoursOrder,
    pub imported_at: Timestamp,
}

/// What the orders about one unit say together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Own<'o> {
    /// The newest one.
    pub newest: Option<&'o Ordered>,
    /// The newest one that states hours.
    pub hours: Option<&'o HoursOrder>,
    /// By code, as the newest one that names it has it.
    pub closures: BTreeMap<&'o str, &'o Closure>,
}

impl Own<'_> {
    /// Version of the newest order; 0: there is none.
    pub fn version(&self) -> u32 {
        self.newest.map_or(0, |ordered| ordered.order.version)
    }
}

/// The calendar with what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub calendar: Calendar,
    /// What the release knows.
    shipped: Calendar,
    imported: Vec<Imported>,
    ordered: Vec<Ordered>,
    /// The versions of the topology with which units came under other hours, in order.
    moves: Vec<i64>,
}

impl InForce {
    /// Lays notices, in the order of import, over the facts of the release; orders over the shipped hours.
    pub fn of(imported: Vec<Imported>, ordered: Vec<Ordered>) -> Self {
        Self::over(Calendar::builtin().clone(), imported, ordered)
    }

    fn over(shipped: Calendar, imported: Vec<Imported>, ordered: Vec<Ordered>) -> Self {
        // A notice that is read is one that the calendar takes, unless the release has a newer one.
        let laid = |calendar: Calendar, imported: &Imported| {
            let Notice { version, year } = &imported.notice;
            calendar.laid_over(year, *version).unwrap_or(calendar)
        };
        let calendar = imported.iter().fold(shipped.clone(), laid);
        Self { calendar, shipped, imported, ordered, moves: Vec::new() }
    }

    /// With the versions of the topology with which units came under other hours, in order.
    pub fn with_moves(self, moves: Vec<i64>) -> Self {
        Self { moves, ..self }
    }

    /// Number of the newest notice; 0 while there is none.
    pub fn newest(&self) -> i64 {
        self.imported.last().map_or(0, |imported| imported.seq)
    }

    /// Number of the newest order; 0 while there is none.
    pub fn newest_order(&self) -> i64 {
        self.ordered.last().map_or(0, |ordered| ordered.seq)
    }

    /// The newest version of the topology with which a unit came under other hours; 0 while none has.
    pub fn newest_move(&self) -> i64 {
        self.moves.last().copied().unwrap_or(0)
    }

    /// The imported notice of a title year that is in force.
    pub fn notice_of(&self, year: i32) -> Option<&Imported> {
        self.newest_of(year).filter(|imported| !self.is_passed_over(imported))
    }

    /// The newest imported notice of a title year, in force or passed over.
    pub fn newest_of(&self, year: i32) -> Option<&Imported> {
        self.imported.iter().rev().find(|imported| imported.notice.year.title_year == year)
    }

    /// Version of the notice that the release knows a title year from; 0: it does not.
    pub fn shipped_version(&self, year: i32) -> u32 {
        self.shipped.notice_version(year)
    }

    /// For each title year with imported notices the newest, where the release has a newer one.
    pub fn passed_over(&self) -> impl Iterator<Item = &Imported> {
        let years: BTreeSet<i32> =
            self.imported.iter().map(|imported| imported.notice.year.title_year).collect();
        let newest = years.into_iter().filter_map(|year| self.newest_of(year));
        newest.filter(|imported| self.is_passed_over(imported))
    }

    fn is_passed_over(&self, imported: &Imported) -> bool {
        self.shipped.has_newer(imported.notice.year.title_year, imported.notice.version)
    }

    /// With one more notice.
    pub fn with(&self, imported: Imported) -> Self {
        let mut all = self.imported.clone();
        all.push(imported);
        Self::over(self.shipped.clone(), all, self.ordered.clone()).with_moves(self.moves.clone())
    }

    /// With one more order.
    pub fn with_order(&self, ordered: Ordered) -> Self {
        let mut all = self.ordered.clone();
        all.push(ordered);
        Self { ordered: all, ..self.clone() }
    }

    /// What the orders about a unit itself say.
    pub fn own(&self, unit: Uuid) -> Own<'_> {
        let mut own = Own::default();
        for ordered in self.ordered.iter().filter(|ordered| ordered.unit == unit) {
            own.newest = Some(ordered);
            if !ordered.order.seasons.is_empty() {
                own.hours = Some(&ordered.order);
            }
            for named in &ordered.order.closures {
                match &named.closure {
                    Some(closure) => own.closures.insert(named.code.as_str(), closure),
                    None => own.closures.remove(named.code.as_str()),
                };
            }
        }
        own
    }

    /// What holds at a place, root → leaf: the hours of the nearest unit for which an order states some, else the usual
    /// ones; closed on the days of every unit of the path. With the version that it has since that one of the topology.
    pub fn profile(&self, usual: &Profile, path: &[Uuid], topology: i64) -> Profile {
        let mut profile = usual.clone();
        for unit in path {
            let own = self.own(*unit);
            if let Some(hours) = own.hours {
                profile = profile.with_hours(hours.seasons.clone()).unwrap_or(profile);
            }
            for closure in own.closures.into_values() {
                profile = profile.closed(closure.clone()).unwrap_or(profile);
            }
        }
        profile.at_version(self.hours_version(usual, topology))
    }

    /// What holds in every unit that an order is about, and elsewhere. Units that the topology does not know are left out.
    pub fn hours(&self, usual: &Profile, topology: &Topology) -> Hours {
        let named: BTreeSet<Uuid> = self.ordered.iter().map(|ordered| ordered.unit).collect();
        let profiles = named.into_iter().filter_map(|unit| {
            let path = topology.path(unit)?;
            Some((UnitId(unit), self.profile(usual, &path, topology.version())))
        });
        let of_units = profiles.collect();
        Hours { usual: usual.clone().at_version(self.hours_version(usual, topology.version())), of_units }
    }

    /// Which units come under other hours by a change: those that change or become known, and what lies right below them, if
    /// they were somewhere else before. Whatever lies in those goes along.
    pub fn moved_by(&self, usual: &Profile, before: &Topology, changed: &[Unit]) -> Vec<Uuid> {
        if self.ordered.is_empty() {
            return Vec::new();
        }
        let changes = Changes { units: changed.to_vec(), ..Changes::default() };
        let after = before.with(changes, before.version());
        let mut units: BTreeSet<Uuid> = changed.iter().map(|unit| unit.id).collect();
        // A parent may become known after those below it, which are under it only then.
        units.extend(changed.iter().flat_map(|unit| before.children(unit.id)).map(|child| child.id));
        let other_hours = |unit: &Uuid| {
            let (Some(was), Some(is)) = (present(before, *unit), present(&after, *unit)) else {
                return false;
            };
            was != is && self.profile(usual, &was, 0) != self.profile(usual, &is, 0)
        };
        let moved: BTreeSet<Uuid> = units.into_iter().filter(other_hours).collect();
        let parent = |unit: &Uuid| after.unit(*unit)?.parent_id;
        let goes_along = |unit: &Uuid| parent(unit).is_some_and(|parent| moved.contains(&parent));
        moved.iter().filter(|unit| !goes_along(unit)).copied().collect()
    }

    /// One version for the hours of all units, so that every clock of the cell is counted again when one changes. A move counts
    /// with the version of the topology that has it: never is a place counted by its former hours under the new version.
    fn hours_version(&self, usual: &Profile, topology: i64) -> u16 {
        let orders = u16::try_from(self.newest_order()).unwrap_or(u16::MAX);
        let moves = self.moves.iter().filter(|moved| **moved <= topology).count();
        usual.version().saturating_add(orders).saturating_add(u16::try_from(moves).unwrap_or(u16::MAX))
    }
}

/// Where a unit goes on, root → leaf: where it lies, or what it was merged into.
fn present(topology: &Topology, unit: Uuid) -> Option<std::sync::Arc<[Uuid]>> {
    let last = topology.became(unit).last()?;
    // Where it lay no longer counts, though what it was merged into may not be known yet.
    let known = last.successor_id.is_none_or(|next| topology.unit(next).is_some());
    known.then(|| last.path.clone())
}

#[cfg(test)]
mod tests {
    use calendar::{DayKind, TimeUnit, instant, local};
    use chassis::topology::{UnitKind, UnitState};
    use chrono::{NaiveDate, NaiveTime};

    use super::*;

    const CITY: Uuid = Uuid::from_u128(1);
    const STREET: Uuid = Uuid::from_u128(2);
    const COMMUNITY: Uuid = Uuid::from_u128(3);
    const NEXT_STREET: Uuid = Uuid::from_u128(4);
    const COURTYARD: Uuid = Uuid::from_u128(5);

    #[test]
    fn what_a_release_has_newer_is_in_force_and_says_what_it_passes_over() {
        let facts = |version: u32, off: &str| {
            let text = format!(
                "version = {}\n[[year]]\ntitle_year = 2027\nversion = {version}\npapers = []\n[[year.holiday]]\n\
                 name = \"元旦\"\noff = [\"{off}\"]\nwork = []\n",
                version + 1
            );
            Calendar::from_toml(&text).unwrap()
        };
        let imported = |seq: i64, version: u32, off: &str| {
            let text = format!(
                "title_year = 2027\nversion = {version}\npapers = [\"https://www.gov.cn/2027\"]\n[[holiday]]\n\
                 name = \"元旦\"\noff = [\"{off}\"]\n"
            );
            Imported { seq, notice: Notice::from_toml(&text).unwrap(), imported_at: Timestamp::MIN_UTC }
        };
        let off = |in_force: &InForce| {
            let days = in_force.calendar.days_of(2027).filter(|(_, kind)| *kind == DayKind::Holiday);
            days.map(|(day, _)| day.to_string()).collect::<Vec<_>>().join(" ")
        };
        let told = |in_force: &InForce| {
            let version = |imported: &Imported| imported.notice.version;
            (in_force.notice_of(2027).map(version), in_force.passed_over().map(version).collect::<Vec<_>>())
        };
        // The district imported the year before a release knew it. The release after ships the same notice, the next one
        // an amendment.
        let own = || vec![imported(1, 1, "2027-01-01")];
        let same = InForce::over(facts(1, "2027-01-02"), own(), Vec::new());
        assert_eq!((off(&same), told(&same)), ("2027-01-01".to_owned(), (Some(1), vec![])));
        let amended = InForce::over(facts(2, "2027-01-02"), own(), Vec::new());
        assert_eq!((off(&amended), told(&amended)), ("2027-01-02".to_owned(), (None, vec![1])));
        assert!(amended.calendar.version() > same.calendar.version(), "what runs is counted again");
        assert_eq!(amended.shipped_version(2027), 2);
        // What the district imports after that counts again.
        let next = amended.with(imported(2, 3, "2027-01-03"));
        assert_eq!((off(&next), told(&next)), ("2027-01-03".to_owned(), (Some(3), vec![])));
        assert!(next.calendar.version() > amended.calendar.version());
    }

    fn ordered(all: &[(Uuid, &str)]) -> InForce {
        let read = |(seq, (unit, text)): (i64, &(Uuid, &str))| {
            let text =
                format!("unit = \"x\"\nversion = {seq}\nauthority_ref = \"令〔2026〕{seq}号\"\n{text}");
            let order = HoursOrder::from_toml(&text).unwrap();
            Ordered { seq, unit: *unit, order, imported_at: Timestamp::MIN_UTC }
        };
        InForce::of(Vec::new(), (1_i64..).zip(all).map(read).collect())
    }

    fn hours(close: &str) -> String {
        format!("[[season]]\nfrom = \"01-01\"\nspans = [\"09:00-{close}\"]\n")
    }

    fn closure(code: &str, from: &str, to: &str) -> String {
        format!("[[closure]]\ncode = \"{code}\"\nfrom = \"2026-07-{from}\"\nto = \"2026-07-{to}\"\n")
    }

    /// When a working day that begins on Friday, 3 July is over.
    fn due(in_force: &InForce, path: &[Uuid]) -> String {
        let from = NaiveDate::from_ymd_opt(2026, 7, 3).unwrap();
        let from = instant(from, NaiveTime::from_hms_opt(10, 0, 0).unwrap());
        let profile = in_force.profile(&Profile::office(), path, 0);
        let due = in_force.calendar.add(TimeUnit::WorkDay, 1, from, &profile);
        local(due.at).format("%m-%d %H:%M").to_string()
    }

    #[test]
    fn the_nearest_hours_win_and_closures_add_up() {
        let (of_city, of_street) = (closure("flood", "06", "06"), closure("flood", "07", "07"));
        let (wide, narrow) = (hours("16:00"), hours("15:00"));
        let in_force = ordered(&[
            (CITY, of_city.as_str()),
            (STREET, of_street.as_str()),
            (CITY, wide.as_str()),
            (COMMUNITY, narrow.as_str()),
        ]);
        assert_eq!(due(&in_force, &[]), "07-06 17:00", "nobody ordered anything here");
        assert_eq!(due(&in_force, &[CITY]), "07-07 16:00");
        assert_eq!(due(&in_force, &[CITY, STREET]), "07-08 16:00", "the city's hours, the closures of both");
        assert_eq!(due(&in_force, &[CITY, STREET, COMMUNITY]), "07-08 15:00");
        assert_eq!(in_force.own(CITY).version(), 3);
        assert_eq!(in_force.own(CITY).closures.len(), 1, "an order about hours leaves closures as they are");
    }

    #[test]
    fn a_later_order_changes_or_lifts_a_closure_and_every_order_is_a_higher_version() {
        let (flood, shorter) = (closure("flood", "06", "10"), closure("flood", "06", "07"));
        let lifted = "[[closure]]\ncode = \"flood\"\nlifted = true\n";
        let usual = Profile::office();
        let mut versions = Vec::new();
        let all = [(STREET, flood.as_str()), (STREET, shorter.as_str()), (STREET, lifted)];
        for (orders, expected) in [(1, "07-13 17:00"), (2, "07-08 17:00"), (3, "07-06 17:00")] {
            let in_force = ordered(&all[..orders]);
            assert_eq!(due(&in_force, &[STREET]), expected);
            let version = |path: &[Uuid]| in_force.calendar.version_with(&in_force.profile(&usual, path, 0));
            assert_eq!(version(&[STREET]), version(&[CITY]), "one version for all");
            versions.push(version(&[STREET]));
        }
        assert!(
            versions.is_sorted_by(|a, b| a < b) && versions[0] > ordered(&[]).calendar.version_with(&usual)
        );
    }

    fn unit(id: Uuid, parent: Option<Uuid>, version: i64) -> Unit {
        Unit {
            id,
            code: id.to_string(),
            code_system: "nbs".into(),
            code_year: 2023,
            kind: UnitKind::Street,
            name_zh: "x".into(),
            name_en: "x".into(),
            parent_id: parent,
            state: UnitState::Active,
            valid_from: None,
            valid_to: None,
            version,
            path: [id].into(),
            successor_id: None,
            moved: false,
        }
    }

    fn city(version: i64) -> Topology {
        let units = vec![
            unit(CITY, None, 1),
            unit(STREET, Some(CITY), 1),
            unit(NEXT_STREET, Some(CITY), 1),
            unit(COMMUNITY, Some(STREET), 1),
            unit(COURTYARD, Some(COMMUNITY), 1),
        ];
        Topology::build(Changes { units, ..Changes::default() }, version)
    }

    #[test]
    fn a_unit_that_is_put_where_other_hours_hold_has_come_under_them() {
        let (usual, topology) = (Profile::office(), city(1));
        let moved = |in_force: &InForce, units: &[Unit]| in_force.moved_by(&usual, &topology, units);
        let to_next = [unit(COMMUNITY, Some(NEXT_STREET), 2)];
        let (wide, flood) = (hours("16:00"), closure("flood", "06", "06"));
        assert!(moved(&ordered(&[]), &to_next).is_empty(), "nobody ordered anything");
        assert!(moved(&ordered(&[(CITY, wide.as_str())]), &to_next).is_empty(), "the same hours there");
        for street in [STREET, NEXT_STREET] {
            for text in [&wide, &flood] {
                let in_force = ordered(&[(street, text.as_str())]);
                assert_eq!(moved(&in_force, &to_next), [COMMUNITY], "the courtyard goes along");
                let renamed = [unit(COMMUNITY, Some(STREET), 2)];
                assert!(moved(&in_force, &renamed).is_empty(), "it is where it was");
                let late = [unit(COMMUNITY, Some(NEXT_STREET), 0)];
                assert!(moved(&in_force, &late).is_empty(), "what is known already moves nothing");
                let fresh = [unit(Uuid::from_u128(9), Some(street), 1)];
                assert!(moved(&in_force, &fresh).is_empty(), "nothing was counted there before");
            }
        }
        // Its own hours win wherever it lies; closures of those above are its own as well.
        let own = |text: &str| ordered(&[(COMMUNITY, hours("15:00").as_str()), (STREET, text)]);
        assert!(moved(&own(&wide), &to_next).is_empty());
        assert_eq!(moved(&own(&flood), &to_next), [COMMUNITY]);
    }

    #[test]
    fn a_unit_that_is_merged_into_one_with_other_hours_has_come_under_them() {
        let (usual, topology) = (Profile::office(), city(1));
        let merged = Unit { successor_id: Some(NEXT_STREET), ..unit(STREET, Some(CITY), 2) };
        let moved = |in_force: InForce| in_force.moved_by(&usual, &topology, std::slice::from_ref(&merged));
        assert_eq!(moved(ordered(&[(NEXT_STREET, closure("flood", "06", "06").as_str())])), [STREET]);
        assert!(moved(ordered(&[(CITY, hours("16:00").as_str())])).is_empty(), "the same hours there");
    }

    #[test]
    fn what_lies_below_a_unit_comes_under_its_hours_when_that_becomes_known() {
        let (usual, merged) = (Profile::office(), Uuid::from_u128(7));
        let below = unit(COMMUNITY, Some(merged), 2);
        let topology = city(1).with(Changes { units: vec![below], ..Changes::default() }, 2);
        let in_force = ordered(&[(CITY, hours("16:00").as_str())]);
        assert_eq!(in_force.moved_by(&usual, &topology, &[unit(merged, Some(CITY), 1)]), [COMMUNITY]);
    }

    #[test]
    fn a_move_is_a_higher_version_from_its_topology_on() {
        let flood = closure("flood", "06", "06");
        let in_force = ordered(&[(STREET, flood.as_str())]).with_moves(vec![3, 5]);
        let usual = Profile::office();
        let version = |at| in_force.hours(&usual, &city(at)).usual.version();
        assert_eq!([2, 3, 4, 5].map(version), [2, 3, 3, 4]);
        assert_eq!(in_force.newest_move(), 5);
        let of_units = in_force.hours(&usual, &city(4)).of_units;
        assert!(of_units.values().all(|profile| profile.version() == 3), "one version for all");
    }
}
