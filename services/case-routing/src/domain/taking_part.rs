//! Who takes part in a case, and who is asked for something without having a task of it.

use super::case::Case;
use super::codes::*;
use super::ids::OrgId;

impl Case {
    /// Whether an organisation takes part, is asked to define the duty, or has to answer a supervision: its caller reaches the
    /// case.
    #[must_use]
    pub fn is_party(&self, org: OrgId) -> bool {
        self.first_receiver == org
            || self.tasks.iter().any(|task| task.org == org)
            || self.verification.as_ref().is_some_and(|verification| verification.verifier == org)
            || self
                .supervisions
                .iter()
                .any(|known| known.state != SupervisionState::Cleared && self.supervised(known) == org)
            || self.objection.as_ref().is_some_and(|objection| {
                let asked = objection.ruling.as_ref().and_then(|ruling| ruling.definition.as_ref());
                objection.arbiter == Some(org)
                    || objection.parties.contains(&org)
                    || asked.is_some_and(|asked| asked.org == org)
            })
    }

    /// The organisations that a case which has not ended asks for something though they have no task of it: the parties and the
    /// arbiter while an arbitration is open, whoever is asked to define the duty, the verifier while it verifies, and whoever has
    /// to answer a supervision. Each [takes part](Self::is_party), and has to find the case.
    #[must_use]
    pub fn asked_orgs(&self) -> Vec<OrgId> {
        if self.state.is_finished() {
            return Vec::new();
        }
        let mut asked: Vec<OrgId> = Vec::new();
        if let Some(objection) = &self.objection {
            if matches!(objection.state, ObjectionState::InArbitration | ObjectionState::InReview) {
                asked.extend(objection.parties.iter().copied());
                asked.extend(objection.arbiter);
            }
            let definition = objection.ruling.as_ref().and_then(|ruling| ruling.definition.as_ref());
            asked.extend(definition.map(|definition| definition.org));
        }
        let verifies = matches!(self.state, CaseState::Completed | CaseState::Verifying);
        let verification = self.verification.as_ref().filter(|_| verifies);
        asked.extend(verification.map(|verification| verification.verifier));
        let open = self.supervisions.iter().filter(|known| known.state != SupervisionState::Cleared);
        asked.extend(open.map(|known| self.supervised(known)));
        asked.retain(|org| self.tasks.iter().all(|task| task.org != *org));
        asked.sort_unstable();
        asked.dedup();
        asked
    }
}
