//! F4: a street calls departments, who come or are reported; supervision and its levels; both sides judged. And the ends
//! of cases that are told apart.

use std::time::Duration;

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient, task_service_client::TaskServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};
use tonic::Code;
use uuid::Uuid;

use crate::{
    disputes::{DEPARTMENTS, district, head},
    support::{District, request_id},
};

fn tasks(d: &District, persona: &Persona) -> TaskServiceClient<PeerChannel> {
    TaskServiceClient::new(d.service.call_as(persona))
}

fn desk(d: &District, persona: &Persona) -> VerificationServiceClient<PeerChannel> {
    VerificationServiceClient::new(d.service.call_as(persona))
}

async fn in_progress(d: &District) -> pb::Case {
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    tasks(d, &d.leader()).sign_task(sign).await.unwrap();
    let contact = pb::ContactRequesterRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        ..Default::default()
    };
    tasks(d, &d.leader()).contact_requester(contact).await.unwrap().into_inner().case.unwrap()
}

fn task_of(case: &pb::Case, org: impl ToString) -> pb::Task {
    case.tasks.iter().find(|task| task.org_id == org.to_string()).unwrap().clone()
}

#[tokio::test]
async fn departments_come_when_the_street_whistles_or_are_reported_to_the_district() {
    let d = district().await;
    let [quick, slow] = DEPARTMENTS;
    let case = in_progress(&d).await;
    let id = || case.case_id.clone();
    let whistle = pb::WhistleCaseRequest {
        case_id: id(),
        request_id: request_id(),
        org_ids: vec![quick.to_string(), slow.to_string()],
        report_within: Some(pb::Limit { amount: 2, unit: pb::LimitUnit::CalHour.into() }),
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let elsewhere = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    assert_eq!(tasks(&d, &elsewhere).whistle_case(whistle.clone()).await.unwrap_err().code(), Code::NotFound);
    let nobody = pb::WhistleCaseRequest { org_ids: vec![], request_id: request_id(), ..whistle.clone() };
    let refused = tasks(&d, &d.dispatcher()).whistle_case(nobody).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().contains("org_ids"), "{refused}");
    let called = tasks(&d, &d.dispatcher()).whistle_case(whistle).await.unwrap().into_inner().case.unwrap();
    let (first, second) = (task_of(&called, quick), task_of(&called, slow));
    assert_eq!(
        (first.mode(), first.sender_org_id.as_str()),
        (pb::DispatchMode::Whistle, d.office.to_string().as_str())
    );

    let sign = |task: &pb::Task| pb::SignTaskRequest {
        case_id: id(),
        request_id: request_id(),
        task_id: task.task_id.clone(),
        ..Default::default()
    };
    let report = |task: &pb::Task| pb::ReportInRequest {
        case_id: id(),
        request_id: request_id(),
        task_id: task.task_id.clone(),
        ..Default::default()
    };
    tasks(&d, &head(&d, quick)).sign_task(sign(&first)).await.unwrap();
    let others = tasks(&d, &head(&d, slow)).report_in(report(&first)).await.unwrap_err();
    assert_eq!(others.code(), Code::PermissionDenied);
    tasks(&d, &head(&d, quick)).report_in(report(&first)).await.unwrap();

    d.told().await;
    d.service.clock().advance(Duration::from_secs(3 * 3_600));
    d.service
        .wait_for("the report to the district", async || !d.read(&case).await.supervisions.is_empty())
        .await;
    let told = d.told().await;
    assert!(told.contains(&"SupervisionIssued".to_owned()), "{told:?}");
    let known = d.read(&case).await.supervisions[0].clone();
    assert_eq!(
        (known.level, known.org_id.as_str(), known.reason_code.as_str(), known.clock()),
        (2, slow.to_string().as_str(), "did_not_report", pb::ClockKind::Report)
    );
    let seen = pb::AcknowledgeSupervisionRequest {
        case_id: id(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        ..Default::default()
    };
    desk(&d, &head(&d, slow)).acknowledge_supervision(seen.clone()).await.unwrap();
    let answer = pb::AnswerSupervisionRequest {
        case_id: id(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        answer_code: "no_capacity".into(),
        ..Default::default()
    };
    desk(&d, &head(&d, slow)).answer_supervision(answer).await.unwrap();
    let up = pb::EscalateSupervisionRequest {
        case_id: id(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        reason_code: "answer_does_not_do".into(),
        ..Default::default()
    };
    let up = desk(&d, &d.leader()).escalate_supervision(up).await.unwrap().into_inner().case.unwrap();
    assert_eq!((up.supervisions[0].level, up.supervisions[0].state.as_str()), (3, "issued"));

    tasks(&d, &head(&d, slow)).sign_task(sign(&second)).await.unwrap();
    let came =
        tasks(&d, &head(&d, slow)).report_in(report(&second)).await.unwrap().into_inner().case.unwrap();
    assert_eq!(came.supervisions[0].state, "cleared");
    let complete = pb::CompleteCaseRequest {
        case_id: id(),
        request_id: request_id(),
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    let early = tasks(&d, &d.leader()).complete_case(complete.clone()).await.unwrap_err();
    assert!(early.message().contains("assist_outstanding"), "{early}");
    for (org, task) in [(quick, &first), (slow, &second)] {
        let submit = pb::SubmitTaskRequest {
            case_id: id(),
            request_id: request_id(),
            task_id: task.task_id.clone(),
            evidence_refs: vec!["photo:2".into()],
            ..Default::default()
        };
        tasks(&d, &head(&d, org)).submit_task(submit).await.unwrap();
    }
    // Both sides judge each other, once each.
    let verdict = |task: &pb::Task, positive| pb::AppraiseWhistleRequest {
        case_id: id(),
        request_id: request_id(),
        task_id: task.task_id.clone(),
        positive,
        ..Default::default()
    };
    tasks(&d, &d.leader()).appraise_whistle(verdict(&second, false)).await.unwrap();
    let twice = tasks(&d, &d.leader()).appraise_whistle(verdict(&second, true)).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
    let judged =
        tasks(&d, &head(&d, slow)).appraise_whistle(verdict(&second, true)).await.unwrap().into_inner();
    let score = task_of(&judged.case.unwrap(), slow).whistle.unwrap();
    assert_eq!(
        score,
        pb::WhistleScore {
            reported: true,
            reported_in_time: false,
            solved_judged: true,
            solved: false,
            needed_judged: true,
            needed: true
        }
    );
    let other = tasks(&d, &head(&d, quick)).appraise_whistle(verdict(&second, true)).await.unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied);
    let done = tasks(&d, &d.leader()).complete_case(complete).await.unwrap().into_inner().case.unwrap();
    assert_eq!(done.state(), pb::CaseState::Verifying, "one outcome for the requester");
    d.service.stop().await;
}

#[tokio::test]
async fn a_called_department_objects_to_its_part_and_the_district_decides() {
    let d = district().await;
    let [first, second] = DEPARTMENTS;
    let case = in_progress(&d).await;
    let id = || case.case_id.clone();
    let whistle = pb::WhistleCaseRequest {
        case_id: id(),
        request_id: request_id(),
        org_ids: vec![first.to_string(), second.to_string()],
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let called = tasks(&d, &d.dispatcher()).whistle_case(whistle).await.unwrap().into_inner().case.unwrap();
    d.told().await;
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    // By a grant for another line: what is found is found by having to decide.
    let found = async || {
        let own = pb::ListCasesRequest { org_id: d.gov.to_string(), ..Default::default() };
        let by = district.clone().line("civil_affairs");
        let page = d.cases(&by).list_cases(own).await.unwrap().into_inner();
        page.cases.into_iter().any(|listed| listed.case_id == case.case_id)
    };
    assert!(!found().await);
    for org in [first, second] {
        let object = pb::ObjectTaskRequest {
            case_id: id(),
            request_id: request_id(),
            task_id: task_of(&called, org).task_id,
            ground_code: "not_competent".into(),
            suggested_org_id: d.office.to_string(),
            evidence_refs: vec!["doc:duty-list".into()],
            ..Default::default()
        };
        let objected = tasks(&d, &head(&d, org)).object_task(object).await.unwrap().into_inner();
        let objected = objected.case.unwrap();
        assert_eq!(d.told().await, ["TaskObjected"]);
        assert_eq!(objected.state(), pb::CaseState::InProgress, "the case goes on");
        assert_eq!((task_of(&objected, org).state(), objected.objection), (pb::TaskState::Objected, None));
    }
    assert!(found().await, "before it is overdue");
    let resolve = async |by: &Persona, org: Uuid, decision: &str| {
        let request = pb::ResolveObjectionRequest {
            case_id: id(),
            request_id: request_id(),
            task_id: task_of(&called, org).task_id,
            decision: decision.into(),
            reason_code: "duty_is_clear".into(),
            ..Default::default()
        };
        tasks(&d, by).resolve_objection(request).await.map(|answer| answer.into_inner().case.unwrap())
    };
    let street = d.dispatcher();
    // Who objects puts on no other hat for it.
    let mut both = district.clone().also(Role::DeptLeader, d.district);
    both.scopes[1].org_id = Some(first);
    let of_another = Persona::new(Role::DistrictDispatcher, d.district).org(d.centre);
    let arbiter = Persona::new(Role::Arbiter, d.district).org(d.gov);
    for (by, decision, code) in [
        (&both, "accept", Code::PermissionDenied),
        (&of_another, "accept", Code::PermissionDenied),
        (&arbiter, "accept", Code::PermissionDenied),
        (&street, "accept", Code::PermissionDenied),
        (&street, "reject", Code::PermissionDenied),
        (&street, "arbitrate", Code::InvalidArgument),
        (&street, "redispatch", Code::InvalidArgument),
    ] {
        let refused = resolve(by, first, decision).await.unwrap_err();
        assert_eq!(refused.code(), code, "{decision}: {refused}");
    }
    let kept = resolve(&district, first, "reject").await.unwrap();
    assert_eq!(task_of(&kept, first).state(), pb::TaskState::Issued);
    let freed = resolve(&district, second, "accept").await.unwrap();
    assert_eq!(task_of(&freed, second).state(), pb::TaskState::Cancelled);
    assert_eq!(d.told().await, ["TaskObjectionRejected", "TaskCancelled"]);
    assert!(!found().await, "nothing is left to decide");
    d.service.stop().await;
}

/// What a street sends to departments by hand is a whistle like any other.
#[tokio::test]
async fn who_is_dispatched_to_by_a_whistle_reports_in_or_is_reported_to_the_district() {
    let d = district().await;
    let [lead, assist] = DEPARTMENTS;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let id = || case.case_id.clone();
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let recall = pb::RecallCaseRequest {
        case_id: id(),
        request_id: request_id(),
        reason_code: "mis_dispatch".into(),
        ..Default::default()
    };
    IntakeServiceClient::new(d.service.call_as(&district)).recall_case(recall).await.unwrap();
    let dispatch = pb::DispatchCaseRequest {
        case_id: id(),
        request_id: request_id(),
        lead_org_id: lead.to_string(),
        assist_org_ids: vec![assist.to_string()],
        reason_code: "dispatcher_knows".into(),
        ..Default::default()
    };
    let mut street = IntakeServiceClient::new(d.service.call_as(&d.dispatcher()));
    let sent = street.dispatch_case(dispatch).await.unwrap().into_inner().case.unwrap();
    let (first, second) = (task_of(&sent, lead), task_of(&sent, assist));
    for task in [&first, &second] {
        assert_eq!(task.mode(), pb::DispatchMode::Whistle);
        assert_eq!(task.whistle, Some(pb::WhistleScore::default()));
    }

    let sign = pb::SignTaskRequest {
        case_id: id(),
        request_id: request_id(),
        task_id: first.task_id.clone(),
        ..Default::default()
    };
    tasks(&d, &head(&d, lead)).sign_task(sign).await.unwrap();
    d.told().await;
    let contact = pb::ContactRequesterRequest {
        case_id: id(),
        request_id: request_id(),
        method: "phone".into(),
        ..Default::default()
    };
    let there =
        tasks(&d, &head(&d, lead)).contact_requester(contact).await.unwrap().into_inner().case.unwrap();
    assert_eq!(d.told().await, ["CaseContacted", "TaskReported"]);
    let score = task_of(&there, lead).whistle.unwrap();
    assert!(score.reported && score.reported_in_time, "whoever leads has come with its first contact");

    d.service.clock().advance(Duration::from_secs(3 * 3_600));
    let of_report = |one: &pb::Supervision| one.clock() == pb::ClockKind::Report;
    d.service
        .wait_for("the report to the district", async || {
            d.read(&case).await.supervisions.iter().any(of_report)
        })
        .await;
    let known = d.read(&case).await.supervisions.into_iter().find(of_report).unwrap();
    assert_eq!(
        (known.level, known.org_id.as_str(), known.reason_code.as_str()),
        (2, assist.to_string().as_str(), "did_not_report")
    );
    let sign = pb::SignTaskRequest {
        case_id: id(),
        request_id: request_id(),
        task_id: second.task_id.clone(),
        ..Default::default()
    };
    tasks(&d, &head(&d, assist)).sign_task(sign).await.unwrap();
    let report = pb::ReportInRequest {
        case_id: id(),
        request_id: request_id(),
        task_id: second.task_id.clone(),
        ..Default::default()
    };
    let came = tasks(&d, &head(&d, assist)).report_in(report).await.unwrap().into_inner().case.unwrap();
    let score = task_of(&came, assist).whistle.unwrap();
    assert!(score.reported && !score.reported_in_time);
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_belongs_to_several_organisations_whistles_for_the_one_that_may() {
    let d = district().await;
    let [department, _] = DEPARTMENTS;
    let case = in_progress(&d).await;
    // The office next door comes first, and coordinates nobody here.
    let next_door = Persona::new(Role::StreetDispatcher, d.other_street).org(d.other_office);
    let mut both = next_door.also(Role::StreetDispatcher, d.street);
    both.scopes[1].org_id = Some(d.office);
    let whistle = pb::WhistleCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        org_ids: vec![department.to_string()],
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let called = tasks(&d, &both).whistle_case(whistle).await.unwrap().into_inner().case.unwrap();
    assert_eq!(task_of(&called, department).sender_org_id, d.office.to_string());
    d.service.stop().await;
}

#[tokio::test]
async fn a_grant_supervises_up_to_its_level_and_clears_what_it_issued() {
    let d = district().await;
    let case = in_progress(&d).await;
    let supervise = |level| pb::SuperviseCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        level,
        reason_code: "leader".into(),
        ..Default::default()
    };
    let street = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    for (persona, level, code) in [
        (&street, 2, Code::PermissionDenied),
        (&street, 4, Code::InvalidArgument),
        (&district, 3, Code::PermissionDenied),
    ] {
        assert_eq!(desk(&d, persona).supervise_case(supervise(level)).await.unwrap_err().code(), code);
    }
    desk(&d, &street).supervise_case(supervise(1)).await.unwrap();
    let both = desk(&d, &district).supervise_case(supervise(2)).await.unwrap().into_inner().case.unwrap();
    assert_eq!(both.supervisions.iter().map(|known| known.level).collect::<Vec<_>>(), [1, 2]);
    assert!(both.supervisions.iter().all(|known| known.org_id == d.office.to_string()));
    let issuers: Vec<_> = both.supervisions.iter().map(|known| known.issued_by_org_id.clone()).collect();
    assert_eq!(issuers, [d.office.to_string(), d.gov.to_string()]);
    let clear = pb::ClearSupervisionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        supervision_id: both.supervisions[0].supervision_id.clone(),
        ..Default::default()
    };
    let cleared = desk(&d, &street).clear_supervision(clear).await.unwrap().into_inner().case.unwrap();
    assert_eq!(cleared.supervisions[0].state, "cleared");
    d.service.stop().await;
}

/// A street reports upwards and hears no more of it: what the district or the city issued is not the street's to end.
#[tokio::test]
async fn a_street_does_not_clear_what_the_district_or_the_city_issued() {
    let d = district().await;
    let [department, _] = DEPARTMENTS;
    let case = in_progress(&d).await;
    let id = || case.case_id.clone();
    let whistle = pb::WhistleCaseRequest {
        case_id: id(),
        request_id: request_id(),
        org_ids: vec![department.to_string()],
        report_within: Some(pb::Limit { amount: 2, unit: pb::LimitUnit::CalHour.into() }),
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    tasks(&d, &d.dispatcher()).whistle_case(whistle).await.unwrap();
    d.service.clock().advance(Duration::from_secs(3 * 3_600));
    d.service
        .wait_for("the report to the district", async || !d.read(&case).await.supervisions.is_empty())
        .await;
    let known = d.read(&case).await.supervisions[0].clone();
    assert_eq!((known.level, known.org_id.as_str()), (2, department.to_string().as_str()));
    let clear = || pb::ClearSupervisionRequest {
        case_id: id(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        ..Default::default()
    };
    let district = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    // A grant for something else, whatever it is over, does not reach higher.
    let both = d.leader().also(Role::Verifier, d.district);
    for persona in [d.leader(), Persona::new(Role::StreetSupervisor, d.street).org(d.office), both] {
        let refused = desk(&d, &persona).clear_supervision(clear()).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let up = pb::EscalateSupervisionRequest {
        case_id: id(),
        request_id: request_id(),
        supervision_id: known.supervision_id.clone(),
        reason_code: "no_progress".into(),
        ..Default::default()
    };
    desk(&d, &district).escalate_supervision(up).await.unwrap();
    let refused = desk(&d, &district).clear_supervision(clear()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "level 3 is the city's");
    let supervise = pb::SuperviseCaseRequest {
        case_id: id(),
        request_id: request_id(),
        level: 2,
        reason_code: "leader".into(),
        task_id: known.task_id.clone(),
        ..Default::default()
    };
    let own = desk(&d, &district).supervise_case(supervise).await.unwrap().into_inner().case.unwrap();
    let clear_own = pb::ClearSupervisionRequest {
        supervision_id: own.supervisions.last().unwrap().supervision_id.clone(),
        ..clear()
    };
    let cleared = desk(&d, &district).clear_supervision(clear_own).await.unwrap().into_inner().case.unwrap();
    assert_eq!(cleared.supervisions.last().unwrap().state, "cleared");
    assert_eq!((cleared.supervisions[0].level, cleared.supervisions[0].state.as_str()), (3, "issued"));
    d.service.stop().await;
}

/// The centre calls as often as the limits say, each time long enough after the last.
async fn never_answers(d: &District, case: &pb::Case) {
    for _ in 0..3 {
        let call = pb::RecordCallbackRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            outcome: pb::CallbackOutcome::Unreached.into(),
            ..Default::default()
        };
        desk(d, &d.verifier()).record_callback(call).await.unwrap();
        d.service.clock().advance(Duration::from_secs(2 * 3_600));
    }
}

/// What ended without being put right, or only in part, or whose requester was not reached, stays apart from what was.
#[tokio::test]
async fn ends_are_told_apart_and_a_bad_rating_goes_all_the_way_round() {
    let d = district().await;
    let complete = |case: &pb::Case, outcome: pb::ClosedCode| pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:1".into()],
        outcome: outcome.into(),
        ..Default::default()
    };
    let verify = |case: &pb::Case| pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "phone".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        callback_grade: 4,
        ..Default::default()
    };
    let partly = |case: &pb::Case| pb::VerifyCaseRequest {
        resolution: pb::Resolution::PartlyResolved.into(),
        reason_code: "season".into(),
        ..verify(case)
    };
    let unreached = |case: &pb::Case| pb::VerifyCaseRequest {
        callback: pb::CallbackOutcome::Unreached.into(),
        callback_resolution: 0,
        callback_grade: 0,
        ..verify(case)
    };
    let doubted = |case: &pb::Case| pb::VerifyCaseRequest {
        callback_resolution: pb::Resolution::NotResolved.into(),
        reason_code: "seen_on_site".into(),
        ..verify(case)
    };
    let mut ends = Vec::new();
    for (outcome, way) in [
        (pb::ClosedCode::Resolved, 0),
        (pb::ClosedCode::Resolved, 1),
        (pb::ClosedCode::Resolved, 2),
        (pb::ClosedCode::Resolved, 3),
        (pb::ClosedCode::Unfounded, 0),
    ] {
        let case = in_progress(&d).await;
        tasks(&d, &d.leader()).complete_case(complete(&case, outcome)).await.unwrap();
        if way == 2 {
            never_answers(&d, &case).await;
        }
        let request = [verify(&case), partly(&case), unreached(&case), doubted(&case)][way].clone();
        desk(&d, &d.verifier()).verify_case(request).await.unwrap();
        ends.push(case);
    }
    d.service.clock().advance(Duration::from_secs(12 * 86_400));
    let mut told = Vec::new();
    for case in &ends {
        d.service.wait_for("closing", async || d.read(case).await.state() == pb::CaseState::Closed).await;
        let closed = d.read(case).await;
        let checked = closed.verification.clone().unwrap();
        assert!(closed.rating.is_none(), "silence is no satisfaction");
        told.push((closed.closed_code(), checked.callback(), checked.callback_grade));
    }
    use pb::{CallbackOutcome as Call, ClosedCode as End};
    assert_eq!(
        told,
        [
            (End::Resolved, Call::Reached, 4),
            (End::PartlyResolved, Call::Reached, 4),
            (End::Resolved, Call::Unreached, 0),
            (End::PartlyResolved, Call::Reached, 4),
            (End::Unfounded, Call::Reached, 4)
        ]
    );

    // The loop of a bad rating: checked within a limit, put right within a limit, called back whatever was said before.
    let case = in_progress(&d).await;
    let requester = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    tasks(&d, &d.leader()).complete_case(complete(&case, pb::ClosedCode::Resolved)).await.unwrap();
    desk(&d, &d.verifier()).verify_case(verify(&case)).await.unwrap();
    let rate = pb::RateCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        grade: 2,
        ..Default::default()
    };
    let rated = d.cases(&requester).rate_case(rate).await.unwrap().into_inner().case.unwrap();
    let runs = |case: &pb::Case, kind| {
        case.clocks.iter().any(|clock| clock.kind() == kind && clock.stop_time.is_none())
    };
    assert!(runs(&rated, pb::ClockKind::Judge));
    let judge = pb::JudgeRatingRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        valid: true,
        reason_code: "complaint_founded".into(),
        ..Default::default()
    };
    let judged = desk(&d, &requester).judge_rating(judge).await.unwrap().into_inner().case.unwrap();
    assert_eq!((judged.state(), judged.rework_count), (pb::CaseState::InProgress, 1));
    assert!(runs(&judged, pb::ClockKind::Rework) && !runs(&judged, pb::ClockKind::Judge));
    tasks(&d, &d.leader()).complete_case(complete(&case, pb::ClosedCode::Resolved)).await.unwrap();
    let unasked = pb::VerifyCaseRequest { callback: pb::CallbackOutcome::NotDue.into(), ..verify(&case) };
    let refused = desk(&d, &d.verifier()).verify_case(unasked).await.unwrap_err();
    assert!(refused.message().contains("callback_outstanding"), "{refused}");
    let against =
        pb::VerifyCaseRequest { callback_resolution: pb::Resolution::NotResolved.into(), ..verify(&case) };
    let refused = desk(&d, &d.verifier()).verify_case(against).await.unwrap_err();
    assert!(refused.message().contains("reason_code"), "{refused}");
    desk(&d, &d.verifier()).verify_case(verify(&case)).await.unwrap();
    d.service.stop().await;
}

/// "Unreached after so many calls" is counted by the calls that were made, not by what somebody says at the end.
#[tokio::test]
async fn calls_are_kept_as_they_were_made_and_no_claim_stands_for_them() {
    let d = district().await;
    let case = in_progress(&d).await;
    let complete = pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:1".into()],
        ..Default::default()
    };
    tasks(&d, &d.leader()).complete_case(complete).await.unwrap();
    let verify = || pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "photo".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Unreached.into(),
        callback_attempts: 3,
        evidence_refs: vec!["photo:checked".into()],
        ..Default::default()
    };
    let call = |outcome: pb::CallbackOutcome| pb::RecordCallbackRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        outcome: outcome.into(),
        ..Default::default()
    };
    let unanswered = || call(pb::CallbackOutcome::Unreached);
    let mut centre = desk(&d, &d.verifier());
    let refused = centre.record_callback(call(pb::CallbackOutcome::NotDue)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let other = Persona::new(Role::CallbackAgent, d.district).org(d.gov);
    let refused = desk(&d, &other).record_callback(unanswered()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for made in 0..3 {
        let refused = centre.verify_case(verify()).await.unwrap_err();
        assert!(refused.message().contains("callback_outstanding"), "{made}: {refused}");
        let first = unanswered();
        let kept = centre.record_callback(first.clone()).await.unwrap().into_inner().case.unwrap();
        assert_eq!(kept.verification.as_ref().unwrap().attempts.len(), made + 1);
        let again = centre.record_callback(first).await.unwrap().into_inner().case.unwrap();
        assert_eq!(again.etag, kept.etag, "a repeat is the same call");
        let refused = centre.record_callback(unanswered()).await.unwrap_err();
        let code = if made < 2 { "callback_too_soon" } else { "callback_done" };
        assert!(refused.message().contains(code), "{refused}");
        d.service.clock().advance(Duration::from_secs(2 * 3_600));
    }
    let resolved = centre.verify_case(verify()).await.unwrap().into_inner().case.unwrap();
    let found = resolved.verification.unwrap();
    assert_eq!((found.callback(), found.callback_attempts), (pb::CallbackOutcome::Unreached, 3));
    assert_eq!((found.method.as_str(), found.evidence_refs), ("photo", vec!["photo:checked".to_owned()]));
    let at: Vec<i64> =
        found.attempts.iter().map(|call| call.attempt_time.as_ref().unwrap().seconds).collect();
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] >= 2 * 3_600), "{at:?}");
    let request =
        pb::GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, ..Default::default() };
    let steps = d.cases(&d.dispatcher()).get_timeline(request).await.unwrap().into_inner().entries;
    assert_eq!(steps.iter().filter(|step| step.event == "CallbackRecorded").count(), 3);
    assert!(steps.windows(2).all(|pair| pair[0].case_version < pair[1].case_version));
    d.service.stop().await;
}
