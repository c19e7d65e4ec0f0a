//! The index by which cases are found by their redacted text.

use std::fmt::Write as _;

use chassis::{Result, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{domain::pairs, record::CaseRecord};

/// What changes in the index with a case.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Same,
    Gone,
    Is(Vec<i32>),
}

fn entry(before: &str, text: &str) -> Entry {
    if text == before {
        return Entry::Same;
    }
    let pairs = pairs(text);
    if pairs.is_empty() { Entry::Gone } else { Entry::Is(pairs) }
}

/// Follows the texts: new ones, changed ones and those that are no longer there.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let (mut cases, mut lists, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let before = change.before.as_ref().map_or("", |record| record.case.text_redacted.as_str());
        match entry(before, &change.after.case.text_redacted) {
            Entry::Same => {}
            Entry::Gone => gone.push(change.after.case.id.0),
            Entry::Is(pairs) => {
                cases.push(change.after.case.id.0);
                lists.push(list(&pairs));
            }
        }
    }
    if !cases.is_empty() {
        cached(
            "INSERT INTO case_words (case_id, pairs) \
             SELECT case_id, pairs::integer[] FROM unnest($1, $2) AS t (case_id, pairs) \
             ON CONFLICT (case_id) DO UPDATE SET pairs = excluded.pairs",
        )
        .bind::<Array<SqlUuid>, _>(cases)
        .bind::<Array<Text>, _>(lists)
        .execute(&mut conn)
        .await?;
    }
    if !gone.is_empty() {
        cached("DELETE FROM case_words WHERE case_id = ANY($1)")
            .bind::<Array<SqlUuid>, _>(gone)
            .execute(&mut conn)
            .await?;
    }
    Ok(())
}

/// Notes the words of cases that have none noted.
pub async fn note(conn: &mut AsyncPgConnection, cases: &[(Uuid, Vec<i32>)]) -> Result<()> {
    let with: Vec<_> = cases.iter().filter(|(_, pairs)| !pairs.is_empty()).collect();
    if with.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO case_words (case_id, pairs) \
         SELECT case_id, pairs::integer[] FROM unnest($1, $2) AS t (case_id, pairs) ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(with.iter().map(|(case, _)| *case).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(with.iter().map(|(_, pairs)| list(pairs)).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// `{1,2}`: an array as text, because an array of arrays cannot be taken apart by row.
fn list(pairs: &[i32]) -> String {
    let mut text = String::with_capacity(2 + pairs.len() * 12);
    text.push('{');
    for (number, pair) in pairs.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{pair}"); // writing to a String does not fail
    }
    text.push('}');
    text
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// The cases that have all these pairs; `None` where there are more than `most`.
pub async fn having(conn: &mut AsyncPgConnection, pairs: &[i32], most: i64) -> Result<Option<Vec<Uuid>>> {
    let rows: Vec<IdRow> = cached("SELECT case_id FROM case_words WHERE pairs @> $1 LIMIT $2")
        .bind::<Array<Integer>, _>(pairs)
        .bind::<BigInt, _>(most.saturating_add(1))
        .load(conn)
        .await?;
    let few = i64::try_from(rows.len()).is_ok_and(|found| found <= most);
    Ok(few.then(|| rows.into_iter().map(|row| row.case_id).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_follows_a_text_until_it_is_erased() {
        assert_eq!(entry("", "路灯不亮"), Entry::Is(pairs("路灯不亮")));
        assert_eq!(entry("路灯不亮", "路灯不亮"), Entry::Same);
        assert_eq!(entry("路灯不亮", "井盖松动"), Entry::Is(pairs("井盖松动")));
        assert_eq!(entry("路灯不亮", ""), Entry::Gone);
        assert_eq!(entry("路灯不亮", "***"), Entry::Gone);
    }
}
