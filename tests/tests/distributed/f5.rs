//! Flow F5 with a process per service: a dispute is mediated, and given back when a party does not want it any more.

use tests::{World, run};

#[test]
fn a_dispute_ends_in_an_agreement_and_the_case_is_closed_as_mediated() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.shared().await;
        tests::mediation::a_dispute_is_mediated(world).await;
    });
}

#[test]
fn a_party_ends_the_mediation_and_the_public_service_takes_over() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.shared().await;
        tests::mediation::a_party_ends_a_mediation(world).await;
    });
}
