//! `VolunteerService`: who helps, and the hours that count.

use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    clock::new_id,
    command::{Meta, NOT_ANNOUNCED, announced, once},
    db::Tx,
    page,
    proto::volunteer_matching::v1::{
        CreateVolunteerRequest, CreateVolunteerResponse, ListServiceRecordsRequest,
        ListServiceRecordsResponse, ListVolunteersRequest, ListVolunteersResponse, PauseVolunteerRequest,
        PauseVolunteerResponse, volunteer_service_server::VolunteerService,
    },
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{Shelf, convert};
use crate::{
    domain::{Volunteer, VolunteerId, VolunteerState},
    store::{announced as people, offers::managed, records, volunteers},
};

/// Serves `VolunteerService`.
pub struct Volunteers(pub Shelf);

#[tonic::async_trait]
impl VolunteerService for Volunteers {
    async fn create_volunteer(
        &self,
        request: Request<CreateVolunteerRequest>,
    ) -> RpcResult<CreateVolunteerResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("CreateVolunteer", &request.request_id, &request)?;
        let volunteer = self.parse(&request)?;
        if !managed(&caller).contains(&volunteer.org_id) {
            return Err(Error::not_found("organization", volunteer.org_id).into());
        }
        let (caller, volunteer) = (&caller, &volunteer);
        let attempt = move || self.register(caller, meta, volunteer);
        Ok(Response::new(announced(attempt).await?))
    }

    async fn list_volunteers(
        &self,
        request: Request<ListVolunteersRequest>,
    ) -> RpcResult<ListVolunteersResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let filter = volunteers::Filter {
            orgs: managed(&caller),
            person: caller.person_id,
            org_id: convert::optional_id("org_id", &request.org_id)?,
            after: page::decode::<Uuid>(&request.page_token)?,
            limit: size + 1,
        };
        let mut conn = self.0.db.conn().await?;
        let mut found = volunteers::list(&mut conn, &filter).await?;
        let next_page_token = page::cut(&mut found, size, |volunteer| volunteer.id.0);
        self.0.partners.stand_in(&self.0.topology.load(), &mut found);
        Ok(Response::new(ListVolunteersResponse {
            volunteers: found.iter().map(convert::volunteer).collect(),
            next_page_token,
        }))
    }

    async fn pause_volunteer(
        &self,
        request: Request<PauseVolunteerRequest>,
    ) -> RpcResult<PauseVolunteerResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("PauseVolunteer", &request.request_id, &request)?;
        let id = VolunteerId(convert::id("volunteer_id", &request.volunteer_id)?);
        let (orgs, person) = (managed(&caller), caller.person_id);
        let response = once(&self.0.db, &caller, meta, async |tx: &mut Tx<'_>| {
            let found = volunteers::get(tx.conn, id).await?;
            let found = found.filter(|found| orgs.contains(&found.org_id) || found.person_id == person);
            let mut volunteer = found.ok_or_else(|| Error::not_found("volunteer", id))?;
            let state = match (volunteer.state, request.paused) {
                (VolunteerState::Active | VolunteerState::Paused, true) => VolunteerState::Paused,
                (VolunteerState::Active | VolunteerState::Paused, false) => VolunteerState::Active,
                (state, _) => {
                    let message = format!("a volunteer who is {} takes no break", state.as_str());
                    return Err(Error::wrong_state("volunteer", id, message));
                }
            };
            if !volunteers::set_state(tx.conn, id, state).await? {
                return Err(Error::wrong_state("volunteer", id, "a volunteer who is left takes no break"));
            }
            volunteer.state = state;
            self.0.partners.stand_in(&self.0.topology.load(), std::slice::from_mut(&mut volunteer));
            Ok(PauseVolunteerResponse { volunteer: Some(convert::volunteer(&volunteer)) })
        })
        .await?;
        Ok(Response::new(response))
    }

    async fn list_service_records(
        &self,
        request: Request<ListServiceRecordsRequest>,
    ) -> RpcResult<ListServiceRecordsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let filter = records::Filter {
            orgs: managed(&caller),
            offer_id: convert::optional_id("offer_id", &request.offer_id)?,
            volunteer_id: convert::optional_id("volunteer_id", &request.volunteer_id)?,
            before: page::decode::<Uuid>(&request.page_token)?,
            limit: size + 1,
        };
        let mut conn = self.0.db.conn().await?;
        let mut found = records::list(&mut conn, &filter).await?;
        let next_page_token = page::cut(&mut found, size, |record| record.record_id);
        Ok(Response::new(ListServiceRecordsResponse {
            records: found.iter().map(convert::record).collect(),
            next_page_token,
        }))
    }
}

impl Volunteers {
    async fn register(
        &self,
        caller: &Caller,
        meta: Meta,
        volunteer: &Volunteer,
    ) -> Result<CreateVolunteerResponse> {
        once(&self.0.db, caller, meta, async |tx: &mut Tx<'_>| {
            self.is_here(tx, caller, volunteer).await?;
            volunteers::insert(tx.conn, volunteer, tx.now).await?;
            Ok(CreateVolunteerResponse { volunteer: Some(convert::volunteer(volunteer)) })
        })
        .await
    }

    /// Whether a person belongs to the organisation, or to where the caller manages it, as identity has told, and is known by that
    /// pseudonym: nobody registers somebody else's people, nor counts one person's hours under another's name.
    async fn is_here(&self, tx: &mut Tx<'_>, caller: &Caller, volunteer: &Volunteer) -> Result<()> {
        let mut held = people::of_person(tx.conn, volunteer.person_id).await?;
        let topology = self.0.topology.load();
        let org = Some(volunteer.org_id);
        let managing: Vec<Uuid> =
            caller.scopes.iter().filter(|scope| scope.org_id == org).map(|scope| scope.unit_id).collect();
        held.retain(|held| {
            let near = |unit| managing.iter().any(|root| topology.is_within(unit, *root));
            held.org_id == org || held.unit_id.is_some_and(near)
        });
        if held.is_empty() {
            let message = "person_id: holds no grant where the organisation works; one that was given just now is \
                           known in a moment, one from before this release has to be given anew";
            return Err(Error::barred("person", volunteer.person_id, NOT_ANNOUNCED, message));
        }
        if held.iter().any(|held| held.person_ref == volunteer.volunteer_ref) {
            Ok(())
        } else {
            Err(Error::invalid("volunteer_ref", "is not the pseudonym of the person"))
        }
    }

    fn parse(&self, request: &CreateVolunteerRequest) -> Result<Volunteer> {
        let home_unit_id = convert::optional_id("home_unit_id", &request.home_unit_id)?;
        if home_unit_id.is_some_and(|unit| self.0.topology.load().unit(unit).is_none()) {
            return Err(Error::invalid("home_unit_id", "no such unit"));
        }
        if request.skill_codes.len() > 50 {
            return Err(Error::invalid("skill_codes", "at most 50"));
        }
        let skills = request.skill_codes.iter().map(|skill| convert::code("skill_codes", skill));
        Ok(Volunteer {
            id: VolunteerId(new_id()),
            person_id: convert::id("person_id", &request.person_id)?,
            volunteer_ref: convert::pseudonym("volunteer_ref", &request.volunteer_ref)?,
            org_id: convert::id("org_id", &request.org_id)?,
            home_unit_id,
            skill_codes: Some(skills.collect::<Result<_>>()?),
            state: VolunteerState::Active,
            locked_minutes: 0,
            open_offers: 0,
        })
    }
}
