//! Whoever has to judge a bad rating is asked for it as long as it awaits that, also when the case is over.

use super::super::*;
use super::world::*;
use crate::store::rows::AgendaRow;

#[test]
fn the_judge_finds_the_rating_of_a_resolved_and_of_a_merged_case_until_it_is_judged() {
    let mut world = World::new();
    let case = world.resolved("stairs");
    let original = Original::of(&case, &world.rules, &world.routes);
    let repeat = world.registered().merge(case.id, &world.official(STATION)).unwrap().case;
    assert_eq!(repeat.asked_orgs(), Vec::<OrgId>::new());
    let joined = repeat.rate_merged(1, &original, &world.resident()).unwrap().case;
    let own = case.rate(1, &world.resident()).unwrap().case;
    for (rated, state) in [(&joined, CaseState::Merged), (&own, CaseState::Resolved)] {
        assert_eq!(rated.state, state);
        assert_eq!((rated.awaits_judgement(), rated.asked_orgs()), (true, vec![VERIFIER]));
        assert!(rated.is_party(VERIFIER), "who is asked reaches it");
        let row = AgendaRow::of(rated).expect("it is waited for");
        assert_eq!((row.awaits, row.asked), (Some("judgement"), vec![VERIFIER]));
    }
    let joined = joined.judge_merged(true, "", &original, &world.official(VERIFIER)).unwrap().case;
    let own = own.judge_rating(true, "", &world.official(VERIFIER)).unwrap().case;
    for judged in [&joined, &own] {
        assert!(!judged.awaits_judgement() && !judged.asked_orgs().contains(&VERIFIER));
    }
    let awaits = AgendaRow::of(&joined).and_then(|row| row.awaits);
    assert_eq!(awaits, Some("rectification"), "that it is done again for this rating");
    assert!(!joined.is_party(VERIFIER), "it had no other part in it");
}

#[test]
fn whoever_withdraws_ends_it_with_the_case() {
    let mut world = World::new();
    let rated = world.resolved("stairs").rate(1, &world.resident()).unwrap().case;
    let over = rated.withdraw("solved_itself", None, &world.resident()).unwrap().case;
    assert_eq!((over.awaits_judgement(), over.asked_orgs()), (false, Vec::new()));
    assert_eq!(AgendaRow::of(&over).and_then(|row| row.awaits), None);
}
