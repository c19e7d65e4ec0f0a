//! `VerificationService`: the check by a third organisation, the call-back, and the loop of bad ratings.

use chassis::{
    Error, RpcResult,
    auth::{Caller, Role},
    command::{Commands, once},
    db::Tx,
    page,
    proto::case_routing::v1::{self as pb, verification_service_server::VerificationService},
};
use prost::Message as _;
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    convert,
    desk::{Aim, Desk, told},
    intake::verb,
    parse, parts, supervision,
};
use crate::{
    codes,
    domain::{
        self, Act, CallbackOutcome, CallbackReport, Case, CaseId, CaseState, Decision, DomainError, OrgId,
        Original, SupervisionId, TaskId, VerifyCase, VerifyMethod,
    },
    reach,
    store::{case_store::CaseStore, list::ReachFilter, list_work, read},
    verb::{Verb, acting_for, decides},
};

/// The RPCs.
#[derive(Clone)]
pub struct Verifications(pub Desk);

/// Whoever was asked to verify the case.
fn verifier(case: &Case) -> Option<OrgId> {
    case.verification.as_ref().map(|verification| verification.verifier)
}

/// Lets the caller act for the verifier, if there is one; nobody who belongs to an organisation that handled the case or is
/// complained of does, whatever else they are (C-4).
pub(super) fn independent<'a>(
    act: Act<'a>,
    by: &Caller,
    handlers: &[OrgId],
    verifier: Option<OrgId>,
) -> domain::Result<Act<'a>> {
    if handlers.iter().any(|org| by.held_orgs.contains(&org.0)) {
        return Err(DomainError::NotEntitled { code: "handler" });
    }
    Ok(acting_for(act, by, verifier))
}

/// What the caller looks through by place: as whoever verifies or calls back. Those who only judge see what asks their organisation.
fn by_place(caller: &Caller) -> ReachFilter {
    let looks = |role| matches!(role, Role::Verifier | Role::CallbackAgent);
    let scopes = caller.scopes.iter().filter(|scope| looks(scope.role)).cloned().collect();
    ReachFilter::of(&Caller { scopes, ..caller.clone() })
}

/// Who has to answer a supervision.
fn supervised(case: &Case, id: SupervisionId) -> Option<OrgId> {
    case.supervisions.iter().find(|known| known.id == id).map(|known| case.supervised(known))
}

/// Where nobody was asked, the caller's organisation takes the verification first.
fn verifying(
    case: Case,
    act: &Act<'_>,
    run: impl FnOnce(Case) -> domain::Result<Decision>,
) -> domain::Result<Decision> {
    if case.state != CaseState::Completed {
        return run(case);
    }
    let started = case.start_verification(act)?;
    let then = run(started.case)?;
    let events = started.events.into_iter().chain(then.events).collect();
    let timeline = started.timeline.into_iter().chain(then.timeline).collect();
    Ok(Decision { case: then.case, events, timeline })
}

/// One attempt to call back.
fn attempt(message: &pb::RecordCallbackRequest) -> chassis::Result<CallbackReport> {
    match parse::word("outcome", message.outcome, codes::callback_outcome_from, None)? {
        CallbackOutcome::NotDue => Err(Error::invalid("outcome", "was somebody reached, or not?")),
        CallbackOutcome::Unreached => Ok(CallbackReport::NoAnswer),
        CallbackOutcome::Reached => Ok(CallbackReport::Reached {
            resolution: parse::word("resolution", message.resolution, codes::resolution_from, None)?,
            grade: match message.grade {
                0 => None,
                grade => Some(parse::grade("grade", grade)?),
            },
            contact_confirmed: message.contact_confirmed,
        }),
    }
}

/// The call that was made together with the finding. That nobody answered is told by the attempts that are stored.
fn report(message: &pb::VerifyCaseRequest) -> chassis::Result<Option<CallbackReport>> {
    let outcome = parse::optional_word("callback", message.callback, codes::callback_outcome_from)?;
    Ok(match outcome {
        None | Some(CallbackOutcome::NotDue | CallbackOutcome::Unreached) => None,
        Some(CallbackOutcome::Reached) => Some(CallbackReport::Reached {
            resolution: parse::word(
                "callback_resolution",
                message.callback_resolution,
                codes::resolution_from,
                None,
            )?,
            grade: match message.callback_grade {
                0 => None,
                grade => Some(parse::grade("callback_grade", grade)?),
            },
            contact_confirmed: message.contact_confirmed,
        }),
    })
}

#[tonic::async_trait]
impl VerificationService for Verifications {
    async fn record_callback(
        &self,
        request: Request<pb::RecordCallbackRequest>,
    ) -> RpcResult<pb::RecordCallbackResponse> {
        // What is no id is named below.
        let (caller, id) = (self.0.caller(&request)?, request.get_ref().case_id.parse().map(CaseId).ok());
        let original = match id {
            Some(id) => self.0.original(&caller, id).await?,
            None => None,
        };
        verb!(
            self,
            request,
            "RecordCallback",
            RecordCallbackResponse,
            |message| attempt(&message)?,
            |case, act, by, report| {
                if let Some(original) = original.as_ref().filter(|_| case.merged_into.is_some()) {
                    let act = independent(act, by, &case.handlers_with(original), None)?;
                    return case.call_merged(&report, original, &act);
                }
                let act = independent(act, by, &case.kept_from_checks(), verifier(&case))?;
                verifying(case, &act, |case| case.record_callback(&report, &act))
            }
        )
    }

    async fn verify_case(
        &self,
        request: Request<pb::VerifyCaseRequest>,
    ) -> RpcResult<pb::VerifyCaseResponse> {
        verb!(
            self,
            request,
            "VerifyCase",
            VerifyCaseResponse,
            |message| {
                let method = message.method.parse::<VerifyMethod>();
                let reason = &message.reason_code;
                VerifyCase {
                    method: method.map_err(|_| Error::invalid("method", "`on_site`, `photo` or `phone`"))?,
                    resolution: parse::word("resolution", message.resolution, codes::resolution_from, None)?,
                    partly_reason_code: (!reason.is_empty())
                        .then(|| parse::code("reason_code", reason))
                        .transpose()?,
                    callback: report(&message)?,
                    evidence: parts::evidence(&message.evidence_refs)?,
                }
            },
            |case, act, by, finding| {
                let act = independent(act, by, &case.kept_from_checks(), verifier(&case))?;
                verifying(case, &act, |case| case.verify(&finding, &act))
            }
        )
    }

    async fn order_rework(
        &self,
        request: Request<pb::OrderReworkRequest>,
    ) -> RpcResult<pb::OrderReworkResponse> {
        verb!(
            self,
            request,
            "OrderRework",
            OrderReworkResponse,
            |message| parse::code("reason_code", &message.reason_code)?,
            |case, act, by, reason| {
                let act = independent(act, by, &case.kept_from_checks(), verifier(&case))?;
                case.order_rework(&reason, &act)
            }
        )
    }

    async fn judge_rating(
        &self,
        request: Request<pb::JudgeRatingRequest>,
    ) -> RpcResult<pb::JudgeRatingResponse> {
        // What is no id is named below.
        if let Ok(id) = request.get_ref().case_id.parse().map(CaseId) {
            let caller = self.0.caller(&request)?;
            if let Some(original) = self.0.original(&caller, id).await? {
                let judged = self.judge_joined(&caller, &request.into_inner(), original).await?;
                return Ok(Response::new(judged));
            }
        }
        verb!(
            self,
            request,
            "JudgeRating",
            JudgeRatingResponse,
            |message| {
                if !message.reason_code.is_empty() {
                    parse::code("reason_code", &message.reason_code)?;
                }
                (message.valid, message.reason_code.clone())
            },
            |case, act, by, judged| {
                let act = independent(act, by, &case.kept_from_checks(), None)?;
                case.judge_rating(judged.0, &judged.1, &act)
            }
        )
    }

    async fn answer_supervision(
        &self,
        request: Request<pb::AnswerSupervisionRequest>,
    ) -> RpcResult<pb::AnswerSupervisionResponse> {
        verb!(
            self,
            request,
            "AnswerSupervision",
            AnswerSupervisionResponse,
            |message| (
                parse::id::<SupervisionId>("supervision_id", &message.supervision_id)?,
                parse::code("answer_code", &message.answer_code)?,
                parse::optional_time("promised_time", message.promised_time.as_ref())?
            ),
            |case, act, by, answer| {
                let act = acting_for(act, by, supervised(&case, answer.0));
                case.answer_supervision(answer.0, &answer.1, answer.2, &act)
            }
        )
    }

    async fn supervise_case(
        &self,
        request: Request<pb::SuperviseCaseRequest>,
    ) -> RpcResult<pb::SuperviseCaseResponse> {
        let world = self.0.atlas.world();
        verb!(
            self,
            request,
            "SuperviseCase",
            SuperviseCaseResponse,
            |message| {
                let level = u8::try_from(message.level).ok().filter(|level| *level <= 3);
                let level = level.ok_or_else(|| Error::invalid("level", "between 0 and 3"))?;
                let task: Option<TaskId> = parse::optional_id("task_id", &message.task_id)?;
                (level, parse::code("reason_code", &message.reason_code)?, task)
            },
            |case, act, by, wish| {
                if wish.0 > supervision::highest_level(by, &world, &case) {
                    return Err(DomainError::NotEntitled { code: "supervision_level" });
                }
                case.supervise(wish.0, &wish.1, wish.2, &act)
            }
        )
    }

    async fn acknowledge_supervision(
        &self,
        request: Request<pb::AcknowledgeSupervisionRequest>,
    ) -> RpcResult<pb::AcknowledgeSupervisionResponse> {
        verb!(
            self,
            request,
            "AcknowledgeSupervision",
            AcknowledgeSupervisionResponse,
            |message| parse::id::<SupervisionId>("supervision_id", &message.supervision_id)?,
            |case, act, by, supervision| {
                let act = acting_for(act, by, supervised(&case, supervision));
                case.acknowledge_supervision(supervision, &act)
            }
        )
    }

    async fn escalate_supervision(
        &self,
        request: Request<pb::EscalateSupervisionRequest>,
    ) -> RpcResult<pb::EscalateSupervisionResponse> {
        verb!(
            self,
            request,
            "EscalateSupervision",
            EscalateSupervisionResponse,
            |message| (
                parse::id::<SupervisionId>("supervision_id", &message.supervision_id)?,
                parse::code("reason_code", &message.reason_code)?
            ),
            |case, act, _by, report| case.escalate_supervision(report.0, &report.1, &act)
        )
    }

    async fn clear_supervision(
        &self,
        request: Request<pb::ClearSupervisionRequest>,
    ) -> RpcResult<pb::ClearSupervisionResponse> {
        let world = self.0.atlas.world();
        verb!(
            self,
            request,
            "ClearSupervision",
            ClearSupervisionResponse,
            |message| parse::id::<SupervisionId>("supervision_id", &message.supervision_id)?,
            |case, act, by, id| {
                decides(&case, &act, by)?;
                let highest = supervision::highest_level(by, &world, &case);
                // Who is supervised does not put on another hat for it.
                let act = acting_for(act, by, supervised(&case, id));
                case.clear_supervision(id, highest, &act)
            }
        )
    }

    async fn list_verifications(
        &self,
        request: Request<pb::ListVerificationsRequest>,
    ) -> RpcResult<pb::ListVerificationsResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let after: Option<Uuid> = page::decode(&request.page_token)?;
        let awaits = match (request.ratings, request.callbacks) {
            (false, false) => "verification",
            (true, false) => "judgement",
            (false, true) => "callback",
            (true, true) => return Err(Error::invalid("callbacks", "not together with `ratings`").into()),
        };
        let mut conn = self.0.db.conn().await?;
        let (reach, judges) = (by_place(&caller), reach::part_orgs(&caller));
        let found = list_work::awaiting(&mut conn, awaits, &reach, &judges, after, size + 1).await?;
        let (world, now) = (self.0.atlas.world(), self.0.clock.now());
        let shown = found.iter().map(|record| (record.case.id.0, convert::in_brief(record, &world, now)));
        let mut rows: Vec<(Uuid, pb::Case)> = shown.collect();
        let next_page_token =
            page::cut_fitting(&mut rows, size, |(_, case)| case.encoded_len(), |(id, _)| *id);
        let cases = rows.into_iter().map(|(_, case)| case).collect();
        Ok(Response::new(pb::ListVerificationsResponse { cases, next_page_token }))
    }
}

impl Verifications {
    /// Judges the bad rating of a merged case. What follows from a valid one is for the case that it was merged into: both
    /// change in one commit.
    async fn judge_joined(
        &self,
        caller: &Caller,
        request: &pb::JudgeRatingRequest,
        original: Original,
    ) -> chassis::Result<pb::JudgeRatingResponse> {
        let aim = Aim::new("JudgeRating", request, &request.case_id, &request.request_id, &request.etag)?;
        if !request.reason_code.is_empty() {
            parse::code("reason_code", &request.reason_code)?;
        }
        let world = self.0.atlas.world();
        once(&self.0.db, caller, aim.meta, async |tx: &mut Tx<'_>| {
            let found = read::case(tx.conn, aim.id).await?;
            let found = found.filter(|record| reach::reaches(&record.case, caller));
            let joined = found.ok_or_else(|| Error::not_found("case", aim.id.to_string()))?;
            let (valid, reason, into) = (request.valid, request.reason_code.clone(), original.id);
            let judge = move |case: Case, act: Act<'_>, by: &Caller| {
                let act = independent(act, by, &case.handlers_with(&original), None)?;
                case.judge_merged(valid, &reason, &original, &act)
            };
            let judged = Verb::new(world.clone(), aim.id, aim.etag, judge).within_reach();
            let mut commands: Commands<CaseStore> = vec![(aim.id, Box::new(judged))];
            // Without a rating there is nothing to judge, which the first verb says.
            if let Some(rated_at) = joined.case.rating.as_ref().map(|rating| rating.at).filter(|_| valid) {
                let heed = move |case: Case, act: Act<'_>, by: &Caller| {
                    let act = independent(act, by, &case.kept_from_checks(), None)?;
                    case.heed_joined(rated_at, &act)
                };
                commands.push((into, Box::new(Verb::new(world.clone(), into, None, heed))));
            }
            let records = self.0.executor.apply(tx, caller, commands).await?;
            Ok(pb::JudgeRatingResponse { case: records.first().map(|record| told(record, &world)) })
        })
        .await
    }
}
