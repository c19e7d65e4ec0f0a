//! Seeds an empty identity with the demonstration district: units, organisations by template, edges by rule, people with
//! logins and generated passwords. Everything goes out as events, so that the other services learn it. A database that
//! holds units already is left alone.

mod accounts;
mod files;
mod people;
mod world;

use std::fmt;

use anyhow::{Context, Result};
use chassis::{
    Clock, Error, Timestamp,
    clock::new_id,
    crypto::Crypto,
    db::{Db, Tx},
};
use uuid::Uuid;

use self::{
    accounts::{Planned, plan_people},
    files::Files,
    world::{World, plan_edges},
};
use crate::{
    config::Config,
    domain::{
        GrantId, PersonId, facts,
        grant::{RoleGrant, RoleGrantState},
    },
    password::Passwords,
    store::{self, edges, grants, people::People, units},
};

/// Writes the report's passwords somewhere safe.
pub type Keep = Box<dyn FnOnce(&SeedReport) -> Result<()> + Send>;

/// What to seed.
#[derive(Default)]
pub struct SeedOptions {
    /// Only people of these streets (by code), of their communities and of the district; `None` means of all.
    pub streets: Option<Vec<String>>,
    /// At most so many residents; `None` means all of the file.
    pub residents: Option<u32>,
    /// The service's settings: how many passwords are hashed at once.
    pub config: Config,
    /// Called with the passwords just before the commit, so that a crash never leaves accounts nobody can enter. When
    /// it fails nothing is seeded.
    pub keep: Option<Keep>,
}

/// What was seeded.
#[derive(Clone, Debug, Default)]
pub struct SeedReport {
    /// Whether there was something already; then nothing was done.
    pub already: bool,
    /// Units.
    pub units: usize,
    /// Organisations.
    pub organizations: usize,
    /// Authority edges.
    pub edges: usize,
    /// Accounts with their passwords: the only time they are known.
    pub accounts: Vec<SeededAccount>,
}

/// An account with its password.
#[derive(Clone)]
pub struct SeededAccount {
    /// Login.
    pub login: String,
    /// Password in clear; it is kept nowhere else.
    pub password: String,
    /// Lower-case name of the role, such as `street_dispatcher`.
    pub role: String,
    /// Code of the unit of the grant.
    pub unit_code: String,
    /// Code of the organisation; empty when there is none.
    pub org_code: String,
    /// The person.
    pub person_id: Uuid,
    /// Pseudonym of the person, as events and other services show it.
    pub actor_ref: String,
    /// Line of the grant; `None` means every line.
    pub line: Option<String>,
}

impl fmt::Debug for SeededAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededAccount")
            .field("login", &self.login)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Seeds when empty.
///
/// # Errors
/// When a seed file contradicts itself, the database fails, or `keep` fails; then nothing is seeded.
pub async fn seed(db: &Db, crypto: &Crypto, clock: &Clock, options: SeedOptions) -> Result<SeedReport> {
    if !is_empty(db).await? {
        return Ok(SeedReport { already: true, ..SeedReport::default() });
    }
    let files = Files::load()?;
    let world = World::plan(&files)?;
    let edges = plan_edges(&files, &world)?;
    let planned = plan_people(&files, &world, &options, clock.now())?;
    let words = planned.iter().map(|p| p.account.password.clone()).collect();
    let hashes = Passwords::new(&options.config)?.hash_all(words).await?;

    let vault = People::new(crypto.clone());
    let mut report = SeedReport {
        already: false,
        units: world.order.len(),
        organizations: world.orgs.len(),
        edges: edges.len(),
        accounts: Vec::new(),
    };
    let real_now = clock.real_now();
    let outcome = db
        .transaction(async |tx: &mut Tx<'_>| {
            units::lock(tx.conn).await?;
            if !units::scan(tx.conn, Uuid::nil(), 1).await?.is_empty() {
                return Ok(None); // another process was faster
            }
            world.store(tx).await?;
            for edge in &edges {
                edges::insert(tx.conn, edge).await?;
                tx.emit(facts::authority_edge_changed(edge));
            }
            for (planned, hash) in planned.into_iter().zip(&hashes) {
                report.accounts.push(store_person(tx, &vault, planned, hash, real_now).await?);
            }
            if let Some(keep) = options.keep {
                keep(&report).map_err(|error| Error::internal(format!("{error:#}")))?;
            }
            Ok(Some(report))
        })
        .await;
    match outcome {
        Ok(Some(report)) => Ok(report),
        Ok(None) => Ok(SeedReport { already: true, ..SeedReport::default() }),
        Err(error) => Err(anyhow::anyhow!(error.chain())).context("seeding identity"),
    }
}

async fn is_empty(db: &Db) -> Result<bool> {
    Ok(units::scan(&mut *db.conn().await?, Uuid::nil(), 1).await?.is_empty())
}

async fn store_person(
    tx: &mut Tx<'_>,
    vault: &People,
    planned: Planned,
    hash: &str,
    real_now: Timestamp,
) -> Result<SeededAccount, Error> {
    let Planned { account, role, unit, org, purposes, person } = planned;
    let id = PersonId(account.person_id);
    vault.insert(tx.conn, id, &person, org, &account.actor_ref, tx.now).await?;
    store::accounts::insert(tx.conn, &account.login, id, hash, None, real_now).await?;
    let grant = RoleGrant {
        id: GrantId(new_id()),
        person_id: id,
        role,
        unit_id: unit,
        line: account.line.clone(),
        org_id: org,
        purposes,
        valid_from: tx.now,
        valid_to: None,
        state: RoleGrantState::Active,
        approved_by: Vec::new(), // the first grants of a new suite: there is nobody yet to approve them
        told: true,
        version: 1,
    };
    grants::insert(tx.conn, &grant).await?;
    tx.emit(facts::role_granted(&grant, &account.actor_ref));
    Ok(account)
}
