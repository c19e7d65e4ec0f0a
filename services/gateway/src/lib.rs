//! The HTTP edge: every public RPC as REST/JSON, the OpenAPI and the AsyncAPI document, and the board. It holds no state and is no
//! credential: it carries the caller's token on, and each service checks it for itself. Its key seals cookies and nothing else.

pub mod asyncapi;
pub mod board;
mod bodies;
mod clients;
pub mod config;
pub mod export;
mod failures;
mod headers;
mod listen;
mod places;
pub mod problem;
mod process;
pub mod rest;
mod schema;
mod writing;

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};

pub use clients::Proxies;
pub use config::Config;
pub use process::run;

/// Largest answer taken from a service, in bytes. Pages of long texts end well before that, but not those of services of earlier
/// builds.
pub const MAX_ANSWER: usize = 16 << 20;

/// Everything the handlers share.
pub struct App {
    /// Configuration.
    pub config: Config,
    /// Routes read from the descriptors.
    pub bindings: Arc<rest::binding::Bindings>,
    /// The board's own state: names of units and organisations.
    pub board: board::Board,
    channels: HashMap<String, Channel>,
    /// For calls that wait.
    waiting: HashMap<String, Channel>,
    /// Room for those that come in over REST.
    rest_waits: Arc<places::Places>,
    /// Room for those who try passwords.
    tries: Arc<places::Places>,
    /// Room for those who wait for it.
    tries_waiting: Arc<places::Places>,
    /// Those that failed.
    failures: Arc<failures::Failures>,
    /// The OpenAPI document, once somebody has asked for it.
    openapi: OnceLock<Bytes>,
    stopping: CancellationToken,
}

impl App {
    /// Reads the descriptors and opens the address book, without connecting yet.
    ///
    /// # Errors
    /// When an annotation or an address cannot be used.
    pub fn new(config: Config, stopping: CancellationToken) -> anyhow::Result<Arc<Self>> {
        let bindings = rest::binding::Bindings::from_descriptors().map_err(anyhow::Error::msg)?;
        let (mut channels, mut waiting) = (HashMap::new(), HashMap::new());
        for (service, address) in &config.addresses {
            let endpoint = Endpoint::from_shared(address.clone())
                .with_context(|| format!("the address of {service} is not acceptable"))?
                .connect_timeout(Duration::from_secs(3))
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(20));
            channels.insert(service.clone(), endpoint.connect_lazy());
            waiting.insert(service.clone(), endpoint.connect_lazy());
        }
        if let Some(binding) = bindings.iter().find(|binding| !channels.contains_key(binding.service)) {
            anyhow::bail!("the address book does not name {}", binding.service);
        }
        let board = board::Board::new(&config)?;
        let rest_waits = places::Places::new(rest::MOST_WAITS, rest::MOST_WAITS_OF_ONE);
        let tries = places::Places::new(clients::MOST, clients::MOST_OF_ONE);
        let tries_waiting = places::Places::new(clients::MOST, clients::MOST_WAITING_OF_ONE);
        Ok(Arc::new(Self {
            config,
            bindings,
            board,
            channels,
            waiting,
            rest_waits,
            tries,
            tries_waiting,
            failures: failures::Failures::new(failures::WINDOW, failures::KEPT),
            openapi: OnceLock::new(),
            stopping,
        }))
    }

    /// The channel to a service of the address book.
    pub fn channel(&self, service: &str) -> Channel {
        self.channels[service].clone() // `new` has seen every service in the address book
    }

    /// The channel for calls that wait. A connection takes only so many calls at once: those that work have one of their own.
    pub fn waiting_channel(&self, service: &str) -> Channel {
        self.waiting[service].clone() // as above
    }

    /// The OpenAPI document as JSON. It is large, always the same and seldom asked for: made when it first is.
    fn openapi(&self) -> Bytes {
        let document = || rest::openapi::document(&self.bindings, &self.config.public_url).to_string();
        self.openapi.get_or_init(|| document().into()).clone()
    }

    /// Ends when the server is asked to stop; long-lived answers end with it.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }
}

/// All routes.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready))
        .route("/openapi.json", get(async |State(app): State<Arc<App>>| document(app.openapi())))
        .route("/asyncapi.json", get(async || document(asyncapi::text())))
        .route("/v1/{*path}", any(rest::serve))
        .merge(board::routes(&app))
        .fallback(board::nowhere)
        .method_not_allowed_fallback(async || *problem::Problem::wrong_verb(&[]))
        .layer(middleware::from_fn_with_state(bodies::Bodies::behind(&app.config.proxies), bodies::bounded))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(app.clone(), headers::secure))
        .layer(middleware::from_fn(headers::observe))
        .with_state(app)
}

/// A JSON document as an answer.
fn document(json: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], json)
}

/// Within what time an answer begins: a body that comes drop by drop holds nothing longer.
const ANSWER: Duration = Duration::from_secs(60);

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (*problem::Problem::too_slow()).into_response(),
    }
}

async fn ready(State(app): State<Arc<App>>) -> impl IntoResponse {
    if app.stopping.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else {
        (StatusCode::OK, "ready")
    }
}

/// Serves until `stop`, then lets answers in hand finish for at most ten seconds.
///
/// # Errors
/// When the server cannot go on.
pub async fn serve(config: Config, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    let app = App::new(config, stop.clone())?;
    let proxies = app.config.proxies.clone();
    let server = listen::serve(listener, router(app), proxies, listen::Limits::default(), &stop);
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    tokio::select! {
        () = server => {}
        () = deadline => {}
    }
    Ok(())
}
