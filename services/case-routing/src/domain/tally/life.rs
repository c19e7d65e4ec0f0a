//! The timeline of a case, as what happened to it is looked up in it.

use super::super::event::{TimelineEntry, Timestamp};
use super::super::ids::TaskId;
use super::super::import::IMPORTED;
use super::super::rating::ON_BEHALF;
use super::is_same;

/// The steps by which the work is done.
const RESULTS: [&str; 3] = ["CaseCompleted", "CaseAnswered", "CaseSolvedOnSpot"];

/// The steps of a case, command by command. What an import wrote down of another system's steps stands apart: it was told as
/// one.
#[derive(Debug, Clone, Default)]
pub struct Life {
    imported: Vec<TimelineEntry>,
    commands: Vec<Vec<TimelineEntry>>,
}

impl Life {
    /// Of the steps of each command, oldest first.
    #[must_use]
    pub fn of(mut commands: Vec<Vec<TimelineEntry>>) -> Self {
        let first = commands.first().and_then(|steps| steps.first()).and_then(|step| step.reason.as_ref());
        let elsewhere = first.is_some_and(|reason| reason.code == IMPORTED);
        let imported = if elsewhere { commands.remove(0) } else { Vec::new() };
        Self { imported, commands }
    }

    /// What another system had done.
    pub(super) fn imported(&self) -> &[TimelineEntry] {
        &self.imported
    }

    /// Every step of ours, oldest first.
    pub(super) fn steps(&self) -> impl DoubleEndedIterator<Item = &TimelineEntry> {
        self.commands.iter().flatten()
    }

    /// The first step of ours that is one of these.
    pub(super) fn first(&self, events: &[&str]) -> Option<&TimelineEntry> {
        self.steps().find(|step| events.contains(&step.event.as_str()))
    }

    /// The last step of ours that is one of these.
    pub(super) fn last(&self, events: &[&str]) -> Option<&TimelineEntry> {
        self.steps().rfind(|step| events.contains(&step.event.as_str()))
    }

    /// How many steps of ours are one of these.
    pub(super) fn count(&self, events: &[&str]) -> i64 {
        let steps = self.steps().filter(|step| events.contains(&step.event.as_str()));
        i64::try_from(steps.count()).unwrap_or(i64::MAX)
    }

    /// Whether it happened at all, here or elsewhere.
    pub(super) fn tells(&self, event: &str) -> bool {
        self.imported.iter().chain(self.steps()).any(|step| step.event == event)
    }

    /// Whether the work was done at an instant, here or, by then, elsewhere.
    pub(super) fn has_result(&self, at: Timestamp) -> bool {
        let elsewhere = self.imported.last().is_some_and(|step| at <= step.at);
        let done = |step: &TimelineEntry| RESULTS.contains(&step.event.as_str()) && is_same(step.at, at);
        elsewhere || self.steps().any(done)
    }

    /// Whether the requester rated in person, here or elsewhere. What an official wrote down says so.
    pub(super) fn tells_own_rating(&self) -> bool {
        let on_behalf = |step: &TimelineEntry| step.reason.as_ref().is_some_and(|why| why.code == ON_BEHALF);
        let mut steps = self.imported.iter().chain(self.steps());
        steps.any(|step| step.event == "RatingReceived" && !on_behalf(step))
    }

    /// The steps about a task, those of an import first.
    pub(super) fn about(&self, task: TaskId) -> impl Iterator<Item = &TimelineEntry> {
        self.imported.iter().chain(self.steps()).filter(move |step| step.task_id == Some(task))
    }

    /// All that the command did which a step of ours belongs to.
    pub(super) fn command_of(&self, step: &TimelineEntry) -> &[TimelineEntry] {
        let known =
            |steps: &&Vec<TimelineEntry>| steps.iter().any(|known| known.case_version == step.case_version);
        self.commands.iter().find(known).map(Vec::as_slice).unwrap_or_default()
    }
}
