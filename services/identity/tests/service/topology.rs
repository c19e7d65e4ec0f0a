//! The unit tree, organisations and authority edges.

use std::collections::HashSet;

use crate::world::{World, fields, nobody, refusal, request_id};
use chassis::{auth::Role, clock::to_proto};
use proto::identity::v1::{
    ApproveGrantRequest, AuthorityEdge, AuthorityEdgeChanged, CreateAuthorityEdgeRequest,
    CreateOrganizationRequest, CreatePersonRequest, CreateUnitRequest, EdgeKind, EndAuthorityEdgeRequest,
    GetOrganizationRequest, GetPersonRequest, GetSelfRequest, GetTopologySnapshotRequest, GetUnitRequest,
    GrantRoleRequest, ListAuthorityEdgesRequest, ListOrganizationsRequest, ListRoleGrantsRequest,
    ListUnitsRequest, MergeUnitsRequest, Organization, OrganizationChanged, OrganizationKind, RoleGrant,
    RoleGranted, RoleRevoked, Unit, UnitChanged, UnitKind, UnitMerged, UnitState, UpdateUnitRequest,
    person_service_client::PersonServiceClient, topology_service_client::TopologyServiceClient,
};
use proto::ops::v1::{ListDigestsRequest, ops_service_client::OpsServiceClient};
use tonic::Code;

fn community(world: &World, code: &str) -> CreateUnitRequest {
    CreateUnitRequest {
        request_id: request_id(),
        unit: Some(Unit {
            code: code.to_owned(),
            code_system: "statistics".to_owned(),
            code_year: 2023,
            kind: UnitKind::Community as i32,
            name_zh: "新社区".to_owned(),
            parent_id: world.unit("street1"),
            ..Default::default()
        }),
    }
}

#[tokio::test]
async fn a_unit_is_made_once_below_its_parent_and_told() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let request = community(&world, "420103009002");
    let unit = admin.create_unit(request.clone()).await.unwrap().into_inner().unit.unwrap();
    assert_eq!((unit.state, unit.version), (UnitState::Active as i32, 1));
    assert_eq!(admin.create_unit(request).await.unwrap().into_inner().unit.unwrap(), unit);
    assert_eq!(refusal(admin.create_unit(community(&world, "420103009002")).await), Code::AlreadyExists);
    let events = world.service.drain_outbox().await;
    let told: Vec<UnitChanged> = events.iter().filter_map(|e| e.decode().ok()).collect();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].unit.as_ref(), events[0].aggregate_version), (Some(&unit), 1));
    let got = admin.get_unit(GetUnitRequest { unit_id: unit.unit_id.clone() }).await.unwrap().into_inner();
    assert_eq!(got.unit, Some(unit));
    assert_eq!(refusal(admin.get_unit(GetUnitRequest { unit_id: nobody() }).await), Code::NotFound);
}

#[tokio::test]
async fn a_renamed_unit_keeps_its_past() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let before = world.service.clock().now();
    world.service.clock().advance(std::time::Duration::from_secs(86_400));
    let rename = UpdateUnitRequest {
        request_id: request_id(),
        unit_id: world.unit("community1"),
        version: 1,
        name_zh: "改名社区".to_owned(),
        ..Default::default()
    };
    let unit = admin.update_unit(rename.clone()).await.unwrap().into_inner().unit.unwrap();
    assert_eq!((unit.name_zh.as_str(), unit.version), ("改名社区", 2));
    let stale = UpdateUnitRequest { request_id: request_id(), name_zh: "又改名".to_owned(), ..rename };
    assert_eq!(refusal(admin.update_unit(stale).await), Code::Aborted);
    let list = |at| ListUnitsRequest { parent_id: world.unit("street1"), at_time: at, ..Default::default() };
    let then = admin.list_units(list(Some(to_proto(before)))).await.unwrap().into_inner().units;
    let now = admin.list_units(list(None)).await.unwrap().into_inner().units;
    assert_eq!((then[0].name_zh.as_str(), now[0].name_zh.as_str()), ("community1", "改名社区"));
}

#[tokio::test]
async fn what_a_mask_names_is_set_also_to_nothing_and_the_rest_stays() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let update = |version, paths: &[&str]| UpdateUnitRequest {
        request_id: request_id(),
        unit_id: world.unit("community1"),
        version,
        update_mask: Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() }),
        ..Default::default()
    };
    let next_day = || world.service.clock().advance(std::time::Duration::from_secs(86_400));
    next_day();
    // Where the mask names nothing, what is not empty is set.
    let named = UpdateUnitRequest { name_en: "Xiqiao".to_owned(), ..update(1, &[]) };
    let named = admin.update_unit(named).await.unwrap().into_inner().unit.unwrap();
    assert_eq!((named.name_zh.as_str(), named.name_en.as_str()), ("community1", "Xiqiao"));
    next_day();
    let cleared = UpdateUnitRequest { name_zh: "不改".to_owned(), ..update(2, &["name_en"]) };
    let cleared = admin.update_unit(cleared).await.unwrap().into_inner().unit.unwrap();
    assert_eq!((cleared.name_zh.as_str(), cleared.name_en.as_str()), ("community1", ""));
    assert_eq!((cleared.code, cleared.version), (named.code, 3));
    let again = admin.update_unit(update(3, &["name_en"])).await.unwrap_err();
    assert_eq!(fields(&again), ["name_en"], "nothing would change");
}

#[tokio::test]
async fn merged_units_hand_everything_on_and_the_old_boundaries_stay_readable() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let other = admin.create_unit(community(&world, "c-other")).await.unwrap().into_inner().unit.unwrap();
    let courtyard = CreateUnitRequest {
        request_id: request_id(),
        unit: Some(Unit {
            code: "yard".to_owned(),
            kind: UnitKind::Courtyard as i32,
            parent_id: other.unit_id.clone(),
            ..community(&world, "").unit.unwrap()
        }),
    };
    let courtyard = admin.create_unit(courtyard).await.unwrap().into_inner().unit.unwrap();
    world.service.drain_outbox().await;
    let before = world.service.clock().now();
    world.service.clock().advance(std::time::Duration::from_secs(86_400));
    let request = MergeUnitsRequest {
        request_id: request_id(),
        from_unit_ids: vec![world.unit("community1"), other.unit_id.clone()],
        successor: Some(Unit {
            code: "c-other".to_owned(),
            name_zh: "合并社区".to_owned(),
            ..community(&world, "").unit.unwrap()
        }),
        effective_time: None,
    };
    let successor = admin.merge_units(request).await.unwrap().into_inner().successor.unwrap();

    let events = world.service.drain_outbox().await;
    let merged: Vec<UnitMerged> = events.iter().filter_map(|e| e.decode().ok()).collect();
    assert_eq!(merged[0].from_unit_ids.len(), 2);
    let changed: Vec<Unit> =
        events.iter().filter_map(|e| e.decode::<UnitChanged>().ok()).filter_map(|e| e.unit).collect();
    let merged_into = |u: &&Unit| u.state == UnitState::Merged as i32 && u.successor_id == successor.unit_id;
    let ended = changed.iter().filter(merged_into).count();
    let moved = changed.iter().find(|u| u.unit_id == courtyard.unit_id).unwrap();
    assert_eq!((ended, moved.parent_id.clone()), (2, successor.unit_id.clone()));
    let orgs =
        events.iter().filter_map(|e| e.decode::<OrganizationChanged>().ok()).filter_map(|e| e.organization);
    assert!(orgs.filter(|o| o.unit_id == successor.unit_id).count() == 2, "station and committee moved");

    let list = |at| ListUnitsRequest { parent_id: world.unit("street1"), at_time: at, ..Default::default() };
    assert_eq!(
        admin.list_units(list(None)).await.unwrap().into_inner().units,
        std::slice::from_ref(&successor)
    );
    assert_eq!(admin.list_units(list(Some(to_proto(before)))).await.unwrap().into_inner().units.len(), 2);
    // People of the merged units are reached through the successor's street as before.
    let mut persons = world.persons("dispatcher").await;
    let person = proto::identity::v1::GetPersonRequest { person_id: world.person("worker1") };
    assert_eq!(
        persons.get_person(person).await.unwrap().into_inner().person.unwrap().home_unit_id,
        successor.unit_id
    );
}

#[tokio::test]
async fn grants_over_merged_units_go_on_at_the_successor() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let other = admin.create_unit(community(&world, "c-other")).await.unwrap().into_inner().unit.unwrap();
    // One in force (the world's), one that begins later, and one that waits for its second approver.
    let (mut first, mut second) = (world.persons("secadmin1").await, world.persons("secadmin2").await);
    let later = world.service.clock().now() + chrono::TimeDelta::days(30);
    let mut ask = async |role: Role, from: Option<_>| {
        let grant = RoleGrant {
            person_id: world.person("worker1"),
            role: role as i32,
            unit_id: world.unit("community1"),
            valid_from: from,
            ..Default::default()
        };
        let request = GrantRoleRequest { request_id: request_id(), grant: Some(grant) };
        first.grant_role(request).await.unwrap().into_inner().grant.unwrap().grant_id
    };
    let moved = [ask(Role::GridWorker, Some(to_proto(later))).await, ask(Role::Arbiter, None).await];
    let worker = world.sign_in("worker1").await;
    world.service.drain_outbox().await;

    let request = MergeUnitsRequest {
        request_id: request_id(),
        from_unit_ids: vec![world.unit("community1"), other.unit_id],
        successor: Some(Unit { code: "c-new".to_owned(), ..community(&world, "").unit.unwrap() }),
        effective_time: None,
    };
    let successor = admin.merge_units(request).await.unwrap().into_inner().successor.unwrap();

    // Who works elsewhere hears of the grant that goes on before it hears of the end of the old one.
    let events = world.service.drain_outbox().await;
    let of = |p: &String| *p == world.person("worker1");
    let granted = |e: &chassis::event::Event| e.decode().ok().filter(|g: &RoleGranted| of(&g.person_id));
    let revoked = |e: &chassis::event::Event| e.decode().ok().filter(|r: &RoleRevoked| of(&r.person_id));
    let begins = events.iter().position(|e| granted(e).is_some()).expect("what goes on is told");
    let ends = events.iter().position(|e| revoked(e).is_some()).expect("what has ended is told");
    assert!(begins < ends);
    let (begun, ended) = (granted(&events[begins]).unwrap(), revoked(&events[ends]).unwrap());
    assert_eq!((begun.unit_id.clone(), begun.role), (successor.unit_id.clone(), Role::ServiceWorker as i32));
    assert_ne!(begun.grant_id, ended.grant_id);
    let times: HashSet<_> = events
        .iter()
        .filter_map(|e| e.decode::<RoleRevoked>().ok()?.tokens_before_time)
        .map(|at| (at.seconds, at.nanos))
        .collect();
    assert_eq!(times.len(), 1, "holders are barred once");
    for event in &events {
        let told = event.decode().map_or(String::new(), |g: RoleGranted| g.grant_id);
        assert!(!moved.contains(&told), "what is not in force is moved and told to nobody");
    }

    // A token that names the old unit is refused; the next one names the successor.
    let get = || GetSelfRequest {};
    let answer = world.auth_with(&worker.access_token).get_self(get()).await;
    assert_eq!(refusal(answer), Code::Unauthenticated);
    let token = world.sign_in("worker1").await.access_token;
    let held = world.auth_with(&token).get_self(get()).await.unwrap().into_inner().grants;
    assert_eq!(held.iter().map(|g| g.unit_id.as_str()).collect::<Vec<_>>(), [successor.unit_id.as_str()]);
    let person = GetPersonRequest { person_id: world.person("head1") };
    PersonServiceClient::new(world.service.call_with(&token)).get_person(person).await.unwrap();
    let list = ListRoleGrantsRequest { person_id: world.person("worker1"), ..Default::default() };
    let all = second.list_role_grants(list).await.unwrap().into_inner().grants;
    for id in &moved {
        let grant = all.iter().find(|g| g.grant_id == *id).unwrap();
        assert_eq!(grant.unit_id, successor.unit_id);
    }
    let approve = ApproveGrantRequest { request_id: request_id(), grant_id: moved[1].clone() };
    second.approve_grant(approve).await.unwrap();
}

#[tokio::test]
async fn however_many_hold_grants_over_merged_units_a_few_statements_take_them_along() {
    const MANY: usize = 2_000;
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let other = admin.create_unit(community(&world, "c-other")).await.unwrap().into_inner().unit.unwrap();
    for prepare in [
        "INSERT INTO persons (person_id, pseudonym, name_sealed, home_unit_id, notice_version, created_at)
         SELECT gen_random_uuid(), 'many-' || n, '\\x00'::bytea, unit_id, 'test', valid_from
           FROM generate_series(1, 2000) AS n, units WHERE code = 'code-community1'",
        "INSERT INTO role_grants (grant_id, person_id, role, unit_id, line, org_id, purposes, valid_from,
                                  state, approved_by, told)
         SELECT gen_random_uuid(), person_id, 1, home_unit_id, 'housing', o.org_id,
                ARRAY['administration', 'handle_appeal'], created_at, 2,
                ARRAY[gen_random_uuid(), gen_random_uuid()], true
           FROM persons, organizations o WHERE pseudonym LIKE 'many-%' AND o.code = 'org:station1'",
        "CREATE TABLE statements (what text NOT NULL)",
        "CREATE FUNCTION note_statement() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO statements VALUES (TG_OP); RETURN NULL; END'",
        "CREATE TRIGGER noted AFTER INSERT OR UPDATE ON role_grants
         FOR EACH STATEMENT EXECUTE FUNCTION note_statement()",
    ] {
        world.sql(prepare).await.unwrap();
    }
    world.service.drain_outbox().await;
    let request = MergeUnitsRequest {
        request_id: request_id(),
        from_unit_ids: vec![world.unit("community1"), other.unit_id],
        successor: Some(Unit { code: "c-new".to_owned(), ..community(&world, "").unit.unwrap() }),
        effective_time: None,
    };
    let successor = admin.merge_units(request).await.unwrap().into_inner().successor.unwrap();
    assert_eq!(world.sql("SELECT 1 FROM statements").await.unwrap(), 2, "they end, and go on");

    let events = world.service.drain_outbox().await;
    let begun: Vec<RoleGranted> = events.iter().filter_map(|e| e.decode().ok()).collect();
    let ended = events.iter().filter(|e| e.is::<RoleRevoked>()).count();
    let many = begun.iter().filter(|granted| granted.person_ref.starts_with("many-")).count();
    assert_eq!((many, ended), (MANY, begun.len()));
    assert!(begun.iter().all(|granted| granted.unit_id == successor.unit_id));
    let same = "SELECT 1 FROM role_grants AS was JOIN role_grants AS is_now USING (person_id)
                  JOIN units ON units.unit_id = is_now.unit_id
                 WHERE units.code = 'c-new' AND was.state = 4 AND is_now.state = 2 AND is_now.role = was.role
                   AND is_now.line = was.line AND is_now.org_id = was.org_id AND is_now.valid_to IS NULL
                   AND is_now.purposes = was.purposes AND is_now.approved_by = was.approved_by";
    assert_eq!(world.sql(same).await.unwrap(), MANY, "as they were, but for the unit");
}

#[tokio::test]
async fn a_unit_that_has_ended_takes_neither_grants_nor_people() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let other = admin.create_unit(community(&world, "c-other")).await.unwrap().into_inner().unit.unwrap();
    let request = MergeUnitsRequest {
        request_id: request_id(),
        from_unit_ids: vec![world.unit("community1"), other.unit_id],
        successor: Some(Unit { code: "c-new".to_owned(), ..community(&world, "").unit.unwrap() }),
        effective_time: None,
    };
    admin.merge_units(request).await.unwrap();
    let grant = RoleGrant {
        person_id: world.person("resident"),
        role: Role::ServiceWorker as i32,
        unit_id: world.unit("community1"),
        ..Default::default()
    };
    let request = GrantRoleRequest { request_id: request_id(), grant: Some(grant) };
    let answer = world.persons("secadmin1").await.grant_role(request).await;
    assert_eq!(refusal(answer), Code::FailedPrecondition);
    let person = CreatePersonRequest {
        request_id: request_id(),
        name: "王二".to_owned(),
        home_unit_id: world.unit("community1"),
        notice_version: "2026-01".to_owned(),
        ..Default::default()
    };
    let answer = world.persons("dispatcher").await.create_person(person).await;
    assert_eq!(refusal(answer), Code::FailedPrecondition);
}

#[tokio::test]
async fn nobody_who_governs_themselves_can_be_led() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let edge = |kind: EdgeKind, from: &str, to: &str| CreateAuthorityEdgeRequest {
        request_id: request_id(),
        edge: Some(AuthorityEdge {
            from_org_id: world.org(from),
            to_org_id: world.org(to),
            kind: kind as i32,
            ..Default::default()
        }),
    };
    for (from, to) in [("office1", "committee1"), ("gov", "garden"), ("office1", "garden")] {
        let error = admin.create_authority_edge(edge(EdgeKind::Leads, from, to)).await.unwrap_err();
        assert_eq!(crate::world::fields(&error), ["edge.kind"], "{from} → {to}");
    }
    assert!(world.service.drain_outbox().await.is_empty(), "nothing was stored or told");
    // The database itself refuses it, too.
    let forced = world
        .sql(
            "INSERT INTO authority_edges (edge_id, from_org_id, from_kind, to_org_id, to_kind, kind, valid_from, version)
             SELECT gen_random_uuid(), f.org_id, f.kind, t.org_id, t.kind, 1, now(), 1
               FROM organizations f, organizations t WHERE f.code = 'org:office1' AND t.code = 'org:committee1'",
        )
        .await;
    assert!(forced.unwrap_err().to_string().contains("invariant_a1"));

    let guides = edge(EdgeKind::Guides, "office1", "committee1");
    let made = admin.create_authority_edge(guides).await.unwrap().into_inner().edge.unwrap();
    let twice = edge(EdgeKind::Guides, "office1", "committee1");
    assert_eq!(refusal(admin.create_authority_edge(twice).await), Code::AlreadyExists);
    let list = ListAuthorityEdgesRequest { to_org_id: world.org("committee1"), ..Default::default() };
    assert_eq!(
        admin.list_authority_edges(list.clone()).await.unwrap().into_inner().edges,
        std::slice::from_ref(&made)
    );
    let end = EndAuthorityEdgeRequest { request_id: request_id(), edge_id: made.edge_id.clone() };
    let ended = admin.end_authority_edge(end).await.unwrap().into_inner().edge.unwrap();
    assert!(ended.valid_to.is_some());
    assert!(admin.list_authority_edges(list).await.unwrap().into_inner().edges.is_empty());
    let end = EndAuthorityEdgeRequest { request_id: request_id(), edge_id: made.edge_id };
    assert_eq!(refusal(admin.end_authority_edge(end).await), Code::FailedPrecondition);
    let events = world.service.drain_outbox().await;
    assert_eq!(events.iter().filter(|e| e.is::<AuthorityEdgeChanged>()).count(), 2);
}

#[tokio::test]
async fn organizations_are_made_listed_and_found() {
    let world = World::start().await;
    let mut admin = world.topology("sysadmin").await;
    let request = CreateOrganizationRequest {
        request_id: request_id(),
        organization: Some(Organization {
            code: "dept:housing".to_owned(),
            kind: OrganizationKind::Department as i32,
            name_zh: "区房管局".to_owned(),
            unit_id: world.unit("district"),
            line: "housing".to_owned(),
            ..Default::default()
        }),
    };
    let org = admin.create_organization(request.clone()).await.unwrap().into_inner().organization.unwrap();
    let again = CreateOrganizationRequest { request_id: request_id(), ..request };
    assert_eq!(refusal(admin.create_organization(again).await), Code::AlreadyExists);
    let mut anyone = world.topology("resident").await;
    let get = GetOrganizationRequest { org_id: org.org_id.clone() };
    assert_eq!(anyone.get_organization(get).await.unwrap().into_inner().organization.as_ref(), Some(&org));
    let list = ListOrganizationsRequest { kind: OrganizationKind::Department as i32, ..Default::default() };
    let found = anyone.list_organizations(list).await.unwrap().into_inner().organizations;
    assert_eq!(found.iter().map(|o| o.code.as_str()).collect::<Vec<_>>(), ["dept:housing", "org:civil"]);
}

#[tokio::test]
async fn only_the_system_administrator_changes_the_topology_and_only_within_reach() {
    let mut world = World::start().await;
    for login in ["secadmin1", "leader1", "worker1", "resident", "operator"] {
        let mut client = world.topology(login).await;
        let answer = client.create_unit(community(&world, "x")).await;
        assert_eq!(refusal(answer), Code::PermissionDenied, "{login}");
    }
    let mut anonymous = TopologyServiceClient::new(world.service.call_anonymously());
    assert_eq!(refusal(anonymous.create_unit(community(&world, "x")).await), Code::Unauthenticated);
    world.add_person("sysadmin2", Role::SystemAdmin, "street2", None, None).await;
    let mut elsewhere = world.topology("sysadmin2").await;
    assert_eq!(refusal(elsewhere.create_unit(community(&world, "x")).await), Code::NotFound);
}

#[tokio::test]
async fn a_service_takes_the_whole_topology_page_by_page() {
    let world = World::start().await;
    let secret = world.service.context.crypto.service_secret("staffing");
    let request = proto::identity::v1::IssueServiceTokenRequest { service: "staffing".to_owned(), secret };
    let issued = world.auth_anonymously().issue_service_token(request).await.unwrap().into_inner();
    let mut client = TopologyServiceClient::new(world.service.call_with(&issued.access_token));
    let (mut units, mut orgs, mut token) = (Vec::new(), Vec::new(), String::new());
    loop {
        let request = GetTopologySnapshotRequest { page_size: 2, page_token: token };
        let page = client.get_topology_snapshot(request).await.unwrap().into_inner();
        units.extend(page.units.into_iter().map(|unit| (unit.unit_id, unit.version.to_string())));
        orgs.extend(page.organizations.into_iter().map(|org| (org.org_id, org.version.to_string())));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((units.len(), orgs.len()), (world.units.len(), world.orgs.len()));
    // With what reconcile compares the copies that are made of it.
    let mut ops = OpsServiceClient::new(world.channel("operator").await);
    for (subject, held) in [("unit", units), ("organization", orgs)] {
        let request = ListDigestsRequest { subject: subject.to_owned(), ..Default::default() };
        let listed = ops.list_digests(request).await.unwrap().into_inner().digests;
        assert_eq!(listed.into_iter().map(|one| (one.key, one.value)).collect::<Vec<_>>(), held, "{subject}");
    }
    let request = ListDigestsRequest { subject: "case".to_owned(), ..Default::default() };
    assert_eq!(refusal(ops.list_digests(request).await), Code::InvalidArgument);
    let mut person = world.topology("dispatcher").await;
    let answer = person.get_topology_snapshot(GetTopologySnapshotRequest::default()).await;
    assert_eq!(refusal(answer), Code::PermissionDenied);
}
