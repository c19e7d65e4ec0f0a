//! CloudEvents 1.0 over AMQP in binary mode: the message is the body, the attributes are headers.

use std::{collections::BTreeMap, str::FromStr};

use bytes::Bytes;
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
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

/// The event of a message, and what is wrong with its envelope: an attribute that must be there is not, or one that
/// is there cannot be read. A broken message gets an id made from its content, so that a redelivery is known again.
pub(super) fn event(properties: &BasicProperties, body: Vec<u8>) -> (Event, Option<String>) {
    let empty = FieldTable::default();
    let headers = properties.headers().as_ref().unwrap_or(&empty).inner();
    let mut headers = Headers { headers, defects: Vec::new() };
    let id = headers.needed("id").unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, &body));
    let event_type: String = headers.needed("type").unwrap_or_default();
    let time: Option<DateTime<FixedOffset>> =
        headers.needed_by("time", |text| DateTime::parse_from_rfc3339(text).ok());
    let event = Event {
        id,
        r#type: catalogue().intern(&event_type),
        source: headers.needed("source").unwrap_or_default(),
        subject: headers.optional("subject").unwrap_or_default(),
        time: time.map_or(DateTime::UNIX_EPOCH, |time| to_micros(time.with_timezone(&Utc))),
        partition_key: headers.needed("partitionkey").unwrap_or(Uuid::nil()),
        aggregate_version: headers.needed("aggregateversion").unwrap_or_default(),
        unit_id: headers.optional("unitid"),
        line: headers.optional("linecode"),
        correlation_id: headers.optional("correlationid").unwrap_or(id),
        causation_id: headers.optional("causationid"),
        actor_ref: headers.optional("actorref"),
        traceparent: headers.optional("traceparent"),
        data: Bytes::from(body),
    };
    let defects = headers.defects;
    (event, (!defects.is_empty()).then(|| defects.join("; ")))
}

/// The headers of a message, and what was found wrong with them so far.
struct Headers<'a> {
    headers: &'a BTreeMap<ShortString, AMQPValue>,
    defects: Vec<String>,
}

impl Headers<'_> {
    /// An attribute that must be there.
    fn needed<T: FromStr>(&mut self, name: &str) -> Option<T> {
        self.needed_by(name, |text| text.parse().ok())
    }

    fn needed_by<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = self.value(name).and_then(text).and_then(|text| parse(&text));
        if value.is_none() {
            self.defects.push(format!("attribute {name} is missing or malformed"));
        }
        value
    }

    /// An attribute that may be missing.
    fn optional<T: FromStr>(&mut self, name: &str) -> Option<T> {
        let value = self.value(name)?;
        let value = text(value).and_then(|text| text.parse().ok());
        if value.is_none() {
            self.defects.push(format!("attribute {name} is malformed"));
        }
        value
    }

    fn value(&self, name: &str) -> Option<&AMQPValue> {
        [PREFIX, PREFIX_READ].iter().find_map(|prefix| self.headers.get(format!("{prefix}{name}").as_str()))
    }
}

/// A header as text. NUL is refused: no text of ours holds one and PostgreSQL takes none.
fn text(value: &AMQPValue) -> Option<String> {
    let text = match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok()?,
        AMQPValue::ShortString(text) => text.to_string(),
        AMQPValue::LongInt(n) => n.to_string(),
        AMQPValue::LongLongInt(n) => n.to_string(),
        _ => return None,
    };
    (!text.contains('\0')).then_some(text)
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
        assert!(!defect.contains("unitid"), "{defect}");
        for name in ["id", "type", "source", "partitionkey", "aggregateversion", "time"] {
            assert!(defect.contains(&format!("attribute {name} ")), "{defect}");
        }
    }

    #[test]
    fn an_attribute_that_the_database_would_refuse_or_nobody_can_read_is_a_defect() {
        let sent = full();
        let with = |name: &str, value: AMQPValue| {
            let properties = properties(&sent);
            let mut headers = properties.headers().clone().unwrap();
            headers.insert(short(&format!("{PREFIX}{name}")), value);
            event(&properties.with_headers(headers), sent.data.to_vec())
        };
        let long = |bytes: &[u8]| AMQPValue::LongString(bytes.into());
        for name in ["type", "source", "subject", "linecode", "actorref", "traceparent"] {
            for value in [long(b"a\0b"), long(b"\xff"), AMQPValue::ShortString("a\0b".into())] {
                let (read, defect) = with(name, value);
                assert!(defect.unwrap().contains(&format!("attribute {name} ")));
                assert_eq!((read.id, read.partition_key), (sent.id, sent.partition_key));
                let texts =
                    [Some(read.source), Some(read.subject), read.line, read.actor_ref, read.traceparent];
                assert!(texts.into_iter().flatten().all(|text| !text.contains('\0')));
                assert!(!read.r#type.contains('\0'));
            }
        }
        let (_, defect) = with("unitid", long(b"not an id"));
        assert_eq!(defect.as_deref(), Some("attribute unitid is malformed"));
    }
}
