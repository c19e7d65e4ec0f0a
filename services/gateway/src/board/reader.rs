//! Who reads a page: the session, the language and the page's path. What the pages for signed-in people begin and end with.

use axum::{
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse, Response},
};

use super::{
    lang::Lang,
    links::Links,
    refusal::{closed, refused},
    session::{Closed, Lasting, Open, Session},
    view::with_cookies,
};
use crate::App;

/// A signed-in person who asked for a page.
pub struct Reader<'a> {
    /// The session.
    pub session: Session,
    /// The language of the page.
    pub lang: Lang,
    /// Where the page is found.
    pub path: &'a str,
    cookies: Vec<HeaderValue>,
}

/// A page was asked for without a session. It is an answer by itself.
pub struct NoSession {
    lang: Lang,
    path: String,
    links: Links,
    why: Closed,
    /// What was written into a form; nothing where it was a page.
    form: Option<String>,
}

impl NoSession {
    fn of(why: Closed, app: &App, headers: &HeaderMap, path: &str) -> Self {
        let links = Links::kept(app, headers);
        Self { lang: Lang::of(headers), path: path.to_owned(), links, why, form: None }
    }

    /// It was a form that was sent, with this in it.
    fn of_form(self, written: &str) -> Self {
        Self { form: Some(written.to_owned()), ..self }
    }
}

impl IntoResponse for NoSession {
    fn into_response(self) -> Response {
        closed(self.lang, &self.path, self.links, self.why, self.form.as_deref())
    }
}

impl<'a> Reader<'a> {
    /// Who asks for the page.
    ///
    /// # Errors
    /// The answer to somebody without a session.
    pub async fn of(app: &App, headers: &HeaderMap, path: &'a str) -> Result<Self, NoSession> {
        match Session::of(app, headers).await {
            Ok(open) => Ok(Self::with(open, headers, path)),
            Err(why) => Err(NoSession::of(why, app, headers, path)),
        }
    }

    /// Who sends a form, into which this was written.
    ///
    /// # Errors
    /// The answer to somebody without a session: it shows what was written.
    pub async fn of_form(
        app: &App,
        headers: &HeaderMap,
        path: &'a str,
        written: &str,
    ) -> Result<Self, NoSession> {
        Self::of(app, headers, path).await.map_err(|closed| closed.of_form(written))
    }

    /// Who sends a form, into which this was written, whose answer takes as long as its reader does: with the tokens of that answer.
    ///
    /// # Errors
    /// The answer to somebody without a session: it shows what was written.
    pub async fn lasting(
        app: &App,
        headers: &HeaderMap,
        path: &'a str,
        written: &str,
    ) -> Result<(Self, Lasting), NoSession> {
        match Session::lasting(app, headers).await {
            Ok((open, lasting)) => Ok((Self::with(open, headers, path), lasting)),
            Err(why) => Err(NoSession::of(why, app, headers, path).of_form(written)),
        }
    }

    fn with(open: Open, headers: &HeaderMap, path: &'a str) -> Self {
        let Open { session, cookies } = open;
        Self { session, lang: Lang::of(headers), path, cookies }
    }

    /// The page, or the one that says why there is none; with the cookies of tokens that were renewed.
    pub fn answer(self, page: Result<Response, tonic::Status>) -> Response {
        self.refusing(page, None)
    }

    /// The answer to a form. What was written into it is shown again when it was refused, so that it is not lost.
    pub fn answer_form(self, page: Result<Response, tonic::Status>, written: &str) -> Response {
        self.refusing(page, Some(written))
    }

    fn refusing(self, page: Result<Response, tonic::Status>, form: Option<&str>) -> Response {
        let links = Links::of(&self.session);
        let page = page.unwrap_or_else(|status| refused(self.lang, self.path, links, &status, form));
        with_cookies(page, self.cookies)
    }
}
