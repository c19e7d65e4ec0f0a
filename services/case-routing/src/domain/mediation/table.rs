//! The state tables of a mediation (domain.md §2.2.2) as data; the verbs consult them and nothing else.
//!
//! Amended against the text of the table, with the reasons:
//! - `Failed` can be entered before the first session: what cannot be mediated at all, or whose party cannot be found,
//!   must not wait for ever.
//! - The judicial confirmation is a track of its own, beside the state: while the court decides the agreement is in
//!   effect, and is performed or not.
//! - An agreement that the court did not confirm is mediated anew (`Remediate`) or given up (`Fail`).
//! - A written agreement that is not signed yet binds nobody: a party may still end the mediation.
//! - Whoever mediates and turns out to be complained of steps aside (回避) in whatever state, and another mediator takes it over:
//!   before an agreement is in effect the parties consent anew, afterwards it is followed up by the other one.

use super::codes::ConfirmationState::{self as C, *};
use super::codes::MediationState::{self as S, *};
use super::codes::MediationVerb as V;

/// Every allowed move of a mediation: from (none: a new one), to, by.
pub const MEDIATION_TRANSITIONS: &[(Option<S>, S, V)] = &[
    (None, Applied, V::Open),
    (None, Initiated, V::Open),
    (Some(Applied), Applied, V::Take),
    (Some(Initiated), Initiated, V::Take),
    (Some(Consented), Applied, V::Take),
    (Some(Consented), Initiated, V::Take),
    (Some(InSession), Applied, V::Take),
    (Some(InSession), Initiated, V::Take),
    (Some(Agreed), Applied, V::Take),
    (Some(Agreed), Initiated, V::Take),
    (Some(Effective), Effective, V::Take),
    (Some(Performed), Performed, V::Take),
    (Some(ToldOfCourt), ToldOfCourt, V::Take),
    (Some(Applied), Applied, V::Consent),
    (Some(Applied), Consented, V::Consent),
    (Some(Initiated), Initiated, V::Consent),
    (Some(Initiated), Consented, V::Consent),
    (Some(Applied), Refused, V::Refuse),
    (Some(Initiated), Refused, V::Refuse),
    (Some(Consented), Refused, V::Refuse),
    (Some(InSession), TerminatedByParty, V::Terminate),
    (Some(Agreed), TerminatedByParty, V::Terminate),
    (Some(Consented), InSession, V::HoldSession),
    (Some(InSession), InSession, V::HoldSession),
    (Some(InSession), Agreed, V::Agree),
    (Some(Agreed), Agreed, V::Sign),
    (Some(Agreed), Effective, V::TakeEffect),
    (Some(Effective), Performed, V::Perform),
    (Some(Effective), Breached, V::Breach),
    (Some(Breached), ToldOfCourt, V::TellCourt),
    (Some(Applied), Failed, V::Fail),
    (Some(Initiated), Failed, V::Fail),
    (Some(Consented), Failed, V::Fail),
    (Some(InSession), Failed, V::Fail),
    (Some(Agreed), Failed, V::Fail),
    (Some(Effective), Failed, V::Fail),
    (Some(Failed), ToldOfChannels, V::TellChannels),
    (Some(Effective), Effective, V::RequestConfirmation),
    (Some(Effective), Effective, V::CourtAnswer),
    (Some(Performed), Performed, V::CourtAnswer),
    (Some(ToldOfCourt), ToldOfCourt, V::CourtAnswer),
    (Some(Effective), Applied, V::Remediate),
    (Some(Effective), Initiated, V::Remediate),
    (Some(Applied), Applied, V::ReportEscalation),
    (Some(Initiated), Initiated, V::ReportEscalation),
    (Some(Consented), Consented, V::ReportEscalation),
    (Some(InSession), InSession, V::ReportEscalation),
    (Some(Agreed), Agreed, V::ReportEscalation),
    (Some(Effective), Effective, V::ReportEscalation),
    (Some(Performed), Performed, V::ReportEscalation),
    (Some(ToldOfCourt), ToldOfCourt, V::ReportEscalation),
    (Some(Refused), Refused, V::ReportEscalation),
    (Some(ToldOfChannels), ToldOfChannels, V::ReportEscalation),
    (Some(TerminatedByParty), TerminatedByParty, V::ReportEscalation),
];

/// Every allowed move of a judicial confirmation: from (none: not asked for), to.
pub const CONFIRMATION_TRANSITIONS: &[(Option<C>, C)] = &[
    (None, Requested),
    (Some(Requested), C::Accepted),
    (Some(Requested), NotAccepted),
    // Ten days more.
    (Some(C::Accepted), C::Accepted),
    (Some(C::Accepted), Confirmed),
    (Some(C::Accepted), NotConfirmed),
];

impl S {
    /// Whether the parties are still to agree: at most one mediation of a case is.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Applied | Initiated | Consented | InSession | Agreed)
    }

    /// Whether nothing moves it any more.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Performed | ToldOfCourt | Refused | ToldOfChannels | TerminatedByParty)
    }
}

impl C {
    /// Whether the court is still to answer.
    #[must_use]
    pub const fn is_awaited(self) -> bool {
        matches!(self, Requested | Self::Accepted)
    }
}

/// Whether the table has exactly that move.
#[must_use]
pub fn allows(from: Option<S>, to: S, verb: V) -> bool {
    MEDIATION_TRANSITIONS.contains(&(from, to, verb))
}

/// Whether the table has any move by that verb from the state.
#[must_use]
pub fn permits(from: S, verb: V) -> bool {
    MEDIATION_TRANSITIONS.iter().any(|(state, _, by)| *state == Some(from) && *by == verb)
}
