//! Flow F2 with a process per service: applications from the window over a public notice to delivery, and one that is refused.

use tests::{World, run};

#[test]
fn applications_are_looked_into_shown_publicly_granted_or_refused_in_writing() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await; // it lets the days of a notice pass
        tests::applications::applications(world).await;
    });
}
