//! What a version would change while the same organisation leads.

use std::collections::BTreeMap;

use super::super::*;
use super::follow_units::{NEXT, merged};
use super::world::*;

fn tried(item: &str, change: impl Fn(&mut TableParts)) -> Vec<(Shift, u32)> {
    let mut world = World::new();
    let mut changed = parts();
    change(&mut changed);
    let (before, after) = (RoutingTable::new(parts()), RoutingTable::new(changed));
    let mut run = DryRun::default();
    let cases = [world.triaged(item), world.triaged(item)];
    cases.iter().for_each(|case| run.add(case, &before, &after, world.now));
    assert_eq!(run.changed, run.shifts.values().sum::<u32>(), "each changed case is told once");
    run.shifts.into_iter().collect()
}

#[test]
fn assists_that_come_go_or_are_needed_otherwise_are_told_by_street_and_item() {
    let same = (RoutingKind::Dispatched, RoutingKind::Dispatched);
    let assist = |parts: &mut TableParts| {
        parts.entries.push(entry("r-light-courts", "street_light", COURTS, ListPart::Assist));
    };
    let gone = |parts: &mut TableParts| parts.entries.retain(|entry| entry.rule_id != "r-light-assist");
    let optional = |parts: &mut TableParts| {
        parts.entries.iter_mut().find(|entry| entry.rule_id == "r-light-assist").unwrap().mandatory = false;
    };
    let found = [tried("street_light", assist), tried("street_light", gone), tried("street_light", optional)];
    let expected =
        [(COURTS, (None, Some(true))), (URBAN, (Some(true), None)), (URBAN, (Some(true), Some(false)))];
    for (shifts, expected) in found.into_iter().zip(expected) {
        let [(shift, 2)] = &shifts[..] else { panic!("{shifts:?}") };
        assert_eq!((shift.street, shift.item.as_str(), shift.kinds), (Some(STREET), "street_light", same));
        assert_eq!((shift.from, shift.to), (Some(STREET_OFFICE), Some(STREET_OFFICE)), "the lead stays");
        assert_eq!(shift.assists, BTreeMap::from([expected]));
    }
}

#[test]
fn another_kind_of_decision_is_told_though_the_district_leads_as_before() {
    let by_entry = |parts: &mut TableParts| {
        parts.entries.push(entry("r-nobodys", "nobodys", GOVERNMENT, ListPart::Lead));
    };
    let shifts = tried("nobodys", by_entry);
    let [(shift, 2)] = &shifts[..] else { panic!("{shifts:?}") };
    assert_eq!((shift.from, shift.to), (Some(GOVERNMENT), Some(GOVERNMENT)));
    assert_eq!(shift.kinds, (RoutingKind::Fallback, RoutingKind::Dispatched));
    assert!(shift.assists.is_empty());
}

#[test]
fn a_finished_case_of_a_street_that_was_merged_is_tried_where_that_went_on() {
    let mut world = World::new();
    let there = TriageCase { place_unit: Some(STREET), ..triage("street_light") };
    let of_the_street = world.accepted().triage(&there, &world.official(STATION)).unwrap().case;
    let of_the_street = Case { state: CaseState::Closed, ..of_the_street };
    let below_it = Case { state: CaseState::Closed, ..world.triaged("street_light") };
    let mut changed = merged();
    let entry = changed.entries.iter_mut().find(|entry| entry.rule_id == "r-light-street").unwrap();
    entry.condition = Some(Box::new("place=doorway".parse().unwrap()));
    let (before, after) = (RoutingTable::new(merged()), RoutingTable::new(changed));
    for (case, stays) in [(&of_the_street, false), (&below_it, true)] {
        assert_eq!(case.place.street, Some(STREET), "it keeps its place");
        let mut run = DryRun::default();
        run.add(case, &before, &after, world.now);
        assert_eq!((run.compared, run.changed, run.to_fallback), (1, u32::from(!stays), 0));
        let moved: Vec<_> = run.shifts.keys().map(|shift| (shift.street, shift.from, shift.to)).collect();
        let expected = [(Some(NEXT), Some(STREET_OFFICE), Some(URBAN))];
        assert_eq!(moved, expected[..usize::from(!stays)]);
    }
}
