//! Patrols and what was found on them.

use chassis::{Error, Result, Timestamp, db::cached};
use chrono::NaiveDate;
use diesel::{
    OptionalExtension, QueryableByName,
    result::{DatabaseErrorKind, Error as SqlError},
    sql_types::{
        Array, BigInt, Bool, Bytea, Date, Double, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid,
    },
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::read;
use crate::domain::{CaseId, CaseState};

/// A patrol.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Patrol {
    #[diesel(sql_type = SqlUuid)]
    pub patrol_id: Uuid,
    #[diesel(sql_type = Text)]
    pub grid_code: String,
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    #[diesel(sql_type = Array<SqlUuid>)]
    pub place_path: Vec<Uuid>,
    #[diesel(sql_type = SqlUuid)]
    pub person_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub org_id: Uuid,
    #[diesel(sql_type = Bool)]
    pub walking: bool,
    #[diesel(sql_type = Timestamptz)]
    pub started_at: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub ended_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_found_at: Option<Timestamp>,
    #[diesel(sql_type = Bool)]
    pub forgotten: bool,
    #[diesel(sql_type = Integer)]
    pub finding_count: i32,
    #[diesel(sql_type = Integer)]
    pub solved_count: i32,
    #[diesel(sql_type = Integer)]
    pub duplicate_count: i32,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Finding {
    #[diesel(sql_type = SqlUuid)]
    pub finding_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub patrol_id: Uuid,
    #[diesel(sql_type = Text)]
    pub item_code: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub component_code: Option<String>,
    #[diesel(sql_type = Text)]
    pub outcome: String,
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub place_unit_id: Uuid,
    #[diesel(sql_type = Nullable<Double>)]
    pub longitude: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    pub latitude: Option<f64>,
    #[diesel(sql_type = Array<Text>)]
    pub before_refs: Vec<String>,
    #[diesel(sql_type = Array<Text>)]
    pub after_refs: Vec<String>,
    #[diesel(sql_type = Timestamptz)]
    pub found_at: Timestamp,
}

/// The columns that make a [`Patrol`].
macro_rules! columns {
    () => {
        "patrol_id, grid_code, unit_id, place_path, person_id, org_id, walking, started_at, ended_at, \
         last_found_at, forgotten, finding_count, solved_count, duplicate_count"
    };
}

macro_rules! patrols {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM patrols ", $rest)
    };
}

/// One; reach is the caller's affair.
pub async fn get(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Patrol>> {
    let found = cached(patrols!("WHERE patrol_id = $1")).bind::<SqlUuid, _>(id).get_result(conn).await;
    Ok(found.optional()?)
}

/// One, locked until the end of the transaction: before the cases that are opened on it.
pub async fn lock(conn: &mut AsyncPgConnection, id: Uuid) -> Result<Option<Patrol>> {
    let found =
        cached(patrols!("WHERE patrol_id = $1 FOR UPDATE")).bind::<SqlUuid, _>(id).get_result(conn).await;
    Ok(found.optional()?)
}

/// The one a person is walking, locked.
pub async fn walking(conn: &mut AsyncPgConnection, person: Uuid) -> Result<Option<Patrol>> {
    let found = cached(patrols!("WHERE person_id = $1 AND walking FOR UPDATE"))
        .bind::<SqlUuid, _>(person)
        .get_result(conn)
        .await;
    Ok(found.optional()?)
}

/// The one that a client made offline.
pub async fn by_client_key(conn: &mut AsyncPgConnection, key: &[u8]) -> Result<Option<Patrol>> {
    let found = cached(patrols!("WHERE client_key = $1")).bind::<Bytea, _>(key).get_result(conn).await;
    Ok(found.optional()?)
}

/// What the unique keys say.
fn once<T>(done: diesel::QueryResult<T>, kind: &'static str) -> Result<T> {
    done.map_err(|error| match error {
        SqlError::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            Error::already_exists(kind, "under way, or under the same client_ref")
        }
        error => error.into(),
    })
}

/// A new one.
pub async fn insert(conn: &mut AsyncPgConnection, patrol: &Patrol, client_key: Option<&[u8]>) -> Result<()> {
    let done = cached(
        "INSERT INTO patrols (patrol_id, grid_code, unit_id, place_path, person_id, org_id, walking, started_at, \
         forgotten, finding_count, solved_count, duplicate_count, client_key) \
         VALUES ($1, $2, $3, $4, $5, $6, true, $7, false, 0, 0, 0, $8)",
    )
    .bind::<SqlUuid, _>(patrol.patrol_id)
    .bind::<Text, _>(&patrol.grid_code)
    .bind::<SqlUuid, _>(patrol.unit_id)
    .bind::<Array<SqlUuid>, _>(&patrol.place_path)
    .bind::<SqlUuid, _>(patrol.person_id)
    .bind::<SqlUuid, _>(patrol.org_id)
    .bind::<Timestamptz, _>(patrol.started_at)
    .bind::<Nullable<Bytea>, _>(client_key)
    .execute(conn)
    .await;
    once(done, "patrol")?;
    Ok(())
}

/// How it stands now.
pub async fn update(conn: &mut AsyncPgConnection, patrol: &Patrol) -> Result<()> {
    cached(
        "UPDATE patrols SET walking = $2, ended_at = $3, last_found_at = $4, forgotten = $5, finding_count = $6, \
         solved_count = $7, duplicate_count = $8 WHERE patrol_id = $1",
    )
    .bind::<SqlUuid, _>(patrol.patrol_id)
    .bind::<Bool, _>(patrol.walking)
    .bind::<Nullable<Timestamptz>, _>(patrol.ended_at)
    .bind::<Nullable<Timestamptz>, _>(patrol.last_found_at)
    .bind::<Bool, _>(patrol.forgotten)
    .bind::<Integer, _>(patrol.finding_count)
    .bind::<Integer, _>(patrol.solved_count)
    .bind::<Integer, _>(patrol.duplicate_count)
    .execute(conn)
    .await?;
    Ok(())
}

/// Which are listed.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Communities within reach; a person's own are listed besides.
    pub units: &'a [Uuid],
    pub person: Uuid,
    /// Only those of these communities.
    pub within: Option<&'a [Uuid]>,
    pub grid: Option<&'a str>,
    pub below: Uuid,
    pub limit: i64,
}

/// A page, newest first. Each kind of question has its own statement, so that each has its index: of a grid; of communities and the
/// own, a page of each, of which the index itself gives the ids. What they are is looked up of those alone that are left, and `OFFSET 0`
/// has each looked up by itself, however many were ever walked.
pub async fn list(conn: &mut AsyncPgConnection, wanted: &Wanted<'_>) -> Result<Vec<Patrol>> {
    const OF_GRID: &str = patrols!(
        "WHERE grid_code = $4 AND (unit_id = ANY($1) OR person_id = $2) AND ($3 IS NULL OR unit_id = ANY($3)) \
         AND patrol_id < $5 ORDER BY patrol_id DESC LIMIT $6"
    );
    const REACHED: &str = concat!(
        "SELECT ",
        columns!(),
        " FROM (SELECT reached.patrol_id AS found_id FROM ((SELECT patrol_id FROM patrols \
         WHERE person_id = $2 AND ($3 IS NULL OR unit_id = ANY($3)) AND patrol_id < $5 \
         ORDER BY patrol_id DESC LIMIT $6) UNION (SELECT f.patrol_id FROM unnest($1) AS u (id) \
         CROSS JOIN LATERAL (SELECT patrol_id FROM patrols WHERE unit_id = u.id AND patrol_id < $5 \
         ORDER BY patrol_id DESC LIMIT $6) AS f WHERE $3 IS NULL OR u.id = ANY($3))) AS reached \
         WHERE $4 IS NULL ORDER BY reached.patrol_id DESC LIMIT $6) AS found CROSS JOIN LATERAL (",
        patrols!("WHERE patrol_id = found.found_id OFFSET 0"),
        ") AS p ORDER BY found_id DESC"
    );
    let text = if wanted.grid.is_some() { OF_GRID } else { REACHED };
    Ok(cached(text)
        .bind::<Array<SqlUuid>, _>(wanted.units)
        .bind::<SqlUuid, _>(wanted.person)
        .bind::<Nullable<Array<SqlUuid>>, _>(wanted.within)
        .bind::<Nullable<Text>, _>(wanted.grid)
        .bind::<SqlUuid, _>(wanted.below)
        .bind::<BigInt, _>(wanted.limit)
        .load(conn)
        .await?)
}

const FINDING: &str = "SELECT finding_id, patrol_id, item_code, component_code, outcome, case_id, place_unit_id, \
                       longitude, latitude, before_refs, after_refs, found_at FROM findings WHERE client_key = $1";

/// The finding that a client made offline.
pub async fn finding_by_client_key(conn: &mut AsyncPgConnection, key: &[u8]) -> Result<Option<Finding>> {
    Ok(cached(FINDING).bind::<Bytea, _>(key).get_result(conn).await.optional()?)
}

/// Findings of a patrol, in their order.
pub async fn findings(conn: &mut AsyncPgConnection, patrol: Uuid) -> Result<Vec<Finding>> {
    Ok(cached(
        "SELECT finding_id, patrol_id, item_code, component_code, outcome, case_id, place_unit_id, longitude, latitude, \
         before_refs, after_refs, found_at FROM findings WHERE patrol_id = $1 ORDER BY finding_id",
    )
    .bind::<SqlUuid, _>(patrol)
    .load(conn)
    .await?)
}

/// A new finding.
pub async fn insert_finding(
    conn: &mut AsyncPgConnection,
    finding: &Finding,
    client_key: Option<&[u8]>,
) -> Result<()> {
    let done = cached(
        "INSERT INTO findings (finding_id, patrol_id, item_code, component_code, outcome, case_id, place_unit_id, \
         longitude, latitude, before_refs, after_refs, found_at, client_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind::<SqlUuid, _>(finding.finding_id)
    .bind::<SqlUuid, _>(finding.patrol_id)
    .bind::<Text, _>(&finding.item_code)
    .bind::<Nullable<Text>, _>(&finding.component_code)
    .bind::<Text, _>(&finding.outcome)
    .bind::<SqlUuid, _>(finding.case_id)
    .bind::<SqlUuid, _>(finding.place_unit_id)
    .bind::<Nullable<Double>, _>(finding.longitude)
    .bind::<Nullable<Double>, _>(finding.latitude)
    .bind::<Array<Text>, _>(&finding.before_refs)
    .bind::<Array<Text>, _>(&finding.after_refs)
    .bind::<Timestamptz, _>(finding.found_at)
    .bind::<Nullable<Bytea>, _>(client_key)
    .execute(conn)
    .await;
    once(done, "finding")?;
    Ok(())
}

/// A case as a finder is told of it.
#[derive(Debug, Clone, QueryableByName)]
pub struct Told {
    #[diesel(sql_type = SqlUuid)]
    pub case_id: Uuid,
    #[diesel(sql_type = Text)]
    pub case_no: String,
    #[diesel(sql_type = Text)]
    pub state: String,
}

/// A case by id.
pub async fn told(conn: &mut AsyncPgConnection, case: Uuid) -> Result<Option<Told>> {
    Ok(cached("SELECT case_id, case_no, state FROM cases WHERE case_id = $1")
        .bind::<SqlUuid, _>(case)
        .get_result(conn)
        .await
        .optional()?)
}

/// The open case of a matter at a component, or the open one that it was merged into, if there is one. The matter stays locked until
/// the end of the transaction, so that two finders do not open it twice.
pub async fn open_case(
    conn: &mut AsyncPgConnection,
    component: &str,
    item_code: &str,
) -> Result<Option<Told>> {
    cached("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind::<Text, _>(format!("component {component} {item_code}"))
        .execute(conn)
        .await?;
    let latest: Option<Told> = cached(
        "SELECT c.case_id, c.case_no, c.state FROM component_cases k JOIN cases c ON c.case_id = k.case_id \
         WHERE k.component_code = $1 AND k.item_code = $2 AND (c.open OR c.state = $3)",
    )
    .bind::<Text, _>(component)
    .bind::<Text, _>(item_code)
    .bind::<Text, _>(CaseState::Merged.as_str())
    .get_result(conn)
    .await
    .optional()?;
    match latest {
        Some(merged) if merged.state == CaseState::Merged.as_str() => original(conn, merged.case_id).await,
        open => Ok(open),
    }
}

/// The case that another was merged into, while it is open. The link stays with the other: taken out again, it is the matter's.
async fn original(conn: &mut AsyncPgConnection, merged: Uuid) -> Result<Option<Told>> {
    let Some(merged) = read::case(conn, CaseId(merged)).await? else { return Ok(None) };
    let original = read::original(conn, &merged.case).await?;
    let open = original.map(|record| record.case).filter(|case| !case.state.is_finished());
    Ok(open.map(|case| Told {
        case_id: case.id.0,
        case_no: case.case_no.clone(),
        state: case.state.to_string(),
    }))
}

/// The matter's case is this one now.
pub async fn note_case(
    conn: &mut AsyncPgConnection,
    component: &str,
    item_code: &str,
    case: Uuid,
) -> Result<()> {
    cached(
        "INSERT INTO component_cases (component_code, item_code, case_id) VALUES ($1, $2, $3) \
         ON CONFLICT (component_code, item_code) DO UPDATE SET case_id = excluded.case_id",
    )
    .bind::<Text, _>(component)
    .bind::<Text, _>(item_code)
    .bind::<SqlUuid, _>(case)
    .execute(conn)
    .await?;
    Ok(())
}

/// A grid in a period.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Coverage {
    #[diesel(sql_type = Text)]
    pub grid_code: String,
    #[diesel(sql_type = SqlUuid)]
    pub unit_id: Uuid,
    #[diesel(sql_type = BigInt)]
    pub patrols: i64,
    #[diesel(sql_type = BigInt)]
    pub minutes: i64,
    #[diesel(sql_type = BigInt)]
    pub findings: i64,
    #[diesel(sql_type = BigInt)]
    pub solved: i64,
    #[diesel(sql_type = BigInt)]
    pub duplicates: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub last_at: Option<Timestamp>,
}

/// Grids in force in `[start, end)` at these units, with the patrols begun in it; those that nobody walked too. A patrol that
/// goes on counts to `now`.
pub async fn coverage(
    conn: &mut AsyncPgConnection,
    units: &[Uuid],
    (start, end): (NaiveDate, NaiveDate),
    (from, to): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Vec<Coverage>> {
    Ok(cached(
        "SELECT g.grid_code, g.unit_id, COALESCE(p.patrols, 0)::bigint AS patrols, \
             COALESCE(p.minutes, 0)::bigint AS minutes, COALESCE(p.findings, 0)::bigint AS findings, \
             COALESCE(p.solved, 0)::bigint AS solved, COALESCE(p.duplicates, 0)::bigint AS duplicates, p.last_at \
         FROM (SELECT DISTINCT ON (grid_code) grid_code, unit_id FROM grids WHERE unit_id = ANY($1) \
               AND valid_from < $3 AND (valid_to IS NULL OR valid_to > $2) ORDER BY grid_code, valid_from DESC) g \
         LEFT JOIN (SELECT grid_code, COUNT(*) AS patrols, \
                 SUM(FLOOR(EXTRACT(EPOCH FROM GREATEST(COALESCE(ended_at, $6) - started_at, interval '0')) / 60)) \
                     AS minutes, \
                 SUM(finding_count) AS findings, SUM(solved_count) AS solved, SUM(duplicate_count) AS duplicates, \
                 MAX(started_at) AS last_at \
             FROM patrols WHERE unit_id = ANY($1) AND started_at >= $4 AND started_at < $5 GROUP BY grid_code \
         ) p ON p.grid_code = g.grid_code ORDER BY g.grid_code",
    )
    .bind::<Array<SqlUuid>, _>(units)
    .bind::<Date, _>(start)
    .bind::<Date, _>(end)
    .bind::<Timestamptz, _>(from)
    .bind::<Timestamptz, _>(to)
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?)
}

#[cfg(test)]
mod tests {
    use chassis::{
        Clock, Service as _,
        testing::{TestDb, rows_read},
    };
    use diesel_async::SimpleAsyncConnection;

    use super::*;
    use crate::App;

    /// 5,000 patrols in the order of their numbers: the 60 oldest in one community and grid, by one person; the others in 500 of each.
    const HISTORY: &str = "
        INSERT INTO patrols (patrol_id, grid_code, unit_id, place_path, person_id, org_id, walking, started_at, ended_at, forgotten,
            finding_count, solved_count, duplicate_count)
        SELECT lpad(to_hex(n), 32, '0')::uuid,
            CASE WHEN n <= 60 THEN '420103005001001' ELSE '420103005002' || lpad((n % 500)::text, 3, '0') END,
            lpad(CASE WHEN n <= 60 THEN 'a1' ELSE to_hex(4096 + n % 500) END, 32, '0')::uuid, '{}',
            lpad(CASE WHEN n <= 60 THEN 'c1' ELSE to_hex(8192 + n % 500) END, 32, '0')::uuid, lpad('b1', 32, '0')::uuid, false,
            now(), now(), false, 0, 0, 0
        FROM generate_series(1, 5000) n;";

    const HERE: &[Uuid] = &[Uuid::from_u128(0xa1)];

    fn wanted(units: &[Uuid], person: Uuid) -> Wanted<'_> {
        Wanted { units, person, within: None, grid: None, below: Uuid::max(), limit: 51 }
    }

    #[tokio::test]
    async fn a_page_of_patrols_is_found_without_reading_all_that_were_ever_walked() {
        let test = TestDb::migrated(App::NAME, App::migrations).await.unwrap();
        let db = test.connect(App::NAME, Clock::system()).await.unwrap();
        let mut conn = db.conn().await.unwrap();
        // What is flushed when it is committed is known to be when it is vacuumed, and then an index answers alone.
        conn.batch_execute("SET synchronous_commit = on").await.unwrap();
        conn.batch_execute(HISTORY).await.unwrap();
        // By itself: not in a transaction.
        conn.batch_execute("VACUUM (ANALYZE) patrols").await.unwrap();
        let others = (0..500).map(|n| Uuid::from_u128(0x1000 + n));
        let everywhere: Vec<Uuid> = HERE.iter().copied().chain(others).collect();
        let (walker, nobody) = (Uuid::from_u128(0xc1), Uuid::from_u128(0xff));
        for (wanted, newest) in [
            (wanted(HERE, nobody), 60),
            (wanted(&[], walker), 60),
            (wanted(HERE, walker), 60),
            (wanted(&everywhere, walker), 5_000),
            (Wanted { below: Uuid::from_u128(71), ..wanted(&everywhere, walker) }, 70),
            (Wanted { within: Some(HERE), ..wanted(&everywhere, nobody) }, 60),
            (Wanted { within: Some(HERE), ..wanted(&[], walker) }, 60),
            (Wanted { grid: Some("420103005001001"), ..wanted(&everywhere, nobody) }, 60),
            (Wanted { grid: Some("420103005001001"), within: Some(HERE), ..wanted(&[], walker) }, 60),
        ] {
            let ask = async |conn: &mut AsyncPgConnection| list(conn, &wanted).await.unwrap();
            let (found, read) = rows_read(&mut conn, ask).await;
            let ids: Vec<u128> = found.iter().map(|patrol| patrol.patrol_id.as_u128()).collect();
            let expected: Vec<u128> = (0..51).map(|n| newest - n).collect();
            assert_eq!(ids, expected, "{wanted:?}");
            assert!(read["patrols"] <= 4 * 51, "{read:?} for {wanted:?}");
        }
        let below = Wanted { below: Uuid::from_u128(3), ..wanted(HERE, nobody) };
        assert_eq!(list(&mut conn, &below).await.unwrap().len(), 2, "behind the last of the page before");
        let elsewhere = Wanted { within: Some(HERE), ..wanted(&everywhere[1..], nobody) };
        assert!(list(&mut conn, &elsewhere).await.unwrap().is_empty());
    }
}
