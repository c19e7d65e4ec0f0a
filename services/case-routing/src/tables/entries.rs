//! The responsibility list as a table: one row per entry.

use std::collections::HashMap;

use super::{
    Table,
    fields::{Cells, Column, Columns, flag_text, is_code},
    problem::Problems,
};
use crate::{
    domain::{ListPart, OrgKind},
    listing::{Draft, Entries, Known, ListEntry, same_holder},
    seed,
};

const COLUMNS: &[Column] = &[
    Column("rule_id", "规则编号", true),
    Column("item_code", "事项编码", true),
    Column("part", "职责", true),
    Column("org_code", "单位编码", false),
    Column("org_kind", "单位类型", false),
    Column("line", "条线", false),
    Column("condition", "适用条件", false),
    Column("mandatory", "必须协办", false),
    Column("transfer_ref", "移交或准入", false),
    Column("basis_doc", "依据", true),
    Column("valid_from", "起始日", false),
    Column("valid_to", "终止日", false),
];

/// What entries are checked against.
pub type EntryContext<'a> = Known<'a>;

/// Names of the columns.
pub fn entry_header(english: bool) -> Vec<&'static str> {
    COLUMNS.iter().map(|Column(code, zh, _)| if english { *code } else { *zh }).collect()
}

/// An entry as a row.
pub fn entry_cells(listed: &ListEntry, english: bool) -> Vec<String> {
    let entry = &listed.entry;
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        entry.rule_id.clone(),
        entry.item_code.clone(),
        entry.part.to_string(),
        some(&entry.org),
        entry.org_kind.map(|kind| kind.to_string()).unwrap_or_default(),
        some(&entry.line),
        entry.condition.as_ref().map(ToString::to_string).unwrap_or_default(),
        flag_text(entry.mandatory, english),
        some(&entry.transfer_ref),
        entry.basis_doc.clone(),
        listed.from.to_string(),
        listed.to.map(|day| day.to_string()).unwrap_or_default(),
    ]
}

/// What a table makes of its base; what is wrong is in `problems`. A whole table drops what is not in it.
pub fn read_entries(
    table: &Table,
    base: &Entries,
    whole: bool,
    context: &EntryContext<'_>,
    problems: &mut Problems,
) -> Draft {
    let columns = Columns::of(table, COLUMNS, "rule_id", problems);
    let mut draft = Draft::default();
    if !columns.has("rule_id") {
        return draft;
    }
    let mut seen: HashMap<String, u32> = HashMap::new();
    for row in &table.rows {
        let before = problems.count();
        let mut cells = Cells::of(&columns, row, problems);
        let rule = cells.get("rule_id").unwrap_or_default();
        if let Some(first) = seen.insert(rule.to_owned(), row.number).filter(|_| !rule.is_empty()) {
            cells.wrong("rule_id", "duplicate", first);
        }
        let known = base.get(rule);
        let mut listed = known.cloned().unwrap_or_else(blank);
        match known {
            None => cells.needs(COLUMNS),
            Some(_) => cells.keeps(COLUMNS),
        }
        fill(&mut cells, &mut listed);
        if known.is_some_and(|known| !same_holder(&known.entry, &listed.entry)) {
            // What came with it did not come to somebody else.
            let entry = &mut listed.entry;
            (entry.authority_granted, entry.fund_line, entry.precedent_id) = (false, None, None);
        }
        if known == Some(&listed) {
            continue; // as it was, though it might not be taken today
        }
        for (field, code) in context.check(&listed) {
            cells.wrong(field, code, "");
        }
        if !context.leaves_duty(known, &listed) {
            cells.wrong("transfer_ref", "duty_entry", "");
        }
        if problems.count() == before {
            draft.upserts.push(listed);
        }
    }
    if whole && problems.is_empty() {
        for (rule, gone) in base.iter().filter(|(rule, _)| !seen.contains_key(*rule)) {
            if gone.entry.transfer_ref.is_some() {
                problems.add(0, "", "duty_gone", rule);
            }
            draft.removed.push(rule.clone());
        }
    }
    if problems.is_empty() {
        let mut entries = base.clone();
        draft.removed.iter().for_each(|rule| drop(entries.remove(rule)));
        entries.extend(draft.upserts.iter().map(|listed| (listed.entry.rule_id.clone(), listed.clone())));
        let bare = context.without_lead(base, &entries);
        bare.into_iter().for_each(|item| problems.add(0, "", "no_lead", item));
    }
    draft
}

fn blank() -> ListEntry {
    ListEntry {
        entry: seed::Entry {
            rule_id: String::new(),
            item_code: String::new(),
            part: ListPart::Lead,
            org_kind: None,
            line: None,
            org: None,
            condition: None,
            basis_doc: String::new(),
            mandatory: false,
            authority_granted: false,
            transfer_ref: None,
            precedent_id: None,
            fund_line: None,
        },
        from: chrono::NaiveDate::default(),
        to: None,
    }
}

fn fill(cells: &mut Cells<'_>, listed: &mut ListEntry) {
    let entry = &mut listed.entry;
    cells.code("rule_id", &mut entry.rule_id);
    cells.code("item_code", &mut entry.item_code);
    let parts: Vec<_> = ListPart::ALL.iter().map(|part| (part.as_str(), *part)).collect();
    cells.word("part", &parts, &mut entry.part);
    reference(cells, "org_code", &mut entry.org);
    kind(cells, &mut entry.org_kind);
    reference(cells, "line", &mut entry.line);
    match cells.get("condition").map(|text| (text.is_empty(), text.parse())) {
        None => {}
        Some((true, _)) => entry.condition = None,
        Some((false, Ok(condition))) => entry.condition = Some(condition),
        Some((false, Err(error))) => cells.wrong("condition", "not_a_condition", error),
    }
    cells.flag("mandatory", &mut entry.mandatory);
    reference(cells, "transfer_ref", &mut entry.transfer_ref);
    cells.text("basis_doc", 200, &mut entry.basis_doc);
    let mut from = Some(listed.from);
    cells.day("valid_from", &mut from);
    listed.from = from.unwrap_or_default();
    cells.day("valid_to", &mut listed.to);
}

/// A short text without blanks, or nothing.
fn reference(cells: &mut Cells<'_>, column: &str, field: &mut Option<String>) {
    let Some(text) = cells.get(column) else { return };
    if text.is_empty() {
        *field = None;
    } else if text.len() <= 200 && text.chars().all(|c| c.is_ascii_graphic()) {
        *field = Some(text.to_owned());
    } else {
        cells.wrong(column, if is_code(text) { "too_long" } else { "not_a_code" }, 200);
    }
}

fn kind(cells: &mut Cells<'_>, field: &mut Option<OrgKind>) {
    if cells.get("org_kind").is_some_and(str::is_empty) {
        *field = None;
        return;
    }
    let kinds: Vec<_> = OrgKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
    let mut named = OrgKind::Department;
    if cells.get("org_kind").is_some() {
        let known = kinds.iter().any(|(word, _)| Some(*word) == cells.get("org_kind"));
        cells.word("org_kind", &kinds, &mut named);
        if known {
            *field = Some(named);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::NaiveDate;

    use super::super::{Format, read, write};
    use super::*;

    fn base() -> Entries {
        let list = seed::responsibility();
        let entry = |entry: &seed::Entry| ListEntry { entry: entry.clone(), from: list.valid_from, to: None };
        list.entries.iter().map(|own| (own.rule_id.clone(), entry(own))).collect()
    }

    fn taken(table: &Table, base: &Entries, whole: bool) -> (Draft, Vec<(u32, String, &'static str)>) {
        let items: BTreeMap<String, seed::Item> =
            seed::catalogue().items.iter().map(|item| (item.item_code.clone(), item.clone())).collect();
        let org_kind = |code: &str| code.split_once(':').and_then(|(kind, _)| kind.parse::<OrgKind>().ok());
        let today = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let mut problems = Problems::default();
        let known = Known { items: &items, org_kind: &org_kind, today };
        let draft = read_entries(table, base, whole, &known, &mut problems);
        let found = problems.sorted().found.into_iter();
        (draft, found.map(|problem| (problem.row, problem.column, problem.code)).collect())
    }

    fn csv(text: &str) -> Table {
        read(text.as_bytes(), Format::Csv).unwrap()
    }

    #[test]
    fn the_list_goes_out_and_comes_in_without_a_difference() {
        let mut base = base();
        let entry = base.get_mut("R-0002").unwrap();
        entry.entry.condition = Some("time=off & urgency=urgent|emergency".parse().unwrap());
        entry.to = NaiveDate::from_ymd_opt(2030, 1, 1);
        let mut brought = base["R-0001"].clone();
        brought.entry.rule_id = "D-1".into();
        (brought.entry.transfer_ref, brought.entry.fund_line) = (Some("transfer-1".into()), Some("f".into()));
        base.insert("D-1".into(), brought);
        for (english, format) in
            [(true, Format::Csv), (false, Format::Csv), (true, Format::Xlsx), (false, Format::Xlsx)]
        {
            let rows: Vec<Vec<String>> = base.values().map(|listed| entry_cells(listed, english)).collect();
            let table = read(&write(&entry_header(english), &rows, format).unwrap(), format).unwrap();
            let (draft, found) = taken(&table, &base, true);
            assert_eq!((draft, found), (Draft::default(), vec![]), "{english} {format:?}");
        }
    }

    /// A known entry keeps what is not read, so that none may be known here.
    #[test]
    fn every_column_of_an_entry_that_nobody_knew_is_read() {
        let mut expected = base();
        let entry = expected.get_mut("R-0002").unwrap();
        entry.entry.condition = Some("time=off & urgency=urgent|emergency".parse().unwrap());
        entry.to = NaiveDate::from_ymd_opt(2030, 1, 1);
        for listed in expected.values_mut() {
            // No column brings these.
            let entry = &mut listed.entry;
            (entry.authority_granted, entry.fund_line, entry.precedent_id) = (false, None, None);
        }
        let bare = entry_cells(&blank(), true);
        for (place, Column(code, ..)) in COLUMNS.iter().enumerate() {
            let mut cells = expected.values().map(|listed| entry_cells(listed, true).swap_remove(place));
            // A transfer comes by no file: that its column is read is shown where it is refused.
            let set = *code == "transfer_ref" || cells.any(|cell| cell != bare[place]);
            assert!(set, "{code} is set nowhere");
        }
        for (english, format) in
            [(true, Format::Csv), (false, Format::Csv), (true, Format::Xlsx), (false, Format::Xlsx)]
        {
            let rows: Vec<Vec<String>> =
                expected.values().map(|listed| entry_cells(listed, english)).collect();
            let table = read(&write(&entry_header(english), &rows, format).unwrap(), format).unwrap();
            let (draft, found) = taken(&table, &Entries::new(), true);
            assert!(found.is_empty(), "{english} {format:?}: {found:?}");
            let brought: Entries =
                draft.upserts.into_iter().map(|own| (own.entry.rule_id.clone(), own)).collect();
            assert_eq!(brought.len(), expected.len());
            for (rule, listed) in &expected {
                assert_eq!(brought.get(rule), Some(listed), "{english} {format:?}");
            }
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_with_row_and_column() {
        let table = csv(
            "rule_id,item_code,part,org_code,org_kind,line,condition,mandatory,basis_doc,valid_from,valid_to\n\
             N-1,XX-1,lead,,department,housing,,no,d,,\n\
             N-2,CJ-0101,boss,,circus,,,perhaps,,,\n\
             N-3,CJ-0101,lead,committee:1,,,,no,d,,\n\
             N-4,CJ-0101,lead,government:1,department,,,no,d,2026-13-01,\n\
             N-5,CJ-0101,lead,,department,,weather=rain,no,d,2026-03-01,2026-03-01\n\
             N-5,CJ-0101,assist,,,,,no,d,,\n\
             N-6,CJ-0101,assist,atlantis,,,,no,d,,\n\
             ,CJ-0101,assist,,department,,,no,d,,\n",
        );
        let (_, found) = taken(&table, &base(), false);
        let found: Vec<_> = found.iter().map(|(row, column, code)| (*row, column.as_str(), *code)).collect();
        for expected in [
            (2, "item_code", "unknown_item"),
            (3, "part", "unknown_value"),
            (3, "org_kind", "unknown_value"),
            (3, "mandatory", "not_a_flag"),
            (3, "basis_doc", "required"),
            (4, "part", "community_leads"),
            (5, "org_kind", "other_kind"),
            (5, "valid_from", "not_a_day"),
            (6, "condition", "not_a_condition"),
            (6, "valid_to", "ends_before"),
            (7, "rule_id", "duplicate"),
            (7, "org_kind", "no_holder"),
            (8, "org_code", "unknown_org"),
            (9, "rule_id", "required"),
        ] {
            assert!(found.contains(&expected), "{expected:?} is not in {found:?}");
        }
    }

    #[test]
    fn what_came_with_an_entry_does_not_go_to_somebody_else_by_a_file() {
        let mut base = base();
        base.get_mut("R-0001").unwrap().entry.precedent_id = Some(uuid::Uuid::from_u128(7));
        let known = base["R-0001"].entry.clone();
        assert!(known.authority_granted && known.fund_line.is_some());
        let of = |text: &str| {
            let (mut draft, found) = taken(&csv(text), &base, false);
            assert!(found.is_empty(), "{found:?}");
            draft.upserts.swap_remove(0).entry
        };
        let moved = of("rule_id,line\nR-0001,elsewhere\n");
        assert_eq!((moved.authority_granted, moved.fund_line, moved.precedent_id), (false, None, None));
        let kept = of("rule_id,basis_doc\nR-0001,another\n");
        assert_eq!(kept, seed::Entry { basis_doc: "another".into(), ..known });
    }

    #[test]
    fn a_file_leaves_duties_alone_and_every_item_a_lead() {
        let mut base = base();
        let mut brought = base["R-0001"].clone();
        brought.entry.rule_id = "D-1".into();
        brought.entry.transfer_ref = Some("transfer-1".into());
        base.insert("D-1".into(), brought);
        let (_, found) = taken(&csv("rule_id,basis_doc\nD-1,another\n"), &base, false);
        assert_eq!(found, [(2, "transfer_ref".to_owned(), "duty_entry")]);
        for days in ["valid_from\nD-1,2026-03-03", "valid_to\nD-1,2030-01-01"] {
            let (_, found) = taken(&csv(&format!("rule_id,{days}\n")), &base, false);
            assert_eq!(found, [(2, "transfer_ref".to_owned(), "duty_entry")]);
        }
        for transfers in ["D-1,transfer-2", "D-1,", "R-0001,transfer-1"] {
            let (_, found) = taken(&csv(&format!("rule_id,transfer_ref\n{transfers}\n")), &base, false);
            assert_eq!(found, [(2, "transfer_ref".to_owned(), "duty_entry")], "{transfers}");
        }
        let (_, found) = taken(&csv("rule_id\nR-0001\n"), &base, true);
        assert_eq!(found, [(0, String::new(), "duty_gone")]);
        // Only where it holds is no lead for everywhere.
        base.remove("D-1");
        let conditional = csv("rule_id,condition\nR-0001,vulnerable=yes\n");
        let (_, found) = taken(&conditional, &base, false);
        assert_eq!(found, [(0, String::new(), "no_lead")]);
        // Nor is one that ends before another leads.
        let (_, found) = taken(&csv("rule_id,valid_to\nR-0001,2030-01-01\n"), &base, false);
        assert_eq!(found, [(0, String::new(), "no_lead")]);
        let (draft, found) = taken(&csv("rule_id,mandatory\nR-0002,是\n"), &base, false);
        assert_eq!((draft.upserts.len(), found), (1, vec![]));
    }
}
