//! The one place where what the domain tells becomes what the other services hear.

mod application;
mod envelope;

use calendar::TimeUnit;
use chassis::{event::Emit, proto::case_routing::v1 as pb};

pub use self::envelope::facts;
use self::envelope::{Addressed, at, text, version};
use crate::{
    codes::{callback_outcome, clock_kind, dispatch_mode, limit_unit, resolution, task_part, urgency},
    domain::{DomainEvent as E, Emitted, Suggestion},
};

/// The event to be sent.
pub fn emit(told: &Emitted) -> Emit {
    let case_id = told.case_id.to_string();
    let facts = Some(facts(&told.facts));
    let to = Addressed::new(told);
    message(to, case_id, facts)
}

/// Seconds, and the unit that they are counted by.
fn elapsed(time: Option<(i64, TimeUnit)>) -> (i64, i32) {
    time.map_or((0, 0), |(seconds, unit)| (seconds, limit_unit(unit).into()))
}

/// One arm per event, so that a new one fails to compile until it is told.
fn message(to: Addressed<'_>, case_id: String, facts: Option<pb::CaseFacts>) -> Emit {
    match &to.told.event {
        E::CaseRegistered { accept_due_at } => {
            let (accept_due_time, anonymous) = (at(*accept_due_at), to.told.facts.anonymous);
            to.send(&pb::CaseRegistered { case_id, facts, accept_due_time, anonymous })
        }
        E::CaseAccepted { in_time, by_silence } => {
            let (in_time, by_silence) = (*in_time, *by_silence);
            to.send(&pb::CaseAccepted { case_id, facts, in_time, by_silence })
        }
        E::CaseDeclined { reason_code, in_time } => {
            let (reason_code, in_time) = (reason_code.clone(), *in_time);
            to.send(&pb::CaseDeclined { case_id, facts, reason_code, in_time })
        }
        E::CaseSupplementRequested { material_codes, supplement_due_at, in_time } => {
            let message = pb::CaseSupplementRequested {
                case_id,
                facts,
                material_codes: material_codes.clone(),
                supplement_due_time: at(*supplement_due_at),
                in_time: *in_time,
            };
            to.send(&message)
        }
        E::CaseSupplemented {} => to.send(&pb::CaseSupplemented { case_id, facts }),
        E::CaseMerged { into_case_id, in_time } => {
            let (into_case_id, in_time) = (into_case_id.to_string(), *in_time);
            to.send(&pb::CaseMerged { case_id, facts, into_case_id, in_time })
        }
        E::CaseUnmerged {} => to.send(&pb::CaseUnmerged { case_id, facts }),
        E::CaseHandedOff { line_code, in_time } => {
            let (line_code, in_time) = (line_code.clone(), *in_time);
            to.send(&pb::CaseHandedOff { case_id, facts, line_code, in_time })
        }
        E::CaseReturnedFromReferral { line_code } => {
            let line_code = line_code.clone();
            to.send(&pb::CaseReturnedFromReferral { case_id, facts, line_code })
        }
        E::CaseAnswered { in_time, process, done_in_time, elapsed_total } => {
            let (elapsed_total_seconds, elapsed_total_unit) = elapsed(*elapsed_total);
            let message = pb::CaseAnswered {
                case_id,
                facts,
                in_time: *in_time,
                done_in_time: Some(*done_in_time),
                elapsed_total_seconds,
                elapsed_total_unit,
                process_version: process.clone(),
            };
            to.send(&message)
        }
        E::Application { news } => application::message(to, news, case_id, facts),
        E::CaseSolvedOnSpot { in_time, sampled } => {
            let (in_time, sampled) = (*in_time, *sampled);
            to.send(&pb::CaseSolvedOnSpot { case_id, facts, in_time, sampled })
        }
        E::CaseLinkedToTopic { topic_case_id } => {
            let topic_case_id = topic_case_id.to_string();
            to.send(&pb::CaseLinkedToTopic { case_id, facts, topic_case_id })
        }
        E::CaseTriaged { decision } => {
            let suggestion = decision.as_ref().map(|decision| &decision.suggestion);
            let message = pb::CaseTriaged {
                case_id,
                facts,
                model_version: suggestion.map_or(0, |suggestion| suggestion.model),
                suggested_item_code: text(suggestion.map(Suggestion::first)),
                suggestion_permille: suggestion.map_or(0, |suggestion| suggestion.permille.into()),
                by_machine: decision.as_ref().is_some_and(|decision| !decision.by_human),
            };
            to.send(&message)
        }
        E::CasePlaceFollowed {} => to.send(&pb::CasePlaceFollowed { case_id, facts }),
        E::CaseDispatched { task_id, lead_org_id, sender_org_id, mode, first, in_time, process } => {
            let message = pb::CaseDispatched {
                case_id,
                facts,
                task_id: task_id.to_string(),
                lead_org_id: lead_org_id.to_string(),
                sender_org_id: sender_org_id.to_string(),
                mode: dispatch_mode(*mode).into(),
                first: *first,
                in_time: *in_time,
                process_version: process.clone(),
            };
            to.send(&message)
        }
        E::CaseRedispatched { task_id, lead_org_id, sender_org_id, mode, lead_changed } => {
            let message = pb::CaseRedispatched {
                case_id,
                facts,
                task_id: task_id.to_string(),
                lead_org_id: lead_org_id.to_string(),
                sender_org_id: sender_org_id.to_string(),
                mode: dispatch_mode(*mode).into(),
                lead_changed: *lead_changed,
            };
            to.send(&message)
        }
        E::CaseRecalled { reason_code } => {
            let reason_code = reason_code.clone();
            to.send(&pb::CaseRecalled { case_id, facts, reason_code })
        }
        E::CaseContacted { in_time } => {
            let in_time = *in_time;
            to.send(&pb::CaseContacted { case_id, facts, in_time })
        }
        E::CaseSuspended { cause_code, resume_at } => {
            let (cause_code, resume_time) = (cause_code.clone(), resume_at.and_then(at));
            to.send(&pb::CaseSuspended { case_id, facts, cause_code, resume_time })
        }
        E::CaseResumed {} => to.send(&pb::CaseResumed { case_id, facts }),
        E::CaseExtended { reason_code, resolve_due_at } => {
            let (reason_code, resolve_due_time) = (reason_code.clone(), at(*resolve_due_at));
            to.send(&pb::CaseExtended { case_id, facts, reason_code, resolve_due_time })
        }
        E::CaseCompleted {
            task_id,
            offer_id,
            in_time,
            completed_at,
            elapsed_seconds,
            elapsed_unit,
            elapsed_total,
            callback_due,
        } => {
            let (elapsed_total_seconds, elapsed_total_unit) = elapsed(*elapsed_total);
            let message = pb::CaseCompleted {
                case_id,
                facts,
                task_id: task_id.to_string(),
                offer_id: text(*offer_id),
                in_time: *in_time,
                completed_time: at(*completed_at),
                elapsed_seconds: *elapsed_seconds,
                callback_due: *callback_due,
                elapsed_unit: elapsed_unit.map_or(0, |unit| limit_unit(unit).into()),
                elapsed_total_seconds,
                elapsed_total_unit,
            };
            to.send(&message)
        }
        E::CaseReworkOrdered { task_id, offer_id, reason_code, rework_due_at } => {
            let message = pb::CaseReworkOrdered {
                case_id,
                facts,
                task_id: text(*task_id),
                offer_id: text(*offer_id),
                reason_code: reason_code.clone(),
                rework_due_time: rework_due_at.and_then(at),
            };
            to.send(&message)
        }
        E::CaseClosed { closed_at, rated, offer_id } => {
            let (closed_time, rated, offer_id) = (at(*closed_at), *rated, text(*offer_id));
            to.send(&pb::CaseClosed { case_id, facts, closed_time, rated, offer_id })
        }
        E::CaseReopened { reason_code } => {
            let reason_code = reason_code.clone();
            to.send(&pb::CaseReopened { case_id, facts, reason_code })
        }
        E::CaseWithdrawn { reason_code, offer_id } => {
            let (reason_code, offer_id) = (reason_code.clone(), text(*offer_id));
            to.send(&pb::CaseWithdrawn { case_id, facts, reason_code, offer_id })
        }
        E::CaseArchived {} => to.send(&pb::CaseArchived { case_id, facts }),
        E::VerificationStarted { verifier_org_id, verify_due_at } => {
            let (verifier_org_id, verify_due_time) = (verifier_org_id.to_string(), at(*verify_due_at));
            to.send(&pb::VerificationStarted { case_id, facts, verifier_org_id, verify_due_time })
        }
        E::CaseVerified {
            verifier_org_id,
            resolution: found,
            callback,
            callback_grade,
            contact_confirmed,
            callback_resolution,
            verified_at,
            rating_due_at,
        } => {
            let message = pb::CaseVerified {
                case_id,
                facts,
                verifier_org_id: verifier_org_id.to_string(),
                resolution: resolution(*found).into(),
                callback: callback_outcome(*callback).into(),
                callback_grade: callback_grade.map_or(0, i32::from),
                contact_confirmed: *contact_confirmed,
                callback_resolution: callback_resolution.map_or(0, |said| resolution(said).into()),
                verified_time: at(*verified_at),
                rating_due_time: at(*rating_due_at),
            };
            to.send(&message)
        }
        E::ClockWarned { clock, task_id, org_id, unit_id, percent, due_at } => {
            let message = pb::ClockWarned {
                case_id,
                facts,
                clock: clock_kind(*clock).into(),
                task_id: text(*task_id),
                percent: i32::from(*percent),
                due_time: at(*due_at),
                org_id: org_id.to_string(),
                unit_id: text(*unit_id),
            };
            to.send(&message)
        }
        E::ClockBreached { clock, task_id, due_at } => {
            let (clock, task_id, due_time) = (clock_kind(*clock).into(), text(*task_id), at(*due_at));
            to.send(&pb::ClockBreached { case_id, facts, clock, task_id, due_time })
        }
        E::ClockMoved { clock, task_id, offer_id, due_before_at, due_at, calendar_version } => {
            let message = pb::ClockMoved {
                case_id,
                facts,
                clock: clock_kind(*clock).into(),
                task_id: text(*task_id),
                offer_id: text(*offer_id),
                due_before_time: at(*due_before_at),
                due_time: at(*due_at),
                calendar_version: version(*calendar_version),
            };
            to.send(&message)
        }
        E::RatingReceived { grade, org_id, anonymous, on_behalf } => {
            let (grade, org_id, anonymous, on_behalf) =
                (i32::from(*grade), text(*org_id), *anonymous, *on_behalf);
            to.send(&pb::RatingReceived { case_id, facts, grade, org_id, anonymous, on_behalf })
        }
        E::RatingJudged { grade, valid, callback } => {
            let (grade, valid) = (i32::from(*grade), *valid);
            let callback = callback.map_or(0, |outcome| callback_outcome(outcome).into());
            to.send(&pb::RatingJudged { case_id, facts, grade, valid, callback })
        }
        E::RatingRectified { in_time, callback } => {
            let callback = callback.map_or(0, |outcome| callback_outcome(outcome).into());
            to.send(&pb::RatingRectified { case_id, facts, in_time: *in_time, callback })
        }
        E::CaseOffered { offer_id, partner_org_id, mode, offer_due_at, skill_codes, in_time, process } => {
            let message = pb::CaseOffered {
                case_id,
                facts,
                offer_id: offer_id.to_string(),
                partner_org_id: partner_org_id.to_string(),
                mode: dispatch_mode(*mode).into(),
                offer_due_time: at(*offer_due_at),
                skill_codes: skill_codes.clone(),
                in_time: *in_time,
                process_version: process.clone(),
            };
            to.send(&message)
        }
        E::CaseOfferConfirmed { offer_id, task_id, partner_org_id, mode } => {
            let message = pb::CaseOfferConfirmed {
                case_id,
                facts,
                offer_id: offer_id.to_string(),
                task_id: task_id.to_string(),
                partner_org_id: partner_org_id.to_string(),
                mode: dispatch_mode(*mode).into(),
            };
            to.send(&message)
        }
        E::CaseOfferWithdrawn { offer_id, partner_org_id, reason_code } => {
            let message = pb::CaseOfferWithdrawn {
                case_id,
                facts,
                offer_id: offer_id.to_string(),
                partner_org_id: partner_org_id.to_string(),
                reason_code: reason_code.clone(),
            };
            to.send(&message)
        }
        E::CaseReturnedFromSociety { offer_id, partner_org_id, reason_code } => {
            let message = pb::CaseReturnedFromSociety {
                case_id,
                facts,
                offer_id: offer_id.to_string(),
                partner_org_id: partner_org_id.to_string(),
                reason_code: reason_code.clone(),
            };
            to.send(&message)
        }
        E::SupervisionIssued { supervision_id, task_id, level, reason_code, due_at } => {
            let message = pb::SupervisionIssued {
                case_id,
                facts,
                supervision_id: supervision_id.to_string(),
                task_id: text(*task_id),
                level: i32::from(*level),
                reason_code: reason_code.clone(),
                due_time: at(*due_at),
            };
            to.send(&message)
        }
        E::SupervisionAcknowledged { supervision_id } => {
            let supervision_id = supervision_id.to_string();
            to.send(&pb::SupervisionAcknowledged { case_id, facts, supervision_id })
        }
        E::SupervisionAnswered { supervision_id, in_time } => {
            let (supervision_id, in_time) = (supervision_id.to_string(), *in_time);
            to.send(&pb::SupervisionAnswered { case_id, facts, supervision_id, in_time })
        }
        E::SupervisionEscalated { supervision_id, level } => {
            let (supervision_id, level) = (supervision_id.to_string(), i32::from(*level));
            to.send(&pb::SupervisionEscalated { case_id, facts, supervision_id, level })
        }
        E::SupervisionCleared { supervision_id } => {
            let supervision_id = supervision_id.to_string();
            to.send(&pb::SupervisionCleared { case_id, facts, supervision_id })
        }
        E::SupervisionMoved { supervision_id, rises, due_before_at, due_at, calendar_version } => {
            let message = pb::SupervisionMoved {
                case_id,
                facts,
                supervision_id: supervision_id.to_string(),
                rises: *rises,
                due_before_time: at(*due_before_at),
                due_time: at(*due_at),
                calendar_version: version(*calendar_version),
            };
            to.send(&message)
        }
        E::TaskIssued { task_id, part, mode, org_id, unit_id, sign_due_at, due_at } => {
            let message = pb::TaskIssued {
                case_id,
                task_id: task_id.to_string(),
                facts,
                part: task_part(*part).into(),
                mode: dispatch_mode(*mode).into(),
                org_id: org_id.to_string(),
                unit_id: unit_id.to_string(),
                sign_due_time: sign_due_at.and_then(at),
                due_time: due_at.and_then(at),
            };
            let task = *task_id;
            to.task(task).send(&message)
        }
        E::TaskSigned {
            task_id,
            part,
            mode,
            org_id,
            unit_id,
            skill_codes,
            due_at,
            in_time,
            urgency: how,
            workers_wanted,
        } => {
            let message = pb::TaskSigned {
                case_id,
                task_id: task_id.to_string(),
                facts,
                part: task_part(*part).into(),
                mode: dispatch_mode(*mode).into(),
                org_id: org_id.to_string(),
                unit_id: unit_id.to_string(),
                skill_codes: skill_codes.clone(),
                due_time: due_at.and_then(at),
                in_time: *in_time,
                urgency: urgency(*how).into(),
                workers_wanted: i32::from(*workers_wanted),
            };
            let task = *task_id;
            to.task(task).send(&message)
        }
        E::TaskObjected { task_id, org_id, ground_code, suggested_org_id } => {
            let message = pb::TaskObjected {
                case_id,
                task_id: task_id.to_string(),
                facts,
                org_id: org_id.to_string(),
                ground_code: ground_code.clone(),
                suggested_org_id: text(*suggested_org_id),
            };
            let task = *task_id;
            to.task(task).send(&message)
        }
        E::TaskObjectionRejected { task_id: task, org_id, reason_code } => {
            let (task, org_id, reason_code) = (*task, org_id.to_string(), reason_code.clone());
            let task_id = task.to_string();
            to.task(task).send(&pb::TaskObjectionRejected { case_id, task_id, facts, org_id, reason_code })
        }
        E::TaskCancelled { task_id: task, org_id, reason_code } => {
            let (task, org_id, reason_code) = (*task, org_id.to_string(), reason_code.clone());
            let task_id = task.to_string();
            to.task(task).send(&pb::TaskCancelled { case_id, task_id, facts, org_id, reason_code })
        }
        E::AdmissionRefusedByCommunity { task_id: task, org_id, sender_org_id, part, reason_code } => {
            let message = pb::AdmissionRefusedByCommunity {
                case_id,
                facts,
                task_id: task.to_string(),
                org_id: org_id.to_string(),
                sender_org_id: sender_org_id.to_string(),
                part: task_part(*part).into(),
                reason_code: reason_code.clone(),
            };
            to.task(*task).send(&message)
        }
        E::TaskDeclined { task_id: task, org_id, reason_code } => {
            let (task, org_id, reason_code) = (*task, org_id.to_string(), reason_code.clone());
            let task_id = task.to_string();
            to.task(task).send(&pb::TaskDeclined { case_id, task_id, facts, org_id, reason_code })
        }
        E::TaskSubmitted { task_id: task, part, org_id, in_time } => {
            let (task, org_id, in_time) = (*task, org_id.to_string(), *in_time);
            let (task_id, part) = (task.to_string(), task_part(*part).into());
            to.task(task).send(&pb::TaskSubmitted { case_id, task_id, facts, part, org_id, in_time })
        }
        E::TaskReturned { task_id: task, org_id, reason_code, due_at } => {
            let (task, org_id, reason_code) = (*task, org_id.to_string(), reason_code.clone());
            let (task_id, due_time) = (task.to_string(), due_at.and_then(at));
            to.task(task).send(&pb::TaskReturned { case_id, task_id, facts, org_id, reason_code, due_time })
        }
        E::TaskApproved { task_id: task, org_id } => {
            let (task, org_id) = (*task, org_id.to_string());
            let task_id = task.to_string();
            to.task(task).send(&pb::TaskApproved { case_id, task_id, facts, org_id })
        }
        E::CaseStageCompleted { task_id: task, stage_code, in_time, next_stage_code, next_due_at } => {
            let message = pb::CaseStageCompleted {
                case_id,
                facts,
                task_id: task.to_string(),
                stage_code: stage_code.clone(),
                in_time: *in_time,
                next_stage_code: next_stage_code.clone().unwrap_or_default(),
                next_due_time: next_due_at.and_then(at),
            };
            to.task(*task).send(&message)
        }
        E::TaskReported { task_id: task, org_id, in_time } => {
            let (task_id, org_id, in_time) = (task.to_string(), org_id.to_string(), *in_time);
            to.task(*task).send(&pb::TaskReported { case_id, task_id, facts, org_id, in_time })
        }
        E::TaskAppraised { task_id: task, org_id, by_sender, positive } => {
            let (task_id, org_id) = (task.to_string(), org_id.to_string());
            let (by_sender, positive) = (*by_sender, *positive);
            to.task(*task).send(&pb::TaskAppraised { case_id, task_id, facts, org_id, by_sender, positive })
        }
        E::ArbitrationPositionTaken { task_id: task, arbitration_id, org_id, lead_org_id } => {
            let (task_id, arbitration_id) = (task.to_string(), arbitration_id.to_string());
            let (org_id, lead_org_id) = (org_id.to_string(), lead_org_id.to_string());
            let message =
                pb::ArbitrationPositionTaken { case_id, task_id, facts, arbitration_id, org_id, lead_org_id };
            to.task(*task).send(&message)
        }
        E::ArbitrationReviewRequested {
            task_id,
            arbitration_id,
            org_id,
            reviewer_org_id,
            ground_code,
            review_due_at,
        } => {
            let message = pb::ArbitrationReviewRequested {
                case_id,
                task_id: task_id.to_string(),
                facts,
                arbitration_id: arbitration_id.to_string(),
                org_id: org_id.to_string(),
                reviewer_org_id: reviewer_org_id.to_string(),
                ground_code: ground_code.clone(),
                review_due_time: at(*review_due_at),
            };
            to.task(*task_id).send(&message)
        }
        E::ArbitrationOpened {
            task_id,
            arbitration_id,
            arbiter_org_id,
            party_org_ids,
            ground_code,
            consult_due_at,
        } => {
            let message = pb::ArbitrationOpened {
                case_id,
                task_id: task_id.to_string(),
                facts,
                arbitration_id: arbitration_id.to_string(),
                arbiter_org_id: arbiter_org_id.to_string(),
                party_org_ids: party_org_ids.iter().map(ToString::to_string).collect(),
                ground_code: ground_code.clone(),
                consult_due_time: at(*consult_due_at),
            };
            let task = *task_id;
            to.task(task).send(&message)
        }
        E::ArbitrationAgreed { task_id: task, arbitration_id, lead_org_id } => {
            let (task, lead_org_id) = (*task, lead_org_id.to_string());
            let (task_id, arbitration_id) = (task.to_string(), arbitration_id.to_string());
            let message = pb::ArbitrationAgreed { case_id, task_id, facts, arbitration_id, lead_org_id };
            to.task(task).send(&message)
        }
        E::ArbitrationRuled { task_id, arbitration_id, lead_org_id, objection_upheld, precedent } => {
            let message = pb::ArbitrationRuled {
                case_id,
                task_id: task_id.to_string(),
                facts,
                arbitration_id: arbitration_id.to_string(),
                lead_org_id: lead_org_id.to_string(),
                objection_upheld: *objection_upheld,
                precedent: *precedent,
            };
            let task = *task_id;
            to.task(task).send(&message)
        }
        E::ArbitrationFinal { task_id: task, arbitration_id } => {
            let (task, arbitration_id) = (*task, arbitration_id.to_string());
            let task_id = task.to_string();
            to.task(task).send(&pb::ArbitrationFinal { case_id, task_id, facts, arbitration_id })
        }
    }
}
