//! A repeated `request_id` is known after a restart: what was answered before a `kill -9` is answered again.

use tests::{World, journeys::COMMUNITY, run};
use tonic::Code;

#[test]
fn a_registration_repeated_after_a_crash_is_the_same_case() {
    run(async {
        let world = World::distributed().await;
        let _turn = world.alone().await;
        let resident = world.resident(5);
        let message = resident.registration("路灯不亮", &world.unit(COMMUNITY));
        let first = world.patient.cases().register_case(resident.asks(message.clone()).await).await;
        let first = first.expect("registered").into_inner();
        let before = world.registered().await;
        world.kills("case-routing").await;
        world.restarts("case-routing", &[]).await;
        let again = world.patient.cases().register_case(resident.asks(message.clone()).await).await;
        assert_eq!(again.expect("answered again").into_inner(), first);
        let mut other = message;
        other.text.push('！');
        let refused =
            world.patient.cases().register_case(resident.asks(other).await).await.expect_err("another body");
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(world.registered().await, before, "nothing was done twice");
        world.is_consistent().await;
    });
}
