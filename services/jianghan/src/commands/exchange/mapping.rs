//! Versions of mappings, as files and as they stand.

use std::process::ExitCode;

use anyhow::{Context, Result};
use proto::case_routing::v1::{
    ActivateMappingRequest, AreaRule, CaseState, ClassRule, ClosedCode, ClosedRule, DraftMappingRequest,
    GetMappingRequest, ListMappingsRequest, Mapping, MappingProblem, RollBackMappingRequest, StatusRule,
};
use serde::{Deserialize, Serialize};

use super::{Desk, MappingAction, systems::word};
use crate::{out, suite::request_id};

/// A mapping as a file writes it and as it is shown.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    /// Words of theirs by which a case that was referred is sent back. First, for in a file it stands before every table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    return_statuses: Vec<String>,
    classes: Vec<Class>,
    areas: Vec<Area>,
    statuses: Vec<Status>,
    closed_codes: Vec<Closed>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    class: String,
    item: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Area {
    area: String,
    unit: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    /// In lower case, such as `handed_off`.
    state: String,
    /// Only of cases that ended so; in lower case, such as `partly_resolved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_code: Option<String>,
    status: String,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Closed {
    /// In lower case, such as `resolved`.
    closed_code: String,
    code: String,
}

impl File {
    /// What is asked for; or every word that there is none of.
    fn request(self, system_code: String) -> Result<DraftMappingRequest, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut statuses = Vec::new();
        for (n, row) in self.statuses.into_iter().enumerate() {
            let state = CaseState::from_str_name(&format!("CASE_STATE_{}", row.state.to_ascii_uppercase()));
            if state.is_none() {
                problems.push(Problem::word(format!("statuses[{n}].state"), "unknown_state", &row.state));
            }
            let ended = row.closed_code.as_deref().map_or(Some(ClosedCode::Unspecified), closed_code);
            if let (None, Some(word)) = (ended, &row.closed_code) {
                let field = format!("statuses[{n}].closed_code");
                problems.push(Problem::word(field, "unknown_closed_code", word));
            }
            statuses.push(StatusRule {
                state: state.unwrap_or_default().into(),
                external_status: row.status,
                closed_code: ended.unwrap_or_default().into(),
            });
        }
        let mut closed_codes = Vec::new();
        for (n, row) in self.closed_codes.into_iter().enumerate() {
            let code = closed_code(&row.closed_code);
            if code.is_none() {
                let field = format!("closed_codes[{n}].closed_code");
                problems.push(Problem::word(field, "unknown_closed_code", &row.closed_code));
            }
            let closed_code = code.unwrap_or_default().into();
            closed_codes.push(ClosedRule { closed_code, external_code: row.code });
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(DraftMappingRequest {
            system_code,
            request_id: request_id(),
            classes: self
                .classes
                .into_iter()
                .map(|row| ClassRule { class_code: row.class, item_code: row.item })
                .collect(),
            areas: self
                .areas
                .into_iter()
                .map(|row| AreaRule { area_code: row.area, unit_code: row.unit })
                .collect(),
            statuses,
            closed_codes,
            return_statuses: self.return_statuses,
        })
    }

    fn of(mapping: &Mapping) -> Self {
        let class = |row: &ClassRule| Class { class: row.class_code.clone(), item: row.item_code.clone() };
        let area = |row: &AreaRule| Area { area: row.area_code.clone(), unit: row.unit_code.clone() };
        let status = |row: &StatusRule| Status {
            state: word(row.state().as_str_name(), "CASE_STATE_"),
            closed_code: Some(row.closed_code().as_str_name())
                .filter(|_| row.closed_code != 0)
                .map(|name| word(name, "CLOSED_CODE_")),
            status: row.external_status.clone(),
        };
        let closed = |row: &ClosedRule| Closed {
            closed_code: word(row.closed_code().as_str_name(), "CLOSED_CODE_"),
            code: row.external_code.clone(),
        };
        Self {
            classes: mapping.classes.iter().map(class).collect(),
            areas: mapping.areas.iter().map(area).collect(),
            statuses: mapping.statuses.iter().map(status).collect(),
            closed_codes: mapping.closed_codes.iter().map(closed).collect(),
            return_statuses: mapping.return_statuses.clone(),
        }
    }
}

fn closed_code(text: &str) -> Option<ClosedCode> {
    ClosedCode::from_str_name(&format!("CLOSED_CODE_{}", text.to_ascii_uppercase()))
}

/// A version as it is shown: what a file may hold, and where is posted to.
#[derive(Serialize)]
struct Shown {
    /// Confirmed when it was put in force.
    endpoint: String,
    /// What its system has now.
    system_endpoint: String,
    #[serde(flatten)]
    file: File,
}

impl Shown {
    fn of(mapping: &Mapping) -> Self {
        let (endpoint, system_endpoint) = (mapping.endpoint.clone(), mapping.system_endpoint.clone());
        Self { endpoint, system_endpoint, file: File::of(mapping) }
    }

    /// As a file that can be drafted again: where is posted to stands beside it, for that is nothing that a mapping says.
    fn toml(&self) -> Result<String> {
        Ok(format!(
            "# confirmed endpoint: {}\n# endpoint of the system: {}\n{}",
            place(&self.endpoint),
            place(&self.system_endpoint),
            toml::to_string(&self.file)?
        ))
    }
}

/// An endpoint in one line, as it is typed; what cannot be seen is written as its number.
fn place(endpoint: &str) -> String {
    if endpoint.is_empty() {
        return "none".to_owned();
    }
    let mut shown = String::with_capacity(endpoint.len());
    for character in endpoint.chars() {
        if character.is_ascii_graphic() || character.is_alphanumeric() {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

/// What is wrong in a file.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Problem {
    /// Its place, such as `classes[3].item_code`.
    field: String,
    code: String,
    /// The word that there is none of.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

impl Problem {
    fn word(field: String, code: &str, found: &str) -> Self {
        Self { field, code: code.to_owned(), found: Some(found.to_owned()) }
    }

    fn text(&self) -> String {
        let found = self.found.as_ref().map(|found| format!(" `{found}`"));
        format!("{}: {}{}", self.field, self.code, found.unwrap_or_default())
    }
}

impl From<MappingProblem> for Problem {
    fn from(told: MappingProblem) -> Self {
        Self { field: told.field, code: told.code, found: None }
    }
}

/// Nothing was stored, for all these reasons.
fn refuse(problems: &[Problem], json: bool) -> Result<ExitCode> {
    if json {
        out::json(&serde_json::json!({ "problems": problems }))?;
    } else {
        problems.iter().for_each(|problem| out::note!("{}", problem.text()));
    }
    out::note!("{} problems; nothing is stored", problems.len());
    Ok(ExitCode::FAILURE)
}

#[derive(Serialize)]
struct Line {
    system_code: String,
    mapping_version: i32,
    state: String,
    drafted_by: String,
    approved_by: String,
    endpoint: String,
    system_endpoint: String,
}

impl Line {
    fn of(mapping: &Mapping) -> Self {
        Self {
            system_code: mapping.system_code.clone(),
            mapping_version: mapping.mapping_version,
            state: word(mapping.state().as_str_name(), "MAPPING_STATE_"),
            drafted_by: mapping.drafted_by.clone(),
            approved_by: mapping.approved_by.clone(),
            endpoint: mapping.endpoint.clone(),
            system_endpoint: mapping.system_endpoint.clone(),
        }
    }

    fn text(&self) -> String {
        let now = place(&self.system_endpoint);
        let rest = if self.approved_by.is_empty() {
            format!("endpoint of the system {now}")
        } else if self.endpoint == self.system_endpoint {
            format!("approved by {}, confirmed endpoint {now}", self.approved_by)
        } else {
            let confirmed = place(&self.endpoint);
            format!("approved by {}, confirmed endpoint {confirmed} (the system has {now})", self.approved_by)
        };
        format!(
            "{} {} {}, drafted by {}, {rest}",
            self.system_code, self.mapping_version, self.state, self.drafted_by
        )
    }
}

fn print(mappings: &[Mapping], json: bool) -> Result<ExitCode> {
    let lines: Vec<Line> = mappings.iter().map(Line::of).collect();
    if json {
        out::json(&lines)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines {
        out::say!("{}", line.text())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists, shows, drafts, puts in force, takes back.
pub(super) async fn run(desk: &Desk, system_code: String, action: Option<MappingAction>) -> Result<ExitCode> {
    let dispatcher = desk.as_role("district_dispatcher")?;
    let mut exchange = desk.suite.exchange();
    match action {
        None => {
            let (mut all, mut page_token) = (Vec::new(), String::new());
            loop {
                let system_code = system_code.clone();
                let request = ListMappingsRequest { system_code, page_size: 200, page_token };
                let page = exchange.list_mappings(dispatcher.request(request).await?).await?.into_inner();
                all.extend(page.mappings);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    return print(&all, desk.json);
                }
            }
        }
        Some(MappingAction::Show { version }) => {
            let request = GetMappingRequest { system_code, mapping_version: version };
            let found = exchange.get_mapping(dispatcher.request(request).await?).await?.into_inner().mapping;
            let shown = Shown::of(&found.context("an answer without a mapping")?);
            let text = if desk.json { serde_json::to_string_pretty(&shown)? } else { shown.toml()? };
            out::say!("{}", text.trim_end())?;
            Ok(ExitCode::SUCCESS)
        }
        Some(MappingAction::Draft { file }) => {
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let read: File =
                toml::from_str(&text).with_context(|| format!("{} is not a mapping", file.display()))?;
            let request = match read.request(system_code) {
                Ok(request) => dispatcher.request(request).await?,
                Err(problems) => return refuse(&problems, desk.json),
            };
            let drafted = exchange.draft_mapping(request).await?.into_inner();
            if let Some(mapping) = drafted.mapping {
                return print(&[mapping], desk.json);
            }
            let problems: Vec<Problem> = drafted.problems.into_iter().map(Problem::from).collect();
            refuse(&problems, desk.json)
        }
        Some(MappingAction::Activate { version, endpoint }) => {
            let request = ActivateMappingRequest {
                system_code,
                mapping_version: version,
                request_id: request_id(),
                endpoint: endpoint.unwrap_or_default(),
            };
            let request = desk.as_role("arbiter")?.request(request).await?;
            let mapping = exchange.activate_mapping(request).await?.into_inner().mapping;
            print(&mapping.into_iter().collect::<Vec<_>>(), desk.json)
        }
        Some(MappingAction::RollBack { version }) => {
            let request =
                RollBackMappingRequest { system_code, mapping_version: version, request_id: request_id() };
            let mapping =
                exchange.roll_back_mapping(dispatcher.request(request).await?).await?.into_inner().mapping;
            print(&mapping.into_iter().collect::<Vec<_>>(), desk.json)
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::MappingState;

    use super::*;

    const TEXT: &str = r#"
        return_statuses = ["退回"]
        [[classes]]
        class = "0201"
        item = "CJ-0142"
        [[areas]]
        area = "x1"
        unit = "420103005001"
        [[statuses]]
        state = "handed_off"
        status = "转办"
        [[statuses]]
        state = "closed"
        closed_code = "partly_resolved"
        status = "部分办结"
        [[closed_codes]]
        closed_code = "resolved"
        code = "01"
    "#;

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        let file: File = toml::from_str(TEXT).unwrap();
        let request = toml::from_str::<File>(TEXT).unwrap().request("hotline".into()).unwrap();
        let statuses: Vec<_> = request.statuses.iter().map(|row| (row.state(), row.closed_code())).collect();
        let expected = [
            (CaseState::HandedOff, ClosedCode::Unspecified),
            (CaseState::Closed, ClosedCode::PartlyResolved),
        ];
        assert_eq!(statuses, expected);
        let mapping = Mapping {
            classes: request.classes,
            areas: request.areas,
            statuses: request.statuses,
            closed_codes: request.closed_codes,
            return_statuses: request.return_statuses,
            ..Default::default()
        };
        assert_eq!(File::of(&mapping), file);
        assert_eq!(toml::from_str::<File>(&Shown::of(&mapping).toml().unwrap()).unwrap(), file);
    }

    #[test]
    fn where_is_posted_to_is_told_with_every_version() {
        let seen = "https://hotline.example/changes";
        let draft = Mapping {
            system_code: "hotline".into(),
            mapping_version: 2,
            state: MappingState::Draft.into(),
            drafted_by: "p-1".into(),
            system_endpoint: seen.into(),
            ..Default::default()
        };
        let told = |mapping: &Mapping| Line::of(mapping).text();
        assert_eq!(told(&draft), format!("hotline 2 draft, drafted by p-1, endpoint of the system {seen}"));
        let shown = Shown::of(&draft).toml().unwrap();
        let head = format!("# confirmed endpoint: none\n# endpoint of the system: {seen}\n");
        assert!(shown.starts_with(&head), "{shown}");
        let approved = Mapping {
            state: MappingState::InForce.into(),
            approved_by: "p-2".into(),
            endpoint: seen.into(),
            ..draft
        };
        let head = "hotline 2 in_force, drafted by p-1, approved by p-2, confirmed endpoint";
        assert_eq!(told(&approved), format!("{head} {seen}"));
        let moved = Mapping { system_endpoint: String::new(), ..approved };
        assert_eq!(told(&moved), format!("{head} {seen} (the system has none)"));
        let shown = serde_json::to_value(Shown::of(&moved)).unwrap();
        assert_eq!((&shown["endpoint"], &shown["system_endpoint"]), (&seen.into(), &"".into()));
        assert_eq!(place("https://h.example/o'neil\u{202e}"), "https://h.example/o'neil\\u{202e}");
        assert_eq!(shown["classes"], serde_json::json!([]), "beside its entries");
    }

    #[test]
    fn every_wrong_word_is_named_at_once() {
        let wrong = TEXT.replace("handed_off", "elsewhere").replace("partly_resolved", "halfway");
        let wrong = wrong.replace("\"resolved\"", "\"done\"");
        let problems = toml::from_str::<File>(&wrong).unwrap().request("hotline".into()).unwrap_err();
        let told: Vec<String> = problems.iter().map(Problem::text).collect();
        assert_eq!(
            told,
            [
                "statuses[0].state: unknown_state `elsewhere`",
                "statuses[1].closed_code: unknown_closed_code `halfway`",
                "closed_codes[0].closed_code: unknown_closed_code `done`",
            ]
        );
        let told = serde_json::to_value(&problems).unwrap();
        assert_eq!(told[0]["field"], "statuses[0].state");
        assert_eq!(told[0]["found"], "elsewhere");
        assert!(toml::from_str::<File>("[[classes]]\nclass = \"1\"\n").is_err(), "a row lacks its item");
        assert!(toml::from_str::<File>("[[klasses]]\n").is_err());
    }
}
