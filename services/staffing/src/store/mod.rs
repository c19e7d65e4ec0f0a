//! All SQL of staffing, in and out in domain types. Statements are constant texts with binds. No decision is made here.
//!
//! Locks are taken in one order everywhere — tasks, then assignments, then workers, each by id — so that consumers,
//! timers and commands never wait for each other in a circle. Organisations that somebody comes to are held before all of these
//! (`workers::come`). Behind them come posts, demands of transfers that count on them, and fund lines.

pub mod announced;
pub mod assignments;
pub mod demands;
pub mod grants;
pub mod lists;
pub mod notices;
pub mod posts;
pub mod shifts;
pub mod tasks;
pub mod workers;

use chassis::Error;
use diesel::result::{DatabaseErrorKind, Error as SqlError};
use diesel_migrations::{EmbeddedMigrations, embed_migrations};

pub use self::assignments::AssignmentStore;

/// The tables of staffing.
pub const MIGRATIONS: EmbeddedMigrations = embed_migrations!("migrations");

/// Lists of codes travel in one column per statement, joined by the unit separator, which no code contains.
const SEPARATOR: &str = "\u{1f}";

/// A list of codes as one text; `string_to_array(…, E'\x1f')` undoes it.
fn joined(codes: &[String]) -> String {
    codes.join(SEPARATOR)
}

/// A stored number that is no value of its enum: a defect.
fn corrupt(what: &str) -> Error {
    Error::internal(format!("a stored {what} has no meaning"))
}

/// Turns a violation of a named constraint into its domain answer; everything else keeps its meaning.
fn on_constraint(error: SqlError, constraint: &str, answer: impl FnOnce() -> Error) -> Error {
    match &error {
        SqlError::DatabaseError(
            DatabaseErrorKind::UniqueViolation | DatabaseErrorKind::ExclusionViolation,
            info,
        ) if info.constraint_name() == Some(constraint) => answer(),
        _ => error.into(),
    }
}
