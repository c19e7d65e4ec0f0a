//! F1: one case from the window to closed, by commands.

use std::time::Duration;

use case_routing::digest::{Digests, Portions};
use chassis::proto::{
    case_routing::v1::{
        self as pb, case_service_client::CaseServiceClient, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    ops::v1::{ListDigestsRequest, ops_service_client::OpsServiceClient},
};
use chassis::{Error, auth::Role, ops::DigestSource, testing::Persona};
use tonic::Code;

use crate::support::{District, request_id};

/// What reconcile reads, page by page.
pub async fn digest(d: &District, subject: &str) -> Vec<(String, String)> {
    let mut ops = OpsServiceClient::new(d.service.call_as(&Persona::new(Role::ItOperator, d.district)));
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListDigestsRequest { subject: subject.into(), page_size: 1, page_token };
        let page = ops.list_digests(request).await.unwrap().into_inner();
        all.extend(page.digests.into_iter().map(|digest| (digest.key, digest.value)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// The same of a service that looks at one case a call and holds no more than a page, and how often it was asked.
async fn bit_by_bit(d: &District, subject: &str) -> (Vec<(String, String)>, usize) {
    let little = Portions { within: Duration::ZERO, batch: 1, held: 1 };
    let digests = Digests::with(d.service.db().clone(), little);
    let (mut all, mut asked, mut after) = (Vec::new(), 0, None);
    loop {
        asked += 1;
        assert!(asked < 1_000, "it never comes to an end");
        let page = match digests.digests(subject, after.clone(), 2).await {
            Ok(page) => page,
            Err(Error::Exhausted { .. }) => {
                // Nobody takes the recount away from whoever waits for it.
                let other = digests.digests(subject, after.clone(), 9).await;
                assert!(matches!(other, Err(Error::Exhausted { .. })), "{other:?}");
                continue;
            }
            Err(error) => panic!("{}", error.chain()),
        };
        let Some(last) = page.last() else { return (all, asked) };
        after = Some(last.key.clone());
        all.extend(page.into_iter().map(|digest| (digest.key, digest.value)));
    }
}

#[tokio::test]
async fn of_what_it_does_not_hold_it_lists_no_digests() {
    let d = District::start().await;
    let refused = Digests::new(d.service.db().clone()).digests("cases", None, 2).await.unwrap_err();
    assert!(matches!(&refused, Error::Invalid { field, .. } if field == "subject"), "{refused:?}");
}

#[tokio::test]
async fn what_is_more_than_can_be_counted_and_held_at_once_comes_to_the_same() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    for _ in 0..3 {
        d.taken_in(&resident).await;
    }
    let window = Persona::new(Role::ServiceWorker, d.street).org(d.office);
    let place_unit_id = d.street.to_string();
    let request = pb::IntakeCaseRequest { place_unit_id, ..d.intake_request(&resident) };
    d.cases(&window).intake_case(request).await.unwrap();
    let request = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    d.cases(&resident).register_case(request).await.unwrap();
    for (subject, groups) in [("rollup", 3), ("state", 3), ("due", 4), ("open_due", 2)] {
        let whole = digest(&d, subject).await;
        assert!(whole.len() >= groups && whole.is_sorted(), "{subject}: {whole:?}");
        let (listed, asked) = bit_by_bit(&d, subject).await;
        assert_eq!(listed, whole, "{subject}");
        assert!(asked > whole.len(), "{subject}: asked {asked} times");
    }
    d.service.stop().await;
}

#[tokio::test]
async fn a_case_goes_from_the_window_to_closed() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.taken_in(&resident).await;
    assert_eq!(case.state(), pb::CaseState::Dispatched);
    assert!(case.case_no.starts_with("420103-20260302-0000"), "{}", case.case_no);
    assert_eq!(case.text_redacted, "楼道堆物，请联系***");
    assert_eq!(case.lead_org_id, d.office.to_string());
    assert_eq!(case.first_receiver_org_id, d.station.to_string());
    assert!(!case.routing.as_ref().unwrap().candidates.is_empty());
    assert_eq!(
        d.told().await,
        ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseDispatched", "TaskIssued"]
    );

    let (case_id, task_id) = (case.case_id.clone(), case.tasks[0].task_id.clone());
    let due = digest(&d, "due").await;
    let promised = chassis::clock::from_proto(case.resolve_due_time.as_ref().unwrap()).unwrap();
    let instant = promised.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    assert_eq!(due, [(case_id.clone(), instant)]);
    let line = case.line.clone();
    let hour = promised.format("%Y-%m-%dT%HZ");
    assert_eq!(digest(&d, "open_due").await, [(format!("{}|{line}|{hour}", d.community), "count=1".into())]);
    let standing = |state: &str| vec![(format!("{}|{line}|{state}", d.community), "count=1".to_owned())];
    assert_eq!(digest(&d, "state").await, standing("dispatched"));
    assert_eq!(digest(&d, "outcome").await, []);
    let leader = d.leader();
    let mut tasks = d.tasks(&leader);
    let listed = tasks.list_tasks(pb::ListTasksRequest::default()).await.unwrap().into_inner().tasks;
    assert_eq!(listed.len(), 1);
    let sign =
        pb::SignTaskRequest { case_id: case_id.clone(), request_id: request_id(), etag: case.etag, task_id };
    let signed = tasks.sign_task(sign.clone()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(signed.state(), pb::CaseState::Signed);
    let stale = pb::SignTaskRequest { request_id: request_id(), ..sign };
    assert_eq!(tasks.sign_task(stale).await.unwrap_err().code(), Code::Aborted);

    let contact = pb::ContactRequesterRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        ..pb::ContactRequesterRequest::default()
    };
    tasks.contact_requester(contact).await.unwrap();
    let complete = pb::CompleteCaseRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:1".into()],
        ..pb::CompleteCaseRequest::default()
    };
    let done = tasks.complete_case(complete).await.unwrap().into_inner().case.unwrap();
    assert_eq!(done.state(), pb::CaseState::Verifying);
    assert_eq!(done.verification.unwrap().verifier_org_id, d.centre.to_string());

    let mut verifications = VerificationServiceClient::new(d.service.call_as(&d.verifier()));
    let waiting = verifications.list_verifications(pb::ListVerificationsRequest::default()).await.unwrap();
    assert_eq!(waiting.into_inner().cases.len(), 1);
    let verify = pb::VerifyCaseRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        callback_grade: 5,
        contact_confirmed: true,
        ..pb::VerifyCaseRequest::default()
    };
    let resolved = verifications.verify_case(verify).await.unwrap().into_inner().case.unwrap();
    assert_eq!(resolved.state(), pb::CaseState::Resolved);

    let rate = pb::RateCaseRequest {
        case_id: case_id.clone(),
        request_id: request_id(),
        grade: 5,
        ..pb::RateCaseRequest::default()
    };
    let mut own = d.cases(&resident);
    let closed = own.rate_case(rate).await.unwrap().into_inner().case.unwrap();
    assert_eq!(closed.state(), pb::CaseState::Closed);
    assert_eq!(closed.closed_code(), pb::ClosedCode::Resolved);
    assert_eq!(closed.delivery_mode(), pb::DeliveryMode::GovDirect);
    let told = d.told().await;
    assert_eq!(told.first().map(String::as_str), Some("TaskSigned"));
    assert_eq!(told.last().map(String::as_str), Some("CaseClosed"));

    // All of it lies in the row: what is out of line is written anew with every update.
    #[derive(diesel::QueryableByName)]
    struct OutOfLine {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        bytes: i64,
    }
    let query = "SELECT pg_relation_size(reltoastrelid) AS bytes FROM pg_class WHERE oid = 'cases'::regclass";
    let mut conn = d.service.db().conn().await.unwrap();
    let found: OutOfLine =
        diesel_async::RunQueryDsl::get_result(diesel::sql_query(query), &mut conn).await.unwrap();
    assert_eq!(found.bytes, 0);
    drop(conn);

    // The requester reads it: own list, timeline under the pseudonym, original text.
    let mine = own.list_cases(pb::ListCasesRequest { mine: true, ..Default::default() }).await.unwrap();
    assert_eq!(mine.into_inner().cases.len(), 1);
    let mut steps: Vec<pb::TimelineEntry> = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::GetTimelineRequest { case_id: case_id.clone(), page_size: 3, page_token };
        let page = own.get_timeline(request).await.unwrap().into_inner();
        steps.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(steps.windows(2).all(|pair| pair[0].case_version < pair[1].case_version));
    assert_eq!(steps.first().unwrap().event, "CaseRegistered");
    let rated = steps.iter().find(|step| step.event == "RatingReceived").unwrap();
    assert_eq!(rated.actor_ref, resident.actor_ref);
    assert!(steps.iter().all(|step| step.actor_ref != resident.person_id.to_string()));
    let text =
        own.reveal_text(pb::RevealTextRequest { case_id: case_id.clone() }).await.unwrap().into_inner();
    assert_eq!(text.text, "楼道堆物，请联系13812345678");

    // What reconcile compares.
    let value = format!("closed|{}|CJ-0142|{}|gov_direct|resolved", closed.etag, d.community);
    assert_eq!(digest(&d, "case").await, [(case_id.clone(), value)]);
    // Staffing never spoke of the task, and is expected to know it.
    let known: Vec<String> = digest(&d, "task").await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(known, ["known;active=0"]);
    let registered = format!("{}|CJ-0142|2026-03-02", d.community);
    assert_eq!(digest(&d, "rollup").await, [(registered, "registered=1;closed=1".into())]);
    let ended = (format!("{}|CJ-0142", d.community), "ended_resolved=1;mode_gov_direct=1".into());
    assert_eq!(digest(&d, "outcome").await, [ended]);
    assert_eq!(bit_by_bit(&d, "outcome").await.0, digest(&d, "outcome").await);
    assert_eq!(digest(&d, "state").await, standing("closed"));
    assert_eq!((digest(&d, "due").await, digest(&d, "open_due").await), (vec![], vec![]));
    let counts = digest(&d, "case_counts").await;
    assert_eq!(counts.iter().map(|(id, _)| id).collect::<Vec<_>>(), [&case_id]);
    let parts: Vec<&str> = counts[0].1.split(';').collect();
    for on_the_day in [
        "registered",
        "intake_in_time",
        "accepted",
        "due_on_time",
        "callback_contacted",
        "callback_resolved",
        "callback_satisfied",
        "closed_first_lead",
        "closed_rated",
        "once_resolved",
        "durations",
    ] {
        assert!(parts.contains(&format!("{on_the_day}@2026-03-02=1").as_str()), "{on_the_day} in {parts:?}");
    }
    for part in ["callback_grades@2026-03-02=5", "routed_in_time=1", "rated_good=1", "process_contacts=1"] {
        assert!(parts.contains(&part), "{part} in {parts:?}");
    }
    let counts: Vec<String> = digest(&d, "task_counts").await.into_iter().map(|(_, value)| value).collect();
    assert_eq!(counts, ["tasks_issued=1;tasks_signed_in_time=1;tasks_submitted=1"]);
    assert_eq!(digest(&d, "mediation_counts").await, []);
    d.service.stop().await;
}

#[tokio::test]
async fn a_repeated_request_answers_the_same_and_another_body_is_refused() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let window = d.window();
    let mut cases = d.cases(&window);
    let request = pb::IntakeCaseRequest { client_ref: "offline-1".into(), ..d.intake_request(&resident) };
    let first = cases.intake_case(request.clone()).await.unwrap().into_inner();
    let told = d.told().await.len();
    assert!(told > 0);
    assert_eq!(cases.intake_case(request.clone()).await.unwrap().into_inner(), first);
    let again = pb::IntakeCaseRequest { request_id: request_id(), ..request.clone() };
    let same = cases.intake_case(again).await.unwrap().into_inner().case.unwrap();
    assert_eq!(same.case_id, first.case.as_ref().unwrap().case_id, "one case per client reference");
    assert!(d.told().await.is_empty(), "nothing happened twice");

    let accept = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "路灯".into(),
        place_unit_id: d.community.to_string(),
        requester_id: resident.person_id.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let registered = cases.register_case(accept.clone()).await.unwrap().into_inner();
    // Also when the service was started anew meanwhile.
    let anew = d.another().await;
    let mut there = CaseServiceClient::new(d.call_at(anew.addr, &window));
    assert_eq!(there.register_case(accept.clone()).await.unwrap().into_inner(), registered);
    anew.stop().await.unwrap();
    let other = pb::RegisterCaseRequest { text: "别的".into(), ..accept };
    let refused = cases.register_case(other).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("request_id"), "{}", refused.message());
    d.service.stop().await;
}

#[tokio::test]
async fn steps_one_by_one_lead_where_intake_leads_and_the_router_explains_itself() {
    let d = District::start().await;
    let window = d.window();
    let register = pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    };
    let resident = Persona::resident(d.district);
    let case = d.cases(&resident).register_case(register).await.unwrap().into_inner().case.unwrap();
    assert_eq!(case.first_receiver_org_id, d.station.to_string(), "the nearest window receives it");
    let case_id = case.case_id;
    let mut intake = IntakeServiceClient::new(d.service.call_as(&window));
    let common = || (case_id.clone(), request_id());
    let (id, key) = common();
    intake
        .accept_case(pb::AcceptCaseRequest { case_id: id, request_id: key, ..Default::default() })
        .await
        .unwrap();
    let (id, key) = common();
    let triage = pb::TriageCaseRequest {
        case_id: id,
        request_id: key,
        item_code: "CJ-0142".into(),
        ..Default::default()
    };
    intake.triage_case(triage).await.unwrap();
    let explain = pb::ExplainRouteRequest {
        item_code: "CJ-0142".into(),
        unit_id: d.community.to_string(),
        ..Default::default()
    };
    let explained = intake.explain_route(explain).await.unwrap().into_inner().decision.unwrap();
    let (id, key) = common();
    let dispatch = pb::DispatchCaseRequest { case_id: id, request_id: key, ..Default::default() };
    let dispatched = intake.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    let decided = dispatched.routing.unwrap();
    assert_eq!(explained.lead_org_id, decided.lead_org_id);
    assert_eq!(explained.reasons, decided.reasons);
    assert_eq!(explained.candidates, decided.candidates);
    d.service.stop().await;
}
