//! Who asks, and who tries passwords. Each try costs identity a hash, and only so many wait there for their turn: one client that tried without
//! end would leave nobody else one. So of one client few are in hand, counted by its address, and few of them fail.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::extract::FromRequestParts;
use chassis::network::{self, Network};
use http::{HeaderMap, request::Parts};
use tonic::Status;
use tracing::Instrument;

use crate::{
    App,
    failures::{Counted, NotTried},
    places::Place,
    rest::too_many,
};

/// Tries in hand at once, of all clients: as many as identity lets wait unless told otherwise (`hashing_queue`).
pub(crate) const MOST: usize = 512;
/// Of one client.
pub(crate) const MOST_OF_ONE: usize = 8;
/// Of one client, those that wait on the board until they are among these.
pub(crate) const MOST_WAITING_OF_ONE: usize = 64;
/// For how long they wait.
const PATIENCE: Duration = Duration::from_secs(5);
const FORWARDED: &str = "x-forwarded-for";

/// Where a connection came from: put into its requests by the accepting loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// The proxies in front of the gateway: their word for whom a request came from counts. Unless they are told, whoever connects
/// from an address that is not public may be one, which speaks for everybody.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Option<Vec<Network>>);

impl Proxies {
    /// What `JIANGHAN_TRUSTED_PROXIES` says: networks with commas between them, or `none` where there is no proxy.
    ///
    /// # Errors
    /// When it has no acceptable form.
    pub fn read(env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let list = env("JIANGHAN_TRUSTED_PROXIES").unwrap_or_default();
        let networks: anyhow::Result<Vec<Network>> = match list.trim() {
            "" => return Ok(Self(None)),
            "none" => Ok(Vec::new()),
            list => list.split(',').map(|network| Network::parse(network.trim())).collect(),
        };
        let networks = networks
            .context("JIANGHAN_TRUSTED_PROXIES is neither networks such as 10.244.0.0/16 nor none")?;
        Ok(Self(Some(networks)))
    }

    /// What a connection from there is counted by; nothing where it may be a proxy's, which speaks for everybody.
    pub(crate) fn connected(&self, peer: IpAddr) -> Option<IpAddr> {
        // A proxy that tells nobody.
        self.client(peer, &HeaderMap::new()).map(counted)
    }

    /// Whom a request came from; nothing where that cannot be told.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Option<IpAddr> {
        let Some(proxies) = &self.0 else { return Some(peer).filter(|peer| network::is_public(*peer)) };
        let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.holds(address));
        if !is_proxy(peer) {
            return Some(peer);
        }
        // Every proxy adds where it got the request from. What stands before the first that is none may be made up.
        let values = headers.get_all(FORWARDED).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let hops = values.collect::<Vec<_>>().join(",");
        // Where all that can be read are proxies, it may have been anybody.
        hops.rsplit(',').map_while(address).find(|address| !is_proxy(*address))
    }
}

/// An address as proxies write it, some of them with the port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    hop.parse().ok().or_else(|| hop.parse().ok().map(|at: SocketAddr| at.ip()))
}

/// Whom a request came from, as far as that can be told: what its address counts as.
#[derive(Clone, Copy, Debug)]
pub struct Client(Option<IpAddr>);

impl Client {
    /// Of a request.
    pub fn of(app: &App, parts: &Parts) -> Self {
        Self::told(&app.config.proxies, parts)
    }

    /// Of a request behind these proxies.
    pub(crate) fn told(proxies: &Proxies, parts: &Parts) -> Self {
        let peer = parts.extensions.get::<Peer>();
        Self(peer.and_then(|peer| proxies.client(peer.0, &parts.headers)).map(counted))
    }

    /// What it is counted by; nothing where it cannot be told from others.
    pub(crate) fn address(self) -> Option<IpAddr> {
        self.0
    }

    /// Room to try a password, at a login where that is told, held until the answer is there. Who cannot be told from others is
    /// not limited.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED` when too many of this client's tries are in hand, or failed.
    pub fn tries(self, app: &App, login: Option<&str>) -> Result<Try, Status> {
        let Some(client) = self.0 else { return Ok(Try(None)) };
        let place = app.tries.take_as(client).ok_or_else(too_many)?;
        let counted = app.failures.begin(client, login).map_err(|why| match why {
            NotTried::Crowded => too_many(),
            NotTried::Failed(retry_after) => chassis::Error::Exhausted { retry_after }.into(),
        })?;
        Ok(Try(Some((place, counted))))
    }

    /// The same on the board: behind one address there may be a whole office, so a few wait a moment for each other.
    ///
    /// # Errors
    /// When that takes too long, too many wait already, or too many failed.
    pub async fn tries_soon(self, app: &App, login: Option<&str>) -> Result<Try, NotTried> {
        let Some(client) = self.0 else { return Ok(Try(None)) };
        let place = if let Some(place) = app.tries.take_as(client) {
            place
        } else {
            let _waits = app.tries_waiting.take_as(client).ok_or(NotTried::Crowded)?;
            app.tries.wait_as(client, PATIENCE).await.ok_or(NotTried::Crowded)?
        };
        Ok(Try(Some((place, app.failures.begin(client, login)?))))
    }
}

/// A try of a password in hand; of nobody who can be told it is not limited.
#[derive(Debug)]
pub struct Try(Option<(Place, Counted)>);

impl Try {
    /// Lets a call go on to its end, also where whoever asked hangs up before: a password could be tried without end by that. The place
    /// is held until then, and what came of the password counts; where that is not told, nothing does.
    ///
    /// # Errors
    /// When the call came to no end.
    pub async fn outlives<T: Send + 'static>(
        self,
        call: impl Future<Output = T> + Send + 'static,
        right: impl FnOnce(&T) -> Option<bool> + Send + 'static,
    ) -> Result<T, Status> {
        let Some((place, counted)) = self.0 else {
            let answer = call.await;
            right(&answer);
            return Ok(answer);
        };
        let going_on = async move {
            let answer = call.await;
            if let Some(right) = right(&answer) {
                counted.ended(right);
            }
            drop(place);
            answer
        };
        tokio::spawn(going_on.in_current_span()).await.map_err(|lost| chassis::Error::task(lost).into())
    }
}

impl FromRequestParts<Arc<App>> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        Ok(Self::of(app, parts))
    }
}

/// What an address counts as: a client of version 6 is given a whole /64.
fn counted(address: IpAddr) -> IpAddr {
    match network::plain(address) {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &str, peer: &str, forwarded: &[&str]) -> Option<String> {
        let proxies = Proxies::read(|_| Some(proxies.to_owned())).expect("acceptable");
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, value.parse().expect("a value"));
        }
        let client = proxies.client(peer.parse().expect("an address"), &headers);
        client.map(|address| counted(address).to_string())
    }

    fn some(address: &str) -> Option<String> {
        Some(address.to_owned())
    }

    #[test]
    fn a_client_is_told_by_its_connection_and_by_proxies_that_are_known() {
        // Nobody said what stands in front: from inside it may be a proxy.
        assert_eq!(client("", "8.8.8.8", &["1.1.1.1"]), some("8.8.8.8"));
        for inside in ["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.1.2.3", "fd00::1"] {
            assert_eq!(client("", inside, &["1.1.1.1"]), None, "{inside}");
        }
        // There is none: everybody is a client.
        assert_eq!(client("none", "10.1.2.3", &["1.1.1.1"]), some("10.1.2.3"));
        let proxies = "10.244.0.0/16, fd00:1::/32";
        assert_eq!(client(proxies, "10.1.2.3", &["1.1.1.1"]), some("10.1.2.3"), "none of them");
        let told: [(&[&str], Option<String>); 8] = [
            (&["8.8.8.8"], some("8.8.8.8")),
            (&["8.8.8.8:4711"], some("8.8.8.8")),
            (&["1.1.1.1, 8.8.8.8"], some("8.8.8.8")),
            (&["1.1.1.1", "10.9.9.9", "fd00:1::7,10.244.1.1"], some("10.9.9.9")),
            (&["unknown, 8.8.8.8"], some("8.8.8.8")),
            (&["unknown, 10.244.1.1"], None),
            (&["unknown"], None),
            (&[], None),
        ];
        for (forwarded, expected) in told {
            assert_eq!(client(proxies, "10.244.7.7", forwarded), expected, "{forwarded:?}");
            assert_eq!(client(proxies, "::ffff:10.244.7.7", forwarded), expected, "{forwarded:?}");
        }
    }

    #[test]
    fn a_connection_counts_unless_it_may_be_a_proxys() {
        let connected = |proxies: &str, peer: &str| {
            let proxies = Proxies::read(|_| Some(proxies.to_owned())).expect("acceptable");
            proxies.connected(peer.parse().expect("an address")).map(|address| address.to_string())
        };
        for inside in ["127.0.0.1", "10.1.2.3", "fd00::1"] {
            assert_eq!(connected("", inside), None, "{inside}");
        }
        assert_eq!(connected("8.8.8.0/24", "8.8.8.8"), None);
        assert_eq!(connected("", "8.8.8.8"), some("8.8.8.8"));
        assert_eq!(connected("none", "127.0.0.1"), some("127.0.0.1"));
        assert_eq!(connected("10.244.0.0/16", "10.1.2.3"), some("10.1.2.3"));
        assert_eq!(connected("none", "2606:4700:1:2::9"), some("2606:4700:1:2::"));
    }

    #[test]
    fn a_client_of_version_6_counts_by_what_it_was_given() {
        assert_eq!(client("none", "2606:4700:1:2:3:4:5:6", &[]), some("2606:4700:1:2::"));
        assert_eq!(client("none", "2606:4700:1:2::9", &[]), some("2606:4700:1:2::"));
        assert_eq!(client("none", "2606:4700:1:3::9", &[]), some("2606:4700:1:3::"));
        assert_eq!(client("none", "::ffff:8.8.8.8", &[]), some("8.8.8.8"));
    }

    #[test]
    fn what_is_no_network_is_refused_by_the_name_of_the_variable() {
        for wrong in ["10.0.0.1", "10.0.0.0/8,", "any", "10.0.0.0/33"] {
            let error = Proxies::read(|_| Some(wrong.to_owned())).expect_err("refused");
            assert!(error.to_string().contains("JIANGHAN_TRUSTED_PROXIES"), "{error}");
        }
    }
}
