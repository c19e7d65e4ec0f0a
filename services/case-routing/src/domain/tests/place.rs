//! Grid and point of a place: as they were given, corrected by triage, and kept with the case.

use super::super::*;
use super::world::*;

const GRID: &str = "420103005001001";
const OTHER_GRID: &str = "420103005001002";

fn point() -> Option<Point> {
    Point::of_degrees(114.27, 30.6)
}

fn placed(world: &mut World) -> Case {
    let register = RegisterCase { grid: Some(GRID.into()), point: point(), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    case.accept(&world.official(STATION)).unwrap().case
}

#[test]
fn a_case_has_the_grid_and_point_that_were_given_and_none_else() {
    let mut world = World::new();
    let case = placed(&mut world);
    assert_eq!((case.place.grid.as_deref(), case.place.point), (Some(GRID), point()));
    let doc = serde_json::to_string(&case).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&doc).unwrap().place, case.place);
    let none = world.accepted();
    assert_eq!((&none.place.grid, none.place.point), (&None, None));
    let doc = serde_json::to_string(&none).unwrap();
    assert!(!doc.contains("grid") && !doc.contains("longitude"), "{doc}");
}

#[test]
fn triage_corrects_them_and_a_case_that_lies_elsewhere_keeps_its_point_alone() {
    let mut world = World::new();
    let case = placed(&mut world);
    let mut triaged = |command: &TriageCase| {
        let case = case.clone().triage(command, &world.official(STATION)).unwrap().case;
        (case.place.unit, case.place.grid, case.place.point)
    };
    let to = |unit| TriageCase { place_unit: Some(unit), ..triage("stairs") };
    assert_eq!(triaged(&triage("stairs")), (DOORWAY, Some(GRID.into()), point()));
    assert_eq!(triaged(&to(COURTYARD)), (COURTYARD, Some(GRID.into()), point()), "of the same community");
    assert_eq!(triaged(&to(STREET)), (STREET, None, point()), "a grid lies in one community");
    let other = Point::of_degrees(114.28, 30.61);
    let better = TriageCase { grid: Some(OTHER_GRID.into()), point: other, ..to(STREET) };
    assert_eq!(triaged(&better), (STREET, Some(OTHER_GRID.into()), other));
}

#[test]
fn an_imported_case_has_them_too() {
    let mut world = World::new();
    for state in [CaseState::Registered, CaseState::Closed] {
        let command = super::import::command(&mut world, state);
        let register = RegisterCase { grid: Some(GRID.into()), point: point(), ..command.register.clone() };
        let command = ImportCase { register, ..command };
        let place = Case::import(command, &world.official(STATION)).unwrap().case.place;
        assert_eq!((place.grid.as_deref(), place.point), (Some(GRID), point()), "{state}");
    }
}
