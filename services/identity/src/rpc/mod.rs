//! The RPCs of identity, one file per group. Handlers are short: forms are checked in the domain, SQL is in the store,
//! authentication and permission are the layer's. Reach is asked here and answered in the query.

mod accounts;
mod auth;
mod duty_authority;
mod edges;
mod grants;
mod organizations;
mod person;
mod tags;
mod topology;
mod units;

use std::{collections::BTreeSet, sync::Arc};

use chassis::{
    Clock, Error, Result,
    auth::{Caller, Revocations, Role, Scope},
    crypto::Crypto,
    db::{Db, Tx},
};
use uuid::Uuid;

use crate::{
    domain::{
        PersonId, SessionId, UnitId,
        unit::{self, UnitState},
    },
    keyring::KeyRing,
    password::Passwords,
    sign_in::SignIns,
    store::{self, people::People},
};

/// What the RPCs share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Identity(Arc<Parts>);

/// The parts of [`Identity`].
#[derive(Debug)]
pub struct Parts {
    /// The service's database.
    pub db: Db,
    /// Domain and real time.
    pub clock: Clock,
    /// Keys of sealed fields and indexes.
    pub crypto: Crypto,
    /// The personal data vault.
    pub people: People,
    /// Password hashing.
    pub passwords: Passwords,
    /// Sessions and tokens.
    pub sign_ins: SignIns,
    /// Signing keys.
    pub keys: Arc<KeyRing>,
    /// Bars on tokens, effective here at once.
    pub revocations: Arc<Revocations>,
}

impl Identity {
    /// The RPCs over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Identity {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Units over which the caller's scopes reach people and grants: all-line scopes of roles that reach others.
fn reach(caller: &Caller) -> Vec<Uuid> {
    let others =
        |scope: &&Scope| scope.line.is_none() && !matches!(scope.role, Role::Resident | Role::Volunteer);
    caller.scopes.iter().filter(others).map(|scope| scope.unit_id).collect()
}

/// A unit within the caller's reach, with its path; otherwise there is none.
async fn unit_within(tx: &mut Tx<'_>, caller: &Caller, id: UnitId) -> Result<Vec<Uuid>> {
    match store::units::path(tx.conn, id).await? {
        Some(path) if caller.reaches(&path, None) => Ok(path),
        _ => Err(Error::not_found(unit::KIND, id)),
    }
}

/// As [`unit_within`], for what is to be placed there: a unit that has ended takes nothing new.
async fn unit_in_force(tx: &mut Tx<'_>, caller: &Caller, id: UnitId) -> Result<Vec<Uuid>> {
    let path = unit_within(tx, caller, id).await?;
    match store::units::get(tx.conn, id).await? {
        Some(unit) if unit.state == UnitState::Active => Ok(path),
        _ => Err(Error::wrong_state(unit::KIND, id, "is not in force")),
    }
}

/// Refuses a caller whose session has ended: its tokens go on elsewhere until the news of it has come.
async fn check_session(tx: &mut Tx<'_>, caller: &Caller) -> Result<()> {
    let goes_on = store::sessions::goes_on(tx.conn, SessionId(caller.session_id)).await?;
    if goes_on { Ok(()) } else { Err(Error::Unauthenticated) }
}

/// Who may be behind the caller: all who can sign in as that person. The session is asked after that, so that who is still
/// behind a session of before the owner changed the password is among them, or is refused.
async fn known_to(tx: &mut Tx<'_>, caller: &Caller) -> Result<BTreeSet<PersonId>> {
    let known_to = store::accounts::password_known_to(tx.conn, PersonId(caller.person_id)).await?;
    check_session(tx, caller).await?;
    Ok(known_to)
}

/// An instant of a request field, where absence has a meaning of its own.
fn instant(field: &str, at: Option<&prost_types::Timestamp>) -> Result<Option<chassis::Timestamp>> {
    at.map(|at| chassis::clock::from_proto(at).ok_or_else(|| Error::invalid(field, "is not an instant")))
        .transpose()
}

/// A pseudonym: random, so that nothing about the person can be read out of it.
pub(crate) fn pseudonym() -> String {
    let bytes: [u8; 10] = rand::random();
    bytes.iter().fold("p-".to_owned(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}
