//! Workers: those of an organisation with what the picker needs, and their loads.

use std::collections::HashMap;

use chassis::{Error, Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{corrupt, joined, on_constraint};
use crate::domain::{GrantId, OrgId, PersonId, PostId, PostKind, UnitId, Worker, WorkerId};

/// Name of the kind in errors.
pub const KIND: &str = "worker";

#[derive(QueryableByName)]
pub(super) struct Row {
    #[diesel(sql_type = SqlUuid)]
    worker_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Text)]
    worker_ref: String,
    #[diesel(sql_type = SqlUuid)]
    post_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    grant_id: Option<Uuid>,
    #[diesel(sql_type = SmallInt)]
    kind: i16,
    #[diesel(sql_type = SqlUuid)]
    org_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    unit_id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    area_unit_id: Uuid,
    #[diesel(sql_type = Array<Text>)]
    skills: Vec<String>,
    #[diesel(sql_type = Bool)]
    auto_accept: bool,
    #[diesel(sql_type = Integer)]
    daily_minutes: i32,
    #[diesel(sql_type = Integer)]
    max_open: i32,
    #[diesel(sql_type = Text)]
    roster: String,
    #[diesel(sql_type = Bool)]
    active: bool,
    #[diesel(sql_type = Integer)]
    open_count: i32,
    #[diesel(sql_type = BigInt)]
    open_minutes: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    last_offered_at: Option<Timestamp>,
}

/// The columns of [`Row`]; each query adds what follows them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT worker_id, person_id, worker_ref, post_id, grant_id, kind, org_id, unit_id, line, area_unit_id,
                    skills, auto_accept, daily_minutes, max_open, roster, active, open_count, open_minutes,
                    last_offered_at ",
            $rest
        )
    };
}
pub(super) use select;

impl TryFrom<Row> for Worker {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: WorkerId(row.worker_id),
            person_id: PersonId(row.person_id),
            worker_ref: row.worker_ref,
            post_id: PostId(row.post_id),
            grant_id: row.grant_id.map(GrantId),
            kind: PostKind::from_number(i32::from(row.kind)).ok_or_else(|| corrupt("kind of a worker"))?,
            org_id: OrgId(row.org_id),
            unit_id: UnitId(row.unit_id),
            line: row.line,
            area_unit_id: UnitId(row.area_unit_id),
            skills: row.skills,
            auto_accept: row.auto_accept,
            daily_minutes: row.daily_minutes,
            max_open: row.max_open,
            roster: row.roster,
            active: row.active,
            open_count: row.open_count,
            open_minutes: row.open_minutes,
            last_offered_at: row.last_offered_at,
        })
    }
}

/// A worker who may be asked, with the roster's word on now.
#[derive(Debug, Clone)]
pub struct OnRoster {
    /// The worker.
    pub worker: Worker,
    /// On shift now.
    pub on_shift: bool,
    /// The shifts of the week were made already.
    pub rostered: bool,
}

/// The active workers of organisations, by id.
pub async fn of_orgs(
    conn: &mut AsyncPgConnection,
    orgs: &[Uuid],
    week: NaiveDate,
    now: Timestamp,
) -> Result<Vec<OnRoster>> {
    #[derive(QueryableByName)]
    struct Full {
        #[diesel(embed)]
        base: Row,
        #[diesel(sql_type = Bool)]
        on_shift: bool,
        #[diesel(sql_type = Bool)]
        rostered: bool,
    }
    let rows: Vec<Full> = cached(select!(
        ", EXISTS (SELECT 1 FROM shifts s WHERE s.worker_id = w.worker_id AND NOT s.cancelled
                           AND s.starts_at <= $3 AND s.starts_at > $3 - interval '24 hours' AND s.ends_at > $3) AS on_shift,
                EXISTS (SELECT 1 FROM roster_weeks r WHERE r.worker_id = w.worker_id AND r.week = $2) AS rostered
           FROM workers w WHERE w.org_id = ANY($1) AND w.active ORDER BY w.worker_id"
    ))
    .bind::<Array<SqlUuid>, _>(orgs)
    .bind::<Date, _>(week)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    rows.into_iter()
        .map(|full| {
            Ok(OnRoster {
                worker: Worker::try_from(full.base)?,
                on_shift: full.on_shift,
                rostered: full.rostered,
            })
        })
        .collect()
}

/// A worker by id, whether active or not.
pub async fn find(conn: &mut AsyncPgConnection, id: WorkerId) -> Result<Option<Worker>> {
    let row: Option<Row> = cached(select!("FROM workers WHERE worker_id = $1"))
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    row.map(Worker::try_from).transpose()
}

/// The active workers who stand on some grants and have no further one in force.
pub async fn of_grants(conn: &mut AsyncPgConnection, grants: &[Uuid]) -> Result<Vec<Worker>> {
    let rows: Vec<Row> = cached(select!(
        "FROM workers w WHERE w.grant_id = ANY($1) AND w.active
            AND NOT EXISTS (SELECT 1 FROM worker_grants f WHERE f.worker_id = w.worker_id AND NOT f.ended)
          ORDER BY w.worker_id"
    ))
    .bind::<Array<SqlUuid>, _>(grants)
    .load(conn)
    .await?;
    rows.into_iter().map(Worker::try_from).collect()
}

/// The active workers among some people who stand on grants.
pub async fn of_people(conn: &mut AsyncPgConnection, people: &[Uuid]) -> Result<Vec<Worker>> {
    let rows: Vec<Row> = cached(select!(
        "FROM workers WHERE person_id = ANY($1) AND grant_id IS NOT NULL AND active ORDER BY worker_id"
    ))
    .bind::<Array<SqlUuid>, _>(people)
    .load(conn)
    .await?;
    rows.into_iter().map(Worker::try_from).collect()
}

/// Which of some grants somebody stands on or stood on already, active or ended, or had ended before they were told of.
pub async fn known_grants(conn: &mut AsyncPgConnection, grants: &[Uuid]) -> Result<Vec<GrantId>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        grant_id: Uuid,
    }
    let rows: Vec<Id> = cached(
        "SELECT grant_id FROM workers WHERE grant_id = ANY($1)
         UNION SELECT grant_id FROM worker_grants WHERE grant_id = ANY($1)
         UNION SELECT grant_id FROM announced_grants WHERE grant_id = ANY($1) AND ended",
    )
    .bind::<Array<SqlUuid>, _>(grants)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| GrantId(row.grant_id)).collect())
}

/// Appoints workers. A seat that is taken is `AlreadyExists`.
pub async fn insert(conn: &mut AsyncPgConnection, workers: &[Worker], now: Timestamp) -> Result<()> {
    if workers.is_empty() {
        return Ok(());
    }
    cached(
        r"INSERT INTO workers (worker_id, person_id, worker_ref, post_id, grant_id, kind, org_id, unit_id, line,
                 area_unit_id, skills, auto_accept, daily_minutes, max_open, roster, active, appointed_at)
          SELECT d.a, d.b, d.c, d.d, d.e, d.f, d.g, d.h, d.i, d.j, string_to_array(d.k, E'\x1f'), d.l, d.m, d.n, d.o, true, $16
            FROM (SELECT unnest($1::uuid[]) AS a, unnest($2::uuid[]) AS b, unnest($3::text[]) AS c,
                         unnest($4::uuid[]) AS d, unnest($5::uuid[]) AS e, unnest($6::smallint[]) AS f,
                         unnest($7::uuid[]) AS g, unnest($8::uuid[]) AS h, unnest($9::text[]) AS i,
                         unnest($10::uuid[]) AS j, unnest($11::text[]) AS k, unnest($12::boolean[]) AS l,
                         unnest($13::integer[]) AS m, unnest($14::integer[]) AS n, unnest($15::text[]) AS o) AS d",
    )
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|w| w.id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|w| w.person_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(workers.iter().map(|w| w.worker_ref.as_str()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|w| w.post_id.0).collect::<Vec<_>>())
    .bind::<Array<Nullable<SqlUuid>>, _>(workers.iter().map(|w| w.grant_id.map(|id| id.0)).collect::<Vec<_>>())
    .bind::<Array<SmallInt>, _>(workers.iter().map(|w| w.kind as i16).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|w| w.org_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|w| w.unit_id.0).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(workers.iter().map(|w| w.line.as_deref()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|w| w.area_unit_id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(workers.iter().map(|w| joined(&w.skills)).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(workers.iter().map(|w| w.auto_accept).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(workers.iter().map(|w| w.daily_minutes).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(workers.iter().map(|w| w.max_open).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(workers.iter().map(|w| w.roster.as_str()).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(now)
    .execute(conn)
    .await
    .map_err(|error| {
        let post = workers.first().map(|w| w.post_id.to_string()).unwrap_or_default();
        on_constraint(error, "workers_seat", || Error::already_exists("holder of the post", post))
    })?;
    Ok(())
}

/// Holds workers until the transaction ends.
pub async fn hold(conn: &mut AsyncPgConnection, workers: &[WorkerId]) -> Result<()> {
    cached("SELECT worker_id FROM workers WHERE worker_id = ANY($1) ORDER BY worker_id FOR UPDATE")
        .bind::<Array<SqlUuid>, _>(workers.iter().map(|id| id.0).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}

/// Name of the kind in errors of [`as_read`].
pub const ORGANIZATION: &str = "organization";

/// First half of the keys of the advisory locks under which somebody comes to an organisation (`come` in ASCII).
const COMING: i32 = 0x636f_6d65;

/// Somebody comes to organisations, from now until the transaction ends: whoever finds that one of them has too few workers
/// has committed that before, or is told by [`as_read`] that it has others. To be called before anything else is held.
pub async fn come(conn: &mut AsyncPgConnection, orgs: &[Uuid]) -> Result<()> {
    if orgs.is_empty() {
        return Ok(());
    }
    // In the order of the keys, which two organisations may share.
    cached(
        "SELECT pg_advisory_xact_lock($1, k.half)
           FROM (SELECT DISTINCT hashtext(o.id::text) AS half FROM unnest($2::uuid[]) AS o (id)
                  ORDER BY half) AS k",
    )
    .bind::<Integer, _>(COMING)
    .bind::<Array<SqlUuid>, _>(orgs)
    .execute(conn)
    .await?;
    Ok(())
}

/// Organisations have no other active workers than those that were read, and get none until the transaction ends. `Stale`
/// of [`ORGANIZATION`] where somebody has come since, or is coming. It waits for nobody, because who comes may wait for what is
/// held here.
pub async fn as_read(conn: &mut AsyncPgConnection, orgs: &[Uuid], read: &[WorkerId]) -> Result<()> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        holds: bool,
    }
    let mut answer: Answer = cached(
        "SELECT bool_and(pg_try_advisory_xact_lock_shared($1, hashtext(o.id::text))) AS holds
           FROM unnest($2::uuid[]) AS o (id)",
    )
    .bind::<Integer, _>(COMING)
    .bind::<Array<SqlUuid>, _>(orgs)
    .get_result(conn)
    .await?;
    if answer.holds {
        // Only now: a statement sees what was committed before it began.
        answer = cached(
            "SELECT NOT EXISTS (SELECT 1 FROM workers
                                 WHERE org_id = ANY($1) AND active AND worker_id <> ALL($2)) AS holds",
        )
        .bind::<Array<SqlUuid>, _>(orgs)
        .bind::<Array<SqlUuid>, _>(read.iter().map(|id| id.0).collect::<Vec<_>>())
        .get_result(conn)
        .await?;
    }
    if answer.holds {
        return Ok(());
    }
    Err(Error::stale(ORGANIZATION, orgs.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",")))
}

/// Ends appointments; the seats become vacant. The workers are held already and have nothing in hand any more: `Stale`
/// when one was given something after it was read what there is to hand over, or has left meanwhile.
pub async fn end(conn: &mut AsyncPgConnection, workers: &[WorkerId], now: Timestamp) -> Result<()> {
    if workers.is_empty() {
        return Ok(());
    }
    #[derive(QueryableByName)]
    struct Ended {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let ended: Ended = cached(
        "WITH ended AS (UPDATE workers w SET active = false, ended_at = $2
                         WHERE w.worker_id = ANY($1) AND w.active
                           AND NOT EXISTS (SELECT 1 FROM assignments a
                                            WHERE a.worker_id = w.worker_id AND a.state IN (1, 2, 3))
                        RETURNING w.worker_id, w.post_id),
              off AS (UPDATE shifts s SET cancelled = true FROM ended
                       WHERE s.worker_id = ended.worker_id AND s.starts_at > $2),
              vacant AS (UPDATE posts p SET state = 'vacant' FROM ended
                          WHERE p.post_id = ended.post_id AND p.state = 'filled')
         SELECT count(*) AS count FROM ended",
    )
    .bind::<Array<SqlUuid>, _>(workers.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await?;
    if usize::try_from(ended.count) == Ok(workers.len()) {
        Ok(())
    } else {
        Err(stale(workers.iter().copied()))
    }
}

/// Another transaction came first: the batch is tried again with what is true now.
fn stale(workers: impl Iterator<Item = WorkerId>) -> Error {
    Error::stale(KIND, workers.map(|id| id.to_string()).collect::<Vec<_>>().join(","))
}

/// What a transaction adds to a worker's load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Assignments.
    pub count: i32,
    /// Their weights in minutes.
    pub minutes: i64,
    /// When the last of them was offered.
    pub offered_at: Option<Timestamp>,
}

/// Adds to loads. Workers are locked last, by id. `Stale` when somebody who is offered work has left since the roster
/// was read.
pub async fn apply_loads(mut conn: &AsyncPgConnection, loads: &HashMap<WorkerId, Load>) -> Result<()> {
    if loads.is_empty() {
        return Ok(());
    }
    let mut loads: Vec<_> = loads.iter().collect();
    loads.sort_unstable_by_key(|(id, _)| **id);
    let counted = cached(
        "WITH held AS (SELECT worker_id FROM workers WHERE worker_id = ANY($1) ORDER BY worker_id FOR UPDATE)
         UPDATE workers w
            SET open_count = w.open_count + d.count, open_minutes = w.open_minutes + d.minutes,
                last_offered_at = greatest(w.last_offered_at, d.offered_at)
           FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::integer[]) AS count,
                         unnest($3::bigint[]) AS minutes, unnest($4::timestamptz[]) AS offered_at) AS d
           JOIN held ON held.worker_id = d.id
          WHERE w.worker_id = d.id AND (w.active OR d.offered_at IS NULL)",
    )
    .bind::<Array<SqlUuid>, _>(loads.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(loads.iter().map(|(_, load)| load.count).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(loads.iter().map(|(_, load)| load.minutes).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(
        loads.iter().map(|(_, load)| load.offered_at).collect::<Vec<_>>(),
    )
    .execute(&mut conn)
    .await?;
    if counted == loads.len() { Ok(()) } else { Err(stale(loads.iter().map(|(id, _)| **id))) }
}
