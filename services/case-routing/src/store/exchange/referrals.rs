//! Referrals: which systems take a case that is handed off, what else is passed on to them, and which referrals do not get there.

use chassis::{Result, Timestamp, clock::new_id, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::tickets;
use crate::{
    domain::{Case, CaseId, TicketId, exchange::Sync},
    record::CaseRecord,
};

#[derive(QueryableByName)]
struct TakerRow {
    #[diesel(sql_type = Text)]
    system_code: String,
    #[diesel(sql_type = Integer)]
    mapping_version: i32,
}

/// The systems that take the line get the case, unless it came from them, or nobody there could get it.
pub async fn refer(
    mut conn: &AsyncPgConnection,
    record: &CaseRecord,
    line: &str,
    now: Timestamp,
) -> Result<()> {
    let takers: Vec<TakerRow> = cached(
        "SELECT s.system_code, COALESCE((SELECT m.mapping_version FROM external_mappings m \
         WHERE m.system_code = s.system_code AND m.state = 'in_force'), 0) AS mapping_version \
         FROM external_systems s WHERE $2 = ANY (s.line_codes) AND s.direction <> 'in' \
         AND (s.endpoint <> '' OR s.client_id IS NOT NULL) \
         AND NOT EXISTS (SELECT 1 FROM external_tickets t WHERE t.case_id = $1 AND t.system_code = s.system_code \
         AND NOT (t.direction = 'out' AND t.returned))",
    )
    .bind::<SqlUuid, _>(record.case.id.0)
    .bind::<Text, _>(line)
    .load(&mut conn)
    .await?;
    for taker in takers {
        let ticket = new_id();
        cached(
            "INSERT INTO external_tickets (ticket_id, system_code, case_id, case_no, direction, mapping_version, class_code, \
             class_name, area_code, remark_count, taken_at, sync_state, waiting, attempts, due_at, last_error) \
             VALUES ($1, $2, $3, $4, 'out', $5, '', '', '', 0, $6, 'pending', 1, 0, $7, '')",
        )
        .bind::<SqlUuid, _>(ticket)
        .bind::<Text, _>(&taker.system_code)
        .bind::<SqlUuid, _>(record.case.id.0)
        .bind::<Text, _>(&record.case.case_no)
        .bind::<Integer, _>(taker.mapping_version)
        .bind::<Timestamptz, _>(record.case.updated_at)
        .bind::<Timestamptz, _>(now)
        .execute(&mut conn)
        .await?;
        cached(
            "INSERT INTO ticket_changes (change_id, ticket_id, number, kind, state, closed_code, at) \
             VALUES ($1, $2, 1, 'referral', $3, $4, $5)",
        )
        .bind::<SqlUuid, _>(new_id())
        .bind::<SqlUuid, _>(ticket)
        .bind::<Text, _>(record.case.state.as_str())
        .bind::<Nullable<Text>, _>(record.case.closed_code.map(|code| code.as_str()))
        .bind::<Timestamptz, _>(record.case.updated_at)
        .execute(&mut conn)
        .await?;
    }
    Ok(())
}

#[derive(QueryableByName)]
struct TicketRow {
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
}

/// The tickets of the systems that have taken a case and not sent it back; the case is locked.
pub async fn takers(conn: &mut AsyncPgConnection, case: CaseId) -> Result<Vec<Uuid>> {
    let rows: Vec<TicketRow> = cached(
        "SELECT ticket_id FROM external_tickets WHERE case_id = $1 AND direction = 'out' AND NOT returned ORDER BY ticket_id",
    )
    .bind::<SqlUuid, _>(case.0)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.ticket_id).collect())
}

/// Passes redacted words, which came by a ticket, on to the systems that have taken a case, each behind what it was told so far; the
/// case is locked.
pub async fn pass_on(
    mut conn: &AsyncPgConnection,
    case: &Case,
    takers: &[Uuid],
    by: TicketId,
    words: &str,
    at: Timestamp,
    now: Timestamp,
) -> Result<()> {
    // All of them at once, in the order of their ids, as everybody locks them.
    let all: Vec<Uuid> = takers.iter().copied().chain([by.0]).collect();
    let locked = tickets::lock(conn, &all, None).await?;
    cached(
        "WITH heard AS (UPDATE external_tickets AS t SET passed_on = t.passed_on + 1 FROM unnest($1, $2) AS o (ticket_id, change_id) \
         WHERE t.ticket_id = o.ticket_id RETURNING t.ticket_id, o.change_id, t.passed_on) \
         INSERT INTO ticket_changes (change_id, ticket_id, number, kind, state, closed_code, at, words) \
         SELECT change_id, ticket_id, passed_on + 1, 'remark', $3, $4, $5, $6 FROM heard",
    )
    .bind::<Array<SqlUuid>, _>(takers)
    .bind::<Array<SqlUuid>, _>(takers.iter().map(|_| new_id()).collect::<Vec<_>>())
    .bind::<Text, _>(case.state.as_str())
    .bind::<Nullable<Text>, _>(case.closed_code.map(|code| code.as_str()))
    .bind::<Timestamptz, _>(at)
    .bind::<Text, _>(words)
    .execute(&mut conn)
    .await?;
    let told = locked.into_iter().filter(|(id, _)| takers.contains(&id.0));
    let told = told.map(|(id, sync)| (id, sync.told(1, now)));
    tickets::set_sync(conn, &told.collect::<Vec<(TicketId, Sync)>>()).await
}

/// Of tickets, in order, those that a client may know of which is granted these units: what it pushed, and what was taken back from its
/// system, wherever that lies by now, and of what else was referred whatever lies there.
pub async fn within(conn: &mut AsyncPgConnection, tickets: &[Uuid], units: &[Uuid]) -> Result<Vec<Uuid>> {
    let rows: Vec<TicketRow> = cached(
        "SELECT t.ticket_id FROM external_tickets t WHERE t.ticket_id = ANY ($1) AND (t.direction = 'in' \
         OR t.taken_back_at IS NOT NULL OR EXISTS (SELECT FROM cases k WHERE k.case_id = t.case_id AND k.place_path && $2)) \
         ORDER BY t.ticket_id",
    )
    .bind::<Array<SqlUuid>, _>(tickets)
    .bind::<Array<SqlUuid>, _>(units)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.ticket_id).collect())
}

#[derive(QueryableByName)]
struct CaseRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The cases of those among tickets that are referrals.
pub async fn cases(conn: &mut AsyncPgConnection, tickets: &[Uuid]) -> Result<Vec<CaseId>> {
    let rows: Vec<CaseRow> = cached(
        "SELECT DISTINCT case_id FROM external_tickets WHERE ticket_id = ANY ($1) AND direction = 'out'",
    )
    .bind::<Array<SqlUuid>, _>(tickets)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| CaseId(row.case_id)).collect())
}

#[derive(QueryableByName)]
struct GivenUpRow {
    #[diesel(sql_type = Bool)]
    given_up: bool,
}

/// Whether a referral of a case, or words to it, failed or waited too long and did not get through since, to a system that has not sent
/// it back; the case is locked.
pub async fn has_outstanding(conn: &mut AsyncPgConnection, case: CaseId) -> Result<bool> {
    let row: GivenUpRow = cached(
        "SELECT EXISTS (SELECT 1 FROM external_tickets t JOIN ticket_changes c ON c.ticket_id = t.ticket_id \
         WHERE t.case_id = $1 AND t.direction = 'out' AND NOT t.returned AND t.last_error <> '' \
         AND c.kind IN ('referral', 'remark') AND c.delivered_at IS NULL) AS given_up",
    )
    .bind::<SqlUuid, _>(case.0)
    .get_result(conn)
    .await?;
    Ok(row.given_up)
}

#[derive(QueryableByName)]
struct ReturnedRow {
    #[diesel(sql_type = Bool)]
    returned: bool,
}

/// Whether its system has sent a case back, or it was taken back from there; the ticket is locked.
pub async fn is_returned(conn: &mut AsyncPgConnection, ticket: TicketId) -> Result<bool> {
    let row: ReturnedRow = cached("SELECT returned FROM external_tickets WHERE ticket_id = $1")
        .bind::<SqlUuid, _>(ticket.0)
        .get_result(conn)
        .await?;
    Ok(row.returned)
}

/// A referral that nothing sends, or words to it, and for which nobody comes.
#[derive(Debug, Clone, QueryableByName)]
pub struct Stuck {
    #[diesel(sql_type = SqlUuid)]
    pub ticket_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Text)]
    pub system_code: String,
}

/// A statement about the referrals, and words to them, from before `$1` to systems that are paused, or have no endpoint, or none for which
/// a mapping was put in force, of which that is not noted yet.
macro_rules! stuck {
    ($head:literal, $tail:literal) => {
        concat!(
            $head,
            " WHERE s.system_code = t.system_code AND t.sync_state <> 'synced' AND t.sync_state <> 'failed' \
             AND t.direction = 'out' AND NOT t.returned AND t.last_error NOT IN ('not_fetched', 'paused', 'no_mapping') \
             AND (s.state <> 'on' OR s.endpoint = '' OR NOT EXISTS (SELECT FROM external_mappings m \
             WHERE m.system_code = s.system_code AND m.state = 'in_force' AND COALESCE(m.endpoint, s.endpoint) = s.endpoint)) \
             AND EXISTS (SELECT FROM ticket_changes c \
             WHERE c.ticket_id = t.ticket_id AND c.kind IN ('referral', 'remark') AND c.delivered_at IS NULL AND c.at <= $1)",
            $tail
        )
    };
}

/// The referrals that have waited, themselves or words to them, since before an instant for a system which nothing can be posted to.
pub async fn stuck(conn: &mut AsyncPgConnection, before: Timestamp, most: i64) -> Result<Vec<Stuck>> {
    let found = cached(stuck!(
        "SELECT t.ticket_id, t.case_id, t.system_code FROM external_tickets t, external_systems s",
        " ORDER BY t.ticket_id LIMIT $2"
    ));
    Ok(found.bind::<Timestamptz, _>(before).bind::<BigInt, _>(most).load(conn).await?)
}

/// Notes of one of them why it does not get there, as of an attempt that failed; gives whether it still does not. It goes on waiting.
/// Its case is locked.
pub async fn note_stuck(conn: &mut AsyncPgConnection, ticket: TicketId, before: Timestamp) -> Result<bool> {
    let noted = cached(stuck!(
        "UPDATE external_tickets AS t SET last_error = CASE WHEN s.state <> 'on' THEN 'paused' \
         WHEN s.endpoint = '' THEN 'not_fetched' ELSE 'no_mapping' END \
         FROM external_systems s",
        " AND t.ticket_id = $2"
    ));
    let noted = noted.bind::<Timestamptz, _>(before).bind::<SqlUuid, _>(ticket.0).execute(conn).await?;
    Ok(noted > 0)
}
