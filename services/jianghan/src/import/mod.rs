//! Bringing a district's history into a running suite: a file of cases, batch by batch over the API, with a few batches on
//! the way at a time. It may stop at any moment and go on later: batches and their request ids follow from the file alone, so
//! that what was sent twice is stored once. It must never print what stands in a row.

pub mod columns;
pub mod state;

use std::{
    collections::{HashMap, VecDeque},
    fs::{File, OpenOptions},
    io::{BufReader, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use prost::Message;
use proto::case_routing::v1::{
    GetImportRequest, Import, ImportCasesRequest, ImportCasesResponse, ImportedCase,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use self::{
    columns::{Columns, Wrong},
    state::{Counts, State},
};
use crate::{
    simulate::actors::{organizations, units},
    suite::{Rpc, Session, Suite},
};

/// Bytes of a batch: the services take 4 MiB.
const MOST_BYTES: usize = 3 << 20;
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
    if !options.check {
        state.keep(file)?;
    }
    loop {
        while on_the_way.len() < ON_THE_WAY && !at_end && !stop.is_cancelled() {
            match rows.batch(state.batch)? {
                Some(batch) => on_the_way.push_back(send(suite, session, options, &state, batch)),
                None => at_end = true,
            }
        }
        let Some(sent) = on_the_way.pop_front() else { break };
        let answer = sent.answer.await?.map_err(|status| refused(status, &sent.lines))?;
        take(&mut state, &mut problems, &rows.columns, answer, sent.lines, sent.wrong)?;
        state.next = sent.next;
        if !options.check {
            state.problems_bytes = problems.flush()?;
            state.keep(file)?;
        }
        after(&state.counts);
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
    // The same batch of the same import has the same id, whoever sends it again.
    let request_id = Uuid::new_v5(&state.import_id, format!("{}", batch.begins).as_bytes());
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

/// Rows of the file in turn.
struct Rows {
    reader: csv::Reader<BufReader<File>>,
    columns: Columns,
    row: csv::StringRecord,
    /// A row that was read and did not fit into the batch before.
    held: Option<(u64, u64, ImportedCase)>,
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
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(Columns::delimiter(options.columns.as_deref())?)
            .flexible(true)
            .from_reader(BufReader::with_capacity(1 << 18, File::open(&options.file).with_context(cannot)?));
        let header = reader.headers().with_context(cannot)?.clone();
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
        Ok(Self { reader, columns, row: csv::StringRecord::new(), held: None })
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
                    if !self.reader.read_record(&mut self.row).context("not a CSV file in UTF-8")? {
                        break;
                    }
                    let line = self.row.position().map_or(at.line(), csv::Position::line);
                    match self.columns.case(&self.row) {
                        Ok(case) => (at.byte(), line, case),
                        Err(Wrong { column, problem }) => {
                            wrong.push(Problem { line, column, problem });
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
            lines.push(line);
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
        let (mut out, mut path) = (None, None);
        if !options.check {
            let name = problems_path(&options.file);
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(&name);
            let mut file = file.with_context(|| format!("cannot write {}", name.display()))?;
            // What was written after the state was kept is written again.
            file.set_len(state.problems_bytes)?;
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0))?;
            (out, path) = (Some(file), Some(name));
        }
        Ok(Self { out, path, waiting: Vec::new(), bytes: state.problems_bytes, first: Vec::new() })
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
