//! Streets become one, or a unit is put under another: open cases lie where their units went, and finished ones where they lay.

use std::{collections::HashMap, sync::Arc};

use calendar::{Closure, Profile};
use chrono::NaiveDate;
use uuid::Uuid;

use super::super::*;
use super::world::*;

/// The street that the other became part of.
pub(super) const NEXT: UnitId = UnitId(Uuid::from_u128(0x1ffe));

/// What lay in the street and what sat there goes on in the next one.
pub(super) fn merged() -> TableParts {
    let mut parts = parts();
    let path = [CITY, DISTRICT, NEXT, COMMUNITY, COURTYARD, DOORWAY];
    parts.units.push(UnitNode { id: NEXT, kind: UnitKind::Street, path: Arc::from(&path[..=2]) });
    for unit in &mut parts.units {
        if let Some(depth) = path.iter().position(|id| *id == unit.id) {
            unit.path = Arc::from(&path[..=depth]);
        }
    }
    parts.orgs.iter_mut().filter(|org| org.unit == STREET).for_each(|org| org.unit = NEXT);
    parts.merged.push((STREET, NEXT));
    parts
}

/// That street is closed on two days of the week in which the cases begin.
fn closed(unit: UnitId, version: u16) -> Hours {
    let day = |day| NaiveDate::from_ymd_opt(2026, 6, day).unwrap();
    let closure = Closure { from: day(10), to: day(11), authority_ref: "令〔2026〕1号".into() };
    let profile = Profile::office().closed(closure).unwrap();
    Hours {
        usual: Profile::office().at_version(version),
        of_units: HashMap::from([(unit, profile.at_version(version))]),
    }
}

fn due(case: &Case) -> Timestamp {
    case.resolve_clock().unwrap().due_at
}

#[test]
fn a_case_below_a_street_that_was_merged_is_in_the_new_one_and_nobody_is_told() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    assert_eq!(case.clone().follow_units(&world.system()), None, "it is where it was");
    world.routes = RoutingTable::new(merged());
    let followed = case.clone().follow_units(&world.system()).unwrap();
    assert_eq!(names(&followed), Vec::<&str>::new());
    let now = &followed.case;
    assert_eq!(now.place.path, [CITY, DISTRICT, NEXT, COMMUNITY, COURTYARD, DOORWAY]);
    assert_eq!((now.place.unit, now.place.street), (DOORWAY, Some(NEXT)));
    assert_eq!((now.state, now.version, due(now)), (case.state, case.version + 1, due(&case)));
    let [step] = &followed.timeline[..] else { panic!("{:?}", followed.timeline) };
    assert_eq!((step.event.as_str(), step.case_version), ("CasePlaceFollowed", now.version));
    assert_eq!(step.actor, PersonRef::system());
    let reason = step.reason.clone().unwrap();
    assert_eq!((reason.code.as_str(), &reason.args["from"]), ("place_followed", &DOORWAY.to_string()));
    assert!(reason.args["path"].contains(&STREET.to_string()), "as it was: {reason:?}");
    assert_ne!(reason.render(Language::Chinese), reason.render(Language::English));
    assert_eq!(violations(now), Vec::<&str>::new());
    assert_eq!(followed.case.follow_units(&world.system()), None, "once");
}

#[test]
fn a_case_of_the_street_itself_is_told_with_the_new_one_and_goes_to_who_sits_there() {
    let mut world = World::new();
    let there = TriageCase { place_unit: Some(STREET), ..triage("street_light") };
    let case = world.accepted().triage(&there, &world.official(STATION)).unwrap().case;
    world.routes = RoutingTable::new(merged());
    // Whoever looks, nobody did it.
    let followed = case.clone().follow_units(&world.official(STREET_OFFICE)).unwrap();
    assert_eq!(names(&followed), ["CasePlaceFollowed"]);
    assert_eq!(followed.events[0].facts.place_unit_id, NEXT);
    let [step] = &followed.timeline[..] else { panic!("{:?}", followed.timeline) };
    assert_eq!((step.event.as_str(), step.org), ("CasePlaceFollowed", None));
    assert_eq!(step.actor, PersonRef::system());
    assert_eq!(followed.case.place.path, [CITY, DISTRICT, NEXT]);
    assert_eq!((followed.case.state, due(&followed.case)), (case.state, due(&case)));
    assert_eq!(followed.timeline[0].reason.as_ref().unwrap().args["from"], STREET.to_string());
    assert_eq!(followed.case.clone().follow_units(&world.system()), None, "once");
    let sent = followed.case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(sent.lead_org, Some(STREET_OFFICE));
    // What comes in by its former unit is in the new one at once.
    let register = RegisterCase { place_unit: STREET, ..world.register() };
    let late = Case::register(register, &world.official(STATION)).unwrap().case;
    assert_eq!((late.place.unit, late.place.street), (NEXT, Some(NEXT)));
}

#[test]
fn it_is_counted_by_the_hours_there_and_never_earlier() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let promised = due(&case);
    world.routes = RoutingTable::new(merged());
    world.rules = world.rules.clone().with_hours(&closed(NEXT, 2));
    let followed = case.follow_units(&world.system()).unwrap();
    assert!(names(&followed).iter().all(|name| *name == "ClockMoved"), "{:?}", names(&followed));
    let later = due(&followed.case);
    assert!(later > promised, "{promised} {later}");
    let last = followed.timeline.last().unwrap();
    assert_eq!((last.event.as_str(), last.case_version), ("CasePlaceFollowed", followed.case.version));

    let mut world = World::new();
    world.rules = world.rules.clone().with_hours(&closed(STREET, 2));
    let case = world.dispatched("street_light");
    assert_eq!(due(&case), later);
    world.routes = RoutingTable::new(merged());
    world.rules = world.rules.clone().with_hours(&closed(STREET, 3));
    let followed = case.follow_units(&world.system()).unwrap();
    assert_eq!((names(&followed), due(&followed.case)), (vec![], later), "promised");
}

#[test]
fn a_finished_case_keeps_its_place_until_it_is_taken_up_again() {
    let mut world = World::new();
    let other = world.registered().id;
    let joined = world.registered().merge(other, &world.official(STATION)).unwrap().case;
    let ended = world.closed("gas_smell");
    world.routes = RoutingTable::new(merged());
    for case in [&joined, &ended] {
        assert_eq!(case.clone().follow_units(&world.system()), None);
        assert_eq!(case.place.street, Some(STREET));
    }
    let again = joined.unmerge(&world.official(STATION)).unwrap();
    assert_eq!(again.events.last().unwrap().facts.place_unit_id, DOORWAY);
    assert_eq!(again.case.place.street, Some(NEXT));
    let reopened = ended.reopen("new_facts", &world.resident()).unwrap();
    assert_eq!(reopened.case.place.street, Some(NEXT));
    assert_eq!(reopened.case.lead_org, Some(STREET_OFFICE), "by the street's own entry");
    for decision in [&again, &reopened] {
        let step = decision.timeline.iter().find(|step| step.event == "CasePlaceFollowed").unwrap();
        assert_eq!(step.actor, PersonRef::system());
        let versions: Vec<i64> = decision.timeline.iter().map(|step| step.case_version).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        assert_eq!(violations(&decision.case), Vec::<&str>::new());
    }
}

#[test]
fn while_a_unit_above_it_is_not_known_yet_a_place_stays() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let mut early = merged();
    // Of the new street only what lies in it is known.
    early.units.retain(|unit| unit.id != NEXT);
    for unit in early.units.iter_mut().filter(|unit| unit.path.contains(&NEXT)) {
        unit.path = unit.path.iter().copied().skip_while(|id| *id != COMMUNITY).collect();
    }
    world.routes = RoutingTable::new(early);
    assert_eq!(case.follow_units(&world.system()), None);
}
