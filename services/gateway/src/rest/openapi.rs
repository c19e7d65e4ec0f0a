//! The OpenAPI 3.1 document, made from the descriptors and their comments. The protos are its only source.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};

use super::binding::{Binding, Bindings, is_private};
use crate::schema::{Schemas, comment};

/// The document, for a server reached at `public_url`.
pub fn document(bindings: &Bindings, public_url: &str) -> Value {
    let mut schemas = Schemas::default();
    let mut names = BTreeSet::new();
    let mut methods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for method in bindings.iter().map(|binding| &binding.method) {
        methods.entry(method.name().to_owned()).or_default().insert(method.full_name().to_owned());
    }
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for binding in bindings.iter() {
        let mut operation = operation(binding, &mut schemas);
        // Two services may call an RPC the same.
        let (name, package) = (binding.method.name(), binding.method.full_name().split('.').nth(1));
        if methods.get(name).is_some_and(|same| same.len() > 1) {
            operation["operationId"] = json!(format!("{}_{name}", package.unwrap_or_default()));
        }
        // A second way to the same RPC has a name of its own.
        if !names.insert(binding.method.full_name().to_owned()) {
            operation["operationId"] = json!(format!("{}By{}", binding.method.name(), binding.verb));
        }
        let verb = binding.verb.as_str().to_ascii_lowercase();
        paths.entry(binding.template.clone()).or_default().insert(verb, operation);
    }
    let mut schemas = schemas.finish();
    schemas.insert("Problem".into(), problem());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Jianghan",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Community governance for an urban district: one window, the lowest competent level, measured.",
        },
        "servers": [{ "url": public_url }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" }
            },
            "schemas": schemas,
        },
    })
}

fn operation(binding: &Binding, schemas: &mut Schemas) -> Value {
    let method = &binding.method;
    let input = method.input();
    let variables: Vec<_> = binding.variables().collect();
    let mut parameters: Vec<_> = variables
        .iter()
        .filter_map(|name| input.get_field_by_name(name))
        .map(|field| parameter(&field, "path", field.name(), schemas))
        .collect();
    if !binding.body {
        parameters.extend(
            input
                .fields()
                .filter(|field| !variables.contains(&field.name()) && !is_private(field))
                .map(|field| parameter(&field, "query", field.json_name(), schemas)),
        );
    }
    let comment = comment(&method.parent_file(), method.path());
    let (summary, description) = first_sentence(&comment);
    let mut operation = json!({
        "operationId": method.name(),
        "tags": [method.parent_service().name()],
        "summary": summary,
        "description": description,
        "responses": {
            "200": {
                "description": "Done.",
                "content": { "application/json": { "schema": schemas.reference(&method.output()) } },
            },
            "default": {
                "description": "Refused or failed (RFC 9457).",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if binding.body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": schemas.reference(&input) } },
        });
    }
    if is_public(method) {
        operation["security"] = json!([]);
    }
    operation
}

/// The first sentence of a comment, and what follows.
fn first_sentence(comment: &str) -> (&str, &str) {
    let mut stops = comment.match_indices('.').map(|(at, _)| at + 1);
    let end = stops.find(|end| comment[*end..].chars().next().is_none_or(char::is_whitespace));
    let (first, rest) = comment.split_at(end.unwrap_or(comment.len()));
    (first, rest.trim_start())
}

fn is_public(method: &MethodDescriptor) -> bool {
    let Some(extension) = proto::pool().get_extension_by_name("jianghan.auth.v1.policy") else {
        return false;
    };
    let options = method.options();
    let policy = options.get_extension(&extension);
    policy
        .as_message()
        .and_then(|policy| policy.get_field_by_name("public").and_then(|public| public.as_bool()))
        .unwrap_or(false)
}

fn parameter(field: &FieldDescriptor, place: &str, name: &str, schemas: &mut Schemas) -> Value {
    json!({
        "name": name,
        "in": place,
        "required": place == "path",
        "description": comment(&field.parent_message().parent_file(), field.path()),
        "schema": schemas.field(field),
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457 problem.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": { "field": { "type": "string" }, "message": { "type": "string" } },
                },
            },
            "retryAfterMs": { "type": "integer" },
            "reason": {
                "type": "string",
                "description": "Which of the refusals it is that the description of the operation names, such as `recused`.",
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binding_is_described_and_every_reference_resolves() {
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        let document = document(&bindings, "http://127.0.0.1:8080");
        let mut operations = 0;
        let mut ids = BTreeSet::new();
        for path in document["paths"].as_object().expect("paths").values() {
            for operation in path.as_object().expect("operations").values() {
                operations += 1;
                assert!(
                    ids.insert(operation["operationId"].to_string()),
                    "{} twice",
                    operation["operationId"]
                );
                let summary = operation["summary"].as_str().expect("a summary");
                assert!(summary.ends_with('.') && !summary.contains('\n'), "{summary}: no sentence");
            }
        }
        assert_eq!(operations, bindings.iter().count());
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().expect("a name");
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not described");
        }
        let update = &document["components"]["schemas"]["identity.v1.UpdateUnitRequest"];
        assert_eq!(update["properties"]["updateMask"]["type"], "string", "as the JSON mapping has it");
    }

    #[test]
    fn the_summary_is_the_first_sentence_and_the_description_the_rest() {
        assert_eq!(
            first_sentence("Takes `a.b` and 1.5 in, by its list. NOT_FOUND. And\n\nmore."),
            ("Takes `a.b` and 1.5 in, by its list.", "NOT_FOUND. And\n\nmore.")
        );
        assert_eq!(first_sentence("All of them."), ("All of them.", ""));
        assert_eq!(first_sentence("no sentence"), ("no sentence", ""));
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        let document = document(&bindings, "http://127.0.0.1:8080");
        let update = &document["paths"]["/v1/external-systems/{system_code}:update"]["post"];
        assert_eq!(
            update["summary"],
            "Replaces what is set of a system: names, direction, state, client, endpoint and lines, all of them or those \
             that `update_mask` names."
        );
        assert!(update["description"].as_str().expect("text").starts_with("The state is a switch"));
    }

    /// The file is validated against the OpenAPI 3.1 schema by `infra/test`.
    #[test]
    fn the_document_is_written_for_the_validator() {
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        let document = document(&bindings, "http://127.0.0.1:8080");
        let target = std::env::var("OPENAPI_JSON")
            .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/openapi.json").to_owned());
        std::fs::write(target, serde_json::to_vec_pretty(&document).expect("JSON")).expect("written");
        assert_eq!(document["openapi"], "3.1.0");
    }
}
