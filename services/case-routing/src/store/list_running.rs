//! By which index the cases whose clock runs are listed in the order of their due times.

use chassis::{Result, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{
    list::array,
    list_filter::CaseFilter,
    list_texts::{
        RUNNING, RUNNING_FEW_FOUND, RUNNING_FOUND, RUNNING_OF_ASKED, RUNNING_OF_ORG, RUNNING_OF_REQUESTER,
    },
};

/// Cases that were found up to which they are looked up one by one: to go through all that run takes as long as some thousands.
const FEW_FOUND: usize = 2_000;

/// Tasks in running cases up to which an organisation's are read by themselves. Where there are more, the agenda of all that run
/// fills a page soon, and says of each case what else is asked before the case is read.
const FEW: i64 = 1_000;

/// The texts of an index, due first and due last, and what it is looked up by.
pub type Running = ([&'static str; 2], Option<String>);

/// The index that leads there soonest, or those that together do.
pub async fn texts(conn: &mut AsyncPgConnection, filter: &CaseFilter) -> Result<Vec<Running>> {
    if let Some(requester) = filter.requester() {
        return Ok(vec![(RUNNING_OF_REQUESTER, Some(requester.to_string()))]);
    }
    if let Some(found) = &filter.found {
        let texts = if found.len() <= FEW_FOUND { RUNNING_FEW_FOUND } else { RUNNING_FOUND };
        return Ok(vec![(texts, Some(array(found)))]);
    }
    if let Some(org) = filter.org
        && few(conn, org).await?
    {
        let org = Some(org.to_string());
        return Ok(vec![(RUNNING_OF_ORG, org.clone()), (RUNNING_OF_ASKED, org)]);
    }
    Ok(vec![(RUNNING, None)])
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Whether an organisation has no more than [`FEW`] tasks in running cases; many have none.
async fn few(conn: &mut AsyncPgConnection, org: Uuid) -> Result<bool> {
    let row: Count = cached(
        "SELECT count(*) AS n FROM \
         (SELECT 1 FROM tasks WHERE org_id = $1 AND running_due_at IS NOT NULL LIMIT $2) t",
    )
    .bind::<SqlUuid, _>(org)
    .bind::<BigInt, _>(FEW + 1)
    .get_result(conn)
    .await?;
    Ok(row.n <= FEW)
}
