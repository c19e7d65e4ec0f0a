//! What other systems reported of the cases that were referred to them, each report once. Written while the case is locked.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Integer, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::domain::{TicketId, exchange::Reported};

/// A report as it was taken.
#[derive(Debug, Clone, QueryableByName)]
pub struct Taken {
    #[diesel(sql_type = Text)]
    pub external_status: String,
    #[diesel(sql_type = Timestamptz)]
    pub changed_at: Timestamp,
}

/// The report of a ticket by its name in the other system.
pub async fn get(conn: &mut AsyncPgConnection, ticket: TicketId, report_ref: &str) -> Result<Option<Taken>> {
    let found = cached(
        "SELECT external_status, changed_at FROM ticket_reports WHERE ticket_id = $1 AND report_ref = $2",
    )
    .bind::<SqlUuid, _>(ticket.0)
    .bind::<Text, _>(report_ref)
    .get_result(conn)
    .await;
    Ok(found.optional()?)
}

/// Keeps a report.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    ticket: TicketId,
    report_ref: &str,
    reported: &Reported,
    mapping_version: i32,
    at: Timestamp,
) -> Result<()> {
    cached(
        "INSERT INTO ticket_reports (ticket_id, report_ref, external_status, state, mapping_version, changed_at, taken_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind::<SqlUuid, _>(ticket.0)
    .bind::<Text, _>(report_ref)
    .bind::<Text, _>(&reported.status)
    .bind::<Text, _>(reported.state.as_str())
    .bind::<Integer, _>(mapping_version)
    .bind::<Timestamptz, _>(reported.at)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}
