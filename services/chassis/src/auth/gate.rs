//! The gate in front of every RPC: policy by path, token, revocation, grants. It knows nothing of the units a row
//! belongs to; reach is decided where the row is read.

use std::sync::Arc;

use http::{HeaderMap, header::AUTHORIZATION};

use super::{
    Access, Caller, CallerKind, Policy, PolicyTable, Revocations, RoleSet, TokenKind, Verified, Verifier,
};
use crate::error::{Error, Result};

/// Decides who passes.
#[derive(Debug)]
pub struct Gate {
    policies: PolicyTable,
    verifier: Verifier,
    revocations: Arc<Revocations>,
}

impl Gate {
    /// A gate over the suite's policies.
    pub fn new(verifier: Verifier, revocations: Arc<Revocations>) -> Self {
        Self { policies: PolicyTable::of_suite(), verifier, revocations }
    }

    /// The caller of a request to `path`; `None` for public RPCs.
    ///
    /// # Errors
    /// `Forbidden` when the method has no policy or the caller no grant it allows; `Unauthenticated` without a good
    /// token; `Unavailable` when the token's key could not be fetched.
    pub async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<Option<Caller>> {
        let Some(policy) = self.policies.get(path) else {
            return if PolicyTable::is_open(path) { Ok(None) } else { Err(Error::Forbidden) };
        };
        if policy.access == Access::Public {
            return Ok(None);
        }
        let token = bearer(headers).ok_or(Error::Unauthenticated)?;
        let verified = self.verifier.verify(token).await?;
        if self.revocations.bars(&verified) {
            return Err(Error::Unauthenticated);
        }
        permit(policy, &verified).map(Some)
    }

    /// The policies it enforces.
    pub fn policies(&self) -> &PolicyTable {
        &self.policies
    }
}

/// The token of an `authorization: Bearer …` header; two such headers are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let value = all.next().filter(|_| all.next().is_none())?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

fn permit(policy: &Policy, token: &Verified) -> Result<Caller> {
    let kind = match token.kind {
        TokenKind::Person => CallerKind::Person,
        TokenKind::Service => CallerKind::Service,
    };
    let given: Vec<_> = token.grants.iter().filter(|grant| grant.serves(&policy.purpose)).collect();
    let scopes: Vec<_> = match policy.access {
        Access::Roles(allowed) => {
            given.iter().map(|g| &g.scope).filter(|scope| allowed.contains(scope.role)).cloned().collect()
        }
        _ => given.iter().map(|grant| grant.scope.clone()).collect(),
    };
    let permitted = match policy.access {
        Access::Public => true,
        Access::Authenticated => kind == CallerKind::Person,
        Access::Service => kind == CallerKind::Service,
        Access::Roles(_) => kind == CallerKind::Person && !scopes.is_empty(),
    };
    if !permitted {
        return Err(Error::Forbidden);
    }
    let roles: RoleSet = scopes.iter().map(|scope| scope.role).collect();
    let named = token.grants.iter().filter_map(|grant| grant.scope.org_id);
    let mut held_orgs: Vec<_> = named.chain(token.org_id).collect();
    held_orgs.sort_unstable();
    held_orgs.dedup();
    Ok(Caller {
        person_id: token.subject,
        actor_ref: token.actor_ref.clone(),
        org_id: token.org_id,
        session_id: token.session_id,
        scopes,
        held_orgs,
        purpose: policy.purpose.clone(),
        roles,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use proto::auth::v1::Role;
    use uuid::Uuid;

    use super::*;
    use crate::{
        auth::{AUDIENCE, Claims, GrantClaim, KeySource, Signer, jwks},
        clock::{Clock, new_id},
        config::AuthConfig,
    };

    const SIGN_IN: &str = "/jianghan.identity.v1.AuthService/SignIn";
    const GET_SELF: &str = "/jianghan.identity.v1.AuthService/GetSelf";
    const SNAPSHOT: &str = "/jianghan.identity.v1.TopologyService/GetTopologySnapshot";
    const STATISTICS: &str = "/jianghan.ops.v1.OpsService/GetStatistics";

    struct World {
        gate: Gate,
        signer: Signer,
    }

    impl World {
        fn new() -> Self {
            let signer = Signer::from_seed(&[5; 32]).unwrap();
            let keys = KeySource::local();
            keys.replace(&jwks([&signer.jwk()])).unwrap();
            let verifier = Verifier::new(keys, Clock::system(), &AuthConfig::default());
            Self { gate: Gate::new(verifier, Arc::default()), signer }
        }

        fn person(&self, grants: &[(Role, Uuid)]) -> (Claims, HeaderMap) {
            let grants =
                grants.iter().map(|(role, unit)| GrantClaim(*role as i32, *unit, None, None, None)).collect();
            let claims = Claims {
                sub: new_id(),
                sid: new_id(),
                kind: TokenKind::Person,
                grants,
                ..Claims::service("x", "jianghan", AUDIENCE)
            };
            self.headers(claims)
        }

        fn headers(&self, claims: Claims) -> (Claims, HeaderMap) {
            let claims = claims.valid_for(Clock::system().real_now(), 600);
            let token = self.signer.sign(&claims).unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            (claims, headers)
        }
    }

    #[tokio::test]
    async fn only_allowed_grants_come_through() {
        let world = World::new();
        let (_, headers) = world.person(&[(Role::ItOperator, new_id()), (Role::Resident, new_id())]);
        let caller = world.gate.admit(STATISTICS, &headers).await.unwrap().unwrap();
        assert_eq!(caller.scopes.len(), 1);
        assert!(caller.has(Role::ItOperator) && !caller.has(Role::Resident));
        assert_eq!(caller.purpose, "operations");
        let caller = world.gate.admit(GET_SELF, &headers).await.unwrap().unwrap();
        assert_eq!(caller.scopes.len(), 2);
    }

    #[tokio::test]
    async fn whose_work_is_the_own_is_known_also_by_grants_that_do_not_count_here() {
        let world = World::new();
        let (own, other) = (new_id(), new_id());
        let of = |role: Role, org| GrantClaim(role as i32, new_id(), None, Some(org), None);
        let (_, headers) = world.headers(Claims {
            kind: TokenKind::Person,
            org: Some(own),
            grants: vec![of(Role::ItOperator, own), of(Role::DeptOfficer, other)],
            ..Claims::service("x", "jianghan", AUDIENCE)
        });
        let caller = world.gate.admit(STATISTICS, &headers).await.unwrap().unwrap();
        assert_eq!((caller.scopes.len(), caller.org_ids()), (1, vec![own]));
        let mut both = vec![own, other];
        both.sort_unstable();
        assert_eq!(caller.held_orgs, both);
    }

    #[tokio::test]
    async fn a_grant_counts_for_its_purposes_only() {
        let world = World::new();
        let of = |purposes: Option<&[&str]>| {
            let purposes = purposes.map(|all| all.iter().map(|p| (*p).to_owned()).collect());
            let grants = vec![GrantClaim(Role::ItOperator as i32, new_id(), None, None, purposes)];
            world.headers(Claims {
                kind: TokenKind::Person,
                grants,
                ..Claims::service("x", "jianghan", AUDIENCE)
            })
        };
        for (purposes, passes) in [
            (None, true),
            (Some(&["other", "operations"][..]), true),
            (Some(&["other"][..]), false),
            (Some(&[][..]), false),
        ] {
            let (_, headers) = of(purposes);
            assert_eq!(world.gate.admit(STATISTICS, &headers).await.is_ok(), passes, "{purposes:?}");
            let caller = world.gate.admit(GET_SELF, &headers).await.unwrap().unwrap();
            assert_eq!(caller.scopes.len(), 1, "an RPC without a purpose asks for none");
        }
    }

    #[tokio::test]
    async fn without_the_grant_it_is_forbidden_and_without_a_token_unauthenticated() {
        let world = World::new();
        let (_, headers) = world.person(&[(Role::Resident, new_id())]);
        assert!(matches!(world.gate.admit(STATISTICS, &headers).await, Err(Error::Forbidden)));
        assert!(matches!(world.gate.admit(SNAPSHOT, &headers).await, Err(Error::Forbidden)));
        let none = HeaderMap::new();
        assert!(matches!(world.gate.admit(STATISTICS, &none).await, Err(Error::Unauthenticated)));
        assert!(world.gate.admit(SIGN_IN, &none).await.unwrap().is_none());
        assert!(world.gate.admit("/grpc.health.v1.Health/Check", &none).await.unwrap().is_none());
        assert!(matches!(world.gate.admit("/x.Y/Z", &headers).await, Err(Error::Forbidden)));
    }

    #[tokio::test]
    async fn services_and_persons_do_not_pass_for_each_other() {
        let world = World::new();
        let (_, headers) = world.headers(Claims::service("staffing", "jianghan", AUDIENCE));
        let caller = world.gate.admit(SNAPSHOT, &headers).await.unwrap().unwrap();
        assert_eq!((caller.kind, caller.actor_ref.as_str()), (CallerKind::Service, "service:staffing"));
        assert!(matches!(world.gate.admit(GET_SELF, &headers).await, Err(Error::Forbidden)));
        let mut claims = Claims::service("staffing", "jianghan", AUDIENCE);
        claims.grants = vec![GrantClaim(Role::ItOperator as i32, new_id(), None, None, None)];
        let (_, headers) = world.headers(claims);
        assert!(matches!(world.gate.admit(STATISTICS, &headers).await, Err(Error::Forbidden)));
    }

    #[tokio::test]
    async fn a_revocation_bars_a_remembered_token_at_once() {
        let world = World::new();
        let (claims, headers) = world.person(&[(Role::ItOperator, new_id())]);
        assert!(world.gate.admit(STATISTICS, &headers).await.is_ok());
        world
            .gate
            .revocations
            .bar_session(claims.sid, Clock::system().real_now() + chrono::TimeDelta::minutes(10));
        assert!(matches!(world.gate.admit(STATISTICS, &headers).await, Err(Error::Unauthenticated)));
        let (claims, headers) = world.person(&[(Role::ItOperator, new_id())]);
        world.gate.revocations.bar_persons(&[claims.sub], Clock::system().real_now());
        assert!(matches!(world.gate.admit(STATISTICS, &headers).await, Err(Error::Unauthenticated)));
    }

    #[tokio::test]
    async fn odd_headers_are_no_credential() {
        let world = World::new();
        let (_, good) = world.person(&[(Role::ItOperator, new_id())]);
        let mut twice = good.clone();
        twice.append(AUTHORIZATION, "Bearer x".parse().unwrap());
        let token = good[AUTHORIZATION].to_str().unwrap().to_owned();
        for value in
            [token.replace("Bearer", "Basic"), "Bearer".to_owned(), "Bearer ".to_owned(), String::new()]
        {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            assert!(
                matches!(world.gate.admit(STATISTICS, &headers).await, Err(Error::Unauthenticated)),
                "{value}"
            );
        }
        assert!(matches!(world.gate.admit(STATISTICS, &twice).await, Err(Error::Unauthenticated)));
    }

    #[tokio::test]
    async fn no_rpc_but_the_public_ones_opens_without_a_token() {
        let world = World::new();
        for (path, policy) in PolicyTable::of_suite().iter() {
            let answer = world.gate.admit(path, &HeaderMap::new()).await;
            match policy.access {
                Access::Public => assert!(matches!(answer, Ok(None)), "{path}"),
                _ => assert!(matches!(answer, Err(Error::Unauthenticated)), "{path}"),
            }
        }
    }
}
