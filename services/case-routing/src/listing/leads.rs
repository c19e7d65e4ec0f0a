//! Who may lead an item in every case, on which days, and where a list leaves an item to nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chrono::NaiveDate;

use super::{Entries, ListEntry};
use crate::{domain::ListPart, seed};

/// An item that nobody may lead in every case, and the first day of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bare<'e> {
    /// Code of the item.
    pub item_code: &'e str,
    /// The day.
    pub from: NaiveDate,
}

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.item_code, self.from)
    }
}

/// Items that need a lead and have none on the given day, or on one after it. A list all of whose leads end says nothing of the
/// days after its last one: those are the next list's.
pub(super) fn bare_from<'e>(
    items: &'e BTreeMap<String, seed::Item>,
    entries: &Entries,
    day: NaiveDate,
) -> Vec<Bare<'e>> {
    let mut led: BTreeMap<&str, Vec<(NaiveDate, Option<NaiveDate>)>> = BTreeMap::new();
    for listed in leads(entries) {
        led.entry(&listed.entry.item_code).or_default().push((listed.from, listed.to));
    }
    led.values_mut().for_each(|days| days.sort_unstable());
    let end = leads(entries).try_fold(day, |end, listed| listed.to.map(|to| end.max(to)));
    let within = |from: &NaiveDate| *from == day || end.is_none_or(|end| *from < end);
    let needing = items.values().filter(|item| needs_lead(item)).map(|item| item.item_code.as_str());
    let bare = needing.filter_map(|item_code| {
        let days = led.get(item_code).map_or(&[][..], Vec::as_slice);
        first_gap(days, day).filter(within).map(|from| Bare { item_code, from })
    });
    bare.collect()
}

/// The first day from a given one on that lies in none of the periods, which come in the order of their first days.
fn first_gap(periods: &[(NaiveDate, Option<NaiveDate>)], day: NaiveDate) -> Option<NaiveDate> {
    let mut until = day;
    for (from, to) in periods {
        if *from > until {
            break;
        }
        until = until.max((*to)?);
    }
    Some(until)
}

/// What a version would leave without a lead if it was put in force on a day: items that it leads on other days only, or that
/// the version in force leads then. What came into the catalogue since it was drafted, and nobody leads yet, was told with the
/// catalogue and is no reason to wait.
pub fn abandoned<'e>(
    items: &'e BTreeMap<String, seed::Item>,
    in_force: &Entries,
    entries: &Entries,
    day: NaiveDate,
) -> Option<Bare<'e>> {
    let led_now = led_on(in_force, day);
    let led: BTreeSet<&str> = leads(entries).map(|listed| listed.entry.item_code.as_str()).collect();
    let concerns = |bare: &Bare<'_>| led.contains(bare.item_code) || led_now.contains(bare.item_code);
    bare_from(items, entries, day).into_iter().find(concerns)
}

/// Whether organisations handle an item, so that the list has to say who leads it.
pub fn needs_lead(item: &seed::Item) -> bool {
    item.emergency_channel.is_empty() && item.statutory_channel.is_empty() && !item.lead_line_unclear
}

/// Codes of the items that somebody may lead in every case on a day.
pub fn led_on(entries: &Entries, day: NaiveDate) -> BTreeSet<&str> {
    let on_the_day = leads(entries).filter(|listed| listed.holds_on(day));
    on_the_day.map(|listed| listed.entry.item_code.as_str()).collect()
}

/// Entries by which somebody may lead an item in every case.
fn leads(entries: &Entries) -> impl Iterator<Item = &ListEntry> {
    entries.values().filter(|listed| {
        let may = matches!(listed.entry.part, ListPart::Lead | ListPart::StatutoryDuty);
        may && listed.entry.condition.is_none()
    })
}

#[cfg(test)]
#[path = "leads_tests.rs"]
mod tests;
