//! An event that cannot be read parks only its own key: later events of the case wait behind it, everybody else's flow.
//! The operator sees it, tries it again, gives it up, and the case catches up.

use std::process::Output;

use proto::case_routing::v1::CaseState;
use serde_json::Value;
use tests::{
    World, eventually,
    journeys::{COMMUNITY, LAMP},
    run,
    tables::Tables,
};
use tokio::process::Command;
use uuid::Uuid;

const FORGED: &str = "INSERT INTO outbox (id, type, subject, occurred_at, partition_key, aggregate_version, correlation_id, data)
    VALUES ($1, 'jianghan.case_routing.v1.CaseTriaged', 'case', now(), $2, 1000000, $1, '\\xffffff')";

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
