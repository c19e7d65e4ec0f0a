use super::super::{Format, read, write};
use super::*;
use crate::cataloguing::{Reading, reading};

fn base() -> BTreeMap<String, Item> {
    seed::catalogue().items.iter().map(|item| (item.item_code.clone(), item.clone())).collect()
}

fn taken(table: &Table, whole: bool) -> Reading {
    against(table, &base(), &HashMap::new(), whole)
}

fn against(
    table: &Table,
    base: &BTreeMap<String, Item>,
    orgs: &HashMap<&str, OrgId>,
    whole: bool,
) -> Reading {
    let rules = Rules::default();
    let profile = |code: &str| seed::profiles().iter().any(|profile| profile.code == code);
    let at = "2026-03-02T09:00:00+08:00".parse().unwrap();
    let context = ItemContext { profile: &profile, orgs, rules: &rules, at };
    reading(table, base, whole, &context)
}

fn exported(english: bool, format: Format) -> Table {
    let rows: Vec<Vec<String>> = base().values().map(|item| item_cells(item, english)).collect();
    read(&write(&item_header(english), &rows, format).unwrap(), format).unwrap()
}

fn told(reading: &Reading) -> Vec<(u32, &str, &str)> {
    let found = reading.problems.found.iter();
    found.map(|problem| (problem.row, problem.column.as_str(), problem.code)).collect()
}

fn csv(text: &str) -> Table {
    read(text.as_bytes(), Format::Csv).unwrap()
}

#[test]
fn the_shipped_catalogue_goes_out_and_comes_in_without_a_difference() {
    for english in [true, false] {
        for format in [Format::Csv, Format::Xlsx] {
            let reading = taken(&exported(english, format), true);
            assert_eq!(told(&reading), [], "{english} {format:?}");
            assert_eq!((reading.rows, reading.draft.0.len()), (base().len(), 0));
        }
    }
}

/// A known item keeps what is not read, so that nothing may be known here.
#[test]
fn every_column_of_an_item_that_nobody_knew_is_read() {
    let mut expected = base();
    // What no shipped item has.
    let own = expected.get_mut("CJ-0101").unwrap();
    (own.lead_line_unclear, own.retention_days) = (true, 3_650);
    let bare = item_cells(&blank(), true);
    for (place, Column(code, ..)) in COLUMNS.iter().enumerate() {
        let mut cells = expected.values().map(|item| item_cells(item, true).swap_remove(place));
        assert!(cells.any(|cell| cell != bare[place]), "{code} is set nowhere");
    }
    let named = expected.values().flat_map(|item| &item.offer_chain);
    let named = named.filter(|step| !step.starts_with("kind:"));
    let orgs: HashMap<&str, OrgId> = named.map(|step| (step.as_str(), OrgId(uuid::Uuid::nil()))).collect();
    for (english, format) in
        [(true, Format::Csv), (false, Format::Csv), (true, Format::Xlsx), (false, Format::Xlsx)]
    {
        let rows: Vec<Vec<String>> = expected.values().map(|item| item_cells(item, english)).collect();
        let table = read(&write(&item_header(english), &rows, format).unwrap(), format).unwrap();
        let reading = against(&table, &BTreeMap::new(), &orgs, true);
        assert_eq!(told(&reading), [], "{english} {format:?}");
        assert_eq!(reading.draft.0.len(), expected.len());
        for (code, item) in &expected {
            assert_eq!(reading.draft.0[code].item.as_ref(), Some(item), "{english} {format:?}");
        }
    }
}

#[test]
fn a_column_that_is_left_out_leaves_known_items_as_they_are() {
    let table = csv("item_code,promised_limit,stages\nCJ-0101,3 工作日,\nCJ-0105,,\n");
    let reading = taken(&table, false);
    assert_eq!(told(&reading), [(3, "promised_limit", "required")]);
    let table = csv("事项编码,承诺时限\nCJ-0101,3工作日\n");
    let reading = taken(&table, false);
    assert_eq!((told(&reading), reading.draft.counts()), (vec![], (0, 1, 0)));
    let change = &reading.draft.0["CJ-0101"];
    let fields = item_changes(change.base.as_ref().unwrap(), change.item.as_ref().unwrap());
    assert_eq!(fields, [("promised_limit", "5 work_day".to_owned(), "3 work_day".to_owned())]);
}

#[test]
fn how_long_cases_of_an_item_are_kept_goes_out_and_comes_in() {
    let kept = Item { retention_days: 3_650, ..base()["CJ-0101"].clone() };
    for (english, format) in [(true, Format::Csv), (false, Format::Xlsx)] {
        let rows = [item_cells(&kept, english)];
        let table = read(&write(&item_header(english), &rows, format).unwrap(), format).unwrap();
        let reading = taken(&table, false);
        assert_eq!((told(&reading), reading.draft.counts()), (vec![], (0, 1, 0)), "{english} {format:?}");
        let change = &reading.draft.0["CJ-0101"];
        let (before, after) = (change.base.as_ref().unwrap(), change.item.as_ref().unwrap());
        assert_eq!(
            item_changes(before, after),
            [("retention_days", String::new(), "3650".to_owned())],
            "{english} {format:?}"
        );
        assert_eq!(after.service_item(&HashMap::new()).retention_days, Some(3_650));
        assert_eq!(before.service_item(&HashMap::new()).retention_days, None, "as the cell keeps all");
    }
}

#[test]
fn a_new_item_needs_its_fields_and_a_whole_file_ends_what_is_not_in_it() {
    let reading = taken(&csv("item_code,name_zh\nCJ-0999,新事项\n"), false);
    let wanted =
        ["name_en", "category", "nature", "lines", "item_kind", "promised_limit", "sla_profile", "channels"];
    let columns: Vec<&str> = reading.problems.found.iter().map(|problem| problem.column.as_str()).collect();
    assert_eq!(columns, wanted);
    assert!(reading.problems.found.iter().all(|problem| (problem.row, problem.code) == (2, "required")));

    let mut table = exported(true, Format::Csv);
    table.rows.retain(|row| row.cells[0] != "CJ-0101");
    let reading = taken(&table, true);
    assert_eq!((told(&reading), reading.draft.counts()), (vec![], (0, 0, 1)));
    assert_eq!(taken(&table, false).draft.0.len(), 0, "a part of the catalogue ends nothing");
    table.rows.retain(|row| row.cells[0] != "CJ-9901");
    let reading = taken(&table, true);
    assert_eq!(told(&reading), [(0, "", "ends_default")]);
}

/// Every wrong cell of a file in one answer, each with its row and column.
#[test]
fn all_that_is_wrong_is_told_with_row_and_column() {
    let header = item_header(false);
    let place = |code: &str| COLUMNS.iter().position(|Column(known, ..)| *known == code).unwrap();
    let good = item_cells(&base()["CJ-0101"], false);
    let wrong: &[(&str, &str, &str)] = &[
        ("item_code", "CJ 0101", "not_a_code"),
        ("item_code", "XX-0101", "code_of_category"),
        ("name_zh", "", "required"),
        ("name_en", &"x".repeat(121), "too_long"),
        ("category", "天文", "unknown_category"),
        ("nature", "wish", "unknown_value"),
        ("lines", "a;a", "duplicate_value"),
        ("lines", "a b", "not_a_code"),
        ("department_item", "perhaps", "not_a_flag"),
        ("item_kind", "poem", "unknown_value"),
        ("urgency", "soon", "unknown_value"),
        ("statutory_limit", "soon", "not_a_limit"),
        ("statutory_limit", "2 工作日", "promised_longer"),
        ("promised_limit", "0 work_day", "not_a_limit"),
        ("promised_limit", "400 work_day", "not_a_limit"),
        ("stages", "secure|围护", "not_a_stage"),
        ("stages", "a|甲|a|1 work_day; a|乙|b|1 work_day", "duplicate_value"),
        ("stages", "a|甲|a|9 work_day", "stages_longer"),
        ("sla_profile", "nothing", "unknown_profile"),
        ("self_solvable", "是", "no_partner"),
        ("offer_chain", "kind:circus", "unknown_partner"),
        ("offer_chain", "org:atlantis", "unknown_partner"),
        ("emergency_channel", "一一〇", "not_a_code"),
        ("public_notice_days", "many", "not_a_number"),
        ("public_notice_days", "61", "out_of_range"),
        ("public_notice_days", "7", "application_only"),
        ("urgent_max_fen", "-1", "out_of_range"),
        ("benefit_tag", "低保", "not_a_code"),
        ("benefit_tag", "dibao", "application_only"),
        ("benefit_tag", "dibao", "tag_and_review"),
        ("review_months", "2", "out_of_range"),
        ("review_months", "12", "application_only"),
        ("review_months", "12", "tag_and_review"),
        ("materials", &"x;".repeat(31), "too_many"),
        ("open_condition", &"x".repeat(501), "too_long"),
        ("retention_days", "for ever", "not_a_number"),
        ("retention_days", "36501", "out_of_range"),
        ("channels", "window; pigeon", "unknown_value"),
        ("channels", "app; web", "too_few_channels"),
        ("channels", "window", "too_few_channels"),
    ];
    let rows: Vec<Vec<String>> = (0..wrong.len())
        .map(|number| {
            let (column, value, _) = wrong[number];
            let mut row = good.clone();
            row[0] = format!("CJ-{:04}", 1_000 + number);
            row[place(column)] = value.to_owned();
            row
        })
        .collect();
    for format in [Format::Csv, Format::Xlsx] {
        let table = read(&write(&header, &rows, format).unwrap(), format).unwrap();
        let reading = taken(&table, false);
        for (number, (column, value, code)) in (2_u32..).zip(wrong) {
            let column = COLUMNS[place(column)].1;
            // What is told of other columns follows from it, such as an empty chain.
            let found = told(&reading);
            let of_row: Vec<_> = found.iter().filter(|(row, ..)| *row == number).collect();
            let shown = match *code {
                "no_partner" => "邀请次序",
                "tag_and_review" if column == "待遇标签" => "复核周期（月）",
                "tag_and_review" => "待遇标签",
                "promised_longer" => "承诺时限",
                _ => column,
            };
            assert!(
                of_row.iter().any(|found| **found == (number, shown, code)),
                "{value} in {column}: {of_row:?}"
            );
        }
        assert!(reading.problems.found.is_sorted_by_key(|problem| problem.row));
        for problem in &reading.problems.found {
            let (zh, en) = problem.texts();
            assert!(!zh.contains("{}") && !en.contains("{}") && zh != "有误", "{problem:?}");
        }
    }
}

#[test]
fn a_header_is_known_and_rows_stand_once() {
    let reading = taken(&csv("item_code,weather,item_code\nCJ-0101,,\n"), false);
    assert_eq!(told(&reading), [(1, "weather", "unknown_column"), (1, "item_code", "duplicate_column")]);
    let reading = taken(&csv("name_zh\nx\n"), false);
    assert_eq!(told(&reading), [(1, "", "missing_column")]);
    let reading = taken(&csv("item_code,name_zh\nCJ-0101,a\n\n\"CJ-0101\",b,c\n"), false);
    let expected = [(4, "", "no_heading"), (4, "item_code", "duplicate")];
    assert_eq!(told(&reading), expected);
    assert_eq!(reading.problems.found[1].what, "2");
}
