//! Reminders (催办) of the limits to accept, dispatch, sign and contact: who hears of them, when, and when no more.

use calendar::{Limit, TimeUnit};
use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// A reminder: of which part of the limit, for whom, of which unit, at which instant.
type Reminder = (u8, OrgId, Option<UnitId>, Timestamp);

/// What a sweeper brings by an instant, and the reminders of a kind of clock that are among it.
fn sweep(world: &mut World, mut case: Case, kind: ClockKind, until: Timestamp) -> (Case, Vec<Reminder>) {
    let mut told = Vec::new();
    while let Some(at) = case.next_timer_at().filter(|at| *at <= until) {
        world.now = at.max(world.now);
        let decision = world.tick(case);
        for (emitted, step) in decision.events.iter().zip(&decision.timeline) {
            if let DomainEvent::ClockWarned { clock, percent, org_id, unit_id, .. } = &emitted.event
                && *clock == kind
            {
                told.push((*percent, *org_id, *unit_id, step.at));
            }
        }
        case = decision.case;
    }
    world.now = until.max(world.now);
    (case, told)
}

fn newest(case: &Case, kind: ClockKind) -> Clock {
    case.clocks.iter().rev().find(|clock| clock.kind == kind).unwrap().clone()
}

#[test]
fn whoever_has_to_accept_dispatch_sign_or_contact_is_reminded_at_half_and_at_four_fifths() {
    type Begin = fn(&mut World) -> Case;
    // Four working hours from Monday, nine o'clock; one working day, to the end of Tuesday.
    let hours = [at("2026-06-08T11:00:00"), at("2026-06-08T14:12:00")];
    let day = [at("2026-06-09T08:45:00"), at("2026-06-09T14:30:00")];
    let cases: [(Begin, ClockKind, OrgId, UnitId, [Timestamp; 2]); 5] = [
        (World::registered, ClockKind::Accept, STATION, COMMUNITY, day),
        (World::accepted, ClockKind::Dispatch, STATION, COMMUNITY, hours),
        // Who sent the task decides over the objection.
        (|world| world.objected("street_light"), ClockKind::Dispatch, GOVERNMENT, DISTRICT, hours),
        (|world| world.dispatched("burst_pipe"), ClockKind::Sign, STREET_OFFICE, STREET, hours),
        (|world| world.signed("burst_pipe"), ClockKind::Contact, STREET_OFFICE, STREET, day),
    ];
    for (begin, kind, org, unit, [half, most]) in cases {
        let mut world = World::new();
        let case = begin(&mut world);
        let due = newest(&case, kind).due_at;
        let (case, told) = sweep(&mut world, case, kind, due);
        assert_eq!(told, [(50, org, Some(unit), half), (80, org, Some(unit), most)], "{kind}");
        assert_eq!(newest(&case, kind).breached_at, Some(due), "{kind}");
        let later = due + TimeDelta::days(30);
        let (_, told) = sweep(&mut world, case, kind, later);
        assert!(told.is_empty(), "{kind}: what has passed is for supervision, {told:?}");
    }
}

#[test]
fn nobody_is_reminded_of_what_is_done() {
    let mut world = World::new();
    let case = world.dispatched("burst_pipe");
    let task = case.lead_task.unwrap();
    let (case, told) = sweep(&mut world, case, ClockKind::Sign, at("2026-06-08T11:30:00"));
    assert_eq!(told, [(50, STREET_OFFICE, Some(STREET), at("2026-06-08T11:00:00"))]);
    let case = case.sign(task, &world.official(STREET_OFFICE)).unwrap().case;
    let signed = newest(&case, ClockKind::Sign);
    assert_eq!((signed.warn_at, signed.next_at()), (None, None));
    let case = case.contact(ContactMethod::Phone, &world.official(STREET_OFFICE)).unwrap().case;
    for kind in [ClockKind::Sign, ClockKind::Contact] {
        let until = world.now + TimeDelta::days(10);
        let (_, told) = sweep(&mut world, case.clone(), kind, until);
        assert!(told.is_empty(), "{kind}: {told:?}");
    }
}

#[test]
fn a_late_sweep_reminds_of_nothing_that_is_over_and_supervision_is_what_it_was() {
    let mut world = World::new();
    let case = world.dispatched("burst_pipe");
    world.now = newest(&case, ClockKind::Sign).due_at;
    let late = world.tick(case);
    assert_eq!(names(&late), ["ClockBreached", "SupervisionIssued"]);
    let DomainEvent::SupervisionIssued { level: 1, .. } = late.events[1].event else { panic!("{late:?}") };
    let known = late.case.supervisions.last().unwrap();
    assert_eq!((known.clock, late.case.supervised(known)), (Some(ClockKind::Sign), STREET_OFFICE));
    assert_eq!(late.case.tick(&world.system()).unwrap(), None, "once");
}

#[test]
fn a_sweep_that_comes_after_the_second_mark_reminds_of_that_one_only() {
    let mut world = World::new();
    let case = world.dispatched("burst_pipe");
    world.now = at("2026-06-08T14:30:00");
    let late = world.tick(case);
    assert_eq!(names(&late), ["ClockWarned"]);
    let DomainEvent::ClockWarned { clock: ClockKind::Sign, percent: 80, .. } = late.events[0].event else {
        panic!("{late:?}")
    };
    assert_eq!(late.timeline[0].at, at("2026-06-08T14:12:00"), "when it was due");
    let told = late.timeline[0].reason.as_ref().unwrap().render(Language::Chinese);
    assert!(told.contains(&STREET_OFFICE.to_string()) && told.contains("80%"), "{told}");
    assert_eq!(newest(&late.case, ClockKind::Sign).next_at(), Some(at("2026-06-08T15:00:00")));
}

#[test]
fn after_more_time_was_given_only_marks_that_lie_ahead_are_reminded_of() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let resolve = newest(&case, ClockKind::Resolve);
    // Just before it is due: one day more, of which both marks lie behind.
    let (case, told) = sweep(&mut world, case, ClockKind::Resolve, resolve.due_at - TimeDelta::minutes(1));
    assert_eq!(told.iter().map(|(percent, ..)| *percent).collect::<Vec<_>>(), [50, 80]);
    let day = Limit::new(TimeUnit::WorkDay, 1);
    let case = case.extend(day, "complex", "doc:told", &world.official(STATION)).unwrap().case;
    let extended = newest(&case, ClockKind::Resolve);
    assert!(extended.warn_at.unwrap().iter().all(|mark| *mark <= world.now), "the premise: {extended:?}");
    let (case, told) = sweep(&mut world, case, ClockKind::Resolve, extended.due_at);
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(newest(&case, ClockKind::Resolve).breached_at, Some(extended.due_at));
}

#[test]
fn nobody_is_reminded_of_a_limit_that_stands_still_or_of_a_window() {
    let mut world = World::new();
    let register = RegisterCase { item_code: Some("licence".into()), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let case = case.request_supplement(vec!["id_copy".into()], &world.official(STATION)).unwrap().case;
    assert!(newest(&case, ClockKind::Accept).next_at().is_none());
    assert_eq!(case.next_timer_at(), Some(newest(&case, ClockKind::Supplement).due_at));
}

#[test]
fn a_limit_that_runs_on_after_a_merge_reminds_as_if_it_had_never_stopped() {
    let mut world = World::new();
    let case = world.accepted();
    let other = CaseId(world.fresh());
    world.wait(TimeDelta::minutes(30));
    let merged = case.merge(other, &world.official(STATION)).unwrap().case;
    world.wait(TimeDelta::hours(1));
    let case = merged.unmerge(&world.official(STATION)).unwrap().case;
    let due = newest(&case, ClockKind::Dispatch).due_at;
    let (_, told) = sweep(&mut world, case, ClockKind::Dispatch, due);
    let (half, most) = (at("2026-06-08T11:00:00"), at("2026-06-08T14:12:00"));
    assert_eq!(told, [(50, STATION, Some(COMMUNITY), half), (80, STATION, Some(COMMUNITY), most)]);
}

#[test]
fn a_limit_that_is_counted_again_repeats_no_reminder() {
    let mut world = World::new();
    world.now = at("2026-12-31T16:00:00");
    let case = world.signed("burst_pipe");
    // As far as is known, New Year's Day is worked: seven and a half hours until its end.
    let half = at("2027-01-01T11:15:00");
    let (case, told) = sweep(&mut world, case, ClockKind::Contact, half);
    assert_eq!(told, [(50, STREET_OFFICE, Some(STREET), half)]);
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    let moved = case.follow_calendar(&world.system()).unwrap();
    assert!(names(&moved).iter().all(|name| *name == "ClockMoved"), "{:?}", names(&moved));
    let due = newest(&moved.case, ClockKind::Contact).due_at;
    assert_eq!(due, at("2027-01-04T17:00:00"));
    let (_, told) = sweep(&mut world, moved.case, ClockKind::Contact, due);
    assert_eq!(told, [(80, STREET_OFFICE, Some(STREET), at("2027-01-04T15:30:00"))]);
}
