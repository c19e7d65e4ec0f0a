//! The flows of domain.md §3 as sequences of events, and the conditions under which verbs are refused.

use chrono::TimeDelta;

use super::super::*;
use super::table::ruling;
use super::world::*;

#[test]
fn f1_from_the_window_to_closed_and_rated() {
    let mut world = World::new();
    let intake = world.intake("stairs");
    assert_eq!(
        names(&intake),
        ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseDispatched", "TaskIssued", "TaskIssued"]
    );
    let versions: Vec<i64> = intake.events.iter().map(|emitted| emitted.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6], "one version per event");
    assert_eq!(intake.case.version, 6);
    let task = intake.case.lead().unwrap().clone();
    assert_eq!((task.org, task.mode, task.sender), (STATION, DispatchMode::Order, STREET_OFFICE));

    world.wait(TimeDelta::minutes(30));
    let signed = intake.case.sign(task.id, &world.official(STATION)).unwrap();
    let DomainEvent::TaskSigned { in_time: true, due_at, skill_codes, .. } = &signed.events[0].event else {
        panic!("{signed:?}")
    };
    assert_eq!(skill_codes, &["repair"]);
    assert_eq!(*due_at, signed.case.resolve_clock().map(|clock| clock.due_at));

    world.wait(TimeDelta::hours(1));
    let contacted = signed.case.contact(ContactMethod::Phone, &world.official(STATION)).unwrap();
    assert_eq!(names(&contacted), ["CaseContacted"]);

    world.wait(TimeDelta::days(1));
    let completed = contacted.case.complete(done(), &world.official(STATION)).unwrap();
    assert_eq!(names(&completed), ["TaskCancelled", "TaskSubmitted", "CaseCompleted", "VerificationStarted"]);
    let DomainEvent::CaseCompleted {
        in_time: true, elapsed_seconds, elapsed_unit, callback_due: true, ..
    } = completed.events[2].event
    else {
        panic!("{completed:?}")
    };
    // A day in office hours: 09:00 on the 8th until 10:30 on the 9th.
    assert_eq!((elapsed_seconds, elapsed_unit), ((6 * 60 + 30 + 90) * 60, Some(calendar::TimeUnit::WorkDay)));
    assert_eq!(completed.case.verification.as_ref().unwrap().verifier, VERIFIER);

    world.wait(TimeDelta::hours(2));
    let verified = completed.case.verify(&found_good(), &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&verified), ["TaskApproved", "CaseVerified"]);
    let DomainEvent::CaseVerified { callback, callback_grade, contact_confirmed, .. } =
        verified.events[1].event
    else {
        panic!("{verified:?}")
    };
    assert_eq!((callback, callback_grade, contact_confirmed), (CallbackOutcome::Reached, Some(5), true));

    world.wait(TimeDelta::hours(2));
    let closed = verified.case.rate(4, &world.resident()).unwrap();
    assert_eq!(names(&closed), ["RatingReceived", "CaseClosed"]);
    let facts = &closed.events[1].facts;
    assert_eq!(
        (facts.state, facts.closed_code, facts.delivery_mode),
        (CaseState::Closed, Some(ClosedCode::Resolved), Some(DeliveryMode::GovDirect))
    );
    assert_eq!(violations(&closed.case), Vec::<&str>::new());
}

#[test]
fn the_single_steps_and_the_compound_intake_come_to_the_same_case() {
    let mut world = World::new();
    let mut single = world.triaged("stairs");
    single = single.dispatch(&RouteChoice::Auto, &world.official(STATION)).unwrap().case;
    let compound = world.dispatched("stairs");
    assert_eq!((single.state, single.version), (compound.state, compound.version));
    assert_eq!(single.lead_org, compound.lead_org);
    let kinds = |case: &Case| case.clocks.iter().map(|clock| (clock.kind, clock.due_at)).collect::<Vec<_>>();
    assert_eq!(kinds(&single), kinds(&compound));
}

#[test]
fn society_is_asked_first_and_the_confirmed_partner_leads() {
    let mut world = World::new();
    let offered = world.intake("shopping_help");
    assert_eq!(names(&offered), ["CaseRegistered", "CaseAccepted", "CaseTriaged", "CaseOffered"]);
    let offer = offered.case.offer.clone().unwrap();
    assert_eq!((offer.partner, offer.mode), (GROUP, DispatchMode::Invitation));
    assert_eq!(guard(offered.case.clone().confirm_offer(offer.id, &world.official(TEAM))), "partner");

    let confirmed = offered.case.social_accepted(offer.id, &world.system()).unwrap().unwrap();
    assert_eq!(names(&confirmed), ["CaseOfferConfirmed", "TaskIssued"]);
    let DomainEvent::TaskIssued { sign_due_at: None, due_at: Some(due), .. } = confirmed.events[1].event
    else {
        panic!("{confirmed:?}")
    };
    assert!(due < confirmed.case.resolve_clock().unwrap().due_at, "time is left for the public service");
    assert_eq!(
        confirmed.case.social_accepted(offer.id, &world.system()).unwrap(),
        None,
        "told twice, done once"
    );

    let case = world.with_partner();
    let offer = case.offer.clone().unwrap().id;
    let completed = case.social_completed(offer, &[], &world.system()).unwrap().unwrap();
    let facts = &completed.events.last().unwrap().facts;
    assert_eq!(facts.delivery_mode, Some(DeliveryMode::SelfGovernance));
    assert_eq!(facts.closed_code, Some(ClosedCode::SelfGoverned));
    assert!(completed.events.iter().any(
        |emitted| matches!(emitted.event, DomainEvent::CaseCompleted { offer_id: Some(id), .. } if Some(id) == completed.case.offer.as_ref().map(|offer| offer.id))
    ));
}

#[test]
fn declining_partners_give_way_to_the_next_and_at_last_to_the_public_service() {
    let mut world = World::new();
    let mut case = world.dispatched("shopping_help");
    for partner in [GROUP, TEAM] {
        let offer = case.offer.clone().unwrap();
        assert_eq!(offer.partner, partner);
        let lapsed = case.social_declined(offer.id, &world.system()).unwrap().unwrap();
        assert_eq!(names(&lapsed), ["CaseOfferWithdrawn", "CaseOffered"]);
        case = lapsed.case;
    }
    let offer = case.offer.clone().unwrap();
    assert_eq!((offer.partner, offer.mode), (CONTRACTOR, DispatchMode::WorkOrder));
    let last = case.decline_offer(offer.id, &world.official(CONTRACTOR)).unwrap();
    assert_eq!(names(&last), ["CaseOfferWithdrawn", "CaseDispatched", "TaskIssued"]);
    assert_eq!(last.case.lead_org, Some(STATION));
    assert_eq!(last.case.lead_change_count, 0);
    assert_eq!(last.case.social_accepted(offer.id, &world.system()).unwrap(), None);
}

#[test]
fn a_partner_that_gives_up_hands_over_to_the_public_service_at_once() {
    let mut world = World::new();
    let case = world.with_partner();
    let returned = case.return_from_society("gave_up", &world.official(GROUP)).unwrap();
    assert_eq!(
        names(&returned),
        ["TaskCancelled", "CaseReturnedFromSociety", "CaseDispatched", "TaskIssued"]
    );
    assert_eq!((returned.case.state, returned.case.lead_org), (CaseState::Dispatched, Some(STATION)));
    assert_eq!(returned.case.delivery_mode, Some(DeliveryMode::GovDirect));
    let public = world.in_progress("stairs");
    assert_eq!(guard(public.return_from_society("gave_up", &world.system())), "not_with_society");
}

#[test]
fn f3_an_objection_is_rejected_redispatched_or_ruled_on_while_the_clock_runs() {
    let mut world = World::new();
    let case = world.objected("street_light");
    let due = case.resolve_clock().unwrap().due_at;
    assert_eq!(
        guard(case.clone().reject_objection("duty_is_clear", &world.official(STREET_OFFICE))),
        "objector"
    );

    let rejected = case.clone().reject_objection("duty_is_clear", &world.official(GOVERNMENT)).unwrap();
    assert_eq!(names(&rejected), ["TaskObjectionRejected"]);
    let again = objection(&rejected.case);
    assert_eq!(guard(rejected.case.object(again, &world.official(STREET_OFFICE))), "objected_before");

    let moved = case.clone().redispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap();
    assert_eq!(names(&moved), ["TaskCancelled", "TaskCancelled", "CaseRedispatched", "TaskIssued"]);
    assert_eq!((moved.case.lead_org, moved.case.lead_change_count), (Some(URBAN), 1));
    assert_eq!(moved.case.resolve_clock().unwrap().due_at, due);

    let opened = case.open_arbitration(&[HOUSING], None, &world.official(GOVERNMENT)).unwrap();
    let DomainEvent::ArbitrationOpened { arbiter_org_id, party_org_ids, .. } = &opened.events[0].event else {
        panic!("{opened:?}")
    };
    assert_eq!(
        (*arbiter_org_id, party_org_ids.as_slice()),
        (GOVERNMENT, &[STREET_OFFICE, URBAN, HOUSING][..])
    );
    assert_eq!(
        guard(opened.case.clone().rule_objection(&ruling(URBAN), &world.official(HOUSING))),
        "arbiter"
    );
    assert_eq!(
        guard(opened.case.clone().redispatch(&RouteChoice::Auto, &world.official(GOVERNMENT))),
        "in_arbitration"
    );
    assert_eq!(guard(opened.case.clone().take_position(STATION, &world.official(HOUSING))), "lead_org_id");
    assert_eq!(
        guard(opened.case.clone().rule_objection(&ruling(HOUSING), &world.official(GOVERNMENT))),
        "consultation_open"
    );

    world.wait(TimeDelta::days(2));
    let heard = world.tick(opened.case).case;
    let ruled = heard.rule_objection(&ruling(HOUSING), &world.official(GOVERNMENT)).unwrap();
    assert_eq!(names(&ruled), ["ArbitrationRuled", "TaskCancelled", "CaseRedispatched", "TaskIssued"]);
    let task = ruled.case.lead().unwrap().clone();
    let mut command = objection(&ruled.case);
    command.task_id = task.id;
    assert_eq!(guard(ruled.case.clone().object(command, &world.official(HOUSING))), "ruling_is_final");
    let signed = ruled.case.sign(task.id, &world.official(HOUSING)).unwrap();
    assert_eq!(names(&signed), ["TaskSigned", "ArbitrationFinal"]);
}

/// C7: what an organisation was relieved of does not come back to it by a dispatcher's hand, however the case goes on.
#[test]
fn nobody_gets_back_what_its_objection_relieved_it_of_except_by_a_ruling() {
    let mut world = World::new();
    let case = world.objected("street_light");
    let to = |case: &Case, org, world: &mut World| {
        case.clone().redispatch(&manual(org), &world.official(GOVERNMENT))
    };
    assert_eq!(guard(to(&case, STREET_OFFICE, &mut world)), "objected_before");
    let moved = to(&case, URBAN, &mut world).unwrap().case;
    let again = ObjectTask { suggested: Some(STREET_OFFICE), ..objection(&moved) };
    let back = moved.object(again, &world.official(URBAN)).unwrap().case;
    for org in [STREET_OFFICE, URBAN] {
        assert_eq!(guard(to(&back, org, &mut world)), "objected_before", "{org}");
    }
    let third = to(&back, HOUSING, &mut world).unwrap().case;
    let recalled = third.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    for org in [STREET_OFFICE, URBAN] {
        let sent = recalled.clone().dispatch(&manual(org), &world.official(GOVERNMENT));
        assert_eq!(guard(sent), "objected_before", "{org}");
    }
    // Another item is another matter; under its first name again it is the first one.
    let renamed = recalled.triage(&triage("burst_pipe"), &world.official(STATION)).unwrap().case;
    let other = renamed.clone().dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(other.lead_org, Some(STREET_OFFICE));
    let first = renamed.triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
    for org in [STREET_OFFICE, URBAN] {
        let sent = first.clone().dispatch(&manual(org), &world.official(GOVERNMENT));
        assert_eq!(guard(sent), "objected_before", "{org}");
    }

    // The ruling gives it back, and is not objected to, not even when the case is called back and sent again.
    let opened = back.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    world.wait(TimeDelta::days(2));
    let heard = world.tick(opened).case;
    let ruled = heard.rule_objection(&ruling(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!((ruled.lead_org, ruled.lead_change_count), (Some(STREET_OFFICE), 2));
    assert!(ruled.lead().unwrap().objected);
    let against = objection(&ruled);
    assert_eq!(guard(ruled.clone().object(against, &world.official(STREET_OFFICE))), "objected_before");
    let recalled = ruled.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let sent = recalled.dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
    let against = objection(&sent);
    assert_eq!(guard(sent.object(against, &world.official(STREET_OFFICE))), "objected_before");
}

#[test]
fn an_objection_that_was_rejected_is_not_raised_again_unless_the_matter_is_another() {
    let mut world = World::new();
    let case = world.objected("street_light");
    let kept = case.reject_objection("duty_is_clear", &world.official(GOVERNMENT)).unwrap().case;
    let recalled = kept.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let same = recalled.clone().dispatch(&manual(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
    let again = objection(&same);
    assert_eq!(guard(same.object(again, &world.official(STREET_OFFICE))), "objected_before");
    let other = recalled.triage(&triage("burst_pipe"), &world.official(STATION)).unwrap().case;
    let other = other.dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    let first = objection(&other);
    assert_eq!(other.lead_org, Some(STREET_OFFICE));
    assert!(other.object(first, &world.official(STREET_OFFICE)).is_ok());
}

#[test]
fn a_ruling_for_the_objector_keeps_the_task() {
    let mut world = World::new();
    let case = world.objected("street_light");
    let opened = case.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    world.wait(TimeDelta::days(2));
    let heard = world.tick(opened).case;
    let ruled = heard.rule_objection(&ruling(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap();
    let DomainEvent::ArbitrationRuled { objection_upheld: false, .. } = ruled.events[0].event else {
        panic!()
    };
    let DomainEvent::CaseRedispatched { lead_changed: false, .. } = ruled.events[1].event else { panic!() };
    assert_eq!((ruled.case.state, ruled.case.lead_change_count), (CaseState::Dispatched, 0));
}

#[test]
fn objections_come_in_time_from_the_lead_with_a_basis() {
    let mut world = World::new();
    let case = world.signed("street_light");
    let command = objection(&case);
    assert_eq!(guard(case.clone().object(command.clone(), &world.official(URBAN))), "task_org");
    let without = ObjectTask { basis_refs: vec![], ..command.clone() };
    assert_eq!(guard(case.clone().object(without, &world.official(STREET_OFFICE))), "basis_refs");
    let assist = case.tasks.iter().find(|task| task.part == TaskPart::Assist).unwrap().id;
    let of_assist = ObjectTask { task_id: assist, ..command.clone() };
    assert_eq!(guard(case.clone().object(of_assist, &world.official(STREET_OFFICE))), "task_org");
    assert!(
        case.clone().object(command.clone(), &world.official(STREET_OFFICE)).is_ok(),
        "shortly after signing"
    );
    world.wait(TimeDelta::days(3));
    assert_eq!(guard(case.object(command, &world.official(STREET_OFFICE))), "objection_too_late");
}

#[test]
fn an_order_cannot_be_declined_and_a_request_can() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let lead = case.lead_task.unwrap();
    assert_eq!(
        guard(case.decline_task(lead, "no_capacity", true, &world.official(STREET_OFFICE))),
        "may_not_decline"
    );

    let case = world.dispatched("stairs");
    let assist = case.tasks.iter().find(|task| task.org == COMMITTEE).unwrap().id;
    let declined = case.decline_task(assist, "not_admitted", false, &world.official(COMMITTEE)).unwrap();
    assert_eq!(names(&declined), ["TaskDeclined"]);
    assert_eq!(declined.case.state, CaseState::Dispatched);

    let case = world.dispatched("committee_matter");
    assert_eq!(case.lead().unwrap().mode, DispatchMode::AssistRequest);
    let lead = case.lead_task.unwrap();
    let declined = case.decline_task(lead, "not_admitted", false, &world.official(COMMITTEE)).unwrap();
    assert_eq!(names(&declined), ["TaskDeclined", "CaseDispatched", "TaskIssued"]);
    assert_eq!((declined.case.lead_org, declined.case.lead_change_count), (Some(STREET_OFFICE), 1));
}

#[test]
fn mandatory_assists_are_in_or_waived_before_completion() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let assist = case.tasks.iter().find(|task| task.part == TaskPart::Assist).unwrap().clone();
    assert_eq!(guard(case.clone().complete(done(), &world.official(STREET_OFFICE))), "assist_outstanding");
    let waived = CompleteCase { waived: vec![assist.id], ..done() };
    assert!(case.clone().complete(waived, &world.official(STREET_OFFICE)).is_ok());
    let evidence = || vec![(EvidenceKind::Document, "d-1".to_owned())];
    assert_eq!(guard(case.clone().submit_task(assist.id, evidence(), &world.official(URBAN))), "task_state");
    let case = case.sign(assist.id, &world.official(URBAN)).unwrap().case;
    let submitted = case.submit_task(assist.id, evidence(), &world.official(URBAN)).unwrap();
    assert_eq!(names(&submitted), ["TaskSubmitted"]);
    let returned =
        submitted.case.clone().return_task(assist.id, "unclear", &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(guard(returned.case.complete(done(), &world.official(STREET_OFFICE))), "assist_outstanding");
    assert!(submitted.case.complete(done(), &world.official(STREET_OFFICE)).is_ok());
}

#[test]
fn completion_needs_evidence_or_an_explanation() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    assert_eq!(guard(case.clone().complete(CompleteCase::default(), &world.official(STATION))), "evidence");
    assert_eq!(guard(case.clone().complete(done(), &world.official(HOUSING))), "lead_org");
    let wrong = CompleteCase { closed_code: Some(ClosedCode::Merged), ..done() };
    assert_eq!(guard(case.clone().complete(wrong, &world.official(STATION))), "closed_code");
    let told = CompleteCase { closed_code: Some(ClosedCode::Unfounded), ..CompleteCase::default() };
    let completed = case.complete(told, &world.official(STATION)).unwrap();
    assert_eq!(completed.case.evidence[0].kind, EvidenceKind::Explanation);
}

#[test]
fn an_answer_explains_a_consultation_or_tells_another_channel_and_nothing_else() {
    let mut world = World::new();
    let consultation = Case { nature: Nature::Consultation, ..world.triaged("stairs") };
    let (asked, help) = (world.accepted(), world.triaged("stairs"));
    let mut answer = |case: &Case, closed_code| {
        let command = AnswerCase { explanation_ref: "kb-1".into(), closed_code };
        case.clone().answer(command, &world.official(STATION))
    };
    for case in [&consultation, &asked, &help] {
        for code in ClosedCode::ALL {
            let expected = match code {
                ClosedCode::BeyondAuthority => None,
                ClosedCode::Explained => (case.id == help.id).then_some("not_a_consultation"),
                _ => Some("closed_code"),
            };
            match expected {
                Some(expected) => assert_eq!(guard(answer(case, *code)), expected, "{code}"),
                None => assert_eq!(answer(case, *code).unwrap().case.closed_code, Some(*code)),
            }
        }
    }
}

#[test]
fn a_case_is_handed_off_only_by_a_line_that_is_known() {
    let mut world = World::new();
    let case = world.accepted();
    for line in ["120", "litigation", "12345"] {
        let refused = case.clone().hand_off(line, Elsewhere::Nobody, &world.official(STATION));
        assert_eq!(guard(refused), "line_code", "{line}");
    }
    for (line, elsewhere) in [("119", Elsewhere::Nobody), ("12345", Elsewhere::Taken)] {
        let gone = case.clone().hand_off(line, elsewhere, &world.official(STATION)).unwrap().case;
        assert_eq!(gone.state, CaseState::HandedOff, "{line}");
    }
}

#[test]
fn an_answered_consultation_is_verified_too_and_reworked_as_a_dispatch() {
    let mut world = World::new();
    let case = Case { nature: Nature::Consultation, ..world.triaged("stairs") };
    let command = AnswerCase { explanation_ref: "kb-1".into(), closed_code: ClosedCode::Explained };
    let answered = case.answer(command, &world.official(STATION)).unwrap();
    assert_eq!(names(&answered), ["CaseAnswered", "VerificationStarted"]);
    assert_eq!(answered.case.routing.last().unwrap().kind, RoutingKind::AnsweredAtWindow);
    assert_eq!(violations(&answered.case), Vec::<&str>::new());
    let reworked = answered.case.order_rework("not_answered", &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&reworked), ["CaseReworkOrdered", "CaseDispatched", "TaskIssued", "TaskIssued"]);
    assert_eq!(violations(&reworked.case), Vec::<&str>::new());
}

#[test]
fn nobody_verifies_calls_back_or_judges_their_own_work() {
    let mut world = World::without_verifier();
    let case = world.completed("stairs");
    assert_eq!(case.state, CaseState::Completed);
    assert_eq!(guard(case.clone().start_verification(&world.official(STATION))), "verifier_is_handler");
    let case = case.start_verification(&world.official(VERIFIER)).unwrap().case;
    assert_eq!(guard(case.clone().verify(&found_good(), &world.official(HOUSING))), "verifier");
    assert_eq!(guard(case.clone().verify(&found_good(), &world.system())), "human_official");
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    assert_eq!(guard(case.clone().rate(5, &world.official(STATION))), "requester");
    let case = case.rate(1, &world.resident()).unwrap().case;
    assert_eq!(guard(case.clone().judge_rating(false, "", &world.official(STATION))), "rating_judge");
    assert_eq!(guard(case.clone().close(&world.system())), "rating_unjudged");
    assert_eq!(guard(case.judge_rating(true, "", &world.system())), "human_official");
}

#[test]
fn an_unreached_requester_is_recorded_as_such_and_never_as_satisfied() {
    let mut world = World::new();
    let case = world.completed("stairs");
    let no_call = VerifyCase { callback: None, ..found_good() };
    assert_eq!(guard(case.clone().verify(&no_call, &world.official(VERIFIER))), "callback_outstanding");
    let (mut case, gap) = (case, TimeDelta::hours(2));
    let unanswered = CallbackReport::NoAnswer;
    for _ in 0..3 {
        assert!(case.verification.as_ref().unwrap().callback.is_none());
        assert_eq!(guard(case.clone().verify(&no_call, &world.official(VERIFIER))), "callback_outstanding");
        world.wait(gap);
        let called = case.record_callback(&unanswered, &world.official(VERIFIER)).unwrap();
        assert_eq!(names(&called), Vec::<&str>::new(), "nobody is told");
        let step = called.timeline.last().unwrap();
        assert_eq!((step.event.as_str(), step.case_version), ("CallbackRecorded", called.case.version));
        case = called.case;
        world.wait(gap - TimeDelta::seconds(1));
        let again = guard(case.clone().record_callback(&unanswered, &world.official(VERIFIER)));
        assert!(matches!(again, "callback_too_soon" | "callback_done"), "{again}");
    }
    assert_eq!(guard(case.clone().record_callback(&unanswered, &world.official(VERIFIER))), "callback_done");
    // Whoever answers after all is heard, however soon.
    let heard = case.clone().record_callback(&reached(4), &world.official(VERIFIER)).unwrap().case;
    let calls = &heard.verification.as_ref().unwrap().calls;
    assert_eq!(calls.iter().map(|call| call.reached).collect::<Vec<_>>(), [false, false, false, true]);
    assert!(calls[..3].windows(2).all(|pair| pair[1].at - pair[0].at >= gap));
    let evidence = vec![(EvidenceKind::Photo, "photo:checked".to_owned())];
    let on_evidence = VerifyCase { evidence, ..no_call };
    let verified = case.verify(&on_evidence, &world.official(VERIFIER)).unwrap();
    assert_eq!(verified.case.verification.as_ref().unwrap().evidence_refs, ["photo:checked"]);
    assert_eq!(verified.case.evidence.last().unwrap().reference, "photo:checked");
    let DomainEvent::CaseVerified { callback, callback_grade, contact_confirmed, .. } =
        verified.events[1].event
    else {
        panic!("{verified:?}")
    };
    assert_eq!((callback, callback_grade, contact_confirmed), (CallbackOutcome::Unreached, None, false));
}

#[test]
fn an_anonymous_case_needs_no_call_and_closes_without_a_rating() {
    let mut world = World::new();
    let register =
        RegisterCase { anonymous: true, requester: None, nature: Nature::Report, ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let case = case.accept(&world.official(STATION)).unwrap().case;
    let case = case.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    let case = case.dispatch(&RouteChoice::Auto, &world.official(STATION)).unwrap().case;
    let lead = case.lead_task.unwrap();
    let case = case.sign(lead, &world.official(STATION)).unwrap().case;
    let case = case.contact(ContactMethod::Message, &world.official(STATION)).unwrap().case;
    let case = case.complete(done(), &world.official(STATION)).unwrap().case;
    let no_call = VerifyCase { callback: None, ..found_good() };
    let closed = case.verify(&no_call, &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&closed), ["TaskApproved", "CaseVerified", "CaseClosed"]);
    assert_eq!(violations(&closed.case), Vec::<&str>::new());
}
