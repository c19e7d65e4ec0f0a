//! Sessions and refresh tokens, the latter by hash only. Real time.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Bool, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::domain::{PersonId, SessionId, session::RefreshState};

/// Why a session ended; as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its owner signed out.
    SignedOut,
    /// A refresh token was used twice.
    TokenReused,
    /// A privileged person signed in anew, or became one, or the password was replaced by its owner.
    Replaced,
    /// An administrator took a role away, or set the password anew.
    Administrator,
}

impl EndReason {
    fn code(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::TokenReused => "token_reused",
            Self::Replaced => "replaced",
            Self::Administrator => "administrator",
        }
    }
}

/// A session that was ended just now.
#[derive(QueryableByName)]
pub struct Ended {
    #[diesel(sql_type = SqlUuid)]
    session_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    /// When its last access token runs out.
    #[diesel(sql_type = Timestamptz)]
    pub tokens_until: Timestamp,
}

impl Ended {
    /// The session.
    pub fn session_id(&self) -> SessionId {
        SessionId(self.session_id)
    }

    /// Whose it was.
    pub fn person_id(&self) -> PersonId {
        PersonId(self.person_id)
    }
}

/// A refresh token with its session.
#[derive(QueryableByName)]
pub struct RefreshRow {
    #[diesel(sql_type = SqlUuid)]
    session_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    expires_at: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    used_at: Option<Timestamp>,
    /// The token that followed, sealed.
    #[diesel(sql_type = Nullable<Bytea>)]
    pub successor_sealed: Option<Vec<u8>>,
    /// The branch that it is of; none of the session's own line.
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub branch_id: Option<Uuid>,
    #[diesel(sql_type = Timestamptz)]
    session_expires_at: Timestamp,
    #[diesel(sql_type = Bool)]
    session_ended: bool,
}

impl RefreshRow {
    /// The session.
    pub fn session_id(&self) -> SessionId {
        SessionId(self.session_id)
    }

    /// Whose it is.
    pub fn person_id(&self) -> PersonId {
        PersonId(self.person_id)
    }

    /// When the session ends at the latest.
    pub fn session_expires_at(&self) -> Timestamp {
        self.session_expires_at
    }

    /// What to decide on, with whether the branch that it is of has ended.
    pub fn state(&self, branch_ended: bool) -> RefreshState {
        RefreshState {
            expires_at: self.expires_at,
            used_at: self.used_at,
            has_successor: self.successor_sealed.is_some(),
            session_expires_at: self.session_expires_at,
            session_ended: self.session_ended,
            branch_ended,
        }
    }
}

/// Opens a session.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    id: SessionId,
    person: PersonId,
    now: Timestamp,
    expires_at: Timestamp,
    tokens_until: Timestamp,
) -> Result<()> {
    cached(
        "INSERT INTO sessions (session_id, person_id, created_at, expires_at, tokens_until) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<SqlUuid, _>(person.0)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(expires_at)
    .bind::<Timestamptz, _>(tokens_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes how far access tokens of the session reach.
pub async fn extend_tokens(conn: &mut AsyncPgConnection, id: SessionId, until: Timestamp) -> Result<()> {
    cached("UPDATE sessions SET tokens_until = greatest(tokens_until, $2) WHERE session_id = $1")
        .bind::<SqlUuid, _>(id.0)
        .bind::<Timestamptz, _>(until)
        .execute(conn)
        .await?;
    Ok(())
}

/// Ends a session; `None` when it has ended already.
pub async fn end(
    conn: &mut AsyncPgConnection,
    id: SessionId,
    reason: EndReason,
    now: Timestamp,
) -> Result<Option<Ended>> {
    let row = cached(
        "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE session_id = $1 AND ended_at IS NULL
         RETURNING session_id, person_id, tokens_until",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(reason.code())
    .get_result(conn)
    .await
    .optional()?;
    Ok(row)
}

/// Ends every open session of a person but one.
pub async fn end_others(
    conn: &mut AsyncPgConnection,
    person: PersonId,
    keep: SessionId,
    reason: EndReason,
    now: Timestamp,
) -> Result<Vec<Ended>> {
    let rows = cached(
        "UPDATE sessions SET ended_at = $3, end_reason = $4
          WHERE person_id = $1 AND session_id <> $2 AND ended_at IS NULL AND expires_at > $3
         RETURNING session_id, person_id, tokens_until",
    )
    .bind::<SqlUuid, _>(person.0)
    .bind::<SqlUuid, _>(keep.0)
    .bind::<Timestamptz, _>(now)
    .bind::<Text, _>(reason.code())
    .load(conn)
    .await?;
    Ok(rows)
}

/// Ends every open session of a person.
pub async fn end_all(
    conn: &mut AsyncPgConnection,
    person: PersonId,
    reason: EndReason,
    now: Timestamp,
) -> Result<Vec<Ended>> {
    end_others(conn, person, SessionId(Uuid::nil()), reason, now).await
}

/// Whether a session goes on.
pub async fn goes_on(conn: &mut AsyncPgConnection, id: SessionId) -> Result<bool> {
    let found = cached("SELECT 1 FROM sessions WHERE session_id = $1 AND ended_at IS NULL")
        .bind::<SqlUuid, _>(id.0)
        .execute(conn)
        .await?;
    Ok(found == 1)
}

/// A refresh token by its hash, with its session; both held until the transaction ends.
pub async fn lock_refresh(conn: &mut AsyncPgConnection, hash: &[u8]) -> Result<Option<RefreshRow>> {
    let row = cached(
        "SELECT t.session_id, s.person_id, t.expires_at, t.used_at, t.successor_sealed, t.branch_id,
                s.expires_at AS session_expires_at, s.ended_at IS NOT NULL AS session_ended
           FROM refresh_tokens t JOIN sessions s USING (session_id)
          WHERE t.token_hash = $1 FOR UPDATE",
    )
    .bind::<Bytea, _>(hash)
    .get_result(conn)
    .await
    .optional()?;
    Ok(row)
}

/// When a refresh token was used, if it was. Its session is held already.
pub async fn used_at(conn: &mut AsyncPgConnection, hash: &[u8]) -> Result<Option<Timestamp>> {
    #[derive(QueryableByName)]
    struct Used {
        #[diesel(sql_type = Nullable<Timestamptz>)]
        used_at: Option<Timestamp>,
    }
    let row: Option<Used> = cached("SELECT used_at FROM refresh_tokens WHERE token_hash = $1")
        .bind::<Bytea, _>(hash)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.and_then(|row| row.used_at))
}

/// Whether a branch goes on. Its session is held already, and so it is when a branch ends.
pub async fn branch_goes_on(conn: &mut AsyncPgConnection, branch: Uuid) -> Result<bool> {
    let found = cached("SELECT 1 FROM refresh_tokens WHERE gave_branch_id = $1")
        .bind::<SqlUuid, _>(branch)
        .execute(conn)
        .await?;
    Ok(found == 1)
}

/// Ends the branch that began with the use of a refresh token, if one did and goes on. At that token, which is held with its session: of
/// the branch's own ones another exchange may hold one, and wait for the session.
pub async fn end_branch(conn: &mut AsyncPgConnection, hash: &[u8]) -> Result<()> {
    cached(
        "UPDATE refresh_tokens SET gave_branch_id = NULL WHERE token_hash = $1 AND gave_branch_id IS NOT NULL",
    )
    .bind::<Bytea, _>(hash)
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds a refresh token, of the session's own line or of a branch.
pub async fn insert_refresh(
    conn: &mut AsyncPgConnection,
    hash: &[u8],
    session: SessionId,
    branch: Option<Uuid>,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    cached(
        "INSERT INTO refresh_tokens (token_hash, session_id, branch_id, issued_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind::<Bytea, _>(hash)
    .bind::<SqlUuid, _>(session.0)
    .bind::<Nullable<SqlUuid>, _>(branch)
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(expires_at)
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks a refresh token used, with its sealed successor and the branch that begins.
pub async fn use_refresh(
    conn: &mut AsyncPgConnection,
    hash: &[u8],
    successor: &[u8],
    gave_branch: Option<Uuid>,
    now: Timestamp,
) -> Result<()> {
    cached(
        "UPDATE refresh_tokens SET used_at = $2, successor_sealed = $3, gave_branch_id = $4 WHERE token_hash = $1",
    )
    .bind::<Bytea, _>(hash)
    .bind::<Timestamptz, _>(now)
    .bind::<Bytea, _>(successor)
    .bind::<Nullable<SqlUuid>, _>(gave_branch)
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets successors whose grace is over since `grace_before`, and sessions that ended or ran out before `before`.
pub async fn clean(conn: &mut AsyncPgConnection, grace_before: Timestamp, before: Timestamp) -> Result<()> {
    cached("UPDATE refresh_tokens SET successor_sealed = NULL WHERE successor_sealed IS NOT NULL AND used_at < $1")
        .bind::<Timestamptz, _>(grace_before)
        .execute(conn)
        .await?;
    cached("DELETE FROM sessions WHERE expires_at < $1").bind::<Timestamptz, _>(before).execute(conn).await?;
    Ok(())
}
