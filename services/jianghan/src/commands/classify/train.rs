//! `classify train` and `classify update`: a model from labelled history, or from another one and what people corrected.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args as ClapArgs;
use classifier::Options;
use serde::Serialize;

use super::{Columns, history, load, print, save, table, with_bar};

#[derive(ClapArgs)]
pub struct TrainArgs {
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
pub struct UpdateArgs {
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

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "a number above 0".to_owned())?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err("a number above 0".into()) }
}

#[derive(Serialize)]
struct Trained {
    records: usize,
    corrections: usize,
    labels: usize,
    features: usize,
    bytes: u64,
}

pub fn train(args: &TrainArgs) -> Result<()> {
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

pub fn update(args: &UpdateArgs) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use classifier::Record;

    use super::*;
    use crate::commands::classify::{evaluate::answers, tests::records};

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
}
