//! One POST: the name is resolved, every address it has is judged, and the connection goes to one of those judged, so that no
//! second look at the name can lead elsewhere. Redirects are answers like any other: refused.

use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use futures_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::{
    compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt},
    task::AbortOnDropHandle,
};
use url::{Host, Url};

use super::{Networks, WebhookConfig};
use crate::domain::exchange::Failure;

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 * 1024;
/// Longest time that an answer is read for, once it says that the delivery was taken.
const READING: Duration = Duration::from_secs(2);

/// What the other side said to a delivery that it took.
#[derive(Debug)]
pub struct Answer {
    pub body: Bytes,
}

/// A delivery that was taken; its answer is still to be read.
struct Taken {
    body: Incoming,
    /// Both carry the rest of the answer.
    _sender: SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<()>,
}

/// Posts. Cheap to clone.
#[derive(Clone)]
pub struct Poster {
    networks: Arc<Networks>,
    tls: TlsConnector,
    timeout: Duration,
}

impl Poster {
    /// As configured, with the system's certificate authorities and those of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(config: &WebhookConfig, networks: Arc<Networks>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        // None at all is fine until something is sent over TLS, which then fails by its own code.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if !config.ca_file.is_empty() {
            let said = "services.case-routing.webhook.ca_file";
            for certificate in CertificateDer::pem_file_iter(&config.ca_file).context(said)? {
                roots.add(certificate.context(said)?).context(said)?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = client.context("TLS")?.with_root_certificates(roots).with_no_client_auth();
        let timeout = Duration::from_millis(config.timeout_ms.max(1));
        Ok(Self { networks, tls: TlsConnector::from(Arc::new(client)), timeout })
    }

    /// Posts a body once.
    ///
    /// # Errors
    /// A code that says why it was not taken; never what the other side said.
    pub async fn post(
        &self,
        endpoint: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let taken = match tokio::time::timeout(self.timeout, self.try_post(endpoint, headers, body)).await {
            Ok(taken) => taken?,
            Err(_) => return Err(failure("timeout")),
        };
        // An answer that comes too slowly, or cannot be read, changes nothing about its having been taken.
        let reading = Limited::new(taken.body, MOST_ANSWER).collect();
        let body = tokio::time::timeout(READING.min(self.timeout), reading).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes());
        Ok(Answer { body: body.unwrap_or_default() })
    }

    async fn try_post(
        &self,
        endpoint: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Taken, Failure> {
        // Asked again: what the deployment allows may have changed since it was set.
        let url = self.networks.endpoint(endpoint).map_err(|_| failure("endpoint_refused"))?;
        let stream = self.connect(&url).await?;
        if url.scheme() == "http" {
            return send(stream, &url, headers, body).await;
        }
        let name = match url.host() {
            Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(|_| failure("tls"))?,
            Some(Host::Ipv4(address)) => ServerName::from(std::net::IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => ServerName::from(std::net::IpAddr::V6(address)),
            None => return Err(failure("endpoint_refused")),
        };
        let stream = self.tls.connect(name, stream.compat()).await.map_err(|_| failure("tls"))?;
        send(stream.compat(), &url, headers, body).await
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, Failure> {
        let port = url.port_or_known_default().ok_or_else(|| failure("endpoint_refused"))?;
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Domain(name)) => {
                tokio::net::lookup_host((name, port)).await.map_err(|_| failure("dns"))?.collect()
            }
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            None => Vec::new(),
        };
        self.connect_to(found).await
    }

    /// Connects to the first that takes it of the addresses of one name. A name that also leads inside is not trusted with any
    /// of them.
    async fn connect_to(&self, found: Vec<SocketAddr>) -> Result<TcpStream, Failure> {
        if !found.iter().all(|address| self.networks.permit(address.ip())) {
            return Err(failure("address_refused"));
        }
        let mut last = failure("dns");
        let share = self.share(found.len());
        for address in found {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    last = failure("connect_refused")
                }
                Ok(Err(_)) => last = failure("connect"),
                // Another code than that of an answer which does not come: nothing was sent.
                Err(_) => last = failure("connect_timeout"),
            }
        }
        Err(last)
    }

    /// How long each of so many addresses is tried: one that never answers leaves time for the others, and for the answer.
    fn share(&self, addresses: usize) -> Duration {
        self.timeout / u32::try_from(addresses).unwrap_or(u32::MAX).saturating_add(1)
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
    headers: &[(&str, String)],
    body: Vec<u8>,
) -> Result<Taken, Failure> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| failure("connect"))?;
    // Ends with the sender; what it says is said by the request's own outcome.
    let connection = tokio::spawn(async move { drop(connection.await) });
    let connection = AbortOnDropHandle::new(connection);
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let mut request = Request::post(target).header("host", authority(url)).header("user-agent", "jianghan");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(body))).map_err(|_| failure("endpoint_refused"))?;
    let answer = sender.send_request(request).await.map_err(|_| failure("broken_off"))?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(failure("redirect"));
    }
    if !status.is_success() {
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let wait_ms =
            wait.and_then(|text| text.trim().parse::<u32>().ok()).map(|wait| i64::from(wait) * 1_000);
        return Err(Failure {
            code: format!("http_{}", status.as_u16()),
            gone: status.as_u16() == 410,
            wait_ms,
        });
    }
    Ok(Taken { body: answer.into_body(), _sender: sender, _connection: connection })
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), gone: false, wait_ms: None }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn poster(timeout_ms: u64) -> Poster {
        posting(&WebhookConfig { loopback: true, timeout_ms, ..WebhookConfig::default() })
    }

    fn posting(config: &WebhookConfig) -> Poster {
        let networks = Arc::new(Networks::of(config).unwrap());
        Poster::new(config, networks).unwrap()
    }

    /// Answers one request with this text, and then keeps the connection open.
    async fn answers(text: &'static str) -> String {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        url
    }

    #[tokio::test]
    async fn a_delivery_that_was_taken_is_taken_though_its_answer_never_ends() {
        let slow = answers("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
        let answer = poster(2_000).post(&slow, &[], b"x".to_vec()).await.unwrap();
        assert!(answer.body.is_empty());
        let whole = answers("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhalf").await;
        let answer = poster(10_000).post(&whole, &[], b"x".to_vec()).await.unwrap();
        assert_eq!(answer.body.as_ref(), b"half");
        let never = answers("").await;
        let failure = poster(100).post(&never, &[], b"x".to_vec()).await.unwrap_err();
        assert_eq!(failure.code, "timeout");
    }

    #[tokio::test]
    async fn a_name_that_also_leads_inside_is_connected_to_nowhere() {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let here = listener.local_addr().unwrap();
        let [outside, inside] = ["8.8.8.8:1", "10.0.0.1:1"].map(|text| text.parse::<SocketAddr>().unwrap());
        let poster = posting(&WebhookConfig { timeout_ms: 1_000, ..WebhookConfig::default() });
        for found in [vec![here], vec![outside, inside], vec![outside, here], vec![here, outside]] {
            let failure = poster.connect_to(found.clone()).await.unwrap_err();
            assert_eq!(failure.code, "address_refused", "{found:?}");
        }
        // Whoever had connected before would be accepted first.
        let own = TcpStream::connect(here).await.unwrap();
        let (_, first) = listener.accept().await.unwrap();
        assert_eq!(first, own.local_addr().unwrap(), "somebody was there before");
    }

    #[test]
    fn no_address_takes_all_the_time() {
        let poster = poster(9_000);
        assert_eq!(poster.share(1), Duration::from_millis(4_500));
        assert_eq!(poster.share(2) * 2, Duration::from_millis(6_000), "the rest is for the answer");
        assert!(poster.share(usize::MAX) < Duration::from_millis(1));
    }
}
