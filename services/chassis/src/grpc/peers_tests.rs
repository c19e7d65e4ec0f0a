//! Channels against a small identity: the service token is fetched once and renewed, keys are fetched, a service that
//! starts empty takes the topology, and a service whose secret is wrong gets nothing.

use std::sync::{
    Mutex,
    atomic::{AtomicI64, AtomicUsize, Ordering},
};

use proto::identity::v1::{
    self as wire,
    auth_service_server::{AuthService, AuthServiceServer},
    topology_service_server::{TopologyService, TopologyServiceServer},
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request as Rpc};

use super::*;
use crate::{
    auth::{AUDIENCE, Caller, Claims, Gate, KeySource, Signer, Verifier, jwks},
    clock::{self, new_id},
    config::ServiceConfig,
    error::RpcResult,
    grpc::{GuardLayer, RoutesBuilder, bind, serve, with_health_and_reflection},
    topology::{Feed, Shared},
};

/// Identity as far as services call it.
struct Identity {
    signer: Signer,
    issued: AtomicUsize,
    valid_seconds: AtomicI64,
    callers: Mutex<Vec<String>>,
    units: Vec<wire::Unit>,
}

const SECRET: &str = "of staffing";

impl Identity {
    async fn start(units: Vec<wire::Unit>) -> (Arc<Self>, BTreeMap<String, String>, CancellationToken) {
        let identity = Arc::new(Self {
            signer: Signer::from_seed(&[4; 32]).unwrap(),
            issued: AtomicUsize::new(0),
            valid_seconds: AtomicI64::new(600),
            callers: Mutex::default(),
            units,
        });
        let keys = KeySource::local();
        keys.replace(&jwks([&identity.signer.jwk()])).unwrap();
        let config = ServiceConfig::for_service("identity");
        let gate = Gate::new(Verifier::new(keys, Clock::system(), &config.auth), Arc::default());
        let mut routes = RoutesBuilder::default();
        routes.add_service(AuthServiceServer::from_arc(identity.clone()));
        routes.add_service(TopologyServiceServer::from_arc(identity.clone()));
        let (routes, _health) = with_health_and_reflection(routes).await.unwrap();
        let (listener, addr) = bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let stop = CancellationToken::new();
        let layer = GuardLayer::new(&config, gate, Arc::default());
        tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, routes, layer, &config.grpc, stop).await }
        });
        let addresses = BTreeMap::from([("identity".to_owned(), format!("http://{addr}"))]);
        (identity, addresses, stop)
    }

    fn peers(addresses: &BTreeMap<String, String>, secret: &str) -> Peers {
        Peers::new("staffing", addresses, SecretString::from(secret), Clock::system()).unwrap()
    }
}

#[tonic::async_trait]
impl AuthService for Identity {
    async fn get_jwks(&self, _: Rpc<wire::GetJwksRequest>) -> RpcResult<wire::GetJwksResponse> {
        Ok(tonic::Response::new(wire::GetJwksResponse { jwks_json: jwks([&self.signer.jwk()]) }))
    }

    async fn issue_service_token(
        &self,
        request: Rpc<wire::IssueServiceTokenRequest>,
    ) -> RpcResult<wire::IssueServiceTokenResponse> {
        let request = request.into_inner();
        self.issued.fetch_add(1, Ordering::SeqCst);
        if request.secret != SECRET {
            return Err(Error::Unauthenticated.into());
        }
        let now = Clock::system().real_now();
        let seconds = self.valid_seconds.load(Ordering::SeqCst);
        let claims = Claims::service(&request.service, "jianghan", AUDIENCE).valid_for(now, seconds);
        let expires = now + chrono::TimeDelta::seconds(seconds);
        Ok(tonic::Response::new(wire::IssueServiceTokenResponse {
            access_token: self.signer.sign(&claims)?,
            access_expire_time: Some(clock::to_proto(expires)),
        }))
    }

    async fn sign_in(&self, _: Rpc<wire::SignInRequest>) -> RpcResult<wire::SignInResponse> {
        Err(Status::unimplemented(""))
    }
    async fn refresh_token(
        &self,
        _: Rpc<wire::RefreshTokenRequest>,
    ) -> RpcResult<wire::RefreshTokenResponse> {
        Err(Status::unimplemented(""))
    }
    async fn sign_out(&self, _: Rpc<wire::SignOutRequest>) -> RpcResult<wire::SignOutResponse> {
        Err(Status::unimplemented(""))
    }
    async fn get_self(&self, _: Rpc<wire::GetSelfRequest>) -> RpcResult<wire::GetSelfResponse> {
        Err(Status::unimplemented(""))
    }
    async fn rotate_keys(&self, _: Rpc<wire::RotateKeysRequest>) -> RpcResult<wire::RotateKeysResponse> {
        Err(Status::unimplemented(""))
    }
}

/// A method that no test calls.
macro_rules! not_called {
    ($($method:ident: $request:ident => $response:ident;)*) => {
        #[tonic::async_trait]
        impl TopologyService for Identity {
            async fn get_topology_snapshot(
                &self,
                request: Rpc<wire::GetTopologySnapshotRequest>,
            ) -> RpcResult<wire::GetTopologySnapshotResponse> {
                self.callers.lock().unwrap().push(Caller::of(&request)?.actor_ref);
                // One unit a page.
                let at: usize = request.get_ref().page_token.parse().unwrap_or(0);
                let next = if at + 1 < self.units.len() { (at + 1).to_string() } else { String::new() };
                Ok(tonic::Response::new(wire::GetTopologySnapshotResponse {
                    units: self.units.get(at).cloned().into_iter().collect(),
                    next_page_token: next,
                    ..Default::default()
                }))
            }
            $(async fn $method(&self, _: Rpc<wire::$request>) -> RpcResult<wire::$response> {
                Err(Status::unimplemented(""))
            })*
        }
    };
}
not_called! {
    list_units: ListUnitsRequest => ListUnitsResponse;
    get_unit: GetUnitRequest => GetUnitResponse;
    create_unit: CreateUnitRequest => CreateUnitResponse;
    update_unit: UpdateUnitRequest => UpdateUnitResponse;
    merge_units: MergeUnitsRequest => MergeUnitsResponse;
    list_organizations: ListOrganizationsRequest => ListOrganizationsResponse;
    get_organization: GetOrganizationRequest => GetOrganizationResponse;
    create_organization: CreateOrganizationRequest => CreateOrganizationResponse;
    list_authority_edges: ListAuthorityEdgesRequest => ListAuthorityEdgesResponse;
    create_authority_edge: CreateAuthorityEdgeRequest => CreateAuthorityEdgeResponse;
    end_authority_edge: EndAuthorityEdgeRequest => EndAuthorityEdgeResponse;
}

async fn snapshot(peers: &Peers) -> std::result::Result<(), Status> {
    use proto::identity::v1::topology_service_client::TopologyServiceClient;
    let mut client = TopologyServiceClient::new(peers.channel("identity").unwrap());
    client.get_topology_snapshot(wire::GetTopologySnapshotRequest::default()).await.map(drop)
}

#[tokio::test]
async fn a_service_calls_as_itself_with_one_token_until_it_nears_its_end() {
    let (identity, addresses, _stop) = Identity::start(Vec::new()).await;
    let peers = Identity::peers(&addresses, SECRET);
    let calls = (0..10).map(|_| snapshot(&peers));
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(identity.issued.load(Ordering::SeqCst), 1, "fetched once for all");
    assert!(identity.callers.lock().unwrap().iter().all(|caller| caller == "service:staffing"));

    // A token with less than two minutes left is renewed at the next call.
    identity.valid_seconds.store(100, Ordering::SeqCst);
    let peers = Identity::peers(&addresses, SECRET);
    snapshot(&peers).await.unwrap();
    snapshot(&peers).await.unwrap();
    assert_eq!(identity.issued.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_wrong_secret_gives_no_token() {
    let (_identity, addresses, _stop) = Identity::start(Vec::new()).await;
    let refused = snapshot(&Identity::peers(&addresses, "guessed")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn without_identity_a_call_is_unavailable_and_an_unknown_peer_a_defect() {
    let nowhere = BTreeMap::from([("identity".to_owned(), "http://127.0.0.1:1".to_owned())]);
    let peers = Identity::peers(&nowhere, SECRET);
    assert_eq!(snapshot(&peers).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(peers.channel("nobody").unwrap_err().code(), "internal");
    assert!(Peers::new("x", &BTreeMap::new(), SecretString::from(""), Clock::system()).is_err());
}

#[tokio::test]
async fn keys_come_from_identity_and_verify() {
    let (identity, addresses, _stop) = Identity::start(Vec::new()).await;
    let keys = KeySource::remote(Identity::peers(&addresses, SECRET).fetch_keys().unwrap());
    let verifier = Verifier::new(keys, Clock::system(), &ServiceConfig::for_service("x").auth);
    let claims = Claims::service("x", "jianghan", AUDIENCE).valid_for(Clock::system().real_now(), 60);
    verifier.verify(&identity.signer.sign(&claims).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_service_that_starts_empty_takes_the_topology_from_identity() {
    let ids = [new_id(), new_id(), new_id()];
    let units = ids
        .iter()
        .enumerate()
        .map(|(n, id)| wire::Unit {
            unit_id: id.to_string(),
            parent_id: n.checked_sub(1).map(|above| ids[above].to_string()).unwrap_or_default(),
            version: 1,
            ..wire::Unit::default()
        })
        .collect();
    let (_identity, addresses, _stop) = Identity::start(units).await;
    let test_db = crate::testing::TestDb::migrated("topology", no_migrations).await.unwrap();
    let db = test_db.connect("staffing", Clock::system()).await.unwrap();
    let shared = Arc::new(Shared::default());
    let peers = Identity::peers(&addresses, SECRET);
    let filling = Feed::new(shared.clone()).fill(db.clone(), peers, CancellationToken::new());
    tokio::time::timeout(Duration::from_secs(20), filling).await.unwrap().unwrap();
    assert_eq!(*shared.load().path(ids[2]).unwrap(), ids);
    let restarted = Shared::default();
    restarted.reload(&db).await.unwrap();
    assert_eq!(*restarted.load().path(ids[2]).unwrap(), ids);
}

#[tokio::test]
async fn events_that_come_before_the_snapshot_do_not_stand_for_it() {
    let wire =
        |id: uuid::Uuid, version| wire::Unit { unit_id: id.to_string(), version, ..wire::Unit::default() };
    let (early, old) = (new_id(), new_id());
    let (identity, addresses, _stop) = Identity::start(vec![wire(early, 1), wire(old, 1)]).await;
    let test_db = crate::testing::TestDb::migrated("topology", no_migrations).await.unwrap();
    let db = test_db.connect("staffing", Clock::system()).await.unwrap();
    let (shared, peers) = (Arc::new(Shared::default()), Identity::peers(&addresses, SECRET));
    let feed = Feed::new(shared.clone());
    // An event is quicker than identity's answer.
    let renamed = wire::Unit { name_zh: "新".to_owned(), ..wire(early, 2) };
    let changed = wire::UnitChanged { unit_id: early.to_string(), unit: Some(renamed) };
    let event = crate::event::Event::of("identity", Clock::system().now(), early, 2, &changed);
    let handled = async |tx: &mut crate::db::Tx<'_>| feed.handle(tx, &[event]).await;
    db.transaction(handled).await.unwrap();
    let fill = async |shared: &Arc<Shared>| {
        let filling = Feed::new(shared.clone()).fill(db.clone(), peers.clone(), CancellationToken::new());
        tokio::time::timeout(Duration::from_secs(20), filling).await.unwrap().unwrap();
    };
    fill(&shared).await;
    let known = shared.load();
    assert!(known.unit(old).is_some(), "what was there before the event is known");
    assert_eq!(known.unit(early).unwrap().name_zh, "新", "and the event's version holds");

    // It is taken once, however often the service starts.
    let asked = identity.callers.lock().unwrap().len();
    let restarted = Arc::new(Shared::default());
    restarted.reload(&db).await.unwrap();
    fill(&restarted).await;
    assert_eq!(identity.callers.lock().unwrap().len(), asked);
}

fn no_migrations() -> diesel_migrations::EmbeddedMigrations {
    diesel_migrations::embed_migrations!("src/testing/no_migrations")
}
