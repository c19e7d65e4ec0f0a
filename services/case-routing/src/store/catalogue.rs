//! The catalogue, the responsibility list and the limits in the database. They are small and read whole.

use chassis::{Error, Result, db::cached};
use chrono::NaiveDate;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Date, Integer, Jsonb, Nullable, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Serialize, de::DeserializeOwned};

use crate::seed;

/// Everything that routing decides from, except the topology.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// Grows with each change.
    pub revision: i64,
    /// Version of the lists, as decisions cite it.
    pub version: String,
    /// Code of the organisation of last resort.
    pub fallback_org: String,
    /// Every version of every item.
    pub items: Vec<seed::Item>,
    /// Entries with the days from and until which they are in force.
    pub entries: Vec<(seed::Entry, NaiveDate, Option<NaiveDate>)>,
    /// Limits.
    pub profiles: Vec<seed::Profile>,
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = BigInt)]
    revision: i64,
    #[diesel(sql_type = Integer)]
    catalogue_version: i32,
    #[diesel(sql_type = Integer)]
    list_version: i32,
    #[diesel(sql_type = Text)]
    fallback_org: String,
}

#[derive(QueryableByName)]
struct ContentRow {
    #[diesel(sql_type = Jsonb)]
    content: serde_json::Value,
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

#[derive(QueryableByName)]
struct RevisionRow {
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

/// Revision of the lists; 0 while there are none.
pub async fn revision(conn: &mut AsyncPgConnection) -> Result<i64> {
    let row: RevisionRow =
        cached("SELECT coalesce(max(revision), 0) AS revision FROM catalogue_state").get_result(conn).await?;
    Ok(row.revision)
}

/// Reads the lists; empty when nothing was loaded yet.
pub async fn load(conn: &mut AsyncPgConnection) -> Result<Lists> {
    let states: Vec<StateRow> =
        cached("SELECT revision, catalogue_version, list_version, fallback_org FROM catalogue_state")
            .load(conn)
            .await?;
    let Some(state) = states.into_iter().next() else { return Ok(Lists::default()) };
    let items: Vec<ContentRow> =
        cached("SELECT content FROM service_items ORDER BY item_code, version").load(conn).await?;
    let entries: Vec<EntryRow> = cached(
        "SELECT content, valid_from, valid_to FROM responsibility_entries ORDER BY rule_id, list_version",
    )
    .load(conn)
    .await?;
    let profiles: Vec<ContentRow> =
        cached("SELECT content FROM sla_profiles ORDER BY code").load(conn).await?;
    Ok(Lists {
        revision: state.revision,
        version: format!("catalogue-{}.list-{}", state.catalogue_version, state.list_version),
        fallback_org: state.fallback_org,
        items: items.into_iter().map(|row| read(row.content)).collect::<Result<_>>()?,
        entries: entries
            .into_iter()
            .map(|row| Ok((read(row.content)?, row.valid_from, row.valid_to)))
            .collect::<Result<_>>()?,
        profiles: profiles.into_iter().map(|row| read(row.content)).collect::<Result<_>>()?,
    })
}

/// Fills empty tables with the shipped lists. Gives whether it did.
pub async fn fill(conn: &mut AsyncPgConnection) -> Result<bool> {
    let (catalogue, list) = (seed::catalogue(), seed::responsibility());
    let first = cached(
        "INSERT INTO catalogue_state (revision, catalogue_version, list_version, fallback_org) \
         VALUES (1, $1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind::<Integer, _>(catalogue.catalogue_version)
    .bind::<Integer, _>(list.list_version)
    .bind::<Text, _>(&list.fallback.org)
    .execute(conn)
    .await?;
    if first == 0 {
        return Ok(false);
    }
    let items = &catalogue.items;
    cached(
        "INSERT INTO service_items (item_code, version, valid_from, content) \
         SELECT code, version, $3, content FROM unnest($1, $2, $4) AS t (code, version, content)",
    )
    .bind::<Array<Text>, _>(items.iter().map(|item| item.item_code.as_str()).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(items.iter().map(|item| item.version as i32).collect::<Vec<_>>())
    .bind::<Date, _>(catalogue.valid_from)
    .bind::<Array<Jsonb>, _>(items.iter().map(write).collect::<Result<Vec<_>>>()?)
    .execute(conn)
    .await?;
    cached(
        "INSERT INTO responsibility_entries (rule_id, list_version, valid_from, content) \
         SELECT rule_id, $2, $3, content FROM unnest($1, $4) AS t (rule_id, content)",
    )
    .bind::<Array<Text>, _>(list.entries.iter().map(|entry| entry.rule_id.as_str()).collect::<Vec<_>>())
    .bind::<Integer, _>(list.list_version)
    .bind::<Date, _>(list.valid_from)
    .bind::<Array<Jsonb>, _>(list.entries.iter().map(write).collect::<Result<Vec<_>>>()?)
    .execute(conn)
    .await?;
    let profiles = seed::profiles();
    cached("INSERT INTO sla_profiles (code, content) SELECT * FROM unnest($1, $2)")
        .bind::<Array<Text>, _>(profiles.iter().map(|profile| profile.code.as_str()).collect::<Vec<_>>())
        .bind::<Array<Jsonb>, _>(profiles.iter().map(write).collect::<Result<Vec<_>>>()?)
        .execute(conn)
        .await?;
    Ok(true)
}

fn read<T: DeserializeOwned>(content: serde_json::Value) -> Result<T> {
    serde_json::from_value(content).map_err(Error::internal)
}

fn write<T: Serialize>(content: &T) -> Result<serde_json::Value> {
    serde_json::to_value(content).map_err(Error::internal)
}
