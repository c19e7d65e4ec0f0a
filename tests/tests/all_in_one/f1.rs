//! Flow F1 in one process: from the window to closed, by hand, by simulation, and from a file.

use jianghan::reconcile;
use tests::{World, run};

/// Second deliveries that changed nothing, of all services.
async fn dropped(world: &World) -> i64 {
    let figures = reconcile::statistics(&world.patient, &world.operator).await.expect("statistics");
    figures.values().map(|service| service.duplicates_dropped).sum()
}

#[test]
fn a_request_goes_from_the_window_to_closed_and_is_counted() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // it lets the time to rate pass
        tests::journeys::from_the_window_to_closed(world).await;
    });
}

#[test]
fn a_simulated_day_loses_nothing_and_does_nothing_twice() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let before = dropped(world).await;
        tests::journeys::a_simulated_day(world, 40, 7).await;
        assert!(dropped(world).await > before, "the bus delivered nothing twice: its faults were off");
    });
}

#[test]
fn a_file_of_messages_is_simulated_by_the_operators_binary() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        tests::operator::a_file_of_messages_is_played(world).await;
    });
}
