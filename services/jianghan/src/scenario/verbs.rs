//! What people do, as sentences: `resident.registers(…)`, `leader.signs(&case)`. Each is one command with a fresh
//! `request_id`, noted in the diary of the stage; a refusal is an error that names the person and the RPC.

use anyhow::{Context, Result};
use proto::{
    case_routing::v1::{
        AcceptCaseRequest, AnswerSupervisionRequest, AppraiseWhistleRequest, AssignmentStatus,
        CallbackOutcome, Case, CaseState, Channel, ClearSupervisionRequest, CompleteCaseRequest,
        ContactRequesterRequest, DeclineCaseRequest, DispatchCaseRequest, GetCaseRequest, GetTimelineRequest,
        HandOffCaseRequest, IntakeCaseRequest, JudgeRatingRequest, MergeCaseRequest, ObjectTaskRequest,
        OrderReworkRequest, RateCaseRequest, RecordCallbackRequest, RegisterCaseRequest, ReportInRequest,
        Resolution, ResolveObjectionRequest, RuleObjectionRequest, SignTaskRequest, SubmitTaskRequest,
        SuperviseCaseRequest, TakePositionRequest, TimelineEntry, TriageCaseRequest, Urgency,
        VerifyCaseRequest, WhistleCaseRequest, WithdrawCaseRequest,
    },
    staffing::v1::{AcceptAssignmentRequest, ArriveOnSiteRequest, FinishAssignmentRequest},
    volunteer_matching::v1::{
        AcceptOfferRequest, CompleteOfferRequest, DeclineOfferRequest, GiveUpOfferRequest,
    },
};

use super::stage::{Person, Stage};
use crate::{simulate::lead_task, suite::request_id};

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident($case:ident $(, $arg:ident: $ty:ty)*)
        = $client:ident.$rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// When it is refused.
            pub async fn $name(&self, $case: &Case $(, $arg: $ty)*) -> Result<Case> {
                let message = $request {
                    case_id: $case.case_id.clone(),
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                self.notes(&$case.case_id, $rpc_name, &message.request_id);
                let answer = self.stage.suite.$client().$rpc(self.asks(message).await?).await;
                self.heard($rpc_name, answer)?.case.context("an answer without the case")
            }
        )*}
    };
}

verbs! {
    /// Takes the case in.
    accepts(case) = intake.accept_case("AcceptCase", AcceptCaseRequest {});
    /// Says what it is about and where.
    triages(case, item: &str, agrees_to_society: bool) = intake.triage_case("TriageCase", TriageCaseRequest {
        item_code: item.to_owned(), place_unit_id: case.place_unit_id.clone(), urgency: Urgency::Normal.into(),
        agrees_to_society: agrees_to_society,
    });
    /// Sends the case where the router says.
    dispatches(case) = intake.dispatch_case("DispatchCase", DispatchCaseRequest {});
    /// Hands the case to the line of an emergency.
    hands_off(case, line: &str) = intake.hand_off_case("HandOffCase", HandOffCaseRequest { line_code: line.to_owned() });
    /// Joins the case to the one that it repeats.
    merges(case, into: &str) = intake.merge_case("MergeCase", MergeCaseRequest { into_case_id: into.to_owned() });
    /// Does not take the case in.
    declines_case(case, reason: &str) = intake.decline_case("DeclineCase", DeclineCaseRequest {
        reason_code: reason.to_owned(),
    });
    /// Signs for the lead task.
    signs(case) = tasks.sign_task("SignTask", SignTaskRequest { task_id: lead(case)? });
    /// Signs for a certain task.
    signs_for(case, task_id: &str) = tasks.sign_task("SignTask", SignTaskRequest { task_id: task_id.to_owned() });
    /// Hands in what an assisting organisation found.
    submits(case, task_id: &str) = tasks.submit_task("SubmitTask", SubmitTaskRequest {
        task_id: task_id.to_owned(), evidence_refs: vec!["note:done".into()],
    });
    /// Speaks with the requester.
    contacts(case) = tasks.contact_requester("ContactRequester", ContactRequesterRequest { method: "phone".into() });
    /// Says the work is done.
    completes(case) = tasks.complete_case("CompleteCase", CompleteCaseRequest {
        evidence_refs: vec!["photo:after".into()],
    });
    /// Says the task is not the organisation's but another's.
    objects(case, suggested_org_id: &str) = tasks.object_task("ObjectTask", ObjectTaskRequest {
        task_id: lead(case)?, ground_code: "not_competent".into(), evidence_refs: vec!["doc:duty-list".into()],
        suggested_org_id: suggested_org_id.to_owned(),
    });
    /// Keeps the task where it is.
    rejects_objection(case) = tasks.resolve_objection("ResolveObjection", ResolveObjectionRequest {
        task_id: lead(case)?, decision: "reject".into(), reason_code: "responsibility_list".into(),
    });
    /// Has the superior of the objector and others rule.
    arbitrates(case) = tasks.resolve_objection("ResolveObjection", ResolveObjectionRequest {
        task_id: lead(case)?, decision: "arbitrate".into(), reason_code: "duty_unclear".into(),
    });
    /// Says which of the parties leads.
    takes_position(case, lead_org_id: &str) = tasks.take_position("TakePosition", TakePositionRequest {
        task_id: lead(case)?, lead_org_id: lead_org_id.to_owned(),
    });
    /// Rules who leads; other cases are to follow it from tomorrow on.
    rules(case, lead_org_id: &str) = tasks.rule_objection("RuleObjection", RuleObjectionRequest {
        task_id: lead(case)?, lead_org_id: lead_org_id.to_owned(), basis_code: "responsibility_list".into(),
        precedent: true,
    });
    /// Calls departments to the case.
    whistles(case, org_ids: &[String]) = tasks.whistle_case("WhistleCase", WhistleCaseRequest {
        org_ids: org_ids.to_vec(), reason_code: "joint_work".into(),
    });
    /// Is there.
    reports_in(case, task_id: &str) = tasks.report_in("ReportIn", ReportInRequest { task_id: task_id.to_owned() });
    /// Judges the other side of a whistle.
    appraises(case, task_id: &str, positive: bool) = tasks.appraise_whistle("AppraiseWhistle", AppraiseWhistleRequest {
        task_id: task_id.to_owned(), positive: positive,
    });
    /// Supervises whoever has the case.
    supervises(case, level: i32) = verification.supervise_case("SuperviseCase", SuperviseCaseRequest {
        level: level, reason_code: "leader".into(),
    });
    /// Answers the first supervision.
    answers(case) = verification.answer_supervision("AnswerSupervision", AnswerSupervisionRequest {
        supervision_id: supervision(case)?, answer_code: "under_way".into(),
    });
    /// Is content with the answer.
    clears(case) = verification.clear_supervision("ClearSupervision", ClearSupervisionRequest {
        supervision_id: supervision(case)?,
    });
    /// Finds the matter solved, and the requester content with a grade.
    verifies(case, grade: i32) = verification.verify_case("VerifyCase", VerifyCaseRequest {
        method: "phone".into(), resolution: Resolution::Resolved.into(), callback: CallbackOutcome::Reached.into(),
        callback_grade: grade, contact_confirmed: true,
        callback_resolution: Resolution::Resolved.into(),
    });
    /// Sends the work back.
    orders_rework(case) = verification.order_rework("OrderRework", OrderReworkRequest {
        reason_code: "not_fixed".into(),
    });
    /// Rates the service, 5 very satisfied to 1 very dissatisfied.
    rates(case, grade: i32) = cases.rate_case("RateCase", RateCaseRequest { grade: grade });
    /// Speaks with the requester about a bad rating: it is not solved.
    calls_back(case) = verification.record_callback("RecordCallback", RecordCallbackRequest {
        outcome: CallbackOutcome::Reached.into(), resolution: Resolution::NotResolved.into(), grade: 1,
        contact_confirmed: true,
    });
    /// Judges a bad rating.
    judges(case, valid: bool) = verification.judge_rating("JudgeRating", JudgeRatingRequest {
        valid: valid, reason_code: if valid { "complaint_founded" } else { "complaint_unfounded" }.into(),
    });
    /// Takes the request back.
    withdraws(case) = cases.withdraw_case("WithdrawCase", WithdrawCaseRequest { reason_code: "solved_itself".into() });
}

macro_rules! offer_verbs {
    ($($(#[$doc:meta])* $name:ident = $rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// When it is refused.
            pub async fn $name(&self, case: &Case) -> Result<()> {
                let offer_id = offer(case)?;
                let message = $request {
                    offer_id,
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                self.notes(&case.case_id, $rpc_name, &message.request_id);
                let answer = self.stage.suite.offers().$rpc(self.asks(message).await?).await;
                self.heard($rpc_name, answer).map(drop)
            }
        )*}
    };
}

offer_verbs! {
    /// Says yes to the offer.
    accepts_offer = accept_offer("AcceptOffer", AcceptOfferRequest { volunteer_id: String::new() });
    /// Says no to the offer.
    declines_offer = decline_offer("DeclineOffer", DeclineOfferRequest { reason_code: "no_capacity".into() });
    /// Gives a confirmed offer back.
    gives_up = give_up_offer("GiveUpOffer", GiveUpOfferRequest { reason_code: "unavailable".into() });
    /// Says the help was given.
    helped = complete_offer("CompleteOffer", CompleteOfferRequest {
        minutes: 90, evidence_refs: vec!["photo:after".into()],
    });
}

macro_rules! assignment_verbs {
    ($($(#[$doc:meta])* $name:ident = $rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Person<'_> {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// When it is refused.
            pub async fn $name(&self, case: &Case) -> Result<()> {
                let task = lead_task(case).context("the case has no lead task")?;
                let assignment_id = task.assignment_id.clone();
                let message = $request {
                    assignment_id,
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                self.notes(&case.case_id, $rpc_name, &message.request_id);
                let answer = self.stage.suite.assignments().$rpc(self.asks(message).await?).await;
                self.heard($rpc_name, answer).map(drop)
            }
        )*}
    };
}

assignment_verbs! {
    /// Takes the assignment.
    accepts_assignment = accept_assignment("AcceptAssignment", AcceptAssignmentRequest {});
    /// Is there.
    arrives = arrive_on_site("ArriveOnSite", ArriveOnSiteRequest {});
    /// Is done.
    finishes = finish_assignment("FinishAssignment", FinishAssignmentRequest {
        minutes: 45, evidence_refs: vec!["photo:after".into()],
    });
}

impl Person<'_> {
    /// What a resident sends to register a request at a place.
    pub fn registration(&self, text: &str, place_unit_id: &str) -> RegisterCaseRequest {
        RegisterCaseRequest {
            request_id: request_id(),
            text: text.to_owned(),
            place_unit_id: place_unit_id.to_owned(),
            channel: Channel::App.into(),
            notice_version: "v1".into(),
            urgency: Urgency::Normal.into(),
            ..Default::default()
        }
    }

    /// Registers a request for themselves.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn registers(&self, text: &str, place_unit_id: &str) -> Result<Case> {
        let message = self.registration(text, place_unit_id);
        let id = message.request_id.clone();
        let answer = self.stage.suite.cases().register_case(self.asks(message).await?).await;
        let case = self.heard("RegisterCase", answer)?.case.context("an answer without the case")?;
        self.notes(&case.case_id, "RegisterCase", &id);
        Ok(case)
    }

    /// Registers for a resident at the window and dispatches at once.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn takes_in(
        &self,
        requester: &Person<'_>,
        text: &str,
        item: &str,
        place_unit_id: &str,
    ) -> Result<Case> {
        let message = IntakeCaseRequest {
            request_id: request_id(),
            text: text.to_owned(),
            place_unit_id: place_unit_id.to_owned(),
            channel: Channel::Window.into(),
            item_code: item.to_owned(),
            requester_id: requester.session.account.person_id.clone(),
            notice_version: "v1".into(),
            urgency: Urgency::Normal.into(),
            ..Default::default()
        };
        let id = message.request_id.clone();
        let answer = self.stage.suite.cases().intake_case(self.asks(message).await?).await;
        let case = self.heard("IntakeCase", answer)?.case.context("an answer without the case")?;
        self.notes(&case.case_id, "IntakeCase", &id);
        Ok(case)
    }

    /// The case as they see it themselves.
    ///
    /// # Errors
    /// When it is out of their reach.
    pub async fn reads_case(&self, case: &Case) -> Result<Case> {
        let request = self.asks(GetCaseRequest { case_id: case.case_id.clone() }).await?;
        let answer = self.stage.suite.cases().get_case(request).await;
        self.heard("GetCase", answer)?.case.context("an answer without the case")
    }
}

impl Stage {
    /// The case as the district dispatcher sees it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn looks_at(&self, case_id: &str) -> Result<Case> {
        let dispatcher = self.dispatcher()?;
        let request = dispatcher.asks(GetCaseRequest { case_id: case_id.to_owned() }).await?;
        let answer = self.suite.cases().get_case(request).await;
        dispatcher.heard("GetCase", answer)?.case.context("an answer without the case")
    }

    /// What happened to a case, oldest first, as the district dispatcher sees it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn timeline_of(&self, case: &Case) -> Result<Vec<TimelineEntry>> {
        let dispatcher = self.dispatcher()?;
        let case_id = case.case_id.clone();
        let request = GetTimelineRequest { case_id, page_size: 200, ..Default::default() };
        let answer = self.suite.cases().get_timeline(dispatcher.asks(request).await?).await;
        Ok(dispatcher.heard("GetTimeline", answer)?.entries)
    }

    /// Waits until a case is as described.
    ///
    /// # Errors
    /// When it does not become so in time.
    pub async fn sees(&self, case: &Case, what: &str, done: impl Fn(&Case) -> bool) -> Result<Case> {
        self.until(what, async || {
            let case = self.looks_at(&case.case_id).await?;
            Ok(done(&case).then_some(case))
        })
        .await
    }

    /// Waits until a case is in a state.
    ///
    /// # Errors
    /// See [`sees`](Self::sees).
    pub async fn sees_state(&self, case: &Case, state: CaseState) -> Result<Case> {
        self.sees(case, state.as_str_name(), |case| case.state() == state).await
    }

    /// Waits until the lead task shows how its assignment stands.
    ///
    /// # Errors
    /// See [`sees`](Self::sees).
    pub async fn sees_assignment(&self, case: &Case, status: AssignmentStatus) -> Result<Case> {
        self.sees(case, status.as_str_name(), |case| {
            lead_task(case).is_some_and(|task| task.assignment() == status)
        })
        .await
    }
}

fn lead(case: &Case) -> Result<String> {
    Ok(lead_task(case).context("the case has no lead task")?.task_id.clone())
}

fn supervision(case: &Case) -> Result<String> {
    Ok(case.supervisions.first().context("the case is not supervised")?.supervision_id.clone())
}

fn offer(case: &Case) -> Result<String> {
    Ok(case.offer.as_ref().context("the case has no offer")?.offer_id.clone())
}
