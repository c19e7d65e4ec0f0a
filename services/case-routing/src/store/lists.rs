//! Versions of the responsibility list. Whoever changes one locks the state row first, so that changes follow one another,
//! and raises the revision, so that every replica sees it.

use chassis::{Error, Result, Timestamp, db::cached};
use chrono::{NaiveDate, NaiveTime};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::catalogue::{read, write};
use crate::{
    domain::{ListVersion, Period, UnitId},
    listing::{Draft, Entries, ListEntry},
    seed,
};

/// A version with who made it what it is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct VersionRow {
    #[diesel(sql_type = Integer)]
    pub list_version: i32,
    #[diesel(sql_type = Nullable<Integer>)]
    pub base_version: Option<i32>,
    #[diesel(sql_type = Integer)]
    pub entry_count: i32,
    #[diesel(sql_type = Text)]
    pub reason_code: String,
    #[diesel(sql_type = Text)]
    pub drafted_by: String,
    #[diesel(sql_type = Timestamptz)]
    pub drafted_at: Timestamp,
    #[diesel(sql_type = Nullable<Text>)]
    pub approved_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub approved_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    pub withdrawn_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub withdrawn_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    pub withdrawn_reason: Option<String>,
}

impl VersionRow {
    /// As the domain judges it.
    pub fn version(&self, all: &[Period]) -> ListVersion {
        ListVersion {
            version: self.list_version,
            drafted_by: self.drafted_by.clone(),
            withdrawn: self.withdrawn_at.is_some(),
            periods: all.iter().filter(|period| period.version == self.list_version).cloned().collect(),
        }
    }
}

macro_rules! versions {
    ($rest:literal) => {
        concat!(
            "SELECT list_version, base_version, entry_count, reason_code, drafted_by, drafted_at, approved_by, \
             approved_at, withdrawn_by, withdrawn_at, withdrawn_reason FROM list_versions ",
            $rest
        )
    };
}

/// One version.
pub async fn version(mut conn: &AsyncPgConnection, number: i32) -> Result<Option<VersionRow>> {
    let rows: Vec<VersionRow> =
        cached(versions!("WHERE list_version = $1")).bind::<Integer, _>(number).load(&mut conn).await?;
    Ok(rows.into_iter().next())
}

/// Versions below a number, newest first.
pub async fn versions(conn: &mut AsyncPgConnection, below: i32, limit: i64) -> Result<Vec<VersionRow>> {
    Ok(cached(versions!("WHERE list_version < $1 ORDER BY list_version DESC LIMIT $2"))
        .bind::<Integer, _>(below)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?)
}

#[derive(QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = Jsonb)]
    content: serde_json::Value,
    #[diesel(sql_type = Date)]
    valid_from: NaiveDate,
    #[diesel(sql_type = Nullable<Date>)]
    valid_to: Option<NaiveDate>,
}

impl EntryRow {
    fn entry(self) -> Result<ListEntry> {
        Ok(ListEntry { entry: read(self.content)?, from: self.valid_from, to: self.valid_to })
    }
}

/// All entries of a version; none when there is no such version.
pub async fn entries(conn: &mut AsyncPgConnection, number: i32) -> Result<Entries> {
    let rows: Vec<EntryRow> =
        cached("SELECT content, valid_from, valid_to FROM responsibility_entries WHERE list_version = $1")
            .bind::<Integer, _>(number)
            .load(conn)
            .await?;
    let entries =
        rows.into_iter().map(|row| row.entry().map(|listed| (listed.entry.rule_id.clone(), listed)));
    entries.collect()
}

/// Entries after a rule id, by rule id.
pub async fn page(
    conn: &mut AsyncPgConnection,
    number: i32,
    item: Option<&str>,
    after: &str,
    limit: i64,
) -> Result<Vec<ListEntry>> {
    let rows: Vec<EntryRow> = cached(
        "SELECT content, valid_from, valid_to FROM responsibility_entries WHERE list_version = $1 AND rule_id > $2 \
         AND ($3 IS NULL OR item_code = $3) ORDER BY rule_id LIMIT $4",
    )
    .bind::<Integer, _>(number)
    .bind::<Text, _>(after)
    .bind::<Nullable<Text>, _>(item)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter().map(EntryRow::entry).collect()
}

#[derive(QueryableByName)]
struct PeriodRow {
    #[diesel(sql_type = Integer)]
    list_version: i32,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    unit_id: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    valid_from: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    valid_to: Option<Timestamp>,
}

/// All periods, in the order they were made.
pub async fn periods(mut conn: &AsyncPgConnection) -> Result<Vec<Period>> {
    let rows: Vec<PeriodRow> =
        cached("SELECT list_version, unit_id, valid_from, valid_to FROM list_periods ORDER BY seq")
            .load(&mut conn)
            .await?;
    let period = |row: PeriodRow| Period {
        version: row.list_version,
        unit: row.unit_id.map(UnitId),
        from: row.valid_from,
        to: row.valid_to,
    };
    Ok(rows.into_iter().map(period).collect())
}

#[derive(QueryableByName)]
struct NextRow {
    #[diesel(sql_type = Integer)]
    next: i32,
}

/// Lets no other change of the lists happen before the commit, tells every replica of this one, and gives the number of the
/// next version.
pub async fn lock(mut conn: &AsyncPgConnection) -> Result<i32> {
    cached("UPDATE catalogue_state SET revision = revision + 1").execute(&mut conn).await?;
    let row: NextRow = cached("SELECT coalesce(max(list_version), 0) + 1 AS next FROM list_versions")
        .get_result(&mut conn)
        .await?;
    Ok(row.next)
}

#[derive(QueryableByName)]
struct SameRow {
    #[diesel(sql_type = diesel::sql_types::Bool)]
    same: bool,
}

/// Whether two versions have the same entries of transfers and admissions, for the same days.
pub async fn same_duties(conn: &mut AsyncPgConnection, one: i32, other: i32) -> Result<bool> {
    if one == other {
        return Ok(true);
    }
    let row: SameRow = cached(
        "SELECT NOT EXISTS (SELECT FROM \
         (SELECT rule_id, valid_from, coalesce(valid_to, 'infinity') AS until FROM responsibility_entries \
         WHERE list_version = $1 AND content ->> 'transfer_ref' <> '') a \
         FULL JOIN \
         (SELECT rule_id, valid_from, coalesce(valid_to, 'infinity') AS until FROM responsibility_entries \
         WHERE list_version = $2 AND content ->> 'transfer_ref' <> '') b \
         ON a.rule_id = b.rule_id AND a.valid_from = b.valid_from AND a.until = b.until \
         WHERE a.rule_id IS NULL OR b.rule_id IS NULL) AS same",
    )
    .bind::<Integer, _>(one)
    .bind::<Integer, _>(other)
    .get_result(conn)
    .await?;
    Ok(row.same)
}

/// Entries that come and go in every version that is in force or on its way.
#[derive(Debug, Clone)]
pub struct Amendment {
    pub come: Vec<ListEntry>,
    pub gone: Vec<String>,
    pub reason_code: &'static str,
    /// Pseudonyms of who stands behind it.
    pub drafted_by: String,
    pub approved_by: String,
}

/// Makes a version after each that is in force or on its way, with the entries that come and without those that go. What
/// runs as a canary or waits for its day goes on doing so, under the names of those who made it.
pub async fn amend(mut conn: &AsyncPgConnection, amendment: Amendment, at: Timestamp) -> Result<()> {
    let next = lock(conn).await?;
    let before = periods(conn).await?;
    let (after, successors) = crate::domain::amend(&before, next, at);
    let draft = Draft { upserts: amendment.come, removed: amendment.gone, whole: false };
    for successor in successors {
        let old = version(conn, successor.of).await?;
        let old = old.ok_or_else(|| Error::internal("a version that is in force does not exist"))?;
        let in_force = crate::domain::version_at(&after, &[], at) == Some(successor.version);
        let row = VersionRow {
            list_version: successor.version,
            base_version: Some(successor.of),
            entry_count: 0,
            reason_code: amendment.reason_code.to_owned(),
            drafted_by: if in_force { amendment.drafted_by.clone() } else { old.drafted_by },
            drafted_at: at,
            approved_by: if in_force { Some(amendment.approved_by.clone()) } else { old.approved_by },
            approved_at: Some(at),
            withdrawn_by: None,
            withdrawn_at: None,
            withdrawn_reason: None,
        };
        insert_draft(conn, &row, &draft).await?;
        cached(
            "UPDATE list_versions SET amends = true, entry_count = \
             (SELECT count(*) FROM responsibility_entries e WHERE e.list_version = $1) WHERE list_version = $1",
        )
        .bind::<Integer, _>(successor.version)
        .execute(&mut conn)
        .await?;
        if successor.retires {
            withdraw(conn, successor.of, &amendment.approved_by, "amended", at).await?;
        }
    }
    save_periods(conn, &before, &after).await
}

#[derive(QueryableByName)]
struct NumberRow {
    #[diesel(sql_type = Integer)]
    list_version: i32,
}

/// A version and, as long as one only amends another, that other.
pub async fn chain(mut conn: &AsyncPgConnection, number: i32) -> Result<Vec<i32>> {
    let rows: Vec<NumberRow> = cached(
        "WITH RECURSIVE chain AS (\
         SELECT list_version, base_version, amends FROM list_versions WHERE list_version = $1 \
         UNION ALL SELECT v.list_version, v.base_version, v.amends FROM chain c \
         JOIN list_versions v ON c.amends AND v.list_version = c.base_version) SELECT list_version FROM chain",
    )
    .bind::<Integer, _>(number)
    .load(&mut conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.list_version).collect())
}

/// A version and all that it was made from, one after the other.
pub async fn ancestry(mut conn: &AsyncPgConnection, number: i32) -> Result<Vec<i32>> {
    let rows: Vec<NumberRow> = cached(
        "WITH RECURSIVE made AS (\
         SELECT list_version, base_version FROM list_versions WHERE list_version = $1 \
         UNION SELECT v.list_version, v.base_version FROM made m \
         JOIN list_versions v ON v.list_version = m.base_version) SELECT list_version FROM made",
    )
    .bind::<Integer, _>(number)
    .load(&mut conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.list_version).collect())
}

/// Makes an earlier version anew as `number`, with the entries of transfers and admissions as another has them: what duties
/// brought is not undone by going back. It stands under the names of those who made the earlier one.
pub async fn restore(
    mut conn: &AsyncPgConnection,
    number: i32,
    earlier: &VersionRow,
    duties_of: i32,
    reason_code: &str,
    at: Timestamp,
) -> Result<()> {
    let row = VersionRow {
        list_version: number,
        base_version: Some(earlier.list_version),
        entry_count: 0,
        reason_code: reason_code.to_owned(),
        drafted_at: at,
        approved_at: Some(at),
        withdrawn_by: None,
        withdrawn_at: None,
        withdrawn_reason: None,
        ..earlier.clone()
    };
    insert_version(conn, &row).await?;
    cached(
        "INSERT INTO responsibility_entries (list_version, rule_id, item_code, valid_from, valid_to, content) \
         SELECT $1, rule_id, item_code, valid_from, valid_to, content FROM responsibility_entries \
         WHERE list_version = $2 AND coalesce(content ->> 'transfer_ref', '') = '' \
         OR list_version = $3 AND content ->> 'transfer_ref' <> ''",
    )
    .bind::<Integer, _>(number)
    .bind::<Integer, _>(earlier.list_version)
    .bind::<Integer, _>(duties_of)
    .execute(&mut conn)
    .await?;
    cached(
        "UPDATE list_versions SET amends = true, entry_count = \
         (SELECT count(*) FROM responsibility_entries e WHERE e.list_version = $1) WHERE list_version = $1",
    )
    .bind::<Integer, _>(number)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Stores a draft: what it takes over from its base, and its own entries.
pub async fn insert_draft(mut conn: &AsyncPgConnection, row: &VersionRow, draft: &Draft) -> Result<()> {
    insert_version(conn, row).await?;
    if let Some(base) = row.base_version.filter(|_| !draft.whole) {
        let own = draft.upserts.iter().map(|upsert| upsert.entry.rule_id.as_str());
        let not: Vec<&str> = draft.removed.iter().map(String::as_str).chain(own).collect();
        cached(
            "INSERT INTO responsibility_entries (list_version, rule_id, item_code, valid_from, valid_to, content) \
             SELECT $1, rule_id, item_code, valid_from, valid_to, content FROM responsibility_entries \
             WHERE list_version = $2 AND rule_id <> ALL ($3)",
        )
        .bind::<Integer, _>(row.list_version)
        .bind::<Integer, _>(base)
        .bind::<Array<Text>, _>(not)
        .execute(&mut conn)
        .await?;
    }
    insert_entries(conn, row.list_version, &draft.upserts).await
}

async fn insert_version(mut conn: &AsyncPgConnection, row: &VersionRow) -> Result<()> {
    cached(
        "INSERT INTO list_versions (list_version, base_version, entry_count, reason_code, drafted_by, drafted_at, \
         approved_by, approved_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind::<Integer, _>(row.list_version)
    .bind::<Nullable<Integer>, _>(row.base_version)
    .bind::<Integer, _>(row.entry_count)
    .bind::<Text, _>(&row.reason_code)
    .bind::<Text, _>(&row.drafted_by)
    .bind::<Timestamptz, _>(row.drafted_at)
    .bind::<Nullable<Text>, _>(row.approved_by.as_deref())
    .bind::<Nullable<Timestamptz>, _>(row.approved_at)
    .execute(&mut conn)
    .await?;
    Ok(())
}

async fn insert_entries(mut conn: &AsyncPgConnection, number: i32, entries: &[ListEntry]) -> Result<()> {
    let content = entries.iter().map(|listed| write(&listed.entry)).collect::<Result<Vec<_>>>()?;
    cached(
        "INSERT INTO responsibility_entries (list_version, rule_id, item_code, valid_from, valid_to, content) \
         SELECT $1, rule_id, item_code, valid_from, valid_to, content \
         FROM unnest($2, $3, $4, $5, $6) AS t (rule_id, item_code, valid_from, valid_to, content)",
    )
    .bind::<Integer, _>(number)
    .bind::<Array<Text>, _>(entries.iter().map(|e| e.entry.rule_id.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(entries.iter().map(|e| e.entry.item_code.as_str()).collect::<Vec<_>>())
    .bind::<Array<Date>, _>(entries.iter().map(|e| e.from).collect::<Vec<_>>())
    .bind::<Array<Nullable<Date>>, _>(entries.iter().map(|e| e.to).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(content)
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// Stores the shipped list as the first version, in force everywhere from its day on.
pub async fn insert_shipped(
    conn: &mut AsyncPgConnection,
    list: &seed::ResponsibilityFile,
    now: Timestamp,
) -> Result<()> {
    let row = VersionRow {
        list_version: list.list_version,
        base_version: None,
        entry_count: i32::try_from(list.entries.len()).unwrap_or(i32::MAX),
        reason_code: "shipped".to_owned(),
        drafted_by: "system".to_owned(),
        drafted_at: now,
        approved_by: Some("system".to_owned()),
        approved_at: Some(now),
        withdrawn_by: None,
        withdrawn_at: None,
        withdrawn_reason: None,
    };
    insert_version(conn, &row).await?;
    let listed = |entry: &seed::Entry| ListEntry { entry: entry.clone(), from: list.valid_from, to: None };
    let entries: Vec<ListEntry> = list.entries.iter().map(listed).collect();
    insert_entries(conn, list.list_version, &entries).await?;
    let from = calendar::instant(list.valid_from, NaiveTime::MIN);
    save_periods(conn, &[], &[Period { version: list.list_version, unit: None, from, to: None }]).await
}

/// Stores what became of the periods: those that were there may have ended, new ones stand behind them.
pub async fn save_periods(mut conn: &AsyncPgConnection, before: &[Period], after: &[Period]) -> Result<()> {
    for (seq, period) in (0_i32..).zip(after) {
        if before.get(usize::try_from(seq).unwrap_or(usize::MAX)) == Some(period) {
            continue;
        }
        cached(
            "INSERT INTO list_periods (seq, list_version, unit_id, valid_from, valid_to) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (seq) DO UPDATE SET valid_to = excluded.valid_to",
        )
        .bind::<Integer, _>(seq)
        .bind::<Integer, _>(period.version)
        .bind::<Nullable<SqlUuid>, _>(period.unit.map(|unit| unit.0))
        .bind::<Timestamptz, _>(period.from)
        .bind::<Nullable<Timestamptz>, _>(period.to)
        .execute(&mut conn)
        .await?;
    }
    Ok(())
}

/// Notes who put a version in force, the first time.
pub async fn approve(conn: &mut AsyncPgConnection, number: i32, by: &str, at: Timestamp) -> Result<()> {
    cached("UPDATE list_versions SET approved_by = $2, approved_at = $3 WHERE list_version = $1")
        .bind::<Integer, _>(number)
        .bind::<Text, _>(by)
        .bind::<Timestamptz, _>(at)
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes who took a version back, and why.
pub async fn withdraw(
    mut conn: &AsyncPgConnection,
    number: i32,
    by: &str,
    reason_code: &str,
    at: Timestamp,
) -> Result<()> {
    cached(
        "UPDATE list_versions SET withdrawn_by = $2, withdrawn_reason = $3, withdrawn_at = $4 WHERE list_version = $1",
    )
    .bind::<Integer, _>(number)
    .bind::<Text, _>(by)
    .bind::<Text, _>(reason_code)
    .bind::<Timestamptz, _>(at)
    .execute(&mut conn)
    .await?;
    Ok(())
}
