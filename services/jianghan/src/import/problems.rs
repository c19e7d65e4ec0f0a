//! Rows that were not imported, and the list of them beside the file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Options,
    state::{self, State},
};

/// How many problems an outcome shows.
const SHOWN: usize = 20;

/// A row that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Line of the file on which the row begins.
    pub line: u64,
    /// The column; empty for a duplicate.
    pub column: String,
    /// What is wrong.
    pub problem: String,
}

/// The list of problems beside the file, `FILE.csv.problems.csv`: line, column, problem.
pub(super) struct Problems {
    out: Option<File>,
    pub(super) path: Option<PathBuf>,
    waiting: Vec<u8>,
    bytes: u64,
    pub(super) first: Vec<Problem>,
}

impl Problems {
    pub(super) fn open(options: &Options, state: &State) -> Result<Self> {
        let (mut out, mut path, mut bytes) = (None, None, state.problems_bytes);
        if !options.check {
            let name = problems_path(&options.file);
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(&name);
            let mut file = file.with_context(|| format!("cannot write {}", name.display()))?;
            // What was written after the state was kept is written again; a list that somebody took away begins anew.
            bytes = bytes.min(file.metadata()?.len());
            file.set_len(bytes)?;
            file.seek(io::SeekFrom::End(0))?;
            (out, path) = (Some(file), Some(name));
        }
        Ok(Self { out, path, waiting: Vec::new(), bytes, first: Vec::new() })
    }

    pub(super) fn note(&mut self, problem: Problem) -> Result<()> {
        if self.out.is_some() {
            if self.bytes == 0 && self.waiting.is_empty() {
                self.waiting.extend_from_slice(b"line,column,problem\r\n");
            }
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            writeln!(
                self.waiting,
                "{},{},{}\r",
                problem.line,
                quoted(&problem.column),
                quoted(&problem.problem)
            )?;
        }
        // A row that is known already is told, and is no fault to show.
        if self.first.len() < SHOWN && !problem.column.is_empty() {
            self.first.push(problem);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<u64> {
        if let Some(out) = &mut self.out {
            out.write_all(&self.waiting)?;
            self.bytes += self.waiting.len() as u64;
            self.waiting.clear();
        }
        Ok(self.bytes)
    }
}

/// `FILE.csv.problems.csv`.
pub fn problems_path(file: &Path) -> PathBuf {
    state::beside(file, "problems.csv")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::import::tests::options;

    #[test]
    fn a_list_of_problems_that_is_gone_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().join("cases.csv"));
        std::fs::write(&options.file, "id\n").unwrap();
        let mut state = State::begin(&options.file, Uuid::nil(), "old", 10, "m").unwrap();
        state.problems_bytes = 500;
        let problem = || Problem { line: 3, column: "text".into(), problem: "is wrong".into() };
        let mut problems = Problems::open(&options, &state).unwrap();
        problems.note(problem()).unwrap();
        state.problems_bytes = problems.flush().unwrap();
        let written = std::fs::read_to_string(problems_path(&options.file)).unwrap();
        assert_eq!(written, "line,column,problem\r\n3,\"text\",\"is wrong\"\r\n");
        // What was written after the state was kept is written again.
        problems.note(problem()).unwrap();
        problems.flush().unwrap();
        Problems::open(&options, &state).unwrap();
        assert_eq!(std::fs::read_to_string(problems_path(&options.file)).unwrap(), written);
    }
}
