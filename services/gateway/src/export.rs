//! Cases as a table, for CSV and spreadsheets: the columns, their names in both languages, and cells that a spreadsheet
//! program takes as text. Only the redacted copy of a text is in it.

use proto::{
    case_routing::v1::Case,
    identity::v1::{Unit, UnitState},
};

use crate::board::{Lang, bare, local};

/// Names of the columns, Chinese and English.
const COLUMNS: [(&str, &str); 15] = [
    ("编号", "Number"),
    ("状态", "State"),
    ("事项编码", "Item code"),
    ("事项", "Item"),
    ("地点", "Place"),
    ("紧急程度", "Urgency"),
    ("登记时间", "Registered"),
    ("办结时限", "Due"),
    ("超期", "Overdue"),
    ("主办单位", "Lead"),
    ("结案时间", "Closed"),
    ("结案方式", "Closed as"),
    ("评价", "Rating"),
    ("内容（已脱敏）", "Text (redacted)"),
    ("标识", "Id"),
];

/// A row of the table.
pub type Row = [String; COLUMNS.len()];

/// The names of the columns.
#[must_use]
pub fn header(english: bool) -> Row {
    COLUMNS.map(|(zh, en)| if english { en } else { zh }.to_owned())
}

/// Whether a unit is no more: what was done there still bears its name.
#[must_use]
pub fn has_ended(unit: &Unit) -> bool {
    matches!(unit.state(), UnitState::Merged | UnitState::Split | UnitState::Abolished)
}

/// The Chinese and the English name of a unit; of one that has ended they say so, for its successor may bear the same.
#[must_use]
pub fn unit_names(unit: &Unit) -> (String, String) {
    let ended = has_ended(unit);
    let marked = |name: &str, mark: &str| match name {
        "" => String::new(),
        name if ended => format!("{name}{mark}"),
        name => name.to_owned(),
    };
    (marked(&unit.name_zh, "（已撤并）"), marked(&unit.name_en, " (ended)"))
}

/// A case as a row; `name` gives the name of a unit or organisation by id.
pub fn row(case: &Case, english: bool, name: impl Fn(&str) -> String) -> Row {
    let lang = if english { Lang::En } else { Lang::Zh };
    let named = |id: &str| if id.is_empty() { String::new() } else { name(id) };
    let code = |number: i32, text: &str, prefix: &str| match number {
        0 => String::new(),
        _ => lang.name(bare(text, prefix)),
    };
    let yes = |is: bool| if is { lang.t("是", "yes") } else { "" }.to_owned();
    [
        case.case_no.clone(),
        code(case.state, case.state().as_str_name(), "CASE_STATE_"),
        case.item_code.clone(),
        lang.named(&case.item_name_zh, &case.item_name_en).to_owned(),
        named(&case.place_unit_id),
        code(case.urgency, case.urgency().as_str_name(), "URGENCY_"),
        local(case.registered_time.as_ref()),
        local(case.resolve_due_time.as_ref()),
        yes(case.overdue),
        named(&case.lead_org_id),
        local(case.closed_time.as_ref()),
        // The whole name: some of its codes are states too.
        if case.closed_code == 0 { String::new() } else { lang.name(case.closed_code().as_str_name()) },
        case.rating.as_ref().map(|rating| rating.grade.to_string()).unwrap_or_default(),
        case.text_redacted.clone(),
        case.case_id.clone(),
    ]
}

/// What a CSV file begins with, so that spreadsheet programs read it as UTF-8.
pub const BOM: &str = "\u{feff}";

/// A row as a line of CSV (RFC 4180).
#[must_use]
pub fn line(row: &Row) -> String {
    let mut line = row.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// The cell in quotes. Text that a spreadsheet program would take for a formula gets an apostrophe in front, also
/// where blanks or a full-width sign come first.
fn quoted(cell: &str) -> String {
    let formula = |c: char| matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '|' | '%');
    let guarded = cell.starts_with(['\t', '\r', '\n']) || cell.trim_start().starts_with(formula);
    let guard = if guarded { "'" } else { "" };
    format!("\"{guard}{}\"", cell.replace('"', "\"\"").replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::{CaseState, ClosedCode};

    use super::*;

    #[test]
    fn a_cell_that_looks_like_a_formula_is_text() {
        for cell in ["=1+1", "+86", "-2", "@SUM(A1)", "\t=1", " =1", "\r=1", "\n=1", "＝1", "%x"] {
            assert!(quoted(cell).starts_with("\"'"), "{cell:?}");
        }
        assert_eq!(quoted("路灯=不亮, \"三\"天\n"), "\"路灯=不亮, \"\"三\"\"天\n\"");
        assert_eq!(quoted(""), "\"\"");
    }

    #[test]
    fn the_name_of_a_unit_says_that_it_has_ended() {
        let unit = |state: UnitState, en: &str| Unit {
            name_zh: "大夹社区".into(),
            name_en: en.into(),
            state: state.into(),
            ..Default::default()
        };
        let names = |state, en| unit_names(&unit(state, en));
        assert_eq!(names(UnitState::Active, "Dajia"), ("大夹社区".to_owned(), "Dajia".to_owned()));
        for state in [UnitState::Merged, UnitState::Split, UnitState::Abolished] {
            assert_eq!(names(state, "Dajia"), ("大夹社区（已撤并）".to_owned(), "Dajia (ended)".to_owned()));
            assert_eq!(names(state, ""), ("大夹社区（已撤并）".to_owned(), String::new()));
        }
    }

    #[test]
    fn a_row_holds_names_and_the_redacted_text_in_either_language() {
        let case = Case {
            case_no: "420103-1".into(),
            state: CaseState::Closed.into(),
            closed_code: ClosedCode::Resolved.into(),
            item_name_zh: "路灯不亮".into(),
            item_name_en: "Street lamp out".into(),
            place_unit_id: "u".into(),
            text_redacted: "电话***".into(),
            overdue: true,
            ..Default::default()
        };
        let name = |id: &str| format!("<{id}>");
        let (zh, en) = (row(&case, false, name), row(&case, true, name));
        assert_eq!((zh[1].as_str(), zh[3].as_str(), zh[4].as_str()), ("已结案", "路灯不亮", "<u>"));
        assert_eq!((zh[8].as_str(), zh[9].as_str(), zh[11].as_str()), ("是", "", "已解决"));
        assert_eq!(
            (en[1].as_str(), en[3].as_str(), en[11].as_str()),
            ("Closed", "Street lamp out", "Resolved")
        );
        assert_eq!(en[13], "电话***");
        assert_eq!(line(&header(true)).matches(',').count(), COLUMNS.len() - 1);
    }
}
