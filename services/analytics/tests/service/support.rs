//! What the tests of the service share: a small district, stories of cases, and who asks.

pub mod story;

use analytics::App;
use chassis::{
    auth::Role,
    event::Event,
    grpc::PeerChannel,
    testing::{Persona, TestService},
    topology::{Changes, Unit, UnitKind, UnitState},
};
use proto::{
    analytics::v1::{indicator_service_client::IndicatorServiceClient, *},
    identity::v1::UnitChanged,
    ops::v1::{ListDigestsRequest, ops_service_client::OpsServiceClient},
};
use std::sync::Arc;
use uuid::Uuid;

pub type Client = IndicatorServiceClient<PeerChannel>;

pub const CITY: Uuid = Uuid::from_u128(0x10);
pub const DISTRICT: Uuid = Uuid::from_u128(0x11);
pub const MANCHUN: Uuid = Uuid::from_u128(0x12);
pub const WANSONG: Uuid = Uuid::from_u128(0x13);
/// Two communities of the first street, one of the second.
pub const COMMUNITIES: [Uuid; 3] = [Uuid::from_u128(0x14), Uuid::from_u128(0x15), Uuid::from_u128(0x16)];

/// What the two communities of the first street become.
pub const NEXT: Uuid = Uuid::from_u128(0x17);

fn unit(id: Uuid, parent_id: Option<Uuid>, kind: UnitKind, code: &str, name_zh: &str) -> Unit {
    Unit {
        id,
        code: code.to_owned(),
        code_system: "statistics".to_owned(),
        code_year: 2023,
        kind,
        name_zh: name_zh.to_owned(),
        name_en: code.to_owned(),
        parent_id,
        state: UnitState::Active,
        valid_from: None,
        valid_to: None,
        version: 1,
        successor_id: None,
        moved: false,
        path: Arc::from([id]),
    }
}

/// A city with one district, two streets and three communities.
pub fn topology() -> Changes {
    let [a, b, c] = COMMUNITIES;
    Changes {
        units: vec![
            unit(CITY, None, UnitKind::City, "4201", "武汉市"),
            unit(DISTRICT, Some(CITY), UnitKind::District, "420103", "江汉区"),
            unit(MANCHUN, Some(DISTRICT), UnitKind::Street, "420103005", "满春街"),
            unit(WANSONG, Some(DISTRICT), UnitKind::Street, "420103008", "万松街"),
            unit(a, Some(MANCHUN), UnitKind::Community, "420103005001", "甲社区"),
            unit(b, Some(MANCHUN), UnitKind::Community, "420103005002", "乙社区"),
            unit(c, Some(WANSONG), UnitKind::Community, "420103008001", "丙社区"),
        ],
        ..Changes::default()
    }
}

/// The service with the district in place; domain time stands at 2026-03-02 09:00 in Shanghai.
pub async fn start() -> TestService<App> {
    TestService::<App>::builder().topology(topology()).start().await
}

/// Units become one, from the first of March on; what is right below them and in force lies below that then.
pub async fn merge(service: &TestService<App>, from: &[Uuid], next: Uuid) {
    let topology = service.context.topology.load();
    let known = |id: Uuid| Unit::clone(&topology.unit(id).expect("a unit"));
    let begins = Some(story::at("2026-03-01", 0));
    let first = known(from[0]);
    let mut told = vec![Unit { id: next, code: next.to_string(), valid_from: begins, version: 1, ..first }];
    for id in from {
        let unit = known(*id);
        let version = unit.version + 1;
        let successor_id = Some(next);
        told.push(Unit { state: UnitState::Merged, valid_to: begins, successor_id, version, ..unit });
        let children = topology.children(*id).iter().filter(|child| child.state == UnitState::Active);
        told.extend(children.map(|child| Unit {
            parent_id: Some(next),
            version: child.version + 1,
            ..Unit::clone(child)
        }));
    }
    for unit in told {
        let changed = UnitChanged { unit_id: unit.id.to_string(), unit: Some((&unit).into()) };
        let now = service.clock().now();
        service.deliver(Event::of("identity", now, unit.id, unit.version, &changed)).await;
    }
}

pub fn analyst() -> Persona {
    Persona::new(Role::Analyst, DISTRICT)
}

pub fn client(service: &TestService<App>, persona: &Persona) -> Client {
    IndicatorServiceClient::new(service.call_as(persona))
}

pub async fn board(service: &TestService<App>, persona: &Persona, unit: Option<Uuid>) -> GetBoardResponse {
    let unit_id = unit.map(|id| id.to_string()).unwrap_or_default();
    let request = GetBoardRequest { unit_id, ..Default::default() };
    client(service, persona).get_board(request).await.expect("a board").into_inner()
}

pub async fn digest(service: &TestService<App>) -> GetRollupDigestResponse {
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    client(service, &operator)
        .get_rollup_digest(GetRollupDigestRequest::default())
        .await
        .expect("a digest")
        .into_inner()
}

pub async fn rebuild(service: &TestService<App>, request_id: Uuid) -> RebuildRollupsResponse {
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let request = RebuildRollupsRequest { request_id: request_id.to_string() };
    client(service, &operator).rebuild_rollups(request).await.expect("a rebuild").into_inner()
}

/// All digests of a subject, page by page.
pub async fn digests(service: &TestService<App>, subject: &str, page_size: i32) -> Vec<(String, String)> {
    let operator = Persona::new(Role::ItOperator, DISTRICT);
    let mut ops = OpsServiceClient::new(service.call_as(&operator));
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListDigestsRequest { subject: subject.to_owned(), page_size, page_token };
        let page = ops.list_digests(request).await.expect("digests").into_inner();
        all.extend(page.digests.into_iter().map(|d| (d.key, d.value)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// Events of several stories, one of each in turn.
pub fn in_turn(stories: &[story::Story]) -> Vec<Event> {
    let longest = stories.iter().map(|s| s.events.len()).max().unwrap_or_default();
    (0..longest).flat_map(|n| stories.iter().filter_map(move |s| s.events.get(n).cloned())).collect()
}
