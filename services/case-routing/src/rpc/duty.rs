//! `DutyService`: a department's duty is proposed, heard, assessed, approved and put in force; an item is admitted; a community
//! sends back what was not. What begins a duty stands in `duty_founding`, what the district found of it in `duty_assessments`,
//! what is sent back in `duty_refusals`.

use chassis::{
    Result, RpcResult, Timestamp,
    auth::Caller,
    command::{Executor, Meta, Target},
    page,
    proto::case_routing::v1::{self as pb, duty_service_server::DutyService},
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{desk::Desk, duty_forms as forms, parse};
use crate::{
    atlas::World,
    domain::{
        self, PersonRef,
        duty::{Admission, Change, DutyTransfer, Opinion, TaskAdmission},
    },
    duty::{AdmissionVerb, Duties, Duty, TransferVerb, missing, within_reach},
    store::duties,
};

/// The RPCs.
#[derive(Clone)]
pub struct DutyRpc {
    pub desk: Desk,
    pub duties: Duties,
}

/// The fields that every verb on a duty has; the rest is parsed in between.
macro_rules! aim {
    ($method:literal, $id:ident, $message:ident) => {{
        let id: Uuid = parse::id(stringify!($id), &$message.$id)?;
        let meta = Meta::new($method, &$message.request_id, &$message)?;
        (meta, id, chassis::update::etag(&$message.etag)?)
    }};
}
pub(super) use aim;

type Aim = (Meta, Uuid, Option<i64>);

impl DutyRpc {
    /// Lets every later decision of this replica follow the lists; the others hear of it in a moment.
    pub(super) async fn changed(&self) {
        if let Err(error) = self.desk.atlas.refresh(&self.desk.db).await {
            tracing::warn!(error = %error.chain(), "the lists are read again later");
        }
    }

    pub(super) async fn on_transfer<R: prost::Message + Default + 'static>(
        &self,
        caller: &Caller,
        (meta, id, etag): Aim,
        run: impl Fn(DutyTransfer, &Caller, Timestamp) -> domain::Result<Change> + Send + Sync + 'static,
        wrap: impl Fn(Option<pb::DutyTransfer>) -> R + Send + 'static,
    ) -> RpcResult<R> {
        let answer = move |duty: &Duty| match duty {
            Duty::Transfer(transfer) => wrap(Some(forms::transfer(transfer))),
            Duty::Admission(_) => wrap(None),
        };
        let verb = TransferVerb { id, etag, run };
        let answer =
            Executor::execute(&self.duties, caller, meta, id, Target::Existing, verb, answer).await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    pub(super) async fn on_admission<R: prost::Message + Default + 'static>(
        &self,
        caller: &Caller,
        (meta, id, etag): Aim,
        run: impl Fn(TaskAdmission, &Caller, Timestamp) -> domain::Result<Admission> + Send + Sync + 'static,
        wrap: impl Fn(Option<pb::TaskAdmission>) -> R + Send + 'static,
    ) -> RpcResult<R> {
        let answer = move |duty: &Duty| match duty {
            Duty::Admission(admission) => wrap(Some(forms::admission(admission))),
            Duty::Transfer(_) => wrap(None),
        };
        let verb = AdmissionVerb { id, etag, run };
        let answer =
            Executor::execute(&self.duties, caller, meta, id, Target::Existing, verb, answer).await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    pub(super) async fn find(&self, caller: &Caller, id: Uuid) -> Result<Duty> {
        let mut conn = self.desk.db.conn().await?;
        let topology = self.desk.atlas.world().topology.clone();
        let found = duties::get(&mut conn, id).await?.filter(|duty| within_reach(duty, caller, &topology));
        found.ok_or_else(|| missing(id))
    }

    async fn list(
        &self,
        caller: &Caller,
        kind: &str,
        state: Option<&str>,
        (page_size, page_token): (i32, &str),
    ) -> Result<(Vec<Duty>, String)> {
        let size = page::size(page_size, 50, 200)?;
        let below: Uuid = page::decode(page_token)?.unwrap_or(Uuid::max());
        let orgs = orgs_within(&self.desk.atlas.world(), caller);
        let mut conn = self.desk.db.conn().await?;
        let mut rows = duties::list(&mut conn, kind, &orgs, state, below, size + 1).await?;
        let next = page::cut(&mut rows, size, Duty::id);
        Ok((rows, next))
    }
}

/// Organisations by which the caller reaches duties.
pub(super) fn orgs_within(world: &World, caller: &Caller) -> Vec<Uuid> {
    let within = world.topology.orgs().filter(|org| {
        let path = world.topology.path(org.unit_id);
        path.is_some_and(|path| caller.reaches(&path, org.line.as_deref()))
    });
    within.map(|org| org.id).collect()
}

fn opinion(by: &Caller, (supports, reason_code): &(bool, String), at: Timestamp) -> Opinion {
    let by = PersonRef(by.actor_ref.clone());
    Opinion { supports: *supports, reason_code: reason_code.clone(), by, at }
}

#[tonic::async_trait]
impl DutyService for DutyRpc {
    async fn propose_duty_transfer(
        &self,
        request: Request<pb::ProposeDutyTransferRequest>,
    ) -> RpcResult<pb::ProposeDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.propose(&caller, request.into_inner()).await?))
    }

    async fn get_duty_transfer(
        &self,
        request: Request<pb::GetDutyTransferRequest>,
    ) -> RpcResult<pb::GetDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let id = parse::id("duty_transfer_id", &request.into_inner().duty_transfer_id)?;
        let Duty::Transfer(found) = self.find(&caller, id).await? else { return Err(missing(id).into()) };
        Ok(Response::new(pb::GetDutyTransferResponse { transfer: Some(forms::transfer(&found)) }))
    }

    async fn list_duty_transfers(
        &self,
        request: Request<pb::ListDutyTransfersRequest>,
    ) -> RpcResult<pb::ListDutyTransfersResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let state = forms::transfer_state("state", m.state)?;
        let (rows, next_page_token) =
            self.list(&caller, "transfer", state, (m.page_size, &m.page_token)).await?;
        let transfers = rows.iter().filter_map(|row| match row {
            Duty::Transfer(transfer) => Some(forms::transfer(transfer)),
            Duty::Admission(_) => None,
        });
        Ok(Response::new(pb::ListDutyTransfersResponse { transfers: transfers.collect(), next_page_token }))
    }

    async fn give_duty_opinion(
        &self,
        request: Request<pb::GiveDutyOpinionRequest>,
    ) -> RpcResult<pb::GiveDutyOpinionResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("GiveDutyOpinion", duty_transfer_id, m);
        let said = (forms::view("view", m.view)?, parse::code("reason_code", &m.reason_code)?);
        let world = self.desk.atlas.world();
        let run = move |duty: DutyTransfer, by: &Caller, now| {
            let who = forms::heard_as(&world, by, duty.to_unit);
            duty.opine(who, opinion(by, &said, now), now)
        };
        self.on_transfer(&caller, aim, run, |transfer| pb::GiveDutyOpinionResponse { transfer }).await
    }

    async fn assess_duty_transfer(
        &self,
        request: Request<pb::AssessDutyTransferRequest>,
    ) -> RpcResult<pb::AssessDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        self.assess_transfer(&caller, request.into_inner()).await
    }

    async fn approve_duty_transfer(
        &self,
        request: Request<pb::ApproveDutyTransferRequest>,
    ) -> RpcResult<pb::ApproveDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("ApproveDutyTransfer", duty_transfer_id, m);
        let run = |duty: DutyTransfer, by: &Caller, now| duty.approve(&forms::signer(by), now);
        self.on_transfer(&caller, aim, run, |transfer| pb::ApproveDutyTransferResponse { transfer }).await
    }

    async fn deny_duty_transfer(
        &self,
        request: Request<pb::DenyDutyTransferRequest>,
    ) -> RpcResult<pb::DenyDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("DenyDutyTransfer", duty_transfer_id, m);
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |duty: DutyTransfer, by: &Caller, now| duty.deny(&forms::signer(by), &reason, now);
        self.on_transfer(&caller, aim, run, |transfer| pb::DenyDutyTransferResponse { transfer }).await
    }

    async fn withdraw_duty_transfer(
        &self,
        request: Request<pb::WithdrawDutyTransferRequest>,
    ) -> RpcResult<pb::WithdrawDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("WithdrawDutyTransfer", duty_transfer_id, m);
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |duty: DutyTransfer, _: &Caller, now| duty.withdraw(&reason, now);
        self.on_transfer(&caller, aim, run, |transfer| pb::WithdrawDutyTransferResponse { transfer }).await
    }

    async fn suspend_duty_transfer(
        &self,
        request: Request<pb::SuspendDutyTransferRequest>,
    ) -> RpcResult<pb::SuspendDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("SuspendDutyTransfer", duty_transfer_id, m);
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |duty: DutyTransfer, _: &Caller, now| duty.suspend(&reason, now);
        self.on_transfer(&caller, aim, run, |transfer| pb::SuspendDutyTransferResponse { transfer }).await
    }

    async fn resume_duty_transfer(
        &self,
        request: Request<pb::ResumeDutyTransferRequest>,
    ) -> RpcResult<pb::ResumeDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("ResumeDutyTransfer", duty_transfer_id, m);
        let run = |duty: DutyTransfer, by: &Caller, now| duty.resume(&forms::signer(by), now);
        self.on_transfer(&caller, aim, run, |transfer| pb::ResumeDutyTransferResponse { transfer }).await
    }

    async fn end_duty_transfer(
        &self,
        request: Request<pb::EndDutyTransferRequest>,
    ) -> RpcResult<pb::EndDutyTransferResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("EndDutyTransfer", duty_transfer_id, m);
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |duty: DutyTransfer, _: &Caller, now| duty.end(&reason, now);
        self.on_transfer(&caller, aim, run, |transfer| pb::EndDutyTransferResponse { transfer }).await
    }

    async fn apply_admission(
        &self,
        request: Request<pb::ApplyAdmissionRequest>,
    ) -> RpcResult<pb::ApplyAdmissionResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.apply(&caller, request.into_inner()).await?))
    }

    async fn get_admission(
        &self,
        request: Request<pb::GetAdmissionRequest>,
    ) -> RpcResult<pb::GetAdmissionResponse> {
        let caller = Caller::of(&request)?;
        let id = parse::id("admission_id", &request.into_inner().admission_id)?;
        let Duty::Admission(found) = self.find(&caller, id).await? else { return Err(missing(id).into()) };
        Ok(Response::new(pb::GetAdmissionResponse { admission: Some(forms::admission(&found)) }))
    }

    async fn list_admissions(
        &self,
        request: Request<pb::ListAdmissionsRequest>,
    ) -> RpcResult<pb::ListAdmissionsResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let state = forms::admission_state("state", m.state)?;
        let (rows, next_page_token) =
            self.list(&caller, "admission", state, (m.page_size, &m.page_token)).await?;
        let admissions = rows.iter().filter_map(|row| match row {
            Duty::Admission(admission) => Some(forms::admission(admission)),
            Duty::Transfer(_) => None,
        });
        Ok(Response::new(pb::ListAdmissionsResponse { admissions: admissions.collect(), next_page_token }))
    }

    async fn give_admission_opinion(
        &self,
        request: Request<pb::GiveAdmissionOpinionRequest>,
    ) -> RpcResult<pb::GiveAdmissionOpinionResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("GiveAdmissionOpinion", admission_id, m);
        let said = (forms::view("view", m.view)?, parse::code("reason_code", &m.reason_code)?);
        let world = self.desk.atlas.world();
        let run = move |duty: TaskAdmission, by: &Caller, now| {
            let who = forms::heard_as(&world, by, duty.to_unit);
            duty.opine(who, opinion(by, &said, now), now)
        };
        self.on_admission(&caller, aim, run, |admission| pb::GiveAdmissionOpinionResponse { admission }).await
    }

    async fn assess_admission(
        &self,
        request: Request<pb::AssessAdmissionRequest>,
    ) -> RpcResult<pb::AssessAdmissionResponse> {
        let caller = Caller::of(&request)?;
        self.assess_application(&caller, request.into_inner()).await
    }

    async fn approve_admission(
        &self,
        request: Request<pb::ApproveAdmissionRequest>,
    ) -> RpcResult<pb::ApproveAdmissionResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("ApproveAdmission", admission_id, m);
        let run = |duty: TaskAdmission, by: &Caller, now| duty.approve(&forms::signer(by), now);
        self.on_admission(&caller, aim, run, |admission| pb::ApproveAdmissionResponse { admission }).await
    }

    async fn deny_admission(
        &self,
        request: Request<pb::DenyAdmissionRequest>,
    ) -> RpcResult<pb::DenyAdmissionResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("DenyAdmission", admission_id, m);
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |duty: TaskAdmission, by: &Caller, now| duty.deny(&forms::signer(by), &reason, now);
        self.on_admission(&caller, aim, run, |admission| pb::DenyAdmissionResponse { admission }).await
    }

    async fn withdraw_admission(
        &self,
        request: Request<pb::WithdrawAdmissionRequest>,
    ) -> RpcResult<pb::WithdrawAdmissionResponse> {
        let caller = Caller::of(&request)?;
        let m = request.into_inner();
        let aim = aim!("WithdrawAdmission", admission_id, m);
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |duty: TaskAdmission, _: &Caller, now| duty.withdraw(&reason, now);
        self.on_admission(&caller, aim, run, |admission| pb::WithdrawAdmissionResponse { admission }).await
    }

    async fn get_duty_arrivals(
        &self,
        request: Request<pb::GetDutyArrivalsRequest>,
    ) -> RpcResult<pb::GetDutyArrivalsResponse> {
        let caller = Caller::of(&request)?;
        let id = parse::id("duty_id", &request.into_inner().duty_id)?;
        let arrivals = Some(self.arrivals_of(&caller, id).await?);
        Ok(Response::new(pb::GetDutyArrivalsResponse { arrivals }))
    }

    async fn list_duty_arrivals(
        &self,
        request: Request<pb::ListDutyArrivalsRequest>,
    ) -> RpcResult<pb::ListDutyArrivalsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list_arrivals(&caller, request.into_inner()).await?))
    }

    async fn refuse_unadmitted(
        &self,
        request: Request<pb::RefuseUnadmittedRequest>,
    ) -> RpcResult<pb::RefuseUnadmittedResponse> {
        let caller = Caller::of(&request)?;
        self.refuse(&caller, request.into_inner()).await
    }

    async fn list_admission_refusals(
        &self,
        request: Request<pb::ListAdmissionRefusalsRequest>,
    ) -> RpcResult<pb::ListAdmissionRefusalsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list_refusals(&caller, request.into_inner()).await?))
    }
}
