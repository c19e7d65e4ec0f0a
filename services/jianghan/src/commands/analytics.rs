//! `jianghan analytics`: what only the operator asks of the measuring service.

use std::{
    convert::Infallible,
    io::IsTerminal,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Subcommand};
use proto::analytics::v1::{
    GetRollupDigestRequest, GetRollupDigestResponse, RebuildRollupsRequest, RebuildRollupsResponse,
};
use serde::Serialize;
use tonic::{Code, Status};

use super::{Target, hotspots};
use crate::{
    out, simulate,
    suite::{Rpc, Session, Suite, request_id},
};

/// How long a digest may be made.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Between two askings.
const AGAIN: Duration = Duration::from_secs(1);

/// How a rebuild is asked for.
struct Pace {
    /// Between two askings.
    again: Duration,
    /// How long nothing may be heard of it before it is left to itself.
    unheard: Duration,
}

const PACE: Pace = Pace { again: AGAIN, unheard: Duration::from_secs(120) };

/// Arguments of `analytics`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Subcommand)]
enum Action {
    /// Make every fact and rollup anew from the event log while the suite goes on, and say whether it came out the same.
    Rebuild {
        /// UUID of the request, which is told at the start: asking again with the one of a rebuild that was broken off waits for that
        /// one's answer.
        #[arg(long, value_name = "UUID")]
        request_id: Option<uuid::Uuid>,
    },
    /// Hot spots: more cases of one item at one place than its own history explains, and what became of them.
    Hotspots(hotspots::Args),
    /// Print the digest of all facts and rollups, and how far a running rebuild is.
    Digest,
}

/// What a rebuild did.
#[derive(Debug, Serialize)]
struct Rebuilt {
    request_id: String,
    events: i64,
    digest_before: String,
    digest_after: String,
    /// Equal digests. Events that came in meanwhile make another one, too: only in a quiet suite is it a defect.
    same: bool,
}

#[derive(Debug, Serialize)]
struct Digest {
    digest: String,
    facts: i64,
    rollups: i64,
    rebuild_position: i64,
    rebuild_target: i64,
}

/// Rebuilds or shows the digest.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let operator = simulate::operator(&suite, &file)?;
    match args.action {
        Action::Rebuild { request_id: asked } => {
            let id = asked.map_or_else(request_id, |id| id.to_string());
            out::note!("jianghan: request id {id}");
            let rebuilt = rebuild(&suite, &operator, &id).await?;
            if args.json {
                out::json(&rebuilt)?;
            } else {
                let verdict = if rebuilt.same { "the same as before" } else { "another than before" };
                out::say!("{} events replayed; digest {}, {verdict}", rebuilt.events, rebuilt.digest_after)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Hotspots(asked) => hotspots::run(&asked, args.json, &suite, &file).await,
        Action::Digest => {
            let now = digest(&suite, &operator).await?;
            if args.json {
                out::json(&now)?;
            } else {
                out::say!("{} over {} facts and {} rollups", now.digest, now.facts, now.rollups)?;
                if now.rebuild_target > 0 {
                    out::say!("a rebuild is at {} of {}", now.rebuild_position, now.rebuild_target)?;
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn rebuild(suite: &Suite, operator: &Session, request_id: &str) -> Result<Rebuilt> {
    let answer = tokio::select! {
        answer = ask(suite, operator, request_id, &PACE) => answer?,
        never = watch(suite, operator) => match never {},
    };
    Ok(Rebuilt {
        request_id: request_id.to_owned(),
        events: answer.events,
        same: answer.digest_before == answer.digest,
        digest_before: answer.digest_before,
        digest_after: answer.digest,
    })
}

/// Asks until there is an answer: a call that outlasts its deadline goes on in the service, which meanwhile says that a
/// rebuild is running, and the same request finds its answer later. Of a service that cannot be reached nothing is known.
async fn ask(
    suite: &Suite,
    operator: &Session,
    request_id: &str,
    pace: &Pace,
) -> Result<RebuildRollupsResponse> {
    let mut outlasted = false;
    let mut heard = Instant::now();
    loop {
        let status = match call(suite, operator, request_id).await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        match Told::of(&status, outlasted) {
            Told::GoesOn => heard = Instant::now(),
            Told::Nothing if heard.elapsed() < pace.unheard => {}
            Told::Nothing => {
                return Err(status).with_context(|| {
                    format!("whether the rebuild goes on is not known; ask with --request-id {request_id}")
                });
            }
            Told::Failed => return Err(status).context("the rebuild failed; the old tables stay in use"),
        }
        outlasted = true;
        tokio::time::sleep(pace.again).await;
    }
}

async fn call(suite: &Suite, operator: &Session, request_id: &str) -> Rpc<RebuildRollupsResponse> {
    let request = RebuildRollupsRequest { request_id: request_id.to_owned() };
    Ok(suite.indicators().rebuild_rollups(operator.request(request).await?).await?.into_inner())
}

/// What a refusal says of the rebuild.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// The call was given up and not the work.
    GoesOn,
    /// It may go on or not have begun.
    Nothing,
    Failed,
}

impl Told {
    /// `outlasted`: it was asked for before, so that the one that is running may be this one.
    fn of(status: &Status, outlasted: bool) -> Self {
        match status.code() {
            Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => Self::GoesOn,
            Code::FailedPrecondition if outlasted => Self::GoesOn,
            // A broken connection, too; and too much at once.
            Code::Unavailable | Code::ResourceExhausted => Self::Nothing,
            _ => Self::Failed,
        }
    }
}

/// Tells how far it is, where somebody watches.
async fn watch(suite: &Suite, operator: &Session) -> Infallible {
    let mut shown = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if !std::io::stderr().is_terminal() {
            continue;
        }
        let asked = GetRollupDigestRequest { progress_only: true, ..Default::default() };
        // A moment without an answer is no reason to give up.
        let Ok(now) = digest_call(suite, operator, asked).await else { continue };
        if now.rebuild_target > 0 && now.rebuild_position != shown {
            shown = now.rebuild_position;
            out::note!("rebuild: {shown} of {} events", now.rebuild_target);
        }
    }
}

/// Asks under one id until the digest is made.
async fn digest(suite: &Suite, operator: &Session) -> Result<Digest> {
    let asked = GetRollupDigestRequest { digest_id: request_id(), progress_only: false };
    let deadline = Instant::now() + PATIENCE;
    let answer = loop {
        match digest_call(suite, operator, asked.clone()).await {
            Ok(answer) => break answer,
            Err(status) if is_made(&status) && Instant::now() < deadline => {
                tokio::time::sleep(AGAIN).await;
            }
            Err(status) => return Err(status.into()),
        }
    };
    Ok(Digest {
        digest: answer.digest,
        facts: answer.facts,
        rollups: answer.rollups,
        rebuild_position: answer.rebuild_position,
        rebuild_target: answer.rebuild_target,
    })
}

/// Whether the digest is being made still.
fn is_made(status: &Status) -> bool {
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted)
}

async fn digest_call(
    suite: &Suite,
    operator: &Session,
    asked: GetRollupDigestRequest,
) -> Rpc<GetRollupDigestResponse> {
    Ok(suite.indicators().get_rollup_digest(operator.request(asked).await?).await?.into_inner())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Mutex},
    };

    use proto::analytics::v1::{
        GetBoardRequest, GetBoardResponse, ListIndicatorDefinitionsRequest, ListIndicatorDefinitionsResponse,
        QueryIndicatorsRequest, QueryIndicatorsResponse,
        indicator_service_server::{IndicatorService, IndicatorServiceServer},
    };
    use tonic::{Request, Response, service::Routes};

    use super::*;
    use crate::suite::{Account, Addresses, fake};

    const AT_ONCE: Pace = Pace { again: Duration::ZERO, unheard: Duration::ZERO };

    /// Answers askings for a rebuild in turn, and keeps their ids; it does nothing else.
    #[derive(Clone)]
    struct Rebuilds {
        answers: Arc<Mutex<VecDeque<Rpc<RebuildRollupsResponse>>>>,
        ids: Arc<Mutex<Vec<String>>>,
    }

    #[tonic::async_trait]
    impl IndicatorService for Rebuilds {
        async fn list_indicator_definitions(
            &self,
            _: Request<ListIndicatorDefinitionsRequest>,
        ) -> Rpc<Response<ListIndicatorDefinitionsResponse>> {
            Err(Status::unimplemented("not asked for"))
        }

        async fn query_indicators(
            &self,
            _: Request<QueryIndicatorsRequest>,
        ) -> Rpc<Response<QueryIndicatorsResponse>> {
            Err(Status::unimplemented("not asked for"))
        }

        async fn get_board(&self, _: Request<GetBoardRequest>) -> Rpc<Response<GetBoardResponse>> {
            Err(Status::unimplemented("not asked for"))
        }

        async fn rebuild_rollups(
            &self,
            request: Request<RebuildRollupsRequest>,
        ) -> Rpc<Response<RebuildRollupsResponse>> {
            self.ids.lock().expect("not poisoned").push(request.into_inner().request_id);
            let answer = self.answers.lock().expect("not poisoned").pop_front();
            answer.expect("it is not asked again").map(Response::new)
        }

        async fn get_rollup_digest(
            &self,
            _: Request<GetRollupDigestRequest>,
        ) -> Rpc<Response<GetRollupDigestResponse>> {
            Err(Status::unimplemented("not asked for"))
        }
    }

    #[tokio::test]
    async fn a_rebuild_that_outlasts_its_calls_is_asked_for_by_the_same_id_until_it_is_answered() {
        let (digest_before, digest) = ("one".to_owned(), "other".to_owned());
        let done = RebuildRollupsResponse { events: 7, digest, digest_before };
        let answers = [
            Err(Status::deadline_exceeded("the deadline of the call has passed")),
            Err(Status::unavailable("the connection broke")),
            Err(Status::failed_precondition("a rebuild is running already")),
            Ok(done.clone()),
        ];
        let rebuilds =
            Rebuilds { answers: Arc::new(Mutex::new(VecDeque::from(answers))), ids: Arc::default() };
        let address = fake::served(Routes::new(IndicatorServiceServer::new(rebuilds.clone()))).await;
        let suite = Suite::new(&Addresses::all_at(&address)).expect("addresses");
        let operator = Session::signed_in(&suite, Account::stranger("it_operator"));
        let pace = Pace { again: Duration::ZERO, unheard: PATIENCE };
        let told = ask(&suite, &operator, "the-id", &pace).await.expect("an answer");
        assert_eq!(told, done);
        assert_eq!(*rebuilds.ids.lock().expect("not poisoned"), ["the-id"; 4]);
    }

    #[test]
    fn only_a_call_that_was_given_up_tells_that_the_rebuild_goes_on() {
        use Told::{Failed, GoesOn, Nothing};
        for (code, first, later) in [
            (Code::DeadlineExceeded, GoesOn, GoesOn),
            (Code::Cancelled, GoesOn, GoesOn),
            (Code::Aborted, GoesOn, GoesOn),
            // At first it is somebody else's rebuild that is running.
            (Code::FailedPrecondition, Failed, GoesOn),
            (Code::Unavailable, Nothing, Nothing),
            (Code::ResourceExhausted, Nothing, Nothing),
            (Code::PermissionDenied, Failed, Failed),
            (Code::InvalidArgument, Failed, Failed),
            (Code::Internal, Failed, Failed),
        ] {
            let status = Status::new(code, "");
            assert_eq!((Told::of(&status, false), Told::of(&status, true)), (first, later), "{code:?}");
        }
    }

    #[tokio::test]
    async fn a_rebuild_of_which_nothing_is_heard_is_left_with_its_request_id() {
        let (suite, operator) = fake::nobody();
        let told = ask(&suite, &operator, "the-id", &AT_ONCE).await.expect_err("nobody is there");
        let told = format!("{told:#}");
        assert!(told.contains("not known") && told.contains("--request-id the-id"), "{told}");
    }
}
