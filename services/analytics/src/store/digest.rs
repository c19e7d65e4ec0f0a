//! Digests: one over all facts and rollups, to compare before and after a rebuild, and lists by key, to compare with
//! what other services hold. Rows that count nothing say nothing and are left out: whether they are there depends on
//! how events were batched.

use std::sync::LazyLock;

use chassis::{Result, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::recount;
use crate::domain::{Counter, process::Measure, vocabulary};

/// Rows fetched at once.
const FETCH: &str = "FETCH 2000 FROM digest";

/// The digest of everything, and how much that is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    let stock = Counter::STOCK.map(|c| format!("{} <> 0", c.name()));
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
            format!(
                "SELECT t::text AS row FROM stock_rollups t WHERE {} \
                 ORDER BY unit_id, line COLLATE \"C\", month, item_code COLLATE \"C\"",
                stock.join(" OR ")
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

/// What is listed of each place from its rollups.
#[derive(Clone, Copy, Debug)]
pub enum Listed {
    /// By item and day: cases that were registered then, and how many of them are closed.
    Rollup,
    /// By item: ended cases by closed code and closed ones by delivery mode.
    Outcome,
    /// By line and state: cases.
    State,
    /// By line and full hour in UTC: due times that can still be missed.
    OpenDue,
}

/// What stands behind the place in the key and the value, both of `$1`, and the next place after `$1`.
struct Statements {
    rows: String,
    next: String,
}

static LISTS: LazyLock<[Statements; 4]> = LazyLock::new(|| {
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
    let of = |table: &str, rows: String| Statements {
        rows: format!("SELECT rest, value FROM ({rows}) AS list WHERE value <> ''"),
        next: recount::next("unit_id", &[table]),
    };
    [
        of(
            "rollups",
            "SELECT item_code || '|' || to_char(day, 'YYYY-MM-DD') AS rest, 'registered=' || SUM(registered) || \
             ';closed=' || COALESCE(SUM(registered_closed), 0) AS value FROM rollups \
             WHERE unit_id = $1 AND line <> '*' GROUP BY item_code, day HAVING SUM(registered) <> 0"
                .to_owned(),
        ),
        of(
            "rollups",
            format!(
                "SELECT item_code AS rest, concat_ws(';', {}) AS value FROM rollups \
                 WHERE unit_id = $1 AND line <> '*' GROUP BY item_code",
                sums.join(", "),
            ),
        ),
        of(
            "state_counts",
            format!(
                "SELECT line || '|' || name AS rest, 'count=' || count AS value \
                 FROM state_counts JOIN (VALUES {}) AS names (state, name) USING (state) \
                 WHERE unit_id = $1 AND count <> 0",
                states.join(", "),
            ),
        ),
        of(
            "open_due",
            "SELECT line || '|' || to_char(hour AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24\"Z\"') AS rest, \
             'count=' || count AS value FROM open_due WHERE unit_id = $1 AND count <> 0"
                .to_owned(),
        ),
    ]
});

impl Listed {
    fn statements(self) -> &'static Statements {
        match self {
            Self::Rollup => &LISTS[0],
            Self::Outcome => &LISTS[1],
            Self::State => &LISTS[2],
            Self::OpenDue => &LISTS[3],
        }
    }

    /// All of a place: what stands behind the place in the key, and the value.
    pub async fn of_place(self, conn: &mut AsyncPgConnection, place: Uuid) -> Result<Vec<(String, String)>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            rest: String,
            #[diesel(sql_type = Text)]
            value: String,
        }
        let rows: Vec<Row> =
            cached(self.statements().rows.as_str()).bind::<SqlUuid, _>(place).load(conn).await?;
        Ok(rows.into_iter().map(|row| (row.rest, row.value)).collect())
    }

    /// The next place of which there is something, after one.
    pub async fn next(self, conn: &mut AsyncPgConnection, place: Uuid) -> Result<Option<Uuid>> {
        recount::next_place(conn, &self.statements().next, place).await
    }
}

/// Cases that are looked at for one slice of those that are due.
const SLICE: i64 = 5_000;

/// Of a slice of the cases after `after`, the due times that can still be missed.
pub async fn due(conn: &mut AsyncPgConnection, after: Uuid) -> Result<Vec<(Uuid, String)>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = SqlUuid)]
        case_id: Uuid,
        #[diesel(sql_type = Text)]
        due: String,
    }
    let rows: Vec<Row> = cached(
        "SELECT case_id, to_char(open_due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS due \
         FROM (SELECT case_id, open_due_at FROM case_facts WHERE case_id > $1 ORDER BY case_id LIMIT $2) AS slice \
         WHERE open_due_at IS NOT NULL",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(SLICE)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.case_id, row.due)).collect())
}

/// The last case of the slice after `after`.
pub async fn end_of_slice(conn: &mut AsyncPgConnection, after: Uuid) -> Result<Option<Uuid>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<SqlUuid>)]
        case_id: Option<Uuid>,
    }
    let row: Row = cached(
        "SELECT (SELECT case_id FROM \
             (SELECT case_id FROM case_facts WHERE case_id > $1 ORDER BY case_id LIMIT $2) AS slice \
         ORDER BY case_id DESC LIMIT 1) AS case_id",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(SLICE)
    .get_result(conn)
    .await?;
    Ok(row.case_id)
}

/// Lets this transaction wait for a long work elsewhere.
pub async fn wait_long(conn: &mut AsyncPgConnection) -> Result<()> {
    conn.batch_execute("SET LOCAL idle_in_transaction_session_timeout = 0").await?;
    Ok(())
}
