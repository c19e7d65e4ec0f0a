//! Cells of a row into fields, column by column. Whatever is wrong is noted with row and column and leaves the field as it is, so
//! that all of a file is told at once. A column that the file does not have leaves its field as it is, too.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use calendar::TimeUnit;
use chrono::NaiveDate;

use super::{Row, Table, problem::Problems};
use crate::seed::SeedLimit;

/// A column that a table may have: code and Chinese name, and whether new rows need it.
pub struct Column(pub &'static str, pub &'static str, pub bool);

/// Where the columns of a file are.
pub struct Columns {
    /// As the header names them, by code.
    names: HashMap<&'static str, (usize, String)>,
    width: usize,
}

impl Columns {
    /// Finds them by code or Chinese name. Every column of the file must be known; the key must be there.
    pub fn of(table: &Table, known: &'static [Column], key: &'static str, problems: &mut Problems) -> Self {
        let mut names: HashMap<&'static str, (usize, String)> = HashMap::new();
        for (place, heading) in table.header.iter().enumerate().filter(|(_, heading)| !heading.is_empty()) {
            match known.iter().find(|Column(code, zh, _)| heading == code || heading == zh) {
                None => problems.add(1, heading, "unknown_column", ""),
                Some(Column(code, ..)) if names.contains_key(code) => {
                    problems.add(1, heading, "duplicate_column", "");
                }
                Some(Column(code, ..)) => {
                    names.insert(*code, (place, heading.clone()));
                }
            }
        }
        if !names.contains_key(key) {
            problems.add(1, "", "missing_column", key);
        }
        Self { names, width: table.header.len() }
    }

    /// Whether the file has the column.
    pub fn has(&self, code: &str) -> bool {
        self.names.contains_key(code)
    }

    /// The column's name as the file has it.
    pub fn shown(&self, code: &str) -> String {
        self.names.get(code).map_or_else(|| code.to_owned(), |(_, shown)| shown.clone())
    }
}

/// One row.
pub struct Cells<'a> {
    columns: &'a Columns,
    row: &'a Row,
    problems: &'a mut Problems,
}

impl<'a> Cells<'a> {
    pub fn of(columns: &'a Columns, row: &'a Row, problems: &'a mut Problems) -> Self {
        let beyond = row.cells.iter().skip(columns.width);
        if beyond.into_iter().any(|cell| !cell.is_empty()) {
            problems.add(row.number, "", "no_heading", "");
        }
        Self { columns, row, problems }
    }

    pub fn wrong(&mut self, column: &str, code: &'static str, what: impl ToString) {
        self.problems.add(self.row.number, &self.columns.shown(column), code, what);
    }

    /// The cell; `None` where the file has no such column.
    pub fn get(&self, column: &str) -> Option<&'a str> {
        let (place, _) = self.columns.names.get(column)?;
        Some(self.row.cells.get(*place).map_or("", String::as_str))
    }

    /// Columns that a new row needs and does not have.
    pub fn needs(&mut self, known: &[Column]) {
        for Column(code, ..) in known.iter().filter(|Column(_, _, needed)| *needed) {
            if self.get(code).is_none_or(str::is_empty) {
                self.wrong(code, "required", "");
            }
        }
    }

    /// What a known row needs, where the file has the column.
    pub fn keeps(&mut self, known: &[Column]) {
        for Column(code, ..) in known.iter().filter(|Column(_, _, needed)| *needed) {
            if self.get(code).is_some_and(str::is_empty) {
                self.wrong(code, "required", "");
            }
        }
    }

    pub fn text(&mut self, column: &str, most: usize, field: &mut String) {
        let Some(text) = self.get(column) else { return };
        if text.chars().count() > most {
            self.wrong(column, "too_long", most);
        } else if text.chars().any(|c| c.is_control() && c != '\n') {
            self.wrong(column, "control_character", "");
        } else {
            text.clone_into(field);
        }
    }

    /// A code, or nothing.
    pub fn code(&mut self, column: &str, field: &mut String) {
        let Some(text) = self.get(column) else { return };
        if text.is_empty() || is_code(text) {
            text.clone_into(field)
        } else {
            self.wrong(column, "not_a_code", "")
        }
    }

    pub fn flag(&mut self, column: &str, field: &mut bool) {
        match self.get(column) {
            None => {}
            Some("yes" | "是" | "true" | "TRUE" | "1") => *field = true,
            Some("no" | "否" | "false" | "FALSE" | "0" | "") => *field = false,
            Some(_) => self.wrong(column, "not_a_flag", ""),
        }
    }

    /// A number; none is 0.
    pub fn number<T: TryFrom<i64>>(&mut self, column: &str, range: RangeInclusive<i64>, field: &mut T) {
        let Some(text) = self.get(column) else { return };
        let number = if text.is_empty() { Ok(0) } else { text.parse::<i64>() };
        let Ok(number) = number else { return self.wrong(column, "not_a_number", "") };
        let within = Some(number).filter(|number| *number == 0 || range.contains(number));
        match within.and_then(|number| T::try_from(number).ok()) {
            Some(number) => *field = number,
            None => self.wrong(column, "out_of_range", format!("{}–{}", range.start(), range.end())),
        }
    }

    /// A word of a closed vocabulary.
    pub fn word<T: Copy>(&mut self, column: &str, words: &[(&str, T)], field: &mut T) {
        let Some(text) = self.get(column).filter(|text| !text.is_empty()) else { return };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *field = *value,
            None => self.unknown(column, words),
        }
    }

    fn unknown<T>(&mut self, column: &str, words: &[(&str, T)]) {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.wrong(column, "unknown_value", known.join(" "));
    }

    /// Words of a closed vocabulary, each once.
    pub fn words<T: Copy>(&mut self, column: &str, words: &[(&str, T)], field: &mut Vec<T>) {
        let mut texts = Vec::new();
        self.list(column, words.len(), &mut texts);
        if self.get(column).is_none() {
            return;
        }
        let value = |text: &String| words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        match texts.iter().map(value).collect::<Option<Vec<T>>>() {
            Some(values) => *field = values,
            None => self.unknown(column, words),
        }
    }

    /// Parts separated by semicolons, each once.
    pub fn list(&mut self, column: &str, most: usize, field: &mut Vec<String>) {
        let Some(text) = self.get(column) else { return };
        let parts = parts(text);
        let distinct: HashSet<&String> = parts.iter().collect();
        if parts.len() > most {
            self.wrong(column, "too_many", most);
        } else if distinct.len() < parts.len() {
            self.wrong(column, "duplicate_value", "");
        } else {
            *field = parts;
        }
    }

    pub fn day(&mut self, column: &str, field: &mut Option<NaiveDate>) {
        let Some(text) = self.get(column) else { return };
        let known = |day: &NaiveDate| (1..=9999).contains(&chrono::Datelike::year(day));
        match text.parse::<NaiveDate>().ok().filter(known) {
            _ if text.is_empty() => *field = None,
            Some(day) => *field = Some(day),
            None => self.wrong(column, "not_a_day", ""),
        }
    }

    pub fn limit(&mut self, column: &str, field: &mut Option<SeedLimit>) {
        let Some(text) = self.get(column) else { return };
        match limit(text) {
            _ if text.is_empty() => *field = None,
            Some(limit) => *field = Some(limit),
            None => self.wrong(column, "not_a_limit", ""),
        }
    }
}

/// Parts of a cell, separated by semicolons.
fn parts(text: &str) -> Vec<String> {
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

pub fn is_code(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=64).contains(&text.len()) && text.chars().all(safe)
}

const UNITS: [(TimeUnit, &str); 5] = [
    (TimeUnit::CalHour, "小时"),
    (TimeUnit::WorkHour, "工作时"),
    (TimeUnit::WorkDay, "工作日"),
    (TimeUnit::CalDay, "自然日"),
    (TimeUnit::Month, "月"),
];

/// `5 work_day`, `5 工作日`, `5工作日`.
pub fn limit(text: &str) -> Option<SeedLimit> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (value, unit) = text.split_at(end);
    let unit = unit.trim();
    let (unit, _) = UNITS.iter().find(|(known, zh)| known.as_str() == unit || *zh == unit)?;
    let value = value.parse().ok().filter(|value| (1..=366).contains(value))?;
    Some(SeedLimit { value, unit: *unit })
}

pub fn limit_text(limit: SeedLimit) -> String {
    format!("{} {}", limit.value, limit.unit)
}

pub fn flag_text(flag: bool, english: bool) -> String {
    match (flag, english) {
        (true, true) => "yes",
        (false, true) => "no",
        (true, false) => "是",
        (false, false) => "否",
    }
    .to_owned()
}
