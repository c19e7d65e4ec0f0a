//! What a bench prints.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    marks::{self, Mark},
    usage::{Memory, Statement},
};

/// What the marks hold for: so many cases before.
const HISTORY: f64 = 100_000.0;
/// Lifecycles per second in one process, and with a process per service.
const RATE_ALL_IN_ONE: f64 = 500.0;
const RATE_DISTRIBUTED: f64 = 150.0;
/// 95th percentile of a step, and from an event to the commit of its handling in analytics, 99th; in milliseconds.
const STEP_MS: f64 = 150.0;
const LAG_MS: f64 = 500.0;
/// All services together, resident.
const MEMORY_MB: f64 = 400.0;

/// Latency of a step, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Step {
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

impl Step {
    /// From microseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| round(histogram.value_at_quantile(quantile) as f64 / 1000.0);
        Self { p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99) }
    }
}

/// Memory in MB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct MemoryMb {
    /// Resident set: shared pages count in every process.
    pub resident: f64,
    /// Proportional set: a page that n processes map counts as 1/n in each.
    pub proportional: f64,
}

impl MemoryMb {
    /// From bytes.
    pub fn of(memory: Memory) -> Self {
        Self {
            resident: round(memory.resident as f64 / 1e6),
            proportional: round(memory.proportional as f64 / 1e6),
        }
    }

    /// The sum.
    pub fn sum<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        all.into_iter().fold(Self::default(), |sum, one| Self {
            resident: round(sum.resident + one.resident),
            proportional: round(sum.proportional + one.proportional),
        })
    }
}

/// The report of `bench lifecycle`.
#[derive(Clone, Debug, Serialize)]
pub struct LifecycleReport {
    /// `all-in-one` or `distributed`.
    pub shape: String,
    /// Users of the closed loop.
    pub users: usize,
    /// Cases that were there before, played by the bench itself as far as dispatch.
    pub preloaded: u64,
    /// Cases of a made-up history that were there before, nearly all closed.
    pub imported: u64,
    /// Measured time.
    pub seconds: f64,
    /// Lifecycles finished within it.
    pub lifecycles: u64,
    /// The main figure.
    pub lifecycles_per_second: f64,
    /// Latency by step.
    pub steps: BTreeMap<&'static str, Step>,
    /// Calls that failed for another reason than an advised retry.
    pub errors: u64,
    /// Up to ten of them.
    pub first_errors: Vec<String>,
    /// Calls that were told to come back later, and did.
    pub retries: u64,
    /// Memory by service, MB; one figure in the all-in-one.
    pub memory_mb: BTreeMap<String, MemoryMb>,
    /// All services together.
    pub memory_total_mb: MemoryMb,
    /// Processor time of one lifecycle by who used it, ms: less noisy than lifecycles per second.
    pub processor_ms: BTreeMap<&'static str, f64>,
    /// Events confirmed per second.
    pub events_per_second: f64,
    /// From an event to the commit of its handling in analytics.
    pub analytics_lag_p50_ms: f64,
    /// The same, 99th percentile.
    pub analytics_lag_p99_ms: f64,
    /// Durable single-row commits per second by pgbench, one client.
    pub floor_1: f64,
    /// The same with as many clients as users.
    pub floor_users: f64,
    /// Lifecycles per second ÷ floor with as many clients as users: compare runs by this.
    pub ratio_to_floor: f64,
    /// The dearest statements, when asked for.
    pub statements: Vec<Statement>,
    /// What it has to reach, and whether it did.
    pub marks: Vec<Mark>,
}

impl LifecycleReport {
    /// Holds the figures against the marks.
    pub fn judge(&mut self) {
        let rate = if self.shape == "all-in-one" { RATE_ALL_IN_ONE } else { RATE_DISTRIBUTED };
        self.marks = vec![
            Mark::at_least("cases before", (self.preloaded + self.imported) as f64, HISTORY),
            Mark::at_least("lifecycles/s", self.lifecycles_per_second, rate),
        ];
        let steps = self.steps.iter();
        let steps = steps.map(|(name, step)| Mark::at_most(format!("{name} p95 ms"), step.p95_ms, STEP_MS));
        self.marks.extend(steps);
        self.marks.extend([
            Mark::at_most("commit → analytics p99 ms", self.analytics_lag_p99_ms, LAG_MS),
            Mark::at_most("MB resident", self.memory_total_mb.resident, MEMORY_MB),
            Mark::at_most("errors", self.errors as f64, 0.0),
        ]);
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut out = format!(
            "{} users on {}, {} cases preloaded, {} imported, {:.0} s\n  {:.1} lifecycles/s ({} in all), {} errors, {} \
             retries\n",
            self.users,
            self.shape,
            self.preloaded,
            self.imported,
            self.seconds,
            self.lifecycles_per_second,
            self.lifecycles,
            self.errors,
            self.retries
        );
        for (name, step) in &self.steps {
            out.push_str(&format!(
                "  {name:<9} p50 {:>7.1} ms   p95 {:>7.1} ms   p99 {:>7.1} ms\n",
                step.p50_ms, step.p95_ms, step.p99_ms
            ));
        }
        out.push_str(&format!(
            "  {:.0} events/s, commit → analytics p50 {:.1} ms, p99 {:.1} ms\n  {:.0} MB resident, {:.0} MB with \
             shared pages counted once",
            self.events_per_second,
            self.analytics_lag_p50_ms,
            self.analytics_lag_p99_ms,
            self.memory_total_mb.resident,
            self.memory_total_mb.proportional
        ));
        out.push_str(&by_service(&self.memory_mb));
        let used: Vec<_> = self.processor_ms.iter().map(|(who, ms)| format!("{who} {ms:.2}")).collect();
        out.push_str(&format!("\n  processor ms a lifecycle: {}", used.join(", ")));
        out.push_str(&format!(
            "\n  floor: {:.0} commits/s with 1 client, {:.0} with {}; ratio {:.4}\n",
            self.floor_1, self.floor_users, self.users, self.ratio_to_floor
        ));
        out.push_str(&marks::lines(&self.marks));
        for statement in &self.statements {
            let each = self.lifecycles.max(1) as f64;
            out.push_str(&format!(
                "  {:>6.3} ms {:>6.2} calls {:>7.1} rows {:>8.0} B log  {}: {}\n",
                statement.total_ms / each,
                statement.calls as f64 / each,
                statement.rows as f64 / each,
                statement.wal_bytes as f64 / each,
                statement.database,
                statement.text
            ));
        }
        for error in &self.first_errors {
            out.push_str(&format!("  error: {error}\n"));
        }
        out
    }
}

/// Both figures of every service, where there is more than one process.
fn by_service(memory: &BTreeMap<String, MemoryMb>) -> String {
    if memory.len() < 2 {
        return String::new();
    }
    let each = memory.iter().map(|(name, mb)| format!("{name} {:.0} / {:.0}", mb.resident, mb.proportional));
    format!("\n  by service, resident / shared once: {}", each.collect::<Vec<_>>().join(", "))
}

/// The report of `bench events`.
#[derive(Clone, Debug, Serialize)]
pub struct EventsReport {
    /// `in-process` or `rabbitmq`.
    pub bus: String,
    /// Users of the closed loop.
    pub users: usize,
    /// Commands of the closed loop; as many events were sent again from a full outbox.
    pub events: u64,
    /// Commands per second, with relay and consumer at work.
    pub commands_per_second: f64,
    /// Events per second from the first command to the last effect.
    pub flow_events_per_second: f64,
    /// From an event to the commit of its effect, while commands flow.
    pub lag_p50_ms: f64,
    /// The same, 99th percentile.
    pub lag_p99_ms: f64,
    /// Events confirmed per second out of a full outbox.
    pub confirmed_per_second: f64,
    /// Events consumed per second out of full queues; in process the same as confirmed.
    pub consumed_per_second: f64,
    /// Durable single-row commits per second by pgbench, one client.
    pub floor_1: f64,
    /// The same with as many clients as users.
    pub floor_users: f64,
}

impl EventsReport {
    /// A table for people.
    pub fn table(&self) -> String {
        format!(
            "{} users on {}, {} events twice\n  {:.0} commands/s, {:.0} events/s through, commit → effect p50 {:.1} \
             ms, p99 {:.1} ms\n  from a full outbox: {:.0} confirmed/s; from full queues: {:.0} consumed/s\n  floor: \
             {:.0} commits/s with 1 client, {:.0} with {}\n",
            self.users,
            self.bus,
            self.events,
            self.commands_per_second,
            self.flow_events_per_second,
            self.lag_p50_ms,
            self.lag_p99_ms,
            self.confirmed_per_second,
            self.consumed_per_second,
            self.floor_1,
            self.floor_users,
            self.users,
        )
    }
}

/// Two decimals.
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The quantile of bucket counts, where bucket i ends at 2^(i/4) milliseconds.
pub fn bucket_quantile(buckets: &[i64], quantile: f64) -> f64 {
    let total: i64 = buckets.iter().sum();
    if total == 0 {
        return 0.0;
    }
    let wanted = (total as f64 * quantile).ceil() as i64;
    let mut seen = 0;
    for (index, count) in buckets.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return round(2f64.powf(index as f64 / 4.0));
        }
    }
    f64::INFINITY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_both_ways_for_every_service_of_more_than_one() {
        let mut memory = BTreeMap::new();
        memory.insert("identity".to_owned(), MemoryMb { resident: 61.4, proportional: 48.6 });
        assert_eq!(by_service(&memory), "", "the total says it already");
        memory.insert("staffing".to_owned(), MemoryMb { resident: 70.0, proportional: 57.0 });
        assert_eq!(
            by_service(&memory),
            "\n  by service, resident / shared once: identity 61 / 49, staffing 70 / 57"
        );
    }

    #[test]
    fn the_marks_are_those_of_the_shape_and_hold_for_a_history() {
        let step = |p95_ms| Step { p50_ms: 1.0, p95_ms, p99_ms: 400.0 };
        let mut report = LifecycleReport {
            shape: "distributed".to_owned(),
            users: 50,
            preloaded: 30_000,
            imported: 70_000,
            seconds: 30.0,
            lifecycles: 6_000,
            lifecycles_per_second: 200.0,
            steps: BTreeMap::from([("assign", step(150.0)), ("search", step(30.0))]),
            errors: 0,
            first_errors: Vec::new(),
            retries: 3,
            memory_mb: BTreeMap::new(),
            memory_total_mb: MemoryMb { resident: 390.0, proportional: 300.0 },
            processor_ms: BTreeMap::new(),
            events_per_second: 3_000.0,
            analytics_lag_p50_ms: 150.0,
            analytics_lag_p99_ms: 256.0,
            floor_1: 4_000.0,
            floor_users: 20_000.0,
            ratio_to_floor: 0.01,
            statements: Vec::new(),
            marks: Vec::new(),
        };
        let missed = |report: &mut LifecycleReport| {
            report.judge();
            let missed = report.marks.iter().filter(|mark| !mark.met);
            missed.map(|mark| mark.figure.clone()).collect::<Vec<_>>()
        };
        assert_eq!(missed(&mut report), Vec::<String>::new());
        assert_eq!(report.marks.len(), 7);
        report.shape = "all-in-one".to_owned();
        report.preloaded = 20_000;
        assert!(report.table().contains(" 20000 cases preloaded, 70000 imported,"), "{}", report.table());
        report.steps.insert("assign", step(150.1));
        report.errors = 1;
        assert_eq!(missed(&mut report), ["cases before", "lifecycles/s", "assign p95 ms", "errors"]);
        assert!(report.table().contains("mark missed  lifecycles/s 200 (≥ 500)"), "{}", report.table());
    }

    #[test]
    fn a_quantile_is_the_end_of_its_bucket() {
        let mut buckets = vec![0; 40];
        buckets[8] = 99; // up to 4 ms
        buckets[20] = 1; // up to 32 ms
        assert_eq!(bucket_quantile(&buckets, 0.5), 4.0);
        assert_eq!(bucket_quantile(&buckets, 1.0), 32.0);
        assert_eq!(bucket_quantile(&[], 0.5), 0.0);
    }
}
