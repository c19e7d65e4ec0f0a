//! Authority edges: listing, creating, ending.

use chassis::{
    Error, Result,
    auth::Caller,
    clock::new_id,
    command::{Meta, once},
    db::Tx,
    page,
};
use proto::identity::v1::{
    CreateAuthorityEdgeRequest, CreateAuthorityEdgeResponse, EndAuthorityEdgeRequest,
    EndAuthorityEdgeResponse, ListAuthorityEdgesRequest, ListAuthorityEdgesResponse,
};
use uuid::Uuid;

use super::{
    Identity,
    topology::{PAGE_DEFAULT, PAGE_MAX},
    unit_within,
};
use crate::{
    domain::{
        EdgeId, OrgId,
        edge::{AuthorityEdge, EdgeKind, KIND},
        facts,
        organization::{self, Organization},
        text,
    },
    store::{edges, organizations, units},
};

impl Identity {
    pub(super) async fn edges_list(
        &self,
        request: ListAuthorityEdgesRequest,
    ) -> Result<ListAuthorityEdgesResponse> {
        let size = page::size(request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
        let after = page::decode::<Uuid>(&request.page_token)?.unwrap_or_default();
        let from = OrgId::parse_opt("from_org_id", &request.from_org_id)?;
        let to = OrgId::parse_opt("to_org_id", &request.to_org_id)?;
        let mut rows = edges::list(&mut *self.db.conn().await?, from, to, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |edge| edge.id.0);
        Ok(ListAuthorityEdgesResponse { edges: rows.iter().map(Into::into).collect(), next_page_token })
    }

    pub(super) async fn edge_create(
        &self,
        caller: &Caller,
        request: CreateAuthorityEdgeRequest,
    ) -> Result<CreateAuthorityEdgeResponse> {
        let meta = Meta::new("CreateAuthorityEdge", &request.request_id, &request)?;
        let edge = request.edge.as_ref().ok_or_else(|| Error::invalid("edge", "is needed"))?;
        let kind = match EdgeKind::try_from(edge.kind) {
            Ok(EdgeKind::Unspecified) | Err(_) => return Err(Error::invalid("edge.kind", "is not a kind")),
            Ok(kind) => kind,
        };
        let from = OrgId::parse("edge.from_org_id", &edge.from_org_id)?;
        let to = OrgId::parse("edge.to_org_id", &edge.to_org_id)?;
        let line = text::line("edge.line", &edge.line)?;
        let id = EdgeId(new_id());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            let from = org_within(tx, caller, from).await?;
            let to = org_within(tx, caller, to).await?;
            let edge = AuthorityEdge::create(id, kind, &from, &to, line, tx.now)?;
            edges::insert(tx.conn, &edge).await?;
            tx.emit(facts::authority_edge_changed(&edge));
            Ok(CreateAuthorityEdgeResponse { edge: Some((&edge).into()) })
        })
        .await
    }

    pub(super) async fn edge_end(
        &self,
        caller: &Caller,
        request: EndAuthorityEdgeRequest,
    ) -> Result<EndAuthorityEdgeResponse> {
        let meta = Meta::new("EndAuthorityEdge", &request.request_id, &request)?;
        let id = EdgeId::parse("edge_id", &request.edge_id)?;
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            let missing = || Error::not_found(KIND, id);
            let edge = edges::get(tx.conn, id).await?.ok_or_else(missing)?;
            for org in [edge.from, edge.to] {
                org_within(tx, caller, org).await.map_err(|error| match error {
                    Error::NotFound { .. } => missing(),
                    other => other,
                })?;
            }
            let edge = edge.end(tx.now)?;
            edges::update_end(tx.conn, &edge).await?;
            tx.emit(facts::authority_edge_changed(&edge));
            Ok(EndAuthorityEdgeResponse { edge: Some((&edge).into()) })
        })
        .await
    }
}

/// An organisation whose unit is within the caller's reach; otherwise there is none.
async fn org_within(tx: &mut Tx<'_>, caller: &Caller, id: OrgId) -> Result<Organization> {
    let missing = || Error::not_found(organization::KIND, id);
    let org = organizations::get(tx.conn, id).await?.ok_or_else(missing)?;
    unit_within(tx, caller, org.unit_id).await.map_err(|error| match error {
        Error::NotFound { .. } => missing(),
        other => other,
    })?;
    Ok(org)
}
