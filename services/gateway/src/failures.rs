//! Wrong passwords by whom they come from. Identity locks a login after five of them in a row, whoever sent them: one client could keep
//! anybody locked out. So it is stopped before: at one login it fails four times, and altogether not often. What is in hand at a
//! login may fail, too. Each replica counts by itself: of two, one client may reach five nevertheless. A password that is set anew through
//! this gateway forgets what failed at its login, if its person has signed in here before. Neither addresses, logins nor persons are
//! kept, only what a key of this process makes of them.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

/// Of one client at one login: fewer than what locks it (`MAX_FAILURES` of identity).
const MOST_AT_LOGIN: u32 = 4;
/// Of one client: behind one address there may be a whole office.
const MOST: u32 = 10;
/// After so long without another one they are forgotten: not before identity does (`FORGET_FAILURES`).
pub(crate) const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Clients and logins that are counted at once.
pub(crate) const KEPT: usize = 20_000;

/// Why no password is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTried {
    /// Too many tries of this client are in hand.
    Crowded,
    /// Too many of them failed; so long it has to wait.
    Failed(Duration),
}

/// Who failed how often.
#[derive(Debug)]
pub(crate) struct Failures {
    window: Duration,
    kept: usize,
    counts: Mutex<HashMap<u64, Count>>,
    /// By which login people sign in who did it here.
    logins: Mutex<HashMap<u64, u64>>,
    digest: RandomState,
}

#[derive(Debug)]
struct Count {
    failed: u32,
    /// When that is forgotten.
    until: Instant,
    /// At a login.
    in_hand: u32,
    /// Which; none where it is all of a client.
    login: Option<u64>,
}

impl Count {
    fn none(now: Instant, login: Option<u64>) -> Self {
        Self { failed: 0, until: now, in_hand: 0, login }
    }

    fn failed(&self, now: Instant) -> u32 {
        if self.until > now { self.failed } else { 0 }
    }
}

impl Failures {
    /// None yet; they are forgotten after so long without another one, and so many are kept.
    pub fn new(window: Duration, kept: usize) -> Arc<Self> {
        let (counts, logins) = (Mutex::default(), Mutex::default());
        Arc::new(Self { window, kept, counts, logins, digest: RandomState::new() })
    }

    /// A try of a client, at a login where that is told.
    ///
    /// # Errors
    /// When it failed too often.
    pub fn begin(self: &Arc<Self>, client: IpAddr, login: Option<&str>) -> Result<Counted, NotTried> {
        let now = Instant::now();
        let named = login.map(|login| self.login(login));
        let login = named.map(|login| self.digest.hash_one((client, login)));
        let client = self.digest.hash_one(client);
        let mut counts = self.counts();
        for (key, most) in [(Some(client), MOST), (login, MOST_AT_LOGIN)] {
            if let Some(count) = key.and_then(|key| counts.get(&key))
                && count.failed(now) >= most
            {
                return Err(NotTried::Failed(count.until - now));
            }
        }
        if let Some(login) = login {
            let count = counts.entry(login).or_insert_with(|| Count::none(now, named));
            if count.failed(now) + count.in_hand >= MOST_AT_LOGIN {
                return Err(NotTried::Crowded);
            }
            count.in_hand += 1;
        }
        drop(counts);
        Ok(Counted { failures: self.clone(), client, login, named, right: None })
    }

    /// A person has signed in at a login.
    pub fn learn(&self, login: &str, person: Uuid) {
        let (login, person) = (self.login(login), self.digest.hash_one(person));
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        if logins.len() >= self.kept && !logins.contains_key(&person) {
            logins.clear(); // whoever signs in again is learnt again
        }
        logins.insert(person, login);
    }

    /// A person has another password: what failed by the one before, from wherever, keeps nobody out any more.
    pub fn set_anew(&self, person: Uuid) {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(login) = logins.get(&self.digest.hash_one(person)).copied() else { return };
        drop(logins);
        self.counts().retain(|_, count| {
            let at_it = count.login == Some(login);
            if at_it {
                count.failed = 0;
            }
            !at_it || count.in_hand > 0
        });
    }

    /// What a login counts as: in the one form that identity gives it.
    fn login(&self, login: &str) -> u64 {
        self.digest.hash_one(login.trim().to_ascii_lowercase())
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<u64, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more. Where too much is counted already nothing new is.
    fn add(&self, counts: &mut HashMap<u64, Count>, key: u64, login: Option<u64>, now: Instant) {
        let known = counts.get(&key).is_some_and(|count| count.failed(now) > 0);
        if !known && counts.len() >= self.kept {
            counts.retain(|_, count| count.in_hand > 0 || count.failed(now) > 0);
            if counts.len() >= self.kept {
                return;
            }
        }
        let count = counts.entry(key).or_insert_with(|| Count::none(now, login));
        count.failed = count.failed(now) + 1;
        count.until = now + self.window;
    }
}

/// A try in hand. Unless it is told what came of the password, it counts for nothing.
#[derive(Debug)]
pub(crate) struct Counted {
    failures: Arc<Failures>,
    client: u64,
    login: Option<u64>,
    named: Option<u64>,
    right: Option<bool>,
}

impl Counted {
    /// The password was right or wrong. A right one forgets what failed at its login, and one failure of the client: of people
    /// behind one address most know theirs.
    pub fn ended(mut self, right: bool) {
        self.right = Some(right);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut counts = self.failures.counts();
        if let Some(login) = self.login
            && let Some(count) = counts.get_mut(&login)
        {
            count.in_hand -= 1;
            if self.right == Some(true) {
                count.failed = 0;
            }
        }
        match self.right {
            Some(true) => {
                if let Some(count) = counts.get_mut(&self.client) {
                    count.failed = count.failed.saturating_sub(1);
                }
            }
            Some(false) => {
                let at_login = self.login.map(|key| (key, self.named));
                for (key, login) in at_login.into_iter().chain([(self.client, None)]) {
                    self.failures.add(&mut counts, key, login, now);
                }
            }
            None => {}
        }
        for key in self.login.into_iter().chain([self.client]) {
            if counts.get(&key).is_some_and(|count| count.in_hand == 0 && count.failed(now) == 0) {
                counts.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9));

    fn wrong(failures: &Arc<Failures>, client: IpAddr, login: &str) {
        failures.begin(client, Some(login)).expect("it is tried").ended(false);
    }

    fn refused(failures: &Arc<Failures>, client: IpAddr, login: Option<&str>) -> bool {
        matches!(failures.begin(client, login), Err(NotTried::Failed(left)) if left <= WINDOW)
    }

    #[test]
    fn a_client_fails_less_often_at_a_login_than_locks_it() {
        let failures = Failures::new(WINDOW, KEPT);
        for spelling in ["li", "LI", " li", "Li "] {
            wrong(&failures, HERE, spelling);
        }
        assert!(refused(&failures, HERE, Some("li")) && refused(&failures, HERE, Some(" LI")));
        assert!(failures.begin(HERE, Some("wang")).is_ok() && failures.begin(THERE, Some("li")).is_ok());
        // What is in hand may fail, too; what came to nothing counts for nothing.
        wrong(&failures, THERE, "li");
        let held: Vec<_> = (0..3).map(|_| failures.begin(THERE, Some("li")).expect("it is tried")).collect();
        assert_eq!(failures.begin(THERE, Some("li")).err(), Some(NotTried::Crowded));
        drop(held);
        failures.begin(THERE, Some("li")).expect("it is tried").ended(true);
        for _ in 0..4 {
            wrong(&failures, THERE, "li"); // counted anew
        }
        assert!(refused(&failures, THERE, Some("li")));
    }

    #[test]
    fn a_client_fails_so_often_altogether_and_a_right_password_makes_up_for_a_wrong_one() {
        let failures = Failures::new(WINDOW, KEPT);
        for n in 0..10 {
            wrong(&failures, HERE, &format!("login{n}"));
            failures.begin(HERE, Some("li")).expect("it is tried").ended(true);
        }
        assert_eq!(failures.counts().len(), 10, "each login, and of the client nothing");
        for n in 10..20 {
            wrong(&failures, HERE, &format!("login{n}"));
        }
        assert!(refused(&failures, HERE, Some("li")) && refused(&failures, HERE, None));
        assert!(failures.begin(THERE, None).is_ok());
    }

    #[test]
    fn a_password_that_is_set_anew_forgets_what_failed_at_its_login() {
        let failures = Failures::new(WINDOW, KEPT);
        let (li, wang) = (Uuid::from_u128(1), Uuid::from_u128(2));
        failures.learn(" Li", li);
        for client in [HERE, THERE] {
            for _ in 0..4 {
                wrong(&failures, client, "li");
            }
        }
        failures.set_anew(wang); // who never signed in here
        assert!(refused(&failures, HERE, Some("li")) && refused(&failures, THERE, Some("li")));
        failures.set_anew(li);
        assert!(failures.begin(HERE, Some("li")).is_ok() && failures.begin(THERE, Some("li")).is_ok());
        for n in 0..6 {
            wrong(&failures, HERE, &format!("login{n}"));
        }
        assert!(refused(&failures, HERE, Some("wang")), "of the client all are counted still");
    }

    #[test]
    fn failures_are_forgotten_in_time_and_never_too_many_to_keep() {
        let failures = Failures::new(Duration::ZERO, KEPT);
        for _ in 0..20 {
            wrong(&failures, HERE, "li");
        }
        assert!(failures.counts().is_empty(), "nothing is kept of what is forgotten");
        let failures = Failures::new(WINDOW, 10);
        for n in 0..20 {
            wrong(&failures, IpAddr::from([8, 8, 8, n]), "li");
        }
        assert_eq!(failures.counts().len(), 10);
    }
}
