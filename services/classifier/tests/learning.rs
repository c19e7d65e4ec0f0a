//! What a model learns and answers, on made-up requests.

mod common;

use std::collections::BTreeMap;

use classifier::{Error, Field, Model, Options, Record, Scratch, folds, text, train};
use common::{bytes, model, requests};
use proptest::prelude::*;

#[test]
fn held_out_requests_are_answered_with_believable_probabilities() {
    let (model, mut scratch) = (model(1), Scratch::default());
    let asked = requests(200, 2);
    let (mut right, mut stated) = (0.0, 0.0);
    for record in &asked {
        let guesses = model.guesses(&record.subject, &record.detail, 3, 0, &mut scratch);
        right += f64::from(u8::from(guesses[0].label == record.label));
        stated += guesses[0].probability;
    }
    assert!(right >= 195.0, "{right} of 200");
    assert!((right - stated).abs() < 20.0, "{right} right, {stated} stated");
}

#[test]
fn the_same_records_make_the_same_bytes_in_any_order() {
    let mut records = requests(120, 3);
    let first = bytes(&train(&records, &[], &Options::default(), &|_, _| {}).expect("a model"));
    records.reverse();
    let second = bytes(&train(&records, &[], &Options::default(), &|_, _| {}).expect("a model"));
    assert!(first == second);
    let other = Options { seed: 2, ..Options::default() };
    assert!(first != bytes(&train(&records, &[], &other, &|_, _| {}).expect("a model")));
}

#[test]
fn a_duplicated_subject_never_straddles_folds() {
    let mut records = requests(200, 4);
    for index in 0..100 {
        let shouted = format!(" {}！！", records[index].subject);
        records.push(Record { subject: shouted, ..records[index].clone() });
    }
    let places = folds::folds(&records, 5, 1);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (record, place) in records.iter().zip(&places) {
        assert_eq!(*seen.entry(text::group_key(&record.subject)).or_insert(*place), *place);
    }
    assert!(seen.len() < records.len() - 100, "the made-up requests repeat subjects");
    for fold in 0..5 {
        assert!((30..90).contains(&places.iter().filter(|place| **place == fold).count()));
    }
}

#[test]
fn evidence_stands_in_the_text_and_names_what_the_request_is_about() {
    let (model, mut scratch) = (model(1), Scratch::default());
    let (subject, detail) = ("请问7号院 养老金发放 何时解决", "我父亲的ＡＢ卡，养老金\n发放晚了。");
    let guesses = model.guesses(subject, detail, 3, 5, &mut scratch);
    assert_eq!(guesses.len(), 3);
    assert_eq!(guesses[0].label, "劳动保障");
    assert!(!guesses[0].evidence.is_empty());
    for guess in &guesses {
        for one in &guess.evidence {
            let field = if one.field == Field::Subject { subject } else { detail };
            assert!(field.contains(&one.text), "{one:?}");
            assert!(one.weight > 0.0);
        }
    }
    assert!(guesses[0].evidence.iter().any(|one| "养老金发放".contains(&one.text)), "{guesses:?}");
}

#[test]
fn corrections_change_the_answer_and_leave_the_others_alone() {
    let (mut model, mut scratch) = (model(1), Scratch::default());
    let asked = requests(100, 5);
    let mut best = |model: &Model, subject: &str, detail: &str| {
        model.guesses(subject, detail, 1, 0, &mut scratch).remove(0).label
    };
    let right = |model: &Model, best: &mut dyn FnMut(&Model, &str, &str) -> String| {
        asked.iter().filter(|record| best(model, &record.subject, &record.detail) == record.label).count()
    };
    let before = right(&model, &mut best);
    let corrected = Record {
        subject: "关于共享单车乱停放的问题".into(),
        detail: "共享单车堆在门口，出不去。".into(),
        label: "教育文体".into(), // nobody would guess this
    };
    assert_ne!(best(&model, &corrected.subject, &corrected.detail), corrected.label);
    let outcome = model.correct(std::slice::from_ref(&corrected), 1.0, 19_000_000).expect("a known label");
    assert_eq!((outcome.corrections, outcome.right_before, outcome.right_after), (1, 0, 1));
    assert_eq!(best(&model, &corrected.subject, &corrected.detail), corrected.label);
    assert_eq!(best(&model, &corrected.subject, ""), corrected.label);
    assert_eq!(best(&model, "共享单车乱停放", ""), corrected.label);
    assert!(right(&model, &mut best) + 2 >= before);
    let read = Model::read(&bytes(&model)[..]).expect("a corrected model is a model");
    assert_eq!(best(&read, &corrected.subject, ""), corrected.label);
}

#[test]
fn training_with_corrections_replaces_what_they_correct() {
    let mut history = requests(200, 6);
    history.push(Record { subject: "广场舞".into(), detail: String::new(), label: "环境卫生".into() });
    let correction =
        Record { subject: "广场舞！".into(), detail: String::new(), label: "教育文体".into() };
    let mut scratch = Scratch::default();
    let mut answer = |corrections: &[Record]| {
        let model = train(&history, corrections, &Options::default(), &|_, _| {}).expect("a model");
        model.guesses("广场舞", "", 1, 0, &mut scratch).remove(0).label
    };
    assert_eq!(answer(&[]), "环境卫生");
    assert_eq!(answer(&[correction]), "教育文体");
}

#[test]
fn a_correction_with_an_unknown_label_is_refused_by_its_number() {
    let mut model = model(1);
    let before = bytes(&model);
    let known = Record { subject: "路灯".into(), detail: String::new(), label: "市政设施".into() };
    let unknown = Record { label: "没有这一类".into(), ..known.clone() };
    let error = model.correct(&[known, unknown], 1.0, 19_000_000).expect_err("refused");
    assert!(matches!(error, Error::UnknownLabel(2)), "{error}");
    assert!(before == bytes(&model));
}

#[test]
fn one_label_is_nothing_to_learn() {
    let mut records = requests(20, 1);
    records.iter_mut().for_each(|record| record.label = "甲".into());
    let error = train(&records, &[], &Options::default(), &|_, _| {}).expect_err("refused");
    assert!(matches!(error, Error::TooFewLabels(1)), "{error}");
}

#[test]
fn progress_counts_up_to_its_total() {
    let most = std::sync::atomic::AtomicUsize::new(0);
    let told = |done: usize, total: usize| {
        assert!(done <= total);
        most.fetch_max(done * 1000 / total, std::sync::atomic::Ordering::Relaxed);
    };
    train(&requests(60, 1), &[], &Options::default(), &told).expect("a model");
    assert_eq!(most.into_inner(), 1000);
}

#[test]
fn the_size_of_a_model_is_bounded() {
    let options = Options { max_bytes: 20_000, calibration_folds: 0, ..Options::default() };
    let small = bytes(&train(&requests(300, 1), &[], &options, &|_, _| {}).expect("a model"));
    assert!(small.len() < 21_000, "{}", small.len());
    assert!(bytes(&model(1)).len() > 21_000);
}

#[test]
fn history_is_merged_without_repetitions() {
    let record = |subject: &str, detail: &str| Record {
        subject: subject.into(),
        detail: detail.into(),
        label: "甲".into(),
    };
    let merged = train::merge(vec![
        record("路灯不亮", ""),
        record("路灯不亮！", "三天了"),
        record("路灯不亮", "三天了。"),
        record("路灯不亮", "又坏了"),
        record("井盖", ""),
        record("井盖 ", ""),
    ]);
    let told: Vec<_> = merged.iter().map(|record| record.detail.as_str()).collect();
    assert_eq!(told, ["三天了", "又坏了", ""]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_has_probabilities_that_sum_to_one_and_evidence_that_it_holds(
        subject in ".{0,60}", detail in "(?s).{0,400}", times in 1_usize..80
    ) {
        thread_local!(static MODEL: Model = model(1));
        let detail = detail.repeat(times);
        MODEL.with(|model| {
            let mut scratch = Scratch::default();
            let sum: f32 = model.predict(&subject, &detail, &mut scratch).iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-4, "{}", sum);
            for guess in model.guesses(&subject, &detail, 9, 9, &mut scratch) {
                prop_assert!(guess.evidence.iter().all(|one| subject.contains(&one.text) || detail.contains(&one.text)));
            }
            Ok(())
        })?;
    }
}

#[test]
fn empty_and_endless_texts_are_answered() {
    let (model, mut scratch) = (model(1), Scratch::default());
    for (subject, detail) in
        [("", ""), (" \n\t", "\u{0}"), ("", "路灯不亮"), ("路灯不亮", &"路灯".repeat(50_000))]
    {
        let guesses = model.guesses(subject, detail, 3, 5, &mut scratch);
        assert!(guesses.iter().all(|guess| guess.probability.is_finite()));
    }
}
