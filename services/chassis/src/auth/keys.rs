//! Signing keys and the public keys that verify. Identity signs and publishes a JWK set; every other service fetches
//! it by RPC. It asks again, at most once a second, when a token names a key it does not know, and every few minutes in
//! any case: what is no longer published verifies nothing. Only Ed25519.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Claims;
use crate::error::{Error, Result};

/// At most one question to identity in this time, whatever tokens say.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// How often the whole set is taken anew.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(300);

/// Where a JWK set comes from.
#[async_trait]
pub trait FetchKeys: Send + Sync + 'static {
    /// The present JWK set as JSON.
    async fn fetch(&self) -> Result<String>;
}

/// The keys that verify tokens. Cheap to clone.
#[derive(Clone)]
pub struct KeySource(Arc<Inner>);

struct Inner {
    keys: ArcSwap<HashMap<String, Arc<DecodingKey>>>,
    remote: OnceLock<Remote>,
}

struct Remote {
    fetch: Box<dyn FetchKeys>,
    /// When identity was asked last, and whether it has answered.
    asked: Mutex<Option<(Instant, bool)>>,
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.0.keys.load();
        f.debug_struct("KeySource")
            .field("kids", &keys.keys())
            .field("remote", &self.0.remote.get().is_some())
            .finish()
    }
}

impl KeySource {
    /// Keys given by [`replace`](Self::replace): identity itself, and tests.
    pub fn local() -> Self {
        Self(Arc::new(Inner { keys: ArcSwap::default(), remote: OnceLock::new() }))
    }

    /// Keys fetched from identity.
    pub fn remote(fetch: impl FetchKeys) -> Self {
        let source = Self::local();
        source.ask(fetch);
        source
    }

    /// From now on asks `fetch` for keys it does not know. The first to be named stays.
    pub fn ask(&self, fetch: impl FetchKeys) {
        let _ = self.0.remote.set(Remote { fetch: Box::new(fetch), asked: Mutex::new(None) });
    }

    /// Takes the whole set anew every so often, so that a key that is no longer published is forgotten. While nobody
    /// answers, what is known stays.
    pub(crate) async fn renew(self, every: Duration, stop: CancellationToken) -> Result<()> {
        while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let Some(remote) = self.0.remote.get() else { continue };
            let outcome = remote.fetch.fetch().await.and_then(|jwks| self.replace(&jwks));
            if let Err(error) = outcome {
                tracing::warn!(error = %error.chain(), "the keys of access tokens could not be renewed");
            }
        }
        Ok(())
    }

    /// Puts a JWK set (JSON) in place. Keys that are not Ed25519 for signatures, or have no `kid`, are left out.
    ///
    /// # Errors
    /// `Internal` when the text is not a JWK set.
    pub fn replace(&self, jwks: &str) -> Result<()> {
        self.0.keys.store(Arc::new(parse(jwks)?));
        Ok(())
    }

    /// The key of this id, if it is known now.
    pub(super) fn known(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        self.0.keys.load().get(kid).cloned()
    }

    /// The key of this id; asks identity when it is not known and nobody asked just now. `None` is a forged or outdated
    /// token.
    ///
    /// # Errors
    /// `Unavailable` when identity could not be asked, so that the caller tries again instead of signing in anew.
    pub(super) async fn key(&self, kid: &str) -> Result<Option<Arc<DecodingKey>>> {
        if let Some(key) = self.known(kid) {
            return Ok(Some(key));
        }
        let Some(remote) = self.0.remote.get() else { return Ok(None) };
        let mut asked = remote.asked.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(Some(key)); // whoever held the lock has fetched it
        }
        let away = || Error::unavailable("the keys of access tokens are not reachable");
        if let Some((at, answered)) = *asked
            && at.elapsed() < REFRESH_EVERY
        {
            // A question that failed, or was given up, says nothing about the token.
            return if answered { Ok(None) } else { Err(away()) };
        }
        let now = Instant::now();
        *asked = Some((now, false));
        match remote.fetch.fetch().await {
            Ok(jwks) => self.replace(&jwks)?,
            Err(error) => {
                tracing::warn!(error = %error.chain(), "the keys of access tokens could not be fetched");
                return Err(away());
            }
        }
        *asked = Some((now, true));
        Ok(self.known(kid))
    }
}

fn parse(jwks: &str) -> Result<HashMap<String, Arc<DecodingKey>>> {
    #[derive(serde::Deserialize)]
    struct Set {
        keys: Vec<Jwk>,
    }
    #[derive(serde::Deserialize)]
    struct Jwk {
        kty: String,
        #[serde(default)]
        crv: String,
        #[serde(default)]
        kid: String,
        #[serde(default)]
        x: String,
    }
    let set: Set = serde_json::from_str(jwks).map_err(Error::internal)?;
    let keys = set.keys.into_iter().filter(|k| k.kty == "OKP" && k.crv == "Ed25519" && !k.kid.is_empty());
    Ok(keys
        .filter_map(|jwk| {
            let x = BASE64_URL_SAFE_NO_PAD.decode(&jwk.x).ok().filter(|x| x.len() == 32)?;
            Some((jwk.kid, Arc::new(DecodingKey::from_ed_der(&x))))
        })
        .collect())
}

/// A private key that signs access tokens; its id is derived from its public half.
pub struct Signer {
    kid: String,
    public: [u8; 32],
    key: EncodingKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl Signer {
    /// From the 32 secret bytes of an Ed25519 key.
    ///
    /// # Errors
    /// `Internal` when the key cannot be encoded, which does not happen for 32 bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self> {
        let signing = SigningKey::from_bytes(seed);
        let public = signing.verifying_key().to_bytes();
        let der = signing.to_pkcs8_der().map_err(|_| Error::internal("the signing key cannot be encoded"))?;
        let kid = BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(public)[..12]);
        Ok(Self { kid, public, key: EncodingKey::from_ed_der(der.as_bytes()) })
    }

    /// Key id: header of the tokens, name in the JWK set.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half as a JWK.
    pub fn jwk(&self) -> serde_json::Value {
        public_jwk(&self.kid, &self.public)
    }

    /// The 32 bytes of the public half.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs a token.
    ///
    /// # Errors
    /// `Internal` when the claims cannot be encoded.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(Error::internal)
    }
}

/// A public key as a JWK.
pub fn public_jwk(kid: &str, public: &[u8; 32]) -> serde_json::Value {
    json!({
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
        "kid": kid, "x": BASE64_URL_SAFE_NO_PAD.encode(public),
    })
}

/// A JWK set of these keys, as JSON text.
pub fn jwks<'a>(keys: impl IntoIterator<Item = &'a serde_json::Value>) -> String {
    json!({ "keys": keys.into_iter().collect::<Vec<_>>() }).to_string()
}
