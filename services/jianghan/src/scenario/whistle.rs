//! F4: the street leads and calls two departments; each signs, reports in and hands in by itself; both sides judge. The street
//! is supervised and answers; the requester sees one outcome.

use anyhow::{Context, Result};
use proto::case_routing::v1::{Case, CaseState, DispatchMode, Task, TaskState};

use super::{
    arbitration::dispatched,
    story::{Story, expect, expect_state},
};

/// Leaks and fittings of houses: led by the street.
const STAIRS: &str = "CJ-0142";

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let text = "楼道墙面渗水，几家单位都说不归自己管。";
    let about = (
        "登记诉求：楼道墙面渗水，要几家单位一起管",
        "registers a request: a wet wall in the staircase, a matter for several",
    );
    let case = dispatched(story, STAIRS, text, about).await?;
    story.shows_case(
        &case.case_id,
        "吹哨报到：被叫部门、报到、双向考核；督办的级别和答复",
        "a whistle: who was called and came, how both sides judge; supervision and its answer",
    );
    let street = case.lead_org_id.clone();
    expect(street == stage.org("street_office:420103005")?, "the street leads")?;
    let (leader, handler) = (stage.leader_of(&street)?, stage.handler_of(&street)?);
    let case = story
        .step(&leader, "签收", "signs for it", async {
            let case = leader.signs(&case).await?;
            handler.contacts(&case).await
        })
        .await?;
    let departments = [stage.org("dept:housing")?, stage.org("dept:construction")?];
    let mut case = story
        .step(
            &leader,
            "吹哨：呼叫房管、建设两部门",
            "whistles: calls the departments of housing and of construction",
            leader.whistles(&case, &departments),
        )
        .await?;
    for org in &departments {
        let task = called(&case, org)?;
        expect(task.mode() == DispatchMode::Whistle && task.sender_org_id == street, "called by the street")?;
        let head = stage.leader_of(org)?;
        case = story
            .step(
                &head,
                "签收、按时到场报到、提交结果",
                "signs, reports in on time, hands in what was done",
                async {
                    head.signs_for(&case, &task.task_id).await?;
                    head.reports_in(&case, &task.task_id).await?;
                    head.submits(&case, &task.task_id).await
                },
            )
            .await?;
        case = story
            .step(
                &head,
                "评街道：需要本部门到场",
                "judges the street: its coming was needed",
                head.appraises(&case, &task.task_id, true),
            )
            .await?;
        case = story
            .step(
                &leader,
                "评部门：问题已解决",
                "judges the department: it solved what it was called for",
                leader.appraises(&case, &task.task_id, true),
            )
            .await?;
        let task = called(&case, org)?;
        let score = task.whistle.context("the task shows how the whistle went")?;
        expect(score.reported_in_time && score.solved && score.needed, "in time, solved, needed")?;
        expect(task.state() == TaskState::Submitted, "the department has handed in")?;
    }
    let dispatcher = stage.dispatcher()?;
    let case = story
        .step(
            &dispatcher,
            "二级督办街道",
            "supervises the street, second level",
            dispatcher.supervises(&case, 2),
        )
        .await?;
    let issued = case.supervisions.first().context("the case shows the supervision")?;
    expect(issued.org_id == street, "the street has to answer")?;
    let case = story.step(&leader, "答复督办", "answers", leader.answers(&case)).await?;
    let case =
        story.step(&dispatcher, "督办销号", "is content with the answer", dispatcher.clears(&case)).await?;
    expect(case.supervisions.iter().any(|one| one.state == "cleared"), "the supervision is over")?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story.step(&handler, "办结", "says it is done", handler.completes(&case)).await?;
    let case = story
        .step(
            &verifier,
            "核查：已解决，一个结果答复居民",
            "verifies: solved, one outcome for the requester",
            verifier.verifies(&case, 4),
        )
        .await?;
    expect_state(&case, CaseState::Resolved)
}

fn called(case: &Case, org: &str) -> Result<Task> {
    let found = case.tasks.iter().rev().find(|task| task.org_id == org);
    found.cloned().context("a task of the department that was called")
}
