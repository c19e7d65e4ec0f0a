//! Flow F1 with a process per service: from the window to closed, by hand, by simulation, and from a file.

use tests::{World, run};

#[test]
fn a_request_goes_from_the_window_to_closed_and_is_counted() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await; // it lets the time to rate pass
        tests::journeys::from_the_window_to_closed(world).await;
    });
}

#[test]
fn a_simulated_day_loses_nothing_and_does_nothing_twice() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        tests::journeys::a_simulated_day(world, 30, 11).await;
    });
}

#[test]
fn a_file_of_messages_is_simulated_by_the_operators_binary() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        tests::operator::a_file_of_messages_is_played(world).await;
    });
}
