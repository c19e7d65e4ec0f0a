//! An event that cannot be read parks only its own key: later events of the case wait behind it, everybody else's flow, and
//! nobody else waits for it. The operator sees it, tries it again, gives it up, and the case catches up.

use std::{process::Output, time::Duration};

use jianghan::reconcile;
use proto::case_routing::v1::CaseState;
use serde_json::Value;
use tests::{
    World, eventually,
    journeys::{COMMUNITY, LAMP},
    run,
    tables::Tables,
    wait::PATIENCE,
};
use tokio::process::Command;
use uuid::Uuid;

const FORGED: &str = "INSERT INTO outbox (id, type, subject, occurred_at, partition_key, aggregate_version, correlation_id, data)
    VALUES ($1, 'jianghan.case_routing.v1.CaseTriaged', 'case', now(), $2, 1000000, $1, '\\xffffff')";

const HELD: &str = "INSERT INTO parked_events (event_id, type, source, subject, occurred_at, partition_key, aggregate_version,
        correlation_id, data, cause, next_attempt_at)
    VALUES ($1, 'jianghan.case_routing.v1.CaseTriaged', 'case-routing', 'case', now(), $1, 1, $1, '', 'unavailable',
        now() + interval '1 day')";

/// `jianghan events …` against the world.
async fn events(world: &World, arguments: &[&str]) -> Output {
    let accounts = world.launched.lock().await.accounts_path.clone();
    let mut command = Command::new(&world.binary);
    command.arg("events").args(arguments).arg("--accounts").arg(accounts);
    command.output().await.expect("the operator's binary runs")
}

async fn dead(world: &World) -> Vec<Value> {
    let told = events(world, &["dead", "--service", "analytics", "--json"]).await;
    serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("no JSON: {told:?}"))
}

#[test]
fn a_poisoned_event_holds_up_its_own_case_only_until_the_operator_gives_it_up() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let window = world.window(COMMUNITY);
        let place = world.unit(COMMUNITY);
        let case = window.takes_in(&world.resident(8), "路灯不亮", LAMP, &place).await;
        world.settles().await;
        let (key, id): (Uuid, Uuid) = (case.case_id.parse().expect("a case id"), chassis::clock::new_id());
        Tables::of(world, "case-routing").await.expect("the database").forge(FORGED, &[&id, &key]).await;

        let found = eventually("the poisoned event to be dead", async || {
            let dead = dead(world).await;
            dead.into_iter().find(|event| event["event_id"] == id.to_string())
        })
        .await;
        assert_eq!(found["cause"], "undecodable", "{found}");
        assert!(
            !events(world, &["dead", "--service", "analytics"]).await.status.success(),
            "dead events are a finding"
        );

        // The case goes on; what it tells analytics waits behind. Another case flows.
        let case = world.leader_of(&case.lead_org_id).signs(&case).await;
        let other = window.takes_in(&world.resident(8), "路灯不亮", LAMP, &place).await;
        let analytics = Tables::of(world, "analytics").await.expect("the database");
        let state = async |case_id: &str| {
            let id: Uuid = case_id.parse().expect("a case id");
            let rows = analytics.rows("SELECT state FROM case_facts WHERE case_id = $1", &[&id]).await;
            rows.first().map(|row| row.get::<_, i16>(0))
        };
        let dispatched = i16::try_from(i32::from(CaseState::Dispatched)).expect("small");
        let signed = i16::try_from(i32::from(CaseState::Signed)).expect("small");
        eventually("the other case in analytics", async || {
            state(&other.case_id).await.filter(|s| *s == dispatched)
        })
        .await;
        let waiting = "SELECT count(*) FROM parked_events WHERE partition_key = $1 AND event_id <> $2";
        eventually("the signing to wait", async || {
            (analytics.count(waiting, &[&key, &id]).await > 0).then_some(())
        })
        .await;
        assert_eq!(state(&case.case_id).await, Some(dispatched), "later events of the key stay behind");

        // Neither a comparison nor a start waits for what only the operator can let go on.
        let waiting = world.settles_but_for_dead().await;
        assert!(waiting.dead == 1 && waiting.all_handled().is_err(), "{waiting}");
        let told = reconcile::taken_in(&world.patient, &world.operator, PATIENCE).await;
        let waiting = told.expect("all else is taken in");
        assert_eq!((waiting.parked, waiting.dead), (0, 1), "{waiting}");
        assert!(waiting.behind_dead > 0, "{waiting}");
        let parked = events(world, &["parked", "--service", "analytics"]).await;
        let parked = String::from_utf8_lossy(&parked.stdout).into_owned();
        assert!(parked.contains(" behind "), "{parked}");

        let shown = events(world, &["show", &id.to_string(), "--service", "analytics"]).await;
        assert!(shown.status.success(), "{shown:?}");
        let tried = events(world, &["redrive", &id.to_string(), "--service", "analytics"]).await;
        assert!(tried.status.success(), "{tried:?}");
        eventually("the event to be dead again", async || {
            dead(world).await.into_iter().find(|event| event["event_id"] == id.to_string())
        })
        .await;
        assert_eq!(state(&case.case_id).await, Some(dispatched), "trying again does not make it readable");

        let skipped =
            events(world, &["skip", &id.to_string(), "--reason", "forged", "--service", "analytics"]).await;
        assert!(skipped.status.success(), "{skipped:?}");
        eventually("the case to catch up", async || state(&case.case_id).await.filter(|s| *s == signed))
            .await;
        assert!(dead(world).await.is_empty());
        world.is_consistent().await;
    });
}

#[test]
fn an_event_that_still_waits_keeps_no_suite_from_starting_and_no_simulation_from_its_report() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let id = chassis::clock::new_id();
        let analytics = Tables::of(world, "analytics").await.expect("the database");
        analytics.forge(HELD, &[&id]).await;
        let waiting = reconcile::taken_in(&world.patient, &world.operator, PATIENCE).await;
        let report = world.plays_and_waits(3, 77, Duration::from_secs(4)).await;
        analytics.forge("DELETE FROM parked_events WHERE event_id = $1", &[&id]).await;
        let (waiting, report) = (waiting.expect("a start waits for none"), report.expect("a report"));
        assert_eq!((waiting.parked, waiting.behind_dead, waiting.dead), (1, 0, 0), "{waiting}");
        assert_eq!(report.registered, 3, "{}", report.table());
        assert!(report.waiting > 0 && !report.is_clean(), "{}", report.table());
        let told = report.undrained.as_deref().unwrap_or_default();
        assert!(told.contains("1 parked"), "{told}");
        world.to_the_next_morning().await.expect("time passes");
        world.is_consistent().await;
    });
}
