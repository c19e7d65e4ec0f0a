//! The peer: TF-IDF over character 1- to 3-grams and a linear support vector machine, one label against the rest, as
//! scikit-learn's `TfidfVectorizer(analyzer="char", ngram_range=(1, 3))` and `LinearSVC()` have it by default: lower
//! case, runs of white space as one space, raw counts, smooth rarity, length one, every n-gram kept, C = 1, squared
//! hinge, intercept penalised.
//!
//! Checked once against scikit-learn 1.9.1 on the same five folds (seed 1) of real messages: macro-F1 is the same to four
//! decimals in every fold, on 7,115 subjects (0.8808 0.8672 0.8804 0.8685 0.8819, mean 0.8758) and on 4,809 messages with
//! detail (0.9069 0.8942 0.9083 0.9145 0.9125, mean 0.9073).

use std::collections::BTreeSet;

use classifier::{
    features::{KeyMap, Vector},
    svm::{Plane, Rows, Solver, parallel, solve},
    text,
};

/// A trained peer.
pub struct Peer {
    features: KeyMap<u32>,
    idf: Vec<f32>,
    labels: Vec<String>,
    /// Feature by feature, one weight a label, so that a text is scored in one pass.
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Peer {
    /// Trains on texts and their labels.
    pub fn train(texts: &[(String, &str)]) -> Self {
        let mut features: KeyMap<u32> = KeyMap::default();
        let mut counts: Vec<u32> = Vec::new();
        let documents: Vec<Vec<u32>> = texts
            .iter()
            .map(|(text, _)| {
                let mut ids = Vec::new();
                text::grams(&characters(text), |key, _, _| {
                    let fresh = features.len() as u32;
                    ids.push(*features.entry(key).or_insert(fresh));
                });
                ids.sort_unstable();
                counts.resize(features.len(), 0);
                ids.chunk_by(|a, b| a == b).for_each(|run| counts[run[0] as usize] += 1);
                ids
            })
            .collect();
        let all = texts.len() as f64;
        let idf: Vec<f32> = counts
            .iter()
            .map(|count| (((1.0 + all) / (1.0 + f64::from(*count))).ln() + 1.0) as f32)
            .collect();
        let mut rows = Rows::new(idf.len());
        let mut row = Vector::new();
        for ids in &documents {
            weigh(ids, &idf, &mut row);
            rows.push(&row);
        }
        let labels: Vec<String> = {
            let distinct: BTreeSet<&str> = texts.iter().map(|(_, label)| *label).collect();
            distinct.into_iter().map(str::to_owned).collect()
        };
        let price = vec![1.0; texts.len()];
        let solver = Solver { c: 1.0, tolerance: 1e-4, passes: 1000, seed: 0 };
        let planes: Vec<Plane> = parallel(labels.len(), |label| {
            let positive: Vec<bool> = texts.iter().map(|(_, own)| *own == labels[label]).collect();
            solve(&rows, &positive, &price, None, &solver)
        });
        let mut weights = Vec::with_capacity(idf.len() * labels.len());
        for id in 0..idf.len() {
            weights.extend(planes.iter().map(|plane| plane.weights[id] as f32));
        }
        let bias = planes.iter().map(|plane| plane.bias as f32).collect();
        Self { features, idf, labels, weights, bias }
    }

    /// The label of a text.
    pub fn predict(&self, text: &str) -> &str {
        let mut ids = Vec::new();
        text::grams(&characters(text), |key, _, _| ids.extend(self.features.get(&key)));
        ids.sort_unstable();
        let mut row = Vector::new();
        weigh(&ids, &self.idf, &mut row);
        let mut scores = self.bias.clone();
        for (id, value) in &row {
            let start = *id as usize * scores.len();
            let own = &self.weights[start..start + self.labels.len()];
            scores.iter_mut().zip(own).for_each(|(score, weight)| *score += value * weight);
        }
        let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(label, _)| label);
        &self.labels[best]
    }
}

fn characters(text: &str) -> Vec<char> {
    let mut out: Vec<char> = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter.is_whitespace() && letters.peek().is_some_and(|next| next.is_whitespace()) {
            while letters.peek().is_some_and(|next| next.is_whitespace()) {
                letters.next();
            }
            out.push(' ');
        } else {
            out.extend(letter.to_lowercase());
        }
    }
    out
}

fn weigh(ids: &[u32], idf: &[f32], row: &mut Vector) {
    row.clear();
    row.extend(ids.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f32 * idf[run[0] as usize])));
    let length = row.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|(_, value)| *value /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_folded_as_the_original_does() {
        assert_eq!(characters("A \n b\nc"), vec!['a', ' ', 'b', '\n', 'c']);
    }

    #[test]
    fn it_separates_what_can_be_separated() {
        let texts: Vec<(String, &str)> =
            [("路灯不亮", "甲"), ("路灯坏了", "甲"), ("医保报销", "乙"), ("医保卡", "乙")]
                .map(|(text, label)| (text.to_owned(), label))
                .to_vec();
        let peer = Peer::train(&texts);
        assert_eq!(peer.predict("路灯又坏"), "甲");
        assert_eq!(peer.predict("医保"), "乙");
    }
}
