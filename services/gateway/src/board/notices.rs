//! The page of current public notices. Everybody may read it, signed in or not, so it asks without anybody's token.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{OriginalUri, Query, State},
    http::HeaderMap,
    response::Response,
};
use proto::case_routing::v1::{
    ListPublicNoticesRequest, PublicNotice, application_service_client::ApplicationServiceClient,
};
use serde::Deserialize;

use super::{
    lang::Lang,
    links::Links,
    refusal::refused,
    view::{encoded, render},
};
use crate::App;

#[derive(Template)]
#[template(path = "notices.html")]
struct NoticesPage<'a> {
    lang: Lang,
    path: &'a str,
    links: Links,
    notices: &'a [PublicNotice],
    /// Link to the first page, from a later one.
    first: Option<String>,
    next: Option<String>,
}

/// Which notices, and which page of them.
#[derive(Deserialize)]
pub struct Filter {
    /// A unit with everything below it; empty: all.
    #[serde(default)]
    unit: String,
    #[serde(default)]
    page: String,
}

/// Current notices.
pub async fn notices(
    State(app): State<Arc<App>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    Query(filter): Query<Filter>,
) -> Response {
    let lang = Lang::of(&headers);
    let path = uri.path_and_query().map_or("/notices", |path| path.as_str());
    let links = Links::kept(&app, &headers);
    let page = list(&app, &filter, lang, path, links).await;
    page.unwrap_or_else(|status| refused(lang, path, links, &status, None))
}

async fn list(
    app: &App,
    filter: &Filter,
    lang: Lang,
    path: &str,
    links: Links,
) -> Result<Response, tonic::Status> {
    let request = ListPublicNoticesRequest {
        page_size: 50,
        page_token: filter.page.clone(),
        unit_id: filter.unit.clone(),
    };
    let mut client = ApplicationServiceClient::new(app.channel("case-routing"));
    let answer = client.list_public_notices(request).await?.into_inner();
    let more = (!answer.next_page_token.is_empty()).then_some(answer.next_page_token);
    let all = format!("/notices?unit={}", encoded(&filter.unit));
    let next = more.map(|token| format!("{all}&page={}", encoded(&token)));
    let first = (!filter.page.is_empty()).then_some(all);
    Ok(render(&NoticesPage { lang, path, links, notices: &answer.notices, first, next }))
}
