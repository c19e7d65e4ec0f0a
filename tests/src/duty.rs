//! F8: a department's item is to be led by a community's station. Without its staff it is rolled back and leaves nothing
//! behind; with authority, funds and staff it takes effect, and ends. What then still arrives is sent back.

use chrono::{Days, TimeDelta};
use jianghan::suite::request_id;
use proto::{
    case_routing::v1::{
        ApproveDutyTransferRequest, CaseState, DutyTransfer, DutyTransferState, EndDutyTransferRequest,
        GetDutyTransferRequest, GiveDutyOpinionRequest, LegState, ListAdmissionRefusalsRequest, OpinionView,
        PostNeed, ProposeDutyTransferRequest, RefuseUnadmittedRequest,
    },
    identity::v1::{
        DutyAuthority, DutyAuthorityState, GrantDutyAuthorityRequest, ListDutyAuthoritiesRequest,
    },
    staffing::v1::{
        AllotFundsRequest, AssignDutyStaffRequest, CreateFundLineRequest, DemandState, DutyDemand, FundLine,
        ListDutyDemandsRequest, ListFundLinesRequest, ListPostsRequest, PostKind, RefuseDutyStaffRequest,
    },
};

use crate::{Person, World, eventually};

/// A community of the second street, where no other journey is.
const COMMUNITY: &str = "420103008001";
/// Help with housing: the department's, and on no negative list.
const ITEM: &str = "CJ-0108";

/// Everybody who takes part.
struct Cast<'w> {
    world: &'w World,
    department: Person<'w>,
    street: Person<'w>,
    committee: Person<'w>,
    head: Person<'w>,
    finance: Person<'w>,
    approver: Person<'w>,
    grantor: Person<'w>,
}

/// The whole journey.
pub async fn moves_down(world: &World) {
    let cast = Cast {
        world,
        department: world.login("leader.housing"),
        street: world.login("leader.420103008"),
        committee: world.login("committee.420103008001"),
        head: world.login("head.420103008001"),
        finance: world.login("finance1"),
        approver: world.login("arbiter1"),
        grantor: world.login("arbiter2"),
    };
    let line = cast.opens_a_line().await;
    let (housing, station) = (world.org("dept:housing"), world.org(&format!("station:{COMMUNITY}")));

    // Two of three are there when the third says no.
    let failed = cast.proposes().await;
    cast.grants(&failed).await;
    cast.allots(&failed, &line).await;
    cast.refuses_staff(&failed).await;
    let failed = cast.sees(&failed, DutyTransferState::RolledBack).await;
    assert_eq!(failed.reason_code, "staff_unavailable");
    cast.authority(&failed, |one| one.state() == DutyAuthorityState::Withdrawn && one.closed).await;
    cast.demand(&failed, |one| one.funds() == DemandState::Returned && one.closed).await;
    assert_eq!(cast.allotted(&line).await, 0, "the money is back");

    // All three, heard and approved: in force on its day.
    let transfer = cast.proposes().await;
    cast.is_heard(&transfer).await;
    cast.approves(&transfer).await;
    cast.grants(&transfer).await;
    cast.allots(&transfer, &line).await;
    cast.names_staff(&transfer).await;
    eventually("all three are confirmed", async || {
        let now = cast.transfer(&transfer).await;
        let confirmed = |leg: &Option<proto::case_routing::v1::DutyLeg>| {
            leg.as_ref().is_some_and(|leg| leg.state() == LegState::Confirmed)
        };
        (confirmed(&now.authority) && confirmed(&now.funds) && confirmed(&now.staff)).then_some(())
    })
    .await;
    let (window, resident) = (world.window(COMMUNITY), world.resident(5));
    let place = world.unit(COMMUNITY);
    let before = window.takes_in(&resident, "房屋维修咨询", ITEM, &place).await;
    assert_eq!(before.lead_org_id, housing, "not before its day");
    world.pass(TimeDelta::days(4)).await.expect("time passes");
    let transfer = cast.sees(&transfer, DutyTransferState::Effective).await;
    let led = eventually("the station leads", async || {
        let case = window.takes_in(&resident, "房屋维修求助", ITEM, &place).await;
        (case.lead_org_id == station).then_some(case)
    })
    .await;
    cast.authority(&transfer, |one| one.effective).await;
    cast.demand(&transfer, |one| one.effective).await;

    // It ends; what had arrived is sent back, and the district sees that.
    cast.ends(&transfer).await;
    cast.authority(&transfer, |one| one.state() == DutyAuthorityState::Withdrawn).await;
    let ended = cast.demand(&transfer, |one| one.staff() == DemandState::Returned).await;
    assert_eq!(
        (ended.funds(), cast.allotted(&line).await),
        (DemandState::Met, 80_000),
        "what was paid stays paid"
    );
    let back = cast.sends_back(&led).await;
    assert_eq!((back.state(), &back.lead_org_id), (CaseState::Dispatched, &housing));
    let request = world.dispatcher().asks(ListAdmissionRefusalsRequest::default()).await;
    let refusals =
        world.patient.duties().list_admission_refusals(request).await.expect("refusals").into_inner();
    let told = refusals
        .refusals
        .iter()
        .find(|refusal| refusal.case_id == led.case_id)
        .expect("the district is told");
    assert_eq!((&told.org_id, told.item_code.as_str()), (&station, ITEM));
    world.settles().await;
}

impl Cast<'_> {
    async fn proposes(&self) -> DutyTransfer {
        let today = calendar::local_day(self.world.now().await.expect("domain time"));
        let message = ProposeDutyTransferRequest {
            request_id: request_id(),
            from_org_id: self.world.org("dept:housing"),
            to_org_id: self.world.org(&format!("station:{COMMUNITY}")),
            item_codes: vec![ITEM.into()],
            basis_ref: "doc:district-2026-8".into(),
            fund_fen: 80_000,
            posts: vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 1 }],
            effective_on: (today + Days::new(3)).to_string(),
            deadline_time: None,
        };
        let request = self.department.asks(message).await;
        let answer = self.world.patient.duties().propose_duty_transfer(request).await;
        answer.expect("it is proposed").into_inner().transfer.expect("a transfer")
    }

    async fn is_heard(&self, transfer: &DutyTransfer) {
        for person in [&self.street, &self.committee] {
            let message = GiveDutyOpinionRequest {
                duty_transfer_id: transfer.duty_transfer_id.clone(),
                request_id: request_id(),
                view: OpinionView::Supports.into(),
                reason_code: "near_to_people".into(),
                ..Default::default()
            };
            let request = person.asks(message).await;
            self.world.patient.duties().give_duty_opinion(request).await.expect("an opinion");
        }
    }

    async fn approves(&self, transfer: &DutyTransfer) {
        let message = ApproveDutyTransferRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let request = self.approver.asks(message).await;
        self.world.patient.duties().approve_duty_transfer(request).await.expect("an approval");
    }

    async fn ends(&self, transfer: &DutyTransfer) {
        let message = EndDutyTransferRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            reason_code: "pilot_over".into(),
            ..Default::default()
        };
        let request = self.approver.asks(message).await;
        self.world.patient.duties().end_duty_transfer(request).await.expect("an end");
    }

    async fn transfer(&self, transfer: &DutyTransfer) -> DutyTransfer {
        let message = GetDutyTransferRequest { duty_transfer_id: transfer.duty_transfer_id.clone() };
        let request = self.department.asks(message).await;
        let answer = self.world.patient.duties().get_duty_transfer(request).await;
        answer.expect("the transfer").into_inner().transfer.expect("a transfer")
    }

    async fn sees(&self, transfer: &DutyTransfer, state: DutyTransferState) -> DutyTransfer {
        eventually(state.as_str_name(), async || {
            let now = self.transfer(transfer).await;
            (now.state() == state).then_some(now)
        })
        .await
    }

    /// Waits until identity knows of it as described.
    async fn authority(&self, transfer: &DutyTransfer, done: impl Fn(&DutyAuthority) -> bool) {
        eventually("identity's part of a transfer", async || {
            let request = self.grantor.asks(ListDutyAuthoritiesRequest::default()).await;
            let answer = self.world.patient.duty_authorities().list_duty_authorities(request).await.ok()?;
            let mut known = answer.into_inner().authorities.into_iter();
            let own = known.find(|one| one.duty_transfer_id == transfer.duty_transfer_id)?;
            done(&own).then_some(())
        })
        .await;
    }

    async fn grants(&self, transfer: &DutyTransfer) {
        self.authority(transfer, |one| one.state() == DutyAuthorityState::Asked).await;
        let message = GrantDutyAuthorityRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            basis_ref: "doc:district-grant-8".into(),
        };
        let request = self.grantor.asks(message).await;
        self.world.patient.duty_authorities().grant_duty_authority(request).await.expect("authority");
    }

    /// Waits until staffing knows of it as described.
    async fn demand(&self, transfer: &DutyTransfer, done: impl Fn(&DutyDemand) -> bool) -> DutyDemand {
        eventually("staffing's part of a transfer", async || {
            let request = self.finance.asks(ListDutyDemandsRequest::default()).await;
            let answer = self.world.patient.duty_resources().list_duty_demands(request).await.ok()?;
            let mut known = answer.into_inner().demands.into_iter();
            let own = known.find(|one| one.duty_transfer_id == transfer.duty_transfer_id)?;
            done(&own).then_some(own)
        })
        .await
    }

    async fn opens_a_line(&self) -> FundLine {
        let message = CreateFundLineRequest {
            request_id: request_id(),
            code: "housing-help".into(),
            org_id: self.world.org("gov:420103"),
            budget_fen: 100_000,
        };
        let request = self.finance.asks(message).await;
        let answer = self.world.patient.duty_resources().create_fund_line(request).await;
        answer.expect("a fund line").into_inner().fund_line.expect("a fund line")
    }

    async fn allotted(&self, line: &FundLine) -> i64 {
        let request = self.finance.asks(ListFundLinesRequest::default()).await;
        let answer = self.world.patient.duty_resources().list_fund_lines(request).await.expect("fund lines");
        let mut lines = answer.into_inner().fund_lines.into_iter();
        lines.find(|known| known.fund_line_id == line.fund_line_id).expect("the line").allotted_fen
    }

    async fn allots(&self, transfer: &DutyTransfer, line: &FundLine) {
        self.demand(transfer, |one| one.funds() == DemandState::Asked).await;
        let message = AllotFundsRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            fund_line_id: line.fund_line_id.clone(),
        };
        let request = self.finance.asks(message).await;
        self.world.patient.duty_resources().allot_funds(request).await.expect("money");
    }

    async fn names_staff(&self, transfer: &DutyTransfer) {
        let org_id = self.world.org(&format!("station:{COMMUNITY}"));
        let request = self.head.asks(ListPostsRequest { org_id, ..Default::default() }).await;
        let posts =
            self.world.patient.workforce().list_posts(request).await.expect("posts").into_inner().posts;
        let mut workers = posts.into_iter().filter(|post| post.kind() == PostKind::ServiceWorker);
        let post = workers.find(|post| post.state == "filled").expect("a worker at the station");
        let message = AssignDutyStaffRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            post_ids: vec![post.post_id],
        };
        let request = self.head.asks(message).await;
        self.world.patient.duty_resources().assign_duty_staff(request).await.expect("staff");
    }

    async fn refuses_staff(&self, transfer: &DutyTransfer) {
        let message = RefuseDutyStaffRequest {
            duty_transfer_id: transfer.duty_transfer_id.clone(),
            request_id: request_id(),
            reason_code: "nobody_free".into(),
        };
        let request = self.head.asks(message).await;
        self.world.patient.duty_resources().refuse_duty_staff(request).await.expect("a refusal");
    }

    async fn sends_back(&self, case: &proto::case_routing::v1::Case) -> proto::case_routing::v1::Case {
        let lead = jianghan::simulate::lead_task(case).expect("a lead task");
        let message = RefuseUnadmittedRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            task_id: lead.task_id.clone(),
            reason_code: "not_admitted".into(),
            ..Default::default()
        };
        let request = self.head.asks(message).await;
        let answer = self.world.patient.duties().refuse_unadmitted(request).await;
        answer.expect("it is sent back").into_inner().case.expect("the case")
    }
}
