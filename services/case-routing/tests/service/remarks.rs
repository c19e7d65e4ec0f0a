//! Words that are added to a case: who may, who reads what, and where they show.

use chassis::{auth::Role, proto::case_routing::v1 as pb, testing::Persona};
use tonic::Code;

use crate::support::{District, request_id};

const SAID: &str = "又堆了两辆车，请联系13812345678";

fn remark(case: &pb::Case, text: &str) -> pb::AddRemarkRequest {
    pb::AddRemarkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        text: text.into(),
        ..Default::default()
    }
}

async fn revealed(d: &District, by: &Persona, case: &pb::Case) -> pb::RevealTextResponse {
    let request = pb::RevealTextRequest { case_id: case.case_id.clone() };
    d.cases(by).reveal_text(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn words_are_kept_sealed_shown_redacted_and_reach_the_lead() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    d.told().await;
    let request = remark(&case, SAID);
    let said = d.cases(&resident).add_remark(request.clone()).await.unwrap().into_inner();
    assert_eq!(d.cases(&resident).add_remark(request).await.unwrap().into_inner(), said, "said once");
    d.cases(&d.leader()).add_remark(remark(&case, "明天上门")).await.unwrap();
    assert!(d.told().await.is_empty(), "no event tells of it");

    // Neighbours of the case that take no part reach it, and say nothing in it.
    let onlooker = Persona::new(Role::StreetSupervisor, d.street).org(d.other_office);
    let refused = d.cases(&onlooker).add_remark(remark(&case, "看到了")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let foreign = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    let refused = d.cases(&foreign).add_remark(remark(&case, "看到了")).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    let read = d.read(&case).await;
    let shown: Vec<_> = read.remarks.iter().map(|one| (one.text_redacted.as_str(), &one.org_id)).collect();
    assert_eq!(shown, [("又堆了两辆车，请联系***", &String::new()), ("明天上门", &d.office.to_string())]);
    assert_eq!(read.remarks[0].actor_ref, resident.actor_ref);
    assert!(read.remarks.iter().all(|one| one.kind == "remark"));
    assert_eq!((read.remark_count, read.remarked_time), (2, read.update_time));
    assert_eq!(read.etag, read.remarks[1].case_version.to_string());
    let words: Vec<String> =
        revealed(&d, &d.leader(), &case).await.remarks.into_iter().map(|one| one.text).collect();
    assert_eq!(words, [SAID, "明天上门"]);

    let request = pb::GetTimelineRequest { case_id: case.case_id.clone(), ..Default::default() };
    let steps = d.cases(&resident).get_timeline(request).await.unwrap().into_inner().entries;
    assert_eq!(steps.iter().filter(|step| step.event == "CaseRemarked").count(), 2);
    let request = pb::ListTasksRequest::default();
    let listed = d.tasks(&d.leader()).list_tasks(request).await.unwrap().into_inner().tasks;
    assert_eq!(listed[0].remarked_time, read.remarked_time, "the lead's list shows that there is something");
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_new_is_said_with_the_reopening() {
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
    let reopen = pb::ReopenCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "new_facts".into(),
        text: SAID.into(),
        ..Default::default()
    };
    let open = d.cases(&resident).reopen_case(reopen).await.unwrap().into_inner().case.unwrap();
    assert_eq!((open.state(), open.reopen_count, open.remark_count), (pb::CaseState::Dispatched, 1, 1));
    assert_eq!(d.told().await, ["CaseReopened", "CaseDispatched", "TaskIssued"]);
    let shown = d.read(&case).await.remarks;
    assert_eq!(
        (shown[0].kind.as_str(), shown[0].text_redacted.as_str()),
        ("reopening", "又堆了两辆车，请联系***")
    );
    assert_eq!(revealed(&d, &d.leader(), &case).await.remarks[0].text, SAID);
    d.service.stop().await;
}

#[tokio::test]
async fn a_rating_says_why_and_whoever_judges_it_reads_that_and_nothing_else() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    d.cases(&resident).add_remark(remark(&case, SAID)).await.unwrap();
    d.resolve(&case).await;
    // Who lives here too, which opens nobody else's case.
    let judge = Persona::new(Role::CallbackAgent, d.district).org(d.centre).also(Role::Resident, d.district);
    let reveal = || pb::RevealTextRequest { case_id: case.case_id.clone() };
    let early = d.cases(&judge).reveal_text(reveal()).await.unwrap_err();
    assert_eq!(early.code(), Code::PermissionDenied, "nothing to judge");
    let rate = pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 1,
        comment: "没人来过，打13812345678问我".into(),
        channel: pb::Channel::App.into(),
        ..Default::default()
    };
    let rated = d.cases(&resident).rate_case(rate).await.unwrap().into_inner().case.unwrap();
    assert_eq!((rated.rating.unwrap().channel(), rated.remark_count), (pb::Channel::App, 2));
    let shown = d.read(&case).await.remarks;
    assert_eq!((shown[1].kind.as_str(), shown[1].text_redacted.as_str()), ("rating", "没人来过，打***问我"));
    let read = revealed(&d, &judge, &case).await;
    let words: Vec<&str> = read.remarks.iter().map(|one| one.text.as_str()).collect();
    assert_eq!((read.text.as_str(), words), ("", vec!["没人来过，打13812345678问我"]));
    assert_eq!(revealed(&d, &d.leader(), &case).await.remarks.len(), 2);
    d.service.stop().await;
}
