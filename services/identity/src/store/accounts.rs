//! Logins with their password hashes, and what is remembered of failed tries. Real time.

use std::collections::BTreeSet;

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{Array, Bool, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::on_constraint;
use crate::domain::{PersonId, login::Failures};

/// A login.
#[derive(QueryableByName)]
pub struct Account {
    #[diesel(sql_type = SqlUuid)]
    person_id: Uuid,
    /// PHC string of argon2id.
    #[diesel(sql_type = Text)]
    pub password_hash: String,
    /// That of the password which somebody else chose last and the owner has changed since.
    #[diesel(sql_type = Nullable<Text>)]
    pub handed_out_hash: Option<String>,
}

impl Account {
    /// Whose it is.
    pub fn person_id(&self) -> PersonId {
        PersonId(self.person_id)
    }
}

/// Whoever chooses a password for somebody else.
pub struct Chooser {
    /// Who does so.
    pub person: PersonId,
    /// Who learns it: all who can sign in as that person, the person among them.
    pub known_to: BTreeSet<PersonId>,
}

impl Chooser {
    fn known_to(&self) -> Vec<Uuid> {
        self.known_to.iter().map(|person| person.0).collect()
    }
}

#[derive(QueryableByName)]
struct FailureRow {
    #[diesel(sql_type = Integer)]
    failed: i32,
    #[diesel(sql_type = Timestamptz)]
    last_at: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    locked_until: Option<Timestamp>,
}

/// What is remembered; a row that was made just now, to be held, remembers nothing.
fn remembered(row: Option<FailureRow>) -> Failures {
    row.map_or_else(Failures::default, |row| Failures {
        failed: row.failed,
        last_at: (row.failed > 0).then_some(row.last_at),
        locked_until: row.locked_until,
    })
}

/// The account of a login.
pub async fn get(conn: &mut AsyncPgConnection, login: &str) -> Result<Option<Account>> {
    let row = cached("SELECT person_id, password_hash, handed_out_hash FROM accounts WHERE login = $1")
        .bind::<Text, _>(login)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row)
}

/// Adds a login, with who chose its password; nobody where the suite itself did.
pub async fn insert(
    conn: &mut AsyncPgConnection,
    login: &str,
    person: PersonId,
    password_hash: &str,
    set_by: Option<&Chooser>,
    real_now: Timestamp,
) -> Result<()> {
    cached(
        "INSERT INTO accounts (login, person_id, password_hash, password_set_by, password_known_to,
                               created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind::<Text, _>(login)
    .bind::<SqlUuid, _>(person.0)
    .bind::<Text, _>(password_hash)
    .bind::<Nullable<SqlUuid>, _>(set_by.map(|by| by.person.0))
    .bind::<Array<SqlUuid>, _>(set_by.map(Chooser::known_to).unwrap_or_default())
    .bind::<Timestamptz, _>(real_now)
    .execute(conn)
    .await
    .map_err(|e| match &e {
        diesel::result::Error::DatabaseError(_, info) if info.constraint_name() == Some("accounts_pkey") => {
            Error::already_exists("account", login)
        }
        _ => on_constraint(e, "accounts_person_id_key", || Error::already_exists("account", person)),
    })?;
    Ok(())
}

/// The login of a person.
pub async fn login_of(conn: &mut AsyncPgConnection, person: PersonId) -> Result<Option<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        login: String,
    }
    let row: Option<Row> = cached("SELECT login FROM accounts WHERE person_id = $1")
        .bind::<SqlUuid, _>(person.0)
        .get_result(conn)
        .await
        .optional()?;
    Ok(row.map(|row| row.login))
}

/// Keeps the password of a login as it is until the transaction ends; whether it is still that of this hash.
pub async fn hold(conn: &mut AsyncPgConnection, login: &str, password_hash: &str) -> Result<bool> {
    let held = cached("SELECT 1 FROM accounts WHERE login = $1 AND password_hash = $2 FOR SHARE")
        .bind::<Text, _>(login)
        .bind::<Text, _>(password_hash)
        .execute(conn)
        .await?;
    Ok(held == 1)
}

/// Keeps the password of a person as it is until the transaction ends, whatever it is.
pub async fn hold_of(conn: &mut AsyncPgConnection, person: PersonId) -> Result<()> {
    cached("SELECT 1 FROM accounts WHERE person_id = $1 FOR SHARE")
        .bind::<SqlUuid, _>(person.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether somebody else chose the password of a login, which is held until the transaction ends: it is about to get another one.
pub async fn lock_chosen(conn: &mut AsyncPgConnection, login: &str) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        chosen: bool,
    }
    let row: Option<Row> =
        cached("SELECT password_set_by IS NOT NULL AS chosen FROM accounts WHERE login = $1 FOR UPDATE")
            .bind::<Text, _>(login)
            .get_result(conn)
            .await
            .optional()?;
    Ok(row.is_some_and(|row| row.chosen))
}

/// Gives a login another password, which whoever set it knows; whether that was done: where its owner approves, not by somebody
/// who may have chosen the one that was changed since.
pub async fn set_password(
    conn: &mut AsyncPgConnection,
    login: &str,
    password_hash: &str,
    by: &Chooser,
    approves: bool,
) -> Result<bool> {
    let set = cached(
        "UPDATE accounts SET password_hash = $2, password_set_by = $3, password_known_to = $4
          WHERE login = $1
            AND NOT ($5 AND password_set_by IS NULL AND (password_known_to || handed_out_by) && $4)",
    )
    .bind::<Text, _>(login)
    .bind::<Text, _>(password_hash)
    .bind::<SqlUuid, _>(by.person.0)
    .bind::<Array<SqlUuid>, _>(by.known_to())
    .bind::<Bool, _>(approves)
    .execute(conn)
    .await?;
    Ok(set == 1)
}

/// Gives a login another password, which its owner alone knows; whether the one before was still that of this hash. Who chose
/// that one and who learnt it is remembered, and so is its hash.
pub async fn change_password(
    conn: &mut AsyncPgConnection,
    login: &str,
    password_hash: &str,
    new_hash: &str,
) -> Result<bool> {
    let changed = cached(
        "UPDATE accounts
            SET handed_out_by = COALESCE(password_set_by, handed_out_by),
                handed_out_hash =
                    CASE WHEN password_set_by IS NULL THEN handed_out_hash ELSE password_hash END,
                password_hash = $3, password_set_by = NULL
          WHERE login = $1 AND password_hash = $2",
    )
    .bind::<Text, _>(login)
    .bind::<Text, _>(password_hash)
    .bind::<Text, _>(new_hash)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// Who can sign in as a person: the person and, until the person has changed the password, whoever chose it, by making the account
/// or setting it anew, and all who could sign in as the chooser then.
pub async fn password_known_to(conn: &mut AsyncPgConnection, person: PersonId) -> Result<BTreeSet<PersonId>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Array<SqlUuid>)]
        known_to: Vec<Uuid>,
    }
    let row: Option<Row> = cached(
        "SELECT password_known_to || password_set_by AS known_to
           FROM accounts WHERE person_id = $1 AND password_set_by IS NOT NULL",
    )
    .bind::<SqlUuid, _>(person.0)
    .get_result(conn)
    .await
    .optional()?;
    let others = row.map(|row| row.known_to).unwrap_or_default();
    Ok(others.into_iter().map(PersonId).chain([person]).collect())
}

/// Failed tries at the login behind this index.
pub async fn failures(conn: &mut AsyncPgConnection, login_index: &[u8]) -> Result<Failures> {
    let row = cached("SELECT failed, last_at, locked_until FROM sign_in_failures WHERE login_index = $1")
        .bind::<Bytea, _>(login_index)
        .get_result(conn)
        .await
        .optional()?;
    Ok(remembered(row))
}

/// As [`failures`], held until the transaction ends.
pub async fn lock_failures(conn: &mut AsyncPgConnection, login_index: &[u8]) -> Result<Failures> {
    let row = cached(
        "SELECT failed, last_at, locked_until FROM sign_in_failures WHERE login_index = $1 FOR UPDATE",
    )
    .bind::<Bytea, _>(login_index)
    .get_result(conn)
    .await
    .optional()?;
    Ok(remembered(row))
}

/// Remembers one more failure, with the row held, so that tries at once are all counted; gives what was
/// remembered before.
pub async fn add_failure(
    conn: &mut AsyncPgConnection,
    login_index: &[u8],
    now: Timestamp,
) -> Result<Failures> {
    let row = cached(
        "INSERT INTO sign_in_failures (login_index, failed, last_at) VALUES ($1, 0, $2)
         ON CONFLICT (login_index) DO UPDATE SET failed = sign_in_failures.failed
         RETURNING failed, last_at, locked_until",
    )
    .bind::<Bytea, _>(login_index)
    .bind::<Timestamptz, _>(now)
    .get_result(conn)
    .await
    .optional()?;
    let before = remembered(row);
    let after = before.after_failure(now);
    if after == before {
        return Ok(before);
    }
    cached("UPDATE sign_in_failures SET failed = $2, last_at = $3, locked_until = $4 WHERE login_index = $1")
        .bind::<Bytea, _>(login_index)
        .bind::<Integer, _>(after.failed)
        .bind::<Timestamptz, _>(now)
        .bind::<Nullable<Timestamptz>, _>(after.locked_until)
        .execute(conn)
        .await?;
    Ok(before)
}

/// Forgets the failures of a login after a success.
pub async fn clear_failures(conn: &mut AsyncPgConnection, login_index: &[u8]) -> Result<()> {
    cached("DELETE FROM sign_in_failures WHERE login_index = $1")
        .bind::<Bytea, _>(login_index)
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets failures older than `before`.
pub async fn forget_failures(conn: &mut AsyncPgConnection, before: Timestamp) -> Result<()> {
    cached("DELETE FROM sign_in_failures WHERE last_at < $1 AND (locked_until IS NULL OR locked_until < $1)")
        .bind::<Timestamptz, _>(before)
        .execute(conn)
        .await?;
    Ok(())
}
