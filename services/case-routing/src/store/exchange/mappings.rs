//! Versions of mappings. Every write happens while the system's row is locked.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Integer, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::domain::exchange::Mapping;

/// Kind in errors.
pub const KIND: &str = "mapping";

/// A version, as it is stored.
#[derive(Debug, Clone, QueryableByName)]
pub struct Version {
    #[diesel(sql_type = Text)]
    pub system_code: String,
    #[diesel(sql_type = Integer)]
    pub mapping_version: i32,
    /// draft, in_force, superseded, withdrawn
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Text)]
    content: String,
    #[diesel(sql_type = Text)]
    pub drafted_by: String,
    #[diesel(sql_type = Timestamptz)]
    pub drafted_at: Timestamp,
    #[diesel(sql_type = Nullable<Text>)]
    pub approved_by: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub approved_at: Option<Timestamp>,
    /// What was in force before it.
    #[diesel(sql_type = Nullable<Integer>)]
    pub replaced: Option<i32>,
    /// The endpoint that it was put in force for; none of a draft. Where a replica from before wrote none it is the one that the system
    /// has, for [`keep_endpoint`] writes it down before that becomes another.
    #[diesel(sql_type = Nullable<Text>)]
    pub endpoint: Option<String>,
    /// The endpoint that its system has now.
    #[diesel(sql_type = Text)]
    pub system_endpoint: String,
}

impl Version {
    /// Its entries.
    pub fn mapping(&self) -> Result<Mapping> {
        serde_json::from_str(&self.content).map_err(Error::internal)
    }
}

macro_rules! select {
    ($content:literal, $rest:literal) => {
        concat!(
            "SELECT m.system_code, m.mapping_version, m.state, ",
            $content,
            " AS content, m.drafted_by, m.drafted_at, m.approved_by, m.approved_at, m.replaced, \
             CASE WHEN m.state <> 'draft' THEN COALESCE(m.endpoint, s.endpoint) END AS endpoint, s.endpoint AS system_endpoint \
             FROM external_mappings m JOIN external_systems s ON s.system_code = m.system_code WHERE ",
            $rest
        )
    };
}

/// One version with its entries.
pub async fn get(conn: &mut AsyncPgConnection, system: &str, version: i32) -> Result<Option<Version>> {
    let found = cached(select!("m.content", "m.system_code = $1 AND m.mapping_version = $2"))
        .bind::<Text, _>(system)
        .bind::<Integer, _>(version)
        .get_result(conn)
        .await;
    Ok(found.optional()?)
}

/// Versions below one, newest first, without their entries.
pub async fn list(
    conn: &mut AsyncPgConnection,
    system: &str,
    below: i32,
    limit: i64,
) -> Result<Vec<Version>> {
    let text = select!(
        "'{\"classes\":[],\"areas\":[],\"statuses\":[],\"closed_codes\":[]}'",
        "m.system_code = $1 AND m.mapping_version < $2 ORDER BY m.mapping_version DESC LIMIT $3"
    );
    let found = cached(text)
        .bind::<Text, _>(system)
        .bind::<Integer, _>(below)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    Ok(found)
}

/// Stores a draft under the next number.
pub async fn draft(
    conn: &mut AsyncPgConnection,
    system: &str,
    mapping: &Mapping,
    by: &str,
    at: Timestamp,
) -> Result<Version> {
    let content = serde_json::to_string(mapping).map_err(Error::internal)?;
    let made = cached(
        "INSERT INTO external_mappings (system_code, mapping_version, state, content, drafted_by, drafted_at) \
         SELECT $1, COALESCE(max(mapping_version), 0) + 1, 'draft', $2, $3, $4 FROM external_mappings WHERE system_code = $1 \
         RETURNING system_code, mapping_version, state, content, drafted_by, drafted_at, approved_by, approved_at, replaced, \
         endpoint, (SELECT s.endpoint FROM external_systems s WHERE s.system_code = $1) AS system_endpoint",
    )
    .bind::<Text, _>(system)
    .bind::<Text, _>(content)
    .bind::<Text, _>(by)
    .bind::<Timestamptz, _>(at)
    .get_result(conn)
    .await?;
    Ok(made)
}

/// Moves a version to a state.
pub async fn set_state(conn: &mut AsyncPgConnection, system: &str, version: i32, state: &str) -> Result<()> {
    cached("UPDATE external_mappings SET state = $3 WHERE system_code = $1 AND mapping_version = $2")
        .bind::<Text, _>(system)
        .bind::<Integer, _>(version)
        .bind::<Text, _>(state)
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a version in force for an endpoint, the one that its system has; whichever was in force, is superseded.
pub async fn put_in_force(
    conn: &mut AsyncPgConnection,
    system: &str,
    version: i32,
    endpoint: &str,
    by: &str,
    at: Timestamp,
) -> Result<()> {
    let before: Option<Replaced> = cached(
        "UPDATE external_mappings SET state = 'superseded' WHERE system_code = $1 AND state = 'in_force' \
         RETURNING mapping_version",
    )
    .bind::<Text, _>(system)
    .get_result(&mut *conn)
    .await
    .optional()?;
    cached(
        "UPDATE external_mappings SET state = 'in_force', approved_by = $3, approved_at = $4, replaced = $5, \
         endpoint = $6 WHERE system_code = $1 AND mapping_version = $2",
    )
    .bind::<Text, _>(system)
    .bind::<Integer, _>(version)
    .bind::<Text, _>(by)
    .bind::<Timestamptz, _>(at)
    .bind::<Nullable<Integer>, _>(before.map(|before| before.mapping_version))
    .bind::<Text, _>(endpoint)
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes down for which endpoint versions were put in force by a replica from before, which writes none: the one that their system has
/// and is about to lose. Without it they would confirm every later one.
pub async fn keep_endpoint(conn: &mut AsyncPgConnection, system: &str, endpoint: &str) -> Result<()> {
    cached(
        "UPDATE external_mappings SET endpoint = $2 WHERE system_code = $1 AND state <> 'draft' AND endpoint IS NULL",
    )
    .bind::<Text, _>(system)
    .bind::<Text, _>(endpoint)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct Replaced {
    #[diesel(sql_type = Integer)]
    mapping_version: i32,
}
