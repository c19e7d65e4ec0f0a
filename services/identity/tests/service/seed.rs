//! The seed of the demonstration district.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use chassis::{Service, testing::TestService};
use identity::{
    App,
    seed::{SeedOptions, SeedReport, seed},
};
use proto::identity::v1::{
    AuthorityEdgeChanged, EdgeKind, GetSelfRequest, OrganizationChanged, OrganizationKind, RoleGranted,
    SignInRequest, UnitChanged, auth_service_client::AuthServiceClient,
};

/// One street and a handful of residents: enough to see every rule at work.
fn small() -> SeedOptions {
    SeedOptions { streets: Some(vec!["420103005".to_owned()]), residents: Some(3), ..SeedOptions::default() }
}

async fn run(service: &TestService<App>, options: SeedOptions) -> anyhow::Result<SeedReport> {
    let context = &service.context;
    seed(&context.db, &context.crypto, &context.clock, options).await
}

#[tokio::test]
async fn the_district_is_seeded_once_and_told_to_everybody() {
    assert_eq!(App::NAME, "identity");
    let service = TestService::<App>::start().await;
    let report = run(&service, small()).await.unwrap();
    assert!(!report.already);
    assert_eq!((report.units, report.organizations), (254, 520));
    assert!(report.edges > 1_500, "{}", report.edges);

    let events = service.drain_outbox().await;
    let of = |name: &str| events.iter().filter(|e| e.r#type.ends_with(name)).count();
    assert_eq!(of("UnitChanged"), report.units);
    assert_eq!(of("OrganizationChanged"), report.organizations);
    assert_eq!(of("AuthorityEdgeChanged"), report.edges);
    assert_eq!(of("RoleGranted"), report.accounts.len());
    assert!(
        events.iter().filter_map(|e| e.decode::<RoleGranted>().ok()).all(|g| g.person_ref.starts_with("p-"))
    );

    // A parent is told before its children.
    let mut told = BTreeSet::new();
    for unit in events.iter().filter_map(|e| e.decode::<UnitChanged>().ok()).filter_map(|e| e.unit) {
        assert!(unit.parent_id.is_empty() || told.contains(&unit.parent_id), "{}", unit.code);
        told.insert(unit.unit_id);
    }

    // Invariant A-1 over what was really seeded.
    let kinds: BTreeMap<String, i32> = events
        .iter()
        .filter_map(|e| e.decode::<OrganizationChanged>().ok())
        .filter_map(|e| e.organization)
        .map(|o| (o.org_id, o.kind))
        .collect();
    let governed = [OrganizationKind::Committee, OrganizationKind::SocialOrg, OrganizationKind::SelfGovGroup];
    let edges = events.iter().filter_map(|e| e.decode::<AuthorityEdgeChanged>().ok()).filter_map(|e| e.edge);
    let mut by_kind: BTreeMap<i32, usize> = BTreeMap::new();
    for edge in edges {
        *by_kind.entry(edge.kind).or_default() += 1;
        let to = kinds[&edge.to_org_id];
        assert!(edge.kind != EdgeKind::Leads as i32 || governed.iter().all(|k| *k as i32 != to));
    }
    assert_eq!(by_kind.len(), 5, "every dispatch mode is there: {by_kind:?}");

    let again = run(&service, small()).await.unwrap();
    assert!(again.already && again.accounts.is_empty());
    assert!(service.drain_outbox().await.is_empty());
}

#[tokio::test]
async fn seeded_people_sign_in_with_the_passwords_that_were_kept() {
    let service = TestService::<App>::start().await;
    let kept: Arc<Mutex<Vec<(String, String, String)>>> = Arc::default();
    let keep = kept.clone();
    let options = SeedOptions {
        keep: Some(Box::new(move |report| {
            let mut kept = keep.lock().expect("nobody panics");
            kept.extend(
                report.accounts.iter().map(|a| (a.login.clone(), a.password.clone(), a.role.clone())),
            );
            Ok(())
        })),
        ..small()
    };
    let report = run(&service, options).await.unwrap();
    let kept = kept.lock().expect("nobody panics").clone();
    assert_eq!(kept.len(), report.accounts.len());
    let roles: BTreeSet<&str> = kept.iter().map(|(_, _, role)| role.as_str()).collect();
    for role in [
        "district_dispatcher",
        "street_leader",
        "station_head",
        "service_worker",
        "resident",
        "security_admin",
    ] {
        assert!(roles.contains(role), "{role} is missing");
    }
    let security = kept.iter().filter(|(_, _, role)| role == "security_admin").count();
    assert_eq!(security, 2, "a sensitive role takes two who approve");
    let logins: BTreeSet<&str> = kept.iter().map(|(login, _, _)| login.as_str()).collect();
    assert_eq!(logins.len(), kept.len(), "logins are unique");
    for login in ["dispatcher1", "resident001", "leader.420103005"] {
        let (_, password, _) =
            kept.iter().find(|(l, _, _)| l == login).unwrap_or_else(|| panic!("no {login}"));
        let request = SignInRequest { login: login.to_owned(), password: password.clone() };
        AuthServiceClient::new(service.call_anonymously()).sign_in(request).await.unwrap();
    }
    assert!(!logins.contains("leader.420103001"), "another street was not asked for");
    // The city's arbiter, and nothing else of the city: to arbitrate, and to read what about.
    let of_the_city: Vec<_> = report.accounts.iter().filter(|a| a.unit_code == "4201").collect();
    let [arbiter] = &of_the_city[..] else { panic!("{of_the_city:?}") };
    assert_eq!((arbiter.login.as_str(), arbiter.role.as_str()), ("arbiter.4201", "arbiter"));
    assert_eq!((arbiter.org_code.as_str(), &arbiter.line), ("gov:4201", &None));
    let request = SignInRequest { login: arbiter.login.clone(), password: arbiter.password.clone() };
    let signed_in = AuthServiceClient::new(service.call_anonymously()).sign_in(request).await.unwrap();
    let token = signed_in.into_inner().access_token;
    let mut own = AuthServiceClient::new(service.call_with(&token));
    let grants = own.get_self(GetSelfRequest {}).await.unwrap().into_inner().grants;
    assert_eq!(grants.len(), 1);
    assert_eq!(grants[0].purposes, ["arbitrate", "handle_appeal"]);
    assert_eq!(logins.iter().filter(|l| l.starts_with("resident")).count(), 3);
}

#[tokio::test]
async fn when_the_passwords_cannot_be_kept_nothing_is_seeded() {
    let service = TestService::<App>::start().await;
    let options = SeedOptions {
        keep: Some(Box::new(|_| anyhow::bail!("the disk is full"))),
        residents: Some(1),
        streets: Some(vec![]),
        ..SeedOptions::default()
    };
    assert!(run(&service, options).await.is_err());
    assert!(service.drain_outbox().await.is_empty());
    let options = SeedOptions { residents: Some(1), streets: Some(vec![]), ..SeedOptions::default() };
    let report = run(&service, options).await.unwrap();
    assert!(!report.already);
}
