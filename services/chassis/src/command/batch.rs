//! Several commands in one transaction. What fails is answered alone and leaves nothing behind; when a statement
//! fails, the commands are replayed one by one, so that one bad command cannot hurt its neighbours, nor one whose aggregate
//! somebody else holds.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use futures::FutureExt;

use super::{
    AggregateStore, Change, Commands, Decision,
    executor::{Job, Outcome, Target},
    idempotency::{self, Answer, Key, Stored},
};
use crate::{
    Error, Result,
    auth::Caller,
    db::{Db, Origin, Tx},
    outbox,
};

/// Runs jobs and answers each. Gives how many were committed.
pub(super) async fn run<S: AggregateStore>(db: &Db, store: &S, jobs: Vec<Job<S>>) -> u64 {
    // A repetition of a request in the same batch waits for the first to be committed.
    let mut seen = HashSet::new();
    let (mut first, mut again): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| seen.insert(Key::new(job.caller.person_id, &job.meta)));
    let mut held = Held { begun: Instant::now(), of: HashMap::new(), over: None };
    together(db, store, &mut first, &mut held).await + singly(db, store, &mut again, &mut held).await
}

/// How long a replay goes on waiting for what others hold, in all; asked after each wait. Other commands have queued behind it: a batch
/// waits two seconds (`lock_timeout`, see [`Db`]) and its replay two more, so that a command that came when such a batch had just begun,
/// and whose own batch meets the same, is answered after eight of the ten that a call has (`GrpcConfig::request_timeout_ms`).
const HELD_UP: Duration = Duration::from_secs(2);

/// How long one command of a replay waits: its batch has waited already.
const SHORTLY: &str = "SET LOCAL lock_timeout = '1s'";

/// What a batch has waited for in vain, with what is told of it: nothing of it waits again.
struct Held<Id> {
    begun: Instant,
    /// Aggregates that others hold.
    of: HashMap<Id, String>,
    /// The database is away, or others were waited for long enough: the rest is refused.
    over: Option<String>,
}

impl<Id: Copy + Eq + Hash> Held<Id> {
    fn why(&self, id: Id) -> Option<&String> {
        self.over.as_ref().or_else(|| self.of.get(&id))
    }

    fn note(&mut self, id: Id, error: &Error) {
        let Error::Unavailable { message } = error else { return };
        if error.is_outage() || error.is_held() && self.begun.elapsed() >= HELD_UP {
            self.over = Some(message.clone());
        } else if error.is_held() {
            self.of.insert(id, message.clone());
        }
    }
}

/// Runs jobs with distinct keys in one transaction, or singly if that fails.
async fn together<S: AggregateStore>(db: &Db, store: &S, jobs: &mut [Job<S>], held: &mut Held<S::Id>) -> u64 {
    match attempt(db, store, jobs, None).await {
        Ok(outcomes) => answer(jobs, outcomes),
        Err(error) if jobs.len() > 1 && !error.is_outage() => {
            tracing::debug!(error = %error.chain(), commands = jobs.len(), "a batch is replayed singly");
            held.begun = Instant::now();
            singly(db, store, jobs, held).await
        }
        Err(ref error @ Error::Unavailable { ref message }) => {
            for job in jobs {
                held.note(job.id, error);
                job.act.reply(Outcome::Failed(Error::unavailable(message.clone())));
            }
            0
        }
        Err(error) => {
            // It is the only one.
            if let [job] = jobs {
                job.act.reply(Outcome::Failed(error));
            }
            0
        }
    }
}

/// Runs jobs one by one. Of an aggregate that is held only the first waits. When the database is away, or others were waited for
/// long enough, the rest is refused.
async fn singly<S: AggregateStore>(db: &Db, store: &S, jobs: &mut [Job<S>], held: &mut Held<S::Id>) -> u64 {
    let mut done = 0;
    for job in jobs {
        if let Some(message) = held.why(job.id) {
            job.act.reply(Outcome::Failed(Error::unavailable(message.clone())));
            continue;
        }
        let id = job.id;
        let alone = std::slice::from_mut(job);
        let error = match attempt(db, store, alone, Some(SHORTLY)).await {
            Ok(outcomes) => {
                done += answer(alone, outcomes);
                continue;
            }
            Err(error) => error,
        };
        held.note(id, &error);
        job.act.reply(Outcome::Failed(error));
    }
    done
}

/// Tells of each job what became of it. Gives how many were committed.
fn answer<S: AggregateStore>(jobs: &mut [Job<S>], outcomes: Vec<Outcome>) -> u64 {
    let done = outcomes.iter().filter(|o| matches!(o, Outcome::Done)).count() as u64;
    for (job, outcome) in jobs.iter_mut().zip(outcomes) {
        job.act.reply(outcome);
    }
    done
}

/// Runs jobs in one transaction, which may begin with a setting of its own: what became of each, or why nothing was carried out.
async fn attempt<S: AggregateStore>(
    db: &Db,
    store: &S,
    jobs: &mut [Job<S>],
    setting: Option<&str>,
) -> Result<Vec<Outcome>> {
    match attempt_all(db, store, jobs, setting).await {
        // A lost connection, a deadlock, or the same request at another replica. What has been carried out is told
        // by the stored answers now. Whoever waited in vain has kept the others waiting, and does not do so again.
        Err(error @ (Error::Unavailable { .. } | Error::Stale { .. })) if !error.is_held() => {
            attempt_all(db, store, jobs, setting).await
        }
        outcome => outcome,
    }
}

async fn attempt_all<S: AggregateStore>(
    db: &Db,
    store: &S,
    jobs: &mut [Job<S>],
    setting: Option<&str>,
) -> Result<Vec<Outcome>> {
    let attempt = db.transaction(async |tx: &mut Tx<'_>| in_transaction(db, store, tx, jobs, setting).await);
    AssertUnwindSafe(attempt)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::internal("a command panicked")))
}

async fn in_transaction<S: AggregateStore>(
    db: &Db,
    store: &S,
    tx: &mut Tx<'_>,
    jobs: &mut [Job<S>],
    setting: Option<&str>,
) -> Result<Vec<Outcome>> {
    if let Some(setting) = setting {
        tx.conn.batch_execute(setting).await?;
    }
    let keys: Vec<Key> = jobs.iter().map(|job| Key::new(job.caller.person_id, &job.meta)).collect();
    let single = jobs.len() == 1;
    let mut ids: Vec<S::Id> = jobs
        .iter()
        // A creation is only looked up when it runs alone; in a batch a clash fails the insert and comes back here.
        .filter(|job| single || job.target == Target::Existing)
        .map(|job| job.id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let conn = &*tx.conn;
    let (stored, mut work) =
        futures::try_join!(idempotency::find(conn, &keys), Working::load(store, conn, &ids))?;

    let mut outcomes = Vec::with_capacity(jobs.len());
    let mut answers = Vec::with_capacity(jobs.len());
    for (job, key) in jobs.iter_mut().zip(&keys) {
        if let Some(stored) = stored.get(key) {
            outcomes.push(repeated(db, stored, key, job));
            continue;
        }
        let origin = Origin {
            correlation_id: job.meta.request_id,
            causation_id: None,
            actor_ref: Some(job.caller.actor_ref.clone()),
            traceparent: job.traceparent.clone(),
        };
        let decided = work
            .admit(store, job)
            .and_then(|current| guarded(|| job.act.decide(current, &job.caller, tx.now)));
        match decided {
            Ok(decision) => {
                let encoded = job.act.answer(&decision.aggregate);
                answers.push(Answer { key: *key, fingerprint: job.meta.fingerprint, encoded });
                tx.set_origin(Some(Arc::new(origin)));
                work.accept(tx, job.id, decision, job.traceparent.clone());
                outcomes.push(Outcome::Done);
            }
            Err(error) => outcomes.push(Outcome::Failed(error)),
        }
    }
    // A failure may come from this very request having been carried out by another replica while we waited for
    // the lock: then its stored answer is visible now.
    let failed: Vec<usize> = outcomes
        .iter()
        .enumerate()
        .filter(|(_, o)| matches!(o, Outcome::Failed(_)))
        .map(|(i, _)| i)
        .collect();
    if !failed.is_empty() {
        let again =
            idempotency::find(&*tx.conn, &failed.iter().map(|i| keys[*i]).collect::<Vec<_>>()).await?;
        for index in failed {
            if !stored.contains_key(&keys[index])
                && let Some(found) = again.get(&keys[index])
            {
                outcomes[index] = repeated(db, found, &keys[index], &jobs[index]);
            }
        }
    }
    work.before_commit(store, tx);
    let (conn, events) = tx.last_statements();
    let ((), (), written) = futures::try_join!(
        work.save(store, conn),
        idempotency::insert(conn, db.crypto(), &answers),
        outbox::store::insert(conn, events),
    )?;
    tx.written(written);
    Ok(outcomes)
}

fn repeated<S: AggregateStore>(db: &Db, stored: &Stored, key: &Key, job: &Job<S>) -> Outcome {
    match stored.open(db.crypto(), key, &job.meta) {
        Ok(encoded) => Outcome::Repeated(encoded),
        Err(error) => Outcome::Failed(error),
    }
}

/// A decision is pure, so a panic in it leaves nothing half done.
fn guarded<T>(decide: impl FnOnce() -> Result<T>) -> Result<T> {
    std::panic::catch_unwind(AssertUnwindSafe(decide))
        .unwrap_or_else(|_| Err(Error::internal("a decision panicked")))
}

/// Runs commands in an open transaction; any failure is the transaction's.
pub(super) async fn apply<S: AggregateStore>(
    store: &S,
    tx: &mut Tx<'_>,
    by: &Caller,
    commands: Commands<S>,
) -> Result<Vec<S::Aggregate>> {
    let mut ids: Vec<S::Id> = commands.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut work = Working::load(store, &*tx.conn, &ids).await?;
    let mut after = Vec::with_capacity(commands.len());
    for (id, command) in commands {
        let decision = command.decide(work.current(id), by, tx.now)?;
        after.push(decision.aggregate.clone());
        work.accept(tx, id, decision, None);
    }
    work.before_commit(store, tx);
    work.save(store, &*tx.conn).await?;
    Ok(after)
}

/// The aggregates of a transaction while commands are applied to them.
struct Working<S: AggregateStore> {
    loaded: HashMap<S::Id, S::Aggregate>,
    changed: BTreeMap<S::Id, (S::Aggregate, Option<String>)>,
}

impl<S: AggregateStore> Working<S> {
    async fn load(store: &S, conn: &AsyncPgConnection, ids: &[S::Id]) -> Result<Self> {
        let loaded = if ids.is_empty() { HashMap::new() } else { store.load(conn, ids).await? };
        Ok(Self { loaded, changed: BTreeMap::new() })
    }

    /// The aggregate as it stands after the commands so far.
    fn current(&self, id: S::Id) -> Option<&S::Aggregate> {
        self.changed.get(&id).map(|(aggregate, _)| aggregate).or_else(|| self.loaded.get(&id))
    }

    /// What a job may work on: within its caller's reach, existing or not as it wants.
    fn admit(&self, store: &S, job: &Job<S>) -> Result<Option<&S::Aggregate>> {
        match (job.target, self.current(job.id)) {
            (Target::New, None) => Ok(None),
            (Target::New, Some(_)) => Err(Error::already_exists(S::KIND, S::id_text(job.id))),
            (Target::Existing, Some(current)) if store.within_reach(current, &job.caller) => {
                Ok(Some(current))
            }
            (Target::Existing, _) => Err(Error::not_found(S::KIND, S::id_text(job.id))),
        }
    }

    fn accept(
        &mut self,
        tx: &mut Tx<'_>,
        id: S::Id,
        decision: Decision<S::Aggregate>,
        trace: Option<String>,
    ) {
        for event in decision.events {
            tx.emit(event);
        }
        if let Some(key) = S::key(id) {
            tx.changed(key);
        }
        self.changed.insert(id, (decision.aggregate, trace));
    }

    fn before_commit(&self, store: &S, tx: &mut Tx<'_>) {
        for (after, _) in self.changed.values() {
            store.before_commit(tx, after);
        }
    }

    async fn save(mut self, store: &S, conn: &AsyncPgConnection) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        let changes = self
            .changed
            .into_iter()
            .map(|(id, (after, trace))| Change { before: self.loaded.remove(&id), after, trace })
            .collect();
        store.save(conn, changes).await
    }
}
