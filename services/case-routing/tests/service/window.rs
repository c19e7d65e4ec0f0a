//! At the window: the one list of what is missing, and emergencies that nobody has to look at first. And what officials give
//! for the record is read back by those whose case it is.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::to_proto,
    grpc::PeerChannel,
    proto::case_routing::v1::{
        self as pb, intake_service_client::IntakeServiceClient,
        verification_service_client::VerificationServiceClient,
    },
    testing::Persona,
};
use chrono::TimeDelta;
use tonic::Code;
use uuid::Uuid;

use crate::{
    disputes::{DEPARTMENTS, district, head},
    exchange::World,
    support::{District, request_id},
};

const FIRE: &str = "ZF-0191";
/// Temporary relief, which is applied for.
const RELIEF: &str = "MZ-0102";

fn intake(d: &District) -> IntakeServiceClient<PeerChannel> {
    IntakeServiceClient::new(d.service.call_as(&d.window()))
}

fn desk(d: &District, persona: &Persona) -> VerificationServiceClient<PeerChannel> {
    VerificationServiceClient::new(d.service.call_as(persona))
}

fn request(d: &District) -> pb::RegisterCaseRequest {
    pb::RegisterCaseRequest {
        request_id: request_id(),
        text: "请帮忙".into(),
        place_unit_id: d.community.to_string(),
        notice_version: "1".into(),
        ..Default::default()
    }
}

async fn own(d: &District, resident: &Persona, case: &pb::Case) -> pb::Case {
    let request = pb::GetCaseRequest { case_id: case.case_id.clone() };
    d.cases(resident).get_case(request).await.unwrap().into_inner().case.unwrap()
}

/// The reason of the latest step of a kind, as the requester reads it.
async fn reason(d: &District, resident: &Persona, case: &pb::Case, event: &str) -> pb::Reason {
    let request =
        pb::GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, ..Default::default() };
    let steps = d.cases(resident).get_timeline(request).await.unwrap().into_inner().entries;
    let step = steps.into_iter().rfind(|step| step.event == event);
    step.and_then(|step| step.reason).unwrap_or_else(|| panic!("{event} with a reason"))
}

/// Signed by the street; the requester is still to be reached.
async fn signed(d: &District, resident: &Persona) -> pb::Case {
    let case = d.taken_in(resident).await;
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).sign_task(sign).await.unwrap().into_inner().case.unwrap()
}

async fn contacted(d: &District, case: &pb::Case, method: &str) -> pb::Case {
    let contact = pb::ContactRequesterRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: method.into(),
        ..Default::default()
    };
    d.tasks(&d.leader()).contact_requester(contact).await.unwrap().into_inner().case.unwrap()
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
async fn an_emergency_is_handed_off_when_it_is_registered_online_or_offline() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let fire = || pb::RegisterCaseRequest {
        item_code: FIRE.into(),
        channel: pb::Channel::Phone.into(),
        ..request(&d)
    };
    let case = d.cases(&resident).register_case(fire()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((case.state(), case.closed_code()), (pb::CaseState::HandedOff, pb::ClosedCode::HandedOff));
    assert_eq!(case.first_receiver_org_id, d.station.to_string(), "who received it stays known");
    let decision = case.routing.clone().unwrap();
    assert_eq!((decision.kind.as_str(), decision.decided_by.as_str()), ("handed_off", "system"));
    assert!(case.clocks.iter().all(|clock| clock.stop_time.is_some()), "{:?}", case.clocks);
    assert_eq!(d.told().await, ["CaseRegistered", "CaseHandedOff"]);
    let told = reason(&d, &resident, &case, "CaseHandedOff").await;
    assert_eq!((told.code.as_str(), told.arguments["line"].as_str()), ("emergency_line", "119"));

    // At the window on somebody's behalf, made offline and sent twice: handed off once.
    let offline = || pb::RegisterCaseRequest {
        requester_id: resident.person_id.to_string(),
        client_ref: "offline-1".into(),
        ..fire()
    };
    let window = d.window();
    let first = d.cases(&window).register_case(offline()).await.unwrap().into_inner().case.unwrap();
    assert_eq!(first.state(), pb::CaseState::HandedOff);
    assert_eq!(d.told().await, ["CaseRegistered", "CaseHandedOff"]);
    let second = d.cases(&window).register_case(offline()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((second.state(), second.case_id), (pb::CaseState::HandedOff, first.case_id));
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn an_emergency_that_the_window_finds_is_handed_off_by_its_triage() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.cases(&resident).register_case(request(&d)).await.unwrap().into_inner().case.unwrap();
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let mut desk = intake(&d);
    desk.accept_case(accept).await.unwrap();
    d.told().await;
    let triage = pb::TriageCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        item_code: FIRE.into(),
        ..Default::default()
    };
    let case = desk.triage_case(triage.clone()).await.unwrap().into_inner().case.unwrap();
    assert_eq!((case.state(), case.closed_code()), (pb::CaseState::HandedOff, pb::ClosedCode::HandedOff));
    assert_eq!(case.routing.as_ref().unwrap().decided_by, "system");
    assert!(case.clocks.iter().all(|clock| clock.stop_time.is_some()), "{:?}", case.clocks);
    assert_eq!(d.told().await, ["CaseTriaged", "CaseHandedOff"]);
    // Sent again it says the same and hands nothing over twice.
    let again = desk.triage_case(triage).await.unwrap().into_inner().case.unwrap();
    assert_eq!(again, case);
    assert!(d.told().await.is_empty());
    d.service.stop().await;
}

#[tokio::test]
async fn a_ticket_of_another_system_about_an_emergency_is_handed_off_wherever_it_lies() {
    let world = World::start("", pb::ExchangeDirection::In).await;
    let mut mapping = world.mapping();
    mapping.classes.push(pb::ClassRule { class_code: "9119".into(), item_code: FIRE.into() });
    let drafted = world.call(&world.drafter()).draft_mapping(mapping).await.unwrap().into_inner();
    world.activates(drafted.mapping.unwrap().mapping_version).await.unwrap();
    // With an area that is mapped it is taken in at once, without one it is registered; both ways lead to the line.
    for (number, area) in [("WH-1", "x1"), ("WH-2", "nowhere")] {
        let ticket = pb::PushTicketRequest {
            class_code: "9119".into(),
            area_code: area.into(),
            ..world.ticket(number)
        };
        let receipt = world.pushes(ticket).await.unwrap();
        assert_eq!((receipt.state(), receipt.awaits_triage), (pb::CaseState::HandedOff, false), "{area}");
        assert_eq!(receipt.external_status, "转办");
    }
    world.d.service.stop().await;
}

#[tokio::test]
async fn a_case_waits_only_when_the_requester_was_told_in_writing() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = contacted(&d, &signed(&d, &resident).await, "phone").await;
    let suspend = |told_ref: &str| pb::SuspendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        cause_code: "season_condition".into(),
        told_ref: told_ref.into(),
        ..Default::default()
    };
    for untold in ["", "by word of mouth"] {
        let refused = d.tasks(&d.leader()).suspend_case(suspend(untold)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("told_ref"), "{refused}");
    }
    assert_eq!(d.read(&case).await.state(), pb::CaseState::InProgress);
    d.tasks(&d.leader()).suspend_case(suspend("doc:told-7")).await.unwrap();
    let waits = own(&d, &resident, &case).await;
    let why = waits.suspension.clone().unwrap();
    assert_eq!((why.cause_code.as_str(), why.told_ref.as_str()), ("season_condition", "doc:told-7"));
    assert!(why.start_time.is_some() && why.resume_time.is_some(), "{why:?}");

    let resume = pb::ResumeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let goes_on = d.tasks(&d.leader()).resume_case(resume).await.unwrap().into_inner().case.unwrap();
    assert_eq!((goes_on.state(), goes_on.suspension), (pb::CaseState::InProgress, None));
    let told = reason(&d, &resident, &case, "CaseSuspended").await;
    assert_eq!((told.code.as_str(), told.arguments["told_ref"].as_str()), ("season_condition", "doc:told-7"));
    d.service.stop().await;
}

#[tokio::test]
async fn beyond_the_days_of_a_cause_the_level_above_suspends_and_the_leader_does_not() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = contacted(&d, &signed(&d, &resident).await, "phone").await;
    let suspend = |days: i64| pb::SuspendCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        cause_code: "public_hearing".into(),
        told_ref: "doc:told-7".into(),
        resume_time: Some(to_proto(d.service.clock().now() + TimeDelta::days(days))),
        ..Default::default()
    };
    let resume = || pb::ResumeCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    let above = Persona::new(Role::DistrictDispatcher, d.district).org(d.gov);
    let early = d.tasks(&above).suspend_case(suspend(10)).await.unwrap_err();
    assert_eq!(early.code(), Code::PermissionDenied, "within its days it is the leader's");
    d.tasks(&d.leader()).suspend_case(suspend(10)).await.unwrap();
    d.service.clock().advance(Duration::from_secs(4 * 86_400));
    d.tasks(&d.leader()).resume_case(resume()).await.unwrap();
    // Four of thirty days are used.
    let refused = d.tasks(&d.leader()).suspend_case(suspend(27)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("suspensions_used_up"), "{refused}");
    d.tasks(&d.leader()).suspend_case(suspend(25)).await.unwrap();
    d.tasks(&d.leader()).resume_case(resume()).await.unwrap();
    let waits = d.tasks(&above).suspend_case(suspend(27)).await.unwrap().into_inner().case.unwrap();
    assert_eq!(waits.state(), pb::CaseState::Suspended);
    d.service.stop().await;
}

#[tokio::test]
async fn how_the_requester_was_reached_and_what_the_supervised_answered_is_read_back() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = contacted(&d, &signed(&d, &resident).await, "visit").await;
    let told = reason(&d, &resident, &case, "CaseContacted").await;
    assert_eq!(told.code, "contacted_by_visit");
    assert_eq!(
        (told.text_zh.as_str(), told.text_en.as_str()),
        ("上门联系诉求人", "the requester was visited")
    );

    let supervise = pb::SuperviseCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        level: 1,
        reason_code: "leader".into(),
        ..Default::default()
    };
    let supervisor = Persona::new(Role::StreetSupervisor, d.street).org(d.office);
    let issued = desk(&d, &supervisor).supervise_case(supervise).await.unwrap().into_inner().case.unwrap();
    assert_eq!(issued.supervisions[0].answer_code, "");
    let answer = pb::AnswerSupervisionRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        supervision_id: issued.supervisions[0].supervision_id.clone(),
        answer_code: "no_capacity".into(),
        ..Default::default()
    };
    desk(&d, &d.leader()).answer_supervision(answer).await.unwrap();
    let known = d.read(&case).await.supervisions[0].clone();
    assert_eq!((known.state.as_str(), known.answer_code.as_str()), ("answered", "no_capacity"));
    assert_eq!(reason(&d, &resident, &case, "SupervisionAnswered").await.code, "no_capacity");
    d.service.stop().await;
}

#[tokio::test]
async fn why_a_bad_rating_was_judged_so_is_read_back() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let agent = Persona::new(Role::CallbackAgent, d.district).org(d.centre);
    for (valid, reason_code) in [(false, "complaint_unfounded"), (true, "complaint_founded"), (false, "")] {
        let case = d.taken_in(&resident).await;
        d.resolve(&case).await;
        let rate = pb::RateCaseRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            grade: 1,
            ..Default::default()
        };
        d.cases(&resident).rate_case(rate).await.unwrap();
        if !valid {
            let call = pb::RecordCallbackRequest {
                case_id: case.case_id.clone(),
                request_id: request_id(),
                outcome: pb::CallbackOutcome::Reached.into(),
                resolution: pb::Resolution::NotResolved.into(),
                ..Default::default()
            };
            desk(&d, &agent).record_callback(call).await.unwrap();
        }
        let judge = pb::JudgeRatingRequest {
            case_id: case.case_id.clone(),
            request_id: request_id(),
            valid,
            reason_code: reason_code.into(),
            ..Default::default()
        };
        desk(&d, &agent).judge_rating(judge).await.unwrap();
        if !reason_code.is_empty() {
            assert_eq!(reason(&d, &resident, &case, "RatingJudged").await.code, reason_code);
        }
        // A valid one goes with the result that it was about: the work is done again.
        let rating = d.read(&case).await.rating;
        match valid {
            true => assert_eq!(rating, None),
            false => assert_eq!(rating.unwrap().judge_reason_code, reason_code),
        }
    }
    d.service.stop().await;
}

#[tokio::test]
async fn an_objection_shows_all_that_it_relies_on() {
    let d = district().await;
    let case = d.taken_in(&Persona::resident(d.district)).await;
    let evidence_refs = ["doc:duty-list", "doc:minutes-3", "photo:place"].map(str::to_owned).to_vec();
    let object = pb::ObjectTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ground_code: "not_competent".into(),
        suggested_org_id: DEPARTMENTS[0].to_string(),
        evidence_refs: evidence_refs.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).object_task(object).await.unwrap();
    assert_eq!(d.read(&case).await.objection.unwrap().evidence_refs, evidence_refs);
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

/// References with their kind, task and organisation, as somebody reads them.
async fn evidence(d: &District, reader: &Persona, case: &pb::Case) -> Vec<[String; 4]> {
    let shown = own(d, reader, case).await.evidence.into_iter();
    assert!(shown.as_slice().iter().all(|one| one.given_time.is_some()), "{shown:?}");
    shown.map(|one| [one.evidence_ref, one.kind, one.task_id, one.org_id]).collect()
}

#[tokio::test]
async fn evidence_is_read_by_who_judges_it_and_the_requester_reads_what_no_assist_handed_in() {
    let d = district().await;
    let resident = Persona::resident(d.district);
    let case = contacted(&d, &signed(&d, &resident).await, "phone").await;
    let helper = head(&d, DEPARTMENTS[0]);
    let whistle = pb::WhistleCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        org_ids: vec![DEPARTMENTS[0].to_string()],
        reason_code: "joint_work".into(),
        ..Default::default()
    };
    let called = d.tasks(&d.dispatcher()).whistle_case(whistle).await.unwrap().into_inner().case.unwrap();
    let assist = called.tasks.iter().find(|task| task.part() == pb::TaskPart::Assist).unwrap();
    let assist = assist.task_id.clone();
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: assist.clone(),
        ..Default::default()
    };
    d.tasks(&helper).sign_task(sign).await.unwrap();
    let submit = pb::SubmitTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: assist.clone(),
        evidence_refs: vec!["photo:1".into(), "record:2".into()],
        ..Default::default()
    };
    d.tasks(&helper).submit_task(submit).await.unwrap();
    let row = |reference: &str, kind: &str, task: &str, org: Uuid| {
        [reference.to_owned(), kind.to_owned(), task.to_owned(), org.to_string()]
    };
    let helped = [
        row("photo:1", "photo", &assist, DEPARTMENTS[0]),
        row("record:2", "service_record", &assist, DEPARTMENTS[0]),
    ];
    assert_eq!(evidence(&d, &d.leader(), &case).await, helped, "before it is accepted or sent back");
    assert_eq!(evidence(&d, &resident, &case).await, Vec::<[String; 4]>::new());

    let complete = pb::CompleteCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        evidence_refs: vec!["photo:done".into()],
        ..Default::default()
    };
    let told = d.tasks(&d.leader()).complete_case(complete).await.unwrap().into_inner().case.unwrap();
    assert!(told.evidence.is_empty(), "GetCase has it");
    let done = row("photo:done", "photo", &case.tasks[0].task_id, d.office);
    let all = [&helped[..], std::slice::from_ref(&done)].concat();
    assert_eq!(evidence(&d, &d.verifier(), &case).await, all);
    assert_eq!(evidence(&d, &helper, &case).await, all);
    assert_eq!(evidence(&d, &resident, &case).await, std::slice::from_ref(&done));

    let verify = pb::VerifyCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: "photo".into(),
        resolution: pb::Resolution::Resolved.into(),
        callback: pb::CallbackOutcome::Reached.into(),
        callback_resolution: pb::Resolution::Resolved.into(),
        evidence_refs: vec!["photo:checked".into()],
        ..Default::default()
    };
    desk(&d, &d.verifier()).verify_case(verify).await.unwrap();
    let checked = row("photo:checked", "photo", "", d.centre);
    assert_eq!(evidence(&d, &resident, &case).await, [done, checked]);
    d.service.stop().await;
}

#[tokio::test]
async fn whoever_asked_reads_the_answer_that_was_given() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let case = d.cases(&resident).register_case(request(&d)).await.unwrap().into_inner().case.unwrap();
    let accept = pb::AcceptCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        ..Default::default()
    };
    intake(&d).accept_case(accept).await.unwrap();
    let answer = pb::AnswerCaseRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        closed_code: pb::ClosedCode::Explained.into(),
        answer_ref: "kb:medical-insurance".into(),
        ..Default::default()
    };
    intake(&d).answer_case(answer).await.unwrap();
    let station = d.station.to_string();
    let given = ["kb:medical-insurance", "explanation", "", station.as_str()].map(str::to_owned);
    for reader in [&resident, &d.verifier()] {
        assert_eq!(evidence(&d, reader, &case).await, std::slice::from_ref(&given));
    }
    d.service.stop().await;
}
