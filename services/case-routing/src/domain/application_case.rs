//! What an application does to its case, and what its case may not do past it.

use super::application::{CurrentNotice, PAPERS_OVERDUE};
use super::application_codes::{ApplicationState, ApplicationVerb};
use super::application_news::ApplicationNews;
use super::application_state::{allows, allows_move};
use super::case::Task;
use super::codes::{Nature, TaskPart};
use super::error::{DomainError, Result};
use super::event::DomainEvent;
use super::reason::Reason;
use super::state::Trigger;
use super::work::Work;

impl Work<'_> {
    /// Verbs of a case that would decide something past its application.
    pub(super) fn not_past_application(&self, verb: Trigger) -> Result<()> {
        let Some(face) = self.case.application.as_ref().filter(|_| !self.by_application) else {
            return Ok(());
        };
        let governed = match verb {
            Trigger::Accept
            | Trigger::RequestSupplement
            | Trigger::Supplement
            | Trigger::Decline
            | Trigger::HandOff
            | Trigger::Merge
            | Trigger::Answer
            | Trigger::Offer
            | Trigger::Suspend
            | Trigger::Withdraw => true,
            // What is decided may be worked on again, such as a payment that did not arrive.
            Trigger::Complete => !face.state.is_end(),
            _ => false,
        };
        if governed {
            let message = "the case follows its application; decide there";
            return Err(DomainError::guard("application", message));
        }
        Ok(())
    }

    /// How many different workers a task needs. As long as the facts are not known, those go there who are in charge or, near
    /// the people, received the application: as many as the item has make a field check together. Whoever else helps sends one.
    pub(super) fn workers_for(&self, task: &Task) -> u8 {
        let open = self.case.application.as_ref().is_some_and(|face| face.state.is_before_review());
        let goes_there = task.part == TaskPart::Lead || task.org == self.case.first_receiver;
        let together = self.item().filter(|_| open && goes_there).map(|item| item.application.field_checkers);
        together.unwrap_or_default().max(1)
    }

    /// The state of the application allows the verb at all.
    pub(super) fn permit_application(&self, verb: ApplicationVerb) -> Result<()> {
        let state = self.case.application.as_ref().map(|face| face.state);
        if allows(state, verb) { Ok(()) } else { Err(cannot(state, verb)) }
    }

    /// Moves the application along a row of its table.
    pub(super) fn move_application(&mut self, to: ApplicationState, verb: ApplicationVerb) -> Result<()> {
        match &mut self.case.application {
            Some(face) if allows_move(Some(face.state), to, verb) => {
                face.state = to;
                Ok(())
            }
            face => Err(cannot(face.as_ref().map(|face| face.state), verb)),
        }
    }

    pub(super) fn tell(&mut self, news: ApplicationNews, reason: Option<Reason>) {
        self.emit(DomainEvent::Application { news }, reason, None);
    }

    /// The matter is what was applied for, and stays it.
    pub(super) fn keeps_to_application(&self, item_code: &str) -> Result<()> {
        let other = self.case.item.as_ref().is_some_and(|item| item.code != item_code);
        if other && self.case.application.is_some() {
            return Err(DomainError::guard("application", "another matter is applied for anew"));
        }
        Ok(())
    }

    /// What has to be applied for is refused in writing, with reasons and remedies, as an application. A case of such an item that has
    /// none does not end as refused instead: it may be withdrawn, merged, or explained with word of how to apply.
    pub(super) fn not_instead_of_application(&self) -> Result<()> {
        let applied_for = self.item().is_some_and(|item| item.nature == Nature::Application);
        if applied_for && self.case.application.is_none() {
            let message = "what is applied for is refused in writing: file an application, or explain how";
            return Err(DomainError::guard("application_needed", message));
        }
        Ok(())
    }

    /// The notice is shown no longer: it is over, or was taken down.
    pub(super) fn take_notice_down(&mut self) {
        if let Some(face) = &mut self.case.application {
            face.notice = None;
        }
    }

    /// The last day of a notice is over.
    pub(super) fn end_notice(&mut self) {
        let ended = self.case.application.as_mut().and_then(|face| face.notice.take());
        if let Some(CurrentNotice { id, .. }) = ended {
            self.tell(ApplicationNews::NoticeEnded { notice_id: id }, None);
        }
    }

    /// The papers of an urgent grant did not come in time: whoever granted it is supervised.
    pub(super) fn papers_overdue(&mut self) {
        if let Some(face) = &mut self.case.application {
            face.papers_due_at = None;
        }
        self.supervise(1, PAPERS_OVERDUE, None, None);
    }
}

fn cannot(state: Option<ApplicationState>, verb: ApplicationVerb) -> DomainError {
    let message = match state {
        Some(state) => format!("an application that is {state} cannot {verb}"),
        None => format!("without an application nobody can {verb}"),
    };
    DomainError::guard("application_state", message)
}
