//! What the router looked at when it decided, kept with the decision, and deciding it anew from that.

use serde::{Deserialize, Serialize};

use super::case::RoutingDecision;
use super::codes::{RoutingKind, Urgency};
use super::condition::{Circumstances, Facts};
use super::event::Timestamp;
use super::ids::{DecisionId, OrgId, UnitId};
use super::instant;
use super::reason::Reason;
use super::router::{RouteQuery, RoutingOutcome};
use super::seats::Seats;
use super::table::{Load, RoutingTable};

/// All that a routing decision depends on, except what versions name: the list, the item, the topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingInputs {
    /// Code and version of the item.
    pub item: Option<(String, u32)>,
    pub place: Vec<UnitId>,
    pub urgency: Urgency,
    pub first_receiver: OrgId,
    pub complained_of: Option<OrgId>,
    pub excluded: Vec<OrgId>,
    pub may_offer: bool,
    pub tried: Vec<OrgId>,
    #[serde(serialize_with = "instant::write")]
    pub at: Timestamp,
    /// What conditions of entries were judged by; unset where no entry that was looked at has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circumstances: Option<Circumstances>,
    /// Open work that was looked at, without zeros.
    pub load: Vec<(OrgId, u32)>,
    /// The confidence that the decision was held to, if it was.
    pub threshold: Option<u8>,
    /// Version of the units, organisations and edges.
    pub topology: i64,
    /// Where the organisations sat that were looked at; unset in decisions of earlier releases, which did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<Seats>,
}

impl RoutingInputs {
    /// Of a question that was answered.
    #[must_use]
    pub fn of(query: &RouteQuery<'_>, outcome: &RoutingOutcome, routes: &RoutingTable) -> Self {
        Self {
            item: query.item.map(|item| (item.code.clone(), item.version)),
            place: query.place.to_vec(),
            urgency: query.urgency,
            first_receiver: query.first_receiver,
            complained_of: query.complained_of,
            excluded: query.excluded.to_vec(),
            may_offer: query.may_offer,
            tried: query.tried.to_vec(),
            at: query.at,
            circumstances: outcome.circumstances,
            load: outcome.loads.clone(),
            threshold: None,
            topology: routes.topology_version(),
            seats: Some(Seats::of(query, outcome, routes)),
        }
    }

    fn ask(&self, routes: &RoutingTable) -> RoutingOutcome {
        let load: Load = self.load.iter().copied().collect();
        let routes = routes.with_load(load.into());
        let routes = match &self.seats {
            Some(seats) => routes.seated(seats, &self.place, self.at),
            None => routes,
        };
        let item = self.item.as_ref().and_then(|(code, version)| routes.item_version(code, *version));
        let query = RouteQuery {
            item: item.map(AsRef::as_ref),
            place: &self.place,
            urgency: self.urgency,
            first_receiver: self.first_receiver,
            complained_of: self.complained_of,
            excluded: &self.excluded,
            may_offer: self.may_offer,
            tried: &self.tried,
            // Not asked: of no matter, for no entry that is looked at has a condition.
            facts: Facts::unknown(),
            kept: self.circumstances.as_ref(),
            at: self.at,
        };
        let outcome = match &self.seats {
            Some(_) => routes.route(&query),
            None => routes.route_as_before_seats(&query),
        };
        match self.threshold {
            Some(threshold) => outcome.held_to(threshold),
            None => outcome,
        }
    }
}

/// What came of deciding anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    Identical,
    /// What differs.
    Differs(Vec<Difference>),
    /// The router was not asked: a human chose, or there was nothing to choose.
    NotRouted,
}

/// A part of a decision that came out otherwise, both as JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub field: &'static str,
    pub stored: String,
    pub replayed: String,
}

impl RoutingDecision {
    /// What is kept of an outcome.
    #[must_use]
    pub fn of(outcome: &RoutingOutcome, id: DecisionId, by_human: bool, at: Timestamp) -> Self {
        let chosen = outcome.lead.as_ref().or(outcome.partner.as_ref());
        Self {
            id,
            kind: outcome.kind,
            lead: chosen.map(|choice| choice.org),
            sender: chosen.map(|choice| choice.sender),
            mode: chosen.map(|choice| choice.mode),
            assists: outcome.assists.iter().map(|choice| choice.org).collect(),
            candidates: outcome.candidates.clone(),
            rule_ids: outcome.rule_ids.clone(),
            reasons: outcome.reasons.clone(),
            confidence: outcome.confidence,
            by_human,
            list_version: outcome.list_version.to_string(),
            rules_version: String::new(),
            inputs: outcome.inputs.clone(),
            at,
        }
    }

    /// Decides anew from what was looked at, with a table of the version that the decision cites.
    #[must_use]
    pub fn replay(&self, routes: &RoutingTable) -> Replay {
        let Some(inputs) = &self.inputs else { return Replay::NotRouted };
        let mut outcome = inputs.ask(routes);
        if self.by_human && self.kind != RoutingKind::Manual {
            outcome.reasons.push(Reason::new("confirmed_by_human"));
        }
        let anew = Self::of(&outcome, self.id, self.by_human, self.at);
        let parts = [
            ("kind", json(&self.kind), json(&anew.kind)),
            ("lead_org_id", json(&self.lead), json(&anew.lead)),
            ("sender_org_id", json(&self.sender), json(&anew.sender)),
            ("mode", json(&self.mode), json(&anew.mode)),
            ("assist_org_ids", json(&self.assists), json(&anew.assists)),
            ("rule_ids", json(&self.rule_ids), json(&anew.rule_ids)),
            ("candidates", json(&self.candidates), json(&anew.candidates)),
            ("reasons", json(&self.reasons), json(&anew.reasons)),
            ("confidence", json(&self.confidence), json(&anew.confidence)),
            ("list_version", json(&self.list_version), json(&anew.list_version)),
        ];
        let differs = parts.into_iter().filter(|(_, stored, replayed)| stored != replayed);
        let differences: Vec<_> =
            differs.map(|(field, stored, replayed)| Difference { field, stored, replayed }).collect();
        if differences.is_empty() { Replay::Identical } else { Replay::Differs(differences) }
    }
}

/// As it is stored; these types have text keys only and always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
