//! Attacks on access tokens: every one must end in `Unauthenticated`, and a good token must not.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::*;
use crate::auth::{FetchKeys, Signer, jwks};
use crate::clock::new_id;

fn signer(n: u8) -> Signer {
    Signer::from_seed(&[n; 32]).unwrap()
}

fn claims() -> Claims {
    Claims {
        sub: new_id(),
        sid: new_id(),
        act: "p-1".to_owned(),
        kind: TokenKind::Person,
        grants: vec![
            GrantClaim(Role::StreetDispatcher as i32, new_id(), Some("housing".to_owned()), None, None),
            GrantClaim(9999, new_id(), None, None, None),
        ],
        ..Claims::service("x", "jianghan", AUDIENCE)
    }
    .valid_for(Clock::system().real_now(), 600)
}

fn verifier() -> Verifier {
    let keys = KeySource::local();
    keys.replace(&jwks([&signer(1).jwk()])).unwrap();
    Verifier::new(keys, Clock::system(), &AuthConfig::default())
}

async fn refused(token: &str) {
    let error = verifier().verify(token).await.unwrap_err();
    assert!(matches!(error, Error::Unauthenticated), "{error:?}");
}

/// The good token with another header, payload or signature.
fn forged(header: Value, payload: Option<Value>, signature: Option<&str>) -> String {
    let good = signer(1).sign(&claims()).unwrap();
    let mut parts: Vec<String> = good.split('.').map(str::to_owned).collect();
    parts[0] = B64.encode(header.to_string());
    if let Some(payload) = payload {
        parts[1] = B64.encode(payload.to_string());
    }
    if let Some(signature) = signature {
        parts[2] = signature.to_owned();
    }
    parts.join(".")
}

#[tokio::test]
async fn a_good_token_is_taken_with_its_known_grants() {
    let claims = claims();
    let token = signer(1).sign(&claims).unwrap();
    let verifier = verifier();
    let verified = verifier.verify(&token).await.unwrap();
    assert_eq!(verified.subject, claims.sub);
    assert_eq!(verified.grants.len(), 1, "a role nobody knows gives nothing");
    assert_eq!(verified.grants[0].scope.line.as_deref(), Some("housing"));
    assert!(Arc::ptr_eq(&verified, &verifier.verify(&token).await.unwrap()), "verified once");
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let kid = signer(1).kid().to_owned();
    refused(&forged(json!({"alg": "none", "kid": kid}), None, Some(""))).await;
    refused(&forged(json!({"alg": "none", "kid": kid}), None, None)).await;
    refused(&forged(json!({"alg": "EdDSA", "kid": kid}), None, Some(""))).await;
}

#[tokio::test]
async fn the_public_key_is_no_hmac_secret() {
    let signer = signer(1);
    let header = Header { kid: Some(signer.kid().to_owned()), ..Header::new(Algorithm::HS256) };
    for secret in [signer.public().to_vec(), signer.jwk().to_string().into_bytes()] {
        let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        refused(&token).await;
    }
}

#[tokio::test]
async fn another_audience_issuer_or_key_is_refused() {
    refused(&signer(1).sign(&Claims { aud: "other".to_owned(), ..claims() }).unwrap()).await;
    refused(&signer(1).sign(&Claims { iss: "other".to_owned(), ..claims() }).unwrap()).await;
    refused(&signer(2).sign(&claims()).unwrap()).await;
    // Signed by another key under the name of ours, and by ours without a name.
    let kid = signer(1).kid().to_owned();
    let other = signer(2).sign(&claims()).unwrap();
    let (_, rest) = other.split_once('.').unwrap();
    refused(&format!("{}.{rest}", B64.encode(json!({"alg": "EdDSA", "kid": kid}).to_string()))).await;
    refused(&forged(json!({"alg": "EdDSA"}), None, None)).await;
}

#[tokio::test]
async fn a_changed_payload_is_refused() {
    let mut payload = serde_json::to_value(claims()).unwrap();
    payload["grants"] = json!([[Role::SecurityAdmin as i32, new_id(), null, null]]);
    let header = json!({"alg": "EdDSA", "kid": signer(1).kid()});
    refused(&forged(header, Some(payload), None)).await;
}

#[tokio::test]
async fn a_token_that_has_run_out_is_refused() {
    let now = Clock::system().real_now();
    refused(&signer(1).sign(&claims().valid_for(now, -60)).unwrap()).await;
    let mut endless = serde_json::to_value(claims()).unwrap();
    endless.as_object_mut().unwrap().remove("exp");
    let header = Header { kid: Some(signer(1).kid().to_owned()), ..Header::new(Algorithm::EdDSA) };
    use ed25519_dalek::pkcs8::EncodePrivateKey;
    let der = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).to_pkcs8_der().unwrap();
    let key = EncodingKey::from_ed_der(der.as_bytes());
    refused(&jsonwebtoken::encode(&header, &endless, &key).unwrap()).await;
}

#[tokio::test]
async fn a_remembered_token_runs_out_too() {
    let verifier = verifier();
    let token = signer(1).sign(&claims()).unwrap();
    let verified = verifier.verify(&token).await.unwrap();
    let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let late = Clock::system().real_now() - chrono::TimeDelta::seconds(LEEWAY as i64 + 1);
    let verified = Arc::new(Verified { expires: late, ..(*verified).clone() });
    verifier.cache.put(hash, Remembered { kid: signer(1).kid().into(), verified });
    assert!(matches!(verifier.verify(&token).await, Err(Error::Unauthenticated)));
}

#[tokio::test]
async fn nonsense_is_refused() {
    for token in
        ["", ".", "..", "a.b.c", "Bearer", "\u{1F600}.\u{1F600}.\u{1F600}", &"x".repeat(MAX_TOKEN + 1)]
    {
        refused(token).await;
    }
}

struct Counting(AtomicUsize, Option<String>);

#[async_trait]
impl FetchKeys for Arc<Counting> {
    async fn fetch(&self) -> Result<String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.clone().ok_or_else(|| Error::unavailable("down"))
    }
}

#[tokio::test]
async fn unknown_keys_ask_identity_once_in_a_while_only() {
    let source = Arc::new(Counting(AtomicUsize::new(0), Some(jwks([&signer(1).jwk()]))));
    let keys = KeySource::remote(source.clone());
    let verifier = Verifier::new(keys, Clock::system(), &AuthConfig::default());
    verifier.verify(&signer(1).sign(&claims()).unwrap()).await.unwrap();
    for _ in 0..20 {
        let forged = signer(2).sign(&claims()).unwrap();
        assert!(matches!(verifier.verify(&forged).await, Err(Error::Unauthenticated)));
    }
    assert_eq!(source.0.load(Ordering::SeqCst), 1);
}

/// Identity whose published keys change.
struct Publishing(Mutex<Result<String>>, AtomicUsize);

#[async_trait]
impl FetchKeys for Arc<Publishing> {
    async fn fetch(&self) -> Result<String> {
        self.1.fetch_add(1, Ordering::SeqCst);
        match &*self.0.lock().unwrap() {
            Ok(jwks) => Ok(jwks.clone()),
            Err(error) => Err(Error::unavailable(error.to_string())),
        }
    }
}

impl Publishing {
    fn set(&self, answer: Result<String>) {
        *self.0.lock().unwrap() = answer;
    }
}

#[tokio::test]
async fn a_key_that_is_no_longer_published_verifies_nothing_not_even_what_was_remembered() {
    let identity =
        Arc::new(Publishing(Mutex::new(Ok(jwks([&signer(1).jwk(), &signer(2).jwk()]))), AtomicUsize::new(0)));
    let keys = KeySource::remote(identity.clone());
    let verifier = Verifier::new(keys.clone(), Clock::system(), &AuthConfig::default());
    let (old, new) = (signer(1).sign(&claims()).unwrap(), signer(2).sign(&claims()).unwrap());
    for token in [&old, &new] {
        verifier.verify(token).await.unwrap();
    }
    let stop = tokio_util::sync::CancellationToken::new();
    let renewing = tokio::spawn(keys.renew(std::time::Duration::from_millis(5), stop.clone()));
    identity.set(Ok(jwks([&signer(2).jwk()])));
    let forgotten = async {
        while verifier.verify(&old).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), forgotten).await.unwrap();
    assert!(matches!(verifier.verify(&old).await, Err(Error::Unauthenticated)));
    verifier.verify(&new).await.unwrap();

    // While identity is away, what is known goes on.
    identity.set(Err(Error::unavailable("away")));
    let asked = identity.1.load(Ordering::SeqCst);
    let asked_again = async {
        while identity.1.load(Ordering::SeqCst) < asked + 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), asked_again).await.unwrap();
    verifier.verify(&new).await.unwrap();
    stop.cancel();
    renewing.await.unwrap().unwrap();
}

#[tokio::test]
async fn while_identity_is_away_a_token_is_not_called_false() {
    let source = Arc::new(Counting(AtomicUsize::new(0), None));
    let verifier = Verifier::new(KeySource::remote(source.clone()), Clock::system(), &AuthConfig::default());
    for _ in 0..2 {
        let error = verifier.verify(&signer(1).sign(&claims()).unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    assert_eq!(source.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn while_identity_is_away_a_token_of_a_new_key_is_not_called_false_though_an_older_key_is_known() {
    let keys = KeySource::remote(Arc::new(Counting(AtomicUsize::new(0), None)));
    keys.replace(&jwks([&signer(1).jwk()])).unwrap();
    let verifier = Verifier::new(keys, Clock::system(), &AuthConfig::default());
    for _ in 0..2 {
        let error = verifier.verify(&signer(2).sign(&claims()).unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    }
    verifier.verify(&signer(1).sign(&claims()).unwrap()).await.unwrap();
}

#[test]
fn keys_of_other_kinds_are_left_out() {
    let keys = KeySource::local();
    let good = signer(1).jwk();
    let set = json!({"keys": [good, {"kty": "oct", "kid": "h", "k": "c2VjcmV0"}, {"kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "kid": "x", "x": good["x"]}, {"kty": "OKP", "crv": "Ed25519", "x": good["x"]}]});
    keys.replace(&set.to_string()).unwrap();
    assert!(keys.known(signer(1).kid()).is_some());
    for kid in ["h", "short", "x", ""] {
        assert!(keys.known(kid).is_none(), "{kid}");
    }
    assert!(keys.replace("not json").is_err());
    assert!(keys.known(signer(1).kid()).is_some(), "a broken answer takes nothing away");
}

#[test]
fn the_memory_is_bounded_and_keeps_what_is_used() {
    let cache = Cache::new(64);
    let entry = Remembered { kid: "k".into(), verified: Arc::new(Verified::try_from(claims()).unwrap()) };
    let key = |n: u32| -> [u8; 32] { Sha256::digest(n.to_be_bytes()).into() };
    cache.put(key(0), entry.clone());
    for n in 1..10_000 {
        cache.put(key(n), entry.clone());
        assert!(cache.get(&key(0)).is_some(), "used all the time");
    }
    let kept: usize =
        cache.shards.iter().map(|s| s.lock().unwrap()).map(|s| s.young.len() + s.old.len()).sum();
    assert!(kept <= 64 + SHARDS, "{kept}");
}
