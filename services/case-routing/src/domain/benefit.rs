//! Lasting benefits: what an application grants until it is looked at again. Whoever has one carries the tag of the item;
//! on the review day a re-check begins, an application of its own about the same item, which the organisation in charge
//! grants, so that the benefit goes on to the next review day, or refuses in writing, which ends it. Only one re-check of a
//! benefit is open at a time. Else it ends only where whoever had it is gone or gave it up ([`super::benefit_end`]).

use calendar::TimeUnit;
use chrono::NaiveTime;
use serde::{Deserialize, Serialize};

use super::application::{Application, Filed, Filing};
use super::application_news::ApplicationNews;
use super::case::{ItemRef, Task};
use super::codes::{CaseState, Nature, TaskState};
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::CaseId;
use super::intake::{RegisterCase, registered_as};
use super::reason::Reason;
use super::rules::Rules;
use super::work::{Act, Work};

/// What an item's applications grant for longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenefitRule {
    /// The tag of whoever has it.
    pub tag_code: String,
    /// Calendar months from its delivery, or from the last re-check, to the next one.
    pub review_months: u16,
}

/// A benefit for a time, as the papers of the application know it that began or renewed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BenefitPeriod {
    /// The application that began it: the benefit's own id.
    pub benefit: CaseId,
    pub tag_code: String,
    /// First instant of the day on which it is looked at again, as it was told then: where another calendar moves it, the
    /// benefit alone says so ([`review_day`]).
    pub review_at: Timestamp,
}

/// Of which benefit an application is the re-check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recheck {
    /// The application that began it.
    pub benefit: CaseId,
    /// How it is tagged and reviewed from now on.
    pub rule: BenefitRule,
    /// The review that is due.
    pub review_at: Timestamp,
    /// Version of the benefit since the re-check began; what the re-check makes of it is the next one.
    pub version: i64,
}

/// What becomes of a benefit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenefitChange {
    pub benefit: CaseId,
    /// Of the benefit, after it.
    pub version: i64,
    pub tag_code: String,
    pub news: BenefitNews,
}

/// A fact about a benefit, past tense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BenefitNews {
    /// It was delivered for the first time. Who has it is told sealed.
    Granted { holder_sealed: Vec<u8>, review_at: Timestamp, calendar_version: u32 },
    /// A re-check found that it goes on.
    Renewed { review_at: Timestamp, calendar_version: u32 },
    /// A re-check ended it, or a human outside of one, in writing.
    Ended { reason_code: String },
}

/// The review of a benefit is due.
#[derive(Debug, Clone)]
pub struct BeginRecheck {
    pub register: RegisterCase,
    /// The version of the item by which it was granted, for an item that nobody applies for any more.
    pub item: ItemRef,
    pub recheck: Recheck,
    /// The signed paper by which the family lets other departments be asked, from before.
    pub authorisation_ref: Option<String>,
}

impl Application {
    /// The re-check of a benefit begins by itself: with a case of its own, taken in at once and sent to whoever is in charge.
    /// Whenever it is dispatched, by itself or later by hand, the first receiver is asked to look into the facts with them.
    /// Nothing is decided by it.
    ///
    /// # Errors
    /// As for [`super::Case::register`]; `Guard(recheck)` when the case would go another way than to whoever is in charge.
    pub fn recheck(command: BeginRecheck, act: &Act<'_>) -> Result<Filed> {
        let BeginRecheck { register, item, recheck, authorisation_ref } = command;
        let granting = (!is_applied_for(&item.code, act)).then_some(item);
        let mut work = registered_as(register, granting, act)?;
        // Nobody asked for it, so it repeats nothing.
        work.case.repeats = Some(false);
        work.case.parent_case = Some(recheck.benefit);
        let (benefit_id, review_at) = (recheck.benefit, recheck.review_at);
        let mut application = Self::begun(&mut work, Vec::new(), authorisation_ref);
        application.recheck = Some(recheck);
        let reason = Reason::new("benefit_review_due").with("day", calendar::local_day(review_at));
        work.tell(ApplicationNews::RecheckBegun { benefit_id, review_at }, Some(reason));
        work.accept(false)?;
        work.send_to_lead()?;
        // In any other state nobody could decide it, and the benefit would wait for it for ever.
        if !matches!(work.case.state, CaseState::Dispatched | CaseState::Triaged) {
            let message = format!("its case would be {}", work.case.state);
            return Err(DomainError::guard("recheck", message));
        }
        Ok(Filing::of(application, work).finish())
    }

    /// The benefit that it began, or of which it is a re-check.
    #[must_use]
    pub fn lasting(&self) -> Option<CaseId> {
        let begun = self.benefit.as_ref().map(|period| period.benefit);
        begun.or_else(|| self.recheck.as_ref().map(|recheck| recheck.benefit))
    }
}

/// Whether people apply for the item as it is now: it has not ended, nor become something else, nor gone to a channel of its own.
fn is_applied_for(code: &str, act: &Act<'_>) -> bool {
    act.routes.item(code, act.now).is_some_and(|item| {
        let own_channel = item.statutory_channel.is_some() || item.emergency_line.is_some();
        item.nature == Nature::Application && !own_channel
    })
}

impl Filing<'_> {
    /// What was delivered lasts: its first period begins, or after a re-check the next one. Gives what people read of it;
    /// nothing where it does not last.
    pub fn benefit_goes_on(&mut self, holder_sealed: Vec<u8>) -> Option<Reason> {
        let recheck = self.application.recheck.as_ref();
        let rule = match recheck {
            Some(recheck) => recheck.rule.clone(),
            None => self.work.item()?.benefit.clone()?,
        };
        let (review_at, calendar_version) = self.next_review(rule.review_months);
        let (benefit, version, news) = match recheck {
            Some(recheck) => {
                (recheck.benefit, recheck.version + 1, BenefitNews::Renewed { review_at, calendar_version })
            }
            None => {
                let granted = BenefitNews::Granted { holder_sealed, review_at, calendar_version };
                (self.application.id, 1, granted)
            }
        };
        let tag_code = rule.tag_code;
        self.benefit = Some(BenefitChange { benefit, version, tag_code: tag_code.clone(), news });
        self.application.benefit = Some(BenefitPeriod { benefit, tag_code, review_at });
        Some(Reason::new("benefit_reviewed_on").with("day", calendar::local_day(review_at)))
    }

    /// A re-check is refused: the benefit ends.
    pub fn benefit_ends(&mut self, reason_code: &str) {
        let Some(recheck) = &self.application.recheck else { return };
        self.benefit = Some(BenefitChange {
            benefit: recheck.benefit,
            version: recheck.version + 1,
            tag_code: recheck.rule.tag_code.clone(),
            news: BenefitNews::Ended { reason_code: reason_code.to_owned() },
        });
    }

    /// A re-check is decided by whoever is in charge; nobody takes it back.
    pub fn not_a_recheck(&self) -> Result<()> {
        match self.application.recheck {
            None => Ok(()),
            Some(_) => {
                let message = "a re-check is decided, not withdrawn";
                Err(DomainError::guard("recheck", message))
            }
        }
    }

    /// The beginning of the review day: a month ends when the day does, on a working day. With the version of the calendar.
    fn next_review(&self, months: u16) -> (Timestamp, u32) {
        let rules = self.work.rules;
        let due = rules.calendar.add(TimeUnit::Month, months, self.work.now, &rules.profile);
        (calendar::instant(calendar::local_day(due.at), NaiveTime::MIN), due.calendar_version)
    }
}

/// The beginning of a review day by the calendar in force: where it has become a rest day, of the next working day, as the law
/// counts months (Civil Code arts 202–203). Never of an earlier one.
#[must_use]
pub fn review_day(review_at: Timestamp, rules: &Rules) -> Timestamp {
    let day = calendar::local_day(review_at);
    let works = day.iter_days().find(|day| rules.profile.is_work_day(&rules.calendar, *day));
    calendar::instant(works.unwrap_or(day), NaiveTime::MIN).max(review_at)
}

impl Work<'_> {
    /// Of a re-check that is dispatched: whoever received the application first is near the people and gets a task of its own
    /// beside the lead's, unless it leads, has a part already, must not have one, or gave back the one it had. Where there is no
    /// such organisation any more, the nearest window is asked.
    pub(super) fn ask_first_receiver(&mut self) {
        let routes = self.routes;
        let first = self.case.first_receiver;
        let stands = routes.org(first).is_some_and(|org| org.in_force(self.now));
        let nearest = || routes.window_above(&self.case.place.path, self.now);
        let Some(receiver) = stands.then_some(first).or_else(nearest) else { return };
        let gave_back = |task: &Task| task.org == receiver && task.state == TaskState::Declined;
        let asked = self.case.lead_org != Some(receiver)
            && !self.case.excluded_orgs.contains(&receiver)
            && !self.case.tasks.iter().any(gave_back)
            && self.item().is_some()
            && self.lists_let_assist(receiver).is_ok();
        // Nobody may order a committee about; then the lead's task stands alone.
        let choice = self.chosen("assist_org_ids", receiver, None, false).ok().filter(|_| asked);
        if let Some(choice) = choice {
            self.issue_assists(&[choice]);
        }
    }
}
