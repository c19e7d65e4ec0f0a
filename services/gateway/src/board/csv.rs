//! The list of cases as a CSV file, of any length: read page by page as the reader takes it, so memory stays bounded and
//! nothing waits for the whole. Each page is asked for with the token again; if one fails the transfer breaks off, which
//! browsers show as failed, rather than end as if it were whole.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    extract::{Form, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use proto::case_routing::v1::{Case, ListCasesRequest, ListCasesResponse};

use super::{
    lang::Lang,
    names::Names,
    pages::{Filter, ask},
    reader::{NoSession, Reader},
    session::{self, Session},
};
use crate::{App, export};

/// Cases of a page, the most the service gives.
const PAGE: i32 = 200;

struct Reading {
    app: Arc<App>,
    session: Session,
    request: ListCasesRequest,
    names: Arc<Names>,
    lang: Lang,
    /// What was read and not written yet.
    read: Option<ListCasesResponse>,
    begun: bool,
}

/// Streams the cases of the form. A form, because the words looked for stand in no URL.
pub async fn cases(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    Form(filter): Form<Filter>,
) -> Result<Response, NoSession> {
    if !session::is_same_site(&headers, &app.config.public_url) {
        return Ok(StatusCode::FORBIDDEN.into_response());
    }
    let reader = Reader::of(&app, &headers, "/cases").await?;
    let request = ListCasesRequest { page_size: PAGE, page_token: String::new(), ..filter.request() };
    // The first page comes before the answer begins: what is refused is refused as a page.
    let first = match ask(&app, &reader.session, request.clone()).await {
        Ok(first) => first,
        Err(status) => return Ok(reader.answer(Err(status))),
    };
    let names = app.board.names.get(&app, &reader.session).await;
    let (session, lang) = (reader.session.clone(), reader.lang);
    let reading = Reading { app, session, request, names, lang, read: Some(first), begun: false };
    let body = Body::from_stream(stream::try_unfold(reading, Reading::next));
    let head = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"cases.csv\""),
    ];
    Ok(reader.answer(Ok((head, body).into_response())))
}

impl Reading {
    /// The next lines, and what is left.
    async fn next(mut self) -> io::Result<Option<(String, Self)>> {
        let page = match self.read.take() {
            Some(page) => page,
            None if self.request.page_token.is_empty() => return Ok(None),
            None => ask(&self.app, &self.session, self.request.clone()).await.map_err(|status| {
                tracing::warn!(code = ?status.code(), "an export broke off");
                io::Error::other("the export broke off")
            })?,
        };
        let mut lines = String::new();
        if !self.begun {
            lines.push_str(export::BOM);
            lines.push_str(&export::line(&export::header(self.lang == Lang::En)));
            self.begun = true;
        }
        lines.extend(page.cases.iter().map(|case| self.line(case)));
        self.request.page_token = page.next_page_token;
        Ok(Some((lines, self)))
    }

    fn line(&self, case: &Case) -> String {
        export::line(&export::row(case, self.lang == Lang::En, |id| self.names.of(id, self.lang)))
    }
}
