//! `jianghan analytics`: what only the operator asks of the measuring service.

use std::{convert::Infallible, io::IsTerminal, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Subcommand};
use proto::analytics::v1::{GetRollupDigestRequest, RebuildRollupsRequest};
use serde::Serialize;
use tonic::{Code, Status};

use super::{Target, hotspots};
use crate::{
    simulate,
    suite::{Session, Suite, request_id},
};

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
        /// UUID of the request: asking again with the one of a rebuild that was cut off waits for that one's answer.
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
            let rebuilt = rebuild(&suite, &operator, &id).await?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&rebuilt)?);
            } else {
                let verdict = if rebuilt.same { "the same as before" } else { "another than before" };
                println!("{} events replayed; digest {}, {verdict}", rebuilt.events, rebuilt.digest_after);
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Hotspots(asked) => hotspots::run(&asked, args.json, &suite, &file).await,
        Action::Digest => {
            let now = digest(&suite, &operator).await?;
            if args.json {
                println!("{}", serde_json::to_string_pretty(&now)?);
            } else {
                println!("{} over {} facts and {} rollups", now.digest, now.facts, now.rollups);
                if now.rebuild_target > 0 {
                    println!("a rebuild is at {} of {}", now.rebuild_position, now.rebuild_target);
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn rebuild(suite: &Suite, operator: &Session, request_id: &str) -> Result<Rebuilt> {
    let before = digest(suite, operator).await?;
    let (events, digest_after) = tokio::select! {
        answer = ask(suite, operator, request_id) => answer?,
        never = watch(suite, operator) => match never {},
    };
    Ok(Rebuilt {
        request_id: request_id.to_owned(),
        events,
        same: before.digest == digest_after,
        digest_before: before.digest,
        digest_after,
    })
}

/// Asks until there is an answer: a call that outlasts its deadline goes on in the service, which meanwhile says that a
/// rebuild is running, and the same request finds its answer later.
async fn ask(suite: &Suite, operator: &Session, request_id: &str) -> Result<(i64, String)> {
    let mut outlasted = false;
    loop {
        let request = RebuildRollupsRequest { request_id: request_id.to_owned() };
        match suite.indicators().rebuild_rollups(operator.request(request).await?).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                return Ok((answer.events, answer.digest));
            }
            Err(status) if goes_on(&status, outlasted) => {
                outlasted = true;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(status) => return Err(status).context("the rebuild failed; the old tables stay in use"),
        }
    }
}

/// Whether the call was given up and not the work.
fn goes_on(status: &Status, outlasted: bool) -> bool {
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => true,
        Code::FailedPrecondition => outlasted,
        _ => false,
    }
}

/// Tells how far it is, where somebody watches. Rarely: the answer brings the digest, which reads every rollup.
async fn watch(suite: &Suite, operator: &Session) -> Infallible {
    let mut shown = 0;
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        if !std::io::stderr().is_terminal() {
            continue;
        }
        // A moment without an answer is no reason to give up.
        let Ok(now) = digest(suite, operator).await else { continue };
        if now.rebuild_target > 0 && now.rebuild_position != shown {
            shown = now.rebuild_position;
            eprintln!("rebuild: {shown} of {} events", now.rebuild_target);
        }
    }
}

async fn digest(suite: &Suite, operator: &Session) -> Result<Digest> {
    let request = operator.request(GetRollupDigestRequest {}).await?;
    let answer = suite.indicators().get_rollup_digest(request).await?.into_inner();
    Ok(Digest {
        digest: answer.digest,
        facts: answer.facts,
        rollups: answer.rollups,
        rebuild_position: answer.rebuild_position,
        rebuild_target: answer.rebuild_target,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_call_that_was_given_up_is_asked_again() {
        for (code, first, later) in [
            (Code::DeadlineExceeded, true, true),
            (Code::Cancelled, true, true),
            (Code::Aborted, true, true),
            // At first it is somebody else's rebuild that is running.
            (Code::FailedPrecondition, false, true),
            (Code::PermissionDenied, false, false),
            (Code::InvalidArgument, false, false),
            (Code::Internal, false, false),
        ] {
            let status = Status::new(code, "");
            assert_eq!((goes_on(&status, false), goes_on(&status, true)), (first, later), "{code:?}");
        }
    }
}
