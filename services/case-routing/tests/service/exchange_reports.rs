//! What another system says of the cases that were referred to it: once each, in whatever order.

use chassis::{
    auth::Role,
    clock::to_proto,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::{Persona, Reply, TestHttp},
};
use chrono::TimeDelta;
use diesel_async::SimpleAsyncConnection as _;
use tonic::{Code, Status};

use crate::{
    exchange::World,
    support::{ITEM, request_id},
};

/// A case of somebody who asks for what the system takes.
pub async fn registered(world: &World) -> pb::Case {
    let resident = Persona::resident(world.d.district);
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: world.d.community.to_string(),
        item_code: ITEM.into(),
        notice_version: "1".into(),
        ..Default::default()
    };
    world.d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap()
}

/// A case that was handed off by the line of the system, as its ticket.
pub async fn referred(world: &World) -> pb::ExternalTicket {
    let case = registered(world).await;
    hands_off(world, &case.case_id).await.unwrap();
    shown(world, &case.case_id).await
}

async fn hands_off(world: &World, case_id: &str) -> Result<(), Status> {
    let mut intake = IntakeServiceClient::new(world.d.service.call_as(&world.d.window()));
    let request = pb::HandOffCaseRequest {
        case_id: case_id.into(),
        request_id: request_id(),
        line_code: "12345".into(),
        ..Default::default()
    };
    intake.hand_off_case(request).await.map(drop)
}

pub async fn shown(world: &World, case_id: &str) -> pb::ExternalTicket {
    world.case(case_id).await.external_tickets.remove(0)
}

/// The reports in a case's timeline, as their reasons read.
pub async fn told(world: &World, case_id: &str) -> Vec<String> {
    steps(world, case_id, "ReferralReported").await
}

/// The steps of a kind in a case's timeline, as their reasons read.
pub async fn steps(world: &World, case_id: &str, event: &str) -> Vec<String> {
    let request = pb::GetTimelineRequest { case_id: case_id.into(), ..Default::default() };
    let entries = world.d.cases(&world.drafter()).get_timeline(request).await.unwrap().into_inner().entries;
    let of_it = entries.into_iter().filter(|entry| entry.event == event);
    of_it.map(|entry| entry.reason.unwrap().text_zh).collect()
}

fn at(world: &World, minute: i64) -> Option<prost_types::Timestamp> {
    Some(to_proto(world.d.service.clock().now() + TimeDelta::minutes(minute)))
}

pub fn report(ticket: &pb::ExternalTicket, report_ref: &str, status: &str) -> pb::ReportTicketStatusRequest {
    pb::ReportTicketStatusRequest {
        request_id: request_id(),
        report_ref: report_ref.into(),
        ticket_id: ticket.ticket_id.clone(),
        external_status: status.into(),
        ..Default::default()
    }
}

pub async fn says(
    world: &World,
    by: &Persona,
    request: pb::ReportTicketStatusRequest,
) -> Result<pb::ReportReceipt, Status> {
    Ok(world.call(by).report_ticket_status(request).await?.into_inner().receipt.unwrap())
}

#[tokio::test]
async fn a_referral_is_reported_on_and_is_known_to_have_arrived() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    assert_eq!((ticket.sync_state(), ticket.waiting_count), (pb::SyncState::Pending, 1));
    assert_eq!((ticket.external_status.as_str(), ticket.external_status_time), ("", None));

    let mut first = report(&ticket, "R-1", "待受理");
    first.ext_no = "OUT-7".into();
    first.changed_time = at(&world, -10);
    let receipt = says(&world, &world.client, first.clone()).await.unwrap();
    assert_eq!(
        (receipt.outcome(), receipt.external_state()),
        (pb::ReportOutcome::Moved, pb::CaseState::Registered)
    );
    assert_eq!((receipt.ext_no.as_str(), receipt.case_no.as_str()), ("OUT-7", ticket.case_no.as_str()));
    let now = shown(&world, &ticket.case_id).await;
    assert_eq!((now.sync_state(), now.waiting_count), (pb::SyncState::Synced, 0));
    assert_eq!((now.ext_no.as_str(), now.external_status.as_str()), ("OUT-7", "待受理"));
    assert_eq!(
        (now.external_state(), now.external_status_time),
        (pb::CaseState::Registered, first.changed_time)
    );
    let mut call = world.call(&world.client);
    let waiting = call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap();
    assert_eq!(waiting.into_inner().changes, []);

    // By its number, without a time.
    let second = pb::ReportTicketStatusRequest {
        ticket_id: String::new(),
        ext_no: "OUT-7".into(),
        ..report(&ticket, "R-2", "已派单")
    };
    let receipt = says(&world, &world.client, second).await.unwrap();
    assert_eq!((receipt.outcome(), receipt.changed_time), (pb::ReportOutcome::Moved, at(&world, 0)));
    assert_eq!(
        told(&world, &ticket.case_id).await,
        ["对方系统 hotline 反馈：待受理", "对方系统 hotline 反馈：已派单"]
    );
    let case = world.case(&ticket.case_id).await;
    assert_eq!(case.state(), pb::CaseState::HandedOff, "over as it is here");
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_report_counts_once_and_the_latest_says_how_it_stands() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let ticket = referred(&world).await;
    let said = |report_ref: &str, status: &str, minute| pb::ReportTicketStatusRequest {
        changed_time: at(&world, minute),
        ..report(&ticket, report_ref, status)
    };
    let reports = (0..8).map(|_| {
        let (mut call, request) = (world.call(&world.client), said("R-2", "已派单", -5));
        tokio::spawn(async move { call.report_ticket_status(request).await })
    });
    let mut outcomes = Vec::new();
    for report in reports.collect::<Vec<_>>() {
        outcomes.push(report.await.unwrap().unwrap().into_inner().receipt.unwrap().outcome());
    }
    let moved = outcomes.iter().filter(|outcome| **outcome == pb::ReportOutcome::Moved).count();
    let unchanged = outcomes.iter().filter(|outcome| **outcome == pb::ReportOutcome::Unchanged).count();
    assert_eq!((moved, unchanged), (1, 7));

    let late = says(&world, &world.client, said("R-1", "待受理", -9)).await.unwrap();
    assert_eq!((late.outcome(), late.external_status.as_str()), (pb::ReportOutcome::Late, "已派单"));
    let again = says(&world, &world.client, said("R-1", "待受理", -9)).await.unwrap();
    assert_eq!((again.outcome(), again.external_status.as_str()), (pb::ReportOutcome::Unchanged, "已派单"));
    let same = says(&world, &world.client, said("R-3", "已派单", -4)).await.unwrap();
    assert_eq!((same.outcome(), same.changed_time), (pb::ReportOutcome::Unchanged, at(&world, -4)));
    assert_eq!(told(&world, &ticket.case_id).await.len(), 1);

    for other in [said("R-1", "已派单", -9), said("R-1", "待受理", -8)] {
        let refused = says(&world, &world.client, other).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("report_ref"), "{}", refused.message());
    }
    // The same request again is answered the same, also after it has moved on.
    let request = said("R-4", "转办", -1);
    let first = says(&world, &world.client, request.clone()).await.unwrap();
    says(&world, &world.client, said("R-5", "已派单", 0)).await.unwrap();
    assert_eq!(says(&world, &world.client, request).await.unwrap(), first);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_report_that_comes_late_holds_nothing_while_a_delivery_of_its_ticket_is_noted() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let ticket = referred(&world).await;
    let said = |report_ref: &str, status: &str, minute| pb::ReportTicketStatusRequest {
        changed_time: at(&world, minute),
        ..report(&ticket, report_ref, status)
    };
    says(&world, &world.client, said("R-2", "已派单", -5)).await.unwrap();
    // As the courier does it: that the delivery ended; then where the ticket stands, and the number that it has there.
    let mut noting = world.d.service.db().conn().await.unwrap();
    noting.batch_execute("BEGIN; UPDATE external_tickets SET in_hand = false").await.unwrap();
    let noted = async {
        let waits = "SELECT count(*) AS n FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        world.d.service.wait_for("the report waits", async || world.count(waits).await == 1).await;
        let rest = "SELECT 1 FROM external_tickets FOR UPDATE NOWAIT; \
                    UPDATE external_tickets SET ext_no = 'OUT-7'; COMMIT";
        noting.batch_execute(rest).await.unwrap();
    };
    let (late, ()) = tokio::join!(says(&world, &world.client, said("R-1", "待受理", -9)), noted);
    let late = late.unwrap();
    assert_eq!((late.outcome(), late.ext_no.as_str()), (pb::ReportOutcome::Late, "OUT-7"));
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_cannot_be_reported_is_refused_and_changes_nothing() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let (ticket, other) = (referred(&world).await, referred(&world).await);
    let pushed = world.pushes(world.ticket("WH-1")).await.unwrap();
    let refused = async |by: &Persona, request| says(&world, by, request).await.unwrap_err();

    let unknown = refused(&world.client, report(&ticket, "R-1", "办结")).await;
    assert_eq!(unknown.code(), Code::InvalidArgument);
    assert!(unknown.message().starts_with("external_status"), "{}", unknown.message());
    let ahead =
        pb::ReportTicketStatusRequest { changed_time: at(&world, 6), ..report(&ticket, "R-1", "转办") };
    let ahead = refused(&world.client, ahead).await;
    assert!(ahead.message().starts_with("changed_time"), "{}", ahead.message());
    let taken = pb::ReportTicketStatusRequest { ext_no: "WH-1".into(), ..report(&ticket, "R-1", "转办") };
    let taken = refused(&world.client, taken).await;
    assert!(taken.message().starts_with("ext_no"), "{}", taken.message());
    let pushed = pb::ExternalTicket { ticket_id: pushed.ticket_id, ..Default::default() };
    let inward = refused(&world.client, report(&pushed, "R-1", "转办")).await;
    assert_eq!(inward.code(), Code::FailedPrecondition, "it came from there");

    // Whoever may not is told no more than of what does not exist.
    let granted = Persona::new(Role::IntegrationClient, world.d.other_street).org(world.d.gov);
    let elsewhere = Persona { scopes: granted.scopes, ..world.client.clone() };
    let stranger = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    let nothing = pb::ExternalTicket { ticket_id: request_id(), ..Default::default() };
    for (by, about) in [(&elsewhere, &ticket), (&stranger, &ticket), (&world.client, &nothing)] {
        assert_eq!(refused(by, report(about, "R-1", "转办")).await.code(), Code::NotFound);
    }
    assert_eq!(shown(&world, &ticket.case_id).await, ticket, "nothing of it is kept");
    assert_eq!(told(&world, &ticket.case_id).await, [""; 0]);

    world.updates(|change| change.state = pb::ExternalSystemState::Paused.into()).await.unwrap();
    let paused = refused(&world.client, report(&other, "R-1", "转办")).await;
    assert_eq!(paused.code(), Code::FailedPrecondition);
    world.updates(|change| change.state = pb::ExternalSystemState::On.into()).await.unwrap();
    says(&world, &world.client, report(&other, "R-1", "转办")).await.unwrap();
    world.d.service.stop().await;
}

#[tokio::test]
async fn the_mapping_in_force_says_what_a_status_means_and_what_was_said_stays() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    says(&world, &world.client, report(&ticket, "R-1", "转办")).await.unwrap();
    let mut mapping = world.mapping();
    mapping.statuses = vec![pb::StatusRule {
        state: pb::CaseState::Closed.into(),
        external_status: "办结".into(),
        ..Default::default()
    }];
    let drafted = world.call(&world.drafter()).draft_mapping(mapping).await.unwrap().into_inner();
    world.activates(drafted.mapping.unwrap().mapping_version).await.unwrap();
    let done = says(&world, &world.client, report(&ticket, "R-2", "办结")).await.unwrap();
    assert_eq!((done.outcome(), done.external_state()), (pb::ReportOutcome::Moved, pb::CaseState::Closed));
    let gone = says(&world, &world.client, report(&ticket, "R-3", "转办")).await.unwrap_err();
    assert_eq!(gone.code(), Code::InvalidArgument, "the word is no longer one");
    let again = says(&world, &world.client, report(&ticket, "R-1", "转办")).await.unwrap();
    assert_eq!((again.outcome(), again.external_status.as_str()), (pb::ReportOutcome::Unchanged, "办结"));
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_referral_that_could_not_be_delivered_is_not_sent_again_once_it_is_reported_on() {
    let http = TestHttp::start(|_| Reply::status(410)).await;
    let world = World::mapped(&http.url("/"), pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    world
        .d
        .service
        .wait_for("it is given up", async || world.tickets(pb::SyncState::Failed).await.len() == 1)
        .await;
    says(&world, &world.client, report(&ticket, "R-1", "转办")).await.unwrap();
    let now = shown(&world, &ticket.case_id).await;
    assert_eq!(
        (now.sync_state(), now.waiting_count, now.last_error_code.as_str()),
        (pb::SyncState::Synced, 0, "")
    );
    assert_eq!(http.received().len(), 1);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_sent_back_goes_on_here_and_not_by_that_line_again() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = referred(&world).await;
    says(&world, &world.client, report(&ticket, "R-1", "待受理")).await.unwrap();
    world.d.told().await;
    let back = says(&world, &world.client, report(&ticket, "R-2", "退回")).await.unwrap();
    assert_eq!(
        (back.outcome(), back.external_state()),
        (pb::ReportOutcome::Moved, pb::CaseState::NotAccepted)
    );
    assert_eq!(world.d.told().await, ["CaseReturnedFromReferral"]);
    let case = world.case(&ticket.case_id).await;
    assert_eq!((case.state(), case.closed_code()), (pb::CaseState::Triaged, pb::ClosedCode::Unspecified));
    assert_eq!(case.external_tickets[0].external_status, "退回", "it is shown where it was");
    assert_eq!(
        steps(&world, &ticket.case_id, "CaseReturnedFromReferral").await,
        ["对方系统 hotline 退回（退回），不再转 12345，由本级继续办理"]
    );
    let again = hands_off(&world, &ticket.case_id).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition);

    let same = says(&world, &world.client, report(&ticket, "R-3", "退回")).await.unwrap();
    assert_eq!(same.outcome(), pb::ReportOutcome::Unchanged);
    says(&world, &world.client, report(&ticket, "R-4", "已派单")).await.unwrap();
    assert_eq!(world.d.told().await, [""; 0], "what it says later moves nothing here");
    assert_eq!(world.case(&ticket.case_id).await.state(), pb::CaseState::Triaged);
    world.d.service.stop().await;
}
