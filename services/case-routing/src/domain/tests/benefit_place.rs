//! Re-checks of places that were merged: they are where the place went, and near the people there.

use std::sync::Arc;

use uuid::Uuid;

use super::super::*;
use super::application_world::*;
use super::benefit::{begin, delivered};
use super::world::*;

/// The community that the other became part of.
const NEXT: UnitId = UnitId(Uuid::from_u128(0x1fff));
/// Its own station.
const NEXT_STATION: OrgId = OrgId(Uuid::from_u128(0x2fff));

/// The community was merged: what lay in it and what sat there goes on in the next one.
fn merged() -> TableParts {
    let mut parts = applied_for();
    let path = [CITY, DISTRICT, STREET, NEXT, COURTYARD, DOORWAY];
    parts.units.push(UnitNode { id: NEXT, kind: UnitKind::Community, path: Arc::from(&path[..=3]) });
    for unit in &mut parts.units {
        if let Some(depth) = path.iter().position(|id| *id == unit.id) {
            unit.path = Arc::from(&path[..=depth]);
        }
    }
    parts.orgs.iter_mut().filter(|org| org.unit == COMMUNITY).for_each(|org| org.unit = NEXT);
    parts.merged.push((COMMUNITY, NEXT));
    parts
}

/// Besides, the station of the old community gave way to another.
fn with_another_station(now: Timestamp) -> TableParts {
    let mut parts = merged();
    let station = parts.orgs.iter().find(|org| org.id == STATION).unwrap().clone();
    parts.orgs.push(OrgNode { id: NEXT_STATION, ..station });
    let led = parts.edges.iter().find(|edge| edge.to == STATION).unwrap().clone();
    parts.edges.push(Edge { to: NEXT_STATION, ..led });
    parts.orgs.iter_mut().filter(|org| org.id == STATION).for_each(|org| org.valid_to = Some(now));
    parts
}

#[test]
fn a_unit_goes_on_in_what_it_was_merged_into_however_often() {
    let mut parts = merged();
    let routes = RoutingTable::new(merged());
    assert_eq!((routes.present(COMMUNITY), routes.present(NEXT)), (NEXT, NEXT));
    assert_eq!(routes.present(DOORWAY), DOORWAY, "its path tells that it lies elsewhere");
    parts.merged.push((NEXT, STREET));
    assert_eq!(RoutingTable::new(parts).present(COMMUNITY), STREET);
    let mut circle = merged();
    circle.merged.push((NEXT, COMMUNITY));
    assert!([COMMUNITY, NEXT].contains(&RoutingTable::new(circle).present(COMMUNITY)), "it comes to an end");
}

#[test]
fn a_recheck_that_is_dispatched_after_a_merger_is_where_its_place_went_and_asks_who_is_near() {
    let mut world = world();
    let basis = Way::of(delivered(&mut world, LASTING));
    world.rules.min_confidence = 101; // the router is never that sure: it waits for a dispatcher
    let waiting = Way::of(begin(&mut world, &basis, LASTING, 2).unwrap()).case;
    let there = TriageCase { place_unit: Some(COMMUNITY), ..triage(LASTING) };
    let whole = waiting.clone().triage(&there, &world.official(STATION)).unwrap().case;
    let before = world.now;
    for (routes, near) in [(merged(), STATION), (with_another_station(before), NEXT_STATION)] {
        world.routes = RoutingTable::new(routes);
        for (case, unit) in [(&waiting, DOORWAY), (&whole, NEXT)] {
            assert!(case.place.path.contains(&COMMUNITY) && case.first_receiver == STATION);
            let sent = case.clone().dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT));
            let sent = sent.unwrap().case;
            assert_eq!((sent.place.unit, sent.place.community), (unit, Some(NEXT)));
            assert!(!sent.place.path.contains(&COMMUNITY));
            let held: Vec<(OrgId, TaskPart)> = sent.tasks.iter().map(|task| (task.org, task.part)).collect();
            assert_eq!(held, [(STREET_OFFICE, TaskPart::Lead), (near, TaskPart::Assist)]);
            assert_eq!(violations(&sent), Vec::<&str>::new());
        }
    }
    // Grid and point of a place that went nowhere stay; where it went, only the point is as it was.
    let point = Point::new(114_270_123, 30_600_456).ok();
    let place = Place { grid: Some("420103005001001".into()), point, ..waiting.place.clone() };
    let pointed = Case { place: place.clone(), ..waiting };
    for (routes, expected) in [(applied_for(), Some("420103005001001")), (merged(), None)] {
        world.routes = RoutingTable::new(routes);
        let sent = pointed.clone().dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT));
        let sent = sent.unwrap().case.place;
        assert_eq!((sent.grid.as_deref(), sent.point), (expected, point));
        assert_eq!(sent == place, expected.is_some());
    }
    // Of what somebody asked for it is the pass over open cases that moves the place (`Case::follow_units`).
    let asked = world.triaged("street_light");
    world.routes = RoutingTable::new(merged());
    let asked = Case { place: whole.place.clone(), ..asked };
    let sent = asked.dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(sent.place.unit, COMMUNITY);
}
