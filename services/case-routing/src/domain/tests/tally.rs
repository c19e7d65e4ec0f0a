//! What a case counts by what is held of it is what analytics makes of its events: whatever people try in whatever order, and
//! however late time is looked at.

use std::collections::BTreeMap;

use analytics::domain::{self as figures, CaseEvent, CaseFact, Change, Taken, TaskFact};
use chrono::TimeDelta;
use proptest::prelude::*;
use uuid::Uuid;

use super::super::*;
use super::attempts::{ITEMS, attempt};
use super::follow_units::{self, NEXT};
use super::history::attempts;
use super::import::{command, import};
use super::merging::{original, resolved_again};
use super::world::*;
use crate::codes::{case_state, limit_unit};
use crate::events;

/// A case as it is held, and as analytics hears of it.
pub(super) struct Both {
    pub(super) case: Case,
    commands: Vec<Vec<TimelineEntry>>,
    fact: Option<CaseFact>,
    tasks: BTreeMap<Uuid, TaskFact>,
}

impl Both {
    pub(super) fn begin(now: Timestamp, decision: Decision) -> Self {
        let case = decision.case.clone();
        let mut both = Self { case, commands: Vec::new(), fact: None, tasks: BTreeMap::new() };
        both.take(now, decision);
        both
    }

    /// One command, told at an instant that may lie behind those of its steps.
    pub(super) fn take(&mut self, now: Timestamp, decision: Decision) {
        if !decision.timeline.is_empty() {
            self.commands.push(decision.timeline);
        }
        for told in &decision.events {
            let event = events::emit(told).sent("case-routing", now);
            let read = CaseEvent::of(&event).unwrap().expect("it is about a case");
            self.fact = Some(CaseFact::apply(self.fact.take(), &read));
            if let Change::Task { task_id, change } = read.change {
                let known = self.tasks.remove(&task_id);
                self.tasks.insert(task_id, TaskFact::apply(known, task_id, change, &read));
            }
        }
        self.case = decision.case;
    }

    fn life(&self) -> Life {
        let kept = serde_json::to_value(&self.commands).unwrap();
        Life::of(serde_json::from_value(kept).unwrap())
    }

    pub(super) fn text(&self) -> String {
        Tally::of_case(&self.case, &self.life(), false).to_string()
    }

    pub(super) fn check(&self) {
        let kept = serde_json::to_value(&self.case).unwrap();
        let (case, life): (Case, Life) = (serde_json::from_value(kept).unwrap(), self.life());
        let told = figures::tally::case(self.fact.as_ref().expect("it was told of"));
        same(&Tally::of_case(&case, &life, false), &told);
        let ids: Vec<Uuid> = case.tasks.iter().map(|task| task.id.0).collect();
        assert!(ids.iter().all(|id| self.tasks.contains_key(id)), "every task was told of");
        for (id, fact) in &self.tasks {
            same(&Tally::of_task(&case, TaskId(*id), &life), &figures::tally::task(fact));
        }
    }
}

/// Both say the same, but for what the case does not hold any more.
fn same(held: &Tally, told: &str) {
    let held = held.to_string();
    let unknown: Vec<&str> = held.split(';').filter_map(|part| part.strip_suffix("=?")).collect();
    let known = |text: &str| -> Vec<String> {
        let held = |part: &str| part.split(['=', '@']).next().is_none_or(|name| !unknown.contains(&name));
        text.split(';').filter(|part| held(part)).map(str::to_owned).collect()
    };
    assert_eq!(known(&held), known(told), "held: {held}\ntold: {told}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn what_is_held_counts_as_what_was_told(history in attempts(), verified in any::<bool>()) {
        let mut world = if verified { World::new() } else { World::without_verifier() };
        let begun = if history[0].pick > 3 {
            world.intake(ITEMS[history[0].by % ITEMS.len()])
        } else {
            let command = world.register();
            Case::register(command, &world.official(STATION)).unwrap()
        };
        let mut both = Both::begin(world.now, begun);
        both.check();
        for step in &history {
            world.wait(TimeDelta::minutes(step.wait));
            // The sweeper comes now and then.
            if step.by != 13 {
                let ticked = both.case.clone().tick(&world.system()).expect("time never fails");
                if let Some(decision) = ticked {
                    both.take(world.now, decision);
                    both.check();
                }
            }
            let tried = attempt(&mut world, both.case.clone(), step);
            if let Ok(Some(decision)) = tried {
                both.take(world.now, decision);
                both.check();
            }
        }
    }
}

#[test]
fn a_supervision_that_is_answered_rises_and_is_answered_anew_counts_by_its_first_answer() {
    for late in [false, true] {
        let mut world = World::new();
        let begun = world.intake("stairs");
        let mut both = Both::begin(world.now, begun);
        let task = both.case.lead().unwrap().clone();
        let signed = both.case.clone().sign(task.id, &world.official(task.org)).unwrap();
        both.take(world.now, signed);
        let contacted = both.case.clone().contact(ContactMethod::Phone, &world.official(task.org)).unwrap();
        both.take(world.now, contacted);
        let due = both.case.resolve_clock().unwrap().due_at;
        world.now = due;
        let breached = world.tick(both.case.clone());
        both.take(world.now, breached);
        let about = |case: &Case| {
            let of_clock = |known: &&Supervision| known.clock == Some(ClockKind::Resolve);
            case.supervisions.iter().find(of_clock).unwrap().clone()
        };
        let id = about(&both.case).id;
        if late {
            world.now = about(&both.case).due_at + TimeDelta::seconds(1);
        }
        for level in 1..=3 {
            assert_eq!(about(&both.case).level, level);
            let held = both.case.clone();
            let answered = held.answer_supervision(id, "under_way", None, &world.official(STATION)).unwrap();
            both.take(world.now, answered);
            both.check();
            let text = Tally::of_case(&both.case, &both.life(), false).to_string();
            let counted = format!("supervisions_in_time@{}=1", calendar::local_day(due));
            assert_eq!(text.contains(&counted), !late, "{text}");
            assert!(!late || !text.contains("supervisions_in_time"), "{text}");
            if let (1..=2, Some(rises_at)) = (level, about(&both.case).rises_at) {
                world.now = rises_at;
                let risen = world.tick(both.case.clone());
                both.take(world.now, risen);
                both.check();
            }
        }
    }
}

#[test]
fn a_whistle_by_which_a_case_is_sent_counts_like_any_other() {
    let mut world = World::new();
    let begun = world.intake("nobodys");
    let mut both = Both::begin(world.now, begun);
    let choice = sends(Chooser::Dispatcher, URBAN, &[COURTS]);
    let sent = both.case.clone().dispatch(&choice, &world.official(STREET_OFFICE)).unwrap();
    both.take(world.now, sent);
    both.check();
    let (lead, assist) = (both.case.tasks[0].id, both.case.tasks[1].id);
    // One comes in time, the other does not.
    let signed = both.case.clone().sign(lead, &world.official(URBAN)).unwrap();
    both.take(world.now, signed);
    let contacted = both.case.clone().contact(ContactMethod::Phone, &world.official(URBAN)).unwrap();
    both.take(world.now, contacted);
    world.now = both.case.clock(ClockKind::Report, Some(assist)).unwrap().due_at + TimeDelta::minutes(1);
    let late = world.tick(both.case.clone());
    both.take(world.now, late);
    let signed = both.case.clone().sign(assist, &world.official(COURTS)).unwrap();
    both.take(world.now, signed);
    let evidence = vec![(EvidenceKind::Document, "d-1".to_owned())];
    let handed_in = both.case.clone().submit_task(assist, evidence, &world.official(COURTS)).unwrap();
    both.take(world.now, handed_in);
    let done = both.case.clone().complete(done(), &world.official(URBAN)).unwrap();
    both.take(world.now, done);
    let judged = both.case.clone().appraise_whistle(lead, true, &world.official(STREET_OFFICE)).unwrap();
    both.take(world.now, judged);
    both.check();
    for (task, reported) in [(lead, true), (assist, false)] {
        let text = Tally::of_task(&both.case, task, &both.life()).to_string();
        assert!(text.contains("whistles=1"), "{text}");
        assert_eq!(text.contains("whistles_reported=1"), reported, "{text}");
        assert_eq!(text.contains("whistles_solved=1"), task == lead, "{text}");
    }
}

#[test]
fn a_bad_rating_of_a_merged_case_counts_as_put_right_by_the_work_on_the_other() {
    let mut world = World::new();
    let other = world.resolved("stairs");
    let command = world.register();
    let begun = Case::register(command, &world.official(STATION)).unwrap();
    let mut both = Both::begin(world.now, begun);
    let merged = both.case.clone().merge(other.id, &world.official(STATION)).unwrap();
    both.take(world.now, merged);
    world.wait(TimeDelta::hours(1));
    let about = original(&world, &other);
    let rated = both.case.clone().rate_merged(1, &about, &world.resident()).unwrap();
    both.take(world.now, rated);
    let judged = both.case.clone().judge_merged(true, "", &about, &world.official(VERIFIER)).unwrap();
    both.take(world.now, judged);
    both.check();
    let text = both.text();
    assert!(text.contains("bad_valid=1") && !text.contains("bad_rectified"), "{text}");
    let rated_at = both.case.rating.as_ref().unwrap().at;
    let other = other.heed_joined(rated_at, &world.official(VERIFIER)).unwrap().case;
    world.wait(TimeDelta::hours(1));
    let other = resolved_again(&mut world, other);
    let about = original(&world, &other);
    let heard = both.case.clone().hear_rectified(&about, &world.system()).unwrap();
    both.take(world.now, heard);
    both.check();
    let text = both.text();
    assert!(text.contains("bad_rectified=1") && !text.contains("bad_called_back"), "{text}");
    let called = both.case.clone().call_merged(&reached(4), &about, &world.official(VERIFIER)).unwrap();
    both.take(world.now, called);
    both.check();
    let rated = both.case.clone().rate_merged(5, &about, &world.resident()).unwrap();
    both.take(world.now, rated);
    both.check();
    let text = both.text();
    for part in ["bad_called_back=1", "bad_rectified=1", "bad_valid=1", "rated=2"] {
        assert!(text.split(';').any(|known| known == part), "{part} in {text}");
    }
}

/// What somebody does, as it is held and told.
pub(super) fn goes_on(
    both: &mut Both,
    world: &mut World,
    by: Party,
    verb: impl FnOnce(Case, &Act<'_>) -> Result<Decision>,
) {
    let decision = verb(both.case.clone(), &world.act(by)).unwrap();
    both.take(world.now, decision);
    both.check();
}

pub(super) fn resident() -> Party {
    Party { actor: requester(), org: None, standing: Standing::Requester }
}

/// Another channel is told at the window.
pub(super) fn answer(case: Case, act: &Act<'_>) -> Result<Decision> {
    let command = AnswerCase { explanation_ref: "kb-1".into(), closed_code: ClosedCode::BeyondAuthority };
    case.answer(command, act)
}

#[test]
fn a_bad_rating_of_what_was_answered_is_put_right_by_another_answer() {
    for (late, closed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new();
        let command = world.register();
        let begun = Case::register(command, &world.official(STATION)).unwrap();
        let mut both = Both::begin(world.now, begun);
        let window = official(STATION);
        goes_on(&mut both, &mut world, window.clone(), |case, act| case.accept(act));
        goes_on(&mut both, &mut world, window.clone(), |case, act| case.triage(&triage("stairs"), act));
        goes_on(&mut both, &mut world, window.clone(), answer);
        goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
        if closed {
            world.wait(TimeDelta::days(12));
            let ticked = world.tick(both.case.clone());
            both.take(world.now, ticked);
        }
        goes_on(&mut both, &mut world, resident(), |case, act| case.rate(1, act));
        goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.judge_rating(true, "", act));
        assert_eq!((both.case.state, both.case.reopen_count), (CaseState::Dispatched, u32::from(closed)));
        goes_on(&mut both, &mut world, official(GOVERNMENT), |case, act| case.recall("mis_dispatch", act));
        let due = both.case.resolve_clock().unwrap().due_at;
        world.now = if late { due + TimeDelta::hours(1) } else { world.now + TimeDelta::hours(1) };
        goes_on(&mut both, &mut world, window, answer);
        let text = both.text();
        assert!(text.contains("bad_valid=1"), "{text}");
        assert_eq!(text.contains("bad_rectified=1"), !late, "{closed} {text}");
    }
}

/// A requester who has the case opened again does not wait for the judgement, and nobody else gets round it.
#[test]
fn a_bad_rating_that_counts_as_valid_without_a_judgement_is_put_right_by_what_is_done_then() {
    let mut world = World::new();
    let begun = world.intake("stairs");
    let mut both = Both::begin(world.now, begun);
    let work = |both: &mut Both, world: &mut World| {
        let task = both.case.lead_task.unwrap();
        goes_on(both, world, official(STATION), |case, act| case.sign(task, act));
        goes_on(both, world, official(STATION), |case, act| case.contact(ContactMethod::Phone, act));
        goes_on(both, world, official(STATION), |case, act| case.complete(done(), act));
        goes_on(both, world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
    };
    work(&mut both, &mut world);
    world.wait(TimeDelta::days(12));
    let ticked = world.tick(both.case.clone());
    both.take(world.now, ticked);
    goes_on(&mut both, &mut world, resident(), |case, act| case.rate(1, act));
    goes_on(&mut both, &mut world, resident(), |case, act| case.reopen("new_facts", act));
    let text = both.text();
    assert!(text.contains("bad_valid=1") && !text.contains("bad_rectified"), "{text}");
    world.wait(TimeDelta::hours(1));
    work(&mut both, &mut world);
    let text = both.text();
    assert!(text.contains("bad_rectified=1") && text.contains("bad_called_back=1"), "{text}");
}

#[test]
fn a_bad_rating_of_a_case_that_leaves_one_that_is_over_counts_as_valid() {
    for late in [false, true] {
        let mut world = World::new();
        let other = world.resolved("stairs");
        let about = original(&world, &other);
        let command = world.register();
        let begun = Case::register(command, &world.official(STATION)).unwrap();
        let mut both = Both::begin(world.now, begun);
        let window = official(STATION);
        goes_on(&mut both, &mut world, window.clone(), |case, act| case.merge(other.id, act));
        world.wait(TimeDelta::hours(1));
        goes_on(&mut both, &mut world, resident(), |case, act| case.rate_merged(1, &about, act));
        // However long it was merged, there is time to put it right.
        world.wait(TimeDelta::days(60));
        goes_on(&mut both, &mut world, window.clone(), |case, act| case.unmerge_from_over(false, act));
        let text = both.text();
        assert!(text.contains("bad_valid=1") && !text.contains("bad_rectified"), "{text}");
        let due = both.case.resolve_clock().unwrap().due_at;
        world.now = if late { due + TimeDelta::hours(1) } else { world.now + TimeDelta::hours(1) };
        goes_on(&mut both, &mut world, window, answer);
        let text = both.text();
        assert_eq!(text.contains("bad_rectified=1"), !late, "{text}");
    }
}

#[test]
fn what_is_told_by_the_list_is_put_right_by_whoever_answers_it_anew_not_by_itself() {
    for (late, closed) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new();
        let begun = world.intake("court_matter");
        let mut both = Both::begin(world.now, begun);
        goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
        if closed {
            world.wait(TimeDelta::days(12));
            let ticked = world.tick(both.case.clone());
            both.take(world.now, ticked);
        }
        goes_on(&mut both, &mut world, resident(), |case, act| case.rate(1, act));
        goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.judge_rating(true, "", act));
        assert_eq!((both.case.state, both.case.completed_at), (CaseState::Triaged, None));
        let text = both.text();
        assert!(text.contains("bad_valid=1") && !text.contains("bad_rectified"), "{text}");
        let due = both.case.resolve_clock().unwrap().due_at;
        world.now = if late { due + TimeDelta::hours(1) } else { world.now + TimeDelta::hours(1) };
        goes_on(&mut both, &mut world, official(STATION), answer);
        let text = both.text();
        assert_eq!(text.contains("bad_rectified=1"), !late, "{closed} {text}");
    }
}

#[test]
fn how_long_it_took_counts_from_when_it_was_accepted_or_opened_again() {
    let mut world = World::new();
    let begun = world.intake("stairs");
    let mut both = Both::begin(world.now, begun);
    let elapsed = |both: &Both| both.fact.as_ref().unwrap().elapsed_seconds;
    let task = both.case.lead_task.unwrap();
    goes_on(&mut both, &mut world, official(STATION), |case, act| case.sign(task, act));
    goes_on(&mut both, &mut world, official(STATION), |case, act| case.contact(ContactMethod::Phone, act));
    world.wait(TimeDelta::hours(1));
    goes_on(&mut both, &mut world, official(STATION), |case, act| case.complete(done(), act));
    goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.order_rework("not_done", act));
    world.wait(TimeDelta::hours(1));
    goes_on(&mut both, &mut world, official(STATION), |case, act| case.complete(done(), act));
    goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
    goes_on(&mut both, &mut world, resident(), |case, act| case.rate(5, act));
    assert_eq!(elapsed(&both), Some(2 * 3_600));
    assert!(both.text().contains("durations@"), "{}", both.text());
    goes_on(&mut both, &mut world, resident(), |case, act| case.reopen("new_facts", act));
    goes_on(&mut both, &mut world, official(GOVERNMENT), |case, act| case.recall("mis_dispatch", act));
    goes_on(&mut both, &mut world, official(STATION), answer);
    goes_on(&mut both, &mut world, official(VERIFIER), |case, act| case.verify(&found_good(), act));
    goes_on(&mut both, &mut world, resident(), |case, act| case.rate(5, act));
    assert_eq!((both.case.state, elapsed(&both)), (CaseState::Closed, None));
    assert!(!both.text().contains("durations@"), "{}", both.text());
}

#[test]
fn an_imported_case_that_is_opened_again_is_not_done_the_first_time() {
    let mut world = World::new();
    let taken = command(&mut world, CaseState::Closed);
    let due = taken.completed_at.map(|done| done - TimeDelta::days(1));
    let taken = ImportCase { resolve_due_at: due, ..taken };
    let Imported { case, timeline, intake_in_time, elapsed_seconds, elapsed_unit, .. } =
        import(&mut world, taken).unwrap();
    let told = Taken {
        state: case_state(case.state),
        intake_in_time: Some(intake_in_time),
        elapsed_seconds,
        elapsed_unit: elapsed_unit.map_or(0, |unit| limit_unit(unit) as i16),
        due_at: case.resolve_clock().map(|clock| clock.due_at),
        completed_at: case.completed_at,
        ended_at: case.closed_at,
        rated: None,
        dispatched: false,
    };
    let event = CaseEvent {
        case_id: case.id.0,
        version: case.version,
        at: world.now,
        facts: events::facts(&case.facts()),
        change: Change::Imported(told),
        step: figures::process::Step::default(),
    };
    let fact = Some(CaseFact::apply(None, &event));
    let mut both = Both { case, commands: vec![timeline], fact, tasks: BTreeMap::new() };
    let opened = both.case.clone().reopen("new_facts", &world.resident()).unwrap();
    both.take(world.now, opened);
    let (task, org) = (both.case.lead_task.unwrap(), both.case.lead_org.unwrap());
    let signed = both.case.clone().sign(task, &world.official(org)).unwrap();
    both.take(world.now, signed);
    let contacted = both.case.clone().contact(ContactMethod::Phone, &world.official(org)).unwrap();
    both.take(world.now, contacted);
    let assists = both.case.tasks.iter().filter(|task| task.part == TaskPart::Assist && task.state.is_open());
    let waived = assists.map(|task| task.id).collect();
    let command = CompleteCase { waived, ..done() };
    let completed = both.case.clone().complete(command, &world.official(org)).unwrap();
    both.take(world.now, completed);
    let verified = both.case.clone().verify(&found_good(), &world.official(VERIFIER)).unwrap();
    both.take(world.now, verified);
    let rated = both.case.clone().rate(5, &world.resident()).unwrap();
    both.take(world.now, rated);
    let told = figures::tally::case(both.fact.as_ref().unwrap());
    for text in [both.text(), told] {
        let counts = |name: &str| text.split(';').any(|part| part.starts_with(name));
        assert!(counts("first_closed@") && counts("durations@"), "{text}");
        assert!(!counts("once_resolved@") && !counts("process_once_resolved"), "{text}");
        // Late there, and on time since.
        let late = format!("overdue_in@{}=1", calendar::local_day(due.unwrap()));
        assert!(counts(&late) && counts("due_on_time@") && counts("process_on_time"), "{text}");
    }
}

#[test]
fn a_place_that_follows_its_unit_counts_nothing() {
    let mut world = World::new();
    let command = RegisterCase { place_unit: STREET, ..world.register() };
    let begun = Case::register(command, &world.official(STATION)).unwrap();
    let mut both = Both::begin(world.now, begun);
    let accepted = both.case.clone().accept(&world.official(STATION)).unwrap();
    both.take(world.now, accepted);
    let before = both.text();
    world.routes = RoutingTable::new(follow_units::merged());
    let followed = both.case.clone().follow_units(&world.system()).unwrap();
    assert_eq!(names(&followed), ["CasePlaceFollowed"]);
    both.take(world.now, followed);
    both.check();
    assert_eq!(both.text(), before);
    assert_eq!(both.fact.as_ref().unwrap().place_unit_id, Some(NEXT.0));
}

fn counts(case: &Case, commands: &[&[TimelineEntry]]) -> String {
    let life = Life::of(commands.iter().map(|steps| steps.to_vec()).collect());
    Tally::of_case(case, &life, false).to_string()
}

#[test]
fn what_another_system_had_done_counts_for_what_an_import_tells() {
    let mut world = World::new();
    let taken = ImportCase { grade: Some(5), ..command(&mut world, CaseState::Closed) };
    let Imported { case, timeline, .. } = import(&mut world, taken).unwrap();
    let text = counts(&case, &[timeline.as_slice()]);
    let day = calendar::local_day(case.closed_at.unwrap());
    let parts: Vec<&str> = text.split(';').collect();
    let (closed, measured) = (format!("closed@{day}=1"), format!("durations@{day}=1"));
    for part in [closed.as_str(), measured.as_str(), "intake_in_time=?", "rated_good=1", "rated=1"] {
        assert!(parts.contains(&part), "{part} in {text}");
    }
    for name in ["first_closed", "routed", "callback", "closed_dispatched", "process"] {
        assert!(!parts.iter().any(|part| part.starts_with(name)), "{name} in {text}");
    }
    let life = Life::of(vec![timeline.clone()]);
    assert_eq!(Tally::of_task(&case, case.tasks[0].id, &life).to_string(), "counted=0");

    // Once it is opened again, what was said of the old result is not held.
    let opened = case.reopen("new_facts", &world.resident()).unwrap();
    let text = counts(&opened.case, &[timeline.as_slice(), opened.timeline.as_slice()]);
    assert!(text.contains(";rated=?;") && !text.contains("closed@"), "{text}");
}

#[test]
fn an_imported_case_that_is_open_counts_on_from_there() {
    let mut world = World::new();
    let taken = command(&mut world, CaseState::Dispatched);
    let Imported { case, timeline, intake_in_time, .. } = import(&mut world, taken).unwrap();
    assert!(intake_in_time);
    let text = counts(&case, &[timeline.as_slice()]);
    let day = calendar::local_day(case.registered_at);
    assert!(text.contains(&format!("intake_in_time@{day}=1")) && !text.contains("routed"), "{text}");
    let life = Life::of(vec![timeline]);
    assert_eq!(Tally::of_task(&case, case.lead_task.unwrap(), &life).to_string(), "tasks_issued=1");
}

#[test]
fn an_emergency_that_an_import_hands_off_counts_as_it_is_told() {
    for late in [false, true] {
        let mut world = World::new();
        let mut taken = command(&mut world, CaseState::Registered);
        taken.register.item_code = Some("fire".into());
        if late {
            taken.registered_at = world.now - TimeDelta::days(60);
        }
        let Imported { case, timeline, intake_in_time, .. } = import(&mut world, taken).unwrap();
        assert_eq!(intake_in_time, !late);
        let text = counts(&case, &[timeline.as_slice()]);
        let parts: Vec<&str> = text.split(';').collect();
        let in_time = format!("intake_in_time@{}=1", calendar::local_day(case.registered_at));
        assert_eq!(parts.contains(&in_time.as_str()), intake_in_time, "{text}");
        assert!(parts.contains(&"ended_handed_off=1"), "{text}");
    }
}

#[test]
fn a_mediation_counts_while_its_agreement_is_in_effect() {
    let at = at("2026-06-08T09:00:00");
    let agreement = Agreement {
        kind: AgreementKind::Oral,
        agreed_at: at,
        effective_at: Some(at),
        performance_due_at: Some(at + TimeDelta::days(30)),
        sealed_at: None,
        text_id: Uuid::from_u128(1),
    };
    let of = |state| Mediation {
        id: MediationId(Uuid::from_u128(2)),
        case_id: CaseId(Uuid::from_u128(3)),
        version: 1,
        state,
        origin: MediationOrigin::Application,
        round: 1,
        parties: vec![],
        mediator: None,
        sessions: vec![],
        agreement: Some(agreement.clone()),
        confirmation: None,
        deadlines: vec![],
        escalations: vec![],
        remedy: None,
        steps: vec![],
        opened_at: at,
        performed_at: None,
        evidence: vec![],
        closed_at: None,
        updated_at: at,
    };
    let settled = "disputes_opened=1;disputes_settled=1;disputes_settled_within=?";
    let performed = "agreements_due@2026-07-08=1;agreements_performed@2026-07-08=1";
    for (state, expected) in [
        (MediationState::Performed, format!("{performed};{settled}")),
        (MediationState::ToldOfCourt, format!("agreements_due@2026-07-08=1;{settled}")),
        (MediationState::ToldOfChannels, "disputes_opened=1".to_owned()),
    ] {
        assert_eq!(Tally::of_mediation(&of(state)).to_string(), expected, "{state}");
    }
}
