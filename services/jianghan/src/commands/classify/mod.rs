//! `jianghan classify`: trains, measures and asks a classifier of messages. Files in, files and figures out; nothing
//! of a message is written anywhere except as the answer to `predict`. What works on a running suite stands in `online` and
//! `learnt`.

mod learnt;
mod online;
pub mod table;

use std::{
    io::{BufRead, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args as ClapArgs, Subcommand};
use classifier::{
    Guess, Model, Options, Record, Scratch,
    evaluate::{self, Answer, Report},
    folds,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// Arguments of `classify`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Train a model on labelled history.
    Train(TrainArgs),
    /// Fold corrections into a model without the history; `train --corrections` is better where the history is there.
    Update(UpdateArgs),
    /// Measure a model on labelled records, or training itself by cross-validation.
    Evaluate(EvaluateArgs),
    /// Ask for the label of a text, or of every row of a file.
    Predict(PredictArgs),
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

#[derive(ClapArgs)]
struct TrainArgs {
    /// CSV with the columns subject[,detail],label; may be given several times, repeated messages count once.
    #[arg(long, value_name = "FILE.csv", required = true)]
    labelled: Vec<PathBuf>,
    /// Where the model goes; replaced only when the new one is complete.
    #[arg(long, value_name = "OUT")]
    model: PathBuf,
    /// CSV like --labelled with answers that a person corrected: they replace the same messages and weigh more.
    #[arg(long, value_name = "FILE.csv")]
    corrections: Option<PathBuf>,
    /// How many ordinary rows a correction counts for.
    #[arg(long, value_name = "W", default_value_t = 5.0, value_parser = positive)]
    correction_weight: f64,
    /// Decides the order of training; the same seed and rows make the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

#[derive(ClapArgs)]
struct UpdateArgs {
    /// The model to start from.
    #[arg(long, value_name = "M")]
    model: PathBuf,
    /// CSV with the columns subject[,detail],label; labels must be known to the model.
    #[arg(long, value_name = "FILE.csv")]
    corrections: PathBuf,
    /// Where the new model goes; without it, the old one is replaced.
    #[arg(long, value_name = "OUT")]
    out: Option<PathBuf>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

#[derive(ClapArgs)]
struct EvaluateArgs {
    /// CSV with the columns subject[,detail],label; may be given several times.
    #[arg(long, value_name = "FILE.csv", required = true)]
    labelled: Vec<PathBuf>,
    /// The model to measure; it should not have been trained on these records.
    #[arg(long, value_name = "M", required_unless_present = "folds", conflicts_with = "folds")]
    model: Option<PathBuf>,
    /// Instead of a model: train on all folds but one and measure on that one, in turn. Messages with the same subject
    /// are never on both sides.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(2..=50))]
    folds: Option<u32>,
    /// Show the subject only, even where there is a detail.
    #[arg(long)]
    subject_only: bool,
    /// Below this probability a person decides.
    #[arg(long, value_name = "P", default_value_t = 0.6, value_parser = probability)]
    min_confidence: f64,
    /// Decides the folds and the order of training.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

#[derive(ClapArgs)]
struct PredictArgs {
    /// The model to ask.
    #[arg(long, value_name = "M")]
    model: PathBuf,
    /// CSV with the columns subject[,detail]. Without it, subjects are read from standard input, one a line.
    #[arg(long, value_name = "FILE.csv")]
    messages: Option<PathBuf>,
    /// Below this probability the answer is `human`; the guesses are shown all the same.
    #[arg(long, value_name = "P", default_value_t = 0.6, value_parser = probability)]
    min_confidence: f64,
    /// Guesses a text.
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,
    /// Words of evidence a guess.
    #[arg(long, value_name = "N", default_value_t = 5)]
    words: usize,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    columns: Columns,
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("a number from 0 to 1".into()) }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number above 0".to_owned())?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err("a number above 0".into()) }
}

/// Runs one of the subcommands; an error exits 1.
pub fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        What::Train(args) => train(args),
        What::Update(args) => update(args),
        What::Evaluate(args) => evaluate(args),
        What::Predict(args) => predict(args),
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

#[derive(Serialize)]
struct Trained {
    records: usize,
    corrections: usize,
    labels: usize,
    features: usize,
    bytes: u64,
}

fn train(args: &TrainArgs) -> Result<()> {
    let history = history(&args.labelled, &args.columns)?;
    let corrections = match &args.corrections {
        Some(path) => table::read(path, args.columns.columns.as_deref(), true)?,
        None => Vec::new(),
    };
    let options =
        Options { seed: args.seed, correction_weight: args.correction_weight, ..Options::default() };
    let model =
        with_bar(args.json, |progress| classifier::train(&history, &corrections, &options, progress))?;
    let trained = Trained {
        records: history.len(),
        corrections: corrections.len(),
        labels: model.classes().len(),
        features: model.features(),
        bytes: save(&model, &args.model)?,
    };
    print(args.json, &trained, || {
        format!(
            "{} records, {} corrections, {} labels → {} n-grams, {:.1} MB in {}\n",
            trained.records,
            trained.corrections,
            trained.labels,
            trained.features,
            trained.bytes as f64 / 1e6,
            args.model.display()
        )
    })
}

fn update(args: &UpdateArgs) -> Result<()> {
    let corrections = table::read(&args.corrections, args.columns.columns.as_deref(), true)?;
    let mut model = load(&args.model)?;
    let outcome =
        model.correct(&corrections, 1.0, Options::default().max_bytes).map_err(|error| match error {
            classifier::Error::UnknownLabel(row) => anyhow!(
                "{}: row {row}, column `label`: the model does not know this label; train anew",
                args.corrections.display()
            ),
            other => other.into(),
        })?;
    save(&model, args.out.as_ref().unwrap_or(&args.model))?;
    print(args.json, &outcome, || {
        format!(
            "{} corrections: {} answered right before, {} now\n",
            outcome.corrections, outcome.right_before, outcome.right_after
        )
    })
}

fn evaluate(args: &EvaluateArgs) -> Result<()> {
    let records = history(&args.labelled, &args.columns)?;
    let answers = match (&args.model, args.folds) {
        (Some(path), _) => answers(&load(path)?, &records, args.subject_only),
        (None, count) => {
            let count = count.unwrap_or(5) as usize;
            let places = folds::folds(&records, count, args.seed);
            let options = Options { seed: args.seed, ..Options::default() };
            let mut all = Vec::new();
            for fold in 0..count {
                let side = |held_out: bool| -> Vec<Record> {
                    let own = records.iter().zip(&places).filter(|(_, place)| (**place == fold) == held_out);
                    own.map(|(record, _)| record.clone()).collect()
                };
                let model =
                    with_bar(args.json, |progress| classifier::train(&side(false), &[], &options, progress))?;
                all.extend(answers(&model, &side(true), args.subject_only));
            }
            all
        }
    };
    let report = evaluate::report(&answers, args.min_confidence);
    print(args.json, &report, || sheet(&report))
}

/// What a model answers to records, beside their labels.
pub fn answers(model: &Model, records: &[Record], subject_only: bool) -> Vec<Answer> {
    let mut scratch = Scratch::default();
    records
        .iter()
        .map(|record| {
            let detail = if subject_only { "" } else { record.detail.as_str() };
            let guesses = model.guesses(&record.subject, detail, 3, 0, &mut scratch);
            Answer {
                truth: record.label.clone(),
                guess: guesses[0].label.clone(),
                confidence: guesses[0].probability,
                in_top_3: guesses.iter().any(|guess| guess.label == record.label),
            }
        })
        .collect()
}

fn sheet(report: &Report) -> String {
    let mut out = format!(
        "{} texts: accuracy {:.4}, in the first three {:.4}, macro-F1 {:.4}\n  precision  recall      F1   texts  label\n",
        report.texts, report.accuracy, report.top_3_accuracy, report.macro_f1
    );
    for (label, class) in &report.classes {
        out.push_str(&format!(
            "     {:.4}  {:.4}  {:.4}  {:>6}  {label}\n",
            class.precision, class.recall, class.f1, class.support
        ));
    }
    out.push_str("  most confused (label → answer):\n");
    let mut pairs: Vec<_> = report
        .confusion
        .iter()
        .flat_map(|(truth, row)| row.iter().map(move |(guess, texts)| (*texts, truth, guess)))
        .filter(|(_, truth, guess)| truth != guess)
        .collect();
    pairs.sort_by(|a, b| b.cmp(a));
    for (texts, truth, guess) in pairs.iter().take(10) {
        out.push_str(&format!("  {texts:>6}  {truth} → {guess}\n"));
    }
    out.push_str(&format!("  calibration: expected error {:.4}\n", report.calibration.ece));
    for bin in report.calibration.bins.iter().filter(|bin| bin.texts > 0) {
        out.push_str(&format!(
            "    {:.1}–{:.1}  {:>6} texts, stated {:.3}, right {:.3}\n",
            bin.from, bin.to, bin.texts, bin.confidence, bin.accuracy
        ));
    }
    out.push_str(&format!(
        "  below {} a person decides: {:.1} % of the texts; of the others {:.4} are right\n",
        report.threshold.min_confidence,
        report.threshold.to_human * 100.0,
        report.threshold.accuracy_of_the_rest
    ));
    out
}

#[derive(Serialize)]
struct Prediction {
    /// Counted from 1.
    row: usize,
    /// The label, or `human`.
    answer: String,
    guesses: Vec<Guess>,
}

fn predict(args: &PredictArgs) -> Result<()> {
    if args.top == 0 {
        bail!("--top: at least 1");
    }
    let model = load(&args.model)?;
    let mut scratch = Scratch::default();
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut answer = |row: usize, subject: &str, detail: &str| -> Result<()> {
        let guesses = model.guesses(subject, detail, args.top, args.words, &mut scratch);
        let sure = guesses[0].probability >= args.min_confidence;
        let prediction =
            Prediction { row, answer: if sure { guesses[0].label.clone() } else { "human".into() }, guesses };
        if args.json {
            serde_json::to_writer(&mut out, &prediction)?;
            writeln!(out)?;
        } else {
            write!(out, "{row}\t{}", prediction.answer)?;
            for guess in &prediction.guesses {
                let words: Vec<&str> = guess.evidence.iter().map(|one| one.text.as_str()).collect();
                write!(out, "\t{} {:.3} [{}]", guess.label, guess.probability, words.join(" "))?;
            }
            writeln!(out)?;
        }
        Ok(out.flush()?)
    };
    match &args.messages {
        Some(path) => {
            let records = table::read(path, args.columns.columns.as_deref(), false)?;
            for (row, record) in (1..).zip(&records) {
                answer(row, &record.subject, &record.detail)?;
            }
        }
        None => {
            for (row, line) in (1..).zip(std::io::stdin().lock().lines()) {
                let line = line.with_context(|| format!("standard input, line {row}: not UTF-8"))?;
                answer(row, &line, "")?;
            }
        }
    }
    Ok(())
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
    let text = if json { serde_json::to_string_pretty(value)? + "\n" } else { text() };
    // Not `print!`: it panics where the reader has gone.
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<Record> {
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
    fn a_correction_with_an_unknown_label_names_row_and_column_and_writes_nothing() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (old, out) = (folder.path().join("old"), folder.path().join("out"));
        let model = classifier::train(&records(), &[], &Options::default(), &|_, _| {}).expect("a model");
        save(&model, &old).expect("saved");
        let corrections = folder.path().join("corrections.csv");
        let update = |rows: &str| {
            std::fs::write(&corrections, format!("subject,label\n{rows}")).expect("written");
            update(&UpdateArgs {
                model: old.clone(),
                corrections: corrections.clone(),
                out: Some(out.clone()),
                json: true,
                columns: Columns { columns: None },
            })
        };
        let error = update("路灯,城建\n秘密,没有\n").expect_err("refused").to_string();
        assert!(error.contains(": row 2, column `label`:") && !error.contains("秘密"), "{error}");
        assert!(!out.exists());
        update("广场舞,社保\n").expect("learnt");
        let asked = Record { subject: "广场舞".into(), detail: String::new(), label: "社保".into() };
        let answers = answers(&load(&out).expect("loaded"), &[asked], false);
        assert_eq!(answers[0].guess, "社保");
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
