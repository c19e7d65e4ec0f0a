//! `jianghan process`: which process versions cases were decided with, and how two of them, two groups of streets or two times
//! compare.

mod sheet;

use std::{cmp::Reverse, collections::HashMap, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use chrono::NaiveDate;
use clap::{Args as ClapArgs, Subcommand};
use gateway::export::{has_ended, unit_names};
use proto::{
    analytics::v1::{CompareProcessesRequest, ListProcessVersionsRequest, ProcessComparison, ProcessSide},
    identity::v1::Unit,
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use self::sheet::{as_json, sheet};
use super::Target;
use crate::{
    out,
    simulate::actors,
    suite::{Session, Suite},
};

/// Arguments of `process`.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Sign-in name of the account whose reach applies; a district dispatcher without it.
    #[arg(long = "as", value_name = "LOGIN", global = true)]
    login: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

#[derive(Subcommand)]
enum Action {
    /// The versions of list, catalogue, limits and rules that cases were first decided with.
    Versions {
        /// Code or id of a unit; without it all that the account reaches.
        #[arg(long, value_name = "UNIT")]
        unit: Option<String>,
        #[command(flatten)]
        days: Days,
    },
    /// Two versions, a street under trial beside its control streets, or one street before and after a day.
    Compare(Compare),
}

#[derive(ClapArgs)]
struct Days {
    /// First day, YYYY-MM-DD; 90 days before the end without it (30 for `versions`).
    #[arg(long, value_name = "DAY")]
    since: Option<NaiveDate>,
    /// The day after the last, YYYY-MM-DD; tomorrow without it.
    #[arg(long, value_name = "DAY")]
    until: Option<NaiveDate>,
}

#[derive(ClapArgs)]
struct Compare {
    /// The two process versions, or beginnings such as catalogue-1.list-2.
    #[arg(long, value_names = ["BASE", "OTHER"], num_args = 2, conflicts_with_all = ["street", "split"])]
    versions: Option<Vec<String>>,
    /// Code or id of the street under trial (or the one that is looked at before and after a day).
    #[arg(long, value_name = "STREET", required_unless_present = "versions")]
    street: Option<String>,
    /// Code or id of a street to compare it with; may be given again. Without it all other streets of the district.
    #[arg(long, value_name = "STREET", conflicts_with_all = ["versions", "split"])]
    control: Vec<String>,
    /// Compare the street before this day, YYYY-MM-DD, with itself from this day on.
    #[arg(long, value_name = "DAY")]
    split: Option<NaiveDate>,
    /// Only this item of the catalogue.
    #[arg(long, value_name = "ITEM")]
    item: Option<String>,
    #[command(flatten)]
    days: Days,
}

/// Asks and prints.
pub async fn run(args: Args) -> Result<ExitCode> {
    let file = args.target.read()?;
    let suite = Suite::patient(&file.addresses, Duration::from_secs(60))?;
    let account = file.accounts.iter().find(|account| match &args.login {
        Some(login) => account.login == *login,
        None => account.role == "district_dispatcher",
    });
    let account = account.context("the accounts file holds no such account")?.clone();
    let session = Session::new(&suite, account);
    let units = Units::read(&suite, &session).await?;
    match args.action {
        Action::Versions { unit, days } => versions(&suite, &session, &units, unit, &days, args.json).await,
        Action::Compare(compare) => compare.run(&suite, &session, &units, args.json).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

fn day(day: Option<NaiveDate>) -> String {
    day.map(|day| day.to_string()).unwrap_or_default()
}

#[derive(Serialize)]
struct Version {
    process_version: String,
    catalogue_version: i32,
    list_version: i32,
    sla_version: String,
    rules_version: String,
    first_date: String,
    last_date: String,
    decided: i64,
    closed: i64,
    streets: Vec<String>,
}

async fn versions(
    suite: &Suite,
    session: &Arc<Session>,
    units: &Units,
    unit: Option<String>,
    days: &Days,
    json: bool,
) -> Result<()> {
    let mut request = ListProcessVersionsRequest {
        unit_id: unit.map(|unit| units.id(&unit)).transpose()?.unwrap_or_default(),
        start_date: day(days.since),
        end_date: day(days.until),
        page_size: 200,
        page_token: String::new(),
    };
    let mut all = Vec::new();
    loop {
        let page = suite.processes().list_process_versions(session.request(request.clone()).await?).await?;
        let page = page.into_inner();
        all.extend(page.versions.into_iter().map(|one| Version {
            streets: one.street_unit_ids.iter().map(|id| units.code(id)).collect(),
            process_version: one.process_version,
            catalogue_version: one.catalogue_version,
            list_version: one.list_version,
            sla_version: one.sla_version,
            rules_version: one.rules_version,
            first_date: one.first_date,
            last_date: one.last_date,
            decided: one.decided,
            closed: one.closed,
        }));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if json {
        out::json(&all)?;
        return Ok(());
    }
    for one in &all {
        out::say!(
            "{}  {} – {}  {} 件受理派出 decided, {} 件办结 closed, {} 街道 streets",
            one.process_version,
            one.first_date,
            one.last_date,
            one.decided,
            one.closed,
            one.streets.len()
        )?;
    }
    if all.is_empty() {
        out::say!("没有派出的工单 no case was decided in these days")?;
    }
    Ok(())
}

impl Compare {
    /// Both sides.
    fn sides(&self, units: &Units) -> Result<(ProcessSide, ProcessSide)> {
        let whole = ProcessSide {
            start_date: day(self.days.since),
            end_date: day(self.days.until),
            ..Default::default()
        };
        if let Some(versions) = &self.versions {
            let of = |version: &String| ProcessSide { process_version: version.clone(), ..whole.clone() };
            let [base, other] = versions.as_slice() else { bail!("--versions: two are compared") };
            return Ok((of(base), of(other)));
        }
        let street = units.id(self.street.as_deref().context("--street")?)?;
        let own = ProcessSide { unit_ids: vec![street.clone()], ..whole.clone() };
        if let Some(split) = self.split {
            let split = split.to_string();
            let before = ProcessSide { end_date: split.clone(), ..own.clone() };
            return Ok((before, ProcessSide { start_date: split, ..own }));
        }
        let controls = match self.control.as_slice() {
            [] => units.streets().filter(|id| *id != street).collect(),
            named => named.iter().map(|unit| units.id(unit)).collect::<Result<Vec<_>>>()?,
        };
        if controls.is_empty() {
            bail!("there is no other street to compare with");
        }
        Ok((ProcessSide { unit_ids: controls, ..whole }, own))
    }

    async fn run(&self, suite: &Suite, session: &Arc<Session>, units: &Units, json: bool) -> Result<()> {
        let (base, other) = self.sides(units)?;
        let mut request = CompareProcessesRequest {
            base: Some(base),
            other: Some(other),
            item_code: self.item.clone().unwrap_or_default(),
            page_size: 500,
            page_token: String::new(),
        };
        let mut rows = Vec::new();
        let (overall, periods) = loop {
            let page = suite.processes().compare_processes(session.request(request.clone()).await?).await?;
            let page = page.into_inner();
            rows.extend(page.rows);
            if page.next_page_token.is_empty() {
                let periods = json!({
                    "base": [page.base_start_date, page.base_end_date],
                    "other": [page.other_start_date, page.other_end_date],
                });
                break (page.overall, periods);
            }
            request.page_token = page.next_page_token;
        };
        let overall = overall.context("an answer without the comparison")?;
        most_cases_first(&mut rows);
        if json {
            let rows: Vec<Value> = rows.iter().map(|row| as_json(row, units)).collect();
            let told = json!({ "periods": periods, "overall": as_json(&overall, units), "rows": rows });
            out::json(&told)?;
        } else {
            out::text(&sheet(&overall, &rows, units))?;
        }
        Ok(())
    }
}

/// Rows of items, of streets and of both, of each those with the most cases first; pages come in an order that does not change.
fn most_cases_first(rows: &mut [ProcessComparison]) {
    rows.sort_by_key(|row| {
        let (item, street) = (!row.item_code.is_empty(), !row.street_unit_id.is_empty());
        let cases: i64 = [&row.base, &row.other].into_iter().flatten().map(|side| side.cases).sum();
        (item && street, street, Reverse(cases))
    });
}

/// Units by id, those that have ended included.
struct Units(HashMap<String, Unit>);

impl Units {
    async fn read(suite: &Suite, session: &Session) -> Result<Self> {
        let units = actors::units_ever(suite, session).await?;
        Ok(Self(units.into_iter().map(|unit| (unit.unit_id.clone(), unit)).collect()))
    }

    /// The id behind a code; an id stays as it is.
    fn id(&self, code: &str) -> Result<String> {
        if Uuid::try_parse(code).is_ok() {
            return Ok(code.to_owned());
        }
        let unit = self.0.values().find(|unit| unit.code == code && !has_ended(unit));
        Ok(unit.with_context(|| format!("no unit in force has the code `{code}`"))?.unit_id.clone())
    }

    fn code(&self, id: &str) -> String {
        self.0.get(id).map_or_else(|| id.to_owned(), |unit| unit.code.clone())
    }

    /// Code and Chinese name, which says so where it has ended.
    fn named(&self, id: &str) -> String {
        let named = |unit: &Unit| format!("{} {}", unit.code, unit_names(unit).0);
        self.0.get(id).map_or_else(|| id.to_owned(), named)
    }

    /// Streets in force.
    fn streets(&self) -> impl Iterator<Item = String> {
        let street = |unit: &&Unit| unit.kind() == proto::identity::v1::UnitKind::Street && !has_ended(unit);
        self.0.values().filter(street).map(|unit| unit.unit_id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub fn units() -> Units {
        let street = |id: &str, code: &str| Unit {
            unit_id: id.into(),
            code: code.into(),
            kind: proto::identity::v1::UnitKind::Street.into(),
            ..Default::default()
        };
        let all = [street("s-1", "420103005"), street("s-2", "420103008"), street("s-3", "420103009")];
        Units(all.into_iter().map(|unit| (unit.unit_id.clone(), unit)).collect())
    }

    fn compare() -> Compare {
        Compare {
            versions: None,
            street: Some("420103005".into()),
            control: Vec::new(),
            split: None,
            item: None,
            days: Days { since: None, until: None },
        }
    }

    #[test]
    fn of_items_streets_and_both_those_with_the_most_cases_are_told_first() {
        let row = |item: &str, street: &str, cases: i64| ProcessComparison {
            item_code: item.into(),
            street_unit_id: street.into(),
            other: Some(proto::analytics::v1::ProcessFigures { cases, ..Default::default() }),
            ..Default::default()
        };
        let mut rows =
            vec![row("a", "", 1), row("b", "", 2), row("", "s", 3), row("a", "s", 1), row("b", "s", 2)];
        most_cases_first(&mut rows);
        let told: Vec<_> =
            rows.iter().map(|row| (row.item_code.as_str(), row.street_unit_id.as_str())).collect();
        assert_eq!(told, [("b", ""), ("a", ""), ("", "s"), ("b", "s"), ("a", "s")]);
    }

    #[test]
    fn a_street_is_compared_with_its_controls_or_with_itself_before_a_day() {
        let (base, other) = compare().sides(&units()).unwrap();
        let mut controls = base.unit_ids;
        controls.sort();
        assert_eq!((controls, other.unit_ids), (vec!["s-2".into(), "s-3".into()], vec!["s-1".to_owned()]));
        let named = Compare { control: vec!["420103008".into()], ..compare() };
        assert_eq!(named.sides(&units()).unwrap().0.unit_ids, ["s-2"]);
        let split = Compare { split: "2026-03-01".parse().ok(), ..compare() };
        let (before, after) = split.sides(&units()).unwrap();
        assert_eq!((before.end_date.as_str(), after.start_date.as_str()), ("2026-03-01", "2026-03-01"));
        assert_eq!((before.unit_ids, after.unit_ids), (vec!["s-1".to_owned()], vec!["s-1".to_owned()]));
        let two = Compare { versions: Some(vec!["a".into(), "b".into()]), street: None, ..compare() };
        let (base, other) = two.sides(&units()).unwrap();
        assert_eq!((base.process_version.as_str(), other.process_version.as_str()), ("a", "b"));
        assert!(Compare { street: Some("42".into()), ..compare() }.sides(&units()).is_err());
    }

    #[test]
    fn a_street_that_has_ended_has_a_name_and_is_compared_by_its_id_only() {
        let mut units = units();
        let ended = units.0.get_mut("s-3").unwrap();
        ended.name_zh = "民意街道".into();
        ended.set_state(proto::identity::v1::UnitState::Merged);
        assert_eq!(units.named("s-3"), "420103009 民意街道（已撤并）");
        assert_eq!((units.code("s-3").as_str(), units.named("s-9").as_str()), ("420103009", "s-9"));
        assert_eq!(compare().sides(&units).unwrap().0.unit_ids, ["s-2"]);
        assert!(units.id("420103009").is_err());
    }
}
