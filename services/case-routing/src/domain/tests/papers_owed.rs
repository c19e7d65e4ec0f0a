//! The papers of an urgent grant are owed until they come, also when everything else about the case is over.

use super::super::*;
use super::application_world::*;
use super::world::*;
use crate::store::rows::{AgendaRow, kept_until};

/// Granted by the street before the facts were known, and delivered.
fn delivered(world: &mut World) -> Way {
    let way = world.urgent();
    way.then(|p, c| p.deliver("pay:1", holder(), c, &world.act(person("dora", STREET_OFFICE))))
}

fn closed(world: &mut World, way: Way) -> Way {
    let case = way.case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let case = case.rate(5, &world.resident()).unwrap().case;
    assert_eq!(case.state, CaseState::Closed);
    Way { papers: way.papers, case }
}

/// The day of the papers comes.
fn overdue(world: &mut World, way: Way) -> Way {
    world.now = way.papers.papers.as_ref().unwrap().due_at;
    let way = way.tick(world);
    assert_eq!(owed(&way), [(1, SupervisionState::Issued)]);
    way
}

fn about_papers(way: &Way) -> impl Iterator<Item = &Supervision> {
    way.case.supervisions.iter().filter(|known| known.reason_code == "papers_overdue")
}

fn owed(way: &Way) -> Vec<(u8, SupervisionState)> {
    about_papers(way).map(|known| (known.level, known.state)).collect()
}

#[test]
fn papers_that_are_owed_when_the_case_closes_are_supervised_until_they_come() {
    let mut world = world();
    let way = delivered(&mut world);
    let way = overdue(&mut world, way);
    let way = closed(&mut world, way);
    assert_eq!(owed(&way), [(1, SupervisionState::Issued)]);
    let about = about_papers(&way).next().unwrap().clone();
    assert_eq!(way.case.supervised(&about), STREET_OFFICE);
    assert!(
        way.case.supervisions.iter().all(|known| {
            known.reason_code == "papers_overdue" || known.state == SupervisionState::Cleared
        })
    );
    assert_eq!(violations(&way.case), Vec::<&str>::new());
    // The sweeper and whoever owes them find it.
    let row = AgendaRow::of(&way.case).unwrap();
    assert!(row.due_at == Some(about.due_at) && row.orgs.contains(&STREET_OFFICE) && !row.open);
    world.now = about.due_at;
    let way = way.tick(&mut world);
    assert_eq!(owed(&way), [(2, SupervisionState::Issued)]);
    let way = way.then(|p, c| p.submit_papers(brought(), c, &world.resident()));
    assert_eq!((way.case.state, owed(&way)), (CaseState::Closed, vec![(2, SupervisionState::Cleared)]));
    assert!(AgendaRow::of(&way.case).is_none() && kept_until(&way.case) == way.case.archive_at);
}

#[test]
fn papers_that_fall_due_after_the_case_closed_are_supervised_as_well() {
    let mut world = world();
    let way = delivered(&mut world);
    let way = closed(&mut world, way);
    assert_eq!(owed(&way), []);
    let way = overdue(&mut world, way);
    let way = way.then(|p, c| p.submit_papers(brought(), c, &world.resident()));
    assert_eq!(owed(&way), [(1, SupervisionState::Cleared)]);
}

#[test]
fn what_is_withdrawn_or_archived_owes_nothing() {
    let mut world = world();
    let way = world.urgent();
    let way = overdue(&mut world, way);
    let way = way.then(|p, c| p.withdraw("not_needed", None, c, &world.resident()));
    assert_eq!(owed(&way), [(1, SupervisionState::Cleared)]);

    let way = delivered(&mut world);
    let way = overdue(&mut world, way);
    let way = closed(&mut world, way);
    world.now = way.case.archive_at.unwrap();
    let way = way.tick(&mut world);
    assert_eq!(way.case.state, CaseState::Archived);
    assert!(owed(&way).iter().all(|(_, state)| *state == SupervisionState::Cleared));
    assert_eq!(way.case.next_timer_at(), None);
}
