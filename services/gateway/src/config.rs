//! What the gateway needs to know: read from the environment and the file all services read, because it has neither a
//! database nor state.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, bail, ensure};
use chassis::config::{ServiceConfig, TelemetryConfig};

use crate::Proxies;

/// Configuration of the HTTP edge.
#[derive(Clone, Debug)]
pub struct Config {
    /// `JIANGHAN_HTTP_LISTEN`; loopback unless set.
    pub listen: SocketAddr,
    /// `JIANGHAN_PUBLIC_URL`: how people reach this server. `https` turns on Secure cookies and HSTS.
    pub public_url: String,
    /// `JIANGHAN_KEY_FILE`: key that seals the board's sessions.
    pub key_file: String,
    /// `JIANGHAN_ADDR_<SERVICE>`: where the services listen.
    pub addresses: BTreeMap<String, String>,
    /// `JIANGHAN_TRUSTED_PROXIES`: whose word for where a request came from counts.
    pub proxies: Proxies,
    /// `JIANGHAN_DEMONSTRATION`: the sign-in form says where the accounts of the demonstration are.
    pub demonstration: bool,
}

impl Config {
    /// Reads the environment, and the file that `JIANGHAN_CONFIG` names.
    ///
    /// # Errors
    /// A sentence naming the variable that has no acceptable form.
    pub fn from_environment() -> anyhow::Result<(Self, TelemetryConfig)> {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(env: impl Fn(&str) -> Option<String>) -> anyhow::Result<(Self, TelemetryConfig)> {
        let shared = ServiceConfig::read("gateway", &env)?;
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let listen = env("JIANGHAN_HTTP_LISTEN").unwrap_or_else(|| "127.0.0.1:8080".into());
        let listen: SocketAddr =
            listen.parse().context("JIANGHAN_HTTP_LISTEN is not an address such as 127.0.0.1:8080")?;
        let public_url = Self::public_url(env)?.unwrap_or_else(|| format!("http://{listen}"));
        let proxies = Proxies::read(env)?;
        let demonstration = match env("JIANGHAN_DEMONSTRATION").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => bail!("JIANGHAN_DEMONSTRATION is neither true nor false"),
        };
        let key_file = shared.key_file.to_string_lossy().into_owned();
        let addresses = shared.addresses;
        let config = Self { listen, public_url, key_file, addresses, proxies, demonstration };
        Ok((config, shared.telemetry))
    }

    /// What `JIANGHAN_PUBLIC_URL` says, without a slash at its end; nothing where it is not set.
    ///
    /// # Errors
    /// When it has no acceptable form.
    pub fn public_url(env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Option<String>> {
        let Some(url) = env("JIANGHAN_PUBLIC_URL").filter(|url| !url.is_empty()) else { return Ok(None) };
        let url = url.trim_end_matches('/').to_owned();
        ensure!(
            url.starts_with("http://") || url.starts_with("https://"),
            "JIANGHAN_PUBLIC_URL is not an address such as https://board.example"
        );
        Ok(Some(url))
    }

    /// Whether people reach the server over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> anyhow::Result<(Config, TelemetryConfig)> {
        Config::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_is_read_with_defaults() {
        let (config, _) = read(&[]).expect("defaults");
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.public_url, "http://127.0.0.1:8080");
        assert_eq!(config.addresses["case-routing"], "http://127.0.0.1:8102");
        assert!(!config.demonstration);
        assert!(read(&[("JIANGHAN_DEMONSTRATION", "true")]).expect("acceptable").0.demonstration);
        let (config, telemetry) = read(&[
            ("JIANGHAN_HTTP_LISTEN", "0.0.0.0:80"),
            ("JIANGHAN_PUBLIC_URL", "https://board.example/"),
            ("JIANGHAN_ADDR_CASE_ROUTING", "http://case-routing:8100"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel:4317"),
        ])
        .expect("acceptable");
        assert!(config.is_https());
        assert_eq!(config.public_url, "https://board.example");
        assert_eq!(config.addresses["case-routing"], "http://case-routing:8100");
        assert_eq!(telemetry.otlp_endpoint.as_deref(), Some("http://otel:4317"));
    }

    #[test]
    fn what_has_no_acceptable_form_is_named() {
        for (name, value) in [
            ("JIANGHAN_HTTP_LISTEN", "here"),
            ("JIANGHAN_PUBLIC_URL", "board.example"),
            ("JIANGHAN_TRUSTED_PROXIES", "proxy.example"),
            ("JIANGHAN_DEMONSTRATION", "yes"),
        ] {
            let error = read(&[(name, value)]).expect_err("refused");
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
