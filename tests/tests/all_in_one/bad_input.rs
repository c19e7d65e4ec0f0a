//! Bad input on every RPC, generated from the descriptors, and on the JSON edge: `INVALID_ARGUMENT` naming the field,
//! and nothing stored.

use std::collections::BTreeMap;

use proto::auth::v1::Role;
use serde_json::{Value, json};
use tests::{
    Person, World,
    descriptors::{Policy, Rpc, rpcs},
    requests::{bad, plausible},
    run,
    tables::{SERVICES, Tables},
};
use tonic::Code;
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
    ("ListDigests", "subject", "too long", "a subject that nobody holds gives an empty list"),
    (
        "CreatePost",
        "line",
        "too long",
        "compared with the organisation's lines, and the organisation is not there",
    ),
];

/// Somebody with a role that the RPC allows.
fn permitted<'w>(world: &'w World, rpc: &Rpc) -> Option<Person<'w>> {
    match &rpc.policy {
        Policy::Public => Some(world.resident(0)),
        Policy::Authenticated => Some(world.dispatcher()),
        Policy::Service => None, // services only: their requests are typed, and the gate is tested in `denied`
        Policy::Roles(roles) => {
            let seeded = roles.iter().find(|role| world.actors.role(&word(**role), 0).is_ok());
            seeded.map(|role| world.anyone(&word(*role), 0))
        }
    }
}

fn word(role: Role) -> String {
    role.as_str_name().trim_start_matches("ROLE_").to_lowercase()
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

#[test]
fn every_rpc_names_the_bad_field_and_stores_nothing() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.alone().await;
        let mut callers = Vec::new();
        for rpc in rpcs() {
            if let Some(caller) = permitted(world, rpc) {
                let bearer = caller.bearer().await; // signed in before the count
                callers.push((rpc, bearer));
            }
        }
        assert!(callers.len() > 80, "only {} RPCs", callers.len());
        world.settles().await;
        let before = everything_stored(world).await;
        let (mut tried, mut wrong) = (0, Vec::new());
        for (rpc, bearer) in &callers {
            let channel = world.channel(rpc.service).await;
            for bad in bad(&plausible(world, rpc)) {
                let free = |(of, field, way, _): &(&str, &str, &str, &str)| {
                    *of == rpc.method.name() && *field == bad.field && *way == bad.way
                };
                if FREE.iter().any(free) {
                    continue;
                }
                tried += 1;
                let what = format!("{} with {} {}", rpc.name(), bad.field, bad.way);
                match rpc.call(&channel, bad.request, Some(bearer)).await {
                    Ok(_) => wrong.push(format!("{what}: accepted")),
                    Err(status) => {
                        let details = status.get_error_details();
                        let fields: Vec<_> = details
                            .bad_request()
                            .map(|bad| {
                                bad.field_violations
                                    .iter()
                                    .map(|violation| violation.field.as_str())
                                    .collect()
                            })
                            .unwrap_or_default();
                        let named =
                            fields.iter().any(|field| field.split(['[', '.']).next() == Some(&bad.field));
                        if status.code() != Code::InvalidArgument || !named {
                            wrong.push(format!(
                                "{what}: {:?} {} {fields:?}",
                                status.code(),
                                status.message()
                            ));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
        let after = everything_stored(world).await;
        let changed: Vec<_> =
            after.iter().filter(|(table, digest)| before.get(*table) != Some(*digest)).collect();
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
