//! What begins a duty: a transfer proposed by the department that has it, and the admission of an item applied for.

use chassis::{
    Error, Result,
    auth::Caller,
    clock::new_id,
    command::{Executor, Meta, Target},
    proto::case_routing::v1 as pb,
};

use super::{duty::DutyRpc, duty_forms as forms, parse};
use crate::{
    domain::{
        AdmissionId, DutyTransferId, PersonRef,
        duty::{AdmissionState, DutyTransfer, Legs, Opinions, TaskAdmission, TransferState},
    },
    duty::{Begin, Duty},
};

impl DutyRpc {
    /// Proposes a transfer.
    pub(super) async fn propose(
        &self,
        caller: &Caller,
        m: pb::ProposeDutyTransferRequest,
    ) -> Result<pb::ProposeDutyTransferResponse> {
        let meta = Meta::new("ProposeDutyTransfer", &m.request_id, &m)?;
        let orgs = (parse::id("from_org_id", &m.from_org_id)?, parse::id("to_org_id", &m.to_org_id)?);
        let items = forms::items("item_codes", &m.item_codes)?;
        let basis_ref = parse::reference("basis_ref", &m.basis_ref)?;
        let fund_fen = forms::fen("fund_fen", m.fund_fen, 1)?;
        let posts = forms::needs("posts", &m.posts, 1)?;
        let training_codes = parse::some_codes("training_codes", &m.training_codes)?;
        let day = forms::required_day("effective_on", &m.effective_on)?;
        let deadline = parse::optional_time("deadline_time", m.deadline_time.as_ref())?;
        let effective_at = forms::morning(day);
        let deadline = deadline.unwrap_or(effective_at);
        let (world, by, id) = (self.desk.atlas.world(), caller.clone(), new_id());
        let begin = Begin(move |now| {
            forms::ahead("effective_on", day, now)?;
            if deadline <= now || effective_at < deadline {
                return Err(Error::invalid(
                    "deadline_time",
                    "must lie ahead, and not after the first day begins",
                ));
            }
            let named = items.iter().enumerate().map(|(n, code)| (format!("item_codes[{n}]"), code.clone()));
            let two = forms::between(&world, &by, orgs, &named.collect::<Vec<_>>(), now)?;
            Ok(Duty::Transfer(DutyTransfer {
                id: DutyTransferId(id),
                version: 1,
                state: TransferState::Applied,
                from: two.from.id.into(),
                to: two.to.id.into(),
                to_kind: two.to_kind,
                to_code: two.to.code.clone(),
                to_unit: two.to_unit,
                line: two.from.line.clone(),
                items: items.clone(),
                basis_ref: basis_ref.clone(),
                fund_fen,
                posts: posts.clone(),
                training_codes: training_codes.clone(),
                effective_at,
                deadline,
                legs: Legs::default(),
                opinions: Opinions::new(),
                assessment: None,
                proposed_by: PersonRef(by.actor_ref.clone()),
                proposed_at: now,
                approved_by: None,
                approved_at: None,
                reason_code: None,
                updated_at: now,
            }))
        });
        let answer = |duty: &Duty| match duty {
            Duty::Transfer(made) => pb::ProposeDutyTransferResponse { transfer: Some(forms::transfer(made)) },
            Duty::Admission(_) => pb::ProposeDutyTransferResponse::default(),
        };
        Executor::execute(&self.duties, caller, meta, id, Target::New, begin, answer).await
    }

    /// Applies for an admission.
    pub(super) async fn apply(
        &self,
        caller: &Caller,
        m: pb::ApplyAdmissionRequest,
    ) -> Result<pb::ApplyAdmissionResponse> {
        let meta = Meta::new("ApplyAdmission", &m.request_id, &m)?;
        let orgs = (parse::id("from_org_id", &m.from_org_id)?, parse::id("to_org_id", &m.to_org_id)?);
        let item = forms::item("item_code", &m.item_code)?;
        let basis_ref = parse::reference("basis_ref", &m.basis_ref)?;
        let fund_fen = forms::fen("fund_fen", m.fund_fen, 0)?;
        let posts = forms::needs("posts", &m.posts, 0)?;
        for (number, code) in parse::bounded("training_codes", &m.training_codes)?.iter().enumerate() {
            parse::code(&format!("training_codes[{number}]"), code)?;
        }
        let first = forms::required_day("effective_on", &m.effective_on)?;
        let last = forms::required_day("ends_on", &m.ends_on)?;
        let (world, by, id) = (self.desk.atlas.world(), caller.clone(), new_id());
        let begin = Begin(move |now| {
            forms::ahead("effective_on", first, now)?;
            forms::last("ends_on", first, last)?;
            let named = [("item_code".to_owned(), item.clone())];
            let two = forms::between(&world, &by, orgs, &named, now)?;
            Ok(Duty::Admission(TaskAdmission {
                id: AdmissionId(id),
                version: 1,
                state: AdmissionState::Applied,
                from: two.from.id.into(),
                to: two.to.id.into(),
                to_kind: two.to_kind,
                to_code: two.to.code.clone(),
                to_unit: two.to_unit,
                line: two.from.line.clone(),
                item: item.clone(),
                basis_ref: basis_ref.clone(),
                fund_fen,
                posts: posts.clone(),
                training_codes: m.training_codes.clone(),
                valid_from: forms::morning(first),
                valid_to: forms::morning(last),
                opinions: Opinions::new(),
                assessment: None,
                applied_by: PersonRef(by.actor_ref.clone()),
                applied_at: now,
                approved_by: None,
                approved_at: None,
                reason_code: None,
                updated_at: now,
            }))
        });
        let answer = |duty: &Duty| match duty {
            Duty::Admission(made) => pb::ApplyAdmissionResponse { admission: Some(forms::admission(made)) },
            Duty::Transfer(_) => pb::ApplyAdmissionResponse::default(),
        };
        Executor::execute(&self.duties, caller, meta, id, Target::New, begin, answer).await
    }
}
