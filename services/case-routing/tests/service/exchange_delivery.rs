//! What another system hears: posted, signed, in order, again and again until it has it; or fetched.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::{Persona, Received, Reply, TestHttp},
};
use diesel_async::SimpleAsyncConnection;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::watch;
use tonic::Code;

use crate::{
    exchange::{CODE, World},
    support::{District, request_id, webhook},
};

/// What arrived, each change once, in the order of first arrival: number and state.
fn heard(received: &[Received]) -> Vec<(i64, String)> {
    let mut seen: Vec<(String, i64, String)> = Vec::new();
    for request in received {
        let event: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(event["specversion"], "1.0");
        let id = event["id"].as_str().unwrap().to_owned();
        assert_eq!(request.header("webhook-id"), id);
        let number = event["data"]["number"].as_i64().unwrap();
        let state = event["data"]["state"].as_str().unwrap().to_owned();
        if !seen.iter().any(|(known, _, _)| *known == id) {
            seen.push((id, number, state));
        }
    }
    seen.into_iter().map(|(_, number, state)| (number, state)).collect()
}

async fn synced(world: &World) {
    world
        .d
        .service
        .wait_for("everything is delivered", async || {
            let all = world.tickets(pb::SyncState::Unspecified).await;
            all.iter().all(|ticket| ticket.sync_state() == pb::SyncState::Synced)
        })
        .await;
}

fn assert_signed(request: &Received, secret: &str) {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let head = format!("{}.{}.", request.header("webhook-id"), request.header("webhook-timestamp"));
    mac.update(head.as_bytes());
    mac.update(&request.body);
    let own = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    assert!(request.header("webhook-signature").split(' ').any(|one| one == own), "{request:?}");
}

#[tokio::test]
async fn every_state_arrives_in_order_though_the_other_system_is_ill() {
    // It fails, hangs, cuts off, answers late or elsewhere, and takes some twice.
    let turn = Arc::new(AtomicUsize::new(0));
    let elsewhere = TestHttp::start(|_| Reply::status(200)).await;
    let http = {
        let (turn, location) = (turn.clone(), format!("location: {}", elsewhere.url("/latest/meta-data/")));
        TestHttp::start(move |_| match turn.fetch_add(1, Ordering::SeqCst) % 7 {
            0 => Reply::status(503),
            1 => Reply::Cut,
            2 => Reply::status(204),
            3 => Reply::Late(Duration::from_millis(1_500), 200),
            4 => Reply::Answer(302, vec![location.clone()], String::new()),
            5 => Reply::Answer(429, vec!["retry-after: 0".into()], "wait".into()),
            _ => Reply::status(200),
        })
        .await
    };
    let world = World::impatient(&http.url("/hook?a=b"), pb::ExchangeDirection::In).await;
    let rotate = pb::RotateWebhookSecretRequest { system_code: CODE.into(), request_id: request_id() };
    let secret = world.call(&world.operator).rotate_webhook_secret(rotate).await.unwrap().into_inner().secret;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let ticket = world.tickets(pb::SyncState::Unspecified).await.remove(0);
    let case = world.case(&ticket.case_id).await;
    world.d.resolve(&case).await;
    // Whatever was given up meanwhile is looked after by the operator.
    world
        .d
        .service
        .wait_for("everything arrives", async || {
            for failed in world.tickets(pb::SyncState::Failed).await {
                let request =
                    pb::RetryTicketRequest { ticket_id: failed.ticket_id, request_id: request_id() };
                world.call(&world.operator).retry_ticket(request).await.unwrap();
            }
            world.tickets(pb::SyncState::Synced).await.len() == 1
        })
        .await;
    let received = http.received();
    let told = heard(&received);
    let states: Vec<&str> = told.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(
        told.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        (1..=told.len() as i64).collect::<Vec<_>>()
    );
    assert_eq!(
        states,
        [
            "CASE_STATE_REGISTERED",
            "CASE_STATE_ACCEPTED",
            "CASE_STATE_TRIAGED",
            "CASE_STATE_DISPATCHED",
            "CASE_STATE_SIGNED",
            "CASE_STATE_IN_PROGRESS",
            "CASE_STATE_COMPLETED",
            "CASE_STATE_VERIFYING",
            "CASE_STATE_RESOLVED",
        ]
    );
    let last = world.case(&ticket.case_id).await;
    assert_eq!(states.last(), Some(&last.state().as_str_name()));
    assert!(received.len() > told.len(), "some came more than once");
    let mut by_id: BTreeMap<&str, &[u8]> = BTreeMap::new();
    for request in &received {
        assert_eq!(request.target, "POST /hook?a=b");
        assert!(request.header("content-type").starts_with("application/cloudevents+json"));
        assert_signed(request, &secret);
        let first = by_id.entry(request.header("webhook-id")).or_insert(&request.body);
        assert_eq!(*first, request.body.as_slice(), "a repeat is the same to the byte");
        assert!(!String::from_utf8_lossy(&request.body).contains("13812340000"));
    }
    let redirected = turn.load(Ordering::SeqCst) > 4;
    assert!(redirected && elsewhere.received().is_empty(), "no redirect was followed");
    let event: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(
        (&event["data"]["extNo"], &event["data"]["externalStatus"]),
        (&"WH-1".into(), &"待受理".into())
    );
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_ticket_is_given_up_and_retried_and_a_pause_holds_everything_back() {
    let http = TestHttp::start(|_| Reply::status(500)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    world
        .d
        .service
        .wait_for("it is given up", async || world.tickets(pb::SyncState::Failed).await.len() == 1)
        .await;
    let failed = world.tickets(pb::SyncState::Failed).await.remove(0);
    assert_eq!((failed.last_error_code.as_str(), failed.attempts, failed.waiting_count), ("http_500", 4, 4));
    assert_eq!(http.received().len(), 4, "the first change four times, the others not at all");
    http.answers(|_| Reply::status(200));
    let retry = || pb::RetryTicketRequest { ticket_id: failed.ticket_id.clone(), request_id: request_id() };
    world.call(&world.operator).retry_ticket(retry()).await.unwrap();
    synced(&world).await;
    let nothing = world.call(&world.operator).retry_ticket(retry()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::FailedPrecondition);
    let missing = pb::RetryTicketRequest { ticket_id: request_id(), request_id: request_id() };
    assert_eq!(world.call(&world.operator).retry_ticket(missing).await.unwrap_err().code(), Code::NotFound);

    world.updates(|change| change.state = pb::ExternalSystemState::Paused.into()).await.unwrap();
    let refused = world.pushes(world.ticket("WH-2")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut call = world.call(&world.client);
    let refused = call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "nothing is fetched");
    let ack = pb::AckTicketChangesRequest { request_id: request_id(), ..Default::default() };
    let refused = call.ack_ticket_changes(ack).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "nor acknowledged");
    let case = world.case(&failed.case_id).await;
    world.d.resolve(&case).await;
    let paused = world.tickets(pb::SyncState::Paused).await;
    assert_eq!((paused.len(), paused[0].waiting_count), (1, 5));
    let shown = world.case(&failed.case_id).await.external_tickets.remove(0);
    assert_eq!((shown.ext_no.as_str(), shown.sync_state()), ("WH-1", pb::SyncState::Paused));
    let refused = world.call(&world.operator).retry_ticket(retry()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    world.updates(|change| change.state = pb::ExternalSystemState::On.into()).await.unwrap();
    synced(&world).await;
    assert_eq!(heard(&http.received()).last().unwrap().1, "CASE_STATE_RESOLVED");
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_fails_on_our_side_counts_too_until_it_is_given_up() {
    let http = TestHttp::start(|_| Reply::status(200)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::In).await;
    let mut conn = world.d.service.db().conn().await.unwrap();
    // As sealed by a key that is gone.
    conn.batch_execute("UPDATE external_systems SET sealed_secrets = 'of another time'").await.unwrap();
    world.pushes(world.ticket("WH-1")).await.unwrap();
    world
        .d
        .service
        .wait_for("it is given up", async || world.tickets(pb::SyncState::Failed).await.len() == 1)
        .await;
    let failed = world.tickets(pb::SyncState::Failed).await.remove(0);
    assert_eq!((failed.last_error_code.as_str(), failed.attempts, failed.waiting_count), ("internal", 4, 4));
    assert!(http.received().is_empty());
    conn.batch_execute("UPDATE external_systems SET sealed_secrets = NULL").await.unwrap();
    let retry = pb::RetryTicketRequest { ticket_id: failed.ticket_id, request_id: request_id() };
    world.call(&world.operator).retry_ticket(retry).await.unwrap();
    synced(&world).await;
    drop(conn);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_acknowledged_while_it_is_being_delivered_is_not_given_up() {
    let (release, held) = watch::channel(false);
    let http = TestHttp::start(move |_| Reply::Held(held.clone(), 410)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    world.d.service.wait_for("it is being sent", async || !http.received().is_empty()).await;
    let mut call = world.call(&world.client);
    let listed =
        call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap().into_inner();
    let ack = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: listed.changes.into_iter().map(|change| change.change_id).collect(),
        numbers: Vec::new(),
    };
    assert_eq!(call.ack_ticket_changes(ack).await.unwrap().into_inner().acknowledged, 4);
    release.send_replace(true);
    // One that begins later and takes longer: when it has arrived, the refusal is noted.
    http.answers(|_| Reply::Late(Duration::from_millis(150), 200));
    world.pushes(world.ticket("WH-2")).await.unwrap();
    synced(&world).await;
    for ticket in world.tickets(pb::SyncState::Unspecified).await {
        let held = (ticket.sync_state(), ticket.waiting_count, ticket.attempts);
        assert_eq!(held, (pb::SyncState::Synced, 0, 0), "{}", ticket.ext_no);
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_delivery_that_was_cut_off_is_made_again_by_the_next_sender() {
    let http = TestHttp::start(|_| Reply::Hang).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    world.d.service.wait_for("it is being sent", async || !http.received().is_empty()).await;
    // A second sender over the same database; the first one's answer never comes.
    let another = world.d.another().await;
    http.answers(|_| Reply::status(200));
    synced(&world).await;
    let received = http.received();
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
    assert_eq!(heard(&received).len(), 4);
    another.stop().await.unwrap();
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_delivery_is_left_alone_for_as_long_as_it_may_take_and_be_noted() {
    let (release, held) = watch::channel(false);
    let http = TestHttp::start(move |_| Reply::Held(held.clone(), 200)).await;
    let mut patient = webhook(30_000);
    patient.insert("noting_ms".to_owned(), 90_000.into());
    let d = District::with("webhook", patient).await;
    let world = World::of(d, &http.url("/"), pb::ExchangeDirection::In).await.with_mapping().await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    world.d.service.wait_for("it is being sent", async || !http.received().is_empty()).await;
    let left = "SELECT count(*) AS n FROM external_tickets WHERE in_hand \
         AND due_at BETWEEN now() + interval '100 seconds' AND now() + interval '121 seconds'";
    assert_eq!(world.count(left).await, 1);
    release.send_replace(true);
    synced(&world).await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_was_taken_up_is_posted_where_that_was_confirmed() {
    let confirmed = TestHttp::start(|_| Reply::status(200)).await;
    let other = TestHttp::start(|_| Reply::status(200)).await;
    let world = World::mapped(&confirmed.url("/"), pb::ExchangeDirection::In).await;
    let mut conn = world.d.service.db().conn().await.unwrap();
    // As by an operator, after a ticket was taken up and before its letter is written.
    let moves = format!(
        "CREATE FUNCTION move_endpoint() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN UPDATE external_systems SET endpoint = ''{}''; RETURN NULL; END'; \
         CREATE TRIGGER move_endpoint AFTER UPDATE ON external_tickets FOR EACH ROW WHEN (NEW.in_hand) \
         EXECUTE FUNCTION move_endpoint()",
        other.url("/")
    );
    conn.batch_execute(&moves).await.unwrap();
    drop(conn);
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let told = async || {
        let ticket = world.tickets(pb::SyncState::Unspecified).await.remove(0);
        ticket.waiting_count == 3 && ticket.last_error_code == "no_mapping"
    };
    world.d.service.wait_for("the first change is told", told).await;
    assert_eq!((confirmed.received().len(), other.received().len()), (1, 0));
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_a_replica_from_before_put_in_force_confirms_no_later_endpoint() {
    let first = TestHttp::start(|_| Reply::status(200)).await;
    let second = TestHttp::start(|_| Reply::status(200)).await;
    let world = World::mapped(&first.url("/"), pb::ExchangeDirection::In).await;
    world.call(&world.drafter()).draft_mapping(world.mapping()).await.unwrap();
    // As that writes it.
    let mut conn = world.d.service.db().conn().await.unwrap();
    conn.batch_execute("UPDATE external_mappings SET endpoint = NULL").await.unwrap();
    drop(conn);
    world.updates(|change| change.name_zh = "热线".into()).await.unwrap();
    world.pushes(world.ticket("WH-1")).await.unwrap();
    synced(&world).await;
    assert_eq!(heard(&first.received()).len(), 4, "it counts for the endpoint that there is");

    world.updates(|change| change.endpoint = second.url("/")).await.unwrap();
    let open = "SELECT count(*) AS n FROM external_mappings WHERE endpoint IS NULL AND state = 'draft'";
    let kept =
        "SELECT count(*) AS n FROM external_mappings WHERE endpoint IS NOT NULL AND state = 'in_force'";
    assert_eq!((world.count(open).await, world.count(kept).await), (1, 1), "a draft confirms none");
    world.pushes(world.ticket("WH-2")).await.unwrap();
    let posted = async || !second.received().is_empty();
    let waited = tokio::time::timeout(Duration::from_secs(1), world.d.service.wait_for("a post", posted));
    assert!(waited.await.is_err());
    assert_eq!(world.tickets(pb::SyncState::Pending).await[0].last_error_code, "no_mapping");
    world.updates(|change| change.endpoint = first.url("/")).await.unwrap();
    synced(&world).await;
    assert_eq!((heard(&first.received()).len(), second.received().len()), (8, 0));
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_system_without_an_endpoint_fetches_and_acknowledges() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    for number in 0..3 {
        world.pushes(world.ticket(&format!("WH-{number}"))).await.unwrap();
    }
    let mut fetched = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListTicketChangesRequest { page_size: 5, page_token };
        let page = world.call(&world.client).list_ticket_changes(request).await.unwrap().into_inner();
        fetched.extend(page.changes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(fetched.len(), 12);
    for number in 0..3 {
        let ext_no = format!("WH-{number}");
        let own = fetched.iter().filter(|change| change.ext_no == ext_no).map(|change| change.number);
        assert_eq!(own.collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
    let ack = |changes: &[pb::TicketChange]| pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: changes.iter().map(|change| change.change_id.clone()).chain([request_id()]).collect(),
        numbers: Vec::new(),
    };
    let mut call = world.call(&world.client);
    assert_eq!(call.ack_ticket_changes(ack(&fetched[..6])).await.unwrap().into_inner().acknowledged, 6);
    assert_eq!(call.ack_ticket_changes(ack(&fetched[..7])).await.unwrap().into_inner().acknowledged, 1);
    let rest = call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap().into_inner();
    assert_eq!(rest.changes, fetched[7..]);
    assert_eq!(world.tickets(pb::SyncState::Pending).await.len(), 2);
    call.ack_ticket_changes(ack(&fetched)).await.unwrap();
    synced(&world).await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_case_that_belongs_elsewhere_is_referred_to_the_system_that_takes_it() {
    let http = TestHttp::start(|_| Reply::Answer(200, Vec::new(), r#"{"extNo":"OUT-7"}"#.into())).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let refused = world.pushes(world.ticket("WH-1")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "it only takes");
    let resident = Persona::resident(world.d.district);
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物，请联系13812345678".into(),
        place_unit_id: world.d.community.to_string(),
        item_code: crate::support::ITEM.into(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = world.d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap();
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&world.d.window()));
    let by_line = |line: &str| pb::HandOffCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        line_code: line.into(),
        ..Default::default()
    };
    // Neither in the catalogue nor taken by a system; and a statutory channel is told with an answer.
    for line in ["12319", "litigation"] {
        let refused = intake.hand_off_case(by_line(line)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{line}");
        assert!(refused.message().contains("line_code"), "{refused}");
    }
    intake.hand_off_case(by_line("12345")).await.unwrap();
    synced(&world).await;
    let received = http.received();
    assert_eq!(received.len(), 1);
    let event: Value = serde_json::from_slice(&received[0].body).unwrap();
    let referral = &event["data"]["referral"];
    assert_eq!(event["data"]["kind"], "TICKET_CHANGE_KIND_REFERRAL");
    assert_eq!((&referral["classCode"], &referral["areaCode"]), (&"0201".into(), &"x1".into()));
    assert_eq!(referral["placeUnitCode"], "420103005001");
    let text = referral["textRedacted"].as_str().unwrap();
    assert!(text.contains("楼道堆物") && !text.contains("13812345678"));
    let shown = world.case(&case.case_id).await.external_tickets.remove(0);
    assert_eq!((shown.ext_no.as_str(), shown.direction()), ("OUT-7", pb::ExchangeDirection::Out));
    let numbered =
        pb::ReferralNumber { change_id: event["id"].as_str().unwrap().into(), ext_no: "OUT-8".into() };
    let ack = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: Vec::new(),
        numbers: vec![numbered],
    };
    world.call(&world.client).ack_ticket_changes(ack).await.unwrap();
    let shown = world.case(&case.case_id).await.external_tickets.remove(0);
    assert_eq!(shown.ext_no, "OUT-7", "the first number stays");

    // A line that no system takes refers nothing.
    let other = world.d.taken_in(&resident).await;
    assert_eq!(world.tickets(pb::SyncState::Unspecified).await.len(), 1);
    assert!(world.case(&other.case_id).await.external_tickets.is_empty());
    world.d.service.stop().await;
}
