//! JSON Schemas of messages and enums, made from the descriptors and their comments: what the OpenAPI and the AsyncAPI document
//! have in common. They describe the proto3 JSON mapping.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

/// Schemas of messages and enums, collected as they are referred to.
#[derive(Default)]
pub struct Schemas {
    done: BTreeMap<String, Value>,
    pending: Vec<MessageDescriptor>,
    seen: BTreeSet<String>,
}

impl Schemas {
    /// A reference to a message's schema, which is collected with it.
    pub fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(well_known) = well_known(message.full_name()) {
            return well_known;
        }
        let name = component(message.full_name());
        if self.seen.insert(name.clone()) {
            self.pending.push(message.clone());
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// Every schema that was referred to, and what those refer to, by name.
    pub fn finish(mut self) -> BTreeMap<String, Value> {
        while let Some(message) = self.pending.pop() {
            let mut properties = Map::new();
            for field in message.fields() {
                let mut schema = self.field(&field);
                let text = comment(&message.parent_file(), field.path());
                if !text.is_empty() {
                    schema["description"] = Value::String(text);
                }
                properties.insert(field.json_name().to_owned(), schema);
            }
            let schema = json!({
                "type": "object",
                "description": comment(&message.parent_file(), message.path()),
                "properties": properties,
            });
            self.done.insert(component(message.full_name()), schema);
        }
        self.done
    }

    /// The schema of one field.
    pub fn field(&mut self, field: &FieldDescriptor) -> Value {
        if field.is_map() {
            return json!({ "type": "object", "additionalProperties": { "type": "string" } });
        }
        let one = self.kind(&field.kind());
        if field.cardinality() == Cardinality::Repeated {
            json!({ "type": "array", "items": one })
        } else {
            one
        }
    }

    fn kind(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
            Kind::Double | Kind::Float => json!({ "type": "number" }),
            Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 => {
                json!({ "type": "string", "format": "int64" })
            }
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => {
                json!({ "type": "integer", "format": "int32" })
            }
            Kind::Enum(descriptor) => self.enumeration(descriptor),
            Kind::Message(message) => self.reference(message),
        }
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) -> Value {
        let name = component(descriptor.full_name());
        let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
        self.done.insert(
            name.clone(),
            json!({
                "type": "string",
                "description": comment(&descriptor.parent_file(), descriptor.path()),
                "enum": names,
            }),
        );
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}

fn well_known(name: &str) -> Option<Value> {
    match name {
        "google.protobuf.Timestamp" => Some(json!({ "type": "string", "format": "date-time" })),
        // Names of fields as in JSON, with commas between them.
        "google.protobuf.FieldMask" => Some(json!({ "type": "string", "format": "field-mask" })),
        _ => None,
    }
}

/// Name of a schema: `jianghan.case_routing.v1.Case` → `case_routing.v1.Case`.
pub fn component(full_name: &str) -> String {
    full_name.trim_start_matches("jianghan.").to_owned()
}

/// The comment in front of an element: one line for each paragraph, wherever the proto breaks its lines.
pub fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.map(|location| location.leading_comments()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let paragraphs = lines.split(|line| line.is_empty()).filter(|lines| !lines.is_empty());
    paragraphs.map(|lines| lines.join(" ")).collect::<Vec<_>>().join("\n\n")
}
