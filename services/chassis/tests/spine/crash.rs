//! The process is aborted at every seam between commit and acknowledgement, again and again, in a process of its own
//! (this test binary, started as its own child); what was acknowledged must arrive once, in order.

use std::{
    collections::BTreeSet,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::{
    Clock, Error,
    bus::{EventBus, InProcess},
    command::Target,
    config::DbConfig,
    crash::SEAMS,
    crypto::Crypto,
    db::{Db, Setup},
    embedded::postgres::{self, Postgres},
    inbox::RunnerConfig,
    outbox::{GateConfig, RelayConfig},
    pressure::PressureConfig,
};
use diesel_async::SimpleAsyncConnection;
use secrecy::SecretString;
use uuid::Uuid;

use crate::{bus, common::*};

const KEYS: u128 = 20;

async fn connect(url: &str, service: &str) -> Db {
    let config = DbConfig { url: SecretString::from(url), max_connections: 6, ..DbConfig::default() };
    let setup = Setup {
        service: service.to_owned(),
        clock: Clock::system(),
        crypto: Crypto::from_keys(vec![[7; 32]]),
        gate: GateConfig::default(),
        pressure: PressureConfig::default(),
        patient: false,
    };
    Db::connect(&config, setup).await.unwrap()
}

/// The child: brings every counter to the version asked for, and waits until the ledger knows.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the parent tests below start it in a process of its own"]
async fn child() {
    let url = std::env::var("SPINE_CHILD_DATABASE").unwrap();
    let target: i64 = std::env::var("SPINE_CHILD_TARGET").unwrap().parse().unwrap();
    let (producer, ledger) = (connect(&url, PRODUCER).await, connect(&url, LEDGER).await);
    let bus: Arc<dyn EventBus> = match std::env::var("SPINE_CHILD_AMQP") {
        Ok(amqp) => Arc::new(bus::rabbit(&amqp, "child")),
        Err(_) => Arc::new(InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, None)),
    };
    let config = RelayConfig { take_over: true, ..RelayConfig::default() };
    let relay = run_relay(&producer, bus.clone(), config);
    // The groups of the child before, which gave nothing back, are waited for no longer than that.
    let quick = RunnerConfig { lease: Duration::from_millis(300), ..quick() };
    let runner = run_ledger_with(&ledger, bus.clone(), Arc::default(), quick);
    let executor = executor(&producer);
    // Under the same request ids each time: what was done before is only answered again. Who is to be aborted goes back three
    // versions from the last that every counter has, and the last child, which is not, to the beginning.
    let everywhere = format!("SELECT CASE WHEN count(*) < {KEYS} THEN 0 ELSE min(version) END FROM counter");
    let everywhere = number(&producer, &everywhere).await;
    let first = if std::env::var_os("JIANGHAN_CRASH_AT").is_some() { (everywhere - 2).max(1) } else { 1 };
    for version in first..=target {
        let commands = (1..=KEYS).map(|n| {
            let (executor, key) = (executor.clone(), Uuid::from_u128(n));
            let request = Uuid::new_v5(&key, &version.to_be_bytes());
            let wanted = if version == 1 { Target::New } else { Target::Existing };
            async move {
                add_as(&executor, &caller(), request, wanted, Add { id: key, by: 1 }).await.unwrap().value
            }
        });
        let values = futures::future::join_all(commands).await;
        assert!(values.iter().all(|value| *value == version), "answers are those of the first time");
    }
    let wanted = i64::try_from(KEYS).unwrap() * target;
    until("the ledger knows everything", async || {
        number(&ledger, "SELECT count(*) FROM effect").await >= wanted
            && number(&producer, "SELECT count(*) FROM outbox").await == 0
    })
    .await;
    relay.stop().await;
    runner.stop().await;
    bus.close().await;
}

/// Runs the child; tells whether it was aborted rather than finished.
async fn run_child(database: &str, amqp: Option<&str>, target: i64, crash: Option<String>) -> bool {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::child", "--ignored", "--nocapture"])
        .env("SPINE_CHILD_DATABASE", database)
        .env("SPINE_CHILD_TARGET", target.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(amqp) = amqp {
        command.env("SPINE_CHILD_AMQP", amqp);
    }
    if let Some(crash) = crash {
        command.env("JIANGHAN_CRASH_AT", crash);
    }
    let output =
        tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("the child hangs").unwrap();
    use std::os::unix::process::ExitStatusExt;
    let aborted = output.status.signal() == Some(6);
    assert!(aborted || output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    aborted
}

async fn survives(amqp: Option<&str>, nths: &[u32]) {
    let world = world(PRODUCER).await;
    let (mut target, mut missed) = (0, BTreeSet::from(SEAMS));
    for nth in nths {
        for seam in SEAMS {
            target += 1;
            if run_child(world.test_db.url(), amqp, target, Some(format!("{seam}:{nth}"))).await {
                missed.remove(seam);
            }
        }
    }
    assert!(missed.is_empty(), "never passed: {missed:?}");
    assert!(!run_child(world.test_db.url(), amqp, target, None).await);
    let done = effects(&world.db).await;
    assert_eq!(done.len() as u128, KEYS);
    for versions in done.values() {
        assert_eq!(*versions, (1..=target).collect::<Vec<_>>(), "nothing lost, doubled or misplaced");
    }
    assert_eq!(world.number("SELECT count(*) FROM parked_events").await, 0);
    assert_eq!(world.number("SELECT sum(version) FROM counter").await, i64::try_from(KEYS).unwrap() * target);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_postgresql_under_load_loses_and_doubles_nothing() {
    let mut server = Postgres::start(postgres::Options::throw_away(true)).await.unwrap();
    server.create_database("spine", None).await.unwrap();
    let url = server.url("spine");
    let (producer, ledger) = (connect(&url, PRODUCER).await, connect(&url, LEDGER).await);
    producer.migrate(chassis::db::CHASSIS_MIGRATIONS).await.unwrap();
    producer.conn().await.unwrap().batch_execute(TABLES).await.unwrap();
    let bus: Arc<dyn EventBus> = Arc::new(InProcess::with(CATALOGUE.clone(), &[LEDGER], 2, None));
    let relay = run_relay(&producer, bus.clone(), RelayConfig::default());
    let runner = run_ledger(&ledger, bus.clone(), Arc::default());

    // Every client counts on its own counter, and repeats a request until it is answered.
    let executor = executor(&producer);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (1..=KEYS)
        .map(|n| {
            let (executor, stop, key) = (executor.clone(), stop.clone(), Uuid::from_u128(n));
            tokio::spawn(async move {
                let mut version = 0;
                while !stop.load(Ordering::Relaxed) {
                    version += 1;
                    let wanted = if version == 1 { Target::New } else { Target::Existing };
                    let request = id();
                    loop {
                        match add_as(&executor, &caller(), request, wanted, Add { id: key, by: 1 }).await {
                            Ok(answer) => break assert_eq!(answer.value, version),
                            Err(Error::Unavailable { .. } | Error::Exhausted { .. }) => {
                                tokio::task::yield_now().await
                            }
                            Err(other) => panic!("{}", other.chain()),
                        }
                    }
                }
                version
            })
        })
        .collect();
    for _ in 0..3 {
        let before = executor.committed();
        until("commands flow", async || executor.committed() > before + 500).await;
        server.kill9().await.unwrap();
        server.restart().await.unwrap();
    }
    let before = executor.committed();
    until("commands flow again", async || executor.committed() > before + 500).await;
    stop.store(true, Ordering::Relaxed);
    let versions = futures::future::try_join_all(clients).await.unwrap();
    until("the outbox drains", async || number(&producer, "SELECT count(*) FROM outbox").await == 0).await;
    let done = effects(&ledger).await;
    for (n, version) in (1..=KEYS).zip(&versions) {
        assert_eq!(done[&Uuid::from_u128(n)], (1..=*version).collect::<Vec<_>>());
    }
    assert_eq!(number(&ledger, "SELECT count(*) FROM parked_events").await, 0);
    relay.stop().await;
    runner.stop().await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_at_any_seam_loses_and_doubles_nothing_in_one_process() {
    survives(None, &[1, 2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_at_any_seam_loses_and_doubles_nothing_with_rabbitmq() {
    survives(Some(&bus::amqp().await), &[1, 2]).await;
}
