//! Normal form of a text, its character n-grams, and the key by which two subjects count as the same.

/// Longest n-gram, in characters. A character takes 21 bits, so that three of them make an exact key.
pub const LONGEST: usize = 3;
/// Characters of one text that are looked at; the services take no longer message.
pub const MAX_CHARS: usize = 20_000;

/// Calls `each` with the characters of the normal form and the byte offset each came from: half-width instead of
/// full-width forms, lower case, no white space, no control characters.
pub fn normal(text: &str, mut each: impl FnMut(char, usize)) {
    for (offset, raw) in text.char_indices().take(MAX_CHARS) {
        let half = match raw {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(raw as u32 - 0xfee0).unwrap_or(raw),
            other => other,
        };
        if half.is_whitespace() || half.is_control() {
            continue;
        }
        if half.is_ascii() || !half.is_uppercase() {
            each(half.to_ascii_lowercase(), offset);
        } else {
            half.to_lowercase().for_each(|lower| each(lower, offset));
        }
    }
}

/// Calls `each` with key, start and length (in characters) of every 1- to 3-gram.
pub fn grams(chars: &[char], mut each: impl FnMut(u64, usize, usize)) {
    for start in 0..chars.len() {
        let mut key = 0;
        for (length, next) in chars[start..].iter().take(LONGEST).enumerate() {
            // One is added so that a shorter n-gram never equals a longer one that starts with U+0000.
            key = key << 21 | (u64::from(*next as u32) + 1);
            each(key, start, length + 1);
        }
    }
}

/// Whether a key is of three characters.
pub fn is_trigram(key: u64) -> bool {
    key >> 42 != 0
}

/// The subject without anything but letters and digits, in normal form: equal keys are one subject written twice.
pub fn group_key(subject: &str) -> String {
    let mut bare = String::new();
    let mut all = String::new();
    normal(subject, |letter, _| {
        all.push(letter);
        if letter.is_alphanumeric() {
            bare.push(letter);
        }
    });
    if bare.is_empty() { all } else { bare }
}

/// Characters of a text in one piece up to which all of it is its subject.
const SUBJECT: usize = 60;

/// Parts a text that came in one piece into what a model looks at: its first line and the rest; of a long text in one line its
/// first sentence and the whole. Records to train with are parted the same way.
pub fn parts(text: &str) -> (&str, &str) {
    let text = text.trim();
    if let Some((first, rest)) = text.split_once('\n') {
        return (first.trim_end(), rest.trim_start());
    }
    if text.chars().nth(SUBJECT).is_none() {
        return (text, "");
    }
    let end = text.find(['。', '！', '？', '；', '!', '?', ';']);
    let cut = text.char_indices().nth(SUBJECT).map_or(text.len(), |(offset, _)| offset);
    (&text[..end.unwrap_or(cut).min(cut)], text)
}

/// A 64-bit hash (FNV-1a, then mixed) that is the same on every machine and in every release.
pub fn stable_hash(seed: u64, text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    mix(hash)
}

/// The finishing step of splitmix64.
pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_one_piece_is_parted_by_its_lines_or_sentences() {
        assert_eq!(parts(" 路灯不亮\n\n三天了 "), ("路灯不亮", "三天了"));
        assert_eq!(parts("路灯不亮"), ("路灯不亮", ""));
        assert_eq!(parts(""), ("", ""));
        let long = format!("路灯不亮。{}", "夜里很黑，".repeat(20));
        assert_eq!(parts(&long), ("路灯不亮", long.as_str()));
        let endless = "黑".repeat(100);
        assert_eq!(parts(&endless), (&endless[..180], endless.as_str()));
    }

    #[test]
    fn width_case_spaces_and_punctuation_do_not_make_another_subject() {
        assert_eq!(group_key("Ａ３区 路灯，不亮！"), group_key("a3区路灯不亮"));
        assert_ne!(group_key("路灯不亮"), group_key("路灯又不亮"));
        assert_eq!(group_key("？？"), "??");
    }

    #[test]
    fn grams_of_three_characters_have_distinct_keys() {
        let chars: Vec<char> = "路灯\u{10ffff}".chars().collect();
        let mut keys = Vec::new();
        grams(&chars, |key, _, _| keys.push(key));
        assert_eq!(keys.len(), 6);
        assert_eq!(keys.iter().filter(|key| is_trigram(**key)).count(), 1);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 6);
    }
}
