//! The simulated dispatcher's eye: picks an item from a shipped keyword table when a message has no label.

use std::sync::LazyLock;

use serde::Deserialize;

const TABLE: &str = include_str!("../../data/keywords.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    subject_factor: f64,
    detail_factor: f64,
    detail_chars: usize,
    default_item: String,
    item: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    item_code: String,
    keywords: Vec<(String, f64)>,
}

static SHIPPED: LazyLock<Table> =
    LazyLock::new(|| toml::from_str(TABLE).expect("the shipped keyword table is checked by a test"));

/// The item that the words speak for most, else the one for whatever has no other.
pub fn pick(subject: &str, detail: &str) -> &'static str {
    named(subject, detail, None).unwrap_or(SHIPPED.default_item.as_str())
}

/// The item that the words speak for most, if they speak for any; among items of `category` only when one is given.
/// Ties: the longer longest keyword, then the smaller code.
pub fn named(subject: &str, detail: &str, category: Option<&str>) -> Option<&'static str> {
    let table = &*SHIPPED;
    let detail: String = detail.chars().take(table.detail_chars).collect();
    let prefix = category.and_then(|item| item.split('-').next());
    let mut best: Option<(f64, usize, &'static str)> = None;
    for item in &table.item {
        if prefix.is_some_and(|prefix| !item.item_code.starts_with(prefix)) {
            continue;
        }
        let (mut score, mut longest) = (0.0, 0);
        for (word, weight) in &item.keywords {
            let factor = if subject.contains(word.as_str()) { table.subject_factor } else { 0.0 }
                + if detail.contains(word.as_str()) { table.detail_factor } else { 0.0 };
            if factor > 0.0 {
                score += weight * factor;
                longest = longest.max(word.chars().count());
            }
        }
        let better = match best {
            None => score > 0.0,
            Some((top, length, code)) => {
                score > top
                    || (score == top && longest > length)
                    || (score == top && longest == length && item.item_code.as_str() < code)
            }
        };
        if score > 0.0 && better {
            best = Some((score, longest, &item.item_code));
        }
    }
    best.map(|(_, _, code)| code)
}

/// Items with a word that names them, for synthetic messages: code and its strongest keyword.
pub fn vocabulary() -> Vec<(&'static str, &'static str)> {
    SHIPPED
        .item
        .iter()
        .filter_map(|item| {
            let word = item.keywords.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
            Some((item.item_code.as_str(), word.0.as_str()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use case_routing::seed;

    use super::*;

    #[test]
    fn the_shipped_table_speaks_for_every_category() {
        let categories: std::collections::BTreeSet<_> =
            SHIPPED.item.iter().filter_map(|item| item.item_code.split('-').next()).collect();
        assert_eq!(categories.len(), 15);
        assert!(vocabulary().len() >= 60);
    }

    #[test]
    fn the_shipped_table_speaks_for_items_of_the_shipped_catalogue_only() {
        let named = SHIPPED.item.iter().map(|item| &item.item_code).chain([&SHIPPED.default_item]);
        for code in named {
            assert!(seed::catalogue().items.iter().any(|item| item.item_code == *code), "{code}");
        }
    }

    #[test]
    fn words_choose_the_item_and_silence_the_default() {
        assert_eq!(pick("路面坑洼不平", ""), "CJ-0101");
        assert_eq!(pick("。", ""), SHIPPED.default_item);
    }

    #[test]
    fn a_label_keeps_the_choice_within_its_category() {
        assert_eq!(named("路面坑洼不平", "", Some("CJ-9901")), Some("CJ-0101"));
        assert_eq!(named("路面坑洼不平", "", Some("HB-9901")), None, "the words speak for none of it");
    }
}
