//! The page by which people change their own password. It is a plain form, so it works by keyboard and without scripts, and
//! nothing that was written into it is shown again.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Form, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use chassis::clock::new_id;
use proto::identity::v1::{ChangePasswordRequest, GetSelfRequest, auth_service_client::AuthServiceClient};
use serde::Deserialize;
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    account,
    lang::Lang,
    links::Links,
    reader::{NoSession, Reader},
    refusal::told,
    view::render,
};
use crate::{App, clients::Client, places::person};

const PATH: &str = "/password";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    /// Made with the form: sent twice, it is one change.
    request_id: String,
    /// The field that is wrong; empty where none is.
    wrong: &'static str,
    /// What is wrong; empty where nothing is.
    problem: &'static str,
}

/// What is written into the form.
#[derive(Deserialize)]
pub struct Passwords {
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    current_password: String,
    #[serde(default)]
    new_password: String,
    #[serde(default)]
    repeated_password: String,
}

/// Why the form is shown again.
struct Refusal {
    code: StatusCode,
    /// The field that is wrong; empty where it is none of them.
    field: &'static str,
    message: &'static str,
}

/// The form.
pub async fn form(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, NoSession> {
    let reader = Reader::of(&app, &headers, PATH).await?;
    let page = shown(&reader, "", "");
    Ok(reader.answer(Ok(page)))
}

fn shown(reader: &Reader<'_>, wrong: &'static str, problem: &'static str) -> Response {
    render(&PasswordPage {
        lang: reader.lang,
        path: reader.path,
        links: Links::of(&reader.session),
        request_id: new_id().to_string(),
        wrong,
        problem,
    })
}

/// Changes the password, or shows the form again and says what is wrong.
pub async fn change(
    State(app): State<Arc<App>>,
    client: Client,
    headers: HeaderMap,
    Form(form): Form<Passwords>,
) -> Result<Response, NoSession> {
    let reader = Reader::of(&app, &headers, PATH).await?;
    let page = send(&app, client, &reader, form).await;
    Ok(reader.answer(page))
}

async fn send(
    app: &App,
    client: Client,
    reader: &Reader<'_>,
    form: Passwords,
) -> Result<Response, tonic::Status> {
    let (session, lang) = (&reader.session, reader.lang);
    let Passwords { request_id, current_password, new_password, repeated_password } = form;
    if new_password != repeated_password {
        let message = lang.t("两次输入的新密码不一致。", "The new password and its repetition differ.");
        let page = shown(reader, "repeated_password", message);
        return Ok((StatusCode::BAD_REQUEST, page).into_response());
    }
    let mut auth = AuthServiceClient::new(app.channel("identity"));
    let request = session.request(ChangePasswordRequest { request_id, current_password, new_password })?;
    let asks = session.request(GetSelfRequest {})?;
    let tried = match client.tries_soon(app, None).await {
        Ok(tried) => tried,
        Err(why) => return Ok(account::not_tried(why, lang, |said| shown(reader, "", said))),
    };
    let call = async move {
        let Err(status) = auth.change_password(request).await else { return Ok(None) };
        // A wrong password and a session that is over are told alike: which of them it is, another question tells.
        if status.code() == Code::Unauthenticated {
            auth.get_self(asks).await?;
        }
        Ok::<_, tonic::Status>(Some(status))
    };
    let (failures, own) = (app.failures.clone(), person(&session.access));
    let came = tried.outlives(call, move |came| match came {
        Ok(None) => {
            if let Some(own) = own {
                failures.set_anew(own);
            }
            Some(true)
        }
        Ok(Some(status)) => (status.code() == Code::Unauthenticated).then_some(false),
        Err(_) => None,
    });
    let Some(status) = came.await?? else {
        let message = lang.t(
            "密码已修改，您在其他地方的登录已全部退出。",
            "Your password is changed; wherever else you were signed in, you are signed out.",
        );
        return Ok(told(lang, reader.path, Links::of(session), StatusCode::OK, message));
    };
    let Refusal { code, field, message } = refusal(&status, lang).ok_or(status)?;
    Ok((code, shown(reader, field, message)).into_response())
}

/// What the form says of a refusal; nothing where it has no word for it.
fn refusal(status: &tonic::Status, lang: Lang) -> Option<Refusal> {
    let details = status.get_error_details();
    let violation = details.bad_request().and_then(|bad| bad.field_violations.first());
    match (status.code(), violation.map(|violation| violation.field.as_str())) {
        (Code::Unauthenticated, _) | (Code::InvalidArgument, Some("current_password")) => Some(Refusal {
            code: StatusCode::UNAUTHORIZED,
            field: "current_password",
            message: lang.t("当前密码不对。", "The current password is wrong."),
        }),
        (Code::InvalidArgument, Some("new_password")) => Some(Refusal {
            code: StatusCode::BAD_REQUEST,
            field: "new_password",
            message: lang.t("新密码不符合下列要求。", "The new password is not as it must be, see below."),
        }),
        (Code::ResourceExhausted, _) => Some(Refusal {
            code: StatusCode::TOO_MANY_REQUESTS,
            field: "",
            message: lang.t("尝试次数过多，请稍后再试。", "Too many tries; try again shortly."),
        }),
        _ => None,
    }
}
