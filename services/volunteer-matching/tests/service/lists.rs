//! Lists of offers: newest first, page by page, of the organisations that somebody manages and of the own.

use crate::support::{World, accept};
use chassis::{
    auth::Role,
    clock::new_id,
    proto::{
        case_routing::v1::CaseOffered,
        volunteer_matching::v1::{AcceptOfferRequest, CreateVolunteerRequest, ListOffersRequest, OfferState},
    },
    testing::Persona,
};
use uuid::Uuid;

/// What a list gives, by whatever pages.
async fn listed(world: &World, persona: &Persona, request: &ListOffersRequest) -> Vec<Uuid> {
    let mut seen = Vec::new();
    let mut request = request.clone();
    loop {
        let page = world.offers(persona).list_offers(request.clone()).await.expect("listed").into_inner();
        seen.extend(page.offers.iter().map(|offer| offer.offer_id.parse::<Uuid>().expect("an id")));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return seen;
        }
    }
}

/// Whether that is so by pages of every size from one up to all at once.
async fn by_all_pages(world: &World, persona: &Persona, states: &[OfferState], expected: &[Uuid]) {
    for page_size in 1..=6 {
        let request = ListOffersRequest {
            page_size,
            states: states.iter().map(|state| (*state).into()).collect(),
            ..Default::default()
        };
        assert_eq!(listed(world, persona, &request).await, expected, "{page_size} a page, {states:?}");
    }
}

#[tokio::test]
async fn offers_come_newest_first_page_by_page_and_once_also_to_who_manages_and_volunteers() {
    use OfferState::{Accepted, Completed, Offered};
    let world = World::start().await;
    // Another organisation, and somebody who manages the first and volunteers for both.
    let theirs = new_id();
    let other = Persona::new(Role::OrgManager, world.street).org(theirs);
    let both = world.manager.clone();
    let person_id = both.person_id.to_string();
    let as_volunteer = CreateVolunteerRequest { person_id, ..world.new_volunteer() };
    let here = world.register(&both, as_volunteer.clone()).await;
    let org_id = theirs.to_string();
    let there = CreateVolunteerRequest { request_id: new_id().to_string(), org_id, ..as_volunteer };
    let there = world.register(&other, there).await;
    let (unnamed, _) = world.volunteer().await;
    let helper = world.register(&both, world.new_volunteer()).await;

    let offer = async |org_id: Uuid| {
        let (case_id, offer_id) = (new_id(), new_id());
        let offered = CaseOffered { partner_org_id: org_id.to_string(), ..world.offered(case_id, offer_id) };
        world.tell("case-routing", case_id, &offered).await;
        (case_id, offer_id)
    };
    let accepted = async |manager: &Persona, offer_id: Uuid, volunteer_id: &str| {
        let request = AcceptOfferRequest { volunteer_id: volunteer_id.to_owned(), ..accept(offer_id) };
        world.offers(manager).accept_offer(request).await.expect("accepted");
    };
    let (_, a1) = offer(world.org).await;
    let (case_of_b1, b1) = offer(theirs).await;
    let (_, a2) = offer(world.org).await;
    let (case_of_b2, b2) = offer(theirs).await;
    let (_, a3) = offer(world.org).await;
    accepted(&both, a2, &here).await;
    accepted(&other, b1, &there).await;
    accepted(&both, a3, &helper).await;

    by_all_pages(&world, &both, &[], &[a3, a2, b1, a1]).await;
    by_all_pages(&world, &both, &[Accepted], &[a3, a2, b1]).await;
    by_all_pages(&world, &both, &[Offered], &[a1]).await;
    by_all_pages(&world, &both, &[Offered, Accepted], &[a3, a2, b1, a1]).await;
    by_all_pages(&world, &both, &[Offered, Completed], &[a1]).await;
    by_all_pages(&world, &both, &[Completed], &[]).await;
    by_all_pages(&world, &other, &[], &[b2, b1]).await;
    by_all_pages(&world, &other, &[Offered], &[b2]).await;
    by_all_pages(&world, &unnamed, &[], &[]).await;

    // Only as a volunteer, without the organisation.
    let own = Persona { scopes: Persona::new(Role::Volunteer, world.street).scopes, ..both.clone() };
    by_all_pages(&world, &own, &[], &[a2, b1]).await;
    by_all_pages(&world, &own, &[Accepted], &[a2, b1]).await;
    by_all_pages(&world, &own, &[Offered], &[]).await;

    for (case_id, states, expected) in [
        (case_of_b1, vec![], vec![b1]),
        (case_of_b1, vec![Accepted.into()], vec![b1]),
        (case_of_b1, vec![Offered.into()], vec![]),
        (case_of_b2, vec![], vec![]),
    ] {
        let request = ListOffersRequest { case_id: case_id.to_string(), states, ..Default::default() };
        assert_eq!(listed(&world, &both, &request).await, expected);
    }
}
