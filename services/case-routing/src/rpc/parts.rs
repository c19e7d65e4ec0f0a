//! What the RPCs of tasks share: evidence, for whom a caller acts, and which task an objection is about.

use chassis::auth::{Caller, CallerKind, Role};
use uuid::Uuid;

use super::parse;
use crate::{
    atlas::World,
    domain::{self, Act, Case, DomainError, EvidenceKind, OrgKind, TaskId},
    reach,
    verb::acting_for,
};

/// Evidence by reference; its kind is what stands before the colon.
pub(super) fn evidence(texts: &[String]) -> chassis::Result<Vec<(EvidenceKind, String)>> {
    let texts = parse::references("evidence_refs", texts)?;
    let kind = |text: &str| match text.split(':').next() {
        Some("photo") => EvidenceKind::Photo,
        Some("doc" | "document") => EvidenceKind::Document,
        Some("record") => EvidenceKind::ServiceRecord,
        _ => EvidenceKind::WorkReport,
    };
    Ok(texts.into_iter().map(|text| (kind(&text), text)).collect())
}

/// Lets the caller act for the organisation that holds a task. A committee answers for itself: only its own members do.
pub(super) fn for_task<'a>(act: Act<'a>, by: &Caller, case: &Case, task: TaskId) -> domain::Result<Act<'a>> {
    let org = case.task(task)?.org;
    let committee = act.routes.org(org).is_some_and(|org| org.kind == OrgKind::Committee);
    if committee && by.kind == CallerKind::Person && !by.has(Role::CommitteeMember) {
        return Err(DomainError::NotEntitled { code: "committee_member" });
    }
    Ok(acting_for(act, by, Some(org)))
}

/// The objection is about that task.
pub(super) fn about(case: &Case, task: TaskId) -> domain::Result<()> {
    case.task(task)?;
    match &case.objection {
        Some(objection) if objection.task != task && case.lead_task != Some(task) => {
            let message = "the objection is about another task".to_owned();
            Err(DomainError::Invalid { field: "task_id", message })
        }
        _ => Ok(()),
    }
}

/// The caller's own organisations, and those that sit within the caller's grants.
pub(super) fn orgs_within(world: &World, caller: &Caller) -> Vec<Uuid> {
    let mut orgs = reach::part_orgs(caller);
    let within = world.topology.orgs().filter(|org| {
        let path = world.topology.path(org.unit_id);
        path.is_some_and(|path| reach::covers(caller, &path, org.line.as_deref()))
    });
    orgs.extend(within.map(|org| org.id));
    orgs.sort_unstable();
    orgs.dedup();
    orgs
}
