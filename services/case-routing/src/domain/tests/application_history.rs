//! Random histories of applications: whoever does whatever in whatever order, what must hold holds. That they come to a decision
//! of every kind is itself tested.

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::ApplicationState as S;
use super::super::*;
use super::application_world::*;
use super::world::*;

/// What came of an attempt: the application, the notice that began by it, and what became of a benefit.
pub(super) struct Step {
    pub way: Way,
    pub notice: Option<NewNotice>,
    pub benefit: Option<BenefitChange>,
}

/// One thing that somebody tries; most attempts are refused.
pub(super) fn step(world: &mut World, way: &Way, verb: u8, who: u8, days: i64) -> Option<Step> {
    let people = [
        person("anna", STATION),
        person("ben", STATION),
        person("anna", STREET_OFFICE),
        person("dora", STREET_OFFICE),
        person("dora", HOUSING),
        Party::system(),
        Party { actor: requester(), org: None, standing: Standing::Requester },
    ];
    let by = people[usize::from(who) % people.len()].clone();
    let Way { papers, case } = way.clone();
    let last = papers.investigations.last().map(|check| check.id);
    let act = world.act(by);
    let filed = match verb % 19 {
        0 => papers.accept(case, &act),
        1 => papers.request_supplement(vec!["id".into()], case, &act),
        2 => papers.supplement(brought(), case, &act),
        3 => papers.decline(&refusal(), case, &act),
        4 => papers.start_investigation(case, &act),
        5 => papers.record_investigation(check(InvestigationKind::HomeVisit), case, &act),
        6 => papers.countersign_investigation(last?, case, &act),
        7 => papers.review(summed_up(days % 2 == 0), case, &act),
        8 => papers.publish_notice("王**".into(), case, &act),
        9 => papers.object("income", "x".into(), case, &act),
        10 => papers.approve(1, case, &act),
        11 => papers.deny(&refusal(), case, &act),
        12 => papers.grant_urgently(1, "sudden_illness", case, &act),
        13 => papers.deliver("pay:1", holder(), case, &act),
        14 => papers.submit_papers(brought(), case, &act),
        15 => papers.pause(pause_for(days), None, case, &act),
        16 => papers.return_review("see_again", String::new(), case, &act),
        // It ends a history: it is tried, but not as often as the others.
        17 if days > 0 => return None,
        17 => papers.withdraw("not_needed", None, case, &act),
        _ => {
            drop(act);
            world.wait(TimeDelta::days(days));
            let ticked = case.tick(&world.system()).unwrap()?;
            let was = way.state();
            let now = ticked.case.application.as_ref().unwrap().state;
            // C-5: time refuses nothing.
            assert!(was == now || matches!(now, S::Accepted | S::Withdrawn), "time led from {was} to {now}");
            return Some(Step { way: Way { papers, case: ticked.case }, notice: None, benefit: None });
        }
    };
    let filed = filed.ok()?;
    let (notice, benefit) = (filed.notice.clone(), filed.benefit.clone());
    Some(Step { way: Way::of(filed), notice, benefit })
}

/// For which period, and told by which writing; now and then it is one for which only other cases wait, or nobody was told.
const fn pause_for(days: i64) -> (&'static str, &'static str) {
    match days {
        7 => ("public_hearing", ""),
        8 => ("season_condition", "doc:told"),
        _ => ("public_hearing", "doc:told"),
    }
}

pub(super) fn check_way(way: &Way, lists_asked: usize) {
    let (papers, face) = (&way.papers, way.case.application.as_ref().unwrap());
    assert_eq!(violations(&way.case), Vec::<String>::new());
    if matches!(face.state, S::Denied | S::NotAccepted) {
        let ruling = papers.ruling.as_ref().expect("a refusal is on record");
        assert!(ruling.written_reason.chars().count() >= 10 && !ruling.reason_code.is_empty());
        assert!(ruling.remedies.iter().any(|remedy| remedy.kind == RemedyKind::Reconsideration));
        assert!(ruling.remedies.iter().any(|remedy| remedy.kind == RemedyKind::Litigation));
        assert_ne!(ruling.by, PersonRef::system());
    }
    if let Some(ruling) = &papers.ruling {
        assert!(!papers.was_investigated_by(&ruling.by), "who looked into it decided");
    }
    if face.state == S::Approved && papers.ruling.as_ref().is_some_and(|ruling| !ruling.urgent) {
        let field = papers.investigations.iter().filter(|check| check.kind.is_field_check());
        assert!(field.map(|check| check.people.len()).max() >= Some(2));
        assert!(papers.recheck.is_some() || !papers.notices.is_empty(), "relief is shown publicly first");
    }
    for period in &papers.uncounted {
        assert!(UNCOUNTED.contains(&period.cause_code.as_str()), "C-3: {period:?} is not listed");
        assert!(!period.told_ref.is_empty(), "C-3: {period:?} was told to nobody");
    }
    let summed_up = matches!(face.state, S::Reviewed | S::PublicNotice | S::Denied);
    assert!(!summed_up || papers.review.is_some(), "{} without a review", face.state);
    assert!(face.notice.is_none() || face.state == S::PublicNotice, "shown in {}", face.state);
    assert!(lists_asked <= 1, "one complete list");
    let open = matches!(
        way.case.state,
        CaseState::Registered
            | CaseState::NeedSupplement
            | CaseState::Accepted
            | CaseState::Triaged
            | CaseState::Dispatched
            | CaseState::Signed
            | CaseState::InProgress
            | CaseState::Suspended
    );
    assert!(!(face.state.is_end() && open), "{} while the case is {}", face.state, way.case.state);
}

/// What is tried: which verb, by whom, and after how many days where time goes by.
fn steps() -> impl Strategy<Value = Vec<(u8, u8, i64)>> {
    proptest::collection::vec((0_u8..20, 0_u8..7, 0_i64..9), 1..120)
}

const STARTS: [S; 7] = [
    S::Submitted,
    S::NeedSupplement,
    S::Accepted,
    S::Investigating,
    S::Reviewed,
    S::PublicNotice,
    S::Reinvestigating,
];

/// Lives through a history; each step of it is held against what must hold, and shown to `seen`.
fn live(start: S, steps: &[(u8, u8, i64)], mut seen: impl FnMut(&Way)) {
    let mut world = world();
    let mut way = world.way(RELIEF, start);
    let mut lists_asked = usize::from(start == S::NeedSupplement);
    for (verb, who, days) in steps {
        let tried = step(&mut world, &way, *verb, *who, *days);
        let Some(Step { way: after, .. }) = tried else { continue };
        lists_asked += usize::from(after.state() == S::NeedSupplement && way.state() != S::NeedSupplement);
        way = after;
        check_way(&way, lists_asked);
        seen(&way);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..Default::default() })]

    #[test]
    fn no_history_leads_to_what_must_not_be(start in 0..STARTS.len(), steps in steps()) {
        live(STARTS[start], &steps, |_| {});
    }
}

/// Deterministic histories, enough of them to come to every decision, to what follows from a grant, and to a change of mind. None
/// of these is where a history begins.
#[test]
fn the_random_histories_reach_every_decision() {
    // Each with whether it was granted at once, before the facts were known.
    let mut unreached = vec![
        (S::NotAccepted, false),
        (S::Denied, false),
        (S::Approved, false),
        (S::Approved, true),
        (S::Delivered, true),
        (S::Withdrawn, false),
    ];
    let mut runner = TestRunner::deterministic();
    for round in 0..3_000 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        live(STARTS[round % STARTS.len()], &steps, |way| {
            let urgent = way.papers.ruling.as_ref().is_some_and(|ruling| ruling.urgent);
            unreached.retain(|known| *known != (way.state(), urgent));
        });
        if unreached.is_empty() {
            break;
        }
    }
    assert!(unreached.is_empty(), "never reached {unreached:?}");
}
