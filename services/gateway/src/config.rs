//! What the gateway needs to know: read from the environment, because it has neither a database nor state.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::Context;
use chassis::config::DEFAULT_PORTS;

/// Configuration of the HTTP edge.
#[derive(Clone, Debug)]
pub struct Config {
    /// `JIANGHAN_HTTP_LISTEN`; loopback unless set.
    pub listen: SocketAddr,
    /// `JIANGHAN_PUBLIC_URL`: how people reach this server. `https` turns on Secure cookies and HSTS.
    pub public_url: String,
    /// `JIANGHAN_KEY_FILE`: key that seals the board's sessions; made when missing.
    pub key_file: String,
    /// `JIANGHAN_ADDR_<SERVICE>`: where the services listen.
    pub addresses: BTreeMap<String, String>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// A sentence naming the variable that has no acceptable form.
    pub fn from_environment() -> anyhow::Result<Self> {
        let listen = std::env::var("JIANGHAN_HTTP_LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".into());
        let listen: SocketAddr = listen.parse().context("JIANGHAN_HTTP_LISTEN is not an address such as 127.0.0.1:8080")?;
        let public_url = std::env::var("JIANGHAN_PUBLIC_URL").unwrap_or_else(|_| format!("http://{listen}"));
        let addresses = DEFAULT_PORTS
            .iter()
            .map(|(service, port)| {
                let variable = format!("JIANGHAN_ADDR_{}", service.to_ascii_uppercase().replace('-', "_"));
                let address = std::env::var(variable).unwrap_or_else(|_| format!("http://127.0.0.1:{port}"));
                ((*service).to_owned(), address)
            })
            .collect();
        let key_file = std::env::var("JIANGHAN_KEY_FILE").unwrap_or_else(|_| "jianghan.key".into());
        Ok(Self { listen, public_url, key_file, addresses })
    }

    /// Whether people reach the server over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}
