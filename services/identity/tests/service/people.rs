//! People: sealed fields, masks, blind indexes, reveals with a record, and who reaches whom.

use crate::world::{PASSWORD, World, assert_absent, dump, fields, nobody, refusal, request_id};
use chassis::{auth::Role, grpc::PeerChannel};
use identity::{
    domain::audit::Decision,
    store::{audit, organizations, units},
};
use proto::identity::v1::{
    ChangePasswordRequest, CreateAccountRequest, CreatePersonRequest, FindPersonRequest, GetPersonRequest,
    GetSelfRequest, Person, RefreshTokenRequest, ResetPasswordRequest, RevealPersonRequest, SessionRevoked,
    person_service_client::PersonServiceClient,
};
use tonic::Code;

const NAME: &str = "诸葛金丝雀";
const PHONE: &str = "13900001234";
const ID_NO: &str = "11010519491231002X";

fn canary(world: &World) -> CreatePersonRequest {
    CreatePersonRequest {
        request_id: request_id(),
        name: NAME.to_owned(),
        id_no: ID_NO.to_owned(),
        phone: PHONE.to_owned(),
        home_unit_id: world.unit("community1"),
        notice_version: "2026-01".to_owned(),
        ..Default::default()
    }
}

async fn create(client: &mut PersonServiceClient<PeerChannel>, request: CreatePersonRequest) -> Person {
    client.create_person(request).await.unwrap().into_inner().person.unwrap()
}

fn reveal(person_id: &str) -> RevealPersonRequest {
    RevealPersonRequest { person_id: person_id.to_owned(), reason_code: "home_visit".to_owned() }
}

#[tokio::test]
async fn a_person_is_masked_until_revealed_and_stands_nowhere_in_clear() {
    let world = World::start().await;
    let mut worker = world.persons("worker1").await;
    let person = create(&mut worker, canary(&world)).await;
    assert_eq!(person.name_masked, "诸**");
    assert_eq!(person.phone_masked, "139****1234");
    assert_eq!(person.id_no_masked, "1101**********002X");
    assert_eq!(person.birth_year, 1949);

    let request = GetPersonRequest { person_id: person.person_id.clone() };
    let got = worker.get_person(request).await.unwrap().into_inner().person.unwrap();
    assert_eq!(got, person);
    let clear = worker.reveal_person(reveal(&person.person_id)).await.unwrap().into_inner();
    assert_eq!((clear.name.as_str(), clear.phone.as_str(), clear.id_no.as_str()), (NAME, PHONE, ID_NO));

    let dump = dump(&world).await; // the outbox, the answers kept and the audit trail among the tables
    for canary in [NAME, PHONE, ID_NO, "诸葛"] {
        assert_absent(&dump, canary);
    }
    for event in world.service.drain_outbox().await {
        let bytes = String::from_utf8_lossy(&event.data).into_owned();
        assert!(
            !bytes.contains(NAME) && !bytes.contains(PHONE) && !bytes.contains(ID_NO),
            "{}",
            event.r#type
        );
    }
    world.service.stop().await;
}

#[tokio::test]
async fn a_repeated_request_makes_one_person_and_another_body_is_refused() {
    let world = World::start().await;
    let mut worker = world.persons("worker1").await;
    let request = canary(&world);
    let first = create(&mut worker, request.clone()).await;
    assert_eq!(create(&mut worker, request.clone()).await, first);
    let other = CreatePersonRequest { phone: "13900009999".to_owned(), ..request };
    let error = worker.create_person(other).await.unwrap_err();
    assert_eq!(crate::world::fields(&error), ["request_id"]);
}

#[tokio::test]
async fn one_identity_number_is_one_person() {
    let world = World::start().await;
    let mut worker = world.persons("worker1").await;
    create(&mut worker, canary(&world)).await;
    let error = worker.create_person(canary(&world)).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert!(!error.message().contains(ID_NO));
    // Being told that somebody is known leaves a record, wherever that person lives.
    let elsewhere = CreatePersonRequest { home_unit_id: world.unit("community2"), ..canary(&world) };
    let error = world.persons("worker2").await.create_person(elsewhere).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    assert_eq!(entries.len(), 2);
    for entry in &entries {
        let told = (entry.access.action.as_str(), entry.access.decision, entry.access.object_id);
        assert_eq!(told, ("CreatePerson", Decision::Deny, None));
        assert_eq!(entry.access.purpose, "handle_appeal");
    }
    assert_ne!(entries[0].access.actor_ref, entries[1].access.actor_ref);
    let crypto = &world.service.context.crypto;
    assert!(audit::check(&mut conn, crypto, None).await.unwrap().is_ok());
}

#[tokio::test]
async fn all_goes_on_beside_a_migration_that_adds_a_column_to_every_table() {
    let world = World::start().await;
    let person = create(&mut world.persons("worker1").await, canary(&world)).await;
    for migrated in [false, true] {
        if migrated {
            world.service.add_columns().await;
        }
        let mut worker = world.persons("worker1").await;
        let find = FindPersonRequest { phone: PHONE.to_owned(), ..Default::default() };
        let found = worker.find_person(find).await.unwrap().into_inner().person.unwrap();
        assert_eq!(found.person_id, person.person_id);
        worker.reveal_person(reveal(&person.person_id)).await.unwrap();

        let mut conn = world.service.db().conn().await.unwrap();
        let crypto = &world.service.context.crypto;
        assert!(audit::check(&mut conn, crypto, None).await.unwrap().is_ok());
        assert!(units::get(&mut conn, world.units["street1"]).await.unwrap().is_some());
        assert!(organizations::get(&mut conn, world.orgs["gov"]).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_person_is_found_by_phone_or_identity_number_in_any_form_within_reach_only() {
    let world = World::start().await;
    let mut worker = world.persons("worker1").await;
    let person = create(&mut worker, canary(&world)).await;
    let by_phone = |phone: &str| FindPersonRequest { phone: phone.to_owned(), ..Default::default() };
    let by_id = |id_no: &str| FindPersonRequest { id_no: id_no.to_owned(), ..Default::default() };
    for request in [by_phone("+86 139-0000-1234"), by_id("11010519491231002x")] {
        let found = worker.find_person(request).await.unwrap().into_inner().person.unwrap();
        assert_eq!(found.person_id, person.person_id);
    }
    let mut elsewhere = world.persons("worker2").await;
    let hidden = elsewhere.find_person(by_phone(PHONE)).await.unwrap_err();
    let missing = elsewhere.find_person(by_phone("13900000000")).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    assert_eq!((hidden.code(), hidden.message()), (missing.code(), missing.message()));
    assert_eq!(hidden.details().len(), missing.details().len());
    assert!(!hidden.message().contains(PHONE));
    let mut district = world.persons("dispatcher").await;
    assert!(district.find_person(by_phone(PHONE)).await.is_ok());
}

#[tokio::test]
async fn out_of_reach_is_as_if_there_were_nobody() {
    let world = World::start().await;
    let person = create(&mut world.persons("worker1").await, canary(&world)).await;
    // Another street, and another line: the grant does not cover the person.
    for login in ["worker2", "lineworker"] {
        let mut client = world.persons(login).await;
        let get = |id: &str| GetPersonRequest { person_id: id.to_owned() };
        let hidden = client.get_person(get(&person.person_id)).await.unwrap_err();
        let missing = client.get_person(get(&nobody())).await.unwrap_err();
        assert_eq!((hidden.code(), missing.code()), (Code::NotFound, Code::NotFound), "{login}");
        assert_eq!(
            hidden.message().replace(&person.person_id, "ID"),
            missing.message().replace(&nobody(), "ID")
        );
        let hidden = client.reveal_person(reveal(&person.person_id)).await.unwrap_err();
        let missing = client.reveal_person(reveal(&nobody())).await.unwrap_err();
        assert_eq!((hidden.code(), missing.code()), (Code::NotFound, Code::NotFound), "{login}");
        let home = CreatePersonRequest { id_no: String::new(), ..canary(&world) };
        assert_eq!(
            refusal(client.create_person(home).await),
            Code::NotFound,
            "{login}: the home is out of reach"
        );
    }
}

#[tokio::test]
async fn roles_without_the_purpose_are_refused_outright() {
    let world = World::start().await;
    let person = create(&mut world.persons("worker1").await, canary(&world)).await;
    for login in ["resident", "analyst", "operator", "sysadmin", "secadmin1", "leader1"] {
        let mut client = world.persons(login).await;
        let get = GetPersonRequest { person_id: person.person_id.clone() };
        assert_eq!(refusal(client.get_person(get).await), Code::PermissionDenied, "{login}");
        assert_eq!(
            refusal(client.reveal_person(reveal(&person.person_id)).await),
            Code::PermissionDenied,
            "{login}"
        );
        assert_eq!(refusal(client.create_person(canary(&world)).await), Code::PermissionDenied, "{login}");
    }
    let mut anonymous = PersonServiceClient::new(world.service.call_anonymously());
    assert_eq!(refusal(anonymous.reveal_person(reveal(&person.person_id)).await), Code::Unauthenticated);
}

#[tokio::test]
async fn every_reveal_and_search_leaves_an_entry_in_an_unbroken_chain() {
    let world = World::start().await;
    let mut worker = world.persons("worker1").await;
    let person = create(&mut worker, canary(&world)).await;
    worker.reveal_person(reveal(&person.person_id)).await.unwrap();
    let find = FindPersonRequest { phone: "13900000000".to_owned(), ..Default::default() };
    assert!(worker.find_person(find).await.is_err());
    assert!(world.persons("worker2").await.reveal_person(reveal(&person.person_id)).await.is_err());

    let crypto = &world.service.context.crypto;
    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|e| (e.access.action.as_str(), e.access.decision, e.access.object_id.map(|id| id.to_string())))
        .collect();
    let id = Some(person.person_id.clone());
    assert_eq!(
        told,
        [
            ("RevealPerson", Decision::Allow, id.clone()),
            ("FindPerson", Decision::Deny, None),
            ("RevealPerson", Decision::Deny, id),
        ]
    );
    assert!(entries.iter().all(|e| e.access.purpose == "handle_appeal" && !e.access.actor_ref.is_empty()));
    assert_eq!(entries[0].access.reason_code, "home_visit");
    assert!(audit::check(&mut conn, crypto, None).await.unwrap().is_ok());

    // The table refuses changes; whoever gets round that is found with the position.
    assert!(world.sql("DELETE FROM audit_entries").await.is_err());
    assert!(world.sql("TRUNCATE audit_entries").await.is_err());
    assert!(world.sql("UPDATE audit_entries SET decision = 'allow' WHERE seq = 2").await.is_err());
    world.sql("ALTER TABLE audit_entries DISABLE TRIGGER USER").await.unwrap();
    world.sql("UPDATE audit_entries SET decision = 'allow' WHERE seq = 2").await.unwrap();
    let fault = audit::check(&mut conn, crypto, None).await.unwrap().unwrap_err();
    assert_eq!(fault.seq, 2);
}

#[tokio::test]
async fn minors_are_revealed_only_to_those_who_answer_for_others() {
    let world = World::start().await;
    let mut worker = world.persons("worker1").await;
    let request = CreatePersonRequest { id_no: String::new(), birth_year: 2015, ..canary(&world) };
    let child = create(&mut worker, request).await;
    assert_eq!(refusal(worker.reveal_person(reveal(&child.person_id)).await), Code::PermissionDenied);
    assert!(world.persons("head1").await.reveal_person(reveal(&child.person_id)).await.is_ok());
    // Who answers for others in another community does not where the child lives.
    world.add_grant("worker1", Role::StationHead, "community2").await;
    let mut worker = world.persons("worker1").await;
    assert_eq!(refusal(worker.reveal_person(reveal(&child.person_id)).await), Code::PermissionDenied);
    world.add_grant("worker1", Role::StreetDispatcher, "street1").await;
    let mut worker = world.persons("worker1").await;
    assert!(worker.reveal_person(reveal(&child.person_id)).await.is_ok());
    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    assert_eq!(
        entries.iter().map(|e| e.access.decision).collect::<Vec<_>>(),
        [Decision::Deny, Decision::Allow, Decision::Deny, Decision::Allow]
    );
}

#[tokio::test]
async fn an_account_is_made_once_and_opens_the_door() {
    let world = World::start().await;
    let person = create(&mut world.persons("worker1").await, canary(&world)).await;
    let mut admin = world.persons("secadmin1").await;
    let request = CreateAccountRequest {
        request_id: request_id(),
        person_id: person.person_id.clone(),
        login: "New.Worker".to_owned(),
        password: "a-fine-long-password".to_owned(),
    };
    admin.create_account(request.clone()).await.unwrap();
    admin.create_account(request.clone()).await.unwrap();
    let pair = world.try_sign_in("new.worker", "a-fine-long-password").await.unwrap();
    assert_eq!(pair.person_id, person.person_id);
    let again = CreateAccountRequest { request_id: request_id(), ..request.clone() };
    assert_eq!(refusal(admin.create_account(again).await), Code::AlreadyExists);
    let second =
        CreateAccountRequest { request_id: request_id(), login: "other".to_owned(), ..request.clone() };
    assert_eq!(refusal(admin.create_account(second).await), Code::AlreadyExists);
    let missing = CreateAccountRequest {
        request_id: request_id(),
        person_id: nobody(),
        login: "third".to_owned(),
        ..request
    };
    assert_eq!(refusal(admin.create_account(missing).await), Code::NotFound);
    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    let told: Vec<_> = entries
        .iter()
        .map(|e| (e.access.action.as_str(), e.access.object_id.map(|id| id.to_string())))
        .collect();
    assert_eq!(told, [("CreateAccount", Some(person.person_id))], "what was refused or repeated made none");
    assert_absent(&dump(&world).await, "a-fine-long-password");
}

#[tokio::test]
async fn nobody_makes_the_account_of_somebody_with_a_role_beyond_their_own() {
    let mut world = World::start().await;
    world.add_person("secadmin_street", Role::SecurityAdmin, "street1", None, None).await;
    world.add_grant("head1", Role::Analyst, "district").await;
    world.sql("DELETE FROM accounts WHERE login IN ('head1', 'worker1', 'worker2')").await.unwrap();
    let mut street = world.persons("secadmin_street").await;
    let account = |login: &str| CreateAccountRequest {
        request_id: request_id(),
        person_id: world.person(login),
        login: login.to_owned(),
        password: NEW_PASSWORD.to_owned(),
    };
    assert_eq!(refusal(street.create_account(account("head1")).await), Code::PermissionDenied);
    assert_eq!(refusal(street.create_account(account("worker2")).await), Code::NotFound);
    street.create_account(account("worker1")).await.unwrap();
    world.persons("secadmin1").await.create_account(account("head1")).await.unwrap();
    world.try_sign_in("head1", NEW_PASSWORD).await.unwrap();
}

const NEW_PASSWORD: &str = "another-fine-long-password";

fn reset(person_id: String) -> ResetPasswordRequest {
    ResetPasswordRequest { request_id: request_id(), person_id, password: NEW_PASSWORD.to_owned() }
}

#[tokio::test]
async fn a_password_that_is_set_anew_is_the_only_one_and_ends_what_was_open() {
    let world = World::start().await;
    let old = world.sign_in("worker1").await;
    for _ in 0..5 {
        refusal(world.try_sign_in("worker1", "wrong-password").await);
    }
    assert_eq!(refusal(world.try_sign_in("worker1", PASSWORD).await), Code::ResourceExhausted);
    let mut admin = world.persons("secadmin1").await;
    let request = reset(world.person("worker1"));
    admin.reset_password(request.clone()).await.unwrap();

    let look = async |token: &str| world.auth_with(token).get_self(GetSelfRequest {}).await;
    assert_eq!(refusal(look(&old.access_token).await), Code::Unauthenticated);
    let refresh = RefreshTokenRequest { refresh_token: old.refresh_token, ..Default::default() };
    assert_eq!(refusal(world.auth_anonymously().refresh_token(refresh).await), Code::Unauthenticated);
    let wrong = world.try_sign_in("worker1", PASSWORD).await;
    assert_eq!(refusal(wrong), Code::Unauthenticated, "neither locked nor right any more");
    let new = world.try_sign_in("worker1", NEW_PASSWORD).await.unwrap();
    admin.reset_password(request).await.unwrap();
    assert!(look(&new.access_token).await.is_ok(), "a repeat ends nothing");

    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.access.action.as_str(), e.access.object_id)).collect();
    assert_eq!(told, [("ResetPassword", Some(world.people["worker1"].0))]);
    assert_absent(&dump(&world).await, NEW_PASSWORD);
}

#[tokio::test]
async fn a_password_is_set_anew_by_another_security_administrator_within_reach_only() {
    let mut world = World::start().await;
    for login in ["worker1", "leader1", "sysadmin"] {
        let answer = world.persons(login).await.reset_password(reset(world.person("resident"))).await;
        assert_eq!(refusal(answer), Code::PermissionDenied, "{login}");
    }
    let mut admin = world.persons("secadmin1").await;
    let own = admin.reset_password(reset(world.person("secadmin1"))).await.unwrap_err();
    assert_eq!(fields(&own), ["person_id"]);
    let mut with_login = reset(world.person("worker1"));
    with_login.password = "x-worker1-and-more".to_owned();
    assert_eq!(fields(&admin.reset_password(with_login).await.unwrap_err()), ["password"]);
    let child = create(&mut world.persons("worker1").await, canary(&world)).await;
    let without = admin.reset_password(reset(child.person_id)).await;
    assert_eq!(refusal(without), Code::NotFound, "who has no login");

    // Of one street: neither people of another, nor whoever there holds a role over more than the street.
    world.add_person("secadmin_street", Role::SecurityAdmin, "street1", None, None).await;
    world.add_grant("head1", Role::Analyst, "district").await;
    let mut street = world.persons("secadmin_street").await;
    let hidden = street.reset_password(reset(world.person("worker2"))).await.unwrap_err();
    let missing = street.reset_password(reset(nobody())).await.unwrap_err();
    assert_eq!((hidden.code(), missing.code()), (Code::NotFound, Code::NotFound));
    assert_eq!(
        hidden.message().replace(&world.person("worker2"), "ID"),
        missing.message().replace(&nobody(), "ID")
    );
    let above = street.reset_password(reset(world.person("head1"))).await;
    assert_eq!(refusal(above), Code::PermissionDenied);
    street.reset_password(reset(world.person("worker1"))).await.unwrap();

    // Another administrator's, too.
    admin.reset_password(reset(world.person("secadmin2"))).await.unwrap();
    world.try_sign_in("secadmin2", NEW_PASSWORD).await.unwrap();
}

fn change(current_password: &str) -> ChangePasswordRequest {
    ChangePasswordRequest {
        request_id: request_id(),
        current_password: current_password.to_owned(),
        new_password: NEW_PASSWORD.to_owned(),
    }
}

#[tokio::test]
async fn people_change_their_own_password_and_only_the_session_they_do_it_in_goes_on() {
    let world = World::start().await;
    let (here, there) = (world.sign_in("worker1").await, world.sign_in("worker1").await);
    let mut own = world.auth_with(&here.access_token);
    let request = change(PASSWORD);
    own.change_password(request.clone()).await.unwrap();

    let look = async |token: &str| world.auth_with(token).get_self(GetSelfRequest {}).await;
    let refresh = async |token: &str| {
        let request = RefreshTokenRequest { refresh_token: token.to_owned(), ..Default::default() };
        world.auth_anonymously().refresh_token(request).await
    };
    assert_eq!(refusal(look(&there.access_token).await), Code::Unauthenticated);
    assert_eq!(refusal(refresh(&there.refresh_token).await), Code::Unauthenticated);
    assert!(look(&here.access_token).await.is_ok());
    assert!(refresh(&here.refresh_token).await.is_ok());
    let told = world.service.drain_outbox().await;
    let told: Vec<SessionRevoked> = told.iter().filter_map(|event| event.decode().ok()).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].person_id, world.person("worker1"));

    assert_eq!(refusal(world.try_sign_in("worker1", PASSWORD).await), Code::Unauthenticated);
    let new = world.try_sign_in("worker1", NEW_PASSWORD).await.unwrap();
    own.change_password(request.clone()).await.unwrap();
    assert!(look(&new.access_token).await.is_ok(), "a repeat ends nothing, and is no wrong password");
    let other = ChangePasswordRequest { new_password: "yet-another-fine-one".to_owned(), ..request };
    assert_eq!(fields(&own.change_password(other).await.unwrap_err()), ["request_id"]);

    let mut conn = world.service.db().conn().await.unwrap();
    let entries = audit::entries(&mut conn).await.unwrap();
    let told: Vec<_> = entries.iter().map(|e| (e.access.action.as_str(), e.access.object_id)).collect();
    assert_eq!(told, [("ChangePassword", Some(world.people["worker1"].0))]);
    assert_eq!(entries[0].access.decision, Decision::Allow);
    let dump = dump(&world).await;
    for password in [PASSWORD, NEW_PASSWORD] {
        assert_absent(&dump, password);
    }
}

#[tokio::test]
async fn a_password_chosen_for_an_approver_never_comes_back_and_its_chooser_does_not_choose_the_next() {
    let mut world = World::start().await;
    world.add_person("secadmin3", Role::SecurityAdmin, "district", None, None).await;
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let changed =
        |from: &str, to: &str| ChangePasswordRequest { new_password: to.to_owned(), ..change(from) };
    for (login, again) in [("secadmin3", Err(Code::FailedPrecondition)), ("worker1", Ok(()))] {
        let person = world.person(login);
        for _ in 0..2 {
            first.reset_password(reset(person.clone())).await.unwrap(); // nobody has changed it yet
        }
        // Whoever chose it changes it in the owner's place, and would change it back.
        let pair = world.try_sign_in(login, NEW_PASSWORD).await.unwrap();
        let mut own = world.auth_with(&pair.access_token);
        own.change_password(changed(NEW_PASSWORD, "yet-another-fine-one")).await.unwrap();
        let words = ["yet-another-fine-one", "one-more-fine-one"];
        for (from, to) in [(words[0], words[1]), (words[1], words[0])] {
            let back = own.change_password(changed(from, NEW_PASSWORD)).await.unwrap_err();
            assert_eq!(fields(&back), ["new_password"], "{login}");
            own.change_password(changed(from, to)).await.unwrap();
        }
        let answer = first.reset_password(reset(person.clone())).await;
        assert_eq!(answer.map(drop).map_err(|status| status.code()), again, "{login}");
        second.reset_password(reset(person.clone())).await.unwrap();
        first.reset_password(reset(person)).await.unwrap(); // somebody else has chosen one meanwhile
    }
}

#[tokio::test]
async fn a_wrong_current_password_is_told_as_at_signing_in_and_locks_the_login_with_it() {
    let world = World::start().await;
    let pair = world.sign_in("worker1").await;
    let mut own = world.auth_with(&pair.access_token);
    let at_the_door = world.try_sign_in("worker1", "wrong-password").await.unwrap_err();
    let inside = own.change_password(change("wrong-password")).await.unwrap_err();
    assert_eq!(inside.code(), Code::Unauthenticated);
    assert_eq!(
        (inside.code(), inside.message(), inside.details()),
        (at_the_door.code(), at_the_door.message(), at_the_door.details())
    );
    for _ in 0..3 {
        assert_eq!(refusal(own.change_password(change("wrong-password")).await), Code::Unauthenticated);
    }
    // Five in all, here and there.
    assert_eq!(refusal(own.change_password(change(PASSWORD)).await), Code::ResourceExhausted);
    assert_eq!(refusal(world.try_sign_in("worker1", PASSWORD).await), Code::ResourceExhausted);
    world.sql("UPDATE sign_in_failures SET locked_until = now() - interval '1 second'").await.unwrap();
    own.change_password(change(PASSWORD)).await.unwrap();
    assert_eq!(world.sql("SELECT 1 FROM sign_in_failures").await.unwrap(), 0, "failures are forgotten");
}
