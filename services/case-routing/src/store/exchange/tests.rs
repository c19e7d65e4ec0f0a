//! Who takes up what, and what stands beside a number that is taken, over a real database.

use std::{collections::BTreeMap, time::Duration};

use chassis::{
    Clock, Service as _, Timestamp,
    clock::new_id,
    db::{Db, Tx},
    testing::TestDb,
};
use chrono::TimeDelta;
use diesel::{QueryableByName, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use tokio::{task::yield_now, time::Instant};
use uuid::Uuid;

use super::{
    changes::{Claim, claim, tell},
    tickets,
};
use crate::{
    App,
    domain::{CaseState, TicketId, exchange::Report},
};

/// Six systems, each with ten tickets that are due, those of the first the longest.
const SYSTEMS: &str = "
    INSERT INTO external_systems (system_code, name_zh, name_en, direction, state, endpoint, line_codes, version, updated_at)
    SELECT 's' || i, '', '', 'in', 'on', 'https://example.com/', '{}', 1, now() FROM generate_series(1, 6) i;
    INSERT INTO external_mappings (system_code, mapping_version, state, content, drafted_by, drafted_at, endpoint)
    SELECT 's' || i, 1, 'in_force', '{}', '', now(), 'https://example.com/' FROM generate_series(1, 6) i;
    INSERT INTO external_tickets (ticket_id, system_code, case_id, case_no, direction, mapping_version, class_code, class_name,
        area_code, remark_count, taken_at, sync_state, waiting, attempts, due_at, last_error)
    SELECT gen_random_uuid(), 's' || i, gen_random_uuid(), '', 'in', 0, '', '', '', 0, now(), 'pending', 1, 0,
        '2026-03-02T00:00:00Z'::timestamptz + i * interval '1 minute' + n * interval '1 second', ''
    FROM generate_series(1, 6) i, generate_series(1, 10) n;";

async fn database() -> (TestDb, Db) {
    let test = TestDb::migrated(App::NAME, App::migrations).await.unwrap();
    let db = test.connect(App::NAME, Clock::system()).await.unwrap();
    (test, db)
}

/// How many are taken up of which system, where each begins with this much in hand.
async fn takes(db: &Db, most: i64, in_hand: &[(&str, i64)]) -> BTreeMap<String, usize> {
    let mut conn = db.conn().await.unwrap();
    conn.batch_execute("TRUNCATE external_systems CASCADE").await.unwrap();
    conn.batch_execute(SYSTEMS).await.unwrap();
    let now: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    let in_hand: Vec<(String, i64)> =
        in_hand.iter().map(|(system, count)| ((*system).to_owned(), *count)).collect();
    let lease = TimeDelta::minutes(1);
    let claimed = Claim { now, lease, token: new_id(), most, kept: 1, in_hand: &in_hand, each: 4 };
    let mut taken = BTreeMap::new();
    for ticket in claim(&mut conn, &claimed).await.unwrap() {
        *taken.entry(ticket.system_code).or_default() += 1;
    }
    taken
}

fn told(taken: &[(&str, usize)]) -> BTreeMap<String, usize> {
    taken.iter().map(|(system, count)| ((*system).to_owned(), *count)).collect()
}

#[tokio::test]
async fn systems_take_turns_and_those_that_are_slow_never_take_every_place() {
    let (_test, db) = database().await;
    let all = takes(&db, 16, &[]).await;
    assert_eq!(all, told(&[("s1", 3), ("s2", 3), ("s3", 3), ("s4", 2), ("s5", 2), ("s6", 2)]));
    let slow = [("s1", 4), ("s2", 4), ("s3", 4), ("s4", 3)];
    assert_eq!(takes(&db, 1, &slow).await, told(&[("s5", 1)]), "nothing in hand, and waits the longest");
    let busy = [("s1", 1), ("s2", 4), ("s3", 4), ("s4", 4), ("s5", 1), ("s6", 1)];
    assert_eq!(takes(&db, 1, &busy).await, told(&[]), "the last place is for whoever has nothing in hand");
    assert_eq!(takes(&db, 3, &busy).await, told(&[("s1", 1), ("s5", 1)]), "the fewest in hand first");
    let full = [("s1", 3), ("s2", 4), ("s3", 9), ("s4", 4), ("s5", 4), ("s6", 4)];
    assert_eq!(takes(&db, 16, &full).await, told(&[("s1", 1)]), "so many with what is in hand");
}

/// Waits until somebody waits for a lock.
async fn somebody_waits(db: &Db) {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = BigInt)]
        n: i64,
    }
    let waiting = "SELECT count(*) AS n FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut conn = db.conn().await.unwrap();
    let begun = Instant::now();
    while diesel::sql_query(waiting).get_result::<Waiting>(&mut conn).await.unwrap().n == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody waits");
        yield_now().await;
    }
}

#[tokio::test]
async fn a_delivery_is_noted_while_another_change_of_its_ticket_is_told() {
    let (_test, db) = database().await;
    let ticket = TicketId(Uuid::from_u128(1));
    let mut noting = db.conn().await.unwrap();
    noting.batch_execute(SYSTEMS).await.unwrap();
    noting
        .batch_execute(
            "UPDATE external_tickets SET ticket_id = '00000000-0000-0000-0000-000000000001' WHERE ticket_id IN \
             (SELECT ticket_id FROM external_tickets WHERE system_code = 's1' LIMIT 1)",
        )
        .await
        .unwrap();
    let at: Timestamp = "2026-03-02T01:00:00Z".parse().unwrap();
    let report = Report { ticket, number: 1, state: CaseState::Accepted, closed_code: None, at };
    // As the courier does it: that the delivery ended, where the ticket stands, and the number that it has there.
    noting.batch_execute("BEGIN; UPDATE external_tickets SET in_hand = false").await.unwrap();
    let telling = db.transaction(async |tx: &mut Tx<'_>| tell(&*tx.conn, &[&report], at).await);
    let delivered = async {
        somebody_waits(&db).await;
        assert_eq!(tickets::lock(&noting, &[ticket.0], None).await.unwrap().len(), 1);
        tickets::number(&mut noting, ticket, "A").await.unwrap();
        noting.batch_execute("COMMIT").await.unwrap();
    };
    let (told, ()) = tokio::join!(telling, delivered);
    told.unwrap();
    let known = tickets::get(&mut db.conn().await.unwrap(), ticket).await.unwrap().unwrap();
    assert_eq!((known.ext_no.as_deref(), known.waiting), (Some("A"), 2));
}

#[tokio::test]
async fn a_number_that_is_taken_takes_nothing_else_back() {
    let (_test, db) = database().await;
    let (first, second) = (TicketId(Uuid::from_u128(1)), TicketId(Uuid::from_u128(2)));
    let mut conn = db.conn().await.unwrap();
    conn.batch_execute(SYSTEMS).await.unwrap();
    conn.batch_execute(
        "UPDATE external_tickets SET ticket_id = '00000000-0000-0000-0000-000000000001' WHERE ticket_id IN \
         (SELECT ticket_id FROM external_tickets WHERE system_code = 's1' LIMIT 1); \
         UPDATE external_tickets SET ticket_id = '00000000-0000-0000-0000-000000000002' WHERE ticket_id IN \
         (SELECT ticket_id FROM external_tickets WHERE system_code = 's1' AND ticket_id <> \
         '00000000-0000-0000-0000-000000000001' LIMIT 1)",
    )
    .await
    .unwrap();
    let given = db
        .transaction(async |tx: &mut Tx<'_>| {
            let mut given = vec![tickets::number_if_free(tx.conn, first, "A").await?];
            given.push(tickets::number_if_free(tx.conn, second, "A").await?);
            given.push(tickets::number_if_free(tx.conn, second, "B").await?);
            Ok(given)
        })
        .await
        .unwrap();
    assert_eq!(given, [true, false, true]);
    let numbers = async |id| tickets::get(&mut db.conn().await.unwrap(), id).await.unwrap().unwrap().ext_no;
    assert_eq!((numbers(first).await.as_deref(), numbers(second).await.as_deref()), (Some("A"), Some("B")));
}
