//! Where a case is to go: a dispatcher's wish, and the explanation of where a matter would go. Both ask the very router
//! that moves cases.

use std::sync::Arc;

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, Role},
    proto::case_routing::v1 as pb,
    topology::{Topology, Unit},
};
use uuid::Uuid;

use super::{convert, desk::Desk, parse};
use crate::{
    atlas::World,
    codes,
    domain::{
        Act, Case, Channel, Chooser, DecisionId, Facts, ManualRoute, OrgId, Origin, RouteChoice, RouteQuery,
        RoutingDecision, RoutingKind, TaskId, UnitId, Urgency,
    },
    reach,
    store::lists,
};

/// What a dispatcher wants.
#[derive(Debug, Clone)]
pub struct Wish {
    lead: Option<OrgId>,
    assists: Vec<OrgId>,
    reason_code: String,
    skip_society: bool,
    confirmed: Option<DecisionId>,
}

impl Wish {
    /// Of a request's fields; an own choice needs a reason.
    pub fn of(lead: &str, assists: &[String], reason_code: &str, skip_society: bool) -> Result<Self> {
        let lead: Option<OrgId> = parse::optional_id("lead_org_id", lead)?;
        let assists: Vec<OrgId> = parse::ids("assist_org_ids", assists)?;
        let chosen = lead.is_some() || !assists.is_empty();
        let reason_code = match (chosen, reason_code) {
            (false, "") => String::new(),
            (_, code) => parse::code("reason_code", code)?,
        };
        Ok(Self { lead, assists, reason_code, skip_society, confirmed: None })
    }

    /// What the router proposed, instead of a choice of one's own.
    pub fn confirming(self, decision: &str) -> Result<Self> {
        let confirmed = parse::optional_id("confirm_decision_id", decision)?;
        if confirmed.is_some() && (self.lead.is_some() || !self.assists.is_empty()) {
            return Err(Error::invalid(
                "confirm_decision_id",
                "stands alone: a choice of one's own is no proposal",
            ));
        }
        Ok(Self { confirmed, ..self })
    }

    /// The choice for this case: organisations that are to assist join the lead that a ruling or an agreement binds it to, else the
    /// one that the router would choose.
    pub fn choice(&self, case: &Case, act: &Act<'_>, by: &Caller) -> RouteChoice {
        if let Some(decision) = self.confirmed {
            return RouteChoice::Confirmed(decision);
        }
        let routed = || {
            let query = case.route_query(act.routes, act.now);
            let outcome = act.routes.route(&RouteQuery { may_offer: false, ..query });
            let outcome = outcome.held_to(act.rules.min_confidence);
            // What is only proposed is confirmed first; who is to assist is said then or by one's own choice.
            outcome.lead.filter(|_| outcome.kind != RoutingKind::Proposed).map(|choice| choice.org)
        };
        let usual = || case.bound_lead(act.routes, act.now).or_else(routed);
        let lead = self.lead.or_else(|| if self.assists.is_empty() { None } else { usual() });
        match lead {
            Some(lead) => {
                let assists = self.assists.iter().map(|org| (*org, true)).collect();
                let manual = ManualRoute { lead, assists, reason_code: self.reason_code.clone() };
                RouteChoice::Manual(manual, chooser(by, act.by.org))
            }
            None if self.skip_society => RouteChoice::PublicService,
            None => RouteChoice::Auto,
        }
    }
}

/// Whether the caller holds a role for an organisation.
pub fn holds(by: &Caller, role: Role, org: Option<OrgId>) -> bool {
    let held = by.scopes.iter().filter(|scope| scope.role == role);
    held.map(|scope| scope.org_id.or(by.org_id).map(OrgId)).any(|held_for| held_for == org)
}

/// Whether the caller dispatches for an organisation.
fn dispatches(by: &Caller, org: Option<OrgId>) -> bool {
    [Role::StreetDispatcher, Role::DistrictDispatcher].into_iter().any(|role| holds(by, role, org))
}

/// Whether the caller holds a role for an organisation by which an objection to a task of the case is decided over: a
/// dispatcher's, or where it is an order of the objector's own, an arbiter's.
pub fn decides_over_objections(by: &Caller, case: &Case, task: TaskId, org: Option<OrgId>) -> bool {
    dispatches(by, org) || (case.is_own_order(task) && holds(by, Role::Arbiter, org))
}

/// As what the caller chooses, by the roles held for the organisation acted for.
fn chooser(by: &Caller, org: Option<OrgId>) -> Chooser {
    if dispatches(by, org) {
        Chooser::Dispatcher
    } else if holds(by, Role::StationHead, org) {
        Chooser::Head
    } else {
        Chooser::Window
    }
}

/// Where a matter at a place would go; nothing is stored.
pub async fn explain(
    desk: &Desk,
    caller: &Caller,
    request: &pb::ExplainRouteRequest,
) -> Result<pb::RoutingDecision> {
    let world = desk.atlas.world();
    let unit: Uuid = parse::id("unit_id", &request.unit_id)?;
    let path = world.open_path(unit);
    let path = path.filter(|path| reach::covers(caller, path, None) || by_line(caller, path));
    let path = path.ok_or_else(|| Error::not_found("unit", unit.to_string()))?;
    let at = parse::optional_time("at_time", request.at_time.as_ref())?;
    let at = at.unwrap_or_else(|| desk.clock.now());
    let item = world.routes.item(&request.item_code, at);
    let item = item.ok_or_else(|| Error::invalid("item_code", "is not in the catalogue"))?;
    let urgency = parse::optional_word("urgency", request.urgency, codes::urgency_from)?;
    let facts = Facts {
        nature: item.nature,
        origin: parse::word("origin", request.origin, codes::origin_from, Some(Origin::BottomUp))?,
        channel: parse::word("channel", request.channel, codes::channel_from, Some(Channel::Window))?,
        vulnerable: request.vulnerable,
        anonymous: request.anonymous,
    };
    let place: Vec<UnitId> = path.iter().copied().map(UnitId).collect();
    let subject: Option<OrgId> = parse::optional_id("subject_org_id", &request.subject_org_id)?;
    if subject.is_some_and(|org| world.routes.org(org).is_none()) {
        return Err(Error::invalid("subject_org_id", "no such organisation"));
    }
    let receiver = own_window(&world, caller, at).or_else(|| world.routes.window_above(&place, at));
    let query = RouteQuery {
        item: Some(item.as_ref()),
        place: &place,
        urgency: urgency.unwrap_or(Urgency::Normal).max(item.urgency),
        // Where nobody receives requests, nobody leads for having received one.
        first_receiver: receiver.unwrap_or(OrgId(Uuid::nil())),
        complained_of: subject,
        excluded: &[],
        may_offer: request.agrees_to_society,
        tried: &[],
        facts,
        kept: None,
        at,
    };
    // What was in force long ago is not at hand.
    let version = world.list_version(&place_at(&world.topology, unit, at), at);
    let table = match version {
        Some(version) if world.routes.list_at(&place, at).cited(at) != world.cited(version).at(at) => {
            let entries = lists::entries(&mut *desk.db.conn().await?, version).await?;
            &world.under(version, &entries)
        }
        _ => &world.routes,
    };
    let outcome = table.route(&query).held_to(world.rules.min_confidence);
    let decision = RoutingDecision::of(&outcome, DecisionId(Uuid::nil()), false, at);
    // Nothing was decided, so there is no id.
    Ok(pb::RoutingDecision { decision_id: String::new(), ..convert::decision(&decision) })
}

/// The window at which the caller works: what is brought there it receives itself, wherever that lies. Whoever else asks, asks as a
/// resident comes, whose request the nearest window receives.
fn own_window(world: &World, caller: &Caller, at: Timestamp) -> Option<OrgId> {
    let works = |org: &OrgId| {
        [Role::ServiceWorker, Role::StationHead].iter().any(|role| holds(caller, *role, Some(*org)))
    };
    let known = |org: &OrgId| world.routes.org(*org).is_some_and(|org| org.in_force(at));
    let session = caller.org_id.map(OrgId);
    let own = session.into_iter().chain(reach::part_orgs(caller).into_iter().map(OrgId));
    own.filter(works).find(known)
}

/// Where a unit was at an instant, root → leaf: before it was merged in itself, so that the list of its own street is found. Of a unit
/// below it only where that lies now is known.
fn place_at(topology: &Topology, unit: Uuid, at: Timestamp) -> Vec<UnitId> {
    let not_ended = |unit: &Arc<Unit>| unit.valid_to.is_some_and(|to| to > at);
    let place = topology.became(unit).find(not_ended).or_else(|| topology.became(unit).last());
    place.map(|unit| unit.path.iter().copied().map(UnitId).collect()).unwrap_or_default()
}

/// Officers of a line may ask about the places of their line.
fn by_line(caller: &Caller, path: &[Uuid]) -> bool {
    reach::place_scopes(caller).any(|scope| path.contains(&scope.unit_id))
}
