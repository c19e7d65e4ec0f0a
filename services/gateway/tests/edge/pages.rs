//! The board over plain HTTP: what its pages show, and what they answer where a service refuses.

use proto::{
    analytics::v1::GetBoardResponse,
    auth::v1::Role,
    case_routing::v1::{
        Case, CaseState, GetCaseRequest, GetCaseResponse, Hotspot, HotspotAnswer, ItemSuggestion,
        ListCasesRequest, ListHotspotsResponse, ListPublicNoticesRequest, OpenTopicCaseRequest,
        OpenTopicCaseResponse, SuggestItemsResponse, SuggestionState, TriageDecision,
    },
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    canned::{self, CASE, DISTRICT, STREET, district, everybody_is},
    visitor::{heard, page, sign_in},
};

#[tokio::test]
async fn where_nothing_is_a_browser_gets_a_page_and_everybody_else_the_problem_of_the_api() {
    let edge = district(None).await;
    let asked = |path: &str, accept: &'static str| edge.get(path).header("accept", accept).send();
    let response = asked("/hot-spots", "text/html,application/xhtml+xml,*/*;q=0.8").await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    let html = response.text().await.unwrap();
    assert!(html.contains("没有这个页面。") && !html.contains("/openapi.json"), "{html}");
    for (path, accept) in [("/hot-spots", "application/json"), ("/hot-spots", "*/*"), ("/v1/x", "text/html")]
    {
        let response = asked(path, accept).await.unwrap();
        assert_eq!(response.status(), 404, "{path} {accept}");
        let problem: serde_json::Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "NOT_FOUND", "{path} {accept}");
    }
}

#[tokio::test]
async fn the_pages_show_what_the_services_answer_to_this_person() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, "/", &session).await;
    assert_eq!(status, 200);
    for shown in
        ["lang=\"zh-CN\"", "300", "满春街道", "99.12 %", "—", "小样本", "政府购买服务", "办理中", "江汉区"]
    {
        assert!(html.contains(shown), "{shown}");
    }
    assert_eq!(html.matches("含撤并前数据").count(), 2, "a rate, and the line of a street");
    let unreached = "<b>5.00 %</b> 回访未联系上率 <small>I-16-unreached · 12/240</small>";
    assert!(html.contains(unreached), "{html}");
    assert!(html.contains("data-pause=\"暂停更新\" data-resume=\"继续更新\""), "it can be stopped: {html}");
    assert_eq!(
        edge.services.calls("GetBoard")[0].header("authorization").as_deref(),
        Some(canned::bearer(600).as_str())
    );

    let (status, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert_eq!(status, 200);
    for shown in [
        "路灯不亮",
        "最低有权层级办理",
        "本级无此职权",
        "选中",
        "区城管执法局",
        "超期",
        "2026-03-02 09:12",
        "市民热线",
        "WH20260302001",
        "已放弃 · http_503",
        "已转区住建局 · 2026-03-02",
        "已收回 2026-03-02 11:00",
        "人民调解",
        "协议生效",
        "2026-03-18 09:00",
        "2026-03-03 09:00",
        "未联系上",
        "照片核查",
        "photo:checked",
        "诉求人",
        "又堆了两辆车 &#60;b&#62;急",
        "420103005001001",
        "东经 114.270123°，北纬 30.600456°",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    assert!(html.contains("data-pause=\"暂停更新\"") && html.contains("role=\"status\""), "{html}");
    assert!(html.contains("&#60;script&#62;") && !html.contains("<script>alert"), "texts are escaped");
    assert_eq!(edge.services.calls("GetCase")[0].decode::<GetCaseRequest>().case_id, CASE);

    let (status, html) = page(&edge, &format!("/cases?state=closed&unit={STREET}"), &session).await;
    assert_eq!(status, 200);
    assert!(html.contains("已结案") && html.contains("满春街道") && html.contains("page=a%2Bb"), "{html}");
    let asked: ListCasesRequest = edge.services.calls("ListCases")[0].decode();
    assert_eq!((asked.states, asked.unit_id.as_str()), (vec![CaseState::Closed as i32], STREET));

    let english = format!("{session}; jh_lang=en");
    let (_, html) = page(&edge, "/", &english).await;
    for shown in
        ["lang=\"en\"", "Manchun Street", "Purchased by government", "small sample", "Jianghan District"]
    {
        assert!(html.contains(shown), "{shown}");
    }
    assert_eq!(html.matches("re-based after a merger").count(), 2);
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &english).await;
    assert!(html.contains("Street lamp out") && html.contains("the lowest competent level"));
    assert!(html.contains("Coordinates") && html.contains("30.600456° N, 114.270123° E"), "{html}");
    // A case of which neither was said shows neither.
    let nowhere = Case { grid_code: String::new(), point: None, ..canned::case() };
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(nowhere) });
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert!(!html.contains("坐标") && !html.contains("网格"), "{html}");
}

#[tokio::test]
async fn a_case_without_an_item_shows_what_it_may_be_about_and_by_which_words() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let open = Case { item_code: String::new(), state: CaseState::Accepted.into(), ..canned::case() };
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(open.clone()) });
    let suggestion = ItemSuggestion {
        item_code: "CJ-0108".into(),
        name_zh: "路灯不亮".into(),
        name_en: "Street lamp out".into(),
        probability: 0.9714,
        words: vec!["路灯".into(), "<b>".into()],
    };
    let mut answer = SuggestItemsResponse {
        state: SuggestionState::Suggested.into(),
        suggestions: vec![suggestion],
        model_version: 3,
        ..Default::default()
    };
    edge.services.answer("SuggestItems", &answer);
    let path = format!("/cases/{CASE}");
    let (_, html) = page(&edge, &path, &session).await;
    for shown in ["可能的事项", "CJ-0108 路灯不亮", "97.1 %", "<mark>路灯</mark>", "由人工决定", "模型 3"]
    {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    assert!(!html.contains("<mark><b>"), "words are a resident's: they are escaped");
    answer.threshold_met = true;
    edge.services.answer("SuggestItems", &answer);
    let english = format!("{session}; jh_lang=en");
    let (_, html) = page(&edge, &path, &english).await;
    for shown in ["Words that spoke for it", "Street lamp out", "reaches the threshold"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    // Without a model it says so; who may not ask, and whoever gets no answer, sees the case all the same.
    let none = SuggestItemsResponse { state: SuggestionState::NoModel.into(), ..Default::default() };
    edge.services.answer("SuggestItems", &none);
    assert!(page(&edge, &path, &session).await.1.contains("没有启用的分类模型"));
    for refusal in [Status::permission_denied("no"), Status::unavailable("later")] {
        edge.services.refuse("SuggestItems", refusal);
        let (status, html) = page(&edge, &path, &session).await;
        assert!(status == 200 && !html.contains("可能的事项"), "{html}");
    }
    // What was settled is shown with who did it; nobody asks for a case that has long been dispatched.
    let asked = edge.services.calls("SuggestItems").len();
    let triage = TriageDecision {
        decided_by: "system".into(),
        suggested_item_codes: vec!["CJ-0108".into()],
        probability: 0.98,
        model_version: 3,
        decided_time: None,
    };
    let done = Case { triage: Some(triage), ..canned::case() };
    edge.services.answer("GetCase", &GetCaseResponse { case: Some(done) });
    let (_, html) = page(&edge, &path, &session).await;
    assert!(html.contains("事项由谁研判") && html.contains("98.0 %"), "{html}");
    assert_eq!(edge.services.calls("SuggestItems").len(), asked);
}

#[tokio::test]
async fn public_notices_are_read_by_everybody_and_asked_for_with_nobodys_token() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    for cookie in ["", &session] {
        let (status, html) = page(&edge, &format!("/notices?unit={STREET}"), cookie).await;
        assert_eq!(status, 200);
        for shown in ["欧**", "大夹社区", "临时救助申请", "2026-03-02 – 2026-03-09", "page=a%2Bb", "noindex"]
        {
            assert!(html.contains(shown), "{shown}: {html}");
        }
        // The header is that of who comes.
        assert_eq!(html.contains("退出") && html.contains("修改密码"), !cookie.is_empty(), "{html}");
        assert_eq!(html.contains("href=\"/login\""), cookie.is_empty(), "{html}");
        assert!(html.contains("社区窗口提出异议") && !html.contains("登录后"), "{html}");
    }
    for call in edge.services.calls("ListPublicNotices") {
        assert_eq!(call.header("authorization"), None);
        assert_eq!(call.decode::<ListPublicNoticesRequest>().unit_id, STREET);
    }
    let (_, html) = page(&edge, "/notices", "jh_lang=en").await;
    assert!(html.contains("Temporary relief") && html.contains("Dajia Community"), "{html}");
    edge.services.refuse("ListPublicNotices", Status::invalid_argument("unit_id: must be an id"));
    let (status, html) = page(&edge, "/notices?unit=x", "").await;
    assert!(status == 400 && !html.contains("退出"), "{status}: {html}");
    // Where an application stands is seen in lists and on its case.
    let (_, html) = page(&edge, "/cases", &session).await;
    assert!(html.contains("申请: 公示中"), "{html}");
}

#[tokio::test]
async fn hot_spots_are_shown_with_what_came_of_them_and_answered_by_forms_of_this_site() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, "/hotspots?answer=open", &session).await;
    assert_eq!(status, 200);
    for shown in [
        "满春街道",
        "路灯不亮",
        "按历史约 2.1",
        "结案后下降: 前 12 件 / 10 天, 后 4 件 / 28 天",
        "季节性，属正常",
        "answer=open&#38;page=a%2Bb",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    assert_eq!(html.matches("<details>").count(), 1, "only what is not answered yet can be");
    let english = format!("{session}; jh_lang=en");
    let (_, html) = page(&edge, "/hotspots", &english).await;
    assert!(html.contains("fewer cases since it was closed") && html.contains("Street light out"), "{html}");

    let send = |form: &'static str, origin: String| {
        let request = edge.post("/hotspots").header("origin", origin).header("cookie", &session).body(form);
        request.header("content-type", "application/x-www-form-urlencoded").send()
    };
    let topic = "hotspot_id=h&request_id=r&action=topic&text=%E8%B7%AF%E7%81%AF";
    assert_eq!(send(topic, "https://elsewhere.example".into()).await.expect("an answer").status(), 403);
    assert!(edge.services.calls("OpenTopicCase").is_empty());
    let case = Some(canned::case());
    edge.services.answer("OpenTopicCase", &OpenTopicCaseResponse { hotspot: None, case });
    let opened = send(topic, edge.url.clone()).await.expect("an answer");
    assert_eq!(
        (opened.status().as_u16(), opened.headers()["location"].to_str().expect("text")),
        (303, format!("/cases/{CASE}").as_str())
    );
    let asked: OpenTopicCaseRequest = edge.services.calls("OpenTopicCase")[0].decode();
    assert_eq!(
        (asked.hotspot_id.as_str(), asked.request_id.as_str(), asked.text.as_str()),
        ("h", "r", "路灯")
    );
    // Browsers send the end of a line as two characters.
    send("hotspot_id=h&request_id=r&action=topic&text=a%0D%0Ab", edge.url.clone()).await.expect("an answer");
    let asked: OpenTopicCaseRequest = edge.services.calls("OpenTopicCase")[1].decode();
    assert_eq!(asked.text, "a\nb");
    let mut details = ErrorDetails::new();
    details.add_bad_request_violation("text", "has 1–4000 characters");
    let long = Status::with_error_details(Code::InvalidArgument, "text", details);
    edge.services.refuse("OpenTopicCase", long);
    let refused = send(topic, edge.url.clone()).await.expect("an answer").text().await.expect("text");
    assert!(refused.contains("填写有误：专题内容。"), "{refused}");
    let channel = chassis::Error::barred("hotspot", "h", "own_channel", "no topic case is opened for it");
    edge.services.refuse("OpenTopicCase", channel.into());
    let refused = send(topic, edge.url.clone()).await.expect("an answer").text().await.expect("text");
    assert!(refused.contains("有专门渠道") && !refused.contains("情况已经变化"), "{refused}");
    // Refused: what was written is not lost with it.
    for status in [Status::aborted("moved on"), Status::permission_denied("no")] {
        edge.services.refuse("OpenTopicCase", status);
        let refused = send(topic, edge.url.clone()).await.expect("an answer").text().await.expect("text");
        assert!(refused.contains("<p class=\"quote\">路灯</p>"), "{refused}");
    }
    edge.services.refuse("DismissHotspot", Status::failed_precondition("answered already"));
    let dismiss = "hotspot_id=h&request_id=r&action=dismiss&reason_code=seasonal";
    assert_eq!(send(dismiss, edge.url.clone()).await.expect("an answer").status(), 409);
    assert_eq!(
        send("hotspot_id=h&request_id=r&action=x", edge.url.clone()).await.expect("one").status(),
        400
    );
    // Who may not see them is told so.
    edge.services.refuse("ListHotspots", Status::permission_denied("no"));
    assert_eq!(page(&edge, "/hotspots", &session).await.0, 403);
}

#[tokio::test]
async fn what_has_a_channel_of_its_own_has_no_form_for_a_topic_case_and_says_so() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let spot = |topic_possible| Hotspot {
        hotspot_id: CASE.into(),
        answer: HotspotAnswer::Open.into(),
        topic_possible,
        ..Default::default()
    };
    for possible in [true, false] {
        let found = ListHotspotsResponse { hotspots: vec![spot(possible)], ..Default::default() };
        edge.services.answer("ListHotspots", &found);
        let (_, html) = page(&edge, "/hotspots?page=t", &session).await;
        assert_eq!(html.contains("value=\"topic\""), possible, "{html}");
        assert_eq!(html.contains("有专门渠道"), !possible, "{html}");
        assert!(html.contains("value=\"dismiss\""), "it is answered all the same: {html}");
        assert!(html.contains("href=\"/hotspots?answer=\">第一页") && !html.contains("下一页"), "{html}");
    }
}

#[tokio::test]
async fn who_may_not_answer_hot_spots_sees_them_without_forms() {
    let edge = district(None).await;
    for (role, forms) in [(Role::StreetSupervisor, false), (Role::StationHead, true)] {
        everybody_is(&edge.services, role);
        let session = sign_in(&edge).await;
        let (status, html) = page(&edge, "/hotspots", &session).await;
        assert!(status == 200 && html.contains("按历史约 2.1"), "{html}");
        assert_eq!(html.contains("<details>"), forms, "{role:?}: {html}");
        assert_eq!(html.contains("action=\"/hotspots\""), forms, "{role:?}: {html}");
    }
}

#[tokio::test]
async fn the_board_tells_its_last_day_and_which_figures_are_of_its_days_and_which_of_now() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (_, html) = page(&edge, "/", &session).await;
    assert!(html.contains("2026-03-01 – 2026-03-31") && !html.contains("2026-04-01"), "{html}");
    for shown in [
        "登记</a> <small>近 31 天</small>",
        "在办 <small>目前</small>",
        "超期未结</a> <small>目前</small>",
        "<b>228</b> 结案 <small>近 31 天</small>",
        "按状态 <small>目前全部工单</small>",
        "在办、超期为目前，其余为 近 31 天",
        "按街道",
        "满意率（≥3分）",
    ] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    assert!(!html.contains("href=\"/cases?state=closed\"><b>"), "no link leads to others: {html}");
    let (_, html) = page(&edge, "/", &format!("{session}; jh_lang=en")).await;
    for shown in ["2026-03-01 – 2026-03-31", "in 31 days", "all cases now", "By street"] {
        assert!(html.contains(shown), "{shown}: {html}");
    }
    // What was registered in these days is what its link leads to.
    for unit in [DISTRICT, STREET] {
        let path = format!("/cases?unit={unit}&amp;from=2026-03-01");
        assert!(html.contains(&format!("href=\"{path}\"")), "{path}: {html}");
        let (_, list) = page(&edge, &path.replace("&amp;", "&"), &session).await;
        assert!(list.contains("登记日自 2026-03-01"), "{list}");
        assert!(list.contains("type=\"hidden\" name=\"from\" value=\"2026-03-01\""), "{list}");
        assert!(list.contains("from=2026-03-01&#38;page=a%2Bb"), "{list}");
        let asked: ListCasesRequest = edge.services.calls("ListCases").last().expect("a call").decode();
        let midnight = prost_types::Timestamp { seconds: 1_772_294_400, nanos: 0 }; // of Wuhan
        assert_eq!((asked.registered_after, asked.unit_id.as_str()), (Some(midnight), unit));
    }
    for narrowed in ["overdue=true", "state=closed"] {
        assert!(html.contains(&format!("href=\"/cases?{narrowed}&amp;unit={DISTRICT}\"")), "{html}");
    }
    // A board that does not say of which unit it is.
    edge.services.answer("GetBoard", &GetBoardResponse { unit_id: String::new(), ..canned::board(300) });
    let (_, html) = page(&edge, "/", &session).await;
    for href in ["/cases?from=2026-03-01", "/cases?overdue=true", "/cases?state=closed"] {
        assert!(html.contains(&format!("href=\"{href}\"")), "{href}: {html}");
    }
    let (status, _) = page(&edge, "/cases?from=yesterday", &session).await;
    let asked: ListCasesRequest = edge.services.calls("ListCases").last().expect("a call").decode();
    assert_eq!((status, asked.registered_after), (200, None));
}

#[tokio::test]
async fn what_lies_below_a_street_is_not_called_a_street() {
    let edge = district(None).await;
    edge.services.answer("GetBoard", &GetBoardResponse { of_streets: false, ..canned::board(300) });
    let session = sign_in(&edge).await;
    let (_, html) = page(&edge, "/", &session).await;
    assert!(html.contains("按下级区域") && html.contains(">区域</th>") && !html.contains("按街道"), "{html}");
    let (_, html) = page(&edge, "/", &format!("{session}; jh_lang=en")).await;
    assert!(html.contains("By area") && !html.contains("By street"), "{html}");
}

#[tokio::test]
async fn figures_lead_to_cases_for_whoever_may_list_cases() {
    let edge = district(None).await;
    for (role, led) in [(Role::Analyst, false), (Role::StreetLeader, true)] {
        everybody_is(&edge.services, role);
        let session = sign_in(&edge).await;
        let (status, html) = page(&edge, "/", &session).await;
        assert!(status == 200 && html.contains("300") && html.contains("办理中"), "{html}");
        let mut stream = edge.get("/events").header("cookie", &session).send().await.expect("an answer");
        let live = heard(&mut stream, "唐家墩街道").await;
        for shown in [html, live] {
            assert_eq!(shown.contains("href=\"/cases"), led, "{role:?}: {shown}");
            assert_eq!(shown.contains(&format!("/cases?unit={STREET}")), led, "{role:?}: {shown}");
        }
    }
}

#[tokio::test]
async fn who_may_not_see_the_board_begins_on_a_page_that_is_for_them() {
    let edge = district(None).await;
    edge.services.refuse("GetBoard", Status::permission_denied("no"));
    let firsts =
        [(Role::Resident, "/cases"), (Role::Mediator, "/mediations"), (Role::FinanceOfficer, "/duties")];
    for (role, first) in firsts {
        everybody_is(&edge.services, role);
        let session = sign_in(&edge).await;
        let response = edge.get("/").header("cookie", &session).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
            (303, first)
        );
        assert_eq!(page(&edge, first, &session).await.0, 200);
    }
    everybody_is(&edge.services, Role::ItOperator);
    let session = sign_in(&edge).await;
    let (status, html) = page(&edge, "/", &session).await;
    assert_eq!(status, 200);
    assert!(html.contains("没有供您的岗位查看的页面") && html.contains("公示人人可看"), "{html}");
}

#[tokio::test]
async fn refusals_are_pages_that_tell_no_internals() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let secret = "SELECT * FROM cases at 10.0.0.7";
    for (status, expected) in [
        (Status::not_found(secret), 404),
        (Status::permission_denied(secret), 403),
        (Status::invalid_argument(secret), 400),
        (Status::internal(secret), 503),
        (Status::unavailable(secret), 503),
    ] {
        edge.services.refuse("GetCase", status);
        let (status, html) = page(&edge, "/cases/x", &session).await;
        assert_eq!(status, expected);
        assert!(html.contains("<h1>") && !html.contains("SELECT"), "{html}");
    }
    // Who may not see the figures gets to the own cases.
    edge.services.refuse("GetBoard", Status::permission_denied(secret));
    let response = edge.get("/").header("cookie", &session).send().await.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
        (303, "/cases")
    );
    // A page is not refused for want of names.
    let edge = district(None).await;
    edge.services.refuse("ListUnits", Status::unavailable("later"));
    let session = sign_in(&edge).await;
    assert_eq!(page(&edge, &format!("/cases/{CASE}"), &session).await.0, 200);
}
