//! The saga of a duty: authority ∧ funds ∧ staff ∧ the courses it has by a deadline, else everything granted is given back
//! (C-12). Nobody is asked for anything before the district has assessed it.
//!
//! ```text
//! Applied ──(heard ∧ assessed)──► Proposed ──(all legs confirmed ∧ approved ∧ its day)──► Effective ⇄ Suspended
//!    │ taken back · denied ·         │ a leg refused · taken back ·                          └────┬────┘
//!    │ the deadline                  │ denied · the deadline                                      ▼
//!    └──────────────┬────────────────┘                                                          Ended
//!                   ▼
//!              RolledBack
//! ```
//!
//! Amended against domain.md §2.2.2: it is assessed first; a proposal may be taken back; a suspended transfer may resume; a leg
//! that is refused when the transfer is effective already (the refusal and the day crossed, or a promised post fell vacant)
//! suspends it, for C-12 holds at every instant; it resumes only with every leg confirmed again. What was proposed before
//! transfers were assessed goes on without: it is heard while it is asked for.

use serde::{Deserialize, Serialize};

use super::{
    Assessment, Heard, Leg, LegKind, LegNews, Legs, Listed, Opinion, Opinions, PostNeed, Signer, heard,
    independent,
};
use crate::domain::codes::OrgKind;
use crate::domain::error::{DomainError, Result};
use crate::domain::event::Timestamp;
use crate::domain::ids::{DutyTransferId, OrgId, PersonRef, UnitId};

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    Applied,
    Proposed,
    Effective,
    Suspended,
    Ended,
    RolledBack,
}

impl TransferState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Applied, Self::Proposed, Self::Effective, Self::Suspended, Self::Ended, Self::RolledBack];

    /// Its code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
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
    /// Courses that those who do the work have done before it takes effect.
    #[serde(default)]
    pub training_codes: Vec<String>,
    pub effective_at: Timestamp,
    /// At most `effective_at`.
    pub deadline: Timestamp,
    pub legs: Legs,
    pub opinions: Opinions,
    /// `None` until it is assessed, and of what was proposed before transfers were.
    #[serde(default)]
    pub assessment: Option<Assessment>,
    pub proposed_by: PersonRef,
    pub proposed_at: Timestamp,
    pub approved_by: Option<PersonRef>,
    pub approved_at: Option<Timestamp>,
    /// Why it was rolled back, suspended or ended.
    pub reason_code: Option<String>,
    pub updated_at: Timestamp,
}

/// States in which it has not come about yet and may still be given up.
const OPEN: [TransferState; 2] = [TransferState::Applied, TransferState::Proposed];

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
    /// Whether it waits for a leg. Courses are done only where it has some.
    #[must_use]
    pub fn needs(&self, kind: LegKind) -> bool {
        kind != LegKind::Training || !self.training_codes.is_empty()
    }

    fn needed(&self) -> impl Iterator<Item = &Leg> {
        LegKind::ALL.into_iter().filter(move |kind| self.needs(*kind)).map(move |kind| self.legs.get(kind))
    }

    /// Whether every leg that it waits for is confirmed.
    #[must_use]
    pub fn legs_confirmed(&self) -> bool {
        self.needed().all(Leg::is_confirmed)
    }

    /// All that has to be there on its day is there.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.legs_confirmed() && self.approved_by.is_some()
    }

    /// When something is due for it by itself.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        match self.state {
            TransferState::Proposed if self.is_ready() => Some(self.effective_at),
            TransferState::Applied | TransferState::Proposed => Some(self.deadline),
            _ => None,
        }
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
        let heard_in: &[TransferState] =
            if self.assessment.is_some() { &[TransferState::Applied] } else { &OPEN };
        self.require(heard_in)?;
        if self.approved_by.is_some() {
            return Err(DomainError::guard("already_approved", "opinions are given before the approval"));
        }
        self.opinions.insert(who, opinion);
        Ok(self.change(now, None))
    }

    /// The district has looked at it: from now on the others are asked for what it needs.
    ///
    /// # Errors
    /// `Guard` `transfer_state`, `own_request`, `two_persons` (the proposer), `not_heard`, `too_late` at the deadline.
    pub fn assess(mut self, by: &Signer, found: Assessment, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Applied])?;
        self.in_time(now)?;
        independent(by, self.from, &[&self.proposed_by])?;
        heard(&self.opinions, self.to_kind)?;
        self.assessment = Some(found);
        self.state = TransferState::Proposed;
        Ok(self.change(now, Some(DutyEvent::Proposed)))
    }

    fn in_time(&self, now: Timestamp) -> Result<()> {
        if self.deadline <= now {
            return Err(DomainError::guard("too_late", "the deadline has passed"));
        }
        Ok(())
    }

    /// Whether somebody may decide for the district after whoever proposed and assessed it.
    fn second_signature(&self, by: &Signer) -> Result<()> {
        let first = self.assessment.as_ref().map(|found| &found.by);
        let earlier: Vec<&PersonRef> = std::iter::once(&self.proposed_by).chain(first).collect();
        independent(by, self.from, &earlier)
    }

    fn not_approved(&self) -> Result<()> {
        if self.approved_by.is_some() {
            return Err(DomainError::guard("already_approved", "it is approved already"));
        }
        Ok(())
    }

    /// The district approves; where everything else is there and the day has come, it takes effect.
    ///
    /// # Errors
    /// `Guard` `transfer_state`, `already_approved`, `too_late` at the deadline, `own_request`, `two_persons` (who proposed or
    /// assessed it), `not_heard`.
    pub fn approve(mut self, by: &Signer, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Proposed])?;
        self.not_approved()?;
        self.in_time(now)?;
        self.second_signature(by)?;
        heard(&self.opinions, self.to_kind)?;
        self.approved_by = Some(by.person.clone());
        self.approved_at = Some(now);
        Ok(self.change(now, None))
    }

    /// The district does not let it come about.
    ///
    /// # Errors
    /// `Guard` `transfer_state`, `already_approved`, `own_request`, `two_persons` (who proposed or assessed it).
    pub fn deny(self, by: &Signer, reason_code: &str, now: Timestamp) -> Result<Change> {
        self.require(&OPEN)?;
        self.not_approved()?;
        self.second_signature(by)?;
        Ok(self.roll_back(reason_code.to_owned(), now))
    }

    /// Identity or staffing answers. `None`: it is known already, comes too late, or is about something that is over.
    #[must_use]
    pub fn leg(mut self, kind: LegKind, news: &LegNews, now: Timestamp) -> Option<Change> {
        let known = match (self.legs.get(kind), news) {
            (Leg::Confirmed { reference: held, .. }, LegNews::Confirmed { reference }) => held == reference,
            (Leg::Refused { .. }, LegNews::Refused { .. }) => true,
            _ => false,
        };
        let asked = self.needs(kind) && self.state != TransferState::Applied;
        if known || !asked || self.state.is_over() {
            return None;
        }
        let refused = matches!(news, LegNews::Refused { .. });
        *self.legs.get_mut(kind) = match news {
            LegNews::Confirmed { reference } => Leg::Confirmed { reference: reference.clone(), at: now },
            LegNews::Refused { reason_code } => Leg::Refused { reason_code: reason_code.clone(), at: now },
        };
        // Others than those who were trained will do the work.
        if refused && kind == LegKind::Staff {
            self.legs.training = Leg::Open;
        }
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
        let in_time = |leg: &Leg| matches!(leg, Leg::Confirmed { at, .. } if *at < self.deadline);
        self.needed().all(in_time) && self.approved_at.is_some_and(|at| at < self.deadline)
    }

    /// Told only where others were asked for something.
    fn roll_back(mut self, reason_code: String, now: Timestamp) -> Change {
        let asked = self.state != TransferState::Applied;
        self.state = TransferState::RolledBack;
        self.reason_code = Some(reason_code.clone());
        self.change(now, asked.then_some(DutyEvent::RolledBack { reason_code }))
    }

    /// The department takes the proposal back.
    ///
    /// # Errors
    /// `Guard(transfer_state)`.
    pub fn withdraw(self, reason_code: &str, now: Timestamp) -> Result<Change> {
        self.require(&OPEN)?;
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
    /// `Guard` `transfer_state`, `legs_missing` unless every leg is confirmed (C-12), `own_request`, `two_persons`.
    pub fn resume(mut self, by: &Signer, now: Timestamp) -> Result<Change> {
        self.require(&[TransferState::Suspended])?;
        independent(by, self.from, &[&self.proposed_by])?;
        if !self.legs_confirmed() {
            let message = "authority, funds, staff and training are not all confirmed";
            return Err(DomainError::guard("legs_missing", message));
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
