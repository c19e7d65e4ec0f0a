//! Authority that follows a duty: people with the competence grant or refuse it. Reach is asked of the database, for this
//! service is the one that owns the tree.

use chassis::{
    Error, Result, RpcResult,
    auth::{Caller, Role},
    clock::to_proto,
    command::{Meta, once},
    db::Tx,
    event::Emit,
    page,
};
use proto::identity::v1::{
    self as pb, AuthorityGranted, AuthorityRefused, GrantDutyAuthorityRequest, GrantDutyAuthorityResponse,
    ListDutyAuthoritiesRequest, ListDutyAuthoritiesResponse, RefuseDutyAuthorityRequest,
    RefuseDutyAuthorityResponse, duty_authority_service_server::DutyAuthorityService,
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::Identity;
use crate::{
    domain::{
        OrgId,
        duty_authority::{DutyAuthority, KIND},
        ids::parse_uuid,
        text,
    },
    store::{duty_authorities, organizations, units},
};

impl From<&DutyAuthority> for pb::DutyAuthority {
    fn from(one: &DutyAuthority) -> Self {
        Self {
            duty_transfer_id: one.transfer_id.to_string(),
            state: i32::from(one.state as i16),
            from_org_id: one.from_org_id.to_string(),
            to_org_id: one.to_org_id.to_string(),
            line: one.line.clone().unwrap_or_default(),
            item_codes: one.item_codes.clone(),
            basis_ref: one.basis_ref.clone(),
            reason_code: one.reason_code.clone(),
            decided_by: one.decided_by.clone(),
            decided_time: one.decided_at.map(to_proto),
            effective: one.effective,
            closed: one.closed,
        }
    }
}

/// A reference: 1–200 visible ASCII characters.
fn reference(field: &str, text: &str) -> Result<String> {
    if (1..=200).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(field, "must be a reference of 1–200 visible ASCII characters"))
}

/// The authority of a transfer over whose department the caller is competent; otherwise there is none.
async fn within(tx: &mut Tx<'_>, caller: &Caller, id: Uuid) -> Result<DutyAuthority> {
    let missing = || Error::not_found(KIND, id);
    let one = duty_authorities::lock(tx.conn, id).await?.ok_or_else(missing)?;
    let org = organizations::get(tx.conn, OrgId(one.from_org_id)).await?.ok_or_else(missing)?;
    let path = units::path(tx.conn, org.unit_id).await?.ok_or_else(missing)?;
    let competent = [Role::DeptLeader, Role::Arbiter]
        .into_iter()
        .any(|role| caller.reaches_as(role, &path, org.line.as_deref()));
    if competent { Ok(one) } else { Err(missing()) }
}

#[tonic::async_trait]
impl DutyAuthorityService for Identity {
    async fn list_duty_authorities(
        &self,
        request: Request<ListDutyAuthoritiesRequest>,
    ) -> RpcResult<ListDutyAuthoritiesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let below = page::decode::<Uuid>(&request.page_token)?.unwrap_or(Uuid::max());
        // Residents and volunteers reach nothing of others.
        let official = |role: Role| !matches!(role, Role::Resident | Role::Volunteer);
        let scopes = caller.scopes.iter().filter(|scope| official(scope.role));
        let scopes: Vec<_> = scopes.map(|scope| (scope.unit_id, scope.line.clone())).collect();
        let mut conn = self.db.conn().await?;
        let mut rows = duty_authorities::list(&mut conn, &scopes, below, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |one| one.transfer_id);
        let authorities = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListDutyAuthoritiesResponse { authorities, next_page_token }))
    }

    async fn grant_duty_authority(
        &self,
        request: Request<GrantDutyAuthorityRequest>,
    ) -> RpcResult<GrantDutyAuthorityResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("GrantDutyAuthority", &request.request_id, &request)?;
        let id = parse_uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let basis_ref = reference("basis_ref", &request.basis_ref)?;
        let by = caller.clone();
        let answer = once(&self.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let asked = within(tx, &by, id).await?;
            let granted = asked.grant(&basis_ref, &by.actor_ref, tx.now)?;
            duty_authorities::write(tx.conn, &granted).await?;
            let event = AuthorityGranted {
                duty_transfer_id: id.to_string(),
                to_org_id: granted.to_org_id.to_string(),
                basis_ref: basis_ref.clone(),
            };
            tx.emit(Emit::new(id, granted.version, &event).line(granted.line.as_deref()));
            Ok(GrantDutyAuthorityResponse { authority: Some((&granted).into()) })
        })
        .await?;
        Ok(Response::new(answer))
    }

    async fn refuse_duty_authority(
        &self,
        request: Request<RefuseDutyAuthorityRequest>,
    ) -> RpcResult<RefuseDutyAuthorityResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("RefuseDutyAuthority", &request.request_id, &request)?;
        let id = parse_uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let reason_code = text::code("reason_code", &request.reason_code, 64)?;
        let by = caller.clone();
        let answer = once(&self.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let asked = within(tx, &by, id).await?;
            let refused = asked.refuse(&reason_code, &by.actor_ref, tx.now)?;
            duty_authorities::write(tx.conn, &refused).await?;
            let event = AuthorityRefused {
                duty_transfer_id: id.to_string(),
                to_org_id: refused.to_org_id.to_string(),
                reason_code: reason_code.clone(),
            };
            tx.emit(Emit::new(id, refused.version, &event).line(refused.line.as_deref()));
            Ok(RefuseDutyAuthorityResponse { authority: Some((&refused).into()) })
        })
        .await?;
        Ok(Response::new(answer))
    }
}
