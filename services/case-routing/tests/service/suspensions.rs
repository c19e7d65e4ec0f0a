//! A case that waits for a listed cause: only when the requester was told in writing, and for so many days.

use std::time::Duration;

use chassis::{auth::Role, clock::to_proto, proto::case_routing::v1 as pb, testing::Persona};
use chrono::TimeDelta;
use tonic::Code;

use crate::{
    read_back::{contacted, signed},
    support::{District, request_id},
    window::{own, reason},
};

#[tokio::test]
async fn a_case_waits_only_when_the_requester_was_told_in_writing() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = contacted(&d, &signed(&d, &resident).await, "phone").await;
    let suspend = |told_ref: &str| pb::SuspendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        cause_code: "season_condition".into(),
        told_ref: told_ref.into(),
        ..Default::default()
    };
    for untold in ["", "by word of mouth"] {
        let refused = d.tasks(&d.leader()).suspend_case(suspend(untold)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("told_ref"), "{refused}");
    }
    assert_eq!(d.read(&case).await.state(), pb::CaseState::InProgress);
    d.tasks(&d.leader()).suspend_case(suspend("doc:told-7")).await.unwrap();
    let waits = own(&d, &resident, &case).await;
    let why = waits.suspension.clone().unwrap();
    assert_eq!((why.cause_code.as_str(), why.told_ref.as_str()), ("season_condition", "doc:told-7"));
    assert!(why.start_time.is_some() && why.resume_time.is_some(), "{why:?}");

    let resume = pb::ResumeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let goes_on = d.tasks(&d.leader()).resume_case(resume).await.unwrap().into_inner().case.unwrap();
    assert_eq!((goes_on.state(), goes_on.suspension), (pb::CaseState::InProgress, None));
    let told = reason(&d, &resident, &case, "CaseSuspended").await;
    assert_eq!((told.code.as_str(), told.arguments["told_ref"].as_str()), ("season_condition", "doc:told-7"));
    d.service.stop().await;
}

#[tokio::test]
async fn beyond_the_days_of_a_cause_the_level_above_suspends_and_the_leader_does_not() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = contacted(&d, &signed(&d, &resident).await, "phone").await;
    let suspend = |days: i64| pb::SuspendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        cause_code: "public_hearing".into(),
        told_ref: "doc:told-7".into(),
        resume_time: Some(to_proto(d.service.clock().now() + TimeDelta::days(days))),
        ..Default::default()
    };
    let resume = || pb::ResumeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let above = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let early = d.tasks(&above).suspend_case(suspend(10)).await.unwrap_err();
    assert_eq!(early.code(), Code::PermissionDenied, "within its days it is the leader's");
    d.tasks(&d.leader()).suspend_case(suspend(10)).await.unwrap();
    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    d.tasks(&d.leader()).resume_case(resume()).await.unwrap();
    // Four of thirty days are used.
    let refused = d.tasks(&d.leader()).suspend_case(suspend(27)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("suspensions_used_up"), "{refused}");
    d.tasks(&d.leader()).suspend_case(suspend(25)).await.unwrap();
    d.tasks(&d.leader()).resume_case(resume()).await.unwrap();
    let waits = d.tasks(&above).suspend_case(suspend(27)).await.unwrap().into_inner().case.unwrap();
    assert_eq!(waits.state(), pb::CaseState::Suspended);
    d.service.stop().await;
}
