//! From history to model: rows, rarity, one plane a label and head, probabilities.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    Error, Record,
    features::{KeyMap, Vector, Vocabulary, blend},
    folds,
    format::{MAX_CLASSES, bytes_per_feature},
    model::{Head, Model},
    svm::{Plane, Rows, Solver, parallel, solve},
    text,
};

/// How to train. The defaults are what was measured best; see the README.
#[derive(Clone, Debug)]
pub struct Options {
    /// Order of the rows, and the folds that the probabilities are fitted on.
    pub seed: u64,
    /// Price of an error against the size of the weights.
    pub c: f64,
    /// Weight of the subject's vector beside the detail's.
    pub subject_weight: f32,
    /// Short head: weight of a row made of a whole message beside one made of a subject.
    pub message_row: f64,
    /// Short head: weight of a row made of the beginning of a detail.
    pub opening_row: f64,
    /// Short head: weight of a row made of one of the following pieces of a detail, each as long as a subject.
    pub piece_row: f64,
    /// Factor of n-grams of three characters; those of one and two count whole.
    pub trigram: f32,
    /// How far rare labels are made up for: 0 not at all, 1 until both sides of every plane weigh the same.
    pub balance: f64,
    /// Added to every count before log-count ratios are taken.
    pub smoothing: f64,
    /// N-grams of details alone are known from so many details on; those of subjects always.
    pub detail_min_df: u32,
    /// Folds for the fit of probabilities; below two leaves the scores as they are.
    pub calibration_folds: usize,
    /// How many ordinary rows a corrected row counts for.
    pub correction_weight: f64,
    /// Largest model file, in bytes; the rarest n-grams are left out to stay below.
    pub max_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            c: 1.5,
            subject_weight: 0.5,
            message_row: 0.5,
            opening_row: 0.2,
            piece_row: 0.1,
            trigram: 0.6,
            balance: 0.5,
            smoothing: 2.0,
            detail_min_df: 2,
            calibration_folds: 3,
            correction_weight: 5.0,
            max_bytes: 19_000_000,
        }
    }
}

/// Characters of a detail that stand for a subject in training: people start with what it is about.
const OPENING: usize = 40;
/// Characters of a piece, about a subject's, and how many pieces of one detail are used.
const PIECE: usize = 20;
const PIECES: usize = 20;
const TOLERANCE: f64 = 0.02;
const PASSES: usize = 100;

/// Trains on `history`; corrected records replace those of the same text in it and weigh more. `progress` is told how
/// many planes are solved, of how many.
pub fn train(
    history: &[Record],
    corrections: &[Record],
    options: &Options,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Model, Error> {
    let key = |record: &Record| (text::group_key(&record.subject), text::group_key(&record.detail));
    let corrected: HashSet<_> = corrections.iter().map(key).collect();
    let mut all: Vec<(&Record, f64)> = history
        .iter()
        .filter(|record| !corrected.contains(&key(record)))
        .map(|record| (record, 1.0))
        .collect();
    all.extend(corrections.iter().map(|record| (record, options.correction_weight)));
    // In one order, so that the model does not depend on the order of the file.
    all.sort_by(|a, b| {
        let order = |record: &Record| {
            text::stable_hash(
                options.seed,
                &format!("{}\n{}\n{}", record.subject, record.detail, record.label),
            )
        };
        order(a.0).cmp(&order(b.0)).then_with(|| a.0.subject.cmp(&b.0.subject))
    });
    let classes: Vec<String> = {
        let labels: std::collections::BTreeSet<&str> =
            all.iter().map(|(record, _)| record.label.as_str()).collect();
        labels.into_iter().map(str::to_owned).collect()
    };
    if classes.len() < 2 {
        return Err(Error::TooFewLabels(classes.len()));
    }
    if classes.len() > MAX_CLASSES {
        return Err(Error::TooManyLabels(classes.len()));
    }
    let inner = if options.calibration_folds < 2 { 0 } else { options.calibration_folds };
    let total = (inner + 1) * classes.len() * 4;
    let done = AtomicUsize::new(0);
    let tick = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
    let mut model = fit(&all, &classes, options, &tick);
    if inner > 0 {
        let plain: Vec<Record> = all.iter().map(|(record, _)| (*record).clone()).collect();
        let places = folds::folds(&plain, inner, options.seed);
        let mut held_out = [Vec::new(), Vec::new()];
        for fold in 0..inner {
            let rest: Vec<_> =
                all.iter().zip(&places).filter(|(_, place)| **place != fold).map(|(item, _)| *item).collect();
            let part = fit(&rest, &classes, options, &tick);
            for ((record, _), _) in all.iter().zip(&places).filter(|(_, place)| **place == fold) {
                let truth = place_of(&classes, &record.label);
                held_out[0].push((part.scores(&record.subject, ""), truth));
                if !record.detail.is_empty() {
                    held_out[1].push((part.scores(&record.subject, &record.detail), truth));
                }
            }
        }
        if held_out[1].is_empty() {
            held_out[1] = held_out[0].clone();
        }
        for (head, scores) in model.heads.iter_mut().zip(&held_out) {
            head.temperature = temperature(scores);
        }
    }
    Ok(model)
}

fn place_of(classes: &[String], label: &str) -> usize {
    classes.binary_search_by(|class| class.as_str().cmp(label)).unwrap_or(0)
}

/// What a record becomes.
struct Parsed {
    subject: Vec<char>,
    detail: Vec<char>,
    class: usize,
    weight: f64,
}

fn fit(records: &[(&Record, f64)], classes: &[String], options: &Options, tick: &(dyn Fn() + Sync)) -> Model {
    let parsed: Vec<Parsed> = records
        .iter()
        .map(|(record, weight)| Parsed {
            subject: characters(&record.subject),
            detail: characters(&record.detail),
            class: place_of(classes, &record.label),
            weight: *weight,
        })
        .collect();
    let vocabulary = vocabulary(&parsed, classes.len(), options);
    let (mut ids, mut subject, mut detail, mut row) =
        (Vec::new(), Vector::new(), Vector::new(), Vector::new());
    // Rows of both heads; a message with a detail gives many to the short head and one to the full one.
    let mut sets = [RowSet::new(vocabulary.keys.len()), RowSet::new(vocabulary.keys.len())];
    for message in &parsed {
        vocabulary.vector(&message.subject, &mut ids, &mut subject);
        sets[0].push(&subject, message, 1.0);
        if message.detail.is_empty() {
            sets[1].push(&subject, message, 1.0);
            continue;
        }
        vocabulary.vector(&message.detail, &mut ids, &mut detail);
        blend(&subject, options.subject_weight, &detail, &mut row);
        sets[1].push(&row, message, 1.0);
        sets[0].push(&row, message, options.message_row);
        let (opening, rest) = message.detail.split_at(message.detail.len().min(OPENING));
        vocabulary.vector(opening, &mut ids, &mut detail);
        sets[0].push(&detail, message, options.opening_row);
        for piece in rest.chunks(PIECE).take(PIECES) {
            vocabulary.vector(piece, &mut ids, &mut detail);
            sets[0].push(&detail, message, options.piece_row);
        }
    }
    let heads = sets.map(|set| set.head(classes.len(), options, tick));
    Model { classes: classes.to_vec(), vocabulary, heads, subject_weight: options.subject_weight }
}

fn characters(text: &str) -> Vec<char> {
    let mut characters = Vec::new();
    text::normal(text, |letter, _| characters.push(letter));
    characters
}

fn vocabulary(parsed: &[Parsed], classes: usize, options: &Options) -> Vocabulary {
    // By key: documents that hold it, and whether one of them is a subject.
    let mut seen: KeyMap<(u32, bool)> = KeyMap::default();
    let mut documents = 0_u32;
    let mut keys = Vec::new();
    for message in parsed {
        for (characters, is_subject) in [(&message.subject, true), (&message.detail, false)] {
            if characters.is_empty() {
                continue;
            }
            documents += 1;
            keys.clear();
            text::grams(characters, |key, _, _| keys.push(key));
            keys.sort_unstable();
            keys.dedup();
            for key in &keys {
                let entry = seen.entry(*key).or_default();
                entry.0 += 1;
                entry.1 |= is_subject;
            }
        }
    }
    let mut kept: Vec<(u64, u32)> = seen
        .into_iter()
        .filter(|(_, (count, in_subject))| *in_subject || *count >= options.detail_min_df)
        .map(|(key, (count, _))| (key, count))
        .collect();
    let room = options.max_bytes / bytes_per_feature(classes);
    if kept.len() > room {
        kept.sort_unstable_by_key(|(key, count)| (std::cmp::Reverse(*count), *key));
        kept.truncate(room);
    }
    kept.sort_unstable();
    let rarity = |count: u32| ((1.0 + f64::from(documents)) / (1.0 + f64::from(count))).ln() + 1.0;
    Vocabulary::new(
        kept.iter().map(|(key, _)| *key).collect(),
        kept.iter()
            .map(|(key, count)| {
                rarity(*count) as f32 * if text::is_trigram(*key) { options.trigram } else { 1.0 }
            })
            .collect(),
    )
}

/// The rows of one head.
struct RowSet {
    rows: Rows,
    class: Vec<usize>,
    price: Vec<f64>,
    /// Weight in the counts behind log-count ratios.
    count: Vec<f64>,
}

impl RowSet {
    fn new(features: usize) -> Self {
        Self { rows: Rows::new(features), class: Vec::new(), price: Vec::new(), count: Vec::new() }
    }

    fn push(&mut self, row: &[(u32, f32)], message: &Parsed, weight: f64) {
        self.rows.push(row);
        self.class.push(message.class);
        self.price.push(message.weight * weight);
        // Long rows hold so many n-grams that whole counts of them would drown those of the subjects.
        self.count.push(message.weight * if weight < 1.0 { weight.min(COUNT_OF_HELPERS) } else { 1.0 });
    }

    /// Two planes a class, added up: one over the plain features, one where a feature is as cheap as it is telling
    /// (the square of its log-count ratio), which is a support vector machine over naive Bayes features.
    fn head(&self, classes: usize, options: &Options, tick: &(dyn Fn() + Sync)) -> Head {
        let planes: Vec<(Vec<f32>, f32)> = parallel(classes, |class| {
            let positive: Vec<bool> = self.class.iter().map(|own| *own == class).collect();
            let price = self.price(&positive, options.balance);
            let solver = Solver { c: options.c, tolerance: TOLERANCE, passes: PASSES, seed: options.seed };
            let prior = self.prior(&positive, options.smoothing);
            let plain = solve(&self.rows, &positive, &price, None, &solver);
            tick();
            let telling = solve(&self.rows, &positive, &price, Some(&prior), &solver);
            tick();
            sum(&plain, &telling)
        });
        Head::from_planes(&planes)
    }

    /// Prices of errors, both sides brought nearer to one another.
    fn price(&self, positive: &[bool], balance: f64) -> Vec<f64> {
        let all: f64 = self.price.iter().sum();
        let inside: f64 =
            self.price.iter().zip(positive).filter(|(_, inside)| **inside).map(|(price, _)| price).sum();
        let raised = |side: f64| if side > 0.0 { (all / (2.0 * side)).powf(balance) } else { 1.0 };
        let (of_inside, of_outside) = (raised(inside), raised(all - inside));
        let factor = |inside: &bool| if *inside { of_inside } else { of_outside };
        self.price.iter().zip(positive).map(|(price, inside)| price * factor(inside)).collect()
    }

    fn prior(&self, positive: &[bool], smoothing: f64) -> Vec<f64> {
        let features = self.rows.features();
        let (mut inside, mut outside) = (vec![smoothing; features], vec![smoothing; features]);
        for (index, is_inside) in positive.iter().enumerate() {
            let side = if *is_inside { &mut inside } else { &mut outside };
            self.rows.row(index).iter().for_each(|(id, _)| side[*id as usize] += self.count[index]);
        }
        let (all_inside, all_outside): (f64, f64) = (inside.iter().sum(), outside.iter().sum());
        inside
            .iter()
            .zip(&outside)
            .map(|(inside, outside)| ((inside / all_inside) / (outside / all_outside)).ln().powi(2))
            .collect()
    }
}

const COUNT_OF_HELPERS: f64 = 0.2;

fn sum(a: &Plane, b: &Plane) -> (Vec<f32>, f32) {
    let weights = a.weights.iter().zip(&b.weights).map(|(a, b)| (a + b) as f32).collect();
    (weights, (a.bias + b.bias) as f32)
}

/// The temperature that makes held-out probabilities least surprising, by golden-section search over its logarithm.
fn temperature(scores: &[(Vec<f32>, usize)]) -> f32 {
    let surprise = |log: f64| -> f64 {
        let inverse = (-log).exp();
        scores
            .iter()
            .map(|(scores, truth)| {
                let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = scores.iter().map(|score| (f64::from(score - highest) * inverse).exp()).sum();
                sum.ln() - f64::from(scores[*truth] - highest) * inverse
            })
            .sum()
    };
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-5.0, 3.0);
    for _ in 0..60 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if surprise(a) < surprise(b) {
            high = b;
        } else {
            low = a;
        }
    }
    ((low + high) / 2.0).exp() as f32
}

/// Merges files of history: where the same subject is there with a detail and without, the one without is left out,
/// and exact repetitions are kept once.
pub fn merge(records: Vec<Record>) -> Vec<Record> {
    let mut detailed: BTreeMap<String, ()> = BTreeMap::new();
    for record in &records {
        if !record.detail.is_empty() {
            detailed.insert(text::group_key(&record.subject), ());
        }
    }
    let mut seen = HashSet::new();
    records
        .into_iter()
        .filter(|record| {
            let key = text::group_key(&record.subject);
            (!record.detail.is_empty() || !detailed.contains_key(&key))
                && seen.insert((key, text::group_key(&record.detail), record.label.clone()))
        })
        .collect()
}
