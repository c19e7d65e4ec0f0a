//! The mediation of a dispute, which tells events of its own beside those of the case.

use chassis::{Timestamp, clock::to_proto};
use proto::case_routing::v1::{MediationAgreed, MediationOpened, MediationPerformed};
use uuid::Uuid;

use super::Story;

impl Story {
    /// A dispute is opened for mediation.
    pub fn open_mediation(&mut self, at: Timestamp, mediation: Uuid) -> &mut Self {
        let facts = self.facts.clone();
        self.send(at, |case_id| MediationOpened {
            case_id,
            mediation_id: mediation.to_string(),
            place_unit_id: facts.place_unit_id,
            item_code: facts.item_code,
            line: facts.line,
            party_count: 2,
            round: 1,
            ..Default::default()
        })
    }

    /// It is settled.
    pub fn settle(&mut self, at: Timestamp, mediation: Uuid, within: bool, due: Timestamp) -> &mut Self {
        self.send(at, |case_id| MediationAgreed {
            case_id,
            mediation_id: mediation.to_string(),
            within_community: within,
            performance_due_time: Some(to_proto(due)),
            ..Default::default()
        })
    }

    /// The parties did what they agreed on.
    pub fn perform(&mut self, at: Timestamp, mediation: Uuid) -> &mut Self {
        self.send(at, |case_id| MediationPerformed {
            case_id,
            mediation_id: mediation.to_string(),
            in_time: true,
            ..Default::default()
        })
    }
}
