//! What a mediation counts.

use calendar::local_day;

use super::super::mediation::{Mediation, MediationState};
use super::Tally;

impl Tally {
    /// What a mediation counts. Of what level its mediator was when the parties agreed is not held.
    #[must_use]
    pub fn of_mediation(mediation: &Mediation) -> Self {
        use MediationState::{Breached, Effective, Performed, ToldOfCourt};
        let mut tally = Self::default();
        tally.add("disputes_opened", 1);
        let in_effect = matches!(mediation.state, Effective | Performed | Breached | ToldOfCourt);
        let agreement = mediation.agreement.as_ref().filter(|agreement| agreement.effective_at.is_some());
        let Some(agreement) = agreement.filter(|_| in_effect) else { return tally };
        tally.add("disputes_settled", 1);
        tally.unknown("disputes_settled_within");
        if let Some(day) = agreement.performance_due_at.map(local_day) {
            tally.add_on(day, "agreements_due", 1);
            tally.add_on(day, "agreements_performed", mediation.state == Performed);
        }
        tally
    }
}
