//! The mediations within reach: the way to their cases also for those who may not list cases, such as mediators.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{OriginalUri, Query, State},
    http::HeaderMap,
    response::Response,
};
use proto::case_routing::v1::{
    ListMediationsRequest, Mediation, mediation_service_client::MediationServiceClient,
};
use serde::Deserialize;

use super::{
    lang::Lang,
    links::Links,
    names::Names,
    reader::{NoSession, Reader},
    view::{encoded, local, render},
};
use crate::App;

#[derive(Template)]
#[template(path = "mediations.html")]
struct MediationsPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    names: &'a Names,
    mediations: &'a [Mediation],
    overdue: bool,
    /// Link to the first page, from a later one.
    first: Option<String>,
    next: Option<String>,
}

/// Which mediations, and which page of them.
#[derive(Deserialize)]
pub struct Filter {
    /// `true`: only those in which something is waited for in vain.
    #[serde(default)]
    overdue: String,
    #[serde(default)]
    page: String,
}

/// Mediations within the reader's reach.
pub async fn mediations(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Result<Response, NoSession> {
    let path = uri.path_and_query().map_or("/mediations", |path| path.as_str());
    let reader = Reader::of(&app, &headers, path).await?;
    let page = list(&app, &reader, filter).await;
    Ok(reader.answer(page))
}

async fn list(app: &App, reader: &Reader<'_>, filter: Filter) -> Result<Response, tonic::Status> {
    let (session, lang, path) = (&reader.session, reader.lang, reader.path);
    let overdue = filter.overdue == "true";
    let first = (!filter.page.is_empty()).then(|| format!("/mediations?overdue={overdue}"));
    let request =
        ListMediationsRequest { page_size: 50, page_token: filter.page, overdue, ..Default::default() };
    let mut client = MediationServiceClient::new(app.channel("case-routing"));
    let found = client.list_mediations(session.request(request)?).await?.into_inner();
    let names = app.board.names.get(app, session).await;
    let more = (!found.next_page_token.is_empty()).then_some(found.next_page_token);
    let next = more.map(|token| format!("/mediations?overdue={overdue}&page={}", encoded(&token)));
    let (links, mediations) = (Links::of(session), &found.mediations);
    Ok(render(&MediationsPage { lang, path, links, names: &names, mediations, overdue, first, next }))
}
