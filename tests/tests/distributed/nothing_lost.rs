//! Nothing is lost and nothing happens twice, whatever dies: under a running simulation each service is killed in turn
//! and started again, RabbitMQ and PostgreSQL are killed, and single services abort at each seam of outbox and inbox.
//! Clients repeat what met no server, under the same `request_id`.

use std::sync::atomic::{AtomicBool, Ordering};

use chassis::crash::SEAMS;
use jianghan::suite::SERVICES;
use tests::{
    World, eventually, run,
    world::{DRAIN, plays},
};

/// Requests of a round: few, so that the last one is soon over.
const ROUND: u64 = 20;

/// Plays at least so many requests, round after round and nothing between them, for as long as `disturb` does its worst; then
/// checks that every acknowledged one came to its end.
async fn survives(world: &World, requests: u64, seed: u64, disturb: impl AsyncFnOnce(&World)) {
    let over = AtomicBool::new(false);
    let load = async {
        // They sign in once, not in every round.
        let cast = world.cast().await.expect("everybody is known");
        let play = async |round: u64| {
            plays(&cast, ROUND, seed + 100 * round, DRAIN).await.expect("the requests are played")
        };
        let (mut played, mut rounds) = (play(0).await, 1);
        while !over.load(Ordering::Relaxed) || rounds * ROUND < requests {
            played = played.and(play(rounds).await);
            rounds += 1;
        }
        (played, rounds * ROUND)
    };
    let ((played, requests), ()) = tokio::join!(load, async {
        // Load first, so that something is in hand when it happens.
        let before = world.registered().await;
        eventually("load", async || (world.registered().await > before + 3).then_some(())).await;
        disturb(world).await;
        over.store(true, Ordering::Relaxed);
    });
    world.is_well_after(played, requests).await;
    world.consumes_every_group().await;
}

#[test]
fn every_service_is_killed_in_turn_and_nothing_is_lost() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        survives(world, 60, 21, async |world| {
            for service in SERVICES.into_iter().chain(["gateway"]) {
                world.kills(service).await;
                world.restarts(service, &[]).await;
                world.answers(service).await;
            }
        })
        .await;
    });
}

#[test]
fn the_broker_is_killed_and_nothing_is_lost() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        survives(world, 40, 22, async |world| {
            let mut launched = world.launched.lock().await;
            let rabbit = launched.rabbit.as_mut().expect("the world has its own RabbitMQ");
            rabbit.kill9().await.expect("killed");
            rabbit.restart().await.expect("RabbitMQ comes back");
        })
        .await;
    });
}

#[test]
fn the_database_server_is_killed_and_nothing_is_lost() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        survives(world, 40, 23, async |world| {
            let mut launched = world.launched.lock().await;
            let postgres = launched.postgres.as_mut().expect("the world has its own PostgreSQL");
            postgres.kill9().await.expect("killed");
            postgres.restart().await.expect("PostgreSQL comes back");
        })
        .await;
    });
}

#[test]
fn services_abort_at_every_seam_and_nothing_is_lost() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        survives(world, 80, 24, async |world| {
            // Each seam in a service that passes it often.
            let publishers = ["case-routing", "staffing"].into_iter().cycle();
            let consumers = ["analytics", "staffing", "case-routing"].into_iter().cycle();
            let (outbox, inbox): (Vec<_>, Vec<_>) =
                SEAMS.into_iter().partition(|seam| !seam.starts_with("inbox."));
            for (seam, service) in outbox.into_iter().zip(publishers).chain(inbox.into_iter().zip(consumers))
            {
                world.kills(service).await;
                world.restarts(service, &[("JIANGHAN_CRASH_AT", &format!("{seam}:4"))]).await;
                world.aborts(service, seam).await;
                world.restarts(service, &[]).await;
                world.answers(service).await;
            }
        })
        .await;
    });
}
