//! What a partner has done is kept, whoever else is late and whenever it is heard of, and the case is completed with the last of
//! them.

use chrono::TimeDelta;

use super::super::*;
use super::world::*;
use crate::record::{CaseRecord, OfferState};

/// A partner leads, and the street has called a department.
fn with_department(world: &mut World) -> Case {
    let case = world.with_partner();
    let command = WhistleCase { orgs: vec![URBAN], report_within: None, reason_code: "joint_work".into() };
    case.whistle(&command, &world.official(STREET_OFFICE)).unwrap().case
}

/// The partner has done its part, the department has not.
fn waiting(world: &mut World) -> Case {
    let case = with_department(world);
    let offer = case.offer.clone().unwrap().id;
    case.social_completed(offer, &["record:1".into()], &world.system()).unwrap().unwrap().case
}

fn called(case: &Case) -> TaskId {
    case.tasks.iter().find(|task| task.org == URBAN).unwrap().id
}

#[test]
fn what_a_partner_has_done_takes_effect_when_the_last_assist_is_relieved() {
    let mut world = World::new();
    let case = waiting(&mut world);
    let task = called(&case);
    let command = ObjectTask { task_id: task, ..objection(&case) };
    let case = case.object(command, &world.official(URBAN)).unwrap().case;
    assert!(case.partner_is_done(), "it waits for what comes of that");
    let accepted = case.decide_assist_objection(task, true, "duty_is_clear", &world.official(GOVERNMENT));
    assert_eq!(names(&accepted.unwrap()), ["TaskCancelled", "CaseCompleted", "VerificationStarted"]);
}

#[test]
fn a_partner_is_done_when_it_says_so_and_the_case_with_the_last_assist() {
    let mut world = World::new();
    let case = with_department(&mut world);
    let (offer, lead) = (case.offer.clone().unwrap().id, case.lead_task.unwrap());
    let told = case.social_completed(offer, &["record:1".into()], &world.system()).unwrap().unwrap();
    assert_eq!(names(&told), ["TaskSubmitted"]);
    let step = told.timeline.last().unwrap();
    assert_eq!((step.event.as_str(), step.case_version), ("PartnerDone", told.case.version));
    let case = told.case;
    assert_eq!(
        (case.state, case.task(lead).unwrap().state, case.partner_is_done()),
        (CaseState::InProgress, TaskState::Submitted, true)
    );
    assert_eq!(case.evidence.last().unwrap().reference, "record:1");
    assert_eq!(violations(&case), Vec::<&str>::new());
    assert_eq!(case.clone().social_completed(offer, &[], &world.system()).unwrap(), None, "told twice");

    world.wait(TimeDelta::hours(1));
    let task = called(&case);
    let case = case.sign(task, &world.official(URBAN)).unwrap().case;
    let evidence = vec![(EvidenceKind::Document, "d-1".to_owned())];
    let done = case.submit_task(task, evidence, &world.official(URBAN)).unwrap();
    assert_eq!(names(&done), ["TaskReported", "TaskSubmitted", "CaseCompleted", "VerificationStarted"]);
    let DomainEvent::CaseCompleted { offer_id, task_id, .. } = done.events[2].event else { panic!() };
    assert_eq!((offer_id, task_id), (Some(offer), lead));
    let completed = done.timeline.iter().find(|entry| entry.event == "CaseCompleted").unwrap();
    assert_eq!((&completed.actor, completed.org), (&PersonRef::system(), None), "not by who came last");
    assert_eq!(done.case.closed_code, Some(ClosedCode::SelfGoverned));
    assert_eq!(done.case.verification.as_ref().unwrap().verifier, VERIFIER);
    assert_eq!(violations(&done.case), Vec::<&str>::new());
}

#[test]
fn nothing_outstanding_the_case_is_completed_at_once_whatever_number_of_records_comes() {
    let mut world = World::new();
    let case = world.with_partner();
    let offer = case.offer.clone().unwrap().id;
    let waits = case.suspend("season_condition", "doc:told", None, &world.official(GROUP)).unwrap().case;
    let many: Vec<String> = (0..40).map(|n| format!("record:{n}")).collect();
    let done = waits.social_completed(offer, &many, &world.system()).unwrap().unwrap();
    assert_eq!(names(&done), ["CaseResumed", "TaskSubmitted", "CaseCompleted", "VerificationStarted"]);
    assert_eq!(done.case.evidence.len(), 40);
    assert_eq!(violations(&done.case), Vec::<&str>::new());
    let another = OfferId(world.fresh());
    let case = world.with_partner();
    assert_eq!(case.social_completed(another, &many, &world.system()).unwrap(), None, "another's offer");
}

#[test]
fn time_takes_nothing_away_from_a_partner_that_is_done_and_reminds_who_is_not() {
    let mut world = World::new();
    let case = waiting(&mut world);
    world.now = case.resolve_clock().unwrap().due_at;
    let late = world.tick(case).case;
    assert_eq!((late.state, late.lead_org), (CaseState::InProgress, Some(GROUP)));
    let overdue = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Resolve)).unwrap();
    assert_eq!(late.supervised(overdue), URBAN, "who is waited for");
    // Of one that is not done the public service takes over.
    let case = with_department(&mut world);
    world.now = case.resolve_clock().unwrap().due_at;
    assert_ne!(world.tick(case).case.lead_org, Some(GROUP));
}

#[test]
fn of_a_department_whose_objection_waits_whoever_decides_is_supervised() {
    let mut world = World::new();
    let case = waiting(&mut world);
    let task = called(&case);
    let command = ObjectTask { task_id: task, ..objection(&case) };
    let case = case.object(command, &world.official(URBAN)).unwrap().case;
    let case = case.supervise(1, "leader", Some(task), &world.official(STREET_OFFICE)).unwrap().case;
    let by_hand = case.supervisions.last().unwrap().id;
    let case = case.answer_supervision(by_hand, "under_way", None, &world.official(URBAN)).unwrap().case;
    world.now = case.clock(ClockKind::Dispatch, Some(task)).unwrap().due_at;
    let late = world.tick(case).case;
    let known = late.supervisions.iter().find(|known| known.id == by_hand).unwrap();
    assert_eq!((late.supervised(known), late.rises_at(known)), (URBAN, None), "others are silent, not it");
    world.now = late.resolve_clock().unwrap().due_at;
    let late = world.tick(late).case;
    let overdue = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Resolve)).unwrap();
    assert_eq!(late.supervised(overdue), GOVERNMENT);
    let known = late.supervisions.iter().find(|known| known.id == by_hand).unwrap();
    assert_eq!((known.level, late.rises_at(known)), (1, None), "not for what others are late with");
    // Kept to it, the department is waited for again.
    let by_district = world.official(GOVERNMENT);
    let kept = late.decide_assist_objection(task, false, "duty_is_clear", &by_district).unwrap().case;
    let overdue = kept.supervisions.iter().find(|known| known.clock == Some(ClockKind::Resolve)).unwrap();
    assert_eq!(kept.supervised(overdue), URBAN);
}

#[test]
fn a_partner_that_is_done_may_do_without_the_assist() {
    let mut world = World::new();
    let case = waiting(&mut world);
    assert_eq!(guard(case.clone().complete(done(), &world.official(GROUP))), "assist_outstanding");
    let waived = CompleteCase { waived: vec![called(&case)], ..done() };
    let completed = case.complete(waived, &world.official(GROUP)).unwrap();
    assert_eq!(names(&completed), ["TaskCancelled", "CaseCompleted", "VerificationStarted"]);
    assert_eq!(violations(&completed.case), Vec::<&str>::new());
}

#[test]
fn a_partner_says_by_its_offer_that_it_is_done_before_it_completes_the_case() {
    let mut world = World::new();
    let case = world.with_partner();
    assert_eq!(guard(case.clone().complete(done(), &world.official(GROUP))), "partner_not_done");
    let unfounded = CompleteCase { closed_code: Some(ClosedCode::Unfounded), ..CompleteCase::default() };
    assert_eq!(guard(case.clone().complete(unfounded, &world.official(GROUP))), "partner_not_done");
    let offer = case.offer.clone().unwrap().id;
    let told = case.social_completed(offer, &[], &world.system()).unwrap().unwrap();
    let (record, _) = CaseRecord::after(None, told.clone());
    assert_eq!(record.pending.offers[&offer].1, OfferState::Completed);
    let reworked = told.case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert_eq!(guard(reworked.complete(done(), &world.official(GROUP))), "partner_not_done");
}

#[test]
fn a_result_of_a_partner_that_goes_back_is_completed_anew() {
    let mut world = World::new();
    let case = world.with_partner();
    let offer = case.offer.clone().unwrap().id;
    let case = case.social_completed(offer, &[], &world.system()).unwrap().unwrap().case;
    assert_eq!(case.evidence[0].reference, format!("offer:{offer}"));
    let case = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert!(!case.partner_is_done());
    let again = case.social_completed(offer, &[], &world.system()).unwrap().unwrap();
    assert_eq!(again.case.state, CaseState::Verifying);
}

#[test]
fn who_answers_for_a_partner_or_a_committee_suspends_and_extends_for_them() {
    let mut world = World::new();
    let days = calendar::Limit::new(calendar::TimeUnit::WorkDay, 2);
    let (partner, committee) = (world.with_partner(), world.in_progress("committee_matter"));
    // The group has it from the committee, which orders nobody about: its street answers for both.
    for (case, lead) in [(partner, GROUP), (committee, COMMITTEE)] {
        assert_eq!(case.responsible_orgs(&world.routes, world.now), [lead, STREET_OFFICE]);
        for by in [STATION, HOUSING, GOVERNMENT, VERIFIER] {
            let refused = case.clone().suspend("season_condition", "doc:told", None, &world.official(by));
            assert_eq!(guard(refused), "lead_org", "{by}");
            let refused = case.clone().extend(days, "complex", "doc:told", &world.official(by));
            assert_eq!(guard(refused), "extension_approver", "{by}");
        }
        let suspend = case.suspend("season_condition", "doc:told", None, &world.official(STREET_OFFICE));
        let paused = suspend.unwrap().case;
        assert_eq!(paused.state, CaseState::Suspended);
        assert_eq!(guard(paused.clone().resume(&world.official(STATION))), "lead_org");
        let case = paused.resume(&world.official(STREET_OFFICE)).unwrap().case;
        let (due, own) = (case.resolve_clock().unwrap().due_at, case.lead().unwrap().due_at);
        let untold = case.clone().extend(days, "complex", "", &world.official(STREET_OFFICE));
        assert_eq!(guard(untold), "told_ref");
        let extended = case.extend(days, "complex", "doc:told", &world.official(STREET_OFFICE)).unwrap();
        assert_eq!(extended.timeline[0].reason.as_ref().unwrap().args["told_ref"], "doc:told");
        assert!(extended.case.resolve_clock().unwrap().due_at > due);
        assert!(extended.case.lead().unwrap().due_at > own, "its own time grows with it");
        assert_eq!(violations(&extended.case), Vec::<&str>::new());
    }
    // Who invited a partner itself, and is no community's, answers alone.
    let case = world.dispatched("shopping_help");
    let group = case.offer.clone().unwrap();
    let case = case.decline_offer(group.id, &world.official(GROUP)).unwrap().case;
    let team = case.offer.clone().unwrap();
    let case = case.confirm_offer(team.id, &world.official(TEAM)).unwrap().case;
    assert_eq!(case.responsible_orgs(&world.routes, world.now), [TEAM, STREET_OFFICE]);
}

/// The partner's time is over, and the public service has taken over, as nobody heard what the partner had done by then.
fn taken_over(world: &mut World) -> (Case, Timestamp) {
    let case = world.with_partner();
    let done_at = world.now + TimeDelta::hours(1);
    world.now = case.lead().unwrap().due_at.unwrap();
    let case = world.tick(case).case;
    assert_eq!((case.state, case.lead_org), (CaseState::Dispatched, Some(STATION)));
    world.wait(TimeDelta::minutes(5));
    (case, done_at)
}

/// What was done is heard of.
fn heard(world: &mut World, case: &Case, done_at: Timestamp) -> Decision {
    let offer = case.offer.clone().unwrap().id;
    assert!(case.was_done_in_time(offer, done_at));
    let told = case.clone().social_completed_in_time(offer, &["record:1".into()], done_at, &world.system());
    let told = told.unwrap().unwrap();
    assert_eq!(violations(&told.case), Vec::<&str>::new());
    assert_eq!(told.case.evidence.last().unwrap().reference, "record:1");
    let step = told.timeline.last().unwrap();
    assert_eq!((step.event.as_str(), step.case_version), ("PartnerDone", told.case.version));
    assert_eq!(step.reason, Some(Reason::new("partner_was_done")));
    told
}

/// The offer that the end of the case tells of.
fn settled(decision: &Decision) -> Option<OfferId> {
    decision.events.iter().find_map(|emitted| match emitted.event {
        DomainEvent::CaseClosed { offer_id, .. } | DomainEvent::CaseWithdrawn { offer_id, .. } => offer_id,
        _ => None,
    })
}

#[test]
fn what_was_done_in_time_and_is_heard_of_late_completes_what_nobody_has_begun() {
    let mut world = World::new();
    let (case, done_at) = taken_over(&mut world);
    let (offer, public) = (case.offer.clone().unwrap(), case.lead_task.unwrap());
    let ended_at = offer.ended_at.unwrap();
    assert!(case.was_done_in_time(offer.id, ended_at));
    assert!(!case.was_done_in_time(offer.id, ended_at + TimeDelta::seconds(1)), "late is late");
    assert!(!case.was_done_in_time(OfferId(world.fresh()), done_at), "another's offer");
    let told = heard(&mut world, &case, done_at);
    let led_again =
        ["CaseOfferConfirmed", "TaskIssued", "TaskSubmitted", "CaseCompleted", "VerificationStarted"];
    assert_eq!(names(&told), [&["TaskCancelled"][..], &led_again].concat());
    let done = &told.case;
    assert_eq!((done.state, done.lead_org), (CaseState::Verifying, Some(GROUP)));
    assert_eq!(done.closed_code, Some(ClosedCode::SelfGoverned));
    assert_eq!(done.task(public).unwrap().state, TaskState::Cancelled, "it is not asked for a second time");
    assert!(!done.excluded_orgs.contains(&GROUP));
    let again = done.clone().social_completed(offer.id, &[], &world.system()).unwrap();
    assert_eq!((again, done.was_done_in_time(offer.id, done_at)), (None, false), "told twice");
    let verified = told.case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    assert_eq!(settled(&verified.rate(5, &world.resident()).unwrap()), Some(offer.id));

    // Also where it was called back and waits for somebody to send it.
    let recalled = case.recall("mis_dispatch", &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(recalled.state, CaseState::Triaged);
    assert_eq!(names(&heard(&mut world, &recalled, done_at)), led_again);
    // But not where it turned out to be about something else.
    let other = recalled.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    let told = heard(&mut world, &other, done_at);
    assert_eq!((names(&told).len(), told.case.state, told.case.lead_org), (0, CaseState::Triaged, None));
}

#[test]
fn whoever_has_begun_is_reminded_that_a_partner_had_done_it_in_time_and_its_hours_go_with_the_case() {
    let mut world = World::new();
    let (case, done_at) = taken_over(&mut world);
    let (offer, task) = (case.offer.clone().unwrap().id, case.lead_task.unwrap());
    let signed = case.sign(task, &world.official(STATION)).unwrap().case;
    let told = heard(&mut world, &signed, done_at);
    assert_eq!(names(&told), ["SupervisionIssued"]);
    let case = told.case;
    assert_eq!((case.state, case.lead_org), (CaseState::Signed, Some(STATION)));
    let reminder = case.supervisions.last().unwrap();
    assert_eq!((reminder.level, reminder.reason_code.as_str()), (0, "partner_was_done"));
    assert_eq!(case.supervised(reminder), STATION);
    let again = case.clone().social_completed_in_time(offer, &[], done_at, &world.system()).unwrap();
    assert_eq!(again, None, "told twice");

    let withdrawn = case.clone().withdraw("no_longer_needed", None, &world.resident()).unwrap();
    assert_eq!(settled(&withdrawn), Some(offer));
    let case = case.contact(ContactMethod::Phone, &world.official(STATION)).unwrap().case;
    let case = world.complete(case);
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let closed = case.rate(5, &world.resident()).unwrap();
    assert_eq!(settled(&closed), Some(offer));
    // Opened again, the case is another matter than what was done then.
    let opened = closed.case.reopen("new_facts", &world.resident()).unwrap().case;
    assert_eq!(opened.clone().social_completed_in_time(offer, &[], done_at, &world.system()).unwrap(), None);
    assert_eq!(opened.lead_org, Some(STATION));
    // Its hours count, whatever becomes of that one.
    let withdrawn = opened.withdraw("no_longer_needed", None, &world.resident()).unwrap();
    assert_eq!(settled(&withdrawn), None);
}

#[test]
fn what_a_department_was_called_for_is_not_done_by_what_a_partner_had_done_in_time() {
    let mut world = World::new();
    let case = with_department(&mut world);
    let task = called(&case);
    let command = ObjectTask { task_id: task, ..objection(&case) };
    let contested = case.clone().object(command, &world.official(URBAN)).unwrap().case;
    let decided =
        contested.clone().decide_assist_objection(task, true, "duty_clear", &world.official(GOVERNMENT));
    let relieved = decided.unwrap().case;
    let done_at = world.now + TimeDelta::hours(1);
    world.now = case.lead().unwrap().due_at.unwrap();
    let [case, contested, relieved] = [case, contested, relieved].map(|case| world.tick(case).case);
    world.wait(TimeDelta::minutes(5));
    for late in [case, contested] {
        assert_eq!(late.task(task).unwrap().state, TaskState::Cancelled, "it goes with the partner");
        let told = heard(&mut world, &late, done_at);
        assert_eq!(names(&told), ["SupervisionIssued"], "whoever leads hears of it and sees to the rest");
        assert_eq!((told.case.state, told.case.lead_org), (CaseState::Dispatched, Some(STATION)));
    }
    // Whose part ended before is not waited for.
    assert_eq!(heard(&mut world, &relieved, done_at).case.state, CaseState::Verifying);
}

#[test]
fn what_a_partner_told_before_its_work_was_sent_back_is_of_the_result_before() {
    let mut world = World::new();
    let case = world.with_partner();
    let (offer, told_at) = (case.offer.clone().unwrap().id, world.now);
    assert!(!case.was_sent_back_to_partner_since(told_at));
    let case = case.social_completed(offer, &[], &world.system()).unwrap().unwrap().case;
    world.wait(TimeDelta::minutes(5));
    let case = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert!(case.was_sent_back_to_partner_since(told_at));
    assert!(!case.was_sent_back_to_partner_since(world.now), "the result that comes next");
    // It was not the partner's any more that went back to whoever led after it.
    let (case, done_at) = taken_over(&mut world);
    let task = case.lead_task.unwrap();
    let signed = case.sign(task, &world.official(STATION)).unwrap().case;
    let contacted = signed.contact(ContactMethod::Phone, &world.official(STATION)).unwrap().case;
    let done = world.complete(contacted);
    let case = done.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert!(!case.was_sent_back_to_partner_since(done_at));
}

#[test]
fn the_end_of_a_case_settles_what_a_partner_may_have_done_before_anybody_hears_of_it() {
    let mut world = World::new();
    let (case, done_at) = taken_over(&mut world);
    let offer = case.offer.clone().unwrap().id;
    let withdrawn = case.withdraw("no_longer_needed", None, &world.resident()).unwrap();
    assert_eq!(settled(&withdrawn), Some(offer));
    let heard = withdrawn.case.social_completed_in_time(offer, &[], done_at, &world.system()).unwrap();
    assert_eq!(heard, None, "it goes with the case");
    // Who gave up had not done it.
    let case = world.with_partner();
    let (offer, now) = (case.offer.clone().unwrap().id, world.now);
    let case = case.return_from_society("gave_up", &world.official(GROUP)).unwrap().case;
    assert!(!case.was_done_in_time(offer, now));
    let withdrawn = case.withdraw("no_longer_needed", None, &world.resident()).unwrap();
    assert_eq!(settled(&withdrawn), None);
}

#[test]
fn hours_that_no_end_of_a_case_would_settle_are_withdrawn_when_it_is_merged_or_handed_off() {
    let mut world = World::new();
    let (case, done_at) = taken_over(&mut world);
    let offer = case.offer.clone().unwrap().id;
    let case = case.recall("mis_dispatch", &world.official(STREET_OFFICE)).unwrap().case;
    let (into, ticket) = (CaseId(world.fresh()), TicketId(world.fresh()));
    let case = Case { external: vec![exchange::ExternalLink { ticket, told: 0 }], ..case };
    let merged = case.clone().merge(into, &world.official(STATION)).unwrap();
    let joined = Case { merged: vec![into], ..case.clone() };
    let left = joined.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap();
    let told = exchange::reports_to_joined(&left.case, Some(CaseState::Triaged), &left.events);
    let told: Vec<_> = told.iter().map(|report| (report.state, report.closed_code)).collect();
    assert_eq!(told, [(CaseState::HandedOff, Some(ClosedCode::HandedOff))], "whoever was merged into it");
    let gone = case.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap();
    for (ended, event, why, code) in [
        (merged, "CaseMerged", "case_merged", ClosedCode::Merged),
        (gone, "CaseHandedOff", "case_handed_off", ClosedCode::HandedOff),
    ] {
        assert_eq!(names(&ended), ["CaseOfferWithdrawn", event]);
        let DomainEvent::CaseOfferWithdrawn { offer_id, partner_org_id, reason_code } =
            &ended.events[0].event
        else {
            panic!()
        };
        assert_eq!((*offer_id, *partner_org_id, reason_code.as_str()), (offer, GROUP, why));
        let (record, _) = CaseRecord::after(None, ended.clone());
        assert_eq!(record.pending.offers[&offer].1, OfferState::Withdrawn);
        let [report] = &record.pending.reports[..] else { panic!("{event}") };
        assert_eq!((report.state, report.closed_code), (ended.case.state, Some(code)), "as it ended");
        let case = ended.case;
        assert!(!case.was_done_in_time(offer, done_at), "what is heard of afterwards is too late");
        assert_eq!((case.offer_to_settle(), violations(&case)), (None, Vec::new()));
    }
}
