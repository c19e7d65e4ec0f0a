//! The page of one case: how it stands, the reasons of its routing, its timeline, and what its reader may see besides. What changes
//! is rendered apart, so that the page can be live.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use proto::case_routing::v1::{
    Application, Case, CaseState, GetApplicationRequest, GetCaseRequest, GetMediationRequest,
    GetTimelineRequest, Mediation, SuggestItemsRequest, SuggestItemsResponse, SuggestionState, TimelineEntry,
    application_service_client::ApplicationServiceClient, case_service_client::CaseServiceClient,
    classify_service_client::ClassifyServiceClient, mediation_service_client::MediationServiceClient,
    suggest_items_request::About,
};

use super::{
    lang::{Lang, bare},
    links::Links,
    names::Names,
    reader::{NoSession, Reader},
    session::Session,
    steps::{ground, step},
    view::{
        coordinates, day, encoded, judged, local, materials, outcome, permitted, probability, reason_text,
        render, task_numbers, unsynced, whistled, word, yuan,
    },
};
use crate::App;

/// Steps shown of one case; a case that has more is read over the API.
const MOST_STEPS: usize = 1_000;

#[derive(Template)]
#[template(path = "case.html")]
struct CasePage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    case: &'a Case,
    body: String,
    live: &'a str,
}

#[derive(Template)]
#[template(path = "case_body.html")]
struct CaseBody<'a> {
    lang: Lang,
    case: &'a Case,
    timeline: &'a [TimelineEntry],
    application: Option<Application>,
    mediation: Option<Mediation>,
    names: &'a Names,
    /// What the case may be about, while that can still be settled.
    suggested: Option<SuggestItemsResponse>,
}

/// One case with its timeline and the reasons of its routing.
pub async fn case(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Path(case_id): Path<String>,
) -> Result<Response, NoSession> {
    let path = format!("/cases/{}", encoded(&case_id));
    let reader = Reader::of(&app, &headers, &path).await?;
    let page = one(&app, &reader, case_id).await;
    Ok(reader.answer(page))
}

async fn one(app: &App, reader: &Reader<'_>, case_id: String) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let mut client = CaseServiceClient::new(app.channel("case-routing"));
    let case = client.get_case(session.request(GetCaseRequest { case_id })?).await?.into_inner().case;
    let case = case.ok_or_else(|| tonic::Status::not_found("no such case"))?;
    let body = body(app, session, lang, &case).await?;
    // The stream goes on from what is shown here.
    let live = format!("{path}/events?after={}", encoded(&case.etag));
    Ok(render(&CasePage { lang, path, links: Links::of(session), case: &case, body, live: &live }))
}

/// The part of the page that changes, with all that belongs to the case as it is given.
pub async fn body(app: &App, session: &Session, lang: Lang, case: &Case) -> Result<String, tonic::Status> {
    let timeline = timeline(app, session, case).await?;
    let application = application(app, session, case).await?;
    let mediation = mediation(app, session, case).await?;
    let suggested = suggestions(app, session, case).await;
    let names = app.board.names.get(app, session).await;
    let body = CaseBody { lang, case, timeline: &timeline, application, mediation, names: &names, suggested };
    body.render().map_err(|error| {
        tracing::error!(%error, "a page could not be rendered");
        tonic::Status::internal("the page could not be rendered")
    })
}

async fn timeline(app: &App, session: &Session, case: &Case) -> Result<Vec<TimelineEntry>, tonic::Status> {
    let mut client = CaseServiceClient::new(app.channel("case-routing"));
    let mut timeline = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = GetTimelineRequest { case_id: case.case_id.clone(), page_size: 200, page_token };
        let page = client.get_timeline(session.request(request)?).await?.into_inner();
        timeline.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() || timeline.len() >= MOST_STEPS {
            return Ok(timeline);
        }
    }
}

/// The papers of a service application, where the reader may see them.
async fn application(
    app: &App,
    session: &Session,
    case: &Case,
) -> Result<Option<Application>, tonic::Status> {
    if case.application_state == 0 {
        return Ok(None);
    }
    let request = session.request(GetApplicationRequest { case_id: case.case_id.clone() })?;
    let mut client = ApplicationServiceClient::new(app.channel("case-routing"));
    Ok(permitted(client.get_application(request).await)?.and_then(|answer| answer.application))
}

/// The mediation of a dispute in full, where the reader may see it.
async fn mediation(app: &App, session: &Session, case: &Case) -> Result<Option<Mediation>, tonic::Status> {
    let Some(known) = &case.mediation else { return Ok(None) };
    let request =
        GetMediationRequest { case_id: case.case_id.clone(), mediation_id: known.mediation_id.clone() };
    let mut client = MediationServiceClient::new(app.channel("case-routing"));
    Ok(permitted(client.get_mediation(session.request(request)?).await)?.and_then(|answer| answer.mediation))
}

/// What a case may be about, for those who triage: before it has an item, and while one that was suggested can be changed.
/// Whoever may not ask sees none, and a page is not refused for want of it.
async fn suggestions(app: &App, session: &Session, case: &Case) -> Option<SuggestItemsResponse> {
    let open = matches!(case.state(), CaseState::Registered | CaseState::Accepted | CaseState::Triaged);
    if !open || (!case.item_code.is_empty() && case.triage.is_none()) {
        return None;
    }
    let request = SuggestItemsRequest { about: Some(About::CaseId(case.case_id.clone())) };
    let mut client = ClassifyServiceClient::new(app.channel("case-routing"));
    match client.suggest_items(session.request(request).ok()?).await {
        Ok(answer) => {
            Some(answer.into_inner()).filter(|answer| answer.state() != SuggestionState::Unspecified)
        }
        Err(status) => {
            if status.code() != tonic::Code::PermissionDenied {
                tracing::warn!(code = ?status.code(), "suggestions are not to be had just now");
            }
            None
        }
    }
}
