//! What a caller reaches: the organisations whose unit lies in the subtree of one of the caller's managing roles and whose
//! line matches. Workers reach what is their own; that is asked in the query.

use chassis::{
    auth::{Caller, Role},
    topology::Topology,
};
use uuid::Uuid;

use crate::domain::OrgId;

/// Roles that manage workers day to day (S-3: station, street, or the department for its own officers).
const MANAGERS: [Role; 5] =
    [Role::StationHead, Role::StreetDispatcher, Role::StreetSupervisor, Role::StreetLeader, Role::DeptLeader];

/// Whether an organisation is within the caller's reach.
pub fn org(caller: &Caller, topology: &Topology, id: OrgId) -> bool {
    let Some(org) = topology.org(id.0) else { return false };
    let Some(path) = topology.path(org.unit_id) else { return false };
    MANAGERS.into_iter().any(|role| caller.reaches_as(role, &path, org.line.as_deref()))
}

/// All organisations within the caller's reach.
pub fn orgs(caller: &Caller, topology: &Topology) -> Vec<Uuid> {
    if !MANAGERS.into_iter().any(|role| caller.has(role)) {
        return Vec::new();
    }
    let mut ids: Vec<Uuid> =
        topology.orgs().map(|o| o.id).filter(|id| org(caller, topology, OrgId(*id))).collect();
    ids.sort_unstable();
    ids
}
