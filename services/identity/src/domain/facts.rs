//! Decisions as facts: domain values in their proto form and the events that tell them. Persons appear by id and
//! pseudonym only.

use chassis::{Timestamp, clock::to_proto, event::Emit};
use proto::identity::v1 as pb;

use super::{
    PersonId, SessionId, edge::AuthorityEdge, grant::RoleGrant, organization::Organization, unit::Unit,
};

impl From<&Unit> for pb::Unit {
    fn from(unit: &Unit) -> Self {
        Self {
            unit_id: unit.id.to_string(),
            code: unit.code.clone(),
            code_system: unit.code_system.clone(),
            code_year: unit.code_year,
            kind: unit.kind as i32,
            name_zh: unit.name_zh.clone(),
            name_en: unit.name_en.clone(),
            parent_id: unit.parent_id.map(|id| id.to_string()).unwrap_or_default(),
            state: unit.state as i32,
            valid_from: Some(to_proto(unit.valid_from)),
            valid_to: unit.valid_to.map(to_proto),
            version: unit.version,
            successor_id: unit.successor_id.map(|id| id.to_string()).unwrap_or_default(),
        }
    }
}

impl From<&Organization> for pb::Organization {
    fn from(org: &Organization) -> Self {
        Self {
            org_id: org.id.to_string(),
            code: org.code.clone(),
            kind: org.kind as i32,
            name_zh: org.name_zh.clone(),
            name_en: org.name_en.clone(),
            unit_id: org.unit_id.to_string(),
            line: org.line.clone().unwrap_or_default(),
            valid_from: Some(to_proto(org.valid_from)),
            valid_to: org.valid_to.map(to_proto),
            version: org.version,
        }
    }
}

impl From<&AuthorityEdge> for pb::AuthorityEdge {
    fn from(edge: &AuthorityEdge) -> Self {
        Self {
            edge_id: edge.id.to_string(),
            from_org_id: edge.from.to_string(),
            to_org_id: edge.to.to_string(),
            kind: edge.kind as i32,
            line: edge.line.clone().unwrap_or_default(),
            valid_from: Some(to_proto(edge.valid_from)),
            valid_to: edge.valid_to.map(to_proto),
            version: edge.version,
        }
    }
}

impl From<&RoleGrant> for pb::RoleGrant {
    fn from(grant: &RoleGrant) -> Self {
        Self {
            grant_id: grant.id.to_string(),
            person_id: grant.person_id.to_string(),
            role: grant.role as i32,
            unit_id: grant.unit_id.to_string(),
            line: grant.line.clone().unwrap_or_default(),
            org_id: grant.org_id.map(|id| id.to_string()).unwrap_or_default(),
            purposes: grant.purposes.iter().flatten().cloned().collect(),
            valid_from: Some(to_proto(grant.valid_from)),
            valid_to: grant.valid_to.map(to_proto),
            state: grant.state as i32,
            approved_by: grant.approved_by.iter().map(ToString::to_string).collect(),
        }
    }
}

/// `UnitChanged`.
pub fn unit_changed(unit: &Unit) -> Emit {
    let message = pb::UnitChanged { unit_id: unit.id.to_string(), unit: Some(unit.into()) };
    Emit::new(unit.id.0, unit.version, &message).unit(unit.id.0)
}

/// `UnitMerged`, told of the successor after its own `UnitChanged`.
pub fn unit_merged(successor: &Unit, merged: &[Unit]) -> Emit {
    let message = pb::UnitMerged {
        unit_id: successor.id.to_string(),
        from_unit_ids: merged.iter().map(|u| u.id.to_string()).collect(),
        effective_time: Some(to_proto(successor.valid_from)),
    };
    Emit::new(successor.id.0, successor.version, &message).unit(successor.id.0)
}

/// `OrganizationChanged`.
pub fn organization_changed(org: &Organization) -> Emit {
    let message = pb::OrganizationChanged { org_id: org.id.to_string(), organization: Some(org.into()) };
    Emit::new(org.id.0, org.version, &message).unit(org.unit_id.0).line(org.line.as_deref())
}

/// `AuthorityEdgeChanged`.
pub fn authority_edge_changed(edge: &AuthorityEdge) -> Emit {
    let message = pb::AuthorityEdgeChanged { edge_id: edge.id.to_string(), edge: Some(edge.into()) };
    Emit::new(edge.id.0, edge.version, &message).line(edge.line.as_deref())
}

/// `RoleGranted`, when the grant comes into force.
pub fn role_granted(grant: &RoleGrant, person_ref: &str) -> Emit {
    let message = pb::RoleGranted {
        person_id: grant.person_id.to_string(),
        grant_id: grant.id.to_string(),
        role: grant.role as i32,
        unit_id: grant.unit_id.to_string(),
        line: grant.line.clone().unwrap_or_default(),
        org_id: grant.org_id.map(|id| id.to_string()).unwrap_or_default(),
        person_ref: person_ref.to_owned(),
    };
    Emit::new(grant.person_id.0, grant.version, &message)
        .unit(grant.unit_id.0)
        .line(grant.line.as_deref())
        .subject(grant.id)
}

/// `RoleRevoked`: the grant was revoked or has run out; tokens issued before `tokens_before` (real time) are refused.
pub fn role_revoked(grant: &RoleGrant, tokens_before: Timestamp) -> Emit {
    let message = pb::RoleRevoked {
        person_id: grant.person_id.to_string(),
        grant_id: grant.id.to_string(),
        role: grant.role as i32,
        tokens_before_time: Some(to_proto(tokens_before)),
    };
    Emit::new(grant.person_id.0, grant.version, &message).unit(grant.unit_id.0).subject(grant.id)
}

/// `SessionRevoked`; `until` is when the session's last access token runs out (real time).
pub fn session_revoked(person: PersonId, session: SessionId, until: Timestamp) -> Emit {
    let message = pb::SessionRevoked {
        person_id: person.to_string(),
        session_id: session.to_string(),
        expire_time: Some(to_proto(until)),
    };
    Emit::new(person.0, 1, &message).subject(session)
}
