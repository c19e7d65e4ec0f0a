//! The board's session: the tokens, sealed into cookies that scripts cannot read. The edge keeps nothing, so any
//! replica can answer. Requests that change something must come from this site.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use proto::identity::v1::{RefreshTokenRequest, SignInRequest, auth_service_client::AuthServiceClient};
use serde::{Deserialize, Serialize};
use tonic::Code;

use super::links;
use crate::App;

const PURPOSE: &str = "gateway.session";
/// Tokens are renewed when less than this is left. The grace of identity (`GRACE`) is this and the longest answer.
const RENEW_BEFORE_SECONDS: i64 = 120;
/// For how long a branch is tried again whose answer may have been lost: when its grace is over, identity takes it for a copy and ends the
/// session.
const TRIED_FOR: Duration = Duration::from_secs(120);
/// Browsers keep cookies of at most 4096 bytes with name and attributes; many grants make longer tokens.
const PIECE: usize = 3_500;
/// Most cookies a session takes.
const PIECES: usize = 4;
/// How long the board waits for a service.
const PATIENCE: Duration = Duration::from_secs(10);

/// A signed-in person.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// Access token.
    pub access: String,
    refresh: String,
    /// Unix second at which the access token runs out.
    pub expires: i64,
}

/// A session, and the cookies to set when its tokens were renewed.
pub struct Open {
    /// The session.
    pub session: Session,
    /// `Set-Cookie`, if the tokens are new.
    pub cookies: Vec<HeaderValue>,
}

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Nobody is signed in, or not any more.
    SignedOut,
    /// The tokens ran out and identity does not answer just now.
    Away,
}

impl Session {
    /// Signs in by name and password.
    ///
    /// # Errors
    /// What identity answered.
    pub async fn sign_in(app: &App, login: String, password: String) -> Result<Open, tonic::Status> {
        let mut auth = AuthServiceClient::new(app.channel("identity"));
        let answer = auth.sign_in(patient(SignInRequest { login, password })).await?.into_inner();
        let expires = answer.access_expire_time.map_or(0, |time| time.seconds);
        Self { access: answer.access_token, refresh: answer.refresh_token, expires }.opened(app)
    }

    /// The session of a request, renewed when its tokens are about to run out.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn of(app: &App, headers: &HeaderMap) -> Result<Open, Closed> {
        let (open, _) = Self::with_left(app, headers, RENEW_BEFORE_SECONDS, false).await?;
        Ok(open)
    }

    /// The session of a request, and the tokens of an answer to it that takes as long as its reader does. It is renewed whatever is left
    /// of its tokens, if that can be, for a branch comes with that alone.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn lasting(app: &App, headers: &HeaderMap) -> Result<(Open, Lasting), Closed> {
        let (open, branch) = Self::with_left(app, headers, i64::MAX, true).await?;
        let session = Self { refresh: branch, ..open.session.clone() };
        Ok((open, Lasting { session, tried: None }))
    }

    /// Renewed when less than so many seconds are left; then with the refresh token of a branch, if it is asked for and given.
    async fn with_left(
        app: &App,
        headers: &HeaderMap,
        seconds: i64,
        branch: bool,
    ) -> Result<(Open, String), Closed> {
        let session = Self::sealed_in(app, headers).ok_or(Closed::SignedOut)?;
        let left = session.left(app);
        let as_it_is = |session| Ok((Open { session, cookies: Vec::new() }, String::new()));
        if left >= seconds {
            return as_it_is(session);
        }
        match session.exchanged(app, branch).await {
            Ok((new, branch)) => {
                let open = new.opened(app).map_err(|_| Closed::Away)?;
                Ok((open, branch))
            }
            Err(status) if is_over(&status) => Err(Closed::SignedOut),
            Err(_) if left > 0 => as_it_is(session),
            Err(_) => Err(Closed::Away),
        }
    }

    /// How many seconds are left of the access token.
    fn left(&self, app: &App) -> i64 {
        self.expires - app.board.real_now().timestamp()
    }

    /// New tokens for these, and the refresh token of a branch.
    async fn exchanged(&self, app: &App, branch: bool) -> Result<(Self, String), tonic::Status> {
        let mut auth = AuthServiceClient::new(app.channel("identity"));
        let request = patient(RefreshTokenRequest { refresh_token: self.refresh.clone(), branch });
        let answer = auth.refresh_token(request).await?.into_inner();
        let expires = answer.access_expire_time.map_or(0, |time| time.seconds);
        let new = Self { access: answer.access_token, refresh: answer.refresh_token, expires };
        Ok((new, answer.branch_refresh_token))
    }

    /// The session that the cookies of a request hold, whether it is over or not.
    pub fn sealed_in(app: &App, headers: &HeaderMap) -> Option<Self> {
        let name = app.board.cookie_name();
        let (count, first) = cookie(headers, name)?.split_once('-')?;
        let count = count.parse::<usize>().ok().filter(|count| (1..=PIECES).contains(count))?;
        let mut sealed = first.to_owned();
        for n in 1..count {
            sealed.push_str(cookie(headers, &format!("{name}.{n}"))?);
        }
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, sealed).ok()?;
        let plain = app.board.crypto().open(PURPOSE, &bytes, b"").ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// A request that carries the session's token.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the token cannot be a header.
    pub fn request<T>(&self, message: T) -> Result<tonic::Request<T>, tonic::Status> {
        let mut request = patient(message);
        let value = format!("Bearer {}", self.access).parse();
        let value = value.map_err(|_| tonic::Status::unauthenticated("sign in first"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }

    fn opened(self, app: &App) -> Result<Open, tonic::Status> {
        let fault = |_| tonic::Status::internal("the session cannot be sealed");
        let plain = serde_json::to_vec(&self).map_err(fault)?;
        let sealed = app.board.crypto().seal(PURPOSE, &plain, b"");
        let text = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, sealed);
        let pieces: Vec<_> = text.as_bytes().chunks(PIECE).map(String::from_utf8_lossy).collect(); // ASCII
        if pieces.len() > PIECES {
            tracing::error!(
                session.bytes = text.len(),
                "a session does not fit into cookies: too many grants"
            );
            return Err(tonic::Status::internal("the session is too large"));
        }
        let name = app.board.cookie_name();
        let cookies = pieces.iter().enumerate().filter_map(|(n, piece)| match n {
            0 => set_cookie(app, name, &format!("{}-{piece}", pieces.len()), 12 * 3600),
            n => set_cookie(app, &format!("{name}.{n}"), piece, 12 * 3600),
        });
        Ok(Open { cookies: cookies.collect(), session: self })
    }
}

/// Whether identity gives no tokens to a session any more.
fn is_over(status: &tonic::Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::InvalidArgument)
}

/// The tokens of an answer that goes on when no cookie can be set any more: renewed by a branch of the session, for the browser goes on with
/// what is in its cookies.
pub struct Lasting {
    /// Its refresh token is the branch's; empty where identity gave none, and the answer lasts as long as the access token.
    session: Session,
    /// When the branch's token in hand was first tried.
    tried: Option<tokio::time::Instant>,
}

impl Lasting {
    /// The session with tokens that outlast a call, as far as they can be had: while identity is away the old ones go on as long as they last.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the session is over or the branch, `ABORTED` when it reaches other cases than it did, what identity answered when
    /// nothing is left.
    pub async fn session(&mut self, app: &App) -> Result<&Session, tonic::Status> {
        let left = self.session.left(app);
        if left >= RENEW_BEFORE_SECONDS || self.session.refresh.is_empty() {
            return Ok(&self.session);
        }
        if self.tried.get_or_insert_with(tokio::time::Instant::now).elapsed() >= TRIED_FOR {
            return Ok(&self.session);
        }
        match self.session.exchanged(app, false).await {
            // What came until now and what would come were no one list.
            Ok((new, _)) if !links::reach_the_same_cases(&self.session.access, &new.access) => {
                return Err(tonic::Status::aborted("the session reaches other cases than it did"));
            }
            Ok((session, _)) => *self = Self { session, tried: None },
            Err(status) if left <= 0 || is_over(&status) => return Err(status),
            Err(_) => {}
        }
        Ok(&self.session)
    }
}

/// A request with a deadline that carries the trace on.
fn patient<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(PATIENCE);
    if let Some(trace) = chassis::telemetry::current_traceparent()
        && let Ok(trace) = trace.parse()
    {
        request.metadata_mut().insert("traceparent", trace);
    }
    request
}

/// `Set-Cookie`s that end the session.
pub fn ended(app: &App) -> Vec<HeaderValue> {
    let name = app.board.cookie_name();
    let names = (0..PIECES).map(|n| if n == 0 { name.to_owned() } else { format!("{name}.{n}") });
    names.filter_map(|name| set_cookie(app, &name, "", 0)).collect()
}

/// `Set-Cookie` with the attributes every cookie here has.
pub fn set_cookie(app: &App, name: &str, value: &str, max_age_seconds: u32) -> Option<HeaderValue> {
    let secure = if app.config.is_https() { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; SameSite=Strict; Max-Age={max_age_seconds}; HttpOnly{secure}");
    HeaderValue::from_str(&text).ok()
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
}

/// Refuses forms of other sites. Whatever only reads may be asked for from anywhere.
pub async fn from_this_site(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if reads || is_same_site(request.headers(), &app.config.public_url) {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

/// Whether a request that changes something comes from this site: browsers say so themselves, and the older ones send
/// at least an Origin that must be ours.
fn is_same_site(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = text("host").unwrap_or_default();
            origin == public_url || origin.split("://").nth(1) == Some(host)
        }
        (None, None) => false,
    }
}

/// A wall-clock reading for token expiry; domain time plays no part in sessions.
pub type Instant = DateTime<Utc>;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let ours = "http://127.0.0.1:8080";
        assert!(is_same_site(&headers(&[("sec-fetch-site", "same-origin")]), ours));
        assert!(is_same_site(&headers(&[("origin", ours)]), ours));
        assert!(!is_same_site(&headers(&[("sec-fetch-site", "cross-site"), ("origin", ours)]), ours));
        assert!(!is_same_site(
            &headers(&[("origin", "http://evil.example"), ("host", "127.0.0.1:8080")]),
            ours
        ));
        assert!(!is_same_site(&headers(&[]), ours));
    }

    #[tokio::test]
    async fn a_branch_is_not_tried_when_identity_would_take_it_for_a_copy() {
        let dir = std::env::temp_dir().join(format!("jh-session-{}", chassis::clock::new_id().simple()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let key = dir.join("key");
        chassis::crypto::Crypto::create(&key).expect("a key");
        let nobody = |service: &str| (service.to_owned(), "http://127.0.0.1:1".to_owned());
        let services = ["identity", "case-routing", "staffing", "volunteer-matching", "analytics"];
        let config = crate::Config {
            listen: ([127, 0, 0, 1], 0).into(),
            public_url: "http://127.0.0.1".to_owned(),
            key_file: key.display().to_string(),
            addresses: services.map(nobody).into(),
            proxies: crate::Proxies::default(),
            demonstration: false,
        };
        let app = App::new(config, tokio_util::sync::CancellationToken::new()).expect("an edge");
        std::fs::remove_dir_all(&dir).ok();
        let expires = app.board.real_now().timestamp() - 1;
        let session = Session { access: "a".to_owned(), refresh: "branch".to_owned(), expires };
        let ago = |seconds| tokio::time::Instant::now().checked_sub(Duration::from_secs(seconds));
        for (tried, asks) in [(None, true), (ago(100), true), (ago(121), false)] {
            let mut lasting = Lasting { session: session.clone(), tried };
            assert_eq!(lasting.session(&app).await.is_err(), asks, "nobody answers who is asked");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; jh_session=sealed; b=2")]);
        assert_eq!(cookie(&headers, "jh_session"), Some("sealed"));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
