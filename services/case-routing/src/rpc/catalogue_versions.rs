//! `CatalogueMaintenanceService`: the catalogue imported as a file, put in force and taken back version by version.

use std::collections::HashMap;

use chassis::{
    Error, Result, RpcResult, Timestamp,
    auth::Caller,
    clock::to_proto,
    command::{Meta, once},
    db::Tx,
    page,
    proto::case_routing::v1::{
        self as pb, catalogue_maintenance_service_server::CatalogueMaintenanceService,
    },
};
use chrono::NaiveTime;
use diesel_async::AsyncPgConnection;
use tonic::{Request, Response};

use super::{
    list_forms::{day, number},
    lists::Responsibilities,
    parse,
    table_files::{MOST_CHANGES, format, problem, reason, size, table},
};
use crate::{
    atlas::World,
    cataloguing::{Change, Draft, Reading, reading},
    domain::{CatalogueVersion, DomainError, ListState, OrgId},
    editions::Editions,
    listing::led_on,
    store::{
        catalogue::editions,
        catalogue_versions::{self as versions, VersionRow},
        lists,
    },
    tables::{self, ItemContext, Table, item_cells, item_changes, item_header},
    verb::barred,
};

/// The RPCs; the grants are those of the lists.
#[derive(Clone)]
pub struct CatalogueVersions(pub Responsibilities);

#[tonic::async_trait]
impl CatalogueMaintenanceService for CatalogueVersions {
    async fn import_catalogue(
        &self,
        request: Request<pb::ImportCatalogueRequest>,
    ) -> RpcResult<pb::ImportCatalogueResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("ImportCatalogue", &request.request_id, &request)?;
        let (format, reason_code) = (format(request.format)?, reason(&request.reason_code, request.dry_run)?);
        let world = self.0.of_district(&caller)?;
        let table = table(request.file, format).await?;
        let (desk, whole) = (&self.0.0, request.whole);
        let mut conn = desk.db.conn().await?;
        let first = read_file(&world, &table, &editions(&conn).await?, whole, desk.clock.now());
        let mut answer = told_reading(&first);
        if first.problems.is_empty() {
            answer.without_lead_item_codes = without_lead(&mut conn, &first.draft, desk.clock.now()).await?;
        }
        drop(conn);
        if request.dry_run || first.draft.0.is_empty() || !first.problems.is_empty() {
            return Ok(Response::new(answer));
        }
        let (by, bare) = (caller.actor_ref.clone(), answer.without_lead_item_codes);
        let answer = once(&desk.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            let catalogue_version = versions::lock(tx.conn).await?;
            let anew = read_file(&world, &table, &editions(tx.conn).await?, whole, tx.now);
            let answer =
                pb::ImportCatalogueResponse { without_lead_item_codes: bare.clone(), ..told_reading(&anew) };
            if !anew.problems.is_empty() || anew.draft.0.is_empty() {
                return Ok(answer); // another change came between
            }
            let row = VersionRow {
                catalogue_version,
                item_count: size(anew.draft.0.len()),
                moves: CatalogueVersion::moves(&all(tx.conn).await?),
                reason_code: reason_code.clone(),
                drafted_by: by.clone(),
                drafted_at: tx.now,
                approved_by: None,
                approved_at: None,
                valid_from: None,
                withdrawn_by: None,
                withdrawn_at: None,
                withdrawn_reason: None,
            };
            versions::insert_draft(tx.conn, &row, &anew.draft).await?;
            Ok(pb::ImportCatalogueResponse { version: Some(told(&row, tx.now)), ..answer })
        })
        .await?;
        self.0.changed().await;
        Ok(Response::new(answer))
    }

    async fn export_catalogue(
        &self,
        request: Request<pb::ExportCatalogueRequest>,
    ) -> RpcResult<pb::ExportCatalogueResponse> {
        let request = request.into_inner();
        let format = format(request.format)?;
        let at = parse::optional_time("at_time", request.at_time.as_ref())?;
        let at = at.unwrap_or_else(|| self.0.0.clock.now());
        let world = self.0.0.atlas.world();
        let items = world.items().all_at(at).map(|edition| item_cells(&edition.item, request.english));
        let rows: Vec<Vec<String>> = items.collect();
        let file = tables::write(&item_header(request.english), &rows, format)?;
        Ok(Response::new(pb::ExportCatalogueResponse { file, rows: size(rows.len()) }))
    }

    async fn list_catalogue_versions(
        &self,
        request: Request<pb::ListCatalogueVersionsRequest>,
    ) -> RpcResult<pb::ListCatalogueVersionsResponse> {
        let request = request.into_inner();
        let size = page::size(request.page_size, 50, 200)?;
        let below: i32 = page::decode(&request.page_token)?.unwrap_or(i32::MAX);
        let mut conn = self.0.0.db.conn().await?;
        let mut rows = versions::versions(&mut conn, below, size + 1).await?;
        let next_page_token = page::cut(&mut rows, size, |row| row.catalogue_version);
        let now = self.0.0.clock.now();
        let versions = rows.iter().map(|row| told(row, now)).collect();
        Ok(Response::new(pb::ListCatalogueVersionsResponse { versions, next_page_token }))
    }

    async fn get_catalogue_version(
        &self,
        request: Request<pb::GetCatalogueVersionRequest>,
    ) -> RpcResult<pb::GetCatalogueVersionResponse> {
        let number = number("catalogue_version", request.into_inner().catalogue_version)?;
        let mut conn = self.0.0.db.conn().await?;
        let row = found(&conn, number).await?;
        // Of the first one everything would be new.
        let first = row.moves == 0 && row.drafted_by == "system";
        let most = i64::try_from(if first { 0 } else { MOST_CHANGES }).unwrap_or_default();
        let draft = versions::changes(&mut conn, number, most).await?;
        let version = Some(told(&row, self.0.0.clock.now()));
        let changes = draft.0.iter().map(|(code, change)| told_change(code, change)).collect();
        Ok(Response::new(pb::GetCatalogueVersionResponse { version, changes }))
    }

    async fn activate_catalogue_version(
        &self,
        request: Request<pb::ActivateCatalogueVersionRequest>,
    ) -> RpcResult<pb::ActivateCatalogueVersionResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("ActivateCatalogueVersion", &request.request_id, &request)?;
        let number = number("catalogue_version", request.catalogue_version)?;
        let from = day("effective_on", &request.effective_on)?;
        self.0.of_district(&caller)?;
        let by = caller.actor_ref.clone();
        let answer = once(&self.0.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            versions::lock(tx.conn).await?;
            let row = found(tx.conn, number).await?;
            let from = from.map_or(tx.now, |day| calendar::instant(day, NaiveTime::MIN));
            let all = all(tx.conn).await?;
            row.version().activate(&all, from, &by, tx.now).map_err(|error| refused(number, error))?;
            versions::approve(tx.conn, number, &by, from, tx.now).await?;
            let row = found(tx.conn, number).await?;
            Ok(pb::ActivateCatalogueVersionResponse { version: Some(told(&row, tx.now)) })
        })
        .await?;
        self.0.changed().await;
        Ok(Response::new(answer))
    }

    async fn roll_back_catalogue_version(
        &self,
        request: Request<pb::RollBackCatalogueVersionRequest>,
    ) -> RpcResult<pb::RollBackCatalogueVersionResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let meta = Meta::new("RollBackCatalogueVersion", &request.request_id, &request)?;
        let number = number("catalogue_version", request.catalogue_version)?;
        let reason_code = parse::code("reason_code", &request.reason_code)?;
        self.0.of_district(&caller)?;
        let by = caller.actor_ref.clone();
        let answer = once(&self.0.0.db, &caller, meta, async move |tx: &mut Tx<'_>| {
            versions::lock(tx.conn).await?;
            let row = found(tx.conn, number).await?;
            let all = all(tx.conn).await?;
            row.version().roll_back(&all, tx.now).map_err(|error| refused(number, error))?;
            versions::withdraw(tx.conn, number, &by, &reason_code, tx.now).await?;
            let row = found(tx.conn, number).await?;
            Ok(pb::RollBackCatalogueVersionResponse { version: Some(told(&row, tx.now)) })
        })
        .await?;
        self.0.changed().await;
        Ok(Response::new(answer))
    }
}

fn read_file(world: &World, table: &Table, known: &Editions, whole: bool, at: Timestamp) -> Reading {
    let orgs: HashMap<&str, OrgId> =
        world.topology.orgs().map(|org| (org.code.as_str(), OrgId(org.id))).collect();
    let profile = |code: &str| world.has_profile(code);
    let context = ItemContext { profile: &profile, orgs: &orgs, rules: &world.rules, at };
    reading(table, &known.coming(), whole, &context)
}

/// Items that are to be led from now on, and that the list in force gives to nobody.
async fn without_lead(conn: &mut AsyncPgConnection, draft: &Draft, now: Timestamp) -> Result<Vec<String>> {
    let new = draft.to_be_led();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let periods = lists::periods(conn).await?;
    let in_force = crate::domain::version_at(&periods, &[], now).unwrap_or_default();
    let entries = lists::entries(conn, in_force).await?;
    let led = led_on(&entries, calendar::local_day(now));
    Ok(new.into_iter().filter(|code| !led.contains(code)).map(str::to_owned).collect())
}

fn told_reading(reading: &Reading) -> pb::ImportCatalogueResponse {
    let (added, changed, ended) = reading.draft.counts();
    let changes = reading.draft.0.iter().take(MOST_CHANGES);
    pb::ImportCatalogueResponse {
        version: None,
        problems: reading.problems.found.iter().map(problem).collect(),
        problems_left_out: super::convert::count(reading.problems.left_out),
        rows: size(reading.rows),
        added: size(added),
        changed: size(changed),
        ended: size(ended),
        unchanged: size(reading.rows.saturating_sub(added + changed)),
        changes: changes.map(|(code, change)| told_change(code, change)).collect(),
        without_lead_item_codes: Vec::new(),
    }
}

fn told_change(code: &str, change: &Change) -> pb::ItemChange {
    let (kind, fields) = match (&change.base, &change.item) {
        (_, None) => (pb::ItemChangeKind::Ended, Vec::new()),
        (None, Some(_)) => (pb::ItemChangeKind::Added, Vec::new()),
        (Some(before), Some(after)) => (pb::ItemChangeKind::Changed, item_changes(before, after)),
    };
    let field = |(column, before, after): (&str, String, String)| pb::FieldChange {
        column: column.to_owned(),
        before,
        after,
    };
    let fields = fields.into_iter().map(field).collect();
    pb::ItemChange { item_code: code.to_owned(), kind: kind.into(), fields }
}

async fn found(conn: &AsyncPgConnection, number: i32) -> Result<VersionRow> {
    let row = versions::version(conn, number).await?;
    row.ok_or_else(|| Error::not_found("catalogue_version", number))
}

async fn all(conn: &mut AsyncPgConnection) -> Result<Vec<CatalogueVersion>> {
    let rows = versions::versions(conn, i32::MAX, i64::from(i32::MAX)).await?;
    Ok(rows.iter().map(VersionRow::version).collect())
}

fn refused(number: i32, error: DomainError) -> Error {
    match error {
        DomainError::Invalid { field, message } => Error::invalid(field, message),
        wrong => barred("catalogue_version", number, &wrong),
    }
}

/// A version as it stands at an instant.
fn told(row: &VersionRow, at: Timestamp) -> pb::CatalogueVersion {
    let state = match row.version().state(at) {
        ListState::Draft => pb::ListState::Draft,
        ListState::Canary => pb::ListState::Canary,
        ListState::Scheduled => pb::ListState::Scheduled,
        ListState::InForce => pb::ListState::InForce,
        ListState::Superseded => pb::ListState::Superseded,
        ListState::Withdrawn => pb::ListState::Withdrawn,
    };
    pb::CatalogueVersion {
        catalogue_version: row.catalogue_version,
        state: state.into(),
        item_count: row.item_count,
        effective_time: row.valid_from.map(to_proto),
        reason_code: row.reason_code.clone(),
        drafted_by: row.drafted_by.clone(),
        drafted_time: Some(to_proto(row.drafted_at)),
        approved_by: row.approved_by.clone().unwrap_or_default(),
        approved_time: row.approved_at.map(to_proto),
        withdrawn_by: row.withdrawn_by.clone().unwrap_or_default(),
        withdrawn_time: row.withdrawn_at.map(to_proto),
        withdrawn_reason_code: row.withdrawn_reason.clone().unwrap_or_default(),
    }
}
