//! Which addresses may be called. What is not known to be public is not, unless the deployment names its network.

use std::net::IpAddr;

use chassis::network::{Network, is_public, plain};
use url::{Host, Url};

use super::WebhookConfig;

/// Addresses that may be called.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    loopback: bool,
    named: Vec<Network>,
}

impl Networks {
    /// As configured.
    ///
    /// # Errors
    /// For what is no network.
    pub fn of(config: &WebhookConfig) -> anyhow::Result<Self> {
        let named = config.networks.iter().map(|text| Network::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { loopback: config.loopback, named })
    }

    /// Whether an address may be called.
    pub fn permit(&self, address: IpAddr) -> bool {
        is_public(address)
            || (self.loopback && plain(address).is_loopback())
            || self.named.iter().any(|network| network.holds(address))
    }

    /// An endpoint as an operator may set it: https, or http where it is this machine and that is allowed; a name or a permitted
    /// address; no credentials, no fragment. What a name stands for is asked at each delivery.
    ///
    /// # Errors
    /// What is wrong, in words for the field.
    pub fn endpoint(&self, text: &str) -> Result<Url, &'static str> {
        if text.len() > 500 {
            return Err("has at most 500 characters");
        }
        let url = Url::parse(text).map_err(|_| "must be a URL")?;
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            return Err("must hold neither credentials nor a fragment");
        }
        let here = match url.host() {
            None => return Err("must name a host"),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name == "localhost" || name.ends_with(".localhost")
            }
            Some(Host::Ipv4(address)) => self.literal(address.into())?,
            Some(Host::Ipv6(address)) => self.literal(address.into())?,
        };
        if here && !self.loopback {
            return Err("must not be an address inside");
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if here => Ok(url),
            _ => Err("must be https"),
        }
    }

    /// Whether a permitted literal is this machine.
    fn literal(&self, address: IpAddr) -> Result<bool, &'static str> {
        if self.permit(address) {
            Ok(plain(address).is_loopback())
        } else {
            Err("must not be an address inside")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(loopback: bool, named: &[&str]) -> Networks {
        let named = named.iter().map(|text| (*text).to_owned()).collect();
        Networks::of(&WebhookConfig { loopback, networks: named, ..WebhookConfig::default() }).unwrap()
    }

    #[test]
    fn nothing_inside_is_an_endpoint_however_it_is_written() {
        let inside = [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://017700000001/",
            "https://0/",
            "https://0.0.0.0/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://a.localhost/",
            "https://10.0.0.1/",
            "https://172.16.0.1/",
            "https://172.31.255.255/",
            "https://192.168.1.1/",
            "https://169.254.169.254/latest/meta-data",
            "https://100.100.100.200/",
            "https://100.64.0.1/",
            "https://192.0.0.192/",
            "https://198.18.0.1/",
            "https://224.0.0.1/",
            "https://255.255.255.255/",
            "https://240.0.0.1/",
            "https://192.0.2.1/",
            "https://198.51.100.7/",
            "https://203.0.113.9/",
            "https://[::1]/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://[::ffff:a9fe:a9fe]/",
            "https://[fe80::1]/",
            "https://[fc00::1]/",
            "https://[fd12:3456::1]/",
            "https://[64:ff9b::a00:1]/",
            "https://[2002:a00:1::]/",
            "https://[2001:db8::1]/",
            "https://[2001::1]/",
            "https://[ff02::1]/",
            "https://[::127.0.0.1]/",
            "https://[100::1]/",
            "https://[3fff::1]/",
        ];
        for text in inside {
            assert!(networks(false, &[]).endpoint(text).is_err(), "{text}");
        }
        let wrong = [
            "",
            "x",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#part",
            "https:///",
            "http://8.8.8.8/",
            "javascript:alert(1)",
            "data:text/plain,x",
        ];
        for text in wrong {
            assert!(networks(true, &[]).endpoint(text).is_err(), "{text}");
        }
        for text in ["https://example.com/hook", "https://8.8.8.8:8443/a?b=c", "https://[2606:4700::1]/"] {
            assert!(networks(false, &[]).endpoint(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn this_machine_and_named_networks_are_for_the_deployment_to_allow() {
        let here = networks(true, &[]);
        for text in
            ["http://127.0.0.1:8000/", "http://localhost/", "http://[::1]/", "https://[::ffff:127.0.0.1]/"]
        {
            assert!(here.endpoint(text).is_ok(), "{text}");
        }
        assert!(here.endpoint("https://10.0.0.1/").is_err() && here.endpoint("http://10.0.0.1/").is_err());
        let named = networks(false, &["10.20.0.0/16", "fd00:1::/32"]);
        assert!(
            named.endpoint("https://10.20.3.4/").is_ok() && named.endpoint("https://[fd00:1::5]/").is_ok()
        );
        assert!(
            named.endpoint("https://10.21.3.4/").is_err() && named.endpoint("http://10.20.3.4/").is_err()
        );
        let mapped = networks(false, &["::ffff:10.0.0.0/104", "::ffff:192.168.7.9/128"]);
        for text in ["https://10.9.8.7/", "https://[::ffff:10.1.1.1]/", "https://192.168.7.9/"] {
            assert!(mapped.endpoint(text).is_ok(), "{text}");
        }
        for text in
            ["https://172.16.0.1/", "https://127.0.0.1/", "https://192.168.7.8/", "https://[fd00::1]/"]
        {
            assert!(mapped.endpoint(text).is_err(), "{text}");
        }
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129", "::ffff:10.0.0.0/95", "::ffff:10.0.0.0/8"] {
            let config = WebhookConfig { networks: vec![wrong.into()], ..WebhookConfig::default() };
            assert!(Networks::of(&config).is_err(), "{wrong}");
        }
    }
}
