//! The unit tree, organisations and authority edges. The work is in the files beside this one.

use chassis::{Result, RpcResult, auth::Caller, page};
use proto::identity::v1::{
    CreateAuthorityEdgeRequest, CreateAuthorityEdgeResponse, CreateOrganizationRequest,
    CreateOrganizationResponse, CreateUnitRequest, CreateUnitResponse, EndAuthorityEdgeRequest,
    EndAuthorityEdgeResponse, GetOrganizationRequest, GetOrganizationResponse, GetTopologySnapshotRequest,
    GetTopologySnapshotResponse, GetUnitRequest, GetUnitResponse, ListAuthorityEdgesRequest,
    ListAuthorityEdgesResponse, ListOrganizationsRequest, ListOrganizationsResponse, ListUnitsRequest,
    ListUnitsResponse, MergeUnitsRequest, MergeUnitsResponse, UpdateUnitRequest, UpdateUnitResponse,
    topology_service_server::TopologyService,
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::Identity;
use crate::store::{edges, organizations, units};

/// Pages of lists.
pub(super) const PAGE_DEFAULT: i64 = 50;
pub(super) const PAGE_MAX: i64 = 200;

/// The three parts of a snapshot, in order.
const UNITS: u8 = 0;
const ORGANIZATIONS: u8 = 1;
const EDGES: u8 = 2;

#[tonic::async_trait]
impl TopologyService for Identity {
    async fn get_topology_snapshot(
        &self,
        request: Request<GetTopologySnapshotRequest>,
    ) -> RpcResult<GetTopologySnapshotResponse> {
        Ok(Response::new(self.snapshot(request.into_inner()).await?))
    }

    async fn list_units(&self, request: Request<ListUnitsRequest>) -> RpcResult<ListUnitsResponse> {
        Ok(Response::new(self.units_list(request.into_inner()).await?))
    }

    async fn get_unit(&self, request: Request<GetUnitRequest>) -> RpcResult<GetUnitResponse> {
        Ok(Response::new(self.unit_get(&request.into_inner()).await?))
    }

    async fn create_unit(&self, request: Request<CreateUnitRequest>) -> RpcResult<CreateUnitResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.unit_create(&caller, request.into_inner()).await?))
    }

    async fn update_unit(&self, request: Request<UpdateUnitRequest>) -> RpcResult<UpdateUnitResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.unit_update(&caller, request.into_inner()).await?))
    }

    async fn merge_units(&self, request: Request<MergeUnitsRequest>) -> RpcResult<MergeUnitsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.units_merge(&caller, request.into_inner()).await?))
    }

    async fn list_organizations(
        &self,
        request: Request<ListOrganizationsRequest>,
    ) -> RpcResult<ListOrganizationsResponse> {
        Ok(Response::new(self.organizations_list(request.into_inner()).await?))
    }

    async fn get_organization(
        &self,
        request: Request<GetOrganizationRequest>,
    ) -> RpcResult<GetOrganizationResponse> {
        Ok(Response::new(self.organization_get(&request.into_inner()).await?))
    }

    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> RpcResult<CreateOrganizationResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.organization_create(&caller, request.into_inner()).await?))
    }

    async fn list_authority_edges(
        &self,
        request: Request<ListAuthorityEdgesRequest>,
    ) -> RpcResult<ListAuthorityEdgesResponse> {
        Ok(Response::new(self.edges_list(request.into_inner()).await?))
    }

    async fn create_authority_edge(
        &self,
        request: Request<CreateAuthorityEdgeRequest>,
    ) -> RpcResult<CreateAuthorityEdgeResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.edge_create(&caller, request.into_inner()).await?))
    }

    async fn end_authority_edge(
        &self,
        request: Request<EndAuthorityEdgeRequest>,
    ) -> RpcResult<EndAuthorityEdgeResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.edge_end(&caller, request.into_inner()).await?))
    }
}

impl Identity {
    /// Units, then organisations, then edges, each by id. What changes meanwhile arrives by event with a higher version.
    async fn snapshot(&self, request: GetTopologySnapshotRequest) -> Result<GetTopologySnapshotResponse> {
        let size = page::size(request.page_size, 1_000, 5_000)?;
        let (part, after) = page::decode::<(u8, Uuid)>(&request.page_token)?.unwrap_or((UNITS, Uuid::nil()));
        let mut conn = self.db.conn().await?;
        let mut answer = GetTopologySnapshotResponse::default();
        let last = match part {
            UNITS => {
                let rows = units::scan(&mut conn, after, size).await?;
                answer.units = rows.iter().map(Into::into).collect();
                full(&rows, size).map(|u| u.id.0)
            }
            ORGANIZATIONS => {
                let rows = organizations::scan(&mut conn, after, size).await?;
                answer.organizations = rows.iter().map(Into::into).collect();
                full(&rows, size).map(|o| o.id.0)
            }
            EDGES => {
                let rows = edges::scan(&mut conn, after, size).await?;
                answer.edges = rows.iter().map(Into::into).collect();
                full(&rows, size).map(|e| e.id.0)
            }
            _ => return Err(chassis::Error::invalid("page_token", "is not a token of this list")),
        };
        answer.next_page_token = match last {
            Some(id) => page::encode(&(part, id)),
            None if part < EDGES => page::encode(&(part + 1, Uuid::nil())),
            None => String::new(),
        };
        Ok(answer)
    }
}

/// The last row of a full page, after which there may be more.
fn full<T>(rows: &[T], size: i64) -> Option<&T> {
    rows.last().filter(|_| i64::try_from(rows.len()).is_ok_and(|n| n >= size))
}
