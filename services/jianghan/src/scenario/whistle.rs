//! F4: the street leads and calls two departments; each signs, reports in and hands in by itself; both sides judge. The street
//! is supervised and answers; the requester sees one outcome. Then a community asks its street, and one of the departments does
//! not come: the district hears of it, the requester's limit is warned of and passes, and supervision rises to the third level.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use proto::case_routing::v1::{
    Case, CaseState, ClockKind, DispatchMode, Supervision, Task, TaskState, WhistleCaseRequest,
};
use tonic::Code;

use super::{
    arbitration::dispatched,
    one_window::COMMUNITY,
    stage::{Look, Person, Stage},
    story::{Story, Who, expect, expect_state},
};
use crate::{simulate::clock::instant, suite::request_id};

/// Leaks and fittings of houses: led by the street, promised in five working days.
const STAIRS: &str = "CJ-0142";

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    both_come(story).await?;
    one_stays_away(story).await
}

async fn both_come(story: &mut Story<'_>) -> Result<()> {
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

/// Begins in the morning of a working day: what then ends with a day is seen in the morning after it.
async fn one_stays_away(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let morning = stage.to_the_next_morning();
    story.step(Who::Time, "次日上午九点", "nine o'clock of the next working day", morning).await?;
    let (case, [prompt, absent]) = asked_by_a_community(story).await?;
    let street = case.lead_org_id.clone();
    let (leader, handler) = (stage.leader_of(&street)?, stage.handler_of(&street)?);
    let task = called(&case, &prompt)?;
    let head = stage.leader_of(&prompt)?;
    story
        .step(&head, "房管：签收、报到、提交结果", "signs, reports in, hands in what was done", async {
            head.signs_for(&case, &task.task_id).await?;
            head.reports_in(&case, &task.task_id).await?;
            head.submits(&case, &task.task_id).await
        })
        .await?;
    let told = (
        "建设部门未按时报到：报区里，二级督办",
        "the other does not come in time: reported to the district, level 2",
    );
    let late = later(story, &case, told, &[(ClockKind::Report, 2)]).await?;
    let reported = about(&late, ClockKind::Report).context("the supervision of who did not come")?;
    expect(reported.org_id == absent, "the department has to answer")?;
    let told = (
        "仍不签收：一级督办；未报到升为三级",
        "it does not sign either: level 1; not to have come rises to level 3",
    );
    later(story, &case, told, &[(ClockKind::Sign, 1), (ClockKind::Report, 3)]).await?;
    for percent in ["50", "80"] {
        let zh = format!("办结时限已过 {percent}%，系统催办");
        let en = format!("{percent} % of the requester's limit has run: a reminder");
        let warned = stage.some_morning(&en, async |morning: DateTime<Utc>| {
            if is_warned(stage, &case, percent).await? {
                return Ok(Look::Seen(()));
            }
            // Of a warning it is not told when it falls, but before the limit itself.
            let limit = runs_out(&stage.looks_at(&case.case_id).await?, ClockKind::Resolve);
            Ok(if limit.is_some_and(|at| at <= morning) { Look::Due } else { Look::Unknown })
        });
        story.step(Who::Time, &zh, &en, warned).await?;
    }
    let rises = [
        (1, "时限已过：一级督办街道", "the limit has passed: supervision of the street, level 1"),
        (2, "一级督办无人答复：升为二级，由区督办", "nobody answers: level 2, the district's"),
        (3, "二级督办仍无答复：升为三级，由市督办", "still no answer: level 3, the city's"),
    ];
    for (reached, zh, en) in rises {
        let now = later(story, &case, (zh, en), &[(ClockKind::Resolve, reached)]).await?;
        let known = about(&now, ClockKind::Resolve).context("the supervision of who leads")?;
        expect(now.overdue && known.org_id == street, "overdue, and the street has to answer")?;
    }
    stage.to_work_hours().await?; // the last of these mornings may be one of a rest day
    comes_at_last(story, &case, &absent).await?;
    let case = story.step(&handler, "办结", "says it is done", handler.completes(&case)).await?;
    expect(case.supervisions.iter().all(|one| one.state == "cleared"), "nobody is supervised any more")?;
    let task = called(&case, &absent)?;
    let case = story
        .step(
            &leader,
            "评部门：来得太迟，未在期限内解决",
            "judges the department: too late to solve it in time",
            leader.appraises(&case, &task.task_id, false),
        )
        .await?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story
        .step(
            &verifier,
            "核查：已解决，但已超期",
            "verifies: solved, but after the limit",
            verifier.verifies(&case, 3),
        )
        .await?;
    let late = |clock: &ClockKind| {
        case.clocks.iter().any(|known| known.kind() == *clock && known.breach_time.is_some())
    };
    let limits = [ClockKind::Report, ClockKind::Sign, ClockKind::Resolve];
    expect(limits.iter().all(late), "what was late stays on record")?;
    expect_state(&case, CaseState::Resolved)
}

/// Only a street calls departments: a community takes the matter in and hands it to its street.
async fn asked_by_a_community(story: &mut Story<'_>) -> Result<(Case, [String; 2])> {
    let stage = story.stage;
    let (resident, window) = (stage.resident(6)?, stage.window(COMMUNITY)?);
    let place = stage.unit(COMMUNITY)?;
    let case = story
        .step(
            &window,
            "受理居民反映的外墙渗水，报请街道牵头",
            "takes in a wet outer wall and asks the street, which leads",
            window.takes_in(&resident, "外墙渗水，住户和物业都修不了，请几家单位一起来。", STAIRS, &place),
        )
        .await?;
    story.shows_case(
        &case.case_id,
        "吹哨后一个部门不来：提醒、超期、督办逐级升到三级",
        "a department that does not come: reminders, the limit passed, supervision up to level 3",
    );
    let street = case.lead_org_id.clone();
    expect(street == stage.org("street_office:420103005")?, "the street leads")?;
    let departments = [stage.org("dept:housing")?, stage.org("dept:construction")?];
    let head = stage.login(&format!("head.{COMMUNITY}"))?;
    story
        .step(
            &head,
            "社区自己不能吹哨，只能请街道吹",
            "cannot whistle itself, only its street can",
            is_kept_from_whistling(&head, &case, &departments),
        )
        .await?;
    let (leader, handler) = (stage.leader_of(&street)?, stage.handler_of(&street)?);
    let case = story
        .step(
            &leader,
            "签收，联系居民，吹哨：呼叫房管、建设两部门",
            "signs, has the requester called, whistles for the departments of housing and of construction",
            async {
                let case = leader.signs(&case).await?;
                let case = handler.contacts(&case).await?;
                leader.whistles(&case, &departments).await
            },
        )
        .await?;
    Ok((case, departments))
}

/// The department, when everybody up to the city has asked.
async fn comes_at_last(story: &mut Story<'_>, case: &Case, org: &str) -> Result<()> {
    let head = story.stage.leader_of(org)?;
    let task = called(case, org)?;
    let case = story
        .step(
            &head,
            "建设：终于到场，签收、报到（迟到）、提交结果",
            "comes at last: signs, reports in late, hands in what was done",
            async {
                head.signs_for(case, &task.task_id).await?;
                head.reports_in(case, &task.task_id).await?;
                head.submits(case, &task.task_id).await
            },
        )
        .await?;
    let score = called(&case, org)?.whistle.context("the task shows how the whistle went")?;
    expect(score.reported && !score.reported_in_time, "it came, and late")?;
    for clock in [ClockKind::Sign, ClockKind::Report] {
        let known = about(&case, clock).context("the supervision of who did not come")?;
        expect(known.state == "cleared" && known.level == 3, "coming clears it, at the level it rose to")?;
    }
    let led = about(&case, ClockKind::Resolve).context("the supervision of who leads")?;
    expect(led.state == "issued", "the street's own goes on until it is done")
}

/// What comes of a whistle by somebody who is not of a street.
async fn is_kept_from_whistling(person: &Person<'_>, case: &Case, org_ids: &[String]) -> Result<()> {
    let message = WhistleCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        org_ids: org_ids.to_vec(),
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    match person.stage.suite.tasks().whistle_case(person.asks(message).await?).await {
        Err(status) if status.code() == Code::PermissionDenied => Ok(()),
        Err(status) => person.heard("WhistleCase", Err(status)),
        Ok(_) => expect(false, "no whistle by a community"),
    }
}

/// The morning by which time has brought supervision to these levels, or above.
async fn later(
    story: &mut Story<'_>,
    case: &Case,
    (zh, en): (&str, &str),
    levels: &[(ClockKind, i32)],
) -> Result<Case> {
    let stage = story.stage;
    let risen = stage.some_morning(en, async |morning: DateTime<Utc>| {
        let case = stage.looks_at(&case.case_id).await?;
        let missing: Vec<_> =
            levels.iter().filter(|(clock, least)| level(&case, *clock) < Some(*least)).collect();
        if missing.is_empty() {
            return Ok(Look::Seen(case));
        }
        let times: Option<Vec<_>> = missing.iter().map(|(clock, _)| rises(&case, *clock)).collect();
        Ok(match times {
            Some(times) if times.iter().all(|at| *at <= morning) => Look::Due,
            Some(_) => Look::Ahead,
            None => Look::Unknown,
        })
    });
    story.step(Who::Time, zh, en, risen).await
}

/// When supervision that follows from a clock begins or goes one level up, if nobody does anything.
fn rises(case: &Case, clock: ClockKind) -> Option<DateTime<Utc>> {
    match about(case, clock) {
        Some(known) => known.due_time.as_ref().and_then(instant),
        None => runs_out(case, clock),
    }
}

/// When the first clock of a kind that nobody has stopped runs out.
fn runs_out(case: &Case, clock: ClockKind) -> Option<DateTime<Utc>> {
    let running = case.clocks.iter().filter(|known| known.kind() == clock && known.stop_time.is_none());
    running.filter_map(|known| known.due_time.as_ref().and_then(instant)).min()
}

/// Whether the requester's limit was warned of at a part of it.
async fn is_warned(stage: &Stage, case: &Case, percent: &str) -> Result<bool> {
    let steps = stage.timeline_of(case).await?;
    Ok(steps.iter().filter(|step| step.event == "ClockWarned").any(|step| {
        let says = |name: &str, value: &str| {
            let reason = step.reason.as_ref();
            reason.and_then(|reason| reason.arguments.get(name)).is_some_and(|found| found == value)
        };
        says("clock", "resolve") && says("percent", percent)
    }))
}

/// The supervision that follows from a clock.
fn about(case: &Case, clock: ClockKind) -> Option<&Supervision> {
    case.supervisions.iter().find(|one| one.clock() == clock)
}

fn level(case: &Case, clock: ClockKind) -> Option<i32> {
    about(case, clock).map(|one| one.level)
}

fn called(case: &Case, org: &str) -> Result<Task> {
    let found = case.tasks.iter().rev().find(|task| task.org_id == org);
    found.cloned().context("a task of the department that was called")
}
