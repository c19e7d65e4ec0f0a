//! A service's digests of a subject, one after the other, of which a page is held at a time.

use std::vec::IntoIter;

use anyhow::{Context, Result, ensure};
use proto::ops::v1::{Digest, ListDigestsRequest};

use crate::suite::{Session, Suite};

/// Digests that are still to be read.
pub struct Pages<'a> {
    suite: &'a Suite,
    operator: &'a Session,
    service: &'a str,
    subject: &'a str,
    page: IntoIter<Digest>,
    /// Of the next page; unset behind the last.
    token: Option<String>,
}

impl<'a> Pages<'a> {
    /// All that a service holds about a subject.
    pub fn of(suite: &'a Suite, operator: &'a Session, (service, subject): (&'a str, &'a str)) -> Self {
        let page = Vec::new().into_iter();
        Self { suite, operator, service, subject, page, token: Some(String::new()) }
    }

    /// The next digest; `None` behind the last.
    pub async fn advance(&mut self) -> Result<Option<Digest>> {
        loop {
            if let Some(digest) = self.page.next() {
                return Ok(Some(digest));
            }
            let Some(page_token) = self.token.take() else { return Ok(None) };
            let (subject, page_size) = (self.subject.to_owned(), page_size(self.subject));
            let request = ListDigestsRequest { subject, page_size, page_token };
            let request = self.operator.request(request).await?;
            let page = self
                .suite
                .ops(self.service)
                .list_digests(request)
                .await
                .with_context(|| format!("{} does not list its digests of `{}`", self.service, self.subject))?
                .into_inner();
            self.token = Some(page.next_page_token).filter(|token| !token.is_empty());
            self.page = page.digests.into_iter();
        }
    }

    /// The next digest, of a list in the order of the texts of its keys.
    pub async fn advance_from(&mut self, last: Option<&Digest>) -> Result<Option<Digest>> {
        let next = self.advance().await?;
        let goes_on = match (last, &next) {
            (Some(last), Some(next)) => last.key < next.key,
            _ => true,
        };
        ensure!(goes_on, "{} lists its digests of `{}` out of order", self.service, self.subject);
        Ok(next)
    }
}

/// What counts is long, and made page by page.
fn page_size(subject: &str) -> i32 {
    let long = subject.ends_with("_counts") || subject.starts_with("cell");
    if long { 1_000 } else { 5_000 }
}
