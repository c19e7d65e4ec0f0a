//! Learning from corrections without the history: passive-aggressive steps on the planes that are there.
//!
//! Each correction moves the planes of the right and of the wrongly answered label just as far as it takes for the
//! right one to lead by a margin, and adds the n-grams of its text that the model did not know. Where the history is
//! at hand, training anew with the corrections beside it (`train`) is better: this forgets nothing, but it also never
//! weighs a correction against the records it speaks against.

use std::collections::BTreeSet;

use crate::{
    Error, Model, Record,
    features::Vocabulary,
    format::bytes_per_feature,
    model::{Head, Scratch},
    text,
};

/// Lead of the right label over the next, in units of the planes' margin.
const LEAD: f32 = 1.0;
/// Passes over all corrections: they may pull against one another.
const PASSES: usize = 50;

/// What corrections did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Outcome {
    /// Corrections given.
    pub corrections: usize,
    /// Answered right before.
    pub right_before: usize,
    /// Answered right now.
    pub right_after: usize,
}

impl Model {
    /// Learns from corrected records, in their order. `step` bounds how far one pass moves for one correction; 1 suits
    /// a person who is sure. The model stays below `max_bytes`: n-grams that find no room are not added.
    pub fn correct(&mut self, records: &[Record], step: f32, max_bytes: usize) -> Result<Outcome, Error> {
        let truths: Vec<usize> = records
            .iter()
            .enumerate()
            .map(|(index, record)| {
                self.classes
                    .iter()
                    .position(|class| *class == record.label)
                    .ok_or(Error::UnknownLabel(index + 1))
            })
            .collect::<Result<_, _>>()?;
        let right_before = self.right(records, &truths);
        self.learn_grams(records, max_bytes);
        let mut planes = [self.heads[0].planes(), self.heads[1].planes()];
        let mut scratch = Scratch::default();
        let rows: Vec<_> = records
            .iter()
            .zip(&truths)
            .flat_map(|(record, truth)| {
                // The subject alone must be answered right as well: that is often all there is.
                let details: &[&str] = if record.detail.is_empty() { &[""] } else { &["", &record.detail] };
                details
                    .iter()
                    .map(|detail| {
                        self.vectorise(&record.subject, detail, &mut scratch);
                        (usize::from(!detail.is_empty()), scratch.row().to_vec(), *truth)
                    })
                    .collect::<Vec<_>>()
            })
            .collect();
        for _ in 0..PASSES {
            let mut moved = false;
            for (head, row, truth) in &rows {
                moved |= nudge(&mut planes[*head], row, *truth, step);
            }
            if !moved {
                break;
            }
        }
        for (head, planes) in self.heads.iter_mut().zip(&planes) {
            *head = Head { temperature: head.temperature, ..Head::from_planes(planes) };
        }
        let right_after = self.right(records, &truths);
        Ok(Outcome { corrections: records.len(), right_before, right_after })
    }

    fn right(&self, records: &[Record], truths: &[usize]) -> usize {
        let best = |record: &Record| best_but(&self.scores(&record.subject, &record.detail), usize::MAX);
        records.iter().zip(truths).filter(|(record, truth)| best(record) == **truth).count()
    }

    fn learn_grams(&mut self, records: &[Record], max_bytes: usize) {
        let mut fresh = BTreeSet::new();
        for record in records {
            for text in [&record.subject, &record.detail] {
                let mut chars = Vec::new();
                text::normal(text, |letter, _| chars.push(letter));
                text::grams(&chars, |key, _, _| {
                    if self.vocabulary.place(key).is_none() {
                        fresh.insert(key);
                    }
                });
            }
        }
        let room =
            (max_bytes / bytes_per_feature(self.classes.len())).saturating_sub(self.vocabulary.keys.len());
        let rarest = self.vocabulary.idf.iter().copied().fold(1.0, f32::max);
        let old = &self.vocabulary;
        let mut keys: Vec<(u64, Option<usize>)> =
            old.keys.iter().enumerate().map(|(place, key)| (*key, Some(place))).collect();
        keys.extend(fresh.into_iter().take(room).map(|key| (key, None)));
        keys.sort_unstable();
        let idf = keys.iter().map(|(_, place)| place.map_or(rarest, |place| old.idf[place])).collect();
        let classes = self.classes.len();
        for head in &mut self.heads {
            let mut weights = Vec::with_capacity(keys.len() * classes);
            for (_, place) in &keys {
                match place {
                    Some(place) => {
                        weights.extend_from_slice(&head.weights[place * classes..(place + 1) * classes])
                    }
                    None => weights.resize(weights.len() + classes, 0),
                }
            }
            head.weights = weights;
        }
        self.vocabulary = Vocabulary::new(keys.into_iter().map(|(key, _)| key).collect(), idf);
    }
}

fn best_but(scores: &[f32], but: usize) -> usize {
    let mut best = usize::from(but == 0);
    for (class, score) in scores.iter().enumerate() {
        if class != but && *score > scores[best] {
            best = class;
        }
    }
    best
}

/// Moves two planes if the right label does not lead; whether it moved.
fn nudge(planes: &mut [(Vec<f32>, f32)], row: &[(u32, f32)], truth: usize, step: f32) -> bool {
    let scores: Vec<f32> = planes
        .iter()
        .map(|(weights, bias)| {
            bias + row.iter().map(|(id, value)| weights[*id as usize] * value).sum::<f32>()
        })
        .collect();
    let rival = best_but(&scores, truth);
    let lacking = LEAD - (scores[truth] - scores[rival]);
    if lacking <= 1e-3 || row.is_empty() {
        return false;
    }
    let length: f32 = row.iter().map(|(_, value)| value * value).sum();
    let by = (lacking / (2.0 * length)).min(step);
    for (id, value) in row {
        planes[truth].0[*id as usize] += by * value;
        planes[rival].0[*id as usize] -= by * value;
    }
    true
}
