//! A field check that two people make together: staffing is asked for both, and the case shows both.

use chassis::{
    auth::Role,
    clock::new_id,
    grpc::PeerChannel,
    proto::{
        case_routing::v1::{
            self as pb, AssignmentStatus as A, application_service_client::ApplicationServiceClient,
        },
        staffing::v1 as staffing,
    },
    testing::Persona,
};

use crate::{
    flow::digest,
    support::{District, names, request_id},
};

/// Temporary relief: two people on the spot; led by the street.
const RELIEF: &str = "MZ-0102";

impl District {
    fn relief(&self, persona: &Persona) -> ApplicationServiceClient<PeerChannel> {
        ApplicationServiceClient::new(self.service.call_as(persona))
    }

    /// Relief that was applied for and taken in, and is being looked into.
    async fn relief_is_looked_into(&self) -> String {
        let request = pb::SubmitApplicationRequest {
            request_id: request_id(),
            item_code: RELIEF.into(),
            place_unit_id: self.community.to_string(),
            text: "家人突发重病，请求临时救助".into(),
            notice_version: "1".into(),
            material_refs: vec!["doc:id".into()],
            ..Default::default()
        };
        let resident = Persona::resident(self.district);
        let answer = self.relief(&resident).submit_application(request).await.unwrap().into_inner();
        let case_id = answer.application.unwrap().case_id;
        let accept = pb::AcceptApplicationRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        self.relief(&self.window()).accept_application(accept).await.unwrap();
        let start = pb::StartInvestigationRequest {
            case_id: case_id.clone(),
            request_id: request_id(),
            ..Default::default()
        };
        let head = Persona::new(Role::StreetDispatcher, self.street).org(self.office);
        self.relief(&head).start_investigation(start).await.unwrap();
        case_id
    }

    /// What reconcile compares of a task.
    async fn task_digest(&self, task_id: &str) -> String {
        let known = digest(self, "task").await;
        known.into_iter().find(|(key, _)| key == task_id).unwrap().1
    }
}

/// What a task shows: its state, whose that is, and of each worker the state.
fn shown(task: &pb::Task) -> (A, &str, Vec<(&str, A)>) {
    let workers = task.workers.iter().map(|worker| (worker.worker_ref.as_str(), worker.assignment()));
    (task.assignment(), task.worker_ref.as_str(), workers.collect())
}

#[tokio::test]
async fn staffing_is_asked_for_two_and_the_task_shows_both() {
    let d = District::start().await;
    let case_id = d.relief_is_looked_into().await;
    let told = d.service.drain_outbox().await;
    let signed = told.iter().find(|event| event.is::<pb::TaskSigned>()).unwrap();
    let signed: pb::TaskSigned = signed.decode().unwrap();
    assert_eq!((signed.workers_wanted, signed.part()), (2, pb::TaskPart::Lead));
    let (task_id, org_id) = (signed.task_id, d.office.to_string());
    let known = pb::Case { case_id: case_id.clone(), ..Default::default() };
    let task = async || {
        let tasks = d.read(&known).await.tasks;
        tasks.into_iter().find(|task| task.task_id == task_id).unwrap()
    };
    let before = d.read(&known).await.state();
    assert_eq!((task().await.workers_wanted, d.task_digest(&task_id).await.as_str()), (2, "known;active=0"));

    let ids = [new_id(), new_id(), new_id()].map(|id| id.to_string());
    macro_rules! tell {
        ($name:ident of $n:literal { $($extra:tt)* }) => {{
            let event = staffing::$name {
                case_id: case_id.clone(), task_id: task_id.clone(), assignment_id: ids[$n].clone(),
                org_id: org_id.clone(), worker_ref: format!("worker-{}", $n), $($extra)*
            };
            assert!(d.hears("staffing", &case_id, &event).await.is_empty());
        }};
    }
    tell!(AssignmentOffered of 0 { offer_due_time: None });
    tell!(AssignmentOffered of 1 { offer_due_time: None });
    tell!(AssignmentAccepted of 0 {});
    let now = task().await;
    let both = vec![("worker-0", A::Accepted), ("worker-1", A::Offered)];
    assert_eq!(shown(&now), (A::Offered, "worker-1", both));
    assert_eq!(d.task_digest(&task_id).await, "known;active=2");

    tell!(AssignmentDeclined of 1 { timed_out: false });
    let unfilled = staffing::AssignmentUnfilled {
        case_id: case_id.clone(),
        task_id: task_id.clone(),
        org_id: org_id.clone(),
        reason_code: "nobody_left".into(),
    };
    assert_eq!(names(&d.hears("staffing", &case_id, &unfilled).await), ["SupervisionIssued"]);
    let now = task().await;
    assert_eq!(shown(&now), (A::Unfilled, "", vec![("worker-0", A::Accepted)]));
    assert_eq!(d.task_digest(&task_id).await, "known;active=1");

    tell!(AssignmentOffered of 2 { offer_due_time: None });
    tell!(AssignmentAccepted of 2 {});
    assert_eq!(task().await.assignment(), A::Accepted, "both have accepted");
    tell!(AssignmentOnSite of 0 {});
    tell!(AssignmentDone of 0 { minutes: 30, evidence_count: 1 });
    assert_eq!(task().await.assignment(), A::Accepted, "one of two is done");
    tell!(AssignmentOnSite of 2 {});
    tell!(AssignmentDone of 2 { minutes: 30, evidence_count: 1 });
    let now = task().await;
    let both = vec![("worker-0", A::Done), ("worker-2", A::Done)];
    assert_eq!(shown(&now), (A::Done, "worker-0", both));
    assert_eq!(d.task_digest(&task_id).await, "known;active=2");
    assert_eq!(d.read(&known).await.state(), before, "nothing of it moves the case");

    // One too many is staffing's mistake: this side holds against it what the task needs.
    tell!(AssignmentOffered of 1 { offer_due_time: None });
    assert_eq!(d.task_digest(&task_id).await, "known;active=2");
    d.service.stop().await;
}
