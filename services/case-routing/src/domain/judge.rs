//! Which entries of the list apply to a case: those without a condition, and those whose condition holds. What conditions are
//! judged by is found out when the first entry that has one is met, so that the others cost nothing.

use std::cell::OnceCell;

use chrono::Timelike;

use super::codes::Urgency;
use super::condition::{Circumstances, Facts};
use super::event::Timestamp;
use super::ids::UnitId;
use super::item::ResponsibilityEntry;
use super::reason::Reason;
use super::router::RouteQuery;
use super::table::RoutingTable;

/// Judges conditions of one question; finds out what they are judged by when the first entry that has one is met.
pub(super) struct Judge<'a> {
    table: &'a RoutingTable,
    pub query: &'a RouteQuery<'a>,
    /// Judges as releases did that kept no seats with a decision, so that theirs come out the same.
    pub as_before_seats: bool,
    found: OnceCell<Circumstances>,
}

impl<'a> Judge<'a> {
    pub const fn new(table: &'a RoutingTable, query: &'a RouteQuery<'a>) -> Self {
        Self { table, query, as_before_seats: false, found: OnceCell::new() }
    }

    pub fn as_before_seats(table: &'a RoutingTable, query: &'a RouteQuery<'a>) -> Self {
        Self { as_before_seats: true, ..Self::new(table, query) }
    }

    /// What conditions were judged by, if there were any.
    pub fn found(self) -> Option<Circumstances> {
        self.found.into_inner()
    }

    fn circumstances(&self) -> &Circumstances {
        self.found.get_or_init(|| {
            let query = self.query;
            let anew = || self.table.circumstances(query.place, query.urgency, query.facts, query.at);
            query.kept.copied().unwrap_or_else(anew)
        })
    }

    pub fn applies(&self, entry: &ResponsibilityEntry) -> bool {
        entry.condition.as_ref().is_none_or(|condition| condition.holds(self.circumstances()))
    }

    /// Why an entry does not apply, if its condition does not hold.
    pub fn unmet(&self, entry: &ResponsibilityEntry) -> Option<Reason> {
        let (term, found) = entry.condition.as_ref()?.unmet(self.circumstances())?;
        Some(Reason::new("condition_unmet").with("condition", term).with("found", found))
    }
}

impl RoutingTable {
    /// What conditions are judged by.
    pub(super) fn circumstances(
        &self,
        place: &[UnitId],
        urgency: Urgency,
        facts: Facts,
        at: Timestamp,
    ) -> Circumstances {
        let local = calendar::local(at).time();
        let Facts { nature, origin, channel, vulnerable, anonymous } = facts;
        Circumstances {
            urgency,
            nature,
            origin,
            channel,
            vulnerable,
            anonymous,
            place: place.last().and_then(|unit| self.unit(*unit)).map(|unit| unit.kind),
            working: self.is_working_time(place, at),
            minute: u16::try_from(local.hour() * 60 + local.minute()).unwrap_or_default(),
        }
    }

    /// Whether an entry applies to what is known of a case; without that, only one that has no condition does.
    pub(super) fn applies(
        &self,
        entry: &ResponsibilityEntry,
        place: &[UnitId],
        about: Option<(Urgency, Facts)>,
        at: Timestamp,
    ) -> bool {
        let Some(condition) = &entry.condition else { return true };
        let known = about.map(|(urgency, facts)| self.circumstances(place, urgency, facts, at));
        known.is_some_and(|known| condition.holds(&known))
    }
}
