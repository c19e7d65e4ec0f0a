//! One fact row per task. It keeps the place and item its case had at the task's last event, so that it is a function
//! of the task's own events.

use chassis::Timestamp;
use uuid::Uuid;

use super::change::{CaseEvent, TaskChange};

/// What is known of a task. Field names are the columns of `task_facts`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskFact {
    /// The task.
    pub task_id: Uuid,
    /// Its case.
    pub case_id: Uuid,
    /// Version of the case after the last event about the task.
    pub version: i64,
    /// Place of the case.
    pub place_unit_id: Option<Uuid>,
    /// Item of the case.
    pub item_code: String,
    /// Line of the item.
    pub line: String,
    /// When it was given to its organisation.
    pub issued_at: Option<Timestamp>,
    /// It has to be signed for within a limit.
    pub sign_due: bool,
    /// Whether it was signed for in time; unset before.
    pub signed_in_time: Option<bool>,
    /// The organisation objected.
    pub objected: bool,
    /// Whether the arbiter found for the objector; unset before a ruling.
    pub upheld: Option<bool>,
    /// First submission.
    pub submitted_at: Option<Timestamp>,
    /// Sent back at least once after a submission.
    pub returned: bool,
    /// A street called the department together with others.
    pub whistle: bool,
    /// Whether it reported in by then; unset before.
    pub reported_in_time: Option<bool>,
    /// Whether the street found the matter solved; unset before it judged.
    pub solved: Option<bool>,
    /// Whether the department found the whistle needed; unset before it judged.
    pub needed: Option<bool>,
}

impl TaskFact {
    /// The fact after the event. An event that is not newer than the fact changes nothing.
    pub fn apply(before: Option<Self>, task_id: Uuid, change: TaskChange, event: &CaseEvent) -> Self {
        if let Some(fact) = &before
            && event.version <= fact.version
        {
            let mut fact = fact.clone();
            // An import tells of a case and of its task at once, and may be overtaken by what became of the task.
            if let TaskChange::Issued { sign_due, whistle, .. } = change {
                fact.issue(event.at, sign_due, whistle);
            }
            return fact;
        }
        let mut fact = before.unwrap_or_else(|| Self { task_id, case_id: event.case_id, ..Self::default() });
        fact.version = event.version;
        fact.place_unit_id = Uuid::parse_str(&event.facts.place_unit_id).ok();
        event.facts.item_code.clone_into(&mut fact.item_code);
        event.facts.line.clone_into(&mut fact.line);
        match change {
            TaskChange::Issued { sign_due, whistle, .. } => fact.issue(event.at, sign_due, whistle),
            TaskChange::Signed { in_time, .. } => {
                fact.signed_in_time.get_or_insert(in_time);
            }
            TaskChange::Objected => fact.objected = true,
            TaskChange::Submitted => {
                fact.submitted_at.get_or_insert(event.at);
            }
            TaskChange::Returned => fact.returned = true,
            TaskChange::Ruled { upheld } => fact.upheld = Some(upheld),
            TaskChange::Reported { in_time } => {
                fact.reported_in_time.get_or_insert(in_time);
            }
            TaskChange::Appraised { by_sender: true, positive } => fact.solved = Some(positive),
            TaskChange::Appraised { by_sender: false, positive } => fact.needed = Some(positive),
            TaskChange::Other => {}
        }
        fact
    }

    fn issue(&mut self, at: Timestamp, sign_due: bool, whistle: bool) {
        self.issued_at.get_or_insert(at);
        self.sign_due |= sign_due;
        self.whistle |= whistle;
    }
}
