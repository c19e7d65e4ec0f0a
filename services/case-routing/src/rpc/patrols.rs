//! `PatrolService`: registers, patrols and their findings.

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::Caller,
    clock::{new_id, to_proto},
    command::{Meta, once},
    db::Tx,
    event::Emit,
    page,
    proto::case_routing::v1::{self as pb, patrol_service_server::PatrolService},
};
use chrono::{Datelike, Days, NaiveDate, NaiveTime};
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    desk::Desk,
    findings::{again, client_ref, report},
    parse,
    register::client_key,
    registers::{self, communities, communities_within, day, grid_filter, within},
};
use crate::{
    domain::patrol::{FORGOTTEN_AFTER, FindingOutcome, forgotten_end, is_grid_code, is_recent, minutes},
    reach,
    store::{
        patrols::{self as store, Finding, Patrol, Wanted},
        registers::{self as grids, Grid},
    },
};

/// Longest period of a coverage, in days.
const MOST_DAYS: i64 = 366;

/// The RPCs.
#[derive(Clone)]
pub struct Patrols {
    pub desk: Desk,
    /// How many of a hundred findings that were put right on the spot are checked.
    pub sample_percent: u8,
}

pub(super) fn missing(id: Uuid) -> Error {
    Error::not_found("patrol", id)
}

/// The patrol, if it is the caller's own.
pub(super) fn mine(found: Option<Patrol>, id: Uuid, caller: &Caller) -> Result<Patrol> {
    found.filter(|patrol| patrol.person_id == caller.person_id).ok_or_else(|| missing(id))
}

impl Patrols {
    async fn start(
        &self,
        caller: &Caller,
        request: pb::StartPatrolRequest,
    ) -> Result<pb::StartPatrolResponse> {
        let meta = Meta::of("StartPatrol", &request, |request| &request.request_id)?;
        let key = client_ref(&request.client_ref)?;
        let started = parse::optional_time("start_time", request.start_time.as_ref())?;
        if !is_grid_code(&request.grid_code) {
            return Err(Error::invalid("grid_code", "must have 15 digits"));
        }
        let key = key.map(|text| client_key(&self.desk.crypto, caller.person_id, &format!("patrol {text}")));
        if let Some(key) = &key
            && let Some(known) = store::by_client_key(&mut *self.desk.db.conn().await?, key).await?
        {
            let answer = pb::StartPatrolResponse { patrol: Some(shown(&known)) };
            return again(&self.desk, caller, meta, answer).await;
        }
        let org = caller.org_id.or_else(|| reach::part_orgs(caller).first().copied());
        let org = org.ok_or(Error::Forbidden)?;
        let world = self.desk.atlas.world();
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let at = started.unwrap_or(tx.now);
            if !is_recent(at, tx.now) {
                return Err(Error::invalid(
                    "start_time",
                    "must not lie ahead, nor more than three days back",
                ));
            }
            let grid = grids::grid_on(tx.conn, &request.grid_code, calendar::local_day(at)).await?;
            let placed = grid.and_then(|grid: Grid| Some((world.open_path(grid.unit_id)?, grid)));
            let placed = placed.filter(|(path, _)| within(caller, path));
            let (path, grid) = placed.ok_or_else(|| Error::not_found("grid", &request.grid_code))?;
            end_forgotten(tx, caller).await?;
            let patrol = Patrol {
                patrol_id: new_id(),
                grid_code: grid.grid_code,
                unit_id: world.open_unit(grid.unit_id),
                place_path: path.to_vec(),
                person_id: caller.person_id,
                org_id: org,
                walking: true,
                started_at: at,
                ended_at: None,
                last_found_at: None,
                forgotten: false,
                finding_count: 0,
                solved_count: 0,
                duplicate_count: 0,
            };
            store::insert(tx.conn, &patrol, key.as_deref()).await?;
            Ok(pb::StartPatrolResponse { patrol: Some(shown(&patrol)) })
        })
        .await
    }

    async fn end(&self, caller: &Caller, request: pb::EndPatrolRequest) -> Result<pb::EndPatrolResponse> {
        let meta = Meta::of("EndPatrol", &request, |request| &request.request_id)?;
        let id: Uuid = parse::id("patrol_id", &request.patrol_id)?;
        let ended = parse::optional_time("end_time", request.end_time.as_ref())?;
        once(&self.desk.db, caller, meta, async |tx: &mut Tx<'_>| {
            let patrol = mine(store::lock(tx.conn, id).await?, id, caller)?;
            if !patrol.walking {
                return Err(Error::wrong_state("patrol", id.to_string(), "it has ended"));
            }
            let at = ended.unwrap_or(tx.now);
            if at > tx.now || at < forgotten_end(patrol.started_at, patrol.last_found_at) {
                return Err(Error::invalid("end_time", "must lie after its last finding, and not ahead"));
            }
            let patrol = over(tx, patrol, at, false).await?;
            Ok(pb::EndPatrolResponse { patrol: Some(shown(&patrol)) })
        })
        .await
    }

    async fn get(&self, caller: &Caller, request: pb::GetPatrolRequest) -> Result<pb::GetPatrolResponse> {
        let id: Uuid = parse::id("patrol_id", &request.patrol_id)?;
        let mut conn = self.desk.db.conn().await?;
        let found = store::get(&mut conn, id).await?;
        let world = self.desk.atlas.world();
        // Where it lies now: of a merged community, where that went on.
        let reached = |patrol: &Patrol| {
            patrol.person_id == caller.person_id
                || world.open_path(patrol.unit_id).is_some_and(|path| within(caller, &path))
        };
        let patrol = found.filter(reached).ok_or_else(|| missing(id))?;
        let findings = store::findings(&mut conn, id).await?.iter().map(finding_shown).collect();
        Ok(pb::GetPatrolResponse { patrol: Some(shown(&patrol)), findings })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: pb::ListPatrolsRequest,
    ) -> Result<pb::ListPatrolsResponse> {
        let size = page::size(request.page_size, 50, 200)?;
        let below: Uuid = page::decode(&request.page_token)?.unwrap_or(Uuid::max());
        let within_unit: Option<Uuid> = parse::optional_id("unit_id", &request.unit_id)?;
        let grid = grid_filter(&request.grid_code)?;
        let world = self.desk.atlas.world();
        let units = communities(caller, &world, None)?;
        let within_unit = within_unit.map(|unit| communities_within(&world, unit));
        let wanted = Wanted {
            units: &units,
            person: caller.person_id,
            within: within_unit.as_deref(),
            grid,
            below,
            limit: size + 1,
        };
        let mut rows = store::list(&mut *self.desk.db.conn().await?, &wanted).await?;
        let next_page_token = page::cut(&mut rows, size, |patrol| patrol.patrol_id);
        Ok(pb::ListPatrolsResponse { patrols: rows.iter().map(shown).collect(), next_page_token })
    }

    async fn coverage(
        &self,
        caller: &Caller,
        request: pb::GetPatrolCoverageRequest,
    ) -> Result<pb::GetPatrolCoverageResponse> {
        let unit: Uuid = parse::id("unit_id", &request.unit_id)?;
        let now = self.desk.clock.now();
        let (start, end) = period(&request.start_date, &request.end_date, now)?;
        let units = communities(caller, &self.desk.atlas.world(), Some(unit))?;
        let instant = |day: NaiveDate| calendar::instant(day, NaiveTime::MIN);
        let mut conn = self.desk.db.conn().await?;
        let rows =
            store::coverage(&mut conn, &units, (start, end), (instant(start), instant(end)), now).await?;
        let number = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
        let (patrols, findings) = rows.iter().fold((0, 0), |(p, f), row| (p + row.patrols, f + row.findings));
        let grids = rows.iter().map(|row| pb::GridCoverage {
            grid_code: row.grid_code.clone(),
            unit_id: row.unit_id.to_string(),
            patrols: number(row.patrols),
            minutes: number(row.minutes),
            findings: number(row.findings),
            solved: number(row.solved),
            duplicates: number(row.duplicates),
            last_day: row.last_at.map(|at| calendar::local_day(at).to_string()).unwrap_or_default(),
        });
        Ok(pb::GetPatrolCoverageResponse {
            grids: grids.collect(),
            grids_in_force: i32::try_from(rows.len()).unwrap_or(i32::MAX),
            grids_patrolled: number(rows.iter().filter(|row| row.patrols > 0).count() as i64),
            patrols: number(patrols),
            findings: number(findings),
            findings_per_patrol: (patrols > 0).then(|| findings as f64 / patrols as f64),
            start_date: start.to_string(),
            end_date: end.to_string(),
        })
    }
}

/// Days `[start, end)`: the present month up to today unless said otherwise.
fn period(start: &str, end: &str, now: Timestamp) -> Result<(NaiveDate, NaiveDate)> {
    let today = calendar::local_day(now);
    let tomorrow = today.checked_add_days(Days::new(1)).unwrap_or(today);
    let start = day("start_date", start)?.unwrap_or_else(|| today.with_day(1).unwrap_or(today));
    let end = day("end_date", end)?.unwrap_or(tomorrow);
    if end <= start {
        return Err(Error::invalid("end_date", "must be after the start date"));
    }
    if (end - start).num_days() > MOST_DAYS {
        return Err(Error::invalid("end_date", format!("the period is longer than {MOST_DAYS} days")));
    }
    Ok((start, end))
}

/// The caller's last patrol, if nobody ended it: long ago, it is over with its last finding; else it goes on.
async fn end_forgotten(tx: &mut Tx<'_>, caller: &Caller) -> Result<()> {
    let Some(patrol) = store::walking(tx.conn, caller.person_id).await? else { return Ok(()) };
    let end = forgotten_end(patrol.started_at, patrol.last_found_at);
    if tx.now - end < FORGOTTEN_AFTER {
        let id = patrol.patrol_id.to_string();
        return Err(Error::wrong_state("patrol", id, "your last patrol goes on: end it first"));
    }
    over(tx, patrol, end, true).await.map(drop)
}

/// Ends a patrol and tells of it.
async fn over(tx: &mut Tx<'_>, patrol: Patrol, at: Timestamp, forgotten: bool) -> Result<Patrol> {
    let patrol = Patrol { walking: false, ended_at: Some(at), forgotten, ..patrol };
    store::update(tx.conn, &patrol).await?;
    let told = pb::PatrolEnded {
        patrol_id: patrol.patrol_id.to_string(),
        unit_id: patrol.unit_id.to_string(),
        grid_code: patrol.grid_code.clone(),
        org_id: patrol.org_id.to_string(),
        minutes: minutes(patrol.started_at, at),
        finding_count: patrol.finding_count,
        solved_count: patrol.solved_count,
        duplicate_count: patrol.duplicate_count,
        forgotten,
    };
    tx.emit(Emit::new(patrol.patrol_id, 1, &told).unit(patrol.unit_id));
    Ok(patrol)
}

fn shown(patrol: &Patrol) -> pb::Patrol {
    let state = if patrol.walking { pb::PatrolState::Walking } else { pb::PatrolState::Ended };
    pb::Patrol {
        patrol_id: patrol.patrol_id.to_string(),
        grid_code: patrol.grid_code.clone(),
        unit_id: patrol.unit_id.to_string(),
        org_id: patrol.org_id.to_string(),
        state: state.into(),
        start_time: Some(to_proto(patrol.started_at)),
        end_time: patrol.ended_at.map(to_proto),
        finding_count: patrol.finding_count,
        solved_count: patrol.solved_count,
        duplicate_count: patrol.duplicate_count,
        forgotten: patrol.forgotten,
    }
}

pub(super) fn finding_shown(finding: &Finding) -> pb::Finding {
    let outcome = match finding.outcome.parse() {
        Ok(FindingOutcome::Case) => pb::FindingOutcome::Case,
        Ok(FindingOutcome::Solved) => pb::FindingOutcome::Solved,
        Ok(FindingOutcome::Duplicate) => pb::FindingOutcome::Duplicate,
        Err(_) => pb::FindingOutcome::Unspecified,
    };
    pb::Finding {
        finding_id: finding.finding_id.to_string(),
        patrol_id: finding.patrol_id.to_string(),
        item_code: finding.item_code.clone(),
        component_code: finding.component_code.clone().unwrap_or_default(),
        outcome: outcome.into(),
        case_id: finding.case_id.to_string(),
        place_unit_id: finding.place_unit_id.to_string(),
        longitude: finding.longitude,
        latitude: finding.latitude,
        before_refs: finding.before_refs.clone(),
        after_refs: finding.after_refs.clone(),
        // How it is now is shown of what was put right, and of nothing else.
        solved: !finding.after_refs.is_empty(),
        found_time: Some(to_proto(finding.found_at)),
    }
}

/// Handlers that hand on what came in to a function of the caller and the request.
macro_rules! handlers {
    ($($name:ident($request:ident) -> $response:ident = |$this:ident, $caller:ident, $message:ident| $run:expr;)+) => {
        #[tonic::async_trait]
        impl PatrolService for Patrols {
            $(async fn $name(&self, request: Request<pb::$request>) -> RpcResult<pb::$response> {
                let ($this, $caller) = (self, Caller::of(&request)?);
                let $message = request.into_inner();
                Ok(Response::new($run.await?))
            })+
        }
    };
}

handlers! {
    import_grids(ImportGridsRequest) -> ImportGridsResponse =
        |this, caller, message| registers::import_grids(&this.desk, &caller, message);
    list_grids(ListGridsRequest) -> ListGridsResponse =
        |this, caller, message| registers::list_grids(&this.desk, &caller, message);
    import_components(ImportComponentsRequest) -> ImportComponentsResponse =
        |this, caller, message| registers::import_components(&this.desk, &caller, message);
    list_components(ListComponentsRequest) -> ListComponentsResponse =
        |this, caller, message| registers::list_components(&this.desk, &caller, message);
    get_component_classes(GetComponentClassesRequest) -> GetComponentClassesResponse =
        |_this, _caller, _message| async { Ok::<_, Error>(registers::classes()) };
    start_patrol(StartPatrolRequest) -> StartPatrolResponse =
        |this, caller, message| this.start(&caller, message);
    report_finding(ReportFindingRequest) -> ReportFindingResponse =
        |this, caller, message| report(&this.desk, &caller, this.sample_percent, message);
    end_patrol(EndPatrolRequest) -> EndPatrolResponse = |this, caller, message| this.end(&caller, message);
    get_patrol(GetPatrolRequest) -> GetPatrolResponse = |this, caller, message| this.get(&caller, message);
    list_patrols(ListPatrolsRequest) -> ListPatrolsResponse = |this, caller, message| this.list(&caller, message);
    get_patrol_coverage(GetPatrolCoverageRequest) -> GetPatrolCoverageResponse =
        |this, caller, message| this.coverage(&caller, message);
}
