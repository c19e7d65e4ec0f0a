//! `jianghan analytics hotspots`: what was found and what became of it, read with an analyst's account.

use std::{collections::HashMap, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args as ClapArgs;
use gateway::export::unit_names;
use proto::analytics::v1::{DetectHotspotsRequest, DetectHotspotsResponse, Hotspot, ListHotspotsRequest};
use serde::Serialize;

use crate::{
    out,
    simulate::actors::units_ever,
    suite::{AccountsFile, Session, Suite, request_id},
};

/// Arguments of `analytics hotspots`.
#[derive(ClapArgs)]
pub struct Args {
    /// Look now, over the days up to the last that has ended, instead of waiting for the night.
    #[arg(long)]
    detect: bool,
    /// Only those that go on.
    #[arg(long)]
    active: bool,
    /// Sign-in name of the account whose reach applies; an analyst without it.
    #[arg(long = "as", value_name = "LOGIN")]
    login: Option<String>,
}

#[derive(Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<Look>,
    hotspots: Vec<Found>,
}

/// What a look brought.
#[derive(Serialize)]
struct Look {
    day: String,
    tested: i32,
    rejected: i32,
    detected: i32,
    continued: i32,
    ended: i32,
    too_little_history: bool,
}

impl From<DetectHotspotsResponse> for Look {
    fn from(look: DetectHotspotsResponse) -> Self {
        Self {
            day: look.day,
            tested: look.tested,
            rejected: look.rejected,
            detected: look.detected,
            continued: look.continued,
            ended: look.ended,
            too_little_history: look.too_little_history,
        }
    }
}

#[derive(Serialize)]
struct Found {
    hotspot_id: String,
    unit_id: String,
    unit: String,
    item_code: String,
    state: String,
    start_date: String,
    end_date: String,
    count: i64,
    expected: f64,
    p_value: f64,
    baseline_windows: i32,
    dispersion: f64,
    season: f64,
    definition_version: i32,
    topic_case_id: String,
    dismissed_reason_code: String,
    effect: String,
    count_before: i64,
    days_before: i32,
    count_after: i64,
    days_after: i32,
}

impl Found {
    fn of(found: Hotspot, names: &HashMap<String, String>) -> Self {
        let word = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_ascii_lowercase();
        Self {
            unit: names.get(&found.unit_id).cloned().unwrap_or_default(),
            state: word(found.state().as_str_name(), "HOTSPOT_STATE_"),
            effect: word(found.effect().as_str_name(), "HOTSPOT_EFFECT_"),
            hotspot_id: found.hotspot_id,
            unit_id: found.unit_id,
            item_code: found.item_code,
            start_date: found.start_date,
            end_date: found.end_date,
            count: found.count,
            expected: found.expected,
            p_value: found.p_value,
            baseline_windows: found.baseline_windows,
            dispersion: found.dispersion,
            season: found.season,
            definition_version: found.definition_version,
            topic_case_id: found.topic_case_id,
            dismissed_reason_code: found.dismissed_reason_code,
            count_before: found.count_before,
            days_before: found.days_before,
            count_after: found.count_after,
            days_after: found.days_after,
        }
    }

    /// One line for people.
    fn line(&self) -> String {
        let answer = match (self.topic_case_id.as_str(), self.dismissed_reason_code.as_str()) {
            ("", "") => "to be answered".to_owned(),
            ("", reason) => format!("dismissed: {reason}"),
            _ => format!("topic case, {}", self.effect),
        };
        format!(
            "{} {} – {}  {:>4} cases, {:.1} expected  {:<7} {}  {answer}",
            self.item_code, self.start_date, self.end_date, self.count, self.expected, self.state, self.unit
        )
    }
}

/// Looks if asked to, lists, prints.
pub async fn run(args: &Args, json: bool, suite: &Suite, file: &AccountsFile) -> Result<ExitCode> {
    let fits = |login: &str, role: &str| match &args.login {
        Some(wanted) => login == wanted,
        None => role == "analyst",
    };
    let account = file.accounts.iter().find(|account| fits(&account.login, &account.role));
    let account = account.context("the accounts file holds no such account; name one with --as")?;
    let session = Session::new(suite, account.clone());
    let look = if args.detect {
        let request = session.request(DetectHotspotsRequest { request_id: request_id() }).await?;
        Some(Look::from(suite.hotspots().detect_hotspots(request).await?.into_inner()))
    } else {
        None
    };
    let units = units_ever(suite, &session).await?.into_iter();
    let named = units.map(|unit| {
        let (name, _) = unit_names(&unit);
        (unit.unit_id, name)
    });
    let names: HashMap<String, String> = named.collect();
    let mut hotspots = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListHotspotsRequest {
            page_size: 200,
            page_token,
            state: i32::from(args.active),
            ..Default::default()
        };
        let page = suite.hotspots().list_hotspots(session.request(request).await?).await?.into_inner();
        hotspots.extend(page.hotspots.into_iter().map(|found| Found::of(found, &names)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    print(&Report { look, hotspots }, json)?;
    Ok(ExitCode::SUCCESS)
}

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        out::json(report)?;
        return Ok(());
    }
    match &report.look {
        Some(look) if look.too_little_history => out::say!("too few weeks of history to judge by")?,
        Some(look) => out::say!(
            "{}: {} cells tested, {} new, {} going on, {} over",
            look.day,
            look.tested,
            look.detected,
            look.continued,
            look.ended
        )?,
        None => {}
    }
    for found in &report.hotspots {
        out::say!("{}", found.line())?;
    }
    if report.hotspots.is_empty() {
        out::say!("no hot spots")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::analytics::v1::{HotspotEffect, HotspotState};

    #[test]
    fn a_hot_spot_is_told_in_words_and_as_json() {
        let found = Hotspot {
            unit_id: "u".into(),
            item_code: "CJ-0103".into(),
            state: HotspotState::Active.into(),
            start_date: "2026-02-23".into(),
            end_date: "2026-03-01".into(),
            count: 12,
            expected: 2.0625,
            topic_case_id: "c".into(),
            effect: HotspotEffect::TooEarly.into(),
            ..Default::default()
        };
        let names = HashMap::from([("u".to_owned(), "大夹社区".to_owned())]);
        let open = Found::of(Hotspot { topic_case_id: String::new(), ..found.clone() }, &names);
        assert!(open.line().ends_with("大夹社区  to be answered"), "{}", open.line());
        let found = Found::of(found, &names);
        assert!(found.line().contains("12 cases, 2.1 expected  active "), "{}", found.line());
        assert!(found.line().ends_with("topic case, too_early"), "{}", found.line());
        let json = serde_json::to_value(Report { look: None, hotspots: vec![found] }).unwrap();
        assert_eq!(json["hotspots"][0]["unit"], "大夹社区");
        assert!(json.get("look").is_none());
    }
}
