//! Hot spots: what was found, how it was answered, whether that helped, and the two forms by which somebody answers. They
//! are plain forms, so they work by keyboard and without scripts.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::{
    extract::{Form, OriginalUri, Query, State},
    http::HeaderMap,
    response::{IntoResponse, Redirect, Response},
};
use proto::{
    analytics::v1::{
        self as figures, HotspotEffect, hotspot_service_client::HotspotServiceClient as FiguresClient,
    },
    case_routing::v1::{
        DismissHotspotRequest, Hotspot, HotspotAnswer, ListHotspotsRequest, OpenTopicCaseRequest,
        hotspot_service_client::HotspotServiceClient,
    },
};
use serde::Deserialize;

use super::{
    lang::{Lang, bare},
    links::Links,
    names::Names,
    reader::{NoSession, Reader},
    session::Session,
    view::{encoded, fresh, local, plural, render},
};
use crate::App;

/// Reasons that the form offers; the service takes any code.
pub const REASONS: [(&str, &str, &str); 4] = [
    ("seasonal", "季节性，属正常", "seasonal, as every year"),
    ("known_cause", "原因已知，已在处理", "cause known and being dealt with"),
    ("registration_error", "登记差错", "an error of registration"),
    ("no_common_cause", "各件没有共同原因", "the cases have no common cause"),
];

#[derive(Template)]
#[template(path = "hotspots.html")]
struct HotspotsPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    hotspots: &'a [Hotspot],
    effects: HashMap<String, figures::Hotspot>,
    names: &'a Names,
    /// Link to the first page, from a later one.
    first: Option<String>,
    next: Option<String>,
    answer: String,
}

/// Which hot spots, and which page of them.
#[derive(Deserialize)]
pub struct Filter {
    #[serde(default)]
    answer: String,
    #[serde(default)]
    page: String,
}

impl Filter {
    fn answer(&self) -> HotspotAnswer {
        let name = format!("HOTSPOT_ANSWER_{}", self.answer.to_ascii_uppercase());
        HotspotAnswer::from_str_name(&name).unwrap_or_default()
    }
}

/// How a hot spot is answered.
#[derive(Deserialize)]
pub struct Answer {
    hotspot_id: String,
    /// Made with the form: sent twice, it is one answer.
    request_id: String,
    action: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    reason_code: String,
}

/// Hot spots within the reader's reach.
pub async fn hotspots(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, NoSession> {
    let path = uri.path_and_query().map_or("/hotspots", |path| path.as_str());
    let reader = Reader::of(&app, &headers, path).await?;
    let page = list(&app, &reader, &filter).await;
    Ok(reader.answer(page))
}

async fn list(app: &App, reader: &Reader<'_>, filter: &Filter) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let request = ListHotspotsRequest {
        page_size: 50,
        page_token: filter.page.clone(),
        answer: filter.answer().into(),
        ..Default::default()
    };
    let mut client = HotspotServiceClient::new(app.channel("case-routing"));
    let found = client.list_hotspots(session.request(request)?).await?.into_inner();
    let names = app.board.names.get(app, session).await;
    let answer = bare(filter.answer().as_str_name(), "HOTSPOT_ANSWER_");
    let answer = if answer == "unspecified" { String::new() } else { answer };
    let more = (!found.next_page_token.is_empty()).then_some(found.next_page_token);
    let next = more.map(|token| format!("/hotspots?answer={answer}&page={}", encoded(&token)));
    let first = (!filter.page.is_empty()).then(|| format!("/hotspots?answer={answer}"));
    let effects = effects(app, session, &found.hotspots).await;
    Ok(render(&HotspotsPage {
        lang,
        path,
        links: Links::of(session),
        hotspots: &found.hotspots,
        effects,
        names: &names,
        first,
        next,
        answer,
    }))
}

/// What analytics says of those that have a topic case. Who may not see figures, or while they are away, sees the rest.
async fn effects(app: &App, session: &Session, hotspots: &[Hotspot]) -> HashMap<String, figures::Hotspot> {
    let mut found = HashMap::new();
    let topics = hotspots.iter().filter(|hotspot| !hotspot.topic_case_id.is_empty());
    let hotspot_ids: Vec<String> = topics.map(|hotspot| hotspot.hotspot_id.clone()).collect();
    if hotspot_ids.is_empty() {
        return found;
    }
    // By their ids: a verdict comes long after the finding, when hundreds are newer.
    let request = figures::ListHotspotsRequest { page_size: 200, hotspot_ids, ..Default::default() };
    let Ok(request) = session.request(request) else { return found };
    if let Ok(page) = FiguresClient::new(app.channel("analytics")).list_hotspots(request).await {
        found.extend(page.into_inner().hotspots.into_iter().map(|seen| (seen.hotspot_id.clone(), seen)));
    }
    found
}

/// What came of a topic case, in words; empty where there is nothing to say yet.
fn effect(seen: Option<&figures::Hotspot>, lang: Lang) -> String {
    let Some(seen) = seen else { return String::new() };
    let words = match seen.effect() {
        HotspotEffect::Unspecified | HotspotEffect::Pending => return String::new(),
        HotspotEffect::TooEarly => lang.t("结案未满观察期", "too early to tell"),
        HotspotEffect::Fell => lang.t("结案后下降", "fewer cases since it was closed"),
        HotspotEffect::Unchanged => lang.t("结案后无明显变化", "no clear change since it was closed"),
        HotspotEffect::Rose => lang.t("结案后上升", "more cases since it was closed"),
    };
    let [before, after] = [lang.t("前", "before"), lang.t("后", "after")];
    let told = |count: i64, days: i32| {
        let cases = lang.t("件", plural(count, "case", "cases"));
        let days_word = lang.t("天", plural(i64::from(days), "day", "days"));
        format!("{count} {cases} / {days} {days_word}")
    };
    let (first, then) = (told(seen.count_before, seen.days_before), told(seen.count_after, seen.days_after));
    format!("{words}: {before} {first}, {after} {then}")
}

/// `2.5`: an expectation is no whole number.
fn tenth(value: f64) -> String {
    format!("{value:.1}")
}

/// A reason in words; the code where nobody named it.
fn reason(code: &str, lang: Lang) -> String {
    let known = REASONS.iter().find(|(known, _, _)| *known == code);
    known.map_or_else(|| code.to_owned(), |(_, zh, en)| lang.t(zh, en).to_owned())
}

/// Opens a topic case, or dismisses, as the form says.
pub async fn answer(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(mut form): Form<Answer>,
) -> Result<Response, NoSession> {
    // Forms send a line's end as two characters; the form counts it as one, and so does the service.
    form.text = form.text.replace("\r\n", "\n");
    let written = form.text.clone();
    let reader = Reader::of_form(&app, &headers, "/hotspots", &written).await?;
    let sent = send(&app, &reader.session, form).await;
    Ok(reader.answer_form(sent.map(|to| Redirect::to(&to).into_response()), &written))
}

/// Sends the answer; where to go next.
async fn send(app: &App, session: &Session, form: Answer) -> Result<String, tonic::Status> {
    let Answer { hotspot_id, request_id, action, text, reason_code } = form;
    let mut client = HotspotServiceClient::new(app.channel("case-routing"));
    match action.as_str() {
        "topic" => {
            let request = OpenTopicCaseRequest { hotspot_id, request_id, text };
            let opened = client.open_topic_case(session.request(request)?).await?.into_inner();
            let case = opened.case.map(|case| format!("/cases/{}", encoded(&case.case_id)));
            Ok(case.unwrap_or_else(|| "/hotspots".to_owned()))
        }
        "dismiss" => {
            let request = DismissHotspotRequest { hotspot_id, request_id, reason_code };
            client.dismiss_hotspot(session.request(request)?).await?;
            Ok("/hotspots".to_owned())
        }
        _ => Err(tonic::Status::invalid_argument("action")),
    }
}
