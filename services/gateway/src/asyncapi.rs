//! The AsyncAPI 3.0 document: which events there are, what travels with them, who sends and who receives them. It is made from the
//! descriptors, as the topology of the broker is. Events name no personal data, and so must this.

use std::sync::LazyLock;

use axum::body::Bytes;
use chassis::event::{EventType, PARTITIONS, catalogue};
use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};

use crate::{
    rest::binding::service_of,
    schema::{Schemas, comment, component},
};

/// Version of the AMQP bindings of AsyncAPI.
const BINDING: &str = "0.3.0";

/// The exchange that events are published to; what lies behind it is the broker's topology.
const EXCHANGE: &str = "jianghan.events";

/// The envelope: CloudEvents attributes with their format, whether each is always there, and what it says. On the broker they are
/// headers of these names behind [`PREFIX`].
const ATTRIBUTES: [(&str, &str, bool, &str); 14] = [
    ("specversion", "", true, "Version of CloudEvents: `1.0`."),
    ("id", "uuid", true, "UUIDv7. A consumer knows an event by it, and handles it once."),
    ("type", "", true, "Full name of the message."),
    ("source", "", true, "The service that sends it."),
    ("subject", "", true, "Id of what it is about."),
    ("time", "date-time", true, "Domain time at which it happened."),
    ("partitionkey", "uuid", true, "Events of one key keep their order."),
    ("aggregateversion", "int64", true, "Version of the aggregate after the change."),
    ("correlationid", "uuid", true, "Ties together what one request brought about."),
    ("causationid", "uuid", false, "The event that caused it."),
    ("unitid", "uuid", false, "Unit the fact belongs to."),
    ("linecode", "", false, "Line (department function)."),
    ("actorref", "", false, "Pseudonym of who acted."),
    ("traceparent", "", false, "W3C trace context."),
];

/// Written before the names of attributes.
const PREFIX: &str = "cloudEvents_";

const ABOUT: &str = "What the services tell one another. Each event is a fact in the past tense as a protobuf message; the schemas \
    here are of its proto3 JSON mapping. It holds ids, codes, quantities and times and what units and organisations are called, \
    never a person's name, a phone number, an address or free text. Delivery is at least once, in the order of the partition key.";

/// An event type, with what the descriptors say besides.
struct Event {
    declared: EventType,
    message: MessageDescriptor,
    /// The service whose package declares it.
    sender: &'static str,
    /// Its name in the document, such as `case_routing.v1.CaseRegistered`.
    key: String,
}

impl Event {
    fn all() -> Vec<Self> {
        let described = |declared: &EventType| {
            let message = proto::pool().get_message_by_name(&declared.name)?;
            let sender = service_of(message.package_name())?;
            let key = component(message.full_name());
            Some(Self { declared: declared.clone(), message, sender, key })
        };
        catalogue().types().filter_map(described).collect()
    }

    /// Where it is published: a routing key per partition.
    fn channel(&self) -> Value {
        let mut messages = Map::new();
        messages.insert(self.key.clone(), refer("components/messages", &self.key));
        json!({
            "address": format!("p{{partition}}.{}", self.declared.name),
            "title": self.message.name(),
            "messages": messages,
            "parameters": { "partition": refer("components/parameters", "partition") },
            "bindings": refer("components/channelBindings", "exchange"),
        })
    }

    fn message(&self, schemas: &mut Schemas) -> Value {
        let key = self.message.get_field_by_name(&self.declared.partition_key);
        json!({
            "name": self.message.full_name(),
            "title": self.message.name(),
            "summary": comment(&self.message.parent_file(), self.message.path()).replace("\n\n", " "),
            "headers": {
                "type": "object",
                "allOf": [refer("components/schemas", "Envelope")],
                "properties": {
                    "cloudEvents_type": { "const": self.message.full_name() },
                    "cloudEvents_source": { "const": self.sender },
                },
            },
            "payload": schemas.reference(&self.message),
            "correlationId": refer("components/correlationIds", "correlation"),
            "x-partition-key": key.map(|field| field.json_name().to_owned()),
        })
    }

    fn sent(&self) -> Value {
        json!({
            "action": "send",
            "title": format!("{} sends {}", self.sender, self.message.name()),
            "channel": refer("channels", &self.key),
            "messages": [message_of(&self.key, &self.key)],
            "tags": [{ "name": self.sender }],
            "bindings": refer("components/operationBindings", "send"),
        })
    }
}

/// The document as JSON, made when it is first asked for.
pub fn text() -> Bytes {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));
    TEXT.clone()
}

/// The document.
pub fn document() -> Value {
    let mut schemas = Schemas::default();
    let (mut channels, mut messages, mut operations) = (Map::new(), Map::new(), Map::new());
    let events = Event::all();
    for event in &events {
        channels.insert(event.key.clone(), event.channel());
        messages.insert(event.key.clone(), event.message(&mut schemas));
        operations.insert(format!("{}.sends.{}", event.sender, event.message.name()), event.sent());
    }
    for service in catalogue().services() {
        let received: Vec<&Event> =
            events.iter().filter(|event| event.declared.consumers.contains(service)).collect();
        let queue = format!("{service}.queue");
        operations.insert(format!("{service}.receives"), receives(service, &queue, &received));
        channels.insert(queue, queue_of(service, &received));
    }
    let mut schemas = schemas.finish();
    schemas.insert("Envelope".into(), envelope());
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Jianghan events",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0" },
            "description": ABOUT,
        },
        "defaultContentType": "application/protobuf",
        "servers": { "broker": broker() },
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas,
            "parameters": parameters(),
            "correlationIds": {
                "correlation": { "location": format!("$message.header#/{PREFIX}correlationid") },
            },
            "channelBindings": channel_bindings(),
            "operationBindings": operation_bindings(),
        },
    })
}

/// A reference to something in the document.
fn refer(place: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/{place}/{name}") })
}

/// A reference to a message of a channel, as operations make it.
fn message_of(channel: &str, message: &str) -> Value {
    refer(&format!("channels/{channel}/messages"), message)
}

/// The queues of a service: it shares the partitions out among so many groups as it was started with.
fn queue_of(service: &str, received: &[&Event]) -> Value {
    let messages: Map<String, Value> =
        received.iter().map(|event| (event.key.clone(), refer("components/messages", &event.key))).collect();
    json!({
        "address": format!("{service}.g{{group}}"),
        "title": format!("What {service} receives"),
        "messages": messages,
        "parameters": { "group": refer("components/parameters", "group") },
        "bindings": refer("components/channelBindings", "queue"),
    })
}

fn receives(service: &str, queue: &str, received: &[&Event]) -> Value {
    let messages: Vec<Value> = received.iter().map(|event| message_of(queue, &event.key)).collect();
    json!({
        "action": "receive",
        "title": format!("{service} receives"),
        "channel": refer("channels", queue),
        "messages": messages,
        "tags": [{ "name": service }],
        "bindings": refer("components/operationBindings", "receive"),
    })
}

fn envelope() -> Value {
    let mut properties = Map::new();
    for (name, format, _, description) in ATTRIBUTES {
        let mut schema = json!({ "type": "string", "description": description });
        if !format.is_empty() {
            schema["format"] = json!(format);
        }
        properties.insert(format!("{PREFIX}{name}"), schema);
    }
    let always = ATTRIBUTES.iter().filter(|(_, _, always, _)| *always);
    let required: Vec<String> = always.map(|(name, ..)| format!("{PREFIX}{name}")).collect();
    json!({
        "type": "object",
        "description": "CloudEvents 1.0 over AMQP in binary mode: the attributes are headers, the message is the body.",
        "required": required,
        "properties": properties,
    })
}

fn broker() -> Value {
    json!({
        "host": "{broker}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ, where the services run in processes of their own. In one process the same events go from each \
            outbox to the inboxes without a broker.",
        "variables": {
            "broker": { "default": "127.0.0.1:5672", "description": "As JIANGHAN_AMQP_URL says." },
        },
    })
}

fn parameters() -> Value {
    let partitions: Vec<String> = (0..PARTITIONS).map(|number| format!("{number:02}")).collect();
    json!({
        "partition": {
            "description": "Follows from the partition key alone, in the same way for ever.",
            "enum": partitions,
        },
        "group": {
            "description": "A run of partitions, from 0; JIANGHAN_BUS_GROUPS says into how many they are split.",
            "examples": ["0"],
        },
    })
}

fn channel_bindings() -> Value {
    json!({
        "exchange": { "amqp": {
            "is": "routingKey",
            "exchange": { "name": EXCHANGE, "type": "topic", "durable": true, "autoDelete": false },
            "bindingVersion": BINDING,
        } },
        "queue": { "amqp": {
            "is": "queue",
            "queue": { "durable": true, "exclusive": false, "autoDelete": false },
            "bindingVersion": BINDING,
        } },
    })
}

fn operation_bindings() -> Value {
    json!({
        "send": { "amqp": { "deliveryMode": 2, "bindingVersion": BINDING } },
        "receive": { "amqp": { "ack": true, "bindingVersion": BINDING } },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rest::binding::is_private;

    /// Names that no field of an event may have.
    const PERSONAL: [&str; 12] = [
        "phone",
        "idNo",
        "address",
        "personName",
        "requesterName",
        "contact",
        "detail",
        "text",
        "content",
        "point",
        "longitudeE6",
        "latitudeE6",
    ];

    fn object<'d>(document: &'d Value, pointer: &str) -> &'d Map<String, Value> {
        let found = document.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is missing"));
        found.as_object().unwrap_or_else(|| panic!("{pointer} is no object"))
    }

    /// What the references of a list name, by their last part.
    fn named(references: &Value) -> BTreeSet<String> {
        let references = references.as_array().expect("a list").iter();
        let names = references.filter_map(|one| one["$ref"].as_str()?.rsplit('/').next().map(str::to_owned));
        names.collect()
    }

    fn references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_event_type_is_sent_by_its_service_and_received_by_those_that_are_declared() {
        let document = document();
        let (mut types, mut keys) = (0, BTreeSet::new());
        for event in catalogue().types() {
            types += 1;
            let key = component(&event.name);
            let message = &document["components"]["messages"][&key];
            assert_eq!(message["name"], *event.name, "{key}");
            assert_ne!(message["summary"], "", "{key} has no comment");
            assert_eq!(message["payload"]["$ref"], format!("#/components/schemas/{key}"));
            assert!(message["x-partition-key"].is_string(), "{key} has no key");
            assert_eq!(document["channels"][&key]["address"], format!("p{{partition}}.{}", event.name));
            let package = key.split('.').next().expect("a package").replace('_', "-");
            let name = key.rsplit('.').next().expect("a name");
            let sent = &document["operations"][format!("{package}.sends.{name}")];
            assert_eq!(sent["action"], "send", "{key}");
            assert_eq!(named(&sent["messages"]), BTreeSet::from([key.clone()]));
            for service in catalogue().services() {
                let received = &document["operations"][format!("{service}.receives")];
                assert_eq!(received["action"], "receive");
                let declared = event.consumers.contains(service);
                assert_eq!(named(&received["messages"]).contains(&key), declared, "{service}: {key}");
            }
            keys.insert(key);
        }
        assert!(types > 20, "the events are missing");
        let described: BTreeSet<String> = object(&document, "/components/messages").keys().cloned().collect();
        assert_eq!(described, keys);
        let services = catalogue().services().len();
        assert_eq!(object(&document, "/operations").len(), types + services);
        assert_eq!(object(&document, "/channels").len(), types + services);
    }

    #[test]
    fn no_field_for_personal_data_is_named() {
        let document = document();
        for (name, schema) in object(&document, "/components/schemas") {
            let properties = schema["properties"].as_object();
            for property in properties.into_iter().flat_map(|all| all.keys()) {
                assert!(!PERSONAL.contains(&property.as_str()), "{name} names {property}");
            }
            let message = proto::pool().get_message_by_name(&format!("jianghan.{name}"));
            for field in message.iter().flat_map(|message| message.fields()) {
                assert!(!is_private(&field), "{} is private", field.full_name());
            }
        }
    }

    /// What the JSON Schema of AsyncAPI 3.0.0 asks for, and that every reference leads somewhere.
    #[test]
    fn the_document_has_what_asyncapi_asks_for() {
        let document = document();
        assert_eq!(document["asyncapi"], "3.0.0");
        for required in ["/info/title", "/info/version", "/servers/broker/host", "/servers/broker/protocol"] {
            assert!(document.pointer(required).is_some_and(Value::is_string), "{required}");
        }
        for (name, channel) in object(&document, "/channels") {
            let address = channel["address"].as_str().expect("an address");
            let asked: BTreeSet<&str> =
                address.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
            let parameters = channel["parameters"].as_object().expect("parameters");
            assert_eq!(parameters.keys().map(String::as_str).collect::<BTreeSet<_>>(), asked, "{name}");
            assert!(channel["messages"].as_object().is_some_and(|all| !all.is_empty()), "{name}");
        }
        for (name, operation) in object(&document, "/operations") {
            assert!(["send", "receive"].iter().any(|action| operation["action"] == *action), "{name}");
            let channel = operation["channel"]["$ref"].as_str().expect("a channel");
            let messages = operation["messages"].as_array().expect("messages");
            let of_channel = |one: &Value| {
                one["$ref"].as_str().is_some_and(|path| path.starts_with(&format!("{channel}/messages/")))
            };
            assert!(!messages.is_empty() && messages.iter().all(of_channel), "{name}");
        }
        for (name, message) in object(&document, "/components/messages") {
            assert_eq!(message["headers"]["type"], "object", "{name}");
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 500, "{} references", found.len());
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        assert!(object(&document, "/components/schemas").keys().all(|name| name.chars().all(plain)));
    }

    #[test]
    fn the_envelope_holds_the_attributes_of_cloudevents_as_headers() {
        let document = document();
        let envelope = &document["components"]["schemas"]["Envelope"];
        let required = envelope["required"].as_array().expect("a list");
        for name in ["specversion", "id", "type", "source"] {
            assert!(required.contains(&json!(format!("{PREFIX}{name}"))), "{name} is not required");
        }
        let traced = &envelope["properties"]["cloudEvents_traceparent"];
        assert!(traced.is_object() && !required.contains(&json!("cloudEvents_traceparent")));
    }
}
