//! What officials give for the record is read back by those whose case it is.

use chassis::{
    auth::Role,
    grpc::PeerChannel,
    proto::case_routing::v1::{self as pb, verification_service_client::VerificationServiceClient},
    testing::Persona,
};
use uuid::Uuid;

use crate::{
    disputes::{DEPARTMENTS, district, head},
    support::{District, request_id},
    window::{intake, own, reason, request},
};

fn desk(d: &District, persona: &Persona) -> VerificationServiceClient<PeerChannel> {
    VerificationServiceClient::new(d.service.call_as(persona))
}

/// Signed by the street; the requester is still to be reached.
pub async fn signed(d: &District, resident: &Persona) -> pb::Case {
    let case = d.taken_in(resident).await;
    let sign = pb::SignTaskRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        task_id: case.tasks[0].task_id.clone(),
        ..Default::default()
    };
    d.tasks(&d.leader()).sign_task(sign).await.unwrap().into_inner().case.unwrap()
}

pub async fn contacted(d: &District, case: &pb::Case, method: &str) -> pb::Case {
    let contact = pb::ContactRequesterRequest {
        case_id: case.case_id.clone(),
        request_id: request_id(),
        method: method.into(),
        ..Default::default()
    };
    d.tasks(&d.leader()).contact_requester(contact).await.unwrap().into_inner().case.unwrap()
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
