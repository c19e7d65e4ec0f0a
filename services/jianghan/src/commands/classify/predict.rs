//! `classify predict`: asks a model for the label of a text, or of every row of a file.

use std::{
    io::{BufRead, BufWriter, Write},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use classifier::{Guess, Scratch};
use serde::Serialize;

use super::{Columns, load, probability, table};

#[derive(ClapArgs)]
pub struct PredictArgs {
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

#[derive(Serialize)]
struct Prediction {
    /// Counted from 1.
    row: usize,
    /// The label, or `human`.
    answer: String,
    guesses: Vec<Guess>,
}

pub fn predict(args: &PredictArgs) -> Result<()> {
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
