//! Who may be asked to help by hand, called by a whistle or named by a ruling: the lists bind all of them.

use super::super::*;
use super::table::ruling;
use super::world::*;

/// The courts are never given street lights.
fn never() -> TableParts {
    let mut parts = parts();
    parts.entries.push(entry("r-never", "street_light", COURTS, ListPart::Negative));
    parts
}

fn by_street(case: &Case, lead: OrgId, assists: &[OrgId], world: &mut World) -> Result<Decision> {
    let choice = sends(Chooser::Dispatcher, lead, assists);
    case.clone().dispatch(&choice, &world.official(STREET_OFFICE))
}

fn whistled(case: Case, org: OrgId, world: &mut World) -> Result<Decision> {
    let command = WhistleCase { orgs: vec![org], report_within: None, reason_code: "joint_work".into() };
    case.whistle(&command, &world.official(STREET_OFFICE))
}

/// The street's objection is before the district, which may rule at once.
fn urgent(world: &mut World) -> Case {
    let case = world.objected("street_light");
    let case = case.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    Case { urgency: Urgency::Urgent, ..case }
}

#[test]
fn whom_the_list_bars_from_an_item_nobody_calls_to_it() {
    let mut world = World::of(never());
    let case = world.triaged("street_light");
    assert_eq!(guard(by_street(&case, STREET_OFFICE, &[COURTS], &mut world)), "negative_list");
    assert!(by_street(&case, STREET_OFFICE, &[URBAN], &mut world).is_ok());
    let case = world.in_progress("street_light");
    assert_eq!(guard(whistled(case, COURTS, &mut world)), "negative_list");
    let other = world.in_progress("stairs");
    assert!(whistled(other, COURTS, &mut world).is_ok(), "another item");
    let case = urgent(&mut world);
    let with_courts = RuleObjection { assists: vec![COURTS], ..ruling(URBAN) };
    assert_eq!(guard(case.rule_objection(&with_courts, &world.official(GOVERNMENT))), "negative_list");

    // Only out of working hours: it is Monday morning.
    let mut by_night = never();
    by_night.entries.last_mut().unwrap().condition = Some(Box::new("time=off".parse().unwrap()));
    let mut world = World::of(by_night);
    let case = world.triaged("street_light");
    assert!(by_street(&case, STREET_OFFICE, &[COURTS], &mut world).is_ok());
}

#[test]
fn who_declined_or_was_relieved_is_called_no_more_but_may_be_ruled_to_help() {
    let mut world = World::new();
    let triaged = Case { excluded_orgs: vec![COURTS], ..world.triaged("street_light") };
    assert_eq!(guard(by_street(&triaged, STREET_OFFICE, &[COURTS], &mut world)), "excluded");
    let begun = Case { excluded_orgs: vec![COURTS], ..world.in_progress("stairs") };
    assert_eq!(guard(whistled(begun, COURTS, &mut world)), "excluded");
    // Its objection is accepted, and it is not made to help instead …
    let objected = world.objected("street_light");
    let choice = sends(Chooser::Dispatcher, URBAN, &[STREET_OFFICE]);
    assert_eq!(guard(objected.redispatch(&choice, &world.official(GOVERNMENT))), "excluded");
    // … unless the arbiter says so.
    let case = urgent(&mut world);
    let with_objector = RuleObjection { assists: vec![STREET_OFFICE], ..ruling(URBAN) };
    let ruled = case.rule_objection(&with_objector, &world.official(GOVERNMENT)).unwrap().case;
    let helps = |task: &&Task| task.part == TaskPart::Assist && task.state.is_live();
    let helpers: Vec<OrgId> = ruled.tasks.iter().filter(helps).map(|task| task.org).collect();
    assert_eq!((ruled.lead_org, helpers), (Some(URBAN), vec![STREET_OFFICE]));
}

#[test]
fn a_community_is_asked_to_help_a_department_only_with_what_was_admitted() {
    let mut world = World::new();
    let case = world.triaged("demolition");
    for community in [STATION, COMMITTEE] {
        let asked = by_street(&case, HOUSING, &[community], &mut world);
        assert_eq!(guard(asked), "not_admitted", "{community}");
    }
    assert!(by_street(&case, HOUSING, &[URBAN], &mut world).is_ok(), "another department");
    for part in [ListPart::AssistDuty, ListPart::StatutoryDuty] {
        let mut admitted = parts();
        admitted.entries.push(entry("r-help", "demolition", STATION, part));
        let mut world = World::of(admitted);
        let case = world.triaged("demolition");
        assert!(by_street(&case, HOUSING, &[STATION], &mut world).is_ok(), "{part}");
    }
}
