//! What the district's classifier suggested for a case that came without an item, and who decided. The machine triages by
//! itself only where the cell allows it, and never what a human has to look at first; it refuses nothing (C-5).

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::codes::{Nature, Urgency};
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::intake::{RegisterCase, TriageCase, registered};
use super::item::ServiceItem;
use super::reason::Reason;
use super::work::{Act, Decision, Party, Standing, Work};

/// Items that a text may be about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// Version of the model.
    pub model: i32,
    /// Item codes, most probable first; at least one, at most three.
    pub items: Vec<String>,
    /// Probability of the first, in thousandths.
    pub permille: u16,
}

impl Suggestion {
    /// The most probable item.
    #[must_use]
    pub fn first(&self) -> &str {
        self.items.first().map_or("", String::as_str)
    }
}

/// How the item was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriageDecision {
    pub suggestion: Suggestion,
    /// Otherwise the machine took its own suggestion.
    pub by_human: bool,
    pub at: Timestamp,
}

impl Case {
    /// Registers a case without an item, takes it in and triages it by the suggestion. The requester registers; the machine
    /// does the rest.
    ///
    /// # Errors
    /// As for registering; `Guard(needs_human)` where a human has to look first: emergencies, applications, what belongs to a
    /// statutory channel, and anonymous requests of a nature that needs a requester.
    pub fn register_triaged(
        command: RegisterCase,
        suggestion: Suggestion,
        act: &Act<'_>,
    ) -> Result<Decision> {
        let mut work = registered(command, act)?;
        let item = work.routes.item(suggestion.first(), work.now);
        if !item.is_some_and(|item| may_triage(&work.case, item)) {
            return Err(DomainError::guard("needs_human", "a human has to look at the matter first"));
        }
        work.by = Party::system();
        work.accept(false)?;
        let item_code = Some(suggestion.first().to_owned());
        work.triage(&TriageCase { item_code, suggestion: Some(suggestion), ..TriageCase::default() })?;
        Ok(work.finish())
    }
}

/// Whether the machine may settle that a case is about an item.
fn may_triage(case: &Case, item: &ServiceItem) -> bool {
    case.urgency != Urgency::Emergency
        && case.claimed_urgency != Some(Urgency::Emergency)
        && item.urgency != Urgency::Emergency
        && item.emergency_line.is_none()
        && item.statutory_channel.is_none()
        && item.nature != Nature::Application
        && (!case.anonymous || item.nature.may_be_anonymous())
}

impl Work<'_> {
    /// Keeps beside the item how it was settled. The first suggestion stays: what is decided later is measured by it. Gives
    /// the reason for the timeline.
    pub(super) fn note_suggestion(
        &mut self,
        had_item: bool,
        suggestion: Option<&Suggestion>,
    ) -> Option<Reason> {
        let known = self.case.triage.take().map(|decision| decision.suggestion);
        let suggestion = known.or_else(|| suggestion.filter(|_| !had_item).cloned())?;
        let by_human = self.by.standing != Standing::System;
        let chosen = self.case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default();
        let code = match (by_human, chosen == suggestion.first()) {
            (false, _) => "triaged_by_machine",
            (true, true) => "suggestion_taken",
            (true, false) => "suggestion_corrected",
        };
        let percent = f64::from(suggestion.permille) / 10.0;
        let reason = Reason::new(code)
            .with("item", suggestion.first())
            .with("percent", format!("{percent:.1}"))
            .with("model", suggestion.model);
        self.case.triage = Some(TriageDecision { suggestion, by_human, at: self.now });
        Some(reason)
    }
}
