//! Exchange with other systems with a process per service, of which case-routing is killed in the middle of a delivery.

use tests::{World, run};

#[test]
fn every_state_arrives_at_the_other_system_though_the_sender_is_killed() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        tests::exchange::a_ticket_comes_and_is_told_of(world, async |world| {
            world.kills("case-routing").await;
            world.restarts("case-routing", &[]).await;
            world.answers("case-routing").await;
        })
        .await;
    });
}
