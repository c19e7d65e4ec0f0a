//! What a patrol found was merged into another request: the next patrol finds that one open, and no second case is founded. A
//! resident's that was merged into what a patrol found has its word about the result.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};

use crate::{
    patrol::{cover, district, lamp, solved},
    support::{District, request_id},
};

/// A resident asks for what lies in the community, by name or not.
async fn asked(d: &District, resident: &Persona, anonymous: bool) -> pb::Case {
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "门口的路灯不亮".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        anonymous,
        ..Default::default()
    };
    d.cases(resident).register_case(register).await.unwrap().into_inner().case.unwrap()
}

async fn merges(d: &District, case_id: &str, into_case_id: &str) {
    let merge = pb::MergeCaseRequest {
        case_id: case_id.into(),
        into_case_id: into_case_id.into(),
        request_id: request_id(),
        ..Default::default()
    };
    IntakeServiceClient::new(d.service.call_as(&d.window())).merge_case(merge).await.unwrap();
}

#[tokio::test]
async fn a_matter_is_found_open_in_the_case_that_its_own_was_merged_into() {
    let d = district(0).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let own = d.reports(&worker, lamp(&patrol)).await.unwrap();
    let own_id = own.finding.unwrap().case_id;
    let asked = asked(&d, &Persona::resident(d.district), false).await;
    merges(&d, &own_id, &asked.case_id).await;

    let other = d.worker();
    let second = d.starts(&other).await;
    d.service.drain_outbox().await;
    let seen = d.reports(&other, lamp(&second)).await.unwrap();
    assert_eq!((&seen.case_no, seen.case_state()), (&asked.case_no, pb::CaseState::Registered));
    let finding = seen.finding.unwrap();
    assert_eq!(
        (finding.outcome(), &finding.case_id),
        (pb::FindingOutcome::Duplicate, &asked.case_id),
        "one live case of one matter"
    );
    assert!(d.service.drain_outbox().await.is_empty(), "none is founded");
    // That and what is put right then reaches whoever works on it.
    d.reports(&other, solved(lamp(&second))).await.unwrap();
    assert_eq!(d.read(&asked).await.remark_count, 2);

    // It was another lamp after all: the patrol's case is open again, and it is still the one of this lamp.
    let unmerge =
        pb::UnmergeCaseRequest { case_id: own_id.clone(), request_id: request_id(), ..Default::default() };
    IntakeServiceClient::new(d.service.call_as(&d.window())).unmerge_case(unmerge).await.unwrap();
    let again = d.reports(&other, lamp(&second)).await.unwrap().finding.unwrap();
    assert_eq!((again.outcome(), again.case_id), (pb::FindingOutcome::Duplicate, own_id));
    d.service.stop().await;
}

#[tokio::test]
async fn what_a_patrol_put_right_waits_for_the_word_of_a_resident_whose_request_was_merged_into_it() {
    let d = district(100).await;
    d.with_registers().await;
    let worker = d.worker();
    let patrol = d.starts(&worker).await;
    let mut put_right = Vec::new();
    for finding in [cover(&patrol), lamp(&patrol)] {
        let done = d.reports(&worker, solved(finding)).await.unwrap();
        assert_eq!(done.case_state(), pb::CaseState::Verifying);
        put_right.push(done.finding.unwrap().case_id);
    }
    let resident = Persona::resident(d.district);
    let joined = asked(&d, &resident, false).await;
    merges(&d, &joined.case_id, &put_right[0]).await;
    let nameless = asked(&d, &Persona::resident(d.district), true).await;
    merges(&d, &nameless.case_id, &put_right[1]).await;

    let mut verifications = VerificationServiceClient::new(d.service.call_as(&d.verifier()));
    // Who asked anonymously cannot rate.
    for (case_id, state) in put_right.iter().zip([pb::CaseState::Resolved, pb::CaseState::Closed]) {
        let verify = pb::VerifyCaseRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            method: "on_site".into(),
            resolution: pb::Resolution::Resolved.into(),
            callback: pb::CallbackOutcome::NotDue.into(),
            ..Default::default()
        };
        let checked = verifications.verify_case(verify).await.unwrap().into_inner().case.unwrap();
        assert_eq!(checked.state(), state);
    }
    let rate = pb::RateCaseRequest {
        case_id: joined.case_id.clone(),
        request_id: request_id(),
        grade: 1,
        ..Default::default()
    };
    d.cases(&resident).rate_case(rate).await.unwrap();
    let judge = pb::JudgeRatingRequest {
        case_id: joined.case_id.clone(),
        request_id: request_id(),
        valid: true,
        ..Default::default()
    };
    let agent = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    VerificationServiceClient::new(d.service.call_as(&agent)).judge_rating(judge).await.unwrap();
    let again = d.read(&pb::Case { case_id: put_right[0].clone(), ..Default::default() }).await;
    assert_eq!((again.rework_count, again.reopen_count), (1, 0), "{:?}", again.state());
    d.service.stop().await;
}
