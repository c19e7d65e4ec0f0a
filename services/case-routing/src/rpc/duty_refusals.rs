//! What a community sends back because it was not admitted, and who reads of it.

use std::sync::Arc;

use chassis::{
    Result, RpcResult,
    auth::{Caller, Role},
    clock::to_proto,
    page,
    proto::case_routing::v1 as pb,
};

use super::{
    desk::Aim,
    duty::{DutyRpc, orgs_within},
    parse,
    parts::for_task,
};
use crate::{
    atlas::World,
    domain::{Act, Case, TaskId},
    reach,
    store::refusals,
};

impl DutyRpc {
    /// Sends a task back.
    pub(super) async fn refuse(
        &self,
        caller: &Caller,
        m: pb::RefuseUnadmittedRequest,
    ) -> RpcResult<pb::RefuseUnadmittedResponse> {
        let aim = Aim::new("RefuseUnadmitted", &m, &m.case_id, &m.request_id, &m.etag)?;
        let task: TaskId = parse::id("task_id", &m.task_id)?;
        let reason = parse::code("reason_code", &m.reason_code)?;
        let run = move |case: Case, act: Act<'_>, by: &Caller| {
            let act = for_task(act, by, &case, task)?;
            case.refuse_unadmitted(task, &reason, &act)
        };
        self.desk.run(caller, aim, run, |case| pb::RefuseUnadmittedResponse { case }).await
    }

    /// A page of refusals, newest first: all of the district to whoever decides there, else those within reach.
    pub(super) async fn list_refusals(
        &self,
        caller: &Caller,
        m: pb::ListAdmissionRefusalsRequest,
    ) -> Result<pb::ListAdmissionRefusalsResponse> {
        let size = page::size(m.page_size, 50, 200)?;
        let below: i64 = page::decode(&m.page_token)?.unwrap_or(i64::MAX);
        let world: Arc<World> = self.desk.atlas.world();
        let district = [Role::DistrictDispatcher, Role::Arbiter].into_iter().any(|role| caller.has(role));
        let orgs = if district && reach::covers(caller, &world.district().unwrap_or_default(), None) {
            None
        } else {
            Some(orgs_within(&world, caller))
        };
        let mut conn = self.desk.db.conn().await?;
        let mut rows = refusals::list(&mut conn, orgs.as_deref(), below, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.seq);
        let refusal = |row: refusals::Refusal| pb::AdmissionRefusal {
            case_id: row.case_id.to_string(),
            task_id: row.task_id.to_string(),
            org_id: row.org_id.to_string(),
            sender_org_id: row.sender_org_id.to_string(),
            item_code: row.item_code,
            reason_code: row.reason_code,
            refused_time: Some(to_proto(row.refused_at)),
        };
        let refusals = rows.into_iter().map(refusal).collect();
        Ok(pb::ListAdmissionRefusalsResponse { refusals, next_page_token })
    }
}
