//! Looking into the facts, summing them up, and showing publicly what is about to be granted.

use super::application::{
    Application, CurrentNotice, Filed, Filing, Investigation, NewNotice, Notice, NoticeObjection, Review,
    Signature,
};
use super::application_codes::{ApplicationState, ApplicationVerb, InvestigationKind};
use super::application_news::ApplicationNews;
use super::case::Case;
use super::codes::CaseState;
use super::counted::Counted;
use super::error::{DomainError, Result};
use super::ids::{InvestigationId, PersonRef};
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Work, check_code};
use calendar::{Limit, TimeUnit};
use chrono::TimeDelta;

/// The due time of a calendar day is its last microsecond; a notice is over with the next one.
pub(super) const INSTANT: TimeDelta = TimeDelta::microseconds(1);

/// A check that somebody made.
#[derive(Debug, Clone)]
pub struct RecordInvestigation {
    pub kind: InvestigationKind,
    pub finding_code: String,
    pub evidence_refs: Vec<String>,
    pub note: String,
}

/// The sum of what was found.
#[derive(Debug, Clone)]
pub struct ReviewApplication {
    pub recommends_grant: bool,
    pub reason_code: String,
    pub opinion: String,
}

impl Application {
    /// The organisation in charge begins: it signs for the case if it has not, and records the first contact.
    ///
    /// # Errors
    /// `Guard(application_state)`; `WrongState` of the case; `NotEntitled` unless the lead.
    pub fn start_investigation(self, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::StartInvestigation, act)?;
        filing.work.take_up()?;
        filing.work.move_application(ApplicationState::Investigating, ApplicationVerb::StartInvestigation)?;
        filing.application.round_since = Some(filing.work.now);
        filing.work.tell(ApplicationNews::InvestigationStarted, None);
        Ok(filing.finish())
    }

    /// Records a check that the caller made.
    ///
    /// # Errors
    /// `Guard` `application_state`, `not_authorised` for a data check without the family's paper, `too_many_checks`;
    /// `NotEntitled` for a machine; `Invalid` code or evidence.
    pub fn record_investigation(
        self,
        command: RecordInvestigation,
        case: Case,
        act: &Act<'_>,
    ) -> Result<Filed> {
        let verb = ApplicationVerb::RecordInvestigation;
        let mut filing = Filing::begin(self, case, verb, act)?;
        let org = filing.work.human_official()?;
        let RecordInvestigation { kind, finding_code, evidence_refs, note } = command;
        check_code("finding_code", &finding_code)?;
        if evidence_refs.is_empty() {
            return Err(DomainError::invalid("evidence_refs", "what shows it"));
        }
        if kind == InvestigationKind::DataCheck && filing.application.authorisation_ref.is_none() {
            let message = "other departments are asked only on the family's authorisation";
            return Err(DomainError::guard("not_authorised", message));
        }
        if filing.application.investigations.len() >= MOST_CHECKS {
            return Err(DomainError::guard("too_many_checks", "no application needs that many"));
        }
        let id: InvestigationId = filing.work.ids.draw();
        let (people, at) = (vec![filing.work.by.actor.clone()], filing.work.now);
        let signatures = vec![Signature { org, at }];
        let check = Investigation { id, kind, people, signatures, finding_code, evidence_refs, note, at };
        filing.application.investigations.push(check);
        filing.work.tell(ApplicationNews::Investigated { kind, people: 1 }, None);
        Ok(filing.finish())
    }

    /// Somebody else who made the check too signs it.
    ///
    /// # Errors
    /// `Guard` `application_state`, `signed_already`; `NotEntitled` for a machine; `Invalid` id.
    pub fn countersign_investigation(self, id: InvestigationId, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::CountersignInvestigation, act)?;
        let org = filing.work.human_official()?;
        let (person, at) = (filing.work.by.actor.clone(), filing.work.now);
        let check = filing.application.investigations.iter_mut().find(|check| check.id == id);
        let check = check
            .ok_or_else(|| DomainError::invalid("investigation_id", "not a check of this application"))?;
        if check.people.contains(&person) {
            return Err(DomainError::guard("signed_already", "another person signs it too"));
        }
        check.people.push(person);
        check.signatures.push(Signature { org, at });
        let (kind, people) = (check.kind, u32::try_from(check.people.len()).unwrap_or(u32::MAX));
        filing.work.tell(ApplicationNews::Investigated { kind, people }, None);
        Ok(filing.finish())
    }

    /// Somebody who did not investigate sums up.
    ///
    /// # Errors
    /// `Guard` `application_state`, `paused`, `not_investigated`, `field_check_by_more`; `NotEntitled` for a machine or an
    /// investigator; `Invalid` code.
    pub fn review(self, command: ReviewApplication, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Review, act)?;
        let org = filing.not_an_investigator()?;
        filing.not_paused()?;
        check_code("reason_code", &command.reason_code)?;
        filing.facts_are_known()?;
        filing.work.move_application(ApplicationState::Reviewed, ApplicationVerb::Review)?;
        let ReviewApplication { recommends_grant, reason_code, opinion } = command;
        let reason = Reason::new(&reason_code);
        let (by, at) = (filing.work.by.actor.clone(), filing.work.now);
        filing.application.review = Some(Review { by, org, recommends_grant, reason_code, opinion, at });
        filing.work.tell(ApplicationNews::Reviewed { recommends_grant }, Some(reason));
        Ok(filing.finish())
    }

    /// Shows publicly that the application is about to be granted, for the days of its item. Of the name only what is masked
    /// comes here.
    ///
    /// # Errors
    /// `Guard` `application_state`, `paused`, `not_recommended`, `no_notice`; `NotEntitled` for a machine.
    pub fn publish_notice(self, name_masked: String, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::PublishNotice, act)?;
        filing.work.human_official()?;
        filing.not_paused()?;
        if !filing.application.review.as_ref().is_some_and(|review| review.recommends_grant) {
            return Err(DomainError::guard("not_recommended", "a refusal is shown to the applicant alone"));
        }
        let days = filing.rules().public_notice_days;
        if days == 0 {
            return Err(DomainError::guard("no_notice", "this item has no public notice"));
        }
        filing.work.move_application(ApplicationState::PublicNotice, ApplicationVerb::PublishNotice)?;
        let now = filing.work.now;
        let (counted, last) = Counted::begin(Limit::new(TimeUnit::CalDay, days), now, filing.work.rules);
        let (id, first_day, over_at) = (filing.work.ids.draw(), calendar::local_day(now), last + INSTANT);
        let calendar_version = counted.calendar_version;
        filing.application.notices.push(Notice { id, first_day, over_at, calendar_version });
        filing.notice = Some(NewNotice { id, name_masked, first_day, over_at });
        if let Some(face) = &mut filing.work.case.application {
            face.notice = Some(CurrentNotice { id, over_at, counted: Some(counted) });
        }
        filing.work.tell(ApplicationNews::Noticed { notice_id: id, over_at }, None);
        Ok(filing.finish())
    }

    /// Somebody objects while the notice is shown: it is taken down, and the facts are looked into again.
    ///
    /// # Errors
    /// `Guard` `application_state`, `notice_over`; `Invalid` code.
    pub fn object(self, ground_code: &str, text: String, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Object, act)?;
        check_code("ground_code", ground_code)?;
        if !filing.work.notice_is_shown() {
            return Err(DomainError::guard("notice_over", "the notice is not shown any more"));
        }
        filing.work.move_application(ApplicationState::Reinvestigating, ApplicationVerb::Object)?;
        filing.work.take_notice_down();
        let now = filing.work.now;
        if let Some(notice) = filing.application.notices.last_mut() {
            notice.over_at = now;
        }
        filing.application.round_since = Some(now);
        let ground_code = ground_code.to_owned();
        let objection = NoticeObjection { ground_code: ground_code.clone(), text, at: now };
        filing.application.objections.push(objection);
        let reason = Reason::new(&ground_code);
        filing.work.tell(ApplicationNews::Objected { ground_code }, Some(reason));
        Ok(filing.finish())
    }
}

/// Most checks of one application.
const MOST_CHECKS: usize = 100;

impl Filing<'_> {
    /// Something was looked into in this round, and somebody was on the spot where the item asks for it. A field check by fewer
    /// people than it asks for counts for nothing, whoever looked into the facts before.
    fn facts_are_known(&self) -> Result<()> {
        let (since, needed) = (self.application.round_since, self.rules().field_checkers);
        let checks = &self.application.investigations;
        let in_round = |check: &&Investigation| since.is_none_or(|since| check.at >= since);
        let mut of_round = checks.iter().filter(in_round).peekable();
        if of_round.peek().is_none() {
            return Err(DomainError::guard("not_investigated", "nothing was looked into since it began"));
        }
        let seen = checks.iter().any(|check| check.kind.is_field_check() && check.is_complete(needed));
        if needed > 0 && !(seen && of_round.any(|check| check.is_complete(needed))) {
            let message = format!("a field check is made, and signed by {needed} at least");
            return Err(DomainError::guard("field_check_by_more", message));
        }
        Ok(())
    }
}

impl Investigation {
    /// Whether it counts: a field check does when as many different people signed it as the item asks for.
    #[must_use]
    pub fn is_complete(&self, needed: u8) -> bool {
        !self.kind.is_field_check() || self.people.len() >= usize::from(needed)
    }

    /// Those who made and signed it, each with the signature where that was kept.
    pub fn signed(&self) -> impl Iterator<Item = (&PersonRef, Option<&Signature>)> {
        // Where some were not kept yet, it is the first ones.
        let without = self.people.len().saturating_sub(self.signatures.len());
        let kept = self.signatures.iter().map(Some);
        self.people.iter().zip(std::iter::repeat_n(None, without).chain(kept))
    }
}

impl Work<'_> {
    /// Whether a notice is shown at this instant, whether or not the timer has come by.
    pub(super) fn notice_is_shown(&self) -> bool {
        let notice = self.case.application.as_ref().and_then(|face| face.notice.as_ref());
        notice.is_some_and(|notice| self.now < notice.over_at)
    }

    /// The organisation in charge works on the case: what it has not done yet, signing and the first contact, it does now.
    pub(super) fn take_up(&mut self) -> Result<()> {
        let (task, org) = self.lead()?;
        self.human_official()?;
        self.acts_for(org, "lead_org")?;
        if self.case.state == CaseState::Dispatched {
            self.sign(task)?;
        }
        if self.case.state == CaseState::Signed {
            self.contact(None)?;
        }
        if self.case.state == CaseState::InProgress {
            Ok(())
        } else {
            Err(self.wrong_state(Trigger::Contact))
        }
    }
}
