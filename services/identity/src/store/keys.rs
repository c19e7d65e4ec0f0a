//! Signing keys of access tokens, sealed. A new one is published before it signs; retired ones verify until their last
//! token has run out. Real time.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Bool, Bytea, Text, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// Key of the advisory lock of rotation.
const ROTATION_LOCK: i64 = 0x6b65_7973;

/// A stored signing key.
#[derive(QueryableByName)]
pub struct KeyRow {
    /// Key id.
    #[diesel(sql_type = Text)]
    pub key_id: String,
    /// The secret half, sealed.
    #[diesel(sql_type = Bytea)]
    pub seed_sealed: Vec<u8>,
    /// The public half.
    #[diesel(sql_type = Bytea)]
    pub public_key: Vec<u8>,
    /// Whether it signs, or will.
    #[diesel(sql_type = Bool)]
    pub signs: bool,
    /// Since when.
    #[diesel(sql_type = Timestamptz)]
    pub signs_from: Timestamp,
}

/// One rotation at a time.
pub async fn lock(conn: &mut AsyncPgConnection) -> Result<()> {
    cached("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(ROTATION_LOCK).execute(conn).await?;
    Ok(())
}

/// Keys that are published at `now`, the latest first: those that sign or will, and those that still verify.
pub async fn load(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<Vec<KeyRow>> {
    let rows = cached(
        "SELECT key_id, seed_sealed, public_key, coalesce(retired_at > $1, true) AS signs, signs_from FROM signing_keys
          WHERE retired_at IS NULL OR verify_until > $1 ORDER BY signs_from DESC, created_at DESC, key_id",
    )
    .bind::<Timestamptz, _>(now)
    .load(conn)
    .await?;
    Ok(rows)
}

/// Retires the latest key at `at`; it verifies until `verify_until`.
pub async fn retire(conn: &mut AsyncPgConnection, at: Timestamp, verify_until: Timestamp) -> Result<()> {
    cached("UPDATE signing_keys SET retired_at = $1, verify_until = $2 WHERE retired_at IS NULL")
        .bind::<Timestamptz, _>(at)
        .bind::<Timestamptz, _>(verify_until)
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds the key that signs from `signs_from` on.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    key_id: &str,
    seed_sealed: &[u8],
    public_key: &[u8],
    now: Timestamp,
    signs_from: Timestamp,
) -> Result<()> {
    cached("INSERT INTO signing_keys (key_id, seed_sealed, public_key, created_at, signs_from) VALUES ($1, $2, $3, $4, $5)")
        .bind::<Text, _>(key_id)
        .bind::<Bytea, _>(seed_sealed)
        .bind::<Bytea, _>(public_key)
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(signs_from)
        .execute(conn)
        .await?;
    Ok(())
}

/// Wipes the secret of keys that verify nothing any more.
pub async fn forget(conn: &mut AsyncPgConnection, now: Timestamp) -> Result<()> {
    cached("DELETE FROM signing_keys WHERE verify_until <= $1")
        .bind::<Timestamptz, _>(now)
        .execute(conn)
        .await?;
    Ok(())
}
