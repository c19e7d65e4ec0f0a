//! The accepting loop of the edge: axum's own knows no limit in number or time, and whoever opened connections and said nothing, or
//! took nothing, would hold them all. So there are so many, and of them so many of one address. HTTP/1.1 alone, which proxies speak
//! with what is behind them: a version that has to be guessed first would be waited for without a limit.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    clients::{Peer, Proxies},
    places::{Place, Places},
    writing::Limited,
};

/// Largest head of a request, in bytes: the longest session in its cookies is a quarter of it.
const MOST_HEAD: usize = 64 << 10;

/// Connections and times that are granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Of one client; more are closed.
    pub connections_of_one: usize,
    /// Within what time a connection has to bring the head of a request, the first one and each further one: longer than proxies
    /// keep a connection that rests (60 s is usual), so that it is theirs to end it.
    pub head: Duration,
    /// Within what time something of what is written has to be taken; longer than proxies wait, too.
    pub taken: Duration,
    /// Within what time all of what is written has to be taken; of a stream each piece by itself.
    pub all_taken: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // More than all windows of the board that a replica serves (services/gateway/README.md).
        Self {
            connections: 10_000,
            connections_of_one: 1_000, // behind one address there may be a whole office
            head: Duration::from_secs(90),
            taken: Duration::from_secs(90),
            all_taken: Duration::from_secs(600),
        }
    }
}

/// Serves until `stop`, then finishes the answers in hand.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    proxies: Proxies,
    limits: Limits,
    stop: &CancellationToken,
) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head).max_buf_size(MOST_HEAD);
    let door = Door {
        listener,
        proxies,
        places: Arc::new(Semaphore::new(limits.connections)),
        of_one: Places::new(limits.connections, limits.connections_of_one),
    };
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = door.accept() => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let service = router.clone().map_request(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(peer);
            request
        });
        let stream = Limited::new(TokioIo::new(stream), limits.taken, limits.all_taken);
        let connection = server.serve_connection(stream, TowerToHyperService::new(service));
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // How a connection ended is its client's matter.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(door);
    open.shutdown().await;
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    proxies: Proxies,
    places: Arc<Semaphore>,
    of_one: Arc<Places>,
}

/// A place among all connections, and one among those of its client where that can be told.
type Held = (OwnedSemaphorePermit, Option<Place>);

impl Door {
    /// The next connection, where it comes from, and its place; `None` when there was none after all.
    async fn accept(&self) -> Option<(TcpStream, Peer, Held)> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        match self.listener.accept().await {
            Ok((stream, from)) => {
                let own = match self.proxies.connected(from.ip()) {
                    Some(client) => Some(self.of_one.take_as(client)?),
                    None => None,
                };
                let _ = stream.set_nodelay(true);
                Some((stream, Peer(from.ip()), (place, own)))
            }
            Err(error) => {
                // A client that was quicker to leave costs nothing; a process without free descriptors waits for some.
                tracing::debug!(%error, "no connection was accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::{body::Body, routing::get};
    use futures::stream::{self, StreamExt};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpSocket,
        sync::Notify,
    };

    use super::*;

    async fn listening(limits: Limits, stop: &CancellationToken) -> std::net::SocketAddr {
        serving(Router::new(), limits, stop).await
    }

    /// With more to ask for.
    async fn serving(router: Router, limits: Limits, stop: &CancellationToken) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let router = router.route("/", get(async || "here"));
        let stop = stop.clone();
        tokio::spawn(async move { serve(listener, router, Proxies::default(), limits, &stop).await });
        at
    }

    async fn answer(at: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn who_says_nothing_is_shut_out_and_others_are_served() {
        let stop = CancellationToken::new();
        let limits = Limits { connections: 1, head: Duration::from_millis(200), ..Limits::default() };
        let at = listening(limits, &stop).await;
        for said in ["", "GET / HTTP/1.1\r\nho", "PRI * HTTP/2"] {
            let mut silent = TcpStream::connect(at).await.unwrap();
            silent.write_all(said.as_bytes()).await.unwrap();
            // It holds the only place until its time is over.
            let answered = tokio::time::timeout(Duration::from_secs(20), answer(at)).await;
            assert!(answered.is_ok_and(|text| text.ends_with("here")), "{said:?}");
            let mut rest = Vec::new();
            let _ = silent.read_to_end(&mut rest).await;
            assert!(!String::from_utf8_lossy(&rest).contains("here"), "the head never came to its end");
        }
        stop.cancel();
    }

    #[tokio::test]
    async fn who_takes_nothing_of_an_answer_is_shut_out_and_a_stream_that_is_silent_goes_on() {
        let stop = CancellationToken::new();
        let go_on = Arc::new(Notify::new());
        let told = go_on.clone();
        let silent = move || {
            let told = told.clone();
            let more = async move {
                told.notified().await;
                Ok::<_, Infallible>("more")
            };
            let first = std::future::ready(Ok("first"));
            let body = Body::from_stream(stream::once(first).chain(stream::once(more)));
            std::future::ready(body)
        };
        let router = Router::new()
            .route("/much", get(async || vec![b' '; 64 << 20])) // more than the system holds for a client
            .route("/silent", get(silent));
        let limits = Limits { connections: 2, taken: Duration::from_millis(200), ..Limits::default() };
        let at = serving(router, limits, &stop).await;

        let mut listener = TcpStream::connect(at).await.unwrap();
        listener.write_all(b"GET /silent HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut heard = String::new();
        while !heard.contains("first") {
            let mut bytes = [0; 1024];
            let count = listener.read(&mut bytes).await.unwrap();
            assert!(count > 0, "it ended after {heard:?}");
            heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
        let deaf = TcpSocket::new_v4().unwrap();
        deaf.set_recv_buffer_size(4096).unwrap();
        let mut deaf = deaf.connect(at).await.unwrap();
        deaf.write_all(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // It holds the last place until its time is over.
        let answered = tokio::time::timeout(Duration::from_secs(20), answer(at)).await;
        assert!(answered.is_ok_and(|text| text.ends_with("here")));
        drop(deaf);
        go_on.notify_one();
        let rest = listener.read_to_string(&mut heard);
        tokio::time::timeout(Duration::from_secs(20), rest).await.unwrap().unwrap();
        assert!(heard.contains("more"), "{heard:?}");
        stop.cancel();
    }

    #[tokio::test]
    async fn who_takes_an_answer_for_too_long_is_shut_out() {
        let stop = CancellationToken::new();
        let router = Router::new().route("/much", get(async || vec![b' '; 64 << 20]));
        let limits = Limits { connections: 1, all_taken: Duration::from_millis(200), ..Limits::default() };
        let at = serving(router, limits, &stop).await;
        let slow = TcpSocket::new_v4().unwrap();
        slow.set_recv_buffer_size(4096).unwrap();
        let mut slow = slow.connect(at).await.unwrap();
        slow.write_all(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        // A byte now and then would be enough for the other limit, which is far.
        let answered = tokio::time::timeout(Duration::from_secs(20), answer(at)).await;
        assert!(answered.is_ok_and(|text| text.ends_with("here")));
        drop(slow);
        stop.cancel();
    }

    #[tokio::test]
    async fn one_client_takes_so_many_places_and_leaves_the_others() {
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
        let proxies = Proxies::read(|_| Some("none".to_owned())).unwrap();
        let limits = Limits { connections: 4, connections_of_one: 3, ..Limits::default() };
        let stopped = stop.clone();
        tokio::spawn(async move { serve(listener, router, proxies, limits, &stopped).await });
        let (mut silent, mut rest) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            silent.push(TcpStream::connect(at).await.unwrap());
        }
        for _ in 0..3 {
            let mut refused = TcpStream::connect(at).await.unwrap();
            let closed = tokio::time::timeout(Duration::from_secs(20), refused.read_to_end(&mut rest));
            let _ = closed.await.expect("it is closed at once");
        }
        assert!(rest.is_empty(), "nothing is said to it");
        let other = TcpSocket::new_v4().unwrap();
        other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut other = other.connect(at).await.unwrap();
        other.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        let heard = tokio::time::timeout(Duration::from_secs(20), other.read_to_string(&mut text));
        heard.await.unwrap().unwrap();
        assert!(text.ends_with("here"), "{text}");
        drop(silent);
        stop.cancel();
    }

    #[tokio::test]
    async fn a_head_of_a_request_has_an_end() {
        let stop = CancellationToken::new();
        let at = listening(Limits::default(), &stop).await;
        for (length, served) in [(32 << 10, true), (200 << 10, false)] {
            let mut stream = TcpStream::connect(at).await.unwrap();
            let cookie = "x".repeat(length);
            let head = format!("GET / HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(head.as_bytes()).await;
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            assert_eq!(String::from_utf8_lossy(&answer).contains("here"), served, "{length}");
        }
        stop.cancel();
    }

    #[tokio::test]
    async fn told_to_stop_it_ends() {
        let stop = CancellationToken::new();
        let at = listening(Limits::default(), &stop).await;
        assert!(answer(at).await.starts_with("HTTP/1.1 200"));
        stop.cancel();
        let refused = async {
            while TcpStream::connect(at).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), refused).await.expect("it listens no more");
    }
}
