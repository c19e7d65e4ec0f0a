//! Who is calling and what they may do. The layer authenticates and permits before a handler runs; a handler then
//! asks [`Caller`] for the reach. Each service checks for itself: being behind the gateway is no credential.

mod gate;
mod keys;
mod policy;
mod revocation;
mod service_token;
mod token;

use std::fmt;

pub use proto::auth::v1::Role;
use uuid::Uuid;

pub use self::{
    gate::Gate,
    keys::{FetchKeys, KeySource, Signer, jwks, public_jwk},
    policy::{Access, Policy, PolicyTable},
    revocation::{Revocations, Revoked},
    service_token::ServiceToken,
    token::{AUDIENCE, Claims, Grant, GrantClaim, TokenKind, Verified, Verifier},
};
pub(crate) use self::{keys::RENEW_EVERY, revocation::LINGER};
use crate::error::{Error, Result};

/// A caller, already authenticated and permitted for this RPC.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// Subject of the token.
    pub person_id: Uuid,
    /// Pseudonym, for events and timelines.
    pub actor_ref: String,
    /// Organisation the caller acts for.
    pub org_id: Option<Uuid>,
    /// Session of the token.
    pub session_id: Uuid,
    /// Only the grants whose role this RPC's policy allows.
    pub scopes: Vec<Scope>,
    /// Every organisation that the token names, also by a grant that this RPC does not allow. Nothing is reached by it: it says
    /// whose work is the caller's own, for what nobody may do about their own work.
    pub held_orgs: Vec<Uuid>,
    /// Processing purpose of this RPC, from its policy.
    pub purpose: String,
    /// The roles of `scopes`.
    pub roles: RoleSet,
    /// A person, a service, or this service itself.
    pub kind: CallerKind,
}

/// What a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    /// A person with grants.
    Person,
    /// Another service, by its service token.
    Service,
    /// This service: its consumers and timers.
    System,
}

/// One grant: a role over a unit and everything below it, on one line or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The role.
    pub role: Role,
    /// Root of the granted subtree.
    pub unit_id: Uuid,
    /// Only this line of work; `None` means every line.
    pub line: Option<String>,
    /// Organisation for which the role is held.
    pub org_id: Option<Uuid>,
}

impl Caller {
    /// The caller of a request.
    ///
    /// # Errors
    /// `Unauthenticated` for a public RPC, which has no caller.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self> {
        request.extensions().get::<Self>().cloned().ok_or(Error::Unauthenticated)
    }

    /// The service itself, for consumers and timers. It reaches everything in its own database.
    pub fn system(service: &str) -> Self {
        Self {
            person_id: service_id(service),
            actor_ref: format!("service:{service}"),
            org_id: None,
            session_id: Uuid::nil(),
            scopes: Vec::new(),
            held_orgs: Vec::new(),
            purpose: "system".to_owned(),
            roles: RoleSet::default(),
            kind: CallerKind::System,
        }
    }

    /// Whether one of the scopes has this role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(role)
    }

    /// Whether the caller only ever sees what is their own: a resident or volunteer with no other role here.
    pub fn is_self_only(&self) -> bool {
        self.kind == CallerKind::Person && self.scopes.iter().all(|scope| is_self_role(scope.role))
    }

    /// Whether a scope covers a unit, given its path from the root, and a line. A thing without a line is reached by
    /// all-line scopes only. Resident and volunteer grants reach nothing of others.
    pub fn reaches(&self, path: &[Uuid], line: Option<&str>) -> bool {
        self.kind != CallerKind::Person
            || self.scopes.iter().any(|scope| {
                !is_self_role(scope.role) && path.contains(&scope.unit_id) && on_line(scope, line)
            })
    }

    /// As [`reaches`](Self::reaches), by scopes of one role only.
    pub fn reaches_as(&self, role: Role, path: &[Uuid], line: Option<&str>) -> bool {
        self.kind != CallerKind::Person
            || self
                .scopes
                .iter()
                .any(|scope| scope.role == role && path.contains(&scope.unit_id) && on_line(scope, line))
    }

    /// The organisations for which the caller holds a role here, with the one the caller acts for.
    pub fn org_ids(&self) -> Vec<Uuid> {
        let mut ids: Vec<Uuid> =
            self.org_id.into_iter().chain(self.scopes.iter().filter_map(|s| s.org_id)).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// Id under which a service appears as a caller: the same everywhere, made from its name.
pub fn service_id(service: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("jianghan:service:{service}").as_bytes())
}

fn is_self_role(role: Role) -> bool {
    matches!(role, Role::Resident | Role::Volunteer)
}

fn on_line(scope: &Scope, line: Option<&str>) -> bool {
    match (&scope.line, line) {
        (None, _) => true,
        (Some(granted), Some(line)) => granted == line,
        (Some(_), None) => false,
    }
}

/// A set of roles.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RoleSet(u64);

impl RoleSet {
    /// Adds a role.
    pub fn insert(&mut self, role: Role) {
        self.0 |= bit(role);
    }

    /// Whether the role is in the set.
    pub fn contains(self, role: Role) -> bool {
        self.0 & bit(role) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles, in the order of the enum.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        (1..64).filter(move |n| self.0 & (1 << n) != 0).filter_map(|n| Role::try_from(n).ok())
    }
}

/// Roles are numbered below 64; `Unspecified` and anything beyond is in no set.
fn bit(role: Role) -> u64 {
    match role as i32 {
        n @ 1..64 => 1 << n,
        _ => 0,
    }
}

impl FromIterator<Role> for RoleSet {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        let mut set = Self::default();
        roles.into_iter().for_each(|role| set.insert(role));
        set
    }
}

impl fmt::Debug for RoleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(role: Role, unit: u128, line: Option<&str>) -> Scope {
        Scope { role, unit_id: Uuid::from_u128(unit), line: line.map(str::to_owned), org_id: None }
    }

    fn person(scopes: Vec<Scope>) -> Caller {
        let roles = scopes.iter().map(|s| s.role).collect();
        Caller { scopes, roles, kind: CallerKind::Person, ..Caller::system("test") }
    }

    fn path(ids: &[u128]) -> Vec<Uuid> {
        ids.iter().map(|id| Uuid::from_u128(*id)).collect()
    }

    #[test]
    fn a_scope_reaches_its_subtree_and_its_line() {
        let caller = person(vec![
            scope(Role::StreetDispatcher, 2, None),
            scope(Role::DeptOfficer, 1, Some("housing")),
        ]);
        assert!(caller.reaches(&path(&[1, 2, 5]), None));
        assert!(caller.reaches(&path(&[1, 3]), Some("housing")));
        assert!(!caller.reaches(&path(&[1, 3]), Some("water")));
        assert!(!caller.reaches(&path(&[1, 3]), None), "a line scope does not reach what has no line");
        assert!(!caller.reaches(&path(&[9]), Some("housing")));
        assert!(caller.reaches_as(Role::StreetDispatcher, &path(&[1, 2]), None));
        assert!(!caller.reaches_as(Role::DeptOfficer, &path(&[1, 2]), None));
    }

    #[test]
    fn residents_reach_nothing_of_others() {
        let caller = person(vec![scope(Role::Resident, 1, None), scope(Role::Volunteer, 1, None)]);
        assert!(caller.is_self_only());
        assert!(!caller.reaches(&path(&[1, 2]), None));
        let both = person(vec![scope(Role::Resident, 1, None), scope(Role::StreetLeader, 2, None)]);
        assert!(!both.is_self_only());
        assert!(both.reaches(&path(&[1, 2]), None) && !both.reaches(&path(&[1, 3]), None));
    }

    #[test]
    fn the_service_itself_reaches_its_own_rows() {
        let system = Caller::system("case-routing");
        assert!(system.reaches(&path(&[1]), None) && !system.is_self_only());
        assert_eq!(system.person_id, service_id("case-routing"));
        assert_ne!(service_id("staffing"), service_id("case-routing"));
    }

    #[test]
    fn role_sets_hold_roles() {
        let set: RoleSet = [Role::Verifier, Role::Resident, Role::Unspecified].into_iter().collect();
        assert!(
            set.contains(Role::Verifier) && !set.contains(Role::Arbiter) && !set.contains(Role::Unspecified)
        );
        assert_eq!(set.iter().collect::<Vec<_>>(), [Role::Resident, Role::Verifier]);
    }
}
