//! What is handed off by hand, and what is taken back.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;

/// By 12345 another system takes cases; 119 is an emergency line.
fn by_line(world: &mut World, case: &Case, line: &str) -> Result<Decision> {
    let elsewhere = if line == "12345" { Elsewhere::Taken } else { Elsewhere::Nobody };
    case.clone().hand_off(line, elsewhere, &world.official(STATION))
}

fn is_cleared(supervision: &Supervision) -> bool {
    supervision.state == SupervisionState::Cleared
}

fn is_handed_off(result: Result<Decision>) -> bool {
    result.unwrap().case.state == CaseState::HandedOff
}

/// A lamp that nobody was sent to in time.
fn overdue(world: &mut World) -> Case {
    let case = world.triaged("street_light");
    world.now = case.resolve_clock().unwrap().due_at + TimeDelta::seconds(1);
    let case = world.tick(case).case;
    assert!(case.state == CaseState::Triaged && case.is_overdue(world.now));
    case
}

#[test]
fn an_emergency_line_takes_what_is_of_it_or_what_nobody_has_found_out_about() {
    let mut world = World::new();
    for unknown in [world.registered(), world.accepted()] {
        assert!(is_handed_off(by_line(&mut world, &unknown, "119")));
        assert_eq!(guard(unknown.hand_off("119", Elsewhere::Nobody, &world.system())), "human_official");
    }
    let lamp = RegisterCase { item_code: Some("street_light".into()), ..world.register() };
    let lamp = Case::register(lamp, &world.official(STATION)).unwrap().case;
    for other in [lamp, world.triaged("street_light")] {
        assert_eq!(guard(by_line(&mut world, &other, "119")), "other_item", "{}", other.state);
        assert!(is_handed_off(by_line(&mut world, &other, "12345")), "it is another system's then");
    }
    // Who was merged into it waits for it; another system's answer reaches them.
    let joined = CaseId(world.fresh());
    let case = world.accepted().absorb(&[joined], true, &world.official(STATION)).unwrap().case;
    assert_eq!(guard(by_line(&mut world, &case, "119")), "others_joined");
    assert!(is_handed_off(by_line(&mut world, &case, "12345")));
    let found = case.triage(&triage("fire"), &world.official(STATION)).unwrap().case;
    assert_eq!(found.state, CaseState::HandedOff, "an emergency is one");
}

#[test]
fn what_was_merged_into_a_case_and_is_known_there_keeps_it_from_that_line() {
    let mut world = World::new();
    let joined = CaseId(world.fresh());
    let case = world.accepted().absorb(&[joined], true, &world.official(STATION)).unwrap().case;
    let known = [
        (Elsewhere::JoinedReturned, "joined_returned_before"),
        (Elsewhere::JoinedFromThere, "joined_from_there"),
    ];
    for (elsewhere, code) in known {
        let refused = case.clone().hand_off("12345", elsewhere, &world.official(STATION));
        assert_eq!(guard(refused), code);
        // What applies to the case itself is told first, and the organisation complained of hears nothing of the others.
        let returned = Case { returned_lines: vec!["12345".into()], ..case.clone() };
        let refused = returned.hand_off("12345", elsewhere, &world.official(STATION));
        assert_eq!(guard(refused), "returned_before");
        let complained_of = Case { complained_of: Some(STATION), ..case.clone() };
        let refused = complained_of.hand_off("12345", elsewhere, &world.official(STATION));
        assert_eq!(guard(refused), "recused");
        // An emergency goes to its line whatever else is known there.
        let fire = case.clone().triage(&triage("fire"), &world.official(STATION)).unwrap().case;
        let fire = fire.take_back("by_mistake", &world.official(STATION)).unwrap().case;
        assert!(is_handed_off(fire.hand_off("119", elsewhere, &world.official(STATION))));
    }
}

#[test]
fn what_is_late_is_not_handed_off_unless_it_is_found_to_be_an_emergency() {
    let mut world = World::new();
    let case = overdue(&mut world);
    assert_eq!(guard(by_line(&mut world, &case, "119")), "other_item");
    assert_eq!(guard(by_line(&mut world, &case, "12345")), "late");
    let unknown = Case { item: None, ..case.clone() };
    for line in ["119", "12345"] {
        assert_eq!(guard(by_line(&mut world, &unknown, line)), "late", "{line}");
    }
    let registered = world.registered();
    world.now = registered.clock(ClockKind::Accept, None).unwrap().due_at + TimeDelta::seconds(1);
    for line in ["119", "12345"] {
        assert_eq!(guard(by_line(&mut world, &registered, line)), "accepted_by_silence", "{line}");
    }
    let fire = case.triage(&triage("fire"), &world.official(STATION)).unwrap().case;
    assert_eq!(fire.state, CaseState::HandedOff);
}

#[test]
fn what_went_to_an_emergency_line_by_mistake_is_taken_back_and_is_as_late_as_before() {
    let mut world = World::new();
    let case = overdue(&mut world);
    let due = case.resolve_clock().unwrap().due_at;
    let gone = case.triage(&triage("fire"), &world.official(STATION)).unwrap().case;
    assert!(!gone.is_overdue(world.now) && gone.closed_code == Some(ClosedCode::HandedOff));
    world.wait(TimeDelta::hours(3));
    let back = gone.take_back("by_mistake", &world.official(STATION)).unwrap();
    assert_eq!(names(&back), ["CaseReturnedFromReferral", "SupervisionIssued", "SupervisionIssued"]);
    let reason = back.timeline[0].reason.clone().unwrap();
    assert_eq!(reason.render(Language::Chinese), "已转 119，现收回（by_mistake），由本级继续办理");
    let case = back.case;
    assert_eq!((case.state, case.closed_code, case.closed_at), (CaseState::Triaged, None, None));
    assert_eq!((case.resolve_clock().unwrap().due_at, case.is_overdue(world.now)), (due, true));
    let open = case.supervisions.iter().filter(|known| known.state != SupervisionState::Cleared);
    let open: Vec<_> = open.map(|known| (known.level, known.clock)).collect();
    assert_eq!(open, [(1, Some(ClockKind::Resolve)), (1, Some(ClockKind::Dispatch))]);
    assert!(case.clock(ClockKind::Dispatch, None).unwrap().is_running());
    assert_eq!(violations(&case), Vec::<&str>::new());
    // What is of the line goes there again, and what is not is handled.
    assert!(is_handed_off(by_line(&mut world, &case, "119")));
    let case = case.triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
    let case = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.state, CaseState::Dispatched);
}

#[test]
fn a_referral_is_taken_back_too_and_does_not_go_by_its_line_again() {
    let mut world = World::new();
    let case = world.triaged("stairs");
    let promised = case.resolve_clock().unwrap().due_at;
    let gone = by_line(&mut world, &case, "12345").unwrap().case;
    world.wait(TimeDelta::hours(1));
    let back = gone.take_back("not_taken_there", &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(names(&back), ["CaseReturnedFromReferral"]);
    let case = back.case;
    assert_eq!((case.state, case.resolve_clock().unwrap().due_at), (CaseState::Triaged, promised));
    assert_eq!(guard(by_line(&mut world, &case, "12345")), "returned_before");

    // What was never taken in is, since it left.
    let (left_at, case) = (world.now, world.registered());
    let gone = by_line(&mut world, &case, "119").unwrap().case;
    world.wait(TimeDelta::hours(1));
    let case = gone.take_back("by_mistake", &world.official(STATION)).unwrap().case;
    assert_eq!((case.state, case.accepted_at), (CaseState::Accepted, Some(left_at)));
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn nobody_but_a_human_takes_back_what_was_handed_off_here() {
    let mut world = World::new();
    let case = world.accepted();
    let gone = by_line(&mut world, &case, "119").unwrap().case;
    assert_eq!(guard(gone.clone().take_back("by_mistake", &world.system())), "human_official");
    assert_eq!(guard(gone.clone().take_back("by_mistake", &world.resident())), "human_official");
    assert_eq!(guard(gone.clone().take_back("By mistake", &world.official(STATION))), "reason_code");
    let complained_of = Case { complained_of: Some(STATION), ..gone.clone() };
    assert_eq!(guard(complained_of.take_back("by_mistake", &world.official(STATION))), "recused");
    let elsewhere = Case { routing: vec![], ..gone };
    assert_eq!(guard(elsewhere.take_back("by_mistake", &world.official(STATION))), "handed_off_elsewhere");
    let here = case.take_back("by_mistake", &world.official(STATION));
    let verb = Trigger::ReturnFromReferral;
    assert_eq!(here, Err(DomainError::WrongState { state: CaseState::Accepted, verb }));
}

/// Whether the decision that sent it said that it was sent in time.
fn sent_in_time(sent: &Decision) -> bool {
    let told = sent.events.iter().find_map(|emitted| match &emitted.event {
        DomainEvent::CaseDispatched { in_time, .. } => Some(*in_time),
        _ => None,
    });
    told.expect("it was dispatched")
}

#[test]
fn what_nobody_sent_in_time_is_no_less_late_for_having_been_handed_off_and_taken_back() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let due = case.clock(ClockKind::Dispatch, None).unwrap().due_at;
    let before_due = |world: &mut World| {
        world.now = due - TimeDelta::minutes(1);
        case.clone()
    };
    let after_due = |world: &mut World| {
        world.now = due + TimeDelta::days(1);
        world.tick(case.clone()).case
    };
    for (leaves, breached) in [(before_due(&mut world), false), (after_due(&mut world), true)] {
        world.now = leaves.updated_at.max(due - TimeDelta::minutes(1));
        let gone = leaves.triage(&triage("fire"), &world.official(STATION)).unwrap().case;
        assert_eq!((gone.state, gone.supervisions.iter().all(is_cleared)), (CaseState::HandedOff, true));
        world.wait(TimeDelta::hours(1));
        let back = gone.take_back("by_mistake", &world.official(STATION)).unwrap().case;
        let clocks: Vec<_> = back.clocks.iter().filter(|clock| clock.kind == ClockKind::Dispatch).collect();
        assert_eq!((clocks.len(), clocks[0].is_running(), clocks[0].due_at), (1, true, due), "no new one");
        let open = back.supervisions.iter().filter(|known| !is_cleared(known));
        let watched: Vec<_> = open.map(|known| (known.level, known.clock)).collect();
        let dispatch = vec![(1_u8, Some(ClockKind::Dispatch))];
        assert_eq!(watched, if breached { dispatch } else { vec![] });
        assert_eq!(violations(&back), Vec::<&str>::new());

        let case = back.triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
        let sent = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap();
        assert!(!sent_in_time(&sent), "it ran out before, or while it was away");
        assert!(sent.case.supervisions.iter().all(is_cleared));
    }
}

#[test]
fn what_comes_back_in_time_is_sent_in_time_and_what_had_no_dispatcher_has_a_whole_limit() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let gone = by_line(&mut world, &case, "12345").unwrap().case;
    world.wait(TimeDelta::hours(1));
    let case = gone.take_back("not_taken_there", &world.official(STATION)).unwrap().case;
    let sent = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap();
    assert!(sent_in_time(&sent));

    let case = world.registered();
    let gone = by_line(&mut world, &case, "119").unwrap().case;
    world.wait(TimeDelta::hours(1));
    let case = gone.take_back("by_mistake", &world.official(STATION)).unwrap().case;
    let dispatch = case.clock(ClockKind::Dispatch, None).unwrap();
    assert_eq!((dispatch.is_running(), dispatch.started_at), (true, world.now));
}
