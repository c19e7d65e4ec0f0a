//! What is done again for the bad rating of a merged case is told of that case, and its requester is called back about it.

use std::time::Duration;

use chassis::{
    auth::Role,
    db::cached,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, verification_service_client::VerificationServiceClient as Verifications,
    },
    testing::Persona,
};
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::{
    benefits::of_type,
    joined::{merge, said},
    support::{District, request_id},
};

type Desk = Verifications<PeerChannel>;

async fn listed(desk: &mut Desk) -> Vec<String> {
    let request = pb::ListVerificationsRequest { callbacks: true, ..Default::default() };
    let page = desk.list_verifications(request).await.unwrap().into_inner();
    page.cases.into_iter().map(|case| case.case_id).collect()
}

async fn call(desk: &mut Desk, case: &pb::Case) -> Result<pb::Case, Status> {
    let request = pb::RecordCallbackRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        outcome: pb::CallbackOutcome::Reached.into(),
        resolution: pb::Resolution::Resolved.into(),
        ..Default::default()
    };
    desk.record_callback(request).await.map(|answer| answer.into_inner().case.unwrap())
}

/// Takes what was told of the work that was done again out of the outbox.
async fn rectified(d: &District) -> Vec<pb::RatingRectified> {
    let told: Vec<(i64, pb::RatingRectified)> = of_type(&d.service.drain_outbox().await);
    told.into_iter().map(|(_, event)| event).collect()
}

#[tokio::test]
async fn a_merged_requester_is_called_back_about_what_was_done_again_for_their_bad_rating() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let later = || d.service.clock().advance(Duration::from_secs(600));
    let repeat = said(&d, &other, "楼道堆物", d.community).await;
    let case = d.taken_in(&one).await;
    merge(&d, &repeat, &case).await.unwrap();
    d.resolve(&case).await;
    later();
    let rate = pb::RateCaseRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        grade: 1,
        ..Default::default()
    };
    d.cases(&other).rate_case(rate).await.unwrap();
    let agent = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    let mut desk = Verifications::new(d.service.call_as(&agent));
    let judge = pb::JudgeRatingRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        valid: true,
        ..Default::default()
    };
    desk.judge_rating(judge).await.unwrap();
    let again = d.read(&case).await;
    assert_eq!((again.state(), again.rework_count), (pb::CaseState::InProgress, 1));
    assert!(listed(&mut desk).await.is_empty(), "nothing is done yet");
    assert!(rectified(&d).await.is_empty());

    later();
    let complete = pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:2".into()],
        ..Default::default()
    };
    d.tasks(&d.leader()).complete_case(complete).await.unwrap();
    let mut told = Vec::new();
    let heard = async || {
        told.extend(rectified(&d).await);
        !told.is_empty()
    };
    d.service.wait_for("the merged case hears of it", heard).await;
    let [done] = &told[..] else { panic!("once: {told:?}") };
    assert_eq!((&done.case_id, done.in_time), (&repeat.case_id, true));
    assert_eq!(done.callback(), pb::CallbackOutcome::Unspecified);
    assert_eq!(done.facts.as_ref().unwrap().state(), pb::CaseState::Merged);
    // Somebody looks at the work first.
    assert!(listed(&mut desk).await.is_empty());
    assert_eq!(call(&mut desk, &repeat).await.unwrap_err().code(), Code::FailedPrecondition);

    d.confirm(&case).await;
    assert_eq!(listed(&mut desk).await, std::slice::from_ref(&repeat.case_id));
    let handler = Persona::new(Role::Verifier, d.street).org(d.office);
    let mut own = Verifications::new(d.service.call_as(&handler));
    assert_eq!(call(&mut own, &repeat).await.unwrap_err().code(), Code::PermissionDenied);
    let called = call(&mut desk, &repeat).await.unwrap();
    assert_eq!((called.state(), called.later_calls.len()), (pb::CaseState::Merged, 1));
    let told = rectified(&d).await;
    let [done] = &told[..] else { panic!("once: {told:?}") };
    assert_eq!((done.in_time, done.callback()), (true, pb::CallbackOutcome::Reached));
    assert!(listed(&mut desk).await.is_empty(), "nobody is called twice");
    assert_eq!(call(&mut desk, &repeat).await.unwrap_err().code(), Code::FailedPrecondition);

    let both = pb::ListVerificationsRequest { ratings: true, callbacks: true, ..Default::default() };
    let refused = desk.list_verifications(both).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("callbacks"), "{refused}");
    d.service.stop().await;
}

/// A merged case whose bad rating was found valid, and the case that is worked on again for it.
async fn worked_on_again(d: &District) -> (pb::Case, pb::Case) {
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let repeat = said(d, &other, "楼道堆物", d.community).await;
    let case = d.taken_in(&one).await;
    merge(d, &repeat, &case).await.unwrap();
    d.resolve(&case).await;
    d.service.clock().advance(Duration::from_secs(600));
    let rate = pb::RateCaseRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        grade: 1,
        ..Default::default()
    };
    d.cases(&other).rate_case(rate).await.unwrap();
    let judge = pb::JudgeRatingRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        valid: true,
        ..Default::default()
    };
    let agent = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    Verifications::new(d.service.call_as(&agent)).judge_rating(judge).await.unwrap();
    (repeat, case)
}

#[tokio::test]
async fn a_merged_case_that_cannot_be_read_keeps_no_other_from_hearing_that_the_work_was_done_again() {
    let d = District::start().await;
    let (broken, sound) = (worked_on_again(&d).await, worked_on_again(&d).await);
    assert!(broken.0.case_id < sound.0.case_id, "it comes first");
    {
        let mut conn = d.service.db().conn().await.unwrap();
        let spoilt = cached("UPDATE cases SET doc = '{}' WHERE case_id = $1")
            .bind::<SqlUuid, _>(broken.0.case_id.parse::<Uuid>().unwrap())
            .execute(&mut conn)
            .await
            .unwrap();
        assert_eq!(spoilt, 1);
    }
    d.service.clock().advance(Duration::from_secs(600));
    for (_, case) in [&broken, &sound] {
        let complete = pb::CompleteCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            evidence_refs: vec!["photo:2".into()],
            ..Default::default()
        };
        d.tasks(&d.leader()).complete_case(complete).await.unwrap();
    }
    let mut told = Vec::new();
    let heard = async || {
        told.extend(rectified(&d).await);
        !told.is_empty()
    };
    d.service.wait_for("the other merged case hears of it", heard).await;
    let [done] = &told[..] else { panic!("once: {told:?}") };
    assert_eq!((&done.case_id, done.in_time), (&sound.0.case_id, true));
    d.service.stop().await;
}
