//! An HTTP server that a test holds in its hands: it keeps what it was sent and answers as it is told, also badly.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// Method and target, such as `POST /hook`.
    pub target: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

/// How a request is answered.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status with headers (each `name: value`) and a body.
    Answer(u16, Vec<String>, String),
    /// The same, after a while.
    Late(Duration, u16),
    /// A status, as soon as this says so.
    Held(watch::Receiver<bool>, u16),
    /// The connection is closed without an answer.
    Cut,
    /// Never.
    Hang,
}

impl Reply {
    /// A status alone.
    pub fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new(), String::new())
    }
}

type Behaviour = Box<dyn FnMut(&Received) -> Reply + Send>;

/// The server. It ends when it is dropped.
pub struct TestHttp {
    /// Where it listens.
    pub addr: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    behaviour: Arc<Mutex<Behaviour>>,
    _serving: AbortOnDropHandle<()>,
}

impl std::fmt::Debug for TestHttp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestHttp").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl TestHttp {
    /// Listens on a free port of this machine and answers as `behaviour` says.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(behaviour: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let behaviour: Arc<Mutex<Behaviour>> = Arc::new(Mutex::new(Box::new(behaviour)));
        let (kept, asked) = (received.clone(), behaviour.clone());
        let serving = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, kept.clone(), asked.clone()));
                while open.try_join_next().is_some() {}
            }
        });
        Self { addr, received, behaviour, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Answers otherwise from now on.
    pub fn answers(&self, behaviour: impl FnMut(&Received) -> Reply + Send + 'static) {
        *self.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(behaviour);
    }

    /// Everything that arrived, in order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An address on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

async fn serve(stream: TcpStream, kept: Arc<Mutex<Vec<Received>>>, asked: Arc<Mutex<Behaviour>>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let reply = (asked.lock().unwrap_or_else(PoisonError::into_inner))(&request);
        let (status, headers, body) = match reply {
            Reply::Answer(status, headers, body) => (status, headers, body),
            Reply::Late(wait, status) => {
                tokio::time::sleep(wait).await;
                (status, Vec::new(), String::new())
            }
            Reply::Held(mut says, status) => {
                drop(says.wait_for(|go| *go).await); // who is gone holds nothing back
                (status, Vec::new(), String::new())
            }
            Reply::Cut => return,
            Reply::Hang => std::future::pending().await,
        };
        let mut text = format!("HTTP/1.1 {status} Told\r\ncontent-length: {}\r\n", body.len());
        for header in headers {
            text.push_str(&header);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        text.push_str(&body);
        if stream.get_mut().write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut lines = lines.into_iter();
    let first = lines.next()?;
    let target = first.rsplit_once(' ').map_or_else(|| first.clone(), |(target, _)| target.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let mut body = vec![0; length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { target, headers, body })
}
