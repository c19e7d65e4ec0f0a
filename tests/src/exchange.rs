//! C18: 12345 pushes a ticket over REST, it becomes one case, and every state of that case arrives there in order, signed, though
//! the other system fails, hangs and takes things twice, and whatever happens to our own processes meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chassis::testing::{Received, Reply, TestHttp};
use jianghan::suite::request_id;
use proto::case_routing::v1::{
    ActivateMappingRequest, AreaRule, Case, CaseState, ClassRule, CreateExternalSystemRequest,
    DraftMappingRequest, ExchangeDirection, ExternalTicket, GetCaseRequest, ListTicketsRequest,
    RetryTicketRequest, RotateWebhookSecretRequest, StatusRule, SyncState,
};
use serde_json::{Value, json};

use crate::{
    World, eventually,
    journeys::{COMMUNITY, LAMP},
};

const SYSTEM: &str = "hotline";

/// The whole journey. `disturb` does its worst to our side while a delivery is under way.
pub async fn a_ticket_comes_and_is_told_of(world: &World, disturb: impl AsyncFnOnce(&World)) {
    let http = TestHttp::start(|_| Reply::status(200)).await;
    sets_up(world, &http).await;

    // Pushed twice over REST, as a system does that saw no answer: one case.
    let first = pushes(world, "三楼路灯不亮，联系13812340000").await;
    assert_eq!(first["outcome"], "PUSH_OUTCOME_TAKEN", "{first}");
    let again = pushes(world, "三楼路灯不亮，联系138****0000").await;
    assert_eq!((&again["outcome"], &again["caseNo"]), (&json!("PUSH_OUTCOME_UNCHANGED"), &first["caseNo"]));
    let case = sees(world, &ticket(world).await.case_id).await;
    assert_eq!((case.state(), case.item_code.as_str()), (CaseState::Dispatched, LAMP));
    assert_eq!(case.external_tickets[0].ext_no, "WH20260302001");
    eventually("the first states arrive", async || (told(&http).len() == 4).then_some(())).await;

    // It no longer answers, and something happens to us while it does not.
    http.answers(|_| Reply::Hang);
    let before = http.received().len();
    world.leader_of(&case.lead_org_id).signs(&case).await;
    eventually("a delivery under way", async || (http.received().len() > before).then_some(())).await;
    disturb(world).await;
    let turn = Arc::new(AtomicUsize::new(0));
    http.answers(move |_| match turn.fetch_add(1, Ordering::SeqCst) % 4 {
        0 => Reply::status(503),
        1 => Reply::Cut,
        _ => Reply::status(200),
    });
    let handler = world.handler_of(&case.lead_org_id);
    let case = handler.contacts(&case).await;
    let case = handler.completes(&case).await;
    world.verifier().verifies(&case, 5).await;

    eventually("the other system knows everything", async || {
        let ticket = ticket(world).await;
        if ticket.sync_state() == SyncState::Failed {
            let request =
                RetryTicketRequest { ticket_id: ticket.ticket_id.clone(), request_id: request_id() };
            let request = world.operator.request(request).await.ok()?;
            world.patient.exchange().retry_ticket(request).await.ok()?;
        }
        (ticket.sync_state() == SyncState::Synced).then_some(())
    })
    .await;
    let told = told(&http);
    let numbers: Vec<i64> = told.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=i64::try_from(told.len()).expect("few")).collect::<Vec<_>>(), "{told:?}");
    let states: Vec<&str> = told.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(
        states,
        [
            "REGISTERED",
            "ACCEPTED",
            "TRIAGED",
            "DISPATCHED",
            "SIGNED",
            "IN_PROGRESS",
            "COMPLETED",
            "VERIFYING",
            "RESOLVED"
        ]
        .map(|state| format!("CASE_STATE_{state}"))
    );
    let now = sees(world, &case.case_id).await;
    assert_eq!(states.last().copied(), Some(now.state().as_str_name()), "the last one is how it stands");
    for request in http.received() {
        assert!(request.header("webhook-signature").starts_with("v1,"));
        assert!(!String::from_utf8_lossy(&request.body).contains("13812340000"));
    }
}

/// What arrived, each change once, in the order of first arrival.
fn told(http: &TestHttp) -> Vec<(i64, String)> {
    let mut seen: Vec<(String, i64, String)> = Vec::new();
    for Received { body, .. } in http.received() {
        let event: Value = serde_json::from_slice(&body).expect("JSON");
        let id = event["id"].as_str().expect("an id").to_owned();
        if !seen.iter().any(|(known, _, _)| *known == id) {
            let state = event["data"]["state"].as_str().expect("a state").to_owned();
            seen.push((id, event["data"]["number"].as_i64().expect("a number"), state));
        }
    }
    seen.into_iter().map(|(_, number, state)| (number, state)).collect()
}

async fn sets_up(world: &World, http: &TestHttp) {
    let client = world.login("integrator1");
    let mut exchange = world.patient.exchange();
    let system = CreateExternalSystemRequest {
        request_id: request_id(),
        system_code: SYSTEM.into(),
        name_zh: "12345 市民热线".into(),
        name_en: "Hotline 12345".into(),
        direction: ExchangeDirection::In.into(),
        client_id: client.session.account.person_id.clone(),
        endpoint: http.url("/changes"),
        line_codes: Vec::new(),
    };
    let request = world.operator.request(system).await.expect("signed in");
    exchange.create_external_system(request).await.expect("the system is entered");
    let secret = RotateWebhookSecretRequest { system_code: SYSTEM.into(), request_id: request_id() };
    let request = world.operator.request(secret).await.expect("signed in");
    exchange.rotate_webhook_secret(request).await.expect("a secret");
    let mapping = DraftMappingRequest {
        system_code: SYSTEM.into(),
        request_id: request_id(),
        classes: vec![ClassRule { class_code: "SZ-01".into(), item_code: LAMP.into() }],
        areas: vec![AreaRule { area_code: COMMUNITY.into(), unit_code: COMMUNITY.into() }],
        statuses: vec![StatusRule {
            state: CaseState::Dispatched.into(),
            external_status: "已派单".into(),
            ..Default::default()
        }],
        closed_codes: Vec::new(),
        return_statuses: Vec::new(),
    };
    let drafted = exchange.draft_mapping(world.dispatcher().asks(mapping).await).await.expect("a draft");
    let drafted = drafted.into_inner();
    assert!(drafted.problems.is_empty(), "{:?}", drafted.problems);
    let activate = ActivateMappingRequest {
        system_code: SYSTEM.into(),
        mapping_version: drafted.mapping.expect("a mapping").mapping_version,
        request_id: request_id(),
        endpoint: http.url("/changes"),
    };
    let arbiter = world.login("arbiter1");
    exchange.activate_mapping(arbiter.asks(activate).await).await.expect("in force");
}

async fn pushes(world: &World, text: &str) -> Value {
    let bearer = world.login("integrator1").bearer().await;
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/tickets", world.gateway))
        .header("authorization", bearer)
        .json(&json!({
            "requestId": request_id(),
            "extNo": "WH20260302001",
            "text": text,
            "classCode": "SZ-01",
            "areaCode": COMMUNITY,
            "contact": { "name": "王小明", "phone": "13812340000" },
        }))
        .send()
        .await
        .expect("the edge answers");
    let status = answer.status();
    let body: Value = answer.json().await.expect("JSON");
    assert!(status.is_success(), "{status}: {body}");
    body["receipt"].clone()
}

async fn ticket(world: &World) -> ExternalTicket {
    let request = ListTicketsRequest { system_code: SYSTEM.into(), ..Default::default() };
    let request = world.operator.request(request).await.expect("signed in");
    let answer = world.patient.exchange().list_tickets(request).await.expect("tickets").into_inner();
    assert_eq!(answer.tickets.len(), 1, "one number is one ticket");
    answer.tickets.into_iter().next().expect("a ticket")
}

async fn sees(world: &World, case_id: &str) -> Case {
    let request = world.dispatcher().asks(GetCaseRequest { case_id: case_id.to_owned() }).await;
    world.patient.cases().get_case(request).await.expect("the case").into_inner().case.expect("a case")
}
