//! A department's duty on its way down: transfers ([`DutyTransfer`]: the new holder leads) and admissions
//! ([`TaskAdmission`]: it assists for a time). Both are pure: a verb gives the next aggregate and what to tell, or refuses.
//! While one is in force, entries of the responsibility list stand for it ([`Listed`]), and what has come with it to its
//! holder can be asked ([`Arrivals`]).

mod admission;
mod arrivals;
mod legs;
mod transfer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    admission::{Admission, AdmissionEvent, AdmissionState, TaskAdmission},
    arrivals::{Arrival, ArrivalState, Arrivals, ItemStanding, since},
    legs::{Leg, LegKind, LegNews, Legs},
    transfer::{Change, DutyEvent, DutyTransfer, TransferState},
};
use super::codes::OrgKind;
use super::error::{DomainError, Result};
use super::event::Timestamp;
use super::ids::{OrgId, PersonRef};

/// Posts of a kind, by the kind's code, that come with a duty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostNeed {
    /// As staffing names it, such as `service_worker`.
    pub kind: String,
    pub count: u32,
}

/// Who is heard before the district decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    Street,
    Community,
}

impl Heard {
    /// Its code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Street => "street",
            Self::Community => "community",
        }
    }
}

/// What one of the heard said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    pub supports: bool,
    pub reason_code: String,
    pub by: PersonRef,
    pub at: Timestamp,
}

/// The latest opinion of each.
pub type Opinions = BTreeMap<Heard, Opinion>;

/// What the district looked at before it let a duty go its way, each as a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    pub law: String,
    pub need: String,
    pub load: String,
    pub alternative: String,
    pub by: PersonRef,
    pub at: Timestamp,
}

/// Whose signature it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    pub person: PersonRef,
    /// The organisations the signer acts for.
    pub orgs: Vec<OrgId>,
}

impl Signer {
    /// A person who acts for some organisations.
    #[must_use]
    pub fn new(person: impl Into<String>, orgs: Vec<OrgId>) -> Self {
        Self { person: PersonRef(person.into()), orgs }
    }
}

/// Whether a kind of organisation may take a duty over, or be asked to assist with one.
#[must_use]
pub const fn may_hold(kind: OrgKind) -> bool {
    matches!(kind, OrgKind::ServiceStation | OrgKind::Committee | OrgKind::StreetOffice)
}

/// The community is heard where its own organisations are meant; the street always.
fn heard(opinions: &Opinions, to: OrgKind) -> Result<()> {
    let missing = |who| !opinions.contains_key(&who);
    if missing(Heard::Street) || (to.is_community_level() && missing(Heard::Community)) {
        return Err(DomainError::guard("not_heard", "street and community are heard first"));
    }
    Ok(())
}

/// The requesting department does not decide on its own request, nor does anybody sign twice.
fn independent(by: &Signer, department: OrgId, earlier: &[&PersonRef]) -> Result<()> {
    if by.orgs.contains(&department) {
        return Err(DomainError::guard("own_request", "the department does not decide on its own request"));
    }
    if earlier.contains(&&by.person) {
        return Err(DomainError::guard("two_persons", "another person has to sign"));
    }
    Ok(())
}

/// Entries of the list that stand for something in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Id of the transfer or admission; also the stem of the entries' rule ids.
    pub reference: String,
    /// Code of the holder.
    pub to_code: String,
    pub items: Vec<String>,
    /// It leads; else it assists.
    pub leads: bool,
    pub basis_ref: String,
    pub authority_granted: bool,
    pub fund_line: Option<String>,
    /// Who drafted and who approved the version that brings or takes them (two persons).
    pub drafted_by: PersonRef,
    pub approved_by: PersonRef,
}

impl Listed {
    /// The rule id for one of its items: at most 64 characters.
    #[must_use]
    pub fn rule_id(&self, item: &str) -> String {
        let id: String = self.reference.chars().filter(char::is_ascii_alphanumeric).collect();
        format!("{}-{id}-{item}", if self.leads { "DT" } else { "AD" })
    }
}
