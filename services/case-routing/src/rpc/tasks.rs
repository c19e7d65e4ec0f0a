//! `TaskService`: what the organisations that hold tasks do.

use chassis::{
    Error, RpcResult,
    auth::{Caller, CallerKind, Role},
    page,
    proto::case_routing::v1::{self as pb, task_service_server::TaskService},
};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    convert,
    desk::{Aim, Desk},
    intake::verb,
    parse, route,
};
use crate::{
    atlas::World,
    codes,
    domain::{
        self, Act, Case, ClosedCode, CompleteCase, DomainError, EvidenceKind, ObjectTask, OrgId, OrgKind,
        TaskId,
    },
    reach, seed,
    store::list,
    verb::{acting_for, leading},
};

/// The RPCs.
#[derive(Clone)]
pub struct Tasks(pub Desk);

/// Evidence by reference; its kind is what stands before the colon.
fn evidence(texts: &[String]) -> chassis::Result<Vec<(EvidenceKind, String)>> {
    let texts = parse::references("evidence_refs", texts)?;
    let kind = |text: &str| match text.split(':').next() {
        Some("photo") => EvidenceKind::Photo,
        Some("doc" | "document") => EvidenceKind::Document,
        Some("record") => EvidenceKind::ServiceRecord,
        _ => EvidenceKind::WorkReport,
    };
    Ok(texts.into_iter().map(|text| (kind(&text), text)).collect())
}

/// Lets the caller act for the organisation that holds a task. A committee answers for itself: only its own members do.
pub(super) fn for_task<'a>(act: Act<'a>, by: &Caller, case: &Case, task: TaskId) -> domain::Result<Act<'a>> {
    let org = case.task(task)?.org;
    let committee = act.routes.org(org).is_some_and(|org| org.kind == OrgKind::Committee);
    if committee && by.kind == CallerKind::Person && !by.has(Role::CommitteeMember) {
        return Err(DomainError::NotEntitled { code: "committee_member" });
    }
    Ok(acting_for(act, by, Some(org)))
}

/// The objection is about that task.
fn about(case: &Case, task: TaskId) -> domain::Result<()> {
    case.task(task)?;
    match &case.objection {
        Some(objection) if objection.task != task => {
            let message = "the objection is about another task".to_owned();
            Err(DomainError::Invalid { field: "task_id", message })
        }
        _ => Ok(()),
    }
}

/// The caller's own organisations, and those that sit within the caller's grants.
fn orgs_within(world: &World, caller: &Caller) -> Vec<Uuid> {
    let mut orgs = reach::part_orgs(caller);
    let within = world.topology.orgs().filter(|org| {
        let path = world.topology.path(org.unit_id);
        path.is_some_and(|path| reach::covers(caller, &path, org.line.as_deref()))
    });
    orgs.extend(within.map(|org| org.id));
    orgs.sort_unstable();
    orgs.dedup();
    orgs
}

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
                let mut refs = parse::references("evidence_refs", &message.evidence_refs)?;
                let ground_code = parse::code("ground_code", &message.ground_code)?;
                let ground = seed::objection_grounds().get(&ground_code);
                let ground = ground.ok_or_else(|| Error::invalid("ground_code", "is not a listed ground"))?;
                if refs.is_empty() && ground.needs_evidence {
                    return Err(Error::invalid("evidence_refs", "name the basis of the objection").into());
                }
                let suggested: Option<OrgId> =
                    parse::optional_id("suggested_org_id", &message.suggested_org_id)?;
                if suggested.is_none() && ground.needs_suggested_org {
                    return Err(Error::invalid("suggested_org_id", "say who is meant instead").into());
                }
                let task_id = parse::id("task_id", &message.task_id)?;
                let basis_ref =
                    if refs.is_empty() { format!("ground:{ground_code}") } else { refs.swap_remove(0) };
                ObjectTask { task_id, ground_code, basis_ref, suggested }
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
                    "reject" | "arbitrate" => None,
                    "redispatch" => {
                        Some(route::Wish::of(&message.lead_org_id, &[], &message.reason_code, true)?)
                    }
                    _ => {
                        return Err(
                            Error::invalid("decision", "`reject`, `redispatch` or `arbitrate`").into()
                        );
                    }
                };
                let reason = parse::code("reason_code", &message.reason_code)?;
                (message.decision.clone(), wish, reason, task)
            },
            |case, act, _by, decision| {
                about(&case, decision.3)?;
                match &decision.1 {
                    Some(wish) => {
                        let choice = wish.choice(&case, &act);
                        case.redispatch(&choice, &act)
                    }
                    None if decision.0 == "reject" => case.reject_objection(&decision.2, &act),
                    None => case.open_arbitration(&[], &act),
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
                parse::code("basis_code", &message.basis_code)?;
                (parse::id::<OrgId>("lead_org_id", &message.lead_org_id)?, message.precedent, task)
            },
            |case, act, by, ruling| {
                about(&case, ruling.2)?;
                let arbiter = case.objection.as_ref().and_then(|objection| objection.arbiter);
                let act = acting_for(act, by, arbiter);
                case.rule_objection(ruling.0, ruling.1, &act)
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
                if !["phone", "visit", "message"].contains(&message.method.as_str()) {
                    return Err(Error::invalid("method", "`phone`, `visit` or `message`").into());
                }
            },
            |case, act, by, _nothing| {
                let act = acting_for(act, by, case.lead_org);
                case.contact(&act)
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
                parse::optional_time("resume_time", message.resume_time.as_ref())?
            ),
            |case, act, by, pause| {
                let act = leading(act, by, &case);
                case.suspend(&pause.0, pause.1, &act)
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
                parse::code("reason_code", &message.reason_code)?
            ),
            |case, act, by, extension| {
                let act = leading(act, by, &case);
                case.extend(extension.0, &extension.1, &act)
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
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let asked: Option<Uuid> = parse::optional_id("org_id", &request.org_id)?;
        let world = self.0.atlas.world();
        let mut orgs = orgs_within(&world, &caller);
        if let Some(asked) = asked {
            orgs.retain(|org| *org == asked);
        }
        let words = request.states.iter().map(|number| {
            parse::word("states", *number, codes::task_state_from, None).map(|state| state.as_str())
        });
        let states = words.collect::<chassis::Result<Vec<_>>>()?;
        let after = page::decode(&request.page_token)?;
        let mut conn = self.0.db.conn().await?;
        let mut found = list::tasks(&mut conn, &orgs, &states, after, size + 1).await?;
        let next_page_token = page::cut(&mut found, size, |task| (task.due_at, task.task_id));
        let tasks = found.iter().filter_map(|task| convert::listed_task(&task.record, task.task_id, &world));
        Ok(Response::new(pb::ListTasksResponse { tasks: tasks.collect(), next_page_token }))
    }
}
