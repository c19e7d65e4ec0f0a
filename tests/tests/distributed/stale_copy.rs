//! A database that comes from a backup, without the events that only the broker held: when its service starts, it has what they told
//! of the topology all the same.

use jianghan::reconcile;
use tests::{World, eventually, journeys::COMMUNITY, run, tables::Tables};
use uuid::Uuid;

/// What staffing would say is missing, and what the others say is told.
async fn others_are_told_of(world: &World) {
    let (listed, well) = world.is_told(&["events", "parked"]).await;
    assert!(listed.is_array() && !well, "{listed}");
    let (told, well) = world.is_told(&["reconcile", "--drain", "0"]).await;
    assert!(!well && told["compared"]["case"].is_u64(), "{told}");
    let failures = told["failures"].as_array().expect("failures");
    assert!(!failures.is_empty() && failures.iter().all(|one| one["service"] == "staffing"), "{told}");
}

#[test]
fn a_copy_that_is_behind_is_brought_up_to_date_when_its_service_starts() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        world.settles().await;
        let unit: Uuid = world.unit(COMMUNITY).parse().expect("a unit id");
        world.kills("staffing").await;
        others_are_told_of(world).await;
        let staffing = Tables::of(world, "staffing").await.expect("the database");
        let before = "UPDATE topology_units SET version = version - 1, name_zh = '旧' WHERE id = $1";
        staffing.forge(before, &[&unit]).await;
        staffing.forge("DELETE FROM topology_edges", &[]).await;
        world.restarts("staffing", &[]).await;
        world.answers("staffing").await;
        for subject in ["unit", "organization", "edge"] {
            eventually("the copy to be up to date", async || {
                let held = |service: &'static str| {
                    reconcile::digests(&world.patient, &world.operator, service, subject)
                };
                let (owned, copied) = (held("identity").await.ok()?, held("staffing").await.ok()?);
                (!owned.is_empty() && owned == copied).then_some(())
            })
            .await;
        }
        let rows = staffing.rows("SELECT name_zh FROM topology_units WHERE id = $1", &[&unit]).await;
        assert_ne!(rows[0].get::<_, String>(0), "旧");
        world.is_consistent().await;
    });
}
