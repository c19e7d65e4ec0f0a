//! Ways in which one field of a good request can be otherwise, made from the descriptors: those that no RPC may take whatever it
//! means, and those that may be good or bad, by which it must only not be put out.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};

use crate::requests::is_id;

/// A request that is otherwise in one field.
pub struct Varied {
    /// Path of the field, without places in lists: `grant.role`.
    pub field: String,
    /// In which way.
    pub way: &'static str,
    /// The request.
    pub request: DynamicMessage,
}

/// One way: what the field holds, or that it is left out.
type Way = (&'static str, Option<Value>);

/// Every way in which one top-level field can be bad whatever the RPC means: an id that is none, a value outside its enum, a text
/// without end, a negative page, a token of nobody's, an instant that is none.
pub fn bad(good: &DynamicMessage) -> Vec<Varied> {
    vary(good, surely).into_iter().filter(|varied| !varied.is_within()).collect()
}

/// The same within the messages of a request. Not all of it has to be refused: what a service fills in by itself is passed over
/// when it is sent.
pub fn bad_within(good: &DynamicMessage) -> Vec<Varied> {
    vary(good, surely).into_iter().filter(Varied::is_within).collect()
}

/// What may be good or bad, in fields at any depth: left out, not specified, at the ends of the range, bytes of nothing.
pub fn odd(good: &DynamicMessage) -> Vec<Varied> {
    let mut all = vary(good, perhaps);
    all.extend(bad_within(good));
    all
}

impl Varied {
    /// Whether the field is one of a message within the request.
    fn is_within(&self) -> bool {
        self.field.contains('.')
    }
}

fn vary(good: &DynamicMessage, ways: fn(&FieldDescriptor) -> Vec<Way>) -> Vec<Varied> {
    let mut all = Vec::new();
    for field in good.descriptor().fields() {
        for (way, value) in ways(&field) {
            let mut request = good.clone();
            match value {
                Some(value) if field.is_list() => request.set_field(&field, Value::List(vec![value])),
                Some(value) => request.set_field(&field, value),
                None if !good.has_field(&field) => continue,
                None => request.clear_field(&field),
            }
            all.push(Varied { field: field.name().to_owned(), way, request });
        }
        all.extend(vary_within(good, &field, ways));
    }
    all
}

/// The same for the message that a field holds; where it holds several, for the last of them.
fn vary_within(
    good: &DynamicMessage,
    field: &FieldDescriptor,
    ways: fn(&FieldDescriptor) -> Vec<Way>,
) -> Vec<Varied> {
    let held = good.get_field(field);
    let (before, inner) = match held.as_ref() {
        Value::Message(inner) if good.has_field(field) => (None, inner),
        Value::List(list) => match list.split_last() {
            Some((Value::Message(inner), before)) => (Some(before), inner),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    if is_well_known(inner) {
        return Vec::new();
    }
    let put = |varied: Varied| {
        let last = Value::Message(varied.request);
        let value = match before {
            Some(before) => Value::List(before.iter().cloned().chain([last]).collect()),
            None => last,
        };
        let mut request = good.clone();
        request.set_field(field, value);
        Varied { field: format!("{}.{}", field.name(), varied.field), way: varied.way, request }
    };
    vary(inner, ways).into_iter().map(put).collect()
}

fn is_well_known(message: &DynamicMessage) -> bool {
    message.descriptor().full_name().starts_with("google.protobuf.")
}

fn surely(field: &FieldDescriptor) -> Vec<Way> {
    let mut ways = Vec::new();
    let mut push = |way, value| ways.push((way, Some(value)));
    match field.kind() {
        Kind::String => {
            push("too long", Value::String("x".repeat(30_000)));
            if is_id(field) {
                push("not an id", Value::String("not-an-id".to_owned()));
            }
            if field.name() == "request_id" {
                push("missing", Value::String(String::new()));
            }
            if field.name() == "page_token" {
                push("of nobody's", Value::String("bm9ib2R5cw".to_owned()));
            }
        }
        Kind::Enum(_) => push("out of range", Value::EnumNumber(9_999)),
        Kind::Int32 if field.name() == "page_size" => push("negative", Value::I32(-1)),
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
            let mut time = DynamicMessage::new(inner);
            time.set_field_by_name("nanos", Value::I32(-1));
            push("no instant", Value::Message(time));
        }
        _ => {}
    }
    ways
}

fn perhaps(field: &FieldDescriptor) -> Vec<Way> {
    match field.kind() {
        Kind::String if field.name() == "request_id" => Vec::new(), // no mutation goes without
        Kind::String => vec![("left out", None)],
        Kind::Enum(_) => vec![("not specified", Some(Value::EnumNumber(0)))],
        Kind::Int32 => vec![
            ("negative", Some(Value::I32(-1))),
            ("least", Some(Value::I32(i32::MIN))),
            ("most", Some(Value::I32(i32::MAX))),
        ],
        Kind::Int64 => vec![
            ("negative", Some(Value::I64(-1))),
            ("least", Some(Value::I64(i64::MIN))),
            ("most", Some(Value::I64(i64::MAX))),
        ],
        Kind::Double => vec![
            ("no number", Some(Value::F64(f64::NAN))),
            ("without end", Some(Value::F64(f64::INFINITY))),
            ("most", Some(Value::F64(f64::MAX))),
        ],
        Kind::Bytes => {
            vec![("left out", None), ("of nothing", Some(Value::Bytes(vec![0xff_u8; 4_096].into())))]
        }
        Kind::Message(inner) if inner.full_name() == "google.protobuf.Timestamp" => {
            let at = |seconds| {
                let mut time = DynamicMessage::new(inner.clone());
                time.set_field_by_name("seconds", Value::I64(seconds));
                Some(Value::Message(time))
            };
            vec![("left out", None), ("before all time", at(i64::MIN)), ("after all time", at(i64::MAX))]
        }
        Kind::Message(_) => vec![("left out", None)],
        _ => Vec::new(),
    }
}
