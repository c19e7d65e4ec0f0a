//! Offers in a life: the partner answers in a volunteer's name, does the work, or gives it back.

use anyhow::{Context, Result, bail};
use proto::{
    case_routing::v1::{Case, CaseState},
    volunteer_matching::v1::{
        AcceptOfferRequest, CompleteOfferRequest, DeclineOfferRequest, GetOfferRequest, GiveUpOfferRequest,
        ListVolunteersRequest, Offer, OfferState, Volunteer, VolunteerState,
    },
};
use tonic::Code;

use super::life::{Life, moved_on};
use crate::suite::{Session, Suite, request_id};

impl Life {
    /// Waits until volunteer-matching has the offer in a state; nothing if the offer is no longer open there.
    pub async fn offer_arrived(
        &mut self,
        partner: &Session,
        offer_id: &str,
        wanted: OfferState,
    ) -> Result<Option<Offer>> {
        let deadline = std::time::Instant::now() + self.world.patience;
        loop {
            let request = partner.request(GetOfferRequest { offer_id: offer_id.to_owned() }).await?;
            match self.world.suite.offers().get_offer(request).await {
                Ok(answer) => {
                    let offer = answer.into_inner().offer.context("GetOffer answered without an offer")?;
                    let state = offer.state();
                    if state == wanted {
                        return Ok(Some(offer));
                    }
                    if !matches!(state, OfferState::Offered | OfferState::Accepted) {
                        return Ok(None);
                    }
                }
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(status.into()),
            }
            if self.read().await?.offer.is_none_or(|offer| offer.offer_id != offer_id) {
                return Ok(None);
            }
            if std::time::Instant::now() > deadline {
                bail!("offer {offer_id} did not reach {} in volunteer-matching", wanted.as_str_name());
            }
            self.look_again().await?;
        }
    }

    /// Accepts in the name of a volunteer who can sign in, and waits until case-routing has confirmed or moved on.
    pub async fn accept_offer(&mut self, partner: &Session, offer: &Offer) -> Result<()> {
        let volunteers = volunteers(&self.world.suite, partner, &offer.org_id).await?;
        let acts = |actor_ref: &str| self.world.actors.worker(actor_ref).is_some();
        let request = AcceptOfferRequest {
            offer_id: offer.offer_id.clone(),
            request_id: request_id(),
            // Nobody of them: the organisation answers for itself, as a group or an enterprise does.
            volunteer_id: best_known(offer, &volunteers, acts).unwrap_or_default(),
            ..Default::default()
        };
        moved_on(self.world.suite.offers().accept_offer(partner.request(request).await?).await)?;
        let offer_id = offer.offer_id.clone();
        self.wait_for("the offer's confirmation", |case| {
            case.state() != CaseState::OfferedToSociety
                || case.offer.as_ref().is_none_or(|offer| offer.offer_id != offer_id || offer.confirmed)
        })
        .await?;
        Ok(())
    }

    /// Declines, and waits until the case went on.
    pub async fn decline_offer(&mut self, partner: &Session, offer_id: &str) -> Result<()> {
        let request = DeclineOfferRequest {
            offer_id: offer_id.to_owned(),
            request_id: request_id(),
            reason_code: "no_capacity".into(),
            ..Default::default()
        };
        moved_on(self.world.suite.offers().decline_offer(partner.request(request).await?).await)?;
        let offer_id = offer_id.to_owned();
        self.wait_for("the next step after a decline", |case| {
            case.state() != CaseState::OfferedToSociety
                || case.offer.as_ref().is_none_or(|offer| offer.offer_id != offer_id)
        })
        .await?;
        Ok(())
    }

    /// A partner does the work, or gives it back.
    pub async fn partner_works(&mut self, case: &Case, org_id: &str, offer_id: &str) -> Result<()> {
        let partner = self.world.actors.leader(org_id)?.clone();
        let Some(offer) = self.offer_arrived(&partner, offer_id, OfferState::Confirmed).await? else {
            // A rework asks the same partner again; volunteer-matching reopens the offer when it learns of it.
            return self.look_again().await;
        };
        let minutes = self.minutes(60, 1200);
        self.pause(minutes).await;
        let mut offers = self.world.suite.offers();
        let result = if case.rework_count == 0 && self.chance(8) {
            let request = GiveUpOfferRequest {
                offer_id: offer_id.to_owned(),
                request_id: request_id(),
                reason_code: "unavailable".into(),
                ..Default::default()
            };
            offers.give_up_offer(partner.request(request).await?).await.map(drop)
        } else {
            let request = CompleteOfferRequest {
                offer_id: offer_id.to_owned(),
                request_id: request_id(),
                minutes: i32::try_from(minutes.num_minutes().min(480))?,
                evidence_refs: vec!["photo:after".into()],
                ..Default::default()
            };
            // Whoever did the work says so; without a volunteer it was the organisation.
            let volunteers = volunteers(&self.world.suite, &partner, org_id).await?;
            let named = volunteers.iter().find(|volunteer| volunteer.volunteer_id == offer.volunteer_id);
            let doer = named.and_then(|volunteer| self.world.actors.worker(&volunteer.volunteer_ref));
            let doer = doer.unwrap_or(&partner);
            offers.complete_offer(doer.request(request).await?).await.map(drop)
        };
        moved_on(result)?;
        self.wait_for("the partner's word to arrive", |case| case.state() != CaseState::InProgress).await?;
        Ok(())
    }
}

/// The partner's volunteers, as the partner sees them.
///
/// # Errors
/// When volunteer-matching does not tell.
pub async fn volunteers(suite: &Suite, partner: &Session, org_id: &str) -> Result<Vec<Volunteer>> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListVolunteersRequest { org_id: org_id.to_owned(), page_size: 200, page_token };
        let page = suite.volunteers().list_volunteers(partner.request(request).await?).await?;
        let page = page.into_inner();
        all.extend(page.volunteers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// The best ranked active volunteer of an offer who can act, else any active one.
pub fn best_known(offer: &Offer, volunteers: &[Volunteer], acts: impl Fn(&str) -> bool) -> Option<String> {
    let able = |volunteer: &&Volunteer| {
        volunteer.state() == VolunteerState::Active && acts(&volunteer.volunteer_ref)
    };
    let of = |id: &str| volunteers.iter().filter(able).find(|volunteer| volunteer.volunteer_id == id);
    let ranked = offer.candidates.iter().find_map(|candidate| of(&candidate.volunteer_id));
    let named = ranked.or_else(|| volunteers.iter().find(able));
    named.map(|volunteer| volunteer.volunteer_id.clone())
}

#[cfg(test)]
mod tests {
    use proto::volunteer_matching::v1::OfferCandidate;

    use super::*;

    #[test]
    fn the_best_ranked_volunteer_who_can_sign_in_is_named() {
        let volunteer = |n: u32, state: VolunteerState| Volunteer {
            volunteer_id: format!("v{n}"),
            volunteer_ref: format!("p{n}"),
            state: state.into(),
            ..Volunteer::default()
        };
        let ranked = |ids: &[&str]| Offer {
            candidates: ids
                .iter()
                .map(|id| OfferCandidate { volunteer_id: (*id).to_owned(), ..OfferCandidate::default() })
                .collect(),
            ..Offer::default()
        };
        let (active, paused) = (VolunteerState::Active, VolunteerState::Paused);
        let volunteers =
            [volunteer(1, active), volunteer(2, active), volunteer(3, paused), volunteer(4, active)];
        let known = |actor_ref: &str| actor_ref != "p1";
        let named = |ids: &[&str]| best_known(&ranked(ids), &volunteers, known);
        assert_eq!(
            named(&["v1", "v3", "v4", "v2"]).as_deref(),
            Some("v4"),
            "no account, on a break, best of the rest"
        );
        assert_eq!(named(&[]).as_deref(), Some("v2"), "nobody was ranked");
        assert_eq!(best_known(&ranked(&["v1"]), &volunteers, |_| false), None);
    }
}
