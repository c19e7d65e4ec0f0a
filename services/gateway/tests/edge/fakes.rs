//! Services that answer as a test says, over real gRPC, and the gateway in front of them.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::State, http::Request, response::Response};
use http_body_util::BodyExt;
use prost::Message;
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, metadata::MetadataMap, service::Routes, transport::Server};

/// What a service was asked.
#[derive(Clone, Debug)]
pub struct Call {
    /// `package.Service/Method`.
    pub method: String,
    pub metadata: MetadataMap,
    pub message: Vec<u8>,
}

impl Call {
    pub fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.message.as_slice()).expect("the request is of this type")
    }

    pub fn header(&self, name: &str) -> Option<String> {
        self.metadata.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned)
    }
}

type Answer = Box<dyn Fn(&Call) -> Result<Vec<u8>, Status> + Send>;

/// Five services behind one port.
#[derive(Clone, Default)]
pub struct Services {
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    held: Arc<watch::Sender<HashSet<String>>>,
}

impl Services {
    /// From now on a method, named without its package, answers this.
    pub fn answer<M: Message>(&self, method: &str, message: &M) {
        let bytes = message.encode_to_vec();
        self.answer_by(method, move |_| Ok(bytes.clone()));
    }

    /// From now on a method answers by the request.
    pub fn answer_by(&self, method: &str, by: impl Fn(&Call) -> Result<Vec<u8>, Status> + Send + 'static) {
        self.answers.lock().expect("not poisoned").insert(method.to_owned(), Box::new(by));
    }

    /// From now on a method refuses.
    pub fn refuse(&self, method: &str, status: Status) {
        self.answer_by(method, move |_| Err(status.clone()));
    }

    /// From now on calls to a method wait until they are released.
    pub fn hold(&self, method: &str) {
        self.held.send_modify(|held| {
            held.insert(method.to_owned());
        });
    }

    /// Calls to a method are answered, also those that wait.
    pub fn release(&self, method: &str) {
        self.held.send_modify(|held| {
            held.remove(method);
        });
    }

    /// Waits until there were so many calls to a method.
    pub async fn asked(&self, method: &str, often: usize) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while self.calls(method).len() < often {
            assert!(tokio::time::Instant::now() < deadline, "{method} was not called {often} times in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Every call so far to a method.
    pub fn calls(&self, method: &str) -> Vec<Call> {
        let calls = self.calls.lock().expect("not poisoned");
        calls.iter().filter(|call| call.method.rsplit('/').next() == Some(method)).cloned().collect()
    }

    async fn start(&self, stop: CancellationToken) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(serve).with_state(self.clone());
        let routes: Routes = router.into();
        tokio::spawn(
            Server::builder()
                .add_routes(routes)
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned()),
        );
        address
    }
}

async fn serve(State(services): State<Services>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let call = Call {
        method: parts.uri.path().trim_start_matches('/').to_owned(),
        metadata: MetadataMap::from_headers(parts.headers),
        message: body[5..].to_vec(), // one frame: a flag and the length come first
    };
    let name = call.method.rsplit('/').next().unwrap_or_default().to_owned();
    services.calls.lock().expect("not poisoned").push(call.clone());
    let mut held = services.held.subscribe();
    drop(held.wait_for(|held| !held.contains(&name)).await);
    let answers = services.answers.lock().expect("not poisoned");
    let unknown = || Err(Status::unimplemented(format!("no test answers {name}")));
    match answers.get(&name).map_or_else(unknown, |answer| answer(&call)) {
        Err(status) => status.into_http(),
        Ok(message) => {
            let length = u32::try_from(message.len()).expect("a small message");
            let mut frame = vec![0];
            frame.extend(length.to_be_bytes());
            frame.extend(message);
            let mut trailers = axum::http::HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().expect("a value"));
            let body = axum::body::Body::from(frame).with_trailers(async { Some(Ok(trailers)) });
            let response = Response::builder().header("content-type", "application/grpc");
            response.body(Body::new(body)).expect("a response")
        }
    }
}

/// The gateway in front of the services, on a port of its own.
pub struct Edge {
    pub services: Services,
    pub url: String,
    pub http: reqwest::Client,
    stop: CancellationToken,
    _dir: KeyDir,
}

/// Where the key of one edge lies; goes with it.
struct KeyDir(std::path::PathBuf);

impl Drop for KeyDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Edge {
    pub async fn start() -> Self {
        Self::reached_at(None).await
    }

    /// With this public URL; the server's own address if there is none.
    pub async fn reached_at(public_url: Option<&str>) -> Self {
        Self::configured(|config| {
            if let Some(url) = public_url {
                config.public_url = url.to_owned();
            }
        })
        .await
    }

    /// With a changed configuration.
    pub async fn configured(change: impl FnOnce(&mut gateway::Config)) -> Self {
        let services = Services::default();
        let stop = CancellationToken::new();
        let address = services.start(stop.clone()).await;
        Self::before(services, &address, change, stop).await
    }

    /// In front of services that are not there.
    pub async fn alone() -> Self {
        // Nobody listens there.
        Self::before(Services::default(), "http://127.0.0.1:1", |_| (), CancellationToken::new()).await
    }

    async fn before(
        services: Services,
        address: &str,
        change: impl FnOnce(&mut gateway::Config),
        stop: CancellationToken,
    ) -> Self {
        let dir = std::env::temp_dir().join(format!("jh-edge-{}", chassis::clock::new_id().simple()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let key = dir.join("key");
        chassis::crypto::Crypto::create(&key).expect("a key");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let listen = listener.local_addr().expect("an address");
        let url = format!("http://{listen}");
        let names = ["identity", "case-routing", "staffing", "volunteer-matching", "analytics"];
        let mut config = gateway::Config {
            listen,
            public_url: url.clone(),
            key_file: key.display().to_string(),
            addresses: names.into_iter().map(|name| (name.to_owned(), address.to_owned())).collect(),
            proxies: gateway::Proxies::default(),
            demonstration: false,
        };
        change(&mut config);
        tokio::spawn(gateway::serve(config, listener, stop.clone()));
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
        Self { services, url, http: http.build().expect("a client"), stop, _dir: KeyDir(dir) }
    }

    pub fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.url))
    }
}

/// The JSON of an answer.
pub async fn json(response: reqwest::Response) -> serde_json::Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("JSON")
}
