//! The bus of the distributed shape: RabbitMQ, two connections per process: one that publishes, one with a channel for each
//! consumer. Publishes are persistent, mandatory and confirmed; only an acknowledgement that brings no returned message
//! counts. Whatever breaks, connection, channels and consumers are made anew: recovery within the client loses state at the
//! edges.

mod envelope;
mod topology;

use std::{collections::HashSet, future::Future, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt;
use lapin::{
    Channel, Confirmation as Answer, Connection, ConnectionProperties, Consumer, PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    },
    types::{FieldTable, ShortString},
    uri::AMQPUri,
};
use tokio::{sync::Mutex, time::Instant};

use self::topology::{EXCHANGE, short};
use super::{Confirmation, Confirmations, Delivery, DeliveryTag, EventBus, LinkNumber, Subscription};
use crate::{
    Error, Result,
    event::{Catalogue, Event, PARTITIONS, catalogue},
};

/// Bytes of a frame, of which the client keeps room for 32 in either direction: with the usual 128 KiB 8 MB each. Events
/// have a few hundred bytes; larger ones are cut into several frames.
const FRAME_MAX: u32 = 16 << 10;

/// Of failures to connect the first is logged, and then one of so many: that is about one a minute where it is refused, and one in
/// eleven where nothing answers before the limit for connecting.
const TOLD_EVERY: u32 = 64;

/// How the bus uses the broker.
#[derive(Debug, Clone)]
pub struct RabbitConfig {
    /// Queues per service. Fixed for a deployment: other processes bind the same partitions to the same queues.
    pub groups: u8,
    /// Deliveries in hand per consumer.
    pub prefetch: u16,
    /// Limit for connecting, and for declaring the topology.
    pub connect_timeout: Duration,
    /// Heartbeat in seconds: after about two a silent peer counts as gone.
    pub heartbeat: u16,
}

impl Default for RabbitConfig {
    fn default() -> Self {
        Self { groups: 4, prefetch: 1_600, connect_timeout: Duration::from_secs(10), heartbeat: 5 }
    }
}

/// RabbitMQ. Cheap to clone.
#[derive(Clone)]
pub struct RabbitMq(Arc<Inner>);

struct Inner {
    uri: AMQPUri,
    name: String,
    catalogue: Arc<Catalogue>,
    config: RabbitConfig,
    link: Mutex<Reconnect<Link>>,
    /// For consumers alone: of a connection that publishes, a broker short of memory or disk reads nothing more, not even the
    /// acknowledgements by which it would get rid of what it holds.
    consuming: Mutex<Reconnect<Connection>>,
}

/// A connection, or when to try again.
struct Reconnect<L> {
    link: Option<Arc<L>>,
    /// How many connections there have been.
    made: LinkNumber,
    failures: u32,
    not_before: Option<Instant>,
}

impl<L> Default for Reconnect<L> {
    fn default() -> Self {
        Self { link: None, made: 0, failures: 0, not_before: None }
    }
}

impl<L> Reconnect<L> {
    /// The live connection, or the one that `connecting` makes; `Unavailable` while the broker is away.
    async fn get(
        &mut self,
        bus: &Inner,
        alive: fn(&L) -> bool,
        connecting: impl Future<Output = lapin::Result<L>>,
    ) -> Result<Arc<L>> {
        if let Some(link) = self.link.as_ref().filter(|link| alive(link)) {
            return Ok(link.clone());
        }
        self.link = None;
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(Error::unavailable("the event bus is not reachable"));
        }
        let connecting = tokio::time::timeout(bus.config.connect_timeout, connecting).await;
        match connecting.map_err(|_| "timed out".to_owned()).and_then(|link| link.map_err(|e| e.to_string()))
        {
            Ok(link) => {
                let link = Arc::new(link);
                *self = Self { link: Some(link.clone()), made: self.made + 1, ..Self::default() };
                tracing::info!(bus.name = %bus.name, "connected to the event bus");
                Ok(link)
            }
            Err(error) => {
                let pause = Duration::from_millis(100 << self.failures.min(3)); // 0.1 to 0.8 seconds
                self.not_before = Some(Instant::now() + pause);
                if self.failures.is_multiple_of(TOLD_EVERY) {
                    tracing::warn!(bus.name = %bus.name, error, "the event bus is not reachable");
                }
                self.failures = self.failures.wrapping_add(1);
                Err(Error::unavailable("the event bus is not reachable"))
            }
        }
    }
}

/// A connection with its publishing channel; the topology has been declared on it.
struct Link {
    number: LinkNumber,
    connection: Connection,
    publishing: Channel,
    /// Types that the catalogue does not know and that have been bound on this connection.
    unheard: Mutex<HashSet<Arc<str>>>,
}

impl Link {
    fn alive(&self) -> bool {
        self.connection.status().connected() && self.publishing.status().connected()
    }
}

impl RabbitMq {
    /// A bus at this address (`amqp://user:password@host:port/vhost`); `name` is shown by the broker. Connects when
    /// first needed.
    ///
    /// # Errors
    /// `Invalid` when the address cannot be read.
    pub fn new(url: &str, name: &str, config: RabbitConfig) -> Result<Self> {
        Self::with_catalogue(url, name, config, catalogue().clone())
    }

    /// With a catalogue of one's own.
    pub fn with_catalogue(
        url: &str,
        name: &str,
        config: RabbitConfig,
        catalogue: Arc<Catalogue>,
    ) -> Result<Self> {
        let mut uri: AMQPUri =
            url.parse().map_err(|_| Error::invalid("amqp_url", "is not an AMQP address"))?;
        uri.query.heartbeat.get_or_insert(config.heartbeat);
        uri.query.frame_max.get_or_insert(FRAME_MAX);
        let config = RabbitConfig { groups: config.groups.clamp(1, PARTITIONS), ..config };
        let (link, consuming) = (Mutex::default(), Mutex::default());
        let inner = Inner { uri, name: name.to_owned(), catalogue, config, link, consuming };
        Ok(Self(Arc::new(inner)))
    }

    /// The connection that publishes.
    async fn link(&self) -> Result<Arc<Link>> {
        let mut state = self.0.link.lock().await;
        let number = state.made + 1;
        state.get(&self.0, Link::alive, self.connect(number)).await
    }

    /// The connection of consumers.
    async fn consuming(&self) -> Result<Arc<Connection>> {
        let mut state = self.0.consuming.lock().await;
        state.get(&self.0, |connection| connection.status().connected(), self.open("consume")).await
    }

    /// A connection whose name at the broker says what it is for.
    async fn open(&self, purpose: &str) -> lapin::Result<Connection> {
        let name = format!("{} {purpose}", self.0.name);
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        Connection::connect_uri(self.0.uri.clone(), properties).await
    }

    async fn connect(&self, number: LinkNumber) -> lapin::Result<Link> {
        let connection = self.open("publish").await?;
        let declaring = connection.create_channel().await?;
        topology::declare(&declaring, &self.0.catalogue, self.0.config.groups).await.inspect_err(|error| {
            if topology::refused(error) {
                tracing::error!(
                    groups = self.0.config.groups,
                    "this broker holds something of ours that was declared otherwise; if its answer names the exchange \
                     jianghan.groups, it is in use with another number of consumer groups: set bus.groups to that one"
                );
            }
        })?;
        declaring.close(200, short("declared")).await?;
        let publishing = connection.create_channel().await?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Link { number, connection, publishing, unheard: Mutex::default() })
    }
}

impl Inner {
    /// Sees to it that somebody takes what the catalogue does not know.
    async fn declare_unheard(&self, link: &Link, events: &[(i64, Event)]) -> Result<()> {
        let unknown = events.iter().filter(|(_, event)| self.catalogue.get(&event.r#type).is_none());
        for (_, event) in unknown {
            let mut bound = link.unheard.lock().await;
            if bound.contains(&event.r#type) {
                continue;
            }
            let declaring = topology::declare_unheard(
                &link.publishing,
                &self.catalogue,
                self.config.groups,
                &event.r#type,
            );
            // A broker that takes nothing for a while must not hold up whoever leads the relay.
            match tokio::time::timeout(self.config.connect_timeout, declaring).await {
                Ok(Ok(())) => bound.insert(event.r#type.clone()),
                failed => {
                    tracing::debug!(?failed, "a type was not declared");
                    return Err(Error::unavailable("the event bus is not reachable"));
                }
            };
        }
        Ok(())
    }
}

/// A publish under way: the frames are queued when it is first polled.
type Publish = Pin<Box<dyn Future<Output = lapin::Result<PublisherConfirm>> + Send>>;

#[async_trait]
impl EventBus for RabbitMq {
    async fn publish(
        &self,
        events: Vec<(i64, Event)>,
        behind: Option<LinkNumber>,
        confirmations: &Confirmations,
    ) -> Result<LinkNumber> {
        let link = self.link().await?;
        if behind.is_some_and(|number| number != link.number) {
            // What went by that one may have been lost with it, and nobody may have been told yet.
            return Err(Error::unavailable("the connection that earlier events went by is lost"));
        }
        self.0.declare_unheard(&link, &events).await?;
        let number = link.number;
        let mut under_way: Vec<(i64, Option<Publish>, Option<PublisherConfirm>)> =
            Vec::with_capacity(events.len());
        for (seq, event) in events {
            let channel = link.publishing.clone();
            let mut publish: Publish = Box::pin(async move {
                let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
                let key = topology::routing_key(event.partition_key, &event.r#type);
                let properties = envelope::properties(&event);
                channel.basic_publish(short(EXCHANGE), key, options, &event.data, properties).await
            });
            // Polled once here, in order: that queues the frames without waiting for each to be written.
            match futures::poll!(publish.as_mut()) {
                std::task::Poll::Ready(Ok(confirm)) => under_way.push((seq, None, Some(confirm))),
                std::task::Poll::Ready(Err(error)) => {
                    tracing::debug!(error = %error, "a publish failed");
                    under_way.push((seq, None, None));
                }
                std::task::Poll::Pending => under_way.push((seq, Some(publish), None)),
            }
        }
        let confirmations = confirmations.clone();
        tokio::spawn(async move {
            for (seq, publish, confirm) in under_way {
                let confirm = match (publish, confirm) {
                    (Some(publish), _) => publish.await.ok(),
                    (None, confirm) => confirm,
                };
                let taken = match confirm {
                    // A returned message comes with its acknowledgement: no queue took it.
                    Some(confirm) => matches!(confirm.await, Ok(Answer::Ack(None))),
                    None => false,
                };
                let _ = confirmations.send(Confirmation { seq, taken }); // a relay that is gone publishes again
            }
        });
        Ok(number)
    }

    async fn subscribe(&self, service: &str, group: u8) -> Result<Box<dyn Subscription>> {
        self.check().await?; // whoever publishes declares the queues
        let connection = self.consuming().await?;
        let consumer = short(&format!("{}.{}", self.0.name, crate::clock::new_id().simple()));
        let subscribed =
            subscribe(connection.clone(), topology::queue(service, group), consumer, self.0.config.prefetch);
        // To its end, though whoever asked may be gone by then: a consumer that nobody has in hand would keep the group's
        // deliveries for as long as its connection lives. What nobody takes is dropped, which closes its channel.
        let subscribed = tokio::spawn(subscribed);
        match tokio::time::timeout(self.0.config.connect_timeout, subscribed).await {
            Ok(Ok(Ok(subscription))) => Ok(Box::new(subscription)),
            Ok(Ok(Err(error))) => {
                tracing::warn!(service, group, error = %error, "could not subscribe");
                Err(Error::unavailable("the event bus is not reachable"))
            }
            Ok(Err(lost)) => Err(Error::task(lost)),
            Err(_) => {
                // As in `reset`: only if nobody has made another one meanwhile.
                let mut consuming = self.0.consuming.lock().await;
                if let Some(silent) = consuming.link.take_if(|held| Arc::ptr_eq(held, &connection)) {
                    tokio::spawn(async move { hang_up(&silent).await });
                }
                Err(Error::unavailable("the event bus does not answer"))
            }
        }
    }

    async fn check(&self) -> Result<()> {
        self.link().await.map(drop)
    }

    fn groups(&self) -> u8 {
        self.0.config.groups
    }

    fn shared(&self) -> bool {
        true
    }

    /// A quorum queue takes what comes by one channel in its order and without gaps, and has no length at which it would
    /// refuse; an event that comes back had no queue at all. So a queue that did not take one has taken none after it. What is
    /// lost with a connection has nothing after it either: `publish` lets nothing follow by the next one.
    fn may_overtake(&self) -> bool {
        false
    }

    fn held_up(&self, link: LinkNumber) -> bool {
        // Whoever has the lock connects, or looks and is gone in a moment: then the next question is answered.
        let Ok(state) = self.0.link.try_lock() else { return false };
        let live = state.link.as_ref().filter(|held| held.number == link && held.alive());
        live.is_some_and(|held| held.connection.status().blocked())
    }

    async fn reset(&self, link: LinkNumber) {
        // Whoever finds it silent may be late: others may have made a new one meanwhile, which works.
        let broken = self.0.link.lock().await.link.take_if(|held| held.number == link);
        if let Some(link) = broken {
            tokio::spawn(async move { hang_up(&link.connection).await });
        }
    }

    async fn close(&self) {
        let link = self.0.link.lock().await.link.take();
        let consuming = self.0.consuming.lock().await.link.take();
        let publishing_ends = async {
            if let Some(link) = link {
                hang_up(&link.connection).await;
            }
        };
        let consuming_ends = async {
            if let Some(connection) = consuming {
                hang_up(&connection).await;
            }
        };
        tokio::join!(publishing_ends, consuming_ends);
    }
}

/// Closes in good order, but does not wait for a broker that is gone.
async fn hang_up(connection: &Connection) {
    let _ = tokio::time::timeout(Duration::from_secs(2), connection.close(200, short("closing"))).await;
}

/// A channel of its own and a consumer on it.
async fn subscribe(
    connection: Arc<Connection>,
    queue: ShortString,
    tag: ShortString,
    prefetch: u16,
) -> lapin::Result<AmqpSubscription> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let consumer =
        channel.basic_consume(queue, tag, BasicConsumeOptions::default(), FieldTable::default()).await?;
    Ok(AmqpSubscription { channel, consumer: Some(consumer) })
}

struct AmqpSubscription {
    channel: Channel,
    consumer: Option<Consumer>,
}

#[async_trait]
impl Subscription for AmqpSubscription {
    async fn next(&mut self) -> Option<Delivery> {
        match self.consumer.as_mut()?.next().await? {
            Ok(message) => {
                let (event, defect) = envelope::event(&message.properties, message.data);
                Some(Delivery { tag: message.delivery_tag, event, defect })
            }
            Err(error) => {
                tracing::debug!(error = %error, "a consumer broke");
                None
            }
        }
    }

    async fn ack(&mut self, last: DeliveryTag) -> Result<()> {
        self.channel.basic_ack(last, BasicAckOptions { multiple: true }).await.map_err(|error| {
            tracing::debug!(error = %error, "an acknowledgement was not sent");
            Error::unavailable("the event bus is not reachable")
        })
    }
}

impl Drop for AmqpSubscription {
    fn drop(&mut self) {
        // The channel goes first: that returns what is in hand to the head of the queue before another consumer
        // becomes active. Cancelling the consumer first would let later events overtake.
        let (channel, consumer) = (self.channel.clone(), self.consumer.take());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ =
                    tokio::time::timeout(Duration::from_secs(5), channel.close(200, short("unsubscribed")))
                        .await;
                drop(consumer);
            });
        }
    }
}
