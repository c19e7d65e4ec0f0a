//! What a file makes of the catalogue: items that come, change and end, compared with the catalogue as it will be. Pure.

use std::collections::BTreeMap;

use crate::{
    seed::{self, Item},
    tables::{ItemContext, Problems, Table, read_items},
};

/// What becomes of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The version before; unset: the item is new.
    pub base: Option<Item>,
    /// The version after, but for its number; unset: the item ends.
    pub item: Option<Item>,
}

/// What a version of the catalogue changes, by code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft(pub BTreeMap<String, Change>);

/// What came of reading a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Nothing is stored if there are any.
    pub problems: Problems,
    /// Rows with an item.
    pub rows: usize,
    /// What would change.
    pub draft: Draft,
}

impl Draft {
    /// How many items come, change and end.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |of: fn(&Change) -> bool| self.0.values().filter(|change| of(change)).count();
        (
            count(|change| change.base.is_none()),
            count(|change| change.base.is_some() && change.item.is_some()),
            count(|change| change.item.is_none()),
        )
    }
}

/// Reads a file against the catalogue as it will be.
pub fn reading(
    table: &Table,
    base: &BTreeMap<String, Item>,
    whole: bool,
    context: &ItemContext<'_>,
) -> Reading {
    let mut problems = Problems::default();
    let items = read_items(table, base, context, &mut problems);
    let rows = table.rows.len();
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    for item in &items {
        let known = base.get(&item.item_code);
        let version = known.map_or(item.version, |known| known.version);
        let item = Item { version, ..item.clone() };
        if known != Some(&item) {
            changes.insert(item.item_code.clone(), Change { base: known.cloned(), item: Some(item) });
        }
    }
    if whole && problems.is_empty() {
        let kept = |code: &String| items.iter().any(|item| item.item_code == *code);
        for (code, known) in base.iter().filter(|(code, _)| !kept(code)) {
            if seed::catalogue().categories.iter().any(|category| category.default_item == *code) {
                problems.add(0, "", "ends_default", code);
            }
            changes.insert(code.clone(), Change { base: Some(known.clone()), item: None });
        }
    }
    Reading { problems: problems.sorted(), rows, draft: Draft(changes) }
}
