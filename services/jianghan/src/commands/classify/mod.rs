//! `jianghan classify`: trains, measures and asks a classifier of messages. Files in, files and figures out; nothing
//! of a message is written anywhere except as the answer to `predict`. What works on a running suite stands in `online` and
//! `learnt`.

mod evaluate;
mod learnt;
mod online;
mod predict;
pub mod table;
mod train;

use std::{
    io::{BufWriter, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Subcommand};
use classifier::{Model, Record};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::out;

/// Arguments of `classify`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Train a model on labelled history.
    Train(train::TrainArgs),
    /// Fold corrections into a model without the history; `train --corrections` is better where the history is there.
    Update(train::UpdateArgs),
    /// Measure a model on labelled records, or training itself by cross-validation.
    Evaluate(evaluate::EvaluateArgs),
    /// Ask for the label of a text, or of every row of a file.
    Predict(predict::PredictArgs),
    /// Bring a model to the running suite and put it in force.
    Install(online::InstallArgs),
    /// The versions that were brought to the running suite, and which one is in force.
    Models(online::ModelsArgs),
    /// Put a former version in force again, or none.
    RollBack(online::RollBackArgs),
    /// Ask the running suite what a case or a text is about.
    Suggest(online::SuggestArgs),
    /// Write where people decided otherwise than was suggested, as labelled CSV to train with.
    Corrections(learnt::CorrectionsArgs),
    /// How often people chose what was suggested, by version.
    Accuracy(learnt::AccuracyArgs),
}

#[derive(ClapArgs)]
struct Columns {
    /// Mapping file: which columns hold what, as for `simulate`. Without it: subject[,detail],label.
    #[arg(long, value_name = "MAP.toml")]
    columns: Option<PathBuf>,
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("a number from 0 to 1".into()) }
}

/// Runs one of the subcommands; an error exits 1.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Train(args) => train::train(args),
        What::Update(args) => train::update(args),
        What::Evaluate(args) => evaluate::evaluate(args),
        What::Predict(args) => predict::predict(args),
        What::Install(args) => return online(online::install(args)),
        What::Models(args) => return online(online::models(args)),
        What::RollBack(args) => return online(online::roll_back(args)),
        What::Suggest(args) => return online(online::suggest(args)),
        What::Corrections(args) => return online(learnt::corrections(args)),
        What::Accuracy(args) => return online(learnt::accuracy(args)),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Runs what talks to a suite; what works on files alone needs no runtime.
fn online(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work)
}

fn history(paths: &[PathBuf], columns: &Columns) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for path in paths {
        records.extend(table::read(path, columns.columns.as_deref(), true)?);
    }
    Ok(classifier::train::merge(records))
}

fn load(path: &Path) -> Result<Model> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Model::read(file).with_context(|| path.display().to_string())
}

/// Writes beside the target and renames: whoever interrupts this keeps the old model whole.
fn save(model: &Model, path: &Path) -> Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let context = || format!("cannot write {}", path.display());
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    model.write(BufWriter::new(&mut file))?;
    file.as_file().sync_all().with_context(context)?;
    let bytes = file.as_file().metadata().with_context(context)?.len();
    file.persist(path).with_context(context)?;
    Ok(bytes)
}

fn with_bar<T>(
    quiet: bool,
    work: impl FnOnce(&(dyn Fn(usize, usize) + Sync)) -> Result<T, classifier::Error>,
) -> Result<T> {
    let shown = !quiet && std::io::stderr().is_terminal();
    let bar = if shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} planes, {eta} left")?);
    let result = work(&|done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    Ok(result?)
}

fn print(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    if json { out::json(value) } else { out::text(&text()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use classifier::Options;

    use super::evaluate::answers;
    use super::*;

    pub(super) fn records() -> Vec<Record> {
        let rows = [("路灯", "城建"), ("井盖", "城建"), ("医保", "社保"), ("养老金", "社保")];
        (0..5)
            .flat_map(|turn| rows.map(|(word, label)| (format!("{word}的问题{turn}"), label)))
            .map(|(subject, label)| Record { subject, detail: String::new(), label: label.into() })
            .collect()
    }

    #[test]
    fn a_saved_model_is_loaded_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("model");
        let model = classifier::train(&records(), &[], &Options::default(), &|_, _| {}).expect("a model");
        std::fs::write(&path, "the old one").expect("written");
        let bytes = save(&model, &path).expect("saved");
        assert_eq!(std::fs::read(&path).expect("read").len() as u64, bytes);
        assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
        let right = answers(&load(&path).expect("loaded"), &records(), false);
        assert!(right.iter().all(|answer| answer.truth == answer.guess));
    }

    #[test]
    fn a_file_that_is_no_model_is_refused_by_its_path() {
        let mut file = tempfile::NamedTempFile::new().expect("a scratch file");
        file.write_all(b"subject,label\n").expect("written");
        let error = format!("{:#}", load(file.path()).expect_err("refused"));
        assert!(error.ends_with(": not a model of jianghan classify"), "{error}");
    }

    #[test]
    fn probabilities_outside_zero_to_one_are_usage_errors() {
        assert!(probability("1.01").is_err() && probability("NaN").is_err() && probability("x").is_err());
        assert_eq!(probability("0.75"), Ok(0.75));
    }
}
