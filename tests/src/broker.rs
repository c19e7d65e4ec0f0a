//! Listening in at the broker of a distributed world: a queue of our own, in which every event that is published waits.

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use crate::World;

/// The exchange that all events go through.
const EXCHANGE: &str = "jianghan.events";
const QUEUE: &str = "listener";

/// Hears everything that is published from its start on. Its queue goes with its connection.
pub struct Listener {
    channel: Channel,
    _connection: Connection,
}

/// A message as it waited in the queue.
pub struct Message {
    /// `p<partition>.<type>`.
    pub key: String,
    /// Its headers and its body, one after the other.
    pub bytes: Vec<u8>,
}

impl Listener {
    /// Begins to listen.
    pub async fn start(world: &World) -> Self {
        let url = {
            let launched = world.launched.lock().await;
            launched.rabbit.as_ref().expect("the world has its own RabbitMQ").url("/")
        };
        let connection = Connection::connect(&url, ConnectionProperties::default()).await;
        let connection = connection.expect("RabbitMQ answers");
        let channel = connection.create_channel().await.expect("a channel");
        let own = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(QUEUE.into(), own, FieldTable::default()).await.expect("a queue");
        let (all, bind) = ("#".into(), QueueBindOptions::default());
        let bound = channel.queue_bind(QUEUE.into(), EXCHANGE.into(), all, bind, FieldTable::default()).await;
        bound.expect("the queue is bound");
        Self { channel, _connection: connection }
    }

    /// What has come since the last time.
    pub async fn heard(&self) -> Vec<Message> {
        let mut heard = Vec::new();
        let options = BasicGetOptions { no_ack: true };
        while let Some(message) = self.channel.basic_get(QUEUE.into(), options).await.expect("an answer") {
            let delivery = message.delivery;
            let mut bytes = Vec::new();
            for value in delivery.properties.headers().iter().flat_map(|headers| headers.inner().values()) {
                match value {
                    AMQPValue::LongString(text) => bytes.extend_from_slice(text.as_bytes()),
                    AMQPValue::ShortString(text) => bytes.extend_from_slice(text.as_str().as_bytes()),
                    other => bytes.extend_from_slice(format!("{other:?}").as_bytes()),
                }
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(&delivery.data);
            heard.push(Message { key: delivery.routing_key.to_string(), bytes });
        }
        heard
    }
}
