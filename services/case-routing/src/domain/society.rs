//! Offers to society (协商自治): partners are asked, never ordered. Routing owns the deadline; an acceptance
//! binds only when it is confirmed here. Whatever a partner does not do, the public service takes over.

use super::case::{Case, Offer, Task};
use super::clock::Clock;
use super::codes::*;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::*;
use super::reason::Reason;
use super::router::{Choice, RoutingOutcome};
use super::settled::ruling_is_final;
use super::state::Trigger;
use super::work::{Act, Decision, Work, check_code};

/// Why the public service takes a case from a partner whose time is over.
pub(super) const OVERDUE: &str = "overdue";

impl Case {
    /// Offers a triaged case to the next partner of the item's chain.
    ///
    /// # Errors
    /// `WrongState`; `Guard` `no_partner` when there is none to ask or the requester did not agree, `ruling_is_final` where who
    /// leads was ruled or agreed on.
    pub fn offer(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::Offer)?;
        if work.case.bound_lead(work.routes, work.now).is_some() {
            return Err(ruling_is_final());
        }
        let outcome = work.ask_router();
        if outcome.kind != RoutingKind::Offered {
            return Err(DomainError::guard("no_partner", "there is no partner to ask"));
        }
        work.end_open_offer("case_moved_on");
        work.offer_to(&outcome, false)?;
        Ok(work.finish())
    }

    /// The partner accepted before the deadline: it leads from now on.
    ///
    /// # Errors
    /// `WrongState`; `Guard(offer_not_open)` for another offer, `Guard(offer_too_late)`.
    pub fn confirm_offer(self, offer_id: OfferId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::ConfirmOffer)?;
        let offer = work.open_offer(offer_id)?;
        work.acts_for(offer.partner, "partner")?;
        if work.now > offer.due_at {
            return Err(DomainError::guard("offer_too_late", "the time to answer is over"));
        }
        work.confirm(&offer)?;
        Ok(work.finish())
    }

    /// The partner declined: the next one is asked, else the public service takes the case.
    ///
    /// # Errors
    /// `WrongState`; `Guard(offer_not_open)` for another offer.
    pub fn decline_offer(self, offer_id: OfferId, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::LapseOffer)?;
        let offer = work.open_offer(offer_id)?;
        work.acts_for(offer.partner, "partner")?;
        work.lapse_offer("declined")?;
        Ok(work.finish())
    }

    /// News that a partner accepted. `None`: the offer ended before, which its withdrawal has told already.
    ///
    /// # Errors
    /// As [`Case::confirm_offer`], but lateness is not an error.
    pub fn social_accepted(self, offer_id: OfferId, act: &Act<'_>) -> Result<Option<Decision>> {
        let open = self.offer.as_ref().filter(|offer| offer.id == offer_id && offer.is_open());
        let Some(offer) = open.filter(|_| self.state == CaseState::OfferedToSociety) else { return Ok(None) };
        if act.now.max(self.updated_at) > offer.due_at {
            return self.tick(act);
        }
        self.confirm_offer(offer_id, act).map(Some)
    }

    /// News that a partner declined. `None`: the offer ended before.
    ///
    /// # Errors
    /// As [`Case::decline_offer`].
    pub fn social_declined(self, offer_id: OfferId, act: &Act<'_>) -> Result<Option<Decision>> {
        let open = self.offer.as_ref().is_some_and(|offer| offer.id == offer_id && offer.is_open());
        if !open || self.state != CaseState::OfferedToSociety {
            return Ok(None);
        }
        self.decline_offer(offer_id, act).map(Some)
    }

    /// A partner gives up, or is overdue; the public service takes over at once.
    ///
    /// # Errors
    /// `WrongState`; `Guard(not_with_society)` when no partner leads.
    pub fn return_from_society(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::ReturnFromSociety)?;
        check_code("reason_code", reason_code)?;
        if let Some(partner) = work.case.partner() {
            work.acts_for(partner, "partner")?;
        }
        work.return_from_society(reason_code)?;
        Ok(work.finish())
    }

    /// The partner that leads the case by a confirmed offer.
    #[must_use]
    pub fn partner(&self) -> Option<OrgId> {
        self.confirmed_offer().map(|offer| offer.partner)
    }

    /// The offer by which a partner leads.
    #[must_use]
    pub fn confirmed_offer(&self) -> Option<&Offer> {
        self.offer.as_ref().filter(|offer| offer.confirmed_at.is_some() && offer.ended_at.is_none())
    }

    /// The offer whose hours the end of the case settles: a partner leads by it, or led until its time was over; what that one had
    /// done before may not have been heard of yet. The closing of a case that was opened again has settled them.
    #[must_use]
    pub fn offer_to_settle(&self) -> Option<&Offer> {
        let confirmed = self.offer.as_ref().filter(|offer| offer.confirmed_at.is_some());
        confirmed.filter(|offer| offer.ended_at.is_none() || (offer.overdue && self.reopen_count == 0))
    }

    /// Whether what a partner had done by then was in time, though it leads no more because its time is over.
    #[must_use]
    pub fn was_done_in_time(&self, offer_id: OfferId, done_at: Timestamp) -> bool {
        let overdue = self.offer.as_ref().filter(|offer| offer.id == offer_id && offer.overdue);
        overdue.and_then(|offer| offer.ended_at).is_some_and(|ended_at| done_at <= ended_at)
    }

    /// Whether the work went back to the partner after that: what it told by then is of a result that does not stand.
    #[must_use]
    pub fn was_sent_back_to_partner_since(&self, told_at: Timestamp) -> bool {
        let ended_at = self.offer.as_ref().and_then(|offer| offer.ended_at);
        let reworked = |clock: &Clock| clock.kind == ClockKind::Rework && clock.started_at > told_at;
        let leads = |clock: &Clock| ended_at.is_none_or(|ended_at| clock.started_at <= ended_at);
        self.clocks.iter().any(|clock| reworked(clock) && leads(clock))
    }
}

impl Work<'_> {
    fn open_offer(&self, offer_id: OfferId) -> Result<Offer> {
        let offer = self.case.offer.as_ref().filter(|offer| offer.id == offer_id && offer.is_open());
        offer.cloned().ok_or_else(|| DomainError::guard("offer_not_open", "this offer is not open"))
    }

    pub(super) fn offer_to(&mut self, outcome: &RoutingOutcome, by_human: bool) -> Result<()> {
        let Some(partner) = &outcome.partner else {
            return Err(DomainError::guard("no_partner", "there is no partner to ask"));
        };
        let in_time = self.end_dispatch();
        self.record_routing(outcome, by_human);
        self.enter(CaseState::OfferedToSociety, Trigger::Offer)?;
        let due_at = self.start_clock(ClockKind::Offer, None, self.sla().offer);
        let id: OfferId = self.ids.draw();
        let Choice { org, sender, mode, .. } = *partner;
        self.case.offer = Some(Offer {
            id,
            partner: org,
            sender,
            mode,
            offered_at: self.now,
            due_at,
            confirmed_at: None,
            ended_at: None,
            overdue: false,
            done_at: None,
        });
        self.case.tried_partners.push(org);
        let event = DomainEvent::CaseOffered {
            offer_id: id,
            partner_org_id: org,
            mode,
            offer_due_at: due_at,
            skill_codes: self.skill_codes(),
            in_time,
            process: self.process(),
        };
        self.emit(event, outcome.reasons.first().cloned(), None);
        Ok(())
    }

    fn confirm(&mut self, offer: &Offer) -> Result<()> {
        self.stop_clock(ClockKind::Offer, None);
        if let Some(current) = &mut self.case.offer {
            current.confirmed_at = Some(self.now);
        }
        let unit = self.routes.org(offer.partner).map(|org| org.unit);
        let unit =
            unit.ok_or_else(|| DomainError::guard("partner_gone", "the partner is not known any more"))?;
        let (org, sender, mode) = (offer.partner, offer.sender, offer.mode);
        let choice = Choice { org, unit, sender, mode, mandatory: true, rule_id: None };
        let (task_id, issued) = self.make_task(TaskPart::Lead, &choice, true);
        self.move_task(task_id, TaskState::Signed)?;
        self.move_task(task_id, TaskState::Working)?;
        self.task_mut(task_id)?.signed_at = Some(self.now);
        self.enter(CaseState::InProgress, Trigger::ConfirmOffer)?;
        let event =
            DomainEvent::CaseOfferConfirmed { offer_id: offer.id, task_id, partner_org_id: org, mode };
        self.emit(event, None, Some(task_id));
        self.emit(issued, None, Some(task_id));
        Ok(())
    }

    /// Ends an offer that nobody confirmed, if one is open.
    pub(super) fn end_open_offer(&mut self, reason_code: &str) {
        let now = self.now;
        let open = self.case.offer.as_mut().filter(|offer| offer.is_open());
        let Some((offer_id, partner_org_id)) = open.map(|offer| {
            offer.ended_at = Some(now);
            (offer.id, offer.partner)
        }) else {
            return;
        };
        self.stop_clock(ClockKind::Offer, None);
        self.tell_withdrawn(offer_id, partner_org_id, reason_code);
    }

    /// The case goes where no end of it settles hours: what a partner had done before its time was over does not count.
    pub(super) fn end_overdue_offer(&mut self, reason_code: &str) {
        if self.case.offer_to_settle().is_none() {
            return;
        }
        let overdue = self.case.offer.as_mut().filter(|offer| offer.overdue);
        let Some(offer) = overdue else { return };
        offer.overdue = false;
        let (offer_id, partner_org_id) = (offer.id, offer.partner);
        self.tell_withdrawn(offer_id, partner_org_id, reason_code);
    }

    pub(super) fn tell_withdrawn(&mut self, offer_id: OfferId, partner_org_id: OrgId, reason_code: &str) {
        let reason_code = reason_code.to_owned();
        let reason = Reason::new(&reason_code);
        let event = DomainEvent::CaseOfferWithdrawn { offer_id, partner_org_id, reason_code };
        self.emit(event, Some(reason), None);
    }

    /// Declined or timed out: the next partner, else the public service, else a dispatcher.
    pub(super) fn lapse_offer(&mut self, reason_code: &str) -> Result<()> {
        self.end_open_offer(reason_code);
        let outcome = self.where_to()?;
        if outcome.kind == RoutingKind::Offered {
            self.stay(Trigger::LapseOffer)?;
            return self.offer_to(&outcome, false);
        }
        self.case.left_society = true;
        if outcome.lead.is_some() && outcome.kind != RoutingKind::Proposed {
            self.stay(Trigger::LapseOffer)?;
            return self.dispatch_to(&outcome, outcome.kind == RoutingKind::Manual);
        }
        self.enter(CaseState::Triaged, Trigger::LapseOffer)?;
        if outcome.lead.is_some() {
            self.propose(&outcome)?;
        }
        self.start_clock(ClockKind::Dispatch, None, self.sla().dispatch);
        self.emit(DomainEvent::CaseTriaged { decision: None }, Some(Reason::new(reason_code)), None);
        Ok(())
    }

    pub(super) fn return_from_society(&mut self, reason_code: &str) -> Result<()> {
        let offer = self.case.confirmed_offer().cloned();
        let offer =
            offer.ok_or_else(|| DomainError::guard("not_with_society", "no partner leads this case"))?;
        let now = self.now;
        if let Some(current) = &mut self.case.offer {
            current.ended_at = Some(now);
            current.overdue = reason_code == OVERDUE;
        }
        self.end_suspension();
        self.enter(CaseState::Triaged, Trigger::ReturnFromSociety)?;
        self.cancel_with_lead(reason_code)?;
        self.release_lead();
        self.exclude(offer.partner);
        self.case.left_society = true;
        let event = DomainEvent::CaseReturnedFromSociety {
            offer_id: offer.id,
            partner_org_id: offer.partner,
            reason_code: reason_code.to_owned(),
        };
        self.emit(event, Some(Reason::new(reason_code)), None);
        self.reroute()
    }

    /// The partner leads again, as it had done its part before its time was over, and nobody has begun since. The case goes back
    /// along the rows of recall and offer in one go, of which nobody is told but for the tasks that end.
    pub(super) fn give_back_to_partner(&mut self, offer: &Offer) -> Result<()> {
        if self.case.state == CaseState::Dispatched {
            self.enter(CaseState::Triaged, Trigger::Recall)?;
        }
        self.cancel_with_lead("no_longer_needed")?;
        self.release_lead();
        self.end_dispatch();
        self.case.excluded_orgs.retain(|org| *org != offer.partner);
        self.enter(CaseState::OfferedToSociety, Trigger::Offer)?;
        if let Some(current) = &mut self.case.offer {
            (current.ended_at, current.overdue) = (None, false);
        }
        self.confirm(offer)
    }

    /// Whether what a partner did until its time was over can be what was done about the case: it is about the same still, nobody
    /// has begun since, nobody went with the partner's time who had to do a part of it, and the partner may lead.
    pub(super) fn can_be_given_back(&self, offer: &Offer) -> bool {
        let Some(ended_at) = offer.ended_at else { return false };
        let waits = matches!(self.case.state, CaseState::Triaged | CaseState::Dispatched);
        let begun = self.case.tasks.iter().any(|task| task.signed_at.is_some_and(|at| at > ended_at));
        // Opened again, it is promised anew.
        let anew = self.case.clock(ClockKind::Resolve, None).is_some_and(|clock| clock.started_at > ended_at);
        let led = |task: &&Task| task.org == offer.partner && task.part == TaskPart::Lead;
        let last = self.case.tasks.iter().rev().find(led);
        let same = last.is_some_and(|task| task.item == self.item_code());
        let went_with_it = |task: &Task| {
            let mut clocks = self.case.clocks.iter().filter(|clock| clock.task_id == Some(task.id));
            // Whoever was called with the takeover was never waited for.
            task.state == TaskState::Cancelled
                && task.issued_at < ended_at
                && clocks.any(|clock| clock.stopped_at == Some(ended_at))
        };
        let assist = |task: &&Task| task.part == TaskPart::Assist && task.mandatory;
        let whole = !self.case.tasks.iter().filter(assist).any(went_with_it);
        let known = self.routes.org(offer.partner).is_some_and(|org| org.in_force(self.now));
        waits && !begun && !anew && same && whole && known && self.case.complained_of != Some(offer.partner)
    }
}
