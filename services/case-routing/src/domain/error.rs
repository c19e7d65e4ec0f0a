//! What the domain refuses, and why. Mapped to the service's error outside.

use super::codes::CaseState;
use super::state::Trigger;

/// A refusal of a command. The messages carry codes and numbers only, never what a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// A field of the command is wrong in itself.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    /// The state table does not allow the verb in this state.
    #[error("a case that is {state} cannot {verb}")]
    WrongState { state: CaseState, verb: Trigger },
    /// The state allows the verb, a condition of the table does not.
    #[error("{code}: {message}")]
    Guard { code: &'static str, message: String },
    /// The acting organisation or person is not the one who may do this.
    #[error("{code}: not for the acting party")]
    NotEntitled { code: &'static str },
}

impl DomainError {
    pub(super) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        Self::Invalid { field, message: message.into() }
    }

    pub(super) fn guard(code: &'static str, message: impl Into<String>) -> Self {
        Self::Guard { code, message: message.into() }
    }
}

/// The result of a decision.
pub type Result<T, E = DomainError> = std::result::Result<T, E>;
