//! Signing in and out, and the choice of the language: with the forms of the hot spots, of duties and of the own password the
//! only requests of the board that change something, taken from this site alone.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Form, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use proto::identity::v1::{SignOutRequest, auth_service_client::AuthServiceClient};
use serde::Deserialize;

use super::{
    lang::Lang,
    session::{self, Session},
    view::{render, sign_in_for, with_cookies},
};
use crate::{App, clients::Client, failures::NotTried, places::person};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    lang: Lang,
    path: &'a str,
    /// The name that was written; empty where none was.
    login: &'a str,
    failed: Option<&'static str>,
    /// Where somebody wanted to go; empty: nowhere but to the board.
    next: &'a str,
    /// The accounts of the demonstration are at hand.
    demonstration: bool,
}

fn shown(app: &App, lang: Lang, login: &str, failed: Option<&'static str>, next: &str) -> Response {
    let path = if next.is_empty() { "/login".to_owned() } else { sign_in_for(next) };
    let demonstration = app.config.demonstration;
    render(&LoginPage { lang, path: &path, login, failed, next, demonstration })
}

/// Where somebody wanted to go.
#[derive(Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

/// The sign-in form.
pub async fn login(State(app): State<Arc<App>>, Query(wanted): Query<Next>, headers: HeaderMap) -> Response {
    shown(&app, Lang::of(&headers), "", None, local_or_none(&wanted.next))
}

/// The form again, with these words, where too many tries of one address are in hand or failed.
pub(super) fn not_tried(why: NotTried, lang: Lang, shown: impl FnOnce(&'static str) -> Response) -> Response {
    let said = match why {
        NotTried::Crowded => lang.t(
            "此刻同一地址的登录较多，请稍后再试。",
            "Many sign-ins from this address just now: try again in a moment.",
        ),
        NotTried::Failed(_) => lang.t(
            "此地址输错密码的次数过多，请一刻钟后再试。",
            "Too many wrong passwords from this address: try again in a quarter of an hour.",
        ),
    };
    let mut page = (StatusCode::TOO_MANY_REQUESTS, shown(said)).into_response();
    if let NotTried::Failed(left) = why {
        page.headers_mut().insert(header::RETRY_AFTER, left.as_secs().saturating_add(1).into());
    }
    page
}

/// Fields of the sign-in form.
#[derive(Deserialize)]
pub struct Credentials {
    login: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Signs in and leads to where somebody wanted to go, or to the board.
pub async fn sign_in(
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    let lang = Lang::of(&headers);
    let Credentials { login, password, next } = credentials;
    let next = local_or_none(&next);
    let tried = match client.tries_soon(&app, Some(&login)).await {
        Ok(tried) => tried,
        Err(why) => return not_tried(why, lang, |said| shown(&app, lang, &login, Some(said), next)),
    };
    let (failures, named) = (app.failures.clone(), login.clone());
    let call = {
        let (app, login) = (app.clone(), login.clone());
        async move { Session::sign_in(&app, login, password).await }
    };
    let came = tried.outlives(call, move |came| match came {
        Ok(open) => {
            if let Some(person) = person(&open.session.access) {
                failures.learn(&named, person);
            }
            Some(true)
        }
        Err(status) => (status.code() == tonic::Code::Unauthenticated).then_some(false),
    });
    match came.await {
        Ok(Ok(open)) => {
            let to = if next.is_empty() { "/" } else { next };
            with_cookies(Redirect::to(to).into_response(), open.cookies)
        }
        Ok(Err(status)) | Err(status) => {
            let (code, failed) = match status.code() {
                tonic::Code::Unauthenticated | tonic::Code::InvalidArgument => (
                    StatusCode::UNAUTHORIZED,
                    lang.t("用户名或密码不对。", "The name or the password is wrong."),
                ),
                tonic::Code::ResourceExhausted => (
                    StatusCode::TOO_MANY_REQUESTS,
                    lang.t("尝试次数过多，请稍后再试。", "Too many tries; try again shortly."),
                ),
                _ => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    lang.t("暂时无法登录。", "Signing in is not possible just now."),
                ),
            };
            (code, shown(&app, lang, &login, Some(failed), next)).into_response()
        }
    }
}

/// Ends the session here and at identity.
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Ok(open) = Session::of(&app, &headers).await
        && let Ok(request) = open.session.request(SignOutRequest {})
        && let Err(status) = AuthServiceClient::new(app.channel("identity")).sign_out(request).await
    {
        tracing::warn!(code = ?status.code(), "a session could not be ended at identity");
    }
    with_cookies(Redirect::to("/login").into_response(), session::ended(&app))
}

/// The choice of a language and the page to go back to.
#[derive(Deserialize)]
pub struct Language {
    lang: String,
    #[serde(default)]
    back: String,
}

/// Remembers the language.
pub async fn language(State(app): State<Arc<App>>, Form(choice): Form<Language>) -> Response {
    let (_, cookie) = chosen(&app, &choice.lang);
    let back = if is_local(&choice.back) { choice.back.as_str() } else { "/" };
    with_cookies(Redirect::to(back).into_response(), cookie.into_iter().collect())
}

/// The language that a button says, and the cookie that remembers it.
pub(super) fn chosen(app: &App, lang: &str) -> (Lang, Option<HeaderValue>) {
    let (lang, code) = if lang == "en" { (Lang::En, "en") } else { (Lang::Zh, "zh") };
    (lang, session::set_cookie(app, "jh_lang", code, 365 * 86_400))
}

/// The path, if it is one of this site.
fn local_or_none(path: &str) -> &str {
    if is_local(path) { path } else { "" }
}

/// Only paths of this site: anything else would make this an open redirect. Browsers read `\\` as `/` and pass over
/// tabs and line ends.
fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_site_are_gone_back_to() {
        for path in ["/", "/cases?state=closed&page=x", "/cases/0197"] {
            assert!(is_local(path), "{path}");
        }
        for path in [
            "",
            "cases",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\n//evil",
            "https://evil.example",
        ] {
            assert!(!is_local(path), "{path:?}");
        }
    }
}
