//! Typed ids, and the source from which a command draws the ids of what it creates.
//! Nothing here is random: the seed comes with the command.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A case.
    CaseId,
    /// A task of a case.
    TaskId,
    /// A unit of the tree: city … doorway.
    UnitId,
    /// An organisation; it sits at one unit.
    OrgId,
    /// An offer to a partner.
    OfferId,
    /// A stored routing decision.
    DecisionId,
    /// An arbitration of an objection.
    ArbitrationId,
    /// A reminder or supervision.
    SupervisionId,
    /// An assignment of a worker in staffing.
    AssignmentId,
    /// A check of the facts of an application.
    InvestigationId,
    /// A public notice of an application.
    NoticeId,
    /// A mediation of a dispute.
    MediationId,
    /// A transfer of a department's duty.
    DutyTransferId,
    /// An admission of a department's item.
    AdmissionId,
    /// A case that another system knows.
    TicketId,
}

/// A person's pseudonym (the envelope's `actorref`); `system` for timers, `anonymous` for whoever
/// makes an anonymous request. Never a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonRef(pub String);

impl PersonRef {
    /// The pseudonym of timers and consumers.
    #[must_use]
    pub fn system() -> Self {
        Self("system".into())
    }

    /// What stands for whoever makes an anonymous request: the same for everybody, so that it leads to nobody.
    #[must_use]
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

impl fmt::Display for PersonRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The low bits of a UUIDv7 that are free: everything below the variant.
const FREE_BITS: u128 = (1 << 62) - 1;
/// Spreads successive draws over the free bits, away from a generator that counts by one.
const STRIDE: u128 = 0x1E37_79B9_7F4A_7C15;

/// Ids for what one command creates, all derived from one fresh UUIDv7: same command, same ids.
#[derive(Debug, Clone)]
pub struct Ids {
    seed: Uuid,
    drawn: u128,
}

impl Ids {
    /// A source over a fresh UUIDv7. The seed itself is never drawn.
    #[must_use]
    pub const fn new(seed: Uuid) -> Self {
        Self { seed, drawn: 0 }
    }

    /// The next id; of the same millisecond and version as the seed.
    pub fn draw<T: From<Uuid>>(&mut self) -> T {
        self.drawn += 1;
        let seed = self.seed.as_u128();
        let low = (seed & FREE_BITS).wrapping_add(self.drawn * STRIDE) & FREE_BITS;
        T::from(Uuid::from_u128((seed & !FREE_BITS) | low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_ids_differ_and_keep_time_and_version() {
        let seed: Uuid = "01939f5e-7a00-7abc-bfff-ffffffffffff".parse().unwrap();
        let mut ids = Ids::new(seed);
        let drawn: Vec<TaskId> = (0..1000).map(|_| ids.draw()).collect();
        let distinct: std::collections::HashSet<_> = drawn.iter().map(|id| id.0).chain([seed]).collect();
        assert_eq!(distinct.len(), 1001);
        assert!(
            drawn
                .iter()
                .all(|id| id.0.get_version_num() == 7 && id.0.get_timestamp() == seed.get_timestamp())
        );
        assert_eq!(Ids::new(seed).draw::<TaskId>(), drawn[0]);
    }
}
