//! Reports on referrals as a file: every row for itself, and what is wrong by row and column.

use chassis::{auth::Role, proto::case_routing::v1 as pb, testing::Persona};
use tonic::{Code, Status};

use crate::{
    exchange::World,
    exchange_reports::{referred, shown, told},
    support::request_id,
};

pub async fn imports(
    world: &World,
    by: &Persona,
    file: impl Into<Vec<u8>>,
) -> Result<pb::ImportTicketStatusesResponse, Status> {
    let request = pb::ImportTicketStatusesRequest { request_id: request_id(), file: file.into() };
    world.call(by).import_ticket_statuses(request).await.map(tonic::Response::into_inner)
}

/// A referral that the system has numbered.
pub async fn numbered(world: &World, ext_no: &str) -> pb::ExternalTicket {
    let ticket = referred(world).await;
    let mut call = world.call(&world.client);
    let waiting =
        call.list_ticket_changes(pb::ListTicketChangesRequest::default()).await.unwrap().into_inner();
    let change = waiting.changes.into_iter().find(|change| change.ticket_id == ticket.ticket_id).unwrap();
    let number = pb::ReferralNumber { change_id: change.change_id.clone(), ext_no: ext_no.into() };
    let ack = pb::AckTicketChangesRequest {
        request_id: request_id(),
        change_ids: vec![change.change_id],
        numbers: vec![number],
    };
    call.ack_ticket_changes(ack).await.unwrap();
    ticket
}

fn counts(answer: &pb::ImportTicketStatusesResponse) -> (i32, i32, i32, i32) {
    (answer.rows, answer.moved, answer.unchanged, answer.late)
}

fn problems(answer: &pb::ImportTicketStatusesResponse) -> Vec<(i32, &str, &str)> {
    let problems = answer.problems.iter();
    problems.map(|found| (found.row, found.column.as_str(), found.code.as_str())).collect()
}

#[tokio::test]
async fn rows_are_reports_in_whatever_order_and_the_same_file_again_does_nothing() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let (first, second) = (numbered(&world, "OUT-1").await, numbered(&world, "OUT-2").await);
    let file = "工单号,对方状态,状态时间\n\
        OUT-1,已派单,2026-03-02 08:30\n\
        OUT-1,待受理,2026-03-02 08:00\n\
        OUT-2,待受理,2026/3/1\n\
        OUT-2,已派单,2026-03-01\n";
    let taken = imports(&world, &world.client, file).await.unwrap();
    assert_eq!((counts(&taken), problems(&taken)), ((4, 3, 0, 1), vec![]));
    for ticket in [&first, &second] {
        assert_eq!(shown(&world, &ticket.case_id).await.external_status, "已派单");
    }
    assert_eq!(told(&world, &first.case_id).await, ["对方系统 hotline 反馈：已派单"]);
    assert_eq!(told(&world, &second.case_id).await.len(), 2, "with days only the later row counts");
    let again = imports(&world, &world.client, file).await.unwrap();
    assert_eq!((counts(&again), problems(&again)), ((4, 0, 4, 0), vec![]));
    assert_eq!(told(&world, &second.case_id).await.len(), 2);

    // Without times: now, once per request.
    let file = "ext_no,external_status\nOUT-1,转办\nOUT-2,已派单\n";
    let request = pb::ImportTicketStatusesRequest { request_id: request_id(), file: file.into() };
    let mut call = world.call(&world.client);
    let taken = call.import_ticket_statuses(request.clone()).await.unwrap().into_inner();
    assert_eq!(counts(&taken), (2, 1, 1, 0));
    imports(&world, &world.client, "ext_no,external_status\nOUT-1,待受理\n").await.unwrap();
    let again = call.import_ticket_statuses(request).await.unwrap().into_inner();
    assert_eq!(counts(&again), (2, 0, 2, 0), "it is not put back");
    assert_eq!(shown(&world, &first.case_id).await.external_status, "待受理");
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_by_row_in_both_languages_and_the_other_rows_are_taken() {
    let world = World::mapped("", pb::ExchangeDirection::Both).await;
    let ticket = numbered(&world, "OUT-1").await;
    world.pushes(world.ticket("WH-1")).await.unwrap();
    let file = "工单号,对方状态,状态时间\n\
        OUT-9,转办,\n\
        WH-1,转办,\n\
        OUT-1,办结,\n\
        \n\
        OUT-1,转办,2026-03-02 09:06\n\
        OUT-1,,soon\n\
        OUT-1,已派单,2026-03-02 08:59\n\
        编号,转办,\n";
    let taken = imports(&world, &world.client, file).await.unwrap();
    assert_eq!(counts(&taken), (7, 1, 0, 0));
    let expected = [
        (2, "工单号", "unknown_ticket"),
        (3, "工单号", "not_referred"),
        (4, "对方状态", "unknown_status"),
        (6, "状态时间", "time_to_come"),
        (7, "对方状态", "required"),
        (7, "状态时间", "not_a_time"),
        (9, "工单号", "not_an_ext_no"),
    ];
    assert_eq!(problems(&taken), expected);
    let in_both = |found: &pb::TableProblem| !found.text_zh.is_ascii() && found.text_en.is_ascii();
    assert!(taken.problems.iter().all(|found| found.code == "not_an_ext_no" || in_both(found)), "{taken:?}");
    assert_eq!(shown(&world, &ticket.case_id).await.external_status, "已派单");
    assert_eq!(told(&world, &ticket.case_id).await, ["对方系统 hotline 反馈：已派单"]);
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_file_that_is_none_or_may_not_be_sent_is_refused_whole() {
    let world = World::mapped("", pb::ExchangeDirection::Out).await;
    let ticket = numbered(&world, "OUT-1").await;
    let wrong = imports(&world, &world.client, "工单号,状态\nOUT-1,转办\n").await.unwrap();
    assert_eq!(problems(&wrong), [(1, "状态", "unknown_column"), (1, "", "missing_column")]);
    assert_eq!(counts(&wrong), (1, 0, 0, 0));

    let long = format!("ext_no,external_status\n{}", "OUT-1,转办\n".repeat(501));
    for (file, message) in [
        (&b""[..], "file is required"),
        (&[0xff, 0xfe][..], "file is not UTF-8"),
        (&b"a\n\"b"[..], "file has a wrong quotation mark"),
        (long.as_bytes(), "file has at most 500 rows"),
    ] {
        let refused = imports(&world, &world.client, file).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().replace(':', "").starts_with(message), "{}", refused.message());
    }
    let file = "ext_no,external_status\nOUT-1,转办\n";
    let stranger = Persona::new(Role::IntegrationClient, world.d.district).org(world.d.gov);
    assert_eq!(imports(&world, &stranger, file).await.unwrap_err().code(), Code::NotFound);
    let granted = Persona::new(Role::IntegrationClient, world.d.other_street).org(world.d.gov);
    let elsewhere = Persona { scopes: granted.scopes, ..world.client.clone() };
    let nothing = imports(&world, &elsewhere, file).await.unwrap();
    assert_eq!(problems(&nothing), [(2, "ext_no", "unknown_ticket")], "as if it did not exist");
    assert_eq!(imports(&world, &world.operator, file).await.unwrap_err().code(), Code::PermissionDenied);
    world.updates(|change| change.state = pb::ExternalSystemState::Paused.into()).await.unwrap();
    let paused = imports(&world, &world.client, file).await.unwrap_err();
    assert_eq!(paused.code(), Code::FailedPrecondition);
    assert_eq!(shown(&world, &ticket.case_id).await.external_status, "");
    world.d.service.stop().await;
}
