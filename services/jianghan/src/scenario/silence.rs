//! F2, its second step: nobody at the window says anything within the limit. That counts as accepted, and as late; then the applicant
//! takes it back.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use proto::case_routing::v1::{Application, ApplicationState, Clock, ClockKind, WithdrawApplicationRequest};

use super::{
    application::ALLOWANCE,
    stage::{Look, Person},
    story::{Story, Who, expect},
};
use crate::{simulate::clock::instant, suite::request_id};

impl Person<'_> {
    /// Takes an application back.
    async fn takes_back(&self, application: &Application) -> Result<Application> {
        let message = WithdrawApplicationRequest {
            case_id: application.case_id.clone(),
            request_id: request_id(),
            reason_code: "not_needed".into(),
            ..Default::default()
        };
        self.notes(&application.case_id, "WithdrawApplication", &message.request_id);
        let answer = self.stage.suite.applications().withdraw_application(self.asks(message).await?).await;
        self.heard("WithdrawApplication", answer)?.application.context("an answer without the application")
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let resident = stage.resident(17)?;
    let application = story
        .step(
            &resident,
            "申请低保，窗口一直没有答复",
            "applies for the allowance, and the window does not answer",
            resident.applies_for(ALLOWANCE, "家庭收入低于标准，申请低保。", &resident),
        )
        .await?;
    story.shows_case(
        &application.case_id,
        "逾期未答复：视为受理，记为超时",
        "not answered within the limit: accepted by that, and counted late",
    );
    let accepted = stage.some_morning("the application to be accepted", async |morning: DateTime<Utc>| {
        let now = resident.reads(&application).await?;
        if now.state() == ApplicationState::Accepted {
            return Ok(Look::Seen(now));
        }
        let case = stage.looks_at(&application.case_id).await?;
        let running = case.clocks.iter().find(|clock| clock.kind() == ClockKind::Accept);
        let due = running.and_then(|clock| clock.due_time.as_ref()).and_then(instant);
        Ok(if due.is_some_and(|at| at <= morning) { Look::Due } else { Look::Ahead })
    });
    let accepted = story
        .step(
            Who::Time,
            "受理期限已过，未答复视为受理",
            "the limit to answer passes: that counts as accepted",
            accepted,
        )
        .await?;
    let case = stage.looks_at(&accepted.case_id).await?;
    let late = |clock: &Clock| clock.kind() == ClockKind::Accept && clock.breach_time.is_some();
    expect(case.clocks.iter().any(late), "counted late")?;
    stage.to_work_hours().await?; // the last of these mornings may be one of a rest day
    let gone = story
        .step(&resident, "撤回申请", "takes the application back", resident.takes_back(&accepted))
        .await?;
    expect(gone.state() == ApplicationState::Withdrawn, "withdrawn")
}
