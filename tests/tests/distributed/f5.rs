//! Flow F5 with a process per service: a dispute is mediated, another given back when a party does not want it any more, a third
//! when the talks fail.

use tests::{World, run};

#[test]
fn a_dispute_ends_in_an_agreement_and_others_are_given_back_when_a_party_ends_it_or_talks_fail() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.shared().await;
        tests::mediation::disputes_are_mediated(world).await;
    });
}
