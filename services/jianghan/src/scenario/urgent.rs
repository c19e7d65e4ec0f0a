//! F2, its last step: temporary relief (临时救助) that cannot wait. The street grants a small sum at once, before anybody has looked into
//! the facts; the papers follow by a day.

use anyhow::{Context, Result};
use proto::case_routing::v1::{
    Application, ApplicationOutcome, ApplicationState, Case, CaseState, ClosedCode, GrantUrgentlyRequest,
    SubmitPapersRequest,
};
use tonic::Code;

use super::{
    one_window::COMMUNITY,
    stage::Person,
    story::{Story, expect},
};
use crate::{simulate::clock::instant, suite::request_id};

/// Led by the street, which grants up to two thousand yuan of it at once.
const RELIEF: &str = "MZ-0102";
const MOST_FEN: i64 = 200_000;

impl Person<'_> {
    fn grant(application: &Application, amount_fen: i64) -> GrantUrgentlyRequest {
        GrantUrgentlyRequest {
            case_id: application.case_id.clone(),
            request_id: request_id(),
            amount_fen,
            reason_code: "sudden_illness".into(),
            ..Default::default()
        }
    }

    /// Grants at once.
    async fn grants_urgently(&self, application: &Application, amount_fen: i64) -> Result<Application> {
        let message = Self::grant(application, amount_fen);
        self.notes(&application.case_id, "GrantUrgently", &message.request_id);
        let answer = self.stage.suite.applications().grant_urgently(self.asks(message).await?).await;
        self.heard("GrantUrgently", answer)?.application.context("an answer without the application")
    }

    /// What comes of granting more than a small sum at once.
    async fn is_kept_from_granting_more(&self, application: &Application) -> Result<()> {
        let message = Self::grant(application, MOST_FEN + 1);
        match self.stage.suite.applications().grant_urgently(self.asks(message).await?).await {
            Err(status) if status.code() == Code::InvalidArgument => Ok(()),
            Err(status) => self.heard("GrantUrgently", Err(status)),
            Ok(_) => expect(false, "only small sums at once"),
        }
    }

    /// Brings the papers of what was granted at once.
    async fn brings_papers_afterwards(&self, application: &Application) -> Result<Application> {
        let message = SubmitPapersRequest {
            case_id: application.case_id.clone(),
            request_id: request_id(),
            material_refs: vec!["doc:hospital".into()],
            ..Default::default()
        };
        self.notes(&application.case_id, "SubmitPapers", &message.request_id);
        let answer = self.stage.suite.applications().submit_papers(self.asks(message).await?).await;
        self.heard("SubmitPapers", answer)?.application.context("an answer without the application")
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let (application, case) = granted_at_once(story).await?;
    papers_follow(story, &application, &case).await
}

/// On the day it is applied for: taken in, granted and paid.
async fn granted_at_once(story: &mut Story<'_>) -> Result<(Application, Case)> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(16)?, stage.window(COMMUNITY)?);
    let application = story
        .step(
            &resident,
            "突发重病，申请临时救助",
            "applies for temporary relief after a sudden illness",
            resident.applies_for(RELIEF, "家人突发重病住院，请求临时救助。", &resident),
        )
        .await?;
    story.shows_case(
        &application.case_id,
        "临时救助：街道先行救助，事后补齐手续",
        "relief that cannot wait: granted by the street at once, the papers afterwards",
    );
    let application = story
        .step(&window, "当场受理", "takes it in on the spot", window.takes_application_in(&application))
        .await?;
    let street = stage.org("street_office:420103005")?;
    let case = stage.looks_at(&application.case_id).await?;
    expect(case.lead_org_id == street, "the street is in charge")?;
    let leader = stage.leader_of(&street)?;
    let application = story
        .step(
            &leader,
            "先行救助：小额当场批准，超过限额不可",
            "grants a small sum at once, before anybody has looked into the facts; more than that it cannot",
            async {
                leader.is_kept_from_granting_more(&application).await?;
                leader.grants_urgently(&application, MOST_FEN).await
            },
        )
        .await?;
    expect(application.state() == ApplicationState::Approved, "granted")?;
    expect(application.investigations.is_empty(), "before anybody looked into the facts")?;
    let decision = application.decision.as_ref().context("a decision")?;
    let granted = (decision.outcome(), decision.urgent, decision.amount_fen);
    expect(granted == (ApplicationOutcome::Granted, true, MOST_FEN), "at once, as much as that")?;
    expect(decision.org_id == street, "by the street")?;
    let due = application.papers_due_time.as_ref().and_then(instant).context("a day for the papers")?;
    expect(due > stage.now().await? && application.papers_time.is_none(), "the papers are to follow")?;
    let application =
        story.step(&leader, "当天发放", "pays it on the same day", leader.pays(&application)).await?;
    expect(application.state() == ApplicationState::Delivered, "delivered")?;
    let case = stage.sees_state(&case, CaseState::Verifying).await?;
    Ok((application, case))
}

async fn papers_follow(story: &mut Story<'_>, application: &Application, case: &Case) -> Result<()> {
    let stage = story.stage;
    let resident = stage.resident(16)?;
    let complete = story
        .step(
            &resident,
            "事后补齐手续",
            "brings the papers afterwards",
            resident.brings_papers_afterwards(application),
        )
        .await?;
    let (came, due) = (complete.papers_time.as_ref(), complete.papers_due_time.as_ref());
    let in_time = came.and_then(instant).zip(due.and_then(instant)).is_some_and(|(came, due)| came <= due);
    expect(in_time, "in time")?;
    expect(complete.material_refs.iter().any(|paper| paper == "doc:hospital"), "with the others")?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story
        .step(&verifier, "核查回访", "verifies it with the applicant", verifier.verifies(case, 5))
        .await?;
    let case = story
        .step(&resident, "评价；结案", "rates it; it is closed", async {
            let case = resident.rates(&case, 5).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    expect(case.closed_code() == ClosedCode::Resolved, "resolved")
}
