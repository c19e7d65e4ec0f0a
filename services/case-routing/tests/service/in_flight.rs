//! What was under way when it came to be kept in the agenda, by the migration that catches up with it.

use std::time::Duration;

use chassis::{
    auth::Role,
    proto::case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
    testing::Persona,
};
use diesel_async::SimpleAsyncConnection as _;

use crate::{
    benefits::of_type,
    joined::{merge, said},
    support::{District, request_id},
};

const CATCH_UP: &str = include_str!("../../migrations/20261201004120_in_flight/up.sql");

async fn run(d: &District, sql: &str) {
    d.service.db().conn().await.unwrap().batch_execute(sql).await.unwrap();
}

/// What is listed of an organisation.
async fn of_org(d: &District, org_id: String) -> Vec<String> {
    let request = pb::ListCasesRequest { org_id, ..Default::default() };
    let page = d.cases(&d.verifier()).list_cases(request).await.unwrap().into_inner();
    page.cases.into_iter().map(|case| case.case_id).collect()
}

#[tokio::test]
async fn ratings_of_before_the_upgrade_find_their_judge_and_are_told_of_once_put_right() {
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

    // As it was kept before.
    let asks = std::slice::from_ref(&repeat.case_id);
    assert_eq!(of_org(&d, d.centre.to_string()).await, asks, "the premise");
    run(&d, "UPDATE agenda SET asked_org_ids = '{}', org_ids = '{}' WHERE awaits = 'judgement'").await;
    assert!(of_org(&d, d.centre.to_string()).await.is_empty());
    d.asked_as_in_the_agenda().await;
    run(&d, CATCH_UP).await;
    assert_eq!(of_org(&d, d.centre.to_string()).await, asks);
    run(&d, CATCH_UP).await;
    assert_eq!(of_org(&d, d.centre.to_string()).await, asks, "once");
    d.asked_as_in_the_agenda().await;

    let agent = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    let judge = pb::JudgeRatingRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        valid: true,
        ..Default::default()
    };
    VerificationServiceClient::new(d.service.call_as(&agent)).judge_rating(judge).await.unwrap();
    run(&d, "DELETE FROM agenda WHERE awaits = 'rectification'").await;
    later();
    let complete = pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:2".into()],
        ..Default::default()
    };
    d.tasks(&d.leader()).complete_case(complete).await.unwrap();
    run(&d, CATCH_UP).await;
    let mut told: Vec<(i64, pb::RatingRectified)> = Vec::new();
    let heard = async || {
        told.extend(of_type::<pb::RatingRectified>(&d.service.drain_outbox().await));
        !told.is_empty()
    };
    d.service.wait_for("the merged case hears of it", heard).await;
    let [(_, done)] = &told[..] else { panic!("once: {told:?}") };
    assert_eq!((&done.case_id, done.in_time), (&repeat.case_id, true));
    d.service.stop().await;
}
