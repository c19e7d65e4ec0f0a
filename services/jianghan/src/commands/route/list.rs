//! `jianghan route list`: the responsibility list as a file, and its versions. One person drafts a version, another puts it in
//! force.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use chrono::NaiveDate;
use clap::{Args as ClapArgs, Subcommand};
use proto::case_routing::v1::{
    ActivateListVersionRequest, CompareListVersionsRequest, ExportListVersionRequest, GetListVersionRequest,
    ImportListVersionRequest, ImportListVersionResponse, ListDifference, ListEntry, ListListVersionsRequest,
    ListVersion, RollBackListVersionRequest, StartCanaryRequest,
};

use super::{
    Names,
    versions::{RolledBack, Version, print},
};
use crate::{
    commands::list_files::{Found, format, read, session, write},
    out,
    suite::{AccountsFile, Suite, request_id},
};

/// What is done with the list.
#[derive(Subcommand)]
pub enum Action {
    /// Tell all that is wrong in a file, each with its row and column, and what it would change. Nothing is stored; exit 1 if
    /// anything is wrong.
    Check(FileArgs),
    /// Draft a version from a file; nothing is stored if anything in it is wrong (exit 1).
    Import {
        #[command(flatten)]
        file: FileArgs,
        /// Why, as a code such as duty_moved.
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
    /// Write a version to a file that can be imported again.
    Export {
        /// The file: .csv or .xlsx. An older one is replaced once the new one is whole.
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Number of the version; the one in force everywhere without it.
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
        version: i32,
        /// Names of the columns in English codes.
        #[arg(long)]
        english: bool,
    },
    /// The versions, newest first; with a number what it has otherwise than its base.
    Versions {
        /// Number of one version.
        #[arg(long, value_name = "N")]
        version: Option<i32>,
    },
    /// Put a draft in force in one street, at once, as the district's arbiter.
    Canary {
        /// Number of the version.
        #[arg(long, value_name = "N")]
        version: i32,
        /// Code or id of the street.
        #[arg(long, value_name = "UNIT")]
        street: String,
        /// Although it was drafted from another version than the one in force: what that has otherwise is undone there.
        #[arg(long)]
        replace_moved: bool,
    },
    /// Put a draft or a canary in force everywhere, as the district's arbiter: at once, or from a day on.
    Activate {
        /// Number of the version.
        #[arg(long, value_name = "N")]
        version: i32,
        /// First day, YYYY-MM-DD.
        #[arg(long, value_name = "DAY")]
        on: Option<NaiveDate>,
        /// Although it was drafted from another version than the one in force: what that has otherwise is undone.
        #[arg(long)]
        replace_moved: bool,
    },
    /// Take a version back at once: a canary ends, and what was in force before is in force again. What runs or waits and was
    /// made from it is taken back first.
    RollBack {
        /// Number of the version.
        #[arg(long, value_name = "N")]
        version: i32,
        /// Why, as a code such as wrong_lead.
        #[arg(long, value_name = "CODE")]
        reason: String,
    },
}

/// A file and what it is held against.
#[derive(ClapArgs)]
pub struct FileArgs {
    /// The file: .csv or .xlsx, as `export` writes it. A column that is left out leaves that field as it is.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// The version it is compared with; the one in force everywhere without it.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    base: i32,
    /// The file is the whole list: entries that are not in it fall away.
    #[arg(long)]
    whole: bool,
}

/// Does it.
pub(super) async fn run(
    action: Action,
    json: bool,
    suite: &Suite,
    accounts: &AccountsFile,
    names: &Names,
) -> Result<ExitCode> {
    let role = match action {
        Action::Activate { .. } | Action::Canary { .. } => "arbiter",
        _ => "district_dispatcher",
    };
    let by = session(suite, accounts, role)?;
    let told = |version: ListVersion, changes: Vec<String>| Version::of(&version, changes, names);
    let mut client = suite.responsibilities();
    match action {
        Action::Check(file) => {
            let request = by.request(file.request(None)?).await?;
            let answer = client.import_list_version(request).await?.into_inner();
            found(file.file, answer).print(json)
        }
        Action::Import { file, reason } => {
            let request = by.request(file.request(Some(reason))?).await?;
            let answer = client.import_list_version(request).await?.into_inner();
            found(file.file, answer).print(json)
        }
        Action::Export { file, version, english } => {
            let request =
                ExportListVersionRequest { list_version: version, format: format(&file)?.into(), english };
            let answer = client.export_list_version(by.request(request).await?).await?.into_inner();
            write(&file, &answer.file)?;
            let (rows, bytes) = (answer.rows, answer.file.len());
            if json {
                out::say!("{}", serde_json::json!({ "file": file, "rows": rows, "bytes": bytes }))?;
            } else {
                out::say!("{}: {rows} entries, {bytes} bytes", file.display())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Activate { version, on, replace_moved } => {
            let request = ActivateListVersionRequest {
                list_version: version,
                request_id: request_id(),
                effective_on: on.map(|day| day.to_string()).unwrap_or_default(),
                replace_moved,
            };
            let answer = client.activate_list_version(by.request(request).await?).await?.into_inner();
            told(answer.version.context("an answer without the version")?, Vec::new()).print(json)
        }
        Action::Canary { version, street, replace_moved } => {
            let request = StartCanaryRequest {
                list_version: version,
                request_id: request_id(),
                unit_id: names.unit_id(&street)?,
                replace_moved,
            };
            let answer = client.start_canary(by.request(request).await?).await?.into_inner();
            told(answer.version.context("an answer without the version")?, Vec::new()).print(json)
        }
        Action::RollBack { version, reason } => {
            let request = RollBackListVersionRequest {
                list_version: version,
                request_id: request_id(),
                reason_code: reason,
            };
            let answer = client.roll_back_list_version(by.request(request).await?).await?.into_inner();
            let version = told(answer.version.context("an answer without the version")?, Vec::new());
            RolledBack { in_force_version: answer.in_force_version, version }.print(json)
        }
        Action::Versions { version: None } => {
            let (mut all, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = ListListVersionsRequest { page_size: 200, page_token };
                let page = client.list_list_versions(by.request(request).await?).await?.into_inner();
                all.extend(page.versions.into_iter().map(|version| told(version, Vec::new())));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    return print(&all, json);
                }
            }
        }
        Action::Versions { version: Some(list_version) } => {
            let request = by.request(GetListVersionRequest { list_version }).await?;
            let version = client.get_list_version(request).await?.into_inner().version;
            let version = version.context("an answer without the version")?;
            if version.base_version == 0 {
                return told(version, Vec::new()).print(json); // all of it would be new
            }
            let (mut changes, mut page_token) = (Vec::new(), String::new());
            loop {
                let page_size = 1_000;
                let request =
                    CompareListVersionsRequest { list_version, page_size, page_token, ..Default::default() };
                let page = client.compare_list_versions(by.request(request).await?).await?.into_inner();
                changes.extend(page.differences.iter().map(change));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    return told(version, changes).print(json);
                }
            }
        }
    }
}

impl FileArgs {
    /// Without a reason it is only checked.
    fn request(&self, reason: Option<String>) -> Result<ImportListVersionRequest> {
        let (file, format) = read(&self.file)?;
        Ok(ImportListVersionRequest {
            request_id: request_id(),
            base_version: self.base,
            file,
            format: format.into(),
            whole: self.whole,
            dry_run: reason.is_none(),
            reason_code: reason.unwrap_or_default(),
        })
    }
}

fn found(file: PathBuf, answer: ImportListVersionResponse) -> Found {
    let found = Found {
        file,
        version: answer.version.map(|version| version.list_version),
        rows: answer.rows,
        added: answer.added,
        changed: answer.changed,
        removed: answer.removed,
        unchanged: answer.unchanged,
        problems_left_out: answer.problems_left_out,
        changes: answer.differences.iter().map(change).collect(),
        ..Found::default()
    };
    found.with_problems(answer.problems)
}

/// `~ R-0001 CJ-0101 lead department construction`
fn change(found: &ListDifference) -> String {
    let (sign, entry) = match (&found.before, &found.after) {
        (None, Some(after)) => ('+', Some(after)),
        (Some(before), None) => ('-', Some(before)),
        (_, after) => ('~', after.as_ref()),
    };
    let entry = entry.map(|entry: &ListEntry| {
        let part = entry.part().as_str_name().trim_start_matches("LIST_PART_").to_lowercase();
        let holder = if entry.org_code.is_empty() { &entry.org_kind } else { &entry.org_code };
        [&entry.item_code, &part, holder, &entry.line, &entry.condition].map(String::as_str).join(" ")
    });
    format!("{sign} {} {}", found.rule_id, entry.unwrap_or_default()).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::ListPart;

    use super::*;

    #[test]
    fn a_difference_is_one_line() {
        let entry = ListEntry {
            item_code: "CJ-0101".into(),
            part: ListPart::Lead.into(),
            org_kind: "department".into(),
            line: "construction".into(),
            ..Default::default()
        };
        let added = ListDifference { rule_id: "R-1".into(), before: None, after: Some(entry.clone()) };
        assert_eq!(change(&added), "+ R-1 CJ-0101 lead department construction");
        let gone = ListDifference { rule_id: "R-1".into(), before: Some(entry), after: None };
        assert!(change(&gone).starts_with("- R-1 CJ-0101"));
    }
}
