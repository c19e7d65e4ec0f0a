//! The event spine as metrics: what the outbox still holds, what is parked, and what nobody takes in. Counted now and then, and only
//! where somebody collects.

use std::time::Duration;

use opentelemetry::KeyValue;
use tokio_util::sync::CancellationToken;

use crate::{Result, db::Db, inbox::ops};

/// Tells the figures every so often until `stop`, and once more then. They are those of the service's database: replicas
/// tell the same.
///
/// # Errors
/// None: where they cannot be counted, that is logged.
pub async fn tell(db: Db, every: Duration, stop: CancellationToken) -> Result<()> {
    let meter = opentelemetry::global::meter("jianghan");
    let gauge = |name: &'static str, text: &'static str| meter.i64_gauge(name).with_description(text).build();
    let backlog = gauge("jianghan.outbox.backlog", "Events that the broker has not confirmed yet");
    let parked = gauge("jianghan.events.parked", "Parked events that are tried again, or behind one that is");
    let behind_dead = gauge("jianghan.events.behind_dead", "Parked events behind a dead one");
    let dead = gauge("jianghan.events.dead", "Parked events that wait for an operator");
    let unattended = gauge("jianghan.inbox.unattended", "Groups of events that no replica takes in");
    let labels = [KeyValue::new("jianghan.service", db.service().to_string())];
    loop {
        let stopped = stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none();
        match ops::statistics(&db).await {
            Ok(figures) => {
                backlog.record(figures.outbox_backlog, &labels);
                parked.record(figures.parked, &labels);
                behind_dead.record(figures.behind_dead, &labels);
                dead.record(figures.dead, &labels);
                unattended.record(figures.unattended, &labels);
            }
            Err(error) => tracing::warn!(error = %error.chain(), "the figures could not be counted"),
        }
        if stopped {
            return Ok(());
        }
    }
}
