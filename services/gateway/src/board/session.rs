//! The board's session: the tokens, sealed into a cookie that scripts cannot read. The edge keeps nothing, so any
//! replica can answer. Requests that change something must come from this site.

use axum::http::{HeaderMap, HeaderValue, header};
use chrono::{DateTime, Utc};
use proto::identity::v1::{RefreshTokenRequest, SignInRequest, auth_service_client::AuthServiceClient};
use serde::{Deserialize, Serialize};

use crate::App;

const PURPOSE: &str = "gateway.session";
/// Tokens are renewed when less than this is left.
const RENEW_BEFORE_SECONDS: i64 = 120;

/// A signed-in person.
#[derive(Clone, Serialize, Deserialize)]
pub struct Session {
    /// Access token.
    pub access: String,
    refresh: String,
    /// Unix second at which the access token runs out.
    expires: i64,
}

/// A session, and the cookie to set when its tokens were renewed.
pub struct Open {
    /// The session.
    pub session: Session,
    /// `Set-Cookie`, if the tokens are new.
    pub cookie: Option<HeaderValue>,
}

impl Session {
    /// Signs in by name and password.
    ///
    /// # Errors
    /// What identity answered.
    pub async fn sign_in(app: &App, login: String, password: String) -> Result<Open, tonic::Status> {
        let mut auth = AuthServiceClient::new(app.channel("identity"));
        let answer = auth.sign_in(SignInRequest { login, password }).await?.into_inner();
        let expires = answer.access_expire_time.map_or(0, |time| time.seconds);
        let session = Self { access: answer.access_token, refresh: answer.refresh_token, expires };
        let cookie = session.cookie(app);
        Ok(Open { session, cookie })
    }

    /// The session of a request, renewed when its tokens are about to run out.
    pub async fn of(app: &App, headers: &HeaderMap) -> Option<Open> {
        let sealed = cookie(headers, app.board.cookie_name())?;
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, sealed).ok()?;
        let plain = app.board.crypto().open(PURPOSE, &bytes, b"").ok()?;
        let session: Self = serde_json::from_slice(&plain).ok()?;
        if app.board.real_now().timestamp() < session.expires - RENEW_BEFORE_SECONDS {
            return Some(Open { session, cookie: None });
        }
        let mut auth = AuthServiceClient::new(app.channel("identity"));
        let request = RefreshTokenRequest { refresh_token: session.refresh };
        let answer = auth.refresh_token(request).await.ok()?.into_inner();
        let expires = answer.access_expire_time.map_or(0, |time| time.seconds);
        let session = Self { access: answer.access_token, refresh: answer.refresh_token, expires };
        let cookie = session.cookie(app);
        Some(Open { session, cookie })
    }

    /// A request that carries the session's token.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the token cannot be a header.
    pub fn request<T>(&self, message: T) -> Result<tonic::Request<T>, tonic::Status> {
        let mut request = tonic::Request::new(message);
        let value = format!("Bearer {}", self.access).parse();
        let value = value.map_err(|_| tonic::Status::unauthenticated("sign in first"))?;
        request.metadata_mut().insert("authorization", value);
        if let Some(trace) = chassis::telemetry::current_traceparent()
            && let Ok(trace) = trace.parse()
        {
            request.metadata_mut().insert("traceparent", trace);
        }
        Ok(request)
    }

    fn cookie(&self, app: &App) -> Option<HeaderValue> {
        let plain = serde_json::to_vec(self).ok()?;
        let sealed = app.board.crypto().seal(PURPOSE, &plain, b"");
        let value = base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, sealed);
        set_cookie(app, app.board.cookie_name(), &value, Some(12 * 3600), true)
    }
}

/// `Set-Cookie` that ends the session.
pub fn ended(app: &App) -> Option<HeaderValue> {
    set_cookie(app, app.board.cookie_name(), "", Some(0), true)
}

/// `Set-Cookie` with the attributes every cookie here has.
pub fn set_cookie(app: &App, name: &str, value: &str, max_age: Option<u32>, http_only: bool) -> Option<HeaderValue> {
    let mut text = format!("{name}={value}; Path=/; SameSite=Strict");
    if let Some(seconds) = max_age {
        text.push_str(&format!("; Max-Age={seconds}"));
    }
    if http_only {
        text.push_str("; HttpOnly");
    }
    if app.config.is_https() {
        text.push_str("; Secure");
    }
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

/// Whether a request that changes something comes from this site: browsers say so themselves, and the older ones send
/// at least an Origin that must be ours.
pub fn is_same_site(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = text("host").unwrap_or_default();
            origin == public_url.trim_end_matches('/') || origin.split("://").nth(1) == Some(host)
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
        pairs.iter().map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let ours = "http://127.0.0.1:8080";
        assert!(is_same_site(&headers(&[("sec-fetch-site", "same-origin")]), ours));
        assert!(is_same_site(&headers(&[("origin", ours)]), ours));
        assert!(!is_same_site(&headers(&[("sec-fetch-site", "cross-site"), ("origin", ours)]), ours));
        assert!(!is_same_site(&headers(&[("origin", "http://evil.example"), ("host", "127.0.0.1:8080")]), ours));
        assert!(!is_same_site(&headers(&[]), ours));
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; jh_session=sealed; b=2")]);
        assert_eq!(cookie(&headers, "jh_session"), Some("sealed"));
        assert_eq!(cookie(&headers, "c"), None);
    }
}
