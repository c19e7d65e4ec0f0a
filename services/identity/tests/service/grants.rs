//! Grants: never beyond the grantor's own, two approvers for sensitive roles, exclusive administrators, and ends that are
//! felt at once.

use std::time::Duration;

use crate::world::{World, nobody, refusal, request_id};
use chassis::{auth::Role, clock::to_proto, grpc::PeerChannel, testing::TestService};
use diesel_async::SimpleAsyncConnection;
use identity::{domain::audit::Entry, store::audit};
use proto::identity::v1::{
    ApproveGrantRequest, GetPersonRequest, GetSelfRequest, GrantRoleRequest, GrantRoleResponse,
    ListRoleGrantsRequest, RefreshTokenRequest, RevokeRoleRequest, RoleGrant, RoleGrantState, RoleGranted,
    RoleRevoked, person_service_client::PersonServiceClient,
};
use tonic::{Code, Status};

/// A grant to be asked for.
pub fn wanted(world: &World, login: &str, role: Role, unit: &str) -> RoleGrant {
    RoleGrant {
        person_id: world.person(login),
        role: role as i32,
        unit_id: world.unit(unit),
        ..Default::default()
    }
}

/// Asks for a grant.
pub async fn grant(
    client: &mut PersonServiceClient<PeerChannel>,
    grant: RoleGrant,
) -> Result<RoleGrant, Status> {
    let request = GrantRoleRequest { request_id: request_id(), grant: Some(grant) };
    let GrantRoleResponse { grant } = client.grant_role(request).await?.into_inner();
    Ok(grant.expect("a grant"))
}

/// Approves a grant.
pub async fn approve(client: &mut PersonServiceClient<PeerChannel>, id: &str) -> Result<RoleGrant, Status> {
    let request = ApproveGrantRequest { request_id: request_id(), grant_id: id.to_owned() };
    Ok(client.approve_grant(request).await?.into_inner().grant.expect("a grant"))
}

async fn revoke(client: &mut PersonServiceClient<PeerChannel>, id: &str) -> Result<RoleGrant, Status> {
    let request = RevokeRoleRequest { request_id: request_id(), grant_id: id.to_owned() };
    Ok(client.revoke_role(request).await?.into_inner().grant.expect("a grant"))
}

async fn see(world: &World, token: &str, person: &str) -> Result<(), Status> {
    let mut client = PersonServiceClient::new(world.service.call_with(token));
    client.get_person(GetPersonRequest { person_id: world.person(person) }).await.map(drop)
}

#[tokio::test]
async fn an_ordinary_role_is_in_force_at_once_and_told() {
    let world = World::start().await;
    let mut leader = world.persons("leader1").await;
    let given =
        grant(&mut leader, wanted(&world, "resident", Role::ServiceWorker, "community1")).await.unwrap();
    assert_eq!(given.state, RoleGrantState::Active as i32);
    assert_eq!(given.approved_by, [world.person("leader1")]);
    let events = world.service.drain_outbox().await;
    let told: Vec<RoleGranted> = events.iter().filter_map(|e| e.decode().ok()).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].person_id.clone(), told[0].role),
        (world.person("resident"), Role::ServiceWorker as i32)
    );
    assert!(told[0].person_ref.starts_with("p-"));
    let pair = world.sign_in("resident").await;
    see(&world, &pair.access_token, "head1").await.unwrap();
}

#[tokio::test]
async fn a_sensitive_role_waits_for_a_second_person_who_is_not_the_grantee() {
    let world = World::start().await;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let asked = grant(&mut first, wanted(&world, "analyst", Role::Arbiter, "district")).await.unwrap();
    assert_eq!(asked.state, RoleGrantState::Requested as i32);
    assert!(world.service.drain_outbox().await.is_empty(), "nothing is granted yet");
    assert_eq!(refusal(approve(&mut first, &asked.grant_id).await), Code::FailedPrecondition);
    let active = approve(&mut second, &asked.grant_id).await.unwrap();
    assert_eq!(active.state, RoleGrantState::Active as i32);
    assert_eq!(active.approved_by.len(), 2);
    assert_eq!(world.service.drain_outbox().await.len(), 1);
    assert_eq!(refusal(approve(&mut second, &asked.grant_id).await), Code::FailedPrecondition);
}

#[tokio::test]
async fn who_gave_approved_and_took_a_role_is_in_the_audit_trail() {
    let world = World::start().await;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let asked = grant(&mut first, wanted(&world, "analyst", Role::Arbiter, "district")).await.unwrap();
    approve(&mut first, &asked.grant_id).await.unwrap_err();
    approve(&mut second, &asked.grant_id).await.unwrap();
    revoke(&mut first, &asked.grant_id).await.unwrap();
    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    let done: Vec<&str> = entries.iter().map(|entry| entry.access.action.as_str()).collect();
    assert_eq!(done, ["GrantRole", "ApproveGrant", "RevokeRole"], "what was refused changed nothing");
    let of_it = |entry: &Entry| entry.access.object_id.is_some_and(|id| id.to_string() == asked.grant_id);
    assert!(entries.iter().all(|entry| entry.access.object_kind == "grant" && of_it(entry)));
    let by: Vec<&str> = entries.iter().map(|entry| entry.access.actor_ref.as_str()).collect();
    assert!(by[0] == by[2] && by[0] != by[1], "{by:?}");
    assert!(audit::check(&mut conn, &world.service.context.crypto, None).await.unwrap().is_ok());
}

#[tokio::test]
async fn nobody_grants_or_approves_for_oneself() {
    let world = World::start().await;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let own = grant(&mut first, wanted(&world, "secadmin1", Role::Analyst, "district")).await.unwrap_err();
    assert_eq!(crate::world::fields(&own), ["grant.person_id"]);
    let asked = grant(&mut first, wanted(&world, "secadmin2", Role::Arbiter, "district")).await.unwrap();
    let error = approve(&mut second, &asked.grant_id).await.unwrap_err();
    assert_eq!(crate::world::fields(&error), ["grant_id"]);
}

#[tokio::test]
async fn a_grant_never_exceeds_the_grantors_own() {
    let mut world = World::start().await;
    let end = world.service.clock().now() + chrono::TimeDelta::days(30);
    world.add_person("leader_until", Role::StreetLeader, "street1", None, Some(end)).await;
    let mut leader = world.persons("leader1").await;
    // Another street, and the district above: out of reach, as if they did not exist.
    for unit in ["community2", "street2", "district"] {
        let answer = grant(&mut leader, wanted(&world, "resident", Role::ServiceWorker, unit)).await;
        assert_eq!(refusal(answer), Code::NotFound, "{unit}");
    }
    let stranger = wanted(&world, "worker2", Role::ServiceWorker, "community1");
    assert_eq!(refusal(grant(&mut leader, stranger).await), Code::NotFound, "a person of another street");
    // Roles that govern access or decide for the street are not the leader's to give.
    for role in [Role::SecurityAdmin, Role::StreetLeader, Role::DistrictDispatcher, Role::ItOperator] {
        assert_eq!(
            refusal(grant(&mut leader, wanted(&world, "resident", role, "street1")).await),
            Code::PermissionDenied
        );
    }
    // Beyond the end of the grantor's own grant.
    let mut until = world.persons("leader_until").await;
    let request =
        |to| RoleGrant { valid_to: to, ..wanted(&world, "resident", Role::ServiceWorker, "community1") };
    let later = end + chrono::TimeDelta::seconds(1);
    assert_eq!(refusal(grant(&mut until, request(None)).await), Code::PermissionDenied);
    assert_eq!(refusal(grant(&mut until, request(Some(to_proto(later)))).await), Code::PermissionDenied);
    assert!(grant(&mut until, request(Some(to_proto(end)))).await.is_ok());
}

#[tokio::test]
async fn a_role_is_given_only_for_an_organisation_within_the_grantors_own_grant() {
    let mut world = World::start().await;
    world.add_person("secadmin_street", Role::SecurityAdmin, "street1", None, None).await;
    let for_org = |login: &str, role, org: &str| RoleGrant {
        org_id: world.org(org),
        ..wanted(&world, login, role, "community1")
    };
    let mut leader = world.persons("leader1").await;
    // A department and the government of the district, and another street's office: as if they did not exist.
    for org in ["civil", "gov", "office2"] {
        let hidden = grant(&mut leader, for_org("resident", Role::StationHead, org)).await.unwrap_err();
        let nothing =
            RoleGrant { org_id: nobody(), ..wanted(&world, "resident", Role::StationHead, "community1") };
        let missing = grant(&mut leader, nothing).await.unwrap_err();
        assert_eq!((hidden.code(), missing.code()), (Code::NotFound, Code::NotFound), "{org}");
        assert_eq!(
            hidden.message().replace(&world.org(org), "ID"),
            missing.message().replace(&nobody(), "ID")
        );
    }
    for org in ["station1", "office1"] {
        grant(&mut leader, for_org("resident", Role::StationHead, org)).await.unwrap();
    }
    // Whoever governs the district gives roles for its departments; the second approver must reach them as well.
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    grant(&mut first, for_org("resident", Role::DeptOfficer, "civil")).await.unwrap();
    let asked = grant(&mut first, for_org("resident", Role::DeptLeader, "civil")).await.unwrap();
    let mut street = world.persons("secadmin_street").await;
    assert_eq!(refusal(approve(&mut street, &asked.grant_id).await), Code::NotFound);
    approve(&mut second, &asked.grant_id).await.unwrap();
}

#[tokio::test]
async fn a_role_is_revoked_only_by_a_grant_that_reaches_it() {
    let mut world = World::start().await;
    // Leader of one street, and by another role responsible for access in a community of the other.
    world.add_person("both", Role::StreetLeader, "street1", None, None).await;
    let mut admin = world.persons("secadmin1").await;
    let asked = grant(&mut admin, wanted(&world, "both", Role::SecurityAdmin, "community2")).await.unwrap();
    approve(&mut world.persons("secadmin2").await, &asked.grant_id).await.unwrap();
    let analyst = grant(&mut admin, wanted(&world, "resident", Role::Analyst, "street1")).await.unwrap();
    let worker = grant(&mut admin, wanted(&world, "resident", Role::ServiceWorker, "street1")).await.unwrap();
    let mut both = world.persons("both").await;
    assert_eq!(refusal(revoke(&mut both, &analyst.grant_id).await), Code::PermissionDenied);
    revoke(&mut both, &worker.grant_id).await.unwrap();
}

#[tokio::test]
async fn system_security_and_audit_administrator_exclude_each_other() {
    let world = World::start().await;
    let mut admin = world.persons("secadmin1").await;
    for (login, role) in [
        ("sysadmin", Role::SecurityAdmin),
        ("sysadmin", Role::AuditAdmin),
        ("secadmin2", Role::SystemAdmin),
        ("secadmin2", Role::AuditAdmin),
    ] {
        let answer = grant(&mut admin, wanted(&world, login, role, "district")).await;
        assert_eq!(refusal(answer), Code::FailedPrecondition, "{login}: {role:?}");
    }
    // Also while the first of two is only asked for.
    grant(&mut admin, wanted(&world, "analyst", Role::AuditAdmin, "district")).await.unwrap();
    let answer = grant(&mut admin, wanted(&world, "analyst", Role::SystemAdmin, "district")).await;
    assert_eq!(refusal(answer), Code::FailedPrecondition);
}

#[tokio::test]
async fn an_administrators_next_term_is_granted_before_the_present_one_has_run_out() {
    let mut world = World::start().await;
    let end = world.service.clock().now() + chrono::TimeDelta::days(30);
    world.add_person("secadmin3", Role::SecurityAdmin, "district", None, Some(end)).await;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let next =
        |role| RoleGrant { valid_from: Some(to_proto(end)), ..wanted(&world, "secadmin3", role, "district") };
    let asked = grant(&mut first, next(Role::SecurityAdmin)).await.unwrap();
    let given = approve(&mut second, &asked.grant_id).await.unwrap();
    assert_eq!(given.state, RoleGrantState::Active as i32);
    for role in [Role::SystemAdmin, Role::AuditAdmin] {
        assert_eq!(refusal(grant(&mut first, next(role)).await), Code::FailedPrecondition, "{role:?}");
    }
    // The database itself refuses it, too.
    let forced = world.sql("UPDATE role_grants SET role = 31 WHERE role = 30 AND valid_to IS NOT NULL").await;
    assert!(forced.unwrap_err().to_string().contains("role_grants_one_administrator"));
    // Whoever was one all along goes on when the next term begins.
    let pair = world.sign_in("secadmin3").await;
    world.service.drain_outbox().await;
    world.service.clock().advance(Duration::from_secs(30 * 24 * 3600));
    let service = &world.service;
    let mut told = Vec::new();
    service
        .wait_for("one term is told, and then the end of the other", async || {
            told.extend(service.drain_outbox().await.into_iter().map(|event| event.r#type.to_string()));
            told.len() >= 2
        })
        .await;
    assert!(told[0].contains("RoleGranted") && told[1].contains("RoleRevoked"), "{told:?}");
    let refresh = RefreshTokenRequest { refresh_token: pair.refresh_token, ..Default::default() };
    world.auth_anonymously().refresh_token(refresh).await.unwrap();
}

#[tokio::test]
async fn who_loses_a_role_signs_in_anew_though_it_is_granted_again() {
    let world = World::start().await;
    let mut leader = world.persons("leader1").await;
    let (pair, other) = (world.sign_in("worker1").await, world.sign_in("head1").await);
    let list = ListRoleGrantsRequest { person_id: world.person("worker1"), ..Default::default() };
    let grants = leader.list_role_grants(list).await.unwrap().into_inner().grants;
    revoke(&mut leader, &grants[0].grant_id).await.unwrap();
    grant(&mut leader, wanted(&world, "worker1", Role::ServiceWorker, "community1")).await.unwrap();
    let refresh = async |token: &str| {
        let request = RefreshTokenRequest { refresh_token: token.to_owned(), ..Default::default() };
        world.auth_anonymously().refresh_token(request).await
    };
    assert_eq!(refusal(refresh(&pair.refresh_token).await), Code::Unauthenticated, "whoever has it");
    assert!(refresh(&other.refresh_token).await.is_ok(), "others' sessions go on");
    let again = world.sign_in("worker1").await;
    see(&world, &again.access_token, "head1").await.unwrap();
}

#[tokio::test]
async fn a_revoked_role_is_gone_at_once_everywhere() {
    let world = World::start().await;
    let mut leader = world.persons("leader1").await;
    let pair = world.sign_in("worker1").await;
    see(&world, &pair.access_token, "head1").await.unwrap();
    let list = ListRoleGrantsRequest { person_id: world.person("worker1"), ..Default::default() };
    let grants = leader.list_role_grants(list).await.unwrap().into_inner().grants;
    assert_eq!(grants.len(), 1);
    let revoked = revoke(&mut leader, &grants[0].grant_id).await.unwrap();
    assert_eq!(revoked.state, RoleGrantState::Revoked as i32);
    assert_eq!(refusal(see(&world, &pair.access_token, "head1").await), Code::Unauthenticated);
    let events = world.service.drain_outbox().await;
    let told: Vec<RoleRevoked> = events.iter().filter_map(|e| e.decode().ok()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].tokens_before_time.is_some());
    let after = world.sign_in("worker1").await;
    assert_eq!(refusal(see(&world, &after.access_token, "head1").await), Code::PermissionDenied);
    assert_eq!(refusal(revoke(&mut leader, &grants[0].grant_id).await), Code::FailedPrecondition);
}

#[tokio::test]
async fn grants_out_of_reach_do_not_exist() {
    let world = World::start().await;
    let mut admin = world.persons("secadmin1").await;
    let list = ListRoleGrantsRequest { person_id: world.person("worker2"), ..Default::default() };
    let id = admin.list_role_grants(list.clone()).await.unwrap().into_inner().grants[0].grant_id.clone();
    let mut leader = world.persons("leader1").await;
    assert!(leader.list_role_grants(list).await.unwrap().into_inner().grants.is_empty());
    let hidden = revoke(&mut leader, &id).await.unwrap_err();
    let missing = revoke(&mut leader, &nobody()).await.unwrap_err();
    assert_eq!((hidden.code(), missing.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(hidden.message().replace(&id, "ID"), missing.message().replace(&nobody(), "ID"));
    assert_eq!(refusal(approve(&mut leader, &id).await), Code::NotFound);
    assert_eq!(refusal(revoke(&mut world.persons("worker1").await, &id).await), Code::PermissionDenied);
}

#[tokio::test]
async fn a_grant_ends_by_itself_when_domain_time_passes_it() {
    let mut world = World::start().await;
    let end = world.service.clock().now() + chrono::TimeDelta::days(1);
    world.add_person("temp", Role::ServiceWorker, "community1", None, Some(end)).await;
    world.service.drain_outbox().await;
    world.service.clock().advance(Duration::from_secs(86_401));
    let mut told = Vec::new();
    let service = &world.service;
    service
        .wait_for("the end of the grant is told", async || {
            told.extend(service.drain_outbox().await.iter().filter_map(|e| e.decode::<RoleRevoked>().ok()));
            !told.is_empty()
        })
        .await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].person_id, world.person("temp"));
}

#[tokio::test]
async fn a_machine_whose_time_is_wrong_ends_no_grant() {
    let wrong = TestService::<identity::App>::builder().machine_ahead_by(Duration::from_secs(120));
    let mut world = World::built(wrong).await;
    let end = world.service.clock().now() + chrono::TimeDelta::days(1);
    world.add_person("temp", Role::ServiceWorker, "community1", None, Some(end)).await;
    let service = &world.service;
    service.drain_outbox().await;
    service.clock().advance(Duration::from_secs(86_401));
    let told = async || !service.drain_outbox().await.is_empty();
    let waited = tokio::time::timeout(Duration::from_secs(1), service.wait_for("it is told", told));
    assert!(waited.await.is_err());
    world.service.stop().await;
}

#[tokio::test]
async fn a_grant_that_begins_later_is_told_when_it_begins() {
    let world = World::start().await;
    let service = &world.service;
    let mut leader = world.persons("leader1").await;
    let begin = service.clock().now() + chrono::TimeDelta::days(1);
    let later = RoleGrant {
        valid_from: Some(to_proto(begin)),
        ..wanted(&world, "resident", Role::ServiceWorker, "community1")
    };
    let over = RoleGrant { valid_to: Some(to_proto(begin + chrono::TimeDelta::hours(1))), ..later.clone() };
    let given = grant(&mut leader, later.clone()).await.unwrap();
    assert_eq!(given.state, RoleGrantState::Active as i32);
    let dropped = grant(&mut leader, later).await.unwrap();
    revoke(&mut leader, &dropped.grant_id).await.unwrap();
    grant(&mut leader, over).await.unwrap();
    assert!(service.drain_outbox().await.is_empty(), "nobody is appointed or barred before");

    service.clock().advance(Duration::from_secs(86_400 + 7_200));
    let mut told: Vec<RoleGranted> = Vec::new();
    let ended = || ListRoleGrantsRequest { person_id: world.person("resident"), ..Default::default() };
    service
        .wait_for("the beginning is told and what is over has ended", async || {
            told.extend(service.drain_outbox().await.iter().map(|e| e.decode::<RoleGranted>().unwrap()));
            let grants = leader.list_role_grants(ended()).await.unwrap().into_inner().grants;
            let expired = grants.iter().any(|g| g.state == RoleGrantState::Expired as i32);
            expired && !told.is_empty()
        })
        .await;
    assert_eq!(told.iter().map(|t| t.grant_id.as_str()).collect::<Vec<_>>(), [given.grant_id.as_str()]);
}

#[tokio::test]
async fn a_grant_that_cannot_begin_keeps_no_other_from_beginning_or_ending() {
    let world = World::start().await;
    let service = &world.service;
    let mut leader = world.persons("leader1").await;
    let begin = service.clock().now() + chrono::TimeDelta::days(1);
    let later = |login| RoleGrant {
        valid_from: Some(to_proto(begin)),
        ..wanted(&world, login, Role::ServiceWorker, "community1")
    };
    grant(&mut leader, later("resident")).await.unwrap();
    world.sql("UPDATE role_grants SET role = 999 WHERE state = 2 AND NOT told").await.unwrap();
    let sound = grant(&mut leader, later("worker1")).await.unwrap();
    let over =
        RoleGrant { valid_to: Some(to_proto(begin + chrono::TimeDelta::hours(1))), ..later("worker1") };
    let over = grant(&mut leader, over).await.unwrap();

    service.clock().advance(Duration::from_secs(86_400 + 7_200));
    let mut told: Vec<RoleGranted> = Vec::new();
    let of_worker = || ListRoleGrantsRequest { person_id: world.person("worker1"), ..Default::default() };
    service
        .wait_for("the others begin and end", async || {
            told.extend(service.drain_outbox().await.iter().map(|e| e.decode::<RoleGranted>().unwrap()));
            let grants = leader.list_role_grants(of_worker()).await.unwrap().into_inner().grants;
            let ended =
                |g: &RoleGrant| g.grant_id == over.grant_id && g.state == RoleGrantState::Expired as i32;
            grants.iter().any(ended) && !told.is_empty()
        })
        .await;
    assert_eq!(told.iter().map(|t| t.grant_id.as_str()).collect::<Vec<_>>(), [sound.grant_id.as_str()]);
}

#[tokio::test]
async fn a_grant_whose_holder_is_held_by_somebody_keeps_no_other_from_ending() {
    let world = World::start().await;
    let service = &world.service;
    let mut leader = world.persons("leader1").await;
    let end = service.clock().now() + chrono::TimeDelta::days(1);
    let short = |login| RoleGrant {
        valid_to: Some(to_proto(end)),
        ..wanted(&world, login, Role::ServiceWorker, "community1")
    };
    grant(&mut leader, short("resident")).await.unwrap();
    let free = grant(&mut leader, short("worker1")).await.unwrap();
    // As an operator's open transaction does.
    let mut operator = service.db().dedicated("-c idle_in_transaction_session_timeout=0").await.unwrap();
    let resident = world.person("resident");
    let holds = format!("BEGIN; SELECT 1 FROM persons WHERE person_id = '{resident}' FOR UPDATE");
    operator.batch_execute(&holds).await.unwrap();
    service.clock().advance(Duration::from_secs(86_400 + 7_200));
    let of_worker = || ListRoleGrantsRequest { person_id: world.person("worker1"), ..Default::default() };
    let ended = |g: &RoleGrant| g.grant_id == free.grant_id && g.state == RoleGrantState::Expired as i32;
    service
        .wait_for("the other ends", async || {
            leader.list_role_grants(of_worker()).await.unwrap().into_inner().grants.iter().any(ended)
        })
        .await;
    operator.batch_execute("ROLLBACK").await.unwrap();
}

#[tokio::test]
async fn a_request_that_nobody_approved_in_time_ends_and_is_told_to_nobody() {
    let world = World::start().await;
    let service = &world.service;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let end = service.clock().now() + chrono::TimeDelta::days(1);
    let short = RoleGrant {
        valid_to: Some(to_proto(end)),
        ..wanted(&world, "analyst", Role::SystemAdmin, "district")
    };
    let asked = grant(&mut first, short).await.unwrap();
    service.clock().advance(Duration::from_secs(86_400));
    assert_eq!(refusal(approve(&mut second, &asked.grant_id).await), Code::FailedPrecondition);
    // It no longer stands in the way of another administrator's role.
    service
        .wait_for("the request ends", async || {
            grant(&mut first, wanted(&world, "analyst", Role::AuditAdmin, "district")).await.is_ok()
        })
        .await;
    assert!(service.drain_outbox().await.is_empty());
}

#[tokio::test]
async fn who_becomes_an_administrator_signs_in_anew() {
    let world = World::start().await;
    let (here, there) = (world.sign_in("analyst").await, world.sign_in("analyst").await);
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let asked = grant(&mut first, wanted(&world, "analyst", Role::AuditAdmin, "district")).await.unwrap();
    let look = async |token: &str| world.auth_with(token).get_self(GetSelfRequest {}).await;
    assert!(look(&here.access_token).await.is_ok(), "nothing is granted yet");
    approve(&mut second, &asked.grant_id).await.unwrap();
    for pair in [here, there] {
        assert_eq!(refusal(look(&pair.access_token).await), Code::Unauthenticated);
        let request = RefreshTokenRequest { refresh_token: pair.refresh_token, ..Default::default() };
        let answer = world.auth_anonymously().refresh_token(request).await;
        assert_eq!(refusal(answer), Code::Unauthenticated);
    }
    let again = world.sign_in("analyst").await;
    assert_eq!(look(&again.access_token).await.unwrap().into_inner().grants.len(), 2);
}

#[tokio::test]
async fn a_grant_for_another_purpose_does_not_count() {
    let world = World::start().await;
    let mut admin = world.persons("secadmin1").await;
    let narrow = RoleGrant {
        purposes: vec!["administration".to_owned()],
        ..wanted(&world, "resident", Role::ServiceWorker, "community1")
    };
    grant(&mut admin, narrow).await.unwrap();
    let pair = world.sign_in("resident").await;
    assert_eq!(refusal(see(&world, &pair.access_token, "head1").await), Code::PermissionDenied);
    let fitting = RoleGrant {
        purposes: vec!["handle_appeal".to_owned()],
        ..wanted(&world, "resident", Role::ServiceWorker, "community1")
    };
    grant(&mut admin, fitting).await.unwrap();
    let pair = world.sign_in("resident").await;
    see(&world, &pair.access_token, "head1").await.unwrap();
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::start().await;
    let mut admin = world.persons("secadmin1").await;
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListRoleGrantsRequest { page_size: 5, page_token: token, ..Default::default() };
        let page = admin.list_role_grants(request).await.unwrap().into_inner();
        assert!(page.grants.len() <= 5);
        seen.extend(page.grants.into_iter().map(|g| g.grant_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), world.people.len());
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), world.people.len());
}
