//! `jianghan bench classify`: the classifier against the peer that it has to beat, in one run, on the same folds of
//! the district's own labelled messages. Needs no servers.

mod compare;
mod peer;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Args as ClapArgs;
use classifier::{Model, Options, train::merge};
use serde::Serialize;

use self::compare::Shape;
use crate::{commands::classify::table, out};

/// Marks: gain in macro-F1, microseconds by shape, load time in milliseconds, bytes.
const MIN_GAIN: f64 = 0.015;
const MAX_MICROS: [(&str, f64); 2] = [("subject", 50.0), ("subject+detail", 200.0)];
const MAX_LOAD_MS: f64 = 1000.0;
const MAX_BYTES: usize = 20_000_000;

/// Arguments of `bench classify`.
#[derive(ClapArgs)]
pub struct Args {
    /// CSV with the columns subject[,detail],label; may be given several times, repeated messages count once.
    #[arg(long, value_name = "FILE.csv", required = true)]
    labelled: Vec<PathBuf>,
    /// Mapping file: which columns hold what, as for `simulate`.
    #[arg(long, value_name = "MAP.toml")]
    columns: Option<PathBuf>,
    /// Folds; messages with the same subject are never on both sides.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=50))]
    folds: u32,
    /// Decides the folds and the order of training.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Comparison {
    /// Messages after repetitions were left out.
    records: usize,
    labels: usize,
    shapes: Vec<Shape>,
    /// The model of all records.
    model_bytes: usize,
    model_features: usize,
    model_train_seconds: f64,
    model_load_ms: f64,
    /// Marks that were missed.
    missed: Vec<String>,
}

/// Compares; exits 1 where a mark was missed.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut records = Vec::new();
    for path in &args.labelled {
        records.extend(table::read(path, args.columns.as_deref(), true)?);
    }
    let records = merge(records);
    let options = Options { seed: args.seed, ..Options::default() };
    let shapes = compare::compare(&records, args.folds as usize, &options, |line| {
        if !args.json {
            out::note!("{line}");
        }
    })?;
    let started = Instant::now();
    let model = classifier::train(&records, &[], &options, &|_, _| {})?;
    let model_train_seconds = started.elapsed().as_secs_f64();
    let mut bytes = Vec::new();
    model.write(&mut bytes)?;
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), &bytes)?;
    let started = Instant::now();
    let loaded = Model::read(std::fs::File::open(file.path())?)?;
    let model_load_ms = started.elapsed().as_secs_f64() * 1000.0;
    let mut comparison = Comparison {
        records: records.len(),
        labels: loaded.classes().len(),
        shapes,
        model_bytes: bytes.len(),
        model_features: loaded.features(),
        model_train_seconds,
        model_load_ms,
        missed: Vec::new(),
    };
    comparison.missed = missed(&comparison);
    if args.json {
        out::json(&comparison)?;
    } else {
        out::text(&sheet(&comparison))?;
    }
    Ok(if comparison.missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn missed(comparison: &Comparison) -> Vec<String> {
    let mut missed = Vec::new();
    // A mark that nothing was held against is not met.
    for (name, _) in MAX_MICROS {
        if !comparison.shapes.iter().any(|shape| shape.shape == name) {
            missed.push(format!("{name}: no message of this shape to compare on"));
        }
    }
    for shape in &comparison.shapes {
        if shape.gain < MIN_GAIN {
            missed.push(format!(
                "{}: macro-F1 {:+.4} over the peer, mark +{MIN_GAIN}",
                shape.shape, shape.gain
            ));
        }
        for (_, micros) in MAX_MICROS.iter().filter(|(name, _)| *name == shape.shape) {
            if shape.ours.micros_per_text > *micros {
                missed.push(format!(
                    "{}: {:.0} µs a text, mark {micros}",
                    shape.shape, shape.ours.micros_per_text
                ));
            }
        }
    }
    if comparison.model_load_ms > MAX_LOAD_MS {
        missed.push(format!("loads in {:.0} ms, mark {MAX_LOAD_MS}", comparison.model_load_ms));
    }
    if comparison.model_bytes > MAX_BYTES {
        missed.push(format!("{} bytes, mark {MAX_BYTES}", comparison.model_bytes));
    }
    missed
}

fn sheet(comparison: &Comparison) -> String {
    let mut out = format!("{} messages, {} labels\n", comparison.records, comparison.labels);
    for shape in &comparison.shapes {
        out.push_str(&format!("{} ({} texts)\n", shape.shape, shape.texts));
        let sides = [("ours", &shape.ours), ("peer", &shape.peer), ("peer on both shapes", &shape.peer_both)];
        for (name, side) in sides {
            let folds: Vec<_> = side.folds.iter().map(|fold| format!("{fold:.4}")).collect();
            out.push_str(&format!(
                "  {name:<20} macro-F1 {:.4} ({})  accuracy {:.4}  {:>6.1} µs a text  {:>5.1} s of training\n",
                side.macro_f1,
                folds.join(" "),
                side.accuracy,
                side.micros_per_text,
                side.train_seconds
            ));
        }
        out.push_str(&format!(
            "  gain {:+.4} over the peer, {:+.4} over the peer on both shapes; calibration error {:.4}\n",
            shape.gain, shape.gain_both, shape.ece
        ));
    }
    out.push_str(&format!(
        "model of all messages: {:.1} MB, {} n-grams, trained in {:.1} s, loaded in {:.0} ms\n",
        comparison.model_bytes as f64 / 1e6,
        comparison.model_features,
        comparison.model_train_seconds,
        comparison.model_load_ms
    ));
    for mark in &comparison.missed {
        out.push_str(&format!("missed: {mark}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use classifier::Record;

    use super::*;

    #[test]
    fn both_sides_are_asked_every_text_once_and_marks_are_held_against_them() {
        let words = [("路灯", "城建"), ("井盖", "城建"), ("医保", "社保"), ("养老金", "社保")];
        let records: Vec<Record> = (0..6)
            .flat_map(|turn| words.map(|(word, label)| (format!("{word}的问题第{turn}次"), label, turn)))
            .map(|(subject, label, turn)| Record {
                detail: if turn % 2 == 0 { format!("我想说一下{subject}") } else { String::new() },
                subject,
                label: label.into(),
            })
            .collect();
        let shapes = compare::compare(&records, 3, &Options::default(), |_| {}).expect("a comparison");
        assert_eq!(shapes.iter().map(|shape| shape.texts).collect::<Vec<_>>(), [24, 12]);
        assert!(shapes.iter().all(|shape| shape.ours.folds.len() == 3 && shape.peer.macro_f1 > 0.9));
        let mut comparison = Comparison {
            records: 24,
            labels: 2,
            shapes,
            model_bytes: MAX_BYTES + 1,
            model_features: 1,
            model_train_seconds: 0.1,
            model_load_ms: 1.0,
            missed: Vec::new(),
        };
        let marks = missed(&comparison);
        assert!(marks.iter().any(|mark| mark.starts_with("subject: macro-F1")), "{marks:?}");
        assert!(marks.iter().any(|mark| mark.ends_with("mark 20000000")), "{marks:?}");
        let none = |marks: &[String]| marks.iter().any(|mark| mark.starts_with("subject+detail: no message"));
        assert!(!none(&marks), "{marks:?}");
        comparison.shapes.truncate(1);
        let marks = missed(&comparison);
        assert!(none(&marks), "a shape that none has: {marks:?}");
    }
}
