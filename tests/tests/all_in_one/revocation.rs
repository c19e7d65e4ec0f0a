//! Tokens that are taken back, in one process.

use tests::{World, run};

#[test]
fn a_token_that_was_taken_back_is_refused_by_every_service_within_five_seconds() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // under load it may take longer
        tests::revocation::taken_back_everywhere(world).await;
    });
}
