//! What those who take part do about a transfer, each as a sentence, and what they see of it at the services.

use anyhow::{Context, Result};
use chassis::clock::to_proto;
use chrono::{DateTime, Days, Utc};
use proto::{
    case_routing::v1::{
        ApproveDutyTransferRequest, AssessDutyTransferRequest, Case, DutyLeg, DutyTransfer,
        DutyTransferState, EndDutyTransferRequest, GetDutyTransferRequest, GiveDutyOpinionRequest, LegState,
        ListAdmissionsRequest, ListDutyTransfersRequest, OpinionView, PostNeed, ProposeDutyTransferRequest,
        RefuseUnadmittedRequest, TaskAdmissionState, WithdrawAdmissionRequest, WithdrawDutyTransferRequest,
    },
    identity::v1::{
        DutyAuthority, DutyAuthorityState, GrantDutyAuthorityRequest, ListDutyAuthoritiesRequest,
    },
    staffing::v1::{
        AllotFundsRequest, AssignDutyStaffRequest, CompleteDutyTrainingRequest, CreateFundLineRequest,
        DemandState, DutyDemand, FundLine, ListDutyDemandsRequest, ListFundLinesRequest, ListPostsRequest,
        PostKind, RefuseDutyStaffRequest,
    },
};

use super::{COMMUNITY, Cast, ITEM};
use crate::{
    scenario::{stage::Person, story::expect},
    simulate::lead_task,
    suite::request_id,
};

/// What is under way of the item at the station: an earlier play that was broken off, or somebody's own.
pub(super) struct Left {
    pub(super) transfers: Vec<DutyTransfer>,
    /// By id.
    pub(super) admissions: Vec<String>,
}

impl Cast<'_> {
    pub(super) async fn in_the_way(&self) -> Result<Left> {
        let request = ListDutyTransfersRequest { page_size: 200, ..Default::default() };
        let answer =
            self.stage.suite.duties().list_duty_transfers(self.department.asks(request).await?).await;
        let station = self.stage.org(&format!("station:{COMMUNITY}"))?;
        let mut transfers = self.department.heard("ListDutyTransfers", answer)?.transfers;
        let on_their_way = [
            DutyTransferState::Applied,
            DutyTransferState::Proposed,
            DutyTransferState::Effective,
            DutyTransferState::Suspended,
        ];
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

    pub(super) async fn clears_the_way(&self, left: &Left) -> Result<()> {
        for transfer in &left.transfers {
            if matches!(transfer.state(), DutyTransferState::Applied | DutyTransferState::Proposed) {
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

    /// To be complete by a deadline; without one, by the day on which it takes effect.
    pub(super) async fn proposes(&self, deadline: Option<DateTime<Utc>>) -> Result<DutyTransfer> {
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
            deadline_time: deadline.map(to_proto),
            training_codes: vec!["heating_basics".into()],
        };
        let id = message.request_id.clone();
        let request = self.department.asks(message).await?;
        let answer = self.stage.suite.duties().propose_duty_transfer(request).await;
        let transfer = self.department.heard("ProposeDutyTransfer", answer)?.transfer;
        let transfer = transfer.context("an answer without the transfer")?;
        self.department.notes(&transfer.duty_transfer_id, "ProposeDutyTransfer", &id);
        Ok(transfer)
    }

    pub(super) async fn transfer(&self, transfer: &DutyTransfer) -> Result<DutyTransfer> {
        let message = GetDutyTransferRequest { duty_transfer_id: transfer.duty_transfer_id.clone() };
        let request = self.department.asks(message).await?;
        let answer = self.stage.suite.duties().get_duty_transfer(request).await;
        self.department.heard("GetDutyTransfer", answer)?.transfer.context("an answer without the transfer")
    }

    pub(super) async fn sees(
        &self,
        transfer: &DutyTransfer,
        state: DutyTransferState,
    ) -> Result<DutyTransfer> {
        let reached = async || {
            let now = self.transfer(transfer).await?;
            Ok((now.state() == state).then_some(now))
        };
        self.stage.until(state.as_str_name(), reached).await
    }

    pub(super) async fn is_confirmed(&self, transfer: &DutyTransfer) -> Result<()> {
        let confirmed =
            |leg: &Option<DutyLeg>| leg.as_ref().is_some_and(|leg| leg.state() == LegState::Confirmed);
        let all = async || {
            let now = self.transfer(transfer).await?;
            let legs = [&now.authority, &now.funds, &now.staff, &now.training];
            Ok(legs.into_iter().all(confirmed).then_some(()))
        };
        self.stage.until("authority, funds, staff and training to be confirmed", all).await
    }

    /// Waits until identity knows of it as described.
    pub(super) async fn authority(
        &self,
        transfer: &DutyTransfer,
        done: impl Fn(&DutyAuthority) -> bool,
    ) -> Result<()> {
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
    pub(super) async fn demand(
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

    /// Waits until nothing is left of a transfer that was rolled back.
    pub(super) async fn gave_back(&self, transfer: &DutyTransfer, line: &FundLine) -> Result<()> {
        let withdrawn = |one: &DutyAuthority| one.state() == DutyAuthorityState::Withdrawn && one.closed;
        self.authority(transfer, withdrawn).await?;
        self.demand(transfer, |one| one.funds() == DemandState::Returned && one.closed).await?;
        expect(self.allotted(line).await? == 0, "the money is back")?;
        self.has_no_arrivals(transfer).await
    }

    /// A line of its own for each play, because what was paid out of one stays paid.
    pub(super) async fn opens_a_line(&self) -> Result<FundLine> {
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

    pub(super) async fn allotted(&self, line: &FundLine) -> Result<i64> {
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

    pub(super) async fn allots(&self, transfer: &DutyTransfer, line: &FundLine) -> Result<()> {
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

    pub(super) async fn names_staff(&self, transfer: &DutyTransfer) -> Result<()> {
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

    pub(super) async fn sends_back(&self, case: &Case) -> Result<Case> {
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

    pub(super) async fn is_heard(&self, transfer: &DutyTransfer) -> Result<()> {
        self.says(&self.street, transfer).await?;
        self.says(&self.committee, transfer).await
    }
}

/// Commands that only name the transfer.
macro_rules! commands {
    ($($name:ident($who:ident $(, $arg:ident: $ty:ty)?) = $client:ident.$rpc:ident($rpc_name:literal, $request:ident { $($field:ident: $value:expr),* $(,)? });)*) => {
        #[expect(clippy::needless_update, reason = "some of these requests have no further fields")]
        impl Cast<'_> {$(
            pub(super) async fn $name(&self $(, $arg: $ty)?, transfer: &DutyTransfer) -> Result<()> {
                let person = commands!(@who self $who $(, $arg)?);
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
    assesses_transfer(given, person: &Person<'_>) = duties.assess_duty_transfer("AssessDutyTransfer", AssessDutyTransferRequest {
        law_code: "law_found".into(), need_code: "near_to_people".into(), load_code: "bearable".into(), alternative_code: "none".into(),
    });
    approves(approver) = duties.approve_duty_transfer("ApproveDutyTransfer", ApproveDutyTransferRequest {});
    ends(approver) = duties.end_duty_transfer("EndDutyTransfer", EndDutyTransferRequest { reason_code: "pilot_over".into() });
    withdraws(department) = duties.withdraw_duty_transfer("WithdrawDutyTransfer", WithdrawDutyTransferRequest {
        reason_code: "replaced".into(),
    });
    grants_authority(grantor) = duty_authorities.grant_duty_authority("GrantDutyAuthority", GrantDutyAuthorityRequest {
        basis_ref: "doc:district-grant-8".into(),
    });
    trains(head) = duty_resources.complete_duty_training("CompleteDutyTraining", CompleteDutyTrainingRequest {
        record_ref: "record:heating-basics".into(),
    });
    says_no_staff(head) = duty_resources.refuse_duty_staff("RefuseDutyStaff", RefuseDutyStaffRequest {
        reason_code: "nobody_free".into(),
    });
}

impl Cast<'_> {
    pub(super) async fn grants(&self, transfer: &DutyTransfer) -> Result<()> {
        self.authority(transfer, |one| one.state() == DutyAuthorityState::Asked).await?;
        self.grants_authority(transfer).await
    }

    pub(super) async fn refuses_staff(&self, transfer: &DutyTransfer) -> Result<()> {
        self.demand(transfer, |one| one.staff() == DemandState::Asked).await?;
        self.says_no_staff(transfer).await
    }
}
