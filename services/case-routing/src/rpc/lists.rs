//! `ResponsibilityService`: the responsibility list, drafted, compared, put in force and taken back version by version.

use std::sync::Arc;

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1::{self as pb, responsibility_service_server::ResponsibilityService},
    topology::UnitKind,
};
use chrono::NaiveTime;
use diesel_async::AsyncPgConnection;
use tonic::{Request, Response};
use uuid::Uuid;

use super::{
    desk::Desk,
    list_files,
    list_forms::{day, difference, draft, entry, number, told},
    parse, precedents, trial,
};
use crate::{
    atlas::{World, org_kind},
    domain::{
        DomainError, Period, UnitId, activate, on_the_way, replaced, roll_back, stands_apart, stands_on,
        start_canary, version_at,
    },
    listing::{self, Known},
    reach,
    store::{
        self,
        lists::{self, VersionRow},
    },
    tables::text,
    verb::barred,
};

/// The RPCs.
#[derive(Clone)]
pub struct Responsibilities(pub Desk);

impl Responsibilities {
    /// The world, if the caller's grant covers the district that the list is of, on every line.
    pub(super) fn of_district(&self, caller: &Caller) -> Result<Arc<World>> {
        let world = self.0.atlas.world();
        let district = world.district();
        let covers = |path: &Arc<[Uuid]>| {
            let mut scopes = reach::place_scopes(caller);
            scopes.any(|scope| scope.line.is_none() && path.contains(&scope.unit_id))
        };
        if district.as_ref().is_some_and(covers) { Ok(world) } else { Err(Error::Forbidden) }
    }

    /// The version in force everywhere; 0 before the first.
    pub(super) fn in_force(&self, periods: &[Period], at: Timestamp) -> i32 {
        version_at(periods, &[], at).unwrap_or_default()
    }

    /// Lets every later decision of this replica follow the change; the others hear of it in a moment.
    pub(super) async fn changed(&self) {
        if let Err(error) = self.0.atlas.refresh(&self.0.db).await {
            tracing::warn!(error = %error.chain(), "the lists are read again later");
        }
    }
}

#[tonic::async_trait]
impl ResponsibilityService for Responsibilities {
    async fn create_list_version(
        &self,
        request: Request<pb::CreateListVersionRequest>,
    ) -> RpcResult<pb::CreateListVersionResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("CreateListVersion", &request.request_id, &request)?;
        let reason_code = parse::code("reason_code", &request.reason_code)?;
        let draft = draft(&request)?;
        let precedent_ids: Vec<Uuid> = parse::ids("precedent_ids", &request.precedent_ids)?;
        let world = self.of_district(&caller)?;
        let wanted = request.base_version;
        let by = caller.actor_ref.clone();
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let number = lists::lock(tx.conn).await?;
            let periods = lists::periods(tx.conn).await?;
            let base = if wanted == 0 { version_at(&periods, &[], tx.now) } else { Some(wanted) };
            if let Some(base) = base {
                found(tx.conn, base).await?;
            }
            let entries = match base {
                Some(base) => lists::entries(tx.conn, base).await?,
                None => listing::Entries::new(),
            };
            let mut draft = draft.clone();
            draft.upserts.extend(precedents::entries(tx.conn, &precedent_ids, &world).await?);
            let draft = draft.keeping(&entries);
            let whole = {
                let kind = |code: &str| world.topology.org_by_code(code).and_then(|org| org_kind(org.kind));
                let today = calendar::local_day(tx.now);
                draft.apply(&entries, &Known { items: &world.items().coming(), org_kind: &kind, today })?
            };
            let row = VersionRow {
                list_version: number,
                base_version: base,
                entry_count: i32::try_from(whole.len()).map_err(Error::internal)?,
                reason_code: reason_code.clone(),
                drafted_by: by.clone(),
                drafted_at: tx.now,
                approved_by: None,
                approved_at: None,
                withdrawn_by: None,
                withdrawn_at: None,
                withdrawn_reason: None,
            };
            lists::insert_draft(tx.conn, &row, &draft).await?;
            store::precedents::drafted(tx.conn, &precedent_ids, number).await?;
            Ok(pb::CreateListVersionResponse { version: Some(told(&row, &periods, &world, tx.now)) })
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn import_list_version(
        &self,
        request: Request<pb::ImportListVersionRequest>,
    ) -> RpcResult<pb::ImportListVersionResponse> {
        let caller = Caller::of(&request)?;
        Ok(Response::new(list_files::import(self, &caller, request.into_inner()).await?))
    }

    async fn export_list_version(
        &self,
        request: Request<pb::ExportListVersionRequest>,
    ) -> RpcResult<pb::ExportListVersionResponse> {
        Ok(Response::new(list_files::export(self, &request.into_inner()).await?))
    }

    async fn list_precedents(
        &self,
        request: Request<pb::ListPrecedentsRequest>,
    ) -> RpcResult<pb::ListPrecedentsResponse> {
        let caller = Caller::of(&request)?;
        self.of_district(&caller)?;
        Ok(Response::new(precedents::list(&self.0, &request.into_inner()).await?))
    }

    async fn list_list_versions(
        &self,
        request: Request<pb::ListListVersionsRequest>,
    ) -> RpcResult<pb::ListListVersionsResponse> {
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let below: i32 = page::decode(&request.page_token)?.unwrap_or(i32::MAX);
        let mut conn = self.0.db.conn().await?;
        let mut rows = lists::versions(&mut conn, below, size + 1).await?;
        let periods = lists::periods(&conn).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.list_version);
        let (world, now) = (self.0.atlas.world(), self.0.clock.now());
        let versions = rows.iter().map(|row| told(row, &periods, &world, now)).collect();
        Ok(Response::new(pb::ListListVersionsResponse { versions, next_page_token }))
    }

    async fn get_list_version(
        &self,
        request: Request<pb::GetListVersionRequest>,
    ) -> RpcResult<pb::GetListVersionResponse> {
        let number = number("list_version", request.into_inner().list_version)?;
        let mut conn = self.0.db.conn().await?;
        let row = found(&mut conn, number).await?;
        let periods = lists::periods(&conn).await?;
        let version = told(&row, &periods, &self.0.atlas.world(), self.0.clock.now());
        Ok(Response::new(pb::GetListVersionResponse { version: Some(version) }))
    }

    async fn list_list_entries(
        &self,
        request: Request<pb::ListListEntriesRequest>,
    ) -> RpcResult<pb::ListListEntriesResponse> {
        let request = request.into_inner();
        let number = number("list_version", request.list_version)?;
        let size = page::size(request.page_size, 200, 1000)?;
        let after: String = page::decode(&request.page_token)?.unwrap_or_default();
        let item = parse::filter("item_code", &request.item_code)?;
        let mut conn = self.0.db.conn().await?;
        found(&mut conn, number).await?;
        let mut entries = lists::page(&mut conn, number, item.as_deref(), &after, size + 1).await?;
        let next_page_token = page::cut(&mut entries, size, |listed| listed.entry.rule_id.clone());
        let entries = entries.iter().map(entry).collect();
        Ok(Response::new(pb::ListListEntriesResponse { entries, next_page_token }))
    }

    async fn compare_list_versions(
        &self,
        request: Request<pb::CompareListVersionsRequest>,
    ) -> RpcResult<pb::CompareListVersionsResponse> {
        let request = request.into_inner();
        let after = number("list_version", request.list_version)?;
        let size = page::size(request.page_size, 200, 1000)?;
        let from: String = page::decode(&request.page_token)?.unwrap_or_default();
        let mut conn = self.0.db.conn().await?;
        let row = found(&mut conn, after).await?;
        let before = match request.with_version {
            0 => row.base_version.unwrap_or_default(),
            with => found(&mut conn, number("with_version", with)?).await?.list_version,
        };
        let before = lists::entries(&mut conn, before).await?;
        let differences = listing::compare(&before, &lists::entries(&mut conn, after).await?);
        let count = |of: fn(&listing::EntryDifference) -> bool| {
            i32::try_from(differences.values().filter(|found| of(found)).count()).unwrap_or(i32::MAX)
        };
        let added = count(|found| found.before.is_none());
        let removed = count(|found| found.after.is_none());
        let changed = count(|found| found.before.is_some() && found.after.is_some());
        let later = differences.into_iter().filter(|(rule, _)| *rule > from);
        let mut rows: Vec<_> = later.take(usize::try_from(size + 1).unwrap_or(usize::MAX)).collect();
        let next_page_token = page::cut(&mut rows, size, |(rule, _)| rule.clone());
        let differences = rows.into_iter().map(difference).collect();
        Ok(Response::new(pb::CompareListVersionsResponse {
            added,
            removed,
            changed,
            differences,
            next_page_token,
        }))
    }

    async fn dry_run_list_version(
        &self,
        request: Request<pb::DryRunListVersionRequest>,
    ) -> RpcResult<pb::DryRunListVersionResponse> {
        let caller = self.0.caller(&request)?;
        Ok(Response::new(trial::dry_run(&self.0, &caller, &request.into_inner()).await?))
    }

    async fn replay_decision(
        &self,
        request: Request<pb::ReplayDecisionRequest>,
    ) -> RpcResult<pb::ReplayDecisionResponse> {
        let caller = self.0.caller(&request)?;
        Ok(Response::new(trial::replay(&self.0, &caller, &request.into_inner()).await?))
    }

    async fn start_canary(
        &self,
        request: Request<pb::StartCanaryRequest>,
    ) -> RpcResult<pb::StartCanaryResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("StartCanary", &request.request_id, &request)?;
        let number = number("list_version", request.list_version)?;
        let unit: Uuid = parse::id("unit_id", &request.unit_id)?;
        let world = self.of_district(&caller)?;
        let district = world.district().and_then(|path| path.last().copied());
        let street = world.topology.unit(unit).filter(|found| found.kind == UnitKind::Street);
        let within = street.is_some() && district.is_some_and(|root| world.topology.is_within(unit, root));
        if !within {
            return Err(Error::invalid("unit_id", "is not a street of the district").into());
        }
        let (by, replaces) = (caller.actor_ref.clone(), request.replace_moved);
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            lists::lock(tx.conn).await?;
            let (row, periods) = with_periods(tx.conn, number).await?;
            duties_stand(tx.conn, number, &periods, tx.now).await?;
            let started = start_canary(&row.version(&periods), &periods, UnitId(unit), &by, tx.now)
                .map_err(|error| refused(number, error))?;
            if !replaces {
                base_stands(tx.conn, number, &periods, tx.now).await?;
            }
            leads_stand(tx.conn, &world, number, &periods, tx.now, tx.now).await?;
            lists::save_periods(tx.conn, &periods, &started).await?;
            lists::approve(tx.conn, number, &by, tx.now).await?;
            let row = found(tx.conn, number).await?;
            Ok(pb::StartCanaryResponse { version: Some(told(&row, &started, &world, tx.now)) })
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn activate_list_version(
        &self,
        request: Request<pb::ActivateListVersionRequest>,
    ) -> RpcResult<pb::ActivateListVersionResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("ActivateListVersion", &request.request_id, &request)?;
        let number = number("list_version", request.list_version)?;
        let from = day("effective_on", &request.effective_on)?;
        let world = self.of_district(&caller)?;
        let (by, replaces) = (caller.actor_ref.clone(), request.replace_moved);
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            lists::lock(tx.conn).await?;
            let (row, periods) = with_periods(tx.conn, number).await?;
            let from = from.map_or(tx.now, |day| calendar::instant(day, NaiveTime::MIN));
            duties_stand(tx.conn, number, &periods, tx.now).await?;
            let active = activate(&row.version(&periods), &periods, from, &by, tx.now)
                .map_err(|error| refused(number, error))?;
            if !replaces {
                base_stands(tx.conn, number, &periods, tx.now).await?;
            }
            leads_stand(tx.conn, &world, number, &periods, from, tx.now).await?;
            lists::save_periods(tx.conn, &periods, &active).await?;
            lists::approve(tx.conn, number, &by, tx.now).await?;
            let row = found(tx.conn, number).await?;
            Ok(pb::ActivateListVersionResponse { version: Some(told(&row, &active, &world, tx.now)) })
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }

    async fn roll_back_list_version(
        &self,
        request: Request<pb::RollBackListVersionRequest>,
    ) -> RpcResult<pb::RollBackListVersionResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("RollBackListVersion", &request.request_id, &request)?;
        let number = number("list_version", request.list_version)?;
        let reason_code = parse::code("reason_code", &request.reason_code)?;
        let world = self.of_district(&caller)?;
        let (this, by) = (self.clone(), caller.actor_ref.clone());
        let answer = once(&self.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let next = lists::lock(tx.conn).await?;
            let (row, periods) = with_periods(tx.conn, number).await?;
            let mut back = roll_back(&row.version(&periods), &periods, tx.now)
                .map_err(|error| refused(number, error))?;
            stands_alone(tx.conn, number, &periods, tx.now).await?;
            if this.in_force(&periods, tx.now) == number {
                // What was in force before it came, with what duties have brought since.
                let chain = lists::chain(tx.conn, number).await?;
                let earlier = replaced(&chain, &periods).ok_or_else(|| {
                    let message = "no_earlier_list: there is no version to go back to";
                    Error::barred("list_version", number, "no_earlier_list", message)
                })?;
                if chain.len() > 1 || !lists::same_duties(tx.conn, earlier, number).await? {
                    let earlier = found(tx.conn, earlier).await?;
                    lists::restore(tx.conn, next, &earlier, number, &reason_code, tx.now).await?;
                    let again = |p: &&mut Period| p.unit.is_none() && p.from == tx.now && p.covers(tx.now);
                    for period in back.iter_mut().filter(again) {
                        period.version = next;
                    }
                }
            }
            lists::save_periods(tx.conn, &periods, &back).await?;
            lists::withdraw(tx.conn, number, &by, &reason_code, tx.now).await?;
            let row = found(tx.conn, number).await?;
            Ok(pb::RollBackListVersionResponse {
                version: Some(told(&row, &back, &world, tx.now)),
                in_force_version: this.in_force(&back, tx.now),
            })
        })
        .await?;
        self.changed().await;
        Ok(Response::new(answer))
    }
}

/// What transfers and admissions brought stands in a version as in the one in force: one drafted before they came, or taken
/// back to such a one, would undo them behind their back.
async fn duties_stand(
    conn: &mut AsyncPgConnection,
    number: i32,
    periods: &[Period],
    now: Timestamp,
) -> Result<()> {
    let in_force = version_at(periods, &[], now).unwrap_or_default();
    if lists::same_duties(conn, number, in_force).await? {
        return Ok(());
    }
    Err(Error::wrong_state("list_version", number, "duties have moved since it was drafted; draft it anew"))
}

/// A draft is put in force on top of what it was drafted from: what others have put in force or taken back since is not
/// undone behind their back.
async fn base_stands(
    conn: &mut AsyncPgConnection,
    number: i32,
    periods: &[Period],
    now: Timestamp,
) -> Result<()> {
    let in_force = lists::chain(conn, version_at(periods, &[], now).unwrap_or_default()).await?;
    // A canary that duties have amended was drafted from what its first version was.
    let drafted = lists::chain(conn, number).await?.into_iter().min().unwrap_or(number);
    let base = found(conn, drafted).await?.base_version;
    stands_on(base, &in_force).map_err(|error| refused(number, error))
}

/// From the day on which a version is put in force every item has a lead, as on that of its draft.
async fn leads_stand(
    conn: &mut AsyncPgConnection,
    world: &World,
    number: i32,
    periods: &[Period],
    from: Timestamp,
    now: Timestamp,
) -> Result<()> {
    let in_force = lists::entries(conn, version_at(periods, &[], now).unwrap_or_default()).await?;
    let entries = lists::entries(conn, number).await?;
    let items = world.items().coming();
    let Some(bare) = listing::abandoned(&items, &in_force, &entries, calendar::local_day(from)) else {
        return Ok(());
    };
    let message = format!("no_lead: {}", text("no_lead").1.replace("{}", &bare.to_string()));
    Err(Error::barred("list_version", number, "no_lead", message))
}

/// What is taken back does not come back by itself: a version that runs as a canary or waits for its day, and was made from it,
/// is taken back first.
async fn stands_alone(
    conn: &mut AsyncPgConnection,
    number: i32,
    periods: &[Period],
    now: Timestamp,
) -> Result<()> {
    let chain = lists::chain(conn, number).await?;
    for other in on_the_way(periods, number, now) {
        let made_from = lists::ancestry(conn, other).await?;
        stands_apart(&made_from, &chain).map_err(|error| refused(number, error))?;
    }
    Ok(())
}

pub(super) async fn found(conn: &mut AsyncPgConnection, number: i32) -> Result<VersionRow> {
    let row = lists::version(conn, number).await?;
    row.ok_or_else(|| Error::not_found("list_version", number))
}

async fn with_periods(conn: &mut AsyncPgConnection, number: i32) -> Result<(VersionRow, Vec<Period>)> {
    Ok((found(conn, number).await?, lists::periods(conn).await?))
}

fn refused(number: i32, error: DomainError) -> Error {
    match error {
        DomainError::Invalid { field, message } => Error::invalid(field, message),
        wrong => barred("list_version", number, &wrong),
    }
}
