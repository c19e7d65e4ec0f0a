//! The audit chain on disk. Entries are appended one after another under a lock and never changed (a trigger refuses).

use chassis::{Error, Result, Timestamp, crypto::Crypto, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Bytea, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Limit, corrupt};
use crate::domain::audit::{Access, Check, Decision, EDITED, Entry, Fault, Head, KEY};

/// Key of the advisory lock of the chain.
const CHAIN_LOCK: i64 = 0x6175_6469;

/// Entries read at once when the chain is checked.
const PAGE: Limit = 5_000;

#[derive(QueryableByName)]
struct Newest {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Bytea)]
    hash: Vec<u8>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Timestamptz)]
    at: Timestamp,
    #[diesel(sql_type = Text)]
    actor_ref: String,
    #[diesel(sql_type = SmallInt)]
    role: i16,
    #[diesel(sql_type = Text)]
    purpose: String,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Text)]
    object_kind: String,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    object_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    reason_code: String,
    #[diesel(sql_type = Text)]
    decision: String,
    #[diesel(sql_type = Bytea)]
    prev_hash: Vec<u8>,
    #[diesel(sql_type = Bytea)]
    hash: Vec<u8>,
}

impl TryFrom<Row> for Entry {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            seq: row.seq,
            access: Access {
                at: row.at,
                actor_ref: row.actor_ref,
                role: row.role,
                purpose: row.purpose,
                action: row.action,
                object_kind: row.object_kind,
                object_id: row.object_id,
                reason_code: row.reason_code,
                decision: match row.decision.as_str() {
                    "allow" => Decision::Allow,
                    "deny" => Decision::Deny,
                    _ => return Err(corrupt("decision")),
                },
            },
            // A hash of another length was tampered with; it then matches nothing.
            prev_hash: row.prev_hash.try_into().unwrap_or([0xff; 32]),
            hash: row.hash.try_into().unwrap_or([0xff; 32]),
        })
    }
}

/// Appends an access to the chain, in the caller's transaction.
pub async fn append(conn: &mut AsyncPgConnection, crypto: &Crypto, access: Access) -> Result<()> {
    cached("SELECT pg_advisory_xact_lock($1)").bind::<BigInt, _>(CHAIN_LOCK).execute(conn).await?;
    let newest: Option<Newest> = cached("SELECT seq, hash FROM audit_entries ORDER BY seq DESC LIMIT 1")
        .get_result(conn)
        .await
        .optional()?;
    let previous = match newest {
        Some(newest) => {
            Some((newest.seq, <[u8; 32]>::try_from(newest.hash).map_err(|_| corrupt("audit hash"))?))
        }
        None => None,
    };
    let entry = Entry::chain(previous, access, |bytes| crypto.blind_index(KEY, bytes));
    cached(
        "INSERT INTO audit_entries (seq, at, actor_ref, role, purpose, action, object_kind, object_id, reason_code, decision, prev_hash, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind::<BigInt, _>(entry.seq)
    .bind::<Timestamptz, _>(entry.access.at)
    .bind::<Text, _>(&entry.access.actor_ref)
    .bind::<SmallInt, _>(entry.access.role)
    .bind::<Text, _>(&entry.access.purpose)
    .bind::<Text, _>(&entry.access.action)
    .bind::<Text, _>(&entry.access.object_kind)
    .bind::<Nullable<SqlUuid>, _>(entry.access.object_id)
    .bind::<Text, _>(&entry.access.reason_code)
    .bind::<Text, _>(entry.access.decision.code())
    .bind::<Bytea, _>(&entry.prev_hash[..])
    .bind::<Bytea, _>(&entry.hash[..])
    .execute(conn)
    .await?;
    Ok(())
}

/// Every entry, in order.
pub async fn entries(conn: &mut AsyncPgConnection) -> Result<Vec<Entry>> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let next = page(conn, all.last().map_or(i64::MIN, |entry| entry.seq)).await?;
        if next.is_empty() {
            return Ok(all);
        }
        all.extend(next);
    }
}

/// Entries behind a number, in order, as many as are read at once; none behind the last.
pub async fn page(conn: &mut AsyncPgConnection, after: i64) -> Result<Vec<Entry>> {
    rows(conn, after).await?.into_iter().map(Entry::try_from).collect()
}

async fn rows(conn: &mut AsyncPgConnection, after: i64) -> Result<Vec<Row>> {
    Ok(cached(
        "SELECT seq, at, actor_ref, role, purpose, action, object_kind, object_id, reason_code, decision, prev_hash, hash
           FROM audit_entries WHERE seq > $1 ORDER BY seq LIMIT $2",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(PAGE)
    .load(conn)
    .await?)
}

/// Checks the whole chain, page by page, against a head noted elsewhere. The inner result is the newest entry, or the first fault.
pub async fn check(
    conn: &mut AsyncPgConnection,
    crypto: &Crypto,
    noted: Option<Head>,
) -> Result<std::result::Result<Option<Head>, Fault>> {
    let (mut check, mut after) = (Check::new(noted), i64::MIN);
    loop {
        let rows = rows(conn, after).await?;
        let Some(last) = rows.last() else { return Ok(check.end()) };
        after = last.seq;
        for row in rows {
            let seq = row.seq;
            let taken = match Entry::try_from(row) {
                Ok(entry) => check.take(&entry, |bytes| crypto.blind_index(KEY, bytes)),
                // What is no entry at all was not written here.
                Err(_) => Err(Fault { seq, cause: EDITED }),
            };
            if let Err(fault) = taken {
                return Ok(Err(fault));
            }
        }
    }
}
