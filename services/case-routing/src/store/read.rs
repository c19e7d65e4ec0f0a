//! Single cases, as they are read: with their latest decision, timeline, original text.

use std::sync::Arc;

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    at_hand::Held,
    case_store::{CaseStore, read_doc},
};
use crate::{
    domain::{Case, CaseId, RoutingDecision, TimelineEntry},
    record::CaseRecord,
};

/// Merged cases that lie between one and its original, at most.
const MOST_STEPS: usize = 16;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    told_version: i64,
    #[diesel(sql_type = Nullable<Text>)]
    doc: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    decision: Option<String>,
}

/// One case with its latest decision, candidates included. Reach is the caller's affair.
pub async fn case(conn: &mut AsyncPgConnection, id: CaseId) -> Result<Option<CaseRecord>> {
    unless(conn, id, None).await
}

/// The case that another was merged into, where it is worked on. Reach is the caller's affair, and nothing is locked.
pub async fn original(conn: &mut AsyncPgConnection, merged: &Case) -> Result<Option<CaseRecord>> {
    let Some(mut into) = merged.merged_into else { return Ok(None) };
    // Only cases of earlier releases were left behind in one that was merged itself.
    for _ in 0..MOST_STEPS {
        let found = case(conn, into).await?;
        match found.as_ref().and_then(|record| record.case.merged_into) {
            Some(further) => into = further,
            None => return Ok(found),
        }
    }
    Ok(None)
}

/// As [`case`]; document and decision are not read where the case is the one at hand.
pub async fn at_hand(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    id: CaseId,
) -> Result<Option<CaseRecord>> {
    let held = store.held(id).filter(|held| held.shown_version().is_some());
    let record = unless(conn, id, held).await?;
    if let (Some(record), Some(at_hand)) = (&record, store.at_hand()) {
        at_hand.keep_read(record);
    }
    Ok(record)
}

async fn unless(
    conn: &mut AsyncPgConnection,
    id: CaseId,
    held: Option<Arc<Held>>,
) -> Result<Option<CaseRecord>> {
    let rows: Vec<Row> = cached(
        "SELECT c.told_version, CASE WHEN c.version <> $2 OR c.updated_at <> $3 THEN c.doc END AS doc, \
         CASE WHEN c.version <> $2 OR c.updated_at <> $3 THEN \
         (SELECT content FROM routing_decisions r WHERE r.case_id = c.case_id ORDER BY seq DESC LIMIT 1) \
         END AS decision FROM cases c WHERE c.case_id = $1",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<BigInt, _>(held.as_ref().map_or(0, |held| held.version()))
    .bind::<Timestamptz, _>(held.as_ref().map_or(Timestamp::UNIX_EPOCH, |held| held.updated_at()))
    .load(conn)
    .await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let Some(doc) = row.doc else { return Ok(held.map(|held| held.to_show())) };
    let decision = row.decision.map(|content| serde_json::from_str(&content).map_err(Error::internal));
    let shown: Option<RoutingDecision> = decision.transpose()?;
    Ok(Some(CaseRecord {
        shown: shown.map(Arc::new),
        ..CaseRecord::loaded(read_doc(&doc)?, row.told_version)
    }))
}

#[derive(QueryableByName)]
struct VersionRow {
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The version of a case; `None` where there is none.
pub async fn version(conn: &mut AsyncPgConnection, id: CaseId) -> Result<Option<i64>> {
    let rows: Vec<VersionRow> =
        cached("SELECT version FROM cases WHERE case_id = $1").bind::<SqlUuid, _>(id.0).load(conn).await?;
    Ok(rows.into_iter().next().map(|row| row.version))
}

#[derive(QueryableByName)]
struct DecisionRow {
    #[diesel(sql_type = Text)]
    content: String,
}

/// Every decision about a case, oldest first, with what was looked at.
pub async fn decisions(conn: &mut AsyncPgConnection, id: CaseId) -> Result<Vec<RoutingDecision>> {
    let rows: Vec<DecisionRow> =
        cached("SELECT content FROM routing_decisions WHERE case_id = $1 ORDER BY seq")
            .bind::<SqlUuid, _>(id.0)
            .load(conn)
            .await?;
    rows.iter().map(|row| serde_json::from_str(&row.content).map_err(Error::internal)).collect()
}

#[derive(QueryableByName)]
struct StepsRow {
    #[diesel(sql_type = Text)]
    steps: String,
}

/// Steps after a version, oldest first. At most `limit` commands are read, each of one step or more.
pub async fn timeline(
    conn: &mut AsyncPgConnection,
    id: CaseId,
    after: i64,
    limit: i64,
) -> Result<Vec<TimelineEntry>> {
    let rows: Vec<StepsRow> = cached(
        "SELECT steps FROM timeline WHERE case_id = $1 AND case_version > $2 ORDER BY case_version LIMIT $3",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    let mut steps = Vec::new();
    for row in rows {
        let entries: Vec<TimelineEntry> = serde_json::from_str(&row.steps).map_err(Error::internal)?;
        steps.extend(entries.into_iter().filter(|entry| entry.case_version > after));
    }
    Ok(steps)
}

#[derive(QueryableByName)]
struct SealedRow {
    #[diesel(sql_type = Bytea)]
    sealed: Vec<u8>,
}

/// The original text, sealed.
pub async fn sealed_text(conn: &mut AsyncPgConnection, id: CaseId) -> Result<Option<Vec<u8>>> {
    let rows: Vec<SealedRow> = cached("SELECT sealed FROM case_texts WHERE case_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .load(conn)
        .await?;
    Ok(rows.into_iter().next().map(|row| row.sealed))
}

/// Who reads an original text, or is refused it.
#[derive(Debug, Clone)]
pub struct Access<'a> {
    pub access_id: Uuid,
    pub case_id: CaseId,
    pub person_id: Uuid,
    pub actor_ref: &'a str,
    pub org_id: Option<Uuid>,
    pub purpose: &'a str,
    pub at: Timestamp,
    pub allowed: bool,
}

/// Records that an original text was read, or refused.
pub async fn log_access(conn: &mut AsyncPgConnection, access: &Access<'_>) -> Result<()> {
    cached(
        "INSERT INTO access_log (access_id, case_id, person_id, actor_ref, org_id, purpose, at, decision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<SqlUuid, _>(access.access_id)
    .bind::<SqlUuid, _>(access.case_id.0)
    .bind::<SqlUuid, _>(access.person_id)
    .bind::<Text, _>(access.actor_ref)
    .bind::<Nullable<SqlUuid>, _>(access.org_id)
    .bind::<Text, _>(access.purpose)
    .bind::<Timestamptz, _>(access.at)
    .bind::<Text, _>(if access.allowed { "allow" } else { "deny" })
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The case that a person made under a client's own id, by the index of both.
pub async fn by_client_key(conn: &mut AsyncPgConnection, key: &[u8]) -> Result<Option<CaseId>> {
    let rows: Vec<IdRow> = cached("SELECT case_id FROM client_refs WHERE client_key = $1")
        .bind::<Bytea, _>(key)
        .load(conn)
        .await?;
    Ok(rows.into_iter().next().map(|row| CaseId(row.case_id)))
}
