//! Texts as they are searched and compared: by pairs of neighbouring characters, because Chinese is written without
//! blanks between words. Width and case of letters do not matter, punctuation parts.

/// The pairs of neighbouring characters of a text, sorted, each once. A pair is two numbers of sixteen bits side by side:
/// exact but for the rare characters beyond the basic plane, where two may share a number.
#[must_use]
pub fn pairs(text: &str) -> Vec<i32> {
    let mut pairs = Vec::new();
    let mut before: Option<u32> = None;
    for character in text.chars().flat_map(folded) {
        let now = character.is_alphanumeric().then_some(u32::from(character) & 0xFFFF);
        if let (Some(before), Some(now)) = (before, now) {
            pairs.push((before << 16 | now).cast_signed());
        }
        before = now;
    }
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// The character in half width and lower case.
fn folded(character: char) -> impl Iterator<Item = char> {
    let half = match character {
        '\u{3000}' => ' ',
        '！'..='～' => char::from_u32(u32::from(character) - 0xFEE0).unwrap_or(character),
        other => other,
    };
    half.to_lowercase()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn has(text: &str, query: &str) -> bool {
        let text = pairs(text);
        pairs(query).iter().all(|pair| text.binary_search(pair).is_ok())
    }

    #[test]
    fn words_are_found_whatever_their_width_case_and_neighbours() {
        let text = "３号楼ＷｉＦｉ坏了，路灯不亮。Please call";
        for query in ["路灯", "灯不亮", "wifi", "WIFI坏", "3号楼", "please", "路灯 3号", "Ｐｌｅａｓｅ"]
        {
            assert!(has(text, query), "{query}");
        }
        for query in ["亮灯", "了路", "灯亮", "wi-fi", "4号楼"] {
            let found = has(text, query);
            assert_eq!(found, query == "wi-fi", "{query}");
        }
    }

    #[test]
    fn what_is_blanked_or_stands_alone_is_no_word() {
        assert!(pairs("*** 路，灯! a").is_empty());
        assert_eq!(pairs("路灯").len(), 1);
        assert_eq!(pairs("路灯路灯路").len(), 2);
    }

    proptest! {
        #[test]
        fn a_piece_of_a_text_is_found_in_it(text in "[一-龥a-zA-Z0-9，。 ]{2,60}", from in 0_usize..58, size in 2_usize..20) {
            let characters: Vec<char> = text.chars().collect();
            let piece: String = characters.iter().skip(from).take(size).collect();
            prop_assert!(has(&text, &piece));
        }
    }
}
