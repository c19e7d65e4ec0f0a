//! The words of what the arguments of reasons hold, as far as those are codes of ours: a sentence is no place for them.

use super::reason::Language;

/// Argument, code, Chinese, English.
const TERMS: &[(&str, &str, &str, &str)] = &[
    ("urgency", "normal", "一般", "normal"),
    ("urgency", "urgent", "紧急", "urgent"),
    ("urgency", "emergency", "突发", "an emergency"),
    ("outcome", "reached", "已联系上", "reached"),
    ("outcome", "unreached", "未联系上", "not reached"),
    ("outcome", "not_due", "无需回访", "not due"),
    ("measure", "stop_gap", "应急处置", "a stop-gap"),
    ("measure", "fence_off", "围挡警示", "fencing it off"),
    ("channel", "litigation", "诉讼", "the courts"),
    ("channel", "arbitration", "仲裁", "arbitration"),
    ("channel", "reconsideration", "行政复议", "administrative reconsideration"),
    ("channel", "discipline", "纪检监察", "discipline inspection"),
    ("channel", "petition", "信访", "petitions"),
    ("channel", "info_disclosure", "政府信息公开", "information disclosure"),
    ("channel", "home_district_hotline", "属地热线", "the hotline of its own district"),
    ("channel", "window", "服务窗口", "the window"),
];

/// Argument, Chinese, English: what it is, beside the text of a list that does not name it.
const LABELS: &[(&str, &str, &str)] =
    &[("channel", "已告知途径", "told of"), ("told_ref", "书面告知", "told in writing")];

/// The word for what an argument holds; what is none of our codes stands for itself.
pub(super) fn term<'v>(argument: &str, value: &'v str, language: Language) -> &'v str {
    let known = TERMS.iter().find(|(of, code, _, _)| (*of, *code) == (argument, value));
    known.map_or(value, |(_, _, zh, en)| language.of(zh, en))
}

/// An argument beside a text.
pub(super) fn beside(argument: &str, value: &str, language: Language) -> String {
    let word = term(argument, value, language);
    match (LABELS.iter().find(|(of, _, _)| *of == argument), language) {
        (Some((_, zh, _)), Language::Chinese) => format!("{zh}：{word}"),
        (Some((_, _, en)), Language::English) => format!("{en}: {word}"),
        (None, _) => format!("{argument}={word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::codes::{CallbackOutcome, Urgency};
    use super::*;

    #[test]
    fn every_code_of_the_closed_vocabularies_has_its_word_in_both_languages_once() {
        let urgencies = Urgency::ALL.iter().map(|code| ("urgency", code.as_str()));
        let outcomes = CallbackOutcome::ALL.iter().map(|code| ("outcome", code.as_str()));
        for (argument, code) in urgencies.chain(outcomes) {
            let [zh, en] = [Language::Chinese, Language::English].map(|lang| term(argument, code, lang));
            assert!(zh != code && zh != en, "{argument} {code}");
        }
        for (n, (argument, code, zh, en)) in TERMS.iter().enumerate() {
            assert!(!zh.is_ascii() && en.is_ascii(), "{argument} {code}");
            let same = |(of, other, _, _): &(&str, &str, &str, &str)| of == argument && other == code;
            assert!(!TERMS[..n].iter().any(same), "{argument} {code} has two words");
        }
        assert_eq!(term("urgency", "litigation", Language::Chinese), "litigation", "of another argument");
    }
}
