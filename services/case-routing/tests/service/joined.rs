//! Two cases of one matter: joined, parted, and never into one that nobody handles.

use chassis::{
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::{Code, Status};

use crate::support::{District, request_id};

async fn registered(d: &District) -> pb::Case {
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "路灯不亮".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let resident = Persona::resident(d.district);
    d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap()
}

fn intake(d: &District) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(&d.window()))
}

async fn merge(d: &District, case: &pb::Case, into: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::MergeCaseRequest {
        case_id: case.case_id.clone(),
        into_case_id: into.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(d).merge_case(request).await.map(|answer| answer.into_inner().case.unwrap())
}

#[tokio::test]
async fn two_cases_are_not_merged_into_each_other_nor_into_one_that_is_over() {
    let d = District::start().await;
    let (first, second, gone) = (registered(&d).await, registered(&d).await, registered(&d).await);
    assert_eq!(merge(&d, &first, &second).await.unwrap().state(), pb::CaseState::Merged);
    let refused = merge(&d, &second, &first).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains(&first.case_id), "{}", refused.message());
    let withdraw = pb::WithdrawCaseRequest {
        case_id: gone.case_id.clone(),
        request_id: request_id(),
        reason_code: "solved_itself".into(),
        ..Default::default()
    };
    d.cases(&d.window()).withdraw_case(withdraw).await.unwrap();
    assert_eq!(merge(&d, &second, &gone).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(d.read(&second).await.state(), pb::CaseState::Registered, "somebody handles it");
    d.service.stop().await;
}

#[tokio::test]
async fn a_repeated_unmerge_answers_the_same() {
    let d = District::start().await;
    let (first, second) = (registered(&d).await, registered(&d).await);
    merge(&d, &first, &second).await.unwrap();
    d.told().await;
    let request = pb::UnmergeCaseRequest {
        case_id: first.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut intake = intake(&d);
    let parted = intake.unmerge_case(request.clone()).await.unwrap().into_inner();
    assert_eq!(parted.case.as_ref().unwrap().state(), pb::CaseState::Accepted);
    assert_eq!(d.told().await, ["CaseUnmerged"]);
    assert_eq!(intake.unmerge_case(request.clone()).await.unwrap().into_inner(), parted);
    assert!(d.told().await.is_empty(), "nothing happened twice");
    let anew = pb::UnmergeCaseRequest { request_id: request_id(), ..request };
    assert_eq!(intake.unmerge_case(anew).await.unwrap_err().code(), Code::FailedPrecondition);
    d.service.stop().await;
}
