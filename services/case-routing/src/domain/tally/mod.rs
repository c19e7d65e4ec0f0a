//! What a case, a task or a mediation counts for, by what is still held of it: its document, its clocks, its timeline. Nothing
//! is read from an event, so that what others made of the events can be compared with it (`jianghan reconcile`). The names are
//! those of the counters of analytics; a day stands with a counter where it follows from an instant that is held here, and not
//! where it is that of an event, whose envelope is kept elsewhere.

mod case;
mod life;
mod mediation;
mod task;
mod voice;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use chrono::NaiveDate;

pub use self::life::Life;
use super::case::Case;
use super::clock::Clock;
use super::codes::{CaseState, ClockKind};
use super::event::Timestamp;
use super::ids::TaskId;

/// What is written where nothing is counted, so that there is a value all the same.
const NOTHING: &str = "counted=0";

/// Numbers by counter, with its day where that is known. Unset: the case does not hold any more what the number follows from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<String, Option<i64>>);

impl Tally {
    fn add(&mut self, name: impl Into<String>, n: impl Into<i64>) {
        if let Some(sum) = self.0.entry(name.into()).or_insert(Some(0)) {
            *sum += n.into();
        }
    }

    fn add_on(&mut self, day: NaiveDate, name: impl Display, n: impl Into<i64>) {
        self.add(format!("{name}@{day}"), n);
    }

    fn unknown(&mut self, name: &str) {
        self.0.insert(name.to_owned(), None);
    }
}

/// `closed@2026-03-02=1;…;routed=1`, in the order of the names; `name=?` for what is not known any more.
impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut mark = "";
        for (name, n) in self.0.iter().filter(|(_, n)| **n != Some(0)) {
            match n {
                Some(n) => write!(f, "{mark}{name}={n}")?,
                None => write!(f, "{mark}{name}=?")?,
            }
            mark = ";";
        }
        if mark.is_empty() { f.write_str(NOTHING) } else { Ok(()) }
    }
}

/// Whether a case in this state counts as closed (结案).
const fn is_closed(state: CaseState) -> bool {
    matches!(state, CaseState::Closed | CaseState::Archived)
}

/// Whether two instants are the same to what documents keep of them.
fn is_same(one: Timestamp, other: Timestamp) -> bool {
    one.timestamp_micros() == other.timestamp_micros()
}

/// Whether what stopped a clock at an instant was in time; `None` where it stopped none.
fn stopped_in_time(case: &Case, kind: ClockKind, task: Option<TaskId>, at: Timestamp) -> Option<bool> {
    stopped(case, kind, task, at).next()
}

/// The same of each clock that was stopped at that instant.
fn stopped(
    case: &Case,
    kind: ClockKind,
    task: Option<TaskId>,
    at: Timestamp,
) -> impl Iterator<Item = bool> + '_ {
    let stopped = move |clock: &&Clock| {
        clock.kind == kind && clock.task_id == task && clock.stopped_at.is_some_and(|stop| is_same(stop, at))
    };
    case.clocks.iter().filter(stopped).map(move |clock| clock.in_time(at))
}

/// Whether a completion at an instant was in time: by the limit of the rework where there was one, else by the promised one.
fn completed_in_time(case: &Case, at: Timestamp) -> bool {
    let rework = stopped_in_time(case, ClockKind::Rework, None, at);
    rework.or_else(|| stopped_in_time(case, ClockKind::Resolve, None, at)).unwrap_or(true)
}
