//! What the codes mean for each other: which mode an edge allows, who may decline, who delivers, what ends.

use super::codes::{
    CaseState, ClockKind, ClosedCode, DeliveryMode, DispatchMode, EdgeKind, Nature, OrgKind, TaskState,
};

impl CaseState {
    /// Whether nothing but undoing a merge, or a referral that is sent back, follows.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::NotAccepted | Self::HandedOff | Self::Merged | Self::Archived | Self::Withdrawn)
    }

    /// Whether the case counts as finished: terminal or closed.
    #[must_use]
    pub const fn is_finished(self) -> bool {
        self.is_terminal() || matches!(self, Self::Closed)
    }

    /// Whether a case of this state can have ended so, or be about to: the way is known from the end of the work on.
    #[must_use]
    pub const fn ends_as(self, code: ClosedCode) -> bool {
        use ClosedCode::{Declined, HandedOff, Merged, Withdrawn};
        match self {
            Self::NotAccepted => matches!(code, Declined),
            Self::HandedOff => matches!(code, HandedOff),
            Self::Merged => matches!(code, Merged),
            Self::Withdrawn => matches!(code, Withdrawn),
            Self::Completed | Self::Verifying | Self::Resolved | Self::Closed | Self::Archived => {
                !matches!(code, Declined | HandedOff | Merged | Withdrawn)
            }
            _ => false,
        }
    }
}

impl ClosedCode {
    /// An ending that is told rather than shown: no evidence beyond the explanation is needed.
    #[must_use]
    pub const fn is_explanation(self) -> bool {
        matches!(self, Self::Explained | Self::Unfounded | Self::BeyondAuthority)
    }
}

impl ClockKind {
    /// A time in which somebody may do something, not one in which somebody has to: it ends by itself, and nobody is reminded
    /// of it or late by it.
    #[must_use]
    pub const fn is_window(self) -> bool {
        matches!(self, Self::Supplement | Self::Offer | Self::Objection | Self::RatingWindow | Self::Consult)
    }
}

impl TaskState {
    /// Whether the task still stands: neither ended without a result nor approved.
    #[must_use]
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Declined | Self::Cancelled | Self::Approved)
    }

    /// Whether the organisation still has something to do.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Issued | Self::Signed | Self::Working | Self::Returned | Self::Objected)
    }
}

impl EdgeKind {
    /// The only dispatch mode the edge allows (domain.md §2.0.3).
    #[must_use]
    pub const fn mode(self) -> DispatchMode {
        match self {
            Self::Leads => DispatchMode::Order,
            Self::Coordinates => DispatchMode::Whistle,
            Self::Guides => DispatchMode::AssistRequest,
            Self::Contracts => DispatchMode::WorkOrder,
            Self::Partners => DispatchMode::Invitation,
        }
    }
}

impl DispatchMode {
    /// Whether the receiver may refuse; a work order only outside the contract's scope.
    #[must_use]
    pub const fn may_decline(self, out_of_scope: bool) -> bool {
        match self {
            Self::AssistRequest | Self::Invitation => true,
            Self::WorkOrder => out_of_scope,
            Self::Order | Self::Whistle => false,
        }
    }
}

impl OrgKind {
    /// Society, not administration: a `leads` edge must never end here (invariant A-1).
    #[must_use]
    pub const fn is_society(self) -> bool {
        matches!(self, Self::Committee | Self::SocialOrg | Self::SelfGovGroup)
    }

    /// The organisation of a community: it may lead for its statutory duties only.
    #[must_use]
    pub const fn is_community_level(self) -> bool {
        matches!(self, Self::Committee | Self::ServiceStation)
    }
}

impl DeliveryMode {
    /// Who acts when an organisation of that kind works under that mode.
    #[must_use]
    pub const fn of(mode: DispatchMode, kind: OrgKind) -> Self {
        match (mode, kind) {
            (DispatchMode::WorkOrder, _) => Self::GovPurchased,
            (_, OrgKind::Committee | OrgKind::SelfGovGroup) => Self::SelfGovernance,
            (DispatchMode::Invitation, OrgKind::Enterprise | OrgKind::PropertyCompany | OrgKind::Utility) => {
                Self::Market
            }
            (DispatchMode::Invitation, _) => Self::Volunteer,
            _ => Self::GovDirect,
        }
    }
}

impl Nature {
    /// Whether a request of this nature may be anonymous (domain.md §2.2.2: 举报, 建议, 咨询; patrol
    /// findings on components and events have no requester to hide).
    #[must_use]
    pub const fn may_be_anonymous(self) -> bool {
        matches!(
            self,
            Self::Report | Self::Suggestion | Self::Consultation | Self::Component | Self::CityEvent
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_ending_is_that_of_a_state_and_a_case_that_ended_did_so_in_some_way() {
        let ways = |state: CaseState| ClosedCode::ALL.iter().filter(|code| state.ends_as(**code)).count();
        for state in CaseState::ALL {
            assert!(!state.is_finished() || ways(*state) > 0, "{state}");
            assert!(ways(*state) <= 1 || !state.is_terminal() || *state == CaseState::Archived, "{state}");
        }
        for code in ClosedCode::ALL {
            assert!(CaseState::ALL.iter().any(|state| state.is_finished() && state.ends_as(*code)), "{code}");
        }
        assert_eq!((ways(CaseState::Registered), ways(CaseState::InProgress)), (0, 0), "not known yet");
    }

    #[test]
    fn the_kind_of_an_edge_is_the_mode_of_a_dispatch() {
        let modes: Vec<_> = EdgeKind::ALL.iter().map(|edge| (*edge, edge.mode())).collect();
        let pairs = [
            (EdgeKind::Leads, DispatchMode::Order),
            (EdgeKind::Coordinates, DispatchMode::Whistle),
            (EdgeKind::Guides, DispatchMode::AssistRequest),
            (EdgeKind::Contracts, DispatchMode::WorkOrder),
            (EdgeKind::Partners, DispatchMode::Invitation),
        ];
        assert_eq!(modes, pairs);
    }

    #[test]
    fn only_orders_and_whistles_bind_without_consent() {
        for edge in EdgeKind::ALL {
            let binding = matches!(edge, EdgeKind::Leads | EdgeKind::Coordinates);
            assert_eq!(edge.mode().may_decline(true), !binding, "{edge}");
        }
        assert!(!DispatchMode::WorkOrder.may_decline(false));
    }
}
