//! What a soak found: sums over its rounds, how long things took, and what the processes held.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use jianghan::{bench::usage, simulate::report::Report as Round};
use serde::{Serialize, ser::SerializeMap};

use super::mishap::{Mishap, Outcome};
use crate::{World, tables::Tables};

/// The report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What decided requests and mishaps.
    pub seed: u64,
    /// Real time of all of it.
    pub minutes: f64,
    /// Rounds played.
    pub rounds: u64,
    /// Acknowledged registrations.
    pub registered: u64,
    /// Of them Closed or archived.
    pub closed: u64,
    /// Events in analytics' log, which takes in all of them.
    pub events: i64,
    /// What befell the suite, by kind.
    pub mishaps: BTreeMap<&'static str, usize>,
    /// Of them seams that were not passed in time, so that the process was killed instead.
    pub seams_not_passed: usize,
    /// Stops in order that took too long or ended otherwise.
    pub stops_failed: usize,
    /// From a new start until it served, in milliseconds, by kind; from RabbitMQ's until events arrived.
    pub back_ms: BTreeMap<&'static str, Times>,
    /// How long stops in order took, in milliseconds.
    pub stop_ms: Times,
    /// As in the report of a simulation, over all rounds.
    pub lost: u64,
    /// Likewise.
    pub duplicated_effects: u64,
    /// Likewise.
    pub differences: u64,
    /// Events that are dead after the last round.
    pub dead_letters: i64,
    /// Lives that could not be played to their end, events that were not handled, things that could not be compared, processes that
    /// ended otherwise than they were made to, and what kept a round from its end.
    pub unclean: Vec<String>,
    /// Resident memory by process in MB, at the end of rounds.
    pub resident_mb: BTreeMap<&'static str, Level>,
    /// Open files and connections by process, at the end of rounds.
    pub open_files: BTreeMap<&'static str, Level>,
}

/// How long something took, each time.
#[derive(Debug, Default)]
pub struct Times(Vec<f64>);

/// How something stood, round by round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Level {
    /// After the first round.
    pub first: f64,
    /// After the last one.
    pub last: f64,
    /// At the most.
    pub most: f64,
}

impl Report {
    /// Nothing yet.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            minutes: 0.0,
            rounds: 0,
            registered: 0,
            closed: 0,
            events: 0,
            mishaps: BTreeMap::new(),
            seams_not_passed: 0,
            stops_failed: 0,
            back_ms: BTreeMap::new(),
            stop_ms: Times::default(),
            lost: 0,
            duplicated_effects: 0,
            differences: 0,
            dead_letters: 0,
            unclean: Vec::new(),
            resident_mb: BTreeMap::new(),
            open_files: BTreeMap::new(),
        }
    }

    /// Counts a mishap.
    pub fn note(&mut self, mishap: &Mishap, outcome: &Outcome) {
        *self.mishaps.entry(mishap.kind()).or_default() += 1;
        if !outcome.happened {
            match (mishap, outcome.ended) {
                (Mishap::Stopped(_), _) => self.stops_failed += 1,
                (_, Some(status)) => self.unclean.push(format!("{mishap}: it ended with {status} instead")),
                _ => self.seams_not_passed += 1,
            }
        }
        if let Some(back) = outcome.back {
            self.back_ms.entry(mishap.kind()).or_default().note(back);
        }
        if let Some(stop) = outcome.stop {
            self.stop_ms.note(stop);
        }
    }

    /// Adds what came of a round; then, once all processes consume, looks at them and at how much there is.
    pub async fn ends_round(&mut self, world: &World, round: &Round) -> Result<()> {
        self.rounds += 1;
        self.registered += round.registered;
        self.closed += round.closed;
        self.lost += round.lost;
        self.duplicated_effects += round.duplicated_effects;
        self.differences += round.differences;
        self.dead_letters = round.dead_letters;
        self.unclean.extend(round.stuck.iter().chain(&round.undrained).chain(&round.failures).cloned());
        self.unclean.extend(world.mends().await?);
        world.consumes_every_group().await;
        self.events =
            Tables::of(world, "analytics").await?.count("SELECT count(*) FROM event_log", &[]).await;
        for process in world.launched.lock().await.processes() {
            let resident = usage::memory(process.pid()).resident as f64 / 1e6;
            let open = std::fs::read_dir(format!("/proc/{}/fd", process.pid()))?.count();
            level(&mut self.resident_mb, process.service, resident.round());
            level(&mut self.open_files, process.service, open as f64);
        }
        Ok(())
    }

    /// How many mishaps there were.
    pub fn befell(&self) -> usize {
        self.mishaps.values().sum()
    }

    /// Whether nothing was lost, nothing happened twice, nobody was stuck, all services agreed and every stop was in order.
    pub fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicated_effects == 0
            && self.differences == 0
            && self.dead_letters == 0
            && self.unclean.is_empty()
            && self.stops_failed == 0
    }

    /// One line about the round that has ended.
    pub fn line(&self, round: &Round, elapsed: Duration) -> String {
        format!(
            "round {}, {:.1} min: {} registered in {:.0} s; in all {} registered, {} events, {} mishaps; lost {}, duplicated \
             effects {}, differences {}, dead letters {}, stuck {}",
            self.rounds,
            elapsed.as_secs_f64() / 60.0,
            round.registered,
            round.wall_seconds,
            self.registered,
            self.events,
            self.befell(),
            self.lost,
            self.duplicated_effects,
            self.differences,
            self.dead_letters,
            self.unclean.len(),
        )
    }
}

impl Times {
    /// Adds one.
    pub fn note(&mut self, time: Duration) {
        self.0.push((time.as_secs_f64() * 1000.0).round());
    }

    /// The smallest of them that so large a share does not exceed; 0 of none.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("count", &self.0.len())?;
        for (name, share) in [("p50", 0.5), ("p99", 0.99), ("most", 1.0)] {
            map.serialize_entry(name, &self.quantile(share))?;
        }
        map.end()
    }
}

fn level(levels: &mut BTreeMap<&'static str, Level>, process: &'static str, now: f64) {
    let level = levels.entry(process).or_insert(Level { first: now, last: now, most: now });
    level.last = now;
    level.most = level.most.max(now);
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::ExitStatus};

    use super::*;

    #[test]
    fn quantiles_are_by_the_nearest_rank() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.99), 0.0);
        (1..=100).rev().for_each(|ms| times.note(Duration::from_millis(ms)));
        assert_eq!((times.quantile(0.5), times.quantile(0.99), times.quantile(1.0)), (50.0, 99.0, 100.0));
    }

    #[test]
    fn a_stop_that_fails_is_no_clean_report_and_a_seam_not_passed_is() {
        let outcome = Outcome { back: None, stop: None, happened: false, ended: None };
        let mut report = Report::new(1);
        report.note(&Mishap::Aborted("staffing", "inbox.after_ack", 1), &outcome);
        assert!(report.is_clean() && report.seams_not_passed == 1 && report.befell() == 1);
        report.note(&Mishap::Stopped("staffing"), &outcome);
        assert!(!report.is_clean());
    }

    #[test]
    fn a_process_that_ends_instead_of_aborting_is_named_in_a_report_that_is_not_clean() {
        let ended = Some(ExitStatus::from_raw(2 << 8));
        let outcome = Outcome { back: None, stop: None, happened: false, ended };
        let mut report = Report::new(1);
        report.note(&Mishap::Aborted("staffing", "inbox.after_ack", 1), &outcome);
        assert!(!report.is_clean() && report.seams_not_passed == 0);
        let told = "staffing aborts at inbox.after_ack:1: it ended with exit status: 2 instead";
        assert_eq!(report.unclean, [told]);
    }
}
