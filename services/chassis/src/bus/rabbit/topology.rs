//! What must exist in the broker before the first publish: one topic exchange for all events, behind it one for every
//! service, bound for the types the service declared, and behind that a few quorum queues, each bound to a run of
//! partitions. (A binding per queue, partition and type would come to the same but be seven times as many, and take
//! seconds to declare.) All of it comes from the event catalogue, and every process declares all of it, so that no
//! event is confirmed before its consumers have a queue. Nothing here was removed in RabbitMQ 4.

use lapin::{
    Channel, ErrorKind, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, ShortString},
};

use crate::event::{Catalogue, PARTITIONS, group, partition};
use uuid::Uuid;

/// The exchange all events go through.
pub(super) const EXCHANGE: &str = "jianghan.events";

/// Stands for the number of groups; nothing is ever published to it.
const GROUPS: &str = "jianghan.groups";

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

/// The exchange behind which a service's queues are.
fn exchange_of(service: &str) -> ShortString {
    short(&format!("{EXCHANGE}.{service}"))
}

/// One binding: from an exchange, by a pattern, to an exchange or a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Binding {
    from: ShortString,
    pattern: ShortString,
    to: ShortString,
    to_queue: bool,
}

/// Every binding in the order of declaration. Queues come before what leads to them, and the service that consumes
/// everything comes last: an event is only routable, and so only confirmed, when all bindings before are there.
fn bindings(catalogue: &Catalogue, groups: u8) -> Vec<Binding> {
    let mut all = Vec::new();
    let (everything, some): (Vec<&String>, Vec<&String>) =
        catalogue.services().iter().partition(|service| catalogue.consumes_everything(service));
    for service in some.into_iter().chain(everything) {
        let exchange = exchange_of(service);
        for partition in 0..PARTITIONS {
            let (pattern, to) =
                (short(&format!("p{partition:02}.#")), queue(service, group(partition, groups)));
            all.push(Binding { from: exchange.clone(), pattern, to, to_queue: true });
        }
        let patterns = if catalogue.consumes_everything(service) {
            vec![short("#")]
        } else {
            catalogue.consumed_by(service).iter().map(|event| short(&format!("*.{}", event.name))).collect()
        };
        for pattern in patterns {
            all.push(Binding { from: short(EXCHANGE), pattern, to: exchange.clone(), to_queue: false });
        }
    }
    all
}

/// Declares everything. Repeating it changes nothing. With another number of groups than the broker was first used with
/// it fails before it changes anything: the queues of the other number would go on filling, and nobody reads them.
pub(super) async fn declare(channel: &Channel, catalogue: &Catalogue, groups: u8) -> lapin::Result<()> {
    let exchange = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    // The broker compares this argument with what the exchange was made with, for the first and for all others at once.
    let mut marker = FieldTable::default();
    marker.insert(short("alternate-exchange"), AMQPValue::LongString(format!("{GROUPS}.{groups}").into()));
    channel.exchange_declare(short(GROUPS), ExchangeKind::Fanout, exchange, marker).await?;
    channel.exchange_declare(short(EXCHANGE), ExchangeKind::Topic, exchange, FieldTable::default()).await?;
    for service in catalogue.services() {
        channel
            .exchange_declare(exchange_of(service), ExchangeKind::Topic, exchange, FieldTable::default())
            .await?;
        for group in 0..groups {
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue(service, group), durable, queue_arguments()).await?;
        }
    }
    let bindings = bindings(catalogue, groups);
    let last = bindings.len().saturating_sub(1);
    for (index, Binding { from, pattern, to, to_queue }) in bindings.into_iter().enumerate() {
        // Only the last is answered, and says that all are there: a channel works in order.
        let nowait = index < last;
        if to_queue {
            channel.queue_bind(to, from, pattern, QueueBindOptions { nowait }, FieldTable::default()).await?;
        } else {
            channel
                .exchange_bind(to, from, pattern, ExchangeBindOptions { nowait }, FieldTable::default())
                .await?;
        }
    }
    Ok(())
}

/// Whether the broker holds something of the same name that was declared otherwise.
pub(super) fn refused(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if *error.kind() == AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
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

    #[test]
    fn each_partition_has_one_queue_per_service_and_each_type_its_consumers() {
        let catalogue =
            Catalogue::new(&["analytics", "staffing"], [("t.A", "id", vec!["staffing".to_owned()])]);
        let all = bindings(&catalogue, 4);
        let text: Vec<String> = all.iter().map(|b| format!("{} {} {}", b.from, b.pattern, b.to)).collect();
        assert_eq!(text.len(), 2 * 65);
        assert_eq!(text[0], "jianghan.events.staffing p00.# staffing.g0");
        assert_eq!(text[63], "jianghan.events.staffing p63.# staffing.g3");
        assert_eq!(text[64], "jianghan.events *.t.A jianghan.events.staffing");
        assert_eq!(text[65], "jianghan.events.analytics p00.# analytics.g0");
        assert_eq!(
            text[129], "jianghan.events # jianghan.events.analytics",
            "what makes events routable comes last"
        );
    }
}
