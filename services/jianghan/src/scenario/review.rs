//! F3, its fifth step: whoever a ruling names asks for its one review, before it signs. The level above reviews it and rules the other
//! way; where the duty itself is unclear, it asks the department of justice to define it. That is final, and only that becomes a
//! precedent.

use anyhow::{Context, Result};
use proto::case_routing::v1::{Case, CaseState, RequestReviewRequest, RuleObjectionRequest};
use tonic::Code;

use super::{
    arbitration::{Dispute, both_heard, precedent_of},
    one_window::LAMP,
    stage::Person,
    story::{Story, Who, expect, expect_state},
};
use crate::{simulate::lead_task, suite::request_id};

/// Stands above the district, which ruled first.
const CITY: &str = "gov:4201";
/// Who rules for it.
const CITY_ARBITER: &str = "arbiter.4201";
/// Who defines duties.
const JUSTICE: &str = "dept:justice";
/// What is to be defined.
const UPKEEP: &str = "lamp_post_upkeep";

impl Person<'_> {
    fn review(case: &Case) -> Result<RequestReviewRequest> {
        Ok(RequestReviewRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: lead_task(case).context("the case has no lead task")?.task_id.clone(),
            ground_code: "not_competent".into(),
            ..Default::default()
        })
    }

    /// Asks for the review of a ruling.
    async fn asks_for_review(&self, case: &Case) -> Result<Case> {
        let message = Self::review(case)?;
        self.notes(&case.case_id, "RequestReview", &message.request_id);
        let answer = self.stage.suite.tasks().request_review(self.asks(message).await?).await;
        self.heard("RequestReview", answer)?.case.context("an answer without the case")
    }

    /// What comes of asking for the review of a ruling that was reviewed.
    async fn is_kept_from_another_review(&self, case: &Case) -> Result<()> {
        match self.stage.suite.tasks().request_review(self.asks(Self::review(case)?).await?).await {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
            Err(status) => self.heard("RequestReview", Err(status)),
            Ok(_) => expect(false, "no review of a review"),
        }
    }

    fn ruling(case: &Case, lead_org_id: &str) -> Result<RuleObjectionRequest> {
        Ok(RuleObjectionRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: lead_task(case).context("the case has no lead task")?.task_id.clone(),
            lead_org_id: lead_org_id.to_owned(),
            basis_code: "responsibility_list".into(),
            precedent: true,
            ..Default::default()
        })
    }

    /// Rules in review, and asks for a definition of the duty.
    async fn reviews(&self, case: &Case, lead_org_id: &str, definer_org_id: &str) -> Result<Case> {
        let message = RuleObjectionRequest {
            definition_org_id: definer_org_id.to_owned(),
            definition_code: UPKEEP.into(),
            ..Self::ruling(case, lead_org_id)?
        };
        self.notes(&case.case_id, "RuleObjection", &message.request_id);
        let answer = self.stage.suite.tasks().rule_objection(self.asks(message).await?).await;
        self.heard("RuleObjection", answer)?.case.context("an answer without the case")
    }

    /// What comes of reviewing what one ruled oneself.
    async fn is_kept_from_reviewing(&self, case: &Case, lead_org_id: &str) -> Result<()> {
        let message = Self::ruling(case, lead_org_id)?;
        match self.stage.suite.tasks().rule_objection(self.asks(message).await?).await {
            Err(status) if status.code() == Code::PermissionDenied => Ok(()),
            Err(status) => self.heard("RuleObjection", Err(status)),
            Ok(_) => expect(false, "nobody reviews the own ruling"),
        }
    }
}

fn stands(case: &Case) -> Option<&str> {
    case.objection.as_ref().map(|objection| objection.state.as_str())
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let about = (
        "登记诉求：路灯杆底座松动，没有单位认领",
        "registers a request: a loose lamp post that nobody looks after",
    );
    let shown = (
        "裁定复核：上级改判，提请明确职责，复核后的裁定才成为先例",
        "a ruling reviewed: the level above rules otherwise and asks for a definition; only that is a precedent",
    );
    let text = "路灯杆底座松动，怕倒下来，没有单位认领。";
    let Dispute { case, objector, named, promised } = both_heard(story, LAMP, text, about, shown).await?;
    let arbiter = stage.anyone("arbiter", 0)?;
    let case = story
        .step(
            &arbiter,
            "裁定由被指名部门主办",
            "rules that the department named leads",
            arbiter.rules(&case, &named),
        )
        .await?;
    let other = stage.leader_of(&named)?;
    let case = story
        .step(
            &other,
            "不服裁定：签收前申请复核，只有一次",
            "asks for the review of the ruling, which there is once, before it signs",
            other.asks_for_review(&case),
        )
        .await?;
    expect_state(&case, CaseState::Objected)?;
    expect(stands(&case) == Some("in_review"), "in review")?;
    let reviewer = case.objection.as_ref().map(|objection| objection.arbiter_org_id.clone());
    expect(reviewer == Some(stage.org(CITY)?), "by the level above")?;
    expect(case.resolve_due_time == promised, "the requester's day stands")?;
    expect(precedent_of(stage, &case).await?.is_none(), "no precedent of what is under review")?;
    story
        .step(
            &arbiter,
            "原裁定人不得复核",
            "cannot review what it ruled itself",
            arbiter.is_kept_from_reviewing(&case, &named),
        )
        .await?;
    let city = stage.login(CITY_ARBITER)?;
    let justice = stage.org(JUSTICE)?;
    let case = story
        .step(
            &city,
            "市级复核：改由提出异议的部门主办，提请司法行政部门明确职责",
            "reviews it for the city: the department that objected leads; the department of justice is to define the duty",
            city.reviews(&case, &objector, &justice),
        )
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.lead_org_id == objector, "the department that objected leads")?;
    expect(case.resolve_due_time == promised, "the requester's day stands")?;
    expect(case.lead_change_count == 2, "both changes of lead are counted")?;
    expect(stands(&case) == Some("final"), "final without anybody's signature")?;
    let leader = stage.leader_of(&objector)?;
    story
        .step(
            &leader,
            "不能再申请复核",
            "cannot ask for another review",
            leader.is_kept_from_another_review(&case),
        )
        .await?;
    let case = story.step(&leader, "服从裁定，签收", "obeys and signs for it", leader.signs(&case)).await?;
    let definer = stage.leader_of(&justice)?;
    let read = story
        .step(&definer, "查看要求明确的职责", "reads what it is asked to define", definer.reads_case(&case))
        .await?;
    let asked = read.objection.context("the ruling")?;
    expect(asked.definition_org_id == justice && asked.definition_code == UPKEEP, "who is asked what")?;
    story
        .step(Who::Services, "终局裁定成为先例", "the final ruling becomes the precedent", async {
            let own = precedent_of(stage, &case).await?.context("the precedent of this case")?;
            expect(own.lead_org_id == objector && own.relieved_org_id.is_empty(), "of the review's ruling")
        })
        .await
}
