//! What the tickets of cases that were merged into another hear of it: how the matter ended, and that it goes on after all.

use crate::domain::{Case, CaseId, CaseState, ClosedCode, Emitted, Timestamp};

/// One change of a case that the tickets of those merged into it hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedReport {
    /// Those that are merged into it.
    pub cases: Vec<CaseId>,
    /// Its state and way of closing.
    pub state: CaseState,
    pub closed_code: Option<ClosedCode>,
    pub at: Timestamp,
}

/// What they hear of a decision, in order. They are merged all the while: of the way between they hear nothing. The way of closing
/// is that of the last event in a state, as in [`super::reports`].
#[must_use]
pub fn reports_to_joined(case: &Case, before: Option<CaseState>, events: &[Emitted]) -> Vec<JoinedReport> {
    if case.merged.is_empty() {
        return Vec::new();
    }
    let (mut reports, mut last) = (Vec::<JoinedReport>::new(), before);
    for told in events {
        let state = told.facts.state;
        if last == Some(state) {
            if let Some(report) = reports.last_mut().filter(|report| report.state == state) {
                report.closed_code = told.facts.closed_code;
            }
            continue;
        }
        let was = last.replace(state);
        // Taken out of another, it leaves whatever that one had come to.
        let goes_on = was.is_some_and(|was| is_result(was) || was == CaseState::Merged);
        let goes_on = goes_on && state != CaseState::Archived;
        if was.is_some() && (is_result(state) || goes_on) {
            let (cases, closed_code, at) = (case.merged.clone(), told.facts.closed_code, case.updated_at);
            reports.push(JoinedReport { cases, state, closed_code, at });
        }
    }
    reports
}

/// Whoever waits for the matter has an answer.
const fn is_result(state: CaseState) -> bool {
    matches!(state, CaseState::Resolved | CaseState::Closed | CaseState::HandedOff)
}
