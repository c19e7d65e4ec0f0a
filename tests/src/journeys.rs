//! Journeys that both shapes must make in the same way.

use std::collections::BTreeSet;

use chassis::{Timestamp, clock::to_proto};
use jianghan::{reconcile, scenario::Scenario};
use proto::case_routing::v1::ListCasesRequest;

use crate::{World, world::DRAIN};

pub use jianghan::scenario::{COMMUNITY, LAMP};

/// F1 by hand: registered, accepted, triaged, dispatched, signed, assigned, done, completed, verified, rated, closed,
/// and counted by analytics. Others go another way at the intake, or are offered to volunteers first. The last is opened again by a
/// late bad rating, for which days pass, so that the world is taken alone.
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
    let began = world.now().await.expect("domain time");
    let played = world.only_plays(requests, seed, DRAIN).await.expect("the day is played");
    world.is_well_after(played, requests).await;
    everybody_does_their_own(world, began).await;
}

/// Whoever calls back is a call-back agent, whoever verifies a verifier; windows and dispatchers triage.
async fn everybody_does_their_own(world: &World, began: Timestamp) {
    let request =
        ListCasesRequest { registered_after: Some(to_proto(began)), page_size: 200, ..Default::default() };
    let request = world.dispatcher().asks(request).await;
    let cases = world.patient.cases().list_cases(request).await.expect("a list").into_inner().cases;
    let mut steps = BTreeSet::new();
    for case in &cases {
        for step in world.stage.timeline_of(case).await.expect("a timeline") {
            if let Some(session) = world.actors.worker(&step.actor_ref) {
                steps.insert((step.event, session.account.role.clone()));
            }
        }
    }
    let who = |event: &str| {
        let of = steps.iter().filter(|(known, _)| known == event);
        of.map(|(_, role)| role.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(who("CallbackRecorded"), ["callback_agent"]);
    assert_eq!(who("CaseVerified"), ["verifier"]);
    let triage = who("CaseTriaged");
    for role in ["service_worker", "street_dispatcher"] {
        assert!(triage.contains(&role), "{role}: {triage:?}");
    }
}
