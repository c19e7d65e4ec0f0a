//! What a case counts whose work begins again, or whose supervision rises, is held as it is told.

use chrono::TimeDelta;

use super::super::*;
use super::tally::{Both, answer, goes_on, resident};
use super::world::*;

/// As it comes in, with its first lead.
fn sent(world: &mut World) -> Both {
    let begun = world.intake("stairs");
    Both::begin(world.now, begun)
}

/// The station signs, and contacts the requester in time or too late.
fn takes_up(both: &mut Both, world: &mut World, too_late: bool) {
    let task = both.case.lead_task.unwrap();
    goes_on(both, world, official(STATION), |case, act| case.sign(task, act));
    if too_late {
        let due = both.case.clock(ClockKind::Contact, Some(task)).unwrap().due_at;
        world.now = due + TimeDelta::seconds(1);
    }
    goes_on(both, world, official(STATION), |case, act| case.contact(ContactMethod::Phone, act));
}

/// What the station says that it has done is found good.
fn is_done(both: &mut Both, world: &mut World) {
    goes_on(both, world, official(STATION), |case, act| case.complete(done(), act));
    goes_on(both, world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
}

/// Its requester is content.
fn is_closed(both: &mut Both, world: &mut World) {
    goes_on(both, world, resident(), |case, act| case.rate(5, act));
    assert_eq!(both.case.state, CaseState::Closed);
}

/// Its requester has new facts.
fn is_opened_again(both: &mut Both, world: &mut World) {
    world.wait(TimeDelta::hours(1));
    goes_on(both, world, resident(), |case, act| case.reopen("new_facts", act));
}

fn counts(both: &Both, name: &str) -> bool {
    both.text().split(';').any(|part| part.starts_with(name))
}

#[test]
fn a_supervision_that_rose_for_want_of_an_answer_is_not_answered_in_time() {
    let mut world = World::new();
    let mut both = sent(&mut world);
    takes_up(&mut both, &mut world, false);
    world.now = both.case.resolve_clock().unwrap().due_at;
    let late = world.tick(both.case.clone());
    both.take(world.now, late);
    let about = |case: &Case| {
        let of_clock = |known: &&Supervision| known.clock == Some(ClockKind::Resolve);
        case.supervisions.iter().find(of_clock).unwrap().clone()
    };
    let id = about(&both.case).id;
    world.now = about(&both.case).due_at;
    let risen = world.tick(both.case.clone());
    both.take(world.now, risen);
    both.check();
    assert_eq!((about(&both.case).level, about(&both.case).answered_in_time), (2, Some(false)));
    // Within the new time, but not within the first.
    world.wait(TimeDelta::minutes(1));
    assert!(world.now < about(&both.case).due_at);
    goes_on(&mut both, &mut world, official(STATION), |case, act| {
        case.answer_supervision(id, "under_way", None, act)
    });
    assert_eq!(about(&both.case).answered_in_time, Some(false));
    assert!(counts(&both, "supervisions@") && !counts(&both, "supervisions_in_time"), "{}", both.text());
}

#[test]
fn contact_counts_for_the_lead_that_did_the_work() {
    for first_too_late in [false, true] {
        let mut world = World::new();
        let mut both = sent(&mut world);
        takes_up(&mut both, &mut world, first_too_late);
        is_done(&mut both, &mut world);
        assert_eq!(counts(&both, "callback_contacted@"), !first_too_late, "{}", both.text());
        is_closed(&mut both, &mut world);
        is_opened_again(&mut both, &mut world);
        takes_up(&mut both, &mut world, !first_too_late);
        is_done(&mut both, &mut world);
        assert!(counts(&both, "callback_valid@"), "{}", both.text());
        assert_eq!(counts(&both, "callback_contacted@"), first_too_late, "{}", both.text());
    }
}

#[test]
fn what_was_called_back_and_answered_at_the_window_did_not_stay_with_its_first_lead() {
    let mut world = World::new();
    let mut both = sent(&mut world);
    let task = both.case.lead_task.unwrap();
    goes_on(&mut both, &mut world, official(STATION), |case, act| case.sign(task, act));
    goes_on(&mut both, &mut world, official(GOVERNMENT), |case, act| case.recall("mis_dispatch", act));
    goes_on(&mut both, &mut world, official(STATION), answer);
    goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
    is_closed(&mut both, &mut world);
    let text = both.text();
    assert!(counts(&both, "closed_dispatched@") && !counts(&both, "closed_first_lead"), "{text}");
    assert!(counts(&both, "callback_contacted@"), "no limit to make contact was missed: {text}");
}

#[test]
fn what_came_too_late_and_was_sent_back_was_late_all_the_same() {
    let mut world = World::new();
    let mut both = sent(&mut world);
    takes_up(&mut both, &mut world, false);
    let due = both.case.resolve_clock().unwrap().due_at;
    world.now = due + TimeDelta::days(1);
    let breached = world.tick(both.case.clone());
    both.take(world.now, breached);
    let day = calendar::local_day;
    let late = [format!("overdue_in@{}=1", day(due)), format!("overdue_out@{}=1", day(world.now))];
    let was_late = |both: &Both| late.iter().all(|part| counts(both, part));
    goes_on(&mut both, &mut world, official(STATION), |case, act| case.complete(done(), act));
    assert!(was_late(&both), "{}", both.text());
    goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.order_rework("not_done", act));
    world.wait(TimeDelta::hours(1));
    is_done(&mut both, &mut world);
    assert!(both.case.completed_at.unwrap() < both.case.resolve_clock().unwrap().due_at);
    let text = both.text();
    assert!(counts(&both, "due_verified@") && !counts(&both, "due_on_time") && was_late(&both), "{text}");

    is_closed(&mut both, &mut world);
    assert!(counts(&both, "process_due") && !counts(&both, "process_on_time"), "{}", both.text());
    is_opened_again(&mut both, &mut world);
    assert!(counts(&both, &late[0]), "{}", both.text());
    takes_up(&mut both, &mut world, false);
    is_done(&mut both, &mut world);
    assert!(counts(&both, "due_on_time@") && was_late(&both), "promised anew: {}", both.text());
    is_closed(&mut both, &mut world);
    assert!(counts(&both, "process_on_time"), "{}", both.text());
}
