//! `jianghan route`: where a matter would go, in the words of the router of a running suite.

use std::{collections::HashMap, fmt::Write as _, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args as ClapArgs, Subcommand};
use proto::{
    case_routing::v1::{DispatchMode, ExplainRouteRequest, Reason, RoutingDecision},
    identity::v1::{Organization, Unit},
};
use serde::Serialize;
use uuid::Uuid;

use super::Target;
use crate::{
    simulate::actors,
    suite::{AccountsFile, Session, Suite},
};

/// Arguments of `route`.
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
    /// Where a matter at a place would go: the organisation, the rules, and why not the others. Nothing is stored.
    Explain {
        /// Code of the service item, such as CJ-0142.
        #[arg(long, value_name = "ITEM")]
        item: String,
        /// Code or id of the unit where the matter is.
        #[arg(long, value_name = "UNIT")]
        unit: String,
        /// The day (from its first instant) or RFC 3339 instant to decide at; now without it.
        #[arg(long, value_name = "DATE", value_parser = instant)]
        at: Option<DateTime<Utc>>,
        /// The requester agrees that society is asked first.
        #[arg(long)]
        agrees_to_society: bool,
    },
}

/// Asks as the district's dispatcher and prints what the router says.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let session = dispatcher(&suite, &file)?;
    let names = Names::read(&suite, &session).await?;
    match args.action {
        Action::Explain { item, unit, at, agrees_to_society } => {
            let request = ExplainRouteRequest {
                item_code: item,
                unit_id: names.unit_id(&unit)?,
                at_time: at.map(chassis::clock::to_proto),
                agrees_to_society,
                ..Default::default()
            };
            let answer = suite.intake().explain_route(session.request(request).await?).await?.into_inner();
            let decision = answer.decision.context("an answer without a decision")?;
            let told = Explanation::of(&decision, &names);
            if args.json {
                println!("{}", serde_json::to_string_pretty(&told)?);
            } else {
                print!("{}", told.text());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn dispatcher(suite: &Suite, file: &AccountsFile) -> Result<Arc<Session>> {
    let account = file.accounts.iter().find(|account| account.role == "district_dispatcher");
    Ok(Session::new(suite, account.context("the accounts file holds no district_dispatcher")?.clone()))
}

/// A day or an instant.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(calendar::instant(day, NaiveTime::MIN));
    }
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    at.map_err(|_| "neither a day such as 2026-03-01 nor an RFC 3339 instant".to_owned())
}

/// Codes and names of organisations and units, by id.
#[derive(Default)]
struct Names {
    units: HashMap<String, Unit>,
    orgs: HashMap<String, Organization>,
}

impl Names {
    async fn read(suite: &Suite, session: &Session) -> Result<Self> {
        let units = actors::units(suite, session).await?;
        let orgs = actors::organizations(suite, session).await?;
        Ok(Self {
            units: units.into_iter().map(|unit| (unit.unit_id.clone(), unit)).collect(),
            orgs: orgs.into_iter().map(|org| (org.org_id.clone(), org)).collect(),
        })
    }

    /// The id behind a code; an id stays as it is, for units that are no longer in force.
    fn unit_id(&self, code: &str) -> Result<String> {
        if Uuid::try_parse(code).is_ok() {
            return Ok(code.to_owned());
        }
        let unit = self.units.values().find(|unit| unit.code == code);
        let unit = unit.with_context(|| format!("no unit in force has the code `{code}`"))?;
        Ok(unit.unit_id.clone())
    }

    /// Code and Chinese name; the id of one that is not in force.
    fn org(&self, id: &str) -> String {
        self.orgs.get(id).map_or_else(|| id.to_owned(), |org| format!("{} {}", org.code, org.name_zh))
    }
}

/// What the router says, with names instead of ids.
#[derive(Debug, Serialize)]
struct Explanation {
    kind: String,
    /// Unset when the matter is for no organisation here.
    lead: Option<String>,
    sender: Option<String>,
    mode: Option<String>,
    assists: Vec<String>,
    rule_ids: Vec<String>,
    list_version: String,
    reasons: Vec<Why>,
    candidates: Vec<Considered>,
}

#[derive(Debug, Serialize)]
struct Why {
    code: String,
    zh: String,
    en: String,
}

#[derive(Debug, Serialize)]
struct Considered {
    org: String,
    rule_id: String,
    chosen: bool,
    rejected: Option<Why>,
}

impl Explanation {
    fn of(decision: &RoutingDecision, names: &Names) -> Self {
        let org = |id: &String| (!id.is_empty()).then(|| names.org(id));
        let mode = decision.mode();
        let candidates = decision.candidates.iter().map(|candidate| Considered {
            org: names.org(&candidate.org_id),
            rule_id: candidate.rule_id.clone(),
            chosen: candidate.chosen,
            rejected: candidate.rejected.as_ref().map(|reason| why(reason, names)),
        });
        Self {
            kind: decision.kind.clone(),
            lead: org(&decision.lead_org_id),
            sender: org(&decision.sender_org_id),
            mode: (mode != DispatchMode::Unspecified)
                .then(|| mode.as_str_name().trim_start_matches("DISPATCH_MODE_").to_lowercase()),
            assists: decision.assist_org_ids.iter().map(|id| names.org(id)).collect(),
            rule_ids: decision.rule_ids.clone(),
            list_version: decision.list_version.clone(),
            reasons: decision.reasons.iter().map(|reason| why(reason, names)).collect(),
            candidates: candidates.collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let none = "—".to_owned();
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "{name:<12} {value}"); // writing to a String does not fail
        };
        line("kind", &self.kind);
        line("lead", self.lead.as_ref().unwrap_or(&none));
        if let (Some(sender), Some(mode)) = (&self.sender, &self.mode) {
            line("sent by", &format!("{sender} ({mode})"));
        }
        self.assists.iter().for_each(|org| line("assisting", org));
        line("rules", if self.rule_ids.is_empty() { none.clone() } else { self.rule_ids.join(" ") }.as_str());
        line("list", &self.list_version);
        self.reasons.iter().for_each(|why| line("because", &format!("{} / {}", why.zh, why.en)));
        for candidate in &self.candidates {
            let rule = if candidate.rule_id.is_empty() { &none } else { &candidate.rule_id };
            let verdict = match &candidate.rejected {
                None => "chosen".to_owned(),
                Some(why) => format!("{} / {}", why.zh, why.en),
            };
            line("candidate", &format!("{} [{rule}] {verdict}", candidate.org));
        }
        text
    }
}

/// Both texts, with organisations by name where the router gave their ids.
fn why(reason: &Reason, names: &Names) -> Why {
    let named = |text: &str| {
        let ids = reason.arguments.values().filter(|value| names.orgs.contains_key(*value));
        ids.fold(text.to_owned(), |text, id| text.replace(id.as_str(), &names.org(id)))
    };
    Why { code: reason.code.clone(), zh: named(&reason.text_zh), en: named(&reason.text_en) }
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::RoutingCandidate;

    use super::*;

    fn names() -> Names {
        let org = |id: &str, code: &str, name: &str| Organization {
            org_id: id.into(),
            code: code.into(),
            name_zh: name.into(),
            ..Default::default()
        };
        let unit = Unit { unit_id: "u-1".into(), code: "420103005".into(), ..Default::default() };
        let orgs =
            [org("o-1", "street_office:420103005", "满春街道办事处"), org("o-2", "gov:420103", "区政府")];
        Names {
            units: HashMap::from([(unit.unit_id.clone(), unit)]),
            orgs: orgs.into_iter().map(|org| (org.org_id.clone(), org)).collect(),
        }
    }

    #[test]
    fn an_explanation_says_who_by_which_rule_and_why_not_the_others() {
        let sender = Reason {
            code: "sender_nearest_superior".into(),
            arguments: [("sender".to_owned(), "o-2".to_owned())].into(),
            text_zh: "由 o-2 派单".into(),
            text_en: "sent by o-2".into(),
        };
        let barred =
            Reason { text_zh: "负面清单".into(), text_en: "barred".into(), ..Default::default() };
        let candidate = |org: &str, rejected: Option<Reason>| RoutingCandidate {
            org_id: org.into(),
            rule_id: "R-7".into(),
            chosen: rejected.is_none(),
            rejected,
            ..Default::default()
        };
        let decision = RoutingDecision {
            kind: "dispatched".into(),
            lead_org_id: "o-1".into(),
            sender_org_id: "o-2".into(),
            mode: DispatchMode::Order.into(),
            rule_ids: vec!["R-7".into()],
            candidates: vec![candidate("o-1", None), candidate("o-3", Some(barred))],
            reasons: vec![sender],
            list_version: "catalogue-1.list-2".into(),
            ..Default::default()
        };
        let text = Explanation::of(&decision, &names()).text();
        for part in [
            "lead         street_office:420103005 满春街道办事处",
            "sent by      gov:420103 区政府 (order)",
            "rules        R-7",
            "list         catalogue-1.list-2",
            "because      由 gov:420103 区政府 派单 / sent by gov:420103 区政府",
            "candidate    street_office:420103005 满春街道办事处 [R-7] chosen",
            "candidate    o-3 [R-7] 负面清单 / barred",
        ] {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }

    #[test]
    fn a_unit_is_named_by_code_or_id() {
        let names = names();
        assert_eq!(names.unit_id("420103005").unwrap(), "u-1");
        let id = "0196a0d6-0000-7000-8000-000000000001";
        assert_eq!(names.unit_id(id).unwrap(), id);
        assert!(names.unit_id("42").unwrap_err().to_string().contains("`42`"));
    }

    #[test]
    fn a_date_begins_at_midnight_of_the_district() {
        assert_eq!(instant("2026-03-01").unwrap(), instant("2026-03-01T00:00:00+08:00").unwrap());
        assert!(instant("yesterday").is_err());
    }
}
