//! Flows F3 and F4 in one process.

use tests::{World, run};

#[test]
fn a_turf_dispute_is_ruled_on_by_the_lowest_common_superior_and_becomes_a_precedent() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // a version of the list is in force meanwhile, and its day comes
        tests::disputes::turf_dispute(world).await;
    });
}

#[test]
fn departments_come_when_the_street_whistles() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // it lets days pass until a department comes
        tests::disputes::whistle(world).await;
    });
}
