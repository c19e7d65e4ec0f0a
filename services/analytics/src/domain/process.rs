//! How a case went through the process that it was first decided with: steps, hand-overs, touch points, time in each state,
//! minutes of work. Kept beside each fact as a short text, and summed up by process version.

use std::collections::BTreeMap;

use calendar::local_day;
use chassis::{Error, Result, event::Event};
use chrono::NaiveDate;
use prost::Message;
use proto::{
    EventMessage as _, staffing::v1::AssignmentConfirmed, volunteer_matching::v1::ServiceRecordLocked,
};
use uuid::Uuid;

use super::{CaseFact, vocabulary};

/// The field that events of a decision tell the process version in.
#[derive(Clone, PartialEq, Message)]
struct Decided {
    #[prost(string, tag = "15")]
    process_version: String,
}

/// What an event adds to the process of its case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// What it counts as besides a step.
    pub kind: Option<Kind>,
    /// The process that was decided in; empty where nothing was decided.
    pub process_version: String,
}

/// What a step can be besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Given to somebody: dispatched or offered.
    Dispatch,
    /// The lead says that it is not theirs.
    Objection,
    /// Sent back: the result, or the case.
    Return,
    /// The requester was asked for something.
    Supplement,
    /// The handler spoke with the requester.
    Contact,
    /// Nobody did anything here, so that it is no step: time or the calendar did it, a reminder of a limit or a later due time; the
    /// place is where its unit went; or the work is another case's.
    ByItself,
}

impl Step {
    /// Of an event of case-routing, by its bare name.
    pub fn of(name: &str, event: &Event) -> Result<Self> {
        let kind = match name {
            "CaseDispatched" | "CaseRedispatched" | "CaseOffered" => Some(Kind::Dispatch),
            "TaskObjected" => Some(Kind::Objection),
            "TaskReturned"
            | "TaskDeclined"
            | "CaseRecalled"
            | "CaseReturnedFromSociety"
            | "CaseReturnedFromReferral"
            | "AdmissionRefusedByCommunity" => Some(Kind::Return),
            "CaseSupplementRequested" => Some(Kind::Supplement),
            "CaseContacted" => Some(Kind::Contact),
            "ClockWarned"
            | "ClockMoved"
            | "SupervisionMoved"
            | "ApplicationNoticeProlonged"
            | "ApplicationPapersMoved"
            | "CasePlaceFollowed"
            | "RatingRectified" => Some(Kind::ByItself),
            _ => None,
        };
        let process_version = match name {
            "CaseDispatched" | "CaseOffered" | "CaseAnswered" => {
                Decided::decode(event.data.clone()).map_err(Error::internal)?.process_version
            }
            _ => String::new(),
        };
        Ok(Self { kind, process_version })
    }
}

/// Work on a case that was confirmed, by another service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worked {
    /// The case.
    pub case_id: Uuid,
    /// Minutes.
    pub minutes: i64,
}

impl Worked {
    /// Reads an event; `None` for all others.
    pub fn of(event: &Event) -> Result<Option<Self>> {
        let minutes = match &*event.r#type {
            AssignmentConfirmed::TYPE => {
                AssignmentConfirmed::decode(event.data.clone()).map_err(Error::internal)?.minutes
            }
            ServiceRecordLocked::TYPE => {
                ServiceRecordLocked::decode(event.data.clone()).map_err(Error::internal)?.minutes
            }
            _ => return Ok(None),
        };
        Ok((minutes > 0).then_some(Self { case_id: event.partition_key, minutes: minutes.into() }))
    }
}

/// What happened to a case so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    steps: i64,
    dispatches: i64,
    objections: i64,
    returns: i64,
    supplements: i64,
    contacts: i64,
    minutes: i64,
    /// Seconds by number of the state.
    seconds: BTreeMap<i16, i64>,
}

impl Process {
    /// From the text; what is none is empty.
    pub fn read(text: &str) -> Self {
        let mut process = Self::default();
        let (counts, seconds) = text.split_once(';').unwrap_or((text, ""));
        let number = |text: &str| text.parse::<i64>().unwrap_or_default();
        let slots = [
            &mut process.steps,
            &mut process.dispatches,
            &mut process.objections,
            &mut process.returns,
            &mut process.supplements,
            &mut process.contacts,
            &mut process.minutes,
        ];
        slots.into_iter().zip(counts.split(',')).for_each(|(slot, text)| *slot = number(text));
        process.seconds = seconds
            .split(',')
            .filter_map(|pair| pair.split_once(':'))
            .filter_map(|(state, seconds)| Some((state.parse().ok()?, number(seconds))))
            .collect();
        process
    }

    /// As text: `steps,dispatches,objections,returns,supplements,contacts,minutes;state:seconds,…`.
    pub fn write(&self) -> String {
        use std::fmt::Write as _;
        let mut text = format!(
            "{},{},{},{},{},{},{}",
            self.steps,
            self.dispatches,
            self.objections,
            self.returns,
            self.supplements,
            self.contacts,
            self.minutes
        );
        for (number, (state, seconds)) in self.seconds.iter().enumerate() {
            let mark = if number == 0 { ';' } else { ',' };
            let _ = write!(text, "{mark}{state}:{seconds}"); // writing to a String does not fail
        }
        text
    }

    /// One more step; with the state that was left by it, if one was, and how long the case had been in it.
    pub fn step(&mut self, kind: Option<Kind>, left: Option<(i16, i64)>) {
        self.steps += i64::from(kind != Some(Kind::ByItself));
        if let Some((state, seconds)) = left.filter(|(_, seconds)| *seconds > 0) {
            *self.seconds.entry(state).or_default() += seconds;
        }
        match kind {
            Some(Kind::Dispatch) => self.dispatches += 1,
            Some(Kind::Objection) => self.objections += 1,
            Some(Kind::Return) => self.returns += 1,
            Some(Kind::Supplement) => self.supplements += 1,
            Some(Kind::Contact) => self.contacts += 1,
            Some(Kind::ByItself) | None => {}
        }
    }

    /// Minutes of work were confirmed.
    pub const fn work(&mut self, minutes: i64) {
        self.minutes += minutes;
    }
}

macro_rules! measures {
    ($($name:ident = $column:literal,)+) => {
        /// What is summed up by process version; each is a column of `process_rollups`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the names say it; the table has more")]
        pub enum Measure {
            $($name,)+
        }

        impl Measure {
            /// Every measure, in the order of the columns.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its column.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $column,)+
                }
            }
        }
    };
}

measures! {
    Decided = "decided",
    Closed = "closed",
    Steps = "steps",
    Dispatches = "dispatches",
    Objections = "objections",
    Returns = "returns",
    Supplements = "supplements",
    Contacts = "contacts",
    Due = "due",
    OnTime = "on_time",
    Reworked = "reworked",
    OnceResolved = "once_resolved",
    CasesGovDirect = "cases_gov_direct",
    CasesGovPurchased = "cases_gov_purchased",
    CasesVolunteer = "cases_volunteer",
    CasesSelfGovernance = "cases_self_governance",
    CasesMarket = "cases_market",
    MinutedGovDirect = "minuted_gov_direct",
    MinutedGovPurchased = "minuted_gov_purchased",
    MinutedVolunteer = "minuted_volunteer",
    MinutedSelfGovernance = "minuted_self_governance",
    MinutedMarket = "minuted_market",
    MinutesGovDirect = "minutes_gov_direct",
    MinutesGovPurchased = "minutes_gov_purchased",
    MinutesVolunteer = "minutes_volunteer",
    MinutesSelfGovernance = "minutes_self_governance",
    MinutesMarket = "minutes_market",
    SecondsRegistered = "seconds_registered",
    SecondsNeedSupplement = "seconds_need_supplement",
    SecondsAccepted = "seconds_accepted",
    SecondsTriaged = "seconds_triaged",
    SecondsOfferedToSociety = "seconds_offered_to_society",
    SecondsDispatched = "seconds_dispatched",
    SecondsObjected = "seconds_objected",
    SecondsSigned = "seconds_signed",
    SecondsInProgress = "seconds_in_progress",
    SecondsSuspended = "seconds_suspended",
    SecondsCompleted = "seconds_completed",
    SecondsVerifying = "seconds_verifying",
    SecondsResolved = "seconds_resolved",
}

impl Measure {
    /// The measure of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|measure| measure.name() == name)
    }

    /// The measure that a delivery mode or a state has, by its name.
    pub fn of(prefix: &str, name: &str) -> Option<Self> {
        Self::by_name(&format!("{prefix}_{name}"))
    }
}

/// One number per measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measures(pub [i64; Measure::COUNT]);

impl Default for Measures {
    fn default() -> Self {
        Self([0; Measure::COUNT])
    }
}

impl Measures {
    /// The number of a measure.
    pub const fn get(&self, measure: Measure) -> i64 {
        self.0[measure as usize]
    }

    /// From numbers in the order of [`Measure::ALL`]; missing ones are 0.
    pub fn from_slice(values: &[i64]) -> Self {
        let mut measures = Self::default();
        measures.0.iter_mut().zip(values).for_each(|(to, from)| *to = *from);
        measures
    }

    /// Adds others, `sign` times.
    pub fn add(&mut self, other: &Self, sign: i64) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, one)| *sum += sign * one);
    }

    /// Whether nothing is counted.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|number| *number == 0)
    }

    fn set(&mut self, measure: Option<Measure>, number: i64) {
        if let Some(measure) = measure {
            self.0[measure as usize] += number;
        }
    }
}

/// Where a case is counted, in the order of the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessCell {
    /// Deepest unit of the place; nil while it is unknown.
    pub unit_id: Uuid,
    /// Day in Asia/Shanghai.
    pub day: NaiveDate,
    /// The process of the first decision; empty for a case that ended without one.
    pub process_version: String,
    /// Department line.
    pub line: String,
    /// Item.
    pub item_code: String,
}

/// What a case counts: on the day of its first decision, and on the day of its closing. The same day may come twice.
pub fn counts(case: &CaseFact) -> Vec<(ProcessCell, Measures)> {
    let cell = |day: NaiveDate| ProcessCell {
        unit_id: case.place_unit_id.unwrap_or_default(),
        day,
        process_version: case.process_version.clone(),
        line: case.line.clone(),
        item_code: case.item_code.clone(),
    };
    let mut counted = Vec::new();
    if let Some(day) = case.routed_at.map(local_day).filter(|_| !case.process_version.is_empty()) {
        let mut decided = Measures::default();
        decided.set(Some(Measure::Decided), 1);
        counted.push((cell(day), decided));
    }
    // An imported end went through another system's process, of which nothing is known here.
    if let Some(day) = case.closed_at.filter(|_| case.first_closed_at.is_some()).map(local_day) {
        counted.push((cell(day), closed(case)));
    }
    counted
}

fn closed(case: &CaseFact) -> Measures {
    let process = Process::read(&case.process);
    let mut measures = Measures::default();
    let mut set = |measure: Measure, number: i64| measures.set(Some(measure), number);
    set(Measure::Closed, 1);
    set(Measure::Steps, process.steps);
    set(Measure::Dispatches, process.dispatches);
    set(Measure::Objections, process.objections);
    set(Measure::Returns, process.returns);
    set(Measure::Supplements, process.supplements);
    set(Measure::Contacts, process.contacts);
    if case.completed_at.is_some() && case.due_at.is_some() {
        set(Measure::Due, 1);
        set(Measure::OnTime, i64::from(case.on_time()));
    }
    set(Measure::Reworked, i64::from(case.rework_count > 0));
    set(Measure::OnceResolved, i64::from(case.once_resolved));
    let mode = vocabulary::delivery_mode_name(case.delivery_mode);
    measures.set(Measure::of("cases", &mode), 1);
    if process.minutes > 0 {
        measures.set(Measure::of("minuted", &mode), 1);
        measures.set(Measure::of("minutes", &mode), process.minutes);
    }
    for (state, seconds) in &process.seconds {
        measures.set(Measure::of("seconds", &vocabulary::state_name(*state)), *seconds);
    }
    measures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_same_after_its_text() {
        let mut process = Process::default();
        assert_eq!(Process::read(&process.write()), process);
        assert_eq!(Process::read(""), process);
        process.step(Some(Kind::Dispatch), Some((1, 3_600)));
        process.step(None, Some((9, 60)));
        process.step(Some(Kind::Contact), Some((1, 40)));
        process.step(Some(Kind::Return), Some((1, 0)));
        process.step(Some(Kind::ByItself), None);
        process.work(35);
        assert_eq!(process.write(), "4,1,0,1,0,1,35;1:3640,9:60");
        assert_eq!(Process::read(&process.write()), process);
        assert_eq!(Process::read("x;y:z"), Process::default());
    }

    #[test]
    fn what_nobody_did_here_is_no_step() {
        let at = "2026-03-02T01:00:00Z".parse().unwrap();
        let told = proto::case_routing::v1::ClockMoved::default();
        let event = Event::of("case-routing", at, Uuid::from_u128(1), 1, &told);
        let mut process = Process::default();
        for name in [
            "ClockWarned",
            "ClockMoved",
            "SupervisionMoved",
            "ApplicationNoticeProlonged",
            "ApplicationPapersMoved",
            "CasePlaceFollowed",
            "RatingRectified",
        ] {
            process.step(Step::of(name, &event).unwrap().kind, None);
        }
        assert_eq!(process, Process::default());
        process.step(Step::of("ClockBreached", &event).unwrap().kind, None);
        assert_eq!(process.steps, 1);
    }

    #[test]
    fn every_state_before_closing_and_every_mode_has_its_measure() {
        let states = (1_i16..=19).map(vocabulary::state_name);
        let with: Vec<_> = states.filter(|name| Measure::of("seconds", name).is_some()).collect();
        assert_eq!(with.len(), 13, "{with:?}");
        for prefix in ["cases", "minuted", "minutes"] {
            let modes = (1_i16..=5).map(vocabulary::delivery_mode_name);
            assert_eq!(modes.filter(|name| Measure::of(prefix, name).is_some()).count(), 5);
        }
        assert_eq!(Measure::of("cases", ""), None);
    }
}
