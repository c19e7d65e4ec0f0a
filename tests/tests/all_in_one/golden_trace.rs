//! The golden trace of F1 and of its turns: each command with who gave it, the events in the order of their causes, who
//! took each in, what they did, and how the case then stood in every service. Change a snapshot only together with the
//! protocol it documents.

use proto::{
    case_routing::v1::{AssignmentStatus, Case, CaseState},
    volunteer_matching::v1::OfferState,
};
use tests::{
    Person, World,
    journeys::{COMMUNITY, LAMP},
    run,
    story::Story,
};

/// Greening a courtyard: a social organisation is invited first, then the group of the place, then the committee.
const GREENING: &str = "CJ-0145";

/// Registered by a resident, taken in, judged and dispatched (or offered) at the window.
async fn dispatched<'w>(
    world: &'w World,
    story: &mut Story<'w>,
    item: &str,
    agrees: bool,
) -> (Person<'w>, Case) {
    let resident = world.resident(1);
    let case = resident.registers("想反映一件小区里的事，请帮忙看看。", &world.unit(COMMUNITY)).await;
    let case = story.after(case).await;
    let window = world.window(COMMUNITY);
    let case = story.after(window.accepts(&case).await).await;
    let case = story.after(window.triages(&case, item, agrees).await).await;
    let case = story.after(window.dispatches(&case).await).await;
    (resident, case)
}

/// The lead signs, and the worker who is asked agrees.
async fn in_good_hands<'w>(world: &'w World, story: &mut Story<'w>, case: Case) -> (Person<'w>, Case) {
    let case = story.after(world.leader_of(&case.lead_org_id).signs(&case).await).await;
    let worker = world.worker_of(&case);
    worker.accepts_assignment(&case).await;
    let case = story.after(case).await;
    (worker, case)
}

/// The worker goes there, the handler reports the work done, the centre verifies.
async fn worked_and_verified(world: &World, story: &mut Story<'_>, worker: &Person<'_>, case: Case) -> Case {
    worker.arrives(&case).await;
    let case = story.after(case).await;
    worker.finishes(&case).await;
    let case = story.after(case).await;
    let case = story.after(world.handler_of(&case.lead_org_id).completes(&case).await).await;
    story.after(world.verifier().verifies(&case, 5).await).await
}

#[test]
fn one_request_from_registration_to_closing() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (resident, case) = dispatched(world, &mut story, LAMP, false).await;
        let (worker, case) = in_good_hands(world, &mut story, case).await;
        let case = story.after(world.handler_of(&case.lead_org_id).contacts(&case).await).await;
        let case = worked_and_verified(world, &mut story, &worker, case).await;
        let case = story.after(resident.rates(&case, 5).await).await;
        assert_eq!(case.state(), CaseState::Closed);
        insta::assert_yaml_snapshot!("f1", story.ends(&case).await);
    });
}

#[test]
fn a_partner_declines_and_the_next_one_is_asked() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (_, case) = dispatched(world, &mut story, GREENING, true).await;
        assert_eq!(case.state(), CaseState::OfferedToSociety);
        let first = case.offer.clone().expect("an offer");
        world.partner_of(&case).declines_offer(&case).await;
        let case = story.after(case).await;
        let second = case.offer.clone().expect("the next partner is asked");
        assert_ne!(first.offer_id, second.offer_id);
        world.partner_of(&case).declines_offer(&case).await;
        let case = story.after(case).await;
        assert_eq!(case.state(), CaseState::Dispatched, "nobody is left to ask: the public service takes it");
        insta::assert_yaml_snapshot!("partner_declines", story.ends(&case).await);
    });
}

#[test]
fn a_partner_helps() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (resident, case) = dispatched(world, &mut story, GREENING, true).await;
        let partner = world.partner_of(&case);
        partner.accepts_offer(&case).await;
        let case = story.after(case).await;
        world.sees_offer(&case, OfferState::Confirmed).await;
        partner.helped(&case).await;
        let case = story.after(case).await;
        let case = story.after(world.verifier().verifies(&case, 5).await).await;
        let case = story.after(resident.rates(&case, 4).await).await;
        assert_eq!(case.state(), CaseState::Closed);
        insta::assert_yaml_snapshot!("partner_helps", story.ends(&case).await);
    });
}

#[test]
fn a_partner_gives_up_and_the_public_service_takes_over() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (_, case) = dispatched(world, &mut story, GREENING, true).await;
        let partner = world.partner_of(&case);
        partner.accepts_offer(&case).await;
        let case = story.after(case).await;
        world.sees_offer(&case, OfferState::Confirmed).await;
        partner.gives_up(&case).await;
        let case = story.after(case).await;
        assert_eq!(case.state(), CaseState::Dispatched);
        insta::assert_yaml_snapshot!("partner_gives_up", story.ends(&case).await);
    });
}

#[test]
fn a_lead_objects_and_has_to_do_it_all_the_same() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (_, case) = dispatched(world, &mut story, LAMP, false).await;
        let leader = world.leader_of(&case.lead_org_id);
        let case = story.after(leader.objects(&case, &world.org("dept:construction")).await).await;
        assert_eq!(case.state(), CaseState::Objected);
        let case = story.after(world.dispatcher().rejects_objection(&case).await).await;
        assert_eq!(case.state(), CaseState::Dispatched);
        let (_, case) = in_good_hands(world, &mut story, case).await;
        insta::assert_yaml_snapshot!("objection", story.ends(&case).await);
    });
}

#[test]
fn a_bad_rating_that_is_justified_brings_the_work_back() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (resident, case) = dispatched(world, &mut story, LAMP, false).await;
        let (worker, case) = in_good_hands(world, &mut story, case).await;
        let case = story.after(world.handler_of(&case.lead_org_id).contacts(&case).await).await;
        let case = worked_and_verified(world, &mut story, &worker, case).await;
        let case = story.after(resident.rates(&case, 1).await).await;
        assert_eq!(case.state(), CaseState::Resolved, "a bad rating waits for its judgement");
        let case = story.after(world.callback_agent().judges(&case, true).await).await;
        assert_eq!((case.state(), case.rework_count), (CaseState::InProgress, 1));
        let case = world.sees_assignment(&case, AssignmentStatus::Offered).await;
        let again = world.worker_of(&case);
        assert_eq!(
            again.session.account.login, worker.session.account.login,
            "whoever did it is asked first"
        );
        again.accepts_assignment(&case).await;
        let case = story.after(case).await;
        let case = worked_and_verified(world, &mut story, &again, case).await;
        insta::assert_yaml_snapshot!("bad_rating", story.ends(&case).await);
    });
}

#[test]
fn a_request_is_withdrawn_while_the_worker_is_on_site() {
    run(async {
        let world = World::all_in_one().await;
        let _turn = world.shared().await;
        let mut story = Story::begins(world).await.expect("the databases are there");
        let (resident, case) = dispatched(world, &mut story, LAMP, false).await;
        let (worker, case) = in_good_hands(world, &mut story, case).await;
        let case = story.after(world.handler_of(&case.lead_org_id).contacts(&case).await).await;
        worker.arrives(&case).await;
        let case = story.after(case).await;
        let case = story.after(resident.withdraws(&case).await).await;
        assert_eq!(case.state(), CaseState::Withdrawn);
        insta::assert_yaml_snapshot!("withdrawal", story.ends(&case).await);
    });
}
