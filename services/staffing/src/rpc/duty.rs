//! `DutyResourceService`: fund lines; money and posts for transfers of duties, met or refused by people. Training stands in
//! `duty_training`.

use chassis::{
    Error, Result, RpcResult,
    auth::{Caller, Role},
    clock::new_id,
    command::{Meta, once},
    db::{Db, Tx},
    event::Emit,
    page,
    topology::{OrganizationKind, Topology},
};
use proto::staffing::v1::{
    AllotFundsRequest, AllotFundsResponse, AssignDutyStaffRequest, AssignDutyStaffResponse,
    CompleteDutyTrainingRequest, CompleteDutyTrainingResponse, CreateFundLineRequest, CreateFundLineResponse,
    FundsAllotted, FundsRefused, GetDutyDemandRequest, GetDutyDemandResponse, ListDutyDemandsRequest,
    ListDutyDemandsResponse, ListFundLinesRequest, ListFundLinesResponse, RefuseDutyStaffRequest,
    RefuseDutyStaffResponse, RefuseDutyTrainingRequest, RefuseDutyTrainingResponse, RefuseFundsRequest,
    RefuseFundsResponse, StaffUnavailable, duty_resource_service_server::DutyResourceService,
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{again::again, convert, duty_forms::post_demand};
use crate::{
    desk::Setup,
    domain::{
        OrgId, PostId,
        duty::{Demand, FUND_LINE, FundLine, KIND, Returned},
    },
    duty::{give_back, tell_assigned},
    store::{demands, posts},
};

/// Most money of a fund line: 10^11 yuan.
const MAX_FEN: i64 = 10_000_000_000_000;
/// Most posts named at once.
const MAX_POSTS: usize = 1_000;
/// Who names posts, and says that those on them were trained, or are not: those who manage the new holder's workers (S-3).
pub(super) const NAMING: [Role; 3] = [Role::StreetLeader, Role::StreetDispatcher, Role::StationHead];

/// `jianghan.staffing.v1.DutyResourceService`.
#[derive(Clone)]
pub struct DutyRpc {
    pub(super) db: Db,
    pub(super) setup: Setup,
}

/// Whether one of the roles reaches an organisation.
fn reaches(caller: &Caller, roles: &[Role], topology: &Topology, org: OrgId) -> bool {
    let Some(org) = topology.org(org.0) else { return false };
    let Some(path) = topology.path(org.unit_id) else { return false };
    roles.iter().any(|role| caller.reaches_as(*role, &path, org.line.as_deref()))
}

/// Organisations that the caller reaches by any role of the RPC.
fn reached(caller: &Caller, topology: &Topology) -> Vec<Uuid> {
    let within = topology.orgs().filter(|org| {
        topology.path(org.unit_id).is_some_and(|path| caller.reaches(&path, org.line.as_deref()))
    });
    within.map(|org| org.id).collect()
}

/// The money is the department's, or of a government above the new holder.
fn may_pay(topology: &Topology, line: &FundLine, demand: &Demand) -> bool {
    if line.org_id == demand.from_org_id {
        return true;
    }
    let (Some(payer), Some(holder)) = (topology.org(line.org_id.0), topology.org(demand.to_org_id.0)) else {
        return false;
    };
    payer.kind == OrganizationKind::Government && topology.is_within(holder.unit_id, payer.unit_id)
}

impl DutyRpc {
    /// Over the service's database.
    pub fn new(db: Db, setup: Setup) -> Self {
        Self { db, setup }
    }

    /// A demand whose new holder the caller reaches by one of the roles; otherwise there is none.
    pub(super) async fn demand(
        tx: &mut Tx<'_>,
        caller: &Caller,
        roles: &[Role],
        topology: &Topology,
        id: Uuid,
    ) -> Result<Demand> {
        let found = demands::lock(tx.conn, id).await?;
        let within = found.filter(|demand| reaches(caller, roles, topology, demand.to_org_id));
        within.ok_or_else(|| Error::not_found(KIND, id))
    }

    /// A demand that the caller reaches by one of the two organisations, and who is on its posts.
    async fn demand_of(
        &self,
        caller: &Caller,
        request: &GetDutyDemandRequest,
    ) -> Result<GetDutyDemandResponse> {
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let topology = self.setup.topology.load();
        let within = |org: OrgId| {
            topology.org(org.0).is_some_and(|org| {
                let path = topology.path(org.unit_id);
                path.is_some_and(|path| caller.reaches(&path, org.line.as_deref()))
            })
        };
        let mut conn = self.db.conn().await?;
        let found = demands::get(&mut conn, id).await?;
        let found = found.filter(|demand| within(demand.from_org_id) || within(demand.to_org_id));
        let demand = found.ok_or_else(|| Error::not_found(KIND, id))?;
        let filled = demands::filled(&mut conn, id).await?;
        Ok(GetDutyDemandResponse {
            demand: Some((&demand).into()),
            filled_posts: filled.iter().map(post_demand).collect(),
        })
    }

    async fn create_line(
        &self,
        caller: &Caller,
        request: CreateFundLineRequest,
    ) -> Result<CreateFundLineResponse> {
        let meta = Meta::new("CreateFundLine", &request.request_id, &request)?;
        let code = line_code("code", &request.code)?;
        let org_id = OrgId(convert::uuid("org_id", &request.org_id)?);
        if !(1..=MAX_FEN).contains(&request.budget_fen) {
            return Err(Error::invalid("budget_fen", format!("must be between 1 and {MAX_FEN}")));
        }
        let topology = self.setup.topology.load();
        if !reaches(caller, &[Role::FinanceOfficer], &topology, org_id) {
            return Err(Error::not_found("organization", org_id));
        }
        let line = FundLine { id: new_id(), code, org_id, budget_fen: request.budget_fen, allotted_fen: 0 };
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            demands::insert_line(tx.conn, &line).await?;
            Ok(CreateFundLineResponse { fund_line: Some((&line).into()) })
        })
        .await
    }

    async fn allot(&self, caller: &Caller, request: AllotFundsRequest) -> Result<AllotFundsResponse> {
        let meta = Meta::new("AllotFunds", &request.request_id, &request)?;
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let line_id = convert::uuid("fund_line_id", &request.fund_line_id)?;
        let (topology, by) = (self.setup.topology.load(), caller.clone());
        let finance = [Role::FinanceOfficer];
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            let demand = Self::demand(tx, &by, &finance, &topology, id).await?;
            let line = demands::lock_line(tx.conn, line_id)
                .await?
                .filter(|line| reaches(&by, &finance, &topology, line.org_id))
                .ok_or_else(|| Error::not_found(FUND_LINE, line_id))?;
            if !may_pay(&topology, &line, &demand) {
                let who = "is neither the department's nor of a government above the new holder";
                return Err(Error::invalid("fund_line_id", who));
            }
            let (demand, line) = demand.allot(line)?;
            demands::write_line(tx.conn, &line).await?;
            demands::write(tx.conn, &demand).await?;
            let event = FundsAllotted {
                duty_transfer_id: id.to_string(),
                to_org_id: demand.to_org_id.to_string(),
                amount_fen: demand.fund_fen,
                fund_line_code: line.code,
            };
            tx.emit(Emit::new(id, demand.version, &event).line(demand.line.as_deref()));
            Ok(AllotFundsResponse { demand: Some((&demand).into()) })
        })
        .await
    }

    async fn refuse_money(
        &self,
        caller: &Caller,
        request: RefuseFundsRequest,
    ) -> Result<RefuseFundsResponse> {
        let meta = Meta::new("RefuseFunds", &request.request_id, &request)?;
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let reason_code = convert::code("reason_code", &request.reason_code)?;
        let (topology, by) = (self.setup.topology.load(), caller.clone());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            let demand = Self::demand(tx, &by, &[Role::FinanceOfficer], &topology, id).await?;
            let (demand, returned) = demand.refuse_funds()?;
            give_back(tx, &demand, returned).await?;
            demands::write(tx.conn, &demand).await?;
            let event = FundsRefused {
                duty_transfer_id: id.to_string(),
                to_org_id: demand.to_org_id.to_string(),
                reason_code: reason_code.clone(),
            };
            tx.emit(Emit::new(id, demand.version, &event).line(demand.line.as_deref()));
            Ok(RefuseFundsResponse { demand: Some((&demand).into()) })
        })
        .await
    }

    async fn assign(
        &self,
        caller: &Caller,
        request: AssignDutyStaffRequest,
    ) -> Result<AssignDutyStaffResponse> {
        let meta = Meta::new("AssignDutyStaff", &request.request_id, &request)?;
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let ids = post_ids("post_ids", &request.post_ids)?;
        let (topology, by) = (self.setup.topology.load(), caller.clone());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            let mut held = Vec::with_capacity(ids.len());
            for post in &ids {
                held.push((post, posts::lock(tx.conn, PostId(*post)).await?));
            }
            // Behind its posts, as whoever comes to one of them or leaves it. Who does not reach it is told nothing of them.
            let demand = Self::demand(tx, &by, &NAMING, &topology, id).await?;
            let mut named = Vec::with_capacity(ids.len());
            for (post, found) in held {
                named.push(found.ok_or_else(|| Error::not_found(posts::KIND, post))?);
            }
            let before = Returned { fund_line_id: None, post_ids: demand.post_ids.clone() };
            let demand = demand.assign(&named)?;
            // Those of which one is vacant, of a transfer in effect, are free for other work.
            give_back(tx, &demand, before).await?;
            demands::write(tx.conn, &demand).await?;
            demands::bind(tx.conn, id, &ids).await?;
            tell_assigned(tx, &demand);
            Ok(AssignDutyStaffResponse { demand: Some((&demand).into()) })
        })
        .await
    }

    async fn refuse_people(
        &self,
        caller: &Caller,
        request: RefuseDutyStaffRequest,
    ) -> Result<RefuseDutyStaffResponse> {
        let meta = Meta::new("RefuseDutyStaff", &request.request_id, &request)?;
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let reason_code = convert::code("reason_code", &request.reason_code)?;
        let (topology, by) = (self.setup.topology.load(), caller.clone());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            let demand = Self::demand(tx, &by, &NAMING, &topology, id).await?;
            let (demand, returned) = demand.refuse_staff()?;
            give_back(tx, &demand, returned).await?;
            demands::write(tx.conn, &demand).await?;
            let event = StaffUnavailable {
                duty_transfer_id: id.to_string(),
                to_org_id: demand.to_org_id.to_string(),
                reason_code: reason_code.clone(),
            };
            tx.emit(Emit::new(id, demand.version, &event).line(demand.line.as_deref()));
            Ok(RefuseDutyStaffResponse { demand: Some((&demand).into()) })
        })
        .await
    }
}

fn line_code(field: &str, text: &str) -> Result<String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(text.to_owned());
    }
    Err(Error::invalid(field, "must be a code of 1–64 characters a–z, 0–9, '_', '.', '-'"))
}

/// Ids of posts, each once, in the order in which they are locked.
fn post_ids(field: &str, texts: &[String]) -> Result<Vec<Uuid>> {
    if texts.is_empty() || texts.len() > MAX_POSTS {
        return Err(Error::invalid(field, "has 1–1000 posts"));
    }
    let mut ids = Vec::with_capacity(texts.len());
    for (number, text) in texts.iter().enumerate() {
        ids.push(convert::uuid(&format!("{field}[{number}]"), text)?);
    }
    ids.sort_unstable();
    if ids.windows(2).any(|two| two[0] == two[1]) {
        return Err(Error::invalid(field, "names a post twice"));
    }
    Ok(ids)
}

#[tonic::async_trait]
impl DutyResourceService for DutyRpc {
    async fn create_fund_line(
        &self,
        request: Request<CreateFundLineRequest>,
    ) -> RpcResult<CreateFundLineResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.create_line(&caller, request.into_inner()).await?))
    }

    async fn list_fund_lines(
        &self,
        request: Request<ListFundLinesRequest>,
    ) -> RpcResult<ListFundLinesResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let below = page::decode::<Uuid>(&request.page_token)?.unwrap_or(Uuid::max());
        let orgs = reached(&caller, &self.setup.topology.load());
        let mut conn = self.db.conn().await?;
        let mut rows = demands::lines(&mut conn, &orgs, below, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |line| line.id);
        let fund_lines = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListFundLinesResponse { fund_lines, next_page_token }))
    }

    async fn list_duty_demands(
        &self,
        request: Request<ListDutyDemandsRequest>,
    ) -> RpcResult<ListDutyDemandsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let below = page::decode::<Uuid>(&request.page_token)?.unwrap_or(Uuid::max());
        let orgs = reached(&caller, &self.setup.topology.load());
        let mut conn = self.db.conn().await?;
        let mut rows = demands::list(&mut conn, &orgs, below, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |demand| demand.transfer_id);
        let demands = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListDutyDemandsResponse { demands, next_page_token }))
    }

    async fn get_duty_demand(
        &self,
        request: Request<GetDutyDemandRequest>,
    ) -> RpcResult<GetDutyDemandResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.demand_of(&caller, &request.into_inner()).await?))
    }

    async fn allot_funds(&self, request: Request<AllotFundsRequest>) -> RpcResult<AllotFundsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.allot(&caller, request.into_inner()).await?))
    }

    async fn refuse_funds(&self, request: Request<RefuseFundsRequest>) -> RpcResult<RefuseFundsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.refuse_money(&caller, request.into_inner()).await?))
    }

    async fn assign_duty_staff(
        &self,
        request: Request<AssignDutyStaffRequest>,
    ) -> RpcResult<AssignDutyStaffResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        Ok(Response::new(again(|| self.assign(&caller, request.clone())).await?))
    }

    async fn complete_duty_training(
        &self,
        request: Request<CompleteDutyTrainingRequest>,
    ) -> RpcResult<CompleteDutyTrainingResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.trained(&caller, request.into_inner()).await?))
    }

    async fn refuse_duty_training(
        &self,
        request: Request<RefuseDutyTrainingRequest>,
    ) -> RpcResult<RefuseDutyTrainingResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.refuse_courses(&caller, request.into_inner()).await?))
    }

    async fn refuse_duty_staff(
        &self,
        request: Request<RefuseDutyStaffRequest>,
    ) -> RpcResult<RefuseDutyStaffResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.refuse_people(&caller, request.into_inner()).await?))
    }
}
