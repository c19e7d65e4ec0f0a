//! Channels to the other services by the address book: lazy, kept alive, with a deadline, and carrying the trace and a
//! credential on every call. A call to a peer is never made inside a database transaction.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, Request, Response, header::AUTHORIZATION};
use proto::identity::v1::{GetJwksRequest, auth_service_client::AuthServiceClient};
use secrecy::SecretString;
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::Service;

use crate::{
    auth::{FetchKeys, ServiceToken},
    clock::Clock,
    error::{Error, Result},
    telemetry,
};

/// Deadline of a call to a peer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The address book, opened. Cheap to clone.
#[derive(Clone)]
pub struct Peers(Arc<Inner>);

struct Inner {
    channels: HashMap<String, Channel>,
    token: ServiceToken,
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.channels.keys()).finish()
    }
}

impl Peers {
    /// Opens the address book for a service, without connecting yet. Must be called within a runtime.
    ///
    /// # Errors
    /// When an address has no acceptable form.
    pub fn new(
        service: &str,
        addresses: &BTreeMap<String, String>,
        secret: SecretString,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let mut channels = HashMap::new();
        for (peer, address) in addresses {
            let endpoint = Endpoint::from_shared(address.clone())
                .map_err(|error| anyhow::anyhow!("the address of {peer} is not acceptable: {error}"))?
                .connect_timeout(Duration::from_secs(3))
                .timeout(TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(Duration::from_secs(20))
                .keep_alive_timeout(Duration::from_secs(5));
            channels.insert(peer.clone(), endpoint.connect_lazy());
        }
        let identity = channels
            .get("identity")
            .cloned()
            .ok_or_else(|| anyhow::anyhow!("the address book must hold identity"))?;
        let token = ServiceToken::new(service, secret, identity, clock);
        Ok(Self(Arc::new(Inner { channels, token })))
    }

    /// A channel that calls as this service.
    ///
    /// # Errors
    /// `Internal` when the address book does not hold the peer.
    pub fn channel(&self, peer: &str) -> Result<PeerChannel> {
        self.channel_with(peer, Credential::Service(self.0.token.clone()))
    }

    /// A channel without a credential, for public RPCs.
    ///
    /// # Errors
    /// `Internal` when the address book does not hold the peer.
    pub fn channel_public(&self, peer: &str) -> Result<PeerChannel> {
        self.channel_with(peer, Credential::None)
    }

    /// The keys of access tokens, asked of identity.
    ///
    /// # Errors
    /// `Internal` when the address book does not hold identity.
    pub fn fetch_keys(&self) -> Result<impl FetchKeys + use<>> {
        Ok(IdentityKeys(self.channel_public("identity")?))
    }

    /// The token this service calls with.
    pub fn service_token(&self) -> &ServiceToken {
        &self.0.token
    }

    fn channel_with(&self, peer: &str, credential: Credential) -> Result<PeerChannel> {
        let channel = self.0.channels.get(peer).cloned();
        let channel = channel.ok_or_else(|| Error::internal(format!("no address of {peer}")))?;
        Ok(PeerChannel::new(channel, credential))
    }
}

struct IdentityKeys(PeerChannel);

#[async_trait]
impl FetchKeys for IdentityKeys {
    async fn fetch(&self) -> Result<String> {
        let answer = AuthServiceClient::new(self.0.clone()).get_jwks(GetJwksRequest {}).await;
        answer.map(|a| a.into_inner().jwks_json).map_err(|status| Error::from_status(&status))
    }
}

/// With what a channel calls.
#[derive(Clone, Debug)]
pub enum Credential {
    /// The service's own token, renewed as needed.
    Service(ServiceToken),
    /// A whole `authorization` header.
    Bearer(HeaderValue),
    /// Nothing.
    None,
}

/// A channel to one peer that adds the credential and the trace. Give it to a generated client.
#[derive(Clone, Debug)]
pub struct PeerChannel {
    channel: Channel,
    credential: Credential,
}

impl PeerChannel {
    /// A channel with a credential.
    pub fn new(channel: Channel, credential: Credential) -> Self {
        Self { channel, credential }
    }
}

impl Service<Request<Body>> for PeerChannel {
    type Response = Response<Body>;
    type Error = tonic::transport::Error;
    type Future =
        Pin<Box<dyn Future<Output = std::result::Result<Response<Body>, tonic::transport::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let next = self.channel.clone();
        let mut channel = std::mem::replace(&mut self.channel, next); // the one that was polled ready
        let credential = self.credential.clone();
        if let Some(traceparent) = telemetry::current_traceparent()
            && let Ok(value) = HeaderValue::try_from(traceparent)
        {
            request.headers_mut().insert("traceparent", value);
        }
        Box::pin(async move {
            match credential {
                Credential::None => {}
                Credential::Bearer(header) => {
                    request.headers_mut().insert(AUTHORIZATION, header);
                }
                Credential::Service(token) => match token.header().await {
                    Ok(header) => {
                        request.headers_mut().insert(AUTHORIZATION, header);
                    }
                    Err(error) => return Ok(Status::from(error).into_http()),
                },
            }
            channel.call(request).await
        })
    }
}

#[cfg(test)]
#[path = "peers_tests.rs"]
mod tests;
