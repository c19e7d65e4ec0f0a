//! Entries, drafts and what is refused of them.

use super::*;

pub(super) fn shipped() -> Entries {
    let list = seed::responsibility();
    let entry = |entry: &seed::Entry| ListEntry { entry: entry.clone(), from: list.valid_from, to: None };
    list.entries.iter().map(|own| (own.rule_id.clone(), entry(own))).collect()
}

pub(super) fn items() -> BTreeMap<String, seed::Item> {
    seed::catalogue().items.iter().map(|item| (item.item_code.clone(), item.clone())).collect()
}

pub(super) fn applied(draft: &Draft) -> Result<Entries> {
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
        ("upserts[0].line", |row| (row.entry.org, row.entry.org_kind) = (Some("committee:1".into()), None)),
        ("upserts[0].part", |row| {
            (row.entry.org, row.entry.org_kind, row.entry.line) = (Some("committee:1".into()), None, None);
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
        let org_kind = |code: &str| code.split_once(':').and_then(|(kind, _)| kind.parse::<OrgKind>().ok());
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
