//! What the window handed off by mistake, and takes back.

use std::time::Duration;

use chassis::{
    Clock, Error,
    auth::Role,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::{Persona, Reply, TestHttp},
};
use diesel_async::SimpleAsyncConnection;
use tonic::{Code, Status};

use crate::{
    exchange::{CODE, World},
    exchange_reports::{referred, report, says, shown, steps},
    support::{District, ITEM, monday, request_id, webhook},
};

/// 火情处置, which goes to 119.
const FIRE: &str = "ZF-0191";

async fn registered(d: &District, item_code: &str) -> pb::Case {
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道里有烟".into(),
        place_unit_id: d.community.to_string(),
        item_code: item_code.into(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let resident = Persona::resident(d.district);
    d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap()
}

pub async fn hands_off(d: &District, case_id: &str, line: &str) -> Result<pb::Case, Status> {
    let request = pb::HandOffCaseRequest {
        case_id: case_id.into(),
        request_id: request_id(),
        line_code: line.into(),
        ..Default::default()
    };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&d.window()));
    Ok(intake.hand_off_case(request).await?.into_inner().case.unwrap())
}

pub fn back(case_id: &str) -> pb::TakeBackCaseRequest {
    pb::TakeBackCaseRequest {
        case_id: case_id.into(),
        request_id: request_id(),
        reason_code: "by_mistake".into(),
        ..Default::default()
    }
}

pub async fn takes_back(
    d: &District,
    by: &Persona,
    request: pb::TakeBackCaseRequest,
) -> Result<pb::Case, Status> {
    let mut intake = IntakeServiceClient::new(d.service.call_as(by));
    Ok(intake.take_back_case(request).await?.into_inner().case.unwrap())
}

/// The reminders of a case that nobody has cleared.
pub async fn reminders(world: &World, case_id: &str) -> Vec<pb::Supervision> {
    let mut known = world.case(case_id).await.supervisions;
    known.retain(|one| one.state != "cleared");
    known
}

/// The cases that somebody finds as those of their organisation.
pub async fn listed(world: &World, by: &Persona) -> Vec<String> {
    let request = pb::ListCasesRequest { org_id: by.org_id.unwrap().to_string(), ..Default::default() };
    let page = world.d.cases(by).list_cases(request).await.unwrap().into_inner();
    page.cases.into_iter().map(|case| case.case_id).collect()
}

/// The one change that a client's system does not have.
pub async fn acknowledges(world: &World, client: &Persona) {
    let mut call = world.call(client);
    let waiting = call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap();
    let ack = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: waiting.into_inner().changes.into_iter().map(|change| change.change_id).collect(),
        numbers: Vec::new(),
    };
    assert_eq!(call.ack_ticket_changes(ack).await.unwrap().into_inner().acknowledged, 1);
}

#[tokio::test]
async fn an_emergency_that_is_none_comes_back_and_one_that_is_of_another_item_does_not_go() {
    let d = District::start().await;
    let lamp = registered(&d, ITEM).await;
    let refused = hands_off(&d, &lamp.case_id, "119").await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("other_item"), "{refused}");
    let told = Error::from_status(&refused);
    assert!(matches!(told, Error::WrongState { code: Some(code), .. } if code == "other_item"), "{refused}");

    let fire = registered(&d, FIRE).await;
    assert_eq!(fire.state(), pb::CaseState::HandedOff);
    d.told().await;
    let (window, request) = (d.window(), back(&fire.case_id));
    let case = takes_back(&d, &window, request.clone()).await.unwrap();
    assert_eq!((case.state(), case.closed_code()), (pb::CaseState::Triaged, pb::ClosedCode::Unspecified));
    assert_eq!(takes_back(&d, &window, request).await.unwrap(), case, "once");
    assert_eq!(d.told().await, ["CaseReturnedFromReferral"]);
    let again = takes_back(&d, &d.window(), back(&fire.case_id)).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "it is here");

    // Not for whom its place is not granted, nor for whoever asked.
    let gone = hands_off(&d, &fire.case_id, "119").await.unwrap();
    assert_eq!(gone.state(), pb::CaseState::HandedOff);
    let elsewhere = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    let refused = takes_back(&d, &elsewhere, back(&fire.case_id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let resident = Persona::resident(d.district);
    let refused = takes_back(&d, &resident, back(&fire.case_id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    d.service.stop().await;
}

#[tokio::test]
async fn a_referral_that_did_not_arrive_is_not_sent_any_more_once_it_is_taken_back() {
    let http = TestHttp::start(|_| Reply::status(410)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    let given_up = async || world.tickets(pb::SyncState::Failed).await.len() == 1;
    world.d.service.wait_for("it is given up", given_up).await;
    assert_eq!(reminders(&world, &ticket.case_id).await.len(), 1);
    let case = takes_back(&world.d, &world.d.window(), back(&ticket.case_id)).await.unwrap();
    assert_eq!(case.state(), pb::CaseState::Triaged);
    assert_eq!(reminders(&world, &ticket.case_id).await, []);
    let now = shown(&world, &ticket.case_id).await;
    assert_eq!(
        (now.sync_state(), now.waiting_count, now.last_error_code.as_str()),
        (pb::SyncState::Synced, 0, "")
    );
    let mut call = world.call(&world.client);
    let waiting = call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap();
    assert_eq!(waiting.into_inner().changes, []);
    assert_eq!(http.received().len(), 1);

    // What the system says of it later is told, and moves nothing.
    says(&world, &world.client, report(&ticket, "R-1", "退回")).await.unwrap();
    assert_eq!(world.case(&ticket.case_id).await.state(), pb::CaseState::Triaged);
    let refused = hands_off(&world.d, &ticket.case_id, "12345").await.unwrap_err();
    assert!(refused.message().contains("returned_before"), "{refused}");
    world.d.service.stop().await;
}

#[tokio::test]
async fn the_window_finds_a_referral_that_was_given_up_in_its_list_until_it_gets_through() {
    let http = TestHttp::start(|_| Reply::status(410)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    let window = world.d.window();
    let listed = async || listed(&world, &window).await;
    world.d.service.wait_for("a reminder", async || listed().await == [ticket.case_id.clone()]).await;
    let [reminder] = &reminders(&world, &ticket.case_id).await[..] else { panic!("one") };
    assert_eq!((reminder.level, reminder.reason_code.as_str()), (0, "referral_undelivered"));
    assert_eq!(reminder.org_id, world.d.station.to_string());
    let step = steps(&world, &ticket.case_id, "ReferralUndelivered").await;
    assert_eq!(step, ["转出件或其补充未能送达对方系统 hotline，已停止重试"]);
    assert_eq!(world.case(&ticket.case_id).await.state(), pb::CaseState::HandedOff);

    // Retried in vain: it is read once more.
    let retry = || pb::RetryTicketRequest { ticket_id: ticket.ticket_id.clone(), request_id: request_id() };
    world.call(&world.operator).retry_ticket(retry()).await.unwrap();
    let twice = async || steps(&world, &ticket.case_id, "ReferralUndelivered").await.len() == 2;
    world.d.service.wait_for("it is given up again", twice).await;
    assert_eq!(reminders(&world, &ticket.case_id).await.len(), 1);
    http.answers(|_| Reply::status(200));
    world.call(&world.operator).retry_ticket(retry()).await.unwrap();
    world.d.service.wait_for("it gets through", async || listed().await.is_empty()).await;
    assert_eq!(reminders(&world, &ticket.case_id).await, []);
    assert_eq!(shown(&world, &ticket.case_id).await.sync_state(), pb::SyncState::Synced);

    // Whoever fetches it after all, and says so, has it.
    http.answers(|_| Reply::status(410));
    let fetched = referred(&world).await;
    world.d.service.wait_for("a reminder", async || listed().await == [fetched.case_id.clone()]).await;
    acknowledges(&world, &world.client).await;
    assert!(listed().await.is_empty());
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_that_is_given_up_though_it_may_have_arrived_is_somebodys_too() {
    let http = TestHttp::start(|_| Reply::status(502)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    let tried = async || !shown(&world, &ticket.case_id).await.last_error_code.is_empty();
    world.d.service.wait_for("it was tried", tried).await;
    let last = "UPDATE external_tickets SET attempts = 11, due_at = now() WHERE due_at IS NOT NULL";
    world.d.service.db().conn().await.unwrap().batch_execute(last).await.unwrap();
    let reminded = async || reminders(&world, &ticket.case_id).await.len() == 1;
    world.d.service.wait_for("somebody is reminded", reminded).await;
    http.answers(|_| Reply::status(200));
    let retry = pb::RetryTicketRequest { ticket_id: ticket.ticket_id.clone(), request_id: request_id() };
    world.call(&world.operator).retry_ticket(retry).await.unwrap();
    let cleared = async || reminders(&world, &ticket.case_id).await.is_empty();
    world.d.service.wait_for("it gets through", cleared).await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_that_nobody_fetches_for_a_day_is_somebodys_until_it_is_acknowledged() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let window = world.d.window();
    let listed = async || listed(&world, &window).await;
    let ticket = referred(&world).await;
    world.d.service.clock().advance(Duration::from_secs(23 * 3_600));
    let later = referred(&world).await;
    world.d.service.clock().advance(Duration::from_secs(2 * 3_600));
    let asks = async || listed().await == [ticket.case_id.clone()];
    world.d.service.wait_for("a reminder", asks).await;
    let [reminder] = &reminders(&world, &ticket.case_id).await[..] else { panic!("one") };
    assert_eq!((reminder.level, reminder.reason_code.as_str()), (0, "referral_undelivered"));
    assert_eq!(reminder.org_id, world.d.station.to_string());
    let step = steps(&world, &ticket.case_id, "ReferralUndelivered").await;
    assert_eq!(step, ["转出件或其补充迟迟未被对方系统 hotline 接收，仍在等候"], "once");
    let now = shown(&world, &ticket.case_id).await;
    assert_eq!((now.sync_state(), now.last_error_code.as_str()), (pb::SyncState::Pending, "not_fetched"));
    assert_eq!(reminders(&world, &later.case_id).await, [], "its day is not over");

    // It waits on: whoever fetches it, or reports on it, has it.
    let mut call = world.call(&world.client);
    let all = call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.changes.len(), 2);
    let ack = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: vec![all.changes[0].change_id.clone()],
        numbers: Vec::new(),
    };
    call.ack_ticket_changes(ack).await.unwrap();
    assert_eq!((listed().await.len(), reminders(&world, &ticket.case_id).await), (0, vec![]));
    assert_eq!(shown(&world, &ticket.case_id).await.last_error_code, "");
    world.d.service.clock().advance(Duration::from_secs(86_400));
    world.d.service.wait_for("a reminder", async || listed().await == [later.case_id.clone()]).await;
    says(&world, &world.client, report(&later, "R-1", "转办")).await.unwrap();
    assert_eq!(listed().await, [""; 0]);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_that_waits_for_a_day_because_its_system_is_paused_is_somebodys_until_it_is_posted() {
    let http = TestHttp::start(|_| Reply::status(200)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    world.updates(|change| change.state = pb::ExternalSystemState::Paused.into()).await.unwrap();
    let ticket = referred(&world).await;
    world.d.service.clock().advance(Duration::from_secs(2 * 86_400));
    let reminded = async || reminders(&world, &ticket.case_id).await.len() == 1;
    world.d.service.wait_for("somebody is reminded", reminded).await;
    assert_eq!(listed(&world, &world.d.window()).await, std::slice::from_ref(&ticket.case_id));
    let now = shown(&world, &ticket.case_id).await;
    assert_eq!((now.sync_state(), now.last_error_code.as_str()), (pb::SyncState::Paused, "paused"));
    assert!(http.received().is_empty());
    world.updates(|change| change.state = pb::ExternalSystemState::On.into()).await.unwrap();
    let cleared = async || reminders(&world, &ticket.case_id).await.is_empty();
    world.d.service.wait_for("it gets through", cleared).await;
    assert_eq!((http.received().len(), listed(&world, &world.d.window()).await.len()), (1, 0));
    world.d.service.stop().await;
}

#[tokio::test]
async fn nothing_is_posted_before_a_mapping_was_put_in_force_for_the_endpoint() {
    let first = TestHttp::start(|_| Reply::status(200)).await;
    let second = TestHttp::start(|_| Reply::status(200)).await;
    let world = World::start(&first.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    let why = async |ticket: &pb::ExternalTicket| {
        let now = shown(&world, &ticket.case_id).await;
        (now.sync_state(), now.last_error_code)
    };
    let rests = (pb::SyncState::Pending, "no_mapping".to_owned());
    assert_eq!(why(&ticket).await, rests);
    assert_eq!(world.tickets(pb::SyncState::Pending).await[0].last_error_code, "no_mapping");
    let retry = pb::RetryTicketRequest { ticket_id: ticket.ticket_id.clone(), request_id: request_id() };
    let refused = world.call(&world.operator).retry_ticket(retry).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    // After a day it is somebody's, and waits on.
    world.d.service.clock().advance(Duration::from_secs(2 * 86_400));
    let reminded = async || reminders(&world, &ticket.case_id).await.len() == 1;
    world.d.service.wait_for("somebody is reminded", reminded).await;
    assert_eq!(why(&ticket).await, rests);
    assert!(first.received().is_empty());

    world.maps(CODE).await;
    let synced = async || world.tickets(pb::SyncState::Pending).await.is_empty();
    world.d.service.wait_for("it is posted", synced).await;
    assert_eq!((first.received().len(), reminders(&world, &ticket.case_id).await.len()), (1, 0));
    let event: serde_json::Value = serde_json::from_slice(&first.received()[0].body).unwrap();
    assert_eq!(event["data"]["referral"]["classCode"], "0201", "in the words that there are by then");

    // To another address only once that was confirmed as well, by somebody else than the operator.
    world.updates(|change| change.endpoint = second.url("/")).await.unwrap();
    let ticket = referred(&world).await;
    let posted = async || first.received().len() > 1 || !second.received().is_empty();
    let waited = tokio::time::timeout(Duration::from_secs(1), world.d.service.wait_for("a post", posted));
    assert!(waited.await.is_err());
    assert_eq!(why(&ticket).await, rests);
    world.maps(CODE).await;
    let synced = async || world.tickets(pb::SyncState::Pending).await.is_empty();
    world.d.service.wait_for("it is posted", synced).await;
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    world.d.service.stop().await;
}

#[tokio::test]
async fn while_real_time_is_wrong_nobody_is_reminded_and_nothing_is_forgotten() {
    let clock = Clock::fixed(monday()).ahead_by(Duration::from_secs(90));
    let d = District::at_with(clock, "webhook", webhook(5_000)).await;
    let world = World::of(d, "", pb::ExchangeDirection::Both).await.with_mapping().await;
    assert!(world.d.service.clock().is_astray());
    let ticket = referred(&world).await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    world.d.service.clock().advance(Duration::from_secs(25 * 3_600));
    let old = "UPDATE ticket_changes SET delivered_at = '2000-01-01' WHERE kind = 'state'";
    world.d.service.db().conn().await.unwrap().batch_execute(old).await.unwrap();
    let states = "SELECT count(*) AS n FROM ticket_changes WHERE kind = 'state'";
    let forgotten = async || world.count(states).await < 4;
    assert!(!forgotten().await);
    let decided = async || forgotten().await || !reminders(&world, &ticket.case_id).await.is_empty();
    let waited = tokio::time::timeout(Duration::from_secs(1), world.d.service.wait_for("either", decided));
    assert!(waited.await.is_err(), "who knows whether it has waited for a day, and that for ninety");
    world.d.service.stop().await;
}

#[tokio::test]
async fn while_real_time_is_wrong_nothing_is_posted_that_another_replica_may_have_in_hand() {
    let http = TestHttp::start(|_| Reply::status(200)).await;
    let clock = Clock::fixed(monday()).ahead_by(Duration::from_secs(90));
    let d = District::at_with(clock, "webhook", webhook(5_000)).await;
    let world = World::of(d, &http.url("/"), pb::ExchangeDirection::Out).await.with_mapping().await;
    let ticket = referred(&world).await;
    let posted = async || !http.received().is_empty();
    let waited = tokio::time::timeout(Duration::from_secs(1), world.d.service.wait_for("a post", posted));
    assert!(waited.await.is_err());
    assert_eq!(shown(&world, &ticket.case_id).await.waiting_count, 1, "it waits");
    world.d.service.stop().await;
}

#[tokio::test]
async fn by_the_line_of_a_system_that_nobody_speaks_for_and_nothing_is_posted_to_no_case_goes() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    world.updates(|change| change.client_id = String::new()).await.unwrap();
    let case = registered(&world.d, ITEM).await;
    let refused = hands_off(&world.d, &case.case_id, "12345").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("line_code"), "{refused}");
    let client = world.client.person_id.to_string();
    world.updates(|change| change.client_id = client).await.unwrap();
    hands_off(&world.d, &case.case_id, "12345").await.unwrap();
    assert_eq!(shown(&world, &case.case_id).await.waiting_count, 1);
    world.d.service.stop().await;
}

#[tokio::test]
async fn as_long_as_one_of_two_systems_does_not_get_a_referral_somebody_is_reminded() {
    let http = TestHttp::start(|_| Reply::status(410)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let client = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    let request = pb::CreateExternalSystemRequest {
        system_code: "petition".into(),
        client_id: client.person_id.to_string(),
        direction: pb::ExchangeDirection::Out.into(),
        endpoint: http.url("/"),
        ..world.system()
    };
    world.call(&world.operator).create_external_system(request).await.unwrap();
    world.maps("petition").await;
    let case_id = referred(&world).await.case_id;
    let given_up = async || steps(&world, &case_id, "ReferralUndelivered").await.len() == 2;
    world.d.service.wait_for("both are given up", given_up).await;
    assert_eq!(reminders(&world, &case_id).await.len(), 1, "once for both");
    acknowledges(&world, &client).await;
    assert_eq!(reminders(&world, &case_id).await.len(), 1, "the other does not have it");
    let tickets = world.case(&case_id).await.external_tickets;
    let ticket = tickets.iter().find(|ticket| ticket.system_code == CODE).unwrap();
    says(&world, &world.client, report(ticket, "R-1", "转办")).await.unwrap();
    assert_eq!(reminders(&world, &case_id).await, []);
    world.d.service.stop().await;
}

#[tokio::test]
async fn by_another_line_the_same_system_gets_it_anew() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    world.updates(|change| change.line_codes = vec!["12345".into(), "12328".into()]).await.unwrap();
    let ticket = referred(&world).await;
    takes_back(&world.d, &world.d.window(), back(&ticket.case_id)).await.unwrap();
    hands_off(&world.d, &ticket.case_id, "12328").await.unwrap();
    let tickets = world.case(&ticket.case_id).await.external_tickets;
    assert_eq!(tickets.len(), 2, "{tickets:?}");
    assert_eq!(tickets[1].waiting_count, 1);
    world.d.service.stop().await;
}
