//! Admissions, and communities that send back what was not admitted.

use chassis::{
    auth::Role,
    proto::case_routing::v1::{self as pb, intake_service_client::IntakeServiceClient},
    testing::Persona,
};
use tonic::Code;

use crate::{
    duties::{DAY, Duties, LAMP, head},
    support::request_id,
};

/// An admission of the committee for a week that street and committee objected to and the district has assessed. Gives its id.
async fn assessed(world: &Duties) -> String {
    let application = pb::ApplyAdmissionRequest {
        request_id: request_id(),
        from_org_id: world.department.to_string(),
        to_org_id: world.committee.to_string(),
        item_code: LAMP.into(),
        basis_ref: "doc:law-1".into(),
        effective_on: "2026-03-09".into(),
        ends_on: "2026-03-16".into(),
        ..Default::default()
    };
    let made = world.client(&world.leader()).apply_admission(application).await.unwrap();
    let id = made.into_inner().admission.unwrap().admission_id;
    for persona in [world.d.leader(), world.member()] {
        let request = pb::GiveAdmissionOpinionRequest {
            admission_id: id.clone(),
            request_id: request_id(),
            view: pb::OpinionView::Objects.into(),
            reason_code: "too_much".into(),
            ..Default::default()
        };
        world.client(&persona).give_admission_opinion(request).await.unwrap();
    }
    let assess = pb::AssessAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        law_code: "law_found".into(),
        need_code: "seasonal".into(),
        load_code: "bearable".into(),
        alternative_code: "none".into(),
        ..Default::default()
    };
    world.client(&world.dispatcher()).assess_admission(assess).await.unwrap();
    id
}

#[tokio::test]
async fn a_committee_assists_with_what_was_admitted_and_with_nothing_else() {
    let world = Duties::start().await;
    let d = &world.d;
    // Not admitted yet: a dispatcher cannot ask for it either.
    let case = world.lamp().await;
    let recall = pb::RecallCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "with_help".into(),
        ..Default::default()
    };
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    IntakeServiceClient::new(d.service.call_as(&district)).recall_case(recall).await.unwrap();
    let pushed = pb::DispatchCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        lead_org_id: world.department.to_string(),
        assist_org_ids: vec![world.committee.to_string()],
        reason_code: "with_help".into(),
        ..Default::default()
    };
    let mut street = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
    let refused = street.dispatch_case(pushed.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert!(refused.message().contains("not_admitted"), "{refused}");
    let alone = pb::DispatchCaseRequest { assist_org_ids: Vec::new(), request_id: request_id(), ..pushed };
    street.dispatch_case(alone).await.unwrap();

    let id = assessed(&world).await;
    world.told().await;
    let approve = pb::ApproveAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut arbiter = world.client(&world.arbiter());
    let approved = arbiter.approve_admission(approve).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(approved.state(), pb::TaskAdmissionState::Approved);
    assert_eq!(world.told().await, ["AdmissionApproved"]);

    let assists = async |world: &Duties| {
        let case = world.lamp().await;
        case.tasks.iter().any(|task| task.org_id == world.committee.to_string()).then_some(case)
    };
    assert!(assists(&world).await.is_none());
    d.service.clock().advance(7 * DAY);
    d.service.wait_for("the committee is asked", async || assists(&world).await.is_some()).await;
    let case = assists(&world).await.unwrap();
    let admitted = world.refuse(&case, world.committee, &world.member()).await.unwrap_err();
    assert_eq!(admitted.code(), Code::FailedPrecondition, "{admitted}");
    d.service.clock().advance(7 * DAY);
    d.service.wait_for("it has expired", async || assists(&world).await.is_none()).await;
    // What came while it was admitted and is not any more, the committee sends back alone.
    let by_head = world.refuse(&case, world.committee, &head(d)).await.unwrap_err();
    assert_eq!(by_head.code(), Code::PermissionDenied, "the committee answers for itself");
    let refused = world.refuse(&case, world.committee, &world.member()).await.unwrap();
    assert_eq!(refused.lead_org_id, world.department.to_string(), "the lead goes on");
    let request = pb::GetAdmissionRequest { admission_id: id.clone() };
    let over = arbiter.get_admission(request).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(over.state(), pb::TaskAdmissionState::Expired);
    world.d.service.stop().await;
}

#[tokio::test]
async fn what_the_district_denies_is_told_as_denied_and_nobody_approves_it_later() {
    let world = Duties::start().await;
    let id = assessed(&world).await;
    world.told().await;
    let deny = || pb::DenyAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        reason_code: "no_need".into(),
        ..Default::default()
    };
    let of_department = world.arbiter().org(world.department);
    let refused = world.client(&of_department).deny_admission(deny()).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "not the department itself: {refused}");
    assert!(world.told().await.is_empty());

    let mut arbiter = world.client(&world.arbiter());
    let denied = arbiter.deny_admission(deny()).await.unwrap().into_inner().admission.unwrap();
    assert_eq!((denied.state(), denied.reason_code.as_str()), (pb::TaskAdmissionState::Denied, "no_need"));
    assert_eq!(world.told().await, ["AdmissionDenied"], "and nothing of an approval");
    let approve = pb::ApproveAdmissionRequest {
        admission_id: id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let late = world.client(&world.arbiter()).approve_admission(approve).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition, "{late}");
    let read = pb::GetAdmissionRequest { admission_id: id.clone() };
    let known = arbiter.get_admission(read).await.unwrap().into_inner().admission.unwrap();
    assert_eq!(known, denied);
    world.d.service.stop().await;
}
