//! What a human sends by hand, and who may take it back. An organisation sends along its own authority edges, within its own
//! community, or as the router would; whoever sent a task, or stands above who did, decides on it. A partner is asked by hand as
//! the router asks one: by an offer.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::codes::*;
use super::condition::Facts;
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::*;
use super::item::ServiceItem;
use super::reason::Reason;
use super::router::{Candidate, Choice, RouteQuery, RoutingOutcome, means};
use super::settled::ruling_is_final;
use super::table::RoutingTable;
use super::work::{Work, check_code};

/// A human's own choice; authority edges and hard exclusions bind it too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ManualRoute {
    pub lead: OrgId,
    /// Assisting organisations and whether they are mandatory.
    pub assists: Vec<(OrgId, bool)>,
    pub reason_code: String,
}

/// As what somebody chooses for an organisation: which of its authority edges are theirs to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chooser {
    /// At its window: none.
    Window,
    /// As the head of a station: all but those that whistle.
    Head,
    /// As its dispatcher: all.
    Dispatcher,
}

impl Chooser {
    const fn uses(self, edge: EdgeKind) -> bool {
        match self {
            Self::Window => false,
            Self::Head => !matches!(edge, EdgeKind::Coordinates),
            Self::Dispatcher => true,
        }
    }
}

impl RoutingTable {
    /// Whether one organisation stands above another: it leads it, or one that does; a community's is also led by who guides it.
    #[must_use]
    pub fn stands_above(&self, above: OrgId, below: OrgId, line: Option<&str>, at: Timestamp) -> bool {
        let mut known = vec![below];
        let mut next = 0;
        while let Some(org) = known.get(next).copied() {
            for leader in self.leaders_of(org, line, at) {
                if leader == above {
                    return true;
                }
                if !known.contains(&leader) {
                    known.push(leader);
                }
            }
            next += 1;
        }
        false
    }

    /// Step 5 for an assist that the router did not choose: what bars an organisation from assisting with an item, if anything.
    #[must_use]
    pub fn bars_assist(
        &self,
        item: &ServiceItem,
        org: OrgId,
        place: &[UnitId],
        about: (Urgency, Facts),
        at: Timestamp,
    ) -> Option<&'static str> {
        let node = self.org(org)?;
        let mut own = self.list_at(place, at).about(&item.code, node.unit);
        let negative = own.any(|entry| {
            entry.part == ListPart::Negative
                && entry.in_force(at)
                && means(&entry.holder, node)
                && self.applies(entry, place, Some(about), at)
        });
        if negative {
            Some("negative_list")
        } else if self.admits(item, org, TaskPart::Assist, place, about, at) {
            None
        } else {
            Some("not_admitted")
        }
    }

    /// Whether the other one belongs to the community whose organisation the first is: its station, its committee, its groups.
    fn of_own_community(&self, own: OrgId, other: OrgId) -> bool {
        let (Some(own), Some(other)) = (self.org(own), self.org(other)) else { return false };
        let kind = other.kind.is_community_level() || other.kind.is_society();
        let within = self.unit(other.unit).is_some_and(|unit| unit.path.contains(&own.unit));
        own.kind.is_community_level() && kind && within
    }
}

impl Case {
    /// Whether an organisation may call the case back: it sent the case to its lead, or stands above who did.
    #[must_use]
    pub fn may_recall(&self, org: OrgId, routes: &RoutingTable, at: Timestamp) -> bool {
        self.lead().is_some_and(|task| self.decides_for(org, task.sender, routes, at))
    }

    /// Whether an organisation may decide over an objection to the task: it sent the task, or leads the street that whistled, or stands
    /// above either, and is not the objector.
    #[must_use]
    pub fn may_resolve_objection(
        &self,
        task: TaskId,
        org: OrgId,
        routes: &RoutingTable,
        at: Timestamp,
    ) -> bool {
        let Some(task) = self.task(task).ok().filter(|task| task.org != org) else { return false };
        let decider = self.decider_over(task, routes, at);
        decider.is_some_and(|decider| self.decides_for(org, decider, routes, at))
    }

    fn decides_for(&self, org: OrgId, sender: OrgId, routes: &RoutingTable, at: Timestamp) -> bool {
        let line = self.item.as_ref().and_then(|item| item.line.as_deref());
        org == sender || routes.stands_above(org, sender, line, at)
    }
}

impl Work<'_> {
    /// A dispatcher's choice. Who was relieved of the matter by an objection of its own gets it back by a ruling, or as the
    /// parties agree, and in no other way: else it would be passed to and fro without end. Who leads by either is not the
    /// dispatcher's to choose.
    pub(super) fn chosen_by_dispatcher(
        &self,
        manual: &ManualRoute,
        chooser: Chooser,
    ) -> Result<RoutingOutcome> {
        let bound = self.case.bound_lead(self.routes, self.now);
        if bound.is_some_and(|lead| lead != manual.lead) {
            return Err(ruling_is_final());
        }
        if self.was_relieved(manual.lead) && self.has_objected(manual.lead) {
            let message = "its objection was accepted: only a ruling gives the case back to it";
            return Err(DomainError::guard("objected_before", message));
        }
        let own = self.human_official()?;
        manual.assists.iter().try_for_each(|(org, _)| self.may_be_called(*org))?;
        let outcome = self.manual(manual, "chosen_by_dispatcher", |to| self.own_edge(own, to, chooser))?;
        self.within_rights(own, chooser, &outcome)?;
        let outcome = self.offered_to_partner(outcome)?;
        Ok(if bound.is_some() { self.with_ruled_assists(outcome) } else { outcome })
    }

    /// A lead that nobody may order is asked, where the router might ask one: society can solve the matter and has not had its
    /// turn, the requester agrees, and it is no emergency.
    fn offered_to_partner(&self, mut outcome: RoutingOutcome) -> Result<RoutingOutcome> {
        let Some(partner) = outcome.lead.take_if(|lead| lead.is_invited()) else { return Ok(outcome) };
        let query = self.case.route_query(self.routes, self.now);
        let solvable = query.item.is_some_and(|item| item.self_solvable);
        if !(solvable && query.may_offer && query.urgency != Urgency::Emergency) {
            return Err(only_by_offer());
        }
        if !outcome.assists.is_empty() {
            let message = "a partner is asked alone; whose help is needed is called once it leads";
            return Err(DomainError::invalid("assist_org_ids", message));
        }
        self.not_excluded(partner.org)?;
        Ok(RoutingOutcome { kind: RoutingKind::Offered, partner: Some(partner), ..outcome })
    }

    /// A human's choice of lead and assists, held to edges and to what the lists exclude. `sends` knows who sends, where that is
    /// not the nearest superior.
    pub(super) fn manual(
        &self,
        manual: &ManualRoute,
        why: &str,
        sends: impl Fn(OrgId) -> Option<(OrgId, DispatchMode)>,
    ) -> Result<RoutingOutcome> {
        check_code("reason_code", &manual.reason_code)?;
        let lead = self.chosen("lead_org_id", manual.lead, sends(manual.lead), true)?;
        let place = &self.case.place.path;
        let about = Some((self.case.urgency, self.case.condition_facts()));
        let barred = |item| self.routes.bars_lead(item, manual.lead, place, about, self.now);
        if let Some(bar) = self.item().and_then(barred) {
            return Err(DomainError::guard(bar, "the organisation may not lead this item"));
        }
        let mut assists = Vec::with_capacity(manual.assists.len());
        for (org, mandatory) in &manual.assists {
            if *org == manual.lead || assists.iter().any(|assist: &Choice| assist.org == *org) {
                return Err(DomainError::invalid("assist_org_ids", "each organisation takes one part"));
            }
            assists.push(self.chosen("assist_org_ids", *org, sends(*org), *mandatory)?);
            self.lists_let_assist(*org)?;
        }
        let candidate =
            Candidate { org: lead.org, unit: Some(lead.unit), rule_id: None, rejected_because: None };
        let list = self.routes.list_at(place, self.now);
        Ok(RoutingOutcome {
            lead: Some(lead),
            assists,
            candidates: vec![candidate],
            reasons: vec![Reason::new(why), Reason::new(&manual.reason_code)],
            ..RoutingOutcome::of(RoutingKind::Manual, list, self.now)
        })
    }

    /// The lists let an organisation assist with the item, in what is known of the case.
    pub(super) fn lists_let_assist(&self, org: OrgId) -> Result<()> {
        let about = (self.case.urgency, self.case.condition_facts());
        let barred = |item| self.routes.bars_assist(item, org, &self.case.place.path, about, self.now);
        match self.item().and_then(barred) {
            Some(bar) => Err(DomainError::guard(bar, "the organisation may not assist with this item")),
            None => Ok(()),
        }
    }

    /// Who declined, gave up, or was relieved of the matter is called to it no more, as the router calls it no more.
    fn not_excluded(&self, org: OrgId) -> Result<()> {
        if self.case.excluded_orgs.contains(&org) {
            let message = "the organisation declined, gave up, or was relieved of the case";
            return Err(DomainError::guard("excluded", message));
        }
        Ok(())
    }

    /// To help is called neither of these nor who was [relieved of helping](Self::need_not_help).
    pub(super) fn may_be_called(&self, org: OrgId) -> Result<()> {
        self.not_excluded(org)?;
        if self.need_not_help(org) {
            let message = "its objection to helping was accepted: only a ruling calls it again";
            return Err(DomainError::guard("excluded", message));
        }
        Ok(())
    }

    /// An organisation with the sender and mode that reach it: the nearest superior's, unless another sends.
    pub(super) fn chosen(
        &self,
        field: &'static str,
        id: OrgId,
        sent_by: Option<(OrgId, DispatchMode)>,
        mandatory: bool,
    ) -> Result<Choice> {
        let org = self.routes.org(id).filter(|org| org.in_force(self.now));
        let org = org.ok_or_else(|| DomainError::invalid(field, "no such organisation"))?;
        if self.case.complained_of == Some(id) {
            return Err(DomainError::guard("recused", "the organisation complained of steps aside"));
        }
        let nearest = || self.routes.sender_to(id, &self.case.place.path, self.line(), self.now);
        let no_edge = || DomainError::guard("no_authority_edge", "nobody has authority to send it there");
        let (sender, mode) = sent_by.or_else(nearest).ok_or_else(no_edge)?;
        Ok(Choice { org: id, unit: org.unit, sender, mode, mandatory, rule_id: None })
    }

    /// The own organisation as the sender to another, along an edge that the chooser may use.
    fn own_edge(&self, own: OrgId, to: OrgId, chooser: Chooser) -> Option<(OrgId, DispatchMode)> {
        let edge = self.routes.edge(own, to, self.line(), self.now).filter(|edge| chooser.uses(*edge))?;
        Some((own, edge.mode()))
    }

    /// Whoever gets a part is the own organisation, reached by an edge of its own or of its own community; or it is whom the
    /// router would give that part, or leads by a ruling or an agreement.
    fn within_rights(&self, own: OrgId, chooser: Chooser, outcome: &RoutingOutcome) -> Result<()> {
        let query = self.case.route_query(self.routes, self.now);
        let routed = self.routes.route(&RouteQuery { may_offer: false, ..query });
        let may_send = |to: OrgId| {
            to == own || self.own_edge(own, to, chooser).is_some() || self.routes.of_own_community(own, to)
        };
        let bound = self.case.bound_lead(self.routes, self.now);
        let may_lead = |choice: &Choice| {
            let routed = routed.lead.as_ref().is_some_and(|lead| lead.org == choice.org);
            routed || bound == Some(choice.org) || may_send(choice.org)
        };
        if !outcome.lead.iter().all(may_lead) {
            return Err(DomainError::NotEntitled { code: "lead_org_id" });
        }
        let may_assist = |choice: &Choice| {
            may_send(choice.org) || routed.assists.iter().any(|assist| assist.org == choice.org)
        };
        if !outcome.assists.iter().all(may_assist) {
            return Err(DomainError::NotEntitled { code: "assist_org_ids" });
        }
        Ok(())
    }

    /// A human acts for the sender, or for an organisation above it; nobody else, however far their grants reach.
    pub(super) fn decides_for(&self, sender: OrgId) -> Result<()> {
        let own = self.human_official()?;
        if self.case.decides_for(own, sender, self.routes, self.now) {
            Ok(())
        } else {
            Err(DomainError::NotEntitled { code: "sender" })
        }
    }

    fn line(&self) -> Option<&str> {
        self.case.item.as_ref().and_then(|item| item.line.as_deref())
    }
}

/// What is sent whether its lead likes it or not; partners are asked, never ordered.
pub(super) fn ordered(outcome: RoutingOutcome) -> Result<RoutingOutcome> {
    if outcome.lead.as_ref().is_some_and(Choice::is_invited) { Err(only_by_offer()) } else { Ok(outcome) }
}

fn only_by_offer() -> DomainError {
    let message = "lead_org_id names a partner, who is asked and never sent a case: offer it, where society \
                   can solve the matter and has not had its turn, the requester agrees, and it is no \
                   emergency";
    DomainError::guard("only_by_offer", message)
}
