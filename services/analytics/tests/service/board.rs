//! The board over gRPC and a real database: what it counts, how it moves with time, and who sees which part.

use std::{collections::HashMap, time::Duration};

use crate::support::{
    self, COMMUNITIES, DISTRICT, MANCHUN, NEXT, WANSONG, analyst, board, client, in_turn, merge, start,
    story::{Story, Verdict, at},
};
use analytics::{
    App,
    domain::{Counter, Counters},
    store::{
        query::{self, Selection},
        stock,
    },
};
use chassis::{
    auth::Role,
    testing::{Persona, RowsRead, TestService, rows_read},
};
use chrono::{NaiveDate, TimeDelta};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use proto::{
    analytics::v1::{Count, GetBoardRequest, GetBoardResponse, QueryIndicatorsRequest},
    case_routing::v1::{CallbackOutcome, ClosedCode, DeliveryMode},
};
use tonic::Code;
use uuid::Uuid;

fn counts(counts: &[Count]) -> HashMap<&str, i64> {
    counts.iter().filter(|c| c.count != 0).map(|c| (c.key.as_str(), c.count)).collect()
}

fn rate(board: &GetBoardResponse, code: &str) -> Option<f64> {
    board.rates.iter().find(|r| r.code == code).expect("the rate is on the board").value
}

/// Two whole lives in one street; in the other one open case, and one that was withdrawn.
fn stories() -> Vec<Story> {
    let [a, b, c] = COMMUNITIES;
    let start = at("2026-03-02", 8);
    let mut late = Story::register(start, b);
    late.accept(start, at("2026-03-02", 12), true).triage(start, "noise", "urban");
    let task = late.dispatch(start, DeliveryMode::Volunteer, true, true);
    late.contact(start, false)
        .complete(at("2026-03-02", 15), task, false, 7 * 3600)
        .verify(at("2026-03-02", 16), Verdict { grade: 2, ..Verdict::good() })
        .close(at("2026-03-02", 17), ClosedCode::SelfGoverned);
    let mut open = Story::register(start, c);
    open.accept(start, at("2026-03-03", 10), true).triage(start, "roof", "housing");
    open.dispatch(start, DeliveryMode::GovDirect, true, true);
    let mut withdrawn = Story::register(start, c);
    withdrawn.withdraw(start);
    vec![Story::whole(start - TimeDelta::hours(24), a, "roof", "housing"), late, open, withdrawn]
}

#[tokio::test]
async fn the_board_counts_states_streets_modes_and_rates() {
    let service = start().await;
    let empty = board(&service, &analyst(), None).await;
    assert_eq!(
        (empty.registered, empty.open, empty.revision, empty.unit_id),
        (0, 0, 0, DISTRICT.to_string())
    );
    assert!(empty.rates.iter().all(|r| r.value.is_none()));
    assert_eq!((empty.streets.len(), empty.of_streets), (2, true));

    service.deliver_all(in_turn(&stories())).await;
    let board = board(&service, &analyst(), None).await;
    assert!(board.revision > 0);
    assert_eq!((board.start_date.as_str(), board.end_date.as_str()), ("2026-03-01", "2026-03-03"));
    assert_eq!(board.unit_name_zh, "江汉区");
    assert_eq!((board.registered, board.open, board.overdue, board.closed), (4, 1, 0, 2));
    assert_eq!(counts(&board.by_state), HashMap::from([("closed", 2), ("dispatched", 1), ("withdrawn", 1)]));
    assert_eq!(counts(&board.by_delivery_mode), HashMap::from([("gov_direct", 1), ("volunteer", 1)]));
    assert_eq!(board.by_delivery_mode.len(), 5);
    let codes = HashMap::from([("resolved", 1), ("self_governed", 1), ("withdrawn", 1)]);
    assert_eq!(counts(&board.by_closed_code), codes);
    assert_eq!(rate(&board, "I-07"), Some(0.5));
    assert_eq!(rate(&board, "I-16"), Some(0.5));
    assert_eq!(rate(&board, "I-17"), Some(1.0));
    assert_eq!(rate(&board, "I-18"), Some(0.5));
    assert_eq!(rate(&board, "I-34"), Some(0.5));
    assert!(board.rates.iter().all(|r| r.small_sample));

    let [manchun, wansong] = board.streets.as_slice() else { panic!("two streets") };
    assert_eq!(
        (manchun.name_zh.as_str(), manchun.registered, manchun.open, manchun.closed),
        ("满春街", 2, 0, 2)
    );
    assert_eq!(manchun.on_time_rate.as_ref().and_then(|r| r.value), Some(0.5));
    assert_eq!(
        (wansong.name_zh.as_str(), wansong.registered, wansong.open, wansong.closed),
        ("万松街", 2, 1, 0)
    );
    assert_eq!(wansong.satisfaction_rate.as_ref().and_then(|r| r.value), None);
    service.stop().await;
}

/// The three rates say nothing of whom nobody reached, so that is told beside them.
#[tokio::test]
async fn whoever_was_not_reached_when_called_back_is_told_apart() {
    let service = start().await;
    let started = at("2026-03-01", 8);
    let called = |callback: CallbackOutcome, grade: i32| {
        let mut story = Story::register(started, COMMUNITIES[0]);
        story.accept(started, at("2026-03-05", 8), true).triage(started, "roof", "housing");
        let task = story.dispatch(started, DeliveryMode::GovDirect, true, true);
        story
            .contact(started, true)
            .complete(at("2026-03-01", 15), task, true, 7 * 3600)
            .verify(at("2026-03-01", 16), Verdict { callback, grade, ..Verdict::good() })
            .close(at("2026-03-01", 17), ClosedCode::Resolved);
        story
    };
    let stories = [called(CallbackOutcome::Reached, 5), called(CallbackOutcome::Unreached, 0)];
    service.deliver_all(in_turn(&stories)).await;

    let board = board(&service, &analyst(), None).await;
    assert_eq!(rate(&board, "I-16-unreached"), Some(0.5));
    assert_eq!((rate(&board, "I-17"), rate(&board, "I-18")), (Some(1.0), Some(1.0)), "of those reached");
    let request = QueryIndicatorsRequest {
        codes: vec!["I-16-unreached".to_owned()],
        unit_ids: vec![DISTRICT.to_string()],
        start_date: "2026-03-01".to_owned(),
        end_date: "2026-03-02".to_owned(),
        ..Default::default()
    };
    let answer = client(&service, &analyst()).query_indicators(request).await.unwrap().into_inner();
    let value = &answer.values[0];
    assert_eq!((value.numerator, value.denominator, value.value), (1, 2, Some(0.5)));
    service.stop().await;
}

#[tokio::test]
async fn cases_become_overdue_as_domain_time_passes_without_any_event() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;
    let overdue = async || board(&service, &analyst(), None).await.overdue;
    // Due on the 3rd at 10:00; it is the 2nd, 9:00.
    assert_eq!(overdue().await, 0);
    service.clock().advance(Duration::from_secs(25 * 3600));
    assert_eq!(overdue().await, 0, "at the very instant it is still in time");
    service.clock().advance(Duration::from_secs(60));
    assert_eq!(overdue().await, 1, "within the hour");
    service.clock().advance(Duration::from_secs(3600));
    assert_eq!(overdue().await, 1, "in a later hour");
    service.clock().advance(Duration::from_secs(40 * 86_400));
    let later = board(&service, &analyst(), Some(WANSONG)).await;
    assert_eq!((later.overdue, later.registered, later.open), (1, 0, 1));
    service.stop().await;
}

#[tokio::test]
async fn a_second_delivery_changes_nothing() {
    let service = start().await;
    let events = in_turn(&stories());
    service.deliver_all(events.clone()).await;
    let (first, digest) = (board(&service, &analyst(), None).await, support::digest(&service).await);
    for event in events {
        service.deliver(event).await;
    }
    let second = board(&service, &analyst(), None).await;
    assert_eq!(support::digest(&service).await, digest);
    assert_eq!(second.revision, first.revision);
    assert_eq!(second, first);
    service.stop().await;
}

#[tokio::test]
async fn everyone_sees_only_the_part_within_reach() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;

    // A street leader: the own street by default, its communities below; another street does not exist.
    let leader = Persona::new(Role::StreetLeader, MANCHUN);
    let own = board(&service, &leader, None).await;
    assert_eq!((own.unit_id, own.registered), (MANCHUN.to_string(), 2));
    assert_eq!(own.streets.iter().map(|s| s.registered).collect::<Vec<_>>(), [1, 1]);
    assert!(!own.of_streets, "they are communities");
    let ask = async |persona: &Persona, unit: Uuid| {
        let request = GetBoardRequest { unit_id: unit.to_string(), ..Default::default() };
        client(&service, persona).get_board(request).await.map(|board| board.into_inner().registered)
    };
    let other = ask(&leader, WANSONG).await.unwrap_err();
    let nowhere = ask(&leader, Uuid::from_u128(0x99)).await.unwrap_err();
    assert_eq!((other.code(), nowhere.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(ask(&leader, DISTRICT).await.unwrap_err().code(), Code::NotFound);

    // A department: the whole district, its own line only.
    let housing = Persona::new(Role::DeptLeader, DISTRICT).line("housing");
    let line = board(&service, &housing, None).await;
    assert_eq!((line.registered, line.open, line.closed), (2, 1, 1));
    assert_eq!(counts(&line.by_state), HashMap::from([("closed", 1), ("dispatched", 1)]));

    // C-11: but no scoreboard of communities, neither one by one nor side by side.
    let [community, ..] = COMMUNITIES;
    assert_eq!(ask(&housing, community).await.unwrap_err().code(), Code::NotFound);
    let street = board(&service, &housing, Some(MANCHUN)).await;
    assert!(street.registered > 0 && street.streets.is_empty(), "{street:?}");
    assert_eq!(ask(&leader, community).await.unwrap(), 1, "their own street compares them");

    // A resident may not ask at all, and nobody without a token.
    let resident = ask(&Persona::resident(MANCHUN), MANCHUN).await.unwrap_err();
    assert_eq!(resident.code(), Code::PermissionDenied);
    service.stop().await;
}

#[tokio::test]
async fn a_case_that_moves_takes_its_counts_along() {
    let service = start().await;
    let [a, _, c] = COMMUNITIES;
    let start_time = at("2026-03-02", 8);
    let mut story = Story::register(start_time, a);
    story.accept(start_time, at("2026-03-10", 10), true).triage(start_time, "roof", "housing");
    service.deliver_all(story.events.clone()).await;
    let before = story.events.len();
    story.move_to(at("2026-03-02", 9), c);
    service.deliver_all(story.events[before..].to_vec()).await;
    let board = board(&service, &analyst(), None).await;
    assert_eq!(board.streets.iter().map(|s| (s.registered, s.open)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    service.stop().await;
}

#[tokio::test]
async fn streets_that_became_one_are_one_line_with_all_that_happened_in_them() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;
    let street = Uuid::from_u128(0x18);
    // Two communities had become one before.
    merge(&service, &COMMUNITIES[..2], NEXT).await;
    merge(&service, &[MANCHUN, WANSONG], street).await;
    let shown = board(&service, &analyst(), None).await;
    let [line] = shown.streets.as_slice() else { panic!("one street: {:?}", shown.streets) };
    assert_eq!((line.unit_id.clone(), line.registered), (street.to_string(), 4));
    assert_eq!((line.open, line.closed), (1, 2));
    let on_time = line.on_time_rate.as_ref().unwrap();
    assert_eq!((on_time.value, on_time.rebased), (Some(0.5), false), "of days since the merger");

    let request = GetBoardRequest { start_date: "2026-02-01".into(), ..Default::default() };
    let longer = client(&service, &analyst()).get_board(request).await.unwrap().into_inner();
    assert!(longer.streets[0].on_time_rate.as_ref().unwrap().rebased);
    assert!(longer.rates.iter().all(|rate| !rate.rebased), "the district is as it was");

    // By community; and the old street is there for who has the new one, with what stayed.
    let leader = Persona::new(Role::StreetLeader, street);
    let own = board(&service, &leader, None).await;
    let lines: Vec<_> = own.streets.iter().map(|line| (line.unit_id.clone(), line.registered)).collect();
    assert_eq!(lines, [(NEXT.to_string(), 2), (COMMUNITIES[2].to_string(), 2)]);
    let old = board(&service, &leader, Some(MANCHUN)).await;
    assert_eq!((old.registered, old.streets.len()), (2, 2));
    assert!(old.rates.iter().all(|rate| rate.rebased));
    service.stop().await;
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// How many rows the tables hold from which answers are made, and which of all tables a board and indicators of each
/// kind read how many rows of.
async fn cost(service: &TestService<App>) -> (RowsRead, RowsRead) {
    let mut conn = service.db().conn().await.unwrap();
    let mut held = RowsRead::new();
    for name in ["rollups", "stock_rollups", "duration_rollups", "state_counts", "open_due", "items"] {
        let count = format!("SELECT '{name}' AS name, count(*) AS rows FROM {name}");
        let table: Table = diesel::sql_query(count).get_result(&mut conn).await.unwrap();
        held.insert(table.name, table.rows);
    }
    let now = service.clock().now();
    let (start, end): (NaiveDate, NaiveDate) = ("2026-02-01".parse().unwrap(), "2026-03-03".parse().unwrap());
    let all = Selection { units: COMMUNITIES.to_vec(), lines: None, item_code: None };
    let one = Selection { item_code: Some("roof".to_owned()), ..all.clone() };
    let asked = async |conn: &mut AsyncPgConnection| {
        let states = query::states(conn, &all).await.unwrap();
        let overdue = query::overdue(conn, &all, now).await.unwrap();
        query::overdue_stands_until(conn, &all, now).await.unwrap();
        assert!(!states.is_empty() && !overdue.is_empty(), "there is something to see");
        for selection in [&all, &one] {
            query::sums(conn, selection, start, end).await.unwrap();
            stock::until(conn, selection, end).await.unwrap();
            query::durations(conn, selection, start, end).await.unwrap();
        }
    };
    let ((), read) = rows_read(&mut conn, asked).await;
    (held, read)
}

#[tokio::test]
async fn what_an_answer_reads_does_not_grow_with_the_number_of_cases() {
    let service = start().await;
    // Whole lives, open cases that are late, and open ones with time left, in the same units and on the same days.
    let stories = |times: usize| -> Vec<Story> {
        (0..times)
            .flat_map(|_| {
                COMMUNITIES.into_iter().flat_map(|place| {
                    let open = |due: &str| {
                        let mut story = Story::register(at("2026-02-03", 9), place);
                        story.accept(at("2026-02-03", 9), at(due, 9), true);
                        story.triage(at("2026-02-03", 9), "roof", "housing");
                        story
                    };
                    let whole = Story::whole(at("2026-02-02", 9), place, "roof", "housing");
                    [whole, open("2026-02-20"), open("2026-03-20")]
                })
            })
            .collect()
    };
    // One by one, so that every cell a case passes through is there from the start; batches skip some.
    for event in in_turn(&stories(1)) {
        service.deliver(event).await;
    }
    let (held, _) = cost(&service).await;
    service.deliver_all(in_turn(&stories(19))).await;
    let (held_later, read) = cost(&service).await;
    assert_eq!(board(&service, &analyst(), None).await.overdue, 60, "the cases are counted");
    assert_eq!(held, held_later, "20 times the cases, and no row more to read");
    // Nothing but those rows is read, and none of them more often than there are questions.
    for (table, rows) in read {
        let most = held.get(&table).copied().unwrap_or_default();
        assert!(rows <= 6 * most, "{rows} rows of {table} were read, where {most} answer");
    }
    service.stop().await;
}

/// One late case in each community, from a day on to another.
fn late(since: &str, until: &str) -> Vec<Story> {
    COMMUNITIES
        .into_iter()
        .map(|place| {
            let mut story = Story::register(at(since, 1), place);
            story.accept(at(since, 1), at(since, 9), true).triage(at(since, 1), "roof", "housing");
            let task = story.dispatch(at(since, 2), DeliveryMode::GovDirect, true, true);
            story.complete(at(until, 9), task, false, 3600);
            story
        })
        .collect()
}

/// What is counted of the stock for these cells before a day, and how many rows of which rollups that reads.
async fn stock_of(conn: &mut AsyncPgConnection, cells: &Selection, end: NaiveDate) -> (Counters, RowsRead) {
    let ask = async |conn: &mut AsyncPgConnection| stock::until(conn, cells, end).await.unwrap();
    let (counters, mut read) = rows_read(conn, ask).await;
    read.retain(|table, _| table.ends_with("rollups"));
    (counters, read)
}

#[tokio::test]
async fn what_the_stock_reads_does_not_grow_with_the_days_before_the_period() {
    let service = start().await;
    let all = Selection { units: COMMUNITIES.to_vec(), lines: None, item_code: None };
    let roof = Selection { item_code: Some("roof".to_owned()), ..all.clone() };
    let housing = Selection { lines: Some(vec!["housing".to_owned()]), ..all.clone() };
    let ends: [NaiveDate; 4] =
        ["2026-03-02", "2026-03-01", "2026-02-18", "2025-12-31"].map(|end| end.parse().unwrap());
    let read = async || {
        let mut conn = service.db().conn().await.unwrap();
        // As where the service asks: else the first five of a statement have plans of their own.
        conn.batch_execute("SET plan_cache_mode = force_generic_plan").await.unwrap();
        let mut read = Vec::new();
        for cells in [&all, &roof, &housing] {
            for end in ends {
                let (counters, rows) = stock_of(&mut conn, cells, end).await;
                let days = query::sums(&mut conn, cells, NaiveDate::default(), end).await.unwrap();
                let sum = |counter: Counter| days.values().map(|of_unit| of_unit[counter]).sum::<i64>();
                for counter in Counter::STOCK {
                    assert_eq!(counters[counter], sum(counter), "{} before {end}", counter.name());
                }
                read.push(rows);
            }
        }
        read
    };
    // Late for some months, over the ends of some of them.
    for event in in_turn(&[late("2025-11-20", "2026-02-16"), late("2026-02-10", "2026-03-20")].concat()) {
        service.deliver(event).await;
    }
    let once = read().await;
    assert!(once.iter().all(|rows| rows["stock_rollups"] > 0), "{once:?}");
    // Twenty times as many days before all of them.
    let day = |n: i64| (at("2025-10-01", 0) - TimeDelta::days(17 * n)).date_naive().to_string();
    let stories: Vec<Story> = (0..40).flat_map(|n| late(&day(n + 1), &day(n))).collect();
    service.deliver_all(in_turn(&stories)).await;
    assert_eq!(read().await, once);
    service.stop().await;
}

#[tokio::test]
async fn a_board_is_counted_once_while_nothing_happens_and_anew_with_the_next_event() {
    let service = start().await;
    service.deliver_all(in_turn(&stories())).await;
    let first = board(&service, &analyst(), None).await;
    // Nothing but an event shows what the rollups hold: whoever counted now would find more.
    let mut conn = service.db().conn().await.unwrap();
    conn.batch_execute("UPDATE rollups SET registered = registered + 100 WHERE line = '*'").await.unwrap();
    drop(conn);
    let reader = analyst();
    let asked = (0..50).map(|_| board(&service, &reader, None));
    for again in futures::future::join_all(asked).await {
        assert_eq!(again, first);
    }
    // Another reach, and other days, are another board.
    let leader = Persona::new(Role::StreetLeader, MANCHUN);
    assert!(board(&service, &leader, None).await.registered > 100);
    let housing = Persona::new(Role::DeptLeader, DISTRICT).line("housing");
    assert_eq!(board(&service, &housing, None).await.registered, 2, "its line alone");
    let request = GetBoardRequest { start_date: "2026-02-01".to_owned(), ..Default::default() };
    let other_days = client(&service, &analyst()).get_board(request).await.unwrap().into_inner();
    assert!(other_days.registered > 100);

    let [_, _, place] = COMMUNITIES;
    service.deliver_all(Story::register(at("2026-03-02", 8), place).events).await;
    let next = board(&service, &analyst(), None).await;
    assert!(next.revision > first.revision);
    assert!(next.registered > first.registered + 100, "{next:?}");
    assert_eq!(next.open, first.open + 1);
    service.stop().await;
}
