//! Tasks that need several workers: how many staffing is asked for, and what such a task shows of them.

use chrono::TimeDelta;
use uuid::Uuid;

use super::super::ApplicationState as S;
use super::super::AssignmentStatus::{self, Accepted, Cancelled, Done, Offered, OnSite, Unfilled};
use super::super::*;
use super::application_world::*;
use super::benefit::{begin, delivered};
use super::world::*;

/// How many workers staffing is asked for, by each signature of a decision.
fn asked(decision: &Decision) -> Vec<u8> {
    let wanted = |told: &Emitted| match &told.event {
        DomainEvent::TaskSigned { workers_wanted, .. } => Some(*workers_wanted),
        _ => None,
    };
    decision.events.iter().filter_map(wanted).collect()
}

#[test]
fn who_is_in_charge_is_asked_for_as_many_as_make_the_field_check_together() {
    let mut world = world();
    for (item, lead, wanted) in [
        (RELIEF, STREET_OFFICE, 2),
        (VISITED, STREET_OFFICE, 1),
        (ALLOWANCE, STREET_OFFICE, 1),
        (PERMIT, HOUSING, 1),
    ] {
        let way = world.way(item, S::Accepted);
        let begun = way.papers.start_investigation(way.case, &world.act(person("lead", lead))).unwrap();
        assert_eq!(asked(&begun.decision), [wanted], "{item}");
        assert_eq!(begun.decision.case.lead().unwrap().workers_wanted, wanted);
    }
    // What is granted at once is not looked into before.
    let way = world.way(RELIEF, S::Accepted);
    let dora = person("dora", STREET_OFFICE);
    let granted = way.papers.grant_urgently(1, "sudden_illness", way.case, &world.act(dora)).unwrap();
    assert_eq!(asked(&granted.decision), [1]);
    // Neither is what nobody applied for.
    let case = world.dispatched("stairs");
    let task = case.lead().unwrap().clone();
    assert_eq!(asked(&case.sign(task.id, &world.official(task.org)).unwrap()), [1]);
}

#[test]
fn the_first_receiver_goes_there_too_and_other_helpers_send_one() {
    let mut world = world();
    let way = world.way(RELIEF, S::Accepted);
    let recalled = way.case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let choice = sends(Chooser::Dispatcher, STREET_OFFICE, &[STATION, URBAN]);
    let mut case = recalled.dispatch(&choice, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.first_receiver, STATION);
    let live = case.tasks.iter().filter(|task| task.state.is_live());
    let tasks: Vec<(TaskId, OrgId)> = live.map(|task| (task.id, task.org)).collect();
    let mut wanted = Vec::new();
    for (id, org) in tasks {
        let signed = case.sign(id, &world.official(org)).unwrap();
        wanted.push((org, asked(&signed)));
        case = signed.case;
    }
    assert_eq!(wanted, [(STREET_OFFICE, vec![2]), (STATION, vec![2]), (URBAN, vec![1])]);

    // A re-check is looked into by as many.
    let basis = Way::of(delivered(&mut world, LASTING));
    let mut case = begin(&mut world, &basis, LASTING, 2).unwrap().decision.case;
    let tasks: Vec<(TaskId, OrgId)> = case.tasks.iter().map(|task| (task.id, task.org)).collect();
    assert_eq!(tasks.len(), 2);
    for (id, org) in tasks {
        let signed = case.sign(id, &world.official(org)).unwrap();
        assert_eq!(asked(&signed), [2]);
        case = signed.case;
    }
}

/// A case in which two workers are wanted, and its lead task.
fn for_two(world: &mut World) -> (Case, TaskId) {
    let case = world.way(RELIEF, S::Investigating).case;
    let task = case.lead_task.unwrap();
    assert_eq!(case.task(task).unwrap().workers_wanted, 2);
    (case, task)
}

/// The n-th worker's assignment; of nobody for none.
fn of_worker(n: Option<u128>) -> Option<AssignmentId> {
    n.map(|n| AssignmentId(Uuid::from_u128(n)))
}

#[test]
fn a_task_of_several_shows_who_is_furthest_behind_and_nothing_moves_the_case() {
    let mut world = world();
    let (mut case, task_id) = for_two(&mut world);
    // News of a worker; then the task shows the state, of whom; so many have it in hand.
    let steps = [
        (Some(1), Offered, Offered, Some(1), 1),
        (Some(2), Offered, Offered, Some(1), 2),
        (Some(1), Accepted, Offered, Some(2), 2),
        // The second declines and nobody else is found, whatever the first does; then a head names somebody.
        (Some(2), Cancelled, Accepted, Some(1), 1),
        (None, Unfilled, Unfilled, None, 1),
        (Some(1), OnSite, Unfilled, None, 1),
        (Some(3), Offered, Offered, Some(3), 2),
        (Some(3), Accepted, Accepted, Some(3), 2),
        (Some(1), Done, Accepted, Some(3), 2),
        (Some(3), OnSite, OnSite, Some(3), 2),
        (Some(3), Done, Done, Some(1), 2),
        // The result is sent back.
        (Some(1), Cancelled, Done, Some(3), 1),
        (Some(3), Cancelled, Cancelled, Some(3), 0),
    ];
    let state = case.state;
    for (version, (of, told, shown, whose, in_hand)) in (1..).zip(steps) {
        world.wait(TimeDelta::minutes(1));
        let (assignment_id, at) = (of_worker(of), world.now);
        let news = AssignmentChanged { task_id, assignment_id, status: told, worker: None, at, version };
        let heard = case.assignment_changed(news, &world.system()).unwrap();
        let reminders = usize::from(told == Unfilled);
        assert_eq!(heard.events.len(), reminders, "{of:?} {told}");
        case = heard.case;
        let task = case.task(task_id).unwrap();
        let view = task.assignment.clone().unwrap();
        assert_eq!((view.status, view.assignment_id), (shown, of_worker(whose)), "{of:?} {told}");
        assert_eq!((task.workers(), case.state), (in_hand, state), "{of:?} {told}");
    }
}

#[test]
fn each_worker_has_an_order_of_news_and_those_beyond_what_is_needed_do_not_count() {
    let mut world = world();
    let (mut case, task_id) = for_two(&mut world);
    let at = world.now;
    let mut hear = |of: u128, status: AssignmentStatus, version: i64| {
        let assignment_id = of_worker(Some(of));
        let news = AssignmentChanged { task_id, assignment_id, status, worker: None, at, version };
        case = case.clone().assignment_changed(news, &world.system()).unwrap().case;
        case.task(task_id).unwrap().clone()
    };
    hear(1, Accepted, 2);
    let stale = hear(1, Offered, 1);
    assert_eq!(stale.crew[0].status, Accepted, "older than what is known of this one");
    let other = hear(2, Offered, 1);
    assert_eq!((other.crew.len(), other.workers()), (2, 2), "but not of that one");
    let third = hear(3, Offered, 1);
    assert_eq!((third.crew.len(), third.workers()), (3, 2));
    // As documents keep it.
    let kept: Task = serde_json::from_str(&serde_json::to_string(&third).unwrap()).unwrap();
    assert_eq!(kept, third);
}

#[test]
fn what_staffing_tells_last_is_shown_though_its_transaction_began_before() {
    let mut world = World::new();
    let mut case = world.signed("stairs");
    let task_id = case.lead_task.unwrap();
    let (began, accepted) = (world.now, world.now + TimeDelta::milliseconds(5));
    // Somebody's role is revoked in a batch that began, and had to wait, before they accepted.
    for (of, status, version, at) in [
        (Some(1), Offered, 1, began),
        (Some(1), Accepted, 2, accepted),
        (Some(1), Cancelled, 3, began),
        (None, Unfilled, 1, began),
        // Another one is told of by versions of its own.
        (Some(2), Offered, 1, began),
        (None, Unfilled, 2, began),
    ] {
        let assignment_id = of_worker(of);
        let news = AssignmentChanged { task_id, assignment_id, status, worker: None, at, version };
        let heard = case.assignment_changed(news, &world.system()).unwrap();
        let reminded: &[&str] = if status == Unfilled { &["SupervisionIssued"] } else { &[] };
        assert_eq!(names(&heard), reminded, "{status}");
        case = heard.case;
        let view = case.task(task_id).unwrap().assignment.clone().unwrap();
        assert_eq!((view.status, view.assignment_id), (status, assignment_id));
    }
}

#[test]
fn documents_of_before_are_of_tasks_for_one() {
    let mut world = world();
    let case = world.dispatched("stairs");
    let task = case.lead().unwrap();
    let text = serde_json::to_string(task).unwrap();
    assert!(!text.contains("workers_wanted") && !text.contains("crew"), "{text}");
    let kept: Task = serde_json::from_str(&text).unwrap();
    assert_eq!((&kept, kept.workers_wanted, kept.workers()), (task, 1, 0));
}
