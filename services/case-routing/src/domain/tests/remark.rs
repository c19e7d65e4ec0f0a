//! Words that are added to a case: by whom, and that nothing moves by them.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

#[test]
fn words_of_those_who_take_part_are_a_step_and_move_nothing() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let lead = case.lead_org.unwrap();
    world.wait(TimeDelta::hours(30));
    let resident = world.resident().by;
    for by in [resident, official(lead), official(STATION)] {
        let said = case.clone().add_remark(&world.act(by.clone())).unwrap();
        assert_eq!(names(&said), Vec::<&str>::new(), "nobody is told");
        let [step] = said.timeline.as_slice() else { panic!("{:?}", said.timeline) };
        assert_eq!((step.event.as_str(), &step.actor, step.org), ("CaseRemarked", &by.actor, by.org));
        assert_eq!(step.case_version, said.case.version);
        assert_eq!((said.case.remark_count, said.case.remarked_at), (1, Some(world.now)));
        let unmoved = Case {
            version: case.version,
            updated_at: case.updated_at,
            remark_count: 0,
            remarked_at: None,
            ..said.case
        };
        assert_eq!(unmoved, case, "no state, no clock, nothing else");
    }
    let stranger = Party { actor: PersonRef("r-2".into()), org: None, standing: Standing::Requester };
    assert_eq!(guard(case.clone().add_remark(&world.act(stranger))), "takes_part");
    assert_eq!(guard(case.clone().add_remark(&world.official(TEAM))), "takes_part");
    assert_eq!(guard(case.clone().add_remark(&world.system())), "takes_part");
    let full = Case { remark_count: 200, ..case };
    assert_eq!(guard(full.add_remark(&world.resident())), "too_many_remarks");
}

#[test]
fn a_case_is_opened_again_with_words_as_it_is_without_and_takes_some_when_it_is_closed() {
    let mut world = World::new();
    let closed = world.closed("stairs");
    let said = closed.clone().add_remark(&world.resident()).unwrap().case;
    assert_eq!((said.state, said.remark_count), (CaseState::Closed, 1), "nothing is opened by words alone");
    let plain = closed.clone().reopen("new_facts", &world.resident()).unwrap();
    let saying = closed.clone().reopen_saying("new_facts", &world.resident()).unwrap();
    assert_eq!(names(&saying), names(&plain));
    assert_eq!((saying.case.state, saying.case.remark_count), (plain.case.state, 1));
    let last = saying.timeline.last().unwrap();
    assert_eq!((last.event.as_str(), last.case_version), ("CaseRemarked", saying.case.version));
    // Whoever may open it again may say why, without a part in it.
    assert!(closed.clone().reopen_saying("new_facts", &world.official(GOVERNMENT)).is_ok());
    assert_eq!(violations(&saying.case), Vec::<&str>::new());
    world.wait(TimeDelta::days(101));
    let archived = world.tick(closed).case;
    assert_eq!(archived.state, CaseState::Archived);
    assert_eq!(guard(archived.add_remark(&world.resident())), "case_archived");
}

#[test]
fn a_case_of_an_older_program_has_no_words() {
    let case = World::new().in_progress("stairs");
    let stored = serde_json::to_string(&case).unwrap().replace("\"remark_count\":0,", "");
    assert!(!stored.contains("remark"));
    assert_eq!(serde_json::from_str::<Case>(&stored).unwrap(), case);
}

#[test]
fn a_rating_keeps_its_channel_and_that_it_was_explained_also_in_a_closed_case() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    for (grade, state) in [(5, CaseState::Closed), (1, CaseState::Resolved)] {
        let rated = resolved.clone().rate(grade, &world.resident()).unwrap();
        let plain = names(&rated);
        let rated = rated.rated(Some(Channel::App), true).unwrap();
        assert_eq!((names(&rated), rated.case.state, rated.case.remark_count), (plain, state, 1));
        assert_eq!(rated.case.rating.as_ref().unwrap().channel, Some(Channel::App));
        let stored = serde_json::to_string(&rated.case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&stored).unwrap(), rated.case);
    }
    let silent = resolved.rate(4, &world.resident()).unwrap().rated(None, false).unwrap().case;
    assert_eq!((silent.rating.unwrap().channel, silent.remark_count, silent.remarked_at), (None, 0, None));
}
