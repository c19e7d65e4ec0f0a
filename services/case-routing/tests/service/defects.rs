//! What is reported of other systems for residents' requests, each as a test that such a system fails. The sentence above
//! a test is the report. Reports that are tested elsewhere:
//!
//! | report | test |
//! |---|---|
//! | a request made offline and sent twice becomes two cases | `flow::a_repeated_request_answers_the_same_and_another_body_is_refused` |
//! | a bad case in the queue of timers stops all others | `timers::a_case_that_is_looked_at_too_early_keeps_its_timer` and `sweeper` |
//! | pages of a list repeat or lose rows while others write | `list_orders::pages_repeat_and_lose_no_case_while_others_write` |
//! | the order that a list is asked for in is ignored; what is overdue, or of some days, is not found | `list_orders` |
//! | cases that are open and late are left out of "% on time" | analytics, `domain::golden` |

use std::{collections::HashSet, time::Duration};

use chassis::{
    auth::Role,
    clock::from_proto,
    event::Event,
    proto::{
        EventMessage,
        case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
        pool,
    },
    testing::Persona,
};
use tonic::Code;

use crate::{
    support::{District, request_id},
    timers::{due, quiet, set_due},
};

const DAY: u64 = 86_400;

fn of<M: EventMessage + Default>(events: &[Event], name: &str) -> Vec<M> {
    let named = events.iter().filter(|event| event.r#type.ends_with(&format!(".{name}")));
    named.map(|event| M::decode(event.data.clone()).unwrap()).collect()
}

/// Lets time pass, and waits until nothing is due any more. Gives what was told.
async fn pass(d: &District, days: u64) -> Vec<Event> {
    d.service.clock().advance(Duration::from_secs(days * DAY));
    d.service.wait_for("nothing to be due any more", async || quiet(d).await).await;
    d.service.drain_outbox().await
}

fn intake(d: &District, persona: &Persona) -> IntakeServiceClient<chassis::grpc::PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(persona))
}

fn district_dispatcher(d: &District) -> Persona {
    Persona::new(Role::DistrictDispatcher, d.district).org(d.gov)
}

async fn registered(d: &District, resident: &Persona, place: impl ToString) -> pb::Case {
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: place.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    d.cases(resident).register_case(register).await.unwrap().into_inner().case.unwrap()
}

async fn sign(d: &District, case: &pb::Case) -> pb::Case {
    let task_id = case.tasks.iter().rev().find(|task| task.state() == pb::TaskState::Issued).unwrap();
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: task_id.task_id.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).sign_task(sign).await.unwrap().into_inner().case.unwrap()
}

/// "The scan for overdue cases takes the newest hundred, so the oldest are never escalated."
#[tokio::test]
async fn the_oldest_overdue_case_is_escalated_first_however_many_there_are() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let oldest = d.taken_in(&resident).await.case_id;
    d.service.clock().advance(Duration::from_secs(60));
    let mut all = HashSet::from([oldest.clone()]);
    let mut newest = oldest.clone();
    for _ in 0..120 {
        newest = d.taken_in(&resident).await.case_id;
        all.insert(newest.clone());
    }
    // What counts is when it is due, not when it was made; a moment that is still to come, or it would be looked at too early.
    set_due(&d, &newest, d.service.clock().now() + chrono::TimeDelta::seconds(1)).await;
    d.service.drain_outbox().await;
    let told = pass(&d, 60).await;
    let breached: Vec<pb::ClockBreached> = of(&told, "ClockBreached");
    let resolve: Vec<&str> = breached
        .iter()
        .filter(|breach| breach.clock() == pb::ClockKind::Resolve)
        .map(|breach| breach.case_id.as_str())
        .collect();
    assert_eq!(resolve.len(), all.len(), "each once");
    assert_eq!(resolve.iter().map(|case| (*case).to_owned()).collect::<HashSet<_>>(), all);
    assert_eq!(resolve[0], oldest);
    assert!(resolve[..100].contains(&newest.as_str()), "among the first hundred that are looked at");
    d.service.stop().await;
}

/// "Cases that nobody was given never escalate", "an escalated case is not looked at again, so the second and third level
/// never come" and "only one area is scanned".
#[tokio::test]
async fn an_unassigned_case_escalates_through_every_level_in_every_street() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let (near, far) =
        (registered(&d, &resident, d.community).await, registered(&d, &resident, d.other_street).await);
    let led = sign(&d, &d.taken_in(&resident).await).await;
    let told = pass(&d, 60).await;
    let issued: Vec<pb::SupervisionIssued> = of(&told, "SupervisionIssued");
    let escalated: Vec<pb::SupervisionEscalated> = of(&told, "SupervisionEscalated");
    for case in [&near, &far, &led] {
        let of_case = |id: &str| id == case.case_id;
        let first = issued.iter().find(|issued| of_case(&issued.case_id) && issued.level == 1).unwrap();
        let levels = escalated.iter().filter(|up| up.supervision_id == first.supervision_id);
        assert_eq!(levels.map(|up| up.level).collect::<Vec<_>>(), [2, 3], "{}", case.case_no);
    }
    assert_eq!((d.read(&near).await.lead_org_id.as_str(), d.read(&near).await.tasks.len()), ("", 0));
    d.service.stop().await;
}

/// "Reminders come at night and on holidays."
#[tokio::test]
async fn reminders_of_working_time_come_in_working_hours() {
    let d = District::start().await;
    let case = sign(&d, &d.taken_in(&Persona::resident(d.district)).await).await;
    // Each timer in its time: of what is over nobody is reminded.
    for _ in 0..4 {
        let next = due(&d, &case).await;
        d.service.clock().advance((next - d.service.clock().now()).to_std().unwrap());
        d.service.wait_for("the next timer", async || due(&d, &case).await > next).await;
    }
    let request = pb::GetTimelineRequest { case_id: case.case_id, page_size: 200, ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries;
    let warned: Vec<_> = steps.iter().filter(|step| step.event == "ClockWarned").collect();
    assert!(warned.len() >= 2, "{steps:?}");
    let calendar = calendar::Calendar::builtin();
    for step in warned {
        let local = calendar::local(from_proto(step.event_time.as_ref().unwrap()).unwrap());
        let minutes = local.format("%H%M").to_string().parse::<u32>().unwrap();
        let office = (830..=1200).contains(&minutes) || (1400..=1730).contains(&minutes);
        assert!(office && calendar.is_work_day(local.date()), "{} at {local}", case.case_no);
    }
    d.service.stop().await;
}

/// "Any update of a case starts its time limit anew."
#[tokio::test]
async fn no_update_moves_what_the_requester_was_promised() {
    let d = District::start().await;
    let mut case = d.taken_in(&Persona::resident(d.district)).await;
    let promised = case.resolve_due_time.unwrap();
    for round in 0..3 {
        d.service.clock().advance(Duration::from_secs(1_800));
        case = sign(&d, &case).await;
        assert_eq!(case.resolve_due_time, Some(promised), "signed, {round}");
        let recall = pb::RecallCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            reason_code: "mis_dispatch".into(),
            ..Default::default()
        };
        let by = district_dispatcher(&d);
        case = intake(&d, &by).recall_case(recall).await.unwrap().into_inner().case.unwrap();
        assert_eq!(case.resolve_due_time, Some(promised), "recalled, {round}");
        let dispatch = pb::DispatchCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        case = intake(&d, &d.dispatcher()).dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
        assert_eq!(case.resolve_due_time, Some(promised), "dispatched, {round}");
    }
    d.resolve(&pb::Case { tasks: vec![case.tasks.last().unwrap().clone()], ..case.clone() }).await;
    let resolve = d.read(&case).await.clocks.into_iter().find(|clock| clock.kind() == pb::ClockKind::Resolve);
    assert_eq!(resolve.unwrap().due_time, Some(promised));
    d.service.stop().await;
}

/// "A comment starts the time limit anew."
#[tokio::test]
async fn comments_never_reset_a_clock() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = sign(&d, &d.taken_in(&resident).await).await;
    d.told().await;
    for (round, persona) in [resident, d.leader(), d.window(), d.leader()].iter().enumerate() {
        d.service.clock().advance(Duration::from_secs(1_800));
        let remark = pb::AddRemarkRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            text: "又堆了两辆车，请联系13812345678".into(),
            ..Default::default()
        };
        let said = d.cases(persona).add_remark(remark).await.unwrap().into_inner().case.unwrap();
        assert_eq!(said.clocks, case.clocks, "round {round}");
        assert_eq!((said.state, said.resolve_due_time), (case.state, case.resolve_due_time));
        assert_eq!(said.remark_count, i32::try_from(round).unwrap() + 1);
    }
    assert!(!d.told().await.iter().any(|name| name.contains("Remark")), "no event has the words");
    d.service.stop().await;
}

/// "Notifications are pushed after the change, without retries, and are lost with the connection."
#[tokio::test]
async fn a_change_and_its_events_are_one_and_a_refusal_leaves_neither() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    // Nobody takes the outbox away here: what was told waits in the database, beside the change.
    assert_eq!(d.told().await.len(), 5);
    let refused = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: request_id(),
        ..Default::default()
    };
    assert_eq!(d.tasks(&d.leader()).sign_task(refused).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(d.told().await.is_empty());
    assert_eq!(d.read(&case).await.etag, case.etag);
    d.service.stop().await;
}

/// "Citizens see the complaints of others."
#[tokio::test]
async fn a_resident_sees_nothing_of_anothers_case_by_any_way() {
    let d = District::start().await;
    let (owner, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let case = d.taken_in(&owner).await;
    let mut cases = d.cases(&other);
    let case_id = case.case_id.clone();
    let id = || case_id.clone();
    let answers = [
        cases.get_case(pb::GetCaseRequest { case_id: id() }).await.err(),
        cases.get_timeline(pb::GetTimelineRequest { case_id: id(), ..Default::default() }).await.err(),
        cases.reveal_text(pb::RevealTextRequest { case_id: id() }).await.err(),
        cases
            .add_remark(pb::AddRemarkRequest {
                case_id: id(),
                request_id: request_id(),
                text: "是谁投诉的".into(),
                ..Default::default()
            })
            .await
            .err(),
        cases
            .withdraw_case(pb::WithdrawCaseRequest {
                case_id: id(),
                request_id: request_id(),
                reason_code: "solved_itself".into(),
                ..Default::default()
            })
            .await
            .err(),
        cases
            .rate_case(pb::RateCaseRequest {
                case_id: id(),
                request_id: request_id(),
                grade: 1,
                ..Default::default()
            })
            .await
            .err(),
    ];
    for answer in answers {
        assert_eq!(answer.expect("refused").code(), Code::NotFound);
    }
    for request in [
        pb::ListCasesRequest::default(),
        pb::ListCasesRequest { mine: true, ..Default::default() },
        pb::ListCasesRequest { query: "楼道".into(), ..Default::default() },
        pb::ListCasesRequest { unit_id: d.community.to_string(), ..Default::default() },
    ] {
        assert!(cases.list_cases(request).await.unwrap().into_inner().cases.is_empty());
    }
    d.service.stop().await;
}

/// "A client that saves what it read overwrites a phone number with its mask."
#[tokio::test]
async fn what_was_blanked_for_reading_never_replaces_what_was_written() {
    // There is no way to send a text back: of what changes something, only what makes a case or says something new carries one.
    let written: Vec<String> = pool()
        .get_message_by_name("jianghan.case_routing.v1.Case")
        .unwrap()
        .parent_pool()
        .all_messages()
        .filter(|message| message.package_name() == "jianghan.case_routing.v1")
        .filter(|message| message.name().ends_with("Request"))
        .filter(|message| message.get_field_by_name("request_id").is_some())
        .filter(|message| message.fields().any(|field| field.name().starts_with("text")))
        .map(|message| message.name().to_owned())
        .collect();
    let makers = [
        "RegisterCaseRequest",
        "IntakeCaseRequest",
        "SubmitApplicationRequest",
        "ObjectToNoticeRequest",
        "OpenTopicCaseRequest",
        "ReportFindingRequest",
        "PushTicketRequest",
        "AddRemarkRequest",
        "ReopenCaseRequest",
    ];
    assert_eq!(written.iter().map(String::as_str).collect::<HashSet<_>>(), HashSet::from(makers));
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    assert!(case.text_redacted.contains("***"));
    d.resolve(&case).await;
    assert_eq!(d.read(&case).await.text_redacted, case.text_redacted);
    let reveal = pb::RevealTextRequest { case_id: case.case_id };
    let text = d.cases(&resident).reveal_text(reveal).await.unwrap().into_inner().text;
    assert_eq!(text, "楼道堆物，请联系13812345678");
    d.service.stop().await;
}

/// "Nobody can tell who has a case, nor who refused it."
#[tokio::test]
async fn a_refused_case_says_who_refused_it_and_why_and_keeps_its_owner() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = registered(&d, &resident, d.community).await;
    assert_eq!(case.first_receiver_org_id, d.station.to_string(), "an owner before anybody has looked at it");
    let decline = pb::DeclineCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "out_of_area".into(),
        ..Default::default()
    };
    let declined = intake(&d, &d.window()).decline_case(decline).await.unwrap().into_inner().case.unwrap();
    assert_eq!(declined.closed_code(), pb::ClosedCode::Declined);
    assert_eq!(declined.first_receiver_org_id, d.station.to_string());
    let request = pb::GetTimelineRequest { case_id: case.case_id, ..Default::default() };
    let steps = d.cases(&resident).get_timeline(request).await.unwrap().into_inner().entries;
    let refusal = steps.iter().find(|step| step.event == "CaseDeclined").unwrap();
    assert_eq!(refusal.org_id, d.station.to_string());
    let reason = refusal.reason.as_ref().unwrap();
    assert!(!reason.text_zh.is_empty() && reason.arguments.contains_key("channel"), "{reason:?}");
    d.service.stop().await;
}

/// "A case near a boundary cannot be moved to the authority next door."
#[tokio::test]
async fn a_case_moves_to_the_street_next_door_and_keeps_its_promise() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let by = district_dispatcher(&d);
    let recall = pb::RecallCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "wrong_place".into(),
        ..Default::default()
    };
    intake(&d, &by).recall_case(recall).await.unwrap();
    let dispatch = pb::DispatchCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        lead_org_id: d.other_office.to_string(),
        reason_code: "wrong_place".into(),
        ..Default::default()
    };
    let moved = intake(&d, &by).dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    assert_eq!(moved.lead_org_id, d.other_office.to_string());
    assert_eq!(moved.resolve_due_time, case.resolve_due_time);
    // The new one sees it by its task, though the place is not its own.
    let next_door = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    let seen = d.cases(&next_door).get_case(pb::GetCaseRequest { case_id: case.case_id }).await.unwrap();
    assert_eq!(seen.into_inner().case.unwrap().case_no, case.case_no);
    d.service.stop().await;
}

/// "Closed cases are opened again silently", and "what a resident writes after the closing reaches nobody".
#[tokio::test]
async fn a_case_is_opened_again_by_somebody_with_a_reason_and_somebody_gets_it() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    d.resolve(&case).await;
    let rate = pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..Default::default()
    };
    d.cases(&resident).rate_case(rate).await.unwrap();
    d.told().await;
    let reopen = |reason: &str| pb::ReopenCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: reason.into(),
        ..Default::default()
    };
    let refused = d.cases(&resident).reopen_case(reopen("")).await.unwrap_err();
    assert!(refused.message().contains("reason_code"), "{refused}");
    let open = d.cases(&resident).reopen_case(reopen("new_facts")).await.unwrap().into_inner().case.unwrap();
    assert_eq!((open.state(), open.reopen_count), (pb::CaseState::Dispatched, 1));
    assert_eq!(d.told().await, ["CaseReopened", "CaseDispatched", "TaskIssued"]);
    let request = pb::ListTasksRequest { states: vec![pb::TaskState::Issued.into()], ..Default::default() };
    assert_eq!(d.tasks(&d.leader()).list_tasks(request).await.unwrap().into_inner().tasks.len(), 1);
    d.service.stop().await;
}
