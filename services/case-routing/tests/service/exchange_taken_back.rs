//! A referral that is taken back: the system that has it is told to stop, once, and what it says afterwards moves nothing.

use chassis::{
    auth::Role,
    proto::case_routing::v1 as pb,
    testing::{Persona, Received, Reply, TestHttp},
};
use diesel_async::SimpleAsyncConnection;
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    exchange::{CODE, World},
    exchange_files::numbered,
    exchange_receipts::{handed_off, taker},
    exchange_reports::{referred, report, says, shown, told},
    support::{District, request_id, webhook},
    taken_back::{back, hands_off, takes_back},
};

/// Puts a mapping in force in which a case that is withdrawn is called so.
async fn calls_withdrawn(world: &World, word: &str) {
    let mut mapping = world.mapping();
    mapping.statuses.push(pb::StatusRule {
        state: pb::CaseState::Withdrawn.into(),
        external_status: word.into(),
        ..Default::default()
    });
    let drafted = world.call(&world.drafter()).draft_mapping(mapping).await.unwrap().into_inner();
    world.activates(drafted.mapping.unwrap().mapping_version).await.unwrap();
}

async fn waits_for(world: &World, state: pb::SyncState) {
    let stands = async || world.tickets(state).await.len() == 1;
    world.d.service.wait_for("its ticket stands so", stands).await;
}

/// What a client's system has not acknowledged.
pub async fn waiting(world: &World, client: &Persona) -> Vec<pb::TicketChange> {
    let request = pb::ListTicketChangesRequest::default();
    world.call(client).list_ticket_changes(request).await.unwrap().into_inner().changes
}

pub async fn acknowledges(world: &World, client: &Persona, changes: &[pb::TicketChange]) -> i32 {
    let request = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: changes.iter().map(|change| change.change_id.clone()).collect(),
        numbers: Vec::new(),
    };
    world.call(client).ack_ticket_changes(request).await.unwrap().into_inner().acknowledged
}

async fn by_mistake(world: &World, case_id: &str) -> pb::Case {
    takes_back(&world.d, &world.d.window(), back(case_id)).await.unwrap()
}

pub fn kinds(changes: &[pb::TicketChange]) -> Vec<(i32, pb::TicketChangeKind)> {
    changes.iter().map(|change| (change.number, change.kind())).collect()
}

pub const TAKEN_BACK: (i32, pb::TicketChangeKind) = (2, pb::TicketChangeKind::TakenBack);

#[tokio::test]
async fn a_referral_that_arrived_and_is_taken_back_is_told_so_in_its_own_words_until_it_is_heard() {
    let http = TestHttp::start(|_| Reply::Answer(200, Vec::new(), r#"{"extNo":"OUT-7"}"#.into())).await;
    let world = World::start(&http.url("/"), pb::ExchangeDirection::Out).await;
    calls_withdrawn(&world, "撤单").await;
    let ticket = referred(&world).await;
    waits_for(&world, pb::SyncState::Synced).await;
    // The ticket keeps the words that it was referred with.
    calls_withdrawn(&world, "作废").await;

    http.answers(|_| Reply::status(503));
    let (window, request) = (world.d.window(), back(&ticket.case_id));
    let case = takes_back(&world.d, &window, request.clone()).await.unwrap();
    assert_eq!(case.state(), pb::CaseState::Triaged);
    waits_for(&world, pb::SyncState::Failed).await;
    let failed = world.tickets(pb::SyncState::Failed).await.remove(0);
    assert_eq!((failed.waiting_count, failed.last_error_code.as_str()), (1, "http_503"));
    assert!(failed.taken_back_time.is_some());

    // It takes it and does not say so, then says so.
    let mut cut = false;
    http.answers(move |_| if std::mem::replace(&mut cut, true) { Reply::status(200) } else { Reply::Cut });
    let retry = pb::RetryTicketRequest { ticket_id: ticket.ticket_id.clone(), request_id: request_id() };
    world.call(&world.operator).retry_ticket(retry).await.unwrap();
    waits_for(&world, pb::SyncState::Synced).await;
    assert_eq!(takes_back(&world.d, &window, request).await.unwrap(), case, "once");
    assert_eq!(shown(&world, &ticket.case_id).await.waiting_count, 0);

    let received = http.received();
    assert_eq!(received.len(), 7, "the referral, four that were refused, one cut off, one heard");
    let first = &received[1];
    for again in &received[2..] {
        assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
        assert_eq!(again.body, first.body, "a repeat is the same to the byte");
    }
    let event: Value = serde_json::from_slice(&first.body).unwrap();
    let data = &event["data"];
    assert_eq!(data["kind"], "TICKET_CHANGE_KIND_TAKEN_BACK");
    assert_eq!(data["number"], 2);
    assert_eq!((&data["externalStatus"], &data["extNo"]), (&"撤单".into(), &"OUT-7".into()));
    assert_eq!(data["state"], "CASE_STATE_WITHDRAWN");
    assert_eq!(data["closedCode"], "CLOSED_CODE_WITHDRAWN");
    assert!(data.get("referral").is_none());
    world.d.service.stop().await;
}

#[tokio::test]
async fn who_fetches_finds_that_it_was_taken_back_until_that_is_acknowledged() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = numbered(&world, "OUT-1").await;
    by_mistake(&world, &ticket.case_id).await;
    let changes = waiting(&world, &world.client).await;
    assert_eq!(kinds(&changes), [TAKEN_BACK]);
    assert_eq!((changes[0].ext_no.as_str(), changes[0].state()), ("OUT-1", pb::CaseState::Withdrawn));
    assert_eq!(waiting(&world, &world.client).await, changes, "as long as it is not acknowledged");
    let now = shown(&world, &ticket.case_id).await;
    assert_eq!((now.sync_state(), now.waiting_count), (pb::SyncState::Pending, 1));
    assert_eq!(acknowledges(&world, &world.client, &changes).await, 1);
    assert_eq!(acknowledges(&world, &world.client, &changes).await, 0);
    assert_eq!(waiting(&world, &world.client).await, []);
    assert_eq!(shown(&world, &ticket.case_id).await.sync_state(), pb::SyncState::Synced);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_never_arrived_is_not_told_of_unless_it_turns_out_to_be_there() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let (fetched, reported, returned) =
        (referred(&world).await, referred(&world).await, referred(&world).await);
    let changes = waiting(&world, &world.client).await;
    assert_eq!(changes.len(), 3);
    for ticket in [&fetched, &reported, &returned] {
        by_mistake(&world, &ticket.case_id).await;
        let now = shown(&world, &ticket.case_id).await;
        assert_eq!((now.sync_state(), now.waiting_count), (pb::SyncState::Synced, 0));
        assert!(now.taken_back_time.is_some());
    }
    assert_eq!(waiting(&world, &world.client).await, []);

    // It was fetched before, and is acknowledged and numbered only now, again and again.
    let change = changes.iter().find(|change| change.ticket_id == fetched.ticket_id).unwrap();
    let numbered = pb::ReferralNumber { change_id: change.change_id.clone(), ext_no: "OUT-1".into() };
    for _ in 0..2 {
        let request = pb::AckTicketChangesRequest {
            request_id: request_id(),
            change_ids: vec![change.change_id.clone()],
            numbers: vec![numbered.clone()],
        };
        world.call(&world.client).ack_ticket_changes(request).await.unwrap();
        let told = waiting(&world, &world.client).await;
        assert_eq!((kinds(&told), told[0].ext_no.as_str()), (vec![TAKEN_BACK], "OUT-1"));
    }
    assert_eq!(shown(&world, &fetched.case_id).await.waiting_count, 1);

    // Who reports on one keeps it, and who sends one back does not.
    for (ticket, status) in [(&reported, "待受理"), (&reported, "已派单"), (&returned, "退回")] {
        let receipt = says(&world, &world.client, report(ticket, &request_id(), status)).await.unwrap();
        assert!(receipt.taken_back);
        let told = waiting(&world, &world.client).await;
        assert_eq!(kinds(&told), [TAKEN_BACK, TAKEN_BACK], "{status}");
        assert_eq!(told[1].ticket_id, reported.ticket_id);
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_said_of_it_afterwards_is_noted_and_moves_nothing() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let ticket = numbered(&world, "OUT-1").await;
    let before = says(&world, &world.client, report(&ticket, "R-1", "待受理")).await.unwrap();
    assert!(!before.taken_back);
    by_mistake(&world, &ticket.case_id).await;
    world.d.told().await;
    let case = world.case(&ticket.case_id).await;
    for (report_ref, status) in [("R-2", "已派单"), ("R-3", "退回")] {
        let receipt = says(&world, &world.client, report(&ticket, report_ref, status)).await.unwrap();
        assert_eq!((receipt.outcome(), receipt.taken_back), (pb::ReportOutcome::Moved, true));
        let again = says(&world, &world.client, report(&ticket, report_ref, status)).await.unwrap();
        assert_eq!((again.outcome(), again.taken_back), (pb::ReportOutcome::Unchanged, true));
    }
    assert_eq!(
        told(&world, &ticket.case_id).await,
        [
            "对方系统 hotline 反馈：待受理",
            "本件已收回，对方系统 hotline 仍反馈：已派单，不影响本级办理",
            "本件已收回，对方系统 hotline 仍反馈：退回，不影响本级办理",
        ]
    );
    assert_eq!(world.d.told().await, [""; 0]);
    assert_eq!(kinds(&waiting(&world, &world.client).await), [TAKEN_BACK], "to say something is not to hear");

    // A push under its number adds nothing, and says where the matter is.
    let noted = world.case(&ticket.case_id).await;
    let push = pb::PushTicketRequest { text: "又堆了两辆车".into(), ..world.ticket("OUT-1") };
    let receipt = world.pushes(push).await.unwrap();
    assert_eq!((receipt.outcome(), receipt.state()), (pb::PushOutcome::Unchanged, pb::CaseState::Triaged));
    assert_eq!(receipt.case_no, case.case_no);
    let now = world.case(&ticket.case_id).await;
    assert_eq!(now, noted);
    assert_eq!((now.state(), &now.text_redacted), (pb::CaseState::Triaged, &case.text_redacted));
    assert_eq!((now.clocks, now.tasks), (case.clocks, case.tasks));
    world.d.service.stop().await;
}

fn posted(it: &Received) -> String {
    let event: Value = serde_json::from_slice(&it.body).unwrap();
    event["data"]["kind"].as_str().unwrap().replace("TICKET_CHANGE_KIND_", "")
}

fn last_is_taken_back(http: &TestHttp) -> bool {
    http.received().last().is_some_and(|it| posted(it) == "TAKEN_BACK")
}

#[tokio::test]
async fn a_referral_that_may_be_there_is_told_of_though_later_attempts_were_refused() {
    let mut first = true;
    let ill = move |_: &Received| {
        if std::mem::replace(&mut first, false) { Reply::Cut } else { Reply::status(503) }
    };
    let http = TestHttp::start(ill).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    waits_for(&world, pb::SyncState::Failed).await;
    assert_eq!(shown(&world, &ticket.case_id).await.last_error_code, "http_503");
    http.answers(|_| Reply::status(200));
    by_mistake(&world, &ticket.case_id).await;
    world.d.service.wait_for("it is told", async || last_is_taken_back(&http)).await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_whose_delivery_nobody_saw_the_end_of_is_told_of() {
    let http = TestHttp::start(|_| Reply::Hang).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    world.d.service.wait_for("it is being sent", async || !http.received().is_empty()).await;
    by_mistake(&world, &ticket.case_id).await;
    http.answers(|_| Reply::status(200));
    // As if its sender had died, and the lease ran out.
    let mut conn = world.d.service.db().conn().await.unwrap();
    let lost = "UPDATE external_tickets SET lease = gen_random_uuid(), due_at = now() WHERE in_hand AND due_at IS NOT NULL";
    conn.batch_execute(lost).await.unwrap();
    drop(conn);
    world.d.service.wait_for("it is told", async || last_is_taken_back(&http)).await;
    waits_for(&world, pb::SyncState::Synced).await;
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_that_was_being_delivered_when_it_was_taken_back_is_told_of_if_it_may_be_there() {
    let http = TestHttp::start(|_| Reply::Hang).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    world.d.service.wait_for("it is being sent", async || !http.received().is_empty()).await;
    by_mistake(&world, &ticket.case_id).await;
    http.answers(|_| Reply::status(200));
    world.d.service.wait_for("it is told", async || last_is_taken_back(&http)).await;
    waits_for(&world, pb::SyncState::Synced).await;
    assert_eq!(shown(&world, &ticket.case_id).await.waiting_count, 0);

    // One that is refused for good while it is taken back never was there.
    let (release, held) = watch::channel(false);
    http.answers(move |_| Reply::Held(held.clone(), 410));
    let before = http.received().len();
    let refused = referred(&world).await;
    world.d.service.wait_for("it is being sent", async || http.received().len() > before).await;
    by_mistake(&world, &refused.case_id).await;
    release.send_replace(true);
    // What begins later is noted behind it.
    let later = referred(&world).await;
    let given_up = async || {
        let failed = world.tickets(pb::SyncState::Failed).await;
        failed.iter().any(|known| known.ticket_id == later.ticket_id)
    };
    world.d.service.wait_for("it is given up", given_up).await;
    let now = shown(&world, &refused.case_id).await;
    assert_eq!((now.sync_state(), now.waiting_count), (pb::SyncState::Synced, 0));
    let of_it = |it: &&Received| {
        let event: Value = serde_json::from_slice(&it.body).unwrap();
        event["subject"] == refused.ticket_id.as_str()
    };
    assert_eq!(http.received().iter().filter(of_it).count(), 1, "the referral alone");
    world.d.service.stop().await;
}

#[tokio::test]
async fn that_a_referral_is_taken_back_is_not_posted_before_the_words_to_it_that_are_in_hand() {
    // Nor later, when they fail, than that is known.
    for status in [200, 503] {
        let (release, held) = watch::channel(false);
        let answer = move |it: &Received| match posted(it).as_str() {
            "REMARK" => Reply::Held(held.clone(), status),
            _ => Reply::status(200),
        };
        let http = TestHttp::start(answer).await;
        let d = District::with("webhook", webhook(30_000)).await;
        let world = World::of(d, "", pb::ExchangeDirection::In).await.with_mapping().await;
        taker(&world, &http.url("/")).await;
        let case_id = handed_off(&world, "WH-1").await;
        waits_for(&world, pb::SyncState::Synced).await;
        let more = pb::PushTicketRequest { text: "又堆了两辆车".into(), ..world.ticket("WH-1") };
        world.pushes(more).await.unwrap();
        world.d.service.wait_for("the words are being sent", async || http.received().len() == 2).await;
        by_mistake(&world, &case_id).await;
        // What is due later has arrived and been noted.
        handed_off(&world, "WH-2").await;
        waits_for(&world, pb::SyncState::Synced).await;
        let all = || http.received().iter().map(posted).collect::<Vec<_>>();
        assert_eq!(all(), ["REFERRAL", "REMARK", "REFERRAL"]);
        release.send_replace(true);
        world.d.service.wait_for("it is told", async || last_is_taken_back(&http)).await;
        let synced = async || world.tickets(pb::SyncState::Synced).await.len() == 2;
        world.d.service.wait_for("nothing waits", synced).await;
        assert_eq!(all().len(), 4, "each once");
        world.d.service.stop().await;
    }
}

#[tokio::test]
async fn of_several_systems_those_are_told_that_keep_it_and_none_of_what_all_sent_back() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let client = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    let request = pb::CreateExternalSystemRequest {
        system_code: "petition".into(),
        client_id: client.person_id.to_string(),
        direction: pb::ExchangeDirection::Out.into(),
        ..world.system()
    };
    world.call(&world.operator).create_external_system(request).await.unwrap();
    let case_id = referred(&world).await.case_id;
    let of = async |code: &str| {
        let tickets = world.case(&case_id).await.external_tickets;
        tickets.into_iter().find(|ticket| ticket.system_code == code).unwrap()
    };
    for by in [&world.client, &client] {
        let changes = waiting(&world, by).await;
        assert_eq!(acknowledges(&world, by, &changes).await, 1);
    }
    says(&world, &world.client, report(&of(CODE).await, "R-1", "退回")).await.unwrap();
    assert_eq!(world.case(&case_id).await.state(), pb::CaseState::HandedOff, "the other keeps it");
    by_mistake(&world, &case_id).await;
    assert_eq!(waiting(&world, &world.client).await, []);
    assert_eq!(of(CODE).await.taken_back_time, None);
    let changes = waiting(&world, &client).await;
    assert_eq!((kinds(&changes), changes[0].external_status.as_str()), (vec![TAKEN_BACK], ""));
    assert_eq!(acknowledges(&world, &client, &changes).await, 1);

    // Sent back by whoever had it, it was not taken back.
    world.updates(|change| change.line_codes = vec!["12328".into()]).await.unwrap();
    hands_off(&world.d, &case_id, "12328").await.unwrap();
    let again = world.case(&case_id).await.external_tickets;
    let again = again.into_iter().rfind(|ticket| ticket.system_code == CODE).unwrap();
    says(&world, &world.client, report(&again, "R-2", "退回")).await.unwrap();
    assert_eq!(world.case(&case_id).await.state(), pb::CaseState::Triaged);
    for by in [&world.client, &client] {
        assert_eq!(waiting(&world, by).await, []);
    }
    world.d.service.stop().await;
}
