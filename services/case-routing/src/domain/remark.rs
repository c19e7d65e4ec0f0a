//! Words added to a case. Whoever takes part may add some at any time, and nothing moves by it: no state, no clock, no
//! event. It is a step that its people read; the words themselves are no part of the aggregate.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::codes::{CaseState, Channel};
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::CaseId;
use super::reason::Reason;
use super::recusal::Complaint;
use super::state::Trigger;
use super::work::{Act, Decision, Party, Standing, Work};

/// Words that a case takes, so that nobody fills it without end.
const MOST_REMARKS: u32 = 200;

/// Words that it hears of the cases that are merged into it. They take nothing of the room of its own requester.
const MOST_JOINED: u32 = 200;

/// The step of the timeline.
const REMARKED: &str = "CaseRemarked";

/// The step by which the people of a case learn what was added to one that was merged into it.
const JOINED: &str = "JoinedRemarked";

/// What was said in a case that was merged into another, as the other keeps it. It is shown there as long as the case is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedWords {
    pub from: CaseId,
    pub count: u32,
    /// When the last came.
    pub last_at: Timestamp,
}

/// How many words a case shows, and when the last came: its own, and those of the cases that are merged into it.
#[must_use]
pub fn remarks(
    own: (u32, Option<Timestamp>),
    joined: &[JoinedWords],
    merged: &[CaseId],
) -> (u32, Option<Timestamp>) {
    let shown = joined.iter().filter(|words| merged.contains(&words.from));
    shown.fold(own, |(count, last), words| (count.saturating_add(words.count), last.max(Some(words.last_at))))
}

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
    /// `WrongState` where it was merged itself, or [does not hear](Self::hears) that case; `Guard` `case_archived`,
    /// `too_many_remarks`.
    pub fn hear_joined(self, from: CaseId, complaint: Option<&Complaint>, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        if work.case.merged_into.is_some() || !work.case.is_joined_by(from, complaint) {
            return Err(work.wrong_state(Trigger::Merge));
        }
        if work.by.standing != Standing::Official {
            work.by = Party::system();
        }
        work.hear(from)?;
        Ok(work.finish_with(JOINED, Some(Reason::new("joined_remark"))))
    }

    /// Whether what is said in another case, which makes that complaint, is heard here: the case is merged into this one, whoever
    /// it complains of steps aside here for it, and there is room for more words.
    #[must_use]
    pub fn hears(&self, from: CaseId, complaint: Option<&Complaint>) -> bool {
        let has_room = self.state != CaseState::Archived && self.joined_count() < MOST_JOINED;
        has_room && self.is_joined_by(from, complaint)
    }

    fn is_joined_by(&self, from: CaseId, complaint: Option<&Complaint>) -> bool {
        self.merged.contains(&from) && complaint.is_none_or(|complaint| self.holds(complaint))
    }

    /// Whether words that were said in another case are shown here: as long as it is merged into this one. Those of which that is
    /// not known stand as long as any case is.
    #[must_use]
    pub fn shows_words_of(&self, from: Option<CaseId>) -> bool {
        from.map_or(!self.merged.is_empty(), |from| self.merged.contains(&from))
    }

    /// How many words the case shows, and when the last came.
    #[must_use]
    pub fn remarks(&self) -> (u32, Option<Timestamp>) {
        remarks((self.remark_count, self.remarked_at), &self.joined_words, &self.merged)
    }

    /// Whether words can still be added.
    ///
    /// # Errors
    /// `Guard(case_archived)`.
    pub fn takes_words(&self) -> Result<()> {
        if self.state == CaseState::Archived {
            return Err(DomainError::guard("case_archived", "an archived case takes no more words"));
        }
        Ok(())
    }

    fn joined_count(&self) -> u32 {
        remarks((0, None), &self.joined_words, &self.merged).0
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

    fn hear(&mut self, from: CaseId) -> Result<()> {
        has_room(&self.case, self.case.joined_count(), MOST_JOINED)?;
        let last_at = self.now;
        match self.case.joined_words.iter_mut().find(|words| words.from == from) {
            Some(words) => *words = JoinedWords { count: words.count + 1, last_at, ..*words },
            None => self.case.joined_words.push(JoinedWords { from, count: 1, last_at }),
        }
        Ok(())
    }
}

/// One more.
fn note(case: &mut Case) -> Result<()> {
    has_room(case, case.remark_count, MOST_REMARKS)?;
    case.remark_count += 1;
    Ok(())
}

fn has_room(case: &Case, count: u32, most: u32) -> Result<()> {
    case.takes_words()?;
    if count >= most {
        return Err(DomainError::guard("too_many_remarks", "the case has too many remarks"));
    }
    Ok(())
}
