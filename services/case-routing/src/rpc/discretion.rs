//! Who complained, as whoever belongs to the organisation complained of reads it: not under the pseudonym, which stands in the other
//! cases of the same person, too, and leads to a name.

use chassis::{auth::Caller, proto::case_routing::v1 as pb};

use super::convert;
use crate::{
    domain::{Case, IMPORTED, PersonRef, TimelineEntry},
    store::remarks::Remark,
    verb::opened_to,
};

/// Stands in a case where the requester's pseudonym would.
const REQUESTER: &str = "requester";
/// Stands in a mediation where a party's pseudonym would.
const PARTY: &str = "party";

/// How a reader sees who acted in a case.
pub(super) struct Discretion {
    hides: bool,
}

impl Discretion {
    /// Of a case, towards whoever reads it.
    pub fn of(case: &Case, by: &Caller) -> Self {
        Self { hides: opened_to(case, by).is_err() }
    }

    /// A step of the timeline.
    pub fn step(&self, entry: &TimelineEntry) -> pb::TimelineEntry {
        let mut step = convert::step(entry);
        // Who brought it from another system asked for nothing.
        if entry.reason.as_ref().is_none_or(|why| why.code != IMPORTED) {
            self.hide(REQUESTER, &mut step.actor_ref, &step.org_id);
        }
        step
    }

    /// Words that were added.
    pub fn remark(&self, said: &Remark) -> pb::CaseRemark {
        let mut remark = convert::remark(said);
        self.hide(REQUESTER, &mut remark.actor_ref, &remark.org_id);
        remark
    }

    /// A mediation.
    pub fn mediation(&self, mut shown: pb::Mediation) -> pb::Mediation {
        for step in &mut shown.steps {
            self.hide(PARTY, &mut step.actor_ref, &step.org_id);
        }
        shown
    }

    /// Officials act for an organisation: whoever acts for none is the requester, or another party.
    fn hide(&self, word: &str, actor_ref: &mut String, org_id: &str) {
        let nobody =
            || [PersonRef::system(), PersonRef::anonymous()].iter().any(|known| known.0 == *actor_ref);
        if self.hides && org_id.is_empty() && !nobody() {
            word.clone_into(actor_ref);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::domain::{CaseState, OrgId, Reason};

    #[test]
    fn only_who_may_be_the_requester_is_hidden() {
        let entry = |actor: &str, org, reason| TimelineEntry {
            case_version: 1,
            event: "CaseRegistered".into(),
            state: CaseState::Registered,
            actor: PersonRef(actor.into()),
            org,
            at: DateTime::UNIX_EPOCH,
            reason,
            task_id: None,
        };
        let office = Some(OrgId(uuid::Uuid::from_u128(1)));
        for (entry, shown) in [
            (entry("p-1", None, None), REQUESTER),
            (entry("p-1", None, Some(Reason::new("withdrawn"))), REQUESTER),
            (entry("p-2", office, None), "p-2"),
            (entry("system", None, None), "system"),
            (entry("anonymous", None, None), "anonymous"),
            (entry("p-3", None, Some(Reason::new(IMPORTED))), "p-3"),
        ] {
            assert_eq!(Discretion { hides: true }.step(&entry).actor_ref, shown);
            assert_eq!(Discretion { hides: false }.step(&entry).actor_ref, entry.actor.0);
        }
    }
}
