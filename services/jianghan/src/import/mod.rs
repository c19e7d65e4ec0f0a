//! Bringing a district's history into a running suite: a file of cases, batch by batch over the API, with a few batches on
//! the way at a time. It may stop at any moment and go on later: batches and their request ids follow from the file and
//! its columns alone, so that what was sent twice is stored once. It must never print what stands in a row.

pub mod columns;
pub mod state;

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use prost::Message;
use proto::case_routing::v1::{
    GetImportRequest, Import, ImportCasesRequest, ImportCasesResponse, ImportedCase,
};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use self::{
    columns::{Columns, Wrong},
    state::{Behind, Counts, State},
};
use crate::{
    simulate::actors::{organizations, units},
    suite::{Rpc, Session, Suite},
};

/// Bytes of a batch: the services take 4 MiB.
const MOST_BYTES: usize = 3 << 20;
/// Bytes of a row: the longest text has 80,000. Without a limit, a quote that is not closed takes the rest of the file into
/// memory.
const MOST_ROW: u64 = 1 << 20;
/// Batches on the way: one is read, one is prepared, one is written.
const ON_THE_WAY: usize = 3;

/// What to import.
#[derive(Debug, Clone)]
pub struct Options {
    /// The file.
    pub file: PathBuf,
    /// Mapping of its columns; the shipped one without.
    pub columns: Option<PathBuf>,
    /// Code of the system the cases come from.
    pub source: String,
    /// Rows of a batch.
    pub batch: usize,
    /// Go on with the import of this file that was stopped.
    pub resume: bool,
    /// Store nothing, only say what would be refused.
    pub check: bool,
}

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

/// What an import came to.
#[derive(Debug, serde::Serialize)]
pub struct Outcome {
    /// Of the whole import.
    pub import_id: Uuid,
    /// Rows, those of before a resumption included.
    #[serde(flatten)]
    pub counts: Counts,
    /// The file was read to its end.
    pub done: bool,
    /// Line at which it goes on.
    pub next_line: u64,
    /// Seconds of this run, and its rows a second.
    pub seconds: f64,
    /// Rows of this run by second.
    pub rows_per_second: f64,
    /// The first problems.
    pub first_problems: Vec<Problem>,
    /// Where all of them stand.
    pub problems_file: Option<PathBuf>,
}

/// How many problems an outcome shows.
const SHOWN: usize = 20;

/// A batch that was sent.
struct Sent {
    answer: JoinHandle<Rpc<ImportCasesResponse>>,
    /// Line of each case of it.
    lines: Vec<u64>,
    /// Problems of rows that were not sent.
    wrong: Vec<Problem>,
    /// Where the next batch begins.
    next: (u64, u64),
}

/// Imports a file, until `stop`. `after` is told the counts after each batch.
///
/// # Errors
/// What makes it impossible to go on; what was stored until then is kept, and can be resumed.
pub async fn run(
    suite: &Suite,
    session: &Arc<Session>,
    options: &Options,
    stop: &CancellationToken,
    mut after: impl FnMut(&Counts),
) -> Result<Outcome> {
    let file = &options.file;
    let fresh = || State::begin(file, chassis::clock::new_id(), &options.source, options.batch);
    let mut state = if options.resume { State::resume(file, &options.source)? } else { fresh()? };
    let mut rows = Rows::open(suite, session, options, &state).await?;
    let mut problems = Problems::open(options, &state)?;
    let (began, before) = (Instant::now(), state.counts.rows);
    let mut on_the_way: VecDeque<Sent> = VecDeque::new();
    let mut at_end = false;
    let mut broken = None;
    let mut behind = Behind::open(file)?;
    if !options.check {
        state.keep(file)?;
    }
    loop {
        while on_the_way.len() < ON_THE_WAY && !at_end && broken.is_none() && !stop.is_cancelled() {
            match rows.batch(state.batch) {
                Ok(Some(batch)) => on_the_way.push_back(send(suite, session, options, &state, batch)),
                Ok(None) => at_end = true,
                // What is on the way is waited for and kept first.
                Err(error) => broken = Some(error),
            }
        }
        let Some(sent) = on_the_way.pop_front() else { break };
        let answer = sent.answer.await?.map_err(|status| refused(status, &sent.lines))?;
        take(&mut state, &mut problems, &rows.columns, answer, sent.lines, sent.wrong)?;
        state.next = sent.next;
        if !options.check {
            state.problems_bytes = problems.flush()?;
            state.behind = behind.up_to(state.next.0)?;
            state.keep(file)?;
        }
        after(&state.counts);
    }
    if let Some(error) = broken {
        return Err(error);
    }
    state.done = at_end && on_the_way.is_empty();
    if !options.check {
        state.keep(file)?;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Outcome {
        import_id: state.import_id,
        counts: state.counts,
        done: state.done,
        next_line: state.next.1,
        seconds,
        rows_per_second: (state.counts.rows - before) as f64 / seconds.max(1e-9),
        first_problems: problems.first,
        problems_file: problems.path.filter(|_| state.problems_bytes > 0),
    })
}

/// What the services hold of an import; `None` where they hold no batch of it.
///
/// # Errors
/// From the call.
pub async fn status(suite: &Suite, session: &Session, import_id: Uuid) -> Result<Option<Import>> {
    let request = session.request(GetImportRequest { import_id: import_id.to_string() }).await?;
    match suite.imports().get_import(request).await {
        Ok(answer) => Ok(answer.into_inner().import),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => Err(status.into()),
    }
}

/// Waits until the words of an import's texts are noted. `after` is told how many are left.
///
/// # Errors
/// From the calls.
pub async fn indexed(
    suite: &Suite,
    session: &Session,
    import_id: Uuid,
    mut after: impl FnMut(i64),
) -> Result<()> {
    loop {
        let left = status(suite, session, import_id).await?.map_or(0, |import| import.unindexed_count);
        after(left);
        if left == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn send(suite: &Suite, session: &Arc<Session>, options: &Options, state: &State, batch: Batch) -> Sent {
    let request_id = request_id(state.import_id, batch.begins, &batch.cases);
    let request = ImportCasesRequest {
        request_id: request_id.to_string(),
        import_id: state.import_id.to_string(),
        source: options.source.clone(),
        cases: batch.cases,
        validate_only: options.check,
    };
    let (suite, session) = (suite.clone(), session.clone());
    let answer = tokio::spawn(async move {
        if request.cases.is_empty() {
            return Ok(ImportCasesResponse::default());
        }
        suite.imports().import_cases(session.request(request).await?).await.map(tonic::Response::into_inner)
    });
    Sent { answer, lines: batch.lines, wrong: batch.wrong, next: batch.next }
}

/// The same batch of the same import has the same id, whoever sends it again. With other columns or words the rows are other
/// cases, hence another request.
fn request_id(import_id: Uuid, begins: u64, cases: &[ImportedCase]) -> Uuid {
    let mut digest = Sha256::new();
    for case in cases {
        digest.update(case.encode_length_delimited_to_vec());
    }
    let mut name = begins.to_be_bytes().to_vec();
    name.extend_from_slice(&digest.finalize());
    Uuid::new_v5(&import_id, &name)
}

fn refused(status: tonic::Status, lines: &[u64]) -> anyhow::Error {
    let at = lines.first().copied().unwrap_or_default();
    anyhow::Error::from(status).context(format!("the batch from line {at} was not taken"))
}

fn take(
    state: &mut State,
    problems: &mut Problems,
    columns: &Columns,
    answer: ImportCasesResponse,
    lines: Vec<u64>,
    wrong: Vec<Problem>,
) -> Result<()> {
    let line = |index: i32| usize::try_from(index).ok().and_then(|index| lines.get(index)).copied();
    let counts = &mut state.counts;
    counts.rows += (lines.len() + wrong.len()) as u64;
    counts.imported += u64::try_from(answer.imported_count)?;
    counts.duplicates += answer.duplicates.len() as u64;
    counts.problems += (wrong.len() + answer.problems.len()) as u64;
    let mut all = wrong;
    for found in answer.problems {
        let line = line(found.index).context("an answer about a row that was not sent")?;
        all.push(Problem { line, column: columns.column_of(&found.field), problem: found.message });
    }
    for index in answer.duplicates {
        let line = line(index).context("an answer about a row that was not sent")?;
        all.push(Problem { line, column: String::new(), problem: "known already".to_owned() });
    }
    all.sort_by_key(|problem| problem.line);
    all.into_iter().try_for_each(|problem| problems.note(problem))
}

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

/// Rows of the file in turn.
struct Rows {
    reader: csv::Reader<Bounded>,
    columns: Columns,
    row: csv::StringRecord,
    /// A row that was read and did not fit into the batch before.
    held: Option<(u64, u64, ImportedCase)>,
    /// Added to the reader's lines: after CR it stands before the LF, which it counts with the next row only.
    behind: u64,
}

struct Batch {
    cases: Vec<ImportedCase>,
    lines: Vec<u64>,
    wrong: Vec<Problem>,
    begins: u64,
    next: (u64, u64),
}

impl Rows {
    async fn open(suite: &Suite, session: &Session, options: &Options, state: &State) -> Result<Self> {
        let cannot = || format!("cannot read {}", options.file.display());
        let (mut reader, header) = opened(options).with_context(cannot)?;
        let codes = units(suite, session).await?.into_iter();
        let unit_ids: HashMap<_, _> = codes.map(|unit| (unit.code, unit.unit_id)).collect();
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
    fn batch(&mut self, most: usize) -> Result<Option<Batch>> {
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

/// The list of problems beside the file, `FILE.csv.problems.csv`: line, column, problem.
struct Problems {
    out: Option<File>,
    path: Option<PathBuf>,
    waiting: Vec<u8>,
    bytes: u64,
    first: Vec<Problem>,
}

impl Problems {
    fn open(options: &Options, state: &State) -> Result<Self> {
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

    fn note(&mut self, problem: Problem) -> Result<()> {
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

    fn flush(&mut self) -> Result<u64> {
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

/// Checks options that a resumption or a batch depends on.
///
/// # Errors
/// Naming the option.
pub fn check_options(options: &Options) -> Result<()> {
    if !(1..=2_000).contains(&options.batch) {
        bail!("--batch: 1–2000 rows");
    }
    if options.check && options.resume {
        bail!("--check begins at the beginning: without --resume");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(file: PathBuf) -> Options {
        Options { file, columns: None, source: "old".into(), batch: 10, resume: false, check: false }
    }

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
    fn a_text_that_is_too_long_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().join("cases.csv"));
        let long = "灯".repeat(20_001);
        let text = format!("id,place,registered,text\na,p,2020-01-01,{long}\nb,p,2020-01-01,灯\n");
        std::fs::write(&options.file, text).unwrap();
        let batch = rows(&options).batch(10).unwrap().unwrap();
        assert_eq!((batch.lines, batch.wrong[0].line, batch.wrong[0].column.as_str()), (vec![3], 2, "text"));
    }

    #[test]
    fn a_request_is_known_again_by_where_it_begins_and_what_it_says() {
        let case = |text: &str| ImportedCase { text: text.into(), ..ImportedCase::default() };
        let id = |begins, texts: &[&str]| {
            request_id(Uuid::nil(), begins, &texts.iter().copied().map(case).collect::<Vec<_>>())
        };
        assert_eq!(id(7, &["a", "b"]), id(7, &["a", "b"]));
        assert_ne!(id(7, &["a", "b"]), id(8, &["a", "b"]));
        assert_ne!(id(7, &["a", "b"]), id(7, &["a", "c"]), "read with other columns");
        assert_ne!(id(7, &["ab"]), id(7, &["a", "b"]));
    }

    #[test]
    fn a_list_of_problems_that_is_gone_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().join("cases.csv"));
        std::fs::write(&options.file, "id\n").unwrap();
        let mut state = State::begin(&options.file, Uuid::nil(), "old", 10).unwrap();
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
