//! Conditions of entries: where they hold the entry applies, elsewhere it is as if it did not stand there, and is told.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

const PLACE: [UnitId; 6] = [CITY, DISTRICT, STREET, COMMUNITY, COURTYARD, DOORWAY];

fn with_condition(rule: &str, condition: &str) -> TableParts {
    let mut parts = parts();
    let entry = parts.entries.iter_mut().find(|entry| entry.rule_id == rule).unwrap();
    entry.condition = Some(Box::new(condition.parse().unwrap()));
    parts
}

fn query<'a>(world: &'a World, item: &str, facts: Facts) -> RouteQuery<'a> {
    RouteQuery {
        item: world.routes.item(item, world.now).map(AsRef::as_ref),
        place: &PLACE,
        urgency: Urgency::Normal,
        first_receiver: STATION,
        complained_of: None,
        excluded: &[],
        may_offer: false,
        tried: &[],
        facts,
        kept: None,
        at: world.now,
    }
}

fn lead(outcome: &RoutingOutcome) -> Option<OrgId> {
    outcome.lead.as_ref().map(|lead| lead.org)
}

#[test]
fn an_entry_applies_only_where_its_condition_holds_and_the_explanation_says_so() {
    let world = World::of(with_condition("r-light-street", "channel=patrol & vulnerable=yes"));
    let facts = Facts { channel: Channel::Patrol, vulnerable: true, ..Facts::unknown() };
    let met = world.routes.route(&query(&world, "street_light", facts));
    assert_eq!(lead(&met), Some(STREET_OFFICE));
    let unmet = world.routes.route(&query(&world, "street_light", Facts { vulnerable: false, ..facts }));
    assert_eq!(lead(&unmet), Some(URBAN));
    let why = unmet.candidates.iter().find(|candidate| candidate.org == STREET_OFFICE).unwrap();
    let why = why.rejected_because.as_ref().unwrap();
    assert_eq!(why.code, "condition_unmet");
    assert!(why.render(Language::English).contains("vulnerable=yes (vulnerable=no)"), "{why:?}");
    assert!(why.render(Language::Chinese).contains("vulnerable=yes"), "{why:?}");
}

#[test]
fn conditions_of_assisting_and_negative_entries_are_kept_too() {
    let world = World::of(with_condition("r-light-assist", "urgency!=normal"));
    let facts = Facts::unknown();
    let normal = world.routes.route(&query(&world, "street_light", facts));
    assert!(normal.assists.is_empty());
    let urgent = RouteQuery { urgency: Urgency::Urgent, ..query(&world, "street_light", facts) };
    assert_eq!(world.routes.route(&urgent).assists.len(), 1);

    let mut parts = parts();
    let never = ResponsibilityEntry {
        condition: Some(Box::new("origin=patrol".parse().unwrap())),
        ..entry("r-never", "street_light", STREET_OFFICE, ListPart::Negative)
    };
    parts.entries.push(never);
    let world = World::of(parts);
    assert_eq!(lead(&world.routes.route(&query(&world, "street_light", facts))), Some(STREET_OFFICE));
    let patrol = Facts { origin: Origin::Patrol, ..facts };
    assert_eq!(lead(&world.routes.route(&query(&world, "street_light", patrol))), Some(URBAN));
    let item = world.routes.item("street_light", world.now).unwrap();
    let bars = |about| world.routes.bars_lead(item, STREET_OFFICE, &PLACE, about, world.now);
    assert_eq!(bars(Some((Urgency::Normal, patrol))), Some("negative_list"));
    assert_eq!((bars(Some((Urgency::Normal, facts))), bars(None)), (None, None));
}

#[test]
fn working_time_and_the_hour_are_those_of_the_instant() {
    let mut world = World::of(with_condition("r-light-street", "time=working & place=doorway"));
    let routed = |world: &World| lead(&world.routes.route(&query(world, "street_light", Facts::unknown())));
    assert_eq!(routed(&world), Some(STREET_OFFICE), "Monday, nine o'clock");
    world.wait(TimeDelta::hours(4));
    assert_eq!(routed(&world), Some(URBAN), "at noon");
    world.now = at("2026-06-14T10:00:00");
    assert_eq!(routed(&world), Some(URBAN), "on a Sunday");
    let mut world = World::of(with_condition("r-light-street", "hours=22:00-06:00"));
    assert_eq!(routed(&world), Some(URBAN));
    world.now = at("2026-06-09T05:59:00");
    assert_eq!(routed(&world), Some(STREET_OFFICE));
}

#[test]
fn working_time_is_that_of_the_place() {
    let mut parts = with_condition("r-light-street", "time=working");
    // Monday, the 8th; one community is closed.
    let day = at("2026-06-08T09:00:00").date_naive();
    let closure = calendar::Closure { from: day, to: day, authority_ref: "令〔2026〕1号".into() };
    let usual = calendar::Profile::office();
    let of_units = [(COMMUNITY, usual.closed(closure).unwrap())].into();
    parts.hours = Some((calendar::Calendar::builtin().clone(), Hours { usual, of_units }));
    let world = World::of(parts);
    let routed = |place: &[UnitId]| {
        let query = RouteQuery { place, ..query(&world, "street_light", Facts::unknown()) };
        lead(&world.routes.route(&query))
    };
    assert_eq!(routed(&PLACE), Some(URBAN), "within the community");
    assert_eq!(routed(&PLACE[..3]), Some(STREET_OFFICE), "the street works");
}

#[test]
fn a_decision_keeps_what_conditions_were_judged_by_and_comes_out_the_same_from_it() {
    let parts = || with_condition("r-light-street", "time=working & vulnerable=no & place=doorway");
    let mut world = World::of(parts());
    let case = world.triaged("street_light");
    let case = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    let decision = case.routing.last().unwrap();
    let kept = decision.inputs.as_ref().unwrap().circumstances.unwrap();
    assert!(kept.working && kept.place == Some(UnitKind::Doorway));
    let stored: RoutingDecision = serde_json::from_str(&serde_json::to_string(decision).unwrap()).unwrap();
    // The day is made a rest day since, and the doorway has become another kind of unit.
    let mut changed = parts();
    let notice = calendar::YearNotice {
        title_year: 2026,
        papers: vec![],
        holidays: vec![calendar::HolidayGroup {
            name: "x".into(),
            off: vec!["2026-06-08".into()],
            work: vec![],
        }],
    };
    let calendar = calendar::Calendar::builtin().amended(&notice).unwrap();
    changed.hours = Some((calendar, Hours::everywhere(calendar::Profile::office())));
    changed.units.iter_mut().filter(|unit| unit.id == DOORWAY).for_each(|unit| unit.kind = UnitKind::Grid);
    let table = RoutingTable::new(changed);
    assert!(!table.is_working_time(&PLACE, world.now), "the premise");
    assert_eq!(stored.replay(&table), Replay::Identical);

    let plain = World::new().dispatched("stairs");
    let inputs = plain.routing.last().unwrap().inputs.as_ref().unwrap();
    assert!(inputs.circumstances.is_none(), "nothing is kept where nothing was judged");
    assert!(!serde_json::to_string(inputs).unwrap().contains("circumstances"));
}

#[test]
fn an_unadmitted_part_is_what_a_condition_does_not_give() {
    let mut list = parts();
    let assist = ResponsibilityEntry {
        condition: Some(Box::new("vulnerable=yes".parse().unwrap())),
        ..entry("r-demolition-station", "demolition", STATION, ListPart::AssistDuty)
    };
    list.entries.push(assist);
    let world = World::of(list);
    let item = world.routes.item("demolition", world.now).unwrap();
    let admits = |vulnerable| {
        let about = (Urgency::Normal, Facts { vulnerable, ..Facts::unknown() });
        world.routes.admits(item, STATION, TaskPart::Assist, &PLACE, about, world.now)
    };
    assert_eq!((admits(true), admits(false)), (true, false));
}
