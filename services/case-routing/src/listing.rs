//! Entries of the responsibility list as they are maintained: checked row by row, put together into a version, compared.
//! Pure; the database and the wire are others' affair.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use chassis::{Error, Result};
use chrono::NaiveDate;

use crate::{
    domain::{ListPart, OrgKind},
    seed,
    tables::text,
};

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
        bare_from(self.items, entries, first.map_or(self.today, |first| first.max(self.today)))
    }
}

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

/// Items that need a lead and have none on the given day, or on one after it.
fn bare_from<'e>(
    items: &'e BTreeMap<String, seed::Item>,
    entries: &Entries,
    day: NaiveDate,
) -> Vec<Bare<'e>> {
    let mut led: BTreeMap<&str, Vec<(NaiveDate, Option<NaiveDate>)>> = BTreeMap::new();
    for listed in leads(entries) {
        led.entry(&listed.entry.item_code).or_default().push((listed.from, listed.to));
    }
    led.values_mut().for_each(|days| days.sort_unstable());
    let needing = items.values().filter(|item| needs_lead(item)).map(|item| item.item_code.as_str());
    let bare = needing.filter_map(|item_code| {
        let days = led.get(item_code).map_or(&[][..], Vec::as_slice);
        first_gap(days, day).map(|from| Bare { item_code, from })
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
mod tests {
    use super::*;

    fn shipped() -> Entries {
        let list = seed::responsibility();
        let entry = |entry: &seed::Entry| ListEntry { entry: entry.clone(), from: list.valid_from, to: None };
        list.entries.iter().map(|own| (own.rule_id.clone(), entry(own))).collect()
    }

    fn items() -> BTreeMap<String, seed::Item> {
        seed::catalogue().items.iter().map(|item| (item.item_code.clone(), item.clone())).collect()
    }

    fn applied(draft: &Draft) -> Result<Entries> {
        let org_kind = |code: &str| code.split_once(':').and_then(|(kind, _)| kind.parse::<OrgKind>().ok());
        let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        draft.apply(&shipped(), &Known { items: &items(), org_kind: &org_kind, today })
    }

    fn refused(change: impl FnOnce(&mut ListEntry)) -> String {
        let mut row = shipped()["R-0001"].clone();
        row.entry.rule_id = "R-NEW".into();
        change(&mut row);
        applied(&Draft { upserts: vec![row], ..Draft::default() }).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_list_passes_its_own_checks() {
        let whole = Draft { upserts: shipped().into_values().collect(), whole: true, ..Draft::default() };
        assert_eq!(applied(&whole).unwrap(), shipped());
    }

    #[test]
    fn a_wrong_row_is_named_with_its_field() {
        type Change = fn(&mut ListEntry);
        let cases: [(&str, Change); 7] = [
            ("upserts[0].org_kind", |row| row.entry.org = Some("committee:1".into())),
            ("upserts[0].item_code", |row| row.entry.item_code = "XX-1".into()),
            ("upserts[0].org_kind", |row| row.entry.org_kind = None),
            ("upserts[0].org_code", |row| {
                (row.entry.org, row.entry.org_kind) = (Some("gov:atlantis".into()), None);
            }),
            ("upserts[0].line", |row| {
                (row.entry.org, row.entry.org_kind) = (Some("committee:1".into()), None)
            }),
            ("upserts[0].part", |row| {
                (row.entry.org, row.entry.org_kind, row.entry.line) =
                    (Some("committee:1".into()), None, None);
            }),
            ("upserts[0].valid_to", |row| row.to = Some(row.from)),
        ];
        for (field, change) in cases {
            let message = refused(change);
            assert!(message.contains(field), "{field}: {message}");
        }
    }

    #[test]
    fn a_community_leads_by_transfer_and_rules_stand_once() {
        let mut row = shipped()["R-0001"].clone();
        (row.entry.org, row.entry.org_kind, row.entry.line) = (Some("committee:1".into()), None, None);
        row.entry.transfer_ref = Some("transfer-1".into());
        // It comes with its transfer: a draft neither adds, changes nor removes it.
        let mut with_duty = shipped();
        with_duty.insert(row.entry.rule_id.clone(), row.clone());
        let drafted = |base: &Entries, draft: &Draft| {
            let org_kind =
                |code: &str| code.split_once(':').and_then(|(kind, _)| kind.parse::<OrgKind>().ok());
            let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
            draft.apply(base, &Known { items: &items(), org_kind: &org_kind, today })
        };
        let alone = |row: &ListEntry| Draft { upserts: vec![row.clone()], ..Draft::default() };
        let added = drafted(&shipped(), &alone(&row)).unwrap_err().to_string();
        assert!(added.contains("upserts[0].transfer_ref"), "{added}");
        assert!(drafted(&with_duty, &alone(&row)).is_ok(), "left as it is");
        let mut changed = row.clone();
        changed.entry.org = Some("committee:2".into());
        let changed = drafted(&with_duty, &alone(&changed)).unwrap_err().to_string();
        assert!(changed.contains("upserts[0].transfer_ref"), "{changed}");
        let later = ListEntry { from: row.from.succ_opt().unwrap(), ..row.clone() };
        let ended = ListEntry { to: NaiveDate::from_ymd_opt(2030, 1, 1), ..row.clone() };
        for moved in [later, ended] {
            let moved = drafted(&with_duty, &alone(&moved)).unwrap_err().to_string();
            assert!(moved.contains("upserts[0].transfer_ref"), "{moved}");
        }
        let removed = Draft { removed: vec![row.entry.rule_id.clone()], ..Draft::default() };
        let removed = drafted(&with_duty, &removed).unwrap_err().to_string();
        assert!(removed.contains("removed_rule_ids[0]"), "{removed}");
        let twice = Draft { upserts: vec![row.clone(), row.clone()], ..Draft::default() };
        assert!(drafted(&with_duty, &twice).unwrap_err().to_string().contains("upserts[1].rule_id"));
        let gone = Draft { removed: vec!["R-NONE".into()], ..Draft::default() };
        assert!(applied(&gone).unwrap_err().to_string().contains("removed_rule_ids[0]"));
    }

    #[test]
    fn what_a_draft_cannot_say_of_an_entry_stays_as_it_is() {
        let mut base = shipped();
        let mut brought = base["R-0001"].clone();
        brought.entry.rule_id = "D-1".into();
        brought.entry.transfer_ref = Some("transfer-1".into());
        brought.entry.precedent_id = Some(uuid::Uuid::from_u128(7));
        assert!(brought.entry.authority_granted && brought.entry.fund_line.is_some());
        base.insert("D-1".into(), brought);
        let said = |listed: &ListEntry| ListEntry {
            entry: seed::Entry {
                authority_granted: false,
                fund_line: None,
                precedent_id: None,
                ..listed.entry.clone()
            },
            ..listed.clone()
        };
        let upserts = base.values().map(said).collect();
        let kept = Draft { upserts, ..Draft::default() }.keeping(&base);
        assert_eq!(kept.upserts, base.values().cloned().collect::<Vec<_>>());
        // What is new, or comes from a precedent itself, is what it says.
        let mut new = said(&base["D-1"]);
        new.entry.rule_id = "R-NEW".into();
        let mut ruled = base["R-0001"].clone();
        ruled.entry.precedent_id = Some(uuid::Uuid::from_u128(8));
        let draft = Draft { upserts: vec![new, ruled], ..Draft::default() };
        assert_eq!(draft.clone().keeping(&base), draft);
    }

    #[test]
    fn what_came_with_an_entry_does_not_go_to_somebody_else() {
        let base = shipped();
        let known = &base["R-0001"];
        assert!(known.entry.authority_granted && known.entry.org.is_none());
        let said = |change: fn(&mut seed::Entry)| {
            let mut entry = known.entry.clone();
            (entry.authority_granted, entry.fund_line, entry.precedent_id) = (false, None, None);
            change(&mut entry);
            Draft { upserts: vec![ListEntry { entry, ..known.clone() }], ..Draft::default() }
        };
        let others: [fn(&mut seed::Entry); 5] = [
            |entry| entry.item_code = "CJ-0112".into(),
            |entry| entry.part = ListPart::Assist,
            |entry| (entry.org, entry.org_kind, entry.line) = (Some("government:1".into()), None, None),
            |entry| entry.org_kind = Some(OrgKind::Utility),
            |entry| entry.line = Some("elsewhere".into()),
        ];
        for change in others {
            let draft = said(change);
            assert_eq!(draft.clone().keeping(&base), draft);
        }
        // Where and until when it holds, and by what, is the same duty.
        let kept = said(|entry| entry.basis_doc = "another".into()).keeping(&base);
        assert_eq!(kept.upserts[0].entry.fund_line, known.entry.fund_line);
        assert!(kept.upserts[0].entry.authority_granted);
        // Nor does it matter whether the kind of an organisation is told beside its code.
        let mut named = known.clone();
        (named.entry.org, named.entry.line) = (Some("government:1".into()), None);
        named.entry.org_kind = Some(OrgKind::Government);
        let mut short = named.clone();
        (short.entry.org_kind, short.entry.authority_granted) = (None, false);
        let base = Entries::from([(named.entry.rule_id.clone(), named)]);
        let kept = Draft { upserts: vec![short], ..Draft::default() }.keeping(&base);
        assert!(kept.upserts[0].entry.authority_granted);
    }

    #[test]
    fn no_item_is_left_without_a_lead() {
        let leads = shipped().into_values().filter(|listed| {
            listed.entry.item_code == "CJ-0101"
                && matches!(listed.entry.part, ListPart::Lead | ListPart::StatutoryDuty)
        });
        let leads: Vec<ListEntry> = leads.collect();
        let removed = leads.iter().map(|listed| listed.entry.rule_id.clone()).collect();
        let message = applied(&Draft { removed, ..Draft::default() }).unwrap_err().to_string();
        assert!(message.contains("CJ-0101"), "{message}");
        let ended = leads.into_iter().map(|lead| ListEntry { to: lead.from.succ_opt(), ..lead });
        let ended = Draft { upserts: ended.collect(), ..Draft::default() };
        assert!(applied(&ended).unwrap_err().to_string().contains("CJ-0101"));
    }

    #[test]
    fn who_leads_from_a_day_that_lies_ahead_does_not_lead_today() {
        let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let tomorrow = today.succ_opt().unwrap();
        let from = |from: NaiveDate| {
            let leads = shipped().into_values().filter(|listed| {
                listed.entry.item_code == "CJ-0101"
                    && matches!(listed.entry.part, ListPart::Lead | ListPart::StatutoryDuty)
            });
            leads.map(move |listed| ListEntry { from, ..listed }).collect::<Vec<_>>()
        };
        let later = Draft { upserts: from(tomorrow), ..Draft::default() };
        assert!(applied(&later).unwrap_err().to_string().contains("CJ-0101"));
        assert!(applied(&Draft { upserts: from(today), ..Draft::default() }).is_ok());
        // Beside one that leads meanwhile.
        let mut beside = from(tomorrow);
        beside.iter_mut().for_each(|listed| listed.entry.rule_id.push_str("-NEW"));
        assert!(applied(&Draft { upserts: beside, ..Draft::default() }).is_ok());
        // A first list begins on its own first day.
        let org_kind = |code: &str| code.split_once(':').and_then(|(kind, _)| kind.parse::<OrgKind>().ok());
        let upserts: Vec<ListEntry> =
            shipped().into_values().map(|listed| ListEntry { from: tomorrow, ..listed }).collect();
        let first = Draft { upserts, ..Draft::default() };
        let known = Known { items: &items(), org_kind: &org_kind, today };
        assert!(first.apply(&Entries::new(), &known).is_ok());
        let all_later = Draft { whole: true, ..first };
        assert!(all_later.apply(&shipped(), &known).is_err(), "nobody would lead anything today");
    }

    /// Whoever leads the item in the shipped list, changed.
    fn leads_of(item: &str, change: impl Fn(&mut ListEntry)) -> Vec<ListEntry> {
        let mut found: Vec<ListEntry> =
            leads(&shipped()).filter(|listed| listed.entry.item_code == item).cloned().collect();
        found.iter_mut().for_each(change);
        found
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn who_leads_until_a_day_leaves_the_item_to_somebody_from_that_day_on() {
        let ends = leads_of("CJ-0101", |listed| listed.to = Some(day("2026-04-01")));
        let next = |from: &str| {
            leads_of("CJ-0101", |listed| {
                listed.entry.rule_id.push_str("-NEXT");
                listed.from = day(from);
            })
        };
        let drafted = |next: Vec<ListEntry>| {
            let upserts = ends.iter().cloned().chain(next).collect();
            applied(&Draft { upserts, ..Draft::default() })
        };
        for left in [drafted(Vec::new()), drafted(next("2026-04-02"))] {
            let message = left.unwrap_err().to_string();
            assert!(message.contains("CJ-0101 2026-04-01"), "{message}");
        }
        for from in ["2026-04-01", "2026-03-20"] {
            assert!(drafted(next(from)).is_ok(), "{from}");
        }
    }

    #[test]
    fn a_version_is_put_in_force_when_it_leaves_no_item_to_nobody() {
        let items = items();
        let mut ends = shipped();
        for lead in leads_of("CJ-0101", |listed| listed.to = Some(day("2026-04-01"))) {
            ends.insert(lead.entry.rule_id.clone(), lead);
        }
        let bare = |in_force: &Entries, entries: &Entries, on: &str| {
            abandoned(&items, in_force, entries, day(on)).map(|bare| bare.to_string())
        };
        assert_eq!(bare(&shipped(), &shipped(), "2026-04-01"), None);
        let days = [("2026-03-31", "2026-04-01"), ("2026-04-01", "2026-04-01"), ("2026-05-01", "2026-05-01")];
        for (on, from) in days {
            // Also where the one in force has the same gap.
            for in_force in [&shipped(), &ends] {
                assert_eq!(bare(in_force, &ends, on), Some(format!("CJ-0101 {from}")), "{on}");
            }
        }
        // It came into the catalogue, and nobody leads it yet: then the version takes nothing from it.
        let mut without = shipped();
        without.retain(|_, listed| listed.entry.item_code != "CJ-0101");
        assert_eq!(bare(&without, &without, "2026-04-01"), None);
        assert_eq!(bare(&shipped(), &without, "2026-04-01"), Some("CJ-0101 2026-04-01".to_owned()));
    }

    #[test]
    fn a_comparison_tells_added_removed_and_changed_rules_only() {
        let (before, mut after) = (shipped(), shipped());
        assert!(compare(&before, &after).is_empty());
        let mut new = after.remove("R-0002").unwrap();
        new.entry.rule_id = "R-NEW".into();
        after.insert("R-NEW".into(), new);
        after.get_mut("R-0003").unwrap().entry.mandatory ^= true;
        let found = compare(&before, &after);
        let kinds: Vec<_> =
            found.iter().map(|(rule, d)| (rule.as_str(), d.before.is_some(), d.after.is_some())).collect();
        assert_eq!(kinds, [("R-0002", true, false), ("R-0003", true, true), ("R-NEW", false, true)]);
    }
}
