//! What becomes of a bad rating of a merged case that was found valid: the case that it was merged into is worked on again
//! ([`Case::heed_joined`]), and the requester is called about that ([`Case::call_merged`]). No event of the other tells whose
//! rating it was, so the merged case tells it: when the work is done, and when its requester was called.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::codes::{CallbackOutcome, CaseState};
use super::event::{DomainEvent, Timestamp};
use super::joined::Original;
use super::reason::Reason;
use super::work::{Act, Decision, Party, Work};

/// The work that was done again for a bad rating, as it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rectified {
    /// When the rating was given.
    pub rated_at: Timestamp,
    /// Whether it was done within its limit, the first time.
    pub in_time: bool,
    /// What the calls about it came to, once there were enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackOutcome>,
}

impl Case {
    /// The case that this one was merged into may have been worked on again for the bad rating of this one. `None`: it was not, or
    /// not for that, or it was told.
    #[must_use]
    pub fn hear_rectified(self, original: &Original, act: &Act<'_>) -> Option<Decision> {
        let rated_at = self.to_be_rectified().filter(|_| self.merged_into == Some(original.id))?;
        original.rectified_after(rated_at)?;
        let mut work = Work::begin(self, act);
        work.hear_rectified(original);
        Some(work.finish())
    }

    /// Whether the other is worked on for the bad rating of this merged one, and nobody was told yet that this is done.
    #[must_use]
    pub fn awaits_rectification(&self) -> bool {
        self.to_be_rectified().is_some()
    }

    /// Whether the requester of this merged one is to be called about what was done again.
    #[must_use]
    pub fn awaits_later_call(&self) -> bool {
        let waits = self.rectified.is_some_and(|done| done.callback.is_none());
        self.state == CaseState::Merged && self.callback_due() && waits
    }

    /// When the bad rating was given that others work for.
    fn to_be_rectified(&self) -> Option<Timestamp> {
        let valid = self.rating.as_ref().filter(|rating| rating.valid == Some(true));
        let rated_at = valid.filter(|_| self.state == CaseState::Merged)?.at;
        let told = self.rectified.is_some_and(|done| done.rated_at == rated_at);
        (!told).then_some(rated_at)
    }
}

impl Work<'_> {
    /// Tells that the work was done again, if it was and nobody was told.
    pub(super) fn hear_rectified(&mut self, original: &Original) {
        let Some(rated_at) = self.case.to_be_rectified() else { return };
        let Some(in_time) = original.rectified_after(rated_at) else { return };
        // Not whoever happens to give a command did it.
        let by = std::mem::replace(&mut self.by, Party::system());
        self.tell_rectified(Rectified { rated_at, in_time, callback: None }, Reason::new("joined_rectified"));
        self.by = by;
    }

    /// Tells what the calls about it came to; that somebody was reached stands.
    pub(super) fn called_about_rectified(&mut self, outcome: Option<CallbackOutcome>) {
        let (Some(done), Some(outcome)) = (self.case.rectified, outcome) else { return };
        let stands = [Some(CallbackOutcome::Reached), Some(outcome)].contains(&done.callback);
        if !stands {
            let reason = Reason::new("joined_called_back").with("outcome", outcome);
            self.tell_rectified(Rectified { callback: Some(outcome), ..done }, reason);
        }
    }

    fn tell_rectified(&mut self, done: Rectified, reason: Reason) {
        let Rectified { in_time, callback, .. } = done;
        self.case.rectified = Some(done);
        self.emit(DomainEvent::RatingRectified { in_time, callback }, Some(reason), None);
    }
}
