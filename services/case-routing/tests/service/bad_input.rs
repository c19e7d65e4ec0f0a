//! Every public RPC of the package, by its descriptor: each field that can be wrong is made wrong once, and the answer
//! names it; nothing is stored.

use case_routing::notice::NoticeKey;
use chassis::{auth::Role, clock::new_id, proto, testing::Persona};
use prost::{
    Message as _,
    bytes::{Buf, BufMut},
};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MethodDescriptor, Value};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
};

use crate::support::{District, ITEM};

/// Sends and receives bytes as they are.
#[derive(Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(src.copy_to_bytes(src.remaining()).to_vec()))
    }
}

async fn call(
    d: &District,
    persona: &Persona,
    method: &MethodDescriptor,
    message: &DynamicMessage,
) -> Result<(), Status> {
    let mut client = Grpc::new(d.service.call_as(persona));
    client.ready().await.map_err(|_| Status::unavailable("not ready"))?;
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let request = Request::new(message.encode_to_vec());
    client.unary(request, PathAndQuery::try_from(path).unwrap(), Bytes).await.map(drop)
}

/// A value that the field takes; the case it is about does not exist.
fn good(d: &District, method: &str, field: &FieldDescriptor) -> Option<Value> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let one = |text: &str| Some(Value::List(vec![Value::String(text.to_owned())]));
    let number = |n| Some(Value::EnumNumber(n));
    match (method, field.name()) {
        (_, "place_unit_id" | "unit_id") => text(&d.community.to_string()),
        (_, "item_code") => text(ITEM),
        ("DeclineCase", "reason_code") => text("litigation"),
        ("DeclineApplication" | "DenyApplication", "reason_code") => text("out_of_area"),
        (_, "written_reason" | "statement") => text("不属于本区受理范围，见说明。"),
        (_, "ended_on") => text("2026-03-01"),
        (_, "ground") => number(1),
        (_, "reconsideration_body" | "court") => text("江汉区人民法院"),
        (_, "applicant_name") => text("张三"),
        (_, "material_refs") => one("doc:1"),
        (_, "delivery_ref" | "told_ref" | "authorisation_ref") => text("doc:1"),
        (_, "finding_code") => text("as_stated"),
        (_, "kind") => number(1),
        (_, "amount_fen") => Some(Value::I64(1)),
        (_, "ground_code") => text("duty_unclear"),
        (_, "cause_code") => text("public_hearing"),
        (_, "line_code") => text("110"),
        (_, "reason_code" | "basis_code" | "answer_code" | "definition_code") => text("some_code"),
        (_, "answer_ref") => text("kb:1"),
        (_, "material_codes") => one("id_card"),
        (_, "evidence_refs") => one("doc:1"),
        (_, "item_codes") => one("CJ-0103"),
        (_, "training_codes") => one("course_1"),
        (_, "basis_ref") => text("doc:1"),
        ("ProposeDutyTransfer" | "ApplyAdmission", "effective_on") => text("2026-03-09"),
        (_, "ends_on") => text("2026-06-01"),
        (_, "fund_fen") => Some(Value::I64(1)),
        (_, "view") => number(1),
        (_, "law_code" | "need_code" | "load_code" | "alternative_code") => text("some_code"),
        ("ImportListVersion", "file") => Some(Value::Bytes("rule_id\nR-0001\n".into())),
        ("ImportCatalogue", "file") => Some(Value::Bytes("item_code\nCJ-0101\n".into())),
        ("ImportTicketStatuses", "file") => Some(Value::Bytes("ext_no,external_status\nWH-1,办结\n".into())),
        (_, "format") => number(1),
        (_, "catalogue_version") => Some(Value::I32(1)),
        (_, "stage_code") => text("secure"),
        ("ImportCases", "source") => text("old_hotline"),
        ("ImportCases", "cases") => {
            let case = DynamicMessage::new(field.kind().as_message()?.clone());
            Some(Value::List(vec![Value::Message(case)]))
        }
        (_, "posts") => {
            let mut need = DynamicMessage::new(field.kind().as_message()?.clone());
            need.set_field_by_name("kind", Value::EnumNumber(1));
            need.set_field_by_name("count", Value::I32(1));
            Some(Value::List(vec![Value::Message(need)]))
        }
        (_, "system_code") => text("hotline"),
        (_, "name_zh" | "name_en") => text("热线"),
        (_, "endpoint") => text("https://example.com/hook"),
        (_, "direction" | "state") => number(1),
        (_, "ext_no") => text("WH-1"),
        (_, "report_ref") => text("R-1"),
        (_, "external_status") => text("办结"),
        (_, "class_code" | "area_code") => text("0201"),
        (_, "mapping_version") => Some(Value::I32(1)),
        (_, "change_ids") => one(&new_id().to_string()),
        (_, "method") => text("phone"),
        (_, "decision") => text("reject"),
        (_, "text") => text("请帮忙"),
        (_, "sha256") => text(&"0".repeat(64)),
        (_, "data") => Some(Value::Bytes("x".into())),
        // Only one of the two is given.
        ("SuggestItems", "case_id") => None,
        (_, "notice_version") => text("1"),
        ("ImportNotice", "notice") => text("title_year = 2027"),
        ("ImportWorkingHours", "order") => text("unit = \"420103\""),
        ("ImportNotice" | "ImportWorkingHours", "signature") => {
            text(&NoticeKey::from_seed(&[1; 32]).sign("title_year = 2027"))
        }
        ("AnswerCase", "closed_code") => number(3),
        ("WhistleCase", "org_ids") => one(&new_id().to_string()),
        (_, "callback") => number(3),
        ("RecordCallback", "outcome") => number(1),
        (_, "resolution") => number(1),
        (_, "grade") => Some(Value::I32(3)),
        (_, "list_version" | "party_number") => Some(Value::I32(1)),
        (_, "origin" | "answer") if !matches!(method, "RegisterCase" | "IntakeCase") => number(1),
        (_, "rights_told" | "joint" | "condition_met") => Some(Value::Bool(true)),
        (_, "grid_code") => text("420103005001001"),
        (_, "before_refs") => one("photo:1"),
        (_, "terms") => text("每晚十点后不弹琴"),
        (_, "party_numbers") => Some(Value::List(vec![Value::I32(1)])),
        (_, "parties") => {
            let mut party = DynamicMessage::new(field.kind().as_message()?.clone());
            party.set_field_by_name("kind", Value::EnumNumber(1));
            party.set_field_by_name("name", Value::String("邻居".to_owned()));
            Some(Value::List(vec![Value::Message(party.clone()), Value::Message(party)]))
        }
        (_, "extension") => {
            let mut limit = DynamicMessage::new(field.kind().as_message()?.clone());
            limit.set_field_by_name("amount", Value::I32(1));
            limit.set_field_by_name("unit", Value::EnumNumber(3));
            Some(Value::Message(limit))
        }
        ("TriageCase" | "IntakeCase" | "RegisterCase" | "ExplainRoute", "subject_org_id") => None,
        // Beside a choice of one's own there is nothing to confirm.
        ("DispatchCase", "confirm_decision_id") => None,
        ("ListCases" | "ListTasks", _) | (_, "etag" | "page_token") => None,
        (_, name) if name.ends_with("_id") => text(&new_id().to_string()),
        _ => None,
    }
}

/// Values that the field must not take.
fn bad(method: &str, field: &FieldDescriptor) -> Vec<Value> {
    let text = |text: &str| Value::String(text.to_owned());
    match (method, field.name(), field.kind()) {
        // Filters may name what does not exist; a client's reference may be of many kinds.
        ("ListCases" | "ListServiceItems" | "ListListEntries", "item_code" | "category", _) => {
            vec![text("CJ\0-0142"), text(&"x".repeat(41)), text("a\nb")]
        }
        (_, "query", _) => vec![text("灯"), text(&"长".repeat(61)), text("路\n灯"), text("路，灯")],
        ("ObjectToNotice", "text", _) => vec![text(""), text("  "), text(&"长".repeat(4_001))],
        (_, "written_reason" | "statement", _) => {
            vec![text(""), text("太短"), text(&"长".repeat(4_001)), text("十个字以上的\0原因说明")]
        }
        (_, "reconsideration_body" | "court", _) => vec![text(""), text(" "), text(&"长".repeat(101))],
        (_, "applicant_name", _) => vec![text(""), text("张"), text("13812345678"), text(&"长".repeat(51))],
        (_, "note" | "opinion" | "comment" | "explanation", _) => {
            vec![text(&"长".repeat(4_001)), text("a\0b")]
        }
        (_, "amount_fen", _) => vec![Value::I64(-1), Value::I64(i64::MAX)],
        // Another system's codes are whatever it uses; a ticket that is known may be pushed without a text.
        (_, "class_code" | "area_code", _) => vec![text(&"x".repeat(65)), text("a\nb")],
        ("ListTickets", "ext_no", _) => vec![text(&"x".repeat(65)), text("a\nb")],
        (_, "external_status", _) => vec![text(""), text(&"长".repeat(65)), text("a\nb")],
        (_, "return_statuses", _) => {
            ["长".repeat(65), "a\nb".to_owned()].map(|word| Value::List(vec![Value::String(word)])).to_vec()
        }
        (_, "class_name", _) => vec![text(&"长".repeat(101)), text("a\0b")],
        (_, "name_zh" | "name_en", _) => vec![text(""), text(&"长".repeat(101)), text("a\nb")],
        ("ListTickets", "system_code", _) => vec![text(&"x".repeat(65)), text("a\nb")],
        ("ReopenCase", "text", _) => vec![text(&"长".repeat(4_001)), text("a\0b")],
        ("PushTicket", "text", _) => vec![text(&"长".repeat(20_001)), text("a\0b")],
        (_, "mapping_version", _) => vec![Value::I32(0), Value::I32(-1)],
        (_, "endpoint", _) => {
            vec![text("x"), text("https://127.0.0.1.nip.example@10.0.0.1/"), text("https://10.0.0.1/")]
        }
        (_, "client_ref", _) => vec![text("a b"), text("参考"), text(&"x".repeat(65))],
        (_, "request_id", _) => vec![text(""), text("x")],
        (_, "page_token", _) => vec![text("%%%")],
        (_, "page_size" | "list_version" | "base_version" | "with_version", _) => vec![Value::I32(-1)],
        ("PutModelPart", "part", _) => vec![Value::I32(-1), Value::I32(40)],
        ("PutModelPart", "data", _) => {
            vec![Value::Bytes(Vec::new().into()), Value::Bytes(vec![0; (1 << 20) + 1].into())]
        }
        (_, "sha256", _) => vec![text(""), text("x"), text(&"G".repeat(64))],
        ("RollBackModel" | "ListCorrections", "model_version", _) => vec![Value::I32(-1)],
        ("WaitCase", "wait_seconds", _) => vec![Value::I32(-1), Value::I32(61)],
        (_, "level", _) => vec![Value::I32(4), Value::I32(-1)],
        (_, "party_number", _) => vec![Value::I32(0), Value::I32(-1)],
        (_, "party_numbers", _) => {
            vec![Value::List(vec![Value::I32(0)]), Value::List(vec![Value::I32(1); 21])]
        }
        (_, "parties", _) => vec![Value::List(vec![])],
        (_, "rights_told" | "joint", _) => vec![Value::Bool(false)],
        (_, "notes", _) => vec![text(&"长".repeat(20_001)), text("a\0b")],
        (_, "terms", _) => vec![text(""), text("  "), text(&"长".repeat(20_001))],
        (_, "grade" | "callback_grade", _) => vec![Value::I32(9), Value::I32(-1)],
        (_, "text", _) => vec![text(""), text("  "), text(&"长".repeat(20_001))],
        (_, "notice_version", _) => vec![text(&"1".repeat(65))],
        ("ImportNotice", "notice", _) => vec![text(""), text(&"x".repeat(16_385))],
        ("ImportWorkingHours", "order", _) => vec![text(""), text(&"x".repeat(16_385))],
        ("ImportNotice" | "ImportWorkingHours", "signature", _) => {
            vec![text(""), text("x"), text(&"A".repeat(30_000))]
        }
        ("GetCalendar", "year", _) => vec![Value::I32(0), Value::I32(-1), Value::I32(10_000)],
        (_, "item_code", _) => vec![text("no such item")],
        (_, "extension", _) => vec![],
        (_, name, Kind::String) if field.is_list() => {
            let wrong = if name.ends_with("codes") { "NOT A CODE" } else { "not a reference or id" };
            vec![Value::List(vec![text(wrong)])]
        }
        (_, name, Kind::String) if name.ends_with("_id") || name == "etag" => vec![text("x")],
        (_, _, Kind::String) => vec![text("NOT A CODE")],
        (_, _, Kind::Enum(_)) if field.is_list() => {
            vec![Value::List(vec![Value::EnumNumber(999)]), Value::List(vec![Value::EnumNumber(1); 51])]
        }
        (_, _, Kind::Enum(_)) => vec![Value::EnumNumber(999)],
        (_, "point", Kind::Message(kind)) => {
            let at = |longitude: Option<i32>, latitude: Option<i32>| {
                let mut point = DynamicMessage::new(kind.clone());
                let parts = [("longitude_e6", longitude), ("latitude_e6", latitude)];
                for (name, value) in parts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
                    point.set_field_by_name(name, Value::I32(value));
                }
                Value::Message(point)
            };
            vec![
                at(Some(114_270_000), None),
                at(None, Some(30_600_000)),
                at(Some(i32::MAX), Some(30_600_000)),
                at(Some(114_270_000), Some(-90_000_001)),
            ]
        }
        (_, _, Kind::Message(kind)) if kind.full_name() == "google.protobuf.FieldMask" => {
            let mut mask = DynamicMessage::new(kind.clone());
            mask.set_field_by_name("paths", Value::List(vec![text("name_zh"), text("no_such_field")]));
            vec![Value::Message(mask)]
        }
        (_, _, Kind::Message(kind)) if kind.full_name() == "google.protobuf.Timestamp" => {
            let at = |seconds, nanos| {
                let mut at = DynamicMessage::new(kind.clone());
                at.set_field_by_name("seconds", Value::I64(seconds));
                at.set_field_by_name("nanos", Value::I32(nanos));
                Value::Message(at)
            };
            // Before the first and after the last year there are instants that the database does not have.
            vec![at(0, -5), at(-8_000_000_000_000, 0), at(8_000_000_000_000, 0)]
        }
        _ => vec![],
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_request_is_named_and_nothing_is_stored() {
    let d = District::start().await;
    let resident = Persona::resident(d.district);
    let everybody = [
        Role::ServiceWorker,
        Role::StationHead,
        Role::StreetDispatcher,
        Role::StreetLeader,
        Role::DeptLeader,
        Role::Arbiter,
        Role::Verifier,
        Role::ItOperator,
        Role::Mediator,
        Role::DeptLeader,
        Role::CommitteeMember,
        Role::IntegrationClient,
    ]
    .into_iter()
    .fold(Persona::new(Role::DistrictDispatcher, d.district).org(d.office), |persona, role| {
        persona.also(role, d.district)
    });
    let package = "jianghan.case_routing.v1";
    let services = proto::pool().services().filter(|service| service.parent_file().package_name() == package);
    let methods: Vec<MethodDescriptor> =
        services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    assert!(methods.len() >= 40, "{}", methods.len());
    let mut tried = 0;
    let mut failures = Vec::new();
    for method in &methods {
        let caller = if method.name() == "RateCase" { &resident } else { &everybody };
        let mut base = DynamicMessage::new(method.input());
        for field in method.input().fields() {
            if let Some(value) = good(&d, method.name(), &field) {
                base.set_field(&field, value);
            }
        }
        // Callback grades are given when somebody was reached.
        let reached = method.name() == "VerifyCase";
        for field in method.input().fields() {
            for wrong in bad(method.name(), &field) {
                let mut message = base.clone();
                if reached && field.name().starts_with("callback_") {
                    message.set_field_by_name("callback", Value::EnumNumber(1));
                    message.set_field_by_name("callback_resolution", Value::EnumNumber(1));
                }
                message.set_field(&field, wrong.clone());
                let refused = call(&d, caller, method, &message).await;
                let what = format!("{} {} = {wrong:?}", method.name(), field.name());
                let named = refused.as_ref().is_err_and(|status| {
                    status.code() == Code::InvalidArgument && status.message().starts_with(field.name())
                });
                if !named {
                    failures.push(format!("{what}: {refused:?}"));
                }
                tried += 1;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tried > 150, "{tried}");
    assert!(d.service.drain_outbox().await.is_empty());
    let all = d.cases(&d.dispatcher()).list_cases(proto::case_routing::v1::ListCasesRequest::default()).await;
    assert!(all.unwrap().into_inner().cases.is_empty());
    d.service.stop().await;
}
