//! What the others tell: each event is delivered twice, and the second time changes nothing.

use chassis::{
    clock::new_id,
    event::Event,
    proto::{
        EventMessage,
        case_routing::v1::{self as pb, CaseOfferWithdrawn},
        staffing::v1 as staffing,
        volunteer_matching::v1 as social,
    },
    testing::Persona,
};
use chrono::TimeDelta;
use uuid::Uuid;

use crate::support::{District, names};

impl District {
    /// Delivers an event twice; gives what it brought about the first time.
    pub async fn hears<M: EventMessage>(&self, source: &str, key: &str, message: &M) -> Vec<Event> {
        let key: Uuid = key.parse().unwrap();
        let event = Event::of(source, self.service.clock().now(), key, 1, message);
        self.service.deliver(event.clone()).await;
        let told = self.service.drain_outbox().await;
        self.service.deliver(event).await;
        assert!(
            self.service.drain_outbox().await.is_empty(),
            "a second delivery of {} did something",
            M::TYPE
        );
        told
    }
}

#[tokio::test]
async fn assignments_are_shown_on_their_task_and_move_nothing() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let (case_id, task_id, assignment_id) =
        (case.case_id.clone(), case.tasks[0].task_id.clone(), new_id().to_string());
    let org_id = d.office.to_string();
    let worker_ref = "worker-1".to_owned();
    macro_rules! tell {
        ($name:ident { $($extra:tt)* } => $status:ident) => {{
            let event = staffing::$name {
                case_id: case_id.clone(), task_id: task_id.clone(), assignment_id: assignment_id.clone(),
                org_id: org_id.clone(), worker_ref: worker_ref.clone(), $($extra)*
            };
            d.service.drain_outbox().await;
            assert!(d.hears("staffing", &case_id, &event).await.is_empty());
            let read = d.read(&case).await;
            assert_eq!(read.tasks[0].assignment(), pb::AssignmentStatus::$status);
            assert_eq!((read.state(), read.tasks[0].worker_ref.as_str()), (case.state(), "worker-1"));
        }};
    }
    tell!(AssignmentOffered { offer_due_time: None } => Offered);
    tell!(AssignmentAccepted {} => Accepted);
    tell!(AssignmentOnSite {} => OnSite);
    tell!(AssignmentDone { minutes: 30, evidence_count: 1 } => Done);
    tell!(AssignmentCancelled { reason_code: "task_objected".into() } => Cancelled);
    tell!(AssignmentDeclined { timed_out: true } => Cancelled);
    let unfilled = staffing::AssignmentUnfilled {
        case_id: case_id.clone(),
        task_id,
        org_id,
        reason_code: "no_workers".into(),
    };
    assert_eq!(names(&d.hears("staffing", &case_id, &unfilled).await), ["SupervisionIssued"]);
    assert_eq!(d.read(&case).await.tasks[0].assignment(), pb::AssignmentStatus::Unfilled);
    // A case that nobody here knows is passed over.
    let unknown = staffing::AssignmentUnfilled { case_id: new_id().to_string(), ..unfilled };
    assert!(d.hears("staffing", &unknown.case_id.clone(), &unknown).await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn an_earlier_version_of_an_assignment_replaces_no_later_one() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let (case_id, task_id) = (case.case_id.clone(), case.tasks[0].task_id.clone());
    let (assignment_id, org_id) = (new_id().to_string(), d.office.to_string());
    let (key, now) = (case_id.parse().unwrap(), d.service.clock().now());
    let accepted = staffing::AssignmentAccepted {
        case_id: case_id.clone(),
        task_id: task_id.clone(),
        assignment_id: assignment_id.clone(),
        org_id: org_id.clone(),
        worker_ref: "worker-1".into(),
    };
    let offered = staffing::AssignmentOffered {
        case_id,
        task_id,
        assignment_id,
        org_id,
        worker_ref: "worker-1".into(),
        offer_due_time: None,
    };
    d.service.deliver(Event::of("staffing", now, key, 2, &accepted)).await;
    let shown = d.read(&case).await;
    assert_eq!(shown.tasks[0].assignment(), pb::AssignmentStatus::Accepted);
    d.service.deliver(Event::of("staffing", now + TimeDelta::minutes(5), key, 1, &offered)).await;
    assert_eq!(d.read(&case).await, shown, "whenever it is told");
    d.service.stop().await;
}

#[tokio::test]
async fn nobody_is_shown_who_left_though_their_acceptance_has_the_later_time() {
    let d = District::start().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let (case_id, task_id) = (case.case_id.clone(), case.tasks[0].task_id.clone());
    let (assignment_id, org_id) = (new_id().to_string(), d.office.to_string());
    let (key, began) = (case_id.parse().unwrap(), d.service.clock().now());
    let accepted = staffing::AssignmentAccepted {
        case_id: case_id.clone(),
        task_id: task_id.clone(),
        assignment_id: assignment_id.clone(),
        org_id: org_id.clone(),
        worker_ref: "worker-1".into(),
    };
    let cancelled = staffing::AssignmentCancelled {
        case_id: case_id.clone(),
        task_id: task_id.clone(),
        assignment_id,
        org_id: org_id.clone(),
        worker_ref: "worker-1".into(),
        reason_code: "worker_left".into(),
    };
    let reason_code = "nobody_left".into();
    let unfilled = staffing::AssignmentUnfilled { case_id, task_id, org_id, reason_code };
    // The transaction by which they leave began before the one by which they accepted, and was committed after it.
    let accepted = Event::of("staffing", began + TimeDelta::milliseconds(5), key, 2, &accepted);
    d.service.deliver(accepted).await;
    d.service.drain_outbox().await;
    d.service.deliver(Event::of("staffing", began, key, 3, &cancelled)).await;
    d.service.deliver(Event::of("staffing", began, key, 2, &unfilled)).await;
    assert_eq!(d.told().await, ["SupervisionIssued"]);
    let task = &d.read(&case).await.tasks[0];
    assert_eq!((task.assignment(), task.worker_ref.as_str()), (pb::AssignmentStatus::Unfilled, ""));
    d.service.stop().await;
}

#[tokio::test]
async fn partners_accept_and_complete() {
    let d = District::start().await;
    let case = d.offered(&Persona::resident(d.district)).await;
    d.service.drain_outbox().await;
    let (case_id, offer_id) = (case.case_id.clone(), case.offer.clone().unwrap().offer_id);
    let org_id = d.volunteers.to_string();
    let accepted = social::SocialAccepted {
        case_id: case_id.clone(),
        offer_id: offer_id.clone(),
        org_id: org_id.clone(),
        volunteer_ref: "v".into(),
    };
    let told = d.hears("volunteer-matching", &case_id, &accepted).await;
    assert_eq!(names(&told), ["CaseOfferConfirmed", "TaskIssued"]);
    assert_eq!(d.read(&case).await.state(), pb::CaseState::InProgress);
    let completed = social::SocialCompleted {
        case_id: case_id.clone(),
        offer_id,
        org_id,
        minutes: 30,
        evidence_refs: vec![],
    };
    let told = names(&d.hears("volunteer-matching", &case_id, &completed).await);
    assert!(told.contains(&"CaseCompleted".to_owned()), "{told:?}");
    let read = d.read(&case).await;
    assert_eq!(read.state(), pb::CaseState::Verifying);
    assert_eq!(read.delivery_mode(), pb::DeliveryMode::Volunteer);
    d.service.stop().await;
}

#[tokio::test]
async fn partners_decline_or_give_up_and_the_public_service_takes_over() {
    let d = District::start().await;
    let org_id = d.volunteers.to_string();
    let case = d.offered(&Persona::resident(d.district)).await;
    d.service.drain_outbox().await;
    let (case_id, offer_id) = (case.case_id.clone(), case.offer.clone().unwrap().offer_id);
    let declined = social::SocialDeclined {
        case_id: case_id.clone(),
        offer_id: offer_id.clone(),
        org_id: org_id.clone(),
        reason_code: "no_capacity".into(),
    };
    let told = d.hears("volunteer-matching", &case_id, &declined).await;
    assert_eq!(names(&told), ["CaseOfferWithdrawn", "CaseDispatched", "TaskIssued"]);
    // The acceptance that crossed it comes too late, and is told so.
    let late = social::SocialAccepted {
        case_id: case_id.clone(),
        offer_id,
        org_id: org_id.clone(),
        volunteer_ref: "v".into(),
    };
    let told = d.hears("volunteer-matching", &case_id, &late).await;
    assert_eq!(names(&told), ["CaseOfferWithdrawn"]);
    assert_eq!(told[0].decode::<CaseOfferWithdrawn>().unwrap().reason_code, "case_moved_on");

    let case = d.offered(&Persona::resident(d.district)).await;
    let (case_id, offer_id) = (case.case_id.clone(), case.offer.clone().unwrap().offer_id);
    let accepted = social::SocialAccepted {
        case_id: case_id.clone(),
        offer_id: offer_id.clone(),
        org_id: org_id.clone(),
        volunteer_ref: "v".into(),
    };
    d.service.drain_outbox().await;
    d.hears("volunteer-matching", &case_id, &accepted).await;
    let gave_up = social::SocialGaveUp {
        case_id: case_id.clone(),
        offer_id,
        org_id,
        reason_code: "no_capacity".into(),
    };
    let told = names(&d.hears("volunteer-matching", &case_id, &gave_up).await);
    assert!(told.contains(&"CaseReturnedFromSociety".to_owned()), "{told:?}");
    assert_eq!(d.read(&case).await.state(), pb::CaseState::Dispatched);
    d.service.stop().await;
}
