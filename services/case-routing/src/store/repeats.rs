//! Whether a case repeats what its requester asked before. Who asked stays here: the others are told yes or no, and only
//! that (`CaseFacts.repeats`). The question rides on the statement that loads a case and is answered once, by the index of a
//! requester's cases; the answer stands in `cases.repeats` until item or place are set anew.

use std::collections::HashSet;

use chassis::{Result, command::Change, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::record::CaseRecord;

/// Whether case `c` has an earlier one of the same requester, item and place, of at most 60 days before. In a CASE, so that
/// it is asked row by row and never becomes a join with all cases.
macro_rules! earlier {
    () => {
        "EXISTS (SELECT 1 FROM cases e WHERE e.requester_id = c.requester_id AND e.item_code = c.item_code \
         AND e.place_unit_id = c.place_unit_id AND e.registered_at >= c.registered_at - interval '60 days' \
         AND (e.registered_at, e.case_id) < (c.registered_at, c.case_id))"
    };
}

/// Loads and locks cases. An anonymous case has no requester, so it never repeats one.
pub const LOAD: &str = concat!(
    "SELECT c.told_version, c.doc, CASE WHEN c.repeats IS NULL AND c.requester_id IS NOT NULL \
     AND c.item_code IS NOT NULL THEN ",
    earlier!(),
    " ELSE c.repeats END AS repeats FROM cases c WHERE c.case_id = ANY($1) ORDER BY c.case_id FOR UPDATE"
);

const AMONG: &str = concat!(
    "SELECT case_id FROM (SELECT c.case_id, CASE WHEN c.item_code IS NOT NULL THEN ",
    earlier!(),
    " ELSE false END AS repeats FROM cases c WHERE c.case_id = ANY($1)) AS asked WHERE repeats"
);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// Which of these cases, which are stored, repeat another; also one of them another of them.
pub async fn among(mut conn: &AsyncPgConnection, changes: &[Change<CaseRecord>]) -> Result<HashSet<Uuid>> {
    let cases = changes.iter().map(|change| &change.after.case);
    let asked = cases.filter(|case| case.requester.is_some() && case.item.is_some());
    let asked: Vec<Uuid> = asked.map(|case| case.id.0).collect();
    if asked.is_empty() {
        return Ok(HashSet::new());
    }
    let rows: Vec<Row> = cached(AMONG).bind::<Array<SqlUuid>, _>(asked).load(&mut conn).await?;
    Ok(rows.into_iter().map(|row| row.case_id).collect())
}
