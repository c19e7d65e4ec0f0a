//! `bench search`: every kind of list and search over a history of a million cases, as the people who ask for it, with how
//! long they wait. One asks at a time: it is the time of an answer, not of a crowd.

use std::{
    ops::RangeInclusive,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use chrono::TimeDelta;
use clap::Args as ClapArgs;
use hdrhistogram::Histogram;
use proto::case_routing::v1::{CaseState, ListCasesRequest, ListTasksRequest, ListVerificationsRequest};
use serde::Serialize;

use super::{
    history::{self, STREETS, Site},
    report::{Step, round},
};
use crate::{out, simulate::actors::Actors, suite::Session};

/// Answers of a kind.
const TIMES: usize = 150;
/// What an answer may take, p99.
const MARK_MS: f64 = 20.0;
/// Cases of a page.
const PAGE: u64 = 50;
/// Kinds whose first page is not full in a history of a million: what it holds at least and at most.
const FEW: [(&str, u64, u64); 12] = [
    // Nobody has it.
    ("district, a state that is rare", 0, 0),
    ("district, an item nobody has", 0, 0),
    ("district, an hour before the first", 0, 0),
    ("district, a word nobody wrote", 0, 0),
    // About ten have all of it.
    ("district, common words in a community", 1, PAGE),
    ("district, those words, next due", 1, PAGE),
    // A history tells little of their work: that goes by who is seeded first, and by what is overdue.
    ("department, newest", 0, PAGE),
    ("department, next due", 0, PAGE),
    ("partner, newest", 0, PAGE),
    ("partner, next due", 0, PAGE),
    ("street, tasks of its office", 0, PAGE),
    ("verifier, awaiting verification", 0, PAGE),
];

/// Arguments of `bench search`.
#[derive(ClapArgs)]
pub struct Args {
    /// Cases of the history.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..=10_000_000))]
    cases: u64,
    /// Wait so many seconds afterwards, with the address of the private server printed, to look at plans.
    #[arg(long, default_value_t = 0)]
    hold: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Kind {
    name: &'static str,
    /// Cases of the first page.
    found: usize,
    /// Whether that is what such a history holds.
    as_expected: bool,
    #[serde(flatten)]
    step: Step,
}

impl Kind {
    /// From the answers to it, in a history of so many cases.
    fn of(name: &'static str, cases: u64, found: usize, times: &Histogram<u64>) -> Self {
        let as_expected = u64::try_from(found).is_ok_and(|found| expected(name, cases).contains(&found));
        Self { name, found, as_expected, step: Step::of(times) }
    }

    fn is_slow(&self) -> bool {
        self.step.p99_ms > MARK_MS
    }
}

/// How many the first page of a kind may hold, so that one that wrongly finds nothing is not taken for a fast one. A history of
/// less than a million has accordingly fewer.
fn expected(name: &str, cases: u64) -> RangeInclusive<u64> {
    let few = FEW.iter().find(|(few, ..)| *few == name);
    let (least, most) = few.map_or((PAGE, PAGE), |(_, least, most)| (*least, *most));
    (least * cases / 1_000_000).min(least)..=most
}

#[derive(Serialize)]
struct Report {
    cases: u64,
    import_seconds: f64,
    words_seconds: f64,
    mark_ms: f64,
    kinds: Vec<Kind>,
}

/// Launches, imports, asks, prints; exits 1 when a kind takes longer than the mark or does not find what is there.
pub async fn run(args: Args) -> Result<ExitCode> {
    let site = Site::launch(args.json, false).await?;
    let outcome = measure(&args, &site).await;
    if args.hold > 0
        && let Some(server) = &site.launched.postgres
    {
        out::note!("  {}", server.url("case_routing"));
        tokio::time::sleep(Duration::from_secs(args.hold)).await;
    }
    site.launched.stop().await?;
    let report = outcome?;
    if args.json {
        out::json(&report)?;
    } else {
        out::say!(
            "{} cases, imported in {:.0} s, words {:.0} s later; one asks at a time",
            report.cases,
            report.import_seconds,
            report.words_seconds
        )?;
        for kind in &report.kinds {
            let late = if kind.is_slow() { "  > mark" } else { "" };
            let wrong = if kind.as_expected { "" } else { "  not what is there" };
            out::say!(
                "  {:<38} {:>4} found   p50 {:>7.1} ms   p99 {:>7.1} ms{late}{wrong}",
                kind.name,
                kind.found,
                kind.step.p50_ms,
                kind.step.p99_ms
            )?;
        }
    }
    let kept = report.kinds.iter().all(|kind| kind.as_expected && !kind.is_slow());
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(args: &Args, site: &Site) -> Result<Report> {
    let actors = Actors::load(&site.suite, &site.launched.accounts).await?;
    let resident = actors.resident(0, 1)?.clone();
    let file = site.folder.join("history.csv");
    let own = std::slice::from_ref(&resident.account.person_id);
    history::write(&file, args.cases, &site.communities().await?, own, chassis::Clock::system().now())?;
    let outcome = site.import(&file, history::SOURCE, args.cases, args.json).await?;
    let (_, words) = site.settle(&outcome).await?;
    let cases = outcome.counts.imported;
    let asked = Asked { site, actors, resident, cases };
    Ok(Report {
        cases,
        import_seconds: round(outcome.seconds),
        words_seconds: round(words),
        mark_ms: MARK_MS,
        kinds: asked.all().await?,
    })
}

struct Asked<'a> {
    site: &'a Site,
    actors: Actors,
    resident: Arc<Session>,
    cases: u64,
}

impl Asked<'_> {
    async fn all(&self) -> Result<Vec<Kind>> {
        let unit = |code: &str| self.actors.unit_id(code).map(str::to_owned).context("a seeded unit");
        let (street, community) = (unit(STREETS[0])?, unit(&format!("{}001", STREETS[0]))?);
        let at = |role: &str, unit: &str| self.actors.role_at(role, unit, 0).cloned();
        let district = self.actors.role("district_dispatcher", 0)?.clone();
        let (street_desk, window) = (at("street_dispatcher", &street)?, at("service_worker", &community)?);
        let department = self.actors.role("dept_leader", 0)?.clone();
        let manager = self.actors.role("org_manager", 0)?.clone();
        let office =
            self.actors.orgs.values().find(|org| org.code == format!("street_office:{}", STREETS[0]));
        let office = office.context("a seeded street office")?.org_id.clone();
        let ask = ListCasesRequest { page_size: 50, ..Default::default() };
        let order = |order: &str| ListCasesRequest { order_by: order.to_owned(), ..ask.clone() };
        let words = |query: &str| ListCasesRequest { query: query.to_owned(), ..ask.clone() };
        let states = |states: &[CaseState]| ListCasesRequest {
            states: states.iter().map(|state| (*state).into()).collect(),
            ..ask.clone()
        };
        let day = |days: i64| {
            let at = chassis::Clock::system().now() - TimeDelta::days(days);
            Some(prost_types::Timestamp { seconds: at.timestamp(), nanos: 0 })
        };
        let span = |from, to| ListCasesRequest {
            registered_after: day(from),
            registered_before: day(to),
            ..ask.clone()
        };
        let of_unit =
            |unit: &str, request: ListCasesRequest| ListCasesRequest { unit_id: unit.to_owned(), ..request };
        let of_item = |item: &str, request: ListCasesRequest| ListCasesRequest {
            item_code: item.to_owned(),
            ..request
        };
        let kinds: Vec<(&'static str, &Arc<Session>, ListCasesRequest)> = vec![
            ("district, newest", &district, ask.clone()),
            ("district, oldest", &district, order("registered_time")),
            ("district, next due", &district, order("resolve_due_time")),
            ("district, due last", &district, order("resolve_due_time desc")),
            (
                "district, open, next due",
                &district,
                ListCasesRequest { order_by: "resolve_due_time".into(), ..states(&[CaseState::Triaged]) },
            ),
            ("district, open", &district, states(&[CaseState::Triaged, CaseState::Dispatched])),
            ("district, closed", &district, states(&[CaseState::Closed])),
            ("district, a state that is rare", &district, states(&[CaseState::Suspended])),
            ("district, overdue", &district, ListCasesRequest { overdue: true, ..ask.clone() }),
            ("district, one street", &district, of_unit(&street, ask.clone())),
            ("district, one community", &district, of_unit(&community, ask.clone())),
            ("district, one community, next due", &district, of_unit(&community, order("resolve_due_time"))),
            ("district, an item", &district, of_item("CJ-0142", ask.clone())),
            ("district, an item nobody has", &district, of_item("CJ-9999", ask.clone())),
            (
                "district, an item in a community",
                &district,
                of_item("CJ-0142", of_unit(&community, ask.clone())),
            ),
            (
                "district, an organisation's",
                &district,
                ListCasesRequest { org_id: office.clone(), ..ask.clone() },
            ),
            (
                "district, an organisation's, next due",
                &district,
                ListCasesRequest { org_id: office.clone(), ..order("resolve_due_time") },
            ),
            ("district, last week", &district, span(7, 0)),
            ("district, a week two years ago", &district, span(737, 730)),
            ("district, an hour before the first", &district, span(3_000, 2_990)),
            ("district, a common word", &district, words("邻居")),
            ("district, a rare word", &district, words("第996号楼 8次")),
            ("district, a word nobody wrote", &district, words("宇宙飞船")),
            ("district, a common word and an item", &district, of_item("CJ-0142", words("邻居"))),
            ("district, common words in a community", &district, of_unit(&community, words("第77号楼"))),
            ("district, a word of all in a community", &district, of_unit(&community, words("邻居"))),
            (
                "district, those words, next due",
                &district,
                of_unit(
                    &community,
                    ListCasesRequest { query: "第77号楼".into(), ..order("resolve_due_time") },
                ),
            ),
            ("street, newest", &street_desk, ask.clone()),
            (
                "street, open, next due",
                &street_desk,
                ListCasesRequest { order_by: "resolve_due_time".into(), ..states(&[CaseState::Triaged]) },
            ),
            ("street, next due", &street_desk, order("resolve_due_time")),
            ("street, a common word", &street_desk, words("邻居")),
            ("community window, newest", &window, ask.clone()),
            ("community window, open", &window, states(&[CaseState::Triaged])),
            ("community window, a common word", &window, words("邻居")),
            ("department, newest", &department, ask.clone()),
            ("department, next due", &department, order("resolve_due_time")),
            ("partner, newest", &manager, ask.clone()),
            ("partner, next due", &manager, order("resolve_due_time")),
            ("resident, own newest", &self.resident, ask.clone()),
            ("resident, own with a word", &self.resident, words("邻居")),
            (
                "resident, mine, oldest",
                &self.resident,
                ListCasesRequest { mine: true, ..order("registered_time") },
            ),
        ];
        let mut all = Vec::with_capacity(kinds.len() + 2);
        for (name, session, request) in kinds {
            all.push(self.cases(name, session, request).await?);
        }
        all.push(self.deep("district, the page after 5,000 cases", &district, ask).await?);
        all.push(self.tasks(&street_desk, &office).await?);
        all.push(self.awaiting().await?);
        Ok(all)
    }

    async fn cases(&self, name: &'static str, by: &Session, request: ListCasesRequest) -> Result<Kind> {
        let mut found = 0;
        let mut times = Histogram::new(3)?;
        for round in 0..TIMES + 5 {
            let request = by.request(request.clone()).await?;
            let began = Instant::now();
            let answer =
                self.site.suite.cases().list_cases(request).await.with_context(|| name.to_owned())?;
            note(&mut times, began, round)?;
            found = answer.into_inner().cases.len();
        }
        Ok(Kind::of(name, self.cases, found, &times))
    }

    async fn deep(&self, name: &'static str, by: &Session, mut request: ListCasesRequest) -> Result<Kind> {
        request.page_size = 200;
        for _ in 0..25 {
            let page =
                self.site.suite.cases().list_cases(by.request(request.clone()).await?).await?.into_inner();
            request.page_token = page.next_page_token;
        }
        request.page_size = 50;
        self.cases(name, by, request).await
    }

    async fn tasks(&self, by: &Session, office: &str) -> Result<Kind> {
        let mut found = 0;
        let mut times = Histogram::new(3)?;
        for round in 0..TIMES + 5 {
            let request = ListTasksRequest { org_id: office.to_owned(), page_size: 50, ..Default::default() };
            let request = by.request(request).await?;
            let began = Instant::now();
            let answer = self.site.suite.tasks().list_tasks(request).await?;
            note(&mut times, began, round)?;
            found = answer.into_inner().tasks.len();
        }
        Ok(Kind::of("street, tasks of its office", self.cases, found, &times))
    }

    async fn awaiting(&self) -> Result<Kind> {
        let by = self.actors.role("verifier", 0)?.clone();
        let mut found = 0;
        let mut times = Histogram::new(3)?;
        for round in 0..TIMES + 5 {
            let request = ListVerificationsRequest { page_size: 50, ..Default::default() };
            let request = by.request(request).await?;
            let began = Instant::now();
            let answer = self.site.suite.verification().list_verifications(request).await?;
            note(&mut times, began, round)?;
            found = answer.into_inner().cases.len();
        }
        Ok(Kind::of("verifier, awaiting verification", self.cases, found, &times))
    }
}

/// The first answers fill caches.
fn note(times: &mut Histogram<u64>, began: Instant, round: usize) -> Result<()> {
    if round >= 5 {
        times.record(u64::try_from(began.elapsed().as_micros())?.max(1))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_finds_nothing_is_as_expected_only_where_there_is_nothing() {
        let mut times = Histogram::<u64>::new(3).expect("a histogram");
        times.record(5_000).expect("five milliseconds");
        let fits = |name, cases, found| Kind::of(name, cases, found, &times).as_expected;
        assert!(fits("district, newest", 1_000_000, 50) && !fits("district, newest", 1_000_000, 49));
        assert!(!fits("district, newest", 3_000_000, 0));
        assert!(fits("district, an item nobody has", 1_000_000, 0));
        assert!(!fits("district, an item nobody has", 1_000_000, 1));
        assert!(!fits("district, those words, next due", 1_000_000, 0));
        // A tenth of the history has a tenth of the cases.
        assert!(fits("district, newest", 100_000, 5) && !fits("district, newest", 100_000, 4));
        assert!(fits("partner, newest", 1_000_000, 0));
    }
}
