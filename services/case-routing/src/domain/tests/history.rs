//! Random histories: whatever people try in whatever order, every decision keeps the invariants of
//! domain.md §2.2.4, versions grow by one per event, time never runs backwards, and refusals change nothing.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::super::*;
use super::world::*;

/// One attempt: which verb, by whom, with which of the things at hand, after how many minutes.
#[derive(Debug, Clone)]
struct Attempt {
    verb: usize,
    by: usize,
    pick: usize,
    wait: i64,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let wait = prop_oneof![6 => 0_i64..120, 2 => 120_i64..3_000, 1 => 3_000_i64..40_000];
    let attempt = (0_usize..VERBS, 0_usize..14, 0_usize..8, wait);
    prop::collection::vec(attempt.prop_map(|(verb, by, pick, wait)| Attempt { verb, by, pick, wait }), 1..60)
}

const VERBS: usize = 40;
const ITEMS: [&str; 8] = [
    "stairs",
    "street_light",
    "shopping_help",
    "committee_matter",
    "licence",
    "demolition",
    "nobodys",
    "tangled_cables",
];

/// Three times out of four the right party acts, so that histories get somewhere.
fn party(attempt: &Attempt, right: OrgId) -> Party {
    match attempt.by {
        0 => Party { actor: requester(), org: None, standing: Standing::Requester },
        1 => Party::system(),
        by @ 2..=4 => official(ALL_ORGS[(by + attempt.pick) % ALL_ORGS.len()]),
        _ => official(right),
    }
}

fn attempt(world: &mut World, case: Case, attempt: &Attempt) -> Result<Option<Decision>> {
    let pick = attempt.pick;
    let task = case.tasks.iter().rev().nth(pick % case.tasks.len().max(1)).map(|task| (task.id, task.org));
    let (task, task_org) = task.unwrap_or((TaskId(CITY.0), STATION));
    let lead_task = case.lead_task.unwrap_or(task);
    let lead = case.lead_org.unwrap_or(case.first_receiver);
    let verifier = case.verification.as_ref().map_or(VERIFIER, |verification| verification.verifier);
    let offer = case.offer.as_ref().map_or(OfferId(CITY.0), |offer| offer.id);
    let partner = case.offer.as_ref().map_or(GROUP, |offer| offer.partner);
    let arbiter = case.objection.as_ref().and_then(|objection| objection.arbiter).unwrap_or(GOVERNMENT);
    let evidence = || vec![(EvidenceKind::Document, "d-1".to_owned())];
    let org = ALL_ORGS[pick];
    let supervision = case.supervisions.get(pick).map_or(SupervisionId(CITY.0), |supervision| supervision.id);
    let requester = Party { actor: requester(), org: None, standing: Standing::Requester };
    let by = |right: OrgId| party(attempt, right);
    let one = |result: Result<Decision>| result.map(Some);
    let choice = match pick {
        0 | 1 => manual(org),
        2 => RouteChoice::PublicService,
        _ => RouteChoice::Auto,
    };
    let (at_station, at_street, at_district) = (by(STATION), by(STREET_OFFICE), by(GOVERNMENT));
    let (as_lead, as_task, as_verifier) = (by(lead), by(task_org), by(verifier));
    let (as_partner, as_arbiter) = (by(partner), by(arbiter));
    match attempt.verb {
        0 => one(case.accept(&world.act(at_station))),
        1 => one(case.decline("out_of_scope", "petition", &world.act(at_station))),
        2 => one(case.request_supplement(vec!["id_copy".into()], &world.act(at_station))),
        3 => one(case.supplement(&world.act(requester))),
        4 => one(case.hand_off("119", &world.act(at_station))),
        5 => one(case.merge(CaseId(CITY.0), &world.act(at_station))),
        6 => one(case.unmerge(&world.act(at_station))),
        7 => {
            let command = AnswerCase { explanation_ref: "kb".into(), closed_code: ClosedCode::Explained };
            one(case.answer(command, &world.act(at_station)))
        }
        8 | 9 => one(case.triage(&triage(ITEMS[pick]), &world.act(at_station))),
        10 => one(case.offer(&world.act(at_street))),
        11 => case.social_accepted(offer, &world.system()),
        12 => case.social_declined(offer, &world.system()),
        13 | 14 => one(case.dispatch(&choice, &world.act(at_street))),
        15 | 16 => one(case.sign(lead_task, &world.act(as_lead))),
        17 => one(case.sign(task, &world.act(as_task))),
        18 => {
            let ground_code = "not_my_duty".to_owned();
            let suggested = (pick > 4).then_some(org);
            let command =
                ObjectTask { task_id: lead_task, ground_code, basis_ref: "art. 3".into(), suggested };
            one(case.object(command, &world.act(as_lead)))
        }
        19 => one(case.reject_objection("duty_is_clear", &world.act(at_district))),
        20 => one(case.redispatch(&choice, &world.act(at_district))),
        21 => one(case.open_arbitration(&[org], &world.act(at_district))),
        22 => one(case.rule_objection(org, pick > 3, &world.act(as_arbiter))),
        23 => one(case.agree_arbitration(org, &world.act(as_arbiter))),
        24 => one(case.decline_task(task, "not_admitted", pick > 3, &world.act(as_task))),
        25 => one(case.recall("mis_dispatch", &world.act(at_street))),
        26 | 27 => one(case.contact(&world.act(as_lead))),
        28 => one(case.suspend("expert_review", None, &world.act(as_lead))),
        29 => one(case.resume(&world.act(as_lead))),
        30 => one(case.submit_task(task, evidence(), &world.act(as_task))),
        31 | 32 => {
            let waived =
                case.tasks.iter().filter(|task| task.part == TaskPart::Assist && task.state.is_open());
            let waived = waived.map(|task| task.id).filter(|_| pick > 2).collect();
            one(case.complete(CompleteCase { waived, ..done() }, &world.act(as_lead)))
        }
        33 => one(case.return_from_society("gave_up", &world.act(as_partner))),
        34 => one(case.verify(&found_good(), &world.act(as_verifier))),
        35 => one(case.order_rework("not_done", &world.act(as_verifier))),
        36 => one(case.rate(u8::try_from(pick % 6).unwrap(), &world.act(requester))),
        37 => one(case.judge_rating(pick > 3, &world.act(as_verifier))),
        38 if pick == 0 => one(case.withdraw("solved_itself", &world.act(requester))),
        38 if pick < 4 => one(case.reopen("new_facts", &world.act(requester))),
        38 => one(case.answer_supervision(supervision, &world.act(as_lead))),
        _ => one(case.return_task(task, "unclear", &world.act(as_lead))),
    }
}

/// What must hold of every decision.
fn check(before: &Case, decision: &Decision) {
    let case = &decision.case;
    assert_eq!(violations(case), Vec::<&str>::new(), "{:?} → {:?}", before.state, decision.timeline);
    assert_eq!(case.first_receiver, before.first_receiver, "the first receiver owns the case for good");
    let versions: Vec<i64> = decision.events.iter().map(|emitted| emitted.version).collect();
    let expected: Vec<i64> = (before.version + 1..).take(versions.len()).collect();
    assert_eq!(versions, expected);
    assert!(case.version > before.version);
    assert!(case.updated_at >= before.updated_at);
    assert!(decision.timeline.windows(2).all(|pair| pair[0].at <= pair[1].at));
    // C-3: what was promised to the requester is never taken back by objections or pauses.
    let due = |case: &Case| {
        case.clocks.iter().map(|clock| (clock.started_at, clock.kind, clock.due_at)).collect::<Vec<_>>()
    };
    for ((_, kind, earlier), (_, _, later)) in due(before).into_iter().zip(due(case)) {
        let retriaged = kind == ClockKind::Resolve && before.state == CaseState::Accepted;
        assert!(later >= earlier || retriaged, "{kind} moved from {earlier} to {later}");
    }
    for emitted in &decision.events {
        if let DomainEvent::CaseDeclined { .. } = emitted.event {
            assert!(decision.timeline.iter().all(|entry| entry.actor != PersonRef::system()), "C-5");
        }
        if let DomainEvent::VerificationStarted { verifier_org_id, .. } = emitted.event {
            assert!(!case.handling_orgs().contains(&verifier_org_id), "C-4");
        }
    }
    for task in case.tasks.iter().filter(|task| task.state == TaskState::Issued) {
        assert!(task.due_at.is_some() || case.accepted_at.is_none());
    }
    let json = serde_json::to_value(case).unwrap();
    assert_eq!(&serde_json::from_value::<Case>(json).unwrap(), case);
}

fn live(mut world: World, history: Vec<Attempt>) -> Case {
    let mut case =
        if history[0].pick > 3 { world.dispatched(ITEMS[history[0].by % 8]) } else { world.registered() };
    for step in history {
        world.wait(TimeDelta::minutes(step.wait));
        // The sweeper comes now and then.
        if step.by != 13
            && let Some(decision) = case.clone().tick(&world.system()).expect("time never fails")
        {
            check(&case, &decision);
            case = decision.case;
            assert!(case.next_timer_at().is_none_or(|at| at > world.now), "everything due was done");
        }
        if let Ok(Some(decision)) = attempt(&mut world, case.clone(), &step) {
            check(&case, &decision);
            case = decision.case;
        }
    }
    case
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn every_history_keeps_the_invariants(history in attempts()) {
        live(World::new(), history);
    }

    #[test]
    fn histories_without_a_verifier_or_fallback_keep_them_too(history in attempts()) {
        live(World::of(TableParts { verifiers: vec![], fallback: None, ..parts() }), history);
    }
}

#[test]
fn random_histories_reach_every_state() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::HashSet::new();
    for round in 0..1_500 {
        let history = attempts().new_tree(&mut runner).unwrap().current();
        let world = if round % 3 == 0 { World::without_verifier() } else { World::new() };
        seen.insert(live(world, history).state);
    }
    let missing: Vec<_> = CaseState::ALL.iter().filter(|state| !seen.contains(state)).collect();
    assert!(missing.is_empty(), "never ended in {missing:?}");
}
