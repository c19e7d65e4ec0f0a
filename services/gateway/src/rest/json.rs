//! JSON and query parameters to request messages, and answers to JSON, by the proto3 JSON mapping. Every refusal
//! names the field.

use std::collections::BTreeMap;

use prost_reflect::{
    Cardinality, DeserializeOptions, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor,
    SerializeOptions,
};
use serde_json::{Map, Number, Value};

use super::binding::{is_private, percent_decode};
use crate::problem::Problem;

/// Builds the request message from path variables and either the body or the query.
///
/// # Errors
/// `INVALID_ARGUMENT` as a problem that names the field.
pub fn request(
    message: &MessageDescriptor,
    variables: BTreeMap<String, String>,
    body: Option<&[u8]>,
    query: &str,
) -> Result<DynamicMessage, Box<Problem>> {
    let mut object = match body {
        Some(body) if !body.is_empty() => parse(body)?,
        _ => Map::new(),
    };
    if body.is_none() {
        from_query(message, query, &mut object)?;
    } else if !query.is_empty() {
        return Err(Problem::invalid("query", "this method takes its fields in the body"));
    }
    for (name, value) in variables {
        if let Some(field) = message.get_field_by_name(&name) {
            object.remove(field.json_name());
        }
        object.insert(name, Value::String(value));
    }
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(Value::Object(object), &mut track);
    let decoded = DynamicMessage::deserialize_with_options(message.clone(), tracked, &options);
    decoded.map_err(|error| {
        let path = track.path().to_string();
        let error = error.to_string();
        // The deserializer tells an unknown field at its parent; its name is in the sentence.
        let unknown = error.strip_prefix("unrecognized field name ").and_then(quoted);
        let field = match (path.as_str(), unknown) {
            (".", Some(name)) => name.to_owned(),
            (".", None) => "body".to_owned(),
            (parent, Some(name)) => format!("{parent}.{name}"),
            (field, None) => field.to_owned(),
        };
        Problem::invalid(&field, &error)
    })
}

/// The answer as JSON; fields at their default are written too, so that readers need not know them.
///
/// # Errors
/// When a value has no JSON form, such as a timestamp out of range.
pub fn answer(message: &DynamicMessage) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::with_capacity(512);
    let options = SerializeOptions::new().skip_default_fields(false);
    message.serialize_with_options(&mut serde_json::Serializer::new(&mut out), &options)?;
    Ok(out)
}

fn parse(body: &[u8]) -> Result<Map<String, Value>, Box<Problem>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::invalid("body", "the body is not a JSON object")),
        Err(error) => Err(Problem::invalid("body", &format!("the body is not JSON: {error}"))),
    }
}

fn quoted(text: &str) -> Option<&str> {
    let start = text.find(['\'', '`', '"'])?;
    let end = start + 1 + text[start + 1..].find(['\'', '`', '"'])?;
    Some(&text[start + 1..end])
}

fn from_query(
    message: &MessageDescriptor,
    query: &str,
    object: &mut Map<String, Value>,
) -> Result<(), Box<Problem>> {
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| percent_decode(&text.replace('+', " "));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            return Err(Problem::invalid("query", "the query is not percent-encoded UTF-8"));
        };
        let field = message.get_field_by_json_name(&name).or_else(|| message.get_field_by_name(&name));
        let field = field.ok_or_else(|| Problem::invalid(&name, "no such parameter"))?;
        if is_private(&field) {
            return Err(Problem::invalid(field.json_name(), "may hold personal data; send it in a body"));
        }
        let value = scalar(&field, value);
        let key = field.json_name().to_owned();
        let name = key.clone();
        if field.cardinality() == Cardinality::Repeated {
            match object.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(values) => values.push(value),
                _ => return Err(Problem::invalid(&name, "given twice")),
            }
        } else if object.insert(key, value).is_some() {
            return Err(Problem::invalid(&name, "given twice"));
        }
    }
    Ok(())
}

/// The JSON value a query text stands for; what does not fit is refused by the JSON mapping with the field's name.
fn scalar(field: &FieldDescriptor, text: String) -> Value {
    match field.kind() {
        Kind::Bool => match text.as_str() {
            "true" | "" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::String(text),
        },
        Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Fixed32 | Kind::Sfixed32 => {
            text.parse::<i64>().map_or(Value::String(text), |number| Value::Number(Number::from(number)))
        }
        _ => Value::String(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> MessageDescriptor {
        let name = format!("jianghan.case_routing.v1.{name}");
        proto::pool().get_message_by_name(&name).expect("a message of the suite")
    }

    fn refused(result: Result<DynamicMessage, Box<Problem>>) -> Vec<String> {
        let problem = result.expect_err("refused");
        problem.errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn a_query_fills_scalars_lists_and_enums() {
        let list = message("ListCasesRequest");
        let query = "pageSize=20&states=CASE_STATE_CLOSED&states=CASE_STATE_SIGNED&overdue=true&registered_after=2026-01-01T00:00:00Z";
        let request = request(&list, BTreeMap::new(), None, query).expect("accepted");
        let json: Value = serde_json::from_slice(&answer(&request).expect("JSON")).expect("JSON");
        assert_eq!(json["pageSize"], 20);
        assert_eq!(json["states"], serde_json::json!(["CASE_STATE_CLOSED", "CASE_STATE_SIGNED"]));
        assert_eq!(json["overdue"], true);
    }

    #[test]
    fn refusals_name_the_field() {
        let list = message("ListCasesRequest");
        assert_eq!(refused(request(&list, BTreeMap::new(), None, "pageSize=many")), ["pageSize"]);
        assert_eq!(refused(request(&list, BTreeMap::new(), None, "colour=red")), ["colour"]);
        assert_eq!(refused(request(&list, BTreeMap::new(), None, "states=NOPE")), ["states[0]"]);
        let rate = message("RateCaseRequest");
        assert_eq!(refused(request(&rate, BTreeMap::new(), Some(b"{\"grade\":\"x\"}"), "")), ["grade"]);
        assert_eq!(refused(request(&rate, BTreeMap::new(), Some(b"{\"colour\":1}"), "")), ["colour"]);
        assert_eq!(refused(request(&rate, BTreeMap::new(), Some(b"[1]"), "")), ["body"]);
        assert_eq!(refused(request(&rate, BTreeMap::new(), Some(b"{"), "")), ["body"]);
    }

    #[test]
    fn what_may_hold_personal_data_is_taken_from_a_body_only() {
        let list = message("ListCasesRequest");
        assert_eq!(refused(request(&list, BTreeMap::new(), None, "query=13812345678")), ["query"]);
        request(&list, BTreeMap::new(), Some("{\"query\":\"路灯\"}".as_bytes()), "").expect("accepted");
    }

    #[test]
    fn an_update_mask_is_a_text_of_json_names() {
        let update = proto::pool().get_message_by_name("jianghan.identity.v1.UpdateUnitRequest");
        let update = update.expect("a message of the suite");
        let body = b"{\"version\":\"3\",\"updateMask\":\"nameEn,code\"}";
        let asked = request(&update, BTreeMap::new(), Some(&body[..]), "").expect("accepted");
        let asked: proto::identity::v1::UpdateUnitRequest = asked.transcode_to().expect("the message");
        assert_eq!(asked.version, 3);
        assert_eq!(asked.update_mask.expect("set").paths, ["name_en", "code"]);
        for wrong in ["\"name_en\"", "[\"nameEn\"]", "5", "{\"paths\":[\"code\"]}"] {
            let body = format!("{{\"updateMask\":{wrong}}}");
            let refused = refused(request(&update, BTreeMap::new(), Some(body.as_bytes()), ""));
            assert_eq!(refused, ["updateMask"], "{wrong}");
        }
    }

    #[test]
    fn the_path_wins_over_the_body() {
        let rate = message("RateCaseRequest");
        let variables = BTreeMap::from([("case_id".to_owned(), "from-path".to_owned())]);
        let request =
            request(&rate, variables, Some(b"{\"caseId\":\"from-body\",\"grade\":5}"), "").expect("accepted");
        assert_eq!(request.get_field_by_name("case_id").expect("set").as_str(), Some("from-path"));
    }
}
