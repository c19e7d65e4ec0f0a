//! The versions of the catalogue's items in time: which one new cases are of at an instant. Pure.

use std::collections::{BTreeMap, HashMap};

use chassis::Timestamp;

use crate::{
    domain::{OrgId, ServiceItem},
    seed,
};

/// A version of an item, or its end, as the catalogue holds it once it was put in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemRow {
    /// Code of the item.
    pub item_code: String,
    /// Its version.
    pub version: u32,
    /// First instant.
    pub from: Timestamp,
    /// When the version of the catalogue was taken back with which it came.
    pub withdrawn_at: Option<Timestamp>,
    /// Unset: no new cases are of the item any more.
    pub item: Option<seed::Item>,
}

/// A version of an item with the time in which new cases can be of it, unless a newer one is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The version.
    pub item: seed::Item,
    /// First instant.
    pub from: Timestamp,
    /// First instant after.
    pub to: Option<Timestamp>,
}

impl Edition {
    /// As the domain has it.
    pub fn service_item(&self, orgs: &HashMap<&str, OrgId>) -> ServiceItem {
        ServiceItem { valid_from: self.from, valid_to: self.to, ..self.item.service_item(orgs) }
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && self.to.is_none_or(|to| at < to)
    }
}

/// All versions of all items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Editions(BTreeMap<String, Vec<Edition>>);

impl Editions {
    /// Of what the catalogue holds, in any order.
    pub fn of(rows: &[ItemRow]) -> Self {
        let mut ordered: Vec<&ItemRow> = rows.iter().collect();
        ordered.sort_by_key(|row| (row.from, row.version));
        let mut editions: BTreeMap<String, Vec<Edition>> = BTreeMap::new();
        for row in ordered {
            let known = editions.entry(row.item_code.clone()).or_default();
            match &row.item {
                Some(item) => {
                    let item = item.clone();
                    known.push(Edition { item, from: row.from, to: row.withdrawn_at });
                }
                // An end that was taken back is none.
                None if row.withdrawn_at.is_some() => {}
                None => known.iter_mut().for_each(|edition| {
                    edition.to = Some(edition.to.map_or(row.from, |to| to.min(row.from)));
                }),
            }
        }
        Self(editions)
    }

    /// The version of an item that new cases are of at an instant.
    pub fn at(&self, code: &str, at: Timestamp) -> Option<&seed::Item> {
        self.edition(code, at).map(|edition| &edition.item)
    }

    /// The same with its time.
    pub fn edition(&self, code: &str, at: Timestamp) -> Option<&Edition> {
        self.0.get(code)?.iter().rev().find(|edition| edition.covers(at))
    }

    /// The items in force at an instant, by code.
    pub fn all_at(&self, at: Timestamp) -> impl Iterator<Item = &Edition> {
        self.0.values().filter_map(move |known| known.iter().rev().find(|edition| edition.covers(at)))
    }

    /// The newest version of an item, whether or not it is in force.
    pub fn newest(&self, code: &str) -> Option<&seed::Item> {
        self.0.get(code)?.last().map(|edition| &edition.item)
    }

    /// One version of an item, whether or not it is in force.
    pub fn version(&self, code: &str, version: u32) -> Option<&seed::Item> {
        let mut known = self.0.get(code)?.iter().rev().map(|edition| &edition.item);
        known.find(|item| item.version == version)
    }

    /// Every version with its time.
    pub fn all(&self) -> impl Iterator<Item = &Edition> {
        self.0.values().flatten()
    }

    /// The catalogue as it will be when all that was put in force is: what a new version is compared with.
    pub fn coming(&self) -> BTreeMap<String, seed::Item> {
        let lasting = |edition: &&Edition| edition.to.is_none();
        let last = self
            .0
            .iter()
            .filter_map(|(code, known)| Some((code.clone(), known.iter().rev().find(lasting)?.item.clone())));
        last.collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn row(version: u32, day: i64) -> ItemRow {
        let item = seed::Item { version, ..seed::catalogue().items[0].clone() };
        ItemRow {
            item_code: item.item_code.clone(),
            version,
            from: at(day),
            withdrawn_at: None,
            item: Some(item),
        }
    }

    fn at(day: i64) -> Timestamp {
        "2026-03-01T00:00:00+08:00".parse::<Timestamp>().unwrap() + TimeDelta::days(day)
    }

    fn versions(rows: &[ItemRow], days: &[i64]) -> Vec<u32> {
        let editions = Editions::of(rows);
        let code = &rows[0].item_code;
        days.iter().map(|day| editions.at(code, at(*day)).map_or(0, |item| item.version)).collect()
    }

    #[test]
    fn a_version_takes_effect_on_its_day_and_one_taken_back_never_or_no_more() {
        let (first, second) = (row(1, 0), row(2, 10));
        assert_eq!(versions(&[second.clone(), first.clone()], &[-1, 0, 9, 10, 99]), [0, 1, 1, 2, 2]);
        let back = |day| ItemRow { withdrawn_at: Some(at(day)), ..second.clone() };
        assert_eq!(versions(&[first.clone(), back(5)], &[9, 10, 11]), [1, 1, 1]);
        assert_eq!(versions(&[first.clone(), back(12)], &[9, 10, 11, 12]), [1, 2, 2, 1]);
        let third = row(3, 10);
        assert_eq!(versions(&[first, second, third], &[10]), [3], "the later of two of a day");
    }

    #[test]
    fn an_item_ends_and_may_come_again_and_an_end_taken_back_is_none() {
        let (first, again) = (row(1, 0), row(3, 20));
        let end = ItemRow { version: 2, item: None, ..row(2, 10) };
        assert_eq!(versions(&[first.clone(), end.clone(), again], &[9, 10, 19, 20]), [1, 0, 0, 3]);
        let back = ItemRow { withdrawn_at: Some(at(15)), ..end.clone() };
        assert_eq!(versions(&[first.clone(), back], &[9, 12, 20]), [1, 1, 1]);
        let editions = Editions::of(&[first.clone(), end]);
        assert!(editions.coming().is_empty(), "it will have ended");
        assert_eq!(editions.newest(&first.item_code).unwrap().version, 1);
        assert_eq!((editions.all_at(at(5)).count(), editions.all_at(at(10)).count()), (1, 0));
        assert_eq!(Editions::of(&[first, row(2, 10)]).coming().values().next().unwrap().version, 2);
    }
}
