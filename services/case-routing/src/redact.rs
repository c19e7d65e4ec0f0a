//! What a text looks like to those who need not know who wrote it: phone, identity, bank and mail patterns are blanked.
//! The original is kept encrypted, apart.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in the place of what was blanked.
const BLANK: &str = "***";

/// What groups of digits are written apart by.
const SEPARATORS: [char; 4] = [' ', '　', '-', '－'];

/// After two groups of four digits that go up: a span of money or of rooms.
const COUNTED: [char; 4] = ['元', '块', '万', '室'];

/// Patterns, in this order: an identity number begins like a bank card and contains what looks like a phone number. `\d`
/// takes full-width digits too, as Chinese keyboards write them; `~` is a [separator](SEPARATORS) or none.
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
        // Landline with country and area code, with area code, perhaps in brackets, and eight digits of Wuhan.
        r"(?:[+＋]|00|００)[8８][6６]~[(（]?[0０]?[1-9１-９]\d{1,2}[)）]?~\d{3,4}~\d{4}",
        r"(?:[(（][0０]\d{2,3}[)）]|[0０]\d{2,3}[)）]?)~\d{3,4}~\d{4}",
        r"[2-8２-８]\d{3}~\d{4}",
    ]
    .into_iter()
    .enumerate()
    .filter_map(|(number, pattern)| {
        let pattern = pattern.replace('~', &format!("[{}]?", regex::escape(&String::from_iter(SEPARATORS))));
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
    let (mut done, mut from) = (0, 0);
    while let Some(found) = pattern.captures_at(&text, from).and_then(|groups| groups.get(1)) {
        if let Some(figure) = figure(found.as_str(), &text[found.end()..]) {
            // Its other half may be that of a number.
            from = found.start() + figure.len();
            continue;
        }
        clean.push_str(&text[done..found.start()]);
        clean.push_str(BLANK);
        done = found.end();
        from = done;
    }
    if done == 0 {
        return text;
    }
    clean.push_str(&text[done..]);
    clean
}

/// The first half of two groups of four digits that are no telephone: a span of years or the number of a paper, which begin with a
/// year, or a span of something [counted](COUNTED).
fn figure<'a>(found: &'a str, rest: &str) -> Option<&'a str> {
    let (low, high) = found.split_once(SEPARATORS)?;
    let of_four = |half: &str| half.chars().count() == 4 && half.chars().all(char::is_numeric);
    if !of_four(low) || !of_four(high) {
        return None;
    }
    let year = low.starts_with("20") || low.starts_with("２０");
    let span = low < high && rest.trim_start().starts_with(COUNTED);
    (year || span).then_some(low)
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
            ("(027)8571-2345", "***"),
            ("（027）8571 2345", "***"),
            ("(027) 85712345", "***"),
            ("电话（０２７）８５７１－２３４５转2", "电话***转2"),
            ("027）85712345", "***"),
            ("(027-85712345)", "(***)"),
            ("+86(27)8571-2345", "***"),
            ("+86（027）85712345", "***"),
            ("座机8571-2345", "座机***"),
            ("8571 2345或8571　2345", "***或***"),
            ("８５７１－２３４５", "***"),
            ("2003 8571-2345", "2003 ***"),
            ("3000-4000", "***"),
            ("5000-4000元", "***元"),
            ("电话１３８１２３４５６７８", "电话***"),
            ("身份证420103 19800101 123X", "身份证***"),
        ] {
            assert_eq!(redact(text), clean);
        }
    }

    #[test]
    fn numbers_beside_each_other_are_all_blanked() {
        for separator in [" ", ",", "，", "/", "或", "a", "_"] {
            for number in [
                "13812345678",
                "85712345",
                "8571-2345",
                "8571 2345",
                "027-85712345",
                "(027)8571-2345",
                "420103800101123",
            ] {
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

    #[test]
    fn years_the_numbers_of_papers_and_what_is_counted_stay() {
        for text in [
            "2026年11月24日",
            "2019-2026",
            "2019-2026年",
            "2019—2026年",
            "２０１９－２０２６年",
            "1998-2003年",
            "工单GD-2025-8571",
            "每月3000-4000元",
            "3000-4000 块",
            "5000-8000万元",
            "3001-3004室",
            "12345-6789，1234-56789",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
