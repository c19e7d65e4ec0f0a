//! The closed vocabularies of service applications (domain.md §2.2, F2), each with its snake_case code.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::codes::UnknownCode;

codes! {
    /// Where a service application stands.
    ApplicationState {
        /// 已申请
        Submitted = "submitted",
        /// 待补正
        NeedSupplement = "need_supplement",
        /// 已受理
        Accepted = "accepted",
        /// 调查核实中
        Investigating = "investigating",
        /// 已审核
        Reviewed = "reviewed",
        /// 公示
        PublicNotice = "public_notice",
        /// 复查中: somebody objected to the notice.
        Reinvestigating = "reinvestigating",
        /// 准予
        Approved = "approved",
        /// 已兑现; an end.
        Delivered = "delivered",
        /// 不予批准; an end.
        Denied = "denied",
        /// 不予受理; an end.
        NotAccepted = "not_accepted",
        /// 撤回; an end.
        Withdrawn = "withdrawn",
    }

    /// What moves an application: a verb, or a timer.
    ApplicationVerb {
        Submit = "submit",
        Accept = "accept",
        /// Timer: the intake limit passed without a decision.
        AcceptBySilence = "accept_by_silence",
        RequestSupplement = "request_supplement",
        Supplement = "supplement",
        /// Timer: the supplement did not come.
        SupplementExpired = "supplement_expired",
        Decline = "decline",
        StartInvestigation = "start_investigation",
        RecordInvestigation = "record_investigation",
        CountersignInvestigation = "countersign_investigation",
        Review = "review",
        /// Whoever decides does not go by it: it is summed up again.
        ReturnReview = "return_review",
        PublishNotice = "publish_notice",
        Object = "object",
        Approve = "approve",
        Deny = "deny",
        GrantUrgently = "grant_urgently",
        Deliver = "deliver",
        SubmitPapers = "submit_papers",
        Pause = "pause",
        Withdraw = "withdraw",
        /// What it granted ends, outside of a re-check.
        EndBenefit = "end_benefit",
    }

    /// How the facts were looked into.
    InvestigationKind {
        /// 入户调查
        HomeVisit = "home_visit",
        /// 邻里访问
        NeighbourVisit = "neighbour_visit",
        /// 信函索证
        Letter = "letter",
        /// 民主评议
        Panel = "panel",
        /// 信息核对; only on the family's authorisation.
        DataCheck = "data_check",
    }

    /// What was decided.
    ApplicationOutcome {
        Granted = "granted",
        Denied = "denied",
        NotAccepted = "not_accepted",
    }

    /// Why a lasting benefit ends outside of a re-check.
    BenefitGround {
        /// 迁出
        MovedAway = "moved_away",
        /// 死亡
        Died = "died",
        /// 本人放弃
        GivenUp = "given_up",
    }

    /// What can be done against a refusal.
    RemedyKind {
        /// 行政复议
        Reconsideration = "reconsideration",
        /// 行政诉讼
        Litigation = "litigation",
    }
}

impl InvestigationKind {
    /// A check on the spot, which may need several people.
    #[must_use]
    pub const fn is_field_check(self) -> bool {
        matches!(self, Self::HomeVisit | Self::NeighbourVisit)
    }
}

impl ApplicationState {
    /// The facts are not known yet: whoever takes a part in it may have to go there.
    #[must_use]
    pub const fn is_before_review(self) -> bool {
        let looked_into = matches!(self, Self::Investigating | Self::Reinvestigating);
        looked_into || matches!(self, Self::Submitted | Self::NeedSupplement | Self::Accepted)
    }

    /// Nothing is decided any more; only papers of an urgent grant may still come.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Delivered | Self::Denied | Self::NotAccepted | Self::Withdrawn)
    }
}
