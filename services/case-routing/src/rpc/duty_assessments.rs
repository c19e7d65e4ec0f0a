//! What the district found before a duty goes its way: a transfer, before anybody is asked for what it needs, and an admission.

use chassis::{RpcResult, Timestamp, auth::Caller, command::Meta, proto::case_routing::v1 as pb};
use uuid::Uuid;

use super::{
    duty::{DutyRpc, aim},
    duty_forms as forms, parse,
};
use crate::domain::{
    PersonRef,
    duty::{Assessment, DutyTransfer, TaskAdmission},
};

/// The codes of an assessment, before it is known who says so and when.
struct Codes {
    law: String,
    need: String,
    load: String,
    alternative: String,
}

/// The codes as a request names them.
macro_rules! codes {
    ($message:ident) => {
        Codes {
            law: parse::code("law_code", &$message.law_code)?,
            need: parse::code("need_code", &$message.need_code)?,
            load: parse::code("load_code", &$message.load_code)?,
            alternative: parse::code("alternative_code", &$message.alternative_code)?,
        }
    };
}

impl Codes {
    fn found(&self, by: &Caller, at: Timestamp) -> Assessment {
        Assessment {
            law: self.law.clone(),
            need: self.need.clone(),
            load: self.load.clone(),
            alternative: self.alternative.clone(),
            by: PersonRef(by.actor_ref.clone()),
            at,
        }
    }
}

impl DutyRpc {
    /// Of a transfer: authority, funds, staff and training are asked for from now on.
    pub(super) async fn assess_transfer(
        &self,
        caller: &Caller,
        m: pb::AssessDutyTransferRequest,
    ) -> RpcResult<pb::AssessDutyTransferResponse> {
        let aim = aim!("AssessDutyTransfer", duty_transfer_id, m);
        let codes = codes!(m);
        let run = move |duty: DutyTransfer, by: &Caller, now| {
            duty.assess(&forms::signer(by), codes.found(by, now), now)
        };
        self.on_transfer(caller, aim, run, |transfer| pb::AssessDutyTransferResponse { transfer }).await
    }

    /// Of an admission.
    pub(super) async fn assess_application(
        &self,
        caller: &Caller,
        m: pb::AssessAdmissionRequest,
    ) -> RpcResult<pb::AssessAdmissionResponse> {
        let aim = aim!("AssessAdmission", admission_id, m);
        let codes = codes!(m);
        let run = move |duty: TaskAdmission, by: &Caller, now| {
            duty.assess(&forms::signer(by), codes.found(by, now), now)
        };
        self.on_admission(caller, aim, run, |admission| pb::AssessAdmissionResponse { admission }).await
    }
}
