//! Exchange with other systems in one process.

use tests::{World, run};

#[test]
fn a_ticket_of_another_system_is_one_case_and_every_state_arrives_there() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        tests::exchange::a_ticket_comes_and_is_told_of(world, async |_| ()).await;
    });
}
