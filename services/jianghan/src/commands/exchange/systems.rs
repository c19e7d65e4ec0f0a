//! Other systems: who they are.

use std::process::ExitCode;

use anyhow::{Context, Result};
use proto::case_routing::v1::{
    CreateExternalSystemRequest, ExternalSystem, ListExternalSystemsRequest, RotateWebhookSecretRequest,
    UpdateExternalSystemRequest,
};
use serde::Serialize;

use super::{Changes, Desk, Settings};
use crate::{out, suite::request_id};

#[derive(Serialize)]
struct Line {
    system_code: String,
    name_zh: String,
    name_en: String,
    direction: String,
    state: String,
    client_id: String,
    endpoint: String,
    line_codes: Vec<String>,
    has_secret: bool,
    mapping_version: i32,
}

/// A word of an enum without its prefix, in lower case.
pub(super) fn word(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_ascii_lowercase()
}

impl Line {
    fn of(system: ExternalSystem) -> Self {
        Self {
            direction: word(system.direction().as_str_name(), "EXCHANGE_DIRECTION_"),
            state: word(system.state().as_str_name(), "EXTERNAL_SYSTEM_STATE_"),
            system_code: system.system_code,
            name_zh: system.name_zh,
            name_en: system.name_en,
            client_id: system.client_id,
            endpoint: system.endpoint,
            line_codes: system.line_codes,
            has_secret: system.has_secret,
            mapping_version: system.mapping_version,
        }
    }

    fn text(&self) -> String {
        let or = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
        format!(
            "{} {} {}: {}, {}, mapping {}, lines {}, client {}, {}{}",
            self.system_code,
            self.name_zh,
            self.name_en,
            self.direction,
            self.state,
            if self.mapping_version == 0 { "none".to_owned() } else { self.mapping_version.to_string() },
            or(&self.line_codes.join(" "), "none"),
            or(&self.client_id, "none"),
            or(&self.endpoint, "fetches its changes"),
            if self.endpoint.is_empty() || self.has_secret { "" } else { " (unsigned: it has no secret)" },
        )
    }
}

fn print(systems: Vec<ExternalSystem>, json: bool) -> Result<ExitCode> {
    let lines: Vec<Line> = systems.into_iter().map(Line::of).collect();
    if json {
        out::json(&lines)?;
    } else {
        for line in &lines {
            out::say!("{}", line.text())?;
        }
        out::say!("{} systems", lines.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(desk: &Desk) -> Result<Vec<ExternalSystem>> {
    let operator = desk.operator()?;
    let (mut systems, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = operator.request(ListExternalSystemsRequest { page_size: 200, page_token }).await?;
        let page = desk.suite.exchange().list_external_systems(request).await?.into_inner();
        systems.extend(page.systems);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(systems);
        }
    }
}

/// Every system.
pub(super) async fn list(desk: &Desk) -> Result<ExitCode> {
    print(all(desk).await?, desk.json)
}

/// The person behind a login of the accounts file; an id stays as it is, for accounts made later.
fn client(desk: &Desk, login: &str) -> Result<String> {
    if login.is_empty() || uuid::Uuid::try_parse(login).is_ok() {
        return Ok(login.to_owned());
    }
    let account = desk.file.accounts.iter().find(|account| account.login == login);
    let account =
        account.with_context(|| format!("the accounts file holds no `{login}`; name the person's id"))?;
    Ok(account.person_id.clone())
}

/// Those that are named, of which an empty one is none; without any those of before.
fn lines(named: Option<Vec<String>>, known: Vec<String>) -> Vec<String> {
    let mut lines = named.unwrap_or(known);
    lines.retain(|line| !line.is_empty());
    lines
}

/// Enters a system.
pub(super) async fn create(desk: &Desk, set: Settings) -> Result<ExitCode> {
    let request = CreateExternalSystemRequest {
        request_id: request_id(),
        client_id: client(desk, &set.client.unwrap_or_default())?,
        system_code: set.code,
        name_zh: set.name_zh,
        name_en: set.name_en,
        direction: set.direction.into(),
        endpoint: set.endpoint.unwrap_or_default(),
        line_codes: lines(Some(set.line), Vec::new()),
    };
    let request = desk.operator()?.request(request).await?;
    let made = desk.suite.exchange().create_external_system(request).await?.into_inner().system;
    print(made.into_iter().collect(), desk.json)
}

/// Changes what is named of a system.
pub(super) async fn set(desk: &Desk, set: Changes) -> Result<ExitCode> {
    let known = all(desk).await?.into_iter().find(|system| system.system_code == set.code);
    let known = known.with_context(|| format!("there is no system `{}`", set.code))?;
    let client_id = match &set.client {
        Some(login) => client(desk, login)?,
        None => known.client_id,
    };
    let request = UpdateExternalSystemRequest {
        system_code: set.code,
        request_id: request_id(),
        etag: known.etag,
        name_zh: set.name_zh.unwrap_or(known.name_zh),
        name_en: set.name_en.unwrap_or(known.name_en),
        direction: set.direction.map_or(known.direction, Into::into),
        state: set.state.map_or(known.state, Into::into),
        client_id,
        endpoint: set.endpoint.unwrap_or(known.endpoint),
        line_codes: lines(set.line, known.line_codes),
        update_mask: None,
    };
    let request = desk.operator()?.request(request).await?;
    let changed = desk.suite.exchange().update_external_system(request).await?.into_inner().system;
    print(changed.into_iter().collect(), desk.json)
}

/// Makes a secret.
pub(super) async fn secret(desk: &Desk, system_code: String) -> Result<ExitCode> {
    let request = RotateWebhookSecretRequest { system_code, request_id: request_id() };
    let request = desk.operator()?.request(request).await?;
    let made = desk.suite.exchange().rotate_webhook_secret(request).await?.into_inner();
    if desk.json {
        out::say!("{}", serde_json::json!({ "secret": made.secret }))?;
    } else {
        out::say!("{}", made.secret)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Set {
        #[command(flatten)]
        changes: Changes,
    }

    #[test]
    fn lines_are_changed_taken_away_or_left_as_they_are() {
        let after = |named: &[&str]| {
            let set = Set::try_parse_from(["set", "hotline"].iter().chain(named)).expect("its arguments");
            lines(set.changes.line, vec!["urban".to_owned()])
        };
        assert_eq!(after(&[]), ["urban"]);
        assert_eq!(after(&["--line", "civil", "--line", "security"]), ["civil", "security"]);
        assert_eq!(after(&["--line", ""]), Vec::<String>::new());
    }
}
