//! The organisation complained of steps aside (回避): it neither settles the complaint nor sends it on by hand nor checks what
//! came of it, and no merger takes the complaint to where it has the matter in hand.

use super::case::{Case, Objection, Offer, Task};
use super::codes::{ObjectionState, RoutingKind, TaskPart};
use super::dispatch::RouteChoice;
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::*;
use super::router::RouteQuery;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work};

/// The step of the timeline by which a case complains of nobody any more.
pub(super) const SUBJECT_CLEARED: &str = "SubjectCleared";

/// Of whom a case complains, as it is passed on to the case that it is merged into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    pub of: OrgId,
    /// The cases that say so themselves.
    pub by: Vec<CaseId>,
}

/// Who is complained of is an organisation that there is.
pub(super) fn is_known(of: Option<OrgId>, routes: &RoutingTable) -> Result<()> {
    if of.is_some_and(|org| routes.org(org).is_none()) {
        return Err(DomainError::invalid("subject_org_id", "no such organisation"));
    }
    Ok(())
}

impl Case {
    /// Organisations that check nothing of the case: those that handle or handled it, and the one complained of (C-4).
    #[must_use]
    pub fn kept_from_checks(&self) -> Vec<OrgId> {
        let mut orgs = self.handling_orgs();
        let aside = self.complained_of.filter(|of| !orgs.contains(of));
        orgs.extend(aside);
        orgs
    }

    /// Whether also whoever is complained of may send the case that way: it asks the router, which passes it over, and takes
    /// nothing from a partner that is asked. What a human decides is for others; only above the district, which takes what nobody
    /// takes, nobody sends cases: where that one is complained of and the router does not decide, it still sends the case to
    /// another by hand.
    #[must_use]
    pub fn subject_may_send(&self, choice: &RouteChoice, act: &Act<'_>) -> bool {
        if self.offer.as_ref().is_some_and(Offer::is_open) {
            return false;
        }
        match choice {
            RouteChoice::Auto | RouteChoice::PublicService => true,
            RouteChoice::Confirmed(_) | RouteChoice::Manual(..) => {
                self.nobody_above_subject(act.routes) && !self.router_decides(act)
            }
        }
    }

    /// Whether the case complains of the district that takes what nobody takes: nobody above it decides about single cases. What
    /// sends the case nowhere it does itself then: it calls it back, clears a supervision of it, and decides over an objection.
    #[must_use]
    pub fn nobody_above_subject(&self, routes: &RoutingTable) -> bool {
        let fallback = routes.fixed.fallback;
        fallback.is_some() && self.complained_of == fallback
    }

    /// Whether also whoever is complained of rejects the objection or has it arbitrated: where nobody else can. So it is where the
    /// district objects to its own order, and whoever received the case stands directly below it.
    #[must_use]
    pub fn subject_may_resolve(&self, routes: &RoutingTable, at: Timestamp) -> bool {
        let directly_below = |objection: &Objection| {
            let received = self.first_receiver;
            let decides = self.complained_of == Some(received)
                && self.decider_of(objection, routes, at) == Some(received);
            decides && routes.superior_apart(&[received], None, at) == Some(objection.objector)
        };
        self.nobody_above_subject(routes) || self.objection.as_ref().is_some_and(directly_below)
    }

    /// Whether the router sends the case somewhere, or ends it, without a human. Whoever objects to it now would be relieved.
    fn router_decides(&self, act: &Act<'_>) -> bool {
        let open = self.objection.as_ref().filter(|objection| objection.state == ObjectionState::Open);
        let objector = open.map(|objection| objection.objector);
        let excluded: Vec<OrgId> = self.excluded_orgs.iter().copied().chain(objector).collect();
        let query = self.route_query(act.routes, act.now);
        let may_offer = query.may_offer && objector.is_none();
        let outcome = act.routes.route(&RouteQuery { excluded: &excluded, may_offer, ..query });
        let outcome = outcome.held_to(act.rules.min_confidence);
        match outcome.kind {
            RoutingKind::Proposed => false,
            RoutingKind::HandedOff | RoutingKind::AnsweredAtWindow | RoutingKind::Offered => true,
            _ => outcome.lead.is_some(),
        }
    }

    /// Of whom it complains, by itself or through those that were merged into it.
    #[must_use]
    pub fn complaint(&self) -> Option<Complaint> {
        let of = self.complained_of?;
        let through = &self.complained_through;
        let own = (through.is_empty() || self.complains_itself).then_some(self.id);
        let by = own.into_iter().chain(through.iter().copied()).collect();
        Some(Complaint { of, by })
    }

    /// Whether a complaint was passed on to this case by all who make it: it is complained of here as long as they are merged in.
    pub(super) fn holds(&self, complaint: &Complaint) -> bool {
        let known = |id: &CaseId| self.complained_through.contains(id);
        self.complained_of == Some(complaint.of) && complaint.by.iter().all(known)
    }

    /// Why a complaint about an organisation does not come into this case, where it does not: another one steps aside here, or
    /// that one has the matter in hand.
    #[must_use]
    pub fn bars_complaint(&self, of: OrgId) -> Option<&'static str> {
        match self.complained_of {
            Some(known) if known == of => None,
            Some(_) => Some("another_subject"),
            None => self.has_in_hand(of).then_some("recused"),
        }
    }

    /// Whether an organisation works on the case, did so, is asked to, mediates it, checks it or rules about it. To have received
    /// it, or to have been relieved before it signed, is nothing of that.
    fn has_in_hand(&self, org: OrgId) -> bool {
        let offered = self.offer.as_ref().filter(|offer| offer.is_open()).map(|offer| offer.partner);
        let verifier = self.verification.as_ref().map(|verification| verification.verifier);
        let judge = self.rating.as_ref().and_then(|rating| rating.judge);
        let mediator = self.mediation.filter(|link| link.open).and_then(|link| link.mediator);
        let ruled = self
            .objection
            .as_ref()
            .is_some_and(|objection| objection.arbiter == Some(org) || objection.parties.contains(&org));
        let has = |known: Option<OrgId>| known == Some(org);
        let works = has(self.lead_org) || has(offered) || self.acting_orgs().any(|known| known == org);
        works || has(mediator) || has(verifier) || has(judge) || ruled
    }

    /// Cases are merged into this one, as by [`Case::absorb`], and whoever they complain of steps aside here as well.
    ///
    /// # Errors
    /// As there; `Guard` `recused` where the organisation complained of has this case in hand, `another_subject` where another
    /// one is complained of here.
    pub fn take_in(
        self,
        others: &[CaseId],
        complaint: Option<&Complaint>,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut taken = self.absorb(others, true, act)?;
        if let Some(complaint) = complaint {
            taken.case.hear(complaint)?;
            taken.case.relieve_stand_in(act);
            taken.case.pass_on_objections(act);
        }
        Ok(taken)
    }

    fn hear(&mut self, complaint: &Complaint) -> Result<()> {
        if let Some(code) = self.bars_complaint(complaint.of) {
            let message = if code == "recused" {
                "the organisation complained of has that case in hand"
            } else {
                "another organisation is complained of there"
            };
            return Err(DomainError::guard(code, message));
        }
        // What the case says itself stands when the others have left.
        if self.complained_of.is_some() && self.complained_through.is_empty() {
            self.complains_itself = true;
        }
        self.complained_of = Some(complaint.of);
        self.complained_through.retain(|id| !complaint.by.contains(id));
        self.complained_through.extend(&complaint.by);
        Ok(())
    }

    /// Whoever keeps contact until somebody leads by a ruling turns out to be complained of: the lowest that stands above does.
    fn relieve_stand_in(&mut self, act: &Act<'_>) {
        let stands = |objection: &&mut Objection| {
            matches!(
                objection.state,
                ObjectionState::InArbitration | ObjectionState::InReview | ObjectionState::Ruled
            )
        };
        let aside = self.complained_of;
        let interim = self.objection.as_mut().filter(stands).and_then(|objection| objection.interim.as_mut());
        let Some((of, interim)) = aside.zip(interim).filter(|(of, interim)| interim.org == *of) else {
            return;
        };
        interim.org = act.routes.superior_apart(&[of], Some(of), act.now).unwrap_or(of);
    }

    /// So may whoever has to decide over the objections of assists.
    fn pass_on_objections(&mut self, act: &Act<'_>) {
        let open = self.tasks.iter().filter(|task| task.decided_by().is_some());
        let deciders = open.map(|task| (task.id, self.sees_to_assist(task, act.routes, act.now)));
        for (id, decider) in deciders.collect::<Vec<_>>() {
            self.tasks.iter_mut().filter(|task| task.id == id).for_each(|task| task.decider = decider);
        }
    }

    /// Who sees to it that the objection of an assist is decided over: whoever may, or where that is complained of the lowest that
    /// stands above.
    pub(super) fn sees_to_assist(&self, task: &Task, routes: &RoutingTable, at: Timestamp) -> Option<OrgId> {
        let decider = self.decider_over(task, routes, at)?;
        let recused = self.complained_of == Some(decider) && !self.nobody_above_subject(routes);
        let above = || routes.superior_apart(&[decider], Some(task.org), at);
        if recused { above() } else { Some(decider) }
    }

    /// Cases leave; what only they complained of is not complained of here any more.
    pub(super) fn forget_complaints(&mut self, gone: &[CaseId]) {
        if self.complained_through.is_empty() {
            return;
        }
        self.complained_through.retain(|id| !gone.contains(id));
        if self.complained_through.is_empty() && !std::mem::take(&mut self.complains_itself) {
            self.complained_of = None;
        }
    }
}

impl Work<'_> {
    /// Whoever is complained of does not send the case [by hand](Case::subject_may_send).
    pub(super) fn not_sent_by_subject(&self, choice: &RouteChoice, act: &Act<'_>) -> Result<()> {
        if self.case.subject_may_send(choice, act) { Ok(()) } else { self.not_complained_of() }
    }

    /// Whoever is complained of does not reject an objection nor have it arbitrated, where [others can](Case::subject_may_resolve).
    pub(super) fn not_resolved_by_subject(&self) -> Result<()> {
        if self.case.subject_may_resolve(self.routes, self.now) { Ok(()) } else { self.not_complained_of() }
    }

    /// Whoever is complained of neither calls the case back nor clears its supervisions, where
    /// [others can](Case::nobody_above_subject).
    pub(super) fn not_decided_by_subject(&self) -> Result<()> {
        if self.case.nobody_above_subject(self.routes) { Ok(()) } else { self.not_complained_of() }
    }

    /// Who sees to it that an objection is decided over: whoever may, or where that is complained of the lowest that stands above.
    pub(super) fn sees_to_objection(&self, open: &Objection) -> Option<OrgId> {
        let decider = self.case.decider_of(open, self.routes, self.now)?;
        let recused =
            self.case.complained_of == Some(decider) && !self.case.subject_may_resolve(self.routes, self.now);
        let above = || self.routes.superior_apart(&[decider], Some(open.objector), self.now);
        if recused { above() } else { Some(decider) }
    }

    /// Who keeps contact while the case is arbitrated: whoever received it, or where that is complained of the lowest that stands
    /// above, if there is one.
    pub(super) fn stands_in(&self) -> OrgId {
        self.dispatches_instead().unwrap_or(self.case.first_receiver)
    }

    /// Who sees to it that the case is dispatched, where whoever received it is complained of: the lowest that stands above.
    pub(super) fn dispatches_instead(&self) -> Option<OrgId> {
        let aside = self.case.complained_of.filter(|of| *of == self.case.first_receiver)?;
        self.routes.superior_apart(&[aside], Some(aside), self.now)
    }

    /// Somebody says of whom it complains, whatever becomes of the cases that were merged into it. Those are heard as well: while
    /// they complain of one, it is not another.
    pub(super) fn names_subject(&mut self, of: Option<OrgId>) -> Result<()> {
        is_known(of, self.routes)?;
        if of.is_none() {
            return Ok(());
        }
        if !self.case.complained_through.is_empty() {
            if self.case.complained_of != of {
                let message = "cases that were merged into it complain of another one: take them out first";
                return Err(DomainError::guard("another_subject", message));
            }
            self.case.complains_itself = true;
        }
        // What it handed in before is not taken over from it, and nothing more is expected.
        let theirs =
            |task: &Task| task.part == TaskPart::Assist && task.state.is_live() && of == Some(task.org);
        self.cancel_tasks("recused", theirs)?;
        self.case.complained_of = of;
        Ok(())
    }

    /// It complains of nobody after all. Gives whether it did.
    pub(super) fn clear_subject(&mut self) -> Result<bool> {
        if !self.case.complained_through.is_empty() {
            let message = "cases that were merged into it complain, too: take them out first";
            return Err(DomainError::guard("others_complain", message));
        }
        Ok(self.case.complained_of.take().is_some())
    }
}
