//! F8: a department's item is to be led by a community's station. It is heard and assessed before anybody is asked for anything.
//! Without its staff it is rolled back and leaves nothing behind, and so it is when its deadline passes; with authority, funds, staff
//! and training it takes effect, the five arrive at the community (五个到社区), and it ends. What then still arrives is sent back, and
//! an admission takes its place for a time.

mod admitted;
mod arrivals;
mod cast;

use anyhow::{Context, Result};
use chrono::TimeDelta;
use proto::{
    case_routing::v1::{CaseState, DutyTransfer, DutyTransferState, ListAdmissionRefusalsRequest},
    identity::v1::DutyAuthorityState,
    staffing::v1::{DemandState, FundLine},
};

use super::{
    stage::{Person, Stage},
    story::{Story, Who, expect, expect_state},
};

/// A community of the second street, where no other scenario is.
const COMMUNITY: &str = "420103008001";
/// Heating and hot water: the department of housing's, and on no negative list.
const ITEM: &str = "CJ-0108";

/// Everybody who takes part.
struct Cast<'s> {
    stage: &'s Stage,
    department: Person<'s>,
    street: Person<'s>,
    committee: Person<'s>,
    head: Person<'s>,
    finance: Person<'s>,
    approver: Person<'s>,
    grantor: Person<'s>,
}

pub(super) async fn play(story: &mut Story<'_>) -> Result<()> {
    let stage = story.stage;
    let cast = Cast {
        stage,
        department: stage.login("leader.housing")?,
        street: stage.login("leader.420103008")?,
        committee: stage.login(&format!("committee.{COMMUNITY}"))?,
        head: stage.login(&format!("head.{COMMUNITY}"))?,
        finance: stage.login("finance1")?,
        approver: stage.login("arbiter1")?,
        grantor: stage.login("arbiter2")?,
    };
    let left = cast.in_the_way().await?;
    if !left.transfers.is_empty() || !left.admissions.is_empty() {
        let (transfers, admissions) = (left.transfers.len(), left.admissions.len());
        let zh = format!("先了结该事项在本站未完的移交 {transfers} 件、准入 {admissions} 件，不论由谁发起");
        let en = format!(
            "first ends what is still under way of this item at the station, whoever began it: \
             {transfers} transfers, {admissions} admissions"
        );
        story.step(&cast.department, &zh, &en, cast.clears_the_way(&left)).await?;
    }
    let line = story.step(&cast.finance, "设立经费科目", "opens a fund line", cast.opens_a_line()).await?;
    rolled_back(story, &cast, &line).await?;
    too_late(story, &cast, &line).await?;
    takes_effect(story, &cast, &line).await
}

/// Heard and assessed: from now on the others are asked for what it needs.
async fn assessed(story: &mut Story<'_>, cast: &Cast<'_>, transfer: &DutyTransfer) -> Result<()> {
    story
        .step(
            &cast.street,
            "街道和居委会陈述意见",
            "is heard, and so is the committee",
            cast.is_heard(transfer),
        )
        .await?;
    let dispatcher = cast.stage.dispatcher()?;
    story
        .step(
            &dispatcher,
            "区里评估：依据、需要、负担、替代办法；评估后才申请权、费、人、训",
            "assesses it for the district: law, need, load, alternatives; only now the others are asked",
            cast.assesses_transfer(&dispatcher, transfer),
        )
        .await
}

/// Authority and money are there when there is nobody to do the work.
async fn rolled_back(story: &mut Story<'_>, cast: &Cast<'_>, line: &FundLine) -> Result<()> {
    let failed = story
        .step(
            &cast.department,
            "提出把“供热与热水保障”下移到社区服务站，需要权、费、人和培训",
            "proposes that the station leads an item of the department, with authority, funds, staff and training",
            cast.proposes(None),
        )
        .await?;
    shows(
        story,
        &failed,
        "下移失败：人不到位，权和费都退回",
        "rolled back: no staff, so authority and funds went back",
    );
    assessed(story, cast, &failed).await?;
    story.step(&cast.grantor, "授权", "grants authority", cast.grants(&failed)).await?;
    story.step(&cast.finance, "划拨经费", "allots the money", cast.allots(&failed, line)).await?;
    story.step(&cast.head, "答复：无人可派", "says that nobody is free", cast.refuses_staff(&failed)).await?;
    story
        .step(
            Who::Services,
            "缺一不可：整体回滚，授权收回、经费退回",
            "rolled back as a whole: authority and money are given back",
            async {
                let failed = cast.sees(&failed, DutyTransferState::RolledBack).await?;
                expect(failed.reason_code == "staff_unavailable", "for want of staff")?;
                cast.gave_back(&failed, line).await
            },
        )
        .await
}

/// Nobody refuses, but the station names no staff before the deadline: that is as good as a refusal, without anybody's doing.
async fn too_late(story: &mut Story<'_>, cast: &Cast<'_>, line: &FundLine) -> Result<()> {
    let stage = cast.stage;
    let deadline = stage.now().await? + TimeDelta::days(1);
    let failed = story
        .step(
            &cast.department,
            "再次提出下移，期限一天",
            "proposes it again, to be complete within a day",
            cast.proposes(Some(deadline)),
        )
        .await?;
    shows(
        story,
        &failed,
        "下移失败：到期人未到位，自动回滚",
        "rolled back by itself: no staff by the deadline, so authority and funds went back",
    );
    assessed(story, cast, &failed).await?;
    story.step(&cast.grantor, "授权", "grants authority", cast.grants(&failed)).await?;
    story.step(&cast.finance, "划拨经费", "allots the money", cast.allots(&failed, line)).await?;
    story
        .step(
            Who::Time,
            "期限已过，人未到位：自动整体回滚，授权收回、经费退回",
            "the deadline passes without staff: rolled back as a whole, authority and money are given back",
            async {
                stage.pass(deadline - stage.now().await? + TimeDelta::minutes(1)).await?;
                let failed = cast.sees(&failed, DutyTransferState::RolledBack).await?;
                expect(failed.reason_code == "deadline", "for nothing but the deadline")?;
                cast.gave_back(&failed, line).await
            },
        )
        .await?;
    stage.to_work_hours().await // the day after may be one of rest
}

/// Assessed, approved, and all of it there: in force on its day, and the five arrive. Then it ends, and what still arrives is sent
/// back.
async fn takes_effect(story: &mut Story<'_>, cast: &Cast<'_>, line: &FundLine) -> Result<()> {
    let stage = cast.stage;
    let (housing, station) = (stage.org("dept:housing")?, stage.org(&format!("station:{COMMUNITY}"))?);
    let transfer =
        story.step(&cast.department, "再次提出下移", "proposes it again", cast.proposes(None)).await?;
    shows(
        story,
        &transfer,
        "下移生效：权、费、人、训齐备，后又终止",
        "took effect with authority, funds, staff and training, and ended",
    );
    assessed(story, cast, &transfer).await?;
    story
        .step(&cast.approver, "区级批准，另一人签", "approves it, as another", cast.approves(&transfer))
        .await?;
    story.step(&cast.grantor, "授权", "grants authority", cast.grants(&transfer)).await?;
    story.step(&cast.finance, "划拨经费", "allots the money", cast.allots(&transfer, line)).await?;
    story.step(&cast.head, "指定专人", "names the staff", cast.names_staff(&transfer)).await?;
    story
        .step(
            &cast.head,
            "专人完成培训并留存记录",
            "has those who do the work trained, and keeps the record",
            cast.trains(&transfer),
        )
        .await?;
    story
        .step(
            Who::Services,
            "权、费、人、训均已确认",
            "authority, funds, staff and training are confirmed",
            cast.is_confirmed(&transfer),
        )
        .await?;
    let (window, resident) = (stage.window(COMMUNITY)?, stage.resident(5)?);
    let place = stage.unit(COMMUNITY)?;
    let before = story
        .step(
            &window,
            "生效日之前的工单仍由部门主办",
            "takes in a case before the day: the department still leads",
            window.takes_in(&resident, "热水时有时无，想咨询一下。", ITEM, &place),
        )
        .await?;
    expect(before.lead_org_id == housing, "not before its day")?;
    story
        .step(Who::Time, "到生效日：下移生效", "its day comes: it takes effect", async {
            stage.pass(TimeDelta::days(4)).await?;
            cast.sees(&transfer, DutyTransferState::Effective).await
        })
        .await?;
    let led = story
        .step(&window, "新工单由社区服务站主办", "takes in a case that the station leads", async {
            let asked = async || {
                let case = window.takes_in(&resident, "热水时有时无，请帮忙解决。", ITEM, &place).await?;
                Ok((case.lead_org_id == station).then_some(case))
            };
            stage.until("the station to lead", asked).await
        })
        .await?;
    story.shows_case(
        &led.case_id,
        "由服务站主办；移交终止后作为未准入事项退回部门",
        "led by the station; sent back as not admitted once the transfer had ended",
    );
    cast.authority(&transfer, |one| one.effective).await?;
    cast.demand(&transfer, |one| one.effective).await?;
    arrivals::are_seen(story, cast, &transfer).await?;
    story
        .step(
            &cast.approver,
            "终止移交：授权收回，已付经费不退",
            "ends it: authority goes back, what was paid stays paid",
            async {
                cast.ends(&transfer).await?;
                cast.authority(&transfer, |one| one.state() == DutyAuthorityState::Withdrawn).await?;
                let ended = cast.demand(&transfer, |one| one.staff() == DemandState::Returned).await?;
                expect(ended.funds() == DemandState::Met, "the money stays")?;
                expect(cast.allotted(line).await? == 80_000, "what was paid stays paid")?;
                cast.has_no_arrivals(&transfer).await
            },
        )
        .await?;
    let back = story
        .step(
            &cast.head,
            "退回未准入的工作",
            "sends back what is not admitted any more",
            cast.sends_back(&led),
        )
        .await?;
    expect_state(&back, CaseState::Dispatched)?;
    expect(back.lead_org_id == housing, "the department leads again")?;
    let dispatcher = stage.dispatcher()?;
    story
        .step(&dispatcher, "区里看到退回的记录", "sees what the community sent back", async {
            let request = dispatcher.asks(ListAdmissionRefusalsRequest::default()).await?;
            let answer = stage.suite.duties().list_admission_refusals(request).await;
            let all = dispatcher.heard("ListAdmissionRefusals", answer)?.refusals;
            let own = all.iter().find(|refusal| refusal.case_id == led.case_id);
            let own = own.context("the refusal of this case")?;
            expect(own.org_id == station && own.item_code == ITEM, "who sent back what")
        })
        .await?;
    admitted::for_a_time(story, cast).await
}

fn shows(story: &mut Story<'_>, transfer: &DutyTransfer, zh: &str, en: &str) {
    let id = transfer.duty_transfer_id.clone();
    story.shows("transfer", &id, format!("/duties/{id}"), zh, en);
}
