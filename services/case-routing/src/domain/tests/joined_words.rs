//! What is added to a merged case is heard where the matter is worked on as long as it is merged, and names nobody who asked.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// Another case was merged into it.
fn joined(world: &mut World, case: Case) -> (Case, CaseId) {
    let from = CaseId(world.fresh());
    (case.absorb(&[from], true, &world.official(STATION)).unwrap().case, from)
}

#[test]
fn the_people_of_the_original_hear_it_and_nothing_moves() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let (case, from) = joined(&mut world, case);
    world.wait(TimeDelta::hours(2));
    let heard = case.clone().hear_joined(from, None, &world.resident()).unwrap();
    assert_eq!(names(&heard), Vec::<&str>::new(), "no event tells of it");
    let [step] = heard.timeline.as_slice() else { panic!("{:?}", heard.timeline) };
    assert_eq!((step.event.as_str(), &step.actor, step.org), ("JoinedRemarked", &PersonRef::system(), None));
    assert_eq!(step.case_version, heard.case.version);
    let reason = step.reason.as_ref().unwrap();
    assert!(reason.render(Language::Chinese).contains("并入"), "{reason:?}");
    assert_eq!(heard.case.remarks(), (1, Some(world.now)));
    let stored = serde_json::to_string(&heard.case).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&stored).unwrap(), heard.case);
    let unmoved =
        Case { version: case.version, updated_at: case.updated_at, joined_words: Vec::new(), ..heard.case };
    assert_eq!(unmoved, case, "no state, no clock, nothing else");
    // Who speaks for an organisation is named.
    let spoken = case.hear_joined(from, None, &world.official(STATION)).unwrap();
    let said = spoken.timeline.last().unwrap();
    assert_eq!((&said.actor, said.org), (&official(STATION).actor, Some(STATION)));
}

#[test]
fn only_where_the_matter_is_worked_on_and_while_there_is_room() {
    let mut world = World::new();
    let wrong = |state| Err(DomainError::WrongState { state, verb: Trigger::Merge });
    let original = world.registered();
    let (middle, from) = joined(&mut world, original.clone());
    let into = CaseId(world.fresh());
    let middle = middle.merge(into, &world.official(STATION)).unwrap().case;
    assert_eq!(middle.hear_joined(from, None, &world.system()), wrong(CaseState::Merged));

    assert!(!original.hears(from, None), "that one is not merged into it");
    assert_eq!(original.clone().hear_joined(from, None, &world.system()), wrong(CaseState::Registered));
    let (original, from) = joined(&mut world, original);
    assert!(original.hears(from, None));
    let full = (0..200).fold(original, |case, _| case.hear_joined(from, None, &world.system()).unwrap().case);
    assert!(!full.hears(from, None));
    assert_eq!(guard(full.hear_joined(from, None, &world.system())), "too_many_remarks");
    let closed = world.closed("stairs");
    let closed = Case { merged: vec![from], ..closed };
    assert!(closed.hears(from, None), "also when it is closed");
    world.wait(TimeDelta::days(101));
    let archived = world.tick(closed).case;
    assert!(!archived.hears(from, None));
    assert_eq!(guard(archived.hear_joined(from, None, &world.system())), "case_archived");
}

#[test]
fn the_words_of_others_take_no_room_from_whoever_asked_here() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    let (case, from) = joined(&mut world, resolved);
    let case = (0..200).fold(case, |case, _| case.hear_joined(from, None, &world.system()).unwrap().case);
    assert_eq!((case.remark_count, case.remarks().0), (0, 200));
    let said = case.clone().add_remark(&world.resident()).unwrap().case;
    assert_eq!((said.remark_count, said.remarks().0), (1, 201));
    let rated = case.rate(5, &world.resident()).unwrap().rated(Some(Channel::App), true).unwrap().case;
    assert_eq!(rated.state, CaseState::Closed);
    assert!(rated.clone().reopen_saying("new_facts", &world.resident()).is_ok());
    // Nor the other way round.
    let full = Case { remark_count: 200, joined_words: Vec::new(), ..rated };
    assert!(full.hears(from, None));
    assert_eq!(guard(full.add_remark(&world.resident())), "too_many_remarks");
}

#[test]
fn what_was_said_in_a_case_is_shown_as_long_as_that_is_merged() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let own = case.add_remark(&world.resident()).unwrap().case;
    let said = own.remarks();
    world.wait(TimeDelta::hours(1));
    let (case, one) = joined(&mut world, own);
    let (case, other) = joined(&mut world, case);
    let case = case.hear_joined(one, None, &world.system()).unwrap().case;
    world.wait(TimeDelta::hours(1));
    let case = case.hear_joined(other, None, &world.system()).unwrap().case;
    assert_eq!(case.remarks(), (3, Some(world.now)));
    let shows = |case: &Case| [Some(one), Some(other), None].map(|from| case.shows_words_of(from));
    assert_eq!(shows(&case), [true; 3]);
    let act = world.official(STATION);
    let left = case.absorb(&[other], false, &act).unwrap().case;
    assert_eq!((left.remarks().0, shows(&left)), (2, [true, false, true]));
    let alone = left.absorb(&[one], false, &act).unwrap().case;
    assert_eq!((alone.remarks(), shows(&alone)), (said, [false; 3]));
    let again = alone.absorb(&[other], true, &act).unwrap().case;
    assert_eq!((again.remarks().0, shows(&again)), (2, [false, true, true]));
}

#[test]
fn the_words_of_a_complaint_are_heard_only_where_it_was_passed_on() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let from = CaseId(world.fresh());
    let complaint = Complaint { of: STREET_OFFICE, by: vec![from] };
    // As it was merged by an earlier release, which passed nothing on.
    let before = case.clone().absorb(&[from], true, &world.official(STATION)).unwrap().case;
    let itself = Case { complained_of: Some(STREET_OFFICE), ..before.clone() };
    let another = Case { complained_of: Some(HOUSING), ..before.clone() };
    for known in [before, itself, another] {
        assert!(known.hears(from, None) && !known.hears(from, Some(&complaint)));
        let heard = known.hear_joined(from, Some(&complaint), &world.system());
        assert!(matches!(heard, Err(DomainError::WrongState { .. })));
    }
    let passed_on = case.take_in(&[from], Some(&complaint), &world.official(STATION)).unwrap().case;
    assert!(passed_on.hears(from, Some(&complaint)));
    let also = Complaint { by: vec![from, CaseId(world.fresh())], ..complaint };
    assert!(!passed_on.hears(from, Some(&also)), "the other is not known here");
}
