//! A version of the list tried on past cases: where they would go otherwise. Pure, and a sum: parts may be added.

use std::collections::BTreeMap;

use super::case::Case;
use super::codes::{RoutingKind, UnitKind};
use super::event::Timestamp;
use super::ids::{CaseId, OrgId, UnitId};
use super::router::{RouteQuery, RoutingOutcome};
use super::table::RoutingTable;

/// Most examples.
const EXAMPLES: usize = 20;

/// Cases that would be decided otherwise alike: street and item, and all that differs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shift {
    pub street: Option<UnitId>,
    pub item: String,
    /// Lead or first partner; the same one where it stays.
    pub from: Option<OrgId>,
    pub to: Option<OrgId>,
    /// The kind of the decision, before and after.
    pub kinds: (RoutingKind, RoutingKind),
    /// Assists that differ: whether the case needs them (`mandatory`), before and after; unset where they do not assist.
    pub assists: BTreeMap<OrgId, (Option<bool>, Option<bool>)>,
}

/// What would be otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DryRun {
    pub compared: u32,
    /// Another destination, kind of decision, or other assists.
    pub changed: u32,
    /// What changed, each changed case once.
    pub shifts: BTreeMap<Shift, u32>,
    /// Changed cases, the first ones.
    pub examples: Vec<CaseId>,
    /// Nobody would lead any more.
    pub lost_lead: u32,
    /// Nobody would be competent any more.
    pub to_fallback: u32,
}

impl DryRun {
    /// Routes a case as it was first asked about, by what both tables say at one instant. Conditions are judged by when the case
    /// was sent, else came in: whether that was in working time has nothing to do with when this is tried. A finished case keeps the
    /// place where it lay; who is there now sits where that went on.
    pub fn add(&mut self, case: &Case, before: &RoutingTable, after: &RoutingTable, at: Timestamp) {
        let asked_at = case.dispatched_at.unwrap_or(case.registered_at);
        let routed = |table: &RoutingTable| {
            let query = RouteQuery { place: table.path_now(&case.place), ..case.route_query(table, at) };
            let known = table.circumstances(query.place, query.urgency, query.facts, asked_at);
            // What came later in its life — refusals, objections, society's turn — is no fact of the matter.
            table.route(&RouteQuery {
                excluded: &[],
                tried: &[],
                may_offer: case.society_agreed,
                kept: Some(&known),
                ..query
            })
        };
        let (old, new) = (routed(before), routed(after));
        self.compared += 1;
        let (from, to) = (destination(&old), destination(&new));
        let assists = assists_between(&old, &new);
        if from == to && old.kind == new.kind && assists.is_empty() {
            return;
        }
        self.changed += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(case.id);
        }
        let item = case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default();
        let kinds = (old.kind, new.kind);
        let street = after.on_path(after.path_now(&case.place), UnitKind::Street).or(case.place.street);
        let shift = Shift { street, item, from, to, kinds, assists };
        *self.shifts.entry(shift).or_default() += 1;
        self.lost_lead += u32::from(from.is_some() && to.is_none());
        let fallback = |outcome: &RoutingOutcome| outcome.kind == RoutingKind::Fallback;
        self.to_fallback += u32::from(fallback(&new) && !fallback(&old));
    }
}

fn destination(outcome: &RoutingOutcome) -> Option<OrgId> {
    outcome.partner.as_ref().or(outcome.lead.as_ref()).map(|choice| choice.org)
}

/// Assists that come, go, or are needed otherwise.
fn assists_between(
    old: &RoutingOutcome,
    new: &RoutingOutcome,
) -> BTreeMap<OrgId, (Option<bool>, Option<bool>)> {
    let needs = |outcome: &RoutingOutcome| -> BTreeMap<OrgId, bool> {
        outcome.assists.iter().map(|own| (own.org, own.mandatory)).collect()
    };
    let (had, has) = (needs(old), needs(new));
    let each = had.keys().chain(has.keys()).map(|org| (*org, (had.get(org).copied(), has.get(org).copied())));
    each.filter(|(_, (before, after))| before != after).collect()
}
