//! At the window: the one list of what is missing, and emergencies that nobody has to look at first. And what officials give
//! for the record, which stays: the writing that told of a wait, methods, answers, reasons and documents.

use super::super::*;
use super::world::*;

fn codes(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

fn first_reason(decision: &Decision) -> Reason {
    decision.timeline[0].reason.clone().unwrap()
}

/// The document of a case as a release wrote it that did not know some fields: the parts that have them, and their names.
fn of_an_earlier_release(case: &Case, unknown: &[(&str, &str)]) -> Case {
    let mut document = serde_json::to_value(case).unwrap();
    for (part, field) in unknown {
        let part = document.pointer_mut(part).and_then(serde_json::Value::as_object_mut).unwrap();
        assert!(part.remove(*field).is_some(), "{field} is stored");
    }
    serde_json::from_value(document).unwrap()
}

#[test]
fn what_is_asked_for_comes_in_whole_or_not_at_all() {
    let mut world = World::new();
    let listed = codes(&["id_copy", "place_detail", "id_copy"]);
    let case = world.registered();
    let asked = case.request_supplement(listed, &world.official(STATION)).unwrap();
    let known = asked.case.supplement.clone().unwrap();
    assert_eq!(known.asked, ["id_copy", "place_detail"], "each once");
    assert_eq!((known.asked_at, known.sent_at), (world.now, None));
    let reason = first_reason(&asked);
    assert_eq!(reason.code, "materials_missing");
    for (language, words) in [
        (Language::Chinese, "身份证复印件、具体地点"),
        (Language::English, "copy of the identity card, exact place"),
    ] {
        assert!(reason.render(language).ends_with(words), "{reason:?}");
    }

    let wrong: [(&[&str], &str); 3] = [
        (&[], "id_copy, place_detail"),
        (&["place_detail"], "id_copy"),
        (&["something_else"], "id_copy, place_detail"),
    ];
    for (sent, missing) in wrong {
        let refused = asked.case.clone().supplement(materials(sent), &world.resident()).unwrap_err();
        let message = format!("still missing: {missing}");
        assert_eq!(refused, DomainError::Invalid { field: "material_codes", message });
    }
    let no_code = asked.case.clone().supplement(materials(&["Not a code"]), &world.resident());
    assert_eq!(guard(no_code), "material_codes");

    let all = materials(&["place_detail", "id_copy", "photo"]);
    let sent = asked.case.clone().supplement(all, &world.resident()).unwrap();
    assert_eq!(names(&sent), ["CaseSupplemented", "CaseAccepted"]);
    assert_eq!(first_reason(&sent).args["materials"], "place_detail, id_copy, photo");
    let known = sent.case.supplement.clone().unwrap();
    assert_eq!(known.asked, ["id_copy", "place_detail"], "the list stays beside it");
    assert_eq!(known.sent, ["place_detail", "id_copy", "photo"]);
    assert_eq!((known.refs, known.sent_at), (codes(&["doc:1"]), Some(world.now)));
    assert_eq!(violations(&sent.case), Vec::<&str>::new());

    // One list and no other, wherever the case is.
    let again = Case { state: CaseState::Registered, ..asked.case };
    let again = again.request_supplement(codes(&["one_more"]), &world.official(STATION));
    assert_eq!(guard(again), "supplement_asked_before");
    let verb = Trigger::RequestSupplement;
    let again = sent.case.request_supplement(codes(&["one_more"]), &world.official(STATION));
    assert_eq!(again, Err(DomainError::WrongState { state: CaseState::Accepted, verb }));
}

#[test]
fn what_has_to_be_applied_for_is_not_refused_as_a_case_that_is_no_application() {
    let mut world = World::new();
    let register = RegisterCase { item_code: Some("licence".into()), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let declined = case.clone().decline("out_of_area", "petition", &world.official(STATION));
    assert_eq!(guard(declined), "application_needed");
    let other = CaseId(world.fresh());
    assert!(case.clone().merge(other, &world.official(STATION)).is_ok());
    assert!(case.clone().withdraw("applied_for", None, &world.resident()).is_ok());
    // What is about something else after all is refused as ever.
    let triaged = Case { item: None, ..case };
    assert!(triaged.decline("out_of_area", "petition", &world.official(STATION)).is_ok());

    let case = world.in_progress("licence");
    let lead = case.lead_org.unwrap();
    let ends = |closed_code| CompleteCase { closed_code: Some(closed_code), ..CompleteCase::default() };
    let refused = case.clone().complete(ends(ClosedCode::Unfounded), &world.official(lead));
    assert_eq!(guard(refused), "application_needed");
    let told = case.clone().complete(ends(ClosedCode::Explained), &world.official(lead)).unwrap().case;
    assert_eq!(told.closed_code, Some(ClosedCode::Explained), "how to apply");
    assert!(case.complete(done(), &world.official(lead)).is_ok());
}

#[test]
fn silence_after_the_list_leaves_on_record_that_nothing_came() {
    let mut world = World::new();
    let register = RegisterCase { item_code: Some("licence".into()), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    let case = case.request_supplement(codes(&["id_copy"]), &world.official(STATION)).unwrap().case;
    world.now = case.clock(ClockKind::Supplement, None).unwrap().due_at;
    let case = world.tick(case).case;
    assert_eq!(case.state, CaseState::Accepted);
    let known = case.supplement.unwrap();
    assert_eq!((known.asked, known.sent, known.sent_at), (codes(&["id_copy"]), vec![], None));
}

#[test]
fn what_another_system_adds_is_the_supplement_and_its_ticket_says_where() {
    let mut world = World::new();
    let case = world.registered();
    let asked = case.request_supplement(codes(&["place_detail"]), &world.official(STATION)).unwrap().case;
    let ticket = TicketId(world.fresh());
    let case = Case { external: vec![exchange::ExternalLink { ticket, told: 0 }], ..asked };
    let remarked = case.remark(&world.system()).unwrap().case;
    assert_eq!(remarked.state, CaseState::Accepted);
    let known = remarked.supplement.unwrap();
    assert_eq!((known.asked, known.sent), (codes(&["place_detail"]), vec![]));
    assert_eq!((known.refs, known.sent_at), (vec![format!("ticket:{ticket}")], Some(world.now)));
}

#[test]
fn another_system_hears_that_a_case_was_withdrawn_whatever_ended_with_it() {
    let mut world = World::new();
    for case in [world.dispatched("stairs"), world.completed("stairs")] {
        let (ticket, before) = (TicketId(world.fresh()), case.state);
        let case = Case { external: vec![exchange::ExternalLink { ticket, told: 0 }], ..case };
        let mut ended = case.withdraw("solved_itself", None, &world.resident()).unwrap();
        assert_eq!(names(&ended).first(), Some(&"TaskCancelled"), "{before}");
        let told = exchange::reports(&mut ended.case, Some(before), &ended.events);
        let told: Vec<_> = told.iter().map(|report| (report.state, report.closed_code)).collect();
        assert_eq!(told, [(CaseState::Withdrawn, Some(ClosedCode::Withdrawn))], "{before}");
    }
}

#[test]
fn of_words_that_come_when_a_case_is_over_whoever_received_it_is_reminded_until_they_answer() {
    let mut world = World::new();
    let closed = world.closed("stairs");
    let declined = world.registered().decline("out_of_scope", "petition", &world.official(STATION)).unwrap();
    let withdrawn = world.registered().withdraw("solved_itself", None, &world.resident()).unwrap();
    let left = world.triaged("street_light");
    let left = left.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap();
    for case in [closed, declined.case, withdrawn.case, left.case] {
        assert_eq!(case.asked_orgs(), [], "it is over");
        let told = case.said_after_end(&world.official(URBAN)).unwrap();
        assert_eq!(names(&told), ["SupervisionIssued"]);
        assert_eq!(told.timeline[0].actor, PersonRef::system());
        let reason = told.timeline[0].reason.as_ref().unwrap();
        assert!(reason.render(Language::Chinese).contains("补充"), "{reason:?}");
        let case = told.case;
        let known = case.supervisions.last().unwrap().clone();
        // Whoever has a task of it finds it by that.
        let found = case.tasks.iter().map(|task| task.org).chain(case.asked_orgs()).any(|org| org == STATION);
        let whom = (known.level, case.supervised(&known), found);
        assert_eq!(whom, (0, STATION, true), "whoever leads or led it");
        assert_eq!(violations(&case), Vec::<&str>::new());

        let again = case.clone().said_after_end(&world.system()).unwrap();
        assert_eq!((again.events.len(), again.case), (0, case.clone()), "once");
        let answer = case.answer_supervision(known.id, "told_them", None, &world.official(STATION));
        let answered = answer.unwrap().case;
        assert_eq!(answered.asked_orgs(), [], "who has read them is asked no more");
        let more = answered.said_after_end(&world.system()).unwrap();
        assert_eq!(names(&more), ["SupervisionIssued"], "of what came after the answer");
    }
}

#[test]
fn nobody_is_reminded_of_words_where_somebody_reads_them_and_an_archived_case_takes_none() {
    let mut world = World::new();
    let open = world.in_progress("street_light");
    let same = open.clone().said_after_end(&world.system()).unwrap();
    assert_eq!((same.events.len(), same.case), (0, open));

    let closed = world.closed("stairs").said_after_end(&world.system()).unwrap().case;
    let opened = closed.clone().reopen("new_facts", &world.resident()).unwrap();
    assert!(names(&opened).contains(&"SupervisionCleared"), "whoever gets it reads them");
    let left = world.triaged("street_light");
    let left = left.hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap().case;
    let left = left.said_after_end(&world.system()).unwrap().case;
    let back = left.take_back("by_mistake", &world.official(STATION)).unwrap();
    assert_eq!(names(&back), ["CaseReturnedFromReferral", "SupervisionCleared"]);

    world.wait(chrono::TimeDelta::days(101));
    let archived = world.tick(closed).case;
    assert_eq!(archived.state, CaseState::Archived);
    assert_eq!(guard(archived.clone().remark(&world.system())), "case_archived");
    assert!(archived.said_after_end(&world.system()).unwrap().events.is_empty());
}

#[test]
fn an_emergency_is_handed_over_when_it_is_registered() {
    let mut world = World::new();
    let register = RegisterCase { item_code: Some("fire".into()), ..world.register() };
    let handed = Case::register(register, &world.resident()).unwrap();
    assert_eq!(names(&handed), ["CaseRegistered", "CaseHandedOff"]);
    let DomainEvent::CaseHandedOff { line_code, in_time: true } = &handed.events[1].event else {
        panic!("{handed:?}")
    };
    assert_eq!(line_code, "119");
    let actors: Vec<_> = handed.timeline.iter().map(|entry| entry.actor.clone()).collect();
    assert_eq!(actors, [requester(), PersonRef::system()], "nobody had to look at it");
    assert_eq!(handed.timeline[1].reason.as_ref().unwrap().code, "emergency_line");
    let case = handed.case;
    assert_eq!((case.state, case.closed_code), (CaseState::HandedOff, Some(ClosedCode::HandedOff)));
    let decision = case.routing.last().unwrap();
    assert_eq!((decision.kind, decision.by_human), (RoutingKind::HandedOff, false));
    assert_eq!(case.next_timer_at(), None, "time does not accept it");
    assert_eq!(violations(&case), Vec::<&str>::new());
    // It ends as what the window takes in does.
    let taken_in = world.intake("fire").case;
    assert_eq!((case.state, case.closed_code), (taken_in.state, taken_in.closed_code));

    // Whatever else comes with an item waits for a human.
    for item in ["court_matter", "gas_smell", "stairs"] {
        let register = RegisterCase { item_code: Some(item.into()), ..world.register() };
        let registered = Case::register(register, &world.resident()).unwrap();
        assert_eq!(names(&registered), ["CaseRegistered"], "{item}");
    }
}

#[test]
fn an_emergency_that_triage_finds_is_handed_over_at_once() {
    let mut world = World::new();
    for case in [world.accepted(), world.triaged("stairs")] {
        let found = case.triage(&triage("fire"), &world.official(STATION)).unwrap();
        assert_eq!(names(&found), ["CaseTriaged", "CaseHandedOff"]);
        let actors: Vec<_> = found.timeline.iter().map(|entry| entry.actor.clone()).collect();
        assert_eq!(actors, [official(STATION).actor, PersonRef::system()]);
        let case = found.case;
        assert_eq!((case.state, case.closed_code), (CaseState::HandedOff, Some(ClosedCode::HandedOff)));
        let decision = case.routing.last().unwrap();
        assert_eq!((decision.kind, decision.by_human), (RoutingKind::HandedOff, false));
        assert_eq!(case.next_timer_at(), None, "nobody has to dispatch it");
        assert_eq!(violations(&case), Vec::<&str>::new());
    }
    // What is urgent otherwise, or goes to a channel, waits for a dispatcher.
    for item in ["court_matter", "gas_smell", "stairs"] {
        let case = world.accepted();
        let urgent = TriageCase { urgency: Some(Urgency::Emergency), ..triage(item) };
        let triaged = case.triage(&urgent, &world.official(STATION)).unwrap();
        assert_eq!(
            (names(&triaged), triaged.case.state),
            (vec!["CaseTriaged"], CaseState::Triaged),
            "{item}"
        );
    }
}

#[test]
fn nobody_waits_without_having_been_told_in_writing() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let untold = case.clone().suspend("expert_review", "", None, &world.official(STATION));
    assert_eq!(guard(untold), "told_ref");
    let waits = case.suspend("expert_review", "doc:told-7", None, &world.official(STATION)).unwrap();
    assert_eq!(waits.case.suspension.as_ref().unwrap().told_ref, "doc:told-7");
    // When it goes on the timeline still says by what the requester was told.
    let reason = first_reason(&waits);
    assert_eq!((reason.code.as_str(), reason.args["told_ref"].as_str()), ("expert_review", "doc:told-7"));
    assert!(reason.render(Language::Chinese).contains("doc:told-7"));
}

#[test]
fn how_the_requester_was_reached_is_told() {
    for (method, code) in [
        (ContactMethod::Phone, "contacted_by_phone"),
        (ContactMethod::Visit, "contacted_by_visit"),
        (ContactMethod::Message, "contacted_by_message"),
    ] {
        let mut world = World::new();
        let case = world.signed("stairs");
        let contacted = case.contact(method, &world.official(STATION)).unwrap();
        let reason = first_reason(&contacted);
        assert_eq!(reason.code, code);
        assert_ne!(reason.render(Language::English), code, "it has a text");
    }
    assert_eq!(ContactMethod::ALL.len(), 3);
}

#[test]
fn an_answer_to_a_supervision_stays_with_it() {
    let mut world = World::new();
    let case = world.in_progress("stairs");
    let case = case.supervise(1, "leader", None, &world.official(STREET_OFFICE)).unwrap().case;
    let id = case.supervisions[0].id;
    assert_eq!(case.supervisions[0].answer_code, "");
    let wrong = case.clone().answer_supervision(id, "Not a code", None, &world.official(STATION));
    assert_eq!(guard(wrong), "answer_code");
    let answered = case.answer_supervision(id, "no_capacity", None, &world.official(STATION)).unwrap();
    assert_eq!(first_reason(&answered).code, "no_capacity");
    // Found wanting: what was said stays until something else is.
    let up = answered.case.escalate_supervision(id, "no_progress", &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(up.case.supervisions[0].answer_code, "no_capacity");
    let again = up.case.answer_supervision(id, "help_came", None, &world.official(STATION)).unwrap().case;
    assert_eq!(again.supervisions[0].answer_code, "help_came");
}

#[test]
fn why_a_rating_was_judged_so_is_told() {
    let mut world = World::new();
    let rated = world.resolved("stairs").rate(2, &world.resident()).unwrap().case;
    let rated = world.heard(rated);
    let wrong = rated.clone().judge_rating(false, "Not a code", &world.official(VERIFIER));
    assert_eq!(guard(wrong), "reason_code");
    let judged = rated.clone().judge_rating(false, "complaint_unfounded", &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&judged), ["RatingJudged", "CaseClosed"]);
    assert_eq!(first_reason(&judged).code, "complaint_unfounded");
    assert_eq!(judged.case.rating.unwrap().judge_reason.as_deref(), Some("complaint_unfounded"));
    // Valid: the rating goes with the result that it was about, the reason stays in the timeline.
    let judged = rated.clone().judge_rating(true, "complaint_founded", &world.official(VERIFIER)).unwrap();
    assert_eq!((first_reason(&judged).code.as_str(), judged.case.rating), ("complaint_founded", None));
    let without = rated.judge_rating(false, "", &world.official(VERIFIER)).unwrap();
    assert_eq!((&without.timeline[0].reason, without.case.rating.unwrap().judge_reason), (&None, None));
}

#[test]
fn an_objection_keeps_all_that_it_relies_on() {
    let mut world = World::new();
    let case = world.dispatched("street_light");
    let basis_refs = codes(&["doc:list-2026", "doc:minutes-3", "photo:1"]);
    let nameless = ObjectTask { basis_refs: codes(&["doc:list-2026", ""]), ..objection(&case) };
    assert_eq!(guard(case.clone().object(nameless, &world.official(STREET_OFFICE))), "basis_refs");
    let command = ObjectTask { basis_refs: basis_refs.clone(), ..objection(&case) };
    let case = case.object(command, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.objection.as_ref().unwrap().evidence_refs, basis_refs);
    let kept: Vec<_> = case.evidence.iter().map(|evidence| evidence.reference.clone()).collect();
    assert_eq!(kept, basis_refs);
}

#[test]
fn cases_of_an_earlier_release_are_read_and_go_on() {
    let mut world = World::new();
    let case = world.registered();
    let asked = case.request_supplement(codes(&["id_copy"]), &world.official(STATION)).unwrap().case;
    let older = of_an_earlier_release(&asked, &[("", "supplement")]);
    assert_eq!(older.supplement, None);
    // The list was not kept, so anything will do; nothing will not.
    assert_eq!(guard(older.clone().supplement(Materials::default(), &world.resident())), "material_codes");
    let again = Case { state: CaseState::Registered, ..older.clone() };
    let again = again.request_supplement(codes(&["one_more"]), &world.official(STATION));
    assert_eq!(guard(again), "supplement_asked_before");
    let sent = older.supplement(materials(&["id_copy"]), &world.resident()).unwrap().case;
    let known = sent.supplement.unwrap();
    assert_eq!((known.asked, known.asked_at, known.sent), (vec![], world.now, codes(&["id_copy"])));

    let case = world.in_progress("stairs");
    let waits = case.suspend("expert_review", "doc:told", None, &world.official(STATION)).unwrap().case;
    let older = of_an_earlier_release(&waits, &[("/suspension", "told_ref")]);
    assert_eq!(older.suspension.as_ref().unwrap().told_ref, "");
    assert_eq!(older.resume(&world.official(STATION)).unwrap().case.state, CaseState::InProgress);

    let case = world.in_progress("stairs");
    let case = case.supervise(1, "leader", None, &world.official(STREET_OFFICE)).unwrap().case;
    let id = case.supervisions[0].id;
    let answered = case.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap().case;
    let older = of_an_earlier_release(&answered, &[("/supervisions/0", "answer_code")]);
    assert_eq!(older.supervisions[0].answer_code, "");

    let rated = world.resolved("stairs").rate(1, &world.resident()).unwrap().case;
    let rated = world.heard(rated);
    let judged = rated.judge_rating(false, "complaint_unfounded", &world.official(VERIFIER)).unwrap().case;
    let older = of_an_earlier_release(&judged, &[("/rating", "judge_reason")]);
    assert_eq!(older.rating.unwrap().judge_reason, None);

    let objected = world.objected("street_light");
    let older = of_an_earlier_release(&objected, &[("/objection", "evidence_refs")]);
    assert_eq!(older.objection.unwrap().evidence_refs, Vec::<String>::new());
}

#[test]
fn what_is_handed_in_is_kept_with_its_task_and_for_whom_it_was_given() {
    let mut world = World::new();
    let case = world.in_progress("street_light");
    let lead = case.lead_task.unwrap();
    let assist = case.tasks.iter().find(|task| task.part == TaskPart::Assist).unwrap().id;
    let photo = |reference: &str| vec![(EvidenceKind::Photo, reference.to_owned())];
    let case = case.sign(assist, &world.official(URBAN)).unwrap().case;
    let case = case.submit_task(assist, photo("photo:1"), &world.official(URBAN)).unwrap().case;
    let case = world.complete(case);
    let found = VerifyCase { evidence: photo("photo:2"), ..found_good() };
    let case = case.verify(&found, &world.official(VERIFIER)).unwrap().case;
    let kept: Vec<_> =
        case.evidence.iter().map(|one| (one.reference.as_str(), one.task_id, one.org_id)).collect();
    let expected = [
        ("photo:1", Some(assist), Some(URBAN)),
        ("photo-1", Some(lead), Some(STREET_OFFICE)),
        ("photo:2", None, Some(VERIFIER)),
    ];
    assert_eq!(kept, expected);

    let older = of_an_earlier_release(&case, &[("/evidence/0", "task_id"), ("/evidence/0", "org_id")]);
    assert_eq!((older.evidence[0].task_id, older.evidence[0].org_id), (None, None));
    assert_eq!(older.evidence[1..], case.evidence[1..]);

    // What a partner did is heard of by the system.
    let case = world.with_partner();
    let (offer, lead) = (case.offer.clone().unwrap().id, case.lead_task);
    let done = case.social_completed(offer, &[], &world.system()).unwrap().unwrap().case;
    assert_eq!((done.evidence[0].task_id, done.evidence[0].org_id), (lead, Some(GROUP)));
}
