//! F3, its first steps: a lead objects once, with a ground and another name, and the dispatcher decides within a limit: it stays
//! where it is, or goes where the lead says. The requester's day stands either way.

use anyhow::{Context, Result};
use proto::case_routing::v1::{Case, CaseState, ObjectTaskRequest, ResolveObjectionRequest};
use tonic::Code;

use super::{
    arbitration::{Dispute, objected},
    one_window::LAMP,
    stage::Person,
    story::{Story, expect, expect_state},
};
use crate::{simulate::lead_task, suite::request_id};

impl Person<'_> {
    /// Takes the task from whoever objected, and gives the case to another.
    async fn redispatches(&self, case: &Case, lead_org_id: &str) -> Result<Case> {
        let message = ResolveObjectionRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: lead_task(case).context("the case has no lead task")?.task_id.clone(),
            decision: "redispatch".into(),
            lead_org_id: lead_org_id.to_owned(),
            reason_code: "responsibility_list".into(),
            ..Default::default()
        };
        self.notes(&case.case_id, "ResolveObjection", &message.request_id);
        let answer = self.stage.suite.tasks().resolve_objection(self.asks(message).await?).await;
        self.heard("ResolveObjection", answer)?.case.context("an answer without the case")
    }

    /// What comes of objecting once more to what stayed where it was.
    async fn is_kept_from_objecting(&self, case: &Case, suggested_org_id: &str) -> Result<()> {
        let message = ObjectTaskRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: lead_task(case).context("the case has no lead task")?.task_id.clone(),
            ground_code: "not_competent".into(),
            suggested_org_id: suggested_org_id.to_owned(),
            evidence_refs: vec!["doc:duty-list".into()],
            ..Default::default()
        };
        match self.stage.suite.tasks().object_task(self.asks(message).await?).await {
            Err(status) if status.code() == Code::FailedPrecondition => Ok(()),
            Err(status) => self.heard("ObjectTask", Err(status)),
            Ok(_) => expect(false, "no second objection to the same task"),
        }
    }
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    stays(story).await?;
    goes_on(story).await
}

async fn stays(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let about = ("登记诉求：路灯白天也亮着", "registers a request: a street lamp that is on all day");
    let shown = ("派单异议不成立：仍由原单位办理", "an objection that is rejected: the lead stays");
    let text = "路灯白天也亮着，请来看看。";
    let Dispute { case, objector, named, promised } = objected(story, LAMP, text, about, shown).await?;
    let dispatcher = stage.dispatcher()?;
    let case = story
        .step(
            &dispatcher,
            "限期内审核：异议不成立，仍由该部门主办",
            "decides within the limit: the objection is rejected, the department leads",
            dispatcher.rejects_objection(&case),
        )
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.lead_org_id == objector, "the same department leads")?;
    expect(case.resolve_due_time == promised, "the requester's day stands")?;
    let leader = stage.leader_of(&objector)?;
    story
        .step(
            &leader,
            "再次异议不予受理：同一件只能提一次",
            "cannot object again: once for each matter",
            leader.is_kept_from_objecting(&case, &named),
        )
        .await?;
    story.step(&leader, "签收", "signs for it", leader.signs(&case)).await.map(drop)
}

async fn goes_on(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let about = ("登记诉求：路灯灯杆被撞弯", "registers a request: a lamp post bent by a car");
    let shown = ("派单异议成立：改派另一部门", "an objection that is upheld: another department leads");
    let text = "路灯灯杆被车撞弯了，请来看看。";
    let Dispute { case, named, promised, .. } = objected(story, LAMP, text, about, shown).await?;
    let dispatcher = stage.dispatcher()?;
    let case = story
        .step(
            &dispatcher,
            "限期内审核：异议成立，改派被建议的部门",
            "decides within the limit: the objection is upheld, the department named leads",
            dispatcher.redispatches(&case, &named),
        )
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.lead_org_id == named, "the department named leads")?;
    expect(case.resolve_due_time == promised, "the requester's day stands")?;
    let leader = stage.leader_of(&named)?;
    story.step(&leader, "签收", "signs for it", leader.signs(&case)).await.map(drop)
}
