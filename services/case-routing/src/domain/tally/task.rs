//! What a task counts.

use super::super::case::{Case, Task};
use super::super::codes::{ClockKind, DispatchMode};
use super::super::event::TimelineEntry;
use super::super::ids::TaskId;
use super::life::Life;
use super::{Tally, stopped_in_time};

impl Tally {
    /// What a task of a case counts: nothing if nobody was told of it, as of one that another system had done.
    #[must_use]
    pub fn of_task(case: &Case, id: TaskId, life: &Life) -> Self {
        let mut tally = Self::default();
        let tells = |event: &str| life.about(id).any(|step| step.event == event);
        let Some(task) = case.tasks.iter().find(|task| task.id == id).filter(|_| tells("TaskIssued")) else {
            return tally;
        };
        tally.add("tasks_issued", 1);
        tally.add("tasks_signed_in_time", signed_in_time(case, id, life));
        tally.add("tasks_objected", tells("TaskObjected"));
        if tells("ArbitrationRuled") {
            tally.add("tasks_ruled", 1);
            match upheld(case, id, life) {
                Some(upheld) => tally.add("tasks_upheld", upheld),
                None => tally.unknown("tasks_upheld"),
            }
        }
        if task.mode == DispatchMode::Whistle {
            tally.whistle(task);
        }
        if tells("TaskSubmitted") {
            tally.add("tasks_submitted", 1);
            tally.add("tasks_returned", task.returned_count > 0);
        }
        tally
    }

    fn whistle(&mut self, task: &Task) {
        let score = task.whistle.unwrap_or_default();
        self.add("whistles", 1);
        self.add("whistles_reported", score.reported_in_time == Some(true));
        self.add("whistles_appraised", score.solved.is_some());
        self.add("whistles_solved", score.solved == Some(true));
        self.add("whistles_weighed", score.needed.is_some());
        self.add("whistles_needed", score.needed == Some(true));
    }
}

/// Signed for in time, for the first time; a partner's task comes signed, by the offer it accepted.
fn signed_in_time(case: &Case, id: TaskId, life: &Life) -> bool {
    let to_sign = case.clocks.iter().any(|clock| clock.kind == ClockKind::Sign && clock.task_id == Some(id));
    let signed = life.about(id).find(|step| step.event == "TaskSigned");
    let in_time = |at| stopped_in_time(case, ClockKind::Sign, Some(id), at).unwrap_or(true);
    !to_sign || signed.is_some_and(|step| in_time(step.at))
}

/// Whether the last ruling was for the objector. `None`: it was reviewed, and the case holds the objection no more.
fn upheld(case: &Case, id: TaskId, life: &Life) -> Option<bool> {
    let own = case.objection.as_ref().filter(|objection| objection.task == id);
    if let Some((objection, ruling)) = own.and_then(|own| own.ruling.as_ref().map(|ruling| (own, ruling))) {
        return Some(ruling.lead != objection.objector);
    }
    let mut rulings = life.about(id).filter(|step| step.event == "ArbitrationRuled");
    let ruling = rulings.next().filter(|_| rulings.next().is_none())?;
    // The objector is relieved of its task with the ruling, or keeps it.
    let relieved = |step: &TimelineEntry| step.event == "TaskCancelled" && step.task_id == Some(id);
    Some(life.command_of(ruling).iter().any(relieved))
}
