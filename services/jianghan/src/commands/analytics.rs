//! `jianghan analytics`: what only the operator asks of the measuring service.

use std::{
    convert::Infallible,
    error::Error as _,
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

/// How what takes long is asked for.
struct Pace {
    /// Between two askings.
    again: Duration,
    /// How long nothing may be heard of it before it is left to itself.
    unheard: Duration,
}

const PACE: Pace = Pace { again: Duration::from_secs(1), unheard: Duration::from_secs(120) };

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
    /// Print the digest of all facts and rollups; while a rebuild runs, how far it is instead (exit code 1).
    Digest,
}

/// What a rebuild did.
#[derive(Debug, Serialize)]
struct Rebuilt {
    request_id: String,
    events: i64,
    digest_before: String,
    digest_after: String,
    /// Equal digests. Events that came in meanwhile make another one, too: only in a quiet suite is it a defect. Unset where the answer
    /// is of an earlier build, which does not tell the one before.
    same: Option<bool>,
}

impl Rebuilt {
    fn of(request_id: &str, answer: RebuildRollupsResponse) -> Self {
        let RebuildRollupsResponse { events, digest, digest_before } = answer;
        let same = (!digest_before.is_empty()).then(|| digest_before == digest);
        Self { request_id: request_id.to_owned(), events, digest_before, digest_after: digest, same }
    }

    /// For people.
    fn sentence(&self) -> String {
        let verdict = match self.same {
            Some(true) => ", the same as before",
            Some(false) => ", another than before",
            None => "",
        };
        format!("{} events replayed; digest {}{verdict}", self.events, self.digest_after)
    }
}

#[derive(Debug, Serialize)]
struct Digest {
    /// Unset while a rebuild runs, as what it is over.
    digest: Option<String>,
    facts: Option<i64>,
    rollups: Option<i64>,
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
            let rebuilt = rebuild(&suite, &operator, &id, asked.is_some()).await?;
            if args.json {
                out::json(&rebuilt)?;
            } else {
                out::say!("{}", rebuilt.sentence())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Hotspots(asked) => hotspots::run(&asked, args.json, &suite, &file).await,
        Action::Digest => {
            let now = digest(&suite, &operator, &PACE).await?;
            if args.json {
                out::json(&now)?;
            } else {
                if let (Some(digest), Some(facts), Some(rollups)) = (&now.digest, now.facts, now.rollups) {
                    out::say!("{digest} over {facts} facts and {rollups} rollups")?;
                }
                if now.rebuild_target > 0 {
                    out::say!("a rebuild is at {} of {}", now.rebuild_position, now.rebuild_target)?;
                }
            }
            Ok(if now.digest.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

async fn rebuild(suite: &Suite, operator: &Session, request_id: &str, asked_before: bool) -> Result<Rebuilt> {
    let answer = tokio::select! {
        answer = ask(suite, operator, request_id, asked_before, &PACE) => answer?,
        never = watch(suite, operator) => match never {},
    };
    Ok(Rebuilt::of(request_id, answer))
}

/// Asks until there is an answer: a call that outlasts its deadline goes on in the service, which meanwhile says that a
/// rebuild is running, and the same request finds its answer later. Of a service that cannot be reached nothing is known.
/// `asked_before`: under this id, by an earlier command.
async fn ask(
    suite: &Suite,
    operator: &Session,
    request_id: &str,
    asked_before: bool,
    pace: &Pace,
) -> Result<RebuildRollupsResponse> {
    let mut outlasted = asked_before;
    let mut heard = Instant::now();
    loop {
        let status = match call(suite, operator, request_id).await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        match Told::of(&status, outlasted) {
            Told::GoesOn => heard = Instant::now(),
            Told::Nothing if heard.elapsed() < pace.unheard => {}
            Told::Nothing | Told::NoMore => {
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
    /// As nothing, and asking again tells nothing either.
    NoMore,
    Failed,
}

impl Told {
    /// `outlasted`: it was asked for before, so that the one that is running may be this one.
    fn of(status: &Status, outlasted: bool) -> Self {
        match status.code() {
            Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => Self::GoesOn,
            Code::FailedPrecondition if outlasted => Self::GoesOn,
            Code::Unauthenticated | Code::PermissionDenied if outlasted => Self::NoMore,
            Code::ResourceExhausted => Self::Nothing, // too much at once
            _ if is_silence(status) => Self::Nothing,
            _ => Self::Failed,
        }
    }
}

/// Whether the service said nothing: it cannot be reached, or the connection broke under the call. What the connection tells has a
/// source, which an answer never has.
fn is_silence(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown) || status.source().is_some()
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

/// Asks under one id until the digest is made. While a rebuild runs none is begun: the exchange of the tables would wait for it.
async fn digest(suite: &Suite, operator: &Session, pace: &Pace) -> Result<Digest> {
    let asked = GetRollupDigestRequest { progress_only: true, ..Default::default() };
    let now = digest_call(suite, operator, asked).await?;
    if now.rebuild_target > 0 {
        let GetRollupDigestResponse { rebuild_position, rebuild_target, .. } = now;
        return Ok(Digest { digest: None, facts: None, rollups: None, rebuild_position, rebuild_target });
    }
    let asked = GetRollupDigestRequest { digest_id: request_id(), progress_only: false };
    let deadline = Instant::now() + PATIENCE;
    let mut heard = Instant::now();
    let answer = loop {
        let status = match digest_call(suite, operator, asked.clone()).await {
            Ok(answer) => break answer,
            Err(status) => status,
        };
        if is_made(&status) {
            heard = Instant::now();
        } else if !is_silence(&status) || heard.elapsed() >= pace.unheard {
            return Err(status.into());
        }
        if Instant::now() >= deadline {
            return Err(status.into());
        }
        tokio::time::sleep(pace.again).await;
    };
    Ok(Digest {
        digest: Some(answer.digest),
        facts: Some(answer.facts),
        rollups: Some(answer.rollups),
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

    /// Asks again at once, and for as long as it takes.
    const PATIENT: Pace = Pace { again: Duration::ZERO, unheard: PATIENCE };

    /// Answers askings for a rebuild and for digests in turn, and keeps the ids of the former; it does nothing else.
    #[derive(Clone, Default)]
    struct Rebuilds {
        answers: Arc<Mutex<VecDeque<Rpc<RebuildRollupsResponse>>>>,
        ids: Arc<Mutex<Vec<String>>>,
        digests: Arc<Mutex<VecDeque<Rpc<GetRollupDigestResponse>>>>,
    }

    impl Rebuilds {
        fn answering<const N: usize>(answers: [Rpc<RebuildRollupsResponse>; N]) -> Self {
            Self { answers: Arc::new(Mutex::new(VecDeque::from(answers))), ..Self::default() }
        }

        fn telling<const N: usize>(digests: [Rpc<GetRollupDigestResponse>; N]) -> Self {
            Self { digests: Arc::new(Mutex::new(VecDeque::from(digests))), ..Self::default() }
        }

        /// A suite that has nothing else, and its operator.
        async fn served(&self) -> (Suite, Arc<Session>) {
            let address = fake::served(Routes::new(IndicatorServiceServer::new(self.clone()))).await;
            let suite = Suite::new(&Addresses::all_at(&address)).expect("addresses");
            let operator = Session::signed_in(&suite, Account::stranger("it_operator"));
            (suite, operator)
        }
    }

    fn running() -> Status {
        Status::failed_precondition("a rebuild is running already")
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
            let answer = self.digests.lock().expect("not poisoned").pop_front();
            answer.expect("it is not asked again").map(Response::new)
        }
    }

    #[tokio::test]
    async fn a_rebuild_that_outlasts_its_calls_is_asked_for_by_the_same_id_until_it_is_answered() {
        let (digest_before, digest) = ("one".to_owned(), "other".to_owned());
        let done = RebuildRollupsResponse { events: 7, digest, digest_before };
        let rebuilds = Rebuilds::answering([
            Err(Status::deadline_exceeded("the deadline of the call has passed")),
            Err(Status::unavailable("the connection broke")),
            Err(running()),
            Ok(done.clone()),
        ]);
        let (suite, operator) = rebuilds.served().await;
        let told = ask(&suite, &operator, "the-id", false, &PATIENT).await.expect("an answer");
        assert_eq!(told, done);
        assert_eq!(*rebuilds.ids.lock().expect("not poisoned"), ["the-id"; 4]);
    }

    #[tokio::test]
    async fn the_id_of_a_rebuild_that_was_broken_off_waits_for_the_one_that_runs() {
        for asked_before in [true, false] {
            let rebuilds = Rebuilds::answering([Err(running()), Ok(RebuildRollupsResponse::default())]);
            let (suite, operator) = rebuilds.served().await;
            let told = ask(&suite, &operator, "the-id", asked_before, &PATIENT).await;
            assert_eq!(told.is_ok(), asked_before, "{told:?}");
        }
    }

    #[tokio::test]
    async fn a_rebuild_that_nobody_may_ask_for_any_more_is_left_with_its_request_id_at_once() {
        let rebuilds = Rebuilds::answering([
            Err(Status::deadline_exceeded("the deadline of the call has passed")),
            Err(Status::permission_denied("not allowed")),
        ]);
        let (suite, operator) = rebuilds.served().await;
        let told = ask(&suite, &operator, "the-id", false, &PATIENT).await.expect_err("it is refused");
        let told = format!("{told:#}");
        assert!(told.contains("not known") && told.contains("--request-id the-id"), "{told}");
    }

    #[tokio::test]
    async fn a_digest_is_asked_for_again_until_it_is_made_though_the_connection_breaks() {
        let made = GetRollupDigestResponse { digest: "one".to_owned(), facts: 3, ..Default::default() };
        let rebuilds = Rebuilds::telling([
            Ok(GetRollupDigestResponse::default()),
            Err(Status::deadline_exceeded("the deadline of the call has passed")),
            Err(Status::unknown("transport error")),
            Err(Status::unavailable("the connection broke")),
            Ok(made),
        ]);
        let (suite, operator) = rebuilds.served().await;
        let told = digest(&suite, &operator, &PATIENT).await.expect("a digest");
        assert_eq!((told.digest.as_deref(), told.facts), (Some("one"), Some(3)));
    }

    #[tokio::test]
    async fn no_digest_is_begun_while_a_rebuild_runs() {
        let (rebuild_position, rebuild_target) = (3, 7);
        let now = GetRollupDigestResponse { rebuild_position, rebuild_target, ..Default::default() };
        let (suite, operator) = Rebuilds::telling([Ok(now)]).served().await;
        let told = digest(&suite, &operator, &PATIENT).await.expect("how far it is");
        assert_eq!((told.digest, told.rebuild_position, told.rebuild_target), (None, 3, 7));
    }

    #[test]
    fn the_digest_before_is_compared_only_where_it_is_told() {
        for (before, same, verdict) in [
            ("one", Some(true), ", the same as before"),
            ("other", Some(false), ", another than before"),
            ("", None, ""),
        ] {
            let (digest, digest_before) = ("one".to_owned(), before.to_owned());
            let told = Rebuilt::of("the-id", RebuildRollupsResponse { events: 7, digest, digest_before });
            assert_eq!(told.same, same);
            assert_eq!(told.sentence(), format!("7 events replayed; digest one{verdict}"));
        }
    }

    #[test]
    fn only_a_call_that_was_given_up_tells_that_the_rebuild_goes_on() {
        use Told::{Failed, GoesOn, NoMore, Nothing};
        for (code, first, later) in [
            (Code::DeadlineExceeded, GoesOn, GoesOn),
            (Code::Cancelled, GoesOn, GoesOn),
            (Code::Aborted, GoesOn, GoesOn),
            // At first it is somebody else's rebuild that is running.
            (Code::FailedPrecondition, Failed, GoesOn),
            (Code::Unavailable, Nothing, Nothing),
            (Code::ResourceExhausted, Nothing, Nothing),
            (Code::Unknown, Nothing, Nothing),
            (Code::Unauthenticated, Failed, NoMore),
            (Code::PermissionDenied, Failed, NoMore),
            (Code::InvalidArgument, Failed, Failed),
            (Code::Internal, Failed, Failed),
        ] {
            let status = Status::new(code, "");
            assert_eq!((Told::of(&status, false), Told::of(&status, true)), (first, later), "{code:?}");
        }
        let mut reset = Status::internal("h2 protocol error");
        reset.set_source(Arc::new(std::io::Error::other("the stream was reset")));
        assert_eq!(Told::of(&reset, true), Nothing, "the service did not say it");
    }

    #[tokio::test]
    async fn a_rebuild_of_which_nothing_is_heard_is_left_with_its_request_id() {
        let (suite, operator) = fake::nobody();
        let told = ask(&suite, &operator, "the-id", false, &AT_ONCE).await.expect_err("nobody is there");
        let told = format!("{told:#}");
        assert!(told.contains("not known") && told.contains("--request-id the-id"), "{told}");
    }
}
