//! The forms on the pages of duties: assessments of the district, and the courses of a transfer.

use proto::{
    auth::v1::Role,
    case_routing::v1::{
        AssessAdmissionRequest, AssessAdmissionResponse, AssessDutyTransferRequest,
        AssessDutyTransferResponse, DutyOpinion, DutyTransfer, DutyTransferState, GetAdmissionResponse,
        GetDutyTransferResponse, OpinionView, TaskAdmission, TaskAdmissionState,
    },
    staffing::v1::{
        CompleteDutyTrainingRequest, CompleteDutyTrainingResponse, DemandState, DutyDemand,
        GetDutyDemandResponse, RefuseDutyTrainingRequest, RefuseDutyTrainingResponse,
    },
};
use reqwest::Response;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    canned::{district, everybody_is},
    fakes::Edge,
    papers::{ADMISSION, TRANSFER, admission, transfer},
    papers_pages::shows,
    visitor::{page, sign_in},
};

const ASSESSED: &str = "request_id=r&etag=3&action=assess&law_code=law_found&need_code=seasonal\
                        &load_code=bearable&alternative_code=none";

async fn send(edge: &Edge, path: &str, origin: &str, session: &str, form: &'static str) -> Response {
    let request = edge.post(path).header("origin", origin).header("cookie", session).body(form);
    request.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer")
}

fn led_to(response: &Response) -> (u16, &str) {
    let location = response.headers().get("location").map(|value| value.to_str().expect("text"));
    (response.status().as_u16(), location.unwrap_or_default())
}

/// A field was refused, and why in words that nobody is to see.
fn wrong(field: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation(field, "SELECT 1");
    Status::with_error_details(Code::InvalidArgument, "SELECT 1", details)
}

/// What one of them said.
fn said(heard: &str) -> DutyOpinion {
    DutyOpinion { heard: heard.into(), view: OpinionView::Supports.into(), ..Default::default() }
}

fn transfer_is(edge: &Edge, state: DutyTransferState, heard: &[&str]) {
    let transfer = DutyTransfer {
        etag: "3".into(),
        state: state.into(),
        opinions: heard.iter().map(|heard| said(heard)).collect(),
        assessment: None,
        ..transfer()
    };
    edge.services.answer("GetDutyTransfer", &GetDutyTransferResponse { transfer: Some(transfer) });
}

fn demand_is(edge: &Edge, staff: DemandState, training: DemandState) {
    let demand = DutyDemand { staff: staff.into(), training: training.into(), ..Default::default() };
    let told = GetDutyDemandResponse { demand: Some(demand), ..Default::default() };
    edge.services.answer("GetDutyDemand", &told);
}

#[tokio::test]
async fn a_transfer_is_assessed_by_a_form_for_those_who_assess_once_the_street_was_heard() {
    let edge = district(None).await;
    let path = format!("/duties/{TRANSFER}");
    let form = "value=\"assess\"";
    everybody_is(&edge.services, Role::StreetLeader);
    transfer_is(&edge, DutyTransferState::Applied, &["street"]);
    let leader = sign_in(&edge).await;
    let (status, html) = page(&edge, &path, &leader).await;
    assert!(status == 200 && !html.contains("进行评估"), "not for this role: {html}");

    everybody_is(&edge.services, Role::DistrictDispatcher);
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, &path, &session).await;
    assert_eq!(status, 200);
    shows(&html, &[form, &format!("action=\"{path}\""), "name=\"etag\" value=\"3\"", "社区尚未表示意见"]);
    transfer_is(&edge, DutyTransferState::Applied, &["street", "community"]);
    let (_, html) = page(&edge, &path, &session).await;
    assert!(html.contains(form) && !html.contains("社区尚未表示意见"), "{html}");
    shows(&html, &["法律依据", "没有法律依据", "必要性", "负担过重", "替代办法", "可由部门自行办理"]);
    let (_, html) = page(&edge, &path, &format!("{session}; jh_lang=en")).await;
    shows(&html, &["Alternatives", "The department can do it itself", "No law provides for it"]);
    transfer_is(&edge, DutyTransferState::Applied, &["community"]);
    let (_, html) = page(&edge, &path, &session).await;
    assert!(html.contains("街道尚未表示意见") && !html.contains(form), "{html}");
    transfer_is(&edge, DutyTransferState::Proposed, &["street"]);
    let (_, html) = page(&edge, &path, &session).await;
    assert!(!html.contains("进行评估"), "it is assessed: {html}");

    edge.services.answer("AssessDutyTransfer", &AssessDutyTransferResponse { transfer: Some(transfer()) });
    let elsewhere = send(&edge, &path, "https://elsewhere.example", &session, ASSESSED).await;
    assert_eq!(elsewhere.status(), 403);
    assert!(edge.services.calls("AssessDutyTransfer").is_empty());
    let done = send(&edge, &path, &edge.url, &session, ASSESSED).await;
    assert_eq!(led_to(&done), (303, path.as_str()));
    let asked: AssessDutyTransferRequest = edge.services.calls("AssessDutyTransfer")[0].decode();
    let expected = AssessDutyTransferRequest {
        duty_transfer_id: TRANSFER.into(),
        request_id: "r".into(),
        etag: "3".into(),
        law_code: "law_found".into(),
        need_code: "seasonal".into(),
        load_code: "bearable".into(),
        alternative_code: "none".into(),
    };
    assert_eq!(asked, expected);
    let nobody = send(&edge, &path, &edge.url, "", ASSESSED).await;
    assert_eq!(nobody.status(), 401);
    let html = nobody.text().await.expect("text");
    assert!(html.contains(&format!("href=\"/login?next=%2Fduties%2F{TRANSFER}\"")), "{html}");
}

#[tokio::test]
async fn a_form_that_is_refused_names_the_field_in_words_and_tells_no_internals() {
    let edge = district(None).await;
    everybody_is(&edge.services, Role::DistrictDispatcher);
    let session = sign_in(&edge).await;
    let english = format!("{session}; jh_lang=en");
    for path in [format!("/duties/{TRANSFER}"), format!("/admissions/{ADMISSION}")] {
        for method in ["AssessDutyTransfer", "AssessAdmission"] {
            edge.services.refuse(method, wrong("need_code"));
        }
        for (cookie, named) in [(&session, "填写有误：必要性。"), (&english, "Not valid: Need.")] {
            let refused = send(&edge, &path, &edge.url, cookie, ASSESSED).await;
            assert_eq!(refused.status(), 400);
            let html = refused.text().await.expect("text");
            assert!(html.contains(named) && !html.contains("SELECT"), "{html}");
        }
        let refusals: [(Status, u16); 4] = [
            (Status::aborted("moved on"), 409),
            (Status::failed_precondition("two_persons"), 409),
            (Status::permission_denied("role"), 403),
            (Status::not_found("duty"), 404),
        ];
        for (status, expected) in refusals {
            for method in ["AssessDutyTransfer", "AssessAdmission"] {
                edge.services.refuse(method, status.clone());
            }
            assert_eq!(send(&edge, &path, &edge.url, &session, ASSESSED).await.status(), expected);
        }
        // Not for this person, not yet, or not any more: each is told as what it is.
        let barred = |code: &str| Status::from(chassis::Error::barred("duty", "d1", code, "SELECT 1"));
        for (status, cookie, said) in [
            (Status::permission_denied("role"), &session, "您不能办理此事"),
            (barred("two_persons"), &session, "须由另一人办理"),
            (barred("two_persons"), &english, "Another person has to do this"),
            (barred("own_request"), &session, "不能由本部门评估"),
            (barred("not_heard"), &session, "尚未表示意见"),
            (barred("transfer_state"), &session, "情况已经变化"),
        ] {
            for method in ["AssessDutyTransfer", "AssessAdmission"] {
                edge.services.refuse(method, status.clone());
            }
            let html = send(&edge, &path, &edge.url, cookie, ASSESSED).await.text().await.expect("text");
            assert!(html.contains(said) && !html.contains("SELECT"), "{said}: {html}");
        }
        let other = send(&edge, &path, &edge.url, &session, "request_id=r&action=x").await;
        assert_eq!(other.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn an_admission_that_was_applied_for_is_assessed_on_its_page() {
    let edge = district(None).await;
    let path = format!("/admissions/{ADMISSION}");
    let applied = TaskAdmission {
        etag: "2".into(),
        state: TaskAdmissionState::Applied.into(),
        opinions: vec![said("street"), said("community")],
        ..admission()
    };
    edge.services.answer("GetAdmission", &GetAdmissionResponse { admission: Some(applied) });
    for (role, shown) in [(Role::DeptLeader, false), (Role::Arbiter, false), (Role::DistrictDispatcher, true)]
    {
        everybody_is(&edge.services, role);
        let session = sign_in(&edge).await;
        let (status, html) = page(&edge, &path, &session).await;
        assert_eq!((status, html.contains("value=\"assess\"")), (200, shown), "{role:?}: {html}");
    }
    let session = sign_in(&edge).await;
    edge.services.answer("AssessAdmission", &AssessAdmissionResponse { admission: Some(admission()) });
    let done = send(&edge, &path, &edge.url, &session, ASSESSED).await;
    assert_eq!(led_to(&done), (303, path.as_str()));
    let asked: AssessAdmissionRequest = edge.services.calls("AssessAdmission")[0].decode();
    assert_eq!((asked.admission_id.as_str(), asked.etag.as_str()), (ADMISSION, "3"));
    assert_eq!((asked.law_code.as_str(), asked.alternative_code.as_str()), ("law_found", "none"));
    assert_eq!(send(&edge, &path, "https://elsewhere.example", &session, ASSESSED).await.status(), 403);
    assert_eq!(edge.services.calls("AssessAdmission").len(), 1);
}

#[tokio::test]
async fn courses_are_said_to_be_done_or_refused_by_those_who_manage_the_new_holders_workers() {
    let edge = district(None).await;
    let path = format!("/duties/{TRANSFER}");
    let (done, refuse) = ("value=\"complete_training\"", "value=\"refuse_training\"");
    transfer_is(&edge, DutyTransferState::Proposed, &["street"]);
    demand_is(&edge, DemandState::Met, DemandState::Asked);
    everybody_is(&edge.services, Role::DeptLeader);
    let department = sign_in(&edge).await;
    let (_, html) = page(&edge, &path, &department).await;
    assert!(!html.contains(done) && !html.contains(refuse), "{html}");
    assert!(edge.services.calls("GetDutyDemand").is_empty(), "nobody is asked for nothing");

    everybody_is(&edge.services, Role::StationHead);
    let session = sign_in(&edge).await;
    let (_, html) = page(&edge, &path, &session).await;
    shows(&html, &[done, refuse, "培训记录编号", "未参加培训", &format!("action=\"{path}\"")]);
    let (_, html) = page(&edge, &path, &format!("{session}; jh_lang=en")).await;
    shows(&html, &["Record of the courses", "Not attended", "rolled back with that"]);
    // Nobody is named yet; they are done; staffing is away, or knows of nothing: the page is there all the same.
    demand_is(&edge, DemandState::Asked, DemandState::Asked);
    let (_, html) = page(&edge, &path, &session).await;
    assert!(!html.contains(done) && html.contains(refuse), "{html}");
    demand_is(&edge, DemandState::Met, DemandState::Met);
    let (_, html) = page(&edge, &path, &session).await;
    assert!(!html.contains(done) && html.contains(refuse), "not done after all: {html}");
    for status in [Status::unavailable("away"), Status::not_found("duty_demand")] {
        edge.services.refuse("GetDutyDemand", status);
        let (status, html) = page(&edge, &path, &session).await;
        assert!(status == 200 && !html.contains(done) && !html.contains(refuse), "{html}");
    }

    let complete = "request_id=r&action=complete_training&record_ref=record%3A7";
    edge.services.answer("CompleteDutyTraining", &CompleteDutyTrainingResponse::default());
    assert_eq!(
        send(&edge, &path, "https://elsewhere.example", &session, complete).await.status(),
        403,
        "of this site only"
    );
    let sent = send(&edge, &path, &edge.url, &session, complete).await;
    assert_eq!(led_to(&sent), (303, path.as_str()));
    let calls = edge.services.calls("CompleteDutyTraining");
    let asked: CompleteDutyTrainingRequest = calls[0].decode();
    assert_eq!((calls.len(), asked.duty_transfer_id.as_str()), (1, TRANSFER));
    assert_eq!((asked.request_id.as_str(), asked.record_ref.as_str()), ("r", "record:7"));
    // Refused: the field is named, and what was written is not lost.
    edge.services.refuse("CompleteDutyTraining", wrong("record_ref"));
    let refused = send(&edge, &path, &edge.url, &session, complete).await;
    assert_eq!(refused.status(), 400);
    let html = refused.text().await.expect("text");
    shows(&html, &["填写有误：培训记录编号。", "<p class=\"quote\">record:7</p>"]);

    edge.services.answer("RefuseDutyTraining", &RefuseDutyTrainingResponse::default());
    let form = "request_id=r2&action=refuse_training&reason_code=not_passed";
    assert_eq!(led_to(&send(&edge, &path, &edge.url, &session, form).await), (303, path.as_str()));
    let asked: RefuseDutyTrainingRequest = edge.services.calls("RefuseDutyTraining")[0].decode();
    assert_eq!((asked.request_id.as_str(), asked.reason_code.as_str()), ("r2", "not_passed"));
}
