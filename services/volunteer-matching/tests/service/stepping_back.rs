//! Whoever is named for an offer may say no, until the work is done; the organisation stays bound.

use crate::support::{World, accept, completion, refusal};
use chassis::{
    auth::Role,
    clock::new_id,
    proto::volunteer_matching::v1::{
        AcceptOfferRequest, CreateVolunteerRequest, GetOfferRequest, ListServiceRecordsRequest,
        ListVolunteersRequest, NameVolunteerRequest, Offer, OfferState, StepBackRequest,
    },
    testing::Persona,
};
use tonic::{Code, Status};
use uuid::Uuid;

fn step_back(offer_id: Uuid) -> StepBackRequest {
    StepBackRequest { offer_id: offer_id.to_string(), request_id: new_id().to_string(), etag: String::new() }
}

fn naming(offer_id: Uuid, volunteer_id: &str) -> NameVolunteerRequest {
    NameVolunteerRequest {
        offer_id: offer_id.to_string(),
        request_id: new_id().to_string(),
        volunteer_id: volunteer_id.to_owned(),
        etag: String::new(),
    }
}

async fn name(world: &World, offer_id: Uuid, volunteer_id: &str) -> Result<Offer, Status> {
    let answer = world.offers(&world.manager).name_volunteer(naming(offer_id, volunteer_id)).await?;
    Ok(answer.into_inner().offer.expect("an offer"))
}

/// Somebody whom identity made a volunteer of the organisation, and the id that the own list tells.
async fn volunteer(world: &World) -> (Persona, String) {
    let (persona, _) = world.volunteer().await;
    let own = world.volunteers(&persona).list_volunteers(ListVolunteersRequest::default()).await;
    let id = own.expect("listed").into_inner().volunteers[0].volunteer_id.clone();
    (persona, id)
}

#[tokio::test]
async fn who_was_named_steps_back_and_is_not_named_again_while_the_organisation_stays_bound() {
    let world = World::start().await;
    let (first, first_id) = volunteer(&world).await;
    let (second, second_id) = volunteer(&world).await;
    let (_, offer_id) = world.confirmed_for(&first_id).await;

    // Nobody says no for somebody else, and to whom it is nothing it does not exist.
    let resident = Persona::new(Role::Resident, world.street);
    for persona in [&second, &world.manager, &world.stranger(), &resident] {
        let hidden = world.offers(persona).step_back(step_back(offer_id)).await.expect_err("not theirs");
        let missing = new_id();
        let absent = world.offers(persona).step_back(step_back(missing)).await.expect_err("not there");
        assert_eq!((hidden.code(), absent.code()), (Code::NotFound, Code::NotFound));
        let text = |status: &Status, id: Uuid| status.message().replace(&id.to_string(), "…");
        assert_eq!(text(&hidden, offer_id), text(&absent, missing));
    }
    let seen = world.get(offer_id).await;
    assert_eq!((seen.volunteer_id, seen.candidates.len()), (first_id.clone(), 2));

    let request = step_back(offer_id);
    let left = world.offers(&first).step_back(request.clone()).await.expect("always").into_inner();
    let offer = left.offer.clone().expect("an offer");
    assert_eq!((offer.state(), offer.volunteer_id.as_str()), (OfferState::Confirmed, ""));
    let again = world.offers(&first).step_back(request).await.expect("the same answer").into_inner();
    assert_eq!(left, again);
    let get = GetOfferRequest { offer_id: offer_id.to_string() };
    assert_eq!(refusal(world.offers(&first).get_offer(get).await).0, Code::NotFound);

    // The organisation has it as before, and asks somebody else.
    let seen = world.get(offer_id).await;
    assert_eq!((seen.state(), seen.candidates.len()), (OfferState::Confirmed, 1));
    assert_eq!(seen.candidates[0].volunteer_id, second_id);
    let refused = name(&world, offer_id, &first_id).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, vec!["volunteer_id".to_owned()]));
    assert_eq!(name(&world, offer_id, &second_id).await.expect("named").volunteer_id, second_id);
    assert!(world.service.drain_outbox().await.is_empty(), "the case hears of nothing");
    world.offers(&second).complete_offer(completion(offer_id, 30)).await.expect("completed");
    let request = ListServiceRecordsRequest { volunteer_id: second_id, ..Default::default() };
    let records = world.volunteers(&world.manager).list_service_records(request).await.expect("listed");
    assert_eq!(records.into_inner().records.len(), 1);

    // What was done was done.
    let late = world.offers(&second).step_back(step_back(offer_id)).await;
    assert_eq!(refusal(late).0, Code::FailedPrecondition);
    assert_eq!(refusal(name(&world, offer_id, "").await).0, Code::FailedPrecondition);
}

#[tokio::test]
async fn without_anybody_the_organisation_does_it_itself_also_before_the_confirmation() {
    let world = World::start().await;
    let (persona, id) = volunteer(&world).await;
    let (case_id, offer_id) = world.offer().await;
    assert_eq!(refusal(name(&world, offer_id, &id).await).0, Code::FailedPrecondition, "nothing is accepted");
    let request = AcceptOfferRequest { volunteer_id: id.clone(), ..accept(offer_id) };
    world.offers(&world.manager).accept_offer(request).await.expect("accepted");
    world.service.drain_outbox().await;
    world.offers(&persona).step_back(step_back(offer_id)).await.expect("always");
    assert!(world.service.drain_outbox().await.is_empty());
    world.tell("case-routing", case_id, &world.confirmation(case_id, offer_id)).await;
    let seen = world.get(offer_id).await;
    assert_eq!((seen.state(), seen.volunteer_id.as_str()), (OfferState::Confirmed, ""));
    assert_eq!(world.complete(offer_id, 30).await.state(), OfferState::Completed);

    // The organisation may take it back from somebody, too; who has not said no may be named again.
    let (_, offer_id) = world.confirmed_for(&id).await;
    assert_eq!(name(&world, offer_id, "").await.expect("taken back").volunteer_id, "");
    assert_eq!(name(&world, offer_id, &id).await.expect("named").volunteer_id, id);
}

#[tokio::test]
async fn only_the_partner_names_and_only_its_own_and_nobody_changes_what_has_moved_on() {
    let world = World::start().await;
    let (persona, id) = volunteer(&world).await;
    let (_, offer_id) = world.confirmed_for(&id).await;
    let stranger = world.stranger();
    let org_id = stranger.org_id.expect("an organisation").to_string();
    let theirs = world.register(&stranger, CreateVolunteerRequest { org_id, ..world.new_volunteer() }).await;
    let refused = name(&world, offer_id, &theirs).await;
    assert_eq!(refusal(refused), (Code::InvalidArgument, vec!["volunteer_id".to_owned()]));
    let refused = world.offers(&stranger).name_volunteer(naming(offer_id, &theirs)).await;
    assert_eq!(refusal(refused).0, Code::NotFound);
    let refused = world.offers(&persona).name_volunteer(naming(offer_id, &id)).await;
    assert_eq!(refusal(refused).0, Code::PermissionDenied);

    let stale = StepBackRequest { etag: "1".into(), ..step_back(offer_id) };
    assert_eq!(refusal(world.offers(&persona).step_back(stale).await).0, Code::Aborted);
    let stale = NameVolunteerRequest { etag: "1".into(), ..naming(offer_id, "") };
    assert_eq!(refusal(world.offers(&world.manager).name_volunteer(stale).await).0, Code::Aborted);
    let seen = world.get(offer_id).await;
    assert_eq!((seen.volunteer_id.as_str(), seen.etag.as_str()), (id.as_str(), "3"));
    let fresh = StepBackRequest { etag: seen.etag, ..step_back(offer_id) };
    let left = world.offers(&persona).step_back(fresh).await.expect("fresh").into_inner();
    assert_eq!(left.offer.expect("an offer").etag, "4");
}
