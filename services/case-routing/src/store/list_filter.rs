//! Which cases are listed, in which order, and which index leads there soonest ([`super::list_texts`]).

use chassis::{
    Clock, Timestamp,
    auth::{Caller, CallerKind, Role},
    topology::{Topology, UnitKind},
};
use chrono::TimeDelta;
use uuid::{Builder, Uuid};

use super::{
    list_texts::{
        ALL, ARCHIVED, ARCHIVED_OF_LINE, ARCHIVED_OF_STREET, BY_ASKED, BY_ITEM, BY_LINE, BY_ORG, BY_RECEIVER,
        BY_REQUESTER, BY_STREET, OPEN, Texts,
    },
    rows::never,
};
use crate::{
    domain::{CaseId, CaseState},
    reach,
};

/// What a caller reaches, as the queries ask it.
#[derive(Debug, Clone, Default)]
pub struct ReachFilter {
    /// Everything: a service.
    pub all: bool,
    /// Own requests.
    pub requester: Option<Uuid>,
    /// Units and, each at the same place, lines.
    pub units: Vec<Uuid>,
    pub lines: Vec<Option<String>>,
    /// Organisations that take part.
    pub orgs: Vec<Uuid>,
}

impl ReachFilter {
    pub fn of(caller: &Caller) -> Self {
        let scopes = || reach::place_scopes(caller);
        Self {
            all: caller.kind != CallerKind::Person,
            requester: caller.has(Role::Resident).then_some(caller.person_id),
            units: scopes().map(|scope| scope.unit_id).collect(),
            lines: scopes().map(|scope| scope.line.clone()).collect(),
            orgs: reach::part_orgs(caller),
        }
    }

    /// The same for disputes, of which a mediator's grants reach more.
    pub fn of_disputes(caller: &Caller) -> Self {
        let mut reach = Self::of(caller);
        for scope in caller.scopes.iter().filter(|scope| scope.role == Role::Mediator) {
            reach.units.push(scope.unit_id);
            reach.lines.push(None);
        }
        reach.orgs = reach::own_orgs(caller);
        reach
    }
}

/// Which cases to list.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    pub reach: ReachFilter,
    /// Empty: all.
    pub states: Vec<CaseState>,
    /// The unit asked for, and what it became part of, or what became part of that: finished cases stand where they were. Empty: any.
    pub units: Vec<Uuid>,
    /// The street that `units`, or everything within reach, lies in, as it is today; behind it those that became part of it. Empty: it is
    /// not one.
    pub streets: Vec<Uuid>,
    /// The street that the units within reach lie in, if it is one, likewise; organisations and own requests may lie elsewhere.
    pub near: Vec<Uuid>,
    pub item_code: Option<String>,
    /// Only those whose clock does not run.
    pub still: bool,
    /// Overdue at this instant.
    pub overdue_at: Option<Timestamp>,
    pub org: Option<Uuid>,
    pub registered_after: Option<Timestamp>,
    pub registered_before: Option<Timestamp>,
    /// The ids that cases registered within that span have: they are made of the time ([`ids_within`]).
    pub ids: Option<(Uuid, Uuid)>,
    /// Only this requester's.
    pub mine: Option<Uuid>,
    /// Pairs of characters that the text must have ([`crate::domain::pairs`]); empty: any text.
    pub pairs: Vec<i32>,
    /// The cases that have them, where they are few ([`find`]).
    pub found: Option<Vec<Uuid>>,
    pub order: Order,
    /// Only cases behind this one.
    pub after: Option<CaseKey>,
    pub limit: i64,
}

/// In which order cases are listed. Ids are made in the order of registration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
    /// Next due first.
    DueFirst,
    /// Due last first.
    DueLast,
}

/// What a list of cases is ordered by.
pub type CaseKey = (Timestamp, Uuid);

impl Order {
    /// Where the list stands after a case.
    pub fn key(self, id: CaseId, running_due_at: Option<Timestamp>) -> CaseKey {
        let due = match self {
            Self::Newest | Self::Oldest => None,
            Self::DueFirst | Self::DueLast => running_due_at,
        };
        (due.unwrap_or_else(|| self.without()), id.0)
    }

    /// Stands for the due time of a case whose clock does not run: behind all others. Those are ordered by id.
    pub(super) fn without(self) -> Timestamp {
        if self == Self::DueFirst { never() } else { Timestamp::UNIX_EPOCH }
    }

    /// Before the first.
    pub(super) fn start(self) -> CaseKey {
        match self {
            Self::Newest => (Timestamp::UNIX_EPOCH, Uuid::max()),
            Self::Oldest | Self::DueFirst => (Timestamp::UNIX_EPOCH, Uuid::nil()),
            Self::DueLast => (never(), Uuid::max()),
        }
    }
}

/// The ids of cases registered at or after the first instant and before the second, with what is between the domain's time,
/// by which cases are registered, and the machine's, by which ids are made; and a day to spare.
pub fn ids_within(
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    clock: &Clock,
) -> Option<(Uuid, Uuid)> {
    if after.is_none() && before.is_none() {
        return None;
    }
    let ahead = clock.now() - clock.real_now();
    let spare = TimeDelta::days(1);
    let id = |at: Timestamp| {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
    };
    let first = after.map_or(Uuid::nil(), |at| id(at - ahead.max(TimeDelta::zero()) - spare));
    let last = before.map_or(Uuid::max(), |at| id(at + (-ahead).max(TimeDelta::zero()) + spare));
    Some((first, last))
}

impl CaseFilter {
    /// All within reach, of a unit where one is given, registered at or after the first instant and before the second: with whatever
    /// leads there soonest.
    pub fn of(
        reach: ReachFilter,
        unit: Option<Uuid>,
        (after, before): (Option<Timestamp>, Option<Timestamp>),
        topology: &Topology,
        clock: &Clock,
    ) -> Self {
        let units = unit.map(|unit| with_mergers(topology, unit)).unwrap_or_default();
        Self {
            streets: streets(topology, &units, &reach),
            near: streets_of(topology, &reach.units),
            units,
            registered_after: after,
            registered_before: before,
            ids: ids_within(after, before, clock),
            reach,
            ..Self::default()
        }
    }

    /// The key of the case up to which an index was looked through.
    pub(super) fn goes_on(&self, id: Option<Uuid>) -> Option<CaseKey> {
        id.map(|id| (self.order.without(), id))
    }

    /// Whose own cases these are, if nobody else's can be among them.
    pub(super) fn requester(&self) -> Option<Uuid> {
        let reach = &self.reach;
        let own = reach.requester.filter(|_| !reach.all && reach.units.is_empty() && reach.orgs.is_empty());
        self.mine.or(own)
    }

    /// Whose own cases are asked for, the newest first and nothing else: what a resident looks at again and again.
    pub(super) fn plainly_own(&self) -> Option<Uuid> {
        let Self {
            reach,
            states,
            units,
            streets,
            near: _,
            item_code,
            still,
            overdue_at,
            org,
            registered_after,
            registered_before,
            ids,
            mine: _,
            pairs,
            found,
            order,
            after: _,
            limit: _,
        } = self;
        let narrowed = !(states.is_empty() && pairs.is_empty() && found.is_none() && ids.is_none())
            || !(units.is_empty() && streets.is_empty() && org.is_none())
            || [overdue_at, registered_after, registered_before].into_iter().any(Option::is_some)
            || item_code.is_some()
            || *still;
        let requester = self.requester().filter(|_| *order == Order::Newest && !narrowed)?;
        (reach.all || reach.requester == Some(requester)).then_some(requester)
    }

    /// The texts of the best index, and what it is looked up by.
    pub(super) fn driver(&self) -> (Texts, Option<String>) {
        let reach = &self.reach;
        if let Some(requester) = self.requester() {
            return (BY_REQUESTER, Some(requester.to_string()));
        }
        let finished = |state: &CaseState| state.is_finished();
        // What is open is not much, and the agenda says of it what narrows it down.
        if self.overdue_at.is_some() || !(self.states.is_empty() || self.states.iter().any(finished)) {
            return (OPEN, None);
        }
        let part = (!reach.all && reach.units.is_empty() && reach.requester.is_none()).then_some(&reach.orgs);
        let only = part.and_then(|orgs| if let [org] = orgs[..] { Some(org) } else { None });
        if let Some(org) = self.org.or(only) {
            return (BY_ORG, Some(org.to_string()));
        }
        if let Some(item) = &self.item_code {
            return (BY_ITEM, Some(item.clone()));
        }
        // The oldest of a street or a line: by its index years of others would be read first.
        let kept = |state: &CaseState| *state == CaseState::Archived;
        let archived = !self.states.is_empty() && self.states.iter().all(kept);
        if let Some(street) = self.streets.first() {
            return (if archived { ARCHIVED_OF_STREET } else { BY_STREET }, Some(street.to_string()));
        }
        let line = reach.lines.as_slice().first().cloned().flatten();
        let same = reach.lines.iter().all(|other| *other == line);
        if let Some(line) = line.filter(|_| same && reach.orgs.is_empty() && reach.requester.is_none()) {
            return (if archived { ARCHIVED_OF_LINE } else { BY_LINE }, Some(line));
        }
        (if archived { ARCHIVED } else { ALL }, None)
    }

    /// Where no index alone leads there, those that together hold all that is asked for, and what each is looked up by: for an
    /// organisation the cases of its tasks and those that ask it for something; for a street those of the streets that became part of it;
    /// for whoever has a desk at one street, an organisation and own requests, and asks for nothing in particular, all that is
    /// within reach.
    pub(super) fn several(&self) -> Option<Vec<(Texts, String)>> {
        let (reach, (texts, key)) = (&self.reach, self.driver());
        if texts == BY_ORG {
            return key.map(|org| vec![(BY_ORG, org.clone()), (BY_ASKED, org)]);
        }
        if self.streets.len() > 1 && [BY_STREET, ARCHIVED_OF_STREET].contains(&texts) {
            return Some(self.streets.iter().map(|street| (texts, street.to_string())).collect());
        }
        if self.near.is_empty() || texts != ALL || reach.orgs.len() > 1 {
            return None;
        }
        let mut all: Vec<_> = self.near.iter().map(|street| (BY_STREET, street.to_string())).collect();
        all.extend(reach.requester.map(|requester| (BY_REQUESTER, requester.to_string())));
        for org in &reach.orgs {
            all.extend([BY_ORG, BY_RECEIVER, BY_ASKED].map(|texts| (texts, org.to_string())));
        }
        Some(all)
    }
}

/// A unit as places are written down: what it goes on in, for cases that are open, and all that became part of that, for those that
/// had ended by then.
pub fn with_mergers(topology: &Topology, unit: Uuid) -> Vec<Uuid> {
    let now = topology.goes_on_at(unit);
    let mut units = vec![now];
    units.extend(topology.parts_of(now));
    units
}

/// The street in which everything asked for lies, if it is one, with those that became part of it.
fn streets(topology: &Topology, units: &[Uuid], reach: &ReachFilter) -> Vec<Uuid> {
    // Organisations and own requests may lie anywhere.
    let anywhere = reach.all || !reach.orgs.is_empty() || reach.requester.is_some();
    match units {
        [] if anywhere => Vec::new(),
        [] => streets_of(topology, &reach.units),
        units => streets_of(topology, units),
    }
}

/// The street that all these units lie in, with those that became part of it and some of them lie in.
fn streets_of(topology: &Topology, units: &[Uuid]) -> Vec<Uuid> {
    let Some(mut streets) = units.iter().map(|unit| street_of(topology, *unit)).collect::<Option<Vec<_>>>()
    else {
        return Vec::new();
    };
    let goes_on = |street: &Uuid| topology.goes_on_at(*street);
    // Today's, where the newest cases are, is looked through first.
    streets.sort_unstable_by_key(|street| (goes_on(street) != *street, *street));
    streets.dedup();
    let first = streets.first().map(goes_on);
    if streets.iter().any(|street| Some(goes_on(street)) != first) {
        return Vec::new();
    }
    streets
}

/// The street that a unit has always lain in. Cases stand under the street of their day: of a unit that came under another parent, as
/// by a merger of streets, nothing is said.
fn street_of(topology: &Topology, unit: Uuid) -> Option<Uuid> {
    let street = topology.ancestor(unit, UnitKind::Street)?;
    let path = topology.path(unit)?;
    let mut below = path.iter().rev().take_while(|id| **id != street.id);
    below.all(|id| !topology.has_moved(*id)).then_some(street.id)
}

#[cfg(test)]
mod tests {
    use chassis::{
        proto::identity::v1 as identity,
        topology::{Changes, Unit},
    };

    use super::*;

    const COMMUNITY: Uuid = Uuid::from_u128(4);

    fn unit(id: u128, parent: u128, kind: UnitKind, version: i64) -> Unit {
        let told = identity::Unit {
            unit_id: Uuid::from_u128(id).to_string(),
            parent_id: if parent == 0 { String::new() } else { Uuid::from_u128(parent).to_string() },
            kind: kind.into(),
            version,
            ..Default::default()
        };
        Unit::try_from(told).unwrap()
    }

    fn told(topology: &Topology, unit: Unit) -> Topology {
        topology.with(Changes { units: vec![unit], ..Changes::default() }, topology.version() + 1)
    }

    #[test]
    fn a_desk_is_led_by_its_street_also_under_a_new_name_and_not_where_it_came_from_another() {
        let units = vec![
            unit(1, 0, UnitKind::District, 1),
            unit(2, 1, UnitKind::Street, 1),
            unit(3, 1, UnitKind::Street, 1),
            unit(4, 2, UnitKind::Community, 1),
        ];
        let founded = Topology::build(Changes { units, ..Changes::default() }, 1);
        let renamed = told(&founded, unit(4, 2, UnitKind::Community, 2));
        let moved = told(&renamed, unit(4, 3, UnitKind::Community, 3));
        let reach = ReachFilter {
            units: vec![COMMUNITY],
            lines: vec![None],
            orgs: vec![Uuid::from_u128(9)],
            ..ReachFilter::default()
        };
        let clock = Clock::system();
        let street = vec![Uuid::from_u128(2)];
        for (topology, street) in [(&founded, street.clone()), (&renamed, street), (&moved, Vec::new())] {
            let all = CaseFilter::of(reach.clone(), None, (None, None), topology, &clock);
            assert!(all.streets.is_empty(), "the organisation's may lie anywhere");
            assert_eq!(all.near, street);
            assert_eq!(all.several().is_some(), !street.is_empty());
            let of_unit = CaseFilter::of(reach.clone(), Some(COMMUNITY), (None, None), topology, &clock);
            assert_eq!(of_unit.streets, street);
            assert_eq!(of_unit.driver().0 == BY_STREET, !street.is_empty());
        }
    }

    #[test]
    fn the_cases_of_a_street_are_led_to_by_each_of_those_that_became_part_of_it() {
        let [district, one, other, next] = [1, 2, 3, 5].map(Uuid::from_u128);
        let merged = |id| Unit { successor_id: Some(next), ..unit(id, 1, UnitKind::Street, 2) };
        let units = vec![
            unit(1, 0, UnitKind::District, 1),
            merged(2),
            merged(3),
            unit(5, 1, UnitKind::Street, 1),
            unit(6, 1, UnitKind::Street, 1),
        ];
        let (topology, clock) =
            (Topology::build(Changes { units, ..Changes::default() }, 1), Clock::system());
        let reach = ReachFilter {
            units: vec![next, one, other],
            lines: vec![None; 3],
            orgs: vec![Uuid::from_u128(9)],
            ..ReachFilter::default()
        };
        let of = |unit| CaseFilter::of(reach.clone(), unit, (None, None), &topology, &clock);
        let led = |filter: &CaseFilter| {
            let mut keys: Vec<String> = filter.several().into_iter().flatten().map(|(_, key)| key).collect();
            keys.truncate(3);
            keys
        };
        let all = [next, one, other].map(|street| street.to_string());
        assert_eq!(led(&of(None)), all, "today's first");
        for unit in [one, other, next] {
            let of_unit = of(Some(unit));
            assert_eq!(led(&of_unit), all, "by each of their ids");
            assert!(of_unit.units.len() == 3 && of_unit.units.contains(&unit));
        }
        assert_eq!(of(Some(Uuid::from_u128(6))).streets, [Uuid::from_u128(6)]);
        assert!(of(Some(district)).streets.is_empty());
    }

    #[test]
    fn cases_of_a_span_are_read_between_the_ids_of_its_days() {
        let (clock, topology) = (Clock::system(), Topology::default());
        let (now, day) = (clock.now(), TimeDelta::days(10));
        let reach = ReachFilter { all: true, ..ReachFilter::default() };
        let of = |after, before| CaseFilter::of(reach.clone(), None, (after, before), &topology, &clock);
        assert_eq!(of(None, None).ids, None);
        let (first, last) = of(Some(now - day), Some(now - day / 2)).ids.unwrap();
        let id = |at: Timestamp| {
            let millis = u64::try_from(at.timestamp_millis()).unwrap();
            Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
        };
        assert!(first < id(now - day) && id(now - day / 2) < last && last < id(now));
        assert_eq!(of(Some(now), None).ids.unwrap().1, Uuid::max());
    }

    #[test]
    fn archived_cases_alone_are_led_to_by_themselves() {
        let reach = ReachFilter { all: true, ..ReachFilter::default() };
        let all = CaseFilter { reach, ..CaseFilter::default() };
        let street = CaseFilter { streets: vec![Uuid::from_u128(2)], ..all.clone() };
        let reach = ReachFilter {
            units: vec![Uuid::from_u128(1)],
            lines: vec![Some("housing".to_owned())],
            ..ReachFilter::default()
        };
        let line = CaseFilter { reach, ..CaseFilter::default() };
        for (filter, archived, others) in
            [(all, ARCHIVED, ALL), (street, ARCHIVED_OF_STREET, BY_STREET), (line, ARCHIVED_OF_LINE, BY_LINE)]
        {
            let of = |states: &[CaseState]| {
                let filter = CaseFilter { states: states.to_vec(), ..filter.clone() };
                filter.driver().0
            };
            assert_eq!(of(&[CaseState::Archived]), archived);
            assert_eq!(of(&[CaseState::Archived, CaseState::Closed]), others);
            assert_eq!(of(&[]), others);
            assert_eq!(of(&[CaseState::Dispatched]), OPEN);
        }
    }
}
