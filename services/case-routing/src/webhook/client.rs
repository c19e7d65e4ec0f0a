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
use hyper::{Request, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use url::{Host, Url};

use super::{Networks, WebhookConfig};
use crate::domain::exchange::Failure;

/// Bytes of an answer that are read.
const MOST_ANSWER: usize = 64 * 1024;

/// What the other side said to a delivery that it took.
#[derive(Debug)]
pub struct Answer {
    pub body: Bytes,
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
        match tokio::time::timeout(self.timeout, self.try_post(endpoint, headers, body)).await {
            Ok(answer) => answer,
            Err(_) => Err(failure("timeout")),
        }
    }

    async fn try_post(
        &self,
        endpoint: &str,
        headers: &[(&str, String)],
        body: Vec<u8>,
    ) -> Result<Answer, Failure> {
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
        // A name that also leads inside is not trusted with any of its addresses.
        if !found.iter().all(|address| self.networks.permit(address.ip())) {
            return Err(failure("address_refused"));
        }
        let mut last = failure("dns");
        for address in found {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    last = failure("connect_refused")
                }
                Err(_) => last = failure("connect"),
            }
        }
        Err(last)
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
    headers: &[(&str, String)],
    body: Vec<u8>,
) -> Result<Answer, Failure> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| failure("connect"))?;
    // Ends with the sender; what it says is said by the request's own outcome.
    let connection = tokio::spawn(async move { drop(connection.await) });
    let _ends = tokio_util::task::AbortOnDropHandle::new(connection);
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
    // It has been taken; an answer that cannot be read changes nothing about that.
    let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await;
    Ok(Answer { body: body.map(|body| body.to_bytes()).unwrap_or_default() })
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn failure(code: &str) -> Failure {
    Failure { code: code.to_owned(), gone: false, wait_ms: None }
}
