//! The board: rendered on the server, live by server-sent events, in Chinese with an English switch. It shows what the
//! signed-in person may see, because it asks the services with that person's token.

mod account;
mod arrivals;
mod case_page;
mod case_stream;
mod csv;
mod duties;
mod duty_forms;
mod five;
mod hotspots;
mod lang;
mod links;
mod mediations;
mod names;
mod notices;
mod pages;
mod password;
mod reader;
mod refusal;
mod session;
mod steps;
mod stream;
mod view;

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{clock::Clock, crypto::Crypto};

use self::links::Links;
pub(crate) use self::{
    lang::{Lang, bare},
    view::local,
};
use crate::{App, Config, places::Places, problem::Problem};

/// What the board needs besides the services.
pub struct Board {
    crypto: Crypto,
    clock: Clock,
    cookie_name: &'static str,
    names: names::NameCache,
    feeds: stream::Feeds,
    /// Windows on the board.
    windows: Arc<Places>,
    /// Windows on cases.
    case_windows: Arc<Places>,
    /// First day of the period shown, `YYYY-MM-DD`; empty until the first answer.
    period_start: RwLock<String>,
}

impl Board {
    /// Reads the key that seals sessions (`JIANGHAN_KEY_FILE`).
    ///
    /// # Errors
    /// When the key file cannot be used.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            crypto: Crypto::load(Path::new(&config.key_file))?,
            clock: Clock::system(),
            // The prefix makes browsers insist on Secure and Path=/; it can only be used over TLS.
            cookie_name: if config.is_https() { "__Host-jh_session" } else { "jh_session" },
            names: names::NameCache::default(),
            feeds: stream::Feeds::default(),
            windows: Places::new(stream::MOST, stream::MOST_WINDOWS),
            case_windows: Places::new(case_stream::MOST, stream::MOST_WINDOWS),
            period_start: RwLock::default(),
        })
    }

    fn period_start(&self) -> String {
        self.period_start.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_period_start(&self, day: String) {
        *self.period_start.write().unwrap_or_else(PoisonError::into_inner) = day;
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn cookie_name(&self) -> &'static str {
        self.cookie_name
    }

    fn feeds(&self) -> &stream::Feeds {
        &self.feeds
    }

    fn windows(&self) -> &Arc<Places> {
        &self.windows
    }

    fn case_windows(&self) -> &Arc<Places> {
        &self.case_windows
    }

    fn real_now(&self) -> session::Instant {
        self.clock.real_now()
    }
}

/// The board's routes. What changes something is taken from this site alone.
pub fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/", get(pages::board))
        .route("/events", get(stream::events))
        .route("/cases", get(pages::cases).post(pages::find))
        .route("/cases.csv", post(csv::cases))
        .route("/cases/{case_id}", get(case_page::case))
        .route("/cases/{case_id}/events", get(case_stream::events))
        .route("/duties", get(duties::duties))
        .route("/duties/{duty_transfer_id}", get(duties::duty).post(duty_forms::duty))
        .route("/admissions/{admission_id}", get(duties::admission).post(duty_forms::admission))
        .route("/hotspots", get(hotspots::hotspots).post(hotspots::answer))
        .route("/mediations", get(mediations::mediations))
        .route("/notices", get(notices::notices))
        .route("/password", get(password::form).post(password::change))
        .route("/login", get(account::login).post(account::sign_in))
        .route("/logout", post(account::sign_out))
        .route("/language", post(account::language))
        .route("/static/board.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], CSS)))
        .route(
            "/static/board.js",
            get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], JS)),
        )
        .route("/favicon.ico", get(async || ([(header::CONTENT_TYPE, "image/svg+xml")], ICON)))
        .layer(DefaultBodyLimit::max(MOST_FORM))
        .route_layer(middleware::from_fn_with_state(app.clone(), session::from_this_site))
}

/// The answer where nothing is: a page to whoever looks with a browser, the problem of the API to all others.
pub async fn nowhere(State(app): State<Arc<App>>, method: Method, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|types| types.to_str().ok());
    if method != Method::GET || !accepts.is_some_and(|types| types.contains("text/html")) {
        return Problem::no_route().into_response();
    }
    let lang = Lang::of(&headers);
    let message = lang.t("没有这个页面。", "There is no such page.");
    refusal::told(lang, "/", Links::kept(&app, &headers), StatusCode::NOT_FOUND, message)
}

/// Largest form, in bytes: a text of 4,000 characters has at most 48,000, as forms write it.
const MOST_FORM: usize = 64 << 10;

const CSS: &str = include_str!("../../static/board.css");
const JS: &str = include_str!("../../static/board.js");
const ICON: &str = include_str!("../../static/icon.svg");
