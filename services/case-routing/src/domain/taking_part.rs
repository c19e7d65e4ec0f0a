//! Who takes part in a case, and who is asked for something without having a task of it.

use super::case::{Case, Rating, Supervision, Task};
use super::codes::*;
use super::ids::OrgId;

impl Case {
    /// Whether an organisation takes part, has to decide over an assist's objection, stands in while the case is arbitrated, is asked
    /// to define the duty, has to answer a supervision or to judge a bad rating: its caller reaches the case.
    #[must_use]
    pub fn is_party(&self, org: OrgId) -> bool {
        self.first_receiver == org
            || self.tasks.iter().any(|task| task.org == org || task.decided_by() == Some(org))
            || self.verification.as_ref().is_some_and(|verification| verification.verifier == org)
            || self.judge() == Some(org)
            || self.open_supervisions().any(|known| self.supervised(known) == org)
            || self.objection.as_ref().is_some_and(|objection| {
                let asked = objection.ruling.as_ref().and_then(|ruling| ruling.definition.as_ref());
                objection.arbiter == Some(org)
                    || objection.parties.contains(&org)
                    || objection.interim.as_ref().is_some_and(|interim| interim.org == org)
                    || asked.is_some_and(|asked| asked.org == org)
            })
    }

    /// Whether a bad rating has to be judged. Whoever withdraws ends that with the case.
    #[must_use]
    pub fn awaits_judgement(&self) -> bool {
        let awaited = self.rating.as_ref().is_some_and(Rating::awaits_judgement);
        awaited && self.state != CaseState::Withdrawn
    }

    /// Who has to judge a bad rating now.
    fn judge(&self) -> Option<OrgId> {
        let rating = self.rating.as_ref().filter(|_| self.awaits_judgement());
        rating.and_then(|rating| rating.judge)
    }

    /// The organisations that a case asks for something though they have no task of it: whoever has to judge a bad rating, also when
    /// the case is closed or merged; of one that has not ended the parties, the arbiter and whoever stands in for the first receiver
    /// while an arbitration is open, whoever is asked to define the duty, whoever has to decide over an assist's objection, the
    /// verifier while it verifies, and whoever has to answer a supervision, of a closed one about what is owed all the same, of a
    /// handed-off one about its referral, of one that is over in whatever way about words that came afterwards, until they were
    /// read. Each [takes part](Self::is_party), and has to find the case.
    #[must_use]
    pub fn asked_orgs(&self) -> Vec<OrgId> {
        let mut asked: Vec<OrgId> = self.judge().into_iter().collect();
        if !self.state.is_finished() {
            self.ask_the_others(&mut asked);
        }
        let owed = self.open_supervisions().filter(|known| self.is_owed(known));
        asked.extend(owed.map(|known| self.supervised(known)));
        asked.retain(|org| self.tasks.iter().all(|task| task.org != *org));
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    /// Whether a supervision of a case that is over has to be answered all the same.
    fn is_owed(&self, supervision: &Supervision) -> bool {
        match self.state {
            CaseState::HandedOff => !supervision.is_about_words() || supervision.waits_for_reader(),
            CaseState::Closed => supervision.outlives_the_work() || supervision.waits_for_reader(),
            CaseState::NotAccepted | CaseState::Withdrawn => supervision.waits_for_reader(),
            _ => false,
        }
    }

    /// Those that are asked while the case goes on.
    fn ask_the_others(&self, asked: &mut Vec<OrgId>) {
        if let Some(objection) = &self.objection {
            if matches!(objection.state, ObjectionState::InArbitration | ObjectionState::InReview) {
                asked.extend(objection.parties.iter().copied());
                asked.extend(objection.arbiter);
                // Whoever received the case finds it all the same.
                let stands_in = objection.interim.as_ref().map(|interim| interim.org);
                asked.extend(stands_in.filter(|org| *org != self.first_receiver));
            }
            let definition = objection.ruling.as_ref().and_then(|ruling| ruling.definition.as_ref());
            asked.extend(definition.map(|definition| definition.org));
        }
        asked.extend(self.tasks.iter().filter_map(Task::decided_by));
        let verifies = matches!(self.state, CaseState::Completed | CaseState::Verifying);
        let verification = self.verification.as_ref().filter(|_| verifies);
        asked.extend(verification.map(|verification| verification.verifier));
        asked.extend(self.open_supervisions().map(|known| self.supervised(known)));
    }

    fn open_supervisions(&self) -> impl Iterator<Item = &Supervision> {
        self.supervisions.iter().filter(|known| known.state != SupervisionState::Cleared)
    }
}
