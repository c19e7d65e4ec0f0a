//! The parts of a case that tell of applications, mediations, rulings and whistles, and the pages of duties.

use prost_types::Timestamp;
use proto::{
    auth::v1::Role,
    case_routing::v1::{
        Application, Case, DutyLeg, DutyTransfer, DutyTransferState, GetAdmissionResponse,
        GetApplicationRequest, GetApplicationResponse, GetCaseResponse, GetDutyTransferRequest,
        GetDutyTransferResponse, GetMediationRequest, LegState, ListAdmissionsResponse,
        ListMediationsRequest, ListMediationsResponse, Mediation, MediationDeadline, MediationDeadlineKind,
        TaskAdmission,
    },
    identity::v1::SignInResponse,
};
use serde_json::{Value, json};
use tonic::Status;

use crate::{
    canned::{self, CASE, district, grant, token, tokens},
    papers::{self, ADMISSION, GRANTED, RECHECK, TRANSFER},
    visitor::{page, sign_in},
};

pub fn shows(html: &str, all: &[&str]) {
    for shown in all {
        assert!(html.contains(shown), "{shown}: {html}");
    }
}

#[tokio::test]
async fn a_case_tells_of_its_application_mediation_ruling_whistle_and_supervision() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    let application = [
        "服务申请",
        "入户调查",
        "2026-03-03 – 2026-03-10",
        "正在公示",
        "不予批准",
        "行政复议",
        "江汉区人民法院",
    ];
    shows(&html, &application);
    shows(&html, &["人民调解", "当事人", "申请司法确认", "可以向人民法院提起诉讼"]);
    shows(
        &html,
        &["职责异议与裁定", "已生效", "裁定主办", "2026-03-04", "吹哨报到", "迟到", "二级督办", "已答复"],
    );
    shows(&html, &["裁定前先行处置", "保持联系，先行应急处置", "提请明确职责", "界定职责归属"]);
    assert!(html.contains("&#60;b&#62;见报告"), "texts are escaped");
    assert!(!html.contains("买了车"), "what somebody said of a neighbour is not shown");
    assert_eq!(edge.services.calls("GetApplication")[0].decode::<GetApplicationRequest>().case_id, CASE);
    assert_eq!(edge.services.calls("GetMediation")[0].decode::<GetMediationRequest>().case_id, CASE);

    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &format!("{session}; jh_lang=en")).await;
    shows(
        &html,
        &["Supervision, level 2", "Home visit", "The court is open", "Objection and ruling", "late", "Final"],
    );
}

#[tokio::test]
async fn an_application_tells_who_went_when_its_benefit_is_reviewed_and_what_came_of_it() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    shows(&html, &["谁去的", "工作人员 1", "工作人员 2", "人数不足，不算数：需 2"]);
    assert!(!html.contains(">p-1") && !html.contains("p-3"), "nobody is told by a reference: {html}");
    assert_eq!(html.matches("人数不足").count(), 1, "two were enough");
    shows(&html, &["待遇标签", "低保 · 复核中", "复核日", "2026-03-22", "到期复核"]);
    shows(&html, &[&format!("href=\"/cases/{GRANTED}\""), &format!("href=\"/cases/{RECHECK}\"")]);

    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &format!("{session}; jh_lang=en")).await;
    let english = [
        "Who went",
        "too few, counts for nothing; needed: 2",
        "Minimum living allowance · Under review",
        "Review day",
        "Re-check of",
        "Not decided",
    ];
    shows(&html, &english);

    assert!(!html.contains("Papers of the urgent grant"), "there is none: {html}");
    let day = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let urgent = Application { papers_due_time: day(1_773_018_000), ..papers::application() };
    edge.services.answer("GetApplication", &GetApplicationResponse { application: Some(urgent.clone()) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    shows(&html, &["补齐手续", "期限 2026-03-09 09:00"]);
    let complete = Application { papers_time: day(1_772_413_200), ..urgent };
    edge.services.answer("GetApplication", &GetApplicationResponse { application: Some(complete) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    shows(&html, &["补齐手续", "已补齐 2026-03-02 09:00"]);
    assert!(!html.contains("期限 2026-03-09"), "{html}");

    let ended = Application { benefit: Some(papers::benefit(true)), ..papers::application() };
    edge.services.answer("GetApplication", &GetApplicationResponse { application: Some(ended) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    shows(&html, &["低保 · 已终止", "2026-03-27", "家庭人均收入高于标准"]);
    assert!(!html.contains("复核日"), "nothing is looked at again that has ended: {html}");

    let left = Application { benefit: Some(papers::left()), decision: None, ..papers::application() };
    edge.services.answer("GetApplication", &GetApplicationResponse { application: Some(left) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    shows(&html, &["待遇终止", "迁出", "2026-03-25", "武汉市人民政府", "武汉市中级人民法院"]);
    assert!(html.contains("&#60;i&#62;见复印件"), "texts are escaped");
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &format!("{session}; jh_lang=en")).await;
    shows(&html, &["How the benefit ended", "Moved away", "Reconsideration"]);
}

#[tokio::test]
async fn a_case_tells_what_is_missing_why_it_waits_and_what_people_said_for_the_record() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    let row = |name: &str, state: &str| format!("<th scope=\"row\">{name}</th><td>{state}</td>");
    for name in ["身份证", "收入证明"] {
        assert!(html.contains(&row(name, "待补正")), "{html}");
    }
    shows(&html, &["2026-03-07 09:00"]);
    shows(&html, &["受季节或天气限制", "书面告知", "doc:told-7", "2026-05-31 09:00"]);
    shows(&html, &["2 / 5", "差评不成立", "差评不属实", "正在办理"]);
    shows(&html, &["所依据的材料", "doc:duty-list", "doc:minutes-3"]);

    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &format!("{session}; jh_lang=en")).await;
    shows(&html, &["missing", "Told in writing", "found not valid", "Under way", "Relies on"]);
    assert!(html.contains(&row("proof of income", "missing")) && !html.contains("income_proof"), "{html}");

    // It came in, and something besides; or in words, which say where they are.
    let disputed = papers::disputed(canned::case());
    let codes = ["income_proof", "id_card", "<i>map"];
    let sent = papers::supplemented(disputed.clone(), &codes, "doc:scan-1");
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(sent) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    for (name, state) in [("身份证", "已收到"), ("收入证明", "已收到"), ("&#60;i&#62;map", "另行提交")]
    {
        assert!(html.contains(&row(name, state)), "{html}");
    }
    shows(&html, &["2026-03-03 09:00", "doc:scan-1"]);
    let told = papers::supplemented(disputed, &[], "ticket:1");
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(told) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert!(html.contains(&row("身份证", "另有补正")) && html.contains("ticket:1"), "{html}");
}

#[tokio::test]
async fn a_case_lists_what_was_handed_in_with_which_task_and_by_whom() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    let photo = "photo:&#60;lamp&#62;</th><td>照片</td><td>420103-20260302-000001-2</td>";
    let explanation = "kb:lamps</th><td>解释说明</td><td>—</td><td>—</td>";
    shows(&html, &["佐证材料", photo, "<td>2026-03-03 05:00</td>", explanation]);
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &format!("{session}; jh_lang=en")).await;
    shows(&html, &[">Evidence</h2>", "<td>Photo</td>", "<td>Explanation</td>", "Handed in"]);

    let nothing = Case { evidence: Vec::new(), ..canned::case() };
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(nothing) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert!(!html.contains("佐证材料"), "{html}");
}

#[tokio::test]
async fn what_a_reader_may_not_see_is_left_out_and_the_rest_of_the_case_is_shown() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    edge.services.refuse("GetApplication", Status::permission_denied("role"));
    edge.services.refuse("GetMediation", Status::not_found("mediation"));
    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    shows(&html, &["人民调解", "协议生效", "职责异议与裁定"]);
    assert!(!html.contains("服务申请") && !html.contains("申请司法确认"), "{html}");
    edge.services.refuse("GetApplication", Status::unavailable("away"));
    assert_eq!(page(&edge, &format!("/cases/{CASE}"), &session).await.0, 503);
}

#[tokio::test]
async fn a_list_of_mediations_leads_to_the_cases_and_tells_what_is_waited_for() {
    let edge = district(None).await;
    canned::everybody_is(&edge.services, Role::Mediator);
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, "/mediations?page=x", &session).await;
    assert_eq!(status, 200);
    shows(&html, &[&format!("href=\"/cases/{CASE}\""), "420103-20260302-000001", "协议生效"]);
    shows(&html, &["开始 2026-03-02 09:00", "满春街道办事处", "申请司法确认 2026-04-01 09:00"]);
    shows(&html, &["/mediations?overdue=false&#38;page=a%2Bb", "href=\"/mediations?overdue=false\">第一页"]);
    let (_, html) = page(&edge, "/mediations?overdue=true", &format!("{session}; jh_lang=en")).await;
    shows(&html, &["Agreement in effect", "Ask the court 2026-04-01 09:00", "overdue=true&#38;page=a%2Bb"]);
    let asked: Vec<ListMediationsRequest> =
        edge.services.calls("ListMediations").iter().map(|call| call.decode()).collect();
    assert_eq!((asked[0].page_token.as_str(), asked[0].overdue), ("x", false));
    assert_eq!((asked[1].page_token.as_str(), asked[1].overdue), ("", true));

    // A day that is over is told in words, not by a colour alone.
    let passed = MediationDeadline {
        kind: MediationDeadlineKind::RequestConfirmation.into(),
        due_time: Some(Timestamp { seconds: 1_772_413_200, nanos: 0 }),
        passed: true,
        ..Default::default()
    };
    let mediations = vec![Mediation { deadlines: vec![passed], ..Default::default() }];
    let late = ListMediationsResponse { mediations, ..Default::default() };
    edge.services.answer("ListMediations", &late);
    shows(&page(&edge, "/mediations", &session).await.1, &["申请司法确认 2026-03-02 09:00 · 已过"]);
    edge.services.answer("ListMediations", &ListMediationsResponse::default());
    shows(&page(&edge, "/mediations", &session).await.1, &["没有调解。"]);
    edge.services.refuse("ListMediations", Status::permission_denied("role"));
    assert_eq!(page(&edge, "/mediations", &session).await.0, 403);
    assert_eq!(page(&edge, "/mediations", "").await.0, 303, "nobody sees them without a session");
}

#[tokio::test]
async fn duties_show_their_authority_funds_and_staff_and_what_was_sent_back() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, "/duties?transfers=x", &session).await;
    assert_eq!(status, 200);
    shows(
        &html,
        &[
            "CJ-0108 路灯不亮",
            "已提出",
            "已确认",
            "已拒绝",
            "施行",
            "200.50",
            "网格员 × 2",
            "CJ-0110 供暖不热",
            "CJ-0111 燃气安全",
            "transfers=a%2Bb",
            "href=\"/duties\">第一页",
        ],
    );
    let path = format!("/duties/{TRANSFER}");
    let (status, html) = page(&edge, &path, &session).await;
    assert_eq!(status, 200);
    shows(&html, &["权（授权）", "doc:district-grant-8", "800.00", "社区服务员 × 1", "支持", "2026-03-06"]);
    shows(&html, &["训（培训）", "供暖基础知识", "区级评估", "有法律依据", "季节性", "可以承受"]);
    let asked: GetDutyTransferRequest = edge.services.calls("GetDutyTransfer")[0].decode();
    assert_eq!(asked.duty_transfer_id, TRANSFER);
    let (_, html) = page(&edge, &path, &format!("{session}; jh_lang=en")).await;
    shows(&html, &["Authority", "Confirmed", "Refused", "Supports"]);
    shows(&html, &["Heating basics", "The law provides for it", "Seasonal", "Bearable"]);
    assert!(!html.contains("law_found") && !html.contains("heating_basics"), "{html}");
    let leg =
        DutyLeg { state: LegState::Refused.into(), reason_code: "no_trainer".into(), ..Default::default() };
    let refused = DutyTransfer {
        state: DutyTransferState::RolledBack.into(),
        reason_code: "training_refused".into(),
        training: Some(leg),
        ..papers::transfer()
    };
    edge.services.answer("GetDutyTransfer", &GetDutyTransferResponse { transfer: Some(refused) });
    let (_, html) = page(&edge, &path, &session).await;
    shows(&html, &["回滚", "拒绝培训", "no_trainer"]);

    // Who may not see what was sent back sees the rest; who may see nothing is told so.
    edge.services.refuse("ListAdmissionRefusals", Status::permission_denied("role"));
    let (status, html) = page(&edge, "/duties", &session).await;
    assert!(status == 200 && !html.contains("CJ-0111") && html.contains("CJ-0110"), "{html}");
    edge.services.refuse("ListDutyTransfers", Status::permission_denied("role"));
    assert_eq!(page(&edge, "/duties", &session).await.0, 403);
    edge.services.refuse("GetDutyTransfer", Status::not_found("duty_transfer"));
    assert_eq!(page(&edge, &path, &session).await.0, 404);
    assert_eq!(page(&edge, "/duties", "").await.0, 303, "nobody sees them without a session");
}

#[tokio::test]
async fn the_period_of_an_admission_ends_with_its_last_day() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    // Until 2027-03-01T00:00:00+08:00, which is the first instant without it.
    let until = TaskAdmission {
        valid_from_time: at(1_772_294_400),
        valid_to_time: at(1_803_830_400),
        ..papers::admission()
    };
    let listed = ListAdmissionsResponse { admissions: vec![until.clone()], ..Default::default() };
    edge.services.answer("ListAdmissions", &listed);
    edge.services.answer("GetAdmission", &GetAdmissionResponse { admission: Some(until) });
    for path in ["/duties".to_owned(), format!("/admissions/{ADMISSION}")] {
        let (_, html) = page(&edge, &path, &session).await;
        assert!(html.contains("2026-03-01 – 2027-02-28") && !html.contains("2027-03-01"), "{path}: {html}");
    }
}

#[tokio::test]
async fn only_who_may_use_a_page_is_led_to_it() {
    let edge = district(None).await;
    let all = Value::Null;
    let (board, cases, hotspots) = (">看板</a>", "href=\"/cases\"", "href=\"/hotspots\"");
    let (mediations, duties) = ("href=\"/mediations\"", "href=\"/duties\"");
    let pages = [board, cases, hotspots, mediations, duties];
    let readers = [
        (vec![grant(Role::Resident, &all)], vec![cases, mediations]),
        (vec![grant(Role::ServiceWorker, &all)], vec![cases, mediations]),
        (vec![grant(Role::Mediator, &all)], vec![mediations]),
        (vec![grant(Role::FinanceOfficer, &all)], vec![duties]),
        (vec![grant(Role::Analyst, &all)], vec![board]),
        (vec![grant(Role::StreetSupervisor, &all)], vec![board, cases, hotspots, mediations]),
        (vec![grant(Role::StreetLeader, &all)], pages.to_vec()),
        (vec![grant(Role::Resident, &all), grant(Role::Arbiter, &all)], vec![cases, mediations, duties]),
        // A grant for one purpose leads nowhere else.
        (vec![grant(Role::StreetLeader, &json!(["handle_appeal"]))], vec![cases, hotspots, mediations]),
        (vec![], vec![]),
    ];
    for (grants, led) in readers {
        let signed_in = SignInResponse { access_token: token(&grants, "x"), ..tokens(600) };
        edge.services.answer("SignIn", &signed_in);
        let session = sign_in(&edge).await;
        edge.services.refuse("GetCase", Status::not_found("case"));
        for (path, expected) in [("/", 200), ("/cases", 200), ("/duties", 200), ("/cases/x", 404)] {
            let (status, html) = page(&edge, path, &session).await;
            assert_eq!(status, expected, "{path}");
            for to in pages {
                assert_eq!(html.contains(to), led.contains(&to), "{to} on {path} for {grants:?}: {html}");
            }
        }
    }
    // What is no token of ours leads nowhere, and shows what the services give all the same.
    let signed_in = SignInResponse { access_token: "access".into(), ..tokens(600) };
    edge.services.answer("SignIn", &signed_in);
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, "/duties", &session).await;
    assert!(status == 200 && !html.contains("href=\"/duties\"") && html.contains("CJ-0108"), "{html}");
}
