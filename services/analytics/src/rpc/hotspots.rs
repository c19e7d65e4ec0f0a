//! `HotspotService`: what was found, what became of it, and a look on demand.

use std::sync::Arc;

use calendar::local_day;
use chassis::{
    Clock, Context, Error, Result, RpcResult,
    auth::Caller,
    clock::to_proto,
    command::{Meta, once},
    db::{Db, Tx},
    page,
    topology::{self, Topology, UnitKind},
};
use chrono::{Days, NaiveDate};
use diesel_async::AsyncPgConnection;
use proto::analytics::v1::{self as pb, hotspot_service_server::HotspotService};
use tonic::{Request, Response, async_trait};
use uuid::Uuid;

use super::reach::{self, Reached};
use crate::{
    domain::hotspot::{
        METHOD, WINDOW_DAYS,
        effect::{Effect, effect},
    },
    hotspots, mergers,
    store::hotspots::{self as store, Row, Wanted},
};

/// Most hot spots that a request names, as many as a page holds.
const MOST_NAMED: usize = 200;

/// Serves `jianghan.analytics.v1.HotspotService`.
pub struct Hotspots {
    db: Db,
    clock: Clock,
    topology: Arc<topology::Shared>,
}

impl Hotspots {
    /// From the service's context.
    pub fn new(context: &Context) -> Self {
        Self { db: context.db.clone(), clock: context.clock.clone(), topology: context.topology.clone() }
    }

    async fn list(
        &self,
        caller: &Caller,
        request: pb::ListHotspotsRequest,
    ) -> Result<pb::ListHotspotsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let below: Uuid = page::decode(&request.page_token)?.unwrap_or(Uuid::max());
        let active = match pb::HotspotState::try_from(request.state) {
            Ok(pb::HotspotState::Unspecified) => None,
            Ok(state) => Some(state == pb::HotspotState::Active),
            Err(_) => return Err(Error::invalid("state", "is not a known value")),
        };
        let ids = ids(&request.hotspot_ids)?;
        let topology = self.topology.load();
        let reached = match request.unit_id.as_str() {
            "" => reach::home(caller, &topology)?,
            id => reach::unit(caller, &topology, "unit_id", id)?,
        };
        let units = comparable(&topology, &reached);
        let wanted = Wanted {
            units: &units,
            lines: reached.lines.as_deref(),
            active,
            ids: ids.as_deref(),
            below,
            limit: size + 1,
        };
        let mut conn = self.db.conn().await?;
        let mut rows = store::list(&mut conn, &wanted).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.hotspot_id);
        let topics: Vec<Uuid> = rows.iter().filter_map(|row| row.topic_case_id).collect();
        let closings = store::closings(&mut conn, &topics).await?;
        let last = hotspots::last_day(self.clock.now());
        let mut listed = Vec::with_capacity(rows.len());
        for row in &rows {
            let closed = row.topic_case_id.and_then(|id| closings.get(&id)).map(|at| local_day(*at));
            let seen = match closed {
                Some(closed) => compared(&mut conn, &topology, row, closed, last).await?,
                None => Compared { effect: pb::HotspotEffect::Pending, ..Compared::default() },
            };
            listed.push(told(row, seen));
        }
        Ok(pb::ListHotspotsResponse { hotspots: listed, next_page_token })
    }
}

/// The hot spots that a request names; `None` where it names none.
fn ids(texts: &[String]) -> Result<Option<Vec<Uuid>>> {
    if texts.len() > MOST_NAMED {
        return Err(Error::invalid("hotspot_ids", format!("are more than {MOST_NAMED}")));
    }
    let id = |(n, text): (usize, &String)| {
        Uuid::try_parse(text).map_err(|_| Error::invalid(format!("hotspot_ids[{n}]"), "must be a UUID"))
    };
    let ids = texts.iter().enumerate().map(id).collect::<Result<Vec<_>>>()?;
    Ok((!ids.is_empty()).then_some(ids))
}

/// The units of which the caller may see hot spots: communities are nobody's to compare who reaches by line only (C-11).
pub(super) fn comparable(topology: &Topology, reached: &Reached) -> Vec<Uuid> {
    let mut units = reached.selection(topology, None).units;
    if reached.lines.is_some() {
        let coarse = |id: &Uuid| {
            topology.unit(*id).is_some_and(|unit| {
                matches!(unit.kind, UnitKind::City | UnitKind::District | UnitKind::Street)
            })
        };
        units.retain(coarse);
    }
    units
}

/// Cases before and after the closing of a topic case.
#[derive(Default)]
struct Compared {
    before: (i64, i64),
    after: (i64, i64),
    effect: pb::HotspotEffect,
}

async fn compared(
    conn: &mut AsyncPgConnection,
    topology: &Topology,
    row: &Row,
    closed: NaiveDate,
    last: NaiveDate,
) -> Result<Compared> {
    let units = mergers::within(topology, topology.goes_on_at(row.unit_id));
    let until =
        closed.checked_add_days(Days::new(METHOD.effect_days.unsigned_abs())).unwrap_or(closed).min(last);
    let next = closed.succ_opt().unwrap_or(closed);
    let days = ((closed - row.start_day).num_days() + 1, (until - closed).num_days().max(0));
    let before = store::count(conn, &units, &row.item_code, row.start_day, closed).await?;
    let after = if days.1 > 0 { store::count(conn, &units, &row.item_code, next, until).await? } else { 0 };
    let effect = if days.1 < METHOD.effect_days {
        pb::HotspotEffect::TooEarly
    } else {
        match effect((before, days.0), (after, days.1), row.dispersion) {
            Effect::Fell => pb::HotspotEffect::Fell,
            Effect::Unchanged => pb::HotspotEffect::Unchanged,
            Effect::Rose => pb::HotspotEffect::Rose,
        }
    };
    Ok(Compared { before: (before, days.0), after: (after, days.1), effect })
}

fn told(row: &Row, seen: Compared) -> pb::Hotspot {
    let state = if row.active { pb::HotspotState::Active } else { pb::HotspotState::Ended };
    let days = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
    pb::Hotspot {
        hotspot_id: row.hotspot_id.to_string(),
        unit_id: row.unit_id.to_string(),
        item_code: row.item_code.clone(),
        line: row.line.clone(),
        state: state.into(),
        start_date: row.start_day.to_string(),
        end_date: row.end_day.to_string(),
        count: row.count,
        expected: row.expected,
        p_value: row.p_value,
        baseline_windows: row.baseline_windows,
        dispersion: row.dispersion,
        season: row.season,
        definition_version: row.definition_version,
        topic_case_id: row.topic_case_id.map(|id| id.to_string()).unwrap_or_default(),
        dismissed_reason_code: row.dismissed_reason.clone().unwrap_or_default(),
        effect: seen.effect.into(),
        days_before: days(seen.before.1),
        count_before: seen.before.0,
        days_after: days(seen.after.1),
        count_after: seen.after.0,
        detected_time: Some(to_proto(row.detected_at)),
    }
}

#[async_trait]
impl HotspotService for Hotspots {
    async fn list_hotspots(
        &self,
        request: Request<pb::ListHotspotsRequest>,
    ) -> RpcResult<pb::ListHotspotsResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(self.list(&caller, request.into_inner()).await?))
    }

    async fn detect_hotspots(
        &self,
        request: Request<pb::DetectHotspotsRequest>,
    ) -> RpcResult<pb::DetectHotspotsResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::of("DetectHotspots", &request, |request| &request.request_id)?;
        let topology = self.topology.load();
        let answer = once(&self.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            store::lock(tx.conn).await?;
            let look = hotspots::look(tx, &topology, hotspots::last_day(tx.now)).await?;
            let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
            Ok(pb::DetectHotspotsResponse {
                day: look.day.to_string(),
                tested: number(look.tested),
                rejected: number(look.rejected),
                detected: number(look.detected),
                continued: number(look.continued),
                ended: number(look.ended),
                too_little_history: look.too_little_history,
            })
        });
        Ok(Response::new(answer.await?))
    }

    async fn get_hotspot_definition(
        &self,
        _request: Request<pb::GetHotspotDefinitionRequest>,
    ) -> RpcResult<pb::GetHotspotDefinitionResponse> {
        let windows = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let days = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
        Ok(Response::new(pb::GetHotspotDefinitionResponse {
            version: METHOD.version,
            window_days: days(WINDOW_DAYS),
            baseline_windows: windows(METHOD.baseline),
            min_baseline_windows: windows(METHOD.least_baseline),
            false_discovery_rate: METHOD.rate,
            min_count: METHOD.min_count,
            min_ratio: METHOD.min_ratio,
            keep_p_value: METHOD.keep_p,
            keep_ratio: METHOD.keep_ratio,
            cool_days: days(METHOD.cool_days),
            most_days: days(METHOD.most_days),
            effect_days: days(METHOD.effect_days),
        }))
    }
}
