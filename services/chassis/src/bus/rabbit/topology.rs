//! What must exist in the broker before the first publish: one topic exchange for all events, and for every service a few
//! quorum queues. Where a service has one queue, that is bound for the types the service declared; where it has more, an
//! exchange of the service's own is, and behind it each queue to a run of partitions. (A binding per queue, partition and
//! type would come to the same but be seven times as many, and take seconds to declare.) Types are written out also for
//! who consumes them all: the broker looks at every rest of a name for `#`, and that was, with the second exchange, a third
//! of its work. All of it comes from the event catalogue, and every process declares all of it, so that no event is
//! confirmed before its consumers have a queue. Nothing here was removed in RabbitMQ 4.

use lapin::{
    Channel, ErrorKind, ExchangeKind,
    options::{
        ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, ExchangeUnbindOptions,
        QueueBindOptions, QueueDeclareOptions,
    },
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
/// everything comes last. Whoever publishes has declared all of it before, so nothing is confirmed that a consumer misses.
fn bindings(catalogue: &Catalogue, groups: u8) -> Vec<Binding> {
    let mut all = Vec::new();
    let (everything, some): (Vec<&String>, Vec<&String>) =
        catalogue.services().iter().partition(|service| catalogue.consumes_everything(service));
    for service in some.into_iter().chain(everything) {
        if groups > 1 {
            for partition in 0..PARTITIONS {
                let (pattern, to) =
                    (short(&format!("p{partition:02}.#")), queue(service, group(partition, groups)));
                all.push(Binding { from: exchange_of(service), pattern, to, to_queue: true });
            }
        }
        all.extend(catalogue.consumed_by(service).iter().map(|event| entry(service, &event.name, groups)));
    }
    all
}

/// What brings a type to a service.
fn entry(service: &str, event_type: &str, groups: u8) -> Binding {
    let (to, to_queue) = if groups > 1 { (exchange_of(service), false) } else { (queue(service, 0), true) };
    Binding { from: short(EXCHANGE), pattern: short(&format!("*.{event_type}")), to, to_queue }
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
        if groups > 1 {
            channel
                .exchange_declare(exchange_of(service), ExchangeKind::Topic, exchange, FieldTable::default())
                .await?;
        }
        for group in 0..groups {
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            channel.queue_declare(queue(service, group), durable, queue_arguments()).await?;
        }
    }
    let bindings = bindings(catalogue, groups);
    let last = bindings.len().saturating_sub(1);
    for (index, binding) in bindings.into_iter().enumerate() {
        // Only the last is answered, and says that all are there: a channel works in order.
        bind(channel, binding, index < last).await?;
    }
    forget_former(channel, catalogue, groups).await
}

/// Takes away what earlier builds had declared besides, now that there is another way: it leads to the same queues, and the
/// broker would look at both. What is not there is none to the broker either.
async fn forget_former(channel: &Channel, catalogue: &Catalogue, groups: u8) -> lapin::Result<()> {
    for service in catalogue.services() {
        if groups == 1 {
            channel.exchange_delete(exchange_of(service), ExchangeDeleteOptions::default()).await?;
        } else if catalogue.consumes_everything(service) {
            let options = ExchangeUnbindOptions::default();
            channel
                .exchange_unbind(
                    exchange_of(service),
                    short(EXCHANGE),
                    short("#"),
                    options,
                    FieldTable::default(),
                )
                .await?;
        }
    }
    Ok(())
}

/// Brings a type that the catalogue does not know to who consumes everything, where it is parked: a newer build has left it
/// behind in an outbox. Without it nobody would take the event, nor any after it.
pub(super) async fn declare_unheard(
    channel: &Channel,
    catalogue: &Catalogue,
    groups: u8,
    event_type: &str,
) -> lapin::Result<()> {
    for service in catalogue.services().iter().filter(|service| catalogue.consumes_everything(service)) {
        bind(channel, entry(service, event_type, groups), false).await?;
    }
    Ok(())
}

async fn bind(channel: &Channel, binding: Binding, nowait: bool) -> lapin::Result<()> {
    let Binding { from, pattern, to, to_queue } = binding;
    if to_queue {
        channel.queue_bind(to, from, pattern, QueueBindOptions { nowait }, FieldTable::default()).await
    } else {
        channel.exchange_bind(to, from, pattern, ExchangeBindOptions { nowait }, FieldTable::default()).await
    }
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

    fn text(groups: u8) -> Vec<String> {
        let declared = [("t.A", "id", vec!["staffing".to_owned()]), ("t.B", "id", Vec::new())];
        let all = bindings(&Catalogue::new(&["analytics", "staffing"], declared), groups);
        all.iter().map(|b| format!("{} {} {}", b.from, b.pattern, b.to)).collect()
    }

    #[test]
    fn each_partition_has_one_queue_per_service_and_each_type_its_consumers() {
        let text = text(4);
        assert_eq!(text.len(), 65 + 66);
        assert_eq!(text[0], "jianghan.events.staffing p00.# staffing.g0");
        assert_eq!(text[63], "jianghan.events.staffing p63.# staffing.g3");
        assert_eq!(text[64], "jianghan.events *.t.A jianghan.events.staffing");
        assert_eq!(text[65], "jianghan.events.analytics p00.# analytics.g0");
        assert_eq!(
            text[129..],
            [
                "jianghan.events *.t.A jianghan.events.analytics",
                "jianghan.events *.t.B jianghan.events.analytics"
            ],
            "what makes events routable comes last"
        );
    }

    #[test]
    fn the_only_queue_of_a_service_is_bound_for_its_types() {
        let expected = [
            "jianghan.events *.t.A staffing.g0",
            "jianghan.events *.t.A analytics.g0",
            "jianghan.events *.t.B analytics.g0",
        ];
        assert_eq!(text(1), expected);
    }
}
