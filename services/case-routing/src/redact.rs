//! What a text looks like to those who need not know who wrote it: phone, identity, bank and mail patterns are blanked.
//! The original is kept encrypted, apart.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in the place of what was blanked.
const BLANK: &str = "***";

/// Patterns, in this order: an identity number begins like a bank card and contains what looks like a phone number. `\d`
/// takes full-width digits too, as Chinese keyboards write them; `~` is a separator or none.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // Mail.
        r"[A-Za-z0-9._%+-]{1,64}[@＠][A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+",
        // Identity card: 17 digits and a digit or X, perhaps in groups; the old one has 15 digits.
        r"\d{6}~\d{4}~\d{4}~\d{3}[\dXxＸｘ]|\d{15}",
        // Bank card: 16–19 digits, perhaps in groups of four.
        r"\d{4}(?:~\d{4}){3}(?:~\d{1,3})?",
        // Mobile, with or without +86 and separators.
        r"(?:(?:[+＋]|00|００)?[8８][6６]~)?[1１][3-9３-９]\d~\d{4}~\d{4}",
        // Landline with country and area code, with area code, and eight digits of Wuhan.
        r"(?:[+＋]|00|００)[8８][6６]~[1-9１-９]\d{1,2}~\d{3,4}~\d{4}",
        r"[0０]\d{2,3}~\d{3,4}~\d{4}",
        r"[2-8２-８]\d{7}",
    ]
    .into_iter()
    .enumerate()
    .filter_map(|(number, pattern)| {
        let pattern = pattern.replace('~', "[ 　\\-－]?");
        // A number ends where a digit no longer follows, whatever else does. The neighbours are looked at, not taken.
        let whole =
            if number == 0 { format!("({pattern})") } else { format!(r"(?:^|\D)({pattern})(?:\D|$)") };
        // Fixed patterns, compiled by the tests below.
        Regex::new(&whole).ok()
    })
    .collect()
});

/// The text with personal patterns blanked.
pub fn redact(text: &str) -> String {
    // Every pattern has a digit or the sign of mail in it.
    if !text.contains(|c: char| c.is_numeric() || matches!(c, '@' | '＠')) {
        return text.to_owned();
    }
    PATTERNS.iter().fold(text.to_owned(), |text, pattern| blank(pattern, text))
}

/// Blanks the first group of every match. The search goes on right after the group, so that what follows a number can
/// also be what precedes the next.
fn blank(pattern: &Regex, text: String) -> String {
    let mut clean = String::new();
    let mut done = 0;
    while let Some(found) = pattern.captures_at(&text, done).and_then(|groups| groups.get(1)) {
        clean.push_str(&text[done..found.start()]);
        clean.push_str(BLANK);
        done = found.end();
    }
    if done == 0 {
        return text;
    }
    clean.push_str(&text[done..]);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_patterns_are_blanked_also_between_chinese_characters() {
        assert_eq!(PATTERNS.len(), 7);
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

    #[test]
    fn a_number_is_blanked_whatever_stands_beside_it_except_a_digit() {
        for (text, clean) in [
            ("+8613812345678", "***"),
            ("8613812345678", "***"),
            ("008613812345678", "***"),
            ("+86-138-1234-5678", "***"),
            ("tel13812345678", "tel***"),
            ("wx13812345678", "wx***"),
            ("_13812345678", "_***"),
            ("13812345678a", "***a"),
            ("id42010319800101123x", "id***"),
            ("ID42010319800101123Xab", "ID***ab"),
            ("old420103800101123_", "old***_"),
            ("card6222021234567890123a", "card***a"),
            ("tel02785712345b", "tel***b"),
            ("t85712345t", "t***t"),
            ("+862785712345", "***"),
            ("+86 27 8571 2345", "***"),
            ("(027)8571-2345", "(027)8571-2345"),
            ("电话１３８１２３４５６７８", "电话***"),
            ("身份证420103 19800101 123X", "身份证***"),
        ] {
            assert_eq!(redact(text), clean);
        }
    }

    #[test]
    fn numbers_beside_each_other_are_all_blanked() {
        for separator in [" ", ",", "，", "/", "或", "a", "_"] {
            for number in ["13812345678", "85712345", "027-85712345", "420103800101123"] {
                let text = [number; 3].join(separator);
                let clean = redact(&text);
                assert!(!clean.contains(char::is_numeric), "{text} → {clean}");
                assert!(clean.starts_with(BLANK) && clean.ends_with(BLANK), "{text} → {clean}");
            }
        }
    }

    #[test]
    fn longer_runs_of_digits_and_ordinary_figures_stay() {
        for text in ["订单123456789012", "编号00000000000000000000001", "3.1415926，1381234567，101路"]
        {
            assert_eq!(redact(text), text);
        }
    }
}
