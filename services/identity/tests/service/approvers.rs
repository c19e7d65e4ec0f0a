//! Two approvers are two persons: whoever knows somebody's password is no second one beside them.

use crate::{
    grants::{approve, grant, wanted},
    world::{PASSWORD, World, refusal, request_id},
};
use chassis::{auth::Role, grpc::PeerChannel};
use proto::identity::v1::{
    ChangePasswordRequest, CreateAccountRequest, ListRoleGrantsRequest, ResetPasswordRequest, RoleGrant,
    RoleGrantState, SignInResponse, person_service_client::PersonServiceClient,
};
use tonic::{Code, Status};

const NEW_PASSWORD: &str = "another-fine-long-password";
const OWN_PASSWORD: &str = "yet-another-fine-one";

type People = PersonServiceClient<PeerChannel>;

/// A third security administrator beside the two of the world.
async fn with_a_third() -> World {
    let mut world = World::start().await;
    world.add_person("secadmin3", Role::SecurityAdmin, "district", None, None).await;
    world
}

/// Sets somebody's password anew, to [`NEW_PASSWORD`].
async fn reset(world: &World, by: &mut People, login: &str) -> Result<(), Status> {
    let request = ResetPasswordRequest {
        request_id: request_id(),
        person_id: world.person(login),
        password: NEW_PASSWORD.to_owned(),
    };
    by.reset_password(request).await.map(drop)
}

/// Makes an account with [`PASSWORD`].
async fn make(world: &World, by: &mut People, login: &str) -> Result<(), Status> {
    let request = CreateAccountRequest {
        request_id: request_id(),
        person_id: world.person(login),
        login: login.to_owned(),
        password: PASSWORD.to_owned(),
    };
    by.create_account(request).await.map(drop)
}

/// Whoever knows the password that was set anew signs in by it.
async fn borrow(world: &World, login: &str) -> (SignInResponse, People) {
    let pair = world.try_sign_in(login, NEW_PASSWORD).await.unwrap();
    let people = PersonServiceClient::new(world.service.call_with(&pair.access_token));
    (pair, people)
}

/// The owner changes it to [`OWN_PASSWORD`].
async fn change(world: &World, pair: &SignInResponse, from: &str) {
    let request = ChangePasswordRequest {
        request_id: request_id(),
        current_password: from.to_owned(),
        new_password: OWN_PASSWORD.to_owned(),
    };
    world.auth_with(&pair.access_token).change_password(request).await.unwrap();
}

/// A street's leader is asked for: a role that needs a second approver.
async fn ask(world: &World, by: &mut People, login: &str) -> Result<RoleGrant, Status> {
    grant(by, wanted(world, login, Role::StreetLeader, "street1")).await
}

async fn state(world: &World, by: &mut People, login: &str, id: &str) -> RoleGrantState {
    let list = ListRoleGrantsRequest { person_id: world.person(login), ..Default::default() };
    let grants = by.list_role_grants(list).await.unwrap().into_inner().grants;
    grants.iter().find(|grant| grant.grant_id == id).expect("it is listed").state()
}

#[tokio::test]
async fn who_had_the_password_set_by_the_first_approver_is_no_second_one() {
    let world = World::start().await;
    let mut first = world.persons("secadmin1").await;
    let asked = ask(&world, &mut first, "worker1").await.unwrap();
    reset(&world, &mut first, "secadmin2").await.unwrap();
    // The session of before is over.
    let (_pair, mut second) = borrow(&world, "secadmin2").await;
    assert_eq!(refusal(approve(&mut second, &asked.grant_id).await), Code::FailedPrecondition);
    // Nor the other way round, by whoever may have asked as the other.
    let asked = ask(&world, &mut second, "head1").await.unwrap();
    assert_eq!(refusal(approve(&mut first, &asked.grant_id).await), Code::FailedPrecondition);
}

#[tokio::test]
async fn approvers_whose_accounts_one_person_made_are_one_until_they_change_their_passwords() {
    let world = with_a_third().await;
    world.sql("DELETE FROM accounts WHERE login IN ('secadmin2', 'secadmin3')").await.unwrap();
    let mut maker = world.persons("secadmin1").await;
    for login in ["secadmin2", "secadmin3"] {
        make(&world, &mut maker, login).await.unwrap();
    }
    let mut first = world.persons("secadmin2").await;
    let pair = world.sign_in("secadmin3").await;
    let mut second = PersonServiceClient::new(world.service.call_with(&pair.access_token));
    let asked = ask(&world, &mut first, "worker1").await.unwrap();
    for approver in [&mut maker, &mut second] {
        assert_eq!(refusal(approve(approver, &asked.grant_id).await), Code::FailedPrecondition);
    }
    change(&world, &pair, PASSWORD).await;
    approve(&mut second, &asked.grant_id).await.unwrap();
}

#[tokio::test]
async fn what_was_asked_under_a_password_that_somebody_else_chose_ends_with_it() {
    let world = with_a_third().await;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let mut third = world.persons("secadmin3").await;
    let honest = ask(&world, &mut third, "head1").await.unwrap();

    // Whoever set it anew asks as its owner, who changes it then: they are two persons from there on only.
    reset(&world, &mut first, "secadmin3").await.unwrap();
    assert_eq!(state(&world, &mut first, "head1", &honest.grant_id).await, RoleGrantState::Requested);
    let (pair, mut third) = borrow(&world, "secadmin3").await;
    let asked = ask(&world, &mut third, "worker1").await.unwrap();
    world.service.drain_outbox().await;
    change(&world, &pair, NEW_PASSWORD).await;
    for (login, id) in [("worker1", &asked.grant_id), ("head1", &honest.grant_id)] {
        assert_eq!(state(&world, &mut first, login, id).await, RoleGrantState::Revoked, "{login}");
        assert_eq!(refusal(approve(&mut first, id).await), Code::FailedPrecondition, "{login}");
    }
    assert!(world.service.drain_outbox().await.is_empty(), "nobody was told of it before");
    let again = ask(&world, &mut third, "worker1").await.unwrap();

    // What the owner asks under a password that nobody else chose goes on whoever sets the next one.
    reset(&world, &mut second, "secadmin3").await.unwrap();
    approve(&mut first, &again.grant_id).await.unwrap();

    // Setting it anew once more ends it as well, and takes nothing from what was approved.
    let (_pair, mut third) = borrow(&world, "secadmin3").await;
    let asked = ask(&world, &mut third, "head1").await.unwrap();
    let other = ask(&world, &mut second, "analyst").await.unwrap();
    reset(&world, &mut second, "secadmin3").await.unwrap();
    assert_eq!(refusal(approve(&mut first, &asked.grant_id).await), Code::FailedPrecondition);
    assert_eq!(state(&world, &mut first, "worker1", &again.grant_id).await, RoleGrantState::Active);
    approve(&mut first, &other.grant_id).await.unwrap();
}

#[tokio::test]
async fn who_learnt_a_password_under_a_borrowed_one_is_no_second_approver_though_that_is_changed() {
    let world = with_a_third().await;
    world.sql("DELETE FROM accounts WHERE login = 'secadmin3'").await.unwrap();
    let mut first = world.persons("secadmin1").await;
    let asked = ask(&world, &mut first, "worker1").await.unwrap();
    // One after another: the second's password set by the first, the third's by whoever is the second.
    reset(&world, &mut first, "secadmin2").await.unwrap();
    let (second_pair, mut second) = borrow(&world, "secadmin2").await;
    make(&world, &mut second, "secadmin3").await.unwrap();
    let mut third = world.persons("secadmin3").await;
    let backwards = ask(&world, &mut third, "head1").await.unwrap();
    assert_eq!(refusal(approve(&mut third, &asked.grant_id).await), Code::FailedPrecondition);
    assert_eq!(refusal(approve(&mut first, &backwards.grant_id).await), Code::FailedPrecondition);
    reset(&world, &mut second, "secadmin3").await.unwrap();
    let (third_pair, mut third) = borrow(&world, "secadmin3").await;
    assert_eq!(refusal(approve(&mut third, &asked.grant_id).await), Code::FailedPrecondition);

    // The second's change takes back nothing of what was learnt before.
    change(&world, &second_pair, NEW_PASSWORD).await;
    assert_eq!(refusal(approve(&mut third, &asked.grant_id).await), Code::FailedPrecondition);
    change(&world, &third_pair, NEW_PASSWORD).await;
    approve(&mut third, &asked.grant_id).await.unwrap();
    // Neither of the two who may have chosen it chooses the next one.
    for chooser in [&mut first, &mut second] {
        assert_eq!(refusal(reset(&world, chooser, "secadmin3").await), Code::FailedPrecondition);
    }
}

#[tokio::test]
async fn whom_a_replica_of_the_build_before_lets_choose_a_password_brings_those_behind_along() {
    let world = with_a_third().await;
    let mut first = world.persons("secadmin1").await;
    let asked = ask(&world, &mut first, "worker1").await.unwrap();
    reset(&world, &mut first, "secadmin2").await.unwrap();
    // As it writes: who chose, and nothing else.
    world
        .sql(
            "UPDATE accounts
                SET password_set_by = (SELECT person_id FROM accounts WHERE login = 'secadmin2')
              WHERE login = 'secadmin3'",
        )
        .await
        .unwrap();
    let mut third = world.persons("secadmin3").await;
    assert_eq!(refusal(approve(&mut third, &asked.grant_id).await), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_session_that_has_ended_gives_no_roles_and_chooses_no_passwords_though_its_tokens_go_on() {
    let world = World::start().await;
    world.sql("DELETE FROM accounts WHERE login = 'resident'").await.unwrap();
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let asked = ask(&world, &mut first, "worker1").await.unwrap();
    // At another replica, which this one has not heard of yet.
    world
        .sql(
            "UPDATE sessions SET ended_at = now(), end_reason = 'replaced'
              WHERE person_id = (SELECT person_id FROM accounts WHERE login = 'secadmin2')",
        )
        .await
        .unwrap();
    assert_eq!(refusal(ask(&world, &mut second, "head1").await), Code::Unauthenticated);
    assert_eq!(refusal(approve(&mut second, &asked.grant_id).await), Code::Unauthenticated);
    assert_eq!(refusal(make(&world, &mut second, "resident").await), Code::Unauthenticated);
    assert_eq!(refusal(reset(&world, &mut second, "head1").await), Code::Unauthenticated);
}
