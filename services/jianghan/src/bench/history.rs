//! A made-up history of a district for the benches: cases spread over three years, over all its communities and a good part
//! of the catalogue, written as the file that `jianghan import` reads, and imported by it. The same seed gives the same file.

use std::{
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use crate::{
    import::{self, Options, Outcome},
    launch::{Launch, Launched, SeedScope, Shape},
    out, reconcile,
    simulate::{self, actors::units, keywords},
    suite::{Session, Suite},
};

/// Streets whose people are seeded.
pub const STREETS: [&str; 2] = ["420103005", "420103008"];
/// The system that a history comes from.
pub const SOURCE: &str = "bench";
/// Days that a history spans.
const DAYS: i64 = 3 * 365;
/// Of a thousand cases, those that are still open.
const OPEN: u32 = 20;
/// Items of open cases: none of them is an application, which is not imported open.
const SIMPLE: [&str; 4] = ["CJ-0101", "CJ-0112", "CJ-0142", "CJ-0103"];

/// A suite of its own, and who works on it.
pub struct Site {
    /// The suite.
    pub launched: Launched,
    /// How it is reached.
    pub suite: Suite,
    /// The account that imports.
    pub operator: Arc<Session>,
    _folder: tempfile::TempDir,
    /// Folder for files.
    pub folder: std::path::PathBuf,
}

impl Site {
    /// Launches all in one process on durable, throw-away data.
    pub async fn launch(quiet: bool, statistics: bool) -> Result<Self> {
        let folder = tempfile::tempdir().context("a scratch folder")?;
        let launch = Launch {
            shape: Shape::AllInOne,
            dir: folder.path().to_owned(),
            port: 0,
            faults: None,
            seed: SeedScope { streets: Some(STREETS.map(str::to_owned).to_vec()), residents: Some(50) },
            throw_away: true,
            statistics,
            binary: std::env::current_exe().context("the path of this binary")?,
            config: None,
            environment: vec![("JIANGHAN_LOG".into(), "warn".into())],
        };
        let launched = launch
            .start(|what| {
                if !quiet {
                    out::note!("  … {what}");
                }
            })
            .await?;
        let suite = Suite::patient(&launched.addresses, Duration::from_secs(60))?;
        let operator = simulate::operator(&suite, &launched.accounts)?;
        let path = folder.path().to_owned();
        Ok(Self { launched, suite, operator, _folder: folder, folder: path })
    }

    /// Codes of the communities of the whole district.
    pub async fn communities(&self) -> Result<Vec<String>> {
        communities(&self.suite, &self.operator).await
    }

    /// Imports a file; see [`load`].
    pub async fn import(&self, file: &Path, source: &str, rows: u64, quiet: bool) -> Result<Outcome> {
        load(&self.suite, &self.operator, file, source, rows, quiet).await
    }

    /// Waits until everything has followed; see [`settle`].
    pub async fn settle(&self, outcome: &Outcome) -> Result<(f64, f64)> {
        settle(&self.suite, &self.operator, outcome).await
    }
}

/// Brings a history of so many cases into a running suite and waits until everything has followed. `own` as in [`write()`].
pub async fn preload(
    suite: &Suite,
    operator: &Arc<Session>,
    folder: &Path,
    cases: u64,
    own: &[String],
    quiet: bool,
) -> Result<()> {
    if cases == 0 {
        return Ok(());
    }
    let file = folder.join("history.csv");
    write(&file, cases, &communities(suite, operator).await?, own, chassis::Clock::system().now())?;
    let outcome = load(suite, operator, &file, SOURCE, cases, quiet).await?;
    settle(suite, operator, &outcome).await?;
    Ok(())
}

async fn communities(suite: &Suite, operator: &Session) -> Result<Vec<String>> {
    let units = units(suite, operator).await?;
    let codes = units.into_iter().map(|unit| unit.code).filter(|code| code.len() == 12);
    let mut codes: Vec<_> = codes.filter(|code| code.starts_with("420103")).collect();
    codes.sort_unstable();
    ensure!(!codes.is_empty(), "the seeded district holds no communities");
    Ok(codes)
}

/// Imports a file as what this system had: the same file from another is imported as other cases.
async fn load(
    suite: &Suite,
    operator: &Arc<Session>,
    file: &Path,
    source: &str,
    rows: u64,
    quiet: bool,
) -> Result<Outcome> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(rows) };
    bar.set_style(ProgressStyle::with_template("  import {bar:40} {pos}/{len}  {elapsed}  {per_sec}")?);
    let options = Options {
        file: file.to_owned(),
        columns: None,
        source: source.to_owned(),
        batch: 1_000,
        resume: false,
        check: false,
    };
    let outcome = import::run(suite, operator, &options, &CancellationToken::new(), |counts| {
        bar.set_position(counts.rows);
    })
    .await?;
    bar.finish_and_clear();
    let first = outcome.first_problems.first();
    ensure!(outcome.counts.problems == 0, "rows were refused, the first: {first:?}");
    Ok(outcome)
}

/// Waits until every event is handled and every text can be found. Gives how long each took, in seconds.
async fn settle(suite: &Suite, operator: &Arc<Session>, outcome: &Outcome) -> Result<(f64, f64)> {
    let began = Instant::now();
    reconcile::drain(suite, operator, Duration::from_secs(1_800)).await?.all_handled()?;
    let drained = began.elapsed().as_secs_f64();
    import::indexed(suite, operator, outcome.import_id, |_| {}).await?;
    Ok((drained, began.elapsed().as_secs_f64()))
}

/// Writes a history of so many cases up to `now`, oldest first. `own` are people of whom each has one case in a thousand; nobody
/// known has the others.
pub fn write(
    path: &Path,
    cases: u64,
    communities: &[String],
    own: &[String],
    now: DateTime<Utc>,
) -> Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let mut rng = StdRng::seed_from_u64(1);
    let words = keywords::vocabulary();
    let simple: Vec<_> = words.iter().copied().filter(|(item, _)| SIMPLE.contains(item)).collect();
    ensure!(!simple.is_empty(), "the keywords do not name the items of open cases");
    writeln!(
        out,
        "id,text,place,item,state,channel,requester_id,registered,accepted,due,completed,closed,lead,closed_code,grade"
    )?;
    let step = f64::from(i32::try_from(DAYS * 86_400)?) / cases.max(1) as f64;
    for number in 0..cases {
        let since = TimeDelta::seconds((number as f64 * step) as i64);
        let registered = now - TimeDelta::days(DAYS) - TimeDelta::hours(1) + since;
        let place = &communities[rng.random_range(0..communities.len())];
        let age = (now - registered).num_hours();
        let hours = rng.random_range(6..240);
        let open = rng.random_range(0..1_000) < OPEN || age < hours + 24;
        let choice = if open { &simple } else { &words };
        let (item, word) = choice[rng.random_range(0..choice.len())];
        let phone = if rng.random_range(0..5) == 0 { "，电话13812345678" } else { "" };
        let text =
            format!("第{}号楼{word}，邻居们说了{}次{phone}，请尽快来看看。", number % 997, number % 7 + 2);
        let whose: u16 = rng.random_range(0..1_000);
        let own = own.get(usize::from(whose)).map_or("", String::as_str);
        let at =
            |hours: i64| (registered + TimeDelta::hours(hours)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let street = &place[..9];
        if open {
            let accepted = if age > 1 { at(1) } else { at(0) };
            writeln!(out, "b-{number},{text},{place},{item},triaged,phone,{own},{},{accepted},,,,,,", at(0))?;
        } else {
            let code =
                ["resolved", "resolved", "resolved", "partly_resolved", "explained"][rng.random_range(0..5)];
            let grade = ["", "5", "4", "3", "2"][rng.random_range(0..5)];
            writeln!(
                out,
                "b-{number},{text},{place},{item},closed,phone,{own},{},{},,{},{},street_office:{street},{code},{grade}",
                at(0),
                at(1),
                at(hours),
                at(hours + 12),
            )?;
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_those_who_have_some_has_one_case_in_a_thousand() {
        let dir = tempfile::tempdir().expect("a folder");
        let communities = ["420103005001".to_owned()];
        let of = |own: &[String]| -> Vec<String> {
            let file = dir.path().join("history.csv");
            write(&file, 20_000, &communities, own, DateTime::<Utc>::UNIX_EPOCH).expect("written");
            let text = std::fs::read_to_string(&file).expect("read");
            let requesters = text.lines().skip(1).map(|line| line.split(',').nth(6).expect("a requester"));
            requesters.map(str::to_owned).collect()
        };
        let nobody = of(&[]);
        assert!(nobody.len() == 20_000 && nobody.iter().all(String::is_empty));
        let all = of(&["r-0".to_owned(), "r-1".to_owned()]);
        for own in ["r-0", "r-1"] {
            let cases = all.iter().filter(|requester| *requester == own).count();
            assert!((5..=45).contains(&cases), "{own} has {cases} of 20,000");
        }
        assert!(all.iter().filter(|requester| requester.is_empty()).count() >= 19_910);
    }
}
