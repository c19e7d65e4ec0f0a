//! What the domain tells of mediations becomes what the other services hear. The key is the case, so that they keep their
//! order with it; the version is the mediation's.

use chassis::{
    clock::to_proto,
    event::Emit,
    proto::{EventMessage, case_routing::v1 as pb},
};

use crate::{
    codes::{agreement_kind, mediation_origin, mediation_state},
    domain::{Case, Mediation, MediationEvent as E},
};

/// The event to be sent.
pub fn emit(mediation: &Mediation, case: &Case, version: i64, event: &E) -> Emit {
    let (case_id, mediation_id) = (case.id.to_string(), mediation.id.to_string());
    let to = Addressed { mediation, case, version };
    match event {
        E::MediationOpened { origin, party_count, round } => to.send(&pb::MediationOpened {
            case_id,
            mediation_id,
            origin: mediation_origin(*origin).into(),
            place_unit_id: case.place.unit.to_string(),
            item_code: case.item.as_ref().map(|item| item.code.clone()).unwrap_or_default(),
            party_count: count(*party_count),
            round: count(*round),
            line: case.item.as_ref().and_then(|item| item.line.clone()).unwrap_or_default(),
        }),
        E::MediationAgreed {
            kind,
            mediator_org,
            mediator_unit,
            within_community,
            performance_due_at,
            days,
            session_count,
            round,
        } => to.send(&pb::MediationAgreed {
            case_id,
            mediation_id,
            kind: agreement_kind(*kind).into(),
            mediator_org_id: mediator_org.to_string(),
            mediator_unit_id: mediator_unit.map(|unit| unit.to_string()).unwrap_or_default(),
            within_community: *within_community,
            performance_due_time: performance_due_at.map(to_proto),
            days: count(*days),
            session_count: count(*session_count),
            round: count(*round),
        }),
        E::MediationPerformed { in_time, days } => {
            let (in_time, days) = (*in_time, count(*days));
            to.send(&pb::MediationPerformed { case_id, mediation_id, in_time, days })
        }
        E::MediationBreached { reason_code, confirmed, days } => to.send(&pb::MediationBreached {
            case_id,
            mediation_id,
            reason_code: reason_code.clone(),
            confirmed: *confirmed,
            days: count(*days),
        }),
        E::MediationFailed { outcome, reason_code, days, session_count } => to.send(&pb::MediationFailed {
            case_id,
            mediation_id,
            outcome: mediation_state(*outcome).into(),
            reason_code: reason_code.clone(),
            days: count(*days),
            session_count: count(*session_count),
        }),
        E::MediationEscalationReported { ground_code, state } => {
            let (ground_code, state) = (ground_code.clone(), mediation_state(*state).into());
            to.send(&pb::MediationEscalationReported { case_id, mediation_id, ground_code, state })
        }
    }
}

fn count(n: u32) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Puts a message into its envelope.
struct Addressed<'a> {
    mediation: &'a Mediation,
    case: &'a Case,
    version: i64,
}

impl Addressed<'_> {
    fn send<M: EventMessage>(self, message: &M) -> Emit {
        let line = self.case.item.as_ref().and_then(|item| item.line.as_deref());
        Emit::new(self.case.id.0, self.version, message)
            .unit(self.case.place.unit.0)
            .line(line)
            .subject(self.mediation.id)
    }
}
