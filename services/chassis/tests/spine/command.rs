//! Commands: stored answers, group commit, failures that stay alone.

use std::time::Duration;

use chassis::{
    Error,
    auth::Caller,
    command::{Target, answered, once},
    config::{GrpcConfig, SpineConfig},
    db::{Tx, cached, purge},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use prost::Message as _;

use crate::common::*;

#[tokio::test]
async fn a_repeated_request_answers_the_same_and_does_nothing_twice() {
    let world = world(PRODUCER).await;
    let (request, key) = (id(), id());
    // Large enough that its answer is found nowhere by chance.
    let command = Add { id: key, by: 500_005 };
    let first = add_as(&world.executor(), &caller(), request, Target::New, command).await.unwrap();
    assert_eq!(first.value, 500_005);
    add(&world.executor(), Target::Existing, Add { id: key, by: 2 }).await.unwrap();

    let restarted = executor(&world.again().await);
    for executor in [world.executor(), restarted] {
        let again = add_as(&executor, &caller(), request, Target::New, command).await.unwrap();
        assert_eq!(again, first, "the answer of then, not of now");
        let other = add_as(&executor, &caller(), request, Target::New, Add { id: key, by: 6 }).await;
        assert!(matches!(other, Err(Error::Invalid { field, .. }) if field == "request_id"));
    }
    assert_eq!(world.number("SELECT value FROM counter").await, 500_007);
    assert_eq!(world.number("SELECT count(*) FROM outbox").await, 2);
    assert_eq!(world.number("SELECT count(*) FROM idempotency").await, 2);
    // Compressed, so short an answer stands as it is.
    for open in [first.encode_to_vec(), meta(request, command).fingerprint.to_vec()] {
        let hex: String = open.iter().map(|byte| format!("{byte:02x}")).collect();
        let found = format!("position('\\x{hex}'::bytea IN answer) > 0");
        let found = format!("SELECT count(*) FROM idempotency WHERE {found}");
        assert_eq!(world.number(&found).await, 0, "answers are sealed");
    }
}

#[tokio::test]
async fn whoever_follows_a_key_is_told_of_its_commits_and_of_nothing_else() {
    let world = world(PRODUCER).await;
    let (executor, key) = (world.executor(), id());
    let mut news = world.db.news().follow(key);
    add(&executor, Target::New, Add { id: id(), by: 1 }).await.unwrap();
    add(&executor, Target::New, Add { id: key, by: 0 }).await.unwrap_err();
    let rolled_back = world.db.transaction(async |tx: &mut Tx<'_>| {
        tx.changed(key);
        Err::<(), _>(Error::internal("no"))
    });
    rolled_back.await.unwrap_err();
    let in_vain = tokio::time::timeout(Duration::from_millis(50), news.changed()).await;
    in_vain.expect_err("another key, what was refused, what was rolled back");

    let mut told = async || tokio::time::timeout(PATIENCE, news.changed()).await.expect("told in time");
    add(&executor, Target::New, Add { id: key, by: 1 }).await.unwrap();
    assert!(told().await, "a command");
    let silent = world.db.transaction(async |tx: &mut Tx<'_>| {
        tx.changed(key);
        Ok(())
    });
    silent.await.unwrap();
    assert!(told().await, "what names the key itself");
}

#[tokio::test]
async fn the_same_request_at_two_replicas_at_once_has_one_effect() {
    let world = world(PRODUCER).await;
    let key = id();
    add(&world.executor(), Target::New, Add { id: key, by: 1 }).await.unwrap();
    let (one, two) = (executor(&world.db), executor(&world.again().await));
    for round in 2..40 {
        let request = id();
        let command = Add { id: key, by: 1 };
        let caller = caller();
        let (a, b) = tokio::join!(
            add_as(&one, &caller, request, Target::Existing, command),
            add_as(&two, &caller, request, Target::Existing, command),
        );
        assert_eq!((a.unwrap().value, b.unwrap().value), (round, round));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_on_one_aggregate_apply_one_after_the_other_in_few_commits() {
    let world = world(PRODUCER).await;
    let (executor, key) = (world.executor(), id());
    add(&executor, Target::New, Add { id: key, by: 1 }).await.unwrap();
    let tasks: Vec<_> = (0..300)
        .map(|_| {
            let executor = executor.clone();
            tokio::spawn(async move {
                add(&executor, Target::Existing, Add { id: key, by: 1 }).await.unwrap().value
            })
        })
        .collect();
    let mut answers: Vec<i64> = futures::future::try_join_all(tasks).await.unwrap();
    answers.sort_unstable();
    assert_eq!(answers, (2..=301).collect::<Vec<_>>(), "each saw the one before");
    assert_eq!(world.number("SELECT version FROM counter").await, 301);
    let misplaced = world
        .number("SELECT count(*) FROM (SELECT aggregate_version - lag(aggregate_version, 1, 0::bigint) OVER (ORDER BY seq) AS step FROM outbox) s WHERE step <> 1")
        .await;
    assert_eq!(misplaced, 0, "the outbox keeps the order of the versions");
    let commits = world.number("SELECT count(DISTINCT xmin::text) FROM outbox").await;
    assert!(commits < 150, "{commits} commits for 301 commands");
    assert_eq!(executor.committed(), 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_fails_alone() {
    let world = world(PRODUCER).await;
    let executor = world.executor();
    let tasks: Vec<_> = (0..200_i64)
        .map(|n| {
            let executor = executor.clone();
            // Every fifth decides wrongly, every seventh panics, every eleventh breaks a constraint of the table.
            let by = match n {
                n if n % 5 == 0 => 0,
                n if n % 7 == 0 => i64::MIN,
                n if n % 11 == 0 => 2_000_000,
                _ => 1,
            };
            tokio::spawn(async move { (by, add(&executor, Target::New, Add { id: id(), by }).await) })
        })
        .collect();
    let mut good = 0;
    for (by, outcome) in futures::future::try_join_all(tasks).await.unwrap() {
        match by {
            1 => {
                assert_eq!(outcome.unwrap().value, 1);
                good += 1;
            }
            0 => assert!(matches!(outcome, Err(Error::WrongState { .. }))),
            _ => assert!(matches!(outcome, Err(Error::Internal(_)))),
        }
    }
    for table in ["counter", "outbox", "idempotency"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {table}")).await, good, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_that_somebody_holds_does_not_hold_up_the_others_of_its_batch() {
    let world = world(PRODUCER).await;
    let (executor, held, free) = (world.executor(), id(), id());
    for key in [held, free] {
        add(&executor, Target::New, Add { id: key, by: 1 }).await.unwrap();
    }
    // As an operator's open transaction does.
    let mut operator = world.db.dedicated("-c idle_in_transaction_session_timeout=0").await.unwrap();
    let holds = format!("BEGIN; SELECT 1 FROM counter WHERE id = '{held}' FOR UPDATE");
    operator.batch_execute(&holds).await.unwrap();
    // Each within the limit of a call.
    let limit = Duration::from_millis(GrpcConfig::default().request_timeout_ms);
    let on = async |key| {
        let added = add(&executor, Target::Existing, Add { id: key, by: 1 });
        tokio::time::timeout(limit, added).await.expect("answered before the call's deadline")
    };
    let behind = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        until("the first waits", async || world.number(waits).await == 1).await;
        // They queue while the only writer waits, and are one batch.
        tokio::join!(on(held), on(free), on(held))
    };
    let (first, (second, other, third)) = tokio::join!(on(held), behind);
    for refused in [first, second, third] {
        assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    }
    assert_eq!(other.unwrap().value, 2);
    operator.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(on(held).await.unwrap().value, 2, "nothing of those that waited is stored");
}

#[tokio::test]
async fn what_is_out_of_reach_does_not_exist() {
    let world = world(PRODUCER).await;
    let (executor, key) = (world.executor(), id());
    add(&executor, Target::New, Add { id: key, by: 1 }).await.unwrap();
    let stranger = Caller { actor_ref: "stranger".to_owned(), ..caller() };
    let mut answers = Vec::new();
    for unreachable in [key, id()] {
        let command = Add { id: unreachable, by: 1 };
        let error = add_as(&executor, &stranger, id(), Target::Existing, command).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { kind: "counter", .. }));
        answers.push(error.to_string().replace(&unreachable.to_string(), "ID"));
    }
    assert_eq!(answers[0], answers[1], "no telling whether it exists");
    let again = add(&executor, Target::New, Add { id: key, by: 1 }).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_no_transaction_open() {
    let world = world(PRODUCER).await;
    let executor = world.executor();
    let mut gate = world.db.dedicated("").await.unwrap();
    for _ in 0..10 {
        let executor = executor.clone();
        let task = tokio::spawn(async move { add(&executor, Target::New, Add { id: id(), by: 1 }).await });
        tokio::task::yield_now().await;
        task.abort();
        // Shut again only once the transaction that went through it the last time has ended.
        gate.batch_execute("SELECT pg_advisory_lock(77)").await.unwrap();
        let db = world.db.clone();
        let task = tokio::spawn(async move {
            db.transaction(async |tx: &mut Tx<'_>| {
                cached("SELECT pg_advisory_xact_lock(77)").execute(tx.conn).await?;
                Ok(())
            })
            .await
        });
        let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock' AND query LIKE 'SELECT pg_advisory_xact_lock%'";
        until("the statement runs", async || world.number(running).await == 1).await;
        task.abort();
        task.await.unwrap_err();
        gate.batch_execute("SELECT pg_advisory_unlock(77)").await.unwrap();
    }
    until("open transactions end", async || {
        world.number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'").await == 0
    })
    .await;
    let command = Add { id: id(), by: 3 };
    assert_eq!(add(&world.executor(), Target::New, command).await.unwrap().value, 3, "the pool still serves");
    let halves = "SELECT abs((SELECT count(*) FROM counter) - (SELECT count(*) FROM outbox)) + abs((SELECT count(*) FROM counter) - (SELECT count(*) FROM idempotency))";
    assert_eq!(world.number(halves).await, 0, "nothing is half done");
}

#[tokio::test]
async fn a_rare_command_over_several_tables_is_repeatable_too() {
    let world = world(PRODUCER).await;
    let (request, key, caller) = (id(), id(), caller());
    let meta = meta(request, Add { id: key, by: 9 });
    let before: Option<Answer> = answered(&world.db, &caller, &meta).await.unwrap();
    assert!(before.is_none(), "nobody carried it out yet");
    for _ in 0..2 {
        let answer: Answer = once(&world.db, &caller, meta, async |tx: &mut Tx<'_>| {
            cached("INSERT INTO counter VALUES (gen_random_uuid(), 9, 1)").execute(&mut *tx.conn).await?;
            tx.emit(counted(key, 1, 9));
            Ok(Answer { value: 9 })
        })
        .await
        .unwrap();
        assert_eq!(answer.value, 9);
    }
    let other = crate::common::meta(request, Add { id: key, by: 10 });
    let refused: Result<Answer, _> =
        once(&world.db, &caller, other, async |_: &mut Tx<'_>| Ok(Answer::default())).await;
    assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "request_id"));
    let stored: Option<Answer> = answered(&world.db, &caller, &meta).await.unwrap();
    assert_eq!(stored.map(|answer| answer.value), Some(9), "without carrying it out");
    let refused: Result<Option<Answer>, _> = answered(&world.db, &caller, &other).await;
    assert!(matches!(refused, Err(Error::Invalid { field, .. }) if field == "request_id"));
    let failed: Result<Answer, _> = once(
        &world.db,
        &caller,
        crate::common::meta(id(), Add { id: key, by: 1 }),
        async |tx: &mut Tx<'_>| {
            tx.emit(counted(key, 2, 1));
            Err(Error::wrong_state("counter", key, "no"))
        },
    )
    .await;
    assert!(matches!(failed, Err(Error::WrongState { .. })));
    assert_eq!(world.number("SELECT count(*) FROM counter").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM outbox").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM idempotency").await, 1);
}

#[tokio::test]
async fn old_answers_and_inbox_records_are_purged_and_young_ones_kept() {
    let world = world(PRODUCER).await;
    for _ in 0..3 {
        add(&world.executor(), Target::New, Add { id: id(), by: 1 }).await.unwrap();
    }
    let age = "UPDATE idempotency SET created_at = now() - interval '31 days' WHERE ctid IN (SELECT ctid FROM idempotency LIMIT 2); \
               INSERT INTO inbox VALUES (gen_random_uuid(), now() - interval '31 days'), (gen_random_uuid(), now() - interval '29 days')";
    world.db.conn().await.unwrap().batch_execute(age).await.unwrap();
    assert_eq!(purge::once(&world.db, SpineConfig::default().keep_days).await.unwrap(), (1, 2));
    assert_eq!(
        world.number("SELECT (SELECT count(*) FROM idempotency) * 10 + (SELECT count(*) FROM inbox)").await,
        11
    );
}
