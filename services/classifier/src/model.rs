//! A trained model: scores, probabilities, and the words that spoke for an answer.

use serde::Serialize;

use crate::{
    features::{Vector, Vocabulary, blend},
    text,
};

/// One set of planes: the short head answers for a subject alone, the full one for a subject with a detail.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// Weights in units of `scale`, feature by feature, one a class.
    pub weights: Vec<i16>,
    /// By class.
    pub scale: Vec<f32>,
    /// By class.
    pub bias: Vec<f32>,
    /// Scores are divided by it before they become probabilities.
    pub temperature: f32,
}

impl Head {
    /// Of one plane a class, rounded to 1/32767 of its greatest weight.
    pub fn from_planes(planes: &[(Vec<f32>, f32)]) -> Self {
        let classes = planes.len();
        let scale: Vec<f32> = planes
            .iter()
            .map(|(weights, _)| {
                let greatest = weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
                if greatest > 0.0 { greatest / f32::from(i16::MAX) } else { 1.0 }
            })
            .collect();
        let features = planes.first().map_or(0, |(weights, _)| weights.len());
        let mut weights = vec![0; features * classes];
        for (class, (plane, _)) in planes.iter().enumerate() {
            for (id, weight) in plane.iter().enumerate() {
                weights[id * classes + class] = (weight / scale[class]).round() as i16;
            }
        }
        Self { weights, scale, bias: planes.iter().map(|(_, bias)| *bias).collect(), temperature: 1.0 }
    }

    /// The planes again.
    pub fn planes(&self) -> Vec<(Vec<f32>, f32)> {
        let classes = self.bias.len();
        (0..classes)
            .map(|class| {
                let own = self.weights.iter().skip(class).step_by(classes);
                (own.map(|weight| f32::from(*weight) * self.scale[class]).collect(), self.bias[class])
            })
            .collect()
    }

    fn score(&self, row: &[(u32, f32)], out: &mut Vec<f32>) {
        let classes = self.bias.len();
        out.clear();
        out.resize(classes, 0.0);
        for (id, value) in row {
            let start = *id as usize * classes;
            for (sum, weight) in out.iter_mut().zip(&self.weights[start..start + classes]) {
                *sum += value * f32::from(*weight);
            }
        }
        for (class, sum) in out.iter_mut().enumerate() {
            *sum = *sum * self.scale[class] + self.bias[class];
        }
    }
}

/// A trained model.
#[derive(Debug)]
pub struct Model {
    pub(crate) classes: Vec<String>,
    pub(crate) vocabulary: Vocabulary,
    pub(crate) heads: [Head; 2],
    pub(crate) subject_weight: f32,
}

/// Memory that predictions reuse: after a few texts nothing is allocated any more.
#[derive(Debug, Default)]
pub struct Scratch {
    chars: Vec<char>,
    ids: Vec<u32>,
    subject: Vector,
    detail: Vector,
    row: Vector,
    scores: Vec<f32>,
}

/// One possible answer.
#[derive(Clone, Debug, Serialize)]
pub struct Guess {
    /// The label.
    pub label: String,
    /// Its probability; those of all labels sum to one.
    pub probability: f64,
    /// What spoke for it, strongest first.
    pub evidence: Vec<Evidence>,
}

/// A piece of the text that spoke for an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evidence {
    /// The piece, as it stands in the text.
    pub text: String,
    /// Where it stands first.
    pub field: Field,
    /// How much it added to the answer's score above the mean of all answers.
    pub weight: f64,
}

/// Part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The short text.
    Subject,
    /// The long text.
    Detail,
}

impl Scratch {
    /// Whether the last text had no n-gram that the model knows: what it answered is the same for every such text.
    pub fn knew_nothing(&self) -> bool {
        self.row.is_empty()
    }

    /// The row of the last text.
    pub(crate) fn row(&self) -> &[(u32, f32)] {
        &self.row
    }
}

impl Model {
    /// The labels, in the order of `predict`'s probabilities.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many n-grams it knows.
    pub fn features(&self) -> usize {
        self.vocabulary.keys.len()
    }

    /// Probability of each class for a text; `detail` may be empty.
    pub fn predict<'a>(&self, subject: &str, detail: &str, scratch: &'a mut Scratch) -> &'a [f32] {
        let head = self.vectorise(subject, detail, scratch);
        head.score(&scratch.row, &mut scratch.scores);
        let highest = scratch.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for score in &mut scratch.scores {
            *score = ((*score - highest) / head.temperature).exp();
            sum += *score;
        }
        scratch.scores.iter_mut().for_each(|score| *score /= sum);
        &scratch.scores
    }

    /// The `count` most probable labels, each with at most `words` pieces of evidence.
    pub fn guesses(
        &self,
        subject: &str,
        detail: &str,
        count: usize,
        words: usize,
        scratch: &mut Scratch,
    ) -> Vec<Guess> {
        let mut order: Vec<(usize, f64)> =
            self.predict(subject, detail, scratch).iter().map(|one| f64::from(*one)).enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        order.truncate(count);
        order
            .into_iter()
            .map(|(class, probability)| Guess {
                label: self.classes[class].clone(),
                probability,
                evidence: if words == 0 {
                    Vec::new()
                } else {
                    self.evidence(subject, detail, class, words, scratch)
                },
            })
            .collect()
    }

    /// At most `words` pieces of a text that spoke for one class, strongest first.
    pub fn words(
        &self,
        subject: &str,
        detail: &str,
        class: usize,
        words: usize,
        scratch: &mut Scratch,
    ) -> Vec<Evidence> {
        self.evidence(subject, detail, class, words, scratch)
    }

    /// Raw scores, before temperature.
    pub(crate) fn scores(&self, subject: &str, detail: &str) -> Vec<f32> {
        let mut scratch = Scratch::default();
        let head = self.vectorise(subject, detail, &mut scratch);
        head.score(&scratch.row, &mut scratch.scores);
        scratch.scores
    }

    /// The row of a text, left in `scratch.row`, and the head that answers for it.
    pub(crate) fn vectorise(&self, subject: &str, detail: &str, scratch: &mut Scratch) -> &Head {
        let Scratch { chars, ids, subject: subject_row, detail: detail_row, row, .. } = scratch;
        chars.clear();
        text::normal(subject, |letter, _| chars.push(letter));
        self.vocabulary.vector(chars, ids, subject_row);
        chars.clear();
        text::normal(detail, |letter, _| chars.push(letter));
        if chars.is_empty() {
            std::mem::swap(row, subject_row);
            return &self.heads[0];
        }
        self.vocabulary.vector(chars, ids, detail_row);
        blend(subject_row, self.subject_weight, detail_row, row);
        &self.heads[1]
    }

    fn evidence(
        &self,
        subject: &str,
        detail: &str,
        class: usize,
        words: usize,
        scratch: &mut Scratch,
    ) -> Vec<Evidence> {
        let head = self.vectorise(subject, detail, scratch);
        let classes = self.classes.len();
        let excess = |id: u32, value: f32| {
            let start = id as usize * classes;
            let weight = |class: usize| f32::from(head.weights[start + class]) * head.scale[class];
            value * (weight(class) - (0..classes).map(weight).sum::<f32>() / classes as f32)
        };
        let mut found: Vec<(f32, Field, &str)> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for (field, text) in [(Field::Subject, subject), (Field::Detail, detail)] {
            let (mut chars, mut offsets) = (Vec::new(), Vec::new());
            text::normal(text, |letter, offset| {
                chars.push(letter);
                offsets.push(offset);
            });
            text::grams(&chars, |key, start, length| {
                if let Some(id) = self.vocabulary.place(key)
                    && let Ok(place) = scratch.row.binary_search_by_key(&id, |item| item.0)
                    && known.insert(id)
                {
                    let weight = excess(id, scratch.row[place].1);
                    let last = offsets[start + length - 1];
                    let end = last + text[last..].chars().next().map_or(0, char::len_utf8);
                    if weight > 0.0 {
                        found.push((weight, field, &text[offsets[start]..end]));
                    }
                }
            });
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(b.2)));
        let mut chosen: Vec<Evidence> = Vec::new();
        // A piece inside another says nothing more; single characters only where there is nothing longer.
        for long in [true, false] {
            for (weight, field, piece) in &found {
                if chosen.len() < words
                    && (piece.chars().nth(1).is_some() == long)
                    && chosen.iter().all(|one| !one.text.contains(piece) && !piece.contains(&one.text))
                {
                    chosen.push(Evidence {
                        text: (*piece).to_owned(),
                        field: *field,
                        weight: f64::from(*weight),
                    });
                }
            }
        }
        chosen.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        chosen
    }
}
