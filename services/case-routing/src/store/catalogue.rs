//! The catalogue, the limits, and what of the responsibility list is in force or will be. They are small and read whole.

use std::collections::btree_map::{BTreeMap, Entry};

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::{Serialize, de::DeserializeOwned};

use super::{catalogue_versions, lists};
use crate::{
    domain::{CatalogueVersion, Citation, Period, cited_catalogues},
    editions::{Editions, ItemRow},
    listing::Entries,
    seed,
};

/// Everything that routing decides from, except the topology.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// Grows with each change.
    pub revision: i64,
    /// Versions of the catalogue that were put in force.
    pub catalogues: Vec<CatalogueVersion>,
    /// Code of the organisation of last resort.
    pub fallback_org: String,
    /// Every version of every item that was put in force.
    pub items: Editions,
    /// Where and when which version of the list is in force, ever.
    pub periods: Vec<Period>,
    /// Entries of the versions that decide now or later.
    pub entries: BTreeMap<i32, Entries>,
    /// Limits.
    pub profiles: Vec<seed::Profile>,
}

impl Lists {
    /// A version of the list as decisions cite it: with the catalogue that is in force when they are made.
    pub fn cited(&self, list_version: i32) -> Citation {
        let catalogues = cited_catalogues(&self.catalogues).into_iter();
        let name = |catalogue: i32| format!("catalogue-{catalogue}.list-{list_version}");
        Citation::of(catalogues.map(|(from, catalogue)| (from, name(catalogue))))
    }

    /// The version of the list that a decision cites.
    pub fn of_citation(cited: &str) -> Option<i32> {
        cited.rsplit_once(".list-").and_then(|(_, version)| version.parse().ok())
    }
}

#[derive(QueryableByName)]
struct StateRow {
    #[diesel(sql_type = BigInt)]
    revision: i64,
    #[diesel(sql_type = Text)]
    fallback_org: String,
}

#[derive(QueryableByName)]
struct EditionRow {
    #[diesel(sql_type = Text)]
    item_code: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Timestamptz)]
    valid_from: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    withdrawn_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Jsonb>)]
    content: Option<serde_json::Value>,
}

impl EditionRow {
    fn row(self) -> Result<ItemRow> {
        Ok(ItemRow {
            item_code: self.item_code,
            version: u32::try_from(self.version).map_err(Error::internal)?,
            from: self.valid_from,
            withdrawn_at: self.withdrawn_at,
            item: self.content.map(read).transpose()?,
        })
    }
}

#[derive(QueryableByName)]
struct ContentRow {
    #[diesel(sql_type = Jsonb)]
    content: serde_json::Value,
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

/// Reads the lists, and the entries of every version that decides at `now` or later; empty when nothing was loaded yet.
pub async fn load(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<Lists> {
    let states: Vec<StateRow> =
        cached("SELECT revision, fallback_org FROM catalogue_state").load(conn).await?;
    let Some(state) = states.into_iter().next() else { return Ok(Lists::default()) };
    let periods = lists::periods(conn).await?;
    let mut entries = BTreeMap::new();
    for period in periods.iter().filter(|period| period.to.is_none_or(|to| now < to)) {
        if let Entry::Vacant(new) = entries.entry(period.version) {
            new.insert(lists::entries(conn, period.version).await?);
        }
    }
    let profiles: Vec<ContentRow> =
        cached("SELECT content FROM sla_profiles ORDER BY code").load(conn).await?;
    Ok(Lists {
        revision: state.revision,
        catalogues: catalogue_versions::put_in_force(conn).await?,
        fallback_org: state.fallback_org,
        items: editions(conn).await?,
        periods,
        entries,
        profiles: profiles.into_iter().map(|row| read(row.content)).collect::<Result<_>>()?,
    })
}

/// Every version of every item that was put in force.
pub async fn editions(mut conn: &AsyncPgConnection) -> Result<Editions> {
    let rows: Vec<EditionRow> = cached(
        "SELECT i.item_code, i.version, v.valid_from, v.withdrawn_at, i.content \
         FROM service_items i JOIN catalogue_versions v USING (catalogue_version) WHERE v.valid_from IS NOT NULL",
    )
    .load(&mut conn)
    .await?;
    let rows = rows.into_iter().map(EditionRow::row).collect::<Result<Vec<_>>>()?;
    Ok(Editions::of(&rows))
}

/// Fills empty tables with the shipped lists. Gives whether it did.
pub async fn fill(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<bool> {
    let (catalogue, list) = (seed::catalogue(), seed::responsibility());
    let first =
        cached("INSERT INTO catalogue_state (revision, fallback_org) VALUES (1, $1) ON CONFLICT DO NOTHING")
            .bind::<Text, _>(&list.fallback.org)
            .execute(conn)
            .await?;
    if first == 0 {
        return Ok(false);
    }
    catalogue_versions::insert_shipped(conn, catalogue, now).await?;
    lists::insert_shipped(conn, list, now).await?;
    let profiles = seed::profiles();
    cached("INSERT INTO sla_profiles (code, content) SELECT unnest($1), unnest($2)")
        .bind::<Array<Text>, _>(profiles.iter().map(|profile| profile.code.as_str()).collect::<Vec<_>>())
        .bind::<Array<Jsonb>, _>(profiles.iter().map(write).collect::<Result<Vec<_>>>()?)
        .execute(conn)
        .await?;
    Ok(true)
}

pub(super) fn read<T: DeserializeOwned>(content: serde_json::Value) -> Result<T> {
    serde_json::from_value(content).map_err(Error::internal)
}

pub(super) fn write<T: Serialize>(content: &T) -> Result<serde_json::Value> {
    serde_json::to_value(content).map_err(Error::internal)
}
