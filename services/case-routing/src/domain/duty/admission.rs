//! Admission (准入): a department's item with which an organisation may be asked to assist, for a time. Two signatures of
//! the district, after street and community were heard; the requesting department signs nothing.
//!
//! `Applied → Assessed → {Approved → InForce → {Expired | Withdrawn} | Denied}`. Amended against domain.md §2.2.2: an
//! application may be taken back in every state before it is over, and one that nobody decides expires with its last day: nothing
//! is denied by time, and nobody waits for it for ever.

use serde::{Deserialize, Serialize};

use super::{Assessment, Heard, Listed, Opinion, Opinions, PostNeed, Signer, heard, independent};
use crate::domain::codes::OrgKind;
use crate::domain::error::{DomainError, Result};
use crate::domain::event::Timestamp;
use crate::domain::ids::{AdmissionId, OrgId, PersonRef, UnitId};

/// Where an admission stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmissionState {
    Applied,
    Assessed,
    Approved,
    InForce,
    Expired,
    Withdrawn,
    Denied,
}

impl AdmissionState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Applied,
        Self::Assessed,
        Self::Approved,
        Self::InForce,
        Self::Expired,
        Self::Withdrawn,
        Self::Denied,
    ];

    /// Its code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Assessed => "assessed",
            Self::Approved => "approved",
            Self::InForce => "in_force",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Denied => "denied",
        }
    }

    /// Nothing moves it any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Expired | Self::Withdrawn | Self::Denied)
    }
}

/// Why an application expired of which nobody made an admission.
const NOT_DECIDED: &str = "not_decided";

/// An application and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskAdmission {
    pub id: AdmissionId,
    pub version: i64,
    pub state: AdmissionState,
    /// The department.
    pub from: OrgId,
    /// Who is to assist.
    pub to: OrgId,
    pub to_kind: OrgKind,
    /// Code of that organisation, by which the list names it, and the unit where it sits.
    pub to_code: String,
    pub to_unit: UnitId,
    pub line: Option<String>,
    pub item: String,
    pub basis_ref: String,
    pub fund_fen: i64,
    pub posts: Vec<PostNeed>,
    pub training_codes: Vec<String>,
    pub valid_from: Timestamp,
    pub valid_to: Timestamp,
    pub opinions: Opinions,
    pub assessment: Option<Assessment>,
    pub applied_by: PersonRef,
    pub applied_at: Timestamp,
    pub approved_by: Option<PersonRef>,
    pub approved_at: Option<Timestamp>,
    /// Why it was denied or withdrawn, or expired though nobody had decided.
    pub reason_code: Option<String>,
    pub updated_at: Timestamp,
}

/// What an admission tells the other services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdmissionEvent {
    Approved,
    Denied { reason_code: String },
    InForce,
    Ended { reason_code: String },
}

/// The admission after a verb, and what it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub admission: TaskAdmission,
    pub told: Option<AdmissionEvent>,
}

impl TaskAdmission {
    /// When something is due for it by itself.
    #[must_use]
    pub const fn next_due(&self) -> Option<Timestamp> {
        match self.state {
            AdmissionState::Approved => Some(self.valid_from),
            AdmissionState::Applied | AdmissionState::Assessed | AdmissionState::InForce => {
                Some(self.valid_to)
            }
            AdmissionState::Expired | AdmissionState::Withdrawn | AdmissionState::Denied => None,
        }
    }

    /// What the list has of it now.
    #[must_use]
    pub fn standing(&self) -> Option<Listed> {
        (self.state == AdmissionState::InForce).then(|| self.entries())
    }

    /// The entry that stands for it while it is in force.
    #[must_use]
    pub fn entries(&self) -> Listed {
        Listed {
            reference: self.id.to_string(),
            to_code: self.to_code.clone(),
            items: vec![self.item.clone()],
            leads: false,
            basis_ref: self.basis_ref.clone(),
            authority_granted: false,
            fund_line: None,
            drafted_by: self.assessment.as_ref().map_or_else(PersonRef::system, |done| done.by.clone()),
            approved_by: self.approved_by.clone().unwrap_or_else(PersonRef::system),
        }
    }

    fn enter(mut self, state: AdmissionState, now: Timestamp, told: Option<AdmissionEvent>) -> Admission {
        self.state = state;
        self.version += 1;
        self.updated_at = self.updated_at.max(now);
        Admission { admission: self, told }
    }

    fn require(&self, state: AdmissionState) -> Result<()> {
        if self.state == state {
            return Ok(());
        }
        Err(DomainError::guard("admission_state", format!("the admission is {}", self.state.as_str())))
    }

    /// Street or community is heard; a later opinion replaces the earlier.
    ///
    /// # Errors
    /// `Guard(admission_state)`.
    pub fn opine(mut self, who: Heard, opinion: Opinion, now: Timestamp) -> Result<Admission> {
        self.require(AdmissionState::Applied)?;
        self.opinions.insert(who, opinion);
        Ok(self.enter(AdmissionState::Applied, now, None))
    }

    /// The first signature.
    ///
    /// # Errors
    /// `Guard` `admission_state`, `own_request`, `two_persons` (the applicant), `not_heard`.
    pub fn assess(mut self, by: &Signer, found: Assessment, now: Timestamp) -> Result<Admission> {
        self.require(AdmissionState::Applied)?;
        independent(by, self.from, &[&self.applied_by])?;
        heard(&self.opinions, self.to_kind)?;
        self.assessment = Some(found);
        Ok(self.enter(AdmissionState::Assessed, now, None))
    }

    fn second_signature(&self, by: &Signer) -> Result<()> {
        self.require(AdmissionState::Assessed)?;
        let first = self.assessment.as_ref().map(|found| &found.by);
        let earlier: Vec<&PersonRef> = std::iter::once(&self.applied_by).chain(first).collect();
        independent(by, self.from, &earlier)
    }

    /// The second signature, by somebody else.
    ///
    /// # Errors
    /// `Guard` `admission_state`, `own_request`, `two_persons`, `too_late` when it would be over already.
    pub fn approve(mut self, by: &Signer, now: Timestamp) -> Result<Admission> {
        self.second_signature(by)?;
        if self.valid_to <= now {
            return Err(DomainError::guard("too_late", "it would be over already"));
        }
        self.approved_by = Some(by.person.clone());
        self.approved_at = Some(now);
        Ok(self.enter(AdmissionState::Approved, now, Some(AdmissionEvent::Approved)))
    }

    /// The district does not admit it.
    ///
    /// # Errors
    /// As [`approve`](Self::approve), but for `too_late`.
    pub fn deny(mut self, by: &Signer, reason_code: &str, now: Timestamp) -> Result<Admission> {
        self.second_signature(by)?;
        self.reason_code = Some(reason_code.to_owned());
        let told = AdmissionEvent::Denied { reason_code: reason_code.to_owned() };
        Ok(self.enter(AdmissionState::Denied, now, Some(told)))
    }

    /// Taken back by the department or the district. Only what was approved is told.
    ///
    /// # Errors
    /// `Guard(admission_state)` once it is over.
    pub fn withdraw(mut self, reason_code: &str, now: Timestamp) -> Result<Admission> {
        if self.state.is_over() {
            let message = format!("the admission is {}", self.state.as_str());
            return Err(DomainError::guard("admission_state", message));
        }
        let known = matches!(self.state, AdmissionState::Approved | AdmissionState::InForce);
        let told = known.then(|| AdmissionEvent::Ended { reason_code: reason_code.to_owned() });
        self.reason_code = Some(reason_code.to_owned());
        Ok(self.enter(AdmissionState::Withdrawn, now, told))
    }

    /// Its first day, or its last. What nobody decided until then is over, and told to nobody, for only what was approved is.
    /// `None`: nothing is due.
    #[must_use]
    pub fn tick(mut self, now: Timestamp) -> Option<Admission> {
        self.next_due().filter(|due| *due <= now)?;
        if matches!(self.state, AdmissionState::Applied | AdmissionState::Assessed) {
            self.reason_code = Some(NOT_DECIDED.to_owned());
            return Some(self.enter(AdmissionState::Expired, now, None));
        }
        // Both have passed: it never was in force.
        if self.valid_to <= now {
            let told = AdmissionEvent::Ended { reason_code: "expired".to_owned() };
            return Some(self.enter(AdmissionState::Expired, now, Some(told)));
        }
        Some(self.enter(AdmissionState::InForce, now, Some(AdmissionEvent::InForce)))
    }
}
