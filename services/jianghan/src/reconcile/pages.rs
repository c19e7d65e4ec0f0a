//! A service's digests of a subject, one after the other, of which a page is held at a time.

use std::{
    fmt,
    time::{Duration, Instant},
    vec::IntoIter,
};

use anyhow::{Context, Result, ensure};
use proto::ops::v1::{Digest, ListDigestsRequest, ListDigestsResponse};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::suite::{SERVICES, Session, Suite};

/// How long a page may be made: all that is counted of one place, or of every case, which goes on from call to call.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// Services that could not be asked, however long it was tried.
#[derive(Debug)]
pub(super) struct Away(pub Vec<String>);

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be asked", self.0.join(", "))
    }
}

/// The error of a call; where nobody answered it, or whoever asks is not let in, with whom that leaves out.
fn unanswered(status: Status, left_out: &[&str]) -> anyhow::Error {
    let nobody = matches!(status.code(), Code::Unavailable | Code::Unauthenticated);
    let error = anyhow::Error::from(status);
    if !nobody {
        return error;
    }
    error.context(Away(left_out.iter().map(|service| (*service).to_owned()).collect()))
}

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
            // Whoever cannot sign in can ask nobody.
            let call = self.operator.request(request.clone()).await;
            let call = call.map_err(|refused| unanswered(refused, &SERVICES))?;
            let refused = match self.suite.ops(self.service).list_digests(call).await {
                Ok(page) => return Ok(page.into_inner()),
                Err(refused) => refused,
            };
            match again_after(&refused) {
                Some(wait) if Instant::now() + wait < deadline => tokio::time::sleep(wait).await,
                _ => {
                    return Err(unanswered(refused, &[self.service])).with_context(|| {
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

/// What counts is long.
fn page_size(subject: &str) -> i32 {
    let long = subject.ends_with("_counts") || subject.starts_with("cell");
    if long { 1_000 } else { 5_000 }
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn whom_nobody_could_ask_is_told_through_what_is_said_of_it() {
        let said = |status: Status| unanswered(status, &["staffing"]).context("it does not list its digests");
        let away = said(Status::unavailable("no connection"));
        assert_eq!(away.downcast_ref::<Away>().expect("away").0, ["staffing"]);
        let told = format!("{away:#}");
        assert!(told.contains("staffing could not be asked") && told.contains("no connection"), "{told}");
        assert!(said(Status::unauthenticated("no")).downcast_ref::<Away>().is_some());
        assert!(said(Status::internal("broken")).downcast_ref::<Away>().is_none());
    }

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
