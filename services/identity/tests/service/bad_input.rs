//! Bad input on every RPC of identity: `INVALID_ARGUMENT` naming the field, and nothing stored or told. That no RPC is
//! forgotten is read from the descriptors.

use std::collections::BTreeSet;

use crate::world::{World, fields, nobody, request_id};
use proto::{
    auth::v1::Role,
    identity::v1::{
        ApproveGrantRequest, AuthorityEdge, ChangePasswordRequest, CreateAccountRequest,
        CreateAuthorityEdgeRequest, CreateOrganizationRequest, CreatePersonRequest, CreateUnitRequest,
        EdgeKind, EndAuthorityEdgeRequest, FindPersonRequest, GetOrganizationRequest, GetPersonRequest,
        GetPersonTagsRequest, GetTopologySnapshotRequest, GetUnitRequest, GrantDutyAuthorityRequest,
        GrantRoleRequest, IssueServiceTokenRequest, ListAuthorityEdgesRequest, ListDutyAuthoritiesRequest,
        ListOrganizationsRequest, ListRoleGrantsRequest, ListUnitsRequest, MergeUnitsRequest, Organization,
        OrganizationKind, RefreshTokenRequest, RefuseDutyAuthorityRequest, ResetPasswordRequest,
        RevealPersonRequest, RevokeRoleRequest, RoleGrant, RotateKeysRequest, SignInRequest, Unit, UnitKind,
        UpdateUnitRequest, topology_service_client::TopologyServiceClient,
    },
};

/// Calls an RPC with variations of a good request; each must be refused naming its field. Notes the RPC as covered.
macro_rules! refused {
    ($seen:ident, $client:ident.$rpc:ident($good:expr), $($field:literal <= $change:expr),+ $(,)?) => {{
        $seen.insert(stringify!($rpc).to_owned());
        $(
            let request = varied($good, $change);
            let status = $client.$rpc(request).await.expect_err(concat!(stringify!($rpc), ": ", $field));
            assert_eq!(fields(&status), [$field], "{}: {}", stringify!($rpc), status.message());
        )+
    }};
}

fn varied<T>(mut request: T, change: fn(&mut T)) -> T {
    change(&mut request);
    request
}

fn unit() -> Unit {
    Unit {
        code: "x1".to_owned(),
        code_system: "test".to_owned(),
        code_year: 2023,
        kind: UnitKind::Community as i32,
        name_zh: "某".to_owned(),
        parent_id: nobody(),
        ..Default::default()
    }
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
}

fn bad_time() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 0, nanos: -1 })
}

#[tokio::test]
async fn every_rpc_names_the_field_and_stores_nothing() {
    let world = World::start().await;
    let mut seen = BTreeSet::new();
    let mut anyone = world.auth_anonymously();
    let mut topology = world.topology("sysadmin").await;
    let mut security = world.persons("secadmin1").await;
    let mut key_admin = world.auth_with(&world.sign_in("secadmin2").await.access_token);
    let mut worker = world.persons("worker1").await;
    let secret = world.service.context.crypto.service_secret("staffing");
    let request = IssueServiceTokenRequest { service: "staffing".to_owned(), secret };
    let token = anyone.issue_service_token(request).await.unwrap().into_inner().access_token;
    let mut service = TopologyServiceClient::new(world.service.call_with(&token));
    let mut arbiter = world.authorities("arbiter").await;
    let before = crate::world::dump(&world).await;

    refused!(
        seen,
        anyone.sign_in(SignInRequest { login: "worker1".to_owned(), password: "x".to_owned() }),
        "login" <= |r| r.login.clear(),
        "login" <= |r| r.login = "not a login!".to_owned(),
        "password" <= |r| r.password.clear(),
        "password" <= |r| r.password = "x".repeat(10_000),
    );
    refused!(seen, anyone.refresh_token(RefreshTokenRequest::default()), "refresh_token" <= |_| {});
    refused!(
        seen,
        anyone.issue_service_token(IssueServiceTokenRequest {
            service: "a".to_owned(),
            secret: "b".to_owned()
        }),
        "service" <= |r| r.service.clear(),
        "secret" <= |r| r.secret.clear(),
    );
    refused!(
        seen,
        key_admin.rotate_keys(RotateKeysRequest { request_id: request_id() }),
        "request_id" <= |r| r.request_id.clear(),
        "request_id" <= |r| r.request_id = "x".to_owned(),
    );
    // Not even a failed try is noted.
    refused!(
        seen,
        key_admin.change_password(ChangePasswordRequest {
            request_id: request_id(),
            current_password: "no-password-of-anybody".to_owned(),
            new_password: "a-fine-long-password".to_owned(),
        }),
        "request_id" <= |r| r.request_id.clear(),
        "current_password" <= |r| r.current_password.clear(),
        "current_password" <= |r| r.current_password = "x".repeat(10_000),
        "new_password" <= |r| r.new_password = "short".to_owned(),
        "new_password" <= |r| r.new_password = "长".repeat(100),
        "new_password" <= |r| r.new_password = "my-SecAdmin2-password".to_owned(),
        "new_password" <= |r| r.new_password.clone_from(&r.current_password),
    );

    refused!(
        seen,
        service.get_topology_snapshot(GetTopologySnapshotRequest::default()),
        "page_size" <= |r| r.page_size = -1,
        "page_token" <= |r| r.page_token = "%".to_owned(),
    );
    refused!(
        seen,
        topology.list_units(ListUnitsRequest::default()),
        "page_size" <= |r| r.page_size = -1,
        "page_token" <= |r| r.page_token = "e30".to_owned(),
        "parent_id" <= |r| r.parent_id = "x".to_owned(),
        "kind" <= |r| r.kind = 99,
        "at_time" <= |r| r.at_time = bad_time(),
    );
    refused!(seen, topology.get_unit(GetUnitRequest::default()), "unit_id" <= |_| {});
    refused!(
        seen,
        topology.create_unit(CreateUnitRequest { request_id: request_id(), unit: Some(unit()) }),
        "request_id" <= |r| r.request_id.clear(),
        "unit" <= |r| r.unit = None,
        "unit.kind" <= |r| r.unit.as_mut().unwrap().kind = 0,
        "unit.code" <= |r| r.unit.as_mut().unwrap().code = "街".to_owned(),
        "unit.code_system" <= |r| r.unit.as_mut().unwrap().code_system.clear(),
        "unit.code_year" <= |r| r.unit.as_mut().unwrap().code_year = 0,
        "unit.name_zh" <= |r| r.unit.as_mut().unwrap().name_zh = "字".repeat(81),
        "unit.name_en" <= |r| r.unit.as_mut().unwrap().name_en = "a\u{0}b".to_owned(),
        "unit.parent_id" <= |r| r.unit.as_mut().unwrap().parent_id.clear(),
    );
    let update = || UpdateUnitRequest {
        request_id: request_id(),
        unit_id: nobody(),
        version: 1,
        name_zh: "某".to_owned(),
        ..Default::default()
    };
    refused!(
        seen,
        topology.update_unit(update()),
        "request_id" <= |r| r.request_id.clear(),
        "unit_id" <= |r| r.unit_id.clear(),
        "version" <= |r| r.version = 0,
        "name_zh" <= |r| r.name_zh.clear(),
        "code" <= |r| r.code = "a b".to_owned(),
        "name_en" <= |r| r.name_en = "a".repeat(121),
        "update_mask" <= |r| r.update_mask = mask(&["name_zh", "parent_id"]),
        "name_zh"
            <= |r| {
                r.update_mask = mask(&["name_zh"]);
                r.name_zh.clear();
            },
        "code" <= |r| r.update_mask = mask(&["code"]),
    );
    let merge = || MergeUnitsRequest {
        request_id: request_id(),
        from_unit_ids: vec![nobody(), world.unit("community1")],
        successor: Some(unit()),
        effective_time: None,
    };
    refused!(
        seen,
        topology.merge_units(merge()),
        "request_id" <= |r| r.request_id.clear(),
        "from_unit_ids" <= |r| r.from_unit_ids.clear(),
        "from_unit_ids[1]" <= |r| r.from_unit_ids[1] = "x".to_owned(),
        "from_unit_ids[1]" <= |r| r.from_unit_ids[1] = r.from_unit_ids[0].clone(),
        "successor" <= |r| r.successor = None,
        "successor.code" <= |r| r.successor.as_mut().unwrap().code.clear(),
        "effective_time" <= |r| r.effective_time = bad_time(),
    );
    refused!(
        seen,
        topology.list_organizations(ListOrganizationsRequest::default()),
        "page_size" <= |r| r.page_size = -1,
        "page_token" <= |r| r.page_token = "%".to_owned(),
        "unit_id" <= |r| r.unit_id = "x".to_owned(),
        "kind" <= |r| r.kind = -3,
    );
    refused!(seen, topology.get_organization(GetOrganizationRequest::default()), "org_id" <= |_| {});
    let organization = || CreateOrganizationRequest {
        request_id: request_id(),
        organization: Some(Organization {
            code: "dept:x".to_owned(),
            kind: OrganizationKind::Department as i32,
            name_zh: "某局".to_owned(),
            unit_id: nobody(),
            line: "housing".to_owned(),
            ..Default::default()
        }),
    };
    refused!(
        seen,
        topology.create_organization(organization()),
        "request_id" <= |r| r.request_id.clear(),
        "organization" <= |r| r.organization = None,
        "organization.kind" <= |r| r.organization.as_mut().unwrap().kind = 0,
        "organization.code" <= |r| r.organization.as_mut().unwrap().code.clear(),
        "organization.name_zh" <= |r| r.organization.as_mut().unwrap().name_zh.clear(),
        "organization.unit_id" <= |r| r.organization.as_mut().unwrap().unit_id.clear(),
        "organization.line" <= |r| r.organization.as_mut().unwrap().line = "A B".to_owned(),
    );
    refused!(
        seen,
        topology.list_authority_edges(ListAuthorityEdgesRequest::default()),
        "page_size" <= |r| r.page_size = -1,
        "page_token" <= |r| r.page_token = "%".to_owned(),
        "from_org_id" <= |r| r.from_org_id = "x".to_owned(),
        "to_org_id" <= |r| r.to_org_id = "x".to_owned(),
    );
    let (gov, committee) = (world.org("gov"), world.org("committee1"));
    let edge = || CreateAuthorityEdgeRequest {
        request_id: request_id(),
        edge: Some(AuthorityEdge {
            from_org_id: gov.clone(),
            to_org_id: committee.clone(),
            kind: EdgeKind::Guides as i32,
            ..Default::default()
        }),
    };
    refused!(
        seen,
        topology.create_authority_edge(edge()),
        "request_id" <= |r| r.request_id.clear(),
        "edge" <= |r| r.edge = None,
        "edge.kind" <= |r| r.edge.as_mut().unwrap().kind = 0,
        "edge.kind" <= |r| r.edge.as_mut().unwrap().kind = EdgeKind::Leads as i32,
        "edge.from_org_id" <= |r| r.edge.as_mut().unwrap().from_org_id.clear(),
        "edge.to_org_id" <= |r| r.edge.as_mut().unwrap().to_org_id = "x".to_owned(),
        "edge.to_org_id"
            <= |r| {
                let e = r.edge.as_mut().unwrap();
                e.to_org_id = e.from_org_id.clone()
            },
        "edge.line" <= |r| r.edge.as_mut().unwrap().line = "A B".to_owned(),
    );
    refused!(
        seen,
        topology.end_authority_edge(EndAuthorityEdgeRequest { request_id: request_id(), edge_id: nobody() }),
        "request_id" <= |r| r.request_id.clear(),
        "edge_id" <= |r| r.edge_id.clear(),
    );

    let person = || CreatePersonRequest {
        request_id: request_id(),
        name: "王小明".to_owned(),
        home_unit_id: nobody(),
        notice_version: "1".to_owned(),
        ..Default::default()
    };
    refused!(
        seen,
        worker.create_person(person()),
        "request_id" <= |r| r.request_id = "x".to_owned(),
        "name" <= |r| r.name.clear(),
        "id_no" <= |r| r.id_no = "110105194912310021".to_owned(),
        "phone" <= |r| r.phone = "12".to_owned(),
        "birth_year" <= |r| r.birth_year = 1,
        "home_unit_id" <= |r| r.home_unit_id.clear(),
        "notice_version" <= |r| r.notice_version.clear(),
    );
    refused!(seen, worker.get_person(GetPersonRequest::default()), "person_id" <= |_| {});
    refused!(
        seen,
        worker.get_person_tags(GetPersonTagsRequest::default()),
        "person_id" <= |_| {},
        "person_id" <= |r| r.person_id = "x".to_owned(),
    );
    refused!(
        seen,
        worker.find_person(FindPersonRequest::default()),
        "phone" <= |_| {},
        "phone" <= |r| r.phone = "x".to_owned(),
        "id_no" <= |r| r.id_no = "x".to_owned(),
        "id_no"
            <= |r| {
                r.id_no = "11010519491231002X".to_owned();
                r.phone = "13900001234".to_owned()
            },
    );
    refused!(
        seen,
        worker.reveal_person(RevealPersonRequest { person_id: nobody(), reason_code: "visit".to_owned() }),
        "person_id" <= |r| r.person_id.clear(),
        "reason_code" <= |r| r.reason_code.clear(),
        "reason_code" <= |r| r.reason_code = "because I say so".to_owned(),
    );
    let resident = world.person("resident");
    let grant = || GrantRoleRequest {
        request_id: request_id(),
        grant: Some(RoleGrant {
            person_id: resident.clone(),
            role: Role::ServiceWorker as i32,
            unit_id: nobody(),
            ..Default::default()
        }),
    };
    refused!(
        seen,
        security.grant_role(grant()),
        "request_id" <= |r| r.request_id.clear(),
        "grant" <= |r| r.grant = None,
        "grant.role" <= |r| r.grant.as_mut().unwrap().role = 0,
        "grant.person_id" <= |r| r.grant.as_mut().unwrap().person_id.clear(),
        "grant.unit_id" <= |r| r.grant.as_mut().unwrap().unit_id.clear(),
        "grant.org_id" <= |r| r.grant.as_mut().unwrap().org_id = "x".to_owned(),
        "grant.line" <= |r| r.grant.as_mut().unwrap().line = "A B".to_owned(),
        "grant.purposes[0]" <= |r| r.grant.as_mut().unwrap().purposes = vec!["curiosity".to_owned()],
        "grant.valid_from" <= |r| r.grant.as_mut().unwrap().valid_from = bad_time(),
        "grant.valid_to" <= |r| r.grant.as_mut().unwrap().valid_to = Some(prost_types::Timestamp::default()),
    );
    refused!(
        seen,
        security.approve_grant(ApproveGrantRequest { request_id: request_id(), grant_id: nobody() }),
        "request_id" <= |r| r.request_id.clear(),
        "grant_id" <= |r| r.grant_id.clear(),
    );
    refused!(
        seen,
        security.revoke_role(RevokeRoleRequest { request_id: request_id(), grant_id: nobody() }),
        "request_id" <= |r| r.request_id.clear(),
        "grant_id" <= |r| r.grant_id.clear(),
    );
    refused!(
        seen,
        security.list_role_grants(ListRoleGrantsRequest::default()),
        "page_size" <= |r| r.page_size = -1,
        "page_token" <= |r| r.page_token = "%".to_owned(),
        "person_id" <= |r| r.person_id = "x".to_owned(),
    );
    let account = || CreateAccountRequest {
        request_id: request_id(),
        person_id: nobody(),
        login: "somebody".to_owned(),
        password: "a-fine-long-password".to_owned(),
    };
    refused!(
        seen,
        security.create_account(account()),
        "request_id" <= |r| r.request_id.clear(),
        "person_id" <= |r| r.person_id.clear(),
        "login" <= |r| r.login = "x".to_owned(),
        "password" <= |r| r.password = "short".to_owned(),
    );
    let password = || ResetPasswordRequest {
        request_id: request_id(),
        person_id: nobody(),
        password: "a-fine-long-password".to_owned(),
    };
    refused!(
        seen,
        security.reset_password(password()),
        "request_id" <= |r| r.request_id.clear(),
        "person_id" <= |r| r.person_id.clear(),
        "password" <= |r| r.password = "short".to_owned(),
        "password" <= |r| r.password = "长".repeat(100),
    );

    refused!(
        seen,
        arbiter.list_duty_authorities(ListDutyAuthoritiesRequest::default()),
        "page_size" <= |r| r.page_size = -1,
        "page_token" <= |r| r.page_token = "%".to_owned(),
    );
    let grant = || GrantDutyAuthorityRequest {
        duty_transfer_id: nobody(),
        request_id: request_id(),
        basis_ref: "doc:1".to_owned(),
    };
    refused!(
        seen,
        arbiter.grant_duty_authority(grant()),
        "request_id" <= |r| r.request_id.clear(),
        "duty_transfer_id" <= |r| r.duty_transfer_id = "x".to_owned(),
        "basis_ref" <= |r| r.basis_ref.clear(),
        "basis_ref" <= |r| r.basis_ref = "not a reference".to_owned(),
    );
    let refuse = || RefuseDutyAuthorityRequest {
        duty_transfer_id: nobody(),
        request_id: request_id(),
        reason_code: "no_competence".to_owned(),
    };
    refused!(
        seen,
        arbiter.refuse_duty_authority(refuse()),
        "request_id" <= |r| r.request_id.clear(),
        "duty_transfer_id" <= |r| r.duty_transfer_id.clear(),
        "reason_code" <= |r| r.reason_code = "because I say so".to_owned(),
    );

    assert_eq!(crate::world::dump(&world).await, before, "nothing was stored, told or answered for a repeat");
    let with_fields: BTreeSet<String> = proto::pool()
        .services()
        .filter(|service| service.package_name() == "jianghan.identity.v1")
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .filter(|method| method.input().fields().next().is_some())
        .map(|method| snake(method.name()))
        .collect();
    assert_eq!(seen, with_fields, "every RPC that takes something is tried");
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (n, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && n > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
