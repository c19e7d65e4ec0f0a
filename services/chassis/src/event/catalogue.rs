//! Which event types there are and who consumes them, read from the descriptors (`jianghan.events.v1.event`).
//! The RabbitMQ topology, the in-process routing and the runner's check for unknown types all come from here.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use prost_reflect::{DynamicMessage, Value};

/// Every service with a database, in the order of the dictionary.
pub const SERVICES: [&str; 5] = ["identity", "case-routing", "staffing", "volunteer-matching", "analytics"];

/// Consumes every event without being named.
const EVERYTHING: &str = "analytics";

/// Name of the message option.
const OPTION: &str = "jianghan.events.v1.event";

/// One event type.
#[derive(Debug, Clone, PartialEq)]
pub struct EventType {
    /// Full proto name of the message.
    pub name: Arc<str>,
    /// Field that holds the partition key.
    pub partition_key: String,
    /// Services that receive it, sorted, `analytics` among them.
    pub consumers: Vec<String>,
}

/// All event types by name.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    types: BTreeMap<Arc<str>, EventType>,
    services: Vec<String>,
}

static CATALOGUE: LazyLock<Arc<Catalogue>> =
    LazyLock::new(|| Arc::new(Catalogue::from_pool(&proto::bare_pool())));

/// The catalogue of this build's protos.
pub fn catalogue() -> &'static Arc<Catalogue> {
    &CATALOGUE
}

impl Catalogue {
    /// Reads the option of every message in the pool.
    pub fn from_pool(pool: &prost_reflect::DescriptorPool) -> Self {
        let mut declared: Vec<(String, String, Vec<String>)> = Vec::new();
        if let Some(option) = pool.get_extension_by_name(OPTION) {
            for message in pool.all_messages() {
                let options = message.options();
                if !options.has_extension(&option) {
                    continue;
                }
                if let Value::Message(event) = options.get_extension(&option).as_ref() {
                    declared.push((
                        message.full_name().to_owned(),
                        text(event, "partition_key"),
                        texts(event, "consumers"),
                    ));
                }
            }
        }
        Self::new(&SERVICES, declared)
    }

    /// A catalogue made by hand: `(type, partition key field, consumers)`, where `*` stands for every service.
    pub fn new(
        services: &[&str],
        declared: impl IntoIterator<Item = (impl Into<String>, impl Into<String>, Vec<String>)>,
    ) -> Self {
        let mut types = BTreeMap::new();
        for (name, partition_key, mut consumers) in declared {
            if consumers.iter().any(|c| c == "*") {
                consumers = services.iter().map(|s| (*s).to_owned()).collect();
            } else if services.contains(&EVERYTHING) {
                consumers.push(EVERYTHING.to_owned());
            }
            consumers.sort();
            consumers.dedup();
            let name: Arc<str> = name.into().into();
            types.insert(name.clone(), EventType { name, partition_key: partition_key.into(), consumers });
        }
        Self { types, services: services.iter().map(|s| (*s).to_owned()).collect() }
    }

    /// The type of this name.
    pub fn get(&self, name: &str) -> Option<&EventType> {
        self.types.get(name)
    }

    /// Every type, by name.
    pub fn types(&self) -> impl Iterator<Item = &EventType> {
        self.types.values()
    }

    /// Every service that may consume.
    pub fn services(&self) -> &[String] {
        &self.services
    }

    /// Services that receive events of this type. A type nobody declared goes to every service, so that it is
    /// parked there rather than lost.
    pub fn consumers(&self, name: &str) -> &[String] {
        self.types.get(name).map_or(&self.services, |t| &t.consumers)
    }

    /// Types a service receives.
    pub fn consumed_by(&self, service: &str) -> Vec<&EventType> {
        self.types.values().filter(|t| t.consumers.iter().any(|c| c == service)).collect()
    }

    /// Whether the service receives every type.
    pub fn consumes_everything(&self, service: &str) -> bool {
        service == EVERYTHING
    }

    /// A shared copy of a type name.
    pub fn intern(&self, name: &str) -> Arc<str> {
        self.types.get(name).map_or_else(|| name.into(), |t| t.name.clone())
    }
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn texts(message: &DynamicMessage, field: &str) -> Vec<String> {
    let Some(value) = message.get_field_by_name(field) else { return Vec::new() };
    value.as_list().unwrap_or_default().iter().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_names_a_key_field_of_text_and_known_consumers() {
        for event in catalogue().types() {
            let message = proto::pool().get_message_by_name(&event.name).expect("it came from the pool");
            let field = message.get_field_by_name(&event.partition_key);
            assert!(
                field.is_some_and(|f| matches!(f.kind(), prost_reflect::Kind::String) && !f.is_list()),
                "{}: partition_key names no text field",
                event.name
            );
            for consumer in &event.consumers {
                assert!(SERVICES.contains(&consumer.as_str()), "{}: unknown consumer {consumer}", event.name);
            }
            assert!(event.consumers.iter().any(|c| c == EVERYTHING), "{}: analytics is missing", event.name);
        }
    }

    #[test]
    fn a_star_means_every_service_and_unknown_types_go_to_all() {
        let made = Catalogue::new(
            &SERVICES,
            [("t.A", "id", vec!["*".to_owned()]), ("t.B", "id", vec!["staffing".to_owned()])],
        );
        assert_eq!(made.consumers("t.A").len(), 5);
        assert_eq!(made.consumers("t.B"), ["analytics", "staffing"]);
        assert_eq!(made.consumers("t.Unknown").len(), 5);
        assert_eq!(made.consumed_by("staffing").len(), 2);
        assert_eq!(made.consumed_by("identity").len(), 1);
    }
}
