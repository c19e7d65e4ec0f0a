//! Sessions and refresh tokens. A refresh token is used once; a retry within the grace gets the same successor, since
//! an answer may be lost on its way; a later use is theft and ends the session, and so is one after whoever has the successor used that.
//! With its first use a second line of tokens may begin, a branch. A retry ends it: whoever began it may have had a copy. A branch gives none.
//! All times are real time.

use chassis::Timestamp;
use chrono::TimeDelta;

/// How long a used token still answers with its successor. The board renews before it does anything else and hands the new tokens
/// over with its answer: whoever has lost that one comes again with the old token. The grace is the board's longest
/// answer (60 s) and what may be left of the old access token when it is renewed for a page (120 s). An export renews earlier: broken
/// off before it begins, it may end the session later. The branch by which it goes on it tries again for no more than 120 s.
pub const GRACE: TimeDelta = TimeDelta::seconds(180);

/// How long a used token still answers after its successor was used. What set out with it before the successor arrived may be under way for as
/// long as the board's longest answer; whoever comes later is another one than who has the successor.
pub const OVERTAKEN: TimeDelta = TimeDelta::seconds(60);

/// Life of an access token.
pub const ACCESS_LIFE: TimeDelta = TimeDelta::minutes(10);

/// A refresh token as it is kept, with its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshState {
    /// When it may no longer be used.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// Whether its successor is still at hand.
    pub has_successor: bool,
    /// When the session ends at the latest.
    pub session_expires_at: Timestamp,
    /// Whether the session has ended.
    pub session_ended: bool,
    /// Whether the token is of a branch that has ended.
    pub branch_ended: bool,
}

/// What to do with a refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Give a new pair and mark the token used.
    Rotate,
    /// Give the same successor again.
    Repeat,
    /// Refuse, and end the session: the token was copied.
    Theft,
    /// Refuse.
    Refuse,
}

impl RefreshState {
    /// Decides at `now`.
    pub fn decide(&self, now: Timestamp) -> Refresh {
        // Of a branch that is over a used token is no theft either: the session is its owner's.
        if self.session_ended || self.branch_ended {
            return Refresh::Refuse;
        }
        match self.used_at {
            Some(used) if now < used + GRACE && self.has_successor => Refresh::Repeat,
            // Also after its own end: a copy that turns up late is still a copy.
            Some(_) => Refresh::Theft,
            None if now >= self.expires_at || now >= self.session_expires_at => Refresh::Refuse,
            None => Refresh::Rotate,
        }
    }
}

/// Whether a used token is too late even within its grace, by when its successor was used.
pub fn is_overtaken(successor_used_at: Option<Timestamp>, now: Timestamp) -> bool {
    successor_used_at.is_some_and(|used| now >= used + OVERTAKEN)
}

/// When a new access token runs out: ten minutes, sooner when the session or a grant in it ends sooner.
pub fn access_end(
    now: Timestamp,
    session_expires_at: Timestamp,
    grants_left: Option<TimeDelta>,
) -> Timestamp {
    let life = grants_left.map_or(ACCESS_LIFE, |left| left.clamp(TimeDelta::seconds(1), ACCESS_LIFE));
    (now + life).min(session_expires_at.max(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_772_000_000 + seconds, 0).unwrap()
    }

    fn fresh() -> RefreshState {
        RefreshState {
            expires_at: at(100),
            used_at: None,
            has_successor: false,
            session_expires_at: at(1000),
            session_ended: false,
            branch_ended: false,
        }
    }

    #[test]
    fn a_token_is_used_once_with_a_grace() {
        assert_eq!(fresh().decide(at(0)), Refresh::Rotate);
        assert_eq!(fresh().decide(at(100)), Refresh::Refuse);
        let used = RefreshState { used_at: Some(at(5)), has_successor: true, ..fresh() };
        assert_eq!(used.decide(at(35)), Refresh::Repeat, "the page that would have brought it hung");
        assert_eq!(used.decide(at(184)), Refresh::Repeat, "the old access token went on meanwhile");
        assert_eq!(used.decide(at(185)), Refresh::Theft);
        assert_eq!(used.decide(at(500)), Refresh::Theft);
        assert_eq!(RefreshState { session_ended: true, ..used }.decide(at(6)), Refresh::Refuse);
        assert_eq!(RefreshState { session_expires_at: at(0), ..fresh() }.decide(at(0)), Refresh::Refuse);
    }

    #[test]
    fn a_branch_that_has_ended_gives_nothing_and_ends_nothing() {
        let ended = RefreshState { branch_ended: true, ..fresh() };
        assert_eq!(ended.decide(at(0)), Refresh::Refuse);
        let used = RefreshState { used_at: Some(at(5)), has_successor: true, ..ended };
        assert_eq!(used.decide(at(6)), Refresh::Refuse);
        assert_eq!(used.decide(at(500)), Refresh::Refuse, "the session goes on");
    }

    #[test]
    fn a_used_token_is_too_late_soon_after_its_successor_was_used() {
        assert!(!is_overtaken(None, at(170)), "whoever has it may be the only one");
        assert!(!is_overtaken(Some(at(5)), at(64)), "it may have set out before");
        assert!(is_overtaken(Some(at(5)), at(65)));
    }

    #[test]
    fn access_ends_with_the_first_grant_or_the_session() {
        assert_eq!(access_end(at(0), at(10_000), None), at(600));
        assert_eq!(access_end(at(0), at(10_000), Some(TimeDelta::seconds(30))), at(30));
        assert_eq!(access_end(at(0), at(10_000), Some(TimeDelta::days(3))), at(600));
        assert_eq!(access_end(at(0), at(20), None), at(20));
    }

    proptest! {
        #[test]
        fn an_ended_session_or_branch_gives_nothing_and_a_used_token_never_rotates(
            expires in 0..200i64, used in proptest::option::of(0..200i64), successor: bool, session in 0..200i64, ended: bool, branch_ended: bool,
            now in 0..200i64,
        ) {
            let state = RefreshState {
                expires_at: at(expires),
                used_at: used.map(at),
                has_successor: successor,
                session_expires_at: at(session),
                session_ended: ended,
                branch_ended,
            };
            let answer = state.decide(at(now));
            prop_assert!(!((ended || branch_ended) && answer != Refresh::Refuse));
            prop_assert!(!(used.is_some() && answer == Refresh::Rotate));
        }
    }
}
