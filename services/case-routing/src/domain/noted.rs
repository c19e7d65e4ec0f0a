//! Steps of a case's timeline that are no events: its people read them, and nobody is told. The board has a name for each, which
//! its tests look up for every line here.

/// What they are called in the timeline.
pub(super) const NOTED: [&str; 16] = [
    "BenefitEnded",
    "CallbackRecorded",
    "CaseFoundAgainOnPatrol",
    "CasePlaceFollowed",
    "CasePutRightOnPatrol",
    "CaseRejoined",
    "CaseRemarked",
    "JoinedRatingValid",
    "JoinedRemarked",
    "MediationOverdue",
    "ObjectionLapsed",
    "PartnerDone",
    "ReferralReported",
    "ReferralUndelivered",
    "SubjectCleared",
    "TicketRemarked",
];
