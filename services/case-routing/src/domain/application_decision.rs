//! What becomes of an application: granted or refused by a human who did not look into the facts, delivered; the urgent way
//! of small sums; and the periods that do not count.

use calendar::{Limit, TimeUnit};

use super::application::{
    Application, Determination, Filed, Filing, PAPERS_OVERDUE, Papers, Refusal, ReturnedReview,
    UncountedPeriod,
};
use super::application_codes::{ApplicationOutcome, ApplicationState, ApplicationVerb};
use super::application_intake::{BroughtPapers, add_papers};
use super::application_news::ApplicationNews;
use super::case::Case;
use super::codes::*;
use super::completion::CompleteCase;
use super::counted::Counted;
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::reason::Reason;
use super::work::{Act, check_code};

/// The periods that do not count (行政许可法 art. 45), of the causes for which a case may wait.
pub const UNCOUNTED: [&str; 3] = ["public_hearing", "inspection_testing", "expert_review"];

/// Most reviews of one application that are sent back.
const MOST_RETURNED: usize = 20;

impl Application {
    /// Whoever decides does not go by the review: it is summed up again, by what was found or is found still. Every limit goes on.
    ///
    /// # Errors
    /// `Guard` `application_state`, `paused`, `too_many_returned`; `NotEntitled` unless a human of the lead who did not
    /// investigate; `Invalid` code.
    pub fn return_review(
        self,
        reason_code: &str,
        explanation: String,
        case: Case,
        act: &Act<'_>,
    ) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::ReturnReview, act)?;
        filing.may_decide()?;
        check_code("reason_code", reason_code)?;
        if filing.application.returned.len() >= MOST_RETURNED {
            let message = "this application was summed up often enough: decide";
            return Err(DomainError::guard("too_many_returned", message));
        }
        // What an objection brought up is still looked into as such.
        let to = if filing.application.objections.is_empty() {
            ApplicationState::Investigating
        } else {
            ApplicationState::Reinvestigating
        };
        filing.work.move_application(to, ApplicationVerb::ReturnReview)?;
        let (by, at) = (filing.work.by.actor.clone(), filing.work.now);
        let org = filing.work.human_official()?;
        if let Some(review) = filing.application.review.take() {
            let reason_code = reason_code.to_owned();
            let returned = ReturnedReview { review, by, org, reason_code, explanation, at };
            filing.application.returned.push(returned);
        }
        let news = ApplicationNews::ReviewReturned { reason_code: reason_code.to_owned() };
        filing.work.tell(news, Some(Reason::new(reason_code)));
        Ok(filing.finish())
    }

    /// The organisation in charge grants it: after the notice, where the item has one.
    ///
    /// # Errors
    /// `Guard` `application_state`, `paused`, `notice_needed`, `notice_runs`; `NotEntitled` unless a human of the lead who did
    /// not investigate; `Invalid` sum.
    pub fn approve(self, amount_fen: i64, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Approve, act)?;
        filing.may_decide()?;
        if !(0..=MOST_FEN).contains(&amount_fen) {
            return Err(DomainError::invalid("amount_fen", "between 0 and 10,000,000,000"));
        }
        let state = filing.work.case.application.as_ref().map(|face| face.state);
        if state == Some(ApplicationState::Reviewed) && filing.rules().public_notice_days > 0 {
            return Err(DomainError::guard("notice_needed", "it is shown publicly before it is granted"));
        }
        filing.work.move_application(ApplicationState::Approved, ApplicationVerb::Approve)?;
        let ruling = filing.granted(amount_fen, String::new(), false)?;
        filing.rule(ruling, None);
        Ok(filing.finish())
    }

    /// The organisation in charge refuses it: in writing, with reasons and remedies. The case ends as explained; a benefit
    /// that was re-checked ends with it.
    ///
    /// # Errors
    /// As for [`approve`](Self::approve), without `notice_needed`; `Invalid` reasons or remedies.
    pub fn deny(self, refusal: &Refusal, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Deny, act)?;
        filing.may_decide()?;
        let ruling = filing.refusal(ApplicationOutcome::Denied, refusal)?;
        filing.work.take_up()?;
        filing.work.move_application(ApplicationState::Denied, ApplicationVerb::Deny)?;
        filing.rule(ruling, None);
        filing.benefit_ends(&refusal.reason_code);
        let evidence = vec![(EvidenceKind::Explanation, "decision:denied".to_owned())];
        let closed_code = Some(ClosedCode::Explained);
        let waived = filing.work.outstanding_assists();
        filing.work.complete(CompleteCase { evidence, closed_code, waived })?;
        Ok(filing.finish())
    }

    /// The street in charge grants a small sum at once; the papers follow.
    ///
    /// # Errors
    /// `Guard` `application_state`, `paused`, `no_urgent_way`, `street_decides`; `NotEntitled` unless a human of the lead who did
    /// not investigate; `Invalid` sum or code.
    pub fn grant_urgently(
        self,
        amount_fen: i64,
        reason_code: &str,
        case: Case,
        act: &Act<'_>,
    ) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::GrantUrgently, act)?;
        let rules = filing.rules();
        if rules.urgent_max_fen == 0 {
            return Err(DomainError::guard("no_urgent_way", "this item is not granted urgently"));
        }
        let lead = filing.work.case.lead_org.and_then(|org| filing.work.routes.org(org));
        if lead.is_none_or(|org| org.kind != OrgKind::StreetOffice) {
            return Err(DomainError::guard("street_decides", "only a street in charge grants urgently"));
        }
        filing.may_decide()?;
        check_code("reason_code", reason_code)?;
        if !(1..=rules.urgent_max_fen).contains(&amount_fen) {
            let message = format!("between 1 and {} for this item", rules.urgent_max_fen);
            return Err(DomainError::invalid("amount_fen", message));
        }
        // Granted first: who takes it up need not look into the facts any more.
        filing.work.move_application(ApplicationState::Approved, ApplicationVerb::GrantUrgently)?;
        filing.work.take_up()?;
        let limit = Limit::new(TimeUnit::WorkDay, rules.papers_days.max(1));
        let (counted, due_at) = Counted::begin(limit, filing.work.now, filing.work.rules);
        let calendar_version = counted.calendar_version;
        filing.application.papers = Some(Papers { due_at, submitted_at: None, calendar_version });
        if let Some(face) = &mut filing.work.case.application {
            (face.papers_due_at, face.papers_counted) = (Some(due_at), Some(counted));
        }
        let ruling = filing.granted(amount_fen, reason_code.to_owned(), true)?;
        filing.rule(ruling, Some(due_at));
        Ok(filing.finish())
    }

    /// What was granted reached the applicant; the case is completed and goes to verification. What lasts begins, or goes on,
    /// until its next review; `holder_sealed` says who has it, to be told.
    ///
    /// # Errors
    /// `Guard` `application_state`, `paused`; `NotEntitled` unless a human of the lead; `Invalid`
    /// reference.
    pub fn deliver(
        self,
        delivery_ref: &str,
        holder_sealed: Vec<u8>,
        case: Case,
        act: &Act<'_>,
    ) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Deliver, act)?;
        filing.not_paused()?;
        filing.work.take_up()?;
        filing.work.move_application(ApplicationState::Delivered, ApplicationVerb::Deliver)?;
        filing.application.delivery = Some((delivery_ref.to_owned(), filing.work.now));
        let reviewed = filing.benefit_goes_on(holder_sealed);
        filing.work.tell(ApplicationNews::Delivered, reviewed);
        let evidence = vec![(EvidenceKind::Document, delivery_ref.to_owned())];
        let closed_code = Some(ClosedCode::Resolved);
        let waived = filing.work.outstanding_assists();
        filing.work.complete(CompleteCase { evidence, closed_code, waived })?;
        Ok(filing.finish())
    }

    /// The papers of an urgent grant come in.
    ///
    /// # Errors
    /// `Guard` `application_state`, `no_papers_due`; `Invalid` without papers.
    pub fn submit_papers(self, papers: BroughtPapers, case: Case, act: &Act<'_>) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::SubmitPapers, act)?;
        let now = filing.work.now;
        let due = filing.application.papers.as_mut().filter(|papers| papers.submitted_at.is_none());
        let due = due.ok_or_else(|| DomainError::guard("no_papers_due", "no papers are outstanding"))?;
        due.submitted_at = Some(now);
        let in_time = now <= due.due_at;
        add_papers(&mut filing.application, papers)?;
        if let Some(face) = &mut filing.work.case.application {
            face.papers_due_at = None;
        }
        filing.work.tell(ApplicationNews::PapersSubmitted { in_time }, None);
        filing.work.clear_supervisions(|supervision| supervision.reason_code == PAPERS_OVERDUE);
        Ok(filing.finish())
    }

    /// The limit stands still for a listed period that does not count, told to the applicant in writing (C-3).
    ///
    /// # Errors
    /// `Guard(application_state)`; `WrongState` of the case; `Invalid` cause or date; and as [`Case::suspend`] for who may.
    pub fn pause(
        self,
        (cause_code, told_ref): (&str, &str),
        resume_at: Option<Timestamp>,
        case: Case,
        act: &Act<'_>,
    ) -> Result<Filed> {
        let mut filing = Filing::begin(self, case, ApplicationVerb::Pause, act)?;
        filing.work.human_official()?;
        if !UNCOUNTED.contains(&cause_code) {
            return Err(DomainError::invalid("cause_code", "not a period that does not count"));
        }
        let period = UncountedPeriod {
            cause_code: cause_code.to_owned(),
            told_ref: told_ref.to_owned(),
            since: filing.work.now,
        };
        filing.work.suspend(cause_code, told_ref, resume_at)?;
        filing.application.uncounted.push(period);
        Ok(filing.finish())
    }
}

/// More than any benefit, in fen; guards against a slip of the keyboard.
pub const MOST_FEN: i64 = 10_000_000_000;

impl Filing<'_> {
    /// Whoever decides: a human of the organisation in charge who did not look into the facts, when no notice is shown.
    fn may_decide(&self) -> Result<()> {
        self.not_an_investigator()?;
        let (_, lead) = self.work.lead()?;
        self.work.acts_for(lead, "lead_org")?;
        self.not_paused()?;
        if self.work.notice_is_shown() {
            return Err(DomainError::guard("notice_runs", "the notice is shown until its last day is over"));
        }
        Ok(())
    }

    fn granted(&self, amount_fen: i64, reason_code: String, urgent: bool) -> Result<Determination> {
        Ok(Determination {
            outcome: ApplicationOutcome::Granted,
            by: self.work.by.actor.clone(),
            org: self.work.human_official()?,
            reason_code,
            written_reason: String::new(),
            remedies: Vec::new(),
            amount_fen,
            urgent,
            at: self.work.now,
        })
    }
}
