//! What a simulation reports, as JSON and as a table for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use hdrhistogram::Histogram;
use proto::{case_routing::v1::CaseState, ops::v1::GetStatisticsRequest};
use serde::Serialize;

use super::life::Ended;
use crate::{
    reconcile::{self, Reconciliation},
    suite::{SERVICES, Session, Suite},
};

/// The report of a simulation.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Acknowledged registrations.
    pub registered: u64,
    /// Cases that are Closed or archived.
    pub closed: u64,
    /// Cases of this run by state, as case-routing holds them.
    pub by_state: BTreeMap<String, u64>,
    /// Ended cases by the code they were closed with.
    pub by_closed_code: BTreeMap<String, u64>,
    /// Ended cases by who delivered.
    pub by_delivery_mode: BTreeMap<String, u64>,
    /// Real time a life was active (not asleep in domain time), median, milliseconds.
    pub lifecycle_p50_ms: f64,
    /// The same, 95th percentile.
    pub lifecycle_p95_ms: f64,
    /// Domain time from registration to the end, median, hours.
    pub lifecycle_p50_domain_hours: f64,
    /// Ended lives per second of real time.
    pub cases_per_second: f64,
    /// Events confirmed by the bus during the run.
    pub events_published: i64,
    /// Events handled during the run, all consumers together.
    pub events_consumed: i64,
    /// Events that are dead now.
    pub dead_letters: i64,
    /// Acknowledged registrations that are neither terminal nor Closed, or absent in analytics.
    pub lost: u64,
    /// Extra active assignments, records, facts, and |rollup − recount|.
    pub duplicated_effects: u64,
    /// Things on which two services disagree.
    pub differences: u64,
    /// Resident memory of all services' processes, MB.
    pub rss_mb: f64,
    /// Real time of the run.
    pub wall_seconds: f64,
    /// Domain time of the run.
    pub domain_days: f64,
    /// Lives that could not be played to the end, with why (at most 20).
    pub stuck: Vec<String>,
}

/// Counters of the services at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counters {
    published: i64,
    consumed: i64,
    dead: i64,
    rss: i64,
}

impl Counters {
    /// Adds up the services' statistics; a process that several services share is counted once.
    pub async fn read(suite: &Suite, operator: &Session) -> Result<Self> {
        let mut sum = Self::default();
        let mut processes = BTreeSet::new();
        for service in SERVICES {
            let request = operator.request(GetStatisticsRequest {}).await?;
            let statistics = suite.ops(service).get_statistics(request).await?.into_inner();
            sum.published += statistics.published;
            sum.consumed += statistics.consumed;
            sum.dead += statistics.dead;
            if processes.insert(statistics.process_id) {
                sum.rss += statistics.rss_bytes;
            }
        }
        Ok(sum)
    }
}

/// What a run hands over to its report.
pub struct Run {
    pub acknowledged: BTreeSet<String>,
    pub ended: Vec<Ended>,
    pub stuck: Vec<String>,
    pub wall: Duration,
    pub domain: chrono::Duration,
    pub before: Counters,
}

/// Drains, reconciles and counts.
pub async fn make(
    suite: &Suite,
    operator: &std::sync::Arc<Session>,
    run: Run,
) -> Result<(Report, Reconciliation)> {
    reconcile::drain(suite, operator, Duration::from_secs(120)).await?;
    let outcome = reconcile::reconcile(suite, operator).await?;
    let after = Counters::read(suite, operator).await?;
    let cases = reconcile::digests(suite, operator, "case-routing", "case").await?;
    let facts = reconcile::digests(suite, operator, "analytics", "case").await?;

    let (mut by_state, mut by_closed_code, mut by_delivery_mode) =
        (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut lost = 0;
    let mut closed = 0;
    for id in &run.acknowledged {
        let digest = cases.get(id).map(String::as_str).unwrap_or_default();
        let fields: Vec<_> = digest.split('|').collect();
        let field = |n: usize| fields.get(n).copied().unwrap_or_default();
        let state = field(0);
        *by_state.entry(state.to_owned()).or_insert(0) += 1;
        let ended = TERMINAL.contains(&state);
        if ended {
            *by_closed_code.entry(field(5).to_owned()).or_insert(0) += 1;
            if !field(4).is_empty() {
                *by_delivery_mode.entry(field(4).to_owned()).or_insert(0) += 1;
            }
        }
        closed += u64::from(matches!(state, "closed" | "archived"));
        lost += u64::from(!ended || !facts.contains_key(id));
    }

    let mut active = Histogram::<u64>::new(3)?;
    let mut domain = Histogram::<u64>::new(3)?;
    for life in &run.ended {
        active.record(u64::try_from(life.active.as_micros())?.max(1))?;
        domain.record(u64::try_from(life.domain.num_minutes().max(1))?)?;
    }
    let wall_seconds = run.wall.as_secs_f64();
    let report = Report {
        registered: run.acknowledged.len() as u64,
        closed,
        by_state,
        by_closed_code,
        by_delivery_mode,
        lifecycle_p50_ms: round(active.value_at_quantile(0.5) as f64 / 1000.0),
        lifecycle_p95_ms: round(active.value_at_quantile(0.95) as f64 / 1000.0),
        lifecycle_p50_domain_hours: round(domain.value_at_quantile(0.5) as f64 / 60.0),
        cases_per_second: round(run.ended.len() as f64 / wall_seconds.max(0.001)),
        events_published: after.published - run.before.published,
        events_consumed: after.consumed - run.before.consumed,
        dead_letters: after.dead,
        lost,
        duplicated_effects: outcome.duplicated_effects,
        differences: outcome.differences.len() as u64,
        rss_mb: round(after.rss as f64 / 1e6),
        wall_seconds: round(wall_seconds),
        domain_days: round(run.domain.num_minutes() as f64 / 1440.0),
        stuck: run.stuck,
    };
    Ok((report, outcome))
}

const TERMINAL: [&str; 6] = ["closed", "archived", "withdrawn", "merged", "not_accepted", "handed_off"];

/// Whether a state ends a life.
pub fn is_end(state: CaseState) -> bool {
    matches!(
        state,
        CaseState::Closed
            | CaseState::Archived
            | CaseState::Withdrawn
            | CaseState::Merged
            | CaseState::NotAccepted
            | CaseState::HandedOff
    )
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Report {
    /// Nothing lost, nothing twice, nobody stuck, no service disagrees.
    pub fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicated_effects == 0
            && self.differences == 0
            && self.dead_letters == 0
            && self.stuck.is_empty()
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut out = String::new();
        let mut line = |zh: &str, en: &str, value: String| {
            // Chinese characters are two columns wide.
            let width = zh.chars().count() * 2;
            let pad = " ".repeat(14usize.saturating_sub(width));
            out.push_str(&format!("  {zh}{pad} {en:<24} {value}\n"));
        };
        let counts = |map: &BTreeMap<String, u64>| {
            map.iter().map(|(key, count)| format!("{key} {count}")).collect::<Vec<_>>().join(", ")
        };
        line("登记", "registered", self.registered.to_string());
        line("结案", "closed", self.closed.to_string());
        line("按状态", "by state", counts(&self.by_state));
        line("按结案方式", "by closed code", counts(&self.by_closed_code));
        line("按服务方式", "by delivery mode", counts(&self.by_delivery_mode));
        line(
            "办理时长",
            "lifecycle p50 / p95",
            format!(
                "{} / {} ms active, {} h of domain time",
                self.lifecycle_p50_ms, self.lifecycle_p95_ms, self.lifecycle_p50_domain_hours
            ),
        );
        line("吞吐", "throughput", format!("{} cases/s", self.cases_per_second));
        line(
            "事件",
            "events",
            format!(
                "{} published, {} consumed, {} dead",
                self.events_published, self.events_consumed, self.dead_letters
            ),
        );
        line("丢失", "lost", self.lost.to_string());
        line("重复效果", "duplicated effects", self.duplicated_effects.to_string());
        line("差异", "differences", self.differences.to_string());
        line("内存", "memory", format!("{} MB", self.rss_mb));
        line(
            "时间",
            "time",
            format!("{} s of real, {} days of domain time", self.wall_seconds, self.domain_days),
        );
        for stuck in &self.stuck {
            line("卡住", "stuck", stuck.clone());
        }
        out
    }
}
