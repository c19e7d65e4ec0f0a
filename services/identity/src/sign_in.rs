//! Signing in and out: passwords, sessions, access and refresh tokens. What a caller learns of a failed try is always the
//! same. Tokens and passwords never reach a log, an event or a table in clear.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::{
    Clock, Error, Result, Timestamp,
    auth::{AUDIENCE, Caller, Claims, GrantClaim, Revocations, TokenKind},
    clock::new_id,
    config::AuthConfig,
    crypto::{Crypto, same_secret},
    db::{Db, Tx},
    event::SERVICES,
};
use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::{
    config::Config,
    domain::{
        PersonId, SessionId, facts,
        grant::{RoleGrant, is_administrator},
        login::{self, Failures},
        session::{self, ACCESS_LIFE, Refresh, is_overtaken},
    },
    keyring::KeyRing,
    password::Passwords,
    store::{
        accounts::{self, Account, Chooser},
        grants, people, server_now,
        sessions::{self, EndReason, Ended},
    },
};

/// Purpose of the blind index of logins.
const LOGIN_INDEX: &str = "login";

/// Purpose under which a used token's successor is sealed.
const SUCCESSOR: &str = "refresh successor";

/// Callers of the suite beside the services with a database.
const OTHER_SERVICES: [&str; 2] = ["gateway", "jianghan"];

/// A pair of tokens.
pub struct Pair {
    /// Whose.
    pub person_id: PersonId,
    /// Access token.
    pub access_token: String,
    /// When it runs out (real time).
    pub access_expires: Timestamp,
    /// Refresh token.
    pub refresh_token: String,
    /// When it runs out (real time).
    pub refresh_expires: Timestamp,
    /// A second refresh token of the session, exchanged apart from the first; empty where none is given.
    pub branch_refresh_token: String,
}

/// A refresh token: 256 random bits; stored by its hash only.
struct RefreshToken([u8; 32]);

impl RefreshToken {
    fn new() -> Self {
        Self(rand::random())
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() > 64 {
            return None;
        }
        BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }
}

/// What a refresh led to; committed in every case.
enum Outcome {
    Pair(Pair),
    Refused,
}

/// A password that was tried and was right. Whoever acts on it asks once more, with the row of the failures held.
pub struct Tried {
    login: String,
    index: [u8; 32],
    account: Account,
    at: Timestamp,
}

impl Tried {
    /// Refuses if the login was locked meanwhile: once it is, nobody is told whether the password was right. Else failures
    /// are forgotten.
    async fn passes(&self, tx: &mut Tx<'_>) -> Result<()> {
        let failures = accounts::lock_failures(tx.conn, &self.index).await?;
        unlocked(failures, self.at)?;
        if failures.failed > 0 {
            accounts::clear_failures(tx.conn, &self.index).await?;
        }
        Ok(())
    }
}

/// Signs people in and out.
#[derive(Debug)]
pub struct SignIns {
    db: Db,
    crypto: Crypto,
    clock: Clock,
    keys: Arc<KeyRing>,
    passwords: Passwords,
    revocations: Arc<Revocations>,
    auth: AuthConfig,
    config: Config,
}

impl SignIns {
    /// Everything it needs.
    #[expect(clippy::too_many_arguments, reason = "wiring, called once")]
    pub fn new(
        db: Db,
        crypto: Crypto,
        clock: Clock,
        keys: Arc<KeyRing>,
        passwords: Passwords,
        revocations: Arc<Revocations>,
        auth: AuthConfig,
        config: Config,
    ) -> Self {
        Self { db, crypto, clock, keys, passwords, revocations, auth, config }
    }

    /// Signs a person in.
    ///
    /// # Errors
    /// `Invalid` for a login or password of impossible form, `Exhausted` when too many try at once or the login is
    /// locked, `Unauthenticated` for anything wrong.
    pub async fn sign_in(&self, login: &str, password: &str) -> Result<Pair> {
        let login = login::login(login)?;
        login::check_tried("password", password)?;
        let tried = self.try_password(login, password).await?;
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                tried.passes(tx).await?;
                if !accounts::hold(tx.conn, &tried.login, &tried.account.password_hash).await? {
                    return Err(Error::Unauthenticated); // it has been set anew meanwhile
                }
                self.open_session(tx, tried.account.person_id()).await
            })
            .await
    }

    /// Tries a password at a login. A wrong one counts towards the lock.
    ///
    /// # Errors
    /// `Exhausted` when too many try at once or the login is locked, `Unauthenticated` for anything wrong.
    pub async fn try_password(&self, login: String, password: &str) -> Result<Tried> {
        let index = self.crypto.blind_index(LOGIN_INDEX, &login);
        let turn = self.passwords.turn().await?;
        // Looked up with the turn in hand: tries that waited in the queue see the lock too.
        let (failures, account) = {
            let mut conn = self.db.conn().await?;
            (accounts::failures(&mut conn, &index).await?, accounts::get(&mut conn, &login).await?)
        };
        let now = self.clock.real_now();
        unlocked(failures, now)?;
        let right = turn.verify(password, account.as_ref().map(|a| a.password_hash.as_str())).await?;
        // Others may have failed meanwhile. Once the login is locked, nobody is told whether it was right.
        let Some(account) = account.filter(|_| right) else {
            let failures = self
                .db
                .transaction(async |tx: &mut Tx<'_>| accounts::add_failure(tx.conn, &index, now).await)
                .await?;
            unlocked(failures, now)?;
            return Err(Error::Unauthenticated);
        };
        Ok(Tried { login, index, account, at: now })
    }

    /// Sets the password of a person's login anew: failures are forgotten with their lock, all sessions end, and so does what
    /// was asked for under a password that somebody else chose.
    ///
    /// # Errors
    /// `WrongState` when the person approves, and has changed the password which this one may have chosen last.
    pub async fn set_password(
        &self,
        tx: &mut Tx<'_>,
        person: PersonId,
        (login, password_hash): (&str, &str),
        by: &Chooser,
        approves: bool,
    ) -> Result<()> {
        // In the order of a sign-in: one by the old password is over and its session ends, or it is refused.
        accounts::clear_failures(tx.conn, &self.crypto.blind_index(LOGIN_INDEX, login)).await?;
        let chosen = accounts::lock_chosen(tx.conn, login).await?;
        if !accounts::set_password(tx.conn, login, password_hash, by, approves).await? {
            // Else whoever changed it in the owner's place, and approved as both, could hand out another one.
            let message = "the owner approves grants and has changed a password that you may have chosen: \
                           somebody else sets it anew";
            return Err(Error::wrong_state("account", person, message));
        }
        if chosen {
            end_asked(tx, person).await?;
        }
        self.end_all(tx, person, EndReason::Administrator).await
    }

    /// Refuses a new password that was handed out before the one that was tried. Whoever chose it may have changed it in the
    /// owner's place: the owner is to notice.
    ///
    /// # Errors
    /// `Invalid` for that one, `Exhausted` when too many try at once.
    pub async fn check_new(&self, tried: &Tried, field: &str, password: &str) -> Result<()> {
        let Some(hash) = &tried.account.handed_out_hash else { return Ok(()) };
        if self.passwords.turn().await?.verify(password, Some(hash)).await? {
            return Err(Error::invalid(field, "must not be one that somebody else chose"));
        }
        Ok(())
    }

    /// Replaces the password that was tried by another one, which its owner alone knows: all sessions end but this one, and so
    /// does what was asked for under a password that somebody else chose.
    ///
    /// # Errors
    /// `Exhausted` when the login was locked meanwhile, `Unauthenticated` when the password was set anew.
    pub async fn change_password(
        &self,
        tx: &mut Tx<'_>,
        tried: &Tried,
        password_hash: &str,
        keep: SessionId,
    ) -> Result<()> {
        // In the order of a sign-in, as above.
        tried.passes(tx).await?;
        let (login, account) = (&tried.login, &tried.account);
        let chosen = accounts::lock_chosen(tx.conn, login).await?;
        if !accounts::change_password(tx.conn, login, &account.password_hash, password_hash).await? {
            return Err(Error::Unauthenticated);
        }
        let (person, now) = (account.person_id(), self.clock.real_now());
        if chosen {
            end_asked(tx, person).await?;
        }
        people::lock_sign_in(tx.conn, person).await?;
        for ended in sessions::end_others(tx.conn, person, keep, EndReason::Replaced, now).await? {
            self.tell_ended(tx, &ended);
        }
        Ok(())
    }

    /// Exchanges a refresh token; with a second one of the session, if that is asked for and it was not used yet and is no second one
    /// itself.
    ///
    /// # Errors
    /// `Invalid` when there is none, `Unauthenticated` when it is unknown, has run out, was used before or is of a branch that has ended.
    pub async fn refresh(&self, token: &str, branch: bool) -> Result<Pair> {
        if token.is_empty() {
            return Err(Error::invalid("refresh_token", "must not be empty"));
        }
        let token = RefreshToken::parse(token).ok_or(Error::Unauthenticated)?;
        let outcome =
            self.db.transaction(async |tx: &mut Tx<'_>| self.exchange(tx, &token, branch).await).await?;
        match outcome {
            Outcome::Pair(pair) => Ok(pair),
            Outcome::Refused => Err(Error::Unauthenticated),
        }
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// Database errors; a session that has ended already is no error.
    pub async fn sign_out(&self, caller: &Caller) -> Result<()> {
        let session = SessionId(caller.session_id);
        self.db
            .transaction(async |tx: &mut Tx<'_>| {
                if let Some(ended) =
                    sessions::end(tx.conn, session, EndReason::SignedOut, self.clock.real_now()).await?
                {
                    self.tell_ended(tx, &ended);
                }
                Ok(())
            })
            .await
    }

    /// A token for a service of the suite, and when it runs out.
    ///
    /// # Errors
    /// `Invalid` for an empty field, `Unauthenticated` for an unknown service or a wrong secret.
    pub fn service_token(&self, service: &str, secret: &str) -> Result<(String, Timestamp)> {
        if service.is_empty() {
            return Err(Error::invalid("service", "must not be empty"));
        }
        if secret.is_empty() {
            return Err(Error::invalid("secret", "must not be empty"));
        }
        let known = SERVICES.contains(&service) || OTHER_SERVICES.contains(&service);
        if !(same_secret(secret, &self.crypto.service_secret(service)) && known) {
            return Err(Error::Unauthenticated);
        }
        let now = self.clock.real_now();
        let claims = Claims::service(service, &self.auth.issuer, &self.auth.audience);
        let claims = claims.valid_for(now, ACCESS_LIFE.num_seconds());
        Ok((self.keys.sign(&claims)?, now + ACCESS_LIFE))
    }

    async fn open_session(&self, tx: &mut Tx<'_>, person: PersonId) -> Result<Pair> {
        // One sign-in of a person after another, so that of two administrators' sessions the later sees the earlier; who
        // becomes an administrator meanwhile is no exception. They are rare and short: the password is checked already.
        people::lock_sign_in(tx.conn, person).await?;
        let session = SessionId(new_id());
        let token = RefreshToken::new();
        let (access_token, access_expires, grants) =
            self.access_token(tx, person, session, self.session_end()).await?;
        let now = self.clock.real_now();
        let session_expires = self.session_end();
        sessions::insert(tx.conn, session, person, now, session_expires, access_expires).await?;
        let refresh_expires = (now + self.idle()).min(session_expires);
        sessions::insert_refresh(tx.conn, &token.hash(), session, None, now, refresh_expires).await?;
        if grants.iter().any(|grant| is_administrator(grant.role)) {
            // A privileged person has one session at a time (S-02).
            for ended in sessions::end_others(tx.conn, person, session, EndReason::Replaced, now).await? {
                self.tell_ended(tx, &ended);
            }
        }
        Ok(Pair {
            person_id: person,
            access_token,
            access_expires,
            refresh_token: token.text(),
            refresh_expires,
            branch_refresh_token: String::new(),
        })
    }

    async fn exchange(&self, tx: &mut Tx<'_>, token: &RefreshToken, branch: bool) -> Result<Outcome> {
        let hash = token.hash();
        let Some(row) = sessions::lock_refresh(tx.conn, &hash).await? else {
            return Ok(Outcome::Refused);
        };
        let (person, session) = (row.person_id(), row.session_id());
        let now = self.clock.real_now();
        let branch_ended = match row.branch_id {
            Some(id) => !sessions::branch_goes_on(tx.conn, id).await?,
            None => false,
        };
        let mut branch_refresh_token = String::new();
        let (successor, refresh_expires) = match row.state(branch_ended).decide(now) {
            Refresh::Refuse => return Ok(Outcome::Refused),
            Refresh::Theft => return self.reused(tx, session, now).await,
            Refresh::Repeat => {
                let sealed = row.successor_sealed.as_deref().unwrap_or_default();
                let bytes = self.crypto.open(SUCCESSOR, sealed, &hash)?;
                let bytes =
                    bytes.try_into().map_err(|_| Error::internal("a successor has a wrong length"))?;
                let successor = RefreshToken(bytes);
                if is_overtaken(sessions::used_at(tx.conn, &successor.hash()).await?, now) {
                    return self.reused(tx, session, now).await;
                }
                // One of the two may have had a copy, and the branch would go on though the other never learns of it.
                sessions::end_branch(tx.conn, &hash).await?;
                (successor, (now + self.idle()).min(row.session_expires_at()))
            }
            Refresh::Rotate => {
                let successor = RefreshToken::new();
                let expires = (now + self.idle()).min(row.session_expires_at());
                let sealed = self.crypto.seal(SUCCESSOR, &successor.0, &hash);
                // Never with a repeat, which ends the one that the first use gave. Nor of a branch: it would not end with that one.
                let begun = (branch && row.branch_id.is_none()).then(new_id);
                sessions::use_refresh(tx.conn, &hash, &sealed, begun, now).await?;
                let (next, own) = (successor.hash(), row.branch_id);
                sessions::insert_refresh(tx.conn, &next, session, own, now, expires).await?;
                if begun.is_some() {
                    let second = RefreshToken::new();
                    sessions::insert_refresh(tx.conn, &second.hash(), session, begun, now, expires).await?;
                    branch_refresh_token = second.text();
                }
                (successor, expires)
            }
        };
        let (access_token, access_expires, _) =
            self.access_token(tx, person, session, row.session_expires_at()).await?;
        sessions::extend_tokens(tx.conn, session, access_expires).await?;
        let refresh_token = successor.text();
        Ok(Outcome::Pair(Pair {
            person_id: person,
            access_token,
            access_expires,
            refresh_token,
            refresh_expires,
            branch_refresh_token,
        }))
    }

    /// Two parties have the tokens of a session: it ends for both.
    async fn reused(&self, tx: &mut Tx<'_>, session: SessionId, now: Timestamp) -> Result<Outcome> {
        if let Some(ended) = sessions::end(tx.conn, session, EndReason::TokenReused, now).await? {
            tracing::warn!(session.id = %session, "a refresh token was used twice: the session is ended");
            self.tell_ended(tx, &ended);
        }
        Ok(Outcome::Refused)
    }

    /// An access token with the person's grants as they are now. The person's row is held, so that a revocation either
    /// is seen here or bars the token by its time of issue: both are of the clock that all replicas share.
    async fn access_token(
        &self,
        tx: &mut Tx<'_>,
        person: PersonId,
        session: SessionId,
        session_expires: Timestamp,
    ) -> Result<(String, Timestamp, Vec<RoleGrant>)> {
        let row = people::get_for_share(tx.conn, person).await?.ok_or(Error::Unauthenticated)?;
        let held = grants::in_force(tx.conn, person, tx.now).await?;
        let left = held.iter().filter_map(|grant| grant.valid_to).min().map(|end| end - tx.now);
        let now = server_now(tx.conn).await?;
        let expires = session::access_end(now, session_expires, left);
        let claims = Claims {
            iss: self.auth.issuer.clone(),
            aud: self.auth.audience.clone(),
            sub: person.0,
            sid: session.0,
            act: row.pseudonym.clone(),
            org: row.org_id().map(|id| id.0),
            kind: TokenKind::Person,
            grants: held.iter().map(claim).collect(),
            ..Claims::service("", "", AUDIENCE)
        };
        let claims = claims.valid_for(now, (expires - now).num_seconds().max(1));
        Ok((self.keys.sign(&claims)?, expires, held))
    }

    /// Ends every session of a person, who signs in anew. Called before the person's row is held against
    /// tokens that are being issued: a refresh holds its session and then waits for the person.
    ///
    /// # Errors
    /// Database errors.
    pub async fn end_all(&self, tx: &mut Tx<'_>, person: PersonId, reason: EndReason) -> Result<()> {
        people::lock_sign_in(tx.conn, person).await?;
        for ended in sessions::end_all(tx.conn, person, reason, self.clock.real_now()).await? {
            self.tell_ended(tx, &ended);
        }
        Ok(())
    }

    /// Tells every service, and bars the session here at once.
    fn tell_ended(&self, tx: &mut Tx<'_>, ended: &Ended) {
        let (person, session, until) = (ended.person_id(), ended.session_id(), ended.tokens_until);
        tx.emit(facts::session_revoked(person, session, until));
        let revocations = self.revocations.clone();
        tx.after_commit(Box::new(move || revocations.bar_session(session.0, until)));
    }

    fn idle(&self) -> TimeDelta {
        TimeDelta::minutes(self.config.session_idle_minutes)
    }

    fn session_end(&self) -> Timestamp {
        self.clock.real_now() + TimeDelta::hours(self.config.session_max_hours)
    }
}

/// Ends what a person asked for and nobody has approved: whoever chose the password may have asked for it. Nobody was told of it.
/// With the account held, for which whoever asks waits, and before the person's row: whoever holds a grant may wait for that.
async fn end_asked(tx: &mut Tx<'_>, person: PersonId) -> Result<()> {
    let asked = grants::lock_asked_by(tx.conn, person).await?;
    let ended: Result<Vec<RoleGrant>> = asked.into_iter().map(|grant| grant.revoke(tx.now)).collect();
    grants::update_all(tx.conn, &ended?).await
}

/// Refuses while the login is locked.
fn unlocked(failures: Failures, now: Timestamp) -> Result<()> {
    match failures.locked_for(now) {
        Some(left) => Err(Error::Exhausted { retry_after: left.to_std().unwrap_or_default() }),
        None => Ok(()),
    }
}

/// A grant as the token carries it.
fn claim(grant: &RoleGrant) -> GrantClaim {
    let purposes = grant.purposes.as_ref().map(|purposes| purposes.iter().cloned().collect());
    GrantClaim(grant.role as i32, grant.unit_id.0, grant.line.clone(), grant.org_id.map(|id| id.0), purposes)
}
