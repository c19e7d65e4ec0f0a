//! What the catalogue and the responsibility list have in common as files: reading and writing them, and telling what an import
//! found.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use chassis::files;
use proto::case_routing::v1::{TableFormat, TableProblem};
use serde::Serialize;

use crate::{
    out,
    suite::{AccountsFile, Session, Suite},
};

/// Largest file that the services take, in bytes.
const MAX_FILE: u64 = 3 << 20;

/// By the ending of a file's name.
pub fn format(path: &Path) -> Result<TableFormat> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "csv" => Ok(TableFormat::Csv),
        "xlsx" => Ok(TableFormat::Xlsx),
        _ => bail!("{} ends in neither .csv nor .xlsx", path.display()),
    }
}

/// A file and its format.
pub fn read(path: &Path) -> Result<(Vec<u8>, TableFormat)> {
    let format = format(path)?;
    let size = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    if size > MAX_FILE {
        bail!("{} is larger than 3 MiB", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((bytes, format))
}

/// Writes a file; an older one is replaced once the new one is whole.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::replace(path, bytes, files::PRIVATE).with_context(|| format!("cannot write {}", path.display()))
}

/// A session of the first account with a role.
pub fn session(suite: &Suite, file: &AccountsFile, role: &str) -> Result<Arc<Session>> {
    let account = file.accounts.iter().find(|account| account.role == role);
    let account = account.with_context(|| format!("the accounts file holds no {role}"))?;
    Ok(Session::new(suite, account.clone()))
}

/// What is wrong in a file.
#[derive(Debug, Serialize)]
pub struct Problem {
    row: i32,
    column: String,
    code: String,
    zh: String,
    en: String,
}

impl Problem {
    /// As it was answered.
    pub fn of(found: TableProblem) -> Self {
        Self { row: found.row, column: found.column, code: found.code, zh: found.text_zh, en: found.text_en }
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let row = if self.row == 0 { "—".to_owned() } else { self.row.to_string() };
        let column = if self.column.is_empty() { "—" } else { &self.column };
        format!("行 row {row}, {column}: {} / {} [{}]", self.zh, self.en, self.code)
    }
}

/// What an import found, or would do.
#[derive(Debug, Default, Serialize)]
pub struct Found {
    pub file: PathBuf,
    /// The draft; none for a check, for a file with problems and for one that changes nothing.
    pub version: Option<i32>,
    pub rows: i32,
    pub added: i32,
    pub changed: i32,
    /// Items that end, entries that fall away.
    pub removed: i32,
    pub unchanged: i32,
    pub problems: Vec<Problem>,
    pub problems_left_out: i32,
    /// A line per item or rule.
    pub changes: Vec<String>,
    /// New items that nobody leads yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_lead: Vec<String>,
}

impl Found {
    /// With the problems of an answer.
    pub fn with_problems(mut self, problems: Vec<TableProblem>) -> Self {
        self.problems = problems.into_iter().map(Problem::of).collect();
        self
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let mut lines: Vec<String> = self.problems.iter().map(Problem::text).collect();
        if self.problems_left_out > 0 {
            lines.push(format!("… 另有 {0} 处 / and {0} more", self.problems_left_out));
        }
        lines.extend(self.changes.iter().cloned());
        let Self { rows, added, changed, removed, unchanged, .. } = self;
        lines.push(format!(
            "{}: {rows} rows: {added} added, {changed} changed, {removed} removed, {unchanged} unchanged",
            self.file.display()
        ));
        if !self.without_lead.is_empty() {
            lines.push(format!("尚无主办单位 nobody leads yet: {}", self.without_lead.join(" ")));
        }
        match (self.problems.is_empty(), self.version) {
            (false, _) => lines.push("未导入 nothing was imported".to_owned()),
            (true, Some(version)) => lines.push(format!("草案 drafted as version {version}")),
            (true, None) => {}
        }
        lines.join("\n") + "\n"
    }

    /// Prints it; whether the file could be taken.
    pub fn print(&self, json: bool) -> Result<std::process::ExitCode> {
        if json {
            out::json(self)?;
        } else {
            out::text(&self.text())?;
        }
        Ok(std::process::ExitCode::from(u8::from(!self.problems.is_empty())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_ending_and_written_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("list.XLSX");
        write(&path, b"PK").expect("written");
        write(&path, b"PK2").expect("replaced");
        assert_eq!(read(&path).expect("read"), (b"PK2".to_vec(), TableFormat::Xlsx));
        assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 1);
        assert_eq!(format(Path::new("a.csv")).expect("known"), TableFormat::Csv);
        for name in ["a.ods", "csv", ""] {
            assert!(format(Path::new(name)).unwrap_err().to_string().contains("neither"), "{name}");
        }
        let large = dir.path().join("large.csv");
        std::fs::File::create(&large).and_then(|file| file.set_len(MAX_FILE + 1)).expect("made");
        assert!(read(&large).unwrap_err().to_string().contains("3 MiB"));
    }

    #[test]
    fn what_is_wrong_is_told_with_row_column_and_both_languages() {
        let problem = |row, column: &str| TableProblem {
            row,
            column: column.into(),
            code: "required".into(),
            text_zh: "必填".into(),
            text_en: "is required".into(),
        };
        let found = Found { file: "f.csv".into(), rows: 3, problems_left_out: 2, ..Found::default() };
        let text = found.with_problems(vec![problem(7, "事项名称"), problem(0, "")]).text();
        let expected = [
            "行 row 7, 事项名称: 必填 / is required [required]",
            "行 row —, —: 必填 / is required [required]",
            "… 另有 2 处 / and 2 more",
            "f.csv: 3 rows: 0 added, 0 changed, 0 removed, 0 unchanged",
            "未导入 nothing was imported",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        let taken = Found { version: Some(4), changes: vec!["+ CJ-0999".into()], ..Found::default() };
        assert!(taken.text().starts_with("+ CJ-0999\n") && taken.text().contains("drafted as version 4"));
    }
}
