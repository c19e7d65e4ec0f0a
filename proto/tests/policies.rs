//! What every RPC and every event must declare, proved over the descriptors: who may call, where it is found over REST,
//! how it is repeated safely, and where an event goes.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};

/// Services that may consume events.
const SERVICES: [&str; 5] = ["identity", "case-routing", "staffing", "volunteer-matching", "analytics"];

/// Mutations that need no request id: signing in and out repeat harmlessly (refresh has its grace), and revealing and
/// finding change nothing but the audit trail, where a second look must show. The operator's three repeat by what they name: an
/// event that was handled or given up stays so, and the clock goes to an offset, not by one.
const WITHOUT_REQUEST_ID: [&str; 12] = [
    "jianghan.identity.v1.AuthService.SignIn",
    "jianghan.identity.v1.AuthService.RefreshToken",
    "jianghan.identity.v1.AuthService.SignOut",
    "jianghan.identity.v1.AuthService.IssueServiceToken",
    "jianghan.identity.v1.PersonService.RevealPerson",
    "jianghan.identity.v1.PersonService.FindPerson",
    "jianghan.case_routing.v1.CaseService.RevealText",
    "jianghan.case_routing.v1.MediationService.RevealMediation",
    "jianghan.case_routing.v1.ExchangeService.RevealTicket",
    "jianghan.ops.v1.OpsService.RedriveEvent",
    "jianghan.ops.v1.OpsService.SkipEvent",
    "jianghan.ops.v1.OpsService.AdvanceClock",
];

/// First words of RPCs that only read.
const READS: [&str; 11] =
    ["Get", "List", "Wait", "Find", "Query", "Explain", "Compare", "DryRun", "Replay", "Export", "Suggest"];

fn methods() -> Vec<MethodDescriptor> {
    let mut methods: Vec<_> =
        proto::pool().services().flat_map(|s| s.methods().collect::<Vec<_>>()).collect();
    methods.sort_by(|a, b| a.full_name().cmp(b.full_name()));
    assert!(methods.len() > 50, "the descriptors are empty");
    methods
}

fn option(method: &MethodDescriptor, name: &str) -> Option<DynamicMessage> {
    let extension = proto::pool().get_extension_by_name(name).expect("the option is declared");
    let options = method.options();
    if !options.has_extension(&extension) {
        return None;
    }
    match options.get_extension(&extension).as_ref() {
        Value::Message(message) => Some(message.clone()),
        _ => None,
    }
}

fn policy(method: &MethodDescriptor) -> DynamicMessage {
    option(method, "jianghan.auth.v1.policy")
        .unwrap_or_else(|| panic!("{} has no policy", method.full_name()))
}

fn flag(policy: &DynamicMessage, name: &str) -> bool {
    policy.get_field_by_name(name).and_then(|v| v.as_bool()).unwrap_or_default()
}

fn roles(policy: &DynamicMessage) -> Vec<i32> {
    let value = policy.get_field_by_name("roles").expect("Policy.roles");
    value.as_list().unwrap_or_default().iter().filter_map(Value::as_enum_number).collect()
}

fn text(message: &DynamicMessage, name: &str) -> String {
    message.get_field_by_name(name).and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn is_ops(method: &MethodDescriptor) -> bool {
    method.parent_service().package_name() == "jianghan.ops.v1"
}

/// Verb and path of an RPC's REST binding.
fn binding(method: &MethodDescriptor) -> Option<(String, String)> {
    let http = option(method, "google.api.http")?;
    ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .map(|verb| (verb.to_owned(), text(&http, verb)))
        .find(|(_, path)| !path.is_empty())
}

/// Names of the fields in `{…}` of a path.
fn path_fields(path: &str) -> Vec<&str> {
    path.split('{').skip(1).filter_map(|part| part.split(['}', '=']).next()).collect()
}

#[test]
fn every_rpc_has_a_policy_of_exactly_one_kind() {
    for method in methods() {
        let policy = policy(&method);
        let kinds = [
            flag(&policy, "public"),
            flag(&policy, "authenticated"),
            flag(&policy, "service"),
            !roles(&policy).is_empty(),
        ];
        assert_eq!(kinds.iter().filter(|set| **set).count(), 1, "{}: {kinds:?}", method.full_name());
    }
}

#[test]
fn a_policy_by_roles_names_known_roles_and_a_purpose() {
    for method in methods() {
        let policy = policy(&method);
        let roles = roles(&policy);
        let name = method.full_name();
        for role in &roles {
            let known = proto::auth::v1::Role::try_from(*role);
            assert!(known.is_ok_and(|r| r != proto::auth::v1::Role::Unspecified), "{name}: role {role}");
        }
        let purpose = text(&policy, "purpose");
        assert!(roles.is_empty() || !purpose.is_empty(), "{name} has roles but no purpose");
        assert!(purpose.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}: purpose {purpose:?}");
    }
}

#[test]
fn administrators_reach_no_business_rpc() {
    // The three administrators and the operator see no content of cases, people or statistics (S-03).
    use proto::auth::v1::Role;
    let barred =
        [Role::SystemAdmin, Role::SecurityAdmin, Role::AuditAdmin, Role::ItOperator].map(|r| r as i32);
    for method in methods() {
        let policy = policy(&method);
        if ["administration", "operations"].contains(&text(&policy, "purpose").as_str()) {
            continue;
        }
        let found: Vec<_> = roles(&policy).into_iter().filter(|r| barred.contains(r)).collect();
        assert!(found.is_empty(), "{} is open to administrators {found:?}", method.full_name());
    }
}

#[test]
fn every_public_rpc_is_found_over_rest_at_a_place_of_its_own() {
    let mut places: BTreeMap<(String, String), String> = BTreeMap::new();
    for method in methods() {
        let name = method.full_name().to_owned();
        let internal =
            flag(&policy(&method), "service") || is_ops(&method) || name.ends_with(".IssueServiceToken");
        let Some((verb, path)) = binding(&method) else {
            assert!(internal, "{name} has no google.api.http");
            continue;
        };
        assert!(!internal, "{name} is for services and must not be found over REST");
        assert!(path.starts_with("/v1/"), "{name}: {path}");
        for field in path_fields(&path) {
            let found = method.input().get_field_by_name(field);
            assert!(found.is_some(), "{name}: {path} names no field {field}");
        }
        let has_body =
            !text(&option(&method, "google.api.http").expect("it has a binding"), "body").is_empty();
        assert_eq!(has_body, verb != "get" && verb != "delete", "{name}: body");
        // Two paths that differ in field names only are one place.
        let mut place = String::new();
        for (n, part) in path.split(['{', '}']).enumerate() {
            place.push_str(if n % 2 == 0 { part } else { "{}" });
        }
        if let Some(other) = places.insert((verb, place.clone()), name.clone()) {
            panic!("{name} and {other} share {place}");
        }
    }
}

#[test]
fn every_mutation_takes_a_request_id() {
    let mut without = Vec::new();
    for method in methods() {
        let name = method.full_name();
        let reads = READS.iter().any(|word| method.name().starts_with(word));
        if reads || WITHOUT_REQUEST_ID.contains(&name) {
            continue;
        }
        let field = method.input().get_field_by_name("request_id");
        let fits = field.is_some_and(|f| matches!(f.kind(), prost_reflect::Kind::String) && !f.is_list());
        if !fits {
            without.push(name.to_owned());
        }
    }
    assert!(without.is_empty(), "they change something and take no request_id: {without:#?}");
    for exempt in WITHOUT_REQUEST_ID {
        assert!(methods().iter().any(|m| m.full_name() == exempt), "{exempt} does not exist");
    }
}

#[test]
fn a_reading_rpc_is_got_and_a_list_has_pages() {
    for method in methods() {
        let name = method.full_name();
        if method.name().starts_with("List") {
            for (message, field) in [
                (method.input(), "page_size"),
                (method.input(), "page_token"),
                (method.output(), "next_page_token"),
            ] {
                assert!(message.get_field_by_name(field).is_some(), "{name} has no {field}");
            }
        }
        let mutates = method.input().get_field_by_name("request_id").is_some();
        if let Some((verb, _)) = binding(&method) {
            assert!(!(mutates && verb == "get"), "{name} changes something by GET");
        }
    }
}

#[test]
fn every_event_names_its_key_and_its_consumers() {
    let extension =
        proto::pool().get_extension_by_name("jianghan.events.v1.event").expect("the option is declared");
    let mut events = 0;
    for message in proto::pool().all_messages() {
        let name = message.full_name().to_owned();
        let options = message.options();
        if !options.has_extension(&extension) {
            continue;
        }
        events += 1;
        let value = options.get_extension(&extension).into_owned();
        let event = value.as_message().expect("the option is a message");
        assert_eq!(event.descriptor().full_name(), "jianghan.events.v1.EventOptions");
        let key = text(event, "partition_key");
        let field = message.get_field_by_name(&key);
        let fits = field.is_some_and(|f| matches!(f.kind(), prost_reflect::Kind::String) && !f.is_list());
        assert!(fits, "{name}: partition_key {key:?} names no text field");
        let consumers = event.get_field_by_name("consumers").expect("EventOptions.consumers").into_owned();
        for consumer in consumers.as_list().unwrap_or_default() {
            let consumer = consumer.as_str().unwrap_or_default();
            assert!(consumer == "*" || SERVICES.contains(&consumer), "{name}: unknown consumer {consumer:?}");
        }
    }
    assert!(events > 20, "the events are missing");
}

#[test]
fn no_event_has_a_field_for_personal_data() {
    let extension =
        proto::pool().get_extension_by_name("jianghan.events.v1.event").expect("the option is declared");
    let personal = [
        "phone",
        "id_no",
        "address",
        "person_name",
        "requester_name",
        "contact",
        "detail",
        "text",
        "content",
        "point",
        "longitude_e6",
        "latitude_e6",
    ];
    for message in proto::pool().all_messages() {
        if !message.options().has_extension(&extension) {
            continue;
        }
        let mut stack = vec![message.clone()];
        let mut seen = BTreeSet::new();
        while let Some(part) = stack.pop() {
            if !seen.insert(part.full_name().to_owned()) {
                continue;
            }
            for field in part.fields() {
                assert!(
                    !personal.contains(&field.name()),
                    "{} carries {}",
                    message.full_name(),
                    field.full_name()
                );
                if let prost_reflect::Kind::Message(inner) = field.kind() {
                    stack.push(inner);
                }
            }
        }
    }
}
