//! Whether a case repeats what its requester asked before. Who asked stays here: the others are told yes or no, and only
//! that (`CaseFacts.repeats`). The question rides on the statement that loads a case and is answered once, by the index of a
//! requester's cases (never by that of the item's, which are many: hence the `|| ''`), from the first id that one of those days
//! can have; the answer stands in `cases.repeats` until item or place are set anew.

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

/// The first id that an earlier case can have which counts for this one: the index is read from there, however much the requester
/// asked for before. No id simply tells when its case was registered. That of an imported case is made of the domain's time of its
/// registration; any other of the machine's time when the request came in, which is behind by as much as time had been moved, and
/// that only grows. So what counts for a case that came in here was made at most sixty days before its own id, or is an imported
/// case of at most sixty days before its registration: whichever is earlier. What counts for an imported case, which does not
/// know how far time had been moved, is behind by no more than time has been moved to this day. A day is to spare, because a case is
/// registered a little after its id was made, and machines' clocks differ.
macro_rules! first_id {
    ($of:literal) => {
        concat!(
            "(lpad(to_hex(GREATEST(0, LEAST(('x' || lpad(replace(left(",
            $of,
            ".case_id::text, 13), '-', ''), 16, '0'))::bit(64)::bigint, (extract(epoch FROM ",
            $of,
            ".registered_at) * 1000)::bigint) - 61 * 86400000::bigint \
             - (SELECT offset_micros / 1000 FROM domain_clock))), 12, '0') || repeat('0', 20))::uuid"
        )
    };
}

/// Whether a case of this name has an earlier one of the same requester, item and place. A re-check of a benefit is no earlier
/// one, for nobody asked for it; that is looked up by its case (the subquery gives at most one row and never becomes a join), for
/// those alone that would count otherwise.
macro_rules! earlier {
    ($of:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM cases e WHERE e.requester_id = ",
            $of,
            ".requester_id AND e.case_id >= ",
            first_id!($of),
            " AND e.item_code || '' = ",
            $of,
            ".item_code AND e.place_unit_id = ",
            $of,
            ".place_unit_id AND e.registered_at >= ",
            $of,
            ".registered_at - interval '60 days' AND (e.registered_at, e.case_id) < (",
            $of,
            ".registered_at, ",
            $of,
            ".case_id) AND (SELECT r.outcome FROM benefit_rechecks r WHERE r.case_id = e.case_id) IS NULL)"
        )
    };
}

/// Loads and locks cases; the document only of those that stand at another version, or changed at another time, than is given
/// beside the id (found in the array, not by a join, which could go through all cases). An anonymous case has no requester, so it
/// never repeats one. Whether one has an earlier one is asked in a CASE, row by row, so that it never becomes a join with all
/// cases either.
pub const LOAD: &str = concat!(
    "SELECT c.case_id, c.told_version, CASE WHEN c.version <> ($2)[array_position($1, c.case_id)] \
     OR c.updated_at <> ($3)[array_position($1, c.case_id)] THEN c.doc END AS doc, \
     CASE WHEN c.repeats IS NULL AND c.requester_id IS NOT NULL AND c.item_code IS NOT NULL THEN ",
    earlier!("c"),
    " ELSE c.repeats END AS repeats FROM cases c WHERE c.case_id = ANY($1) ORDER BY c.case_id FOR UPDATE"
);

const AMONG: &str = concat!(
    "SELECT t.case_id FROM unnest($1, $2, $3, $4, $5) AS t (case_id, requester_id, item_code, place_unit_id, registered_at) \
     WHERE ",
    earlier!("t")
);

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
