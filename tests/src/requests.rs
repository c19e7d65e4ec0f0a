//! Requests made from descriptors: well-formed ones, whose ids exist nowhere but whose codes, units and values are good; and such
//! whose units and organisations exist nowhere either.

use chassis::clock::new_id;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

use crate::{
    World,
    descriptors::Rpc,
    journeys::{COMMUNITY, LAMP},
};

const OTHER_COMMUNITY: &str = "420103005002";

/// A well-formed request to an RPC.
pub fn plausible(world: &World, rpc: &Rpc) -> DynamicMessage {
    message(world, &rpc.method.input())
}

/// A well-formed request that leads nowhere: none of its ids is anything's, and what can be tried is only tried. Whatever else
/// becomes of it, it makes, changes and ends nothing that others look at.
pub fn astray(world: &World, rpc: &Rpc) -> DynamicMessage {
    lost(&plausible(world, rpc))
}

fn lost(message: &DynamicMessage) -> DynamicMessage {
    let mut astray = message.clone();
    for (field, value) in message.fields() {
        let next = if is_id(&field) { nowhere(value) } else { within(value) };
        astray.set_field(&field, next);
    }
    for name in ["dry_run", "validate_only"] {
        if message.descriptor().get_field_by_name(name).is_some() {
            astray.set_field_by_name(name, Value::Bool(true));
        }
    }
    astray
}

/// Whether a field holds ids, by its name.
pub fn is_id(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::String) && (field.name().ends_with("_id") || field.name().ends_with("_ids"))
}

/// As many ids that are nothing's.
fn nowhere(value: &Value) -> Value {
    match value {
        Value::List(ids) => Value::List(ids.iter().map(nowhere).collect()),
        _ => Value::String(new_id().to_string()),
    }
}

/// What is no id may hold some.
fn within(value: &Value) -> Value {
    match value {
        Value::List(values) => Value::List(values.iter().map(within).collect()),
        Value::Message(inner) => Value::Message(lost(inner)),
        other => other.clone(),
    }
}

fn message(world: &World, descriptor: &MessageDescriptor) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for field in descriptor.fields() {
        if let Some(value) = good(world, &field) {
            message.set_field(&field, value);
        }
    }
    message
}

/// A good value; `None` leaves the field out.
fn good(world: &World, field: &FieldDescriptor) -> Option<Value> {
    let one = match field.kind() {
        // Only together with a precedent.
        Kind::String
            if field.name() == "effective_on" && field.parent_message().name() == "RuleObjectionRequest" =>
        {
            return None;
        }
        Kind::String => Value::String(good_text(world, field.name())?),
        Kind::Enum(values) => Value::EnumNumber(values.values().find(|value| value.number() > 0)?.number()),
        Kind::Int32 => Value::I32(match field.name() {
            "grade" | "callback_grade" => 3,
            "code_year" => 2023,
            "birth_year" => 1980,
            "year" => 2027,
            _ => 1,
        }),
        // A table with a header that both catalogue and list have.
        Kind::Bytes if field.name() == "file" => Value::Bytes(format!("item_code\n{LAMP}\n").into()),
        Kind::Int64 => Value::I64(1),
        // From now on, without an end.
        Kind::Message(_) if matches!(field.name(), "valid_from" | "valid_to") => return None,
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
            let mut time = DynamicMessage::new(inner);
            let later = i64::from(field.name().starts_with("end") || field.name().starts_with("to")) * 3_600;
            time.set_field_by_name("seconds", Value::I64(1_800_000_000 + later));
            Value::Message(time)
        }
        Kind::Message(inner) if inner.full_name().starts_with("google.protobuf.") => return None,
        Kind::Message(inner) => Value::Message(message(world, &inner)),
        Kind::Bytes => Value::Bytes("x".into()),
        Kind::Bool if matches!(field.name(), "rights_told" | "joint" | "condition_met") => Value::Bool(true),
        _ => return None,
    };
    if field.name() == "parties" {
        return Some(Value::List(vec![party(&one, "org_id"), party(&one, "org_id")]));
    }
    if field.name() == "from_unit_ids" {
        return Some(Value::List(vec![one, Value::String(world.unit(OTHER_COMMUNITY))]));
    }
    Some(if field.is_list() { Value::List(vec![one]) } else { one })
}

/// A party to a dispute: a person, so no organisation, and nobody else.
fn party(one: &Value, without: &str) -> Value {
    let Value::Message(mut party) = one.clone() else { return one.clone() };
    party.clear_field_by_name(without);
    party.set_field_by_name("person_id", Value::String(new_id().to_string()));
    Value::Message(party)
}

fn good_text(world: &World, name: &str) -> Option<String> {
    Some(match name {
        "request_id" => new_id().to_string(),
        "unit_id" | "place_unit_id" | "unit_ids" | "from_unit_ids" | "parent_id" | "home_unit_id" => {
            world.unit(COMMUNITY)
        }
        // Those of an arbitration, which is not what is decided.
        "party_org_ids" | "interim_measure_code" => return None,
        "precedent_ids" => return None,
        "lead_org_id" | "org_id" | "org_ids" | "assist_org_ids" | "suggested_org_id" | "subject_org_id" => {
            world.org("dept:housing")
        }
        "id_no"
        | "page_token"
        | "etag"
        | "after_etag"
        | "client_ref"
        | "start_date"
        | "end_date"
        | "requester_id"
        | "confirm_decision_id"
        | "org_code"
        | "valid_from"
        | "valid_to" => return None,
        "stage_code" => "secure".to_owned(),
        "condition" => "time=off".to_owned(),
        "grid_code" => "420103005001001".to_owned(),
        "component_code" => "4201030102000001".to_owned(),
        "csv" => {
            "grid_code,community_code,name,valid_from,valid_to\n420103005001001,420103005001,x,2026-01-01,\n"
                .to_owned()
        }
        "day" => "2026-03-02".to_owned(),
        "before_refs" => "photo:before".to_owned(),
        "after_refs" => return None,
        "order_by" => "registered_time desc".to_owned(),
        "query" => "路灯".to_owned(),
        "org_kind" => "department".to_owned(),
        "sha256" => "0".repeat(64),
        "item_code" | "item_codes" => LAMP.to_owned(),
        "effective_on" => "2035-03-05".to_owned(),
        "ends_on" => "2035-06-01".to_owned(),
        "basis_ref" => "doc:1".to_owned(),
        "codes" => "I-07".to_owned(),
        "reason_code" => "out_of_area".to_owned(),
        "phone" => "19900001234".to_owned(),
        "endpoint" => "https://example.com/hook".to_owned(),
        "class_code" | "area_code" | "ext_no" => "wh-1".to_owned(),
        "login" => "somebody".to_owned(),
        "volunteer_ref" => "somebody-1".to_owned(),
        "text" => "路灯不亮".to_owned(),
        "decision" => "reject".to_owned(),
        "method" => "phone".to_owned(),
        "ground_code" => "not_competent".to_owned(),
        "cause_code" => "expert_review".to_owned(),
        "line_code" => "110".to_owned(),
        "source" => "old_hotline".to_owned(),
        "notice_version" => "v1".to_owned(),
        "evidence_refs" => "photo:after".to_owned(),
        "answer_ref" => "kb:1".to_owned(),
        "line" => "housing".to_owned(),
        // May be left out.
        "authorisation_ref" | "note" | "opinion" | "purposes" => return None,
        "material_refs" => "doc:1".to_owned(),
        "written_reason" | "statement" => "不属于本区受理范围，见所附说明。".to_owned(),
        "ended_on" => "2026-03-01".to_owned(),
        "reconsideration_body" => "江汉区人民政府".to_owned(),
        "court" => "江汉区人民法院".to_owned(),
        "applicant_name" => "张三".to_owned(),
        name if name.ends_with("_id") || name.ends_with("_ids") => new_id().to_string(),
        name if name.ends_with("_code") || name.ends_with("_codes") => "some_code".to_owned(),
        _ => "x".to_owned(),
    })
}
