//! The list of cases as a CSV file: read page by page as the reader takes it, so memory stays bounded and
//! nothing waits for the whole. Each page is asked for with the token again, for a while also when its service is away; if one
//! fails the transfer breaks off, which browsers show as failed, rather than end as if it were whole. Its tokens are renewed by a
//! branch of the session, so that it lasts as long as its reader takes it and the session goes on: those in the cookie are the
//! browser's, and none can be set by then.

use std::{io, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Form, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::stream;
use proto::case_routing::v1::{Case, ListCasesRequest, ListCasesResponse};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::{
    lang::Lang,
    names::Names,
    pages::{Filter, ask, listed, missing},
    reader::{NoSession, Reader},
    session::Lasting,
};
use crate::{App, export, rest::unreachable_is_unavailable};

/// Cases of a page, the most the service gives.
const PAGE: i32 = 200;
/// How long a page is asked for again while its service is away; one that starts anew is back sooner.
const PATIENCE: Duration = Duration::from_secs(30);
/// First wait before it is asked for again; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

struct Reading {
    app: Arc<App>,
    lasting: Lasting,
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
    let (reader, lasting) = Reader::lasting(&app, &headers, "/cases", &filter.query).await?;
    let request = ListCasesRequest { page_size: PAGE, page_token: String::new(), ..filter.request() };
    // The first page comes before the answer begins: what is refused is refused as a page, as a search is.
    let first = match ask(&app, &reader.session, request.clone()).await {
        Ok(first) => first,
        Err(status) => {
            let page = listed(&app, &reader, &filter, Err(status)).await;
            return Ok(reader.answer_form(page, &filter.query));
        }
    };
    if missing(&first, reader.lang).is_some() {
        let page = listed(&app, &reader, &filter, Ok(first)).await.map(|mut page| {
            *page.status_mut() = StatusCode::CONFLICT;
            page
        });
        return Ok(reader.answer_form(page, &filter.query));
    }
    let names = app.board.names.get(&app, &reader.session).await;
    let lang = reader.lang;
    let reading = Reading { app, lasting, request, names, lang, read: Some(first), begun: false };
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
            None => self.ask().await.map_err(|status| {
                tracing::warn!(code = ?status.code(), "an export broke off");
                broken_off()
            })?,
        };
        if page.unindexed_count > 0 {
            tracing::warn!(
                "an export broke off: words of cases that were imported meanwhile are not indexed"
            );
            return Err(broken_off());
        }
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

    /// The page that comes next; again and again while its service is away, for a while.
    async fn ask(&mut self) -> Result<ListCasesResponse, Status> {
        let deadline = Instant::now() + PATIENCE;
        let mut wait = FIRST_WAIT;
        loop {
            let answer = match self.lasting.session(&self.app).await {
                Ok(session) => ask(&self.app, session, self.request.clone()).await,
                Err(status) => Err(status),
            };
            let status = match answer.map_err(unreachable_is_unavailable) {
                Err(status) if status.code() == Code::Unavailable => status,
                answer => return answer,
            };
            if Instant::now() + wait > deadline {
                return Err(status);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.app.stopping() => return Err(status),
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn line(&self, case: &Case) -> String {
        export::line(&export::row(case, self.lang == Lang::En, |id| self.names.of(id, self.lang)))
    }
}

fn broken_off() -> io::Error {
    io::Error::other("the export broke off")
}
