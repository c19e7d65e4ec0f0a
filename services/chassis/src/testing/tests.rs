//! The whole chassis around a service that does next to nothing: start, admission, topology by events and by snapshot,
//! operations, time, stop.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use proto::{
    identity::v1 as wire,
    ops::v1::{self as ops, ops_service_client::OpsServiceClient},
};
use tonic::{Code, transport::Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use uuid::Uuid;

use super::*;
use crate::{
    Result, RoutesBuilder,
    auth::Role,
    clock::{self, new_id},
    db::Tx,
    event::{Emit, Event},
    inbox::Consumer,
    lifecycle::{Built, Context, Service},
    ops::{Digest, DigestSource, not_held},
    topology::{Changes, Unit},
};

/// A service with a consumer that answers each unit by an event of its own, and with three digests.
struct Echo;

/// No tables of its own.
const NONE: EmbeddedMigrations = embed_migrations!("src/testing/no_migrations");

impl Service for Echo {
    const NAME: &'static str = "case-routing";

    fn migrations() -> EmbeddedMigrations {
        NONE
    }

    async fn build(context: Context) -> anyhow::Result<Built> {
        let stop = context.stop.clone();
        Ok(Built::new(RoutesBuilder::default()).consumer(Answering).digests(Three).background(async move {
            stop.cancelled().await;
            Ok(())
        }))
    }
}

struct Answering;

/// A grant with this id is more than the consumer can take.
const POISON: &str = "poison";

#[async_trait]
impl Consumer for Answering {
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()> {
        for event in events.iter().filter(|event| event.is::<wire::RoleRevoked>()) {
            if event.decode::<wire::RoleRevoked>()?.grant_id == POISON {
                return Err(crate::Error::internal("poisoned by the test"));
            }
        }
        for event in events.iter().filter(|event| event.is::<wire::UnitChanged>()) {
            let merged =
                wire::UnitMerged { unit_id: event.partition_key.to_string(), ..wire::UnitMerged::default() };
            tx.emit(Emit::new(event.partition_key, event.aggregate_version, &merged));
        }
        Ok(())
    }
}

struct Three;

#[async_trait]
impl DigestSource for Three {
    async fn digests(&self, subject: &str, after: Option<String>, limit: i64) -> Result<Vec<Digest>> {
        if subject != "case" {
            return Err(not_held());
        }
        let all = ["a", "b", "c"].into_iter().filter(|k| after.as_deref() < Some(*k));
        Ok(all.take(limit as usize).map(|key| Digest::new(key, "1")).collect())
    }
}

fn operator() -> Persona {
    Persona::new(Role::ItOperator, new_id())
}

fn unit(id: Uuid, parent: Option<Uuid>, version: i64) -> wire::Unit {
    wire::Unit {
        unit_id: id.to_string(),
        code: format!("code-{id}"),
        kind: wire::UnitKind::Street.into(),
        name_zh: "前进街道".to_owned(),
        parent_id: parent.map(|p| p.to_string()).unwrap_or_default(),
        version,
        ..wire::Unit::default()
    }
}

fn changed(service: &TestService<Echo>, unit: wire::Unit) -> Event {
    let (id, version) = (unit.unit_id.parse().unwrap(), unit.version);
    let message = wire::UnitChanged { unit_id: unit.unit_id.clone(), unit: Some(unit) };
    Event::of("identity", service.clock().now(), id, version, &message)
}

#[tokio::test]
async fn a_service_tells_its_figures_to_operators_only() {
    let service = TestService::<Echo>::start().await;
    let ask = || ops::GetStatisticsRequest {};
    let figures =
        OpsServiceClient::new(service.call_as(&operator())).get_statistics(ask()).await.unwrap().into_inner();
    assert_eq!(figures.service, "case-routing");
    assert!(figures.rss_bytes > 0 && figures.start_time.is_some());
    let resident = Persona::resident(new_id());
    let refused = OpsServiceClient::new(service.call_as(&resident)).get_statistics(ask()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = OpsServiceClient::new(service.call_anonymously()).get_statistics(ask()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused =
        OpsServiceClient::new(service.call_as_service("staffing")).get_statistics(ask()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    service.stop().await;
}

#[tokio::test]
async fn units_come_by_events_in_any_order_and_twice_and_the_newest_wins() {
    let service = TestService::<Echo>::start().await;
    let (street, community) = (new_id(), new_id());
    let topology = || service.context.topology.load();
    let below = changed(&service, unit(community, Some(street), 2));
    service.deliver(below.clone()).await;
    service.deliver(below).await;
    service.deliver(changed(&service, unit(street, None, 1))).await;
    service.deliver(changed(&service, unit(community, None, 1))).await;
    service
        .wait_for("memory follows the commit", async || {
            topology().path(community).is_some_and(|p| p.len() == 2)
        })
        .await;
    assert_eq!(*topology().path(community).unwrap(), [street, community]);
    assert_eq!(topology().unit_by_code(&format!("code-{street}")).unwrap().id, street);

    // What the service's own consumer emitted: once per event, not per delivery.
    let emitted = service.drain_outbox().await;
    assert_eq!(emitted.len(), 3);
    assert!(emitted.iter().all(|event| event.is::<wire::UnitMerged>() && event.causation_id.is_some()));
    assert!(service.drain_outbox().await.is_empty());

    // Another replica reads the same from the database.
    let other = Arc::new(crate::topology::Shared::default());
    other.reload(service.db()).await.unwrap();
    assert_eq!(*other.load().path(community).unwrap(), [street, community]);
    assert_eq!(other.load().version(), topology().version());
}

#[tokio::test]
async fn a_revocation_bars_a_session_at_once_and_after_a_restart() {
    let service = TestService::<Echo>::start().await;
    let operator = operator();
    let mut client = OpsServiceClient::new(service.call_as(&operator));
    client.get_clock(ops::GetClockRequest {}).await.unwrap();
    let until = service.clock().real_now() + chrono::TimeDelta::minutes(10);
    let message = wire::SessionRevoked {
        person_id: operator.person_id.to_string(),
        session_id: operator.session_id.to_string(),
        expire_time: Some(clock::to_proto(until)),
    };
    service.deliver(Event::of("identity", service.clock().now(), operator.person_id, 1, &message)).await;
    let refused = client.get_clock(ops::GetClockRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let restarted = crate::topology::Shared::default();
    restarted.reload(service.db()).await.unwrap();
    assert_eq!(
        restarted.revocations().load().sessions.get(&operator.session_id),
        Some(&clock::to_micros(until))
    );
}

#[tokio::test]
async fn a_revocation_waits_for_no_poisoned_event_of_its_person_nor_for_itself() {
    let service = TestService::<Echo>::start().await;
    let now = service.clock().now();
    let until = Some(clock::to_proto(service.clock().real_now() + chrono::TimeDelta::minutes(10)));
    let refused = async |persona: &Persona| {
        let mut client = OpsServiceClient::new(service.call_as(persona));
        client.get_clock(ops::GetClockRequest {}).await.map(drop).map_err(|status| status.code())
    };
    let role_revoked = |persona: &Persona, grant_id: &str| wire::RoleRevoked {
        person_id: persona.person_id.to_string(),
        grant_id: grant_id.to_owned(),
        tokens_before_time: until,
        ..wire::RoleRevoked::default()
    };
    let (signed_out, demoted, poisonous) = (operator(), operator(), operator());
    for (persona, version) in [(&signed_out, 1), (&demoted, 1)] {
        assert_eq!(refused(persona).await, Ok(()));
        // Anything of this key that cannot be handled.
        let broken = wire::UnitChanged::default();
        service.deliver(Event::of("identity", now, persona.person_id, version, &broken)).await;
        assert_eq!(refused(persona).await, Ok(()));
    }
    let ended = wire::SessionRevoked {
        person_id: signed_out.person_id.to_string(),
        session_id: signed_out.session_id.to_string(),
        expire_time: until,
    };
    service.deliver(Event::of("identity", now, signed_out.person_id, 2, &ended)).await;
    assert_eq!(refused(&signed_out).await, Err(Code::Unauthenticated));
    service.deliver(Event::of("identity", now, demoted.person_id, 2, &role_revoked(&demoted, "g"))).await;
    assert_eq!(refused(&demoted).await, Err(Code::Unauthenticated));
    // A bar that cannot be read harms nobody else's.
    let unreadable = wire::SessionRevoked::default();
    service.deliver(Event::of("identity", now, demoted.person_id, 3, &unreadable)).await;

    let own = Event::of("identity", now, poisonous.person_id, 1, &role_revoked(&poisonous, POISON));
    service.deliver(own).await;
    assert_eq!(refused(&poisonous).await, Err(Code::Unauthenticated));
    let parked = crate::inbox::ops::list(service.db(), false, 0, 10).await.unwrap();
    assert_eq!(parked.len(), 6, "everything still waits to be handled in its order");
    let restarted = crate::topology::Shared::default();
    restarted.reload(service.db()).await.unwrap();
    assert_eq!(restarted.revocations().load().persons.len(), 2);
    assert_eq!(restarted.revocations().load().sessions.len(), 1);
}

#[tokio::test]
async fn domain_time_moves_forward_only_and_only_where_allowed() {
    let service = TestService::<Echo>::start().await;
    let mut client = OpsServiceClient::new(service.call_as(&operator()));
    let before = service.clock().now();
    let mut advance =
        async |offset_seconds| client.advance_clock(ops::AdvanceClockRequest { offset_seconds }).await;
    assert_eq!(advance(3_600).await.unwrap().into_inner().offset_seconds, 3_600);
    assert_eq!(advance(3_600).await.unwrap().into_inner().offset_seconds, 3_600, "asked again");
    assert_eq!(advance(60).await.unwrap().into_inner().offset_seconds, 3_600);
    assert_eq!(advance(-1).await.unwrap_err().code(), Code::InvalidArgument);
    let too_far = advance(21 * 366 * 86_400).await.unwrap_err();
    assert_eq!(too_far.code(), Code::InvalidArgument);
    assert!(too_far.message().contains("new data folder"), "{too_far}");
    assert_eq!(service.clock().now() - before, chrono::TimeDelta::hours(1));

    let service =
        TestService::<Echo>::builder().configure(|config| config.allow_time_travel = false).start().await;
    let mut client = OpsServiceClient::new(service.call_as(&operator()));
    let refused = client.advance_clock(ops::AdvanceClockRequest { offset_seconds: 60 }).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn who_does_not_know_what_time_it_is_lives_but_is_not_ready() {
    let hour = Duration::from_secs(3_600);
    let wrong = TestService::<Echo>::builder().machine_ahead_by(hour).start().await;
    assert!(wrong.clock().is_astray(), "from the start");
    let right = TestService::<Echo>::start().await;
    let told = async |service: &TestService<Echo>, name: &str| {
        let endpoint = Endpoint::from_shared(format!("http://{}", service.addr())).unwrap();
        let request = HealthCheckRequest { service: name.to_owned() };
        HealthClient::new(endpoint.connect_lazy()).check(request).await.unwrap().into_inner().status
    };
    for (service, found) in [(&wrong, 2), (&right, 1)] {
        service.wait_for("what was found is told", async || told(service, "").await == found).await;
        for (skew, ready) in [(3_600, 2), (0, 1), (-3_600, 2)] {
            service.clock().compared(chrono::TimeDelta::seconds(skew));
            service.wait_for("what is found is told", async || told(service, "").await == ready).await;
            assert_eq!(told(service, "live").await, 1);
        }
    }
}

#[tokio::test]
async fn digests_come_page_by_page() {
    let service = TestService::<Echo>::start().await;
    let mut client = OpsServiceClient::new(service.call_as(&operator()));
    let mut keys = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ops::ListDigestsRequest { subject: "case".to_owned(), page_size: 2, page_token };
        let page = client.list_digests(request).await.unwrap().into_inner();
        keys.extend(page.digests.into_iter().map(|digest| digest.key));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(keys, ["a", "b", "c"]);
    for (subject, page_size, token) in [("", 1, ""), ("cases", 1, ""), ("case", -1, ""), ("case", 1, "%")] {
        let request =
            ops::ListDigestsRequest { subject: subject.to_owned(), page_size, page_token: token.to_owned() };
        assert_eq!(client.list_digests(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn the_copy_of_the_topology_is_listed_with_its_versions() {
    let service = TestService::<Echo>::start().await;
    let now = service.clock().now();
    let mut units = Vec::new();
    for version in [3, 1, 2] {
        let id = new_id();
        service.deliver(changed(&service, unit(id, None, version))).await;
        units.push((id.to_string(), version.to_string()));
    }
    let (org_id, edge_id, unit_id) = (new_id(), new_id().to_string(), units[0].0.clone());
    let organization =
        wire::Organization { org_id: org_id.to_string(), unit_id, version: 4, ..Default::default() };
    let message = wire::OrganizationChanged { org_id: org_id.to_string(), organization: Some(organization) };
    service.deliver(Event::of("identity", now, org_id, 4, &message)).await;
    let edge = wire::AuthorityEdge {
        edge_id: edge_id.clone(),
        from_org_id: org_id.to_string(),
        to_org_id: org_id.to_string(),
        version: 5,
        ..Default::default()
    };
    let message = wire::AuthorityEdgeChanged { edge_id: edge_id.clone(), edge: Some(edge) };
    service.deliver(Event::of("identity", now, edge_id.parse().unwrap(), 5, &message)).await;

    let mut client = OpsServiceClient::new(service.call_as(&operator()));
    let mut list = async |subject: &str, page_token: String| {
        let request = ops::ListDigestsRequest { subject: subject.to_owned(), page_size: 2, page_token };
        let page = client.list_digests(request).await.unwrap().into_inner();
        let held: Vec<_> = page.digests.into_iter().map(|one| (one.key, one.value)).collect();
        (held, page.next_page_token)
    };
    let (first, token) = list("unit", String::new()).await;
    let (second, end) = list("unit", token).await;
    assert_eq!(([first, second].concat(), end.as_str()), (units, ""));
    let organizations = vec![(org_id.to_string(), "4".to_owned())];
    assert_eq!(list("organization", String::new()).await, (organizations, String::new()));
    assert_eq!(list("edge", String::new()).await, (vec![(edge_id, "5".to_owned())], String::new()));
    // Beside what the service has of its own.
    assert_eq!(list("case", String::new()).await.0.len(), 2);
    let token = crate::page::encode(&"no id");
    let request = ops::ListDigestsRequest { subject: "unit".to_owned(), page_size: 2, page_token: token };
    assert_eq!(client.list_digests(request).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_poisonous_event_is_parked_shown_redriven_and_skipped() {
    let service = TestService::<Echo>::start().await;
    let mut client = OpsServiceClient::new(service.call_as(&operator()));
    let id = new_id();
    let mut broken = unit(id, None, 1);
    broken.unit_id = "not a uuid".to_owned();
    let message = wire::UnitChanged { unit_id: id.to_string(), unit: Some(broken) };
    let event = Event::of("identity", service.clock().now(), id, 1, &message);
    service.deliver(event.clone()).await;

    let list = client.list_parked_events(ops::ListParkedEventsRequest::default()).await.unwrap().into_inner();
    assert_eq!(list.events.len(), 1);
    let event_id = event.id.to_string();
    assert_eq!(
        (list.events[0].event_id.as_str(), list.events[0].cause.as_str()),
        (event_id.as_str(), "invalid")
    );
    let shown =
        client.get_parked_event(ops::GetParkedEventRequest { event_id: event_id.clone() }).await.unwrap();
    assert!(shown.into_inner().event.unwrap().detail.contains("unit_id"));
    let redriven =
        client.redrive_event(ops::RedriveEventRequest { event_id: event_id.clone() }).await.unwrap();
    assert_eq!(redriven.into_inner().redriven, 1);
    let mut skip = async |reason: &str| {
        let request = ops::SkipEventRequest { event_id: event_id.clone(), reason_code: reason.to_owned() };
        client.skip_event(request).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(skip("no spaces please").await, Err(Code::InvalidArgument));
    assert_eq!(skip("malformed").await, Ok(()));
    assert_eq!(skip("another").await, Ok(()), "asked again, it answers the same");
    let unknown = ops::SkipEventRequest { event_id: new_id().to_string(), reason_code: "x".to_owned() };
    assert_eq!(client.skip_event(unknown).await.unwrap_err().code(), Code::NotFound);
    let given_up = client.redrive_event(ops::RedriveEventRequest { event_id }).await.unwrap_err();
    assert_eq!(given_up.code(), Code::NotFound, "what was given up is not tried again");
}

#[tokio::test]
async fn a_topology_can_be_in_place_from_the_start() {
    let id = new_id();
    let units = vec![Unit::try_from(unit(id, None, 1)).unwrap()];
    let topology = Changes { units, ..Changes::default() };
    let service = TestService::<Echo>::builder().topology(topology).start().await;
    assert_eq!(*service.context.topology.load().path(id).unwrap(), [id]);
}

/// A service whose timer fails.
struct Failing;

impl Service for Failing {
    const NAME: &'static str = "staffing";

    fn migrations() -> EmbeddedMigrations {
        NONE
    }

    async fn build(_context: Context) -> anyhow::Result<Built> {
        let timer = async { Err(crate::Error::internal("the timer broke")) };
        Ok(Built::new(RoutesBuilder::default()).background(timer))
    }
}

#[tokio::test]
async fn a_task_that_dies_takes_the_service_down_loudly() {
    let db = TestDb::migrated(Failing::NAME, Failing::migrations).await.unwrap();
    let mut config = crate::config::ServiceConfig::for_service(Failing::NAME);
    config.database = db.config();
    config.listen.set_port(0);
    let bus = Arc::new(crate::bus::InProcess::new(&[Failing::NAME], 1));
    let wiring = crate::lifecycle::Wiring {
        crypto: Some(crate::crypto::Crypto::ephemeral()),
        ..crate::lifecycle::Wiring::new(bus)
    };
    let mut running = crate::lifecycle::start::<Failing>(config, wiring).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), running.ended()).await.unwrap();
    let error = format!("{:#}", ended.unwrap_err());
    assert!(error.contains("the timer broke") && error.contains("staffing"), "{error}");
    running.stop().await.expect("it has ended, and told why");
}
