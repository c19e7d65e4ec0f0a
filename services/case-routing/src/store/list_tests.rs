//! Lists over a long history: what a page reads of it, and that none is left out where a page ends early.

use chassis::{
    Clock, Service as _,
    db::Db,
    testing::{RowsRead, TestDb, rows_read},
};
use diesel_async::SimpleAsyncConnection;
use serde::Deserialize;

use super::*;
use crate::{App, domain::CaseState};

const STREET: Uuid = Uuid::from_u128(0xa1);
const OTHER_STREET: Uuid = Uuid::from_u128(0xa2);
const ORG: Uuid = Uuid::from_u128(0xb1);
const BUSY: Uuid = Uuid::from_u128(0xb3);
const LINE: &str = "housing";

/// 25,000 cases in the order of their numbers, by which ids are made: the 300 oldest are archived, the others closed, but for number
/// 2,000, which was withdrawn. All are in one street; every other one came in by [`ORG`].
const HISTORY: &str = "
    INSERT INTO cases (case_id, case_no, version, told_version, state, open, first_receiver_org_id, place_unit_id, place_path,
        street_id, registered_at, updated_at, doc)
    SELECT lpad(to_hex(n), 32, '0')::uuid, '', 1, 1,
        CASE WHEN n <= 300 THEN 'archived' WHEN n = 2000 THEN 'withdrawn' ELSE 'closed' END, false,
        lpad(CASE n % 2 WHEN 0 THEN 'b1' ELSE 'b2' END, 32, '0')::uuid, lpad('a1', 32, '0')::uuid,
        ARRAY[lpad('a1', 32, '0')::uuid], lpad('a1', 32, '0')::uuid, now(), now(), '{}'
    FROM generate_series(1, 25000) n;";

/// Of [`HISTORY`] all but the 3,000 oldest are archived, each with a task of [`BUSY`].
const MOSTLY_ARCHIVED: &str = "
    UPDATE cases SET state = 'archived' WHERE case_id > lpad(to_hex(3000), 32, '0')::uuid;
    INSERT INTO tasks (task_id, case_id, org_id, state, open, due_at, signed, active)
    SELECT case_id, case_id, lpad('b3', 32, '0')::uuid, 'approved', false, now(), true, false
    FROM cases WHERE case_id > lpad(to_hex(3000), 32, '0')::uuid;";

/// Behind [`HISTORY`], 3,000 archived cases and then 1,000 that are closed: nine in ten of the archived in another street, the others,
/// as all that are closed, in the same, of one line.
const TWO_STREETS: &str = "
    INSERT INTO cases (case_id, case_no, version, told_version, state, open, first_receiver_org_id, place_unit_id, place_path,
        street_id, line, registered_at, updated_at, doc)
    SELECT lpad(to_hex(n), 32, '0')::uuid, '', 1, 1, CASE WHEN n <= 33000 THEN 'archived' ELSE 'closed' END, false,
        lpad('b2', 32, '0')::uuid, street, ARRAY[street], street, line, now(), now(), '{}'
    FROM generate_series(30001, 34000) n,
        LATERAL (SELECT lpad(CASE WHEN n > 33000 OR n % 10 = 0 THEN 'a1' ELSE 'a2' END, 32, '0')::uuid AS street,
            CASE WHEN n > 33000 OR n % 10 = 0 THEN 'housing' END AS line) AS place;";

/// What finds the cases that were archived before the triggers were there.
const ARCHIVED_BEFORE: &str = include_str!("../../migrations/20261203000805_archived_before/up.sql");

/// Nothing is read of a case: that it is listed is what is looked at.
#[derive(Debug, Deserialize)]
struct Any {}

impl FromCase for Any {
    fn from_case(_: &Case) -> Self {
        Self {}
    }
}

async fn database() -> (TestDb, Db) {
    let test = TestDb::migrated(App::NAME, App::migrations).await.unwrap();
    let db = test.connect(App::NAME, Clock::system()).await.unwrap();
    db.conn().await.unwrap().batch_execute(HISTORY).await.unwrap();
    (test, db)
}

fn number(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn everywhere(states: &[CaseState]) -> CaseFilter {
    CaseFilter {
        reach: ReachFilter { all: true, ..ReachFilter::default() },
        states: states.to_vec(),
        limit: 51,
        ..CaseFilter::default()
    }
}

/// Of a desk at the street that belongs to an organisation.
fn desk(states: &[CaseState]) -> CaseFilter {
    let reach =
        ReachFilter { units: vec![STREET], lines: vec![None], orgs: vec![ORG], ..ReachFilter::default() };
    CaseFilter { reach, near: vec![STREET], ..everywhere(states) }
}

/// How many cases a page has, and which rows were read for it.
async fn page_read(db: &Db, filter: &CaseFilter) -> (usize, RowsRead) {
    let mut conn = db.list_conn().await.unwrap();
    let ask = async |conn: &mut AsyncPgConnection| {
        let page: Page<Any> = cases(conn, &CaseStore::default(), filter).await.unwrap();
        page.rows.len()
    };
    rows_read(&mut conn, ask).await
}

/// How many cases each page has, and where it says that the list goes on, until there is nothing more.
async fn pages(db: &Db, mut filter: CaseFilter) -> Vec<(usize, Option<Uuid>)> {
    let mut conn = db.list_conn().await.unwrap();
    let mut seen = Vec::new();
    loop {
        let page: Page<Any> = cases(&mut conn, &CaseStore::default(), &filter).await.unwrap();
        seen.push((page.rows.len(), page.on.map(|(_, id)| id)));
        match page.on {
            Some(on) => filter.after = Some(on),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn what_is_rare_in_a_history_is_looked_for_a_piece_at_a_time() {
    let (_test, db) = database().await;
    let rare = [CaseState::Withdrawn];
    let street = CaseFilter { streets: vec![STREET], units: vec![STREET], ..everywhere(&rare) };
    for newest in [everywhere(&rare), street, desk(&rare)] {
        // Half of the history came in by the organisation, and is looked through at once: no further than the rest.
        assert_eq!(pages(&db, newest.clone()).await, [(0, Some(number(5_001))), (1, None)], "{newest:?}");
        let oldest = CaseFilter { order: Order::Oldest, ..newest.clone() };
        assert_eq!(pages(&db, oldest).await, [(1, Some(number(20_000))), (0, None)], "{newest:?}");
        let due_last = CaseFilter { order: Order::DueLast, ..newest.clone() };
        assert_eq!(pages(&db, due_last).await, [(0, Some(number(5_001))), (1, None)], "{newest:?}");
        let due_first = CaseFilter { order: Order::DueFirst, ..newest.clone() };
        assert_eq!(pages(&db, due_first).await, [(1, Some(number(20_000))), (0, None)], "{newest:?}");
    }
    // Nothing lies behind the end of what is looked through, or of what is asked for.
    let rest = CaseFilter { after: Some((Timestamp::UNIX_EPOCH, number(20_000))), ..everywhere(&rare) };
    assert_eq!(pages(&db, rest).await, [(1, None)]);
    let span = CaseFilter { ids: Some((number(2_500), number(22_000))), ..everywhere(&rare) };
    assert_eq!(pages(&db, span).await, [(0, None)]);
    let elsewhere = CaseFilter { streets: vec![OTHER_STREET], ..everywhere(&rare) };
    assert_eq!(pages(&db, elsewhere).await, [(0, None)]);
}

#[tokio::test]
async fn a_page_reads_little_more_than_it_shows_however_long_the_history_is() {
    let (_test, db) = database().await;
    let read = async |filter: &CaseFilter| {
        let (found, read) = page_read(&db, filter).await;
        (found, read.get("cases").copied().unwrap_or_default())
    };
    let archived = |order: Order| CaseFilter { order, ..everywhere(&[CaseState::Archived]) };
    let closed = [CaseState::Closed];
    for filter in [
        archived(Order::Newest),
        archived(Order::Oldest),
        desk(&[CaseState::Archived]),
        everywhere(&closed),
        CaseFilter { streets: vec![STREET], ..everywhere(&closed) },
        CaseFilter { ids: Some((number(1_000), number(1_100))), ..everywhere(&closed) },
    ] {
        let (found, rows) = read(&filter).await;
        assert_eq!(found, 51, "{filter:?}");
        assert!(rows <= 4 * 51, "{rows} cases were read for {filter:?}");
    }
    // Of what is not there a bounded piece is read, once for the cases and once for where it ends.
    let (found, rows) = read(&everywhere(&[CaseState::Withdrawn])).await;
    assert!(found == 0 && rows < 41_000, "{rows} cases were read");
    // Where their ids stand apart, the end is found without the cases.
    db.conn().await.unwrap().batch_execute(MOSTLY_ARCHIVED).await.unwrap();
    let never =
        CaseFilter { registered_before: Some(Timestamp::UNIX_EPOCH), ..everywhere(&[CaseState::Archived]) };
    for filter in [
        CaseFilter { streets: vec![STREET], ..never.clone() },
        never,
        CaseFilter { org: Some(BUSY), ..everywhere(&[CaseState::Withdrawn]) },
    ] {
        let (found, rows) = read(&filter).await;
        assert!(found == 0 && rows < 21_000, "{rows} cases were read for {filter:?}");
        assert_eq!(pages(&db, filter.clone()).await, [(0, Some(number(5_001))), (0, None)], "{filter:?}");
    }
}

#[tokio::test]
async fn the_archive_of_a_street_or_a_line_is_read_past_that_of_the_others_and_past_what_is_newer() {
    let (_test, db) = database().await;
    db.conn().await.unwrap().batch_execute(TWO_STREETS).await.unwrap();
    let archived = everywhere(&[CaseState::Archived]);
    let of_line =
        ReachFilter { units: vec![STREET], lines: vec![Some(LINE.to_owned())], ..ReachFilter::default() };
    for newest in [
        CaseFilter { streets: vec![STREET], ..archived.clone() },
        CaseFilter { streets: vec![STREET], units: vec![STREET], ..archived.clone() },
        CaseFilter { reach: of_line, ..archived },
    ] {
        for order in [Order::Newest, Order::Oldest] {
            let filter = CaseFilter { order, ..newest.clone() };
            let (found, read) = page_read(&db, &filter).await;
            assert_eq!(found, 51, "{filter:?}");
            assert!(read.values().sum::<i64>() <= 4 * 51, "{read:?} for {filter:?}");
        }
    }
}

#[tokio::test]
async fn a_case_stands_among_the_archived_once_it_is_one() {
    let (_test, db) = database().await;
    let ids = async |street: Option<Uuid>, order: Order| {
        let streets = street.into_iter().collect();
        let filter = CaseFilter { streets, order, limit: 5, ..everywhere(&[CaseState::Archived]) };
        let mut conn = db.list_conn().await.unwrap();
        let (texts, key) = filter.driver();
        let part = rows(&mut conn, texts[usize::from(order == Order::Oldest)], key, &filter).await.unwrap();
        part.rows.iter().map(|row| row.case_id.as_u128()).collect::<Vec<_>>()
    };
    for street in [None, Some(STREET)] {
        assert_eq!(ids(street, Order::Newest).await, [300, 299, 298, 297, 296]);
        assert_eq!(ids(street, Order::Oldest).await, [1, 2, 3, 4, 5]);
    }
    let mut conn = db.conn().await.unwrap();
    let archive = "UPDATE cases SET state = 'archived' WHERE case_id = lpad(to_hex(400), 32, '0')::uuid";
    conn.batch_execute(archive).await.unwrap();
    for street in [None, Some(STREET)] {
        assert_eq!(ids(street, Order::Newest).await, [400, 300, 299, 298, 297]);
    }
    assert!(ids(Some(OTHER_STREET), Order::Newest).await.is_empty());
    // One that was archived before the triggers were there, and others that they have written meanwhile.
    let unknown = "DELETE FROM archived WHERE case_id = lpad(to_hex(300), 32, '0')::uuid";
    conn.batch_execute(unknown).await.unwrap();
    assert_eq!(ids(None, Order::Newest).await, [400, 299, 298, 297, 296]);
    conn.batch_execute(ARCHIVED_BEFORE).await.unwrap();
    for street in [None, Some(STREET)] {
        assert_eq!(ids(street, Order::Newest).await, [400, 300, 299, 298, 297]);
    }
}
