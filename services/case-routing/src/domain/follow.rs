//! Following the calendar: when a notice is published or amended, when the hours of a unit change or it is closed, and when
//! a case turns out to be somewhere else, or its unit was put under another one, what runs is counted again. A due time that
//! was promised never moves earlier; one that moves later is told. Every command and timer does it first, so that nothing is
//! judged by a calendar that is no longer in force; a pass over all open cases does it for the rest. What is no clock's
//! follows as well, see [`super::follow_days`]; the place itself follows its unit, see [`super::follow_units`].

use super::case::Case;
use super::clock::Clock;
use super::codes::ClockKind;
use super::counted::Counted;
use super::event::{DomainEvent, Timestamp};
use super::ids::{OfferId, TaskId};
use super::reason::Reason;
use super::rules::Rules;
use super::work::{Act, Decision, Party, Work};

impl Case {
    /// Whether something of it runs that was counted with an older calendar.
    #[must_use]
    pub fn is_behind(&self, rules: &Rules) -> bool {
        self.clocks.iter().any(|clock| clock.is_behind(rules))
            || self.days_counted().any(|counted| counted.is_behind(rules))
    }

    /// The lowest version of the calendar that something which runs was counted with; a pass finds cases by it.
    #[must_use]
    pub fn counted_with(&self) -> Option<u32> {
        let running = self.clocks.iter().filter(|clock| clock.is_running() && clock.breached_at.is_none());
        let days = self.days_counted().map(|counted| counted.calendar_version);
        running.map(|clock| clock.calendar_version).chain(days).min()
    }

    /// Counts everything that runs with the calendar in force. `None`: it is already.
    #[must_use]
    pub fn follow_calendar(self, act: &Act<'_>) -> Option<Decision> {
        if !self.is_behind(act.rules.at(act.routes.path_now(&self.place))) {
            return None;
        }
        Some(Work::begin(self, act).finish())
    }
}

/// An instant as people read it.
pub(super) fn told(at: Timestamp) -> String {
    calendar::local(at).format("%Y-%m-%d %H:%M").to_string()
}

/// A clock whose due time moved later.
struct Moved {
    clock: ClockKind,
    task: Option<TaskId>,
    offer: Option<OfferId>,
    before: Timestamp,
    due: Timestamp,
    version: u32,
}

impl Work<'_> {
    pub(super) fn follow_calendar(&mut self) {
        if self.case.is_behind(self.rules) {
            self.count_again("calendar_amended", Clock::recompute, Counted::is_behind);
        }
    }

    /// The hours are those of another place now.
    pub(super) fn follow_place(&mut self) {
        self.count_again("place_changed", Clock::recount, |_, _| true);
    }

    /// Clocks by `count`; of what is no clock's, whatever `again` says.
    fn count_again(
        &mut self,
        why: &str,
        count: fn(&mut Clock, &Rules) -> Option<Timestamp>,
        again: fn(&Counted, &Rules) -> bool,
    ) {
        let (rules, now) = (self.rules, self.now);
        let clocks = self.case.clocks.iter_mut().filter_map(|clock| {
            let first = clock.warn_at.is_none();
            let before = count(clock, rules);
            if first {
                clock.pass_warnings(now); // it came from a build that warned of no such limit
            }
            let before = before?;
            let (clock_kind, task, version) = (clock.kind, clock.task_id, clock.calendar_version);
            Some(Moved { clock: clock_kind, task, offer: None, before, due: clock.due_at, version })
        });
        let mut moved: Vec<Moved> = clocks.collect();
        for clock in &mut moved {
            self.carry(clock);
        }
        // Not whoever happens to give a command moves it.
        let by = std::mem::replace(&mut self.by, Party::system());
        for Moved { clock, task, offer, before, due, version } in moved {
            let reason = Reason::new(why).with("clock", clock);
            let reason = reason.with("from", told(before)).with("to", told(due));
            let event = DomainEvent::ClockMoved {
                clock,
                task_id: task,
                offer_id: offer,
                due_before_at: before,
                due_at: due,
                calendar_version: version,
            };
            self.emit(event, Some(reason), task);
        }
        self.count_days_again(again);
        self.by = by;
    }

    /// Tasks and offers are due when their clocks are. A partner's part of the time stays as it was agreed: the rest
    /// is the public service's.
    fn carry(&mut self, moved: &mut Moved) {
        let due = Some(moved.due);
        match moved.clock {
            ClockKind::Resolve | ClockKind::Rework if self.case.confirmed_offer().is_none() => {
                let lead = self.case.lead_task;
                let current = self.case.resolve_clock().is_some_and(|clock| clock.kind == moved.clock);
                let tasks = self.case.tasks.iter_mut();
                tasks
                    .filter(|task| current && Some(task.id) == lead && task.state.is_open())
                    .for_each(|task| task.due_at = due);
            }
            ClockKind::Assist => {
                let tasks = self.case.tasks.iter_mut();
                tasks.filter(|task| Some(task.id) == moved.task).for_each(|task| task.due_at = due);
            }
            ClockKind::Offer => {
                if let Some(offer) = self.case.offer.as_mut().filter(|offer| offer.is_open()) {
                    offer.due_at = moved.due;
                    moved.offer = Some(offer.id);
                }
            }
            _ => {}
        }
    }
}
