//! Flow F2: what the scenario does not look at itself, because only checks look into services.

use jianghan::{reconcile, scenario::Scenario};
use uuid::Uuid;

use crate::{World, eventually, tables::Tables};

/// Applied for by proxy, shown publicly, objected to, granted, paid and closed, and re-checked when the review day came, as was
/// another, which ended; one refused in writing; one granted at once; one accepted by silence; one shown now. Analytics holds each as case-routing does, and no event of a
/// benefit that names a person without the key.
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
    each_review_once(world).await;
    benefits_are_told_sealed(world).await;
}

/// Every review of a benefit that came has one re-check, which stands in the case book under the benefit; one goes on and one
/// ended.
async fn each_review_once(world: &World) {
    let tables = Tables::of(world, "case-routing").await.expect("the database");
    let outcomes =
        "SELECT count(DISTINCT outcome) FROM benefit_rechecks WHERE outcome IN ('renewed', 'ended')";
    assert_eq!(tables.count(outcomes, &[]).await, 2, "one goes on and one ends");
    let astray = "SELECT count(*) FROM benefit_rechecks r LEFT JOIN cases c ON c.case_id = r.case_id
        WHERE c.doc IS NULL OR (c.doc::jsonb ->> 'parent_case')::uuid IS DISTINCT FROM r.benefit_id";
    assert_eq!(tables.count(astray, &[]).await, 0, "a re-check is a case of its benefit");
    let unasked = "SELECT count(*) FROM cases c
        JOIN benefits b ON (c.doc::jsonb ->> 'parent_case')::uuid = b.benefit_id
        WHERE NOT EXISTS (SELECT FROM benefit_rechecks r WHERE r.case_id = c.case_id)";
    assert_eq!(tables.count(unasked, &[]).await, 0, "no re-check without a review that was due");
}

/// The events that are kept say whose a benefit is only sealed, and the tags of people stand sealed as well.
async fn benefits_are_told_sealed(world: &World) {
    let identity = Tables::of(world, "identity").await.expect("the database");
    let carried = eventually("tags", async || {
        let rows = identity.rows("SELECT person_id FROM person_tags WHERE person_id IS NOT NULL", &[]).await;
        (!rows.is_empty()).then_some(rows)
    })
    .await;
    let sealed = "SELECT count(*) FROM person_tags WHERE position('dibao'::bytea in code_sealed) > 0";
    assert_eq!(identity.count(sealed, &[]).await, 0);
    let analytics = Tables::of(world, "analytics").await.expect("the database");
    let told =
        "SELECT encode(data, 'hex') FROM event_log WHERE type LIKE 'jianghan.case_routing.v1.Benefit%'";
    let told = eventually("granted twice, renewed and ended", async || {
        let told: Vec<String> = analytics.rows(told, &[]).await.iter().map(|row| row.get(0)).collect();
        (told.len() >= 4).then_some(told)
    })
    .await;
    for row in carried {
        let person: Uuid = row.get(0);
        let text: String = person.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
        for form in [person.simple().to_string(), text] {
            assert!(told.iter().all(|data| !data.contains(&form)), "an event names {person}");
        }
    }
}
