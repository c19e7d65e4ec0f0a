//! Digests: one over all facts and rollups, to compare before and after a rebuild, and lists by key, to compare with
//! what other services hold. Rows that count nothing say nothing and are left out: whether they are there depends on
//! how events were batched.

use std::sync::LazyLock;

use chassis::{Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Date, Nullable, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::{Counter, process::Measure, vocabulary};

/// Rows fetched at once.
const FETCH: &str = "FETCH 2000 FROM digest";

/// The digest of everything, and how much that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// SHA-256 as hex.
    pub digest: String,
    /// Facts of cases, tasks and mediations.
    pub facts: i64,
    /// Rollup cells.
    pub rollups: i64,
}

/// Table, order, and whether its rows are facts, in the order in which they are hashed.
static TABLES: LazyLock<Vec<(String, bool)>> = LazyLock::new(|| {
    let counted: Vec<&str> = Counter::ALL.iter().map(|c| c.name()).collect();
    let measured: Vec<&str> = Measure::ALL.iter().map(|measure| measure.name()).collect();
    vec![
        ("SELECT t::text AS row FROM case_facts t ORDER BY case_id".to_owned(), true),
        ("SELECT t::text AS row FROM task_facts t ORDER BY task_id".to_owned(), true),
        ("SELECT t::text AS row FROM mediation_facts t ORDER BY mediation_id".to_owned(), true),
        (
            format!(
                "SELECT t::text AS row FROM rollups t WHERE num_nonnulls({}) > 0 \
                 ORDER BY unit_id, line COLLATE \"C\", day, item_code COLLATE \"C\"",
                counted.join(", ")
            ),
            false,
        ),
        (
            "SELECT t::text AS row FROM duration_rollups t WHERE count <> 0 \
             ORDER BY unit_id, line COLLATE \"C\", day, item_code COLLATE \"C\", clock_unit, bucket"
                .to_owned(),
            false,
        ),
        (
            "SELECT t::text AS row FROM state_counts t WHERE count <> 0 \
             ORDER BY unit_id, line COLLATE \"C\", state"
                .to_owned(),
            false,
        ),
        (
            "SELECT t::text AS row FROM open_due t WHERE count <> 0 ORDER BY unit_id, line COLLATE \"C\", hour"
                .to_owned(),
            false,
        ),
        (
            format!(
                "SELECT t::text AS row FROM process_rollups t WHERE num_nonnulls({}) > 0 \
                 ORDER BY unit_id, day, process_version COLLATE \"C\", line COLLATE \"C\", item_code COLLATE \"C\"",
                measured.join(", ")
            ),
            false,
        ),
    ]
});

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    row: String,
}

/// Hashes every fact and rollup. Within a transaction; for one view of all tables let it be REPEATABLE READ.
pub async fn whole(conn: &mut AsyncPgConnection) -> Result<Whole> {
    conn.batch_execute("SET LOCAL timezone = 'UTC'; SET LOCAL statement_timeout = 0").await?;
    let mut hash = Sha256::new();
    let (mut facts, mut rollups) = (0, 0);
    for (select, is_fact) in TABLES.iter() {
        conn.batch_execute(&format!("DECLARE digest NO SCROLL CURSOR FOR {select}")).await?;
        loop {
            let rows: Vec<TextRow> = diesel::sql_query(FETCH).load(conn).await?;
            if rows.is_empty() {
                break;
            }
            *(if *is_fact { &mut facts } else { &mut rollups }) += rows.len() as i64;
            for TextRow { row } in rows {
                hash.update(row.as_bytes());
                hash.update(b"\n");
            }
        }
        conn.batch_execute("CLOSE digest").await?;
        hash.update(b"\0");
    }
    let digest = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Whole { digest, facts, rollups })
}

#[derive(QueryableByName)]
struct CaseRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    place_unit_id: Option<Uuid>,
    #[diesel(sql_type = SmallInt)]
    delivery_mode: i16,
    #[diesel(sql_type = SmallInt)]
    closed_code: i16,
}

/// Cases after `after` in the order of their ids: `(case, state|version|item|place|delivery mode|closed code)`.
pub async fn cases(conn: &mut AsyncPgConnection, after: Uuid, limit: i64) -> Result<Vec<(Uuid, String)>> {
    let rows: Vec<CaseRow> = cached(
        "SELECT case_id, version, state, item_code, place_unit_id, delivery_mode, closed_code FROM case_facts \
         WHERE case_id > $1 ORDER BY case_id LIMIT $2",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    let value = |row: &CaseRow| {
        format!(
            "{}|{}|{}|{}|{}|{}",
            vocabulary::state_name(row.state),
            row.version,
            row.item_code,
            row.place_unit_id.map(|id| id.to_string()).unwrap_or_default(),
            vocabulary::delivery_mode_name(row.delivery_mode),
            vocabulary::closed_code_name(row.closed_code),
        )
    };
    Ok(rows.iter().map(|row| (row.case_id, value(row))).collect())
}

/// Key of a rollup in the lists: place, item, day.
pub type RollupKey = (Uuid, String, NaiveDate);

#[derive(QueryableByName)]
struct RollupRow {
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Date)]
    day: NaiveDate,
    #[diesel(sql_type = BigInt)]
    registered: i64,
    #[diesel(sql_type = BigInt)]
    closed: i64,
}

#[derive(QueryableByName)]
struct UnitRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    unit_id: Option<Uuid>,
}

/// Rollups after `after` in the order of place, item and day: `(key, registered=…;closed=…)`, both by the day of
/// registration. Goes unit by unit, so that a page costs what it holds.
pub async fn rollups(
    conn: &mut AsyncPgConnection,
    after: Option<RollupKey>,
    limit: i64,
) -> Result<Vec<(RollupKey, String)>> {
    let mut page = Vec::new();
    let mut within = after;
    let mut unit = match &within {
        Some((unit, ..)) => Some(*unit),
        None => next_unit(conn, None).await?,
    };
    while let Some(unit_id) = unit {
        let left = limit - page.len() as i64;
        if left <= 0 {
            break;
        }
        let (item, day) = within.take().map(|(_, item, day)| (item, day)).unzip();
        let rows: Vec<RollupRow> = cached(
            "SELECT item_code, day, SUM(registered)::bigint AS registered, COALESCE(SUM(registered_closed), 0)::bigint AS closed \
             FROM rollups WHERE unit_id = $1 AND line <> '*' \
             AND ($2 IS NULL OR (item_code COLLATE \"C\", day) > ($2 COLLATE \"C\", $3)) \
             GROUP BY item_code, day HAVING SUM(registered) <> 0 ORDER BY item_code COLLATE \"C\", day LIMIT $4",
        )
        .bind::<SqlUuid, _>(unit_id)
        .bind::<Nullable<Text>, _>(item)
        .bind::<Nullable<Date>, _>(day)
        .bind::<BigInt, _>(left)
        .load(conn)
        .await?;
        page.extend(rows.into_iter().map(|row| {
            let value = format!("registered={};closed={}", row.registered, row.closed);
            ((unit_id, row.item_code, row.day), value)
        }));
        unit = next_unit(conn, Some(unit_id)).await?;
    }
    Ok(page)
}

async fn next_unit(conn: &mut AsyncPgConnection, after: Option<Uuid>) -> Result<Option<Uuid>> {
    let row: UnitRow = cached(
        "SELECT (SELECT unit_id FROM rollups WHERE $1 IS NULL OR unit_id > $1 ORDER BY unit_id LIMIT 1) AS unit_id",
    )
    .bind::<Nullable<SqlUuid>, _>(after)
    .get_result(conn)
    .await?;
    Ok(row.unit_id)
}

/// Lists by a textual key, `(key, value)`. Each is grouped anew for every page.
static LISTS: LazyLock<[(&str, String); 4]> = LazyLock::new(|| {
    let unit = |column: &str| format!("coalesce(nullif({column}, '{}')::text, '')", Uuid::nil());
    let mut ends: Vec<&str> = Counter::ALL.iter().map(|c| c.name()).collect();
    ends.retain(|name| name.starts_with("ended_") || name.starts_with("mode_"));
    ends.sort_unstable();
    let sums: Vec<String> =
        ends.iter().map(|c| format!("CASE WHEN SUM({c}) <> 0 THEN '{c}=' || SUM({c}) END")).collect();
    let states: Vec<String> = (1..)
        .map(|number| (number, vocabulary::state_name(number)))
        .take_while(|(_, name)| !name.is_empty())
        .map(|(number, name)| format!("({number}, '{name}')"))
        .collect();
    [
        (
            "outcome",
            format!(
                "SELECT {} || '|' || item_code AS key, concat_ws(';', {}) AS value FROM rollups WHERE line <> '*' \
                 GROUP BY unit_id, item_code",
                unit("unit_id"),
                sums.join(", "),
            ),
        ),
        (
            "state",
            format!(
                "SELECT {} || '|' || line || '|' || name AS key, 'count=' || count AS value \
                 FROM state_counts JOIN (VALUES {}) AS names (state, name) USING (state) WHERE count <> 0",
                unit("unit_id"),
                states.join(", "),
            ),
        ),
        (
            "open_due",
            format!(
                "SELECT {} || '|' || line || '|' || to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24\"Z\"') AS key, \
                 'count=' || count AS value FROM open_due WHERE count <> 0",
                unit("unit_id"),
            ),
        ),
        (
            "due",
            "SELECT case_id::text AS key, \
             to_char(open_due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS value \
             FROM case_facts WHERE open_due_at IS NOT NULL"
                .to_owned(),
        ),
    ]
    .map(|(subject, rows)| {
        let page = format!(
            "SELECT key, value FROM ({rows}) AS list WHERE value <> '' AND ($1 IS NULL OR key COLLATE \"C\" > $1) \
             ORDER BY key COLLATE \"C\" LIMIT $2"
        );
        (subject, page)
    })
});

#[derive(QueryableByName)]
struct Pair {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    value: String,
}

/// A list of what the board is made of, after the key `after`: `outcome` (place, item: ended cases by closed code and
/// closed ones by delivery mode), `state` (place, line, state: cases), `due` (case: its due time that can still be
/// missed), `open_due` (place, line, full hour in UTC: such due times). Another subject gives none.
pub async fn listed(
    conn: &mut AsyncPgConnection,
    subject: &str,
    after: Option<String>,
    limit: i64,
) -> Result<Vec<(String, String)>> {
    let Some((_, sql)) = LISTS.iter().find(|(name, _)| *name == subject) else { return Ok(Vec::new()) };
    let rows: Vec<Pair> =
        cached(sql.as_str()).bind::<Nullable<Text>, _>(after).bind::<BigInt, _>(limit).load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.key, row.value)).collect())
}

/// Lets this transaction wait for a long work elsewhere.
pub async fn wait_long(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
    Ok(())
}
