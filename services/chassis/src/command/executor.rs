//! The executor's front: admission, queues, writer tasks. A command is queued by its aggregate, so commands on one
//! aggregate never wait for each other's lock; a writer takes what has queued, without a timer, and commits it in one
//! transaction. A caller that goes away changes nothing: the writer owns the transaction.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot};

use super::{AggregateStore, Commands, Decide, Decision, Meta, batch};
use crate::{
    Error, Result, Timestamp,
    auth::Caller,
    config::SpineConfig,
    db::{Db, Tx},
    pressure::Queue,
    telemetry::current_traceparent,
};

/// Size of the executor.
#[derive(Debug, Clone)]
pub struct ExecutorConfig {
    /// Writer tasks; each uses one connection while it commits.
    pub writers: usize,
    /// Most commands per commit.
    pub batch: usize,
    /// Most commands waiting per writer; more are refused with `Exhausted`.
    pub queue: usize,
}

impl Default for ExecutorConfig {
    fn default() -> Self {
        Self { writers: 1, batch: 64, queue: 1_024 }
    }
}

impl From<&SpineConfig> for ExecutorConfig {
    fn from(spine: &SpineConfig) -> Self {
        Self { writers: spine.writers.max(1), batch: spine.batch.max(1), ..Self::default() }
    }
}

/// Whether a command creates its aggregate or needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It must not exist: `AlreadyExists`. Reach is not asked; the decision checks what the caller may create.
    New,
    /// It must exist within the caller's reach: `NotFound`.
    Existing,
}

/// Runs the commands of one kind of aggregate. Cheap to clone.
pub struct Executor<S: AggregateStore>(Arc<Inner<S>>);

struct Inner<S: AggregateStore> {
    db: Db,
    store: Arc<S>,
    queues: Vec<(mpsc::Sender<Job<S>>, Queue)>,
    committed: Arc<AtomicU64>,
}

impl<S: AggregateStore> Clone for Executor<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A queued command.
pub(super) struct Job<S: AggregateStore> {
    pub id: S::Id,
    pub target: Target,
    pub caller: Caller,
    pub meta: Meta,
    pub traceparent: Option<String>,
    /// Since when it waits.
    pub since: Instant,
    pub act: Box<dyn Act<S::Aggregate>>,
}

/// The parts of a job that differ by command and answer.
pub(super) trait Act<A>: Send {
    fn decide(&self, current: Option<&A>, by: &Caller, now: Timestamp) -> Result<Decision<A>>;
    /// Makes the answer of the aggregate after the command, keeps it, and gives it encoded.
    fn answer(&mut self, after: &A) -> Vec<u8>;
    /// Tells the caller. Only the first call counts.
    fn reply(&mut self, outcome: Outcome);
}

/// What became of a job.
pub(super) enum Outcome {
    /// Committed: the kept answer holds.
    Done,
    /// Answered before: the encoded answer of then.
    Repeated(Vec<u8>),
    /// Nothing of it is stored.
    Failed(Error),
}

struct Command<C, F, R> {
    command: C,
    respond: F,
    answer: Option<R>,
    reply: Option<oneshot::Sender<Result<R>>>,
}

impl<A, C, F, R> Act<A> for Command<C, F, R>
where
    C: Decide<A>,
    F: Fn(&A) -> R + Send + 'static,
    R: prost::Message + Default,
{
    fn decide(&self, current: Option<&A>, by: &Caller, now: Timestamp) -> Result<Decision<A>> {
        self.command.decide(current, by, now)
    }

    fn answer(&mut self, after: &A) -> Vec<u8> {
        let answer = (self.respond)(after);
        let encoded = answer.encode_to_vec();
        self.answer = Some(answer);
        encoded
    }

    fn reply(&mut self, outcome: Outcome) {
        let Some(reply) = self.reply.take() else { return };
        let result = match outcome {
            Outcome::Done => {
                self.answer.take().ok_or_else(|| Error::internal("a command was committed without answer"))
            }
            Outcome::Repeated(encoded) => R::decode(encoded.as_slice()).map_err(Error::internal),
            Outcome::Failed(error) => Err(error),
        };
        let _ = reply.send(result); // the caller may have gone
    }
}

impl<S: AggregateStore> Executor<S> {
    /// Starts the writers. They end when the last clone is dropped.
    pub fn new(db: Db, store: S, config: ExecutorConfig) -> Self {
        let store = Arc::new(store);
        let committed = Arc::new(AtomicU64::new(0));
        let queues = (0..config.writers.max(1))
            .map(|_| {
                let (sender, receiver) = mpsc::channel(config.queue.max(1));
                let gauge = db.pressure().queue();
                let most = config.batch.max(1);
                let writer =
                    write(db.clone(), store.clone(), receiver, gauge.clone(), most, committed.clone());
                tokio::spawn(writer);
                (sender, gauge)
            })
            .collect();
        Self(Arc::new(Inner { db, store, queues, committed }))
    }

    /// Runs one command and answers from the aggregate after it. Repeated with the same caller, method and request
    /// id it answers the same and does nothing.
    ///
    /// # Errors
    /// What the decision says; `NotFound` out of reach; `AlreadyExists`; `Invalid { request_id }` for another body
    /// under the same id; `Exhausted` when too much waits; `Unavailable` when the database is away.
    pub async fn execute<C, F, R>(
        &self,
        caller: &Caller,
        meta: Meta,
        id: S::Id,
        target: Target,
        command: C,
        respond: F,
    ) -> Result<R>
    where
        C: Decide<S::Aggregate>,
        F: Fn(&S::Aggregate) -> R + Send + 'static,
        R: prost::Message + Default + 'static,
    {
        self.0.db.gate().admit().await?;
        let (reply, answer) = oneshot::channel();
        let act = Box::new(Command { command, respond, answer: None, reply: Some(reply) });
        let job = Job {
            id,
            target,
            caller: caller.clone(),
            meta,
            traceparent: current_traceparent(),
            since: Instant::now(),
            act,
        };
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let queue = (hasher.finish() % self.0.queues.len() as u64) as usize; // below the length
        let (queue, gauge) = &self.0.queues[queue];
        gauge.put(); // before a writer can take it
        queue.try_send(job).map_err(|refused| {
            gauge.refused();
            match refused {
                mpsc::error::TrySendError::Full(_) => {
                    Error::Exhausted { retry_after: Duration::from_secs(1) }
                }
                mpsc::error::TrySendError::Closed(_) => Error::unavailable("the service is stopping"),
            }
        })?;
        answer.await.unwrap_or_else(|_| Err(Error::unavailable("the service is stopping")))
    }

    /// Runs commands inside a transaction that is already open: a consumer's or a timer's. No request ids, no reach.
    /// Gives the aggregates after each command, in order. An error is the whole transaction's.
    pub async fn apply(
        &self,
        tx: &mut Tx<'_>,
        by: &Caller,
        commands: Commands<S>,
    ) -> Result<Vec<S::Aggregate>> {
        batch::apply(&*self.0.store, tx, by, commands).await
    }

    /// Commands committed since the start.
    pub fn committed(&self) -> u64 {
        self.0.committed.load(Ordering::Relaxed)
    }

    /// The store behind it, for queries.
    pub fn store(&self) -> &S {
        &self.0.store
    }
}

/// One writer.
async fn write<S: AggregateStore>(
    db: Db,
    store: Arc<S>,
    mut queue: mpsc::Receiver<Job<S>>,
    gauge: Queue,
    most: usize,
    committed: Arc<AtomicU64>,
) {
    let mut jobs = Vec::with_capacity(most);
    while queue.recv_many(&mut jobs, most).await > 0 {
        if let Some(oldest) = jobs.first() {
            gauge.taken(jobs.len(), oldest.since.elapsed());
        }
        let done = batch::run(&db, &*store, std::mem::take(&mut jobs)).await;
        committed.fetch_add(done, Ordering::Relaxed);
        db.count_commands(done);
    }
}
