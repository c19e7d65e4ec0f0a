//! The board's stream: told again when it changes, to all windows of a session by one feed.

use proto::analytics::v1::GetBoardResponse;
use tonic::Status;

use crate::{
    canned::{self, LI, WANG, board, district},
    visitor::{heard, sign_in, signed_in},
};

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
    assert_eq!(zh.headers()["x-accel-buffering"], "no");
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

#[tokio::test]
async fn a_person_has_so_many_windows_on_the_board_however_often_signed_in() {
    let edge = district(None).await;
    let open =
        async |cookie: &str| edge.get("/events").header("cookie", cookie).send().await.expect("an answer");
    let sessions = [signed_in(&edge, LI, 1).await, signed_in(&edge, LI, 2).await];
    let mut windows = Vec::new();
    for n in 0..16 {
        let window = open(&sessions[n % 2]).await;
        assert_eq!(window.status(), 200);
        windows.push(window);
    }
    for session in [&sessions[0], &signed_in(&edge, LI, 3).await] {
        assert_eq!(open(session).await.status(), 503);
    }
    let other = signed_in(&edge, WANG, 1).await;
    assert_eq!(open(&other).await.status(), 200, "somebody else has their own");
}

#[tokio::test]
async fn a_feed_that_is_refused_asks_once_and_says_that_the_board_is_gone() {
    let edge = district(None).await;
    let session = sign_in(&edge).await;
    edge.services.refuse("GetBoard", Status::permission_denied("not permitted"));
    let mut stream = edge.get("/events").header("cookie", &session).send().await.expect("an answer");
    let said = heard(&mut stream, "never").await; // until it ends
    assert!(said.contains("event: gone") && !said.contains("event: board"), "{said}");
    assert_eq!(edge.services.calls("GetBoard").len(), 1);
}
