//! What was handed in about a case, as its readers see it.

use chassis::{auth::Caller, proto::case_routing::v1 as pb};

use super::convert::{at, text};
use crate::{
    domain::{Case, Evidence, EvidenceKind, TaskPart},
    reach,
};

/// Oldest first: all of it for whoever has to do with the case, and for whoever only asked what is for them.
pub(super) fn shown(case: &Case, by: &Caller) -> Vec<pb::CaseEvidence> {
    let all = reach::beyond_asking(case, by);
    let shown = case.evidence.iter().filter(|one| all || is_for_requester(case, one));
    shown.map(evidence).collect()
}

/// What assists hand in is for the lead, who answers for the whole. Of what does not tell whose it is, an explanation was never theirs.
fn is_for_requester(case: &Case, one: &Evidence) -> bool {
    match one.task_id {
        Some(id) => case.task(id).is_ok_and(|task| task.part == TaskPart::Lead),
        None => one.org_id.is_some() || one.kind == EvidenceKind::Explanation,
    }
}

fn evidence(one: &Evidence) -> pb::CaseEvidence {
    pb::CaseEvidence {
        kind: one.kind.to_string(),
        evidence_ref: one.reference.clone(),
        task_id: text(one.task_id),
        org_id: text(one.org_id),
        given_time: at(one.at),
    }
}

#[cfg(test)]
mod tests {
    use chassis::auth::CallerKind;

    use super::*;
    use crate::domain::tests::world::World;

    #[test]
    fn of_what_does_not_tell_whose_it_is_who_only_asked_reads_explanations_alone() {
        let mut case = World::new().completed("stairs");
        let at = case.updated_at;
        let old = |kind, reference: &str| Evidence {
            kind,
            reference: reference.to_owned(),
            at,
            task_id: None,
            org_id: None,
        };
        case.evidence = vec![old(EvidenceKind::Photo, "photo:1"), old(EvidenceKind::Explanation, "kb:1")];
        let read = |by: &Caller| -> Vec<String> {
            shown(&case, by).into_iter().map(|one| one.evidence_ref).collect()
        };
        let service = Caller::system("test");
        let asked = Caller { kind: CallerKind::Person, scopes: Vec::new(), ..service.clone() };
        assert_eq!(read(&asked), ["kb:1"]);
        assert_eq!(read(&service), ["photo:1", "kb:1"]);
    }
}
