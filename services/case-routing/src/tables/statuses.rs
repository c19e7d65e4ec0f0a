//! What another system says of its referrals as a table: one row per status.

use chassis::Timestamp;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SubsecRound};

use super::{
    Table,
    fields::{Cells, Column, Columns},
    problem::Problems,
};

const COLUMNS: &[Column] = &[
    Column("ext_no", "工单号", true),
    Column("external_status", "对方状态", true),
    Column("changed_time", "状态时间", false),
];

/// A row that can be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRow {
    /// As a spreadsheet shows it.
    pub row: u32,
    /// Number of the referral there.
    pub ext_no: String,
    /// What its status is called there.
    pub status: String,
    /// When it came to it; left out: now.
    pub at: Option<Timestamp>,
}

/// The rows of a file, and how it calls its columns.
pub struct Statuses {
    /// In the order of the file, without those in which something is wrong.
    pub rows: Vec<StatusRow>,
    columns: Columns,
}

impl Statuses {
    /// A column as the file calls it.
    pub fn shown(&self, code: &str) -> String {
        self.columns.shown(code)
    }
}

/// Reads a table; what is wrong is in `problems`. With a wrong header there are no rows.
pub fn read_statuses(table: &Table, problems: &mut Problems) -> Statuses {
    let columns = Columns::of(table, COLUMNS, "ext_no", problems);
    if !columns.has("external_status") {
        problems.add(1, "", "missing_column", "external_status");
    }
    let mut rows = Vec::new();
    if problems.is_empty() {
        for row in &table.rows {
            let before = problems.count();
            let mut cells = Cells::of(&columns, row, problems);
            cells.needs(COLUMNS);
            let mut found =
                StatusRow { row: row.number, ext_no: String::new(), status: String::new(), at: None };
            number(&mut cells, &mut found.ext_no);
            cells.text("external_status", 64, &mut found.status);
            time(&mut cells, &mut found.at);
            if problems.count() == before {
                rows.push(found);
            }
        }
    }
    Statuses { rows, columns }
}

fn number(cells: &mut Cells<'_>, field: &mut String) {
    let text = cells.get("ext_no").unwrap_or_default();
    if text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic()) {
        text.clone_into(field);
    } else {
        cells.wrong("ext_no", "not_an_ext_no", "");
    }
}

fn time(cells: &mut Cells<'_>, field: &mut Option<Timestamp>) {
    let text = cells.get("changed_time").unwrap_or_default();
    *field = instant(text);
    if field.is_none() && !text.is_empty() {
        cells.wrong("changed_time", "not_a_time", "");
    }
}

/// `2026-03-01 14:30`, with seconds or without, also with slashes; a day alone, which is its first moment; or an instant with its
/// own offset from UTC. Without one it is the time here.
fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return known(at.to_utc());
    }
    let text = text.replace('/', "-").replace('T', " ");
    let local = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok())
        .or_else(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN)))
        .filter(|local| (1..=9999).contains(&local.year()))?;
    known(calendar::instant(local.date(), local.time()))
}

/// What the database can hold, to its precision.
fn known(at: Timestamp) -> Option<Timestamp> {
    Some(at.trunc_subsecs(6)).filter(|at| (1..=9999).contains(&at.year()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Format, read};
    use super::*;

    fn taken(text: &str) -> (Vec<StatusRow>, Vec<(u32, String, &'static str)>) {
        let mut problems = Problems::default();
        let statuses = read_statuses(&read(text.as_bytes(), Format::Csv).unwrap(), &mut problems);
        let found = problems.sorted().found.into_iter();
        (statuses.rows, found.map(|problem| (problem.row, problem.column, problem.code)).collect())
    }

    #[test]
    fn times_are_read_as_people_and_systems_write_them() {
        let here = |text: &str| instant(text).map(|at| at.to_rfc3339());
        for text in [
            "2026-03-01 14:30",
            "2026-03-01 14:30:00",
            "2026/3/1 14:30",
            "2026-03-01T14:30:00",
            "2026-03-01T14:30:00+08:00",
            "2026-03-01T06:30:00Z",
        ] {
            assert_eq!(here(text).as_deref(), Some("2026-03-01T06:30:00+00:00"), "{text}");
        }
        assert_eq!(here("2026-03-01").as_deref(), Some("2026-02-28T16:00:00+00:00"));
        for text in ["", "soon", "2026-02-30", "2026-03-01 25:00", "46082.604", "0000-01-01", "10000-01-01"] {
            assert_eq!(instant(text), None, "{text}");
        }
    }

    #[test]
    fn columns_have_codes_and_chinese_names_and_the_time_may_be_left_out() {
        let (rows, found) = taken("对方状态,工单号\n办结,OUT-7\n\n转办,OUT-8\n");
        assert_eq!(found, []);
        let told: Vec<_> =
            rows.iter().map(|row| (row.row, row.ext_no.as_str(), row.status.as_str())).collect();
        assert_eq!(told, [(2, "OUT-7", "办结"), (4, "OUT-8", "转办")]);
        assert!(rows.iter().all(|row| row.at.is_none()));
        let (rows, found) =
            taken("ext_no,external_status,changed_time\nOUT-7,办结,2026-03-01\nOUT-7,转办,\n");
        assert_eq!(found, []);
        assert_eq!((rows[0].at.is_some(), rows[1].at), (true, None));
    }

    #[test]
    fn all_that_is_wrong_is_told_with_row_and_column() {
        let long = "长".repeat(65);
        let text = format!(
            "工单号,对方状态,状态时间\n,办结,\nOUT-7,,soon\n编号,办结,2026-03-01\nOUT-8,{long},\nOUT-9,办结,,x\nOUT-9,办结,\n"
        );
        let (rows, found) = taken(&text);
        let found: Vec<_> = found.iter().map(|(row, column, code)| (*row, column.as_str(), *code)).collect();
        let expected = [
            (2, "工单号", "required"),
            (3, "对方状态", "required"),
            (3, "状态时间", "not_a_time"),
            (4, "工单号", "not_an_ext_no"),
            (5, "对方状态", "too_long"),
            (6, "", "no_heading"),
        ];
        assert_eq!(found, expected);
        assert_eq!(rows.iter().map(|row| row.row).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn with_a_wrong_header_no_row_is_read() {
        for (text, column, code) in [
            ("工单号\nOUT-7\n", "", "missing_column"),
            ("external_status\n办结\n", "", "missing_column"),
            ("ext_no,external_status,note\nOUT-7,办结,x\n", "note", "unknown_column"),
            ("ext_no,external_status,工单号\nOUT-7,办结,x\n", "工单号", "duplicate_column"),
        ] {
            assert_eq!(taken(text), (vec![], vec![(1, column.to_owned(), code)]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(cell in "\\PC{0,40}", time in "[0-9TZ:/ .+-]{0,30}") {
            let cell = cell.replace('"', "");
            let text = format!("ext_no,external_status,changed_time\n\"{cell}\",\"{cell}\",\"{time}\"\n");
            let _ = taken(&text);
        }
    }
}
