//! Assignments: read with their lock, written in bulk together with the loads of their workers.

use std::collections::HashMap;

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, CallerKind},
    command::{AggregateStore, Change},
    db::cached,
};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{corrupt, joined, workers};
use crate::domain::{
    Assignment, AssignmentId, AssignmentState, CaseId, OrgId, PersonId, TaskId, UnitId, WorkerId,
    assignment::KIND,
};

#[derive(QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = SqlUuid)]
    assignment_id: Uuid,
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
    #[diesel(sql_type = SqlUuid)]
    worker_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Text)]
    worker_ref: String,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    place_unit_id: Option<Uuid>,
    #[diesel(sql_type = Integer)]
    weight: i32,
    #[diesel(sql_type = Integer)]
    round: i32,
    #[diesel(sql_type = SmallInt)]
    slot: i16,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Timestamptz)]
    offered_at: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    offer_due_at: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    accepted_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    on_site_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    done_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    ended_at: Option<Timestamp>,
    #[diesel(sql_type = Integer)]
    minutes: i32,
    #[diesel(sql_type = Array<Text>)]
    evidence: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    reasons: Vec<String>,
    #[diesel(sql_type = Text)]
    end_reason: String,
    #[diesel(sql_type = BigInt)]
    version: i64,
}

/// The columns of [`Row`].
macro_rules! columns {
    () => {
        "assignment_id, task_id, case_id, org_id, unit_id, line, worker_id, person_id, worker_ref, \
         item_code, place_unit_id, weight, round, slot, state, offered_at, offer_due_at, due_at, accepted_at, \
         on_site_at, done_at, ended_at, minutes, evidence, reasons, end_reason, version"
    };
}
pub(super) use columns;

/// The columns of [`Row`], before the rest of a query.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", $crate::store::assignments::columns!(), " ", $rest)
    };
}
pub(super) use select;

impl TryFrom<Row> for Assignment {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: AssignmentId(row.assignment_id),
            task_id: TaskId(row.task_id),
            case_id: CaseId(row.case_id),
            org_id: OrgId(row.org_id),
            unit_id: UnitId(row.unit_id),
            line: row.line,
            worker_id: WorkerId(row.worker_id),
            person_id: PersonId(row.person_id),
            worker_ref: row.worker_ref,
            item_code: row.item_code,
            place_unit_id: row.place_unit_id.map(UnitId),
            weight: row.weight,
            round: row.round,
            slot: row.slot,
            state: AssignmentState::from_number(row.state)
                .ok_or_else(|| corrupt("state of an assignment"))?,
            offered_at: row.offered_at,
            offer_due_at: row.offer_due_at,
            due_at: row.due_at,
            accepted_at: row.accepted_at,
            on_site_at: row.on_site_at,
            done_at: row.done_at,
            ended_at: row.ended_at,
            minutes: row.minutes,
            evidence: row.evidence,
            reasons: row.reasons,
            end_reason: row.end_reason,
            version: row.version,
        })
    }
}

/// Every assignment of some tasks, oldest first, held until the transaction ends.
pub async fn lock_of_tasks(conn: &mut AsyncPgConnection, tasks: &[Uuid]) -> Result<Vec<Assignment>> {
    let rows: Vec<Row> =
        cached(select!("FROM assignments WHERE task_id = ANY($1) ORDER BY assignment_id FOR UPDATE"))
            .bind::<Array<SqlUuid>, _>(tasks)
            .load(conn)
            .await?;
    rows.into_iter().map(Assignment::try_from).collect()
}

/// Assignments as they were loaded and as they are to be: the loads of their workers follow.
pub async fn write(conn: &AsyncPgConnection, changes: &[(Option<&Assignment>, &Assignment)]) -> Result<()> {
    let (inserted, updated): (Vec<_>, Vec<_>) =
        changes.iter().copied().partition(|(before, _)| before.is_none());
    // Updates first: an ended assignment makes room for the next one of its slot.
    if !updated.is_empty() {
        update(conn, &updated.iter().map(|(_, after)| *after).collect::<Vec<_>>()).await?;
    }
    let inserted: Vec<&Assignment> = inserted.iter().map(|(_, after)| *after).collect();
    let loads = loads(changes);
    futures::try_join!(insert(conn, &inserted), workers::apply_loads(conn, &loads))?;
    Ok(())
}

/// What changes do to the loads of workers.
fn loads(changes: &[(Option<&Assignment>, &Assignment)]) -> HashMap<WorkerId, workers::Load> {
    let mut loads: HashMap<WorkerId, workers::Load> = HashMap::new();
    for (before, after) in changes {
        let was = before.is_some_and(|a| a.state.is_load());
        let sign = i32::from(after.state.is_load()) - i32::from(was);
        if sign == 0 && before.is_some() {
            continue;
        }
        let load = loads.entry(after.worker_id).or_default();
        load.count += sign;
        load.minutes += i64::from(sign) * i64::from(after.weight);
        if before.is_none() {
            load.offered_at = load.offered_at.max(Some(after.offered_at));
        }
    }
    loads
}

async fn update(mut conn: &AsyncPgConnection, rows: &[&Assignment]) -> Result<()> {
    let changed = cached(
        r"UPDATE assignments a
             SET state = d.state, accepted_at = d.accepted_at, on_site_at = d.on_site_at, done_at = d.done_at,
                 ended_at = d.ended_at, minutes = d.minutes, evidence = string_to_array(d.evidence, E'\x1f'),
                 end_reason = d.end_reason, version = d.version, due_at = d.due_at
            FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::smallint[]) AS state,
                         unnest($3::timestamptz[]) AS accepted_at, unnest($4::timestamptz[]) AS on_site_at,
                         unnest($5::timestamptz[]) AS done_at, unnest($6::timestamptz[]) AS ended_at,
                         unnest($7::integer[]) AS minutes, unnest($8::text[]) AS evidence,
                         unnest($9::text[]) AS end_reason, unnest($10::bigint[]) AS version,
                         unnest($11::timestamptz[]) AS due_at) AS d
           WHERE a.assignment_id = d.id",
    )
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.id.0).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(rows.iter().map(|a| a.state as i16).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.accepted_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.on_site_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.done_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.ended_at).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(rows.iter().map(|a| a.minutes).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|a| joined(&a.evidence)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|a| a.end_reason.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|a| a.version).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.due_at).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    if changed == rows.len() {
        Ok(())
    } else {
        Err(Error::internal(format!("{} assignments to write, {changed} written", rows.len())))
    }
}

async fn insert(mut conn: &AsyncPgConnection, rows: &[&Assignment]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    cached(
        r"INSERT INTO assignments (assignment_id, task_id, case_id, org_id, unit_id, line, worker_id, person_id,
                 worker_ref, item_code, place_unit_id, weight, round, state, offered_at, offer_due_at, due_at,
                 accepted_at, ended_at, reasons, end_reason, version, slot)
          SELECT d.a, d.b, d.c, d.d, d.e, d.f, d.g, d.h, d.i, d.j, d.k, d.l, d.m, d.n, d.o, d.p, d.q, d.r, d.s,
                 string_to_array(d.t, E'\x1f'), d.u, d.v, d.w
            FROM (SELECT unnest($1::uuid[]) AS a, unnest($2::uuid[]) AS b, unnest($3::uuid[]) AS c,
                         unnest($4::uuid[]) AS d, unnest($5::uuid[]) AS e, unnest($6::text[]) AS f,
                         unnest($7::uuid[]) AS g, unnest($8::uuid[]) AS h, unnest($9::text[]) AS i,
                         unnest($10::text[]) AS j, unnest($11::uuid[]) AS k, unnest($12::integer[]) AS l,
                         unnest($13::integer[]) AS m, unnest($14::smallint[]) AS n,
                         unnest($15::timestamptz[]) AS o, unnest($16::timestamptz[]) AS p,
                         unnest($17::timestamptz[]) AS q, unnest($18::timestamptz[]) AS r,
                         unnest($19::timestamptz[]) AS s, unnest($20::text[]) AS t, unnest($21::text[]) AS u,
                         unnest($22::bigint[]) AS v, unnest($23::smallint[]) AS w) AS d",
    )
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.task_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.case_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.org_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.unit_id.0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(rows.iter().map(|a| a.line.as_deref()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.worker_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(rows.iter().map(|a| a.person_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|a| a.worker_ref.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|a| a.item_code.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(rows.iter().map(|a| a.place_unit_id.map(|id| id.0)).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(rows.iter().map(|a| a.weight).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(rows.iter().map(|a| a.round).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(rows.iter().map(|a| a.state as i16).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|a| a.offered_at).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(rows.iter().map(|a| a.offer_due_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.due_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.accepted_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(rows.iter().map(|a| a.ended_at).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|a| joined(&a.reasons)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|a| a.end_reason.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|a| a.version).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(rows.iter().map(|a| a.slot).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Assignments as aggregates: the worker's own verbs run through it, several in one commit.
#[derive(Debug, Clone, Copy, Default)]
pub struct AssignmentStore;

impl AggregateStore for AssignmentStore {
    type Id = AssignmentId;
    type Aggregate = Assignment;
    const KIND: &'static str = KIND;

    fn id_text(id: AssignmentId) -> String {
        id.to_string()
    }

    async fn load(
        &self,
        mut conn: &AsyncPgConnection,
        ids: &[AssignmentId],
    ) -> Result<HashMap<AssignmentId, Assignment>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows: Vec<Row> = cached(select!(
            "FROM assignments WHERE assignment_id = ANY($1) ORDER BY assignment_id FOR UPDATE"
        ))
        .bind::<Array<SqlUuid>, _>(ids)
        .load(&mut conn)
        .await?;
        rows.into_iter().map(|row| Assignment::try_from(row).map(|a| (a.id, a))).collect()
    }

    async fn save(&self, conn: &AsyncPgConnection, changes: Vec<Change<Assignment>>) -> Result<()> {
        let changes: Vec<_> = changes.iter().map(|change| (change.before.as_ref(), &change.after)).collect();
        write(conn, &changes).await
    }

    /// Only the worker's own: nobody else accepts, declines, arrives or finishes.
    fn within_reach(&self, assignment: &Assignment, caller: &Caller) -> bool {
        caller.kind == CallerKind::System || assignment.person_id.0 == caller.person_id
    }
}
