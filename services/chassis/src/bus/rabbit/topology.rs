//! What must exist in the broker before the first publish: one topic exchange, and for every service a few quorum
//! queues, each bound to a run of partitions for the types the service declared. All of it comes from the event
//! catalogue, and every process declares all of it, so that no event is confirmed before its consumers have a queue.
//! Nothing here was removed in RabbitMQ 4.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::event::{Catalogue, PARTITIONS, group, partition};
use uuid::Uuid;

/// The exchange all events go through.
pub(super) const EXCHANGE: &str = "jianghan.events";

/// Far beyond what can happen. Without a limit a quorum queue may put a returned message at its end, which would
/// break the order; with RabbitMQ 4's default of 20 it would drop it.
const DELIVERY_LIMIT: i32 = 1_000_000_000;

/// `<service>.g<group>`.
pub(super) fn queue(service: &str, group: u8) -> ShortString {
    short(&format!("{service}.g{group}"))
}

/// `p<partition>.<type>`.
pub(super) fn routing_key(key: Uuid, event_type: &str) -> ShortString {
    short(&format!("p{:02}.{event_type}", partition(key)))
}

/// A short string; cut at AMQP's limit of 255 bytes, which no name of ours reaches.
pub(super) fn short(text: &str) -> ShortString {
    let mut end = text.len().min(255);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    ShortString::from(&text[..end])
}

/// One binding: queue and routing pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    pub queue: ShortString,
    pub pattern: ShortString,
}

/// Every binding, those of the service that consumes everything last: an event is only routable, and so only
/// confirmed, when all bindings before are there.
pub(super) fn bindings(catalogue: &Catalogue, groups: u8) -> Vec<Binding> {
    let mut some = Vec::new();
    let mut all = Vec::new();
    for service in catalogue.services() {
        for partition in 0..PARTITIONS {
            let queue = queue(service, group(partition, groups));
            if catalogue.consumes_everything(service) {
                all.push(Binding { queue, pattern: short(&format!("p{partition:02}.#")) });
                continue;
            }
            for event in catalogue.consumed_by(service) {
                some.push(Binding {
                    queue: queue.clone(),
                    pattern: short(&format!("p{partition:02}.{}", event.name)),
                });
            }
        }
    }
    some.extend(all);
    some
}

/// Declares everything. Repeating it changes nothing.
pub(super) async fn declare(channel: &Channel, catalogue: &Catalogue, groups: u8) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(short(EXCHANGE), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    for service in catalogue.services() {
        for group in 0..groups {
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue(service, group), durable, queue_arguments()).await?;
        }
    }
    let mut bindings = bindings(catalogue, groups);
    let last = bindings.pop();
    let without_answer = QueueBindOptions { nowait: true };
    for Binding { queue, pattern } in bindings {
        channel.queue_bind(queue, short(EXCHANGE), pattern, without_answer, FieldTable::default()).await?;
    }
    if let Some(Binding { queue, pattern }) = last {
        // The answer to the last says that all are there: a channel works in order.
        let with_answer = QueueBindOptions { nowait: false };
        channel.queue_bind(queue, short(EXCHANGE), pattern, with_answer, FieldTable::default()).await?;
    }
    Ok(())
}

fn queue_arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert(short("x-queue-type"), AMQPValue::LongString("quorum".into()));
    arguments.insert(short("x-single-active-consumer"), AMQPValue::Boolean(true));
    arguments.insert(short("x-delivery-limit"), AMQPValue::LongInt(DELIVERY_LIMIT));
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SERVICES;

    #[test]
    fn each_partition_of_a_type_has_one_queue_per_consumer() {
        let catalogue = Catalogue::new(&SERVICES, [("t.A", "id", vec!["staffing".to_owned()])]);
        let all = bindings(&catalogue, 4);
        assert_eq!(all.len(), 128);
        assert!(all[..64].iter().all(|b| b.queue.as_str().starts_with("staffing.g")));
        assert!(
            all[64..].iter().all(|b| b.queue.as_str().starts_with("analytics.g")),
            "analytics comes last"
        );
        assert_eq!((all[0].queue.as_str(), all[0].pattern.as_str()), ("staffing.g0", "p00.t.A"));
        assert_eq!((all[63].queue.as_str(), all[63].pattern.as_str()), ("staffing.g3", "p63.t.A"));
        assert_eq!((all[127].queue.as_str(), all[127].pattern.as_str()), ("analytics.g3", "p63.#"));
    }
}
