//! What was suggested for cases that came without an item, beside what humans chose.

use chassis::{Error, Result, Timestamp, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Deserialize;
use uuid::Uuid;

use crate::{domain::TriageDecision, record::CaseRecord};

/// Writes the decisions that a batch made about suggestions; no statement where it made none.
pub async fn save(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<()> {
    let decided = changes.iter().filter_map(|change| {
        let after = &change.after.case;
        let decision = after.triage.as_ref()?;
        let before = change.before.as_ref().map(|before| (&before.case.triage, &before.case.item));
        (before != Some((&after.triage, &after.item))).then_some((after, decision))
    });
    let decided: Vec<_> = decided.collect();
    if decided.is_empty() {
        return Ok(());
    }
    let each = |of: &dyn Fn(&TriageDecision) -> i32| -> Vec<i32> {
        decided.iter().map(|(_, decision)| of(decision)).collect()
    };
    // An array of arrays cannot be taken apart by row.
    let items: Vec<String> =
        decided.iter().map(|(_, decision)| decision.suggestion.items.join(" ")).collect();
    let chosen: Vec<Option<&str>> = decided
        .iter()
        .map(|(case, decision)| {
            case.item.as_ref().filter(|_| decision.by_human).map(|item| item.code.as_str())
        })
        .collect();
    cached(
        "INSERT INTO suggestions (case_id, model_version, suggested, permille, automatic, chosen, decided_at) \
         SELECT id, model, string_to_array(items, ' '), permille, chosen IS NULL, chosen, at \
         FROM unnest($1, $2, $3, $4, $5, $6) AS t (id, model, items, permille, chosen, at) \
         ON CONFLICT (case_id) DO UPDATE SET chosen = excluded.chosen, decided_at = excluded.decided_at",
    )
    .bind::<Array<SqlUuid>, _>(decided.iter().map(|(case, _)| case.id.0).collect::<Vec<Uuid>>())
    .bind::<Array<Integer>, _>(each(&|decision| decision.suggestion.model))
    .bind::<Array<Text>, _>(items)
    .bind::<Array<Integer>, _>(each(&|decision| decision.suggestion.permille.into()))
    .bind::<Array<Nullable<Text>>, _>(chosen)
    .bind::<Array<Timestamptz>, _>(decided.iter().map(|(_, decision)| decision.at).collect::<Vec<_>>())
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// A human's choice against the first suggestion.
#[derive(Debug, Clone)]
pub struct Corrected {
    pub case_id: Uuid,
    pub model_version: i32,
    pub suggested: String,
    pub permille: i16,
    pub automatic: bool,
    pub chosen: String,
    pub decided_at: Timestamp,
    /// As it stands in the case.
    pub text_redacted: String,
}

#[derive(QueryableByName)]
struct CorrectedRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Integer)]
    model_version: i32,
    #[diesel(sql_type = Text)]
    suggested: String,
    #[diesel(sql_type = SmallInt)]
    permille: i16,
    #[diesel(sql_type = Bool)]
    automatic: bool,
    #[diesel(sql_type = Text)]
    chosen: String,
    #[diesel(sql_type = Timestamptz)]
    decided_at: Timestamp,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// What is read of a case's document.
#[derive(Deserialize)]
struct WithText {
    text_redacted: String,
}

/// Corrections after a case, in the order of the cases.
pub async fn corrections(
    conn: &mut AsyncPgConnection,
    model: Option<i32>,
    since: Option<Timestamp>,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Corrected>> {
    let rows: Vec<CorrectedRow> = cached(
        "SELECT s.case_id, s.model_version, s.suggested[1] AS suggested, s.permille, s.automatic, s.chosen, \
         s.decided_at, c.doc FROM suggestions s JOIN cases c USING (case_id) \
         WHERE s.case_id > $1 AND s.chosen <> s.suggested[1] AND ($2 IS NULL OR s.model_version = $2) \
         AND ($3 IS NULL OR s.decided_at >= $3) ORDER BY s.case_id LIMIT $4",
    )
    .bind::<SqlUuid, _>(after)
    .bind::<Nullable<Integer>, _>(model)
    .bind::<Nullable<Timestamptz>, _>(since)
    .bind::<BigInt, _>(limit)
    .load(conn)
    .await?;
    let read = |row: CorrectedRow| {
        let WithText { text_redacted } = serde_json::from_str(&row.doc).map_err(Error::internal)?;
        Ok(Corrected {
            case_id: row.case_id,
            model_version: row.model_version,
            suggested: row.suggested,
            permille: row.permille,
            automatic: row.automatic,
            chosen: row.chosen,
            decided_at: row.decided_at,
            text_redacted,
        })
    };
    rows.into_iter().map(read).collect()
}

/// What a version suggested beside what humans chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Tally {
    #[diesel(sql_type = Integer)]
    pub model_version: i32,
    /// A human decided.
    #[diesel(sql_type = BigInt)]
    pub decided: i64,
    /// Of these, the first suggestion was chosen.
    #[diesel(sql_type = BigInt)]
    pub first_right: i64,
    /// Of these, one of the suggestions was chosen.
    #[diesel(sql_type = BigInt)]
    pub in_first_three: i64,
    /// The machine triaged by itself.
    #[diesel(sql_type = BigInt)]
    pub automatic: i64,
    /// Of these, a human chose otherwise later.
    #[diesel(sql_type = BigInt)]
    pub automatic_corrected: i64,
}

/// Decisions of `[since, until)` by version, newest first.
pub async fn tallies(conn: &mut AsyncPgConnection, since: Timestamp, until: Timestamp) -> Result<Vec<Tally>> {
    Ok(cached(
        "SELECT model_version, count(chosen) AS decided, \
         count(*) FILTER (WHERE chosen = suggested[1]) AS first_right, \
         count(*) FILTER (WHERE chosen = ANY(suggested)) AS in_first_three, \
         count(*) FILTER (WHERE automatic) AS automatic, \
         count(*) FILTER (WHERE automatic AND chosen <> suggested[1]) AS automatic_corrected \
         FROM suggestions WHERE decided_at >= $1 AND decided_at < $2 \
         GROUP BY model_version ORDER BY model_version DESC",
    )
    .bind::<Timestamptz, _>(since)
    .bind::<Timestamptz, _>(until)
    .load(conn)
    .await?)
}
