//! Bad input on every RPC, generated from the descriptors, and on the JSON edge: `INVALID_ARGUMENT` naming the field,
//! and nothing stored. What may be good or bad, at whatever depth, puts out nobody.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, Kind};
use serde_json::{Value, json};
use tests::{
    Person, World,
    descriptors::{Policy, Rpc, rpcs, word},
    requests::{astray, plausible},
    run,
    tables::{SERVICES, Tables},
    variations::{Varied, bad, bad_within, odd},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What is no bad input after all: (RPC, field, way, why).
const FREE: &[(&str, &str, &str, &str)] = &[
    ("RegisterCase", "requester_id", "not an id", "ignored for residents, who register for themselves"),
    ("RegisterCase", "requester_id", "too long", "ignored for residents, who register for themselves"),
    ("RefreshToken", "refresh_token", "too long", "a credential that fits nobody is refused as one"),
    ("IssueServiceToken", "service", "too long", "a credential that fits nobody is refused as one"),
    ("IssueServiceToken", "secret", "too long", "a credential that fits nobody is refused as one"),
    ("ListCases", "item_code", "too long", "a filter that nothing fits gives an empty list"),
    ("ListServiceItems", "category", "too long", "a filter that nothing fits gives an empty list"),
    (
        "CreatePost",
        "line",
        "too long",
        "compared with the organisation's lines, and the organisation is not there",
    ),
];

/// What must be refused within the messages of a request, too: (RPC, path of the field).
const WITHIN: &[(&str, &str)] = &[
    ("CreateUnit", "unit.kind"),
    ("CreateUnit", "unit.parent_id"),
    ("MergeUnits", "successor.kind"),
    ("CreateOrganization", "organization.kind"),
    ("CreateOrganization", "organization.unit_id"),
    ("CreateAuthorityEdge", "edge.kind"),
    ("CreateAuthorityEdge", "edge.from_org_id"),
    ("CreateAuthorityEdge", "edge.to_org_id"),
    ("GrantRole", "grant.role"),
    ("GrantRole", "grant.person_id"),
    ("GrantRole", "grant.unit_id"),
    ("GrantRole", "grant.org_id"),
    ("OpenMediation", "parties.kind"),
    ("OpenMediation", "parties.person_id"),
    ("OpenMediation", "parties.org_id"),
    ("WhistleCase", "report_within.unit"),
    ("ExtendCase", "extension.unit"),
    ("ProposeDutyTransfer", "posts.kind"),
    ("ApplyAdmission", "posts.kind"),
    ("CompareProcesses", "base.unit_ids"),
    ("CompareProcesses", "other.unit_ids"),
];

/// In how many ways at least requests are bad; new RPCs make it more.
const WAYS: usize = 1_650;

/// No person calls these: services only, by their own tokens. Their requests are typed, and the gate is tested in `denied`.
const NOBODYS: [&str; 1] = ["GetTopologySnapshot"];

/// What is done with whatever is left of a request, though it names nothing that is there: (RPC, what).
const LEFT_ALONE: &[(&str, &str)] = &[
    ("CreateListVersion", "a draft comes of it"),
    ("StartCanary", "the version in force moves"),
    ("ActivateListVersion", "the version in force moves"),
    ("RollBackListVersion", "the version in force moves"),
    ("ActivateCatalogueVersion", "the version in force moves"),
    ("RollBackCatalogueVersion", "the version in force moves"),
    ("CreateExternalSystem", "a system comes of it"),
    ("PushTicket", "a case comes of it, wherever it is"),
    ("PushTickets", "a case comes of it, wherever it is"),
];

/// How an RPC may answer what is odd: it knows what it says.
const ANSWERS: [Code; 8] = [
    Code::InvalidArgument,
    Code::NotFound,
    Code::AlreadyExists,
    Code::FailedPrecondition,
    Code::PermissionDenied,
    Code::Unauthenticated,
    Code::ResourceExhausted,
    Code::Aborted,
];

/// Somebody with a role that the RPC allows.
fn permitted<'w>(world: &'w World, rpc: &Rpc) -> Option<Person<'w>> {
    match &rpc.policy {
        Policy::Public => Some(world.resident(0)),
        Policy::Authenticated => Some(world.dispatcher()),
        Policy::Service => None,
        Policy::Roles(roles) => {
            let seeded = roles.iter().find(|role| world.actors.role(&word(**role), 0).is_ok());
            seeded.map(|role| world.anyone(&word(*role), 0))
        }
    }
}

/// Every RPC with the token of somebody who may call it; all but [`NOBODYS`] have one.
async fn callers(world: &World) -> Vec<(&'static Rpc, String)> {
    let (mut callers, mut nobodys) = (Vec::new(), BTreeSet::new());
    for rpc in rpcs() {
        match permitted(world, rpc) {
            Some(caller) => callers.push((rpc, caller.bearer().await)), // signed in before anything is counted
            None => {
                nobodys.insert(rpc.method.name());
            }
        }
    }
    assert_eq!(nobodys, BTreeSet::from(NOBODYS));
    assert_eq!(callers.len(), rpcs().len() - NOBODYS.len());
    callers
}

/// The fields that a refusal names, without places in lists.
fn named(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    violations.iter().map(|violation| without_places(&violation.field)).collect()
}

/// `posts[0].kind` is `posts.kind`.
fn without_places(path: &str) -> String {
    let parts = path.split('.').map(|part| part.split('[').next().unwrap_or_default());
    parts.collect::<Vec<_>>().join(".")
}

/// What must be refused of an RPC's request.
fn refused(world: &World, rpc: &Rpc) -> Vec<Varied> {
    let good = plausible(world, rpc);
    let name = rpc.method.name();
    let free = |bad: &Varied| {
        let it = (name, bad.field.as_str(), bad.way);
        FREE.iter().any(|(of, field, way, _)| (*of, *field, *way) == it)
    };
    let mut all: Vec<Varied> = bad(&good).into_iter().filter(|bad| !free(bad)).collect();
    let sure = |bad: &Varied| {
        WITHIN.contains(&(name, bad.field.as_str())) && matches!(bad.way, "not an id" | "out of range")
    };
    all.extend(bad_within(&good).into_iter().filter(sure));
    all
}

/// The fields of a request of which something must be refused whatever the RPC means, but for [`FREE`] ones. Told by their kind alone,
/// so that none is passed over because nothing was made of it.
fn to_be_refused(rpc: &Rpc) -> Vec<String> {
    let ends = |field: &FieldDescriptor| match field.kind() {
        Kind::String | Kind::Enum(_) => true,
        Kind::Int32 => field.name() == "page_size",
        Kind::Message(inner) => inner.full_name() == "google.protobuf.Timestamp",
        _ => false,
    };
    let free = |field: &FieldDescriptor| {
        FREE.iter().any(|(of, name, ..)| (*of, *name) == (rpc.method.name(), field.name()))
    };
    let input = rpc.method.input();
    let fields = input.fields().filter(|field| ends(field) && !free(field));
    fields.map(|field| field.name().to_owned()).collect()
}

/// What every table of every service holds, as a digest, but for leases and clocks, which live by themselves, and the
/// blocks of case numbers, which a process sets aside before it knows what a request comes to.
async fn everything_stored(world: &World) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    for service in SERVICES {
        let tables = Tables::of(world, service).await.expect("the database");
        let sql = "SELECT table_name::text FROM information_schema.tables
                   WHERE table_schema = 'public' AND table_name NOT LIKE '%lease'
                   AND table_name NOT IN ('consumer_member', 'case_number_blocks')";
        for row in tables.rows(sql, &[]).await {
            let table: String = row.get(0);
            let sql = format!(
                "SELECT count(*) || ' rows ' || coalesce(md5(string_agg(t::text, E'\\n' ORDER BY t::text)), '')
                 FROM \"{table}\" t"
            );
            digests.insert(format!("{service}.{table}"), tables.rows(&sql, &[]).await[0].get(0));
        }
    }
    digests
}

/// Tables that hold something else than before.
async fn changed(world: &World, before: &BTreeMap<String, String>) -> Vec<String> {
    let after = everything_stored(world).await;
    let others = after.into_iter().filter(|(table, digest)| before.get(table) != Some(digest));
    others.map(|(table, _)| table).collect()
}

#[test]
fn every_rpc_names_the_bad_field_and_stores_nothing() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let callers = callers(world).await;
        world.settles().await;
        let before = everything_stored(world).await;
        let (mut tried, mut within, mut wrong) = (0, BTreeSet::new(), Vec::new());
        for (rpc, bearer) in &callers {
            let channel = world.channel(rpc.service).await;
            let mut left: BTreeSet<String> = to_be_refused(rpc).into_iter().collect();
            for bad in refused(world, rpc) {
                tried += 1;
                left.remove(&bad.field);
                let what = format!("{} of {} with {} {}", rpc.name(), rpc.service, bad.field, bad.way);
                let status = match rpc.call(&channel, bad.request, Some(bearer)).await {
                    Ok(_) => {
                        wrong.push(format!("{what}: accepted"));
                        continue;
                    }
                    Err(status) => status,
                };
                let fields = named(&status);
                // A field that is a message, or holds a paper, may be told by what is wrong within.
                let inside = format!("{}.", bad.field);
                let is_it = |field: &String| *field == bad.field || field.starts_with(&inside);
                if status.code() != Code::InvalidArgument || !fields.iter().any(is_it) {
                    wrong.push(format!("{what}: {:?} {} {fields:?}", status.code(), status.message()));
                }
                if bad.field.contains('.') {
                    within.insert((rpc.method.name(), bad.field));
                }
            }
            wrong.extend(left.into_iter().map(|field| format!("{}: {field} was not tried", rpc.name())));
        }
        assert!(tried > WAYS, "only {tried} were tried");
        assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
        let tried_within: BTreeSet<_> = within.iter().map(|(rpc, field)| (*rpc, field.as_str())).collect();
        assert_eq!(tried_within, WITHIN.iter().copied().collect::<BTreeSet<_>>());
        let changed = changed(world, &before).await;
        assert!(changed.is_empty(), "nothing is stored or changed: {changed:#?}");
    });
}

#[test]
fn what_is_odd_is_answered_in_so_many_words_and_stores_nothing_where_it_is_bad() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let callers = callers(world).await;
        let (mut tried, mut wrong, mut refused) = (0, Vec::new(), Vec::new());
        for (rpc, bearer) in &callers {
            if LEFT_ALONE.iter().any(|(name, _)| *name == rpc.method.name()) {
                continue;
            }
            let channel = world.channel(rpc.service).await;
            // What changes something must not find what it is to change; what reads has to find what it reads.
            let good = if rpc.is_mutation() { astray(world, rpc) } else { plausible(world, rpc) };
            for odd in odd(&good) {
                tried += 1;
                let what = format!("{} of {} with {} {}", rpc.name(), rpc.service, odd.field, odd.way);
                let answer = rpc.call(&channel, odd.request.clone(), Some(bearer)).await;
                let Err(status) = answer else { continue };
                if !ANSWERS.contains(&status.code()) {
                    wrong.push(format!("{what}: {:?} {}", status.code(), status.message()));
                } else if status.code() == Code::InvalidArgument {
                    if named(&status).iter().all(String::is_empty) {
                        wrong.push(format!("{what} names no field: {}", status.message()));
                    }
                    refused.push((what, *rpc, bearer, odd.request));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(refused.len() > callers.len(), "only {} of {tried} were refused", refused.len());

        // Once more, and nothing but them.
        world.settles().await;
        let before = everything_stored(world).await;
        for (what, rpc, bearer, request) in refused {
            let channel = world.channel(rpc.service).await;
            let again = rpc.call(&channel, request, Some(bearer)).await;
            let code = again.map_or_else(|status| status.code(), |_| Code::Ok);
            assert_eq!(code, Code::InvalidArgument, "{what}, once more");
        }
        let changed = changed(world, &before).await;
        assert!(changed.is_empty(), "nothing is stored or changed: {changed:#?}");
    });
}

#[test]
fn the_json_edge_names_the_bad_field_in_its_own_spelling() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let resident = world.resident(2);
        let bearer = resident.bearer().await;
        let good = json!({
            "requestId": chassis::clock::new_id().to_string(),
            "text": "路灯不亮",
            "placeUnitId": world.unit(tests::journeys::COMMUNITY),
            "channel": "CHANNEL_APP",
            "noticeVersion": "v1",
            "urgency": "URGENCY_NORMAL",
        });
        let cases = [
            ("requestId", json!("x")),
            ("requestId", json!("")),
            ("text", json!("")),
            ("text", json!("长".repeat(20_001))),
            ("text", json!(7)),
            ("placeUnitId", json!("somewhere")),
            ("channel", json!("CHANNEL_PIGEON")),
            ("urgency", json!(99)),
            ("anonymous", json!("perhaps")),
            ("noSuchField", json!(1)),
        ];
        for (field, value) in cases {
            let mut body = good.clone();
            body[field] = value.clone();
            let (status, problem) = post(world, "/v1/cases", &bearer, &body).await;
            assert_eq!(status, 400, "{field} = {value}: {problem}");
            assert_eq!(problem["code"], "INVALID_ARGUMENT", "{field} = {value}: {problem}");
            assert_eq!(problem["errors"][0]["field"], field, "{field} = {value}: {problem}");
        }
        let (status, case) = post(world, "/v1/cases", &bearer, &good).await;
        assert_eq!(status, 200, "the request was good but for the field: {case}");
        let (status, problem) = post(world, "/v1/cases", &bearer, &json!([1, 2])).await;
        assert_eq!((status, &problem["code"]), (400, &json!("INVALID_ARGUMENT")), "{problem}");
    });
}

async fn post(world: &World, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
    let answer = reqwest::Client::new()
        .post(format!("{}{path}", world.gateway))
        .header("authorization", bearer)
        .json(body)
        .send()
        .await
        .expect("the edge answers");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}
