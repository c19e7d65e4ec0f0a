//! Versions of the responsibility list: which one decides about a place at an instant, and the entries of one, indexed.
//! A version never changes. What changes is where and when it is in force: everywhere, or in one street before the
//! others (a canary).

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::citation::Citation;
use super::codes::{ListPart, ListState};
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::{OrgId, UnitId};
use super::item::{Holder, ResponsibilityEntry};

/// The entries of one version, those of an item that name organisations of one unit side by side.
#[derive(Debug, Default)]
pub struct EntryList {
    cited: Citation,
    entries: Vec<ResponsibilityEntry>,
    index: FxHashMap<String, ItemIndex>,
}

/// Where the entries for one item stand.
#[derive(Debug, Default)]
pub(super) struct ItemIndex {
    /// Entries that name an organisation, by the organisation's unit.
    by_unit: FxHashMap<UnitId, Range<usize>>,
    /// Entries that name a kind.
    by_kind: Range<usize>,
    /// Entries of the negative list, asked for every candidate: by organisation, and by kind.
    never: FxHashMap<OrgId, Vec<usize>>,
    never_kind: Vec<usize>,
}

impl ItemIndex {
    pub fn named_at(&self, unit: UnitId) -> Range<usize> {
        self.by_unit.get(&unit).cloned().unwrap_or_default()
    }

    pub fn by_kind(&self) -> Range<usize> {
        self.by_kind.clone()
    }
}

impl EntryList {
    /// Indexes the entries; those that name an organisation which sits nowhere are never found.
    pub fn new(
        cited: Citation,
        entries: Vec<ResponsibilityEntry>,
        unit_of: impl Fn(OrgId) -> Option<UnitId>,
    ) -> Self {
        // `None`: by kind.
        let mut placed: Vec<(Option<UnitId>, ResponsibilityEntry)> = entries
            .into_iter()
            .filter_map(|entry| match &entry.holder {
                Holder::Org(id) => unit_of(*id).map(|unit| (Some(unit), entry)),
                Holder::Kind { .. } => Some((None, entry)),
            })
            .collect();
        // Stable: within a unit in the order of the list.
        placed.sort_by(|(a, one), (b, other)| one.item_code.cmp(&other.item_code).then_with(|| a.cmp(b)));
        let mut index: FxHashMap<String, ItemIndex> = FxHashMap::default();
        let mut entries = Vec::with_capacity(placed.len());
        for (number, (unit, entry)) in placed.into_iter().enumerate() {
            let item = index.entry(entry.item_code.clone()).or_default();
            let place = match unit {
                Some(unit) => item.by_unit.entry(unit).or_default(),
                None => &mut item.by_kind,
            };
            *place = if place.start == place.end { number..number + 1 } else { place.start..number + 1 };
            match &entry.holder {
                _ if entry.part != ListPart::Negative => {}
                Holder::Org(id) => item.never.entry(*id).or_default().push(number),
                Holder::Kind { .. } => item.never_kind.push(number),
            }
            entries.push(entry);
        }
        Self { cited, entries, index }
    }

    /// The same entries, placed as organisations sit otherwise.
    pub(super) fn placed(&self, unit_of: impl Fn(OrgId) -> Option<UnitId>) -> Self {
        Self::new(self.cited.clone(), self.entries.clone(), unit_of)
    }

    /// The name that decisions of an instant cite.
    #[must_use]
    pub fn cited(&self, at: Timestamp) -> &Arc<str> {
        self.cited.at(at)
    }

    pub(super) fn item(&self, code: &str) -> Option<&ItemIndex> {
        self.index.get(code)
    }

    pub(super) fn entries(&self, range: Range<usize>) -> &[ResponsibilityEntry] {
        &self.entries[range]
    }

    /// Entries of an item's negative list that may mean the organisation.
    pub(super) fn negative<'l>(
        &'l self,
        item: &'l ItemIndex,
        org: OrgId,
    ) -> impl Iterator<Item = &'l ResponsibilityEntry> {
        let named = if item.never.is_empty() { None } else { item.never.get(&org) };
        let numbers = named.into_iter().flatten().chain(&item.never_kind);
        numbers.map(|number| &self.entries[*number])
    }

    /// Entries for an item that may mean an organisation of the unit.
    pub(super) fn about(&self, item: &str, unit: UnitId) -> impl Iterator<Item = &ResponsibilityEntry> {
        let indexed = self.index.get(item).into_iter();
        indexed.flat_map(move |index| {
            index.named_at(unit).chain(index.by_kind()).map(|number| &self.entries[number])
        })
    }
}

/// Where and when a version is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    pub version: i32,
    /// A canary's unit; unset: everywhere.
    pub unit: Option<UnitId>,
    pub from: Timestamp,
    pub to: Option<Timestamp>,
}

impl Period {
    /// Whether it covers an instant.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }

    /// Whether it ever covered an instant.
    fn is_empty(&self) -> bool {
        self.to.is_some_and(|to| to <= self.from)
    }
}

/// The version that is in force for a place (root → leaf) at an instant: a canary's where there is one.
#[must_use]
pub fn version_at(periods: &[Period], place: &[UnitId], at: Timestamp) -> Option<i32> {
    let covering = || periods.iter().filter(|period| period.covers(at));
    let canary = covering().find(|period| period.unit.is_some_and(|unit| place.contains(&unit)));
    canary.or_else(|| covering().find(|period| period.unit.is_none())).map(|period| period.version)
}

/// The versions that commands may decide with.
#[derive(Debug, Default)]
pub struct Schedule {
    periods: Vec<Period>,
    lists: FxHashMap<i32, Arc<EntryList>>,
    /// Decides where and when no period covers: before the first list, and where a list is not at hand.
    otherwise: Arc<EntryList>,
}

impl Schedule {
    /// One version everywhere.
    #[must_use]
    pub fn always(list: Arc<EntryList>) -> Self {
        Self { otherwise: list, ..Self::default() }
    }

    /// Periods, and the entries of the versions that they name as far as they are at hand.
    #[must_use]
    pub fn new(periods: Vec<Period>, lists: FxHashMap<i32, Arc<EntryList>>) -> Self {
        let everywhere = periods.iter().filter(|period| period.unit.is_none() && !period.is_empty());
        let first =
            everywhere.filter(|period| lists.contains_key(&period.version)).min_by_key(|period| period.from);
        let otherwise = first.and_then(|period| lists.get(&period.version).cloned()).unwrap_or_default();
        Self { periods, lists, otherwise }
    }

    /// The same where a unit goes on in another one: a canary of it decides there, too. What was written down before lies in the
    /// unit still.
    pub(super) fn going_on(mut self, open_at: impl Fn(UnitId) -> UnitId) -> Self {
        let further = self.periods.iter().filter_map(|period| {
            let unit = period.unit?;
            let next = open_at(unit);
            (next != unit).then(|| Period { unit: Some(next), ..period.clone() })
        });
        let further: Vec<Period> = further.collect();
        self.periods.extend(further);
        self
    }

    /// The version that decides about a place at an instant, whether or not its list is at hand.
    #[must_use]
    pub fn version(&self, place: &[UnitId], at: Timestamp) -> Option<i32> {
        version_at(&self.periods, place, at)
    }

    /// The list that decides about a place at an instant.
    #[must_use]
    pub fn at(&self, place: &[UnitId], at: Timestamp) -> &Arc<EntryList> {
        let version = self.version(place, at);
        version.and_then(|version| self.lists.get(&version)).unwrap_or(&self.otherwise)
    }
}

/// What a version's life is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListVersion {
    pub version: i32,
    /// Pseudonym of who drafted it.
    pub drafted_by: String,
    pub withdrawn: bool,
    /// Its own periods.
    pub periods: Vec<Period>,
}

impl ListVersion {
    /// Where it stands at an instant.
    #[must_use]
    pub fn state(&self, at: Timestamp) -> ListState {
        let real = || self.periods.iter().filter(|period| !period.is_empty());
        let everywhere = || real().filter(|period| period.unit.is_none());
        if self.withdrawn {
            ListState::Withdrawn
        } else if everywhere().any(|period| period.covers(at)) {
            ListState::InForce
        } else if real().any(|period| period.unit.is_some() && period.covers(at)) {
            ListState::Canary
        } else if everywhere().any(|period| at < period.from) {
            ListState::Scheduled
        } else if everywhere().next().is_some() {
            ListState::Superseded
        } else {
            ListState::Draft
        }
    }

    /// The canary's unit, while it runs.
    #[must_use]
    pub fn canary_unit(&self, at: Timestamp) -> Option<UnitId> {
        self.periods
            .iter()
            .find(|period| period.unit.is_some() && period.covers(at))
            .and_then(|period| period.unit)
    }

    /// The instant from which it is in force everywhere, or will be.
    #[must_use]
    pub fn effective_from(&self) -> Option<Timestamp> {
        let everywhere = self.periods.iter().filter(|period| period.unit.is_none() && !period.is_empty());
        everywhere.map(|period| period.from).max()
    }

    /// Whoever drafted it approves it not (two persons).
    fn approved_by(&self, by: &str) -> Result<()> {
        if self.drafted_by == by {
            return Err(DomainError::guard(
                "two_persons",
                "who drafted the version does not put it in force",
            ));
        }
        Ok(())
    }
}

/// Puts a version in force in one unit before the others. Gives the periods to store.
///
/// # Errors
/// `Guard` `list_state`, `two_persons`, `canary_runs` (one at a time), `list_scheduled` (another version waits).
pub fn start_canary(
    list: &ListVersion,
    all: &[Period],
    unit: UnitId,
    by: &str,
    now: Timestamp,
) -> Result<Vec<Period>> {
    require(list, &[ListState::Draft], now)?;
    list.approved_by(by)?;
    undisturbed(list, all, now)?;
    let mut periods = all.to_vec();
    periods.push(Period { version: list.version, unit: Some(unit), from: now, to: None });
    Ok(periods)
}

/// Puts a version in force everywhere from an instant on; its own canary ends there. Gives the periods to store.
///
/// # Errors
/// `Guard` `list_state`, `two_persons`, `canary_runs` (of another version), `list_scheduled`; `Invalid(effective_on)` for the
/// past.
pub fn activate(
    list: &ListVersion,
    all: &[Period],
    from: Timestamp,
    by: &str,
    now: Timestamp,
) -> Result<Vec<Period>> {
    require(list, &[ListState::Draft, ListState::Canary], now)?;
    list.approved_by(by)?;
    undisturbed(list, all, now)?;
    if from < now {
        return Err(DomainError::invalid("effective_on", "must not lie in the past"));
    }
    let mut periods = all.to_vec();
    // Whatever is open ends there: the version in force, and the canary of this one.
    periods.iter_mut().filter(|period| period.to.is_none()).for_each(|period| period.to = Some(from));
    periods.push(Period { version: list.version, unit: None, from, to: None });
    Ok(periods)
}

/// Takes a version back at once: its canary ends, or the version that was in force before it is in force again. Decisions
/// made meanwhile stay and keep citing it. Gives the periods to store.
///
/// # Errors
/// `Guard` `list_state` unless it is a canary, scheduled or in force, `no_earlier_list` for the first one.
pub fn roll_back(list: &ListVersion, all: &[Period], now: Timestamp) -> Result<Vec<Period>> {
    require(list, &[ListState::Canary, ListState::Scheduled, ListState::InForce], now)?;
    let mut periods = all.to_vec();
    let everywhere = |period: &Period| period.unit.is_none() && !period.is_empty();
    // What it replaced when it came, however often it came back since.
    if let Some(own) = periods.iter().find(|period| period.version == list.version && everywhere(period)) {
        let started = own.from;
        let before = periods.iter().rposition(|period| {
            period.version != list.version && everywhere(period) && period.to == Some(started)
        });
        let Some(before) = before else {
            return Err(DomainError::guard("no_earlier_list", "there is no version to go back to"));
        };
        if now < started {
            periods[before].to = None;
        } else {
            // Where another version waits for its day, it ends there as the one taken back would have.
            let to = periods
                .iter()
                .find(|period| period.version == list.version && period.unit.is_none() && period.covers(now));
            let to = to.and_then(|period| period.to);
            periods.push(Period { version: periods[before].version, unit: None, from: now, to });
        }
    }
    for period in periods.iter_mut().filter(|period| period.version == list.version) {
        if period.to.is_none_or(|to| now < to) {
            period.to = Some(now.max(period.from));
        }
    }
    Ok(periods)
}

/// A draft is put in force on top of what it was drafted from, else it would undo what others have put in force or taken back
/// since. `base` is what it was drafted from, `chain` the version in force and what that amends.
///
/// # Errors
/// `Guard` `list_moved`.
pub fn stands_on(base: Option<i32>, chain: &[i32]) -> Result<()> {
    if base.map_or(chain.is_empty(), |base| chain.contains(&base)) {
        return Ok(());
    }
    let message = "what it was drafted from is not in force; draft it anew, or say that it replaces what is";
    Err(DomainError::guard("list_moved", message))
}

/// The versions on their way besides one: those that run as canaries or wait for their day.
#[must_use]
pub fn on_the_way(all: &[Period], but: i32, now: Timestamp) -> Vec<i32> {
    let canary = |period: &&Period| period.unit.is_some() && period.covers(now);
    let waits = |period: &&Period| period.unit.is_none() && now < period.from;
    let others = all.iter().filter(|period| period.version != but && !period.is_empty());
    let coming = others.filter(|period| canary(period) || waits(period));
    let mut versions: Vec<i32> = coming.map(|period| period.version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// What is taken back would come back by itself with a version on its way that was made from it. `made_from` is that version
/// and all that it was made from, `chain` the one taken back and what that amends.
///
/// # Errors
/// `Guard` `list_scheduled`.
pub fn stands_apart(made_from: &[i32], chain: &[i32]) -> Result<()> {
    if !made_from.iter().any(|version| chain.contains(version)) {
        return Ok(());
    }
    let message = "another version that was made from it runs as a canary or waits; roll that back first";
    Err(DomainError::guard("list_scheduled", message))
}

/// What was in force before a version came that duties have amended since. `chain` holds it and what it amends.
#[must_use]
pub fn replaced(chain: &[i32], all: &[Period]) -> Option<i32> {
    let everywhere = |period: &&Period| period.unit.is_none() && !period.is_empty();
    let own = |period: &&Period| chain.contains(&period.version);
    let came = all.iter().filter(everywhere).filter(own).map(|period| period.from).min()?;
    let before = |period: &&Period| everywhere(period) && !own(period) && period.to == Some(came);
    all.iter().rfind(before).map(|period| period.version)
}

fn require(list: &ListVersion, states: &[ListState], now: Timestamp) -> Result<()> {
    if states.contains(&list.state(now)) {
        return Ok(());
    }
    Err(DomainError::guard("list_state", format!("the version is {}", list.state(now))))
}

/// No other version is on its way.
fn undisturbed(list: &ListVersion, all: &[Period], now: Timestamp) -> Result<()> {
    let others = || all.iter().filter(|period| period.version != list.version && !period.is_empty());
    if others().any(|period| period.unit.is_some() && period.covers(now)) {
        return Err(DomainError::guard(
            "canary_runs",
            "another version runs as a canary; roll it back first",
        ));
    }
    if others().any(|period| period.unit.is_none() && now < period.from) {
        return Err(DomainError::guard(
            "list_scheduled",
            "another version waits for its day; roll it back first",
        ));
    }
    Ok(())
}
