//! The handling side of a life: partners' offers, signing, workers, assists, objections and completion.

use anyhow::{Context, Result, bail};
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
    volunteer_matching::v1::{
        AcceptOfferRequest, CompleteOfferRequest, DeclineOfferRequest, GetOfferRequest, GiveUpOfferRequest,
        ListVolunteersRequest, Offer, OfferState, Volunteer, VolunteerState,
    },
};
use tonic::Code;

use super::{
    clock::instant,
    life::{Life, moved_on},
};
use crate::suite::{Session, request_id};

impl Life {
    /// Waits until volunteer-matching has the offer in a state; nothing if the offer is no longer open there.
    pub async fn offer_arrived(
        &mut self,
        partner: &Session,
        offer_id: &str,
        wanted: OfferState,
    ) -> Result<Option<Offer>> {
        let deadline = std::time::Instant::now() + self.world.patience;
        loop {
            let request = partner.request(GetOfferRequest { offer_id: offer_id.to_owned() }).await?;
            match self.world.suite.offers().get_offer(request).await {
                Ok(answer) => {
                    let offer = answer.into_inner().offer.context("GetOffer answered without an offer")?;
                    let state = offer.state();
                    if state == wanted {
                        return Ok(Some(offer));
                    }
                    if !matches!(state, OfferState::Offered | OfferState::Accepted) {
                        return Ok(None);
                    }
                }
                Err(status) if status.code() == Code::NotFound => {}
                Err(status) => return Err(status.into()),
            }
            if self.read().await?.offer.is_none_or(|offer| offer.offer_id != offer_id) {
                return Ok(None);
            }
            if std::time::Instant::now() > deadline {
                bail!("offer {offer_id} did not reach {} in volunteer-matching", wanted.as_str_name());
            }
            self.look_again().await?;
        }
    }

    /// The partner's volunteers, as the partner sees them.
    async fn volunteers(&self, partner: &Session, org_id: &str) -> Result<Vec<Volunteer>> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListVolunteersRequest { org_id: org_id.to_owned(), page_size: 200, page_token };
            let page = self.world.suite.volunteers().list_volunteers(partner.request(request).await?).await?;
            let page = page.into_inner();
            all.extend(page.volunteers);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Accepts in the name of a volunteer who can sign in, and waits until case-routing has confirmed or moved on.
    pub async fn accept_offer(&mut self, partner: &Session, offer: &Offer) -> Result<()> {
        let volunteers = self.volunteers(partner, &offer.org_id).await?;
        let acts = |actor_ref: &str| self.world.actors.worker(actor_ref).is_some();
        let request = AcceptOfferRequest {
            offer_id: offer.offer_id.clone(),
            request_id: request_id(),
            // Nobody of them: the organisation answers for itself, as a group or an enterprise does.
            volunteer_id: best_known(offer, &volunteers, acts).unwrap_or_default(),
        };
        moved_on(self.world.suite.offers().accept_offer(partner.request(request).await?).await)?;
        let offer_id = offer.offer_id.clone();
        self.wait_for("the offer's confirmation", |case| {
            case.state() != CaseState::OfferedToSociety
                || case.offer.as_ref().is_none_or(|offer| offer.offer_id != offer_id || offer.confirmed)
        })
        .await?;
        Ok(())
    }

    /// Declines, and waits until the case went on.
    pub async fn decline_offer(&mut self, partner: &Session, offer_id: &str) -> Result<()> {
        let request = DeclineOfferRequest {
            offer_id: offer_id.to_owned(),
            request_id: request_id(),
            reason_code: "no_capacity".into(),
        };
        moved_on(self.world.suite.offers().decline_offer(partner.request(request).await?).await)?;
        let offer_id = offer_id.to_owned();
        self.wait_for("the next step after a decline", |case| {
            case.state() != CaseState::OfferedToSociety
                || case.offer.as_ref().is_none_or(|offer| offer.offer_id != offer_id)
        })
        .await?;
        Ok(())
    }

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
                };
                moved_on(assignments.accept_assignment(worker.request(request).await?).await)?;
            } else {
                let request = DeclineAssignmentRequest {
                    assignment_id: assignment_id.clone(),
                    request_id: request_id(),
                    reason_code: "elsewhere".into(),
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
        let request =
            ArriveOnSiteRequest { assignment_id: task.assignment_id.clone(), request_id: request_id() };
        moved_on(assignments.arrive_on_site(worker.request(request).await?).await)?;
        let minutes = self.minutes(15, 240);
        self.pause(minutes).await;
        let request = FinishAssignmentRequest {
            assignment_id: task.assignment_id.clone(),
            request_id: request_id(),
            minutes: i32::try_from(minutes.num_minutes())?,
            evidence_refs: vec!["photo:after".into()],
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

    /// A partner does the work, or gives it back.
    async fn partner_works(&mut self, case: &Case, org_id: &str, offer_id: &str) -> Result<()> {
        let partner = self.world.actors.leader(org_id)?.clone();
        let Some(offer) = self.offer_arrived(&partner, offer_id, OfferState::Confirmed).await? else {
            // A rework asks the same partner again; volunteer-matching reopens the offer when it learns of it.
            return self.look_again().await;
        };
        let minutes = self.minutes(60, 1200);
        self.pause(minutes).await;
        let mut offers = self.world.suite.offers();
        let result = if case.rework_count == 0 && self.chance(8) {
            let request = GiveUpOfferRequest {
                offer_id: offer_id.to_owned(),
                request_id: request_id(),
                reason_code: "unavailable".into(),
            };
            offers.give_up_offer(partner.request(request).await?).await.map(drop)
        } else {
            let request = CompleteOfferRequest {
                offer_id: offer_id.to_owned(),
                request_id: request_id(),
                minutes: i32::try_from(minutes.num_minutes().min(480))?,
                evidence_refs: vec!["photo:after".into()],
            };
            // Whoever did the work says so; without a volunteer it was the organisation.
            let volunteers = self.volunteers(&partner, org_id).await?;
            let named = volunteers.iter().find(|volunteer| volunteer.volunteer_id == offer.volunteer_id);
            let doer = named.and_then(|volunteer| self.world.actors.worker(&volunteer.volunteer_ref));
            let doer = doer.unwrap_or(&partner);
            offers.complete_offer(doer.request(request).await?).await.map(drop)
        };
        moved_on(result)?;
        self.wait_for("the partner's word to arrive", |case| case.state() != CaseState::InProgress).await?;
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

/// The best ranked active volunteer of an offer who can act, else any active one.
fn best_known(offer: &Offer, volunteers: &[Volunteer], acts: impl Fn(&str) -> bool) -> Option<String> {
    let able = |volunteer: &&Volunteer| {
        volunteer.state() == VolunteerState::Active && acts(&volunteer.volunteer_ref)
    };
    let of = |id: &str| volunteers.iter().filter(able).find(|volunteer| volunteer.volunteer_id == id);
    let ranked = offer.candidates.iter().find_map(|candidate| of(&candidate.volunteer_id));
    let named = ranked.or_else(|| volunteers.iter().find(able));
    named.map(|volunteer| volunteer.volunteer_id.clone())
}

#[cfg(test)]
mod tests {
    use proto::volunteer_matching::v1::OfferCandidate;

    use super::*;

    #[test]
    fn the_best_ranked_volunteer_who_can_sign_in_is_named() {
        let volunteer = |n: u32, state: VolunteerState| Volunteer {
            volunteer_id: format!("v{n}"),
            volunteer_ref: format!("p{n}"),
            state: state.into(),
            ..Volunteer::default()
        };
        let ranked = |ids: &[&str]| Offer {
            candidates: ids
                .iter()
                .map(|id| OfferCandidate { volunteer_id: (*id).to_owned(), ..OfferCandidate::default() })
                .collect(),
            ..Offer::default()
        };
        let (active, paused) = (VolunteerState::Active, VolunteerState::Paused);
        let volunteers =
            [volunteer(1, active), volunteer(2, active), volunteer(3, paused), volunteer(4, active)];
        let known = |actor_ref: &str| actor_ref != "p1";
        let named = |ids: &[&str]| best_known(&ranked(ids), &volunteers, known);
        assert_eq!(
            named(&["v1", "v3", "v4", "v2"]).as_deref(),
            Some("v4"),
            "no account, on a break, best of the rest"
        );
        assert_eq!(named(&[]).as_deref(), Some("v2"), "nobody was ranked");
        assert_eq!(best_known(&ranked(&["v1"]), &volunteers, |_| false), None);
    }
}
