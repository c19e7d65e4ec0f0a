//! What a partner has done is kept while others still work on the case, and holds up nothing that comes after it.

use chassis::{
    auth::Role,
    clock::{from_proto, new_id},
    proto::{
        case_routing::v1 as pb,
        staffing::v1::AssignmentOffered,
        volunteer_matching::v1::{SocialAccepted, SocialCompleted, SocialGaveUp},
    },
    testing::Persona,
};
use tonic::Code;

use crate::{
    disputes::{DEPARTMENTS, district, head},
    support::{District, names, request_id},
};

/// A case that volunteers lead.
async fn with_volunteers(d: &District) -> pb::Case {
    let case = d.offered(&Persona::resident(d.district)).await;
    let accepted = SocialAccepted {
        case_id: case.case_id.clone(),
        offer_id: case.offer.clone().unwrap().offer_id,
        org_id: d.volunteers.to_string(),
        volunteer_ref: "v".into(),
    };
    d.hears("volunteer-matching", &case.case_id, &accepted).await;
    case
}

fn completed(d: &District, case: &pb::Case) -> SocialCompleted {
    SocialCompleted {
        case_id: case.case_id.clone(),
        offer_id: case.offer.clone().unwrap().offer_id,
        org_id: d.volunteers.to_string(),
        minutes: 30,
        evidence_refs: vec!["record:1".into()],
    }
}

#[tokio::test]
async fn what_a_partner_has_done_takes_effect_with_the_last_department() {
    let d = district().await;
    let department = DEPARTMENTS[0];
    let case = with_volunteers(&d).await;
    let whistle = pb::WhistleCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        org_ids: vec![department.to_string()],
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let called = d.tasks(&d.dispatcher()).whistle_case(whistle).await.unwrap().into_inner().case.unwrap();
    let of_department = |case: &pb::Case| {
        case.tasks.iter().find(|task| task.org_id == department.to_string()).unwrap().clone()
    };
    let task_id = of_department(&called).task_id;
    d.told().await;
    let told = d.hears("volunteer-matching", &case.case_id, &completed(&d, &case)).await;
    assert_eq!(names(&told), ["TaskSubmitted"]);
    let read = d.read(&case).await;
    assert_eq!((read.state(), read.tasks[0].state()), (pb::CaseState::InProgress, pb::TaskState::Submitted));

    // Nothing of the case waits behind it.
    let offered = AssignmentOffered {
        case_id: case.case_id.clone(),
        task_id: task_id.clone(),
        assignment_id: new_id().to_string(),
        org_id: department.to_string(),
        worker_ref: "worker-1".into(),
        offer_due_time: None,
    };
    d.hears("staffing", &case.case_id, &offered).await;
    let read = d.read(&case).await;
    assert_eq!(of_department(&read).assignment(), pb::AssignmentStatus::Offered);

    let mut tasks = d.tasks(&head(&d, department));
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: task_id.clone(),
        ..Default::default()
    };
    tasks.sign_task(sign).await.unwrap();
    d.told().await;
    let submit = pb::SubmitTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id,
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    tasks.submit_task(submit).await.unwrap();
    let told = d.told().await;
    assert!(told.contains(&"CaseCompleted".to_owned()), "{told:?}");
    let read = d.read(&case).await;
    assert_eq!((read.state(), read.delivery_mode()), (pb::CaseState::Verifying, pb::DeliveryMode::Volunteer));
    d.service.stop().await;
}

#[tokio::test]
async fn a_partner_that_is_done_says_so_once_and_gives_nothing_up_afterwards() {
    let d = district().await;
    let case = with_volunteers(&d).await;
    d.told().await;
    let told = names(&d.hears("volunteer-matching", &case.case_id, &completed(&d, &case)).await);
    assert!(told.contains(&"CaseCompleted".to_owned()), "{told:?}");
    // As another event, not as a repetition of the same.
    assert!(d.hears("volunteer-matching", &case.case_id, &completed(&d, &case)).await.is_empty());
    let gave_up = SocialGaveUp {
        case_id: case.case_id.clone(),
        offer_id: case.offer.clone().unwrap().offer_id,
        org_id: d.volunteers.to_string(),
        reason_code: "no_capacity".into(),
    };
    assert!(d.hears("volunteer-matching", &case.case_id, &gave_up).await.is_empty());
    assert_eq!(d.read(&case).await.state(), pb::CaseState::Verifying);
    d.service.stop().await;
}

#[tokio::test]
async fn who_sent_a_partner_the_case_suspends_and_extends_it() {
    let d = district().await;
    let case = with_volunteers(&d).await;
    let suspend = || pb::SuspendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        cause_code: "expert_review".into(),
        told_ref: "doc:told-7".into(),
        ..Default::default()
    };
    let extend = || pb::ExtendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        extension: Some(pb::Limit { amount: 2, unit: pb::LimitUnit::WorkDay.into() }),
        reason_code: "complex".into(),
        told_ref: "doc:told-8".into(),
        ..Default::default()
    };
    // The district invited the volunteers: neither the street of the place nor a department answers for them.
    for by in [d.leader(), head(&d, DEPARTMENTS[0])] {
        assert_eq!(d.tasks(&by).suspend_case(suspend()).await.unwrap_err().code(), Code::PermissionDenied);
        assert_eq!(d.tasks(&by).extend_case(extend()).await.unwrap_err().code(), Code::PermissionDenied);
    }
    let leader = head(&d, d.gov);
    let paused = d.tasks(&leader).suspend_case(suspend()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(paused.state(), pb::CaseState::Suspended);
    let resume = pb::ResumeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let case = d.tasks(&leader).resume_case(resume).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.lead_org_id, d.volunteers.to_string(), "they go on");
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let longer = d.tasks(&district).extend_case(extend()).await.unwrap().into_inner().case.unwrap();
    let due = |case: &pb::Case| case.resolve_due_time.as_ref().and_then(from_proto).unwrap();
    assert!(due(&longer) > due(&case));
    d.service.stop().await;
}
