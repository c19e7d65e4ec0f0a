//! A notice is published while days of a mediation are waited for.

use super::*;

fn day(mediation: &Mediation, kind: DeadlineKind) -> Deadline {
    mediation.deadlines.iter().rfind(|deadline| deadline.kind == kind).expect("it runs").clone()
}

fn end_of(day: &str) -> Timestamp {
    at(&format!("{day}T23:59:59.999999"))
}

/// In effect since 2 December: thirty days end on 1 January, which nobody knows to be a rest day.
fn effective_in_december(world: &mut World) -> Mediation {
    world.now = at("2026-12-02T09:00:00");
    let mediation = effective(world);
    assert_eq!(day(&mediation, DeadlineKind::RequestConfirmation).due_at, end_of("2027-01-01"));
    mediation
}

fn moved(mediation: &Mediation) -> Vec<&MediationStep> {
    mediation.steps.iter().filter(|step| step.step == "deadline_moved").collect()
}

#[test]
fn a_last_day_that_becomes_a_rest_day_is_moved_and_noted_once_and_the_agreed_one_stays() {
    let mut world = World::new();
    let mediation = effective_in_december(&mut world);
    let agreed = day(&mediation, DeadlineKind::Performance);
    assert_eq!((agreed.counted_with(), mediation.clone().follow_calendar(&world.system())), (None, None));
    let counted = mediation.counted_with().unwrap();
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    assert!(mediation.is_behind(&world.rules));
    let decision = mediation.follow_calendar(&world.system()).unwrap();
    assert!(decision.events.is_empty() && decision.case_move.is_none());
    let mediation = decision.mediation;
    assert_eq!(day(&mediation, DeadlineKind::RequestConfirmation).due_at, end_of("2027-01-04"));
    assert_eq!(day(&mediation, DeadlineKind::Performance), agreed, "the parties' own day");
    assert_eq!(mediation.next_timer_at(), Some(agreed.due_at));
    let [step] = moved(&mediation)[..] else { panic!("{:?}", mediation.steps) };
    assert_eq!((&step.actor, step.version), (&PersonRef::system(), mediation.version));
    let text = step.reason.as_ref().unwrap().render(Language::Chinese);
    assert!(text.contains("2027-01-01") && text.contains("2027-01-04"), "{text}");
    let version = world.rules.calendar.version_with(&world.rules.profile);
    assert!(mediation.counted_with() == Some(version) && version > counted);
    assert_eq!(mediation.follow_calendar(&world.system()), None);
}

#[test]
fn days_that_are_worked_after_all_move_nothing_earlier() {
    let mut world = World::new();
    let mediation = effective_in_december(&mut world);
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    let mediation = mediation.follow_calendar(&world.system()).unwrap().mediation;
    world.rules = published(&world.rules, "2027-02-06", &["2027-01-02", "2027-01-03"]);
    let mediation = mediation.follow_calendar(&world.system()).unwrap().mediation;
    let known = day(&mediation, DeadlineKind::RequestConfirmation);
    assert_eq!((known.due_at, moved(&mediation).len()), (end_of("2027-01-04"), 1));
    assert!(!mediation.is_behind(&world.rules));
}

#[test]
fn a_timer_and_a_command_keep_to_the_day_as_it_is_now() {
    let mut world = World::new();
    let mediation = effective_in_december(&mut world);
    world.rules = published(&world.rules, "2027-01-01/2027-01-03", &[]);
    world.now = at("2027-01-02T10:00:00");
    let noted = mediation.clone().tick(&world.system()).unwrap().mediation;
    let passed: Vec<DeadlineKind> =
        noted.deadlines.iter().filter(|day| day.passed_at.is_some()).map(|day| day.kind).collect();
    assert_eq!((passed, moved(&noted).len()), (vec![DeadlineKind::Performance], 1));
    let asked = mediation.request_confirmation(None, &world.act(mediator())).unwrap().mediation;
    let last = asked.steps.last().unwrap();
    assert_eq!((last.step.as_str(), &last.actor), ("request_confirmation", &mediator().actor));
    assert_eq!(moved(&asked)[0].actor, PersonRef::system(), "whoever asks moves no day");
}
