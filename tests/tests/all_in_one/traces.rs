//! One trace through the whole house, collected over OTLP from one process.

use tests::{World, run, traces};

#[test]
fn one_trace_leads_from_rest_calls_through_every_service_to_analytics() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        traces::one_trace(world, |_| "jianghan").await;
    });
}
