//! The closed vocabularies of cases (domain.md §2.2, §5), each with its snake_case code.
//! The codes are what SQL, seed files and stored documents hold; they never change their meaning.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not a code of the vocabulary named.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {vocabulary}")]
pub struct UnknownCode {
    pub vocabulary: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal),+ $(,)? })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $code)] $variant,)+
        }

        impl $name {
            /// Every member, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code in SQL and stored documents.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownCode;

            fn from_str(code: &str) -> Result<Self, UnknownCode> {
                match code {
                    $($code => Ok(Self::$variant),)+
                    _ => Err(UnknownCode { vocabulary: stringify!($name) }),
                }
            }
        }
    )+};
}

codes! {
    /// The 19 states of a case (domain.md §2.2.2).
    CaseState {
        /// 已登记
        Registered = "registered",
        /// 待补正
        NeedSupplement = "need_supplement",
        /// 不予受理; terminal.
        NotAccepted = "not_accepted",
        /// 转专线; terminal.
        HandedOff = "handed_off",
        /// 并单; terminal, but can be undone.
        Merged = "merged",
        /// 已受理
        Accepted = "accepted",
        /// 已研判
        Triaged = "triaged",
        /// 协商自治
        OfferedToSociety = "offered_to_society",
        /// 已派单
        Dispatched = "dispatched",
        /// 派单异议
        Objected = "objected",
        /// 已签收
        Signed = "signed",
        /// 办理中
        InProgress = "in_progress",
        /// 挂起
        Suspended = "suspended",
        /// 已办结(待核查)
        Completed = "completed",
        /// 核查回访中
        Verifying = "verifying",
        /// 核查通过
        Resolved = "resolved",
        /// 已结案; can reopen.
        Closed = "closed",
        /// 已归档; terminal.
        Archived = "archived",
        /// 撤回; terminal.
        Withdrawn = "withdrawn",
    }

    /// The states of a task.
    TaskState {
        Issued = "issued",
        Signed = "signed",
        Working = "working",
        Submitted = "submitted",
        Approved = "approved",
        Returned = "returned",
        Objected = "objected",
        Declined = "declined",
        Cancelled = "cancelled",
    }

    /// The kind of an authority edge between two organisations (domain.md §2.0.3).
    EdgeKind {
        /// 领导
        Leads = "leads",
        /// 统筹
        Coordinates = "coordinates",
        /// 指导
        Guides = "guides",
        /// 购买
        Contracts = "contracts",
        /// 合作
        Partners = "partners",
    }

    /// How a task reaches its organisation; equals the kind of the edge (invariant A-1).
    DispatchMode {
        /// 交办
        Order = "order",
        /// 吹哨
        Whistle = "whistle",
        /// 协助; may be refused.
        AssistRequest = "assist_request",
        /// 购买; may be refused outside the contract's scope.
        WorkOrder = "work_order",
        /// 邀请; may always be refused.
        Invitation = "invitation",
    }

    /// Who delivered the service (domain.md §4.5).
    DeliveryMode {
        GovDirect = "gov_direct",
        GovPurchased = "gov_purchased",
        Volunteer = "volunteer",
        SelfGovernance = "self_governance",
        Market = "market",
    }

    /// The part an organisation plays in a case.
    TaskPart {
        /// 主办
        Lead = "lead",
        /// 协办
        Assist = "assist",
    }

    /// The nature of a service item.
    Nature {
        /// 咨询
        Consultation = "consultation",
        /// 求助
        Help = "help",
        /// 投诉
        Complaint = "complaint",
        /// 举报
        Report = "report",
        /// 建议
        Suggestion = "suggestion",
        /// 申请
        Application = "application",
        /// 部件
        Component = "component",
        /// 事件
        CityEvent = "city_event",
        /// 纠纷
        Dispute = "dispute",
        /// 互助
        MutualHelp = "mutual_help",
        /// 自治议题
        SelfGovernance = "self_governance",
    }

    /// Urgency of a case.
    Urgency {
        Normal = "normal",
        Urgent = "urgent",
        Emergency = "emergency",
    }

    /// How a request came in.
    Channel {
        Window = "window",
        Phone = "phone",
        App = "app",
        Web = "web",
        /// A worker on the resident's behalf.
        Worker = "worker",
        /// Another system, such as 12345.
        External = "external",
        Patrol = "patrol",
    }

    /// Who started it.
    Origin {
        BottomUp = "bottom_up",
        TopDown = "top_down",
        Patrol = "patrol",
        Sensor = "sensor",
    }

    /// Why a case ended; set on entering Closed or another terminal state.
    ClosedCode {
        Resolved = "resolved",
        PartlyResolved = "partly_resolved",
        /// 政策解释
        Explained = "explained",
        Unfounded = "unfounded",
        /// The requester was told another channel.
        BeyondAuthority = "beyond_authority",
        SelfGoverned = "self_governed",
        Mediated = "mediated",
        Withdrawn = "withdrawn",
        Merged = "merged",
        Declined = "declined",
        HandedOff = "handed_off",
    }

    /// The clocks of a case.
    ClockKind {
        Accept = "accept",
        Supplement = "supplement",
        Dispatch = "dispatch",
        Offer = "offer",
        Sign = "sign",
        Objection = "objection",
        Contact = "contact",
        Resolve = "resolve",
        Rework = "rework",
        Assist = "assist",
        Verify = "verify",
        RatingWindow = "rating_window",
        /// The parties of an arbitration take positions.
        Consult = "consult",
        /// The arbiter rules, or the reviewer.
        Ruling = "ruling",
        /// Who was called by a whistle reports in.
        Report = "report",
        /// Somebody judges a bad rating.
        Judge = "judge",
        /// A stage of the work on an item that has stages.
        Stage = "stage",
    }

    /// Whether the matter was solved, as the verifier or the requester found it.
    Resolution {
        Resolved = "resolved",
        PartlyResolved = "partly_resolved",
        NotResolved = "not_resolved",
    }

    /// How the call-back ended.
    CallbackOutcome {
        /// Reached and answered.
        Reached = "reached",
        /// Not reached after the configured attempts; never counted as satisfied.
        Unreached = "unreached",
        /// Anonymous, or nobody to call: none is due.
        NotDue = "not_due",
    }

    /// The worker's assignment that a task shows; it never moves the task.
    AssignmentStatus {
        Offered = "offered",
        Accepted = "accepted",
        OnSite = "on_site",
        Done = "done",
        Unfilled = "unfilled",
        Cancelled = "cancelled",
    }

    /// The kind of an organisation (domain.md §2.1.1).
    OrgKind {
        /// District or city government itself; the fallback of last resort.
        Government = "government",
        Department = "department",
        StreetOffice = "street_office",
        ServiceStation = "service_station",
        /// 居委会: guided, never led.
        Committee = "committee",
        PartyOrg = "party_org",
        Utility = "utility",
        SocialOrg = "social_org",
        SelfGovGroup = "self_gov_group",
        Enterprise = "enterprise",
        PropertyCompany = "property_company",
        /// Verifies and calls back.
        CallbackCentre = "callback_centre",
    }

    /// The kind of a unit of the tree.
    UnitKind {
        City = "city",
        District = "district",
        Street = "street",
        Community = "community",
        Grid = "grid",
        Courtyard = "courtyard",
        Doorway = "doorway",
    }

    /// The part of an entry in the responsibility list (权责/履职/协助/负面清单).
    ListPart {
        Lead = "lead",
        Assist = "assist",
        /// 履职: a statutory duty of the community or street itself.
        StatutoryDuty = "statutory_duty",
        /// 协助: may only assist.
        AssistDuty = "assist_duty",
        /// 负面: must not be given to it.
        Negative = "negative",
    }

    /// Where a version of the responsibility list stands.
    ListState {
        /// Decides nowhere yet.
        Draft = "draft",
        /// In force in one unit.
        Canary = "canary",
        /// Approved, waits for its day.
        Scheduled = "scheduled",
        InForce = "in_force",
        /// Another one followed it.
        Superseded = "superseded",
        /// Taken back; never in force again.
        Withdrawn = "withdrawn",
    }

    /// What becomes of a case whose requester does not send what was asked for.
    Silence {
        /// Taken as accepted (licences).
        Accepted = "accepted",
        Withdrawn = "withdrawn",
    }

    /// The kind of a routing decision.
    RoutingKind {
        Dispatched = "dispatched",
        Offered = "offered",
        AnsweredAtWindow = "answered_at_window",
        /// Put right on the spot by who found it on patrol.
        SolvedOnSpot = "solved_on_spot",
        HandedOff = "handed_off",
        /// Nobody else was competent: the district government.
        Fallback = "fallback",
        /// Not sure enough: waits for a human to confirm it or to choose.
        Proposed = "proposed",
        /// Chosen by a dispatcher or an arbiter.
        Manual = "manual",
        /// Ended at intake: declined, merged, withdrawn.
        Ended = "ended",
    }

    /// Where an objection stands.
    ObjectionState {
        Open = "open",
        Rejected = "rejected",
        /// The dispatcher agreed and sent the case elsewhere.
        Accepted = "accepted",
        InArbitration = "in_arbitration",
        Agreed = "agreed",
        Ruled = "ruled",
        /// The lead asked for the one review of the ruling.
        InReview = "in_review",
        Final = "final",
        /// The case was withdrawn before anybody decided.
        Lapsed = "lapsed",
    }

    /// Where a supervision stands.
    SupervisionState {
        Issued = "issued",
        /// The supervised organisation has seen it; its time to answer runs on.
        Acknowledged = "acknowledged",
        Answered = "answered",
        Cleared = "cleared",
    }

    /// What words came with that were added to a case.
    RemarkKind {
        Remark = "remark",
        Reopening = "reopening",
        Rating = "rating",
        /// They were said in a case that was merged into this one.
        Joined = "joined",
    }

    /// How a verifier checked.
    VerifyMethod {
        OnSite = "on_site",
        Photo = "photo",
        Phone = "phone",
        Documents = "documents",
    }

    /// How a handler came in contact with the requester.
    ContactMethod {
        Phone = "phone",
        Visit = "visit",
        Message = "message",
    }

    /// The kind of an evidence reference.
    EvidenceKind {
        Photo = "photo",
        Document = "document",
        /// An explanation given to the requester, as a stored text.
        Explanation = "explanation",
        /// A partner's service record.
        ServiceRecord = "service_record",
        /// The worker's report.
        WorkReport = "work_report",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_is_what_serde_writes() {
        for state in CaseState::ALL {
            assert_eq!(state.as_str().parse::<CaseState>().as_ref(), Ok(state));
            assert_eq!(serde_json::to_string(state).unwrap(), format!("\"{state}\""));
        }
        assert_eq!(CaseState::ALL.len(), 19);
        assert!("Registered".parse::<CaseState>().is_err());
        let unknown = "x".parse::<ClockKind>().unwrap_err();
        assert_eq!(unknown.vocabulary, "ClockKind");
    }
}
