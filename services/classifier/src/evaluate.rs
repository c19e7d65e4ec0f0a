//! How good answers were: accuracy, F1, confusion, and whether a stated probability can be believed.

use std::collections::BTreeMap;

use serde::Serialize;

/// Bins of the calibration.
const BINS: usize = 10;

/// One answer beside the truth.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Label that a person settled on.
    pub truth: String,
    /// Label that came first.
    pub guess: String,
    /// Its probability.
    pub confidence: f64,
    /// Whether the truth was among the first three.
    pub in_top_3: bool,
}

/// Figures over many answers; the keys of maps are labels.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Texts asked about.
    pub texts: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Share of texts whose label was among the first three.
    pub top_3_accuracy: f64,
    /// Unweighted mean of the classes' F1.
    pub macro_f1: f64,
    /// By label.
    pub classes: BTreeMap<String, Class>,
    /// Truth → guess → texts.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Whether stated probabilities hold.
    pub calibration: Calibration,
    /// Below `min_confidence` a person decides.
    pub threshold: Threshold,
}

/// Figures of one label.
#[derive(Clone, Debug, Serialize)]
pub struct Class {
    /// Right among those guessed.
    pub precision: f64,
    /// Right among those that are.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Texts with this label.
    pub support: usize,
}

/// Stated against observed probability.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// Expected calibration error: mean distance between stated and observed, weighted by texts.
    pub ece: f64,
    /// Ten bins of equal width.
    pub bins: Vec<Bin>,
}

/// One bin of the calibration.
#[derive(Clone, Debug, Serialize)]
pub struct Bin {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Texts in it.
    pub texts: usize,
    /// Mean stated probability.
    pub confidence: f64,
    /// Share of right answers.
    pub accuracy: f64,
}

/// What a threshold does.
#[derive(Clone, Debug, Serialize)]
pub struct Threshold {
    /// The threshold.
    pub min_confidence: f64,
    /// Share of texts left to a person.
    pub to_human: f64,
    /// Share of right answers among the others.
    pub accuracy_of_the_rest: f64,
}

/// Sums up answers.
pub fn report(answers: &[Answer], min_confidence: f64) -> Report {
    let mut confusion: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for answer in answers {
        *confusion.entry(answer.truth.clone()).or_default().entry(answer.guess.clone()).or_default() += 1;
    }
    let mut labels: Vec<&String> = answers.iter().flat_map(|answer| [&answer.truth, &answer.guess]).collect();
    labels.sort_unstable();
    labels.dedup();
    let classes: BTreeMap<String, Class> =
        labels.into_iter().map(|label| (label.clone(), class(label, &confusion))).collect();
    let right = |answers: &[&Answer]| {
        ratio(answers.iter().filter(|answer| answer.truth == answer.guess).count(), answers.len())
    };
    let all: Vec<&Answer> = answers.iter().collect();
    let kept: Vec<&Answer> = answers.iter().filter(|answer| answer.confidence >= min_confidence).collect();
    Report {
        texts: answers.len(),
        accuracy: right(&all),
        top_3_accuracy: ratio(answers.iter().filter(|answer| answer.in_top_3).count(), answers.len()),
        macro_f1: classes.values().map(|class| class.f1).sum::<f64>() / classes.len().max(1) as f64,
        classes,
        confusion,
        calibration: calibration(answers),
        threshold: Threshold {
            min_confidence,
            to_human: ratio(answers.len() - kept.len(), answers.len()),
            accuracy_of_the_rest: right(&kept),
        },
    }
}

fn class(label: &str, confusion: &BTreeMap<String, BTreeMap<String, usize>>) -> Class {
    let row = confusion.get(label);
    let support: usize = row.map_or(0, |row| row.values().sum());
    let right = row.and_then(|row| row.get(label)).copied().unwrap_or(0);
    let guessed: usize = confusion.values().filter_map(|row| row.get(label)).sum();
    Class {
        precision: ratio(right, guessed),
        recall: ratio(right, support),
        f1: ratio(2 * right, guessed + support),
        support,
    }
}

fn calibration(answers: &[Answer]) -> Calibration {
    let mut ece = 0.0;
    let bins = (0..BINS)
        .map(|bin| {
            let inside: Vec<_> = answers
                .iter()
                .filter(|answer| ((answer.confidence * BINS as f64) as usize).min(BINS - 1) == bin)
                .collect();
            let accuracy =
                ratio(inside.iter().filter(|answer| answer.truth == answer.guess).count(), inside.len());
            let confidence =
                inside.iter().map(|answer| answer.confidence).sum::<f64>() / inside.len().max(1) as f64;
            ece += (accuracy - confidence).abs() * ratio(inside.len(), answers.len());
            Bin {
                from: bin as f64 / BINS as f64,
                to: (bin + 1) as f64 / BINS as f64,
                texts: inside.len(),
                confidence,
                accuracy,
            }
        })
        .collect();
    Calibration { ece, bins }
}

fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(truth: &str, guess: &str, confidence: f64) -> Answer {
        Answer { truth: truth.into(), guess: guess.into(), confidence, in_top_3: true }
    }

    #[test]
    fn figures_are_those_worked_out_by_hand() {
        let answers = [
            answer("甲", "甲", 0.95),
            answer("甲", "乙", 0.55),
            answer("乙", "乙", 0.95),
            answer("乙", "乙", 0.95),
        ];
        let report = report(&answers, 0.6);
        assert_eq!(report.accuracy, 0.75);
        assert_eq!(report.classes["甲"].recall, 0.5);
        assert_eq!(report.classes["甲"].precision, 1.0);
        assert!((report.macro_f1 - (2.0 / 3.0 + 0.8) / 2.0).abs() < 1e-12);
        assert_eq!(report.confusion["甲"]["乙"], 1);
        assert!((report.calibration.ece - (0.75 * 0.05 + 0.25 * 0.55)).abs() < 1e-12);
        assert_eq!(report.threshold.to_human, 0.25);
        assert_eq!(report.threshold.accuracy_of_the_rest, 1.0);
    }
}
