//! Mediations as callers see them: parties by number, nothing of what was said.

use chassis::{Timestamp, clock::to_proto, proto::case_routing::v1 as pb};

use super::convert;
use crate::{
    codes::{agreement_kind, case_state, confirmation_state, mediation_origin, mediation_state, party_kind},
    domain::{
        Agreement, CaseState, Confirmation, Deadline, DeadlineKind, Mediation, MediationParty, MediationStep,
    },
};

fn at(instant: Timestamp) -> Option<prost_types::Timestamp> {
    Some(to_proto(instant))
}

fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// 1, 2, 3 … for each.
fn numbered<'a, T, R>(all: &'a [T], of: impl Fn(i32, &'a T) -> R) -> Vec<R> {
    (1..).zip(all).map(|(number, one)| of(number, one)).collect()
}

/// A mediation, and how its case stands.
pub fn mediation(mediation: &Mediation, state: CaseState, case_no: &str) -> pb::Mediation {
    let mediator = mediation.mediator.as_ref();
    pb::Mediation {
        mediation_id: mediation.id.to_string(),
        case_id: mediation.case_id.to_string(),
        etag: mediation.version.to_string(),
        state: mediation_state(mediation.state).into(),
        origin: mediation_origin(mediation.origin).into(),
        round: count(mediation.round),
        parties: numbered(&mediation.parties, party),
        mediator_ref: mediator.map(|mediator| mediator.person.to_string()).unwrap_or_default(),
        mediator_org_id: mediator.map(|mediator| mediator.org.to_string()).unwrap_or_default(),
        sessions: numbered(&mediation.sessions, |number, session| pb::MediationSession {
            number,
            held_time: at(session.held_at),
            has_notes: session.text_id.is_some(),
        }),
        agreement: mediation.agreement.as_ref().map(agreement),
        confirmation: mediation.confirmation.as_ref().map(confirmation),
        deadlines: mediation.deadlines.iter().map(deadline).collect(),
        escalations: mediation
            .escalations
            .iter()
            .map(|escalation| pb::MediationEscalation {
                reported_time: at(escalation.reported_at),
                ground_code: escalation.ground_code.clone(),
            })
            .collect(),
        remedy: mediation.remedy.as_ref().map(convert::reason),
        opened_time: at(mediation.opened_at),
        performed_time: mediation.performed_at.and_then(at),
        closed_time: mediation.closed_at.and_then(at),
        update_time: at(mediation.updated_at),
        steps: mediation.steps.iter().map(step).collect(),
        case_state: case_state(state).into(),
        case_no: case_no.to_owned(),
        evidence_refs: mediation.evidence.iter().map(|evidence| evidence.reference.clone()).collect(),
    }
}

/// What the readers of the case see of it.
pub fn summary(mediation: &Mediation) -> pb::MediationSummary {
    let agreement = mediation.agreement.as_ref();
    pb::MediationSummary {
        mediation_id: mediation.id.to_string(),
        state: mediation_state(mediation.state).into(),
        opened_time: at(mediation.opened_at),
        effective_time: agreement.and_then(|agreement| agreement.effective_at).and_then(at),
        performance_due_time: agreement.and_then(|agreement| agreement.performance_due_at).and_then(at),
        confirmation: mediation
            .confirmation
            .as_ref()
            .map_or(0, |confirmation| confirmation_state(confirmation.state).into()),
        closed_time: mediation.closed_at.and_then(at),
    }
}

fn party(number: i32, party: &MediationParty) -> pb::MediationParty {
    pb::MediationParty {
        number,
        kind: party_kind(party.kind).into(),
        org_id: party.org.map(|org| org.to_string()).unwrap_or_default(),
        consented_time: party.consented_at.and_then(at),
        signed_time: party.signed_at.and_then(at),
    }
}

fn agreement(agreement: &Agreement) -> pb::MediationAgreement {
    pb::MediationAgreement {
        kind: agreement_kind(agreement.kind).into(),
        agreed_time: at(agreement.agreed_at),
        effective_time: agreement.effective_at.and_then(at),
        performance_due_time: agreement.performance_due_at.and_then(at),
        sealed: agreement.sealed_at.is_some(),
    }
}

fn confirmation(confirmation: &Confirmation) -> pb::JudicialConfirmation {
    pb::JudicialConfirmation {
        state: confirmation_state(confirmation.state).into(),
        requested_time: at(confirmation.requested_at),
        accepted_time: confirmation.accepted_at.and_then(at),
        decided_time: confirmation.decided_at.and_then(at),
        extended: confirmation.extended,
        court_ref: confirmation.court_ref.clone().unwrap_or_default(),
    }
}

fn deadline(deadline: &Deadline) -> pb::MediationDeadline {
    use pb::MediationDeadlineKind as Kind;
    let kind = match deadline.kind {
        DeadlineKind::Talks => Kind::Talks,
        DeadlineKind::RequestConfirmation => Kind::RequestConfirmation,
        DeadlineKind::CourtAccepts => Kind::CourtAccepts,
        DeadlineKind::CourtDecides => Kind::CourtDecides,
        DeadlineKind::Performance => Kind::Performance,
        DeadlineKind::FollowUp => Kind::FollowUp,
    };
    pb::MediationDeadline {
        kind: kind.into(),
        due_time: at(deadline.due_at),
        met_time: deadline.met_at.and_then(at),
        passed: deadline.passed_at.is_some(),
        provisional: deadline.provisional,
        calendar_version: match deadline.calendar_version {
            0 => String::new(),
            version => version.to_string(),
        },
    }
}

fn step(step: &MediationStep) -> pb::MediationStep {
    pb::MediationStep {
        mediation_version: step.version,
        step: step.step.clone(),
        state: mediation_state(step.state).into(),
        actor_ref: step.actor.to_string(),
        org_id: step.org.map(|org| org.to_string()).unwrap_or_default(),
        event_time: at(step.at),
        party_number: step.party.map_or(0, count),
        reason: step.reason.as_ref().map(convert::reason),
    }
}
