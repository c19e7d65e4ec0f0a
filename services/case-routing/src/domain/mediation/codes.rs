//! The vocabularies of mediations (domain.md §2.2.2).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::super::codes::UnknownCode;

codes! {
    /// Where a mediation stands.
    MediationState {
        /// 已申请
        Applied = "applied",
        /// 已提议
        Initiated = "initiated",
        /// 各方同意
        Consented = "consented",
        /// 调解中
        InSession = "in_session",
        /// 达成协议: written, not signed by everybody yet.
        Agreed = "agreed",
        /// 协议生效
        Effective = "effective",
        /// 已履行; an end.
        Performed = "performed",
        /// 未履行; [`Self::ToldOfCourt`] follows in the same step.
        Breached = "breached",
        /// 已告知诉讼; an end.
        ToldOfCourt = "told_of_court",
        /// 当事人拒绝调解; an end.
        Refused = "refused",
        /// 调解不成; [`Self::ToldOfChannels`] follows in the same step.
        Failed = "failed",
        /// 已告知其他途径; an end.
        ToldOfChannels = "told_of_channels",
        /// 当事人终止调解; an end.
        TerminatedByParty = "terminated_by_party",
    }

    /// Who wanted the mediation.
    MediationOrigin {
        /// 当事人申请
        Application = "application",
        /// 主动调解
        Committee = "committee",
        /// 法院告知
        Court = "court",
        /// 公安机关告知
        Police = "police",
    }

    /// What a party is.
    PartyKind {
        Person = "person",
        Organization = "organization",
    }

    /// The form of an agreement.
    AgreementKind {
        /// 口头
        Oral = "oral",
        /// 书面
        Written = "written",
    }

    /// Where a judicial confirmation stands; beside the mediation's own state.
    ConfirmationState {
        Requested = "requested",
        Accepted = "accepted",
        NotAccepted = "not_accepted",
        Confirmed = "confirmed",
        NotConfirmed = "not_confirmed",
    }

    /// What the court said.
    CourtAnswer {
        Accepted = "accepted",
        NotAccepted = "not_accepted",
        Extended = "extended",
        Confirmed = "confirmed",
        NotConfirmed = "not_confirmed",
    }

    /// What has to happen by a day.
    DeadlineKind {
        /// The parties come to an agreement; afterwards the lead of the case does not wait for them.
        Talks = "talks",
        /// The joint request for confirmation.
        RequestConfirmation = "request_confirmation",
        /// The court takes it or not.
        CourtAccepts = "court_accepts",
        /// The court decides.
        CourtDecides = "court_decides",
        Performance = "performance",
        /// The mediator asks whether what was agreed without a day is done.
        FollowUp = "follow_up",
    }

    /// What moves a mediation, or is noted in it.
    MediationVerb {
        Open = "open",
        Take = "take",
        Consent = "consent",
        /// A party does not want it, before the first session.
        Refuse = "refuse",
        /// A party does not want it any more.
        Terminate = "terminate",
        HoldSession = "hold_session",
        Agree = "agree",
        Sign = "sign",
        TakeEffect = "take_effect",
        Perform = "perform",
        Breach = "breach",
        TellCourt = "tell_court",
        Fail = "fail",
        TellChannels = "tell_channels",
        ReportEscalation = "report_escalation",
        RequestConfirmation = "request_confirmation",
        CourtAnswer = "court_answer",
        Remediate = "remediate",
    }
}
