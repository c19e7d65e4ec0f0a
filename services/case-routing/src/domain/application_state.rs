//! The state table of service applications (domain.md §2.2.2) as data. The verbs consult it and nothing else.
//!
//! Amended against the text of the table, with the reasons:
//! - `NotAccepted` and `Withdrawn` are ends of their own: intake may refuse (in writing, like a denial), applicants may
//!   change their minds.
//! - A refusal needs no public notice: nobody's need is shown to the neighbours only to be refused. An item without
//!   notice days is granted from `Reviewed`.
//! - Whoever decides is not bound to a review: it goes back to be summed up again, after an objection as such, or what needs
//!   a notice could only be refused once a review says so.
//! - What is decided after a notice is decided when it is over; before, only an objection leads out of it.
//! - `GrantUrgently` is the street's way for small sums (F2, 8.): granted before the facts are looked into, papers afterwards.
//! - Where it stays: recording checks, pausing, papers that come after an urgent grant, and the end of what it granted.

use super::application_codes::ApplicationState::{self as S, *};
use super::application_codes::ApplicationVerb as V;

/// Every allowed move of an application: from (none: a new one), to, by.
pub const APPLICATION_TRANSITIONS: &[(Option<S>, S, V)] = &[
    (None, Submitted, V::Submit),
    (Some(Submitted), Accepted, V::Accept),
    (Some(Submitted), Accepted, V::AcceptBySilence),
    (Some(Submitted), NeedSupplement, V::RequestSupplement),
    (Some(NeedSupplement), Accepted, V::Supplement),
    (Some(NeedSupplement), Accepted, V::SupplementExpired),
    (Some(NeedSupplement), Withdrawn, V::SupplementExpired),
    (Some(Submitted), NotAccepted, V::Decline),
    (Some(Accepted), Investigating, V::StartInvestigation),
    (Some(Investigating), Investigating, V::RecordInvestigation),
    (Some(Reinvestigating), Reinvestigating, V::RecordInvestigation),
    (Some(Investigating), Investigating, V::CountersignInvestigation),
    (Some(Reinvestigating), Reinvestigating, V::CountersignInvestigation),
    (Some(Investigating), Reviewed, V::Review),
    (Some(Reinvestigating), Reviewed, V::Review),
    (Some(Reviewed), Investigating, V::ReturnReview),
    (Some(Reviewed), Reinvestigating, V::ReturnReview),
    (Some(Reviewed), PublicNotice, V::PublishNotice),
    (Some(PublicNotice), Reinvestigating, V::Object),
    (Some(Reviewed), Approved, V::Approve),
    (Some(PublicNotice), Approved, V::Approve),
    (Some(Reviewed), Denied, V::Deny),
    (Some(PublicNotice), Denied, V::Deny),
    (Some(Accepted), Approved, V::GrantUrgently),
    (Some(Investigating), Approved, V::GrantUrgently),
    (Some(Approved), Delivered, V::Deliver),
    (Some(Approved), Approved, V::SubmitPapers),
    (Some(Delivered), Delivered, V::SubmitPapers),
    (Some(Delivered), Delivered, V::EndBenefit),
    (Some(Investigating), Investigating, V::Pause),
    (Some(Reinvestigating), Reinvestigating, V::Pause),
    (Some(Reviewed), Reviewed, V::Pause),
    (Some(Submitted), Withdrawn, V::Withdraw),
    (Some(NeedSupplement), Withdrawn, V::Withdraw),
    (Some(Accepted), Withdrawn, V::Withdraw),
    (Some(Investigating), Withdrawn, V::Withdraw),
    (Some(Reviewed), Withdrawn, V::Withdraw),
    (Some(PublicNotice), Withdrawn, V::Withdraw),
    (Some(Reinvestigating), Withdrawn, V::Withdraw),
    (Some(Approved), Withdrawn, V::Withdraw),
];

/// Whether the table has exactly that move.
pub(super) fn allows_move(from: Option<S>, to: S, by: V) -> bool {
    APPLICATION_TRANSITIONS.contains(&(from, to, by))
}

/// Whether the table has any move by that verb from the state.
pub(super) fn allows(from: Option<S>, by: V) -> bool {
    APPLICATION_TRANSITIONS.iter().any(|(state, _, verb)| *state == from && *verb == by)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_reached_every_verb_is_used_and_only_ends_are_dead_ends() {
        for state in S::ALL {
            assert!(APPLICATION_TRANSITIONS.iter().any(|(_, to, _)| to == state), "{state} is never reached");
            let leaves = |(from, to, _): &(Option<S>, S, V)| *from == Some(*state) && to != state;
            assert_eq!(APPLICATION_TRANSITIONS.iter().any(leaves), !state.is_end(), "{state}");
        }
        for verb in V::ALL {
            assert!(APPLICATION_TRANSITIONS.iter().any(|(_, _, by)| by == verb), "{verb} is unused");
        }
        let distinct: std::collections::HashSet<_> = APPLICATION_TRANSITIONS.iter().collect();
        assert_eq!(distinct.len(), APPLICATION_TRANSITIONS.len());
    }

    #[test]
    fn no_timer_refuses() {
        for verb in [V::AcceptBySilence, V::SupplementExpired] {
            let refuses = |(_, to, by): &(Option<S>, S, V)| *by == verb && matches!(to, Denied | NotAccepted);
            assert!(!APPLICATION_TRANSITIONS.iter().any(refuses), "{verb}");
        }
    }
}
