//! The inbox: events are taken in once. A batch is one transaction: its ids are claimed, what was seen before is
//! dropped, what is queued behind a parked event joins it, the rest goes to the service's [`Consumer`]; its changes
//! and follow-up events commit with the claim, and only then the bus gets its acknowledgement. A handler never sees
//! a delivery; the runner alone decides what failure means.

mod batch;
mod claim;
mod lease;
pub mod ops;
mod retrier;
mod runner;
mod state;
mod store;
mod subscriptions;

use async_trait::async_trait;

pub(crate) use self::store::purge;
pub use self::{
    runner::{Runner, RunnerConfig},
    state::InboxState,
};
use crate::{Result, db::Tx, event::Event, topology::Changes};

/// Handles the events of one service. An error (or a panic) undoes the whole batch; the runner then narrows down
/// which event is to blame and parks that one. `Unavailable`, `Exhausted` and `Stale` are tried again and cost no
/// attempt, however often; an event that fails so all alone, again and again, waits among the parked ones, so that
/// other keys flow.
#[async_trait]
pub trait Consumer: Send + Sync + 'static {
    /// Handles new events, those of one key in order. What it emits is caused by these events (`Tx::emit`).
    async fn handle(&self, tx: &mut Tx<'_>, events: &[Event]) -> Result<()>;

    /// Sees new events that are parked, because an earlier one of their key is or because `handle` failed. They come
    /// to `handle` later; this is only for what must not wait and may be done twice and out of order: bars on tokens.
    async fn waiting(&self, _tx: &mut Tx<'_>, _events: &[Event]) -> Result<()> {
        Ok(())
    }

    /// Learns what identity has newer than the service's copy of the topology, which this transaction writes; in memory all is
    /// still as it was. No event has told it yet, and the one that does, if it comes, changes nothing any more: whoever acts when
    /// the topology changes acts now. Of what another replica writes just then, some may be told twice.
    async fn caught_up(&self, _tx: &mut Tx<'_>, _changes: &Changes) -> Result<()> {
        Ok(())
    }
}
