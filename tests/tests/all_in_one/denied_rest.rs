//! Over REST, too, a case that is out of reach looks like none, whatever is asked of it: the same status, the same headers, the
//! same body.

use std::collections::BTreeSet;

use chassis::clock::new_id;
use gateway::rest::binding::{Binding, Bindings};
use prost_reflect::Value as Field;
use proto::auth::v1::Role;
use reqwest::Client;
use serde_json::Value;
use tests::{
    World,
    descriptors::{Policy, Rpc, rpcs},
    journeys::{COMMUNITY, LAMP},
    requests::plausible,
    run,
};

/// Everything a caller can tell two answers apart by.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: BTreeSet<String>,
    body: Value,
}

/// What is answered when a case is named, without its id.
async fn answer(world: &World, binding: &Binding, rpc: &Rpc, bearer: &str, case_id: &str) -> Answer {
    let mut request = plausible(world, rpc);
    request.set_field_by_name("case_id", Field::String(case_id.to_owned()));
    let mut path = binding.template.clone();
    for variable in binding.variables() {
        let value = request.get_field_by_name(variable).expect("paths name fields of the request");
        path = path.replace(&format!("{{{variable}}}"), value.as_str().expect("an id"));
    }
    let mut asked = Client::new().request(binding.verb.clone(), format!("{}{path}", world.gateway));
    asked = asked.header("authorization", bearer);
    if binding.body {
        asked = asked.json(&request);
    }
    let answer = asked.send().await.expect("the edge answers");
    let status = answer.status().as_u16();
    let headers = answer.headers().keys().map(|name| name.as_str().to_owned()).collect();
    let text = answer.text().await.expect("a body").replace(case_id, "<id>");
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
    Answer { status, headers, body }
}

/// The bindings of RPCs about one case, each with its RPC. A list that is narrowed to a foreign case is empty, which tells nothing.
fn about_a_case(bindings: &Bindings) -> Vec<(&Binding, &'static Rpc)> {
    let of_cases = bindings.iter().filter(|binding| {
        let names_a_case = binding.method.input().get_field_by_name("case_id").is_some();
        binding.service == "case-routing" && names_a_case && !binding.method.name().starts_with("List")
    });
    of_cases
        .map(|binding| {
            let name = binding.method.full_name();
            let rpc = rpcs().iter().find(|rpc| rpc.method.full_name() == name);
            (binding, rpc.expect("what is bound is an RPC of the suite"))
        })
        .collect()
}

#[test]
fn a_case_out_of_reach_looks_like_none_over_rest_too() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let window = world.window(COMMUNITY);
        let case = window.takes_in(&world.resident(3), "路灯不亮", LAMP, &world.unit(COMMUNITY)).await;
        let strangers = [
            (Role::Resident, world.resident(4)),
            (Role::ServiceWorker, world.login("worker1.420103008001")),
            (Role::StreetDispatcher, world.login("dispatcher.420103008")),
            (Role::StreetLeader, world.login("leader.420103008")),
            (Role::DeptLeader, world.login("leader.housing")),
        ];
        let bindings = Bindings::from_descriptors().expect("the annotations are usable");
        let (mut tried, mut wrong) = (0, Vec::new());
        for (binding, rpc) in about_a_case(&bindings) {
            for (role, person) in &strangers {
                if !matches!(&rpc.policy, Policy::Roles(roles) if roles.contains(role)) {
                    continue;
                }
                tried += 1;
                let bearer = person.bearer().await;
                let foreign = answer(world, binding, rpc, &bearer, &case.case_id).await;
                let missing = answer(world, binding, rpc, &bearer, &new_id().to_string()).await;
                if foreign != missing || foreign.status != 404 || foreign.body["code"] != "NOT_FOUND" {
                    let what = format!("{} {} as {role:?}", binding.verb, binding.template);
                    wrong.push(format!("{what}: {foreign:?}, a missing one: {missing:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(tried > 100, "only {tried} calls were tried");

        // Who reaches it sees it by the same call.
        let mut all = about_a_case(&bindings).into_iter();
        let (binding, rpc) = all.find(|(_, rpc)| rpc.method.name() == "GetCase").expect("it is bound");
        let seen = answer(world, binding, rpc, &window.bearer().await, &case.case_id).await;
        assert_eq!((seen.status, &seen.body["case"]["caseId"]), (200, &Value::from("<id>")));
    });
}
