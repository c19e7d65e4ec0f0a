//! Words added to a case. Whoever takes part may add some at any time, and nothing moves by it: no state, no clock, no
//! event. It is a step that its people read; the words themselves are no part of the aggregate.

use super::case::Case;
use super::codes::{CaseState, Channel};
use super::error::{DomainError, Result};
use super::reason::Reason;
use super::state::Trigger;
use super::work::{Act, Decision, Party, Standing, Work};

/// Words that a case takes, so that nobody fills it without end.
const MOST_REMARKS: u32 = 200;

/// The step of the timeline.
const REMARKED: &str = "CaseRemarked";

/// The step by which the people of a case learn what was added to one that was merged into it.
const JOINED: &str = "JoinedRemarked";

impl Case {
    /// The requester, or somebody for an organisation that takes part, says something.
    ///
    /// # Errors
    /// `NotEntitled` for everybody else; `Guard` `case_archived`, `too_many_remarks`.
    pub fn add_remark(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        let takes_part =
            work.by.standing == Standing::Official && work.by.org.is_some_and(|org| work.case.is_party(org));
        if !work.is_requester() && !takes_part {
            return Err(DomainError::NotEntitled { code: "takes_part" });
        }
        work.remark()?;
        Ok(work.finish_with(REMARKED, None))
    }

    /// Something was said in a case that was merged into this one: whoever works on the matter has to see it. Who else asked is
    /// nobody's to know here, so the step is nobody's, unless an official spoke for an organisation.
    ///
    /// # Errors
    /// `WrongState` where it was merged itself; `Guard` `case_archived`, `too_many_remarks`.
    pub fn hear_joined(self, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        if work.case.merged_into.is_some() {
            return Err(work.wrong_state(Trigger::Merge));
        }
        if work.by.standing != Standing::Official {
            work.by = Party::system();
        }
        work.remark()?;
        Ok(work.finish_with(JOINED, Some(Reason::new("joined_remark"))))
    }

    /// Whether there is room for more words.
    #[must_use]
    pub const fn takes_words(&self) -> bool {
        !matches!(self.state, CaseState::Archived) && self.remark_count < MOST_REMARKS
    }

    /// Opens a closed case again and says what is new.
    ///
    /// # Errors
    /// As for [`Case::reopen`]; `Guard(too_many_remarks)`.
    pub fn reopen_saying(self, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let opened = self.reopen(reason_code, act)?;
        let mut work = Work::begin(opened.case, act);
        work.remark()?;
        let said = work.finish_with(REMARKED, None);
        let events = opened.events.into_iter().chain(said.events).collect();
        let timeline = opened.timeline.into_iter().chain(said.timeline).collect();
        Ok(Decision { case: said.case, events, timeline })
    }
}

impl Decision {
    /// The rating that was decided came over a channel, perhaps with a comment.
    ///
    /// # Errors
    /// `Guard(too_many_remarks)`.
    pub fn rated(mut self, channel: Option<Channel>, commented: bool) -> Result<Self> {
        if let Some(rating) = &mut self.case.rating {
            rating.channel = channel;
        }
        if commented {
            note(&mut self.case)?;
            self.case.remarked_at = Some(self.case.updated_at);
        }
        Ok(self)
    }
}

impl Work<'_> {
    pub(super) fn remark(&mut self) -> Result<()> {
        note(&mut self.case)?;
        self.case.remarked_at = Some(self.now);
        Ok(())
    }
}

/// One more.
fn note(case: &mut Case) -> Result<()> {
    if case.state == CaseState::Archived {
        return Err(DomainError::guard("case_archived", "an archived case takes no more words"));
    }
    if case.remark_count >= MOST_REMARKS {
        return Err(DomainError::guard("too_many_remarks", "the case has too many remarks"));
    }
    case.remark_count += 1;
    Ok(())
}
