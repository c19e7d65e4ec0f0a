//! Channels against a small identity: the service token is fetched once and renewed, keys are fetched, a service that
//! starts takes what is new of the topology, and a service whose secret is wrong gets nothing.

use std::sync::Mutex;

use proto::identity::v1 as wire;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use uuid::Uuid;

use super::*;
use crate::{
    auth::{AUDIENCE, Claims, KeySource, Verifier},
    clock::new_id,
    config::ServiceConfig,
    db::{Db, Tx},
    event::Event,
    inbox::Consumer,
    testing::{TestDb, TestIdentity},
    topology::{Changes, Feed, Shared, Unit},
};

const SECRET: &str = "of staffing";

async fn identity(units: Vec<wire::Unit>) -> TestIdentity {
    TestIdentity::start(SECRET, holding(units)).await
}

fn holding(units: Vec<wire::Unit>) -> Changes {
    let units = units.into_iter().map(|unit| Unit::try_from(unit).unwrap()).collect();
    Changes { units, ..Changes::default() }
}

fn peers(addresses: &BTreeMap<String, String>, secret: &str) -> Peers {
    Peers::new("staffing", addresses, SecretString::from(secret), Clock::system()).unwrap()
}

async fn snapshot(peers: &Peers) -> std::result::Result<(), Status> {
    use proto::identity::v1::topology_service_client::TopologyServiceClient;
    let mut client = TopologyServiceClient::new(peers.channel("identity").unwrap());
    client.get_topology_snapshot(wire::GetTopologySnapshotRequest::default()).await.map(drop)
}

#[tokio::test]
async fn a_service_calls_as_itself_with_one_token_until_it_nears_its_end() {
    let identity = identity(Vec::new()).await;
    let calling = peers(&identity.addresses(), SECRET);
    let calls = (0..10).map(|_| snapshot(&calling));
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(identity.issued(), 1, "fetched once for all");
    assert!(identity.callers().iter().all(|caller| caller == "service:staffing"));

    // A token with less than two minutes left is renewed at the next call.
    identity.tokens_last(100);
    let calling = peers(&identity.addresses(), SECRET);
    snapshot(&calling).await.unwrap();
    snapshot(&calling).await.unwrap();
    assert_eq!(identity.issued(), 3);
}

#[tokio::test]
async fn a_wrong_secret_gives_no_token() {
    let identity = identity(Vec::new()).await;
    let refused = snapshot(&peers(&identity.addresses(), "guessed")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn without_identity_a_call_is_unavailable_and_an_unknown_peer_a_defect() {
    let nowhere = BTreeMap::from([("identity".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let calling = peers(&nowhere, SECRET);
    assert_eq!(snapshot(&calling).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(calling.channel("nobody").unwrap_err().code(), "internal");
    assert!(Peers::new("x", &BTreeMap::new(), SecretString::from(""), Clock::system()).is_err());
}

#[tokio::test]
async fn keys_come_from_identity_and_verify() {
    let identity = identity(Vec::new()).await;
    let keys = KeySource::remote(peers(&identity.addresses(), SECRET).fetch_keys().unwrap());
    let verifier = Verifier::new(keys, Clock::system(), &ServiceConfig::for_service("x").auth);
    let claims = Claims::service("x", "jianghan", AUDIENCE).valid_for(Clock::system().real_now(), 60);
    verifier.verify(&identity.signer().sign(&claims).unwrap()).await.unwrap();
}

/// A service over a database, as it starts: it knows what is there, and asks identity.
struct Starts<'a> {
    identity: &'a TestIdentity,
    db: Db,
    learnt: Arc<Learnt>,
    _test_db: TestDb,
}

/// What its consumer is told beside events.
#[derive(Default)]
struct Learnt(Mutex<Vec<Changes>>);

#[async_trait]
impl Consumer for Learnt {
    async fn handle(&self, _tx: &mut Tx<'_>, _events: &[Event]) -> Result<()> {
        Ok(())
    }

    async fn caught_up(&self, _tx: &mut Tx<'_>, changes: &Changes) -> Result<()> {
        self.0.lock().unwrap().push(changes.clone());
        Ok(())
    }
}

impl<'a> Starts<'a> {
    /// With an empty database.
    async fn over(identity: &'a TestIdentity) -> Self {
        let test_db = TestDb::migrated("topology", no_migrations).await.unwrap();
        let db = test_db.connect("staffing", Clock::system()).await.unwrap();
        Self { identity, db, learnt: Arc::default(), _test_db: test_db }
    }

    /// Starts, asks, and gives what it knows then.
    async fn once(&self) -> Arc<Shared> {
        let shared = Arc::new(Shared::default());
        shared.reload(&self.db).await.unwrap();
        self.asks(&shared).await;
        shared
    }

    async fn asks(&self, shared: &Arc<Shared>) {
        let peers = peers(&self.identity.addresses(), SECRET);
        let feed = Feed::new(shared.clone());
        let filling = feed.fill(self.db.clone(), peers, self.learnt.clone(), CancellationToken::new());
        tokio::time::timeout(Duration::from_secs(20), filling).await.unwrap().unwrap();
    }

    /// Handles an event that says how a unit is now.
    async fn hears(&self, shared: &Arc<Shared>, unit: wire::Unit) {
        let (id, version): (Uuid, i64) = (unit.unit_id.parse().unwrap(), unit.version);
        let changed = wire::UnitChanged { unit_id: unit.unit_id.clone(), unit: Some(unit) };
        let event = Event::of("identity", Clock::system().now(), id, version, &changed);
        let feed = Feed::new(shared.clone());
        let handled = async |tx: &mut Tx<'_>| feed.handle(tx, &[event]).await;
        self.db.transaction(handled).await.unwrap();
    }

    /// Versions of units that the consumer was told of, one list a time.
    fn learnt(&self) -> Vec<Vec<(String, i64)>> {
        let told = self.learnt.0.lock().unwrap();
        let units = |changes: &Changes| -> Vec<(String, i64)> {
            changes.units.iter().map(|unit| (unit.id.to_string(), unit.version)).collect()
        };
        told.iter().map(units).collect()
    }
}

fn unit(id: Uuid, version: i64) -> wire::Unit {
    wire::Unit { unit_id: id.to_string(), version, ..wire::Unit::default() }
}

#[tokio::test]
async fn a_service_that_starts_empty_takes_the_topology_from_identity() {
    let ids = [new_id(), new_id(), new_id()];
    let below = |(n, id): (usize, &Uuid)| wire::Unit {
        parent_id: n.checked_sub(1).map(|above| ids[above].to_string()).unwrap_or_default(),
        ..unit(*id, 1)
    };
    let identity = identity(ids.iter().enumerate().map(below).collect()).await;
    let service = Starts::over(&identity).await;
    assert_eq!(*service.once().await.load().path(ids[2]).unwrap(), ids);
    let restarted = Shared::default();
    restarted.reload(&service.db).await.unwrap();
    assert_eq!(*restarted.load().path(ids[2]).unwrap(), ids);
}

#[tokio::test]
async fn events_that_come_before_the_snapshot_do_not_stand_for_it() {
    let (early, old) = (new_id(), new_id());
    let identity = identity(vec![unit(early, 1), unit(old, 1)]).await;
    let service = Starts::over(&identity).await;
    let shared = Arc::new(Shared::default());
    // An event is quicker than identity's answer.
    service.hears(&shared, wire::Unit { name_zh: "新".to_owned(), ..unit(early, 2) }).await;
    service.asks(&shared).await;
    let known = shared.load();
    assert!(known.unit(old).is_some(), "what was there before the event is known");
    assert_eq!(known.unit(early).unwrap().name_zh, "新", "and the event's version holds");
    assert_eq!(service.learnt(), [[(old.to_string(), 1)]]);
}

#[tokio::test]
async fn a_copy_that_lost_an_event_is_brought_up_to_date_at_the_next_start() {
    let (renamed, new) = (new_id(), new_id());
    let identity = identity(vec![unit(renamed, 1)]).await;
    let service = Starts::over(&identity).await;
    let before = service.once().await.load().version();
    // What was under way when the backup was made is nowhere any more.
    identity.holds(holding(vec![wire::Unit { name_zh: "新".to_owned(), ..unit(renamed, 2) }, unit(new, 1)]));
    let shared = service.once().await;
    let known = shared.load();
    assert_eq!(known.unit(renamed).unwrap().name_zh, "新");
    assert!(known.unit(new).is_some());
    assert_eq!(known.version(), before + 1, "other replicas read it");
    let restarted = Shared::default();
    restarted.reload(&service.db).await.unwrap();
    assert_eq!(restarted.load().unit(renamed).unwrap().version, 2, "it is kept");

    // It is asked at every start. The same again changes nothing and is told to nobody, in whichever replica.
    let asked = identity.callers().len();
    assert_eq!(service.once().await.load().version(), before + 1);
    service.asks(&shared).await;
    assert!(Arc::ptr_eq(&shared.load(), &known), "nothing is made anew");
    let behind = Arc::new(Shared::default());
    service.asks(&behind).await;
    restarted.reload(&service.db).await.unwrap();
    assert_eq!(restarted.load().version(), before + 1, "also where memory lags behind");
    assert_eq!(identity.callers().len(), asked + 6, "two pages each time");
    // The event comes late after all.
    service.hears(&shared, unit(renamed, 2)).await;
    assert_eq!(shared.load().unit(renamed).unwrap().name_zh, "新");
    let mut both = vec![(renamed.to_string(), 2), (new.to_string(), 1)];
    both.sort_unstable();
    assert_eq!(service.learnt(), [vec![(renamed.to_string(), 1)], both]);
}

#[tokio::test]
async fn a_copy_that_is_newer_is_not_set_back_and_loses_nothing() {
    let (ended, made) = (new_id(), new_id());
    let identity = identity(vec![unit(ended, 1)]).await;
    let service = Starts::over(&identity).await;
    let shared = service.once().await;
    service.hears(&shared, wire::Unit { state: wire::UnitState::Merged.into(), ..unit(ended, 2) }).await;
    service.hears(&shared, unit(made, 1)).await;
    // The snapshot was read before either.
    let restarted = service.once().await;
    for known in [shared.load(), restarted.load()] {
        assert_eq!(known.unit(ended).unwrap().state, wire::UnitState::Merged);
        assert!(known.unit(made).is_some(), "what a snapshot does not have may be newer than it");
    }
    assert_eq!(service.learnt().len(), 1, "the first alone");
}

#[tokio::test]
async fn a_copy_asks_nothing_more_of_an_identity_that_has_nothing() {
    let id = new_id();
    let identity = identity(vec![unit(id, 1)]).await;
    let service = Starts::over(&identity).await;
    service.once().await;
    identity.holds(Changes::default());
    assert!(service.once().await.load().unit(id).is_some());
}

fn no_migrations() -> diesel_migrations::EmbeddedMigrations {
    diesel_migrations::embed_migrations!("src/testing/no_migrations")
}
