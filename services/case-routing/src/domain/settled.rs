//! What was ruled or agreed on binds (domain.md F3): whoever leads by it signs and complies, and it outlives a recall: the case
//! goes to that lead again, as long as it is about the same item and that one may lead it.

use super::by_hand::{ManualRoute, ordered};
use super::case::{Case, Objection, Task};
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::router::RoutingOutcome;
use super::table::RoutingTable;
use super::work::Work;

/// Why a case goes where the parties agree that it does.
pub(super) const BY_AGREEMENT: &str = "chosen_by_agreement";
/// Why it goes where the arbiter rules.
pub(super) const BY_ARBITER: &str = "chosen_by_arbiter";

impl Objection {
    /// Who leads by the ruling, or by what the parties agreed on, once there is either and nobody reviews it.
    #[must_use]
    pub fn settled_lead(&self) -> Option<OrgId> {
        let agreed = || self.positions.first().map(|position| position.lead);
        match self.state {
            ObjectionState::Ruled | ObjectionState::Agreed | ObjectionState::Final => {
                self.ruling.as_ref().map(|ruling| ruling.lead).or_else(agreed)
            }
            _ => None,
        }
    }
}

impl Case {
    /// The lead that a ruling or an agreement binds the case to, where it is to be sent again. Nobody where the item is another
    /// one, or that of the ruling is not known, nor where that lead may not lead any more: it ended, is complained of, left the
    /// case, the lists bar it, or it is a partner, whom nobody orders.
    #[must_use]
    pub fn bound_lead(&self, routes: &RoutingTable, at: Timestamp) -> Option<OrgId> {
        let objection = self.objection.as_ref()?;
        let lead = objection.settled_lead()?;
        let (item, place) = (self.item.as_ref()?, &self.place.path);
        self.task(objection.task).ok().filter(|task| task.item == item.code)?;
        let aside = self.complained_of == Some(lead) || self.excluded_orgs.contains(&lead);
        routes.org(lead).filter(|org| org.in_force(at) && !aside)?;
        let (_, mode) = routes.sender_to(lead, place, item.line.as_deref(), at)?;
        let about = Some((self.urgency, self.condition_facts()));
        let known = routes.item_version(&item.code, item.version);
        let barred = known.and_then(|item| routes.bars_lead(item, lead, place, about, at));
        (barred.is_none() && mode != DispatchMode::Invitation).then_some(lead)
    }

    /// Whether the case is still about what was objected to. Tasks of an earlier release do not say what they were about.
    fn is_about_the_item_of(&self, objection: &Objection) -> bool {
        let of = self.task(objection.task).map_or("", |task| task.item.as_str());
        of.is_empty() || self.item.as_ref().is_some_and(|item| item.code == of)
    }

    /// Whether somebody has a task by what was ruled or agreed on: it leads by that, for the item that was objected to. Tasks of an
    /// earlier release do not say what they were about; among themselves they were about the same.
    pub(super) fn is_settled_by(&self, objection: &Objection, task: &Task) -> bool {
        let of = self.task(objection.task).map(|objected| objected.item.as_str());
        objection.settled_lead() == Some(task.org) && of.is_ok_and(|item| item == task.item)
    }

    /// Whether a ruling names an organisation to help with that item, also while the lead has it reviewed.
    pub(super) fn is_ruled_to_help(&self, org: OrgId, item: &str) -> bool {
        self.objection.as_ref().is_some_and(|objection| {
            let named = objection.ruling.as_ref().is_some_and(|ruling| ruling.assists.contains(&org));
            named && self.task(objection.task).is_ok_and(|objected| objected.item == item)
        })
    }
}

impl Work<'_> {
    /// Where a ruling or an agreement sends the case. It is not held to what the arbiter's organisation may send, nor to who
    /// declined or was relieved: that is about who leads, and whoever is found not to lead may be ruled to help. The lists bind it,
    /// as they bind its lead: what is never a community's, or not admitted, becomes so by another list only. Nor does it make a
    /// partner lead.
    pub(super) fn settled_route(
        &self,
        objection: &Objection,
        lead: OrgId,
        assists: &[OrgId],
        why: &str,
    ) -> Result<RoutingOutcome> {
        let manual = ManualRoute {
            lead,
            assists: assists.iter().map(|org| (*org, true)).collect(),
            reason_code: objection.ground_code.clone(),
        };
        ordered(self.manual(&manual, why, |_| None)?)
    }

    /// Whether the case can go where all parties say: it is there already, or nothing bars that lead.
    pub(super) fn can_go_to(&self, objection: &Objection, lead: OrgId) -> bool {
        let there = self.case.task(objection.task).is_ok_and(|task| task.org == lead);
        there || self.settled_route(objection, lead, &[], BY_AGREEMENT).is_ok()
    }

    /// Where the case goes by itself: to the lead that was ruled or agreed on, where one binds it, with those who help it by the
    /// lists and by the ruling; else where the router says, as far as it is sure enough.
    pub(super) fn where_to(&self) -> Result<RoutingOutcome> {
        let bound = self.case.objection.as_ref().zip(self.case.bound_lead(self.routes, self.now));
        let Some((objection, lead)) = bound else {
            return Ok(self.ask_router().held_to(self.rules.min_confidence));
        };
        let why = if objection.ruling.is_some() { BY_ARBITER } else { BY_AGREEMENT };
        let outcome = self.settled_route(objection, lead, &[], why)?;
        let query = self.case.route_query(self.routes, self.now);
        Ok(self.with_ruled_assists(self.routes.with_listed_assists(&query, outcome)))
    }

    /// With those whom the ruling that binds the case names to help, as far as they still may.
    pub(super) fn with_ruled_assists(&self, mut outcome: RoutingOutcome) -> RoutingOutcome {
        let ruling = self.case.objection.as_ref().and_then(|objection| objection.ruling.as_ref());
        for org in ruling.map_or(&[][..], |ruling| ruling.assists.as_slice()) {
            let known = outcome.lead.iter().chain(&outcome.assists).any(|choice| choice.org == *org);
            let helps = self.chosen("assist_org_ids", *org, None, true);
            let helps = helps.ok().filter(|_| !known && self.lists_let_assist(*org).is_ok());
            outcome.assists.extend(helps);
        }
        outcome
    }

    /// Somebody leads from now on. What was ruled or agreed on about another lead for the same item does not bind it: it may object
    /// to its task, and no precedent comes of what nobody followed. What is about another item stands until that is the item again.
    pub(super) fn forget_ruling_for_another(&mut self, lead: OrgId) {
        let for_another = |objection: &Objection| {
            let settled = objection.settled_lead();
            settled.is_some_and(|settled| settled != lead && self.case.is_about_the_item_of(objection))
        };
        if self.case.objection.as_ref().is_some_and(for_another) {
            self.case.objection = None;
        }
    }

    /// The lead of a ruling or agreement signs: it complies, and the matter is final. Who leads another item meanwhile does not.
    pub(super) fn comply_with_ruling(&mut self, task_id: TaskId) {
        use ObjectionState::{Agreed, Ruled};
        let Ok(task) = self.case.task(task_id) else { return };
        let settled = self.case.objection.as_ref().filter(|objection| {
            matches!(objection.state, Ruled | Agreed) && self.case.is_settled_by(objection, task)
        });
        let Some(arbitration_id) = settled.map(|objection| objection.arbitration_id) else { return };
        self.settle(ObjectionState::Final);
        if let Some(arbitration_id) = arbitration_id {
            self.emit(DomainEvent::ArbitrationFinal { task_id, arbitration_id }, None, Some(task_id));
        }
    }
}

/// Whoever leads or helps by a ruling or an agreement, or has to send the case on, is bound by it.
pub(super) fn ruling_is_final() -> DomainError {
    DomainError::guard("ruling_is_final", "who leads this item, or helps with it, was ruled or agreed on")
}
