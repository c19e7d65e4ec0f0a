//! `bench events`: the spine alone, without gRPC, tokens and cases. First a closed loop of users runs commands with
//! everything going on at once (commands per second, lag); then the outbox is filled and emptied, which shows what
//! relay and consumer can give by themselves. Every event is accounted for at the end.

mod world;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use chassis::{
    Clock,
    auth::Caller,
    bus::{EventBus, InProcess, RabbitConfig, RabbitMq},
    clock::new_id,
    command::{Executor, ExecutorConfig, Meta, Target},
    config::DbConfig,
    crypto::Crypto,
    db::{CHASSIS_MIGRATIONS, Db, Setup, Tx},
    embedded::{self, Postgres, postgres, rabbitmq},
    inbox::{Runner, RunnerConfig},
    outbox::{GateConfig, Relay, RelayConfig},
    pressure::PressureConfig,
};
use clap::{Args as ClapArgs, ValueEnum};
use diesel_async::SimpleAsyncConnection;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::world::{Add, Answer, Counter, Counters, LEDGER, Ledger, PRODUCER};
use super::{
    floor,
    report::{EventsReport, bucket_quantile, round},
};
use crate::out;

/// Which event bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bus {
    /// The bus of the all-in-one.
    InProcess,
    /// A private RabbitMQ.
    Rabbitmq,
}

/// Arguments of `bench events`.
#[derive(ClapArgs)]
pub struct Args {
    /// Which event bus.
    #[arg(long, value_enum, default_value = "in-process")]
    bus: Bus,
    /// Commands, and as many events once more to fill the outbox with.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    events: u64,
    /// Users of the closed loop.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    users: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs it; an event that is lost or counted twice is an error.
pub async fn run(args: Args) -> Result<ExitCode> {
    let mut server = Postgres::start(postgres::Options::throw_away(true)).await?;
    let mut broker = match args.bus {
        Bus::InProcess => None,
        Bus::Rabbitmq => Some(embedded::RabbitMq::start(rabbitmq::Options::throw_away(0)).await?),
    };
    let outcome = measure(&args, &server, broker.as_ref()).await;
    if let Some(broker) = &mut broker {
        broker.stop().await?;
    }
    server.stop().await?;
    let report = outcome?;
    if args.json {
        out::json(&report)?;
    } else {
        out::text(&report.table())?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(
    args: &Args,
    server: &Postgres,
    broker: Option<&embedded::RabbitMq>,
) -> Result<EventsReport> {
    let producer = database(server, PRODUCER, world::COUNTERS).await?;
    let ledger = database(server, LEDGER, world::SUMS).await?;
    let bus = |name: &str| -> Result<Arc<dyn EventBus>> {
        Ok(match broker {
            None => Arc::new(InProcess::with(world::catalogue(), &[PRODUCER, LEDGER], 1, None)),
            Some(broker) => Arc::new(RabbitMq::with_catalogue(
                &broker.url("/"),
                name,
                RabbitConfig { groups: 1, ..RabbitConfig::default() },
                world::catalogue(),
            )?),
        })
    };
    // In one process both ends share the bus; with a broker each has its connection, as processes have.
    let publishing = bus(PRODUCER)?;
    let consuming = if broker.is_some() { bus(LEDGER)? } else { publishing.clone() };
    let spine = Spine { producer, ledger, publishing, consuming };
    let (floor_1, floor_users) = floor::measure(server, usize::from(args.users), 5).await?;

    let (relay, consumer) = (spine.relay(), spine.consumer());
    let began = Instant::now();
    let commands = spine.flow(args).await?;
    let commanding = began.elapsed().as_secs_f64();
    spine.until("every command's event is handled", args.events, args.events).await?;
    let flowing = began.elapsed().as_secs_f64();
    let lags: Vec<i64> = spine.ledger.inbox().lags().iter().map(|n| n.cast_signed()).collect();
    relay.stop().await?;
    consumer.stop().await?;

    spine.fill(args.events).await?;
    let total = 2 * args.events;
    let began = Instant::now();
    let (relay, consumer, confirming, consuming);
    if spine.publishing.shared() {
        relay = spine.relay();
        spine.until("every event is confirmed", total, args.events).await?;
        confirming = began.elapsed().as_secs_f64();
        let began = Instant::now();
        consumer = spine.consumer();
        spine.until("every event is consumed", total, total).await?;
        consuming = began.elapsed().as_secs_f64();
    } else {
        // A confirmation is the consumer's acknowledgement here.
        relay = spine.relay();
        consumer = spine.consumer();
        spine.until("every event is handled", total, total).await?;
        confirming = began.elapsed().as_secs_f64();
        consuming = confirming;
    }
    relay.stop().await?;
    consumer.stop().await?;
    spine.publishing.close().await;
    spine.consuming.close().await;
    let (counted, sum) = world::total(&mut *spine.ledger.conn().await?).await?;
    ensure!(
        counted.cast_unsigned() == total && sum.cast_unsigned() == total,
        "{total} events were sent, {counted} were counted, with a sum of {sum}"
    );
    let per_second = |seconds: f64| round(args.events as f64 / seconds);
    Ok(EventsReport {
        bus: args.bus.to_possible_value().map_or_else(String::new, |name| name.get_name().to_owned()),
        users: usize::from(args.users),
        events: args.events,
        commands_per_second: round(commands as f64 / commanding),
        flow_events_per_second: per_second(flowing),
        lag_p50_ms: bucket_quantile(&lags, 0.5),
        lag_p99_ms: bucket_quantile(&lags, 0.99),
        confirmed_per_second: per_second(confirming),
        consumed_per_second: per_second(consuming),
        floor_1: round(floor_1),
        floor_users: round(floor_users),
    })
}

/// A migrated database of one end.
async fn database(server: &Postgres, service: &str, tables: &str) -> Result<Db> {
    server.create_database(service, None).await?;
    let config = DbConfig { url: SecretString::from(server.url(service)), ..DbConfig::default() };
    let setup = Setup {
        service: service.to_owned(),
        clock: Clock::system(),
        crypto: Crypto::ephemeral(),
        gate: GateConfig::default(),
        pressure: PressureConfig::default(),
        patient: false,
    };
    let db = Db::connect(&config, setup).await?;
    db.migrate(CHASSIS_MIGRATIONS).await?;
    db.conn().await?.batch_execute(tables).await?;
    Ok(db)
}

struct Spine {
    producer: Db,
    ledger: Db,
    publishing: Arc<dyn EventBus>,
    consuming: Arc<dyn EventBus>,
}

/// A part of the spine that stops when asked.
struct Part(CancellationToken, JoinHandle<chassis::Result<()>>);

impl Part {
    async fn stop(self) -> Result<()> {
        self.0.cancel();
        Ok(self.1.await??)
    }
}

impl Spine {
    fn relay(&self) -> Part {
        let stop = CancellationToken::new();
        let config = RelayConfig { take_over: true, ..RelayConfig::default() };
        let relay = Relay::new(self.producer.clone(), self.publishing.clone(), config);
        Part(stop.clone(), tokio::spawn(relay.run(stop)))
    }

    fn consumer(&self) -> Part {
        let stop = CancellationToken::new();
        let (db, bus) = (self.ledger.clone(), self.consuming.clone());
        let runner = Runner::new(db, bus, Arc::new(Ledger), RunnerConfig::default());
        let runner = runner.with_catalogue(world::catalogue());
        Part(stop.clone(), tokio::spawn(runner.run(stop)))
    }

    /// The closed loop: each user makes a counter and adds to it nine times, and so on.
    async fn flow(&self, args: &Args) -> Result<u64> {
        let executor = Executor::new(self.producer.clone(), Counters, ExecutorConfig::default());
        let left = Arc::new(AtomicU64::new(args.events));
        let mut users = Vec::new();
        for _ in 0..args.users {
            let (executor, left) = (executor.clone(), left.clone());
            users.push(tokio::spawn(async move {
                let caller = Caller::system("bench");
                let (mut id, mut step) = (new_id(), 0);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    let target = if step == 0 { Target::New } else { Target::Existing };
                    let meta = Meta::new("Add", &new_id().to_string(), &Answer { value: step })?;
                    let respond = |counter: &Counter| Answer { value: counter.value };
                    Executor::execute(&executor, &caller, meta, id, target, Add { id, by: 1 }, respond)
                        .await?;
                    step += 1;
                    if step == 10 {
                        (id, step) = (new_id(), 0);
                    }
                }
                Ok::<_, chassis::Error>(())
            }));
        }
        for user in users {
            user.await??;
        }
        Ok(executor.committed())
    }

    /// Fills the outbox while nobody empties it.
    async fn fill(&self, events: u64) -> Result<()> {
        let mut left = events;
        while left > 0 {
            let some = left.min(500);
            self.producer
                .transaction(async |tx: &mut Tx<'_>| {
                    for _ in 0..some {
                        tx.emit(world::counted(new_id(), 1, 1));
                    }
                    Ok(())
                })
                .await?;
            left -= some;
        }
        Ok(())
    }

    async fn until(&self, what: &str, published: u64, consumed: u64) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(600);
        loop {
            let seen = (self.producer.outbox().published(), self.ledger.inbox().consumed());
            if seen.0 >= published && seen.1 >= consumed {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("in vain: {what} ({} confirmed, {} consumed of {published})", seen.0, seen.1);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
