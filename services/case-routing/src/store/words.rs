//! The index by which cases are found by their redacted text.

use std::fmt::Write as _;

use chassis::{Result, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Integer, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::write::ids;
use crate::{
    domain::{Place, pairs},
    record::CaseRecord,
};

/// By what a case is found.
#[derive(Debug)]
pub struct Words {
    pub case: Uuid,
    /// See [`units`].
    pub units: Vec<Uuid>,
    pub pairs: Vec<i32>,
}

/// The units in which a search finds a case by the index alone: its street, and those below on the way to the place.
pub fn units(place: &Place) -> Vec<Uuid> {
    let below = place.path.iter().skip_while(|unit| Some(**unit) != place.street);
    below.map(|unit| unit.0).collect()
}

/// What changes in the index with a case.
#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Same,
    Gone,
    Is(Vec<i32>),
}

/// `moved`: the case is somewhere else now.
fn entry(before: &str, text: &str, moved: bool) -> Entry {
    if text == before && (text.is_empty() || !moved) {
        return Entry::Same;
    }
    let pairs = pairs(text);
    if pairs.is_empty() { Entry::Gone } else { Entry::Is(pairs) }
}

/// Follows the texts: new ones, changed ones and those that are no longer there; and the cases to where they are.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let (mut new, mut changed, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let case = &change.after.case;
        let before = change.before.as_ref().map(|record| &record.case);
        let text = before.map_or("", |before| before.text_redacted.as_str());
        let moved = before.is_some_and(|before| before.place.path != case.place.path);
        match entry(text, &case.text_redacted, moved) {
            Entry::Same => {}
            Entry::Gone => gone.push(case.id.0),
            Entry::Is(pairs) => {
                let words = Words { case: case.id.0, units: units(&case.place), pairs };
                if before.is_none() { new.push(words) } else { changed.push(words) }
            }
        }
    }
    // Of a new case there are none, and they need not be looked for.
    for (sql, words) in [
        (
            "INSERT INTO case_words (case_id, units, pairs) \
             SELECT case_id, units::uuid[], pairs::integer[] FROM unnest($1, $2, $3) AS t (case_id, units, pairs)",
            new,
        ),
        (
            "INSERT INTO case_words (case_id, units, pairs) \
             SELECT case_id, units::uuid[], pairs::integer[] FROM unnest($1, $2, $3) AS t (case_id, units, pairs) \
             ON CONFLICT (case_id) DO UPDATE SET units = excluded.units, pairs = excluded.pairs",
            changed,
        ),
    ] {
        if words.is_empty() {
            continue;
        }
        cached(sql)
            .bind::<Array<SqlUuid>, _>(words.iter().map(|words| words.case).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(words.iter().map(|words| ids(words.units.iter())).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(words.iter().map(|words| list(&words.pairs)).collect::<Vec<_>>())
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
pub async fn note(conn: &mut AsyncPgConnection, words: &[Words]) -> Result<()> {
    let with: Vec<_> = words.iter().filter(|words| !words.pairs.is_empty()).collect();
    if with.is_empty() {
        return Ok(());
    }
    cached(
        "INSERT INTO case_words (case_id, units, pairs) \
         SELECT case_id, units::uuid[], pairs::integer[] FROM unnest($1, $2, $3) AS t (case_id, units, pairs) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(with.iter().map(|words| words.case).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(with.iter().map(|words| ids(words.units.iter())).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(with.iter().map(|words| list(&words.pairs)).collect::<Vec<_>>())
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

/// Anywhere.
const HAVING: &str = "SELECT case_id FROM case_words WHERE pairs @> $1 LIMIT $2";

/// Within a unit. What all but a tenth of the texts have, by the planner's own figures, narrows nothing down there, but would be
/// read through in the index for the whole district: it is asked of the rows instead, unless the question has nothing else.
/// `IS TRUE` keeps that out of the index.
const HAVING_WITHIN: &str = "SELECT case_id FROM case_words WHERE units && $3 AND pairs @> coalesce(nullif(ARRAY(\
     SELECT unnest($1) EXCEPT SELECT e.pair FROM pg_stats s, \
     unnest(s.most_common_elems::text::integer[], s.most_common_elem_freqs) AS e (pair, share) \
     WHERE s.schemaname = current_schema() AND s.tablename = 'case_words' AND s.attname = 'pairs' \
     AND e.share > 0.9), '{}'::integer[]), $1) AND (pairs @> $1) IS TRUE LIMIT $2";

/// The cases that have all these pairs, of those in `units` where any are given: streets, or units below them. `None` where there
/// are more than `most`.
pub async fn having(
    conn: &mut AsyncPgConnection,
    pairs: &[i32],
    units: &[Uuid],
    most: i64,
) -> Result<Option<Vec<Uuid>>> {
    let text = if units.is_empty() { HAVING } else { HAVING_WITHIN };
    let asked = cached(text).bind::<Array<Integer>, _>(pairs).bind::<BigInt, _>(most.saturating_add(1));
    let rows: Vec<IdRow> = if units.is_empty() {
        asked.load(conn).await?
    } else {
        asked.bind::<Array<SqlUuid>, _>(units).load(conn).await?
    };
    let few = i64::try_from(rows.len()).is_ok_and(|found| found <= most);
    Ok(few.then(|| rows.into_iter().map(|row| row.case_id).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UnitId;

    #[test]
    fn the_index_follows_a_text_until_it_is_erased() {
        assert_eq!(entry("", "路灯不亮", false), Entry::Is(pairs("路灯不亮")));
        assert_eq!(entry("路灯不亮", "路灯不亮", false), Entry::Same);
        assert_eq!(entry("路灯不亮", "井盖松动", false), Entry::Is(pairs("井盖松动")));
        assert_eq!(entry("路灯不亮", "", false), Entry::Gone);
        assert_eq!(entry("路灯不亮", "***", false), Entry::Gone);
    }

    #[test]
    fn the_index_follows_a_case_to_another_place() {
        assert_eq!(entry("路灯不亮", "路灯不亮", true), Entry::Is(pairs("路灯不亮")));
        assert_eq!(entry("", "", true), Entry::Same);
        assert_eq!(entry("路灯不亮", "", true), Entry::Gone);
    }

    #[test]
    fn a_case_is_found_within_its_street_and_what_lies_below() {
        let unit = |n| UnitId(Uuid::from_u128(n));
        let place = |street: Option<u128>| Place {
            unit: unit(4),
            path: (1..=4).map(unit).collect(),
            street: street.map(unit),
            community: None,
            grid: None,
            point: None,
        };
        assert_eq!(units(&place(Some(3))), [Uuid::from_u128(3), Uuid::from_u128(4)]);
        assert_eq!(units(&place(Some(4))), [Uuid::from_u128(4)]);
        assert!(units(&place(None)).is_empty());
    }
}
