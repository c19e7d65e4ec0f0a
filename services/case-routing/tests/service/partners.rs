//! What a partner has done is kept while others still work on the case, and holds up nothing that comes after it. What others
//! hand in meanwhile it may send back, and that stands when the partner goes. Parties who agree need no word of the partner. What
//! it had done in time and is heard of late is not asked for a second time.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::{from_proto, new_id},
    event::Event,
    proto::{
        case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
        staffing::v1::AssignmentOffered,
        volunteer_matching::v1::{SocialAccepted, SocialCompleted, SocialGaveUp},
    },
    testing::Persona,
    topology::{Changes, Edge, EdgeKind, OrganizationKind},
};
use chrono::TimeDelta;
use diesel_async::SimpleAsyncConnection as _;
use tonic::Code;
use uuid::Uuid;

use crate::{
    disputes::{DEPARTMENTS, district, head},
    flow::digest,
    mediation::{Dispute, QUARREL, with_committee},
    support::{District, names, request_id},
};

/// Looks into what the build before it left.
const SETTLED_OFFERS: &str = include_str!("../../migrations/20261203000210_settled_offers/up.sql");

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

/// The street has called a department to it.
async fn with_department(d: &District) -> (pb::Case, pb::Task) {
    let case = with_volunteers(d).await;
    let whistle = pb::WhistleCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        org_ids: vec![DEPARTMENTS[0].to_string()],
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let called = d.tasks(&d.dispatcher()).whistle_case(whistle).await.unwrap().into_inner().case.unwrap();
    (case, of_department(&called))
}

fn of_department(case: &pb::Case) -> pb::Task {
    case.tasks.iter().find(|task| task.org_id == DEPARTMENTS[0].to_string()).unwrap().clone()
}

/// The department signs for its task.
async fn sign(d: &District, case: &pb::Case, task: &pb::Task) {
    let request = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: task.task_id.clone(),
        ..Default::default()
    };
    d.tasks(&head(d, DEPARTMENTS[0])).sign_task(request).await.unwrap();
}

/// The department hands its result in.
async fn submit(d: &District, case: &pb::Case, task: &pb::Task) {
    let request = pb::SubmitTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: task.task_id.clone(),
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    d.tasks(&head(d, DEPARTMENTS[0])).submit_task(request).await.unwrap();
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
    let (case, task) = with_department(&d).await;
    d.told().await;
    let told = d.hears("volunteer-matching", &case.case_id, &completed(&d, &case)).await;
    assert_eq!(names(&told), ["TaskSubmitted"]);
    let read = d.read(&case).await;
    assert_eq!((read.state(), read.tasks[0].state()), (pb::CaseState::InProgress, pb::TaskState::Submitted));

    // Nothing of the case waits behind it.
    let offered = AssignmentOffered {
        case_id: case.case_id.clone(),
        task_id: task.task_id.clone(),
        assignment_id: new_id().to_string(),
        org_id: DEPARTMENTS[0].to_string(),
        worker_ref: "worker-1".into(),
        offer_due_time: None,
    };
    d.hears("staffing", &case.case_id, &offered).await;
    let read = d.read(&case).await;
    assert_eq!(of_department(&read).assignment(), pb::AssignmentStatus::Offered);

    sign(&d, &case, &task).await;
    d.told().await;
    submit(&d, &case, &task).await;
    let told = d.told().await;
    assert!(told.contains(&"CaseCompleted".to_owned()), "{told:?}");
    let read = d.read(&case).await;
    assert_eq!((read.state(), read.delivery_mode()), (pb::CaseState::Verifying, pb::DeliveryMode::Volunteer));
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_leads_sends_back_what_a_department_handed_in_and_the_case_waits_for_it_again() {
    let d = district().await;
    let (case, task) = with_department(&d).await;
    sign(&d, &case, &task).await;
    submit(&d, &case, &task).await;
    let back = pb::ReturnTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: task.task_id.clone(),
        reason_code: "photo_unclear".into(),
        ..Default::default()
    };
    let elsewhere = Persona::new(Role::StreetLeader, d.other_street).org(d.other_office);
    let its_own = head(&d, DEPARTMENTS[0]);
    for (by, code) in
        [(elsewhere, Code::NotFound), (its_own, Code::PermissionDenied), (d.leader(), Code::PermissionDenied)]
    {
        assert_eq!(d.tasks(&by).return_task(back.clone()).await.unwrap_err().code(), code);
    }
    let manager = Persona::new(Role::OrgManager, d.district).org(d.volunteers);
    let stale = pb::ReturnTaskRequest { request_id: request_id(), etag: case.etag.clone(), ..back.clone() };
    assert_eq!(d.tasks(&manager).return_task(stale).await.unwrap_err().code(), Code::Aborted);
    d.told().await;
    let returned = d.tasks(&manager).return_task(back.clone()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(d.told().await, ["TaskReturned"]);
    assert_eq!(of_department(&returned).state(), pb::TaskState::Returned);
    let again = d.tasks(&manager).return_task(back).await.unwrap().into_inner().case.unwrap();
    assert_eq!(again.etag, returned.etag, "a repeat sends nothing back twice");
    let own = |clock: &&pb::Clock| clock.kind() == pb::ClockKind::Assist && clock.task_id == task.task_id;
    let limits: Vec<bool> =
        returned.clocks.iter().filter(own).map(|clock| clock.stop_time.is_none()).collect();
    assert_eq!(limits, [false, true], "its limit runs anew");

    let told = d.hears("volunteer-matching", &case.case_id, &completed(&d, &case)).await;
    assert_eq!(names(&told), ["TaskSubmitted"], "the partner's own part waits for it");
    submit(&d, &case, &task).await;
    assert_eq!(d.read(&case).await.state(), pb::CaseState::Verifying);
    d.service.stop().await;
}

#[tokio::test]
async fn what_a_department_handed_in_stands_when_the_partner_gives_up() {
    let d = district().await;
    let (case, task) = with_department(&d).await;
    sign(&d, &case, &task).await;
    submit(&d, &case, &task).await;
    d.told().await;
    let gave_up = SocialGaveUp {
        case_id: case.case_id.clone(),
        offer_id: case.offer.clone().unwrap().offer_id,
        org_id: d.volunteers.to_string(),
        reason_code: "no_capacity".into(),
    };
    let told = names(&d.hears("volunteer-matching", &case.case_id, &gave_up).await);
    let cancelled = told.iter().filter(|name| *name == "TaskCancelled");
    assert_eq!(cancelled.count(), 1, "the partner's own: {told:?}");
    let read = d.read(&case).await;
    assert_ne!(read.lead_org_id, d.volunteers.to_string());
    assert_eq!(of_department(&read).state(), pb::TaskState::Submitted);
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

/// A quarrel that the neighbours' own group has in hand, and who manages the group.
async fn with_group() -> (Dispute, pb::Case, Persona) {
    let (committee, mut group) = (new_id(), Uuid::nil());
    let topology = |changes: &mut Changes| {
        with_committee(changes, committee);
        group = changes.orgs.iter().find(|org| org.kind == OrganizationKind::SelfGovGroup).unwrap().id;
        changes.edges.push(Edge {
            id: new_id(),
            from_org_id: committee,
            to_org_id: group,
            kind: EdgeKind::Partners,
            ..changes.edges[0].clone()
        });
    };
    let d = District::start_with(topology, "sweep_ms", 1_000).await;
    let (asking, other) = (Persona::resident(d.district), Persona::resident(d.district));
    let request = pb::IntakeCaseRequest {
        item_code: QUARREL.into(),
        agrees_to_society: true,
        ..d.intake_request(&asking)
    };
    let case = d.cases(&d.window()).intake_case(request).await.unwrap().into_inner().case.unwrap();
    let offer = case.offer.clone().unwrap();
    assert_eq!(offer.partner_org_id, group.to_string());
    let accepted = SocialAccepted {
        case_id: case.case_id.clone(),
        offer_id: offer.offer_id,
        org_id: group.to_string(),
        volunteer_ref: String::new(),
    };
    d.hears("volunteer-matching", &case.case_id, &accepted).await;
    let mediator = Persona::new(Role::Mediator, d.community).org(committee);
    let manager = Persona::new(Role::OrgManager, d.community).org(group);
    (Dispute { d, committee, asking, other, mediator }, case, manager)
}

#[tokio::test]
async fn an_agreement_completes_what_a_partner_leads_without_its_word_or_hours() {
    let (m, case, manager) = with_group().await;
    let offer = case.offer.clone().unwrap();
    assert_eq!(digest(&m.d, "offer").await, [(offer.offer_id.clone(), "confirmed;records=0".to_owned())]);
    // The partner itself says so by its offer, not here.
    let complete = pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    let refused = m.d.tasks(&manager).complete_case(complete).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("partner_not_done"), "{refused}");

    m.d.told().await;
    m.agreed(&case, TimeDelta::days(10)).await;
    let told = m.d.service.drain_outbox().await;
    let completed = told.iter().find(|event| event.is::<pb::CaseCompleted>()).unwrap();
    assert_eq!(completed.decode::<pb::CaseCompleted>().unwrap().offer_id, offer.offer_id);
    let read = m.d.read(&case).await;
    assert_eq!((read.state(), read.closed_code()), (pb::CaseState::Verifying, pb::ClosedCode::Mediated));
    // Whether it adds hours is the partner's, and nothing that is known here.
    let settled = [(offer.offer_id.clone(), "completed;records=?".to_owned())];
    assert_eq!(digest(&m.d, "offer").await, settled);
    let added = SocialCompleted {
        case_id: case.case_id.clone(),
        offer_id: offer.offer_id,
        org_id: offer.partner_org_id,
        minutes: 30,
        evidence_refs: vec!["record:1".into()],
    };
    assert!(m.d.hears("volunteer-matching", &case.case_id, &added).await.is_empty());
    assert_eq!(digest(&m.d, "offer").await, settled);
    {
        let mut conn = m.d.service.db().conn().await.unwrap();
        conn.batch_execute("UPDATE offers SET state = 'completed'").await.unwrap();
        conn.batch_execute(SETTLED_OFFERS).await.unwrap();
    }
    assert_eq!(digest(&m.d, "offer").await, settled, "as an earlier build noted it");
    m.d.service.stop().await;
}

#[tokio::test]
async fn hours_that_cross_a_rework_complete_nothing_and_those_that_come_after_it_do() {
    let (m, case, _) = with_group().await;
    m.agreed(&case, TimeDelta::days(10)).await;
    let org_id = case.offer.clone().unwrap().partner_org_id;
    let added = SocialCompleted { org_id, ..completed(&m.d, &case) };
    let (clock, key) = (m.d.service.clock(), case.case_id.parse().unwrap());
    let crossing = Event::of("volunteer-matching", clock.now(), key, 3, &added);
    clock.advance(Duration::from_secs(60));
    let rework = pb::OrderReworkRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        reason_code: "not_done".into(),
        ..Default::default()
    };
    let mut verifications = VerificationServiceClient::new(m.d.service.call_as(&m.d.verifier()));
    verifications.order_rework(rework).await.unwrap();
    m.d.told().await;
    m.d.service.deliver(crossing).await;
    assert!(m.d.told().await.is_empty());
    assert_eq!(m.d.read(&case).await.state(), pb::CaseState::InProgress);
    assert_eq!(offer_digest(&m.d).await, "confirmed;records=0");
    let told = names(&m.d.hears("volunteer-matching", &case.case_id, &added).await);
    assert!(told.contains(&"CaseCompleted".to_owned()), "{told:?}");
    assert_eq!(m.d.read(&case).await.state(), pb::CaseState::Verifying);
    m.d.service.stop().await;
}

/// The volunteers' time is over, and the street has the case. With the news of what they had done an hour after they began, which
/// nobody has heard.
async fn taken_over(d: &District) -> (pb::Case, Event) {
    let case = with_volunteers(d).await;
    let clock = d.service.clock();
    clock.advance(Duration::from_secs(3_600));
    let key = case.case_id.parse().unwrap();
    let done = Event::of("volunteer-matching", clock.now(), key, 3, &completed(d, &case));
    let due = d.read(&case).await.tasks[0].due_time.as_ref().and_then(from_proto).unwrap();
    clock.advance((due - clock.now()).to_std().unwrap() + Duration::from_secs(60));
    let dispatched = async || d.read(&case).await.state() == pb::CaseState::Dispatched;
    d.service.wait_for("the public service to take over", dispatched).await;
    let told = d.told().await;
    assert!(told.contains(&"CaseReturnedFromSociety".to_owned()), "{told:?}");
    (d.read(&case).await, done)
}

/// What reconcile compares of the only offer.
async fn offer_digest(d: &District) -> String {
    let offers = digest(d, "offer").await;
    assert_eq!(offers.len(), 1);
    offers[0].1.clone()
}

#[tokio::test]
async fn what_was_done_in_time_and_is_heard_late_is_not_asked_for_a_second_time() {
    let d = district().await;
    let (case, done) = taken_over(&d).await;
    assert_eq!(offer_digest(&d).await, "withdrawn;records=0");
    d.service.deliver(done.clone()).await;
    let told = d.told().await;
    for name in ["TaskCancelled", "CaseOfferConfirmed", "TaskSubmitted", "CaseCompleted"] {
        assert!(told.contains(&name.to_owned()), "{name}: {told:?}");
    }
    for name in ["TaskSigned", "CaseOfferWithdrawn"] {
        assert!(!told.contains(&name.to_owned()), "{name}: {told:?}");
    }
    let read = d.read(&case).await;
    assert_eq!((read.state(), read.delivery_mode()), (pb::CaseState::Verifying, pb::DeliveryMode::Volunteer));
    assert_eq!(read.lead_org_id, d.volunteers.to_string());
    let street = read.tasks.iter().find(|task| task.org_id == d.office.to_string()).unwrap();
    assert_eq!(street.state(), pb::TaskState::Cancelled);
    assert!(d.timeline(&case).await.iter().any(|step| step.event == "PartnerDone"));
    assert_eq!(offer_digest(&d).await, "completed;records=1");
    // As another event, not as a repetition of the same.
    d.service.deliver(Event { id: new_id(), ..done }).await;
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_signed_meanwhile_is_reminded_that_the_partner_had_done_it_in_time() {
    let d = district().await;
    let (case, done) = taken_over(&d).await;
    let street = case.tasks.iter().find(|task| task.org_id == d.office.to_string()).unwrap();
    let request = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: street.task_id.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).sign_task(request).await.unwrap();
    d.told().await;
    d.service.deliver(done.clone()).await;
    let told = d.service.drain_outbox().await;
    assert_eq!(names(&told), ["SupervisionIssued"]);
    let reminder: pb::SupervisionIssued = told[0].decode().unwrap();
    assert_eq!((reminder.level, reminder.reason_code.as_str()), (0, "partner_was_done"));
    assert_eq!(reminder.task_id, street.task_id);
    let read = d.read(&case).await;
    assert_eq!((read.state(), read.lead_org_id), (pb::CaseState::Signed, d.office.to_string()));
    assert_eq!(offer_digest(&d).await, "completed;records=1", "its hours go with the case");
    d.service.deliver(Event { id: new_id(), ..done }).await;
    assert!(d.told().await.is_empty(), "told once");
    d.service.stop().await;
}

#[tokio::test]
async fn a_partner_that_was_done_after_its_time_learns_that_the_case_has_moved_on() {
    let d = district().await;
    let (case, done) = taken_over(&d).await;
    let late = Event { time: d.service.clock().now(), ..done };
    d.service.deliver(late).await;
    assert_eq!(d.told().await, ["CaseOfferWithdrawn"]);
    assert_eq!(d.read(&case).await.state(), pb::CaseState::Dispatched);
    assert_eq!(offer_digest(&d).await, "withdrawn;records=0");
    d.service.stop().await;
}
