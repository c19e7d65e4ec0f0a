//! Lists of cases, a page at a time by key, each by the index that leads to it soonest ([`super::list_texts`]).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use chassis::{
    Error, Result, Timestamp,
    auth::{Caller, CallerKind, Role},
    db::cached,
};
use chrono::TimeDelta;
use diesel::{
    QueryableByName,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::de::DeserializeOwned;
use uuid::{Builder, Uuid};

use super::{
    case_store::CaseStore,
    list_running,
    list_texts::{
        ALL, BY_ASKED, BY_ITEM, BY_LINE, BY_ORG, BY_RECEIVER, BY_REQUESTER, BY_STREET, BY_WORDS,
        LOOK_THROUGH, OPEN, Texts,
    },
    rows::never,
    words,
};
use crate::{
    domain::{Case, CaseId, CaseState},
    reach,
};

/// What a caller reaches, as the queries ask it.
#[derive(Debug, Clone, Default)]
pub struct ReachFilter {
    /// Everything: a service.
    pub all: bool,
    /// Own requests.
    pub requester: Option<Uuid>,
    /// Units and, each at the same place, lines.
    pub units: Vec<Uuid>,
    pub lines: Vec<Option<String>>,
    /// Organisations that take part.
    pub orgs: Vec<Uuid>,
}

impl ReachFilter {
    pub fn of(caller: &Caller) -> Self {
        let scopes = || reach::place_scopes(caller);
        Self {
            all: caller.kind != CallerKind::Person,
            requester: caller.has(Role::Resident).then_some(caller.person_id),
            units: scopes().map(|scope| scope.unit_id).collect(),
            lines: scopes().map(|scope| scope.line.clone()).collect(),
            orgs: reach::part_orgs(caller),
        }
    }

    /// The same for disputes, of which a mediator's grants reach more.
    pub fn of_disputes(caller: &Caller) -> Self {
        let mut reach = Self::of(caller);
        for scope in caller.scopes.iter().filter(|scope| scope.role == Role::Mediator) {
            reach.units.push(scope.unit_id);
            reach.lines.push(None);
        }
        reach.orgs = reach::own_orgs(caller);
        reach
    }
}

/// Which cases to list.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    pub reach: ReachFilter,
    /// Empty: all.
    pub states: Vec<CaseState>,
    pub unit: Option<Uuid>,
    /// The street that `unit`, or everything within reach, lies in.
    pub street: Option<Uuid>,
    /// The street that the units within reach lie in, if it is one; organisations and own requests may lie elsewhere.
    pub near: Option<Uuid>,
    pub item_code: Option<String>,
    /// Only those whose clock does not run.
    pub still: bool,
    /// Overdue at this instant.
    pub overdue_at: Option<Timestamp>,
    pub org: Option<Uuid>,
    pub registered_after: Option<Timestamp>,
    pub registered_before: Option<Timestamp>,
    /// The ids that cases registered within that span have: they are made of the time ([`ids_within`]).
    pub ids: Option<(Uuid, Uuid)>,
    /// Only this requester's.
    pub mine: Option<Uuid>,
    /// Pairs of characters that the text must have ([`crate::domain::pairs`]); empty: any text.
    pub pairs: Vec<i32>,
    /// The cases that have them, where they are few ([`find`]).
    pub found: Option<Vec<Uuid>>,
    pub order: Order,
    /// Only cases behind this one.
    pub after: Option<CaseKey>,
    pub limit: i64,
}

/// In which order cases are listed. Ids are made in the order of registration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    #[default]
    Newest,
    Oldest,
    /// Next due first.
    DueFirst,
    /// Due last first.
    DueLast,
}

/// What a list of cases is ordered by.
pub type CaseKey = (Timestamp, Uuid);

impl Order {
    /// Where the list stands after a case.
    pub fn key(self, id: CaseId, running_due_at: Option<Timestamp>) -> CaseKey {
        let due = match self {
            Self::Newest | Self::Oldest => None,
            Self::DueFirst | Self::DueLast => running_due_at,
        };
        (due.unwrap_or_else(|| self.without()), id.0)
    }

    /// Stands for the due time of a case whose clock does not run: behind all others. Those are ordered by id.
    fn without(self) -> Timestamp {
        if self == Self::DueFirst { never() } else { Timestamp::UNIX_EPOCH }
    }

    /// Before the first.
    fn start(self) -> CaseKey {
        match self {
            Self::Newest => (Timestamp::UNIX_EPOCH, Uuid::max()),
            Self::Oldest | Self::DueFirst => (Timestamp::UNIX_EPOCH, Uuid::nil()),
            Self::DueLast => (never(), Uuid::max()),
        }
    }
}

/// The ids of cases registered at or after the first instant and before the second, with what is between the domain's time,
/// by which cases are registered, and the machine's, by which ids are made; and a day to spare.
pub fn ids_within(
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    clock: &chassis::Clock,
) -> Option<(Uuid, Uuid)> {
    if after.is_none() && before.is_none() {
        return None;
    }
    let ahead = clock.now() - clock.real_now();
    let spare = TimeDelta::days(1);
    let id = |at: Timestamp| {
        let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
    };
    let first = after.map_or(Uuid::nil(), |at| id(at - ahead.max(TimeDelta::zero()) - spare));
    let last = before.map_or(Uuid::max(), |at| id(at + (-ahead).max(TimeDelta::zero()) + spare));
    Some((first, last))
}

/// Cases that the index of words gives at most; of a word that more cases have, the newest ones are looked through
/// instead, which then finds a page soon.
const MOST_FOUND: i64 = 20_000;
/// Of the cases that it gives, so many are looked at at a time.
const FOUND_AT_ONCE: usize = 500;

impl CaseFilter {
    /// Whose own cases these are, if nobody else's can be among them.
    pub(super) fn requester(&self) -> Option<Uuid> {
        let reach = &self.reach;
        let own = reach.requester.filter(|_| !reach.all && reach.units.is_empty() && reach.orgs.is_empty());
        self.mine.or(own)
    }

    /// Whose own cases are asked for, the newest first and nothing else: what a resident looks at again and again.
    fn plainly_own(&self) -> Option<Uuid> {
        let Self {
            reach,
            states,
            unit,
            street,
            near: _,
            item_code,
            still,
            overdue_at,
            org,
            registered_after,
            registered_before,
            ids,
            mine: _,
            pairs,
            found,
            order,
            after: _,
            limit: _,
        } = self;
        let narrowed = !(states.is_empty() && pairs.is_empty() && found.is_none() && ids.is_none())
            || [unit, street, org].into_iter().any(Option::is_some)
            || [overdue_at, registered_after, registered_before].into_iter().any(Option::is_some)
            || item_code.is_some()
            || *still;
        let requester = self.requester().filter(|_| *order == Order::Newest && !narrowed)?;
        (reach.all || reach.requester == Some(requester)).then_some(requester)
    }

    /// The texts of the best index, and what it is looked up by.
    fn driver(&self) -> (Texts, Option<String>) {
        let reach = &self.reach;
        if let Some(requester) = self.requester() {
            return (BY_REQUESTER, Some(requester.to_string()));
        }
        let finished = |state: &CaseState| state.is_finished();
        // What is open is not much, and the agenda says of it what narrows it down.
        if self.overdue_at.is_some() || !(self.states.is_empty() || self.states.iter().any(finished)) {
            return (OPEN, None);
        }
        let part = (!reach.all && reach.units.is_empty() && reach.requester.is_none()).then_some(&reach.orgs);
        let only = part.and_then(|orgs| if let [org] = orgs[..] { Some(org) } else { None });
        if let Some(org) = self.org.or(only) {
            return (BY_ORG, Some(org.to_string()));
        }
        if let Some(item) = &self.item_code {
            return (BY_ITEM, Some(item.clone()));
        }
        if let Some(street) = self.street {
            return (BY_STREET, Some(street.to_string()));
        }
        let line = reach.lines.as_slice().first().cloned().flatten();
        let same = reach.lines.iter().all(|other| *other == line);
        if let Some(line) = line.filter(|_| same && reach.orgs.is_empty() && reach.requester.is_none()) {
            return (BY_LINE, Some(line));
        }
        (ALL, None)
    }

    /// Where no index alone leads there, those that together hold all that is asked for, and what each is looked up by: for an
    /// organisation the cases of its tasks and those that ask it for something; for whoever has a desk at one street, an
    /// organisation and own requests, and asks for nothing in particular, all that is within reach.
    fn several(&self) -> Option<Vec<(Texts, String)>> {
        let (reach, (texts, key)) = (&self.reach, self.driver());
        if texts == BY_ORG {
            return key.map(|org| vec![(BY_ORG, org.clone()), (BY_ASKED, org)]);
        }
        let street = self.near.filter(|_| texts == ALL && reach.orgs.len() <= 1)?;
        let mut all = vec![(BY_STREET, street.to_string())];
        all.extend(reach.requester.map(|requester| (BY_REQUESTER, requester.to_string())));
        for org in &reach.orgs {
            all.extend([BY_ORG, BY_RECEIVER, BY_ASKED].map(|texts| (texts, org.to_string())));
        }
        Some(all)
    }
}

/// A case as a list found it.
#[derive(Debug, Clone)]
pub struct Found<D> {
    /// When its running clock is due, as the index said that led here: the case may be a later one, and the list goes on behind
    /// the place where it stood.
    pub running_due_at: Option<Timestamp>,
    pub case: D,
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
    let within = filter.street.map(|street| filter.unit.unwrap_or(street));
    words::having(conn, &filter.pairs, within, MOST_FOUND).await
}

/// Cases within reach, in order. `conn` is one for lists ([`chassis::db::Db::list_conn`]).
pub async fn cases<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    filter: &CaseFilter,
) -> Result<Vec<Found<D>>> {
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
) -> Result<Vec<Found<D>>> {
    let last = filter.order == Order::DueLast;
    let behind = filter.after.filter(|(due, _)| *due == filter.order.without());
    let mut rows = Vec::new();
    if behind.is_none() {
        rows = running(conn, store, filter, last).await?;
    }
    let left = filter.limit - i64::try_from(rows.len()).unwrap_or(filter.limit);
    if left > 0 && filter.overdue_at.is_none() {
        let order = if last { Order::Newest } else { Order::Oldest };
        let others = CaseFilter { order, still: true, after: behind, limit: left, ..filter.clone() };
        rows.extend(by_id(conn, store, &others).await?);
    }
    Ok(rows)
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
        found.extend(rows(conn, texts[usize::from(last)], key, filter).await?);
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
) -> Result<Vec<Found<D>>> {
    let oldest = filter.order == Order::Oldest;
    let Some(found) = &filter.found else {
        if let Some(requester) = filter.plainly_own() {
            let rows = newest_own(conn, requester, filter).await?;
            return read(conn, store, &rows).await;
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
    for some in ids.chunks(FOUND_AT_ONCE) {
        rows.extend(page(conn, store, BY_WORDS[usize::from(oldest)], Some(array(some)), filter).await?);
        if rows.len() >= limit {
            rows.truncate(limit);
            break;
        }
    }
    Ok(rows)
}

/// What several indexes hold between them, each read as far as a page goes.
async fn several<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    indexes: Vec<(Texts, String)>,
    filter: &CaseFilter,
) -> Result<Vec<Found<D>>> {
    let oldest = filter.order == Order::Oldest;
    let mut found = Vec::new();
    for (texts, key) in indexes {
        found.extend(rows(conn, texts[usize::from(oldest)], Some(key), filter).await?);
    }
    found.sort_unstable_by(|a, b| if oldest { a.case_id.cmp(&b.case_id) } else { b.case_id.cmp(&a.case_id) });
    merged(conn, store, found, filter).await
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
) -> Result<Option<Vec<Found<D>>>> {
    if filter.pairs.is_empty() || filter.order != Order::Newest || filter.requester().is_some() {
        return Ok(None);
    }
    let full = |found: usize| i64::try_from(found).is_ok_and(|found| found >= filter.limit);
    if let Some(indexes) = filter.several() {
        // A word that is common in the street, or among an organisation's, is found soon in each of them.
        let (texts, key) = &indexes[0];
        let first = rows(conn, texts[LOOK_THROUGH], Some(key.clone()), filter).await?;
        return if full(first.len()) {
            several(conn, store, indexes, filter).await.map(Some)
        } else {
            Ok(None)
        };
    }
    let (texts, key) = filter.driver();
    let found = page(conn, store, texts[LOOK_THROUGH], key, filter).await?;
    Ok(full(found.len()).then_some(found))
}

async fn page<D: FromCase>(
    conn: &mut AsyncPgConnection,
    store: &CaseStore,
    text: &'static str,
    key: Option<String>,
    filter: &CaseFilter,
) -> Result<Vec<Found<D>>> {
    let rows = rows(conn, text, key, filter).await?;
    read(conn, store, &rows).await
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

async fn rows(
    conn: &mut AsyncPgConnection,
    text: &'static str,
    key: Option<String>,
    filter: &CaseFilter,
) -> Result<Vec<Row>> {
    let (first, last) = filter.ids.unwrap_or((Uuid::nil(), Uuid::max()));
    let after = filter.after.unwrap_or_else(|| filter.order.start());
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let reach = &filter.reach;
    // Those that were found have them.
    let pairs = if filter.found.is_some() { &[] } else { filter.pairs.as_slice() };
    let found = cached(text)
        .bind::<SqlUuid, _>(after.1)
        .bind::<BigInt, _>(filter.limit)
        .bind::<Array<Text>, _>(states)
        .bind::<Nullable<SqlUuid>, _>(filter.unit)
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
        .bind::<Nullable<SqlUuid>, _>(filter.street)
        .bind::<Bool, _>(reach.all || !(reach.units.is_empty() || filter.near.is_some()))
        .bind::<Nullable<SqlUuid>, _>(filter.near)
        // A person looks again and again at what is done about their own cases, which are then at hand.
        .bind::<Bool, _>(filter.requester().is_none())
        .load(conn)
        .await?;
    Ok(found)
}

/// As [`rows`], of [`CaseFilter::plainly_own`]: a text with a place for every filter takes the server longer to set up than to
/// answer.
async fn newest_own(conn: &mut AsyncPgConnection, requester: Uuid, filter: &CaseFilter) -> Result<Vec<Row>> {
    let after = filter.after.unwrap_or_else(|| filter.order.start());
    let found = cached(
        "SELECT case_id, version, updated_at, running_due_at, NULL::text AS doc FROM cases \
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
