//! The limits of the clocks and the working hours, as `seed/sla_profiles.toml` has them; the limits stand in the
//! database too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use calendar::{Limit, TimeUnit};
use serde::{Deserialize, Serialize};

use super::{SeedLimit, shipped};
use crate::domain::SlaProfile;

/// The limits of a class of items as the files write them; see `seed/sla_profiles.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are explained in the file")]
pub struct Profile {
    pub code: String,
    pub accept: SeedLimit,
    pub supplement: SeedLimit,
    pub dispatch: SeedLimit,
    pub offer: SeedLimit,
    pub sign: SeedLimit,
    pub objection: SeedLimit,
    pub contact: SeedLimit,
    pub rework: SeedLimit,
    pub assist: SeedLimit,
    pub verify: SeedLimit,
    pub rating_window: SeedLimit,
    #[serde(default = "consultation")]
    pub consultation: SeedLimit,
    pub max_extensions: u32,
    pub callback_attempts: u8,
    #[serde(default = "callback_gap")]
    pub callback_gap: SeedLimit,
    #[serde(default = "rework_max")]
    pub rework_max: u32,
    pub reopen_days: u16,
}

/// What a database that was filled before the file said more does not have.
const fn consultation() -> SeedLimit {
    SeedLimit { value: 1, unit: TimeUnit::WorkDay }
}

const fn callback_gap() -> SeedLimit {
    SeedLimit { value: 2, unit: TimeUnit::CalHour }
}

const fn rework_max() -> u32 {
    2
}

/// Working hours as the files write them: each window is its opening and closing time, `HH:MM`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hours {
    windows: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Supervision {
    answer: SeedLimit,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsFile {
    warn_percent: [u8; 2],
    working_hours_profile: String,
    working_hours: BTreeMap<String, Hours>,
    supervision: Supervision,
    #[serde(rename = "profile")]
    profiles: Vec<Profile>,
}

fn file() -> &'static LimitsFile {
    static FILE: LazyLock<LimitsFile> =
        LazyLock::new(|| shipped("limits", include_str!("../../seed/sla_profiles.toml")));
    &FILE
}

/// The shipped limits.
pub fn profiles() -> &'static [Profile] {
    &file().profiles
}

/// The shipped working hours, by code.
pub fn working_hours() -> &'static BTreeMap<String, calendar::Profile> {
    static HOURS: LazyLock<BTreeMap<String, calendar::Profile>> = LazyLock::new(|| {
        file().working_hours.iter().map(|(code, hours)| (code.clone(), hours.profile(code))).collect()
    });
    &HOURS
}

/// The shipped working hours of units for which no order states others.
pub fn usual_hours() -> &'static calendar::Profile {
    let code = &file().working_hours_profile;
    working_hours().get(code).unwrap_or_else(|| panic!("the shipped limits have no working hours {code}"))
}

/// The parts of a limit, in percent, at which whoever works against it is warned.
pub fn warn_percent() -> [u8; 2] {
    file().warn_percent
}

/// How long a supervised organisation has to answer.
pub fn supervision_answer() -> Limit {
    file().supervision.answer.into()
}

impl Profile {
    /// As the domain has it.
    pub fn limits(&self) -> SlaProfile {
        SlaProfile {
            accept: self.accept.into(),
            supplement: self.supplement.into(),
            dispatch: self.dispatch.into(),
            offer: self.offer.into(),
            sign: self.sign.into(),
            objection: self.objection.into(),
            contact: self.contact.into(),
            rework: self.rework.into(),
            assist: self.assist.into(),
            verify: self.verify.into(),
            rating_window: self.rating_window.into(),
            consult: self.consultation.into(),
            max_extensions: self.max_extensions,
            callback_attempts: self.callback_attempts,
            callback_gap: self.callback_gap.into(),
            rework_max: self.rework_max,
            reopen_days: self.reopen_days,
        }
    }
}

impl Hours {
    /// The same hours all year.
    fn profile(&self, code: &str) -> calendar::Profile {
        let time = |text: &str| {
            let time = chrono::NaiveTime::parse_from_str(text, "%H:%M");
            time.unwrap_or_else(|error| {
                panic!("the shipped working hours {code} are broken: {text:?}: {error}")
            })
        };
        let spans = self.windows.iter().map(|(open, close)| (time(open), time(close))).collect();
        let year = calendar::Season { from: (1, 1), spans };
        calendar::Profile::new(1, vec![year])
            .unwrap_or_else(|error| panic!("the shipped working hours {code} are broken: {error}"))
    }
}
