//! A year's working days become known: shifts follow, on every replica.

use std::time::Duration;

use chassis::{
    auth::Role,
    clock::{new_id, to_proto},
    testing::Persona,
};
use chrono::{DateTime, Utc};
use proto::{
    case_routing::v1::CalendarAmended,
    staffing::v1::{ListShiftsRequest, Shift},
};
use staffing::working_days::WorkingDays;

use crate::world::*;

fn at(text: &str) -> DateTime<Utc> {
    format!("{text}+08:00").parse().unwrap()
}

async fn shifts_of(world: &World, day: &str) -> Vec<Shift> {
    let head = Persona::new(Role::StationHead, COMMUNITY).org(STATION);
    let request = ListShiftsRequest {
        from_time: Some(to_proto(at(&format!("{day}T00:00:00")))),
        to_time: Some(to_proto(at(&format!("{day}T23:59:59")))),
        ..Default::default()
    };
    world.workforce(&head).list_shifts(request).await.unwrap().into_inner().shifts
}

#[tokio::test]
async fn shifts_follow_a_notice_that_case_routing_told_of() {
    let world = World::start().await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    world.hire(Role::ServiceWorker, COMMUNITY, STATION, "").await;
    let days = |days: &[&str]| days.iter().map(|day| (*day).to_owned()).collect();
    let amended = CalendarAmended {
        calendar_id: new_id().to_string(),
        title_year: 2027,
        notice_version: 1,
        off_days: days(&["2027-01-01", "2027-01-02", "2027-01-03"]),
        work_days: days(&["2026-12-27"]),
    };
    world.tell(amended.calendar_id.parse().unwrap(), &amended).await;
    let ahead = at("2026-12-28T09:00:00") - world.service.clock().now();
    world.service.clock().advance(Duration::from_secs(ahead.num_seconds().unsigned_abs()));
    let new_year = shifts_of(&world, "2027-01-01").await;
    assert_eq!(new_year.len(), 1, "one seat is on duty on a rest day: {new_year:?}");
    assert!(!shifts_of(&world, "2026-12-31").await.is_empty());
    let mut conn = world.service.db().conn().await.unwrap();
    assert_eq!(staffing::store::notices::count(&mut conn).await.unwrap(), 1, "told twice, kept once");
    let elsewhere = WorkingDays::open(world.service.db()).await.unwrap().calendar();
    assert!(!elsewhere.is_work_day("2027-01-01".parse().unwrap()), "a replica that starts now knows it too");
    assert_eq!(elsewhere.version(), ::calendar::Calendar::builtin().version() + 1);
}
