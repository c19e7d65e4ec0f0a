//! F3 after the objection: hearing, agreement, ruling, compliance, the one review, and what becomes a precedent.

use calendar::{Limit, TimeUnit};
use chrono::{NaiveDate, TimeDelta};

use super::super::*;
use super::table::{ruled, ruling};
use super::world::*;

fn opened(world: &mut World) -> Case {
    let case = world.objected("street_light");
    case.open_arbitration(&[HOUSING], None, &world.official(GOVERNMENT)).unwrap().case
}

fn says(case: Case, world: &mut World, party: OrgId, lead: OrgId) -> Decision {
    case.take_position(lead, &world.official(party)).unwrap()
}

/// All name the department that was suggested.
fn agreed(world: &mut World) -> Case {
    let mut case = opened(world);
    for party in [STREET_OFFICE, HOUSING, URBAN] {
        case = says(case, world, party, URBAN).case;
    }
    case
}

fn helpers(case: &Case) -> Vec<OrgId> {
    let helps = |task: &&Task| task.part == TaskPart::Assist && task.state.is_live();
    case.tasks.iter().filter(helps).map(|task| task.org).collect()
}

/// The lists say that it is never given street lights.
fn without_lights(org: OrgId) -> TableParts {
    let mut parts = parts();
    parts.entries.push(entry("n-light", "street_light", org, ListPart::Negative));
    parts
}

#[test]
fn parties_that_all_say_the_same_have_agreed() {
    let mut world = World::new();
    let case = opened(&mut world);
    let promised = case.resolve_clock().unwrap().due_at;
    assert!(case.clock(ClockKind::Consult, None).unwrap().is_running());
    let case = says(case, &mut world, STREET_OFFICE, URBAN).case;
    assert_eq!(guard(case.clone().take_position(URBAN, &world.official(STREET_OFFICE))), "position_taken");
    assert_eq!(guard(case.clone().take_position(URBAN, &world.official(STATION))), "party");
    let case = says(case, &mut world, HOUSING, URBAN).case;
    let agreed = says(case, &mut world, URBAN, URBAN);
    assert_eq!(
        names(&agreed),
        [
            "ArbitrationPositionTaken",
            "ArbitrationAgreed",
            "TaskCancelled",
            "TaskCancelled",
            "CaseRedispatched",
            "TaskIssued"
        ]
    );
    assert_eq!((agreed.case.lead_org, agreed.case.state), (Some(URBAN), CaseState::Dispatched));
    assert_eq!(agreed.case.resolve_clock().unwrap().due_at, promised);
    assert_eq!((agreed.case.objection_count, agreed.case.lead_change_count), (1, 1));
    // What was agreed is not reviewed; signing makes it final.
    assert_eq!(guard(agreed.case.clone().request_review("wrong_item", &world.official(URBAN))), "not_ruled");
    let lead = agreed.case.lead_task.unwrap();
    let signed = agreed.case.sign(lead, &world.official(URBAN)).unwrap();
    assert_eq!(names(&signed), ["TaskSigned", "ArbitrationFinal"]);
}

#[test]
fn the_parties_have_the_time_that_the_limits_of_the_case_give_them() {
    let mut world = World::new();
    world.rules.standard.consult = Limit::new(TimeUnit::WorkDay, 3);
    let case = opened(&mut world);
    // From Monday, the 8th.
    assert_eq!(case.clock(ClockKind::Consult, None).unwrap().due_at, at("2026-06-11T17:00:00"));
}

#[test]
fn parties_that_differ_or_stay_silent_are_ruled_on_by_nobody_else_than_their_superior() {
    let mut world = World::new();
    let case = opened(&mut world);
    let case = says(case, &mut world, STREET_OFFICE, URBAN).case;
    let case = says(case, &mut world, URBAN, HOUSING).case;
    assert_eq!(
        guard(case.clone().rule_objection(&ruling(URBAN), &world.official(GOVERNMENT))),
        "consultation_open"
    );
    let heard = says(case.clone(), &mut world, HOUSING, STREET_OFFICE).case;
    let silent = {
        world.wait(TimeDelta::days(2));
        world.tick(case).case
    };
    assert_eq!(guard(silent.clone().take_position(URBAN, &world.official(HOUSING))), "consultation_over");
    for case in [heard, silent] {
        assert!(case.clock(ClockKind::Ruling, None).unwrap().is_running());
        for party in [STREET_OFFICE, URBAN, HOUSING, STATION] {
            assert_eq!(guard(case.clone().rule_objection(&ruling(URBAN), &world.official(party))), "arbiter");
        }
        let with_help = RuleObjection { assists: vec![HOUSING], ..ruling(URBAN) };
        let ruled = case.rule_objection(&with_help, &world.official(GOVERNMENT)).unwrap();
        let DomainEvent::ArbitrationRuled { objection_upheld: true, precedent: false, .. } =
            ruled.events[0].event
        else {
            panic!("{ruled:?}")
        };
        assert_eq!((ruled.case.lead_org, helpers(&ruled.case)), (Some(URBAN), vec![HOUSING]));
    }
}

#[test]
fn an_urgent_case_is_ruled_on_at_once_and_a_late_arbiter_is_supervised() {
    let mut world = World::new();
    let mut urgent = opened(&mut world);
    urgent.urgency = Urgency::Urgent;
    assert!(urgent.rule_objection(&ruling(URBAN), &world.official(GOVERNMENT)).is_ok());

    let case = opened(&mut world);
    world.wait(TimeDelta::days(8));
    let late = world.tick(case).case;
    let about =
        late.supervisions.iter().find(|known| known.clock == Some(ClockKind::Ruling)).unwrap().clone();
    assert!(about.level >= 2);
    assert_eq!(late.supervised(&about), GOVERNMENT);
    let ruled = late.rule_objection(&ruling(URBAN), &world.official(GOVERNMENT)).unwrap();
    assert!(names(&ruled).contains(&"SupervisionCleared"));
}

#[test]
fn a_ruling_is_reviewed_once_by_somebody_else_and_then_final() {
    let mut world = World::new();
    let case = ruled(&mut world);
    let promised = case.resolve_clock().unwrap().due_at;
    assert_eq!(case.lead_org, Some(HOUSING));
    assert_eq!(guard(case.clone().request_review("wrong_item", &world.official(URBAN))), "lead_org");
    let review = case.clone().request_review("wrong_item", &world.official(HOUSING)).unwrap();
    assert_eq!(names(&review), ["ArbitrationReviewRequested"]);
    let under = review.case;
    assert_eq!(under.resolve_clock().unwrap().due_at, promised);
    assert!(under.resolve_clock().unwrap().is_running());
    // Nobody stands above the district here: its own government looks again, by another person.
    assert_eq!(guard(under.clone().rule_review(&ruling(URBAN), &world.official(GOVERNMENT))), "own_ruling");
    let other = || Party { actor: PersonRef("o-other".into()), ..official(GOVERNMENT) };
    let kept = under.clone().rule_review(&ruling(HOUSING), &world.act(other())).unwrap();
    assert_eq!(names(&kept), ["ArbitrationRuled", "CaseRedispatched", "ArbitrationFinal"]);
    assert_eq!(guard(kept.case.clone().request_review("wrong_item", &world.official(HOUSING))), "not_ruled");
    let changed = under.rule_review(&ruling(URBAN), &world.act(other())).unwrap();
    assert_eq!(changed.case.lead_org, Some(URBAN));
    let mut again = objection(&changed.case);
    again.task_id = changed.case.lead_task.unwrap();
    assert_eq!(guard(changed.case.object(again, &world.official(URBAN))), "ruling_is_final");

    world.wait(TimeDelta::days(4));
    assert_eq!(guard(case.request_review("wrong_item", &world.official(HOUSING))), "review_too_late");
}

#[test]
fn a_review_goes_to_the_level_above_or_the_joint_body() {
    const JOINT: OrgId = COURTS;
    let mut world = World::of(TableParts { joint_body: Some(JOINT), ..parts() });
    assert_eq!(world.routes.common_superior(&[GOVERNMENT, URBAN], world.now), Some(JOINT));
    let case = ruled(&mut world);
    let under = case.request_review("wrong_item", &world.official(HOUSING)).unwrap().case;
    assert_eq!(under.objection.as_ref().unwrap().arbiter, Some(JOINT));
    assert_eq!(guard(under.clone().rule_review(&ruling(URBAN), &world.official(GOVERNMENT))), "arbiter");
    assert!(under.rule_review(&ruling(URBAN), &world.official(JOINT)).is_ok());
}

#[test]
fn a_precedent_looks_ahead_and_leaves_the_case_as_any_ruling_does() {
    let mut world = World::new();
    let case = opened(&mut world);
    world.wait(TimeDelta::days(2));
    let case = world.tick(case).case;
    let from =
        |day: &str| RuleObjection { precedent: Some(day.parse::<NaiveDate>().unwrap()), ..ruling(URBAN) };
    let today = calendar::local_day(world.now).to_string();
    for past in ["2026-01-01", today.as_str()] {
        assert_eq!(
            guard(case.clone().rule_objection(&from(past), &world.official(GOVERNMENT))),
            "effective_on"
        );
    }
    let plain = case.clone().rule_objection(&ruling(URBAN), &world.official(GOVERNMENT)).unwrap();
    let binding = case.rule_objection(&from("2026-07-01"), &world.official(GOVERNMENT)).unwrap();
    assert_eq!(names(&plain), names(&binding));
    let DomainEvent::ArbitrationRuled { precedent: true, .. } = binding.events[0].event else { panic!() };
    let facts = |decision: &Decision| decision.events.last().unwrap().facts.clone();
    assert_eq!(facts(&plain), facts(&binding), "C-8: what is counted of this case is the same");
}

#[test]
fn the_first_receiver_stands_in_until_somebody_leads_by_a_ruling() {
    let mut world = World::new();
    let case = world.objected("street_light");
    assert_eq!(case.objection.as_ref().unwrap().interim, None, "the dispatcher has not decided yet");
    let usual = case.clone().open_arbitration(&[], None, &world.official(GOVERNMENT)).unwrap();
    let interim = |case: &Case| case.objection.as_ref().unwrap().interim.clone().unwrap();
    let by_station = |measure: &str| Interim { org: STATION, measure_code: measure.into() };
    assert_eq!(interim(&usual.case), by_station(STOP_GAP));
    let reason = usual.timeline.last().unwrap().reason.clone().unwrap();
    assert_eq!(
        (reason.code.as_str(), &reason.args["org"]),
        ("first_receiver_stands_in", &STATION.to_string())
    );
    let wrong = case.clone().open_arbitration(&[], Some("Fence it off!"), &world.official(GOVERNMENT));
    assert_eq!(guard(wrong), "interim_measure_code");
    let case = case.open_arbitration(&[], Some("fence_off"), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(interim(&case), by_station("fence_off"));
    world.wait(TimeDelta::days(2));
    let case = world.tick(case).case;
    let kept = case.clone().rule_objection(&ruling(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(interim(&kept), by_station("fence_off"));
    let other = RuleObjection { interim: Some("pump_out".into()), ..ruling(URBAN) };
    let other = case.rule_objection(&other, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(interim(&other), by_station("pump_out"));
}

#[test]
fn an_unclear_duty_is_put_to_whoever_defines_duties_with_the_ruling() {
    let mut world = World::new();
    let case = opened(&mut world);
    world.wait(TimeDelta::days(2));
    let case = world.tick(case).case;
    let asks = |org, code: &str| RuleObjection {
        definition: Some(DefinitionRequest { org, code: code.into() }),
        ..ruling(URBAN)
    };
    let nobody = case.clone().rule_objection(&asks(OrgId(CITY.0), "whose_duty"), &world.official(GOVERNMENT));
    assert_eq!(guard(nobody), "definition_org_id");
    let unclear = case.clone().rule_objection(&asks(COURTS, "Whose?"), &world.official(GOVERNMENT));
    assert_eq!(guard(unclear), "definition_code");
    assert!(!case.is_party(COURTS));
    let ruled = case.rule_objection(&asks(COURTS, "whose_duty"), &world.official(GOVERNMENT)).unwrap();
    let definition = ruled.case.objection.as_ref().unwrap().ruling.clone().unwrap().definition.unwrap();
    assert_eq!(definition, DefinitionRequest { org: COURTS, code: "whose_duty".into() });
    assert!(ruled.case.is_party(COURTS), "who is asked reaches the case");
    let told = ruled.timeline[0].reason.clone().unwrap();
    assert_eq!((told.code.as_str(), told.args["definition"].as_str()), ("responsibility_list", "whose_duty"));

    // Cases of before hold neither.
    let mut stored = serde_json::to_value(&ruled.case).unwrap();
    let objection = stored["objection"].as_object_mut().unwrap();
    objection.remove("interim");
    objection["ruling"].as_object_mut().unwrap().remove("definition");
    let older: Case = serde_json::from_value(stored).unwrap();
    let older = older.objection.unwrap();
    assert_eq!((older.interim, older.ruling.unwrap().definition), (None, None));
}

#[test]
fn parties_that_agree_on_whom_nothing_lets_lead_are_ruled_on() {
    // The one is on the negative list, the other nobody has authority to send it to.
    for (table, named) in [(without_lights(HOUSING), HOUSING), (parts(), VERIFIER)] {
        let mut world = World::of(table);
        let case = world.objected("street_light");
        let mut case = case.open_arbitration(&[named], None, &world.official(GOVERNMENT)).unwrap().case;
        for party in [STREET_OFFICE, URBAN] {
            case = says(case, &mut world, party, named).case;
        }
        let last = says(case, &mut world, named, named);
        assert_eq!(names(&last), ["ArbitrationPositionTaken"], "nobody is bound");
        assert_eq!(last.timeline[0].reason.as_ref().unwrap().code, "agreed_lead_barred");
        let heard = last.case;
        let objection = heard.objection.as_ref().unwrap();
        assert_eq!((objection.state, objection.positions.len()), (ObjectionState::InArbitration, 3));
        assert!(heard.clock(ClockKind::Ruling, None).unwrap().is_running());
        assert_eq!(violations(&heard), Vec::<&str>::new());
        let ruled = heard.rule_objection(&ruling(URBAN), &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(ruled.lead_org, Some(URBAN));
    }
}

#[test]
fn whoever_is_complained_of_is_no_party() {
    let mut world = World::new();
    world.complained_of = Some(HOUSING);
    let case = world.objected("street_light");
    let named = case.open_arbitration(&[HOUSING], None, &world.official(GOVERNMENT));
    assert_eq!(guard(named), "recused");
    // Whom the objector suggests is not for the dispatcher to say.
    world.complained_of = Some(URBAN);
    let case = world.objected("street_light");
    assert_eq!(case.objection.as_ref().unwrap().suggested, Some(URBAN));
    let opened = case.open_arbitration(&[HOUSING], None, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(opened.objection.unwrap().parties, [STREET_OFFICE, HOUSING]);
}

/// C-7: the superior decides, and it is reviewed once; no dispatcher takes it back.
#[test]
fn a_recall_undoes_neither_a_ruling_nor_an_agreement() {
    let mut world = World::new();
    let sent = ruled(&mut world);
    let task = sent.lead_task.unwrap();
    let signed = sent.clone().sign(task, &world.official(HOUSING)).unwrap().case;
    let agreed = agreed(&mut world);
    for (case, lead, why, state) in [
        (sent, HOUSING, "chosen_by_arbiter", ObjectionState::Ruled),
        (signed, HOUSING, "chosen_by_arbiter", ObjectionState::Final),
        (agreed, URBAN, "chosen_by_agreement", ObjectionState::Agreed),
    ] {
        let case = case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(violations(&case), Vec::<&str>::new());
        for other in [STREET_OFFICE, COURTS] {
            let past = case.clone().dispatch(&manual(other), &world.official(GOVERNMENT));
            assert_eq!(guard(past), "ruling_is_final", "{other}");
        }
        assert_eq!(guard(case.clone().offer(&world.official(STREET_OFFICE))), "ruling_is_final");
        // By hand it goes there for whoever dispatches, though the street has no authority over the one department.
        for by in [STREET_OFFICE, GOVERNMENT] {
            let by_hand = case.clone().dispatch(&manual(lead), &world.official(by)).unwrap().case;
            assert_eq!(by_hand.lead_org, Some(lead), "{by}");
        }
        let again = case.dispatch(&RouteChoice::Auto, &world.official(STATION)).unwrap();
        assert_eq!(again.timeline[0].reason.as_ref().unwrap().code, why);
        let again = again.case;
        assert_eq!((again.lead_org, again.objection.as_ref().unwrap().state), (Some(lead), state));
        let against = objection(&again);
        assert_eq!(guard(again.clone().object(against, &world.official(lead))), "ruling_is_final");
        // The one review is there as long as nobody has signed.
        let review = again.clone().request_review("wrong_item", &world.official(lead));
        if state == ObjectionState::Ruled {
            assert!(review.is_ok());
        } else {
            assert_eq!(guard(review), "not_ruled");
        }
        let task = again.lead_task.unwrap();
        let signed = again.sign(task, &world.official(lead)).unwrap();
        let told = names(&signed).contains(&"ArbitrationFinal");
        assert_eq!(told, state != ObjectionState::Final, "told once");
        assert_eq!(signed.case.objection.unwrap().state, ObjectionState::Final);
    }
}

#[test]
fn whoever_a_ruling_names_to_help_is_called_again_after_a_recall() {
    let mut world = World::new();
    let case = opened(&mut world);
    world.wait(TimeDelta::days(2));
    let case = world.tick(case).case;
    let with_help = RuleObjection { assists: vec![COURTS], ..ruling(HOUSING) };
    let ruled = case.rule_objection(&with_help, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(helpers(&ruled), [URBAN, COURTS]);
    let case = ruled.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    assert!(helpers(&case).is_empty());
    let by_itself = case.clone().dispatch(&RouteChoice::Auto, &world.official(STATION)).unwrap().case;
    assert_eq!((by_itself.lead_org, helpers(&by_itself)), (Some(HOUSING), vec![URBAN, COURTS]));
    let by_hand = case.dispatch(&manual(HOUSING), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!((by_hand.lead_org, helpers(&by_hand)), (Some(HOUSING), vec![COURTS]));
}

#[test]
fn a_ruling_about_one_item_binds_nobody_who_leads_another() {
    let mut world = World::new();
    let sent = ruled(&mut world);
    let task = sent.lead_task.unwrap();
    let signed = sent.clone().sign(task, &world.official(HOUSING)).unwrap().case;
    for case in [sent, signed] {
        let recalled = case.recall("wrong_item", &world.official(GOVERNMENT)).unwrap().case;
        let other = recalled.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
        // Under its first name again it is the first matter.
        let first = other.clone().triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
        let past = first.dispatch(&manual(COURTS), &world.official(GOVERNMENT));
        assert_eq!(guard(past), "ruling_is_final");
        let other = other.dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
        assert_eq!(other.lead_org, Some(STATION));
        let own = objection(&other);
        let objected = other.object(own, &world.official(STATION)).unwrap().case;
        assert_eq!(objected.objection.unwrap().objector, STATION);
    }
}

#[test]
fn a_ruling_is_not_undone_by_way_of_another_item() {
    let mut world = World::new();
    let case = ruled(&mut world).recall("wrong_item", &world.official(GOVERNMENT)).unwrap().case;
    let other = case.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    let sent = other.clone().dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(sent.lead_org, Some(STATION));
    assert_eq!(guard(sent.clone().request_review("wrong_item", &world.official(STATION))), "not_ruled");
    let signed = sent.clone().sign(sent.lead_task.unwrap(), &world.official(STATION)).unwrap();
    assert!(!names(&signed).contains(&"ArbitrationFinal"), "it was ruled about another item");
    // Who was ruled to lead the one leads the other like anybody.
    let same_lead = other.dispatch(&manual(HOUSING), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(guard(same_lead.clone().request_review("wrong_item", &world.official(HOUSING))), "not_ruled");
    let own = objection(&same_lead);
    let objected = same_lead.object(own, &world.official(HOUSING)).unwrap().case;
    assert_eq!(objected.objection.unwrap().objector, HOUSING);

    let back = sent.recall("wrong_item", &world.official(GOVERNMENT)).unwrap().case;
    let first = back.triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
    let past = first.clone().dispatch(&manual(COURTS), &world.official(GOVERNMENT));
    assert_eq!(guard(past), "ruling_is_final");
    let again = first.dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(again.lead_org, Some(HOUSING));
    let task = again.lead_task.unwrap();
    let signed = again.sign(task, &world.official(HOUSING)).unwrap();
    assert!(names(&signed).contains(&"ArbitrationFinal"));
}

#[test]
fn a_ruling_of_an_earlier_release_about_an_item_that_is_not_known_binds_nobody() {
    let mut world = World::new();
    let mut case = ruled(&mut world);
    case.tasks.iter_mut().for_each(|task| task.item.clear());
    // Signed by whoever was ruled to lead, it is final as ever.
    let signed = case.clone().sign(case.lead_task.unwrap(), &world.official(HOUSING)).unwrap();
    assert!(names(&signed).contains(&"ArbitrationFinal"));
    let recalled = case.recall("wrong_item", &world.official(GOVERNMENT)).unwrap().case;
    let other = recalled.triage(&triage("stairs"), &world.official(STATION)).unwrap().case;
    assert_eq!(other.bound_lead(&world.routes, world.now), None);
    let elsewhere = other.clone().dispatch(&manual(COURTS), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(elsewhere.lead_org, Some(COURTS));
    let sent = other.dispatch(&manual(HOUSING), &world.official(GOVERNMENT)).unwrap().case;
    let task = sent.lead_task.unwrap();
    let signed = sent.sign(task, &world.official(HOUSING)).unwrap();
    assert!(!names(&signed).contains(&"ArbitrationFinal"), "it may be about another item");
}

#[test]
fn a_ruling_for_whoever_leads_already_binds_whatever_that_one_was_relieved_of() {
    let mut world = World::new();
    let mut case = opened(&mut world);
    case.excluded_orgs.push(STREET_OFFICE);
    world.wait(TimeDelta::days(2));
    let case = world.tick(case).case;
    let kept = case.rule_objection(&ruling(STREET_OFFICE), &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(kept.lead_org, Some(STREET_OFFICE));
    let recalled = kept.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case;
    let past = recalled.clone().dispatch(&manual(COURTS), &world.official(GOVERNMENT));
    assert_eq!(guard(past), "ruling_is_final");
    let again = recalled.dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    assert_eq!(again.lead_org, Some(STREET_OFFICE));
}

#[test]
fn a_ruled_lead_that_may_not_lead_any_more_holds_nothing_up() {
    fn recalled(world: &mut World) -> Case {
        let case = ruled(world);
        case.recall("mis_dispatch", &world.official(GOVERNMENT)).unwrap().case
    }
    fn ended(world: &World) -> RoutingTable {
        let mut parts = parts();
        parts.orgs.iter_mut().filter(|org| org.id == HOUSING).for_each(|org| org.valid_to = Some(world.now));
        RoutingTable::new(parts)
    }
    /// Whoever leads next is not bound by what was ruled about somebody else.
    fn objects(case: Case, world: &mut World) {
        assert_eq!((case.lead_org, &case.objection), (Some(URBAN), &None));
        let own = objection(&case);
        assert!(case.object(own, &world.official(URBAN)).is_ok());
    }

    let mut world = World::new();
    let complained_of = Case { complained_of: Some(HOUSING), ..recalled(&mut world) };
    let sent = complained_of.dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    objects(sent, &mut world);

    let case = recalled(&mut world);
    world.routes = RoutingTable::new(without_lights(HOUSING));
    let sent = case.dispatch(&manual(URBAN), &world.official(GOVERNMENT)).unwrap().case;
    objects(sent, &mut world);

    let mut world = World::new();
    let case = recalled(&mut world);
    world.routes = ended(&world);
    let sent = case.dispatch(&RouteChoice::Auto, &world.official(GOVERNMENT)).unwrap().case;
    objects(sent, &mut world);

    // It did the work, which has to be done again, and is no more.
    let mut world = World::new();
    let case = ruled(&mut world);
    let task = case.lead_task.unwrap();
    let case = case.sign(task, &world.official(HOUSING)).unwrap().case;
    let case = case.contact(ContactMethod::Phone, &world.official(HOUSING)).unwrap().case;
    let assists = case.tasks.iter().filter(|task| task.part == TaskPart::Assist && task.state.is_live());
    let waived = assists.map(|task| task.id).collect();
    let command = CompleteCase { waived, ..done() };
    let case = case.complete(command, &world.official(HOUSING)).unwrap().case;
    world.routes = ended(&world);
    let reworked = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    objects(reworked, &mut world);
}

#[test]
fn an_objection_lapses_with_a_case_that_is_withdrawn() {
    let mut world = World::new();
    let open = world.objected("street_light");
    let arbitrated = opened(&mut world);
    let review = ruled(&mut world).request_review("wrong_item", &world.official(HOUSING)).unwrap().case;
    for case in [open, arbitrated, review] {
        let withdrawn = case.withdraw("solved_itself", None, &world.resident()).unwrap();
        assert_eq!(names(&withdrawn).last(), Some(&"CaseWithdrawn"), "no event tells of it");
        let told = withdrawn.events.last().unwrap().version;
        let step = withdrawn.timeline.last().unwrap();
        assert_eq!((step.event.as_str(), &step.actor), ("ObjectionLapsed", &PersonRef::system()));
        assert_eq!((step.case_version, step.state), (told + 1, CaseState::Withdrawn));
        let case = withdrawn.case;
        let state = case.objection.as_ref().unwrap().state;
        assert_eq!((case.version, state), (told + 1, ObjectionState::Lapsed));
        assert_eq!((case.asked_orgs(), violations(&case)), (vec![], vec![]));
    }
    // What was decided stays so.
    let case = world.objected("street_light");
    let kept = case.reject_objection("duty_is_clear", &world.official(GOVERNMENT)).unwrap().case;
    let withdrawn = kept.withdraw("solved_itself", None, &world.resident()).unwrap();
    assert_eq!(withdrawn.timeline.last().unwrap().event, "CaseWithdrawn");
    assert_eq!(withdrawn.case.objection.unwrap().state, ObjectionState::Rejected);
}

#[test]
fn a_review_is_asked_for_by_the_lead_and_whoever_stands_in_is_found_anew() {
    let mut world = World::new();
    let case = Case { complained_of: Some(STATION), ..ruled(&mut world) };
    let review = case.request_review("wrong_item", &world.official(HOUSING)).unwrap();
    let DomainEvent::ArbitrationReviewRequested { org_id, .. } = review.events[0].event else { panic!() };
    assert_eq!(org_id, HOUSING, "not whoever stands in");
    let interim = review.case.objection.as_ref().unwrap().interim.as_ref().unwrap();
    assert_eq!(interim.org, STREET_OFFICE);
    assert_eq!(violations(&review.case), Vec::<&str>::new());
}
