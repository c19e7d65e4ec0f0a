//! Stages of the work: each in hand against its own clock, one after the other, and the case not done before all are.

use calendar::{Limit, TimeUnit};
use chrono::TimeDelta;

use super::super::*;
use super::world::*;

fn stage_clocks(case: &Case) -> Vec<(Timestamp, bool)> {
    let clocks = case.clocks.iter().filter(|clock| clock.kind == ClockKind::Stage);
    clocks.map(|clock| (clock.due_at, clock.is_running())).collect()
}

fn done_codes(case: &Case) -> Vec<(&str, bool)> {
    let done = case.stages.iter().filter(|run| run.done_at.is_some());
    done.map(|run| (run.code.as_str(), run.in_time)).collect()
}

#[test]
fn stages_follow_one_another_against_their_own_clocks() {
    let mut world = World::new();
    let case = world.signed("burst_pipe");
    assert!(case.stages.is_empty() && stage_clocks(&case).is_empty(), "work has not begun");
    let case = case.contact(ContactMethod::Phone, &world.official(STREET_OFFICE)).unwrap().case;
    let begun = world.now;
    assert_eq!(stage_clocks(&case), [(begun + TimeDelta::hours(2), true)]);
    world.wait(TimeDelta::minutes(90));
    let decision = case.complete_stage("secure", vec![], &world.official(STREET_OFFICE)).unwrap();
    assert_eq!(names(&decision), ["CaseStageCompleted"]);
    let DomainEvent::CaseStageCompleted { in_time, next_stage_code, next_due_at, .. } =
        &decision.events[0].event
    else {
        panic!("a stage was completed")
    };
    assert_eq!((*in_time, next_stage_code.as_deref()), (true, Some("repair")));
    assert_eq!(*next_due_at, Some(world.now + TimeDelta::hours(24)));
    let case = decision.case;
    world.wait(TimeDelta::hours(30));
    let case = world.tick(case).case;
    let photo = vec![(EvidenceKind::Photo, "photo-1".to_owned())];
    let case = case.complete_stage("repair", photo, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(case.evidence.len(), 1);
    let last = case.complete_stage("restore", vec![], &world.official(STREET_OFFICE)).unwrap();
    let case = last.case;
    assert_eq!(done_codes(&case), [("secure", true), ("repair", false), ("restore", true)]);
    assert!(stage_clocks(&case).iter().all(|(_, running)| !running));
    assert_eq!(world.complete(case).state, CaseState::Verifying);
}

#[test]
fn a_case_is_not_completed_before_its_stages_are_unless_it_only_explains() {
    let mut world = World::new();
    let case = world.in_progress("burst_pipe");
    let act = world.official(STREET_OFFICE);
    assert_eq!(guard(case.clone().complete(done(), &act)), "stage_outstanding");
    let unfounded = CompleteCase { closed_code: Some(ClosedCode::Unfounded), ..CompleteCase::default() };
    let told = case.clone().complete(unfounded, &act).unwrap().case;
    assert_eq!((told.state, told.stages.len()), (CaseState::Verifying, 0));
    assert!(stage_clocks(&told).iter().all(|(_, running)| !running));
    // It was broken after all: the first stage begins anew.
    let again = told.order_rework("still_leaks", &world.official(VERIFIER)).unwrap().case;
    assert_eq!(again.stage_in_hand().map(|run| run.code.as_str()), Some("secure"));
    let case = world.stages_done(case);
    assert_eq!(
        guard(case.clone().complete_stage("secure", vec![], &world.official(STREET_OFFICE))),
        "no_stage"
    );
    assert_eq!(world.complete(case).state, CaseState::Verifying);
}

#[test]
fn the_lead_alone_reports_the_stage_in_hand() {
    let mut world = World::new();
    let case = world.in_progress("burst_pipe");
    let attempt = |world: &mut World, code: &str, org| {
        guard(case.clone().complete_stage(code, vec![], &world.official(org)))
    };
    assert_eq!(attempt(&mut world, "repair", STREET_OFFICE), "stage_code");
    assert_eq!(attempt(&mut world, "secure", STATION), "lead_org");
    let long = vec![(EvidenceKind::Photo, "x".repeat(300))];
    assert_eq!(guard(case.complete_stage("secure", long, &world.official(STREET_OFFICE))), "evidence");
    let plain = world.in_progress("street_light");
    assert_eq!(guard(plain.complete_stage("secure", vec![], &world.official(STREET_OFFICE))), "no_stage");
}

#[test]
fn an_overdue_stage_warns_and_is_supervised_like_other_clocks() {
    let mut world = World::new();
    let case = world.in_progress("burst_pipe");
    world.wait(TimeDelta::minutes(61));
    let warned = world.tick(case);
    assert!(matches!(
        warned.events[0].event,
        DomainEvent::ClockWarned { clock: ClockKind::Stage, percent: 50, .. }
    ));
    world.wait(TimeDelta::minutes(60));
    let late = world.tick(warned.case);
    let breach = |emitted: &Emitted| {
        matches!(emitted.event, DomainEvent::ClockBreached { clock: ClockKind::Stage, .. })
    };
    assert_eq!(late.events.iter().filter(|emitted| breach(emitted)).count(), 1);
    let supervision = late.case.supervisions.last().unwrap();
    assert_eq!((supervision.level, supervision.clock), (1, Some(ClockKind::Stage)));
    assert_eq!(late.case.supervised(supervision), STREET_OFFICE);
    let act = world.official(STREET_OFFICE);
    let case = late.case.complete_stage("secure", vec![], &act).unwrap().case;
    assert_eq!(done_codes(&case), [("secure", false)]);
    assert!(case.supervisions.iter().all(|known| known.state == SupervisionState::Cleared));
}

#[test]
fn a_stage_waits_with_its_case_and_is_begun_again_by_whoever_takes_over() {
    let mut world = World::new();
    let case = world.in_progress("burst_pipe");
    let due = stage_clocks(&case)[0].0;
    let case = case.suspend("force_majeure", "doc:told", None, &world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(stage_clocks(&case), [(due, false)]);
    world.wait(TimeDelta::hours(5));
    let case = case.resume(&world.official(STREET_OFFICE)).unwrap().case;
    assert_eq!(stage_clocks(&case), [(due + TimeDelta::hours(5), true)]);
    // Withdrawn: nothing is in hand any more.
    let gone = case.clone().withdraw("solved_itself", None, &world.resident()).unwrap().case;
    assert_eq!(violations(&gone), Vec::<&str>::new());
    assert!(gone.stage_in_hand().is_none());
    // Opened again: all stages anew.
    let case = world.stages_done(case);
    let case = world.complete(case);
    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let case = case.rate(5, &world.resident()).unwrap().case;
    assert_eq!(case.stages.len(), 3);
    let case = case.reopen("new_facts", &world.resident()).unwrap().case;
    assert!(case.stages.is_empty());
}

#[test]
fn rework_does_not_repeat_stages_that_were_done() {
    let mut world = World::new();
    let case = world.in_progress("burst_pipe");
    let case = world.stages_done(case);
    let case = world.complete(case);
    let case = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    assert_eq!((case.state, case.stage_in_hand()), (CaseState::InProgress, None));
    assert_eq!(world.complete(case).state, CaseState::Verifying);
}

#[test]
fn an_item_has_stages_only_where_they_can_be_kept() {
    let world = World::new();
    let field =
        |item: ServiceItem| match item.validate(&world.rules.calendar, &world.rules.profile, world.now) {
            Ok(()) => "",
            Err(DomainError::Invalid { field, .. }) => field,
            Err(other) => panic!("{other}"),
        };
    let good = || ServiceItem { stages: pipe_stages(), ..item("burst_pipe", "urban") };
    assert_eq!(field(good()), "");
    let longer = Limit::new(TimeUnit::WorkDay, 5);
    let mut bad: Vec<ServiceItem> = vec![
        ServiceItem { nature: Nature::Application, ..good() },
        ServiceItem { nature: Nature::Dispute, ..good() },
        ServiceItem { emergency_line: Some("119".into()), ..good() },
        ServiceItem { statutory_channel: Some("petition".into()), ..good() },
        ServiceItem {
            self_solvable: true,
            society_chain: vec![PartnerRule::Kind(OrgKind::SelfGovGroup)],
            ..good()
        },
        // Together longer than what is promised.
        ServiceItem { promised_limit: Limit::new(TimeUnit::WorkDay, 2), ..good() },
    ];
    let changes: [fn(&mut Vec<Stage>, Limit); 5] = [
        |stages, _| stages[1].code = "secure".into(),
        |stages, _| stages[1].code = "Not a code".into(),
        |stages, _| stages[1].name_zh = String::new(),
        |stages, _| stages[1].limit.n = 0,
        |stages, limit| stages[1].limit = limit,
    ];
    for change in changes {
        let mut item = good();
        change(&mut item.stages, longer);
        bad.push(item);
    }
    let many = (0..=MOST_STAGES).map(|n| Stage { code: format!("s{n}"), ..pipe_stages()[0].clone() });
    bad.push(ServiceItem { stages: many.collect(), ..good() });
    for item in bad {
        assert_eq!(field(item.clone()), "stages", "{item:?}");
    }
}

#[test]
fn a_new_version_of_an_item_takes_effect_on_its_day_and_a_case_keeps_its_own() {
    let mut parts = parts();
    let mut world = World::new();
    let day = world.now + TimeDelta::days(10);
    let newer = ServiceItem {
        version: 2,
        promised_limit: Limit::new(TimeUnit::WorkDay, 3),
        valid_from: day,
        ..item("street_light", "urban")
    };
    let ended = ServiceItem { valid_to: Some(day), ..item("gas_smell", "safety") };
    parts.items.retain(|item| item.code != "gas_smell");
    parts.items.extend([newer, ended]);
    world.routes = RoutingTable::new(parts);
    let version = |world: &World, code: &str| world.routes.item(code, world.now).map(|item| item.version);
    assert_eq!((version(&world, "street_light"), version(&world, "gas_smell")), (Some(1), Some(1)));
    let register = RegisterCase { item_code: Some("street_light".into()), ..world.register() };
    let early = Case::register(register, &world.official(STATION)).unwrap().case;
    world.wait(TimeDelta::days(10));
    assert_eq!((version(&world, "street_light"), version(&world, "gas_smell")), (Some(2), None));
    let early = match early.clone().tick(&world.system()).unwrap() {
        Some(decision) => decision.case,
        None => early.accept(&world.official(STATION)).unwrap().case,
    };
    let early = early.triage(&triage("street_light"), &world.official(STATION)).unwrap().case;
    assert_eq!(early.item.as_ref().unwrap().version, 1, "opened with the first version");
    assert_eq!(early.resolve_clock().unwrap().limit.n, 5);
    let late = world.triaged("street_light");
    assert_eq!((late.item.as_ref().unwrap().version, late.resolve_clock().unwrap().limit.n), (2, 3));
    let accepted = world.accepted();
    assert_eq!(guard(accepted.triage(&triage("gas_smell"), &world.official(STATION))), "item_code");
}
