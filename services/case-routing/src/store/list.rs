//! Lists of cases, a page at a time by key, each by the index that leads to it soonest ([`super::list_texts`]).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use chassis::{Error, Result, Timestamp, db::cached};
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub use super::list_filter::{CaseFilter, CaseKey, Order, ReachFilter, ids_within, with_mergers};
use super::{
    case_store::CaseStore,
    list_running,
    list_texts::{BY_WORDS, LOOK_THROUGH, Texts},
    words,
};
use crate::domain::{Case, CaseId};

/// Cases that the index of words gives at most; of a word that more cases have, the newest ones are looked through
/// instead, which then finds a page soon.
const MOST_FOUND: i64 = 20_000;
/// Of the cases that it gives, so many are looked at at a time; twice a page at first, which is mostly enough.
const FOUND_AT_ONCE: usize = 500;

/// A case as a list found it.
#[derive(Debug, Clone)]
pub struct Found<D> {
    /// When its running clock is due, as the index said that led here: the case may be a later one, and the list goes on behind
    /// the place where it stood.
    pub running_due_at: Option<Timestamp>,
    pub case: D,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<D> {
    pub rows: Vec<Found<D>>,
    /// Where the list goes on if the page is not full, maybe empty, and yet not the last: so far an index was looked through.
    pub on: Option<CaseKey>,
}

impl<D> Page<D> {
    /// Behind which there is nothing, unless it is full.
    fn last(rows: Vec<Found<D>>) -> Self {
        Self { rows, on: None }
    }
}

/// What a list is read as: whole cases, or what a list shows of them ([`super::Listed`]).
pub trait FromCase: DeserializeOwned {
    /// What is read from the document of this case.
    fn from_case(case: &Case) -> Self;
}

impl FromCase for Case {
    fn from_case(case: &Case) -> Self {
        case.clone()
    }
}

/// Asks the index of words for the cases that have the filter's pairs; `None` where that is no help. On a connection for reads: that
/// index can only be read as a bitmap, which those for lists avoid.
pub async fn find(conn: &mut AsyncPgConnection, filter: &CaseFilter) -> Result<Option<Vec<Uuid>>> {
    if filter.pairs.is_empty() || filter.requester().is_some() {
        return Ok(None);
    }
    // Where the street is known, every case of the unit has both noted with its words.
    let of_unit = !(filter.streets.is_empty() || filter.units.is_empty());
    let within = if of_unit { &filter.units } else { &filter.streets };
    words::having(conn, &filter.pairs, within, MOST_FOUND).await
}

/// A page of the cases within reach, in order. `conn` is one for lists ([`chassis::db::Db::list_conn`]).
pub async fn cases<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    filter: &CaseFilter,
) -> Result<Page<D>> {
    match filter.order {
        Order::DueFirst | Order::DueLast => by_due(conn, store, filter).await,
        Order::Newest | Order::Oldest => by_id(conn, store, filter).await,
    }
}

/// Those whose clock runs, then the others by id.
async fn by_due<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    filter: &CaseFilter,
) -> Result<Page<D>> {
    let last = filter.order == Order::DueLast;
    let behind = filter.after.filter(|(due, _)| *due == filter.order.without());
    let mut page = Page::last(Vec::new());
    if behind.is_none() {
        page.rows = running(conn, store, filter, last).await?;
    }
    let left = filter.limit - i64::try_from(page.rows.len()).unwrap_or(filter.limit);
    if left > 0 && filter.overdue_at.is_none() {
        let order = if last { Order::Newest } else { Order::Oldest };
        let others = CaseFilter { order, still: true, after: behind, limit: left, ..filter.clone() };
        let others = by_id(conn, store, &others).await?;
        page.rows.extend(others.rows);
        page.on = others.on.map(|(_, id)| (filter.order.without(), id));
    }
    Ok(page)
}

/// Those whose clock runs, in the order of their due times.
async fn running<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    filter: &CaseFilter,
    last: bool,
) -> Result<Vec<Found<D>>> {
    let indexes = list_running::texts(conn, filter).await?;
    let several = indexes.len() > 1;
    let mut found = Vec::new();
    for (texts, key) in indexes {
        found.extend(rows(conn, texts[usize::from(last)], key, filter).await?.rows);
    }
    if several && last {
        found.sort_unstable_by_key(|row| Reverse((row.running_due_at, row.case_id)));
    } else if several {
        found.sort_unstable_by_key(|row| (row.running_due_at, row.case_id));
    }
    merged(conn, store, found, filter).await
}

async fn by_id<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    filter: &CaseFilter,
) -> Result<Page<D>> {
    let oldest = filter.order == Order::Oldest;
    let Some(found) = &filter.found else {
        if let Some(requester) = filter.plainly_own() {
            let rows = newest_own(conn, requester, filter).await?;
            return read(conn, store, &rows).await.map(Page::last);
        }
        if let Some(indexes) = filter.several() {
            return several(conn, store, indexes, filter).await;
        }
        let (texts, key) = filter.driver();
        return page(conn, store, texts[usize::from(oldest)], key, filter).await;
    };
    let (mut ids, after) = (found.clone(), filter.after.map(|key| key.1));
    if oldest {
        ids.retain(|id| after.is_none_or(|after| *id > after));
        ids.sort_unstable();
    } else {
        ids.retain(|id| after.is_none_or(|after| *id < after));
        ids.sort_unstable_by(|a, b| b.cmp(a));
    }
    let (mut rows, limit) = (Vec::new(), usize::try_from(filter.limit).unwrap_or(0));
    let (mut left, mut at_once) = (ids.as_slice(), (2 * limit).clamp(1, FOUND_AT_ONCE));
    while !left.is_empty() && rows.len() < limit {
        let (some, rest) = left.split_at(at_once.min(left.len()));
        rows.extend(page(conn, store, BY_WORDS[usize::from(oldest)], Some(array(some)), filter).await?.rows);
        (left, at_once) = (rest, FOUND_AT_ONCE);
    }
    rows.truncate(limit);
    Ok(Page::last(rows))
}

/// What several indexes hold between them, each read as far as a page goes, and together as far as all were looked through.
async fn several<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    indexes: Vec<(Texts, String)>,
    filter: &CaseFilter,
) -> Result<Page<D>> {
    let oldest = filter.order == Order::Oldest;
    let (mut found, mut on) = (Vec::new(), None::<Uuid>);
    for (texts, key) in indexes {
        let part = rows(conn, texts[usize::from(oldest)], Some(key), filter).await?;
        found.extend(part.rows);
        let nearer = |a: Uuid, b: Uuid| if oldest { a.min(b) } else { a.max(b) };
        on = match (on, part.on) {
            (Some(a), Some(b)) => Some(nearer(a, b)),
            (a, b) => a.or(b),
        };
    }
    if let Some(on) = on {
        found.retain(|row| if oldest { row.case_id <= on } else { row.case_id >= on });
    }
    found.sort_unstable_by(|a, b| if oldest { a.case_id.cmp(&b.case_id) } else { b.case_id.cmp(&a.case_id) });
    let rows = merged(conn, store, found, filter).await?;
    Ok(Page { rows, on: filter.goes_on(on) })
}

/// A page of what several indexes gave, in order. A case may have changed between two of them: it is listed once.
async fn merged<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    mut found: Vec<Row>,
    filter: &CaseFilter,
) -> Result<Vec<Found<D>>> {
    let mut seen = HashSet::new();
    found.retain(|row| seen.insert(row.case_id));
    found.truncate(usize::try_from(filter.limit).unwrap_or(0));
    read(conn, store, &found).await
}

/// The newest cases that have the filter's pairs, if the newest thousand of all that may be looked at fill a page: then nobody
/// needs to know how many have them. `conn` as for [`cases`].
pub async fn look_through<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    filter: &CaseFilter,
) -> Result<Option<Page<D>>> {
    if filter.pairs.is_empty() || filter.order != Order::Newest || filter.requester().is_some() {
        return Ok(None);
    }
    let full = |found: usize| i64::try_from(found).is_ok_and(|found| found >= filter.limit);
    if let Some(indexes) = filter.several() {
        // A word that is common in the street, or among an organisation's, is found soon in each of them; of streets that became one,
        // today's comes first.
        let (texts, key) = &indexes[0];
        let first = rows(conn, texts[LOOK_THROUGH], Some(key.clone()), filter).await?;
        return if full(first.rows.len()) {
            several(conn, store, indexes, filter).await.map(Some)
        } else {
            Ok(None)
        };
    }
    let (texts, key) = filter.driver();
    let found = page(conn, store, texts[LOOK_THROUGH], key, filter).await?;
    Ok(full(found.rows.len()).then_some(found))
}

async fn page<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    text: &'static str,
    key: Option<String>,
    filter: &CaseFilter,
) -> Result<Page<D>> {
    let part = rows(conn, text, key, filter).await?;
    let rows = read(conn, store, &part.rows).await?;
    Ok(Page { rows, on: filter.goes_on(part.on) })
}

/// What the rows show, in their order. Cases whose documents were left out are taken from those at hand, or read now; one of those
/// may have changed since, and is shown as it is.
async fn read<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    rows: &[Row],
) -> Result<Vec<Found<D>>> {
    let held = |row: &Row| {
        store.held(CaseId(row.case_id)).filter(|held| held.stands_at(row.version, row.updated_at))
    };
    let held: Vec<_> = rows.iter().map(|row| if row.doc.is_some() { None } else { held(row) }).collect();
    let left = rows.iter().zip(&held).filter(|(row, held)| row.doc.is_none() && held.is_none());
    let left: Vec<Uuid> = left.map(|(row, _)| row.case_id).collect();
    let left = if left.is_empty() { HashMap::new() } else { docs(conn, &left).await? };
    let shown = rows.iter().zip(held).filter_map(|(row, held)| {
        let case = match held {
            Some(held) => Ok(D::from_case(held.case())),
            None => {
                let doc = row.doc.as_ref().or_else(|| left.get(&row.case_id))?;
                serde_json::from_str(doc).map_err(Error::internal)
            }
        };
        Some(case.map(|case| Found { running_due_at: row.running_due_at, case }))
    });
    shown.collect()
}

async fn docs(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    let rows: Vec<DocRow> = cached("SELECT case_id, doc FROM cases WHERE case_id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .load(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.case_id, row.doc)).collect())
}

/// What an index gave.
struct Part {
    rows: Vec<Row>,
    /// So far it was looked through, and no further.
    on: Option<Uuid>,
}

async fn rows(
    conn: &mut AsyncPgConnection,
    text: &'static str,
    key: Option<String>,
    filter: &CaseFilter,
) -> Result<Part> {
    let (first, last) = filter.ids.unwrap_or((Uuid::nil(), Uuid::max()));
    let after = filter.after.unwrap_or_else(|| filter.order.start());
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let reach = &filter.reach;
    // Those that were found have them.
    let pairs = if filter.found.is_some() { &[] } else { filter.pairs.as_slice() };
    let mut rows: Vec<Row> = cached(text)
        .bind::<SqlUuid, _>(after.1)
        .bind::<BigInt, _>(filter.limit)
        .bind::<Array<Text>, _>(states)
        .bind::<Array<SqlUuid>, _>(&filter.units)
        .bind::<Nullable<Text>, _>(filter.item_code.as_deref())
        .bind::<Nullable<Timestamptz>, _>(filter.overdue_at)
        .bind::<Nullable<Timestamptz>, _>(filter.registered_after)
        .bind::<Nullable<Timestamptz>, _>(filter.registered_before)
        .bind::<Nullable<Text>, _>(key)
        .bind::<Bool, _>(reach.all)
        .bind::<Nullable<SqlUuid>, _>(reach.requester)
        .bind::<Array<SqlUuid>, _>(&reach.units)
        .bind::<Array<Nullable<Text>>, _>(&reach.lines)
        .bind::<Array<SqlUuid>, _>(&reach.orgs)
        .bind::<Nullable<SqlUuid>, _>(filter.org)
        .bind::<Timestamptz, _>(after.0)
        .bind::<Array<Integer>, _>(pairs)
        .bind::<SqlUuid, _>(first)
        .bind::<SqlUuid, _>(last)
        .bind::<Bool, _>(filter.still)
        .bind::<Array<SqlUuid>, _>(&filter.streets)
        .bind::<Bool, _>(reach.all || !reach.units.is_empty() && filter.near.is_empty())
        .bind::<Array<SqlUuid>, _>(&filter.near)
        // A person looks again and again at what is done about their own cases, which are then at hand.
        .bind::<Bool, _>(filter.requester().is_none())
        .load(conn)
        .await?;
    let looked = rows.iter().position(|row| row.looked);
    let on = looked.map(|place| rows.remove(place).case_id);
    Ok(Part { rows, on })
}

/// As [`rows`], of [`CaseFilter::plainly_own`]: a text with a place for every filter takes the server longer to set up than to
/// answer.
async fn newest_own(conn: &mut AsyncPgConnection, requester: Uuid, filter: &CaseFilter) -> Result<Vec<Row>> {
    let after = filter.after.unwrap_or_else(|| filter.order.start());
    let found = cached(
        "SELECT case_id, version, updated_at, running_due_at, NULL::text AS doc, false AS looked FROM cases \
         WHERE requester_id = $1 AND case_id < $2 ORDER BY case_id DESC LIMIT $3",
    )
    .bind::<SqlUuid, _>(requester)
    .bind::<SqlUuid, _>(after.1)
    .bind::<BigInt, _>(filter.limit)
    .load(conn)
    .await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = BigInt)]
    version: i64,
    #[diesel(sql_type = Timestamptz)]
    updated_at: Timestamp,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    running_due_at: Option<Timestamp>,
    #[diesel(sql_type = Nullable<Text>)]
    doc: Option<String>,
    /// It is no case of the list, but the last that was looked at.
    #[diesel(sql_type = Bool)]
    looked: bool,
}

#[derive(QueryableByName)]
struct DocRow {
    #[diesel(sql_type = SqlUuid)]
    case_id: Uuid,
    #[diesel(sql_type = Text)]
    doc: String,
}

/// `{a,b}`: ids as text, in which every index is looked up.
pub(super) fn array(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
