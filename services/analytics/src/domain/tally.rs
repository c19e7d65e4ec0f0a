//! What one case, task or mediation counts, as a text that reconcile compares with what case-routing makes of the same thing by
//! itself: `callback_due@2026-03-02=1;…;routed=1`. A day stands with a counter where case-routing holds the instant it follows
//! from; what counts on the day of an event (a dispatch, a rating, a task) stands without, for the envelope's time is kept
//! here alone. Counters that follow from others, and times and minutes of processes, are left out.

use std::{collections::BTreeMap, fmt::Write as _};

use calendar::local_day;
use chrono::NaiveDate;

use super::{
    CaseFact, Counter, MediationFact, TaskFact, delta,
    process::{self, Measure},
};

/// What is written where nothing is counted, so that there is a value all the same.
const NOTHING: &str = "counted=0";

/// Numbers by counter, with its day where that is compared.
#[derive(Default)]
struct Tally(BTreeMap<String, i64>);

impl Tally {
    fn add(&mut self, name: &str, day: Option<NaiveDate>, n: i64) {
        let name = day.map_or_else(|| name.to_owned(), |day| format!("{name}@{day}"));
        *self.0.entry(name).or_default() += n;
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, n) in self.0.iter().filter(|(_, n)| **n != 0) {
            let mark = if text.is_empty() { "" } else { ";" };
            let _ = write!(text, "{mark}{name}={n}"); // writing to a String does not fail
        }
        if text.is_empty() { NOTHING.to_owned() } else { text }
    }
}

/// How a counter is compared.
enum Compared {
    OnItsDay,
    WithoutDay,
    Not,
}

/// What a case counts, its way through the process included.
pub fn case(case: &CaseFact) -> String {
    let mut tally = Tally::default();
    for (day, counter, n) in delta::case_counts(case) {
        match compared(case, counter) {
            Compared::OnItsDay => tally.add(counter.name(), Some(day), n),
            Compared::WithoutDay => tally.add(counter.name(), None, n),
            Compared::Not => {}
        }
    }
    if let (Some(closed), Some(_), 1..) = (case.closed_at, case.elapsed_seconds, case.elapsed_unit) {
        tally.add("durations", Some(local_day(closed)), 1);
    }
    for (_, measures) in process::counts(case) {
        for measure in Measure::ALL.iter().filter(|measure| is_compared(**measure)) {
            tally.add(&format!("process_{}", measure.name()), None, measures.get(*measure));
        }
    }
    tally.text()
}

fn compared(case: &CaseFact, counter: Counter) -> Compared {
    match counter {
        // They follow from the days of `overdue_in` and `overdue_out`.
        Counter::OverdueInDays | Counter::OverdueOutDays => Compared::Not,
        Counter::Routed
        | Counter::RoutedInTime
        | Counter::Rated
        | Counter::RatedGood
        | Counter::RatedBad
        | Counter::BadValid
        | Counter::BadRectified
        | Counter::BadCalledBack => Compared::WithoutDay,
        // An end other than closing is of the day of its event.
        Counter::OverdueOut if case.completed_at.is_none() && case.closed_at.is_none() => {
            Compared::WithoutDay
        }
        ended if case.closed_at.is_none() && ended.name().starts_with("ended_") => Compared::WithoutDay,
        _ => Compared::OnItsDay,
    }
}

/// Not steps, of which some are told without a step that people read; nor what passed between events, or was worked elsewhere.
fn is_compared(measure: Measure) -> bool {
    let name = measure.name();
    measure != Measure::Steps && !name.starts_with("seconds_") && !name.starts_with("minute")
}

/// What a task counts. Its days are those of events.
pub fn task(task: &TaskFact) -> String {
    let mut tally = Tally::default();
    delta::task_counts(task).into_iter().for_each(|(_, counter, n)| tally.add(counter.name(), None, n));
    tally.text()
}

/// What a mediation counts. The day it was opened on is that of the event; the day agreed on is the parties'.
pub fn mediation(fact: &MediationFact) -> String {
    let mut tally = Tally::default();
    for (day, counter, n) in delta::mediation_counts(fact) {
        let agreed = matches!(counter, Counter::AgreementsDue | Counter::AgreementsPerformed);
        tally.add(counter.name(), agreed.then_some(day), n);
    }
    tally.text()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            CaseEvent, History, history,
            story::{Story, at},
        },
        *,
    };
    use uuid::Uuid;

    fn facts(story: &Story) -> (CaseFact, Vec<TaskFact>) {
        let mut history = History::default();
        for event in &story.events {
            history.apply(&CaseEvent::of(event).unwrap().unwrap());
        }
        let history::Changes { mut cases, tasks, .. } = history.finish();
        (cases.remove(0), tasks)
    }

    #[test]
    fn a_whole_life_is_counted_with_the_days_that_case_routing_knows() {
        let (fact, tasks) = facts(&Story::whole(at("2026-02-02", 9), Uuid::from_u128(7), "roof", "housing"));
        let text = case(&fact);
        let parts: Vec<&str> = text.split(';').collect();
        for part in [
            "registered@2026-02-02=1",
            "routed=1",
            "due_on_time@2026-02-03=1",
            "callback_valid@2026-02-03=1",
            "callback_grades@2026-02-03=5",
            "closed@2026-02-03=1",
            "ended_resolved@2026-02-03=1",
            "first_closed@2026-02-03=1",
            "rated_good=1",
            "durations@2026-02-03=1",
            "process_dispatches=1",
            "process_contacts=1",
        ] {
            assert!(parts.contains(&part), "{part} in {text}");
        }
        assert!(parts.is_sorted() && !text.contains("=0") && !text.contains("process_s"), "{text}");
        assert_eq!(task(&tasks[0]), "tasks_issued=1;tasks_signed_in_time=1;tasks_submitted=1");
    }

    #[test]
    fn what_ended_otherwise_is_counted_without_the_day_of_the_event() {
        let mut story = Story::register(at("2026-02-02", 9), Uuid::from_u128(7));
        story.accept(at("2026-02-02", 10), at("2026-02-03", 10), true).withdraw(at("2026-02-05", 9));
        let text = case(&facts(&story).0);
        let parts: Vec<&str> = text.split(';').collect();
        for part in ["ended_withdrawn=1", "overdue_in@2026-02-03=1", "overdue_out=1"] {
            assert!(parts.contains(&part), "{part} in {text}");
        }
        assert!(!text.contains("overdue_in_days"), "{text}");
    }

    #[test]
    fn a_supervision_that_rises_and_is_answered_anew_counts_by_its_first_answer() {
        let day = |hour| at("2026-02-02", hour);
        for (first, counted) in [(true, true), (false, false)] {
            let mut story = Story::register(day(9), Uuid::from_u128(7));
            story.accept(day(10), day(34), true).supervise(day(11), 1, Some(first));
            story
                .raise(day(12), 2)
                .answer_supervision(day(13), true)
                .raise(day(14), 3)
                .answer_supervision(day(15), true);
            let text = case(&facts(&story).0);
            assert!(text.contains("supervisions@2026-02-03=1"), "{text}");
            assert_eq!(text.contains("supervisions_in_time@2026-02-03=1"), counted, "{text}");
            assert!(counted || !text.contains("supervisions_in_time"), "{text}");
        }
    }

    #[test]
    fn two_supervisions_count_each_and_an_answered_reminder_does_not() {
        let day = |hour| at("2026-02-02", hour);
        let mut story = Story::register(day(9), Uuid::from_u128(7));
        story.accept(day(10), day(34), true).supervise(day(11), 0, Some(true));
        let text = case(&facts(&story).0);
        assert!(!text.contains("supervis"), "{text}");
        story.supervise(day(12), 1, None);
        let unanswered = story.supervision;
        story.supervise(day(13), 1, Some(true)).raise(day(14), 2).answer_supervision(day(15), true);
        let fact = facts(&story).0;
        assert_eq!(fact.supervisions_unanswered, unanswered.to_string());
        let text = case(&fact);
        assert!(text.contains("supervisions@2026-02-03=2"), "{text}");
        assert!(text.contains("supervisions_in_time@2026-02-03=1"), "{text}");
    }

    #[test]
    fn what_counts_nothing_says_so() {
        assert_eq!(task(&TaskFact::default()), NOTHING);
        assert_eq!(mediation(&MediationFact::default()), NOTHING);
    }

    #[test]
    fn what_is_said_of_a_result_does_not_count_for_the_next_one() {
        let mut story = Story::whole(at("2026-02-02", 9), Uuid::from_u128(7), "roof", "housing");
        story.reopen(at("2026-02-05", 9), at("2026-02-12", 9)).answer(at("2026-02-06", 9));
        let text = case(&facts(&story).0);
        assert!(text.contains("callback_due@2026-02-06=1") && !text.contains("callback_valid"), "{text}");
    }
}
