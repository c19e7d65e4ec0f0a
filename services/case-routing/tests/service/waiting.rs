//! Waiting for a case to change: who waits is answered by the change, wherever it is made, and learns nothing of what is out of
//! reach. That somebody waited is seen by the order of answers, never by a clock.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::new_id,
    db::Following,
    proto::{
        case_routing::v1::{
            self as pb, intake_service_client::IntakeServiceClient, task_service_client::TaskServiceClient,
        },
        staffing::v1::AssignmentOffered,
    },
    testing::Persona,
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::support::{District, request_id};

/// For the longest time that is granted, unless seconds are given.
pub fn wait(case: &pb::Case, after_etag: &str, wait_seconds: i32) -> pb::WaitCaseRequest {
    pb::WaitCaseRequest { case_id: case.case_id.clone(), after_etag: after_etag.into(), wait_seconds }
}

fn sign(case: &pb::Case) -> pb::SignTaskRequest {
    pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    }
}

impl District {
    /// Waits in a task; gives it once the service has somebody more who waits.
    pub async fn waits(
        &self,
        persona: &Persona,
        request: pb::WaitCaseRequest,
    ) -> JoinHandle<Result<pb::WaitCaseResponse, Status>> {
        let news = self.service.db().news();
        let (before, mut cases) = (news.followers(), self.cases(persona));
        let waiting = async move { cases.wait_case(request).await.map(tonic::Response::into_inner) };
        let waiting = tokio::spawn(waiting);
        self.service.wait_for("somebody who waits", async || news.followers() > before).await;
        waiting
    }
}

#[tokio::test]
async fn who_knows_less_is_answered_at_once_and_who_knows_all_by_the_change() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let waiting = d.waits(&d.dispatcher(), wait(&case, &case.etag, 0)).await;
    let read = d.read(&case).await;
    for known in ["", "1"] {
        let answer = d.cases(&d.window()).wait_case(wait(&case, known, 0)).await.unwrap().into_inner();
        assert!(answer.changed, "{known:?}");
        assert_eq!(answer.case.as_ref(), Some(&read), "as GetCase gives it");
    }
    assert!(!waiting.is_finished(), "it knows the case as it is");
    let signed = d.tasks(&d.leader()).sign_task(sign(&case)).await.unwrap().into_inner().case.unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert!(answer.changed);
    assert_eq!(answer.case.unwrap().etag, signed.etag);
    assert_eq!(d.service.db().news().followers(), 0, "nothing is left of who was answered");
    d.service.stop().await;
}

/// Nobody can look while all connections for reading are taken. How long a wait goes on from what is at hand may be too short for a
/// slow machine, so there are several tries.
#[tokio::test]
async fn who_knows_the_case_at_hand_is_answered_by_the_next_commit_without_a_look_at_the_database() {
    let d = District::start().await;
    for _ in 0..20 {
        let case = d.taken_in(&Persona::resident(d.district)).await;
        let mut taken = Vec::new();
        while let Ok(conn) = tokio::time::timeout(Duration::from_millis(100), d.service.db().conn()).await {
            taken.push(conn.unwrap());
        }
        let mut waiting = d.waits(&d.dispatcher(), wait(&case, &case.etag, 0)).await;
        let signed = d.tasks(&d.leader()).sign_task(sign(&case)).await.unwrap().into_inner().case.unwrap();
        let answered = tokio::time::timeout(Duration::from_secs(1), &mut waiting).await;
        drop(taken);
        let without_a_look = answered.is_ok();
        let answer = match answered {
            Ok(answer) => answer,
            Err(_) => waiting.await,
        };
        let answer = answer.unwrap().unwrap();
        assert!(answer.changed);
        assert_eq!(answer.case.unwrap().etag, signed.etag);
        if without_a_look {
            d.service.stop().await;
            return;
        }
    }
    panic!("whoever waited had to look each time");
}

#[tokio::test]
async fn who_waits_in_vain_is_told_so_when_the_time_is_over_and_before_the_call_is_cut_off() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let longest = d.waits(&d.dispatcher(), wait(&case, &case.etag, 60)).await;
    let answer = d.cases(&d.dispatcher()).wait_case(wait(&case, &case.etag, 1)).await.unwrap().into_inner();
    assert!(!answer.changed);
    assert_eq!(answer.case, Some(d.read(&case).await));
    assert!(!longest.is_finished(), "each waits as long as it asked to");
    let answer = longest.await.unwrap().expect("an answer, and not a deadline that has passed");
    assert!(!answer.changed);
    assert_eq!(answer.case.unwrap().etag, case.etag);
    d.service.stop().await;
}

#[tokio::test]
async fn what_another_replica_changes_is_seen_long_before_the_time_is_over() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let (other, case) = (d.taken_in(&resident).await, d.taken_in(&resident).await);
    let replica = d.another().await;
    let in_vain = d.waits(&d.dispatcher(), wait(&other, &other.etag, 0)).await;
    let waiting = d.waits(&d.dispatcher(), wait(&case, &case.etag, 0)).await;
    let mut there = TaskServiceClient::new(d.call_at(replica.addr, &d.leader()));
    let signed = there.sign_task(sign(&case)).await.unwrap().into_inner().case.unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert!(answer.changed);
    assert_eq!(answer.case.unwrap().etag, signed.etag);
    assert!(!in_vain.is_finished(), "it waits for another case, and began before");
    replica.stop().await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn who_waits_for_a_merged_case_is_woken_by_what_becomes_of_the_other() {
    let d = District::start().await;
    let requester = Persona::resident(d.district);
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let repeat = d.cases(&requester).register_case(register).await.unwrap().into_inner().case.unwrap();
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let merge = pb::MergeCaseRequest {
        case_id: repeat.case_id.clone(),
        into_case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut intake = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let merged = intake.merge_case(merge).await.unwrap().into_inner().case.unwrap();
    let waiting = d.waits(&requester, wait(&repeat, &merged.etag, 0)).await;
    let news = d.service.db().news();
    d.service.wait_for("both are followed", async || news.followers() == 2).await;
    d.tasks(&d.leader()).sign_task(sign(&case)).await.unwrap();
    let answer = waiting.await.unwrap().unwrap();
    assert!(answer.changed);
    let shown = answer.case.unwrap();
    assert_eq!((shown.etag.as_str(), shown.state()), (merged.etag.as_str(), pb::CaseState::Merged));
    assert_eq!(shown.original.unwrap().state(), pb::CaseState::Signed);
    assert_eq!(news.followers(), 0);
    d.service.stop().await;
}

/// Whether whoever follows is told; not by looking again.
async fn told(news: &mut Following) -> bool {
    tokio::time::timeout(Duration::from_secs(20), news.changed()).await.expect("told in time")
}

#[tokio::test]
async fn every_commit_that_changes_a_case_wakes_who_waits_also_one_that_no_event_tells_of() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    let mut news = d.service.db().news().follow(case.case_id.parse().unwrap());
    d.tasks(&d.leader()).sign_task(sign(&case)).await.unwrap();
    assert!(told(&mut news).await, "a command with events");
    let remark = pb::AddRemarkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        text: "又堆了两辆车".into(),
        ..Default::default()
    };
    d.cases(&resident).add_remark(remark).await.unwrap();
    assert!(told(&mut news).await, "a command without events");
    let offered = AssignmentOffered {
        case_id: case.case_id.clone(),
        task_id: case.tasks[0].task_id.clone(),
        assignment_id: new_id().to_string(),
        org_id: d.office.to_string(),
        worker_ref: "worker-1".into(),
        offer_due_time: None,
    };
    d.hears("staffing", &case.case_id, &offered).await;
    assert!(told(&mut news).await, "what another service tells");
    d.service.clock().advance(Duration::from_secs(30 * 86_400));
    assert!(told(&mut news).await, "what time brings");
    d.service.stop().await;
}

#[tokio::test]
async fn a_case_out_of_reach_is_refused_like_one_that_does_not_exist_and_nobody_waits_for_it() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let waiting = d.waits(&d.dispatcher(), wait(&case, &case.etag, 0)).await;
    let strangers = [
        Persona::resident(d.district),
        Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office),
        Persona::new(Role::OrgManager, d.district).org(d.volunteers),
    ];
    for stranger in strangers {
        let absent = pb::Case { case_id: new_id().to_string(), ..Default::default() };
        let mut cases = d.cases(&stranger);
        let missing = cases.wait_case(wait(&absent, &case.etag, 0)).await.unwrap_err();
        let hidden = cases.wait_case(wait(&case, &case.etag, 0)).await.unwrap_err();
        assert_eq!((missing.code(), hidden.code()), (Code::NotFound, Code::NotFound), "{stranger:?}");
        let bare = |status: &Status, case: &pb::Case| status.message().replace(&case.case_id, "");
        assert_eq!(bare(&missing, &absent), bare(&hidden, &case));
    }
    assert!(!waiting.is_finished(), "they were refused at once");
    d.service.stop().await;
}

#[tokio::test]
async fn what_is_wrong_in_the_request_is_named_before_anybody_waits() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let nothing = pb::Case { case_id: "x".into(), ..Default::default() };
    let requests = [
        ("case_id", wait(&nothing, "", 0)),
        ("after_etag", wait(&case, "x", 0)),
        ("after_etag", wait(&case, "0", 0)),
        ("after_etag", wait(&case, "-1", 0)),
        ("wait_seconds", wait(&case, &case.etag, -1)),
        ("wait_seconds", wait(&case, &case.etag, 61)),
    ];
    for (field, request) in requests {
        let refused = d.cases(&d.dispatcher()).wait_case(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{request:?}");
        assert!(refused.message().starts_with(field), "{request:?}: {}", refused.message());
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_stop_of_the_service_answers_who_waits() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let waiting = d.waits(&d.dispatcher(), wait(&case, &case.etag, 0)).await;
    d.service.stop().await;
    let answer = waiting.await.unwrap().expect("an answer, and not a broken connection");
    assert!(!answer.changed);
    assert_eq!(answer.case.unwrap().etag, case.etag);
}

#[tokio::test]
async fn whoever_goes_away_is_forgotten_while_others_wait_on() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let stays = d.waits(&d.dispatcher(), wait(&case, &case.etag, 0)).await;
    let goes = d.waits(&d.window(), wait(&case, &case.etag, 0)).await;
    goes.abort();
    goes.await.unwrap_err();
    d.service.wait_for("only one who waits", async || d.service.db().news().followers() == 1).await;
    assert!(!stays.is_finished(), "it began before");
    d.service.stop().await;
}
