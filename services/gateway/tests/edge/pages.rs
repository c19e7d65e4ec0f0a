//! The board over plain HTTP: pages, sessions, cookies, and what is refused.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use proto::{
    analytics::v1::GetBoardResponse,
    case_routing::v1::{
        Case, CaseState, GetCaseRequest, GetCaseResponse, ItemSuggestion, ListCasesRequest,
        ListCasesResponse, ListPublicNoticesRequest, OpenTopicCaseRequest, OpenTopicCaseResponse,
        SuggestItemsResponse, SuggestionState, TriageDecision,
    },
    identity::v1::{RefreshTokenRequest, RefreshTokenResponse},
};
use reqwest::Response;
use tonic::Status;

use crate::{
    canned::{self, CASE, STREET, board, district, tokens},
    fakes::Edge,
};

/// `Set-Cookie`s of an answer.
fn cookies(response: &Response) -> Vec<String> {
    let headers = response.headers().get_all("set-cookie").iter();
    headers.map(|value| value.to_str().expect("text").to_owned()).collect()
}

/// What the browser sends back of them.
fn kept(cookies: &[String]) -> String {
    let pairs = cookies.iter().map(|cookie| cookie.split(';').next().unwrap_or_default());
    pairs.collect::<Vec<_>>().join("; ")
}

async fn post(edge: &Edge, path: &str, form: &'static str) -> Response {
    let request = edge.post(path).header("origin", &edge.url).body(form);
    request.header("content-type", "application/x-www-form-urlencoded").send().await.expect("an answer")
}

/// Signs in; the cookies of the session.
pub async fn sign_in(edge: &Edge) -> String {
    let response = post(edge, "/login", "login=li&password=secret").await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (303, &"/".parse().expect("a value"))
    );
    kept(&cookies(&response))
}

pub async fn page(edge: &Edge, path: &str, cookie: &str) -> (u16, String) {
    let response = edge.get(path).header("cookie", cookie).send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("text"))
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
    assert_eq!(
        edge.services.calls("GetBoard")[0].header("authorization").as_deref(),
        Some("Bearer access-600")
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
        "人民调解",
        "协议生效",
        "2026-03-18 09:00",
        "2026-03-03 09:00",
        "未联系上",
        "照片核查",
        "photo:checked",
        "诉求人",
        "又堆了两辆车 &#60;b&#62;急",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
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
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &english).await;
    assert!(html.contains("Street lamp out") && html.contains("the lowest competent level"));
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
    }
    for call in edge.services.calls("ListPublicNotices") {
        assert_eq!(call.header("authorization"), None);
        assert_eq!(call.decode::<ListPublicNoticesRequest>().unit_id, STREET);
    }
    let (_, html) = page(&edge, "/notices", "jh_lang=en").await;
    assert!(html.contains("Temporary relief") && html.contains("Dajia Community"), "{html}");
    edge.services.refuse("ListPublicNotices", Status::invalid_argument("unit_id: must be an id"));
    assert_eq!(page(&edge, "/notices?unit=x", "").await.0, 400);
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
async fn a_search_is_sent_as_a_form_and_what_it_looks_for_stands_in_no_url() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (_, html) = page(&edge, "/cases?state=closed", &session).await;
    let form = r#"role="search" method="post" action="/cases""#;
    assert!(html.contains(form) && html.contains("按内容查找"), "{html}");
    assert!(html.contains(r#"type="hidden" name="state" value="closed""#), "the filters stay");
    let english = format!("{session}; jh_lang=en");
    assert!(page(&edge, "/cases", &english).await.1.contains("Find by text"));

    // 路灯&"不亮
    let body = "query=%E8%B7%AF%E7%81%AF%26%22%E4%B8%8D%E4%BA%AE+&state=closed&page=t";
    let send = |origin: String| {
        let request = edge.post("/cases").header("origin", origin).header("cookie", &session).body(body);
        request.header("content-type", "application/x-www-form-urlencoded").send()
    };
    let response = send(edge.url.clone()).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let html = response.text().await.expect("text");
    let asked: ListCasesRequest = edge.services.calls("ListCases").last().expect("a call").decode();
    assert_eq!((asked.query.as_str(), asked.page_token.as_str()), ("路灯&\"不亮", "t"));
    assert_eq!(asked.states, [CaseState::Closed as i32]);
    assert!(html.contains(r#"value="路灯&#38;&#34;不亮""#), "kept and escaped: {html}");
    assert!(html.contains(r#"name="page" value="a+b""#), "the next page is a form too: {html}");
    assert!(!html.contains("/cases?") && !html.contains("%E8"), "no link holds it: {html}");

    let calls = edge.services.calls("ListCases").len();
    assert_eq!(send("http://evil.example".to_owned()).await.expect("an answer").status(), 403);
    assert_eq!(page(&edge, "/cases?query=x", &session).await.0, 400);
    assert_eq!(edge.services.calls("ListCases").len(), calls, "and no service was asked");
}

#[tokio::test]
async fn an_export_is_the_whole_list_and_one_that_breaks_off_does_not_look_whole() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let case = |n: i32| Case {
        case_id: format!("id-{n}"),
        text_redacted: format!("=第{n}件，\"电话\"***"),
        place_unit_id: STREET.into(),
        ..canned::case()
    };
    let fails = Arc::new(AtomicBool::new(false));
    let failing = fails.clone();
    edge.services.answer_by("ListCases", move |call| {
        let asked: ListCasesRequest = call.decode();
        let page: i32 = asked.page_token.parse().unwrap_or_default();
        if page == 3 && failing.load(Ordering::Relaxed) {
            return Err(Status::unauthenticated("sign in first"));
        }
        let next_page_token = if page < 4 { (page + 1).to_string() } else { String::new() };
        let cases = (0..200).map(|n| case(page * 200 + n)).collect();
        Ok(prost::Message::encode_to_vec(&ListCasesResponse { cases, next_page_token, ..Default::default() }))
    });
    let body = "query=%E8%B7%AF%E7%81%AF&state=closed&page=ignored";
    let send = |origin: String| {
        let request = edge.post("/cases.csv").header("origin", origin).header("cookie", &session).body(body);
        request.header("content-type", "application/x-www-form-urlencoded").send()
    };
    let response = send(edge.url.clone()).await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8");
    let text = String::from_utf8(response.bytes().await.expect("the whole file").to_vec()).expect("UTF-8");
    let text = text.trim_start_matches('\u{feff}');
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(lines.len(), 1 + 1_000, "the header and every case");
    assert!(lines[0].starts_with("\"编号\","), "{}", lines[0]);
    for (n, line) in lines[1..].iter().enumerate() {
        assert!(line.ends_with(&format!("\"'=第{n}件，\"\"电话\"\"***\",\"id-{n}\"")), "{line}");
        assert!(line.contains("满春街道"), "{line}");
    }
    let asked: ListCasesRequest = edge.services.calls("ListCases").last().expect("a call").decode();
    assert_eq!((asked.query.as_str(), asked.page_size), ("路灯", 200));
    assert_eq!(asked.states, [CaseState::Closed as i32]);

    // The token runs out half-way: the answer has begun, so it must break off.
    fails.store(true, Ordering::Relaxed);
    let response = send(edge.url.clone()).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "what is not whole does not end as if it were");
    edge.services.refuse("ListCases", Status::permission_denied("not yours"));
    assert_eq!(send(edge.url.clone()).await.expect("an answer").status(), 403);
    assert_eq!(send("http://evil.example".to_owned()).await.expect("an answer").status(), 403);
}

#[tokio::test]
async fn nobody_sees_a_page_without_a_session() {
    let edge = district(None).await;
    for (path, cookie) in
        [("/", ""), ("/cases", ""), ("/cases/x", "jh_session=1-forged"), ("/", "jh_session=9-x")]
    {
        let response = edge.get(path).header("cookie", cookie).send().await.expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
            (303, "/login")
        );
    }
    // Sealed by another key.
    let other = district(None).await;
    let session = sign_in(&other).await;
    assert_eq!(page(&edge, "/", &session).await.0, 303);
    let (status, html) = page(&edge, "/login", "").await;
    assert_eq!(status, 200);
    assert!(html.contains("登录"));
    let refused = post(&edge, "/login", "login=li&password=wrong").await;
    assert_eq!(refused.status(), 401);
    assert!(cookies(&refused).is_empty());
    assert!(refused.text().await.expect("text").contains("用户名或密码不对"));
}

#[tokio::test]
async fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
    let edge = district(None).await;
    let plain = cookies(&post(&edge, "/login", "login=li&password=secret").await);
    assert_eq!(plain.len(), 1);
    assert!(plain[0].starts_with("jh_session=") && !plain[0].contains("Secure"), "{plain:?}");
    let edge = district(Some("https://board.example")).await;
    let secure = cookies(&post(&edge, "/login", "login=li&password=secret").await);
    assert!(secure[0].starts_with("__Host-jh_session="), "{secure:?}");
    assert!(secure[0].contains("; Secure"), "{secure:?}");
    let language = cookies(&post(&edge, "/language", "lang=en&back=/").await);
    for cookie in plain.iter().chain(&secure).chain(&language) {
        assert!(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Strict"), "{cookie}");
        assert!(cookie.contains("; Path=/;") && !cookie.contains("Domain"), "{cookie}");
        assert!(!cookie.contains("access-600") && !cookie.contains("refresh"), "sealed: {cookie}");
    }
}

#[tokio::test]
async fn posts_of_other_sites_are_refused() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let signed_in = edge.services.calls("SignIn").len();
    for path in ["/login", "/logout", "/language"] {
        let foreign = [
            vec![("origin", "https://evil.example")],
            vec![("origin", "null")],
            vec![("sec-fetch-site", "cross-site")],
            vec![("sec-fetch-site", "same-site"), ("origin", edge.url.as_str())],
            vec![],
        ];
        for headers in foreign {
            let mut request =
                edge.post(path).header("cookie", &session).body("login=li&password=secret&lang=en");
            request = request.header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status(), 403, "{path}");
            assert!(cookies(&response).is_empty());
        }
    }
    assert_eq!(edge.services.calls("SignIn").len(), signed_in);
    assert!(edge.services.calls("SignOut").is_empty());
}

#[tokio::test]
async fn the_language_form_leads_back_to_this_site_only() {
    let edge = district(None).await;
    let cases = [
        ("lang=en&back=/cases?state=closed", "/cases?state=closed"),
        ("lang=en&back=//evil.example", "/"),
        ("lang=en&back=https://evil.example", "/"),
        ("lang=en&back=/%09/evil.example", "/"),
        ("lang=en&back=/%5Cevil.example", "/"),
        ("lang=en&back=/%0d%0aset-cookie:a=b", "/"),
        ("lang=en", "/"),
    ];
    for (form, expected) in cases {
        let response = post(&edge, "/language", form).await;
        assert_eq!(
            (response.status().as_u16(), response.headers()["location"].to_str().expect("text")),
            (303, expected)
        );
        assert!(cookies(&response)[0].starts_with("jh_lang=en;"));
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_at_identity_and_here() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let request = edge.post("/logout").header("cookie", &session).header("sec-fetch-site", "same-origin");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["location"], "/login");
    assert!(cookies(&response).iter().all(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(edge.services.calls("SignOut").len(), 1);
}

#[tokio::test]
async fn a_session_is_renewed_before_its_token_runs_out() {
    let edge = district(None).await;
    edge.services.answer("SignIn", &tokens(60));
    let session = sign_in(&edge).await;
    let new = tokens(600);
    let renewed = RefreshTokenResponse {
        access_token: new.access_token,
        access_expire_time: new.access_expire_time,
        refresh_token: "refresh-2".into(),
        refresh_expire_time: None,
    };
    edge.services.answer("RefreshToken", &renewed);
    let response = edge.get("/").header("cookie", &session).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let asked: RefreshTokenRequest = edge.services.calls("RefreshToken")[0].decode();
    assert_eq!(asked.refresh_token, "refresh-1");
    assert_eq!(
        edge.services.calls("GetBoard")[0].header("authorization").as_deref(),
        Some("Bearer access-600")
    );
    let session = kept(&cookies(&response));
    assert_eq!(page(&edge, "/", &session).await.0, 200);
    assert_eq!(edge.services.calls("RefreshToken").len(), 1, "the new tokens are in the cookie");

    // Refused: signed out. Identity away: the old token goes on while it lasts.
    edge.services.refuse("RefreshToken", Status::unavailable("later"));
    edge.services.answer("SignIn", &tokens(61));
    let session = sign_in(&edge).await;
    assert_eq!(page(&edge, "/", &session).await.0, 200);
    edge.services.answer("SignIn", &tokens(-5));
    let old = sign_in(&edge).await;
    assert_eq!(page(&edge, "/", &old).await.0, 503, "not signed out because identity restarts");
    edge.services.refuse("RefreshToken", Status::unauthenticated("used before"));
    assert_eq!(page(&edge, "/", &session).await.0, 303);
}

#[tokio::test]
async fn a_token_with_many_grants_is_spread_over_cookies() {
    let edge = district(None).await;
    let long = "x".repeat(6_000);
    edge.services
        .answer("SignIn", &proto::identity::v1::SignInResponse { access_token: long.clone(), ..tokens(600) });
    let response = post(&edge, "/login", "login=li&password=secret").await;
    let set = cookies(&response);
    assert!(set.len() > 1 && set.iter().all(|cookie| cookie.len() < 4_096), "{} cookies", set.len());
    assert_eq!(page(&edge, "/", &kept(&set)).await.0, 200);
    assert_eq!(edge.services.calls("GetBoard")[0].header("authorization"), Some(format!("Bearer {long}")));
    assert_eq!(page(&edge, "/", &kept(&set[..1])).await.0, 303, "not with a part of them");
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

/// Reads a stream until it has said this, or ended.
pub async fn heard(response: &mut Response, wanted: &str) -> String {
    let listening = async {
        let mut text = String::new();
        while !text.contains(wanted) {
            match response.chunk().await.expect("a chunk") {
                Some(chunk) => text.push_str(&String::from_utf8_lossy(&chunk)),
                None => break,
            }
        }
        text
    };
    tokio::time::timeout(Duration::from_secs(20), listening).await.expect("heard in time")
}

#[tokio::test]
async fn the_stream_tells_the_board_again_when_it_changes() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let stream = async |lang: &str| {
        let cookie = format!("{session}; jh_lang={lang}");
        edge.get("/events").header("cookie", cookie).send().await.expect("an answer")
    };
    let (mut zh, mut en) = (stream("zh").await, stream("en").await);
    assert_eq!(zh.headers()["content-type"], "text/event-stream");
    assert!(heard(&mut zh, "300").await.contains("event: board"));
    assert!(heard(&mut en, "300").await.contains("event: board"));
    edge.services.answer("GetBoard", &board(301));
    assert!(heard(&mut zh, "301").await.contains("满春街道"));
    assert!(heard(&mut en, "301").await.contains("Manchun Street"));
    // What is not shown does not make a board again: the next thing said is the next change.
    let quiet = GetBoardResponse { watermark: canned::case().registered_time, revision: 9, ..board(301) };
    edge.services.answer("GetBoard", &quiet);
    let asked = edge.services.calls("GetBoard").len();
    edge.services.asked("GetBoard", asked + 2).await;
    edge.services.answer("GetBoard", &board(302));
    let said = heard(&mut zh, "302").await;
    assert_eq!(said.matches("event: board").count(), 1, "{said}");

    edge.services.refuse("GetBoard", Status::unauthenticated("revoked"));
    assert!(heard(&mut zh, "expired").await.contains("event: expired"));
    assert_eq!(heard(&mut zh, "nothing more").await.matches("event: board").count(), 0, "and it ends");
}

#[tokio::test]
async fn a_stream_without_a_session_says_so_and_ends() {
    let edge = district(None).await;
    let mut response = edge.get("/events").send().await.expect("an answer");
    assert!(heard(&mut response, "never").await.contains("event: expired"));
}

#[tokio::test]
async fn one_feed_asks_for_all_windows_of_a_session() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let mut windows = Vec::new();
    for _ in 0..5 {
        let mut window = edge.get("/events").header("cookie", &session).send().await.expect("an answer");
        heard(&mut window, "event: board").await;
        windows.push(window);
    }
    let started = tokio::time::Instant::now();
    let asked = edge.services.calls("GetBoard").len();
    edge.services.answer("GetBoard", &board(333));
    for window in &mut windows {
        heard(window, "333").await;
    }
    let since = edge.services.calls("GetBoard").len() - asked;
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap_or_default();
    assert!(since <= seconds + 2, "{since} questions in {seconds} s");
}
