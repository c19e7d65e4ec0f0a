//! Who the other systems are.

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    result::{DatabaseErrorKind, Error as SqlError},
    sql_types::{Array, BigInt, Bool, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

/// Kind in errors.
pub const KIND: &str = "external_system";

/// A system, as it is stored.
#[derive(Debug, Clone, QueryableByName)]
pub struct System {
    #[diesel(sql_type = Text)]
    pub system_code: String,
    #[diesel(sql_type = Text)]
    pub name_zh: String,
    #[diesel(sql_type = Text)]
    pub name_en: String,
    /// in, out, both
    #[diesel(sql_type = Text)]
    pub direction: String,
    /// on, paused
    #[diesel(sql_type = Text)]
    pub state: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub client_id: Option<Uuid>,
    /// Empty: it fetches its changes.
    #[diesel(sql_type = Text)]
    pub endpoint: String,
    #[diesel(sql_type = Array<Text>)]
    pub line_codes: Vec<String>,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub sealed_secrets: Option<Vec<u8>>,
    #[diesel(sql_type = BigInt)]
    pub version: i64,
    #[diesel(sql_type = Timestamptz)]
    pub updated_at: Timestamp,
    /// The mapping in force; 0: none.
    #[diesel(sql_type = Integer)]
    pub mapping_version: i32,
}

impl System {
    pub fn is_on(&self) -> bool {
        self.state == "on"
    }

    /// Nothing goes either way while it is paused.
    ///
    /// # Errors
    /// `WrongState` then.
    pub fn must_be_on(&self) -> Result<()> {
        if self.is_on() { Ok(()) } else { Err(Error::wrong_state(KIND, &self.system_code, "it is paused")) }
    }

    /// Whether it may hand tickets in.
    pub fn pushes(&self) -> bool {
        self.direction != "out"
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT s.system_code, s.name_zh, s.name_en, s.direction, s.state, s.client_id, s.endpoint, s.line_codes, \
             s.sealed_secrets, s.version, s.updated_at, COALESCE((SELECT m.mapping_version FROM external_mappings m \
             WHERE m.system_code = s.system_code AND m.state = 'in_force'), 0) AS mapping_version \
             FROM external_systems s WHERE ",
            $rest
        )
    };
}

/// One system.
pub async fn get(conn: &mut AsyncPgConnection, code: &str) -> Result<Option<System>> {
    let found = cached(select!("s.system_code = $1")).bind::<Text, _>(code).get_result(conn).await;
    Ok(found.optional()?)
}

/// One system, locked.
pub async fn lock(conn: &mut AsyncPgConnection, code: &str) -> Result<System> {
    let found =
        cached(select!("s.system_code = $1 FOR UPDATE OF s")).bind::<Text, _>(code).get_result(conn).await;
    found.optional()?.ok_or_else(|| Error::not_found(KIND, code))
}

/// The system that a client speaks for.
pub async fn of_client(conn: &mut AsyncPgConnection, client: Uuid) -> Result<Option<System>> {
    let found = cached(select!("s.client_id = $1")).bind::<SqlUuid, _>(client).get_result(conn).await;
    Ok(found.optional()?)
}

#[derive(QueryableByName)]
struct LineRow {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Whether some system takes a case that is handed off by a line; not the one that it came from, nor one that nothing is posted to
/// and for which nobody could fetch it.
pub async fn take_line(conn: &mut AsyncPgConnection, line: &str, case: Uuid) -> Result<bool> {
    let row: LineRow = cached(
        "SELECT EXISTS (SELECT FROM external_systems s WHERE $1 = ANY (s.line_codes) AND s.direction <> 'in' \
         AND (s.endpoint <> '' OR s.client_id IS NOT NULL) AND NOT EXISTS (SELECT FROM external_tickets t \
         WHERE t.case_id = $2 AND t.system_code = s.system_code AND NOT (t.direction = 'out' AND t.returned))) AS taken",
    )
    .bind::<Text, _>(line)
    .bind::<SqlUuid, _>(case)
    .get_result(conn)
    .await?;
    Ok(row.taken)
}

/// Whether nothing is posted to a system because no mapping was put in force for the endpoint that it has.
pub async fn awaits_mapping(conn: &mut AsyncPgConnection, code: &str) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        awaits: bool,
    }
    let row: Row = cached(
        "SELECT NOT EXISTS (SELECT FROM external_mappings m JOIN external_systems s ON s.system_code = m.system_code \
         WHERE m.system_code = $1 AND m.state = 'in_force' AND COALESCE(m.endpoint, s.endpoint) = s.endpoint) AS awaits",
    )
    .bind::<Text, _>(code)
    .get_result(conn)
    .await?;
    Ok(row.awaits)
}

/// Systems by code, behind one.
pub async fn list(conn: &mut AsyncPgConnection, after: &str, limit: i64) -> Result<Vec<System>> {
    let found = cached(select!("s.system_code > $1 ORDER BY s.system_code LIMIT $2"))
        .bind::<Text, _>(after)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await?;
    Ok(found)
}

/// Enters a system, or replaces what is set of one that is locked. Secrets have their own way.
pub async fn put(conn: &mut AsyncPgConnection, system: &System, new: bool) -> Result<()> {
    let text = if new {
        "INSERT INTO external_systems (system_code, name_zh, name_en, direction, state, client_id, endpoint, line_codes, \
         version, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    } else {
        "UPDATE external_systems SET name_zh = $2, name_en = $3, direction = $4, state = $5, client_id = $6, endpoint = $7, \
         line_codes = $8, version = $9, updated_at = $10 WHERE system_code = $1"
    };
    let done = cached(text)
        .bind::<Text, _>(&system.system_code)
        .bind::<Text, _>(&system.name_zh)
        .bind::<Text, _>(&system.name_en)
        .bind::<Text, _>(&system.direction)
        .bind::<Text, _>(&system.state)
        .bind::<Nullable<SqlUuid>, _>(system.client_id)
        .bind::<Text, _>(&system.endpoint)
        .bind::<Array<Text>, _>(&system.line_codes)
        .bind::<BigInt, _>(system.version)
        .bind::<Timestamptz, _>(system.updated_at)
        .execute(conn)
        .await;
    match done {
        Ok(_) => Ok(()),
        Err(SqlError::DatabaseError(DatabaseErrorKind::UniqueViolation, breach)) => {
            let client = breach.constraint_name() == Some("external_systems_client");
            let what = if client { "for this client" } else { system.system_code.as_str() };
            Err(Error::already_exists(KIND, what))
        }
        Err(error) => Err(error.into()),
    }
}

/// Replaces the secrets of a system that is locked.
pub async fn set_secrets(
    conn: &mut AsyncPgConnection,
    code: &str,
    sealed: &[u8],
    at: Timestamp,
) -> Result<()> {
    cached(
        "UPDATE external_systems SET sealed_secrets = $2, version = version + 1, updated_at = $3 WHERE system_code = $1",
    )
    .bind::<Text, _>(code)
    .bind::<Bytea, _>(sealed)
    .bind::<Timestamptz, _>(at)
    .execute(conn)
    .await?;
    Ok(())
}
