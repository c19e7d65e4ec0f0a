//! Server-sent events: the board's live part again whenever analytics' revision has moved. A stream ends with the
//! session or the server, and the browser comes back by itself.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream};

use super::{lang::Lang, pages, session::Session};
use crate::App;

/// How often a stream asks; one answer of analytics is cheap however many cases there are.
const ASK_EVERY: Duration = Duration::from_millis(1000);
/// A stream is ended after this, so that a renewed session is picked up.
const LONGEST: Duration = Duration::from_secs(300);

/// The stream of a signed-in reader.
pub async fn events(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(open) = pages::session_of(&app, &headers).await else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let lang = Lang::of(&headers);
    let stream = updates(app, open.session, lang);
    let mut response = Sse::new(stream).keep_alive(KeepAlive::default()).into_response();
    if let Some(cookie) = open.cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

struct Reader {
    app: Arc<App>,
    session: Session,
    lang: Lang,
    shown: String,
    until: tokio::time::Instant,
    ended: bool,
}

fn updates(app: Arc<App>, session: Session, lang: Lang) -> impl Stream<Item = Result<Event, Infallible>> {
    let until = tokio::time::Instant::now() + LONGEST;
    let reader = Reader { app, session, lang, shown: String::new(), until, ended: false };
    stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    })
}

impl Reader {
    /// Waits for a board that looks different; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        loop {
            match pages::fetch_board(&self.app, &self.session).await {
                Ok(board) => {
                    let body = pages::board_body(self.lang, &board);
                    if body != self.shown {
                        self.shown.clone_from(&body);
                        return Some(Event::default().event("board").data(body));
                    }
                }
                Err(status) if status.code() == tonic::Code::Unauthenticated => {
                    self.ended = true;
                    return Some(Event::default().event("expired").data(""));
                }
                Err(_) => {} // analytics is away for a moment; the page keeps what it shows
            }
            tokio::select! {
                () = tokio::time::sleep(ASK_EVERY) => {}
                () = self.app.stopping() => return None,
            }
            if tokio::time::Instant::now() > self.until {
                return None;
            }
        }
    }
}
