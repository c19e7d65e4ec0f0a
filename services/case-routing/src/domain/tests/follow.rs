//! A notice is published or amended while cases run.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// The last working Monday of 2026: five working days end on 4 January, one is a holiday that nobody knows yet.
fn last_monday() -> World {
    let mut world = World::new();
    world.now = at("2026-12-28T09:00:00");
    world
}

/// Whether the requester's clock ran out.
fn late(decision: &Decision) -> bool {
    let of =
        |told: &Emitted| matches!(told.event, DomainEvent::ClockBreached { clock: ClockKind::Resolve, .. });
    decision.events.iter().any(of)
}

fn resolve_due(case: &Case) -> Timestamp {
    case.clock(ClockKind::Resolve, None).unwrap().due_at
}

#[test]
fn a_published_year_moves_what_runs_later_and_tells_it_once() {
    let mut world = last_monday();
    let case = world.in_progress("street_light");
    assert_eq!(resolve_due(&case), at("2027-01-04T17:00:00"));
    assert!(case.clock(ClockKind::Resolve, None).unwrap().provisional);
    assert!(!case.is_behind(&world.rules));
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    assert!(case.is_behind(&world.rules));
    let decision = case.follow_calendar(&world.system()).unwrap();
    assert_eq!(names(&decision), ["ClockMoved"], "the assist is due before the holiday and stays");
    let moved = &decision.events;
    let DomainEvent::ClockMoved {
        clock: ClockKind::Resolve, due_before_at, due_at, calendar_version, ..
    } = &moved[0].event
    else {
        panic!("{:?}", moved[0].event)
    };
    assert_eq!((*due_before_at, *due_at), (at("2027-01-04T17:00:00"), at("2027-01-05T17:00:00")));
    assert_eq!(*calendar_version, world.rules.calendar.version_with(&world.rules.profile));
    assert_eq!(moved[0].facts.resolve_due_at, Some(*due_at));
    let case = decision.case;
    assert_eq!(case.lead().unwrap().due_at, Some(*due_at), "the task is due when the promise is");
    let clock = case.clock(ClockKind::Resolve, None).unwrap();
    assert!(!clock.provisional && clock.calendar_version == *calendar_version);
    let entry = &decision.timeline[0];
    assert_eq!((entry.event.as_str(), &entry.actor), ("ClockMoved", &PersonRef::system()));
    let told = entry.reason.as_ref().unwrap().render(Language::Chinese);
    assert!(told.contains("2027-01-04 17:00") && told.contains("2027-01-05 17:00"), "{told}");
    assert_eq!(case.follow_calendar(&world.system()), None);
}

#[test]
fn a_notice_that_gives_days_back_to_work_moves_nothing_earlier_but_makes_it_firm() {
    let mut world = last_monday();
    let case = world.in_progress("street_light");
    let due = resolve_due(&case);
    world.rules = published(&world.rules, "2027-02-06", &["2027-01-02", "2027-01-03"]);
    let before = case.version;
    let decision = case.follow_calendar(&world.system()).unwrap();
    assert_eq!((names(&decision), decision.timeline.len()), (vec![], 0), "nothing moved, nobody is told");
    assert_eq!(resolve_due(&decision.case), due);
    assert!(!decision.case.clock(ClockKind::Resolve, None).unwrap().provisional);
    assert_eq!(decision.case.version, before + 1);
    assert!(!decision.case.is_behind(&world.rules));
}

#[test]
fn a_timer_keeps_to_the_new_due_time() {
    let mut world = last_monday();
    let case = world.in_progress("stairs");
    let old = resolve_due(&case);
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    world.now = old + TimeDelta::minutes(1);
    let decision = world.tick(case);
    assert!(names(&decision).contains(&"ClockMoved") && !late(&decision), "{:?}", names(&decision));
    let case = decision.case;
    assert!(!case.is_overdue(world.now));
    assert!(case.next_timer_at().is_some_and(|at| at > world.now));
    world.now = resolve_due(&case);
    let decision = world.tick(case);
    assert!(late(&decision), "{:?}", names(&decision));
    assert_eq!(violations(&decision.case), Vec::<&str>::new());
}

#[test]
fn a_command_is_judged_by_the_calendar_in_force() {
    let mut world = last_monday();
    let case = world.in_progress("stairs");
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    world.now = at("2027-01-05T10:00:00");
    let org = case.lead_org.unwrap();
    let decision = case.complete(done(), &world.official(org)).unwrap();
    assert_eq!(names(&decision)[0], "ClockMoved");
    assert_eq!(decision.timeline[0].actor, PersonRef::system());
    let completed = decision.events.iter().find_map(|told| match told.event {
        DomainEvent::CaseCompleted { in_time, .. } => Some(in_time),
        _ => None,
    });
    assert_eq!(completed, Some(true));
    let by = decision.timeline.iter().find(|entry| entry.event == "CaseCompleted").unwrap();
    assert_eq!(by.actor, official(org).actor, "what follows is the caller's again");
}

#[test]
fn an_assist_is_due_when_its_clock_is() {
    let mut world = World::new();
    world.now = at("2026-12-30T09:00:00");
    let case = world.in_progress("street_light");
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    let case = case.follow_calendar(&world.system()).unwrap().case;
    let assist = case.tasks.iter().find(|task| task.part == TaskPart::Assist).unwrap();
    assert_eq!(assist.due_at, case.clock(ClockKind::Assist, Some(assist.id)).map(|clock| clock.due_at));
    assert_eq!(assist.due_at, Some(at("2027-01-05T17:00:00")));
}

#[test]
fn an_open_offer_waits_as_long_as_its_clock() {
    let mut world = World::new();
    world.now = at("2026-12-31T16:30:00");
    let case = world.dispatched("shopping_help");
    let offer = case.offer.clone().unwrap();
    assert_eq!(offer.due_at, at("2027-01-01T12:00:00"), "four working hours, of which half an hour is today");
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    let decision = case.follow_calendar(&world.system()).unwrap();
    let moved = decision.events.iter().find_map(|told| match told.event {
        DomainEvent::ClockMoved { clock: ClockKind::Offer, offer_id, due_at, .. } => Some((offer_id, due_at)),
        _ => None,
    });
    let due = at("2027-01-04T12:00:00");
    assert_eq!(moved, Some((Some(offer.id), due)));
    assert_eq!(decision.case.offer.as_ref().unwrap().due_at, due);
    world.now = due;
    assert!(decision.case.confirm_offer(offer.id, &world.official(offer.partner)).is_ok());
}

#[test]
fn what_stands_still_is_counted_when_it_runs_again() {
    let mut world = last_monday();
    let case = world.in_progress("stairs");
    let org = case.lead_org.unwrap();
    let due = resolve_due(&case);
    let case = case.suspend("public_hearing", "doc:told", None, &world.official(org)).unwrap().case;
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    world.wait(TimeDelta::hours(1));
    let followed = case.clone().follow_calendar(&world.system()).unwrap();
    assert_eq!(
        (names(&followed), resolve_due(&followed.case)),
        (vec![], due),
        "others run on, this one waits"
    );
    let case = case.resume(&world.official(org)).unwrap().case;
    assert_eq!(resolve_due(&case), due + TimeDelta::days(1));
    assert_eq!(case.counted_with(), Some(world.rules.calendar.version_with(&world.rules.profile)));
}
