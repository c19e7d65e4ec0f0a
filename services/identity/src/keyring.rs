//! The signing keys of access tokens: one signs, retired ones verify until their last token has run out. Kept sealed in
//! the database, so that replicas share them; each replica reads them again every few seconds.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chassis::{
    Clock, Error, Result, Timestamp,
    auth::{Claims, KeySource, Signer, jwks, public_jwk},
    crypto::Crypto,
    db::{Db, Tx},
};
use chrono::TimeDelta;
use diesel_async::AsyncPgConnection;

use crate::{domain::session::ACCESS_LIFE, store::keys};

/// Purpose under which secret keys are sealed.
const SEAL: &str = "signing_key";

/// How long beyond the life of its last token a retired key verifies: clocks and copies may lag.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// The keys in force.
pub struct KeyRing {
    crypto: Crypto,
    clock: Clock,
    source: KeySource,
    state: ArcSwap<State>,
}

struct State {
    signer: Arc<Signer>,
    jwks: String,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRing").field("kid", &self.state.load().signer.kid()).finish_non_exhaustive()
    }
}

impl KeyRing {
    /// Reads the keys, makes the first one when there is none, and gives the public halves to `source`.
    ///
    /// # Errors
    /// `Internal` when a stored key cannot be opened, such as with another key file.
    pub async fn open(db: &Db, crypto: Crypto, clock: Clock, source: KeySource) -> Result<Self> {
        let real_now = clock.real_now();
        let state = db
            .transaction(async |tx: &mut Tx<'_>| {
                keys::lock(tx.conn).await?;
                if keys::load(tx.conn, real_now).await?.iter().all(|key| !key.signs) {
                    add(tx.conn, &crypto, real_now).await?;
                }
                read(tx.conn, &crypto, real_now).await
            })
            .await?;
        source.replace(&state.jwks)?;
        Ok(Self { crypto, clock, source, state: ArcSwap::from_pointee(state) })
    }

    /// Reads the keys again: another replica may have rotated them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn reload(&self, db: &Db) -> Result<()> {
        let state = read(&mut *db.conn().await?, &self.crypto, self.clock.real_now()).await?;
        self.source.replace(&state.jwks)?;
        self.state.store(Arc::new(state));
        Ok(())
    }

    /// Retires the signing key and makes a new one, in the caller's transaction; gives its id. [`reload`](Self::reload)
    /// after the commit.
    ///
    /// # Errors
    /// Database errors.
    pub async fn rotate(&self, tx: &mut Tx<'_>) -> Result<String> {
        let now = self.clock.real_now();
        keys::lock(tx.conn).await?;
        keys::forget(tx.conn, now).await?;
        keys::retire(tx.conn, now, now + ACCESS_LIFE + OVERLAP).await?;
        add(tx.conn, &self.crypto, now).await
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// `Internal` when the claims cannot be encoded.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        self.state.load().signer.sign(claims)
    }

    /// The public keys as JWK set JSON.
    pub fn jwks(&self) -> String {
        self.state.load().jwks.clone()
    }
}

async fn add(conn: &mut AsyncPgConnection, crypto: &Crypto, now: Timestamp) -> Result<String> {
    let seed: [u8; 32] = rand::random();
    let signer = Signer::from_seed(&seed)?;
    let sealed = crypto.seal(SEAL, &seed, signer.kid().as_bytes());
    keys::insert(conn, signer.kid(), &sealed, signer.public(), now).await?;
    Ok(signer.kid().to_owned())
}

async fn read(conn: &mut AsyncPgConnection, crypto: &Crypto, now: Timestamp) -> Result<State> {
    let rows = keys::load(conn, now).await?;
    let mut signer = None;
    let mut public = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.signs {
            let seed = crypto.open(SEAL, &row.seed_sealed, row.key_id.as_bytes())?;
            let seed: [u8; 32] =
                seed.try_into().map_err(|_| Error::internal("a signing key has a wrong length"))?;
            signer = Some(Arc::new(Signer::from_seed(&seed)?));
        }
        let key: &[u8; 32] = row
            .public_key
            .as_slice()
            .try_into()
            .map_err(|_| Error::internal("a public key has a wrong length"))?;
        public.push(public_jwk(&row.key_id, key));
    }
    let signer = signer.ok_or_else(|| Error::internal("there is no signing key"))?;
    Ok(State { signer, jwks: jwks(&public) })
}
