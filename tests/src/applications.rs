//! Flow F2: what the scenario does not look at itself, because only checks look into services.

use jianghan::{reconcile, scenario::Scenario};

use crate::{World, eventually};

/// Applied for by proxy, shown publicly, objected to, granted, paid and closed; another refused in writing; a third shown
/// now. Analytics holds each as case-routing does.
pub async fn applications(world: &World) {
    let played = world.performs(Scenario::Application).await;
    for case in played.shown.iter().filter(|shown| shown.kind == "case") {
        eventually("the case in analytics as it stands", async || {
            let facts =
                reconcile::digests(&world.patient, &world.operator, "analytics", "case").await.ok()?;
            let cases =
                reconcile::digests(&world.patient, &world.operator, "case-routing", "case").await.ok()?;
            (facts.get(&case.id)? == cases.get(&case.id)?).then_some(())
        })
        .await;
    }
}
