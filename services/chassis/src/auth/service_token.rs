//! The service's own credential for calls to other services: fetched from identity with the service's secret, renewed
//! before it runs out. The secret never leaves this module but in that one call.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use chrono::TimeDelta;
use http::HeaderValue;
use proto::identity::v1::{IssueServiceTokenRequest, auth_service_client::AuthServiceClient};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tonic::transport::Channel;

use crate::{
    clock::{self, Clock, Timestamp},
    error::{Error, Result},
};

/// Renewed when less than this is left.
const EARLY: TimeDelta = TimeDelta::minutes(2);

/// Gets and renews the service's token. Cheap to clone.
#[derive(Clone)]
pub struct ServiceToken(Arc<Inner>);

struct Inner {
    service: String,
    secret: SecretString,
    identity: Channel,
    clock: Clock,
    held: ArcSwapOption<Held>,
    fetching: Mutex<()>,
}

struct Held {
    header: HeaderValue,
    expires: Timestamp,
}

impl std::fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceToken").field("service", &self.0.service).finish_non_exhaustive()
    }
}

impl ServiceToken {
    /// For a service, with its secret and a channel to identity.
    pub fn new(service: &str, secret: SecretString, identity: Channel, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            service: service.to_owned(),
            secret,
            identity,
            clock,
            held: ArcSwapOption::empty(),
            fetching: Mutex::new(()),
        }))
    }

    /// The `authorization` header of a call.
    ///
    /// # Errors
    /// `Unavailable` when identity is not reachable, `Unauthenticated` when it does not know the secret.
    pub async fn header(&self) -> Result<HeaderValue> {
        if let Some(header) = self.fresh() {
            return Ok(header);
        }
        let _one = self.0.fetching.lock().await;
        if let Some(header) = self.fresh() {
            return Ok(header);
        }
        match self.fetch().await {
            Ok(header) => Ok(header),
            // Renewal comes early; until the token in hand has run out an absent identity hurts nobody.
            Err(error) => self.still_valid().ok_or(error),
        }
    }

    fn fresh(&self) -> Option<HeaderValue> {
        self.held_with(EARLY)
    }

    fn still_valid(&self) -> Option<HeaderValue> {
        self.held_with(TimeDelta::zero())
    }

    fn held_with(&self, left: TimeDelta) -> Option<HeaderValue> {
        let held = self.0.held.load();
        held.as_ref()
            .filter(|held| held.expires - left > self.0.clock.real_now())
            .map(|held| held.header.clone())
    }

    async fn fetch(&self) -> Result<HeaderValue> {
        let request = IssueServiceTokenRequest {
            service: self.0.service.clone(),
            secret: self.0.secret.expose_secret().to_owned(),
        };
        let answer = AuthServiceClient::new(self.0.identity.clone())
            .issue_service_token(request)
            .await
            .map_err(|status| Error::from_status(&status))?
            .into_inner();
        let mut header =
            HeaderValue::try_from(format!("Bearer {}", answer.access_token)).map_err(Error::internal)?;
        header.set_sensitive(true);
        let expires = answer
            .access_expire_time
            .as_ref()
            .and_then(clock::from_proto)
            .ok_or_else(|| Error::internal("a service token without an end"))?;
        self.0.held.store(Some(Arc::new(Held { header: header.clone(), expires })));
        Ok(header)
    }
}
