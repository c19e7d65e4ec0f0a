//! Signed tasks.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{corrupt, joined};
use crate::domain::{CaseId, OrgId, Task, TaskId, TaskState, UnitId};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    place_unit_id: Option<Uuid>,
    #[diesel(sql_type = Array<Text>)]
    skills: Vec<String>,
    #[diesel(sql_type = Integer)]
    weight: i32,
    #[diesel(sql_type = Integer)]
    weight_version: i32,
    #[diesel(sql_type = Bool)]
    urgent: bool,
    #[diesel(sql_type = Bool)]
    decision: bool,
    #[diesel(sql_type = Integer)]
    workers_wanted: i32,
    #[diesel(sql_type = Bool)]
    lack_told: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<Timestamp>,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Integer)]
    round: i32,
    #[diesel(sql_type = BigInt)]
    case_version: i64,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "task_id, case_id, org_id, unit_id, line, item_code, place_unit_id, skills, weight, weight_version, \
         urgent, decision, workers_wanted, lack_told, due_at, state, round, case_version, version"
    };
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    task_id: Uuid,
}

impl TryFrom<Row> for Task {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: TaskId(row.task_id),
            case_id: CaseId(row.case_id),
            org_id: OrgId(row.org_id),
            unit_id: UnitId(row.unit_id),
            line: row.line,
            item_code: row.item_code,
            place_unit_id: row.place_unit_id.map(UnitId),
            skills: row.skills,
            weight: row.weight,
            weight_version: row.weight_version,
            urgent: row.urgent,
            decision: row.decision,
            workers_wanted: row.workers_wanted,
            due_at: row.due_at,
            state: TaskState::from_number(row.state).ok_or_else(|| corrupt("state of a task"))?,
            lack_told: row.lack_told,
            round: row.round,
            case_version: row.case_version,
            version: row.version,
        })
    }
}

/// The tasks that something touches — by their ids, by their cases, by workers who have them in hand — held until the
/// transaction ends.
pub async fn lock(
    conn: &mut AsyncPgConnection,
    ids: &[Uuid],
    cases: &[Uuid],
    workers: &[Uuid],
) -> Result<Vec<Task>> {
    // Row by row: how many ids there are cannot be estimated, and a plan for many would read the whole table.
    let rows: Vec<Row> = cached(concat!(
        "SELECT ",
        columns!(),
        " FROM (
                SELECT unnest($1::uuid[]) AS id
                UNION SELECT task_id FROM tasks WHERE case_id = ANY($2)
                UNION SELECT task_id FROM assignments WHERE worker_id = ANY($3) AND state IN (1, 2, 3)
                ORDER BY 1) AS wanted
          CROSS JOIN LATERAL (SELECT * FROM tasks WHERE task_id = wanted.id FOR UPDATE) AS t"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<SqlUuid>, _>(cases)
    .bind::<Array<SqlUuid>, _>(workers)
    .load(conn)
    .await?;
    rows.into_iter().map(Task::try_from).collect()
}

/// One task, without holding it.
pub async fn find(conn: &mut AsyncPgConnection, id: TaskId) -> Result<Option<Task>> {
    let row: Option<Row> = cached(concat!("SELECT ", columns!(), " FROM tasks WHERE task_id = $1"))
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    row.map(Task::try_from).transpose()
}

/// Tasks of organisations that nobody, or not as many as they need, were found for: the oldest, as many as at most.
pub async fn unfilled(conn: &mut AsyncPgConnection, orgs: &[Uuid], limit: i64) -> Result<Vec<Uuid>> {
    if orgs.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Id> = cached(
        // Whatever is unfilled lacks somebody, and by that it is indexed.
        "SELECT task_id FROM tasks WHERE org_id = ANY($1) AND lack_told AND state = 2 ORDER BY task_id LIMIT $2",
    )
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.task_id).collect())
}

/// Tasks whose offer has run out, the oldest first.
pub async fn with_overdue_offers(
    conn: &mut AsyncPgConnection,
    now: Timestamp,
    limit: i64,
    except: &[Uuid],
) -> Result<Vec<Uuid>> {
    let rows: Vec<Id> = cached(
        "SELECT task_id FROM assignments WHERE state = 1 AND offer_due_at < $1 AND task_id <> ALL ($3)
          ORDER BY offer_due_at LIMIT $2",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<BigInt, _>(limit)
    .bind::<Array<SqlUuid>, _>(except)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.task_id).collect())
}

/// Writes new and changed tasks.
pub async fn write(mut conn: &AsyncPgConnection, tasks: &[&Task]) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    cached(
        r"INSERT INTO tasks (task_id, case_id, org_id, unit_id, line, item_code, place_unit_id, skills, weight,
                 weight_version, urgent, decision, due_at, state, round, version, workers_wanted, lack_told, case_version)
          SELECT d.a, d.b, d.c, d.d, d.e, d.f, d.g, string_to_array(d.h, E'\x1f'), d.i, d.j, d.k, d.l, d.m, d.n, d.o, d.p,
                 d.q, d.r, d.s
            FROM (SELECT unnest($1::uuid[]) AS a, unnest($2::uuid[]) AS b, unnest($3::uuid[]) AS c,
                         unnest($4::uuid[]) AS d, unnest($5::text[]) AS e, unnest($6::text[]) AS f,
                         unnest($7::uuid[]) AS g, unnest($8::text[]) AS h, unnest($9::integer[]) AS i,
                         unnest($10::integer[]) AS j, unnest($11::boolean[]) AS k, unnest($12::boolean[]) AS l,
                         unnest($13::timestamptz[]) AS m, unnest($14::smallint[]) AS n,
                         unnest($15::integer[]) AS o, unnest($16::bigint[]) AS p, unnest($17::integer[]) AS q,
                         unnest($18::boolean[]) AS r, unnest($19::bigint[]) AS s) AS d
           ORDER BY d.a
          ON CONFLICT (task_id) DO UPDATE
             SET due_at = excluded.due_at, urgent = excluded.urgent, skills = excluded.skills,
                 state = excluded.state, round = excluded.round, version = excluded.version,
                 workers_wanted = excluded.workers_wanted, lack_told = excluded.lack_told,
                 case_version = excluded.case_version",
    )
    .bind::<Array<SqlUuid>, _>(tasks.iter().map(|t| t.id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(tasks.iter().map(|t| t.case_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(tasks.iter().map(|t| t.org_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(tasks.iter().map(|t| t.unit_id.0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(tasks.iter().map(|t| t.line.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(tasks.iter().map(|t| t.item_code.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(tasks.iter().map(|t| t.place_unit_id.map(|id| id.0)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(tasks.iter().map(|t| joined(&t.skills)).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(tasks.iter().map(|t| t.weight).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(tasks.iter().map(|t| t.weight_version).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(tasks.iter().map(|t| t.urgent).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(tasks.iter().map(|t| t.decision).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(tasks.iter().map(|t| t.due_at).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(tasks.iter().map(|t| t.state as i16).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(tasks.iter().map(|t| t.round).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(tasks.iter().map(|t| t.version).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(tasks.iter().map(|t| t.workers_wanted).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(tasks.iter().map(|t| t.lack_told).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(tasks.iter().map(|t| t.case_version).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}
