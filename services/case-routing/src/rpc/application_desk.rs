//! What the handlers of applications share: the way of a command from a parsed request to the answer, and of an application
//! to a reader.

use chassis::{
    Error, Result, RpcResult,
    auth::Caller,
    clock::new_id,
    command::{Executor, ExecutorConfig, Meta, Target},
    proto::case_routing::v1 as pb,
};
use tonic::Response;

use super::{
    application_convert,
    desk::{Aim, Desk},
    parse,
    register::Entry,
};
use crate::{
    domain::{self, Act, Application, BroughtPapers, Case, CaseId, Filed, Refusal, SubmitApplication},
    filing::{File, Submit},
    reach, seed,
    store::{
        applications::{ApplicationRecord, ApplicationStore},
        benefits, read,
    },
};

/// The RPCs of `ApplicationService`.
#[derive(Clone)]
pub struct Applications {
    pub(super) desk: Desk,
    pub(super) executor: Executor<ApplicationStore>,
    pub(super) store: ApplicationStore,
}

impl Applications {
    /// At this desk.
    pub fn new(desk: Desk, config: ExecutorConfig) -> Self {
        let store = ApplicationStore::new(desk.crypto.clone());
        Self { executor: Executor::new(desk.db.clone(), store.clone(), config), desk, store }
    }

    /// Runs a verb on an application and answers with it.
    pub(super) async fn run<F, R>(
        &self,
        caller: &Caller,
        aim: Aim,
        run: F,
        wrap: impl Fn(Option<pb::Application>) -> R + Send + Sync + 'static,
    ) -> RpcResult<R>
    where
        F: Fn(Application, Case, Act<'_>, &Caller) -> domain::Result<Filed> + Send + Sync + 'static,
        R: prost::Message + Default + 'static,
    {
        let world = self.desk.atlas.world();
        let file = File::new(world, aim.id, aim.etag, run);
        let answer = self.answer(caller, wrap);
        let done = self.executor.execute(caller, aim.meta, aim.id, Target::Existing, file, answer);
        Ok(Response::new(done.await?))
    }

    /// How a command answers this caller.
    fn answer<R>(
        &self,
        caller: &Caller,
        wrap: impl Fn(Option<pb::Application>) -> R + Send + Sync + 'static,
    ) -> impl Fn(&ApplicationRecord) -> R + Send + Sync + 'static {
        let (world, caller) = (self.desk.atlas.world(), caller.clone());
        move |record| {
            let (papers, case) = (&record.application, &record.case.case);
            let (own, at) = (for_applicant(case, &caller), case.updated_at);
            // The papers do not know what has become of a benefit since: it is told by the command that changed it.
            let changed = record.case.pending.benefit.as_ref();
            let benefit = changed.map(|change| application_convert::as_changed(change, at));
            wrap(Some(application_convert::application(papers, case, &world, at, own, benefit)))
        }
    }

    pub(super) async fn submit(
        &self,
        caller: &Caller,
        request: pb::SubmitApplicationRequest,
    ) -> Result<pb::SubmitApplicationResponse> {
        let meta = Meta::new("SubmitApplication", &request.request_id, &request)?;
        let material_refs = parse::references("material_refs", &request.material_refs)?;
        let authorisation_ref = parse::optional_reference("authorisation_ref", &request.authorisation_ref)?;
        if request.item_code.is_empty() {
            return Err(Error::invalid("item_code", "say what is applied for"));
        }
        let entry = Entry::try_from(&pb::RegisterCaseRequest {
            text: request.text,
            place_unit_id: request.place_unit_id,
            channel: request.channel,
            item_code: request.item_code,
            vulnerable: request.vulnerable,
            requester_id: request.requester_id,
            notice_version: request.notice_version,
            urgency: request.urgency,
            ..pb::RegisterCaseRequest::default()
        })?;
        let world = self.desk.atlas.world();
        let (register, sealed_text) = self.desk.entered(&world, caller, entry).await?;
        let id = register.case_id;
        let command = SubmitApplication { register, material_refs, authorisation_ref };
        let submit = Submit { world, seed: new_id(), command, sealed_text };
        let answer = self.answer(caller, |application| pb::SubmitApplicationResponse { application });
        self.executor.execute(caller, meta, id, Target::New, submit, answer).await
    }

    pub(super) async fn get(
        &self,
        caller: &Caller,
        request: &pb::GetApplicationRequest,
    ) -> Result<pb::GetApplicationResponse> {
        let id: CaseId = parse::id("case_id", &request.case_id)?;
        let mut conn = self.desk.db.conn().await?;
        let missing = || Error::not_found("application", id.to_string());
        let found = read::case(&mut conn, id).await?.filter(|record| reach::reaches(&record.case, caller));
        let case = found.map(|record| record.case).filter(|case| case.application.is_some());
        let case = case.ok_or_else(missing)?;
        let papers = self.store.read(&conn, id).await?.ok_or_else(missing)?;
        let lasting = match papers.lasting() {
            Some(benefit) => benefits::get(&mut conn, benefit).await?,
            None => None,
        };
        let (world, now) = (self.desk.atlas.world(), self.desk.clock.now());
        let own = for_applicant(&case, caller);
        let benefit = match &lasting {
            Some((benefit, rechecks)) => {
                // How it ended stands in the papers that began it.
                let began = CaseId(benefit.benefit_id);
                let ending = if benefit.ended_at.is_none() {
                    None
                } else if began == id {
                    papers.ending.clone()
                } else {
                    self.store.read(&conn, began).await?.and_then(|papers| papers.ending)
                };
                let ending = ending.map(|ending| application_convert::ending(&ending, own));
                Some(application_convert::as_it_stands(benefit, rechecks, ending))
            }
            None => None,
        };
        let shown = application_convert::application(&papers, &case, &world, now, own, benefit);
        Ok(pb::GetApplicationResponse { application: Some(shown) })
    }
}

/// Applicants see no objections to their own notice, whatever else they are here.
fn for_applicant(case: &Case, caller: &Caller) -> bool {
    caller.is_self_only() || reach::is_requester(case, caller)
}

/// A refusal as it must be written; its reason is on the list for this kind of refusal.
pub(super) fn refusal(
    kind: &str,
    reason_code: &str,
    [written_reason, reconsideration_body, court]: [&str; 3],
) -> Result<Refusal> {
    let listed = seed::refusal_reasons().get(reason_code);
    if listed.is_none_or(|code| !code.applies_to.iter().any(|what| what == kind)) {
        return Err(Error::invalid("reason_code", "is not on the list of reasons"));
    }
    Ok(Refusal {
        reason_code: reason_code.to_owned(),
        written_reason: parse::words("written_reason", written_reason, 10, 4_000)?,
        reconsideration_body: parse::words("reconsideration_body", reconsideration_body, 2, 100)?,
        court: parse::words("court", court, 2, 100)?,
    })
}

/// References, at least one.
pub(super) fn some_references(field: &str, texts: &[String]) -> Result<Vec<String>> {
    if texts.is_empty() {
        return Err(Error::invalid(field, "has at least one entry"));
    }
    parse::references(field, texts)
}

/// Papers that come later: references of them, the family's authorisation, or both.
pub(super) fn brought(material_refs: &[String], authorisation_ref: &str) -> Result<BroughtPapers> {
    let authorisation_ref = parse::optional_reference("authorisation_ref", authorisation_ref)?;
    let material_refs = match authorisation_ref {
        Some(_) => parse::references("material_refs", material_refs)?,
        None => some_references("material_refs", material_refs)?,
    };
    Ok(BroughtPapers { material_refs, authorisation_ref })
}
