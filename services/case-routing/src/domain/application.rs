//! The Application aggregate: what a service application has beside its case. Its state and what it waits for stand in the
//! case ([`ApplicationFace`]), so that the case's timers move both; the papers are kept apart, sealed, because they say much
//! about a person. Only the verbs in the `application_*` modules change either.

use std::borrow::Cow;

use calendar::{Limit, TimeUnit};
use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};

use super::application_codes::{
    ApplicationOutcome, ApplicationState, ApplicationVerb, InvestigationKind, RemedyKind,
};
use super::application_news::ApplicationNews;
use super::benefit::{BenefitChange, BenefitPeriod, Recheck};
use super::benefit_end::BenefitEnding;
use super::case::Case;
use super::clock::is_default;
use super::counted::Counted;
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::*;
use super::item::ApplicationRules;
use super::reason::Reason;
use super::work::{Act, Decision, Work, check_code};

/// What a case shows of its application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationFace {
    pub state: ApplicationState,
    /// The notice that is shown now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<CurrentNotice>,
    /// When the papers of an urgent grant are due, while that waits for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub papers_due_at: Option<Timestamp>,
    /// How that was counted; unset in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub papers_counted: Option<Counted>,
    /// What the papers do not know yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub moved: MovedDays,
}

/// Days that were counted again while only the case was at hand. The papers, which are sealed apart, learn of them with their
/// next command; whoever reads them before sees them as they are by now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedDays {
    /// The latest of each notice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<MovedNotice>,
    /// When the papers of an urgent grant are due, and the version of the calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub papers: Option<(Timestamp, u32)>,
}

/// Until when a notice is shown by a later calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedNotice {
    pub id: NoticeId,
    pub over_at: Timestamp,
    pub calendar_version: u32,
}

/// A notice while it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentNotice {
    pub id: NoticeId,
    /// The first instant at which it is gone: midnight after the last day.
    pub over_at: Timestamp,
    /// How that was counted; unset in cases of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<Counted>,
}

/// A check of the facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Investigation {
    pub id: InvestigationId,
    pub kind: InvestigationKind,
    /// Pseudonyms of those who made and signed it.
    pub people: Vec<PersonRef>,
    /// For whom each of them went and when they signed, in the same order; none of checks that were recorded before this was.
    #[serde(default)]
    pub signatures: Vec<Signature>,
    pub finding_code: String,
    pub evidence_refs: Vec<String>,
    pub note: String,
    pub at: Timestamp,
}

/// The signature of somebody who made a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub org: OrgId,
    pub at: Timestamp,
}

/// The sum of what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    pub by: PersonRef,
    pub org: OrgId,
    pub recommends_grant: bool,
    pub reason_code: String,
    pub opinion: String,
    pub at: Timestamp,
}

/// A review that whoever decides did not go by, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReturnedReview {
    pub review: Review,
    pub by: PersonRef,
    pub org: OrgId,
    pub reason_code: String,
    pub explanation: String,
    pub at: Timestamp,
}

/// A public notice, as the file remembers it; what it showed is kept by nobody once it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub id: NoticeId,
    pub first_day: NaiveDate,
    pub over_at: Timestamp,
    /// Of the calendar that its last day was counted with; 0 in papers of earlier releases.
    #[serde(default)]
    pub calendar_version: u32,
}

/// An objection to a notice; who made it is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeObjection {
    pub ground_code: String,
    pub text: String,
    pub at: Timestamp,
}

/// What a human decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Determination {
    pub outcome: ApplicationOutcome,
    pub by: PersonRef,
    pub org: OrgId,
    /// Of a refusal, or of an urgent grant.
    pub reason_code: String,
    /// Of a refusal.
    pub written_reason: String,
    /// Of a refusal; never empty then.
    pub remedies: Vec<Remedy>,
    pub amount_fen: i64,
    pub urgent: bool,
    pub at: Timestamp,
}

/// What can be done against a refusal, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    pub kind: RemedyKind,
    /// The authority or court.
    pub body: String,
    /// The last instant in time.
    pub due_at: Timestamp,
}

/// Papers of an urgent grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Papers {
    pub due_at: Timestamp,
    pub submitted_at: Option<Timestamp>,
    /// Of the calendar that the day was counted with; 0 in papers of earlier releases.
    #[serde(default)]
    pub calendar_version: u32,
}

/// A period that does not count (C-3), told in writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncountedPeriod {
    pub cause_code: String,
    pub told_ref: String,
    pub since: Timestamp,
}

/// A refusal as the one who refuses writes it.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub reason_code: String,
    pub written_reason: String,
    pub reconsideration_body: String,
    pub court: String,
}

/// The papers of a service application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Of its case.
    pub id: CaseId,
    pub submitted_at: Timestamp,
    /// The residents' committee that applied by proxy.
    pub proxy: Option<OrgId>,
    pub material_refs: Vec<String>,
    /// The signed paper by which the family lets other departments be asked.
    pub authorisation_ref: Option<String>,
    /// The one complete list of what was missing.
    pub missing: Vec<String>,
    pub supplement_due_at: Option<Timestamp>,
    /// When the facts began to be looked into, last; checks before are of an earlier round.
    pub round_since: Option<Timestamp>,
    pub investigations: Vec<Investigation>,
    pub review: Option<Review>,
    /// Reviews that were sent back, oldest first.
    #[serde(default)]
    pub returned: Vec<ReturnedReview>,
    pub notices: Vec<Notice>,
    pub objections: Vec<NoticeObjection>,
    pub ruling: Option<Determination>,
    pub delivery: Option<(String, Timestamp)>,
    pub papers: Option<Papers>,
    pub uncounted: Vec<UncountedPeriod>,
    /// The lasting benefit that its delivery began, or renewed where it is a re-check.
    #[serde(default)]
    pub benefit: Option<BenefitPeriod>,
    /// It is the re-check of a benefit.
    #[serde(default)]
    pub recheck: Option<Recheck>,
    /// How the benefit that it began ended, where no re-check ended it.
    #[serde(default)]
    pub ending: Option<BenefitEnding>,
}

impl Application {
    /// Whether somebody looked into the facts: then they neither review nor decide.
    #[must_use]
    pub fn was_investigated_by(&self, person: &PersonRef) -> bool {
        self.investigations.iter().any(|check| check.people.contains(person))
    }

    /// The papers with the days as its case has them by now.
    #[must_use]
    pub fn as_of(&self, case: &Case) -> Cow<'_, Self> {
        let moved = case.application.as_ref().map(|face| &face.moved);
        match moved.filter(|moved| **moved != MovedDays::default()) {
            Some(moved) => {
                let mut now = self.clone();
                now.learn(moved);
                Cow::Owned(now)
            }
            None => Cow::Borrowed(self),
        }
    }

    /// Takes the days as they were counted while only the case was at hand.
    fn learn(&mut self, moved: &MovedDays) {
        for MovedNotice { id, over_at, calendar_version } in &moved.notices {
            for notice in self.notices.iter_mut().filter(|notice| notice.id == *id) {
                notice.over_at = *over_at;
                notice.calendar_version = *calendar_version;
            }
        }
        if let (Some((due_at, calendar_version)), Some(papers)) = (moved.papers, &mut self.papers) {
            papers.due_at = due_at;
            papers.calendar_version = calendar_version;
        }
    }
}

/// The public copy of a notice that begins: what everybody sees besides item, place and period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    pub id: NoticeId,
    pub name_masked: String,
    pub first_day: NaiveDate,
    pub over_at: Timestamp,
}

/// A decided command: the new papers, what becomes of the case and of a benefit, and a notice that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    pub application: Application,
    pub decision: Decision,
    pub notice: Option<NewNotice>,
    pub benefit: Option<BenefitChange>,
}

/// The first character of a name and two asterisks, whatever its length.
///
/// # Errors
/// `Invalid` for what is no name: its length, or anything but letters and what joins them.
pub fn masked_name(name: &str) -> Result<String> {
    let name = name.trim();
    let joins = |c: char| matches!(c, ' ' | '·' | '•' | '-' | '\'' | '’' | '.');
    let fits = (2..=50).contains(&name.chars().count());
    let first = name.chars().next().filter(|c| c.is_alphabetic());
    match first {
        Some(first) if fits && name.chars().all(|c| c.is_alphabetic() || joins(c)) => {
            Ok(format!("{first}**"))
        }
        _ => Err(DomainError::invalid("applicant_name", "must be a name of 2–50 letters")),
    }
}

/// One decision about an application being made: its papers and its case.
pub(super) struct Filing<'a> {
    pub application: Application,
    pub work: Work<'a>,
    pub notice: Option<NewNotice>,
    pub benefit: Option<BenefitChange>,
}

impl<'a> Filing<'a> {
    /// The application as it stands; its state allows the verb.
    pub fn begin(
        mut application: Application,
        case: Case,
        verb: ApplicationVerb,
        act: &Act<'a>,
    ) -> Result<Self> {
        let mut work = Work::begin(case, act);
        work.by_application = true;
        work.permit_application(verb)?;
        if let Some(face) = &mut work.case.application {
            application.learn(&std::mem::take(&mut face.moved));
        }
        Ok(Self::of(application, work))
    }

    /// New papers, and the case that comes with them.
    pub fn of(application: Application, work: Work<'a>) -> Self {
        Self { application, work, notice: None, benefit: None }
    }

    pub fn finish(self) -> Filed {
        let Self { application, work, notice, benefit } = self;
        Filed { application, decision: work.finish(), notice, benefit }
    }

    /// With a step that people read of the case and nobody is told of it.
    pub fn finish_with(self, step: &str, reason: Option<Reason>) -> Filed {
        let Self { application, work, notice, benefit } = self;
        Filed { application, decision: work.finish_with(step, reason), notice, benefit }
    }

    /// What the item asks of its applications. What was shown publicly when it was granted is not shown again when it is
    /// re-checked, and nothing about that is urgent.
    pub fn rules(&self) -> ApplicationRules {
        let rules = self.work.item().map(|item| item.application).unwrap_or_default();
        match self.application.recheck {
            None => rules,
            Some(_) => ApplicationRules { public_notice_days: 0, urgent_max_fen: 0, ..rules },
        }
    }

    /// Somebody, not a machine, who did not look into the facts (C-5).
    pub fn not_an_investigator(&self) -> Result<OrgId> {
        let org = self.work.human_official()?;
        if self.application.was_investigated_by(&self.work.by.actor) {
            return Err(DomainError::NotEntitled { code: "investigator" });
        }
        Ok(org)
    }

    /// Nothing is decided in a period that does not count.
    pub fn not_paused(&self) -> Result<()> {
        if self.work.case.suspension.is_some() {
            return Err(DomainError::guard(
                "paused",
                "the application waits in a period that does not count",
            ));
        }
        Ok(())
    }

    /// A refusal, in writing, with what can be done against it.
    pub fn refusal(&self, outcome: ApplicationOutcome, refusal: &Refusal) -> Result<Determination> {
        let org = self.not_an_investigator()?;
        check_code("reason_code", &refusal.reason_code)?;
        Ok(Determination {
            outcome,
            by: self.work.by.actor.clone(),
            org,
            reason_code: refusal.reason_code.clone(),
            written_reason: written("written_reason", &refusal.written_reason)?,
            remedies: self.remedies(&refusal.reconsideration_body, &refusal.court)?,
            amount_fen: 0,
            urgent: false,
            at: self.work.now,
        })
    }

    /// What can be done against a decision of now (行政复议法 art. 20: 60 days; 行政诉讼法 art. 46: six months).
    pub fn remedies(&self, reconsideration_body: &str, court: &str) -> Result<Vec<Remedy>> {
        let remedy = |kind, field, body: &str, limit: Limit| {
            if !(2..=100).contains(&length(body)) {
                return Err(DomainError::invalid(field, "who hears the applicant, 2–100 characters"));
            }
            let rules = self.work.rules;
            let due = rules.calendar.add(limit.unit, limit.n, self.work.now, &rules.profile);
            Ok(Remedy { kind, body: body.trim().to_owned(), due_at: due.at })
        };
        let days = Limit::new(TimeUnit::CalDay, 60);
        let months = Limit::new(TimeUnit::Month, 6);
        Ok(vec![
            remedy(RemedyKind::Reconsideration, "reconsideration_body", reconsideration_body, days)?,
            remedy(RemedyKind::Litigation, "court", court, months)?,
        ])
    }

    /// Puts a ruling on record and tells it.
    pub fn rule(&mut self, ruling: Determination, papers_due_at: Option<Timestamp>) {
        let reason_code = ruling.reason_code.clone();
        let reason = (!reason_code.is_empty()).then(|| Reason::new(&reason_code));
        let (outcome, urgent) = (ruling.outcome, ruling.urgent);
        // The timer may not have come by yet.
        self.work.end_notice();
        self.application.ruling = Some(ruling);
        self.work.tell(ApplicationNews::Decided { outcome, reason_code, urgent, papers_due_at }, reason);
    }
}

fn length(text: &str) -> usize {
    text.trim().chars().count()
}

/// What a decision says in writing.
pub(super) fn written(field: &'static str, text: &str) -> Result<String> {
    if (10..=4_000).contains(&length(text)) {
        return Ok(text.trim().to_owned());
    }
    Err(DomainError::invalid(field, "the reasons in writing, 10–4000 characters"))
}

/// Reason of the supervision of an urgent grant without papers.
pub(super) const PAPERS_OVERDUE: &str = "papers_overdue";

/// The last local day before an instant.
pub(super) fn day_before(over_at: Timestamp) -> NaiveDate {
    calendar::local_day(over_at - TimeDelta::microseconds(1))
}

impl Notice {
    /// The last day on which it is shown.
    #[must_use]
    pub fn last_day(&self) -> NaiveDate {
        day_before(self.over_at)
    }
}
