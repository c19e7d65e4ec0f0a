//! The event log, the digests for reconcile, and rebuilding everything from the log.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::support::{
    self, COMMUNITIES, DISTRICT, MANCHUN, board, client, digest, digests, in_turn, rebuild, start,
    story::{Story, at},
};
use analytics::{digest::Digests, store::stock};
use chassis::{
    Error,
    auth::Role,
    clock::new_id,
    db::Tx,
    event::Event,
    ops::DigestSource,
    testing::{Persona, TestService},
};
use chrono::TimeDelta;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::SimpleAsyncConnection;
use proto::{
    analytics::v1::{GetRollupDigestRequest, QueryIndicatorsRequest, RebuildRollupsRequest},
    case_routing::v1::{CaseState, DeliveryMode},
    staffing::v1::AssignmentAccepted,
};
use tonic::{Code, Request, Response};

/// Calls that are cut off, and calls that are not.
const SOON: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(30);

/// Of a connection whose transaction nobody ends but its test.
const STAYS_OPEN: &str = "-c idle_in_transaction_session_timeout=0";

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

async fn number(service: &TestService<analytics::App>, sql: &str) -> i64 {
    let mut conn = service.db().conn().await.unwrap();
    let row: Number =
        diesel_async::RunQueryDsl::get_result(sql_query(sql.to_owned()), &mut *conn).await.unwrap();
    row.n
}

/// Lives of all kinds, over several months.
fn lives(n: i64) -> Vec<Story> {
    (0..n)
        .map(|n| {
            let start = at("2026-01-05", 9) + TimeDelta::hours(n * 37);
            let place = COMMUNITIES[n as usize % 3];
            let (item, line) = [("roof", "housing"), ("noise", "urban")][n as usize % 2];
            let mut story = match n % 4 {
                0 => Story::register(start, place),
                _ => Story::whole(start, place, item, line),
            };
            match n % 6 {
                1 => drop(story.rate(start + TimeDelta::hours(50), 1, Some(true))),
                2 => drop(story.reopen(start + TimeDelta::days(9), start + TimeDelta::days(20))),
                4 => drop(story.suspend(start + TimeDelta::hours(2))),
                5 => drop(story.move_to(start + TimeDelta::hours(60), COMMUNITIES[0])),
                _ => {}
            }
            story
        })
        .collect()
}

#[tokio::test]
async fn a_rebuild_gives_the_same_bytes() {
    let service = start().await;
    let stories = lives(40);
    let events = in_turn(&stories);
    service.deliver_all(events.clone()).await;
    let before = digest(&service).await;
    assert!(before.facts >= 40 + 30 && before.rollups > 40, "{before:?}");
    assert!(number(&service, "SELECT count(*) AS n FROM stock_rollups").await > 0, "some are late");

    let first = new_id();
    let made = rebuild(&service, first).await;
    assert_eq!((made.events, &made.digest), (events.len() as i64, &before.digest));
    assert_eq!(made.digest_before, before.digest);
    assert_eq!(digest(&service).await, before);
    assert_eq!(rebuild(&service, first).await, made, "a repeat answers the same");

    // What was damaged is made good, and counting goes on in the new tables.
    let mut conn = service.db().conn().await.unwrap();
    let damage = "UPDATE rollups SET closed = COALESCE(closed, 0) + 1; DELETE FROM case_facts WHERE state = 1; \
                  TRUNCATE state_counts; DELETE FROM items; UPDATE stock_rollups SET overdue_in = overdue_in + 1";
    conn.batch_execute(damage).await.unwrap();
    drop(conn);
    let damaged = digest(&service).await.digest;
    assert_ne!(damaged, before.digest);
    let made = rebuild(&service, new_id()).await;
    assert_eq!((made.digest_before, made.digest), (damaged, before.digest.clone()));
    assert_eq!(number(&service, "SELECT count(*) AS n FROM items").await, 2);

    let more = Story::whole(at("2026-02-20", 9), COMMUNITIES[1], "roof", "housing");
    service.deliver_all(more.events.clone()).await;
    let after = digest(&service).await;
    assert_ne!(after, before);
    assert_eq!(rebuild(&service, new_id()).await.digest, after.digest);
    service.stop().await;
}

#[tokio::test]
async fn the_stock_is_right_though_a_replica_of_the_build_before_counts_beside_it() {
    let service = start().await;
    service.deliver_all(in_turn(&lives(40))).await;
    let before = digest(&service).await.digest;
    let late = async || {
        let request = QueryIndicatorsRequest { codes: vec!["I-12".to_owned()], ..Default::default() };
        let answer = client(&service, &support::analyst()).query_indicators(request).await.unwrap();
        answer.into_inner().values[0].numerator
    };
    let known = late().await;
    assert!(known > 0, "some are late");
    // It knows nothing of the sums: whatever it counted is in the rollups alone.
    let mut conn = service.db().conn().await.unwrap();
    let counted = "DELETE FROM stock_rollups; UPDATE consumption SET revision = revision + 1";
    conn.batch_execute(counted).await.unwrap();
    assert_eq!(late().await, known);
    stock::mend(&mut conn).await.unwrap();
    assert!(!stock::mend(&mut conn).await.unwrap(), "there is nothing left to mend");
    drop(conn);
    assert_eq!(late().await, known);
    assert_eq!(digest(&service).await.digest, before);
    service.stop().await;
}

#[tokio::test]
async fn a_rebuild_beside_the_consumer_loses_nothing() {
    let service = start().await;
    let stories = lives(60);
    service.deliver_all(in_turn(&stories[..30])).await;
    let later = in_turn(&stories[30..]);
    let delivering = async {
        for batch in later.chunks(9) {
            service.deliver_all(batch.to_vec()).await;
        }
    };
    let rebuilding = async {
        for _ in 0..4 {
            rebuild(&service, new_id()).await;
        }
    };
    tokio::join!(delivering, rebuilding);
    let live = digest(&service).await;
    assert_eq!(rebuild(&service, new_id()).await.digest, live.digest);
    let all = number(&service, "SELECT count(*) AS n FROM event_log").await;
    assert_eq!(all, stories.iter().map(|s| s.events.len() as i64).sum::<i64>());
    service.stop().await;
}

#[tokio::test]
async fn events_wait_for_whoever_holds_the_log_as_long_as_a_statement_may_take() {
    let service = start().await;
    let limit = service.db().transaction(async |tx: &mut Tx<'_>| {
        let sql = "SELECT setting::bigint AS n FROM pg_settings WHERE name = 'lock_timeout'";
        let row: Number = diesel_async::RunQueryDsl::get_result(sql_query(sql), &mut *tx.conn).await?;
        Ok(row.n)
    });
    assert_eq!(limit.await.unwrap(), 0, "what is taken in, is taken in by such a transaction");
    service.stop().await;
}

#[tokio::test]
async fn a_rebuild_that_outlasts_its_call_is_made_once_however_often_it_is_asked_for() {
    let service = start().await;
    service.deliver_all(in_turn(&lives(12))).await;
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let id = new_id();
    let ask = async |within: Duration| {
        let mut request = Request::new(RebuildRollupsRequest { request_id: id.to_string() });
        request.set_timeout(within);
        client(&service, &operator).rebuild_rollups(request).await.map(Response::into_inner)
    };
    let exchanges = "SELECT COALESCE(max(revision), 0)::bigint AS n FROM consumption WHERE slot = -1";
    let before = number(&service, exchanges).await;
    // No answer can be stored for now.
    let mut held = service.db().dedicated(STAYS_OPEN).await.unwrap();
    held.batch_execute("BEGIN; LOCK TABLE idempotency IN EXCLUSIVE MODE").await.unwrap();
    let exchanged = async || {
        ask(SOON).await.unwrap_err();
        number(&service, exchanges).await > before
    };
    service.wait_for("the tables are exchanged", exchanged).await;
    assert_eq!(ask(LATE).await.unwrap_err().code(), Code::FailedPrecondition, "it is not answered yet");
    held.batch_execute("COMMIT").await.unwrap();
    service.wait_for("the answer", async || ask(LATE).await.is_ok()).await;
    assert_eq!(number(&service, exchanges).await, before + 1);
    service.stop().await;
}

#[tokio::test]
async fn a_rebuild_that_waits_for_a_reader_holds_nobody_else_up() {
    let service = start().await;
    let stories = lives(12);
    service.deliver_all(in_turn(&stories)).await;
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let id = new_id();
    let ask = async |within: Duration| {
        let mut request = Request::new(RebuildRollupsRequest { request_id: id.to_string() });
        request.set_timeout(within);
        client(&service, &operator).rebuild_rollups(request).await.map(Response::into_inner)
    };
    let mut reading = service.db().dedicated(STAYS_OPEN).await.unwrap();
    reading.batch_execute("BEGIN; LOCK TABLE case_facts IN ACCESS SHARE MODE").await.unwrap();
    let waiting = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' \
                   AND relation = 'case_facts'::regclass \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waits = async || {
        ask(SOON).await.unwrap_err();
        number(&service, waiting).await > 0
    };
    service.wait_for("it would exchange the tables", waits).await;
    let more = Story::whole(at("2026-02-20", 9), COMMUNITIES[1], "roof", "housing");
    service.deliver_all(more.events.clone()).await;
    assert_eq!(ask(LATE).await.unwrap_err().code(), Code::FailedPrecondition, "it goes on");
    reading.batch_execute("COMMIT").await.unwrap();
    service.wait_for("the answer", async || ask(LATE).await.is_ok()).await;
    let made = ask(LATE).await.unwrap();
    let events = stories.iter().map(|story| story.events.len()).sum::<usize>() + more.events.len();
    assert_eq!((made.events, made.digest), (events as i64, digest(&service).await.digest));
    service.stop().await;
}

#[tokio::test]
async fn a_digest_that_outlasts_its_call_is_made_to_its_end_and_told_under_its_id() {
    let service = start().await;
    service.deliver_all(in_turn(&lives(12))).await;
    let before = digest(&service).await;
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let id = new_id();
    let ask = async |within: Duration, progress_only: bool| {
        let mut request = Request::new(GetRollupDigestRequest { digest_id: id.to_string(), progress_only });
        request.set_timeout(within);
        client(&service, &operator).get_rollup_digest(request).await.map(Response::into_inner)
    };
    // The table that is read last cannot be for now.
    let mut held = service.db().dedicated(STAYS_OPEN).await.unwrap();
    held.batch_execute("BEGIN; LOCK TABLE process_rollups IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = "SELECT count(*) AS n FROM pg_locks WHERE NOT granted \
                   AND relation = 'process_rollups'::regclass \
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let waits = async || {
        ask(SOON, false).await.unwrap_err();
        number(&service, waiting).await > 0
    };
    service.wait_for("it has read the others", waits).await;
    let progress = ask(LATE, true).await.unwrap();
    assert_eq!((progress.digest.as_str(), progress.rebuild_target), ("", 0), "nothing is read for it");
    held.batch_execute("DELETE FROM case_facts; COMMIT").await.unwrap();
    assert_eq!(ask(LATE, false).await.unwrap(), before, "the one that was begun");
    assert_ne!(ask(LATE, false).await.unwrap(), before, "then one of its own moment");
    service.stop().await;
}

#[tokio::test]
async fn readers_never_see_a_rebuild_half_done() {
    let service = start().await;
    let stories = lives(30);
    service.deliver_all(in_turn(&stories)).await;
    let ask = async || board(&service, &support::analyst(), Some(DISTRICT)).await;
    let (before, held) = (ask().await, digest(&service).await);
    let done = AtomicBool::new(false);
    let rebuilding = async {
        for _ in 0..5 {
            assert_eq!(rebuild(&service, new_id()).await.digest, held.digest);
        }
        done.store(true, Ordering::Release);
    };
    let reading = async {
        let mut reads = 0;
        while !done.load(Ordering::Acquire) {
            let seen = ask().await;
            assert_eq!((&seen.by_state, seen.registered), (&before.by_state, before.registered));
            assert!(seen.revision >= before.revision);
            assert_eq!(digest(&service).await.digest, held.digest);
            reads += 1;
        }
        reads
    };
    let ((), reads) = tokio::join!(rebuilding, reading);
    assert!(reads > 1);
    service.stop().await;
}

#[tokio::test]
async fn only_the_operator_rebuilds() {
    let service = start().await;
    let request = RebuildRollupsRequest { request_id: new_id().to_string() };
    let leader = Persona::new(Role::StreetLeader, MANCHUN);
    let status = client(&service, &leader).rebuild_rollups(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    service.stop().await;
}

#[tokio::test]
async fn digests_say_what_is_held_of_cases_and_of_days() {
    let service = start().await;
    let [a, _, c] = COMMUNITIES;
    let whole = Story::whole(at("2026-02-02", 9), a, "roof", "housing");
    let second = Story::whole(at("2026-02-02", 10), a, "roof", "housing");
    let mut open = Story::register(at("2026-02-03", 23), c);
    open.accept(at("2026-02-03", 23), at("2026-02-10", 9), true);
    service.deliver_all(in_turn(&[whole.clone(), second.clone(), open.clone()])).await;

    let mut expected = vec![
        (whole.case_id.to_string(), format!("closed|{}|roof|{a}|gov_direct|resolved", whole.version)),
        (second.case_id.to_string(), format!("closed|{}|roof|{a}|gov_direct|resolved", second.version)),
        (open.case_id.to_string(), format!("accepted|2||{c}||")),
    ];
    expected.sort();
    assert_eq!(digests(&service, "case", 2).await, expected);
    let rollups = vec![
        (format!("{a}|roof|2026-02-02"), "registered=2;closed=2".to_owned()),
        (format!("{c}||2026-02-03"), "registered=1;closed=0".to_owned()),
    ];
    for page_size in [1, 2, 100] {
        assert_eq!(digests(&service, "rollup", page_size).await, rollups);
    }
    let unheld = Digests::new(service.db().clone()).digests("offer", None, 10).await.unwrap_err();
    assert!(matches!(&unheld, Error::Invalid { field, .. } if field == "subject"), "{unheld:?}");
    let listed = |rows: Vec<(String, &str)>| -> Vec<(String, String)> {
        rows.into_iter().map(|(key, value)| (key, value.to_owned())).collect()
    };
    for page_size in [1, 100] {
        let outcomes = listed(vec![(format!("{a}|roof"), "ended_resolved=2;mode_gov_direct=2")]);
        assert_eq!(digests(&service, "outcome", page_size).await, outcomes);
        let states =
            listed(vec![(format!("{a}|housing|closed"), "count=2"), (format!("{c}||accepted"), "count=1")]);
        assert_eq!(digests(&service, "state", page_size).await, states);
        let due = listed(vec![(open.case_id.to_string(), "2026-02-10T01:00:00.000000Z")]);
        assert_eq!(digests(&service, "due", page_size).await, due);
        let hours = listed(vec![(format!("{c}||2026-02-10T01Z"), "count=1")]);
        assert_eq!(digests(&service, "open_due", page_size).await, hours);
    }
    service.stop().await;
}

#[tokio::test]
async fn every_event_is_logged_and_only_those_of_cases_are_counted() {
    let service = start().await;
    let now = service.clock().now();
    let message = AssignmentAccepted { case_id: new_id().to_string(), ..Default::default() };
    let foreign = Event::of("staffing", now, new_id(), 7, &message);
    service.deliver(foreign.clone()).await;
    service.deliver(foreign).await;
    // Far ahead of any partition made so far.
    let mut story = Story::register(at("2031-05-05", 9), COMMUNITIES[0]);
    story.triage(at("2031-05-05", 9), "roof", "housing");
    service.deliver_all(story.events).await;

    assert_eq!(number(&service, "SELECT count(*) AS n FROM event_log").await, 3);
    assert_eq!(number(&service, "SELECT count(*) AS n FROM event_log_default").await, 2);
    assert_eq!(number(&service, "SELECT count(*) AS n FROM case_facts").await, 1);
    let months = "SELECT count(*) AS n FROM pg_inherits WHERE inhparent = 'event_log'::regclass";
    service.wait_for("partitions ahead", async || number(&service, months).await == 5).await;
    assert_eq!(number(&service, "SELECT count(*) AS n FROM event_log_2026_03").await, 1);
    assert_eq!(number(&service, "SELECT sum(events)::bigint AS n FROM consumption").await, 3);
    service.stop().await;
}

#[tokio::test]
async fn an_event_without_the_cases_standing_is_parked_and_counts_nothing() {
    let service = start().await;
    let case_id = new_id();
    let empty = proto::case_routing::v1::CaseAccepted { case_id: case_id.to_string(), ..Default::default() };
    service.deliver(Event::of("case-routing", service.clock().now(), case_id, 1, &empty)).await;
    let parked = "SELECT count(*) AS n FROM parked_events";
    assert_eq!(number(&service, parked).await, 1);
    assert_eq!(number(&service, "SELECT count(*) AS n FROM event_log").await, 0);
    assert_eq!(board(&service, &support::analyst(), None).await.registered, 0);
    service.stop().await;
}

#[tokio::test]
async fn an_older_event_never_overwrites_a_newer_fact() {
    let service = start().await;
    let mut story = Story::register(at("2026-02-02", 9), COMMUNITIES[0]);
    story.accept(at("2026-02-02", 10), at("2026-02-10", 9), true);
    story.triage(at("2026-02-02", 11), "roof", "housing");
    story.dispatch(at("2026-02-02", 11), DeliveryMode::GovDirect, true, true);
    service.deliver_all(story.events.clone()).await;
    let before = digest(&service).await;
    // The same standing under a new event id, as a source that sends an old event again would.
    let again = Event { id: new_id(), ..story.events[1].clone() };
    service.deliver(again).await;
    assert_eq!(digest(&service).await, before);
    let states = board(&service, &support::analyst(), Some(DISTRICT)).await.by_state;
    assert_eq!(states[0].key, analytics::domain::vocabulary::state_name(CaseState::Dispatched as i16));
    service.stop().await;
}
