//! The end of a lasting benefit outside of a re-check: whoever had it moved away, died, or gave it up. A human states the ground
//! and the day, in writing; the person gets the decision with what can be done against it, as every refusal, and of a death
//! nobody is told. A re-check that is open then has nothing to decide any more and ends with it.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::application::{Application, Filed, Filing, Remedy, written};
use super::application_codes::{ApplicationVerb, BenefitGround};
use super::benefit::{BenefitChange, BenefitNews};
use super::case::Case;
use super::codes::{CaseState, ClosedCode};
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::{CaseId, OrgId, PersonRef};
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Work};

/// The step that people read of it.
const ENDED: &str = "BenefitEnded";
/// Why it did, wherever that stands in the clear: the ground would tell that somebody died.
const OVER: &str = "benefit_ended";
/// The same in the row of the benefit and in its event.
const NEUTRAL: &str = "ended";

/// How a benefit ended outside of a re-check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenefitEnding {
    pub ground: BenefitGround,
    /// The day on which it happened.
    pub on: NaiveDate,
    /// In writing.
    pub statement: String,
    /// Pseudonym.
    pub by: PersonRef,
    pub org: OrgId,
    /// Empty for a death.
    pub remedies: Vec<Remedy>,
    pub at: Timestamp,
}

/// A human ends a benefit outside of a re-check.
#[derive(Debug, Clone)]
pub struct EndBenefit {
    pub ground: BenefitGround,
    pub on: NaiveDate,
    pub statement: String,
    /// Who reconsiders the decision and which court hears a suit against it; empty for a death.
    pub reconsideration_body: String,
    pub court: String,
    /// Who may: first receiver and lead of the application that the benefit rests on.
    pub in_charge: Vec<OrgId>,
    /// The benefit as it stands: its tag and version.
    pub tag_code: String,
    pub version: i64,
}

impl BenefitGround {
    /// Whether somebody is there who is told the decision.
    #[must_use]
    pub const fn is_told(self) -> bool {
        !matches!(self, Self::Died)
    }
}

impl Application {
    /// Ends the benefit that this application began.
    ///
    /// # Errors
    /// `Guard` `application_state`, `no_benefit`, `benefit_ended`; `NotEntitled` for a machine, and for an organisation that is
    /// not in charge; `Invalid` day, statement or remedies.
    pub fn end_benefit(self, command: &EndBenefit, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::EndBenefit, act)?;
        let org = filing.work.human_official()?;
        if !command.in_charge.contains(&org) {
            return Err(DomainError::NotEntitled { code: "in_charge" });
        }
        let benefit = filing.application.id;
        if filing.application.benefit.as_ref().is_none_or(|period| period.benefit != benefit) {
            return Err(DomainError::guard("no_benefit", "the application began nothing that lasts"));
        }
        if filing.application.ending.is_some() {
            return Err(DomainError::guard("benefit_ended", "the benefit has ended already"));
        }
        if command.on > calendar::local_day(filing.work.now) {
            return Err(DomainError::invalid("ended_on", "must not lie after today"));
        }
        let remedies = if command.ground.is_told() {
            filing.remedies(&command.reconsideration_body, &command.court)?
        } else {
            let fields = [("reconsideration_body", &command.reconsideration_body), ("court", &command.court)];
            if let Some((field, _)) = fields.into_iter().find(|(_, body)| !body.is_empty()) {
                return Err(DomainError::invalid(field, "nobody is told of the end by a death"));
            }
            Vec::new()
        };
        filing.application.ending = Some(BenefitEnding {
            ground: command.ground,
            on: command.on,
            statement: written("statement", &command.statement)?,
            by: filing.work.by.actor.clone(),
            org,
            remedies,
            at: filing.work.now,
        });
        filing.benefit = Some(BenefitChange {
            benefit,
            version: command.version + 1,
            tag_code: command.tag_code.clone(),
            news: BenefitNews::Ended { reason_code: NEUTRAL.to_owned() },
        });
        Ok(filing.finish_with(ENDED, Some(Reason::new(OVER))))
    }

    /// The benefit that it re-checks has ended otherwise: nothing is left to be decided, and its case ends.
    ///
    /// # Errors
    /// `Guard` `application_state` once it is decided, `recheck` for anything else than a re-check of that benefit,
    /// `others_joined` while other requests are merged into it.
    pub fn lapse(self, benefit: CaseId, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Withdraw, act)?;
        if filing.application.recheck.as_ref().is_none_or(|recheck| recheck.benefit != benefit) {
            return Err(DomainError::guard("recheck", "it is no re-check of that benefit"));
        }
        filing.work.lapse()?;
        Ok(filing.finish())
    }
}

impl Work<'_> {
    /// What it was to find out has become immaterial; nobody asked for it, so nobody withdraws it.
    fn lapse(&mut self) -> Result<()> {
        self.nobody_else_waits()?;
        // As long as its clocks stand still.
        self.count_waiting();
        self.enter(CaseState::Withdrawn, Trigger::Withdraw)?;
        self.cancel_live_tasks(OVER)?;
        self.end(ClosedCode::Withdrawn);
        self.application_withdrawn(Trigger::Withdraw)?;
        let event = DomainEvent::CaseWithdrawn { reason_code: OVER.to_owned(), offer_id: None };
        self.emit(event, Some(Reason::new(OVER)), None);
        Ok(())
    }
}
