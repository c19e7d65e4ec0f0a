//! The house rules of a cell: intake and handling limits, windows and counts. Data, not law: what the
//! law fixes stands in the catalogue items. The defaults are sample values a deployment replaces.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use calendar::{Calendar, Limit, Profile, TimeUnit};
use serde::{Deserialize, Serialize};

use super::clock::WARNINGS;
use super::codes::Urgency;
use super::hours::{Hours, nearest};
use super::ids::UnitId;
use super::item::ServiceItem;

/// The limits of every clock except `resolve`, which is the item's promised limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlaProfile {
    pub accept: Limit,
    pub supplement: Limit,
    pub dispatch: Limit,
    pub offer: Limit,
    pub sign: Limit,
    pub objection: Limit,
    pub contact: Limit,
    pub rework: Limit,
    pub assist: Limit,
    pub verify: Limit,
    pub rating_window: Limit,
    /// How long the parties of an arbitration have to take positions.
    pub consult: Limit,
    pub max_extensions: u32,
    /// Unanswered calls after which a requester counts as unreached.
    pub callback_attempts: u8,
    /// A case that goes back more often is supervised.
    pub rework_max: u32,
    /// How far apart calls are that nobody answers.
    pub callback_gap: Limit,
    /// Calendar days in which a closed case may be reopened or rated late.
    pub reopen_days: u16,
}

/// What holds for every case of a cell, with the calendar it is counted in.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub calendar: Calendar,
    /// Working hours and closures: those of the place that they are [for](Self::at), else the usual ones.
    pub profile: Profile,
    /// The same rules with the hours of units that have their own.
    pub of_units: HashMap<UnitId, Arc<Self>>,
    /// Profiles by code; `urgent` and `emergency` override an item's own when a case is that urgent.
    pub sla: BTreeMap<String, SlaProfile>,
    /// Where no profile applies, such as before triage.
    pub standard: SlaProfile,
    /// Resolve limit until the item is known.
    pub resolve: Limit,
    /// How long a supervised organisation has to answer before it goes one level up.
    pub supervision_answer: Limit,
    /// The parts of a limit, in percent and in order, at which whoever works against it is warned.
    pub warn_percent: [u8; 2],
    /// How long the arbiter has to rule after the parties were heard, and a reviewer to review.
    pub ruling: Limit,
    /// How long a department has to report in after a whistle that names no time, as a dispatch along the same edge does not.
    pub report_in: Limit,
    /// How long the check of a bad rating may take.
    pub judge: Limit,
    /// How long the parties of a mediation have to come to an agreement.
    pub mediation_talks: Limit,
    /// When the mediator asks after an agreement whose parties set no day.
    pub mediation_follow_up: Limit,
    /// The causes for which a case may wait, and for how many days at most: at a time, and in all unless the level above approves
    /// more; no others stop the requester's clock (C-3).
    pub suspension_causes: BTreeMap<String, u32>,
    /// A partner gives the case back to the public service when this part of the time left has run.
    pub partner_share_percent: u8,
    /// Percent of confidence below which the router only proposes and a human decides (domain.md §2.2.3 step 7). Entries of
    /// the list and the first receiver's duty are rules that name somebody and pass; that nobody is competent, so that
    /// the district would take it, is a finding about the lists that somebody should look at first.
    pub min_confidence: u8,
    /// Calendar days between closing and archiving where the item does not say.
    pub retention_days: u32,
    /// Limits and rules as decisions cite them.
    pub version: Arc<str>,
}

impl Default for SlaProfile {
    fn default() -> Self {
        let work_day = |n| Limit::new(TimeUnit::WorkDay, n);
        let work_hour = |n| Limit::new(TimeUnit::WorkHour, n);
        Self {
            accept: work_day(1),
            supplement: work_day(5),
            dispatch: work_hour(4),
            offer: work_hour(4),
            sign: work_hour(4),
            objection: work_day(1),
            contact: work_day(1),
            rework: work_day(3),
            assist: work_day(3),
            verify: work_day(3),
            rating_window: Limit::new(TimeUnit::CalDay, 7),
            consult: work_day(1),
            max_extensions: 2,
            callback_attempts: 3,
            rework_max: 2,
            callback_gap: Limit::new(TimeUnit::CalHour, 2),
            reopen_days: 30,
        }
    }
}

impl Default for Rules {
    fn default() -> Self {
        let causes = [
            ("public_hearing", 30),
            ("inspection_testing", 60),
            ("expert_review", 30),
            ("force_majeure", 60),
            ("season_condition", 90),
            ("await_requester", 30),
        ];
        Self {
            calendar: Calendar::builtin().clone(),
            profile: Profile::office(),
            of_units: HashMap::new(),
            sla: BTreeMap::new(),
            standard: SlaProfile::default(),
            resolve: Limit::new(TimeUnit::WorkDay, 10),
            supervision_answer: Limit::new(TimeUnit::WorkDay, 1),
            warn_percent: WARNINGS,
            ruling: Limit::new(TimeUnit::WorkDay, 2),
            report_in: Limit::new(TimeUnit::WorkHour, 2),
            judge: Limit::new(TimeUnit::WorkDay, 3),
            mediation_talks: Limit::new(TimeUnit::CalDay, 30),
            mediation_follow_up: Limit::new(TimeUnit::CalDay, 30),
            suspension_causes: causes.map(|(code, days)| (code.to_owned(), days)).into(),
            partner_share_percent: 70,
            min_confidence: 65,
            retention_days: 3 * 365,
            version: "sla-0.rules-0".into(),
        }
    }
}

impl Rules {
    /// The same rules, counted by these hours.
    #[must_use]
    pub fn with_hours(self, hours: &Hours) -> Self {
        let usual = Self { profile: hours.usual.clone(), of_units: HashMap::new(), ..self };
        let own = |(unit, profile): (&UnitId, &Profile)| {
            (*unit, Arc::new(Self { profile: profile.clone(), ..usual.clone() }))
        };
        let of_units = hours.of_units.iter().map(own).collect();
        Self { of_units, ..usual }
    }

    /// The rules for a place, root → leaf. Those for a place are for it and for what lies in it: asked again, they are
    /// the same.
    #[must_use]
    pub fn at(&self, place: &[UnitId]) -> &Self {
        nearest(&self.of_units, place).map_or(self, Arc::as_ref)
    }

    /// The profile that holds for a case: by its urgency, else its item's, else the standard one.
    #[must_use]
    pub fn sla_for(&self, item: Option<&ServiceItem>, urgency: Urgency) -> &SlaProfile {
        let urgent = match urgency {
            Urgency::Normal => None,
            Urgency::Urgent | Urgency::Emergency => self.sla.get(urgency.as_str()),
        };
        let own = || item.and_then(|item| self.sla.get(item.sla_profile.as_deref()?));
        urgent.or_else(own).unwrap_or(&self.standard)
    }
}
