//! At the window: the one list of what is missing, and what is applied for is not refused without reasons in writing.

use chassis::{
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::Code;

use crate::support::{District, request_id};

/// Temporary relief, which is applied for.
const RELIEF: &str = "MZ-0102";

pub fn intake(d: &District) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(&d.window()))
}

pub fn request(d: &District) -> pb::RegisterCaseRequest {
    pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    }
}

pub async fn own(d: &District, resident: &Persona, case: &pb::Case) -> pb::Case {
    let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
    d.cases(resident).get_case(request).await.unwrap().into_inner().case.unwrap()
}

/// The reason of the latest step of a kind, as the requester reads it.
pub async fn reason(d: &District, resident: &Persona, case: &pb::Case, event: &str) -> pb::Reason {
    let request =
        pb::GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, ..Default::default() };
    let steps = d.cases(resident).get_timeline(request).await.unwrap().into_inner().entries;
    let step = steps.into_iter().rfind(|step| step.event == event);
    step.and_then(|step| step.reason).unwrap_or_else(|| panic!("{event} with a reason"))
}

#[tokio::test]
async fn the_requester_sees_the_one_list_and_sends_all_of_it() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.cases(&resident).register_case(request(&d)).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.supplement, None);
    let ask = |codes: &[&str]| pb::RequestSupplementRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        material_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        ..Default::default()
    };
    intake(&d).request_supplement(ask(&["id_card", "income_proof"])).await.unwrap();
    let again = intake(&d).request_supplement(ask(&["one_more"])).await.unwrap_err();
    assert_eq!(again.code(), Code::FailedPrecondition, "one list, and no other");

    let waits = own(&d, &resident, &case).await;
    assert_eq!(waits.state(), pb::CaseState::NeedSupplement);
    let list = waits.supplement.clone().unwrap();
    assert_eq!(list.asked_material_codes, ["id_card", "income_proof"]);
    assert!(list.asked_time.is_some() && list.due_time.is_some() && list.sent_time.is_none(), "{list:?}");
    let told = reason(&d, &resident, &case, "CaseSupplementRequested").await;
    assert_eq!(told.arguments["materials"], "id_card, income_proof");
    assert!(told.text_zh.contains("收入证明") && told.text_en.contains("proof of income"), "{told:?}");
    let named: Vec<_> = list.materials.iter().map(|one| (&*one.material_code, &*one.name_zh)).collect();
    assert_eq!(named, [("id_card", "身份证"), ("income_proof", "收入证明")]);

    d.told().await;
    let send = |codes: &[&str]| pb::SupplementCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        material_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        material_refs: vec!["doc:scan-1".into(), "doc:scan-2".into()],
        ..Default::default()
    };
    let parts: [(&[&str], &str); 2] = [(&[], "id_card, income_proof"), (&["income_proof"], "id_card")];
    for (codes, missing) in parts {
        let refused = d.cases(&resident).supplement_case(send(codes)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.message(), format!("material_codes: still missing: {missing}"));
    }
    let nowhere = pb::SupplementCaseRequest {
        material_refs: vec!["in my drawer".into()],
        ..send(&["id_card", "income_proof"])
    };
    let refused = d.cases(&resident).supplement_case(nowhere).await.unwrap_err();
    assert!(refused.message().starts_with("material_refs[0]"), "{refused}");
    assert_eq!(own(&d, &resident, &case).await.etag, waits.etag);
    assert!(d.told().await.is_empty(), "of half a list nothing is taken");

    let all = send(&["income_proof", "id_card", "photo", "own_paper"]);
    let sent = d.cases(&resident).supplement_case(all).await.unwrap().into_inner().case.unwrap();
    assert_eq!(sent.state(), pb::CaseState::Accepted);
    assert_eq!(d.told().await, ["CaseSupplemented", "CaseAccepted"]);
    let read = d.read(&case).await.supplement.unwrap();
    assert_eq!(Some(&read), sent.supplement.as_ref());
    assert_eq!(read.asked_material_codes, ["id_card", "income_proof"]);
    assert_eq!(read.sent_material_codes, ["income_proof", "id_card", "photo", "own_paper"]);
    let named: Vec<_> = read.materials.iter().map(|one| one.name_en.as_str()).collect();
    assert_eq!(named, ["identity card", "proof of income", "photo"], "each once, and no code of its own");
    assert_eq!(read.material_refs, ["doc:scan-1", "doc:scan-2"]);
    assert!(read.sent_time.is_some());
    let told = reason(&d, &resident, &case, "CaseSupplemented").await;
    assert_eq!(told.arguments["materials"], "income_proof, id_card, photo, own_paper");
    assert!(told.text_zh.ends_with("收入证明、身份证、照片、own_paper"), "{told:?}");
    d.service.stop().await;
}

#[tokio::test]
async fn relief_that_nobody_applied_for_is_not_refused_at_the_window_without_reasons_in_writing() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let relief = pb::RegisterCaseRequest { item_code: RELIEF.into(), ..request(&d) };
    let case = d.cases(&resident).register_case(relief).await.unwrap().into_inner().case.unwrap();
    assert_eq!((case.state(), case.item_code.as_str()), (pb::CaseState::Registered, RELIEF));
    let decline = |case: &pb::Case| pb::DeclineCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "out_of_area".into(),
        ..Default::default()
    };
    let refused = intake(&d).decline_case(decline(&case)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("application_needed"), "{refused}");
    let withdraw = pb::WithdrawCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "applied_for".into(),
        ..Default::default()
    };
    d.cases(&resident).withdraw_case(withdraw).await.unwrap();
    let plain = d.cases(&resident).register_case(request(&d)).await.unwrap().into_inner().case.unwrap();
    let declined = intake(&d).decline_case(decline(&plain)).await.unwrap().into_inner().case.unwrap();
    assert_eq!(declined.state(), pb::CaseState::NotAccepted);
    d.service.stop().await;
}
