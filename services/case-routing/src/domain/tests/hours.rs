//! Hours and closures of units: a case is counted by those of its place.

use std::collections::HashMap;

use calendar::{Closure, Profile, Season};
use chrono::{NaiveDate, NaiveTime};

use super::super::*;
use super::world::*;

/// The courtyard is closed on these days of June; elsewhere the usual hours hold.
fn closed(from: u32, to: u32, version: u16) -> Hours {
    let day = |day| NaiveDate::from_ymd_opt(2026, 6, day).unwrap();
    let closure = Closure { from: day(from), to: day(to), authority_ref: "令〔2026〕1号".into() };
    of_courtyard(Profile::office().closed(closure).unwrap(), version)
}

fn of_courtyard(profile: Profile, version: u16) -> Hours {
    Hours {
        usual: Profile::office().at_version(version),
        of_units: HashMap::from([(COURTYARD, profile.at_version(version))]),
    }
}

fn dispatched_at(world: &mut World, place_unit: UnitId) -> Case {
    let register = RegisterCase { place_unit, ..world.register() };
    let command = IntakeCase { register, triage: triage("stairs"), route: RouteChoice::Auto };
    Case::intake(command, &world.official(STATION)).unwrap().case
}

fn due(case: &Case, kind: ClockKind) -> Timestamp {
    case.clocks.iter().rev().find(|clock| clock.kind == kind).unwrap().due_at
}

#[test]
fn a_closure_moves_what_runs_there_and_nothing_elsewhere_and_takes_nothing_back() {
    let mut world = World::new();
    let (here, elsewhere) = (dispatched_at(&mut world, DOORWAY), dispatched_at(&mut world, COMMUNITY));
    let promised = at("2026-06-15T17:00:00");
    assert_eq!((due(&here, ClockKind::Resolve), due(&elsewhere, ClockKind::Resolve)), (promised, promised));

    world.rules = world.rules.clone().with_hours(&closed(10, 11, 2));
    let moved = here.follow_calendar(&world.system()).unwrap();
    assert!(names(&moved).iter().all(|name| *name == "ClockMoved"), "{:?}", names(&moved));
    let later = at("2026-06-17T17:00:00");
    assert_eq!(due(&moved.case, ClockKind::Resolve), later);
    assert_eq!(moved.case.lead().unwrap().due_at, Some(later));
    let same = elsewhere.follow_calendar(&world.system()).unwrap();
    assert_eq!(names(&same), Vec::<&str>::new(), "counted again all the same");
    assert_eq!(due(&same.case, ClockKind::Resolve), promised);
    assert_eq!(same.case.counted_with(), moved.case.counted_with());
    let fresh = dispatched_at(&mut world, DOORWAY);
    assert_eq!(due(&fresh, ClockKind::Resolve), later);

    world.rules = world.rules.clone().with_hours(&of_courtyard(Profile::office(), 3));
    let lifted = moved.case.follow_calendar(&world.system()).unwrap();
    assert_eq!((names(&lifted), due(&lifted.case, ClockKind::Resolve)), (vec![], later), "promised");
    let fresh = dispatched_at(&mut world, DOORWAY);
    assert_eq!(due(&fresh, ClockKind::Resolve), promised);
}

#[test]
fn the_hours_of_a_unit_are_those_of_its_cases_only() {
    let mut world = World::new();
    let time = |hour| NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
    let morning = Season { from: (1, 1), spans: vec![(time(9), time(11))] };
    let profile = Profile::office().with_hours(vec![morning]).unwrap();
    world.rules = world.rules.clone().with_hours(&of_courtyard(profile, 2));
    // Four working hours from Monday, nine o'clock.
    let here = dispatched_at(&mut world, DOORWAY);
    assert_eq!(due(&here, ClockKind::Sign), at("2026-06-09T11:00:00"));
    assert_eq!(due(&here, ClockKind::Resolve), at("2026-06-15T11:00:00"));
    let elsewhere = dispatched_at(&mut world, COMMUNITY);
    assert_eq!(due(&elsewhere, ClockKind::Sign), at("2026-06-08T15:00:00"));
    // Rules for a place are for what lies in it.
    let path = [CITY, DISTRICT, STREET, COMMUNITY, COURTYARD, DOORWAY];
    let local = world.rules.at(&path);
    assert_eq!(local.profile.version(), world.rules.profile.version());
    assert!(std::ptr::eq(local, local.at(&path)) && std::ptr::eq(&world.rules, world.rules.at(&path[..4])));
}

#[test]
fn a_case_that_is_found_to_be_elsewhere_is_counted_by_that_place_and_never_earlier() {
    let mut world = World::new();
    world.rules = world.rules.clone().with_hours(&closed(8, 9, 2));
    let register = RegisterCase { place_unit: COMMUNITY, ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let case = case.accept(&world.official(STATION)).unwrap().case;
    assert_eq!(due(&case, ClockKind::Dispatch), at("2026-06-08T15:00:00"));
    let to = |place_unit| TriageCase { place_unit: Some(place_unit), ..triage("stairs") };
    let triaged = case.triage(&to(DOORWAY), &world.official(STATION)).unwrap();
    assert_eq!(names(&triaged), ["CaseTriaged", "ClockMoved"]);
    let reason = triaged.timeline[1].reason.clone().unwrap();
    assert_eq!(reason.code, "place_changed");
    assert!(reason.render(Language::Chinese).contains("2026-06-10 14:30"), "{reason:?}");
    assert_eq!(due(&triaged.case, ClockKind::Dispatch), at("2026-06-10T14:30:00"));
    assert_eq!(due(&triaged.case, ClockKind::Resolve), at("2026-06-16T17:00:00"));
    let back = triaged.case.triage(&to(COMMUNITY), &world.official(STATION)).unwrap();
    assert_eq!(names(&back), ["CaseTriaged"]);
    assert_eq!(due(&back.case, ClockKind::Dispatch), at("2026-06-10T14:30:00"));
    assert_eq!(due(&back.case, ClockKind::Resolve), at("2026-06-16T17:00:00"));
}
