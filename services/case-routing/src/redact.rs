//! What a text looks like to those who need not know who wrote it: phone, identity, bank and mail patterns are blanked.
//! The original is kept encrypted, apart.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in the place of what was blanked.
const BLANK: &str = "***";

/// Patterns, longest first: an identity number contains what looks like a phone number.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // Mail.
        r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+",
        // Bank card: 16–19 digits, perhaps in groups of four.
        r"\b\d{4}(?:[ -]?\d{4}){3}(?:[ -]?\d{1,3})?\b",
        // Identity card: 17 digits and a digit or X; the old one has 15 digits.
        r"(?i)\b\d{17}[\dX]\b|\b\d{15}\b",
        // Mobile, with or without +86 and separators.
        r"(?:\+?86[ -]?)?\b1[3-9]\d[ -]?\d{4}[ -]?\d{4}\b",
        // Landline with area code, and eight digits of Wuhan.
        r"\b0\d{2,3}[ -]?\d{7,8}\b",
        r"\b[2-8]\d{7}\b",
    ]
    .into_iter()
    // Fixed patterns, compiled by the tests below.
    .filter_map(|pattern| Regex::new(&pattern.replace(r"\b", r"(?-u:\b)")).ok())
    .collect()
});

/// The text with personal patterns blanked.
pub fn redact(text: &str) -> String {
    let mut clean = std::borrow::Cow::Borrowed(text);
    for pattern in PATTERNS.iter() {
        if let std::borrow::Cow::Owned(next) = pattern.replace_all(&clean, BLANK) {
            clean = std::borrow::Cow::Owned(next);
        }
    }
    clean.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_patterns_are_blanked_also_between_chinese_characters() {
        assert_eq!(PATTERNS.len(), 6);
        for (text, clean) in [
            ("我的电话13812345678请回复", "我的电话***请回复"),
            ("电话 138-1234-5678，或 +86 13812345678", "电话 ***，或 ***"),
            ("身份证42010319800101123X。", "身份证***。"),
            ("卡号6222 0212 3456 7890 123谢谢", "卡号***谢谢"),
            ("写信到 zhang.san@example.com.cn 吧", "写信到 *** 吧"),
            ("座机027-85712345和85712345", "座机***和***"),
            ("3栋2单元501室，2026年11月24日，罚款200元", "3栋2单元501室，2026年11月24日，罚款200元"),
        ] {
            assert_eq!(redact(text), clean);
        }
    }
}
