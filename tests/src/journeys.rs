//! Journeys that both shapes must make in the same way.

use jianghan::{reconcile, scenario::Scenario};

use crate::World;

pub use jianghan::scenario::{COMMUNITY, LAMP};

/// F1 by hand: registered, accepted, triaged, dispatched, signed, assigned, done, completed, verified, rated, closed,
/// and counted by analytics.
pub async fn from_the_window_to_closed(world: &World) {
    let played = world.performs(Scenario::OneWindow).await;
    let case = played.case(0).expect("the case");
    let lead = world.looks_at(case).await.lead_org_id;
    assert_eq!(lead, world.org("dept:urban_management"));
    let facts = crate::eventually("the closed case in analytics", async || {
        let facts = reconcile::digests(&world.patient, &world.operator, "analytics", "case").await.ok()?;
        facts.get(case).filter(|digest| digest.starts_with("closed|")).cloned()
    })
    .await;
    let cases =
        reconcile::digests(&world.patient, &world.operator, "case-routing", "case").await.expect("digests");
    assert_eq!(cases[case], facts);
}

/// Made-up requests played to their ends: nothing lost, nothing twice, no two services disagree.
pub async fn a_simulated_day(world: &World, requests: u64, seed: u64) {
    let report = world.plays(requests, seed).await.expect("the day is played");
    assert_eq!(report.registered, requests, "{}", report.table());
    assert_eq!(report.lost, 0, "{}", report.table());
    assert_eq!(report.duplicated_effects, 0, "{}", report.table());
    assert!(report.is_clean(), "{}", report.table());
    world.is_consistent().await;
}
