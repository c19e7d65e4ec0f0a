//! F1: a request through the one window, from its registration to its closing.

use anyhow::{Context, Result};
use proto::{
    analytics::v1::{GetBoardRequest, GetBoardResponse},
    case_routing::v1::{AssignmentStatus, CaseState, ClosedCode, DeliveryMode},
};

use super::{
    stage::Stage,
    story::{Story, Who, expect, expect_state},
};

/// A community in the first street.
pub const COMMUNITY: &str = "420103005001";
/// Street lamps: led by the department of urban management.
pub const LAMP: &str = "CJ-0103";

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let place = stage.unit(COMMUNITY)?;
    let (resident, window) = (stage.resident(0)?, stage.window(COMMUNITY)?);
    let before = board(stage).await?;
    let case = story
        .step(
            &resident,
            "登记诉求：路灯不亮，晚上看不清路",
            "registers a request: the street lamp is out",
            resident.registers("路灯不亮，晚上看不清路，请派人来看看。", &place),
        )
        .await?;
    expect_state(&case, CaseState::Registered)?;
    story.shows_case(&case.case_id, "一窗受理：从登记到结案", "one window: from registration to closing");
    expect(!case.first_receiver_org_id.is_empty(), "whoever received it first owns it")?;
    let case = story.step(&window, "受理", "takes it in", window.accepts(&case)).await?;
    let case = story
        .step(
            &window,
            "研判：照明设施，地点在本社区",
            "says what it is: street lighting, in this community",
            window.triages(&case, LAMP, false),
        )
        .await?;
    let case = story
        .step(
            &window,
            "派单：按责任清单派给有权办理的最低层级，并写明理由",
            "dispatches it: to the lowest level that is competent, with the reasons",
            window.dispatches(&case),
        )
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    let routing = case.routing.clone().context("the reasons of the routing are kept")?;
    let told =
        !routing.rule_ids.is_empty() && routing.reasons.iter().all(|reason| !reason.text_zh.is_empty());
    expect(told, "rules and reasons of the routing")?;

    let lead = case.lead_org_id.clone();
    let (leader, handler) = (stage.leader_of(&lead)?, stage.handler_of(&lead)?);
    story.step(&leader, "签收", "signs for it", leader.signs(&case)).await?;
    let case = story
        .step(
            Who::Services,
            "排班系统派工给当班人员",
            "staffing asks the worker who is on duty",
            stage.sees_assignment(&case, AssignmentStatus::Offered),
        )
        .await?;
    let worker = stage.worker_of(&case)?;
    let case = story
        .step(&worker, "接受派工", "takes the assignment", async {
            worker.accepts_assignment(&case).await?;
            stage.sees_assignment(&case, AssignmentStatus::Accepted).await
        })
        .await?;
    let case =
        story.step(&handler, "首次联系诉求人", "speaks with the requester", handler.contacts(&case)).await?;
    expect_state(&case, CaseState::InProgress)?;
    let case = story
        .step(&worker, "到场，修复，上传照片", "is there, repairs it, hands in a photograph", async {
            worker.arrives(&case).await?;
            let case = stage.sees_assignment(&case, AssignmentStatus::OnSite).await?;
            worker.finishes(&case).await?;
            stage.sees_assignment(&case, AssignmentStatus::Done).await
        })
        .await?;
    let case = story.step(&handler, "办结，送核查", "says it is done", handler.completes(&case)).await?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story
        .step(
            &verifier,
            "第三方核查并回访：已解决",
            "verifies it with the requester: solved",
            verifier.verifies(&case, 5),
        )
        .await?;
    expect_state(&case, CaseState::Resolved)?;
    let case = story
        .step(&resident, "评价：非常满意；结案", "rates it, very satisfied; it is closed", async {
            let case = resident.rates(&case, 5).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    let came = (case.closed_code(), case.delivery_mode());
    expect(came == (ClosedCode::Resolved, DeliveryMode::GovDirect), "resolved by the government itself")?;
    expect(!case.overdue, "in time")?;
    story
        .step(Who::Services, "看板计入结案数", "the board counts it", async {
            let counted = async || {
                let now = board(stage).await?;
                Ok((now.registered > before.registered && now.closed > before.closed).then_some(()))
            };
            stage.until("the closed case on the board", counted).await
        })
        .await
}

/// The figures of all time: those of a period would lose a day while this is played.
async fn board(stage: &Stage) -> Result<GetBoardResponse> {
    let dispatcher = stage.dispatcher()?;
    let request = dispatcher.asks(GetBoardRequest::default()).await?;
    let answer = stage.suite.indicators().get_board(request).await;
    dispatcher.heard("GetBoard", answer)
}
