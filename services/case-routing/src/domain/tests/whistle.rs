//! F4: several departments called to one case, reminders, supervision through its levels, and both sides judged.

use calendar::{Limit, TimeUnit};
use chrono::TimeDelta;

use super::super::*;
use super::world::*;

fn call(orgs: &[OrgId]) -> WhistleCase {
    WhistleCase { orgs: orgs.to_vec(), report_within: None, reason_code: "joint_work".into() }
}

fn whistled(world: &mut World) -> Case {
    let case = world.in_progress("stairs");
    case.whistle(&call(&[URBAN, COURTS]), &world.official(STREET_OFFICE)).unwrap().case
}

fn task_of(case: &Case, org: OrgId) -> Task {
    case.tasks.iter().find(|task| task.org == org).unwrap().clone()
}

#[test]
fn each_called_department_has_a_task_a_clock_and_a_sign_off_of_its_own() {
    let mut world = World::new();
    let case = whistled(&mut world);
    for org in [URBAN, COURTS] {
        let task = task_of(&case, org);
        assert_eq!(
            (task.sender, task.mode, task.part, task.mandatory),
            (STREET_OFFICE, DispatchMode::Whistle, TaskPart::Assist, true)
        );
        for kind in [ClockKind::Sign, ClockKind::Report, ClockKind::Assist] {
            assert!(case.clock(kind, Some(task.id)).unwrap().is_running(), "{kind}");
        }
        assert_eq!(guard(case.clone().report_in(task.id, &world.official(org))), "task_state");
        assert_eq!(
            guard(case.clone().decline_task(task.id, "no_capacity", true, &world.official(org))),
            "may_not_decline"
        );
    }
    let (first, second) = (task_of(&case, URBAN).id, task_of(&case, COURTS).id);
    let case = case.sign(first, &world.official(URBAN)).unwrap().case;
    let reported = case.report_in(first, &world.official(URBAN)).unwrap();
    assert_eq!(names(&reported), ["TaskReported"]);
    let DomainEvent::TaskReported { in_time: true, .. } = reported.events[0].event else { panic!() };
    let case = reported.case;
    assert!(!case.clock(ClockKind::Report, Some(first)).unwrap().is_open());
    assert!(case.clock(ClockKind::Report, Some(second)).unwrap().is_running(), "the other's runs on");
    let evidence = || vec![(EvidenceKind::Document, "d-1".to_owned())];
    let case = case.submit_task(first, evidence(), &world.official(URBAN)).unwrap().case;
    assert_eq!(guard(case.clone().complete(done(), &world.official(STATION))), "assist_outstanding");
    let case = case.sign(second, &world.official(COURTS)).unwrap().case;
    // Whoever hands in was there.
    let handed_in = case.submit_task(second, evidence(), &world.official(COURTS)).unwrap();
    assert_eq!(names(&handed_in), ["TaskReported", "TaskSubmitted"]);
    assert!(
        handed_in.case.complete(done(), &world.official(STATION)).is_ok(),
        "one outcome for the requester"
    );
}

#[test]
fn a_whistle_calls_those_whom_the_street_coordinates_and_nobody_twice() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let by = |orgs: &[OrgId], org, world: &mut World| {
        guard(case.clone().whistle(&call(orgs), &world.official(org)))
    };
    assert_eq!(by(&[HOUSING], STREET_OFFICE, &mut world), "no_authority_edge");
    assert_eq!(by(&[URBAN], STATION, &mut world), "no_authority_edge");
    assert_eq!(by(&[COMMITTEE], STREET_OFFICE, &mut world), "takes_part");
    assert_eq!(by(&[URBAN, URBAN], STREET_OFFICE, &mut world), "takes_part");
    assert_eq!(by(&[], STREET_OFFICE, &mut world), "org_ids");
    let never = WhistleCase { report_within: Some(Limit::new(TimeUnit::CalHour, 0)), ..call(&[URBAN]) };
    assert_eq!(guard(case.clone().whistle(&never, &world.official(STREET_OFFICE))), "report_within");
    assert_eq!(guard(case.whistle(&call(&[URBAN]), &world.system())), "human_official");
}

#[test]
fn who_does_not_come_is_reported_to_the_district_and_coming_clears_it() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let soon = WhistleCase { report_within: Some(Limit::new(TimeUnit::CalHour, 1)), ..call(&[URBAN]) };
    let case = case.whistle(&soon, &world.official(STREET_OFFICE)).unwrap().case;
    let task = task_of(&case, URBAN).id;
    world.now = case.clock(ClockKind::Report, Some(task)).unwrap().due_at;
    let late = world.tick(case);
    assert_eq!(names(&late), ["ClockBreached", "SupervisionIssued"]);
    let DomainEvent::SupervisionIssued { level: 2, task_id, .. } = late.events[1].event else { panic!() };
    assert_eq!(task_id, Some(task));
    let known = late.case.supervisions.last().unwrap().clone();
    assert_eq!((late.case.supervised(&known), known.reason_code.as_str()), (URBAN, "did_not_report"));
    let case = late.case.sign(task, &world.official(URBAN)).unwrap().case;
    let came = case.report_in(task, &world.official(URBAN)).unwrap();
    assert_eq!(names(&came), ["SupervisionCleared", "TaskReported"]);
    assert_eq!(task_of(&came.case, URBAN).whistle.unwrap().reported_in_time, Some(false));
}

/// Sent by the dispatcher of the street, along the edge by which it whistles.
fn sent(world: &mut World, assists: &[OrgId]) -> Case {
    let case = world.triaged("street_light");
    let choice = sends(Chooser::Dispatcher, URBAN, assists);
    case.dispatch(&choice, &world.official(STREET_OFFICE)).unwrap().case
}

#[test]
fn who_is_sent_a_case_by_a_whistle_reports_in_and_who_leads_by_the_first_contact_too() {
    let mut world = World::new();
    let case = sent(&mut world, &[COURTS]);
    for org in [URBAN, COURTS] {
        let task = task_of(&case, org);
        assert_eq!((task.mode, task.whistle), (DispatchMode::Whistle, Some(WhistleScore::default())));
        let report = case.clock(ClockKind::Report, Some(task.id)).unwrap();
        assert!(report.is_running() && report.limit == world.rules.report_in, "{org}");
    }
    // The order of the district is no whistle.
    let ordered = world.dispatched("street_light");
    assert!(task_of(&ordered, URBAN).whistle.is_none());
    assert!(ordered.clocks.iter().all(|clock| clock.kind != ClockKind::Report));

    let (lead, assist) = (task_of(&case, URBAN).id, task_of(&case, COURTS).id);
    let case = case.sign(lead, &world.official(URBAN)).unwrap().case;
    let phone = ContactMethod::Phone;
    let contacted = case.clone().contact(phone, &world.official(URBAN)).unwrap();
    assert_eq!(names(&contacted), ["CaseContacted", "TaskReported"]);
    let DomainEvent::TaskReported { in_time: true, task_id, .. } = contacted.events[1].event else {
        panic!()
    };
    assert_eq!(task_id, lead);
    assert_eq!(guard(contacted.case.report_in(lead, &world.official(URBAN))), "task_state");
    // It may say so before, which moves nothing else: the requester is still to be spoken to.
    let there = case.report_in(lead, &world.official(URBAN)).unwrap();
    assert_eq!((names(&there), there.case.state), (vec!["TaskReported"], CaseState::Signed));
    assert_eq!(guard(there.case.clone().report_in(lead, &world.official(URBAN))), "task_state");
    let contacted = there.case.contact(phone, &world.official(URBAN)).unwrap();
    assert_eq!(names(&contacted), ["CaseContacted"]);

    let case = contacted.case.sign(assist, &world.official(COURTS)).unwrap().case;
    let case = case.report_in(assist, &world.official(COURTS)).unwrap().case;
    assert_eq!(task_of(&case, COURTS).state, TaskState::Working);
    let evidence = vec![(EvidenceKind::Document, "d-1".to_owned())];
    let case = case.submit_task(assist, evidence, &world.official(COURTS)).unwrap().case;
    let mut case = world.complete(case);
    for (task, org) in [(lead, URBAN), (assist, COURTS)] {
        case = case.appraise_whistle(task, true, &world.official(STREET_OFFICE)).unwrap().case;
        case = case.appraise_whistle(task, false, &world.official(org)).unwrap().case;
        let judged = WhistleScore { reported_in_time: Some(true), solved: Some(true), needed: Some(false) };
        assert_eq!(task_of(&case, org).whistle, Some(judged));
    }
    assert_eq!(violations(&case), Vec::<&str>::new());
}

#[test]
fn who_is_to_lead_by_a_whistle_and_does_not_come_is_reported_unless_it_objects() {
    let mut world = World::new();
    let case = sent(&mut world, &[]);
    let lead = case.lead_task.unwrap();
    let report = |case: &Case| case.clock(ClockKind::Report, Some(lead)).unwrap().clone();
    let command = objection(&case);
    let objected = case.clone().object(command.clone(), &world.official(URBAN)).unwrap().case;
    assert!(!report(&objected).is_open(), "whether it has to come is being decided");
    world.now = report(&case).due_at;
    let late = world.tick(case).case;
    let known = late.supervisions.last().unwrap().clone();
    assert_eq!(
        (known.level, known.reason_code.as_str(), late.supervised(&known)),
        (2, "did_not_report", URBAN)
    );

    // It has to after all, and gets the time for that anew.
    let by_street = |case: Case, world: &mut World| {
        case.reject_objection("duty_is_clear", &world.official(STREET_OFFICE)).unwrap().case
    };
    let kept = by_street(objected, &mut world);
    assert!(report(&kept).is_running() && report(&kept).started_at == world.now);
    assert_eq!(violations(&kept), Vec::<&str>::new());
    let signed = kept.sign(lead, &world.official(URBAN)).unwrap().case;
    let came = signed.report_in(lead, &world.official(URBAN)).unwrap().case;
    assert_eq!(task_of(&came, URBAN).whistle.unwrap().reported_in_time, Some(true));

    // Who had not come before it objected was late all the same.
    let objected = late.object(command.clone(), &world.official(URBAN)).unwrap().case;
    let kept = by_street(objected, &mut world);
    assert!(report(&kept).is_running() && report(&kept).started_at == world.now);
    let signed = kept.sign(lead, &world.official(URBAN)).unwrap().case;
    let came = signed.report_in(lead, &world.official(URBAN)).unwrap();
    let DomainEvent::TaskReported { in_time: false, .. } = came.events[0].event else { panic!("{came:?}") };
    assert_eq!(task_of(&came.case, URBAN).whistle.unwrap().reported_in_time, Some(false));

    // Whoever was there already need not come again.
    let case = sent(&mut world, &[]);
    let lead = case.lead_task.unwrap();
    let case = case.sign(lead, &world.official(URBAN)).unwrap().case;
    let case = case.report_in(lead, &world.official(URBAN)).unwrap().case;
    let objected = case.object(ObjectTask { task_id: lead, ..command }, &world.official(URBAN)).unwrap().case;
    let kept = by_street(objected, &mut world);
    assert!(!kept.clock(ClockKind::Report, Some(lead)).unwrap().is_open());
    let signed = kept.sign(lead, &world.official(URBAN)).unwrap().case;
    let contacted = signed.contact(ContactMethod::Phone, &world.official(URBAN)).unwrap();
    assert_eq!(names(&contacted), ["CaseContacted"]);
}

#[test]
fn a_department_that_is_called_to_assist_objects_once_and_holds_up_nobody_else() {
    let mut world = World::new();
    let case = whistled(&mut world);
    let (task, other) = (task_of(&case, URBAN).id, task_of(&case, COURTS).id);
    let command = ObjectTask { task_id: task, ..objection(&case) };
    let objected = case.clone().object(command.clone(), &world.official(URBAN)).unwrap();
    assert_eq!(names(&objected), ["TaskObjected"]);
    let objected = objected.case;
    assert_eq!((objected.state, task_of(&objected, URBAN).state), (case.state, TaskState::Objected));
    assert_eq!((objected.objection.as_ref(), objected.objection_count), (None, 0), "that is a lead's");
    assert_eq!(objected.resolve_clock(), case.resolve_clock());
    let kinds = [ClockKind::Sign, ClockKind::Report, ClockKind::Assist];
    for kind in kinds {
        assert!(!objected.clock(kind, Some(task)).unwrap().is_open(), "{kind}");
        assert!(objected.clock(kind, Some(other)).unwrap().is_running(), "{kind}");
    }
    assert_eq!(violations(&objected), Vec::<&str>::new());
    assert_eq!(guard(objected.clone().sign(task, &world.official(URBAN))), "task_state");
    // Whoever has to decide finds it at once.
    assert!(!case.is_party(GOVERNMENT));
    assert_eq!((objected.asked_orgs(), objected.is_party(GOVERNMENT)), (vec![GOVERNMENT], true));

    world.wait(TimeDelta::hours(1));
    let decide = |case: &Case, accepted, by, world: &mut World| {
        case.clone().decide_assist_objection(task, accepted, "duty_is_clear", &world.official(by))
    };
    // No street judges its own whistle: who is called objects to the district.
    let others = [(URBAN, "objector"), (STATION, "sender"), (COURTS, "sender"), (STREET_OFFICE, "sender")];
    for (by, refused) in others {
        assert_eq!(guard(decide(&objected, true, by, &mut world)), refused);
    }
    let kept = decide(&objected, false, GOVERNMENT, &mut world).unwrap();
    assert_eq!(names(&kept), ["TaskObjectionRejected"]);
    let kept = kept.case;
    assert_eq!((task_of(&kept, URBAN).state, kept.asked_orgs()), (TaskState::Issued, vec![]));
    for kind in kinds {
        let clock = kept.clock(kind, Some(task)).unwrap();
        assert!(clock.is_running() && clock.started_at == world.now, "{kind} anew");
    }
    assert_eq!(violations(&kept), Vec::<&str>::new());
    assert_eq!(guard(kept.clone().object(command.clone(), &world.official(URBAN))), "objected_before");
    assert_eq!(guard(decide(&kept, true, GOVERNMENT, &mut world)), "not_objected");
    let freed = decide(&objected, true, GOVERNMENT, &mut world).unwrap();
    assert_eq!(names(&freed), ["TaskCancelled"]);
    let reason = freed.timeline[0].reason.clone().unwrap();
    assert_eq!(reason, Reason::new("assist_relieved").with("reason", "duty_is_clear"));
    for language in [Language::Chinese, Language::English] {
        assert!(reason.render(language).contains("duty_is_clear"), "why it was accepted");
    }
    assert_eq!((freed.case.state, freed.case.excluded_orgs), (case.state, vec![]), "it may still lead");

    // Shortly after signing, but not once it is there; in the time that a lead has; and what was asked for is declined.
    let signed = case.clone().sign(task, &world.official(URBAN)).unwrap().case;
    assert!(signed.clone().object(command.clone(), &world.official(URBAN)).is_ok());
    let there = signed.report_in(task, &world.official(URBAN)).unwrap().case;
    assert_eq!(guard(there.object(command.clone(), &world.official(URBAN))), "task_state");
    let asked = ObjectTask { task_id: task_of(&case, COMMITTEE).id, ..command.clone() };
    assert_eq!(guard(case.clone().object(asked, &world.official(COMMITTEE))), "may_decline");
    world.wait(TimeDelta::days(3));
    assert_eq!(guard(case.object(command, &world.official(URBAN))), "objection_too_late");
    // So does one that the district orders to.
    let ordered = world.dispatched("street_light");
    let order = task_of(&ordered, URBAN);
    assert_eq!((order.part, order.mode), (TaskPart::Assist, DispatchMode::Order));
    let command = ObjectTask { task_id: order.id, ..objection(&ordered) };
    let objected = ordered.object(command, &world.official(URBAN)).unwrap().case;
    assert_eq!(objected.state, CaseState::Dispatched);
}

#[test]
fn the_time_to_report_in_that_a_street_set_holds_after_an_objection_that_failed() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let hour = Limit::new(TimeUnit::CalHour, 1);
    let soon = WhistleCase { report_within: Some(hour), ..call(&[URBAN]) };
    let case = case.whistle(&soon, &world.official(STREET_OFFICE)).unwrap().case;
    let task = task_of(&case, URBAN).id;
    let command = ObjectTask { task_id: task, ..objection(&case) };
    let case = case.object(command, &world.official(URBAN)).unwrap().case;
    world.wait(TimeDelta::minutes(20));
    let by_district = world.official(GOVERNMENT);
    let kept = case.decide_assist_objection(task, false, "duty_is_clear", &by_district).unwrap().case;
    let report = kept.clock(ClockKind::Report, Some(task)).unwrap();
    assert_eq!((report.limit, report.due_at), (hour, world.now + TimeDelta::hours(1)));
}

#[test]
fn both_sides_judge_each_other_once_after_the_work() {
    let mut world = World::new();
    let case = whistled(&mut world);
    let task = task_of(&case, URBAN).id;
    assert_eq!(
        guard(case.clone().appraise_whistle(task, true, &world.official(STREET_OFFICE))),
        "not_submitted"
    );
    let case = case.sign(task, &world.official(URBAN)).unwrap().case;
    let evidence = vec![(EvidenceKind::Document, "d-1".to_owned())];
    let case = case.submit_task(task, evidence, &world.official(URBAN)).unwrap().case;
    assert_eq!(guard(case.clone().appraise_whistle(task, true, &world.official(HOUSING))), "whistle_side");
    let other = task_of(&case, STATION).id;
    assert_eq!(guard(case.clone().appraise_whistle(other, true, &world.official(STATION))), "not_whistled");
    let solved = case.appraise_whistle(task, true, &world.official(STREET_OFFICE)).unwrap();
    let DomainEvent::TaskAppraised { by_sender: true, positive: true, org_id: URBAN, .. } =
        solved.events[0].event
    else {
        panic!("{solved:?}")
    };
    let case = solved.case;
    assert_eq!(
        guard(case.clone().appraise_whistle(task, false, &world.official(STREET_OFFICE))),
        "appraised_before"
    );
    let case = case.appraise_whistle(task, false, &world.official(URBAN)).unwrap().case;
    let score = task_of(&case, URBAN).whistle.unwrap();
    assert_eq!(score, WhistleScore { reported_in_time: Some(true), solved: Some(true), needed: Some(false) });
}

#[test]
fn a_supervision_is_seen_answered_found_wanting_and_reported_up_to_the_top() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let case = case.supervise(1, "leader", None, &world.official(STREET_OFFICE)).unwrap().case;
    let id = case.supervisions[0].id;
    assert_eq!(guard(case.clone().acknowledge_supervision(id, &world.official(HOUSING))), "supervised_org");
    let seen = case.acknowledge_supervision(id, &world.official(STATION)).unwrap();
    assert_eq!(names(&seen), ["SupervisionAcknowledged"]);
    // To have seen it is no answer: its time runs on.
    world.now = seen.case.supervisions[0].due_at;
    let overdue = world.tick(seen.case.clone()).case;
    assert_eq!(overdue.supervisions[0].level, 2);
    let answered =
        seen.case.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap().case;
    assert_eq!(
        guard(answered.clone().escalate_supervision(id, "no_progress", &world.official(STATION))),
        "supervised_org"
    );
    let up = answered.escalate_supervision(id, "no_progress", &world.official(STREET_OFFICE)).unwrap();
    assert_eq!((names(&up), up.case.supervisions[0].level), (vec!["SupervisionEscalated"], 2));
    let top = up.case.escalate_supervision(id, "no_progress", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(top.supervisions[0].level, 3);
    assert_eq!(
        guard(top.clone().escalate_supervision(id, "no_progress", &world.official(GOVERNMENT))),
        "top_level"
    );
    let cleared = top.clear_supervision(id, 3, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(
        guard(cleared.escalate_supervision(id, "no_progress", &world.official(GOVERNMENT))),
        "supervision_settled"
    );
}

#[test]
fn what_a_level_issued_is_for_that_level_and_those_above_to_clear() {
    let mut world = World::new();
    let case = whistled(&mut world);
    let task = task_of(&case, URBAN).id;
    for level in 0..=3_u8 {
        let issued = case.clone().supervise(level, "leader", Some(task), &world.official(GOVERNMENT));
        let case = issued.unwrap().case;
        let id = case.supervisions.last().unwrap().id;
        for highest in 0..=3_u8 {
            let cleared = case.clone().clear_supervision(id, highest, &world.official(STREET_OFFICE));
            if highest < level {
                assert_eq!(guard(cleared), "supervision_level", "{level} by {highest}");
            } else {
                assert_eq!(names(&cleared.unwrap()), ["SupervisionCleared"], "{level} by {highest}");
            }
        }
        let own = case.clone().clear_supervision(id, 3, &world.official(URBAN));
        assert_eq!(own.is_ok(), level <= 1, "whoever is supervised");
    }
    // What rose by itself is not for the level that issued it any more.
    let case = case.supervise(1, "leader", Some(task), &world.official(STREET_OFFICE)).unwrap().case;
    let known = case.supervisions.last().unwrap().clone();
    world.now = known.due_at;
    let risen = world.tick(case).case;
    let refused = risen.clone().clear_supervision(known.id, 1, &world.official(STREET_OFFICE));
    assert_eq!(guard(refused), "supervision_level");
    assert!(risen.clear_supervision(known.id, 2, &world.official(GOVERNMENT)).is_ok());
}

#[test]
fn a_bad_rating_is_checked_within_a_limit_and_the_late_one_too() {
    let mut world = World::new();
    let bad = world.resolved("stairs").rate(2, &world.resident()).unwrap().case;
    let check = bad.clock(ClockKind::Judge, None).unwrap().clone();
    world.now = check.due_at;
    let late = world.tick(bad);
    let expected = ["ClockBreached", "SupervisionIssued"];
    assert!(names(&late).starts_with(&expected), "{:?}", names(&late));
    let known = late.case.supervisions.last().unwrap().clone();
    assert_eq!((known.level, late.case.supervised(&known)), (1, VERIFIER));
    let judged = late.case.judge_rating(true, "", &world.official(VERIFIER)).unwrap();
    assert!(names(&judged).contains(&"SupervisionCleared"));
    let rework = judged.case.clock(ClockKind::Rework, None).unwrap();
    assert!(rework.is_running(), "put right within a limit");
    // The call-back is due again, whoever was reached before.
    let again = world.complete(judged.case);
    let unasked = VerifyCase { callback: None, ..found_good() };
    assert_eq!(guard(again.clone().verify(&unasked, &world.official(VERIFIER))), "callback_outstanding");
    let against = CallbackReport::Reached {
        resolution: Resolution::NotResolved,
        grade: Some(1),
        contact_confirmed: true,
    };
    let against = VerifyCase { callback: Some(against), ..found_good() };
    assert_eq!(guard(again.verify(&against, &world.official(VERIFIER))), "partly_reason_code");

    let closed = world.resolved("stairs");
    world.wait(TimeDelta::days(12));
    let closed = world.tick(closed).case;
    let rated = closed.rate(1, &world.resident()).unwrap().case;
    assert!(rated.clock(ClockKind::Judge, None).unwrap().is_running());
    assert_eq!(violations(&rated), Vec::<&str>::new());
    let settled = world.heard(rated).judge_rating(false, "", &world.official(VERIFIER)).unwrap().case;
    assert!(!settled.clock(ClockKind::Judge, None).unwrap().is_open());
}
