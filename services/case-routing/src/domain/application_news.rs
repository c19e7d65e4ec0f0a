//! The facts that are told of a service application, one variant per message `Application…` of the events of
//! `jianghan.case_routing.v1`. No names, sums or words: ids, codes and times only.

use super::application_codes::{ApplicationOutcome, InvestigationKind};
use super::event::Timestamp;
use super::ids::{CaseId, NoticeId};

/// A fact about an application, past tense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationNews {
    Accepted {
        in_time: bool,
        by_silence: bool,
    },
    InvestigationStarted,
    Investigated {
        kind: InvestigationKind,
        people: u32,
    },
    Reviewed {
        recommends_grant: bool,
    },
    ReviewReturned {
        reason_code: String,
    },
    Noticed {
        notice_id: NoticeId,
        over_at: Timestamp,
    },
    Objected {
        ground_code: String,
    },
    NoticeEnded {
        notice_id: NoticeId,
    },
    /// By another calendar its last day is a rest day: it is shown longer.
    NoticeProlonged {
        notice_id: NoticeId,
        over_before_at: Timestamp,
        over_at: Timestamp,
        calendar_version: u32,
    },
    Decided {
        outcome: ApplicationOutcome,
        reason_code: String,
        urgent: bool,
        papers_due_at: Option<Timestamp>,
    },
    Delivered,
    PapersSubmitted {
        in_time: bool,
    },
    /// By another calendar there is longer to bring the papers of an urgent grant.
    PapersMoved {
        due_before_at: Timestamp,
        due_at: Timestamp,
        calendar_version: u32,
    },
    /// It is the re-check of a lasting benefit, which began by itself.
    RecheckBegun {
        benefit_id: CaseId,
        review_at: Timestamp,
    },
}

impl ApplicationNews {
    /// The message's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Accepted { .. } => "ApplicationAccepted",
            Self::InvestigationStarted => "ApplicationInvestigationStarted",
            Self::Investigated { .. } => "ApplicationInvestigated",
            Self::Reviewed { .. } => "ApplicationReviewed",
            Self::ReviewReturned { .. } => "ApplicationReviewReturned",
            Self::Noticed { .. } => "ApplicationNoticed",
            Self::Objected { .. } => "ApplicationObjected",
            Self::NoticeEnded { .. } => "ApplicationNoticeEnded",
            Self::NoticeProlonged { .. } => "ApplicationNoticeProlonged",
            Self::Decided { .. } => "ApplicationDecided",
            Self::Delivered => "ApplicationDelivered",
            Self::PapersSubmitted { .. } => "ApplicationPapersSubmitted",
            Self::PapersMoved { .. } => "ApplicationPapersMoved",
            Self::RecheckBegun { .. } => "ApplicationRecheckBegun",
        }
    }
}
