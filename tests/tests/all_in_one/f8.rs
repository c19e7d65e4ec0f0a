//! Flow F8 in one process: a duty moves to the community with all it needs, or not at all.

use tests::{World, run};

#[test]
fn a_duty_moves_down_with_all_three_or_leaves_nothing_behind() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        tests::duty::moves_down(world).await;
    });
}
