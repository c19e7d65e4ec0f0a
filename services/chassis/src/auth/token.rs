//! Access tokens: EdDSA JWTs, verified once and then remembered by their hash, because a signature check costs as much
//! as the rest of a call. The memory is bounded, and nothing in it outlives its token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::DateTime;
use jsonwebtoken::{Algorithm, Validation};
use proto::auth::v1::Role;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{KeySource, Scope};
use crate::{
    clock::{Clock, Timestamp},
    config::AuthConfig,
    error::{Error, Result},
};

/// `aud` of access tokens unless configured otherwise.
pub const AUDIENCE: &str = "jianghan";

/// The longest token looked at, in bytes.
const MAX_TOKEN: usize = 16 << 10;

/// Seconds by which clocks of services may differ.
pub(super) const LEEWAY: u64 = 5;

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer.
    pub iss: String,
    /// Audience.
    pub aud: String,
    /// Person, or the id of a service.
    pub sub: Uuid,
    /// Session.
    pub sid: Uuid,
    /// Pseudonym.
    pub act: String,
    /// Organisation the person acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Uuid>,
    /// Person or service.
    pub kind: TokenKind,
    /// Grants in force when the token was issued.
    #[serde(default)]
    pub grants: Vec<GrantClaim>,
    /// Issued at: seconds since the epoch, with fractions, so that a revocation bars what came before it and no more.
    pub iat: f64,
    /// Runs out at: seconds since the epoch.
    pub exp: i64,
}

/// A grant in a token: role number, unit, line (`null` for all), organisation, purposes (`null` for all of the role's).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrantClaim(
    pub i32,
    pub Uuid,
    pub Option<String>,
    pub Option<Uuid>,
    #[serde(default)] pub Option<Vec<String>>,
);

/// Whom a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// A person.
    Person,
    /// A service of the suite.
    Service,
}

impl Claims {
    /// Sets `iat` and `exp`: issued now, valid for `seconds`.
    pub fn valid_for(mut self, now: Timestamp, seconds: i64) -> Self {
        self.iat = now.timestamp_micros() as f64 / 1e6;
        self.exp = now.timestamp() + seconds;
        self
    }

    /// Claims of a service of the suite.
    pub fn service(service: &str, issuer: &str, audience: &str) -> Self {
        Self {
            iss: issuer.to_owned(),
            aud: audience.to_owned(),
            sub: super::service_id(service),
            sid: Uuid::nil(),
            act: format!("service:{service}"),
            org: None,
            kind: TokenKind::Service,
            grants: Vec::new(),
            iat: 0.0,
            exp: 0,
        }
    }
}

/// What a verified token says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Person, or the id of a service.
    pub subject: Uuid,
    /// Session.
    pub session_id: Uuid,
    /// Pseudonym.
    pub actor_ref: String,
    /// Organisation the person acts for.
    pub org_id: Option<Uuid>,
    /// Person or service.
    pub kind: TokenKind,
    /// Grants; those with an unknown role are left out.
    pub grants: Vec<Grant>,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it runs out.
    pub expires: Timestamp,
}

/// A grant of a verified token.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Role, unit, line, organisation.
    pub scope: Scope,
    /// Processing purposes it was given for; `None` means every purpose of the role.
    pub purposes: Option<Vec<String>>,
}

impl Grant {
    /// Whether it was given for a purpose. An RPC without a purpose asks for none.
    pub fn serves(&self, purpose: &str) -> bool {
        purpose.is_empty() || self.purposes.as_ref().is_none_or(|all| all.iter().any(|p| p == purpose))
    }
}

/// Verifies tokens against a key source and remembers the good ones.
#[derive(Debug)]
pub struct Verifier {
    keys: KeySource,
    clock: Clock,
    rules: Validation,
    cache: Cache,
}

impl Verifier {
    /// With the issuer and audience of the configuration.
    pub fn new(keys: KeySource, clock: Clock, config: &AuthConfig) -> Self {
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_audience(&[&config.audience]);
        rules.set_issuer(&[&config.issuer]);
        rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        rules.leeway = LEEWAY;
        Self { keys, clock, rules, cache: Cache::new(config.cache_size) }
    }

    /// What the token says.
    ///
    /// # Errors
    /// `Unauthenticated` for a token that is malformed, forged, for somebody else or run out; `Unavailable` when its key
    /// could not be fetched.
    pub async fn verify(&self, token: &str) -> Result<Arc<Verified>> {
        if token.len() > MAX_TOKEN {
            return Err(Error::Unauthenticated);
        }
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // The key of a remembered token may have been withdrawn meanwhile.
        let remembered = self.cache.get(&hash).filter(|entry| self.keys.known(&entry.kid).is_some());
        if let Some(Remembered { verified, .. }) = remembered {
            let late = verified.expires + chrono::TimeDelta::seconds(LEEWAY as i64) <= self.clock.real_now();
            return if late { Err(Error::Unauthenticated) } else { Ok(verified) };
        }
        let refused = |_| Error::Unauthenticated;
        let header = jsonwebtoken::decode_header(token).map_err(refused)?;
        let Some(kid) = header.kid.filter(|_| header.alg == Algorithm::EdDSA) else {
            return Err(Error::Unauthenticated);
        };
        let key = self.keys.key(&kid).await?.ok_or(Error::Unauthenticated)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &self.rules).map_err(refused)?.claims;
        let verified = Arc::new(Verified::try_from(claims)?);
        self.cache.put(hash, Remembered { kid: kid.into(), verified: verified.clone() });
        Ok(verified)
    }
}

impl TryFrom<Claims> for Verified {
    type Error = Error;

    fn try_from(claims: Claims) -> Result<Self> {
        let issued =
            DateTime::from_timestamp_micros((claims.iat * 1e6) as i64).ok_or(Error::Unauthenticated)?;
        let expires = DateTime::from_timestamp(claims.exp, 0).ok_or(Error::Unauthenticated)?;
        let grants = claims
            .grants
            .into_iter()
            .filter_map(|GrantClaim(role, unit_id, line, org_id, purposes)| {
                let role = Role::try_from(role).ok().filter(|role| *role != Role::Unspecified)?;
                Some(Grant { scope: Scope { role, unit_id, line, org_id }, purposes })
            })
            .collect();
        Ok(Self {
            subject: claims.sub,
            session_id: claims.sid,
            actor_ref: claims.act,
            org_id: claims.org,
            kind: claims.kind,
            grants,
            issued,
            expires,
        })
    }
}

/// Two generations of entries per shard: when the young one is full it becomes the old one and the old one goes. What
/// is used stays, what is not used leaves, and there are never more than two generations.
#[derive(Debug)]
struct Cache {
    shards: Vec<Mutex<Generations>>,
    per_shard: usize,
}

/// A token that was good.
#[derive(Clone, Debug)]
struct Remembered {
    /// The key it was signed by.
    kid: Arc<str>,
    verified: Arc<Verified>,
}

type Entries = HashMap<[u8; 32], Remembered>;

#[derive(Debug, Default)]
struct Generations {
    young: Entries,
    old: Entries,
}

const SHARDS: usize = 16;

impl Cache {
    fn new(size: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, per_shard: (size / SHARDS / 2).max(1) }
    }

    fn shard(&self, hash: &[u8; 32]) -> MutexGuard<'_, Generations> {
        self.shards[usize::from(hash[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, hash: &[u8; 32]) -> Option<Remembered> {
        let mut shard = self.shard(hash);
        if let Some(found) = shard.young.get(hash) {
            return Some(found.clone());
        }
        let found = shard.old.remove(hash)?;
        self.insert(&mut shard, *hash, found.clone());
        Some(found)
    }

    fn put(&self, hash: [u8; 32], entry: Remembered) {
        let mut shard = self.shard(&hash);
        self.insert(&mut shard, hash, entry);
    }

    fn insert(&self, shard: &mut Generations, hash: [u8; 32], entry: Remembered) {
        if shard.young.len() >= self.per_shard {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(hash, entry);
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
