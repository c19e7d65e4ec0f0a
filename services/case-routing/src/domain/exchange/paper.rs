//! What another system said about a ticket, and what a further push adds to it. Systems that show data to their own people
//! masked push it masked too: what is empty or masked never takes the place of what is known in full.

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// Further pushes of one ticket that are kept.
pub const MOST_REMARKS: usize = 200;

/// Characters that stand for what is not shown.
const MASKS: [char; 6] = ['*', '＊', '×', '●', '•', '█'];

/// What is known of a ticket; kept encrypted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    pub text: String,
    pub class_code: String,
    pub class_name: String,
    pub area_code: String,
    pub name: String,
    pub phone: String,
    /// Who asked does not want to be known. Once said it stays said, whatever is pushed later.
    #[serde(default)]
    pub anonymous: bool,
    #[serde(default)]
    pub remarks: Vec<Remark>,
}

/// Something that was pushed later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    pub text: String,
    pub at: Timestamp,
}

/// What one push says; what it leaves out is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pushed {
    pub text: String,
    pub class_code: String,
    pub class_name: String,
    pub area_code: String,
    pub name: String,
    pub phone: String,
    pub anonymous: bool,
}

/// What a push came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushing {
    pub paper: Paper,
    /// Anything is known now that was not.
    pub changed: bool,
    /// The text says something new, which the people of the case have to see.
    pub remarked: bool,
}

impl Paper {
    /// The first push.
    #[must_use]
    pub fn first(pushed: &Pushed) -> Self {
        let paper = Self {
            text: pushed.text.clone(),
            class_code: pushed.class_code.clone(),
            class_name: pushed.class_name.clone(),
            area_code: pushed.area_code.clone(),
            name: pushed.name.clone(),
            phone: pushed.phone.clone(),
            anonymous: pushed.anonymous,
            remarks: Vec::new(),
        };
        paper.hidden()
    }

    /// A further push.
    #[must_use]
    pub fn push(&self, pushed: &Pushed, at: Timestamp) -> Pushing {
        let mut paper = self.clone();
        for (known, new) in [
            (&mut paper.class_code, &pushed.class_code),
            (&mut paper.class_name, &pushed.class_name),
            (&mut paper.area_code, &pushed.area_code),
            (&mut paper.name, &pushed.name),
            (&mut paper.phone, &pushed.phone),
        ] {
            if is_better(known, new) {
                new.clone_into(known);
            }
        }
        let remarked = self.says_new(&pushed.text);
        if remarked {
            paper.remarks.push(Remark { text: pushed.text.clone(), at });
        }
        paper.anonymous |= pushed.anonymous;
        let paper = paper.hidden();
        Pushing { changed: paper != *self, remarked, paper }
    }

    /// Without a contact, where who asked does not want to be known: what was known before goes too.
    fn hidden(mut self) -> Self {
        if self.anonymous {
            self.name.clear();
            self.phone.clear();
        }
        self
    }

    /// Whether a text says anything that none of those known says.
    fn says_new(&self, text: &str) -> bool {
        let mut known = std::iter::once(&self.text).chain(self.remarks.iter().map(|remark| &remark.text));
        !text.trim().is_empty() && !known.any(|known| covers(known, text))
    }
}

/// Whether a value shows less than there is.
#[must_use]
pub fn is_masked(value: &str) -> bool {
    // 张某, 李某某: how official texts mask a name.
    let name = value.chars().count() <= 4 && value.chars().skip(1).any(|c| c == '某');
    name || value.contains(MASKS) || is_masked_number(value)
}

/// 138XXXX0000
fn is_masked_number(value: &str) -> bool {
    let number = |c: char| c.is_ascii_digit() || matches!(c, 'x' | 'X' | '+' | '-' | ' ');
    let digits = value.chars().filter(char::is_ascii_digit).count();
    digits >= 3 && value.chars().all(number) && value.to_ascii_lowercase().contains("xx")
}

fn is_better(known: &str, new: &str) -> bool {
    if new.trim().is_empty() || new == known {
        return false;
    }
    known.is_empty() || !is_masked(new) || (is_masked(known) && hidden(new) < hidden(known))
}

fn hidden(value: &str) -> usize {
    value.chars().filter(|c| MASKS.contains(c) || matches!(c, 'x' | 'X' | '某')).count()
}

/// Whether a text is another one, or that one with parts of it masked.
fn covers(known: &str, text: &str) -> bool {
    let (known, text) = (known.trim(), text.trim());
    if known == text {
        return true;
    }
    if !text.contains(MASKS) {
        return false;
    }
    let mut parts = text.split(MASKS);
    let (Some(first), Some(last)) = (parts.next(), parts.next_back()) else { return false };
    let Some(rest) = known.strip_prefix(first) else { return false };
    let Some(mut rest) = rest.strip_suffix(last) else { return false };
    // What is shown stands in the same order; a run of masks gives empty parts between.
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    // Masks alone say nothing, whatever they stand for.
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at() -> Timestamp {
        "2026-03-02T01:00:00Z".parse().unwrap()
    }

    fn known() -> Paper {
        Paper::first(&Pushed {
            text: "三楼漏水，电话13812340000，王小明".into(),
            class_code: "0201".into(),
            class_name: "房屋".into(),
            area_code: "x1".into(),
            name: "王小明".into(),
            phone: "13812340000".into(),
            anonymous: false,
        })
    }

    #[test]
    fn what_is_empty_or_masked_replaces_nothing() {
        let masked = [
            Pushed::default(),
            Pushed { name: "王**".into(), phone: "138****0000".into(), ..Pushed::default() },
            Pushed { name: "王某某".into(), phone: "138XXXX0000".into(), ..Pushed::default() },
            Pushed { name: "***".into(), phone: "***".into(), class_code: "***".into(), ..Pushed::default() },
            Pushed { text: "三楼漏水，电话138****0000，王**".into(), ..Pushed::default() },
            Pushed { text: "***".into(), area_code: " ".into(), ..Pushed::default() },
            Pushed { text: "  三楼漏水，电话13812340000，王小明 ".into(), ..Pushed::default() },
        ];
        for pushed in masked {
            let pushing = known().push(&pushed, at());
            assert!(!pushing.changed && !pushing.remarked, "{pushed:?}");
            assert_eq!(pushing.paper, known());
        }
    }

    #[test]
    fn what_is_known_in_full_later_replaces_what_was_masked() {
        let masked = Paper { name: "王**".into(), phone: "138****0000".into(), ..known() };
        let pushed = Pushed { name: "王小明".into(), phone: "13812340000".into(), ..Pushed::default() };
        assert_eq!(masked.push(&pushed, at()).paper, known());
        let fuller = Pushed { phone: "1381***0000".into(), ..Pushed::default() };
        let pushing = masked.push(&fuller, at());
        assert_eq!((pushing.paper.phone.as_str(), pushing.paper.name.as_str()), ("1381***0000", "王**"));
    }

    #[test]
    fn another_text_is_a_remark_once_and_the_first_one_stays() {
        let pushed = Pushed { text: "还在漏，138****0000".into(), ..Pushed::default() };
        let once = known().push(&pushed, at());
        assert!(once.remarked);
        assert_eq!((once.paper.text.as_str(), once.paper.remarks.len()), (known().text.as_str(), 1));
        let twice = once.paper.push(&pushed, at());
        assert!(!twice.changed, "the same once more");
    }

    #[test]
    fn who_does_not_want_to_be_known_stays_unknown_whichever_push_says_so() {
        let named = Pushed { name: "王小明".into(), phone: "13812340000".into(), ..Pushed::default() };
        let hidden = Pushed { anonymous: true, ..named.clone() };
        let contact = |paper: &Paper| (paper.name.clone(), paper.phone.clone());
        let nobody = (String::new(), String::new());

        let first = Paper::first(&hidden);
        assert_eq!(contact(&first), nobody);
        let later = first.push(&named, at());
        assert!(!later.changed, "{later:?}");
        assert_eq!(contact(&later.paper), nobody);

        let later = known().push(&hidden, at());
        assert!(later.changed && !later.remarked);
        assert_eq!(contact(&later.paper), nobody, "what was known goes");
        assert_eq!(later.paper.text, known().text);
        let again = later.paper.push(&named, at());
        assert!(!again.changed, "{again:?}");
        assert_eq!(contact(&again.paper), nobody);
    }

    #[test]
    fn a_paper_of_before_is_read() {
        let kept = r#"{"text":"x","class_code":"","class_name":"","area_code":"","name":"y","phone":""}"#;
        let paper: Paper = serde_json::from_str(kept).unwrap();
        assert!(!paper.anonymous && paper.remarks.is_empty());
    }

    proptest! {
        /// Whatever part of what is known is masked, and pushed again, changes nothing.
        #[test]
        fn a_masked_copy_never_changes_anything(
            text in "[a-c明漏0-9，]{1,12}", from in 0usize..12, len in 1usize..6, wide in 1usize..5,
        ) {
            let known = Paper { text: text.clone(), name: "王小明".into(), ..known() };
            let chars: Vec<char> = text.chars().collect();
            let from = from.min(chars.len() - 1);
            let to = (from + len).min(chars.len());
            let copy: String = chars[..from].iter().copied()
                .chain(std::iter::repeat_n('*', wide))
                .chain(chars[to..].iter().copied())
                .collect();
            let pushed = Pushed { text: copy, name: "王**".into(), ..Pushed::default() };
            prop_assert_eq!(known.push(&pushed, at()).paper, known);
        }

        /// In whatever order pushes come, a field that was once known in full stays full, and no text is lost.
        #[test]
        fn nothing_known_is_ever_lost(pushes in prop::collection::vec((0usize..4, 0usize..5), 1..12)) {
            let names = ["", "王小明", "王**", "***"];
            let texts = ["", "漏水", "***", "又漏了", "又*了"];
            let mut paper = known();
            for (name, text) in pushes {
                let pushed = Pushed { name: names[name].into(), text: texts[text].into(), ..Pushed::default() };
                let next = paper.push(&pushed, at()).paper;
                prop_assert_eq!(&next.name, "王小明");
                prop_assert_eq!(&next.text, &paper.text);
                prop_assert!(next.remarks.starts_with(&paper.remarks));
                paper = next;
            }
            prop_assert!(paper.remarks.len() <= 3);
        }
    }
}
