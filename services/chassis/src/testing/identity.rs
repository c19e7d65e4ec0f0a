//! Identity as far as services call it by themselves: tokens, keys and the topology, which a test holds in its hands.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use chrono::TimeDelta;
use proto::identity::v1::{
    self as wire,
    auth_service_server::{AuthService, AuthServiceServer},
    topology_service_server::{TopologyService, TopologyServiceServer},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use crate::{
    auth::{AUDIENCE, Caller, Claims, Gate, KeySource, Signer, Verifier, jwks},
    clock::{self, Clock},
    config::ServiceConfig,
    error::{Error, RpcResult},
    grpc::{GuardLayer, RoutesBuilder, bind, serve, with_health_and_reflection},
    topology::Changes,
};

/// A small identity that runs. It ends when it is dropped.
pub struct TestIdentity {
    /// Where it listens.
    pub addr: SocketAddr,
    state: Arc<State>,
    _serving: DropGuard,
}

struct State {
    secret: String,
    signer: Signer,
    issued: AtomicUsize,
    valid_seconds: AtomicI64,
    callers: Mutex<Vec<String>>,
    holds: Mutex<Changes>,
}

impl std::fmt::Debug for TestIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestIdentity").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl TestIdentity {
    /// Listens on a free port of this machine, knows services by this secret, and holds this topology.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(secret: &str, holds: Changes) -> Self {
        let state = Arc::new(State {
            secret: secret.to_owned(),
            signer: Signer::from_seed(&[4; 32]).expect("32 bytes are a key"),
            issued: AtomicUsize::new(0),
            valid_seconds: AtomicI64::new(600),
            callers: Mutex::default(),
            holds: Mutex::new(holds),
        });
        let keys = KeySource::local();
        keys.replace(&jwks([&state.signer.jwk()])).expect("a JWK set of our own");
        let config = ServiceConfig::for_service("identity");
        let gate = Gate::new(Verifier::new(keys, Clock::system(), &config.auth), Arc::default());
        let mut routes = RoutesBuilder::default();
        routes.add_service(AuthServiceServer::from_arc(state.clone()));
        routes.add_service(TopologyServiceServer::from_arc(state.clone()));
        let (routes, _health) = with_health_and_reflection(routes).await.expect("the descriptors are ours");
        let (listener, addr) = bind((Ipv4Addr::LOCALHOST, 0).into()).await.expect("a free port");
        let stop = CancellationToken::new();
        let layer = GuardLayer::new(&config, gate, Arc::default());
        tokio::spawn({
            let stop = stop.clone();
            async move { serve(listener, routes, layer, &config.grpc, stop).await }
        });
        Self { addr, state, _serving: stop.drop_guard() }
    }

    /// An address book that leads here.
    pub fn addresses(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("identity".to_owned(), format!("http://{}", self.addr))])
    }

    /// Holds another topology from now on. No event tells of it.
    pub fn holds(&self, topology: Changes) {
        *lock(&self.state.holds) = topology;
    }

    /// Tokens are valid for so many seconds from now on.
    pub fn tokens_last(&self, seconds: i64) {
        self.state.valid_seconds.store(seconds, Ordering::SeqCst);
    }

    /// How often a service asked for a token.
    pub fn issued(&self) -> usize {
        self.state.issued.load(Ordering::SeqCst)
    }

    /// Who asked for each page of a snapshot so far.
    pub fn callers(&self) -> Vec<String> {
        lock(&self.state.callers).clone()
    }

    /// Signs what it issues.
    pub fn signer(&self) -> &Signer {
        &self.state.signer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[tonic::async_trait]
impl AuthService for State {
    async fn get_jwks(&self, _: Request<wire::GetJwksRequest>) -> RpcResult<wire::GetJwksResponse> {
        Ok(Response::new(wire::GetJwksResponse { jwks_json: jwks([&self.signer.jwk()]) }))
    }

    async fn issue_service_token(
        &self,
        request: Request<wire::IssueServiceTokenRequest>,
    ) -> RpcResult<wire::IssueServiceTokenResponse> {
        let request = request.into_inner();
        self.issued.fetch_add(1, Ordering::SeqCst);
        if request.secret != self.secret {
            return Err(Error::Unauthenticated.into());
        }
        let now = Clock::system().real_now();
        let seconds = self.valid_seconds.load(Ordering::SeqCst);
        let claims = Claims::service(&request.service, "jianghan", AUDIENCE).valid_for(now, seconds);
        Ok(Response::new(wire::IssueServiceTokenResponse {
            access_token: self.signer.sign(&claims)?,
            access_expire_time: Some(clock::to_proto(now + TimeDelta::seconds(seconds))),
        }))
    }

    async fn sign_in(&self, _: Request<wire::SignInRequest>) -> RpcResult<wire::SignInResponse> {
        Err(Status::unimplemented(""))
    }

    async fn refresh_token(
        &self,
        _: Request<wire::RefreshTokenRequest>,
    ) -> RpcResult<wire::RefreshTokenResponse> {
        Err(Status::unimplemented(""))
    }

    async fn sign_out(&self, _: Request<wire::SignOutRequest>) -> RpcResult<wire::SignOutResponse> {
        Err(Status::unimplemented(""))
    }

    async fn change_password(
        &self,
        _: Request<wire::ChangePasswordRequest>,
    ) -> RpcResult<wire::ChangePasswordResponse> {
        Err(Status::unimplemented(""))
    }

    async fn get_self(&self, _: Request<wire::GetSelfRequest>) -> RpcResult<wire::GetSelfResponse> {
        Err(Status::unimplemented(""))
    }

    async fn rotate_keys(&self, _: Request<wire::RotateKeysRequest>) -> RpcResult<wire::RotateKeysResponse> {
        Err(Status::unimplemented(""))
    }
}

/// With the methods that no service calls by itself.
macro_rules! snapshots_and {
    ($($method:ident: $request:ident => $response:ident;)*) => {
        #[tonic::async_trait]
        impl TopologyService for State {
            async fn get_topology_snapshot(
                &self,
                request: Request<wire::GetTopologySnapshotRequest>,
            ) -> RpcResult<wire::GetTopologySnapshotResponse> {
                lock(&self.callers).push(Caller::of(&request)?.actor_ref);
                // One unit a page, all else with the last.
                let at: usize = request.get_ref().page_token.parse().unwrap_or(0);
                let held = lock(&self.holds);
                let mut page = wire::GetTopologySnapshotResponse {
                    units: held.units.get(at).map(wire::Unit::from).into_iter().collect(),
                    ..Default::default()
                };
                if at + 1 < held.units.len() {
                    page.next_page_token = (at + 1).to_string();
                } else {
                    page.organizations = held.orgs.iter().map(wire::Organization::from).collect();
                    page.edges = held.edges.iter().map(wire::AuthorityEdge::from).collect();
                }
                Ok(Response::new(page))
            }
            $(async fn $method(&self, _: Request<wire::$request>) -> RpcResult<wire::$response> {
                Err(Status::unimplemented(""))
            })*
        }
    };
}
snapshots_and! {
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
