//! The handling side of a life: signing, workers, assists, objections and completion.

use anyhow::{Context, Result};
use chrono::Duration;
use proto::{
    case_routing::v1::{
        AssignmentStatus, Case, CaseState, CompleteCaseRequest, CompleteStageRequest,
        ContactRequesterRequest, DispatchMode, ObjectTaskRequest, ResolveObjectionRequest, ResumeCaseRequest,
        RuleObjectionRequest, SignTaskRequest, SubmitTaskRequest, SuspendCaseRequest, Task, TaskPart,
        TaskState,
    },
    staffing::v1::{
        AcceptAssignmentRequest, ArriveOnSiteRequest, DeclineAssignmentRequest, FinishAssignmentRequest,
    },
};

use super::{
    clock::instant,
    life::{Life, moved_on},
};
use crate::suite::request_id;

impl Life {
    /// The lead signs, late now and then, or objects.
    pub async fn dispatched(&mut self, case: &Case) -> Result<()> {
        let lead = lead_task(case).context("a dispatched case without a lead task")?.clone();
        let delay = if self.chance(4) { self.minutes(24 * 60, 48 * 60) } else { self.minutes(5, 180) };
        self.pause(delay).await;
        if self.read().await?.state() != CaseState::Dispatched {
            return Ok(());
        }
        if self.chance(3)
            && case.objection.as_ref().is_none_or(|objection| objection.task_id != lead.task_id)
            && let Some(boss) = self.world.actors.boss(&lead.org_id).cloned()
        {
            let request = ObjectTaskRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                task_id: lead.task_id,
                ground_code: "duty_unclear".into(),
                evidence_refs: vec!["doc:duty-list".into()],
                ..Default::default()
            };
            return moved_on(self.world.suite.tasks().object_task(boss.request(request).await?).await);
        }
        self.sign(&lead).await
    }

    async fn sign(&mut self, task: &Task) -> Result<()> {
        let leader = self.world.actors.leader(&task.org_id)?.clone();
        let request = SignTaskRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            task_id: task.task_id.clone(),
            ..Default::default()
        };
        moved_on(self.world.suite.tasks().sign_task(leader.request(request).await?).await)
    }

    /// The dispatcher rejects the objection, or the arbiter rules.
    pub async fn objected(&mut self, case: &Case) -> Result<()> {
        let objection = case.objection.clone().context("an objected case without an objection")?;
        let delay = self.minutes(30, 600);
        self.pause(delay).await;
        if objection.state == "in_arbitration" {
            let arbiter = self.world.actors.role("arbiter", 0)?.clone();
            let request = RuleObjectionRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                task_id: objection.task_id,
                lead_org_id: objection.objector_org_id,
                basis_code: "responsibility_list".into(),
                ..Default::default()
            };
            return moved_on(self.world.suite.tasks().rule_objection(arbiter.request(request).await?).await);
        }
        let dispatcher = self.world.actors.role("district_dispatcher", 0)?.clone();
        let decision = if self.chance(40) { "arbitrate" } else { "reject" };
        let request = ResolveObjectionRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            task_id: objection.task_id,
            decision: decision.into(),
            reason_code: "responsibility_list".into(),
            ..Default::default()
        };
        moved_on(self.world.suite.tasks().resolve_objection(dispatcher.request(request).await?).await)
    }

    /// The worker accepts, and the handler calls the requester.
    pub async fn signed(&mut self, case: &Case) -> Result<()> {
        let lead = lead_task(case).context("a signed case without a lead task")?.clone();
        self.worker_accepts(&lead).await?;
        let delay = self.minutes(10, 240);
        self.pause(delay).await;
        let handler = self.world.actors.handler(&lead.org_id)?.clone();
        let request = ContactRequesterRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            method: "phone".into(),
            ..Default::default()
        };
        moved_on(self.world.suite.tasks().contact_requester(handler.request(request).await?).await)
    }

    /// Answers the assignment that staffing offers for a task; several workers may be asked in turn. Who may refuse (a
    /// residents' committee) does the work with its own people: staffing has no part in it.
    async fn worker_accepts(&mut self, task: &Task) -> Result<()> {
        if matches!(task.mode(), DispatchMode::AssistRequest | DispatchMode::Invitation) {
            return Ok(());
        }
        for _ in 0..8 {
            let id = task.task_id.clone();
            let shown = self
                .wait_for("an assignment", |case| {
                    case.state() != CaseState::Signed
                        || case.tasks.iter().any(|task| {
                            // Cancelled: the next worker is about to be asked, or nobody is left.
                            let told = !matches!(
                                task.assignment(),
                                AssignmentStatus::Unspecified | AssignmentStatus::Cancelled
                            );
                            task.task_id == id && told
                        })
                })
                .await?;
            let Some(task) = shown.tasks.iter().find(|shown| shown.task_id == id) else { return Ok(()) };
            if shown.state() != CaseState::Signed || task.assignment() != AssignmentStatus::Offered {
                return Ok(());
            }
            let worker = self.world.actors.worker(&task.worker_ref).cloned();
            let worker = worker.with_context(|| format!("no account of the worker {}", task.worker_ref))?;
            let assignment_id = task.assignment_id.clone();
            let mut assignments = self.world.suite.assignments();
            if self.chance(92) {
                let request = AcceptAssignmentRequest {
                    assignment_id: assignment_id.clone(),
                    request_id: request_id(),
                    ..Default::default()
                };
                moved_on(assignments.accept_assignment(worker.request(request).await?).await)?;
            } else {
                let request = DeclineAssignmentRequest {
                    assignment_id: assignment_id.clone(),
                    request_id: request_id(),
                    reason_code: "elsewhere".into(),
                    ..Default::default()
                };
                moved_on(assignments.decline_assignment(worker.request(request).await?).await)?;
            }
            self.wait_for("the worker's answer on the case", |case| {
                case.tasks.iter().all(|shown| {
                    shown.task_id != id
                        || shown.assignment() != AssignmentStatus::Offered
                        || shown.assignment_id != assignment_id
                })
            })
            .await?;
        }
        Ok(())
    }

    /// The work itself.
    pub async fn in_progress(&mut self, case: &Case) -> Result<()> {
        if let Some(offer) = case.offer.clone().filter(|offer| offer.confirmed)
            && lead_task(case).is_some_and(|task| task.org_id == offer.partner_org_id)
        {
            return self.partner_works(case, &offer.partner_org_id, &offer.offer_id).await;
        }
        let lead = lead_task(case).context("a case in progress without a lead task")?.clone();
        if case.rework_count == 0
            && self.chance(2)
            && let Some(boss) = self.world.actors.boss(&lead.org_id).cloned()
        {
            let request = SuspendCaseRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                cause_code: "expert_review".into(),
                told_ref: "doc:notice-of-suspension".into(),
                ..Default::default()
            };
            return moved_on(self.world.suite.tasks().suspend_case(boss.request(request).await?).await);
        }
        self.worker_works(&lead).await?;
        self.assists(case).await?;
        // Now and then the work runs over its limit.
        let late = self.chance(8);
        let due = case.resolve_due_time.as_ref().and_then(instant);
        if let (true, Some(due)) = (late, due) {
            let over = self.minutes(60, 2880);
            self.pause_until(due + over).await;
        }
        let handler = self.world.actors.handler(&lead.org_id)?.clone();
        for stage in case.stages.iter().filter(|stage| stage.done_time.is_none()) {
            let request = CompleteStageRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                stage_code: stage.stage_code.clone(),
                evidence_refs: vec![format!("photo:{}", stage.stage_code)],
                ..Default::default()
            };
            moved_on(self.world.suite.tasks().complete_stage(handler.request(request).await?).await)?;
            let rest = self.minutes(5, 60);
            self.pause(rest).await;
        }
        let request = CompleteCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            evidence_refs: vec!["photo:after".into()],
            ..Default::default()
        };
        moved_on(self.world.suite.tasks().complete_case(handler.request(request).await?).await)
    }

    /// The assigned worker goes there and finishes, if one was found.
    async fn worker_works(&mut self, task: &Task) -> Result<()> {
        let delay = self.minutes(30, 1200);
        self.pause(delay).await;
        let Some(worker) = self.world.actors.worker(&task.worker_ref).cloned() else { return Ok(()) };
        if task.assignment() != AssignmentStatus::Accepted {
            return Ok(());
        }
        let mut assignments = self.world.suite.assignments();
        let request = ArriveOnSiteRequest {
            assignment_id: task.assignment_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        moved_on(assignments.arrive_on_site(worker.request(request).await?).await)?;
        let minutes = self.minutes(15, 240);
        self.pause(minutes).await;
        let request = FinishAssignmentRequest {
            assignment_id: task.assignment_id.clone(),
            request_id: request_id(),
            minutes: i32::try_from(minutes.num_minutes())?,
            evidence_refs: vec!["photo:after".into()],
            ..Default::default()
        };
        moved_on(assignments.finish_assignment(worker.request(request).await?).await)
    }

    /// Organisations that assist sign and hand in.
    async fn assists(&mut self, case: &Case) -> Result<()> {
        let open = |task: &&Task| {
            task.part() == TaskPart::Assist
                && matches!(
                    task.state(),
                    TaskState::Issued | TaskState::Signed | TaskState::Working | TaskState::Returned
                )
        };
        for task in case.tasks.iter().filter(open) {
            if task.state() == TaskState::Issued {
                self.sign(task).await?;
            }
            let handler = self.world.actors.handler(&task.org_id)?.clone();
            let request = SubmitTaskRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                task_id: task.task_id.clone(),
                evidence_refs: vec!["note:done".into()],
                ..Default::default()
            };
            moved_on(self.world.suite.tasks().submit_task(handler.request(request).await?).await)?;
        }
        Ok(())
    }

    /// A suspension ends by hand or by its date.
    pub async fn suspended(&mut self, case: &Case) -> Result<()> {
        self.pause(Duration::hours(30)).await;
        let lead = lead_task(case).context("a suspended case without a lead task")?;
        let handler = self.world.actors.handler(&lead.org_id)?.clone();
        let request = ResumeCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        moved_on(self.world.suite.tasks().resume_case(handler.request(request).await?).await)
    }
}

/// The live lead task.
pub fn lead_task(case: &Case) -> Option<&Task> {
    case.tasks.iter().find(|task| {
        task.part() == TaskPart::Lead
            && !matches!(task.state(), TaskState::Cancelled | TaskState::Declined | TaskState::Approved)
    })
}
