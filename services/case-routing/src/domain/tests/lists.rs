//! Versions of the list: where and when each decides, canary and rollback, two persons; and decisions made anew.

use std::sync::Arc;

use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use super::follow_units::{NEXT, merged};
use super::world::*;

const DRAFTER: &str = "drafter";
const APPROVER: &str = "approver";

fn first(world: &World) -> Vec<Period> {
    vec![Period { version: 1, unit: None, from: world.now - TimeDelta::days(100), to: None }]
}

fn draft(version: i32, periods: &[Period]) -> ListVersion {
    let periods = periods.iter().filter(|period| period.version == version).cloned().collect();
    ListVersion { version, drafted_by: DRAFTER.into(), withdrawn: false, periods }
}

fn code(refused: crate::domain::Result<Vec<Period>>) -> &'static str {
    match refused.unwrap_err() {
        DomainError::Guard { code, .. } => code,
        DomainError::Invalid { field, .. } => field,
        other => panic!("{other}"),
    }
}

const HERE: [UnitId; 4] = [CITY, DISTRICT, STREET, COMMUNITY];
const ELSEWHERE: [UnitId; 2] = [CITY, DISTRICT];

#[test]
fn a_canary_decides_in_its_street_only_and_ends_with_its_activation() {
    let world = World::new();
    let (now, later) = (world.now, world.now + TimeDelta::days(2));
    let periods = start_canary(&draft(2, &[]), &first(&world), STREET, APPROVER, now).unwrap();
    assert_eq!(draft(2, &periods).state(now), ListState::Canary);
    assert_eq!(draft(2, &periods).canary_unit(now), Some(STREET));
    assert_eq!((version_at(&periods, &HERE, now), version_at(&periods, &ELSEWHERE, now)), (Some(2), Some(1)));
    assert_eq!(version_at(&periods, &HERE, now - TimeDelta::days(1)), Some(1));

    let periods = activate(&draft(2, &periods), &periods, later, APPROVER, now).unwrap();
    assert_eq!((version_at(&periods, &HERE, now), version_at(&periods, &ELSEWHERE, now)), (Some(2), Some(1)));
    assert_eq!(version_at(&periods, &ELSEWHERE, later), Some(2));
    assert_eq!(draft(2, &periods).state(later), ListState::InForce);
    assert_eq!(draft(1, &periods).state(later), ListState::Superseded);
    assert_eq!(draft(2, &periods).canary_unit(later), None);
}

#[test]
fn a_rollback_brings_back_what_was_in_force_and_leaves_the_past_as_it_was() {
    let world = World::new();
    let (now, later) = (world.now, world.now + TimeDelta::days(2));
    let active = activate(&draft(2, &[]), &first(&world), now, APPROVER, now).unwrap();
    let back = roll_back(&draft(2, &active), &active, later).unwrap();
    let day = TimeDelta::days(1);
    let found: Vec<_> = [now - day, now + day, later].map(|at| version_at(&back, &HERE, at)).into();
    assert_eq!(found, [Some(1), Some(2), Some(1)]);
    assert_eq!(draft(1, &back).state(later), ListState::InForce);
    assert_eq!(code(roll_back(&draft(1, &back), &back, later + day)), "no_earlier_list");

    let again = activate(&draft(3, &[]), &back, later + day, APPROVER, later + day).unwrap();
    let back = roll_back(&draft(3, &again), &again, later + day * 2).unwrap();
    assert_eq!(version_at(&back, &HERE, later + day * 3), Some(1), "the last one before, not the oldest");
}

#[test]
fn a_scheduled_version_and_a_canary_are_taken_back_without_a_trace_elsewhere() {
    let world = World::new();
    let (now, day) = (world.now, TimeDelta::days(1));
    let scheduled = activate(&draft(2, &[]), &first(&world), now + day, APPROVER, now).unwrap();
    assert_eq!(draft(2, &scheduled).state(now), ListState::Scheduled);
    assert_eq!(code(start_canary(&draft(3, &[]), &scheduled, STREET, APPROVER, now)), "list_scheduled");
    let back = roll_back(&draft(2, &scheduled), &scheduled, now).unwrap();
    assert_eq!(version_at(&back, &HERE, now + day * 2), Some(1));
    assert_eq!(back.iter().filter(|period| period.to.is_none()).count(), 1);

    // Another one takes the same day, and is taken back after it came.
    let same_day = activate(&draft(5, &[]), &back, now + day, APPROVER, now).unwrap();
    let gone = roll_back(&draft(5, &same_day), &same_day, now + day * 2).unwrap();
    assert_eq!(version_at(&gone, &HERE, now + day * 2), Some(1));

    let canary = start_canary(&draft(3, &[]), &back, STREET, APPROVER, now).unwrap();
    assert_eq!(code(activate(&draft(4, &[]), &canary, now, APPROVER, now)), "canary_runs");
    let back = roll_back(&draft(3, &canary), &canary, now + day).unwrap();
    assert_eq!(version_at(&back, &HERE, now + day), Some(1));
    assert_eq!(version_at(&back, &HERE, now), Some(3), "what the canary decided was decided by it");
}

#[test]
fn two_persons_put_a_version_in_force_and_only_a_new_one() {
    let world = World::new();
    let (now, periods) = (world.now, first(&world));
    assert_eq!(code(start_canary(&draft(2, &[]), &periods, STREET, DRAFTER, now)), "two_persons");
    assert_eq!(code(activate(&draft(2, &[]), &periods, now, DRAFTER, now)), "two_persons");
    let past = now - TimeDelta::days(1);
    assert_eq!(code(activate(&draft(2, &[]), &periods, past, APPROVER, now)), "effective_on");
    assert_eq!(code(roll_back(&draft(2, &[]), &periods, now)), "list_state");
    assert_eq!(code(activate(&draft(1, &periods), &periods, now, APPROVER, now)), "list_state");
    let withdrawn = ListVersion { withdrawn: true, ..draft(2, &[]) };
    assert_eq!(code(activate(&withdrawn, &periods, now, APPROVER, now)), "list_state");
}

/// The second version, in which the district's department leads street lights.
fn second() -> Vec<ResponsibilityEntry> {
    parts().entries.into_iter().filter(|entry| entry.rule_id != "r-light-street").collect()
}

/// The table with the second version as a canary of the street.
fn under_canary(routes: &RoutingTable, world: &World) -> RoutingTable {
    let lists = [(1, routes.index("list-1", parts().entries)), (2, routes.index("list-2", second()))];
    let periods = start_canary(&draft(2, &[]), &first(world), STREET, APPROVER, world.now).unwrap();
    routes.with_schedule(Schedule::new(periods, lists.into_iter().collect()))
}

fn with_canary() -> World {
    let mut world = World::new();
    world.routes = under_canary(&world.routes, &world);
    world
}

#[test]
fn a_case_is_routed_by_the_list_of_its_street_and_cites_it() {
    let world = with_canary();
    let query = |place| RouteQuery {
        item: world.routes.item("street_light", world.now).map(AsRef::as_ref),
        place,
        urgency: Urgency::Normal,
        first_receiver: STATION,
        complained_of: None,
        excluded: &[],
        may_offer: false,
        tried: &[],
        facts: Facts::unknown(),
        kept: None,
        at: world.now,
    };
    let outcome = world.routes.route(&query(&HERE));
    assert_eq!((outcome.lead.unwrap().org, &*outcome.list_version), (URBAN, "list-2"));
    assert_eq!(&*world.routes.route(&query(&ELSEWHERE)).list_version, "list-1");
    let before = RouteQuery { at: world.now - TimeDelta::days(1), ..query(&HERE) };
    let outcome = world.routes.route(&before);
    assert_eq!((outcome.lead.unwrap().org, &*outcome.list_version), (STREET_OFFICE, "list-1"));
}

#[test]
fn a_canary_goes_on_where_its_street_was_merged_into_and_what_it_decided_before_comes_out_the_same() {
    let mut world = with_canary();
    let case = world.dispatched("street_light");
    let decided = case.routing.last().unwrap().clone();
    assert_eq!((decided.lead, decided.list_version.as_str()), (Some(URBAN), "list-2"));
    // The street has ended, and what lies and sits in it is not told of yet.
    let mut ended = parts();
    ended.merged.push((STREET, NEXT));
    ended.units.push(UnitNode { id: NEXT, kind: UnitKind::Street, path: Arc::from([CITY, DISTRICT, NEXT]) });
    let there = [CITY, DISTRICT, NEXT, COMMUNITY];
    let tables = [ended, merged()].map(|units| under_canary(&RoutingTable::new(units), &world));
    for routes in &tables {
        for place in [&HERE[..], &HERE[..3], &there[..], &there[..3]] {
            assert_eq!(routes.list_version(place, world.now), Some(2), "{place:?}");
            assert_eq!(&**routes.list_at(place, world.now).cited(world.now), "list-2", "{place:?}");
        }
        assert_eq!(routes.list_version(&ELSEWHERE, world.now), Some(1));
        assert_eq!(routes.list_version(&there, world.now - TimeDelta::days(1)), Some(1));
    }
    let [ended, merged] = tables;
    assert_eq!(decided.replay(&ended), Replay::Identical, "of the street that was");
    // As it was made, by the version that it cites.
    let routes = RoutingTable::new(parts());
    assert_eq!(decided.replay(&routes.under(routes.index("list-2", second()))), Replay::Identical);
    world.routes = merged;
    let late = world.dispatched("street_light");
    assert_eq!(late.place.street, Some(NEXT));
    let decided = late.routing.last().unwrap();
    assert_eq!((decided.lead, decided.list_version.as_str()), (Some(URBAN), "list-2"));
}

#[test]
fn a_decision_comes_out_the_same_from_what_it_was_made_from() {
    let mut world = with_canary();
    let load = [(URBAN, 7), (HOUSING, 3)].into_iter().collect();
    world.routes = world.routes.with_load(Arc::new(load));
    for item in ["street_light", "stairs", "shopping_help", "demolition", "tangled_cables", "nobodys"] {
        let case = world.triaged(item);
        let case = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
        let decision = case.routing.last().unwrap();
        let stored: RoutingDecision =
            serde_json::from_str(&serde_json::to_string(decision).unwrap()).unwrap();
        assert_eq!(&stored, decision);
        // Loads, and what is in force, have changed since; the cited version decides.
        let cited = world.routes.index("list-2", second());
        let table = RoutingTable::new(parts()).under(cited);
        assert_eq!(stored.replay(&table), Replay::Identical, "{item}");
    }
}

/// A matter of unclear lines that an organisation received.
fn unclear(routes: &RoutingTable, first_receiver: OrgId, at: Timestamp) -> RouteQuery<'_> {
    RouteQuery {
        item: routes.item("tangled_cables", at).map(AsRef::as_ref),
        place: &HERE,
        urgency: Urgency::Normal,
        first_receiver,
        complained_of: None,
        excluded: &[],
        may_offer: false,
        tried: &[],
        facts: Facts::unknown(),
        kept: None,
        at,
    }
}

/// What is kept of the answer.
fn decided(routes: &RoutingTable, query: &RouteQuery<'_>) -> RoutingDecision {
    let mut outcome = routes.route(query);
    outcome.inputs = Some(Box::new(RoutingInputs::of(query, &outcome, routes)));
    RoutingDecision::of(&outcome, DecisionId(Uuid::nil()), false, query.at)
}

#[test]
fn a_decision_of_a_street_that_was_merged_comes_out_the_same() {
    // The courts help where the street calls them, and nobody else may.
    let table = |mut parts: TableParts| {
        parts.entries.push(entry("r-light-courts", "street_light", COURTS, ListPart::Assist));
        parts.edges.retain(|edge| (edge.from, edge.to) != (GOVERNMENT, COURTS));
        RoutingTable::new(parts)
    };
    let mut world = World::new();
    world.routes = table(parts());
    let merged = table(merged());
    for item in ["street_light", "stairs", "shopping_help", "demolition", "tangled_cables"] {
        let case = world.dispatched(item);
        let decision = case.routing.last().unwrap();
        let stored: RoutingDecision =
            serde_json::from_str(&serde_json::to_string(decision).unwrap()).unwrap();
        assert_eq!(&stored, decision);
        assert_eq!(stored.replay(&merged), Replay::Identical, "{item}");
    }
    let mut decided = world.dispatched("street_light").routing.last().unwrap().clone();
    assert_eq!((decided.lead, &decided.assists[..]), (Some(STREET_OFFICE), &[URBAN, COURTS][..]));
    // An earlier release did not keep where they sat, and so they are looked for where they sit now.
    decided.inputs.as_mut().unwrap().seats = None;
    let text = serde_json::to_string(&decided).unwrap();
    assert!(!text.contains("seats"), "{text}");
    assert_eq!(serde_json::from_str::<RoutingDecision>(&text).unwrap(), decided);
    assert_eq!(decided.replay(&world.routes), Replay::Identical);
    let Replay::Differs(found) = decided.replay(&merged) else { panic!("nobody sits in the street") };
    assert!(found.iter().any(|difference| difference.field == "lead_org_id"), "{found:?}");
}

#[test]
fn a_partner_on_the_negative_list_was_asked_before_decisions_kept_seats_and_is_in_their_replay() {
    let mut world = World::new();
    let mut decided = world.dispatched("shopping_help").routing.last().unwrap().clone();
    assert_eq!((decided.kind, decided.lead), (RoutingKind::Offered, Some(GROUP)));
    let mut barred = parts();
    barred.entries.push(entry("r-no", "shopping_help", GROUP, ListPart::Negative));
    let barred = RoutingTable::new(barred);
    assert!(matches!(decided.replay(&barred), Replay::Differs(_)));
    decided.inputs.as_mut().unwrap().seats = None;
    assert_eq!(decided.replay(&barred), Replay::Identical);
}

#[test]
fn that_a_last_resort_stepped_aside_was_not_told_before_decisions_kept_seats_nor_is_in_their_replay() {
    let world = World::new();
    let asked = RouteQuery { complained_of: Some(GOVERNMENT), ..unclear(&world.routes, STATION, world.now) };
    let asked = RouteQuery { excluded: &[STREET_OFFICE], ..asked };
    let mut decision = decided(&world.routes, &asked);
    let told: Vec<_> = decision.candidates.iter().map(|candidate| candidate.org).collect();
    assert_eq!((decision.lead, &told[..]), (None, &[STATION, STREET_OFFICE, GOVERNMENT][..]));
    assert_eq!(decision.replay(&world.routes), Replay::Identical);
    decision.inputs.as_mut().unwrap().seats = None;
    assert!(matches!(decision.replay(&world.routes), Replay::Differs(_)));
    decision.candidates.truncate(1);
    assert_eq!(decision.replay(&world.routes), Replay::Identical);
}

#[test]
fn a_window_of_another_street_that_was_merged_leads_in_the_replay_as_it_did() {
    let id = |n: u128| Uuid::from_u128(0x3000 + n);
    let (street, community, next) = (UnitId(id(1)), UnitId(id(2)), UnitId(id(3)));
    let (office, station) = (OrgId(id(4)), OrgId(id(5)));
    // Where the community lies and the office sits.
    let table = |above: UnitId| {
        let mut parts = parts();
        let unit = |id, kind, path: &[UnitId]| UnitNode { id, kind, path: Arc::from(path) };
        parts.units.extend([street, next].map(|id| unit(id, UnitKind::Street, &[CITY, DISTRICT, id])));
        parts.units.push(unit(community, UnitKind::Community, &[CITY, DISTRICT, above, community]));
        let known = |org| parts.orgs.iter().find(|known| known.id == org).unwrap().clone();
        let orgs = [
            OrgNode { id: office, unit: above, ..known(STREET_OFFICE) },
            OrgNode { id: station, unit: community, ..known(STATION) },
        ];
        parts.orgs.extend(orgs);
        parts.edges.push(Edge { from: office, to: station, ..parts.edges[0].clone() });
        parts.entries.push(entry("r-tangled", "tangled_cables", station, ListPart::StatutoryDuty));
        RoutingTable::new(parts)
    };
    let (before, after, now) = (table(street), table(next), World::new().now);
    let decision = decided(&before, &unclear(&before, station, now));
    assert_eq!((decision.lead, decision.sender), (Some(station), Some(office)));
    assert_eq!(decision.replay(&after), Replay::Identical);
}

#[test]
fn a_replay_says_what_differs_and_what_no_router_decided() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let case = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    let mut decision = case.routing.last().unwrap().clone();
    decision.rule_ids = vec!["r-forged".into()];
    let Replay::Differs(found) = decision.replay(&RoutingTable::new(parts())) else { panic!("it differs") };
    let fields: Vec<_> = found.iter().map(|difference| difference.field).collect();
    assert_eq!(fields, ["rule_ids"]);
    assert!(found[0].stored.contains("r-forged") && found[0].replayed.contains("r-light-street"));

    let case = world.triaged("street_light");
    let case = case.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(case.routing.last().unwrap().replay(&world.routes), Replay::NotRouted);
}

proptest! {
    #[test]
    fn equal_versions_give_no_difference_and_a_sum_is_that_of_its_parts(
        items in proptest::collection::vec(0..7_usize, 1..12),
        dropped in 0..13_usize,
    ) {
        const ITEMS: [&str; 7] =
            ["street_light", "stairs", "shopping_help", "demolition", "licence", "gas_smell", "nobodys"];
        let mut world = World::new();
        let cases: Vec<Case> = items.iter().map(|item| world.triaged(ITEMS[*item])).collect();
        let same = RoutingTable::new(parts());
        let mut run = DryRun::default();
        cases.iter().for_each(|case| run.add(case, &world.routes, &same, world.now));
        prop_assert_eq!(run, DryRun { compared: u32::try_from(cases.len()).unwrap(), ..DryRun::default() });

        let mut changed = parts();
        let gone = changed.entries.remove(dropped);
        let changed = RoutingTable::new(changed);
        let mut run = DryRun::default();
        cases.iter().for_each(|case| run.add(case, &same, &changed, world.now));
        let about = cases.iter().filter(|case| case.item.as_ref().unwrap().code == gone.item_code).count();
        prop_assert!(run.changed <= u32::try_from(about).unwrap());
        prop_assert_eq!(run.shifts.values().sum::<u32>(), run.changed);
        let differs = |shift: &Shift| {
            shift.from != shift.to || shift.kinds.0 != shift.kinds.1 || !shift.assists.is_empty()
        };
        prop_assert!(run.shifts.keys().all(|shift| shift.item == gone.item_code && differs(shift)));
    }
}

#[test]
fn a_dry_run_tells_who_would_lead_instead_and_what_would_fall_to_the_district() {
    let mut world = World::new();
    let mut without = parts();
    without.entries.retain(|entry| !["r-light-street", "r-gas"].contains(&entry.rule_id.as_str()));
    let (before, after) = (RoutingTable::new(parts()), RoutingTable::new(without));
    let mut run = DryRun::default();
    let cases: Vec<Case> = ["street_light", "gas_smell", "stairs"].map(|item| world.triaged(item)).into();
    cases.iter().for_each(|case| run.add(case, &before, &after, world.now));
    assert_eq!((run.compared, run.changed, run.to_fallback, run.lost_lead), (3, 2, 1, 0));
    assert_eq!(run.examples, [cases[0].id, cases[1].id]);
    let moved: Vec<_> = run.shifts.keys().map(|shift| (shift.item.as_str(), shift.from, shift.to)).collect();
    let (street, urban, government) = (Some(STREET_OFFICE), Some(URBAN), Some(GOVERNMENT));
    assert_eq!(moved, [("gas_smell", street, government), ("street_light", street, urban)]);
}

#[test]
fn a_dry_run_judges_time_by_when_each_case_was_sent_and_the_list_by_the_day_it_is_tried_for() {
    let mut world = World::new();
    let by_day = world.triaged("street_light");
    world.now = at("2026-06-08T20:00:00");
    let by_night = world.triaged("street_light");
    let changed = |change: fn(&mut ResponsibilityEntry)| {
        let mut parts = parts();
        change(parts.entries.iter_mut().find(|entry| entry.rule_id == "r-light-street").unwrap());
        RoutingTable::new(parts)
    };
    let before = RoutingTable::new(parts());
    let tried = |case: &Case, after: &RoutingTable, at: Timestamp| {
        let mut run = DryRun::default();
        run.add(case, &before, after, at);
        run.changed
    };
    let at_night = changed(|entry| entry.condition = Some(Box::new("time=off".parse().unwrap())));
    for now in [at("2026-06-09T10:00:00"), at("2026-06-09T22:00:00")] {
        let found = (tried(&by_day, &at_night, now), tried(&by_night, &at_night, now));
        assert_eq!(found, (1, 0), "whenever it is tried");
    }
    let sent = Case { dispatched_at: Some(at("2026-06-08T21:00:00")), ..by_day.clone() };
    assert_eq!(tried(&sent, &at_night, at("2026-06-09T10:00:00")), 0, "it came by day and was sent by night");
    let from_july = changed(|entry| entry.valid_from = at("2026-07-01T00:00:00"));
    assert_eq!(tried(&by_day, &from_july, at("2026-06-30T10:00:00")), 1);
    assert_eq!(tried(&by_day, &from_july, at("2026-07-01T10:00:00")), 0);
}
