//! The language in which the server tells what went wrong. Which failures pass is told by its English messages (`error.rs`);
//! `lc_messages` may only be set by a superuser, so a database of another language is refused instead. The server is asked for
//! a message itself: where `lc_messages` is empty its environment decides, and a locale whose texts are not installed is English.

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use super::cached;
use crate::{Error, Result};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    messages: String,
}

/// Refuses a database whose messages are not in English. Not within a transaction: a statement fails for it.
///
/// # Errors
/// `WrongState` that says what to do.
pub(super) async fn check(conn: &mut AsyncPgConnection) -> Result<()> {
    let Err(error) = conn.batch_execute("SELECT 1/0").await else {
        return Err(Error::internal("the server divides by zero"));
    };
    let diesel::result::Error::DatabaseError(_, told) = &error else { return Err(error.into()) };
    if english(told.message()) {
        return Ok(());
    }
    let error = Error::from(error);
    if error.retryable() {
        return Err(error); // it did not come to the division
    }
    let Row { name, messages } =
        cached("SELECT current_database()::text AS name, current_setting('lc_messages') AS messages")
            .get_result(conn)
            .await?;
    let message = format!(
        "tells its errors in another language (lc_messages is '{messages}'), but they are recognised in English only: \
         let a superuser run ALTER DATABASE \"{name}\" SET lc_messages = 'C', then start again"
    );
    Err(Error::wrong_state("database", name, message))
}

/// Whether it is the untranslated text of a division by zero.
fn english(message: &str) -> bool {
    message == "division by zero"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, testing::TestDb};

    #[test]
    fn only_english_messages_are_understood() {
        assert!(english("division by zero"));
        for message in ["除以零", "除數為零", "Division durch Null", "division par zéro", ""] {
            assert!(!english(message), "{message}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_checked_goes_on() {
        let test_db = TestDb::empty().await.unwrap();
        let db = test_db.connect("producer", Clock::system()).await.unwrap();
        let mut conn = db.dedicated("").await.unwrap();
        for _ in 0..2 {
            check(&mut conn).await.unwrap();
            conn.batch_execute("CREATE TABLE IF NOT EXISTS seen (n integer)").await.unwrap();
        }
    }
}
