//! `jianghan exchange`: other systems of a running suite, the versions of their mappings, tickets that do not arrive, and what is
//! said of referrals.

mod mapping;
mod statuses;
mod systems;
mod tickets;

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use proto::case_routing::v1::{ExchangeDirection, ExternalSystemState, SyncState};
use uuid::Uuid;

use super::Target;
use crate::{
    simulate,
    suite::{AccountsFile, Session, Suite},
};

/// Arguments of `exchange`.
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
    /// Other systems: list them, enter one, change one, make a secret for its signatures.
    Systems {
        #[command(subcommand)]
        action: Option<SystemAction>,
    },
    /// Versions of a system's mapping: list, show, draft from a file, put in force, take back.
    Mapping {
        /// Code of the system.
        #[arg(long, value_name = "SYSTEM")]
        system: String,
        #[command(subcommand)]
        action: Option<MappingAction>,
    },
    /// Tickets, newest first.
    Tickets {
        /// Only of this system.
        #[arg(long, value_name = "SYSTEM")]
        system: Option<String>,
        /// Only those that stand so.
        #[arg(long, value_enum)]
        state: Option<State>,
        /// Only the ticket with this number in its system.
        #[arg(long, value_name = "NUMBER")]
        number: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        most: u32,
    },
    /// Report how referrals stand in the system that took them, from a CSV file with the columns ext_no 工单号, external_status
    /// 对方状态 and, where it is known, changed_time 状态时间. Every row is taken for itself; exit 1, with everything that is wrong,
    /// if anything is. A row without a time counts once for each request: after a failure send the same file again under the
    /// request id that was printed.
    StatusImport {
        /// The file: .csv, at most 500 rows.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Login of the account that speaks for the system; without it the first integration client.
        #[arg(long, value_name = "LOGIN")]
        client: Option<String>,
        /// Id of the request that failed, as it was printed; without it a new one.
        #[arg(long, value_name = "UUID")]
        request_id: Option<Uuid>,
    },
    /// Try a ticket again at once; without an id every one that was given up. Exit 1 if any was refused.
    Retry {
        /// Id of the ticket.
        ticket: Option<String>,
    },
}

#[derive(Subcommand)]
enum SystemAction {
    /// Enter a system.
    Create(Settings),
    /// Change what is named of a system; the rest stays.
    Set(Changes),
    /// Make a secret for signing deliveries and print it; it cannot be looked up later.
    Secret {
        /// Code of the system.
        code: String,
    },
}

#[derive(ClapArgs)]
struct Settings {
    /// Its code, which never changes.
    code: String,
    /// Chinese name.
    #[arg(long, value_name = "NAME")]
    name_zh: String,
    /// English name.
    #[arg(long, value_name = "NAME")]
    name_en: String,
    /// Which way tickets go.
    #[arg(long, value_enum, default_value_t = Direction::In)]
    direction: Direction,
    /// Login of the account that speaks for it.
    #[arg(long, value_name = "LOGIN")]
    client: Option<String>,
    /// Where its changes are posted; without it it fetches them.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Lines by which cases are handed off to it; without it or empty: none.
    #[arg(long, value_name = "LINE")]
    line: Vec<String>,
}

#[derive(ClapArgs)]
struct Changes {
    /// Code of the system.
    code: String,
    /// Chinese name.
    #[arg(long, value_name = "NAME")]
    name_zh: Option<String>,
    /// English name.
    #[arg(long, value_name = "NAME")]
    name_en: Option<String>,
    /// Which way tickets go.
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// Whether anything goes either way.
    #[arg(long, value_enum)]
    state: Option<Switch>,
    /// Login of the account that speaks for it.
    #[arg(long, value_name = "LOGIN")]
    client: Option<String>,
    /// Where its changes are posted; empty: it fetches them.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Lines by which cases are handed off to it, all of them; empty: none.
    #[arg(long, value_name = "LINE")]
    line: Option<Vec<String>>,
}

#[derive(Subcommand)]
enum MappingAction {
    /// One version with its entries, the endpoint that was confirmed with it and the one that its system has.
    Show {
        /// Number of the version.
        version: i32,
    },
    /// Draft a version from a TOML file; exit 1, with everything that is wrong, if anything is.
    Draft {
        /// The list `return_statuses`, and tables `[[classes]]`, `[[areas]]`, `[[statuses]]`, `[[closed_codes]]`.
        file: PathBuf,
    },
    /// Put a draft in force, as another person than its drafter, and confirm where is posted to.
    Activate {
        /// Number of the version.
        version: i32,
        /// The endpoint that its system has, as `show` tells it: refused if that is another one by now. Without it or empty: the system
        /// has none.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
    },
    /// Take the version in force back; the one before it is posted to the endpoint that was confirmed with it.
    RollBack {
        /// Number of the version.
        version: i32,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    In,
    Out,
    Both,
}

impl From<Direction> for i32 {
    fn from(direction: Direction) -> Self {
        let word = match direction {
            Direction::In => ExchangeDirection::In,
            Direction::Out => ExchangeDirection::Out,
            Direction::Both => ExchangeDirection::Both,
        };
        word.into()
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Paused,
}

impl From<Switch> for i32 {
    fn from(switch: Switch) -> Self {
        let word = match switch {
            Switch::On => ExternalSystemState::On,
            Switch::Paused => ExternalSystemState::Paused,
        };
        word.into()
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum State {
    Pending,
    Synced,
    Retrying,
    Failed,
    Paused,
}

impl From<State> for i32 {
    fn from(state: State) -> Self {
        let word = match state {
            State::Pending => SyncState::Pending,
            State::Synced => SyncState::Synced,
            State::Retrying => SyncState::Retrying,
            State::Failed => SyncState::Failed,
            State::Paused => SyncState::Paused,
        };
        word.into()
    }
}

/// A running suite and the person who acts.
struct Desk {
    suite: Suite,
    file: AccountsFile,
    json: bool,
}

impl Desk {
    fn as_role(&self, role: &str) -> Result<Arc<Session>> {
        let account = self.file.accounts.iter().find(|account| account.role == role);
        let account = account.with_context(|| format!("the accounts file holds no {role}"))?;
        Ok(Session::new(&self.suite, account.clone()))
    }

    fn operator(&self) -> Result<Arc<Session>> {
        simulate::operator(&self.suite, &self.file)
    }
}

/// Acts as the operator, for mappings as the district's dispatcher and the arbiter, for statuses as the system's account.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    // Statuses are sent again under their request id while the service is away: rows without a time count once by it.
    let patience = match args.action {
        Action::StatusImport { .. } => Duration::from_secs(60),
        _ => Duration::ZERO,
    };
    let desk = Desk { suite: Suite::patient(&file.addresses, patience)?, file, json: args.json };
    match args.action {
        Action::Systems { action: None } => systems::list(&desk).await,
        Action::Systems { action: Some(SystemAction::Create(settings)) } => {
            systems::create(&desk, settings).await
        }
        Action::Systems { action: Some(SystemAction::Set(changes)) } => systems::set(&desk, changes).await,
        Action::Systems { action: Some(SystemAction::Secret { code }) } => systems::secret(&desk, code).await,
        Action::Mapping { system, action } => mapping::run(&desk, system, action).await,
        Action::Tickets { system, state, number, most } => {
            let (system, number) = (system.unwrap_or_default(), number.unwrap_or_default());
            let found = tickets::find(&desk, (&system, &number), state, most).await?;
            tickets::print(&found, desk.json)
        }
        Action::StatusImport { file, client, request_id } => {
            statuses::import(&desk, &file, client.as_deref(), request_id).await
        }
        Action::Retry { ticket } => tickets::retry(&desk, ticket).await,
    }
}
