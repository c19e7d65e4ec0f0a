//! `jianghan catalogue`: the catalogue of service items of a running suite as a file, and its versions. One person imports a
//! version, another puts it in force.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use chrono::NaiveDate;
use clap::{Args as ClapArgs, Subcommand};
use proto::case_routing::v1::{
    ActivateCatalogueVersionRequest, CatalogueVersion, ExportCatalogueRequest, GetCatalogueVersionRequest,
    ImportCatalogueRequest, ImportCatalogueResponse, ItemChange, ItemChangeKind,
    ListCatalogueVersionsRequest, RollBackCatalogueVersionRequest,
};
use serde::Serialize;

use super::{
    Target,
    list_files::{Found, format, read, session, write},
};
use crate::{
    out,
    suite::{Suite, request_id},
};

/// Arguments of `catalogue`.
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
    /// Tell all that is wrong in a file, each with its row and column, and what it would change. Nothing is stored; exit 1 if
    /// anything is wrong.
    Check(FileArgs),
    /// Draft a version from a file; nothing is stored if anything in it is wrong (exit 1).
    Import {
        #[command(flatten)]
        file: FileArgs,
        /// Why, as a code such as yearly_review.
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
    /// Write the items in force to a file that can be imported again.
    Export {
        /// The file: .csv or .xlsx. An older one is replaced once the new one is whole.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// The items in force on this day, YYYY-MM-DD; today without it.
        #[arg(long, value_name = "DAY")]
        at: Option<NaiveDate>,
        /// Names of the columns in English codes.
        #[arg(long)]
        english: bool,
    },
    /// The versions, newest first; with a number what it changes.
    Versions {
        /// Number of one version.
        #[arg(long, value_name = "N")]
        version: Option<i32>,
    },
    /// Put a draft in force, as the district's arbiter: at once, or from a day on.
    Activate {
        /// Number of the version.
        #[arg(long, value_name = "N")]
        version: i32,
        /// First day, YYYY-MM-DD.
        #[arg(long, value_name = "DAY")]
        on: Option<NaiveDate>,
    },
    /// Take a version back at once; its items are again as they were without it.
    RollBack {
        /// Number of the version.
        #[arg(long, value_name = "N")]
        version: i32,
        /// Why, as a code such as wrong_limits.
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
}

#[derive(ClapArgs)]
struct FileArgs {
    /// The file: .csv or .xlsx, as `export` writes it. A column that is left out leaves that field as it is.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The file is the whole catalogue: items that are not in it end.
    #[arg(long)]
    whole: bool,
}

#[derive(Serialize)]
struct Exported {
    file: PathBuf,
    rows: i32,
    bytes: usize,
}

#[derive(Serialize)]
struct Version {
    version: i32,
    state: String,
    items: i32,
    from: String,
    reason: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
}

/// Runs one of them.
pub async fn run(args: Args) -> Result<ExitCode> {
    let accounts = args.target.read()?;
    let suite = Suite::new(&accounts.addresses)?;
    let role = if matches!(args.action, Action::Activate { .. }) { "arbiter" } else { "district_dispatcher" };
    let by = session(&suite, &accounts, role)?;
    let mut client = suite.catalogue_versions();
    match args.action {
        Action::Check(file) => {
            let request = by.request(file.request(None)?).await?;
            let answer = client.import_catalogue(request).await?.into_inner();
            found(file.file, answer).print(args.json)
        }
        Action::Import { file, reason } => {
            let request = by.request(file.request(Some(reason))?).await?;
            let answer = client.import_catalogue(request).await?.into_inner();
            found(file.file, answer).print(args.json)
        }
        Action::Export { file, at, english } => {
            let at_time = at.map(|day| calendar::instant(day, chrono::NaiveTime::MIN));
            let request = ExportCatalogueRequest {
                format: format(&file)?.into(),
                at_time: at_time.map(chassis::clock::to_proto),
                english,
            };
            let answer = client.export_catalogue(by.request(request).await?).await?.into_inner();
            write(&file, &answer.file)?;
            let done = Exported { file, rows: answer.rows, bytes: answer.file.len() };
            if args.json {
                out::json(&done)?;
            } else {
                out::say!("{}: {} items, {} bytes", done.file.display(), done.rows, done.bytes)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Versions { version: None } => {
            let mut all = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = ListCatalogueVersionsRequest { page_size: 200, page_token };
                let page = client.list_catalogue_versions(by.request(request).await?).await?.into_inner();
                all.extend(page.versions.iter().map(|version| told(version, &[])));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            print(&all, args.json)
        }
        Action::Versions { version: Some(catalogue_version) } => {
            let request = by.request(GetCatalogueVersionRequest { catalogue_version }).await?;
            let answer = client.get_catalogue_version(request).await?.into_inner();
            let version = answer.version.context("an answer without the version")?;
            print(&[told(&version, &answer.changes)], args.json)
        }
        Action::Activate { version, on } => {
            let request = ActivateCatalogueVersionRequest {
                catalogue_version: version,
                request_id: request_id(),
                effective_on: on.map(|day| day.to_string()).unwrap_or_default(),
            };
            let answer = client.activate_catalogue_version(by.request(request).await?).await?.into_inner();
            print(&[told(&answer.version.context("an answer without the version")?, &[])], args.json)
        }
        Action::RollBack { version, reason } => {
            let request = RollBackCatalogueVersionRequest {
                catalogue_version: version,
                request_id: request_id(),
                reason_code: reason,
            };
            let answer = client.roll_back_catalogue_version(by.request(request).await?).await?.into_inner();
            print(&[told(&answer.version.context("an answer without the version")?, &[])], args.json)
        }
    }
}

impl FileArgs {
    /// Without a reason it is only checked.
    fn request(&self, reason: Option<String>) -> Result<ImportCatalogueRequest> {
        let (file, format) = read(&self.file)?;
        Ok(ImportCatalogueRequest {
            request_id: request_id(),
            file,
            format: format.into(),
            whole: self.whole,
            dry_run: reason.is_none(),
            reason_code: reason.unwrap_or_default(),
        })
    }
}

fn found(file: PathBuf, answer: ImportCatalogueResponse) -> Found {
    let found = Found {
        file,
        version: answer.version.map(|version| version.catalogue_version),
        rows: answer.rows,
        added: answer.added,
        changed: answer.changed,
        removed: answer.ended,
        unchanged: answer.unchanged,
        problems_left_out: answer.problems_left_out,
        changes: answer.changes.iter().map(change).collect(),
        without_lead: answer.without_lead_item_codes,
        ..Found::default()
    };
    found.with_problems(answer.problems)
}

/// `~ CJ-0101 promised_limit: 5 work_day → 3 work_day`
fn change(change: &ItemChange) -> String {
    let sign = match change.kind() {
        ItemChangeKind::Added => '+',
        ItemChangeKind::Ended => '-',
        ItemChangeKind::Changed | ItemChangeKind::Unspecified => '~',
    };
    let field = |field: &proto::case_routing::v1::FieldChange| {
        format!(" {}: {} → {}", field.column, field.before, field.after)
    };
    let fields: Vec<String> = change.fields.iter().map(field).collect();
    format!("{sign} {}{}", change.item_code, fields.join(","))
}

fn told(version: &CatalogueVersion, changes: &[ItemChange]) -> Version {
    let from = version.effective_time.as_ref().and_then(chassis::clock::from_proto);
    let from = from.map(|at| calendar::local(at).format("%Y-%m-%d %H:%M").to_string());
    Version {
        version: version.catalogue_version,
        state: version.state().as_str_name().trim_start_matches("LIST_STATE_").to_lowercase(),
        items: version.item_count,
        from: from.unwrap_or_default(),
        reason: version.reason_code.clone(),
        changes: changes.iter().map(change).collect(),
    }
}

fn print(versions: &[Version], json: bool) -> Result<ExitCode> {
    if json {
        out::json(versions)?;
        return Ok(ExitCode::SUCCESS);
    }
    for version in versions {
        let Version { version: number, state, items, from, reason, changes } = version;
        out::say!("{number:>4}  {state:<10} {items:>5} items  {from:<16}  {reason}")?;
        for change in changes {
            out::say!("      {change}")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::{FieldChange, ListState};

    use super::*;

    #[test]
    fn a_change_is_one_line() {
        let field =
            |column: &str| FieldChange { column: column.into(), before: "a".into(), after: "b".into() };
        let changed = ItemChange {
            item_code: "CJ-0101".into(),
            kind: ItemChangeKind::Changed.into(),
            fields: vec![field("name_zh"), field("lines")],
        };
        assert_eq!(change(&changed), "~ CJ-0101 name_zh: a → b, lines: a → b");
        let ended = ItemChange { kind: ItemChangeKind::Ended.into(), fields: vec![], ..changed };
        assert_eq!(change(&ended), "- CJ-0101");
    }

    #[test]
    fn a_version_is_told_with_its_day_in_local_time() {
        let version = CatalogueVersion {
            catalogue_version: 2,
            state: ListState::Scheduled.into(),
            effective_time: Some("2026-02-28T16:00:00Z".parse().expect("an instant")),
            ..Default::default()
        };
        let told = told(&version, &[]);
        assert_eq!((told.state.as_str(), told.from.as_str()), ("scheduled", "2026-03-01 00:00"));
    }
}
