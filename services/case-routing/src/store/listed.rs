//! What a list shows of a case: read from its document, past the tasks, decisions and whatever else a page of fifty cases
//! would be read for in vain.

use chassis::Timestamp;
use serde::Deserialize;

use super::list::FromCase;
use crate::domain::{
    self, ApplicationFace, Case, CaseId, CaseState, Channel, Clock, ClosedCode, DeliveryMode, ItemRef,
    JoinedWords, Nature, OrgId, Origin, Rating, UnitId, Urgency,
};

/// See the module. Fields as in [`domain::Case`].
#[derive(Debug, Clone, Deserialize)]
pub struct Listed {
    pub id: CaseId,
    pub case_no: String,
    pub version: i64,
    pub state: CaseState,
    pub channel: Channel,
    pub origin: Origin,
    pub nature: Nature,
    pub urgency: Urgency,
    #[serde(default)]
    pub claimed_urgency: Option<Urgency>,
    #[serde(default)]
    pub vulnerable: bool,
    #[serde(default)]
    pub anonymous: bool,
    pub place: Place,
    pub text_redacted: String,
    pub item: Option<ItemRef>,
    pub first_receiver: OrgId,
    pub lead_org: Option<OrgId>,
    pub lead_unit: Option<UnitId>,
    #[serde(default)]
    pub clocks: Vec<Clock>,
    pub rating: Option<Rating>,
    pub delivery_mode: Option<DeliveryMode>,
    pub closed_code: Option<ClosedCode>,
    pub merged_into: Option<CaseId>,
    #[serde(default)]
    pub merged: Vec<CaseId>,
    #[serde(default)]
    pub rework_count: u32,
    #[serde(default)]
    pub reopen_count: u32,
    #[serde(default)]
    pub lead_change_count: u32,
    #[serde(default)]
    pub objection_count: u32,
    pub registered_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    #[serde(default)]
    pub parent_case: Option<CaseId>,
    #[serde(default)]
    pub solved_on_spot: bool,
    #[serde(default)]
    pub remark_count: u32,
    #[serde(default)]
    pub remarked_at: Option<Timestamp>,
    #[serde(default)]
    pub joined_words: Vec<JoinedWords>,
    #[serde(default)]
    pub application: Option<ApplicationFace>,
}

/// Where it is.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Place {
    pub unit: UnitId,
    pub street: Option<UnitId>,
}

impl FromCase for Listed {
    fn from_case(case: &Case) -> Self {
        Self {
            id: case.id,
            case_no: case.case_no.clone(),
            version: case.version,
            state: case.state,
            channel: case.channel,
            origin: case.origin,
            nature: case.nature,
            urgency: case.urgency,
            claimed_urgency: case.claimed_urgency,
            vulnerable: case.vulnerable,
            anonymous: case.anonymous,
            place: Place { unit: case.place.unit, street: case.place.street },
            text_redacted: case.text_redacted.clone(),
            item: case.item.clone(),
            first_receiver: case.first_receiver,
            lead_org: case.lead_org,
            lead_unit: case.lead_unit,
            clocks: case.clocks.clone(),
            rating: case.rating.clone(),
            delivery_mode: case.delivery_mode,
            closed_code: case.closed_code,
            merged_into: case.merged_into,
            merged: case.merged.clone(),
            rework_count: case.rework_count,
            reopen_count: case.reopen_count,
            lead_change_count: case.lead_change_count,
            objection_count: case.objection_count,
            registered_at: case.registered_at,
            closed_at: case.closed_at,
            updated_at: case.updated_at,
            parent_case: case.parent_case,
            solved_on_spot: case.solved_on_spot,
            remark_count: case.remark_count,
            remarked_at: case.remarked_at,
            joined_words: case.joined_words.clone(),
            application: case.application.clone(),
        }
    }
}

impl Listed {
    /// The clock the requester is promised.
    pub fn resolve_clock(&self) -> Option<&Clock> {
        domain::promised(&self.clocks)
    }

    /// Whether the promised time has passed without completion.
    pub fn is_overdue(&self, at: Timestamp) -> bool {
        domain::is_overdue(self.state, &self.clocks, at)
    }

    /// How many words it shows, and when the last came.
    pub fn remarks(&self) -> (u32, Option<Timestamp>) {
        domain::remarks((self.remark_count, self.remarked_at), &self.joined_words, &self.merged)
    }
}
