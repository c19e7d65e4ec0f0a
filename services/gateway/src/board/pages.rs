//! The pages: board, list of cases. Each asks the services with the reader's token and renders.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Form, OriginalUri, Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime};
use proto::{
    analytics::v1::{GetBoardRequest, GetBoardResponse, indicator_service_client::IndicatorServiceClient},
    case_routing::v1::{
        Case, CaseState, ListCasesRequest, ListCasesResponse, case_service_client::CaseServiceClient,
    },
};
use serde::Deserialize;

use super::{
    account,
    lang::{Lang, bare},
    links::Links,
    names::Names,
    reader::{NoSession, Reader},
    refusal::is_wrong,
    session::Session,
    view::{encoded, local, percent, plural, rate, render, share, total, with_cookies},
};
use crate::{App, MAX_ANSWER};

/// Indicators on the board, with their names; the definitions are analytics' own.
pub const RATES: [(&str, &str, &str); 5] = [
    ("I-16", "响应率", "Response rate"),
    ("I-17", "解决率", "Resolution rate"),
    ("I-18", "满意率（基本满意及以上）", "Satisfaction rate (grade 3 and up)"),
    ("I-16-unreached", "回访未联系上率", "Not reached when called back"),
    ("I-07", "按时办结率", "On-time rate"),
];

#[derive(Template)]
#[template(path = "board.html")]
struct BoardPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    body: String,
    live: &'a str,
}

#[derive(Template)]
#[template(path = "board_body.html")]
struct BoardBody<'a> {
    lang: Lang,
    /// Figures lead to their cases for whoever may list cases.
    links: Links,
    board: &'a GetBoardResponse,
    period: Period,
}

/// The days that a part of the figures is about; the others are of now.
struct Period {
    /// Its last day.
    last: String,
    /// What figures of these days are marked with.
    words: String,
}

impl Period {
    /// Of a board, whose end is the day after its last one.
    fn of(board: &GetBoardResponse, lang: Lang) -> Self {
        let days = date(&board.start_date).zip(date(&board.end_date));
        let Some((last, (start, end))) = days.and_then(|days| Some((days.1.pred_opt()?, days))) else {
            let words = lang.t("本期", "in this period").to_owned();
            return Self { last: board.end_date.clone(), words };
        };
        let count = (end - start).num_days();
        let words = match lang {
            Lang::Zh => format!("近 {count} 天"),
            Lang::En => format!("in {count} days"),
        };
        Self { last: last.to_string(), words }
    }
}

fn date(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()
}

/// Of the suite's days; without daylight saving.
fn shanghai() -> Option<FixedOffset> {
    FixedOffset::east_opt(8 * 3600)
}

#[derive(Template)]
#[template(path = "nothing.html")]
struct NothingPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
}

#[derive(Template)]
#[template(path = "cases.html")]
struct CasesPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    cases: &'a [Case],
    names: &'a Names,
    /// Link to the first page, from a later one; after a search there is none.
    first: Option<String>,
    /// Link to the next page; after a search, which is sent as a form, the token alone.
    next: Option<String>,
    next_token: Option<String>,
    state: String,
    overdue: bool,
    unit: String,
    unit_id: &'a str,
    /// First day of registration, `YYYY-MM-DD`; empty: any.
    from: String,
    query: &'a str,
    /// A later page of a search: the first one is a form, too.
    searched_on: bool,
    /// What is wrong with the words looked for.
    problem: Option<&'static str>,
    /// What the list leaves out, in words.
    missing: Option<String>,
}

/// The board. Who may not see figures is led to the first page that is for them, and told so where there is none.
pub async fn board(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, NoSession> {
    let reader = Reader::of(&app, &headers, "/").await?;
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let links = Links::of(session);
    let page = match fetch_board(&app, session).await {
        Ok(board) => {
            let body = board_body(lang, links, &board);
            Ok(render(&BoardPage { lang, path, links, body, live: "/events" }))
        }
        Err(status) if status.code() == tonic::Code::PermissionDenied => Ok(match links.first() {
            Some(page) => Redirect::to(page).into_response(),
            None => render(&NothingPage { lang, path, links }),
        }),
        Err(status) => Err(status),
    };
    Ok(reader.answer(page))
}

/// The board's live part.
pub fn board_body(lang: Lang, links: Links, board: &GetBoardResponse) -> String {
    BoardBody { lang, links, board, period: Period::of(board, lang) }.render().unwrap_or_default()
}

/// Asks analytics for the board of the reader's reach, over the last thirty days of domain time. What day it is there
/// comes with the answer, so only the first question of a day is asked twice.
pub async fn fetch_board(app: &App, session: &Session) -> Result<GetBoardResponse, tonic::Status> {
    let mut indicators = IndicatorServiceClient::new(app.channel("analytics"));
    loop {
        let start_date = app.board.period_start();
        let request = GetBoardRequest { start_date: start_date.clone(), ..Default::default() };
        let board = indicators.get_board(session.request(request)?).await?.into_inner();
        let start = thirty_days_before(board.domain_time.as_ref());
        if start.is_empty() || start == start_date {
            return Ok(board);
        }
        app.board.set_period_start(start);
    }
}

/// The first of the thirty days that end with the day of `now` in Asia/Shanghai, as `YYYY-MM-DD`.
fn thirty_days_before(now: Option<&prost_types::Timestamp>) -> String {
    let now = now.and_then(|now| DateTime::from_timestamp(now.seconds, 0));
    let (Some(zone), Some(now)) = (shanghai(), now) else { return String::new() };
    let day = now.with_timezone(&zone).date_naive() - Days::new(29);
    day.format("%Y-%m-%d").to_string()
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
    /// First day of registration, `YYYY-MM-DD`.
    #[serde(default)]
    from: String,
    /// Another language for the answer to a form.
    #[serde(default)]
    lang: String,
    /// Words looked for. What people write stands in no URL, so it is taken from a form only.
    #[serde(default)]
    pub(super) query: String,
}

impl Filter {
    fn state(&self) -> Option<CaseState> {
        let state = CaseState::from_str_name(&format!("CASE_STATE_{}", self.state.to_ascii_uppercase()));
        state.filter(|state| *state != CaseState::Unspecified)
    }

    /// As pages and addresses call it; empty: any.
    fn state_name(&self) -> String {
        self.state().map(|state| bare(state.as_str_name(), "CASE_STATE_")).unwrap_or_default()
    }

    fn overdue(&self) -> bool {
        self.overdue == "true"
    }

    fn first_day(&self) -> Option<NaiveDate> {
        date(&self.from)
    }

    /// The first day as it is understood; empty: any.
    fn since(&self) -> String {
        self.first_day().map(|day| day.to_string()).unwrap_or_default()
    }

    /// Where the list's first page is found, without the words.
    fn address(&self) -> String {
        let (state, overdue, from) = (self.state_name(), self.overdue(), self.since());
        format!("/cases?state={state}&overdue={overdue}&unit={}&from={from}", encoded(&self.unit))
    }

    /// The question, for one page.
    pub fn request(&self) -> ListCasesRequest {
        ListCasesRequest {
            page_size: 50,
            page_token: self.page.clone(),
            states: self.state().into_iter().map(Into::into).collect(),
            overdue: self.overdue(),
            unit_id: self.unit.clone(),
            registered_after: self.first_day().and_then(beginning),
            query: self.query.trim().to_owned(),
            ..Default::default()
        }
    }
}

/// The first instant of a day in Asia/Shanghai.
fn beginning(day: NaiveDate) -> Option<prost_types::Timestamp> {
    let time = day.and_time(NaiveTime::MIN).and_local_timezone(shanghai()?).single()?;
    Some(prost_types::Timestamp { seconds: time.timestamp(), nanos: 0 })
}

/// Asks for a page of cases.
pub async fn ask(
    app: &App,
    session: &Session,
    request: ListCasesRequest,
) -> Result<ListCasesResponse, tonic::Status> {
    let cases = CaseServiceClient::new(app.channel("case-routing"));
    let mut cases = cases.max_decoding_message_size(MAX_ANSWER);
    Ok(cases.list_cases(session.request(request)?).await?.into_inner())
}

/// What a search leaves out while imported words are not indexed; nothing where it leaves out none.
pub fn missing(answer: &ListCasesResponse, lang: Lang) -> Option<String> {
    let count = answer.unindexed_count;
    let zh = "件导入的工单暂时不能按内容查找，结果中可能缺少；请稍后再查。";
    let cases = plural(count, "imported case", "imported cases");
    let en = "cannot be found by their words yet and may be missing here; try again later.";
    (count > 0).then(|| match lang {
        Lang::Zh => format!("有 {count} {zh}"),
        Lang::En => format!("{count} {cases} {en}"),
    })
}

/// Cases that have the words of the form, within the reader's reach.
pub async fn find(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(filter): Form<Filter>,
) -> Result<Response, NoSession> {
    // Nothing is looked for: the list has an address, which another language and a reload keep.
    if filter.query.trim().is_empty() {
        return Ok(Redirect::to(&filter.address()).into_response());
    }
    let mut reader = Reader::of_form(&app, &headers, "/cases", &filter.query).await?;
    let mut cookie = None;
    if !filter.lang.is_empty() {
        (reader.lang, cookie) = account::chosen(&app, &filter.lang);
    }
    let page = list(&app, &reader, &filter).await;
    let answer = reader.answer_form(page, &filter.query);
    Ok(with_cookies(answer, cookie.into_iter().collect()))
}

/// Cases within the reader's reach.
pub async fn cases(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, NoSession> {
    let path = uri.path_and_query().map_or("/cases", |path| path.as_str());
    if !filter.query.is_empty() {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    }
    let reader = Reader::of(&app, &headers, path).await?;
    let page = list(&app, &reader, &filter).await;
    Ok(reader.answer(page))
}

async fn list(app: &App, reader: &Reader<'_>, filter: &Filter) -> Result<Response, tonic::Status> {
    listed(app, reader, filter, ask(app, &reader.session, filter.request()).await).await
}

/// The page of what was answered: the cases, or what is wrong with the words.
///
/// # Errors
/// Any other refusal.
pub async fn listed(
    app: &App,
    reader: &Reader<'_>,
    filter: &Filter,
    answer: Result<ListCasesResponse, tonic::Status>,
) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let (answer, problem) = match answer {
        Ok(answer) => (answer, None),
        // What was looked for is shown again with what is wrong with it.
        Err(status) if is_wrong(&status, "query") => {
            let problem = lang.t(
                "请至少输入两个相连的字或字母，最多 60 个字符。",
                "Look for words of two letters or characters and more, 60 in all.",
            );
            (ListCasesResponse::default(), Some(problem))
        }
        Err(status) => return Err(status),
    };
    let names = app.board.names.get(app, session).await;
    let query = filter.query.trim();
    let token = (!answer.next_page_token.is_empty()).then(|| answer.next_page_token.clone());
    let (next, next_token) = if query.is_empty() { (token, None) } else { (None, token) };
    let all = filter.address();
    let next = next.map(|token| format!("{all}&page={}", encoded(&token)));
    let later = !filter.page.is_empty();
    let first = (later && query.is_empty()).then_some(all);
    let unit = if filter.unit.is_empty() { String::new() } else { names.of(&filter.unit, lang) };
    let page = render(&CasesPage {
        lang,
        path,
        links: Links::of(session),
        cases: &answer.cases,
        names: &names,
        first,
        next,
        next_token,
        state: filter.state_name(),
        overdue: filter.overdue(),
        unit,
        unit_id: &filter.unit,
        from: filter.since(),
        query,
        searched_on: later && !query.is_empty(),
        problem,
        missing: missing(&answer, lang),
    });
    Ok(if problem.is_some() { (StatusCode::BAD_REQUEST, page).into_response() } else { page })
}
