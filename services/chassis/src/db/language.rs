//! The language in which the server tells what went wrong. Which failures pass is told by its English messages (`error.rs`);
//! `lc_messages` may only be set by a superuser, so a database of another language is refused instead.

use diesel::{QueryableByName, sql_types::Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::cached;
use crate::{Error, Result};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    messages: String,
}

/// Refuses a database whose messages are not in English.
///
/// # Errors
/// `WrongState` that says what to do.
pub(super) async fn check(conn: &mut AsyncPgConnection) -> Result<()> {
    let Row { name, messages } =
        cached("SELECT current_database()::text AS name, current_setting('lc_messages') AS messages")
            .get_result(conn)
            .await?;
    if english(&messages) {
        return Ok(());
    }
    let message = format!(
        "tells its errors in the language of {messages}, but they are recognised in English only: let a superuser run \
         ALTER DATABASE \"{name}\" SET lc_messages = 'C', then start again"
    );
    Err(Error::wrong_state("database", name, message))
}

/// Whether a locale's messages are the untranslated ones. None named is that of the server's own environment, which nobody
/// chose: initdb always names one.
fn english(locale: &str) -> bool {
    let language = locale.split(['_', '.', '@', '-']).next().unwrap_or_default();
    ["", "C", "POSIX", "en", "English"].contains(&language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_english_messages_are_understood() {
        for locale in
            ["", "C", "C.UTF-8", "POSIX", "en_US.UTF-8", "en_GB", "en", "English_United States.1252"]
        {
            assert!(english(locale), "{locale}");
        }
        for locale in ["zh_CN.UTF-8", "zh_CN", "de_DE@euro", "et_EE.UTF-8", "Chinese_China.936", "CN"] {
            assert!(!english(locale), "{locale}");
        }
    }
}
