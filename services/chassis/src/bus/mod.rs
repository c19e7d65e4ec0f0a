//! The event bus: at least once, in order per partition key. Two implementations that behave alike:
//! [`InProcess`] for the all-in-one shape and [`RabbitMq`] for the distributed one. Relay and runner see only this.

mod in_process;
mod rabbit;
mod reach;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub(crate) use self::reach::{Aside, Reach, Trouble};
pub use self::{
    in_process::{Faults, InProcess},
    rabbit::{RabbitConfig, RabbitMq},
};
use crate::{Result, event::Event};

/// What became of one published event, by the number the publisher gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmation {
    /// The publisher's number.
    pub seq: i64,
    /// `true`: the bus has it and will not lose it. `false`: refused, returned or unknown; publish it again.
    pub taken: bool,
}

/// Where the bus reports confirmations.
pub type Confirmations = mpsc::UnboundedSender<Confirmation>;

/// Number of a connection to the bus; the one that is made when it is lost has another.
pub type LinkNumber = u64;

/// Transport of events between services.
#[async_trait]
pub trait EventBus: Send + Sync + 'static {
    /// Hands events over in order, and gives the connection they went by. Every event gets exactly one confirmation
    /// later, in any order, unless the connection is lost for good: the caller keeps a deadline. An error means that
    /// none was handed over.
    ///
    /// `behind`: the connection by which events went that are not confirmed yet. When it is lost, they may not have
    /// arrived, and what comes after them must not go by another one: that is an error for as long as the caller does
    /// not take them for refused and begin again with the oldest (`None`).
    async fn publish(
        &self,
        events: Vec<(i64, Event)>,
        behind: Option<LinkNumber>,
        confirmations: &Confirmations,
    ) -> Result<LinkNumber>;

    /// The deliveries of one consumer group of a service. A second subscription to a group gets nothing until the
    /// first is dropped; what the first has not acknowledged comes again. Cancel safe: whoever stops waiting holds nothing.
    async fn subscribe(&self, service: &str, group: u8) -> Result<Box<dyn Subscription>>;

    /// Whether it can be reached from here just now, and will take what it is given; connects if need be. Cancel safe.
    async fn check(&self) -> Result<()> {
        Ok(())
    }

    /// How many groups the partitions of a service are split into.
    fn groups(&self) -> u8;

    /// Whether other processes take part: groups are then leased, and confirmations do not depend on this process.
    fn shared(&self) -> bool;

    /// Whether it may refuse an event and let a consumer have a later one of the same key nevertheless that went by the same
    /// connection. Then only one event of a key is under way at a time, which costs a confirmation for each.
    fn may_overtake(&self) -> bool {
        self.shared()
    }

    /// Whether the connection of this number is there, and the broker, short of memory or disk, takes nothing from it for now.
    /// What went by it is neither lost nor refused: it arrives when the broker goes on.
    fn held_up(&self, _link: LinkNumber) -> bool {
        false
    }

    /// Forgets the connection of this number, which seems broken; the next call makes a new one. Another one stays.
    async fn reset(&self, _link: LinkNumber) {}

    /// Closes connections in good order.
    async fn close(&self) {}
}

/// Deliveries to one consumer group.
#[async_trait]
pub trait Subscription: Send {
    /// The next delivery; `None` when the subscription is broken and another must be made. Cancel safe.
    async fn next(&mut self) -> Option<Delivery>;

    /// The next delivery where it is there already, without a wait; `None` where it is not, or only [`next`](Self::next) can tell.
    fn ready(&mut self) -> Option<Delivery> {
        None
    }

    /// Acknowledges every delivery up to and including this one, after its effects are committed.
    async fn ack(&mut self, last: DeliveryTag) -> Result<()>;
}

/// Position of a delivery within its subscription.
pub type DeliveryTag = u64;

/// One event as it arrived.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its position.
    pub tag: DeliveryTag,
    /// The event; with best-effort attributes when `defect` is set.
    pub event: Event,
    /// Why the envelope could not be read. Such an event is parked.
    pub defect: Option<String>,
}
