//! Reminders (催办): whoever has to accept, dispatch, sign or contact hears of it at half and at four fifths of the limit, from
//! the sweeper, each time once.

use chassis::{
    Timestamp,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use uuid::Uuid;

use crate::{
    support::{District, names, request_id},
    timers::due,
};

/// Of the second day. The limits here are of one working day: from Monday, nine o'clock, to the end of Tuesday.
fn tuesday(time: &str) -> Timestamp {
    format!("2026-03-03T{time}:00+08:00").parse().unwrap()
}

async fn registered(d: &District) -> pb::Case {
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let resident = Persona::resident(d.district);
    d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap()
}

/// Time passes until the limit of a clock does: its reminders come first, for one organisation of one unit, and nothing else.
async fn reminded_of(d: &District, case: &pb::Case, clock: pb::ClockKind, (org, unit): (Uuid, Uuid)) {
    d.told().await;
    let known = d.read(case).await.clocks.into_iter().find(|known| known.kind() == clock).unwrap();
    for (percent, at) in [(50, tuesday("08:45")), (80, tuesday("14:30"))] {
        assert_eq!(due(d, case).await, at, "{percent} % is what comes next of all");
        let ahead = at - d.service.clock().now();
        d.service.clock().advance(ahead.to_std().unwrap());
        let mut told = Vec::new();
        d.service
            .wait_for("a reminder", async || {
                told.extend(d.service.drain_outbox().await);
                !told.is_empty()
            })
            .await;
        assert_eq!(names(&told), ["ClockWarned"]);
        let warned: pb::ClockWarned = told[0].decode().unwrap();
        assert_eq!((warned.clock(), warned.percent, warned.due_time), (clock, percent, known.due_time));
        assert_eq!((warned.case_id, warned.task_id), (case.case_id.clone(), known.task_id.clone()));
        assert_eq!((warned.org_id, warned.unit_id), (org.to_string(), unit.to_string()));
    }
    assert_eq!(due(d, case).await, tuesday("17:00"), "then the limit itself");

    let request =
        pb::GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries;
    let reasons = steps.into_iter().filter(|step| step.event == "ClockWarned").filter_map(|step| step.reason);
    let reasons: Vec<pb::Reason> = reasons.collect();
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    for reason in reasons {
        assert_eq!(reason.code, "clock_reminder");
        assert!(reason.text_zh.contains(&org.to_string()), "{}", reason.text_zh);
    }
}

#[tokio::test]
async fn the_window_that_received_a_case_is_reminded_to_accept_it() {
    let d = District::start().await;
    let case = registered(&d).await;
    reminded_of(&d, &case, pb::ClockKind::Accept, (d.station, d.community)).await;
    d.service.stop().await;
}

#[tokio::test]
async fn the_window_that_received_a_case_is_reminded_to_have_it_dispatched() {
    let d = District::start().await;
    let accept = pb::AcceptCaseRequest {
        case_id: registered(&d).await.case_id,
        request_id: request_id(),
        ..Default::default()
    };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let case = intake.accept_case(accept).await.unwrap().into_inner().case.unwrap();
    reminded_of(&d, &case, pb::ClockKind::Dispatch, (d.station, d.community)).await;
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_got_a_task_is_reminded_to_sign_for_it() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    reminded_of(&d, &case, pb::ClockKind::Sign, (d.office, d.street)).await;
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_signed_is_reminded_to_contact_the_requester() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    let case = d.tasks(&d.leader()).sign_task(sign).await.unwrap().into_inner().case.unwrap();
    reminded_of(&d, &case, pb::ClockKind::Contact, (d.office, d.street)).await;
    d.service.stop().await;
}
