//! Versions of the list whose turns meet: one is taken back while another waits for its day, one was drafted from what is no
//! longer in force; and the names that decisions cite them by.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

const APPROVER: &str = "approver";

fn version(version: i32, periods: &[Period]) -> ListVersion {
    let periods = periods.iter().filter(|period| period.version == version).cloned().collect();
    ListVersion { version, drafted_by: "drafter".into(), withdrawn: false, periods }
}

fn first(now: Timestamp) -> Vec<Period> {
    vec![Period { version: 1, unit: None, from: now - TimeDelta::days(100), to: None }]
}

#[test]
fn a_version_that_waits_for_its_day_is_taken_back_after_the_one_in_force_was() {
    let (now, day) = (World::new().now, TimeDelta::days(1));
    let at = |periods: &[Period], days: i32| version_at(periods, &[], now + day * days);
    let second = activate(&version(2, &[]), &first(now), now, APPROVER, now).unwrap();
    let third = activate(&version(3, &[]), &second, now + day * 10, APPROVER, now + day).unwrap();
    let back = roll_back(&version(2, &third), &third, now + day * 2).unwrap();
    let decides = [1, 2, 9, 10].map(|days| at(&back, days));
    assert_eq!(decides, [Some(2), Some(1), Some(1), Some(3)]);
    let states = [1, 2, 3].map(|number| version(number, &back).state(now + day * 10));
    assert_eq!(states, [ListState::Superseded, ListState::Superseded, ListState::InForce]);

    let none = roll_back(&version(3, &back), &back, now + day * 3).unwrap();
    assert_eq!([3, 11].map(|days| at(&none, days)), [Some(1), Some(1)]);
    assert_eq!(version(1, &none).state(now + day * 11), ListState::InForce);
    let fourth = activate(&version(4, &[]), &none, now + day * 4, APPROVER, now + day * 4).unwrap();
    assert_eq!(at(&fourth, 4), Some(4));
    // Or it comes, and is taken back then.
    let late = roll_back(&version(3, &back), &back, now + day * 11).unwrap();
    assert_eq!([10, 11].map(|days| at(&late, days)), [Some(3), Some(1)]);
}

#[test]
fn what_came_back_before_is_taken_back_while_another_waits() {
    let (now, day) = (World::new().now, TimeDelta::days(1));
    let second = activate(&version(2, &[]), &first(now), now, APPROVER, now).unwrap();
    let third = activate(&version(3, &[]), &second, now + day, APPROVER, now + day).unwrap();
    let again = roll_back(&version(3, &third), &third, now + day * 2).unwrap();
    let waits = activate(&version(4, &[]), &again, now + day * 10, APPROVER, now + day * 3).unwrap();
    let back = roll_back(&version(2, &waits), &waits, now + day * 4).unwrap();
    let decides = [3, 4, 10].map(|days| version_at(&back, &[], now + day * days));
    assert_eq!(decides, [Some(2), Some(1), Some(4)]);
    let none = roll_back(&version(4, &back), &back, now + day * 5).unwrap();
    assert_eq!(version_at(&none, &[], now + day * 10), Some(1));
}

#[test]
fn what_is_taken_back_comes_back_with_no_version_on_its_way() {
    let (now, day) = (World::new().now, TimeDelta::days(1));
    let second = activate(&version(2, &[]), &first(now), now, APPROVER, now).unwrap();
    assert!(on_the_way(&second, 1, now).is_empty(), "it is there");
    let waits = activate(&version(3, &[]), &second, now + day * 10, APPROVER, now).unwrap();
    assert_eq!(on_the_way(&waits, 2, now), [3]);
    assert!(on_the_way(&waits, 3, now).is_empty(), "besides itself");
    assert!(on_the_way(&waits, 2, now + day * 10).is_empty(), "it has come");
    let canary = start_canary(&version(3, &[]), &second, STREET, APPROVER, now).unwrap();
    assert_eq!(on_the_way(&canary, 2, now), [3]);
    let both = activate(&version(3, &canary), &canary, now + day * 10, APPROVER, now).unwrap();
    assert_eq!(on_the_way(&both, 2, now), [3], "once");
    // Each with the one taken back and what that amends.
    for (made_from, chain) in [(vec![3, 1], vec![2]), (vec![5, 3, 1], vec![4, 2])] {
        assert_eq!(stands_apart(&made_from, &chain), Ok(()), "{made_from:?} {chain:?}");
    }
    for (made_from, chain) in [(vec![3, 2, 1], vec![2]), (vec![5, 3, 2, 1], vec![4, 2])] {
        let refused = stands_apart(&made_from, &chain).unwrap_err();
        assert!(matches!(refused, DomainError::Guard { code: "list_scheduled", .. }), "{refused}");
    }
}

#[test]
fn a_draft_stands_on_the_version_in_force_or_what_that_amends() {
    let amended = vec![4, 3, 1];
    for (base, chain) in [(Some(1), vec![1]), (Some(1), amended.clone()), (Some(3), amended), (None, vec![])]
    {
        assert_eq!(stands_on(base, &chain), Ok(()), "{base:?} {chain:?}");
    }
    // One came since, one was taken back since, and a first list that is the first no more.
    for (base, chain) in [(Some(1), vec![2]), (Some(2), vec![1]), (Some(1), vec![]), (None, vec![1])] {
        let refused = stands_on(base, &chain).unwrap_err();
        assert!(matches!(refused, DomainError::Guard { code: "list_moved", .. }), "{refused}");
    }
}

#[test]
fn a_decision_cites_the_catalogue_of_its_instant_however_it_is_made() {
    let mut world = World::new();
    let turn = world.now + TimeDelta::days(1);
    let names = [(world.now - TimeDelta::days(9), "catalogue-1.list-1"), (turn, "catalogue-2.list-1")];
    let cited = Citation::of(names.map(|(from, name)| (from, name.to_owned())));
    assert_eq!(&**cited.at(turn - TimeDelta::days(99)), "catalogue-1.list-1", "the first one always");
    let list = world.routes.index(cited, parts().entries);
    world.routes = world.routes.under(list);
    let decided = |world: &mut World, choice: &RouteChoice, by: OrgId| {
        let case = world.triaged("street_light");
        let case = case.dispatch(choice, &world.official(by)).unwrap().case;
        case.routing.last().unwrap().clone()
    };
    let before = decided(&mut world, &RouteChoice::Auto, STREET_OFFICE);
    world.now = turn;
    let after = decided(&mut world, &RouteChoice::Auto, STREET_OFFICE);
    let chosen = decided(&mut world, &manual(URBAN), GOVERNMENT);
    let cited = [&before, &after, &chosen].map(|decision| decision.list_version.as_str());
    assert_eq!(cited, ["catalogue-1.list-1", "catalogue-2.list-1", "catalogue-2.list-1"]);
    for decision in [&before, &after] {
        let named = world.routes.index(decision.list_version.as_str(), parts().entries);
        assert_eq!(decision.replay(&RoutingTable::new(parts()).under(named)), Replay::Identical);
    }
}
