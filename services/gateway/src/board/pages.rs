//! The pages: board, list of cases, one case, sign-in. Each asks the services with the reader's token and renders.

use std::{collections::BTreeMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Form, Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::{DateTime, FixedOffset};
use proto::{
    analytics::v1::{
        Count, GetBoardRequest, GetBoardResponse, IndicatorValue, indicator_service_client::IndicatorServiceClient,
    },
    case_routing::v1::{
        Case, GetCaseRequest, GetTimelineRequest, ListCasesRequest, TimelineEntry,
        case_service_client::CaseServiceClient,
    },
};
use serde::Deserialize;

use super::{
    lang::{Lang, bare},
    names::Names,
    session::{self, Open, Session},
};
use crate::App;

/// Indicators on the board, with their names; the definitions are analytics' own.
pub const RATES: [(&str, &str, &str); 4] = [
    ("I-16", "响应率", "Response rate"),
    ("I-17", "解决率", "Resolution rate"),
    ("I-18", "满意率（基本满意及以上）", "Satisfaction rate (grade 3 and up)"),
    ("I-07", "按时办结率", "On-time rate"),
];

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage<'a> {
    lang: Lang,
    path: &'a str,
    body: String,
    live: String,
}

#[derive(Template)]
#[template(path = "board_body.html")]
struct BoardBody<'a> {
    lang: Lang,
    board: &'a GetBoardResponse,
}

#[derive(Template)]
#[template(path = "cases.html")]
struct CasesPage<'a> {
    lang: Lang,
    path: &'a str,
    cases: &'a [Case],
    names: &'a Names,
    next: Option<String>,
    state: String,
    overdue: bool,
}

#[derive(Template)]
#[template(path = "case.html")]
struct CasePage<'a> {
    lang: Lang,
    path: &'a str,
    case: &'a Case,
    timeline: &'a [TimelineEntry],
    names: &'a Names,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    lang: Lang,
    path: &'a str,
    failed: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    lang: Lang,
    path: &'a str,
    message: &'a str,
}

/// The board.
pub async fn board(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let lang = Lang::of(&headers);
    let Some(open) = Session::of(&app, &headers).await else { return Redirect::to("/login").into_response() };
    let page = match fetch_board(&app, &open.session).await {
        Ok(board) => render(&BoardPage {
            lang,
            path: "/",
            body: board_body(lang, &board),
            live: "/events".to_owned(),
        }),
        Err(status) => refused(lang, "/", &status),
    };
    with_cookie(page, open.cookie)
}

/// The board's live part.
pub fn board_body(lang: Lang, board: &GetBoardResponse) -> String {
    BoardBody { lang, board }.render().unwrap_or_default()
}

/// Asks analytics for the board of the reader's reach.
pub async fn fetch_board(app: &App, session: &Session) -> Result<GetBoardResponse, tonic::Status> {
    let mut indicators = IndicatorServiceClient::new(app.channel("analytics"));
    let answer = indicators.get_board(session.request(GetBoardRequest::default())?).await?;
    Ok(answer.into_inner())
}

/// Filters of the list of cases.
#[derive(Deserialize)]
pub struct Filter {
    #[serde(default)]
    state: String,
    #[serde(default)]
    overdue: String,
    #[serde(default)]
    page: String,
    #[serde(default)]
    unit: String,
}

/// Cases within the reader's reach.
pub async fn cases(State(app): State<Arc<App>>, headers: HeaderMap, Query(filter): Query<Filter>) -> Response {
    let lang = Lang::of(&headers);
    let Some(open) = Session::of(&app, &headers).await else { return Redirect::to("/login").into_response() };
    let page = match list(&app, &open.session, &filter, lang).await {
        Ok(page) => page,
        Err(status) => refused(lang, "/cases", &status),
    };
    with_cookie(page, open.cookie)
}

async fn list(app: &App, session: &Session, filter: &Filter, lang: Lang) -> Result<Response, tonic::Status> {
    let state = format!("CASE_STATE_{}", filter.state.to_ascii_uppercase());
    let state = proto::case_routing::v1::CaseState::from_str_name(&state);
    let request = ListCasesRequest {
        page_size: 50,
        page_token: filter.page.clone(),
        states: state.into_iter().map(Into::into).collect(),
        overdue: filter.overdue == "true",
        unit_id: filter.unit.clone(),
        ..Default::default()
    };
    let mut cases = CaseServiceClient::new(app.channel("case-routing"));
    let answer = cases.list_cases(session.request(request)?).await?.into_inner();
    let names = app.board.names.get(app, session).await?;
    let next = (!answer.next_page_token.is_empty()).then(|| {
        format!("/cases?state={}&overdue={}&unit={}&page={}", filter.state, filter.overdue, filter.unit, answer.next_page_token)
    });
    Ok(render(&CasesPage {
        lang,
        path: "/cases",
        cases: &answer.cases,
        names: &names,
        next,
        state: filter.state.clone(),
        overdue: filter.overdue == "true",
    }))
}

/// One case with its timeline and the reasons of its routing.
pub async fn case(State(app): State<Arc<App>>, headers: HeaderMap, Path(case_id): Path<String>) -> Response {
    let lang = Lang::of(&headers);
    let Some(open) = Session::of(&app, &headers).await else { return Redirect::to("/login").into_response() };
    let page = match one(&app, &open.session, case_id, lang).await {
        Ok(page) => page,
        Err(status) => refused(lang, "/cases", &status),
    };
    with_cookie(page, open.cookie)
}

async fn one(app: &App, session: &Session, case_id: String, lang: Lang) -> Result<Response, tonic::Status> {
    let mut client = CaseServiceClient::new(app.channel("case-routing"));
    let request = GetCaseRequest { case_id: case_id.clone() };
    let case = client.get_case(session.request(request)?).await?.into_inner().case;
    let case = case.ok_or_else(|| tonic::Status::not_found("no such case"))?;
    let request = GetTimelineRequest { case_id, page_size: 200, page_token: String::new() };
    let timeline = client.get_timeline(session.request(request)?).await?.into_inner().entries;
    let names = app.board.names.get(app, session).await?;
    Ok(render(&CasePage { lang, path: "/cases", case: &case, timeline: &timeline, names: &names }))
}

/// The sign-in form.
pub async fn login(headers: HeaderMap) -> Response {
    render(&LoginPage { lang: Lang::of(&headers), path: "/login", failed: None })
}

/// Fields of the sign-in form.
#[derive(Deserialize)]
pub struct Credentials {
    login: String,
    password: String,
}

/// Signs in and opens the board.
pub async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    let lang = Lang::of(&headers);
    if !session::is_same_site(&headers, &app.config.public_url) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match Session::sign_in(&app, credentials.login, credentials.password).await {
        Ok(open) => with_cookie(Redirect::to("/").into_response(), open.cookie),
        Err(status) => {
            let failed = match status.code() {
                tonic::Code::Unauthenticated | tonic::Code::InvalidArgument => {
                    lang.t("用户名或密码不对。", "The name or the password is wrong.")
                }
                tonic::Code::ResourceExhausted => {
                    lang.t("现在登录的人太多，请稍后再试。", "Too many sign-ins at once; try again shortly.")
                }
                _ => lang.t("暂时无法登录。", "Signing in is not possible just now."),
            };
            let page = render(&LoginPage { lang, path: "/login", failed: Some(failed) });
            (StatusCode::UNAUTHORIZED, page).into_response()
        }
    }
}

/// Ends the session here and at identity.
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !session::is_same_site(&headers, &app.config.public_url) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if let Some(open) = Session::of(&app, &headers).await
        && let Ok(request) = open.session.request(proto::identity::v1::SignOutRequest {})
    {
        let channel = app.channel("identity");
        let mut auth = proto::identity::v1::auth_service_client::AuthServiceClient::new(channel);
        if let Err(status) = auth.sign_out(request).await {
            tracing::warn!(code = ?status.code(), "a session could not be ended at identity");
        }
    }
    with_cookie(Redirect::to("/login").into_response(), session::ended(&app))
}

/// The choice of a language and the page to go back to.
#[derive(Deserialize)]
pub struct Language {
    lang: String,
    #[serde(default)]
    back: String,
}

/// Remembers the language.
pub async fn language(State(app): State<Arc<App>>, headers: HeaderMap, Form(choice): Form<Language>) -> Response {
    if !session::is_same_site(&headers, &app.config.public_url) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let lang = if choice.lang == "en" { "en" } else { "zh" };
    // Only paths of this site: anything else would make this an open redirect.
    let local = choice.back.starts_with('/') && !choice.back.starts_with("//") && !choice.back.contains('\\');
    let back = if local { choice.back.as_str() } else { "/" };
    let cookie = session::set_cookie(&app, "jh_lang", lang, Some(365 * 86_400), true);
    with_cookie(Redirect::to(back).into_response(), cookie)
}

fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn refused(lang: Lang, path: &str, status: &tonic::Status) -> Response {
    let (code, message) = match status.code() {
        tonic::Code::Unauthenticated => return Redirect::to("/login").into_response(),
        tonic::Code::NotFound => (StatusCode::NOT_FOUND, lang.t("没有找到，或不在您的范围内。", "Not found, or not within your reach.")),
        tonic::Code::PermissionDenied => {
            (StatusCode::FORBIDDEN, lang.t("您的岗位不能查看此页。", "Your role may not see this page."))
        }
        tonic::Code::InvalidArgument => (StatusCode::BAD_REQUEST, lang.t("请求有误。", "The request is not valid.")),
        _ => (StatusCode::SERVICE_UNAVAILABLE, lang.t("服务暂时没有应答，请稍后再试。", "The service does not answer just now; try again shortly.")),
    };
    (code, render(&MessagePage { lang, path, message })).into_response()
}

fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Opens the session for a stream.
pub async fn session_of(app: &App, headers: &HeaderMap) -> Option<Open> {
    Session::of(app, headers).await
}

/// `93.72 %`, or a dash where nothing was counted.
fn percent(value: Option<&IndicatorValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(value) => format!("{:.2} %", value * 100.0),
        None => "—".to_owned(),
    }
}

/// A bar's share in steps of five, as a class of the style sheet.
fn share(count: i64, total: i64) -> i64 {
    if total <= 0 { 0 } else { ((count * 20 + total - 1) / total).clamp(0, 20) * 5 }
}

fn total(counts: &[Count]) -> i64 {
    counts.iter().map(|count| count.count).sum()
}

fn rate<'a>(rates: &'a [IndicatorValue], code: &str) -> Option<&'a IndicatorValue> {
    rates.iter().find(|value| value.code == code)
}

/// Local time in Asia/Shanghai, which has no daylight saving.
fn local(time: Option<&prost_types::Timestamp>) -> String {
    let Some(time) = time else { return String::new() };
    let Some(zone) = FixedOffset::east_opt(8 * 3600) else { return String::new() };
    let nanos = u32::try_from(time.nanos).unwrap_or_default();
    DateTime::from_timestamp(time.seconds, nanos)
        .map(|time| time.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default()
}

/// Reasons in the reader's language.
fn reason_text(reason: &proto::case_routing::v1::Reason, lang: Lang) -> &str {
    match lang {
        Lang::Zh => &reason.text_zh,
        Lang::En => &reason.text_en,
    }
}

/// Tasks by id, for the timeline.
fn task_numbers(case: &Case) -> BTreeMap<&str, &str> {
    case.tasks.iter().map(|task| (task.task_id.as_str(), task.task_no.as_str())).collect()
}
