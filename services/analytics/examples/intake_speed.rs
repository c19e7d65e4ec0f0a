//! How many events per second one consumer connection takes in: whole lives of cases, fifty at a time, in batches of
//! 200, into a private durable PostgreSQL. `cargo run --release -p analytics --example intake_speed [lives [batch]]`.

#[path = "../tests/service/support/story.rs"]
mod story;

use std::time::Instant;

use analytics::{App, consumer::Intake};
use chassis::{
    Clock, Service,
    config::ServiceConfig,
    crypto::Crypto,
    db::{Db, Setup, Tx},
    embedded::{Postgres, postgres::Options},
    event::Event,
    inbox::Consumer,
    outbox::GateConfig,
    pressure::PressureConfig,
};
use chrono::TimeDelta;
use story::{Story, at};
use uuid::Uuid;

/// Cases in hand at once.
const USERS: usize = 50;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let argument = |n, default| std::env::args().nth(n).map_or(Ok(default), |n| n.parse());
    let (lives, batch_size): (usize, usize) = (argument(1, 5_000)?, argument(2, 200)?);
    let mut server = Postgres::start(Options::throw_away(true)).await?;
    let mut config = ServiceConfig::for_service(App::NAME).database;
    server.create_database("analytics", None).await?;
    config.url = server.url("analytics").into();
    let clock = Clock::system();
    let crypto = Crypto::from_keys(vec![[7; 32]]);
    let gate = GateConfig::from(&ServiceConfig::for_service(App::NAME).spine);
    let pressure = PressureConfig::default();
    let (service, patient) = (App::NAME.to_owned(), App::PATIENT);
    let db = Db::connect(&config, Setup { service, clock, crypto, gate, pressure, patient }).await?;
    db.migrate(App::migrations()).await?;

    let events = events(lives);
    let intake = Intake::default();
    let mut conn = db.conn().await?;
    let mut latencies = Vec::new();
    let start = Instant::now();
    for batch in events.chunks(batch_size) {
        let began = Instant::now();
        db.transaction_on(&mut conn, async |tx: &mut Tx<'_>| intake.handle(tx, batch).await).await?;
        latencies.push(began.elapsed());
    }
    let took = start.elapsed();
    latencies.sort_unstable();
    println!(
        "{} events of {lives} cases in {:.2} s: {:.0} events/s; batch p50 {:.1} ms, p99 {:.1} ms",
        events.len(),
        took.as_secs_f64(),
        events.len() as f64 / took.as_secs_f64(),
        latencies[latencies.len() / 2].as_secs_f64() * 1e3,
        latencies[latencies.len() * 99 / 100].as_secs_f64() * 1e3,
    );
    drop(conn);
    server.stop().await?;
    Ok(())
}

/// Lives over 115 places, 60 items and 30 days, as they mix when fifty are in hand at once.
fn events(lives: usize) -> Vec<Event> {
    let lives: Vec<Story> = (0..lives)
        .map(|n| {
            let start = at("2026-11-01", 9) + TimeDelta::minutes(n as i64 % (30 * 1440));
            let place = Uuid::from_u128(1 + (n as u128 * 7919) % 115);
            Story::whole(start, place, &format!("item.{}", n % 60), ["housing", "urban", "civil"][n % 3])
        })
        .collect();
    let mut events = Vec::new();
    for group in lives.chunks(USERS) {
        // A command gives several events of one case in a row.
        for command in 0..8 {
            for life in group {
                let size = life.events.len().div_ceil(8);
                events.extend(life.events.chunks(size).nth(command).into_iter().flatten().cloned());
            }
        }
    }
    events
}
