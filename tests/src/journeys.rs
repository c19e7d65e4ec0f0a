//! Journeys that both shapes must make in the same way.

use jianghan::{reconcile, scenario::Scenario};

use crate::World;

pub use jianghan::scenario::{COMMUNITY, LAMP};

/// F1 by hand: registered, accepted, triaged, dispatched, signed, assigned, done, completed, verified, rated, closed,
/// and counted by analytics.
pub async fn from_the_window_to_closed(world: &World) {
    let played = world.performs(Scenario::OneWindow).await;
    let case = played.case(0).expect("the case");
    let lead = world.looks_at(case).await.lead_org_id;
    assert_eq!(lead, world.org("dept:urban_management"));
    let facts = crate::eventually("the closed case in analytics", async || {
        let facts = reconcile::digests(&world.patient, &world.operator, "analytics", "case").await.ok()?;
        facts.get(case).filter(|digest| digest.starts_with("closed|")).cloned()
    })
    .await;
    let cases =
        reconcile::digests(&world.patient, &world.operator, "case-routing", "case").await.expect("digests");
    assert_eq!(cases[case], facts);
}

/// Made-up requests played to their ends: nothing lost, nothing twice, no two services disagree.
pub async fn a_simulated_day(world: &World, requests: u64, seed: u64) {
    let report = world.plays(requests, seed).await.expect("the day is played");
    assert_eq!(report.registered, requests, "{}", report.table());
    assert_eq!(report.lost, 0, "{}", report.table());
    assert_eq!(report.duplicated_effects, 0, "{}", report.table());
    assert!(report.is_clean(), "{}", report.table());
    world.is_consistent().await;
}

/// One trace from a REST call through gRPC, outbox, bus and consumers to analytics. `process` says which process plays
/// which part: all the same one, or one each.
pub async fn one_trace(world: &World, process: impl Fn(&'static str) -> &'static str) {
    let resident = world.resident(7);
    let trace = chassis::clock::new_id().simple().to_string();
    let mut body = serde_json::json!({
        "requestId": chassis::clock::new_id().to_string(),
        "text": "路灯不亮",
        "placeUnitId": world.unit(COMMUNITY),
        "channel": "CHANNEL_APP",
        "noticeVersion": "v1",
        "urgency": "URGENCY_NORMAL",
    });
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/cases", world.gateway))
        .header("authorization", resident.bearer().await)
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .json(&body.take())
        .send()
        .await
        .expect("the edge answers");
    assert_eq!(answer.status(), 200);
    let case = answer.json::<serde_json::Value>().await.expect("JSON")["case"]["caseId"].clone();

    let expected = [
        ("gateway", "http.request"),
        ("case-routing", "jianghan.case_routing.v1.CaseService/RegisterCase"),
        ("analytics", "process jianghan.case_routing.v1.CaseRegistered"),
    ];
    let spans = crate::eventually("the spans of one trace", async || {
        let spans = world.otlp.trace(&trace);
        let all = expected
            .iter()
            .all(|(part, name)| spans.iter().any(|span| span.process == process(part) && span.name == *name));
        all.then_some(spans)
    })
    .await;
    let span = |name: &str| spans.iter().find(|span| span.name == name).expect("seen above");
    let [edge, rpc, consumer] = expected.map(|(_, name)| span(name));
    assert_eq!(edge.parent_id, "00f067aa0ba902b7", "the caller's span is the parent of the edge's");
    assert_eq!(rpc.parent_id, edge.span_id, "the RPC is called by the edge");
    assert_eq!(consumer.parent_id, rpc.span_id, "the event was written by the RPC");
    let text = format!("{spans:?}");
    assert!(!text.contains(&resident.session.account.person_id), "no person in a span");
    assert!(!text.contains("路灯"), "no words of the requester in a span");
    assert!(case.is_string());

    for (part, method) in [
        ("case-routing", "jianghan.case_routing.v1.CaseService/RegisterCase"),
        ("identity", "jianghan.identity.v1.AuthService/SignIn"),
    ] {
        crate::eventually(&format!("the duration of {method} from {}", process(part)), async || {
            let points = world.otlp.metric(process(part), "rpc.server.call.duration");
            let is = |labels: &Vec<(String, String)>, key: &str, value: &str| {
                labels.iter().any(|(name, text)| name == key && text == value)
            };
            points
                .iter()
                .any(|labels| {
                    is(labels, "rpc.method", method) && is(labels, "rpc.response.status_code", "OK")
                })
                .then_some(())
        })
        .await;
    }
}
