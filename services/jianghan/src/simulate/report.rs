//! What a simulation reports, as JSON and as a table for people.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use hdrhistogram::Histogram;
use proto::{case_routing::v1::CaseState, ops::v1::GetStatisticsResponse};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::life::Ended;
use crate::{
    bench::usage,
    reconcile::{self, Reconciliation, Waiting},
    suite::{Addresses, SERVICES, Session, Suite},
};

/// The report of a simulation. What a build before did not note is read as nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
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
    /// Events confirmed by the bus during the run; at least so many if services were started anew meanwhile. Replicas of a
    /// service are not told apart: of several, one is asked, and if another answers in the end it counts as started anew.
    pub events_published: i64,
    /// Events handled during the run, all consumers together; likewise, and of one replica of each service.
    pub events_consumed: i64,
    /// Services that were started anew during the run, or answered by another replica, which is not told apart: what their
    /// earlier processes counted is not known.
    pub restarted: Vec<String>,
    /// Why the services were compared while events were under way; nothing if none were.
    pub undrained: Option<String>,
    /// What could not be asked or compared, and why. What it would have told is not among the figures, as those of a service that
    /// was away; nothing if all was told.
    pub failures: Vec<String>,
    /// Events that waited when the services had been compared: to be sent, for a retry, or behind a dead one. After a drain
    /// they are new ones, or behind a dead one.
    pub waiting: i64,
    /// Events that are dead now.
    pub dead_letters: i64,
    /// Acknowledged registrations that are neither terminal nor Closed, or absent in analytics; if one of the two was not told
    /// (`failures`), by the other alone.
    pub lost: u64,
    /// Active assignments beyond those that a task needs, extra records and facts, facts that count too much, and how far figures
    /// are from their recount.
    pub duplicated_effects: u64,
    /// Things on which two services disagree.
    pub differences: u64,
    /// Resident memory of all services' processes and of the gateway's, MB; the gateway's only if it runs on this machine. Of
    /// a service with replicas that of one: they are not told apart.
    pub rss_mb: f64,
    /// Real time of the run.
    pub wall_seconds: f64,
    /// Domain time of the run.
    pub domain_days: f64,
    /// Lives that could not be played to the end, with why (at most 20).
    pub stuck: Vec<String>,
}

/// Counters of the services at one moment.
#[derive(Clone, Debug, Default)]
pub struct Counters(BTreeMap<&'static str, GetStatisticsResponse>);

/// What was counted between two moments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Done {
    published: i64,
    consumed: i64,
    restarted: Vec<String>,
}

impl Counters {
    /// Asks every service.
    pub async fn read(suite: &Suite, operator: &Session) -> Result<Self> {
        Ok(Self(reconcile::statistics(suite, operator).await?))
    }

    /// What has been done since `before`. Counters begin at 0 with each process: all that a new one has counted is since.
    fn since(&self, before: &Self) -> Done {
        let mut done = Done::default();
        for (service, now) in &self.0 {
            let same = |then: &&GetStatisticsResponse| {
                then.process_id == now.process_id && then.start_time == now.start_time
            };
            let then = before.0.get(service).filter(same);
            done.published += now.published - then.map_or(0, |then| then.published);
            done.consumed += now.consumed - then.map_or(0, |then| then.consumed);
            if then.is_none() {
                done.restarted.push((*service).to_owned());
            }
        }
        done
    }

    /// Resident memory in bytes, with the gateway if it listens on this machine. A process that several share is counted once:
    /// it has one number on one machine, but every container begins its own at 1. Of replicas one has answered.
    fn resident(&self, addresses: &Addresses) -> i64 {
        let mut processes: BTreeMap<(Option<String>, i64), i64> = BTreeMap::new();
        for (service, figures) in &self.0 {
            processes.insert((machine(addresses.of(service)), figures.process_id), figures.rss_bytes);
        }
        if let Some(pid) = local_port(&addresses.gateway).and_then(usage::listener) {
            let resident = i64::try_from(usage::memory(pid).resident).unwrap_or(0);
            processes.entry((None, i64::from(pid))).or_insert(resident);
        }
        processes.values().sum()
    }
}

/// The machine that an address names; `None` for this one.
fn machine(address: &str) -> Option<String> {
    let url = Url::parse(address).ok().filter(|url| !is_here(url))?;
    url.host_str().map(ToOwned::to_owned)
}

/// The port of an address on this machine.
fn local_port(address: &str) -> Option<u16> {
    let url = Url::parse(address).ok().filter(is_here)?;
    url.port_or_known_default()
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// What a run hands over to its report.
pub struct Run {
    pub acknowledged: BTreeSet<String>,
    pub ended: Vec<Ended>,
    /// Why each life was not played to its end that was not.
    pub stuck: Vec<String>,
    pub wall: Duration,
    pub domain: chrono::Duration,
    pub before: Counters,
    /// Where the services and the gateway listen.
    pub addresses: Addresses,
    /// How long to wait for events under way.
    pub drain: Duration,
}

impl Run {
    /// With a run that began when this one had ended: counters count from the beginning of the first.
    pub fn and(mut self, later: Self) -> Self {
        let Self { acknowledged, ended, stuck, wall, domain, before: _, addresses: _, drain: _ } = later;
        self.acknowledged.extend(acknowledged);
        self.ended.extend(ended);
        self.stuck.extend(stuck);
        self.wall += wall;
        self.domain += domain;
        self
    }
}

/// The first of those that got stuck, and how many more there are.
fn brief(mut stuck: Vec<String>) -> Vec<String> {
    let more = stuck.len().saturating_sub(20);
    stuck.truncate(20);
    if more > 0 {
        stuck.push(format!("… and {more} more"));
    }
    stuck
}

/// Drains, reconciles and counts. What does not drain, and what cannot be asked or compared, is told in the report, which is
/// made all the same: a run may have taken hours.
pub async fn make(
    suite: &Suite,
    operator: &std::sync::Arc<Session>,
    run: Run,
) -> Result<(Report, Reconciliation)> {
    let undrained =
        reconcile::drain(suite, operator, run.drain).await.err().map(|error| format!("{error:#}"));
    let outcome = reconcile::compare_all(suite, operator).await;
    let mut failures: Vec<String> = outcome.failures.iter().map(ToString::to_string).collect();
    let mut after = Counters::default();
    for service in SERVICES {
        let told = asked(&outcome, service, reconcile::figures(suite, operator, service)).await;
        let told = noted(told, &format!("the figures of {service}"), &mut failures);
        after.0.extend(told.map(|figures| (service, figures)));
    }
    let done = after.since(&run.before);
    let waiting = Waiting::of(after.0.values());
    let cases = reconcile::digests(suite, operator, "case-routing", "case");
    let cases = asked(&outcome, "case-routing", cases).await;
    let cases = noted(cases, "what became of the cases", &mut failures);
    let facts = reconcile::digests(suite, operator, "analytics", "case");
    let facts = asked(&outcome, "analytics", facts).await;
    let facts = noted(facts, "which cases analytics knows", &mut failures);
    let fates = Fates::of(&run.acknowledged, cases.as_ref(), facts.as_ref());

    let mut active = Histogram::<u64>::new(3)?;
    let mut domain = Histogram::<u64>::new(3)?;
    for life in &run.ended {
        active.record(u64::try_from(life.active.as_micros())?.max(1))?;
        domain.record(u64::try_from(life.domain.num_minutes().max(1))?)?;
    }
    let wall_seconds = run.wall.as_secs_f64();
    let report = Report {
        registered: run.acknowledged.len() as u64,
        closed: fates.closed,
        by_state: fates.by_state,
        by_closed_code: fates.by_closed_code,
        by_delivery_mode: fates.by_delivery_mode,
        lifecycle_p50_ms: round(active.value_at_quantile(0.5) as f64 / 1000.0),
        lifecycle_p95_ms: round(active.value_at_quantile(0.95) as f64 / 1000.0),
        lifecycle_p50_domain_hours: round(domain.value_at_quantile(0.5) as f64 / 60.0),
        cases_per_second: round(run.ended.len() as f64 / wall_seconds.max(0.001)),
        events_published: done.published,
        events_consumed: done.consumed,
        restarted: done.restarted,
        undrained,
        failures,
        waiting: waiting.unsent + waiting.parked + waiting.behind_dead,
        dead_letters: waiting.dead,
        lost: fates.lost,
        duplicated_effects: outcome.duplicated_effects,
        differences: outcome.differences.len() as u64,
        rss_mb: round(after.resident(&run.addresses) as f64 / 1e6),
        wall_seconds: round(wall_seconds),
        domain_days: round(run.domain.num_minutes() as f64 / 1440.0),
        stuck: brief(run.stuck),
    };
    Ok((report, outcome))
}

/// What a service says, unless it could not be asked before.
async fn asked<T>(
    outcome: &Reconciliation,
    service: &str,
    answer: impl Future<Output = Result<T>>,
) -> Result<T> {
    outcome.worth_asking(service)?;
    answer.await
}

/// What was told; if it was not, that is noted.
fn noted<T>(told: Result<T>, what: &str, failures: &mut Vec<String>) -> Option<T> {
    told.inspect_err(|error| failures.push(format!("{what}: {error:#}"))).ok()
}

/// What became of the registrations that were acknowledged.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fates {
    closed: u64,
    by_state: BTreeMap<String, u64>,
    by_closed_code: BTreeMap<String, u64>,
    by_delivery_mode: BTreeMap<String, u64>,
    lost: u64,
}

impl Fates {
    /// By the cases that case-routing holds and those that analytics knows. Nothing is lost for not having been told.
    fn of(
        acknowledged: &BTreeSet<String>,
        cases: Option<&BTreeMap<String, String>>,
        facts: Option<&BTreeMap<String, String>>,
    ) -> Self {
        let mut fates = Self::default();
        for id in acknowledged {
            let held = cases.map(|cases| cases.get(id).map(String::as_str).unwrap_or_default());
            let ended = held.is_none_or(|digest| fates.note(digest));
            let known = facts.is_none_or(|facts| facts.contains_key(id));
            fates.lost += u64::from(!ended || !known);
        }
        fates
    }

    /// Counts a case as case-routing holds it; gives whether it has ended.
    fn note(&mut self, digest: &str) -> bool {
        let fields: Vec<_> = digest.split('|').collect();
        let field = |n: usize| fields.get(n).copied().unwrap_or_default();
        let state = field(0);
        *self.by_state.entry(state.to_owned()).or_insert(0) += 1;
        self.closed += u64::from(matches!(state, "closed" | "archived"));
        let ended = TERMINAL.contains(&state);
        if ended {
            *self.by_closed_code.entry(field(5).to_owned()).or_insert(0) += 1;
            if !field(4).is_empty() {
                *self.by_delivery_mode.entry(field(4).to_owned()).or_insert(0) += 1;
            }
        }
        ended
    }
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
    /// Nothing lost, nothing twice, nobody stuck, no service disagrees, every event was handled, and all of that was told.
    pub fn is_clean(&self) -> bool {
        self.lost == 0
            && self.duplicated_effects == 0
            && self.differences == 0
            && self.undrained.is_none()
            && self.failures.is_empty()
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
                "{}{} published, {} consumed, {} waiting, {} dead",
                if self.restarted.is_empty() { "" } else { "at least " },
                self.events_published,
                self.events_consumed,
                self.waiting,
                self.dead_letters
            ),
        );
        if !self.restarted.is_empty() {
            line("重启", "started anew", self.restarted.join(", "));
        }
        if let Some(undrained) = &self.undrained {
            line("未办完", "not drained", undrained.clone());
        }
        for failure in &self.failures {
            line("未查明", "not told", failure.clone());
        }
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

#[cfg(test)]
mod tests;
