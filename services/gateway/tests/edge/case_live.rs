//! The page of a case is live: its stream over plain HTTP, before services that answer as the tests say.

use std::time::Duration;

use proto::case_routing::v1::{Case, CaseState, GetTimelineResponse, WaitCaseRequest};
use reqwest::Response;
use tonic::Status;

use crate::{
    canned::{self, CASE, LI, WANG, district, tokens},
    fakes::Edge,
    visitor::{heard, page, sign_in, signed_in},
};

/// The stream of a page that shows version 7.
fn path() -> String {
    format!("/cases/{CASE}/events?after=7")
}

async fn open(edge: &Edge, path: &str, cookie: &str) -> Response {
    edge.get(path).header("cookie", cookie).send().await.expect("an answer")
}

/// The case after its next step.
fn moved(etag: &str) -> Case {
    Case { etag: etag.into(), state: CaseState::Completed.into(), ..canned::case() }
}

/// What was asked for.
fn waits(edge: &Edge) -> Vec<WaitCaseRequest> {
    edge.services.calls("WaitCase").iter().map(|call| call.decode()).collect()
}

/// Waits until somebody has asked for what comes after this version.
async fn asked_after(edge: &Edge, etag: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !waits(edge).iter().any(|wait| wait.after_etag == etag) {
        assert!(tokio::time::Instant::now() < deadline, "asked after {etag:?} in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_open_case_is_told_again_when_it_changes_and_only_then() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    let (_, html) = page(&edge, &format!("/cases/{CASE}"), &session).await;
    assert!(html.contains(&format!("data-live=\"{}\"", path())), "{html}");
    let read = edge.services.calls("GetTimeline").len();
    let mut zh = open(&edge, &path(), &session).await;
    let mut en = open(&edge, &path(), &format!("{session}; jh_lang=en")).await;
    assert_eq!(zh.headers()["content-type"], "text/event-stream");
    assert_eq!(zh.headers()["x-accel-buffering"], "no");
    edge.services.asked("WaitCase", 4).await;
    for wait in waits(&edge) {
        assert_eq!((wait.case_id.as_str(), wait.after_etag.as_str()), (CASE, "7"));
        assert!(wait.wait_seconds > 0);
    }
    let calls = edge.services.calls("WaitCase");
    assert_eq!(calls[0].header("authorization").as_deref(), Some(canned::bearer(600).as_str()));
    assert_eq!(edge.services.calls("GetTimeline").len(), read, "nothing is made of what has not changed");

    canned::case_is(&edge.services, moved("8"));
    let said = heard(&mut zh, "待核查").await;
    assert!(said.contains("event: case") && said.contains("id: 8"), "{said}");
    assert_eq!(said.matches("event: ").count(), 1, "{said}");
    assert!(heard(&mut en, "to be verified").await.contains("event: case"));
    asked_after(&edge, "8").await; // and on from there
}

#[tokio::test]
async fn a_stream_goes_on_from_what_its_window_shows() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    // What happened after the page was made is told at once.
    canned::case_is(&edge.services, moved("8"));
    let mut stream = open(&edge, &path(), &session).await;
    heard(&mut stream, "id: 8").await;
    drop(stream);
    // A browser that comes back says what it heard last.
    canned::case_is(&edge.services, moved("9"));
    let request = edge.get(&path()).header("cookie", &session).header("last-event-id", "8");
    let mut stream = request.send().await.expect("an answer");
    heard(&mut stream, "id: 9").await;
    assert!(waits(&edge).iter().any(|wait| wait.after_etag == "8"));
    // What is no version stands for none.
    let mut stream = open(&edge, &format!("/cases/{CASE}/events?after=%0Ax"), &session).await;
    heard(&mut stream, "id: 9").await;
    assert!(waits(&edge).iter().any(|wait| wait.after_etag.is_empty()));
}

#[tokio::test]
async fn a_stream_ends_with_its_session_with_its_reach_and_before_its_token() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    assert!(heard(&mut open(&edge, &path(), "").await, "never").await.contains("event: expired"));
    assert!(waits(&edge).is_empty(), "nobody asks for nobody");

    // Nothing is asked for again and again that is refused for good.
    for (status, event) in [
        (Status::unauthenticated("revoked"), "event: expired"),
        (Status::not_found("case"), "event: gone"),
        (Status::permission_denied("not permitted"), "event: gone"),
        (Status::invalid_argument("case_id: not an id"), "event: gone"),
    ] {
        canned::case_is(&edge.services, canned::case());
        let mut stream = open(&edge, &path(), &session).await;
        edge.services.refuse("WaitCase", status);
        let said = heard(&mut stream, "never").await; // until it ends
        assert!(said.contains(event) && !said.contains("event: case"), "{said}");
    }
    // Ended elsewhere: what changes then is not shown any more.
    canned::case_is(&edge.services, canned::case());
    let mut stream = open(&edge, &path(), &session).await;
    edge.services.refuse("GetTimeline", Status::unauthenticated("revoked"));
    canned::case_is(&edge.services, moved("8"));
    let said = heard(&mut stream, "never").await;
    assert!(said.contains("event: expired") && !said.contains("event: case"), "{said}");

    canned::case_is(&edge.services, canned::case());
    edge.services.answer("SignIn", &tokens(11));
    edge.services.refuse("RefreshToken", Status::unavailable("later"));
    let old = sign_in(&edge).await;
    let said = heard(&mut open(&edge, &path(), &old).await, "never").await;
    assert_eq!(said, "", "it ends by itself, and the browser comes back");
}

#[tokio::test]
async fn while_a_service_is_away_the_page_keeps_what_it_shows_and_hears_of_the_change_later() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    edge.services.refuse("WaitCase", Status::unavailable("later"));
    let mut stream = open(&edge, &path(), &session).await;
    edge.services.asked("WaitCase", 2).await;
    canned::case_is(&edge.services, moved("8"));
    heard(&mut stream, "id: 8").await;
    // Of one call of several, too.
    edge.services.refuse("GetTimeline", Status::unavailable("later"));
    let asked = edge.services.calls("GetTimeline").len();
    canned::case_is(&edge.services, moved("9"));
    edge.services.asked("GetTimeline", asked + 2).await;
    edge.services.answer("GetTimeline", &GetTimelineResponse::default());
    let said = heard(&mut stream, "id: 9").await;
    assert!(!said.contains("event: expired") && !said.contains("event: gone"), "{said}");
}

#[tokio::test]
async fn a_person_has_so_many_windows_on_cases_in_all_sessions_and_no_more_until_one_closes() {
    let edge = district(None).await;
    let (session, again) = (signed_in(&edge, LI, 1).await, signed_in(&edge, LI, 2).await);
    let mut windows = Vec::new();
    for n in 0..16 {
        let window = open(&edge, &path(), if n % 2 == 0 { &session } else { &again }).await;
        assert_eq!(window.status(), 200);
        windows.push(window);
    }
    assert_eq!(open(&edge, &path(), &session).await.status(), 503);
    assert_eq!(open(&edge, &path(), &again).await.status(), 503);
    let other = signed_in(&edge, WANG, 1).await;
    assert_eq!(open(&edge, &path(), &other).await.status(), 200, "somebody else has their own");
    drop(windows.pop());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while open(&edge, &path(), &session).await.status() != 200 {
        assert!(tokio::time::Instant::now() < deadline, "there is room again in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
