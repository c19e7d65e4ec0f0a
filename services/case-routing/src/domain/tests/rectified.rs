//! A bad rating of a merged case was found valid: what the other comes to because of that is told of the merged one, and its
//! requester is called about it.

use chrono::TimeDelta;

use super::super::*;
use super::merging::{joined, original, resolved_again};
use super::world::*;
use crate::store::rows::AgendaRow;

fn awaits(case: &Case) -> Option<&'static str> {
    AgendaRow::of(case).and_then(|row| row.awaits)
}

/// What was told of the work that was done again.
fn told(decision: &Decision) -> Vec<(bool, Option<CallbackOutcome>)> {
    let told = decision.events.iter().filter_map(|emitted| match emitted.event {
        DomainEvent::RatingRectified { in_time, callback } => Some((in_time, callback)),
        _ => None,
    });
    told.collect()
}

/// A merged case, and the other that is worked on again for its bad rating.
fn sent_back(world: &mut World) -> (Case, Case) {
    let case = world.resolved("stairs");
    let merged = joined(world, &case);
    world.wait(TimeDelta::hours(1));
    let about = original(world, &case);
    let rated = merged.rate_merged(1, &about, &world.resident()).unwrap().case;
    assert_eq!(awaits(&rated), Some("judgement"));
    let merged = rated.judge_merged(true, "", &about, &world.official(VERIFIER)).unwrap().case;
    let rated_at = merged.rating.as_ref().unwrap().at;
    let case = case.heed_joined(rated_at, &world.official(VERIFIER)).unwrap().case;
    (merged, case)
}

#[test]
fn what_is_done_again_is_told_of_the_merged_case_whose_requester_is_then_called() {
    let mut world = World::new();
    let (merged, case) = sent_back(&mut world);
    let row = AgendaRow::of(&merged).unwrap();
    assert_eq!((row.awaits, row.original), (Some("rectification"), Some(case.id)));
    let about = original(&world, &case);
    assert_eq!(merged.clone().hear_rectified(&about, &world.system()), None, "it is not done");

    world.wait(TimeDelta::hours(1));
    let case = world.complete(case);
    let about = original(&world, &case);
    // Whoever looks, nobody did it here.
    let heard = merged.clone().hear_rectified(&about, &world.official(STATION)).unwrap();
    assert_eq!(told(&heard), [(true, None)]);
    let [step] = &heard.timeline[..] else { panic!("{:?}", heard.timeline) };
    assert_eq!((step.event.as_str(), &step.actor), ("RatingRectified", &PersonRef::system()));
    let reason = step.reason.clone().unwrap();
    assert_ne!(reason.render(Language::Chinese), reason.render(Language::English));
    let heard = heard.case;
    assert_eq!((heard.state, awaits(&heard)), (CaseState::Merged, Some("callback")));
    assert_eq!(heard.clone().hear_rectified(&about, &world.system()), None, "once");
    assert_eq!(violations(&heard), Vec::<&str>::new());
    let text = serde_json::to_string(&heard).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), heard);
    let early = heard.clone().call_merged(&reached(4), &about, &world.official(VERIFIER));
    assert_eq!(guard(early), "original_not_resolved");

    let case = case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case;
    let about = original(&world, &case);
    let called = heard.call_merged(&reached(4), &about, &world.official(VERIFIER)).unwrap();
    assert_eq!(told(&called), [(true, Some(CallbackOutcome::Reached))]);
    assert_eq!(awaits(&called.case), None, "nothing more is to be done");
    // Nobody looked before the call: both are told.
    let both = merged.call_merged(&reached(4), &about, &world.official(VERIFIER)).unwrap();
    assert_eq!(told(&both), [(true, None), (true, Some(CallbackOutcome::Reached))]);
    assert_eq!(both.timeline[0].actor, PersonRef::system());
    assert_eq!(both.timeline[1].org, Some(VERIFIER));
    let versions: Vec<i64> = both.timeline.iter().map(|step| step.case_version).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[test]
fn whoever_does_not_answer_counts_as_unreached_until_somebody_answers() {
    let mut world = World::new();
    let (mut merged, case) = sent_back(&mut world);
    world.wait(TimeDelta::hours(1));
    let case = resolved_again(&mut world, case);
    let about = original(&world, &case);
    for expected in [vec![(true, None)], vec![], vec![(true, Some(CallbackOutcome::Unreached))]] {
        assert!(awaits(&merged).is_some());
        world.wait(TimeDelta::hours(2));
        let unanswered = CallbackReport::NoAnswer;
        let called = merged.call_merged(&unanswered, &about, &world.official(VERIFIER)).unwrap();
        assert_eq!(told(&called), expected);
        merged = called.case;
    }
    assert_eq!(awaits(&merged), None);
    let answered = merged.call_merged(&reached(3), &about, &world.official(VERIFIER)).unwrap();
    assert_eq!(told(&answered), [(true, Some(CallbackOutcome::Reached))]);
}

#[test]
fn work_that_was_late_stays_late_though_it_is_sent_back_once_more() {
    let mut world = World::new();
    let (merged, case) = sent_back(&mut world);
    world.now = case.resolve_clock().unwrap().due_at + TimeDelta::hours(1);
    let case = world.complete(case);
    let case = case.order_rework("not_done", &world.official(VERIFIER)).unwrap().case;
    let about = original(&world, &case);
    assert_eq!(merged.clone().hear_rectified(&about, &world.system()), None, "it is being done");
    world.wait(TimeDelta::hours(1));
    let case = world.complete(case);
    let heard = merged.hear_rectified(&original(&world, &case), &world.system()).unwrap();
    assert_eq!(told(&heard), [(false, None)]);
}

#[test]
fn another_rating_takes_nothing_back_and_a_bad_one_begins_anew() {
    let mut world = World::new();
    let (merged, case) = sent_back(&mut world);
    world.wait(TimeDelta::hours(1));
    let case = resolved_again(&mut world, case);
    let about = original(&world, &case);
    let good = merged.clone().rate_merged(5, &about, &world.resident()).unwrap();
    assert_eq!(names(&good), ["RatingRectified", "RatingReceived"]);
    assert_eq!(awaits(&good.case), Some("callback"), "the first one was bad all the same");
    let called = good.case.call_merged(&reached(5), &about, &world.official(VERIFIER)).unwrap();
    assert_eq!(told(&called), [(true, Some(CallbackOutcome::Reached))]);
    let bad = merged.rate_merged(2, &about, &world.resident()).unwrap();
    assert_eq!(names(&bad), ["RatingRectified", "RatingReceived"]);
    assert_eq!((awaits(&bad.case), bad.case.rectified), (Some("judgement"), None));
    // It leaves with what it came with: what was done for it there is nothing of its own.
    let with = CaseId(world.fresh());
    let leaving = Case { merged_through: vec![with], ..called.case };
    let back = leaving.come_back(with, &world.official(STATION)).unwrap().case;
    assert_eq!((awaits(&back), back.rectified), (None, None));
}
