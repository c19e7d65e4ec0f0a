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

use crate::App;

const PURPOSE: &str = "gateway.session";
/// Tokens are renewed when less than this is left. The grace of identity (`GRACE`) is this and the longest answer.
const RENEW_BEFORE_SECONDS: i64 = 120;
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
        Self::with_left(app, headers, RENEW_BEFORE_SECONDS).await
    }

    /// The session of a request, renewed whatever is left of its tokens, if that can be: for an answer that may take as long as
    /// a token lasts. Once it has begun no cookie can be set any more.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn renewed(app: &App, headers: &HeaderMap) -> Result<Open, Closed> {
        Self::with_left(app, headers, i64::MAX).await
    }

    /// Renewed when less than so many seconds are left.
    async fn with_left(app: &App, headers: &HeaderMap, seconds: i64) -> Result<Open, Closed> {
        let session = Self::sealed_in(app, headers).ok_or(Closed::SignedOut)?;
        let left = session.expires - app.board.real_now().timestamp();
        if left >= seconds {
            return Ok(Open { session, cookies: Vec::new() });
        }
        let mut auth = AuthServiceClient::new(app.channel("identity"));
        let request = patient(RefreshTokenRequest { refresh_token: session.refresh.clone() });
        match auth.refresh_token(request).await.map(tonic::Response::into_inner) {
            Ok(answer) => {
                let expires = answer.access_expire_time.map_or(0, |time| time.seconds);
                let new = Self { access: answer.access_token, refresh: answer.refresh_token, expires };
                new.opened(app).map_err(|_| Closed::Away)
            }
            Err(status) if matches!(status.code(), Code::Unauthenticated | Code::InvalidArgument) => {
                Err(Closed::SignedOut)
            }
            Err(_) if left > 0 => Ok(Open { session, cookies: Vec::new() }),
            Err(_) => Err(Closed::Away),
        }
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

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; jh_session=sealed; b=2")]);
        assert_eq!(cookie(&headers, "jh_session"), Some("sealed"));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
