//! Whoever is complained of steps aside: in triage, in dispatch by hand, in every check, in arbitration, and wherever the complaint is
//! merged to.

use chrono::TimeDelta;

use super::super::*;
use super::table::{in_arbitration, ruling};
use super::world::*;

/// Taken in at the station.
fn complaint(world: &mut World, of: OrgId) -> Case {
    let register = RegisterCase { complained_of: Some(of), ..world.register() };
    let case = Case::register(register, &world.official(STATION)).unwrap().case;
    case.accept(&world.official(STATION)).unwrap().case
}

fn naming(of: OrgId) -> TriageCase {
    TriageCase { complained_of: Some(of), ..triage("street_light") }
}

#[test]
fn whom_it_complains_of_is_said_by_others_than_that_one_and_is_an_organisation() {
    let mut world = World::new();
    let case = complaint(&mut world, STREET_OFFICE);
    for of in [HOUSING, STREET_OFFICE] {
        assert_eq!(guard(case.clone().triage(&naming(of), &world.official(STREET_OFFICE))), "recused");
    }
    let nobody = OrgId(CITY.0);
    assert_eq!(guard(case.clone().triage(&naming(nobody), &world.official(STATION))), "subject_org_id");
    let register = RegisterCase { complained_of: Some(nobody), ..world.register() };
    assert_eq!(guard(Case::register(register, &world.official(STATION))), "subject_org_id");

    let other = case.triage(&naming(HOUSING), &world.official(STATION)).unwrap().case;
    assert_eq!(other.complained_of, Some(HOUSING));
    let as_before = other.triage(&triage("stairs"), &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(as_before.complained_of, Some(HOUSING), "nothing was said of it");
}

#[test]
fn what_happens_by_itself_happens_whoever_is_complained_of() {
    let mut world = World::new();
    let fire =
        RegisterCase { complained_of: Some(STATION), item_code: Some("fire".into()), ..world.register() };
    let gone = Case::register(fire, &world.official(STATION)).unwrap().case;
    assert_eq!(gone.state, CaseState::HandedOff);
    let case = Case { complained_of: Some(STATION), ..world.registered() };
    world.now = case.clock(ClockKind::Accept, None).unwrap().due_at;
    assert_eq!(world.tick(case).case.state, CaseState::Accepted);
}

#[test]
fn whoever_is_complained_of_verifies_calls_judges_and_writes_down_nothing() {
    let mut world = World::new();
    world.complained_of = Some(VERIFIER);
    let case = world.completed("stairs");
    assert_eq!((case.state, &case.verification), (CaseState::Completed, &None), "no other verifies");
    assert_eq!(guard(case.clone().start_verification(&world.official(VERIFIER))), "recused");
    let case = case.start_verification(&world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(guard(case.clone().verify(&found_good(), &world.official(VERIFIER))), "recused");
    let case = case.verify(&found_good(), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(guard(case.clone().rate(5, &world.official(VERIFIER))), "requester");
    let rated = case.rate(1, &world.resident()).unwrap().case;
    assert_eq!(rated.rating.as_ref().unwrap().judge, Some(GOVERNMENT));
    assert_eq!(guard(rated.clone().record_callback(&reached(2), &world.official(VERIFIER))), "recused");
    for valid in [true, false] {
        assert_eq!(guard(rated.clone().judge_rating(valid, "", &world.official(VERIFIER))), "recused");
    }
    assert_eq!(guard(rated.clone().order_rework("not_done", &world.official(VERIFIER))), "recused");
    assert!(rated.judge_rating(true, "", &world.official(GOVERNMENT)).is_ok());
}

#[test]
fn another_verifier_is_asked_and_another_superior_sees_to_it() {
    let mut world = World::of(TableParts { verifiers: vec![VERIFIER, COURTS], ..parts() });
    world.complained_of = Some(VERIFIER);
    let case = world.completed("stairs");
    assert_eq!(case.verification.as_ref().unwrap().verifier, COURTS);

    for (of, superior) in [(HOUSING, STREET_OFFICE), (STREET_OFFICE, GOVERNMENT)] {
        let mut world = World::without_verifier();
        world.complained_of = Some(of);
        let case = world.completed("stairs");
        world.now = case.clock(ClockKind::Verify, None).unwrap().due_at;
        let late = world.tick(case).case;
        let about = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Verify)).unwrap();
        assert_eq!(late.supervised(about), superior);
    }
}

#[test]
fn a_verifier_that_turns_out_to_be_complained_of_makes_way_for_whoever_had_no_part() {
    let mut world = World::new();
    let case = world.completed("stairs");
    let case = case.record_callback(&reached(5), &world.official(VERIFIER)).unwrap().case;
    let case = Case { complained_of: Some(VERIFIER), ..case };
    assert_eq!(guard(case.clone().verify(&found_good(), &world.official(VERIFIER))), "recused");
    assert_eq!(guard(case.clone().order_rework("not_done", &world.official(VERIFIER))), "recused");
    assert_eq!(guard(case.clone().verify(&found_good(), &world.official(STATION))), "verifier");
    let unheard = VerifyCase { callback: None, ..found_good() };
    let refused = case.clone().verify(&unheard, &world.official(GOVERNMENT));
    assert_eq!(guard(refused), "callback_outstanding", "what that one was told does not count");
    let verified = case.verify(&found_good(), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(verified.state, CaseState::Resolved);
    assert_eq!(verified.verification.as_ref().unwrap().verifier, GOVERNMENT);
    assert_eq!(violations(&verified), Vec::<&str>::new());
}

#[test]
fn whoever_is_complained_of_does_not_arbitrate() {
    let mut world = World::new();
    let superior = |aside| world.routes.superior_apart(&[STATION, COMMITTEE], Some(aside), world.now);
    assert_eq!(superior(STREET_OFFICE), Some(GOVERNMENT));
    assert_eq!(superior(HOUSING), Some(STREET_OFFICE), "it is no party");
    world.complained_of = Some(GOVERNMENT);
    let case = world.objected("street_light");
    assert_eq!(guard(case.open_arbitration(&[], None, &world.official(GOVERNMENT))), "no_arbiter");

    let mut world = World::of(TableParts { joint_body: Some(COURTS), ..parts() });
    world.complained_of = Some(GOVERNMENT);
    let case = world.objected("street_light");
    let case = case.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(case.objection.as_ref().unwrap().arbiter, Some(COURTS));
    world.wait(TimeDelta::days(3));
    let case = world.tick(case).case;
    let own = case.clone().rule_objection(&ruling(HOUSING), &world.official(GOVERNMENT));
    assert_eq!(guard(own), "recused");
    let ruled = case.rule_objection(&ruling(HOUSING), &world.official(COURTS)).unwrap().case;
    let review = ruled.request_review("wrong_item", &world.official(HOUSING)).unwrap().case;
    assert_eq!(review.objection.as_ref().unwrap().arbiter, Some(COURTS), "nobody else is left");
    assert_eq!(violations(&review), Vec::<&str>::new());
}

/// As when another case, which complains of that organisation, is merged into it.
fn takes(case: &Case, of: OrgId, world: &mut World) -> Result<Decision> {
    let other = CaseId(world.fresh());
    let complaint = Complaint { of, by: vec![other] };
    case.clone().take_in(&[other], Some(&complaint), &world.official(STATION))
}

#[test]
fn a_complaint_does_not_come_into_what_the_one_complained_of_has_in_hand() {
    let mut world = World::new();
    let led = world.dispatched("street_light");
    let (offered, partner) = (world.dispatched("shopping_help"), world.with_partner());
    let verifying = world.completed("stairs");
    let rated = world.resolved("stairs").rate(1, &world.resident()).unwrap().case;
    let arbitrated = in_arbitration(&mut world);
    let answer = AnswerCase { explanation_ref: "kb-7".into(), closed_code: ClosedCode::BeyondAuthority };
    let answered = world.triaged("stairs").answer(answer, &world.official(HOUSING)).unwrap().case;
    for (case, of) in [
        (&led, STREET_OFFICE),
        (&led, URBAN),
        (&offered, GROUP),
        (&partner, GROUP),
        (&verifying, STATION),
        (&verifying, VERIFIER),
        (&rated, VERIFIER),
        (&arbitrated, GOVERNMENT),
        (&arbitrated, URBAN),
        (&answered, HOUSING),
    ] {
        assert_eq!(case.bars_complaint(of), Some("recused"), "{of}: {}", case.state);
        assert_eq!(guard(takes(case, of, &mut world)), "recused", "{of}: {}", case.state);
    }
    let received = takes(&led, STATION, &mut world).unwrap().case;
    assert_eq!((received.complained_of, received.merged.len()), (Some(STATION), 1), "it only received it");
    let known = Case { complained_of: Some(HOUSING), ..led };
    assert_eq!(guard(takes(&known, COURTS, &mut world)), "another_subject");
    let same = takes(&known, HOUSING, &mut world).unwrap().case;
    let own = same.complaint().unwrap();
    assert_eq!((own.of, own.by.len(), own.by[0]), (HOUSING, 2, same.id), "of its own as well");
    let gone = world.registered().withdraw("solved_itself", None, &world.resident()).unwrap().case;
    assert!(matches!(takes(&gone, HOUSING, &mut world), Err(DomainError::WrongState { .. })));
}

#[test]
fn a_complaint_comes_with_those_that_make_it_and_goes_with_the_last_of_them() {
    let mut world = World::new();
    let ids: Vec<CaseId> = (0..2).map(|_| CaseId(world.fresh())).collect();
    let case = world.triaged("street_light");
    let by = |id: CaseId| Complaint { of: STREET_OFFICE, by: vec![id] };
    let case = case.take_in(&ids[..1], Some(&by(ids[0])), &world.official(STATION)).unwrap().case;
    assert_eq!(case.complaint(), Some(by(ids[0])));
    let text = serde_json::to_string(&case).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
    let sent = case.clone().dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(sent.lead_org, Some(URBAN), "the router passes it over");
    assert_eq!(guard(case.clone().triage(&naming(HOUSING), &world.official(STREET_OFFICE))), "recused");

    let both = case.take_in(&ids[1..], Some(&by(ids[1])), &world.official(STATION)).unwrap().case;
    assert_eq!(both.complaint().unwrap().by, ids);
    let one = both.clone().absorb(&ids[..1], false, &world.official(STATION)).unwrap().case;
    assert_eq!(one.complaint(), Some(by(ids[1])));
    let none = one.absorb(&ids[1..], false, &world.official(STATION)).unwrap().case;
    assert_eq!((none.complained_of, none.complained_through.len()), (None, 0));

    // Said of this one, too, it stays.
    let said = both.triage(&naming(STREET_OFFICE), &world.official(STATION)).unwrap().case;
    let left = said.absorb(&ids, false, &world.official(STATION)).unwrap().case;
    assert_eq!(left.complaint(), Some(Complaint { of: STREET_OFFICE, by: vec![left.id] }));
}

#[test]
fn a_merger_is_not_taken_back_by_whom_the_case_complains_of() {
    let mut world = World::new();
    let other = CaseId(world.fresh());
    let case = complaint(&mut world, STREET_OFFICE);
    let merged = case.merge(other, &world.official(STATION)).unwrap().case;
    assert_eq!(guard(merged.clone().unmerge(&world.official(STREET_OFFICE))), "recused");
    let back = merged.unmerge(&world.official(STATION)).unwrap().case;
    assert_eq!(back.complained_of, Some(STREET_OFFICE));
}

#[test]
fn the_word_of_a_joined_requester_is_not_judged_by_whom_either_case_complains_of() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    let original = |case: &Case, world: &World| Original::of(case, &world.rules, &world.routes);
    let own = complaint(&mut world, HOUSING);
    let own = own.merge(resolved.id, &world.official(STATION)).unwrap().case;
    let about = original(&resolved, &world);
    let rated = own.rate_merged(1, &about, &world.resident()).unwrap().case;
    assert_eq!(guard(rated.judge_merged(true, "", &about, &world.official(HOUSING))), "recused");

    let complained = Case { complained_of: Some(HOUSING), ..resolved };
    let joined = world.registered().merge(complained.id, &world.official(STATION)).unwrap().case;
    let about = original(&complained, &world);
    let rated = joined.rate_merged(1, &about, &world.resident()).unwrap().case;
    assert_eq!(rated.rating.as_ref().unwrap().judge, Some(VERIFIER));
    let at = rated.rating.as_ref().unwrap().at;
    assert_eq!(guard(rated.judge_merged(true, "", &about, &world.official(HOUSING))), "rating_judge");
    assert_eq!(guard(complained.heed_joined(at, &world.official(HOUSING))), "rating_judge");
}

#[test]
fn whoever_is_complained_of_sends_nothing_by_hand_and_leaves_it_to_the_router_and_to_others() {
    let mut world = World::new();
    world.complained_of = Some(STREET_OFFICE);
    let case = world.triaged("street_light");
    for choice in [manual(URBAN), sends(Chooser::Dispatcher, URBAN, &[COURTS])] {
        assert_eq!(guard(case.clone().dispatch(&choice, &world.official(STREET_OFFICE))), "recused");
    }
    let by_superior = case.clone().dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(by_superior.lead_org, Some(URBAN));
    let routed = case.dispatch(&RouteChoice::Auto, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(routed.lead_org, Some(URBAN), "by the list");

    let waiting = world.dispatched("nobodys");
    let proposal = RouteChoice::Confirmed(waiting.routing.last().unwrap().id);
    assert_eq!(guard(waiting.clone().dispatch(&proposal, &world.official(STREET_OFFICE))), "recused");
    let confirmed = waiting.dispatch(&proposal, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(confirmed.lead_org, Some(GOVERNMENT));

    let offered = world.dispatched("shopping_help");
    for choice in [RouteChoice::Auto, RouteChoice::PublicService] {
        assert_eq!(guard(offered.clone().dispatch(&choice, &world.official(STREET_OFFICE))), "recused");
        assert!(offered.clone().dispatch(&choice, &world.official(GOVERNMENT)).is_ok());
    }

    let objected = world.objected("stairs");
    let by_hand = objected.clone().redispatch(&manual(URBAN), &world.official(STREET_OFFICE));
    assert_eq!(guard(by_hand), "recused");
    let by_list = objected.redispatch(&RouteChoice::PublicService, &world.official(STREET_OFFICE));
    assert_eq!(by_list.unwrap().case.lead_org, Some(HOUSING));

    let sent = world.dispatched("stairs");
    assert_eq!(guard(sent.clone().recall("mis_dispatch", &world.official(STREET_OFFICE))), "recused");
    assert!(sent.recall("mis_dispatch", &world.official(GOVERNMENT)).is_ok());
    let worked_on = world.in_progress("stairs");
    let whistle = WhistleCase { orgs: vec![URBAN], report_within: None, reason_code: "joint_work".into() };
    assert_eq!(guard(worked_on.whistle(&whistle, &world.official(STREET_OFFICE))), "recused");
}

#[test]
fn a_complaint_about_the_district_goes_on_where_the_router_knows_nobody() {
    let mut world = World::new();
    world.complained_of = Some(GOVERNMENT);
    let known = world.triaged("street_light");
    assert_eq!(guard(known.dispatch(&manual(URBAN), &world.official(GOVERNMENT))), "recused");
    let unknown = world.triaged("nobodys");
    for by in [STATION, STREET_OFFICE, GOVERNMENT] {
        let routed = unknown.clone().dispatch(&RouteChoice::Auto, &world.official(by));
        assert_eq!(guard(routed), "no_route", "{by}");
    }
    assert_eq!(guard(unknown.clone().dispatch(&manual(GOVERNMENT), &world.official(GOVERNMENT))), "recused");
    let sent = unknown.dispatch(&manual(HOUSING), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(sent.lead_org, Some(HOUSING));
    // Nobody but the objector is on the list, and nobody stands above the district to arbitrate.
    let objected = sent.clone().object(objection(&sent), &world.official(HOUSING)).unwrap().case;
    let redispatched = objected.redispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(redispatched.lead_org, Some(URBAN));
}

#[test]
fn a_complaint_about_the_district_is_called_back_and_decided_over_by_the_district() {
    let mut world = World::new();
    world.complained_of = Some(GOVERNMENT);
    let case = world.triaged("nobodys");
    let sent = case.dispatch(&manual(HOUSING), &world.official(GOVERNMENT)).unwrap().case;
    let recalled = sent.clone().recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(recalled.state, CaseState::Triaged);
    let supervised = sent.clone().supervise(2, "leader", None, &world.official(GOVERNMENT)).unwrap().case;
    let id = supervised.supervisions[0].id;
    let cleared = supervised.clear_supervision(id, 2, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(cleared.supervisions[0].state, SupervisionState::Cleared);
    let objected = sent.clone().object(objection(&sent), &world.official(HOUSING)).unwrap().case;
    let kept = objected.reject_objection("duty_is_clear", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(kept.lead_org, Some(HOUSING));
}

#[test]
fn whoever_is_complained_of_decides_over_no_objection_by_hand() {
    let mut world = World::new();
    world.complained_of = Some(STREET_OFFICE);
    let case = world.objected("stairs");
    let refused = case.clone().reject_objection("duty_is_clear", &world.official(STREET_OFFICE));
    assert_eq!(guard(refused), "recused");
    let refused = case.clone().open_arbitration(&[], None, &world.official(STREET_OFFICE));
    assert_eq!(guard(refused), "recused");
    assert!(case.clone().reject_objection("duty_is_clear", &world.official(GOVERNMENT)).is_ok());
    assert!(case.clone().open_arbitration(&[], None, &world.official(GOVERNMENT)).is_ok());
    world.now = case.clock(ClockKind::Dispatch, None).unwrap().due_at;
    let late = world.tick(case).case;
    let about = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Dispatch)).unwrap();
    assert_eq!(late.supervised(about), GOVERNMENT, "who may decide is supervised for it");
}

/// The district does not decide over its own objection, and nobody else stands above a street.
#[test]
fn whoever_received_the_case_decides_over_the_objection_of_the_district_where_nobody_else_can() {
    let mut world = World::new();
    world.complained_of = Some(STREET_OFFICE);
    let waiting = world.dispatched("nobodys");
    let proposal = RouteChoice::Confirmed(waiting.routing.last().unwrap().id);
    let sent = waiting.dispatch(&proposal, &world.official(GOVERNMENT)).unwrap().case;
    let own = objection(&sent);
    let objected = sent.object(own, &world.official(GOVERNMENT)).unwrap().case;
    let by_street = Case { first_receiver: STREET_OFFICE, ..objected.clone() };
    assert!(by_street.reject_objection("duty_is_clear", &world.official(STREET_OFFICE)).is_ok());
    let by_station = Case { complained_of: Some(STATION), ..objected };
    let refused = by_station.clone().reject_objection("duty_is_clear", &world.official(STATION));
    assert_eq!(guard(refused), "recused");
    assert!(by_station.reject_objection("duty_is_clear", &world.official(STREET_OFFICE)).is_ok());
}

#[test]
fn whoever_stands_above_sees_to_the_dispatch_of_a_complaint_about_whoever_received_it() {
    let mut world = World::new();
    world.complained_of = Some(STATION);
    let case = world.accepted();
    world.now = case.clock(ClockKind::Dispatch, None).unwrap().due_at;
    let late = world.tick(case).case;
    let about = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Dispatch)).unwrap();
    assert_eq!((late.first_receiver, late.supervised(about)), (STATION, STREET_OFFICE));
}

#[test]
fn whoever_is_complained_of_clears_no_supervision() {
    let mut world = World::new();
    world.complained_of = Some(STREET_OFFICE);
    let case = world.in_progress("stairs");
    let case = case.supervise(1, "leader", None, &world.official(GOVERNMENT)).unwrap().case;
    let id = case.supervisions[0].id;
    assert_eq!(guard(case.clone().clear_supervision(id, 1, &world.official(STREET_OFFICE))), "recused");
    let cleared = case.clear_supervision(id, 2, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(cleared.supervisions[0].state, SupervisionState::Cleared);
}

#[test]
fn another_answers_for_what_was_promised_until_somebody_leads_where_the_first_receiver_is_complained_of() {
    let mut world = World::new();
    let case = Case { complained_of: Some(STATION), ..world.triaged("street_light") };
    let due_at = case.resolve_clock().unwrap().due_at;
    world.now = case.resolve_clock().unwrap().warn_at.unwrap()[0];
    let warned = world.tick(case);
    let reminded = warned.events.iter().find_map(|emitted| match emitted.event {
        DomainEvent::ClockWarned { clock: ClockKind::Resolve, org_id, .. } => Some(org_id),
        _ => None,
    });
    assert_eq!(reminded, Some(STREET_OFFICE));
    world.now = due_at;
    let late = world.tick(warned.case).case;
    let about = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Resolve));
    let about = about.unwrap().clone();
    assert_eq!((late.lead_org, late.supervised(&about)), (None, STREET_OFFICE));
    let own = late.clone().answer_supervision(about.id, "under_way", None, &world.official(STATION));
    assert_eq!(guard(own), "supervised_org");
    let by_hand = late.clone().supervise(1, "leader", None, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(by_hand.supervised(by_hand.supervisions.last().unwrap()), STREET_OFFICE);
    let sent = late.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(sent.supervised(&about), URBAN, "whoever leads, once somebody does");

    // Above the district nobody stands.
    let mut world = World::new();
    let own = Case { first_receiver: GOVERNMENT, ..world.triaged("street_light") };
    let case = Case { complained_of: Some(GOVERNMENT), ..own };
    world.now = case.resolve_clock().unwrap().due_at;
    let late = world.tick(case).case;
    let about = late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Resolve)).unwrap();
    assert_eq!(late.supervised(about), GOVERNMENT);
}

#[test]
fn another_stands_in_during_an_arbitration_where_the_first_receiver_is_complained_of() {
    let mut world = World::new();
    let interim = |case: &Case| case.objection.as_ref().unwrap().interim.clone().unwrap();
    let by_street = |measure: &str| Interim { org: STREET_OFFICE, measure_code: measure.into() };
    let objected = Case { complained_of: Some(STATION), ..world.objected("street_light") };
    let opened = objected.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap();
    assert_eq!(interim(&opened.case), by_street(STOP_GAP));
    let reason = opened.timeline.last().unwrap().reason.clone().unwrap();
    assert_eq!(
        (reason.code.as_str(), &reason.args["org"]),
        ("superior_stands_in", &STREET_OFFICE.to_string())
    );
    world.wait(TimeDelta::days(3));
    let heard = world.tick(opened.case).case;
    let other = RuleObjection { interim: Some("pump_out".into()), ..ruling(URBAN) };
    let ruled = heard.rule_objection(&other, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(interim(&ruled), by_street("pump_out"));

    // Of whom it complains is found out while it is arbitrated.
    let case = in_arbitration(&mut world);
    assert_eq!(interim(&case).org, STATION);
    let told = takes(&case, STATION, &mut world).unwrap().case;
    assert_eq!(interim(&told), by_street(STOP_GAP));
}

#[test]
fn whoever_stands_in_during_an_arbitration_finds_the_case() {
    let mut world = World::new();
    let case = Case { complained_of: Some(STATION), ..world.triaged("street_light") };
    let sent = case.dispatch(&manual(HOUSING), &world.official(GOVERNMENT)).unwrap().case;
    let own = objection(&sent);
    let objected = sent.object(own, &world.official(HOUSING)).unwrap().case;
    assert!(!objected.is_party(STREET_OFFICE), "it has no part in the case otherwise");
    let case = objected.open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(case.objection.as_ref().unwrap().interim.as_ref().unwrap().org, STREET_OFFICE);
    assert!(case.is_party(STREET_OFFICE) && case.asked_orgs().contains(&STREET_OFFICE));
}

#[test]
fn of_whom_it_complains_is_not_asked_to_decide_over_the_objection_of_an_assist() {
    let mut world = World::new();
    let case = world.triaged("nobodys");
    let choice = sends(Chooser::Dispatcher, URBAN, &[STATION]);
    let sent = case.dispatch(&choice, &world.official(STREET_OFFICE)).unwrap().case;
    let task = sent.tasks.iter().find(|task| task.org == STATION).unwrap().id;
    let command = ObjectTask { task_id: task, ..objection(&sent) };
    let objected = sent.object(command, &world.official(STATION)).unwrap().case;
    assert_eq!(objected.asked_orgs(), [STREET_OFFICE], "it sent the task");
    // Of whom it complains is found out while that waits.
    let told = takes(&objected, STREET_OFFICE, &mut world).unwrap().case;
    assert_eq!((told.asked_orgs(), told.is_party(STREET_OFFICE)), (vec![GOVERNMENT], false));
    let recused = told.clone().decide_assist_objection(task, true, "unclear", &world.official(STREET_OFFICE));
    assert_eq!(guard(recused), "recused");
    assert!(told.decide_assist_objection(task, true, "unclear", &world.official(GOVERNMENT)).is_ok());
}

#[test]
fn what_is_supervised_by_hand_is_the_leads_as_long_as_somebody_leads() {
    let mut world = World::new();
    let case = Case { complained_of: Some(STATION), ..world.triaged("street_light") };
    let case = case.supervise(1, "leader", None, &world.official(GOVERNMENT)).unwrap().case;
    let about = |case: &Case| case.supervised(&case.supervisions[0]);
    assert_eq!(about(&case), STREET_OFFICE);
    let sent = case.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(about(&sent), URBAN);
    let id = sent.supervisions[0].id;
    let cleared = sent.clone().clear_supervision(id, 3, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(about(&cleared), STREET_OFFICE, "as it was issued");
    let back = sent.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(about(&back), STREET_OFFICE, "never whom it complains of");
}
