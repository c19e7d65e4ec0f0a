//! The comparison itself: five folds of the same records, ours and the peer's answers to the same texts.

use std::{collections::HashSet, time::Instant};

use classifier::{
    Error, Model, Options, Record, Scratch,
    evaluate::{self, Answer},
    folds, text,
};
use serde::Serialize;

use super::peer::Peer;

/// Figures of one shape of text.
#[derive(Clone, Debug, Serialize)]
pub struct Shape {
    /// `subject` or `subject+detail`.
    pub shape: &'static str,
    /// Texts asked about, each once.
    pub texts: usize,
    /// This project.
    pub ours: Side,
    /// The peer, trained on texts of this shape.
    pub peer: Side,
    /// The peer, trained on the records' texts of both shapes, as ours is.
    pub peer_both: Side,
    /// Ours less the peer's macro-F1.
    pub gain: f64,
    /// Ours less the macro-F1 of the peer trained on both shapes.
    pub gain_both: f64,
    /// Expected calibration error of ours, over all folds.
    pub ece: f64,
}

/// One side of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Side {
    /// Mean of the folds.
    pub macro_f1: f64,
    /// By fold.
    pub folds: Vec<f64>,
    /// Mean of the folds.
    pub accuracy: f64,
    /// Time of one answer, mean over all texts, in microseconds.
    pub micros_per_text: f64,
    /// Time of all trainings.
    pub train_seconds: f64,
}

impl Side {
    fn add(&mut self, answers: &[Answer], micros: f64, folds: f64) {
        let report = evaluate::report(answers, 0.0);
        self.folds.push(report.macro_f1);
        self.macro_f1 += report.macro_f1 / folds;
        self.accuracy += report.accuracy / folds;
        self.micros_per_text += micros / folds;
    }
}

/// Compares on `count` folds; `told` hears what has been done.
pub fn compare(
    records: &[Record],
    count: usize,
    options: &Options,
    told: impl Fn(&str),
) -> Result<Vec<Shape>, Error> {
    let places = folds::folds(records, count, options.seed);
    let mut shapes: Vec<(Shape, Vec<Answer>)> =
        ["subject", "subject+detail"].map(|shape| (Shape::new(shape), Vec::new())).to_vec();
    for fold in 0..count {
        let side = |held_out: bool| -> Vec<&Record> {
            let own = records.iter().zip(&places).filter(|(_, place)| (**place == fold) == held_out);
            own.map(|(record, _)| record).collect()
        };
        let (known, asked) = (side(false), side(true));
        let started = Instant::now();
        let history: Vec<Record> = known.iter().map(|record| (*record).clone()).collect();
        let model = classifier::train(&history, &[], options, &|_, _| {})?;
        let spent = started.elapsed().as_secs_f64();
        for (place, (shape, all)) in shapes.iter_mut().enumerate() {
            let full = place == 1;
            let (texts, other) = (of_shape(&known, full), of_shape(&known, !full));
            let asked = of_shape(&asked, full);
            if asked.is_empty() {
                continue;
            }
            shape.texts += asked.len();
            shape.ours.train_seconds += spent;
            let (answers, micros) = ours(&model, &asked, full);
            shape.ours.add(&answers, micros, count as f64);
            all.extend(answers);
            let mut both = pairs(&texts, full);
            let started = Instant::now();
            let peer = Peer::train(&both);
            shape.peer.train_seconds += started.elapsed().as_secs_f64();
            let (answers, micros) = theirs(&peer, &asked, full);
            shape.peer.add(&answers, micros, count as f64);
            both.extend(pairs(&other, !full));
            let started = Instant::now();
            let peer = Peer::train(&both);
            shape.peer_both.train_seconds += started.elapsed().as_secs_f64();
            let (answers, micros) = theirs(&peer, &asked, full);
            shape.peer_both.add(&answers, micros, count as f64);
            let last = |side: &Side| side.folds.last().copied().unwrap_or_default();
            told(&format!(
                "fold {} of {count}, {}: ours {:.4}, peer {:.4}, peer on both shapes {:.4}",
                fold + 1,
                shape.shape,
                last(&shape.ours),
                last(&shape.peer),
                last(&shape.peer_both)
            ));
        }
    }
    Ok(shapes
        .into_iter()
        .filter(|(shape, _)| shape.texts > 0)
        .map(|(mut shape, answers)| {
            shape.gain = shape.ours.macro_f1 - shape.peer.macro_f1;
            shape.gain_both = shape.ours.macro_f1 - shape.peer_both.macro_f1;
            shape.ece = evaluate::report(&answers, 0.0).calibration.ece;
            shape
        })
        .collect())
}

impl Shape {
    fn new(shape: &'static str) -> Self {
        let side = Side::default;
        Self {
            shape,
            texts: 0,
            ours: side(),
            peer: side(),
            peer_both: side(),
            gain: 0.0,
            gain_both: 0.0,
            ece: 0.0,
        }
    }
}

/// Each subject once; or the records that have a detail.
fn of_shape<'a>(records: &[&'a Record], full: bool) -> Vec<&'a Record> {
    let mut seen = HashSet::new();
    let fits = |record: &&Record| {
        if full { !record.detail.is_empty() } else { seen.insert(text::group_key(&record.subject)) }
    };
    records.iter().copied().filter(fits).collect()
}

fn pairs<'a>(records: &[&'a Record], full: bool) -> Vec<(String, &'a str)> {
    records.iter().map(|record| (plain(record, full), record.label.as_str())).collect()
}

fn plain(record: &Record, full: bool) -> String {
    if full { format!("{}\n{}", record.subject, record.detail) } else { record.subject.clone() }
}

fn ours(model: &Model, asked: &[&Record], full: bool) -> (Vec<Answer>, f64) {
    let detail = |record: &Record| if full { record.detail.clone() } else { String::new() };
    let texts: Vec<(&str, String)> =
        asked.iter().map(|record| (record.subject.as_str(), detail(record))).collect();
    let mut scratch = Scratch::default();
    let mut found = Vec::with_capacity(texts.len());
    let started = Instant::now();
    for (subject, detail) in &texts {
        let probabilities = model.predict(subject, detail, &mut scratch);
        let best = probabilities.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        found.push(best.unwrap_or_default());
    }
    let micros = started.elapsed().as_secs_f64() * 1e6 / texts.len() as f64;
    let answers = asked
        .iter()
        .zip(found)
        .map(|(record, (class, confidence))| answer(record, &model.classes()[class], f64::from(confidence)));
    (answers.collect(), micros)
}

fn theirs(peer: &Peer, asked: &[&Record], full: bool) -> (Vec<Answer>, f64) {
    let texts: Vec<String> = asked.iter().map(|record| plain(record, full)).collect();
    let started = Instant::now();
    let found: Vec<&str> = texts.iter().map(|text| peer.predict(text)).collect();
    let micros = started.elapsed().as_secs_f64() * 1e6 / texts.len() as f64;
    (asked.iter().zip(found).map(|(record, guess)| answer(record, guess, 1.0)).collect(), micros)
}

fn answer(record: &Record, guess: &str, confidence: f64) -> Answer {
    Answer {
        truth: record.label.clone(),
        guess: guess.to_owned(),
        confidence,
        in_top_3: record.label == guess,
    }
}
