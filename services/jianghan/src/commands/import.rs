//! `jianghan import`: a district's history into a running suite.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use chassis::lifecycle::shutdown_signal;
use clap::Args as ClapArgs;
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::Target;
use crate::{
    import::{self, Options, Outcome},
    out, simulate,
    suite::Suite,
};

/// Arguments of `import`.
#[derive(ClapArgs)]
pub struct Args {
    /// The file of cases: CSV in UTF-8 with a header. How far it is stands beside it, in FILE.csv.import.json.
    #[arg(long, value_name = "FILE.csv")]
    cases: PathBuf,
    /// Which columns hold what, and which words stand for what; see services/jianghan/data/cases.map.toml.
    #[arg(long, value_name = "MAP.toml")]
    columns: Option<PathBuf>,
    /// Code of the system the cases come from: ids of different sources are different ids.
    #[arg(long, value_name = "CODE", default_value = "history")]
    source: String,
    /// Go on with the import of this file that was stopped; the mapping has to be that of before.
    #[arg(long)]
    resume: bool,
    /// Store nothing, only say what would be refused.
    #[arg(long)]
    check: bool,
    /// Rows in one batch, 1–2000.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    batch: usize,
    /// Do not wait until the texts can be found by their words.
    #[arg(long)]
    no_wait: bool,
    /// Print the result as JSON, and no progress.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Imports. Exits 0 when every row is stored or was there already, 1 when rows were refused or it was stopped.
pub async fn run(args: Args) -> Result<ExitCode> {
    let options = Options {
        file: args.cases.clone(),
        columns: args.columns.clone(),
        source: args.source.clone(),
        batch: args.batch,
        resume: args.resume,
        check: args.check,
    };
    if let Err(error) = import::check_options(&options) {
        out::note!("jianghan: {error:#}");
        return Ok(ExitCode::from(2));
    }
    let file = args.target.read()?;
    let suite = Suite::patient(&file.addresses, Duration::from_secs(60))?;
    let operator = simulate::operator(&suite, &file)?;
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let listening = tokio::spawn(async move {
        shutdown_signal().await;
        asked.cancel();
    });
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::with_template("  {spinner} {pos} 行 rows  {elapsed}  {per_sec}  {msg}")?);
    let outcome = import::run(&suite, &operator, &options, &stop, |counts| {
        bar.set_position(counts.rows);
        bar.set_message(format!("{} 重复 known, {} 有误 refused", counts.duplicates, counts.problems));
    })
    .await?;
    bar.finish_and_clear();
    if !args.check && !args.no_wait && outcome.done {
        let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        bar.set_style(ProgressStyle::with_template(
            "  {spinner} {msg} 件待建索引 texts to index  {elapsed}",
        )?);
        let indexing =
            import::indexed(&suite, &operator, outcome.import_id, |left| bar.set_message(left.to_string()));
        tokio::select! {
            done = indexing => done?,
            () = stop.cancelled() => {} // it goes on by itself
        }
        bar.finish_and_clear();
    }
    listening.abort();
    if args.json {
        out::json(&outcome)?;
    } else {
        print(&args, &outcome)?;
    }
    let clean = outcome.done && outcome.counts.problems == 0;
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(args: &Args, outcome: &Outcome) -> Result<()> {
    let counts = &outcome.counts;
    for problem in &outcome.first_problems {
        out::say!("{}:{}: {}: {}", args.cases.display(), problem.line, problem.column, problem.problem)?;
    }
    if counts.problems > outcome.first_problems.len() as u64 {
        out::say!("… {} in all", counts.problems)?;
    }
    let did = if args.check { "would be imported" } else { "imported" };
    out::say!(
        "{} rows: {} {did}, {} known already, {} refused; {:.0} rows/s (import {})",
        counts.rows,
        counts.imported,
        counts.duplicates,
        counts.problems,
        outcome.rows_per_second,
        outcome.import_id
    )?;
    if let Some(path) = &outcome.problems_file {
        out::say!("every row that was not imported: {}", path.display())?;
    }
    if !outcome.done {
        out::say!("stopped before line {}; go on with --resume", outcome.next_line)?;
    }
    Ok(())
}
