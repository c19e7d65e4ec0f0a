//! F1: a request through the one window, from its registration to its closing; another is rated badly, and done again; one is sent
//! back by the verifier. Three go another way at the intake (see `intake`), and one is offered to volunteers first (see
//! `volunteers`). The last is rated badly when it was closed already, which takes days (see `late`).

use anyhow::{Context, Result};
use proto::{
    analytics::v1::{GetBoardRequest, GetBoardResponse},
    case_routing::v1::{AssignmentStatus, Case, CaseState, ClosedCode, DeliveryMode},
};

use super::{
    intake, late,
    stage::{Person, Stage},
    story::{Story, Who, expect, expect_state},
    volunteers,
};

/// A community in the first street.
pub const COMMUNITY: &str = "420103005001";
/// Street lamps: led by the department of urban management.
pub const LAMP: &str = "CJ-0103";

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    rated_well(story).await?;
    rated_badly(story).await?;
    sent_back(story).await?;
    intake::play(story).await?;
    volunteers::play(story).await?;
    late::play(story).await
}

async fn rated_well(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let resident = stage.resident(0)?;
    let before = board(stage).await?;
    let about = (
        "登记诉求：路灯不亮，晚上看不清路",
        "registers a request: the street lamp is out",
        "路灯不亮，晚上看不清路，请派人来看看。",
    );
    let shown = ("一窗受理：从登记到结案", "one window: from registration to closing");
    let case = dispatched(story, &resident, about, shown).await?;
    let routing = case.routing.clone().context("the reasons of the routing are kept")?;
    let told =
        !routing.rule_ids.is_empty() && routing.reasons.iter().all(|reason| !reason.text_zh.is_empty());
    expect(told, "rules and reasons of the routing")?;
    let (worker, case) = taken_up(story, &case).await?;
    let case = worked_and_verified(story, &worker, &case).await?;
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

/// Whoever rates badly is heard, the rating is checked, and what it says is put right before the case closes.
async fn rated_badly(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (resident, agent) = (stage.resident(3)?, stage.anyone("callback_agent", 0)?);
    let about = (
        "登记诉求：楼前路灯一闪一闪",
        "registers a request: the lamp before the house flickers",
        "楼前路灯一闪一闪，过一会儿就灭，请修一修。",
    );
    let shown = (
        "差评整改：回访、核实、返工、再核查、结案",
        "a bad rating: called, checked, done again, verified again, closed",
    );
    let case = dispatched(story, &resident, about, shown).await?;
    let (worker, case) = taken_up(story, &case).await?;
    let case = worked_and_verified(story, &worker, &case).await?;
    let case = story
        .step(
            &resident,
            "评价：非常不满意，当晚又灭了",
            "rates it, very dissatisfied: it went out the same evening",
            resident.rates(&case, 1),
        )
        .await?;
    expect_state(&case, CaseState::Resolved)?;
    let case = story
        .step(
            &agent,
            "差评回访：诉求人说没有解决",
            "calls the requester about the rating: it is not solved",
            agent.calls_back(&case),
        )
        .await?;
    expect(case.later_calls.len() == 1, "the call is kept")?;
    let case = story
        .step(
            &agent,
            "核实：差评属实，限期返工，二级督办",
            "finds the rating valid: to be done again within a limit, under supervision of level 2",
            agent.judges(&case, true),
        )
        .await?;
    expect_state(&case, CaseState::InProgress)?;
    expect(case.rework_count == 1, "it is done again")?;
    let (worker, case) = assigned(story, &case).await?;
    expect(case.supervisions.iter().any(|one| one.level == 2), "under supervision of level 2")?;
    let case = worked_and_verified(story, &worker, &case).await?;
    let case = story
        .step(&resident, "重新评价：满意；结案", "rates it anew, satisfied; it is closed", async {
            let case = resident.rates(&case, 4).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    expect(case.closed_code() == ClosedCode::Resolved, "resolved")?;
    expect(case.supervisions.iter().all(|one| one.state == "cleared"), "nobody is supervised any more")
}

/// Whoever verifies belongs to neither side, and sends back what is not done.
async fn sent_back(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (resident, verifier) = (stage.resident(4)?, stage.anyone("verifier", 0)?);
    let about = (
        "登记诉求：巷口路灯不亮",
        "registers a request: the lamp at the corner is out",
        "巷口的路灯不亮，麻烦派人修一下。",
    );
    let shown = (
        "核查未通过：退回返工，再核查，结案",
        "not solved, finds the verifier: done again, verified, closed",
    );
    let case = dispatched(story, &resident, about, shown).await?;
    let (worker, case) = taken_up(story, &case).await?;
    let case = worked(story, &worker, &case).await?;
    let case = story
        .step(
            &verifier,
            "第三方核查：没有修好，退回返工",
            "finds it not repaired, and sends the work back",
            verifier.orders_rework(&case),
        )
        .await?;
    expect_state(&case, CaseState::InProgress)?;
    expect(case.rework_count == 1, "it is done again")?;
    let (worker, case) = assigned(story, &case).await?;
    let case = worked_and_verified(story, &worker, &case).await?;
    let case = story
        .step(&resident, "评价：满意；结案", "rates it, satisfied; it is closed", async {
            let case = resident.rates(&case, 4).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await?;
    expect(case.closed_code() == ClosedCode::Resolved, "resolved")
}

/// A street lamp, from the resident's own words (what is told of them in both languages, and the words) to whoever leads.
pub(super) async fn dispatched(
    story: &mut Story<'_>,
    resident: &Person<'_>,
    (zh, en, words): (&str, &str, &str),
    shown: (&str, &str),
) -> Result<Case> {
    let stage = story.stage;
    let (window, place) = (stage.window(COMMUNITY)?, stage.unit(COMMUNITY)?);
    let case = story.step(resident, zh, en, resident.registers(words, &place)).await?;
    expect_state(&case, CaseState::Registered)?;
    story.shows_case(&case.case_id, shown.0, shown.1);
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
    Ok(case)
}

/// The lead has signed, a worker is on it, and the requester was spoken with.
pub(super) async fn taken_up<'s>(story: &mut Story<'s>, case: &Case) -> Result<(Person<'s>, Case)> {
    let stage = story.stage;
    let (leader, handler) = (stage.leader_of(&case.lead_org_id)?, stage.handler_of(&case.lead_org_id)?);
    story.step(&leader, "签收", "signs for it", leader.signs(case)).await?;
    let (worker, case) = assigned(story, case).await?;
    let case =
        story.step(&handler, "首次联系诉求人", "speaks with the requester", handler.contacts(&case)).await?;
    expect_state(&case, CaseState::InProgress)?;
    Ok((worker, case))
}

async fn assigned<'s>(story: &mut Story<'s>, case: &Case) -> Result<(Person<'s>, Case)> {
    let stage = story.stage;
    let case = story
        .step(
            Who::Services,
            "排班系统派工给当班人员",
            "staffing asks the worker who is on duty",
            stage.sees_assignment(case, AssignmentStatus::Offered),
        )
        .await?;
    let worker = stage.worker_of(&case)?;
    let case = story
        .step(&worker, "接受派工", "takes the assignment", async {
            worker.accepts_assignment(&case).await?;
            stage.sees_assignment(&case, AssignmentStatus::Accepted).await
        })
        .await?;
    Ok((worker, case))
}

async fn worked(story: &mut Story<'_>, worker: &Person<'_>, case: &Case) -> Result<Case> {
    let stage = story.stage;
    let handler = stage.handler_of(&case.lead_org_id)?;
    let case = story
        .step(worker, "到场，修复，上传照片", "is there, repairs it, hands in a photograph", async {
            worker.arrives(case).await?;
            let case = stage.sees_assignment(case, AssignmentStatus::OnSite).await?;
            worker.finishes(&case).await?;
            stage.sees_assignment(&case, AssignmentStatus::Done).await
        })
        .await?;
    story.step(&handler, "办结，送核查", "says it is done", handler.completes(&case)).await
}

pub(super) async fn worked_and_verified(
    story: &mut Story<'_>,
    worker: &Person<'_>,
    case: &Case,
) -> Result<Case> {
    let case = worked(story, worker, case).await?;
    let verifier = story.stage.anyone("verifier", 0)?;
    let case = story
        .step(
            &verifier,
            "第三方核查并回访：已解决",
            "verifies it with the requester: solved",
            verifier.verifies(&case, 5),
        )
        .await?;
    expect_state(&case, CaseState::Resolved)?;
    Ok(case)
}

/// The figures of all time: those of a period would lose a day while this is played.
async fn board(stage: &Stage) -> Result<GetBoardResponse> {
    let dispatcher = stage.dispatcher()?;
    let request = dispatcher.asks(GetBoardRequest::default()).await?;
    let answer = stage.suite.indicators().get_board(request).await;
    dispatcher.heard("GetBoard", answer)
}
