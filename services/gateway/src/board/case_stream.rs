//! Server-sent events of one case: the part of its page that changes, again whenever the case has changed. Each window waits for the
//! change with its session's token. A stream ends before that token does; the browser comes back by itself, its session is
//! renewed then, and it says which version it shows, so that it misses nothing.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response, sse::Event},
};
use futures::stream;
use proto::case_routing::v1::{WaitCaseRequest, case_service_client::CaseServiceClient};
use serde::Deserialize;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{
    case_page,
    lang::Lang,
    session::{Closed, Session},
    stream::{ASK_EVERY, COME_BACK, LONGEST, MARGIN_SECONDS, expired, gone, sse},
    view::with_cookies,
};
use crate::{App, places::Place};

/// Windows on cases at once, of all persons. Each holds a call that waits, and with those over REST they are fewer than what
/// case-routing takes on one connection (`[grpc] max_streams`).
pub(super) const MOST: usize = 150;
/// How long one call waits; only then it is seen that the session has ended elsewhere.
const WAIT_SECONDS: i32 = 5;

/// What the page shows.
#[derive(Deserialize)]
pub struct Since {
    #[serde(default)]
    after: String,
}

/// The stream of a signed-in reader of a case.
pub async fn events(
    State(app): State<Arc<App>>,
    Path(case_id): Path<String>,
    Query(since): Query<Since>,
    headers: HeaderMap,
) -> Response {
    let lang = Lang::of(&headers);
    let open = match Session::of(&app, &headers).await {
        Ok(open) => open,
        // As for the board: an error status would make browsers give up for good.
        Err(Closed::SignedOut) => return sse(stream::iter([expired()])),
        Err(Closed::Away) => return sse(stream::empty()),
    };
    let Some(place) = app.board.case_windows().take(&open.session.access) else {
        return with_cookies(StatusCode::SERVICE_UNAVAILABLE.into_response(), open.cookies);
    };
    // A browser that comes back says what it has heard last.
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let shown = version(last.filter(|id| !id.is_empty()).unwrap_or(&since.after));
    let left = open.session.expires - MARGIN_SECONDS - app.board.real_now().timestamp();
    let now = Instant::now();
    let until = now + LONGEST.min(Duration::from_secs(u64::try_from(left).unwrap_or_default()));
    let session = open.session;
    let window =
        Window { app, session, lang, case_id, shown, until, ask_at: now, ended: false, _place: place };
    let updates = stream::unfold(window, |mut window| async move {
        let event = window.next().await?;
        Some((event, window))
    });
    with_cookies(sse(updates), open.cookies)
}

/// An etag of a case, which stands in events and comes back in URLs; empty where it is none.
fn version(text: &str) -> String {
    let is_version = text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_version { text.to_owned() } else { String::new() }
}

/// One window on one case.
struct Window {
    app: Arc<App>,
    session: Session,
    lang: Lang,
    case_id: String,
    /// Version that it shows; empty: none.
    shown: String,
    until: Instant,
    /// Not sooner, so that what fails or changes all the time costs little.
    ask_at: Instant,
    ended: bool,
    _place: Place,
}

impl Window {
    /// Waits for the case to change; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        while !self.ended {
            let ask = async {
                tokio::time::sleep_until(self.ask_at).await;
                (Instant::now(), self.ask().await)
            };
            let (since, answer) = tokio::select! {
                asked = ask => asked,
                () = self.app.stopping() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
            };
            self.ask_at = since + ASK_EVERY;
            match answer {
                Ok(Some((etag, body))) => {
                    self.shown = version(&etag);
                    let event = Event::default().event("case").id(&self.shown).retry(COME_BACK);
                    return Some(event.data(body.replace('\r', ""))); // events cannot carry carriage returns
                }
                Ok(None) => {} // nothing has changed
                Err(status) => match status.code() {
                    Code::Unauthenticated => {
                        self.ended = true;
                        return Some(expired());
                    }
                    // What is refused now is refused the next time too.
                    Code::NotFound | Code::PermissionDenied | Code::InvalidArgument => {
                        self.ended = true;
                        return Some(gone());
                    }
                    _ => {} // case-routing is away for a moment; the page keeps what it shows
                },
            }
        }
        None
    }

    /// The etag of the case and the part of its page that changes, once it has changed; nothing when the time is over.
    async fn ask(&self) -> Result<Option<(String, String)>, Status> {
        let request = WaitCaseRequest {
            case_id: self.case_id.clone(),
            after_etag: self.shown.clone(),
            wait_seconds: WAIT_SECONDS,
        };
        let mut cases = CaseServiceClient::new(self.app.waiting_channel("case-routing"));
        let answer = cases.wait_case(self.session.request(request)?).await?.into_inner();
        let changed = answer.changed;
        let Some(case) = answer.case.filter(|_| changed) else { return Ok(None) };
        let body = case_page::body(&self.app, &self.session, self.lang, &case).await?;
        Ok(Some((case.etag, body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_versions_stand_in_events() {
        for (text, expected) in [("7", "7"), ("", ""), ("x", ""), ("-1", ""), ("1\n2", ""), ("７", "")] {
            assert_eq!(version(text), expected, "{text:?}");
        }
        assert_eq!(version(&"9".repeat(20)), "");
    }
}
