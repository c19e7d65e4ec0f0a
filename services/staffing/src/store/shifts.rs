//! Shifts, and the weeks for which they were made from templates.

use chassis::{Error, Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, BigInt, Bool, Date, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::on_constraint;
use crate::domain::{PersonId, ShiftId, WorkerId};

/// Name of the kind in errors.
pub const KIND: &str = "shift";

/// A rostered time of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Id.
    pub id: ShiftId,
    /// Worker.
    pub worker_id: WorkerId,
    /// The person behind the worker.
    pub person_id: PersonId,
    /// From here.
    pub starts_at: Timestamp,
    /// Until before here.
    pub ends_at: Timestamp,
    /// Template; empty when rostered by hand.
    pub template: String,
    /// Taken off the roster.
    pub cancelled: bool,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    shift_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    worker_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    starts_at: Timestamp,
    #[diesel(sql_type = Timestamptz)]
    ends_at: Timestamp,
    #[diesel(sql_type = Text)]
    template: String,
    #[diesel(sql_type = Bool)]
    cancelled: bool,
}

/// The columns of [`Row`]; each query adds its own condition.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.shift_id, s.worker_id, s.person_id, s.starts_at, s.ends_at, s.template, s.cancelled
               FROM shifts s ",
            $rest
        )
    };
}

impl From<Row> for Shift {
    fn from(row: Row) -> Self {
        Self {
            id: ShiftId(row.shift_id),
            worker_id: WorkerId(row.worker_id),
            person_id: PersonId(row.person_id),
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            template: row.template,
            cancelled: row.cancelled,
        }
    }
}

/// Claims a week for workers; gives those for whom it was not claimed yet.
pub async fn claim_week(
    conn: &mut AsyncPgConnection,
    workers: &[Uuid],
    week: NaiveDate,
) -> Result<Vec<WorkerId>> {
    #[derive(QueryableByName)]
    struct Id {
        #[diesel(sql_type = SqlUuid)]
        worker_id: Uuid,
    }
    let rows: Vec<Id> = cached(
        "INSERT INTO roster_weeks (worker_id, week) SELECT id, $2 FROM unnest($1::uuid[]) AS d (id) ORDER BY id
         ON CONFLICT DO NOTHING RETURNING worker_id",
    )
    .bind::<Array<SqlUuid>, _>(workers)
    .bind::<Date, _>(week)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| WorkerId(row.worker_id)).collect())
}

/// Adds shifts made from templates, of those who are still there; what overlaps another shift of the person gives way. Their week is
/// [claimed](claim_week), which whoever leaves waits for, or was waited for.
pub async fn insert_free(conn: &mut AsyncPgConnection, shifts: &[Shift]) -> Result<()> {
    if shifts.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO shifts (shift_id, worker_id, person_id, starts_at, ends_at, template)
         SELECT d.shift_id, d.worker_id, d.person_id, d.starts_at, d.ends_at, d.template
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::timestamptz[], $6::text[])
                WITH ORDINALITY AS d (shift_id, worker_id, person_id, starts_at, ends_at, template, n)
           JOIN workers w ON w.worker_id = d.worker_id AND w.active
          ORDER BY d.n
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(shifts.iter().map(|s| s.id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(shifts.iter().map(|s| s.worker_id.0).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(shifts.iter().map(|s| s.person_id.0).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(shifts.iter().map(|s| s.starts_at).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(shifts.iter().map(|s| s.ends_at).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(shifts.iter().map(|s| s.template.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a shift by hand; one that overlaps another of the person is `AlreadyExists`. Whether the worker is still there, who stays until
/// the transaction ends: whoever leaves takes the shifts along that are known then.
pub async fn insert(conn: &mut AsyncPgConnection, shift: &Shift) -> Result<bool> {
    let added = cached(
        "INSERT INTO shifts (shift_id, worker_id, person_id, starts_at, ends_at, template)
         SELECT $1, w.worker_id, $3, $4, $5, $6 FROM workers w WHERE w.worker_id = $2 AND w.active FOR SHARE",
    )
    .bind::<SqlUuid, _>(shift.id.0)
    .bind::<SqlUuid, _>(shift.worker_id.0)
    .bind::<SqlUuid, _>(shift.person_id.0)
    .bind::<Timestamptz, _>(shift.starts_at)
    .bind::<Timestamptz, _>(shift.ends_at)
    .bind::<Text, _>(shift.template.as_str())
    .execute(conn)
    .await
    .map_err(|error| {
        on_constraint(error, "shifts_no_overlap", || {
            Error::already_exists("shift of the worker at that time", shift.worker_id)
        })
    })?;
    Ok(added > 0)
}

/// One shift, held until the transaction ends.
pub async fn lock(conn: &mut AsyncPgConnection, id: ShiftId) -> Result<Option<Shift>> {
    let row: Option<Row> = cached(select!("WHERE shift_id = $1 FOR UPDATE"))
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.map(Shift::from))
}

/// Takes a shift off the roster.
pub async fn cancel(conn: &mut AsyncPgConnection, id: ShiftId) -> Result<()> {
    cached("UPDATE shifts SET cancelled = true WHERE shift_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Which shifts are wanted.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Organisations within reach.
    pub orgs: Vec<Uuid>,
    /// Only of one worker.
    pub worker: Option<WorkerId>,
    /// That end after here.
    pub from: Timestamp,
    /// That start before here.
    pub to: Timestamp,
    /// After the last one of the page before.
    pub after: Option<(Timestamp, Uuid)>,
    /// How many.
    pub limit: i64,
}

/// The page of shifts with `$worker` as a further condition.
macro_rules! page {
    ($worker:literal) => {
        concat!(
            select!(
                "JOIN workers w ON w.worker_id = s.worker_id
                  WHERE w.org_id = ANY($1) AND s.starts_at > $2 - interval '24 hours' AND s.ends_at > $2 AND s.starts_at < $3
                    AND (s.starts_at, s.shift_id) > ($4, $5)"
            ),
            $worker,
            " ORDER BY s.starts_at, s.shift_id LIMIT $6"
        )
    };
}

/// Shifts by their start.
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter) -> Result<Vec<Shift>> {
    let (after_start, after_id) = filter.after.unwrap_or((Timestamp::UNIX_EPOCH, Uuid::nil()));
    // Two texts: a plan that serves both questions could not look up the shifts of one worker.
    let text = if filter.worker.is_some() { page!(" AND s.worker_id = $7") } else { page!("") };
    let page = cached(text)
        .bind::<Array<SqlUuid>, _>(&filter.orgs)
        .bind::<Timestamptz, _>(filter.from)
        .bind::<Timestamptz, _>(filter.to)
        .bind::<Timestamptz, _>(after_start)
        .bind::<SqlUuid, _>(after_id)
        .bind::<BigInt, _>(filter.limit);
    let rows: Vec<Row> = match filter.worker {
        Some(worker) => page.bind::<SqlUuid, _>(worker.0).load(conn).await?,
        None => page.load(conn).await?,
    };
    Ok(rows.into_iter().map(Shift::from).collect())
}
