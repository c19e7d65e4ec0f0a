//! F8: a department's item is to be led by a community's station. Without its staff it is rolled back and leaves nothing
//! behind; with authority, funds and staff it takes effect, and ends. What then still arrives is sent back.

use anyhow::{Context, Result};
use chrono::{Days, TimeDelta};
use proto::{
    case_routing::v1::{
        ApplyAdmissionRequest, ApproveDutyTransferRequest, Case, CaseState, DutyLeg, DutyTransfer,
        DutyTransferState, EndDutyTransferRequest, GetDutyTransferRequest, GiveDutyOpinionRequest, LegState,
        ListAdmissionRefusalsRequest, ListAdmissionsRequest, ListDutyTransfersRequest, OpinionView, PostNeed,
        ProposeDutyTransferRequest, RefuseUnadmittedRequest, TaskAdmissionState, WithdrawAdmissionRequest,
        WithdrawDutyTransferRequest,
    },
    identity::v1::{
        DutyAuthority, DutyAuthorityState, GrantDutyAuthorityRequest, ListDutyAuthoritiesRequest,
    },
    staffing::v1::{
        AllotFundsRequest, AssignDutyStaffRequest, CreateFundLineRequest, DemandState, DutyDemand, FundLine,
        ListDutyDemandsRequest, ListFundLinesRequest, ListPostsRequest, PostKind, RefuseDutyStaffRequest,
    },
};

use super::{
    stage::{Person, Stage},
    story::{Story, Who, expect, expect_state},
};
use crate::{simulate::lead_task, suite::request_id};

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
    takes_effect(story, &cast, &line).await
}

/// What is under way of the item at the station: an earlier play that was broken off, or somebody's own.
struct Left {
    transfers: Vec<DutyTransfer>,
    /// By id.
    admissions: Vec<String>,
}

/// Two of three are there when the third says no.
async fn rolled_back(story: &mut Story<'_>, cast: &Cast<'_>, line: &FundLine) -> Result<()> {
    let failed = story
        .step(
            &cast.department,
            "提出把“供热与热水保障”下移到社区服务站，申请权、费、人",
            "proposes that the station leads an item of the department; asks for authority, funds and staff",
            cast.proposes(),
        )
        .await?;
    shows(
        story,
        &failed,
        "下移失败：人不到位，权和费都退回",
        "rolled back: no staff, so authority and funds went back",
    );
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
                cast.authority(&failed, |one| one.state() == DutyAuthorityState::Withdrawn && one.closed)
                    .await?;
                cast.demand(&failed, |one| one.funds() == DemandState::Returned && one.closed).await?;
                expect(cast.allotted(line).await? == 0, "the money is back")
            },
        )
        .await
}

/// All three, heard and approved: in force on its day. Then it ends, and what still arrives is sent back.
async fn takes_effect(story: &mut Story<'_>, cast: &Cast<'_>, line: &FundLine) -> Result<()> {
    let stage = cast.stage;
    let (housing, station) = (stage.org("dept:housing")?, stage.org(&format!("station:{COMMUNITY}"))?);
    let transfer = story.step(&cast.department, "再次提出下移", "proposes it again", cast.proposes()).await?;
    shows(
        story,
        &transfer,
        "下移生效：权、费、人齐备，后又终止",
        "took effect with authority, funds and staff, and ended",
    );
    story
        .step(
            &cast.street,
            "街道和居委会陈述意见",
            "is heard, and so is the committee",
            cast.is_heard(&transfer),
        )
        .await?;
    story.step(&cast.approver, "区级批准", "approves it", cast.approves(&transfer)).await?;
    story.step(&cast.grantor, "授权", "grants authority", cast.grants(&transfer)).await?;
    story.step(&cast.finance, "划拨经费", "allots the money", cast.allots(&transfer, line)).await?;
    story.step(&cast.head, "指定专人", "names the staff", cast.names_staff(&transfer)).await?;
    story
        .step(Who::Services, "权、费、人均已确认", "all three are confirmed", cast.is_confirmed(&transfer))
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
                expect(cast.allotted(line).await? == 80_000, "what was paid stays paid")
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
    let admission = story
        .step(
            &cast.department,
            "改为申请阶段性协助准入，待区里评估",
            "applies instead that the station assists for a time; the district will assess it",
            cast.applies_for_admission(),
        )
        .await?;
    let path = format!("/duties#a-{admission}");
    story.shows("admission", &admission, path, "准入申请：待评估", "an admission that waits to be assessed");
    Ok(())
}

fn shows(story: &mut Story<'_>, transfer: &DutyTransfer, zh: &str, en: &str) {
    let id = transfer.duty_transfer_id.clone();
    story.shows("transfer", &id, format!("/duties/{id}"), zh, en);
}

impl Cast<'_> {
    async fn in_the_way(&self) -> Result<Left> {
        let request = ListDutyTransfersRequest { page_size: 200, ..Default::default() };
        let answer =
            self.stage.suite.duties().list_duty_transfers(self.department.asks(request).await?).await;
        let station = self.stage.org(&format!("station:{COMMUNITY}"))?;
        let mut transfers = self.department.heard("ListDutyTransfers", answer)?.transfers;
        let on_their_way =
            [DutyTransferState::Proposed, DutyTransferState::Effective, DutyTransferState::Suspended];
        transfers.retain(|one| {
            let ours = one.to_org_id == station && one.item_codes.iter().any(|item| item == ITEM);
            ours && on_their_way.contains(&one.state())
        });
        let request = ListAdmissionsRequest { page_size: 200, ..Default::default() };
        let answer = self.stage.suite.duties().list_admissions(self.department.asks(request).await?).await;
        let mut admissions = self.department.heard("ListAdmissions", answer)?.admissions;
        let over = [TaskAdmissionState::Expired, TaskAdmissionState::Withdrawn, TaskAdmissionState::Denied];
        admissions
            .retain(|one| one.to_org_id == station && one.item_code == ITEM && !over.contains(&one.state()));
        let admissions = admissions.into_iter().map(|one| one.admission_id).collect();
        Ok(Left { transfers, admissions })
    }

    async fn clears_the_way(&self, left: &Left) -> Result<()> {
        for transfer in &left.transfers {
            if transfer.state() == DutyTransferState::Proposed {
                self.withdraws(transfer).await?;
            } else {
                self.ends(transfer).await?;
            }
        }
        for admission in &left.admissions {
            let message = WithdrawAdmissionRequest {
                admission_id: admission.clone(),
                request_id: request_id(),
                reason_code: "replaced".into(),
                ..Default::default()
            };
            self.department.notes(admission, "WithdrawAdmission", &message.request_id);
            let request = self.department.asks(message).await?;
            let answer = self.stage.suite.duties().withdraw_admission(request).await;
            self.department.heard("WithdrawAdmission", answer)?;
        }
        Ok(())
    }

    async fn proposes(&self) -> Result<DutyTransfer> {
        let today = calendar::local_day(self.stage.now().await?);
        let message = ProposeDutyTransferRequest {
            request_id: request_id(),
            from_org_id: self.stage.org("dept:housing")?,
            to_org_id: self.stage.org(&format!("station:{COMMUNITY}"))?,
            item_codes: vec![ITEM.into()],
            basis_ref: "doc:district-2026-8".into(),
            fund_fen: 80_000,
            posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            effective_on: (today + Days::new(3)).to_string(),
            deadline_time: None,
        };
        let id = message.request_id.clone();
        let request = self.department.asks(message).await?;
        let answer = self.stage.suite.duties().propose_duty_transfer(request).await;
        let transfer = self.department.heard("ProposeDutyTransfer", answer)?.transfer;
        let transfer = transfer.context("an answer without the transfer")?;
        self.department.notes(&transfer.duty_transfer_id, "ProposeDutyTransfer", &id);
        Ok(transfer)
    }

    async fn applies_for_admission(&self) -> Result<String> {
        let today = calendar::local_day(self.stage.now().await?);
        let message = ApplyAdmissionRequest {
            request_id: request_id(),
            from_org_id: self.stage.org("dept:housing")?,
            to_org_id: self.stage.org(&format!("station:{COMMUNITY}"))?,
            item_code: ITEM.into(),
            basis_ref: "doc:district-2026-9".into(),
            fund_fen: 20_000,
            posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            training_codes: vec!["heating_basics".into()],
            effective_on: (today + Days::new(7)).to_string(),
            ends_on: (today + Days::new(97)).to_string(),
        };
        let id = message.request_id.clone();
        let request = self.department.asks(message).await?;
        let answer = self.stage.suite.duties().apply_admission(request).await;
        let admission = self.department.heard("ApplyAdmission", answer)?.admission;
        let admission = admission.context("an answer without the admission")?.admission_id;
        self.department.notes(&admission, "ApplyAdmission", &id);
        Ok(admission)
    }

    async fn transfer(&self, transfer: &DutyTransfer) -> Result<DutyTransfer> {
        let message = GetDutyTransferRequest { duty_transfer_id: transfer.duty_transfer_id.clone() };
        let request = self.department.asks(message).await?;
        let answer = self.stage.suite.duties().get_duty_transfer(request).await;
        self.department.heard("GetDutyTransfer", answer)?.transfer.context("an answer without the transfer")
    }

    async fn sees(&self, transfer: &DutyTransfer, state: DutyTransferState) -> Result<DutyTransfer> {
        let reached = async || {
            let now = self.transfer(transfer).await?;
            Ok((now.state() == state).then_some(now))
        };
        self.stage.until(state.as_str_name(), reached).await
    }

    async fn is_confirmed(&self, transfer: &DutyTransfer) -> Result<()> {
        let confirmed =
            |leg: &Option<DutyLeg>| leg.as_ref().is_some_and(|leg| leg.state() == LegState::Confirmed);
        let all = async || {
            let now = self.transfer(transfer).await?;
            Ok((confirmed(&now.authority) && confirmed(&now.funds) && confirmed(&now.staff)).then_some(()))
        };
        self.stage.until("authority, funds and staff to be confirmed", all).await
    }

    /// Waits until identity knows of it as described.
    async fn authority(&self, transfer: &DutyTransfer, done: impl Fn(&DutyAuthority) -> bool) -> Result<()> {
        let known = async || {
            let request = self
                .grantor
                .asks(ListDutyAuthoritiesRequest { page_size: 200, ..Default::default() })
                .await?;
            let answer = self.stage.suite.duty_authorities().list_duty_authorities(request).await;
            let all = self.grantor.heard("ListDutyAuthorities", answer)?.authorities;
            let own = all.iter().find(|one| one.duty_transfer_id == transfer.duty_transfer_id);
            Ok(own.filter(|one| done(one)).map(|_| ()))
        };
        self.stage.until("identity's part of the transfer", known).await
    }

    /// Waits until staffing knows of it as described.
    async fn demand(
        &self,
        transfer: &DutyTransfer,
        done: impl Fn(&DutyDemand) -> bool,
    ) -> Result<DutyDemand> {
        let known = async || {
            let request =
                self.finance.asks(ListDutyDemandsRequest { page_size: 200, ..Default::default() }).await?;
            let answer = self.stage.suite.duty_resources().list_duty_demands(request).await;
            let all = self.finance.heard("ListDutyDemands", answer)?.demands;
            let own = all.into_iter().find(|one| one.duty_transfer_id == transfer.duty_transfer_id);
            Ok(own.filter(|one| done(one)))
        };
        self.stage.until("staffing's part of the transfer", known).await
    }

    /// A line of its own for each play, because what was paid out of one stays paid.
    async fn opens_a_line(&self) -> Result<FundLine> {
        let id = request_id();
        let message = CreateFundLineRequest {
            request_id: id.clone(),
            code: format!("heating-{}", &id[id.len() - 12..]),
            org_id: self.stage.org("gov:420103")?,
            budget_fen: 100_000,
        };
        self.finance.notes(&message.code, "CreateFundLine", &id);
        let answer =
            self.stage.suite.duty_resources().create_fund_line(self.finance.asks(message).await?).await;
        self.finance.heard("CreateFundLine", answer)?.fund_line.context("an answer without the fund line")
    }

    async fn allotted(&self, line: &FundLine) -> Result<i64> {
        let mut page_token = String::new();
        loop {
            let message = ListFundLinesRequest { page_size: 200, page_token };
            let answer =
                self.stage.suite.duty_resources().list_fund_lines(self.finance.asks(message).await?).await;
            let page = self.finance.heard("ListFundLines", answer)?;
            if let Some(own) = page.fund_lines.iter().find(|known| known.fund_line_id == line.fund_line_id) {
                return Ok(own.allotted_fen);
            }
            page_token = page.next_page_token;
            expect(!page_token.is_empty(), "the fund line in the list")?;
        }
    }

    async fn allots(&self, transfer: &DutyTransfer, line: &FundLine) -> Result<()> {
        self.demand(transfer, |one| one.funds() == DemandState::Asked).await?;
        let message = AllotFundsRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            fund_line_id: line.fund_line_id.clone(),
        };
        self.finance.notes(&message.duty_transfer_id, "AllotFunds", &message.request_id);
        let answer = self.stage.suite.duty_resources().allot_funds(self.finance.asks(message).await?).await;
        self.finance.heard("AllotFunds", answer).map(drop)
    }

    async fn names_staff(&self, transfer: &DutyTransfer) -> Result<()> {
        let org_id = self.stage.org(&format!("station:{COMMUNITY}"))?;
        let request = self.head.asks(ListPostsRequest { org_id, ..Default::default() }).await?;
        let answer = self.stage.suite.workforce().list_posts(request).await;
        let posts = self.head.heard("ListPosts", answer)?.posts;
        let mut workers = posts.into_iter().filter(|post| post.kind() == PostKind::ServiceWorker);
        let post = workers.find(|post| post.state == "filled").context("a worker at the station")?;
        let message = AssignDutyStaffRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            post_ids: vec![post.post_id],
        };
        self.head.notes(&message.duty_transfer_id, "AssignDutyStaff", &message.request_id);
        let answer =
            self.stage.suite.duty_resources().assign_duty_staff(self.head.asks(message).await?).await;
        self.head.heard("AssignDutyStaff", answer).map(drop)
    }

    async fn sends_back(&self, case: &Case) -> Result<Case> {
        let task = lead_task(case).context("the case has no lead task")?;
        let message = RefuseUnadmittedRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: task.task_id.clone(),
            reason_code: "not_admitted".into(),
            ..Default::default()
        };
        self.head.notes(&case.case_id, "RefuseUnadmitted", &message.request_id);
        let answer = self.stage.suite.duties().refuse_unadmitted(self.head.asks(message).await?).await;
        self.head.heard("RefuseUnadmitted", answer)?.case.context("an answer without the case")
    }

    async fn is_heard(&self, transfer: &DutyTransfer) -> Result<()> {
        self.says(&self.street, transfer).await?;
        self.says(&self.committee, transfer).await
    }
}

/// Commands that only name the transfer.
macro_rules! commands {
    ($($name:ident($who:ident $(, $arg:ident: $ty:ty)?) = $client:ident.$rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        impl Cast<'_> {$(
            async fn $name(&self $(, $arg: $ty)?, transfer: &DutyTransfer) -> Result<()> {
                let person = commands!(@who self $who $(, $arg)?);
                #[allow(clippy::needless_update, reason = "some of these requests have no further fields")]
                let message = $request {
                    duty_transfer_id: transfer.duty_transfer_id.clone(),
                    request_id: request_id(),
                    $($field: $value,)*
                    ..Default::default()
                };
                person.notes(&message.duty_transfer_id, $rpc_name, &message.request_id);
                let answer = self.stage.suite.$client().$rpc(person.asks(message).await?).await;
                person.heard($rpc_name, answer).map(drop)
            }
        )*}
    };
    (@who $self:ident given, $arg:ident) => { $arg };
    (@who $self:ident $who:ident) => { &$self.$who };
}

commands! {
    says(given, person: &Person<'_>) = duties.give_duty_opinion("GiveDutyOpinion", GiveDutyOpinionRequest {
        view: OpinionView::Supports.into(), reason_code: "near_to_people".into(),
    });
    approves(approver) = duties.approve_duty_transfer("ApproveDutyTransfer", ApproveDutyTransferRequest {});
    ends(approver) = duties.end_duty_transfer("EndDutyTransfer", EndDutyTransferRequest { reason_code: "pilot_over".into() });
    withdraws(department) = duties.withdraw_duty_transfer("WithdrawDutyTransfer", WithdrawDutyTransferRequest {
        reason_code: "replaced".into(),
    });
    grants_authority(grantor) = duty_authorities.grant_duty_authority("GrantDutyAuthority", GrantDutyAuthorityRequest {
        basis_ref: "doc:district-grant-8".into(),
    });
    says_no_staff(head) = duty_resources.refuse_duty_staff("RefuseDutyStaff", RefuseDutyStaffRequest {
        reason_code: "nobody_free".into(),
    });
}

impl Cast<'_> {
    async fn grants(&self, transfer: &DutyTransfer) -> Result<()> {
        self.authority(transfer, |one| one.state() == DutyAuthorityState::Asked).await?;
        self.grants_authority(transfer).await
    }

    async fn refuses_staff(&self, transfer: &DutyTransfer) -> Result<()> {
        self.demand(transfer, |one| one.staff() == DemandState::Asked).await?;
        self.says_no_staff(transfer).await
    }
}
