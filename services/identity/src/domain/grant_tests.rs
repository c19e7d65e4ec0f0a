//! Grants: scope, exclusion, approvals, ends.

use super::*;
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_772_000_000 + seconds, 0).unwrap()
}

fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(n))
}

fn request(role: Role) -> proto::identity::v1::RoleGrant {
    proto::identity::v1::RoleGrant {
        person_id: Uuid::from_u128(1).to_string(),
        role: role as i32,
        unit_id: Uuid::from_u128(9).to_string(),
        ..Default::default()
    }
}

fn grant(role: Role) -> RoleGrant {
    RoleGrant::requested(GrantId(Uuid::nil()), &request(role), at(0)).unwrap()
}

#[test]
fn an_ordinary_role_needs_one_approver_and_a_sensitive_one_two() {
    let active = grant(Role::ServiceWorker).approve(person(2), at(0)).unwrap();
    assert_eq!((active.state, active.version), (RoleGrantState::Active, 1));
    let waiting = grant(Role::Arbiter).approve(person(2), at(0)).unwrap();
    assert_eq!(waiting.state, RoleGrantState::Requested);
    assert!(
        matches!(waiting.clone().approve(person(2), at(0)), Err(Error::WrongState { .. })),
        "the same person again"
    );
    let active = waiting.approve(person(3), at(0)).unwrap();
    assert_eq!((active.state, active.version), (RoleGrantState::Active, 2));
    assert!(matches!(active.approve(person(4), at(0)), Err(Error::WrongState { .. })), "nothing waits");
}

#[test]
fn a_grant_is_told_when_it_is_in_force() {
    assert!(grant(Role::ServiceWorker).approve(person(2), at(0)).unwrap().told, "at once");
    let later = RoleGrant { valid_from: at(10), ..grant(Role::ServiceWorker) };
    let later = later.approve(person(2), at(0)).unwrap();
    assert_eq!((later.state, later.told), (RoleGrantState::Active, false));
    assert!(!later.has_begun(at(9)) && later.has_begun(at(10)));
    assert!(matches!(later.clone().begin(at(9)), Err(Error::WrongState { .. })));
    let begun = later.begin(at(10)).unwrap();
    assert_eq!((begun.told, begun.version), (true, 2));
    assert!(matches!(begun.begin(at(11)), Err(Error::WrongState { .. })), "once");
}

#[test]
fn a_request_that_has_run_out_is_approved_by_nobody() {
    let asked = grant(Role::Arbiter).approve(person(2), at(0)).unwrap();
    let asked = RoleGrant { valid_to: Some(at(10)), ..asked };
    assert!(matches!(asked.clone().approve(person(3), at(10)), Err(Error::WrongState { .. })));
    assert_eq!(asked.expire(at(10)).unwrap().state, RoleGrantState::Expired);
}

#[test]
fn a_grant_goes_on_where_its_unit_was_merged_into() {
    let (id, unit) = (GrantId(Uuid::from_u128(77)), UnitId(Uuid::from_u128(78)));
    let asked = grant(Role::Arbiter).approve(person(2), at(0)).unwrap();
    let Rehomed::Moved(moved) = asked.clone().rehome(id, unit, at(5)).unwrap() else { panic!("it waits") };
    assert_eq!((moved.id, moved.unit_id, moved.version), (asked.id, unit, 2));
    let active = grant(Role::ServiceWorker).approve(person(2), at(0)).unwrap();
    let Rehomed::Followed { ended, next } = active.clone().rehome(id, unit, at(5)).unwrap() else {
        panic!("it is in force")
    };
    assert_eq!(
        (ended.state, ended.unit_id, ended.valid_to),
        (RoleGrantState::Revoked, active.unit_id, Some(at(5)))
    );
    assert_eq!((next.id, next.unit_id, next.valid_from, next.version), (id, unit, at(5), 1));
    assert!(next.in_force(at(5)) && next.told && !ended.in_force(at(5)));
    assert_eq!(next.approved_by, active.approved_by);
}

#[test]
fn the_grantee_never_approves() {
    for role in [Role::ServiceWorker, Role::Arbiter] {
        assert!(matches!(grant(role).approve(person(1), at(0)), Err(Error::Invalid { .. })));
    }
}

#[test]
fn grants_end_once() {
    let active = grant(Role::ServiceWorker).approve(person(2), at(0)).unwrap();
    let revoked = active.clone().revoke(at(5)).unwrap();
    assert_eq!((revoked.state, revoked.valid_to), (RoleGrantState::Revoked, Some(at(5))));
    assert!(!revoked.in_force(at(5)) && active.in_force(at(5)));
    assert!(matches!(revoked.revoke(at(6)), Err(Error::WrongState { .. })));
    assert!(matches!(active.clone().expire(at(5)), Err(Error::WrongState { .. })));
    let ending = RoleGrant { valid_to: Some(at(10)), ..active };
    assert!(ending.in_force(at(9)) && !ending.in_force(at(10)));
    assert_eq!(ending.expire(at(99)).unwrap().valid_to, Some(at(10)));
}

#[test]
fn each_bad_field_is_named() {
    type Grant = proto::identity::v1::RoleGrant;
    type Change = fn(&mut Grant);
    let bad: [(&str, Change); 8] = [
        ("grant.role", |g| g.role = 0),
        ("grant.role", |g| g.role = 999),
        ("grant.person_id", |g| g.person_id.clear()),
        ("grant.unit_id", |g| g.unit_id = "x".to_owned()),
        ("grant.org_id", |g| g.org_id = "x".to_owned()),
        ("grant.line", |g| g.line = "A B".to_owned()),
        ("grant.purposes[0]", |g| g.purposes = vec!["curiosity".to_owned()]),
        ("grant.valid_to", |g| g.valid_to = Some(chassis::clock::to_proto(at(-1)))),
    ];
    for (name, change) in bad {
        let mut from = request(Role::ServiceWorker);
        change(&mut from);
        let error = RoleGrant::requested(GrantId(Uuid::nil()), &from, at(0)).unwrap_err();
        assert!(matches!(&error, Error::Invalid { field, .. } if field == name), "{name}: {error}");
    }
}

#[test]
fn nobody_is_two_administrators() {
    let roles = [Role::SystemAdmin, Role::SecurityAdmin, Role::AuditAdmin];
    for held in roles {
        for asked in roles {
            let may = check_exclusive(person(1), asked, &[Role::Resident, held]).is_ok();
            assert_eq!(may, asked == held, "{held:?}, then {asked:?}: only one more term of the same");
        }
        assert!(check_exclusive(person(1), Role::Analyst, &[held]).is_ok());
        assert!(check_exclusive(person(1), held, &[Role::Analyst]).is_ok());
        assert!(is_sensitive(held) && !street_leader_may_grant(held));
    }
}

#[test]
fn a_street_leader_grants_nothing_sensitive() {
    for n in 1..=33 {
        let role = Role::try_from(n).unwrap();
        assert!(!(street_leader_may_grant(role) && is_sensitive(role)), "{role:?}");
    }
}

#[test]
fn an_organisation_is_reached_by_its_unit_and_its_line() {
    let ids = |ids: &[u128]| -> Vec<Uuid> { ids.iter().map(|id| Uuid::from_u128(*id)).collect() };
    let (street, station, district) = (ids(&[1, 2]), ids(&[1, 2, 3]), ids(&[1]));
    let all = Extent { path: &street, line: None, purposes: None, valid_to: None };
    assert!(reaches(&all, &station, None) && reaches(&all, &street, Some("housing")));
    assert!(!reaches(&all, &district, None) && !reaches(&all, &ids(&[1, 9]), None));
    let housing = Extent { line: Some("housing"), ..all };
    assert!(reaches(&housing, &station, Some("housing")));
    assert!(!reaches(&housing, &station, Some("water")) && !reaches(&housing, &station, None));
}

type Parts = (Vec<Uuid>, Option<String>, Option<BTreeSet<String>>, Option<Timestamp>);

fn parts() -> impl Strategy<Value = Parts> {
    let path = proptest::collection::vec(1..3u128, 1..4).prop_map(|steps| {
        // A path whose ids tell the whole way, so that two paths share an id only if they share the way to it.
        let mut ids = vec![];
        let mut id = 1_u128;
        for step in steps {
            id = id * 10 + step;
            ids.push(Uuid::from_u128(id));
        }
        ids
    });
    let line = proptest::option::of(proptest::sample::select(vec!["housing".to_owned(), "water".to_owned()]));
    let purposes = proptest::option::of(proptest::collection::btree_set("[ab]", 0..3));
    let end = proptest::option::of((0..3i64).prop_map(at));
    (path, line, purposes, end)
}

fn extent(parts: &Parts) -> Extent<'_> {
    Extent { path: &parts.0, line: parts.1.as_deref(), purposes: parts.2.as_ref(), valid_to: parts.3 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    // I-3: containment is reflexive and transitive, so a chain of grants never grows beyond its first grantor.
    #[test]
    fn a_chain_of_grants_never_grows(a in parts(), b in parts(), c in parts()) {
        prop_assert!(within(&extent(&a), &extent(&a)));
        if within(&extent(&c), &extent(&b)) && within(&extent(&b), &extent(&a)) {
            prop_assert!(within(&extent(&c), &extent(&a)));
        }
    }

    #[test]
    fn what_is_within_exceeds_in_nothing(inner in parts(), outer in parts()) {
        let holds = within(&extent(&inner), &extent(&outer));
        let unit = inner.0.starts_with(&outer.0);
        let line = outer.1.is_none() || inner.1 == outer.1;
        let purposes = outer.2.is_none() || inner.2.as_ref().is_some_and(|i| outer.2.as_ref().is_some_and(|o| i.is_subset(o)));
        let end = outer.3.is_none() || inner.3.is_some_and(|i| outer.3.is_some_and(|o| i <= o));
        prop_assert_eq!(holds, unit && line && purposes && end);
    }
}
