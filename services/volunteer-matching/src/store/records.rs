//! Service records for reading; they are written with their offer.

use chassis::{Result, Timestamp, db::cached};
use diesel::sql_types::{Array, BigInt, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// A service record as lists show it.
#[derive(Clone, Debug, diesel::QueryableByName)]
pub struct RecordRow {
    /// Id.
    #[diesel(sql_type = SqlUuid)]
    pub record_id: Uuid,
    /// The offer it belongs to.
    #[diesel(sql_type = SqlUuid)]
    pub offer_id: Uuid,
    /// The case.
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    /// Who served, if a volunteer was named.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub volunteer_id: Option<Uuid>,
    /// The organisation that records.
    #[diesel(sql_type = SqlUuid)]
    pub org_id: Uuid,
    /// Minutes without travel.
    #[diesel(sql_type = Integer)]
    pub minutes: i32,
    /// State, as in SQL.
    #[diesel(sql_type = Text)]
    pub state: String,
    /// Begin.
    #[diesel(sql_type = Timestamptz)]
    pub started_at: Timestamp,
    /// End.
    #[diesel(sql_type = Timestamptz)]
    pub ended_at: Timestamp,
}

/// Which records a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Organisations the caller manages.
    pub orgs: Vec<Uuid>,
    /// Only this offer.
    pub offer_id: Option<Uuid>,
    /// Only this volunteer.
    pub volunteer_id: Option<Uuid>,
    /// Only records before this one.
    pub before: Option<Uuid>,
    /// How many.
    pub limit: i64,
}

/// Records of organisations, newest first.
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter) -> Result<Vec<RecordRow>> {
    let rows = cached(
        "SELECT record_id, offer_id, case_id, volunteer_id, org_id, minutes, state, started_at, ended_at \
         FROM service_records WHERE org_id = ANY($1) AND ($2 IS NULL OR offer_id = $2) \
         AND ($3 IS NULL OR volunteer_id = $3) AND ($4 IS NULL OR record_id < $4) ORDER BY record_id DESC LIMIT $5",
    )
    .bind::<Array<SqlUuid>, _>(&filter.orgs)
    .bind::<Nullable<SqlUuid>, _>(filter.offer_id)
    .bind::<Nullable<SqlUuid>, _>(filter.volunteer_id)
    .bind::<Nullable<SqlUuid>, _>(filter.before)
    .bind::<BigInt, _>(filter.limit)
    .load::<RecordRow>(conn)
    .await?;
    Ok(rows)
}
