//! Posts that fall vacant when the transfer of a duty is in effect already, and are held again.

use chassis::{auth::Role, clock::new_id, db::Tx, event::Event, inbox::Consumer, testing::Persona};
use proto::{
    case_routing::v1::{DutyEffective, DutyTransferProposed, PostNeed},
    staffing::v1::{
        AssignmentState::{Cancelled, Offered, OnSite},
        CreatePostRequest, CreateWorkerRequest, DemandState, EndWorkerRequest, ListShiftsRequest,
        ListWorkersRequest, PostKind,
    },
};
use staffing::{config::Config, consumer::StaffingConsumer, desk::Setup, working_days::WorkingDays};

use crate::{
    duty::{about_staff, assign, client, demand, head, posts_of, proposed, train},
    world::{COMMUNITY, Case, Hired, OTHER_COMMUNITY, OTHER_STATION, STATION, World, granted, request_id},
};

/// The consumer's, of events that come together.
async fn in_one_batch(world: &World, batch: &[Event]) {
    let setup = Setup {
        topology: world.service.context.topology.clone(),
        terms: Config::default().terms(),
        days: WorkingDays::open(world.service.db()).await.unwrap(),
        auto_accept: false,
    };
    let consumer = StaffingConsumer::new(setup);
    let handled = world.service.db().transaction(async |tx: &mut Tx<'_>| consumer.handle(tx, batch).await);
    handled.await.unwrap();
}

#[tokio::test]
async fn a_duty_in_effect_has_its_staff_again_with_every_post_held_or_with_others_named() {
    let world = World::start().await;
    let one = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let other = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let id = new_id();
    let two = vec![PostNeed { kind: PostKind::ServiceWorker.into(), count: 2 }];
    let courses = vec!["lamps_1".to_owned()];
    world.tell(id, &DutyTransferProposed { posts: two, training_codes: courses, ..proposed(id) }).await;
    let persona = head();
    let mut head = client(&world, &persona);
    let named: Vec<String> = posts_of(&world).await.into_iter().map(|post| post.post_id).collect();
    assign(&mut head, id, &named).await.unwrap();
    train(&mut head, id, "record:1").await.unwrap();
    world.tell(id, &DutyEffective { duty_transfer_id: id.to_string(), ..Default::default() }).await;
    world.sent().await;

    world.revoke(&one).await;
    world.revoke(&other).await;
    assert_eq!(about_staff(&world).await, ["StaffUnavailable"], "with the first of them");
    let broken = demand(&mut head, id).await;
    assert_eq!((broken.staff(), broken.training()), (DemandState::Refused, DemandState::Asked));
    let next = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    assert!(about_staff(&world).await.is_empty(), "one is vacant still");
    // Whoever is put on a post by hand counts as well.
    let vacant = posts_of(&world).await.into_iter().find(|post| post.state == "vacant");
    let by_hand = Persona::new(Role::ServiceWorker, COMMUNITY);
    world.announce(&by_hand, STATION).await;
    let request = CreateWorkerRequest {
        request_id: request_id(),
        person_id: by_hand.person_id.to_string(),
        worker_ref: by_hand.actor_ref,
        post_id: vacant.expect("a vacant post").post_id,
        ..Default::default()
    };
    world.workforce(&persona).create_worker(request).await.unwrap();
    assert_eq!(about_staff(&world).await, ["StaffAssigned"]);
    let whole = demand(&mut head, id).await;
    assert_eq!((whole.staff(), whole.training()), (DemandState::Met, DemandState::Asked), "trained anew");
    train(&mut head, id, "record:2").await.unwrap();

    // Somebody leaves again, and others are named: those on the vacant posts are free for other work.
    world.revoke(&next).await;
    world.sent().await;
    let third = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    assert_eq!(about_staff(&world).await, ["StaffAssigned"], "on the very post");
    world.revoke(&third).await;
    world.sent().await;
    let free = CreatePostRequest {
        request_id: request_id(),
        kind: PostKind::ServiceWorker.into(),
        org_id: STATION.to_string(),
        ..Default::default()
    };
    let free = world.workforce(&persona).create_post(free).await.unwrap().into_inner().post.unwrap().post_id;
    let by_hand = Persona::new(Role::ServiceWorker, COMMUNITY);
    world.announce(&by_hand, STATION).await;
    let request = CreateWorkerRequest {
        request_id: request_id(),
        person_id: by_hand.person_id.to_string(),
        worker_ref: by_hand.actor_ref,
        post_id: free.clone(),
        ..Default::default()
    };
    let other = world.workforce(&persona).create_worker(request).await.unwrap().into_inner().worker.unwrap();
    let filled = posts_of(&world).await.into_iter().filter(|post| post.state == "filled");
    let others: Vec<String> = filled.map(|post| post.post_id).collect();
    assert!(others.contains(&free) && others.len() == 2, "{others:?}");
    assert_eq!(assign(&mut head, id, &others).await.unwrap().staff(), DemandState::Met);
    assert_eq!(about_staff(&world).await, ["StaffReleased", "StaffAssigned"]);
    // Who was appointed by hand leaves by hand, and that is told as well.
    let request = EndWorkerRequest { worker_id: other.worker_id, request_id: request_id() };
    world.workforce(&persona).end_worker(request).await.unwrap();
    assert_eq!(about_staff(&world).await, ["StaffUnavailable"]);
    world.service.stop().await;
}

#[tokio::test]
async fn who_comes_after_somebody_left_takes_the_promised_post_also_in_one_batch() {
    let world = World::start().await;
    let one = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    let persona = head();
    let mut head = client(&world, &persona);
    let promised = posts_of(&world).await.swap_remove(0).post_id;
    assign(&mut head, id, std::slice::from_ref(&promised)).await.unwrap();
    world.tell(id, &DutyEffective { duty_transfer_id: id.to_string(), ..Default::default() }).await;
    world.sent().await;

    let mut holder = one;
    for comes_first in [false, true] {
        let persona = Persona::new(Role::ServiceWorker, COMMUNITY).org(STATION);
        let next = Hired { persona, grant_id: new_id() };
        let comes = granted(&next, Role::ServiceWorker, COMMUNITY, STATION, "");
        let mut batch = [
            world.event(holder.persona.person_id, &world.revoked(&holder)),
            world.event(next.persona.person_id, &comes),
        ];
        if comes_first {
            batch.reverse();
        }
        in_one_batch(&world, &batch).await;
        let filled = posts_of(&world).await.into_iter().filter(|post| post.state == "filled");
        let filled: Vec<String> = filled.map(|post| post.post_id).collect();
        let staff = demand(&mut head, id).await.staff();
        if comes_first {
            // While the other is still there, nobody takes that post.
            assert!(filled.len() == 1 && filled[0] != promised, "{filled:?}");
            assert_eq!(about_staff(&world).await, ["StaffUnavailable"]);
            assert_eq!(staff, DemandState::Refused);
        } else {
            assert_eq!(filled, std::slice::from_ref(&promised));
            assert_eq!(about_staff(&world).await, ["StaffUnavailable", "StaffAssigned"], "there is no grace");
            assert_eq!(staff, DemandState::Met);
        }
        holder = next;
    }
    world.service.stop().await;
}

#[tokio::test]
async fn the_work_of_who_left_goes_to_who_comes_in_the_same_batch() {
    let world = World::start().await;
    let one = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    // Of nobody's since long, and of another organisation.
    let elsewhere = Case::new();
    world.tell(elsewhere.id, &elsewhere.signed(OTHER_STATION, OTHER_COMMUNITY, &[])).await;
    world.sent().await;
    let persona = Persona::new(Role::ServiceWorker, COMMUNITY).org(STATION);
    let next = Hired { persona, grant_id: new_id() };
    let comes = granted(&next, Role::ServiceWorker, COMMUNITY, STATION, "");
    let batch = [
        world.event(one.persona.person_id, &world.revoked(&one)),
        world.event(next.persona.person_id, &comes),
    ];
    in_one_batch(&world, &batch).await;
    let [offered, cancelled] = &world.of_task(case.task).await[..] else { panic!("two were asked") };
    assert_eq!((offered.state(), &offered.worker_ref), (Offered, &next.persona.actor_ref));
    assert_eq!((cancelled.state(), &cancelled.worker_ref), (Cancelled, &one.persona.actor_ref));
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentUnfilled", "AssignmentOffered"]);
    assert!(world.of_task(elsewhere.task).await.is_empty());
    // Whoever comes later is asked, too, and once.
    let late = world.hire(Role::ServiceWorker, OTHER_COMMUNITY, OTHER_STATION, "").await;
    let [offered] = &world.of_task(elsewhere.task).await[..] else { panic!("one was asked") };
    assert_eq!((offered.state(), &offered.worker_ref), (Offered, &late.persona.actor_ref));
    assert_eq!(world.sent().await, ["AssignmentOffered"]);
    world.service.stop().await;
}

#[tokio::test]
async fn who_is_granted_the_same_work_anew_goes_on_with_it() {
    let world = World::start().await;
    let mut holder = world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let id = new_id();
    world.tell(id, &proposed(id)).await;
    let persona = head();
    let mut head = client(&world, &persona);
    let promised = posts_of(&world).await.swap_remove(0).post_id;
    assign(&mut head, id, std::slice::from_ref(&promised)).await.unwrap();
    world.tell(id, &DutyEffective { duty_transfer_id: id.to_string(), ..Default::default() }).await;
    let case = Case::new();
    world.tell(case.id, &case.signed(STATION, COMMUNITY, &[])).await;
    let offer = world.of_task(case.task).await.swap_remove(0).assignment_id;
    world.accept(&holder, &offer).await.unwrap();
    world.arrive(&holder, &offer).await.unwrap();
    let workers = async || {
        let request = ListWorkersRequest::default();
        world.workforce(&persona).list_workers(request).await.unwrap().into_inner().workers
    };
    let shifts = async || {
        let request = ListShiftsRequest { page_size: 200, ..Default::default() };
        world.workforce(&persona).list_shifts(request).await.unwrap().into_inner().shifts
    };
    let (before, rostered) = (workers().await.swap_remove(0), shifts().await);
    assert!(!rostered.is_empty());
    world.sent().await;

    // Units are merged, into one that nobody here has heard of yet; and a grant is renewed at the same unit.
    let (merged, merged_again) = (new_id(), new_id());
    for (unit, together) in
        [(merged, true), (merged, false), (merged_again, false), (merged_again, true), (COMMUNITY, true)]
    {
        let next = Hired { persona: holder.persona.clone(), grant_id: new_id() };
        let begins = granted(&next, Role::ServiceWorker, unit, STATION, "");
        let person = holder.persona.person_id;
        if together {
            let batch = [world.event(person, &begins), world.event(person, &world.revoked(&holder))];
            in_one_batch(&world, &batch).await;
        } else {
            world.tell(person, &begins).await;
            assert_eq!(workers().await.len(), 1, "no second one, also for a while");
            world.revoke(&holder).await;
        }
        assert!(world.sent().await.is_empty(), "{unit} {together}");
        assert_eq!(world.states(case.task).await, [OnSite], "{unit} {together}");
        let held = workers().await;
        let [worker] = &held[..] else { panic!("one works there: {held:?}") };
        assert_eq!((&worker.worker_id, worker.open_assignments), (&before.worker_id, 1));
        assert_eq!(worker.area_unit_id, unit.to_string());
        assert_eq!(shifts().await, rostered);
        let posts = posts_of(&world).await;
        let [post] = &posts[..] else { panic!("one seat: {posts:?}") };
        assert_eq!((&post.post_id, post.state.as_str()), (&promised, "filled"));
        assert_eq!(demand(&mut head, id).await.staff(), DemandState::Met);
        holder = next;
    }

    // With the last of the grants the work ends.
    world.revoke(&holder).await;
    assert_eq!(world.sent().await, ["AssignmentCancelled", "AssignmentUnfilled", "StaffUnavailable"]);
    assert!(workers().await.is_empty());
    world.service.stop().await;
}
