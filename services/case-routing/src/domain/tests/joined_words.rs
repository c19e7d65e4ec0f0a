//! What is added to a merged case is heard where the matter is worked on, and names nobody who asked.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

#[test]
fn the_people_of_the_original_hear_it_and_nothing_moves() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    world.wait(TimeDelta::hours(2));
    let heard = case.clone().hear_joined(&world.resident()).unwrap();
    assert_eq!(names(&heard), Vec::<&str>::new(), "no event tells of it");
    let [step] = heard.timeline.as_slice() else { panic!("{:?}", heard.timeline) };
    assert_eq!((step.event.as_str(), &step.actor, step.org), ("JoinedRemarked", &PersonRef::system(), None));
    assert_eq!(step.case_version, heard.case.version);
    let reason = step.reason.as_ref().unwrap();
    assert!(reason.render(Language::Chinese).contains("并入"), "{reason:?}");
    assert_eq!((heard.case.remark_count, heard.case.remarked_at), (1, Some(world.now)));
    let unmoved = Case {
        version: case.version,
        updated_at: case.updated_at,
        remark_count: 0,
        remarked_at: None,
        ..heard.case
    };
    assert_eq!(unmoved, case, "no state, no clock, nothing else");
    // Who speaks for an organisation is named.
    let spoken = case.hear_joined(&world.official(STATION)).unwrap();
    let said = spoken.timeline.last().unwrap();
    assert_eq!((&said.actor, said.org), (&official(STATION).actor, Some(STATION)));
}

#[test]
fn only_where_the_matter_is_worked_on_and_while_there_is_room() {
    let mut world = World::new();
    let original = world.registered();
    let merged = world.registered().merge(original.id, &world.official(STATION)).unwrap().case;
    let wrong = merged.hear_joined(&world.system());
    assert_eq!(wrong, Err(DomainError::WrongState { state: CaseState::Merged, verb: Trigger::Merge }));
    assert!(original.takes_words());
    let full = Case { remark_count: 200, ..original };
    assert!(!full.takes_words());
    assert_eq!(guard(full.hear_joined(&world.system())), "too_many_remarks");
    let closed = world.closed("stairs");
    assert!(closed.takes_words(), "also when it is closed");
    world.wait(TimeDelta::days(101));
    let archived = world.tick(closed).case;
    assert!(!archived.takes_words());
    assert_eq!(guard(archived.hear_joined(&world.system())), "case_archived");
}
