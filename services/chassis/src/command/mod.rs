//! Commands: load → decide → save, with the events and the answer, in one commit. The [`Executor`] is the one place
//! that opens such a transaction; [`once`] is its plain sister for rare commands over several tables. Decisions are
//! pure: no I/O, no clock, no randomness.

mod announced;
mod batch;
mod executor;
mod idempotency;
mod meta;
mod once;

use std::{collections::HashMap, fmt::Debug, future::Future, hash::Hash};

use diesel_async::AsyncPgConnection;
use uuid::Uuid;

pub(crate) use self::idempotency::purge;
pub use self::{
    announced::{NOT_ANNOUNCED, announced},
    executor::{Executor, ExecutorConfig, Target},
    meta::Meta,
    once::{answered, once},
};
use crate::{Result, Timestamp, auth::Caller, db::Tx, event::Emit};

/// Loads and saves one kind of aggregate. Implementations write `async fn`.
pub trait AggregateStore: Send + Sync + 'static {
    /// Id of the aggregate.
    type Id: Copy + Eq + Hash + Ord + Send + Sync + Debug + 'static;
    /// The aggregate. It may carry rows that are still to be written, such as timeline entries.
    type Aggregate: Clone + Send + Sync + 'static;
    /// Name of the kind in errors, such as `case`.
    const KIND: &'static str;

    /// Text of an id, as callers write it.
    fn id_text(id: Self::Id) -> String;

    /// The key by which the aggregate is followed ([`News`](crate::db::News)): whoever does is told of every change, also of
    /// one without events. `None`: nobody follows this kind.
    fn key(_id: Self::Id) -> Option<Uuid> {
        None
    }

    /// Loads and locks: `WHERE id = ANY($1) ORDER BY id FOR UPDATE`. What does not exist is left out.
    fn load(
        &self,
        conn: &AsyncPgConnection,
        ids: &[Self::Id],
    ) -> impl Future<Output = Result<HashMap<Self::Id, Self::Aggregate>>> + Send;

    /// Writes all changes with multi-row statements, which had best be joined: statements that wait for no other's answer
    /// share the way to the server and back. One change per aggregate, ordered by id.
    fn save(
        &self,
        conn: &AsyncPgConnection,
        changes: Vec<Change<Self::Aggregate>>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Called with each aggregate as a transaction leaves it, before the commit: what a store does besides saving it, such as
    /// keeping it at hand, it gives to [`Tx::after_commit`].
    fn before_commit(&self, _tx: &mut Tx<'_>, _after: &Self::Aggregate) {}

    /// Whether the caller may know of this aggregate at all; otherwise it does not exist for them.
    fn within_reach(&self, aggregate: &Self::Aggregate, caller: &Caller) -> bool;
}

/// What one transaction does to one aggregate: several commands may lie between.
#[derive(Debug, Clone)]
pub struct Change<A> {
    /// As loaded; `None` when it is created.
    pub before: Option<A>,
    /// To be written.
    pub after: A,
    /// Trace context of the last command.
    pub trace: Option<String>,
}

/// A command: a pure function from the present aggregate to a decision.
pub trait Decide<A>: Send + Sync + 'static {
    /// `current` is `None` when the aggregate is to be created. It may be called again when a batch is replayed.
    fn decide(&self, current: Option<&A>, by: &Caller, now: Timestamp) -> Result<Decision<A>>;
}

impl<A, T: Decide<A> + ?Sized> Decide<A> for Box<T> {
    fn decide(&self, current: Option<&A>, by: &Caller, now: Timestamp) -> Result<Decision<A>> {
        (**self).decide(current, by, now)
    }
}

/// Commands for [`Executor::apply`]: the aggregate's id and what to do to it, in order.
pub type Commands<S> = Vec<(<S as AggregateStore>::Id, Box<dyn Decide<<S as AggregateStore>::Aggregate>>)>;

/// The new aggregate and the events that tell of it, in order.
#[derive(Debug, Clone)]
pub struct Decision<A> {
    /// To be saved.
    pub aggregate: A,
    /// To be sent.
    pub events: Vec<Emit>,
}
