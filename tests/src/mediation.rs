//! Flow F5: what the scenario does not look at itself: what the event log holds of its mediations.

use jianghan::{reconcile, scenario::Scenario};
use uuid::Uuid;

use crate::{World, eventually, tables::Tables};

/// One dispute is agreed on, confirmed, performed and closed as mediated; another ends when a party does not want it any
/// more, a third when the talks fail, and the street has their cases. A fourth is refused before it begins, and in a fifth a party
/// does not keep to what was agreed on.
pub async fn disputes_are_mediated(world: &World) {
    let played = world.performs(Scenario::Mediation).await;
    let agreed = played.case(0).expect("the first case");
    assert_eq!(told(world, agreed, 3).await, ["MediationOpened", "MediationAgreed", "MediationPerformed"]);
    eventually("the mediated case in analytics", async || {
        let facts = reconcile::digests(&world.patient, &world.operator, "analytics", "case").await.ok()?;
        let cases = reconcile::digests(&world.patient, &world.operator, "case-routing", "case").await.ok()?;
        let digest = facts.get(agreed)?;
        (digest.contains("mediated") && cases.get(agreed) == Some(digest)).then_some(())
    })
    .await;
    let ended = played.case(1).expect("the second case");
    assert_eq!(told(world, ended, 2).await, ["MediationOpened", "MediationFailed"]);
    let failed = played.case(2).expect("the third case");
    let expected = ["MediationOpened", "MediationEscalationReported", "MediationFailed"];
    assert_eq!(told(world, failed, 3).await, expected);
    let refused = played.case(3).expect("the fourth case");
    assert_eq!(told(world, refused, 2).await, ["MediationOpened", "MediationFailed"]);
    let broken = played.case(4).expect("the fifth case");
    assert_eq!(told(world, broken, 3).await, ["MediationOpened", "MediationAgreed", "MediationBreached"]);
}

/// The events of a mediation, in the order in which analytics took them in.
async fn told(world: &World, case: &str, count: usize) -> Vec<String> {
    let tables = Tables::of(world, "analytics").await.expect("the database");
    let key: Uuid = case.parse().expect("a case id");
    let sql = "SELECT replace(type, 'jianghan.case_routing.v1.', '') FROM event_log
               WHERE partition_key = $1 AND type LIKE '%.Mediation%' ORDER BY id";
    eventually("the events of the mediation in analytics", async || {
        let rows = tables.rows(sql, &[&key]).await;
        (rows.len() == count).then(|| rows.iter().map(|row| row.get(0)).collect())
    })
    .await
}
