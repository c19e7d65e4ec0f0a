//! Mediations in which something is waited for in vain.

use chassis::{Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    mediations::{Listed, ListedRow, MediationFilter},
    reached::reached,
};

#[derive(QueryableByName)]
struct OverdueRow {
    #[diesel(sql_type = Timestamptz)]
    overdue_since: Timestamp,
    #[diesel(embed)]
    row: ListedRow,
}

/// Those of cases within reach and those of a party, whose day went by longest ago first, behind a place in the list; each with
/// that day as the list is ordered by it, which its document may not say any more. The filter's own place is of the other order.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &MediationFilter,
    after: Option<(Timestamp, Uuid)>,
) -> Result<Vec<(Timestamp, Listed)>> {
    let (since, id) = after.unzip();
    let rows: Vec<OverdueRow> = cached(concat!(
        "SELECT m.doc, m.overdue_since, c.state AS case_state, c.case_no \
         FROM mediations m JOIN cases c ON c.case_id = m.case_id \
         WHERE m.overdue_since IS NOT NULL AND ($10 IS NULL OR (m.overdue_since, m.mediation_id) > ($10, $1)) \
         AND (cardinality($2) = 0 OR m.state = ANY ($2)) AND ($3 IS NULL OR m.case_id = $3) AND (",
        reached!("$4", "$5", "$6", "$7", "$8"),
        " OR $11 = ANY (m.party_ids)) ORDER BY m.overdue_since, m.mediation_id LIMIT $9"
    ))
    .bind::<SqlUuid, _>(id.unwrap_or_default())
    .bind::<Array<Text>, _>(filter.states.iter().map(|state| state.as_str()).collect::<Vec<_>>())
    .bind::<Nullable<SqlUuid>, _>(filter.case)
    .bind::<Bool, _>(filter.reach.all)
    .bind::<Nullable<SqlUuid>, _>(filter.reach.requester)
    .bind::<Array<SqlUuid>, _>(&filter.reach.units)
    .bind::<Array<Nullable<Text>>, _>(&filter.reach.lines)
    .bind::<Array<SqlUuid>, _>(&filter.reach.orgs)
    .bind::<BigInt, _>(filter.limit)
    .bind::<Nullable<Timestamptz>, _>(since)
    .bind::<Nullable<SqlUuid>, _>(filter.party)
    .load(conn)
    .await?;
    rows.into_iter().map(|found| Ok((found.overdue_since, found.row.listed()?))).collect()
}
