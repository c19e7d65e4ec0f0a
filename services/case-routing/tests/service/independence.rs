//! C-4: nobody verifies or judges their own work, nor settles a complaint about it, whatever else they are.

use chassis::{
    auth::{Role, Scope},
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};
use tonic::Code;

use crate::support::{District, ITEM, request_id};

/// Received and taken in by the station.
async fn accepted(d: &District, resident: &Persona) -> pb::Case {
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "医保怎么办".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let case = d.cases(resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut window = IntakeServiceClient::new(d.service.call_as(&d.window()));
    window.accept_case(accept).await.unwrap().into_inner().case.unwrap()
}

/// Received by the station, answered by the street.
async fn answered(d: &District, resident: &Persona) -> pb::Case {
    let case = accepted(d, resident).await;
    let answer = pb::AnswerCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        closed_code: pb::ClosedCode::Explained.into(),
        answer_ref: "kb:medical-insurance".into(),
        ..Default::default()
    };
    let mut street = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
    street.answer_case(answer).await.unwrap().into_inner().case.unwrap()
}

/// With a grant for the street besides.
fn also_of_the_street(d: &District, persona: Persona) -> Persona {
    let mut both = persona;
    both.scopes.push(Scope {
        role: Role::StreetDispatcher,
        unit_id: d.street,
        line: None,
        org_id: Some(d.office),
    });
    both
}

#[tokio::test]
async fn who_belongs_to_the_organisation_complained_of_does_not_settle_the_complaint() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let (case, other) = (accepted(&d, &resident).await, accepted(&d, &resident).await);
    let mut window = IntakeServiceClient::new(d.service.call_as(&d.window()));
    let triage = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: ITEM.into(),
        subject_org_id: d.office.to_string(),
        ..Default::default()
    };
    window.triage_case(triage).await.unwrap();
    let answer = || pb::AnswerCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        closed_code: pb::ClosedCode::BeyondAuthority.into(),
        answer_ref: "kb:discipline".into(),
        ..Default::default()
    };
    let merge = || pb::MergeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        into_case_id: other.case_id.clone(),
        ..Default::default()
    };
    let triage = || pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        subject_org_id: d.other_office.to_string(),
        ..Default::default()
    };
    let hand_off = || pb::HandOffCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        line_code: "110".into(),
        ..Default::default()
    };
    for persona in [d.dispatcher(), also_of_the_street(&d, d.window())] {
        let mut own = IntakeServiceClient::new(d.service.call_as(&persona));
        let answered = own.answer_case(answer()).await.unwrap_err();
        let merged = own.merge_case(merge()).await.unwrap_err();
        let triaged = own.triage_case(triage()).await.unwrap_err();
        let handed_off = own.hand_off_case(hand_off()).await.unwrap_err();
        for refused in [answered, merged, triaged, handed_off] {
            assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
            assert!(refused.message().contains("recused"), "{}", refused.message());
        }
    }
    let answered = window.answer_case(answer()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(answered.closed_code(), pb::ClosedCode::BeyondAuthority);
    d.service.stop().await;
}

#[tokio::test]
async fn who_belongs_to_whoever_handled_a_case_neither_verifies_nor_judges_it() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = answered(&d, &resident).await;
    assert_eq!(case.verification.as_ref().unwrap().verifier_org_id, d.centre.to_string());
    let verify = || pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        ..Default::default()
    };
    let call = pb::RecordCallbackRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        outcome: pb::CallbackOutcome::Unreached.into(),
        ..Default::default()
    };
    let rework = pb::OrderReworkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "not_done".into(),
        ..Default::default()
    };
    let both = also_of_the_street(&d, d.verifier());
    let mut own = VerificationServiceClient::new(d.service.call_as(&both));
    assert_eq!(own.verify_case(verify()).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(own.record_callback(call).await.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(own.order_rework(rework).await.unwrap_err().code(), Code::PermissionDenied);
    let mut centre = VerificationServiceClient::new(d.service.call_as(&d.verifier()));
    let resolved = centre.verify_case(verify()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(resolved.state(), pb::CaseState::Resolved);

    let rate = pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 1,
        ..Default::default()
    };
    d.cases(&resident).rate_case(rate).await.unwrap();
    let judge = || pb::JudgeRatingRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        valid: false,
        ..Default::default()
    };
    let agent = || Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    let street = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    for persona in [street, also_of_the_street(&d, agent())] {
        let mut desk = VerificationServiceClient::new(d.service.call_as(&persona));
        assert_eq!(desk.judge_rating(judge()).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let mut desk = VerificationServiceClient::new(d.service.call_as(&agent()));
    // Nobody's word is put aside unheard.
    let unheard = desk.judge_rating(judge()).await.unwrap_err();
    assert!(unheard.message().contains("callback_outstanding"), "{unheard}");
    let call = || pb::RecordCallbackRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        outcome: pb::CallbackOutcome::Reached.into(),
        resolution: pb::Resolution::NotResolved.into(),
        ..Default::default()
    };
    let both = also_of_the_street(&d, agent());
    let mut own = VerificationServiceClient::new(d.service.call_as(&both));
    assert_eq!(own.record_callback(call()).await.unwrap_err().code(), Code::PermissionDenied);
    let heard = desk.record_callback(call()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((heard.state(), heard.later_calls.len()), (pb::CaseState::Resolved, 1));
    let judged = desk.judge_rating(judge()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(judged.state(), pb::CaseState::Closed);
    d.service.stop().await;
}

#[tokio::test]
async fn who_belongs_to_whoever_handled_a_case_writes_no_rating_of_it_down() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = answered(&d, &resident).await;
    let verify = pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        ..Default::default()
    };
    let mut centre = VerificationServiceClient::new(d.service.call_as(&d.verifier()));
    centre.verify_case(verify).await.unwrap();
    let rate = || pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..Default::default()
    };
    let agent = || Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    let both = also_of_the_street(&d, agent());
    assert_eq!(d.cases(&both).rate_case(rate()).await.unwrap_err().code(), Code::PermissionDenied);
    let rated = d.cases(&agent()).rate_case(rate()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((rated.state(), rated.rating.unwrap().on_behalf), (pb::CaseState::Closed, true));
    d.service.stop().await;
}
