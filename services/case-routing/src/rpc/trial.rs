//! A version of the list tried on past cases, and decisions made anew from what they cite.

use std::collections::hash_map::{Entry, HashMap};

use chassis::{Error, Result, auth::Caller, page, proto::case_routing::v1 as pb};

use super::{convert, desk::Desk, list_forms::number, lists::found, parse};
use crate::{
    domain::{Case, CaseId, DecisionId, Difference, DryRun, OrgId, Replay},
    listing::Entries,
    store::{
        catalogue::Lists,
        list::{self, CaseFilter, CaseKey, Order, ReachFilter},
        lists, read,
    },
};

/// A page of past cases by two versions; only those that triage gave an item.
pub async fn dry_run(
    desk: &Desk,
    caller: &Caller,
    request: &pb::DryRunListVersionRequest,
) -> Result<pb::DryRunListVersionResponse> {
    let version = number("list_version", request.list_version)?;
    let size = page::size(request.page_size, 500, 2000)?;
    let after: Option<CaseKey> = page::decode(&request.page_token)?;
    let at = parse::optional_time("at_time", request.at_time.as_ref())?;
    let at = at.unwrap_or_else(|| desk.clock.now());
    let unit = parse::optional_id("unit_id", &request.unit_id)?;
    let registered = (
        parse::optional_time("registered_after", request.registered_after.as_ref())?,
        parse::optional_time("registered_before", request.registered_before.as_ref())?,
    );
    let world = desk.atlas.world();
    let filter = CaseFilter {
        after,
        limit: size + 1,
        ..CaseFilter::of(ReachFilter::of(caller), unit, registered, &world.topology, &desk.clock)
    };
    let mut conn = desk.db.conn().await?;
    found(&mut conn, version).await?;
    let candidate = world.under(version, &lists::entries(&mut conn, version).await?);
    let current = world.list_version(&[], at).unwrap_or_default();
    let current = world.under(current, &lists::entries(&mut conn, current).await?);
    drop(conn);
    let store = desk.executor.store();
    let found = list::cases::<Case>(&mut *desk.db.list_conn().await?, store, &filter).await?;
    let mut cases: Vec<Case> = found.rows.into_iter().map(|found| found.case).collect();
    let mut next_page_token = page::cut(&mut cases, size, |case| Order::Newest.key(case.id, None));
    if let Some(on) = found.on.filter(|_| next_page_token.is_empty()) {
        next_page_token = page::encode(&on);
    }
    let mut run = DryRun::default();
    for case in cases.iter().filter(|case| case.item.is_some()) {
        run.add(case, &current, &candidate, at);
    }
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    let shifts = run.shifts.iter().map(|(shift, cases)| pb::RouteShift {
        street_unit_id: shift.street.map(|unit| unit.to_string()).unwrap_or_default(),
        item_code: shift.item.clone(),
        from_org_id: shift.from.map(|org| org.to_string()).unwrap_or_default(),
        to_org_id: shift.to.map(|org| org.to_string()).unwrap_or_default(),
        count: count(*cases),
        from_kind: shift.kinds.0.to_string(),
        to_kind: shift.kinds.1.to_string(),
        assists: shift.assists.iter().map(|(org, (before, after))| assist(*org, *before, *after)).collect(),
    });
    Ok(pb::DryRunListVersionResponse {
        compared: count(run.compared),
        changed: count(run.changed),
        shifts: shifts.collect(),
        example_case_ids: run.examples.iter().map(ToString::to_string).collect(),
        lost_lead: count(run.lost_lead),
        to_fallback: count(run.to_fallback),
        next_page_token,
    })
}

fn assist(org: OrgId, before: Option<bool>, after: Option<bool>) -> pb::AssistShift {
    let need = |mandatory: Option<bool>| match mandatory {
        None => pb::AssistNeed::Absent,
        Some(false) => pb::AssistNeed::Optional,
        Some(true) => pb::AssistNeed::Mandatory,
    };
    pb::AssistShift { org_id: org.to_string(), before: need(before).into(), after: need(after).into() }
}

/// The decisions about a case, each decided anew by the version that it cites.
pub async fn replay(
    desk: &Desk,
    caller: &Caller,
    request: &pb::ReplayDecisionRequest,
) -> Result<pb::ReplayDecisionResponse> {
    let id: CaseId = parse::id("case_id", &request.case_id)?;
    let only: Option<DecisionId> = parse::optional_id("decision_id", &request.decision_id)?;
    desk.find(caller, id).await?;
    let world = desk.atlas.world();
    let mut conn = desk.db.conn().await?;
    let mut decisions = read::decisions(&mut conn, id).await?;
    decisions.retain(|decision| only.is_none_or(|only| decision.id == only));
    if let Some(only) = only.filter(|_| decisions.is_empty()) {
        return Err(Error::not_found("decision", only));
    }
    let mut tables = HashMap::new();
    let mut replays = Vec::with_capacity(decisions.len());
    for decision in &decisions {
        let cited = decision.list_version.as_str();
        let table = match tables.entry(cited) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(match Lists::of_citation(cited) {
                Some(version) => world.under_cited(cited, &lists::entries(&mut conn, version).await?),
                // It cites no version, and so comes out with another name.
                None => world.under(0, &Entries::new()),
            }),
        };
        let replayed = decision.replay(table);
        let (outcome, differences) = match replayed {
            Replay::Identical => ("identical", Vec::new()),
            Replay::NotRouted => ("not_routed", Vec::new()),
            Replay::Differs(found) => ("differs", found),
        };
        let difference = |found: Difference| pb::DecisionDifference {
            field: found.field.to_owned(),
            stored: found.stored,
            replayed: found.replayed,
        };
        let known = decision.inputs.as_ref().map(|inputs| inputs.topology);
        replays.push(pb::DecisionReplay {
            decision: Some(convert::decision(decision)),
            outcome: outcome.to_owned(),
            differences: differences.into_iter().map(difference).collect(),
            topology_changed: known.is_some_and(|known| known != world.routes.topology_version()),
        });
    }
    Ok(pb::ReplayDecisionResponse { replays })
}
