//! Assignments: lists and the worker's own verbs; who picks by hand is in `assign`.

use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    command::{Decide, Executor, Meta, Target},
    db::Db,
    page, update,
};
use proto::staffing::v1::{
    AcceptAssignmentRequest, AcceptAssignmentResponse, ArriveOnSiteRequest, ArriveOnSiteResponse,
    AssignTaskRequest, AssignTaskResponse, DeclineAssignmentRequest, DeclineAssignmentResponse,
    FinishAssignmentRequest, FinishAssignmentResponse, GetAssignmentRequest, GetAssignmentResponse,
    ListAssignmentsRequest, ListAssignmentsResponse, assignment_service_server::AssignmentService,
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    again::again,
    convert, reach,
    verbs::{Accept, Arrive, Finish},
};
use crate::{
    desk::Setup,
    domain::{Assignment, AssignmentId, assignment::KIND},
    store::{
        AssignmentStore,
        lists::{self, AssignmentFilter},
    },
};

/// `jianghan.staffing.v1.AssignmentService`.
#[derive(Clone)]
pub struct AssignmentRpc {
    pub(super) db: Db,
    pub(super) setup: Setup,
    executor: Executor<AssignmentStore>,
}

impl AssignmentRpc {
    /// Over the service's database and executor.
    pub fn new(db: Db, setup: Setup, executor: Executor<AssignmentStore>) -> Self {
        Self { db, setup, executor }
    }

    /// Runs a worker's verb on the caller's own assignment.
    async fn own<C: Decide<Assignment>, R: prost::Message + Default + 'static>(
        &self,
        caller: &Caller,
        meta: Meta,
        id: &str,
        command: C,
        respond: fn(Option<proto::staffing::v1::Assignment>) -> R,
    ) -> Result<R> {
        let id = AssignmentId(convert::uuid("assignment_id", id)?);
        let answer = move |after: &Assignment| respond(Some(after.into()));
        self.executor.execute(caller, meta, id, Target::Existing, command, answer).await
    }

    async fn list(
        &self,
        caller: &Caller,
        request: ListAssignmentsRequest,
    ) -> Result<ListAssignmentsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let filter = AssignmentFilter {
            orgs: reach::orgs(caller, &self.setup.topology.load()),
            person: caller.person_id,
            mine: request.mine,
            id: None,
            task: convert::optional_uuid("task_id", &request.task_id)?,
            case: convert::optional_uuid("case_id", &request.case_id)?,
            states: convert::states(&request.states)?,
            before: page::decode::<Uuid>(&request.page_token)?,
            limit: size + 1,
        };
        let case = filter.case;
        let mut conn = self.db.conn().await?;
        let mut rows = lists::assignments(&mut conn, &filter).await?;
        let next_page_token = page::cut(&mut rows, size, |last| last.id.0);
        // Asked for a task of another case, there is nothing.
        rows.retain(|a| case.is_none_or(|case| a.case_id.0 == case));
        Ok(ListAssignmentsResponse { assignments: rows.iter().map(Into::into).collect(), next_page_token })
    }

    async fn get(&self, caller: &Caller, request: GetAssignmentRequest) -> Result<GetAssignmentResponse> {
        let id = convert::uuid("assignment_id", &request.assignment_id)?;
        let filter = AssignmentFilter {
            orgs: reach::orgs(caller, &self.setup.topology.load()),
            person: caller.person_id,
            id: Some(id),
            limit: 1,
            ..AssignmentFilter::default()
        };
        let mut conn = self.db.conn().await?;
        let found = lists::assignments(&mut conn, &filter).await?;
        let found = found.as_slice().first().ok_or_else(|| Error::not_found(KIND, id))?;
        Ok(GetAssignmentResponse { assignment: Some(found.into()) })
    }
}

#[tonic::async_trait]
impl AssignmentService for AssignmentRpc {
    async fn list_assignments(
        &self,
        request: Request<ListAssignmentsRequest>,
    ) -> RpcResult<ListAssignmentsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list(&caller, request.into_inner()).await?))
    }

    async fn get_assignment(
        &self,
        request: Request<GetAssignmentRequest>,
    ) -> RpcResult<GetAssignmentResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.get(&caller, request.into_inner()).await?))
    }

    async fn accept_assignment(
        &self,
        request: Request<AcceptAssignmentRequest>,
    ) -> RpcResult<AcceptAssignmentResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("AcceptAssignment", &request.request_id, &request)?;
        let command = Accept { etag: update::etag(&request.etag)? };
        let respond = |assignment| AcceptAssignmentResponse { assignment };
        Ok(Response::new(self.own(&caller, meta, &request.assignment_id, command, respond).await?))
    }

    async fn decline_assignment(
        &self,
        request: Request<DeclineAssignmentRequest>,
    ) -> RpcResult<DeclineAssignmentResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(Response::new(again(|| self.decline(&caller, request.clone())).await?))
    }

    async fn arrive_on_site(&self, request: Request<ArriveOnSiteRequest>) -> RpcResult<ArriveOnSiteResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("ArriveOnSite", &request.request_id, &request)?;
        let command = Arrive { etag: update::etag(&request.etag)? };
        let respond = |assignment| ArriveOnSiteResponse { assignment };
        Ok(Response::new(self.own(&caller, meta, &request.assignment_id, command, respond).await?))
    }

    async fn finish_assignment(
        &self,
        request: Request<FinishAssignmentRequest>,
    ) -> RpcResult<FinishAssignmentResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("FinishAssignment", &request.request_id, &request)?;
        let id = request.assignment_id;
        let command = Finish {
            etag: update::etag(&request.etag)?,
            minutes: convert::minutes(request.minutes)?,
            evidence: convert::evidence(request.evidence_refs)?,
        };
        let respond = |assignment| FinishAssignmentResponse { assignment };
        Ok(Response::new(self.own(&caller, meta, &id, command, respond).await?))
    }

    async fn assign_task(&self, request: Request<AssignTaskRequest>) -> RpcResult<AssignTaskResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.assign(&caller, request.into_inner()).await?))
    }
}
