//! What a text looks like to those who need not know who wrote it: phone, identity, bank and mail patterns are blanked.
//! The original is kept encrypted, apart.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in the place of what was blanked.
const BLANK: &str = "***";

/// What groups of digits are written apart by.
const SEPARATORS: [char; 4] = [' ', '　', '-', '－'];

/// What is counted, after two groups of four digits that go up: a span of money, of rooms, of a length. Beside each what it must not
/// go on with: there it begins another word, and the digits may be a telephone's.
const COUNTED: [(&str, &str); 13] = [
    ("块", ""),
    ("元", "旦宵月内外友"),
    ("万元", "旦宵月内外友"),
    ("万块", ""),
    ("多元", ""),
    ("余元", ""),
    ("室", "内外友"),
    ("户", "主籍口内外"),
    ("米", "店饭粉"),
    ("号", "码"),
    ("房", "东主客产"),
    ("人", "工家事"),
    ("平", "时常日安台房"),
];

/// Patterns, in this order: an identity number begins like a bank card and contains what looks like a phone number. `\d`
/// takes full-width digits too, as Chinese keyboards write them; `~` is a [separator](SEPARATORS) or none. In two halves and
/// without its area code a landline begins with 5–8, as those of Wuhan do: what begins lower is a clock time, a year, a sum.
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
        r"[5-8５-８]\d{3}~\d{4}|[2-8２-８]\d{7}",
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

/// The first half of two groups of four digits that are no telephone: the second is a year, or they are a span of something
/// [counted](COUNTED).
fn figure<'a>(found: &'a str, rest: &str) -> Option<&'a str> {
    let (low, high) = found.split_once(SEPARATORS)?;
    let of_four = |half: &str| half.chars().count() == 4 && half.chars().all(char::is_numeric);
    if !of_four(low) || !of_four(high) {
        return None;
    }
    let year = (high.starts_with("20") || high.starts_with("２０")) && rest.starts_with('年');
    (year || (low < high && is_counted(rest.trim_start()))).then_some(low)
}

/// Whether a text begins with something [counted](COUNTED).
fn is_counted(rest: &str) -> bool {
    COUNTED.iter().any(|&(unit, other_words)| {
        let after = rest.strip_prefix(unit);
        after.is_some_and(|after| !after.starts_with(|c: char| other_words.contains(c)))
    })
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
            ("027-2571-2345", "***"),
            ("(027)2571 2345", "***"),
            ("25712345", "***"),
            ("8571-8888", "***"),
            ("8571-4000元", "***元"),
            ("座机8571-8888万先生", "座机***万先生"),
            ("8571-9001室内漏水", "***室内漏水"),
            ("8571-8888元旦后打", "***元旦后打"),
            ("8571-8888号码是我的", "***号码是我的"),
            ("8571-9001房东", "***房东"),
            ("8571-8888人工", "***人工"),
            ("8571-8888平时没人接", "***平时没人接"),
            ("8571-9001户主", "***户主"),
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
            "3000-4000",
            "每月3000-4000元",
            "3000-4000多元",
            "5000-8000 块",
            "5000-8000万元",
            "5000-8000多元",
            "7000-8000余元",
            "投入3000 2024年",
            "投入5000 2024年",
            "投入５０００　２０２４年",
            "每晚2130-2330施工",
            "早0730-0930",
            "2500-3000米",
            "6500-8000米",
            "3000-5000户居民",
            "5000-8000户居民",
            "5000-8000人次",
            "5000-6000平米",
            "2501-2504号房",
            "5501-5504号房",
            "6501-6504房",
            "3001-3004室",
            "5001-5004室漏水",
            "12345-6789，1234-56789",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}
