//! Role grants: role × unit subtree × line × purposes × time. A grant never exceeds its grantor's own (I-3), nobody is
//! two of the three administrators (I-4), a sensitive role needs two approvers and neither is the grantee.

use std::collections::BTreeSet;

use chassis::{Error, Result, Timestamp, auth::Role};
pub use proto::identity::v1::RoleGrantState;
use uuid::Uuid;

use super::{GrantId, OrgId, PersonId, UnitId, purpose, text};

/// Kind in errors.
pub const KIND: &str = "grant";

/// A grant.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleGrant {
    /// Its id.
    pub id: GrantId,
    /// Who holds it.
    pub person_id: PersonId,
    /// The role.
    pub role: Role,
    /// Root of the subtree.
    pub unit_id: UnitId,
    /// Only this line; none for every line.
    pub line: Option<String>,
    /// Organisation for which the role is held.
    pub org_id: Option<OrgId>,
    /// Only these purposes; none for every purpose of the role.
    pub purposes: Option<BTreeSet<String>>,
    /// In force from.
    pub valid_from: Timestamp,
    /// In force until.
    pub valid_to: Option<Timestamp>,
    /// State.
    pub state: RoleGrantState,
    /// Who approved, the grantor first.
    pub approved_by: Vec<PersonId>,
    /// Whether others have been told of it, as they are once it is in force.
    pub told: bool,
    /// Grows with every change.
    pub version: i64,
}

/// What a grant covers, with the path of its unit.
#[derive(Clone, Debug)]
pub struct Extent<'a> {
    /// Root → unit.
    pub path: &'a [Uuid],
    /// Line.
    pub line: Option<&'a str>,
    /// Purposes.
    pub purposes: Option<&'a BTreeSet<String>>,
    /// End.
    pub valid_to: Option<Timestamp>,
}

/// What becomes of a grant whose unit was merged.
#[derive(Clone, Debug, PartialEq)]
pub enum Rehomed {
    /// Nobody has acted on it yet: the same grant, at the successor.
    Moved(RoleGrant),
    /// It ends, and another goes on in its place at the successor.
    Followed {
        /// The old one.
        ended: RoleGrant,
        /// The one that goes on.
        next: RoleGrant,
    },
}

/// Roles that need a second approver: those who decide, pay, rule, or govern access.
pub fn is_sensitive(role: Role) -> bool {
    is_administrator(role)
        || matches!(
            role,
            Role::PrivacyOfficer
                | Role::ItOperator
                | Role::Arbiter
                | Role::StreetLeader
                | Role::DeptLeader
                | Role::ProcurementOfficer
                | Role::FinanceOfficer
                | Role::RolloutManager
                | Role::IntegrationClient
        )
}

/// Who gives the second approval of such a role.
pub fn approves(role: Role) -> bool {
    role == Role::SecurityAdmin
}

/// The three administrators (三员), pairwise exclusive.
pub fn is_administrator(role: Role) -> bool {
    matches!(role, Role::SystemAdmin | Role::SecurityAdmin | Role::AuditAdmin)
}

/// Roles that may be granted by a street leader: those of the own street, and never anything that governs access.
pub fn street_leader_may_grant(role: Role) -> bool {
    matches!(
        role,
        Role::Resident
            | Role::DoorwayHead
            | Role::CourtyardConvener
            | Role::ResidentGroupLeader
            | Role::CommitteeMember
            | Role::Mediator
            | Role::PartyOrgSecretary
            | Role::ServiceWorker
            | Role::AuxiliaryWorker
            | Role::GridWorker
            | Role::StationHead
            | Role::StreetDispatcher
            | Role::StreetSupervisor
            | Role::Volunteer
            | Role::VolunteerCoordinator
            | Role::OrgManager
    )
}

/// Whether `inner` lies within `outer` in unit, line, purpose and end.
pub fn within(inner: &Extent<'_>, outer: &Extent<'_>) -> bool {
    let place = reaches(outer, inner.path, inner.line);
    let purposes = match (outer.purposes, inner.purposes) {
        (None, _) => true,
        (Some(outer), Some(inner)) => inner.is_subset(outer),
        (Some(_), None) => false,
    };
    let end = match (outer.valid_to, inner.valid_to) {
        (None, _) => true,
        (Some(outer), Some(inner)) => inner <= outer,
        (Some(_), None) => false,
    };
    place && purposes && end
}

/// Whether `outer` reaches something that has a unit, by its path, and a line: an organisation, or a grant to be ended.
/// Whoever holds a role for an organisation acts for it wherever it works, so a grantor gives roles only for
/// organisations within the own grant (I-3).
pub fn reaches(outer: &Extent<'_>, path: &[Uuid], line: Option<&str>) -> bool {
    outer.path.last().is_some_and(|root| path.contains(root)) && (outer.line.is_none() || outer.line == line)
}

impl RoleGrant {
    /// The grant a request asks for, not yet approved by anyone.
    ///
    /// # Errors
    /// `Invalid` naming the field.
    pub fn requested(id: GrantId, from: &proto::identity::v1::RoleGrant, now: Timestamp) -> Result<Self> {
        let role = match Role::try_from(from.role) {
            Ok(Role::Unspecified) | Err(_) => return Err(Error::invalid("grant.role", "is not a role")),
            Ok(role) => role,
        };
        if let Some(unknown) = from.purposes.iter().find(|p| !purpose::is_known(p)) {
            let at = from.purposes.iter().position(|p| p == unknown).unwrap_or_default();
            return Err(Error::invalid(format!("grant.purposes[{at}]"), "is not a purpose"));
        }
        let instant = |field: &str, at: &Option<prost_types::Timestamp>| match at {
            None => Ok(None),
            Some(at) => chassis::clock::from_proto(at)
                .map(Some)
                .ok_or_else(|| Error::invalid(format!("grant.{field}"), "is not an instant")),
        };
        let valid_from = instant("valid_from", &from.valid_from)?.unwrap_or(now).max(now);
        let valid_to = instant("valid_to", &from.valid_to)?;
        if valid_to.is_some_and(|to| to <= valid_from) {
            return Err(Error::invalid("grant.valid_to", "must lie after the beginning and after now"));
        }
        Ok(Self {
            id,
            person_id: PersonId::parse("grant.person_id", &from.person_id)?,
            role,
            unit_id: UnitId::parse("grant.unit_id", &from.unit_id)?,
            line: text::line("grant.line", &from.line)?,
            org_id: OrgId::parse_opt("grant.org_id", &from.org_id)?,
            purposes: (!from.purposes.is_empty()).then(|| from.purposes.iter().cloned().collect()),
            valid_from,
            valid_to,
            state: RoleGrantState::Requested,
            approved_by: Vec::new(),
            told: false,
            version: 1,
        })
    }

    /// Approves the grant: active at the first approval, or at the second of a sensitive role. One that is in force
    /// then is told at once, one that begins later when it [begins](Self::begin).
    ///
    /// # Errors
    /// `Invalid` when the approver is the grantee, `WrongState` when the grant waits for nobody, has run out while it
    /// waited, or the approver has approved already.
    pub fn approve(mut self, by: PersonId, now: Timestamp) -> Result<Self> {
        if by == self.person_id {
            return Err(Error::invalid("grant_id", "nobody approves a grant to oneself"));
        }
        if self.state != RoleGrantState::Requested {
            return Err(Error::wrong_state(KIND, self.id, "does not wait for an approval"));
        }
        if self.valid_to.is_some_and(|to| to <= now) {
            return Err(Error::wrong_state(KIND, self.id, "has run out"));
        }
        if self.approved_by.contains(&by) {
            return Err(Error::wrong_state(KIND, self.id, "needs the approval of a second person"));
        }
        if !self.approved_by.is_empty() {
            self.version += 1;
        }
        self.approved_by.push(by);
        let needed = if is_sensitive(self.role) { 2 } else { 1 };
        if self.approved_by.len() >= needed {
            self.state = RoleGrantState::Active;
            self.told = self.in_force(now);
        }
        Ok(self)
    }

    /// Comes into force.
    ///
    /// # Errors
    /// `WrongState` when it is not in force at `now` or was told already.
    pub fn begin(self, now: Timestamp) -> Result<Self> {
        if self.told || !self.in_force(now) {
            return Err(Error::wrong_state(KIND, self.id, "does not begin now"));
        }
        Ok(Self { told: true, version: self.version + 1, ..self })
    }

    /// Revokes the grant.
    ///
    /// # Errors
    /// `WrongState` when it has ended already.
    pub fn revoke(self, now: Timestamp) -> Result<Self> {
        self.end(RoleGrantState::Revoked, now)
    }

    /// Moves the grant to the unit that its own was merged into; `id` is that of the grant that goes on, if it has
    /// begun: others know a grant by its id and take its unit for fixed.
    ///
    /// # Errors
    /// `WrongState` when it has ended already.
    pub fn rehome(self, id: GrantId, unit_id: UnitId, now: Timestamp) -> Result<Rehomed> {
        if !self.has_begun(now) {
            return Ok(Rehomed::Moved(Self { unit_id, version: self.version + 1, ..self }));
        }
        let next = Self { id, unit_id, valid_from: now, told: true, version: 1, ..self.clone() };
        Ok(Rehomed::Followed { ended: self.revoke(now)?, next })
    }

    /// Ends the grant when its time is over.
    ///
    /// # Errors
    /// `WrongState` when its time is not over.
    pub fn expire(self, now: Timestamp) -> Result<Self> {
        if self.valid_to.is_none_or(|to| to > now) {
            return Err(Error::wrong_state(KIND, self.id, "has not run out"));
        }
        self.end(RoleGrantState::Expired, now)
    }

    fn end(self, state: RoleGrantState, now: Timestamp) -> Result<Self> {
        match self.state {
            RoleGrantState::Requested | RoleGrantState::Active => {}
            _ => return Err(Error::wrong_state(KIND, self.id, "has ended already")),
        }
        // A grant that has not begun yet ends just after its beginning, never before it.
        let first = self.valid_from + chrono::TimeDelta::microseconds(1);
        let valid_to = Some(self.valid_to.map_or(now, |to| to.min(now)).max(first));
        Ok(Self { state, valid_to, version: self.version + 1, ..self })
    }

    /// Whether it was in force at some time up to `now`, so that tokens may carry it.
    pub fn has_begun(&self, now: Timestamp) -> bool {
        self.state == RoleGrantState::Active && self.valid_from <= now
    }

    /// Whether it is in force at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.state == RoleGrantState::Active
            && self.valid_from <= now
            && self.valid_to.is_none_or(|to| now < to)
    }
}

/// Whether a person with these grants (requested or active) may also have `role` (I-4). An administrator may
/// have the same role for a next term, which is granted before the present one has run out.
///
/// # Errors
/// `WrongState` when the person is one of the other two administrators.
pub fn check_exclusive(person: PersonId, role: Role, held: &[Role]) -> Result<()> {
    if is_administrator(role) && held.iter().any(|other| is_administrator(*other) && *other != role) {
        return Err(Error::wrong_state(
            super::personal::KIND,
            person,
            "is another administrator already: system, security and audit administrator exclude each other",
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
