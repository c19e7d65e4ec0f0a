//! `jianghan export`: lists of a running suite as files. Read page by page with a token that is renewed on the way, so a
//! list may be of any length; the file appears under its name when it is whole, and not before.

use std::{collections::HashMap, fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use chassis::lifecycle::shutdown_signal;
use chrono::{NaiveDate, NaiveTime};
use clap::{Args as ClapArgs, Subcommand};
use gateway::export::{self, Row, unit_names};
use indicatif::{ProgressBar, ProgressStyle};
use proto::case_routing::v1::{CaseState, ListCasesRequest};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Target;
use crate::{
    out,
    part::{Mark, Part},
    simulate::actors::{organizations, units_ever},
    suite::{Session, Suite},
    table::Table,
};

/// Arguments of `export`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Cases within the account's reach, newest first, with their redacted texts.
    Cases(Box<Cases>),
}

/// Which cases, and where to.
#[derive(ClapArgs)]
struct Cases {
    /// The file: .csv or .xlsx. An older one is replaced once the new one is whole.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Sign-in name of the account whose reach applies; a district dispatcher without it.
    #[arg(long = "as", value_name = "LOGIN")]
    login: Option<String>,
    /// Only this state, such as in_progress; may be given again.
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<CaseState>,
    /// Only this unit's subtree, by id.
    #[arg(long, value_name = "ID")]
    unit: Option<String>,
    /// Only this organisation's, by id.
    #[arg(long, value_name = "ID")]
    org: Option<String>,
    /// Only this item of the catalogue.
    #[arg(long, value_name = "CODE")]
    item: Option<String>,
    /// Only cases whose redacted text has all these words.
    #[arg(long, value_name = "WORDS")]
    query: Option<String>,
    /// Registered on this day or later, YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    since: Option<NaiveDate>,
    /// Registered before this day, YYYY-MM-DD.
    #[arg(long, value_name = "DAY")]
    until: Option<NaiveDate>,
    /// Write a .csv in parts: what is there stays when it is interrupted, and the same command goes on from its last row.
    #[arg(long)]
    resume: bool,
    /// Only overdue ones.
    #[arg(long)]
    overdue: bool,
    /// Columns and codes in English.
    #[arg(long)]
    english: bool,
    /// Print the result as JSON, and no progress.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Done {
    file: PathBuf,
    cases: u64,
    bytes: u64,
    /// Imported cases, of the whole cell, whose words nobody could search while it was written; 0 without `--query`.
    unindexed: i64,
}

fn state(text: &str) -> Result<CaseState, String> {
    CaseState::from_str_name(&format!("CASE_STATE_{}", text.to_ascii_uppercase()))
        .filter(|state| *state != CaseState::Unspecified)
        .ok_or_else(|| "is not a state such as in_progress".to_owned())
}

/// The first instant of a day in Asia/Shanghai.
fn midnight(day: NaiveDate) -> Option<prost_types::Timestamp> {
    let at = day.and_time(NaiveTime::MIN).and_local_timezone(chrono_tz::Asia::Shanghai).earliest()?;
    Some(prost_types::Timestamp { seconds: at.timestamp(), nanos: 0 })
}

impl Cases {
    fn request(&self) -> ListCasesRequest {
        ListCasesRequest {
            page_size: 200,
            states: self.state.iter().map(|state| (*state).into()).collect(),
            unit_id: self.unit.clone().unwrap_or_default(),
            org_id: self.org.clone().unwrap_or_default(),
            item_code: self.item.clone().unwrap_or_default(),
            query: self.query.clone().unwrap_or_default(),
            registered_after: self.since.and_then(midnight),
            registered_before: self.until.and_then(midnight),
            overdue: self.overdue,
            ..Default::default()
        }
    }
}

/// Writes the file. Stopped or failed, it exits 1 and leaves nothing behind but, with `--resume`, what it goes on from. It also
/// exits 1 when the file is there and may lack cases, because imported texts were not searchable yet.
pub async fn run(args: Args) -> Result<ExitCode> {
    let What::Cases(cases) = args.what;
    let done = tokio::select! {
        done = write(&cases) => done?,
        () = shutdown_signal() => match cases.resume {
            true => bail!("stopped; the same command goes on from here"),
            false => bail!("stopped; {} was not written", cases.out.display()),
        },
    };
    if cases.json {
        out::json(&done)?;
    } else {
        out::say!("{}: {} cases, {} bytes", done.file.display(), done.cases, done.bytes)?;
    }
    if done.unindexed > 0 {
        out::note!(
            "jianghan: {} imported cases could not be found by their words yet: {} may lack some; export again later",
            done.unindexed,
            done.file.display()
        );
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn write(args: &Cases) -> Result<Done> {
    let request = args.request();
    let begun = Out::open(args, &request)?;
    let file = args.target.read()?;
    let suite = Suite::patient(&file.addresses, Duration::from_secs(60))?;
    let account = file.accounts.iter().find(|account| match &args.login {
        Some(login) => account.login == *login,
        None => account.role == "district_dispatcher",
    });
    let session = Session::new(&suite, account.context("the accounts file holds no such account")?.clone());
    let names = names(&suite, &session, args.english).await?;
    fill(args, &suite, &session, &names, request, begun).await
}

/// Reads the list from where the file is, page by page, and completes the file.
async fn fill(
    args: &Cases,
    suite: &Suite,
    session: &Session,
    names: &HashMap<String, String>,
    mut request: ListCasesRequest,
    (mut out, mut mark): (Out, Mark),
) -> Result<Done> {
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::with_template("  {spinner} {pos} 件 cases  {elapsed}  {per_sec}")?);
    bar.set_position(mark.rows);
    // A page that is marked may have had no rows.
    if mark.page_token.is_empty() {
        out.write(&export::header(args.english))?;
    }
    request.page_token.clone_from(&mark.page_token);
    let mut unindexed = 0;
    loop {
        let page = suite.cases().list_cases(session.request(request.clone()).await?).await?.into_inner();
        if args.resume && page.unindexed_count > 0 {
            // What a part lacks would be forgotten by the time it is whole.
            bail!(
                "{} imported cases cannot be found by their words yet; the same command goes on from here later",
                page.unindexed_count
            );
        }
        unindexed = unindexed.max(page.unindexed_count);
        for case in &page.cases {
            let name = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
            out.write(&export::row(case, args.english, name))?;
        }
        bar.inc(page.cases.len() as u64);
        request.page_token = page.next_page_token;
        mark.rows += page.cases.len() as u64;
        if !request.page_token.is_empty() {
            mark.page_token.clone_from(&request.page_token);
            out.mark(&mut mark)?;
        }
        if request.page_token.is_empty() {
            break;
        }
    }
    bar.finish_and_clear();
    let cases = bar.position();
    out.finish()?;
    Ok(Done { file: args.out.clone(), cases, bytes: fs::metadata(&args.out)?.len(), unindexed })
}

/// Where rows go: a file that appears when it is whole, or one in parts.
enum Out {
    Table(Box<Table>),
    Part(Part),
}

impl Out {
    fn open(args: &Cases, request: &ListCasesRequest) -> Result<(Self, Mark)> {
        if !args.resume {
            return Ok((Self::Table(Box::new(Table::create(&args.out)?)), Mark::default()));
        }
        let question = format!("{:?} {:?} {}", request, args.login, args.english);
        let asked: String = Sha256::digest(question).iter().map(|byte| format!("{byte:02x}")).collect();
        let (part, mark) = Part::open(&args.out, &asked)?;
        Ok((Self::Part(part), mark))
    }

    fn write(&mut self, row: &Row) -> Result<()> {
        match self {
            Self::Table(table) => table.write(row),
            Self::Part(part) => part.write(row),
        }
    }

    fn mark(&mut self, mark: &mut Mark) -> Result<()> {
        match self {
            Self::Table(_) => Ok(()),
            Self::Part(part) => part.mark(mark),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Table(table) => table.finish(),
            Self::Part(part) => part.finish(),
        }
    }
}

/// Names of units and organisations by id.
async fn names(suite: &Suite, session: &Arc<Session>, english: bool) -> Result<HashMap<String, String>> {
    let pick = |zh: String, en: String| if english && !en.is_empty() { en } else { zh };
    let units = units_ever(suite, session).await?.into_iter();
    let named = units.map(|unit| {
        let (zh, en) = unit_names(&unit);
        (unit.unit_id, pick(zh, en))
    });
    let mut names: HashMap<_, _> = named.collect();
    let orgs = organizations(suite, session).await?.into_iter();
    names.extend(orgs.map(|org| (org.org_id, pick(org.name_zh, org.name_en))));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        sync::{Mutex, PoisonError},
    };

    use calamine::{Data, Reader as _, Xlsx, open_workbook};
    use clap::Parser;
    use proto::case_routing::v1::{
        self as wire, Case,
        case_service_server::{CaseService, CaseServiceServer},
    };
    use tonic::{Request, Response, Status, service::Routes};

    use super::*;
    use crate::suite::{Account, Addresses, Rpc, fake};

    const PAGES: usize = 5;
    const SIZE: usize = 200;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        cases: Cases,
    }

    /// Lists cases, so many pages of them, and keeps which were asked for; one may be told to break.
    #[derive(Clone, Default)]
    struct Listed {
        breaks: Option<usize>,
        asked: Arc<Mutex<Vec<usize>>>,
    }

    impl Listed {
        fn page(&self, asked: &ListCasesRequest) -> Rpc<wire::ListCasesResponse> {
            let page: usize = asked.page_token.parse().unwrap_or(0);
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(page);
            if self.breaks == Some(page) {
                return Err(Status::internal("broken"));
            }
            assert_eq!(usize::try_from(asked.page_size).ok(), Some(SIZE));
            let next_page_token = if page + 1 < PAGES { (page + 1).to_string() } else { String::new() };
            let cases = (page * SIZE..(page + 1) * SIZE).map(case).collect();
            Ok(wire::ListCasesResponse { cases, next_page_token, unindexed_count: 0 })
        }

        fn asked(&self) -> Vec<usize> {
            self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }

    /// With the methods that an export does not call.
    macro_rules! lists_and {
        ($($method:ident: $request:ident => $response:ident;)*) => {
            #[tonic::async_trait]
            impl CaseService for Listed {
                async fn list_cases(
                    &self,
                    request: Request<wire::ListCasesRequest>,
                ) -> Rpc<Response<wire::ListCasesResponse>> {
                    self.page(request.get_ref()).map(Response::new)
                }
                $(async fn $method(&self, _: Request<wire::$request>) -> Rpc<Response<wire::$response>> {
                    Err(Status::unimplemented(""))
                })*
            }
        };
    }
    lists_and! {
        register_case: RegisterCaseRequest => RegisterCaseResponse;
        intake_case: IntakeCaseRequest => IntakeCaseResponse;
        get_case: GetCaseRequest => GetCaseResponse;
        wait_case: WaitCaseRequest => WaitCaseResponse;
        get_timeline: GetTimelineRequest => GetTimelineResponse;
        reveal_text: RevealTextRequest => RevealTextResponse;
        supplement_case: SupplementCaseRequest => SupplementCaseResponse;
        withdraw_case: WithdrawCaseRequest => WithdrawCaseResponse;
        rate_case: RateCaseRequest => RateCaseResponse;
        add_remark: AddRemarkRequest => AddRemarkResponse;
        reopen_case: ReopenCaseRequest => ReopenCaseResponse;
    }

    fn case(n: usize) -> Case {
        Case { case_id: format!("case-{n}"), text_redacted: "路灯不亮".to_owned(), ..Case::default() }
    }

    /// Writes `file` from what is listed.
    async fn written(file: &Path, options: &[&str], listed: &Listed) -> Result<Done> {
        let address = fake::served(Routes::new(CaseServiceServer::new(listed.clone()))).await;
        let suite = Suite::new(&Addresses::all_at(&address)).expect("addresses");
        let session = Session::signed_in(&suite, Account::stranger("district_dispatcher"));
        let file = file.to_str().expect("a path of text");
        let line = [&["cases", "--json", "--out", file], options].concat();
        let args = Line::try_parse_from(line).expect("its arguments").cases;
        let request = args.request();
        let begun = Out::open(&args, &request)?;
        fill(&args, &suite, &session, &HashMap::new(), request, begun).await
    }

    /// The file of all that is listed.
    fn whole() -> String {
        let rows = (0..PAGES * SIZE).map(|n| export::row(&case(n), false, str::to_owned));
        let rows = std::iter::once(export::header(false)).chain(rows);
        format!("{}{}", export::BOM, rows.map(|row| export::line(&row)).collect::<String>())
    }

    #[tokio::test]
    async fn every_page_of_a_list_is_in_the_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let (csv, xlsx) = (dir.path().join("cases.csv"), dir.path().join("cases.xlsx"));
        for file in [&csv, &xlsx] {
            let listed = Listed::default();
            let done = written(file, &[], &listed).await.expect("it is written");
            assert_eq!((done.cases, listed.asked()), (1_000, vec![0, 1, 2, 3, 4]), "{}", file.display());
        }
        assert_eq!(fs::read_to_string(&csv).expect("the file"), whole());

        let mut book: Xlsx<_> = open_workbook(&xlsx).expect("a workbook");
        let names = book.sheet_names();
        assert_eq!(names.len(), 1);
        let sheet = book.worksheet_range(&names[0]).expect("a sheet");
        let last = |row: &[Data]| match row.last() {
            Some(Data::String(text)) => text.clone(),
            other => panic!("{other:?} is no id"),
        };
        let ids: Vec<String> = sheet.rows().skip(1).map(last).collect();
        assert_eq!(ids, (0..PAGES * SIZE).map(|n| case(n).case_id).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_goes_on_with_its_next_page_when_it_is_asked_for_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("cases.csv");
        let broken = Listed { breaks: Some(3), ..Listed::default() };
        assert!(written(&file, &["--resume"], &broken).await.is_err());
        assert!(!file.exists());
        let listed = Listed::default();
        let done = written(&file, &["--resume"], &listed).await.expect("it goes on");
        assert_eq!((done.cases, listed.asked()), (1_000, vec![3, 4]));
        assert_eq!(fs::read_to_string(&file).expect("the file"), whole());
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1, "the parts are gone");
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_leaves_nothing_unless_it_is_written_in_parts() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["cases.csv", "cases.xlsx"] {
            let broken = Listed { breaks: Some(3), ..Listed::default() };
            assert!(written(&dir.path().join(name), &[], &broken).await.is_err());
            assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0, "{name}");
        }
    }
}
