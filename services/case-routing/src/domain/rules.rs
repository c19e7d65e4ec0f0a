//! The house rules of a cell: intake and handling limits, windows and counts. Data, not law: what the
//! law fixes stands in the catalogue items. The defaults are sample values a deployment replaces.

use calendar::{Calendar, Limit, Profile, TimeUnit};

use super::codes::Urgency;

/// Limits and counts that hold for every case of a cell, with the calendar they are counted in.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub calendar: Calendar,
    pub profile: Profile,
    pub accept: Limit,
    pub supplement: Limit,
    pub dispatch: Limit,
    pub offer: Limit,
    /// By urgency: normal, urgent, emergency.
    pub sign: [Limit; 3],
    pub objection: Limit,
    /// By urgency: normal, urgent, emergency.
    pub contact: [Limit; 3],
    /// Until triage names the item.
    pub resolve: Limit,
    pub rework: Limit,
    pub assist: Limit,
    pub verify: Limit,
    pub rating_window: Limit,
    /// How long a supervised organisation has to answer before it goes one level up.
    pub supervision_answer: Limit,
    /// Unanswered calls after which a requester counts as unreached.
    pub callback_attempts: u8,
    /// How long a closed case may be reopened or rated late.
    pub reopen_window: Limit,
    pub max_extensions: u32,
    /// A partner gives the case back to the public service when this part of the time left has run.
    pub partner_share_percent: u8,
    /// Calendar days between closing and archiving where the item does not say.
    pub retention_days: u32,
}

impl Default for Rules {
    fn default() -> Self {
        let work_day = |n| Limit::new(TimeUnit::WorkDay, n);
        let work_hour = |n| Limit::new(TimeUnit::WorkHour, n);
        let cal_hour = |n| Limit::new(TimeUnit::CalHour, n);
        Self {
            calendar: Calendar::builtin().clone(),
            profile: Profile::office(),
            accept: work_day(1),
            supplement: work_day(5),
            dispatch: work_hour(4),
            offer: cal_hour(4),
            sign: [work_hour(4), cal_hour(2), cal_hour(1)],
            objection: work_day(1),
            contact: [work_day(1), cal_hour(4), cal_hour(1)],
            resolve: work_day(10),
            rework: work_day(3),
            assist: work_day(3),
            verify: work_day(3),
            rating_window: Limit::new(TimeUnit::CalDay, 7),
            supervision_answer: work_day(1),
            callback_attempts: 3,
            reopen_window: Limit::new(TimeUnit::CalDay, 30),
            max_extensions: 2,
            partner_share_percent: 70,
            retention_days: 3 * 365,
        }
    }
}

impl Rules {
    pub(super) const fn by_urgency(limits: &[Limit; 3], urgency: Urgency) -> Limit {
        match urgency {
            Urgency::Normal => limits[0],
            Urgency::Urgent => limits[1],
            Urgency::Emergency => limits[2],
        }
    }
}
