//! Wires identity: keys, vault, sign-ins, RPCs, and the housekeeping beside them.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chassis::{
    Clock, Error, Result, RoutesBuilder,
    clock::rest,
    db::Db,
    lifecycle::{Built, Context, Service},
    put_off::PutOff,
};
use diesel_migrations::EmbeddedMigrations;
use proto::identity::v1::{
    auth_service_server::AuthServiceServer, duty_authority_service_server::DutyAuthorityServiceServer,
    person_service_server::PersonServiceServer, topology_service_server::TopologyServiceServer,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    consumer::IdentityConsumer,
    digest::Digests,
    domain::{login::FORGET_FAILURES, session::GRACE},
    keyring::{self, KeyRing},
    password::Passwords,
    rpc::{Identity, Parts},
    sign_in::SignIns,
    store::{self, accounts, people::People, sessions},
};

/// How often keys are read again and what has run out is put away, in real time.
const HOUSEKEEPING: Duration = keyring::RELOAD;

/// How long ended sessions are kept.
const KEEP_SESSIONS: chrono::TimeDelta = chrono::TimeDelta::days(30);

/// The service.
#[derive(Debug)]
pub struct App;

impl Service for App {
    const NAME: &'static str = "identity";

    fn migrations() -> EmbeddedMigrations {
        store::MIGRATIONS
    }

    async fn build(context: Context) -> anyhow::Result<Built> {
        let config: Config = context.config.section()?;
        let (db, clock, crypto) = (context.db.clone(), context.clock.clone(), context.crypto.clone());
        let keys = KeyRing::open(&db, crypto.clone(), clock.clone(), context.keys.clone())
            .await
            .map_err(|error| anyhow::anyhow!(error.chain()))
            .context("opening the signing keys; is this the key file of this database?")?;
        let keys = Arc::new(keys);
        let passwords = Passwords::new(&config)?;
        let revocations = context.topology.revocations().clone();
        let sign_ins = SignIns::new(
            db.clone(),
            crypto.clone(),
            clock.clone(),
            keys.clone(),
            passwords.clone(),
            revocations.clone(),
            context.config.auth.clone(),
            config,
        );
        let people = People::new(crypto.clone());
        let consumer = IdentityConsumer::new(crypto.clone());
        let parts = Parts { db: db.clone(), clock, crypto, people, passwords, sign_ins, keys, revocations };
        let identity = Identity::new(parts);

        let mut routes = RoutesBuilder::default();
        routes
            .add_service(AuthServiceServer::new(identity.clone()))
            .add_service(TopologyServiceServer::new(identity.clone()))
            .add_service(PersonServiceServer::new(identity.clone()))
            .add_service(DutyAuthorityServiceServer::new(identity.clone()));
        Ok(Built::new(routes)
            .consumer(consumer)
            .background(keep_house(identity.clone(), context.stop.clone()))
            .background(follow_time(identity, context.clock, context.stop))
            .digests(Digests::new(db)))
    }
}

/// Reads rotated keys and puts away what has run out, in real time. A failure is logged and tried again.
async fn keep_house(identity: Identity, stop: CancellationToken) -> Result<(), Error> {
    while stop.run_until_cancelled(tokio::time::sleep(HOUSEKEEPING)).await.is_some() {
        if let Err(error) = tidy(&identity.db, &identity.clock, &identity.keys).await {
            tracing::warn!(error = %error.chain(), "housekeeping failed");
        }
    }
    Ok(())
}

async fn tidy(db: &Db, clock: &Clock, keys: &KeyRing) -> Result<()> {
    keys.reload().await?;
    if clock.is_astray() {
        return Ok(()); // what it says has run out may be in force
    }
    let now = clock.real_now();
    let mut conn = db.conn().await?;
    sessions::clean(&mut conn, now - GRACE, now - KEEP_SESSIONS).await?;
    accounts::forget_failures(&mut conn, now - FORGET_FAILURES).await
}

/// Begins and ends grants as their time comes, in domain time: also when it jumps, but not by a clock that is wrong.
async fn follow_time(identity: Identity, clock: Clock, stop: CancellationToken) -> Result<(), Error> {
    let mut jumps = clock.jumps();
    let mut put_off = PutOff::default();
    loop {
        let turned = if clock.is_astray() { Ok((0, 0)) } else { turn_grants(&identity, &mut put_off).await };
        match turned {
            Ok((0, 0)) => {}
            Ok((begun, ended)) => {
                tracing::info!(begun, ended, "grants have begun or run out");
                continue; // there may be more
            }
            Err(error) => tracing::warn!(error = %error.chain(), "grants could not be begun or ended"),
        }
        if !rest(&mut jumps, HOUSEKEEPING, &stop).await {
            return Ok(());
        }
    }
}

/// How many grants began and ended. What ends does not wait for what cannot begin.
async fn turn_grants(identity: &Identity, put_off: &mut PutOff) -> Result<(usize, usize)> {
    let begun = identity.begin_grants(put_off).await;
    let ended = identity.expire_grants(put_off).await;
    Ok((begun?, ended?))
}
