//! A community sends back what was not admitted: a department's item for which neither a transfer in effect nor an
//! admission in force nor the lists themselves give it a part.

use super::case::Case;
use super::codes::{CaseState, ListPart, TaskPart, TaskState, Urgency};
use super::condition::Facts;
use super::error::{DomainError, Result};
use super::event::{DomainEvent, Timestamp};
use super::ids::{OrgId, TaskId, UnitId};
use super::item::ServiceItem;
use super::reason::Reason;
use super::router::means;
use super::state::Trigger;
use super::table::RoutingTable;
use super::work::{Act, Decision, Work, check_code};

impl RoutingTable {
    /// Whether an organisation may be given a part in an item at all. Only communities can be given what is not theirs, and
    /// only of a department.
    #[must_use]
    pub fn admits(
        &self,
        item: &ServiceItem,
        org: OrgId,
        part: TaskPart,
        place: &[UnitId],
        about: (Urgency, Facts),
        at: Timestamp,
    ) -> bool {
        let Some(org) = self.org(org).filter(|org| item.department_item && org.kind.is_community_level())
        else {
            return true;
        };
        let mut own = self
            .list_at(place, at)
            .about(&item.code, org.unit)
            .filter(|entry| entry.in_force(at) && means(&entry.holder, org))
            .filter(|entry| self.applies(entry, place, Some(about), at));
        own.any(|entry| match (part, entry.part) {
            (_, ListPart::StatutoryDuty) => true,
            (TaskPart::Lead, ListPart::Lead) => entry.transfer_ref.is_some(),
            (TaskPart::Lead, _) | (TaskPart::Assist, ListPart::Negative) => false,
            (TaskPart::Assist, _) => true,
        })
    }
}

impl Case {
    /// The community sends a task back before work on it begins. The lead's case is routed afresh without it; an assist ends
    /// alone, and the community gets no other part in the case.
    ///
    /// # Errors
    /// `WrongState`; `NotEntitled` for another organisation; `Guard` `admitted` for work that is, `task_state` once work has
    /// begun.
    pub fn refuse_unadmitted(self, task_id: TaskId, reason_code: &str, act: &Act<'_>) -> Result<Decision> {
        let mut work = Work::begin(self, act);
        work.permit(Trigger::RefuseUnadmittedAssist)
            .map_err(|_| work.wrong_state(Trigger::RefuseUnadmitted))?;
        check_code("reason_code", reason_code)?;
        let task = work.case.task(task_id)?.clone();
        work.acts_for(task.org, "task_org")?;
        if task.part == TaskPart::Lead {
            work.permit(Trigger::RefuseUnadmitted)?;
        }
        let place = &work.case.place.path;
        let about = (work.case.urgency, work.case.condition_facts());
        let admitted = work
            .item()
            .is_none_or(|item| work.routes.admits(item, task.org, task.part, place, about, work.now));
        if admitted {
            return Err(DomainError::guard("admitted", "the work is the community's, by the lists in force"));
        }
        work.move_task(task_id, TaskState::Declined)?;
        work.stop_task_clocks(task_id);
        work.clear_supervisions(|supervision| supervision.task == Some(task_id));
        work.exclude(task.org);
        let told = DomainEvent::AdmissionRefusedByCommunity {
            task_id,
            org_id: task.org,
            sender_org_id: task.sender,
            part: task.part,
            reason_code: reason_code.to_owned(),
        };
        let reason = Some(Reason::new(reason_code));
        if task.part == TaskPart::Assist {
            work.stay(Trigger::RefuseUnadmittedAssist)?;
            work.emit(told, reason, Some(task_id));
            work.complete_for_partner()?;
            return Ok(work.finish());
        }
        work.release_lead();
        work.enter(CaseState::Triaged, Trigger::RefuseUnadmitted)?;
        work.emit(told, reason, Some(task_id));
        work.cancel_with_lead("lead_declined")?;
        work.reroute()?;
        Ok(work.finish())
    }
}
