//! What a file makes of the catalogue: items that come, change and end, compared with the catalogue as it will be. Pure.

use std::collections::BTreeMap;

use crate::{
    listing::needs_lead,
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

    /// Codes of the items that an organisation has to lead from now on: new ones, and those that went to an emergency line, a
    /// statutory channel or their first receiver before.
    pub fn to_be_led(&self) -> Vec<&str> {
        let led = |change: &Change| {
            let before = change.base.as_ref().is_some_and(needs_lead);
            !before && change.item.as_ref().is_some_and(needs_lead)
        };
        self.0.iter().filter(|(_, change)| led(change)).map(|(code, _)| code.as_str()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_longer_goes_elsewhere_is_to_be_led_as_what_is_new() {
        let shipped = |code: &str| {
            let items = &seed::catalogue().items;
            items.iter().find(|item| item.item_code == code).unwrap().clone()
        };
        let (fire, lamp) = (shipped("ZF-0191"), shipped("CJ-0101"));
        assert!(!needs_lead(&fire) && needs_lead(&lamp));
        let own = Item { emergency_channel: String::new(), ..fire.clone() };
        let renamed = Item { name_zh: "道路破损".into(), ..lamp.clone() };
        let channel = Item { statutory_channel: "litigation".into(), ..lamp.clone() };
        let changes = [
            ("came back", Some(fire.clone()), Some(own)),
            ("new", None, Some(lamp.clone())),
            ("new elsewhere", None, Some(fire)),
            ("renamed", Some(lamp.clone()), Some(renamed)),
            ("goes elsewhere", Some(lamp.clone()), Some(channel.clone())),
            ("no channel", Some(channel), Some(lamp.clone())),
            ("ends", Some(lamp), None),
        ];
        let changes = changes.map(|(code, base, item)| (code.to_owned(), Change { base, item }));
        assert_eq!(Draft(changes.into()).to_be_led(), ["came back", "new", "no channel"]);
    }
}
