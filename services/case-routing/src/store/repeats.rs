//! Whether a case repeats what its requester asked before. Who asked stays here: the others are told yes or no, and only
//! that (`CaseFacts.repeats`). The question rides on the statement that loads a case and is answered once, by the index of a
//! requester's cases (never by that of the item's, which are many: hence the `|| ''`); the answer stands in `cases.repeats`
//! until item or place are set anew.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chassis::{Result, Timestamp, command::Change, db::cached};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Array, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::rows::requester;
use crate::record::CaseRecord;

/// Loads and locks cases; the document only of those that stand at another version than the given one. An anonymous case has no requester, so it never repeats one.
/// Whether one has an earlier one of the same requester, item and place is asked in a CASE, row by row, so that it never becomes a
/// join with all cases. A re-check of a benefit is no earlier one, for nobody asked for it; that is looked up by its case (the
/// subquery gives at most one row and never becomes a join), for those alone that would count otherwise.
pub const LOAD: &str = "SELECT c.case_id, c.told_version, CASE WHEN c.version <> k.version THEN c.doc END AS doc, CASE WHEN c.repeats IS NULL AND c.requester_id IS NOT NULL \
     AND c.item_code IS NOT NULL THEN EXISTS (SELECT 1 FROM cases e WHERE e.requester_id = c.requester_id \
     AND e.item_code || '' = c.item_code AND e.place_unit_id = c.place_unit_id \
     AND e.registered_at >= c.registered_at - interval '60 days' \
     AND (e.registered_at, e.case_id) < (c.registered_at, c.case_id) \
     AND (SELECT r.outcome FROM benefit_rechecks r WHERE r.case_id = e.case_id) IS NULL) \
     ELSE c.repeats END AS repeats FROM unnest($1, $2) AS k (case_id, version) JOIN cases c ON c.case_id = k.case_id \
     ORDER BY c.case_id FOR UPDATE OF c";

const AMONG: &str = "SELECT t.case_id FROM unnest($1, $2, $3, $4, $5) AS t (case_id, requester_id, item_code, place_unit_id, registered_at) \
     WHERE EXISTS (SELECT 1 FROM cases e WHERE e.requester_id = t.requester_id AND e.item_code || '' = t.item_code \
     AND e.place_unit_id = t.place_unit_id AND e.registered_at >= t.registered_at - interval '60 days' \
     AND (e.registered_at, e.case_id) < (t.registered_at, t.case_id) \
     AND (SELECT r.outcome FROM benefit_rechecks r WHERE r.case_id = e.case_id) IS NULL)";

/// How long before a case another counts.
const DAYS: i64 = 60;

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
}

/// What decides whether one case repeats another.
struct Asked {
    case_id: Uuid,
    requester: Uuid,
    item: String,
    place: Uuid,
    at: Timestamp,
}

/// Says of new cases that are about to be stored whether they repeat another, one that is stored or one of them: what comes
/// in later makes nothing a repeat that was none. Gives those that do.
pub async fn mark(mut conn: &AsyncPgConnection, changes: &mut [Change<CaseRecord>]) -> Result<HashSet<Uuid>> {
    let asked = changes.iter().filter_map(|change| {
        let case = &change.after.case;
        let requester = requester(case)?;
        let item = case.item.as_ref()?.code.clone();
        Some(Asked { case_id: case.id.0, requester, item, place: case.place.unit.0, at: case.registered_at })
    });
    let mut asked: Vec<Asked> = asked.collect();
    if asked.is_empty() {
        return Ok(HashSet::new());
    }
    asked.sort_by_key(|one| (one.at, one.case_id));
    let rows: Vec<Row> = cached(AMONG)
        .bind::<Array<SqlUuid>, _>(asked.iter().map(|one| one.case_id).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(asked.iter().map(|one| one.requester).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(asked.iter().map(|one| one.item.as_str()).collect::<Vec<_>>())
        .bind::<Array<SqlUuid>, _>(asked.iter().map(|one| one.place).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(asked.iter().map(|one| one.at).collect::<Vec<_>>())
        .load(&mut conn)
        .await?;
    let mut repeats: HashSet<Uuid> = rows.into_iter().map(|row| row.case_id).collect();
    let mut last: HashMap<(Uuid, &str, Uuid), Timestamp> = HashMap::new();
    for one in &asked {
        let before = last.insert((one.requester, one.item.as_str(), one.place), one.at);
        if before.is_some_and(|before| before >= one.at - TimeDelta::days(DAYS)) {
            repeats.insert(one.case_id);
        }
    }
    let known: HashSet<Uuid> = asked.iter().map(|one| one.case_id).collect();
    for change in changes {
        let case = Arc::make_mut(&mut change.after.case);
        case.repeats = known.contains(&case.id.0).then(|| repeats.contains(&case.id.0));
    }
    Ok(repeats)
}
