//! The signing keys of access tokens: one signs, retired ones verify until their last token has run out. Kept sealed in
//! the database, so that replicas share them. A new key is published at once and signs later, when every replica has read
//! it; whoever asks for the published keys, or shows a token of an unknown one, has them read from the database anew.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use chassis::{
    Clock, Error, Result, Timestamp,
    auth::{Claims, FetchKeys, KeySource, Signer, jwks, public_jwk},
    crypto::Crypto,
    db::{Db, Tx},
};
use chrono::TimeDelta;
use diesel_async::AsyncPgConnection;

use crate::{domain::session::ACCESS_LIFE, store::keys};

/// Purpose under which secret keys are sealed.
const SEAL: &str = "signing_key";

/// How often each replica reads the keys again.
pub const RELOAD: Duration = Duration::from_secs(15);

/// How long a new key is published before it signs: twice [`RELOAD`], so that one reading may fail.
pub const PUBLISHED_FIRST: TimeDelta = TimeDelta::seconds(30);

/// How long beyond the life of its last token a retired key verifies: clocks and copies may lag.
const OVERLAP: TimeDelta = TimeDelta::minutes(5);

/// The keys in force.
#[derive(Debug)]
pub struct KeyRing {
    shelf: Shelf,
    source: KeySource,
}

/// Where the keys come from and what was read last. Cheap to clone; clones share it.
#[derive(Clone)]
struct Shelf {
    db: Db,
    crypto: Crypto,
    clock: Clock,
    state: Arc<ArcSwap<State>>,
}

struct State {
    /// Keys that sign from an instant on, the latest first; never empty.
    signers: Vec<(Timestamp, Signer)>,
    jwks: String,
}

impl State {
    /// The key that signs at `now`.
    fn signer(&self, now: Timestamp) -> Option<&Signer> {
        let begun = self.signers.iter().find(|(from, _)| *from <= now);
        begun.or_else(|| self.signers.last()).map(|(_, signer)| signer)
    }
}

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.load();
        let kids: Vec<_> = state.signers.iter().map(|(_, signer)| signer.kid()).collect();
        f.debug_struct("Shelf").field("kids", &kids).finish_non_exhaustive()
    }
}

impl Shelf {
    /// Reads the keys again; gives the published ones.
    async fn read(&self) -> Result<String> {
        let state = read(&mut *self.db.conn().await?, &self.crypto, self.clock.real_now()).await?;
        let jwks = state.jwks.clone();
        self.state.store(Arc::new(state));
        Ok(jwks)
    }
}

#[async_trait]
impl FetchKeys for Shelf {
    async fn fetch(&self) -> Result<String> {
        self.read().await
    }
}

impl KeyRing {
    /// Reads the keys, makes the first one when there is none, and gives the public halves to `source`, which from now
    /// on asks the database for keys it does not know.
    ///
    /// # Errors
    /// `Internal` when a stored key cannot be opened, such as with another key file.
    pub async fn open(db: &Db, crypto: Crypto, clock: Clock, source: KeySource) -> Result<Self> {
        let real_now = clock.real_now();
        let state = db
            .transaction(async |tx: &mut Tx<'_>| {
                keys::lock(tx.conn).await?;
                if keys::load(tx.conn, real_now).await?.iter().all(|key| !key.signs) {
                    add(tx.conn, &crypto, real_now, real_now).await?;
                }
                read(tx.conn, &crypto, real_now).await
            })
            .await?;
        source.replace(&state.jwks)?;
        let shelf = Shelf { db: db.clone(), crypto, clock, state: Arc::new(ArcSwap::from_pointee(state)) };
        source.ask(shelf.clone());
        Ok(Self { shelf, source })
    }

    /// Reads the keys again: another replica may have rotated them.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn reload(&self) -> Result<()> {
        self.source.replace(&self.shelf.read().await?)
    }

    /// Makes a new key that signs after [`PUBLISHED_FIRST`], when the present one retires, in the caller's transaction;
    /// gives its id. [`reload`](Self::reload) after the commit.
    ///
    /// # Errors
    /// Database errors.
    pub async fn rotate(&self, tx: &mut Tx<'_>) -> Result<String> {
        let now = self.shelf.clock.real_now();
        let turn = now + PUBLISHED_FIRST;
        keys::lock(tx.conn).await?;
        keys::forget(tx.conn, now).await?;
        keys::retire(tx.conn, turn, turn + ACCESS_LIFE + OVERLAP).await?;
        add(tx.conn, &self.shelf.crypto, now, turn).await
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// `Internal` when the claims cannot be encoded.
    pub fn sign(&self, claims: &Claims) -> Result<String> {
        let state = self.shelf.state.load();
        let signer = state.signer(self.shelf.clock.real_now());
        signer.ok_or_else(|| Error::internal("there is no signing key"))?.sign(claims)
    }

    /// The public keys as JWK set JSON, as they are in the database now; as they were read last when it is away.
    pub async fn jwks(&self) -> String {
        if let Err(error) = self.reload().await {
            tracing::warn!(error = %error.chain(), "the signing keys could not be read again");
        }
        self.shelf.state.load().jwks.clone()
    }
}

async fn add(
    conn: &mut AsyncPgConnection,
    crypto: &Crypto,
    now: Timestamp,
    signs_from: Timestamp,
) -> Result<String> {
    let seed: [u8; 32] = rand::random();
    let signer = Signer::from_seed(&seed)?;
    let sealed = crypto.seal(SEAL, &seed, signer.kid().as_bytes());
    keys::insert(conn, signer.kid(), &sealed, signer.public(), now, signs_from).await?;
    Ok(signer.kid().to_owned())
}

async fn read(conn: &mut AsyncPgConnection, crypto: &Crypto, now: Timestamp) -> Result<State> {
    let rows = keys::load(conn, now).await?;
    let (mut signers, mut public) = (Vec::new(), Vec::with_capacity(rows.len()));
    for row in &rows {
        if row.signs {
            let seed = crypto.open(SEAL, &row.seed_sealed, row.key_id.as_bytes())?;
            let seed: [u8; 32] =
                seed.try_into().map_err(|_| Error::internal("a signing key has a wrong length"))?;
            signers.push((row.signs_from, Signer::from_seed(&seed)?));
        }
        let key: &[u8; 32] = row
            .public_key
            .as_slice()
            .try_into()
            .map_err(|_| Error::internal("a public key has a wrong length"))?;
        public.push(public_jwk(&row.key_id, key));
    }
    if signers.is_empty() {
        return Err(Error::internal("there is no signing key"));
    }
    Ok(State { signers, jwks: jwks(&public) })
}
