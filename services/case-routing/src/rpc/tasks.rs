//! `TaskService`: what the organisations that hold tasks do.

use chassis::{
    Error, RpcResult,
    auth::Caller,
    page,
    proto::case_routing::v1::{self as pb, task_service_server::TaskService},
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    arbitration, convert,
    desk::{Aim, Desk},
    intake::verb,
    parse,
    parts::{about, evidence, for_task, orgs_within},
    route,
};
use crate::{
    codes,
    domain::{
        Act, Case, ClosedCode, CompleteCase, ContactMethod, DomainError, ObjectTask, ObjectionState, OrgId,
        TaskId, TaskPart, WhistleCase,
    },
    reach, seed,
    store::list_work,
    verb::{acting_for, acting_for_who_may, leading, sends, suspending, unbiased},
};

/// The RPCs.
#[derive(Clone)]
pub struct Tasks(pub Desk);

#[tonic::async_trait]
impl TaskService for Tasks {
    async fn sign_task(&self, request: Request<pb::SignTaskRequest>) -> RpcResult<pb::SignTaskResponse> {
        verb!(
            self,
            request,
            "SignTask",
            SignTaskResponse,
            |message| parse::id::<TaskId>("task_id", &message.task_id)?,
            |case, act, by, task| {
                let act = for_task(act, by, &case, task)?;
                case.sign(task, &act)
            }
        )
    }

    async fn decline_task(
        &self,
        request: Request<pb::DeclineTaskRequest>,
    ) -> RpcResult<pb::DeclineTaskResponse> {
        verb!(
            self,
            request,
            "DeclineTask",
            DeclineTaskResponse,
            |message| (
                parse::id::<TaskId>("task_id", &message.task_id)?,
                parse::code("reason_code", &message.reason_code)?
            ),
            |case, act, by, refusal| {
                let act = for_task(act, by, &case, refusal.0)?;
                let out_of_scope = refusal.1 == "out_of_contract";
                case.decline_task(refusal.0, &refusal.1, out_of_scope, &act)
            }
        )
    }

    async fn object_task(
        &self,
        request: Request<pb::ObjectTaskRequest>,
    ) -> RpcResult<pb::ObjectTaskResponse> {
        verb!(
            self,
            request,
            "ObjectTask",
            ObjectTaskResponse,
            |message| {
                let mut basis_refs = parse::references("evidence_refs", &message.evidence_refs)?;
                let ground_code = parse::code("ground_code", &message.ground_code)?;
                let ground = seed::objection_grounds().get(&ground_code);
                let ground = ground.ok_or_else(|| Error::invalid("ground_code", "is not a listed ground"))?;
                if basis_refs.is_empty() && ground.needs_evidence {
                    return Err(Error::invalid("evidence_refs", "name the basis of the objection").into());
                }
                let suggested: Option<OrgId> =
                    parse::optional_id("suggested_org_id", &message.suggested_org_id)?;
                if suggested.is_none() && ground.needs_suggested_org {
                    return Err(Error::invalid("suggested_org_id", "say who is meant instead").into());
                }
                let task_id = parse::id("task_id", &message.task_id)?;
                if basis_refs.is_empty() {
                    basis_refs.push(format!("ground:{ground_code}"));
                }
                ObjectTask { task_id, ground_code, basis_refs, suggested }
            },
            |case, act, by, objection| {
                let act = for_task(act, by, &case, objection.task_id)?;
                case.object(objection.clone(), &act)
            }
        )
    }

    async fn resolve_objection(
        &self,
        request: Request<pb::ResolveObjectionRequest>,
    ) -> RpcResult<pb::ResolveObjectionResponse> {
        verb!(
            self,
            request,
            "ResolveObjection",
            ResolveObjectionResponse,
            |message| {
                let task = parse::id::<TaskId>("task_id", &message.task_id)?;
                parse::optional_id::<OrgId>("lead_org_id", &message.lead_org_id)?;
                let wish = match message.decision.as_str() {
                    "reject" | "accept" | "arbitrate" => None,
                    "redispatch" => {
                        Some(route::Wish::of(&message.lead_org_id, &[], &message.reason_code, true)?)
                    }
                    _ => {
                        let known = "`reject`, `accept`, `redispatch` or `arbitrate`";
                        return Err(Error::invalid("decision", known).into());
                    }
                };
                let reason = parse::code("reason_code", &message.reason_code)?;
                let parties: Vec<OrgId> = parse::ids("party_org_ids", &message.party_org_ids)?;
                if message.decision != "arbitrate" && !parties.is_empty() {
                    let error = Error::invalid("party_org_ids", "only an arbitration has parties");
                    return Err(error.into());
                }
                let measure = &message.interim_measure_code;
                let interim = parse::optional_code("interim_measure_code", measure)?;
                if message.decision != "arbitrate" && interim.is_some() {
                    let error = Error::invalid("interim_measure_code", "only an arbitration has one");
                    return Err(error.into());
                }
                (message.decision.clone(), wish, reason, task, parties, interim)
            },
            |case, act, by, decision| {
                if case.task(decision.3)?.part == TaskPart::Assist {
                    let said = (decision.0.as_str(), decision.2.as_str());
                    return arbitration::over_assist(case, act, by, decision.3, said);
                }
                about(&case, decision.3)?;
                if decision.0 == "accept" {
                    let message = "of a lead by `redispatch`: somebody else has to lead".to_owned();
                    return Err(DomainError::Invalid { field: "decision", message });
                }
                let (routes, now) = (act.routes, act.now);
                // Who objected does not put on another hat for it.
                let own = case.objection.as_ref().map(|objection| objection.objector.0);
                let objects = own.is_some_and(|own| by.held_orgs.contains(&own));
                let holds = |org| route::decides_over_objections(by, &case, decision.3, Some(org));
                let may =
                    |org| !objects && holds(org) && case.may_resolve_objection(decision.3, org, routes, now);
                let act = acting_for_who_may(act, by, may);
                // Another role for the organisation is not enough.
                if !act.by.org.is_some_and(holds) {
                    return Err(DomainError::NotEntitled { code: "dispatcher" });
                }
                if decision.1.is_none() && !case.subject_may_resolve(routes, now) {
                    unbiased(&case, by)?;
                }
                match &decision.1 {
                    Some(wish) => {
                        let choice = wish.choice(&case, &act, by);
                        sends(&case, &choice, &act, by)?;
                        case.redispatch(&choice, &act)
                    }
                    None if decision.0 == "reject" => case.reject_objection(&decision.2, &act),
                    None => case.open_arbitration(&decision.4, decision.5.as_deref(), &act),
                }
            }
        )
    }

    async fn rule_objection(
        &self,
        request: Request<pb::RuleObjectionRequest>,
    ) -> RpcResult<pb::RuleObjectionResponse> {
        verb!(
            self,
            request,
            "RuleObjection",
            RuleObjectionResponse,
            |message| {
                let task = parse::id::<TaskId>("task_id", &message.task_id)?;
                (arbitration::ruling(&message, self.0.clock.now())?, task)
            },
            |case, act, by, ruling| {
                about(&case, ruling.1)?;
                let act = arbitration::impartial(act, by, &case)?;
                let in_review =
                    case.objection.as_ref().is_some_and(|known| known.state == ObjectionState::InReview);
                if in_review {
                    case.rule_review(&ruling.0, &act)
                } else {
                    case.rule_objection(&ruling.0, &act)
                }
            }
        )
    }

    async fn take_position(
        &self,
        request: Request<pb::TakePositionRequest>,
    ) -> RpcResult<pb::TakePositionResponse> {
        verb!(
            self,
            request,
            "TakePosition",
            TakePositionResponse,
            |message| {
                let task = parse::id::<TaskId>("task_id", &message.task_id)?;
                (parse::id::<OrgId>("lead_org_id", &message.lead_org_id)?, task)
            },
            |case, act, by, position| {
                about(&case, position.1)?;
                let act = acting_for(act, by, arbitration::party_of(&case, by));
                case.take_position(position.0, &act)
            }
        )
    }

    async fn request_review(
        &self,
        request: Request<pb::RequestReviewRequest>,
    ) -> RpcResult<pb::RequestReviewResponse> {
        verb!(
            self,
            request,
            "RequestReview",
            RequestReviewResponse,
            |message| {
                let ground_code = parse::code("ground_code", &message.ground_code)?;
                let known = seed::objection_grounds().get(&ground_code);
                known.ok_or_else(|| Error::invalid("ground_code", "is not a listed ground"))?;
                (ground_code, parse::id::<TaskId>("task_id", &message.task_id)?)
            },
            |case, act, by, review| {
                about(&case, review.1)?;
                let act = acting_for(act, by, case.lead_org);
                case.request_review(&review.0, &act)
            }
        )
    }

    async fn whistle_case(
        &self,
        request: Request<pb::WhistleCaseRequest>,
    ) -> RpcResult<pb::WhistleCaseResponse> {
        verb!(
            self,
            request,
            "WhistleCase",
            WhistleCaseResponse,
            |message| {
                let orgs: Vec<OrgId> = parse::ids("org_ids", &message.org_ids)?;
                if orgs.is_empty() {
                    return Err(Error::invalid("org_ids", "names at least one department").into());
                }
                let report_within = message.report_within.as_ref();
                WhistleCase {
                    orgs,
                    report_within: report_within
                        .map(|within| parse::limit("report_within", Some(within)))
                        .transpose()?,
                    reason_code: parse::code("reason_code", &message.reason_code)?,
                }
            },
            |case, act, by, call| {
                unbiased(&case, by)?;
                let (routes, now) = (act.routes, act.now);
                let act = acting_for_who_may(act, by, |org| case.may_whistle(org, &call.orgs, routes, now));
                case.whistle(&call, &act)
            }
        )
    }

    async fn report_in(&self, request: Request<pb::ReportInRequest>) -> RpcResult<pb::ReportInResponse> {
        verb!(
            self,
            request,
            "ReportIn",
            ReportInResponse,
            |message| parse::id::<TaskId>("task_id", &message.task_id)?,
            |case, act, by, task| {
                let act = for_task(act, by, &case, task)?;
                case.report_in(task, &act)
            }
        )
    }

    async fn appraise_whistle(
        &self,
        request: Request<pb::AppraiseWhistleRequest>,
    ) -> RpcResult<pb::AppraiseWhistleResponse> {
        verb!(
            self,
            request,
            "AppraiseWhistle",
            AppraiseWhistleResponse,
            |message| (parse::id::<TaskId>("task_id", &message.task_id)?, message.positive),
            |case, act, by, verdict| {
                let task = case.task(verdict.0)?;
                let sides = [task.sender, task.org];
                let own = reach::part_orgs(by).into_iter().map(OrgId).find(|org| sides.contains(org));
                let act = acting_for(act, by, own);
                case.appraise_whistle(verdict.0, verdict.1, &act)
            }
        )
    }

    async fn contact_requester(
        &self,
        request: Request<pb::ContactRequesterRequest>,
    ) -> RpcResult<pb::ContactRequesterResponse> {
        verb!(
            self,
            request,
            "ContactRequester",
            ContactRequesterResponse,
            |message| {
                let method = message.method.parse::<ContactMethod>();
                method.map_err(|_| Error::invalid("method", "`phone`, `visit` or `message`"))?
            },
            |case, act, by, method| {
                let act = acting_for(act, by, case.lead_org);
                case.contact(method, &act)
            }
        )
    }

    async fn submit_task(
        &self,
        request: Request<pb::SubmitTaskRequest>,
    ) -> RpcResult<pb::SubmitTaskResponse> {
        verb!(
            self,
            request,
            "SubmitTask",
            SubmitTaskResponse,
            |message| {
                if message.evidence_refs.is_empty() {
                    return Err(Error::invalid("evidence_refs", "a result comes with evidence").into());
                }
                (parse::id::<TaskId>("task_id", &message.task_id)?, evidence(&message.evidence_refs)?)
            },
            |case, act, by, result| {
                let act = for_task(act, by, &case, result.0)?;
                case.submit_task(result.0, result.1.clone(), &act)
            }
        )
    }

    async fn return_task(
        &self,
        request: Request<pb::ReturnTaskRequest>,
    ) -> RpcResult<pb::ReturnTaskResponse> {
        verb!(
            self,
            request,
            "ReturnTask",
            ReturnTaskResponse,
            |message| (
                parse::id::<TaskId>("task_id", &message.task_id)?,
                parse::code("reason_code", &message.reason_code)?
            ),
            |case, act, by, result| {
                let act = acting_for(act, by, case.lead_org);
                case.return_task(result.0, &result.1, &act)
            }
        )
    }

    async fn suspend_case(
        &self,
        request: Request<pb::SuspendCaseRequest>,
    ) -> RpcResult<pb::SuspendCaseResponse> {
        verb!(
            self,
            request,
            "SuspendCase",
            SuspendCaseResponse,
            |message| (
                parse::code("cause_code", &message.cause_code)?,
                parse::optional_time("resume_time", message.resume_time.as_ref())?,
                parse::reference("told_ref", &message.told_ref)?
            ),
            |case, act, by, pause| {
                let act = suspending(act, by, &case, &pause.0, pause.1);
                case.suspend(&pause.0, &pause.2, pause.1, &act)
            }
        )
    }

    async fn resume_case(
        &self,
        request: Request<pb::ResumeCaseRequest>,
    ) -> RpcResult<pb::ResumeCaseResponse> {
        verb!(self, request, "ResumeCase", ResumeCaseResponse, |_message| (), |case, act, by, _nothing| {
            let act = leading(act, by, &case);
            case.resume(&act)
        })
    }

    async fn extend_case(
        &self,
        request: Request<pb::ExtendCaseRequest>,
    ) -> RpcResult<pb::ExtendCaseResponse> {
        verb!(
            self,
            request,
            "ExtendCase",
            ExtendCaseResponse,
            |message| (
                parse::limit("extension", message.extension.as_ref())?,
                parse::code("reason_code", &message.reason_code)?,
                parse::reference("told_ref", &message.told_ref)?
            ),
            |case, act, by, extension| {
                let approvers = case.extension_approvers(act.routes, act.rules, act.now);
                let own = reach::part_orgs(by).into_iter().map(OrgId).find(|org| approvers.contains(org));
                let act = acting_for(act, by, own);
                case.extend(extension.0, &extension.1, &extension.2, &act)
            }
        )
    }

    async fn complete_stage(
        &self,
        request: Request<pb::CompleteStageRequest>,
    ) -> RpcResult<pb::CompleteStageResponse> {
        verb!(
            self,
            request,
            "CompleteStage",
            CompleteStageResponse,
            |message| (parse::code("stage_code", &message.stage_code)?, evidence(&message.evidence_refs)?),
            |case, act, by, stage| {
                let act = acting_for(act, by, case.lead_org);
                case.complete_stage(&stage.0, stage.1.clone(), &act)
            }
        )
    }

    async fn complete_case(
        &self,
        request: Request<pb::CompleteCaseRequest>,
    ) -> RpcResult<pb::CompleteCaseResponse> {
        verb!(
            self,
            request,
            "CompleteCase",
            CompleteCaseResponse,
            |message| {
                let closed_code = parse::optional_word("outcome", message.outcome, codes::closed_code_from)?;
                let evidence = evidence(&message.evidence_refs)?;
                if evidence.is_empty() && !closed_code.is_some_and(ClosedCode::is_explanation) {
                    return Err(
                        Error::invalid("evidence_refs", "at least one, or an outcome that explains").into()
                    );
                }
                let waived = parse::ids("waived_task_ids", &message.waived_task_ids)?;
                CompleteCase { evidence, closed_code, waived }
            },
            |case, act, by, completion| {
                let act = acting_for(act, by, case.lead_org);
                case.complete(completion.clone(), &act)
            }
        )
    }

    async fn list_tasks(&self, request: Request<pb::ListTasksRequest>) -> RpcResult<pb::ListTasksResponse> {
        let caller = self.0.caller(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let asked: Option<Uuid> = parse::optional_id("org_id", &request.org_id)?;
        let world = self.0.atlas.world();
        let mut orgs = orgs_within(&world, &caller);
        if let Some(asked) = asked {
            orgs.retain(|org| *org == asked);
        }
        let states = parse::states("states", &request.states, codes::task_state_from)?;
        let states: Vec<&str> = states.into_iter().map(|state| state.as_str()).collect();
        let after = page::decode(&request.page_token)?;
        let mut conn = self.0.db.conn().await?;
        let mut found = list_work::tasks(&mut conn, &orgs, &states, after, size + 1).await?;
        let next_page_token = page::cut(&mut found, size, |task| (task.due_at, task.task_id));
        let tasks = found.iter().filter_map(|task| convert::listed_task(&task.record, task.task_id, &world));
        Ok(Response::new(pb::ListTasksResponse { tasks: tasks.collect(), next_page_token }))
    }
}
