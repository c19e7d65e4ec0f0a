//! Organisations: listing and creating.

use chassis::{
    Error, Result,
    auth::Caller,
    clock::new_id,
    command::{Meta, once},
    db::Tx,
    page,
};
use proto::identity::v1::{
    CreateOrganizationRequest, CreateOrganizationResponse, GetOrganizationRequest, GetOrganizationResponse,
    ListOrganizationsRequest, ListOrganizationsResponse,
};
use uuid::Uuid;

use super::{
    Identity,
    topology::{PAGE_DEFAULT, PAGE_MAX},
    unit_in_force,
};
use crate::{
    domain::{
        OrgId, UnitId, facts,
        organization::{KIND, Organization, OrganizationKind},
    },
    store::{organizations, units},
};

impl Identity {
    pub(super) async fn organizations_list(
        &self,
        request: ListOrganizationsRequest,
    ) -> Result<ListOrganizationsResponse> {
        let size = page::size(request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
        let after = page::decode::<(String, Uuid)>(&request.page_token)?;
        let kind = match OrganizationKind::try_from(request.kind) {
            Ok(OrganizationKind::Unspecified) => None,
            Ok(kind) => Some(kind),
            Err(_) => return Err(Error::invalid("kind", "is not a kind")),
        };
        let unit_id = UnitId::parse_opt("unit_id", &request.unit_id)?;
        let mut conn = self.db.conn().await?;
        let mut rows = organizations::list(&mut conn, unit_id, kind, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |org| (org.code.clone(), org.id.0));
        Ok(ListOrganizationsResponse {
            organizations: rows.iter().map(Into::into).collect(),
            next_page_token,
        })
    }

    pub(super) async fn organization_get(
        &self,
        request: &GetOrganizationRequest,
    ) -> Result<GetOrganizationResponse> {
        let id = OrgId::parse("org_id", &request.org_id)?;
        let org = organizations::get(&mut *self.db.conn().await?, id).await?;
        let org = org.ok_or_else(|| Error::not_found(KIND, id))?;
        Ok(GetOrganizationResponse { organization: Some((&org).into()) })
    }

    pub(super) async fn organization_create(
        &self,
        caller: &Caller,
        request: CreateOrganizationRequest,
    ) -> Result<CreateOrganizationResponse> {
        let meta = Meta::new("CreateOrganization", &request.request_id, &request)?;
        let from =
            request.organization.as_ref().ok_or_else(|| Error::invalid("organization", "is needed"))?;
        let org = Organization::create(OrgId(new_id()), from, self.clock.now())?;
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            unit_in_force(tx, caller, org.unit_id).await?;
            organizations::insert(tx.conn, &org).await?;
            tx.emit(facts::organization_changed(&org));
            Ok(CreateOrganizationResponse { organization: Some((&org).into()) })
        })
        .await
    }
}
