//! Properties over random histories: the rollups are the sum over the facts, whatever happened in whatever batches,
//! and a second delivery changes nothing.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use proptest::prelude::*;
use proto::case_routing::v1::{CallbackOutcome, CaseState, ClosedCode, DeliveryMode, LimitUnit};
use uuid::Uuid;

use super::{
    CaseEvent, CaseFact, Deltas, History, TaskFact,
    history::{Changes, recount},
    story::{Story, Verdict, at},
};

/// One step in a random life: which verb, after how many hours, with which flag.
type Step = (u8, i64, bool);

fn story(place: u128, steps: &[Step]) -> Story {
    let unit = |n: u128| Uuid::from_u128(n % 3 + 1);
    let mut now = at("2026-06-28", 9);
    let mut story = Story::register(now, unit(place));
    let mut task = Uuid::from_u128(place + 100);
    for (verb, hours, flag) in steps {
        now += TimeDelta::hours(*hours);
        let due = now + TimeDelta::hours(30);
        match verb % 21 {
            0 => drop(story.accept(now, due, *flag)),
            1 => drop(story.triage(
                now,
                if *flag { "roof" } else { "noise" },
                if *flag { "housing" } else { "urban" },
            )),
            2 => task = story.dispatch(now, DeliveryMode::GovDirect, *flag, *flag),
            3 => drop(story.sign(now, task, *flag)),
            4 => {
                story.facts.repeats = *flag;
                story.contact(now, *flag);
            }
            5 => drop(story.suspend(now)),
            6 => drop(story.resume(now, due)),
            7 => drop(story.extend(now, due)),
            8 => {
                story.unit = if *flag { LimitUnit::WorkDay } else { LimitUnit::CalHour };
                story.complete(now, task, *flag, hours * 3600);
            }
            9 => drop(story.verify(now, Verdict::good())),
            10 => drop(story.rework(now, task, due)),
            11 => drop(story.rate(now, if *flag { 5 } else { 1 }, (!flag).then_some(true))),
            12 => drop(story.close(now, ClosedCode::Resolved)),
            13 => drop(story.reopen(now, due)),
            14 => drop(story.withdraw(now)),
            15 if *flag => drop(story.follow_place(now, unit(u128::from(*verb) + place))),
            15 => drop(story.move_to(now, unit(u128::from(*verb) + place))),
            16 => {
                let callback = if *flag { CallbackOutcome::Reached } else { CallbackOutcome::Unspecified };
                story.rectify(now, *flag, callback);
            }
            17 => drop(story.answer_within(now, *flag, hours * 3600)),
            18 => drop(story.recall(now)),
            19 => task = story.confirm_offer(now),
            _ => drop(story.merge(now, Uuid::from_u128(7))),
        }
    }
    story
}

/// Stored facts and rollups, as the database holds them.
#[derive(Default)]
struct Stored {
    cases: BTreeMap<Uuid, CaseFact>,
    tasks: BTreeMap<Uuid, TaskFact>,
    rollups: Deltas,
}

impl Stored {
    fn consume(&mut self, batch: &[CaseEvent]) {
        let mut history =
            History::new(self.cases.values().cloned().collect(), self.tasks.values().cloned().collect());
        batch.iter().for_each(|event| history.apply(event));
        let Changes { cases, tasks, deltas, .. } = history.finish();
        self.cases.extend(cases.into_iter().map(|f| (f.case_id, f)));
        self.tasks.extend(tasks.into_iter().map(|f| (f.task_id, f)));
        let sum = &mut self.rollups;
        for (cell, counters) in deltas.cells {
            *sum.cells.entry(cell).or_default() += &counters;
        }
        for (cell, numbers) in deltas.stock {
            sum.stock.entry(cell).or_default().iter_mut().zip(numbers).for_each(|(sum, n)| *sum += n);
        }
        deltas.durations.into_iter().for_each(|(k, n)| *sum.durations.entry(k).or_default() += n);
        deltas
            .processes
            .into_iter()
            .for_each(|(k, measures)| sum.processes.entry(k).or_default().add(&measures, 1));
        deltas.states.into_iter().for_each(|(k, n)| *sum.states.entry(k).or_default() += n);
        deltas.open_due.into_iter().for_each(|(k, n)| *sum.open_due.entry(k).or_default() += n);
    }

    fn recount(&self) -> Deltas {
        recount(self.cases.values(), self.tasks.values())
    }
}

/// Events of all stories, each in its own order, mixed by `order`.
fn mixed(stories: &[Story], order: &[usize]) -> Vec<CaseEvent> {
    let mut queues: Vec<std::slice::Iter<'_, _>> = stories.iter().map(|s| s.events.iter()).collect();
    let mut events = Vec::new();
    let mut picks = order.iter().cycle();
    while queues.iter().any(|q| q.len() > 0) {
        let n = queues.len();
        let pick = picks.next().copied().unwrap_or_default();
        let next = (0..n).find_map(|shift| queues[(pick + shift) % n].next());
        events.extend(next.map(|e| CaseEvent::of(e).unwrap().unwrap()));
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn rollups_are_the_sum_over_the_facts_however_events_are_mixed_and_batched(
        lives in proptest::collection::vec(proptest::collection::vec((0_u8..42, 0_i64..60, any::<bool>()), 0..14), 1..6),
        order in proptest::collection::vec(0_usize..6, 1..20),
        batch in 1_usize..12,
    ) {
        let stories: Vec<Story> = lives.iter().enumerate().map(|(n, l)| story(n as u128, l)).collect();
        let events = mixed(&stories, &order);
        let mut stored = Stored::default();
        for chunk in events.chunks(batch) {
            stored.consume(chunk);
            stored.consume(chunk); // delivered again
        }
        prop_assert_eq!(stored.rollups.clone().without_zeros(), stored.recount());

        // All in one batch gives the same facts and rollups.
        let mut once = Stored::default();
        once.consume(&events);
        prop_assert_eq!(&once.cases, &stored.cases);
        prop_assert_eq!(&once.tasks, &stored.tasks);
        prop_assert_eq!(once.rollups.without_zeros(), stored.rollups.without_zeros());

        // The last event says how the case stands.
        for story in &stories {
            let fact = &stored.cases[&story.case_id];
            prop_assert_eq!(fact.version, story.version);
            prop_assert_eq!(fact.case_state(), story.facts.state());
            prop_assert_eq!(fact.closed_at.is_some(), story.facts.state() == CaseState::Closed);
        }
    }
}

fn fact(story: &Story) -> CaseFact {
    let mut fact = None;
    for event in &story.events {
        fact = Some(CaseFact::apply(fact, &CaseEvent::of(event).unwrap().unwrap()));
    }
    fact.unwrap()
}

#[test]
fn a_place_that_follows_its_unit_moves_the_case_and_is_no_step_of_it() {
    let [before, after] = [7, 8].map(Uuid::from_u128);
    let hour = |hour| at("2026-02-02", hour);
    let mut story = Story::register(hour(9), before);
    story.accept(hour(10), hour(34), true).triage(hour(10), "roof", "housing");
    story.dispatch(hour(11), DeliveryMode::GovDirect, true, true);
    let was = fact(&story);
    let triaged = fact(story.clone().move_to(hour(12), after));
    assert_ne!(triaged.process, was.process, "as it was told before");
    assert_eq!(triaged.place_unit_id, Some(after));
    story.follow_place(hour(12), after);
    let moved = CaseFact { version: was.version + 1, place_unit_id: Some(after), ..was };
    assert_eq!(fact(&story), moved, "and nothing else");
}

#[test]
fn every_event_of_case_routing_with_the_cases_standing_is_understood() {
    let pool = proto::pool();
    let facts = pool.get_message_by_name("jianghan.case_routing.v1.CaseFacts").unwrap();
    let mut understood = 0;
    for kind in chassis::event::catalogue().types() {
        let message = pool.get_message_by_name(&kind.name).unwrap();
        let standing = message.fields().find(
            |f| matches!(f.kind(), prost_reflect::Kind::Message(m) if m.full_name() == facts.full_name()),
        );
        let mut event = chassis::event::Event::of(
            "case-routing",
            at("2026-06-01", 9),
            Uuid::from_u128(5),
            3,
            &proto::case_routing::v1::CaseTriaged::default(),
        );
        event.r#type = kind.name.clone();
        let Some(standing) = standing else {
            event.data = Default::default();
            assert_eq!(CaseEvent::of(&event).unwrap(), None, "{}", kind.name);
            continue;
        };
        let mut filled = prost_reflect::DynamicMessage::new(message.clone());
        let mut inner = prost_reflect::DynamicMessage::new(facts.clone());
        inner.set_field_by_name("item_code", prost_reflect::Value::String("roof".to_owned()));
        filled.set_field(&standing, prost_reflect::Value::Message(inner));
        for name in ["task_id", "supervision_id"] {
            if message.get_field_by_name(name).is_some() {
                let id = prost_reflect::Value::String(Uuid::from_u128(6).to_string());
                filled.set_field_by_name(name, id);
            }
        }
        event.data = prost::Message::encode_to_vec(&filled).into();
        let read = CaseEvent::of(&event).unwrap().unwrap();
        assert_eq!((read.version, read.facts.item_code.as_str()), (3, "roof"), "{}", kind.name);
        understood += 1;
    }
    assert!(understood > 40, "{understood}");
}
