//! People: adding, masked reading, finding by blind index, revealing with a record. Every reveal and search leaves an
//! audit entry, also when it is refused (I-5), and so does an addition that is refused because the person is known.

use chassis::{
    Error, Result, RpcResult,
    auth::{Caller, Role},
    clock::new_id,
    command::{Meta, once},
    db::Tx,
};
use proto::identity::v1::{
    ApproveGrantRequest, ApproveGrantResponse, CreateAccountRequest, CreateAccountResponse,
    CreatePersonRequest, CreatePersonResponse, FindPersonRequest, FindPersonResponse, GetPersonRequest,
    GetPersonResponse, GetPersonTagsRequest, GetPersonTagsResponse, GrantRoleRequest, GrantRoleResponse,
    ListRoleGrantsRequest, ListRoleGrantsResponse, Person, ResetPasswordRequest, ResetPasswordResponse,
    RevealPersonRequest, RevealPersonResponse, RevokeRoleRequest, RevokeRoleResponse,
    person_service_server::PersonService,
};
use tonic::{Request, Response};

use super::{Identity, pseudonym, reach, unit_in_force};
use crate::{
    domain::{
        PersonId,
        audit::{Access, Decision},
        personal::{self, IdNumber, KIND, NewPerson, Phone},
        purpose::{self, Field},
        text,
    },
    store::{
        audit,
        people::{self, Key, PersonRow},
        units,
    },
};

#[tonic::async_trait]
impl PersonService for Identity {
    async fn create_person(&self, request: Request<CreatePersonRequest>) -> RpcResult<CreatePersonResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.person_create(&caller, request.into_inner()).await?))
    }

    async fn get_person(&self, request: Request<GetPersonRequest>) -> RpcResult<GetPersonResponse> {
        let caller = Caller::of(&request)?;
        let id = PersonId::parse("person_id", &request.into_inner().person_id)?;
        let row =
            people::within(&mut *self.db.conn().await.map_err(tonic::Status::from)?, id, &reach(&caller))
                .await?;
        let row = row.ok_or_else(|| Error::not_found(KIND, id))?;
        Ok(Response::new(GetPersonResponse { person: Some(self.masked(&row)?) }))
    }

    async fn find_person(&self, request: Request<FindPersonRequest>) -> RpcResult<FindPersonResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.person_find(&caller, &request.into_inner()).await?))
    }

    async fn reveal_person(&self, request: Request<RevealPersonRequest>) -> RpcResult<RevealPersonResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.person_reveal(&caller, &request.into_inner()).await?))
    }

    async fn get_person_tags(
        &self,
        request: Request<GetPersonTagsRequest>,
    ) -> RpcResult<GetPersonTagsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.person_tags(&caller, request.get_ref()).await?))
    }

    async fn grant_role(&self, request: Request<GrantRoleRequest>) -> RpcResult<GrantRoleResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.role_grant(&caller, request.into_inner()).await?))
    }

    async fn approve_grant(&self, request: Request<ApproveGrantRequest>) -> RpcResult<ApproveGrantResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.grant_approve(&caller, request.into_inner()).await?))
    }

    async fn revoke_role(&self, request: Request<RevokeRoleRequest>) -> RpcResult<RevokeRoleResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.role_revoke(&caller, request.into_inner()).await?))
    }

    async fn list_role_grants(
        &self,
        request: Request<ListRoleGrantsRequest>,
    ) -> RpcResult<ListRoleGrantsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.role_grants_list(&caller, request.into_inner()).await?))
    }

    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> RpcResult<CreateAccountResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.account_create(&caller, request.into_inner()).await?))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordRequest>,
    ) -> RpcResult<ResetPasswordResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.password_reset(&caller, request.into_inner()).await?))
    }
}

impl Identity {
    async fn person_create(
        &self,
        caller: &Caller,
        request: CreatePersonRequest,
    ) -> Result<CreatePersonResponse> {
        let meta = Meta::new("CreatePerson", &request.request_id, &request)?;
        let person = NewPerson::new(&request, self.clock.now())?;
        let id = PersonId(new_id());
        let outcome = once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::hold(tx.conn).await?;
            unit_in_force(tx, caller, person.home_unit_id).await?;
            self.people.insert(tx.conn, id, &person, None, &pseudonym(), tx.now).await?;
            let row = people::get(tx.conn, id).await?.ok_or_else(|| Error::not_found(KIND, id))?;
            Ok(CreatePersonResponse { person: Some(self.masked(&row)?) })
        })
        .await;
        if let Err(Error::AlreadyExists { .. }) = outcome {
            // This tells that somebody of the identity number is known, as a search would, and is recorded as one. The
            // command is rolled back, so the entry has a transaction of its own; without it nothing is told.
            self.db
                .transaction(async |tx: &mut Tx<'_>| {
                    let access = access(tx, caller, "CreatePerson", None, "", Decision::Deny);
                    audit::append(tx.conn, &self.crypto, access).await
                })
                .await?;
        }
        outcome
    }

    async fn person_find(&self, caller: &Caller, request: &FindPersonRequest) -> Result<FindPersonResponse> {
        let key = match (request.id_no.as_str(), request.phone.as_str()) {
            ("", "") => return Err(Error::invalid("phone", "phone or id_no is needed")),
            ("", phone) => Key::Phone(Phone::parse("phone", phone)?),
            (id_no, "") => Key::IdNo(IdNumber::parse("id_no", id_no, self.clock.now())?),
            _ => return Err(Error::invalid("id_no", "give either phone or id_no, not both")),
        };
        let units = reach(caller);
        let found = self
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                let row = self.people.find(tx.conn, &key, &units).await?;
                let decision = if row.is_some() { Decision::Allow } else { Decision::Deny };
                let access = access(tx, caller, "FindPerson", row.as_ref().map(PersonRow::id), "", decision);
                audit::append(tx.conn, &self.crypto, access).await?;
                Ok(row)
            })
            .await?;
        // The key is not repeated in the answer: it is personal.
        let row = found.ok_or_else(|| Error::not_found(KIND, "of this phone or id_no"))?;
        Ok(FindPersonResponse { person: Some(self.masked(&row)?) })
    }

    async fn person_reveal(
        &self,
        caller: &Caller,
        request: &RevealPersonRequest,
    ) -> Result<RevealPersonResponse> {
        let id = PersonId::parse("person_id", &request.person_id)?;
        let reason = text::code("reason_code", &request.reason_code, 60)?;
        let units = reach(caller);
        // The refusal is committed with its entry, so it is carried out of the transaction as a value.
        let outcome: Result<PersonRow> = self
            .db
            .transaction(async |tx: &mut Tx<'_>| {
                let row = people::within(tx.conn, id, &units).await?;
                let outcome = match row {
                    None => Err(Error::not_found(KIND, id)),
                    Some(row) => {
                        if may_see(tx, caller, &row).await? {
                            Ok(row)
                        } else {
                            Err(Error::Forbidden)
                        }
                    }
                };
                let decision = if outcome.is_ok() { Decision::Allow } else { Decision::Deny };
                let access = access(tx, caller, "RevealPerson", Some(id), &reason, decision);
                audit::append(tx.conn, &self.crypto, access).await?;
                Ok(outcome)
            })
            .await?;
        let clear = self.people.open(&outcome?)?;
        let shown = |field: Field, value: String| {
            if purpose::covers(&caller.purpose, field) { value } else { String::new() }
        };
        Ok(RevealPersonResponse {
            name: shown(Field::Name, clear.name),
            phone: shown(Field::Phone, clear.phone),
            id_no: shown(Field::IdNo, clear.id_no),
        })
    }

    /// A person as callers see one.
    pub(super) fn masked(&self, row: &PersonRow) -> Result<Person> {
        let clear = self.people.open(row)?;
        Ok(Person {
            person_id: row.id().to_string(),
            pseudonym: row.pseudonym.clone(),
            name_masked: personal::mask_name(&clear.name),
            phone_masked: personal::mask_phone(&clear.phone),
            id_no_masked: personal::mask_id_no(&clear.id_no),
            birth_year: row.birth_year.unwrap_or_default(),
            home_unit_id: row.home_unit_id().to_string(),
            org_id: row.org_id().map(|id| id.to_string()).unwrap_or_default(),
        })
    }
}

/// Minors' fields are shown only to those who answer for others' work (P-04: staff need an approver) where the minor lives.
pub(super) async fn may_see(tx: &mut Tx<'_>, caller: &Caller, row: &PersonRow) -> Result<bool> {
    if !personal::may_be_minor(row.birth_year, tx.now) {
        return Ok(true);
    }
    let home = units::path(tx.conn, row.home_unit_id()).await?.unwrap_or_default();
    let answers = |role: Role| caller.has(role) && caller.reaches_as(role, &home, None);
    Ok([Role::StationHead, Role::StreetDispatcher, Role::DistrictDispatcher].into_iter().any(answers))
}

/// Who looks at what, for the audit.
pub(super) fn access(
    tx: &Tx<'_>,
    caller: &Caller,
    action: &str,
    object: Option<PersonId>,
    reason: &str,
    decision: Decision,
) -> Access {
    let mut roles = caller.roles.iter();
    let role = match (roles.next(), roles.next()) {
        (Some(role), None) => role as i16,
        _ => 0,
    };
    Access {
        at: tx.now,
        actor_ref: caller.actor_ref.clone(),
        role,
        purpose: caller.purpose.clone(),
        action: action.to_owned(),
        object_kind: KIND.to_owned(),
        object_id: object.map(|id| id.0),
        reason_code: reason.to_owned(),
        decision,
    }
}
