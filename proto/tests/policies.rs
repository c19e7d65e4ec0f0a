//! What every RPC and every event must declare, proved over the descriptors: who may call, where it is found over REST,
//! how it is repeated safely, and where an event goes.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};
use proto::auth::v1::Role;

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

/// Who takes requests in.
const INTAKE: &[Role] =
    &[Role::ServiceWorker, Role::StationHead, Role::StreetDispatcher, Role::DistrictDispatcher];
/// Who gives a case more time: for their own cases, and a level above for what goes beyond.
const MORE_TIME: &[Role] = &[Role::StreetLeader, Role::DeptLeader, Role::DistrictDispatcher];
/// Who gives roles, and who agrees to that.
const GRANTING: &[Role] = &[Role::SecurityAdmin, Role::StreetLeader];

/// Who may do what would do most harm in other hands (domain.md §2.0.6), these and nobody else, written down a second time:
/// whoever opens one of these to another role says so here, and why.
const MAY: [(&str, &[Role]); 35] = [
    // No router, and no other system.
    ("case_routing.v1.IntakeService.DeclineCase", INTAKE),
    ("case_routing.v1.ApplicationService.DeclineApplication", INTAKE),
    ("case_routing.v1.IntakeService.DispatchCase", INTAKE),
    ("case_routing.v1.IntakeService.RecallCase", &[Role::StreetDispatcher, Role::DistrictDispatcher]),
    // Each for the own organisation: no station head for the committee.
    ("case_routing.v1.DutyService.RefuseUnadmitted", &[Role::CommitteeMember, Role::StationHead]),
    // No department.
    ("case_routing.v1.TaskService.WhistleCase", &[Role::StreetDispatcher, Role::StreetLeader]),
    // Leaders, no single worker.
    ("case_routing.v1.TaskService.ObjectTask", &[Role::StreetLeader, Role::DeptLeader, Role::StationHead]),
    ("case_routing.v1.TaskService.RuleObjection", &[Role::Arbiter]),
    // No handler.
    ("case_routing.v1.TaskService.ExtendCase", MORE_TIME),
    ("case_routing.v1.TaskService.SuspendCase", MORE_TIME),
    ("case_routing.v1.ApplicationService.PauseApplication", MORE_TIME),
    ("case_routing.v1.VerificationService.RecordCallback", &[Role::Verifier, Role::CallbackAgent]),
    ("case_routing.v1.VerificationService.VerifyCase", &[Role::Verifier, Role::CallbackAgent]),
    ("case_routing.v1.VerificationService.OrderRework", &[Role::Verifier, Role::CallbackAgent]),
    (
        "case_routing.v1.VerificationService.JudgeRating",
        &[Role::CallbackAgent, Role::StreetSupervisor, Role::DistrictDispatcher],
    ),
    (
        "case_routing.v1.VerificationService.ClearSupervision",
        &[Role::StreetSupervisor, Role::StreetLeader, Role::DistrictDispatcher],
    ),
    ("case_routing.v1.CaseService.RateCase", &[Role::Resident, Role::CallbackAgent]),
    // No auxiliary worker, and nobody who looks into the facts only.
    ("case_routing.v1.ApplicationService.ApproveApplication", &[Role::DeptLeader, Role::StreetLeader]),
    ("case_routing.v1.ApplicationService.DenyApplication", &[Role::DeptLeader, Role::StreetLeader]),
    ("case_routing.v1.ApplicationService.GrantUrgently", &[Role::StreetLeader]),
    // No street dispatcher.
    ("case_routing.v1.MediationService.HoldSession", &[Role::Mediator]),
    ("case_routing.v1.MediationService.RecordAgreement", &[Role::Mediator]),
    ("case_routing.v1.MediationService.RevealMediation", &[Role::Mediator]),
    // Two signatures of the district, none of the department's.
    ("case_routing.v1.DutyService.AssessAdmission", &[Role::DistrictDispatcher]),
    ("case_routing.v1.DutyService.ApproveAdmission", &[Role::Arbiter]),
    ("case_routing.v1.DutyService.ApproveDutyTransfer", &[Role::Arbiter]),
    ("case_routing.v1.ResponsibilityService.ActivateListVersion", &[Role::Arbiter]),
    (
        "staffing.v1.AssignmentService.AssignTask",
        &[Role::StationHead, Role::StreetDispatcher, Role::StreetLeader, Role::DeptLeader],
    ),
    ("staffing.v1.DutyResourceService.AllotFunds", &[Role::FinanceOfficer]),
    // No system administrator.
    ("identity.v1.PersonService.GrantRole", GRANTING),
    ("identity.v1.PersonService.ApproveGrant", GRANTING),
    ("identity.v1.PersonService.ResetPassword", &[Role::SecurityAdmin]),
    // No analyst, no operator, no administrator.
    ("identity.v1.PersonService.RevealPerson", INTAKE),
    ("identity.v1.PersonService.FindPerson", INTAKE),
    ("identity.v1.TopologyService.CreateAuthorityEdge", &[Role::SystemAdmin]),
];

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
            let known = Role::try_from(*role);
            assert!(known.is_ok_and(|r| r != Role::Unspecified), "{name}: role {role}");
        }
        let purpose = text(&policy, "purpose");
        assert!(roles.is_empty() || !purpose.is_empty(), "{name} has roles but no purpose");
        assert!(purpose.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}: purpose {purpose:?}");
    }
}

#[test]
fn what_would_do_most_harm_is_for_those_whom_the_design_names_and_for_nobody_else() {
    let methods = methods();
    for (name, may) in MAY {
        let full = format!("jianghan.{name}");
        let found = methods.iter().find(|method| method.full_name() == full);
        let method = found.unwrap_or_else(|| panic!("{full} does not exist"));
        let role = |number: i32| Role::try_from(number).ok().map(|role| role.as_str_name());
        let told: BTreeSet<&str> = roles(&policy(method)).into_iter().filter_map(role).collect();
        let wanted: BTreeSet<&str> = may.iter().map(Role::as_str_name).collect();
        assert_eq!(told, wanted, "{full}");
    }
}

#[test]
fn administrators_reach_no_business_rpc() {
    // The three administrators and the operator see no content of cases, people or statistics (S-03).
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
