//! Entries of the responsibility list as they are maintained: checked row by row, put together into a version, compared.
//! Pure; the database and the wire are others' affair.

mod leads;

use std::collections::{BTreeMap, BTreeSet};

use chassis::{Error, Result};
use chrono::NaiveDate;

use crate::{
    domain::{ListPart, OrgKind},
    seed,
    tables::text,
};

pub use leads::{Bare, abandoned, led_on, needs_lead};

/// An entry with the days from and until which it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// As the files write it.
    pub entry: seed::Entry,
    /// First day.
    pub from: NaiveDate,
    /// Day from which it holds no more.
    pub to: Option<NaiveDate>,
}

impl ListEntry {
    /// Whether it holds on a day.
    pub fn holds_on(&self, day: NaiveDate) -> bool {
        self.from <= day && self.to.is_none_or(|to| day < to)
    }
}

/// The entries of a version, by rule id.
pub type Entries = BTreeMap<String, ListEntry>;

/// What a draft changes of its base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// Added, or in place of the base's.
    pub upserts: Vec<ListEntry>,
    /// Rule ids that fall away.
    pub removed: Vec<String>,
    /// Nothing of the base is taken over.
    pub whole: bool,
}

/// What entries are checked against.
pub struct Known<'a> {
    /// The catalogue, by code.
    pub items: &'a BTreeMap<String, seed::Item>,
    /// Kind of an organisation, by its code.
    pub org_kind: &'a dyn Fn(&str) -> Option<OrgKind>,
    /// The day from which an entry that has ended counts no more.
    pub today: NaiveDate,
}

impl Draft {
    /// The draft, with what it cannot say of an entry of its base as it stands there: the authority and the money that came with
    /// it, and the precedent that it comes from. Of one that it gives to somebody else, or for something else, that says nothing.
    #[must_use]
    pub fn keeping(mut self, base: &Entries) -> Self {
        for upsert in &mut self.upserts {
            let entry = &mut upsert.entry;
            let known = base.get(&entry.rule_id).map(|listed| &listed.entry);
            let Some(known) = known.filter(|known| same_holder(known, entry)) else { continue };
            entry.authority_granted = known.authority_granted;
            entry.fund_line.clone_from(&known.fund_line);
            entry.precedent_id = entry.precedent_id.or(known.precedent_id);
        }
        self
    }

    /// The complete set that the draft makes of its base.
    ///
    /// # Errors
    /// `Invalid`, naming the row and the field.
    pub fn apply(&self, base: &Entries, known: &Known<'_>) -> Result<Entries> {
        let mut entries = if self.whole { Entries::new() } else { base.clone() };
        let mut named = BTreeSet::new();
        for (number, rule) in self.removed.iter().enumerate() {
            let field = || format!("removed_rule_ids[{number}]");
            if !named.insert(rule) {
                return Err(Error::invalid(field(), "stands here twice"));
            }
            match entries.remove(rule) {
                None => return Err(Error::invalid(field(), "is no rule of the base")),
                Some(gone) if gone.entry.transfer_ref.is_some() => {
                    return Err(Error::invalid(field(), "goes with its transfer or admission"));
                }
                Some(_) => {}
            }
        }
        for (number, upsert) in self.upserts.iter().enumerate() {
            let row = format!("upserts[{number}]");
            if !named.insert(&upsert.entry.rule_id) {
                return Err(Error::invalid(format!("{row}.rule_id"), "stands here twice"));
            }
            if let Some((field, code)) = known.check(upsert).first() {
                return Err(Error::invalid(format!("{row}.{field}"), text(code).1));
            }
            if !known.leaves_duty(base.get(&upsert.entry.rule_id), upsert) {
                return Err(Error::invalid(format!("{row}.transfer_ref"), text("duty_entry").1));
            }
            entries.insert(upsert.entry.rule_id.clone(), upsert.clone());
        }
        if let Some(bare) = known.without_lead(base, &entries).first() {
            let message = text("no_lead").1.replace("{}", &bare.to_string());
            return Err(Error::invalid("upserts.item_code", message));
        }
        Ok(entries)
    }
}

/// Whether two entries give the same part in the same item to the same holder.
pub fn same_holder(one: &seed::Entry, other: &seed::Entry) -> bool {
    // The kind of an organisation that is named goes without saying.
    let holder = |entry: &seed::Entry| match &entry.org {
        Some(org) => (Some(org.clone()), None, None),
        None => (None, entry.org_kind, entry.line.clone()),
    };
    (&one.item_code, one.part) == (&other.item_code, other.part) && holder(one) == holder(other)
}

/// Whether a draft leaves an entry of a transfer or admission what it is, for the days that it holds. What a draft cannot say
/// does not count.
fn same_duty(based: &ListEntry, own: &ListEntry) -> bool {
    let said = |entry: &seed::Entry| seed::Entry {
        authority_granted: false,
        fund_line: None,
        org_kind: None,
        ..entry.clone()
    };
    said(&based.entry) == said(&own.entry) && (based.from, based.to) == (own.from, own.to)
}

impl Known<'_> {
    /// What is wrong with an entry: fields, and codes of `tables::text`.
    pub fn check(&self, upsert: &ListEntry) -> Vec<(&'static str, &'static str)> {
        let entry = &upsert.entry;
        let mut wrong = Vec::new();
        if !self.items.contains_key(&entry.item_code) {
            wrong.push(("item_code", "unknown_item"));
        }
        let kind = match (&entry.org, entry.org_kind) {
            (Some(code), named) => match (self.org_kind)(code) {
                Some(kind) if named.is_none_or(|named| named == kind) => Ok(kind),
                Some(_) => Err(("org_kind", "other_kind")),
                None => Err(("org_code", "unknown_org")),
            },
            (None, Some(kind)) => Ok(kind),
            (None, None) => Err(("org_kind", "no_holder")),
        };
        wrong.extend(kind.err());
        if entry.org.is_some() && entry.line.is_some() {
            wrong.push(("line", "line_of_org"));
        }
        let community = kind.is_ok_and(OrgKind::is_community_level) && entry.transfer_ref.is_none();
        if entry.part == ListPart::Lead && community {
            wrong.push(("part", "community_leads"));
        }
        if upsert.to.is_some_and(|to| to <= upsert.from) {
            wrong.push(("valid_to", "ends_before"));
        }
        wrong
    }

    /// Whether a draft leaves what transfers and admissions brought as it is.
    pub fn leaves_duty(&self, based: Option<&ListEntry>, own: &ListEntry) -> bool {
        let brought = |listed: &ListEntry| listed.entry.transfer_ref.is_some();
        let concerned = brought(own) || based.is_some_and(brought);
        !concerned || based.is_some_and(|based| same_duty(based, own))
    }

    /// Items that organisations handle and that on some day nobody may lead in every case, from today on; of a list that begins
    /// later, from its first day on. Who leads from a day that lies ahead leaves the days until then without anybody, and who
    /// leads until a day the days from it on.
    pub fn without_lead<'e>(&'e self, base: &Entries, entries: &Entries) -> Vec<Bare<'e>> {
        let list = if base.is_empty() { entries } else { base };
        let first = list.values().map(|listed| listed.from).min();
        leads::bare_from(self.items, entries, first.map_or(self.today, |first| first.max(self.today)))
    }
}

/// A rule that two versions have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryDifference {
    /// Unset: added.
    pub before: Option<ListEntry>,
    /// Unset: removed.
    pub after: Option<ListEntry>,
}

/// What `after` has otherwise than `before`, by rule id.
pub fn compare(before: &Entries, after: &Entries) -> BTreeMap<String, EntryDifference> {
    let rules: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing = rules.into_iter().filter(|rule| before.get(*rule) != after.get(*rule));
    let difference = |rule: &String| EntryDifference {
        before: before.get(rule).cloned(),
        after: after.get(rule).cloned(),
    };
    differing.map(|rule| (rule.clone(), difference(rule))).collect()
}

#[cfg(test)]
mod tests;
