//! Flow F2 in one process: an application from the window over a public notice to delivery, and one that is refused.

use tests::{World, run};

#[test]
fn an_application_is_looked_into_shown_publicly_granted_and_delivered() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await; // it lets the days of a notice pass
        tests::applications::granted_after_a_notice(world).await;
    });
}

#[test]
fn an_application_is_refused_in_writing_with_reasons_and_remedies() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        tests::applications::refused_in_writing(world).await;
    });
}
