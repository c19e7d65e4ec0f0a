//! Who may know of a case at all: its requester, those whose grants cover its place and line, and the organisations
//! that take part in it. To everybody else it does not exist.

use chassis::{
    auth::{Caller, CallerKind, Role, Scope},
    topology::Topology,
};
use uuid::Uuid;

use crate::{
    atlas::World,
    domain::{Case, Nature, OrgId},
};

/// The caller with the grants as they reach cases: a finished case keeps its place when its unit is merged, and who is in charge of the
/// unit that it became part of is in charge of it. Grants elsewhere are not among them, and an undone merger takes them away.
pub fn with_parts(mut caller: Caller, topology: &Topology) -> Caller {
    let past = |scope: &Scope| {
        let parts = topology.parts_of(scope.unit_id).into_iter();
        let over = |unit_id| Scope { unit_id, ..scope.clone() };
        parts.map(over).collect::<Vec<_>>()
    };
    let parts: Vec<Scope> = caller.scopes.iter().flat_map(past).collect();
    caller.scopes.extend(parts);
    caller
}

/// Whether the caller may know of the case.
pub fn reaches(case: &Case, caller: &Caller) -> bool {
    is_requester(case, caller) || beyond_asking(case, caller)
}

/// Whether the caller may know of the case though it were not the caller's own request.
pub fn beyond_asking(case: &Case, caller: &Caller) -> bool {
    caller.kind != CallerKind::Person
        || by_place(case, caller)
        || by_dispute(case, caller)
        || by_part(case, caller)
}

/// Whether it is the caller's own request.
pub fn is_requester(case: &Case, caller: &Caller) -> bool {
    case.requester.as_ref().is_some_and(|requester| requester.0 == requester_ref(caller.person_id))
}

/// Whether the caller reads which requests were merged into the case: as an official, not as a partner or a mediator, and not of the
/// caller's own request, for nobody who asked learns who else did.
pub fn reads_merged(case: &Case, caller: &Caller) -> bool {
    let official =
        |role| !matches!(role, Role::Resident | Role::Volunteer | Role::Mediator | Role::OrgManager);
    let takes_part = || orgs_by(caller, official).into_iter().any(|org| case.is_party(OrgId(org)));
    let as_official = caller.kind != CallerKind::Person || by_place(case, caller) || takes_part();
    as_official && !is_requester(case, caller)
}

/// How the case names its requester: by the person's id, which never leaves this service.
pub fn requester_ref(person: Uuid) -> String {
    person.to_string()
}

fn by_place(case: &Case, caller: &Caller) -> bool {
    place_scopes(caller).any(|scope| within(case, scope))
}

/// Whether the place and the line of a case lie within a scope.
pub fn within(case: &Case, scope: &Scope) -> bool {
    let line = case.item.as_ref().and_then(|item| item.line.as_deref());
    case.place.path.iter().any(|unit| unit.0 == scope.unit_id) && on_line(scope.line.as_deref(), line)
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

/// The units within which a caller that is another system is told of what is referred to it: those that it may send from, and those
/// that go on within them, merged or under another one. A case that was handed off stays where it was written down.
pub fn sending_units(caller: &Caller, world: &World) -> Vec<Uuid> {
    let granted = caller.scopes.iter().filter(|scope| scope.role == Role::IntegrationClient);
    let mut units: Vec<Uuid> = granted.map(|scope| scope.unit_id).collect();
    let topology = &world.topology;
    let left = topology.units().filter(|unit| unit.successor_id.is_some() || topology.has_moved(unit.id));
    let goes_on_there = |unit: &Uuid| {
        world.open_path(*unit).is_some_and(|path| path.iter().any(|above| units.contains(above)))
    };
    let went: Vec<Uuid> = left.map(|unit| unit.id).filter(goes_on_there).collect();
    units.extend(went);
    units
}

/// Whether the caller's grants cover a place and a line, as for entering a case there.
pub fn covers(caller: &Caller, path: &[Uuid], line: Option<&str>) -> bool {
    place_scopes(caller).any(|scope| path.contains(&scope.unit_id) && on_line(scope.line.as_deref(), line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::list::ReachFilter;

    const ROLES: [Role; 6] = [
        Role::DeptOfficer,
        Role::DeptLeader,
        Role::StreetDispatcher,
        Role::Resident,
        Role::OrgManager,
        Role::Mediator,
    ];
    const LINES: [&str; 3] = ["housing", "urban", "civil_affairs"];

    fn id(n: usize) -> Uuid {
        Uuid::from_u128(0x100 + n as u128)
    }

    fn caller(grants: &[(usize, usize, usize)]) -> Caller {
        let scopes: Vec<Scope> = grants
            .iter()
            .map(|(role, unit, line)| Scope {
                role: ROLES[*role],
                unit_id: id(*unit),
                line: Some(LINES[*line].to_owned()),
                org_id: None,
            })
            .collect();
        let roles = scopes.iter().map(|scope| scope.role).collect();
        Caller { scopes, roles, kind: CallerKind::Person, ..Caller::system("test") }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        /// C-11: who holds lines only reaches what is of these lines below the granted units, in single cases as in lists, and
        /// never a place as a whole.
        #[test]
        fn who_holds_lines_only_reaches_no_place_as_a_whole(
            grants in proptest::collection::vec((0..ROLES.len(), 0_usize..8, 0..LINES.len()), 0..6),
            path in proptest::collection::vec((0_usize..8).prop_map(id), 1..6),
            line in proptest::option::of(0..LINES.len()),
        ) {
            let caller = caller(&grants);
            let line = line.map(|line| LINES[line]);
            let granted = grants.iter().any(|(role, unit, granted)| {
                matches!(ROLES[*role], Role::DeptOfficer | Role::DeptLeader | Role::StreetDispatcher)
                    && path.contains(&id(*unit))
                    && Some(LINES[*granted]) == line
            });
            prop_assert_eq!(covers(&caller, &path, line), granted);
            prop_assert!(!covers(&caller, &path, None), "a place as a whole");
            let filter = ReachFilter::of(&caller);
            prop_assert!(!filter.all && filter.units.len() == filter.lines.len());
            let listed = filter.units.iter().zip(&filter.lines).any(|(unit, of)| {
                path.contains(unit) && (of.is_none() || of.as_deref() == line)
            });
            prop_assert_eq!(listed, granted, "a list reaches as far as a single case");
        }
    }
}
