//! `jianghan route`: where a matter would go, in the words of the router of a running suite, and whether what it decided
//! comes out the same again.

mod explain;
mod list;
mod replay;
mod trial;
mod versions;

use std::{collections::HashMap, process::ExitCode, sync::Arc};

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args as ClapArgs, Subcommand};
use gateway::export::{has_ended, unit_names};
use proto::{
    case_routing::v1::{
        Channel, DryRunListVersionRequest, ExplainRouteRequest, Origin, ReplayDecisionRequest, Urgency,
    },
    identity::v1::{Organization, Unit},
};
use uuid::Uuid;

use self::{explain::Explanation, replay::Replayed, trial::Trial};
use super::Target;
use crate::{
    out,
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
        /// Code or id of the unit where the matter is. One that was merged is named by its id, and had its own list before.
        #[arg(long, value_name = "UNIT")]
        unit: String,
        /// The day (from its first instant) or RFC 3339 instant to decide at; now without it.
        #[arg(long, value_name = "DATE", value_parser = instant)]
        at: Option<DateTime<Utc>>,
        /// The requester agrees that society is asked first.
        #[arg(long)]
        agrees_to_society: bool,
        /// What conditions of entries ask for: normal, urgent, emergency; at least the item's own.
        #[arg(long, value_name = "URGENCY", value_parser = word(Urgency::from_str_name, "URGENCY_"))]
        urgency: Option<Urgency>,
        /// How it came in: window, phone, app, web, worker, external, patrol.
        #[arg(long, value_name = "CHANNEL", value_parser = word(Channel::from_str_name, "CHANNEL_"))]
        channel: Option<Channel>,
        /// Who started it: bottom_up, top_down, patrol, sensor.
        #[arg(long, value_name = "ORIGIN", value_parser = word(Origin::from_str_name, "ORIGIN_"))]
        origin: Option<Origin>,
        /// The requester is vulnerable.
        #[arg(long)]
        vulnerable: bool,
        /// Nobody is named.
        #[arg(long)]
        anonymous: bool,
    },
    /// The responsibility list as a file, and its versions: check, import, export, try in a street, put in force, take back.
    List {
        #[command(subcommand)]
        action: list::Action,
    },
    /// Decide anew what was decided about a case, from the list version that each decision cites; exit 1 if anything differs.
    Replay {
        /// Id of the case.
        #[arg(long, value_name = "CASE")]
        case: String,
    },
    /// Where past cases would go by another version of the responsibility list, by street and item.
    DryRun {
        /// Number of the version.
        #[arg(long, value_name = "N")]
        version: i32,
        /// Code or id of the unit whose cases are looked at; without it the whole district.
        #[arg(long, value_name = "UNIT")]
        unit: Option<String>,
        /// Cases registered since this day or instant.
        #[arg(long, value_name = "DATE", value_parser = instant)]
        since: Option<DateTime<Utc>>,
        /// Cases registered before this day or instant.
        #[arg(long, value_name = "DATE", value_parser = instant)]
        until: Option<DateTime<Utc>>,
        /// The day (from its first instant) or RFC 3339 instant whose list and organisations are asked; now without it.
        #[arg(long, value_name = "DATE", value_parser = instant)]
        at: Option<DateTime<Utc>>,
    },
}

/// Asks as the district's dispatcher and prints what the router says.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::new(&file.addresses)?;
    let session = dispatcher(&suite, &file)?;
    let names = Names::read(&suite, &session).await?;
    match args.action {
        Action::Explain {
            item,
            unit,
            at,
            agrees_to_society,
            urgency,
            channel,
            origin,
            vulnerable,
            anonymous,
        } => {
            let request = ExplainRouteRequest {
                item_code: item,
                unit_id: names.unit_id(&unit)?,
                at_time: at.map(chassis::clock::to_proto),
                agrees_to_society,
                urgency: urgency.unwrap_or_default().into(),
                channel: channel.unwrap_or_default().into(),
                origin: origin.unwrap_or_default().into(),
                vulnerable,
                anonymous,
                ..Default::default()
            };
            let answer = suite.intake().explain_route(session.request(request).await?).await?.into_inner();
            let decision = answer.decision.context("an answer without a decision")?;
            let told = Explanation::of(&decision, &names);
            if args.json {
                out::json(&told)?;
            } else {
                out::text(&told.text())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::List { action } => list::run(action, args.json, &suite, &file, &names).await,
        Action::Replay { case } => {
            let request = ReplayDecisionRequest { case_id: case, ..Default::default() };
            let request = session.request(request).await?;
            let answer = suite.responsibilities().replay_decision(request).await?.into_inner();
            let replays: Vec<_> = answer.replays.iter().map(|replay| Replayed::of(replay, &names)).collect();
            if args.json {
                out::json(&replays)?;
            } else {
                for replay in &replays {
                    out::text(&replay.text())?;
                }
            }
            let differs = replays.iter().any(|replay| !replay.differences.is_empty());
            Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        }
        Action::DryRun { version, unit, since, until, at } => {
            let mut trial = Trial::default();
            let unit_id = unit.map(|unit| names.unit_id(&unit)).transpose()?.unwrap_or_default();
            let mut page_token = String::new();
            loop {
                let request = DryRunListVersionRequest {
                    list_version: version,
                    registered_after: since.map(chassis::clock::to_proto),
                    registered_before: until.map(chassis::clock::to_proto),
                    unit_id: unit_id.clone(),
                    at_time: at.map(chassis::clock::to_proto),
                    page_token,
                    ..Default::default()
                };
                let request = session.request(request).await?;
                let page = suite.responsibilities().dry_run_list_version(request).await?.into_inner();
                trial.add(&page, &names);
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            if args.json {
                out::json(&trial)?;
            } else {
                out::text(&trial.text())?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn dispatcher(suite: &Suite, file: &AccountsFile) -> Result<Arc<Session>> {
    let account = file.accounts.iter().find(|account| account.role == "district_dispatcher");
    Ok(Session::new(suite, account.context("the accounts file holds no district_dispatcher")?.clone()))
}

/// Reads a word of an enum by its short name.
fn word<T: 'static>(
    of: fn(&str) -> Option<T>,
    prefix: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let named = of(&format!("{prefix}{}", text.to_ascii_uppercase()));
        named.filter(|_| text != "unspecified").ok_or_else(|| "is no such value".to_owned())
    }
}

/// A day or an instant.
fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        return Ok(calendar::instant(day, NaiveTime::MIN));
    }
    let at = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
    at.map_err(|_| "neither a day such as 2026-03-01 nor an RFC 3339 instant".to_owned())
}

/// Codes and names of organisations and of units, those that have ended included, by id.
#[derive(Default)]
struct Names {
    units: HashMap<String, Unit>,
    orgs: HashMap<String, Organization>,
}

impl Names {
    async fn read(suite: &Suite, session: &Session) -> Result<Self> {
        let units = actors::units_ever(suite, session).await?;
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
        let unit = self.units.values().find(|unit| unit.code == code && !has_ended(unit));
        let unit = unit.with_context(|| format!("no unit in force has the code `{code}`"))?;
        Ok(unit.unit_id.clone())
    }

    /// Code and Chinese name, which says so where it has ended; the id of one that is not known.
    fn unit(&self, id: &str) -> String {
        let named = |unit: &Unit| format!("{} {}", unit.code, unit_names(unit).0);
        self.units.get(id).map_or_else(|| id.to_owned(), named)
    }

    /// Code and Chinese name; the id of one that is not in force.
    fn org(&self, id: &str) -> String {
        self.orgs.get(id).map_or_else(|| id.to_owned(), |org| format!("{} {}", org.code, org.name_zh))
    }
}

#[cfg(test)]
mod tests {
    use proto::case_routing::v1::{
        DecisionDifference, DecisionReplay, DispatchMode, DryRunListVersionResponse, Reason,
        RoutingCandidate, RoutingDecision,
    };

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
    fn the_pages_of_a_dry_run_add_up() {
        use proto::case_routing::v1::RouteShift;
        let shift = |to: &str, count| RouteShift {
            street_unit_id: "u-1".into(),
            item_code: "CJ-0142".into(),
            from_org_id: "o-1".into(),
            to_org_id: to.into(),
            count,
            ..Default::default()
        };
        let page = |shifts: Vec<RouteShift>| DryRunListVersionResponse {
            compared: 500,
            changed: shifts.iter().map(|shift| shift.count).sum(),
            shifts,
            example_case_ids: (0..20).map(|number| format!("case-{number}")).collect(),
            lost_lead: 1,
            ..Default::default()
        };
        let mut trial = Trial::default();
        trial.add(&page(vec![shift("o-2", 3), shift("", 1)]), &names());
        trial.add(&page(vec![shift("o-2", 4)]), &names());
        let text = trial.text();
        assert!(
            text.starts_with("1000 compared, 8 changed, 2 without a lead, 0 to the district\n"),
            "{text}"
        );
        let moved = "420103005 : street_office:420103005 满春街道办事处 → gov:420103 区政府";
        assert!(text.contains(&moved.replace(" : ", "  CJ-0142: ")), "{text}");
        let counts: Vec<_> = trial.shifts.iter().map(|shift| shift.count).collect();
        assert_eq!((counts, trial.example_case_ids.len()), (vec![7, 1], 20));
    }

    #[test]
    fn a_replay_says_what_came_out_otherwise() {
        let replay = DecisionReplay {
            decision: Some(RoutingDecision { lead_org_id: "o-1".into(), ..Default::default() }),
            outcome: "differs".into(),
            differences: vec![DecisionDifference {
                field: "kind".into(),
                stored: "\"dispatched\"".into(),
                replayed: "\"fallback\"".into(),
            }],
            topology_changed: true,
        };
        let text = Replayed::of(&replay, &names()).text();
        assert!(text.starts_with("differs"), "{text}");
        for part in ["满春街道办事处", "kind: stored \"dispatched\", now \"fallback\"", "have changed since"]
        {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }

    #[test]
    fn a_word_is_read_by_its_short_name() {
        let urgency = word(Urgency::from_str_name, "URGENCY_");
        assert_eq!(urgency("urgent"), Ok(Urgency::Urgent));
        assert!(urgency("unspecified").is_err() && urgency("soon").is_err());
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
