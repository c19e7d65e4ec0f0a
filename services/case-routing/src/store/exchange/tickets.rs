//! Tickets: taken and told of with their cases, found by number, shown to operators. A ticket's row is only ever locked after its
//! case's, or that of the case which its own was merged into, so that commands on cases and pushes never wait for each other in a
//! ring; a delivery locks the ticket alone, unless it is a referral's or of words to one, of which the case may have to hear.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bool, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{
    CaseId, CaseState, TicketId,
    exchange::{Paper, Reported, Sync, SyncState},
};

/// Kind in errors.
pub const KIND: &str = "ticket";

/// A ticket as people and systems see it.
#[derive(Debug, Clone, QueryableByName)]
pub struct Ticket {
    #[diesel(sql_type = SqlUuid)]
    pub ticket_id: Uuid,
    #[diesel(sql_type = Text)]
    pub system_code: String,
    #[diesel(sql_type = Text)]
    pub name_zh: String,
    #[diesel(sql_type = Text)]
    pub name_en: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub ext_no: Option<String>,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Text)]
    pub case_no: String,
    /// in, out
    #[diesel(sql_type = Text)]
    pub direction: String,
    #[diesel(sql_type = Integer)]
    pub mapping_version: i32,
    #[diesel(sql_type = Text)]
    pub class_code: String,
    #[diesel(sql_type = Text)]
    pub class_name: String,
    #[diesel(sql_type = Text)]
    pub area_code: String,
    #[diesel(sql_type = Integer)]
    pub remark_count: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub remarked_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub reported_at: Option<Timestamp>,
    #[diesel(sql_type = Timestamptz)]
    pub taken_at: Timestamp,
    /// Also `paused`, where the system is and something waits.
    #[diesel(sql_type = Text)]
    pub sync_state: String,
    #[diesel(sql_type = Integer)]
    pub waiting: i32,
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub due_at: Option<Timestamp>,
    /// Also `no_mapping`, where something waits for one to be put in force.
    #[diesel(sql_type = Text)]
    pub last_error: String,
    /// How it stands there by the latest report; nothing before the first.
    #[diesel(sql_type = Nullable<Text>)]
    external_status: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    external_state: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    external_at: Option<Timestamp>,
    /// Whether it was ever sent back, or taken back.
    #[diesel(sql_type = Bool)]
    returned: bool,
    /// When somebody here took a referral back.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub taken_back_at: Option<Timestamp>,
}

impl Ticket {
    /// How the case stands in the other system, as far as it has reported.
    pub fn reported(&self) -> Result<Option<Reported>> {
        let (Some(status), Some(state), Some(at)) =
            (&self.external_status, &self.external_state, self.external_at)
        else {
            return Ok(None);
        };
        let state: CaseState = state.parse().map_err(Error::internal)?;
        Ok(Some(Reported { status: status.clone(), state, returned: self.returned, at }))
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT t.ticket_id, t.system_code, s.name_zh, s.name_en, t.ext_no, t.case_id, t.case_no, t.direction, \
             t.mapping_version, t.class_code, t.class_name, t.area_code, t.remark_count, t.remarked_at, t.reported_at, t.taken_at, \
             CASE WHEN s.state = 'paused' AND t.sync_state IN ('pending', 'retrying') THEN 'paused' ELSE t.sync_state END \
             AS sync_state, t.waiting, t.attempts, t.due_at, \
             CASE WHEN s.state = 'on' AND s.endpoint <> '' AND t.sync_state IN ('pending', 'retrying') AND NOT EXISTS \
             (SELECT FROM external_mappings m WHERE m.system_code = s.system_code AND m.state = 'in_force' \
             AND COALESCE(m.endpoint, s.endpoint) = s.endpoint) THEN 'no_mapping' ELSE t.last_error END AS last_error, \
             t.external_status, t.external_state, t.external_at, \
             t.returned, t.taken_back_at \
             FROM external_tickets t JOIN external_systems s ON s.system_code = t.system_code WHERE ",
            $rest
        )
    };
}

/// One ticket.
pub async fn get(conn: &mut AsyncPgConnection, id: TicketId) -> Result<Option<Ticket>> {
    let found = cached(select!("t.ticket_id = $1")).bind::<SqlUuid, _>(id.0).get_result(conn).await;
    Ok(found.optional()?)
}

/// A system's ticket by its number.
pub async fn by_number(conn: &mut AsyncPgConnection, system: &str, ext_no: &str) -> Result<Option<Ticket>> {
    let found = cached(select!("t.system_code = $1 AND t.ext_no = $2"))
        .bind::<Text, _>(system)
        .bind::<Text, _>(ext_no)
        .get_result(conn)
        .await;
    Ok(found.optional()?)
}

/// The tickets of a case, oldest first.
pub async fn of_case(conn: &mut AsyncPgConnection, case: CaseId) -> Result<Vec<Ticket>> {
    let found = cached(select!("t.case_id = $1 ORDER BY t.ticket_id"));
    Ok(found.bind::<SqlUuid, _>(case.0).load(conn).await?)
}

/// What a list of tickets is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter<'a> {
    pub system: Option<&'a str>,
    pub ext_no: Option<&'a str>,
    pub sync_state: Option<&'a str>,
}

/// Tickets below one, newest first. Those that are not synced, which operators look for, are found by an index of their own.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &Filter<'_>,
    below: Uuid,
    limit: i64,
) -> Result<Vec<Ticket>> {
    let text = match filter.sync_state {
        _ if filter.ext_no.is_some() => select!(
            "t.ext_no = $2 AND ($1 IS NULL OR t.system_code = $1) AND ($3 IS NULL OR $3 = CASE WHEN s.state = 'paused' \
             AND t.sync_state IN ('pending', 'retrying') THEN 'paused' ELSE t.sync_state END) \
             AND t.ticket_id < $4 ORDER BY t.ticket_id DESC LIMIT $5"
        ),
        None | Some("synced") => select!(
            "($1 IS NULL OR t.system_code = $1) AND ($2 IS NULL OR t.ext_no = $2) AND ($3 IS NULL OR t.sync_state = $3) \
             AND t.ticket_id < $4 ORDER BY t.ticket_id DESC LIMIT $5"
        ),
        Some("paused") => select!(
            "($1 IS NULL OR t.system_code = $1) AND ($2 IS NULL OR t.ext_no = $2) AND t.sync_state <> 'synced' \
             AND $3 IS NOT NULL AND s.state = 'paused' AND t.sync_state <> 'failed' \
             AND t.ticket_id < $4 ORDER BY t.ticket_id DESC LIMIT $5"
        ),
        Some("failed") => select!(
            "($1 IS NULL OR t.system_code = $1) AND ($2 IS NULL OR t.ext_no = $2) AND t.sync_state <> 'synced' \
             AND t.sync_state = $3 AND t.ticket_id < $4 ORDER BY t.ticket_id DESC LIMIT $5"
        ),
        Some(_) => select!(
            "($1 IS NULL OR t.system_code = $1) AND ($2 IS NULL OR t.ext_no = $2) AND t.sync_state <> 'synced' \
             AND t.sync_state = $3 AND s.state = 'on' AND t.ticket_id < $4 ORDER BY t.ticket_id DESC LIMIT $5"
        ),
    };
    let found = cached(text)
        .bind::<Nullable<Text>, _>(filter.system)
        .bind::<Nullable<Text>, _>(filter.ext_no)
        .bind::<Nullable<Text>, _>(filter.sync_state)
        .bind::<SqlUuid, _>(below)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct SealedRow {
    #[diesel(sql_type = Nullable<Bytea>)]
    sealed: Option<Vec<u8>>,
}

/// What was pushed, encrypted; nothing of a referral.
pub async fn sealed(conn: &mut AsyncPgConnection, id: TicketId) -> Result<Option<Vec<u8>>> {
    let row: Option<SealedRow> = cached("SELECT sealed FROM external_tickets WHERE ticket_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.and_then(|row| row.sealed))
}

/// Keeps what a further push added; the case is locked.
pub async fn add(
    conn: &mut AsyncPgConnection,
    id: TicketId,
    paper: &Paper,
    sealed: &[u8],
    remarked_at: Option<Timestamp>,
) -> Result<()> {
    cached(
        "UPDATE external_tickets SET class_code = $2, class_name = $3, area_code = $4, sealed = $5, remark_count = $6, \
         remarked_at = COALESCE($7, remarked_at) WHERE ticket_id = $1",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Text, _>(&paper.class_code)
    .bind::<Text, _>(&paper.class_name)
    .bind::<Text, _>(&paper.area_code)
    .bind::<Bytea, _>(sealed)
    .bind::<Integer, _>(i32::try_from(paper.remarks.len()).unwrap_or(i32::MAX))
    .bind::<Nullable<Timestamptz>, _>(remarked_at)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct SyncRow {
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
    #[diesel(sql_type = Text)]
    sync_state: String,
    #[diesel(sql_type = Integer)]
    waiting: i32,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    due_at: Option<Timestamp>,
    #[diesel(sql_type = Text)]
    last_error: String,
    #[diesel(sql_type = Bool)]
    maybe_there: bool,
}

impl SyncRow {
    fn sync(self) -> Result<(TicketId, Sync)> {
        let state: SyncState = self.sync_state.parse().map_err(Error::internal)?;
        let Self { ticket_id, waiting, attempts, due_at, last_error, maybe_there, .. } = self;
        Ok((TicketId(ticket_id), Sync { state, waiting, attempts, due_at, last_error, maybe_there }))
    }
}

/// Locks where tickets stand, in the order of their ids. With a lease, only if the delivery in hand is still the one.
pub async fn lock(
    mut conn: &AsyncPgConnection,
    ids: &[Uuid],
    lease: Option<Uuid>,
) -> Result<Vec<(TicketId, Sync)>> {
    use diesel::sql_types::Array;
    let rows: Vec<SyncRow> = cached(
        "SELECT ticket_id, sync_state, waiting, attempts, due_at, last_error, maybe_there FROM external_tickets \
         WHERE ticket_id = ANY ($1) AND ($2 IS NULL OR lease = $2) ORDER BY ticket_id FOR UPDATE",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Nullable<SqlUuid>, _>(lease)
    .load(&mut conn)
    .await?;
    rows.into_iter().map(SyncRow::sync).collect()
}

/// Writes where tickets stand that are locked.
pub async fn set_sync(mut conn: &AsyncPgConnection, all: &[(TicketId, Sync)]) -> Result<()> {
    use diesel::sql_types::Array;
    if all.is_empty() {
        return Ok(());
    }
    cached(
        "UPDATE external_tickets AS t SET sync_state = u.sync_state, waiting = u.waiting, attempts = u.attempts, \
         due_at = u.due_at, last_error = u.last_error, maybe_there = u.maybe_there \
         FROM unnest($1, $2, $3, $4, $5, $6, $7) \
         AS u (ticket_id, sync_state, waiting, attempts, due_at, last_error, maybe_there) WHERE t.ticket_id = u.ticket_id",
    )
    .bind::<Array<SqlUuid>, _>(all.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(all.iter().map(|(_, sync)| sync.state.as_str()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(all.iter().map(|(_, sync)| sync.waiting).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(all.iter().map(|(_, sync)| sync.attempts).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(all.iter().map(|(_, sync)| sync.due_at).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(all.iter().map(|(_, sync)| sync.last_error.as_str()).collect::<Vec<_>>())
    .bind::<Array<Bool>, _>(all.iter().map(|(_, sync)| sync.maybe_there).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Notes that the outcome of a delivery is known; where nothing waits, nobody has to look after it any more. Nothing if the lease is
/// another's by now.
pub async fn settle(mut conn: &AsyncPgConnection, id: TicketId, lease: Uuid) -> Result<()> {
    cached(
        "UPDATE external_tickets SET in_hand = false, due_at = CASE WHEN waiting > 0 THEN due_at END \
         WHERE ticket_id = $1 AND lease = $2",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<SqlUuid, _>(lease)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Notes how a referred case stands in the other system; the case is locked.
pub async fn set_reported(conn: &mut AsyncPgConnection, id: TicketId, reported: &Reported) -> Result<()> {
    cached(
        "UPDATE external_tickets SET external_status = $2, external_state = $3, external_at = $4, returned = returned OR $5 \
         WHERE ticket_id = $1",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Text, _>(&reported.status)
    .bind::<Text, _>(reported.state.as_str())
    .bind::<Timestamptz, _>(reported.at)
    .bind::<Bool, _>(reported.returned)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct AloneRow {
    #[diesel(sql_type = Bool)]
    alone: bool,
}

/// Whether every other system that a case was referred to has sent it back; the case is locked.
pub async fn others_returned(conn: &mut AsyncPgConnection, case: CaseId, but: TicketId) -> Result<bool> {
    let row: AloneRow = cached(
        "SELECT NOT EXISTS (SELECT FROM external_tickets WHERE case_id = $1 AND direction = 'out' AND NOT returned \
         AND ticket_id <> $2) AS alone",
    )
    .bind::<SqlUuid, _>(case.0)
    .bind::<SqlUuid, _>(but.0)
    .get_result(conn)
    .await?;
    Ok(row.alone)
}

/// Gives a referral the number that the other system has for it; another one stays.
pub async fn number(conn: &mut AsyncPgConnection, id: TicketId, ext_no: &str) -> Result<()> {
    let done = cached("UPDATE external_tickets SET ext_no = $2 WHERE ticket_id = $1 AND ext_no IS NULL")
        .bind::<SqlUuid, _>(id.0)
        .bind::<Text, _>(ext_no)
        .execute(conn)
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(diesel::result::Error::DatabaseError(diesel::result::DatabaseErrorKind::UniqueViolation, _)) => {
            Err(Error::already_exists(KIND, ext_no))
        }
        Err(error) => Err(error.into()),
    }
}

/// The same beside what else the transaction writes, which stands though another ticket of the system has the number; gives
/// whether none has.
pub async fn number_if_free(conn: &mut AsyncPgConnection, id: TicketId, ext_no: &str) -> Result<bool> {
    // A savepoint: a breach of uniqueness would end the whole transaction.
    match conn.transaction(async |conn| number(conn, id, ext_no).await).await {
        Ok(()) => Ok(true),
        Err(Error::AlreadyExists { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
