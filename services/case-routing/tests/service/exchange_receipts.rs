//! The receipt of a push says how the matter stands: of a merged ticket, how the case stands that it was merged into. What is added to
//! one that is over finds somebody who reads it.

use std::time::Duration;

use chassis::{
    Error,
    auth::Role,
    proto::case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
    testing::{Persona, Reply, TestHttp},
};

use crate::{
    exchange::World,
    exchange_joined::{joined, parts, ticket},
    exchange_reports::steps,
    support::request_id,
    taken_back::{acknowledges, back, hands_off, listed, reminders, takes_back},
};

#[tokio::test]
async fn the_receipt_of_a_merged_ticket_tells_how_the_original_stands() {
    use pb::{CaseState as S, PushOutcome as O};
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let original = world.case(&ticket(&world, "WH-1").await.case_id).await;
    let merged = joined(&world, "WH-2", &original.case_id).await;
    let again = async |text: &str| {
        let request =
            pb::PushTicketRequest { class_code: "9999".into(), text: text.into(), ..world.ticket("WH-2") };
        world.pushes(request).await.unwrap()
    };
    // In the words that the ticket was taken with, under its own number.
    let known = again("").await;
    assert_eq!((known.state(), known.external_status.as_str()), (S::Dispatched, "已派单"));
    assert_eq!((known.outcome(), &known.case_no), (O::Unchanged, &merged.case_no));
    assert!(!known.awaits_triage, "somebody leads it");
    let added = again("又漏了").await;
    assert_eq!((added.outcome(), added.state()), (O::Added, S::Dispatched));
    world.d.resolve(&original).await;
    assert_eq!(again("").await.state(), S::Resolved);
    // Taken out again it stands for itself.
    parts(&world, &merged).await;
    let own = again("").await;
    assert_eq!((own.state(), own.awaits_triage), (S::Accepted, true));
    world.d.service.stop().await;
}

/// The client of a system that takes what goes by a line.
pub async fn taker(world: &World, endpoint: &str) -> Persona {
    let taker = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    let request = pb::CreateExternalSystemRequest {
        system_code: "petition".into(),
        client_id: taker.person_id.to_string(),
        direction: pb::ExchangeDirection::Out.into(),
        endpoint: endpoint.into(),
        line_codes: vec!["12328".into()],
        ..world.system()
    };
    world.call(&world.operator).create_external_system(request).await.unwrap();
    world.maps("petition").await;
    taker
}

/// The case of a ticket that goes by that line.
pub async fn handed_off(world: &World, ext_no: &str) -> String {
    let unknown = pb::PushTicketRequest { class_code: "9999".into(), ..world.ticket(ext_no) };
    assert!(!world.pushes(unknown).await.unwrap().over);
    let case_id = ticket(world, ext_no).await.case_id;
    hands_off(&world.d, &case_id, "12328").await.unwrap();
    case_id
}

/// Something new under a number.
fn more(world: &World, ext_no: &str, text: &str) -> pb::PushTicketRequest {
    pb::PushTicketRequest { text: text.into(), ..world.ticket(ext_no) }
}

#[tokio::test]
async fn what_is_added_to_a_closed_case_reminds_whoever_received_it_and_an_archived_one_takes_nothing() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let case = world.case(&ticket(&world, "WH-1").await.case_id).await;
    world.d.resolve(&case).await;
    let comes_to = async |days: u64, state: pb::CaseState| {
        world.d.service.clock().advance(Duration::from_secs(days * 86_400));
        let there = async || world.case(&case.case_id).await.state() == state;
        world.d.service.wait_for("its time", there).await;
    };
    comes_to(30, pb::CaseState::Closed).await;
    let known = world.pushes(more(&world, "WH-1", "")).await.unwrap();
    assert_eq!((known.outcome(), known.over), (pb::PushOutcome::Unchanged, true));
    assert_eq!(reminders(&world, &case.case_id).await, [], "nothing was said");

    for text in ["又漏了", "还在漏"] {
        let added = world.pushes(more(&world, "WH-1", text)).await.unwrap();
        assert_eq!((added.outcome(), added.state()), (pb::PushOutcome::Added, pb::CaseState::Closed));
        assert!(added.over);
        let [reminder] = &reminders(&world, &case.case_id).await[..] else { panic!("one") };
        assert_eq!((reminder.level, reminder.reason_code.as_str()), (0, "said_after_end"));
        assert_eq!(reminder.org_id, world.d.gov.to_string(), "who received it, not who led it");
    }
    assert_eq!(case.first_receiver_org_id, world.d.gov.to_string());
    assert_eq!(listed(&world, &world.drafter()).await, std::slice::from_ref(&case.case_id));
    assert_eq!(ticket(&world, "WH-1").await.remark_count, 2);

    comes_to(15_000, pb::CaseState::Archived).await;
    let refused = world.pushes(more(&world, "WH-1", "仍在漏")).await.unwrap_err();
    let told = Error::from_status(&refused);
    let archived = matches!(told, Error::WrongState { code: Some(code), .. } if code == "case_archived");
    assert!(archived, "{refused}");
    assert!(!refused.message().contains(&case.case_id), "it is known there by its ticket");
    assert_eq!(ticket(&world, "WH-1").await.remark_count, 2);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_added_to_a_case_that_was_handed_off_is_passed_on_to_who_took_it() {
    use pb::TicketChangeKind as K;
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let taker = taker(&world, "").await;
    let case_id = handed_off(&world, "WH-1").await;
    for text in ["又漏了，电话13812340000", "还在漏"] {
        let added = world.pushes(more(&world, "WH-1", text)).await.unwrap();
        assert_eq!((added.outcome(), added.state()), (pb::PushOutcome::Added, pb::CaseState::HandedOff));
        assert!(added.over);
    }
    assert_eq!(reminders(&world, &case_id).await, [], "who took it hears it");
    let heard = async |by: &Persona| {
        let request = pb::ListTicketChangesRequest::default();
        world.call(by).list_ticket_changes(request).await.unwrap().into_inner().changes
    };
    let changes = heard(&taker).await;
    let told: Vec<_> = changes.iter().map(|change| (change.number, change.kind())).collect();
    assert_eq!(told, [(1, K::Referral), (2, K::Remark), (3, K::Remark)]);
    assert!(changes[1].remark_redacted.starts_with("又漏了"), "{}", changes[1].remark_redacted);
    assert!(!changes[1].remark_redacted.contains("13812340000"));
    assert_eq!((changes[2].remark_redacted.as_str(), changes[0].remark_redacted.as_str()), ("还在漏", ""));
    let own = heard(&world.client).await;
    assert!(own.iter().all(|change| change.kind() == K::State), "whoever said it does not hear it back");

    // The last words are not sent any more; that the referral is taken back is told behind them.
    let ack = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: changes[..2].iter().map(|change| change.change_id.clone()).collect(),
        numbers: Vec::new(),
    };
    world.call(&taker).ack_ticket_changes(ack).await.unwrap();
    takes_back(&world.d, &world.d.window(), back(&case_id)).await.unwrap();
    let told: Vec<_> = heard(&taker).await.iter().map(|change| (change.number, change.kind())).collect();
    assert_eq!(told, [(4, K::TakenBack)]);
    world.d.service.stop().await;
}

#[tokio::test]
async fn words_that_who_took_a_case_does_not_fetch_for_a_day_are_somebodys_until_they_are_acknowledged() {
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    let taker = taker(&world, "").await;
    let case_id = handed_off(&world, "WH-1").await;
    acknowledges(&world, &taker).await;
    world.pushes(more(&world, "WH-1", "又漏了")).await.unwrap();
    world.d.service.clock().advance(Duration::from_secs(25 * 3_600));
    let reminded = async || reminders(&world, &case_id).await.len() == 1;
    world.d.service.wait_for("somebody is reminded", reminded).await;
    let [reminder] = &reminders(&world, &case_id).await[..] else { panic!("one") };
    assert_eq!((reminder.level, reminder.reason_code.as_str()), (0, "referral_undelivered"));
    assert_eq!(reminder.org_id, world.d.gov.to_string());
    let step = steps(&world, &case_id, "ReferralUndelivered").await;
    assert_eq!(step, ["转出件或其补充迟迟未被对方系统 petition 接收，仍在等候"]);
    acknowledges(&world, &taker).await;
    assert_eq!(reminders(&world, &case_id).await, []);
    world.d.service.stop().await;
}

#[tokio::test]
async fn words_that_are_given_up_are_somebodys_until_they_get_through() {
    let http = TestHttp::start(|_| Reply::status(200)).await;
    let world = World::mapped("", pb::ExchangeDirection::In).await;
    taker(&world, &http.url("/")).await;
    let case_id = handed_off(&world, "WH-1").await;
    let arrived = async || world.tickets(pb::SyncState::Synced).await.len() == 1;
    world.d.service.wait_for("the referral arrives", arrived).await;
    http.answers(|_| Reply::status(410));
    world.pushes(more(&world, "WH-1", "又漏了")).await.unwrap();
    let reminded = async || reminders(&world, &case_id).await.len() == 1;
    world.d.service.wait_for("somebody is reminded", reminded).await;
    world.pushes(more(&world, "WH-1", "还在漏")).await.unwrap();
    let [reminder] = &reminders(&world, &case_id).await[..] else { panic!("whoever is reminded sees it") };
    let answer = pb::AnswerSupervisionRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        supervision_id: reminder.supervision_id.clone(),
        answer_code: "no_capacity".into(),
        ..Default::default()
    };
    let mut desk = VerificationServiceClient::new(world.d.service.call_as(&world.drafter()));
    desk.answer_supervision(answer).await.unwrap();
    for text in ["仍在漏", "漏得更多"] {
        world.pushes(more(&world, "WH-1", text)).await.unwrap();
        let [_, anew] = &reminders(&world, &case_id).await[..] else { panic!("once until they answer") };
        assert_eq!((anew.reason_code.as_str(), &anew.org_id), ("said_after_end", &reminder.org_id));
    }
    let ticket_id = world.tickets(pb::SyncState::Failed).await.remove(0).ticket_id;
    http.answers(|_| Reply::status(200));
    let retry = pb::RetryTicketRequest { ticket_id, request_id: request_id() };
    world.call(&world.operator).retry_ticket(retry).await.unwrap();
    let cleared = async || {
        let known = reminders(&world, &case_id).await;
        known.iter().all(|one| one.reason_code != "referral_undelivered")
    };
    world.d.service.wait_for("they get through", cleared).await;
    world.d.service.stop().await;
}
