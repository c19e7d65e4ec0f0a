//! Who may know of a case at all: its requester, those whose grants cover its place and line, and the organisations
//! that take part in it. To everybody else it does not exist.

use chassis::auth::{Caller, CallerKind, Role, Scope};
use uuid::Uuid;

use crate::domain::{Case, Nature, OrgId};

/// Whether the caller may know of the case.
pub fn reaches(case: &Case, caller: &Caller) -> bool {
    if caller.kind != CallerKind::Person {
        return true;
    }
    is_requester(case, caller) || by_place(case, caller) || by_dispute(case, caller) || by_part(case, caller)
}

/// Whether it is the caller's own request.
pub fn is_requester(case: &Case, caller: &Caller) -> bool {
    case.requester.as_ref().is_some_and(|requester| requester.0 == requester_ref(caller.person_id))
}

/// How the case names its requester: by the person's id, which never leaves this service.
pub fn requester_ref(person: Uuid) -> String {
    person.to_string()
}

fn by_place(case: &Case, caller: &Caller) -> bool {
    let line = case.item.as_ref().and_then(|item| item.line.as_deref());
    place_scopes(caller).any(|scope| {
        case.place.path.iter().any(|unit| unit.0 == scope.unit_id) && on_line(scope.line.as_deref(), line)
    })
}

/// Mediators know of the disputes where they mediate, and of nothing else by that role.
fn by_dispute(case: &Case, caller: &Caller) -> bool {
    case.nature == Nature::Dispute
        && caller.scopes.iter().any(|scope| {
            scope.role == Role::Mediator && case.place.path.iter().any(|unit| unit.0 == scope.unit_id)
        })
}

fn by_part(case: &Case, caller: &Caller) -> bool {
    part_orgs(caller).into_iter().any(|org| case.is_party(OrgId(org)))
}

fn on_line(granted: Option<&str>, line: Option<&str>) -> bool {
    granted.is_none_or(|granted| Some(granted) == line)
}

/// The scopes that reach by place. A partner's manager reaches what the organisation takes part in, not its
/// neighbourhood; a mediator, its disputes only.
pub fn place_scopes(caller: &Caller) -> impl Iterator<Item = &Scope> {
    let by_place =
        |role| !matches!(role, Role::Resident | Role::Volunteer | Role::OrgManager | Role::Mediator);
    caller.scopes.iter().filter(move |scope| by_place(scope.role))
}

/// The organisations whose cases the caller reaches: those for which a role other than a resident's or a mediator's is
/// held.
pub fn part_orgs(caller: &Caller) -> Vec<Uuid> {
    orgs_by(caller, |role| !matches!(role, Role::Resident | Role::Volunteer | Role::Mediator))
}

/// The organisations for which a role other than a resident's is held.
pub fn own_orgs(caller: &Caller) -> Vec<Uuid> {
    orgs_by(caller, |role| !matches!(role, Role::Resident | Role::Volunteer))
}

fn orgs_by(caller: &Caller, counts: impl Fn(Role) -> bool) -> Vec<Uuid> {
    let held = caller.scopes.iter().filter(|scope| counts(scope.role));
    let mut orgs: Vec<Uuid> = held.filter_map(|scope| scope.org_id.or(caller.org_id)).collect();
    orgs.sort_unstable();
    orgs.dedup();
    orgs
}

/// Whether the caller is another system that may send requests from a place: within the granted unit, and on the granted
/// line where the matter has one already.
pub fn sends_from(caller: &Caller, path: &[Uuid], line: Option<&str>) -> bool {
    caller.scopes.iter().any(|scope| {
        let on_line = line.is_none() || on_line(scope.line.as_deref(), line);
        scope.role == Role::IntegrationClient && path.contains(&scope.unit_id) && on_line
    })
}

/// Whether the caller's grants cover a place and a line, as for entering a case there.
pub fn covers(caller: &Caller, path: &[Uuid], line: Option<&str>) -> bool {
    place_scopes(caller).any(|scope| path.contains(&scope.unit_id) && on_line(scope.line.as_deref(), line))
}
