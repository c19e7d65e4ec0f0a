//! Facts of the domain as events of the contract. Ids, codes, quantities and times only.

use chassis::{clock::to_proto, event::Emit};
use proto::staffing::v1::{
    AssignmentAccepted, AssignmentCancelled, AssignmentConfirmed, AssignmentDeclined, AssignmentDone,
    AssignmentOffered, AssignmentOnSite, AssignmentUnfilled,
};

use crate::domain::{Assignment, Fact, Task};

/// The event that tells of a change of an assignment; its key is the case, so that it keeps its order with the case's.
pub fn of(a: &Assignment, fact: &Fact) -> Emit {
    let (case_id, task_id, assignment_id) = (a.case_id.to_string(), a.task_id.to_string(), a.id.to_string());
    let (org_id, worker_ref) = (a.org_id.to_string(), a.worker_ref.clone());
    let (key, version) = (a.case_id.0, a.version);
    let emit = match fact {
        Fact::Offered => {
            let offer_due_time = Some(to_proto(a.offer_due_at));
            let event =
                AssignmentOffered { case_id, task_id, assignment_id, org_id, worker_ref, offer_due_time };
            Emit::new(key, version, &event)
        }
        Fact::Accepted => Emit::new(
            key,
            version,
            &AssignmentAccepted { case_id, task_id, assignment_id, org_id, worker_ref },
        ),
        Fact::Declined { timed_out } => {
            let timed_out = *timed_out;
            let event = AssignmentDeclined { case_id, task_id, assignment_id, org_id, worker_ref, timed_out };
            Emit::new(key, version, &event)
        }
        Fact::OnSite => {
            Emit::new(key, version, &AssignmentOnSite { case_id, task_id, assignment_id, org_id, worker_ref })
        }
        Fact::Done => {
            let evidence_count = i32::try_from(a.evidence.len()).unwrap_or(i32::MAX);
            let minutes = a.minutes;
            let event = AssignmentDone {
                case_id,
                task_id,
                assignment_id,
                org_id,
                worker_ref,
                minutes,
                evidence_count,
            };
            Emit::new(key, version, &event)
        }
        Fact::Cancelled => {
            let reason_code = a.end_reason.clone();
            let event =
                AssignmentCancelled { case_id, task_id, assignment_id, org_id, worker_ref, reason_code };
            Emit::new(key, version, &event)
        }
        Fact::Confirmed => {
            let minutes = a.minutes;
            let event = AssignmentConfirmed { case_id, task_id, assignment_id, org_id, worker_ref, minutes };
            Emit::new(key, version, &event)
        }
    };
    emit.unit(a.unit_id.0).line(a.line.as_deref()).subject(a.id)
}

/// Nobody could be found for a task.
pub fn unfilled(task: &Task, reason_code: &str) -> Emit {
    let event = AssignmentUnfilled {
        case_id: task.case_id.to_string(),
        task_id: task.id.to_string(),
        org_id: task.org_id.to_string(),
        reason_code: reason_code.to_owned(),
    };
    Emit::new(task.case_id.0, task.version, &event)
        .unit(task.unit_id.0)
        .line(task.line.as_deref())
        .subject(task.id)
}
