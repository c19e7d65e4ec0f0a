//! The accepting loop of the edge: axum's own knows no limit in number or time, and whoever opened connections and said nothing, or
//! took nothing, would hold them all. HTTP/1.1 alone, which proxies speak with what is behind them: a version that has to be guessed
//! first would be waited for without a limit.

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

use crate::{clients::Peer, writing::Limited};

/// Connections and times that are granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Within what time a connection has to bring the head of a request, the first one and each further one: longer than proxies
    /// keep a connection that rests (60 s is usual), so that it is theirs to end it.
    pub head: Duration,
    /// Within what time something of what is written has to be taken; longer than proxies wait, too.
    pub taken: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        // More than all windows of the board that a replica serves (services/gateway/README.md).
        Self { connections: 10_000, head: Duration::from_secs(90), taken: Duration::from_secs(90) }
    }
}

/// Serves until `stop`, then finishes the answers in hand.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: &CancellationToken) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(limits.head);
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let service = router.clone().map_request(move |request: Request<hyper::body::Incoming>| {
            let mut request = request.map(axum::body::Body::new);
            request.extensions_mut().insert(peer);
            request
        });
        let stream = Limited::new(TokioIo::new(stream), limits.taken);
        let connection = server.serve_connection(stream, TowerToHyperService::new(service));
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // How a connection ended is its client's matter.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// The next connection, where it comes from, and its place; `None` when there was none after all.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, Peer(from.ip()), place))
        }
        Err(error) => {
            // A client that was quicker to leave costs nothing; a process without free descriptors waits for some.
            tracing::debug!(%error, "no connection was accepted");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
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
        tokio::spawn(async move { serve(listener, router, limits, &stop).await });
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
