//! What facts add to the rollups, and differences of it: the fact before is taken away, the fact after is added. Pure
//! and additive: the rollups are at any time the sum over all facts.

use std::collections::BTreeMap;

use calendar::local_day;
use chassis::Timestamp;
use chrono::{Datelike, NaiveDate};
use proto::case_routing::v1::{CallbackOutcome, ClosedCode, DeliveryMode, Resolution};
use uuid::Uuid;

use super::{
    CaseFact, Counter, Counters, MediationFact, TaskFact, cohort,
    histogram::{self, Clocks},
    process::{self, Measures, ProcessCell},
    vocabulary,
};

/// Line and item of the cells that hold all lines and items of a unit.
pub const ALL: &str = "*";

/// What stands in place of a month in the cells that hold all months. It comes behind every month and is the first day of none.
pub const ALL_MONTHS: NaiveDate = match NaiveDate::from_ymd_opt(9999, 12, 31) {
    Some(day) => day,
    None => NaiveDate::MAX,
};

/// The first day of a day's month.
pub fn month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

/// Where something is counted. The order is that of the primary key, so that writers lock alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// Deepest unit of the place; nil while it is unknown.
    pub unit_id: Uuid,
    /// Department line; empty until triage; [`ALL`].
    pub line: String,
    /// Day in Asia/Shanghai.
    pub day: NaiveDate,
    /// Item; empty until triage; [`ALL`].
    pub item_code: String,
}

/// Numbers of the counters of the stock, in the order of [`Counter::STOCK`].
pub type Stock = [i64; 4];

/// Signed differences of all rollups.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deltas {
    /// Counters by cell.
    pub cells: BTreeMap<Cell, Counters>,
    /// Those of the stock once more, by month (its first day) and in all ([`ALL_MONTHS`]); see [`Self::with_stock`].
    pub stock: BTreeMap<Cell, Stock>,
    /// Resolve clocks of closed cases by cell, `LimitUnit` and bucket.
    pub durations: BTreeMap<(Cell, i16, i16), Clocks>,
    /// Cases by unit, line and state.
    pub states: BTreeMap<(Uuid, String, i16), i64>,
    /// Due times that can still be missed, by unit, line and hour.
    pub open_due: BTreeMap<(Uuid, String, Timestamp), i64>,
    /// How cases went, by process version.
    pub processes: BTreeMap<ProcessCell, Measures>,
}

/// Where a fact is counted, and the counters by day, before they are entered.
struct Entry<'a> {
    unit_id: Uuid,
    line: &'a str,
    item_code: &'a str,
    counts: Counts,
}

/// What something counts: each counter with its day.
pub type Counts = Vec<(NaiveDate, Counter, i64)>;

/// What a case counts.
pub fn case_counts(case: &CaseFact) -> Counts {
    Entry::of_case(case).counts
}

/// What a task counts.
pub fn task_counts(task: &TaskFact) -> Counts {
    Entry::of_task(task).counts
}

/// What a mediation counts.
pub fn mediation_counts(fact: &MediationFact) -> Counts {
    Entry::of_mediation(fact).counts
}

impl<'a> Entry<'a> {
    fn at(place: Option<Uuid>, line: &'a str, item_code: &'a str) -> Self {
        Self { unit_id: place.unwrap_or_default(), line, item_code, counts: Vec::new() }
    }

    fn of_case(case: &'a CaseFact) -> Self {
        let mut entry = Self::at(case.place_unit_id, &case.line, &case.item_code);
        intake(case, &mut entry);
        due(case, &mut entry);
        closing(case, &mut entry);
        callback(case, &mut entry);
        ratings(case, &mut entry);
        entry
    }

    fn of_task(task: &'a TaskFact) -> Self {
        use Counter::{
            TasksIssued, TasksObjected, TasksReturned, TasksRuled, TasksSignedInTime, TasksSubmitted,
            TasksUpheld, Whistles, WhistlesAppraised, WhistlesNeeded, WhistlesReported, WhistlesSolved,
            WhistlesWeighed,
        };
        let mut entry = Self::at(task.place_unit_id, &task.line, &task.item_code);
        if let Some(day) = task.issued_at.map(local_day) {
            entry.add(day, TasksIssued, 1);
            entry.add(day, TasksSignedInTime, i64::from(!task.sign_due || task.signed_in_time == Some(true)));
            entry.add(day, TasksObjected, i64::from(task.objected));
            entry.add(day, TasksRuled, i64::from(task.upheld.is_some()));
            entry.add(day, TasksUpheld, i64::from(task.upheld == Some(true)));
            if task.whistle {
                entry.add(day, Whistles, 1);
                entry.add(day, WhistlesReported, i64::from(task.reported_in_time == Some(true)));
                entry.add(day, WhistlesAppraised, i64::from(task.solved.is_some()));
                entry.add(day, WhistlesSolved, i64::from(task.solved == Some(true)));
                entry.add(day, WhistlesWeighed, i64::from(task.needed.is_some()));
                entry.add(day, WhistlesNeeded, i64::from(task.needed == Some(true)));
            }
        }
        if let Some(day) = task.submitted_at.map(local_day) {
            entry.add(day, TasksSubmitted, 1);
            entry.add(day, TasksReturned, i64::from(task.returned));
        }
        entry
    }

    fn of_mediation(fact: &'a MediationFact) -> Self {
        use Counter::{
            AgreementsDue, AgreementsPerformed, DisputesOpened, DisputesSettled, DisputesSettledWithin,
        };
        let mut entry = Self::at(fact.place_unit_id, &fact.line, &fact.item_code);
        if let Some(day) = fact.opened_day() {
            entry.add(day, DisputesOpened, 1);
            entry.add(day, DisputesSettled, i64::from(fact.agreed));
            entry.add(day, DisputesSettledWithin, i64::from(fact.agreed && fact.within_community));
        }
        if let Some(day) = fact.due_day() {
            entry.add(day, AgreementsDue, 1);
            entry.add(day, AgreementsPerformed, i64::from(fact.performed));
        }
        entry
    }

    fn add(&mut self, day: NaiveDate, counter: Counter, n: i64) {
        if n != 0 {
            self.counts.push((day, counter, n));
        }
    }

    fn cells(&self, day: NaiveDate) -> [Cell; 2] {
        let cell = |line: &str, item: &str| Cell {
            unit_id: self.unit_id,
            line: line.to_owned(),
            day,
            item_code: item.to_owned(),
        };
        [cell(ALL, ALL), cell(self.line, self.item_code)]
    }
}

impl Deltas {
    /// Adds (`sign` 1) or takes away (`sign` −1) what a case counts.
    pub fn case(&mut self, case: &CaseFact, sign: i64) {
        let mut entry = Entry::of_case(case);
        let unit_id = entry.unit_id;
        self.enter(&mut entry, sign);

        if let (Some(closed), Some(elapsed), 1..) = (case.closed_at, case.elapsed_seconds, case.elapsed_unit)
        {
            for cell in entry.cells(local_day(closed)) {
                let clocks = Clocks { count: sign, seconds: sign * elapsed };
                let key = (cell, case.elapsed_unit, histogram::bucket(elapsed));
                *self.durations.entry(key).or_default() += clocks;
            }
        }
        *self.states.entry((unit_id, case.line.clone(), case.state)).or_default() += sign;
        for (cell, measures) in process::counts(case) {
            self.processes.entry(cell).or_default().add(&measures, sign);
        }
        if let Some(due) = case.open_due_at {
            *self.open_due.entry((unit_id, case.line.clone(), cohort::hour(due))).or_default() += sign;
        }
    }

    /// Adds or takes away what a task counts.
    pub fn task(&mut self, task: &TaskFact, sign: i64) {
        self.enter(&mut Entry::of_task(task), sign);
    }

    /// Adds or takes away what a mediation counts.
    pub fn mediation(&mut self, fact: &MediationFact, sign: i64) {
        self.enter(&mut Entry::of_mediation(fact), sign);
    }

    /// Leaves out what has come to nothing.
    pub fn without_zeros(mut self) -> Self {
        self.cells.retain(|_, counters| !counters.is_zero());
        self.stock.retain(|_, sums| *sums != Stock::default());
        self.durations.retain(|_, clocks| *clocks != Clocks::default());
        self.states.retain(|_, n| *n != 0);
        self.open_due.retain(|_, n| *n != 0);
        self.processes.retain(|_, measures| !measures.is_zero());
        self
    }

    /// With the sums of the stock, which follow from the cells.
    pub fn with_stock(mut self) -> Self {
        for (cell, counters) in &self.cells {
            let numbers = Counter::STOCK.map(|counter| counters[counter]);
            if numbers == Stock::default() {
                continue;
            }
            for day in [month(cell.day), ALL_MONTHS] {
                let sums = self.stock.entry(Cell { day, ..cell.clone() }).or_default();
                sums.iter_mut().zip(numbers).for_each(|(sum, n)| *sum += n);
            }
        }
        self.stock.retain(|_, sums| *sums != Stock::default());
        self
    }

    fn enter(&mut self, entry: &mut Entry<'_>, sign: i64) {
        entry.counts.sort_unstable_by_key(|(day, ..)| *day);
        for counts in entry.counts.chunk_by(|a, b| a.0 == b.0) {
            for cell in entry.cells(counts[0].0) {
                let counters = self.cells.entry(cell).or_default();
                for (_, counter, n) in counts {
                    counters[*counter] += sign * n;
                }
            }
        }
    }
}

/// The intake cohort, and the first dispatch.
fn intake(case: &CaseFact, entry: &mut Entry<'_>) {
    let day = local_day(case.registered_at);
    entry.add(day, Counter::Registered, 1);
    entry.add(day, Counter::RegisteredClosed, i64::from(vocabulary::closed(case.case_state())));
    entry.add(day, Counter::RegisteredEnded, i64::from(vocabulary::ended(case.case_state())));
    entry.add(day, Counter::IntakeInTime, i64::from(case.intake_in_time == Some(true)));
    entry.add(day, Counter::Accepted, i64::from(case.accepted_at.is_some()));
    entry.add(day, Counter::Repeated, i64::from(case.accepted_at.is_some() && case.repeats));
    let above = vocabulary::from_above(case.origin);
    entry.add(day, Counter::RegisteredAbove, i64::from(above));
    if !above && vocabulary::of_field(case.nature) {
        let patrol = vocabulary::from_patrol(case.origin);
        entry.add(day, Counter::RegisteredField, 1);
        entry.add(day, Counter::FieldPatrol, i64::from(patrol));
        entry.add(day, Counter::FieldSolved, i64::from(patrol && case.solved_on_spot));
    }
    if let Some(day) = case.routed_at.map(local_day) {
        entry.add(day, Counter::Routed, 1);
        entry.add(day, Counter::RoutedInTime, i64::from(case.routed_in_time));
    }
}

/// The due cohort, and becoming late.
fn due(case: &CaseFact, entry: &mut Entry<'_>) {
    if let Some(day) = cohort::due_day(case) {
        let verified = vocabulary::verified(case.case_state());
        entry.add(day, Counter::Due, 1);
        entry.add(day, Counter::DueDeferred, i64::from(case.deferred()));
        entry.add(day, Counter::DueVerified, i64::from(verified));
        entry.add(day, Counter::DueOnTime, i64::from(verified && case.on_time()));
        entry.add(day, Counter::DueExtended, i64::from(case.extension_count > 0));
        entry.add(day, Counter::DueSupervised, i64::from(case.supervision_count > 0));
        entry.add(day, Counter::Supervisions, i64::from(case.supervision_count));
        entry.add(day, Counter::SupervisionsInTime, i64::from(case.supervision_in_time_count));
    }
    let before = cohort::late_days_before(case).map(|(since, until)| (since, Some(until)));
    for (since, until) in before.chain(cohort::late_days(case)) {
        let number = cohort::work_day_number(since);
        entry.add(since, Counter::OverdueIn, 1);
        entry.add(since, Counter::OverdueInDays, number);
        if let Some(until) = until {
            entry.add(until, Counter::OverdueOut, 1);
            entry.add(until, Counter::OverdueOutDays, number);
        }
    }
}

/// The closed cohort, final states, and the first closing.
fn closing(case: &CaseFact, entry: &mut Entry<'_>) {
    if let Some(day) = case.closed_at.map(local_day) {
        entry.add(day, Counter::Closed, 1);
        if case.dispatched {
            entry.add(day, Counter::ClosedDispatched, 1);
            let stayed = case.led && case.lead_change_count == 0;
            entry.add(day, Counter::ClosedFirstLead, i64::from(stayed));
            entry.add(day, Counter::ClosedLeadChanges, i64::from(case.lead_change_count));
        }
        // 主动评价 is the requester's own doing.
        let rated = case.rated() && !case.rated_on_behalf_only;
        entry.add(day, Counter::ClosedRated, i64::from(rated));
        if let Some(counter) = mode_counter(case.delivery_mode) {
            entry.add(day, counter, 1);
        }
    }
    if let (Some(day), Some(counter)) = (case.ended_at.map(local_day), code_counter(case.closed_code)) {
        entry.add(day, counter, 1);
    }
    // What its finder put right is no case that was handled well.
    if let Some(day) = case.first_closed_at.filter(|_| !case.solved_on_spot).map(local_day) {
        entry.add(day, Counter::FirstClosed, 1);
        entry.add(day, Counter::OnceResolved, i64::from(case.once_resolved));
    }
}

/// The call-back population: completed with a call-back due.
fn callback(case: &CaseFact, entry: &mut Entry<'_>) {
    let Some(day) = case.completed_at.filter(|_| case.callback_due).map(local_day) else { return };
    entry.add(day, Counter::CallbackDue, 1);
    let is = |outcome: CallbackOutcome| i32::from(case.callback) == outcome as i32;
    entry.add(day, Counter::CallbackUnreached, i64::from(is(CallbackOutcome::Unreached)));
    if !is(CallbackOutcome::Reached) {
        return;
    }
    entry.add(day, Counter::CallbackValid, 1);
    let contacted = case.contact_confirmed && case.contacted_in_time();
    entry.add(day, Counter::CallbackContacted, i64::from(contacted));
    let told = |resolution: Resolution| i32::from(case.callback_resolution) == resolution as i32;
    let excused = matches!(
        ClosedCode::try_from(i32::from(case.closed_code)),
        Ok(ClosedCode::Explained | ClosedCode::Unfounded | ClosedCode::BeyondAuthority)
    );
    if !excused {
        entry.add(day, Counter::CallbackResolvable, 1);
        entry.add(day, Counter::CallbackResolved, i64::from(told(Resolution::Resolved)));
        entry.add(day, Counter::CallbackPartly, i64::from(told(Resolution::PartlyResolved)));
    }
    if case.callback_grade > 0 {
        entry.add(day, Counter::CallbackGraded, 1);
        entry.add(day, Counter::CallbackGrades, i64::from(case.callback_grade));
        entry.add(day, Counter::CallbackSatisfied, i64::from(case.callback_grade >= 3));
        entry.add(day, Counter::CallbackWellSatisfied, i64::from(case.callback_grade >= 4));
    }
}

/// Ratings: the last good and the last bad one of a case, each on its own day.
fn ratings(case: &CaseFact, entry: &mut Entry<'_>) {
    if let Some(day) = case.good_rated_at.map(local_day) {
        entry.add(day, Counter::Rated, 1);
        entry.add(day, Counter::RatedGood, 1);
    }
    if let Some(day) = case.bad_rated_at.map(local_day) {
        let valid = case.bad_valid == Some(true);
        entry.add(day, Counter::Rated, 1);
        entry.add(day, Counter::RatedBad, 1);
        entry.add(day, Counter::BadValid, i64::from(valid));
        entry.add(day, Counter::BadRectified, i64::from(valid && case.bad_rectified == Some(true)));
        entry.add(day, Counter::BadCalledBack, i64::from(case.bad_called_back));
    }
}

/// The counter of closed cases by who did the work.
pub fn mode_counter(mode: i16) -> Option<Counter> {
    Some(match DeliveryMode::try_from(i32::from(mode)).ok()? {
        DeliveryMode::Unspecified => return None,
        DeliveryMode::GovDirect => Counter::ModeGovDirect,
        DeliveryMode::GovPurchased => Counter::ModeGovPurchased,
        DeliveryMode::Volunteer => Counter::ModeVolunteer,
        DeliveryMode::SelfGovernance => Counter::ModeSelfGovernance,
        DeliveryMode::Market => Counter::ModeMarket,
    })
}

/// The counter of ended cases by why.
pub fn code_counter(code: i16) -> Option<Counter> {
    Some(match ClosedCode::try_from(i32::from(code)).ok()? {
        ClosedCode::Unspecified => return None,
        ClosedCode::Resolved => Counter::EndedResolved,
        ClosedCode::PartlyResolved => Counter::EndedPartlyResolved,
        ClosedCode::Explained => Counter::EndedExplained,
        ClosedCode::Unfounded => Counter::EndedUnfounded,
        ClosedCode::BeyondAuthority => Counter::EndedBeyondAuthority,
        ClosedCode::SelfGoverned => Counter::EndedSelfGoverned,
        ClosedCode::Mediated => Counter::EndedMediated,
        ClosedCode::Withdrawn => Counter::EndedWithdrawn,
        ClosedCode::Merged => Counter::EndedMerged,
        ClosedCode::Declined => Counter::EndedDeclined,
        ClosedCode::HandedOff => Counter::EndedHandedOff,
    })
}
