//! F3 and F4 across services: whose duty it is, and who comes when a street calls.

use jianghan::scenario::Scenario;
use proto::{analytics::v1::QueryIndicatorsRequest, case_routing::v1::ClockKind};

use crate::{
    World, eventually,
    journeys::{COMMUNITY, LAMP},
};

/// F3: objected to, decided by the dispatcher; arbitrated between the parties, ruled on by their superior, reviewed by the one above;
/// the ruling is in the figures.
pub async fn turf_dispute(world: &World) {
    world.performs(Scenario::Arbitration).await;
    eventually("the ruling in the figures of the item", async || {
        let request = QueryIndicatorsRequest {
            codes: vec!["I-14-upheld".into()],
            unit_ids: vec![world.unit(COMMUNITY)],
            item_code: LAMP.into(),
            ..Default::default()
        };
        let answer =
            world.patient.indicators().query_indicators(world.dispatcher().asks(request).await).await;
        answer.ok()?.into_inner().values.iter().any(|value| value.numerator > 0).then_some(())
    })
    .await;
}

/// F4: the street leads and calls two departments, which come; it is supervised and answers. Of two others one stays away, for
/// so many days that the world is taken alone.
pub async fn whistle(world: &World) {
    let played = world.performs(Scenario::Whistle).await;
    let late = world.looks_at(played.case(1).expect("the case that was late")).await;
    for clock in [ClockKind::Sign, ClockKind::Report, ClockKind::Resolve] {
        let known = late.supervisions.iter().find(|one| one.clock() == clock).expect("a supervision");
        assert_eq!((known.level, known.state.as_str()), (3, "cleared"), "{clock:?}");
    }
}
