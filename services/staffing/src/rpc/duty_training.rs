//! The courses (培训) that a transfer of a duty asks for, done by those on its posts, or refused.

use chassis::{
    Result,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
    event::Emit,
};
use proto::staffing::v1::{
    CompleteDutyTrainingRequest, CompleteDutyTrainingResponse, RefuseDutyTrainingRequest,
    RefuseDutyTrainingResponse, TrainingCompleted, TrainingRefused,
};

use super::{
    convert,
    duty::{DutyRpc, NAMING},
};
use crate::store::demands;

impl DutyRpc {
    /// They are done, by the record.
    pub(super) async fn trained(
        &self,
        caller: &Caller,
        request: CompleteDutyTrainingRequest,
    ) -> Result<CompleteDutyTrainingResponse> {
        let meta = Meta::new("CompleteDutyTraining", &request.request_id, &request)?;
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let record_ref = convert::reference("record_ref", &request.record_ref)?;
        let (topology, by) = (self.setup.topology.load(), caller.clone());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            let demand = Self::demand(tx, &by, &NAMING, &topology, id).await?;
            let demand = demand.train(&record_ref)?;
            demands::write(tx.conn, &demand).await?;
            let event = TrainingCompleted {
                duty_transfer_id: id.to_string(),
                to_org_id: demand.to_org_id.to_string(),
                training_codes: demand.training_codes.clone(),
                record_ref: demand.training_ref.clone(),
            };
            tx.emit(Emit::new(id, demand.version, &event).line(demand.line.as_deref()));
            Ok(CompleteDutyTrainingResponse { demand: Some((&demand).into()) })
        })
        .await
    }

    /// They are refused, for a reason.
    pub(super) async fn refuse_courses(
        &self,
        caller: &Caller,
        request: RefuseDutyTrainingRequest,
    ) -> Result<RefuseDutyTrainingResponse> {
        let meta = Meta::new("RefuseDutyTraining", &request.request_id, &request)?;
        let id = convert::uuid("duty_transfer_id", &request.duty_transfer_id)?;
        let reason_code = convert::code("reason_code", &request.reason_code)?;
        let (topology, by) = (self.setup.topology.load(), caller.clone());
        once(&self.db, caller, meta, async move |tx: &mut Tx<'_>| {
            let demand = Self::demand(tx, &by, &NAMING, &topology, id).await?;
            let demand = demand.refuse_training()?;
            demands::write(tx.conn, &demand).await?;
            let event = TrainingRefused {
                duty_transfer_id: id.to_string(),
                to_org_id: demand.to_org_id.to_string(),
                reason_code: reason_code.clone(),
            };
            tx.emit(Emit::new(id, demand.version, &event).line(demand.line.as_deref()));
            Ok(RefuseDutyTrainingResponse { demand: Some((&demand).into()) })
        })
        .await
    }
}
