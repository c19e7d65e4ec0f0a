//! Volunteers over real gRPC and a real database: learnt from grants, named by partners, on a break.

use crate::support::{World, accept, closed, refusal};
use chassis::{
    auth::Role,
    clock::new_id,
    proto::{
        auth::v1 as auth,
        identity::v1::{OrganizationChanged, RoleGranted, RoleRevoked},
        volunteer_matching::v1::{
            AcceptOfferRequest, CreateVolunteerRequest, ListVolunteersRequest, PauseVolunteerRequest,
            Volunteer, VolunteerState,
        },
    },
    testing::Persona,
};
use diesel_async::SimpleAsyncConnection;
use tonic::Code;
use uuid::Uuid;

async fn listed(world: &World) -> Vec<Volunteer> {
    let answer = world.volunteers(&world.manager).list_volunteers(ListVolunteersRequest::default()).await;
    answer.expect("listed").into_inner().volunteers
}

async fn pause(world: &World, id: &str, paused: bool) {
    let request =
        PauseVolunteerRequest { volunteer_id: id.to_owned(), request_id: new_id().to_string(), paused };
    let answer = world.volunteers(&world.manager).pause_volunteer(request).await.expect("set").into_inner();
    let expected = if paused { VolunteerState::Paused } else { VolunteerState::Active };
    assert_eq!(answer.volunteer.expect("a volunteer").state(), expected);
}

#[tokio::test]
async fn a_grant_makes_a_volunteer_with_the_organisations_skills_and_its_end_makes_one_leave() {
    let world = World::start().await;
    let (persona, grant_id) = world.volunteer().await;
    let found = listed(&world).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].volunteer_ref.as_str(), found[0].state()),
        (persona.actor_ref.as_str(), VolunteerState::Active)
    );
    assert!(!found[0].skill_codes.is_empty(), "some of the organisation's skills stand in");

    // The end of some other grant of the person says nothing about this one.
    let revoked = |grant_id: Uuid| RoleRevoked {
        person_id: persona.person_id.to_string(),
        grant_id: grant_id.to_string(),
        role: auth::Role::Volunteer.into(),
        tokens_before_time: Some(chassis::clock::to_proto(world.service.clock().real_now())),
    };
    world.tell("identity", persona.person_id, &revoked(new_id())).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Active);
    world.tell("identity", persona.person_id, &revoked(grant_id)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
    // Told once more after its end, the grant brings nobody back.
    world.tell("identity", persona.person_id, &world.granted(&persona, grant_id)).await;
    let found = listed(&world).await;
    assert_eq!((found.len(), found[0].state()), (1, VolunteerState::Left));
    let (_, offer_id) = world.offer().await;
    assert!(world.get(offer_id).await.candidates.is_empty());
}

#[tokio::test]
async fn a_grant_without_an_organisation_makes_no_volunteer_and_holds_nothing_up() {
    let world = World::start().await;
    let persona = Persona::new(Role::Volunteer, world.street);
    let granted = |org_id: String| RoleGranted {
        person_id: persona.person_id.to_string(),
        grant_id: new_id().to_string(),
        role: auth::Role::Volunteer.into(),
        unit_id: world.street.to_string(),
        line: String::new(),
        org_id,
        person_ref: persona.actor_ref.clone(),
    };
    world.tell("identity", persona.person_id, &granted(String::new())).await;
    assert!(listed(&world).await.is_empty());
    world.tell("identity", persona.person_id, &granted(world.org.to_string())).await;
    assert_eq!(listed(&world).await.len(), 1, "later events of the same person are not held up");
}

#[tokio::test]
async fn a_volunteer_whose_unit_was_merged_is_at_home_where_the_new_grant_says() {
    let world = World::start().await;
    let persona = Persona::new(Role::Volunteer, world.street);
    let granted = |unit: Uuid| RoleGranted {
        person_id: persona.person_id.to_string(),
        grant_id: new_id().to_string(),
        role: auth::Role::Volunteer.into(),
        unit_id: unit.to_string(),
        line: String::new(),
        org_id: world.org.to_string(),
        person_ref: persona.actor_ref.clone(),
    };
    let successor = new_id();
    for unit in [world.street, successor] {
        world.tell("identity", persona.person_id, &granted(unit)).await;
    }
    let found = listed(&world).await;
    assert_eq!((found.len(), found[0].home_unit_id.as_str()), (1, successor.to_string().as_str()));
}

#[tokio::test]
async fn who_volunteers_by_two_grants_leaves_with_the_last_of_them() {
    let world = World::start().await;
    let (persona, first) = world.volunteer().await;
    let revoked = |grant_id: Uuid| RoleRevoked {
        person_id: persona.person_id.to_string(),
        grant_id: grant_id.to_string(),
        role: auth::Role::Volunteer.into(),
        tokens_before_time: Some(chassis::clock::to_proto(world.service.clock().real_now())),
    };
    let (second, elsewhere) = (new_id(), new_id());
    let granted = RoleGranted { unit_id: elsewhere.to_string(), ..world.granted(&persona, second) };
    world.tell("identity", persona.person_id, &granted).await;
    assert_eq!(listed(&world).await[0].home_unit_id, elsewhere.to_string());
    let id = listed(&world).await[0].volunteer_id.clone();
    pause(&world, &id, true).await;
    world.tell("identity", persona.person_id, &revoked(second)).await;
    let found = listed(&world).await;
    assert_eq!((found.len(), found[0].state()), (1, VolunteerState::Paused), "the first is in force");
    assert_eq!(found[0].home_unit_id, world.street.to_string());
    world.tell("identity", persona.person_id, &granted).await;
    assert_eq!(listed(&world).await[0].home_unit_id, world.street.to_string(), "ended, it changes nothing");
    world.tell("identity", persona.person_id, &revoked(first)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
    // One that is told of only after its end makes nobody a volunteer.
    let third = new_id();
    world.tell("identity", persona.person_id, &revoked(third)).await;
    world.tell("identity", persona.person_id, &world.granted(&persona, third)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
    // The one that goes on need not be the older.
    let (fourth, fifth) = (new_id(), new_id());
    for grant_id in [fourth, fifth] {
        world.tell("identity", persona.person_id, &world.granted(&persona, grant_id)).await;
    }
    world.tell("identity", persona.person_id, &revoked(fourth)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Active);
    world.tell("identity", persona.person_id, &revoked(fifth)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
}

#[tokio::test]
async fn who_was_given_a_grant_or_left_by_a_replica_from_before_leaves_with_the_last_grant() {
    let world = World::start().await;
    let (persona, first) = world.volunteer().await;
    let revoked = |grant_id: Uuid| RoleRevoked {
        person_id: persona.person_id.to_string(),
        grant_id: grant_id.to_string(),
        role: auth::Role::Volunteer.into(),
        tokens_before_time: Some(chassis::clock::to_proto(world.service.clock().real_now())),
    };
    let mut conn = world.service.db().conn().await.expect("a connection");
    // The second takes the place of the first, whose end such a replica tells nobody.
    let second = new_id();
    let given = format!("UPDATE volunteers SET grant_id = '{second}' WHERE grant_id = '{first}'");
    conn.batch_execute(&given).await.expect("given");
    let third = new_id();
    world.tell("identity", persona.person_id, &world.granted(&persona, third)).await;
    world.tell("identity", persona.person_id, &revoked(third)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Active, "the second is in force");
    world.tell("identity", persona.person_id, &revoked(second)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
    let (fourth, fifth) = (new_id(), new_id());
    world.tell("identity", persona.person_id, &world.granted(&persona, fourth)).await;
    let left = format!("UPDATE volunteers SET state = 'left' WHERE grant_id = '{fourth}'");
    conn.batch_execute(&left).await.expect("left");
    world.tell("identity", persona.person_id, &world.granted(&persona, fifth)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Active);
    world.tell("identity", persona.person_id, &revoked(fifth)).await;
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
}

#[tokio::test]
async fn skills_stand_in_even_when_the_organisation_is_heard_of_after_its_volunteer() {
    let mut world = World::start().await;
    let home = new_id();
    world.org = home;
    world.manager = Persona::new(Role::VolunteerCoordinator, world.street).org(home);
    world.volunteer().await;
    assert!(listed(&world).await[0].skill_codes.is_empty());
    let organization = chassis::proto::identity::v1::Organization {
        org_id: home.to_string(),
        code: "social_org:yigong".into(),
        kind: chassis::proto::identity::v1::OrganizationKind::SocialOrg.into(),
        name_zh: "义工联".into(),
        unit_id: world.street.to_string(),
        version: 1,
        ..Default::default()
    };
    let changed = OrganizationChanged { org_id: home.to_string(), organization: Some(organization) };
    world.tell("identity", home, &changed).await;
    world.service.wait_for("the skills", async || !listed(&world).await[0].skill_codes.is_empty()).await;
}

#[tokio::test]
async fn who_takes_a_break_is_neither_chosen_nor_named() {
    let world = World::start().await;
    let first = world.register(&world.manager, world.new_volunteer()).await;
    let (_, offer_id) = world.offer().await;
    assert_eq!(world.get(offer_id).await.candidates[0].volunteer_id, first);
    pause(&world, &first, true).await;
    let named = AcceptOfferRequest { volunteer_id: first.clone(), ..accept(offer_id) };
    let refused = world.offers(&world.manager).accept_offer(named).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, vec!["volunteer_id".to_owned()]));
    // Without anybody free the organisation itself does it.
    let accepted = world.offers(&world.manager).accept_offer(accept(offer_id)).await.expect("accepted");
    assert_eq!(accepted.into_inner().offer.expect("an offer").volunteer_id, "");

    pause(&world, &first, false).await;
    let (_, offer_id) = world.offer().await;
    let request = AcceptOfferRequest { volunteer_id: first.clone(), ..accept(offer_id) };
    world.offers(&world.manager).accept_offer(request.clone()).await.expect("accepted");
    // A break that starts later does not change what was answered.
    pause(&world, &first, true).await;
    let again = world.offers(&world.manager).accept_offer(request).await.expect("the same answer");
    assert_eq!(again.into_inner().offer.expect("an offer").volunteer_id, first);
}

#[tokio::test]
async fn a_person_volunteers_once_per_organisation() {
    let world = World::start().await;
    let mut volunteers = world.volunteers(&world.manager);
    let request = world.new_volunteer();
    world.announce(&world.resident(&request)).await;
    let first = volunteers.create_volunteer(request.clone()).await.expect("created").into_inner();
    let same = volunteers.create_volunteer(request.clone()).await.expect("the same answer").into_inner();
    assert_eq!(first, same);
    let twice = CreateVolunteerRequest { request_id: new_id().to_string(), ..request };
    assert_eq!(refusal(volunteers.create_volunteer(twice).await).0, Code::AlreadyExists);
    assert_eq!(listed(&world).await.len(), 1);
}

#[tokio::test]
async fn who_is_registered_by_hand_is_where_the_organisation_works_and_keeps_the_pseudonym() {
    let world = World::start().await;
    let mut volunteers = world.volunteers(&world.manager);
    let again = |request: &CreateVolunteerRequest| CreateVolunteerRequest {
        request_id: new_id().to_string(),
        ..request.clone()
    };
    let [unknown, elsewhere, moved, left, colleague] = [(); 5].map(|()| world.new_volunteer());
    let far = RoleGranted { unit_id: new_id().to_string(), ..world.resident(&elsewhere) };
    world.announce(&far).await;
    let [ended, late] = [&moved, &left].map(|request| world.resident(request));
    world.announce(&ended).await;
    for granted in [&ended, &late] {
        let person = granted.person_id.parse().expect("an id");
        let revoked = RoleRevoked {
            person_id: granted.person_id.clone(),
            grant_id: granted.grant_id.clone(),
            role: granted.role,
            tokens_before_time: Some(chassis::clock::to_proto(world.service.clock().real_now())),
        };
        // An end may be told twice, also in one batch.
        let twice = [(); 2].map(|()| world.told("identity", person, &revoked));
        world.service.deliver_all(twice.into()).await;
        world.tell("identity", person, &revoked).await;
    }
    // One that is told of only after its end counts for nothing.
    world.announce(&late).await;
    for request in [&unknown, &elsewhere, &moved, &left] {
        let refused = volunteers.create_volunteer(again(request)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert!(refused.message().contains("person_id"), "{refused}");
        assert!(refused.message().contains("from before this release has to be given anew"), "{refused}");
    }
    // Who acts for the organisation is one of its people wherever they are.
    let granted = RoleGranted {
        unit_id: new_id().to_string(),
        org_id: world.org.to_string(),
        ..world.resident(&colleague)
    };
    world.announce(&granted).await;
    let other_name = CreateVolunteerRequest { volunteer_ref: "p-of-another".into(), ..again(&colleague) };
    let refused = refusal(volunteers.create_volunteer(other_name).await);
    assert_eq!(refused, (Code::InvalidArgument, vec!["volunteer_ref".to_owned()]));
    volunteers.create_volunteer(again(&colleague)).await.expect("created");
    // What is told only while the command is looked at counts.
    let told = world.resident(&unknown);
    let (created, ()) = tokio::join!(volunteers.create_volunteer(again(&unknown)), world.announce(&told));
    created.expect("created");
    assert_eq!(listed(&world).await.len(), 2);
}

#[tokio::test]
async fn volunteers_of_other_organisations_are_out_of_reach() {
    let world = World::start().await;
    world.volunteer().await;
    let stranger = world.stranger();
    let mut theirs = world.volunteers(&stranger);
    let page =
        theirs.list_volunteers(ListVolunteersRequest { org_id: world.org.to_string(), ..Default::default() });
    assert!(page.await.expect("empty").into_inner().volunteers.is_empty());
    let id = listed(&world).await[0].volunteer_id.clone();
    let missing = new_id().to_string();
    let mut texts = Vec::new();
    for id in [&id, &missing] {
        let request = PauseVolunteerRequest {
            volunteer_id: id.clone(),
            request_id: new_id().to_string(),
            paused: true,
        };
        let status = theirs.pause_volunteer(request).await.expect_err("out of reach");
        assert_eq!(status.code(), Code::NotFound);
        texts.push(status.message().replace(id.as_str(), "…"));
    }
    assert_eq!(texts[0], texts[1]);
    assert_eq!(refusal(theirs.create_volunteer(world.new_volunteer()).await).0, Code::NotFound);
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Active, "nobody paused anybody");
}

#[tokio::test]
async fn a_volunteer_sees_and_pauses_nobody_else() {
    let world = World::start().await;
    let (persona, _) = world.volunteer().await;
    let other = world.register(&world.manager, world.new_volunteer()).await;
    let mut volunteers = world.volunteers(&persona);
    let own = volunteers.list_volunteers(ListVolunteersRequest::default()).await.expect("listed");
    let own = own.into_inner().volunteers;
    assert_eq!((own.len(), &own[0].volunteer_ref), (1, &persona.actor_ref));
    let elsewhere = ListVolunteersRequest { org_id: new_id().to_string(), ..Default::default() };
    let none = volunteers.list_volunteers(elsewhere).await.expect("listed").into_inner().volunteers;
    assert!(none.is_empty());

    let pausing = |id: &str, paused: bool| PauseVolunteerRequest {
        volunteer_id: id.to_owned(),
        request_id: new_id().to_string(),
        paused,
    };
    let id = own[0].volunteer_id.clone();
    for paused in [true, false, true] {
        let answer = volunteers.pause_volunteer(pausing(&id, paused)).await.expect("the own row");
        let expected = if paused { VolunteerState::Paused } else { VolunteerState::Active };
        assert_eq!(answer.into_inner().volunteer.expect("a volunteer").state(), expected);
    }
    assert_eq!(refusal(volunteers.pause_volunteer(pausing(&other, true)).await).0, Code::NotFound);
    let states: Vec<_> =
        listed(&world).await.iter().map(|found| (found.volunteer_id == id, found.state())).collect();
    assert_eq!(states, [(true, VolunteerState::Paused), (false, VolunteerState::Active)]);
}

#[tokio::test]
async fn locked_hours_are_added_up_and_among_equals_who_served_least_comes_first() {
    let world = World::start().await;
    let veteran = world.register(&world.manager, world.new_volunteer()).await;
    let newcomer = world.register(&world.manager, world.new_volunteer()).await;
    let ranked = async || {
        let (_, offer_id) = world.offer().await;
        let offer = world.get(offer_id).await;
        offer.candidates.into_iter().map(|candidate| candidate.volunteer_id).collect::<Vec<_>>()
    };
    let served = async || {
        let found = listed(&world).await;
        let of = |id: &str| found.iter().find(|found| found.volunteer_id == id).map(|v| v.locked_minutes);
        (of(&veteran), of(&newcomer))
    };
    assert_eq!(ranked().await, [veteran.clone(), newcomer.clone()], "who came first");
    for minutes in [50, 20] {
        let (case_id, offer_id) = world.confirmed_for(&veteran).await;
        world.complete(offer_id, minutes).await;
        world.tell("case-routing", case_id, &closed(case_id, offer_id)).await;
    }
    let (_, offer_id) = world.confirmed_for(&newcomer).await;
    world.complete(offer_id, 90).await;
    assert_eq!(served().await, (Some(70), Some(0)), "what is not locked does not count");
    assert_eq!(ranked().await, [newcomer.clone(), veteran.clone()]);

    // Whoever sets it right by hand need not think of the sum.
    world.sql("UPDATE service_records SET state = 'voided' WHERE minutes = 20").await;
    assert_eq!(served().await, (Some(50), Some(0)));
    world.sql("UPDATE service_records SET state = 'locked' WHERE minutes = 90").await;
    assert_eq!(served().await, (Some(50), Some(90)));
    assert_eq!(ranked().await, [veteran, newcomer]);
    let wrong = "SELECT count(*) AS n FROM volunteer_minutes m WHERE m.minutes <> (
                     SELECT coalesce(sum(r.minutes), 0) FROM service_records r
                     WHERE r.volunteer_id = m.volunteer_id AND r.state = 'locked')";
    assert_eq!(world.number(wrong).await, 0);
    world.sql("DELETE FROM service_records").await;
    assert_eq!(world.number("SELECT count(*) AS n FROM volunteer_minutes WHERE minutes <> 0").await, 0);
    assert_eq!(world.number("SELECT count(*) AS n FROM volunteer_minutes").await, 2);
}

#[tokio::test]
async fn who_leaves_while_a_break_begins_has_left() {
    let world = World::start().await;
    let (persona, _) = world.volunteer().await;
    let id = listed(&world).await[0].volunteer_id.clone();
    let mut other = world.service.db().conn().await.expect("a connection");
    other.batch_execute("BEGIN; UPDATE volunteers SET state = 'left'").await.expect("held");
    let waiting = "SELECT count(*) AS n FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let release = async {
        world.service.wait_for("the break waits", async || world.number(waiting).await == 1).await;
        other.batch_execute("COMMIT").await.expect("left");
    };
    let mut own = world.volunteers(&persona);
    let request = PauseVolunteerRequest { volunteer_id: id, request_id: new_id().to_string(), paused: true };
    let (paused, ()) = tokio::join!(own.pause_volunteer(request), release);
    assert_eq!(refusal(paused).0, Code::FailedPrecondition);
    assert_eq!(listed(&world).await[0].state(), VolunteerState::Left);
}
