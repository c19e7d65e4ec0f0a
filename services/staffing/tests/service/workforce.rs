//! Posts, workers and shifts: by grants, by hand, and what the database makes impossible.

use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    testing::Persona,
};
use chrono::TimeDelta;
use proto::staffing::v1::{
    CancelShiftRequest, CreatePostRequest, CreateShiftRequest, CreateWorkerRequest, EndWorkerRequest,
    ListPostsRequest, ListShiftsRequest, ListWorkersRequest, PostKind, Worker,
};
use tonic::Code;
use uuid::Uuid;

use crate::world::*;

async fn workers(world: &World, persona: &Persona) -> Vec<Worker> {
    let request = ListWorkersRequest::default();
    world.workforce(persona).list_workers(request).await.unwrap().into_inner().workers
}

fn head() -> Persona {
    Persona::new(Role::StationHead, COMMUNITY).org(STATION)
}

pub fn shift(world: &World, worker_id: &str, from_hours: i64, hours: i64) -> CreateShiftRequest {
    let start = world.service.clock().now() + TimeDelta::hours(from_hours);
    CreateShiftRequest {
        request_id: request_id(),
        worker_id: worker_id.to_owned(),
        start_time: Some(to_proto(start)),
        end_time: Some(to_proto(start + TimeDelta::hours(hours))),
    }
}

#[tokio::test]
async fn a_grant_makes_a_worker_with_the_skills_of_role_and_line_and_a_revocation_ends_it() {
    let world = World::start().await;
    let officer = Hired {
        persona: Persona::new(Role::DeptOfficer, DISTRICT).line("housing").org(HOUSING),
        grant_id: new_id(),
    };
    let message = granted(&officer, Role::DeptOfficer, DISTRICT, HOUSING, "housing");
    world.tell(officer.persona.person_id, &message).await;
    world.tell(officer.persona.person_id, &message).await; // told again as another event
    let chief = Persona::new(Role::DeptLeader, DISTRICT).line("housing");
    let found = workers(&world, &chief).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].skill_codes, ["housing", "one_window"]);
    assert_eq!(found[0].worker_ref, officer.persona.actor_ref);
    let posts = |state: &'static str| {
        let mut client = world.workforce(&chief);
        async move {
            let posts = client.list_posts(ListPostsRequest::default()).await.unwrap().into_inner().posts;
            assert_eq!(posts.len(), 1);
            assert_eq!(
                (posts[0].state.as_str(), posts[0].post_no.as_str()),
                (state, "dept_officer/dept:housing/1")
            );
        }
    };
    posts("filled").await;
    world.revoke(&officer).await;
    assert!(workers(&world, &chief).await.is_empty());
    posts("vacant").await;
    // The seat is taken again, not doubled.
    world.hire(Role::DeptOfficer, DISTRICT, HOUSING, "housing").await;
    posts("filled").await;
}

#[tokio::test]
async fn all_goes_on_beside_a_migration_that_adds_a_column_to_every_table() {
    let world = World::start().await;
    let mut staff = Vec::new();
    for migrated in [false, true] {
        if migrated {
            world.service.add_columns().await;
        }
        staff.push(world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await);
        let case = Case::new();
        world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
        let (holder, offer) = world.holder(case.task, &staff).await;
        world.work(holder, &offer.assignment_id).await;
        assert_eq!(workers(&world, &head()).await.len(), staff.len());
        let posts = world.workforce(&head()).list_posts(ListPostsRequest::default()).await.unwrap();
        assert_eq!(posts.into_inner().posts.len(), staff.len());
        world.workforce(&head()).list_shifts(ListShiftsRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_has_two_grants_for_one_work_holds_one_seat_until_both_have_ended() {
    let world = World::start().await;
    let first = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let again = |unit: Uuid| {
        let further = Hired { persona: first.persona.clone(), grant_id: new_id() };
        let message = granted(&further, Role::ServiceWorker, unit, STATION, "");
        (further, message)
    };
    let person = first.persona.person_id;
    let (second, of_second) = again(COURTYARD);
    let (third, of_third) = again(STREET);
    world.tell(person, &of_second).await;
    world.tell(person, &of_third).await;
    let held = async || {
        let posts = world.workforce(&head()).list_posts(ListPostsRequest::default()).await.unwrap();
        let states: Vec<String> = posts.into_inner().posts.into_iter().map(|post| post.state).collect();
        let found = workers(&world, &head()).await;
        (states, found.into_iter().map(|worker| worker.area_unit_id).collect::<Vec<_>>())
    };
    let filled = |area: Uuid| (vec!["filled".to_owned()], vec![area.to_string()]);
    assert_eq!(held().await, filled(COMMUNITY));
    world.revoke(&second).await;
    assert_eq!(held().await, filled(COMMUNITY), "it was given besides");
    world.tell(person, &of_second).await;
    world.revoke(&first).await;
    assert_eq!(held().await, filled(STREET), "by the third: the second has ended, though it was told again");
    let told_again = granted(&first, Role::ServiceWorker, COMMUNITY, STATION, "");
    world.tell(person, &told_again).await;
    world.revoke(&third).await;
    assert_eq!(held().await, (vec!["vacant".to_owned()], Vec::new()), "and so has the first");

    // Another work is another seat, whoever does it.
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let both = Hired { persona: first.persona.clone(), grant_id: new_id() };
    world.tell(person, &granted(&both, Role::StationHead, COMMUNITY, STATION, "")).await;
    assert_eq!(workers(&world, &head()).await.len(), 2);
}

#[tokio::test]
async fn who_is_appointed_by_hand_is_asked_for_what_waits_and_leaves_by_hand() {
    let world = World::start().await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    assert_eq!(world.sent().await, ["AssignmentUnfilled"]);
    let head = head();
    let mut client = world.workforce(&head);
    let request = CreatePostRequest {
        request_id: request_id(),
        kind: PostKind::SocialWorker.into(),
        org_id: STATION.to_string(),
        line: String::new(),
    };
    let post = client.create_post(request).await.unwrap().into_inner().post.unwrap();
    let by_hand =
        Hired { persona: Persona::new(Role::ServiceWorker, COMMUNITY).org(STATION), grant_id: new_id() };
    world.announce(&by_hand.persona, STATION).await;
    let request = CreateWorkerRequest {
        request_id: request_id(),
        person_id: by_hand.persona.person_id.to_string(),
        worker_ref: by_hand.persona.actor_ref.clone(),
        post_id: post.post_id.clone(),
        ..Default::default()
    };
    let appointed = client.create_worker(request).await.unwrap().into_inner().worker.unwrap();
    assert_eq!(world.sent().await, ["AssignmentOffered"]);
    assert_eq!(appointed.open_assignments, 1);
    let (_, offer) = world.holder(case.task, std::slice::from_ref(&by_hand)).await;
    world.accept(&by_hand, &offer.assignment_id).await.unwrap();
    let by_grant = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let found = workers(&world, &head).await;
    let granted = found.iter().find(|worker| worker.worker_ref == by_grant.persona.actor_ref).unwrap();
    world.sent().await;

    let end = |worker: &str| EndWorkerRequest { worker_id: worker.to_owned(), request_id: request_id() };
    let refused = client.end_worker(end(&granted.worker_id)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let stranger = Persona::new(Role::StationHead, OTHER_COMMUNITY).org(OTHER_STATION);
    for worker in [&appointed.worker_id, &request_id()] {
        let hidden = world.workforce(&stranger).end_worker(end(worker)).await.unwrap_err();
        assert_eq!(hidden.code(), Code::NotFound, "{hidden}");
    }
    assert_eq!(fields(&client.end_worker(end("?")).await.unwrap_err()), ["worker_id"]);
    assert!(world.sent().await.is_empty());

    let request = end(&appointed.worker_id);
    let ended = client.end_worker(request.clone()).await.unwrap().into_inner();
    assert_eq!(client.end_worker(request).await.unwrap().into_inner(), ended, "a repeat answers the same");
    let ended = ended.worker.unwrap();
    assert_eq!((ended.active, ended.open_assignments), (false, 0));
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentOffered"]);
    world.holder(case.task, std::slice::from_ref(&by_grant)).await;
    let posts = client.list_posts(ListPostsRequest::default()).await.unwrap().into_inner().posts;
    let left = posts.iter().find(|known| known.post_id == post.post_id).unwrap();
    assert_eq!(left.state, "vacant");
    let next = Case::new();
    world.tell(next.id, &next.signed(STATION, COMMUNITY, &[])).await;
    world.holder(next.task, std::slice::from_ref(&by_grant)).await;
    let twice = client.end_worker(end(&appointed.worker_id)).await.unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition, "{twice}");
}

#[tokio::test]
async fn who_is_appointed_by_hand_acts_for_an_organisation_within_reach_and_keeps_the_pseudonym() {
    let world = World::start().await;
    let head = head();
    let mut client = world.workforce(&head);
    let mut posts = Vec::new();
    for _ in 0..2 {
        let request = CreatePostRequest {
            request_id: request_id(),
            kind: PostKind::SocialWorker.into(),
            org_id: STATION.to_string(),
            line: String::new(),
        };
        posts.push(client.create_post(request).await.unwrap().into_inner().post.unwrap().post_id);
    }
    let appoint = |post: usize, who: &Persona, name: &str| CreateWorkerRequest {
        request_id: request_id(),
        person_id: who.person_id.to_string(),
        worker_ref: name.to_owned(),
        post_id: posts[post].clone(),
        ..Default::default()
    };
    let [unknown, theirs, of_the_office, own] =
        [(); 4].map(|()| Persona::new(Role::ServiceWorker, COMMUNITY));
    world.announce(&theirs, OTHER_STATION).await;
    world.announce(&of_the_office, STREET_OFFICE).await;
    for who in [&unknown, &theirs, &of_the_office] {
        let refused = client.create_worker(appoint(0, who, &who.actor_ref)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(refused.message().contains("person_id"), "{refused}");
        assert!(refused.message().contains("from before this release has to be given anew"), "{refused}");
    }
    let known = world.announce(&own, STATION).await;
    let refused = client.create_worker(appoint(0, &own, &theirs.actor_ref)).await.unwrap_err();
    assert_eq!(fields(&refused), ["worker_ref"], "nobody works under another's name");
    world.revoke(&known).await;
    let refused = client.create_worker(appoint(0, &own, &own.actor_ref)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the grant has ended: {refused}");
    // One that is told of only after its end, which may be told twice, counts for nothing.
    let left = Hired { persona: Persona::new(Role::ServiceWorker, COMMUNITY), grant_id: new_id() };
    let (person, end) = (left.persona.person_id, world.revoked(&left));
    let late = granted(&left, Role::CommitteeMember, COMMUNITY, STATION, "");
    let told = vec![world.event(person, &end), world.event(person, &end), world.event(person, &late)];
    world.service.deliver_all(told).await;
    world.tell(person, &late).await;
    let refused = client.create_worker(appoint(0, &left.persona, &left.persona.actor_ref)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the grant had ended: {refused}");
    assert!(workers(&world, &head).await.is_empty());

    // What is told only while the command is looked at counts.
    let (appointed, _) =
        tokio::join!(client.create_worker(appoint(0, &own, &own.actor_ref)), world.announce(&own, STATION));
    appointed.unwrap();
    // Who reaches both organisations puts the people of one on a post of the other.
    let leader = Persona::new(Role::StreetLeader, STREET);
    let lent = appoint(1, &of_the_office, &of_the_office.actor_ref);
    world.workforce(&leader).create_worker(lent).await.unwrap();
    assert_eq!(workers(&world, &head).await.len(), 2);
}

#[tokio::test]
async fn a_working_role_that_is_told_of_only_after_its_end_makes_no_worker() {
    let world = World::start().await;
    let persona = Persona::new(Role::ServiceWorker, COMMUNITY).org(STATION);
    let left = Hired { persona, grant_id: new_id() };
    world.revoke(&left).await;
    let late = granted(&left, Role::ServiceWorker, COMMUNITY, STATION, "");
    world.tell(left.persona.person_id, &late).await;
    assert!(workers(&world, &head()).await.is_empty());
}

#[tokio::test]
async fn roles_that_do_no_work_make_no_worker() {
    let world = World::start().await;
    for role in [Role::Resident, Role::Verifier, Role::CommitteeMember, Role::StreetLeader] {
        world.hire(role, COMMUNITY, STATION, "").await;
    }
    assert!(workers(&world, &Persona::new(Role::StreetLeader, CITY)).await.is_empty());
}

#[tokio::test]
async fn a_single_seat_has_one_holder_also_when_two_come_at_once() {
    let world = World::start().await;
    let head = head();
    let mut client = world.workforce(&head);
    let request = CreatePostRequest {
        request_id: request_id(),
        kind: PostKind::SocialWorker.into(),
        org_id: STATION.to_string(),
        line: String::new(),
    };
    let post = client.create_post(request).await.unwrap().into_inner().post.unwrap();
    assert_eq!(post.state, "open");
    let two = [(); 2].map(|()| Persona::new(Role::ServiceWorker, COMMUNITY));
    for who in &two {
        world.announce(who, STATION).await;
    }
    let appoint = |who: &Persona| CreateWorkerRequest {
        request_id: request_id(),
        person_id: who.person_id.to_string(),
        worker_ref: who.actor_ref.clone(),
        post_id: post.post_id.clone(),
        skill_codes: vec!["social_work".to_owned()],
        ..Default::default()
    };
    let (mut a, mut b) = (world.workforce(&head), world.workforce(&head));
    let (first, second) = tokio::join!(a.create_worker(appoint(&two[0])), b.create_worker(appoint(&two[1])));
    let refused = first.as_ref().err().or(second.as_ref().err()).expect("one is refused");
    assert_eq!(refused.code(), Code::AlreadyExists);
    assert!(first.is_ok() || second.is_ok());
    assert_eq!(workers(&world, &head).await.len(), 1);
}

#[tokio::test]
async fn shifts_of_a_person_never_overlap_also_when_two_come_at_once() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let head = head();
    let worker = workers(&world, &head).await.remove(0).worker_id;
    let (mut a, mut b) = (world.workforce(&head), world.workforce(&head));
    let (first, second) = tokio::join!(
        a.create_shift(shift(&world, &worker, 200, 4)),
        b.create_shift(shift(&world, &worker, 203, 4))
    );
    let codes: Vec<Code> =
        [&first, &second].iter().filter_map(|r| r.as_ref().err()).map(|s| s.code()).collect();
    assert_eq!(codes, [Code::AlreadyExists], "{first:?} {second:?}");
    let made = first.or(second).unwrap().into_inner().shift.unwrap();
    // A cancelled shift makes room; twice is refused.
    let cancel = |request_id| CancelShiftRequest { shift_id: made.shift_id.clone(), request_id };
    a.cancel_shift(cancel(request_id())).await.unwrap();
    assert_eq!(a.cancel_shift(cancel(request_id())).await.unwrap_err().code(), Code::FailedPrecondition);
    a.create_shift(shift(&world, &worker, 200, 8)).await.unwrap();
    a.create_shift(shift(&world, &worker, 208, 2)).await.expect("one shift may end when the next begins");
}

#[tokio::test]
async fn the_week_is_rostered_when_somebody_looks() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let list = ListShiftsRequest { page_size: 200, ..Default::default() };
    let shifts =
        async || world.workforce(&head()).list_shifts(list.clone()).await.unwrap().into_inner().shifts;
    // Monday 09:00: five working days of two shifts, and two days on duty alone.
    assert_eq!(shifts().await.len(), 12);
    assert_eq!(shifts().await.len(), 12, "made once");
    // Years later: only the week of then.
    world.service.clock().advance(std::time::Duration::from_secs(2 * 365 * 86_400));
    assert!((8..=12).contains(&shifts().await.len()));
}

#[tokio::test]
async fn off_shift_workers_are_asked_when_everybody_is_off() {
    let world = World::start().await;
    let worker = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    world.service.clock().advance(std::time::Duration::from_secs(12 * 3600)); // 21:00
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    let offer = world.of_task(case.task).await.remove(0);
    assert_eq!(offer.worker_ref, worker.persona.actor_ref);
    assert!(offer.reasons.contains(&"shift:off".to_owned()));
}

#[tokio::test]
async fn reach_is_by_unit_and_line_and_tells_nothing_else() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let worker = workers(&world, &head()).await.remove(0).worker_id;
    let strangers = [
        Persona::new(Role::StationHead, OTHER_COMMUNITY),
        Persona::new(Role::StreetLeader, OTHER_STREET),
        Persona::new(Role::DeptLeader, DISTRICT).line("housing"),
    ];
    for stranger in strangers {
        let mut client = world.workforce(&stranger);
        assert!(workers(&world, &stranger).await.is_empty());
        let request = ListWorkersRequest { org_id: STATION.to_string(), ..Default::default() };
        assert!(client.list_workers(request).await.unwrap().into_inner().workers.is_empty());
        let request = ListShiftsRequest { worker_id: worker.clone(), ..Default::default() };
        assert!(client.list_shifts(request).await.unwrap().into_inner().shifts.is_empty());
        assert!(client.list_posts(ListPostsRequest::default()).await.unwrap().into_inner().posts.is_empty());
        let status = client.create_shift(shift(&world, &worker, 300, 2)).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound);
        for org in [STATION, Uuid::from_u128(999)] {
            let request = CreatePostRequest {
                request_id: request_id(),
                kind: PostKind::SocialWorker.into(),
                org_id: org.to_string(),
                line: String::new(),
            };
            assert_eq!(client.create_post(request).await.unwrap_err().code(), Code::NotFound);
        }
    }
}

#[tokio::test]
async fn bad_input_names_its_field() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let head = head();
    let worker = workers(&world, &head).await.remove(0).worker_id;
    let mut client = world.workforce(&head);
    let post = CreatePostRequest {
        request_id: request_id(),
        kind: PostKind::SocialWorker.into(),
        org_id: STATION.to_string(),
        line: String::new(),
    };
    for (request, field) in [
        (CreatePostRequest { request_id: String::new(), ..post.clone() }, "request_id"),
        (CreatePostRequest { kind: 0, ..post.clone() }, "kind"),
        (CreatePostRequest { kind: 77, ..post.clone() }, "kind"),
        (CreatePostRequest { org_id: "x".into(), ..post.clone() }, "org_id"),
        (CreatePostRequest { line: "Not a code".into(), ..post.clone() }, "line"),
        (CreatePostRequest { kind: PostKind::AuxiliaryWorker.into(), ..post.clone() }, "line"),
    ] {
        assert_eq!(fields(&client.create_post(request).await.unwrap_err()), [field]);
    }
    let chief = Persona::new(Role::DeptLeader, DISTRICT).line("housing");
    let auxiliary = CreatePostRequest {
        kind: PostKind::AuxiliaryWorker.into(),
        org_id: HOUSING.to_string(),
        line: "housing".into(),
        ..post.clone()
    };
    assert_eq!(fields(&world.workforce(&chief).create_post(auxiliary).await.unwrap_err()), ["org_id"], "S-3");

    let made = client.create_post(post).await.unwrap().into_inner().post.unwrap();
    let by_hand = Persona::new(Role::ServiceWorker, COMMUNITY);
    world.announce(&by_hand, STATION).await;
    let appoint = CreateWorkerRequest {
        request_id: request_id(),
        person_id: by_hand.person_id.to_string(),
        worker_ref: by_hand.actor_ref,
        post_id: made.post_id,
        area_unit_id: COURTYARD.to_string(),
        skill_codes: vec!["patrol".into()],
        auto_accept: false,
    };
    for (request, field) in [
        (CreateWorkerRequest { request_id: "1".into(), ..appoint.clone() }, "request_id"),
        (CreateWorkerRequest { person_id: "1".into(), ..appoint.clone() }, "person_id"),
        (CreateWorkerRequest { worker_ref: "a name".into(), ..appoint.clone() }, "worker_ref"),
        (CreateWorkerRequest { post_id: String::new(), ..appoint.clone() }, "post_id"),
        (CreateWorkerRequest { area_unit_id: "?".into(), ..appoint.clone() }, "area_unit_id"),
        (
            CreateWorkerRequest { area_unit_id: OTHER_COMMUNITY.to_string(), ..appoint.clone() },
            "area_unit_id",
        ),
        (CreateWorkerRequest { skill_codes: vec!["flying".into()], ..appoint.clone() }, "skill_codes[0]"),
    ] {
        assert_eq!(fields(&client.create_worker(request).await.unwrap_err()), [field]);
    }
    client.create_worker(appoint).await.unwrap();

    let good = shift(&world, &worker, 400, 2);
    for (request, field) in [
        (CreateShiftRequest { request_id: "?".into(), ..good.clone() }, "request_id"),
        (CreateShiftRequest { worker_id: "?".into(), ..good.clone() }, "worker_id"),
        (CreateShiftRequest { start_time: None, ..good.clone() }, "start_time"),
        (CreateShiftRequest { end_time: None, ..good.clone() }, "end_time"),
        (CreateShiftRequest { end_time: good.start_time, ..good.clone() }, "end_time"),
        (shift(&world, &worker, 400, 25), "end_time"),
    ] {
        assert_eq!(fields(&client.create_shift(request).await.unwrap_err()), [field]);
    }
    let cancel = CancelShiftRequest { shift_id: "?".into(), request_id: request_id() };
    assert_eq!(fields(&client.cancel_shift(cancel).await.unwrap_err()), ["shift_id"]);
    let list = ListShiftsRequest::default();
    for (request, field) in [
        (ListShiftsRequest { page_size: -1, ..list.clone() }, "page_size"),
        (ListShiftsRequest { page_token: "?".into(), ..list.clone() }, "page_token"),
        (ListShiftsRequest { worker_id: "?".into(), ..list.clone() }, "worker_id"),
        (ListShiftsRequest { from_time: good.end_time, to_time: good.start_time, ..list.clone() }, "to_time"),
    ] {
        assert_eq!(fields(&client.list_shifts(request).await.unwrap_err()), [field]);
    }
    let request = ListWorkersRequest { org_id: "?".into(), ..Default::default() };
    assert_eq!(fields(&client.list_workers(request).await.unwrap_err()), ["org_id"]);
    let request = ListPostsRequest { page_size: -2, ..Default::default() };
    assert_eq!(fields(&client.list_posts(request).await.unwrap_err()), ["page_size"]);
}
