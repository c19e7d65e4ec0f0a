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
        let helps = |task: &&Task| task.part == TaskPart::Assist && task.state.is_live();
        let helpers: Vec<OrgId> = ruled.case.tasks.iter().filter(helps).map(|task| task.org).collect();
        assert_eq!((ruled.case.lead_org, helpers), (Some(URBAN), vec![HOUSING]));
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
