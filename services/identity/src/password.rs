//! Argon2id with bounded concurrency: each hash takes 19 MiB and tens of milliseconds, so without a bound a flood of
//! sign-ins would take the whole machine. Passwords never print.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordVerifier, Version,
    password_hash::{
        Error as HashError,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};
use chassis::{Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;

/// m = 19 MiB, t = 2, p = 1 (the least that OWASP recommends for argon2id).
const PARAMS: Params = match Params::new(19 * 1024, 2, 1, None) {
    Ok(params) => params,
    Err(_) => Params::DEFAULT, // the very same figures
};

/// Roughly what one hash takes; only for the hint when to try again.
const ONE_HASH: Duration = Duration::from_millis(30);

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

/// Hashes and verifies passwords, a few at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    turns: Arc<Semaphore>,
    threads: usize,
    waiting: AtomicUsize,
    queue: usize,
    /// A hash nobody knows the password of: unknown logins cost the same work.
    decoy: String,
}

/// A turn to hash. Dropping it lets the next in.
#[derive(Debug)]
pub struct Turn {
    passwords: Passwords,
    _permit: OwnedSemaphorePermit,
}

impl Passwords {
    /// With the bounds of the configuration. Computes one hash.
    ///
    /// # Errors
    /// `Internal` when the system gives no randomness.
    pub fn new(config: &Config) -> Result<Self> {
        let threads = config.threads();
        let unknown: [u8; 32] = rand::random();
        Ok(Self(Arc::new(Inner {
            turns: Arc::new(Semaphore::new(threads)),
            threads,
            waiting: AtomicUsize::new(0),
            queue: config.hashing_queue,
            decoy: hash(&unknown, &mut memory())?,
        })))
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// `Exhausted` when too many wait already.
    pub async fn turn(&self) -> Result<Turn> {
        let ahead = self.0.waiting.fetch_add(1, Ordering::AcqRel);
        let leave = Leave(&self.0.waiting);
        if ahead >= self.0.queue.saturating_add(self.0.threads) {
            let rounds = u32::try_from(ahead / self.0.threads + 1).unwrap_or(u32::MAX);
            return Err(Error::Exhausted {
                retry_after: ONE_HASH.saturating_mul(rounds).max(Duration::from_secs(1)),
            });
        }
        // The semaphore is never closed.
        let permit = self.0.turns.clone().acquire_owned().await.map_err(Error::internal)?;
        drop(leave);
        Ok(Turn { passwords: self.clone(), _permit: permit })
    }

    /// Hashes many passwords with all threads, in order: for the seed.
    ///
    /// # Errors
    /// `Internal` when the system gives no randomness.
    pub async fn hash_all(&self, passwords: Vec<String>) -> Result<Vec<String>> {
        let mut tasks = Vec::new();
        let chunk = passwords.len().div_ceil(self.0.threads).max(1);
        for part in passwords.chunks(chunk) {
            let part = part.to_vec();
            tasks.push(tokio::task::spawn_blocking(move || {
                let mut memory = memory(); // one for all: fresh pages cost as much as a quarter of the hash
                part.iter().map(|password| hash(password.as_bytes(), &mut memory)).collect::<Result<Vec<_>>>()
            }));
        }
        let mut hashes = Vec::with_capacity(passwords.len());
        for task in tasks {
            hashes.extend(task.await.map_err(Error::task)??);
        }
        Ok(hashes)
    }
}

impl Turn {
    /// Hashes a new password.
    ///
    /// # Errors
    /// `Internal` when the system gives no randomness.
    pub async fn hash(self, password: &str) -> Result<String> {
        let password = password.to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = self; // held until the work is done, also when the caller has gone
            hash(password.as_bytes(), &mut memory())
        });
        work.await.map_err(Error::task)?
    }

    /// Whether the password is that of the stored hash. `None` takes as long and is never right.
    ///
    /// # Errors
    /// `Internal` when the stored hash cannot be read.
    pub async fn verify(self, password: &str, stored: Option<&str>) -> Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.passwords.0.decoy).to_owned();
        let password = password.to_owned();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = self; // held until the work is done, also when the caller has gone
            verify(password.as_bytes(), &stored)
        });
        Ok(work.await.map_err(Error::task)?? && known)
    }
}

struct Leave<'a>(&'a AtomicUsize);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The working memory of one hash.
fn memory() -> Vec<Block> {
    vec![Block::default(); PARAMS.block_count()]
}

fn hash(password: &[u8], memory: &mut [Block]) -> Result<String> {
    let salt: [u8; 16] = rand::random();
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    argon2()
        .hash_password_into_with_memory(password, &salt, &mut output, memory)
        .map_err(|error| Error::internal(error.to_string()))?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&PARAMS).map_err(failed)?,
        salt: Some(Salt::new(&salt).map_err(|error| Error::internal(error.to_string()))?),
        hash: Some(Output::new(&output).map_err(|error| Error::internal(error.to_string()))?),
    };
    Ok(hash.to_string())
}

fn verify(password: &[u8], stored: &str) -> Result<bool> {
    let stored = PasswordHash::new(stored).map_err(|e| Error::internal(e.to_string()))?;
    match argon2().verify_password(password, &stored) {
        Ok(()) => Ok(true),
        Err(HashError::PasswordInvalid) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn failed(error: HashError) -> Error {
    Error::internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(threads: usize, queue: usize) -> Passwords {
        Passwords::new(&Config { hashing_threads: threads, hashing_queue: queue, ..Config::default() })
            .unwrap()
    }

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let passwords = passwords(2, 8);
        let hash = passwords.turn().await.unwrap().hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.turn().await.unwrap().verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.turn().await.unwrap().verify("correct house", Some(&hash)).await.unwrap());
        assert!(!passwords.turn().await.unwrap().verify("correct horse", None).await.unwrap());
        assert!(passwords.turn().await.unwrap().verify("x", Some("no hash")).await.is_err());
    }

    #[tokio::test]
    async fn beyond_the_queue_it_is_refused_at_once_with_a_hint() {
        let passwords = passwords(1, 1);
        let first = passwords.turn().await.unwrap();
        let mut waiting = Box::pin(passwords.turn());
        assert!(futures_poll(&mut waiting).await, "one may wait");
        let mut second = Box::pin(passwords.turn());
        assert!(futures_poll(&mut second).await, "a place of the running one is free in the queue");
        let Err(Error::Exhausted { retry_after }) = passwords.turn().await else { panic!("it was let in") };
        assert!(retry_after >= Duration::from_secs(1));
        drop((waiting, second)); // given up: their places are free again
        drop(first);
        assert!(passwords.turn().await.is_ok());
    }

    /// Polls once; whether it is still waiting.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx).is_pending())
        })
        .await
    }

    #[tokio::test]
    async fn many_hashes_come_back_in_order() {
        let passwords = passwords(2, 8);
        let words: Vec<String> = (0..3).map(|n| format!("word {n}")).collect();
        let hashes = passwords.hash_all(words.clone()).await.unwrap();
        for (word, hash) in words.iter().zip(&hashes) {
            assert!(passwords.turn().await.unwrap().verify(word, Some(hash)).await.unwrap());
        }
        assert!(passwords.hash_all(Vec::new()).await.unwrap().is_empty());
    }
}
