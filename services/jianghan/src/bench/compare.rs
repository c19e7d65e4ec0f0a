//! `bench lifecycle --compare`: does a lifecycle cost more where there is more history? One suite per size, each a process of its
//! own that measures when told to, so that they are measured in turn under the same noise; each figure is divided by the floor of
//! the same round.

use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use super::{
    lifecycle::{Args, WARM_UP_SECONDS},
    report::round,
};
use crate::out;

/// What a suite says once its history is there.
pub(super) const READY: &str = "ready";
/// How much the medians may differ, in percent of the highest.
const MARK_PERCENT: f64 = 15.0;
/// Of fewer rounds the median is moved by a bad one: they are not held against the mark.
const LEAST_ROUNDS: u16 = 5;
/// A suite's own cases may come to one of so many parts of the next size: with more the two are hardly of different sizes.
const OWN_PART: u64 = 2;

/// A suite of one size, in a process of its own.
struct Site {
    cases: u64,
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    measured: Vec<Measured>,
}

/// What is taken from a suite's report.
#[derive(Debug, Clone, Deserialize)]
struct Measured {
    lifecycles_per_second: f64,
    errors: u64,
    first_errors: Vec<String>,
    lifecycles: u64,
    floor_users: f64,
    ratio_to_floor: f64,
    processor_ms: std::collections::BTreeMap<String, f64>,
}

impl Measured {
    /// Cases that a round adds.
    fn added(&self) -> u64 {
        self.lifecycles + (self.lifecycles_per_second * WARM_UP_SECONDS as f64) as u64
    }
}

#[derive(Debug, Serialize)]
struct Report {
    seconds: u64,
    users: u16,
    rounds: u16,
    mark_percent: f64,
    /// Whether there were rounds enough to hold the medians against the mark, and the suites stayed of different sizes.
    judged: bool,
    /// Whether the suites stayed of different sizes, with all that the measurements added to them.
    apart: bool,
    /// How far the lowest median lies below the highest.
    differ_percent: f64,
    /// The same of the processor time of one lifecycle, all who used it together: the lowest against the highest.
    processor_differ_percent: f64,
    errors: u64,
    sizes: Vec<Size>,
}

#[derive(Debug, Serialize)]
struct Size {
    cases: u64,
    /// What the rounds added to them: what was measured, and about as much as was played before that, at the same pace.
    own_cases: u64,
    /// Of each round.
    lifecycles_per_second: Vec<f64>,
    floor_users: Vec<f64>,
    ratio_to_floor: Vec<f64>,
    median_ratio_to_floor: f64,
    median_lifecycles_per_second: f64,
    median_processor_ms: f64,
}

/// Launches one suite per size, measures them in turn, prints; exits 1 when they differ by more than the mark or a call failed, and
/// when the mark is asked for and nothing is judged.
pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.compare.len() > 1, "--compare takes two sizes or more, as 0,100000");
    let mut sites = Vec::new();
    let outcome = measure(args, &mut sites).await;
    // Whatever became of it, no suite is left behind.
    let (mut sizes, mut errors, mut ended) = (Vec::new(), 0, Ok(()));
    for site in sites {
        errors += site.measured.iter().map(|measured| measured.errors).sum::<u64>();
        for error in site.measured.iter().flat_map(|measured| &measured.first_errors) {
            out::note!("  {} cases: {error}", site.cases);
        }
        match site.end().await {
            Ok(size) => sizes.push(size),
            Err(error) => ended = Err(error),
        }
    }
    outcome.and(ended)?;
    let apart = stayed_apart(&sizes);
    let report = Report {
        seconds: args.seconds,
        users: args.users,
        rounds: args.rounds,
        mark_percent: MARK_PERCENT,
        judged: args.rounds >= LEAST_ROUNDS && apart,
        apart,
        differ_percent: spread(sizes.iter().map(|size| size.median_ratio_to_floor)),
        processor_differ_percent: spread(sizes.iter().map(|size| size.median_processor_ms)),
        errors,
        sizes,
    };
    if args.json {
        out::json(&report)?;
    } else {
        report.print()?;
    }
    Ok(if report.kept(args.marks) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Launches a suite per size, and measures each once a round.
async fn measure(args: &Args, sites: &mut Vec<Site>) -> Result<()> {
    for cases in &args.compare {
        if !args.json {
            out::note!("  … 历史 {cases} 件 a suite with {cases} cases");
        }
        sites.push(Site::launch(args, *cases)?);
        let site = sites.last_mut().context("the suite that was just launched")?;
        let told = site.answer().await?;
        ensure!(told == READY, "the suite with {cases} cases says {told:?} instead of being ready");
    }
    for number in 1..=args.rounds {
        for site in &mut *sites {
            let measured = site.measure().await?;
            if !args.json {
                out::note!(
                    "  … {number}/{}  {:>9} cases  {:>6.1}/s  floor {:>7.0}/s",
                    args.rounds,
                    site.cases,
                    measured.lifecycles_per_second,
                    measured.floor_users
                );
            }
        }
    }
    Ok(())
}

impl Site {
    /// Starts it; it says so once its history is there.
    fn launch(args: &Args, cases: u64) -> Result<Self> {
        let shape = clap::ValueEnum::to_possible_value(&args.shape).context("a shape with a name")?;
        let mut child = Command::new(std::env::current_exe().context("the path of this binary")?)
            .args(["bench", "lifecycle", "--on-demand", "--shape", shape.get_name(), "--item", &args.item])
            .args(["--users", &args.users.to_string(), "--seconds", &args.seconds.to_string()])
            .args(["--history", &cases.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting a suite")?;
        let asks = child.stdin.take().context("the suite's input")?;
        let answers = BufReader::new(child.stdout.take().context("the suite's output")?).lines();
        Ok(Self { cases, child, asks, answers, measured: Vec::new() })
    }

    async fn measure(&mut self) -> Result<Measured> {
        self.asks.write_all(b"\n").await.context("asking a suite")?;
        let answer = self.answer().await?;
        let measured: Measured = serde_json::from_str(&answer).context("a suite's report")?;
        self.measured.push(measured.clone());
        Ok(measured)
    }

    async fn answer(&mut self) -> Result<String> {
        let line = self.answers.next_line().await.context("reading a suite's answer")?;
        line.with_context(|| format!("the suite with {} cases ended before its time", self.cases))
    }

    /// Closes its input, by which it ends, and sums up.
    async fn end(self) -> Result<Size> {
        let Self { cases, mut child, asks, answers, measured } = self;
        drop((asks, answers));
        let status = child.wait().await.context("waiting for a suite")?;
        let failed = measured.iter().any(|one| one.errors > 0);
        ensure!(status.success() || failed, "the suite with {cases} cases ended with {status}");
        let each = |of: fn(&Measured) -> f64| measured.iter().map(of).collect::<Vec<_>>();
        let (rates, ratios) = (each(|one| one.lifecycles_per_second), each(|one| one.ratio_to_floor));
        Ok(Size {
            cases,
            own_cases: measured.iter().map(Measured::added).sum(),
            median_ratio_to_floor: median(&ratios),
            median_lifecycles_per_second: median(&rates),
            median_processor_ms: round(median(&each(|one| one.processor_ms.values().sum()))),
            lifecycles_per_second: rates,
            floor_users: each(|one| one.floor_users),
            ratio_to_floor: ratios,
        })
    }
}

impl Report {
    /// Whether all was measured without an error and within the mark; what is not judged is so where nobody asks for the mark.
    fn kept(&self, marks: bool) -> bool {
        let measured = self.sizes.iter().all(|size| size.median_ratio_to_floor > 0.0);
        let within = if self.judged { self.differ_percent <= MARK_PERCENT } else { !marks };
        measured && self.errors == 0 && within
    }

    /// What the difference is against the mark.
    fn verdict(&self) -> String {
        if self.rounds < LEAST_ROUNDS {
            return format!("  not judged: it takes {LEAST_ROUNDS} rounds or more");
        }
        if !self.apart {
            return "  not judged: own cases come to more than half of the next size; give fewer --seconds"
                .to_owned();
        }
        if self.differ_percent <= MARK_PERCENT { String::new() } else { "  > mark".to_owned() }
    }

    fn print(&self) -> Result<()> {
        out::say!("medians of {} rounds of {} s, {} users", self.rounds, self.seconds, self.users)?;
        for size in &self.sizes {
            out::say!(
                "  {:>9} cases and {} of its own  {:>6.1}/s  {:.4} of the floor  {:.2} processor ms a lifecycle",
                size.cases,
                size.own_cases,
                size.median_lifecycles_per_second,
                size.median_ratio_to_floor,
                size.median_processor_ms
            )?;
        }
        out::say!(
            "  differ by {:.1} % (mark {MARK_PERCENT} %){}, processor time by {:.1} %; {} errors",
            self.differ_percent,
            self.verdict(),
            self.processor_differ_percent,
            self.errors
        )
    }
}

/// Whether what the measurements left behind in each suite is little beside the next size.
fn stayed_apart(sizes: &[Size]) -> bool {
    let mut sorted: Vec<(u64, u64)> = sizes.iter().map(|size| (size.cases, size.own_cases)).collect();
    sorted.sort_unstable();
    let next = sorted.iter().skip(1);
    sorted.iter().zip(next).all(|((_, own), (cases, _))| own.saturating_mul(OWN_PART) <= *cases)
}

/// The middle one, or the mean of the two.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

/// How far the lowest lies below the highest, in percent.
fn spread(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let highest = values.clone().fold(0.0, f64::max);
    let lowest = values.fold(highest, f64::min);
    if highest > 0.0 { round((highest - lowest) / highest * 100.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rounds: u16, apart: bool, differ_percent: f64, errors: u64) -> Report {
        Report {
            seconds: 8,
            users: 50,
            rounds,
            mark_percent: MARK_PERCENT,
            judged: rounds >= LEAST_ROUNDS && apart,
            apart,
            differ_percent,
            processor_differ_percent: 1.0,
            errors,
            sizes: Vec::new(),
        }
    }

    #[test]
    fn the_median_is_not_moved_by_one_bad_round_and_the_spread_is_of_the_highest() {
        assert!((median(&[3.0, 100.0, 2.0, 1.0, 4.0]) - 3.0).abs() < 1e-9);
        assert!((median(&[1.0, 2.0]) - 1.5).abs() < 1e-9);
        assert!((spread([80.0, 100.0, 90.0].into_iter()) - 20.0).abs() < 1e-9);
        assert!(spread(std::iter::empty()).abs() < 1e-9);
    }

    #[test]
    fn fewer_rounds_than_five_are_told_but_meet_no_mark() {
        let report =
            |rounds: u16, differ_percent: f64, errors: u64| report(rounds, true, differ_percent, errors);
        let good = report(5, 15.0, 0);
        assert!(good.kept(true) && good.kept(false) && good.verdict().is_empty());
        let apart = report(5, 15.1, 0);
        assert!(!apart.kept(true) && !apart.kept(false) && apart.verdict() == "  > mark");
        let few = report(4, 1.0, 0);
        assert!(few.kept(false) && !few.kept(true) && few.verdict().contains("not judged"));
        assert!(!report(5, 1.0, 1).kept(false) && !report(1, 1.0, 1).kept(false));
    }

    #[test]
    fn suites_that_grew_alike_are_told_but_meet_no_mark() {
        let size = |cases, own_cases| Size {
            cases,
            own_cases,
            lifecycles_per_second: Vec::new(),
            floor_users: Vec::new(),
            ratio_to_floor: Vec::new(),
            median_ratio_to_floor: 1.0,
            median_lifecycles_per_second: 1.0,
            median_processor_ms: 1.0,
        };
        assert!(stayed_apart(&[size(1_000_000, 13_000), size(0, 12_500), size(100_000, 12_000)]));
        assert!(stayed_apart(&[size(0, 50_000), size(100_000, 90_000)]), "the largest has none to come near");
        assert!(!stayed_apart(&[size(100_000, 12_000), size(0, 50_001)]));
        assert!(!stayed_apart(&[size(0, 10), size(100_000, 110_000), size(200_000, 90_000)]));
        let alike = report(5, false, 1.0, 0);
        assert!(alike.kept(false) && !alike.kept(true) && alike.verdict().contains("not judged"));
    }
}
