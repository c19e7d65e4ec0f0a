//! F1, its tenth step, when it comes late: nobody rates in time, and the case is closed by that. A bad rating after it is heard and
//! checked like any other; found valid, it opens the case again, which is done anew until it is closed a second time.

use anyhow::Result;
use chrono::{DateTime, Utc};
use proto::case_routing::v1::{CaseState, ClockKind, ClosedCode};

use super::{
    one_window::{dispatched, taken_up, worked_and_verified},
    stage::Look,
    story::{Story, Who, expect, expect_state},
};
use crate::simulate::clock::instant;

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let (resident, agent) = (stage.resident(2)?, stage.anyone("callback_agent", 0)?);
    let about = (
        "登记诉求：车棚边的路灯不亮",
        "registers a request: the lamp by the bicycle shed is out",
        "车棚边的路灯不亮，请派人来修。",
    );
    let shown = (
        "结案后差评：核实后重新打开，再办理，第二次结案",
        "rated badly after it was closed: checked, opened again, done anew, closed a second time",
    );
    let case = dispatched(story, &resident, about, shown).await?;
    let (worker, case) = taken_up(story, &case).await?;
    let case = worked_and_verified(story, &worker, &case).await?;
    let closed = stage.some_morning("the case to be closed", async |morning: DateTime<Utc>| {
        let now = stage.looks_at(&case.case_id).await?;
        if now.state() == CaseState::Closed {
            return Ok(Look::Seen(now));
        }
        let mut windows = now.clocks.iter().filter(|clock| clock.kind() == ClockKind::RatingWindow);
        let running = windows.find(|clock| clock.stop_time.is_none());
        let due = running.and_then(|clock| clock.due_time.as_ref()).and_then(instant);
        Ok(if due.is_some_and(|at| at <= morning) { Look::Due } else { Look::Ahead })
    });
    let case = story
        .step(
            Who::Time,
            "评价期限已过，无人评价：自动结案",
            "the time to rate passes, and nobody rates: it is closed",
            closed,
        )
        .await?;
    expect(case.rating.is_none() && case.closed_code() == ClosedCode::Resolved, "closed without a rating")?;
    stage.to_work_hours().await?; // the last of these mornings may be one of a rest day
    let case = story
        .step(
            &resident,
            "结案后评价：非常不满意，路灯又不亮了",
            "rates it after that, very dissatisfied: the lamp is out again",
            resident.rates(&case, 1),
        )
        .await?;
    expect_state(&case, CaseState::Closed)?;
    expect(case.reopen_count == 0, "nobody has checked the rating yet")?;
    let case = story
        .step(
            &agent,
            "差评回访：诉求人说没有解决",
            "calls the requester about the rating: it is not solved",
            agent.calls_back(&case),
        )
        .await?;
    let case = story
        .step(
            &agent,
            "核实：差评属实，工单重新打开，二级督办",
            "finds the rating valid: the case is opened again, under supervision of level 2",
            agent.judges(&case, true),
        )
        .await?;
    expect_state(&case, CaseState::Dispatched)?;
    expect(case.reopen_count == 1 && case.rework_count == 0, "opened again, not sent back")?;
    expect(case.supervisions.iter().any(|one| one.level == 2), "under supervision of level 2")?;
    let (worker, case) = taken_up(story, &case).await?;
    let case = worked_and_verified(story, &worker, &case).await?;
    let case = story
        .step(
            &resident,
            "重新评价：满意；第二次结案",
            "rates it anew, satisfied; it is closed a second time",
            async {
                let case = resident.rates(&case, 4).await?;
                stage.sees_state(&case, CaseState::Closed).await
            },
        )
        .await?;
    expect(case.closed_code() == ClosedCode::Resolved && case.reopen_count == 1, "resolved")?;
    expect(case.supervisions.iter().all(|one| one.state == "cleared"), "nobody is supervised any more")
}
