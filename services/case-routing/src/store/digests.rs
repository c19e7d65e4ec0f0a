//! What the service holds, in the order of keys, for reconcile.

use std::collections::HashMap;

use chassis::{Error, Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Integer, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{case_store::read_doc, mediations};
use crate::domain::{Case, Life, Mediation, TaskId, TimelineEntry};

/// A case: state, told version, item, place, delivery mode, closed code.
#[derive(Debug, QueryableByName)]
pub struct CaseDigest {
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub told_version: i64,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub item_code: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    pub place_unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    pub delivery_mode: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub closed_code: Option<String>,
}

/// Cases after `after`.
pub async fn cases(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<CaseDigest>> {
    Ok(cached(
        "SELECT case_id, told_version, state, item_code, place_unit_id, delivery_mode, closed_code FROM cases \
         WHERE case_id > $1 ORDER BY case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// A task that staffing was told of.
#[derive(Debug, QueryableByName)]
pub struct TaskDigest {
    #[diesel(sql_type = SqlUuid)]
    pub task_id: Uuid,
    /// How many workers have it in hand.
    #[diesel(sql_type = Integer)]
    pub active: i32,
}

/// Tasks that were signed for and are staffed by staffing, after `after`.
pub async fn tasks(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<TaskDigest>> {
    Ok(cached(
        "SELECT task_id, CASE WHEN active THEN workers::integer ELSE 0 END AS active FROM tasks \
         WHERE signed AND task_id > $1 ORDER BY task_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// An offer and its state.
#[derive(Debug, QueryableByName)]
pub struct OfferDigest {
    #[diesel(sql_type = SqlUuid)]
    pub offer_id: Uuid,
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// Offers after `after`.
pub async fn offers(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<OfferDigest>> {
    Ok(cached("SELECT offer_id, state FROM offers WHERE offer_id > $1 ORDER BY offer_id LIMIT $2")
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?)
}

/// What a case counts in recounts; a text that is not known is empty.
#[derive(Debug, QueryableByName)]
pub struct CaseCount {
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub place_unit_id: Uuid,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Text)]
    pub line: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Bool)]
    pub open: bool,
    #[diesel(sql_type = Nullable<Text>)]
    pub closed_code: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub delivery_mode: Option<String>,
    /// On which it was registered, in Shanghai.
    #[diesel(sql_type = Date)]
    pub day: NaiveDate,
}

/// What cases after `after` count.
pub async fn counts(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<CaseCount>> {
    Ok(cached(
        "SELECT case_id, place_unit_id, coalesce(item_code, '') AS item_code, coalesce(line, '') AS line, state, open, \
             closed_code, delivery_mode, (registered_at AT TIME ZONE 'Asia/Shanghai')::date AS day \
         FROM cases WHERE case_id > $1 ORDER BY case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?)
}

/// Open cases after `after`.
pub async fn open_cases(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<Case>> {
    #[derive(QueryableByName)]
    struct Doc {
        #[diesel(sql_type = Text)]
        doc: String,
    }
    let rows: Vec<Doc> = cached(
        "SELECT c.doc FROM agenda a JOIN cases c ON c.case_id = a.case_id \
             WHERE a.open AND a.case_id > $1 ORDER BY a.case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.iter().map(|row| read_doc(&row.doc)).collect()
}

/// A case with its whole timeline.
#[derive(Debug)]
pub struct Lived {
    pub case: Case,
    pub life: Life,
    /// It was changed since others were told of it.
    pub untold: bool,
}

#[derive(QueryableByName)]
struct LivedRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Bool)]
    untold: bool,
    #[diesel(sql_type = Nullable<Bool>)]
    repeats: Option<bool>,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// Cases after `after`, with their timelines.
pub async fn lived(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<Lived>> {
    let rows: Vec<LivedRow> = cached(
        "SELECT case_id, version > told_version AS untold, repeats, doc FROM cases \
         WHERE case_id > $1 ORDER BY case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    with_timelines(conn, rows).await
}

#[derive(QueryableByName)]
struct OfCase {
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// Tasks after `after`, and the cases that they are of.
pub async fn lived_tasks(
    conn: &mut AsyncPgConnection,
    after: Uuid,
    limit: i64,
) -> Result<(Vec<(TaskId, Uuid)>, HashMap<Uuid, Lived>)> {
    let tasks: Vec<OfCase> =
        cached("SELECT task_id, case_id FROM tasks WHERE task_id > $1 ORDER BY task_id LIMIT $2")
            .bind::<SqlUuid, _>(after)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
    let rows: Vec<LivedRow> = cached(
        "SELECT case_id, version > told_version AS untold, repeats, doc FROM cases WHERE case_id = ANY($1)",
    )
    .bind::<Array<SqlUuid>, _>(tasks.iter().map(|task| task.case_id).collect::<Vec<_>>())
    .load(conn)
    .await?;
    let cases = with_timelines(conn, rows).await?;
    let tasks = tasks.into_iter().map(|task| (TaskId(task.task_id), task.case_id)).collect();
    Ok((tasks, cases.into_iter().map(|lived| (lived.case.id.0, lived)).collect()))
}

#[derive(QueryableByName)]
struct StepsRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Text)]
    steps: String,
}

async fn with_timelines(conn: &mut AsyncPgConnection, rows: Vec<LivedRow>) -> Result<Vec<Lived>> {
    let steps: Vec<StepsRow> =
        cached("SELECT case_id, steps FROM timeline WHERE case_id = ANY($1) ORDER BY case_id, case_version")
            .bind::<Array<SqlUuid>, _>(rows.iter().map(|row| row.case_id).collect::<Vec<_>>())
            .load(conn)
            .await?;
    let mut commands: HashMap<Uuid, Vec<Vec<TimelineEntry>>> = HashMap::with_capacity(rows.len());
    for row in steps {
        let steps = serde_json::from_str(&row.steps).map_err(Error::internal)?;
        commands.entry(row.case_id).or_default().push(steps);
    }
    let lived = |row: LivedRow| {
        let case = Case { repeats: row.repeats, ..read_doc(&row.doc)? };
        let life = Life::of(commands.remove(&row.case_id).unwrap_or_default());
        Ok(Lived { case, life, untold: row.untold })
    };
    rows.into_iter().map(lived).collect()
}

#[derive(QueryableByName)]
struct MediationDoc {
    #[diesel(sql_type = Text)]
    doc: String,
}

/// Mediations after `after`.
pub async fn mediations(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<Mediation>> {
    let rows: Vec<MediationDoc> =
        cached("SELECT doc FROM mediations WHERE mediation_id > $1 ORDER BY mediation_id LIMIT $2")
            .bind::<SqlUuid, _>(after)
            .bind::<BigInt, _>(limit)
            .load(conn)
            .await?;
    rows.iter().map(|row| mediations::read_doc(&row.doc)).collect()
}
