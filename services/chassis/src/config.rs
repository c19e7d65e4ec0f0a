//! Configuration: one typed struct per concern; environment variables `JIANGHAN_…` over a TOML file (named by
//! `JIANGHAN_CONFIG`) over defaults. An unknown key in the file is refused by name. Secrets do not print, and each may
//! come from a file named by `…_FILE`. Read once at start, never later.

mod environment;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use toml::{Table, Value};

/// Where each service listens when nothing else is said: on loopback, at these ports.
pub const DEFAULT_PORTS: [(&str, u16); 5] = [
    ("identity", 8101),
    ("case-routing", 8102),
    ("staffing", 8103),
    ("volunteer-matching", 8104),
    ("analytics", 8105),
];

/// Everything one service needs to know to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServiceConfig {
    /// Name of the service, such as `case-routing`; not from the file.
    #[serde(skip)]
    pub service: String,
    /// Address the gRPC server listens on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Master key file, which must be there. `./jianghan.key` unless set.
    pub key_file: PathBuf,
    /// Whether the guarded RPC may move domain time (demonstrations and tests).
    pub allow_time_travel: bool,
    /// The service's database.
    pub database: DbConfig,
    /// The event bus.
    pub bus: BusConfig,
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// Tokens.
    pub auth: AuthConfig,
    /// Logs, traces, metrics.
    pub telemetry: TelemetryConfig,
    /// Command executor, outbox, consumers.
    pub spine: SpineConfig,
    /// Address book: service name to `http://host:port`.
    pub addresses: BTreeMap<String, String>,
    /// Sections of the services themselves, by name; read with [`section`](Self::section).
    pub services: BTreeMap<String, Table>,
}

/// The service's own database.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DbConfig {
    /// `postgres://…`; `{service}` stands for the service's name with `-` as `_`.
    pub url: SecretString,
    /// Connections of the service's three pools together; at least one each.
    pub max_connections: u32,
    /// How long to wait for a connection before the call is refused, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Statements longer than this are cancelled by the server, in milliseconds.
    pub statement_timeout_ms: u64,
}

/// Which event bus.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// `amqp://…` of RabbitMQ. Without one the bus is in process, which only `jianghan up` can offer.
    pub amqp_url: Option<SecretString>,
    /// Queues into which the partitions of each service are split: as many replicas of a service can consume at once.
    /// Fewer make larger batches. One number for all services of a broker, for as long as the broker lives: a process
    /// with another one does not publish or consume.
    pub groups: u8,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self { amqp_url: None, groups: 4 }
    }
}

/// Limits of the gRPC server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpcConfig {
    /// Deadline of a call that brings none, and the longest one granted, in milliseconds.
    pub request_timeout_ms: u64,
    /// Calls in hand at once; more are refused with `RESOURCE_EXHAUSTED`. Calls that wait for something to happen are counted
    /// apart from those that work, up to as many again.
    pub max_in_flight: usize,
    /// How long commands may wait before calls that begin new work are refused (`RESOURCE_EXHAUSTED` with the time to come
    /// again), in milliseconds.
    pub delay_target_ms: u64,
    /// With at most so many calls in hand none is refused for that.
    pub shed_above: usize,
    /// Streams per connection.
    pub max_streams: u32,
    /// Connections are told to leave after this many seconds, so that clients spread over new replicas.
    pub max_connection_age_s: u64,
    /// How long calls in hand may take to finish when stopping, in milliseconds.
    pub stop_timeout_ms: u64,
}

/// Access tokens. What a service shows to identity for its own is derived from the key file, which all of them share.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthConfig {
    /// `iss` of access tokens.
    pub issuer: String,
    /// `aud` of access tokens.
    pub audience: String,
    /// Verified tokens kept in memory.
    pub cache_size: usize,
}

/// Logs, traces and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Filter of the log, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    /// Form of a log line.
    pub log_format: LogFormat,
    /// OTLP over gRPC, such as `http://127.0.0.1:4317`, without TLS; traces and metrics are off without it.
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that is kept, 0 to 1; a caller's decision is followed.
    pub sample: f64,
    /// Metrics are sent every so many milliseconds.
    pub metric_interval_ms: u64,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Compact,
    /// For collectors: one JSON object per line.
    Json,
}

/// Command executor, outbox relay and consumers.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpineConfig {
    /// Writer tasks per kind of aggregate. One commits what has queued while it was at work; with more of them the batches
    /// become smaller and, measured, every command dearer by a quarter.
    pub writers: usize,
    /// Commands per commit, at most.
    pub batch: usize,
    /// Unsent events from which commands are delayed while the broker confirms.
    pub gate_backlog: i64,
    /// Unsent events from which commands are refused. Above 100,000 they are estimated, rather too many than too few.
    pub refuse_backlog: i64,
    /// Events the relay reads at once.
    pub relay_batch: i64,
    /// A publish that is not confirmed within this is tried again, in milliseconds: four times as long while others are confirmed, twice
    /// as long each time that none was (up to eight times).
    pub confirm_timeout_ms: u64,
    /// Lease of the relay and of consumer groups, in milliseconds.
    pub lease_ms: u64,
    /// Events per consumer transaction, at most.
    pub consume_batch: usize,
    /// How long a consumer waits for a batch to fill, in milliseconds.
    pub consume_linger_ms: u64,
    /// First delay before a parked event is tried again, in milliseconds; it doubles.
    pub retry_first_ms: u64,
    /// Longest such delay, in milliseconds.
    pub retry_max_ms: u64,
    /// Attempts before a parked event is dead (retryable failures are not counted).
    pub max_attempts: i32,
    /// How long event ids and stored answers are kept, in days.
    pub keep_days: i64,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            service: String::new(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            key_file: PathBuf::from("jianghan.key"),
            allow_time_travel: false,
            database: DbConfig::default(),
            bus: BusConfig::default(),
            grpc: GrpcConfig::default(),
            auth: AuthConfig::default(),
            telemetry: TelemetryConfig::default(),
            spine: SpineConfig::default(),
            addresses: DEFAULT_PORTS
                .iter()
                .map(|(name, port)| ((*name).to_owned(), format!("http://127.0.0.1:{port}")))
                .collect(),
            services: BTreeMap::new(),
        }
    }
}

impl Default for DbConfig {
    fn default() -> Self {
        Self {
            url: SecretString::from("postgres://jianghan@127.0.0.1/{service}"),
            max_connections: 16,
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 30_000,
        }
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            request_timeout_ms: 10_000,
            max_in_flight: 1_024,
            delay_target_ms: 50,
            shed_above: 16,
            max_streams: 256,
            max_connection_age_s: 600,
            stop_timeout_ms: 10_000,
        }
    }
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { issuer: "jianghan".to_owned(), audience: "jianghan".to_owned(), cache_size: 20_000 }
    }
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            log_format: LogFormat::Compact,
            otlp_endpoint: None,
            sample: 1.0,
            metric_interval_ms: 10_000,
        }
    }
}

impl Default for SpineConfig {
    fn default() -> Self {
        Self {
            writers: 1,
            batch: 64,
            gate_backlog: 1_500,
            refuse_backlog: 5_000_000,
            relay_batch: 500,
            confirm_timeout_ms: 5_000,
            lease_ms: 3_000,
            consume_batch: 200,
            consume_linger_ms: 30,
            retry_first_ms: 500,
            retry_max_ms: 60_000,
            max_attempts: 8,
            keep_days: 30,
        }
    }
}

impl ServiceConfig {
    /// Reads the environment and the file it names.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown, or a value has the wrong form; the message names the key.
    pub fn load(service: &str) -> anyhow::Result<Self> {
        Self::read(service, |name| std::env::var(name).ok())
    }

    /// Defaults for a service, without environment or file: for tests and for `jianghan up`.
    pub fn for_service(service: &str) -> Self {
        let mut config = Self { service: service.to_owned(), ..Self::default() };
        config.finish();
        config
    }

    /// Reads from the given environment.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read(service: &str, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        Self::read_with(service, &[], env)
    }

    /// The same with other defaults: keys such as `telemetry.log`, and what they are where neither the environment nor
    /// the file says.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read_with(
        service: &str,
        defaults: &[(&str, Value)],
        env: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let env = |name: &str| env(name).filter(|v| !v.is_empty());
        let mut table = match env("JIANGHAN_CONFIG") {
            Some(path) => {
                let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
                text.parse::<Table>().map_err(|error| not_toml(&path, &text, &error))?
            }
            None => Table::new(),
        };
        for (key, value) in defaults {
            environment::underlay(&mut table, key, value)?;
        }
        environment::overlay(&mut table, &env)?;
        let mut config: Self = typed(table)?;
        // A file that names one address does not forget the others.
        for (peer, address) in Self::default().addresses {
            config.addresses.entry(peer).or_insert(address);
        }
        config.service = service.to_owned();
        if env("JIANGHAN_LISTEN").is_none()
            && config.listen.port() == 0
            && let Some((_, port)) = DEFAULT_PORTS.iter().find(|(name, _)| *name == service)
        {
            config.listen.set_port(*port);
        }
        config.finish();
        config.check()?;
        Ok(config)
    }

    /// The service's own section, `[services.<name>]` in the file; defaults when there is none.
    ///
    /// # Errors
    /// When a key is unknown (if `T` denies unknown fields) or a value has the wrong form.
    pub fn section<T: DeserializeOwned + Default>(&self) -> anyhow::Result<T> {
        match self.services.get(&self.service) {
            Some(table) => typed(table.clone()).with_context(|| format!("in [services.{}]", self.service)),
            None => Ok(T::default()),
        }
    }

    fn finish(&mut self) {
        self.database.url = self.database.for_service(&self.service);
    }

    fn check(&self) -> anyhow::Result<()> {
        let limits = [
            ("bus.groups", u64::from(self.bus.groups)),
            ("database.max_connections", u64::from(self.database.max_connections)),
            ("grpc.request_timeout_ms", self.grpc.request_timeout_ms),
            ("grpc.max_in_flight", self.grpc.max_in_flight as u64),
            ("grpc.delay_target_ms", self.grpc.delay_target_ms),
            ("spine.writers", self.spine.writers as u64),
            ("spine.batch", self.spine.batch as u64),
            ("spine.consume_batch", self.spine.consume_batch as u64),
        ];
        for (key, value) in limits {
            if value == 0 {
                bail!("{key} must be at least 1");
            }
        }
        if self.bus.groups > crate::event::PARTITIONS {
            bail!("bus.groups must be at most {}", crate::event::PARTITIONS);
        }
        if !(0.0..=1.0).contains(&self.telemetry.sample) {
            bail!("telemetry.sample must be between 0 and 1");
        }
        // The exporter is built without TLS.
        if self.telemetry.otlp_endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("http://")) {
            bail!(
                "telemetry.otlp_endpoint (OTEL_EXPORTER_OTLP_ENDPOINT) must be an http:// address: name a \
                 collector nearby, which may go on over TLS"
            );
        }
        Ok(())
    }
}

impl DbConfig {
    /// The URL with `{service}` replaced.
    pub fn for_service(&self, service: &str) -> SecretString {
        SecretString::from(self.url.expose_secret().replace("{service}", &service.replace('-', "_")))
    }

    /// How long to wait for a connection.
    pub fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}

/// Where a file is no TOML. The reader would show the line, which may hold a secret.
fn not_toml(path: &str, text: &str, error: &toml::de::Error) -> anyhow::Error {
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return anyhow::anyhow!("{path} is not TOML");
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    anyhow::anyhow!("{path} is not TOML: line {line}, column {column}")
}

/// A table as what is read from it.
fn typed<T: DeserializeOwned>(table: Table) -> anyhow::Result<T> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let wrong = without_value(error.inner().message());
        anyhow::anyhow!("the configuration is not acceptable: {}: {wrong}", error.path())
    })
}

/// What is wrong with a key, without its value: that may be a secret.
fn without_value(message: &str) -> String {
    // Those tell of keys alone.
    if ["unknown field ", "missing field ", "duplicate field "].iter().any(|of| message.starts_with(of)) {
        return message.to_owned();
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => "is not of the right form".to_owned(),
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
