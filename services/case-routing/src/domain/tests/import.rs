//! Cases of another system: open ones are what the verbs would have made of them, ended ones are complete records, and both
//! go on like any other.

use chrono::TimeDelta;

use super::super::*;
use super::follow_units::{self, NEXT};
use super::world::*;

const OPEN: [CaseState; 4] =
    [CaseState::Registered, CaseState::Accepted, CaseState::Triaged, CaseState::Dispatched];
const ENDED: [CaseState; 5] = [
    CaseState::Closed,
    CaseState::Archived,
    CaseState::Withdrawn,
    CaseState::NotAccepted,
    CaseState::HandedOff,
];

pub(super) fn command(world: &mut World, state: CaseState) -> ImportCase {
    let ended = state.is_finished();
    let closed = matches!(state, CaseState::Closed | CaseState::Archived);
    // Long enough to be decided on, but for the one that nobody has decided on yet.
    let waits = state == CaseState::Registered;
    let age = if waits { TimeDelta::hours(1) } else { TimeDelta::days(6) };
    let register = RegisterCase { item_code: Some("street_light".into()), ..world.register() };
    ImportCase {
        register,
        source: "old_hotline".into(),
        record: "import:old_hotline:77".into(),
        state,
        registered_at: world.now - age,
        accepted_at: (!waits).then_some(world.now - TimeDelta::days(5)),
        resolve_due_at: None,
        completed_at: closed.then_some(world.now - TimeDelta::days(3)),
        closed_at: ended.then_some(world.now - TimeDelta::days(2)),
        lead: (closed || state == CaseState::Dispatched).then_some(STREET_OFFICE),
        delivery_mode: None,
        closed_code: None,
        grade: None,
        rated_at: None,
    }
}

fn operator(world: &mut World) -> Act<'_> {
    world.act(Party { actor: PersonRef("p-op".into()), org: None, standing: Standing::Official })
}

pub(super) fn import(world: &mut World, command: ImportCase) -> Result<Imported> {
    Case::import(command, &operator(world))
}

#[test]
fn every_state_is_taken_over_complete_and_no_other_is() {
    for state in CaseState::ALL {
        let mut world = World::new();
        let command = command(&mut world, *state);
        let imported = import(&mut world, command);
        if !OPEN.contains(state) && !ENDED.contains(state) {
            assert!(matches!(imported, Err(DomainError::Invalid { field: "state", .. })), "{state}");
            continue;
        }
        let Imported { case, timeline, .. } = imported.unwrap();
        assert_eq!((case.state, violations(&case)), (*state, Vec::<&str>::new()));
        assert_eq!(case.version, timeline.last().unwrap().case_version);
        assert!(timeline.windows(2).all(|pair| pair[0].at <= pair[1].at), "{timeline:?}");
        let first = &timeline[0];
        assert_eq!((first.event.as_str(), first.actor.0.as_str()), ("CaseRegistered", "p-op"));
        assert_eq!(first.reason.as_ref().unwrap().args["source"], "old_hotline");
        assert!(timeline[1..].iter().all(|entry| entry.actor == PersonRef::system()));
        assert_eq!(case.registered_at, first.at);
    }
}

#[test]
fn an_open_case_of_a_merged_street_is_in_the_new_one_and_one_that_has_ended_where_it_lay() {
    for state in OPEN.iter().chain(&ENDED) {
        let mut world = World::new();
        world.routes = RoutingTable::new(follow_units::merged());
        let mut command = command(&mut world, *state);
        command.register.place_unit = STREET;
        let case = import(&mut world, command).unwrap().case;
        let unit = if OPEN.contains(state) { NEXT } else { STREET };
        assert_eq!((case.place.unit, case.place.street), (unit, Some(unit)), "{state}");
        assert_eq!(case.place.path, [CITY, DISTRICT, unit]);
        assert_eq!(violations(&case), Vec::<&str>::new());
    }
}

#[test]
fn an_open_case_has_the_clocks_it_would_have_had_here() {
    let mut world = World::new();
    let now = world.now;
    let ours = {
        world.now = now - TimeDelta::days(6);
        let register = RegisterCase { item_code: Some("street_light".into()), ..world.register() };
        let case = Case::register(register, &world.official(STATION)).unwrap().case;
        world.now = now - TimeDelta::days(5);
        let case = case.accept(&world.official(STATION)).unwrap().case;
        case.triage(&triage("street_light"), &world.official(STATION)).unwrap().case
    };
    world.now = now;
    let command = command(&mut world, CaseState::Triaged);
    let theirs = import(&mut world, command).unwrap();
    assert!(theirs.intake_in_time);
    let due = |case: &Case| case.clocks.iter().map(|clock| (clock.kind, clock.due_at)).collect::<Vec<_>>();
    assert_eq!(due(&theirs.case), due(&ours));
    // Reminders of what lies behind are not given any more, those ahead are.
    let resolve = theirs.case.resolve_clock().unwrap();
    let passed = resolve.warn_at.unwrap().iter().filter(|at| **at <= now).count();
    assert_eq!(resolve.warned, [0, 50, 80][passed]);
    let dispatch = theirs.case.clock(ClockKind::Dispatch, None).unwrap();
    assert_eq!((dispatch.warned, dispatch.next_warning()), (80, None), "nobody is reminded of last week");
}

#[test]
fn silence_before_it_came_has_accepted_it_as_of_then() {
    let mut world = World::new();
    let mut command = command(&mut world, CaseState::Registered);
    command.registered_at = world.now - TimeDelta::days(30);
    let Imported { case, timeline, intake_in_time, .. } = import(&mut world, command).unwrap();
    let accept = case.clock(ClockKind::Accept, None).unwrap();
    let due = accept.due_at;
    assert!(due < world.now);
    assert_eq!((accept.breached_at, accept.stopped_at), (Some(due), Some(due)));
    assert_eq!((case.state, case.accepted_at), (CaseState::Accepted, Some(due)));
    assert!(!intake_in_time, "nobody decided in time");
    assert_eq!(case.resolve_clock().unwrap().started_at, due);
    let steps: Vec<_> = timeline.iter().map(|entry| (entry.event.as_str(), entry.at)).collect();
    let registered = case.registered_at;
    assert_eq!(steps, [("CaseRegistered", registered), ("ClockBreached", due), ("CaseAccepted", due)]);
    assert_eq!(timeline[2].reason.as_ref().unwrap().code, "accepted_by_silence");
    assert_eq!((case.version, violations(&case)), (3, Vec::<&str>::new()));
}

#[test]
fn an_open_emergency_goes_to_its_line_with_the_import_and_time_accepts_none() {
    for (state, late) in OPEN[..3].iter().flat_map(|state| [(*state, false), (*state, true)]) {
        let mut world = World::new();
        let mut command = command(&mut world, state);
        command.register.item_code = Some("fire".into());
        if late {
            command.registered_at = world.now - TimeDelta::days(60);
        }
        let Imported { case, timeline, intake_in_time, handed_off, .. } =
            import(&mut world, command).unwrap();
        assert_eq!((case.state, handed_off.as_deref()), (CaseState::HandedOff, Some("119")), "{state}");
        assert_eq!((case.closed_code, case.closed_at), (Some(ClosedCode::HandedOff), Some(world.now)));
        assert_eq!(intake_in_time, !late, "{state}");
        let step = timeline.last().unwrap();
        assert_eq!((step.event.as_str(), step.at), ("CaseHandedOff", world.now), "here and now, {state}");
        assert_eq!(step.case_version, case.version);
        let silence = |step: &TimelineEntry| {
            step.reason.as_ref().is_some_and(|reason| reason.code == "accepted_by_silence")
        };
        assert!(!timeline.iter().any(silence), "{state}");
        assert_eq!((case.next_timer_at(), violations(&case)), (None, Vec::new()), "{state}");
    }
    // What went there elsewhere is as it was.
    let mut world = World::new();
    let mut ended = command(&mut world, CaseState::HandedOff);
    ended.register.item_code = Some("fire".into());
    let imported = import(&mut world, ended.clone()).unwrap();
    assert_eq!((imported.case.closed_at, imported.handed_off), (ended.closed_at, None));
}

#[test]
fn silence_that_is_not_over_accepts_in_its_time() {
    let mut world = World::new();
    let command = command(&mut world, CaseState::Registered);
    let case = import(&mut world, command).unwrap().case;
    let accept = case.clock(ClockKind::Accept, None).unwrap().clone();
    let [half, _] = accept.warn_at.unwrap();
    assert_eq!((case.state, case.next_timer_at()), (CaseState::Registered, Some(half)));
    world.now = accept.due_at;
    let told = names(&world.tick(case));
    assert_eq!(told, ["ClockBreached", "CaseAccepted"]);
}

#[test]
fn of_a_decision_that_is_waited_for_only_what_is_ahead_is_warned_of() {
    let mut world = World::new();
    let mut command = command(&mut world, CaseState::Registered);
    // Since Friday morning: half of its working day was over on Monday, a quarter of an hour ago.
    command.registered_at = world.now - TimeDelta::days(3);
    let case = import(&mut world, command).unwrap().case;
    let accept = case.clock(ClockKind::Accept, None).unwrap().clone();
    let [half, most] = accept.warn_at.unwrap();
    assert!(half < world.now && accept.next_warning() == Some((most, 80)), "{accept:?}");
    world.now = most;
    let decision = world.tick(case);
    assert_eq!(names(&decision), ["ClockWarned"]);
    let warned = &decision.events[0].event;
    assert!(matches!(warned, DomainEvent::ClockWarned { percent: 80, org_id: STATION, .. }), "{warned:?}");
}

#[test]
fn what_passed_before_it_came_is_late_and_told_once_without_warnings_of_then() {
    for state in OPEN {
        let mut world = World::new();
        let mut command = command(&mut world, state);
        command.registered_at = world.now - TimeDelta::days(60);
        command.accepted_at = command.accepted_at.map(|_| world.now - TimeDelta::days(58));
        let case = import(&mut world, command).unwrap().case;
        let due = case.resolve_clock().unwrap().due_at;
        assert!(due < world.now && case.is_overdue(world.now), "{state}");
        let decision = world.tick(case);
        // Whoever leads has been found with the import; before that the dispatch is late too.
        let mut expected = vec!["ClockBreached", "SupervisionIssued"];
        if state != CaseState::Dispatched {
            expected.extend_from_slice(&["ClockBreached", "SupervisionIssued"]);
        }
        assert_eq!(names(&decision), expected, "{state}");
        let case = decision.case;
        assert_eq!(case.resolve_clock().unwrap().breached_at, Some(due), "{state}: late since then");
        assert!(decision.timeline.iter().all(|entry| entry.at == world.now), "{state}: told now");
        let now = world.now;
        let asked = |one: &Supervision| one.level == 1 && one.issued_at == now && one.due_at > now;
        assert!(case.supervisions.iter().all(asked), "{state}: {:?}", case.supervisions);
        assert_eq!(case.tick(&world.system()).unwrap(), None, "{state}: once");
    }
}

#[test]
fn what_is_still_to_come_is_warned_of_in_its_time() {
    let mut world = World::new();
    let command = ImportCase {
        registered_at: world.now - TimeDelta::days(7),
        accepted_at: Some(world.now - TimeDelta::days(7)),
        // From Monday to Friday of the next week: now half of it is over, and four fifths are not.
        resolve_due_at: Some(world.now + TimeDelta::days(4)),
        ..command(&mut world, CaseState::Dispatched)
    };
    let case = import(&mut world, command).unwrap().case;
    let resolve = case.resolve_clock().unwrap();
    let [half, most] = resolve.warn_at.unwrap();
    assert!(half < world.now && world.now < most, "{half} {most}");
    assert_eq!((resolve.warned, resolve.next_warning()), (50, Some((most, 80))));
    world.now = most;
    let warned = world.tick(case).events.into_iter().filter_map(|emitted| match emitted.event {
        DomainEvent::ClockWarned { percent, clock: ClockKind::Resolve, .. } => Some(percent),
        _ => None,
    });
    assert_eq!(warned.collect::<Vec<_>>(), [80]);
}

#[test]
fn another_limit_warns_of_nothing_that_passed_before_it_came_either() {
    let mut world = World::new();
    let mut command = command(&mut world, CaseState::Accepted);
    command.register.item_code = None;
    command.accepted_at = Some(command.registered_at);
    let case = import(&mut world, command).unwrap().case;
    let came = world.now;
    world.wait(TimeDelta::minutes(5));
    // Triage names an item that promises less: more of its time is over.
    let case = case.triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
    let resolve = case.resolve_clock().unwrap();
    let passed = resolve.warn_at.unwrap().iter().filter(|at| **at <= came).count();
    assert!(passed > 0, "{resolve:?}");
    assert_eq!(resolve.warned, [0, 50, 80][passed]);
    assert!(!names(&world.tick(case)).contains(&"ClockWarned"));
}

#[test]
fn a_dispatched_case_is_to_be_signed_for_here_and_goes_on() {
    let mut world = World::new();
    let command = ImportCase {
        resolve_due_at: Some(world.now + TimeDelta::days(9)),
        ..command(&mut world, CaseState::Dispatched)
    };
    let due = command.resolve_due_at;
    let case = import(&mut world, command).unwrap().case;
    let resolve = case.resolve_clock().unwrap();
    assert_eq!((Some(resolve.due_at), resolve.promised_at), (due, due), "what was promised holds");
    let sign = case.clock(ClockKind::Sign, case.lead_task).unwrap();
    assert_eq!(sign.started_at, world.now);
    let (task, org) = (case.lead_task.unwrap(), case.lead_org.unwrap());
    assert_eq!(org, STREET_OFFICE);
    let case = case.sign(task, &world.official(org)).unwrap().case;
    let case = case.contact(ContactMethod::Phone, &world.official(org)).unwrap().case;
    let case = world.complete(case);
    assert_eq!(case.state, CaseState::Verifying);
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn what_was_promised_elsewhere_and_missed_is_not_made_good_by_a_suspension() {
    let mut world = World::new();
    let promised = world.now + TimeDelta::days(1);
    let command = ImportCase { resolve_due_at: Some(promised), ..command(&mut world, CaseState::Dispatched) };
    let case = import(&mut world, command).unwrap().case;
    let (task, org) = (case.lead_task.unwrap(), case.lead_org.unwrap());
    let case = case.sign(task, &world.official(org)).unwrap().case;
    let case = case.contact(ContactMethod::Phone, &world.official(org)).unwrap().case;
    world.now = promised + TimeDelta::hours(2);
    let case = world.tick(case).case;
    assert!(case.resolve_clock().unwrap().breached_at.is_some(), "the premise");
    let case = case.suspend("season_condition", "doc:told", None, &world.official(org)).unwrap().case;
    world.wait(TimeDelta::days(3));
    let case = case.resume(&world.official(org)).unwrap().case;
    let case = world.complete(case);
    let resolve = case.resolve_clock().unwrap();
    assert_eq!((resolve.due_at, case.facts().resolve_due_at), (promised, Some(promised)));
    assert!(case.completed_at.unwrap() > promised, "late it is");
}

#[test]
fn a_closed_case_can_be_opened_again_and_a_kept_one_is_archived_in_its_time() {
    let mut world = World::new();
    let closed = command(&mut world, CaseState::Closed);
    let Imported { case, elapsed_seconds, elapsed_unit, .. } = import(&mut world, closed.clone()).unwrap();
    assert!(elapsed_seconds > 0);
    assert_eq!(elapsed_unit, case.resolve_clock().map(|clock| clock.limit.unit));
    assert_eq!(case.handling_orgs(), [STREET_OFFICE], "who handled it does not verify it");
    let again = case.clone().reopen("new_facts", &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!((again.state, violations(&again)), (CaseState::Dispatched, Vec::<&str>::new()));
    assert_eq!(case.next_timer_at(), closed.closed_at.map(|at| at + TimeDelta::days(100)));
    // Older than its item is kept: nothing is due for it.
    let old = |at: Option<Timestamp>| at.map(|at| at - TimeDelta::days(100));
    let older = ImportCase {
        registered_at: closed.registered_at - TimeDelta::days(100),
        accepted_at: old(closed.accepted_at),
        completed_at: old(closed.completed_at),
        closed_at: old(closed.closed_at),
        grade: Some(1),
        ..closed
    };
    let case = import(&mut world, older).unwrap().case;
    assert_eq!((case.state, case.next_timer_at()), (CaseState::Archived, None));
    assert!(!case.rating.as_ref().unwrap().awaits_judgement());
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn what_does_not_fit_together_is_refused_by_its_field() {
    use CaseState::{Accepted, Closed, Dispatched, Registered, Triaged, Withdrawn};
    type Change = fn(&mut ImportCase, Timestamp);
    let cases: [(CaseState, Change, &str); 24] = [
        (Closed, |c, _| c.closed_at = None, "closed_time"),
        (Accepted, |c, now| c.closed_at = Some(now), "closed_time"),
        (Closed, |c, now| c.closed_at = Some(now + TimeDelta::hours(1)), "closed_time"),
        (Closed, |c, _| c.completed_at = c.accepted_at.map(|at| at - TimeDelta::hours(1)), "completed_time"),
        (Triaged, |c, now| c.completed_at = Some(now), "completed_time"),
        (Accepted, |c, _| c.accepted_at = Some(c.registered_at - TimeDelta::hours(1)), "accepted_time"),
        (Registered, |c, now| c.registered_at = now + TimeDelta::hours(1), "registered_time"),
        (Registered, |c, _| c.registered_at = at("1900-01-01T00:00:00"), "registered_time"),
        (
            Registered,
            |c, _| c.resolve_due_at = Some(c.registered_at - TimeDelta::hours(1)),
            "resolve_due_time",
        ),
        (Registered, |c, now| c.resolve_due_at = Some(now), "resolve_due_time"),
        (Registered, |c, _| c.accepted_at = Some(c.registered_at), "accepted_time"),
        (Triaged, |c, _| c.resolve_due_at = Some(at("9999-12-31T00:00:00")), "resolve_due_time"),
        (
            Closed,
            |c, _| c.resolve_due_at = Some(c.registered_at + TimeDelta::days(3_654)),
            "resolve_due_time",
        ),
        (Triaged, |c, _| (c.register.anonymous, c.register.requester) = (true, None), "anonymous"),
        (Withdrawn, |c, _| c.closed_code = Some(ClosedCode::Resolved), "closed_code"),
        (Closed, |c, _| c.closed_code = Some(ClosedCode::Withdrawn), "closed_code"),
        (Accepted, |c, _| c.grade = Some(5), "grade"),
        (Closed, |c, now| c.rated_at = Some(now), "rated_time"),
        (Closed, |c, _| c.register.item_code = None, "item_code"),
        (Triaged, |c, _| c.register.item_code = Some("no_such".into()), "item_code"),
        (Accepted, |c, _| c.register.item_code = Some("licence".into()), "item_code"),
        (Dispatched, |c, _| c.register.item_code = Some("fire".into()), "state"),
        (Dispatched, |c, _| c.lead = None, "lead_org_id"),
        (Accepted, |c, _| c.lead = Some(STREET_OFFICE), "lead_org_id"),
    ];
    for (number, (state, change, field)) in cases.into_iter().enumerate() {
        let mut world = World::new();
        let mut command = command(&mut world, state);
        change(&mut command, world.now);
        let refused = import(&mut world, command).map(|imported| imported.case.state);
        assert!(
            matches!(&refused, Err(DomainError::Invalid { field: named, .. }) if *named == field),
            "{number} {refused:?}"
        );
    }
    // The lead is held to the lists like any other.
    let mut world = World::new();
    let command = ImportCase { lead: Some(COURTS), ..command(&mut world, Dispatched) };
    let register = RegisterCase { item_code: Some("demolition".into()), ..command.register.clone() };
    let demolition = ImportCase { register, lead: Some(STATION), ..command };
    assert!(matches!(import(&mut world, demolition), Err(DomainError::Guard { .. })));
    // A partner is asked, whoever asked it there.
    let partner = ImportCase { lead: Some(TEAM), ..self::command(&mut world, Dispatched) };
    assert!(matches!(import(&mut world, partner), Err(DomainError::Guard { code: "only_by_offer", .. })));
}
