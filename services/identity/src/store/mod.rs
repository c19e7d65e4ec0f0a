//! All SQL of identity, in and out in domain types. Statements are constant texts with binds; reach is part of the query.
//! No decision is made here.

pub mod accounts;
pub mod audit;
pub mod duty_authorities;
pub mod edges;
pub mod grants;
pub mod keys;
pub mod organizations;
pub mod people;
pub mod sessions;
pub mod tags;
pub mod units;

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    result::{DatabaseErrorKind, Error as SqlError},
    sql_types::Timestamptz,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

/// The tables of identity.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// A page of rows after a key: how many, in SQL terms.
pub type Limit = i64;

/// Real time by the clock of the database's server, which all replicas share; it goes on in a transaction.
pub async fn server_now(conn: &mut AsyncPgConnection) -> Result<Timestamp> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        at: Timestamp,
    }
    let row: Row = cached("SELECT clock_timestamp() AS at").get_result(conn).await?;
    Ok(row.at)
}

/// Turns a violation of a named constraint into its domain answer; everything else keeps its meaning.
pub(crate) fn on_constraint(error: SqlError, constraint: &str, answer: impl FnOnce() -> Error) -> Error {
    match &error {
        SqlError::DatabaseError(
            DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::CheckViolation
            | DatabaseErrorKind::ExclusionViolation,
            info,
        ) if info.constraint_name() == Some(constraint) => answer(),
        _ => error.into(),
    }
}

/// A stored number that is no value of its enum: a defect.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::internal(format!("a stored {what} has no meaning"))
}
