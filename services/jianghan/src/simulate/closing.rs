//! The closing side of a life: verification by a third organisation, call-back, rating, judgement, reopening.

use anyhow::{Context, Result};
use chrono::Duration;
use proto::case_routing::v1::{
    CallbackOutcome, Case, ClockKind, JudgeRatingRequest, OrderReworkRequest, RateCaseRequest,
    RecordCallbackRequest, ReopenCaseRequest, Resolution, VerifyCaseRequest,
};
use rand::RngExt;

use super::{
    clock::instant,
    life::{Life, moved_on},
};
use crate::suite::request_id;

impl Life {
    /// A call-back agent asks, and a verifier who had no part looks.
    pub async fn verify(&mut self, case: &Case) -> Result<()> {
        let delay = self.minutes(60, 1200);
        self.pause(delay).await;
        let n: u64 = self.rng.random();
        let verifier = self.world.actors.role("verifier", n)?.clone();
        let mut verification = self.world.suite.verification();
        if case.rework_count == 0 && self.chance(5) {
            let request = OrderReworkRequest {
                case_id: self.case_id.clone(),
                request_id: request_id(),
                reason_code: "not_fixed".into(),
                ..Default::default()
            };
            return moved_on(verification.order_rework(verifier.request(request).await?).await);
        }
        let partly = self.chance(6);
        let resolution = if partly { Resolution::PartlyResolved } else { Resolution::Resolved };
        if !case.anonymous {
            self.call_back(resolution).await?;
        }
        // What the requester said is stored.
        let request = VerifyCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            method: "photo".into(),
            resolution: resolution.into(),
            reason_code: if partly { "needs_budget".into() } else { String::new() },
            ..Default::default()
        };
        moved_on(verification.verify_case(verifier.request(request).await?).await)
    }

    /// The agents call in turn: the first reaches the requester, or nobody does.
    async fn call_back(&mut self, resolution: Resolution) -> Result<()> {
        let first: u64 = self.rng.random();
        let reached = self.chance(85);
        // As often and as far apart as the limits ask.
        let calls = if reached { 1 } else { 3 };
        for call in 0..calls {
            let agent = self.world.actors.role("callback_agent", first.wrapping_add(call))?.clone();
            let request = if reached {
                RecordCallbackRequest {
                    case_id: self.case_id.clone(),
                    request_id: request_id(),
                    outcome: CallbackOutcome::Reached.into(),
                    resolution: resolution.into(),
                    grade: self.grade(),
                    contact_confirmed: self.chance(95),
                    ..Default::default()
                }
            } else {
                RecordCallbackRequest {
                    case_id: self.case_id.clone(),
                    request_id: request_id(),
                    outcome: CallbackOutcome::Unreached.into(),
                    ..Default::default()
                }
            };
            let request = agent.request(request).await?;
            moved_on(self.world.suite.verification().record_callback(request).await)?;
            let delay = if reached { self.minutes(5, 60) } else { self.minutes(125, 300) };
            self.pause(delay).await;
        }
        Ok(())
    }

    /// 5 very satisfied … 1 very dissatisfied.
    fn grade(&mut self) -> i32 {
        match self.rng.random_range(0..100) {
            0..45 => 5,
            45..75 => 4,
            75..90 => 3,
            90..96 => 2,
            _ => 1,
        }
    }

    /// The resident rates, or lets the window pass; a bad rating is judged.
    pub async fn rate(&mut self, case: &Case) -> Result<()> {
        if let Some(rating) = &case.rating {
            if rating.grade <= 2 && !rating.judged {
                let delay = self.minutes(30, 600);
                self.pause(delay).await;
                let n: u64 = self.rng.random();
                let agent = self.world.actors.role("callback_agent", n)?.clone();
                let valid = case.rework_count == 0 && self.chance(60);
                if !valid {
                    // Nobody's word is put aside unheard.
                    self.call_back(Resolution::Resolved).await?;
                }
                let request = JudgeRatingRequest {
                    case_id: self.case_id.clone(),
                    request_id: request_id(),
                    valid,
                    reason_code: if valid { "complaint_founded" } else { "complaint_unfounded" }.into(),
                    ..Default::default()
                };
                return moved_on(
                    self.world.suite.verification().judge_rating(agent.request(request).await?).await,
                );
            }
            return self.look_again().await; // the service closes it
        }
        if case.anonymous || !self.chance(60) {
            let window = case
                .clocks
                .iter()
                .find(|clock| clock.kind() == ClockKind::RatingWindow && clock.stop_time.is_none());
            let due = window.and_then(|clock| clock.due_time.as_ref()).and_then(instant);
            let due = due.context("a resolved case without a rating window")?;
            // Sweeping is a moment behind domain time; wait in real time for the close.
            self.pause_until(due + Duration::minutes(1)).await;
            self.wait_for("the rating window to close the case", |case| {
                case.state() != proto::case_routing::v1::CaseState::Resolved
            })
            .await?;
            return Ok(());
        }
        let delay = self.minutes(60, 2000);
        self.pause(delay).await;
        let grade = self.grade();
        let request = RateCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            grade,
            ..Default::default()
        };
        let request = self.resident.request(request).await?;
        moved_on(self.world.suite.cases().rate_case(request).await)
    }

    /// The requester comes back with new facts.
    pub async fn reopen(&mut self) -> Result<()> {
        let delay = self.minutes(600, 2880);
        self.pause(delay).await;
        let request = ReopenCaseRequest {
            case_id: self.case_id.clone(),
            request_id: request_id(),
            reason_code: "came_back".into(),
            ..Default::default()
        };
        let request = self.resident.request(request).await?;
        moved_on(self.world.suite.cases().reopen_case(request).await)
    }
}
