//! A signed-in account. A password that was refused once is not tried again: every try counts towards the lock of the login, and
//! nothing but another accounts file makes it right. A login that is locked is tried again when the lock is over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::identity::v1::{RefreshTokenRequest, SignInRequest};
use tokio::sync::Mutex;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
};
use tonic_types::StatusExt;

use super::{Account, Rpc, Suite};

/// How often a sign-in is tried that was refused because too many try at once, and how long after the last.
const TRIES: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(100);

/// A signed-in account; signs in on first use and renews before the token runs out.
pub struct Session {
    /// Who.
    pub account: Account,
    suite: Suite,
    held: Mutex<Held>,
}

enum Held {
    Nothing,
    Tokens(Tokens),
    Refused(Refused),
}

/// Why it is of no use to sign in.
struct Refused {
    status: Status,
    /// Unset for good.
    until: Option<Instant>,
}

impl Refused {
    fn stands(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

struct Tokens {
    bearer: MetadataValue<Ascii>,
    refresh: String,
    renew_at: Instant,
}

impl Session {
    /// Not signed in yet.
    pub fn new(suite: &Suite, account: Account) -> Arc<Self> {
        Arc::new(Self { account, suite: suite.clone(), held: Mutex::new(Held::Nothing) })
    }

    /// Signed in with a token that is none.
    #[cfg(test)]
    pub fn signed_in(suite: &Suite, account: Account) -> Arc<Self> {
        let tokens = tokens("none", String::new()).expect("it is ASCII");
        Arc::new(Self { account, suite: suite.clone(), held: Mutex::new(Held::Tokens(tokens)) })
    }

    /// A request that carries the session's token.
    pub async fn request<T>(&self, message: T) -> Rpc<Request<T>> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer().await?);
        Ok(request)
    }

    /// Whether the password was refused, or the login is locked for longer than anybody waits here.
    pub async fn is_refused(&self) -> bool {
        matches!(&*self.held.lock().await, Held::Refused(refused) if refused.stands())
    }

    async fn bearer(&self) -> Rpc<MetadataValue<Ascii>> {
        let mut held = self.held.lock().await;
        let old = match &*held {
            Held::Refused(refused) if refused.stands() => return Err(refused.status.clone()),
            Held::Tokens(tokens) if Instant::now() < tokens.renew_at => return Ok(tokens.bearer.clone()),
            Held::Tokens(tokens) => Some(tokens.refresh.clone()),
            Held::Nothing | Held::Refused(_) => None,
        };
        *held = Held::Nothing; // a refresh token is used once, also by whoever is cut off
        let refreshed = match old {
            Some(token) => self.refresh(token).await.ok(),
            None => None,
        };
        let fresh = match refreshed {
            Some(fresh) => Ok(fresh),
            None => self.sign_in().await?,
        };
        match fresh {
            Ok(fresh) => {
                let bearer = fresh.bearer.clone();
                *held = Held::Tokens(fresh);
                Ok(bearer)
            }
            Err(refused) => {
                let status = refused.status.clone();
                *held = Held::Refused(refused);
                Err(status)
            }
        }
    }

    /// An error that passes, or what came of it.
    async fn sign_in(&self) -> Rpc<Result<Tokens, Refused>> {
        let login = self.account.login.clone();
        let password = self.account.password.clone();
        // Sign-in is bounded on the server.
        let mut tries = 0;
        loop {
            let request = SignInRequest { login: login.clone(), password: password.clone() };
            match self.suite.auth().sign_in(request).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    return tokens(&answer.access_token, answer.refresh_token).map(Ok);
                }
                Err(status) if status.code() == Code::Unauthenticated => {
                    let status = self.refusal("is refused with the password of");
                    return Ok(Err(Refused { status, until: None }));
                }
                Err(status) if status.code() == Code::ResourceExhausted => {
                    if let Some(wait) = locked_for(&status) {
                        let status = self.refusal("is locked after wrong passwords; look at that of");
                        return Ok(Err(Refused { status, until: Instant::now().checked_add(wait) }));
                    }
                    if tries == TRIES {
                        return Err(status);
                    }
                    tries += 1;
                    tokio::time::sleep(BETWEEN).await;
                }
                Err(status) => return Err(status),
            }
        }
    }

    fn refusal(&self, what: &str) -> Status {
        let Account { login, file, .. } = &self.account;
        // Unset where it was not read from one.
        let file = format!("the accounts file {}", file.display());
        Status::unauthenticated(format!("the login `{login}` {what} {}", file.trim_end()))
    }

    async fn refresh(&self, refresh_token: String) -> Rpc<Tokens> {
        let request = RefreshTokenRequest { refresh_token, ..Default::default() };
        let answer = self.suite.auth().refresh_token(request).await?.into_inner();
        tokens(&answer.access_token, answer.refresh_token)
    }
}

/// How long it will be refused, if that is longer than it is tried.
fn locked_for(status: &Status) -> Option<Duration> {
    let advised = status.get_details_retry_info().and_then(|advice| advice.retry_delay);
    advised.filter(|wait| *wait > BETWEEN * TRIES)
}

fn tokens(access: &str, refresh: String) -> Rpc<Tokens> {
    let bearer =
        format!("Bearer {access}").parse().map_err(|_| Status::internal("the token is not ASCII"))?;
    // Access tokens live ten minutes; renewing after eight leaves room for a slow call.
    Ok(Tokens { bearer, refresh, renew_at: Instant::now() + Duration::from_secs(480) })
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;
    use crate::suite::fake;

    #[tokio::test]
    async fn a_password_that_was_refused_is_tried_once_and_told_by_its_login_and_file() {
        let locked = ErrorDetails::with_retry_info(Some(Duration::from_secs(900)));
        for refusal in [
            Status::unauthenticated("a valid token is needed"),
            Status::with_error_details(Code::ResourceExhausted, "later", locked),
        ] {
            let (suite, door) = fake::refusing(refusal).await;
            let account = Account { file: "/data/accounts.json".into(), ..Account::stranger("it_operator") };
            let session = Session::new(&suite, account);
            assert!(!session.is_refused().await);
            for _ in 0..5 {
                let refused = session.request(()).await.expect_err("it is refused");
                assert_eq!(refused.code(), Code::Unauthenticated);
                let told = refused.message();
                assert!(told.contains("`stranger`") && told.contains("/data/accounts.json"), "{told}");
            }
            assert!(session.is_refused().await);
            assert_eq!(door.knocks(), 1);
        }
    }

    #[tokio::test]
    async fn a_login_that_was_locked_is_tried_again_when_the_lock_is_over() {
        let locked = ErrorDetails::with_retry_info(Some(Duration::from_secs(900)));
        let locked = Status::with_error_details(Code::ResourceExhausted, "later", locked);
        let (suite, door) = fake::refusing(locked).await;
        let session = Session::new(&suite, Account::stranger("it_operator"));
        session.request(()).await.expect_err("it is locked");
        {
            let mut held = session.held.lock().await;
            let Held::Refused(refused) = &mut *held else { panic!("it is remembered") };
            let left = refused.until.expect("for a while").duration_since(Instant::now());
            assert!(left > Duration::from_secs(800) && left <= Duration::from_secs(900), "{left:?}");
            refused.until = Some(Instant::now());
        }
        assert!(!session.is_refused().await);
        session.request(()).await.expect_err("it is locked once more");
        assert_eq!(door.knocks(), 2);
    }

    #[tokio::test]
    async fn whoever_met_nobody_tries_again() {
        let (_, session) = fake::nobody();
        for _ in 0..2 {
            let away = session.request(()).await.expect_err("nobody is there");
            assert_eq!(away.code(), Code::Unavailable);
        }
        assert!(!session.is_refused().await);
    }
}
