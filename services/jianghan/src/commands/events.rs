//! `jianghan events`: parked and dead events of a service.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Subcommand};
use proto::ops::v1::{
    GetParkedEventRequest, ListParkedEventsRequest, ParkedEvent, RedriveEventRequest, SkipEventRequest,
};
use serde::Serialize;
use serde_json::json;

use super::Target;
use crate::{
    out, simulate,
    suite::{SERVICES, Session, Suite},
};

/// Arguments of `events`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The consuming service; `dead` and `parked` look at every service without it, tell which could not be asked, and exit 1
    /// then.
    #[arg(long, global = true, value_parser = clap::builder::PossibleValuesParser::new(SERVICES))]
    service: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Subcommand)]
enum Action {
    /// Events whose retries have ended.
    Dead,
    /// Every event that waits: for a retry, or behind another of its key. Behind a dead one it waits until that is redriven
    /// or skipped.
    Parked,
    /// One event with its cause and trace.
    Show {
        /// Event id.
        event: String,
    },
    /// Try an event again at once; without an id every dead one. One that was handled meanwhile is not due any more: 0.
    Redrive {
        /// Event id.
        event: Option<String>,
    },
    /// Give an event up for good, so that those behind it flow. Of one that was given up already the first reason stays.
    Skip {
        /// Event id.
        event: String,
        /// Code of the reason, kept with the record.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Serialize)]
struct Line {
    service: String,
    event_id: String,
    r#type: String,
    partition_key: String,
    cause: String,
    attempts: i32,
    dead: bool,
    traceparent: String,
    detail: String,
}

/// Lists or acts; `dead` exits 1 when there are dead events, and both lists do when one of all services could not be asked.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let operator = simulate::operator(&suite, &file)?;
    let one = || args.service.as_deref().context("name the consuming service with --service");
    match &args.action {
        Action::Dead | Action::Parked => {
            let dead_only = matches!(args.action, Action::Dead);
            let services: Vec<_> = match &args.service {
                Some(service) => vec![service.as_str()],
                None => SERVICES.to_vec(),
            };
            let (mut lines, mut all) = (Vec::new(), true);
            for service in services {
                match read(&suite, &operator, service, dead_only, &mut lines).await {
                    Err(error) if args.service.is_none() => {
                        out::note!("jianghan: {service} does not list its events: {error:#}");
                        all = false;
                    }
                    read => read?,
                }
            }
            print(&lines, args.json)?;
            let well = all && (!dead_only || lines.is_empty());
            Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Action::Show { event } => {
            let service = one()?;
            let request = operator.request(GetParkedEventRequest { event_id: event.clone() }).await?;
            let event = suite.ops(service).get_parked_event(request).await?.into_inner().event;
            print(&[line(service, event.context("an answer without an event")?)], args.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Redrive { event } => {
            let request = RedriveEventRequest { event_id: event.clone().unwrap_or_default() };
            let request = operator.request(request).await?;
            let service = one()?;
            let redriven = suite.ops(service).redrive_event(request).await?.into_inner().redriven;
            if args.json {
                out::say!("{}", json!({ "service": service, "redriven": redriven }))?;
            } else {
                out::say!("{redriven} made due")?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Skip { event, reason } => {
            let request = SkipEventRequest { event_id: event.clone(), reason_code: reason.clone() };
            let service = one()?;
            suite.ops(service).skip_event(operator.request(request).await?).await?;
            if args.json {
                out::say!("{}", json!({ "service": service, "skipped": event }))?;
            } else {
                out::say!("{event} skipped")?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Adds the parked events of a service, as many as it tells.
async fn read(
    suite: &Suite,
    operator: &Session,
    service: &str,
    dead_only: bool,
    lines: &mut Vec<Line>,
) -> Result<()> {
    let mut page_token = String::new();
    loop {
        let request = ListParkedEventsRequest { dead_only, page_size: 500, page_token };
        let request = operator.request(request).await?;
        let page = suite.ops(service).list_parked_events(request).await?.into_inner();
        lines.extend(page.events.into_iter().map(|event| line(service, event)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(());
        }
    }
}

fn line(service: &str, event: ParkedEvent) -> Line {
    Line {
        service: service.to_owned(),
        event_id: event.event_id,
        r#type: event.r#type,
        partition_key: event.partition_key,
        cause: event.cause,
        attempts: event.attempts,
        dead: event.dead,
        traceparent: event.traceparent,
        detail: event.detail,
    }
}

fn print(lines: &[Line], json: bool) -> Result<()> {
    if json {
        out::json(lines)?;
        return Ok(());
    }
    for line in lines {
        let state = if line.dead { "dead" } else { "waiting" };
        out::say!(
            "{} {state} {} {} key {} after {} attempts: {} {}",
            line.service,
            line.event_id,
            line.r#type,
            line.partition_key,
            line.attempts,
            line.cause,
            line.detail
        )?;
    }
    out::say!("{} events", lines.len())?;
    Ok(())
}
