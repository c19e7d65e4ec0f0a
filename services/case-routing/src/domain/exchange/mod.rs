//! Exchange with other systems: what they have to hear of a case, what a push adds to what is known, how their codes are
//! ours, and when a delivery is tried again. Pure, like the rest of the domain.

mod joined;
mod mapping;
mod paper;
mod referral;
mod reported;
mod sync;
#[cfg(test)]
mod sync_tests;

use serde::{Deserialize, Serialize};

use super::{
    case::{Case, Supervision},
    codes::{CaseState, ClosedCode},
    error::Result,
    event::{Emitted, Timestamp},
    ids::TicketId,
    supplement::Materials,
    work::{Act, Decision, Party, Work},
};

pub use self::{
    joined::{JoinedReport, reports_to_joined},
    mapping::{Known, Mapping, Problem, Row, Status},
    paper::{MOST_REMARKS, Paper, Pushed, Pushing, Remark, is_masked},
    reported::{Reported, Reporting},
    sync::{Backoff, Failure, Sync, SyncState},
};

/// Why somebody is reminded of words that came when the case was over.
pub(super) const SAID_AFTER_END: &str = "said_after_end";

/// Another system hears what becomes of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalLink {
    pub ticket: TicketId,
    /// Changes told so far; numbers the next one.
    pub told: u32,
}

/// One change that it hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub ticket: TicketId,
    /// From 1, without gaps.
    pub number: u32,
    pub state: CaseState,
    pub closed_code: Option<ClosedCode>,
    pub at: Timestamp,
}

/// What the other systems have to hear of a decision: every state that the case came to, in order, also those it only passed,
/// with the way of closing that the last event in it tells of: what ends with a case is told of before that is known.
pub fn reports(case: &mut Case, before: Option<CaseState>, events: &[Emitted]) -> Vec<Report> {
    if case.external.is_empty() {
        return Vec::new();
    }
    let (mut reports, mut last, at) = (Vec::<Report>::new(), before, case.updated_at);
    // Where the reports of the latest state begin.
    let mut latest = 0;
    for told in events {
        if last == Some(told.facts.state) {
            for report in reports.iter_mut().skip(latest) {
                report.closed_code = told.facts.closed_code;
            }
            continue;
        }
        last = Some(told.facts.state);
        latest = reports.len();
        for link in &mut case.external {
            link.told += 1;
            reports.push(Report {
                ticket: link.ticket,
                number: link.told,
                state: told.facts.state,
                closed_code: told.facts.closed_code,
                at,
            });
        }
    }
    reports
}

impl Case {
    /// Another system said more about a ticket. Where a supplement was asked for, this is it; else the case stays where it is,
    /// and the step tells its people to look.
    ///
    /// # Errors
    /// As for the supplement; `Guard(case_archived)`.
    pub fn remark(self, act: &Act<'_>) -> Result<Decision> {
        self.takes_words()?;
        let mut work = Work::begin(self, act);
        if work.case.state == CaseState::NeedSupplement {
            // Words, without codes to compare with the list: the ticket is where they are kept.
            let refs = work.case.external.iter().map(|link| format!("ticket:{}", link.ticket)).collect();
            work.supplement(Materials { codes: Vec::new(), refs })?;
        }
        work.case.remarked_at = Some(work.now);
        Ok(work.finish_with("TicketRemarked", None))
    }

    /// Another system said more about a case that is over, which nobody looks at any more: whoever received it is reminded, or where
    /// that is complained of whoever dispatches instead, once until they answer. Not of one that was merged, whose words are heard
    /// where the matter is worked on.
    ///
    /// # Errors
    /// None that can be brought about.
    pub fn said_after_end(self, act: &Act<'_>) -> Result<Decision> {
        let rests = matches!(self.state, CaseState::Merged | CaseState::Archived);
        let reminded = self.supervisions.iter().any(Supervision::waits_for_reader);
        if !self.state.is_finished() || rests || reminded {
            return Ok(Decision { case: self, events: Vec::new(), timeline: Vec::new() });
        }
        let mut work = Work::begin(self, act);
        work.by = Party::system();
        let org = work.stands_in();
        work.supervise_org(0, SAID_AFTER_END, None, None, Some(org));
        Ok(work.finish())
    }
}
