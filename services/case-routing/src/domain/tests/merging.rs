//! Requests that wait for another one: they belong to the case that is worked on, and the word of each counts.

use chrono::TimeDelta;

use super::super::*;
use super::table::in_state;
use super::world::*;

pub(super) fn original(world: &World, case: &Case) -> Original {
    Original::of(case, &world.rules, &world.routes)
}

/// Merged into that case.
pub(super) fn joined(world: &mut World, into: &Case) -> Case {
    let case = world.registered();
    case.merge(into.id, &world.official(STATION)).unwrap().case
}

pub(super) fn resolved_again(world: &mut World, case: Case) -> Case {
    let case = world.complete(case);
    case.verify(&found_good(), &world.official(VERIFIER)).unwrap().case
}

#[test]
fn who_was_merged_goes_along_with_the_original_and_comes_back_with_it() {
    let mut world = World::new();
    let (first, middle, last) = (world.registered(), world.registered(), world.registered());
    let ids = [first.id, middle.id, last.id];
    let act = world.official(STATION);
    let first = first.merge(ids[1], &act).unwrap().case;
    let middle = middle.absorb(&[ids[0]], true, &act).unwrap().case.merge(ids[2], &act).unwrap().case;
    let along = first.go_along(ids[1], ids[2], &act).unwrap();
    assert!(along.events.is_empty(), "it is merged as before");
    assert_eq!(along.timeline[0].event, "CaseRejoined");
    let first = along.case;
    assert_eq!((first.merged_into, first.merged_through.clone()), (Some(ids[2]), vec![ids[1]]));
    let wrong = first.clone().go_along(ids[1], ids[2], &act);
    assert_eq!(wrong, Err(DomainError::WrongState { state: CaseState::Merged, verb: Trigger::Merge }));
    let last = last.absorb(&[ids[1], ids[0]], true, &act).unwrap().case;
    assert_eq!(last.facts().merged_count, 2, "each is counted where the work is done");
    assert_eq!(guard(last.clone().decline("out_of_scope", "petition", &act)), "others_joined");

    let middle = middle.unmerge(&act).unwrap().case;
    assert_eq!(middle.merged, [ids[0]], "it knows who came with it");
    let first = first.come_back(ids[1], &act).unwrap().case;
    assert_eq!((first.merged_into, first.merged_through.len()), (Some(ids[1]), 0));
    let last = last.absorb(&[ids[1], ids[0]], false, &act).unwrap().case;
    assert_eq!(last.facts().merged_count, 0);
    assert!(first.clone().come_back(ids[1], &act).is_err(), "it is there already");
    for case in [first, middle, last] {
        assert_eq!(violations(&case), Vec::<&str>::new());
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case);
    }
}

#[test]
fn out_of_the_middle_of_a_chain_those_behind_it_come_along() {
    let mut world = World::new();
    let case = world.registered();
    let ids: Vec<CaseId> = (0..3).map(|_| CaseId(world.fresh())).collect();
    let act = world.official(STATION);
    let case = case.merge(ids[0], &act).unwrap().case;
    let case = case.go_along(ids[0], ids[1], &act).unwrap().case.go_along(ids[1], ids[2], &act).unwrap().case;
    assert_eq!((case.merged_into, case.merged_through.len()), (Some(ids[2]), 2));
    let back = case.clone().come_back(ids[1], &act).unwrap().case;
    assert_eq!((back.merged_into, back.merged_through), (Some(ids[1]), vec![ids[0]]));
    let back = case.clone().come_back(ids[0], &act).unwrap().case;
    assert_eq!((back.merged_into, back.merged_through), (Some(ids[0]), vec![]));
    let own = case.unmerge(&act).unwrap().case;
    assert_eq!((own.merged_into, own.merged_through), (None, vec![]));
}

#[test]
fn what_was_said_of_the_others_result_is_forgotten_by_who_leaves_with_the_original() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    let (case, about) = (joined(&mut world, &resolved), original(&world, &resolved));
    let rated = case.rate_merged(1, &about, &world.resident()).unwrap().case;
    let with = CaseId(world.fresh());
    let rated = Case { merged_through: vec![with], ..rated };
    assert_eq!(guard(rated.clone().come_back(with, &world.official(STATION))), "rating_unjudged");
    let judged = rated.judge_merged(true, "", &about, &world.official(VERIFIER)).unwrap().case;
    let back = judged.come_back(with, &world.official(STATION)).unwrap().case;
    assert_eq!((back.rating.clone(), back.merged_into), (None, Some(with)));
    assert_eq!(violations(&back), Vec::<&str>::new());
}

#[test]
fn what_was_said_of_the_others_result_is_forgotten_by_who_goes_along_with_it() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    let (case, about) = (joined(&mut world, &resolved), original(&world, &resolved));
    let rated = case.rate_merged(1, &about, &world.resident()).unwrap().case;
    // Nobody judged it in time, which somebody is supervised for: it is not put aside for that.
    world.now = rated.clock(ClockKind::Judge, None).unwrap().due_at;
    let rated = world.tick(rated).case;
    let into = CaseId(world.fresh());
    let unjudged = rated.clone().go_along(resolved.id, into, &world.official(STATION));
    assert_eq!(guard(unjudged), "rating_unjudged");
    let judged = rated.judge_merged(true, "", &about, &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&judged), ["SupervisionCleared", "RatingJudged"]);
    let along = judged.case.go_along(resolved.id, into, &world.official(STATION)).unwrap();
    assert_eq!(names(&along), Vec::<&str>::new());
    let along = along.case;
    assert_eq!((along.rating.clone(), along.merged_into), (None, Some(into)));
    assert!(!along.clock(ClockKind::Judge, None).unwrap().is_open());
    assert_eq!(violations(&along), Vec::<&str>::new());
}

#[test]
fn a_joined_requesters_bad_word_is_judged_before_the_cases_are_taken_apart() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    let (case, about) = (joined(&mut world, &resolved), original(&world, &resolved));
    let rated = case.rate_merged(1, &about, &world.resident()).unwrap().case;
    assert_eq!(guard(rated.clone().unmerge(&world.official(STATION))), "rating_unjudged");
    let judged = rated.clone().judge_merged(true, "", &about, &world.official(VERIFIER)).unwrap().case;
    let back = judged.unmerge(&world.official(STATION)).unwrap().case;
    assert_eq!((back.state, back.rating.clone()), (CaseState::Accepted, None));
    // Where the other is over for good nobody would work for it there.
    let back = rated.unmerge_from_over(false, &world.official(STATION)).unwrap();
    assert_eq!(names(&back), ["RatingJudged", "CaseUnmerged", "SupervisionIssued"]);
    let DomainEvent::SupervisionIssued { level: 2, .. } = back.events[2].event else { panic!() };
    assert_eq!(back.case.resolve_clock().unwrap().kind, ClockKind::Rework);
    let DomainEvent::RatingJudged { grade: 1, valid: true, .. } = back.events[0].event else { panic!() };
    assert_eq!((back.case.state, back.case.rating.clone()), (CaseState::Accepted, None));
    assert_eq!(violations(&back.case), Vec::<&str>::new());
}

#[test]
fn a_bad_word_of_who_leaves_what_is_over_with_another_is_worked_for_in_that_one() {
    let mut world = World::new();
    let over = world.resolved("stairs");
    let about = original(&world, &over);
    let (middle, first) = (joined(&mut world, &over), joined(&mut world, &over));
    let first = Case { merged_through: vec![middle.id], ..first };
    let rated = first.rate_merged(1, &about, &world.resident()).unwrap().case;
    world.wait(TimeDelta::days(60));
    let left = middle.unmerge_from_over(true, &world.official(STATION)).unwrap();
    assert_eq!(names(&left), ["CaseUnmerged", "SupervisionIssued"]);
    let middle = left.case;
    let back = rated.come_back_from_over(middle.id, &world.official(STATION)).unwrap();
    assert_eq!(names(&back), ["RatingJudged"]);
    let DomainEvent::RatingJudged { valid: true, .. } = back.events[0].event else { panic!() };
    let first = back.case;
    assert_eq!((first.merged_into, first.awaits_rectification()), (Some(middle.id), true));
    world.wait(TimeDelta::hours(1));
    let answer = AnswerCase { explanation_ref: "kb-1".into(), closed_code: ClosedCode::BeyondAuthority };
    let middle = middle.answer(answer, &world.official(STATION)).unwrap().case;
    let heard = first.clone().hear_rectified(&original(&world, &middle), &world.system()).unwrap();
    let DomainEvent::RatingRectified { in_time: true, .. } = heard.events[0].event else { panic!() };
    for case in [middle, first] {
        assert_eq!(violations(&case), Vec::<&str>::new());
    }
    // Who said nothing, or nothing bad, comes back as ever.
    let silent = Case { merged_through: vec![over.id], ..joined(&mut world, &over) };
    let back = silent.come_back_from_over(over.id, &world.official(STATION)).unwrap();
    assert_eq!((names(&back), back.case.rating), (vec![], None));
}

#[test]
fn a_joined_requesters_valid_bad_word_is_supervised_though_the_case_was_opened_again_meanwhile() {
    let mut world = World::new();
    let case = world.closed("stairs");
    let joined = joined(&mut world, &case);
    let rated = joined.rate_merged(1, &original(&world, &case), &world.resident()).unwrap().case;
    let rated_at = rated.rating.as_ref().unwrap().at;
    world.wait(TimeDelta::hours(1));
    let opened = case.reopen("new_facts", &world.official(STREET_OFFICE)).unwrap().case;
    let heard = opened.heed_joined(rated_at, &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&heard), ["SupervisionIssued"]);
    let DomainEvent::SupervisionIssued { level: 2, .. } = heard.events[0].event else { panic!() };
    let known = heard.case.supervisions.last().unwrap();
    assert_eq!((known.reason_code.as_str(), known.clock), ("bad_rating", Some(ClockKind::Resolve)));
    assert_eq!(violations(&heard.case), Vec::<&str>::new());
    let again = heard.case.heed_joined(rated_at, &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&again), Vec::<&str>::new(), "it is supervised for that already");
}

#[test]
fn an_own_bad_word_about_the_same_result_counts_as_valid_with_that_of_a_joined_requester() {
    for (closed, follows) in [(false, "CaseReworkOrdered"), (true, "CaseReopened")] {
        let mut world = World::new();
        let mut case = world.resolved("stairs");
        if closed {
            world.wait(TimeDelta::days(12));
            case = world.tick(case).case;
        }
        let rated = case.rate(1, &world.resident()).unwrap().case;
        let now = world.now;
        let heard = rated.heed_joined(now, &world.official(VERIFIER)).unwrap();
        assert_eq!(names(&heard)[..2], ["RatingJudged", follows]);
        let DomainEvent::RatingJudged { valid: true, .. } = heard.events[0].event else { panic!() };
        assert_eq!(heard.timeline[0].org, Some(VERIFIER));
        assert!(names(&heard).contains(&"SupervisionIssued"));
        assert_eq!(violations(&heard.case), Vec::<&str>::new());
    }
}

/// Having received a request that went into another is no part in the other's result; having answered it is.
#[test]
fn whoever_is_to_judge_the_rating_of_a_joined_requester_may() {
    let mut world = World::new();
    let case = world.resolved("stairs");
    let original = original(&world, &case);
    let register = RegisterCase { receiver: VERIFIER, ..world.register() };
    let received = Case::register(register, &world.official(VERIFIER)).unwrap().case;
    let received = received.merge(case.id, &world.official(VERIFIER)).unwrap().case;
    assert_eq!((received.first_receiver, received.handling_orgs()), (VERIFIER, vec![VERIFIER]));
    let answered = Case { answered_by: vec![VERIFIER], ..received.clone() };
    for (joined, judge) in [(received, VERIFIER), (answered, GOVERNMENT)] {
        let rated = joined.rate_merged(1, &original, &world.resident()).unwrap().case;
        assert_eq!(rated.rating.as_ref().unwrap().judge, Some(judge));
        for by in [VERIFIER, GOVERNMENT, STATION] {
            let judged = rated.clone().judge_merged(true, "", &original, &world.official(by));
            if by == STATION || (by, judge) == (VERIFIER, GOVERNMENT) {
                assert_eq!(guard(judged), "rating_judge", "{by}");
            } else {
                assert!(judged.is_ok(), "{by}");
            }
        }
    }
}

#[test]
fn a_joined_requester_is_called_about_what_came_of_the_other_and_before_a_bad_word_is_put_aside() {
    let mut world = World::new();
    let early = world.in_progress("stairs");
    let waits = joined(&mut world, &early);
    let called = waits.call_merged(&reached(4), &original(&world, &early), &world.official(VERIFIER));
    assert_eq!(guard(called), "original_not_resolved");

    let case = world.resolved("stairs");
    let (joined, about) = (joined(&mut world, &case), original(&world, &case));
    let own = joined.clone().call_merged(&reached(4), &about, &world.official(STATION));
    assert_eq!(guard(own), "caller");
    let unasked = joined.clone().rate_merged(1, &about, &world.official(VERIFIER));
    assert_eq!(guard(unasked), "requester_not_reached");
    let heard = joined.call_merged(&reached(1), &about, &world.official(VERIFIER)).unwrap().case;
    let again = heard.clone().call_merged(&reached(1), &about, &world.official(VERIFIER));
    assert_eq!(guard(again), "callback_done");
    let mut rated = heard.rate_merged(1, &about, &world.official(VERIFIER)).unwrap().case;
    assert!(rated.rating.as_ref().unwrap().on_behalf);
    // The call before the rating was not about it.
    let verdict = |case: &Case, world: &mut World| {
        case.clone().judge_merged(false, "", &about, &world.official(VERIFIER))
    };
    for _ in 0..3 {
        assert_eq!(guard(verdict(&rated, &mut world)), "callback_outstanding");
        world.wait(TimeDelta::hours(2));
        let unanswered = CallbackReport::NoAnswer;
        rated = rated.call_merged(&unanswered, &about, &world.official(VERIFIER)).unwrap().case;
        let soon = rated.clone().call_merged(&unanswered, &about, &world.official(VERIFIER));
        assert!(matches!(guard(soon), "callback_too_soon" | "callback_done"));
    }
    let judged = verdict(&rated, &mut world).unwrap();
    let DomainEvent::RatingJudged { valid: false, callback, .. } = judged.events[0].event else { panic!() };
    assert_eq!(callback, Some(CallbackOutcome::Unreached));
}

#[test]
fn a_valid_bad_rating_of_a_joined_requester_sends_the_work_back() {
    let mut world = World::new();
    let case = world.resolved("stairs");
    let joined = joined(&mut world, &case);
    world.wait(TimeDelta::hours(1));
    let rated = joined.rate_merged(1, &original(&world, &case), &world.resident()).unwrap().case;
    let judged = rated.judge_merged(true, "", &original(&world, &case), &world.official(VERIFIER));
    let joined = judged.unwrap().case;
    let again = joined.clone().rate_merged(5, &original(&world, &case), &world.resident());
    assert_eq!(guard(again), "rated_before");
    let at = joined.rating.as_ref().unwrap().at;
    assert_eq!(guard(case.clone().heed_joined(at, &world.official(STATION))), "rating_judge");
    assert_eq!(guard(case.clone().heed_joined(at, &world.system())), "human_official");
    let sent_back = case.heed_joined(at, &world.official(VERIFIER)).unwrap();
    assert_eq!(names(&sent_back), ["CaseReworkOrdered", "TaskReturned", "SupervisionIssued"]);
    let DomainEvent::SupervisionIssued { level: 2, .. } = sent_back.events[2].event else { panic!() };
    let step = sent_back.timeline.last().unwrap();
    assert_eq!((step.event.as_str(), step.case_version), ("JoinedRatingValid", sent_back.case.version));
    let case = sent_back.case;
    assert_eq!((case.state, case.rework_count), (CaseState::InProgress, 1));
    assert_eq!(violations(&case), Vec::<&str>::new());
    // Another one that comes while the work is done again changes nothing more.
    let heard = case.clone().heed_joined(at, &world.official(VERIFIER)).unwrap();
    assert_eq!((heard.events.len(), heard.case.rework_count), (0, 1));

    world.wait(TimeDelta::hours(1));
    let case = resolved_again(&mut world, case);
    let late = case.clone().heed_joined(at, &world.official(VERIFIER)).unwrap();
    assert_eq!((late.events.len(), late.case.state), (0, CaseState::Resolved), "about what was before");
    let again = joined.rate_merged(5, &original(&world, &case), &world.resident()).unwrap().case;
    assert_eq!(again.rating.unwrap().grade, 5, "the new result is rated anew");
}

#[test]
fn supervisions_of_a_merged_case_rest_and_get_their_time_anew_when_it_goes_on() {
    let mut world = World::new();
    let case = world.accepted();
    world.now = case.clock(ClockKind::Dispatch, None).unwrap().due_at;
    let late = world.tick(case).case;
    let id = late.supervisions[0].id;
    assert_eq!((late.supervisions.len(), late.supervisions[0].level), (1, 1));
    let said = late.clone().answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap().case;
    let (begun, other) = (world.now, CaseId(world.fresh()));
    for (case, state) in [(late, SupervisionState::Issued), (said, SupervisionState::Answered)] {
        world.now = begun;
        let merged = case.merge(other, &world.official(STATION)).unwrap().case;
        assert_eq!((merged.next_timer_at(), merged.counted_with()), (None, None), "nothing is waited for");
        world.wait(TimeDelta::days(30));
        assert_eq!(merged.clone().tick(&world.system()).unwrap(), None);
        let back = merged.unmerge(&world.official(STATION)).unwrap();
        assert_eq!(names(&back), ["CaseUnmerged", "SupervisionMoved"]);
        let DomainEvent::SupervisionMoved { rises, due_at, .. } = back.events[1].event else { panic!() };
        let known = back.case.supervisions[0].clone();
        assert_eq!((known.level, known.state, rises), (1, state, state == SupervisionState::Answered));
        assert_eq!(if rises { known.rises_at } else { Some(known.due_at) }, Some(due_at));
        assert!(due_at > world.now);
        assert_eq!(violations(&back.case), Vec::<&str>::new());
        world.now = due_at;
        let up = world.tick(back.case).case;
        let known = up.supervisions.iter().find(|known| known.id == id).unwrap();
        assert_eq!((known.level, known.state), (2, SupervisionState::Issued));
    }
}

#[test]
fn whoever_does_not_judge_the_rating_of_a_joined_requester_is_supervised_on() {
    let mut world = World::new();
    let resolved = world.resolved("stairs");
    let case = joined(&mut world, &resolved);
    let rated = case.rate_merged(1, &original(&world, &resolved), &world.resident()).unwrap().case;
    world.now = rated.clock(ClockKind::Judge, None).unwrap().due_at;
    let late = world.tick(rated).case;
    assert_eq!(late.next_timer_at(), Some(late.supervisions[0].due_at));
    world.now = late.supervisions[0].due_at;
    assert_eq!(world.tick(late).case.supervisions[0].level, 2);
}

#[test]
fn a_closed_original_is_opened_again_within_its_window_and_one_that_is_over_is_not() {
    let mut world = World::new();
    let case = world.closed("stairs");
    let joined = joined(&mut world, &case);
    let now = world.now;
    let opened = case.clone().heed_joined(now, &world.official(VERIFIER)).unwrap();
    assert_eq!(
        names(&opened),
        ["CaseReopened", "CaseDispatched", "TaskIssued", "TaskIssued", "SupervisionIssued"]
    );
    assert_eq!((opened.case.reopen_count, opened.case.state), (1, CaseState::Dispatched));
    assert_eq!(violations(&opened.case), Vec::<&str>::new());
    assert!(joined.clone().rate_merged(1, &original(&world, &case), &world.resident()).is_ok());
    world.wait(TimeDelta::days(40));
    let late = joined.rate_merged(1, &original(&world, &case), &world.resident());
    assert_eq!(guard(late), "rating_too_late");
    let archived = in_state(&mut world, CaseState::Archived);
    let now = world.now;
    assert_eq!(guard(archived.heed_joined(now, &world.official(VERIFIER))), "original_over");
}

/// What the tickets of those that are merged into the case hear of a decision.
fn heard(before: &Case, decision: &Decision) -> Vec<(CaseState, Option<ClosedCode>)> {
    let told = exchange::reports_to_joined(&decision.case, Some(before.state), &decision.events);
    assert!(told.iter().all(|report| report.cases == decision.case.merged));
    told.into_iter().map(|report| (report.state, report.closed_code)).collect()
}

#[test]
fn what_nobody_asked_for_by_name_waits_for_the_word_of_who_was_merged_into_it() {
    let mut world = World::new();
    let found = Case { requester: None, origin: Origin::Patrol, ..world.in_progress("stairs") };
    let good = VerifyCase { callback: None, ..found_good() };
    let alone = world.complete(found.clone());
    let alone = alone.verify(&good, &world.official(VERIFIER)).unwrap().case;
    assert_eq!(alone.state, CaseState::Closed, "nobody can rate it");

    let asked = joined(&mut world, &found);
    assert_eq!(asked.unnamed(), []);
    let both = found.clone().absorb(&[asked.id], true, &world.official(STATION)).unwrap().case;
    let both = world.complete(both);
    let callback = both.verification.as_ref().unwrap().callback.as_ref().unwrap().outcome;
    assert_eq!(callback, CallbackOutcome::NotDue, "whoever asked is called about the own case");
    let resolved = both.verify(&good, &world.official(VERIFIER)).unwrap().case;
    assert_eq!(resolved.state, CaseState::Resolved);
    let window = resolved.clock(ClockKind::RatingWindow, None).unwrap();
    let (open, due_at) = (window.is_open(), window.due_at);
    assert!(open);
    assert_eq!(violations(&resolved), Vec::<&str>::new());
    let about = original(&world, &resolved);
    let rated = asked.clone().rate_merged(1, &about, &world.resident()).unwrap().case;
    let rated_at = rated.rating.as_ref().unwrap().at;
    assert!(!rated.rating.as_ref().unwrap().late, "within the window");
    rated.judge_merged(true, "", &about, &world.official(VERIFIER)).unwrap();
    let again = resolved.clone().heed_joined(rated_at, &world.official(VERIFIER)).unwrap().case;
    assert_eq!((again.state, again.rework_count, again.reopen_count), (CaseState::InProgress, 1, 0));
    world.now = due_at;
    let over = world.tick(resolved).case;
    assert_eq!(over.state, CaseState::Closed, "and for no longer than for anybody else");

    // Whoever did not say who they are waits for nothing, nor does what another patrol found.
    let nameless = Case { anonymous: true, ..asked.clone() };
    let carries = Case { merged: vec![nameless.id], merged_unnamed: nameless.unnamed(), ..asked };
    assert_eq!(carries.unnamed(), [nameless.id]);
    let taken = found.absorb(&[nameless.id], true, &world.official(STATION)).unwrap();
    let taken = taken.nobody_named(&nameless.unnamed()).case;
    let checked = world.complete(taken.clone()).verify(&good, &world.official(VERIFIER)).unwrap().case;
    assert_eq!(checked.state, CaseState::Closed);
    let text = serde_json::to_string(&taken).unwrap();
    assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), taken);
    let left = taken.absorb(&[nameless.id], false, &world.official(STATION)).unwrap().case;
    assert_eq!((left.merged, left.merged_unnamed), (vec![], vec![]));
}

#[test]
fn tickets_of_joined_cases_hear_how_the_original_ends_and_that_it_goes_on() {
    let mut world = World::new();
    let other = CaseId(world.fresh());
    let case = world.completed("stairs");
    let alone = case.clone().verify(&found_good(), &world.official(VERIFIER)).unwrap();
    assert_eq!(heard(&case, &alone), [], "nobody is merged into it");
    let case = case.absorb(&[other], true, &world.official(STATION)).unwrap().case;
    let resolved = case.clone().verify(&found_good(), &world.official(VERIFIER)).unwrap();
    assert_eq!(heard(&case, &resolved), [(CaseState::Resolved, Some(ClosedCode::Resolved))]);
    let resolved = resolved.case;

    let rated = resolved.clone().rate(1, &world.resident()).unwrap();
    assert_eq!(heard(&resolved, &rated), [], "it stays where it is");
    let rated = rated.case;
    let reworked = rated.clone().judge_rating(true, "", &world.official(VERIFIER)).unwrap();
    assert_eq!(heard(&rated, &reworked), [(CaseState::InProgress, None)]);

    let closed = resolved.clone().rate(5, &world.resident()).unwrap();
    assert_eq!(heard(&resolved, &closed), [(CaseState::Closed, Some(ClosedCode::Resolved))]);
    let closed = closed.case;
    let opened = closed.clone().reopen("new_facts", &world.resident()).unwrap();
    assert_eq!(heard(&closed, &opened), [(CaseState::Triaged, None)], "of the way from there nothing");
    let parted = closed.clone().absorb(&[other], false, &world.official(STATION)).unwrap().case;
    let opened = parted.clone().reopen("new_facts", &world.resident()).unwrap();
    assert_eq!(heard(&parted, &opened), [], "it is no longer one of them");
    world.wait(TimeDelta::days(101));
    let archived = closed.clone().archive(&world.system()).unwrap();
    assert_eq!(heard(&closed, &archived), [], "no second end");
}

#[test]
fn tickets_of_joined_cases_hear_that_the_original_went_elsewhere_and_came_back() {
    let mut world = World::new();
    let other = CaseId(world.fresh());
    let case = world.accepted().absorb(&[other], true, &world.official(STATION)).unwrap().case;
    let gone = case.clone().hand_off("12345", Elsewhere::Taken, &world.official(STATION)).unwrap();
    assert_eq!(heard(&case, &gone), [(CaseState::HandedOff, Some(ClosedCode::HandedOff))]);
    let gone = gone.case;
    let back = gone.clone().return_from_referral("hotline", "退回", &world.system()).unwrap();
    assert_eq!(heard(&gone, &back), [(CaseState::Accepted, None)]);
}
