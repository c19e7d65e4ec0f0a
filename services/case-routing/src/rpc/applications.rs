//! `ApplicationService`: from the window to delivery or a written refusal.

use chassis::{
    Error, RpcResult,
    auth::Caller,
    proto::case_routing::v1::{self as pb, application_service_server::ApplicationService},
};
use tonic::{Request, Response};

use super::{
    application_desk::{Applications, brought, refusal, some_references},
    desk::Aim,
    parse,
};
use crate::{
    benefit_events, codes,
    domain::{
        Act, Application, Case, DomainError, InvestigationId, RecordInvestigation, ReviewApplication,
        masked_name,
    },
    filing::impartial,
    verb::{acting_for, suspending, unbiased, withdrawing},
};

fn nobody_applied() -> DomainError {
    DomainError::Guard { code: "no_applicant", message: "nobody applied for it".to_owned() }
}

/// Runs a verb: the common fields, what is parsed from the rest, and the verb itself on papers and case.
macro_rules! file {
    ($self:ident, $request:ident, $method:literal, $response:ident, |$message:ident| $parsed:expr, |$papers:ident, $case:ident, $act:ident, $by:ident, $value:ident| $run:expr) => {{
        let caller = $self.desk.caller(&$request)?;
        let $message = $request.into_inner();
        let aim = Aim::new($method, &$message, &$message.case_id, &$message.request_id, &$message.etag)?;
        let $value = $parsed;
        let run = move |$papers: Application, $case: Case, $act: Act<'_>, $by: &Caller| $run;
        $self.run(&caller, aim, run, |application| pb::$response { application }).await
    }};
}

#[tonic::async_trait]
impl ApplicationService for Applications {
    async fn submit_application(
        &self,
        request: Request<pb::SubmitApplicationRequest>,
    ) -> RpcResult<pb::SubmitApplicationResponse> {
        let caller = self.desk.caller(&request)?;
        Ok(Response::new(self.submit(&caller, request.into_inner()).await?))
    }

    async fn accept_application(
        &self,
        request: Request<pb::AcceptApplicationRequest>,
    ) -> RpcResult<pb::AcceptApplicationResponse> {
        file!(
            self,
            request,
            "AcceptApplication",
            AcceptApplicationResponse,
            |_message| (),
            |papers, case, act, _by, _nothing| papers.accept(case, &act)
        )
    }

    async fn request_application_supplement(
        &self,
        request: Request<pb::RequestApplicationSupplementRequest>,
    ) -> RpcResult<pb::RequestApplicationSupplementResponse> {
        file!(
            self,
            request,
            "RequestApplicationSupplement",
            RequestApplicationSupplementResponse,
            |message| parse::codes("material_codes", &message.material_codes)?,
            |papers, case, act, by, missing| {
                unbiased(&case, by)?;
                papers.request_supplement(missing.clone(), case, &act)
            }
        )
    }

    async fn supplement_application(
        &self,
        request: Request<pb::SupplementApplicationRequest>,
    ) -> RpcResult<pb::SupplementApplicationResponse> {
        file!(
            self,
            request,
            "SupplementApplication",
            SupplementApplicationResponse,
            |message| brought(&message.material_refs, &message.authorisation_ref)?,
            |papers, case, act, _by, brought| papers.supplement(brought.clone(), case, &act)
        )
    }

    async fn decline_application(
        &self,
        request: Request<pb::DeclineApplicationRequest>,
    ) -> RpcResult<pb::DeclineApplicationResponse> {
        file!(
            self,
            request,
            "DeclineApplication",
            DeclineApplicationResponse,
            |message| refusal(
                "not_accepted",
                &message.reason_code,
                [&message.written_reason, &message.reconsideration_body, &message.court]
            )?,
            |papers, case, act, by, refusal| {
                impartial(&case, by)?;
                unbiased(&case, by)?;
                papers.decline(&refusal, case, &act)
            }
        )
    }

    async fn withdraw_application(
        &self,
        request: Request<pb::WithdrawApplicationRequest>,
    ) -> RpcResult<pb::WithdrawApplicationResponse> {
        file!(
            self,
            request,
            "WithdrawApplication",
            WithdrawApplicationResponse,
            |message| {
                let statement = parse::optional_reference("statement_ref", &message.statement_ref)?;
                (parse::code("reason_code", &message.reason_code)?, statement)
            },
            |papers, case, act, by, will| {
                let act = withdrawing(act, by, &case)?;
                papers.withdraw(&will.0, will.1.as_deref(), case, &act)
            }
        )
    }

    async fn start_investigation(
        &self,
        request: Request<pb::StartInvestigationRequest>,
    ) -> RpcResult<pb::StartInvestigationResponse> {
        file!(
            self,
            request,
            "StartInvestigation",
            StartInvestigationResponse,
            |_message| (),
            |papers, case, act, by, _nothing| {
                impartial(&case, by)?;
                let act = acting_for(act, by, case.lead_org);
                papers.start_investigation(case, &act)
            }
        )
    }

    async fn record_investigation(
        &self,
        request: Request<pb::RecordInvestigationRequest>,
    ) -> RpcResult<pb::RecordInvestigationResponse> {
        file!(
            self,
            request,
            "RecordInvestigation",
            RecordInvestigationResponse,
            |message| RecordInvestigation {
                kind: parse::word("kind", message.kind, codes::investigation_kind_from, None)?,
                finding_code: parse::code("finding_code", &message.finding_code)?,
                evidence_refs: some_references("evidence_refs", &message.evidence_refs)?,
                note: parse::words("note", &message.note, 0, 4_000)?,
            },
            |papers, case, act, by, check| {
                impartial(&case, by)?;
                papers.record_investigation(check.clone(), case, &act)
            }
        )
    }

    async fn countersign_investigation(
        &self,
        request: Request<pb::CountersignInvestigationRequest>,
    ) -> RpcResult<pb::CountersignInvestigationResponse> {
        file!(
            self,
            request,
            "CountersignInvestigation",
            CountersignInvestigationResponse,
            |message| parse::id::<InvestigationId>("investigation_id", &message.investigation_id)?,
            |papers, case, act, by, id| {
                impartial(&case, by)?;
                papers.countersign_investigation(id, case, &act)
            }
        )
    }

    async fn review_application(
        &self,
        request: Request<pb::ReviewApplicationRequest>,
    ) -> RpcResult<pb::ReviewApplicationResponse> {
        file!(
            self,
            request,
            "ReviewApplication",
            ReviewApplicationResponse,
            |message| ReviewApplication {
                recommends_grant: message.recommends_grant,
                reason_code: parse::code("reason_code", &message.reason_code)?,
                opinion: parse::words("opinion", &message.opinion, 0, 4_000)?,
            },
            |papers, case, act, by, review| {
                impartial(&case, by)?;
                papers.review(review.clone(), case, &act)
            }
        )
    }

    async fn return_review(
        &self,
        request: Request<pb::ReturnReviewRequest>,
    ) -> RpcResult<pb::ReturnReviewResponse> {
        file!(
            self,
            request,
            "ReturnReview",
            ReturnReviewResponse,
            |message| (
                parse::code("reason_code", &message.reason_code)?,
                parse::words("explanation", &message.explanation, 0, 4_000)?
            ),
            |papers, case, act, by, why| {
                impartial(&case, by)?;
                let act = acting_for(act, by, case.lead_org);
                papers.return_review(&why.0, why.1.clone(), case, &act)
            }
        )
    }

    async fn publish_notice(
        &self,
        request: Request<pb::PublishNoticeRequest>,
    ) -> RpcResult<pb::PublishNoticeResponse> {
        file!(
            self,
            request,
            "PublishNotice",
            PublishNoticeResponse,
            // Only what is masked goes on from here.
            |message| masked_name(&message.applicant_name)
                .map_err(|_| Error::invalid("applicant_name", "must be a name of 2–50 letters"))?,
            |papers, case, act, by, name| {
                impartial(&case, by)?;
                papers.publish_notice(name.clone(), case, &act)
            }
        )
    }

    async fn approve_application(
        &self,
        request: Request<pb::ApproveApplicationRequest>,
    ) -> RpcResult<pb::ApproveApplicationResponse> {
        file!(
            self,
            request,
            "ApproveApplication",
            ApproveApplicationResponse,
            |message| parse::fen("amount_fen", message.amount_fen, 0)?,
            |papers, case, act, by, amount| {
                impartial(&case, by)?;
                let act = acting_for(act, by, case.lead_org);
                papers.approve(amount, case, &act)
            }
        )
    }

    async fn deny_application(
        &self,
        request: Request<pb::DenyApplicationRequest>,
    ) -> RpcResult<pb::DenyApplicationResponse> {
        file!(
            self,
            request,
            "DenyApplication",
            DenyApplicationResponse,
            |message| refusal(
                "denied",
                &message.reason_code,
                [&message.written_reason, &message.reconsideration_body, &message.court]
            )?,
            |papers, case, act, by, refusal| {
                impartial(&case, by)?;
                let act = acting_for(act, by, case.lead_org);
                papers.deny(&refusal, case, &act)
            }
        )
    }

    async fn grant_urgently(
        &self,
        request: Request<pb::GrantUrgentlyRequest>,
    ) -> RpcResult<pb::GrantUrgentlyResponse> {
        file!(
            self,
            request,
            "GrantUrgently",
            GrantUrgentlyResponse,
            |message| (
                parse::fen("amount_fen", message.amount_fen, 1)?,
                parse::code("reason_code", &message.reason_code)?
            ),
            |papers, case, act, by, grant| {
                impartial(&case, by)?;
                let act = acting_for(act, by, case.lead_org);
                papers.grant_urgently(grant.0, &grant.1, case, &act)
            }
        )
    }

    async fn deliver_application(
        &self,
        request: Request<pb::DeliverApplicationRequest>,
    ) -> RpcResult<pb::DeliverApplicationResponse> {
        file!(
            self,
            request,
            "DeliverApplication",
            DeliverApplicationResponse,
            |message| (parse::reference("delivery_ref", &message.delivery_ref)?, self.desk.crypto.clone()),
            |papers, case, act, by, delivery| {
                impartial(&case, by)?;
                let act = acting_for(act, by, case.lead_org);
                let holder = benefit_events::holder(&delivery.1, &case).ok_or_else(nobody_applied)?;
                papers.deliver(&delivery.0, holder, case, &act)
            }
        )
    }

    async fn end_benefit(
        &self,
        request: Request<pb::EndBenefitRequest>,
    ) -> RpcResult<pb::EndBenefitResponse> {
        let caller = self.desk.caller(&request)?;
        Ok(Response::new(self.end_outside(&caller, request.into_inner()).await?))
    }

    async fn submit_papers(
        &self,
        request: Request<pb::SubmitPapersRequest>,
    ) -> RpcResult<pb::SubmitPapersResponse> {
        file!(
            self,
            request,
            "SubmitPapers",
            SubmitPapersResponse,
            |message| brought(&message.material_refs, &message.authorisation_ref)?,
            |papers, case, act, _by, brought| papers.submit_papers(brought.clone(), case, &act)
        )
    }

    async fn pause_application(
        &self,
        request: Request<pb::PauseApplicationRequest>,
    ) -> RpcResult<pb::PauseApplicationResponse> {
        file!(
            self,
            request,
            "PauseApplication",
            PauseApplicationResponse,
            |message| (
                parse::code("cause_code", &message.cause_code)?,
                parse::optional_time("resume_time", message.resume_time.as_ref())?,
                parse::reference("told_ref", &message.told_ref)?
            ),
            |papers, case, act, by, pause| {
                let act = suspending(act, by, &case, &pause.0, pause.1);
                papers.pause((&pause.0, &pause.2), pause.1, case, &act)
            }
        )
    }

    async fn get_application(
        &self,
        request: Request<pb::GetApplicationRequest>,
    ) -> RpcResult<pb::GetApplicationResponse> {
        let caller = self.desk.caller(&request)?;
        Ok(Response::new(self.get(&caller, request.get_ref()).await?))
    }

    async fn list_public_notices(
        &self,
        request: Request<pb::ListPublicNoticesRequest>,
    ) -> RpcResult<pb::ListPublicNoticesResponse> {
        Ok(Response::new(self.notices(request.into_inner()).await?))
    }

    async fn object_to_notice(
        &self,
        request: Request<pb::ObjectToNoticeRequest>,
    ) -> RpcResult<pb::ObjectToNoticeResponse> {
        let caller = self.desk.caller(&request)?;
        Ok(Response::new(self.object(&caller, request.into_inner()).await?))
    }
}
