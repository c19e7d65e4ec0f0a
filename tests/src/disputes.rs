//! F3 and F4 across services: whose duty it is, and who comes when a street calls.

use jianghan::scenario::Scenario;
use proto::analytics::v1::QueryIndicatorsRequest;

use crate::{
    World, eventually,
    journeys::{COMMUNITY, LAMP},
};

/// F3: objected to, arbitrated between the parties, ruled on by their superior; the ruling is in the figures.
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

/// F4: the street leads and calls two departments, which come; it is supervised and answers.
pub async fn whistle(world: &World) {
    world.performs(Scenario::Whistle).await;
}
