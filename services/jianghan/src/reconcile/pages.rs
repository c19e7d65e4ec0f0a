//! A service's digests of a subject, one after the other, of which a page is held at a time.

use std::{
    time::{Duration, Instant},
    vec::IntoIter,
};

use anyhow::{Context, Result, ensure};
use proto::ops::v1::{Digest, ListDigestsRequest, ListDigestsResponse};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::suite::{Session, Suite};

/// How long a page may be made: all that is counted of one place, which goes on from call to call.
const PATIENCE: Duration = Duration::from_secs(1_800);

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
            let page = self.list(page_token).await?;
            self.token = Some(page.next_page_token).filter(|token| !token.is_empty());
            self.page = page.digests.into_iter();
        }
    }

    /// A page; where the service is not done with it yet, it is asked again.
    async fn list(&self, page_token: String) -> Result<ListDigestsResponse> {
        let (subject, page_size) = (self.subject.to_owned(), page_size(self.subject));
        let request = ListDigestsRequest { subject, page_size, page_token };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let call = self.operator.request(request.clone()).await?;
            let refused = match self.suite.ops(self.service).list_digests(call).await {
                Ok(page) => return Ok(page.into_inner()),
                Err(refused) => refused,
            };
            match again_after(&refused) {
                Some(wait) if Instant::now() + wait < deadline => tokio::time::sleep(wait).await,
                _ => {
                    return Err(refused).with_context(|| {
                        format!("{} does not list its digests of `{}`", self.service, self.subject)
                    });
                }
            }
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

/// When a page that is not made yet is asked for again; `None` where it was refused for good.
fn again_after(refused: &Status) -> Option<Duration> {
    if refused.code() != Code::ResourceExhausted {
        return None;
    }
    refused.get_details_retry_info()?.retry_delay
}

/// What counts is long, and made page by page.
fn page_size(subject: &str) -> i32 {
    let long = subject.ends_with("_counts") || subject.starts_with("cell");
    if long { 1_000 } else { 5_000 }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_who_is_not_done_yet_is_asked_again() {
        let soon = Duration::from_millis(100);
        let advised = || ErrorDetails::with_retry_info(Some(soon));
        let busy = Status::with_error_details(Code::ResourceExhausted, "later", advised());
        assert_eq!(again_after(&busy), Some(soon));
        let away = Status::with_error_details(Code::Unavailable, "away", advised());
        assert_eq!(again_after(&away), None);
        assert_eq!(again_after(&Status::resource_exhausted("no time was given")), None);
    }
}
