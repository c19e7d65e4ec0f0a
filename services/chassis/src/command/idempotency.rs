//! Stored answers: the same request, repeated, gets the same answer and does nothing twice. Each is sealed together with
//! the fingerprint of its request: the answer holds what the caller may see, and the bare hash of a request would let
//! whoever reads the table try out telephone numbers. Failures are not stored. Kept for 30 days, then purged.

use std::collections::HashMap;

use diesel::{
    QueryableByName,
    result::DatabaseErrorKind,
    sql_types::{Array, BigInt, Bytea, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::Meta;
use crate::{Error, Result, crypto::Crypto, db::cached};

/// Purpose of the sealing key.
const PURPOSE: &str = "idempotency";

/// Caller, method and request id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub caller: Uuid,
    pub method: &'static str,
    pub request_id: Uuid,
}

impl Key {
    pub(super) fn new(caller: Uuid, meta: &Meta) -> Self {
        Self { caller, method: meta.method, request_id: meta.request_id }
    }

    /// Binds a sealed answer to its key, so that rows cannot be swapped.
    fn aad(&self) -> Vec<u8> {
        [self.caller.as_bytes(), self.request_id.as_bytes(), self.method.as_bytes()].concat()
    }
}

/// An answer as stored: sealed, the fingerprint of the request and after it the compressed answer, or nothing.
#[derive(Debug, Clone)]
pub(super) struct Stored(Vec<u8>);

impl Stored {
    /// The encoded answer, if the body is the same.
    pub(super) fn open(&self, crypto: &Crypto, key: &Key, meta: &Meta) -> Result<Vec<u8>> {
        let opened = crypto.open(PURPOSE, &self.0, &key.aad())?;
        let (fingerprint, packed) = opened
            .split_first_chunk::<32>()
            .ok_or_else(|| Error::internal("a stored answer is shorter than its fingerprint"))?;
        if *fingerprint != meta.fingerprint {
            return Err(Error::invalid("request_id", "was used before with another request"));
        }
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        lz4_flex::decompress_size_prepended(packed).map_err(Error::internal)
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    caller: Uuid,
    #[diesel(sql_type = Text)]
    method: String,
    #[diesel(sql_type = SqlUuid)]
    request_id: Uuid,
    #[diesel(sql_type = Bytea)]
    answer: Vec<u8>,
}

/// The stored answers among these keys.
pub(super) async fn find(mut conn: &AsyncPgConnection, keys: &[Key]) -> Result<HashMap<Key, Stored>> {
    let ids: Vec<Uuid> = keys.iter().map(|k| k.request_id).collect();
    let rows: Vec<Row> =
        cached("SELECT caller, method, request_id, answer FROM idempotency WHERE request_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(&ids)
            .load(&mut conn)
            .await?;
    // Request ids hardly ever coincide between callers or methods, so the rest of the key is compared here.
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let key = keys.iter().find(|k| {
                k.request_id == row.request_id && k.caller == row.caller && k.method == row.method
            })?;
            Some((*key, Stored(row.answer)))
        })
        .collect())
}

/// One answer to store.
pub(super) struct Answer {
    pub key: Key,
    pub fingerprint: [u8; 32],
    pub encoded: Vec<u8>,
}

/// Stores answers in one statement. A key that is there already is `Stale`: another replica has carried the same
/// request out meanwhile, and its answer can be read once this transaction is undone.
pub(super) async fn insert(mut conn: &AsyncPgConnection, crypto: &Crypto, answers: &[Answer]) -> Result<()> {
    if answers.is_empty() {
        return Ok(());
    }
    let seal = |answer: &Answer| {
        let mut plain = answer.fingerprint.to_vec();
        if !answer.encoded.is_empty() {
            plain.extend(lz4_flex::compress_prepend_size(&answer.encoded));
        }
        crypto.seal(PURPOSE, &plain, &answer.key.aad())
    };
    let sealed: Vec<Vec<u8>> = answers.iter().map(seal).collect();
    cached(
        "INSERT INTO idempotency (caller, method, request_id, answer) SELECT unnest($1), unnest($2), unnest($3), \
         unnest($4)",
    )
    .bind::<Array<SqlUuid>, _>(answers.iter().map(|a| a.key.caller).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(answers.iter().map(|a| a.key.method).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(answers.iter().map(|a| a.key.request_id).collect::<Vec<_>>())
    .bind::<Array<Bytea>, _>(sealed)
    .execute(&mut conn)
    .await
    .map_err(|error| match error {
        diesel::result::Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => {
            Error::stale("request", "")
        }
        other => other.into(),
    })?;
    Ok(())
}

/// Removes up to `limit` answers older than `days`. Gives how many went.
pub(crate) async fn purge(conn: &mut AsyncPgConnection, days: i64, limit: i64) -> Result<usize> {
    Ok(cached(
        "DELETE FROM idempotency WHERE (request_id, caller, method) IN (SELECT request_id, caller, method \
         FROM idempotency WHERE created_at < clock_timestamp() - make_interval(days => $1::int) LIMIT $2)",
    )
    .bind::<BigInt, _>(days)
    .bind::<BigInt, _>(limit)
    .execute(conn)
    .await?)
}
