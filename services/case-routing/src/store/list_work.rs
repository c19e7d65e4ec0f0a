//! Lists of work, a page at a time by key: cases that wait for a third organisation, and tasks of organisations.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{case_store::CaseRow, list::ReachFilter};
use crate::record::CaseRecord;

/// Cases that wait for a third organisation, oldest first: those within reach by place, and bad ratings that one of these
/// organisations has to judge, wherever they are. Whoever is to be called about what was done again in another case is called once
/// that was found good. Whoever has to judge stands in the agenda: no document is looked into for another's rating.
pub async fn awaiting(
    conn: &mut AsyncPgConnection,
    awaits: &str,
    reach: &ReachFilter,
    judges: &[Uuid],
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<CaseRecord>> {
    if !reach.all && reach.units.is_empty() && (awaits != "judgement" || judges.is_empty()) {
        return Ok(Vec::new());
    }
    let rows: Vec<CaseRow> = cached(
        "SELECT c.told_version, c.doc FROM agenda a JOIN cases c ON c.case_id = a.case_id \
         WHERE a.awaits = $1 AND a.case_id > $2 AND ($4 OR EXISTS (SELECT 1 FROM unnest($5, $6) AS s (unit, line) \
         WHERE s.unit = ANY (c.place_path) AND (s.line IS NULL OR s.line = c.line)) \
         OR CASE WHEN $1 = 'judgement' AND (a.org_ids && $7 OR a.asked_org_ids && $7) \
         THEN (c.doc::json -> 'rating' ->> 'judge')::uuid = ANY ($7) ELSE false END) \
         AND ($1 <> 'callback' OR EXISTS (SELECT 1 FROM cases o WHERE o.case_id = a.original_id \
         AND o.state IN ('resolved', 'closed'))) \
         ORDER BY a.case_id LIMIT $3",
    )
    .bind::<Text, _>(awaits)
    .bind::<SqlUuid, _>(after.unwrap_or_default())
    .bind::<BigInt, _>(limit)
    .bind::<Bool, _>(reach.all)
    .bind::<Array<SqlUuid>, _>(&reach.units)
    .bind::<Array<Nullable<Text>>, _>(&reach.lines)
    .bind::<Array<SqlUuid>, _>(judges)
    .load(conn)
    .await?;
    rows.iter().map(CaseRow::record).collect()
}

#[derive(QueryableByName)]
struct TaskRow {
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    due_at: Timestamp,
    #[diesel(sql_type = BigInt)]
    told_version: i64,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// A task of a list: its case, its id and what it is ordered by.
#[derive(Debug, Clone)]
pub struct ListedTask {
    pub record: CaseRecord,
    pub task_id: Uuid,
    pub due_at: Timestamp,
}

/// Tasks of organisations, nearest due first. `states` empty: those that are still open.
pub async fn tasks(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    states: &[&str],
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<ListedTask>> {
    let finished = |state: &&str| matches!(*state, "submitted" | "approved" | "declined" | "cancelled");
    let open: Vec<bool> = match (states.iter().any(finished), states.iter().any(|s| !finished(s))) {
        (true, true) => vec![true, false],
        (true, false) => vec![false],
        // A live state may belong to a task of a finished case, which is not open: rare, but asked for by name.
        (false, true) => vec![true, false],
        (false, false) => vec![true],
    };
    let rows: Vec<TaskRow> = cached(
        "SELECT t.task_id, t.due_at, c.told_version, c.doc FROM (SELECT f.* FROM unnest($1) AS o (org) \
         CROSS JOIN unnest($2) AS w (open) CROSS JOIN LATERAL (SELECT task_id, case_id, due_at FROM tasks \
         WHERE org_id = o.org AND tasks.open = w.open AND (due_at, task_id) > ($4, $5) \
         AND (cardinality($3) = 0 OR state = ANY ($3)) ORDER BY due_at, task_id LIMIT $6) f \
         ORDER BY f.due_at, f.task_id LIMIT $6) t JOIN cases c ON c.case_id = t.case_id \
         ORDER BY t.due_at, t.task_id",
    )
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<Array<Bool>, _>(open)
    .bind::<Array<Text>, _>(states)
    .bind::<Timestamptz, _>(after.map_or(Timestamp::UNIX_EPOCH, |key| key.0))
    .bind::<SqlUuid, _>(after.map_or(Uuid::nil(), |key| key.1))
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let record = CaseRow { told_version: row.told_version, doc: row.doc }.record()?;
            Ok(ListedTask { record, task_id: row.task_id, due_at: row.due_at })
        })
        .collect::<Result<_, Error>>()
}
