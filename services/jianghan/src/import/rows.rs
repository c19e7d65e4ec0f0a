//! Rows of the file, read batch by batch: how long a row may be, and how large a batch.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

use anyhow::{Context, Result};
use gateway::export::has_ended;
use prost::Message;
use proto::{case_routing::v1::ImportedCase, identity::v1::Unit};

use super::{
    Options, Problem,
    columns::{Columns, Wrong},
    state::State,
};
use crate::{
    simulate::actors::{organizations, units_ever},
    suite::{Session, Suite},
};

/// Bytes of a batch: the services take 4 MiB.
const MOST_BYTES: usize = 3 << 20;
/// Bytes of a row: the longest text has 80,000. Without a limit, a quote that is not closed takes the rest of the file into
/// memory.
const MOST_ROW: u64 = 1 << 20;

/// A file of which so many bytes may be read; then it fails.
struct Bounded {
    file: BufReader<File>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("the row is too long"));
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read(&mut into[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The file behind its header, and the header.
fn opened(options: &Options) -> Result<(csv::Reader<Bounded>, csv::StringRecord)> {
    let file = BufReader::with_capacity(1 << 18, File::open(&options.file)?);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(Columns::delimiter(options.columns.as_deref())?)
        .flexible(true)
        .from_reader(Bounded { file, left: MOST_ROW });
    let header = reader.headers().cloned();
    match header {
        Ok(header) => Ok((reader, header)),
        Err(error) => Err(unreadable(&reader, error, 1)),
    }
}

/// Whether the first line of a file ends in CR LF.
fn has_crlf(file: &Path) -> std::io::Result<bool> {
    let mut head = Vec::new();
    File::open(file)?.take(1 << 16).read_to_end(&mut head)?;
    let end = head.iter().position(|byte| *byte == b'\n');
    Ok(end.is_some_and(|end| end > 0 && head[end - 1] == b'\r'))
}

/// What is said when a row could not be read.
fn unreadable(reader: &csv::Reader<Bounded>, error: csv::Error, line: u64) -> anyhow::Error {
    if reader.get_ref().left == 0 {
        return anyhow::anyhow!("the row that begins on line {line} does not end: is a quote not closed?");
    }
    anyhow::Error::from(error).context("not a CSV file in UTF-8")
}

/// Ids of units by code, those that have ended included: a history names places as they were, and the services know where an open
/// case goes on. Of several with one code it is the one in force, else the one that ended last.
fn unit_ids(mut units: Vec<Unit>) -> HashMap<String, String> {
    // The last one of a code stays.
    units.sort_by_key(|unit| (!has_ended(unit), unit.valid_to.map(|at| (at.seconds, at.nanos))));
    units.into_iter().map(|unit| (unit.code, unit.unit_id)).collect()
}

/// Rows of the file in turn.
pub(super) struct Rows {
    reader: csv::Reader<Bounded>,
    pub(super) columns: Columns,
    row: csv::StringRecord,
    /// A row that was read and did not fit into the batch before.
    held: Option<(u64, u64, ImportedCase)>,
    /// Added to the reader's lines: after CR it stands before the LF, which it counts with the next row only.
    behind: u64,
}

pub(super) struct Batch {
    pub(super) cases: Vec<ImportedCase>,
    pub(super) lines: Vec<u64>,
    pub(super) wrong: Vec<Problem>,
    pub(super) begins: u64,
    pub(super) next: (u64, u64),
}

impl Rows {
    pub(super) async fn open(
        suite: &Suite,
        session: &Session,
        options: &Options,
        state: &State,
    ) -> Result<Self> {
        let cannot = || format!("cannot read {}", options.file.display());
        let (mut reader, header) = opened(options).with_context(cannot)?;
        let unit_ids = unit_ids(units_ever(suite, session).await?);
        let codes = organizations(suite, session).await?.into_iter();
        let org_ids: HashMap<_, _> = codes.map(|org| (org.code, org.org_id)).collect();
        let columns = Columns::load(options.columns.as_deref(), &header, unit_ids, org_ids)?;
        if state.next.0 > 0 {
            let mut position = csv::Position::new();
            position.set_byte(state.next.0).set_line(state.next.1);
            reader.seek(position).with_context(cannot)?;
        }
        let behind = u64::from(has_crlf(&options.file).with_context(cannot)?);
        Ok(Self { reader, columns, row: csv::StringRecord::new(), held: None, behind })
    }

    /// The next rows, at most so many and of bounded size; `None` at the end of the file.
    pub(super) fn batch(&mut self, most: usize) -> Result<Option<Batch>> {
        let start = self.held.as_ref().map_or_else(|| self.reader.position().byte(), |(byte, ..)| *byte);
        let (mut cases, mut lines, mut wrong, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
        let mut next = None;
        while lines.len() + wrong.len() < most {
            let (byte, line, case) = match self.held.take() {
                Some(held) => held,
                None => {
                    let at = self.reader.position().clone();
                    self.reader.get_mut().left = MOST_ROW;
                    match self.reader.read_record(&mut self.row) {
                        Ok(true) => {}
                        Ok(false) => break,
                        Err(error) => return Err(unreadable(&self.reader, error, at.line() + self.behind)),
                    }
                    let line = self.row.position().map_or(at.line(), csv::Position::line);
                    match self.columns.case(&self.row) {
                        Ok(case) => (at.byte(), line, case),
                        Err(Wrong { column, problem }) => {
                            wrong.push(Problem { line: line + self.behind, column, problem });
                            continue;
                        }
                    }
                }
            };
            bytes += case.encoded_len() + 8;
            if bytes > MOST_BYTES && !cases.is_empty() {
                next = Some((byte, line));
                self.held = Some((byte, line, case));
                break;
            }
            cases.push(case);
            lines.push(line + self.behind);
        }
        if lines.is_empty() && wrong.is_empty() {
            return Ok(None);
        }
        let at = self.reader.position();
        let next = next.unwrap_or((at.byte(), at.line()));
        Ok(Some(Batch { cases, lines, wrong, begins: start, next }))
    }
}

#[cfg(test)]
mod tests {
    use proto::identity::v1::UnitState;

    use super::*;
    use crate::import::tests::options;

    fn rows(options: &Options) -> Rows {
        let (reader, header) = opened(options).unwrap();
        let units = HashMap::from([("p".to_owned(), "u-1".to_owned())]);
        let columns = Columns::load(None, &header, units, HashMap::new()).unwrap();
        Rows { reader, columns, row: csv::StringRecord::new(), held: None, behind: 0 }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_told_by_its_line_before_the_file_is_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().join("cases.csv"));
        let good = "a,p,2020-01-01,short\n";
        let head = format!("id,place,registered,text\n{good}b,p,2020-01-01,\"two\nlines\"\n");
        let rest = good.repeat(usize::try_from(MOST_ROW).unwrap() / good.len() + 1_000);
        std::fs::write(&options.file, format!("{head}c,p,2020-01-01,\"open\n{rest}")).unwrap();
        let mut all = rows(&options);
        let first = all.batch(2).unwrap().unwrap();
        assert_eq!((first.lines, first.next.1), (vec![2, 3], 5));
        let error = all.batch(2).map(|batch| batch.is_some()).unwrap_err().to_string();
        assert_eq!(error, "the row that begins on line 5 does not end: is a quote not closed?");
        // Many rows are no long row.
        std::fs::write(&options.file, format!("{head}{rest}")).unwrap();
        let mut all = rows(&options);
        let mut read = 0;
        while let Some(batch) = all.batch(10_000).unwrap() {
            read += batch.lines.len();
        }
        assert_eq!(read, 2 + rest.lines().count());
    }

    #[test]
    fn a_code_of_a_unit_that_has_ended_is_known_unless_one_in_force_has_it() {
        let unit = |unit_id: &str, code: &str, state: UnitState, ended: i64| Unit {
            unit_id: unit_id.into(),
            code: code.into(),
            state: state.into(),
            valid_to: (ended > 0).then_some(prost_types::Timestamp { seconds: ended, nanos: 0 }),
            ..Default::default()
        };
        let ids = unit_ids(vec![
            unit("now", "taken-over", UnitState::Active, 0),
            unit("before", "taken-over", UnitState::Merged, 9),
            unit("later", "ended-twice", UnitState::Abolished, 8),
            unit("earlier", "ended-twice", UnitState::Merged, 7),
            unit("merged", "ended", UnitState::Merged, 6),
        ]);
        let found = ["taken-over", "ended-twice", "ended"].map(|code| ids[code].as_str());
        assert_eq!(found, ["now", "later", "merged"]);
    }

    #[test]
    fn a_text_that_is_too_long_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().join("cases.csv"));
        let long = "灯".repeat(20_001);
        let text = format!("id,place,registered,text\na,p,2020-01-01,{long}\nb,p,2020-01-01,灯\n");
        std::fs::write(&options.file, text).unwrap();
        let batch = rows(&options).batch(10).unwrap().unwrap();
        assert_eq!((batch.lines, batch.wrong[0].line, batch.wrong[0].column.as_str()), (vec![3], 2, "text"));
    }
}
