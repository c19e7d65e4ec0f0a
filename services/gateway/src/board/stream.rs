//! Server-sent events: the board's live part again whenever it looks different. One feed per session asks analytics for
//! all of the session's windows. A stream ends before the token it asks with does; the browser comes back by itself and
//! its session is renewed then.

use std::{
    collections::{HashMap, hash_map::Entry},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream::{self, Stream, StreamExt};
use proto::analytics::v1::GetBoardResponse;
use tokio::sync::watch;

use super::{
    lang::Lang,
    links::Links,
    pages,
    session::{Closed, Session},
    view::with_cookies,
};
use crate::{App, places::Place};

/// How often a feed asks; one answer of analytics is cheap however many cases there are.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(1000);
/// A stream is ended after this, so that a renewed session is picked up.
pub(super) const LONGEST: Duration = Duration::from_secs(300);
/// A feed, and a window on a case, end this long before their token does.
pub(super) const MARGIN_SECONDS: i64 = 10;
/// Sessions that watch at once.
const MOST_FEEDS: usize = 500;
/// Windows of a person, however often signed in: on the board, and as many on cases.
pub(super) const MOST_WINDOWS: usize = 16;
/// Windows on the board, of all persons.
pub(super) const MOST: usize = MOST_FEEDS * MOST_WINDOWS;
/// How long the browser waits before it comes back.
pub(super) const COME_BACK: Duration = Duration::from_secs(2);

/// What a feed knows.
#[derive(Clone, Debug)]
enum News {
    Nothing,
    Board(Arc<GetBoardResponse>),
    Expired,
    Gone,
}

/// The feeds in hand, by access token.
#[derive(Debug, Default)]
pub struct Feeds(Mutex<HashMap<String, Arc<watch::Sender<News>>>>);

impl Feeds {
    /// Follows the session's feed, starting it if need be; `None` when too many sessions watch.
    fn follow(&self, app: &Arc<App>, session: &Session) -> Option<watch::Receiver<News>> {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = feeds.len() >= MOST_FEEDS;
        match feeds.entry(session.access.clone()) {
            Entry::Occupied(feed) => Some(feed.get().subscribe()),
            Entry::Vacant(_) if full => None,
            Entry::Vacant(empty) => {
                let (sender, receiver) = watch::channel(News::Nothing);
                let sender = empty.insert(Arc::new(sender)).clone();
                tokio::spawn(ask(app.clone(), session.clone(), sender));
                Some(receiver)
            }
        }
    }

    /// Forgets a feed; `false` when somebody has come back to it and it was only to go if unused.
    fn forget(&self, access: &str, only_unused: bool) -> bool {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = feeds.get(access).is_some_and(|feed| feed.receiver_count() > 0);
        if only_unused && used {
            return false;
        }
        feeds.remove(access);
        true
    }
}

/// Asks analytics until nobody listens, it refuses, the token runs out or the server stops.
async fn ask(app: Arc<App>, session: Session, feed: Arc<watch::Sender<News>>) {
    let mut told = None;
    while session.expires - MARGIN_SECONDS > app.board.real_now().timestamp() {
        match pages::fetch_board(&app, &session).await {
            Ok(board) => {
                let board = as_shown(board);
                if told.as_ref() != Some(&board) {
                    told = Some(board.clone());
                    feed.send_replace(News::Board(Arc::new(board)));
                }
            }
            Err(status) if status.code() == tonic::Code::Unauthenticated => {
                feed.send_replace(News::Expired);
                break;
            }
            // What is refused now is refused the next time too.
            Err(status) if status.code() == tonic::Code::PermissionDenied => {
                feed.send_replace(News::Gone);
                break;
            }
            Err(_) => {} // analytics is away for a moment; the page keeps what it shows
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = app.stopping() => break,
            () = feed.closed() => {
                if app.board.feeds().forget(&session.access, true) {
                    return;
                }
            }
        }
    }
    app.board.feeds().forget(&session.access, false);
}

/// The board without what changes all the time and is not shown: seconds and the watermark.
fn as_shown(mut board: GetBoardResponse) -> GetBoardResponse {
    board.watermark = None;
    if let Some(time) = &mut board.domain_time {
        time.seconds -= time.seconds.rem_euclid(60);
        time.nanos = 0;
    }
    board
}

/// The stream of a signed-in reader.
pub async fn events(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let lang = Lang::of(&headers);
    let open = match Session::of(&app, &headers).await {
        Ok(open) => open,
        // An error status would make browsers give up for good; these let them act and come back.
        Err(Closed::SignedOut) => return sse(stream::iter([expired()])),
        Err(Closed::Away) => return sse(stream::empty()),
    };
    let place = app.board.windows().take(&open.session.access);
    let feed = place.and_then(|place| Some((place, app.board.feeds().follow(&app, &open.session)?)));
    let Some((place, feed)) = feed else {
        return with_cookies(StatusCode::SERVICE_UNAVAILABLE.into_response(), open.cookies);
    };
    let until = tokio::time::Instant::now() + LONGEST;
    let links = Links::of(&open.session);
    let reader = Reader { feed, lang, links, shown: String::new(), until, ended: false, _place: place };
    let updates = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await?;
        Some((event, reader))
    });
    with_cookies(sse(updates), open.cookies)
}

pub(super) fn sse(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    // A proxy that gathers answers (nginx, unless told otherwise) would keep the events to itself.
    let unbuffered = [("x-accel-buffering", "no")];
    (unbuffered, Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(KeepAlive::default())).into_response()
}

/// The session has ended.
pub(super) fn expired() -> Event {
    Event::default().event("expired").data("-") // browsers drop events without data
}

/// What is shown is not for the reader any more, or cannot be had: the page itself says so.
pub(super) fn gone() -> Event {
    Event::default().event("gone").data("-") // as above
}

/// One window.
struct Reader {
    feed: watch::Receiver<News>,
    lang: Lang,
    links: Links,
    shown: String,
    until: tokio::time::Instant,
    ended: bool,
    _place: Place,
}

impl Reader {
    /// Waits for a board that looks different; `None` ends the stream.
    async fn next(&mut self) -> Option<Event> {
        while !self.ended {
            let news = self.feed.borrow_and_update().clone();
            match news {
                News::Board(board) => {
                    // Events cannot carry carriage returns.
                    let body = pages::board_body(self.lang, self.links, &board).replace('\r', "");
                    if body != self.shown {
                        self.shown.clone_from(&body);
                        return Some(Event::default().event("board").retry(COME_BACK).data(body));
                    }
                }
                News::Expired => {
                    self.ended = true;
                    return Some(expired());
                }
                News::Gone => {
                    self.ended = true;
                    return Some(gone());
                }
                News::Nothing => {}
            }
            tokio::select! {
                changed = self.feed.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.until) => return None,
            }
        }
        None
    }
}
