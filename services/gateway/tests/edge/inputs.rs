//! Bad input on every binding of the suite, read from the descriptors: refused at the edge by the field's JSON name,
//! without asking a service.

use gateway::rest::binding::{Binding, Bindings};
use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Value, json};

use crate::fakes::{self, Edge};

/// The binding's path with something in each variable that texts and numbers take.
fn path(binding: &Binding) -> String {
    let named = binding.variables().map(|name| (format!("{{{name}}}"), "1".to_owned()));
    named.fold(binding.template.clone(), |path, (variable, value)| path.replace(&variable, &value))
}

/// A JSON value the field cannot take.
fn unfit(field: &FieldDescriptor) -> Value {
    if field.is_list() || field.is_map() {
        return json!(5);
    }
    match field.kind() {
        Kind::String | Kind::Bytes => json!({ "a": 1 }),
        Kind::Message(_) => json!(5),
        _ => json!("not this"),
    }
}

async fn refused(edge: &Edge, binding: &Binding, query: &str, body: Option<String>) -> Vec<String> {
    let url = format!("{}{}{query}", edge.url, path(binding));
    let mut request = edge.http.request(binding.verb.clone(), url);
    if let Some(body) = body {
        request = request.body(body);
    }
    let response = request.send().await.expect("an answer");
    let name = binding.method.full_name();
    assert_eq!(response.status(), 400, "{name}");
    let problem = fakes::json(response).await;
    assert_eq!(problem["code"], "INVALID_ARGUMENT", "{name}");
    let errors = problem["errors"].as_array().unwrap_or_else(|| panic!("{name} names no field: {problem}"));
    errors.iter().map(|error| error["field"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn every_binding_refuses_bad_json_unknown_fields_and_wrong_types_by_name() {
    // Nobody listens behind this edge: whatever got through would be 503.
    let edge = Edge::alone().await;
    let bindings = Bindings::from_descriptors().expect("the annotations are usable");
    let mut refusals = 0;
    for binding in bindings.iter() {
        let name = binding.method.full_name().to_owned();
        let variables: Vec<_> = binding.variables().map(ToOwned::to_owned).collect();
        let input = binding.method.input();
        let fields: Vec<_> =
            input.fields().filter(|field| !variables.iter().any(|v| v == field.name())).collect();
        if binding.body {
            for broken in ["{", "[1]", "null", "\u{1}"] {
                assert_eq!(
                    refused(&edge, binding, "", Some(broken.into())).await,
                    ["body"],
                    "{name}: {broken}"
                );
            }
            let unknown = json!({ "noSuchField": 1 }).to_string();
            assert_eq!(refused(&edge, binding, "", Some(unknown)).await, ["noSuchField"], "{name}");
            let snake = json!({ "no_such_field": 1 }).to_string();
            assert_eq!(refused(&edge, binding, "", Some(snake)).await, ["noSuchField"], "{name}");
            assert_eq!(refused(&edge, binding, "?a=1", Some("{}".into())).await, ["query"], "{name}");
            for field in &fields {
                for spelling in [field.json_name(), field.name()] {
                    let body = json!({ spelling: unfit(field) }).to_string();
                    let named = refused(&edge, binding, "", Some(body)).await;
                    assert_eq!(named, [field.json_name()], "{name}.{spelling}");
                }
                refusals += 1;
            }
        } else {
            assert_eq!(refused(&edge, binding, "?noSuchField=1", None).await, ["noSuchField"], "{name}");
            assert_eq!(refused(&edge, binding, "?a=%ff", None).await, ["query"], "{name}");
            for field in fields.iter().filter(|field| !matches!(field.kind(), Kind::String)) {
                let named = refused(&edge, binding, &format!("?{}=not-this", field.name()), None).await;
                let expected = field.json_name().to_owned();
                let expected = if field.is_list() { format!("{expected}[0]") } else { expected };
                assert_eq!(named, [expected], "{name}");
                refusals += 1;
            }
            if let Some(single) = fields.iter().find(|field| !field.is_list()) {
                let twice = format!("?{0}=1&{0}=1", single.json_name());
                assert_eq!(refused(&edge, binding, &twice, None).await, [single.json_name()], "{name}");
            }
        }
    }
    assert!(refusals > 150, "only {refusals} fields were tried");
}

#[tokio::test]
async fn an_unknown_field_inside_a_message_is_named_with_its_path() {
    let edge = Edge::alone().await;
    let bindings = Bindings::from_descriptors().expect("the annotations are usable");
    let mut tried = 0;
    for binding in bindings.iter().filter(|binding| binding.body) {
        for field in binding.method.input().fields() {
            let Kind::Message(message) = field.kind() else { continue };
            if field.is_map() || message.full_name().starts_with("google.protobuf.") {
                continue;
            }
            let inner = json!({ "noSuchField": 1 });
            let (value, path) = if field.is_list() {
                (json!([inner]), format!("{}[0].noSuchField", field.json_name()))
            } else {
                (inner, format!("{}.noSuchField", field.json_name()))
            };
            let body = json!({ field.json_name(): value }).to_string();
            assert_eq!(
                refused(&edge, binding, "", Some(body)).await,
                [path],
                "{}",
                binding.method.full_name()
            );
            tried += 1;
        }
    }
    assert!(tried > 0, "the suite has nested messages");
}
