//! News of service applications on the wire.

use chassis::{event::Emit, proto::case_routing::v1 as pb};

use super::envelope::{Addressed, at, version};
use crate::{
    codes::{application_outcome, investigation_kind},
    domain::ApplicationNews as N,
};

/// The message of a piece of news.
pub(super) fn message(to: Addressed<'_>, news: &N, case_id: String, facts: Option<pb::CaseFacts>) -> Emit {
    match news {
        N::Accepted { in_time, by_silence } => {
            let (in_time, by_silence) = (*in_time, *by_silence);
            to.send(&pb::ApplicationAccepted { case_id, facts, in_time, by_silence })
        }
        N::InvestigationStarted => to.send(&pb::ApplicationInvestigationStarted { case_id, facts }),
        N::Investigated { kind, people } => {
            let people = i32::try_from(*people).unwrap_or(i32::MAX);
            let kind = investigation_kind(*kind).into();
            to.send(&pb::ApplicationInvestigated { case_id, facts, kind, people })
        }
        N::Reviewed { recommends_grant } => {
            let recommends_grant = *recommends_grant;
            to.send(&pb::ApplicationReviewed { case_id, facts, recommends_grant })
        }
        N::ReviewReturned { reason_code } => {
            let reason_code = reason_code.clone();
            to.send(&pb::ApplicationReviewReturned { case_id, facts, reason_code })
        }
        N::Noticed { notice_id, over_at } => {
            let (notice_id, end_time) = (notice_id.to_string(), at(*over_at));
            to.send(&pb::ApplicationNoticed { case_id, facts, notice_id, end_time })
        }
        N::Objected { ground_code } => {
            let ground_code = ground_code.clone();
            to.send(&pb::ApplicationObjected { case_id, facts, ground_code })
        }
        N::NoticeEnded { notice_id } => {
            let notice_id = notice_id.to_string();
            to.send(&pb::ApplicationNoticeEnded { case_id, facts, notice_id })
        }
        N::NoticeProlonged { notice_id, over_before_at, over_at, calendar_version } => {
            let message = pb::ApplicationNoticeProlonged {
                case_id,
                facts,
                notice_id: notice_id.to_string(),
                end_before_time: at(*over_before_at),
                end_time: at(*over_at),
                calendar_version: version(*calendar_version),
            };
            to.send(&message)
        }
        N::Decided { outcome, reason_code, urgent, papers_due_at } => {
            let message = pb::ApplicationDecided {
                case_id,
                facts,
                outcome: application_outcome(*outcome).into(),
                reason_code: reason_code.clone(),
                urgent: *urgent,
                papers_due_time: papers_due_at.and_then(at),
            };
            to.send(&message)
        }
        N::Delivered => to.send(&pb::ApplicationDelivered { case_id, facts }),
        N::PapersSubmitted { in_time } => {
            let in_time = *in_time;
            to.send(&pb::ApplicationPapersSubmitted { case_id, facts, in_time })
        }
        N::PapersMoved { due_before_at, due_at, calendar_version } => {
            let message = pb::ApplicationPapersMoved {
                case_id,
                facts,
                due_before_time: at(*due_before_at),
                due_time: at(*due_at),
                calendar_version: version(*calendar_version),
            };
            to.send(&message)
        }
        N::RecheckBegun { benefit_id, review_at } => {
            let (benefit_id, review_time) = (benefit_id.to_string(), at(*review_at));
            to.send(&pb::ApplicationRecheckBegun { case_id, facts, benefit_id, review_time })
        }
    }
}
