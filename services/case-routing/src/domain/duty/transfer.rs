//! The saga of a duty: authority ∧ funds ∧ staff by a deadline, else everything granted is given back (C-12).
//!
//! ```text
//! Proposed ──(three legs confirmed ∧ approved ∧ its day)──► Effective ⇄ Suspended
//!    │ a leg refused · taken back · the deadline                 └────┬────┘
//!    ▼                                                                ▼
//! RolledBack                                                        Ended
//! ```
//!
//! Amended against domain.md §2.2.2: a proposal may be taken back; a suspended transfer may resume; a leg that is refused
//! when the transfer is effective already (the refusal and the day crossed) suspends it, for C-12 holds at every instant.

use serde::{Deserialize, Serialize};

use super::{Heard, Listed, Opinion, Opinions, PostNeed, Signer, heard, independent};
use crate::domain::codes::OrgKind;
use crate::domain::error::{DomainError, Result};
use crate::domain::event::Timestamp;
use crate::domain::ids::{DutyTransferId, OrgId, PersonRef, UnitId};

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    Proposed,
    Effective,
    Suspended,
    Ended,
    RolledBack,
}

impl TransferState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::Proposed, Self::Effective, Self::Suspended, Self::Ended, Self::RolledBack];

    /// Its code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Effective => "effective",
            Self::Suspended => "suspended",
            Self::Ended => "ended",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Nothing moves it any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Ended | Self::RolledBack)
    }
}

/// One of the three that follow a duty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegKind {
    Authority,
    Funds,
    Staff,
}

impl LegKind {
    /// All three.
    pub const ALL: [Self; 3] = [Self::Authority, Self::Funds, Self::Staff];

    const fn refused_code(self) -> &'static str {
        match self {
            Self::Authority => "authority_refused",
            Self::Funds => "funds_refused",
            Self::Staff => "staff_unavailable",
        }
    }
}

/// Where one of the three stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    #[default]
    Open,
    Confirmed {
        /// The document, the fund line.
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

/// The three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legs {
    pub authority: Leg,
    pub funds: Leg,
    pub staff: Leg,
}

impl Legs {
    /// One of them.
    #[must_use]
    pub const fn get(&self, kind: LegKind) -> &Leg {
        match kind {
            LegKind::Authority => &self.authority,
            LegKind::Funds => &self.funds,
            LegKind::Staff => &self.staff,
        }
    }

    const fn get_mut(&mut self, kind: LegKind) -> &mut Leg {
        match kind {
            LegKind::Authority => &mut self.authority,
            LegKind::Funds => &mut self.funds,
            LegKind::Staff => &mut self.staff,
        }
    }

    /// Whether all three are confirmed.
    #[must_use]
    pub fn all_confirmed(&self) -> bool {
        LegKind::ALL.into_iter().all(|kind| self.get(kind).is_confirmed())
    }
}

/// What identity or staffing says of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegNews {
    Confirmed { reference: String },
    Refused { reason_code: String },
}

/// Items of a department that another organisation is to lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyTransfer {
    pub id: DutyTransferId,
    pub version: i64,
    pub state: TransferState,
    /// The department.
    pub from: OrgId,
    /// Who is to lead.
    pub to: OrgId,
    pub to_kind: OrgKind,
    /// Code of that organisation, by which the list names it, and the unit where it sits.
    pub to_code: String,
    pub to_unit: UnitId,
    pub line: Option<String>,
    pub items: Vec<String>,
    pub basis_ref: String,
    /// Per year, in fen.
    pub fund_fen: i64,
    pub posts: Vec<PostNeed>,
    pub effective_at: Timestamp,
    /// At most `effective_at`.
    pub deadline: Timestamp,
    pub legs: Legs,
    pub opinions: Opinions,
    pub proposed_by: PersonRef,
    pub proposed_at: Timestamp,
    pub approved_by: Option<PersonRef>,
    pub approved_at: Option<Timestamp>,
    /// Why it was rolled back, suspended or ended.
    pub reason_code: Option<String>,
    pub updated_at: Timestamp,
}

/// What a transfer tells the other services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DutyEvent {
    Proposed,
    Effective { resumed: bool },
    RolledBack { reason_code: String },
    Suspended { reason_code: String },
    Ended { reason_code: String },
}

/// The transfer after a verb, and what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub transfer: DutyTransfer,
    pub told: Option<DutyEvent>,
}

impl DutyTransfer {
    /// All that has to be there on its day is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.legs.all_confirmed() && self.approved_by.is_some()
    }

    /// When something is due for it by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = if self.is_ready() { self.effective_at } else { self.deadline };
        (self.state == TransferState::Proposed).then_some(due)
    }

    /// What the list has of it now.
    #[must_use]
    pub fn standing(&self) -> Option<Listed> {
        (self.state == TransferState::Effective).then(|| self.entries())
    }

    /// The entries that stand for it while it is effective.
    #[must_use]
    pub fn entries(&self) -> Listed {
        let fund_line = match &self.legs.funds {
            Leg::Confirmed { reference, .. } => Some(reference.clone()),
            _ => None,
        };
        Listed {
            reference: self.id.to_string(),
            to_code: self.to_code.clone(),
            items: self.items.clone(),
            leads: true,
            basis_ref: self.basis_ref.clone(),
            authority_granted: self.legs.authority.is_confirmed(),
            fund_line,
            drafted_by: self.proposed_by.clone(),
            approved_by: self.approved_by.clone().unwrap_or_else(PersonRef::system),
        }
    }

    fn change(mut self, now: Timestamp, told: Option<DutyEvent>) -> Change {
        self.version += 1;
        self.updated_at = self.updated_at.max(now);
        Change { transfer: self, told }
    }

    fn require(&self, states: &[TransferState]) -> Result<()> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(DomainError::guard("transfer_state", format!("the transfer is {}", self.state.as_str())))
    }

    /// Street or community is heard; a later opinion replaces the earlier.
    ///
    /// # Errors
    /// `Guard` `transfer_state`, `already_approved`.
    pub fn opine(mut self, who: Heard, opinion: Opinion, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Proposed])?;
        if self.approved_by.is_some() {
            return Err(DomainError::guard("already_approved", "opinions are given before the approval"));
        }
        self.opinions.insert(who, opinion);
        Ok(self.change(now, None))
    }

    /// The district approves; where everything else is there and the day has come, it takes effect.
    ///
    /// # Errors
    /// `Guard` `transfer_state`, `already_approved`, `not_heard`, `own_request`, `two_persons`, `too_late` at the deadline.
    pub fn approve(mut self, by: &Signer, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Proposed])?;
        if self.approved_by.is_some() {
            return Err(DomainError::guard("already_approved", "it is approved already"));
        }
        if self.deadline <= now {
            return Err(DomainError::guard("too_late", "the deadline has passed"));
        }
        independent(by, self.from, &[&self.proposed_by])?;
        heard(&self.opinions, self.to_kind)?;
        self.approved_by = Some(by.person.clone());
        self.approved_at = Some(now);
        Ok(self.change(now, None))
    }

    /// Identity or staffing answers. `None`: it is known already, comes too late, or is about something that is over.
    #[must_use]
    pub fn leg(mut self, kind: LegKind, news: &LegNews, now: Timestamp) -> Option<Change> {
        let known = match (self.legs.get(kind), news) {
            (Leg::Confirmed { reference: held, .. }, LegNews::Confirmed { reference }) => held == reference,
            (Leg::Refused { .. }, LegNews::Refused { .. }) => true,
            _ => false,
        };
        if known || self.state.is_over() {
            return None;
        }
        let refused = matches!(news, LegNews::Refused { .. });
        *self.legs.get_mut(kind) = match news {
            LegNews::Confirmed { reference } => Leg::Confirmed { reference: reference.clone(), at: now },
            LegNews::Refused { reason_code } => Leg::Refused { reason_code: reason_code.clone(), at: now },
        };
        let reason_code = kind.refused_code().to_owned();
        Some(match self.state {
            TransferState::Proposed if refused => self.roll_back(reason_code, now),
            TransferState::Proposed if self.deadline <= now && !self.was_ready_in_time() => {
                self.roll_back("deadline".to_owned(), now)
            }
            TransferState::Effective if refused => {
                self.state = TransferState::Suspended;
                self.reason_code = Some(reason_code.clone());
                self.change(now, Some(DutyEvent::Suspended { reason_code }))
            }
            _ => self.change(now, None),
        })
    }

    /// Everything was there at the deadline: what came at or after it does not count.
    fn was_ready_in_time(&self) -> bool {
        let in_time = |kind| match self.legs.get(kind) {
            Leg::Confirmed { at, .. } => *at < self.deadline,
            _ => false,
        };
        LegKind::ALL.into_iter().all(in_time) && self.approved_at.is_some_and(|at| at < self.deadline)
    }

    fn roll_back(mut self, reason_code: String, now: Timestamp) -> Change {
        self.state = TransferState::RolledBack;
        self.reason_code = Some(reason_code.clone());
        self.change(now, Some(DutyEvent::RolledBack { reason_code }))
    }

    /// The department takes the proposal back.
    ///
    /// # Errors
    /// `Guard(transfer_state)`.
    pub fn withdraw(self, reason_code: &str, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Proposed])?;
        Ok(self.roll_back(reason_code.to_owned(), now))
    }

    /// The deadline, or the day. `None`: nothing is due.
    #[must_use]
    pub fn tick(mut self, now: Timestamp) -> Option<Change> {
        self.next_due().filter(|due| *due <= now)?;
        if self.is_ready() && self.was_ready_in_time() {
            self.state = TransferState::Effective;
            return Some(self.change(now, Some(DutyEvent::Effective { resumed: false })));
        }
        Some(self.roll_back("deadline".to_owned(), now))
    }

    /// The list goes on without it for the time being.
    ///
    /// # Errors
    /// `Guard(transfer_state)`.
    pub fn suspend(mut self, reason_code: &str, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Effective])?;
        self.state = TransferState::Suspended;
        self.reason_code = Some(reason_code.to_owned());
        Ok(self.change(now, Some(DutyEvent::Suspended { reason_code: reason_code.to_owned() })))
    }

    /// It takes effect again.
    ///
    /// # Errors
    /// `Guard` `transfer_state`, `legs_missing` unless authority, funds and staff are confirmed (C-12), `own_request`,
    /// `two_persons`.
    pub fn resume(mut self, by: &Signer, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Suspended])?;
        independent(by, self.from, &[&self.proposed_by])?;
        if !self.legs.all_confirmed() {
            return Err(DomainError::guard(
                "legs_missing",
                "authority, funds and staff are not all confirmed",
            ));
        }
        self.state = TransferState::Effective;
        self.reason_code = None;
        Ok(self.change(now, Some(DutyEvent::Effective { resumed: true })))
    }

    /// It is over for good.
    ///
    /// # Errors
    /// `Guard(transfer_state)`.
    pub fn end(mut self, reason_code: &str, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Effective, TransferState::Suspended])?;
        self.state = TransferState::Ended;
        self.reason_code = Some(reason_code.to_owned());
        Ok(self.change(now, Some(DutyEvent::Ended { reason_code: reason_code.to_owned() })))
    }
}
