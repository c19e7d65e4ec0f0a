//! Pairs of state and verb that lead to more than one state: the moves that no attempt of the state table's test makes.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// Makes them, for the trail.
pub(super) fn other_outcomes() {
    // A licence is accepted when the supplement does not come.
    let mut world = World::new();
    let register = RegisterCase { item_code: Some("licence".into()), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let case = case.request_supplement(vec!["id_copy".into()], &world.official(STATION)).unwrap().case;
    world.wait(TimeDelta::days(30));
    world.tick(case);

    // What another system sends back was never triaged.
    let mut world = World::new();
    let case = Case { item: None, ..world.accepted() };
    let case = case.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap().case;
    let case = case.return_from_referral("hotline", "退回", &world.system()).unwrap().case;
    assert_eq!(case.state, CaseState::Accepted);

    // What was put right on the spot is not drawn for a check.
    let mut world = World::new();
    let case = Case { origin: Origin::Patrol, ..world.triaged("street_light") };
    case.solve_on_spot(&on_the_spot(false), &world.official(STATION)).unwrap();

    // The last partner declines, and nobody else is there.
    let mut nobody = parts();
    nobody.entries.retain(|entry| entry.item_code != "shopping_help");
    let mut world = World::of(TableParts { fallback: None, ..nobody });
    let mut case = world.dispatched("shopping_help");
    while case.state == CaseState::OfferedToSociety {
        let offer = case.offer.clone().unwrap();
        case = case.decline_offer(offer.id, &world.official(offer.partner)).unwrap().case;
    }
    assert_eq!(case.state, CaseState::Triaged);

    // The lead is gone when the work has to be done again.
    let mut world = World::new();
    let verifying = world.completed("stairs");
    let rated = world.resolved("stairs").rate(1, &world.resident()).unwrap().case;
    let mut gone = parts();
    gone.orgs.iter_mut().filter(|org| org.id == STATION).for_each(|org| org.valid_to = Some(world.now));
    world.routes = RoutingTable::new(gone);
    for case in [verifying, rated] {
        case.order_rework("not_done", &world.official(VERIFIER)).unwrap();
    }
}
