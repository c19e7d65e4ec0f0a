//! Bodies of requests in hand. They are read before anybody is asked who sends them, and whoever sent many of them, and never their
//! end, would fill the memory that all have. So there is room for so many bytes, of them for so many of one client. It is taken as they
//! come, for a length that is only told costs nothing, and left when the answer begins.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::body::{Frame, SizeHint};

use crate::{
    clients::{Client, Proxies},
    places::{Place, Places},
    problem::Problem,
    rest::too_many,
};

/// Bytes of all bodies in hand: a sixth of what a replica has (charts/service/values.yaml).
const MOST: usize = 64 << 20;
/// Of one client: several of the largest that REST takes.
const MOST_OF_ONE: usize = 16 << 20;

/// Who has how much in hand.
pub(crate) struct Bodies {
    proxies: Proxies,
    room: Arc<Places>,
    /// Tells those apart who cannot be told: each of their requests counts by itself.
    requests: AtomicU64,
}

impl Bodies {
    /// Of clients that these proxies tell.
    pub fn behind(proxies: &Proxies) -> Arc<Self> {
        Self::new(proxies.clone(), MOST, MOST_OF_ONE)
    }

    fn new(proxies: Proxies, most: usize, most_of_one: usize) -> Arc<Self> {
        Arc::new(Self { proxies, room: Places::new(most, most_of_one), requests: AtomicU64::new(0) })
    }

    /// For the body of a request, of which nothing has come yet.
    fn place(&self, client: Client) -> Option<Place> {
        match client.address() {
            Some(address) => self.room.take_as(address),
            None => self.room.take_as(self.requests.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

/// The room that a body has.
struct Held {
    place: Mutex<Place>,
    refused: AtomicBool,
}

impl Held {
    /// Whether there is room for so many more bytes.
    fn takes(&self, bytes: usize) -> bool {
        let room = self.place.lock().unwrap_or_else(PoisonError::into_inner).grow(bytes);
        if !room {
            self.refused.store(true, Ordering::Relaxed);
        }
        room
    }
}

/// A body that fails where there is no room for it.
struct Counted {
    body: Body,
    held: Arc<Held>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && !self.held.takes(data.len())
        {
            return Poll::Ready(Some(Err(axum::Error::new("there is no room for the body"))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Refuses with 429 what there is no room for.
pub(crate) async fn bounded(State(bodies): State<Arc<Bodies>>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Some(place) = bodies.place(Client::told(&bodies.proxies, &parts)) else { return no_room() };
    let held = Arc::new(Held { place: Mutex::new(place), refused: AtomicBool::new(false) });
    let body = Body::new(Counted { body, held: held.clone() });
    let response = next.run(Request::from_parts(parts, body)).await;
    // Whoever read it takes it for a body that is too large or was broken off.
    if held.refused.load(Ordering::Relaxed) { no_room() } else { response }
}

fn no_room() -> Response {
    Box::<Problem>::from(too_many()).into_response()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{Router, middleware, routing::post};
    use futures::{
        FutureExt,
        stream::{self, StreamExt},
    };
    use http::header;
    use tower::ServiceExt;

    use super::*;
    use crate::clients::Peer;

    const MIB: usize = 1 << 20;

    /// So many bytes of somebody, and more that do not come.
    fn stalled(from: [u8; 4], bytes: usize) -> Request {
        let sent = stream::iter([Ok::<_, Infallible>(vec![b' '; bytes])]);
        let body = Body::from_stream(sent.chain(stream::pending()));
        let mut request = http::Request::post("/").body(body).expect("a request");
        request.extensions_mut().insert(Peer(from.into()));
        request
    }

    fn router(proxies: &str, most: usize, most_of_one: usize) -> Router {
        let proxies = Proxies::read(|_| Some(proxies.to_owned())).expect("acceptable");
        let bodies = Bodies::new(proxies, most, most_of_one);
        Router::new()
            .route("/", post(async |body: Bytes| body.len().to_string()))
            .layer(middleware::from_fn_with_state(bodies, bounded))
    }

    #[tokio::test]
    async fn bodies_that_do_not_end_are_few_and_leave_their_room_when_they_go() {
        let router = router("", 3 * MIB, 3 * MIB);
        let mut held = Vec::new();
        // From inside they may be anybody's: what counts is how much they are.
        for _ in 0..2 {
            let mut request = Box::pin(router.clone().oneshot(stalled([127, 0, 0, 1], MIB)));
            assert!((&mut request).now_or_never().is_none(), "it waits for the rest");
            held.push(request);
        }
        for _ in 0..3 {
            let refused = router.clone().oneshot(stalled([127, 0, 0, 1], MIB)).now_or_never();
            let refused = refused.expect("at once").expect("an answer");
            assert_eq!(refused.status(), 429);
            assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
        }
        let small = http::Request::post("/").body(Body::from("small")).expect("a request");
        assert_eq!(router.clone().oneshot(small).await.expect("an answer").status(), 200);
        drop(held);
        let whole = http::Request::post("/").body(Body::from(vec![b' '; MIB])).expect("a request");
        assert_eq!(router.oneshot(whole).await.expect("an answer").status(), 200);
    }

    #[tokio::test]
    async fn one_client_leaves_room_for_the_others() {
        let router = router("none", 4 * MIB, MIB);
        let mut held = Box::pin(router.clone().oneshot(stalled([8, 8, 8, 8], MIB - 1)));
        assert!((&mut held).now_or_never().is_none(), "it waits for the rest");
        let refused = router.clone().oneshot(stalled([8, 8, 8, 8], 1)).now_or_never();
        assert_eq!(refused.expect("at once").expect("an answer").status(), 429);
        let mut other = Box::pin(router.oneshot(stalled([9, 9, 9, 9], MIB / 2)));
        assert!((&mut other).now_or_never().is_none(), "it waits for the rest");
    }
}
