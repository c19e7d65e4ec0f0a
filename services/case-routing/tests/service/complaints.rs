//! Whoever asks may name the organisation they complain of: it does not settle that, and nobody is told whom it is about.

use chassis::{
    clock::new_id,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::Code;

use crate::support::{District, request_id};

fn complaint(d: &District, subject_org_id: String) -> pb::RegisterCaseRequest {
    pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "街道工作人员态度恶劣".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        subject_org_id,
        ..Default::default()
    }
}

#[tokio::test]
async fn whom_a_resident_complains_of_steps_aside_from_the_beginning() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let office = d.office.to_string();
    let request = complaint(&d, office.clone());
    let case = d.cases(&resident).register_case(request).await.unwrap().into_inner().case.unwrap();
    for event in d.service.drain_outbox().await {
        let told = event.data.windows(office.len()).any(|part| part == office.as_bytes());
        assert!(!told, "{}", event.r#type);
    }
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut window = IntakeServiceClient::new(d.service.call_as(&d.window()));
    window.accept_case(accept).await.unwrap();
    let answer = || pb::AnswerCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        closed_code: pb::ClosedCode::Explained.into(),
        answer_ref: "kb:discipline".into(),
        ..Default::default()
    };
    let mut own = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
    let refused = own.answer_case(answer()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("recused"), "{refused}");
    window.answer_case(answer()).await.unwrap();
    d.service.stop().await;
}

#[tokio::test]
async fn an_organisation_that_nobody_knows_is_named_at_registration_and_at_intake() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let unknown = new_id().to_string();
    let register = complaint(&d, unknown.clone());
    let intake = pb::IntakeCaseRequest { subject_org_id: unknown, ..d.intake_request(&resident) };
    let registered = d.cases(&resident).register_case(register).await.unwrap_err();
    let taken_in = d.cases(&d.window()).intake_case(intake).await.unwrap_err();
    for refused in [registered, taken_in] {
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().starts_with("subject_org_id"), "{refused}");
    }
    assert!(d.told().await.is_empty(), "nothing was stored");
    d.service.stop().await;
}
