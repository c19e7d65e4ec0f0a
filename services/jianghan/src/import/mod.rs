//! Bringing a district's history into a running suite: a file of cases, batch by batch over the API, with a few batches on
//! the way at a time. It may stop at any moment and go on later: batches and their request ids follow from the file and
//! its columns alone, so that what was sent twice is stored once. It must never print what stands in a row.

pub mod columns;
mod problems;
mod rows;
pub mod state;

use std::{
    collections::VecDeque,
    path::PathBuf,
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

pub use self::problems::{Problem, problems_path};
use self::{
    columns::Columns,
    problems::Problems,
    rows::{Batch, Rows},
    state::{Behind, Counts, State},
};
use crate::suite::{Rpc, Session, Suite};

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
    let mut state = begun(options)?;
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

/// How far an import is that begins, goes on, or only checks.
fn begun(options: &Options) -> Result<State> {
    let Options { file, source, batch, .. } = options;
    let columns = Columns::digest(options.columns.as_deref())?;
    if options.resume {
        return State::resume(file, source, &columns);
    }
    let import_id = chassis::clock::new_id();
    if options.check {
        return State::new(file, import_id, source, *batch, &columns);
    }
    State::begin(file, import_id, source, *batch, &columns)
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

    pub(super) fn options(file: PathBuf) -> Options {
        Options { file, columns: None, source: "old".into(), batch: 10, resume: false, check: false }
    }

    #[test]
    fn a_stopped_import_may_be_checked_and_goes_on_with_its_own_mapping() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path().join("cases.csv"));
        std::fs::write(&options.file, "id\n").unwrap();
        let state = begun(&options).unwrap();
        state.keep(&options.file).unwrap();
        assert!(begun(&options).is_err(), "it was not done");
        assert!(begun(&Options { check: true, ..options.clone() }).is_ok());
        let resumed = Options { resume: true, ..options };
        assert_eq!(begun(&resumed).unwrap(), state);
        let mapping = dir.path().join("map.toml");
        std::fs::write(&mapping, "[columns]").unwrap();
        let error = begun(&Options { columns: Some(mapping), ..resumed }).unwrap_err().to_string();
        assert!(error.starts_with("--columns"), "{error}");
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
}
