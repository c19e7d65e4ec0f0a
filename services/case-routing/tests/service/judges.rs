//! Whoever may judge a bad rating finds those that their organisation has to judge, and no others.

use std::time::Duration;

use chassis::{
    auth::Role,
    db::cached,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
    topology::{Changes, OrganizationKind},
};
use diesel::sql_types::Uuid as SqlUuid;
use diesel_async::RunQueryDsl;
use uuid::Uuid;

use crate::{
    joined::said,
    recusal::{merge, refused, unmerge},
    support::{District, request_id},
};

fn without_a_callback_centre(changes: &mut Changes) {
    changes.orgs.retain(|org| org.kind != OrganizationKind::CallbackCentre);
}

/// A case that another street's office verified, and another requester's that was merged into it; both are rated badly.
async fn rated_badly(d: &District) -> (pb::Case, pb::Case) {
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "楼道堆物".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let repeat = d.cases(&other).register_case(register).await.unwrap().into_inner().case.unwrap();
    let case = d.taken_in(&one).await;
    let merge = pb::MergeCaseRequest {
        case_id: repeat.case_id.clone(),
        into_case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    IntakeServiceClient::new(d.service.call_as(&d.window())).merge_case(merge).await.unwrap();
    d.do_at_street(&case).await;
    let verify = pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        ..Default::default()
    };
    let verifier = Persona::new(Role::Verifier, d.district).org(d.other_office);
    VerificationServiceClient::new(d.service.call_as(&verifier)).verify_case(verify).await.unwrap();
    for (by, rated) in [(&one, &case), (&other, &repeat)] {
        let rate = pb::RateCaseRequest {
            case_id: rated.case_id.clone(),
            request_id: request_id(),
            grade: 1,
            ..Default::default()
        };
        d.cases(by).rate_case(rate).await.unwrap();
    }
    (case, repeat)
}

async fn listed(d: &District, by: &Persona, ratings: bool) -> Vec<String> {
    let request = pb::ListVerificationsRequest { ratings, ..Default::default() };
    let mut desk = VerificationServiceClient::new(d.service.call_as(by));
    let cases = desk.list_verifications(request).await.unwrap().into_inner().cases;
    cases.into_iter().map(|case| case.case_id).collect()
}

#[tokio::test]
async fn supervisors_and_dispatchers_list_the_ratings_that_their_organisation_judges() {
    let d = District::start_with(without_a_callback_centre, "sweep_ms", 1_000).await;
    let (case, repeat) = rated_badly(&d).await;
    // Whoever verified it judges the one, wherever it lies; the lowest above its handlers the other, by whatever line.
    let supervisor = Persona::new(Role::StreetSupervisor, d.other_street).org(d.other_office);
    let dispatcher = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov).line("civil_affairs");
    assert_eq!(listed(&d, &supervisor, true).await, std::slice::from_ref(&case.case_id));
    assert_eq!(listed(&d, &dispatcher, true).await, std::slice::from_ref(&repeat.case_id));
    // Neither by its place, nor what waits for something else.
    let handler = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    assert!(listed(&d, &handler, true).await.is_empty());
    for by in [&supervisor, &dispatcher, &handler] {
        assert!(listed(&d, by, false).await.is_empty());
    }
    // Who verifies looks through the place, as before.
    let verifier = Persona::new(Role::Verifier, d.district).org(d.other_office);
    assert_eq!(listed(&d, &verifier, true).await, [repeat.case_id.clone(), case.case_id.clone()]);

    // The merged one asks for it though it is over: in the lists of cases, and for the judgement itself.
    let own = pb::ListCasesRequest { org_id: d.gov.to_string(), ..Default::default() };
    for request in [own, pb::ListCasesRequest::default()] {
        let found = d.cases(&dispatcher).list_cases(request.clone()).await.unwrap().into_inner().cases;
        let found: Vec<&str> = found.iter().map(|found| found.case_id.as_str()).collect();
        assert_eq!(found, [repeat.case_id.as_str()], "{request:?}");
    }
    let judge = pb::JudgeRatingRequest {
        case_id: repeat.case_id.clone(),
        request_id: request_id(),
        valid: true,
        ..Default::default()
    };
    let mut desk = VerificationServiceClient::new(d.service.call_as(&dispatcher));
    desk.judge_rating(judge).await.unwrap();
    assert!(listed(&d, &dispatcher, true).await.is_empty());
    assert!(listed(&d, &supervisor, true).await.is_empty(), "the work is done again");
    d.service.stop().await;
}

/// Whoever handled it does not get round the judgement; its own requester need not wait for it.
#[tokio::test]
async fn a_bad_rating_is_not_put_aside_by_opening_the_case_again_or_taking_it_out_of_the_other() {
    let d = District::start().await;
    let (one, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let repeat = said(&d, &other, "楼道堆物", d.community).await;
    let case = d.taken_in(&one).await;
    merge(&d, &d.window(), &repeat, &case).await.unwrap();
    d.resolve(&case).await;
    d.service.clock().advance(Duration::from_secs(16 * 86_400));
    let closed = async || d.read(&case).await.state() == pb::CaseState::Closed;
    d.service.wait_for("the end of the time to rate", closed).await;
    for (by, rated) in [(&one, &case), (&other, &repeat)] {
        let rate = pb::RateCaseRequest {
            case_id: rated.case_id.clone(),
            request_id: request_id(),
            grade: 1,
            ..Default::default()
        };
        d.cases(by).rate_case(rate).await.unwrap();
    }
    let reopen = async |by: &Persona| {
        let request = pb::ReopenCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            reason_code: "new_facts".into(),
            ..Default::default()
        };
        d.cases(by).reopen_case(request).await.map(|answer| answer.into_inner().case.unwrap())
    };
    let handler = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    let above = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    for by in [&handler, &above] {
        refused(reopen(by).await, "rating_unjudged");
    }
    refused(unmerge(&d, &d.window(), &repeat).await, "rating_unjudged");
    d.told().await;
    let opened = reopen(&one).await.unwrap();
    assert_eq!((opened.state(), opened.reopen_count), (pb::CaseState::Dispatched, 1));
    let told = d.told().await;
    for name in ["RatingJudged", "CaseReopened", "SupervisionIssued"] {
        assert!(told.contains(&name.to_owned()), "{name}: {told:?}");
    }
    // The other's word is about what was done before, and is judged all the same.
    refused(unmerge(&d, &d.window(), &repeat).await, "rating_unjudged");
    d.service.stop().await;
}

/// By the agenda, which says who is asked: a list that opened every document would fail over this one, and take long over many.
#[tokio::test]
async fn the_documents_of_ratings_that_others_judge_are_not_looked_into() {
    let d = District::start_with(without_a_callback_centre, "sweep_ms", 1_000).await;
    let (case, repeat) = rated_badly(&d).await;
    {
        let mut conn = d.service.db().conn().await.unwrap();
        let spoilt = cached("UPDATE cases SET doc = 'no document' WHERE case_id = $1")
            .bind::<SqlUuid, _>(repeat.case_id.parse::<Uuid>().unwrap())
            .execute(&mut conn)
            .await
            .unwrap();
        assert_eq!(spoilt, 1);
    }
    let supervisor = Persona::new(Role::StreetSupervisor, d.other_street).org(d.other_office);
    assert_eq!(listed(&d, &supervisor, true).await, [case.case_id]);
    d.service.stop().await;
}
