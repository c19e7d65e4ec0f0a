//! Who is supervised: whoever has to act. And how it rises: an answer is no deed.

use chrono::TimeDelta;

use super::super::*;
use super::tally::{Both, goes_on};
use super::world::*;

/// What time has brought by an instant.
fn by(world: &mut World, case: Case, at: Timestamp) -> Case {
    world.now = at;
    match case.clone().tick(&world.system()).unwrap() {
        Some(decision) => decision.case,
        None => case,
    }
}

fn about(case: &Case, kind: ClockKind) -> Supervision {
    case.supervisions.iter().rev().find(|known| known.clock == Some(kind)).unwrap().clone()
}

/// Whoever is supervised when the newest clock of a kind has run out.
fn supervised_late(world: &mut World, case: Case, kind: ClockKind) -> OrgId {
    let due = case.clock(kind, None).unwrap().due_at;
    let late = by(world, case, due);
    late.supervised(&about(&late, kind))
}

/// Of a station that leads and is late.
fn overdue(world: &mut World) -> Case {
    let case = world.in_progress("stairs");
    let due = case.resolve_clock().unwrap().due_at;
    by(world, case, due)
}

fn answered(world: &mut World, case: Case, id: SupervisionId, promised: Option<Timestamp>) -> Case {
    case.answer_supervision(id, "under_way", promised, &world.official(STATION)).unwrap().case
}

#[test]
fn who_sent_the_task_is_supervised_for_an_objection_that_nobody_decides_over() {
    let mut world = World::new();
    let case = world.objected("street_light");
    assert_eq!(case.lead_org, Some(STREET_OFFICE));
    let due = case.clock(ClockKind::Dispatch, None).unwrap().due_at;
    let late = by(&mut world, case, due);
    let known = about(&late, ClockKind::Dispatch);
    assert_eq!(late.supervised(&known), GOVERNMENT);
    assert!(late.is_party(GOVERNMENT), "who has to answer reaches it");
    let wrong = late.clone().answer_supervision(known.id, "under_way", None, &world.official(STREET_OFFICE));
    assert_eq!(guard(wrong), "supervised_org");
    // A case that nobody has dispatched yet is for whoever received it.
    let triaged = world.triaged("street_light");
    assert_eq!(supervised_late(&mut world, triaged, ClockKind::Dispatch), STATION);
}

#[test]
fn a_late_assist_is_reminded_and_whoever_leads_hears_of_it() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let assist = case.tasks.iter().find(|task| task.part == TaskPart::Assist).unwrap().clone();
    assert_eq!((case.lead_org, assist.org), (Some(STREET_OFFICE), URBAN));
    let case = case.sign(assist.id, &world.official(URBAN)).unwrap().case;
    let due = case.clock(ClockKind::Assist, Some(assist.id)).unwrap().due_at;
    let late = by(&mut world, case, due);
    let about_it = |case: &Case| -> Vec<Supervision> {
        let known = case.supervisions.iter().filter(|known| known.clock == Some(ClockKind::Assist));
        known.cloned().collect()
    };
    let known = about_it(&late);
    let told: Vec<_> = known.iter().map(|known| (late.supervised(known), known.level, known.task)).collect();
    assert_eq!(told, [(URBAN, 0, Some(assist.id)), (STREET_OFFICE, 0, Some(assist.id))]);
    let answered = late.clone().answer_supervision(known[1].id, "called", None, &world.official(URBAN));
    assert_eq!(guard(answered), "supervised_org");
    let by_lead = world.official(STREET_OFFICE);
    assert!(late.clone().answer_supervision(known[1].id, "called", None, &by_lead).is_ok());
    let evidence = vec![(EvidenceKind::Photo, "photo:1".to_owned())];
    let done = late.submit_task(assist.id, evidence, &world.official(URBAN)).unwrap().case;
    assert!(about_it(&done).iter().all(|known| known.state == SupervisionState::Cleared));
}

#[test]
fn who_leads_the_street_that_whistled_is_reminded_and_supervised_for_the_objection() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let command = WhistleCase { orgs: vec![URBAN], report_within: None, reason_code: "joint_work".into() };
    let case = case.whistle(&command, &world.official(STREET_OFFICE)).unwrap().case;
    let task = case.tasks.iter().find(|task| task.org == URBAN).unwrap().id;
    let command = ObjectTask { task_id: task, ..objection(&case) };
    let case = case.object(command, &world.official(URBAN)).unwrap().case;
    let clock = case.clock(ClockKind::Dispatch, Some(task)).unwrap().clone();
    world.now = clock.warn_at.unwrap()[0];
    let warned = world.tick(case);
    let told = |emitted: &Emitted| match &emitted.event {
        DomainEvent::ClockWarned { clock: ClockKind::Dispatch, task_id, org_id, unit_id, .. } => {
            (*task_id, *org_id, *unit_id) == (Some(task), GOVERNMENT, Some(DISTRICT))
        }
        _ => false,
    };
    assert!(warned.events.iter().any(told), "{:?}", warned.events);
    let late = by(&mut world, warned.case, clock.due_at);
    let known = about(&late, ClockKind::Dispatch);
    assert_eq!((late.supervised(&known), known.task, known.level), (GOVERNMENT, Some(task), 1));
    assert!(late.is_party(GOVERNMENT), "who has to answer reaches it");
    let decided = late.decide_assist_objection(task, false, "duty_is_clear", &world.official(GOVERNMENT));
    assert_eq!(about(&decided.unwrap().case, ClockKind::Dispatch).state, SupervisionState::Cleared);
}

#[test]
fn nobody_supervises_a_partner_for_an_invitation_that_it_has_not_answered() {
    let mut world = World::new();
    let case = world.triaged("street_light");
    let choice = sends(Chooser::Window, STREET_OFFICE, &[GROUP]);
    let case = case.dispatch(&choice, &world.official(STATION)).unwrap().case;
    let invited = case.tasks.iter().find(|task| task.org == GROUP).unwrap().id;
    let lead = case.lead_task.unwrap();
    let case = case.sign(lead, &world.official(STREET_OFFICE)).unwrap().case;
    for kind in [ClockKind::Sign, ClockKind::Assist] {
        let due = case.clock(kind, Some(invited)).unwrap().due_at;
        let late = by(&mut world, case.clone(), due);
        assert_eq!(late.supervised(&about(&late, kind)), STREET_OFFICE, "{kind}: whoever leads hears of it");
        let mut known = late.supervisions.iter().filter(|known| known.task == Some(invited));
        assert!(known.all(|known| late.supervised(known) != GROUP && known.level == 0), "{kind}");
    }
    let supervise = |case: &Case, world: &mut World| {
        case.clone().supervise(1, "leader", Some(invited), &world.official(STREET_OFFICE))
    };
    assert_eq!(guard(supervise(&case, &mut world)), "only_invited");
    let signed = case.sign(invited, &world.official(GROUP)).unwrap().case;
    assert!(supervise(&signed, &mut world).is_ok(), "it has said yes");

    // Of one that somebody has raised it is not held that it was a reminder.
    let (register, route) = (world.register(), sends(Chooser::Window, STREET_OFFICE, &[GROUP]));
    let command = IntakeCase { register, triage: triage("street_light"), route };
    let sent = Case::intake(command, &world.official(STATION)).unwrap();
    let mut both = Both::begin(world.now, sent);
    let lead = both.case.lead_task.unwrap();
    let invited = both.case.tasks.iter().find(|task| task.org == GROUP).unwrap().id;
    goes_on(&mut both, &mut world, official(STREET_OFFICE), |case, act| case.sign(lead, act));
    world.now = both.case.clock(ClockKind::Sign, Some(invited)).unwrap().due_at;
    let reminded = world.tick(both.case.clone());
    both.take(world.now, reminded);
    both.check();
    let reminder = about(&both.case, ClockKind::Sign).id;
    goes_on(&mut both, &mut world, official(GOVERNMENT), |case, act| {
        case.escalate_supervision(reminder, "leader", act)
    });
    assert_eq!(about(&both.case, ClockKind::Sign).level, 1);
    assert!(both.text().contains("supervisions=?"), "{}", both.text());

    // One that an earlier release sent a case loses it by its silence.
    let mut case = world.dispatched("street_light");
    let lead = case.lead_task.unwrap();
    let its_own = case.tasks.iter_mut().filter(|task| task.id == lead);
    its_own.for_each(|task| task.mode = DispatchMode::Invitation);
    world.now = case.clock(ClockKind::Sign, Some(lead)).unwrap().due_at;
    let silent = world.tick(case);
    assert!(names(&silent).contains(&"TaskDeclined"), "{:?}", names(&silent));
    assert_eq!(silent.case.lead_org, Some(URBAN));
    assert!(silent.case.supervisions.iter().all(|known| known.task != Some(lead)));
    assert_eq!(violations(&silent.case), Vec::<&str>::new());
}

#[test]
fn a_check_that_nobody_took_is_for_who_stands_above_those_who_did_the_work() {
    let mut world = World::without_verifier();
    let case = world.completed("stairs");
    assert_eq!((case.state, case.lead_org), (CaseState::Completed, Some(STATION)));
    let due = case.clock(ClockKind::Verify, None).unwrap().due_at;
    let late = by(&mut world, case, due);
    let known = about(&late, ClockKind::Verify);
    assert_eq!(late.supervised(&known), STREET_OFFICE);
    let taken = late.start_verification(&world.official(VERIFIER)).unwrap().case;
    assert_eq!(taken.supervised(&known), VERIFIER, "once somebody has, it is theirs");
}

#[test]
fn the_bad_rating_of_a_merged_case_is_for_who_verified_the_other_to_judge() {
    for (mut world, judge) in [(World::new(), VERIFIER), (World::without_verifier(), STREET_OFFICE)] {
        let original = world.completed("stairs");
        let original = if original.state == CaseState::Completed {
            original.start_verification(&world.official(VERIFIER)).unwrap().case
        } else {
            original
        };
        let original = original.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
        let original = Original::of(&original, &world.rules, &world.routes);
        let case = world.registered();
        let case = case.merge(original.id, &world.official(STATION)).unwrap().case;
        let rated = case.rate_merged(1, &original, &world.resident()).unwrap().case;
        assert_eq!(supervised_late(&mut world, rated, ClockKind::Judge), judge);
    }
    let mut world = World::new();
    let rated = world.resolved("stairs").rate(1, &world.resident()).unwrap().case;
    assert_eq!(supervised_late(&mut world, rated, ClockKind::Judge), VERIFIER);
}

#[test]
fn who_answers_and_does_nothing_is_supervised_by_level_after_level() {
    let mut world = World::new();
    let mut case = overdue(&mut world);
    let id = about(&case, ClockKind::Resolve).id;
    let known = |case: &Case| case.supervisions.iter().find(|known| known.id == id).unwrap().clone();
    for level in 1..=2 {
        assert_eq!((known(&case).level, known(&case).state), (level, SupervisionState::Issued));
        let said = answered(&mut world, case, id, None);
        let own = said.clone().clear_supervision(id, 3, &world.official(STATION));
        assert_eq!(guard(own), "supervised_org", "answered, not cleared, while it is overdue");
        let rises_at = known(&said).rises_at.unwrap();
        let before = by(&mut world, said.clone(), rises_at - TimeDelta::seconds(1));
        assert_eq!((known(&before).level, known(&before).state), (level, SupervisionState::Answered));
        world.now = rises_at;
        let risen = world.tick(said);
        let told = risen.timeline.iter().filter(|entry| entry.event == "SupervisionEscalated");
        let mut reasons = told.filter_map(|entry| entry.reason.as_ref()).map(|reason| reason.code.as_str());
        assert!(reasons.any(|code| code == "still_overdue"));
        case = risen.case;
        assert_eq!(violations(&case), Vec::<&str>::new());
    }
    assert_eq!((known(&case).level, known(&case).rises_at), (3, None));
    // There is no level above; it ends with the work, or when the third level is content.
    let said = answered(&mut world, case, id, None);
    let later = world.now + TimeDelta::days(30);
    let later = by(&mut world, said, later);
    assert_eq!((known(&later).level, known(&later).state), (3, SupervisionState::Answered));
    assert_eq!(known(&world.complete(later)).state, SupervisionState::Cleared);
}

#[test]
fn what_rose_for_want_of_an_answer_is_seen_anew_and_answered_late() {
    let mut world = World::new();
    let case = overdue(&mut world);
    let id = about(&case, ClockKind::Resolve).id;
    let in_time = |answered: &Decision| match answered.events[0].event {
        DomainEvent::SupervisionAnswered { in_time, .. } => in_time,
        _ => panic!("{answered:?}"),
    };
    // Somebody reported it before its time: nothing was missed.
    let up = case.clone().escalate_supervision(id, "no_progress", &world.official(STREET_OFFICE)).unwrap();
    let said = up.case.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap();
    assert!(in_time(&said));

    let seen = case.acknowledge_supervision(id, &world.official(STATION)).unwrap().case;
    let again = seen.clone().acknowledge_supervision(id, &world.official(STATION));
    assert_eq!(guard(again), "supervision_settled");
    let due_at = about(&seen, ClockKind::Resolve).due_at;
    let risen = by(&mut world, seen, due_at);
    let known = about(&risen, ClockKind::Resolve);
    assert_eq!((known.level, known.state), (2, SupervisionState::Issued));
    let seen = risen.acknowledge_supervision(id, &world.official(STATION)).unwrap().case;
    assert_eq!(about(&seen, ClockKind::Resolve).state, SupervisionState::Acknowledged);
    let said = seen.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap();
    assert!(!in_time(&said), "the first time to answer was missed");
    // Nor does another answer, in time for its level, make it so.
    let rises_at = about(&said.case, ClockKind::Resolve).rises_at.unwrap();
    let top = by(&mut world, said.case, rises_at);
    assert_eq!(about(&top, ClockKind::Resolve).level, 3);
    assert!(!in_time(&top.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap()));
}

#[test]
fn what_was_promised_counts_and_is_no_further_than_there_is_time_for_rework() {
    let mut world = World::new();
    let case = overdue(&mut world);
    let id = about(&case, ClockKind::Resolve).id;
    for days in [0, 30] {
        let promised = Some(world.now + TimeDelta::days(days));
        let refused = case.clone().answer_supervision(id, "under_way", promised, &world.official(STATION));
        assert_eq!(guard(refused), "promised_time", "{days}");
    }
    let promised = world.now + TimeDelta::hours(30);
    let said = answered(&mut world, case, id, Some(promised));
    assert_eq!(about(&said, ClockKind::Resolve).rises_at, Some(promised));
    let kept = by(&mut world, said.clone(), promised - TimeDelta::minutes(1));
    let kept = world.complete(kept);
    assert_eq!(about(&kept, ClockKind::Resolve).state, SupervisionState::Cleared);
    let broken = by(&mut world, said, promised);
    assert_eq!(about(&broken, ClockKind::Resolve).level, 2);
}

/// The newest that a person issued.
fn by_hand(case: &Case) -> Supervision {
    case.supervisions.iter().rev().find(|known| known.clock.is_none()).unwrap().clone()
}

#[test]
fn what_a_person_issued_rises_like_what_a_clock_did() {
    let mut world = World::new();
    let case = overdue(&mut world);
    let lead = case.lead_task;
    for task in [None, lead] {
        let case = case.clone().supervise(1, "slow", task, &world.official(STREET_OFFICE)).unwrap().case;
        let known = by_hand(&case);
        assert_eq!(known.issued_by, Some(STREET_OFFICE));
        assert_eq!(about(&case, ClockKind::Resolve).issued_by, None, "that one came by itself");
        let said = answered(&mut world, case, known.id, None);
        let own = said.clone().clear_supervision(known.id, 3, &world.official(STATION));
        assert_eq!(guard(own), "supervised_org", "not while it is overdue");
        let rises_at = said.rises_at(&by_hand(&said)).unwrap();
        assert_eq!(Some(rises_at), by_hand(&said).rises_at);
        let risen = by(&mut world, said, rises_at);
        assert_eq!((by_hand(&risen).level, by_hand(&risen).state), (2, SupervisionState::Issued));
    }
}

#[test]
fn what_a_person_issued_does_not_rise_before_it_is_overdue() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let case = case.supervise(1, "slow", None, &world.official(STREET_OFFICE)).unwrap().case;
    let id = by_hand(&case).id;
    let said = answered(&mut world, case, id, None);
    assert!(by_hand(&said).rises_at.is_some() && said.rises_at(&by_hand(&said)).is_none(), "nothing is told");
}

#[test]
fn what_waits_by_leave_does_not_rise_meanwhile() {
    let mut world = World::new();
    let case = overdue(&mut world);
    let id = about(&case, ClockKind::Resolve).id;
    let said = answered(&mut world, case, id, None);
    let rises_at = about(&said, ClockKind::Resolve).rises_at.unwrap();
    let waits = said.suspend("expert_review", "doc:told", None, &world.official(STATION)).unwrap().case;
    let waits = by(&mut world, waits, rises_at + TimeDelta::days(2));
    assert_eq!((waits.state, about(&waits, ClockKind::Resolve).level), (CaseState::Suspended, 1));
}
