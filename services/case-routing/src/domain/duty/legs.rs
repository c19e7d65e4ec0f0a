//! What follows a duty to its new holder: authority, funds, staff and, where the proposal has courses, training. Each is asked of
//! another service and confirmed or refused by it.

use serde::{Deserialize, Serialize};

use crate::domain::event::Timestamp;

/// One of those that follow a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegKind {
    Authority,
    Funds,
    Staff,
    Training,
}

impl LegKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Authority, Self::Funds, Self::Staff, Self::Training];

    pub(super) const fn refused_code(self) -> &'static str {
        match self {
            Self::Authority => "authority_refused",
            Self::Funds => "funds_refused",
            Self::Staff => "staff_unavailable",
            Self::Training => "training_refused",
        }
    }
}

/// Where one of them stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    #[default]
    Open,
    Confirmed {
        /// The document, the fund line, the record of the courses.
        reference: String,
        at: Timestamp,
    },
    Refused {
        reason_code: String,
        at: Timestamp,
    },
}

impl Leg {
    /// Whether it is confirmed.
    #[must_use]
    pub const fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed { .. })
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legs {
    pub authority: Leg,
    pub funds: Leg,
    pub staff: Leg,
    /// Open for good where no courses are asked for.
    #[serde(default)]
    pub training: Leg,
}

impl Legs {
    /// One of them.
    #[must_use]
    pub const fn get(&self, kind: LegKind) -> &Leg {
        match kind {
            LegKind::Authority => &self.authority,
            LegKind::Funds => &self.funds,
            LegKind::Staff => &self.staff,
            LegKind::Training => &self.training,
        }
    }

    pub(super) const fn get_mut(&mut self, kind: LegKind) -> &mut Leg {
        match kind {
            LegKind::Authority => &mut self.authority,
            LegKind::Funds => &mut self.funds,
            LegKind::Staff => &mut self.staff,
            LegKind::Training => &mut self.training,
        }
    }
}

/// What identity or staffing says of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegNews {
    Confirmed { reference: String },
    Refused { reason_code: String },
}
