//! C-3: whatever is suspended for one cause, and however often, the clock itself gains no more working days than the cause allows.

use calendar::{Limit, TimeUnit, instant, local_day};
use chrono::{Days, NaiveDate, NaiveTime, TimeDelta};
use proptest::prelude::*;

use super::super::*;
use super::world::*;

const CAUSE: &str = "expert_review";

/// A world in which the case of the tests has so long, and may wait for so many days.
fn world(limit: Limit, days: u32) -> World {
    let mut changed = parts();
    for item in &mut changed.items {
        item.promised_limit = limit;
        item.statutory_limit = None;
    }
    let mut world = World::of(changed);
    world.rules.suspension_causes.insert(CAUSE.into(), days);
    world
}

fn sweep(world: &mut World, case: Case) -> Case {
    match case.clone().tick(&world.system()).unwrap() {
        Some(decision) => decision.case,
        None => case,
    }
}

fn due(case: &Case) -> Timestamp {
    case.resolve_clock().unwrap().due_at
}

/// When it would be due if it had had so many days more from the start.
fn due_with(world: &World, case: &Case, more: u16) -> Timestamp {
    let clock = case.resolve_clock().unwrap();
    let (limit, profile) = (clock.limit, &world.rules.profile);
    world.rules.calendar.add(limit.unit, limit.n + more, clock.started_at, profile).at
}

/// The last day it could be due if so many working days were added to its time.
fn last_day_with(world: &World, case: &Case, more: u16) -> NaiveDate {
    let (calendar, profile) = (&world.rules.calendar, &world.rules.profile);
    local_day(calendar.add(TimeUnit::WorkDay, more, due_with(world, case, 0), profile).at)
}

/// An instant of the local day that lies so many days ahead, not before now.
fn on_day(world: &World, ahead: u64, minute: i64) -> Timestamp {
    let day = local_day(world.now) + Days::new(ahead);
    (instant(day, NaiveTime::MIN) + TimeDelta::minutes(minute)).max(world.now)
}

#[test]
fn two_minutes_over_midnight_are_a_day_and_thirty_of_them_all_that_there_is() {
    let mut world = world(Limit::new(TimeUnit::CalDay, 5), 30);
    let mut case = world.in_progress("stairs");
    for nights in 1_u16..=30 {
        world.now = on_day(&world, 0, 1_439);
        let resume_at = world.now + TimeDelta::minutes(2);
        case = case.suspend(CAUSE, "doc:told", Some(resume_at), &world.official(STATION)).unwrap().case;
        world.now = resume_at;
        case = sweep(&mut world, case);
        assert_eq!(case.waited[0].seconds, i64::from(nights) * 86_400);
        assert!(due(&case) <= due_with(&world, &case, nights));
    }
    assert_eq!(due(&case), due_with(&world, &case, 30), "so long it was moved, and counted");
    world.now = on_day(&world, 0, 1_439);
    for resume_at in [Some(world.now + TimeDelta::minutes(2)), Some(world.now + TimeDelta::seconds(1)), None]
    {
        let again = case.clone().suspend(CAUSE, "doc:told", resume_at, &world.official(STATION));
        assert_eq!(guard(again), "suspensions_used_up", "{resume_at:?}");
    }
    let above = case.suspend(CAUSE, "doc:told", None, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(above.suspension.unwrap().resume_at, Some(world.now + TimeDelta::days(30)));
}

#[test]
fn what_is_left_of_a_day_ends_with_the_day_on_which_it_begins() {
    let mut world = world(Limit::new(TimeUnit::CalDay, 5), 2);
    let case = world.in_progress("stairs");
    let suspend = |world: &mut World, case: Case, resume_at: Option<Timestamp>| {
        case.suspend(CAUSE, "doc:told", resume_at, &world.official(STATION))
    };
    // Of two days six hours are used: one day and eighteen hours are left, which is one midnight.
    let waits = suspend(&mut world, case, None).unwrap().case;
    world.wait(TimeDelta::hours(6));
    let case = waits.resume(&world.official(STATION)).unwrap().case;
    world.now = on_day(&world, 0, 20 * 60);
    let tomorrow = on_day(&world, 2, 0) - TimeDelta::microseconds(1);
    let beyond = suspend(&mut world, case.clone(), Some(tomorrow + TimeDelta::microseconds(1)));
    assert_eq!(guard(beyond), "suspensions_used_up");
    let waits = suspend(&mut world, case, None).unwrap().case;
    assert_eq!(waits.suspension.as_ref().unwrap().resume_at, Some(tomorrow));
    world.now = tomorrow;
    let case = sweep(&mut world, waits);
    assert_eq!(case.state, CaseState::InProgress);
    // Less than a day: not over midnight any more.
    world.now = on_day(&world, 1, 23 * 60);
    let waits = suspend(&mut world, case, None).unwrap().case;
    let midnight = on_day(&world, 1, 0);
    assert_eq!(waits.suspension.as_ref().unwrap().resume_at, Some(midnight - TimeDelta::microseconds(1)));
    assert_eq!(violations(&waits), Vec::<&str>::new());
}

#[test]
fn a_clock_stands_still_no_longer_than_is_counted_however_late_somebody_sees_to_it() {
    let mut world = world(Limit::new(TimeUnit::CalDay, 5), 30);
    let case = world.in_progress("stairs");
    let before = due(&case);
    world.now = on_day(&world, 0, 1_430);
    let resume_at = world.now + TimeDelta::minutes(9);
    let waits = case.suspend(CAUSE, "doc:told", Some(resume_at), &world.official(STATION)).unwrap().case;
    // By hand, before any timer has come.
    world.now = resume_at + TimeDelta::minutes(5);
    let case = waits.resume(&world.official(STATION)).unwrap().case;
    assert_eq!((case.waited[0].seconds, due(&case)), (9 * 60, before));
    assert_eq!(case.resolve_clock().unwrap().pauses[0].to, resume_at);
}

#[test]
fn what_waits_over_its_last_day_is_in_time_on_the_day_it_goes_on() {
    let mut world = world(Limit::new(TimeUnit::WorkDay, 5), 30);
    let case = world.in_progress("stairs");
    let before = due(&case);
    world.now = before - TimeDelta::hours(7);
    let case = sweep(&mut world, case);
    let resume_at = world.now + TimeDelta::days(10);
    let waits = case.suspend(CAUSE, "doc:told", Some(resume_at), &world.official(STATION)).unwrap().case;
    world.now = resume_at - TimeDelta::microseconds(1);
    let waits = sweep(&mut world, waits);
    world.now = resume_at;
    let decision = world.tick(waits);
    let told = names(&decision);
    assert!(told.contains(&"CaseResumed"), "{told:?}");
    assert!(!told.iter().any(|name| ["ClockBreached", "SupervisionIssued"].contains(name)), "{told:?}");
    let case = decision.case;
    assert_eq!(due(&case), before + TimeDelta::days(10));
    assert_eq!(case.lead().unwrap().due_at, Some(due(&case)));
    world.wait(TimeDelta::hours(5));
    let case = sweep(&mut world, case);
    let case = world.complete(case);
    let resolve = case.resolve_clock().unwrap();
    assert_eq!(resolve.breached_at, None);
    assert!(case.completed_at.unwrap() <= resolve.due_at);
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn what_is_asked_for_on_the_last_day_of_intake_leaves_the_day_on_which_it_comes() {
    // From ten in the morning: to the same time, to the evening of the next day, and to that of the same one.
    for hours in [72, 34, 10] {
        let mut world = World::new();
        let case = world.registered();
        world.now = case.clock(ClockKind::Accept, None).unwrap().due_at - TimeDelta::hours(7);
        let case = sweep(&mut world, case);
        let asked = case.request_supplement(vec!["id_copy".into()], &world.official(STATION)).unwrap().case;
        world.wait(TimeDelta::hours(hours));
        let sent = asked.supplement(materials(&["id_copy"]), &world.resident()).unwrap();
        let accepted = sent.events.iter().find_map(|emitted| match emitted.event {
            DomainEvent::CaseAccepted { in_time, .. } => Some(in_time),
            _ => None,
        });
        assert_eq!(accepted, Some(true), "after {hours} hours");
    }
}

#[test]
fn what_goes_on_after_the_close_of_a_day_has_the_next_working_day_and_that_is_counted() {
    // Suspended at ten on its last day, a Monday; until the evening of that day, of the next one, and ten days on.
    let (day, hour) = (TimeDelta::days(1), TimeDelta::hours(1));
    let waits = [(0, 1, day), (1, 2, day * 2), (10, 11, day * 10 + hour * 7)];
    // With the close of business, and past it.
    for ((days, later, used), past) in
        waits.into_iter().flat_map(|wait| [(wait, TimeDelta::zero()), (wait, hour)])
    {
        let used = if days == 10 { used + past } else { used };
        let mut world = world(Limit::new(TimeUnit::WorkDay, 5), 30);
        let case = world.in_progress("stairs");
        let before = due(&case);
        world.now = before - hour * 7;
        let case = sweep(&mut world, case);
        let resume_at = before + day * days + past;
        let waits = case.suspend(CAUSE, "doc:told", Some(resume_at), &world.official(STATION)).unwrap().case;
        world.now = resume_at;
        let decision = world.tick(waits);
        let told = names(&decision);
        assert!(told.contains(&"CaseResumed"), "{told:?}");
        assert!(!told.iter().any(|name| ["ClockBreached", "SupervisionIssued"].contains(name)), "{told:?}");
        let case = decision.case;
        assert_eq!(due(&case), before + day * later, "{days} days");
        assert_eq!(case.waited[0].seconds, used.num_seconds(), "{days} days");
    }
}

#[test]
fn what_is_left_of_a_day_is_no_wait_over_the_close_of_the_last_one() {
    let mut world = world(Limit::new(TimeUnit::WorkDay, 5), 1);
    let case = world.in_progress("stairs");
    let before = due(&case);
    let waits = case.suspend(CAUSE, "doc:told", None, &world.official(STATION)).unwrap().case;
    world.wait(TimeDelta::hours(6));
    let case = waits.resume(&world.official(STATION)).unwrap().case;
    assert_eq!(due(&case), before, "the premise");
    world.now = before - TimeDelta::hours(7);
    let case = sweep(&mut world, case);
    for until in [None, Some(before), Some(before + TimeDelta::minutes(1))] {
        let beyond = case.clone().suspend(CAUSE, "doc:told", until, &world.official(STATION));
        assert_eq!(guard(beyond), "suspensions_used_up", "{until:?}");
    }
    let until = Some(before - TimeDelta::minutes(1));
    let waits = case.suspend(CAUSE, "doc:told", until, &world.official(STATION)).unwrap().case;
    assert_eq!(waits.suspension.unwrap().resume_at, until);
}

#[test]
fn a_case_that_ends_while_it_waits_is_counted_what_its_clock_stood_still() {
    let mut world = world(Limit::new(TimeUnit::WorkDay, 5), 30);
    let case = world.in_progress("stairs");
    let before = due(&case);
    world.now = before - TimeDelta::hours(7);
    let case = sweep(&mut world, case);
    let waits = case.suspend(CAUSE, "doc:told", None, &world.official(STATION)).unwrap().case;
    world.now = before + TimeDelta::hours(1);
    let ended = waits.withdraw("not_needed", None, &world.resident()).unwrap().case;
    assert_eq!(ended.waited[0].seconds, 86_400);
    assert_eq!(due(&ended), before + TimeDelta::days(1));
}

/// Days ahead, minute of the day, how long is asked for (in minutes), and whether it goes on early.
type Wait = (u64, i64, Option<i64>, bool);

fn waits() -> impl Strategy<Value = Vec<Wait>> {
    let minute = prop_oneof![0_i64..1_440, 1_430_i64..1_440];
    let asked = proptest::option::of(prop_oneof![1_i64..20, 1_i64..6_000]);
    prop::collection::vec((0_u64..3, minute, asked, any::<bool>()), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_due_date_is_moved_by_more_working_days_than_the_cause_allows(
        unit in prop::sample::select(vec![TimeUnit::CalDay, TimeUnit::WorkDay]), n in 1_u16..20, allowed in 1_u16..8,
        waits in waits(),
    ) {
        let mut world = world(Limit::new(unit, n), u32::from(allowed));
        let mut case = world.in_progress("stairs");
        for (ahead, minute, asked, early) in waits {
            world.now = on_day(&world, ahead, minute);
            case = sweep(&mut world, case);
            let resume_at = asked.map(|minutes| world.now + TimeDelta::minutes(minutes));
            let waits = case.clone().suspend(CAUSE, "doc:told", resume_at, &world.official(STATION));
            let Ok(waits) = waits else { continue };
            let until = waits.case.suspension.as_ref().unwrap().resume_at.unwrap();
            if early {
                let half = (until - world.now) / 2;
                world.wait(half);
                case = waits.case.resume(&world.official(STATION)).unwrap().case;
            } else {
                world.now = until;
                case = sweep(&mut world, waits.case);
            }
            prop_assert_eq!(case.state, CaseState::InProgress);
            let last = last_day_with(&world, &case, allowed);
            prop_assert!(local_day(due(&case)) <= last, "{:?}", case.waited);
            prop_assert_eq!(violations(&case), Vec::<&str>::new());
        }
        let used = case.waited.iter().map(|waited| waited.seconds).sum::<i64>();
        prop_assert!(used <= i64::from(allowed) * 86_400, "begun seconds count in full");
    }
}
