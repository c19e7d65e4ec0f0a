//! Sessions and persons whose tokens are refused before they run out. Fed by identity's events through the topology
//! consumer and looked up on every call; entries leave once no token they bar can still be valid.

use std::collections::HashMap;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use uuid::Uuid;

use super::{Verified, token::LEEWAY};
use crate::clock::Timestamp;

/// Longest life of an access token that a person's revocation has to outlive (tokens last ten minutes).
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(1);

/// How long a session's bar outlives its last token: that is taken for [`LEEWAY`] longer, by a clock that may
/// be behind by as much.
pub(crate) const LINGER: TimeDelta = TimeDelta::seconds(2 * LEEWAY as i64);

/// What is barred now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Revoked {
    /// Session to the instant at which its last token runs out.
    pub sessions: HashMap<Uuid, Timestamp>,
    /// Person to the instant before which issued tokens are refused.
    pub persons: HashMap<Uuid, Timestamp>,
}

/// Shared, read on every call.
#[derive(Debug, Default)]
pub struct Revocations(ArcSwap<Revoked>);

impl Revocations {
    /// Bars a session until its last token has run out.
    pub fn bar_session(&self, session_id: Uuid, until: Timestamp) {
        self.0.rcu(|revoked| {
            let mut next = Revoked::clone(revoked);
            later(&mut next.sessions, session_id, until);
            next
        });
    }

    /// Bars the tokens of persons that were issued before an instant.
    pub fn bar_persons(&self, person_ids: &[Uuid], before: Timestamp) {
        self.0.rcu(|revoked| {
            let mut next = Revoked::clone(revoked);
            for person_id in person_ids {
                later(&mut next.persons, *person_id, before);
            }
            next
        });
    }

    /// Adds bars to those that are known; of two for one session or person the later holds. Bars leave by
    /// [`prune`](Self::prune) only.
    pub fn merge(&self, revoked: &Revoked) {
        if revoked.sessions.is_empty() && revoked.persons.is_empty() {
            return;
        }
        self.0.rcu(|known| {
            let mut next = Revoked::clone(known);
            for (session, until) in &revoked.sessions {
                later(&mut next.sessions, *session, *until);
            }
            for (person, before) in &revoked.persons {
                later(&mut next.persons, *person, *before);
            }
            next
        });
    }

    /// Forgets what bars nothing any more at `now` (real time).
    pub fn prune(&self, now: Timestamp) {
        self.0.rcu(|revoked| {
            let mut next = Revoked::clone(revoked);
            next.sessions.retain(|_, until| *until + LINGER > now);
            next.persons.retain(|_, before| *before + TOKEN_LIFE > now);
            next
        });
    }

    /// Whether a token is barred.
    pub fn bars(&self, token: &Verified) -> bool {
        let revoked = self.0.load();
        (!revoked.sessions.is_empty() && revoked.sessions.contains_key(&token.session_id))
            || (!revoked.persons.is_empty()
                && revoked.persons.get(&token.subject).is_some_and(|before| token.issued < *before))
    }

    /// What is barred now.
    pub fn load(&self) -> std::sync::Arc<Revoked> {
        self.0.load_full()
    }
}

fn later(bars: &mut HashMap<Uuid, Timestamp>, id: Uuid, at: Timestamp) {
    let known = bars.entry(id).or_insert(at);
    *known = at.max(*known);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::TokenKind;
    use crate::clock::{Clock, new_id};

    fn token(issued: Timestamp) -> Verified {
        Verified {
            subject: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            actor_ref: "p".into(),
            org_id: None,
            kind: TokenKind::Person,
            grants: Vec::new(),
            issued,
            expires: issued + TimeDelta::minutes(10),
        }
    }

    #[test]
    fn a_barred_session_is_refused_and_others_are_not() {
        let now = Clock::system().real_now();
        let list = Revocations::default();
        assert!(!list.bars(&token(now)));
        list.bar_session(new_id(), now);
        assert!(!list.bars(&token(now)));
        list.bar_session(Uuid::from_u128(2), now + TimeDelta::minutes(10));
        assert!(list.bars(&token(now)));
        for seconds in [300, 600 + 5] {
            list.prune(now + TimeDelta::seconds(seconds));
            assert!(list.bars(&token(now)), "a token is taken for a little longer than it says: {seconds} s");
        }
        list.prune(now + TimeDelta::minutes(11));
        assert!(!list.bars(&token(now)));
    }

    #[test]
    fn tokens_from_before_are_refused_and_newer_ones_are_not() {
        let now = Clock::system().real_now();
        let list = Revocations::default();
        list.bar_persons(&[Uuid::from_u128(1)], now);
        list.bar_persons(&[Uuid::from_u128(1)], now - TimeDelta::hours(1));
        assert!(list.bars(&token(now - TimeDelta::milliseconds(1))));
        assert!(!list.bars(&token(now)), "issued after the revocation");
        list.prune(now + TimeDelta::hours(2));
        assert!(list.load().persons.is_empty());
    }
}
