//! The responsibility list as a file: imported as a draft, exported as it stands.

use chassis::{
    Error, Result,
    auth::Caller,
    command::{Meta, once},
    db::Tx,
    proto::case_routing::v1 as pb,
};
use diesel_async::AsyncPgConnection;

use super::{
    list_forms::{difference, number, told},
    lists::{Responsibilities, found},
    table_files::{MOST_CHANGES, format, problem, reason, size, table},
};
use crate::{
    atlas::{World, org_kind},
    domain::{Period, version_at},
    listing::{self, Draft, Entries, Known},
    store::lists::{self, VersionRow},
    tables::{self, Problems, Table, entry_cells, entry_header, read_entries},
};

/// What a file makes of its base.
struct Prepared {
    base_version: Option<i32>,
    entry_count: usize,
    draft: Draft,
    answer: pb::ImportListVersionResponse,
}

/// Drafts a version from a file.
pub async fn import(
    this: &Responsibilities,
    caller: &Caller,
    request: pb::ImportListVersionRequest,
) -> Result<pb::ImportListVersionResponse> {
    let meta = Meta::new("ImportListVersion", &request.request_id, &request)?;
    let format = format(request.format)?;
    let reason_code = reason(&request.reason_code, request.dry_run)?;
    let wanted = match request.base_version {
        0 => None,
        base => Some(number("base_version", base)?),
    };
    let world = this.of_district(caller)?;
    let table = table(request.file, format).await?;
    let (desk, whole) = (&this.0, request.whole);
    let now = desk.clock.now();
    let mut conn = desk.db.conn().await?;
    let periods = lists::periods(&conn).await?;
    let first = prepare(&mut conn, &world, &periods, wanted, &table, whole, now).await?;
    drop(conn);
    let nothing = first.draft.upserts.is_empty() && first.draft.removed.is_empty();
    if request.dry_run || nothing || !first.answer.problems.is_empty() {
        return Ok(first.answer);
    }
    let by = caller.actor_ref.clone();
    let answer = once(&desk.db, caller, meta, async move |tx: &mut Tx<'_>| {
        let list_version = lists::lock(tx.conn).await?;
        let periods = lists::periods(tx.conn).await?;
        let prepared = prepare(tx.conn, &world, &periods, wanted, &table, whole, tx.now).await?;
        let mut answer = prepared.answer;
        if !answer.problems.is_empty() {
            return Ok(answer); // another change came between
        }
        let row = VersionRow {
            list_version,
            base_version: prepared.base_version,
            entry_count: size(prepared.entry_count),
            reason_code: reason_code.clone(),
            drafted_by: by.clone(),
            drafted_at: tx.now,
            approved_by: None,
            approved_at: None,
            withdrawn_by: None,
            withdrawn_at: None,
            withdrawn_reason: None,
        };
        lists::insert_draft(tx.conn, &row, &prepared.draft).await?;
        answer.version = Some(told(&row, &periods, &world, tx.now));
        Ok(answer)
    })
    .await?;
    this.changed().await;
    Ok(answer)
}

async fn prepare(
    conn: &mut AsyncPgConnection,
    world: &World,
    periods: &[Period],
    wanted: Option<i32>,
    table: &Table,
    whole: bool,
    now: chassis::Timestamp,
) -> Result<Prepared> {
    let base_version = wanted.or_else(|| version_at(periods, &[], now));
    let base = match base_version {
        Some(base) => {
            found(conn, base).await?;
            lists::entries(conn, base).await?
        }
        None => Entries::new(),
    };
    let kind = |code: &str| world.topology.org_by_code(code).and_then(|org| org_kind(org.kind));
    let known = Known { items: &world.items().coming(), org_kind: &kind, today: calendar::local_day(now) };
    let mut problems = Problems::default();
    let draft = read_entries(table, &base, whole, &known, &mut problems);
    let problems = problems.sorted();
    let mut after = base.clone();
    draft.removed.iter().for_each(|rule| drop(after.remove(rule)));
    after.extend(draft.upserts.iter().map(|listed| (listed.entry.rule_id.clone(), listed.clone())));
    let differences = listing::compare(&base, &after);
    let count = |of: fn(&listing::EntryDifference) -> bool| {
        size(differences.values().filter(|found| of(found)).count())
    };
    let (added, removed) = (count(|found| found.before.is_none()), count(|found| found.after.is_none()));
    let changed = size(differences.len()) - added - removed;
    let answer = pb::ImportListVersionResponse {
        version: None,
        problems: problems.found.iter().map(problem).collect(),
        problems_left_out: super::convert::count(problems.left_out),
        rows: size(table.rows.len()),
        added,
        changed,
        removed,
        unchanged: size(base.len()) - changed - removed,
        differences: differences.into_iter().take(MOST_CHANGES).map(difference).collect(),
    };
    Ok(Prepared { base_version, entry_count: after.len(), draft, answer })
}

/// A version as a file.
pub async fn export(
    this: &Responsibilities,
    request: &pb::ExportListVersionRequest,
) -> Result<pb::ExportListVersionResponse> {
    let format = format(request.format)?;
    let desk = &this.0;
    let mut conn = desk.db.conn().await?;
    let version = match request.list_version {
        0 => {
            let periods = lists::periods(&conn).await?;
            let version = this.in_force(&periods, desk.clock.now());
            Some(version).filter(|version| *version > 0).ok_or_else(|| Error::not_found("list_version", 0))?
        }
        version => number("list_version", version)?,
    };
    found(&mut conn, version).await?;
    let entries = lists::entries(&mut conn, version).await?;
    let rows: Vec<Vec<String>> =
        entries.values().map(|listed| entry_cells(listed, request.english)).collect();
    let file = tables::write(&entry_header(request.english), &rows, format)?;
    Ok(pb::ExportListVersionResponse { file, rows: size(rows.len()) })
}
