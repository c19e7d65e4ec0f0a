//! One trace through the whole house, collected over OTLP from one process.

use tests::{World, journeys, run};

#[test]
fn one_trace_leads_from_the_rest_call_to_analytics() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        journeys::one_trace(world, |_| "jianghan").await;
    });
}
