//! Environment variables over what the file says, and other defaults under it.

use anyhow::{Context, bail};
use toml::{Table, Value};

use super::DEFAULT_PORTS;

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Secret,
    Whole,
    Number,
    Flag,
}

/// Environment variables and the keys they set.
const VARIABLES: &[(&str, &str, Form)] = &[
    ("JIANGHAN_LISTEN", "listen", Form::Text),
    ("JIANGHAN_KEY_FILE", "key_file", Form::Text),
    ("JIANGHAN_ALLOW_TIME_TRAVEL", "allow_time_travel", Form::Flag),
    ("JIANGHAN_HASHING_THREADS", "services.identity.hashing_threads", Form::Whole),
    ("JIANGHAN_CALENDAR_KEY", "services.case-routing.calendar_key", Form::Text),
    ("JIANGHAN_CLASSIFY_THRESHOLD", "services.case-routing.classify_threshold", Form::Number),
    ("JIANGHAN_WEBHOOK_LOOPBACK", "services.case-routing.webhook.loopback", Form::Flag),
    ("JIANGHAN_WEBHOOK_CA_FILE", "services.case-routing.webhook.ca_file", Form::Text),
    ("JIANGHAN_WEBHOOK_RETRY_FIRST_MS", "services.case-routing.webhook.retry_first_ms", Form::Whole),
    ("JIANGHAN_WEBHOOK_TIMEOUT_MS", "services.case-routing.webhook.timeout_ms", Form::Whole),
    ("JIANGHAN_WEBHOOK_NOTING_MS", "services.case-routing.webhook.noting_ms", Form::Whole),
    ("JIANGHAN_DATABASE_URL", "database.url", Form::Secret),
    ("JIANGHAN_DATABASE_MAX_CONNECTIONS", "database.max_connections", Form::Whole),
    ("JIANGHAN_AMQP_URL", "bus.amqp_url", Form::Secret),
    ("JIANGHAN_BUS_GROUPS", "bus.groups", Form::Whole),
    ("JIANGHAN_GRPC_REQUEST_TIMEOUT_MS", "grpc.request_timeout_ms", Form::Whole),
    ("JIANGHAN_GRPC_MAX_IN_FLIGHT", "grpc.max_in_flight", Form::Whole),
    ("JIANGHAN_GRPC_STOP_TIMEOUT_MS", "grpc.stop_timeout_ms", Form::Whole),
    ("JIANGHAN_AUTH_ISSUER", "auth.issuer", Form::Text),
    ("JIANGHAN_LOG", "telemetry.log", Form::Text),
    ("JIANGHAN_LOG_FORMAT", "telemetry.log_format", Form::Text),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint", Form::Text),
    ("JIANGHAN_TRACE_SAMPLE", "telemetry.sample", Form::Number),
    ("JIANGHAN_METRIC_INTERVAL_MS", "telemetry.metric_interval_ms", Form::Whole),
    ("JIANGHAN_SPINE_WRITERS", "spine.writers", Form::Whole),
    ("JIANGHAN_SPINE_BATCH", "spine.batch", Form::Whole),
    ("JIANGHAN_SPINE_GATE_BACKLOG", "spine.gate_backlog", Form::Whole),
    ("JIANGHAN_SPINE_REFUSE_BACKLOG", "spine.refuse_backlog", Form::Whole),
    ("JIANGHAN_SPINE_CONSUME_LINGER_MS", "spine.consume_linger_ms", Form::Whole),
    ("JIANGHAN_SPINE_RETRY_FIRST_MS", "spine.retry_first_ms", Form::Whole),
    ("JIANGHAN_SPINE_LEASE_MS", "spine.lease_ms", Form::Whole),
];

/// Puts what the environment says over a table.
pub(super) fn overlay(table: &mut Table, env: &impl Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    for (name, path, form) in VARIABLES {
        if let Some(text) = variable(env, name, *form)? {
            put(table, path, value(name, &text, *form)?)?;
        }
    }
    for (peer, _) in DEFAULT_PORTS {
        if let Some(address) = env(&format!("JIANGHAN_ADDR_{}", peer.replace('-', "_").to_uppercase())) {
            put(table, &format!("addresses.{peer}"), Value::String(address))?;
        }
    }
    Ok(())
}

/// Puts a value where a table has none.
pub(super) fn underlay(table: &mut Table, path: &str, value: &Value) -> anyhow::Result<()> {
    match path.split_once('.') {
        None => {
            table.entry(path).or_insert_with(|| value.clone());
            Ok(())
        }
        Some((head, rest)) => match table.entry(head).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => underlay(inner, rest, value),
            _ => bail!("{head} must be a table"),
        },
    }
}

/// The value of a variable; of a secret also from the file that `<name>_FILE` names.
fn variable(env: &impl Fn(&str) -> Option<String>, name: &str, form: Form) -> anyhow::Result<Option<String>> {
    if let Some(text) = env(name) {
        return Ok(Some(text));
    }
    let file = format!("{name}_FILE");
    match env(&file).filter(|_| form == Form::Secret) {
        Some(path) => {
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("{file}: cannot read {path}"))?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        None => Ok(None),
    }
}

fn value(name: &str, text: &str, form: Form) -> anyhow::Result<Value> {
    Ok(match form {
        Form::Text | Form::Secret => Value::String(text.to_owned()),
        Form::Whole => Value::Integer(text.parse().with_context(|| format!("{name} is not a whole number"))?),
        Form::Number => Value::Float(text.parse().with_context(|| format!("{name} is not a number"))?),
        Form::Flag => Value::Boolean(match text {
            "1" | "true" | "yes" | "on" => true,
            "0" | "false" | "no" | "off" => false,
            _ => bail!("{name} must be true or false"),
        }),
    })
}

fn put(table: &mut Table, path: &str, value: Value) -> anyhow::Result<()> {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
            Ok(())
        }
        Some((head, rest)) => match table.entry(head).or_insert_with(|| Value::Table(Table::new())) {
            Value::Table(inner) => put(inner, rest, value),
            _ => bail!("{head} must be a table"),
        },
    }
}
