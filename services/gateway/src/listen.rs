//! The accepting loop of the edge: axum's own knows no limit in number or time, and whoever opened connections and said nothing
//! would hold them all.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections and times that are granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Within what time a connection has to bring the head of a request, the first one and each further one.
    pub head: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 2_048, head: Duration::from_secs(30) }
    }
}

/// Serves until `stop`, then finishes the answers in hand.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: &CancellationToken) {
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    // Here no request begins a connection's time, but a connection that does not answer a ping is closed.
    server.http2().timer(TokioTimer::new()).keep_alive_interval(limits.head).keep_alive_timeout(limits.head);
    let places = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let service = router
            .clone()
            .map_request(|request: Request<hyper::body::Incoming>| request.map(axum::body::Body::new));
        let connection = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = open.watch(connection.into_owned());
        tokio::spawn(async move {
            // How a connection ended is its client's matter.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    open.shutdown().await;
}

/// The next connection and its place; `None` when there was none after all.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, place))
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
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn listening(limits: Limits, stop: &CancellationToken) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(async || "here"));
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
        let limits = Limits { connections: 1, head: Duration::from_millis(200) };
        let at = listening(limits, &stop).await;
        let mut silent = TcpStream::connect(at).await.unwrap();
        silent.write_all(b"GET / HTTP/1.1\r\nho").await.unwrap();
        // It holds the only place until its time is over.
        assert!(answer(at).await.ends_with("here"));
        let mut rest = Vec::new();
        let _ = silent.read_to_end(&mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains("here"), "the head never came to its end");
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
