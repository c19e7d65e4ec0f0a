//! Posts and workers by hand; shifts are in `shifts`.

use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    clock::new_id,
    command::{Meta, NOT_ANNOUNCED, announced, once},
    db::{Db, Tx},
    page,
    topology::{Organization, OrganizationKind, Topology},
};
use proto::staffing::v1::{
    CancelShiftRequest, CancelShiftResponse, CreatePostRequest, CreatePostResponse, CreateShiftRequest,
    CreateShiftResponse, CreateWorkerRequest, CreateWorkerResponse, EndWorkerRequest, EndWorkerResponse,
    ListPostsRequest, ListPostsResponse, ListShiftsRequest, ListShiftsResponse, ListWorkersRequest,
    ListWorkersResponse, workforce_service_server::WorkforceService,
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{again::again, convert, reach};
use crate::{
    desk::{Desk, Setup, Touch},
    domain::{OrgId, PersonId, Post, PostId, PostKind, PostState, UnitId, Worker, WorkerId},
    duty,
    store::{announced as acting, lists, posts, tasks, workers},
    workforce::TAKEN_UP,
};

/// Working minutes of a full day on a post made by hand.
const DAILY_MINUTES: i32 = 480;
/// Open assignments beyond which others go first, on a post made by hand.
const MAX_OPEN: i32 = 20;

/// `jianghan.staffing.v1.WorkforceService`.
#[derive(Clone)]
pub struct WorkforceRpc {
    pub(super) db: Db,
    pub(super) setup: Setup,
}

impl WorkforceRpc {
    /// Over the service's database.
    pub fn new(db: Db, setup: Setup) -> Self {
        Self { db, setup }
    }

    /// The organisations a list is about: all within reach, or one of them.
    pub(super) fn orgs(&self, caller: &Caller, org_id: &str) -> Result<Vec<Uuid>> {
        let topology = self.setup.topology.load();
        match convert::optional_uuid("org_id", org_id)? {
            None => Ok(reach::orgs(caller, &topology)),
            Some(id) if reach::org(caller, &topology, OrgId(id)) => Ok(vec![id]),
            Some(_) => Ok(Vec::new()),
        }
    }

    async fn create_post(&self, caller: &Caller, request: CreatePostRequest) -> Result<CreatePostResponse> {
        let meta = Meta::new("CreatePost", &request.request_id, &request)?;
        let kind = convert::post_kind(request.kind)?;
        let org_id = OrgId(convert::uuid("org_id", &request.org_id)?);
        let topology = self.setup.topology.load();
        let org = topology
            .org(org_id.0)
            .filter(|_| reach::org(caller, &topology, org_id))
            .ok_or_else(|| Error::not_found("organization", org_id))?;
        let line = line_of(&request.line, kind, &org)?;
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let held = posts::lock_of_orgs(tx.conn, &[org_id.0]).await?;
            let number = (1..)
                .map(|n| format!("{}/{}/by_hand/{n}", kind.code(), org.code))
                .find(|number| held.iter().all(|post| post.number != *number))
                .unwrap_or_else(|| new_id().to_string());
            let auxiliary = kind == PostKind::AuxiliaryWorker;
            let post = Post {
                id: PostId(new_id()),
                number,
                kind,
                org_id,
                unit_id: UnitId(org.unit_id),
                line: line.clone(),
                template: String::new(),
                state: PostState::Open,
                daily_minutes: DAILY_MINUTES,
                max_open: if auxiliary { 0 } else { MAX_OPEN },
            };
            let answer = CreatePostResponse { post: Some((&post).into()) };
            posts::write(tx.conn, &[post], tx.now).await?;
            Ok(answer)
        })
        .await
    }

    async fn create_worker(
        &self,
        caller: &Caller,
        request: CreateWorkerRequest,
    ) -> Result<CreateWorkerResponse> {
        let meta = Meta::new("CreateWorker", &request.request_id, &request)?;
        let person_id = PersonId(convert::uuid("person_id", &request.person_id)?);
        let worker_ref = convert::worker_ref(request.worker_ref)?;
        let post_id = PostId(convert::uuid("post_id", &request.post_id)?);
        let area = convert::optional_uuid("area_unit_id", &request.area_unit_id)?.map(UnitId);
        let skills = convert::skills(request.skill_codes)?;
        let topology = self.setup.topology.load();
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let not_found = || Error::not_found(posts::KIND, post_id);
            let org_id = posts::org_of(tx.conn, post_id).await?;
            let org_id = org_id.filter(|id| reach::org(caller, &topology, *id)).ok_or_else(not_found)?;
            acts_here(tx, caller, &topology, person_id, &worker_ref).await?;
            workers::come(tx.conn, &[org_id.0]).await?;
            let post = posts::lock(tx.conn, post_id).await?.ok_or_else(not_found)?;
            let area_unit_id = area.unwrap_or(post.unit_id);
            if !topology.is_within(area_unit_id.0, post.unit_id.0) {
                return Err(Error::invalid("area_unit_id", "is no unit that the post serves"));
            }
            match post.state {
                PostState::Open | PostState::Vacant => {}
                PostState::Filled => return Err(Error::already_exists("holder of the post", post_id)),
                PostState::Planned | PostState::Abolished => {
                    return Err(Error::wrong_state(posts::KIND, post_id, "is not in force"));
                }
            }
            let worker = Worker {
                id: WorkerId(new_id()),
                person_id,
                worker_ref: worker_ref.clone(),
                post_id,
                grant_id: None,
                kind: post.kind,
                org_id: post.org_id,
                unit_id: post.unit_id,
                line: post.line.clone(),
                area_unit_id,
                skills: skills.clone(),
                auto_accept: request.auto_accept,
                daily_minutes: post.daily_minutes,
                max_open: post.max_open,
                roster: roster_of(topology.org(post.org_id.0).map(|org| org.kind)).to_owned(),
                active: true,
                open_count: 0,
                open_minutes: 0,
                last_offered_at: None,
            };
            posts::write(tx.conn, &[Post { state: PostState::Filled, ..post }], tx.now).await?;
            workers::insert(tx.conn, std::slice::from_ref(&worker), tx.now).await?;
            duty::held(tx, &[post_id.0]).await?;
            let unfilled = tasks::unfilled(tx.conn, &[worker.org_id.0], TAKEN_UP).await?;
            if unfilled.is_empty() {
                return Ok(CreateWorkerResponse { worker: Some((&worker).into()) });
            }
            let touch = Touch { tasks: unfilled.clone(), offers: true, ..Touch::default() };
            let mut desk = Desk::open(tx, &self.setup, touch).await?;
            desk.take_up(&unfilled)?;
            let answer = CreateWorkerResponse { worker: desk.worker(worker.id).map(Into::into) };
            desk.save(tx).await?;
            Ok(answer)
        })
        .await
    }

    /// Ends an appointment made by hand. Who stands on a grant leaves with that.
    async fn end_worker(&self, caller: &Caller, request: EndWorkerRequest) -> Result<EndWorkerResponse> {
        let meta = Meta::new("EndWorker", &request.request_id, &request)?;
        let id = WorkerId(convert::uuid("worker_id", &request.worker_id)?);
        once(&self.db, caller, meta, async |tx: &mut Tx<'_>| {
            let found = self.reached(tx, caller, id).await?;
            let worker = found.ok_or_else(|| Error::not_found(workers::KIND, id))?;
            if !worker.active {
                return Err(Error::wrong_state(workers::KIND, id, "has left already"));
            }
            if worker.grant_id.is_some() {
                return Err(Error::wrong_state(workers::KIND, id, "stands on a grant that is to be revoked"));
            }
            let leaving = vec![worker];
            let touch = Touch { leaving: leaving.clone(), offers: true, ..Touch::default() };
            let mut desk = Desk::open(tx, &self.setup, touch).await?;
            desk.hand_over()?;
            desk.save(tx).await?;
            duty::left(tx, &leaving).await?;
            let left = workers::find(tx.conn, id).await?;
            Ok(EndWorkerResponse { worker: left.as_ref().map(Into::into) })
        })
        .await
    }

    async fn list_posts(&self, caller: &Caller, request: ListPostsRequest) -> Result<ListPostsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let after = page::decode::<Uuid>(&request.page_token)?.unwrap_or_default();
        let orgs = self.orgs(caller, &request.org_id)?;
        let mut conn = self.db.conn().await?;
        let mut rows = lists::posts(&mut conn, &orgs, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |last| last.id.0);
        Ok(ListPostsResponse { posts: rows.iter().map(Into::into).collect(), next_page_token })
    }

    async fn list_workers(
        &self,
        caller: &Caller,
        request: ListWorkersRequest,
    ) -> Result<ListWorkersResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let after = page::decode::<Uuid>(&request.page_token)?.unwrap_or_default();
        let orgs = self.orgs(caller, &request.org_id)?;
        let mut conn = self.db.conn().await?;
        let mut rows = lists::workers(&mut conn, &orgs, after, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |last| last.id.0);
        Ok(ListWorkersResponse { workers: rows.iter().map(Into::into).collect(), next_page_token })
    }
}

/// Whether a person acts for an organisation within the caller's reach, as identity has told, and under that pseudonym: nobody puts
/// somebody else's people on a post, nor one person's work under another's name.
async fn acts_here(
    tx: &mut Tx<'_>,
    caller: &Caller,
    topology: &Topology,
    person: PersonId,
    worker_ref: &str,
) -> Result<()> {
    let mut acts = acting::of_person(tx.conn, person).await?;
    acts.retain(|(org, _)| reach::org(caller, topology, *org));
    if acts.is_empty() {
        let message = "person_id: holds no grant for an organisation within reach; one that was given just now \
                       is known in a moment, one from before this release has to be given anew";
        return Err(Error::barred("person", person, NOT_ANNOUNCED, message));
    }
    if acts.iter().any(|(_, known)| known == worker_ref) {
        Ok(())
    } else {
        Err(Error::invalid("worker_ref", "is not the pseudonym of the person"))
    }
}

/// The line of a post: the organisation's if it has one; auxiliary workers have one and sit where they are managed (S-3).
fn line_of(line: &str, kind: PostKind, org: &Organization) -> Result<Option<String>> {
    let line = if line.is_empty() { None } else { Some(convert::code("line", line)?) };
    if org.line.is_some() && line.is_some() && line != org.line {
        return Err(Error::invalid("line", "is not the organisation's"));
    }
    if kind == PostKind::AuxiliaryWorker {
        if !matches!(org.kind, OrganizationKind::ServiceStation | OrganizationKind::StreetOffice) {
            return Err(Error::invalid(
                "org_id",
                "auxiliary workers are managed by a station or street office",
            ));
        }
        if line.is_none() {
            return Err(Error::invalid("line", "an auxiliary worker has a line"));
        }
    }
    Ok(line.or_else(|| org.line.clone()))
}

/// Which shift templates an organisation's workers follow.
fn roster_of(kind: Option<OrganizationKind>) -> &'static str {
    match kind {
        Some(OrganizationKind::ServiceStation) => "community",
        Some(OrganizationKind::StreetOffice) => "street",
        Some(OrganizationKind::Department) => "department",
        _ => "",
    }
}

#[tonic::async_trait]
impl WorkforceService for WorkforceRpc {
    async fn create_post(&self, request: Request<CreatePostRequest>) -> RpcResult<CreatePostResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.create_post(&caller, request.into_inner()).await?))
    }

    async fn list_posts(&self, request: Request<ListPostsRequest>) -> RpcResult<ListPostsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list_posts(&caller, request.into_inner()).await?))
    }

    async fn create_worker(&self, request: Request<CreateWorkerRequest>) -> RpcResult<CreateWorkerResponse> {
        let caller = &Caller::of(&request)?;
        let request = &request.into_inner();
        let attempt = move || again(move || self.create_worker(caller, request.clone()));
        Ok(Response::new(announced(attempt).await?))
    }

    async fn end_worker(&self, request: Request<EndWorkerRequest>) -> RpcResult<EndWorkerResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(Response::new(again(|| self.end_worker(&caller, request.clone())).await?))
    }

    async fn list_workers(&self, request: Request<ListWorkersRequest>) -> RpcResult<ListWorkersResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list_workers(&caller, request.into_inner()).await?))
    }

    async fn create_shift(&self, request: Request<CreateShiftRequest>) -> RpcResult<CreateShiftResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(Response::new(again(|| self.create_shift(&caller, request.clone())).await?))
    }

    async fn cancel_shift(&self, request: Request<CancelShiftRequest>) -> RpcResult<CancelShiftResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.cancel_shift(&caller, request.into_inner()).await?))
    }

    async fn list_shifts(&self, request: Request<ListShiftsRequest>) -> RpcResult<ListShiftsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list_shifts(&caller, request.into_inner()).await?))
    }
}
