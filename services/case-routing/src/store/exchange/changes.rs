//! What other systems have to hear: written with the change of the case it is about, taken up by one sender at a time, in order
//! per ticket.

use chassis::{
    Error, Result, Timestamp,
    clock::{Clock, new_id},
    command::Change,
    db::cached,
};
use chrono::TimeDelta;
use diesel::{
    OptionalExtension, QueryableByName,
    result::{DatabaseErrorKind, Error as SqlError},
    sql_types::{Array, BigInt, Bool, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{joined, referrals, tickets};
use crate::{
    domain::{
        CaseState, ClosedCode, TicketId,
        exchange::{Report, Sync},
    },
    record::{CaseRecord, NewTicket},
};

/// Tickets that come with new cases, what their systems have to hear, and referrals. No statement for other cases.
pub async fn save(conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let now = Clock::system().real_now();
    for change in changes {
        let record = &change.after;
        if let Some(ticket) = &record.pending.ticket {
            insert(conn, record, ticket).await?;
        }
        if record.pending.taken_back {
            take_back(conn, record, now).await?;
        }
        if let Some(line) = &record.pending.handed_off {
            referrals::refer(conn, record, line, now).await?;
        }
    }
    let joined = joined::reports(conn, changes).await?;
    let own = changes.iter().flat_map(|change| &change.after.pending.reports);
    let reports: Vec<&Report> = own.chain(&joined).collect();
    if reports.is_empty() {
        return Ok(());
    }
    tell(conn, &reports, now).await?;
    joined::count(conn, &joined).await
}

async fn insert(mut conn: &AsyncPgConnection, record: &CaseRecord, ticket: &NewTicket) -> Result<()> {
    let done = cached(
        "INSERT INTO external_tickets (ticket_id, system_code, ext_no, case_id, case_no, direction, mapping_version, \
         class_code, class_name, area_code, sealed, remark_count, reported_at, taken_at, sync_state, waiting, attempts, \
         last_error) VALUES ($1, $2, $3, $4, $5, 'in', $6, $7, $8, $9, $10, 0, $11, $12, 'synced', 0, 0, '')",
    )
    .bind::<SqlUuid, _>(ticket.id.0)
    .bind::<Text, _>(&ticket.system_code)
    .bind::<Text, _>(&ticket.ext_no)
    .bind::<SqlUuid, _>(record.case.id.0)
    .bind::<Text, _>(&record.case.case_no)
    .bind::<Integer, _>(ticket.mapping_version)
    .bind::<Text, _>(&ticket.class_code)
    .bind::<Text, _>(&ticket.class_name)
    .bind::<Text, _>(&ticket.area_code)
    .bind::<Bytea, _>(&ticket.sealed)
    .bind::<Nullable<Timestamptz>, _>(ticket.reported_at)
    .bind::<Timestamptz, _>(record.case.registered_at)
    .execute(&mut conn)
    .await;
    match done {
        Ok(_) => Ok(()),
        Err(SqlError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => {
            Err(Error::already_exists(tickets::KIND, "of this number"))
        }
        Err(error) => Err(error.into()),
    }
}

/// The case goes on here, and none of the systems that it was referred to is waited for. Whoever has not sent it back is told to
/// stop; what did not reach its system does not any more, and is told nothing as long as it does not turn out to be there. Of what is
/// in hand that is seen when the delivery ends, or by the next sender if nobody notes how; before that nobody is told.
async fn take_back(mut conn: &AsyncPgConnection, record: &CaseRecord, now: Timestamp) -> Result<()> {
    let rows: Vec<TakenBackRow> = cached(
        "UPDATE external_tickets SET returned = true, taken_back_at = $2 WHERE case_id = $1 AND direction = 'out' \
         AND NOT returned RETURNING ticket_id, in_hand",
    )
    .bind::<SqlUuid, _>(record.case.id.0)
    .bind::<Timestamptz, _>(record.case.updated_at)
    .load(&mut conn)
    .await?;
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.ticket_id).collect();
    let in_hand: Vec<Uuid> = rows.iter().filter(|row| row.in_hand).map(|row| row.ticket_id).collect();
    // Kept: who has fetched it may still acknowledge it.
    let rows: Vec<KindRow> = cached(
        "UPDATE ticket_changes SET delivered_at = $2 WHERE ticket_id = ANY ($1) AND delivered_at IS NULL RETURNING ticket_id, kind",
    )
    .bind::<Array<SqlUuid>, _>(ids.as_slice())
    .bind::<Timestamptz, _>(now)
    .load(&mut conn)
    .await?;
    let unsent = rows.iter().filter(|row| row.kind == "referral");
    let unsent: Vec<Uuid> = unsent.map(|row| row.ticket_id).collect();
    let locked = tickets::lock(conn, &ids, None).await?;
    let there = locked.iter().filter(|(id, sync)| !unsent.contains(&id.0) || sync.maybe_there);
    let told = tell_taken_back(conn, &there.map(|(id, _)| id.0).collect::<Vec<_>>()).await?;
    let stand = locked.into_iter().map(|(id, known)| {
        let sync = if told.contains(&id) { Sync::new().told(1, now) } else { Sync::new() };
        // As long as the lease runs, unless the delivery ends before.
        let ends_at = known.due_at.filter(|_| in_hand.contains(&id.0));
        (id, Sync { due_at: ends_at.or(sync.due_at), ..sync })
    });
    tickets::set_sync(conn, &stand.collect::<Vec<(TicketId, Sync)>>()).await
}

/// Tells the systems of these tickets that they were taken back, of those that were, each once: the last change of a ticket, behind
/// the referral, which is its first, and the words that were passed on. For those known to be there; they are locked. Gives the ones
/// that have one change more.
pub async fn tell_taken_back(mut conn: &AsyncPgConnection, tickets: &[Uuid]) -> Result<Vec<TicketId>> {
    if tickets.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<TicketRow> = cached(
        "WITH owed AS (UPDATE external_tickets AS t SET taken_back_told = true FROM unnest($1, $2) AS o (ticket_id, change_id) \
         WHERE t.ticket_id = o.ticket_id AND t.taken_back_at IS NOT NULL AND NOT t.taken_back_told \
         RETURNING t.ticket_id, o.change_id, t.taken_back_at, t.passed_on) \
         INSERT INTO ticket_changes (change_id, ticket_id, number, kind, state, closed_code, at) \
         SELECT change_id, ticket_id, passed_on + 2, 'taken_back', $3, $4, taken_back_at FROM owed RETURNING ticket_id",
    )
    .bind::<Array<SqlUuid>, _>(tickets)
    .bind::<Array<SqlUuid>, _>(tickets.iter().map(|_| new_id()).collect::<Vec<_>>())
    .bind::<Text, _>(CaseState::Withdrawn.as_str())
    .bind::<Text, _>(ClosedCode::Withdrawn.as_str())
    .load(&mut conn)
    .await?;
    Ok(rows.into_iter().map(|row| TicketId(row.ticket_id)).collect())
}

#[derive(QueryableByName)]
struct TakenBackRow {
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
    #[diesel(sql_type = Bool)]
    in_hand: bool,
}

#[derive(QueryableByName)]
struct KindRow {
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
    #[diesel(sql_type = Text)]
    kind: String,
}

#[derive(QueryableByName)]
struct TicketRow {
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
}

/// Numbered behind what the tickets were told of cases that theirs were merged into.
pub(super) async fn tell(mut conn: &AsyncPgConnection, reports: &[&Report], now: Timestamp) -> Result<()> {
    let mut ids: Vec<Uuid> = reports.iter().map(|report| report.ticket.0).collect();
    ids.sort_unstable();
    ids.dedup();
    // Before their changes, which hold their keys: whoever notes a delivery has the row, and would wait for these in a circle.
    let locked = tickets::lock(conn, &ids, None).await?;
    cached(
        "INSERT INTO ticket_changes (change_id, ticket_id, number, kind, state, closed_code, at) \
         SELECT r.change_id, r.ticket_id, r.number + t.joined, 'state', r.state, r.closed_code, r.at \
         FROM unnest($1, $2, $3, $4, $5, $6) AS r (change_id, ticket_id, number, state, closed_code, at) \
         JOIN external_tickets t ON t.ticket_id = r.ticket_id ORDER BY r.ticket_id, r.number",
    )
    .bind::<Array<SqlUuid>, _>(reports.iter().map(|_| new_id()).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(reports.iter().map(|report| report.ticket.0).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(reports.iter().map(|report| whole(report.number)).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(reports.iter().map(|report| report.state.as_str()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(
        reports.iter().map(|report| report.closed_code.map(|code| code.as_str())).collect::<Vec<_>>(),
    )
    .bind::<Array<Timestamptz>, _>(reports.iter().map(|report| report.at).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    let told = locked.into_iter().map(|(id, sync)| {
        let more = reports.iter().filter(|report| report.ticket == id).count();
        (id, sync.told(i32::try_from(more).unwrap_or(i32::MAX), now))
    });
    tickets::set_sync(conn, &told.collect::<Vec<(TicketId, Sync)>>()).await
}

fn whole(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A change with what is needed to tell it.
#[derive(Debug, Clone, QueryableByName)]
pub struct Waiting {
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    #[diesel(sql_type = SqlUuid)]
    pub change_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub ticket_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Text)]
    pub system_code: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub ext_no: Option<String>,
    #[diesel(sql_type = Text)]
    pub case_no: String,
    #[diesel(sql_type = Integer)]
    pub mapping_version: i32,
    #[diesel(sql_type = Integer)]
    pub number: i32,
    /// state, referral, remark, taken_back
    #[diesel(sql_type = Text)]
    pub kind: String,
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub closed_code: Option<String>,
    #[diesel(sql_type = Timestamptz)]
    pub at: Timestamp,
    /// Of a remark: the words, redacted.
    #[diesel(sql_type = Nullable<Text>)]
    pub words: Option<String>,
}

impl Waiting {
    /// Whether it is for a system that takes a case from here, so that somebody here has to know if it does not get there: the case
    /// itself, or words to it.
    pub fn is_handed_on(&self) -> bool {
        matches!(self.kind.as_str(), "referral" | "remark")
    }
}

macro_rules! waiting {
    ($rest:literal) => {
        concat!(
            "SELECT c.seq, c.change_id, c.ticket_id, t.case_id, t.system_code, t.ext_no, t.case_no, t.mapping_version, \
             c.number, c.kind, c.state, c.closed_code, c.at, c.words \
             FROM ticket_changes c JOIN external_tickets t ON t.ticket_id = c.ticket_id WHERE c.delivered_at IS NULL AND ",
            $rest
        )
    };
}

/// The first change of a ticket that its system does not have.
pub async fn first(conn: &mut AsyncPgConnection, ticket: TicketId) -> Result<Option<Waiting>> {
    let found = cached(waiting!("c.ticket_id = $1 ORDER BY c.number LIMIT 1"))
        .bind::<SqlUuid, _>(ticket.0)
        .get_result(conn)
        .await;
    Ok(found.optional()?)
}

/// What a system does not have, behind a place of the list, as far as its client, which is granted these units, may know of it: of
/// referrals what lies there ([`referrals::within`]), and wherever the case goes on that its referral is taken back.
pub async fn list(
    conn: &mut AsyncPgConnection,
    system: &str,
    units: &[Uuid],
    after: i64,
    limit: i64,
) -> Result<Vec<Waiting>> {
    let found = cached(waiting!(
        "t.system_code = $1 AND c.seq > $2 AND (t.direction = 'in' OR c.kind = 'taken_back' OR EXISTS \
         (SELECT FROM cases k WHERE k.case_id = t.case_id AND k.place_path && $4)) ORDER BY c.seq LIMIT $3"
    ))
    .bind::<Text, _>(system)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(limit)
    .bind::<Array<SqlUuid>, _>(units)
    .load(conn)
    .await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct NamedRow {
    #[diesel(sql_type = SqlUuid)]
    change_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    ticket_id: Uuid,
}

/// Of these, the ones that a system does not have, and every referral: one that was taken back may turn out to be there. Each with
/// its ticket.
pub async fn named(
    conn: &mut AsyncPgConnection,
    system: &str,
    changes: &[Uuid],
) -> Result<Vec<(Uuid, TicketId)>> {
    let rows: Vec<NamedRow> = cached(
        "SELECT c.change_id, c.ticket_id FROM ticket_changes c JOIN external_tickets t ON t.ticket_id = c.ticket_id \
         WHERE c.change_id = ANY ($2) AND t.system_code = $1 AND (c.delivered_at IS NULL OR c.kind = 'referral')",
    )
    .bind::<Text, _>(system)
    .bind::<Array<SqlUuid>, _>(changes)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.change_id, TicketId(row.ticket_id))).collect())
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    waiting: i64,
}

/// How many changes of a ticket its system does not have; the ticket is locked.
pub async fn count(conn: &mut AsyncPgConnection, ticket: TicketId) -> Result<i64> {
    let row: CountRow = cached(
        "SELECT count(*) AS waiting FROM ticket_changes WHERE ticket_id = $1 AND delivered_at IS NULL",
    )
    .bind::<SqlUuid, _>(ticket.0)
    .get_result(conn)
    .await?;
    Ok(row.waiting)
}

#[derive(QueryableByName)]
struct WaitsRow {
    #[diesel(sql_type = Bool)]
    waits: bool,
}

/// Whether its system still does not have a change; the ticket is locked.
pub async fn waits(conn: &mut AsyncPgConnection, change: Uuid) -> Result<bool> {
    let row: WaitsRow = cached(
        "SELECT EXISTS (SELECT 1 FROM ticket_changes WHERE change_id = $1 AND delivered_at IS NULL) AS waits",
    )
    .bind::<SqlUuid, _>(change)
    .get_result(conn)
    .await?;
    Ok(row.waits)
}

/// The ticket of a system's change, delivered or not.
pub async fn ticket_of(conn: &mut AsyncPgConnection, system: &str, change: Uuid) -> Result<Option<TicketId>> {
    let row: Option<TicketRow> = cached(
        "SELECT c.ticket_id FROM ticket_changes c JOIN external_tickets t ON t.ticket_id = c.ticket_id \
         WHERE c.change_id = $2 AND t.system_code = $1",
    )
    .bind::<Text, _>(system)
    .bind::<SqlUuid, _>(change)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row.map(|row| TicketId(row.ticket_id)))
}

/// Notes that changes have arrived; gives those that were not noted before. Their tickets are locked.
pub async fn delivered(
    conn: &mut AsyncPgConnection,
    changes: &[Uuid],
    at: Timestamp,
) -> Result<Vec<TicketId>> {
    let rows: Vec<TicketRow> = cached(
        "UPDATE ticket_changes SET delivered_at = $2 WHERE change_id = ANY ($1) AND delivered_at IS NULL RETURNING ticket_id",
    )
    .bind::<Array<SqlUuid>, _>(changes)
    .bind::<Timestamptz, _>(at)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| TicketId(row.ticket_id)).collect())
}

/// Notes that a referral has arrived, if that was not known; gives how many changes that is. The ticket is locked.
pub async fn referral_delivered(
    conn: &mut AsyncPgConnection,
    ticket: TicketId,
    at: Timestamp,
) -> Result<usize> {
    let arrived = cached(
        "UPDATE ticket_changes SET delivered_at = $2 WHERE ticket_id = $1 AND kind = 'referral' AND delivered_at IS NULL",
    )
    .bind::<SqlUuid, _>(ticket.0)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(arrived)
}

/// A ticket that a sender has taken up.
#[derive(Debug, Clone, QueryableByName)]
pub struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    pub ticket_id: Uuid,
    #[diesel(sql_type = Text)]
    pub system_code: String,
    /// The endpoint that was confirmed when it was taken up: it is posted there, whatever the system has when the letter is written.
    #[diesel(sql_type = Text)]
    pub endpoint: String,
}

/// Who may take up how much.
#[derive(Debug, Clone)]
pub struct Claim<'a> {
    pub now: Timestamp,
    /// Until when nobody else takes them up.
    pub lease: TimeDelta,
    pub token: Uuid,
    pub most: i64,
    /// How many of `most` are only for systems with nothing in hand.
    pub kept: i64,
    /// What each system has in hand already; none for those that are not named.
    pub in_hand: &'a [(String, i64)],
    /// Most tickets of one system, those in hand included.
    pub each: i64,
}

/// Takes up tickets that are due, of systems that are on and have an endpoint for which a mapping was put in force, passing over what
/// somebody else works on. What was taken before there was one is told by that. Systems take turns, those with the fewest in hand first,
/// so that some that are slow never take every place. What was in hand before, and nobody noted how that ended, may be there.
pub async fn claim(conn: &mut AsyncPgConnection, claim: &Claim<'_>) -> Result<Vec<Claimed>> {
    let found = cached(
        "WITH due AS (SELECT d.ticket_id, d.due_at, COALESCE(h.in_hand, 0) + row_number() OVER (PARTITION BY s.system_code \
         ORDER BY d.due_at) AS turn, m.mapping_version, s.endpoint FROM external_systems s \
         JOIN external_mappings m ON m.system_code = s.system_code AND m.state = 'in_force' \
         AND COALESCE(m.endpoint, s.endpoint) = s.endpoint \
         LEFT JOIN unnest($5, $6) AS h (system_code, in_hand) ON h.system_code = s.system_code \
         CROSS JOIN LATERAL (SELECT t.ticket_id, t.due_at FROM external_tickets t \
         WHERE t.system_code = s.system_code AND t.due_at <= $1 ORDER BY t.due_at \
         LIMIT GREATEST($7 - COALESCE(h.in_hand, 0), 0) FOR UPDATE SKIP LOCKED) d \
         WHERE s.state = 'on' AND s.endpoint <> ''), \
         placed AS (SELECT ticket_id, turn, row_number() OVER (ORDER BY turn, due_at) AS place, mapping_version, endpoint \
         FROM due) \
         UPDATE external_tickets t SET due_at = $2, lease = $3, in_hand = true, \
         maybe_there = t.maybe_there OR t.in_hand, \
         mapping_version = CASE WHEN t.mapping_version = 0 THEN p.mapping_version ELSE t.mapping_version END \
         FROM placed p WHERE t.ticket_id = p.ticket_id \
         AND p.place <= $4 AND (p.turn = 1 OR p.place <= $4 - $8) RETURNING t.ticket_id, t.system_code, p.endpoint",
    )
    .bind::<Timestamptz, _>(claim.now)
    .bind::<Timestamptz, _>(claim.now + claim.lease)
    .bind::<SqlUuid, _>(claim.token)
    .bind::<BigInt, _>(claim.most)
    .bind::<Array<Text>, _>(claim.in_hand.iter().map(|(system, _)| system.as_str()).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(claim.in_hand.iter().map(|(_, count)| *count).collect::<Vec<_>>())
    .bind::<BigInt, _>(claim.each)
    .bind::<BigInt, _>(claim.kept)
    .load(conn)
    .await?;
    Ok(found)
}

/// How many tickets of each system stand where.
#[derive(Debug, Clone, QueryableByName)]
pub struct Standing {
    #[diesel(sql_type = Text)]
    pub system_code: String,
    #[diesel(sql_type = Text)]
    pub sync_state: String,
    #[diesel(sql_type = BigInt)]
    pub tickets: i64,
}

/// The tickets that are not synced, counted.
pub async fn standing(conn: &mut AsyncPgConnection) -> Result<Vec<Standing>> {
    let found = cached(
        "SELECT system_code, sync_state, count(*) AS tickets FROM external_tickets WHERE sync_state <> 'synced' \
         GROUP BY system_code, sync_state",
    );
    Ok(found.load(conn).await?)
}

/// Forgets what arrived before an instant, so many rows at a time; gives how many there were.
pub async fn forget(conn: &mut AsyncPgConnection, before: Timestamp, most: i64) -> Result<usize> {
    let gone = cached(
        "DELETE FROM ticket_changes WHERE seq IN (SELECT seq FROM ticket_changes WHERE delivered_at < $1 LIMIT $2)",
    )
    .bind::<Timestamptz, _>(before)
    .bind::<BigInt, _>(most)
    .execute(conn)
    .await?;
    Ok(gone)
}
