//! Days of a mediation that go by: who hears of it, and until when.

use super::*;

fn day(mediation: &Mediation, kind: DeadlineKind) -> Option<&Deadline> {
    mediation.deadlines.iter().rfind(|deadline| deadline.kind == kind)
}

/// Agreed on by word of mouth, without a day.
fn at_once(world: &mut World) -> Mediation {
    let mediation = in_session(world);
    step(world, mediation, |mediation, act| mediation.agree(terms(AgreementKind::Oral, None), act))
}

fn passes(world: &mut World, mediation: Mediation, kind: DeadlineKind) -> MediationDecision {
    world.now = day(&mediation, kind).unwrap().due_at + TimeDelta::seconds(1);
    mediation.tick(&world.system()).unwrap()
}

#[test]
fn a_day_that_is_missed_is_overdue_until_what_was_waited_for_has_come() {
    let mut world = World::new();
    let talks = in_session(&mut world);
    assert_eq!(talks.overdue_since(), None);
    let due_at = day(&talks, DeadlineKind::Talks).unwrap().due_at;
    let late = passes(&mut world, talks, DeadlineKind::Talks);
    assert_eq!((late.missed, late.mediation.overdue_since()), (true, Some(due_at)));
    let failed = late.mediation.clone().fail("no_agreement", &world.act(mediator())).unwrap();
    assert_eq!((failed.missed, failed.mediation.overdue_since()), (false, None), "it has ended");
    let agreed = terms(AgreementKind::Oral, None);
    let agreed = late.mediation.agree(agreed, &world.act(mediator())).unwrap().mediation;
    assert_eq!(agreed.overdue_since(), None);

    let mut world = World::new();
    let promised = effective(&mut world);
    let due_at = day(&promised, DeadlineKind::Performance).unwrap().due_at;
    let late = passes(&mut world, promised, DeadlineKind::Performance);
    assert_eq!((late.missed, late.mediation.overdue_since()), (true, Some(due_at)));
    let done = late.mediation.perform(seen(), &world.act(mediator())).unwrap().mediation;
    assert_eq!(done.overdue_since(), None);
}

#[test]
fn the_court_is_asked_after_and_that_nobody_went_there_is_no_delay() {
    let mut world = World::new();
    let mediation = effective(&mut world);
    let mediation = step(&mut world, mediation, |mediation, act| mediation.request_confirmation(None, act));
    let late = passes(&mut world, mediation, DeadlineKind::CourtAccepts);
    assert!(late.missed && late.mediation.overdue_since().is_some());
    let taken = late.mediation.court_answers(answered(CourtAnswer::Accepted), &world.act(mediator()));
    assert_eq!(taken.unwrap().mediation.overdue_since(), None);

    let mut world = World::new();
    let mediation = effective(&mut world);
    // To be performed after the days in which the court can be asked.
    let later = Deadline::on(DeadlineKind::Performance, world.now, world.now + TimeDelta::days(90));
    let mut deadlines = mediation.deadlines.clone();
    deadlines.retain(|day| day.kind != DeadlineKind::Performance);
    deadlines.push(later);
    let mediation = Mediation { deadlines, ..mediation };
    let noted = passes(&mut world, mediation, DeadlineKind::RequestConfirmation);
    assert_eq!(noted.mediation.steps.last().unwrap().step, "deadline_passed");
    assert_eq!((noted.missed, noted.mediation.overdue_since()), (false, None));
}

#[test]
fn an_agreement_without_a_day_is_asked_after_by_the_rule() {
    let mut world = World::new(); // Monday 2026-06-08
    world.rules.mediation_follow_up = calendar::Limit::new(calendar::TimeUnit::CalDay, 10);
    let promised = effective(&mut world);
    assert_eq!(day(&promised, DeadlineKind::FollowUp), None, "the parties have a day of their own");
    let mediation = at_once(&mut world);
    assert_eq!(day(&mediation, DeadlineKind::Performance), None);
    let due_at = day(&mediation, DeadlineKind::FollowUp).unwrap().due_at;
    assert_eq!((due_at, mediation.next_timer_at()), (at("2026-06-18T23:59:59.999999"), Some(due_at)));
    // It is no promise: broken is what a party does not do, whenever that shows.
    let broken = mediation.clone().breach("not_paid", &world.act(mediator())).unwrap().mediation;
    assert!(broken.state == MediationState::ToldOfCourt && broken.overdue_since().is_none());
    let late = passes(&mut world, mediation, DeadlineKind::FollowUp);
    assert!(late.missed && late.case_move.is_none());
    assert_eq!(late.mediation.state, MediationState::Effective);
    assert_eq!(late.mediation.overdue_since(), Some(due_at));
    let done = late.mediation.perform(seen(), &world.act(mediator())).unwrap();
    assert!(matches!(done.events[0].1, MediationEvent::MediationPerformed { in_time: true, .. }));
    assert_eq!(done.mediation.overdue_since(), None);
}

#[test]
fn what_an_earlier_release_left_without_a_day_is_asked_after_as_well() {
    let mut world = World::new();
    let mediation = at_once(&mut world);
    let effective_at = mediation.agreement.as_ref().unwrap().effective_at;
    let due_at = day(&mediation, DeadlineKind::FollowUp).unwrap().due_at;
    let mut deadlines = mediation.deadlines.clone();
    deadlines.retain(|day| day.kind != DeadlineKind::FollowUp);
    let older = Mediation { deadlines, ..mediation };
    assert_eq!(older.next_timer_at(), effective_at);
    world.wait(TimeDelta::days(1));
    let known = older.clone().tick(&world.system()).unwrap();
    assert!(!known.missed);
    assert_eq!(day(&known.mediation, DeadlineKind::FollowUp).unwrap().due_at, due_at);
    assert_ne!(known.mediation.next_timer_at(), effective_at);
    world.now = due_at + TimeDelta::days(100);
    let late = older.tick(&world.system()).unwrap();
    assert_eq!((late.missed, late.mediation.overdue_since()), (true, Some(due_at)));
}

fn reminders(case: &Case) -> Vec<(u8, SupervisionState, OrgId)> {
    let of_it = case.supervisions.iter().filter(|known| known.reason_code == "mediation_day_passed");
    of_it.map(|known| (known.level, known.state, case.supervised(known))).collect()
}

#[test]
fn whoever_mediates_is_reminded_once_until_what_was_waited_for_has_come() {
    use SupervisionState::{Cleared, Issued};
    let mut world = World::new();
    let case = world.in_progress("quarrel");
    let none = case.clone().remind_of_mediation(Some(STREET_OFFICE), false, false, &world.system());
    assert_eq!(none, None, "nothing went by");
    let told = case.clone().remind_of_mediation(Some(STREET_OFFICE), true, true, &world.system()).unwrap();
    assert_eq!(names(&told), ["SupervisionIssued"]);
    let case = told.case;
    assert_eq!(reminders(&case), [(0, Issued, STREET_OFFICE)]);
    assert_eq!(case.asked_orgs(), [STREET_OFFICE], "who has no task of it finds it");
    assert_eq!(violations(&case), Vec::<&str>::new());
    assert_eq!(case.clone().remind_of_mediation(Some(STREET_OFFICE), true, true, &world.system()), None);
    // Answered, it is reminded of the next day that goes by.
    let id = case.supervisions.last().unwrap().id;
    let answered = case.clone().answer_supervision(id, "under_way", None, &world.official(STREET_OFFICE));
    let answered = answered.unwrap().case;
    assert_eq!(answered.clone().remind_of_mediation(None, false, true, &world.system()), None);
    let again = answered.clone().remind_of_mediation(None, true, true, &world.system()).unwrap().case;
    assert_eq!(reminders(&again).len(), 2);
    assert_eq!(reminders(&again)[1], (0, Issued, COMMITTEE), "without a mediator whoever has the case");
    let met = again.remind_of_mediation(None, false, false, &world.act(mediator())).unwrap();
    assert_eq!(names(&met), ["SupervisionCleared", "SupervisionCleared"]);
    assert!(reminders(&met.case).iter().all(|(_, state, _)| *state == Cleared));
}

#[test]
fn the_reminder_outlives_the_work_on_the_case_and_nobody_is_reminded_of_one_that_is_gone() {
    let mut world = World::new();
    let case = world.completed("quarrel");
    let case = case.remind_of_mediation(Some(COMMITTEE), true, true, &world.system()).unwrap().case;
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let case = case.rate(5, &world.resident()).unwrap().case;
    assert_eq!(case.state, CaseState::Closed);
    assert_eq!(reminders(&case), [(0, SupervisionState::Issued, COMMITTEE)]);
    assert_eq!(violations(&case), Vec::<&str>::new());
    let met = case.clone().remind_of_mediation(None, false, false, &world.system()).unwrap().case;
    assert_eq!(reminders(&met), [(0, SupervisionState::Cleared, COMMITTEE)]);
    world.now = case.archive_at.unwrap();
    let archived = world.tick(case).case;
    assert_eq!(archived.state, CaseState::Archived);
    assert_eq!(reminders(&archived), [(0, SupervisionState::Cleared, COMMITTEE)]);
    assert_eq!(archived.remind_of_mediation(None, true, true, &world.system()), None);
}
