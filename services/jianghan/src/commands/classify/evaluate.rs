//! `classify evaluate`: how often a model is right, on records that it has not seen.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args as ClapArgs;
use classifier::{
    Model, Options, Record, Scratch,
    evaluate::{self, Answer, Report},
    folds,
};

use super::{Columns, history, load, print, probability, with_bar};

#[derive(ClapArgs)]
pub struct EvaluateArgs {
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

pub fn evaluate(args: &EvaluateArgs) -> Result<()> {
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
