//! CloudEvents 1.0 over AMQP in binary mode: the message is the body, the attributes are headers.

use std::{collections::BTreeMap, str::FromStr};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use uuid::Uuid;

use super::topology::short;
use crate::{
    clock::to_micros,
    event::{Event, catalogue},
};

/// Written before attribute names; the other form of the binding is read too.
const PREFIX: &str = "cloudEvents_";
const PREFIX_READ: &str = "cloudEvents:";

/// Media type of the body.
const CONTENT_TYPE: &str = "application/protobuf";

/// The properties of an event's message: persistent, with every attribute.
pub(super) fn properties(event: &Event) -> BasicProperties {
    let mut headers = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        headers.insert(short(&format!("{PREFIX}{name}")), AMQPValue::LongString(value.as_bytes().into()));
    };
    set("specversion", "1.0");
    set("id", &event.id.to_string());
    set("type", &event.r#type);
    set("source", &event.source);
    set("subject", &event.subject);
    set("time", &event.time.to_rfc3339_opts(SecondsFormat::Micros, true));
    set("partitionkey", &event.partition_key.to_string());
    set("aggregateversion", &event.aggregate_version.to_string());
    set("correlationid", &event.correlation_id.to_string());
    let optional = [
        ("unitid", event.unit_id.map(|id| id.to_string())),
        ("linecode", event.line.clone()),
        ("causationid", event.causation_id.map(|id| id.to_string())),
        ("actorref", event.actor_ref.clone()),
        ("traceparent", event.traceparent.clone()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            set(name, &value);
        }
    }
    BasicProperties::default()
        .with_content_type(short(CONTENT_TYPE))
        .with_delivery_mode(2)
        .with_message_id(short(&event.id.to_string()))
        .with_headers(FieldTable::from(headers))
}

/// The event of a message, and what is wrong with its envelope. A broken message gets an id made from its content,
/// so that a redelivery is known again.
pub(super) fn event(properties: &BasicProperties, body: Vec<u8>) -> (Event, Option<String>) {
    let empty = FieldTable::default();
    let headers = Headers(properties.headers().as_ref().unwrap_or(&empty).inner());
    let mut defects = Vec::new();
    let mut need = |name: &'static str| {
        let value = headers.get(name);
        if value.is_none() {
            defects.push(format!("attribute {name} is missing or malformed"));
        }
        value.unwrap_or_default()
    };
    let (id, event_type, source) = (need("id"), need("type"), need("source"));
    let (key, version, time) = (need("partitionkey"), need("aggregateversion"), need("time"));
    let correlation = headers.parse::<Uuid>("correlationid");
    let mut parsed = |name: &'static str, ok: bool| {
        if !ok {
            defects.push(format!("attribute {name} is missing or malformed"));
        }
    };
    let (id, key) = (Uuid::try_parse(&id).ok(), Uuid::try_parse(&key).ok());
    let time = DateTime::parse_from_rfc3339(&time).ok().map(|t| to_micros(t.with_timezone(&Utc)));
    let version = version.parse::<i64>().ok();
    parsed("id", id.is_some());
    parsed("partitionkey", key.is_some());
    parsed("time", time.is_some());
    parsed("aggregateversion", version.is_some());
    let id = id.unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, &body));
    let event = Event {
        id,
        r#type: catalogue().intern(&event_type),
        source,
        subject: headers.get("subject").unwrap_or_default(),
        time: time.unwrap_or(DateTime::UNIX_EPOCH),
        partition_key: key.unwrap_or(Uuid::nil()),
        aggregate_version: version.unwrap_or_default(),
        unit_id: headers.parse("unitid"),
        line: headers.get("linecode"),
        correlation_id: correlation.unwrap_or(id),
        causation_id: headers.parse("causationid"),
        actor_ref: headers.get("actorref"),
        traceparent: headers.get("traceparent"),
        data: Bytes::from(body),
    };
    defects.dedup();
    (event, (!defects.is_empty()).then(|| defects.join("; ")))
}

struct Headers<'a>(&'a BTreeMap<ShortString, AMQPValue>);

impl Headers<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let value =
            [PREFIX, PREFIX_READ].iter().find_map(|prefix| self.0.get(format!("{prefix}{name}").as_str()))?;
        match value {
            AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            AMQPValue::LongInt(n) => Some(n.to_string()),
            AMQPValue::LongLongInt(n) => Some(n.to_string()),
            _ => None,
        }
    }

    fn parse<T: FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, new_id};

    fn full() -> Event {
        Event {
            id: new_id(),
            r#type: "jianghan.case_routing.v1.CaseRegistered".into(),
            source: "case-routing".to_owned(),
            subject: "case/1".to_owned(),
            time: Clock::system().now(),
            partition_key: new_id(),
            aggregate_version: i64::MAX,
            unit_id: Some(new_id()),
            line: Some("housing".to_owned()),
            correlation_id: new_id(),
            causation_id: Some(new_id()),
            actor_ref: Some("a-1".to_owned()),
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            data: Bytes::from_static(b"\x0a\x01x"),
        }
    }

    #[test]
    fn an_envelope_survives_the_round_trip() {
        let bare = Event {
            unit_id: None,
            line: None,
            causation_id: None,
            actor_ref: None,
            traceparent: None,
            ..full()
        };
        for sent in [full(), bare] {
            let (received, defect) = event(&properties(&sent), sent.data.to_vec());
            assert_eq!(defect, None);
            assert_eq!(received, sent);
        }
    }

    #[test]
    fn a_broken_envelope_is_named_and_keeps_a_stable_id() {
        let (first, defect) = event(&BasicProperties::default(), b"junk".to_vec());
        let (second, _) = event(&BasicProperties::default(), b"junk".to_vec());
        assert_eq!(first.id, second.id);
        let defect = defect.unwrap();
        for name in ["id", "type", "source", "partitionkey", "aggregateversion", "time"] {
            assert!(defect.contains(&format!("attribute {name} ")), "{defect}");
        }
    }
}
