//! Who works on a task, as staffing tells it. Most tasks have one worker and show the latest news of that one. Of a task that
//! needs several, such as a field check, each of them stands here, and it shows the one who is furthest behind: it is accepted
//! when all have accepted, and done when all are.

use serde::{Deserialize, Serialize};

use super::clock::is_default;
use super::codes::AssignmentStatus;
use super::event::Timestamp;
use super::ids::{AssignmentId, PersonRef};
use super::instant;
use super::parts::Task;

/// A worker's assignment as it was told last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentView {
    pub assignment_id: Option<AssignmentId>,
    pub status: AssignmentStatus,
    pub worker: Option<PersonRef>,
    #[serde(serialize_with = "instant::write")]
    pub at: Timestamp,
    /// Of the assignment, as it was told; zero in cases of earlier releases.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: i64,
}

impl AssignmentView {
    /// The worker has the task in hand.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        use AssignmentStatus::{Accepted, Done, Offered, OnSite};
        matches!(self.status, Offered | Accepted | OnSite | Done)
    }

    fn is_unfilled(&self) -> bool {
        self.status == AssignmentStatus::Unfilled
    }
}

impl Task {
    /// How many workers have it in hand; of those beyond what it needs nothing is known here.
    #[must_use]
    pub fn workers(&self) -> u8 {
        if self.workers_wanted <= 1 {
            return u8::from(self.assignment.as_ref().is_some_and(AssignmentView::is_active));
        }
        u8::try_from(self.crew.len()).unwrap_or(u8::MAX).min(self.workers_wanted)
    }

    /// Whether a later version of an assignment is known than news of it have. Staffing tells of a case in order, so this is for
    /// what is told twice. Versions of different assignments tell nothing of each other, nor do clocks: an event has the time at which
    /// its transaction began, which may have waited for others.
    pub(super) fn knows_later(&self, assignment: Option<AssignmentId>, version: i64) -> bool {
        let of_it = |view: &&AssignmentView| assignment.is_some() && view.assignment_id == assignment;
        self.crew.iter().chain(&self.assignment).filter(of_it).any(|known| known.version > version)
    }

    /// Takes in news of one of its assignments.
    pub(super) fn hear_of_worker(&mut self, news: AssignmentView) {
        if self.workers_wanted <= 1 {
            self.assignment = Some(news);
            // It may have needed several before it was signed anew.
            self.crew.clear();
            return;
        }
        let known = self.crew.iter().position(|view| view.assignment_id == news.assignment_id);
        match known {
            Some(index) if news.is_active() => self.crew[index] = news.clone(),
            Some(index) => drop(self.crew.remove(index)),
            None if news.is_active() => self.crew.push(news.clone()),
            None => {}
        }
        self.show_crew(news);
    }

    /// What it shows after news of one of several workers.
    fn show_crew(&mut self, news: AssignmentView) {
        let short = self.crew.len() < usize::from(self.workers_wanted);
        let unfilled = self.assignment.as_ref().is_some_and(AssignmentView::is_unfilled);
        if short && news.is_unfilled() {
            self.assignment = Some(news);
        } else if !(short && unfilled) {
            // While nobody is found for whoever is missing, that is what has to be seen. The order of the states is that of the
            // work; of several who are equally far the one told first.
            let behind = self.crew.iter().min_by_key(|view| view.status).cloned();
            self.assignment = behind.or(Some(news));
        }
    }
}
