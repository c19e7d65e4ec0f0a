//! The reminder that a day of a mediation went by, of a case that is over: who finds it, and when it is gone.

use super::*;
use crate::store::rows::{AgendaRow, kept_until};

#[test]
fn whoever_is_reminded_finds_the_closed_case_until_what_was_waited_for_has_come() {
    let mut world = World::new();
    let case = world.completed("quarrel");
    let case = case.remind_of_mediation(Some(TEAM), true, true, &world.system()).unwrap().case;
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let case = case.rate(5, &world.resident()).unwrap().case;
    assert_eq!((case.state, case.asked_orgs()), (CaseState::Closed, vec![TEAM]));
    assert!(case.is_party(TEAM), "who is asked reaches it");
    let row = AgendaRow::of(&case).expect("somebody is asked for something");
    assert_eq!((row.open, row.due_at, kept_until(&case)), (false, case.archive_at, None));
    assert!(row.asked == [TEAM] && row.orgs.contains(&TEAM));

    let met = case.clone().remind_of_mediation(None, false, false, &world.system()).unwrap().case;
    assert_eq!((met.asked_orgs(), AgendaRow::of(&met)), (vec![], None));
    assert_eq!(kept_until(&met), met.archive_at);
    world.now = case.archive_at.unwrap();
    let archived = world.tick(case).case;
    assert_eq!((archived.state, archived.asked_orgs()), (CaseState::Archived, vec![]));
}

#[test]
fn a_merged_case_is_reminded_of_nothing_and_what_it_was_reminded_of_goes_with_its_mediation() {
    let mut world = World::new();
    let (other, case) = (CaseId(world.fresh()), world.triaged("quarrel"));
    let merged = case.clone().merge(other, &world.official(STATION)).unwrap().case;
    assert_eq!(merged.remind_of_mediation(Some(COMMITTEE), true, true, &world.system()), None);

    let late = case.remind_of_mediation(Some(COMMITTEE), true, true, &world.system()).unwrap().case;
    let merged = late.merge(other, &world.official(STATION)).unwrap().case;
    assert_eq!(merged.asked_orgs(), Vec::<OrgId>::new(), "nobody works on it");
    let stands = merged.clone().remind_of_mediation(Some(COMMITTEE), false, true, &world.system());
    assert_eq!(stands, None);
    // As when the sweeper ends the talks of a merged case.
    let ended = merged.remind_of_mediation(Some(COMMITTEE), false, false, &world.system()).unwrap();
    assert_eq!(names(&ended), ["SupervisionCleared"]);
    assert_eq!(violations(&ended.case), Vec::<&str>::new());
    let back = ended.case.unmerge(&world.official(STATION)).unwrap();
    assert!(!names(&back).contains(&"SupervisionMoved"), "nobody is asked for it any more");
    assert_eq!(back.case.asked_orgs(), Vec::<OrgId>::new());
}
