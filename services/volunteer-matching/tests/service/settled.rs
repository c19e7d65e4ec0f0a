//! Cases of partners that are completed without the partner's word, as by an agreement of the parties: the offer is done with, and
//! takes hours until the case is closed.

use std::time::Duration;

use crate::{
    offers::{digest, records},
    support::{World, accept, closed, completion, refusal},
};
use chassis::proto::{
    case_routing::v1::{CaseCompleted, CaseReworkOrdered},
    volunteer_matching::v1::{
        ListOffersRequest, Offer, OfferState, ServiceRecordLocked, ServiceRecordState, SocialCompleted,
    },
};
use tonic::Code;
use uuid::Uuid;

impl World {
    /// The case is completed, be it by the partner's word or without it.
    async fn completed(&self, case_id: Uuid, offer_id: Uuid) {
        let (case, offer_id) = (case_id.to_string(), offer_id.to_string());
        let completed = CaseCompleted { case_id: case, offer_id, ..Default::default() };
        self.tell("case-routing", case_id, &completed).await;
    }

    /// A confirmed offer whose case was completed without the partner's word.
    async fn settled(&self) -> (Uuid, Uuid) {
        let (case_id, offer_id) = self.confirmed().await;
        self.completed(case_id, offer_id).await;
        (case_id, offer_id)
    }

    /// What still waits for the organisation.
    async fn open(&self) -> Vec<Offer> {
        let states = [OfferState::Offered, OfferState::Accepted, OfferState::Confirmed];
        let request = ListOffersRequest { states: states.map(i32::from).to_vec(), ..Default::default() };
        self.offers(&self.manager).list_offers(request).await.expect("listed").into_inner().offers
    }
}

#[tokio::test]
async fn what_was_completed_without_the_partners_word_takes_its_hours_until_the_case_is_closed() {
    let world = World::start().await;
    let (case_id, offer_id) = world.confirmed().await;
    let before: i64 = world.get(offer_id).await.etag.parse().expect("a version");
    world.completed(case_id, offer_id).await;
    let settled = world.get(offer_id).await;
    assert_eq!((settled.state(), settled.awaits_hours), (OfferState::Completed, true));
    assert_eq!(settled.etag, (before + 1).to_string(), "it changed once");
    assert!(world.open().await.is_empty());
    assert_eq!(digest(&world, offer_id).await, "completed;records=0");

    let added = world.complete(offer_id, 40).await;
    assert_eq!((added.state(), added.awaits_hours), (OfferState::Completed, false));
    let told = world.service.drain_outbox().await;
    assert_eq!(told[0].decode::<SocialCompleted>().expect("SocialCompleted").minutes, 40);
    let twice = world.offers(&world.manager).complete_offer(completion(offer_id, 40)).await;
    assert_eq!(refusal(twice).0, Code::FailedPrecondition);
    world.tell("case-routing", case_id, &closed(case_id, offer_id)).await;
    let told = world.service.drain_outbox().await;
    assert_eq!((told.len(), told[0].decode::<ServiceRecordLocked>().expect("locked").minutes), (1, 40));
    let found = records(&world, offer_id).await;
    assert_eq!((found.len(), found[0].state()), (1, ServiceRecordState::Locked));
    assert_eq!(digest(&world, offer_id).await, "completed;records=1");
}

#[tokio::test]
async fn after_the_closing_no_hours_are_added_also_where_the_completion_was_never_heard_of() {
    let world = World::start().await;
    for offer in [world.settled().await, world.confirmed().await] {
        let (case_id, offer_id) = offer;
        world.tell("case-routing", case_id, &closed(case_id, offer_id)).await;
        let over = world.get(offer_id).await;
        assert_eq!((over.state(), over.awaits_hours), (OfferState::Completed, false));
        let late = world.offers(&world.manager).complete_offer(completion(offer_id, 40)).await;
        assert_eq!(refusal(late).0, Code::FailedPrecondition);
        assert!(world.service.drain_outbox().await.is_empty(), "no hours, nothing to tell");
        assert!(records(&world, offer_id).await.is_empty());
        assert_eq!(digest(&world, offer_id).await, "completed;records=0");
    }
    assert!(world.open().await.is_empty());
}

#[tokio::test]
async fn what_was_completed_without_their_word_is_no_load_of_a_volunteer() {
    let world = World::start().await;
    world.volunteer().await;
    let mut busy = Vec::new();
    for _ in 0..5 {
        busy.push(world.confirmed().await);
    }
    let (_, offer_id) = world.confirmed().await;
    assert_eq!(world.get(offer_id).await.volunteer_id, "", "nobody has six in hand");
    for (case_id, offer_id) in busy {
        world.completed(case_id, offer_id).await;
    }
    let (_, offer_id) = world.offer().await;
    let ranked = world.get(offer_id).await.candidates;
    assert!(ranked[0].reasons.contains(&"load:0".to_owned()), "{ranked:?}");
    world.offers(&world.manager).accept_offer(accept(offer_id)).await.expect("accepted");
    assert_eq!(world.get(offer_id).await.volunteer_id, ranked[0].volunteer_id);
}

#[tokio::test]
async fn a_rework_brings_back_what_was_completed_without_the_partners_word() {
    let world = World::start().await;
    let (case_id, offer_id) = world.settled().await;
    let rework = CaseReworkOrdered {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        ..Default::default()
    };
    world.tell("case-routing", case_id, &rework).await;
    assert_eq!(world.get(offer_id).await.state(), OfferState::Confirmed);
    assert_eq!(world.open().await.len(), 1);
    // The partner's own word is heard of again, and changes nothing any more.
    let done = world.complete(offer_id, 25).await;
    world.completed(case_id, offer_id).await;
    assert_eq!(world.get(offer_id).await, done);
    assert_eq!(digest(&world, offer_id).await, "completed;records=1");
}

#[tokio::test]
async fn hours_told_after_a_rework_that_is_heard_of_later_are_those_asked_for() {
    let world = World::start().await;
    let (case_id, offer_id) = world.settled().await;
    let done = world.complete(offer_id, 25).await;
    let rework = CaseReworkOrdered {
        case_id: case_id.to_string(),
        offer_id: offer_id.to_string(),
        ..Default::default()
    };
    let mut told = world.told("case-routing", case_id, &rework);
    told.time -= chrono::Duration::minutes(5);
    world.service.deliver_repeatedly(told).await;
    assert_eq!(world.get(offer_id).await, done);
    assert_eq!(digest(&world, offer_id).await, "completed;records=1");
    // What goes back after they were told is another matter.
    world.service.clock().advance(Duration::from_secs(300));
    world.tell("case-routing", case_id, &rework).await;
    assert_eq!(digest(&world, offer_id).await, "confirmed;records=0");
}
