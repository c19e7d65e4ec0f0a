//! The worker's own commands: whose they are, what is refused, what repeats.

use chassis::{auth::Role, testing::Persona};
use proto::staffing::v1::{
    AcceptAssignmentRequest, ArriveOnSiteRequest, AssignTaskRequest, AssignmentState::*,
    DeclineAssignmentRequest, FinishAssignmentRequest, GetAssignmentRequest, ListAssignmentsRequest,
};
use tonic::Code;

use crate::world::*;

async fn offered() -> (World, Hired, Case, String) {
    let world = World::start().await;
    let worker = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    world.sent().await;
    let id = world.of_task(case.task).await[0].assignment_id.clone();
    (world, worker, case, id)
}

#[tokio::test]
async fn a_worker_accepts_arrives_and_finishes() {
    let (world, worker, _, id) = offered().await;
    assert_eq!(world.accept(&worker, &id).await.unwrap().state(), Accepted);
    assert_eq!(world.finish(&worker, &id).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(world.arrive(&worker, &id).await.unwrap().state(), OnSite);
    let done = world.finish(&worker, &id).await.unwrap();
    assert_eq!((done.state(), done.minutes), (Done, 45));
    let events = world.service.drain_outbox().await;
    let versions: Vec<i64> = events.iter().map(|event| event.aggregate_version).collect();
    assert_eq!(versions, [2, 3, 4]);
    assert!(events.iter().all(|event| event.subject == id));
}

#[tokio::test]
async fn who_hands_the_result_in_reads_the_evidence_that_the_worker_gave() {
    let (world, worker, case, id) = offered().await;
    world.accept(&worker, &id).await.unwrap();
    let there = world.arrive(&worker, &id).await.unwrap();
    assert!(there.evidence_refs.is_empty());
    assert_eq!(world.finish(&worker, &id).await.unwrap().evidence_refs, ["photo:after"]);
    assert_eq!(world.of_task(case.task).await[0].evidence_refs, ["photo:after"], "listed");
    let head = Persona::new(Role::StationHead, COMMUNITY).org(STATION);
    let request = GetAssignmentRequest { assignment_id: id };
    let read = world.assignments(&head).get_assignment(request).await.unwrap().into_inner();
    assert_eq!(read.assignment.unwrap().evidence_refs, ["photo:after"]);
}

#[tokio::test]
async fn a_repeated_request_answers_the_same_and_another_body_is_refused() {
    let (world, worker, _, id) = offered().await;
    let request = accepting(&id);
    let mut client = world.assignments(&worker.persona);
    let first = client.accept_assignment(request.clone()).await.unwrap().into_inner();
    world.arrive(&worker, &id).await.unwrap();
    let again = client.accept_assignment(request.clone()).await.unwrap().into_inner();
    assert_eq!(first, again);
    let other = AcceptAssignmentRequest { assignment_id: request_id(), ..request };
    assert_eq!(fields(&client.accept_assignment(other).await.unwrap_err()), ["request_id"]);
    assert_eq!(world.sent().await, ["AssignmentAccepted", "AssignmentOnSite"]);
}

#[tokio::test]
async fn a_verb_that_is_based_on_another_version_is_aborted_and_changes_nothing() {
    let (world, worker, case, id) = offered().await;
    let mut client = world.assignments(&worker.persona);
    let seen = world.of_task(case.task).await.remove(0).etag;
    let accept = |etag: &str| AcceptAssignmentRequest { etag: etag.into(), ..accepting(&id) };
    let arrive = |etag: &str| ArriveOnSiteRequest {
        assignment_id: id.clone(),
        request_id: request_id(),
        etag: etag.into(),
    };
    let finish = |etag: &str| FinishAssignmentRequest {
        assignment_id: id.clone(),
        request_id: request_id(),
        minutes: 30,
        evidence_refs: Vec::new(),
        etag: etag.into(),
    };
    let decline = |etag: &str| DeclineAssignmentRequest {
        assignment_id: id.clone(),
        request_id: request_id(),
        reason_code: "elsewhere".into(),
        etag: etag.into(),
    };
    assert_eq!(client.accept_assignment(accept("7")).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(client.decline_assignment(decline("7")).await.unwrap_err().code(), Code::Aborted);
    let accepted = client.accept_assignment(accept(&seen)).await.unwrap().into_inner().assignment.unwrap();
    assert_ne!(accepted.etag, seen);
    // Which of the two is wrong, the version or the state: whoever has not seen the state hears of the version.
    assert_eq!(client.decline_assignment(decline(&seen)).await.unwrap_err().code(), Code::Aborted);
    let stale = client.arrive_on_site(arrive(&seen)).await.unwrap_err();
    assert_eq!(
        (stale.code(), stale.message()),
        (Code::Aborted, format!("assignment {id} has changed meanwhile").as_str())
    );
    let there = client.arrive_on_site(arrive(&accepted.etag)).await.unwrap().into_inner().assignment.unwrap();
    assert_eq!(client.finish_assignment(finish(&accepted.etag)).await.unwrap_err().code(), Code::Aborted);
    client.finish_assignment(finish(&there.etag)).await.unwrap();
    assert_eq!(world.sent().await, ["AssignmentAccepted", "AssignmentOnSite", "AssignmentDone"]);
    // To whom it does not exist no version is wrong.
    let colleague = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let mut theirs = world.assignments(&colleague.persona);
    assert_eq!(theirs.accept_assignment(accept("7")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(theirs.decline_assignment(decline("7")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn nobody_else_can_tell_that_an_assignment_exists() {
    let (world, _, case, id) = offered().await;
    let colleague = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let unknown = request_id();
    for wanted in [&id, &unknown] {
        for status in [
            world.accept(&colleague, wanted).await.unwrap_err(),
            world.arrive(&colleague, wanted).await.unwrap_err(),
            world.finish(&colleague, wanted).await.unwrap_err(),
            world.decline(&colleague, wanted).await.unwrap_err(),
        ] {
            assert_eq!(
                (status.code(), status.message()),
                (Code::NotFound, format!("assignment {wanted} was not found").as_str())
            );
        }
    }
    let denied = [
        colleague.persona.clone(),
        Persona::new(Role::StreetLeader, OTHER_STREET),
        Persona::new(Role::StationHead, OTHER_COMMUNITY),
        Persona::new(Role::DeptLeader, DISTRICT).line("housing"),
        Persona::new(Role::StreetDispatcher, STREET).line("water"),
    ];
    for persona in denied {
        let mut client = world.assignments(&persona);
        let request = GetAssignmentRequest { assignment_id: id.clone() };
        assert_eq!(client.get_assignment(request).await.unwrap_err().code(), Code::NotFound, "{persona:?}");
        for request in [
            ListAssignmentsRequest::default(),
            ListAssignmentsRequest { task_id: case.task.to_string(), ..Default::default() },
            ListAssignmentsRequest { case_id: case.id.to_string(), ..Default::default() },
            ListAssignmentsRequest { mine: true, ..Default::default() },
        ] {
            let found = client.list_assignments(request).await.unwrap().into_inner();
            assert!(found.assignments.is_empty(), "{persona:?}");
        }
    }
    let resident = Persona::resident(COMMUNITY);
    let status =
        world.assignments(&resident).list_assignments(ListAssignmentsRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn lists_are_newest_first_and_paged() {
    let (world, worker, first, _) = offered().await;
    let mut tasks = vec![first.task];
    for _ in 0..4 {
        let case = Case::new();
        world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
        tasks.push(case.task);
    }
    tasks.reverse();
    let head = Persona::new(Role::StationHead, COMMUNITY);
    for (persona, mine) in [(&head, false), (&worker.persona, true), (&worker.persona, false)] {
        let mut client = world.assignments(persona);
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListAssignmentsRequest { page_size: 2, page_token, mine, ..Default::default() };
            let page = client.list_assignments(request).await.unwrap().into_inner();
            assert!(page.assignments.len() <= 2);
            found.extend(page.assignments.into_iter().map(|a| a.task_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, tasks.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    let request = ListAssignmentsRequest { states: vec![Accepted.into()], ..Default::default() };
    assert!(
        world.assignments(&head).list_assignments(request).await.unwrap().into_inner().assignments.is_empty()
    );
    let request = ListAssignmentsRequest { states: vec![Offered.into()], ..Default::default() };
    assert_eq!(
        world.assignments(&head).list_assignments(request).await.unwrap().into_inner().assignments.len(),
        5
    );
}

#[tokio::test]
async fn bad_input_names_its_field_and_stores_nothing() {
    let (world, worker, case, id) = offered().await;
    let mut client = world.assignments(&worker.persona);
    for (request, field) in [
        (accepting("x"), "assignment_id"),
        (AcceptAssignmentRequest { request_id: String::new(), ..accepting(&id) }, "request_id"),
        (AcceptAssignmentRequest { etag: "x".into(), ..accepting(&id) }, "etag"),
    ] {
        assert_eq!(fields(&client.accept_assignment(request).await.unwrap_err()), [field]);
    }
    let arrive = |id: &str, etag: &str| ArriveOnSiteRequest {
        assignment_id: id.into(),
        request_id: request_id(),
        etag: etag.into(),
    };
    assert_eq!(fields(&client.arrive_on_site(arrive("", "")).await.unwrap_err()), ["assignment_id"]);
    assert_eq!(fields(&client.arrive_on_site(arrive(&id, "0")).await.unwrap_err()), ["etag"]);
    for reason in ["", "Prose with spaces", "超"] {
        let decline = DeclineAssignmentRequest {
            assignment_id: id.clone(),
            request_id: request_id(),
            reason_code: reason.into(),
            ..Default::default()
        };
        let stray = DeclineAssignmentRequest { etag: "v1".into(), ..decline.clone() };
        assert_eq!(fields(&client.decline_assignment(decline).await.unwrap_err()), ["reason_code"]);
        assert_eq!(fields(&client.decline_assignment(stray).await.unwrap_err()), ["etag"]);
    }
    let finish = |minutes, evidence: &[&str]| FinishAssignmentRequest {
        assignment_id: id.clone(),
        request_id: request_id(),
        minutes,
        evidence_refs: evidence.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let stray = FinishAssignmentRequest { etag: "-1".into(), ..finish(5, &[]) };
    assert_eq!(fields(&client.finish_assignment(stray).await.unwrap_err()), ["etag"]);
    for minutes in [0, -5, 10_081] {
        assert_eq!(fields(&client.finish_assignment(finish(minutes, &[])).await.unwrap_err()), ["minutes"]);
    }
    let bad = finish(5, &["photo:1", "a name, a phone"]);
    assert_eq!(fields(&client.finish_assignment(bad).await.unwrap_err()), ["evidence_refs[1]"]);
    let many = finish(5, &["x"; 21]);
    assert_eq!(fields(&client.finish_assignment(many).await.unwrap_err()), ["evidence_refs"]);
    assert_eq!(
        fields(&client.get_assignment(GetAssignmentRequest { assignment_id: "?".into() }).await.unwrap_err()),
        ["assignment_id"]
    );
    let list = ListAssignmentsRequest::default();
    for (request, field) in [
        (ListAssignmentsRequest { page_size: -1, ..list.clone() }, "page_size"),
        (ListAssignmentsRequest { page_token: "%".into(), ..list.clone() }, "page_token"),
        (ListAssignmentsRequest { task_id: "1".into(), ..list.clone() }, "task_id"),
        (ListAssignmentsRequest { case_id: "1".into(), ..list.clone() }, "case_id"),
        (ListAssignmentsRequest { states: vec![1, 99], ..list.clone() }, "states[1]"),
        (ListAssignmentsRequest { states: vec![1; 51], ..list.clone() }, "states"),
    ] {
        assert_eq!(fields(&client.list_assignments(request).await.unwrap_err()), [field]);
    }
    let head = Persona::new(Role::StationHead, COMMUNITY);
    let assign = AssignTaskRequest {
        task_id: case.task.to_string(),
        request_id: request_id(),
        worker_id: request_id(),
        reason_code: "fits".into(),
    };
    for (request, field) in [
        (AssignTaskRequest { task_id: "?".into(), ..assign.clone() }, "task_id"),
        (AssignTaskRequest { request_id: "?".into(), ..assign.clone() }, "request_id"),
        (AssignTaskRequest { worker_id: String::new(), ..assign.clone() }, "worker_id"),
        (AssignTaskRequest { reason_code: "Fits!".into(), ..assign.clone() }, "reason_code"),
        (assign.clone(), "worker_id"),
    ] {
        assert_eq!(fields(&world.assignments(&head).assign_task(request).await.unwrap_err()), [field]);
    }
    assert!(world.sent().await.is_empty());
    assert_eq!(world.states(case.task).await, [Offered]);
}
