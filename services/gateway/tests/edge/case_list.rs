//! The list of cases: searched by what stands in no URL, and exported as a whole.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use prost::Message;
use proto::{
    auth::v1::Role,
    case_routing::v1::{Case, CaseState, ListCasesRequest, ListCasesResponse},
    identity::v1::{RefreshTokenRequest, RefreshTokenResponse},
};
use reqwest::Response;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    canned::{self, STREET, bearer, district, grant, renewed, token, tokens},
    fakes::Edge,
    visitor::{cookies, kept, page, sign_in},
};

/// Sends the search form.
async fn send(edge: &Edge, path: &str, cookie: &str) -> Response {
    let request = edge.post(path).header("origin", &edge.url).header("cookie", cookie);
    let form = request.header("content-type", "application/x-www-form-urlencoded");
    form.body("query=%E8%B7%AF%E7%81%AF").send().await.expect("an answer")
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

/// Sends this search; the status and the page.
async fn search(edge: &Edge, cookie: &str, body: &'static str) -> (u16, String) {
    search_at(edge, "/cases", cookie, body).await
}

/// Sends this search for the list or its file.
async fn search_at(edge: &Edge, path: &str, cookie: &str, body: &'static str) -> (u16, String) {
    let request = edge.post(path).header("origin", &edge.url).header("cookie", cookie).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.expect("an answer");
    (response.status().as_u16(), response.text().await.expect("text"))
}

#[tokio::test]
async fn words_that_cannot_be_looked_for_are_shown_again_with_what_is_wrong_with_them() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let wrong = |field: &str| {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation(field, "SELECT 1");
        Status::with_error_details(Code::InvalidArgument, "SELECT 1", details)
    };
    edge.services.refuse("ListCases", wrong("query"));
    let words = "query=A+%E6%A0%8B&state=closed"; // A 栋
    for path in ["/cases", "/cases.csv"] {
        let (status, html) = search_at(&edge, path, &session, words).await;
        assert_eq!(status, 400);
        for shown in [r#"value="A 栋""#, "至少输入两个相连的字", r#"name="state" value="closed""#]
        {
            assert!(html.contains(shown), "{path}: {shown}: {html}");
        }
        assert!(!html.contains("没有工单") && !html.contains("SELECT"), "{html}");
    }
    let (_, html) = search(&edge, &format!("{session}; jh_lang=en"), words).await;
    assert!(html.contains("two letters or characters"), "{html}");
    edge.services.refuse("ListCases", wrong("page_token"));
    for path in ["/cases", "/cases.csv"] {
        let (status, html) = search_at(&edge, path, &session, words).await;
        assert!(status == 400 && html.contains("请求有误") && html.contains("A 栋</p>"), "{status}: {html}");
    }
}

#[tokio::test]
async fn an_export_that_nobody_is_signed_in_for_shows_its_words_again() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let body = "query=%E8%B7%AF%E7%81%AF&state=closed";
    let (written, again) = ("<p class=\"quote\">路灯</p>", "href=\"/login?next=%2Fcases\"");
    let (status, html) = search_at(&edge, "/cases.csv", "", body).await;
    assert!(status == 401 && html.contains(written) && html.contains(again), "{status}: {html}");

    edge.services.answer("RefreshToken", &renewed(600));
    edge.services.refuse("ListCases", Status::unauthenticated("revoked"));
    let (status, html) = search_at(&edge, "/cases.csv", &session, body).await;
    assert!(status == 401 && html.contains(written) && html.contains(again), "{status}: {html}");
    assert!(!html.contains("revoked"), "{html}");

    edge.services.answer("SignIn", &tokens(-5));
    let old = sign_in(&edge).await;
    edge.services.refuse("RefreshToken", Status::unavailable("later"));
    let (status, html) = search_at(&edge, "/cases.csv", &old, body).await;
    assert!(status == 503 && html.contains(written), "{status}: {html}");
}

#[tokio::test]
async fn a_search_for_nothing_leads_to_the_address_of_the_list_with_its_filters() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let request = edge.post("/cases").header("origin", &edge.url).header("cookie", &session);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.body("query=+&state=closed&from=2026-03-01").send().await.expect("an answer");
    let list = "/cases?state=closed&overdue=false&unit=&from=2026-03-01";
    let location = response.headers()["location"].to_str().expect("text");
    assert_eq!((response.status().as_u16(), location), (303, list));
    assert!(edge.services.calls("ListCases").is_empty(), "the list is asked for at its own address");
    let (_, html) = page(&edge, list, &session).await;
    assert!(html.contains("action=\"/language\""), "{html}");
    let back = format!("name=\"back\" value=\"{}\"", list.replace('&', "&#38;"));
    assert!(html.contains(&back), "another language keeps the filters: {html}");
}

#[tokio::test]
async fn a_later_page_leads_back_to_the_first_and_another_language_keeps_the_search() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (_, html) = page(&edge, "/cases?state=closed&page=t", &session).await;
    assert!(html.contains("state=closed&#38;overdue=false&#38;unit=&#38;from=\">第一页"), "{html}");
    let (_, html) = page(&edge, "/cases?state=closed", &session).await;
    assert!(!html.contains("第一页"), "{html}");

    let (_, html) = search(&edge, &session, "query=%E8%B7%AF%E7%81%AF&state=closed&page=t").await;
    assert!(html.contains("<button>第一页</button>") && html.contains("<button>下一页</button>"), "{html}");
    assert!(!html.contains("action=\"/language\""), "it would lose the words: {html}");
    let body = "query=%E8%B7%AF%E7%81%AF&state=closed&lang=en";
    let request = edge.post("/cases").header("origin", &edge.url).header("cookie", &session).body(body);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let response = request.send().await.expect("an answer");
    assert!(cookies(&response)[0].starts_with("jh_lang=en;"));
    let html = response.text().await.expect("text");
    assert!(html.contains("With the words") && html.contains("value=\"路灯\""), "{html}");
    let asked: ListCasesRequest = edge.services.calls("ListCases").last().expect("a call").decode();
    assert_eq!((asked.query.as_str(), asked.states), ("路灯", vec![CaseState::Closed as i32]));
    assert!(!html.contains("<button>First page</button>"), "it is the first: {html}");
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
        Ok(ListCasesResponse { cases, next_page_token, ..Default::default() }.encode_to_vec())
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
    let calls = edge.services.calls("ListCases").len();
    assert_eq!(send("http://evil.example".to_owned()).await.expect("an answer").status(), 403);
    assert_eq!(edge.services.calls("ListCases").len(), calls, "and no service was asked");

    // The token runs out half-way: the answer has begun, so it must break off.
    fails.store(true, Ordering::Relaxed);
    let response = send(edge.url.clone()).await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "what is not whole does not end as if it were");
    edge.services.refuse("ListCases", Status::permission_denied("not yours"));
    assert_eq!(send(edge.url.clone()).await.expect("an answer").status(), 403);
}

#[tokio::test]
async fn an_export_begins_with_new_tokens_and_outlasts_a_service_that_is_away_for_a_moment() {
    let edge = district(None).await;
    edge.services.answer("SignIn", &tokens(300));
    edge.services.answer("RefreshToken", &renewed(600));
    let session = sign_in(&edge).await;
    assert_eq!(page(&edge, "/cases", &session).await.0, 200);
    assert!(edge.services.calls("RefreshToken").is_empty(), "a page is content with what is left");

    let away = AtomicBool::new(true);
    edge.services.answer_by("ListCases", move |call| {
        let asked: ListCasesRequest = call.decode();
        let page: i32 = asked.page_token.parse().unwrap_or_default();
        if page == 3 && away.swap(false, Ordering::Relaxed) {
            return Err(Status::unavailable("later"));
        }
        let next_page_token = if page < 4 { (page + 1).to_string() } else { String::new() };
        let cases = vec![canned::case(); 200];
        Ok(ListCasesResponse { cases, next_page_token, ..Default::default() }.encode_to_vec())
    });
    let asked = edge.services.calls("ListCases").len();
    let response = send(&edge, "/cases.csv", &session).await;
    assert_eq!(response.status(), 200);
    let set = cookies(&response);
    let file = response.text().await.expect("the whole file");
    assert_eq!(file.split_terminator("\r\n").count(), 1 + 1_000);
    let calls = edge.services.calls("ListCases").split_off(asked);
    assert_eq!(calls.len(), 6, "five pages, one of them twice");
    assert!(calls.iter().all(|call| call.header("authorization") == Some(bearer(600))));
    // The new tokens are in the cookie: the old ones are used up.
    assert_eq!(page(&edge, "/cases", &kept(&set)).await.0, 200);
    assert_eq!(edge.services.calls("RefreshToken").len(), 1);
}

/// From now on the list has so many pages, of a case each.
fn pages_are(edge: &Edge, count: i32) {
    edge.services.answer_by("ListCases", move |call| {
        let asked: ListCasesRequest = call.decode();
        let page: i32 = asked.page_token.parse().unwrap_or_default();
        let next_page_token = if page + 1 < count { (page + 1).to_string() } else { String::new() };
        let cases = vec![canned::case()];
        Ok(ListCasesResponse { cases, next_page_token, ..Default::default() }.encode_to_vec())
    });
}

#[tokio::test]
async fn an_export_goes_on_when_the_tokens_run_out_that_it_began_with() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    pages_are(&edge, 5);
    // Each is used once: whoever comes with another's is refused.
    edge.services.answer_by("RefreshToken", |call| {
        let asked: RefreshTokenRequest = call.decode();
        let (seconds, refresh, branch) = match (asked.refresh_token.as_str(), asked.branch) {
            ("refresh-1", true) => (100, "refresh-2", "branch-1"),
            ("branch-1", false) => (90, "branch-2", ""),
            ("branch-2", false) => (500, "branch-3", ""),
            ("refresh-2", false) => (600, "refresh-3", ""),
            _ => return Err(Status::unauthenticated("used before")),
        };
        let (refresh_token, branch_refresh_token) = (refresh.to_owned(), branch.to_owned());
        let answer = RefreshTokenResponse { refresh_token, branch_refresh_token, ..renewed(seconds) };
        Ok(answer.encode_to_vec())
    });
    let response = send(&edge, "/cases.csv", &session).await;
    assert_eq!(response.status(), 200);
    let set = cookies(&response);
    let file = response.text().await.expect("the whole file");
    assert_eq!(file.split_terminator("\r\n").count(), 1 + 5);
    let calls = edge.services.calls("ListCases");
    let asked_with: Vec<_> = calls.iter().filter_map(|call| call.header("authorization")).collect();
    assert_eq!(asked_with, [100, 90, 500, 500, 500].map(bearer));
    // The browser goes on with what it was given, which the export has not used.
    assert_eq!(page(&edge, "/cases", &kept(&set)).await.0, 200);
    let refreshed = edge.services.calls("RefreshToken").len();
    assert_eq!(refreshed, 4, "twice by the session's own, twice by the branch");
}

#[tokio::test]
async fn an_export_ends_with_its_session_and_with_what_it_reaches_and_not_with_identity() {
    let elsewhere = token(&[grant(Role::StreetDispatcher, &Value::Null)], "x");
    for (renewal, whole) in [
        (Err(Status::unauthenticated("revoked")), false),
        (Ok(RefreshTokenResponse { access_token: elsewhere, ..renewed(600) }), false),
        (Err(Status::unavailable("later")), true),
    ] {
        let edge = district(None).await;
        let session = sign_in(&edge).await;
        pages_are(&edge, 3);
        let told = format!("{renewal:?}");
        edge.services.answer_by("RefreshToken", move |call| {
            let asked: RefreshTokenRequest = call.decode();
            let begun = RefreshTokenResponse { branch_refresh_token: "branch-1".to_owned(), ..renewed(100) };
            let answer = if asked.branch { Ok(begun) } else { renewal.clone() };
            answer.map(|answer| answer.encode_to_vec())
        });
        let response = send(&edge, "/cases.csv", &session).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.is_ok(), whole, "{told}");
    }
}

#[tokio::test]
async fn a_search_says_what_it_cannot_find_yet_and_an_export_of_it_does_not_end_as_if_it_were_whole() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let english = format!("{session}; jh_lang=en");
    let (zh, en) = ("有 7 件导入的工单暂时不能按内容查找", "7 imported cases cannot be found");
    let whole = send(&edge, "/cases", &session).await.text().await.expect("text");
    assert!(!whole.contains("导入的工单"), "nothing is missing: {whole}");

    for cases in [vec![canned::case()], Vec::new()] {
        let found = ListCasesResponse { cases, unindexed_count: 7, ..Default::default() };
        edge.services.answer("ListCases", &found);
        for (cookie, sentence) in [(&session, zh), (&english, en)] {
            let listed = send(&edge, "/cases", cookie).await;
            assert_eq!(listed.status(), 200);
            let html = listed.text().await.expect("text");
            assert!(html.contains(sentence), "{html}");
            let refused = send(&edge, "/cases.csv", cookie).await;
            assert_eq!(refused.status(), 409);
            let html = refused.text().await.expect("text");
            assert!(html.contains(sentence) && html.contains("<h1>"), "{html}");
        }
    }

    // Cases came in while the file was written.
    edge.services.answer_by("ListCases", |call| {
        let asked: ListCasesRequest = call.decode();
        let first = asked.page_token.is_empty();
        let (next, unindexed_count) = if first { ("2", 0) } else { ("", 7) };
        let next_page_token = next.to_owned();
        let cases = vec![canned::case()];
        Ok(ListCasesResponse { cases, next_page_token, unindexed_count }.encode_to_vec())
    });
    let response = send(&edge, "/cases.csv", &session).await;
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "what is not whole does not end as if it were");
}

#[tokio::test]
async fn a_page_without_a_case_leads_on_to_those_behind_it() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let empty = ListCasesResponse { next_page_token: "a+b".to_owned(), ..Default::default() };
    edge.services.answer("ListCases", &empty);
    let (_, html) = page(&edge, "/cases?state=archived", &session).await;
    assert!(html.contains("更早的见下一页") && html.contains("page=a%2Bb"), "{html}");
    assert!(!html.contains("没有工单。"), "nobody knows that yet: {html}");
    let english = format!("{session}; jh_lang=en");
    let html = send(&edge, "/cases", &english).await.text().await.expect("text");
    assert!(html.contains("earlier ones are on the next page"), "{html}");
    assert!(html.contains(r#"name="page" value="a+b""#), "{html}");

    edge.services.answer("ListCases", &ListCasesResponse::default());
    let (_, html) = page(&edge, "/cases?state=archived", &session).await;
    assert!(html.contains("没有工单。") && !html.contains("下一页"), "{html}");

    // A file goes on behind it, too.
    edge.services.answer_by("ListCases", |call| {
        let asked: ListCasesRequest = call.decode();
        let (cases, next) = match asked.page_token.as_str() {
            "" => (Vec::new(), "1"),
            "1" => (vec![canned::case()], "2"),
            _ => (Vec::new(), ""),
        };
        let next_page_token = next.to_owned();
        Ok(ListCasesResponse { cases, next_page_token, ..Default::default() }.encode_to_vec())
    });
    let file = send(&edge, "/cases.csv", &session).await.text().await.expect("the whole file");
    assert_eq!(file.split_terminator("\r\n").count(), 2, "the header and the case");
}

#[tokio::test]
async fn a_file_is_whole_also_where_a_service_of_an_earlier_build_answers_with_long_pages() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let long = Case { text_redacted: "长".repeat(20_000), ..canned::case() };
    edge.services.answer("ListCases", &ListCasesResponse { cases: vec![long; 90], ..Default::default() });
    let response = send(&edge, "/cases.csv", &session).await;
    assert_eq!(response.status(), 200);
    let file = response.text().await.expect("the whole file");
    assert_eq!(file.split_terminator("\r\n").count(), 1 + 90, "more than 4 MiB");
}
