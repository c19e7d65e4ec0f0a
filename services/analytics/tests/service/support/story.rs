//! Stories of cases for tests: each verb appends the events that case-routing would send. A story checks no
//! transition; it only keeps versions and the case's standing as case-routing does.

#![allow(dead_code, reason = "every test uses a part of it")]

#[path = "story/mediation.rs"] // this file is a module of others, too
mod mediation;

use chassis::{Timestamp, clock::new_id, clock::to_proto, event::Event};
use chrono::TimeDelta;
use proto::case_routing::v1::*;
use uuid::Uuid;

/// A case in the making.
#[derive(Clone, Debug)]
pub struct Story {
    pub case_id: Uuid,
    pub version: i64,
    pub facts: CaseFacts,
    pub events: Vec<Event>,
    /// What the next dispatch is decided with.
    pub process: String,
    /// In which the next completion's clock is counted.
    pub unit: LimitUnit,
    /// What was worked since it was accepted, or opened again.
    pub worked: Option<(i64, LimitUnit)>,
    /// Told as earlier builds did: of the last clock alone, and of an answer not whether it was in time.
    pub earlier_build: bool,
    /// The last that was issued.
    pub supervision: Uuid,
    /// The task of whoever leads.
    pub lead: Option<Uuid>,
}

/// What verifier and requester say.
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    pub callback: CallbackOutcome,
    pub grade: i32,
    pub resolution: Resolution,
    pub contact_confirmed: bool,
}

impl Verdict {
    /// Reached, resolved, contacted, content.
    pub fn good() -> Self {
        Self {
            callback: CallbackOutcome::Reached,
            grade: 5,
            resolution: Resolution::Resolved,
            contact_confirmed: true,
        }
    }
}

/// An instant, from a local date and hour in Shanghai: `at("2026-11-24", 9)`.
pub fn at(day: &str, hour: i64) -> Timestamp {
    let day: chrono::NaiveDate = day.parse().unwrap();
    calendar::instant(day, chrono::NaiveTime::MIN) + TimeDelta::hours(hour)
}

impl Story {
    pub fn register(at: Timestamp, place: Uuid) -> Self {
        let mut story = Self {
            case_id: new_id(),
            version: 0,
            facts: CaseFacts { place_unit_id: place.to_string(), ..CaseFacts::default() },
            events: Vec::new(),
            process: "catalogue-1.list-1.sla-aa.rules-bb".to_owned(),
            unit: LimitUnit::WorkDay,
            worked: None,
            earlier_build: false,
            supervision: Uuid::nil(),
            lead: None,
        };
        story.facts.registered_time = Some(to_proto(at));
        story.facts.set_state(CaseState::Registered);
        let facts = story.sent();
        story.send(at, |case_id| CaseRegistered { case_id, facts, ..Default::default() });
        story
    }

    pub fn accept(&mut self, at: Timestamp, due: Timestamp, in_time: bool) -> &mut Self {
        self.facts.set_state(CaseState::Accepted);
        self.facts.accepted_time = Some(to_proto(at));
        self.facts.resolve_due_time = Some(to_proto(due));
        let facts = self.sent();
        self.send(at, |case_id| CaseAccepted { case_id, facts, in_time, by_silence: false })
    }

    pub fn decline(&mut self, at: Timestamp) -> &mut Self {
        self.end(CaseState::NotAccepted, ClosedCode::Declined);
        let facts = self.sent();
        self.send(at, |case_id| CaseDeclined { case_id, facts, in_time: true, ..Default::default() })
    }

    pub fn answer(&mut self, at: Timestamp) -> &mut Self {
        self.answer_within(at, true, 3600)
    }

    /// After so long, within the limit of the work or not.
    pub fn answer_within(&mut self, at: Timestamp, done_in_time: bool, elapsed_seconds: i64) -> &mut Self {
        self.facts.set_state(CaseState::Completed);
        self.facts.set_delivery_mode(DeliveryMode::GovDirect);
        self.facts.completed_time = Some(to_proto(at));
        let (facts, earlier_build) = (self.sent(), self.earlier_build);
        let (elapsed_total_seconds, elapsed_total_unit) = self.total(elapsed_seconds);
        self.send(at, |case_id| CaseAnswered {
            case_id,
            facts,
            in_time: true,
            done_in_time: (!earlier_build).then_some(done_in_time),
            elapsed_total_seconds,
            elapsed_total_unit,
            ..Default::default()
        })
    }

    pub fn merge(&mut self, at: Timestamp, into: Uuid) -> &mut Self {
        self.end(CaseState::Merged, ClosedCode::Merged);
        let facts = self.sent();
        self.send(at, |case_id| CaseMerged { case_id, facts, into_case_id: into.to_string(), in_time: true })
    }

    pub fn triage(&mut self, at: Timestamp, item: &str, line: &str) -> &mut Self {
        self.facts.set_state(CaseState::Triaged);
        item.clone_into(&mut self.facts.item_code);
        line.clone_into(&mut self.facts.line);
        let facts = self.sent();
        self.send(at, |case_id| CaseTriaged { case_id, facts, ..Default::default() })
    }

    pub fn move_to(&mut self, at: Timestamp, place: Uuid) -> &mut Self {
        self.facts.place_unit_id = place.to_string();
        let (item, line) = (self.facts.item_code.clone(), self.facts.line.clone());
        self.triage(at, &item, &line)
    }

    /// The unit of the place became another one.
    pub fn follow_place(&mut self, at: Timestamp, place: Uuid) -> &mut Self {
        self.facts.place_unit_id = place.to_string();
        let facts = self.sent();
        self.send(at, |case_id| CasePlaceFollowed { case_id, facts })
    }

    /// Gives the id of the lead's task.
    pub fn dispatch(&mut self, at: Timestamp, mode: DeliveryMode, first: bool, in_time: bool) -> Uuid {
        let task = self.take_lead();
        self.facts.set_state(CaseState::Dispatched);
        self.facts.set_delivery_mode(mode);
        if !first {
            self.facts.lead_change_count += 1;
        }
        let (facts, task_id, process_version) = (self.sent(), task.to_string(), self.process.clone());
        self.send(at, |case_id| CaseDispatched {
            case_id,
            facts,
            task_id,
            first,
            in_time,
            process_version,
            ..Default::default()
        });
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskIssued {
            case_id,
            task_id,
            facts,
            part: TaskPart::Lead.into(),
            sign_due_time: Some(to_proto(at + TimeDelta::hours(4))),
            ..Default::default()
        });
        task
    }

    /// It is called back from its lead.
    pub fn recall(&mut self, at: Timestamp) -> &mut Self {
        self.facts.set_state(CaseState::Triaged);
        self.leave_lead();
        let facts = self.sent();
        self.send(at, |case_id| CaseRecalled { case_id, facts, ..Default::default() })
    }

    /// A street calls a department; gives its task.
    pub fn whistle(&mut self, at: Timestamp) -> Uuid {
        let task = new_id();
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskIssued {
            case_id,
            task_id,
            facts,
            mode: DispatchMode::Whistle.into(),
            ..Default::default()
        });
        task
    }

    /// The department comes.
    pub fn report(&mut self, at: Timestamp, task: Uuid, in_time: bool) -> &mut Self {
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskReported { case_id, task_id, facts, in_time, ..Default::default() })
    }

    /// The street says whether it was solved, the department whether it was needed.
    pub fn appraise(&mut self, at: Timestamp, task: Uuid, by_sender: bool, positive: bool) -> &mut Self {
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskAppraised {
            case_id,
            task_id,
            facts,
            by_sender,
            positive,
            ..Default::default()
        })
    }

    /// A partner's task, which the accepted offer stands for: nobody has to sign.
    pub fn confirm_offer(&mut self, at: Timestamp) -> Uuid {
        let task = self.take_lead();
        self.facts.set_state(CaseState::InProgress);
        self.facts.set_delivery_mode(DeliveryMode::Volunteer);
        let (facts, task_id, part) = (self.sent(), task.to_string(), TaskPart::Lead.into());
        self.send(at, |case_id| TaskIssued { case_id, task_id, facts, part, ..Default::default() });
        task
    }

    pub fn sign(&mut self, at: Timestamp, task: Uuid, in_time: bool) -> &mut Self {
        self.facts.set_state(CaseState::Signed);
        let part = if self.lead == Some(task) { TaskPart::Lead } else { TaskPart::Assist };
        let (facts, task_id, part) = (self.sent(), task.to_string(), part.into());
        self.send(at, |case_id| TaskSigned { case_id, task_id, facts, part, in_time, ..Default::default() })
    }

    pub fn object(&mut self, at: Timestamp, task: Uuid) -> &mut Self {
        self.facts.set_state(CaseState::Objected);
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskObjected { case_id, task_id, facts, ..Default::default() })
    }

    pub fn rule(&mut self, at: Timestamp, task: Uuid, objection_upheld: bool) -> &mut Self {
        self.facts.set_state(CaseState::Dispatched);
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| ArbitrationRuled {
            case_id,
            task_id,
            facts,
            objection_upheld,
            ..Default::default()
        })
    }

    pub fn contact(&mut self, at: Timestamp, in_time: bool) -> &mut Self {
        self.facts.set_state(CaseState::InProgress);
        let facts = self.sent();
        self.send(at, |case_id| CaseContacted { case_id, facts, in_time })
    }

    pub fn remind(&mut self, at: Timestamp, clock: ClockKind, percent: i32) -> &mut Self {
        let facts = self.sent();
        self.send(at, |case_id| ClockWarned {
            case_id,
            facts,
            clock: clock.into(),
            percent,
            ..Default::default()
        })
    }

    pub fn supervise(&mut self, at: Timestamp, level: i32, answered_in_time: Option<bool>) -> &mut Self {
        self.supervision = new_id();
        let (facts, supervision_id) = (self.sent(), self.supervision.to_string());
        self.send(at, |case_id| SupervisionIssued {
            case_id,
            facts,
            supervision_id,
            level,
            ..Default::default()
        });
        match answered_in_time {
            Some(in_time) => self.answer_supervision(at, in_time),
            None => self,
        }
    }

    pub fn answer_supervision(&mut self, at: Timestamp, in_time: bool) -> &mut Self {
        let (facts, supervision_id) = (self.sent(), self.supervision.to_string());
        self.send(at, |case_id| SupervisionAnswered { case_id, facts, supervision_id, in_time })
    }

    pub fn raise(&mut self, at: Timestamp, level: i32) -> &mut Self {
        let (facts, supervision_id) = (self.sent(), self.supervision.to_string());
        self.send(at, |case_id| SupervisionEscalated { case_id, facts, supervision_id, level })
    }

    pub fn suspend(&mut self, at: Timestamp) -> &mut Self {
        self.facts.set_state(CaseState::Suspended);
        self.facts.due_before_pause_time = self.facts.resolve_due_time;
        let facts = self.sent();
        self.send(at, |case_id| CaseSuspended { case_id, facts, ..Default::default() })
    }

    pub fn resume(&mut self, at: Timestamp, due: Timestamp) -> &mut Self {
        self.facts.set_state(CaseState::InProgress);
        self.facts.due_before_pause_time = None;
        self.facts.resolve_due_time = Some(to_proto(due));
        let facts = self.sent();
        self.send(at, |case_id| CaseResumed { case_id, facts })
    }

    pub fn extend(&mut self, at: Timestamp, due: Timestamp) -> &mut Self {
        self.facts.extension_count += 1;
        self.facts.resolve_due_time = Some(to_proto(due));
        let facts = self.sent();
        self.send(at, |case_id| CaseExtended { case_id, facts, ..Default::default() })
    }

    pub fn complete(&mut self, at: Timestamp, task: Uuid, in_time: bool, elapsed_seconds: i64) -> &mut Self {
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskSubmitted { case_id, task_id, facts, in_time, ..Default::default() });
        self.facts.set_state(CaseState::Completed);
        self.facts.completed_time = Some(to_proto(at));
        let (facts, task_id, unit) = (self.sent(), task.to_string(), self.unit);
        let (elapsed_total_seconds, elapsed_total_unit) = self.total(elapsed_seconds);
        self.send(at, |case_id| CaseCompleted {
            case_id,
            facts,
            task_id,
            in_time,
            completed_time: Some(to_proto(at)),
            elapsed_seconds,
            elapsed_unit: unit.into(),
            elapsed_total_seconds,
            elapsed_total_unit,
            callback_due: true,
            ..Default::default()
        })
    }

    pub fn verify(&mut self, at: Timestamp, verdict: Verdict) -> &mut Self {
        self.facts.set_state(CaseState::Verifying);
        let facts = self.sent();
        self.send(at, |case_id| VerificationStarted { case_id, facts, ..Default::default() });
        self.facts.set_state(CaseState::Resolved);
        let facts = self.sent();
        self.send(at, |case_id| CaseVerified {
            case_id,
            facts,
            resolution: verdict.resolution.into(),
            callback: verdict.callback.into(),
            callback_grade: verdict.grade,
            contact_confirmed: verdict.contact_confirmed,
            callback_resolution: verdict.resolution.into(),
            ..Default::default()
        })
    }

    pub fn rework(&mut self, at: Timestamp, task: Uuid, due: Timestamp) -> &mut Self {
        self.facts.set_state(CaseState::InProgress);
        self.facts.rework_count += 1;
        self.facts.completed_time = None;
        self.facts.resolve_due_time = Some(to_proto(due));
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| CaseReworkOrdered { case_id, facts, task_id, ..Default::default() });
        let (facts, task_id) = (self.sent(), task.to_string());
        self.send(at, |case_id| TaskReturned { case_id, task_id, facts, ..Default::default() })
    }

    pub fn rate(&mut self, at: Timestamp, grade: i32, judged: Option<bool>) -> &mut Self {
        let facts = self.sent();
        self.send(at, |case_id| RatingReceived { case_id, facts, grade, ..Default::default() });
        if let Some(valid) = judged {
            let facts = self.sent();
            self.send(at, |case_id| RatingJudged { case_id, facts, grade, valid, ..Default::default() });
        }
        self
    }

    pub fn judge(&mut self, at: Timestamp, grade: i32, valid: bool, callback: CallbackOutcome) -> &mut Self {
        let (facts, callback) = (self.sent(), callback.into());
        self.send(at, |case_id| RatingJudged { case_id, facts, grade, valid, callback })
    }

    /// Of a merged case: the other was worked on again for the bad rating.
    pub fn rectify(&mut self, at: Timestamp, in_time: bool, callback: CallbackOutcome) -> &mut Self {
        let (facts, callback) = (self.sent(), callback.into());
        self.send(at, |case_id| RatingRectified { case_id, facts, in_time, callback })
    }

    pub fn rate_on_behalf(&mut self, at: Timestamp, grade: i32) -> &mut Self {
        let (facts, on_behalf) = (self.sent(), true);
        self.send(at, |case_id| RatingReceived { case_id, facts, grade, on_behalf, ..Default::default() })
    }

    pub fn close(&mut self, at: Timestamp, code: ClosedCode) -> &mut Self {
        self.end(CaseState::Closed, code);
        let facts = self.sent();
        self.send(at, |case_id| CaseClosed {
            case_id,
            facts,
            closed_time: Some(to_proto(at)),
            ..Default::default()
        })
    }

    pub fn reopen(&mut self, at: Timestamp, due: Timestamp) -> &mut Self {
        self.facts.set_state(CaseState::Triaged);
        self.facts.set_closed_code(ClosedCode::Unspecified);
        self.facts.reopen_count += 1;
        self.leave_lead();
        self.worked = None;
        self.facts.completed_time = None;
        self.facts.resolve_due_time = Some(to_proto(due));
        let facts = self.sent();
        self.send(at, |case_id| CaseReopened { case_id, facts, ..Default::default() })
    }

    pub fn withdraw(&mut self, at: Timestamp) -> &mut Self {
        self.end(CaseState::Withdrawn, ClosedCode::Withdrawn);
        let facts = self.sent();
        self.send(at, |case_id| CaseWithdrawn { case_id, facts, ..Default::default() })
    }

    /// A whole life within its limits: registered, dispatched, done after a day, verified, rated, closed.
    pub fn whole(start: Timestamp, place: Uuid, item: &str, line: &str) -> Self {
        let hours = |n| start + TimeDelta::hours(n);
        let mut story = Self::register(start, place);
        story.accept(hours(1), hours(120), true).triage(hours(1), item, line);
        let task = story.dispatch(hours(2), DeliveryMode::GovDirect, true, true);
        story
            .sign(hours(3), task, true)
            .contact(hours(4), true)
            .complete(hours(24), task, true, 23 * 3600)
            .verify(hours(26), Verdict::good())
            .rate(hours(30), 5, None)
            .close(hours(30), ClosedCode::Resolved);
        story
    }

    /// Gives the task of the new lead.
    fn take_lead(&mut self) -> Uuid {
        let task = new_id();
        self.lead = Some(task);
        self.facts.lead_org_id = new_id().to_string();
        task
    }

    fn leave_lead(&mut self) {
        self.lead = None;
        self.facts.lead_org_id.clear();
    }

    fn end(&mut self, state: CaseState, code: ClosedCode) {
        self.facts.set_state(state);
        self.facts.set_closed_code(code);
    }

    /// What is told of all the work, with so much more of it.
    fn total(&mut self, elapsed_seconds: i64) -> (i64, i32) {
        let (before, unit) = self.worked.unwrap_or((0, self.unit));
        let seconds = before + elapsed_seconds;
        self.worked = Some((seconds, unit));
        if self.earlier_build { (0, 0) } else { (seconds, unit.into()) }
    }

    fn sent(&self) -> Option<CaseFacts> {
        Some(self.facts.clone())
    }

    fn send<M: proto::EventMessage>(
        &mut self,
        at: Timestamp,
        message: impl FnOnce(String) -> M,
    ) -> &mut Self {
        self.version += 1;
        let message = message(self.case_id.to_string());
        self.events.push(Event::of("case-routing", at, self.case_id, self.version, &message));
        self
    }
}
