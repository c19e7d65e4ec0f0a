//! What imports and exports of lists have in common: the file of a request, and problems as callers see them.

use chassis::{Error, Result, proto::case_routing::v1 as pb};
use tokio::sync::Semaphore;

use super::{convert, parse};
use crate::tables::{self, Format, Problem, Table};

/// Most changes that an answer tells.
pub const MOST_CHANGES: usize = 500;

/// The format of a request.
pub fn format(number: i32) -> Result<Format> {
    let known = |format| match format {
        pb::TableFormat::Unspecified => None,
        pb::TableFormat::Csv => Some(Format::Csv),
        pb::TableFormat::Xlsx => Some(Format::Xlsx),
    };
    parse::word("format", number, known, None)
}

/// One is read at a time: a workbook may unpack to a thousand times its size.
static READING: Semaphore = Semaphore::const_new(1);

/// The table of a request, read on a thread of its own: other calls do not wait for a large one.
pub async fn table(file: Vec<u8>, format: Format) -> Result<Table> {
    if file.is_empty() {
        return Err(Error::invalid("file", "is required"));
    }
    let turn = READING.acquire().await.map_err(Error::internal)?;
    let read = tokio::task::spawn_blocking(move || {
        let _turn = turn; // until it is read, whoever may have gone
        tables::read(&file, format)
    });
    let read = read.await.map_err(Error::task)?;
    read.map_err(|error| Error::invalid("file", error.to_string()))
}

/// Why; a dry run needs no reason.
pub fn reason(code: &str, dry_run: bool) -> Result<String> {
    if dry_run && code.is_empty() { Ok(String::new()) } else { parse::code("reason_code", code) }
}

/// A problem with its texts.
pub fn problem(problem: &Problem) -> pb::TableProblem {
    let (text_zh, text_en) = problem.texts();
    pb::TableProblem {
        row: convert::count(problem.row),
        column: problem.column.clone(),
        code: problem.code.to_owned(),
        text_zh,
        text_en,
    }
}

/// A number of rows.
pub fn size(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
