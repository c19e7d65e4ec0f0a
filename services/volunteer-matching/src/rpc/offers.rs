//! `OfferService`: partners answer offers. Each answer is an event for case-routing, which alone moves the case.

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::Caller,
    clock::new_id,
    command::{Decide, Decision, Meta, Target},
    event::Emit,
    page,
    proto::volunteer_matching::v1::{
        AcceptOfferRequest, AcceptOfferResponse, CompleteOfferRequest, CompleteOfferResponse,
        DeclineOfferRequest, DeclineOfferResponse, GetOfferRequest, GetOfferResponse, GiveUpOfferRequest,
        GiveUpOfferResponse, ListOffersRequest, ListOffersResponse, NameVolunteerRequest,
        NameVolunteerResponse, SocialAccepted, SocialCompleted, SocialDeclined, SocialGaveUp,
        StepBackRequest, StepBackResponse, offer_service_server::OfferService,
    },
    update,
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{Shelf, convert};
use crate::{
    domain::{
        OfferId, RecordId, Volunteer, VolunteerId, VolunteerState,
        offer::{Offer, Verb},
    },
    store::{
        offers::{self, Filter},
        volunteers,
    },
};

/// Serves `OfferService`.
pub struct Offers(pub Shelf);

/// The partner says yes, naming who does it.
struct Accept {
    /// The version it is based on.
    etag: Option<i64>,
    named: Option<Uuid>,
    /// The named volunteer if there is such a one, else the ranked ones, best first, as they are now.
    found: Vec<Volunteer>,
}

impl Accept {
    /// Who does it: the one the partner named, else the best ranked who is still free, else the organisation itself.
    fn choose(&self, offer: &Offer) -> Result<Option<&Volunteer>> {
        if self.named.is_some() {
            return nameable(self.found.first(), offer).map(Some);
        }
        let mut own = self.found.iter().filter(|volunteer| volunteer.org_id == offer.org_id);
        Ok(own.find(|volunteer| volunteer.is_free()))
    }
}

impl Decide<Offer> for Accept {
    fn decide(&self, current: Option<&Offer>, by: &Caller, now: Timestamp) -> Result<Decision<Offer>> {
        let mut offer = manageable(current, by, self.etag)?.accept(now)?;
        let volunteer = self.choose(&offer)?;
        offer.entrust(volunteer);
        let event = SocialAccepted {
            case_id: offer.case_id.to_string(),
            offer_id: offer.id.to_string(),
            org_id: offer.org_id.to_string(),
            volunteer_ref: offer.volunteer_ref.clone(),
        };
        Ok(decision(offer, |offer| emit(offer, &event)))
    }
}

/// The partner says who does it after all. Nobody else has to hear of it: the organisation is bound all the same.
struct Name {
    etag: Option<i64>,
    /// Nobody: the organisation itself.
    named: Option<Uuid>,
    found: Option<Volunteer>,
}

impl Decide<Offer> for Name {
    fn decide(&self, current: Option<&Offer>, by: &Caller, now: Timestamp) -> Result<Decision<Offer>> {
        let mut offer = manageable(current, by, self.etag)?.turn(Verb::Name, now)?;
        let volunteer = self.named.map(|_| nameable(self.found.as_ref(), &offer)).transpose()?;
        offer.entrust(volunteer);
        Ok(Decision { aggregate: offer, events: Vec::new() })
    }
}

/// The volunteer who was named says no. The organisation stays bound, so that nobody else has to hear of it.
struct StepBack {
    etag: Option<i64>,
}

impl Decide<Offer> for StepBack {
    fn decide(&self, current: Option<&Offer>, by: &Caller, now: Timestamp) -> Result<Decision<Offer>> {
        // Nobody says no for another, not even the organisation.
        if let Some(offer) = current.filter(|offer| offer.volunteer_person != Some(by.person_id)) {
            return Err(Error::not_found("offer", offer.id));
        }
        let offer = existing(current, self.etag)?.step_back(now)?;
        Ok(Decision { aggregate: offer, events: Vec::new() })
    }
}

/// The partner says no.
struct Decline {
    etag: Option<i64>,
    reason_code: String,
}

impl Decide<Offer> for Decline {
    fn decide(&self, current: Option<&Offer>, by: &Caller, now: Timestamp) -> Result<Decision<Offer>> {
        let offer = manageable(current, by, self.etag)?.turn(Verb::Decline, now)?;
        let event = SocialDeclined {
            case_id: offer.case_id.to_string(),
            offer_id: offer.id.to_string(),
            org_id: offer.org_id.to_string(),
            reason_code: self.reason_code.clone(),
        };
        Ok(decision(offer, |offer| emit(offer, &event)))
    }
}

/// The partner gives a confirmed offer back.
struct GiveUp {
    etag: Option<i64>,
    reason_code: String,
}

impl Decide<Offer> for GiveUp {
    fn decide(&self, current: Option<&Offer>, by: &Caller, now: Timestamp) -> Result<Decision<Offer>> {
        let offer = manageable(current, by, self.etag)?.turn(Verb::GiveUp, now)?;
        let event = SocialGaveUp {
            case_id: offer.case_id.to_string(),
            offer_id: offer.id.to_string(),
            org_id: offer.org_id.to_string(),
            reason_code: self.reason_code.clone(),
        };
        Ok(decision(offer, |offer| emit(offer, &event)))
    }
}

/// The partner says the work is done.
struct Complete {
    etag: Option<i64>,
    record_id: Uuid,
    minutes: i32,
    evidence_refs: Vec<String>,
}

impl Decide<Offer> for Complete {
    fn decide(&self, current: Option<&Offer>, _by: &Caller, now: Timestamp) -> Result<Decision<Offer>> {
        let offer = existing(current, self.etag)?.complete(RecordId(self.record_id), self.minutes, now)?;
        let event = SocialCompleted {
            case_id: offer.case_id.to_string(),
            offer_id: offer.id.to_string(),
            org_id: offer.org_id.to_string(),
            minutes: self.minutes,
            evidence_refs: self.evidence_refs.clone(),
        };
        Ok(decision(offer, |offer| emit(offer, &event)))
    }
}

/// The volunteer whom a partner names: one of its own, who takes part and has not said no to this offer.
fn nameable<'a>(found: Option<&'a Volunteer>, offer: &Offer) -> Result<&'a Volunteer> {
    let own = found.filter(|volunteer| volunteer.org_id == offer.org_id);
    let own = own.ok_or_else(|| Error::invalid("volunteer_id", "does not belong to the organisation"))?;
    if own.state != VolunteerState::Active {
        return Err(Error::invalid("volunteer_id", "takes no part at present"));
    }
    if offer.stepped_back.contains(&own.id) {
        return Err(Error::invalid("volunteer_id", "has stepped back from this offer"));
    }
    Ok(own)
}

/// The offer in the version that an answer is based on.
fn existing(current: Option<&Offer>, etag: Option<i64>) -> Result<&Offer> {
    let offer = current.ok_or_else(|| Error::not_found("offer", ""))?;
    update::fresh(etag, offer.version, "offer", offer.id)?;
    Ok(offer)
}

/// A volunteer may see the own offer, but only the organisation answers for itself.
fn manageable<'a>(current: Option<&'a Offer>, by: &Caller, etag: Option<i64>) -> Result<&'a Offer> {
    if let Some(offer) = current.filter(|offer| !offers::managed(by).contains(&offer.org_id)) {
        return Err(Error::not_found("offer", offer.id));
    }
    existing(current, etag)
}

fn emit<M: chassis::proto::EventMessage>(offer: &Offer, event: &M) -> Emit {
    Emit::new(offer.case_id, offer.version, event).unit_opt(offer.place_unit_id).subject(offer.id)
}

fn decision(offer: Offer, event: impl FnOnce(&Offer) -> Emit) -> Decision<Offer> {
    let events = vec![event(&offer)];
    Decision { aggregate: offer, events }
}

impl Offers {
    async fn get(&self, caller: &Caller, id: OfferId) -> Result<Offer> {
        let mut conn = self.0.db.conn().await?;
        let offer = offers::get(&mut conn, id).await?.filter(|offer| offers::reaches(caller, offer));
        offer.ok_or_else(|| Error::not_found("offer", id))
    }

    /// The volunteers an acceptance may choose from, in the order it prefers.
    async fn choice(&self, named: Option<Uuid>, offer: &Offer) -> Result<Vec<Volunteer>> {
        let ranked = || offer.candidates.iter().map(|candidate| candidate.volunteer_id).collect();
        let ids: Vec<_> = named.map_or_else(ranked, |id| vec![VolunteerId(id)]);
        let mut conn = self.0.db.conn().await?;
        let mut found = volunteers::by_ids(&mut conn, &ids).await?;
        found.sort_by_key(|volunteer| ids.iter().position(|id| *id == volunteer.id));
        Ok(found)
    }
}

#[tonic::async_trait]
impl OfferService for Offers {
    async fn list_offers(&self, request: Request<ListOffersRequest>) -> RpcResult<ListOffersResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let filter = Filter {
            orgs: offers::managed(&caller),
            person: caller.person_id,
            states: convert::states("states", &request.states)?,
            case_id: convert::optional_id("case_id", &request.case_id)?,
            before: page::decode::<Uuid>(&request.page_token)?,
            limit: size + 1,
        };
        let mut conn = self.0.db.conn().await?;
        let mut found = offers::list(&mut conn, &filter).await?;
        let next_page_token = page::cut(&mut found, size, |offer| offer.id.0);
        Ok(Response::new(ListOffersResponse {
            offers: found.iter().map(|offer| convert::offer(offer, &filter.orgs)).collect(),
            next_page_token,
        }))
    }

    async fn get_offer(&self, request: Request<GetOfferRequest>) -> RpcResult<GetOfferResponse> {
        let caller = Caller::of(&request)?;
        let id = OfferId(convert::id("offer_id", &request.into_inner().offer_id)?);
        let offer = self.get(&caller, id).await?;
        Ok(Response::new(GetOfferResponse { offer: Some(convert::offer(&offer, &offers::managed(&caller))) }))
    }

    async fn accept_offer(&self, request: Request<AcceptOfferRequest>) -> RpcResult<AcceptOfferResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("AcceptOffer", &request.request_id, &request)?;
        let id = OfferId(convert::id("offer_id", &request.offer_id)?);
        let named = convert::optional_id("volunteer_id", &request.volunteer_id)?;
        let etag = update::etag(&request.etag)?;
        let offer = self.get(&caller, id).await?;
        let command = Accept { etag, named, found: self.choice(named, &offer).await? };
        let orgs = offers::managed(&caller);
        let answer = move |offer: &Offer| AcceptOfferResponse { offer: Some(convert::offer(offer, &orgs)) };
        let response = self.0.executor.execute(&caller, meta, id, Target::Existing, command, answer).await?;
        Ok(Response::new(response))
    }

    async fn decline_offer(&self, request: Request<DeclineOfferRequest>) -> RpcResult<DeclineOfferResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("DeclineOffer", &request.request_id, &request)?;
        let id = OfferId(convert::id("offer_id", &request.offer_id)?);
        let reason_code = if request.reason_code.is_empty() {
            String::new() // no reason is owed
        } else {
            convert::code("reason_code", &request.reason_code)?
        };
        let orgs = offers::managed(&caller);
        let answer = move |offer: &Offer| DeclineOfferResponse { offer: Some(convert::offer(offer, &orgs)) };
        let command = Decline { etag: update::etag(&request.etag)?, reason_code };
        let response = self.0.executor.execute(&caller, meta, id, Target::Existing, command, answer).await?;
        Ok(Response::new(response))
    }

    async fn give_up_offer(&self, request: Request<GiveUpOfferRequest>) -> RpcResult<GiveUpOfferResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("GiveUpOffer", &request.request_id, &request)?;
        let id = OfferId(convert::id("offer_id", &request.offer_id)?);
        let reason_code = convert::code("reason_code", &request.reason_code)?;
        let command = GiveUp { etag: update::etag(&request.etag)?, reason_code };
        let orgs = offers::managed(&caller);
        let answer = move |offer: &Offer| GiveUpOfferResponse { offer: Some(convert::offer(offer, &orgs)) };
        let response = self.0.executor.execute(&caller, meta, id, Target::Existing, command, answer).await?;
        Ok(Response::new(response))
    }

    async fn name_volunteer(
        &self,
        request: Request<NameVolunteerRequest>,
    ) -> RpcResult<NameVolunteerResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("NameVolunteer", &request.request_id, &request)?;
        let id = OfferId(convert::id("offer_id", &request.offer_id)?);
        let named = convert::optional_id("volunteer_id", &request.volunteer_id)?;
        let etag = update::etag(&request.etag)?;
        let found = match named {
            Some(id) => volunteers::get(&mut *self.0.db.conn().await?, VolunteerId(id)).await?,
            None => None,
        };
        let command = Name { etag, named, found };
        let orgs = offers::managed(&caller);
        let answer = move |offer: &Offer| NameVolunteerResponse { offer: Some(convert::offer(offer, &orgs)) };
        let response = self.0.executor.execute(&caller, meta, id, Target::Existing, command, answer).await?;
        Ok(Response::new(response))
    }

    async fn step_back(&self, request: Request<StepBackRequest>) -> RpcResult<StepBackResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("StepBack", &request.request_id, &request)?;
        let id = OfferId(convert::id("offer_id", &request.offer_id)?);
        let command = StepBack { etag: update::etag(&request.etag)? };
        let orgs = offers::managed(&caller);
        let answer = move |offer: &Offer| StepBackResponse { offer: Some(convert::offer(offer, &orgs)) };
        let response = self.0.executor.execute(&caller, meta, id, Target::Existing, command, answer).await?;
        Ok(Response::new(response))
    }

    async fn complete_offer(
        &self,
        request: Request<CompleteOfferRequest>,
    ) -> RpcResult<CompleteOfferResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("CompleteOffer", &request.request_id, &request)?;
        let id = OfferId(convert::id("offer_id", &request.offer_id)?);
        let command = Complete {
            etag: update::etag(&request.etag)?,
            record_id: new_id(),
            minutes: request.minutes,
            evidence_refs: convert::references("evidence_refs", &request.evidence_refs)?,
        };
        let orgs = offers::managed(&caller);
        let answer = move |offer: &Offer| CompleteOfferResponse { offer: Some(convert::offer(offer, &orgs)) };
        let response = self.0.executor.execute(&caller, meta, id, Target::Existing, command, answer).await?;
        Ok(Response::new(response))
    }
}
