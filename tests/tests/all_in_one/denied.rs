//! Nobody reaches what is not theirs, for every RPC and role, generated from the descriptors: without a token nothing
//! answers, without the role the call is denied, and who has the role elsewhere (another street, another line, another
//! partner, another resident) gets exactly the answer for a thing that does not exist.

use std::collections::BTreeMap;

use chassis::clock::new_id;
use prost_reflect::Value;
use proto::{auth::v1::Role, case_routing::v1::AssignmentStatus};
use tests::{
    Person, World,
    descriptors::{Policy, Rpc, roles, rpcs, word},
    journeys::{COMMUNITY, LAMP},
    requests::plausible,
    run,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::denied_ids::TRIED;

#[test]
fn without_a_token_nothing_but_the_public_answers() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        for rpc in rpcs().iter().filter(|rpc| rpc.policy != Policy::Public) {
            let channel = world.channel(rpc.service).await;
            for bearer in [None, Some("Bearer of.no.use"), Some("Basic eDp5")] {
                let status = rpc.call(&channel, rpc.request(), bearer).await.expect_err("refused");
                let what = format!("{} of {} with {bearer:?}", rpc.name(), rpc.service);
                assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status}");
            }
        }
    });
}

#[test]
fn every_role_is_denied_whatever_its_policy_does_not_name() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut bearers = Vec::new();
        for role in roles() {
            let person = match world.actors.role(&word(role), 0) {
                Ok(_) => world.anyone(&word(role), 0),
                Err(_) => world.newcomer(&[role], COMMUNITY).await.person,
            };
            bearers.push((role, person.bearer().await));
        }
        assert_eq!(bearers.len(), 33, "every role is held by somebody");
        let (mut denied, mut wrong) = (0, Vec::new());
        for rpc in rpcs() {
            let channel = world.channel(rpc.service).await;
            for (role, bearer) in &bearers {
                let allowed = match &rpc.policy {
                    Policy::Public | Policy::Authenticated => true,
                    Policy::Service => false,
                    Policy::Roles(roles) => roles.contains(role),
                };
                if allowed {
                    continue;
                }
                denied += 1;
                match rpc.call(&channel, plausible(world, rpc), Some(bearer)).await {
                    Err(status) if status.code() == Code::PermissionDenied => {}
                    other => {
                        let what = format!("{} of {} as {role:?}", rpc.name(), rpc.service);
                        wrong.push(format!("{what}: {:?}", other.map(drop)));
                    }
                }
            }
        }
        assert!(denied > 1_000, "only {denied} calls were tried");
        assert!(wrong.is_empty(), "{} of {denied}:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// Calls with the id of a thing that is there and with one that is not, all else being equal, and tells both answers without the
/// ids.
async fn both(
    world: &World,
    rpc: &Rpc,
    field: &str,
    there: &str,
    beside: &[(&str, Value)],
    person: &Person<'_>,
) -> (String, String) {
    let bearer = person.bearer().await;
    let channel = world.channel(rpc.service).await;
    // What else narrows a list might make it empty for both.
    let mut plain = if is_list(rpc) { rpc.request() } else { plausible(world, rpc) };
    for (name, value) in beside {
        if rpc.method.input().get_field_by_name(name).is_some() {
            plain.set_field_by_name(name, value.clone());
        }
    }
    let mut answers = Vec::new();
    for id in [there.to_owned(), new_id().to_string()] {
        let mut request = plain.clone();
        request.set_field_by_name(field, Value::String(id.clone()));
        if rpc.is_mutation() {
            request.set_field_by_name("request_id", Value::String(new_id().to_string()));
        }
        let told = match rpc.call(&channel, request, Some(&bearer)).await {
            Ok(answer) => format!("OK {answer:?}").replace(&id, "<id>"),
            Err(status) => anonymous(&status, &id),
        };
        answers.push(told);
    }
    (answers.remove(0), answers.remove(0))
}

/// Whether it narrows a list by what it is told, rather than looking for one thing.
fn is_list(rpc: &Rpc) -> bool {
    rpc.method.name().starts_with("List")
}

/// Everything a caller can tell two refusals apart by.
fn anonymous(status: &Status, id: &str) -> String {
    let details = status.get_error_details();
    let info = details.error_info().map(|info| {
        let about: BTreeMap<_, _> = info.metadata.iter().collect();
        format!("{} {} {about:?}", info.reason, info.domain)
    });
    let others = details.bad_request().is_some() || details.retry_info().is_some();
    format!("{:?} {} {info:?} {others}", status.code(), status.message()).replace(id, "<id>")
}

/// Whoever has a role of the RPC but not for this thing; each must not be able to tell whether it exists. What else the requests
/// say is plausible, but for what is given `beside`.
pub async fn strangers_cannot_tell(
    world: &World,
    field: &str,
    there: &str,
    service: &str,
    beside: &[(&str, Value)],
    strangers: &[(Role, &str)],
) -> usize {
    assert!(TRIED.contains(&(service, field)), "{service} {field} is not among the tried");
    let (mut tried, mut wrong) = (0, Vec::new());
    for rpc in rpcs().iter().filter(|rpc| rpc.service == service) {
        if rpc.method.input().get_field_by_name(field).is_none() {
            continue;
        }
        for (role, login) in strangers {
            if !matches!(&rpc.policy, Policy::Roles(roles) if roles.contains(role)) {
                continue;
            }
            tried += 1;
            let (foreign, missing) = both(world, rpc, field, there, beside, &world.login(login)).await;
            // A list that is narrowed to either is the same one, an empty one.
            let empty = is_list(rpc) && foreign.starts_with("OK");
            if foreign != missing || !(empty || foreign.starts_with("NotFound")) {
                wrong.push(format!("{} as {login}: `{foreign}`, a missing one: `{missing}`", rpc.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
    tried
}

#[test]
fn a_case_of_another_street_line_or_resident_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let resident = world.resident(3);
        let window = world.window(COMMUNITY);
        let case = window.takes_in(&resident, "路灯不亮", LAMP, &world.unit(COMMUNITY)).await;
        let strangers = [
            (Role::Resident, world.resident(4).session.account.login.clone()),
            (Role::ServiceWorker, "worker1.420103008001".to_owned()),
            (Role::StationHead, "head.420103008001".to_owned()),
            (Role::StreetDispatcher, "dispatcher.420103008".to_owned()),
            (Role::StreetSupervisor, "supervisor.420103008".to_owned()),
            (Role::StreetLeader, "leader.420103008".to_owned()),
            (Role::CommitteeMember, "committee.420103008001".to_owned()),
            (Role::DeptLeader, "leader.housing".to_owned()),
            (Role::DeptOfficer, "officer1.housing".to_owned()),
            (Role::OrgManager, "manager.social_org:garden".to_owned()),
            (Role::Mediator, "mediator.420103008001".to_owned()),
        ];
        let strangers: Vec<_> = strangers.iter().map(|(role, login)| (*role, login.as_str())).collect();
        let tried =
            strangers_cannot_tell(world, "case_id", &case.case_id, "case-routing", &[], &strangers).await;
        assert!(tried > 100, "only {tried} calls were tried");
    });
}

#[test]
fn an_assignment_of_another_organisation_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let window = world.window(COMMUNITY);
        let case = window.takes_in(&world.resident(3), "路灯不亮", LAMP, &world.unit(COMMUNITY)).await;
        let case = world.leader_of(&case.lead_org_id).signs(&case).await;
        let case = world.sees_assignment(&case, AssignmentStatus::Offered).await;
        let task = jianghan::simulate::lead_task(&case).expect("a lead task").clone();
        let strangers = [
            (Role::ServiceWorker, "worker1.420103008001"),
            (Role::StationHead, "head.420103008001"),
            (Role::StreetDispatcher, "dispatcher.420103008"),
            (Role::StreetLeader, "leader.420103008"),
            (Role::DeptOfficer, "officer1.housing"),
            (Role::DeptLeader, "leader.housing"),
        ];
        let id = &task.assignment_id;
        let tried = strangers_cannot_tell(world, "assignment_id", id, "staffing", &[], &strangers).await;
        let more = strangers_cannot_tell(world, "task_id", &task.task_id, "staffing", &[], &strangers).await;
        assert!(tried + more > 10, "only {tried} + {more} calls were tried");
    });
}

#[test]
fn an_offer_to_another_partner_looks_like_none() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let resident = world.resident(3);
        let case = resident.registers("院子里想种点花", &world.unit(COMMUNITY)).await;
        let window = world.window(COMMUNITY);
        let case = window.accepts(&case).await;
        let case = window.triages(&case, "CJ-0145", true).await;
        let case = window.dispatches(&case).await;
        let offer = case.offer.clone().expect("offered to a partner");
        assert_eq!(offer.partner_org_id, world.org("social_org:garden"));
        world.sees_offer(&case, proto::volunteer_matching::v1::OfferState::Offered).await;
        let strangers = [
            (Role::OrgManager, "manager.social_org:yigong"),
            (Role::Volunteer, "volunteer1.social_org:yigong"),
        ];
        let id = &offer.offer_id;
        let tried = strangers_cannot_tell(world, "offer_id", id, "volunteer-matching", &[], &strangers).await;
        assert!(tried >= 5, "only {tried} calls were tried");
    });
}
