//! The five arrivals (五个到社区) of the duty while it is in force: what case-routing, staffing and analytics tell of it, before and
//! after a case was served and rated; and that nothing is told of a duty that is not in force.

use anyhow::{Context, Result};
use proto::{
    analytics::v1::{IndicatorValue, QueryIndicatorsRequest},
    case_routing::v1::{
        Arrival, ArrivalState, Case, CaseState, DutyArrivals, DutyTransfer, GetDutyArrivalsRequest,
        ListDutyArrivalsRequest,
    },
    staffing::v1::GetDutyDemandRequest,
};
use tonic::Code;

use super::{COMMUNITY, Cast, ITEM};
use crate::scenario::{
    stage::Person,
    story::{Story, Who, expect, expect_state},
};

/// What the figures of a duty are taken from.
const CODES: [&str; 5] = ["I-01-closed", "I-01-open", "I-07", "I-18", "I-20"];

/// What was counted of the item at the community since the duty is in force.
#[derive(Clone, Copy, Debug)]
struct Counted {
    came: i64,
    closed: i64,
    on_time: i64,
    graded: i64,
    rated: i64,
}

impl Counted {
    /// Where nothing was counted there is no rate.
    fn of(values: &[IndicatorValue]) -> Result<Self> {
        let find = |code: &str| {
            let found = values.iter().find(|value| value.code == code);
            found.with_context(|| format!("an answer without {code}"))
        };
        for value in values {
            expect((value.denominator == 0) == value.value.is_none(), "no rate of nothing")?;
        }
        let (closed, on_time) = (find("I-01-closed")?, find("I-07")?);
        Ok(Self {
            came: closed.denominator,
            closed: closed.numerator,
            on_time: on_time.numerator,
            graded: find("I-18")?.denominator,
            rated: find("I-20")?.denominator,
        })
    }
}

/// Staff, tasks, promise and money are there from the first day; appraisal comes with the first case that is served.
pub(super) async fn are_seen(story: &mut Story<'_>, cast: &Cast<'_>, transfer: &DutyTransfer) -> Result<()> {
    let stage = story.stage;
    let (told, before) = story
        .step(
            &cast.head,
            "查看五个到社区：人员在岗，任务列入清单，承诺时限和经费到位",
            "sees which of the five have come: staff on their posts, tasks in the list, promise, money",
            async {
                let told = cast.sees_the_four(transfer).await?;
                cast.posts_are_filled(transfer).await?;
                let counted = cast.counted(&cast.head, &told).await?;
                Ok((told, counted))
            },
        )
        .await?;
    let served = served(story, cast).await?;
    expect_state(&served, CaseState::Closed)?;
    story
        .step(
            Who::Services,
            "居民评议到社区：工单结案、评价计入该社区该事项",
            "appraisal comes, too: the closed case and its rating are counted for the community and the item",
            async {
                let more = async || {
                    let now = cast.counted(&cast.head, &told).await?;
                    let all = now.came > before.came
                        && now.closed > before.closed
                        && now.on_time > before.on_time
                        && now.graded > before.graded
                        && now.rated > before.rated;
                    Ok(all.then_some(()))
                };
                stage.until("the rated case in the figures of the duty", more).await
            },
        )
        .await?;
    story
        .step(
            &cast.department,
            "部门看到人、费、任务、承诺，看不到社区的数字：部门不得自行考核社区",
            "sees the same facts, and no figure of the community: it does not appraise it by itself",
            async {
                let own = cast.arrivals(&cast.department, &told.duty_id).await?;
                expect(own == told, "the same facts for both sides")?;
                let request = cast.department.asks(question(&told)).await?;
                let refused = stage.suite.indicators().query_indicators(request).await;
                let hidden = refused.is_err_and(|status| status.code() == Code::NotFound);
                expect(hidden, "no figure of a community for a department")
            },
        )
        .await
}

/// One more case, which the station takes to its end.
async fn served(story: &mut Story<'_>, cast: &Cast<'_>) -> Result<Case> {
    let stage = story.stage;
    let (window, resident) = (stage.window(COMMUNITY)?, stage.resident(5)?);
    let place = stage.unit(COMMUNITY)?;
    let case = story
        .step(
            &window,
            "再受理一件，由服务站主办",
            "takes in another one, which the station leads",
            window.takes_in(&resident, "热水忽冷忽热，请上门看看。", ITEM, &place),
        )
        .await?;
    expect(case.lead_org_id == stage.org(&format!("station:{COMMUNITY}"))?, "the station leads")?;
    let case = story
        .step(
            &cast.head,
            "签收、联系、办结",
            "signs for it, speaks with the requester, gets it done",
            async {
                let case = cast.head.signs(&case).await?;
                let case = cast.head.contacts(&case).await?;
                cast.head.completes(&case).await
            },
        )
        .await?;
    let verifier = stage.anyone("verifier", 0)?;
    let case = story
        .step(
            &verifier,
            "第三方核查并回访：已解决",
            "verifies it with the requester: solved",
            verifier.verifies(&case, 5),
        )
        .await?;
    story
        .step(&resident, "评价：非常满意；结案", "rates it, very satisfied; it is closed", async {
            let case = resident.rates(&case, 5).await?;
            stage.sees_state(&case, CaseState::Closed).await
        })
        .await
}

/// What analytics is asked of a duty.
fn question(of: &DutyArrivals) -> QueryIndicatorsRequest {
    QueryIndicatorsRequest {
        codes: CODES.map(str::to_owned).into(),
        unit_ids: vec![of.unit_id.clone()],
        start_date: of.since_date.clone(),
        end_date: String::new(),
        item_code: ITEM.to_owned(),
    }
}

/// Whether one of the five is said to have come.
pub(super) fn has_come(arrival: Option<&Arrival>) -> bool {
    arrival.is_some_and(|arrival| arrival.state() == ArrivalState::Arrived && arrival.reason_code.is_empty())
}

impl Cast<'_> {
    /// What has come with a duty in force, as somebody sees it.
    pub(super) async fn arrivals(&self, by: &Person<'_>, duty_id: &str) -> Result<DutyArrivals> {
        let request = by.asks(GetDutyArrivalsRequest { duty_id: duty_id.to_owned() }).await?;
        let answer = self.stage.suite.duties().get_duty_arrivals(request).await;
        by.heard("GetDutyArrivals", answer)?.arrivals.context("an answer without the arrivals")
    }

    /// A duty that is not in force has none, alone or in the list.
    pub(super) async fn has_no_arrivals(&self, transfer: &DutyTransfer) -> Result<()> {
        let duty_id = transfer.duty_transfer_id.clone();
        let request = self.head.asks(GetDutyArrivalsRequest { duty_id: duty_id.clone() }).await?;
        let refused = self.stage.suite.duties().get_duty_arrivals(request).await;
        let none = refused.is_err_and(|status| status.code() == Code::FailedPrecondition);
        expect(none, "no arrivals of what is not in force")?;
        let request =
            self.head.asks(ListDutyArrivalsRequest { page_size: 200, ..Default::default() }).await?;
        let answer = self.stage.suite.duties().list_duty_arrivals(request).await;
        let listed = self.head.heard("ListDutyArrivals", answer)?.arrivals;
        expect(listed.iter().all(|one| one.duty_id != duty_id), "nor in the list")
    }

    async fn sees_the_four(&self, transfer: &DutyTransfer) -> Result<DutyArrivals> {
        let told = self.arrivals(&self.head, &transfer.duty_transfer_id).await?;
        let place = self.stage.unit(COMMUNITY)?;
        expect(told.unit_id == place && told.to_org_id == transfer.to_org_id, "of this community's station")?;
        expect(has_come(told.tasks.as_ref()) && has_come(told.promise.as_ref()), "tasks and promise")?;
        let staff = told.staff.as_ref().context("staff")?;
        expect(has_come(staff.arrival.as_ref()) && staff.promised_posts == transfer.posts, "staff")?;
        let funds = told.funds.as_ref().context("money")?;
        expect(has_come(funds.arrival.as_ref()) && funds.allotted_fen == Some(transfer.fund_fen), "money")?;
        expect(!funds.fund_line_code.is_empty(), "the fund line")?;
        let [item] = told.items.as_slice() else { anyhow::bail!("expected: one item, found {told:?}") };
        expect(item.item_code == ITEM && !item.rule_id.is_empty(), "the rule of the list")?;
        expect(item.promised_limit.as_ref().is_some_and(|limit| limit.amount > 0), "the promised limit")?;
        Ok(told)
    }

    async fn posts_are_filled(&self, transfer: &DutyTransfer) -> Result<()> {
        let duty_transfer_id = transfer.duty_transfer_id.clone();
        let request = self.head.asks(GetDutyDemandRequest { duty_transfer_id }).await?;
        let answer = self.stage.suite.duty_resources().get_duty_demand(request).await;
        let filled: i32 =
            self.head.heard("GetDutyDemand", answer)?.filled_posts.iter().map(|post| post.count).sum();
        let promised: i32 = transfer.posts.iter().map(|post| post.count).sum();
        expect(filled == promised, "somebody on every promised post")
    }

    async fn counted(&self, by: &Person<'_>, of: &DutyArrivals) -> Result<Counted> {
        let answer = self.stage.suite.indicators().query_indicators(by.asks(question(of)).await?).await;
        Counted::of(&by.heard("QueryIndicators", answer)?.values)
    }
}
