//! Ended cases that are kept until they are archived. Most of a history is such, and stays so for years: apart from the agenda,
//! which work lists and timers read.

use chassis::{Result, Timestamp, command::Change, db::cached};
use diesel::sql_types::{Array, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::rows::kept_until;
use crate::record::CaseRecord;

/// Writes until when ended cases are kept.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let (mut new, mut kept, mut over) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let case = change.after.case.id.0;
        let was = change.before.as_ref().and_then(|before| kept_until(&before.case));
        match kept_until(&change.after.case) {
            now if now == was => {}
            Some(at) if change.before.is_none() => new.push((case, at)),
            Some(at) => kept.push((case, at)),
            None => over.push(case),
        }
    }
    // What is imported is new, and need not be looked for.
    for (sql, rows) in [
        ("INSERT INTO retention (case_id, archive_at) SELECT unnest($1), unnest($2)", new),
        (
            "INSERT INTO retention (case_id, archive_at) SELECT unnest($1), unnest($2) \
             ON CONFLICT (case_id) DO UPDATE SET archive_at = excluded.archive_at",
            kept,
        ),
    ] {
        if rows.is_empty() {
            continue;
        }
        let (cases, until): (Vec<Uuid>, Vec<Timestamp>) = rows.into_iter().unzip();
        cached(sql)
            .bind::<Array<SqlUuid>, _>(cases)
            .bind::<Array<Timestamptz>, _>(until)
            .execute(&mut conn)
            .await?;
    }
    if !over.is_empty() {
        cached("DELETE FROM retention WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(over)
            .execute(&mut conn)
            .await?;
    }
    Ok(())
}
